"""Masks of the user's own, what guidance leads away from, and files that are no pictures."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import diffinv
from diffinv.cli.app import run
from diffinv.errors import DiffinvError, UsageError
from diffinv.jobs.planning import find_inputs
from diffinv.jobs.requests import ApplyRequest
from diffinv.jobs.tasks import run_application
from diffinv.method.application import grown
from diffinv.method.settings import ApplicationSettings, check_application_settings
from diffinv.pictures import reading
from diffinv.pictures.blending import Change, blend, mixing_mask
from diffinv.pictures.masks import Masks

EXAMPLE = Path(__file__).parent.parent / "plugins/diffinv-diorama/diffinv_diorama/example"
FAST = ApplicationSettings(steps=2)


@pytest.fixture(scope="module")
def difference(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("difference") / "autumn.safetensors"
    model = diffinv.load("diorama", device="cpu")
    a, a_prime = sorted(EXAMPLE.glob("a*.png"))[:2]
    model.invert(a, a_prime, steps=3, preview=0, progress=False).save(path)
    return path


def half(size: tuple[int, int]) -> Image.Image:
    """White on the right."""
    mask = Image.new("L", size)
    mask.paste(255, (size[0] // 2, 0, *size))
    return mask


def photographs(folder: Path, *names: str) -> Path:
    folder.mkdir()
    with Image.open(EXAMPLE / "a.png") as image:
        for name in names:
            (folder / name).parent.mkdir(exist_ok=True)
            image.convert("RGB").resize((240, 160)).save(folder / name)
    return folder


def request(difference: Path, images: Path, out: Path, **more) -> ApplyRequest:
    settings = more.pop("settings", FAST)
    return ApplyRequest(
        ((str(difference), 3.0),), (images,), out, prompt_b="a house", settings=settings, **more
    )


def test_black_stays_and_masks_are_saved(tmp_path, difference):
    folder = photographs(tmp_path / "b", "one.png", "sub/two.png")
    masks = tmp_path / "masks"
    (masks / "sub").mkdir(parents=True)
    half((120, 80)).save(masks / "one.png")
    half((240, 160)).save(masks / "sub" / "two.webp", lossless=True)
    settings = ApplicationSettings(steps=2, mask=False)
    asked = request(
        difference, folder, tmp_path / "out", mask=masks, save_masks=True, settings=settings
    )
    report = run_application(asked)
    assert not report.failures
    for output in report.outputs:
        before, after = (
            np.asarray(Image.open(p).convert("RGB")) for p in (output.input, output.output)
        )
        assert (before[:, :118] == after[:, :118]).all()
        assert (before != after).any()
        name = output.output.relative_to(tmp_path / "out")
        used = np.asarray(Image.open(tmp_path / "out" / "masks" / name))
        assert used.shape == (160, 240)
        assert (used[:, :118] == 0).all()
        assert used.max() > 0
        assert (after[used == 0] == before[used == 0]).all()
    assert run_application(asked).skipped == 2
    (tmp_path / "out" / "one.png").unlink()  # as if it had ended between mask and result
    assert run_application(asked).skipped == 1
    run_application(replace(asked, replace=True))
    assert len(list((tmp_path / "out" / "masks").rglob("*.png"))) == 2
    half((480, 320)).save(masks / "one.png")
    assert run_application(asked).skipped == 1


def test_a_picture_without_mask_and_one_of_another_shape_are_named(tmp_path, difference):
    folder = photographs(tmp_path / "b", "one.png", "two.png", "three.png")
    masks = tmp_path / "masks"
    masks.mkdir()
    half((240, 160)).save(masks / "one.png")
    half((100, 100)).save(masks / "two.png")
    report = run_application(request(difference, folder, tmp_path / "out", mask=masks))
    assert [output.output.name for output in report.outputs] == ["one.png"]
    assert "There is no mask for" in report.failures[0]
    assert "is 100 x 100 pixels and its picture 240 x 160" in report.failures[1]


def test_a_mask_that_does_not_exist_is_refused_at_once(tmp_path, difference):
    folder = photographs(tmp_path / "b", "one.png")
    with pytest.raises(UsageError, match="does not exist"):
        run_application(request(difference, folder, tmp_path / "out", mask=tmp_path / "none"))
    (tmp_path / "text").write_text("no picture")
    with pytest.raises(DiffinvError, match="is not a picture"):
        run_application(request(difference, folder, tmp_path / "out", mask=tmp_path / "text"))


def test_masks_beside_the_pictures_are_not_taken_for_pictures(tmp_path, difference):
    folder = photographs(tmp_path / "b", "one.png")
    (folder / "masks").mkdir()
    half((240, 160)).save(folder / "masks" / "one.png")
    asked = request(difference, folder, tmp_path / "out", mask=folder / "masks")
    assert [path.name for path, _ in find_inputs(asked)] == ["one.png"]
    assert len(run_application(asked).outputs) == 1


def test_one_mask_for_all(tmp_path):
    half((8, 8)).save(tmp_path / "m.png")
    assert Masks(tmp_path / "m.png").read(tmp_path / "any.jpg", (40, 40)).size == (40, 40)


def test_a_mask_grows_by_a_share_of_the_longer_side():
    mask = torch.zeros(1, 1, 20, 40)
    mask[..., 10, 20] = 1
    assert grown(mask, 0) is mask
    assert grown(mask, 5).sum() == 25  # two cells on each side
    assert (grown(mask, 100) == 1).all()
    with pytest.raises(UsageError, match="--mask-grow"):
        check_application_settings(ApplicationSettings(mask_grow=101))


def test_the_saved_mask_is_the_one_that_is_mixed_with():
    before = np.full((12, 12, 3), 0.3, np.float32)
    after = before.copy()
    after[4:8, 4:8] += 0.4
    picture = np.random.default_rng(0).integers(0, 200, (90, 120, 3), np.uint8)
    changed = (blend(picture, Change(before, after)) != picture).any(-1)
    mask = mixing_mask(Change(before, after), (120, 90))
    assert (mask[35:55, 45:75] == 255).all()
    assert changed[35:55, 45:75].all()
    assert not changed[mask == 0].any()


def test_guidance_leads_away_from_the_negative_prompt(tmp_path, difference):
    model = diffinv.load("diorama", device="cpu")
    picture = EXAMPLE / "a.png"
    plain, other = (
        model.apply(
            difference,
            picture,
            prompt="a house",
            strength=3,
            negative_prompt=text,
            num_inference_steps=2,
            progress=False,
        )
        for text in ("", "a castle at night")
    )
    assert plain.tobytes() != other.tobytes()
    folder = photographs(tmp_path / "b", "one.png")
    settings = ApplicationSettings(steps=2, negative_prompt="a castle")
    report = run_application(request(difference, folder, tmp_path / "out", settings=settings))
    with Image.open(report.outputs[0].output) as image:
        assert "\nNegative prompt: a castle\nSteps" in image.info["parameters"]
        assert json.loads(image.info["diffinv"])["negative_prompt"] == "a castle"
    with pytest.raises(UsageError, match="takes .* tokens"):
        model.apply(difference, picture, prompt="a", negative_prompt="castle " * 400)


def test_files_that_are_no_pictures_are_counted_and_named(tmp_path, difference, monkeypatch):
    folder = photographs(tmp_path / "b", "one.png")
    monkeypatch.setattr(reading, "needs_library", lambda p: "odd" if p.suffix == ".CR3" else None)
    for name in ("a.CR3", "b.aae", "c.mov", "one.txt", ".hidden", "d.doc", "e.pdf", "f.zip"):
        (folder / name).write_bytes(b"x")
    heard = []
    run_application(request(difference, folder, folder / "out"), heard.append)
    (said,) = [event.warning for event in heard if event.warning and "left out" in event.warning]
    assert said.startswith("6 files in ")
    assert "a.CR3 (odd: pip install 'diffinv[photo]'), b.aae (no picture), c.mov (a film" in said
    assert said.endswith("and 1 more.")


def test_a_folder_without_pictures_says_what_is_in_it(tmp_path, difference, capsys):
    folder = tmp_path / "raw"
    folder.mkdir()
    (folder / "a.mov").write_bytes(b"x")
    found = run(["apply", str(difference), str(folder), "--out", str(tmp_path / "out")])
    assert found == 2
    assert "1 file in" in capsys.readouterr().err
