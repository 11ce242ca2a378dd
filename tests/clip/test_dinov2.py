"""DINOv2 on a tiny random model: pictures in, no texts."""

from __future__ import annotations

import pytest
import torch
from PIL import Image
from transformers import BitImageProcessor, CLIPConfig, CLIPModel, Dinov2Config, Dinov2Model

from diffinv.errors import DiffinvError, UsageError
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
