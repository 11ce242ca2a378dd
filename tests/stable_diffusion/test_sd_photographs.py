"""Photographs of many shapes and formats through a tiny SDXL: each comes back as it was."""

from __future__ import annotations

import json
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
from PIL import Image
from raw_file import write_dng
from test_sd_end_to_end import fitting_encoder
from tiny_sd import write_projection

from diffinv.cli import app
from diffinv.contracts import DeltaEncoderSpec
from diffinv.jobs import launch
from diffinv.jobs.worker import Worker
from diffinv.pictures.extra_formats import register_openers
from diffinv.plugins.loading import registry
from diffinv_diorama.render import render
from diffinv_diorama.world import analogies
from diffinv_stable_diffusion.families import FAMILIES
from diffinv_stable_diffusion.projection import VARIABLE


def photographs(folder: Path) -> Path:
    """One of each kind; none has the shape of another."""
    register_openers()
    folder.mkdir()
    exif = Image.Exif()
    exif[0x0110], exif[0x0112] = "Camera", 6
    sizes = [(120, 90), (90, 161), (300, 100), (64, 64), (97, 83), (40, 310), (8, 9), (130, 70)]
    pictures = [render(analogies(8, 0)[i].b, i, *size) for i, size in enumerate(sizes)]
    pictures[0].save(folder / "turned.JPG", exif=exif.tobytes())
    pictures[1].save(folder / "phone.heic", quality=90)
    pictures[2].save(folder / "wide.webp", lossless=True)
    pictures[3].convert("L").save(folder / "grey.png")
    pictures[4].convert("CMYK").save(folder / "print.tif")
    pictures[5].save(folder / "tall.avif", quality=90)
    pictures[6].save(folder / "tiny.bmp")
    write_dng(folder / "raw.dng", np.asarray(pictures[7]))
    clear = pictures[0].copy()
    clear.putalpha(128)
    clear.save(folder / "clear.png")
    deep = np.asarray(pictures[4]).astype(np.uint16) * 257
    (folder / "deep.png").write_bytes(imagecodecs.png_encode(deep))
    return folder


@pytest.fixture
def learned(monkeypatch, checkpoints, tmp_path, capsys) -> str:
    """``--backbone`` of a tiny SDXL on which a difference called ``blue`` has been learned."""
    spec = DeltaEncoderSpec(
        id="fitting", title="Fitting", factory=f"{fitting_encoder.__module__}:fitting_encoder"
    )
    monkeypatch.setitem(registry().delta_encoders, "fitting", spec)
    monkeypatch.setattr(launch, "start", lambda store, device: Worker(store, device, idle=0).run())
    monkeypatch.setenv(VARIABLE, str(write_projection(tmp_path / "projection.safetensors")))
    where = f"sdxl={checkpoints('sdxl')}"
    for name, colour in {"a": "red", "a2": "blue"}.items():
        Image.new("RGB", (70, 60), colour).save(tmp_path / f"{name}.png")
    learn = [
        "invert",
        str(tmp_path / "a.png"),
        str(tmp_path / "a2.png"),
        "--caption-a",
        "a red cab",
    ]
    learn += ["--caption-a-prime", "blue", "--backbone", where, "--steps", "2", "--name", "blue"]
    learn += ["--delta-encoder", f"fitting={FAMILIES['sdxl'].joint_space}:40", "--device", "cpu"]
    assert app.run(learn) == 0, capsys.readouterr().err
    return where


@pytest.mark.parametrize("detail", ["off", "tiles"])
def test_each_comes_back_in_its_own_size_and_format(learned, tmp_path, capsys, detail):
    folder, out = photographs(tmp_path / "b"), tmp_path / "out"
    apply = ["apply", "blue:0.5", str(folder), "--prompt-b", "a cab", "--steps", "3"]
    apply += ["--out", str(out), "--backbone", learned, "--device", "cpu", "--json"]
    capsys.readouterr()
    assert app.run([*apply, "--detail", detail]) == 0, capsys.readouterr().err
    made = json.loads(capsys.readouterr().out)["outputs"]
    assert len(made) == 10
    for row in made:
        source, output = Path(row["input"]), Path(row["output"])
        kept = source.suffix.lower() in (".jpg", ".webp", ".png", ".tif", ".avif")
        assert output.suffix == (source.suffix if kept else ".png")
        assert app.run(["show", str(output), "--json"]) == 0
        said = json.loads(capsys.readouterr().out)
        assert (said["source"]["name"], said["detail"]) == (source.name, detail)
        width, height = said["model_size"]
        with Image.open(output) as image:
            assert (width - height) * (image.width - image.height) >= 0
            if source.stem == "turned":
                assert (image.size, image.getexif().get(0x0110)) == ((90, 120), "Camera")
            if source.stem == "clear":
                assert image.getchannel("A").getextrema() == (128, 128)
    deep = imagecodecs.png_decode((out / "deep.png").read_bytes())
    assert (deep.dtype, deep.shape) == (np.uint16, (83, 97, 3))
