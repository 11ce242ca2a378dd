import json
import math

import pytest
from click.testing import CliRunner

from diffinv.cli.app import cli
from diffinv.evaluation.statistics import bootstrap
from diffinv_diorama.captions import words_for
from diffinv_diorama.evaluation import METHODS, SCORES, word_edit


def test_bootstrap_interval_holds_the_mean_and_narrows_with_n():
    few, many = bootstrap([0.0, 1.0] * 10), bootstrap([0.0, 1.0] * 1000)
    assert few.low < few.mean == 0.5 < few.high
    assert many.high - many.low < (few.high - few.low) / 5
    assert few.n == 20


def test_bootstrap_matches_the_normal_interval():
    values = [0.0] * 80 + [1.0] * 120
    half = 1.96 * math.sqrt(0.6 * 0.4 / 200)
    estimate = bootstrap(values)
    assert estimate.low == pytest.approx(0.6 - half, abs=0.01)
    assert estimate.high == pytest.approx(0.6 + half, abs=0.01)


def test_word_edit_swaps_the_words_that_change():
    made = word_edit("a red cabin at night", "a cabin by day, alone", "a castle by day")
    assert made == "a red at night castle"


def test_evaluate_diorama_gives_the_promised_json():
    words = "evaluate diorama --count 4 --seed 3 --set steps=20 --json"
    ran = CliRunner().invoke(cli, words.split())
    assert ran.exit_code == 0, ran.output
    report = json.loads(ran.stdout)
    assert set(report["methods"]) == set(METHODS)
    for scores in report["methods"].values():
        assert set(scores) == set(SCORES)
        for estimate in scores.values():
            assert estimate["low"] <= estimate["mean"] <= estimate["high"]
            assert estimate["n"] == 4
    means = {method: scores["right"]["mean"] for method, scores in report["methods"].items()}
    assert means["copy-b"] == 0
    assert means["autoencoder"] >= 0.8
    assert means["difference-inversion"] >= 0.5
    assert set(report["edits"]["swap"]) == set(METHODS)


def test_an_unknown_setting_is_a_usage_error():
    ran = CliRunner().invoke(cli, ["evaluate", "diorama", "--set", "magic=1"])
    assert ran.exit_code != 0
    assert "magic" in str(ran.exception)


def test_results_follow_the_strength():
    words = "evaluate diorama --count 2 --strengths --set steps=3 --json"
    ran = CliRunner().invoke(cli, words.split())
    assert ran.exit_code == 0, ran.output
    figures = json.loads(ran.stdout)
    assert set(figures) == {"count", "light", "recolour", "all"}
    parts = figures["all"]["parts"]
    assert list(parts) == ["0.0", "0.25", "0.5", "0.75", "1.0"]
    assert parts["0.0"] == 0
    assert parts["1.0"] > 0.2


def test_differences_read_like_what_they_are():
    words = "evaluate diorama --count 32 --words --json"
    ran = CliRunner().invoke(cli, words.split())
    assert ran.exit_code == 0, ran.output
    figures = json.loads(ran.stdout)
    assert figures["all"]["n"] == 32
    assert figures["all"]["mean"] > 0.8
    assert figures["swap"]["n"] == 4


def test_the_words_for_a_value():
    assert words_for("colour", "red") == {"red"}
    assert words_for("sky", "moon") == {"moon"}
    assert words_for("detail", "none") == set()
    assert {"night", "midnight", "stars"} <= words_for("time", "night")
