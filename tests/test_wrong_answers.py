"""A part of a plugin that answers nonsense at work is one sentence that names it."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from command_line import is_one_sentence
from installing import install

from diffinv.plugins.loading import registry


@pytest.fixture
def invert(diffinv, pictures, tmp_path):
    """Learn a difference with a part of the odd plugin."""
    install(tmp_path / "site", "odd")
    registry.cache_clear()

    def run(*options):
        return diffinv(
            "invert", pictures / "a.png", pictures / "a2.png", "--backbone", "toy", "--steps", 2,
            *options,
        )  # fmt: skip

    return run


def refused(done, part: str, wrong: str) -> None:
    assert (done.code, done.out) == (1, "")
    error = done.err.strip().splitlines()[-1]
    assert is_one_sentence(error)
    assert error.startswith(f"Error: The {part} 'odd' {wrong}; 'diffinv plugins check odd' tests")
    assert ("--prompt-b" if part == "captioner" else "--" + part.replace(" ", "-")) in error


@pytest.mark.parametrize(
    ("fault", "wrong"),
    [
        ("none", "gave a NoneType, not a list of captions"),
        ("number", "gave a int, not a list of captions"),
        ("text", "gave a str, not a list of captions"),
        ("many", "gave 4 captions for 2 pictures"),
        ("bytes", "gave a bytes as a caption"),
        ("empty", "gave an empty caption"),
    ],
)
def test_a_captioner(invert, diffinv, pictures, tmp_path, fault, wrong):
    refused(invert("--captioner", f"odd={fault}"), "captioner", wrong)
    assert invert("--name", "blue").code == 0
    toy = registry().backbones["toy"]
    registry().backbones["toy"] = replace(toy, captioner=f"odd={fault}")
    done = diffinv("apply", "blue", pictures / "b" / "one.png", "--out", tmp_path / "out")
    refused(done, "captioner", wrong.replace("2 pictures", "1 picture"))


@pytest.mark.parametrize(
    ("fault", "wrong"),
    [
        ("images-none", "gave a NoneType, not a tensor, for 1 picture"),
        ("images-rows", "gave a tensor of the shape [0, 8], not [1, any], for 1 picture"),
        ("images-flat", "gave a tensor of the shape [8], not [1, any], for 1 picture"),
        ("images-nan", "gave numbers that are not finite for 1 picture"),
        ("texts-nan", "gave numbers that are not finite for 1 text"),
        ("texts-flat", "gave a tensor of the shape [8], not [1, any], for 1 text"),
        ("images-narrow", "gave vectors of 7 numbers for pictures, but those for texts have 8"),
        (
            "images+texts-narrow",
            "gave vectors of 7 numbers for pictures, but the tokens of 'toy' have 8",
        ),
    ],
)
def test_a_delta_encoder(invert, fault, wrong):
    refused(invert("--delta-encoder", f"odd={fault}"), "delta encoder", wrong)


BACKBONE = {
    "images-none": "gave a NoneType, not a tensor, for 1 picture",
    "images-flat": "gave a tensor of the shape [768], not [1, any, any, any], for 1 picture",
    "images-nan": "gave numbers that are not finite for 1 picture",
    "prompts-none": "gave a NoneType, not a tensor, for 1 prompt",
    "prompts-rows": "gave a tensor of the shape [0, 8, 8], not [1, any, 8], for 1 prompt",
    "prompts-nan": "gave numbers that are not finite for 1 prompt",
}


@pytest.mark.parametrize("fault", BACKBONE)
def test_a_backbone(invert, diffinv, pictures, tmp_path, fault):
    refused(invert("--backbone", f"odd={fault}"), "backbone", BACKBONE[fault])
    assert invert("--backbone", "odd=right", "--name", "blue").code == 0
    done = diffinv(
        "apply", "blue", pictures / "b" / "one.png", "--backbone", f"odd={fault}", "--out",
        tmp_path / "out",
    )  # fmt: skip
    refused(done, "backbone", BACKBONE[fault])


@pytest.mark.parametrize(
    ("fault", "wrong"),
    [
        ("predict-none", "gave a NoneType, not a tensor, as prediction"),
        ("predict-rows", r"gave a prediction of float32 \[\d+, 3, \d+, \d+\] for latents of \["),
        ("decode-none", "gave a NoneType, not a tensor, for 1 picture"),
        ("decode-narrow", r"gave a tensor of the shape \[1, 2, \d+, \d+\], not \[1, 3, any, any\]"),
        ("decode-nan", "gave numbers that are not finite for 1 picture"),
    ],
)
def test_a_backbone_at_work(invert, diffinv, pictures, tmp_path, fault, wrong):
    assert invert("--backbone", "odd=right", "--name", "blue").code == 0
    done = diffinv(
        "apply", "blue", pictures / "b" / "one.png", "--backbone", f"odd={fault}", "--out",
        tmp_path / "out",
    )  # fmt: skip
    assert (done.code, done.out) == (1, "")
    assert not list((tmp_path / "out").glob("*.png"))
    error = done.err.strip().splitlines()[-1]
    assert is_one_sentence(error)
    assert re.search(f"The backbone 'odd' {wrong}", error), error
