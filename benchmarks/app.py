"""How long the terminal app keeps its user waiting, with many differences in the library.

The goals: the first frame of a new process within 1 s, a search result within 0.1 s, and never
50 ms in which the app's event loop does not run, whatever the user does. The app runs as it does
for people, in its own (pseudo) terminal; a task that repeatedly sleeps 5 ms measures how much later
than that it wakes. A busy machine adds delays of its own: the last column counts only the time in
which the loop's thread had a processor.
"""

from __future__ import annotations

import argparse
import asyncio
import fcntl
import json
import os
import pty
import select
import shutil
import statistics
import struct
import subprocess
import sys
import tempfile
import termios
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from library import fill

COLUMNS, ROWS = 120, 40
BEAT = 0.005
PLACES = ("new", "jobs", "apply", "plugins", "settings")
WORDS = ("castle", "tag:snow", "bridge river")


# In the app's process


class Heart:
    """Measures the longest time the event loop was busy during each action."""

    def __init__(self) -> None:
        self.stalls: dict[str, list[tuple[float, float]]] = {}
        self.times: dict[str, list[float]] = {}
        self._longest = self._busiest = 0.0

    async def beat(self) -> None:
        while True:
            start, busy = time.perf_counter(), time.thread_time()
            await asyncio.sleep(BEAT)
            self._longest = max(self._longest, time.perf_counter() - start - BEAT)
            self._busiest = max(self._busiest, time.thread_time() - busy)

    @asynccontextmanager
    async def during(self, what: str) -> AsyncIterator[None]:
        await asyncio.sleep(0.3)  # let earlier work finish
        self._longest = self._busiest = 0.0
        yield
        await asyncio.sleep(0.3)
        self.stalls.setdefault(what, []).append((self._longest, self._busiest))


async def until(condition: Callable[[], object], seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError("what was waited for did not happen")
        await asyncio.sleep(0.001)


async def visit(pilot: Any, heart: Heart) -> None:
    """Visit every screen for the first time, then again."""
    app = pilot.app
    await until(lambda: app.screen.is_mounted and app.screen.query("#shelf").first().total)
    for what in ("opens for the first time", "opens again"):
        for mode in PLACES:
            async with heart.during(f"{mode} {what}"):
                app.action_go(mode)
                await until(lambda mode=mode: app.current_mode == mode)
        async with heart.during("library opens again"):
            app.action_go("library")
            await until(lambda: app.current_mode == "library")


async def change_theme(app: Any, heart: Heart) -> None:
    before = app.theme
    for theme in ("diffinv-light", before):
        async with heart.during("the theme changes"):
            app.theme = theme
    async with heart.during("a screen opens after a change of the theme"):
        app.action_go("jobs")
    app.action_go("library")


async def search(pilot: Any, heart: Heart) -> None:
    from textual.events import Key

    app = pilot.app
    shelf, screen = app.screen.shelf, app.screen
    shown = count_results(shelf)
    for word in WORDS:
        await pilot.press("slash")
        async with heart.during("typing a search"):
            for letter in word:
                start, seen = time.perf_counter(), len(shown)
                app.post_message(Key({" ": "space", ":": "colon"}.get(letter, letter), letter))
                await until(lambda seen=seen: len(shown) > seen)
                heart.times.setdefault("a key to its result", []).append(
                    time.perf_counter() - start
                )
        await pilot.press("escape")
        await until(lambda: screen._query == "" and shelf.total > 1000)


def count_results(shelf: Any) -> list[int]:
    """A list that grows whenever different results are on the screen."""
    shown: list[int] = []
    fill_it = shelf.fill

    def fill_and_count(total: int, *rest: Any, **more: Any) -> None:
        fill_it(total, *rest, **more)
        shelf.call_after_refresh(shown.append, total)

    shelf.fill = fill_and_count
    return shown


async def scroll(pilot: Any, heart: Heart) -> None:
    async with heart.during("moving the cursor, 40 rows"):
        for _ in range(40):
            await pilot.press("down")
    async with heart.during("scrolling 20 pages"):
        for _ in range(20):
            await pilot.press("pagedown")
            await asyncio.sleep(0.03)
    async with heart.during("to the end and home"):
        await pilot.press("end")
        await asyncio.sleep(0.3)
        await pilot.press("home")
    async with heart.during("cards to table and back"):
        await pilot.press("v")
        await asyncio.sleep(0.3)
        await pilot.press("v")


async def dialogs(pilot: Any, heart: Heart, home: Path) -> None:
    app = pilot.app
    for what in ("first", "again"):
        async with heart.during(f"a difference opens, {what}"):
            await pilot.press("enter")
            await until(lambda: app.screen.query("#whole"))
        async with heart.during("a difference closes"):
            await pilot.press("escape")
        app.action_go("new")
        app.picked = home / "pictures"
        async with heart.during(f"the file picker opens, {what}"):
            await pilot.press("enter")
            await until(lambda: app.screen.is_modal)
        async with heart.during("moving in the file picker"):
            for _ in range(15):
                await pilot.press("down")
                await asyncio.sleep(0.02)
        async with heart.during("the file picker closes"):
            await pilot.press("escape")
        app.action_go("apply")
        async with heart.during(f"choosing among 1,000 differences, {what}"):
            await pilot.press("ctrl+d")
            await until(lambda: app.screen.query("#narrow"))
        async with heart.during("narrowing them down"):
            await pilot.press(*"castle")
        await pilot.press("escape")
        app.action_go("library")
        async with heart.during(f"the command palette opens, {what}"):
            await pilot.press("ctrl+p")
        await pilot.press("escape")


async def watch(pilot: Any, heart: Heart, home: Path) -> None:
    """Watch a job that runs in another process."""
    app = pilot.app
    player = subprocess.Popen([sys.executable, __file__, "--play", str(home)])
    app.action_go("jobs")
    await until(lambda: any(job.state == "running" for job in app.jobs))
    async with heart.during("a job that runs is watched"):
        await until(lambda: any(job.progress.step > 60 for job in app.jobs))
    app.action_go("library")
    async with heart.during("a job runs behind another screen"):
        await until(lambda: any(job.state == "done" for job in app.jobs))
    player.wait()


def drive(home: Path, out: Path) -> None:
    """Use the app for a while, and write the measurements to a file."""
    from diffinv_tui.app import DiffinvApp

    heart = Heart()

    async def pilot_it(pilot: Any) -> None:
        beating = asyncio.create_task(heart.beat())
        try:
            await visit(pilot, heart)
            await search(pilot, heart)
            await scroll(pilot, heart)
            await dialogs(pilot, heart, home)
            await watch(pilot, heart, home)
            await change_theme(pilot.app, heart)
        finally:
            beating.cancel()
        out.write_text(json.dumps({"stalls": heart.stalls, "times": heart.times}))
        pilot.app.exit()

    DiffinvApp(launcher=lambda _store: None).run(auto_pilot=pilot_it)


# In other processes


def play(home: Path) -> None:
    """Act as a worker without the work: a job's progress, loss curve and preview."""
    from PIL import Image

    from diffinv.jobs.process import this_process
    from diffinv.jobs.requests import InvertRequest
    from diffinv.jobs.store import JobProgress, JobStore, Report

    store, me = JobStore(), this_process()
    pictures = sorted((home / "pictures").iterdir())
    job = store.submit(InvertRequest(((pictures[0], pictures[1]),), name="new"))
    store.register(job.device, me)
    store.claim(job.device, me)
    losses = []
    for step in range(1, 121):
        losses += [1 / (step + x / 4) for x in range(4)]
        progress = JobProgress("Learning the difference", step, 120, 4.0, 120.0 - step, losses[-1])
        store.report(job.id, Report(progress, losses))
        if step % 10 == 0:
            job.folder.mkdir(parents=True, exist_ok=True)
            Image.open(pictures[40 + step]).save(job.folder / "preview.png")
        time.sleep(0.1)
    store.finish(job.id, "done", difference=("new", home / "library" / "0.safetensors"))
    store.leave(job.device, me, force=True)


def in_terminal(command: list[str], home: Path, text: bytes = b"") -> float:
    """Run a command in a terminal; return the seconds until a text appears, or until it ends."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
    environment = {
        **os.environ,
        "DIFFINV_HOME": str(home),
        "TERM": "xterm-256color",
        "COLORTERM": "truecolor",
    }
    environment.pop("PYTHONDONTWRITEBYTECODE", None)  # an installed app is already compiled
    start = time.perf_counter()
    process = subprocess.Popen(
        command, stdin=theirs, stdout=theirs, stderr=theirs, env=environment, start_new_session=True
    )
    os.close(theirs)
    try:
        _read(ours, process, text)
        return time.perf_counter() - start
    finally:
        process.kill()
        process.wait()
        os.close(ours)


def _read(terminal: int, process: subprocess.Popen[bytes], text: bytes) -> None:
    shown = b""
    while process.poll() is None:
        if not select.select([terminal], [], [], 0.05)[0]:
            continue
        try:
            shown = shown[-10_000:] + os.read(terminal, 65_536)
        except OSError:  # the other end is closed
            break
        if text and text in shown:
            return
    if process.wait():
        sys.exit(f"the app has ended: {shown[-9000:].decode(errors='replace')}")


def make_home(home: Path, count: int) -> None:
    """Make a library and a folder of pictures."""
    from PIL import Image

    fill(home / "library", count)
    (home / "pictures").mkdir()
    for number in range(500):
        size = (1536, 1024) if number < 40 else (96, 96)
        shade = Image.radial_gradient("L").resize(size)
        Image.merge("RGB", [shade] * 3).save(home / "pictures" / f"{number:03}.png")


def yardstick() -> None:
    """How fast this machine runs plain Python, for comparing figures between machines."""
    start, total = time.perf_counter(), 0
    for number in range(10_000_000):
        total += number
    print(f"ten million additions in Python: {time.perf_counter() - start:.2f} s")


def first_frames(home: Path, rounds: int) -> None:
    """Time from the start of the process to what appears on the screen."""
    command = [sys.executable, "-P", "-m", "diffinv_tui", "--pictures", "blocks"]
    for what, text in (("first frame", b"Settings"), ("the library's first cards", b" to ")):
        times = [in_terminal(command, home, text) for _ in range(rounds + 1)][1:]
        print(f"{what}: {statistics.median(times):.2f} s, at most {max(times):.2f} s")


def stalls(home: Path, rounds: int) -> None:
    """The longest stalls in several runs."""
    runs = []
    for _ in range(rounds):
        for left in home.glob("jobs*"):
            shutil.rmtree(left) if left.is_dir() else left.unlink()
        out = home / "measured.json"
        in_terminal([sys.executable, __file__, "--drive", str(home), str(out)], home)
        runs.append(json.loads(out.read_text()))
    print(f"longest stall, ms, in {rounds} runs:{'':22} median  worst  of it computing")
    for what in runs[0]["stalls"]:
        longest, busiest = (
            [1000 * max(stall[kind] for stall in run["stalls"][what]) for run in runs]
            for kind in (0, 1)
        )
        figures = (statistics.median(longest), max(longest), statistics.median(busiest))
        print(f"  {what:50} {figures[0]:5.0f} {figures[1]:6.0f} {figures[2]:8.0f}")
    for what in runs[0]["times"]:
        times = [1000 * seconds for run in runs for seconds in run["times"][what]]
        print(f"{what}: {statistics.median(times):.0f} ms, at most {max(times):.0f} ms")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--drive", nargs=2, type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--play", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.drive:
        drive(*given.drive)
    elif given.play:
        play(given.play)
    else:
        home = Path(tempfile.mkdtemp())
        try:
            yardstick()
            make_home(home, given.count)
            first_frames(home, given.rounds)
            stalls(home, given.rounds)
        finally:
            shutil.rmtree(home)


if __name__ == "__main__":
    main()
