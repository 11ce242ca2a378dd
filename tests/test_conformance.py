"""The conformance kit: green on parts as they should be, red on each deliberate fault."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from torch import nn

from diffinv.conformance import check_part
from diffinv.conformance.kit import KITS
from diffinv.contracts import (
    POOLED,
    Conditioning,
    EditorSpec,
    RectifiedFlow,
    Trajectory,
    VariancePreserving,
)
from diffinv.method.sampling import training_target
from diffinv.plugins.loading import registry


def failures(kind, part):
    return {result.name: result.detail for result in check_part(kind, part) if not result.passed}


def names(kind):
    return {check.__name__ for check in __import__(KITS[kind], fromlist=["CHECKS"]).CHECKS}


def test_real_backbones_of_random_weights_conform(tiny_backbone):
    assert failures("backbone", tiny_backbone) == {}


def test_every_check_says_what_has_to_hold(tiny_backbone):
    results = check_part("backbone", tiny_backbone)
    assert len(results) == len({r.name for r in results}) == len(names("backbone"))
    for result in results:
        assert len(result.promise) > 20
        assert "\n" not in result.promise + result.detail


@pytest.mark.parametrize("id", ["ddim", "sdedit", "edit-friendly"])
def test_our_own_editors_conform(id):
    spec = registry().editors[id]
    assert isinstance(spec, EditorSpec)
    assert failures("editor", registry().create(spec)) == {}


# A backbone as it should be, and one for each way in which it could be wrong


class Right(nn.Module):
    """Latents are pixels; the prompt is the codes of its letters."""

    id = weights_id = joint_space = "right"
    resolution, token_budget, token_width = 8, 10, 4
    prediction_type = "epsilon"

    def __init__(self):
        super().__init__()
        with torch.random.fork_rng([]):
            torch.manual_seed(0)
            self.mix = nn.Linear(4, 3)
        self.requires_grad_(False)
        self.eval()
        self.device = torch.device("cpu")
        self.schedule = VariancePreserving(torch.linspace(0.99, 0.01, 40))
        self.known = None

    def timesteps(self, steps):
        return [int(t) for t in torch.linspace(39, 0, steps)]

    def encode_images(self, images):
        self.known = images if len(images) == 2 else self.known
        return images

    def decode(self, latents):
        return latents

    def encode_prompts(self, prompts):
        letters = [[ord(c) % 31 / 31 for c in prompt[:40].ljust(40)] for prompt in prompts]
        return Conditioning(torch.tensor(letters).reshape(len(prompts), 10, 4))

    def count_tokens(self, prompt):
        return len(prompt)

    def predict(self, noisy, timesteps, conditioning):
        colour = self.mix(conditioning.prompt_embeds).tanh().mean(1)
        return 0.1 * noisy + colour[:, :, None, None] + timesteps[:, None, None, None] / 1000

    def project_tokens(self, tokens):
        return self.mix(tokens)


def test_the_right_backbone_is_right():
    assert failures("backbone", Right()) == {}
    wide = Right()
    wide.size_multiple = 2
    assert failures("backbone", wide) == {}


class Pooled(Right):
    """What is pooled shifts the colour."""

    pooled_width = 3

    def encode_prompts(self, prompts):
        found = super().encode_prompts(prompts)
        return dataclasses.replace(found, extra={POOLED: found.prompt_embeds.mean(1)[:, :3]})

    def predict(self, noisy, timesteps, conditioning):
        shift = conditioning.extra[POOLED][:, :, None, None]
        return super().predict(noisy, timesteps, conditioning) + shift.tanh()


def test_a_pooled_embedding_may_be_moved():
    assert failures("backbone", Pooled()) == {}


class IdlePooled(Pooled):
    def predict(self, noisy, timesteps, conditioning):
        return Right.predict(self, noisy, timesteps, conditioning)


class NarrowPooled(Pooled):
    pooled_width = 4


class NoId(Right):
    id = ""


class OddType(Right):
    prediction_type = "score"


class RisingNoise(Right):
    def __init__(self):
        super().__init__()
        self.schedule = VariancePreserving(self.schedule.alphas_cumprod.flip(0))


class Ascending(Right):
    def timesteps(self, steps):
        return super().timesteps(steps)[::-1]


class TooManySteps(Right):
    def timesteps(self, steps):
        return super().timesteps(steps + 1)


class HalfLatents(Right):
    def encode_images(self, images):
        return images.half()


class RandomLatents(Right):
    def encode_images(self, images):
        return images + 0.1 * torch.rand_like(images)


class BatchNormal(Right):
    def encode_images(self, images):
        return super().encode_images(images) - images.mean()


class BytePictures(Right):
    def decode(self, latents):
        return (latents + 1) * 127.5


class SmallPictures(Right):
    def decode(self, latents):
        return latents[..., ::2, ::2]


class OddMultiple(Right):
    size_multiple = 2.0


class SquareAfterAll(Right):
    size_multiple = 2

    def decode(self, latents):
        return latents[..., :8, :8]


class OnePicture(Right):
    def decode(self, latents):
        return torch.zeros_like(latents)


class PlainPrompts(Right):
    def encode_prompts(self, prompts):
        return super().encode_prompts(prompts).prompt_embeds


class NarrowPrompts(Right):
    def encode_prompts(self, prompts):
        return Conditioning(super().encode_prompts(prompts).prompt_embeds[..., :3])


class DeafPrompts(Right):
    def encode_prompts(self, prompts):
        return super().encode_prompts(["same"] * len(prompts))


class RaggedPrompts(Right):
    def encode_prompts(self, prompts):
        found = super().encode_prompts(prompts)
        return found if all(prompts) else Conditioning(found.prompt_embeds[:, :3])


class LostExtra(Right):
    def encode_prompts(self, prompts):
        found = super().encode_prompts(prompts)
        return dataclasses.replace(found, extra={"pooled": torch.zeros(1, 4)})


class GraphPrompts(Right):
    def encode_prompts(self, prompts):
        embeds = super().encode_prompts(prompts).prompt_embeds.requires_grad_()
        return Conditioning(embeds * 1.0)


class NoCount(Right):
    def count_tokens(self, prompt):
        return min(5, len(prompt))


class FlatPrediction(Right):
    def predict(self, noisy, timesteps, conditioning):
        return super().predict(noisy, timesteps, conditioning).mean(1)


class RandomPrediction(Right):
    def predict(self, noisy, timesteps, conditioning):
        return super().predict(noisy + torch.rand_like(noisy), timesteps, conditioning)


class MixedBatch(Right):
    def predict(self, noisy, timesteps, conditioning):
        return super().predict(noisy - noisy.mean(), timesteps, conditioning)


class DeafPrediction(Right):
    def predict(self, noisy, timesteps, conditioning):
        return 0.1 * noisy


class NoGradient(Right):
    def predict(self, noisy, timesteps, conditioning):
        with torch.no_grad():
            return super().predict(noisy, timesteps, conditioning)


class Unfrozen(Right):
    def __init__(self):
        super().__init__()
        self.requires_grad_(True)


class InTraining(Right):
    def __init__(self):
        super().__init__()
        self.train()


class _NoZero(Conditioning):
    def extend(self, tokens, strength=1.0):
        if not tokens.values.any():
            raise ValueError("zero tokens say nothing")
        return super().extend(tokens, strength)


class NoZeroTokens(Right):
    def encode_prompts(self, prompts):
        return _NoZero(super().encode_prompts(prompts).prompt_embeds)


class _Unsigned(Conditioning):
    def extend(self, tokens, strength=1.0):
        return super().extend(tokens, abs(strength) + 1e-3)


class UnsignedTokens(Right):
    def encode_prompts(self, prompts):
        return _Unsigned(super().encode_prompts(prompts).prompt_embeds)


class Oracle(Right):
    """Knows the noise, since it remembers the pictures: a perfectly trained epsilon model."""

    gives = "epsilon"

    def predict(self, noisy, timesteps, conditioning):
        level = self.schedule.at(timesteps)
        clean = self.known[: len(noisy)]
        eps = (noisy - level.a * clean) / level.s
        small = 1e-3 * super().predict(noisy, timesteps, conditioning)
        return training_target(clean, eps, level, self.gives) + small


class HonestV(Oracle):
    gives = prediction_type = "v_prediction"


class HonestFlow(Oracle):
    gives = prediction_type = "flow"

    def __init__(self):
        super().__init__()
        self.schedule = RectifiedFlow(shift=3.0)

    def timesteps(self, steps):
        return [1 - i / steps for i in range(steps)]


class HonestSample(Oracle):
    gives = prediction_type = "sample"


class ClaimsFlow(HonestFlow):
    gives = "epsilon"


class WholeFlow(HonestFlow):
    def timesteps(self, steps):
        return list(range(steps, 0, -1))


class OneDraw(Right):
    def __init__(self):
        super().__init__()
        self.schedule = _OneDraw(self.schedule.alphas_cumprod)


class _OneDraw(VariancePreserving):
    def draw(self, count, generator):
        return torch.full((count,), 3)


class ClaimsEpsilon(Oracle):
    gives = "v_prediction"


class ClaimsV(Oracle):
    prediction_type = "v_prediction"


class NoProjection(Right):
    def project_tokens(self, tokens):
        return tokens.detach() * 2


class MeanProjection(Right):
    def project_tokens(self, tokens):
        return tokens - tokens.mean(0)


FAULTS = {
    NoId: "attributes_are_there",
    OddType: "prediction_type_is_known",
    RisingNoise: "noise_schedule_leads_to_noise",
    OneDraw: "draws_are_timesteps",
    WholeFlow: "timesteps_descend",
    Ascending: "timesteps_descend",
    TooManySteps: "timesteps_descend",
    HalfLatents: "latents_are_latents",
    IdlePooled: "pooled_embedding_can_move",
    NarrowPooled: "pooled_embedding_can_move",
    RandomLatents: "encoding_repeats",
    BatchNormal: "encoding_ignores_the_batch",
    BytePictures: "decoding_gives_pictures",
    SmallPictures: "round_trip_is_measured",
    OddMultiple: "sizes_are_kept",
    SquareAfterAll: "sizes_are_kept",
    OnePicture: "decoding_repeats",
    PlainPrompts: "prompts_become_conditioning",
    NarrowPrompts: "prompts_become_conditioning",
    LostExtra: "prompts_become_conditioning",
    GraphPrompts: "prompts_become_conditioning",
    DeafPrompts: "prompts_matter_and_repeat",
    RaggedPrompts: "any_prompt_is_taken",
    NoCount: "tokens_are_counted",
    FlatPrediction: "prediction_has_the_latents_shape",
    RandomPrediction: "prediction_has_the_latents_shape",
    MixedBatch: "prediction_ignores_the_batch",
    DeafPrediction: "prediction_follows_prompt_and_time",
    Unfrozen: "nothing_is_trained",
    InTraining: "nothing_is_trained",
    NoGradient: "gradient_reaches_the_tokens",
    NoZeroTokens: "zero_tokens_are_accepted",
    UnsignedTokens: "strength_zero_is_the_prompt",
    ClaimsEpsilon: "prediction_type_is_honoured",
    ClaimsV: "prediction_type_is_honoured",
    ClaimsFlow: "prediction_type_is_honoured",
    NoProjection: "tokens_are_projected",
    MeanProjection: "tokens_are_projected",
}


@pytest.mark.parametrize("wrong", FAULTS, ids=lambda wrong: wrong.__name__)
def test_a_wrong_backbone_fails_the_check_that_is_meant_for_it(wrong):
    found = failures("backbone", wrong())
    assert FAULTS[wrong] in found
    assert found[FAULTS[wrong]]


def test_trained_backbones_of_either_type_are_told_apart():
    for honest in (Oracle, HonestV, HonestFlow, HonestSample):
        assert set(failures("backbone", honest())) <= {"prediction_ignores_the_batch"}


def test_a_joint_space_is_not_needed():
    class Alone(HonestFlow):
        joint_space = None
        project_tokens = None

    assert set(failures("backbone", Alone())) <= {"prediction_ignores_the_batch"}


def test_gradients_on_weights_are_found():
    assert "gradient_reaches_nothing_else" in failures("backbone", Unfrozen())


def test_every_check_of_a_backbone_has_a_fault_that_it_finds():
    found = set(FAULTS.values()) | {"gradient_reaches_nothing_else"}
    assert names("backbone") == found


# The other kinds


class RightCaptioner:
    id = "right"
    captions = ("a red house",)

    def caption(self, images):
        return [f"a picture of {sum(image.getpixel((0, 0)))}" for image in images]


class TwoLines(RightCaptioner):
    def caption(self, images):
        return [f"{text}\nmore" for text in super().caption(images)]


class OneForAll(RightCaptioner):
    def caption(self, images):
        return super().caption(images)[:1]


class Moody(RightCaptioner):
    count = 0

    def caption(self, images):
        self.count += 1
        return [f"{text} {self.count}" for text in super().caption(images)]


class Nameless(RightCaptioner):
    id = None


class SquaresOnly(RightCaptioner):
    def caption(self, images):
        if any(image.width != image.height for image in images):
            raise ValueError("not a square")
        return super().caption(images)


class NeedsPictures(RightCaptioner):
    def caption(self, images):
        return super().caption(images) or [""]


@pytest.mark.parametrize(
    ("captioner", "expected"),
    [
        (RightCaptioner, set()),
        (Nameless, {"it_has_an_id"}),
        (TwoLines, {"captions_are_one_line_each"}),
        (OneForAll, {"captions_are_one_line_each", "captions_repeat", "any_size_is_taken"}),
        (Moody, {"captions_repeat"}),
        (SquaresOnly, {"any_size_is_taken"}),
        (NeedsPictures, {"nothing_is_nothing"}),
    ],
)
def test_captioners(captioner, expected):
    assert set(failures("captioner", captioner())) == expected


def test_delta_encoders(fixed_encoder, monkeypatch):
    assert failures("delta encoder", fixed_encoder) == {}
    texts, pictures = fixed_encoder.encode_texts, fixed_encoder.encode_images

    def change(name, value):
        monkeypatch.setattr(fixed_encoder, name, value, raising=False)
        return set(failures("delta encoder", fixed_encoder))

    assert change("space", "") == {"it_names_its_space"}
    change("space", "somewhere")
    assert "texts_become_vectors" in change("encode_texts", lambda t: texts(t) + torch.rand(1))
    found = change("encode_texts", lambda t: texts(t).repeat(1, 2))
    assert found == {"both_share_one_space"}
    found = change("encode_texts", lambda t: texts(t) if all(t) else None)
    assert found == {"any_text_is_taken"}
    change("encode_texts", texts)
    found = change("encode_images", lambda images: pictures(images).double())
    assert found == {"pictures_become_vectors"}
    change("encode_images", pictures)
    for name, value in {
        "token_table": torch.eye(6),
        "token_ids": torch.arange(6),
        "encode_embeddings": lambda rows: rows.sum(1).repeat(1, 22)[:, :128],
        "text_of": lambda ids: " ".join(map(str, ids.tolist())),
    }.items():
        change(name, value)
    assert change("ids_of", lambda text: [int(i) for i in text.split()]) == set()
    assert change("ids_of", lambda text: [0]) == {"hard_prompts_work_if_offered"}


def test_editors():
    right = registry().create(registry().editors["edit-friendly"])

    def changed(change):
        class Wrong:
            def trajectory(self, *args):
                return change(right.trajectory(*args))

        return set(failures("editor", Wrong()))

    assert changed(lambda path: path) == set()
    flipped = changed(lambda path: dataclasses.replace(path, timesteps=path.timesteps[::-1]))
    assert flipped == {"the_trajectory_fits"}
    noisy = changed(lambda path: Trajectory(path.timesteps, path.samples + torch.rand(1)))
    assert noisy == {"it_ends_at_b", "the_seed_decides"}


def test_methods():
    class Plain:
        def complete(self, triplet, seed):
            return triplet.a_prime

    class Many(Plain):
        def __init__(self, change=lambda pictures: pictures):
            self._change = change

        def complete_many(self, triplets, seed):
            return self._change([self.complete(one, seed) for one in triplets])

    assert failures("method", Plain()) == failures("method", Many()) == {}
    for change in (
        lambda pictures: pictures[:2],
        lambda pictures: [one.resize((48, 48)) for one in pictures],
        lambda pictures: [one.transpose(0).point(lambda v: 255 - v) for one in pictures],
    ):
        assert set(failures("method", Many(change))) == {"many_are_as_one"}
