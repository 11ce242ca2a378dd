"""Paths as people write them."""

from __future__ import annotations

from pathlib import Path

import pytest

from diffinv.errors import DiffinvError, UsageError
from diffinv.plugins.installing import parse_target
from diffinv.system import local_models, paths
from diffinv.system.hub import checked_id
from diffinv_clip.sources import find_source as find_clip
from diffinv_stable_diffusion.families import FAMILIES
from diffinv_stable_diffusion.sources import find_source as find_checkpoint

ODD = ["~nosuchuser/model", "a" * 300]
LOOKS = {
    "path": paths.given_path,
    "model": local_models.find_model,
    "clip": find_clip,
    "checkpoint": lambda text: find_checkpoint(FAMILIES["sd15"], text),
    "plugin": lambda text: parse_target(f"./{text}" if text[0] != "~" else text),
}


@pytest.mark.parametrize("text", ODD)
@pytest.mark.parametrize("look", LOOKS)
def test_what_can_be_no_path_is_one_sentence(look, text):
    with pytest.raises(UsageError, match=r"^The path '.{1,82}' .*; check it\.$"):
        LOOKS[look](text)


def test_a_home_folder_is_found():
    assert paths.given_path("~/x") == Path.home() / "x"


def test_the_home_of_nobody_is_no_place_for_a_library(monkeypatch):
    monkeypatch.setenv("DIFFINV_HOME", "~nosuchuser")
    with pytest.raises(UsageError, match="names an unknown user"):
        paths.library_folder()


@pytest.mark.parametrize("name", ["a--b/c", "a/" + "b" * 100, "a/b.."])
def test_ids_that_the_hub_does_not_have(name):
    with pytest.raises(UsageError, match="is not the id of a model"):
        checked_id(name)
    with pytest.raises(DiffinvError):
        local_models.find_snapshot(name)


def test_a_pasted_path_of_nobody_is_a_picture_that_is_not_there():
    from diffinv_tui.dropped import dropped_paths

    assert dropped_paths("~nosuchuser/a.png") == [Path("~nosuchuser/a.png")]
