"""The embedded model on pictures it has never seen. The full figures: training/measure.py."""

from pathlib import Path

import numpy as np
import pytest
import torch

import diffinv_diorama
from diffinv.contracts import Trajectory
from diffinv.evaluation.scores import psnr
from diffinv.method.application import denoise
from diffinv.method.editors import Ddim, seeded_noise
from diffinv.method.prompts import make_prompts
from diffinv.pictures.tensors import to_images, to_tensor
from diffinv_diorama.backbone import load
from diffinv_diorama.captions import caption
from diffinv_diorama.clip import load_captioner, load_delta_encoder
from diffinv_diorama.oracle import read_scenes
from diffinv_diorama.render import render
from diffinv_diorama.weights import ROOT
from diffinv_diorama.world import held_out_scenes

SCENES = held_out_scenes()[::7][:40]


@pytest.fixture(scope="module")
def backbone():
    return load(None, "cpu")


@pytest.fixture(scope="module")
def pictures():
    return [render(scene, 2**42 + i) for i, scene in enumerate(SCENES)]


@pytest.fixture(scope="module")
def captions():
    rng = np.random.default_rng(0)
    return [caption(scene, rng) for scene in SCENES]


def share_right(read):
    return np.mean([r == s for r, s in zip(read, SCENES, strict=True)])


def mean_psnr(images, references):
    pairs = zip(to_images(images), references, strict=True)
    return np.mean([psnr(a, b) for a, b in pairs])


def test_the_oracle_reads_true_and_autoencoded_pictures(backbone, pictures):
    images = to_tensor(pictures)
    assert share_right(read_scenes(images)) >= 0.97
    assert share_right(read_scenes(backbone.decode(backbone.encode_images(images)))) >= 0.95


def test_the_captioner_reads_pixels(pictures):
    captioner = load_captioner(None, "cpu")
    assert share_right(captioner.read(pictures)) >= 0.95
    assert captioner.caption(pictures) == captioner.caption(pictures)
    assert captioner.caption([]) == []


def test_text_becomes_the_right_picture(backbone, captions):
    start = seeded_noise(torch.Size((len(captions), 8, 12, 12)), 3, backbone.device)
    timesteps = backbone.timesteps(16)
    path = Trajectory(timesteps, torch.stack([start] * 17))
    prompt, empty = backbone.encode_prompts(captions), backbone.encode_prompts([""] * 40)
    with torch.no_grad():
        made = backbone.decode(denoise(backbone, path, prompt, empty, 2.0, None))
    assert share_right(read_scenes(made)) >= 0.75


def test_ddim_round_trip_loses_less_than_a_decibel(backbone, pictures, captions):
    few = pictures[:4]
    latents = backbone.encode_images(to_tensor(few))
    prompt = backbone.encode_prompts(captions[:4])
    path = Ddim().trajectory(backbone, latents, prompt, prompt, 20, 1.0, 0)
    with torch.no_grad():
        back = denoise(backbone, path, prompt, prompt, 1.0, None)
    plain, tripped = (mean_psnr(backbone.decode(x), few) for x in (latents, back))
    assert plain > 27
    assert tripped > plain - 1


def test_clip_finds_the_caption_of_a_picture(pictures, captions):
    clip = load_delta_encoder(None, "cpu")
    unit = torch.nn.functional.normalize
    images = unit(clip.encode_images(pictures), dim=-1)
    texts = unit(clip.encode_texts(captions), dim=-1)
    found = (images @ texts.T).argmax(1) == torch.arange(len(texts))
    assert float(found.float().mean()) >= 0.9


def test_pez_finds_words_that_fit_the_picture(pictures, captions):
    clip = load_delta_encoder(None, "cpu")
    made = make_prompts("pez", clip, pictures[:2], captions[:2], seed=0)
    assert made == make_prompts("pez", clip, pictures[:2], captions[:2], seed=0)
    unit = torch.nn.functional.normalize
    images = unit(clip.encode_images(pictures[:2]), dim=-1)
    own = (images * unit(clip.encode_texts(made), dim=-1)).sum(-1)
    crossed = (images * unit(clip.encode_texts(made[::-1]), dim=-1)).sum(-1)
    assert (own > crossed + 0.2).all()


def test_the_weights_are_safetensors_within_thirty_megabytes():
    files = [f for f in Path(diffinv_diorama.__file__).parent.rglob("*") if f.is_file()]
    weights = [f for f in files if f.suffix in {".bin", ".pt", ".ckpt", ".pkl", ".safetensors"}]
    assert {f.suffix for f in weights} == {".safetensors"}
    size = {f: f.stat().st_size for f in ROOT.rglob("*") if f.is_file()}
    siblings = sum(n for f, n in size.items() if f.parent.name in ("instruct", "inpainting"))
    assert siblings <= 30e6
    assert sum(size.values()) - siblings <= 30e6
