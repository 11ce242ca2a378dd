"""The app in a real terminal, and in a real browser."""

from __future__ import annotations

import asyncio
import base64
import io
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from command_line import end_workers
from PIL import Image
from sample_home import BASE, picture

from diffinv.jobs.job import Job
from diffinv.jobs.requests import InvertRequest
from diffinv.jobs.store import JobStore
from diffinv.method.settings import inversion_settings
from diffinv_tui.__main__ import main
from diffinv_tui.pictures import probe
from diffinv_tui.serve import is_loopback, who_can_reach

Colours = list[tuple[int, tuple[int, int, int]]]

needs_tmux = pytest.mark.skipif(shutil.which("tmux") is None, reason="tmux is not here")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="chromium is not here")


def wait_for(found: Callable[[], bool], seconds: float, shown: Callable[[], str]) -> None:
    end = time.monotonic() + seconds
    while not found():
        assert time.monotonic() < end, shown()
        time.sleep(0.1)


class Terminal:
    """A tmux of its own with one window."""

    def __init__(self, home: Path) -> None:
        self.socket = str(home / "tmux")

    def tmux(self, *arguments: str) -> str:
        command = ["tmux", "-S", self.socket, *arguments]
        return subprocess.run(command, capture_output=True, text=True, timeout=20).stdout

    def start(self, command: str) -> None:
        self.tmux("-f", "/dev/null", "new-session", "-d", "-x", "100", "-y", "30", command)

    def text(self) -> str:
        return self.tmux("capture-pane", "-p")

    def press(self, *keys: str) -> None:
        for key in keys:
            self.tmux("send-keys", key)
            time.sleep(0.15)

    def shows(self, text: str, seconds: float = 40) -> None:
        wait_for(lambda: text in self.text(), seconds, lambda: f"no {text!r} in\n{self.text()}")


@pytest.fixture
def terminal(home: Path) -> Iterator[Terminal]:
    terminal = Terminal(home)
    yield terminal
    terminal.tmux("kill-server")


@needs_tmux
def test_in_a_real_terminal(full_home: Path, terminal: Terminal) -> None:
    terminal.start(f"{app_in(full_home)}; echo ended with $?; sleep 60")
    terminal.shows("11 differences")
    terminal.shows("▀▀▀▀")
    terminal.press("v")
    terminal.shows("FROM → TO")
    terminal.press("/", "s", "n", "o", "w")
    terminal.shows("1 difference ")
    terminal.press("Enter", "Enter")
    terminal.shows("esc Close")
    terminal.press("Escape")
    terminal.shows("/ Search")
    terminal.press("3")
    terminal.shows("No jobs yet")
    terminal.press("C-q")
    terminal.shows("ended with 0")


@pytest.fixture
def cancelled_job(home: Path) -> Iterator[Job]:
    """A job that takes long, once it is resumed."""
    pair = (picture(home / "a.png", BASE, 7), picture(home / "b.png", BASE, 8))
    store = JobStore()
    settings = inversion_settings(steps=20_000)
    request = InvertRequest((pair,), "patient", "diorama", device="cpu", settings=settings)
    yield store.cancel(store.submit(request).id)
    end_workers(store.folder)


@needs_tmux
def test_a_job_goes_on_while_the_app_is_closed(
    home: Path, terminal: Terminal, cancelled_job: Job
) -> None:
    def step() -> int:
        return JobStore().get(cancelled_job.id).progress.step

    app = app_in(home)
    terminal.start(f"{app}; echo ended with $?; read line; clear; {app}; sleep 60")
    terminal.shows("2 New")
    terminal.press("3")
    terminal.shows("patient")
    terminal.press("u")
    terminal.shows("of 20,000 steps", 90)
    terminal.press("C-q")
    terminal.shows("ended with 0")
    left_at = step()
    wait_for(lambda: step() > left_at + 3, 60, lambda: f"still at step {left_at}")
    terminal.press("Enter")
    terminal.shows("2 New")
    terminal.press("3")
    terminal.shows("● running")
    terminal.shows("of 20,000 steps")
    (shown,) = re.findall(r"([\d,]+) of 20,000 steps", terminal.text())
    assert left_at < int(shown.replace(",", "")) <= step()
    terminal.press("c")
    terminal.shows("cancelled")


def app_in(home: Path) -> str:
    """The command for a terminal that runs the app on a home."""
    path = os.pathsep.join(os.path.abspath(entry) for entry in sys.path if entry)
    variables = f"PYTHONPATH={path} DIFFINV_HOME={home}/diffinv HOME={home} OMP_NUM_THREADS=1"
    return f"env {variables} {sys.executable} -P -m diffinv_tui"


def free_port() -> int:
    with socket.create_server(("localhost", 0)) as server:
        return int(server.getsockname()[1])


@needs_chromium
def test_in_a_real_browser(full_home: Path, tmp_path: Path) -> None:
    port = free_port()
    path = os.pathsep.join(os.path.abspath(entry) for entry in sys.path if entry)
    environment = {**os.environ, "PYTHONPATH": path}
    command = [sys.executable, "-P", "-m", "diffinv_tui", "--serve", "--port", str(port)]
    log = tmp_path / "served.txt"
    with log.open("wb") as output:
        server = subprocess.Popen(command, stdout=output, stderr=output, env=environment)
    try:
        wait_for(lambda: _answers(port), 40, log.read_text)
        said = log.read_text()
        assert f"http://localhost:{port}" in said
        assert "Only this machine can reach it" in said
        asyncio.run(_look_at_page(f"http://localhost:{port}/", tmp_path))
    finally:
        server.terminate()
        server.wait(20)


def _answers(port: int) -> bool:
    try:
        socket.create_connection(("localhost", port), 1).close()
    except OSError:
        return False
    return True


async def _look_at_page(address: str, folder: Path) -> None:
    """The app appears in the browser, and a key goes to another screen."""
    assert CHROMIUM is not None
    browser = await asyncio.create_subprocess_exec(
        CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--window-size=1100,750",
        "--remote-debugging-port=0", f"--user-data-dir={folder / 'profile'}", address,
        stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    try:
        async with aiohttp.ClientSession() as session:
            page = await _page(session, folder / "profile", address)
            async with session.ws_connect(page, max_msg_size=0) as socket:
                await _until_drawn(socket, lambda colours: _pictures(colours) > 500)
                for kind in ("mousePressed", "mouseReleased"):
                    place = {"x": 300, "y": 300, "button": "left", "clickCount": 1}
                    await _command(socket, "Input.dispatchMouseEvent", type=kind, **place)
                key = {"key": "3", "code": "Digit3", "windowsVirtualKeyCode": 51}
                await _command(socket, "Input.dispatchKeyEvent", type="keyDown", text="3", **key)
                await _command(socket, "Input.dispatchKeyEvent", type="keyUp", **key)
                await _until_drawn(socket, lambda colours: _pictures(colours) < 50)
    finally:
        browser.terminate()
        await browser.wait()


async def _page(session: aiohttp.ClientSession, profile: Path, address: str) -> str:
    """The debugging address of the browser's page."""
    port_file = profile / "DevToolsActivePort"
    for _ in range(300):
        if port_file.exists() and (lines := port_file.read_text().splitlines()):
            async with session.get(f"http://localhost:{lines[0]}/json") as answer:
                for tab in await answer.json():
                    if tab["url"].startswith(address):
                        return str(tab["webSocketDebuggerUrl"])
        await asyncio.sleep(0.1)
    raise AssertionError("the browser opened no page")


async def _command(socket: aiohttp.ClientWebSocketResponse, method: str, **parameters: Any) -> Any:
    await socket.send_json({"id": 1, "method": method, "params": parameters})
    while True:
        message = await socket.receive_json(timeout=20)
        if message.get("id") == 1:
            return message.get("result")


async def _until_drawn(
    socket: aiohttp.ClientWebSocketResponse, wanted: Callable[[Colours], bool]
) -> Colours:
    colours: Colours = []
    for _ in range(100):
        shot = await _command(socket, "Page.captureScreenshot")
        with Image.open(io.BytesIO(base64.b64decode(shot["data"]))) as image:
            colours = image.convert("RGB").getcolors(2**24) or []
        if _is_app(colours) and wanted(colours):
            return colours
        await asyncio.sleep(0.2)
    raise AssertionError(f"the page is not as it should be: {sorted(colours)[-8:]}")


def _is_app(colours: Colours) -> bool:
    """Whether the background of the app's own theme is what most of the page is."""
    return max(colours)[1] == (0x11, 0x15, 0x1A)


def _pictures(colours: Colours) -> int:
    """Pixels as green as the meadows in the library's pictures."""
    return sum(count for count, (r, g, b) in colours if g > 120 and g > r + 40 and g > b + 60)


def test_who_can_reach_what_is_served() -> None:
    assert is_loopback("localhost")
    assert is_loopback("127.0.0.1")
    assert is_loopback("::1")
    assert not is_loopback("0.0.0.0")
    assert not is_loopback("example.org")
    assert "without a password" in who_can_reach("0.0.0.0")


def test_a_taken_port_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("localhost", 0)) as server:
        port = server.getsockname()[1]
        assert main(["--serve", "--port", str(port)]) == 2
    assert "choose another --port" in capsys.readouterr().err


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys\nfrom diffinv_tui.__main__ import main\n"
        "try:\n    main(['--help'])\nexcept SystemExit:\n    pass\n"
        "assert not {'textual', 'torch', 'PIL'} & set(sys.modules)"
    )
    path = os.pathsep.join(os.path.abspath(entry) for entry in sys.path if entry)
    environment = {**os.environ, "PYTHONPATH": path}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, env=environment)
    assert done.returncode == 0, done.stderr


def test_pictures_are_half_blocks_where_nothing_better_is_known() -> None:
    assert probe("blocks", {}) is None
    assert probe("auto", {"TMUX": "x"}) is None
    assert probe("terminal", {"TEXTUAL_DRIVER": "web"}) is None


def test_without_a_terminal_it_says_so(home: Path) -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "diffinv_tui"], input="", capture_output=True, text=True, timeout=60
    )
    assert (ran.returncode, ran.stdout) == (2, "")
    assert "needs a terminal" in ran.stderr
