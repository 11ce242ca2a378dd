"""Where a GPU's memory is short, what stands beside the backbone works on the CPU."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from diffinv.contracts import BackboneSpec, CaptionerSpec, DeltaEncoderSpec
from diffinv.errors import DiffinvError
from diffinv.running import models
from diffinv.running.models import Models
from diffinv.running.out_of_memory import with_room
from diffinv.running.parts import Part
from diffinv.running.progress import Meter, ignore

CAPTIONER = Part(CaptionerSpec("words", "Words", "json:loads"))
ENCODER = Part(DeltaEncoderSpec("clip", "CLIP", "json:loads"))
BACKBONE = Part(BackboneSpec("model", "Model", "json:loads"))


class FullCard:
    """A registry whose GPU takes no part any more; what is made says where it is."""

    def create(self, spec, weights, device, additions=()):
        if device != "cpu":
            raise DiffinvError(f"{spec.id} cannot be loaded.") from torch.OutOfMemoryError("full")
        return SimpleNamespace(device=device)


@pytest.fixture
def full_card(monkeypatch):
    monkeypatch.setattr(models, "registry", FullCard)


@pytest.mark.parametrize("part", [CAPTIONER, ENCODER])
def test_what_does_not_fit_beside_the_backbone_is_loaded_on_the_cpu(full_card, part):
    loaded = Models()
    assert loaded.get(part, "cuda:0").device == "cpu"
    assert loaded.get(part, "cuda:0") is loaded.get(part, "cuda:0")


def test_a_backbone_that_does_not_fit_is_an_error(full_card):
    with pytest.raises(DiffinvError, match="model cannot be loaded"):
        Models().get(BACKBONE, "cuda:0")


def test_what_was_on_the_card_moves_out_once(monkeypatch):
    roomy = SimpleNamespace(create=lambda spec, weights, device, *_: SimpleNamespace(device=device))
    monkeypatch.setattr(models, "registry", lambda: roomy)
    loaded = Models()
    assert loaded.get(ENCODER, "cuda:0").device == "cuda:0"
    assert loaded.move_out(ENCODER, "cuda:0")
    assert loaded.get(ENCODER, "cuda:0").device == "cpu"
    assert not loaded.move_out(ENCODER, "cuda:0")
    assert not loaded.move_out(ENCODER, "cpu")


def test_first_room_is_made_and_only_then_batches_are_halved():
    tried = []

    def work(backbone):
        tried.append(backbone)
        if len(tried) < 3:
            raise torch.OutOfMemoryError("full")
        return "done"

    meter = Meter(ignore)
    backbone = SimpleNamespace(device="cuda:0")
    assert with_room(work, backbone, meter, lambda: True) == "done"
    assert tried[:2] == [backbone, backbone]
    assert tried[2] is not backbone
    assert [w.partition(": ")[2][:12] for w in meter.warnings] == ["what describ", "batches are "]
