"""``diffinv evaluate pictures``: scores of any results by any image encoder."""

from __future__ import annotations

import json

import pytest
from PIL import Image

from diffinv.contracts import DeltaEncoderSpec
from diffinv.plugins.loading import registry


class Colours:
    """Pictures as their mean colour: A → A′ is a direction in colour space."""

    id = space = "colours"
    reads_texts = False

    def __init__(self, weights, _device):
        assert weights in (None, "other")

    def encode_images(self, images):
        import torch

        assert {image.width == image.height for image in images} == {True}
        return torch.tensor([image.resize((1, 1)).getpixel((0, 0)) for image in images]).float()


@pytest.fixture
def shown(tmp_path, monkeypatch):
    spec = DeltaEncoderSpec("colours", "Colours", f"{__name__}:Colours")
    monkeypatch.setitem(registry().delta_encoders, "colours", spec)
    colours = {
        "a": (100, 0, 0), "a2": (0, 100, 0), "b/x": (200, 0, 0), "c/x": (0, 90, 0),
        "b/y": (50, 0, 0), "c/y": (0, 0, 50), "b/left": (1, 2, 3),
    }  # fmt: skip
    for name, colour in colours.items():
        path = tmp_path / f"{name}.png"
        path.parent.mkdir(exist_ok=True)
        Image.new("RGB", (30, 20), colour).save(path)
    return tmp_path


def test_every_answer_has_its_scores(diffinv, shown):
    answers = [shown / "b/x.png", shown / "c/x.png", shown / "b/y.png", shown / "c/y.png"]
    done = diffinv(
        "evaluate", "pictures", shown / "a.png", shown / "a2.png", *answers,
        "--delta-encoder", "colours", "--delta-encoder", "colours=other", "--json",
    )  # fmt: skip
    assert done.code == 0, done.err
    found = json.loads(done.out)
    assert list(found) == ["colours", "colours=other"]
    right, wrong = found["colours"]["pictures"]
    assert right["b_prime"] == str(answers[1])
    assert right["directional"] == pytest.approx(1)
    assert right["like_b"] == pytest.approx(0)
    assert right["like_a_prime"] == pytest.approx(1)
    assert wrong["directional"] == pytest.approx(0.5)  # red goes in both, and comes back as blue
    assert found["colours"]["mean"]["directional"]["mean"] == pytest.approx(0.75)


def test_folders_are_matched_as_apply_names_its_results(diffinv, shown):
    done = diffinv(
        "evaluate", "pictures", shown / "a.png", shown / "a2.png", shown / "b", shown / "c",
        "--delta-encoder", "colours",
    )  # fmt: skip
    assert done.code == 0, done.err
    assert "1 of 3 pictures have no result yet." in done.err
    lines = done.out.splitlines()
    assert lines[0].split() == ["encoder", "B′", "directional", "like_b", "like_a_prime"]
    assert lines[1].split()[2:] == ["1.000", "0.000", "1.000"]
    assert "mean" in lines[-1]


@pytest.mark.parametrize(
    ("answers", "said"),
    [
        (("b/x.png",), "Name a B_PRIME after every B"),
        (("b/x.png", "c"), "two pictures or two folders"),
        (("c", "b/none"), "two pictures or two folders"),
        (("b/x.png", "c/none.png"), "none.png"),
    ],
)
def test_what_cannot_be_scored_is_one_sentence(diffinv, shown, answers, said):
    done = diffinv(
        "evaluate", "pictures", shown / "a.png", shown / "a2.png", *(shown / x for x in answers),
        "--delta-encoder", "colours",
    )  # fmt: skip
    assert done.code in (1, 2)
    (sentence,) = done.err.splitlines()
    assert said in sentence


def test_without_an_encoder_there_are_no_scores(diffinv, shown):
    done = diffinv("evaluate", "pictures", *[shown / "a.png"] * 4)
    assert (done.code, done.out) == (2, "")
    assert "--delta-encoder" in done.err


def test_results_are_found_in_their_pictures_own_format(diffinv, shown):
    for name in ("b/y", "c/y"):
        Image.open(shown / f"{name}.png").save(shown / f"{name}.JPG", "JPEG")
        (shown / f"{name}.png").unlink()
    done = diffinv(
        "evaluate", "pictures", shown / "a.png", shown / "a2.png", shown / "b", shown / "c",
        "--delta-encoder", "colours", "--json",
    )  # fmt: skip
    assert done.code == 0, done.err
    names = [row["b_prime"] for row in json.loads(done.out)["colours"]["pictures"]]
    assert names == [str(shown / "c/x.png"), str(shown / "c/y.JPG")]
