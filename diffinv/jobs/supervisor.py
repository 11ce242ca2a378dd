"""Starts a device's worker, and another one if it dies: ``python -m diffinv.jobs.supervisor``, with
the worker's own options.

It loads next to nothing while the worker lives: whoever looks for memory to free finds the worker.
"""

from __future__ import annotations

import argparse
import signal
import subprocess
import sys
from pathlib import Path


def main(args: list[str] | None = None) -> None:
    """Keep a worker alive until it leaves by itself or there is nothing for another one to do."""
    options = sys.argv[1:] if args is None else args
    parser = argparse.ArgumentParser(prog="diffinv.jobs.supervisor", description=__doc__)
    parser.add_argument("--folder", type=Path, required=True, help="where the job list is")
    parser.add_argument("--device", required=True, help="whose jobs to carry out")
    given, _ = parser.parse_known_args(options)
    starts = None
    while code := _worked(options):
        before, starts = starts, _starts(given.folder, given.device)
        print(f"The worker {_ended(code)}.", file=sys.stderr, flush=True)
        if starts is None or starts == before:  # nothing waits, or it dies before any job
            return


def _worked(options: list[str]) -> int:
    """Run a worker; how it ended. In a session of its own it outlives us."""
    command = [sys.executable, "-P", "-m", "diffinv.jobs.worker", *options]
    return subprocess.Popen(command, start_new_session=True).wait()


def _starts(folder: Path, device: str) -> int | None:
    """How often jobs have been started, if there is one now that needs a worker."""
    from ..errors import DiffinvError
    from .store import JobStore

    store = JobStore(folder)
    try:
        if device not in store.waiting_devices():
            return None
        return sum(job.attempts for job in store.jobs())
    except DiffinvError as error:
        print(error, file=sys.stderr, flush=True)
        return None
    finally:
        store.close()


def _ended(code: int) -> str:
    if code > 0:
        return f"ended with exit code {code}"
    try:
        return f"was ended by {signal.Signals(-code).name}"
    except ValueError:
        return f"was ended by signal {-code}"


if __name__ == "__main__":
    main()
