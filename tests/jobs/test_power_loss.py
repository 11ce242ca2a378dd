"""After a power failure only what was synced is there: a disk that forgets the rest."""

from __future__ import annotations

import io
import os
from pathlib import Path

import pytest
from PIL import Image

from diffinv.jobs.manifest import FILE
from diffinv.jobs.tasks import run_application, run_inversion
from diffinv.system import files

pytestmark = pytest.mark.skipif(
    not Path("/proc/self/fd").exists(), reason="needs Linux to name a handle"
)


class ForgetfulDisk:
    """Watches a folder: what would be in it if the power failed now.

    A file holds what it held at its last fsync, and a name lasts from its folder's last fsync. The
    strictest reading of POSIX: real file systems forget less.
    """

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self._contents: dict[int, bytes] = {}
        self._names: dict[str, int] = {}
        self.failures: list[dict[str, bytes]] = []
        real = os.fsync

        def fsync(handle: int) -> None:
            real(handle)
            self._sync(handle)
            self.failures.append(self.now())

        monkeypatch.setattr(os, "fsync", fsync)

    def _sync(self, handle: int) -> None:
        path = Path(os.readlink(f"/proc/self/fd/{handle}"))
        if path == self.folder:
            entries = [entry for entry in os.scandir(path) if entry.is_file()]
            self._names = {entry.name: entry.inode() for entry in entries}
        elif path.parent == self.folder:
            self._contents[os.fstat(handle).st_ino] = path.read_bytes()

    def now(self) -> dict[str, bytes]:
        return {name: self._contents.get(inode, b"") for name, inode in self._names.items()}


@pytest.fixture
def out(tmp_path) -> Path:
    (tmp_path / "out").mkdir()
    return tmp_path / "out"


def test_every_result_that_lasts_is_whole_and_on_the_list(
    toy, learn, applied, folder, out, monkeypatch
):
    run_inversion(learn())
    with monkeypatch.context() as patch:
        disk = ForgetfulDisk(out, patch)
        whole = run_application(applied())
    wanted = {o.output.name: o.output.read_bytes() for o in whole.outputs if o.output.parent == out}
    lasting = {name: data for name, data in disk.now().items() if name.endswith(".png")}
    assert lasting == wanted, "when a job is done, it is done for good"
    sizes = set()
    for state in disk.failures:
        for path in out.iterdir():
            path.unlink() if path.is_file() else None
        for name, data in state.items():
            (out / name).write_bytes(data)
        there = {name for name in state if name.endswith(".png")}
        for name in there:
            Image.open(io.BytesIO(state[name])).verify()
        again = run_application(applied())
        done = {o.output.name for o in again.outputs if o.output.parent == out}
        assert done == set(wanted), "no result was made twice, under another name"
        assert again.skipped >= len(there)
        sizes.add(len(there))
    assert len(sizes) > len(wanted) // 2


def test_without_syncing_the_list_a_result_would_be_made_twice(
    toy, learn, applied, out, monkeypatch
):
    """The disk of the test above does forget."""
    run_inversion(learn())
    with monkeypatch.context() as patch:
        disk = ForgetfulDisk(out, patch)
        real = disk._sync
        patch.setattr(disk, "_sync", lambda h: None if _is_list(h) else real(h))
        run_application(applied())
    assert disk.now()[FILE] == b""
    assert files.os.fsync is os.fsync


def _is_list(handle: int) -> bool:
    return os.readlink(f"/proc/self/fd/{handle}").endswith(FILE)
