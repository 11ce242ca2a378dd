"""``docs/reliability.md`` names a test for every promise; they exist."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "reliability.md").read_text(encoding="utf-8")
ROWS = [line for line in PAGE.splitlines() if line.startswith("| ") and "`" in line]


def test_every_promise_has_a_test_that_exists():
    assert len(ROWS) > 15
    for row in ROWS:
        held = row.rstrip("| ").rpartition("|")[2]
        places = re.findall(r"`((?:tests/)?[\w/]*(?:test_\w+\.py|tests/tui))`", held)
        assert places, row
        files = [path for place in places for path in _files(place)]
        text = "".join(path.read_text(encoding="utf-8") for path in files)
        for name in re.findall(r": `(\w+)`", held):
            assert name in text, (name, places)


def _files(place: str) -> list[Path]:
    found = [ROOT / place] if "/" in place else list((ROOT / "tests").rglob(place))
    assert found, place
    assert all(path.exists() for path in found), place
    return [path for path in found if path.is_file()]
