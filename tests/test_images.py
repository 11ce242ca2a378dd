"""Pictures of every kind open as they look; everything else is refused in one sentence."""

from __future__ import annotations

import contextlib
import io
import os
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms

from diffinv.errors import DiffinvError, UsageError
from diffinv.pictures import contact_sheet as sheets
from diffinv.pictures.contact_sheet import contact_sheet
from diffinv.pictures.framing import framing_warning, to_model, unlike_warning
from diffinv.pictures.reading import list_images, open_image, pixel_hash
from diffinv.pictures.writing import from_webp, save_png, to_webp


def gradient(width: int = 32, height: int = 24) -> Image.Image:
    x = np.linspace(0, 255, width)[None, :].repeat(height, 0)
    y = np.linspace(0, 255, height)[:, None].repeat(width, 1)
    return Image.fromarray(np.stack([x, y, 255 - x], axis=-1).astype(np.uint8))


def saved(folder: Path, image: Image.Image, name: str = "x.png", **options) -> Path:
    path = folder / name
    image.save(path, **options)
    return path


def pixels(image: Image.Image) -> np.ndarray:
    return np.asarray(image).astype(int)


def png(width: int, height: int, depth: int, colour: int, rows: bytes) -> bytes:
    """A PNG by hand, for what Pillow does not write."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    chunks = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunks


# What opens


@pytest.mark.parametrize("suffix", ["png", "bmp", "tiff", "ppm"])
def test_lossless_formats_keep_their_pixels(tmp_path, suffix):
    path = saved(tmp_path, gradient(), f"x.{suffix}")
    image = open_image(path)
    assert image.mode == "RGB"
    assert np.array_equal(pixels(image), pixels(gradient()))


@pytest.mark.parametrize("suffix", ["jpg", "webp", "avif"])
def test_lossy_formats_look_the_same(tmp_path, suffix):
    image = open_image(saved(tmp_path, gradient(), f"x.{suffix}", quality=95))
    assert image.size == (32, 24)
    assert np.abs(pixels(image) - pixels(gradient())).mean() < 8


def test_photographs_of_telephones_are_read_or_named(tmp_path):
    import pillow_heif

    pillow_heif.register_heif_opener()
    image = gradient(64, 48)
    path = saved(tmp_path, image, "x.HEIC", quality=95)
    assert list_images(tmp_path) == [path]
    assert np.abs(pixels(open_image(path)).astype(int) - pixels(image)).mean() < 6
    code = (
        "import sys; sys.modules['pillow_heif'] = None; from pathlib import Path; "
        "from diffinv.pictures.reading import open_image; open_image(Path(sys.argv[1]))"
    )
    done = subprocess.run([sys.executable, "-c", code, path], capture_output=True, text=True)
    assert "is a HEIC photograph" in done.stderr
    assert "pip install 'diffinv[photo]'." in done.stderr


def test_what_counts_is_the_content_not_the_suffix(tmp_path):
    path = saved(tmp_path, gradient(), "x.dat", format="PNG")
    assert open_image(path).size == (32, 24)


@pytest.mark.parametrize("suffix", ["png", "tiff", "pgm"])
def test_16_bit_grey_is_scaled_not_clipped(tmp_path, suffix):
    ramp = np.linspace(0, 65535, 64).astype(np.uint16)[None].repeat(16, 0)
    image = open_image(saved(tmp_path, Image.fromarray(ramp), f"x.{suffix}"))
    assert np.abs(pixels(image)[0, :, 0] - np.linspace(0, 255, 64)).max() <= 1


def test_16_bit_colour_is_scaled(tmp_path):
    row = b"\0" + struct.pack(">HHH", 65535, 32896, 0) * 16
    path = tmp_path / "x.png"
    path.write_bytes(png(16, 16, 16, 2, row * 16))
    assert open_image(path).getpixel((5, 5)) == (255, 128, 0)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (np.full((8, 8), 0.5, np.float32), 128),
        (np.full((8, 8), 200.0, np.float32), 200),
        (np.full((8, 8), 32896.0, np.float32), 128),
        (np.full((8, 8), np.nan, np.float32), 0),
        (np.full((8, 8), 32896, np.int32), 128),
    ],
)
def test_floats_and_integers_take_the_range_that_holds_them(tmp_path, values, expected):
    image = open_image(saved(tmp_path, Image.fromarray(values), "x.tiff"))
    assert image.getpixel((3, 3)) == (expected,) * 3


def test_values_beyond_any_usual_range_are_stretched(tmp_path):
    values = np.linspace(-10, 10, 64, dtype=np.float32).reshape(8, 8)
    image = open_image(saved(tmp_path, Image.fromarray(values), "x.tiff"))
    assert image.getextrema() == ((0, 255),) * 3


@pytest.mark.parametrize(("mode", "name"), [("CMYK", "x.jpg"), ("CMYK", "x.tiff")])
def test_cmyk_keeps_its_colour(tmp_path, mode, name):
    red = Image.new("RGB", (16, 16), (220, 30, 20)).convert(mode)
    pixel = open_image(saved(tmp_path, red, name)).getpixel((8, 8))
    assert np.abs(np.subtract(pixel, (220, 30, 20))).max() <= 6


@pytest.mark.parametrize("mode", ["1", "L", "P"])
def test_few_colours(tmp_path, mode):
    half = Image.new("RGB", (16, 16), "white")
    half.paste("black", (0, 0, 8, 16))
    image = open_image(saved(tmp_path, half.convert(mode)))
    assert image.mode == "RGB"
    assert image.getpixel((2, 2)) == (0, 0, 0)
    assert image.getpixel((12, 2)) == (255, 255, 255)


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_transparency_is_laid_on_white(tmp_path, mode):
    image = Image.new("RGBA", (16, 16), (0, 0, 0, 0))
    image.paste((0, 0, 0, 128), (0, 0, 8, 16))
    opened = open_image(saved(tmp_path, image.convert(mode)))
    assert opened.getpixel((12, 2)) == (255, 255, 255)
    assert opened.getpixel((2, 2)) == (127, 127, 127)


def test_transparent_palette_is_laid_on_white(tmp_path):
    image = Image.new("P", (16, 16), 1)
    image.putpalette([255, 0, 0, 0, 0, 255])
    image.paste(0, (0, 0, 8, 16))
    opened = open_image(saved(tmp_path, image, transparency=1))
    assert opened.getpixel((2, 2)) == (255, 0, 0)
    assert opened.getpixel((12, 2)) == (255, 255, 255)


@pytest.mark.parametrize("name", ["x.gif", "x.webp", "x.png", "x.tiff"])
def test_of_an_animation_the_first_frame_is_taken(tmp_path, name):
    frames = [Image.new("RGB", (16, 16), c) for c in ("red", "blue", "green")]
    options = {"lossless": True} if name == "x.webp" else {}
    path = saved(tmp_path, frames[0], name, save_all=True, append_images=frames[1:], **options)
    with Image.open(path) as image:
        assert image.n_frames == 3
    assert open_image(path).getpixel((8, 8)) == (255, 0, 0)


@pytest.mark.parametrize("name", ["x.jpg", "x.png", "x.webp"])
def test_camera_orientation_is_applied(tmp_path, name):
    image = Image.new("RGB", (32, 16), "black")
    image.paste("white", (0, 0, 8, 16))
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned clockwise: its left side is its top
    opened = open_image(saved(tmp_path, image, name, exif=exif))
    assert opened.size == (16, 32)
    assert min(opened.getpixel((8, 2))) > 240
    assert max(opened.getpixel((8, 30))) < 15


def test_damaged_exif_does_not_matter(tmp_path):
    path = saved(tmp_path, gradient(), "x.jpg", exif=b"Exif\0\0MM\0\x2a\xff\xff\xff\xff junk")
    assert open_image(path).size == (32, 24)


def swapped_profile() -> bytes:
    """The sRGB profile with red and blue exchanged and another name."""
    data = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    count = int.from_bytes(data[128:132], "big")
    starts = {bytes(data[at : at + 4]): at for at in range(132, 132 + 12 * count, 12)}
    red, blue = starts[b"rXYZ"], starts[b"bXYZ"]
    data[red : red + 4], data[blue : blue + 4] = b"bXYZ", b"rXYZ"
    return bytes(data).replace("sRGB".encode("utf-16-be"), "swap".encode("utf-16-be"))


def test_colour_profile_is_converted(tmp_path):
    image = Image.new("RGB", (16, 16), (255, 0, 0))
    path = saved(tmp_path, image, icc_profile=swapped_profile())
    r, g, b = open_image(path).getpixel((8, 8))
    assert r < 10
    assert g < 10
    assert b > 245


def test_colour_profile_is_converted_below_transparency(tmp_path):
    image = Image.new("RGBA", (16, 16), (255, 0, 0, 255))
    image.paste((0, 0, 0, 0), (0, 0, 8, 16))
    opened = open_image(saved(tmp_path, image, icc_profile=swapped_profile()))
    assert opened.getpixel((2, 2)) == (255, 255, 255)
    assert opened.getpixel((12, 2))[2] > 245


@pytest.mark.parametrize(
    "profile",
    [b"junk", ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()],
    ids=["junk", "srgb"],
)
def test_broken_and_srgb_profiles_leave_the_pixels(tmp_path, profile):
    path = saved(tmp_path, gradient(), icc_profile=profile)
    assert np.array_equal(pixels(open_image(path)), pixels(gradient()))


# What is refused


def refused(path: Path) -> str:
    with pytest.raises(DiffinvError) as caught:
        open_image(path)
    message = str(caught.value)
    assert path.name in message
    assert message.endswith(".")
    assert "\n" not in message
    return message


def test_missing_file_and_folder_are_usage_errors(tmp_path):
    with pytest.raises(UsageError, match=r"nowhere\.png does not exist"):
        open_image(tmp_path / "nowhere.png")
    with pytest.raises(UsageError, match="is a folder"):
        open_image(tmp_path)
    with pytest.raises(DiffinvError, match="name too long"):
        open_image(tmp_path / ("x" * 300))


def test_a_pipe_is_refused_and_does_not_hang(tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    assert "not a regular file" in refused(tmp_path / "pipe.png")


def test_zero_bytes(tmp_path):
    (tmp_path / "x.png").touch()
    assert "empty" in refused(tmp_path / "x.png")


@pytest.mark.parametrize("content", [b"hello", b"%!PS-Adobe-3.0 EPSF-3.0\n", b"<svg/>", b"\0" * 99])
def test_not_a_picture(tmp_path, content):
    path = tmp_path / "x.png"
    path.write_bytes(content)
    assert "not a picture" in refused(path)


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "gif", "bmp", "tiff", "ppm"])
def test_truncated(tmp_path, suffix):
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    path = saved(tmp_path, Image.fromarray(noise), f"x.{suffix}")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert "damaged" in refused(path)


def test_damaged_inside(tmp_path):
    path = saved(tmp_path, gradient())
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    path.write_bytes(data)
    assert "damaged" in refused(path)


@pytest.mark.parametrize("size", [(1, 1), (7, 100), (100, 7)])
def test_too_small(tmp_path, size):
    assert "too small" in refused(saved(tmp_path, Image.new("RGB", size)))


@pytest.mark.parametrize(
    ("size", "says"),
    [
        ((30_000, 100), "more than 20000 on a side"),
        ((13_100, 13_100), "megapixels"),
        ((60_000, 60_000), "too many pixels"),
        ((900, 100), "times as long"),
        ((100, 900), "times as long"),
    ],
)
def test_too_large_is_refused_before_any_pixel_is_decoded(tmp_path, size, says):
    path = tmp_path / "x.png"
    path.write_bytes(png(*size, 8, 2, b""))  # would be called damaged if it were decoded
    assert says in refused(path)


def test_the_limits_themselves_are_accepted(tmp_path):
    assert open_image(saved(tmp_path, Image.new("L", (8, 8)))).size == (8, 8)
    assert open_image(saved(tmp_path, Image.new("L", (800, 100)))).size == (800, 100)


def test_control_characters_of_a_file_name_are_not_printed(tmp_path):
    path = tmp_path / "a\x1b[31mb.png"
    path.touch()
    with pytest.raises(DiffinvError) as caught:
        open_image(path)
    assert "\x1b" not in str(caught.value)


# Framing


def test_a_picture_of_the_model_s_size_keeps_its_pixels():
    image = gradient(24, 24)
    assert np.array_equal(pixels(to_model(image, (24, 24))), pixels(image))


def test_framing_warning_only_where_shapes_differ():
    a = gradient(100, 50)
    assert framing_warning(a, gradient(200, 100)) is None
    assert framing_warning(a, gradient(201, 100)) is None
    warning = framing_warning(a, gradient(50, 100))
    assert warning is not None
    assert "100 x 50 and 50 x 100" in warning


def test_pictures_of_one_scene_are_alike_and_of_two_are_not():
    from diffinv_diorama.render import render
    from diffinv_diorama.world import analogies

    examples = analogies(40, seed=1)
    pairs = [(render(e.a, e.seed_a), render(e.a_prime, e.seed_a)) for e in examples]
    assert [pair for pair in pairs if unlike_warning(*pair)] == []
    strangers = [(a, b) for (a, _), (b, _) in zip(pairs, pairs[1:], strict=False)]
    warned = [warning for pair in strangers if (warning := unlike_warning(*pair))]
    assert len(warned) > len(strangers) // 2
    assert "hardly alike" in warned[0]


def test_flat_and_small_pictures_say_nothing_of_likeness():
    assert unlike_warning(Image.new("RGB", (9, 9), "red"), Image.new("RGB", (9, 9), "blue")) is None
    assert unlike_warning(gradient(), gradient()) is None
    assert unlike_warning(gradient(1, 1), gradient(300, 2)) is None


def test_list_images_is_recursive_natural_and_skips_the_hidden(tmp_path):
    names = ["b10.png", "b2.JPG", "sub/a.webp", ".hidden.png", ".git/x.png", "notes.txt", "B1.tif"]
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    found = [str(path.relative_to(tmp_path)) for path in list_images(tmp_path)]
    assert found == ["B1.tif", "b2.JPG", "b10.png", "sub/a.webp"]


def test_list_images_of_nothing(tmp_path):
    assert list_images(tmp_path) == []
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="is not a folder"):
        list_images(tmp_path / "file")
    with pytest.raises(UsageError, match="does not exist"):
        list_images(tmp_path / "nowhere")


# Keeping


def test_pixel_hash_depends_on_pixels_and_shape_alone(tmp_path):
    image = gradient()
    hashes = {pixel_hash(open_image(saved(tmp_path, image, name))) for name in ("x.png", "x.bmp")}
    assert hashes == {pixel_hash(image)}
    black = [Image.new("RGB", size) for size in ((8, 16), (16, 8))]
    assert pixel_hash(black[0]) != pixel_hash(black[1])
    black[1].putpixel((0, 0), (0, 0, 1))
    assert pixel_hash(black[1]) != pixel_hash(Image.new("RGB", (16, 8)))


def test_thumbnail_shrinks_and_never_enlarges():
    assert from_webp(to_webp(gradient(1024, 512))).size == (256, 128)
    small = from_webp(to_webp(gradient(96, 96)))
    assert small.size == (96, 96)
    assert np.abs(pixels(small) - pixels(gradient(96, 96))).mean() < 8


def test_a_thumbnail_is_not_trusted():
    stream = io.BytesIO()
    Image.new("RGB", (4000, 16)).save(stream, "WEBP")
    other = io.BytesIO()
    gradient().save(other, "PNG")
    for data in (b"", b"junk", to_webp(gradient())[:40], stream.getvalue(), other.getvalue()):
        with pytest.raises(DiffinvError, match="thumbnail is damaged"):
            from_webp(data)


def test_save_png_replaces_whole_files_and_leaves_nothing_else(tmp_path):
    path = tmp_path / "new" / "x.png"
    save_png(Image.new("RGB", (8, 8)), path)
    save_png(gradient(), path)
    assert np.array_equal(pixels(open_image(path)), pixels(gradient()))
    assert list(path.parent.iterdir()) == [path]


def test_save_png_where_nothing_can_be_written(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(DiffinvError, match=r"Cannot write .*x\.png"):
        save_png(gradient(), tmp_path / "file" / "x.png")
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(DiffinvError, match=r"Cannot write .*folder\.png"):
        save_png(gradient(), tmp_path / "folder.png")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file", "folder.png"]


# Contact sheet


def holds(sheet: Image.Image, colour: tuple[int, int, int]) -> int:
    """How many pixels of the sheet have a colour."""
    return int((np.asarray(sheet) == colour).all(-1).sum())


@pytest.mark.parametrize("count", [0, 1, 4, 5, 12])
def test_contact_sheet_shows_every_picture(count):
    rng = np.random.default_rng(count)
    colours = [tuple(int(v) for v in rng.integers(10, 200, 3)) for _ in range(2 * count + 2)]
    tiles = [Image.new("RGB", (96, 96), colour) for colour in colours]
    pairs = list(zip(tiles[::2], tiles[1::2], strict=True))
    sheet = contact_sheet(*pairs[0], pairs[1:], "cabin → castle")
    for colour in colours:
        assert holds(sheet, colour) > 190 * 190
    assert sheet.width < 2500


def test_contact_sheet_takes_any_shape_and_any_title():
    image = gradient(300, 100)
    plain = contact_sheet(image, image, [(image, image)], "short")
    title = "a\n\x1b[31m very long title 城 " * 40
    assert contact_sheet(image, image, [(image, image)], title).size == plain.size


def test_contact_sheet_draws_its_title():
    image = gradient()
    empty = contact_sheet(image, image, [], "")
    assert holds(contact_sheet(image, image, [], "A title"), sheets.INK) > holds(empty, sheets.INK)


def test_nothing_here_imports_torch():
    code = (
        "import sys; from diffinv import difference; "
        "from diffinv.pictures import contact_sheet, framing, reading, writing; "
        "from diffinv.system import files, paths, text; "
        "import diffinv.storage.store; print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_what_libtiff_says_of_a_damaged_file_is_not_heard(tmp_path, capfd):
    path = tmp_path / "damaged.tif"
    Image.effect_noise((64, 64), 80).save(path, compression="tiff_lzw")
    data = bytearray(path.read_bytes())
    data[200:1200] = b"\xff" * 1000
    path.write_bytes(data)
    with contextlib.suppress(DiffinvError):
        open_image(path)
    assert capfd.readouterr() == ("", "")
