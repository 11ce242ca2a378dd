"""The user study: its page in a real browser, and what people's answers come to."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path

import krippendorff
import numpy as np
import pytest
from evaluating import COLUMNS, finished

from diffinv.cli.app import run
from diffinv.evaluation.people import read_people
from diffinv.evaluation.study import make_study, read_key, write_key

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="chromium is not here")
_QUIET = ("--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-sync")


@pytest.fixture
def study(tmp_path):
    """A page with four questions and two checks, and its key."""
    page, key = make_study(finished(tmp_path), COLUMNS, 10, 2, 0)
    (tmp_path / "study.html").write_text(page)
    write_key(key, tmp_path / "study.key.json")
    return tmp_path / "study.html", key


def answers(folder: Path, key, person: str, choice, checks: bool = True, study: str = "") -> Path:
    """A person's file: ``choice`` says the column for the number of a question."""
    given = [
        {"question": id, "chosen": next(n for n, c in options.items() if c == choice(i))}
        for i, (id, options) in enumerate(key.options.items())
    ]
    given += [{"question": id, "chosen": right if checks else "x"} for id, right in
              key.checks.items()]  # fmt: skip
    path = folder / f"{person}.json"
    about = {"study": study or key.study, "participant": person, "answers": given}
    path.write_text(json.dumps(about))
    return path


def test_the_page_says_nothing_about_methods(study):
    page, key = study
    text = page.read_text()
    assert not any(column in text for column in COLUMNS)
    assert "http://" not in text
    assert "https://" not in text
    assert len(key.options) == 4
    assert len(key.checks) == 2
    names = [name for options in key.options.values() for name in options]
    assert len(set(names)) == 12
    assert all(sorted(options.values()) == sorted(COLUMNS) for options in key.options.values())
    assert read_key(page.with_suffix(".key.json")) == key


def test_shares_and_agreement(study, tmp_path):
    _, key = study
    files = [
        answers(tmp_path, key, "one", lambda i: COLUMNS[0]),
        answers(tmp_path, key, "two", lambda i: COLUMNS[0] if i else COLUMNS[1]),
        answers(tmp_path, key, "three", lambda i: COLUMNS[i % 3]),
    ]
    found = read_people(key, files)
    assert (found.participants, found.answers, found.left_out) == (3, 12, ())
    shares = {column: estimate.mean for column, estimate in found.shares.items()}
    assert shares == {COLUMNS[0]: 9 / 12, COLUMNS[1]: 2 / 12, COLUMNS[2]: 1 / 12}
    assert all(e.low <= e.mean <= e.high for e in found.shares.values())
    table = np.array([[0, 0, 0, 0], [1, 0, 0, 0], [0, 1, 2, 0]])
    expected = krippendorff.alpha(reliability_data=table, level_of_measurement="nominal")
    assert found.alpha == pytest.approx(expected)


def test_whoever_does_not_look_is_left_out(study, tmp_path, capsys):
    page, key = study
    (tmp_path / "answers").mkdir()
    folder = tmp_path / "answers"
    answers(folder, key, "asleep", lambda i: COLUMNS[1], checks=False)
    answers(folder, key, "good", lambda i: COLUMNS[0])
    answers(folder, key, "other", lambda i: COLUMNS[0], study="another")
    shutil.copy(folder / "good.json", folder / "good2.json")
    (folder / "torn.json").write_text('{"study"')
    key_file = str(page.with_suffix(".key.json"))
    assert run(["evaluate", "table2", key_file, str(folder), "--json"]) == 0
    said = capsys.readouterr()
    table = json.loads(said.out)
    assert (table["participants"], table["shares"][COLUMNS[0]]["mean"]) == (1, 1)
    assert table["alpha"] is None or math.isnan(table["alpha"])
    for reason in ("misses 2 of 2", "another study", "already counted", "no file of answers"):
        assert reason in said.err
    assert run(["evaluate", "study", "read", key_file, str(folder / "torn.json")]) == 1
    assert "No file of answers can be counted" in capsys.readouterr().err
    assert run(["evaluate", "study", "read", str(page), str(folder)]) == 1


def test_a_study_from_the_command_line(tmp_path, capsys):
    finished(tmp_path)
    command = ["evaluate", "study", "make", str(tmp_path / "run"), "--questions", "2"]
    assert run([*command, "--out", str(tmp_path / "s.html"), "--method", "visii"]) == 2
    assert "at least two" in capsys.readouterr().err
    assert run([*command, "--out", str(tmp_path / "s.html")]) == 0
    assert len(read_key(tmp_path / "s.key.json").options) == 2


@needs_chromium
def test_in_a_real_browser(study, tmp_path):
    """By keyboard, then closed and opened again, then on a phone's screen; offline."""
    from playwright.sync_api import sync_playwright

    page_file, key = study
    with sync_playwright() as playwright:
        options = {"executable_path": CHROMIUM, "args": list(_QUIET)}
        context = playwright.chromium.launch_persistent_context(
            str(tmp_path / "profile"), accept_downloads=True, offline=True, **options
        )
        errors, asked = [], []
        page = context.new_page()
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("request", lambda request: asked.append(request.url))
        page.goto(page_file.as_uri())
        page.keyboard.press("Enter")
        for _ in range(2):
            _choose(page, key, by_keyboard=True)
        page.keyboard.press("Backspace")
        assert "2 of 6" in page.inner_text("main")
        assert page.locator("[aria-pressed=true]").count() == 1
        page.close()

        page = context.new_page()
        page.set_viewport_size({"width": 360, "height": 700})
        page.goto(page_file.as_uri())
        assert "2 of 6" in page.inner_text("main"), "goes on where it was left"
        assert page.evaluate("document.documentElement.scrollWidth") <= 360
        while not page.locator("#save").count():
            _choose(page, key, by_keyboard=False)
        with page.expect_download() as download:
            page.click("#save")
        download.value.save_as(tmp_path / "answers.json")
        context.close()
    assert not errors
    assert all(url.startswith(("file:", "data:", "blob:")) for url in asked)
    found = read_people(key, [tmp_path / "answers.json"])
    assert not found.left_out
    assert found.shares[COLUMNS[0]].mean == 1


def _choose(page, key, by_keyboard: bool) -> None:
    """Our answer, or what is right in a check."""
    ours = {n for o in key.options.values() for n, c in o.items() if c == COLUMNS[0]}
    wanted = ours | set(key.checks.values())
    buttons = page.locator("[data-option]")
    for i in range(buttons.count()):
        if buttons.nth(i).get_attribute("data-option") in wanted:
            if by_keyboard:
                page.keyboard.press(str(i + 1))
            else:
                buttons.nth(i).click()
            return
    raise AssertionError("no option is the right one")
