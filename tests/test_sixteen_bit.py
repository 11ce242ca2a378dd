"""16 bits a channel stay 16 bits in PNG and TIFF, and what is not changed has its own."""

from __future__ import annotations

import io
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
import tifffile
from PIL import Image, ImageCms

import diffinv
from diffinv.jobs.requests import ApplyRequest
from diffinv.jobs.tasks import run_application
from diffinv.method.settings import ApplicationSettings
from diffinv.pictures import sixteen_bit
from diffinv.pictures.blending import Change
from diffinv.pictures.formats import encoded, provenance_in
from diffinv.pictures.photograph import read_photograph

EXAMPLE = Path(__file__).parent.parent / "plugins/diffinv-diorama/diffinv_diorama/example"
NOTES = {"diffinv": '{"seed": 7}', "parameters": "a"}


def words(height: int = 60, width: int = 80, channels: int = 3) -> np.ndarray:
    shape = (height, width, channels) if channels > 1 else (height, width)
    return np.random.default_rng(0).integers(0, 65536, shape, np.uint16)


def write(path: Path, values: np.ndarray, orientation: int = 1) -> Path:
    if path.suffix == ".png":
        data = imagecodecs.png_encode(values)
        path.write_bytes(data)
        if orientation > 1:
            exif = Image.Exif()
            exif[0x0112] = orientation
            small = io.BytesIO()
            Image.new("RGB", (1, 1)).save(small, "PNG", exif=exif)
            path.write_bytes(sixteen_bit.png_of_sixteen(values, None, small.getvalue()))
    else:
        tags = [(0x0112, 3, 1, orientation, True), (0x010F, 2, 0, "Camera", True)]
        kind = "rgb" if values.ndim == 3 else "minisblack"
        tifffile.imwrite(path, values, photometric=kind, compression="lzw", extratags=tags)
    return path


def read(path: Path) -> np.ndarray:
    if path.suffix == ".png":
        return imagecodecs.png_decode(path.read_bytes())
    return tifffile.imread(path)


def change() -> Change:
    before = np.full((30, 40, 3), 0.3, np.float32)
    after = before.copy()
    after[10:20, 10:20] += 0.4
    return Change(before, after)


@pytest.mark.parametrize("source", [".png", ".tif"])
@pytest.mark.parametrize("target", ["png", "tiff"])
def test_what_is_not_changed_has_its_sixteen_bits(tmp_path, source, target):
    values = words()
    photograph = read_photograph(write(tmp_path / f"b{source}", values))
    assert np.array_equal(photograph.deep, values)
    path = tmp_path / ("r.png" if target == "png" else "r.tif")
    path.write_bytes(encoded(photograph.with_change(change()), target, 95, False, NOTES))
    made = read(path)
    assert made.dtype == np.uint16
    assert np.array_equal(made[:10], values[:10])
    assert not np.array_equal(made, values)
    with Image.open(path) as image:
        assert provenance_in(image) == {"seed": 7}
        if source == ".tif":
            assert image.getexif().get(0x010F) == "Camera"
    eight = np.asarray(Image.open(path).convert("RGB")).astype(int)
    plain = np.asarray(photograph.edited(change())).astype(int)
    assert np.abs(eight - plain).max() <= 1


@pytest.mark.parametrize("source", [".png", ".tif"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_they_are_upright(tmp_path, source, orientation):
    path = write(tmp_path / f"b{source}", words(), orientation)
    photograph = read_photograph(path)
    assert photograph.deep is not None
    assert photograph.deep.shape[1::-1] == photograph.size
    assert np.abs(photograph.deep // 257 - np.asarray(photograph.seen).astype(int)).max() <= 1


def test_grey_becomes_three_alike(tmp_path):
    values = words(channels=1)
    for name in ("b.png", "b.tif"):
        photograph = read_photograph(write(tmp_path / name, values))
        assert np.array_equal(photograph.deep, np.dstack([values] * 3))


def test_transparency_comes_along(tmp_path):
    values = words(channels=4)
    photograph = read_photograph(write(tmp_path / "b.png", values))
    (tmp_path / "r.png").write_bytes(encoded(photograph, "png", 95, False, {}))
    made = read(tmp_path / "r.png")
    assert np.array_equal(made[..., :3], values[..., :3])
    assert np.abs(made[..., 3].astype(int) - values[..., 3]).max() < 257


def test_a_profile_is_kept_and_the_change_converted(tmp_path):
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    wide = bytearray(profile.replace("sRGB".encode("utf-16-be"), "wide".encode("utf-16-be")))
    red, green = wide.find(b"rXYZ"), wide.find(b"gXYZ")
    wide[red : red + 4], wide[green : green + 4] = b"gXYZ", b"rXYZ"
    values = words()
    tifffile.imwrite(tmp_path / "b.tif", values, photometric="rgb", iccprofile=bytes(wide))
    photograph = read_photograph(tmp_path / "b.tif")
    result = photograph.with_change(change())
    (tmp_path / "r.tif").write_bytes(encoded(result, "tiff", 95, False, {}))
    made = read(tmp_path / "r.tif")
    assert np.array_equal(made[:10], values[:10])
    assert not np.array_equal(made, values)
    with Image.open(tmp_path / "r.tif") as image:
        assert image.info["icc_profile"] == bytes(wide)


def test_without_the_libraries_there_are_eight(tmp_path, monkeypatch):
    path = write(tmp_path / "b.png", words())
    monkeypatch.setattr(sixteen_bit, "find_spec", lambda _name: None)
    photograph = read_photograph(path)
    assert photograph.deep is None
    assert photograph.size == (80, 60)


def test_the_whole_way(tmp_path):
    model = diffinv.load("diorama", device="cpu")
    pair = EXAMPLE / "a.png", EXAMPLE / "a_prime.png"
    file = model.invert(*pair, steps=20, preview=0, progress=False).save(tmp_path / "d.safetensors")
    with Image.open(pair[0]) as image:
        values = np.asarray(image.convert("RGB").resize((192, 128))).astype(np.uint16) * 257 + 3
    write(tmp_path / "b.tif", values)
    report = run_application(
        ApplyRequest(
            ((str(file), 1.0),),
            (tmp_path / "b.tif",),
            tmp_path / "out",
            settings=ApplicationSettings(steps=6),
            save_masks=True,
        )
    )
    assert not report.failures
    made = read(report.outputs[0].output)
    assert made.shape == values.shape
    mask = np.asarray(Image.open(tmp_path / "out" / "masks" / "b.png"))
    assert (mask == 0).any()
    assert np.array_equal(made[mask == 0], values[mask == 0])
    assert not np.array_equal(made, values)
