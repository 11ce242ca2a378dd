"""LoRAs, in kohya's layout and in diffusers', become part of the weights."""

from __future__ import annotations

import pytest
import torch
from lora import ALPHA, RANK, random_lora, save, write_diffusers, write_kohya
from safetensors.torch import load_file

from diffinv.contracts import Addition
from diffinv.errors import DiffinvError, UsageError
from diffinv_stable_diffusion.backbone import load


def models_of(backbone):
    texts = [tower.model for tower in backbone.towers]
    names = ("text_encoder", "text_encoder_2")
    return {"unet": backbone.unet, **dict(zip(names, texts, strict=False))}


def assert_changed(plain, changed, lora, share):
    """Each weight of the LoRA has moved as it says, every other one is as it was."""
    for place, model in models_of(changed).items():
        before = models_of(plain)[place].state_dict()
        after = model.state_dict()
        assert before.keys() == after.keys()
        for name, weight in after.items():
            if (place, name) in lora:
                down, up = lora[place, name]
                wanted = before[name] + share * up @ down
                assert not torch.equal(weight, before[name])
                assert torch.allclose(weight, wanted, atol=1e-5), (place, name)
            else:
                assert torch.equal(weight, before[name]), (place, name)


@pytest.mark.parametrize("layout", ["kohya", "diffusers"])
@pytest.mark.parametrize("family", ["sd15", "sd21", "sdxl"])
def test_a_lora_becomes_part_of_the_weights(checkpoint, family, tmp_path, layout):
    plain = load(family, str(checkpoint), "cpu")
    lora, path = random_lora(plain), tmp_path / "style.safetensors"
    if layout == "kohya":
        write_kohya(lora, path, family)
    else:
        write_diffusers(lora, path)
    changed = load(family, str(checkpoint), "cpu", [Addition("lora", str(path), 0.5)])
    assert_changed(plain, changed, lora, 0.5 * (ALPHA / RANK if layout == "kohya" else 1))
    assert changed.weights_id != plain.weights_id
    assert not any(p.requires_grad for m in models_of(changed).values() for p in m.parameters())
    assert load(family, str(checkpoint), "cpu").weights_id == plain.weights_id


def test_several_loras_add_up(checkpoints, tmp_path):
    folder = str(checkpoints("sd15"))
    plain = load("sd15", folder, "cpu")
    one, two = random_lora(plain, 5), random_lora(plain, 6)
    first = Addition("lora", str(write_kohya(one, tmp_path / "1.safetensors", "sd15")), 0.8)
    second = Addition("lora", str(write_diffusers(two, tmp_path / "2.safetensors")), -0.3)
    both = load("sd15", folder, "cpu", [first, second])
    for (place, name), (down, up) in one.items():
        other_down, other_up = two[place, name]
        change = 0.8 * ALPHA / RANK * up @ down - 0.3 * other_up @ other_down
        weight = models_of(both)[place].state_dict()[name]
        wanted = models_of(plain)[place].state_dict()[name] + change
        assert torch.allclose(weight, wanted, atol=2e-5)
    alone = load("sd15", folder, "cpu", [first])
    assert len({plain.weights_id, both.weights_id, alone.weights_id}) == 3


def error_of(family, folder, path):
    with pytest.raises(DiffinvError) as error:
        load(family, str(folder), "cpu", [Addition("lora", str(path))])
    assert str(error.value).endswith(".")
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize("layout", ["kohya", "diffusers"])
@pytest.mark.parametrize(("made", "asked"), [("sdxl", "sd15"), ("sd15", "sdxl")])
def test_a_lora_of_another_family(checkpoints, tmp_path, made, asked, layout, monkeypatch):
    monkeypatch.setattr("diffinv_stable_diffusion.backbone.load_parts", None)
    lora, path = _header(checkpoints, made), tmp_path / "style.safetensors"
    if layout == "kohya":
        write_kohya(lora, path, made)
    else:
        write_diffusers(lora, path)
    error = error_of(asked, checkpoints(asked), path)
    assert f"--lora {str(path)!r} was made for " in error
    assert f"and does not fit {asked!r}; give one for Stable Diffusion" in error


def _header(checkpoints, family):
    """What LoRAs of a family have, without loading it."""
    widths = {"sd15": 32, "sdxl": 80}
    name = "down_blocks.1.attentions.0.transformer_blocks.0.attn2.to_k.weight"
    return {("unet", name): (torch.ones(2, widths[family]), torch.ones(16, 2))}


def test_families_are_named_by_the_width_of_their_vectors(checkpoints, tmp_path):
    key = "unet.down_blocks.1.attentions.0.transformer_blocks.0.attn2.to_k.lora_A.weight"
    path = save({key: torch.ones(2, 2048)}, tmp_path / "style.safetensors")
    assert error_of("sd15", checkpoints("sd15"), path) == (
        f"--lora {str(path)!r} was made for Stable Diffusion XL with vectors 2048 wide, not 32, "
        "and does not fit 'sd15'; give one for Stable Diffusion 1.5."
    )
    key = "transformer.single_transformer_blocks.0.attn.to_k.lora_A.weight"
    flux = save({key: torch.ones(2, 3072)}, tmp_path / "flux.safetensors")
    assert "(Flux or the like), and does not fit" in error_of("sd15", checkpoints("sd15"), flux)


def test_files_that_are_no_lora(checkpoints, tmp_path):
    folder = checkpoints("sd15")
    vae = folder / "vae/diffusion_pytorch_model.safetensors"
    assert "is not a LoRA: it is an autoencoder alone (it goes with --vae PATH)." in error_of(
        "sd15", folder, vae
    )
    loha = save({"lora_unet_x.hada_w1_a": torch.ones(2, 2)}, tmp_path / "loha.safetensors")
    assert "is a LyCORIS (LoHa, LoKr, OFT or the like)" in error_of("sd15", folder, loha)
    save(
        {"lora_unet_x.lora_down.weight": torch.ones(2, 2), "lora_unet_x.dora_scale": torch.ones(2)},
        loha,
    )
    assert "is a DoRA, not a plain LoRA, and is not taken" in error_of("sd15", folder, loha)
    pickle = tmp_path / "style.bin"
    pickle.write_bytes(b"\x80\x02")
    assert "is a pickle" in error_of("sd15", folder, pickle)
    assert "is a folder; name the .safetensors file" in error_of("sd15", folder, tmp_path)


def test_a_lora_with_layers_that_the_model_has_not(checkpoints, tmp_path):
    """diffusers would leave them out without an error."""
    plain = load("sd15", str(checkpoints("sd15")), "cpu")
    path = write_diffusers(random_lora(plain), tmp_path / "style.safetensors")
    tensors = load_file(path)
    count = len(tensors) // 2
    for matrix, shape in (("lora_A", (2, 16)), ("lora_B", (16, 2))):
        name = f"unet.down_blocks.7.attentions.0.transformer_blocks.0.attn1.to_k.{matrix}.weight"
        tensors[name] = torch.ones(*shape)
    error = error_of("sd15", checkpoints("sd15"), save(tensors, path))
    assert f"changes {count + 1} layers, of which the model has {count}" in error
    wrong = {key: torch.ones(*(side + 1 for side in v.shape)) for key, v in load_file(path).items()}
    wrong = {key: value for key, value in wrong.items() if "attn2" not in key}
    assert "does not fit the model (" in error_of("sd15", checkpoints("sd15"), save(wrong, path))


def test_without_peft_a_lora_says_how_to_get_it(checkpoints, tmp_path, monkeypatch):
    path = write_diffusers(_header(checkpoints, "sd15"), tmp_path / "style.safetensors")
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    with pytest.raises(UsageError, match="'pip install peft' does it"):
        load("sd15", str(checkpoints("sd15")), "cpu", [Addition("lora", str(path))])
