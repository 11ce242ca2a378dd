from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from diffinv.contracts import DiffTokens
from diffinv.method.inversion import Pair, invert, learning_rate_factor
from diffinv.method.settings import PRESETS, InversionSettings

FAST = InversionSettings(steps=4, lr=0.05)


def picture(colour):
    image = Image.new("RGB", (16, 16), "white")
    image.paste(colour, (4, 4, 12, 12))
    return image


def pair(before="red", after="blue"):
    texts = f"a {before} square", f"a {after} square"
    return Pair(picture(before), picture(after), *texts, *texts)


@pytest.mark.parametrize("space", ["additive", "input", "output"])
def test_the_tokens_move_from_zero_in_every_space(tiny_backbone, fixed_encoder, space):
    settings = replace(FAST, token_space=space, tokens=3)
    (result,) = invert(tiny_backbone, fixed_encoder, [[pair()]], settings)
    assert result.tokens.shape == (3, 32)
    assert result.losses.shape == (4, 3)
    assert float(result.tokens.abs().max()) > 0
    assert torch.isfinite(result.tokens).all()


def test_same_seed_same_tokens_bit_for_bit(tiny_backbone, fixed_encoder):
    def run(seed):
        return invert(tiny_backbone, fixed_encoder, [[pair()]], FAST, [seed])[0].tokens

    assert torch.equal(run(3), run(3))
    assert not torch.equal(run(3), run(4))


def test_independent_differences_in_one_batch_equal_single_runs(tiny_backbone, fixed_encoder):
    groups = [[pair()], [pair("green", "yellow"), pair("black", "orange")]]
    together = invert(tiny_backbone, fixed_encoder, groups, FAST, [1, 2])
    for group, seed, result in zip(groups, (1, 2), together, strict=True):
        (alone,) = invert(tiny_backbone, fixed_encoder, [group], FAST, [seed])
        torch.testing.assert_close(result.tokens, alone.tokens, atol=2e-3, rtol=1e-2)
        torch.testing.assert_close(result.losses, alone.losses, atol=1e-3, rtol=1e-3)


def test_a_caller_without_gradients_learns_all_the_same(tiny_backbone, fixed_encoder):
    (found,) = invert(tiny_backbone, fixed_encoder, [[pair()]], FAST)
    with torch.no_grad():
        (again,) = invert(tiny_backbone, fixed_encoder, [[pair()]], FAST)
    assert torch.equal(found.tokens, again.tokens)


def test_gradients_reach_the_tokens_and_nothing_else(tiny_backbone):
    models = (tiny_backbone.text_encoder, tiny_backbone.unet, tiny_backbone.vae)
    before = [p.clone() for model in models for p in model.parameters()]
    values = torch.zeros(1, 2, 32, requires_grad=True)
    prompt = tiny_backbone.encode_prompts(["a castle"])
    assert not prompt.prompt_embeds.requires_grad
    noisy = torch.randn(1, 4, 8, 8)
    for space in ("additive", "input", "output"):
        values.grad = None
        extended = prompt.extend(DiffTokens(values, space))
        tiny_backbone.predict(noisy, torch.tensor([500]), extended).square().sum().backward()
        assert float(values.grad.abs().sum()) > 0
    after = [p for model in models for p in model.parameters()]
    assert all(torch.equal(x, y) for x, y in zip(before, after, strict=True))
    assert all(p.grad is None for p in after)


def test_the_clip_loss_pulls_the_tokens_to_the_delta(tiny_backbone, fixed_encoder):
    settings = replace(FAST, steps=60, lambda_tc=0.0, lambda_clip=1.0)
    (result,) = invert(tiny_backbone, fixed_encoder, [[pair()]], settings)
    projected = tiny_backbone.project_tokens(result.tokens.mean(0, keepdim=True))
    cosine = torch.nn.functional.cosine_similarity(projected, result.delta[None])
    assert float(cosine) > 0.4
    assert float(result.losses[-1, 2]) < float(result.losses[0, 2]) - 0.4


def test_the_best_candidate_is_kept(tiny_backbone, fixed_encoder):
    (result,) = invert(tiny_backbone, fixed_encoder, [[pair()]], FAST)
    assert result.best_step in {3, 4}


def test_identical_captions_warn(tiny_backbone, fixed_encoder):
    same = replace(pair(), caption_a="a square", caption_a_prime="a square")
    (result,) = invert(tiny_backbone, fixed_encoder, [[same]], FAST)
    assert "captions" in result.warnings[0]


def test_pictures_that_hardly_differ_warn(tiny_backbone, fixed_encoder):
    near = replace(pair(), a=Image.new("RGB", (16, 16), (200, 0, 0)))
    near = replace(near, a_prime=Image.new("RGB", (16, 16), (203, 0, 0)))
    (result,) = invert(tiny_backbone, fixed_encoder, [[near]], FAST)
    assert [w for w in result.warnings if "next to no difference between the pictures" in w]
    (result,) = invert(tiny_backbone, fixed_encoder, [[pair()]], FAST)
    assert result.warnings == ()


def test_every_step_is_reported(tiny_backbone, fixed_encoder):
    seen = []
    invert(tiny_backbone, fixed_encoder, [[pair()]], FAST, on_step=seen.append)
    assert [s.step for s in seen] == [1, 2, 3, 4]
    assert all(np.isfinite([s.loss, s.tc, s.clip]).all() for s in seen)


def test_the_paper_preset_has_the_papers_constants():
    paper = PRESETS["paper"]
    assert (paper.alpha, paper.tokens, paper.lambda_tc, paper.lambda_clip) == (0.8, 5, 0.01, 6)
    assert (paper.init_std, paper.token_space, paper.tc_norm) == (0, "output", "norm")


def test_learning_rate_holds_then_falls():
    assert learning_rate_factor(0) == learning_rate_factor(0.5) == 1
    assert learning_rate_factor(0.75) == pytest.approx(0.5)
    assert learning_rate_factor(1) == pytest.approx(0)


class Scaled:
    """A backbone whose hidden states are larger or smaller, and which is the same otherwise."""

    def __init__(self, backbone, scale):
        self._backbone, self._scale = backbone, scale

    def __getattr__(self, name):
        return getattr(self._backbone, name)

    def encode_prompts(self, prompts):
        found = self._backbone.encode_prompts(prompts)
        return replace(found, prompt_embeds=found.prompt_embeds * self._scale)

    def predict(self, noisy, timesteps, conditioning):
        own = replace(conditioning, prompt_embeds=conditioning.prompt_embeds / self._scale)
        return self._backbone.predict(noisy, timesteps, own)

    def project_tokens(self, tokens):
        return self._backbone.project_tokens(tokens / self._scale)


@pytest.mark.parametrize("space", ["additive", "output"])
def test_a_learning_rate_means_the_same_to_models_of_any_scale(tiny_backbone, fixed_encoder, space):
    settings = replace(FAST, token_space=space)
    (own,) = invert(tiny_backbone, fixed_encoder, [[pair()]], settings)
    (other,) = invert(Scaled(tiny_backbone, 8.0), fixed_encoder, [[pair()]], settings)
    torch.testing.assert_close(other.tokens, own.tokens * 8, atol=1e-3, rtol=1e-3)
    assert other.token_scale == pytest.approx(own.token_scale, abs=2e-3)


def test_tokens_that_drown_the_prompt_are_warned_of(tiny_backbone, fixed_encoder):
    (calm,) = invert(tiny_backbone, fixed_encoder, [[pair()]], FAST)
    (wild,) = invert(tiny_backbone, fixed_encoder, [[pair()]], replace(FAST, lr=3.0))
    assert not any("drown" in text for text in calm.warnings)
    assert any("drown" in text and "--lr" in text for text in wild.warnings)
