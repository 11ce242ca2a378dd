"""The embedded backbone from end to end, by the command line alone."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from command_line import end_workers, leave_once_learning
from PIL import Image

from diffinv.plugins.loading import registry


def diffinv(*args: object, folder: Path) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, "-c", "from diffinv.cli import main; main()", *map(str, args)],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=600,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)},
    )
    assert done.returncode == 0, done.stderr
    return done


def example() -> Path:
    return Path(registry().backbones["diorama"].defaults["example"])


def pixels(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path).convert("RGB"), dtype=np.float32)


def test_the_demo(tmp_path):
    first = diffinv("demo", folder=tmp_path)
    out = tmp_path / "diffinv-demo"
    queries = {path.stem for path in (example() / "b").glob("*.png")}
    results = sorted((out / "results").glob("*.png"))
    assert len(queries) >= 8
    assert {path.stem for path in results} == queries
    sheet = Image.open(out / "contact-sheet.png")
    assert min(sheet.size) > 300
    assert str(out / "contact-sheet.png") in first.stdout
    assert first.stdout.count("  diffinv ") == 3
    changed = [
        np.abs(pixels(path) - pixels(example() / "b" / path.name)).mean() for path in results
    ]
    assert min(changed) > 0.5
    (entry,) = json.loads(diffinv("library", "list", "--json", folder=tmp_path).stdout)
    assert entry["backbone"] == "diorama"
    diffinv("demo", folder=tmp_path)
    assert sorted((out / "results").glob("*.png")) == results
    rows = json.loads(diffinv("jobs", "list", "--json", folder=tmp_path).stdout)
    assert [(row["kind"], row["state"]) for row in rows] == [
        ("apply", "done"),
        ("invert", "done"),
    ] * 2


def test_the_demo_goes_on_when_it_is_left(tmp_path):
    front = subprocess.Popen(
        [sys.executable, "-c", "from diffinv.cli import main; main()", "demo"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)},
    )
    out, err = leave_once_learning(front)
    assert out == ""
    assert "Job 1 goes on: 'diffinv jobs watch 1' shows it" in err
    assert "Job 2 follows it" in err
    watched = diffinv("jobs", "watch", 2, "--json", folder=tmp_path)
    assert json.loads(watched.stdout)["state"] == "done"
    assert len(list((tmp_path / "diffinv-demo" / "results").glob("*.png"))) == 9


@pytest.fixture(scope="module")
def round_trip(tmp_path_factory):
    """One difference learned twice with one seed, and once with another."""
    folder = tmp_path_factory.mktemp("round-trip")
    environment = pytest.MonkeyPatch()
    environment.setenv("DIFFINV_HOME", str(folder / "home"))
    learned = {}
    for name, seed in (("one", 1), ("two", 1), ("three", 2)):
        done = diffinv(
            "invert", example() / "a.png", example() / "a_prime.png", "--name", name,
            "--seed", seed, "--steps", 8, "--json", folder=folder,
        )  # fmt: skip
        learned[name] = json.loads(done.stdout)
    yield folder, learned
    end_workers(folder / "home")
    environment.undo()


def test_the_same_seed_gives_identical_tokens(round_trip):
    from diffinv.difference import load

    _, learned = round_trip
    tokens = {name: load(Path(row["path"])).tokens for name, row in learned.items()}
    assert np.abs(tokens["one"]).max() > 0
    assert tokens["one"].tobytes() == tokens["two"].tobytes()
    assert tokens["one"].tobytes() != tokens["three"].tobytes()


def test_learned_and_applied_again_by_the_command_line(round_trip, tmp_path):
    folder, learned = round_trip
    done = diffinv(
        "apply", learned["one"]["path"], example() / "b", "--out", tmp_path / "out", "--json",
        folder=folder,
    )  # fmt: skip
    outputs = json.loads(done.stdout)["outputs"]
    assert len(outputs) == len(list((example() / "b").glob("*.png")))
    assert {Image.open(row["output"]).size for row in outputs} == {(96, 96)}


def test_strength_zero_is_the_picture_itself(round_trip, tmp_path):
    folder, learned = round_trip
    picture = next((example() / "b").glob("*.png"))
    for editor in ("ddim", "edit-friendly"):
        diffinv(
            "apply", f"{learned['one']['path']}:0", picture, "--out", tmp_path / editor,
            "--editor", editor, "--guidance-scale", 1, folder=folder,
        )  # fmt: skip
        error = np.mean((pixels(tmp_path / editor / picture.name) - pixels(picture)) ** 2)
        assert 10 * np.log10(255**2 / error) > 20
