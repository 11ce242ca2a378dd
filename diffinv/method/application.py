"""B -> B': denoise B's own noise with {prompt_B, w * D}."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional as F

from ..contracts import Backbone, Conditioning, DiffTokens, Editor, Trajectory
from ..contracts.conditioning import concatenate
from ..errors import UsageError
from ..pictures.blending import Change
from ..pictures.tensors import to_arrays
from . import answers
from .editors import ddpm_mean, seeded_noise
from .objective import blur
from .sampling import add_noise, predicted_noise, rows, timestep_pairs
from .settings import ApplicationSettings
from .words import Wording

if TYPE_CHECKING:
    from PIL.Image import Image

_MASK_SHARES = (0.35, 0.55, 0.75)
_MASK_NOISES = 2
_MASK_RAMP = (0.1, 0.3)
"""Of two changes at once the fainter one has a fraction of the other's size."""

OnStep = Callable[[int, int], None]


def apply_differences(
    backbone: Backbone,
    images: Sequence[Image],
    prompts: Sequence[str],
    differences: Sequence[tuple[DiffTokens, float]],
    editor: Editor,
    settings: ApplicationSettings,
    on_step: OnStep | None = None,
    allowed: Tensor | None = None,
    wordings: Sequence[Wording] | None = None,
) -> list[Image]:
    """B' for each B.

    ``images`` are RGB, of one size that the backbone takes, ``prompts`` say what each shows,
    ``differences`` are tokens with strengths (negative: undo), all applied to every picture.
    ``allowed`` [n, 1, H, W] in [0, 1] is where B may change at all, None for everywhere.
    ``wordings`` say what becomes of each prompt's own words, None for nothing. The
    result for a picture does not depend on the others in the batch. Raises UsageError if a prompt
    and the tokens exceed the backbone's token budget.
    """
    _, edited, _ = _edit(
        backbone, images, prompts, differences, editor, settings, on_step, allowed, wordings
    )
    return answers.pictures(backbone, edited)


def change_pictures(
    backbone: Backbone,
    images: Sequence[Image],
    prompts: Sequence[str],
    differences: Sequence[tuple[DiffTokens, float]],
    editor: Editor,
    settings: ApplicationSettings,
    on_step: OnStep | None = None,
    allowed: Tensor | None = None,
    wordings: Sequence[Wording] | None = None,
) -> list[Change]:
    """What becomes of each B, beside the model's own reconstruction of it: what was changed is
    what differs between the two. The arguments are those of :func:`apply_differences`."""
    latents, edited, mask = _edit(
        backbone, images, prompts, differences, editor, settings, on_step, allowed, wordings
    )
    before, after = (to_arrays(answers.decoded(backbone, z)) for z in (latents, edited))
    masks = [None] * len(latents) if mask is None else list(mask[:, 0].float().cpu().numpy())
    rows = zip(before, after, masks, strict=True)
    return [Change(*row) for row in rows]


def _edit(
    backbone: Backbone,
    images: Sequence[Image],
    prompts: Sequence[str],
    differences: Sequence[tuple[DiffTokens, float]],
    editor: Editor,
    settings: ApplicationSettings,
    on_step: OnStep | None,
    allowed: Tensor | None,
    wordings: Sequence[Wording] | None,
) -> tuple[Tensor, Tensor, Tensor | None]:
    """The latents of B and of B', and the mask."""
    check_budget(backbone, prompts, [tokens for tokens, _ in differences])
    check_budget(backbone, [settings.negative_prompt], [])
    latents = answers.latents(backbone, images)
    source = answers.conditioning(backbone, prompts)
    target = extend_all(backbone, source, prompts, differences, wordings)
    mask = _mask(backbone, latents, source, target, settings, allowed)
    away = leading_away(backbone, settings.negative_prompt, wordings)
    edited = edit_latents(
        backbone, latents, source, target, editor, settings, on_step, None, mask, away
    )
    return latents, edited, mask


def leading_away(
    backbone: Backbone, negative_prompt: str, wordings: Sequence[Wording] | None
) -> Conditioning | None:
    """What guidance leads away from when wordings name words to leave; None if none does."""
    if not wordings or not any(wording.away for wording in wordings):
        return None
    texts = [f"{negative_prompt} {wording.away}".strip() for wording in wordings]
    both = answers.conditioning(backbone, [*[negative_prompt] * len(texts), *texts])
    empty, words = both[: len(texts)], both[len(texts) :]
    return empty.moved(empty, words, wordings[0].amount)


def extend_all(
    backbone: Backbone,
    source: Conditioning,
    prompts: Sequence[str],
    differences: Sequence[tuple[DiffTokens, float]],
    wordings: Sequence[Wording] | None = None,
) -> Conditioning:
    """{prompt_B, w1 * D1, w2 * D2, ...}, where ``source`` is the conditioning of ``prompts``.

    With wordings, the prompt's own words follow the differences, h + amount * (h(new words) -
    h(old words)), and the tokens add what those words do not say: w * D less ``share`` of the part
    of w within [-1, 1].
    """
    if wordings is None:
        for tokens, strength in differences:
            source = source.extend(tokens, strength)
        return source
    target = source
    new_prompts = [wording.prompt for wording in wordings]
    if new_prompts != list(prompts):
        both = answers.conditioning(backbone, [*prompts, *new_prompts])
        old, new = both[: len(prompts)], both[len(prompts) :]
        target = target.moved(old, new, wordings[0].amount)
    for i, (tokens, strength) in enumerate(differences):
        left = [strength - wording.shares[i] * within_unit(strength) for wording in wordings]
        factors = torch.tensor(left, device=tokens.values.device)
        target = target.extend(tokens.scaled(factors)) if strength else target
    return target


def within_unit(strength: float) -> float:
    """The part of a strength that words can say: they are there or not, but not more than there."""
    return max(-1.0, min(1.0, strength))


def check_budget(backbone: Backbone, prompts: Sequence[str], tokens: Sequence[DiffTokens]) -> None:
    """Refuse prompts that would be cut off: input-space tokens share the prompt's budget."""
    extra = sum(t.values.shape[1] for t in tokens if t.space == "input")
    for prompt in prompts:
        used = backbone.count_tokens(prompt)
        if used + extra > backbone.token_budget:
            raise UsageError(
                f"The prompt takes {used} tokens and the differences {extra}, more than the"
                f" {backbone.token_budget} of {backbone.id}: shorten the prompt ({prompt[:60]!r})."
            )


@torch.no_grad()
def edit_latents(
    backbone: Backbone,
    latents: Tensor,
    source: Conditioning,
    target: Conditioning,
    editor: Editor,
    settings: ApplicationSettings,
    on_step: OnStep | None = None,
    path: Trajectory | None = None,
    mask: Tensor | None = None,
    away: Conditioning | None = None,
) -> Tensor:
    """The latents of B' [n, c, h, w] from those of B, going from ``source`` to ``target``.

    ``path`` is B's trajectory under the same settings, and ``mask`` [n, 1, h, w] the difference's
    mask, if the caller already has them. On the way to ``target`` guidance leads away from
    ``away`` rather than from the negative prompt, if it is given.
    """
    empty = backbone.encode_prompts([settings.negative_prompt] * len(latents))
    scale = settings.guidance_scale
    if path is None:
        path = editor.trajectory(
            backbone, latents, source, empty, settings.steps, scale, settings.seed
        )
    if mask is None and settings.mask:
        mask = _mask(backbone, latents, source, target, settings, None)
    return denoise(backbone, path, target, empty if away is None else away, scale, mask, on_step)


def _mask(
    backbone: Backbone,
    latents: Tensor,
    source: Conditioning,
    target: Conditioning,
    settings: ApplicationSettings,
    allowed: Tensor | None,
) -> Tensor | None:
    """The difference's mask where B may change at all."""
    mask = None
    if settings.mask:
        mask = grown(difference_mask(backbone, latents, source, target), settings.mask_grow)
    if allowed is None:
        return mask
    allowed = resize_mask(allowed, latents)
    return allowed if mask is None else mask * allowed


def denoise(
    backbone: Backbone,
    path: Trajectory,
    target: Conditioning,
    empty: Conditioning,
    guidance_scale: float,
    mask: Tensor | None,
    on_step: OnStep | None = None,
) -> Tensor:
    """Follow a trajectory with another prompt; outside ``mask`` [n, 1, h, w] it stays B."""
    sample = path.samples[0]
    eta = 0.0 if path.corrections is None else 1.0
    pairs = timestep_pairs(path.timesteps)
    for i, (t, t_prev) in enumerate(pairs):
        sample = ddpm_mean(backbone, sample, t, t_prev, target, empty, guidance_scale, eta)
        if path.corrections is not None:
            sample = sample + path.corrections[i]
        if mask is not None:
            sample = mask * sample + (1 - mask) * path.samples[i + 1]
        if on_step:
            on_step(i + 1, len(pairs))
    return sample


def resize_mask(mask: Tensor, latents: Tensor) -> Tensor:
    """A pixel mask [n, 1, H, W] as a latent mask [n, 1, h, w], by the mean of each area."""
    return F.interpolate(mask, size=latents.shape[-2:], mode="area")


@torch.no_grad()
def difference_mask(
    backbone: Backbone, latents: Tensor, source: Conditioning, target: Conditioning
) -> Tensor:
    """Where a difference acts on B: a soft mask [n, 1, h, w] in [0, 1].

    The mean over three timesteps and two noises of
    |noise_pred({prompt_B, D}) - noise_pred(prompt_B)| / a_t, blurred 3x3, as a share of
    its 97th percentile, on a ramp. A difference that acts on most of the picture gets all of it.
    """
    total = latents.new_zeros(len(latents), 1, *latents.shape[-2:])
    for i, share in enumerate(share for share in _MASK_SHARES for _ in range(_MASK_NOISES)):
        times = rows(backbone.schedule.timestep(share), latents)
        level = backbone.schedule.at(times)
        noise = seeded_noise(latents[:1].shape, 7919 + i, latents.device)
        noisy = add_noise(latents, noise, level)
        plain, changed = _two_predictions(backbone, noisy, times, source, target)
        kind = backbone.prediction_type
        change = predicted_noise(noisy, changed, level, kind) - predicted_noise(
            noisy, plain, level, kind
        )
        total += change.abs().mean(1, keepdim=True) / level.a
    return ramp_mask(blur(total))


def grown(mask: Tensor, percent: float) -> Tensor:
    """A mask [n, 1, h, w] grown on all sides by a share of its longer side."""
    radius = round(percent / 100 * max(mask.shape[-2:]))
    return F.max_pool2d(mask, 2 * radius + 1, stride=1, padding=radius) if radius else mask


def ramp_mask(change: Tensor) -> Tensor:
    """A mask from the change [n, 1, h, w]: see :func:`difference_mask`."""
    top = torch.quantile(change.flatten(1), 0.97, dim=1).clamp_min(1e-9)[:, None, None, None]
    low, high = _MASK_RAMP
    share = change / top
    mask = ((share - low) / (high - low)).clamp(0, 1)
    everywhere = (share > 0.5).float().mean((1, 2, 3), keepdim=True) > 0.5
    return torch.where(everywhere, torch.ones_like(mask), mask)


def _two_predictions(
    backbone: Backbone,
    noisy: Tensor,
    times: Tensor,
    source: Conditioning,
    target: Conditioning,
) -> tuple[Tensor, Tensor]:
    if source.prompt_embeds.shape == target.prompt_embeds.shape:
        both = concatenate(source, target)
        twice = noisy.repeat(2, 1, 1, 1)
        plain, changed = answers.prediction(backbone, twice, times.repeat(2), both).chunk(2)
        return plain, changed
    plain = answers.prediction(backbone, noisy, times, source)
    return plain, answers.prediction(backbone, noisy, times, target)
