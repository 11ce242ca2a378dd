"""What other programs do to the library's files is noticed, and costs little to look for."""

from __future__ import annotations

import pytest
from test_library import make

from diffinv.storage import index
from diffinv.storage.store import Library


@pytest.fixture
def library(tmp_path):
    library = Library(tmp_path / "library")
    for number in range(5):
        library.add(make(f"castle {number}"))
    library.entries()
    return library


def damaged(library: Library) -> list[str]:
    return [e.name for e in library.page("", "name", 9, look=False)[0] if e.error]


def test_nothing_differs_where_nothing_has_changed(tmp_path, library):
    assert Library(tmp_path / "nowhere").notice() is None
    seen = library.notice()
    assert [library.notice() for _ in range(4)] == [seen] * 4


def test_a_file_overwritten_in_place_is_noticed(library):
    seen = library.notice()
    before = library.folder.stat().st_mtime_ns
    (library.folder / "castle-3.safetensors").write_bytes(b"garbage")
    assert library.folder.stat().st_mtime_ns == before
    assert library.notice() != seen
    assert damaged(library) == ["castle-3"]


def test_of_many_files_some_are_looked_at_each_time(library, monkeypatch):
    library.notice()
    looked, stamp_of = [], index._stamp_of
    monkeypatch.setattr(index, "_LOOKED_AT", 2)
    monkeypatch.setattr(index, "_stamp_of", lambda path: looked.append(path) or stamp_of(path))
    for count in (2, 4, 5, 7):
        library.notice()
        assert len(looked) == count
    assert len(set(looked)) == 5


@pytest.mark.parametrize("number", range(5))
def test_each_of_many_files_has_its_turn(library, monkeypatch, number):
    monkeypatch.setattr(index, "_LOOKED_AT", 2)
    library.notice()
    (library.folder / f"castle-{number}.safetensors").write_bytes(b"garbage")
    for _ in range(3):
        library.notice()
    assert damaged(library) == [f"castle-{number}"]


def test_what_another_library_has_taken_in_is_noticed(library):
    seen = library.notice()
    (library.folder / "castle-1.safetensors").write_bytes(b"garbage")
    Library(library.folder).entries()
    assert library.notice() != seen
