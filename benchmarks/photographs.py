"""What full-size photographs cost beside the model's own work.

A folder of 12-megapixel JPEGs goes through ``run_application``, and so do the same pictures at the
model's own size: the difference is what reading, enlarging the change and writing add, most of
which is done while the model works. The goal is at most 10 % for a real model, whose picture takes
seconds; the embedded one's takes tenths of a second.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from common import where
from PIL import Image

import diffinv
from diffinv.jobs.requests import ApplyRequest
from diffinv.jobs.tasks import run_application
from diffinv.method.settings import ApplicationSettings
from diffinv.pictures.blending import Change
from diffinv.pictures.formats import encoded
from diffinv.pictures.framing import to_model
from diffinv.pictures.photograph import read_photograph
from diffinv.running.models import Models
from diffinv_diorama.render import render
from diffinv_diorama.world import analogies

EXAMPLE = Path(diffinv.__file__).parent.parent / "plugins/diffinv-diorama/diffinv_diorama/example"
SEEN = (888, 664)
"""The size at which SD 2.1 sees a picture of 4:3."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pictures", type=int, default=64)
    parser.add_argument("--size", type=int, nargs=2, default=(4000, 3000))
    parser.add_argument("--device", default="cpu")
    args = parser.parse_args()
    print(where(args.device))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        large, small = photographs(folder, args.pictures, tuple(args.size))
        stages(next(large.iterdir()))
        difference = learned(folder, args.device)
        models = Models()
        seconds = {}
        for what, pictures in (("warm", small), ("small", small), ("full", large)):
            request = ApplyRequest(
                ((str(difference), 1.0),),
                (pictures,),
                folder / what,
                settings=ApplicationSettings(),
                device=args.device,
            )
            started = time.perf_counter()
            report = run_application(request, models=models)
            seconds[what] = (time.perf_counter() - started) / len(report.outputs)
            assert not report.failures
    added = seconds["full"] - seconds["small"]
    print(f"{args.pictures} pictures of {args.size[0]} x {args.size[1]}, batches of 8, a picture:")
    print(f"  at the model's size   {seconds['small']:.3f} s")
    print(f"  at full size          {seconds['full']:.3f} s: {added:.3f} s more")


def photographs(folder: Path, count: int, size: tuple[int, int]) -> tuple[Path, Path]:
    """A folder of JPEGs with some noise in them, and one of the same at the model's size."""
    large, small = folder / "large", folder / "small_pictures"
    large.mkdir()
    small.mkdir()
    for number, analogy in enumerate(analogies(8, 0)):
        pixels = np.asarray(render(analogy.b, analogy.seed_b, *size)).astype(np.int16)
        pixels += np.random.default_rng(number).integers(-6, 7, pixels.shape, np.int16)
        image = Image.fromarray(pixels.clip(0, 255).astype(np.uint8))
        image.save(large / f"{number}.jpg", quality=92)
        to_model(image, (96, 96)).save(small / f"{number}.jpg", quality=92)
    for number in range(8, count):
        for place in (large, small):
            shutil.copy(place / f"{number % 8}.jpg", place / f"{number}.jpg")
    return large, small


def learned(folder: Path, device: str) -> Path:
    model = diffinv.load("diorama", device=device)
    pair = EXAMPLE / "a.png", EXAMPLE / "a_prime.png"
    return model.invert(*pair, progress=False).save(folder / "d.safetensors")


def stages(path: Path) -> None:
    """What each part takes of one core, for one photograph."""
    photograph = timed(
        "read, once to be seen and once to be changed", lambda: read_photograph(path)
    )
    seen = timed("make as small as SD 2.1 sees it", lambda: to_model(photograph.seen, SEEN))
    before = np.asarray(seen).astype(np.float32) / 255
    part, whole = before.copy(), (before + 0.1).clip(0, 1)
    part[200:500, 200:600] = (part[200:500, 200:600] + 0.2).clip(0, 1)
    image = timed("add what changed, a fifth of it", lambda: edited(photograph, before, part))
    timed("add what changed, all of it", lambda: edited(photograph, before, whole))
    notes = {"diffinv": "{}", "parameters": "a"}
    timed("encode", lambda: encoded(image, "jpeg", 95, False, notes))


def edited(photograph, before, after):
    return photograph.with_change(Change(before, after))


def timed(what: str, work: Callable[[], object], rounds: int = 3):
    best = float("inf")
    for _ in range(rounds):
        started = time.perf_counter()
        result = work()
        best = min(best, time.perf_counter() - started)
    print(f"  {what}: {best:.3f} s")
    return result


if __name__ == "__main__":
    main()
