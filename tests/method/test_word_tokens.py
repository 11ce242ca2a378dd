"""Differences that are words: learned on the embedded model, told to any."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import diffinv
from diffinv.difference import load
from diffinv.errors import DiffinvError, UsageError
from diffinv.method.application import apply_differences, leading_away
from diffinv.method.editors import Ddim
from diffinv.method.settings import ApplicationSettings
from diffinv.method.word_tokens import WordTable, WordTokens, left_unsaid, said, with_words
from diffinv.method.words import Wording
from diffinv.pictures.reading import read_picture
from diffinv.pictures.writing import from_webp

EXAMPLE = Path(__file__).parents[2] / "plugins" / "diffinv-diorama" / "diffinv_diorama" / "example"
A, A_PRIME = EXAMPLE / "a.png", EXAMPLE / "a_prime.png"
B = sorted((EXAMPLE / "b").glob("*.png"))[0]
SNOW = WordTokens(("snowy", "white"), ("sandy",))


@pytest.fixture(scope="module")
def model():
    return diffinv.load("diorama", device="cpu")


@pytest.fixture(scope="module")
def difference(model):
    return model.invert(A, A_PRIME, token_space="words", steps=4, progress=False)


@pytest.fixture(scope="module")
def table(model):
    return WordTable(model.backbone, model.delta_encoder)


def test_what_is_learned_is_real_words(model, difference):
    info = difference.info
    known = set(model.delta_encoder.vocabulary)
    assert len(info.words_brought) == len(info.words_taken) == 2
    assert {*info.words_brought, *info.words_taken} <= known
    assert "castle" in info.words_brought  # the example pair is of a cabin and a castle
    assert difference.tokens.shape == (4, 160)


def test_the_same_words_once_more_and_from_the_file(model, difference, tmp_path):
    again = model.invert(A, A_PRIME, token_space="words", steps=4, progress=False)
    assert again.tokens.tobytes() == difference.tokens.tobytes()
    kept = load(difference.save(tmp_path / "words.safetensors"))
    assert kept.info.words_brought == difference.info.words_brought
    assert kept.info.is_words


def test_projection_keeps_the_gradient_of_what_is_projected(table):
    soft = (table.table[[3, 7]] + 0.01).requires_grad_()
    hard = table.project(soft)
    assert torch.allclose(hard, table.table[[3, 7]], atol=1e-6)
    (hard * torch.arange(2.0)[:, None]).sum().backward()
    assert soft.grad[0].abs().max() == 0
    assert (soft.grad[1] == 1).all()


def test_a_difference_and_its_opposite_are_said_with_each_others_words():
    assert said("a hut", [(SNOW, 1.0)]) == "a hut snowy white"
    assert left_unsaid([(SNOW, 0.5)]) == "sandy"
    assert said("a hut", [(SNOW, -1.0)]) == "a hut sandy"
    assert left_unsaid([(SNOW, -1.0)]) == "snowy white"
    assert said("a hut", [(SNOW, 0.0)]) == "a hut"
    assert with_words("a hut", Wording("a hut", 0.0, ()), [(SNOW, 0.5)]).amount == 0.5
    exchanged = Wording("a snowy hut", 1.0, ())
    assert with_words("a hut", exchanged, [(SNOW, 1.0)]) is exchanged


def test_guidance_leads_away_from_what_is_taken_as_far_as_the_strength_goes(model):
    backbone = model.backbone
    wording = with_words("a hut", Wording("a hut", 0.0, ()), [(SNOW, 0.5)])
    away = leading_away(backbone, "", [wording]).prompt_embeds
    empty, sandy = backbone.encode_prompts(["", "sandy"]).prompt_embeds
    assert torch.allclose(away[0], (empty + sandy) / 2, atol=1e-5)
    assert leading_away(backbone, "", [Wording("a hut", 0.0, ())]) is None


def test_what_is_led_away_from_changes_the_picture(model):
    b = read_picture(B, "B").resize((96, 96))
    settings = ApplicationSettings("ddim", steps=4, mask=False)
    plain = Wording("a red barn", 0.0, ())

    def made(wording):
        return apply_differences(
            model.backbone, [b], ["a red barn"], [], Ddim(), settings, wordings=[wording]
        )[0].tobytes()

    assert made(plain) != made(replace(plain, amount=1.0, away="red"))


def test_it_is_applied_with_words_exchanged_or_else_said_after_the_prompt(model, difference):
    def made(**more):
        text = "a red cabin on grass"
        use = {"num_inference_steps": 4, "progress": False, **more}
        return model.apply(difference, B, prompt=text, **use).tobytes()

    assert len({made(), made(strength=0.0), made(reword=False)}) == 3


def test_the_preview_is_what_applying_it_makes_of_the_first_picture(model, difference):
    prompt = difference.info.prompts[0][0]
    use = {"seed": 0, "size": "model", "progress": False}
    made = np.asarray(model.apply(difference, A, prompt=prompt, **use), dtype=float)
    shown = np.asarray(from_webp(difference.thumbnails["preview"]).convert("RGB"), dtype=float)
    appended = model.apply(difference, A, prompt=prompt, reword=False, **use)
    assert (
        np.abs(made - shown).mean() < np.abs(np.asarray(appended, dtype=float) - shown).mean() / 2
    )


def test_a_model_whose_words_the_encoder_does_not_share_cannot_learn_them(model):
    class Stranger:
        id, joint_space, token_width = "stranger", "elsewhere", 160
        encode_prompts = model.backbone.encode_prompts

    with pytest.raises(UsageError, match="'stranger' does not read the words"):
        WordTable(Stranger(), model.delta_encoder)


def test_a_file_of_words_without_words_is_refused(difference, tmp_path):
    bare = replace(difference, info=replace(difference.info, words_brought=(), words_taken=()))
    with pytest.raises(DiffinvError, match="made of words, but has none"):
        bare.save(tmp_path / "bare.safetensors")
