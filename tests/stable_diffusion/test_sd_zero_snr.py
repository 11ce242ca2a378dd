"""Models that predict velocity down to a last level where nothing is left of the picture."""

from __future__ import annotations

import json

import pytest
import torch
from diffusers import DDIMScheduler
from ldm import write_single_file
from safetensors.torch import load_file, save_file
from tiny_sd import write_configs

from diffinv.method.application import denoise
from diffinv.method.editors import Ddim, EditFriendly, SDEdit
from diffinv.method.sampling import add_noise, training_target
from diffinv_stable_diffusion import sources
from diffinv_stable_diffusion.backbone import load


@pytest.fixture
def tagged(checkpoints, tmp_path, monkeypatch):
    """``tagged(family, metadata, *keys)``: a single file with empty tensors and metadata."""

    def write(family, metadata=None, *keys):
        write_configs(tmp_path / "configs", family)
        monkeypatch.setattr(sources, "CONFIGS", tmp_path / "configs")
        path = write_single_file(checkpoints(family), tmp_path / "model.safetensors", family)
        save_file(load_file(path) | {key: torch.ones(0) for key in keys}, path, metadata)
        return load(family, str(path), "cpu")

    return write


def zero_terminal(backbone):
    return float(backbone.schedule.alphas_cumprod[-1]) == 0


@pytest.mark.parametrize("family", ["sd15", "sdxl"])
def test_empty_tensors_say_velocity_and_zero_terminal_snr(tagged, family):
    backbone = tagged(family, None, "v_pred", "ztsnr")
    assert backbone.prediction_type == "v_prediction"
    assert zero_terminal(backbone)
    settings = {**backbone.scheduler.config, "rescale_betas_zero_snr": True}
    wanted = DDIMScheduler.from_config(settings).alphas_cumprod
    assert torch.equal(backbone.schedule.alphas_cumprod, wanted)


@pytest.mark.parametrize(
    ("metadata", "keys", "prediction", "zero"),
    [
        ({"modelspec.predict_key": "v"}, (), "v_prediction", False),
        ({"modelspec.predict_key": "v"}, ("ztsnr",), "v_prediction", True),
        ({"modelspec.prediction_type": "v"}, (), "v_prediction", False),
        ({"modelspec.predict_key": "epsilon"}, (), "epsilon", False),
        ({"modelspec.predict_key": "epsilon"}, ("v_pred",), "v_prediction", False),
        ({"modelspec.predict_key": "what"}, ("ztsnr",), "epsilon", False),
    ],
)
def test_metadata_say_what_is_predicted(tagged, metadata, keys, prediction, zero):
    backbone = tagged("sdxl", metadata, *keys)
    assert (backbone.prediction_type, zero_terminal(backbone)) == (prediction, zero)


@pytest.fixture
def trailing(own_copy):
    """``trailing(prediction)``: an SDXL whose sampling begins where nothing is left of B."""

    def make(prediction):
        folder = own_copy("sdxl")
        settings = folder / "scheduler/scheduler_config.json"
        changes = {
            "prediction_type": prediction,
            "rescale_betas_zero_snr": True,
            "timestep_spacing": "trailing",
        }
        settings.write_text(json.dumps(json.loads(settings.read_text()) | changes))
        return load("sdxl", str(folder), "cpu")

    return make


@pytest.mark.parametrize(("editor", "error"), [(Ddim(), 1e-3), (EditFriendly(), 1e-4)])
def test_editors_come_back_from_a_level_without_the_picture(trailing, editor, error):
    backbone = trailing("v_prediction")
    steps = backbone.timesteps(10)
    assert steps[0] == 999
    assert zero_terminal(backbone)
    prompts = backbone.encode_prompts(["the red cat"])
    empty = backbone.encode_prompts([""])
    latents = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(3))
    path = editor.trajectory(backbone, latents, prompts, empty, 10, 1.0, 0)
    back = denoise(backbone, path, prompts, empty, 1.0, None)
    assert float((back - latents).abs().max()) < error


def test_targets_and_edits_are_finite_at_the_last_level(trailing):
    backbone = trailing("v_prediction")
    latents = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(3))
    noise = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(4))
    last = backbone.schedule.at(torch.tensor([999]))
    assert torch.equal(add_noise(latents, noise, last), noise)
    assert torch.equal(training_target(latents, noise, last, "v_prediction"), -latents)
    source, target = (backbone.encode_prompts([text]) for text in ("the red cat", "a blue dog"))
    empty = backbone.encode_prompts([""])
    for editor in (Ddim(), EditFriendly(), SDEdit(1.0)):
        path = editor.trajectory(backbone, latents, source, empty, 5, 2.0, 0)
        assert denoise(backbone, path, target, empty, 2.0, None).isfinite().all()


def test_models_that_predict_noise_leave_that_level_out(trailing):
    """With noise alone the picture does not follow where its share is zero."""
    backbone = trailing("epsilon")
    assert not zero_terminal(backbone)
    assert len(backbone.schedule.alphas_cumprod) == 999
    assert backbone.timesteps(10)[0] == 998
    latents = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(3))
    source, empty = backbone.encode_prompts(["the red cat"]), backbone.encode_prompts([""])
    for editor in (Ddim(), EditFriendly()):
        path = editor.trajectory(backbone, latents, source, empty, 5, 1.0, 0)
        assert denoise(backbone, path, source, empty, 1.0, None).isfinite().all()
