"""A model that does not suit the pictures says so before anything starts, and stops nobody."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from installing import install
from PIL import Image, ImageFilter

from diffinv.conformance import check_spec
from diffinv.pictures.glimpses import glimpse, glimpses
from diffinv.plugins.loading import registry
from diffinv_diorama.render import render
from diffinv_diorama.suiting import suits
from diffinv_diorama.world import all_scenes

EXAMPLE = Path(__file__).parent.parent / "plugins/diffinv-diorama/diffinv_diorama/example"


def like_a_photograph(width: int, height: int) -> Image.Image:
    """Skin, denim, wine and leaves, out of focus: colours that photographs have."""
    skin, cloth = [[212, 150, 130], [150, 92, 74]], [[42, 74, 104], [112, 22, 52]]
    colours = np.array([*skin, *cloth, [94, 122, 20], [230, 226, 160]])
    patches = colours[np.random.default_rng(0).integers(0, 6, (6, 8))].astype(np.uint8)
    picture = Image.fromarray(patches).resize((width, height), Image.Resampling.BICUBIC)
    return picture.filter(ImageFilter.GaussianBlur(2))


def test_diorama_has_nothing_against_its_own_world():
    assert suits(glimpses(sorted((EXAMPLE / "b").glob("*.png")))) == []
    scenes = list(all_scenes())[::97]
    assert suits([glimpse(render(scene, 10**6 + i)) for i, scene in enumerate(scenes)]) == []


def test_diorama_knows_photographs_and_large_pictures():
    small, large = like_a_photograph(96, 96), like_a_photograph(1200, 900)
    own = render(list(all_scenes())[0], 1)
    what = "Diorama draws only small landscapes of its own world, 96 × 96 pixels; "
    assert suits([glimpse(large)]) == [f"{what}these look like photographs: choose another model."]
    (said,) = suits([glimpse(small), glimpse(own)])
    among = "photographs are among these (1 of 2 pictures): choose another model for them."
    assert said == what + among
    (said,) = suits([glimpse(own.resize((800, 600)))])
    assert said == f"{what}these pictures are far larger: for photographs choose another model."


def test_a_few_pictures_of_a_folder_are_looked_at(tmp_path):
    for number in range(9):
        Image.new("RGB", (40 + number, 30), "red").save(tmp_path / f"{number}.png")
    (tmp_path / "0.png").write_text("no picture")
    found = glimpses(sorted(tmp_path.iterdir()))
    assert [one.width for one in found] == [43, 46]
    assert all(max(one.thumbnail.size) <= 64 for one in found)


@pytest.fixture
def picky(diffinv, tmp_path, monkeypatch):
    """A backbone of somebody else with a taste of its own."""
    install(tmp_path / "picky", "picky")
    monkeypatch.syspath_prepend(str(tmp_path / "picky"))
    registry.cache_clear()
    for name, colour in {"red": "red", "blue": "blue"}.items():
        Image.new("RGB", (32, 24), colour).save(tmp_path / f"{name}.png")
    return diffinv


def test_the_command_line_says_so_once_before_the_start(picky, tmp_path):
    pair = (tmp_path / "red.png", tmp_path / "blue.png")
    done = picky("invert", *pair, "--backbone", "picky", "--name", "cool", "--steps", 1, "--json")
    assert done.code == 0, done.err
    sentence = "1 of 2 pictures are not red."
    assert done.err.splitlines().count(f"Warning: {sentence}") == 1
    assert done.err.index(sentence) < done.err.index("Loading the models")
    assert sentence in done.json["warnings"]
    out = tmp_path / "out"
    apply = ("apply", "cool", tmp_path / "blue.png", "--out", out, "--steps", 2, "--json")
    done = picky(*apply, "--size", 320)
    assert done.code == 0, done.err
    size = "Results will have up to 320 × 240 pixels, drawn at 16 × 16."
    assert done.json["warnings"] == ["1 of 1 pictures are not red.", size]
    lines = done.err.splitlines()
    assert [lines.count(f"Warning: {text}") for text in done.json["warnings"]] == [1, 1]
    assert picky("jobs", "show", 2, "--json").json["warnings"] == done.json["warnings"]
    done = picky("apply", "cool", tmp_path / "red.png", "--out", out, "--steps", 2, "--json")
    assert done.json["warnings"] == []
    done = picky(*apply[:-1], "--guidance-scale", 3, "--detach", "--json")
    assert done.code == 0, done.err
    assert done.json["warnings"][0] == "1 of 1 pictures are not red."


def test_a_taste_that_fails_stops_nobody(picky, tmp_path):
    found = registry()
    seen = [glimpse(Image.new("RGB", (8, 8)))]
    for id, why in {
        "dumb": "AttributeError",
        "heavy": "it gave a str, not a list of notes",
    }.items():
        (said,) = found.unsuited(found.get("backbone", id), seen)
        assert said.startswith(f"The backbone '{id}' cannot say what suits it: ")
        assert why in said
    assert found.unsuited(found.get("backbone", "picky"), []) == ()


def test_plugins_check_covers_it(picky):
    from diffinv.contracts import BackboneSpec

    assert all(result.passed for result in check_spec(registry().get("backbone", "picky")))
    failed = {
        result.name: result.detail
        for result in check_spec(registry().get("backbone", "heavy"))
        if not result.passed
    }
    assert failed["suits_gives_sentences"] == "it gave a str"
    assert set(failed) == {"suits_gives_sentences", "suits_takes_any_picture"}
    done = picky("plugins", "check", "picky", "--kind", "backbone")
    assert "pass What says whether pictures suit imports no torch" in done.out
    spec = BackboneSpec("x", "X", "json:load", fetch="json:nothing")
    (result,) = check_spec(spec)
    assert not result.passed
