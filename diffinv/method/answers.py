"""Answers from plugins' parts, checked as they arrive.

A plugin may answer anything. An answer that breaks :mod:`diffinv.contracts` becomes one sentence
that names the part, instead of an obscure error later.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NoReturn

import torch
from torch import Tensor

from ..contracts import Backbone, Captioner, DeltaEncoder, Kind
from ..errors import DiffinvError, UsageError
from ..pictures.framing import Size, model_size
from ..pictures.tensors import to_images, to_tensor
from ..system.text import plural, text_safe

if TYPE_CHECKING:
    from PIL.Image import Image

    from ..contracts import Conditioning

_INSTEAD: dict[Kind, str] = {
    "backbone": "--backbone names another",
    "captioner": "with --caption-a and --caption-a-prime, or --prompt-b, it is not asked",
    "delta encoder": "--delta-encoder names another",
}


def captions(captioner: Captioner, images: Sequence[Image]) -> list[str]:
    """The captioner's sentence for each picture."""
    answer: object = captioner.caption(images)
    if not isinstance(answer, list | tuple):
        _refuse("captioner", captioner, f"gave a {type(answer).__name__}, not a list of captions")
    if len(answer) != len(images):
        wrong = f"gave {plural(len(answer), 'caption')} for {plural(len(images), 'picture')}"
        _refuse("captioner", captioner, wrong)
    for caption in answer:
        if not isinstance(caption, str):
            _refuse("captioner", captioner, f"gave a {type(caption).__name__} as a caption")
        if not text_safe(caption):
            _refuse("captioner", captioner, "gave an empty caption")
    return list(answer)


def picture_vectors(encoder: DeltaEncoder, images: Sequence[Image]) -> Tensor:
    """E_I of pictures: [n, d]."""
    return _vectors(encoder, encoder.encode_images(images), len(images), "picture")


def text_vectors(encoder: DeltaEncoder, texts: Sequence[str]) -> Tensor:
    """E_T of texts: [n, d]."""
    return _vectors(encoder, encoder.encode_texts(texts), len(texts), "text")


def words(encoder: DeltaEncoder) -> tuple[str, ...]:
    """The words that an encoder names, each once; none if it names none."""
    answer: object = getattr(encoder, "vocabulary", ())
    if not isinstance(answer, list | tuple):
        _refuse("delta encoder", encoder, f"has a {type(answer).__name__} as its vocabulary")
    for word in answer:
        if not isinstance(word, str) or not text_safe(word):
            _refuse("delta encoder", encoder, f"has {word!r:.60} as a word of its vocabulary")
    return tuple(dict.fromkeys(answer))


def check_width(encoder: DeltaEncoder, delta: Tensor, width: int, of: str) -> None:
    """Refuse a delta [d] that cannot be compared with vectors ``width`` wide."""
    if len(delta) != width:
        wrong = f"gave vectors of {len(delta)} numbers for pictures, but {of} have {width}"
        _refuse("delta encoder", encoder, wrong)


@torch.no_grad()
def check_space(encoder: DeltaEncoder, backbone: Backbone, delta: Tensor) -> None:
    """Refuse a delta [d] that the backbone's tokens cannot be compared with, if they are."""
    if backbone.joint_space is None:
        return
    token = torch.zeros(1, backbone.token_width, device=backbone.device)
    width = backbone.project_tokens(token).shape[-1]
    check_width(encoder, delta, width, f"the tokens of {backbone.id!r}")


def latents(backbone: Backbone, images: Sequence[Image]) -> Tensor:
    """Pictures of the backbone's size as its latents: [n, c, h, w]."""
    found = backbone.encode_images(to_tensor(images).to(backbone.device))
    wrong = _wrong(found, (len(images), None, None, None))
    if wrong:
        _refuse("backbone", backbone, f"gave {wrong} for {plural(len(images), 'picture')}")
    return found


def conditioning(backbone: Backbone, prompts: Sequence[str]) -> Conditioning:
    """What the denoiser attends to, one row per prompt."""
    found = backbone.encode_prompts(prompts)
    states: object = getattr(found, "prompt_embeds", None)
    if wrong := _wrong(states, (len(prompts), None, backbone.token_width)):
        _refuse("backbone", backbone, f"gave {wrong} for {plural(len(prompts), 'prompt')}")
    return found


def prediction(
    backbone: Backbone, noisy: Tensor, timesteps: Tensor, conditioning: Conditioning
) -> Tensor:
    """The predicted noise or velocity, in the latents' shape; its values are not checked."""
    found: object = backbone.predict(noisy, timesteps, conditioning)
    if not isinstance(found, Tensor):
        _refuse("backbone", backbone, f"gave a {type(found).__name__}, not a tensor, as prediction")
    if found.shape != noisy.shape or not found.is_floating_point():
        kind = f"{str(found.dtype).removeprefix('torch.')} {list(found.shape)}"
        wrong = f"gave a prediction of {kind} for latents of {list(noisy.shape)}"
        _refuse("backbone", backbone, wrong)
    return found


def seen_size(backbone: Backbone, size: Size, side: int | None = None) -> Size:
    """The size at which a backbone sees a picture, of about ``side`` squared pixels (None: as many
    as its own). One made before ``size_multiple`` was in the contract takes squares alone.

    Raises UsageError if the backbone takes no other sizes.
    """
    own, multiple = backbone.resolution, getattr(backbone, "size_multiple", None)
    if multiple is None and side not in (None, own):
        raise UsageError(
            f"The backbone {backbone.id!r} takes pictures of {own} x {own} pixels alone; leave "
            "out --side."
        )
    return model_size(size, side or own, multiple)


def pictures(backbone: Backbone, latents: Tensor) -> list[Image]:
    """Latents [n, c, h, w] as RGB pictures."""
    return to_images(decoded(backbone, latents))


def decoded(backbone: Backbone, latents: Tensor) -> Tensor:
    """Latents [n, c, h, w] as pictures [n, 3, H, W] in [-1, 1] (not clipped)."""
    found = backbone.decode(latents)
    if wrong := _wrong(found, (len(latents), 3, None, None)):
        _refuse("backbone", backbone, f"gave {wrong} for {plural(len(latents), 'picture')}")
    return found


def _vectors(encoder: DeltaEncoder, found: Tensor, count: int, of: str) -> Tensor:
    if wrong := _wrong(found, (count, None)):
        _refuse("delta encoder", encoder, f"gave {wrong} for {plural(count, of)}")
    return found


def _wrong(value: object, shape: tuple[int | None, ...]) -> str | None:
    """What is wrong with a tensor that should have a shape (None: any length), in words."""
    if not isinstance(value, Tensor):
        return f"a {type(value).__name__}, not a tensor,"
    right = value.ndim == len(shape) and all(
        wanted in (None, found) for wanted, found in zip(shape, value.shape, strict=True)
    )
    if not right:
        wanted = ", ".join("any" if length is None else str(length) for length in shape)
        return f"a tensor of the shape {list(value.shape)}, not [{wanted}],"
    return None if torch.isfinite(value).all() else "numbers that are not finite"


def _refuse(kind: Kind, part: object, wrong: str) -> NoReturn:
    id = text_safe(str(getattr(part, "id", type(part).__name__)))
    raise DiffinvError(
        f"The {kind} {id!r} {wrong}; 'diffinv plugins check {id}' tests it, and {_INSTEAD[kind]}."
    )
