"""Loaded parts, and where they run. torch is imported only inside functions."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from ..contracts import CaptionerSpec, DeltaEncoderSpec
from ..errors import DiffinvError, UsageError
from ..plugins.loading import registry
from ..system.memory import VARIABLE
from ..system.paths import given_path
from .out_of_memory import free_memory, is_out_of_memory
from .parts import Part, part_id

if TYPE_CHECKING:
    from ..method.words import Vocabulary


class Models:
    """Loaded parts, kept so that one task after another can use them.

    A part whose weights have since changed on disk is loaded again.
    """

    def __init__(self) -> None:
        self._loaded: dict[_Key, tuple[_Files, Any]] = {}
        self._vocabularies: dict[_Key, tuple[Any, Vocabulary | None]] = {}
        self._outside: set[_Key] = set()

    def use_memory(self, setting: str | None) -> None:
        """Use ``auto``, ``low`` or ``high`` from now on; drop parts loaded with another setting."""
        if setting is not None and setting != os.environ.get(VARIABLE, "auto"):
            self._loaded.clear()
            self._vocabularies.clear()
            os.environ[VARIABLE] = setting

    def has(self, part: Part, device: str) -> bool:
        """Whether the part is already on the device and unchanged on disk."""
        files, _ = self._loaded.get(_key(part, device), (None, None))
        return files == _files(part)

    def get(self, part: Part, device: str) -> Any:
        """The part on a device, loaded on the first call."""
        key = _key(part, device)
        if not self.has(part, device):
            self._loaded.pop(key, None)
            files = _files(part)
            self._loaded[key] = files, self._make(part, device)
        return self._loaded[key][1]

    def _make(self, part: Part, device: str) -> Any:
        """The part on the device. What works beside a backbone is made on the CPU where the device
        has no room for it."""
        key, create = _key(part, device), registry().create
        if key not in self._outside:
            try:
                return create(part.spec, part.weights, device, part.additions)
            except DiffinvError as error:
                if device == "cpu" or not _beside(part) or not is_out_of_memory(error.__cause__):
                    raise
                self._outside.add(key)
            free_memory()
        return create(part.spec, part.weights, "cpu")

    def drop(self, part: Part, device: str) -> None:
        """Forget a part; it is loaded again when it is needed."""
        self._loaded.pop(_key(part, device), None)
        self._vocabularies.pop(_key(part, device), None)

    def move_out(self, part: Part, device: str) -> bool:
        """Forget a part and have it on the CPU from now on; whether it was on the device."""
        key = _key(part, device)
        if device == "cpu" or key in self._outside:
            return False
        self.drop(part, device)
        self._outside.add(key)
        return True

    def vocabulary(self, part: Part, device: str) -> Vocabulary | None:
        """The words of a delta encoder, whose places are found on the first call; None if it has
        none."""
        from ..method.words import vocabulary_of

        key, encoder = _key(part, device), self.get(part, device)
        if key not in self._vocabularies or self._vocabularies[key][0] is not encoder:
            self._vocabularies[key] = encoder, vocabulary_of(encoder)
        return self._vocabularies[key][1]


_Key = tuple[str, str, str]
_Files = tuple[tuple[str, int, int], ...]


def _beside(part: Part) -> bool:
    return isinstance(part.spec, CaptionerSpec | DeltaEncoderSpec)


def _key(part: Part, device: str) -> _Key:
    return type(part.spec).__name__, part_id(part), device


def _files(part: Part) -> _Files:
    """The files of a part's weights and additions, with their sizes and times."""
    named = [part.weights or "", *(added.path for added in part.additions)]
    return tuple(file for text in named if text for file in _files_at(text))


def _files_at(text: str) -> _Files:
    """None if it is not a path."""
    path = given_path(text)
    if not path.exists():
        return ()
    found = [path] if path.is_file() else [f for f in path.rglob("*") if f.is_file()]
    stats = [(str(file), file.stat()) for file in sorted(found)]
    return tuple((name, stat.st_size, stat.st_mtime_ns) for name, stat in stats)


def choose_device(wanted: str | None) -> str:
    """The device asked for, if torch has it, or the best available."""
    import torch

    if wanted is None:
        if torch.cuda.is_available():
            return "cuda"
        return "mps" if torch.backends.mps.is_available() else "cpu"
    wanted = wanted.strip().casefold()
    try:
        if torch.device(wanted).type == "meta":
            raise ValueError(wanted)
        torch.empty(1, device=wanted)
    except Exception as error:
        raise UsageError(
            f"There is no device {wanted!r} here; 'diffinv doctor' lists the devices here."
        ) from error
    return wanted


@contextlib.contextmanager
def deterministic(seed: int, device: str) -> Iterator[None]:
    """Inside the block the same seed gives the same result on the device: deterministic algorithms,
    seeded generators. Afterwards torch is as before, for scripts that use it themselves."""
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    import torch

    memory: Any = torch.utils.deterministic
    was = torch.get_deterministic_debug_mode()
    filled, benchmark = memory.fill_uninitialized_memory, torch.backends.cudnn.benchmark
    devices = [device] if torch.device(device).type == "cuda" else []
    with torch.random.fork_rng(devices):
        # Unlike use_deterministic_algorithms, this does not import torch's compiler.
        torch.set_deterministic_debug_mode("warn")
        memory.fill_uninitialized_memory, torch.backends.cudnn.benchmark = False, False
        torch.manual_seed(seed)
        try:
            yield
        finally:
            torch.set_deterministic_debug_mode(was)
            memory.fill_uninitialized_memory = filled
            torch.backends.cudnn.benchmark = benchmark
