"""Everything that the READMEs tell the owner of a GPU, on models of real layout and size.

Fills a hub cache of its own with random weights (:mod:`hub_models`), makes photographs, and runs
the commands of README.md and the plugins' READMEs, offline, with the fewest steps and small sides.
The pictures mean nothing; what fails, takes long or takes much memory does.

    python benchmarks/rehearsal.py --model sd21-base
    python benchmarks/rehearsal.py --model sdxl --only-layout
    python benchmarks/rehearsal.py --clear

The layout of ``sd21-base`` takes 6.1 GB of disk, of ``blip2`` 7.5, of ``sdxl`` 17, of ``klein`` 20.
On a CPU ``sd21-base`` takes 11 GB of memory; ``sdxl`` and ``klein`` take more than most machines
have, and are listed, checked and refused there, or run on a GPU (``--device cuda``).
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import threading
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import psutil
from common import where
from hub_models import MODELS
from PIL import Image

ROOT = Path(__file__).parents[1] / ".bench" / "rehearsal"
SAID = ("--caption-a", "a street by day", "--caption-a-prime", "a street at night")
QUICK = ("--steps", "1", "--preview", "none")


@dataclass(frozen=True)
class Command:
    """A command of diffinv's; ``refused`` says that an error in a sentence is what is right."""

    words: tuple[str, ...]
    refused: bool = False


@dataclass(frozen=True)
class Outcome:
    """What became of a command. ``peak_gb`` is the memory of it and its worker, files that are
    mapped included."""

    command: str
    seconds: float
    code: int
    peak_gb: float
    said: str
    right: bool


def main() -> None:
    """Make what is needed, run the commands, print the table; the JSON goes beside it."""
    given = _arguments()
    if given.clear:
        shutil.rmtree(ROOT, ignore_errors=True)
        return
    names = ["sd21-base", "blip2"] if given.model == "all" else [given.model]
    for name in names:
        started = time.perf_counter()
        for make in MODELS[name]:
            make(ROOT / "hub")
        print(f"{name}: the layout took {time.perf_counter() - started:.0f} s", flush=True)
    if given.only_layout:
        return
    _photographs(ROOT)
    home = ROOT / "homes" / given.model
    shutil.rmtree(home, ignore_errors=True)
    os.environ["DIFFINV_HOME"] = str(home)
    outcomes = []
    for name in names:
        for command in commands(name, given):
            outcomes.append(run(command, given.timeout))
            print(_line(outcomes[-1]), flush=True)
    _end_workers()
    found = {"where": where(given.device), "outcomes": [asdict(outcome) for outcome in outcomes]}
    path = ROOT / f"{given.model}.json"
    path.write_text(json.dumps(found, indent=2) + "\n")
    print(f"{sum(not o.right for o in outcomes)} of {len(outcomes)} went wrong; {path}")
    sys.exit(any(not outcome.right for outcome in outcomes))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", choices=[*MODELS, "all"], default="sd21-base")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--side", type=int, default=128, help="pixels at which to learn")
    parser.add_argument("--timeout", type=float, default=2400, help="seconds for one command")
    parser.add_argument("--only-layout", action="store_true", help="make the models and stop")
    parser.add_argument("--clear", action="store_true", help="remove all that was made")
    return parser.parse_args()


def commands(name: str, given: argparse.Namespace) -> list[Command]:
    """As in the READMEs, with few steps at a small side."""
    if name == "blip2":
        return _captioned(given)
    backbone = {"klein": "flux2-klein"}.get(name, name)
    pair = ("invert", "day.jpg", "night.jpg", "--backbone", backbone, "--device", given.device)
    small = (*QUICK, "--side", str(given.side))
    look = [
        Command(("models", "list")),
        Command(("models", "path", backbone)),
        Command(("models", "pull", backbone, "--yes"), refused=True),
        Command(("plugins", "list")),
    ]
    if given.device == "cpu" and name != "sd21-base":
        return [*look, Command((*pair, *SAID, *small, "--memory", "high"), refused=True)]
    words = [
        Command((*pair, *SAID, *small, "--token-space", "input", "--name", "snow")),
        *(Command(("library", "export", "snow", "--format", format, "--out", f"out-{format}/"))
          for format in ("a1111", "comfyui", "textual-inversion")),
        Command(("library", "import", "out-a1111/snow.safetensors", "--backbone", backbone,
                 "--name", "again")),
    ]  # fmt: skip
    apply = ("apply", "winter", "photographs", "--out", "results", "--device", given.device)
    paper = [] if name == "klein" else [
        Command((*pair, *SAID, "--preset", "paper", *small, "--name", "hard prompts"))
    ]  # fmt: skip
    return [
        *look,
        Command((*pair, *SAID, *small, "--name", "winter")),
        Command((*apply, "--prompt-b", "a street", "--steps", "1")),
        Command(("show", "results/2.jpg")),
        Command(("library", "show", "winter")),
        *(words if name != "klein" else []),
        Command(("library", "export", "winter", "--out", "out/")),
        *paper,
        Command(("library", "verify")),
    ]


def _captioned(given: argparse.Namespace) -> list[Command]:
    """BLIP-2 alone beside the small model: both take more memory together."""
    pair = ("invert", "day.jpg", "night.jpg", "--backbone", "diorama", "--captioner", "blip2")
    more = ("--memory", "low", "--name", "captioned", "--device", given.device)
    return [Command((*pair, *more, *QUICK))]


def run(command: Command, timeout: float) -> Outcome:
    """A command in a home of its own, offline, while its memory is watched."""
    words = [str(Path(sys.executable).with_name("diffinv")), *command.words]
    started, watch = time.perf_counter(), _Watch()
    with watch:
        try:
            done = subprocess.run(
                words, cwd=ROOT, env=_environment(), timeout=timeout, check=False,
                stdin=subprocess.DEVNULL, capture_output=True, text=True,
            )  # fmt: skip
            code, said = done.returncode, done.stderr.strip() or done.stdout.strip()
        except subprocess.TimeoutExpired:
            code, said = 124, "did not end in time"
    right = code in (1, 2) and "Traceback" not in said if command.refused else code == 0
    seconds = round(time.perf_counter() - started, 1)
    last = said.splitlines()[-1] if said else ""
    return Outcome(" ".join(command.words), seconds, code, round(watch.peak / 1e9, 2), last, right)


def _environment() -> dict[str, str]:
    own = {"HF_HOME": str(ROOT), "HF_HUB_CACHE": str(ROOT / "hub"), "HF_HUB_OFFLINE": "1"}
    return {**os.environ, **own, "COLUMNS": "120"}


class _Watch(threading.Thread):
    """The peak memory of all processes that belong to the home, in bytes."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.peak, self._over = 0, threading.Event()

    def __enter__(self) -> _Watch:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self.join()

    def run(self) -> None:
        """Look a few times a second."""
        while not self._over.wait(0.3):
            self.peak = max(self.peak, sum(_memory(process) for process in _processes()))


def _processes() -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get("DIFFINV_HOME") == os.environ["DIFFINV_HOME"]:
                found.append(process)
        except (psutil.Error, OSError):
            continue
    return found


def _memory(process: psutil.Process) -> int:
    try:
        return int(process.memory_info().rss)
    except psutil.Error:
        return 0


def _end_workers() -> None:
    for process in _processes():
        process.terminate()


def _photographs(folder: Path) -> None:
    """A pair, and two photographs of 12 megapixels."""
    (folder / "photographs").mkdir(parents=True, exist_ok=True)
    _photograph(1, (1024, 768)).save(folder / "day.jpg", quality=92)
    _photograph(1, (1024, 768), (0.3, 0.35, 0.6)).save(folder / "night.jpg", quality=92)
    for seed in (2, 3):
        camera = Image.Exif()
        camera[0x0110] = "Rehearsal"
        image = _photograph(seed, (4000, 3000))
        image.save(folder / "photographs" / f"{seed}.jpg", quality=92, exif=camera)


def _photograph(
    seed: int, size: tuple[int, int], light: tuple[float, float, float] = (1, 1, 1)
) -> Image.Image:
    """Smooth colours with some grain, in a light."""
    rng = np.random.default_rng(seed)
    small = Image.fromarray(rng.integers(60, 220, (6, 8, 3), dtype="uint8"))
    smooth = np.asarray(small.resize(size, Image.Resampling.BICUBIC), dtype=np.int16)
    grained = smooth + rng.integers(-6, 7, (size[1], size[0], 1), dtype=np.int16)
    return Image.fromarray((grained * np.array(light)).clip(0, 255).astype("uint8"))


def _line(outcome: Outcome) -> str:
    mark = "ok" if outcome.right else "WRONG"
    return (
        f"{mark:5} {outcome.seconds:7.1f} s {outcome.peak_gb:6.2f} GB  exit {outcome.code}  "
        f"{outcome.command}\n{'':29}{outcome.said[:160]}"
    )


if __name__ == "__main__":
    main()
