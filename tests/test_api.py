"""The Python API on the embedded model: the numbers of the command line, the same sentences."""

from __future__ import annotations

import contextlib
import io
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import diffinv
from diffinv.errors import UsageError
from diffinv.jobs.requests import ApplyRequest, InvertRequest
from diffinv.jobs.tasks import run_application, run_inversion
from diffinv.method.settings import ApplicationSettings, inversion_settings
from diffinv.method.words import Vocabulary
from diffinv.plugins.loading import registry
from diffinv.running.remembered_weights import find_encoder
from diffinv_diorama.weights import pipeline_folder

ROOT = Path(__file__).parent.parent
EXAMPLE = ROOT / "plugins" / "diffinv-diorama" / "diffinv_diorama" / "example"
A, A_PRIME = EXAMPLE / "a.png", EXAMPLE / "a_prime.png"
QUERIES = sorted((EXAMPLE / "b").glob("*.png"))


@pytest.fixture(scope="module")
def model():
    return diffinv.load("diorama", device="cpu")


@pytest.fixture(scope="module")
def difference(model):
    return model.invert(A, A_PRIME, steps=6, progress=False)


def pixels(image: Image.Image) -> bytes:
    return image.convert("RGB").tobytes()


# The same numbers as a job


def test_a_job_gives_the_same_difference_bit_for_bit(difference, tmp_path):
    settings = inversion_settings(steps=6)
    request = InvertRequest(((A, A_PRIME),), "same", "diorama", settings=settings, device="cpu")
    learned, _ = run_inversion(request)
    assert learned.tokens.tobytes() == difference.tokens.tobytes()
    assert learned.info.hash_sha256 == difference.info.hash_sha256
    changing = {"name", "seconds", "date"}
    for field in set(vars(learned.info)) - changing:
        assert getattr(learned.info, field) == getattr(difference.info, field), field


def test_a_job_gives_the_same_results_bit_for_bit(model, difference, tmp_path):
    file = difference.save(tmp_path / "x.safetensors")
    settings = ApplicationSettings(steps=3, seed=5)
    request = ApplyRequest(
        ((str(file), 0.8),), tuple(QUERIES[:3]), tmp_path / "out", settings=settings, device="cpu"
    )
    report = run_application(request)
    given = [str(path) for path in QUERIES[:3]]
    results = model.apply(difference, given, strength=0.8, seed=5, num_inference_steps=3)
    assert [pixels(Image.open(o.output)) for o in report.outputs] == [pixels(r) for r in results]


def test_torch_is_left_as_it_was(model):
    import torch

    torch.manual_seed(1)
    before = torch.get_rng_state()
    model.invert(A, A_PRIME, steps=2, preview=0, progress=False)
    assert torch.equal(torch.get_rng_state(), before)
    assert not torch.are_deterministic_algorithms_enabled()


def test_many_at_once_differ_by_rounding_alone(model, difference):
    swapped = model.invert(A_PRIME, A, steps=6, progress=False)
    pairs = [(A, A_PRIME), (A_PRIME, A), (A, A_PRIME)]
    found = model.invert_many(pairs, batch=2, steps=6, progress=False, names=["x", "y", "z"])
    assert [d.info.name for d in found] == ["x", "y", "z"]
    for one, alone in zip(found, [difference, swapped, difference], strict=True):
        np.testing.assert_allclose(one.tokens, alone.tokens, atol=1e-4)
        assert one.info.captions == alone.info.captions
        assert one.info.settings == alone.info.settings


# What goes in and comes out


def test_paths_pictures_and_arrays_are_alike(model, difference):
    image = Image.open(A)
    floats = np.asarray(Image.open(A_PRIME).convert("RGB"), dtype=np.float64) / 255
    learned = model.invert(image, floats, steps=6, preview=0, progress=False)
    assert learned.tokens.tobytes() == difference.tokens.tobytes()
    assert learned.info.name == "difference"
    assert difference.info.name == "a-to-a_prime"


def test_one_picture_gives_one_and_a_list_a_list(model, difference):
    one = model.apply(difference, QUERIES[0], num_inference_steps=2)
    several = model.apply(difference, [QUERIES[0]], num_inference_steps=2)
    assert isinstance(several, list)
    assert pixels(one) == pixels(several[0])
    assert model.apply(difference, []) == []


def test_strengths_and_several_differences(model, difference, tmp_path):
    file = difference.save(tmp_path / "x.safetensors")
    diffinv.library().add(difference)
    quick = {"num_inference_steps": 2, "seed": 1, "size": "model"}
    once = model.apply(difference, QUERIES[0], strength=1.0, **quick)
    halves = model.apply([file, "a-to-a_prime"], QUERIES[0], strength=[0.5, 0.5], **quick)
    none = model.apply(difference, QUERIES[0], strength=0, **quick)
    a, b, c = (np.asarray(image, dtype=float) for image in (once, halves, none))
    assert np.abs(a - b).mean() < 0.5  # additive tokens: two halves are one
    assert np.abs(a - c).mean() > 1


def test_outside_a_mask_nothing_changes(model, difference):
    image = Image.open(QUERIES[0]).convert("RGB")
    black = Image.new("L", image.size)
    quick = {"num_inference_steps": 4, "progress": False}
    kept = model.apply(difference, image, mask=black, **quick)
    for strength in (0.3, 2.0):  # what may change nowhere is the same for any difference
        again = model.apply(difference, image, mask=black, strength=strength, **quick)
        assert pixels(again) == pixels(kept)
    changed = model.apply(difference, image, mask=Image.new("L", image.size, 255), **quick)
    assert pixels(changed) == pixels(model.apply(difference, image, **quick))
    assert pixels(changed) != pixels(kept)


def test_events_are_heard_and_may_stop(model):
    heard = []

    class StopError(Exception):
        pass

    def hear(event):
        heard.append(event)
        if event.loss is not None and event.step == 3:
            raise StopError

    with pytest.raises(StopError):
        model.invert(A, A_PRIME, steps=6, on_step=hear)
    assert [e.step for e in heard if e.loss is not None] == [1, 2, 3]


def test_an_editor_that_takes_fewer_steps_comes_to_its_end_too(model, difference):
    heard = []
    quick = {"num_inference_steps": 10, "batch": 1, "on_step": heard.append}
    model.apply(difference, QUERIES[:2], editor="sdedit", **quick)
    steps = [event.step for event in heard]
    assert steps == sorted(steps)
    assert (heard[-1].step, heard[-1].total) == (20, 20)


def test_a_bar_is_drawn_where_asked_for(model, difference, capsys):
    model.apply(difference, QUERIES[0], num_inference_steps=2, progress=True)
    assert "Applying: 100%" in capsys.readouterr().err
    model.apply(difference, QUERIES[0], num_inference_steps=2)
    assert capsys.readouterr().err == ""


def test_warnings_are_pythons_own(model):
    with pytest.warns(UserWarning, match="say the same"):
        model.invert(A, A_PRIME, captions=[("a house", "a house")], steps=2)


def test_a_difference_shows_itself(difference):
    from dataclasses import replace

    info = replace(difference.info, name="<script>", description="&")
    html = replace(difference, info=info)._repr_html_()
    assert html.count("<img") == 3
    assert "polyline" in html
    assert "<script>" not in html
    assert "&amp;" in html
    with Image.open(io.BytesIO(difference._repr_png_())) as image:
        assert image.size == (672, 432)
    bare = replace(difference, thumbnails={}, losses=difference.losses[:0])
    assert "<img" not in bare._repr_html_()
    assert bare._repr_png_()


# What cannot be done


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda m, _: m.invert(A), "give A and A′"),
        (lambda m, _: m.invert(), "at least one pair"),
        (lambda m, _: m.invert(A, A), "are the same picture"),
        (lambda m, _: m.invert("nowhere.png", A), "nowhere.png does not exist"),
        (lambda m, _: m.invert(A, A_PRIME, stepz=3), "no setting 'stepz'; choose from preset"),
        (lambda m, _: m.invert(A, A_PRIME, steps=0), "between 1 and"),
        (lambda m, _: m.invert(A, A_PRIME, steps="3"), "between 1 and 1000000, not '3'"),
        (lambda m, _: m.invert(A, A_PRIME, alpha="x"), "Alpha"),
        (lambda m, _: m.invert(A, A_PRIME, lambda_tc=-1), "lambda_tc is a number from 0 up"),
        (lambda m, _: m.invert(A, A_PRIME, tc_norm="l1"), "choose from rms, mse, norm"),
        (lambda m, _: m.invert(A, A_PRIME, token_space="x"), "choose from additive, input"),
        (lambda m, _: m.invert(A, A_PRIME, side=8), "side in pixels .--side. is between 32 and"),
        (lambda m, _: m.invert(A, A_PRIME, preview=-1), "preview .--preview. is between 0 and"),
        (lambda m, _: m.invert(A, A_PRIME, prompter="x"), "choose from caption, pez"),
        (lambda m, _: m.invert(pairs=[(A,)]), "A pair is two pictures"),
        (lambda m, _: m.invert_many([A, A_PRIME]), "A pair is two pictures"),
        (lambda m, d: m.apply(d, A, strength=float("nan")), "finite number, not nan"),
        (lambda m, d: m.apply(d, A, mask=np.zeros((18, 9))), "make their shapes alike"),
        (lambda m, d: m.apply(d, A, mask=[A, A]), "Give one mask"),
        (lambda m, d: m.apply(d, A, seed=-1), "between 0 and"),
        (lambda m, _: m.invert(A, A_PRIME, preset="best"), "no preset 'best'"),
        (lambda m, _: m.invert(A, np.zeros((9, 9, 9), np.uint8)), r"A′ is uint8 \[9, 9, 9\]"),
        (lambda m, _: m.invert(A, np.full((9, 9), 7.0)), r"outside \[0, 1\]"),
        (lambda m, _: m.invert(A, A_PRIME, captions=[("a", "b")] * 2), "for every pair"),
        (lambda m, _: m.invert_many([(A, A_PRIME)], names=["a", "b"]), "Give names for every pair"),
        (lambda m, d: m.apply([], A), "at least one difference"),
        (lambda m, d: m.apply("no-such", A), "no difference 'no-such'"),
        (lambda m, d: m.apply(d, A, strength=[1, 2]), "one strength"),
        (lambda m, d: m.apply(d, [A, A], prompt=["a"]), "one prompt"),
        (lambda m, d: m.apply(d, A, editor="magic"), "no editor 'magic'"),
        (lambda m, d: m.apply(d, A, batch=0), "at least one picture"),
        (lambda m, d: m.apply(d, A, prompt="word " * 400), "shorten the prompt"),
        (lambda m, d: diffinv.load("nothing"), "no backbone 'nothing'"),
        (lambda m, d: diffinv.load(device="abacus"), "is not a device"),
        (lambda m, d: diffinv.load(memory="much"), "memory is 'auto'"),
    ],
)
def test_one_sentence_says_what_is_wrong(model, difference, call, message):
    with pytest.raises(diffinv.UsageError, match=message):
        call(model, difference)


def test_a_difference_of_another_model_is_refused(model, difference):
    from dataclasses import replace

    other = replace(difference, info=replace(difference.info, backbone_weights="other"))
    with pytest.raises(diffinv.DiffinvError, match="does not fit 'diorama'"):
        model.apply(other, A)


def test_pictures_of_one_prompt_share_the_search_for_its_words(model, difference, monkeypatch):
    searched = []
    reword = Vocabulary.reword
    monkeypatch.setattr(
        Vocabulary,
        "reword",
        lambda words, text, way: searched.append(text) or reword(words, text, way),
    )
    model.apply(
        difference, QUERIES[:3], prompt="a cabin", num_inference_steps=1, batch=2, progress=False
    )
    assert searched == ["a cabin"]


# The side and the preview


def test_a_preview_has_no_part_in_what_is_learned(model):
    plain = model.invert(A, A_PRIME, steps=2, preview=2, progress=False)
    bare = model.invert(A, A_PRIME, steps=2, preview=0, progress=False)
    assert plain.tokens.tobytes() == bare.tokens.tobytes()
    assert set(plain.thumbnails) - set(bare.thumbnails) == {"preview"}
    assert bare.info.settings["preview"] == 0
    assert "preview" not in bare._repr_html_()


def test_a_smaller_side_is_learned_at_and_recorded(model, difference, monkeypatch):
    seen = set()
    encode = model.backbone.encode_images
    monkeypatch.setattr(
        model.backbone, "encode_images", lambda images: seen.add(images.shape[2:]) or encode(images)
    )
    small = model.invert(A, A_PRIME, steps=2, side=48, preview=1, progress=False)
    assert seen == {(48, 48)}
    assert small.info.settings["side"] == 48
    assert model.apply(small, QUERIES[0], num_inference_steps=1, progress=False).size == (96, 96)
    assert difference.info.settings["side"] is None
    assert seen == {(48, 48), (96, 96)}


# Importing, and the documentation


def test_importing_loads_nothing_heavy():
    code = (
        "import sys, diffinv; "
        "heavy = {'torch', 'PIL', 'numpy', 'click', 'pluggy'} & set(sys.modules); "
        "assert not heavy, heavy; "
        "from diffinv.api import load; assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_every_name_is_there():
    for name in diffinv.__all__:
        assert getattr(diffinv, name).__doc__
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        diffinv.nothing  # noqa: B018
    assert set(diffinv.__all__) <= set(dir(diffinv))


def test_the_documentation_runs(tmp_path, monkeypatch):
    text = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    assert len(blocks) >= 9
    monkeypatch.chdir(tmp_path)
    for name, source in (("a", A), ("a2", A_PRIME), ("b", QUERIES[0])):
        shutil.copy(source, f"{name}.png")
    names: dict[str, object] = {}
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        for block in blocks:
            exec(compile(block, "docs/api.md", "exec"), names)
    assert "nowhere.png does not exist; check the path." in printed.getvalue()
    assert (tmp_path / "b2.png").exists()
    assert names["b_prime"].size == (96, 96)
    assert [entry.name for entry in diffinv.library().entries()] == ["a-to-a2", "a-to-a2-2"]


def test_a_backbone_without_a_captioner_asks_for_captions(monkeypatch):
    mute = replace(registry().backbones["diorama"], captioner=None)
    monkeypatch.setitem(registry().backbones, "diorama", mute)
    alone = diffinv.load("diorama", device="cpu")
    for learn in (lambda: alone.invert(A, A_PRIME), lambda: alone.invert_many([(A, A_PRIME)])):
        with pytest.raises(UsageError, match="names no captioner; say what A and A′ show with"):
            learn()
    told = alone.invert(A, A_PRIME, captions=[("a castle", "a castle in snow")], steps=1, preview=0)
    with pytest.raises(UsageError, match="names no captioner; say what the pictures show"):
        alone.apply(told, QUERIES[0])


def test_hard_prompts_find_the_encoder_they_were_made_with(monkeypatch, tmp_path):
    """Of two weights of one delta encoder, B's prompts are made with those of A's."""
    monkeypatch.setattr("diffinv.method.prompts._PEZ_STEPS", 2)
    folder = tmp_path / "clip"
    shutil.copytree(pipeline_folder(), folder)
    named = diffinv.load("diorama", delta_encoder=f"diorama={folder}", device="cpu")
    hard = named.invert(A, A_PRIME, prompter="pez", steps=1, preview=0)
    assert find_encoder(hard.info) == str(folder)
    captioned = named.invert(A, A_PRIME, steps=1, preview=0)
    assert find_encoder(captioned.info) == str(folder)  # for the words of B's prompts


def test_a_result_does_not_depend_on_what_is_done_with_it(model, difference):
    """Nor on an interruption: the same number of pictures at once gives the same bits."""
    options = {"num_inference_steps": 3, "prompt": "a cabin", "progress": False}
    together = model.apply(difference, QUERIES[:5], batch=3, **options)
    backwards = model.apply(difference, QUERIES[4::-1], batch=3, **options)
    assert [pixels(i) for i in together] == [pixels(i) for i in backwards[::-1]]
    others = model.apply(difference, [*QUERIES[5:8], *QUERIES[:3]], batch=3, **options)
    assert [pixels(i) for i in together[:3]] == [pixels(i) for i in others[3:]]
