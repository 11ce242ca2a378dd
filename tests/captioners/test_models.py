"""BLIP-2 and vision-language models: tiny random ones of the real classes, made on the spot."""

from __future__ import annotations

import json
import shutil

import pytest
import torch
import transformers
from PIL import Image
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, models, pre_tokenizers

from diffinv.conformance import check_part
from diffinv.contracts import Conversant
from diffinv.errors import DiffinvError, UsageError
from diffinv_captioners import blip2, vlm
from diffinv_captioners.answers import MAX_LENGTH, MAX_TOKENS, clean

SPECIAL = ["<pad>", "<s>", "</s>", "<unk>", "<image>", "<video>"]
SPECIAL += ["<start>", "<end>"]
WORDS = [f"word{i}" for i in range(40)] + ["a", "photo", "of", "USER", "ASSISTANT"]
TEMPLATE = (
    "{% for m in messages %}USER {% for c in m['content'] %}"
    "{% if c['type'] == 'image' %}IMAGE {% else %}{{ c['text'] }} {% endif %}"
    "{% endfor %}{% endfor %}ASSISTANT"
)


def tokenizer(**special):
    vocab = {word: i for i, word in enumerate([*SPECIAL, *WORDS])}
    words = Tokenizer(models.WordLevel(vocab, unk_token="<unk>"))
    words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=words,
        pad_token="<pad>",
        bos_token="<s>",
        eos_token="</s>",
        unk_token="<unk>",
        **special,
    )


SIZE = len(SPECIAL) + len(WORDS)
ENDS = {"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}


def save_blip2(folder):
    small = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = transformers.Blip2Config(
        vision_config={**small, "intermediate_size": 16, "image_size": 32, "patch_size": 16},
        qformer_config={**small, "intermediate_size": 16, "encoder_hidden_size": 16},
        text_config=transformers.OPTConfig(
            hidden_size=16,
            word_embed_proj_dim=16,
            ffn_dim=16,
            num_hidden_layers=1,
            num_attention_heads=2,
            vocab_size=SIZE,
            **ENDS,
        ).to_dict(),
        num_query_tokens=3,
        image_token_index=4,
    )
    transformers.Blip2ForConditionalGeneration(config).save_pretrained(folder)
    pictures = transformers.BlipImageProcessorPil(size={"height": 32, "width": 32})
    transformers.Blip2Processor(pictures, tokenizer(), 3).save_pretrained(folder)


def save_llava_next(folder):
    text = transformers.LlamaConfig(
        hidden_size=16,
        intermediate_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=2,
        vocab_size=SIZE,
        **ENDS,
    )
    vision = transformers.CLIPVisionConfig(
        hidden_size=16,
        intermediate_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        image_size=32,
        patch_size=16,
    )
    config = transformers.LlavaNextConfig(
        vision_config=vision, text_config=text, image_token_index=4, image_grid_pinpoints=[[32, 64]]
    )
    transformers.LlavaNextForConditionalGeneration(config).save_pretrained(folder)
    pictures = transformers.LlavaNextImageProcessorPil(
        size={"shortest_edge": 32},
        crop_size={"height": 32, "width": 32},
        image_grid_pinpoints=[[32, 64]],
    )
    transformers.LlavaNextProcessor(
        pictures,
        tokenizer(extra_special_tokens={"image_token": "<image>"}),
        patch_size=16,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=TEMPLATE.replace("IMAGE", "<image>"),
    ).save_pretrained(folder)


def save_qwen(folder):
    config = transformers.Qwen2_5_VLConfig(
        text_config={
            "hidden_size": 16,
            "intermediate_size": 16,
            "num_hidden_layers": 1,
            "num_attention_heads": 2,
            "num_key_value_heads": 2,
            "vocab_size": SIZE,
            "rope_parameters": {"rope_type": "default", "mrope_section": [1, 1, 2]},
            **ENDS,
        },
        vision_config={
            "depth": 1,
            "hidden_size": 16,
            "intermediate_size": 16,
            "num_heads": 2,
            "out_hidden_size": 16,
            "patch_size": 8,
            "spatial_merge_size": 2,
            "fullatt_block_indexes": [0],
        },
        image_token_id=4,
        video_token_id=SPECIAL.index("<video>"),
        vision_start_token_id=SPECIAL.index("<start>"),
        vision_end_token_id=SPECIAL.index("<end>"),
    )
    transformers.Qwen2_5_VLForConditionalGeneration(config).save_pretrained(folder)
    pictures = transformers.Qwen2VLImageProcessorPil(
        patch_size=8, merge_size=2, size={"shortest_edge": 256, "longest_edge": 1024}
    )
    tokens = tokenizer(extra_special_tokens={"image_token": "<image>", "video_token": "<video>"})
    videos = transformers.Qwen2VLVideoProcessor(patch_size=8, merge_size=2)
    template = TEMPLATE.replace("IMAGE", "<start> <image> <end>")
    processor = transformers.Qwen2_5_VLProcessor(pictures, tokens, videos, chat_template=template)
    processor.save_pretrained(folder)


MODELS = {
    "blip2": (save_blip2, blip2.load),
    "llava-next": (save_llava_next, vlm.load),
    "qwen2.5-vl": (save_qwen, vlm.load),
}


@pytest.fixture(scope="session")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("captioners")
    for name, (save, _) in MODELS.items():
        torch.manual_seed(0)
        save(root / name)
    return root


@pytest.mark.parametrize("name", MODELS)
def test_a_picture_gets_one_sentence_and_always_the_same(folders, name):
    captioner = MODELS[name][1](str(folders / name), "cpu")
    red = Image.new("RGBA", (70, 40), (255, 0, 0, 128))
    blue = Image.new("L", (30, 60), 40)
    first, second = captioner.caption([red, blue])
    assert captioner.caption([blue]) == [second]
    assert captioner.caption([red]) == [first]
    for caption in (first, second):
        assert 0 < len(caption) <= MAX_LENGTH
        assert set(caption.split()) <= {*WORDS, *SPECIAL}
        assert not caption.startswith(("USER", "a photo of"))
    assert captioner.caption([]) == []
    assert not captioner.model.training
    assert not any(p.requires_grad for p in captioner.model.parameters())


@pytest.mark.parametrize("name", MODELS)
def test_it_conforms(folders, name):
    results = check_part("captioner", MODELS[name][1](str(folders / name), "cpu"))
    assert [f"{r.name}: {r.detail}" for r in results if not r.passed] == []


def test_where_memory_is_short_a_cpu_computes_in_half_precision(folders, monkeypatch):
    assert blip2.load(str(folders / "blip2"), "cpu").model.dtype == torch.float32
    monkeypatch.setattr("diffinv_captioners.local.free_bytes", lambda _device: 1000)
    captioner = blip2.load(str(folders / "blip2"), "cpu")
    assert captioner.model.dtype == torch.bfloat16
    monkeypatch.setattr("diffinv_captioners.local.free_bytes", lambda _device: None)
    monkeypatch.setenv("DIFFINV_MEMORY", "low")
    assert blip2.load(str(folders / "blip2"), "cpu").model.dtype == torch.bfloat16
    (said,) = captioner.caption([Image.new("RGB", (40, 30), "red")])
    assert said


def test_the_prompt_is_no_part_of_the_caption(folders, monkeypatch):
    """Whatever the model says, its own prompt comes back with it and is cut off."""
    captioner = MODELS["llava-next"][1](str(folders / "llava-next"), "cpu")
    told = torch.tensor([SPECIAL.index("<unk>"), len(SPECIAL) + 7, 2])

    def generate(input_ids, **_kwargs):
        return torch.cat([input_ids, told[None]], dim=1)

    monkeypatch.setattr(captioner.model, "generate", generate)
    assert captioner.caption([Image.new("RGB", (32, 32))]) == ["word7"]
    monkeypatch.setattr(captioner.model, "generate", lambda **_kwargs: told[None])
    assert captioner.caption([Image.new("RGB", (32, 32))]) == ["word7"]


@pytest.mark.parametrize("name", ["blip2", "llava-next"])
def test_a_model_that_is_cut_off_leaves_no_half_sentence(folders, monkeypatch, name):
    captioner = MODELS[name][1](str(folders / name), "cpu")
    picture = [Image.new("RGB", (32, 32))]

    def say(text, ids):
        monkeypatch.setattr(captioner.model, "generate", lambda **_kwargs: torch.tensor([ids]))
        tokenizer = type(captioner.processor.tokenizer)
        monkeypatch.setattr(tokenizer, "decode", lambda *_args, **_kwargs: text)
        return captioner.caption(picture)

    end = captioner.model.generation_config.eos_token_id
    word = len(SPECIAL) + 7
    text = "A red house by the sea. It stands on a gre"
    assert say(text, [word] * MAX_TOKENS) == ["A red house by the sea."]
    assert say(text, [word] * (MAX_TOKENS - 1) + [end]) == [text]
    assert say(text, [word] * 5) == [text]


@pytest.mark.parametrize(
    ("said", "whole"),
    [
        ("A red house by the sea at noon. It stands on a gre", "A red house by the sea at noon."),
        ("Dr. No is at home in a red house by the se", "Dr. No is at home in a red house by the"),
        ("A red house by the sea, seen from abo", "A red house by the sea"),
        ("A red house by the sea - an etchi", "A red house by the sea"),
        ("Red, with a garden that is full of flo", "Red, with a garden that is full of"),
        ("A red house by the sea at 3.5 m", "A red house by the sea at 3.5"),
        ("A red house by the sea.", "A red house by the sea."),
        ("A red house by the sea\nIt stands on a gre", "A red house by the sea"),
        ("Red", "Red"),
    ],
)
def test_what_is_whole_of_a_caption_that_was_cut_off(said, whole):
    assert clean(said, "it", cut=True) == whole
    assert clean(said, "it") == said.splitlines()[0]


def test_a_caption_that_is_too_long_ends_where_something_does():
    sentence = "A red house by the sea at noon. "
    assert clean(sentence * 20, "it") == (sentence * 9).strip()
    assert clean("word " * 100, "it") == ("word " * 60).strip()
    assert len(clean("word" * 100, "it")) == MAX_LENGTH


def copy(folders, name, tmp_path):
    return shutil.copytree(folders / name, tmp_path / name)


@pytest.mark.parametrize("name", MODELS)
def test_missing_tensors_are_not_made_up(folders, tmp_path, name):
    folder = copy(folders, name, tmp_path)
    state = load_file(folder / "model.safetensors")
    lost = next(key for key in state if "vis" in key)
    del state[lost]
    save_file(state, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(DiffinvError, match="lack 1 of the model's tensors"):
        MODELS[name][1](str(folder), "cpu")


@pytest.mark.parametrize("name", MODELS)
def test_pickled_weights_are_refused(folders, tmp_path, name):
    folder = copy(folders, name, tmp_path)
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(DiffinvError, match="pickled"):
        MODELS[name][1](str(folder), "cpu")


def test_a_missing_shard_is_named(folders, tmp_path):
    folder = copy(folders, "llava-next", tmp_path)
    index = {"weight_map": {"x": "model-00002-of-00002.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(DiffinvError, match="lacks part of its weights, 'model-00002-of"):
        vlm.load(str(folder), "cpu")


def test_the_wrong_captioner_names_the_right_one(folders):
    with pytest.raises(DiffinvError, match="is a llava_next model, not BLIP-2; try vlm="):
        blip2.load(str(folders / "llava-next"), "cpu")
    with pytest.raises(DiffinvError, match="cannot be asked about a picture; try blip2="):
        vlm.load(str(folders / "blip2"), "cpu")


def test_code_of_a_models_own_is_never_run(folders, tmp_path):
    folder = copy(folders, "llava-next", tmp_path)
    (folder / "evil.py").write_text("raise SystemExit('ran')")
    config = {"model_type": "xgenmm", "auto_map": {"AutoConfig": "evil.Config"}}
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(DiffinvError, match="--captioner endpoint=URL#MODEL"):
        vlm.load(str(folder), "cpu")


def test_a_model_that_is_not_here_says_how_to_get_it(tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(DiffinvError, match="'diffinv models pull Salesforce/blip2-opt-2.7b'"):
        blip2.load(None, "cpu")
    with pytest.raises(UsageError, match="vlm=FOLDER_OR_HUB_ID"):
        vlm.load(None, "cpu")
    with pytest.raises(DiffinvError, match="no model at '/nowhere'"):
        vlm.load("/nowhere", "cpu")


def test_a_text_model_is_no_captioner(folders, tmp_path):
    folder = copy(folders, "llava-next", tmp_path)
    config = {"model_type": "llama", "hidden_size": 16, "num_attention_heads": 2}
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(DiffinvError, match="does not read pictures"):
        vlm.load(str(folder), "cpu")


def test_a_conversation_may_show_several_pictures(folders):
    captioner = vlm.load(str(folders / "qwen2.5-vl"), "cpu")
    assert isinstance(captioner, Conversant)
    pictures = [Image.new("RGB", (40, 40), colour) for colour in ("red", "blue")]
    question = ["First:", pictures[0], "Second:", pictures[1], "Which one?"]
    assert captioner.ask(question) == captioner.ask(question)
