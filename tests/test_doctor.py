"""``diffinv doctor`` knows of the models what ``diffinv models list`` knows, and ends with it."""

from __future__ import annotations

import pytest
from huggingface_hub import constants
from installing import install

from diffinv.plugins.loading import registry


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty cache of the hub's models."""
    folder = tmp_path / "hub"
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(folder))
    return folder


def models(done):
    return {model["id"]: model for model in done.json["models"]}


def test_models_that_are_not_here_are_said_so(diffinv, cache):
    found = models(diffinv("doctor", "--json"))
    assert (found["toy"]["status"], found["diorama"]["status"]) == ("here", "here")
    assert (found["sd15"]["status"], found["blip2"]["status"]) == ("not here", "not here")
    assert found["blip2"]["model"] == "Salesforce/blip2-opt-2.7b"
    done = diffinv("doctor")
    last = done.out.splitlines()[-1]
    assert last.startswith("diorama, toy, toy2 work now; ")
    assert "models can be fetched with 'diffinv models pull ID'" in last
    assert done.code == 0


def test_a_model_that_was_fetched_is_here_and_one_that_is_not_whole_is_not(diffinv, cache):
    for model in ("facebook--dinov2-base", "stable-diffusion-v1-5--stable-diffusion-v1-5"):
        (cache / f"models--{model}" / "snapshots" / "abc").mkdir(parents=True)
        (cache / f"models--{model}" / "refs").mkdir()
        (cache / f"models--{model}" / "refs" / "main").write_text("abc")
    found = models(diffinv("doctor", "--json"))
    assert found["dinov2"]["status"] == "here"
    assert found["sd15"]["status"] == "not ready"
    assert "stable-diffusion-v1-5" in found["sd15"]["error"]


def test_a_broken_plugin_is_told_at_the_end(diffinv, cache, tmp_path):
    install(tmp_path / "site", "bad_import")
    registry.cache_clear()
    out = diffinv("doctor").out
    assert (
        "\nThe plugin 'bad_import' is broken; 'diffinv plugins show bad_import' says why.\n" in out
    )
    assert "Everything" not in out
