"""A home as after a week of use, the same every time: differences, pictures, jobs."""

from __future__ import annotations

import io
import math
import os
from dataclasses import asdict, replace
from importlib import metadata
from pathlib import Path

import numpy as np
from PIL import Image, ImageFilter

from diffinv.difference import Difference, DifferenceInfo, save
from diffinv.errors import UsageError
from diffinv.jobs.job import Job, JobProgress
from diffinv.jobs.request_json import kind_of
from diffinv.jobs.requests import ApplyRequest, InvertRequest
from diffinv.method.settings import InversionSettings
from diffinv.pictures.writing import to_webp
from diffinv.plugins.loading import load_plugins
from diffinv.plugins.registry import Registry
from diffinv.plugins.rows import PluginRow
from diffinv.running.progress import AppliedImage
from diffinv.storage.store import Entry
from diffinv_diorama.render import render
from diffinv_diorama.world import Scene

MOMENT = 1_795_000_000
"""When every picture was taken, in seconds since 1970."""

BASE = Scene("cabin", "red", "day", "grass", "mountains", "none", "none")

CHANGES = [
    ("cabin to castle", BASE, "building", "castle", ("building", "castle")),
    ("first snow", BASE, "ground", "snow", ("winter",)),
    ("sunset", BASE.with_value("building", "windmill"), "time", "sunset", ("light",)),
    ("into the night", BASE.with_value("building", "church"), "time", "night", ("light",)),
    ("rainbow", BASE.with_value("building", "windmill"), "sky", "rainbow", ("sky",)),
    ("red to blue", BASE.with_value("building", "lighthouse"), "colour", "blue", ()),
    ("to the sea", BASE.with_value("building", "lighthouse"), "backdrop", "sea", ("land",)),
    ("balloon", BASE.with_value("ground", "sand"), "sky", "balloon", ("sky",)),
    ("desert", BASE.with_value("building", "church"), "ground", "sand", ("land",)),
    ("church to windmill", BASE.with_value("building", "church"), "building", "windmill", ()),
    ("lit windows", BASE.with_value("time", "night"), "detail", "lit", ("light", "small")),
]


def losses(steps: int = 40) -> np.ndarray:
    """A curve as it usually looks."""
    total = [
        0.9 * math.exp(-step / 11) + 0.16 + 0.02 * math.sin(step * 1.7) for step in range(steps)
    ]
    rows = np.array([[value, value * 0.7, value * 0.3] for value in total])
    return rows.astype(np.float32)


def picture(path: Path, scene: Scene, seed: int) -> Path:
    """A picture file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    render(scene, seed).save(path)
    os.utime(path, (MOMENT, MOMENT))
    return path


def difference(
    name: str, scene: Scene, attribute: str, value: str, tags: tuple[str, ...], number: int = 0
) -> Difference:
    """A difference that looks learned."""
    a = render(scene, 40 + number)
    a_prime = render(scene.with_value(attribute, value), 40 + number)
    before = getattr(scene, attribute)
    captions = (
        f"a {scene.building} on {scene.ground}, {attribute} {before}",
        f"a {scene.building} on {scene.ground}, {attribute} {value}",
    )
    info = DifferenceInfo(
        name=name,
        backbone="diorama",
        backbone_weights="0" * 16,
        token_space="additive",
        description=" → ".join(captions),
        date=f"2026-11-{20 - number:02}T09:30:00+00:00",
        tags=tags,
        delta_encoder="diorama",
        captioner="diorama",
        prompter="caption",
        captions=(captions,),
        prompts=(captions,),
        words_brought=(value, "sky", "tower"),
        words_taken=(before, "flag", "ground"),
        token_scale=0.83,
        settings=asdict(InversionSettings()),
        device="cpu",
        seconds=48.0,
    )
    thumbnails = {
        "a": to_webp(a),
        "a_prime": to_webp(a_prime),
        "preview": to_webp(a_prime.filter(ImageFilter.GaussianBlur(0.6))),
    }
    tokens = np.full((1, 64), number + 1, dtype=np.float32)
    return Difference(info, tokens, np.ones(128, dtype=np.float32), losses(), thumbnails)


def fill_library(folder: Path) -> None:
    """Eleven differences."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, (name, scene, attribute, value, tags) in enumerate(CHANGES):
        learned = difference(name, scene, attribute, value, tags, number)
        save(learned, folder / f"{name.replace(' ', '-')}.safetensors")


def fill_pictures(folder: Path) -> None:
    """A pair, and a folder of pictures with results for some of them."""
    picture(folder / "before.png", BASE, 7)
    picture(folder / "after.png", BASE.with_value("ground", "snow"), 7)
    buildings = ("cabin", "church", "windmill", "lighthouse", "castle", "church")
    for number, building in enumerate(buildings, 1):
        scene = replace(BASE, building=building, colour=("blue", "yellow", "red")[number % 3])
        picture(folder / "trip" / f"{number:02}.png", scene, number)
        picture(folder / "winter" / f"{number:02}.png", scene.with_value("ground", "snow"), number)
    for place in (folder, folder / "trip", folder / "winter"):
        os.utime(place, (MOMENT, MOMENT))


class SampleJobs:
    """A job store that stands still: what a front end uses of JobStore, in memory."""

    def __init__(self, folder: Path, jobs: list[Job]) -> None:
        self.folder, self.list = folder, jobs
        self.paused, self.pause_reason = False, None
        self.version = 0
        self.calls: list[tuple[object, ...]] = []

    def changes(self) -> int:
        return self.version

    def worker(self, device: str) -> None:
        """There is none."""

    def same_as(self, request: object) -> Job | None:
        return next((j for j in self.list if j.request == request and not j.is_finished), None)

    def set_told(self, ids: list[int]) -> None:
        self.calls.append(("told", *ids))
        self.list = [replace(job, is_news=job.is_news and job.id not in ids) for job in self.list]

    def jobs(self, states: object = None) -> list[Job]:
        return list(self.list)

    def submit(
        self,
        request: InvertRequest | ApplyRequest,
        priority: int = 0,
        waits_for: int | None = None,
    ) -> Job:
        kind = kind_of(request)
        id = max((job.id for job in self.list), default=0) + 1
        title = "new job"
        log = self.folder / "jobs" / str(id) / "log.txt"
        job = Job(id, kind, title, "queued", request, "cpu", 0.0, log)
        self._put(job)
        return job

    def _put(self, job: Job) -> Job:
        self.list = [*(other for other in self.list if other.id != job.id), job]
        self.version += 1
        return job

    def _change(self, id: int, **changes: object) -> Job:
        for job in self.list:
            if job.id == id:
                return self._put(replace(job, **changes))
        raise UsageError(f"There is no job {id}.")

    def cancel(self, id: int) -> Job:
        self.calls.append(("cancel", id))
        return self._change(id, state="cancelled")

    def resume(self, id: int) -> Job:
        self.calls.append(("resume", id))
        return self._change(id, state="queued")

    def retry(self, id: int) -> Job:
        self.calls.append(("retry", id))
        return self.submit(next(job.request for job in self.list if job.id == id))

    def move(self, id: int, up: bool) -> None:
        self.calls.append(("move", id, up))

    def move_to_end(self, id: int, first: bool) -> None:
        self.calls.append(("move_to_end", id, first))

    def clear(self) -> int:
        before = len(self.list)
        self.list = [job for job in self.list if not job.is_finished]
        self.version += 1
        return before - len(self.list)

    def set_paused(self, paused: bool) -> None:
        self.paused = paused
        self.pause_reason = "The queue is paused." if paused else None
        self.version += 1


LOG = """Loading the models
Describing the pictures
A: a cabin on grass, ground grass
A′: a cabin on snow, ground snow
Learning the difference
"""


def sample_jobs(home: Path, pictures: Path) -> list[Job]:
    """One job in every state."""
    pair = ((pictures / "before.png", pictures / "after.png"),)
    learn = InvertRequest(pairs=pair, name="winter")
    use = ApplyRequest((("winter", 1.0),), (pictures / "trip",), pictures / "winter")
    outputs = [
        AppliedImage(pictures / "trip" / f"{n:02}.png", pictures / "winter" / f"{n:02}.png", 3.2)
        for n in range(1, 7)
    ]

    def log(id: int) -> Path:
        path = home / "jobs" / str(id) / "log.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(LOG, encoding="utf-8")
        return path

    preview = home / "jobs" / "7" / "preview.png"
    preview.parent.mkdir(parents=True, exist_ok=True)
    after = Image.open(pictures / "after.png").filter(ImageFilter.GaussianBlur(1.5))
    data = io.BytesIO()
    after.save(data, "PNG")
    preview.write_bytes(data.getvalue())
    progress = JobProgress("Learning the difference", 27, 40, 0.84, 15.5, 0.2417, 1184.0)
    curve = [float(row[0]) for row in losses(27)]
    applying = JobProgress("Applying", 20, 20)
    t = 1_000.0
    return [
        Job(7, "invert", "winter", "running", learn, "cpu", t, log(7), started=t, progress=progress,
            losses=curve, preview=preview),
        Job(8, "apply", "winter on trip", "queued", use, "cpu", t, log(8)),
        Job(9, "apply", "winter on old photographs", "queued", use, "cpu", t, log(9)),
        Job(6, "apply", "first snow on trip", "done", use, "cpu", t, log(6), started=t,
            finished=t + 21, progress=applying, outputs=outputs),
        Job(5, "invert", "cabin to castle", "done", learn, "cpu", t, log(5), started=t,
            finished=t + 48, progress=replace(progress, step=40, rate=0.83, eta=0.0),
            losses=[float(row[0]) for row in losses()], preview=preview,
            difference=("cabin to castle", home / "library" / "cabin-to-castle.safetensors")),
        Job(4, "invert", "harvest", "failed", learn, "cuda", t, log(4), started=t, finished=t + 9,
            error="The GPU has not enough memory for this backbone; choose --device cpu or close "
            "other programs."),
        Job(3, "invert", "autumn", "interrupted", learn, "cpu", t, log(3), started=t,
            finished=t + 30, progress=replace(progress, step=12), losses=curve[:12],
            error="Job 3 was interrupted: the machine was restarted."),
        Job(2, "apply", "desert on trip", "cancelled", use, "cpu", t, log(2), started=t,
            finished=t + 4),
    ]  # fmt: skip


def make(home: Path) -> tuple[Path, Path]:
    """Fill ``home``: the folder of diffinv's data, and that of the pictures."""
    data, pictures = home / "diffinv", home / "pictures"
    fill_pictures(pictures)
    fill_library(data / "library")
    return data, pictures


def entry(folder: Path, name: str) -> Entry:
    """An entry without a file."""
    info = difference(name, BASE, "sky", "moon", (), 3).info if not _INFO else _INFO[0]
    _INFO[:] = [info]
    return Entry(name, folder / f"{name}.safetensors", replace(info, name=name))


_INFO: list[DifferenceInfo] = []


def hostile(text: str) -> Difference:
    """A difference with one text wherever there is room for one."""
    made = difference("x", BASE, "sky", "moon", ())
    info = replace(
        made.info,
        name=text,
        tags=(text,),
        captions=((text, text),),
        prompts=((text, text + "!"),),
        description=text,
        captioner=text,
        words_brought=(text,),
        words_taken=(text,),
        warnings=(text,),
    )
    return replace(made, info=info)


def hostile_job(text: str, home: Path) -> Job:
    """A failed job with one text wherever there is room for one."""
    request = InvertRequest(((home / "a.png", home / "b.png"),), name=text)
    log = home / "log.txt"
    log.write_text(text, encoding="utf-8")
    return Job(1, "invert", text, "failed", request, "cpu", 0.0, log, error=text, warnings=[text])


def sample_registry() -> Registry:
    """The plugins that are installed here, at a fixed version, and one that is broken."""
    found = load_plugins(metadata.entry_points(group="diffinv"))
    wanted = [row for row in found.rows if row.name in ("editors", "diorama")]
    found.rows = [replace(row, version="1.0") for row in wanted]
    found.rows.append(
        PluginRow(
            "watercolour",
            "0.3",
            "diffinv-watercolour",
            status="broken",
            error="ModuleNotFoundError: its library 'pigments' is not installed",
        )
    )
    return found
