"""A job's folder: what it needs to go on after a crash, and its preview."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import DiffinvError
from ..system.files import atomic_write
from .job_rows import CHECKPOINT, PREVIEW

if TYPE_CHECKING:
    from torch import Tensor

    from ..storage.store import Entry, Library

JOB_KEY = "diffinv.job"
"""A difference's header entry for the job that learned it."""


@dataclass(frozen=True)
class Checkpoint:
    """An inversion between two steps, and the seconds it has taken so far."""

    state: dict[str, Tensor]
    seconds: float


@dataclass
class Workspace:
    """A job's folder. ``resumed``: the job was started before. ``every`` is the seconds between
    two checkpoints, ``look_every`` the least seconds between two previews."""

    folder: Path
    resumed: bool = False
    every: float = 2.0
    look_every: float = 2.0

    def __post_init__(self) -> None:
        self._saved = self.looked = time.monotonic()

    @property
    def preview(self) -> Path:
        """Where the preview goes."""
        return self.folder / PREVIEW

    @property
    def is_due(self) -> bool:
        """Whether it is time for a checkpoint."""
        return time.monotonic() - self._saved >= self.every

    def save(self, fingerprint: str, checkpoint: Checkpoint) -> None:
        """Write a checkpoint, or keep the previous one. Raises DiffinvError if it cannot."""
        import safetensors.torch

        self._saved = time.monotonic()
        header = {"fingerprint": fingerprint, "seconds": repr(checkpoint.seconds)}
        header["checksum"] = _checksum(checkpoint.state, header)
        atomic_write(self.folder / CHECKPOINT, safetensors.torch.save(checkpoint.state, header))

    def load(self, fingerprint: str) -> Checkpoint | None:
        """The last checkpoint; None if there is none. Raises DiffinvError if it is damaged or
        belongs to something else."""
        from safetensors import safe_open

        path = self.folder / CHECKPOINT
        if not self.resumed or not path.exists():
            return None
        try:
            with safe_open(path, "pt") as file:
                header = file.metadata()
                state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            if header.pop("checksum") != _checksum(state, header):
                raise ValueError("the checksum does not match")
            if header["fingerprint"] == fingerprint:
                return Checkpoint(state, float(header["seconds"]))
        except Exception as error:  # a damaged file may raise anything
            raise DiffinvError("The checkpoint is damaged; learning starts again.") from error
        raise DiffinvError(
            "The pictures, the models or the settings have changed; learning starts again."
        )

    def find_result(self, library: Library) -> Entry | None:
        """What an earlier run of this job added to the library before it was interrupted."""
        if not self.resumed:
            return None
        for entry in library.entries():
            if entry.info and entry.info.extra.get(JOB_KEY) == self.folder.name:
                return entry
        return None


def _checksum(state: dict[str, Tensor], header: dict[str, str]) -> str:
    """Over everything in a checkpoint: a flipped bit must not be learned on with."""
    import safetensors.torch

    data = json.dumps(header, sort_keys=True).encode() + safetensors.torch.save(state)
    return hashlib.sha256(data).hexdigest()


def fingerprint(values: Sequence[object]) -> str:
    """A digest of everything a checkpoint depends on."""
    return hashlib.sha256(json.dumps(values, default=str).encode()).hexdigest()
