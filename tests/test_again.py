"""Several results of a picture, each named after its seed, and a result made once more."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import diffinv
from diffinv.cli.app import run
from diffinv.errors import DiffinvError, UsageError
from diffinv.jobs.again import provenance_of, request_again
from diffinv.jobs.planning import plan_application
from diffinv.jobs.requests import ApplyRequest
from diffinv.jobs.tasks import run_application
from diffinv.method.settings import MAX_SEED, ApplicationSettings
from diffinv_diorama.render import render
from diffinv_diorama.world import analogies

EXAMPLE = Path(__file__).parent.parent / "plugins/diffinv-diorama/diffinv_diorama/example"
FAST = ApplicationSettings(steps=2, seed=5, reword=False)
REWORDING = replace(FAST, reword=True)


@pytest.fixture(scope="module")
def difference():
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HF_HUB_OFFLINE", "1")
        model = diffinv.load("diorama", device="cpu")
        pair = EXAMPLE / "a.png", EXAMPLE / "a_prime.png"
        return model.invert(*pair, steps=3, preview=0, name="d", progress=False)


@pytest.fixture
def request_(difference, tmp_path) -> ApplyRequest:
    diffinv.library().add(difference)
    folder = tmp_path / "trip"
    (folder / "day one").mkdir(parents=True)
    for i, name in enumerate(("beach.jpg", "day one/tent.png", "hut.png")):
        render(analogies(3, 0)[i].b, i, 150, 100).save(folder / name)
    out = tmp_path / "winter"
    return ApplyRequest((("d", 2.0),), (folder,), out, settings=FAST, device="cpu", batch=2)


def pixels(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image)


def test_results_are_named_after_their_seeds(request_):
    report = run_application(replace(request_, results=2))
    assert not report.failures
    names = sorted(str(o.output.relative_to(request_.out)) for o in report.outputs)
    assert names == [
        *(f"beach-seed{seed}.jpg" for seed in (5, 6)),
        *(str(Path("day one") / f"tent-seed{seed}.png") for seed in (5, 6)),
        *(f"hut-seed{seed}.png" for seed in (5, 6)),
    ]
    for output in report.outputs:
        assert f"seed{provenance_of(output.output)['seed']}" in output.output.name
    alone = replace(FAST, seed=6)
    other = run_application(replace(request_, settings=alone, out=request_.out / "alone"))
    made = {o.input: o.output for o in report.outputs if "seed6" in o.output.name}
    for output in other.outputs:
        assert np.array_equal(pixels(output.output), pixels(made[output.input]))


def test_more_results_leave_those_that_are_there(request_):
    first = run_application(request_)
    before = {o.output: o.output.read_bytes() for o in first.outputs}
    plan = plan_application(replace(request_, results=3))
    assert [o.output for o in plan.done] == list(before)
    assert len(plan.targets) == 6
    report = run_application(replace(request_, results=3))
    assert (len(report.outputs), report.skipped) == (9, 3)
    assert {path: path.read_bytes() for path in before} == before
    assert not plan_application(replace(request_, results=3)).targets


def test_names_of_seeds_meet_no_other_picture(request_):
    (folder,) = request_.images
    (folder / "hut-seed5.png").write_bytes((folder / "hut.png").read_bytes())
    plan = plan_application(replace(request_, results=2, replace=True))
    files = [output for _, output in plan.targets]
    assert len(files) == len(set(files)) == 8


@pytest.mark.parametrize(("results", "seed"), [(0, 0), (101, 0), (2, MAX_SEED)])
def test_too_many_results_are_refused(request_, results, seed):
    settings = replace(FAST, seed=seed)
    with pytest.raises(UsageError, match=r"--results|--seed"):
        plan_application(replace(request_, results=results, settings=settings))


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"size": "120", "format": "png"},
        {"settings": replace(FAST, mask=False, negative_prompt="a tree", guidance_scale=3.5)},
        {"format": "webp", "quality": 80, "strip": True, "results": 2},
    ],
)
def test_the_same_once_more_is_the_same(request_, change):
    report = run_application(replace(request_, **change))
    assert not report.failures
    for done in report.outputs[:2]:
        asked = replace(request_again(done.output, (), None, None), device="cpu")
        assert asked.images == (done.input,)
        (made,) = run_application(asked).outputs
        assert made.output.parent == done.output.parent / "again"
        assert made.output.suffix == done.output.suffix
        assert np.array_equal(pixels(made.output), pixels(done.output))
        assert provenance_of(made.output) == provenance_of(done.output)


def test_other_pictures_in_the_same_way(request_, tmp_path, capsys):
    result = run_application(request_).outputs[0].output
    other = tmp_path / "other.png"
    render(analogies(5, 0)[4].b, 4, 96, 96).save(other)
    out = tmp_path / "out"
    assert run(["again", str(result), str(other), "--out", str(out), "--json"]) == 0
    (made,) = json.loads(capsys.readouterr().out)["outputs"]
    said, first = provenance_of(Path(made["output"])), provenance_of(result)
    for key in ("difference", "seed", "steps", "editor", "guidance_scale", "size"):
        assert said[key] == first[key]
    assert said["source"]["name"] == "other.png"
    assert said["prompt"] != first["prompt"]


def test_a_mask_is_asked_for(request_, tmp_path):
    mask = tmp_path / "mask.png"
    Image.new("L", (150, 100), 255).save(mask)
    result = run_application(replace(request_, mask=mask)).outputs[0].output
    assert provenance_of(result)["mask_file"]["name"] == "mask.png"
    with pytest.raises(UsageError, match="mask 'mask.png'; give it with --mask"):
        request_again(result, (), None, None)
    (made,) = run_application(request_again(result, (), None, mask)).outputs
    assert np.array_equal(pixels(made.output), pixels(result))


def test_what_is_missing_is_named(request_):
    result = run_application(request_).outputs[0].output
    picture = request_.images[0] / "beach.jpg"
    picture.write_bytes(picture.read_bytes() + b" ")
    with pytest.raises(DiffinvError, match="in no folder nearby as it was then; name the picture"):
        request_again(result, (), None, None)
    diffinv.library().find("d").unlink()
    with pytest.raises(DiffinvError, match=r"difference 'd' \(.*is not in the library; import"):
        request_again(result, (picture,), None, None)


def test_damaged_words_are_refused(request_, tmp_path):
    from PIL.PngImagePlugin import PngInfo

    for number, text in enumerate(
        ("{}", '{"source": 3}', '{"difference": [3], "source": {}}', '{"size": [1]}')
    ):
        info, path = PngInfo(), tmp_path / f"{number}.png"
        info.add_itxt("diffinv", text)
        Image.new("RGB", (32, 32)).save(path, pnginfo=info)
        with pytest.raises(DiffinvError, match="is not whole"):
            request_again(path, (), None, None)


def test_a_damaged_mask_is_refused(request_, tmp_path):
    from PIL.PngImagePlugin import PngInfo

    said = provenance_of(run_application(request_).outputs[0].output)
    for number, mask in enumerate((3, ["a"], {"sha256": "0"})):
        info, path = PngInfo(), tmp_path / f"{number}.png"
        info.add_itxt("diffinv", json.dumps(said | {"mask_file": mask}))
        Image.new("RGB", (32, 32)).save(path, pnginfo=info)
        with pytest.raises(DiffinvError, match="is not whole"):
            request_again(path, (), None, None)


def test_rewording_is_said_and_done_again(request_, tmp_path):
    (request_.images[0] / "hut.png").unlink()
    first = run_application(replace(request_, settings=REWORDING)).outputs[0].output
    said = provenance_of(first)
    assert said["reword"]
    assert said["reworded"] != said["prompt"]
    assert 0 < said["shares"][0] <= 1
    again = replace(request_again(first, (), None, None), device="cpu")
    (made,) = run_application(again).outputs
    assert np.array_equal(pixels(made.output), pixels(first))
    off = replace(request_, out=tmp_path / "off")
    plain = provenance_of(run_application(off).outputs[0].output)
    assert (plain["reword"], plain["reworded"], plain["shares"]) == (False, None, None)
    assert request_again(tmp_path / "off" / first.name, (), None, None).settings.reword is False


def test_an_encoder_of_another_space_leaves_words_alone(request_, monkeypatch):
    monkeypatch.setattr("diffinv_diorama.clip.DioramaClip.space", "elsewhere")
    warnings: list[str] = []
    wordy = replace(request_, settings=REWORDING)
    report = run_application(wordy, lambda event: warnings.append(event.warning or ""))
    assert sum("its weights here are of another space" in text for text in warnings) == 1
    assert provenance_of(report.outputs[0].output)["reworded"] is None


def test_words_are_left_alone_on_request(request_, tmp_path):
    b, out = tmp_path / "trip" / "hut.png", tmp_path / "by hand"
    assert run(["apply", "d", str(b), "--out", str(out), "--no-reword", "--steps", "2"]) == 0
    result = out / "hut.png"
    assert provenance_of(result)["reword"] is False


def test_without_the_encoder_or_memory_for_it_words_stay(request_, monkeypatch):
    import torch

    from diffinv.running.models import Models

    def full(self, part, device):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(Models, "vocabulary", full)
    warnings: list[str] = []
    wordy = replace(request_, settings=REWORDING)
    report = run_application(wordy, lambda event: warnings.append(event.warning or ""))
    assert not report.failures
    said = [text for text in warnings if "words of prompts stay as they are" in text]
    assert len(said) == 1
    assert "cpu has no memory left for it" in said[0]
    assert provenance_of(report.outputs[0].output)["reworded"] is None


def test_results_from_before_rewording_are_made_without(request_, tmp_path):
    from PIL.PngImagePlugin import PngInfo

    wordy = replace(request_, settings=REWORDING)
    said = provenance_of(run_application(wordy).outputs[0].output)
    for key in ("reword", "reworded", "shares"):
        del said[key]
    info, path = PngInfo(), request_.out / "old.png"
    info.add_itxt("diffinv", json.dumps(said))
    Image.new("RGB", (32, 32)).save(path, pnginfo=info)
    assert request_again(path, (), None, None).settings.reword is False
