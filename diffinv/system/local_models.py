"""Finds a model's folder on this machine: by a path, or by a hub id that was fetched before.

Nothing is downloaded here, and pickled weights are refused. Imports neither torch nor any model
library.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

from ..errors import DiffinvError, UsageError
from .paths import data_folder, given_path

_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")
_PICKLED = (".bin", ".pt", ".pth", ".ckpt", ".pkl")


def find_model(weights: str) -> Path:
    """The folder or file a path names, or the cached snapshot of a hub id.

    Raises DiffinvError, saying how to get the model, if there is neither.
    """
    path = given_path(weights)
    if path.exists():
        return path
    if not is_hub_id(weights):
        raise DiffinvError(f"There is no model at {weights!r}; give a folder that exists.")
    return find_snapshot(weights)


def is_hub_id(text: str) -> bool:
    """Whether a text reads ``OWNER/NAME``."""
    return _HUB_ID.fullmatch(text) is not None


def fetched_folder(kind: str, id: str) -> Path | None:
    """The folder that a part's own ``fetch`` has filled; None unless it came to its end."""
    folder = own_folder(kind, id)
    return folder if folder.is_dir() else None


def own_folder(kind: str, id: str) -> Path:
    """Where a part's own ``fetch`` puts its weights, whether they are there or not."""
    return data_folder() / "models" / f"{kind.replace(' ', '-')}-{id}"


def find_snapshot(hub_id: str) -> Path:
    """The folder of a hub model that was fetched before.

    Raises UsageError, with the command that fetches it, if it was not.
    """
    if snapshot := cached_snapshot(hub_id):
        return snapshot
    raise UsageError(
        f"The model {hub_id!r} is not on this machine: fetch it with "
        f"'diffinv models pull {hub_id}', or name a folder that holds it as ID=FOLDER."
    )


def cached_snapshot(hub_id: str) -> Path | None:
    """A model's folder in the hub's local cache, None if there is none.

    The hub's own lookup refuses a model unless every file was fetched, which is not how models are
    fetched here; so we read the reference that names the folder.
    """
    from huggingface_hub import constants
    from huggingface_hub.file_download import repo_folder_name

    try:
        name = repo_folder_name(repo_id=hub_id, repo_type="model")
        cached = Path(constants.HF_HUB_CACHE) / name
        commit = (cached / "refs" / "main").read_text(encoding="utf-8").strip()
    except (OSError, ValueError):
        return None
    snapshot = cached / "snapshots" / commit
    return snapshot if commit and snapshot.is_dir() else None


def check_weights(folder: Path) -> None:
    """Raise DiffinvError unless a folder holds complete weights that are not pickled."""
    if not folder.is_dir():
        raise DiffinvError(f"{str(folder)!r} is not a folder; give the folder with the model.")
    names = sorted(path.name for path in folder.iterdir())
    for index in (name for name in names if name.endswith(".safetensors.index.json")):
        _check_shards(folder, index)
    if any(name.endswith(".safetensors") for name in names):
        return
    for name in names:
        refuse_pickled(folder / name)
    raise DiffinvError(f"The folder {str(folder)!r} holds no weights (*.safetensors).")


def refuse_pickled(path: Path) -> None:
    """Raise DiffinvError for weights in a format that can run code when read."""
    if path.suffix.lower() in _PICKLED:
        raise DiffinvError(
            f"{str(path)!r} is pickled, which can run code and is never loaded; "
            "get the model as .safetensors, or convert it."
        )


def _check_shards(folder: Path, index: str) -> None:
    try:
        shards = set(
            json.loads((folder / index).read_text(encoding="utf-8"))["weight_map"].values()
        )
    except (OSError, ValueError, KeyError, AttributeError, TypeError) as error:
        raise DiffinvError(
            f"The list of weights {str(folder / index)!r} is damaged; get the model again."
        ) from error
    for shard in sorted(map(str, shards)):
        if not (folder / shard).is_file():
            raise DiffinvError(
                f"The folder {str(folder)!r} lacks part of its weights, {shard!r}; "
                "get the model again."
            )
