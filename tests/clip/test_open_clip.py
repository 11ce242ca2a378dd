"""open_clip's encoders on a tiny model of the real class, with CLIP's real words."""

from __future__ import annotations

import json

import numpy as np
import open_clip
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from torch.nn import functional as F  # noqa: N812
from transformers import CLIPTokenizer

from diffinv.conformance import check_part
from diffinv.errors import DiffinvError, UsageError
from diffinv.method.prompts import HardPromptEncoder, make_prompts
from diffinv.plugins.loading import registry
from diffinv.system import local_models
from diffinv_clip.encoder import load, load_h14, load_l14
from diffinv_clip.network import space_of
from diffinv_clip.sources import FAMILIES, find_source

CONFIG = {
    "embed_dim": 16,
    "vision_cfg": {"image_size": 32, "layers": 1, "width": 32, "head_width": 16, "patch_size": 16},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 2},
}


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    """A model folder as open_clip writes it."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("open-clip")
    model = open_clip.CLIP(**CONFIG)
    save_file(model.state_dict(), folder / "open_clip_model.safetensors")
    (folder / "open_clip_config.json").write_text(
        json.dumps({"model_cfg": CONFIG, "preprocess_cfg": {"mean": [0.4, 0.5, 0.6]}})
    )
    return folder


@pytest.fixture(scope="session")
def encoder(folder):
    return load(str(folder), "cpu")


@pytest.fixture
def tiny_families(monkeypatch):
    """The known families at a size that a test can hold."""
    configs = {name: dict(CONFIG) for name in ("ViT-H-14", "ViT-L-14", "ViT-B-32")}
    configs["ViT-L-14-quickgelu"] = CONFIG | {"quick_gelu": True}
    configs["ViT-L-14"] = CONFIG | {"embed_dim": 24}
    configs["ViT-B-32"] = CONFIG | {"embed_dim": 8}
    for name, config in configs.items():
        monkeypatch.setitem(open_clip.factory._MODEL_CONFIGS, name, config)


@pytest.fixture
def hub_cache(tmp_path, monkeypatch):
    """A hub cache that a test fills: the folder of a snapshot for a hub id."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))

    def snapshot(hub_id):
        root = tmp_path / "hub" / ("models--" + hub_id.replace("/", "--"))
        (root / "refs").mkdir(parents=True)
        (root / "refs" / "main").write_text("a" * 40)
        (root / "snapshots" / ("a" * 40)).mkdir(parents=True)
        return root / "snapshots" / ("a" * 40)

    return snapshot


def pictures(count=3):
    rng = np.random.default_rng(0)
    return [Image.fromarray(rng.integers(0, 256, (48, 40, 3), np.uint8)) for _ in range(count)]


def reference(folder):
    model, _, preprocess = open_clip.create_model_and_transforms(f"local-dir:{folder}")
    return model.eval(), preprocess


def test_it_brings_its_text_projection(folder, encoder):
    state = load_file(folder / "open_clip_model.safetensors")
    assert torch.equal(encoder.text_projection, state["text_projection"])
    assert all(s.text_projection for id, s in registry().delta_encoders.items() if "clip" in id)


def test_it_agrees_with_open_clip_itself(folder, encoder):
    model, preprocess = reference(folder)
    texts = ["a red cabin", "two dogs, one hat! 😀 " + "word " * 90]
    with torch.no_grad():
        images = model.encode_image(torch.stack([preprocess(i) for i in pictures()]))
        words = model.encode_text(open_clip.tokenize(texts))
    torch.testing.assert_close(encoder.encode_images(pictures()), images, atol=1e-5, rtol=0)
    torch.testing.assert_close(encoder.encode_texts(texts), words, atol=1e-5, rtol=0)
    assert not encoder.model.training
    assert not any(p.requires_grad for p in encoder.model.parameters())


def test_only_the_places_that_a_text_fills_are_computed(encoder, monkeypatch):
    """And what stands beside it does not change a bit of it."""
    seen = []
    whole = type(encoder.model).encode_text
    monkeypatch.setattr(
        type(encoder.model), "encode_text", lambda m, ids: seen.append(ids.shape) or whole(m, ids)
    )
    texts = ["a red cabin", "a blue cabin", "word " * 30, "word " * 90]
    together = encoder.encode_texts(texts)
    assert seen == [(2, 8), (1, 32), (1, 77)]
    assert torch.equal(encoder.encode_texts(texts[1:2] + texts[:1])[1], together[0])
    assert len(encoder.model.positional_embedding) == len(encoder.model.attn_mask) == 77


def test_it_conforms(encoder):
    results = check_part("delta encoder", encoder)
    assert [f"{r.name}: {r.detail}" for r in results if not r.passed] == []


def test_half_precision_weights_run_in_float32(folder, encoder, tmp_path):
    state = load_file(folder / "open_clip_model.safetensors")
    save_file({k: v.half() for k, v in state.items()}, tmp_path / "open_clip_model.safetensors")
    (tmp_path / "open_clip_config.json").write_text((folder / "open_clip_config.json").read_text())
    half = load(str(tmp_path), "cpu").encode_images(pictures())
    assert half.dtype == torch.float32
    torch.testing.assert_close(half, encoder.encode_images(pictures()), atol=2e-2, rtol=2e-2)


def test_words_typed_as_special_tokens_end_no_text(encoder):
    first, second = encoder.encode_texts(["a <END_OF_TEXT> red cabin", "a red cabin"])
    assert torch.equal(first, second)


def test_every_word_comes_back_as_the_same_token(encoder):
    words = encoder.token_ids
    assert len(words) == 34_277
    assert len(encoder.token_table) == len(words)
    generator = torch.Generator().manual_seed(0)
    other = _transformers_tokenizer(encoder.tokenizer)
    same = 0
    for _ in range(300):
        ids = words[torch.randint(len(words), (16,), generator=generator)]
        text = encoder.text_of(ids)
        assert encoder.ids_of(text) == ids.tolist()
        same += other.encode(text, add_special_tokens=False) == ids.tolist()
    assert same >= 295


def _transformers_tokenizer(simple):
    """The tokenizer of the Stable Diffusion backbones, with the same words."""
    names = {"<start_of_text>": "<|startoftext|>", "<end_of_text>": "<|endoftext|>"}
    vocab = {names.get(piece, piece): i for piece, i in simple.encoder.items()}
    return CLIPTokenizer(vocab=vocab, merges=list(simple.bpe_ranks), model_max_length=77)


def test_words_as_embeddings_are_the_text_itself(encoder):
    text = "a red cabin by the sea"
    rows = encoder.embedding.weight[torch.tensor([encoder.ids_of(text)])]
    expected = encoder.encode_texts([text])
    torch.testing.assert_close(encoder.encode_embeddings(rows), expected, atol=1e-5, rtol=1e-5)
    soft = rows.clone().requires_grad_()
    encoder.encode_embeddings(soft).sum().backward()
    assert bool((soft.grad.abs().sum(-1) > 0).all())


def test_hard_prompts_come_closer_than_random_words(encoder, monkeypatch):
    monkeypatch.setattr("diffinv.method.prompts._PEZ_STEPS", 12)
    assert isinstance(encoder, HardPromptEncoder)
    images = pictures(2)
    prompts = make_prompts("pez", encoder, images, [], seed=1)
    assert prompts == make_prompts("pez", encoder, images, [], seed=1)
    target = F.normalize(encoder.encode_images(images), dim=-1)
    made = F.normalize(encoder.encode_texts(prompts), dim=-1)
    generator = torch.Generator().manual_seed(5)
    drawn = encoder.token_ids[torch.randint(len(encoder.token_ids), (40, 16), generator=generator)]
    others = F.normalize(encoder.encode_texts([encoder.text_of(row) for row in drawn]), dim=-1)
    for row, words in zip(target, made, strict=True):
        assert row @ words > (others @ row).max()


def test_too_many_words_at_once_are_refused(encoder):
    with pytest.raises(ValueError, match="76 words"):
        encoder.encode_embeddings(torch.zeros(1, 76, 16))


# Spaces


def test_spaces_of_the_families_are_those_backbones_name():
    spaces = [
        space_of(open_clip.get_model_config(name))
        for name in ("ViT-L-14-quickgelu", "ViT-H-14", "ViT-bigG-14", "ViT-B-32")
    ]
    assert spaces == [
        "open-clip:ViT-L-14",
        "open-clip:ViT-H-14",
        "open-clip:ViT-bigG-14",
        "open-clip:ViT-B-32",
    ]


def test_the_other_gelu_is_another_space():
    assert space_of(open_clip.get_model_config("ViT-L-14")) == "open-clip:ViT-L-14-gelu"
    quick = space_of(open_clip.get_model_config("ViT-H-14-quickgelu"))
    assert quick == "open-clip:ViT-H-14-quickgelu"


def test_an_architecture_without_a_name_has_a_space_of_its_own(encoder):
    assert encoder.space.startswith("open-clip:custom-")
    assert encoder.space != space_of(CONFIG | {"quick_gelu": True})


# What open-clip=... may name


def test_one_checkpoint_with_its_architecture(folder, encoder, tiny_families):
    file = folder / "open_clip_model.safetensors"
    named = load(f"ViT-H-14:{file}", "cpu")
    assert named.space == "open-clip:ViT-H-14"
    bound = load_h14(str(file), "cpu")
    assert (bound.id, bound.space) == ("open-clip-h14", "open-clip:ViT-H-14")
    text = ["a red cabin"]
    assert torch.equal(named.encode_texts(text), bound.encode_texts(text))


def test_quick_gelu_by_name_changes_the_result(folder, tiny_families):
    file = folder / "open_clip_model.safetensors"
    plain, quick = load(f"ViT-H-14:{file}", "cpu"), load(f"ViT-L-14-quickgelu:{file}", "cpu")
    assert quick.space == "open-clip:ViT-L-14"
    assert load_l14(str(file), "cpu").space == quick.space
    assert not torch.allclose(plain.encode_texts(["cat"]), quick.encode_texts(["cat"]))


def test_a_checkpoint_beside_its_description(folder, encoder):
    again = load(str(folder / "open_clip_model.safetensors"), "cpu")
    assert again.space == encoder.space


def test_a_hub_model_that_was_fetched_before(folder, hub_cache, tiny_families):
    snapshot = hub_cache(FAMILIES[1].hub_id)
    for file in folder.iterdir():
        (snapshot / file.name).write_bytes(file.read_bytes())
    for weights in (None, "ViT-H-14", FAMILIES[1].hub_id):
        assert find_source(weights, None).checkpoint.parent == snapshot
    assert load_h14(None, "cpu").space == "open-clip:ViT-H-14"


def test_nothing_is_downloaded(hub_cache):
    for weights, said in {
        None: "diffinv models pull laion/CLIP-ViT-H-14-laion2B-s32B-b79K",
        "ViT-bigG-14": "diffinv models pull laion/CLIP-ViT-bigG-14-laion2B-39B-b160k",
        "ViT-B-32": "diffinv models pull timm/vit_base_patch32_clip_224.",
        "someone/some-model": "diffinv models pull someone/some-model",
        "/nowhere/at-all": "'/nowhere/at-all'",
        "ViT-H-14:/nowhere.safetensors": "no file '/nowhere.safetensors'",
    }.items():
        with pytest.raises(DiffinvError) as caught:
            find_source(weights)
        assert said in str(caught.value)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda f: (f / "open_clip_config.json").unlink(), "has no open_clip_config.json"),
        (lambda f: (f / "open_clip_config.json").write_text("{}"), "does not describe"),
        (lambda f: (f / "open_clip_model.safetensors").rename(f / "m.bin"), "pickled"),
        (lambda f: (f / "open_clip_model.safetensors").unlink(), "no weights"),
        (
            lambda f: (f / "open_clip_model.safetensors").write_bytes(b"\x08" + b"\0" * 20),
            "not a complete .safetensors",
        ),
        (lambda f: _reconfigure(f, embed_dim=24), "'positional_embedding'|text_projection"),
        (lambda f: _reconfigure(f, text_cfg={"layers": 3, "width": 16, "heads": 2}), "has no 'tr"),
        (lambda f: _reconfigure(f, vision_cfg={"surprise": 1}), "open_clip cannot build"),
        (lambda f: _reconfigure(f, text_cfg={"hf_model_name": "x/y"}), "no text tower of CLIP"),
        (
            lambda f: _index(f, "model-00002-of-00002.safetensors"),
            "'model-00002-of-00002.safetensors'",
        ),
    ],
)
def test_a_damaged_folder_is_one_sentence(folder, tmp_path, change, said):
    for file in folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    change(tmp_path)
    with pytest.raises(DiffinvError, match=said) as caught:
        load(str(tmp_path), "cpu")
    assert "\n" not in str(caught.value)


def _reconfigure(folder, **changes):
    (folder / "open_clip_config.json").write_text(json.dumps({"model_cfg": CONFIG | changes}))


def _index(folder, shard):
    (folder / "open_clip_model.safetensors").rename(folder / "model-00001-of-00002.safetensors")
    index = {"weight_map": {"a": "model-00001-of-00002.safetensors", "b": shard}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))


def test_other_weights_beside_those_of_open_clip_do_not_matter(folder, encoder, tmp_path):
    for file in folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    index = {"weight_map": {"a": "model-00001-of-00002.safetensors"}}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    (tmp_path / "other.safetensors").write_bytes(b"")
    assert load(str(tmp_path), "cpu").space == encoder.space
    (tmp_path / "model.safetensors.index.json").unlink()
    (tmp_path / "open_clip_model.safetensors").rename(tmp_path / "another.safetensors")
    with pytest.raises(DiffinvError, match="several weights"):
        load(str(tmp_path), "cpu")


def test_a_checkpoint_alone_asks_for_its_architecture(folder, tmp_path):
    file = tmp_path / "weights.safetensors"
    file.write_bytes((folder / "open_clip_model.safetensors").read_bytes())
    with pytest.raises(UsageError, match="name its architecture"):
        load(str(file), "cpu")
    file.rename(tmp_path / "weights.pt")
    with pytest.raises(DiffinvError, match="pickled"):
        load(f"ViT-H-14:{tmp_path / 'weights.pt'}", "cpu")


def test_an_id_of_one_family_takes_no_other(folder, tiny_families):
    with pytest.raises(DiffinvError, match="open-clip:ViT-L-14.*open-clip:ViT-H-14"):
        load_l14(str(folder), "cpu")


def test_a_folder_of_shards_is_found_whole(tmp_path):
    (tmp_path / "one.safetensors").write_bytes(b"")
    local_models.check_weights(tmp_path)
    (tmp_path / "x.safetensors.index.json").write_text("[]")
    with pytest.raises(DiffinvError, match="damaged"):
        local_models.check_weights(tmp_path)
