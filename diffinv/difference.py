"""A learned difference and its file: one self-contained ``.safetensors``.

The header holds all the metadata (``modelspec.*`` as in ModelSpec 1.0.1, ``diffinv.*`` our own,
structured values as JSON); reading it loads no tensor. The tensors are ``tokens``, ``pooled``,
``delta``, ``losses``, ``delta_image`` and ``thumbnail.*`` (WebP bytes). Whatever a file says is
checked before it is believed. Numpy is imported only for tensors: headers are read without it.
"""

from __future__ import annotations

import hashlib
import io
import json
import math
import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple, NoReturn, TypeAlias, get_args

from .contracts import AdditionKind, TokenSpace
from .errors import DiffinvError
from .system.files import atomic_write
from .system.paths import given_path
from .system.text import path_text, plural, text_safe

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from .pictures.card import Card

FORMAT_VERSION = 2
"""The file format version read here. Later versions are refused; unknown keys are kept. Written is
the oldest one that can hold a difference: 2 if it moves a pooled embedding, else 1."""

SUFFIX = ".safetensors"

_MAX_HEADER = 8 * 2**20
_MAX_FILE = 512 * 2**20
_THUMBNAIL = "thumbnail."
_AGAIN = "get another copy of it or learn the difference again"

Floats: TypeAlias = "NDArray[np.float32]"
Setting = str | int | float | bool | None


class Added(NamedTuple):
    """What was added to a backbone's checkpoint: an :class:`diffinv.contracts.Addition` without its
    place on any machine, its ``name`` and SHA-256 instead."""

    kind: str
    name: str
    sha256: str
    weight: float

    def __str__(self) -> str:
        weight = f" (weight {self.weight:g})" if self.kind == "lora" else ""
        return f"the {_ADDED[self.kind]} {text_safe(self.name)!r}{weight}"


_ADDED: Mapping[AdditionKind | str, str] = {
    "vae": "autoencoder",
    "text_encoder": "text encoder",
    "lora": "LoRA",
}


@dataclass(frozen=True, kw_only=True)
class DifferenceInfo:
    """What is known about a difference without loading its tensors.

    ``backbone`` and ``backbone_weights`` (a content hash) name the model it was learned on, the
    only one it fits; without a hash, as from a textual inversion, it fits any weights. The hash
    takes in ``additions``.
    ``captions``, ``prompts`` and ``pair_hashes`` have one (A, A') per pair. ``settings`` has every
    value of InversionSettings. ``date`` is ISO 8601 in UTC, ``seconds`` the time learning took.
    ``words_brought`` and ``words_taken`` are those nearest to the change and to its opposite; of a
    difference in the space ``words`` they are the difference.
    ``token_scale`` is the norm of D beside that of the hidden states it is added to; 0 if unknown.
    ``token_count``, ``token_width``, ``pooled_width`` (0 if no pooled embedding is moved) and
    ``hash_sha256`` ("0x" and 64 hex digits, over all tensors) are computed on saving. ``extra`` has
    header entries unknown to this version; they are written back.
    """

    name: str
    backbone: str
    backbone_weights: str
    token_space: str
    token_count: int = 0
    token_width: int = 0
    pooled_width: int = 0
    description: str = ""
    author: str = ""
    date: str = ""
    tags: tuple[str, ...] = ()
    format_version: int = 1
    delta_encoder: str = ""
    captioner: str = ""
    prompter: str = ""
    captions: tuple[tuple[str, str], ...] = ()
    prompts: tuple[tuple[str, str], ...] = ()
    pair_hashes: tuple[tuple[str, str], ...] = ()
    settings: dict[str, Setting] = field(default_factory=dict)
    dtype: str = "float32"
    device: str = ""
    versions: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0
    warnings: tuple[str, ...] = ()
    words_brought: tuple[str, ...] = ()
    words_taken: tuple[str, ...] = ()
    token_scale: float = 0.0
    additions: tuple[Added, ...] = ()
    hash_sha256: str = ""
    extra: dict[str, str] = field(default_factory=dict)

    @property
    def is_words(self) -> bool:
        """Whether it is made of words, which every backbone reads, and not of vectors."""
        return self.token_space == "words"

    @property
    def is_bound(self) -> bool:
        """Whether it fits no other weights, nor with other additions, than it was learned with."""
        return bool(self.backbone_weights) and not self.is_words

    @property
    def change_in_words(self) -> str:
        """The words taken → those brought, where no caption says what changes; else empty."""
        said = not self.captions or any(before != after for before, after in self.captions)
        if said or not self.words_brought:
            return ""
        return f"{', '.join(self.words_taken[:2])} → {', '.join(self.words_brought[:2])}"


@dataclass(frozen=True, eq=False)
class Difference:
    """DIFF tokens and where they came from.

    ``tokens`` [k, width], ``delta`` [d] (D_inter) and ``losses`` [steps, 3] (total, token
    consistency, clip) are float32, as is ``delta_image`` [d], the pictures' own direction (Eq 2) as
    a unit vector, which older files lack, and ``pooled`` [pooled_width], how the difference moves a
    pooled text embedding, if it does. ``thumbnails`` are WebP files by name: ``a``,
    ``a_prime`` and ``preview``; further pairs are ``a_1``, ``a_prime_1`` and so on.
    """

    info: DifferenceInfo
    tokens: Floats
    delta: Floats
    losses: Floats
    thumbnails: Mapping[str, bytes] = field(default_factory=dict)
    delta_image: Floats | None = None
    pooled: Floats | None = None

    def check_backbone(self, backbone_id: str, weights_id: str) -> None:
        """Raise DiffinvError unless it was learned on this backbone with these weights."""
        info = self.info
        if info.backbone == backbone_id and info.backbone_weights in (weights_id, ""):
            return
        raise DiffinvError(
            f"The difference {text_safe(info.name)!r} was learned on the backbone "
            f"{text_safe(info.backbone)!r} (weights {text_safe(info.backbone_weights)})"
            f"{_with(info.additions)} and does not fit {backbone_id!r} (weights {weights_id}); "
            "choose the backbone it was learned on, or learn it again on this one."
        )

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the file, whole or not at all, replacing any existing one; return its path.

        Raises DiffinvError if it cannot be written.
        """
        target = given_path(os.fspath(path))
        save(self, target)
        return target

    def __repr__(self) -> str:
        info = self.info
        k, width = self.tokens.shape
        return (
            f"<Difference {text_safe(info.name)!r}: {k} x {width} {info.token_space} tokens for "
            f"{text_safe(info.backbone)!r}>"
        )

    def _repr_html_(self) -> str:
        from .pictures.card import to_html

        return to_html(self._card())

    def _repr_png_(self) -> bytes:
        from .pictures.card import draw
        from .pictures.writing import to_png

        return to_png(draw(self._card()))

    def _card(self) -> Card:
        from .pictures.card import Card

        info = self.info
        steps = plural(len(self.losses), "step")
        facts = f"{info.backbone}, {info.token_space} tokens, {steps} in {info.seconds:.1f} s"
        words = info.description or " + ".join(info.tags)
        return Card(info.name, words, facts, self.thumbnails, self.losses[:, 0].tolist())


def _with(additions: Sequence[Added]) -> str:
    return f" with {added_in_words(additions)}" if additions else ""


def added_in_words(additions: Sequence[Added]) -> str:
    """One after the other; empty if there are none."""
    return " and ".join(map(str, additions))


# Saving


def to_bytes(difference: Difference) -> tuple[bytes, DifferenceInfo]:
    """The contents of a difference's file, and its info as written.

    Token count and width, hash, format version and a missing date are filled in. Raises
    DiffinvError if the difference is not valid.
    """
    import safetensors.numpy

    tensors = _tensors(difference)
    where = f"The difference {text_safe(difference.info.name)!r}"
    tokens = tensors["tokens"]
    _check_tensors(tensors, where)
    info = replace(
        difference.info,
        token_count=tokens.shape[0],
        token_width=tokens.shape[1],
        pooled_width=0 if difference.pooled is None else len(difference.pooled),
        hash_sha256=_data_hash(safetensors.numpy.save(tensors)),
        format_version=1 if difference.pooled is None else 2,
        date=difference.info.date or datetime.now(UTC).isoformat(timespec="seconds"),
    )
    header = _header(info, where)
    info = _parse_info(header, info.name, where)  # never write what could not be read back
    data = safetensors.numpy.save(tensors, header)
    if int.from_bytes(data[:8], "little") > _MAX_HEADER:
        raise DiffinvError(f"{where} has too much text to be saved; shorten it.")
    return data, info


def save(difference: Difference, path: Path) -> DifferenceInfo:
    """Write a difference, replacing any existing file; return its info as written.

    Raises DiffinvError if the difference is not valid or the file cannot be written.
    """
    data, info = to_bytes(difference)
    atomic_write(path, data)
    return info


def _tensors(difference: Difference) -> dict[str, NDArray[Any]]:
    import numpy as np

    arrays = {name: getattr(difference, name) for name in ("tokens", "delta", "losses")}
    for name in ("delta_image", "pooled"):
        if (array := getattr(difference, name)) is not None:
            arrays[name] = array
    tensors = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    for name, data in difference.thumbnails.items():
        tensors[_THUMBNAIL + name] = np.frombuffer(data, dtype=np.uint8)
    return tensors


def _data_hash(file: bytes) -> str:
    """SHA-256 of everything after the header, as ModelSpec defines it."""
    start = 8 + int.from_bytes(file[:8], "little")
    return "0x" + hashlib.sha256(memoryview(file)[start:]).hexdigest()


def _header(info: DifferenceInfo, where: str) -> dict[str, str]:
    header = dict(info.extra)
    for name, entry in _ENTRIES.items():
        try:
            header[entry.key] = entry.encode(getattr(info, name))
        except (TypeError, ValueError) as error:
            raise DiffinvError(
                f"{where} cannot be saved: its {name} are not plain finite values; change them."
            ) from error
    header |= {
        "modelspec.sai_model_spec": "1.0.1",
        "modelspec.architecture": f"{info.backbone}/difference",
        "modelspec.implementation": "diffinv",
        "modelspec.tags": ", ".join(info.tags),
    }
    for key, text in header.items():
        if not _is_unicode(key + text):
            raise DiffinvError(
                f"{where} cannot be saved: its header entry {text_safe(key)!r} "
                "is not valid Unicode; change that text."
            )
    return header


# Loading


class NotSafetensorsError(DiffinvError):
    """The file has another format: the user named the wrong one, or it strayed into the library."""

    def __init__(self, shown: str) -> None:
        super().__init__(f"{shown} is not a safetensors file; name a difference file (*{SUFFIX}).")
        self.in_library = (
            f"{shown} is not a safetensors file, so it is damaged or not a difference; get "
            "another copy of it or move it to the trash."
        )


def read_info(path: Path) -> DifferenceInfo:
    """What a file says about its difference. Reads the header only.

    Raises DiffinvError if the file does not exist, is not a difference, is damaged, or has a later
    format.
    """
    shown = path_text(path)
    size = _checked_size(path, shown)
    try:
        with path.open("rb") as file:
            header = _read_header(file, size, shown)
    except OSError as error:
        raise _unreadable(shown, error) from error
    return _parse_info(header, path.stem, shown)


def load(path: Path) -> Difference:
    """The difference in a file, with its checksum verified.

    Raises DiffinvError as :func:`read_info` does, and if tensors are missing, have the wrong shape
    or type, are not finite, or do not match the checksum.
    """
    shown = path_text(path)
    if _checked_size(path, shown) > _MAX_FILE:
        raise DiffinvError(
            f"{shown} is larger than {_MAX_FILE // 2**20} MB, which no difference is; "
            "choose another file."
        )
    try:
        data = path.read_bytes()
    except OSError as error:
        raise _unreadable(shown, error) from error
    header = _read_header(io.BytesIO(data), len(data), shown)
    info = _parse_info(header, path.stem, shown)
    return _parse_tensors(data, info, shown)


def is_difference(path: Path) -> bool:
    """Whether a file calls itself a difference, whatever its format version or state."""
    try:
        size = _checked_size(path, "")
        with path.open("rb") as file:
            metadata = _read_table(file, size, "").get("__metadata__")
    except (OSError, DiffinvError):
        return False
    return isinstance(metadata, dict) and "diffinv.format_version" in metadata


def _checked_size(path: Path, shown: str) -> int:
    """The size of a regular file in bytes; anything else is refused."""
    try:
        if path.is_dir():
            raise DiffinvError(f"{shown} is a folder; name a difference file (*{SUFFIX}).")
        if not path.exists():
            raise DiffinvError(f"{shown} does not exist; check the path.")
        if not path.is_file():
            raise DiffinvError(f"{shown} is not a regular file; name a difference file.")
        size = path.stat().st_size
    except OSError as error:
        raise _unreadable(shown, error) from error
    if size == 0:
        raise DiffinvError(f"{shown} is empty (0 bytes); {_AGAIN}.")
    return size


def _unreadable(shown: str, error: OSError) -> DiffinvError:
    reason = error.strerror or type(error).__name__
    return DiffinvError(f"{shown} cannot be read ({reason}); check its permissions.")


def _damaged(shown: str, problem: str) -> DiffinvError:
    return DiffinvError(f"{shown} is damaged: {problem}; {_AGAIN}.")


def _read_header(file: BinaryIO, size: int, shown: str) -> dict[str, str]:
    """The header's metadata."""
    table = _read_table(file, size, shown)
    metadata = table.pop("__metadata__", {})
    if _data_end(table, shown) != size - file.tell():
        raise _damaged(shown, "its length does not match its header")
    if not isinstance(metadata, dict) or not all(
        isinstance(v, str) and _is_unicode(k + v) for k, v in metadata.items()
    ):
        raise _damaged(shown, "its header is not made of text")
    return metadata


def _read_table(file: BinaryIO, size: int, shown: str) -> dict[str, Any]:
    """The header, a JSON object. The tensors after it are not read."""
    length = int.from_bytes(file.read(8), "little")
    start = file.read(1)
    if start != b"{":
        raise NotSafetensorsError(shown)
    if length > _MAX_HEADER:
        raise DiffinvError(
            f"{shown} has a header of more than {_MAX_HEADER // 2**20} MB, "
            "which no difference has; choose another file."
        )
    if length > size - 8:
        raise _damaged(shown, "it ends too early")
    return _parse_table(start + file.read(length - 1), shown)


def _parse_table(header: bytes, shown: str) -> dict[str, Any]:
    """The JSON object of the header, which is known to start with a brace."""
    try:
        table: dict[str, Any] = _from_json(header.decode())
    except (ValueError, RecursionError) as error:
        raise _damaged(shown, "its header cannot be read") from error
    return table


def _data_end(table: dict[str, Any], shown: str) -> int:
    try:
        return max((int(entry["data_offsets"][1]) for entry in table.values()), default=0)
    except (TypeError, KeyError, IndexError, ValueError, OverflowError) as error:
        raise _damaged(shown, "its header cannot be read") from error


def _parse_tensors(data: bytes, info: DifferenceInfo, shown: str) -> Difference:
    import safetensors.numpy

    if _data_hash(data) != info.hash_sha256:
        raise _damaged(shown, "its tensors do not match its checksum")
    try:
        tensors = safetensors.numpy.load(data)
    except Exception as error:  # SafetensorError, or whatever unknown data types raise
        raise _damaged(shown, "its tensors cannot be read") from error
    _check_tensors(tensors, shown)
    if tensors["tokens"].shape != (info.token_count, info.token_width):
        raise _damaged(shown, "its tokens do not have the shape its header gives")
    pooled = tensors.get("pooled")
    if info.pooled_width != (0 if pooled is None else len(pooled)):
        raise _damaged(shown, "its pooled part does not have the width its header gives")
    thumbnails = {
        name.removeprefix(_THUMBNAIL): array.tobytes()
        for name, array in tensors.items()
        if name.startswith(_THUMBNAIL)
    }
    tokens, delta, losses = (tensors[name] for name in ("tokens", "delta", "losses"))
    direction = tensors.get("delta_image")
    return Difference(info, tokens, delta, losses, thumbnails, direction, pooled)


# Checks both on writing and on reading


def _check_tensors(tensors: Mapping[str, NDArray[Any]], where: str) -> None:
    import numpy as np

    shapes = {"tokens": "[k, width]", "delta": "[d]", "losses": "[steps, 3]"}
    if "pooled" in tensors:
        shapes["pooled"] = "[pooled_width]"
    for name, shape in shapes.items():
        if name not in tensors:
            raise DiffinvError(f"{where} has no tensor {name!r}; {_AGAIN}.")
        array = tensors[name]
        if array.dtype != np.float32 or array.ndim != shape.count(",") + 1:
            raise DiffinvError(
                f"{where} has {name} of {array.dtype} {list(array.shape)} "
                f"where float32 {shape} belongs; {_AGAIN}."
            )
    if tensors["losses"].shape[1] != 3 or not tensors["tokens"].size or not tensors["delta"].size:
        raise DiffinvError(f"{where} has tensors of an impossible size; {_AGAIN}.")
    if "pooled" in tensors and not tensors["pooled"].size:
        raise DiffinvError(f"{where} has a pooled part of no width; {_AGAIN}.")
    if "delta_image" in tensors and not _is_like(tensors["delta_image"], tensors["delta"]):
        raise DiffinvError(f"{where} has a delta_image that is not like its delta; {_AGAIN}.")
    for name in {"tokens", "delta", "delta_image", "pooled"} & tensors.keys():
        if not np.isfinite(tensors[name]).all():
            raise DiffinvError(f"{where} has {name} that are not finite numbers; {_AGAIN}.")
    for name, array in tensors.items():
        if name.startswith(_THUMBNAIL) and (array.dtype != np.uint8 or array.ndim != 1):
            raise DiffinvError(f"{where} has a thumbnail that is not a picture file; {_AGAIN}.")


def _is_like(one: NDArray[Any], other: NDArray[Any]) -> bool:
    return one.dtype == other.dtype and one.shape == other.shape


def _check_info(info: DifferenceInfo, where: str) -> None:
    if not info.is_words and info.token_space not in get_args(TokenSpace):
        raise DiffinvError(
            f"{where} has tokens of the unknown space {text_safe(info.token_space)!r}; "
            "update diffinv to use it."
        )
    if info.is_words and not info.words_brought + info.words_taken:
        raise DiffinvError(f"{where} is made of words, but has none; {_AGAIN}.")
    if not math.isfinite(info.seconds) or info.seconds < 0:
        raise DiffinvError(f"{where} says learning took {info.seconds} seconds; {_AGAIN}.")
    if not math.isfinite(info.token_scale) or info.token_scale < 0:
        raise DiffinvError(f"{where} says its tokens have scale {info.token_scale}; {_AGAIN}.")
    if info.token_count < 1 or info.token_width < 1 or info.pooled_width < 0:
        raise DiffinvError(f"{where} has no tokens according to its header; {_AGAIN}.")
    if not re.fullmatch(r"0x[0-9a-f]{64}", info.hash_sha256):
        raise DiffinvError(f"{where} has no valid checksum in its header; {_AGAIN}.")


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


# The header, entry by entry


@dataclass(frozen=True)
class _Entry:
    """A header entry: its key, and how a DifferenceInfo field is turned into its text and back.

    ``decode`` raises ValueError for text that does not fit.
    """

    key: str
    encode: Callable[[Any], str] = str
    decode: Callable[[str], Any] = str
    required: bool = False


def _from_json(text: str) -> Any:
    """JSON without the NaN and Infinity that Python adds to it."""

    def refuse(constant: str) -> NoReturn:
        raise ValueError(f"{constant} is not JSON")

    return json.loads(text, parse_constant=refuse)


def _to_json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False)


def _to_strings(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(v, str) for v in value):
        raise ValueError("not a list of texts")
    if not all(map(_is_unicode, value)):
        raise ValueError("not valid Unicode")
    return tuple(value)


def _to_pairs(value: Any) -> tuple[tuple[str, ...], ...]:
    if not isinstance(value, list):
        raise ValueError("not a list of pairs")
    pairs = tuple(_to_strings(pair) for pair in value)
    if any(len(pair) != 2 for pair in pairs):
        raise ValueError("not a list of pairs")
    return pairs


def _to_settings(value: Any) -> dict[str, Setting]:
    if not isinstance(value, dict):
        raise ValueError("not a mapping")
    _to_strings([*value, *(v for v in value.values() if isinstance(v, str))])
    if not all(v is None or isinstance(v, str | int | float) for v in value.values()):
        raise ValueError("not plain settings")
    return value


def _to_versions(value: Any) -> dict[str, str]:
    settings = _to_settings(value)
    _to_strings([*settings.values()])
    return value


def _to_additions(value: Any) -> tuple[Added, ...]:
    rows = value if isinstance(value, list) else [value]
    if not all(isinstance(row, list) and len(row) == 4 for row in rows):
        raise ValueError("not a list of additions")
    return tuple(_to_added(*row) for row in value)


def _to_added(kind: Any, name: Any, sha256: Any, weight: Any) -> Added:
    _to_strings([kind, name, sha256])
    if kind not in _ADDED or type(weight) not in (int, float) or not math.isfinite(weight):
        raise ValueError("not an addition")
    return Added(kind, name, sha256, float(weight))


def _json_entry(key: str, decode: Callable[[Any], Any]) -> _Entry:
    return _Entry(key, _to_json, lambda text: decode(_from_json(text)))


def _to_version(text: str) -> int:
    version = int(text.partition(".")[0])
    if version < 1:
        raise ValueError("there is no such version")
    return version


_ENTRIES: dict[str, _Entry] = {
    "format_version": _Entry("diffinv.format_version", str, _to_version, required=True),
    "name": _Entry("modelspec.title"),
    "description": _Entry("modelspec.description"),
    "author": _Entry("modelspec.author"),
    "date": _Entry("modelspec.date"),
    "hash_sha256": _Entry("modelspec.hash_sha256", required=True),
    "tags": _json_entry("diffinv.tags", _to_strings),
    "backbone": _Entry("diffinv.backbone", required=True),
    "backbone_weights": _Entry("diffinv.backbone_weights", required=True),
    "token_space": _Entry("diffinv.token_space", required=True),
    "token_count": _Entry("diffinv.token_count", str, int, required=True),
    "token_width": _Entry("diffinv.token_width", str, int, required=True),
    "pooled_width": _Entry("diffinv.pooled_width", str, int),
    "delta_encoder": _Entry("diffinv.delta_encoder"),
    "captioner": _Entry("diffinv.captioner"),
    "prompter": _Entry("diffinv.prompter"),
    "captions": _json_entry("diffinv.captions", _to_pairs),
    "prompts": _json_entry("diffinv.prompts", _to_pairs),
    "pair_hashes": _json_entry("diffinv.pair_hashes", _to_pairs),
    "settings": _json_entry("diffinv.settings", _to_settings),
    "dtype": _Entry("diffinv.dtype"),
    "device": _Entry("diffinv.device"),
    "versions": _json_entry("diffinv.versions", _to_versions),
    "seconds": _Entry("diffinv.seconds", repr, float),
    "warnings": _json_entry("diffinv.warnings", _to_strings),
    "words_brought": _json_entry("diffinv.words_brought", _to_strings),
    "words_taken": _json_entry("diffinv.words_taken", _to_strings),
    "token_scale": _Entry("diffinv.token_scale", repr, float),
    "additions": _json_entry("diffinv.additions", _to_additions),
}
"""The fields of DifferenceInfo in the header. Those with a default may be missing there."""

_OTHER_KEYS = {
    "modelspec.sai_model_spec",
    "modelspec.architecture",
    "modelspec.implementation",
    "modelspec.tags",
}
_KNOWN_KEYS = {entry.key for entry in _ENTRIES.values()} | _OTHER_KEYS


def _parse_info(header: dict[str, str], stem: str, shown: str) -> DifferenceInfo:
    """``stem`` names a difference that has no title."""
    if not any(key.startswith("diffinv.") for key in header):
        raise DiffinvError(
            f"{shown} is a safetensors file but holds no difference; "
            "choose a file that diffinv wrote."
        )
    version = _parse_entry(header, _ENTRIES["format_version"], shown)
    if version > FORMAT_VERSION:
        raise DiffinvError(
            f"{shown} has format version {version} and this diffinv reads up to "
            f"{FORMAT_VERSION}; update diffinv to use it."
        )
    values = {
        name: _parse_entry(header, entry, shown)
        for name, entry in _ENTRIES.items()
        if entry.required or entry.key in header
    }
    values["name"] = values.get("name") or stem
    extra = {key: text for key, text in header.items() if key not in _KNOWN_KEYS}
    info = DifferenceInfo(**values, extra=extra)
    _check_info(info, shown)
    return info


def _parse_entry(header: dict[str, str], entry: _Entry, shown: str) -> Any:
    if entry.key not in header:
        raise _damaged(shown, f"its header lacks {entry.key!r}")
    try:
        return entry.decode(header[entry.key])
    except (ValueError, RecursionError) as error:
        raise _damaged(shown, f"its header entry {entry.key!r} cannot be read") from error
