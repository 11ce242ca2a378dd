"""Methods side by side: data, runs that go on, tables, locks."""

from __future__ import annotations

import csv
import json
import math
import sys
from contextlib import contextmanager
from importlib import metadata

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from installing import MODULES, install
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import diffinv
from diffinv.cli.app import run
from diffinv.engines import engine_of
from diffinv.errors import DiffinvError, UsageError
from diffinv.evaluation.answering import Answer, columns_of
from diffinv.evaluation.data import open_data
from diffinv.evaluation.figures import FIGURES, figure_columns
from diffinv.evaluation.runs import Run
from diffinv.evaluation.scores import psnr
from diffinv.evaluation.scoring import psnr_outside, ssim
from diffinv.evaluation.statistics import holm, paired_p
from diffinv.hookspecs import GROUP
from diffinv.plugins import loading

QUICK = {"steps": 3, "mask": "false", "num_inference_steps": 4}
FAST = tuple(
    text
    for name, value in QUICK.items()
    for text in ("--set", f"difference-inversion.{name}={value}")
)


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
    for module in ("data", "answering", "bench", "comparing"):
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

    def test_pictures_named_by_their_addresses(self, tmp_path):
        import fsspec

        draw(tmp_path / "a.png")
        store = fsspec.filesystem("memory")
        store.pipe("/bucket/a.png", (tmp_path / "a.png").read_bytes())
        a, gone = "memory://bucket/a.png", "memory://bucket/gone.png"
        rows = [f"one,{a},{a},a.png", f"two,{a},{gone},a.png", f"three,nowhere://x/y.png,{a},{a}"]
        (tmp_path / "m.csv").write_text("\n".join(["id,A,A_prime,B", *rows]))
        data = open_data(str(tmp_path / "m.csv"), None, 0)
        assert [entry.id for entry in data.entries] == ["one"]
        assert data.entries[0].open().a.size == (32, 24)
        assert data.entries[0].source["a"][0] == a
        assert data.entries[0].source["a"][1] == data.entries[0].source["b"][1]
        assert data.faults[0] == f"line 3 names '{gone}', which is missing"
        assert "line 4 names 'nowhere://x/y.png', which cannot be read: " in data.faults[1]

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

    def test_a_manifest_in_parquet_holds_paths_or_pictures(self, tmp_path):
        for name in "abc":
            draw(tmp_path / f"{name}.png")
        data = (tmp_path / "a.png").read_bytes()
        rows = [
            {"id": "paths", "A": {"path": "a.png"}, "A_prime": {"path": "b.png"}},
            {"id": "bytes", "A": {"bytes": data}, "A_prime": {"bytes": data}},
            {"id": "broken", "A": {"bytes": b"no picture"}, "A_prime": {"bytes": data}},
            {"id": "lacking", "A": {"bytes": data}, "A_prime": None},
        ]
        rows = [row | {"B": "c.png", "caption_b": "a wall"} for row in rows]
        pq.write_table(pa.Table.from_pylist(rows), tmp_path / "m.parquet")
        found = open_data(str(tmp_path / "m.parquet"), None, 0)
        assert [entry.id for entry in found.entries] == ["paths", "bytes", "broken"]
        assert found.faults == ("row 4 has no A_prime",)
        assert found.entries[1].open().a.size == (32, 24)
        assert found.entries[0].open().captions == {"b": "a wall"}
        with pytest.raises(DiffinvError, match="The picture A is damaged"):
            found.entries[2].open()

    def test_instruct_pix2pix_in_parquet(self, tmp_path):
        draw(tmp_path / "a.png")
        data = {"bytes": (tmp_path / "a.png").read_bytes(), "path": None}
        rows = [
            {
                "original_image": data,
                "edit_prompt": "make it snow" if i < 3 else "nobody else says this",
                "edited_image": data,
                "edited_prompt": f"snowy house {i}",
            }
            for i in range(4)
        ]
        pq.write_table(pa.Table.from_pylist(rows), tmp_path / "part-0.parquet")
        found = open_data(str(tmp_path), None, 3)
        assert len(found.entries) == 3
        for entry in found.entries:
            first, second = entry.id.split("-")
            assert first != second
            assert entry.open().captions["b_prime"] == f"snowy house {second}"

    def test_a_table_that_is_none_is_one_sentence(self, tmp_path):
        (tmp_path / "m.parquet").write_text("no table")
        with pytest.raises(DiffinvError, match="cannot be read"):
            open_data(str(tmp_path / "m.parquet"), None, 0)

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
    assert table1("--from", out / "lock.json", "--batch", 2, "--out", again) == 2
    assert "--from takes all from the lock: leave out --batch." in capsys.readouterr().err
    assert table1(*arguments, "--seed", 1, "--out", out) == 2
    assert "holds another comparison (its seed differs)" in capsys.readouterr().err


def test_our_answers_are_those_of_the_api(tmp_path):
    from diffinv_diorama.diorama_world import DioramaWorld

    (triplet,) = DioramaWorld().triplets(1, 4, "plain")
    method = ("--method", "difference-inversion", *FAST)
    data = ("--data", "diorama", "--count", 1, "--seed", 4, "--device", "cpu")
    assert table1(*data, *method, "--out", tmp_path) == 0
    model = diffinv.load("diorama", device="cpu")
    difference = model.invert(
        triplet.a, triplet.a_prime, steps=3, preview=0, seed=4, progress=False
    )
    expected = model.apply(
        difference,
        triplet.b,
        seed=4,
        use_difference_mask=False,
        num_inference_steps=4,
        size="model",
        progress=False,
    )
    (path,) = (tmp_path / "pictures").rglob("*.png")
    assert bits(path) == expected.tobytes()


def test_triplets_that_go_together_are_made_again_together(tmp_path, capsys):
    data = ("--data", "diorama", "--count", 3, "--device", "cpu")
    chosen = (*data, "--method", "difference-inversion", "--method", "copy-b", *FAST)
    alone, out = tmp_path / "alone", tmp_path / "together"
    assert table1(*chosen, "--out", alone) == 0
    assert table1(*chosen, "--batch", 2, "--out", out) == 0
    made = sorted((out / "pictures" / "difference-inversion").glob("*.png"))
    assert len(made) == 3
    for path in made:
        own = np.frombuffer(bits(alone / path.relative_to(out)), np.uint8).astype(float)
        assert np.abs(own - np.frombuffer(bits(path), np.uint8)).mean() < 1
    was = [(bits(path), path.stat().st_mtime_ns) for path in made]
    made[0].unlink()
    assert table1(*chosen, "--batch", 2, "--out", out) == 0
    assert [bits(path) for path in made] == [old for old, _ in was]
    assert [path.stat().st_mtime_ns == time for path, (_, time) in zip(made, was, strict=True)] == [
        False,
        False,
        True,
    ]
    capsys.readouterr()
    assert table1(*chosen, "--out", out) == 2
    assert "holds another comparison (its batch differs)" in capsys.readouterr().err


def test_what_fails_together_is_tried_alone(copies, tmp_path):
    from diffinv.evaluation.comparing import Comparison, compare

    columns = tuple(columns_of(("wary",), (), {}))
    wanted = Comparison("walls", 5, 0, columns, device="cpu", batch=2)
    folder = tmp_path / "run"
    table = compare(wanted, folder, "Walls", engine_of("local"), (), lambda *_: None, print)
    assert table["columns"]["wary"]["errors"] == {"plain-0-3": "it does not like this wall"}
    made = (folder / "answers.jsonl").read_text().count("\n")
    compare(wanted, folder, "Walls", engine_of("local"), (), lambda *_: None, print)
    lines = (folder / "answers.jsonl").read_text().splitlines()
    assert [json.loads(line)["triplet"] for line in lines[made:]] == ["plain-0-3"]
    whites = {path.stem: Image.open(path).getpixel((0, 0)) for path in folder.rglob("*.png")}
    together, alone = (0, 255, 0), (255, 255, 255)
    assert whites == {
        "plain-0-0": together,
        "plain-0-1": together,
        "plain-0-2": alone,
        "plain-0-4": alone,
    }


def test_a_failure_takes_away_no_answer(copies, tmp_path):
    data = open_data("walls", 2, 0)
    first, second = (entry.id for entry in data.entries)
    columns = columns_of(("wary",), (), {})

    class Works:
        fails: tuple[str, ...] = ()

        @contextmanager
        def started(self, make):
            yield self

        def run(self, tasks, tick=lambda: None):
            for place, (_, rows) in enumerate(tasks):
                ids = [data.entries[row].id for row in rows]
                yield place, [
                    (Answer("wary", id, 1.0, 1, "full" if id in self.fails else None),
                     None if id in self.fails else b"picture")
                    for id in ids
                ]  # fmt: skip

    engine, folder = Works(), tmp_path / "run"
    Run(folder, data, columns, 0, 2).make(engine, object, lambda *_: None)
    run = Run(folder, data, columns, 0, 2)
    run.picture_of("wary", second).unlink()
    engine.fails = (first,)
    run.make(engine, object, lambda *_: None)
    for found in (run, Run(folder, data, columns, 0, 2)):
        assert {id: found.answers["wary", id].error for id in (first, second)} == {
            first: None, second: None,
        }  # fmt: skip


def test_an_answer_that_fails_is_a_row_with_its_reason(copies, tmp_path, capsys):
    from diffinv.evaluation.comparing import Comparison, compare

    columns = columns_of(("copy-a-prime", "fails", "sdedit"), (), {})
    wanted = Comparison("walls:dark", 2, 0, tuple(columns), device="cpu")
    table = compare(
        wanted, tmp_path / "run", "Walls", engine_of("local"), (), lambda *_: None, print
    )
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
    assert table1("--data", "diorama", "--captioner", "mute", "--out", tmp_path / "x") == 2
    assert "There is no captioner 'mute'" in capsys.readouterr().err
    assert table1("--from", tmp_path / "gone.json", "--out", tmp_path / "x") == 1
    assert run(["evaluate", "report", str(tmp_path)]) == 1
    assert run(["evaluate", "methods"]) == 0
    assert "instruct-pix2pix" in capsys.readouterr().out


@pytest.mark.parametrize("batch", [0, -1, "2", None])
def test_a_lock_with_a_senseless_batch_is_none(copies, tmp_path, batch, capsys):
    assert table1("--data", "walls", "--method", "copy-a-prime", "--out", tmp_path / "run") == 0
    lock = tmp_path / "run" / "lock.json"
    said = json.loads(lock.read_text())
    said["comparison"]["batch"] = batch
    lock.write_text(json.dumps(said))
    assert table1("--from", lock, "--out", tmp_path / "again") == 1
    assert f"is no lock of a comparison: its batch is {batch!r}." in capsys.readouterr().err
    assert not (tmp_path / "again").exists()


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


def test_a_figure_changes_one_thing_in_each_column(tmp_path, capsys):
    arguments = ["--data", "diorama", "--count", "1", "--device", "cpu", *FAST, "--json"]
    assert run(["evaluate", "ablation", *arguments, "--out", str(tmp_path)]) == 0
    columns = json.loads(capsys.readouterr().out)["columns"]
    assert list(columns) == [
        *("difference-inversion", "no-token-consistency", "no-delta-interpolation"),
        *("no-zero-start", "no-clip-loss", "no-weighting", "no-mask", "no-rewording"),
    ]
    assert not any(column["errors"] for column in columns.values())
    lock = json.loads((tmp_path / "lock.json").read_text())["comparison"]["columns"]
    base = lock[0]["settings"]
    assert base == {"mask": False, "num_inference_steps": 4, "steps": 3}
    assert [c["settings"] for c in lock[1:3]] == [base | {"lambda_tc": 0.0}, base | {"alpha": 0.0}]
    scores = columns["difference-inversion"]["scores"]
    cosine = scores["directional_diorama"]["mean"]
    assert scores["directional01_diorama"]["mean"] == pytest.approx((1 + cosine) / 2)


@pytest.mark.parametrize("name", FIGURES)
def test_every_setting_of_a_figure_is_one_of_the_method(name):
    base = columns_of(["difference-inversion"], (), {})[0]
    for column in figure_columns(FIGURES[name], base):
        assert set(column.settings) <= set(base.spec.settings)


def test_a_method_on_several_models(copies, tmp_path, capsys):
    arguments = ["--data", "walls", "--count", "1", "--device", "cpu", *FAST, "--json"]
    command = ["evaluate", "transfer", "--to", "diorama", *arguments, "--out", str(tmp_path)]
    assert run(command) == 0
    columns = json.loads(capsys.readouterr().out)["columns"]
    assert list(columns) == ["difference-inversion", "on-diorama"]
    one, other = ((tmp_path / "pictures" / name / "plain-0-0.png") for name in columns)
    assert bits(one) == bits(other)


def test_reports_stand_side_by_side(tmp_path, capsys):
    for name in ("one", "two"):
        arguments = ("--data", "diorama", "--count", 1, "--device", "cpu", "--method", "copy-b")
        assert table1(*arguments, "--out", tmp_path / name) == 0
    capsys.readouterr()
    assert run(["evaluate", "report", str(tmp_path / "one"), str(tmp_path / "two")]) == 0
    shown = capsys.readouterr().out
    assert all(f"{name}/copy-b" in shown.replace("\n", "") for name in ("one", "two"))


def test_a_comparison_is_logged(tmp_path, monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    arguments = ("--data", "diorama", "--count", 1, "--device", "cpu", "--method", "copy-b")
    logs = ("--log", "tensorboard", "--log", "wandb")
    assert table1(*arguments, *logs, "--out", tmp_path) == 0
    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    assert events.Scalars("right/copy-b")[0].value == 0
    assert events.Tags()["images"]
    assert list((tmp_path / "wandb").glob("offline-run-*/run-*.wandb"))


def test_lpips_says_what_it_lacks(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "torchmetrics.image.lpip", None)
    arguments = ("--data", "diorama", "--count", 1, "--device", "cpu", "--method", "copy-b")
    assert table1(*arguments, "--lpips", "--out", tmp_path) == 1
    assert "LPIPS cannot be measured" in capsys.readouterr().err


def test_lpips_is_a_score_where_its_weights_are(tmp_path, monkeypatch):
    """The network's weights cannot be had here: a stand-in measures the mean difference."""

    class Distance:
        def __init__(self, net_type):
            assert net_type == "alex"

        def __call__(self, one, other):
            return (one - other).abs().mean()

    stand_in = type(sys)("lpip")
    stand_in.LearnedPerceptualImagePatchSimilarity = Distance
    monkeypatch.setitem(sys.modules, "torchmetrics.image.lpip", stand_in)
    methods = ("--method", "copy-b", "--method", "autoencoder")
    arguments = ("--data", "diorama", "--count", 1, "--device", "cpu", *methods)
    assert table1(*arguments, "--lpips", "--out", tmp_path) == 0
    columns = json.loads((tmp_path / "table.json").read_text())["columns"]
    assert columns["copy-b"]["scores"]["lpips_b"]["mean"] == 0
    assert columns["autoencoder"]["scores"]["lpips_b"]["mean"] > 0
