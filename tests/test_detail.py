"""What has changed is made anew in tiles at full size; everything else stays, bit for bit."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import diffinv
from diffinv.errors import UsageError
from diffinv.jobs.planning import plan_application
from diffinv.jobs.requests import ApplyRequest
from diffinv.jobs.tasks import run_application
from diffinv.method.settings import ApplicationSettings
from diffinv.pictures.tiles import tiles
from diffinv.running.detail import Detail
from diffinv_diorama.render import render
from diffinv_diorama.world import analogies

EXAMPLE = Path(__file__).parent.parent / "plugins/diffinv-diorama/diffinv_diorama/example"


@pytest.mark.parametrize("size", [(10, 10), (64, 24), (200, 120), (30, 300)])
@pytest.mark.parametrize(
    ("rows", "columns"),
    [((0, 120), (0, 200)), ((5, 6), (7, 8)), ((100, 120), (0, 9)), ((20, 90), (30, 160))],
)
def test_tiles_cover_what_changed(size, rows, columns):
    mask = np.zeros((120, 200), np.uint8)
    mask[slice(*rows), slice(*columns)] = 255
    covered = np.zeros(mask.shape, np.float32)
    width, height = min(size[0], 200), min(size[1], 120)
    for down, across, weight in tiles(mask, (width, height)):
        assert weight.shape == (height, width) == mask[down, across].shape
        assert (weight[mask[down, across] == 0] == 0).all()
        covered[down, across] = covered[down, across] * (1 - weight) + weight
    assert np.allclose(covered, mask / 255)


def test_nothing_changed_has_no_tiles():
    assert not list(tiles(np.zeros((40, 40), np.uint8), (10, 10)))


@pytest.fixture(scope="module")
def model():
    """As if it knew parts of pictures."""
    model = diffinv.load("diorama", device="cpu")
    model.backbone.knows_parts = True
    return model


@pytest.fixture(scope="module")
def difference(model):
    return model.invert(
        EXAMPLE / "a.png", EXAMPLE / "a_prime.png", steps=20, preview=0, progress=False
    )


def pictures() -> list[Image.Image]:
    return [
        render(analogies(2, 0)[i].b, i, *size) for i, size in enumerate(((230, 150), (150, 230)))
    ]


def test_tiles_change_what_has_changed_the_same_way_every_time(model, difference):
    options = {"num_inference_steps": 6, "progress": False, "strength": 1.5}
    before = pictures()
    plain = model.apply(difference, before, **options)
    tiled = model.apply(difference, before, detail="tiles", **options)
    for one, two in zip(plain, tiled, strict=True):
        assert one.size == two.size
        assert not np.array_equal(one, two)
    again = model.apply(difference, before, detail="tiles", **options)
    assert all(np.array_equal(a, b) for a, b in zip(tiled, again, strict=True))
    untouched = model.apply(difference, before, detail="tiles", **options | {"strength": 0.0})
    assert all(np.array_equal(a, b) for a, b in zip(untouched, before, strict=True))


def test_black_in_a_mask_stays_black(model, difference):
    (picture, _) = pictures()
    mask = np.zeros((150, 230), np.uint8)
    mask[:, 120:] = 255
    options = {"num_inference_steps": 6, "progress": False, "use_difference_mask": False}
    made = model.apply(difference, picture, mask=mask, detail="tiles", **options)
    assert np.array_equal(np.asarray(made)[:, :120], np.asarray(picture)[:, :120])
    assert not np.array_equal(np.asarray(made), np.asarray(picture))


def test_a_small_picture_has_no_more_detail(model):
    picture = np.zeros((100, 100, 3), np.uint8)
    detail = Detail(model.backbone, [], ApplicationSettings())
    assert detail.sharpened(picture, np.full((100, 100), 255, np.uint8), (96, 96), "a") is picture


def test_a_job_gives_what_the_api_gives(model, difference, tmp_path, monkeypatch):
    monkeypatch.setattr("diffinv.jobs.tasks.model_of", lambda *_: model)
    (picture, _) = pictures()
    picture.save(tmp_path / "b.png")
    file = difference.save(tmp_path / "d.safetensors")
    request = ApplyRequest(
        ((str(file), 1.0),),
        (tmp_path / "b.png",),
        tmp_path / "out",
        settings=ApplicationSettings(steps=4),
        detail="tiles",
    )
    (made,) = run_application(request).outputs
    wanted = model.apply(
        difference, tmp_path / "b.png", detail="tiles", num_inference_steps=4, progress=False
    )
    with Image.open(made.output) as image:
        assert np.array_equal(np.asarray(image), np.asarray(wanted))
    assert len(plan_application(replace(request, detail="off")).targets) == 1


def test_what_cannot_be_sharpened_is_refused(difference, tmp_path):
    whole = diffinv.load("diorama", device="cpu")
    with pytest.raises(UsageError, match="knows whole pictures alone"):
        whole.apply(difference, EXAMPLE / "a.png", detail="tiles", progress=False)
    for options, sentence in (
        ({"detail": "much"}, "Detail is off or tiles"),
        ({"detail": "tiles", "size": "model"}, "choose another --size than model"),
    ):
        with pytest.raises(UsageError, match=sentence):
            whole.apply(difference, EXAMPLE / "a.png", progress=False, **options)
