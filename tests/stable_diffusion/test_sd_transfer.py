"""Export to other programs, read back with diffusers, and import."""

from __future__ import annotations

import json

import numpy as np
import pytest
import safetensors.numpy
from PIL import Image

from diffinv.cli import app
from diffinv.difference import Difference, DifferenceInfo
from diffinv.errors import DiffinvError, UsageError
from diffinv.pictures.writing import to_webp
from diffinv.storage import exporting
from diffinv.storage.exporting import export, token_name
from diffinv.storage.importing import import_file
from diffinv.storage.store import Library
from diffinv.system.paths import library_folder

WIDTHS = {"sd15": 768, "sd21-base": 1024, "sd21": 1024, "sdxl": 2048}


def make(backbone="sd21", space="input", name="To Winter!", count=3, width=None) -> Difference:
    generator = np.random.default_rng(0)
    width = width or WIDTHS.get(backbone, 160)
    return Difference(
        DifferenceInfo(name=name, backbone=backbone, backbone_weights="f" * 64, token_space=space),
        generator.normal(size=(count, width)).astype(np.float32),
        np.ones(8, np.float32),
        np.zeros((4, 3), np.float32),
        {"preview": to_webp(Image.new("RGB", (32, 32), "red"))},
    )


@pytest.fixture
def library() -> Library:
    return Library(library_folder())


@pytest.mark.parametrize("format", ["textual-inversion", "a1111", "comfyui"])
@pytest.mark.parametrize("backbone", ["sd15", "sd21-base", "sd21"])
def test_keys_of_one_encoder(library, tmp_path, backbone, format):
    difference = make(backbone)
    library.add(difference)
    done = export(library, "To Winter!", format, tmp_path)
    assert done.file == tmp_path / "to-winter.safetensors"
    assert done.token == "to-winter"
    assert done.preview.name == ("to-winter.preview.png" if format == "a1111" else "to-winter.png")
    assert Image.open(done.preview).convert("RGB").getpixel((5, 5))[0] > 200
    tensors = safetensors.numpy.load_file(done.file)
    assert list(tensors) == ["emb_params"]
    assert tensors["emb_params"].dtype == np.float32
    assert (tensors["emb_params"] == difference.tokens).all()
    assert done.negative == tmp_path / "to-winter-negative.safetensors"
    negative = safetensors.numpy.load_file(done.negative)
    assert (negative["emb_params"] == -difference.tokens).all()


def test_keys_of_two_encoders(library, tmp_path):
    difference = make("sdxl")
    library.add(difference)
    done = export(library, "To Winter!", "comfyui", tmp_path / "Snow.safetensors")
    assert (done.file.name, done.token) == ("Snow.safetensors", "Snow")
    tensors = safetensors.numpy.load_file(done.file)
    assert {k: v.shape for k, v in tensors.items()} == {"clip_l": (3, 768), "clip_g": (3, 1280)}
    joined = np.concatenate([tensors["clip_l"], tensors["clip_g"]], axis=1)
    assert (joined == difference.tokens).all()


class Loader:
    """diffusers' loader over text encoders of the real widths, one layer deep."""

    def __init__(self, widths):
        from diffusers.loaders import TextualInversionLoaderMixin
        from tiny_sd import make_tokenizer
        from transformers import CLIPTextConfig, CLIPTextModel

        class Pipe(TextualInversionLoaderMixin):
            hf_device_map = None
            components = {}  # noqa: RUF012

        self.pipe = Pipe()
        self.parts = []
        for width in widths:
            config = CLIPTextConfig(
                vocab_size=527, hidden_size=width, intermediate_size=8, num_hidden_layers=1,
                num_attention_heads=4,
            )  # fmt: skip
            self.parts.append((CLIPTextModel(config), make_tokenizer("!")))

    def load(self, what, token, part=0):
        encoder, tokenizer = self.parts[part]
        self.pipe.load_textual_inversion(
            what, token=token, text_encoder=encoder, tokenizer=tokenizer, local_files_only=True
        )
        prompt = self.pipe.maybe_convert_prompt(f"a cat {token}", tokenizer)
        ids = tokenizer(prompt, add_special_tokens=False).input_ids
        return encoder.get_input_embeddings().weight[ids].detach().numpy()


@pytest.mark.parametrize("count", [1, 3])
def test_diffusers_loads_the_file(library, tmp_path, count):
    difference = make("sd21", count=count)
    library.add(difference)
    done = export(library, "To Winter!", "textual-inversion", tmp_path)
    loader = Loader([1024])
    rows = loader.load(str(done.file), f"<{done.token}>")
    assert (rows[-count:] == difference.tokens).all()
    rows = loader.load(str(done.negative), f"<{done.token}-negative>")
    assert (rows[-count:] == -difference.tokens).all()


def test_diffusers_loads_both_parts_of_sdxl(library, tmp_path):
    from safetensors.torch import load_file

    difference = make("sdxl", count=2)
    library.add(difference)
    done = export(library, "To Winter!", "textual-inversion", tmp_path)
    state, loader = load_file(done.file), Loader([768, 1280])
    first = loader.load({"clip_l": state["clip_l"]}, f"<{done.token}>", 0)
    second = loader.load({"clip_g": state["clip_g"]}, f"<{done.token}>", 1)
    assert (np.concatenate([first, second], axis=1)[-2:] == difference.tokens).all()


@pytest.mark.parametrize("space", ["additive", "output"])
def test_a_space_that_cannot_be_exported(library, tmp_path, space):
    library.add(make(space=space))
    with pytest.raises(UsageError) as error:
        export(library, "To Winter!", "a1111", tmp_path)
    assert str(error.value) == (
        f"The difference 'To Winter!' has tokens in the {space} space, which only diffinv "
        "applies; learn it again with 'diffinv invert --token-space input' to export it for "
        "other programs."
    )
    assert not list(tmp_path.iterdir())
    assert export(library, "To Winter!", "safetensors", tmp_path).file.exists()


def test_backbones_that_other_programs_do_not_have(library, tmp_path):
    library.add(make("diorama", name="one"))
    library.add(make("sd21", name="two", width=64))
    with pytest.raises(UsageError, match="No other program has the backbone 'diorama'"):
        export(library, "one", "comfyui", tmp_path)
    with pytest.raises(UsageError, match="are 64 wide and other programs expect 1024"):
        export(library, "two", "comfyui", tmp_path)


def test_files_that_exist_are_kept(library, tmp_path):
    library.add(make())
    kept = tmp_path / "to-winter-negative.safetensors"
    kept.write_bytes(b"mine")
    with pytest.raises(UsageError, match=r"to-winter-negative\.safetensors exists already"):
        export(library, "To Winter!", "a1111", tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == [kept.name]
    export(library, "To Winter!", "a1111", tmp_path, replace=True)
    assert kept.read_bytes() != b"mine"
    with pytest.raises(UsageError, match="is not a folder; a file ends in"):
        export(library, "To Winter!", "a1111", tmp_path / "x.pt")


def test_token_names_are_lower_case_words():
    assert token_name("Day → Night (v2)") == "day-night-v2"
    assert token_name("秋") == "difference"


def test_its_own_file_comes_back_whole(library, tmp_path):
    entry = library.add(make(space="additive"))
    done = export(library, "To Winter!", "safetensors", tmp_path / "copy.safetensors")
    assert (done.negative, done.token) == (None, None)
    assert done.file.read_bytes() == entry.path.read_bytes()
    again = import_file(library, done.file, "Second")
    assert again.name == "Second"
    loaded = library.load("Second")
    assert (loaded.tokens == make().tokens).all()
    assert loaded.info.backbone_weights == "f" * 64


@pytest.mark.parametrize("backbone", ["sd15", "sdxl", "sd21"])
def test_an_export_is_imported_as_a_difference(library, tmp_path, backbone):
    difference = make(backbone)
    library.add(difference)
    done = export(library, "To Winter!", "a1111", tmp_path)
    entry = import_file(library, done.file, "Back", backbone if backbone == "sd21" else None)
    loaded = library.load(entry.path)
    assert (loaded.tokens == difference.tokens).all()
    assert (loaded.info.backbone, loaded.info.token_space) == (backbone, "input")
    loaded.check_backbone(backbone, "whatever weights")
    with pytest.raises(DiffinvError):
        loaded.check_backbone("another", "whatever weights")


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
def test_other_programs_files_in_any_precision(library, tmp_path, dtype):
    import torch
    from safetensors.torch import save_file

    vector = torch.linspace(-1, 1, 768).to(getattr(torch, dtype))
    save_file({"<my-token>": vector}, tmp_path / "style.safetensors")
    entry = import_file(library, tmp_path / "style.safetensors")
    loaded = library.load(entry.path)
    assert (entry.name, loaded.info.backbone) == ("style", "sd15")
    assert loaded.tokens.shape == (1, 768)
    assert (loaded.tokens[0] == vector.float().numpy()).all()


def test_what_cannot_be_imported(library, tmp_path):
    def refusal(name, data=None, backbone=None):
        path = tmp_path / name
        if isinstance(data, dict):
            safetensors.numpy.save_file(data, path)
        elif data is not None:
            path.write_bytes(data)
        with pytest.raises(DiffinvError) as error:
            import_file(library, path, backbone=backbone)
        assert str(error.value).endswith(".")
        return str(error.value)

    def ones(*shape):
        return np.ones(shape, np.float32)

    assert "is not a file; check the path." in refusal("nothing.safetensors")
    assert "is a pickle, which could run any code" in refusal("old.pt", b"\x80\x02")
    assert "neither a difference nor" in refusal("a.safetensors", b"not at all")
    assert "import --backbone' and one of sd21-base, sd21." in refusal(
        "b.safetensors", {"emb_params": ones(2, 1024)}
    )
    assert "(emb_params 7 wide) that do not fit any backbone" in refusal(
        "c.safetensors", {"emb_params": ones(2, 7)}
    )
    assert "that do not fit the backbone 'sdxl'" in refusal(
        "d.safetensors", {"emb_params": ones(2, 768)}, "sdxl"
    )
    assert "different numbers of tokens" in refusal(
        "e.safetensors", {"clip_l": ones(2, 768), "clip_g": ones(3, 1280)}
    )
    assert "not finite" in refusal("g.safetensors", {"x": ones(1, 768) * np.inf})
    damaged = library.add(make()).path.read_bytes()
    assert "is damaged" in refusal("h.safetensors", damaged[:-3] + b"abc")
    assert [entry.name for entry in library.entries()] == ["To Winter!"]


@pytest.mark.parametrize(
    ("tensors", "looks"),
    [
        ({"lora": (768, 768)}, "'lora' [768, 768] F32"),
        ({"emb_params": (76, 768)}, "'emb_params' [76, 768] F32"),
        ({"emb_params": (0, 768)}, "'emb_params' [0, 768] F32"),
        ({"x": (4, 0)}, "'x' [4, 0] F32"),
        ({"x": (1, 2, 768)}, "'x' [1, 2, 768] F32"),
        ({"x": ()}, "'x' [] F32"),
        ({"a.lora_down.weight": (4, 768)}, "'a.lora_down.weight' [4, 768] F32"),
        ({"x": ((4, 768), "int64")}, "'x' [4, 768] I64"),
        ({"x": ((4, 768), "bool")}, "'x' [4, 768] BOOL"),
        ({"x": ((4, 768), "float8_e4m3fn")}, "'x' [4, 768] F8_E4M3"),
        ({"clip_l": (76, 768), "clip_g": (76, 1280)}, "[76, 1280] F32, 'clip_l' [76, 768] F32"),
        ({f"unet.{i}.weight": (4, 4) for i in range(9)}, "'unet.2.weight' [4, 4] F32, 6 more"),
        ({}, "no tensors"),
    ],
)
def test_other_tensors_are_no_textual_inversion(library, tmp_path, tensors, looks):
    import torch
    from safetensors.torch import save_file

    file = tmp_path / "other.safetensors"
    shapes = {k: v if v and isinstance(v[0], tuple) else (v, "float32") for k, v in tensors.items()}
    save_file({k: torch.ones(s).to(getattr(torch, d)) for k, (s, d) in shapes.items()}, file)
    with pytest.raises(DiffinvError) as error:
        import_file(library, file)
    assert looks in str(error.value)
    assert str(error.value).endswith(
        "which no textual inversion has: that is 1 to 75 rows of floating-point numbers, one "
        "tensor 768 or 1024 wide, or 'clip_l' 768 wide with 'clip_g' 1280 wide; choose another "
        "file."
    )
    assert not library.folder.exists()


@pytest.mark.parametrize("rows", [1, 75])
@pytest.mark.parametrize("keys", [{"emb_params": 768}, {"<x>": 768}, {"clip_l": 768}])
def test_the_forms_of_a_textual_inversion(library, tmp_path, keys, rows):
    generator = np.random.default_rng(0)
    made = {k: generator.normal(size=(rows, w)).astype(np.float32) for k, w in keys.items()}
    safetensors.numpy.save_file(made, tmp_path / "x.safetensors")
    loaded = library.load(import_file(library, tmp_path / "x.safetensors").path)
    assert (loaded.tokens == np.concatenate(list(made.values()), axis=1)).all()


@pytest.mark.filterwarnings("error")
def test_numbers_too_large_for_float32_are_not_finite(library, tmp_path):
    safetensors.numpy.save_file({"x": np.full((1, 768), 1e300)}, tmp_path / "x.safetensors")
    with pytest.raises(DiffinvError, match="not finite"):
        import_file(library, tmp_path / "x.safetensors")


def test_a_textual_inversion_is_imported_once(library, tmp_path):
    file = tmp_path / "style.safetensors"
    safetensors.numpy.save_file({"x": np.ones((1, 768), np.float32)}, file)
    import_file(library, file)
    with pytest.raises(UsageError, match="already, as 'style'"):
        import_file(library, file)
    assert import_file(library, file, "second").name == "second"


@pytest.mark.parametrize(("stem", "told"), [("Winter:0.5", "reads like NAME:STRENGTH")])
def test_a_textual_inversion_with_a_name_that_cannot_be(library, tmp_path, stem, told):
    file = tmp_path / f"{stem}.safetensors"
    safetensors.numpy.save_file({"x": np.ones((1, 768), np.float32)}, file)
    with pytest.raises(UsageError) as error:
        import_file(library, file)
    assert str(error.value) == (
        f"{file} calls itself {stem!r}, which {told}; import it by itself with "
        "'diffinv library import --name'."
    )
    assert import_file(library, file, "Winter").name == "Winter"


@pytest.mark.parametrize(
    ("format", "token"),
    [("safetensors", None), ("textual-inversion", "foo"), ("a1111", "foo"), ("comfyui", "Foo")],
)
def test_the_name_of_a_file_is_as_it_was_given(library, tmp_path, format, token):
    library.add(make())
    done = export(library, "To Winter!", format, str(tmp_path / "New" / "Foo.safetensors"))
    assert done.file == tmp_path / "New" / "Foo.safetensors"
    assert done.token == token
    names = {path.name for path in done.file.parent.iterdir()}
    assert names == {p.name for p in (done.file, done.negative, done.preview) if p}


def test_comfyui_cannot_name_a_file_with_blanks(library, tmp_path):
    library.add(make())
    with pytest.raises(UsageError, match="cannot name .*My Style"):
        export(library, "To Winter!", "comfyui", tmp_path / "My Style.safetensors")
    assert export(library, "To Winter!", "a1111", tmp_path / "My Style.safetensors").file.exists()


@pytest.mark.parametrize("out", ["new/deep", "new/v1.0/"])
def test_an_export_that_fails_makes_no_folder(library, tmp_path, monkeypatch, out):
    monkeypatch.chdir(tmp_path)
    library.add(make(space="additive", name="one"))
    assert app.run(["library", "export", "one", "--format", "a1111", "--out", out]) == 2
    assert app.run(["library", "export", "none", "--out", out]) == 2
    assert not list(tmp_path.iterdir())
    assert app.run(["library", "export", "one", "--out", out]) == 0
    assert {p.name for p in (tmp_path / out).iterdir()} == {"one.safetensors", "one.png"}


def test_an_export_that_stops_in_between_leaves_nothing(library, tmp_path, monkeypatch):
    library.add(make())
    real = exporting.atomic_create

    def stop_at_the_preview(path, data):
        if path.suffix == ".png":
            raise KeyboardInterrupt
        return real(path, data)

    monkeypatch.setattr(exporting, "atomic_create", stop_at_the_preview)
    (tmp_path / "old").mkdir()
    for out in ("new/deep/", "old/"):
        with pytest.raises(KeyboardInterrupt):
            export(library, "To Winter!", "a1111", f"{tmp_path}/{out}")
    assert [p.name for p in tmp_path.rglob("*")] == ["old"]


def test_an_export_on_a_full_disk_leaves_no_folder(library, full_disk):
    folder, fill = full_disk
    library.add(make())
    fill()
    with pytest.raises(DiffinvError, match="No space left"):
        export(library, "To Winter!", "a1111", folder / "new")
    assert [path.name for path in folder.iterdir()] == ["filling"]


@pytest.mark.parametrize("format", ["safetensors", "a1111"])
def test_nothing_is_exported_into_the_library(library, format):
    path = library.add(make(name="to-winter")).path
    before = path.read_bytes()
    with pytest.raises(UsageError, match="in the library itself; choose another --out"):
        export(library, "to-winter", format, library.folder, replace=True)
    assert path.read_bytes() == before
    assert [entry.error for entry in library.entries()] == [None]


def test_the_command_line(library, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    library.add(make("sd15"))
    assert app.run(["library", "export", "To Winter!", "--format", "comfyui", "--json"]) == 0
    done = json.loads(capsys.readouterr().out)
    assert done["file"] == "to-winter.safetensors"
    assert done["token"] == "to-winter"
    assert app.run(["library", "export", "To Winter!", "--format", "comfyui", "--replace"]) == 0
    shown = capsys.readouterr()
    assert shown.out.splitlines() == [
        "to-winter.safetensors", "to-winter-negative.safetensors", "to-winter.png",
    ]  # fmt: skip
    assert "embedding:to-winter" in shown.err
    args = ["library", "import", "to-winter.safetensors", "--name", "Back", "--json"]
    assert app.run(args) == 0
    assert json.loads(capsys.readouterr().out)[0]["backbone"] == "sd15"
    assert app.run(["library", "export", "nobody"]) == 2
    assert capsys.readouterr().err.startswith("Error: There is no difference 'nobody'")
