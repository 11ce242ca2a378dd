"""What plugins print, past Python's streams too, spoils no output."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading

from diffinv.system.streams import kept_for_python, pointed, swallowed


def spoken(when: str) -> set[str]:
    ways = ("sys.__stdout__", "sys.__stderr__", "descriptor 1", "descriptor 2", "a process")
    return {f"{when}: by {way}" for way in ways}


def test_json_is_whole_beside_a_plugin_that_talks_past_stdout(process):
    done = process("plugins", "list", "--json", modules=("loud",))
    assert (done.code, done.err) == (0, "")
    (row,) = [row for row in done.json if row["name"] == "loud"]
    assert row["status"] == "ok"
    assert spoken("import") <= set(row["printed"].splitlines())


def test_what_a_part_prints_while_it_is_checked_goes_to_stderr(process):
    done = process("plugins", "check", "loud", "--json", modules=("loud",))
    (report,) = json.loads(done.out)
    assert (done.code, report["id"]) == (1, "loud")
    assert spoken("load") <= set(done.err.splitlines())


def test_streams_that_are_closed_are_no_trouble(process):
    code = (
        "import os; os.close({0}); from diffinv.plugins.loading import registry; "
        "row = registry().rows[-1]; os.write({1}, f'{{row.name}} {{row.error}} '.encode())\n"
        "try: os.fstat({0})\nexcept OSError: os.write({1}, b'closed')"
    )
    out = process(modules=("loud",), code=code.format(2, 1))
    err = process(modules=("loud",), code=code.format(1, 2))
    assert (out.code, out.out) == (0, "loud None closed")
    assert (err.code, err.err) == (0, "loud None closed")


def test_in_a_thread_the_descriptors_are_left_alone(capfd):
    def draw():
        with swallowed() as printed:
            print("a word")
            os.write(1, b"the app draws")
        assert printed.getvalue() == "a word\n"

    thread = threading.Thread(target=draw)
    thread.start()
    thread.join()
    assert capfd.readouterr() == ("the app draws", "")


def test_in_the_main_thread_all_is_swallowed_and_nothing_said_before(capfd):
    print("before", end="")
    with swallowed() as printed:
        print("within")
        os.write(1, b"below \xff\n")
    print(" after", end="")
    assert printed.getvalue() == "within\nbelow \ufffd\n"
    assert capfd.readouterr() == ("before after", "")


def test_without_a_place_for_files_it_is_lost(capfd, monkeypatch):
    def nowhere():
        raise FileNotFoundError("no usable temporary directory")

    monkeypatch.setattr(tempfile, "TemporaryFile", nowhere)
    with swallowed() as printed:
        os.write(1, b"lost")
    assert printed.getvalue() == ""
    assert capfd.readouterr() == ("", "")


def test_what_is_not_open_leads_nowhere(capfd):
    free = os.dup(1)
    os.close(free)
    with pointed(free, 1), pointed(1, free):
        os.write(1, b"as before")
    assert capfd.readouterr().out == "as before"


def test_only_pythons_own_streams_are_heard(capfd, monkeypatch):
    for descriptor, name in enumerate(("stdout", "stderr"), 1):
        monkeypatch.setattr(sys, name, open(descriptor, "w", closefd=False))  # noqa: SIM115
        monkeypatch.setattr(sys, f"__{name}__", getattr(sys, name))
    before = [sys.stdout, sys.__stdout__, sys.stderr, sys.__stderr__]
    with kept_for_python():
        os.write(1, b"past stdout")
        os.write(2, b"past stderr")
        subprocess.run(["echo", "a process"], check=True)
        print("printed", end="")
        print("complained", end="", file=sys.__stderr__)
    assert [sys.stdout, sys.__stdout__, sys.stderr, sys.__stderr__] == before
    os.write(1, b", and after")
    assert capfd.readouterr() == ("printed, and after", "complained")


def test_streams_that_are_not_there_stay_away(monkeypatch):
    monkeypatch.setattr(sys, "__stdout__", None)
    with kept_for_python():
        assert sys.__stdout__ is None
