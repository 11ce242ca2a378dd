"""Whatever a row says, the job list is shown, and nothing that is not ours is removed."""

from __future__ import annotations

import json
import sqlite3

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from diffinv.cli.app import run
from diffinv.errors import DiffinvError, UsageError
from diffinv.jobs.requests import ApplyRequest, InvertRequest
from diffinv.jobs.store import JobStore

COLUMNS = (
    *("kind", "title", "state", "request", "device", "folder", "created", "started", "finished"),
    *("priority", "held", "cancelling", "attempts", "worker", "progress", "losses", "error"),
    *("exit_code", "warnings", "failures", "skipped", "difference", "waits_for"),
    *("deaths", "news"),
)
CELLS = st.one_of(
    st.none(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(),
    st.text(max_size=40),
    st.binary(max_size=20),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner),
        max_leaves=8,
    ).map(json.dumps),
)


@pytest.fixture(scope="module")
def queue(tmp_path_factory):
    """A home with a job of each kind, and its database."""
    store = JobStore(tmp_path_factory.mktemp("home"))
    here = store.folder
    store.submit(InvertRequest(pairs=((here / "a.png", here / "b.png"),), name="d"))
    store.submit(ApplyRequest((("d", 1.0),), (here / "b.png",), here / "out"))
    store.submit(ApplyRequest((("d", 0.5),), (here / "b.png",), here / "out"))
    return store


def damage(store: JobStore, **cells: object) -> list[str]:
    """Write cells into the second row; names of those that the column's own rules refuse."""
    refused = []
    with sqlite3.connect(store.folder / "jobs.sqlite") as db:
        for column, cell in cells.items():
            try:
                db.execute(f"UPDATE jobs SET {column} = ? WHERE id = 2", (cell,))
            except sqlite3.IntegrityError:
                refused.append(column)
    return refused


@given(st.sampled_from(COLUMNS), CELLS)
@example("request", "[]")
@example("request", '{"library": 5}')
@example("request", "[" * 100_000)
@example("progress", '{"step": "x"}')
@example("progress", "5")
@example("warnings", "[5]")
@example("failures", "{}")
@example("losses", '["x"]')
@example("difference", '["d"]')
@example("difference", '"d"')
@example("folder", 5)
@example("folder", "../..")
@example("kind", "banana")
@example("state", "banana")
@example("created", 1e300)
@example("started", "yesterday")
@example("title", b"\xff\xfe")
def test_a_damaged_row_is_shown_and_the_others_are_as_before(queue, column, cell):
    with sqlite3.connect(queue.folder / "jobs.sqlite") as db:
        before = dict(zip(COLUMNS, _row(db), strict=True))
    try:
        damage(queue, **{column: cell})
        jobs = {job.id: job for job in queue.jobs()}
        assert set(jobs) == {1, 2, 3}
        assert not jobs[1].damage
        assert not jobs[3].damage
        assert isinstance(jobs[2].request, ApplyRequest | InvertRequest)
        assert queue.folder in jobs[2].folder.parents
        if jobs[2].damage:
            assert column in jobs[2].damage
            with pytest.raises(UsageError, match="Job 2 is damaged"):
                queue.retry(2)
    finally:
        damage(queue, **before)


def _row(db: sqlite3.Connection) -> tuple[object, ...]:
    return db.execute(f"SELECT {', '.join(COLUMNS)} FROM jobs WHERE id = 2").fetchone()


@pytest.mark.parametrize(
    "damaged",
    [{"request": "[]"}, {"state": "banana"}, {"progress": "5", "losses": "7"}, {"kind": 5}],
)
def test_the_command_line_shows_it_cancels_it_and_forgets_it(damaged, capsys):
    store = JobStore()
    here = store.folder
    for strength in (1.0, 0.5):
        store.submit(ApplyRequest((("d", strength),), (here / "b.png",), here / "out"))
    damage(store, **damaged)
    assert run(["jobs", "list"]) == 0
    assert "Job 2 is damaged" in capsys.readouterr().out
    assert run(["jobs", "show", "2"]) == 0
    assert "Job 2 is damaged" in capsys.readouterr().out
    assert run(["jobs", "list", "--json"]) == 0
    errors = {job["id"]: job["error"] for job in json.loads(capsys.readouterr().out)}
    assert errors[1] is None
    assert "Job 2 is damaged" in errors[2]
    run(["jobs", "cancel", "2"])
    assert run(["jobs", "clear"]) == 0
    assert [job.id for job in store.jobs()] == [1]


def test_a_worker_that_cannot_be_read_is_dead():
    store = JobStore()
    store.submit(InvertRequest(pairs=((store.folder / "a", store.folder / "b"),)))
    with sqlite3.connect(store.folder / "jobs.sqlite") as db:
        db.executemany("INSERT INTO workers VALUES (?, ?)", [("cpu", "[]"), ("cuda", "x")])
    assert [job.id for job in store.jobs()] == [1]
    assert store.worker("cpu") is None


@given(st.text(max_size=30) | st.text(st.characters(categories=["Cs", "Cc", "Cf"]), max_size=9))
@example("\udcff")
@example("is:\udcff")
@example('"')
@example("tag:\x00")
def test_any_text_is_a_query(text):
    from diffinv.storage.store import Library

    library = Library(JobStore().folder / "library")
    library.folder.mkdir(exist_ok=True, parents=True)
    try:
        library.search(text)
    except DiffinvError as error:
        str(error).encode()
