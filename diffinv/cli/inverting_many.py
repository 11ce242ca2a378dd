"""``diffinv invert --manifest``: a difference from each row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ..engines import LOCAL, engine_of
from ..errors import UsageError
from ..jobs.requests import InvertManyRequest
from .output import complain, print_json, say, stdout_for_data

if TYPE_CHECKING:
    from ..evaluation.layouts import Row
    from ..jobs.requests import InvertRequest


def invert_rows(manifest: Path, example: InvertRequest, on: str, batch: int, as_json: bool) -> bool:
    """Learn what the library does not have, with the settings of an example; whether all went
    well. On this machine and one at a time every row is a job of its own, else all are one."""
    from ..jobs.many import standings
    from ..jobs.planning import name_of, open_library
    from ..storage.store import Entry

    with stdout_for_data():
        engine_of(on)
        requests, faults = _requests(manifest, example)
        library = open_library(example.library)
        before = standings(library, requests)
        there = sum(isinstance(one, Entry) for one in before)
        if there:
            complain(f"{there} of {len(requests)} are in the library already.")
        faults += [one for one in before if isinstance(one, str)]
        left = [one for one, known in zip(requests, before, strict=True) if known is None]
        if on == LOCAL and batch == 1:
            faults += _one_after_another(left)
        elif left:
            faults += _as_one_job(InvertManyRequest(tuple(requests), batch, on, manifest.name))
    for fault in dict.fromkeys(faults):
        complain(f"Error: {fault}")
    known = {entry.name for entry in library.entries()}
    rows = zip(requests, before, strict=True)
    able = [name_of(one) for one, was in rows if not isinstance(was, str)]
    names = [name for name in able if name in known]
    if as_json:
        print_json({"learned": names, "faults": list(dict.fromkeys(faults))})
    else:
        say(f"{len(names)} of {len(requests)} differences are in the library.")
    return not faults


def _requests(manifest: Path, example: InvertRequest) -> tuple[list[InvertRequest], list[str]]:
    """A request for each row whose pictures are there, and what is wrong with the others."""
    from ..evaluation.layouts import of_manifest
    from ..storage.store import slug

    if manifest.suffix.casefold() not in (".csv", ".jsonl"):
        raise UsageError(f"--manifest {str(manifest)!r}: a manifest is a .csv or a .jsonl.")
    rows, faults = of_manifest(manifest)
    found: dict[str, InvertRequest] = {}
    for row in rows:
        try:
            if slug(row.id) in found:
                raise UsageError(f"has an id, {row.id!r}, for which another row takes the file")
            found[slug(row.id)] = _request_of(row, example)
        except UsageError as error:
            faults.append(f"{row.where} {error}")
    if not found:
        reasons = "; ".join(faults[:3]) or "it has no rows"
        raise UsageError(f"There is no pair in {str(manifest)!r}: {reasons}.")
    return list(found.values()), faults


def _request_of(row: Row, example: InvertRequest) -> InvertRequest:
    """Raises UsageError, worded to follow the row's place."""
    before, after = (row.pictures.get(key) for key in ("a", "a_prime"))
    if not isinstance(before, Path) or not isinstance(after, Path):
        raise UsageError("has no A or no A_prime")
    if missing := next((path for path in (before, after) if not path.is_file()), None):
        raise UsageError(f"names {str(missing)!r}, which is missing")
    texts = row.captions or {}
    given = [texts[key] for key in ("a", "a_prime") if key in texts]
    if len(given) == 1:
        raise UsageError("has one caption of two")
    captions = ((given[0], given[1]),) if given else ()
    return replace(example, pairs=((before, after),), name=row.id, captions=captions)


def _one_after_another(requests: Sequence[InvertRequest]) -> list[str]:
    """As jobs of the queue, where the app shows them, and which go on after Ctrl-C."""
    from ..jobs.store import JobStore
    from .following import error_of, submit_and_follow, watch

    jobs = [submit_and_follow(request, detach=True) for request in requests]
    faults = []
    for job, request in zip(jobs, requests, strict=True):
        if error := error_of(watch(JobStore(), job.id)):
            faults.append(f"{request.name}: {error}")
    return faults


def _as_one_job(request: InvertManyRequest) -> list[str]:
    """As one job, which leaves out by itself what the library has; what failed."""
    from .following import submit_and_follow

    return list(submit_and_follow(request).failures)
