"""Describes, fetches and removes models of the hub, in its local cache.

Only :func:`describe` and :func:`fetch` use the network. A model counts as here once all files that
were wanted are: the reference that names its folder is written last.
"""

from __future__ import annotations

import contextlib
import errno
import fnmatch
import hashlib
import os
import re
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from ..errors import DiffinvError, UsageError
from .files import atomic_write
from .local_models import cached_snapshot, is_hub_id
from .text import path_text, readable, text_safe

Report = Callable[[int, int], None]
"""Is told how many bytes there are by now, and how many there will be. May raise to end it."""

_FOLDERS = (
    *("unet", "transformer", "vae"),
    *("text_encoder", "text_encoder_2", "text_encoder_3"),
    *("tokenizer", "tokenizer_2", "tokenizer_3"),
)
_TEXT = (".json", ".txt", ".model", ".jinja")
_INDEX = "model.safetensors.index.json"
_WEIGHTS = r"(diffusion_pytorch_model|model)"
_SHARD = r"(-\d+-of-\d+)?\.safetensors"
_FULL = re.compile(_WEIGHTS + rf"({_SHARD}|\.safetensors\.index\.json)")
_MODEL_SHARD = re.compile(r"model(\.safetensors)?-\d+-of-\d+\.safetensors")
_HALF = re.compile(_WEIGHTS + rf"(\.fp16{_SHARD}|\.safetensors\.index\.fp16\.json)")

_WAITS = (0.5, 2.0, 5.0)
"""Seconds before another try where a connection broke off without having brought anything."""

_PART = ".part"
_SHA256 = re.compile(r"[0-9a-f]{64}")
_BLOCK = 2**20


@dataclass(frozen=True)
class HubModel:
    """A model at the hub: the files to fetch with their sizes in bytes, its licence."""

    model: str
    commit: str
    files: Mapping[str, int]
    licence: str

    @property
    def size(self) -> int:
        """Bytes in all."""
        return sum(self.files.values())


# What is here


def cache_of(model: str) -> Path:
    """The folder of a model in the hub's local cache, whether there is one or not."""
    from huggingface_hub import constants
    from huggingface_hub.file_download import repo_folder_name

    return Path(constants.HF_HUB_CACHE) / repo_folder_name(repo_id=model, repo_type="model")


def cached_ids() -> list[str]:
    """The ids of all models in the local cache, whole or not."""
    from huggingface_hub import constants

    folders = sorted(Path(constants.HF_HUB_CACHE).glob("models--*"))
    return [folder.name.removeprefix("models--").replace("--", "/") for folder in folders]


def size_here(model: str) -> int:
    """The bytes that a model takes on this machine, 0 if there is nothing of it."""
    found = cache_of(model).rglob("*")
    return sum(path.stat().st_size for path in found if path.is_file() and not path.is_symlink())


def is_whole(model: str) -> bool:
    """Whether a model was fetched, and to its end."""
    return cached_snapshot(model) is not None


def remove(model: str) -> int:
    """Delete a model from the cache, also one that was fetched in part; return the bytes freed."""
    size, folder = size_here(model), cache_of(model)
    if not folder.is_dir():
        raise UsageError(f"The model {model!r} is not on this machine.")
    with contextlib.suppress(OSError):  # first, so that half a model never counts as one
        (folder / "refs" / "main").unlink()
    try:
        shutil.rmtree(folder)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise DiffinvError(f"{path_text(folder)} cannot be deleted ({reason}).") from error
    return size


# What there is at the hub


def describe(model: str, full_precision: bool = False, include: Sequence[str] = ()) -> HubModel:
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
    chosen = {file: sizes[file] for file in files}
    return HubModel(model, str(info.sha), chosen, text_safe(licence) or "not stated")


def checked_id(name: str) -> str:
    """A hub id. Raises UsageError for what cannot be one."""
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils import validate_repo_id

    try:
        validate_repo_id(name)
        if is_hub_id(name):
            return name
    except HFValidationError:
        pass
    raise UsageError(f"{text_safe(name)!r} is not the id of a model, as in OWNER/NAME.")


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


# Fetching


def fetch(wanted: HubModel, report: Report) -> Path:
    """Fetch a model's files, and return its folder. Files that are whole are kept, and one that
    was begun goes on where it was, also after the process was killed.

    Raises DiffinvError if the hub stops answering or there is no room.
    """
    folder = cache_of(wanted.model)
    _check_space(wanted, folder)
    before = 0
    with _errors_named(wanted.model):
        for name, size in wanted.files.items():
            _fetch_file(wanted, name, partial(_report_from, report, before, wanted.size))
            before += size
        report(wanted.size, wanted.size)
    atomic_write(folder / "refs" / "main", wanted.commit.encode())
    return folder / "snapshots" / wanted.commit


def _report_from(report: Report, before: int, total: int, done: int) -> None:
    report(before + done, total)


def _fetch_file(wanted: HubModel, name: str, report: Callable[[int], None]) -> None:
    """Put a file into the cache, by way of a part that grows beside it."""
    from huggingface_hub import get_hf_file_metadata, hf_hub_download, hf_hub_url
    from huggingface_hub import try_to_load_from_cache as find

    model, commit = wanted.model, wanted.commit
    if isinstance(find(model, name, revision=commit), str):
        return
    url = hf_hub_url(model, name, revision=commit)
    found = get_hf_file_metadata(url)
    blob = cache_of(model) / "blobs" / _checked_etag(found.etag, name)
    if not blob.exists():
        blob.parent.mkdir(parents=True, exist_ok=True)
        with _alone(blob, model):
            part = blob.with_name(blob.name + _PART)
            _grow(url, part, wanted.files[name] if found.size is None else found.size, report)
            _check_content(part, blob.name, name)
            os.replace(part, blob)
    hf_hub_download(model, name, revision=commit)


def _checked_etag(etag: str | None, name: str) -> str:
    """The name of a file's content in the cache, which is no path."""
    if etag is None or not re.fullmatch(r"[\w.-]+", etag) or etag.startswith("."):
        raise OSError(f"the hub gives {name} no name")
    return etag


@contextlib.contextmanager
def _alone(blob: Path, model: str) -> Iterator[None]:
    """Two processes would spoil each other's part."""
    from filelock import FileLock, Timeout

    repository = blob.parent.parent
    lock = repository.parent / ".locks" / repository.name / f"{blob.name}.lock"  # as the hub's own
    lock.parent.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(lock, timeout=0):
            yield
    except Timeout:
        raise DiffinvError(
            f"Another process is fetching the model {model!r} just now; wait for it."
        ) from None


def _grow(url: str, part: Path, size: int, report: Callable[[int], None]) -> None:
    """Append to a part until it is whole. A connection that breaks off is opened again, and given
    up only when several in a row have brought nothing."""
    part.touch()
    if part.stat().st_size > size:
        part.write_bytes(b"")
    in_vain = 0
    while (before := part.stat().st_size) < size:
        try:
            _stream(url, part, before, report)
            if part.stat().st_size == before:
                raise OSError("the hub sends nothing")
        except Exception as error:
            in_vain = in_vain + 1 if part.stat().st_size == before else 1
            if in_vain > len(_WAITS) or not _may_pass(error):
                raise
            time.sleep(_WAITS[in_vain - 1])


def _stream(url: str, part: Path, start: int, report: Callable[[int], None]) -> None:
    """Append what one connection brings. ``start``: how much of it there is."""
    from huggingface_hub import constants, get_session
    from huggingface_hub.utils import build_hf_headers, hf_raise_for_status

    headers = build_hf_headers() | {"Accept-Encoding": "identity"}
    if start:
        headers["Range"] = f"bytes={start}-"
    timeout = constants.HF_HUB_DOWNLOAD_TIMEOUT
    with get_session().stream("GET", url, headers=headers, timeout=timeout) as response:
        hf_raise_for_status(response)
        done = start if response.status_code == 206 else 0
        with part.open("ab" if done else "wb") as file:
            for chunk in response.iter_bytes():
                file.write(chunk)
                done += len(chunk)
                report(done)


def _may_pass(error: Exception) -> bool:
    """Whether another try may help."""
    from huggingface_hub.errors import HfHubHTTPError

    if isinstance(error, HfHubHTTPError):
        return error.response.status_code in (408, 429, 500, 502, 503, 504)
    return _is_of_the_net(error) or (isinstance(error, OSError) and error.errno is None)


def _is_of_the_net(error: Exception) -> bool:
    return type(error).__module__.startswith(("httpx", "httpcore", "requests"))


def _check_content(part: Path, etag: str, name: str) -> None:
    """Large files are called after their content: a power cut may have spoilt a part."""
    if not _SHA256.fullmatch(etag):
        return
    with part.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if digest != etag:
        part.unlink()
        raise DiffinvError(
            f"The file {text_safe(name)!r} came damaged and was thrown away; fetch the model again."
        )


def _check_space(wanted: HubModel, folder: Path) -> None:
    here = size_here(wanted.model)
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    if wanted.size - here > free:
        raise DiffinvError(
            f"The model {wanted.model!r} takes {readable(wanted.size)} and {path_text(folder)} has "
            f"{readable(free)} free; make room or set HF_HOME to another disk."
        )


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
        if _is_of_the_net(error):
            raise DiffinvError(_unreachable(model, error)) from error
        raise


def _unreachable(model: str, error: Exception) -> str:
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"There is no room left for the model {model!r}; make room and go on with it."
    return (
        f"The model {model!r} cannot be fetched ({type(error).__name__}); check the connection "
        "and try again: what has come is kept."
    )
