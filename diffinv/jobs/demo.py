"""The demo: learn from the example pictures that a backbone brings, then apply it to others."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..errors import DiffinvError
from ..plugins.registry import Registry
from ..storage.store import Library
from .job import Job
from .requests import ApplyRequest, InvertRequest
from .store import JobStore
from .worker_environment import dismiss_stale_worker

RESULTS = "results"


@dataclass(frozen=True)
class Example:
    """A backbone's example pictures: ``a.png``, ``a_prime.png`` and the folder ``b``."""

    backbone: str
    folder: Path

    @property
    def pair(self) -> tuple[Path, Path]:
        """A and A′."""
        return self.folder / "a.png", self.folder / "a_prime.png"

    @property
    def queries(self) -> Path:
        """The folder of B's pictures."""
        return self.folder / "b"


def find_example(registry: Registry) -> Example:
    """The example of the first backbone that brings one. Raises DiffinvError if none does."""
    for spec in registry.backbones.values():
        if folder := spec.defaults.get("example"):
            return Example(spec.id, Path(folder))
    raise DiffinvError(
        "No installed backbone brings example pictures; install diffinv-diorama, or see "
        "'diffinv plugins list' for what is broken."
    )


def submit_demo(
    store: JobStore, library: Library, example: Example, out: Path | None = None
) -> tuple[Job, Job]:
    """Queue both jobs: one learns the difference, the other applies it. The results go to a folder
    in ``out``, by default one of diffinv's own with the difference's name; existing ones are
    replaced."""
    name = free_name("demo", library, store.jobs())
    learn = InvertRequest(
        pairs=(example.pair,), name=name, backbone=example.backbone, library=library.folder
    )
    use = ApplyRequest(
        differences=((name, 1.0),),
        images=(example.queries,),
        out=out / RESULTS if out else store.folder / RESULTS / name,
        backbone=example.backbone,
        library=library.folder,
        replace=True,
    )
    dismiss_stale_worker(store, learn.device)
    learning = store.submit(learn)
    return learning, store.submit(use, waits_for=learning.id)


def free_name(wanted: str, library: Library, jobs: Sequence[Job]) -> str:
    """A name that no difference has and no job will give."""
    taken = {entry.name for entry in library.search(wanted)} | {job.title for job in jobs}
    numbered: Iterable[str] = (f"{wanted}-{number}" for number in range(2, len(taken) + 3))
    return next(name for name in (wanted, *numbered) if name not in taken)
