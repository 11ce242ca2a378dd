"""What tests of flow models share: a tokenizer of letters with Qwen's chat template in small, a
sampling run, and a trajectory there and back."""

from __future__ import annotations

import torch
import transformers
from diffusers import AutoencoderKL
from tokenizers import Tokenizer, models, pre_tokenizers

from diffinv.method.application import denoise
from diffinv.method.sampling import ddim_step, guided, rows, timestep_pairs

LETTERS = ["<pad>", "<unk>", "<user>", "<end>", "<bot>", *map(chr, range(32, 127))]
TEMPLATE = "<user>{% for m in messages %}{{ m['content'] }}{% endfor %}<end><bot>"


def tokenizer():
    """Every letter a token, Qwen's template in small: one token before the prompt, two behind."""
    vocab = {letter: i for i, letter in enumerate(LETTERS)}
    letters = Tokenizer(models.WordLevel(vocab, unk_token="<unk>"))
    letters.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    found = transformers.PreTrainedTokenizerFast(
        tokenizer_object=letters, pad_token="<pad>", unk_token="<unk>",
        additional_special_tokens=LETTERS[2:5],
    )  # fmt: skip
    found.chat_template = TEMPLATE
    return found


def small_vae(scaling, shift):
    """An autoencoder of Stable Diffusion's kind, of four channels."""
    return AutoencoderKL(
        block_out_channels=(8, 16), layers_per_block=1, norm_num_groups=4, latent_channels=4,
        down_block_types=("DownEncoderBlock2D",) * 2, up_block_types=("UpDecoderBlock2D",) * 2,
        sample_size=32, scaling_factor=scaling, shift_factor=shift,
        use_quant_conv=False, use_post_quant_conv=False,
    )  # fmt: skip


def sampled(backbone, noise, guidance_scale):
    """Four steps from noise to a picture's latents, of a mill."""
    prompt, empty = backbone.encode_prompts(["a mill"]), backbone.encode_prompts([""])
    sample = noise
    with torch.no_grad():
        for t, t_prev in timestep_pairs(backbone.timesteps(4)):
            times = rows(t, sample)
            output = guided(backbone, sample, times, prompt, empty, guidance_scale)
            level, prev = (backbone.schedule.at(rows(x, sample)) for x in (t, t_prev))
            sample = ddim_step(sample, output, level, prev, "flow")
    return sample


def there_and_back(backbone, latents, editor):
    """How far a trajectory of 30 steps comes back from the latents it began with."""
    source, empty = backbone.encode_prompts(["a mill"]), backbone.encode_prompts([""])
    path = editor.trajectory(backbone, latents, source, empty, 30, 1.0, 0)
    back = denoise(backbone, path, source, empty, 1.0, None)
    return float((back - latents).abs().max())
