"""A difference survives its file; a file that is anything else is refused in one sentence."""

from __future__ import annotations

import json
import tempfile
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
from hypothesis import given
from hypothesis import strategies as st

from diffinv import difference as module
from diffinv.difference import (
    Difference,
    DifferenceInfo,
    is_difference,
    load,
    read_info,
    save,
    to_bytes,
)
from diffinv.errors import DiffinvError

RNG = np.random.default_rng(0)


def make(**info) -> Difference:
    values = {
        "name": "cabin to castle",
        "description": "a cabin becomes a castle",
        "author": "someone",
        "date": "2026-01-02T03:04:05+00:00",
        "tags": ("buildings", "with, comma"),
        "backbone": "diorama",
        "backbone_weights": "sha256:abc",
        "token_space": "additive",
        "delta_encoder": "diorama-clip",
        "captioner": "diorama-captioner",
        "prompter": "caption",
        "captions": (("a cabin", "a castle"),),
        "prompts": (("a cabin", "a castle"),),
        "pair_hashes": (("11", "22"),),
        "settings": {"preset": "default", "alpha": 0.8, "steps": 40, "mask": True, "x": None},
        "device": "cpu",
        "versions": {"torch": "2.15"},
        "seconds": 1.25,
        "warnings": ("pictures differ in shape",),
    }
    return Difference(
        info=DifferenceInfo(**{**values, **info}),
        tokens=RNG.standard_normal((2, 16)).astype(np.float32),
        delta=RNG.standard_normal(8).astype(np.float32),
        losses=RNG.random((5, 3)).astype(np.float32),
        thumbnails={"a": b"RIFF-a", "a_prime": b"RIFF-b", "preview": b"RIFF-c"},
    )


@pytest.fixture
def path(tmp_path):
    return tmp_path / "castle.safetensors"


@pytest.fixture
def saved(path):
    save(make(), path)
    return path


def split(path: Path) -> tuple[dict, bytes]:
    """The header of a safetensors file, and the bytes behind it."""
    data = path.read_bytes()
    end = 8 + int.from_bytes(data[:8], "little")
    return json.loads(data[8:end]), data[end:]


def join(path: Path, header: dict, body: bytes) -> None:
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + body)


def edit(path: Path, **changes: str | None) -> None:
    """Change entries of the header; None removes one. Dots are written as double underscores."""
    header, body = split(path)
    for key, value in changes.items():
        header["__metadata__"].pop(key.replace("__", "."), None)
        if value is not None:
            header["__metadata__"][key.replace("__", ".")] = value
    join(path, header, body)


def refused(path: Path, reader=load) -> str:
    with pytest.raises(DiffinvError) as caught:
        reader(path)
    message = str(caught.value)
    assert path.name in message
    assert message.endswith(".")
    assert "\n" not in message
    return message


# Round trip


def test_everything_survives(path):
    difference = make()
    info = save(difference, path)
    loaded = load(path)
    for name in ("tokens", "delta", "losses"):
        array = getattr(loaded, name)
        assert array.dtype == np.float32
        assert np.array_equal(array, getattr(difference, name))
    assert loaded.thumbnails == difference.thumbnails
    assert loaded.info == read_info(path) == info
    filled = {"token_count", "token_width", "hash_sha256"}
    for entry in fields(DifferenceInfo):
        if entry.name not in filled:
            assert getattr(info, entry.name) == getattr(difference.info, entry.name)
    assert (info.token_count, info.token_width) == (2, 16)


def test_what_moves_the_pooled_embedding_survives_and_older_programs_are_kept_away(path):
    plain, pooled = make(), RNG.standard_normal(6).astype(np.float32)
    assert save(plain, path).format_version == 1
    info = save(replace(plain, pooled=pooled), path)
    assert (info.format_version, info.pooled_width) == (2, 6)
    assert np.array_equal(load(path).pooled, pooled)
    edit(path, diffinv__pooled_width="0")
    assert "its pooled part does not have the width" in refused(path)
    for wrong in (pooled[None], pooled[:0], pooled.astype(np.float64), pooled * np.nan):
        with pytest.raises(DiffinvError, match="pooled"):
            save(replace(plain, pooled=wrong), path)


def test_every_field_has_a_place_in_the_header():
    assert set(module._ENTRIES) | {"extra"} == {entry.name for entry in fields(DifferenceInfo)}


def test_header_is_model_spec(saved):
    header = split(saved)[0]["__metadata__"]
    assert header["modelspec.sai_model_spec"] == "1.0.1"
    assert header["modelspec.title"] == "cabin to castle"
    assert header["modelspec.architecture"] == "diorama/difference"
    assert header["modelspec.implementation"] == "diffinv"
    assert header["modelspec.tags"] == "buildings, with, comma"
    assert header["modelspec.date"] == "2026-01-02T03:04:05+00:00"
    assert all(isinstance(value, str) for value in header.values())


def test_hash_is_that_of_the_tensors_alone(saved, tmp_path):
    import hashlib

    first = read_info(saved)
    assert first.hash_sha256 == "0x" + hashlib.sha256(split(saved)[1]).hexdigest()
    loaded = load(saved)
    renamed = replace(loaded, info=replace(loaded.info, name="another", tags=()))
    assert save(renamed, tmp_path / "b.safetensors").hash_sha256 == first.hash_sha256
    other = replace(loaded, tokens=loaded.tokens + 1)
    assert save(other, tmp_path / "c.safetensors").hash_sha256 != first.hash_sha256


def test_a_missing_date_is_now_in_utc(path):
    from datetime import UTC, datetime, timedelta

    date = datetime.fromisoformat(save(make(date=""), path).date)
    assert date.utcoffset() == timedelta(0)
    assert abs(datetime.now(UTC) - date) < timedelta(minutes=1)


def test_arrays_in_any_memory_order(path):
    tokens = np.asfortranarray(make().tokens)
    save(replace(make(), tokens=tokens, losses=np.zeros((0, 3), np.float32)), path)
    assert np.array_equal(load(path).tokens, tokens)
    assert load(path).losses.shape == (0, 3)


_TEXT = st.text(max_size=40)


@given(
    name=_TEXT.filter(bool),
    description=_TEXT,
    tags=st.lists(_TEXT).map(tuple),
    captions=st.lists(st.tuples(_TEXT, _TEXT)).map(tuple),
    settings=st.dictionaries(
        _TEXT,
        st.none()
        | st.booleans()
        | st.integers()
        | _TEXT
        | st.floats(allow_nan=False).filter(lambda x: abs(x) != float("inf")),
    ),
    seconds=st.floats(0, 1e9),
)
def test_any_text_survives(**info):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "x.safetensors")
        written = save(make(**info), path)
        assert read_info(path) == load(path).info == written
    assert {key: getattr(written, key) for key in info} == info


def test_unknown_keys_and_versions_of_the_future_survive(saved, tmp_path):
    future = {
        "diffinv.format_version": "1.7",
        "diffinv.mood": "calm",
        "modelspec.thumbnail": "data:",
        "someone.else": "too",
    }
    header, body = split(saved)
    header["__metadata__"] |= future
    join(saved, header, body)
    del future["diffinv.format_version"]
    assert read_info(saved).extra == future
    copy = tmp_path / "copy.safetensors"
    save(load(saved), copy)
    assert load(copy).info.extra == future


def test_extra_cannot_override_what_is_known(path):
    save(make(extra={"diffinv.backbone": "other", "modelspec.title": "other"}), path)
    info = read_info(path)
    assert (info.backbone, info.name, info.extra) == ("diorama", "cabin to castle", {})


def test_a_file_without_a_title_goes_by_its_own_name(saved):
    edit(saved, modelspec__title=None)
    assert read_info(saved).name == "castle"


def test_read_info_reads_the_header_only(saved):
    data = bytearray(saved.read_bytes())
    data[-1] ^= 1
    saved.write_bytes(data)
    assert read_info(saved).name == "cabin to castle"
    assert "checksum" in refused(saved, load)


# What is refused


def test_missing_folder_empty(tmp_path, path):
    for reader in (load, read_info):
        assert "does not exist" in refused(path, reader)
        assert "is a folder" in refused(tmp_path, reader)
    path.touch()
    assert "empty" in refused(path)
    assert "empty" in refused(path, read_info)


@pytest.mark.parametrize("keep", [10, 200, -1, -100])
def test_truncated(saved, keep):
    saved.write_bytes(saved.read_bytes()[:keep])
    for reader in (load, read_info):
        assert "damaged" in refused(saved, reader)


def test_extended(saved):
    saved.write_bytes(saved.read_bytes() + b"more")
    assert "damaged" in refused(saved, read_info)


@pytest.mark.parametrize("content", [b"x", b"hello, world", b"\x89PNG\r\n\x1a\n" + b"\0" * 99])
def test_not_safetensors(path, content):
    path.write_bytes(content)
    for reader in (load, read_info):
        assert "not a safetensors file" in refused(path, reader)


def test_huge_header_is_not_read(path):
    path.write_bytes((2**40).to_bytes(8, "little") + b"{" + b" " * 99)
    assert "header of more than" in refused(path, read_info)


def test_huge_file_is_not_read(saved, monkeypatch):
    monkeypatch.setattr(module, "_MAX_FILE", 100)
    assert "larger than" in refused(saved)


@pytest.mark.parametrize(
    "header",
    [
        b"{" + b" " * 30,
        b'{"a": NaN}',
        b'{"a": ' + b"[" * 100_000,
        b'{"\xff": 1}',
        b'{"a": 1}',
        b'{"a": {"data_offsets": ["x", "y"]}}',
        b'{"a": {"data_offsets": [0, 1e999]}}',
        b'{"__metadata__": 5}',
        b'{"__metadata__": {"diffinv.backbone": 5}}',
        b'{"__metadata__": {"diffinv.backbone": "\\ud800"}}',
    ],
)
def test_broken_headers(path, header):
    path.write_bytes(len(header).to_bytes(8, "little") + header)
    for reader in (load, read_info):
        assert "damaged" in refused(path, reader)


@given(st.binary(max_size=200))
def test_any_bytes_give_one_of_our_errors(body):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "x.safetensors")
        header = b'{"__metadata__":' + body
        for data in (body, len(header).to_bytes(8, "little") + header):
            path.write_bytes(data)
            for reader in (load, read_info):
                with pytest.raises(DiffinvError):
                    reader(path)


def test_foreign_safetensors(path):
    tensor = {"weight": np.zeros(3, np.float32)}
    for metadata in (None, {"format": "pt", "modelspec.title": "a lora"}):
        safetensors.numpy.save_file(tensor, path, metadata)
        assert "holds no difference" in refused(path)
        assert "holds no difference" in refused(path, read_info)
        assert not is_difference(path)


@pytest.mark.parametrize("version", ["3", "3.1", "17"])
def test_a_later_format_is_refused(saved, version):
    edit(saved, diffinv__format_version=version)
    message = refused(saved, read_info)
    assert version.split(".")[0] in message
    assert "update diffinv" in message
    assert is_difference(saved)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("diffinv__format_version", None),
        ("diffinv__format_version", "soon"),
        ("diffinv__format_version", "0"),
        ("diffinv__backbone", None),
        ("diffinv__backbone_weights", None),
        ("diffinv__token_count", None),
        ("diffinv__token_count", "many"),
        ("diffinv__token_count", "9" * 9999),
        ("modelspec__hash_sha256", None),
        ("diffinv__captions", "not json"),
        ("diffinv__captions", "[" * 100_000),
        ("diffinv__captions", '[["one"]]'),
        ("diffinv__captions", '[["one", 2]]'),
        ("diffinv__captions", '{"a": "b"}'),
        ("diffinv__captions", '[["\\ud800", "x"]]'),
        ("diffinv__tags", '"text"'),
        ("diffinv__tags", "[NaN]"),
        ("diffinv__settings", "[]"),
        ("diffinv__settings", '{"steps": [1]}'),
        ("diffinv__versions", '{"torch": 2}'),
        ("diffinv__seconds", "long"),
    ],
)
def test_entries_of_the_wrong_kind(saved, key, value):
    edit(saved, **{key: value})
    message = refused(saved, read_info)
    assert "damaged" in message
    assert key.replace("__", ".") in message


@pytest.mark.parametrize(
    ("key", "value", "says"),
    [
        ("diffinv__token_space", "sideways", "unknown space 'sideways'"),
        ("diffinv__token_count", "0", "no tokens"),
        ("diffinv__token_width", "-5", "no tokens"),
        ("diffinv__seconds", "nan", "nan seconds"),
        ("diffinv__seconds", "-1", "-1.0 seconds"),
        ("modelspec__hash_sha256", "0x12", "checksum"),
    ],
)
def test_values_that_cannot_be(saved, key, value, says):
    edit(saved, **{key: value})
    assert says in refused(saved, read_info)


def test_token_count_of_the_header_must_be_that_of_the_tokens(saved):
    edit(saved, diffinv__token_count="3")
    assert "shape" in refused(saved)


def test_hash_mismatch(saved):
    edit(saved, modelspec__hash_sha256="0x" + "0" * 64)
    assert "checksum" in refused(saved)


def forged(path: Path, **tensors) -> Path:
    """A file with a true checksum around any tensors; None removes one."""
    save(make(), path)
    header = split(path)[0]["__metadata__"]
    arrays = {name: np.array(a) for name, a in safetensors.numpy.load_file(path).items()}
    arrays |= tensors
    arrays = {name: a for name, a in arrays.items() if a is not None}
    header["modelspec.hash_sha256"] = module._data_hash(safetensors.numpy.save(arrays))
    path.write_bytes(safetensors.numpy.save(arrays, header))
    return path


BAD_TENSORS = [
    ("tokens", None, "no tensor 'tokens'"),
    ("delta", None, "no tensor 'delta'"),
    ("losses", None, "no tensor 'losses'"),
    ("tokens", np.zeros(16, np.float32), "where float32"),
    ("tokens", np.zeros((2, 16), np.float16), "where float32"),
    ("tokens", np.zeros((0, 16), np.float32), "impossible size"),
    ("delta", np.zeros((1, 8), np.float32), "where float32"),
    ("delta", np.zeros(0, np.float32), "impossible size"),
    ("losses", np.zeros((5, 2), np.float32), "impossible size"),
    ("losses", np.zeros((5, 3), np.int64), "where float32"),
    ("tokens", np.full((2, 16), np.nan, np.float32), "not finite"),
    ("delta", np.full(8, np.inf, np.float32), "not finite"),
]


@pytest.mark.parametrize(("name", "array", "says"), BAD_TENSORS)
def test_wrong_tensors_are_not_loaded(path, name, array, says):
    assert says in refused(forged(path, **{name: array}))


@pytest.mark.parametrize(("name", "array", "says"), [b for b in BAD_TENSORS if b[1] is not None])
def test_wrong_tensors_are_not_saved(path, name, array, says):
    with pytest.raises(DiffinvError, match=says):
        save(replace(make(), **{name: array}), path)
    assert not path.exists()


def test_thumbnails_of_the_wrong_type_are_not_loaded(path):
    forged(path, **{"thumbnail.a": np.zeros(4, np.float32)})
    assert "thumbnail" in refused(path)


def test_offsets_that_overlap_are_refused(saved):
    header, body = split(saved)
    header["delta"]["data_offsets"] = header["tokens"]["data_offsets"]
    join(saved, header, body)
    assert "damaged" in refused(saved)


@pytest.mark.parametrize(
    "info",
    [
        {"token_space": "sideways"},
        {"seconds": float("nan")},
        {"name": "broken \ud800"},
        {"captions": (("a", "\ud800"),)},
        {"settings": {"lr": float("inf")}},
        {"settings": {"steps": [1, 2]}},
        {"extra": {"key": "\ud800"}},
        {"description": "x" * (9 * 2**20)},
    ],
)
def test_what_could_not_be_read_again_is_not_written(path, info):
    with pytest.raises(DiffinvError):
        save(make(**info), path)
    assert not path.exists()


def test_a_failed_save_keeps_the_old_file(saved, monkeypatch):
    before = saved.read_bytes()

    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("diffinv.system.files.os.fsync", fail)
    with pytest.raises(DiffinvError, match="No space left"):
        save(make(name="new"), saved)
    assert saved.read_bytes() == before
    assert list(saved.parent.iterdir()) == [saved]


def test_unwritable_folder(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(DiffinvError, match=r"Cannot write .*x\.safetensors"):
        save(make(), tmp_path / "file" / "x.safetensors")


def test_is_difference(saved, tmp_path):
    assert is_difference(saved)
    assert not is_difference(tmp_path)
    assert not is_difference(tmp_path / "nowhere")
    saved.write_bytes(b"text")
    assert not is_difference(saved)


def test_check_backbone_names_both():
    difference = make()
    difference.check_backbone("diorama", "sha256:abc")
    for other in (("sd", "sha256:abc"), ("diorama", "sha256:def")):
        with pytest.raises(DiffinvError) as caught:
            difference.check_backbone(*other)
        for part in ("diorama", "sha256:abc", *other):
            assert part in str(caught.value)


def test_to_bytes_is_the_file(saved):
    data, info = to_bytes(load(saved))
    assert info == read_info(saved)
    assert split(saved)[1] == data[8 + int.from_bytes(data[:8], "little") :]
