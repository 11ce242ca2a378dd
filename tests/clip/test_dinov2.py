"""DINOv2 on a tiny random model: pictures in, no texts."""

from __future__ import annotations

import json

import pytest
import torch
from PIL import Image
from torch.nn import functional as F
from transformers import BitImageProcessor, CLIPConfig, CLIPModel, Dinov2Config, Dinov2Model

from diffinv.conformance import check_part
from diffinv.errors import DiffinvError, UsageError
from diffinv.method.deltas import deltas, image_delta
from diffinv_clip.dinov2 import load


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("dinov2")
    torch.manual_seed(0)
    config = Dinov2Config(
        hidden_size=32, num_hidden_layers=1, num_attention_heads=2, image_size=28, patch_size=14
    )
    Dinov2Model(config).save_pretrained(folder)
    size = {"shortest_edge": 32}
    BitImageProcessor(size=size, crop_size={"height": 28, "width": 28}).save_pretrained(folder)
    return folder


def test_pictures_become_vectors_of_its_own_space(folder):
    encoder = load(str(folder), "cpu")
    red, blue = Image.new("RGB", (50, 40), "red"), Image.new("RGB", (50, 40), "blue")
    first = encoder.encode_images([red, blue])
    assert first.shape == (2, 32)
    assert first.dtype == torch.float32
    assert torch.equal(first, encoder.encode_images([red, blue]))
    assert not torch.allclose(first[0], first[1])
    assert encoder.space == "dinov2:32"


def test_texts_are_refused_in_one_sentence(folder):
    with pytest.raises(UsageError, match="reads pictures and no texts"):
        load(str(folder), "cpu").encode_texts(["a cabin"])


def test_another_model_is_refused(tmp_path):
    CLIPModel(
        CLIPConfig(
            text_config={"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2},
            vision_config={"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2},
        )
    ).save_pretrained(tmp_path)
    BitImageProcessor().save_pretrained(tmp_path)
    with pytest.raises(DiffinvError, match="is a clip model, not DINOv2"):
        load(str(tmp_path), "cpu")


def test_it_keeps_the_promises_of_an_encoder_without_texts(folder):
    results = check_part("delta encoder", load(str(folder), "cpu"))
    assert [(r.name, r.detail) for r in results if not r.passed] == []
    assert "reads no texts" in {r.detail for r in results}


def test_the_direction_is_that_of_the_pictures(folder):
    encoder = load(str(folder), "cpu")
    red, blue = Image.new("RGB", (50, 40), "red"), Image.new("RGB", (50, 40), "blue")
    found = deltas(encoder, ([red], [blue]), (["x"], ["y"]), 0.8)
    assert torch.allclose(found.inter, F.normalize(image_delta(encoder, [red], [blue]), dim=-1))
    assert found.warnings[0].startswith("The delta encoder 'dinov2' reads no texts")


def test_a_backbone_of_another_space_is_refused_with_the_reason(folder, diffinv, tmp_path):
    pair = [tmp_path / "a.png", tmp_path / "b.png"]
    for path, colour in zip(pair, ("red", "blue"), strict=True):
        Image.new("RGB", (20, 20), colour).save(path)
    done = diffinv("invert", *pair, "--delta-encoder", f"dinov2={folder}", "--device", "cpu")
    assert done.code == 2
    assert done.err.splitlines()[-1] == (
        "Error: The delta encoder 'dinov2' works in the joint space 'dinov2:32', but the backbone "
        "'diorama' projects its tokens to 'diorama-clip', so the two cannot be compared; choose a "
        "--delta-encoder of the backbone's space."
    )


def test_it_scores_pictures(folder, diffinv, tmp_path):
    names = [tmp_path / f"{name}.png" for name in ("red", "blue", "orange", "navy")]
    for path in names:
        Image.new("RGB", (20, 20), path.stem).save(path)
    done = diffinv("evaluate", "pictures", *names, "--delta-encoder", f"dinov2={folder}", "--json")
    assert done.code == 0, done.err
    (row,) = json.loads(done.out)[f"dinov2={folder}"]["pictures"]
    assert all(-1.001 <= row[score] <= 1.001 for score in ("directional", "like_b"))
