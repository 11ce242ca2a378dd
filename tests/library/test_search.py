"""The library's index follows the files, and its queries find what they say."""

from __future__ import annotations

import os
import re
import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_library import make

from diffinv.cli.app import run
from diffinv.difference import Difference, load, save
from diffinv.errors import UsageError
from diffinv.storage.index import FILE, Index, sort_text
from diffinv.storage.query import unknown_filters
from diffinv.storage.store import Library
from diffinv.system.paths import library_folder
from diffinv.system.text import natural_key


@pytest.fixture
def library(tmp_path):
    return Library(tmp_path / "library")


def difference(name: str, **info: object) -> Difference:
    made = make(name)
    return replace(made, info=replace(made.info, **info))


@pytest.fixture
def castles(library):
    """Four differences of different kinds."""
    for made in (
        difference(
            "Cabin to Castle",
            tags=("building", "old town"),
            date="2026-01-15T10:00:00+00:00",
            captions=(("a wooden cabin", "a stone castle"),),
        ),
        difference("Sunset", tags=("light",), date="2026-03-01T00:00:00+00:00", backbone="sdxl"),
        difference(
            "Brücke 🌉",
            tags=("Building",),
            date="2025-12-31T23:59:59+00:00",
            prompts=(("river", "river with a bridge"),),
        ),
        difference("10 trees", date="2026-01-02T00:00:00+00:00", backbone="sdxl-turbo"),
    ):
        library.add(made)
    return library


def found(library: Library, query: str, **options) -> list[str]:
    return [entry.name for entry in library.search(query, **options)]


QUERIES = {
    "castle": ["Cabin to Castle"],
    "CAST": ["Cabin to Castle"],
    "astle": [],
    "stone": ["Cabin to Castle"],
    "cab castle": ["Cabin to Castle"],
    "cab sunset": [],
    "bridge": ["Brücke 🌉"],
    "brucke": ["Brücke 🌉"],
    "BRÜ": ["Brücke 🌉"],
    "🌉": ["Brücke 🌉"],
    "🌋": [],
    "tag:building": ["Cabin to Castle", "Brücke 🌉"],
    "tag:BUILDING castle": ["Cabin to Castle"],
    'tag:"old town"': ["Cabin to Castle"],
    'tag:"old town': ["Cabin to Castle"],
    "tag:old": ["Cabin to Castle"],
    "tag:own": [],
    'tag:"old"': [],
    'tag:"old"x': [],
    "TAG:B": ["Cabin to Castle", "Brücke 🌉"],
    "-tag:build": ["Sunset", "10 trees"],
    '-tag:"old town" tag:building': ["Brücke 🌉"],
    "-castle -sdxl": ["Brücke 🌉"],
    "-created:2026": ["Brücke 🌉"],
    "-": ["Sunset", "Cabin to Castle", "10 trees", "Brücke 🌉"],
    "-tag:": ["Sunset", "Cabin to Castle", "10 trees", "Brücke 🌉"],
    "is:dup": ["Sunset", "Cabin to Castle", "10 trees", "Brücke 🌉"],
    "is:": ["Sunset", "Cabin to Castle", "10 trees", "Brücke 🌉"],
    "created:2026-01-": ["Cabin to Castle", "10 trees"],
    "old": ["Cabin to Castle"],
    'backbone:"sdxl"': ["Sunset"],
    "backbone:SDXL": ["Sunset", "10 trees"],
    "backbone:SDXL-": ["10 trees"],
    "sdxl": ["Sunset", "10 trees"],
    "created:>2026-01": ["Sunset"],
    "created:>=2026-01": ["Sunset", "Cabin to Castle", "10 trees"],
    "created:<2026": ["Brücke 🌉"],
    "created:2026-01-02": ["10 trees"],
    "created:<=2026-01-02": ["10 trees", "Brücke 🌉"],
    "castle tag:building backbone:diorama created:>2025": ["Cabin to Castle"],
    "castle tag:building backbone:sdxl": [],
    "mood:calm": [],
    '"': ["Sunset", "Cabin to Castle", "10 trees", "Brücke 🌉"],
    "created:": ["Sunset", "Cabin to Castle", "10 trees", "Brücke 🌉"],
    "tag: created:>": ["Sunset", "Cabin to Castle", "10 trees", "Brücke 🌉"],
    "10": ["10 trees"],
    "_": [],
}


@pytest.mark.parametrize("query", QUERIES)
def test_queries(castles, query):
    assert found(castles, query) == QUERIES[query]
    assert castles.count(query) == len(QUERIES[query])


IMPOSSIBLE = {
    "is:banana": "No difference is 'banana'; write is:duplicate or is:damaged.",
    "-IS:banana": "write is:duplicate or is:damaged",
    "castle created:>banana": "'banana' is not a date to search for; write created:2026, ",
    "created:2026-13": "'2026-13' is not a date",
    "created:2026-01-32": "'2026-01-32' is not a date",
    "created:>>2026": "'>2026' is not a date",
    'created:"new year"': "'new year' is not a date",
}


@pytest.mark.parametrize("query", IMPOSSIBLE)
def test_values_that_a_filter_cannot_have_are_refused(castles, query):
    for ask in (castles.search, castles.count, lambda q: castles.page(q, "newest", 9)):
        with pytest.raises(UsageError, match=re.escape(IMPOSSIBLE[query])):
            ask(query)


@pytest.mark.parametrize("query", ["is:duplicate", "-is:damaged", "created:>=2026-01-31"])
def test_no_filter_is_refused_while_it_is_typed(castles, query):
    for length in range(len(query) + 1):
        assert castles.count(query[:length]) in range(5)


def test_what_is_no_filter_is_known():
    assert unknown_filters("foo:bar -mood:calm TAG:x is:dup a: :b http") == ["foo:", "mood:"]


def test_duplicates_and_damaged_files_are_found(library):
    for name, value in (("one", 1.0), ("two", 2.0), ("copy", 1.0)):
        library.add(make(name, value))
    (library.folder / "bad.safetensors").write_bytes(b"rubbish")
    assert sorted(found(library, "is:duplicate")) == ["copy", "one"]
    assert found(library, "IS:Duplicate o") == ["one"]
    assert found(library, "is:damaged") == ["bad"]
    assert found(library, "-is:damaged -is:duplicate") == ["two"]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.text(alphabet=st.sampled_from("a\":*^-+()<>=NEAR \0%_'\\ü") | st.characters()))
def test_any_text_is_a_query(castles, query):
    assert castles.count(query) in range(5)


def test_order_and_pages(castles):
    newest = ["Sunset", "Cabin to Castle", "10 trees", "Brücke 🌉"]
    assert found(castles, "") == newest
    assert found(castles, "", sort="oldest") == newest[::-1]
    assert found(castles, "", sort="name") == ["10 trees", "Brücke 🌉", "Cabin to Castle", "Sunset"]
    assert found(castles, "", sort="backbone") == [
        "Brücke 🌉", "Cabin to Castle", "Sunset", "10 trees",
    ]  # fmt: skip
    assert found(castles, "", limit=2) == newest[:2]
    assert found(castles, "", limit=2, offset=3) == newest[3:]
    assert castles.tags() == [("Building", 2), ("light", 1), ("old town", 1)]


@given(st.lists(st.text(), min_size=2, max_size=6))
def test_names_sort_as_people_count(names):
    kept = [name for name in names if "\x01" not in name]
    assert [natural_key(n)[0] for n in sorted(kept, key=sort_text)] == sorted(
        natural_key(n)[0] for n in kept
    )


def test_entries_are_whole(castles):
    (entry,) = castles.search("castle")
    from diffinv.difference import read_info

    assert entry.info == read_info(entry.path)


def test_files_that_appear_vanish_and_change_are_noticed(castles, tmp_path):
    path = castles.folder / "cabin-to-castle.safetensors"
    castles.search()
    save(make("new one"), castles.folder / "x.safetensors")
    assert found(castles, "new") == ["new one"]
    (castles.folder / "x.safetensors").unlink()
    assert found(castles, "new") == []
    old, made = path.stat(), load(path)
    save(replace(made, info=replace(made.info, name="Cabin to Palace")), path)
    os.utime(path, ns=(old.st_atime_ns, old.st_mtime_ns))
    assert path.stat().st_size == old.st_size  # only the inode tells
    assert found(castles, "palace") == ["Cabin to Palace"]
    assert castles.tags()[0] == ("Building", 2)
    path.write_bytes(b"rubbish")
    (entry,) = castles.search("cabin")
    assert "not a safetensors" in entry.error
    path.rename(path.with_name("elsewhere.safetensors"))
    assert [e.path.stem for e in castles.search("elsewhere")] == ["elsewhere"]


def test_two_open_libraries_agree(castles):
    other = Library(castles.folder)
    assert other.count() == castles.count() == 4
    other.set_tags("Sunset", ["evening"])
    assert found(castles, "tag:evening") == ["Sunset"]
    castles.rename("Sunset", "Dusk")
    assert found(other, "tag:evening") == ["Dusk"]


_DAMAGES = {
    "later": "PRAGMA user_version = 99",
    "rows": "DELETE FROM files",
    "table": "DROP TABLE tags",
}


@pytest.mark.parametrize("damage", ["gone", "garbage", *_DAMAGES])
def test_the_index_is_made_again_from_the_files(castles, damage):
    castles.search()
    path = castles.folder / FILE
    if damage in _DAMAGES:
        with sqlite3.connect(path) as db:
            db.execute(_DAMAGES[damage])
    else:
        for file in castles.folder.glob(FILE + "*"):
            file.unlink()
        if damage == "garbage":
            path.write_bytes(b"nonsense" * 999)
    assert Library(castles.folder).count("castle") == 1
    assert castles.count() == 4
    assert not list(castles.folder.glob("*damaged*"))


def test_a_library_that_cannot_be_written_is_still_searched(castles, monkeypatch):
    monkeypatch.setattr("diffinv.storage.index.os.access", lambda *_: False)
    castles.search()
    shown = Library(castles.folder)
    assert shown.count("castle") == 1
    assert Path(os.environ["DIFFINV_HOME"]) in shown._index._data.path.parents


def test_an_unchanged_folder_is_not_read_again(castles, monkeypatch):
    castles.search()
    monkeypatch.setattr("diffinv.storage.index.read_entry", None)
    assert castles.count() == Library(castles.folder).count() == 4


@pytest.mark.parametrize("target", ["nowhere", "broken.safetensors"])
def test_links_that_lead_nowhere_are_damaged_files(castles, target):
    (castles.folder / "broken.safetensors").symlink_to(target)
    assert castles.count() == 5
    assert found(castles, "is:damaged") == ["broken"]


def test_hostile_texts_are_kept_as_they_are_and_shown_safely(library):
    text = "[bold]\x1b[31mשלום\0" + "x" * 10_000
    library.add(difference("evil", tags=("[red]",), captions=((text, text),)))
    (entry,) = library.search("bold")
    assert entry.info.captions == ((text, text),)
    assert found(library, "tag:[red]") == ["evil"]
    assert isinstance(library._index, Index)


def test_what_a_difference_reads_like_is_found(capsys):
    words = {"words_brought": ("lighthouse", "tower"), "words_taken": ("mill",)}
    silent = (("a picture", "a picture"),)
    own = Library(library_folder())
    own.add(difference("x", captions=silent, prompts=silent, token_scale=0.83, **words))
    assert [entry.name for entry in own.search("light")] == ["x"]
    assert not own.search("mill")
    assert run(["library", "show", "x"]) == 0
    shown = capsys.readouterr().out
    assert "lighthouse, tower" in shown
    assert "0.83 of the hidden states' norm" in shown
    assert run(["library", "list"]) == 0
    assert "mill → lighthouse" in capsys.readouterr().out
