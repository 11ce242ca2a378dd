"""A finished comparison without a model: three columns of plain pictures for four triplets."""

from __future__ import annotations

import json
from pathlib import Path

from PIL import Image

from diffinv.evaluation.answering import columns_of
from diffinv.evaluation.comparing import LOCK, Comparison, open_run
from diffinv.evaluation.runs import Run

COLUMNS = ("difference-inversion", "visii", "analogist")
_COLOURS = {"difference-inversion": "green", "visii": "red", "analogist": "blue"}


def finished(folder: Path, triplets: int = 4) -> Run:
    """A comparison of a manifest's triplets, each method's answers in its own colour."""
    data = folder / "data"
    data.mkdir(parents=True)
    rows = []
    for i in range(triplets):
        for name in ("A", "A_prime", "B"):
            shade = (40 * i + 30, 90 if name == "A" else 200, 120 if name == "B" else 20)
            Image.new("RGB", (32, 32), shade).save(data / f"{i}{name}.png")
        names = {name: f"{i}{name}.png" for name in ("A", "A_prime", "B")}
        rows.append(json.dumps({"id": f"t{i}", **names}))
    (data / "m.jsonl").write_text("\n".join(rows))
    columns = tuple(columns_of(COLUMNS, (), {}))
    wanted = Comparison(str(data / "m.jsonl"), None, 0, columns)
    out = folder / "run"
    out.mkdir()
    _write_lock(wanted, out)
    lines = []
    for column in COLUMNS:
        (out / "pictures" / column).mkdir(parents=True)
        for i in range(triplets):
            place = out / "pictures" / column / f"t{i}.png"
            Image.new("RGB", (32, 32), _COLOURS[column]).save(place)
            answer = {"column": column, "triplet": f"t{i}", "seconds": 1.0, "evaluations": 1}
            lines.append(json.dumps(answer))
    (out / "answers.jsonl").write_text("\n".join(lines) + "\n")
    return open_run(out)


def _write_lock(wanted: Comparison, out: Path) -> None:
    from diffinv.evaluation.comparing import _lock
    from diffinv.evaluation.data import open_data

    _lock(wanted, open_data(wanted.data, None, 0), out / LOCK)
