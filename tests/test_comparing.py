"""Methods side by side: data, runs that go on, tables, locks."""

from __future__ import annotations

import csv
import json
import math
import sys
from importlib import metadata

import numpy as np
import pytest
import torch
from installing import MODULES, install
from PIL import Image

import diffinv
from diffinv.cli.app import run
from diffinv.errors import DiffinvError, UsageError
from diffinv.evaluation.data import open_data
from diffinv.evaluation.scores import psnr
from diffinv.evaluation.scoring import psnr_outside, ssim
from diffinv.evaluation.statistics import holm, paired_p
from diffinv.hookspecs import GROUP
from diffinv.plugins import loading

FAST = ("--set", "difference-inversion.steps=3", "--set", "difference-inversion.mask=false")


@pytest.fixture
def copies(tmp_path, monkeypatch):
    """The test plugin's methods and world beside the installed ones."""
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(MODULES))
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.delitem(sys.modules, "copies", raising=False)
    install(folder, "copies")
    found = loading.load_plugins(metadata.entry_points(group=GROUP))
    for module in ("data", "runs", "bench", "comparing"):
        monkeypatch.setattr(f"diffinv.evaluation.{module}.registry", lambda: found)
    return found


def table1(*arguments: object) -> int:
    return run(["evaluate", "table1", *map(str, arguments)])


def bits(path) -> bytes:
    with Image.open(path) as image:
        return image.convert("RGB").tobytes()


def draw(path, colour="red", size=(32, 24)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, colour).save(path)


class TestData:
    def test_a_manifest_names_its_damaged_rows_by_line(self, tmp_path):
        for name in ("a", "b", "c", "d"):
            draw(tmp_path / f"{name}.png")
        (tmp_path / "m.csv").write_text(
            "id,A,A_prime,B,B_prime,instruction,caption_a\n"
            "first,a.png,b.png,c.png,d.png,make it blue,a wall\n"
            "second,a.png,b.png,gone.png,,,\n"
            "third,a.png,,c.png,,,\n"
            "first,a.png,b.png,c.png,,,\n"
            "../up,a.png,b.png,c.png,,,\n"
        )
        data = open_data(str(tmp_path / "m.csv"), None, 0)
        assert [entry.id for entry in data.entries] == ["first", "-up"]
        assert [fault.split()[:2] for fault in data.faults] == [
            ["line", "3"],
            ["line", "4"],
            ["line", "5"],
        ]
        first = data.entries[0].open()
        assert (first.instruction, dict(first.captions)) == ("make it blue", {"a": "a wall"})
        assert first.b_prime is not None
        assert data.entries[1].open().b_prime is None

    def test_lines_of_json(self, tmp_path):
        for name in "abc":
            draw(tmp_path / f"{name}.png")
        row = {"A": "a.png", "A_prime": "b.png", "B": "c.png"}
        (tmp_path / "m.jsonl").write_text(f"{json.dumps(row)}\n{{broken\n[]\n")
        data = open_data(str(tmp_path / "m.jsonl"), None, 0)
        assert [entry.id for entry in data.entries] == ["00001"]
        assert data.faults == ("line 2 is damaged", "line 3 is damaged")

    def test_one_folder_a_triplet(self, tmp_path):
        for name in ("A", "A_prime", "B"):
            draw(tmp_path / "snow" / f"{name}.jpg")
        (tmp_path / "snow" / "instruction.txt").write_text("make it snow\n")
        draw(tmp_path / "half" / "A.png")
        data = open_data(str(tmp_path), None, 0)
        assert [entry.open().instruction for entry in data.entries] == ["make it snow"]
        assert data.faults == ("the folder 'half' has no A_prime",)

    def test_the_folders_of_visii(self, tmp_path):
        for i in range(3):
            for j in range(2):
                draw(tmp_path / "painting" / f"{i}_{j}.png")
        data = open_data(str(tmp_path), None, 0)
        assert [entry.id for entry in data.entries] == ["painting-1", "painting-2"]

    def test_instruct_pix2pix_takes_b_from_another_folder(self, tmp_path):
        for i in range(4):
            edit = "make it snow" if i < 3 else "nobody else says this"
            folder = tmp_path / f"{i:03d}"
            for ending in ("0", "1"):
                draw(folder / f"5{i}_{ending}.jpg")
            said = {"input": f"house {i}", "edit": edit, "output": f"snowy house {i}"}
            (folder / "prompt.json").write_text(json.dumps(said))
        seeds = [[f"{i:03d}", [f"5{i}"]] for i in range(4)]
        (tmp_path / "seeds.json").write_text(json.dumps(seeds))
        data = open_data(str(tmp_path), None, 3)
        assert len(data.entries) == 3
        for entry in data.entries:
            first, _, second, _ = entry.id.split("-")
            assert first != second
            assert entry.open().captions["b_prime"] == f"snowy house {int(second)}"
        again = open_data(str(tmp_path), 2, 3)
        assert [e.id for e in again.entries] == [e.id for e in data.entries[:2]]

    def test_damaged_seeds_are_one_sentence(self, tmp_path):
        for text in ("", "[1]", '{"a": 1}'):
            (tmp_path / "seeds.json").write_text(text)
            with pytest.raises(DiffinvError, match="no list of folders"):
                open_data(str(tmp_path), None, 0)

    @pytest.mark.parametrize("text", ["nothing", "diorama:nothing", "."])
    def test_what_is_no_data_is_refused(self, text, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        with pytest.raises(UsageError):
            open_data(text, None, 0)


def test_a_comparison_goes_on_and_is_repeated_bit_for_bit(tmp_path, capsys):
    out = tmp_path / "run"
    chosen = [x for m in ("difference-inversion", "autoencoder", "copy-b") for x in ("--method", m)]
    arguments = ("--data", "diorama", "--count", 2, "--device", "cpu", *chosen, *FAST)
    assert table1(*arguments, "--out", out) == 0
    assert "difference-inversion" in capsys.readouterr().out
    made = sorted((out / "pictures").rglob("*.png"))
    assert len(made) == 6
    was = {path: (bits(path), path.stat().st_mtime_ns) for path in made}
    made[3].unlink()
    with (out / "answers.jsonl").open("a") as file:
        file.write('{"column": "copy-b", "trip')  # as a crash leaves it
    assert table1(*arguments, "--out", out) == 0
    assert all(bits(path) == old for path, (old, _) in was.items())
    changed = [path for path, (_, time) in was.items() if path.stat().st_mtime_ns != time]
    assert changed == [made[3]]
    made[3].unlink()  # the line of its second answer is a whole one, after the torn one
    whole = [line for line in (out / "answers.jsonl").read_text().splitlines() if line[-1] == "}"]
    assert len(whole) == 7
    assert table1(*arguments, "--out", out) == 0
    again = tmp_path / "again"
    assert table1("--from", out / "lock.json", "--out", again) == 0
    for path in made:
        assert bits(again / path.relative_to(out)) == bits(path)
    assert table1(*arguments, "--seed", 1, "--out", out) == 2
    assert "holds another comparison (its seed differs)" in capsys.readouterr().err


def test_our_answers_are_those_of_the_api(tmp_path):
    from diffinv_diorama.diorama_world import DioramaWorld

    (triplet,) = DioramaWorld().triplets(1, 4, "plain")
    method = ("--method", "difference-inversion", *FAST)
    data = ("--data", "diorama", "--count", 1, "--seed", 4, "--device", "cpu")
    assert table1(*data, *method, "--out", tmp_path) == 0
    model = diffinv.load("diorama", device="cpu")
    difference = model.invert(triplet.a, triplet.a_prime, steps=3, seed=4, progress=False)
    expected = model.apply(
        difference, triplet.b, seed=4, use_difference_mask=False, size="model", progress=False
    )
    (path,) = (tmp_path / "pictures").rglob("*.png")
    assert bits(path) == expected.tobytes()


def test_an_answer_that_fails_is_a_row_with_its_reason(copies, tmp_path, capsys):
    from diffinv.evaluation.comparing import Comparison, compare

    wanted = Comparison.planned(
        "walls:dark", 2, 0, ("copy-a-prime", "fails", "sdedit"), (), device="cpu"
    )
    table = compare(wanted, tmp_path / "run", "Walls", lambda *_: None, print)
    columns = table["columns"]
    assert columns["copy-a-prime"]["scores"]["right"]["mean"] == 1
    assert columns["fails"]["errors"] == {
        "dark-0-0": "ValueError: <b>markup</b>",
        "dark-0-1": "it does not like odd walls",
    }
    assert set(columns["sdedit"]["errors"].values()) == {"the triplet has no instruction"}
    page = (tmp_path / "run" / "report.html").read_text()
    assert "&lt;b&gt;markup" in page
    assert "<b>markup" not in page
    with (tmp_path / "run" / "table.csv").open() as file:
        assert {row["method"] for row in csv.DictReader(file)} == {"copy-a-prime"}


def test_settings_are_read_in_the_type_of_their_default(copies, tmp_path):
    from diffinv.evaluation.runs import columns_of

    (column,) = columns_of(["copy-a-prime"], ["copy-a-prime.grey=TRUE"], {})
    assert column.settings == {"grey": True}
    (column,) = columns_of(["sdedit"], ["sdedit.steps=7"], {"sdedit": {"strength": 0.5}})
    assert column.settings == {"strength": 0.5, "steps": 7}
    for wrong in ("sdedit.steps=x", "sdedit.no=1", "sdedit.steps", "other.steps=1", "steps=1"):
        with pytest.raises(UsageError):
            columns_of(["sdedit"], [wrong], {})


def test_usage(tmp_path, capsys):
    assert table1("--out", tmp_path / "x") == 2
    assert table1("--data", "diorama", "--method", "nobody", "--out", tmp_path / "x") == 2
    assert "There is no method 'nobody'" in capsys.readouterr().err
    assert table1("--from", tmp_path / "gone.json", "--out", tmp_path / "x") == 1
    assert run(["evaluate", "report", str(tmp_path)]) == 1
    assert run(["evaluate", "methods"]) == 0
    assert "instruct-pix2pix" in capsys.readouterr().out


def test_changed_pictures_are_not_those_of_a_lock(tmp_path, capsys):
    for name in ("A", "A_prime", "B"):
        draw(tmp_path / "data" / "one" / f"{name}.png")
    arguments = ("--data", tmp_path / "data", "--method", "copy-b", "--device", "cpu")
    assert table1(*arguments, "--out", tmp_path / "run") == 0
    draw(tmp_path / "data" / "one" / "B.png", "blue")
    lock = tmp_path / "run" / "lock.json"
    assert table1("--from", lock, "--out", tmp_path / "again") == 2
    assert "the triplet 'one' differs" in capsys.readouterr().err


class TestScores:
    one = Image.fromarray(np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8))
    other = Image.fromarray(np.random.default_rng(1).integers(0, 256, (48, 64, 3), dtype=np.uint8))

    def test_psnr_agrees_with_torchmetrics(self):
        from torchmetrics.functional.image import peak_signal_noise_ratio

        a, b = (torch.from_numpy(np.asarray(x).astype(np.float32)) for x in (self.one, self.other))
        assert psnr(self.one, self.other) == pytest.approx(
            float(peak_signal_noise_ratio(a, b, data_range=255.0)), abs=1e-3
        )

    def test_ssim(self):
        assert ssim(self.one, self.one) == pytest.approx(1)
        assert abs(ssim(self.one, self.other)) < 0.1

    def test_psnr_outside_looks_only_where_the_truth_is_like_b(self):
        b = Image.new("RGB", (10, 10), "white")
        truth, answer = b.copy(), b.copy()
        truth.paste("red", (0, 0, 5, 10))
        answer.paste("blue", (0, 0, 5, 10))
        assert psnr_outside(answer, b, truth) == 99
        answer.paste("blue", (0, 0, 6, 10))
        assert psnr_outside(answer, b, truth) < 12
        assert math.isnan(psnr_outside(answer, b, Image.new("RGB", (10, 10))))


def test_holm_and_paired_p():
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    same = [0.1, 0.5, 0.9] * 10
    assert paired_p(same, same) == 1
    assert paired_p([x + 0.2 for x in same], same) < 0.001
    rng = np.random.default_rng(0)
    ps = [paired_p(rng.normal(size=20), rng.normal(size=20), i) for i in range(100)]
    assert 0.0 <= np.mean(np.array(ps) < 0.05) <= 0.12
