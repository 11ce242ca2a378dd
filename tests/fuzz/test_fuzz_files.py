"""Damaged files of every kind: what is read from them is right, or one of our errors.

A minute in CI; for hours: ``pytest tests/fuzz -n0 --hypothesis-profile hours``.
"""

from __future__ import annotations

import contextlib
import io
import json
import tempfile
from pathlib import Path

import numpy as np
from hypothesis import example, given
from hypothesis import strategies as st
from PIL import Image

from diffinv.difference import Difference, DifferenceInfo, load, read_info, to_bytes
from diffinv.errors import DiffinvError
from diffinv.jobs.manifest import FILE, Manifest, stamp_of
from diffinv.pictures.reading import open_image
from diffinv.plugins.switches import switched_off
from diffinv.running.progress import AppliedImage
from diffinv.storage.names import checked_name, parse_strength
from diffinv.storage.store import Library
from diffinv.system.files import atomic_write
from diffinv.system.paths import data_folder
from diffinv_tui.config import load_preferences, save_preferences

DIFFERENCE = to_bytes(
    Difference(
        DifferenceInfo(
            name="castle",
            backbone="diorama",
            backbone_weights="abc",
            token_space="additive",
            tags=("a",),
            captions=(("a", "b"),),
        ),
        tokens=np.ones((1, 8), np.float32),
        delta=np.zeros(8, np.float32),
        losses=np.ones((4, 3), np.float32),
    )
)[0]


def _picture(kind: str, **options: object) -> bytes:
    data = io.BytesIO()
    noise = Image.effect_noise((40, 30), 60).convert("RGB")
    noise.save(data, kind, **options)
    return data.getvalue()


PICTURES = [
    _picture("PNG"),
    _picture("JPEG", exif=b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0"),
    _picture("WEBP"),
    _picture("GIF"),
    _picture("BMP"),
    _picture("TIFF", compression="tiff_lzw"),
    _picture("PPM"),
]


def mutated(wholes: st.SearchStrategy[bytes]) -> st.SearchStrategy[bytes]:
    """Whole files with bytes changed, cut off, doubled or filled in."""

    @st.composite
    def draw(draw: st.DrawFn) -> bytes:
        data = bytearray(draw(wholes))
        for _ in range(draw(st.integers(1, 4))):
            place = draw(st.integers(0, max(0, len(data) - 1)))
            match draw(st.sampled_from(["flip", "cut", "insert", "repeat", "zero"])):
                case "flip" if data:
                    data[place] ^= 1 << draw(st.integers(0, 7))
                case "cut":
                    del data[place:]
                case "insert":
                    data[place:place] = draw(st.binary(min_size=1, max_size=12))
                case "repeat":
                    data[place:place] = data[place : place + draw(st.integers(1, 64))]
                case "zero":
                    data[place : place + 8] = bytes(8)
        return bytes(data)

    return draw()


@contextlib.contextmanager
def file_with(data: bytes, name: str = "x"):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, name)
        path.write_bytes(data)
        yield path


@given(mutated(st.just(DIFFERENCE)))
@example(DIFFERENCE[:8] + b"{" + DIFFERENCE[9:])
@example(b"")
def test_a_damaged_difference_is_refused_or_unchanged(data):
    with file_with(data, "x.safetensors") as path:
        for read in (load, read_info):
            with contextlib.suppress(DiffinvError):
                read(path)
        with contextlib.suppress(DiffinvError):
            found = load(path)
            assert found.tokens.tobytes() == np.ones((1, 8), np.float32).tobytes()
        (entry,) = Library(path.parent).entries()
        assert entry.info or entry.error


@given(mutated(st.sampled_from(PICTURES)))
def test_a_damaged_picture_is_a_picture_or_one_sentence(data):
    with file_with(data, "x.png") as path, contextlib.suppress(DiffinvError):
        image = open_image(path)
        assert image.mode == "RGB"
        assert min(image.size) >= 8


OUTPUTS = ["r.png", "../r.png", "/etc/hosts", "", ".", 5, "x" * 999]
LINES = st.lists(
    st.one_of(
        st.binary(max_size=40),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
            lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner),
            max_leaves=6,
        ).map(lambda value: json.dumps(value).encode()),
        st.fixed_dictionaries(
            {"key": st.sampled_from(["k", "other"]) | st.none() | st.integers()},
            optional={
                "input": st.sampled_from(["/b.png", 5, None]),
                "output": st.sampled_from(OUTPUTS),
                "stamp": st.sampled_from([[[1, 2], None], [], None, "x", [[1, 2]], {}]),
                "seconds": st.sampled_from([1.0, "1", None, True, 1e400]),
                "restart": st.sampled_from([True, 1, "yes"]),
            },
        ).map(lambda row: json.dumps(row).encode()),
    ),
    max_size=6,
)


@given(LINES)
@example([b'{"key": "k", "input": "/b.png", "stamp": [], "output": 5, "seconds": 1}'])
@example([b"[]", b"[" * 100_000])
@example([b'{"key": "k", "input": "/b.png", "output": "../../x", "stamp": [], "seconds": 1}'])
def test_whatever_a_manifest_says_it_can_be_gone_on_with(lines):
    with file_with(b"\n".join(lines), FILE) as path:
        folder, picture = path.parent, path.parent / "b.png"
        picture.write_bytes(b"picture")
        manifest = Manifest(folder, "k")
        assert manifest.done(picture) is None
        manifest.stale(picture)
        (folder / "r.png").write_bytes(b"result")
        manifest.record(AppliedImage(picture, folder / "r.png", 1.0), stamp_of(picture))
        done = Manifest(folder, "k").done(picture)
        assert done is not None
        assert done.output == folder / "r.png"


SETTINGS = b"""theme = "diffinv"\nview = "cards"\npictures = "auto"\nbackbone = "diorama"
[keys]\n"app.quit" = "ctrl+q"\n"tiles.up" = "k"\n"""


@given(mutated(st.just(SETTINGS)) | st.binary(max_size=60))
@example(b"view = 5\n[keys]\napp = { quit = [] }\n")
@example(b"x = " + b"[" * 5000)
@example(b"\xff\xfe")
def test_whatever_the_settings_say_the_app_starts_and_keeps_them(data):
    with file_with(data, "settings.toml") as path:
        preferences, said = load_preferences(path)
        assert said is None or "\n" not in said
        save_preferences(preferences, path)
        again, wrong = load_preferences(path)
        assert again == preferences or wrong
        kept = b"".join(p.read_bytes() for p in path.parent.iterdir())
        if said and "cannot be read" in said:
            assert data in kept


@given(st.text(max_size=30) | st.text(st.characters(categories=["Cs", "Cc", "Cf", "Zs"])))
@example("a:1e999")
@example(":1")
@example("\udcff")
def test_any_text_is_a_name_or_refused(text):
    for read in (checked_name, parse_strength):
        with contextlib.suppress(DiffinvError):
            read(text)
    with contextlib.suppress(DiffinvError):
        checked_name(text).encode()


@given(st.binary(max_size=60))
def test_whatever_the_list_of_disabled_plugins_says_it_is_read(data):
    atomic_write(data_folder() / "disabled-plugins.txt", data)
    assert isinstance(switched_off(), set)
