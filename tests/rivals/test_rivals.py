"""The rivals on the embedded world's siblings, and on checkpoints of the real classes."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
import pytest
import torch
from diffusers import (
    AutoencoderKL,
    DDIMScheduler,
    EulerAncestralDiscreteScheduler,
    StableDiffusionInstructPix2PixPipeline,
    UNet2DConditionModel,
)
from PIL import Image
from transformers import CLIPTextConfig, CLIPTextModel

from diffinv.contracts import Triplet
from diffinv.errors import DiffinvError, UsageError
from diffinv.evaluation.bench import ModelBench
from diffinv.method import answers
from diffinv.method.sampling import add_noise, training_target
from diffinv.plugins.loading import registry
from diffinv_diorama.diorama_world import DioramaWorld
from diffinv_diorama.tuned import TUNED
from diffinv_diorama.weights import pipeline_folder
from diffinv_rivals.analogist import Analogist
from diffinv_rivals.dia import Dia
from diffinv_rivals.instruct_pix2pix import InstructPix2Pix, guided_twice
from diffinv_rivals.networks import load, pixels, seen, text_states
from diffinv_rivals.sdedit import SDEditMethod
from diffinv_rivals.visii import Visii


@pytest.fixture(scope="module")
def bench():
    return ModelBench("diorama", device="cpu")


def tiny(folder, channels: int = 8):
    """A small random checkpoint of InstructPix2Pix's classes, in diffusers' layout."""
    torch.manual_seed(3)
    UNet2DConditionModel(
        sample_size=8,
        in_channels=channels,
        out_channels=4,
        block_out_channels=(32, 32),
        layers_per_block=1,
        norm_num_groups=8,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        cross_attention_dim=32,
        attention_head_dim=8,
    ).save_pretrained(folder / "unet")
    AutoencoderKL(
        block_out_channels=(8, 8, 8, 8),
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        norm_num_groups=4,
        latent_channels=4,
    ).save_pretrained(folder / "vae")
    tokenizer = load_tokenizer()
    tokenizer.save_pretrained(folder / "tokenizer")
    config = CLIPTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=40,
    )
    CLIPTextModel(config).save_pretrained(folder / "text_encoder")
    DDIMScheduler(
        beta_schedule="scaled_linear", beta_start=0.00085, beta_end=0.012
    ).save_pretrained(folder / "scheduler")
    return folder


def load_tokenizer():
    from transformers import CLIPTokenizer

    return CLIPTokenizer.from_pretrained(pipeline_folder() / "tokenizer")


def method(bench, id, weights=None, **settings):
    return registry().create_method(registry().get("method", id), weights, bench, settings)


def bits(image) -> bytes:
    return image.tobytes()


def test_the_sibling_follows_instructions(bench):
    world = DioramaWorld()
    tuned = method(bench, "instruct-pix2pix", **TUNED["instruct-pix2pix"])
    found = [world.judge(x, [tuned.complete(x, 0)])[0] for x in world.triplets(8, 77, "plain")]
    assert sum(row["right"] for row in found) >= 6


def test_named_networks_are_counted(bench, tmp_path):
    made = method(bench, "instruct-pix2pix", str(tiny(tmp_path)), steps=3)
    before = bench.evaluations
    b = Image.new("RGB", (64, 64))
    made.complete(Triplet("x", b, b, b, instruction="make it blue"), 0)
    assert bench.evaluations == before + 3 * 3


@pytest.mark.parametrize("made", [SDEditMethod, InstructPix2Pix, Visii, Analogist, Dia])
def test_a_spec_says_the_defaults(made):
    ids = {SDEditMethod: "sdedit", InstructPix2Pix: "instruct-pix2pix"}
    spec = registry().get("method", ids.get(made, made.__name__.lower()))
    parts = ("bench", "weights", "network")
    defaults = {f.name: f.default for f in fields(made) if f.name not in parts}
    assert dict(spec.settings) == defaults


def test_tuned_settings_are_settings():
    for id, settings in TUNED.items():
        assert set(settings) <= set(registry().get("method", id).settings)


def test_instruct_pix2pix_agrees_with_diffusers(bench, tmp_path):
    """The same noise, schedule and guidance through diffusers' own pipeline."""
    network = load(str(tiny(tmp_path)), "cpu")
    ours = method(bench, "instruct-pix2pix", str(tmp_path), steps=4)
    b = Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8))
    triplet = Triplet("x", b, b, b, instruction="make it blue")
    found = np.asarray(ours.complete(triplet, 5), dtype=float)
    pipeline = StableDiffusionInstructPix2PixPipeline(
        vae=network.vae,
        text_encoder=network.text_encoder,
        tokenizer=network.tokenizer,
        unet=network.unet,
        scheduler=EulerAncestralDiscreteScheduler.from_config(network.scheduler.config),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipeline.set_progress_bar_config(disable=True)
    start = torch.randn((1, 4, 8, 8), generator=torch.Generator().manual_seed(5))
    expected = pipeline(
        "make it blue",
        image=b,
        num_inference_steps=4,
        guidance_scale=7.5,
        image_guidance_scale=1.5,
        latents=start,
        generator=torch.Generator().manual_seed(5),
    ).images[0]
    assert np.abs(found - np.asarray(expected, dtype=float)).max() <= 2


def test_guidance_of_both_kinds():
    predicted = torch.tensor([3.0, 2.0, 1.0])[:, None, None, None]
    assert float(guided_twice(predicted, 1, 1)) == 3  # of words and B alone
    assert float(guided_twice(predicted, 7.5, 1.5)) == 1 + 7.5 + 1.5


def test_checkpoints_that_do_not_suit_are_refused(bench, tmp_path):
    tiny(tmp_path / "plain", channels=4)
    tiny(tmp_path / "hole", channels=9)
    tiny(tmp_path / "seeing", channels=8)
    for id, name, takes, wanted in (
        ("instruct-pix2pix", "plain", 4, 8),
        ("visii", "hole", 9, 8),
        ("analogist", "seeing", 8, 9),
    ):
        with pytest.raises(UsageError, match=f"takes {takes} channels and not the {wanted}"):
            method(bench, id, str(tmp_path / name))
    with pytest.raises(DiffinvError, match="not a folder in diffusers' layout"):
        method(bench, "visii", str(tmp_path / "nowhere"))
    with pytest.raises(UsageError, match="sampler"):
        method(bench, "instruct-pix2pix", sampler="magic")


def test_a_backbone_without_companions_needs_a_checkpoint(bench, monkeypatch):
    monkeypatch.setattr(bench, "companion", lambda kind: None)
    with pytest.raises(UsageError, match="--method visii=PATH"):
        method(bench, "visii")


def test_visii_learns_only_its_words_and_the_seed_decides(bench):
    (triplet,) = DioramaWorld().triplets(1, 3, "plain")
    few = {"steps": 6, "sampling_steps": 2, "sampler": "ddim", "prompter": "caption"}
    visii = method(bench, "visii", **few)
    assert isinstance(visii, Visii)
    learned = visii.learn(triplet, 0)
    caption = bench.caption(triplet.a_prime)
    first = text_states(visii.network, [caption])
    words = 1 + len(visii.network.tokenizer.tokenize(caption))
    assert torch.equal(learned[:, :1], first[:, :1])
    assert torch.equal(learned[:, words:], first[:, words:])
    assert not torch.equal(learned[:, 1:words], first[:, 1:words])
    assert torch.equal(learned, visii.learn(triplet, 0))
    assert not torch.equal(learned, visii.learn(triplet, 1))
    assert bits(visii.complete(triplet, 0)) == bits(visii.complete(triplet, 0))


def test_visii_loses_error_as_it_learns(bench):
    (triplet,) = DioramaWorld().triplets(1, 3, "plain")
    few = {"guidance_scale": 1.5, "lambda_clip": 0.0, "prompter": "caption", "lr": 0.05}
    visii = method(bench, "visii", steps=30, **few)
    before, after = visii._latents(triplet)
    noise, t = (
        torch.randn(after.shape, generator=torch.Generator().manual_seed(1)),
        torch.tensor(600),
    )
    empty = text_states(visii.network, ["", ""])
    first = text_states(visii.network, [bench.caption(triplet.a_prime)])
    errors = [
        float(visii._error(after, before, noise, t, torch.cat([states, empty])))
        for states in (first, visii.learn(triplet, 0))
    ]
    assert errors[1] < errors[0]


def test_sdedit_keeps_more_the_less_it_noises(bench):
    (triplet,) = DioramaWorld().triplets(1, 3, "plain")
    b = np.asarray(triplet.b, dtype=float)

    def distance(strength: float) -> float:
        made = method(bench, "sdedit", steps=10, guidance_scale=2.0, strength=strength)
        return float(np.abs(np.asarray(made.complete(triplet, 0), dtype=float) - b).mean())

    assert distance(0.2) < distance(0.5) < distance(0.9)


def test_pictures_keep_their_shape(tmp_path):
    network = load(str(tiny(tmp_path)), "cpu")
    wide = seen(network, Image.new("RGB", (300, 200)))
    assert wide.width > wide.height
    assert wide.width % 8 == wide.height % 8 == 0
    assert pixels(network, wide).shape == (1, 3, wide.height, wide.width)


class TestAnalogist:
    def test_attention_between_b_and_its_answer_is_that_of_a(self):
        from diffinv_rivals.analogist import CloningAttention, cells

        a, a_prime, b, b_prime = cells(16, torch.device("cpu"))
        assert a.tolist() == [0, 1, 4, 5]
        assert b_prime.tolist() == [10, 11, 14, 15]
        logits = torch.randn(2, 16, 16)
        new = CloningAttention(1.3).cloned(logits, a, a_prime, b, b_prime)
        torch.testing.assert_close(new[0, 10, 2], 1.3 * logits[0, 8, 0])  # B' of A': as B of A
        torch.testing.assert_close(new[0, 2, 10], 1.3 * logits[0, 0, 8])
        changed = (new != logits).nonzero()[:, 1:].tolist()
        assert len(changed) == 2 * 2 * 16
        assert all({i, j} & set(a_prime.tolist()) for i, j in changed)

    def test_other_attention_is_diffusers_own(self, tmp_path):
        """With cells that attend to themselves as before, the output is the usual one."""
        from diffinv_rivals.analogist import CloningAttention

        class Same(CloningAttention):
            def cloned(self, logits, *cells):
                return logits

        unet = load(str(tiny(tmp_path, 9)), "cpu").unet
        noisy, states = torch.randn(1, 9, 8, 8), torch.randn(1, 40, 32)
        usual = unet(noisy, 5, encoder_hidden_states=states).sample
        for name in unet.attn_processors:
            if "attn1" in name:
                unet.set_attn_processor({**unet.attn_processors, name: Same(1.0)})
        ours = unet(noisy, 5, encoder_hidden_states=states).sample
        torch.testing.assert_close(ours, usual, atol=1e-5, rtol=1e-5)

    def test_layers_are_counted_on_the_way_through(self):
        from diffinv_rivals.analogist import attention_layers

        names = ["up_blocks.1.x.0", "mid_block.x.0", "down_blocks.0.x.0"]
        processors = {f"{n}.attn{i}.processor": None for n in names for i in (1, 2)}
        firsts = [layer[0].split(".")[0] for layer in attention_layers(processors)]
        assert firsts == ["down_blocks", "mid_block", "up_blocks"]

    def test_a_hole_is_filled_with_something_near_the_truth(self, bench):
        world = DioramaWorld()
        analogist = method(bench, "analogist", **TUNED["analogist"])
        triplets = world.triplets(4, 77, "plain")
        found = [analogist.complete(x, 0) for x in triplets]
        assert {image.size for image in found} == {(96, 96)}
        assert (
            sum(
                world.judge(*x)[0]["edit"] for x in zip(triplets, [[f] for f in found], strict=True)
            )
            >= 2
        )
        assert bits(found[0]) == bits(analogist.complete(triplets[0], 0))

    def test_a_captioner_that_can_be_asked_says_what_belongs_in_the_hole(self, bench):
        class Asked(ModelBench):
            def ask(self, content):
                sheet, question = content
                assert sheet.size == (2 * 96, 2 * 96)
                assert "lower right" in question
                return "a blue\n barn"

        (triplet,) = DioramaWorld().triplets(1, 3, "plain")
        asked = method(Asked("diorama", device="cpu"), "analogist", **TUNED["analogist"])
        assert asked.prompt(triplet) == "a blue barn"
        assert bench.ask([triplet.a, "?"]) is None  # the world's own captioner only describes
        told = method(bench, "analogist", **TUNED["analogist"]).prompt(triplet)
        assert told not in ("", "a blue barn")

    def test_a_checkpoint_of_nine_channels(self, bench, tmp_path):
        (triplet,) = DioramaWorld().triplets(1, 3, "plain")
        few = {"steps": 2, "cell": 64, "first_layer": 1, "last_layer": 2}
        made = method(bench, "analogist", str(tiny(tmp_path, 9)), **few)
        assert made.complete(triplet, 0).size == (63, 63)


class TestDia:
    few = {"iterations": 4, "noise_iterations": 3, "steps": 4, "batch": 4}

    def test_the_noise_it_finds_leads_back_to_b(self, bench):
        (triplet,) = DioramaWorld().triplets(1, 3, "plain")
        latents = answers.latents(bench.backbone, [triplet.b])
        prompt = answers.conditioning(bench.backbone, [bench.caption(triplet.b)])
        errors = []
        for iterations in (1, 12):
            dia = method(bench, "dia", steps=4, noise_iterations=iterations, noise_lr=0.5)
            noise = dia.noise(latents, prompt, 0)
            with torch.no_grad():
                errors.append(float((dia._sampled(noise, prompt) - latents).square().mean()))
        assert errors[1] < errors[0]

    def test_more_iterations_draw_the_picture_better(self, bench):
        (triplet,) = DioramaWorld().triplets(1, 3, "plain")
        latents = answers.latents(bench.backbone, [triplet.a])
        rows = torch.tensor([700])
        noise = torch.randn(latents.shape, generator=torch.Generator().manual_seed(1))
        level = bench.backbone.schedule.at(rows)
        kind = bench.backbone.prediction_type
        target = training_target(latents, noise, level, kind)
        errors = []
        for iterations in (0, 40):
            states = method(bench, "dia", iterations=iterations, lr=0.1).conditioning(triplet.a, 0)
            with torch.no_grad():
                made = bench.backbone.predict(add_noise(latents, noise, level), rows, states)
            errors.append(float((made - target).square().mean()))
        assert errors[1] < errors[0]

    def test_the_seed_decides(self, bench):
        (triplet,) = DioramaWorld().triplets(1, 3, "plain")
        dia = method(bench, "dia", **self.few)
        assert bits(dia.complete(triplet, 0)) == bits(dia.complete(triplet, 0))
        assert bits(dia.complete(triplet, 0)) != bits(dia.complete(triplet, 1))
