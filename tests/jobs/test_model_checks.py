"""What is missing is named at once, and only what is needed."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest
from PIL import Image

from diffinv.jobs.model_checks import missing_for
from diffinv.jobs.planning import plan_inversion
from diffinv.jobs.requests import ApplyRequest, InvertRequest
from diffinv.method.settings import ApplicationSettings
from diffinv.plugins.loading import registry
from diffinv.plugins.model_states import MissingModelsError
from diffinv.running.parts import Part


@pytest.fixture(autouse=True)
def _nothing_fetched(tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))


def fetch(model):
    """A model as it is when it was fetched to its end."""
    from diffinv.system.hub import cache_of

    for path, data in {"snapshots/c0/x.safetensors": b"x", "refs/main": b"c0"}.items():
        (cache_of(model) / path).parent.mkdir(parents=True)
        (cache_of(model) / path).write_bytes(data)


def test_learning_names_all_three(tmp_path):
    for name, colour in {"a": "red", "b": "blue"}.items():
        Image.new("RGB", (16, 16), colour).save(tmp_path / f"{name}.png")
    request = InvertRequest(((tmp_path / "a.png", tmp_path / "b.png"),), backbone="sdxl")
    with pytest.raises(MissingModelsError) as caught:
        plan_inversion(request)
    assert str(caught.value) == (
        "3 models are not on this machine: Stable Diffusion XL (6.9 GB), BLIP-2 (15.0 GB), "
        "OpenCLIP ViT-bigG-14 (LAION-2B) (10.2 GB); fetch them with 'diffinv models pull "
        "stabilityai/stable-diffusion-xl-base-1.0 Salesforce/blip2-opt-2.7b "
        "laion/CLIP-ViT-bigG-14-laion2B-39B-b160k', or name folders that hold them as ID=FOLDER."
    )
    with pytest.raises(MissingModelsError) as caught:
        plan_inversion(replace(request, captions=(("red", "blue"),), delta_encoder="diorama"))
    assert [state.spec.id for state in caught.value.missing] == ["sdxl"]


def test_applying_needs_no_captioner_where_texts_are_beside_the_pictures(tmp_path):
    found = registry()
    parts = [Part(found.backbones["sd15"]), Part(found.captioners["blip2"])]
    info = SimpleNamespace(delta_encoder="open-clip-l14", hash_sha256="0", name="x")
    differences = [(SimpleNamespace(info=info), 1.0)]
    pictures = [tmp_path / "b.png", tmp_path / "c.png"]
    request = ApplyRequest((), tuple(pictures), tmp_path / "out")

    def missing(**changes):
        try:
            return missing_for(replace(request, **changes), differences, *parts, pictures)
        except MissingModelsError as error:
            return error.missing

    def ids(states):
        return [state.spec.id for state in states]

    assert ids(missing()) == ["sd15", "blip2", "open-clip-l14"]
    for picture in pictures:
        picture.with_suffix(".txt").write_text("a house")
    assert ids(missing()) == ["sd15", "open-clip-l14"]
    assert missing(on="ray") == []
    fetch(found.backbones["sd15"].defaults["model"])
    assert ids(missing()) == ["open-clip-l14"]  # a warning: only words stay as they are
    assert missing(settings=ApplicationSettings(reword=False)) == []
