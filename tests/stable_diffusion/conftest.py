"""Fixtures: a tiny checkpoint of every family, made on the spot."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from tiny_sd import FAMILIES, make_checkpoint


@pytest.fixture(scope="session")
def checkpoints(tmp_path_factory: pytest.TempPathFactory):
    """``checkpoints(family)``: the folder of a checkpoint, made once. Not to be changed."""
    root = tmp_path_factory.mktemp("checkpoints")

    def get(family: str) -> Path:
        folder = root / family
        return folder if folder.exists() else make_checkpoint(folder, family)

    return get


@pytest.fixture(params=FAMILIES)
def family(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def checkpoint(checkpoints, family) -> Path:
    return checkpoints(family)


@pytest.fixture
def own_copy(checkpoints, tmp_path):
    """``own_copy(family)``: a copy of a checkpoint that a test may break."""

    def copy(family: str) -> Path:
        return Path(shutil.copytree(checkpoints(family), tmp_path / family))

    return copy


@pytest.fixture
def backbone(checkpoint, family):
    """The checkpoint behind the contract, in float32 on the CPU."""
    from diffinv_stable_diffusion.backbone import load

    return load(family, str(checkpoint), "cpu")
