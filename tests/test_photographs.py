"""Photographs come back as photographs: their size, format, colours and notes, and what is not
changed bit for bit."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms

import diffinv
from diffinv.cli.app import run
from diffinv.errors import UsageError
from diffinv.jobs.requests import ApplyRequest
from diffinv.jobs.tasks import run_application
from diffinv.method.settings import ApplicationSettings
from diffinv.pictures.blending import Change, blend
from diffinv.pictures.formats import encoded, format_of, provenance_in, suffix_for
from diffinv.pictures.framing import model_size, of_shape
from diffinv.pictures.photograph import Photograph, read_photograph
from diffinv.pictures.reading import upright_size
from diffinv.pictures.sizes import checked_size
from diffinv_diorama.render import render
from diffinv_diorama.world import analogies

EXAMPLE = Path(__file__).parent.parent / "plugins/diffinv-diorama/diffinv_diorama/example"
NOTES = {"diffinv": json.dumps({"seed": 7, "prompt": "a < b & ü"}), "parameters": "a\nSteps: 2"}
FORMATS = ["png", "jpeg", "webp", "avif", "tiff"]


def noise(width: int, height: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def change(side: int = 24, spot: slice = slice(8, 16), amount: float = 0.4) -> Change:
    """A model's picture in whose middle something got brighter."""
    before = np.full((side, side, 3), 0.3, np.float32)
    after = before.copy()
    after[spot, spot] += amount
    return Change(before, after)


@pytest.mark.parametrize("size", [(24, 24), (240, 160), (101, 307), (7, 5), (1, 1), (4000, 9)])
def test_what_is_not_changed_is_as_it_was_bit_for_bit(size):
    picture = noise(*size)
    result = blend(picture, change())
    assert result.shape == picture.shape
    height, width = picture.shape[:2]
    if min(size) > 50:
        away = np.ones((height, width), bool)
        away[height // 4 : -height // 4, width // 4 : -width // 4] = False
        assert (result[away] == picture[away]).all()
        middle = result[height // 2, width // 2].astype(int)
        wanted = np.minimum(picture[height // 2, width // 2] + 0.4 * 255, 255)
        assert np.abs(middle - wanted).max() <= 2
    assert (blend(picture, change(amount=0.0)) == picture).all()
    assert (blend(picture, change(), np.zeros(picture.shape[:2], np.uint8)) == picture).all()


def test_a_mask_of_zero_leaves_all_as_it_was():
    before, after = change().before, change().after
    masked = Change(before, after, np.zeros((3, 3), np.float32))
    assert (blend(noise(50, 40), masked) == noise(50, 40)).all()


def test_edges_follow_the_picture():
    """A change that goes with the picture's brightness keeps the full-size edge."""
    large = np.zeros((96, 96, 3), np.uint8) + 40
    large[:, 50:] = 200
    small = np.asarray(Image.fromarray(large).resize((12, 12), Image.Resampling.BOX)) / 255
    before = small.astype(np.float32)
    result = blend(large, Change(before, 1 - before)).astype(int)
    plain = np.asarray(Image.fromarray(255 - (small * 255).astype(np.uint8)).resize((96, 96)))
    errors = [np.abs(made - (255 - large)).mean() for made in (result, plain.astype(int))]
    assert errors[0] < errors[1] / 2


def test_strips_make_no_difference(monkeypatch):
    whole = blend(noise(300, 200), change())
    monkeypatch.setattr("diffinv.pictures.blending._STRIP", 300 * 7)
    assert np.abs(blend(noise(300, 200), change()).astype(int) - whole).max() <= 1


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_panorama_takes_bounded_memory():
    code = (
        "import re, numpy as np\n"
        "from diffinv.pictures.blending import Change, blend\n"
        "low = np.full((96, 128, 3), .3, np.float32); high = low.copy(); high[20:70, 20:90] += .3\n"
        "picture = np.zeros((9000, 12000, 3), np.uint8)\n"
        "assert (blend(picture, Change(low, high)) != picture).any()\n"
        # Of this process alone: getrusage counts that of whoever started it, too.
        "said = open('/proc/self/status').read()\n"
        "print(int(re.search(r'VmHWM:\\s+(\\d+)', said)[1]) // 1024)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    assert int(done.stdout) < 2000


@pytest.mark.parametrize(
    ("size", "multiple", "expected"),
    [
        ((4000, 3000), None, (512, 512)),
        ((4000, 3000), 64, (576, 448)),
        ((512, 512), 64, (512, 512)),
        ((100, 800), 8, (184, 1448)),
        ((8, 64), 64, (192, 1472)),
    ],
)
def test_the_size_at_which_a_model_sees_a_picture(size, multiple, expected):
    assert model_size(size, 512, multiple) == expected


def test_a_prime_is_cut_to_the_shape_of_a():
    assert of_shape(Image.new("RGB", (300, 200)), (100, 100)).size == (200, 200)
    assert of_shape(Image.new("RGB", (300, 200)), (603, 401)).size == (300, 200)


@pytest.mark.parametrize("size", [100, "100", "keep", "model"])
def test_sizes(size):
    assert checked_size(size) in (100, "keep", "model")


@pytest.mark.parametrize("size", ["", "big", 7, "0", 1.5, True, "１００", 10**6])
def test_what_is_no_size_is_refused(size):
    with pytest.raises(UsageError, match="A size is 'keep', 'model' or"):
        checked_size(size)


@pytest.mark.parametrize("format", FORMATS)
def test_each_format_keeps_the_notes_and_says_how_it_was_made(tmp_path, format):
    source = tmp_path / "b.jpg"
    exif = Image.Exif()
    exif[0x010F], exif[0x0112] = "Camera", 6
    Image.fromarray(noise(60, 40)).save(source, exif=exif.tobytes(), quality=80)
    photograph = read_photograph(source)
    assert photograph.size == upright_size(source) == (40, 60)
    path = tmp_path / f"r.{format}"
    path.write_bytes(encoded(photograph, format, 95, False, NOTES))
    with Image.open(path) as image:
        image.load()
        assert image.size == (40, 60)
        assert image.format == format.upper()
        assert provenance_in(image) == {"seed": 7, "prompt": "a < b & ü"}
        assert image.getexif().get(0x010F) == "Camera"
        assert image.getexif().get(0x0112) in (None, 1)
    path.write_bytes(encoded(photograph, format, 95, True, {}))
    with Image.open(path) as image:
        assert provenance_in(image) is None
        assert image.getexif().get(0x010F) is None


@pytest.mark.parametrize("exif", [b"Exif\0\0MM\0*\xff\xff\xff\xff", b"junk", bytes(70_000)])
@pytest.mark.parametrize("format", FORMATS)
def test_notes_that_cannot_be_kept_are_no_reason_to_fail(tmp_path, exif, format):
    picture = Image.fromarray(noise(40, 40))
    picture.save(tmp_path / "b.png", exif=exif)
    photograph = read_photograph(tmp_path / "b.png")
    for photo in (photograph, Photograph(picture, picture, exif=exif)):
        path = tmp_path / f"r.{format}"
        path.write_bytes(encoded(photo, format, 95, False, NOTES))
        with Image.open(path) as image:
            image.load()
            assert provenance_in(image) == {"seed": 7, "prompt": "a < b & ü"}


@pytest.mark.parametrize("format", FORMATS)
def test_what_a_tiff_says_of_the_camera_comes_along(tmp_path, format):
    exif = Image.Exif()
    exif[0x010F], exif[0x0132] = "Camera", "2026:01:02 03:04:05"
    exif[0x8769] = {0x829A: 0.5}
    whole = Image.Exif()
    whole.load(exif.tobytes())
    Image.fromarray(noise(60, 40)).save(tmp_path / "b.tif", tiffinfo=whole)
    photograph = read_photograph(tmp_path / "b.tif")
    path = tmp_path / f"r.{format}"
    path.write_bytes(encoded(photograph, format, 95, False, NOTES))
    with Image.open(path) as image:
        image.load()
        said = image.getexif()
        assert (said.get(0x010F), said.get(0x0132)) == ("Camera", "2026:01:02 03:04:05")
        assert float(said.get_ifd(0x8769)[0x829A]) == 0.5


def test_the_parameters_are_where_other_programs_look(tmp_path):
    photograph = Photograph(*[Image.fromarray(noise(40, 40))] * 2)
    path = tmp_path / "r.png"
    path.write_bytes(encoded(photograph, "png", 95, False, NOTES))
    with Image.open(path) as image:
        assert image.text["parameters"] == "a\nSteps: 2"
    path.write_bytes(encoded(photograph, "jpeg", 95, False, NOTES))
    with Image.open(path) as image:
        comment = image.getexif().get_ifd(0x8769)[0x9286]
        assert comment == b"UNICODE\0" + "a\nSteps: 2".encode("utf-16-be")


def test_a_jpeg_is_compressed_as_it_was(tmp_path):
    """So what was not changed comes back nearly the same."""
    source = tmp_path / "b.jpg"
    render(analogies(1, 0)[0].b, 1, 160, 160).save(source, quality=71, subsampling=2)
    photograph = read_photograph(source)
    again = tmp_path / "r.jpg"
    again.write_bytes(encoded(photograph, "jpeg", 95, False, {}))
    with Image.open(source) as one, Image.open(again) as other:
        assert one.quantization == other.quantization
        difference = np.abs(np.asarray(one).astype(int) - np.asarray(other))
    assert difference.mean() < 1.5


@pytest.mark.parametrize("profile", [None, b"a profile"])
def test_a_webp_that_lost_nothing_loses_nothing(tmp_path, profile):
    for name, options in (("one.webp", {"lossless": True}), ("two.webp", {"quality": 95})):
        picture = Image.fromarray(noise(60, 40))
        picture.save(tmp_path / name, icc_profile=profile, **options)
        photograph = read_photograph(tmp_path / name)
        assert photograph.lossless == ("lossless" in options)
        data = encoded(photograph, "webp", 95, False, NOTES)
        with Image.open(io.BytesIO(data)) as image:
            same = np.array_equal(np.asarray(image.convert("RGB")), np.asarray(photograph.own))
        assert same == photograph.lossless


def test_a_film_says_that_its_first_frame_is_used(model, difference, tmp_path):
    frames = [Image.fromarray(noise(40, 40, seed)) for seed in range(3)]
    folder = tmp_path / "b"
    folder.mkdir()
    frames[0].save(folder / "film.gif", save_all=True, append_images=frames[1:])
    frames[0].save(folder / "still.gif")
    file, heard = difference.save(tmp_path / "d.safetensors"), []
    settings = ApplicationSettings(steps=1)
    request = ApplyRequest(((str(file), 1.0),), (folder,), tmp_path / "out", settings=settings)
    run_application(request, heard.append)
    warnings = [event.warning for event in heard if event.warning]
    films = [warning for warning in warnings if "film" in warning]
    assert films == ["film.gif is a film; only its first frame is used."]


def test_other_colours_stay_other_colours(tmp_path):
    """A profile is kept, what is unchanged has its own bits, and what is changed is converted."""
    wide = _wide_gamut()
    path = tmp_path / "b.png"
    Image.fromarray(noise(96, 96)).save(path, icc_profile=wide)
    photograph = read_photograph(path)
    assert photograph.profile == wide
    result = np.asarray(photograph.edited(change()))
    own = noise(96, 96)
    assert (result[:20] == own[:20]).all()
    assert (result != own).any()
    data = encoded(photograph.with_change(change()), "png", 95, False, {})
    (tmp_path / "r.png").write_bytes(data)
    with Image.open(tmp_path / "r.png") as image:
        assert image.info["icc_profile"] == wide


def _wide_gamut() -> bytes:
    """sRGB's profile with red and green exchanged, which is surely another."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    text = profile.find("sRGB".encode("utf-16-be"))
    while text >= 0:
        profile[text : text + 8] = "wide".encode("utf-16-be")
        text = profile.find("sRGB".encode("utf-16-be"))
    red, green = profile.find(b"rXYZ"), profile.find(b"gXYZ")
    profile[red : red + 4], profile[green : green + 4] = b"gXYZ", b"rXYZ"
    return bytes(profile)


def test_transparency_is_kept(tmp_path):
    path = tmp_path / "b.png"
    rgba = np.dstack([noise(96, 96), noise(96, 96, 1)[..., :1]])
    Image.fromarray(rgba).save(path)
    result = np.asarray(read_photograph(path).edited(change()))
    assert result.shape == (96, 96, 4)
    assert (result[..., 3] == rgba[..., 3]).all()
    assert (result[:20] == rgba[:20]).all()


@pytest.mark.parametrize(
    ("suffix", "wanted", "expected"),
    [
        (".JPG", "same", ".JPG"),
        (".jpeg", "jpeg", ".jpeg"),
        (".heic", "same", ".png"),
        (".gif", "same", ".png"),
        (".jpg", "png", ".png"),
        (".tiff", "same", ".tiff"),
    ],
)
def test_the_suffix_says_the_format(suffix, wanted, expected):
    assert suffix_for(suffix, wanted) == expected
    assert format_of(expected, "same") == format_of(suffix, wanted)


@pytest.fixture(scope="module")
def model():
    return diffinv.load("diorama", device="cpu")


@pytest.fixture(scope="module")
def difference(model):
    return model.invert(
        EXAMPLE / "a.png", EXAMPLE / "a_prime.png", steps=40, preview=0, progress=False
    )


@pytest.fixture
def photographs(tmp_path):
    folder = tmp_path / "photographs"
    folder.mkdir()
    scene = analogies(1, 0)[0].b
    render(scene, 1, 480, 320).save(folder / "wide.png")
    render(scene, 2, 200, 300).save(folder / "tall.jpg")
    render(scene, 3, 257, 255).save(folder / "odd.webp", lossless=True)
    render(scene, 4, 96, 96).convert("L").save(folder / "grey.tif")
    return folder


def test_a_folder_comes_back_in_its_own_sizes_and_formats(
    model, difference, photographs, tmp_path, capsys
):
    file = difference.save(tmp_path / "d.safetensors")
    settings = ApplicationSettings(steps=4)
    out = tmp_path / "out"
    report = run_application(
        ApplyRequest(((str(file), 1.0),), (photographs,), out, settings=settings, device="cpu")
    )
    assert not report.failures
    for done in report.outputs:
        assert done.output.name == done.input.name
        with Image.open(done.input) as b, Image.open(done.output) as made:
            assert (b.size, b.format) == (made.size, made.format)
        assert run(["show", str(done.output), "--json"]) == 0
        said = json.loads(capsys.readouterr().out)
        assert said["source"]["name"] == done.input.name
        assert said["difference"][0]["hash_sha256"] == difference.info.hash_sha256
        assert str(tmp_path) not in json.dumps(said)
    options = {"num_inference_steps": 4, "batch": 4, "progress": False}
    names = sorted(photographs.iterdir(), key=lambda p: [r.input for r in report.outputs].index(p))
    made = model.apply(difference, names, **options)
    wide = next(i for i, path in enumerate(names) if path.suffix == ".png")
    with Image.open(out / "wide.png") as image:
        assert np.array_equal(np.asarray(image), np.asarray(made[wide]))


def test_strength_zero_changes_nothing_and_sizes_are_as_asked(model, difference, photographs):
    options = {"num_inference_steps": 2, "progress": False}
    path = photographs / "wide.png"
    with Image.open(path) as image:
        same = model.apply(difference, path, strength=0.0, **options)
        assert np.array_equal(np.asarray(same), np.asarray(image))
    assert model.apply(difference, path, size="model", **options).size == (120, 80)
    assert model.apply(difference, path, size=240, **options).size == (240, 160)
    assert model.apply(difference, path, size=2000, **options).size == (480, 320)
    with pytest.raises(UsageError, match="A size is"):
        model.apply(difference, path, size="huge", **options)


def test_what_says_nothing_is_said_to(photographs, capsys):
    assert run(["show", str(photographs / "wide.png")]) == 1
    assert "does not say how it was made" in capsys.readouterr().err
    assert run(["show", str(photographs / "nothing.png")]) == 2


@pytest.mark.parametrize("size", ["keep", "170", "model"])
def test_pictures_of_all_shapes_go_through_a_model_that_takes_them(
    model, difference, photographs, tmp_path, monkeypatch, size
):
    """Batches are cut by shape, whatever the header, the size asked for and rounding say."""
    monkeypatch.setattr(model.backbone, "size_multiple", 8, raising=False)
    monkeypatch.setattr("diffinv.jobs.tasks.model_of", lambda *_: model)
    for i in range(6):
        render(analogies(1, 0)[0].b, i, 301 - 7 * i, 199 + 5 * i).save(photographs / f"{i}.png")
    file = difference.save(tmp_path / "d.safetensors")
    request = ApplyRequest(
        ((str(file), 1.0),),
        (photographs,),
        tmp_path / "out",
        settings=ApplicationSettings(steps=2),
        size=size,
    )
    report = run_application(request)
    assert not report.failures
    assert len(report.outputs) == 10
    for done in report.outputs:
        with Image.open(done.input) as b, Image.open(done.output) as made:
            if size == "keep":
                assert made.size == b.size
            elif size == "170":
                assert max(made.size) == min(170, max(b.size))
            else:
                assert all(side % 8 == 0 for side in made.size)


def test_the_model_s_own_picture_has_no_profile_of_b_s(tmp_path):
    path = tmp_path / "b.png"
    Image.fromarray(noise(96, 96)).save(path, icc_profile=_wide_gamut())
    made = read_photograph(path).as_model(change())
    assert (made.profile, made.size) == (None, (24, 24))
