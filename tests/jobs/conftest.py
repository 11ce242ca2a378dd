"""Fixtures: a queue, pictures, and the toy backbone for workers in processes of their own."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from installing import MODULES, install
from PIL import Image

from diffinv.jobs.requests import ApplyRequest, InvertRequest
from diffinv.jobs.store import JobStore
from diffinv.method.settings import ApplicationSettings, inversion_settings
from diffinv.plugins.loading import registry

ROOT = Path(__file__).parents[2]


@pytest.fixture
def toy(tmp_path, monkeypatch):
    """The toy backbones, for this process and those it starts."""
    install(tmp_path / "site", "toy", "mortal")
    for folder in (MODULES, tmp_path / "site"):
        monkeypatch.syspath_prepend(str(folder))
    path = [str(tmp_path / "site"), str(MODULES), str(ROOT), os.environ.get("PYTHONPATH", "")]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(path))
    registry.cache_clear()
    yield
    registry.cache_clear()


@pytest.fixture
def store():
    return JobStore()


@pytest.fixture
def pair(tmp_path):
    for name, colour in (("a", "red"), ("a2", "blue")):
        Image.new("RGB", (24, 20), colour).save(tmp_path / f"{name}.png")
    return tmp_path / "a.png", tmp_path / "a2.png"


@pytest.fixture
def learn(pair):
    """Makes requests to learn a difference."""

    def make(name: str | None = "blue", backbone: str = "toy", **settings) -> InvertRequest:
        settings = {"steps": 3, **settings}
        return InvertRequest(
            pairs=(pair,), name=name, backbone=backbone, settings=inversion_settings(**settings)
        )

    return make


@pytest.fixture
def folder(tmp_path):
    """Nine pictures B, one of them in a folder of its own."""
    (tmp_path / "b" / "deeper").mkdir(parents=True)
    for i in range(8):
        Image.new("RGB", (16, 16), (i * 30, 100, 0)).save(tmp_path / "b" / f"{i}.png")
    Image.new("RGB", (16, 16), "white").save(tmp_path / "b" / "deeper" / "0.png")
    return tmp_path / "b"


@pytest.fixture
def applied(folder, tmp_path):
    """Makes requests to apply ``blue`` to the folder, picture by picture."""

    def make(**changes) -> ApplyRequest:
        values = {
            "differences": (("blue", 1.0),),
            "images": (folder,),
            "out": tmp_path / "out",
            "settings": ApplicationSettings(steps=2),
            "batch": 1,
        }
        return ApplyRequest(**(values | changes))

    return make
