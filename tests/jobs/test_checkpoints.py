"""The checkpoints that differences were learned on are found again."""

from __future__ import annotations

import os
from types import SimpleNamespace

import pytest
import torch

from diffinv.errors import DiffinvError, UsageError
from diffinv.jobs.workspace import Checkpoint, Workspace
from diffinv.plugins.loading import registry
from diffinv.running.models import Models
from diffinv.running.parts import Part
from diffinv.running.remembered_weights import (
    find_checkpoint,
    find_encoder,
    remember_checkpoint,
    remember_encoder,
)

INFO = SimpleNamespace(name="winter", backbone="sd15", backbone_weights="abc")


def test_by_the_weights_it_was_learned_on(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert find_checkpoint(INFO) is None
    (tmp_path / "model.safetensors").touch()
    remember_checkpoint("sd15", "abc", "model.safetensors")
    monkeypatch.chdir("/")
    assert find_checkpoint(INFO) == str(tmp_path / "model.safetensors")
    remember_checkpoint("sd15", "abc", "some/model")
    assert find_checkpoint(INFO) == "some/model"
    remember_checkpoint("sd21", "abc", "another/model")
    assert find_checkpoint(INFO) == "some/model"


def test_one_that_has_gone_is_named(tmp_path):
    (tmp_path / "model.safetensors").touch()
    remember_checkpoint("sd15", "abc", str(tmp_path / "model.safetensors"))
    (tmp_path / "model.safetensors").unlink()
    with pytest.raises(UsageError, match="is no longer there; say where it is with --backbone"):
        find_checkpoint(INFO)


def test_by_the_difference_its_delta_encoder_was_for(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    info = SimpleNamespace(delta_encoder="clip", hash_sha256="0xabc")
    assert find_encoder(info) is None
    (tmp_path / "clip.safetensors").touch()
    remember_encoder(info, "clip.safetensors")
    monkeypatch.chdir("/")
    assert find_encoder(info) == str(tmp_path / "clip.safetensors")
    assert find_encoder(SimpleNamespace(delta_encoder="clip", hash_sha256="0xabd")) is None
    (tmp_path / "clip.safetensors").unlink()
    with pytest.raises(UsageError, match="are no longer there"):
        find_encoder(info)


def test_a_part_whose_files_have_changed_is_loaded_anew(toy, tmp_path, monkeypatch):
    made = []
    monkeypatch.setattr(
        type(registry()), "create", lambda _self, *part: made.append(part) or len(made)
    )
    weights = tmp_path / "model"
    weights.mkdir()
    (weights / "one.safetensors").write_bytes(b"1")
    models, part = Models(), Part(registry().backbones["toy"], str(weights))
    assert not models.has(part, "cpu")
    assert [models.get(part, "cpu") for _ in range(2)] == [1, 1]
    assert models.has(part, "cpu")
    os.utime(weights / "one.safetensors", ns=(1, 1))
    assert not models.has(part, "cpu")
    assert models.get(part, "cpu") == 2


def test_a_flipped_bit_anywhere_in_a_checkpoint_is_noticed(tmp_path):
    state = {"tokens": torch.arange(6.0), "step": torch.tensor(3)}
    space = Workspace(tmp_path, resumed=True)
    space.save("f", Checkpoint(state, 1.5))
    path = tmp_path / "checkpoint.safetensors"
    whole = path.read_bytes()
    loaded = space.load("f")
    assert loaded is not None
    assert torch.equal(loaded.state["tokens"], state["tokens"])
    for place in range(len(whole)):
        for bit in (0, 5):
            damaged = bytearray(whole)
            damaged[place] ^= 1 << bit
            path.write_bytes(damaged)
            with pytest.raises(DiffinvError, match="learning starts again"):
                space.load("f")
