"""HEIC, JPEG XL and RAW: read where their libraries are, named with the way to get them if not."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from raw_file import write_dng

from diffinv.errors import DiffinvError
from diffinv.jobs.requests import ApplyRequest
from diffinv.jobs.tasks import run_application
from diffinv.method.settings import ApplicationSettings
from diffinv.pictures import extra_formats
from diffinv.pictures.photograph import read_photograph
from diffinv.pictures.reading import list_images, open_image, upright_size

EXAMPLE = Path(__file__).parent.parent / "plugins/diffinv-diorama/diffinv_diorama/example"


def halves(width: int = 64, height: int = 48) -> np.ndarray:
    """Red at the left, blue at the right."""
    picture = np.zeros((height, width, 3), np.uint8)
    picture[:, : width // 2, 0] = 180
    picture[:, width // 2 :, 2] = 180
    return picture


@pytest.mark.parametrize("name", ["b.heic", "b.jxl"])
def test_files_of_phones_are_read(tmp_path, name):
    extra_formats.register_openers()
    path = tmp_path / name
    exif = Image.Exif()
    exif[0x0110] = "Phone"
    Image.fromarray(halves()).save(path, exif=exif.tobytes(), quality=95)
    photograph = read_photograph(path)
    assert photograph.size == upright_size(path) == (64, 48)
    assert np.abs(np.asarray(photograph.seen).astype(int) - halves()).mean() < 6
    said = Image.Exif()
    said.load(photograph.exif)
    assert said[0x0110] == "Phone"
    assert list_images(tmp_path) == [path]


@pytest.mark.parametrize(("orientation", "size"), [(1, (64, 48)), (6, (48, 64)), (3, (64, 48))])
def test_raw_files_are_developed(tmp_path, orientation, size):
    path = tmp_path / "b.DNG"
    write_dng(path, halves(), orientation)
    photograph = read_photograph(path)
    assert photograph.size == upright_size(path) == size
    pixels = np.asarray(photograph.seen).astype(int)
    left = pixels[:, :24] if orientation == 1 else pixels[:16] if orientation == 6 else None
    if left is not None:
        assert (left[4:-4, 4:-4, 0] > left[4:-4, 4:-4, 2] + 50).all()
    said = Image.Exif()
    said.load(photograph.exif)
    assert (said[0x010F], said[0x0110], said[0x0132]) == (
        "Maker",
        "Camera One",
        "2026:05:04 03:02:01",
    )
    assert 0x0112 not in said


@pytest.mark.parametrize("content", [b"", b"II*\0nothing", b"\0" * 4096])
def test_damaged_raw_files_are_named(tmp_path, content, capfd):
    path = tmp_path / "b.cr2"
    path.write_bytes(content)
    with pytest.raises(DiffinvError, match=r"b\.cr2 is (damaged|empty)"):
        open_image(path)
    assert upright_size(path) is None
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("name", "module", "what"),
    [
        ("b.heic", "pillow_heif", "a HEIC photograph"),
        ("b.jxl", "pillow_jxl", "a JPEG XL picture"),
        ("b.nef", "rawpy", "a camera's RAW file"),
    ],
)
def test_a_missing_library_is_named(tmp_path, monkeypatch, name, module, what):
    for format in ("HEIF", "JXL"):
        monkeypatch.delitem(Image.OPEN, format, raising=False)
    monkeypatch.setitem(sys.modules, module, None)
    extra_formats.register_openers.cache_clear()
    extra_formats._has_rawpy.cache_clear()
    (tmp_path / name).write_bytes(b"\0\0\0\x18ftypheic" + b"\0" * 99)
    try:
        with pytest.raises(DiffinvError, match=rf"is {what}, which needs one more .*\[photo\]"):
            open_image(tmp_path / name)
    finally:
        monkeypatch.undo()
        extra_formats.register_openers.cache_clear()
        extra_formats._has_rawpy.cache_clear()
        extra_formats.register_openers()


def test_raw_and_jpeg_xl_come_back_as_png(tmp_path, model, difference):
    folder = tmp_path / "b"
    folder.mkdir()
    with Image.open(EXAMPLE / "a.png") as image:
        picture = np.asarray(image.convert("RGB").resize((120, 80)))
    write_dng(folder / "one.dng", picture)
    extra_formats.register_openers()
    Image.fromarray(picture).save(folder / "two.jxl", lossless=True)
    file = difference.save(tmp_path / "d.safetensors")
    settings = ApplicationSettings(steps=2)
    report = run_application(
        ApplyRequest(((str(file), 1.0),), (folder,), tmp_path / "out", settings=settings)
    )
    assert not report.failures
    assert sorted(o.output.name for o in report.outputs) == ["one.png", "two.png"]
    for output in report.outputs:
        with Image.open(output.output) as made:
            assert made.size == (120, 80)
            assert (made.getexif().get(0x0110) == "Camera One") == (output.input.suffix == ".dng")


@pytest.fixture
def model():
    import diffinv

    return diffinv.load("diorama", device="cpu")


@pytest.fixture
def difference(model):
    return model.invert(
        EXAMPLE / "a.png", EXAMPLE / "a_prime.png", steps=2, preview=0, progress=False
    )
