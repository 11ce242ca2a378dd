"""Transformers in one file, weights of eight bits, and what is in the memory when."""

from __future__ import annotations

import json
import shutil

import pytest
import test_klein
import test_z_image
import torch
from originals import in_eight_bits, klein_original, weights_of, write, z_image_original
from safetensors.torch import load_file, save_file
from shared import sampled
from test_klein import few_layers  # noqa: F401 - a fixture

from diffinv.contracts import Addition, Use
from diffinv.errors import DiffinvError, UsageError
from diffinv.system.tensor_files import widened
from diffinv.system.weights import weights_id
from diffinv_flow import flow, klein, memory, z_image
from diffinv_flow.checkpoints import KLEIN, Z_IMAGE, find_checkpoint
from diffinv_flow.placing import Places

KINDS = {
    "flux2-klein": (test_klein.make, klein, klein_original, KLEIN, (1, 16, 8, 8)),
    "z-image": (test_z_image.make, z_image, z_image_original, Z_IMAGE, (1, 4, 16, 16)),
}


@pytest.fixture(scope="session", params=KINDS)
def kind(request):
    return request.param


@pytest.fixture(scope="session")
def folder(kind, tmp_path_factory):
    return KINDS[kind][0](tmp_path_factory.mktemp(kind))


def load(kind, weights):
    return KINDS[kind][1].load(str(weights), "cpu")


def outcome(kind, backbone):
    """What a model makes of one noise."""
    noise = torch.randn(KINDS[kind][4], generator=torch.Generator().manual_seed(3))
    return backbone.decode(sampled(backbone, noise, 3.0))


@pytest.fixture(scope="session")
def wanted(kind, folder):
    return outcome(kind, load(kind, folder))


@pytest.fixture
def settings(folder, tmp_path):
    """The folder without the transformer's weights."""
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    for file in (tmp_path / "transformer").glob("*.safetensors"):
        file.unlink()
    return tmp_path


@pytest.mark.parametrize(
    ("names", "prefix"), [("original", ""), ("original", "model.diffusion_model."), ("own", "")]
)
def test_a_transformer_in_one_file_is_the_same_model(kind, folder, settings, wanted, names, prefix):
    tensors = KINDS[kind][2](folder) if names == "original" else weights_of(folder)
    file = write(tensors, settings / "model.safetensors", prefix)
    backbone = load(kind, file)
    exact = load(kind, folder).transformer.state_dict()
    found = backbone.transformer.state_dict()
    assert all(torch.equal(found.pop(name), value) for name, value in exact.items())
    assert not found
    torch.testing.assert_close(outcome(kind, backbone), wanted, atol=1e-5, rtol=1e-5)
    assert backbone.weights_id != load(kind, folder).weights_id


def test_its_other_parts_may_be_the_familys_in_the_cache(
    kind, folder, settings, wanted, tmp_path_factory, monkeypatch
):
    elsewhere = tmp_path_factory.mktemp("downloads")
    file = write(KINDS[kind][2](folder), elsewhere / "model.safetensors")
    with pytest.raises(UsageError, match="alone: its vae, text_encoder.*models pull"):
        load(kind, file)
    monkeypatch.setattr("diffinv_flow.checkpoints.cached_snapshot", lambda _model: settings)
    torch.testing.assert_close(outcome(kind, load(kind, file)), wanted, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("scaled", [None, "scale_weight", "weight_scale"])
def test_weights_may_have_eight_bits(kind, folder, settings, scaled):
    exact = load(kind, folder).transformer.state_dict()
    file = write(in_eight_bits(KINDS[kind][2](folder), scaled), settings / "fp8.safetensors")
    found = load(kind, file).transformer.state_dict()
    assert found.keys() == exact.keys()
    for name, value in exact.items():
        assert found[name].dtype == torch.float32
        most = float(value.abs().max())
        assert float((found[name] - value).abs().max()) <= 0.07 * most + 1e-3, name


def test_a_scale_may_be_one_a_row():
    eight = torch.tensor([[1.0, -2.0], [3.0, 0.5]]).to(torch.float8_e4m3fn)
    found = widened({"a.weight": eight, "a.weight_scale": torch.tensor([2.0, 10.0])})
    assert found["a.weight"].tolist() == [[2, -4], [30, 5]]
    assert list(found) == ["a.weight"]


def test_so_may_those_of_a_folder(kind, folder, tmp_path):
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    for part in ("transformer", "text_encoder"):
        (file,) = (tmp_path / part).glob("*.safetensors")
        save_file(in_eight_bits(load_file(file), "weight_scale"), file, {"format": "pt"})
    exact, found = load(kind, folder), load(kind, tmp_path)
    for part in ("transformer", "text_encoder"):
        old, new = (getattr(one, part).state_dict() for one in (exact, found))
        assert old.keys() == new.keys()
        for name, value in old.items():
            most = float(value.abs().max())
            assert float((new[name] - value).abs().max()) <= 0.07 * most + 1e-3, name


def test_a_file_that_does_not_fit_is_one_sentence(kind, folder, settings):
    file = settings / "model.safetensors"
    tensors = KINDS[kind][2](folder)
    write({"lora_A.weight": torch.zeros(2, 2)}, file)
    with pytest.raises(UsageError, match="has no transformer of"):
        load(kind, file)
    lacking = dict(list(tensors.items())[:-1])
    write(lacking, file)
    with pytest.raises(DiffinvError, match="incomplete: the weights of its transformer"):
        load(kind, file)
    entry = next(name for name in KINDS[kind][3].entry if name in tensors)
    write(tensors | {entry: torch.zeros(6, 8)}, file)
    with pytest.raises(UsageError, match="does not fit the other parts.*not 32 wide"):
        load(kind, file)
    for name, words in (("model.gguf", "nor a .safetensors"), ("model.pt", "pickled")):
        (settings / name).write_bytes(b"x")
        with pytest.raises(DiffinvError, match=words):
            load(kind, settings / name)
    write(tensors, file)
    config = settings / "vae" / "config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"sample_size": "big"}))
    with pytest.raises(DiffinvError, match="vae/config.json: sample_size is missing or wrong"):
        memory.preflight(KINDS[kind][3], Use(str(file), "cpu"))


def test_other_parts_may_be_named(kind, folder, settings, wanted):
    """As files or folders; what is the checkpoint's own is all that its hash knows."""
    moved = settings / "moved"
    for part in ("vae", "text_encoder"):
        for file in (settings / part).glob("*.safetensors"):
            (moved / part).mkdir(parents=True)
            file.rename(moved / part / file.name)
    shutil.copy(settings / "vae" / "config.json", moved / "vae")
    file = write(KINDS[kind][2](folder), settings / "model.safetensors")
    with pytest.raises(DiffinvError, match="holds no weights.*with --(vae|text-encoder) PATH"):
        load(kind, file)
    (text,) = (moved / "text_encoder").iterdir()
    additions = [Addition("vae", str(moved)), Addition("text_encoder", str(text))]
    backbone = KINDS[kind][1].load(str(file), "cpu", additions)
    torch.testing.assert_close(outcome(kind, backbone), wanted, atol=1e-5, rtol=1e-5)
    assert backbone.weights_id == weights_id([file])
    with pytest.raises(UsageError, match="has one vae; give --vae once"):
        find_checkpoint(KINDS[kind][3], str(file), [*additions, additions[0]])
    bad = [Addition("text_encoder", str(settings / "model_index.json"))]
    with pytest.raises(UsageError, match="--text-encoder '.*' is neither a folder"):
        find_checkpoint(KINDS[kind][3], str(file), bad)
    (vae,) = (moved / "vae").glob("*.safetensors")
    if kind == "flux2-klein":
        with pytest.raises(UsageError, match="is one file; that of FLUX.2 klein"):
            KINDS[kind][1].load(str(file), "cpu", [Addition("vae", str(vae))])
    else:
        single = KINDS[kind][1].load(str(file), "cpu", [Addition("vae", str(vae)), additions[1]])
        torch.testing.assert_close(outcome(kind, single), wanted, atol=1e-5, rtol=1e-5)


# Memory


def test_low_memory_gives_the_same_pictures_with_one_part_at_a_time(
    kind, folder, wanted, monkeypatch
):
    """As on a GPU, with the CPU in its place; the moves are written down."""
    moves = []

    class Watched(Places):
        def __init__(self, device, alone):
            super().__init__(device, alone=True)

    def to(self, *args, **more):
        moves.append(type(self).__name__)
        return self

    monkeypatch.setenv("DIFFINV_MEMORY", "low")
    monkeypatch.setattr(flow, "Places", Watched)
    backbone = load(kind, folder)
    assert backbone.transformer.is_gradient_checkpointing
    assert backbone.vae.use_tiling
    for name in ("transformer", "vae", "text_encoder"):
        part = getattr(backbone, name)
        monkeypatch.setattr(part, "to", to.__get__(part))
    torch.testing.assert_close(outcome(kind, backbone), wanted, atol=1e-5, rtol=1e-5)
    text, transformer, vae = (
        type(part).__name__ for part in (backbone.text_encoder, backbone.transformer, backbone.vae)
    )
    assert moves == [text, text, transformer, transformer, vae]  # in, out, in, out, in


def test_gradients_are_the_same_with_low_memory(kind, folder, monkeypatch):
    def gradient():
        backbone = load(kind, folder)
        noisy = torch.randn(KINDS[kind][4], generator=torch.Generator().manual_seed(1))
        prompt = backbone.encode_prompts(["a mill"])
        embeds = prompt.prompt_embeds.requires_grad_()
        backbone.predict(noisy, torch.tensor([0.5]), prompt).square().mean().backward()
        return embeds.grad

    exact = gradient()
    monkeypatch.setenv("DIFFINV_MEMORY", "low")
    torch.testing.assert_close(gradient(), exact)


SIZES = {"sample_size": 1024, "block_out_channels": [128, 256, 512, 512]}
REAL = {
    "flux2-klein": {
        "num_layers": 5, "num_single_layers": 20, "num_attention_heads": 24,
        "attention_head_dim": 128,
    },
    "z-image": {"dim": 3840, "n_layers": 30, "n_refiner_layers": 2},
}  # fmt: skip
WEIGHTS = {
    "flux2-klein": {"transformer": 3_876_000_000, "vae": 84_000_000, "text_encoder": 4_022_000_000},
    "z-image": {"transformer": 6_155_000_000, "vae": 84_000_000, "text_encoder": 4_022_000_000},
}


def test_auto_takes_what_fits_at_the_real_sizes(kind, folder, monkeypatch):
    """In bfloat16, with one part at a time, klein learns in 12 GB and Z-Image in 18 GB."""
    found = find_checkpoint(KINDS[kind][3], str(folder))
    settings = {"transformer": REAL[kind], "vae": SIZES}
    monkeypatch.setattr(type(found), "settings", lambda _self, part: settings[part])
    monkeypatch.setattr(type(found), "parameters", lambda _self, part: WEIGHTS[kind][part])
    for device in ("cpu", "cuda:1"):
        high, low = (memory.expected_peak(found, device, low) for low in (False, True))
        applying = memory.expected_peak(found, device, True, pictures=1)
        assert applying < low < high
        for free, saved in ((high, False), (high - 1, True), (None, False)):
            monkeypatch.setattr(memory, "free_bytes", lambda _device, free=free: free)
            assert memory.choose_memory(found, device).low is saved
    assert low < {"flux2-klein": 12e9, "z-image": 18e9}[kind]
    assert 2 * sum(WEIGHTS[kind].values()) < high


def test_too_little_memory_is_said_before_loading(kind, folder, monkeypatch):
    monkeypatch.setattr(memory, "free_bytes", lambda _device: 1_000_000)
    monkeypatch.setattr(flow, "network", None)
    with pytest.raises(DiffinvError, match="needs about .* GB on cpu and 0.0 GB are free; close"):
        load(kind, folder)
