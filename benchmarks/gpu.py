"""What the large models cost on a GPU, in under eight minutes: times, peak memory, rounding.

    benchmarks/gpu.sh                    SD 2.1 base, SDXL and FLUX.2 klein at their real sizes
    benchmarks/gpu.sh --dry              the same on tiny networks, on the CPU

Needs no network and no weights: those are random, of the real shapes (:mod:`hub_models`), written
to and loaded from a hub cache like real ones (26 GB of disk, made in the first minute or two). Each
model is measured in processes of its own, one for each way to use memory, so that a peak is a peak;
what there is no time left for is named. Prints JSON with the card's name.
"""

from __future__ import annotations

import argparse
import functools
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from common import where

ROOT = Path(__file__).parents[1] / ".bench" / "gpu"
MODELS = {"sd21-base": 512, "sdxl": 1024, "flux2-klein": 1024}
"""The backbones and their own sides."""

SIDES, BATCHES = (512, 768, 1024), (2, 4, 8)
GOALS_GB = {"sd21-base": (512, 6.0), "sdxl": (1024, 12.0)}
"""The memory that learning one pair at a side may take, in one of the two ways."""

LARGE = 1024
"""From this side on pictures are made one at a time, for want of minutes."""

STEP_GOAL = 1.03
APPLY_STEPS = 20


@dataclass(frozen=True)
class Task:
    """One process: a backbone, a way to use memory, and whether it is compiled."""

    backbone: str
    memory: str
    compiled: bool = False


TASKS = (
    *(Task(backbone, memory) for memory in ("high", "low") for backbone in MODELS),
    *(Task(backbone, "high", compiled=True) for backbone in MODELS),
)
"""The most telling first."""


def main() -> None:
    """Make the weights, measure, and say which goals are met."""
    given = _arguments()
    os.environ |= {"HF_HUB_CACHE": str(_cache(given)), "HF_HUB_OFFLINE": "1"}
    os.environ["DIFFINV_HOME"] = str(ROOT / "home")
    if given.make:
        _make(given)
        return
    if given.task is not None:
        measure(TASKS[given.task], given)
        return
    end = time.monotonic() + 60 * given.minutes
    found: dict[str, Any] = {"where": where(given.device), "card": _card(given), "dry": given.dry}
    started = time.perf_counter()
    makers = [subprocess.Popen([*_again(given, [name]), "--make"]) for name in given.models]
    codes = [maker.wait() for maker in makers]
    if any(codes):
        sys.exit("The weights could not be made: see above.")
    found["making_weights_s"] = round(time.perf_counter() - started, 1)
    found["rows"], found["left_out"] = [], []
    for number, task in enumerate(TASKS):
        if task.backbone in given.models:
            _run(task, number, end, given, found)
    found["goals"] = goals(found["rows"])
    text = json.dumps(found, indent=2)
    print(text)
    if given.out:
        given.out.write_text(text + "\n")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dry", action="store_true", help="tiny networks on the CPU")
    parser.add_argument("--models", nargs="*", choices=list(MODELS), default=list(MODELS))
    parser.add_argument("--minutes", type=float, default=7.5, help="when to stop")
    parser.add_argument("--out", type=Path, help="a file for the JSON")
    parser.add_argument("--make", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--task", type=int, help=argparse.SUPPRESS)
    given = parser.parse_args()
    given.device = "cpu" if given.dry else "cuda"
    return given


def _cache(given: argparse.Namespace) -> Path:
    return ROOT / ("tiny" if given.dry else "hub")


def _card(given: argparse.Namespace) -> dict[str, Any]:
    if given.dry:
        return {"name": "none"}
    card = torch.cuda.get_device_properties(0)
    return {"name": card.name, "gb": round(card.total_memory / 1e9, 1), "torch": torch.__version__}


def _again(given: argparse.Namespace, models: Sequence[str]) -> list[str]:
    """This script once more, as another process."""
    dry = ["--dry"] if given.dry else []
    return [sys.executable, __file__, *dry, "--models", *models]


def _make(given: argparse.Namespace) -> None:
    """The weights. Models are made side by side, each in a process of its own."""
    import hub_models

    makers: dict[str, Callable[..., None]] = {
        "sd21-base": functools.partial(hub_models.stable_diffusion, family="sd21-base"),
        "sdxl": functools.partial(hub_models.stable_diffusion, family="sdxl"),
        "flux2-klein": hub_models.klein,
    }
    for name in given.models:
        makers[name](_cache(given), tiny=given.dry)


def _run(
    task: Task, number: int, end: float, given: argparse.Namespace, found: dict[str, Any]
) -> None:
    """A task in its own process, as long as there is time; what it has printed by then counts."""
    left = end - time.monotonic()
    if left < 5:
        found["left_out"].append(vars(task) | {"why": "no time"})
        return
    command = [*_again(given, given.models), "--task", str(number)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=left, check=False)
        printed, error = done.stdout, done.stderr.strip().splitlines() if done.returncode else []
    except subprocess.TimeoutExpired as late:
        printed = (late.stdout or b"").decode()
        error = ["no time"]
    rows = [json.loads(line) for line in printed.splitlines() if line.startswith("{")]
    found["rows"] += rows
    for row in rows:
        print(row, file=sys.stderr)
    if error:
        found["left_out"].append(vars(task) | {"why": error[-1]})


def measure(task: Task, given: argparse.Namespace) -> None:
    """Print a line of JSON for each figure of a task."""
    import measuring

    import diffinv
    from diffinv.method.editors import EditFriendly
    from diffinv.method.settings import ApplicationSettings

    os.environ["DIFFINV_MEMORY"] = task.memory
    width = _projection(task.backbone)
    started = time.perf_counter()
    model = diffinv.load(
        task.backbone, captioner="diorama", delta_encoder="diorama", device=given.device,
        memory=task.memory,
    ).backbone  # fmt: skip
    say = functools.partial(_say, task)
    say("loading", seconds=time.perf_counter() - started, peak_gb=_peak(given))
    if task.compiled:
        _compile(model, given)
    rounds = 1 if given.dry else 5
    own = 64 if given.dry else MODELS[task.backbone]
    for count, side in _learnings(task, own, given):
        with _fresh_peak(given, say):
            ours, bare, ratio = measuring.learning(model, count, side, rounds, width)
            say("learning", pairs=count, side=side, step_s=ours, bare_s=bare, ratio=ratio,
                peak_gb=_peak(given))  # fmt: skip
    if task.compiled:
        return
    steps = 2 if given.dry else APPLY_STEPS
    settings = ApplicationSettings(steps=steps)
    for count in (1, 4) if task.memory == "high" and own < LARGE else (1,):
        with _fresh_peak(given, say):
            started = time.perf_counter()
            measuring.applying(model, EditFriendly(), count, own, settings)
            say("applying", pictures=count, side=own, steps=steps,
                seconds=time.perf_counter() - started, peak_gb=_peak(given))  # fmt: skip
    if task.memory == "high":
        off = measuring.round_trip(model, own, 4 if given.dry else 20)
        say("round trip", side=own, off=off, dtype=str(_network(model).dtype))


def _learnings(task: Task, own: int, given: argparse.Namespace) -> Iterator[tuple[int, int]]:
    """Pairs at once and side. The sides come first, then larger batches at the model's own."""
    sides = (64, 96) if given.dry else SIDES
    if task.compiled:
        yield 1, own
        return
    for side in sides if task.memory == "high" else {own, sides[0]}:
        yield 1, side
    if task.memory == "high":
        for count in BATCHES[:1] if given.dry else BATCHES:
            yield count, own


def _projection(backbone: str) -> int:
    """A random text projection where the checkpoint has none; the width of the joint space."""
    from measuring import SPACE
    from random_checkpoint import write_projection

    from diffinv_stable_diffusion.families import FAMILIES
    from diffinv_stable_diffusion.projection import VARIABLE

    if backbone in FAMILIES and FAMILIES[backbone].towers == 1:
        path = write_projection(ROOT / f"{backbone}.safetensors", FAMILIES[backbone].width, SPACE)
        os.environ[VARIABLE] = str(path)
    return SPACE


def _network(model: Any) -> Any:
    return getattr(model, "unet", None) or model.transformer


def _compile(model: Any, given: argparse.Namespace) -> None:
    backend = "aot_eager" if given.dry else "inductor"  # which takes minutes on a CPU
    name = "unet" if hasattr(model, "unet") else "transformer"
    setattr(model, name, torch.compile(getattr(model, name), backend=backend))


def _say(task: Task, what: str, **figures: Any) -> None:
    rounded = {k: round(v, 4) if isinstance(v, float) else v for k, v in figures.items()}
    print(json.dumps(vars(task) | {"what": what} | rounded), flush=True)


class _fresh_peak:  # noqa: N801
    """Counts the peak memory from here on. What does not fit is said, and the next is tried."""

    def __init__(self, given: argparse.Namespace, say: Callable[..., None]) -> None:
        self._cuda, self._say = given.device == "cuda", say

    def __enter__(self) -> None:
        if self._cuda:
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()

    def __exit__(self, kind: Any, error: Any, _trace: Any) -> bool:
        if kind is None or not issubclass(kind, torch.OutOfMemoryError):
            return False
        self._say("out of memory", why=str(error).splitlines()[0])
        return True


def _peak(given: argparse.Namespace) -> float:
    """Of the GPU since it was last reset, or of this process; in GB."""
    if given.device == "cuda":
        return float(torch.cuda.max_memory_allocated() / 1e9)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9


def goals(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """What was wanted, what was found, and whether that is enough; None where it was not
    measured."""
    steps = [r for r in rows if r.get("what") == "learning" and not r.get("compiled")]
    ratios = {f"{r['backbone']} {r['side']}": r["ratio"] for r in steps
              if r["memory"] == "high" and r["pairs"] == 1}  # fmt: skip
    found: dict[str, Any] = {
        "step": {"goal": STEP_GOAL, "found": ratios,
                 "met": max(ratios.values()) <= STEP_GOAL if ratios else None},
    }  # fmt: skip
    for backbone, (side, goal) in GOALS_GB.items():
        peaks = {r["memory"]: r["peak_gb"] for r in steps
                 if (r["backbone"], r["side"], r["pairs"]) == (backbone, side, 1)}  # fmt: skip
        met = min(peaks.values()) <= goal if peaks else None
        found[f"{backbone} {side}"] = {"goal_gb": goal, "found_gb": peaks, "met": met}
    return found


if __name__ == "__main__":
    main()
