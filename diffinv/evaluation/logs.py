"""A finished comparison in TensorBoard or Weights & Biases, by their own libraries."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..errors import DiffinvError
from ..pictures.reading import open_image
from ..plugins.checking import describe
from .runs import Run
from .tables import Table

LOGS = ("tensorboard", "wandb")
_PICTURES = 8
"""How many answers of each method are shown."""


def log_run(log: str, run: Run, table: Table, title: str) -> None:
    """Means as ``SCORE/METHOD``, and each method's first answers as pictures. TensorBoard's files
    go into the folder ``tensorboard`` of the run; wandb logs to wherever it is set up to.

    Raises DiffinvError if the library is missing or refuses.
    """
    try:
        {"tensorboard": _to_tensorboard, "wandb": _to_wandb}[log](run, table, title)
    except ImportError as error:
        raise DiffinvError(
            f"{log} is not installed; 'pip install \"diffinv[logging]\"' adds it."
        ) from error
    except Exception as error:
        raise DiffinvError(f"{log} would not log the comparison: {describe(error)}.") from error


def _to_tensorboard(run: Run, table: Table, title: str) -> None:
    import numpy as np
    from torch.utils.tensorboard import SummaryWriter

    with SummaryWriter(str(run.folder / "tensorboard")) as writer:
        for name, mean in _means(table):
            writer.add_scalar(name, mean, 0)
        for place, (column, picture) in enumerate(_pictures(run)):
            pixels = np.asarray(open_image(picture))
            writer.add_image(f"{column}/{picture.stem}", pixels, place, dataformats="HWC")


def _to_wandb(run: Run, table: Table, title: str) -> None:
    import wandb

    with wandb.init(project="diffinv", name=run.folder.name, notes=title, dir=run.folder) as log:
        shown: dict[str, list[Any]] = {}
        for column, picture in _pictures(run):
            shown.setdefault(column, []).append(wandb.Image(str(picture), caption=picture.stem))
        log.log({**dict(_means(table)), **shown})


def _means(table: Table) -> Iterator[tuple[str, float]]:
    for column, found in table["columns"].items():
        for score, one in found["scores"].items():
            if one["n"]:
                yield f"{score}/{column}", one["mean"]


def _pictures(run: Run) -> Iterator[tuple[str, Path]]:
    for column in run.columns:
        places = (run.picture_of(column.name, e.id) for e in run.data.entries[:_PICTURES])
        yield from ((column.name, place) for place in places if place.is_file())
