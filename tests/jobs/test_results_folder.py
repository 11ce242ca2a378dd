"""The folder that results go to unless another is named."""

from __future__ import annotations

from pathlib import Path

import pytest

from diffinv.jobs.results_folder import results_folder


@pytest.mark.parametrize(
    ("differences", "name"),
    [
        ([("demo", 1.0)], "trip-demo"),
        ([("demo", 1.0), ("j2", 1.0)], "trip-demo+j2"),
        ([("demo", 0.8), ("j2", -0.4)], "trip-demo_0.8+j2_-0.4"),
        ([("demo", -0.0)], "trip-demo_0"),
        ([("demo", 0.1 + 0.2)], "trip-demo_0.3"),
        ([], "trip-difference"),
    ],
)
def test_strengths_are_in_the_name(differences, name):
    assert results_folder(Path("/b/trip"), differences) == Path("/b") / name


def test_long_names_stay_apart_and_can_be_made(tmp_path):
    many = [("雪" * 48, 1.0)] * 3
    folders = {results_folder(tmp_path / "trip", [*many, ("x", w)]) for w in (0.1, 0.2, 0.2)}
    assert len(folders) == 2
    for folder in folders:
        folder.mkdir()
