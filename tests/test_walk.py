"""The walk in CONTRIBUTING.md is the one that a request takes."""

from __future__ import annotations

import re
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
EXAMPLE = ROOT / "plugins" / "diffinv-diorama" / "diffinv_diorama" / "example"


def written_down() -> list[tuple[str, str]]:
    """(file, function) of every stop, in the order of the chapter."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    chapter = re.search(r"^## From `diffinv invert.*?(?=^## )", text, re.MULTILINE | re.DOTALL)
    assert chapter
    return re.findall(r"`(diffinv/[\w/]+\.py)`\s+`(\w+)`", chapter[0])


def test_a_request_takes_the_walk_that_is_written_down(diffinv):
    stops = written_down()
    assert len(stops) >= 18
    assert len({file for file, _ in stops}) == len(stops), "a room is entered twice"
    entered: list[tuple[str, str]] = []

    ours = str(ROOT / "diffinv")

    def hear(frame, event, _argument):
        if event == "call" and frame.f_code.co_filename.startswith(ours):
            entered.append((frame.f_code.co_filename, frame.f_code.co_name))

    sys.setprofile(hear)
    try:
        result = diffinv(
            *("invert", EXAMPLE / "a.png", EXAMPLE / "a_prime.png"),
            *("--backbone", "diorama", "--steps", "2", "--device", "cpu", "--name", "walk"),
        )
    finally:
        sys.setprofile(None)
    assert result.code == 0, result.err
    calls = iter(entered)
    for file, function in stops:
        wanted = (str(ROOT / file), function)
        assert any(call == wanted for call in calls), f"{file} {function} does not come next"
