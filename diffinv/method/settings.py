"""Every setting of the method, with the two presets. Light: nothing here imports torch."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

from ..contracts import TokenSpace
from ..contracts.conditioning import DifferenceSpace
from ..errors import UsageError

TcNorm = Literal["rms", "mse", "norm"]
TOKEN_SPACES = (*get_args(TokenSpace), "words")
PROMPTERS = ("caption", "pez")

WORDS = 2
"""How many words a difference brings, and takes away, unless something else is asked for."""

MAX_SEED = 2**32 - 1
MAX_TOKENS = 1_000
MAX_LEARNING_STEPS = 1_000_000
MAX_DENOISING_STEPS = 1_000
MAX_RESULTS = 100
MIN_SIDE, MAX_SIDE = 32, 4096
"""Limits of the settings: beyond them is a typing mistake, or fails half-way through."""


@dataclass(frozen=True)
class InversionSettings:
    """How DIFF tokens are learned. The defaults are the ``default`` preset.

    ``alpha`` weights the text delta against the image delta (Eq 4). ``lambda_tc`` and
    ``lambda_clip`` weigh the two losses (Eq 10). ``tc_norm`` is how the residual of the token
    consistency loss is measured: ``rms`` its root mean square, ``mse`` its mean square, ``norm``
    the paper's L2 norm, taken at the size of the paper's latents (4 x 64 x 64) so that it weighs
    the same at any resolution. ``weight_by_change`` weighs the residual by where the pair
    differs. ``init_std`` 0 is the paper's zero start. It and ``lr`` are in units of the hidden
    states' root mean square (in the input space, of 1). ``prompter`` says how the frozen prompts
    are made. With ``pooled`` the difference moves the model's pooled text embedding as well, if it
    has one.

    The model sees the pair with about ``side`` squared pixels, None: with as many as it makes
    itself. ``preview`` is the number of sampling steps of the preview, 0 for none; it has no part
    in what is learned.
    """

    preset: str = "default"
    token_space: DifferenceSpace = "additive"
    tokens: int = 1
    alpha: float = 0.8
    lambda_tc: float = 1.0
    lambda_clip: float = 0.06
    tc_norm: TcNorm = "rms"
    weight_by_change: bool = True
    init_std: float = 0.0
    prompter: str = "caption"
    pooled: bool = False
    steps: int = 80
    lr: float = 0.1
    seed: int = 0
    side: int | None = None
    preview: int = 20


@dataclass(frozen=True)
class ApplicationSettings:
    """How a difference is applied. ``mask`` protects what the difference does not act on; it is
    grown by ``mask_grow`` percent of the picture's longer side, so that what is new may have
    another outline than what was there. Guidance leads away from ``negative_prompt``. ``reword``
    exchanges the words of prompt_B that contradict the difference."""

    editor: str = "edit-friendly"
    steps: int = 20
    guidance_scale: float = 2.0
    mask: bool = True
    seed: int = 0
    mask_grow: float = 8.0
    negative_prompt: str = ""
    reword: bool = True


PRESETS: dict[str, InversionSettings] = {
    "default": InversionSettings(),
    "paper": InversionSettings(
        preset="paper",
        token_space="output",
        tokens=5,
        lambda_tc=0.01,
        lambda_clip=6.0,
        tc_norm="norm",
        weight_by_change=False,
        prompter="pez",
        steps=1000,
        lr=1e-3,
    ),
}
"""``paper``: the paper's wording and constants; steps and learning rate, which it does not give,
are those of VISII, its closest predecessor."""


def inversion_settings(preset: str = "default", **changes: Any) -> InversionSettings:
    """A preset's settings with some of them changed; None means unchanged.

    Tokens that join the prompt's own (input, output) are the paper's five unless ``tokens`` says
    otherwise; in the additive space one vector is added to all of them, and one is enough. Of words
    there are two that are brought and two that are taken away.
    """
    if preset not in PRESETS:
        raise UsageError(f"There is no preset {preset!r}; choose from {', '.join(PRESETS)}.")
    given = {k: v for k, v in changes.items() if v is not None}
    if given.get("token_space") in ("input", "output"):
        given.setdefault("tokens", PRESETS["paper"].tokens)
    if given.get("token_space") == "words":
        given.setdefault("tokens", WORDS)
    return replace(PRESETS[preset], **given)


def check_settings(settings: InversionSettings) -> None:
    """Refuse settings outside their ranges."""
    _check_choice("token space", "--token-space", settings.token_space, TOKEN_SPACES)
    _check_choice("prompter", "--prompter", settings.prompter, PROMPTERS)
    _check_choice("norm of the token consistency", "tc_norm", settings.tc_norm, get_args(TcNorm))
    if settings.pooled and settings.token_space in ("input", "words"):
        raise UsageError(
            "The pooled embedding follows words and input-space tokens by itself; leave out "
            "--pooled, or use --token-space additive or output.",
            neutral="The pooled embedding follows words and input-space tokens by itself.",
        )
    _check_range("number of steps", "--steps", settings.steps, 1, MAX_LEARNING_STEPS)
    _check_range("number of tokens", "--tokens", settings.tokens, 1, MAX_TOKENS)
    _check_range("seed", "--seed", settings.seed, 0, MAX_SEED)
    _check_range(
        "number of steps of the preview", "--preview", settings.preview, 0, MAX_DENOISING_STEPS
    )
    if settings.side is not None:
        _check_range("side in pixels", "--side", settings.side, MIN_SIDE, MAX_SIDE)
    for name in ("lambda_tc", "lambda_clip", "init_std"):
        if not _is_finite(value := getattr(settings, name)) or value < 0:
            raise UsageError(f"The setting {name} is a number from 0 up, not {value!r}.")
    if not (_is_finite(settings.alpha) and 0 <= settings.alpha <= 1):
        raise _refusal("Alpha", "--alpha", f"is between 0 and 1, not {settings.alpha}.")
    if not (_is_finite(settings.lr) and settings.lr > 0):
        raise _refusal("The learning rate", "--lr", f"is a number above 0, not {settings.lr}.")


def check_application_settings(settings: ApplicationSettings) -> None:
    """Refuse settings outside their ranges."""
    _check_range("number of steps", "--steps", settings.steps, 1, MAX_DENOISING_STEPS)
    _check_range("seed", "--seed", settings.seed, 0, MAX_SEED)
    scale = settings.guidance_scale
    if not (_is_finite(scale) and scale >= 0):
        raise _refusal(
            "The guidance scale", "--guidance-scale", f"is a number from 0 up, not {scale}."
        )
    if not (_is_finite(settings.mask_grow) and 0 <= settings.mask_grow <= 100):
        raise _refusal(
            *("The growth of the mask", "--mask-grow"),
            f"is 0 to 100 percent, not {settings.mask_grow}.",
        )


def _check_range(what: str, option: str, value: int, first: int, last: int) -> None:
    whole = isinstance(value, int) and not isinstance(value, bool)
    if not whole or not first <= value <= last:
        raise _refusal(f"The {what}", option, f"is between {first} and {last}, not {value!r}.")


def _check_choice(what: str, option: str, value: object, choices: Sequence[str]) -> None:
    if value not in choices:
        rest = f"{value!r}; choose from {', '.join(choices)}."
        raise _refusal(f"There is no {what}", option, rest)


def _refusal(what: str, option: str, rest: str) -> UsageError:
    return UsageError(f"{what} ({option}) {rest}", neutral=f"{what} {rest}")


def _is_finite(value: object) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)
