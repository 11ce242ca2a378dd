"""Lists, describes, fetches and removes models in the hub's local cache.

Only :func:`describe` and :func:`fetch` use the network.
"""

from __future__ import annotations

import contextlib
import fnmatch
import re
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from diffinv.errors import DiffinvError, UsageError
from diffinv.plugins.loading import registry
from diffinv.system.text import text_safe

from .families import FAMILIES
from .sources import find_source

if TYPE_CHECKING:
    from huggingface_hub import CachedRepoInfo

_FOLDERS = (
    *("unet", "transformer", "vae"),
    *("text_encoder", "text_encoder_2", "tokenizer", "tokenizer_2"),
)
_TEXT = (".json", ".txt", ".model", ".jinja")
_INDEX = "model.safetensors.index.json"
_WEIGHTS = r"(diffusion_pytorch_model|model)"
_SHARD = r"(-\d+-of-\d+)?\.safetensors"
_FULL = re.compile(_WEIGHTS + rf"({_SHARD}|\.safetensors\.index\.json)")
_MODEL_SHARD = re.compile(r"model(\.safetensors)?-\d+-of-\d+\.safetensors")
_HALF = re.compile(_WEIGHTS + rf"(\.fp16{_SHARD}|\.safetensors\.index\.fp16\.json)")


@dataclass(frozen=True)
class CachedModel:
    """A model as listings show it; ``size`` is its bytes on this machine, 0 if it is not here."""

    model: str
    used_by: str
    licence: str
    size: int
    status: str


@dataclass(frozen=True)
class HubModel:
    """A model at the hub: its files to fetch, their size in bytes, its licence."""

    model: str
    files: tuple[str, ...]
    size: int
    licence: str


def resolve_id(name: str) -> str:
    """The hub id that a backbone's id or a hub id stands for."""
    backbones = _backbones()
    if name in backbones:
        return backbones[name]
    if re.fullmatch(r"[A-Za-z0-9][\w.-]*/[\w.-]+", name) and _may_be_at_the_hub(name):
        return name
    raise UsageError(
        f"{text_safe(name)!r} is neither a backbone ({', '.join(backbones)}) nor the id of a "
        "model, as in OWNER/NAME."
    )


def _backbones() -> dict[str, str]:
    """The hub id of each backbone's usual model: ours first, then other plugins'."""
    found = {family.id: family.model for family in FAMILIES.values()}
    for spec in registry().backbones.values():
        model = spec.defaults.get("model")
        if isinstance(model, str):
            found.setdefault(spec.id, model)
    return found


def _may_be_at_the_hub(name: str) -> bool:
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils import validate_repo_id

    try:
        validate_repo_id(name)
    except HFValidationError:
        return False
    return True


def cached_models() -> list[CachedModel]:
    """The models that installed parts use, then all others in the local cache."""
    sizes = {repo.repo_id: repo.size_on_disk for repo in _cached_repos()}
    rows = [
        CachedModel(f.model, f.id, f.licence, sizes.get(f.model, 0), _status(f.id, f.model, sizes))
        for f in FAMILIES.values()
    ]
    for model, (users, licence) in _needed().items():
        here = "here" if model in sizes else "not here"
        rows.append(CachedModel(model, ", ".join(users), licence, sizes.get(model, 0), here))
    known = {row.model for row in rows}
    rows += [CachedModel(m, "", "", sizes[m], "here") for m in sorted(sizes) if m not in known]
    return rows


def _needed() -> dict[str, tuple[list[str], str]]:
    """The models that other parts load by default, and those that text projections are taken from:
    what uses each, and its licence."""
    found = registry()
    needed: dict[str, tuple[list[str], str]] = {}
    others = [spec for id, spec in found.backbones.items() if id not in FAMILIES]
    for spec in (*others, *found.captioners.values(), *found.delta_encoders.values()):
        model = spec.defaults.get("model")
        if isinstance(model, str):
            users, licence = needed.get(model, ([], ""))
            needed[model] = [*users, spec.id], licence or spec.licence
    for model, users in _projections().items():
        use = f"{', '.join(users)} (text projection)"
        needed.setdefault(model, ([], "MIT"))[0].append(use)
    return needed


def _projections() -> dict[str, list[str]]:
    """The models that text projections are taken from, each with the backbones that need it."""
    users: dict[str, list[str]] = {}
    for family in FAMILIES.values():
        for model, _ in family.projections[:1]:
            users.setdefault(model, []).append(family.id)
    return users


def _status(family: str, model: str, sizes: dict[str, int]) -> str:
    if model not in sizes:
        return "not here"
    try:
        find_source(FAMILIES[family], model)
    except DiffinvError:
        return "not whole"
    return "here"


def _cached_repos() -> list[CachedRepoInfo]:
    from huggingface_hub import CacheNotFound, scan_cache_dir

    try:
        return [repo for repo in scan_cache_dir().repos if repo.repo_type == "model"]
    except CacheNotFound:
        return []


def describe(model: str, full_precision: bool, include: Sequence[str]) -> HubModel:
    """Ask the hub what a model consists of and choose the files to fetch.

    Raises DiffinvError if the hub does not answer or the model has no safetensors weights.
    """
    from huggingface_hub import HfApi

    with _errors_named(model):
        info = HfApi().model_info(model, files_metadata=True)
    sizes = {s.rfilename: s.size or 0 for s in info.siblings or []}
    files = choose_files(sizes, full_precision, include)
    if not any(file.endswith(".safetensors") for file in files):
        raise DiffinvError(_no_weights(model, any(n.endswith(".safetensors") for n in sizes)))
    licence = next((t.removeprefix("license:") for t in info.tags or [] if "license:" in t), "")
    return HubModel(model, tuple(files), sum(sizes[f] for f in files), licence or "not stated")


def _no_weights(model: str, elsewhere: bool) -> str:
    if elsewhere:
        return (
            f"The model {model!r} has no .safetensors weights in the usual places; name those you "
            "want with --include GLOB."
        )
    return (
        f"The model {model!r} has no .safetensors weights to fetch; others could run any code "
        "and are not loaded."
    )


def choose_files(
    names: Sequence[str] | dict[str, int], full_precision: bool, include: Sequence[str] = ()
) -> list[str]:
    """The files of a model that are used; the half-precision weights if there are both."""
    names = sorted(names)
    if include:
        return [n for n in names if any(fnmatch.fnmatch(n, pattern) for pattern in include)]
    if "model_index.json" in names:
        chosen = ["model_index.json", *(n for n in names if n.startswith("scheduler/"))]
        for folder in _FOLDERS:
            inside = [n for n in names if n.rpartition("/")[0] == folder]
            chosen += _settings(inside) + _component_weights(inside, full_precision)
        return [n for n in chosen if not n.endswith(".md")]
    root = [n for n in names if "/" not in n]
    return _settings(root) + _root_weights(root)


def _root_weights(root: list[str]) -> list[str]:
    """One copy of the weights: open_clip's, else the shards with their index, else one file.

    Any other weights beside them are the same model in another library's layout.
    """
    shards = [n for n in root if _MODEL_SHARD.fullmatch(n)]
    if "open_clip_model.safetensors" in root:
        return ["open_clip_model.safetensors"]
    if _INDEX in root and shards:
        return [_INDEX, *shards]
    if "model.safetensors" in root:
        return ["model.safetensors"]
    return [n for n in root if n.endswith((".safetensors", ".safetensors.index.json"))]


def _settings(inside: list[str]) -> list[str]:
    return [n for n in inside if n.endswith(_TEXT) and ".safetensors.index" not in n]


def _component_weights(inside: list[str], full_precision: bool) -> list[str]:
    def matching(pattern: re.Pattern[str]) -> list[str]:
        return [n for n in inside if pattern.fullmatch(n.rpartition("/")[2])]

    full, half = matching(_FULL), matching(_HALF)
    return (full or half) if full_precision else (half or full)


def fetch(wanted: HubModel) -> Path:
    """Fetch a model's files with the hub's own bars; complete ones are kept."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.constants import HF_HUB_CACHE

    _check_space(wanted, Path(HF_HUB_CACHE))
    with _errors_named(wanted.model):
        return Path(snapshot_download(wanted.model, allow_patterns=list(wanted.files)))


def _check_space(wanted: HubModel, folder: Path) -> None:
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    if wanted.size > free:
        raise DiffinvError(
            f"The model {wanted.model!r} takes {readable(wanted.size)} and {folder} has "
            f"{readable(free)} free; make room or set HF_HOME to another disk."
        )


def remove(model: str) -> int:
    """Delete a model from the cache; return the bytes freed."""
    from huggingface_hub import scan_cache_dir

    revisions = [
        r.commit_hash for repo in _cached_repos() if repo.repo_id == model for r in repo.revisions
    ]
    if not revisions:
        raise UsageError(f"The model {model!r} is not on this machine.")
    strategy = scan_cache_dir().delete_revisions(*revisions)
    strategy.execute()
    return int(strategy.expected_freed_size)


def size_here(model: str) -> int:
    """The bytes a model takes on this machine, 0 if it is not here."""
    return sum(repo.size_on_disk for repo in _cached_repos() if repo.repo_id == model)


def readable(size: int) -> str:
    """A number of bytes in a suitable unit."""
    if size < 10**6:
        return f"{size / 1e3:.1f} kB"
    return f"{size / 1e6:.0f} MB" if size < 10**9 else f"{size / 1e9:.1f} GB"


@contextlib.contextmanager
def _errors_named(model: str) -> Iterator[None]:
    from huggingface_hub.errors import (
        GatedRepoError,
        HfHubHTTPError,
        OfflineModeIsEnabled,
        RepositoryNotFoundError,
    )

    try:
        yield
    except GatedRepoError as error:
        raise DiffinvError(
            f"The model {model!r} is available on conditions: accept them on its page at the hub "
            "and sign in with 'hf auth login'."
        ) from error
    except RepositoryNotFoundError as error:
        raise UsageError(
            f"The hub has no model {model!r} that you may read; check its id."
        ) from error
    except OfflineModeIsEnabled as error:
        raise DiffinvError(
            f"The model {model!r} cannot be fetched offline: unset HF_HUB_OFFLINE."
        ) from error
    except (HfHubHTTPError, OSError, RuntimeError) as error:
        raise DiffinvError(_unreachable(model, error)) from error
    except Exception as error:
        if type(error).__module__.startswith(("httpx", "httpcore", "requests")):
            raise DiffinvError(_unreachable(model, error)) from error
        raise


def _unreachable(model: str, error: Exception) -> str:
    return (
        f"The model {model!r} cannot be fetched ({type(error).__name__}); check the connection "
        "and try again: files that are whole are kept."
    )
