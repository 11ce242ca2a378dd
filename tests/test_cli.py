"""The command line: its flags, its exit codes, and one sentence for whatever goes wrong."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from command_line import is_one_sentence
from PIL import Image

from diffinv.errors import UsageError
from diffinv.jobs import manifest
from diffinv.storage.names import parse_strength

HEAVY = ("torch", "diffusers", "transformers", "textual")


def home() -> Path:
    return Path(os.environ["DIFFINV_HOME"])


def files(folder: Path) -> set[str]:
    """All files in a folder but the list of what was done."""
    if not folder.exists():
        return set()
    found = (p for p in folder.rglob("*") if p.is_file() and p.name != manifest.FILE)
    return {str(p.relative_to(folder)) for p in found}


def differences() -> list[Path]:
    return sorted(home().rglob("*.safetensors"))


FLAGS = {
    "demo": ["--out"],
    "invert": [
        "--name", "--backbone", "--captioner", "--prompter", "--delta-encoder", "--caption-a",
        "--caption-a-prime", "--preset", "--token-space", "--tokens", "--alpha", "--steps", "--lr",
        "--seed", "--side", "--preview", "--device", "--detach", "--json", "--pair",
    ],
    "apply": [
        "--out", "--with", "--backbone", "--editor", "--prompt-b", "--guidance-scale", "--steps",
        "--seed", "--device", "--detach", "--json",
    ],
    "library list": ["--sort", "--json"],
    "library show": ["--json"],
    "library search": ["--sort", "--limit", "--json"],
    "library rename": ["--json"],
    "library tag": ["--remove", "--json"],
    "library rm": ["--json"],
    "library restore": ["--json"],
    "library trash": ["--json"],
    "library export": ["--replace", "--json"],
    "library import": ["--name", "--json"],
    "library verify": ["--json"],
    "jobs list": ["--json"],
    "jobs show": ["--json"],
    "jobs watch": ["--json"],
    "jobs cancel": ["--json"],
    "jobs retry": ["--json"],
    "jobs resume": ["--json"],
    "jobs move": ["--json"],
    "jobs clear": ["--json"],
    "jobs pause": ["--json"],
    "jobs unpause": ["--json"],
    "plugins list": ["--json"],
    "plugins show": ["--json"],
    "doctor": ["--json"],
    "evaluate": [],
    "evaluate pictures": ["--delta-encoder", "--device", "--json"],
}  # fmt: skip


@pytest.mark.parametrize("command", FLAGS)
def test_every_command_has_help_with_its_flags(diffinv, command):
    done = diffinv(*command.split(), "--help")
    assert (done.code, done.err) == (0, "")
    for flag in FLAGS[command]:
        assert f"{flag} " in done.out or f"{flag}\n" in done.out


def test_top_level_help_lists_every_command(diffinv):
    done = diffinv("--help")
    assert done.code == 0
    assert all(f"\n  {name.split()[0]} " in done.out for name in FLAGS)
    assert "--version" in done.out
    assert "--debug" in done.out


def test_version(diffinv):
    assert diffinv("--version").out.startswith("diffinv, version ")


@pytest.mark.parametrize(
    "args",
    [
        ["--help"],
        ["library", "list", "--json"],
        ["library", "search", "x", "--json"],
        ["library", "verify", "--json"],
        ["jobs", "list", "--json"],
        ["jobs", "clear"],
        ["jobs", "unpause"],
        ["plugins", "list"],
        ["invert", "--help"],
    ],
)
def test_light_commands_import_nothing_heavy(process, args):
    code = (
        "import sys; from diffinv.cli.app import run; code = run(sys.argv[1:]);"
        f"loaded = [m for m in {HEAVY!r} if m in sys.modules];"
        "assert not loaded, loaded; sys.exit(code)"
    )
    done = process(*args, code=code)
    assert (done.code, done.err) == (0, "")


def test_help_imports_neither_rich_nor_pictures(process):
    code = (
        "import sys; from diffinv.cli.app import run; run(['--help']);"
        "sys.exit(any(m in sys.modules for m in ('rich', 'PIL', 'numpy')))"
    )
    assert process(code=code).code == 0


def test_shell_completion_is_on(process, monkeypatch):
    monkeypatch.setenv("_DIFFINV_COMPLETE", "bash_source")
    assert "_DIFFINV_COMPLETE=bash_complete" in process().out


WRONG = [
    ([], 2),
    (["no-such-command"], 2),
    (["invert"], 2),
    (["invert", "a.png"], 2),
    (["invert", "a.png", "b.png", "--no-such-option"], 2),
    (["invert", "a.png", "b.png", "--alpha", "2"], 2),
    (["invert", "a.png", "b.png", "--lr", "nan"], 2),
    (["invert", "a.png", "b.png", "--steps", "0"], 2),
    (["invert", "a.png", "b.png", "--preset", "best"], 2),
    (["invert", "a.png", "b.png", "--backbone", "toy="], 2),
    (["invert", "a.png", "b.png", "--caption-a", "only one"], 2),
    (["apply", "x", "b.png"], 2),
    (["apply", "x:nan", "b.png", "--out", "out"], 2),
    (["plugins", "show", "no-such-plugin"], 2),
    (["library", "show", "no-such-difference"], 2),
    (["library", "rm", "no-such-difference"], 2),
    (["library", "restore"], 2),
    (["library", "import", "no-such-file.safetensors"], 2),
    (["jobs", "show", "7"], 2),
    (["jobs", "watch", "7"], 2),
    (["jobs", "cancel", "7"], 2),
    (["jobs", "resume", "7"], 2),
    (["jobs", "retry", "x"], 2),
]


@pytest.mark.parametrize(("args", "code"), WRONG[1:])
def test_wrong_command_lines_are_one_sentence(diffinv, args, code):
    done = diffinv(*args)
    assert done.code == code
    assert done.out == ""
    assert is_one_sentence(done.err), done.err


def test_no_arguments_show_the_help(diffinv):
    done = diffinv()
    assert done.code == 2
    assert "Usage: diffinv" in done.err


def test_a_crash_is_one_sentence_unless_debug_is_on(process):
    done = process("crash", modules=("crashing",))
    assert done.code == 1
    assert is_one_sentence(done.err)
    assert "RuntimeError: first line second line" in done.err
    assert "--debug" in done.err
    done = process("--debug", "crash", modules=("crashing",))
    assert done.code == 1
    assert "Traceback" in done.err


def test_a_plugin_that_presses_the_key_itself_interrupts_itself_alone(process):
    done = process("plugins", "list", "--json", modules=("presses",))
    (row,) = [row for row in done.json if row["name"] == "presses"]
    assert (done.code, done.err) == (0, "")
    assert row["error"] == "it ended its process (signal 2)"


def test_interrupting_is_quiet(process):
    done = process("interrupt", modules=("crashing",))
    assert (done.code, done.out, done.err.strip()) == (130, "", "")


def test_plugin_commands_are_found(process):
    assert process("hello", modules=("good",)).out == "hello from a plugin\n"
    assert "hello" in process("--help").out


def test_broken_plugins_disturb_neither_commands_nor_json(process):
    modules = ("bad_import", "bad_hook", "exits", "prints", "bad_commands", "good", "hostile")
    done = process("plugins", "list", "--json", modules=modules)
    assert (done.code, done.err) == (0, "")
    status = {row["name"]: row["status"] for row in done.json}
    assert {name for name, state in status.items() if state == "broken"} >= {
        "bad_import", "bad_hook", "exits", "bad_commands",
    }  # fmt: skip
    assert status["good"] == status["prints"] == status["hostile"] == "ok"
    listing = process("plugins", "list")
    assert "a_module_that_does_not_exist" in listing.out
    assert process("invert", "--help").out.startswith("Usage: diffinv invert")


def test_hostile_text_is_printed_as_it_is(process):
    done = process("plugins", "show", "hostile", modules=("hostile",))
    assert done.code == 0
    assert "[bold]not bold[/bold]" in done.out
    assert ":smile: [link=x]" in done.out
    assert "\x1b" not in done.out


def test_plugins_show_finds_parts_by_their_ids(diffinv):
    (row,) = diffinv("plugins", "show", "edit-friendly", "--json").json
    assert row["distribution"] == "diffinv"
    assert {spec["id"] for spec in row["specs"]} == {"ddim", "sdedit", "edit-friendly"}


def test_doctor_reports_everything(diffinv):
    done = diffinv("doctor", "--json")
    report = done.json
    assert report["devices"][0]["id"] == "cpu"
    assert report["versions"]["torch"]
    assert "toy" in {model["id"] for model in report["models"]}
    assert report["paths"]["library"]["writable"] is True
    assert report["problems"] == []
    assert done.code == 0
    assert "Devices" in diffinv("doctor").out


def test_doctor_says_where_the_library_cannot_be_written(diffinv, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("DIFFINV_HOME", str(tmp_path / "file" / "home"))
    done = diffinv("doctor", "--json")
    assert done.code == 1
    assert "cannot be written to" in done.json["problems"][0]


def test_invert_writes_one_complete_file(learned, diffinv):
    assert set(learned) == {"name", "path", "hash_sha256", "seconds", "steps", "warnings"}
    assert (learned["name"], learned["steps"]) == ("blue", 3)
    assert [Path(learned["path"])] == differences()
    (entry,) = diffinv("library", "list", "--json").json
    assert entry["name"] == "blue"
    shown = diffinv("library", "show", "blue", "--json").json
    assert shown["backbone"] == "toy"
    assert "blue" in diffinv("library", "list").out
    Path(learned["path"]).with_stem("damaged").write_bytes(b"nonsense")
    listing = diffinv("library", "list")
    assert listing.code == 0
    assert "damaged.safetensors is not a safetensors file" in listing.out
    assert "toy" in diffinv("library", "show", "blue").out


def test_the_same_seed_gives_the_same_tokens(diffinv, pictures):
    from diffinv.difference import load

    tokens = []
    for name, seed in (("one", 5), ("two", 5), ("three", 6)):
        done = diffinv(
            "invert", pictures / "a.png", pictures / "a2.png", "--name", name, "--steps", 3,
            "--seed", seed, "--backbone", "toy", "--json",
        )  # fmt: skip
        tokens.append(load(Path(done.json["path"])).tokens.tobytes())
    assert tokens[0] == tokens[1] != tokens[2]


def test_names_are_not_taken_twice(learned, diffinv, pictures):
    pair = (pictures / "a.png", pictures / "a2.png", "--backbone", "toy", "--steps", 2)
    for name in ("blue", "x:2", ":2", "\x1b[0m", "x" * 201):
        done = diffinv("invert", *pair, "--name", name)
        assert done.code == 2
        assert is_one_sentence(done.err)
    assert diffinv("invert", *pair, "--json").json["name"] == "a-to-a2"
    assert diffinv("invert", *pair, "--json").json["name"] == "a-to-a2-2"


def test_a_name_made_of_file_names_is_no_strength(diffinv, pictures):
    other = pictures / "a:0.5.png"
    (pictures / "a2.png").rename(other)
    done = diffinv("invert", pictures / "a.png", other, "--backbone", "toy", "--steps", 2, "--json")
    assert done.json["name"] == "a-to-a 0.5"


def test_several_pairs_and_captions_by_hand(diffinv, pictures):
    done = diffinv(
        "invert", pictures / "a.png", pictures / "a2.png",
        "--pair", pictures / "b/two.png", pictures / "b/one.png",
        "--caption-a", "a red thing", "--caption-a-prime", "a blue thing",
        "--caption-a", "a red wall", "--caption-a-prime", "a green wall",
        "--backbone", "toy", "--steps", 2, "--json",
    )  # fmt: skip
    assert done.code == 0, done.err
    shown = diffinv("library", "show", done.json["name"], "--json").out
    assert "a green wall" in shown


def test_two_pictures_of_different_things_are_a_warning(diffinv, tmp_path):
    generator = np.random.default_rng(0)
    for name in ("x", "y"):
        noise = generator.integers(0, 256, (40, 40, 3), np.uint8)
        Image.fromarray(noise).save(tmp_path / f"{name}.png")
    result = diffinv(
        "invert", tmp_path / "x.png", tmp_path / "y.png", "--backbone", "toy", "--steps", 1
    )
    assert result.code == 0
    told = [line for line in result.err.splitlines() if line.startswith("Warning: ")]
    assert sum("hardly alike" in line for line in told) == 1


def test_equal_captions_are_a_warning(diffinv, pictures):
    done = diffinv(
        "invert", pictures / "a.png", pictures / "a2.png", "--caption-a", "a thing",
        "--caption-a-prime", "a thing", "--backbone", "toy", "--steps", 2,
    )  # fmt: skip
    assert done.code == 0
    assert "Warning: " in done.err


def bad_pair(pictures: Path, kind: str) -> tuple[Path, Path]:
    a, bad = pictures / "a.png", pictures / "bad.png"
    if kind == "zero bytes":
        bad.write_bytes(b"")
    elif kind == "truncated":
        bad.write_bytes(a.read_bytes()[:40])
    elif kind == "no picture":
        bad.write_text("text")
    elif kind == "a folder":
        bad.mkdir()
    elif kind == "same pixels":
        Image.open(a).save(bad.with_suffix(".bmp"))
        bad = bad.with_suffix(".bmp")
    return a, bad


@pytest.mark.parametrize(
    "kind", ["missing", "zero bytes", "truncated", "no picture", "a folder", "same pixels"]
)
def test_pairs_that_cannot_be_learned_from(diffinv, pictures, kind):
    done = diffinv("invert", *bad_pair(pictures, kind), "--backbone", "toy")
    assert done.code in (1, 2)
    assert is_one_sentence(done.err), done.err
    assert done.out == ""
    assert differences() == []


def test_what_is_no_device_is_refused_before_a_job_is_made(diffinv, pictures, learned):
    learn = ("invert", pictures / "a.png", pictures / "a2.png", "--backbone", "toy")
    for command in (learn, ("apply", "blue", pictures / "a.png", "--out", pictures / "out")):
        done = diffinv(*command, "--device", "gpu", "--detach")
        assert (done.code, done.out) == (2, "")
        assert "'gpu' is not a device: name cpu, cuda" in done.err
        assert is_one_sentence(done.err)
    assert len(diffinv("jobs", "list", "--json").json) == 1


def test_a_gpu_that_is_not_there_is_warned_of(diffinv, pictures, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    learn = ("invert", pictures / "a.png", pictures / "a2.png", "--backbone", "toy")
    done = diffinv(*learn, "--device", "cuda", "--detach")
    assert done.code == 0
    assert "Warning: The NVIDIA driver knows of no GPU here, so 'cuda:0' may not work" in done.err


def test_no_preview_and_a_side_that_the_model_does_not_take(diffinv, pictures):
    learn = ("invert", pictures / "a.png", pictures / "a2.png", "--backbone", "toy")
    done = diffinv(*learn, "--steps", 2, "--preview", "none", "--name", "bare", "--json")
    assert done.code == 0, done.err
    assert "preview" not in done.err
    shown = diffinv("library", "show", "bare")
    assert "preview 0" in shown.out
    assert "side" not in shown.out
    out = Path(done.json["path"]).parent.parent / "out"
    assert diffinv("library", "export", "bare", "--out", out, "--json").json["preview"] is None
    refused = diffinv(*learn, "--steps", 2, "--side", 64)
    assert refused.code == 2
    assert "pixels alone; leave out --side" in refused.err


def test_a_equal_to_a_prime_is_a_wrong_request(diffinv, pictures):
    done = diffinv("invert", *bad_pair(pictures, "same pixels"), "--backbone", "toy")
    assert done.code == 2
    assert "there is no difference to learn" in done.err


BAD_PARTS = [
    (["--backbone", "toyy"], 2, "did you mean 'toy'"),
    (["--backbone", "toy", "--captioner", "nobody"], 2, "--captioner"),
    (["--backbone", "toy", "--delta-encoder", "nobody"], 2, "--delta-encoder"),
    (["--backbone", "toy", "--delta-encoder", "elsewhere"], 2, "'other'"),
    (["--backbone", "toy2"], 2, "--delta-encoder"),
    (["--backbone", "toy=/no/weights"], 1, "/no/weights does not exist"),
    (["--backbone", "toy", "--device", "warp"], 2, "diffinv doctor"),
    (["--backbone", "toy", "--token-space", "input"], 2, "--token-space"),
    (["--backbone", "toy", "--prompter", "pez"], 2, "--prompter caption"),
    (["--backbone", "toy", "--preview", "some"], 2, "--preview"),
]


@pytest.mark.parametrize(("args", "code", "words"), BAD_PARTS)
def test_parts_that_do_not_fit(diffinv, pictures, args, code, words):
    done = diffinv("invert", pictures / "a.png", pictures / "a2.png", *args)
    assert done.code == code
    assert words in done.err
    assert is_one_sentence(done.err.splitlines()[-1])
    assert done.out == ""
    assert differences() == []


@pytest.mark.parametrize(
    "args",
    [
        ("invert", "a.png", "a2.png", "--seed", 10**30),
        ("invert", "a.png", "a2.png", "--tokens", 10**6),
        ("invert", "a.png", "a2.png", "--steps", 10**9),
        ("apply", "blue", "a.png", "--out", "out", "--seed", 10**30),
        ("apply", "blue", "a.png", "--out", "out", "--steps", 10**6),
    ],
)
def test_numbers_that_are_too_large(diffinv, pictures, monkeypatch, args):
    monkeypatch.chdir(pictures)
    done = diffinv(*args)
    assert done.code == 2
    assert args[-2] in done.err
    assert is_one_sentence(done.err.splitlines()[-1])
    assert done.out == ""


def test_an_unwritable_library(diffinv, pictures, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("DIFFINV_HOME", str(tmp_path / "file"))
    done = diffinv("invert", pictures / "a.png", pictures / "a2.png", "--backbone", "toy")
    assert done.code == 1
    assert is_one_sentence(done.err)


def test_apply_keeps_folders_and_overwrites_nothing(learned, diffinv, pictures, tmp_path):
    out = tmp_path / "out"
    Image.new("RGB", (20, 20), "black").save(pictures / "b" / "one.bmp")
    args = ("apply", "blue:0.5", pictures / "b", "--out", out, "--steps", 2)
    done = diffinv(*args, "--json")
    assert done.code == 0, done.err
    assert {set(o) == {"input", "output", "seconds"} for o in done.json["outputs"]} == {True}
    assert files(out) == {"one.png", "one-2.png", "two.png", "deeper/one.png"}
    before = {name: (out / name).read_bytes() for name in files(out)}
    assert Image.open(out / "two.png").size == (24, 20)
    again = diffinv(*args, "--json")
    assert again.json == done.json
    assert "4 of 4 were done before" in again.err
    other = diffinv(*args, "--seed", 1)
    assert len(other.out.splitlines()) == 4
    assert len(files(out)) == 8
    assert {name: (out / name).read_bytes() for name in before} == before


def test_undo_and_several_differences(learned, diffinv, pictures, tmp_path):
    b = pictures / "b" / "one.png"
    done = diffinv("apply", "blue:-1", b, "--with", "blue", "--out", tmp_path / "x", "--steps", 2)
    assert done.code == 0, done.err
    none = diffinv("apply", "blue:0", b, "--out", tmp_path / "y", "--steps", 2)
    assert none.code == 0
    x, y = (Image.open(tmp_path / name / "one.png").tobytes() for name in ("x", "y"))
    assert x == y


def test_a_difference_is_also_found_by_its_file(learned, diffinv, pictures, tmp_path):
    done = diffinv("apply", learned["path"], pictures / "a.png", "--out", tmp_path, "--steps", 2)
    assert done.code == 0, done.err


def test_one_bad_picture_among_many(learned, diffinv, pictures, tmp_path):
    (pictures / "b" / "bad.png").write_bytes(b"not a picture")
    (pictures / "b" / "two.txt").write_bytes(b"\xff\xfe\x00")
    done = diffinv("apply", "blue", pictures / "b", "--out", tmp_path / "out", "--steps", 2)
    assert done.code == 1
    errors = [line for line in done.err.splitlines() if line.startswith("Error: ")]
    assert len(errors) == 2
    assert "bad.png" in done.err
    assert "two.txt" in done.err
    assert files(tmp_path / "out") == {"one.png", "deeper/one.png"}


def test_all_pictures_bad(learned, diffinv, tmp_path):
    for name in ("x.png", "y.png"):
        (tmp_path / name).write_bytes(b"")
    args = ("--out", tmp_path / "out")
    assert is_one_sentence(diffinv("apply", "blue", tmp_path / "x.png", *args).err)
    done = diffinv("apply", "blue", tmp_path / "x.png", tmp_path / "y.png", *args)
    assert done.code == 1
    assert len(done.err.splitlines()) == 2
    assert not (tmp_path / "out").exists()


def test_a_prompt_that_is_too_long(learned, diffinv, pictures, tmp_path):
    args = ("apply", "blue", pictures / "a.png", "--out", tmp_path / "out")
    done = diffinv(*args, "--prompt-b", "one two three four five six seven eight")
    assert done.code == 2
    assert "token" in done.err
    assert files(tmp_path / "out") == set()


BAD_APPLY = {
    "unknown name": (["bluee"], "bluee"),
    "unknown editor": (["blue", "--editor", "ddimm"], "did you mean 'ddim'"),
    "wrong backbone": (["blue", "--backbone", "toy2"], "'toy'"),
    "unknown backbone": (["blue", "--backbone", "nobody"], "--backbone"),
    "missing file": (["no/such.safetensors"], "such.safetensors"),
    "damaged file": (["DAMAGED"], "damaged.safetensors"),
    "foreign file": (["FOREIGN"], "foreign.safetensors"),
    "unwritable out": (["blue", "--out", "FILE"], "cannot be written to"),
}


@pytest.mark.parametrize("kind", BAD_APPLY)
def test_applications_that_cannot_be(learned, diffinv, pictures, tmp_path, kind):
    args, words = BAD_APPLY[kind]
    made = special_files(Path(learned["path"]), tmp_path)
    out = tmp_path / "out"
    given = [made.get(arg, arg) for arg in args]
    if "--out" not in given:
        given += ["--out", out]
    done = diffinv("apply", given[0], pictures / "a.png", *given[1:])
    assert done.code in (1, 2)
    assert is_one_sentence(done.err), done.err
    assert words in done.err
    assert done.out == ""
    assert not out.exists()


def special_files(good: Path, folder: Path) -> dict[str, Path]:
    import numpy as np
    from safetensors.numpy import save_file

    made = {
        "DAMAGED": folder / "damaged.safetensors",
        "FOREIGN": folder / "foreign.safetensors",
        "FILE": folder / "a-file",
    }
    made["DAMAGED"].write_bytes(good.read_bytes()[:-40])
    save_file({"emb_params": np.zeros((2, 8), dtype=np.float32)}, made["FOREIGN"])
    made["FILE"].write_text("in the way")
    return made


def test_an_empty_folder(learned, diffinv, tmp_path):
    (tmp_path / "empty").mkdir()
    done = diffinv("apply", "blue", tmp_path / "empty", "--out", tmp_path / "out")
    assert done.code == 2
    assert is_one_sentence(done.err)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("blue:", "'' is not a strength; write 'blue:0.5'"),
        ("blue:abc", "'abc' is not a strength; write 'blue:0.5'"),
        ("blue:1,5", "'1,5' is not a strength; write 'blue:0.5'"),
        ("blue:nan", "finite number"),
        ("green:abc", "There is no difference 'green:abc' in the library"),
    ],
)
def test_what_is_no_strength_is_refused(diffinv, pictures, tmp_path, learned, text, words):
    for args in ([text], ["blue", "--with", text]):
        done = diffinv("apply", *args, pictures / "b" / "one.png", "--out", tmp_path / "out")
        assert done.code == 2
        assert words in done.err
        assert is_one_sentence(done.err)


def test_a_name_with_a_colon_wins_over_a_strength(diffinv, pictures, tmp_path, learned):
    from diffinv.storage.store import Library
    from diffinv.storage.strengths import find_strength
    from diffinv.system.paths import library_folder

    diffinv("library", "rename", "blue", "blue:sky")
    diffinv(
        "invert", pictures / "a.png", pictures / "a2.png", "--name", "blue", "--backbone", "toy"
    )
    library = Library(library_folder())
    assert find_strength(library, "blue:sky") == ("blue:sky", 1.0)
    assert find_strength(library, "blue:sky:-1") == ("blue:sky", -1.0)
    assert find_strength(library, "blue:2") == ("blue", 2.0)


def test_an_empty_library(diffinv):
    done = diffinv("library", "list", "--json")
    assert (done.code, done.json) == (0, [])
    done = diffinv("library", "list")
    assert (done.code, done.out) == (0, "")
    assert "diffinv demo" in done.err


def test_a_library_that_has_vanished_is_not_called_empty(diffinv, learned, tmp_path):
    folder = Path(learned["path"]).parent
    folder.rename(tmp_path / "elsewhere")
    done = diffinv("library", "list")
    assert (done.code, done.out) == (0, "")
    assert "is gone, with differences that jobs put there: mount its drive" in done.err
    assert diffinv("library", "list", "--json").json == []
    folder.symlink_to(tmp_path / "unmounted")
    for command in ("list", "search"):
        done = diffinv("library", command, "--json")
        assert (done.code, done.out) == (1, "")
        assert "unmounted'; mount its drive, or make that folder." in done.err
        assert is_one_sentence(done.err)


def test_an_unknown_difference(diffinv):
    done = diffinv("library", "show", "nothing")
    assert done.code in (1, 2)
    assert is_one_sentence(done.err)
    assert "learn one with 'diffinv invert'" in done.err


def test_hostile_captions_are_plain_text(diffinv, pictures):
    text = "\x1b[31mred\x1b[0m [bold]thing[/bold]"
    done = diffinv(
        "invert", pictures / "a.png", pictures / "a2.png", "--caption-a", text,
        "--caption-a-prime", "a thing", "--backbone", "toy", "--steps", 2, "--name", "h",
    )  # fmt: skip
    assert done.code == 0, done.err
    for args in (["library", "show", "h"], ["library", "list"]):
        shown = diffinv(*args)
        assert shown.code == 0
        assert "\x1b" not in shown.out
    assert "[bold]thing[/bold]" in diffinv("library", "show", "h").out


@pytest.mark.parametrize(
    ("text", "parsed"),
    [
        ("n", ("n", 1.0)),
        ("n:-1", ("n", -1.0)),
        ("n:0.5", ("n", 0.5)),
        ("a:b", ("a:b", 1.0)),
        ("a:b:2", ("a:b", 2.0)),
    ],
)
def test_strengths(text, parsed):
    assert parse_strength(text) == parsed


@pytest.mark.parametrize("text", ["n:nan", "n:inf", ":1"])
def test_impossible_strengths(text):
    with pytest.raises(UsageError, match="STRENGTH"):
        parse_strength(text)


def test_completion_knows_the_commands_and_loads_no_model():
    code = (
        "import sys; from diffinv.cli.app import run\n"
        "try: run([])\n"
        "finally: assert 'torch' not in sys.modules"
    )
    words = {"COMP_WORDS": "diffinv li", "COMP_CWORD": "1", "_DIFFINV_COMPLETE": "bash_complete"}
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **words},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == "plain,library\n", done.stderr
