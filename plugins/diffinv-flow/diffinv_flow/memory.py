"""How much memory a model will take, and what to do if that is too much.

With low memory (see :mod:`diffinv.system.memory`) there is gradient checkpointing, slices and tiles
in the autoencoder, and on a GPU one part at a time, the others waiting outside. Light: no torch.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from diffinv.contracts import Use
from diffinv.system.memory import LIBRARIES, Choice, autoencoder_peak, choose, free_bytes

from .checkpoints import KLEIN, SD3, Z_IMAGE, Checkpoint, Family, find_checkpoint

_WORDS = 512
"""The most tokens of a prompt."""

_KEPT = 18
"""Numbers that a learning step keeps for each patch or word, in widths of the transformer, for each
layer (counted on all three families: 14.5 to 18.0)."""

_WORK = 30
"""The same for the one layer that is at work, with what is gone after it."""


def preflight(family: Family, use: Use) -> list[str]:
    """A note on the expected peak memory. Raises for a checkpoint that cannot be used."""
    checkpoint = find_checkpoint(family, use.weights, use.additions)
    choice = choose_memory(checkpoint, use.device, use.memory)
    if not use.learning:
        peak = expected_peak(checkpoint, use.device, choice.low, use.pictures)
        choice = replace(choice, peak=peak)
    return [choice.describe(family.id, use.device)]


preflight_z_image = partial(preflight, Z_IMAGE)
preflight_klein = partial(preflight, KLEIN)
preflight_sd3 = partial(preflight, SD3)


def choose_memory(checkpoint: Checkpoint, device: str, asked: str | None = None) -> Choice:
    """Whether to save memory on a device, and the peak of learning with that choice."""
    high, low = (expected_peak(checkpoint, device, low) for low in (False, True))
    return choose(asked, high, low, free_bytes(device))


def expected_peak(
    checkpoint: Checkpoint, device: str, low: bool, pictures: int | None = None
) -> int:
    """An estimate of the peak memory in bytes, of a learning step or, with ``pictures``, of making
    that many at once. It is counted from the settings, not measured on a GPU."""
    on_cpu = device.partition(":")[0] == "cpu"
    item = 4 if on_cpu else 2
    weights = {
        part: checkpoint.parameters(part) * (4 if part == "vae" else item)
        for part in checkpoint.places
    }
    side = checkpoint.number("vae", "sample_size")
    denoising = _denoising(checkpoint, side, item, low, pictures)
    picture = autoencoder_peak(side**2, pictures or 1, low)
    if on_cpu:
        return int(LIBRARIES + sum(weights.values()) + max(denoising, picture))
    if not low:
        return int(sum(weights.values()) + max(denoising, picture))
    at_work = {"transformer": denoising, "vae": picture}
    return int(max(size + at_work.get(part, 0) for part, size in weights.items()))


def _denoising(
    checkpoint: Checkpoint, side: int, item: int, low: bool, pictures: int | None
) -> int:
    """Bytes of the transformer's activations."""
    layers = sum(checkpoint.number("transformer", name) for name in checkpoint.family.depth)
    kept = 0 if pictures else layers * (1 if low else _KEPT)
    # Two rows per pair or picture: before and after, or with and without the prompt.
    rows = 2 * (pictures or 1)
    places = (side // checkpoint.size_multiple) ** 2 + _WORDS
    return int(rows * places * checkpoint.width * (kept + _WORK) * item)
