"""How long ``diffinv --help`` takes, against ``python -c "import click"``.

The goal is 0.3 s, without importing torch.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time
from pathlib import Path


def seconds(command: list[str], rounds: int) -> float:
    """The median wall time of a whole process."""
    times = []
    for _ in range(rounds + 1):
        start = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True)
        times.append(time.perf_counter() - start)
    return statistics.median(times[1:])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=11)
    rounds = parser.parse_args().rounds
    diffinv = str(Path(sys.executable).with_name("diffinv"))
    base = seconds([sys.executable, "-c", "import click"], rounds)
    for words in (["--help"], ["library", "list"], ["plugins", "list"]):
        print(f"diffinv {' '.join(words)}: {seconds([diffinv, *words], rounds):.3f} s")
    print(f'python -c "import click": {base:.3f} s')
    probe = (
        "import sys; from diffinv.cli import main; sys.argv = ['diffinv', '--help']\n"
        "try: main()\nexcept SystemExit: pass\n"
        "print('torch' in sys.modules, file=sys.stderr)"
    )
    ran = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    print(f"torch imported by --help: {ran.stderr.strip()}")


if __name__ == "__main__":
    main()
