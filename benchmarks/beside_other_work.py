"""Learning alone and beside another busy torch process, with threads that sleep or that spin.

    python benchmarks/beside_other_work.py

torch's threads spin while they wait for each other, unless OMP_WAIT_POLICY=PASSIVE lets them sleep.
Each run learns the same difference in its own process, on all cores.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys

from common import where

WAYS: dict[str, dict[str, str]] = {
    "spin (the default of torch)": {},
    "spin 10,000 times": {"GOMP_SPINCOUNT": "10000"},
    "spin 1,000 times": {"GOMP_SPINCOUNT": "1000"},
    "spin 300 times": {"GOMP_SPINCOUNT": "300"},
    "sleep": {"OMP_WAIT_POLICY": "PASSIVE", "GOMP_SPINCOUNT": "0"},
    "one thread": {"OMP_NUM_THREADS": "1"},
}
_VARIABLES = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "OMP_NUM_THREADS")

LEARN = """
import sys, time
import diffinv
from diffinv.jobs.demo import find_example
from diffinv.plugins.loading import registry
model = diffinv.load("diorama", device="cpu")
pair = find_example(registry()).pair
model.invert(*pair, steps=2, progress=False)
started = time.perf_counter()
model.invert(*pair, steps=int(sys.argv[1]), progress=False)
print(time.perf_counter() - started)
"""

BUSY = """
import torch
a = torch.randn(1500, 1500)
while True:
    a = torch.tanh(a @ a / 1500)
"""


def main() -> None:
    """Time both kinds of threads, alone and beside another process."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    print(where("cpu"))
    for beside in (False, True):
        for name, environment in WAYS.items():
            seconds = [_learn(environment, given.steps, beside) for _ in range(given.rounds)]
            place = "beside another" if beside else "alone"
            median = statistics.median(seconds)
            print(f"{given.steps} steps {place}, threads {name}: {median:.1f} s")


def _learn(environment: dict[str, str], steps: int, beside: bool) -> float:
    kept = {name: value for name, value in os.environ.items() if name not in _VARIABLES}
    other = subprocess.Popen([sys.executable, "-c", BUSY], env=kept) if beside else None
    try:
        done = subprocess.run(
            [sys.executable, "-c", LEARN, str(steps)],
            env={**kept, **environment},
            check=True,
            capture_output=True,
            text=True,
        )
        return float(done.stdout)
    finally:
        if other:
            other.kill()
            other.wait()


if __name__ == "__main__":
    main()
