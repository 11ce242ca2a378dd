"""What a backbone promises: see :class:`diffinv.contracts.Backbone`."""

from __future__ import annotations

import math
from typing import Any, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..contracts import (
    CLEAN,
    POOLED,
    Backbone,
    Conditioning,
    DiffTokens,
    PredictionType,
    Timestep,
    TokenSpace,
)
from ..method.sampling import add_noise, training_target
from ..pictures.framing import model_size
from ..pictures.tensors import to_tensor
from .kit import Check, require
from .tensors import check_detached, check_same, check_tensor, distance, example_images, noise

_PROMPTS = ("a red house by the sea", "two dogs")
_ROWS = 1e-3
"""How far a row may change with its batch: libraries add up in another order."""


def attributes_are_there(backbone: Backbone) -> None:
    """The attributes of a backbone exist and have the right types."""
    texts = ["id", "weights_id"]
    if backbone.joint_space is not None:
        texts.append("joint_space")
    for name in texts:
        value = getattr(backbone, name)
        require(isinstance(value, str) and bool(value), f"{name} is {value!r}, not a text")
    for name in ("resolution", "token_budget", "token_width"):
        value = getattr(backbone, name)
        right = isinstance(value, int) and not isinstance(value, bool) and value > 0
        require(right, f"{name} is {value!r}, not a whole number above 0")
    require(isinstance(backbone.device, torch.device), "device is not a torch.device")


def prediction_type_is_known(backbone: Backbone) -> None:
    """prediction_type is epsilon, v_prediction, flow or sample."""
    known = get_args(PredictionType)
    kind = backbone.prediction_type
    require(kind in known, f"it is {kind!r}, not one of {', '.join(known)}")


def noise_schedule_leads_to_noise(backbone: Backbone) -> None:
    """schedule.at gives float32 a and s in [0, 1]: a falls to noise and s grows, strictly, from no
    noise at CLEAN."""
    shares = [0.05 * i for i in range(1, 20)]
    grown = [backbone.schedule.timestep(share) for share in shares]
    require(grown == sorted(grown), "schedule.timestep does not grow with its share")
    times = torch.tensor([CLEAN, *sorted(set(grown))], device=backbone.device)
    level = backbone.schedule.at(times)
    shape = (len(times), 1, 1, 1)
    a, s = (check_tensor(x, n, shape).flatten() for x, n in ((level.a, "a"), (level.s, "s")))
    inside = all(bool((x >= 0).all() and (x <= 1).all()) for x in (a, s))
    require(inside, "a or s leaves [0, 1]")
    require((float(a[0]), float(s[0])) == (1, 0), "a is not 1, or s not 0, at CLEAN")
    require(bool((a.diff() < 0).all()), "a does not fall from each timestep to the next")
    require(bool((s.diff() > 0).all()), "s does not grow from each timestep to the next")
    a2, s2 = level.a2.flatten(), level.s2.flatten()
    squares = torch.allclose(a2, a * a) and torch.allclose(s2, s * s, atol=1e-6)
    right = squares and torch.allclose(a2 + s2, level.total.flatten())
    require(right, "a2, s2 and total are not the squares of a and s, and their sum")


def draws_are_timesteps(backbone: Backbone) -> None:
    """schedule.draw gives random timesteps of the schedule, the same for the same generator."""
    one, two = (backbone.schedule.draw(64, torch.Generator().manual_seed(0)) for _ in range(2))
    require(tuple(one.shape) == (64,), f"it gives the shape {list(one.shape)} for 64")
    require(torch.equal(one, two), "the same generator gives two draws")
    require(len(set(one.tolist())) > 1, "all draws are the same")
    wrong = backbone.schedule.refused(one.tolist())
    require(wrong is None, f"a draw is none of its timesteps: {wrong}")


def timesteps_descend(backbone: Backbone) -> None:
    """timesteps(n) gives n of the schedule's timesteps, strictly descending."""
    for steps in (1, 2, 20):
        found = backbone.timesteps(steps)
        require(isinstance(found, list), f"timesteps({steps}) is a {type(found).__name__}")
        require(len(found) == steps, f"timesteps({steps}) has {len(found)}: {found}")
        require(found == sorted(set(found), reverse=True), f"{found} does not descend")
        wrong = backbone.schedule.refused(found)
        require(wrong is None, str(wrong))


def latents_are_latents(backbone: Backbone) -> str:
    """encode_images gives [n, c, h, w] float32 on the backbone's device, without a gradient."""
    latents = check_tensor(_latents(backbone), "the result", (2, None, None, None))
    check_detached(latents, "the result")
    device = latents.device.type
    require(device == backbone.device.type, f"the result is on {device}, not {backbone.device}")
    return f"[n, {', '.join(str(length) for length in latents.shape[1:])}]"


def encoding_repeats(backbone: Backbone) -> None:
    """The same pictures give the same latents, others different ones."""
    latents = _latents(backbone)
    check_same(latents, _latents(backbone), "encoding twice gives two results")
    require(distance(latents[0], latents[1]) > 0, "two pictures have the same latents")


def encoding_ignores_the_batch(backbone: Backbone) -> None:
    """The latents of a picture do not depend on the others in the batch."""
    alone = backbone.encode_images(_images(backbone)[:1])
    check_same(_latents(backbone)[:1], alone, "a picture alone has different latents", _ROWS)


def decoding_gives_pictures(backbone: Backbone) -> None:
    """decode gives [n, 3, resolution, resolution] float32 in about [-1, 1], without a gradient."""
    side = backbone.resolution
    images = check_tensor(_round_trip(backbone), "the result", (2, 3, side, side))
    check_detached(images, "the result")
    top = float(torch.quantile(images.abs().flatten()[: 2**22], 0.95))
    require(top <= 2, f"values reach {top:.3g}; pictures lie in [-1, 1]")


def sizes_are_kept(backbone: Backbone) -> str:
    """With a size_multiple, wide and tall pictures come back as large, and have predictions."""
    multiple = getattr(backbone, "size_multiple", None)
    if multiple is None:
        return f"squares of {backbone.resolution} alone"
    right = type(multiple) is int and multiple > 0
    require(right, f"size_multiple is {multiple!r}, neither None nor a whole number above 0")
    shapes = ((3, 2), (2, 3))
    for width, height in (model_size(shape, backbone.resolution, multiple) for shape in shapes):
        images = F.interpolate(_images(backbone), (height, width))
        latents = check_tensor(backbone.encode_images(images), "latents", (2, None, None, None))
        check_tensor(backbone.decode(latents), f"{width} x {height}", (2, 3, height, width))
        times = torch.full((2,), backbone.schedule.timestep(0.5), device=backbone.device)
        prompts = backbone.encode_prompts(list(_PROMPTS))
        found = backbone.predict(latents, times, prompts)
        check_tensor(found, f"the prediction at {width} x {height}", tuple(latents.shape))
    return f"multiples of {multiple}"


def decoding_repeats(backbone: Backbone) -> None:
    """The same latents give the same picture, others a different one."""
    images = _round_trip(backbone)
    check_same(images, _round_trip(backbone), "decoding twice gives two results")
    require(distance(images[0], images[1]) > 0, "two pictures come back as the same")


def round_trip_is_measured(backbone: Backbone) -> str:
    """decode(encode_images(x)) can be compared with x (how close it comes is for you to judge)."""
    images, again = _images(backbone), _round_trip(backbone)
    require(again.shape == images.shape, f"{list(images.shape)} comes back as {list(again.shape)}")
    error = float(F.mse_loss(again, images))
    return f"{10 * math.log10(4 / max(error, 1e-10)):.1f} dB"


def prompts_become_conditioning(backbone: Backbone) -> str:
    """encode_prompts gives a Conditioning: one row per prompt, hidden states of token_width."""
    found = backbone.encode_prompts(list(_PROMPTS))
    require(isinstance(found, Conditioning), f"it gives a {type(found).__name__}")
    width = backbone.token_width
    embeds = check_tensor(found.prompt_embeds, "prompt_embeds", (2, None, width))
    check_detached(embeds, "prompt_embeds")
    require(embeds.shape[1] >= 2, "prompt_embeds has no place after the start token")
    for name, value in found.extra.items():
        require(len(value) == 2, f"extra[{name!r}] has {len(value)} rows for 2 prompts")
    return f"{embeds.shape[1]} x {width}"


def prompts_matter_and_repeat(backbone: Backbone) -> None:
    """The same prompt gives the same hidden states, another prompt different ones."""
    one = backbone.encode_prompts(list(_PROMPTS)).prompt_embeds
    two = backbone.encode_prompts(list(_PROMPTS)).prompt_embeds
    check_same(one, two, "the same prompts have two results")
    require(distance(one[0], one[1]) > 0, "two prompts have the same hidden states")


def any_prompt_is_taken(backbone: Backbone) -> None:
    """Prompts that are empty, far too long or full of odd characters have the usual shape; where
    they have masks, the usual width."""
    usual: tuple[int | None, ...] = tuple(backbone.encode_prompts(["a"]).prompt_embeds.shape)
    for prompt in ("", "word " * 500, "日本 😀 \u202e <|endoftext|> \x00"):
        found = backbone.encode_prompts([prompt])
        shape = usual if found.mask is None else (usual[0], None, usual[2])
        check_tensor(found.prompt_embeds, f"the hidden states of {prompt[:12]!r}", shape)


def tokens_are_counted(backbone: Backbone) -> None:
    """count_tokens is 0 for nothing and grows with the prompt, past the budget too."""
    counts = [backbone.count_tokens(prompt) for prompt in ("", *_PROMPTS[::-1], "word " * 500)]
    require(all(type(count) is int for count in counts), f"it gives {counts}, not ints")
    require(counts[0] == 0, f"the empty prompt takes {counts[0]} tokens")
    require(counts == sorted(set(counts)), f"longer prompts take {counts[1:]} tokens")
    over = counts[-1] > backbone.token_budget
    require(over, f"500 words take {counts[-1]} tokens, within the budget: they cannot be counted")


def prediction_has_the_latents_shape(backbone: Backbone) -> None:
    """predict gives float32 of the noisy latents' shape, the same every time."""
    noisy, times = _noisy(backbone)
    conditioning = backbone.encode_prompts(list(_PROMPTS))
    one = check_tensor(backbone.predict(noisy, times, conditioning), "it", tuple(noisy.shape))
    again = backbone.predict(noisy, times, conditioning)
    check_same(one, again, "predicting twice gives two results")


def prediction_ignores_the_batch(backbone: Backbone) -> None:
    """A row's prediction depends only on its own latents, timestep and prompt."""
    noisy, times = _noisy(backbone)
    conditioning = backbone.encode_prompts(list(_PROMPTS))
    both = backbone.predict(noisy, times, conditioning)
    for row in range(2):
        one = slice(row, row + 1)
        alone = backbone.predict(noisy[one], times[one], conditioning[one])
        check_same(both[one], alone, f"row {row} alone is predicted differently", _ROWS)


def prediction_follows_prompt_and_time(backbone: Backbone) -> None:
    """A different prompt gives a different prediction, and so do different latents."""
    noisy, times = _noisy(backbone)
    same = noisy[:1].expand_as(noisy)
    prompts = backbone.encode_prompts(list(_PROMPTS))
    found = backbone.predict(same, times[:1].expand(2), prompts)
    require(distance(found[0], found[1]) > 0, "the prompt changes nothing")
    one_prompt = backbone.encode_prompts([_PROMPTS[0]] * 2)
    found = backbone.predict(noisy, times[:1].expand(2), one_prompt)
    require(distance(found[0], found[1]) > 0, "the latents change nothing")


def nothing_is_trained(backbone: Backbone) -> None:
    """Every weight is frozen, every network in eval mode: without tokens there is no gradient."""
    for name, network in _networks(backbone):
        trained = [p for p in network.parameters() if p.requires_grad]
        require(not trained, f"{name} has {len(trained)} weights with requires_grad")
        require(not network.training, f"{name} is in training mode; call .eval()")
    noisy, times = _noisy(backbone)
    found = backbone.predict(noisy, times, backbone.encode_prompts(list(_PROMPTS)))
    require(not found.requires_grad, "a prediction without tokens needs a gradient")


def gradient_reaches_the_tokens(backbone: Backbone) -> None:
    """A loss on the prediction has a gradient for zero tokens, in every space it offers."""
    for space in _spaces(backbone):
        start = 0.0 if space == "additive" else 0.1
        values = (start * noise((1, 2, backbone.token_width), 3)).to(backbone.device)
        values = values.requires_grad_()
        _predict_with(backbone, DiffTokens(values, space), 1.0).square().mean().backward()
        found = values.grad
        require(found is not None, f"no gradient reaches the tokens ({space})")
        assert found is not None
        require(bool(torch.isfinite(found).all()), f"the gradient is not finite ({space})")
        require(bool((found != 0).any()), f"the gradient is zero ({space})")


def gradient_reaches_nothing_else(backbone: Backbone) -> None:
    """Learning leaves no gradient on the backbone's own weights."""
    values = torch.zeros(1, 1, backbone.token_width, device=backbone.device, requires_grad=True)
    _predict_with(backbone, DiffTokens(values, "additive"), 1.0).square().mean().backward()
    for name, network in _networks(backbone):
        touched = [p for p in network.parameters() if p.grad is not None]
        require(not touched, f"{name} has {len(touched)} weights with a gradient")


def zero_tokens_are_accepted(backbone: Backbone) -> str:
    """{prompt, 0} can be predicted in every space; in the additive one it is the prompt itself."""
    plain = _predict_with(backbone, None, 0.0)
    for space in _spaces(backbone):
        zeros = torch.zeros(1, 5, backbone.token_width, device=backbone.device)
        found = _predict_with(backbone, DiffTokens(zeros, space), 1.0)
        check_tensor(found.detach(), f"the prediction ({space})", tuple(plain.shape))
        if space == "additive":
            check_same(found, plain, "a zero additive token changes the prediction")
    return ", ".join(_spaces(backbone))


def strength_zero_is_the_prompt(backbone: Backbone) -> None:
    """A difference of strength 0 changes nothing; strengths 1 and -1 change the prediction."""
    plain = _predict_with(backbone, None, 0.0)
    values = noise((1, 1, backbone.token_width), 4).to(backbone.device)
    for space in _spaces(backbone):
        tokens = DiffTokens(values, space)
        found = {weight: _predict_with(backbone, tokens, weight) for weight in (0.0, 1.0, -1.0)}
        check_same(found[0.0], plain, f"strength 0 changes the prediction ({space})")
        for weight in (1.0, -1.0):
            changed = distance(found[weight], plain) > 0
            require(changed, f"strength {weight:g} changes nothing ({space})")
        require(distance(found[1.0], found[-1.0]) > 0, f"the sign changes nothing ({space})")


def pooled_embedding_can_move(backbone: Backbone) -> str:
    """With a pooled_width, extra has a pooled embedding that wide; a difference can move it, either
    way, with a gradient."""
    width = getattr(backbone, "pooled_width", None)
    if width is None:
        return "none"
    right = type(width) is int and width > 0
    require(right, f"pooled_width is {width!r}, neither None nor a whole number above 0")
    extra = backbone.encode_prompts(list(_PROMPTS)).extra
    check_tensor(extra.get(POOLED), f"extra[{POOLED!r}]", (2, width))
    values = torch.zeros(1, 1, backbone.token_width, device=backbone.device)
    moves = noise((1, width), 8).to(backbone.device)
    plain = _predict_with(backbone, None, 0.0)
    still = _predict_with(backbone, DiffTokens(values, "additive", 0 * moves), 1.0)
    check_same(still, plain, "moving the pooled embedding by zero changes the prediction")
    tokens = DiffTokens(values, "additive", moves.requires_grad_())
    up, down = (_predict_with(backbone, tokens, weight) for weight in (1.0, -1.0))
    changed = min(distance(up, plain), distance(down, plain), distance(up, down))
    require(changed > 0, "moving the pooled embedding changes nothing, or the same either way")
    up.square().mean().backward()
    reached = moves.grad is not None and bool((moves.grad != 0).any())
    require(reached, "no gradient reaches what moves the pooled embedding")
    return f"{width} wide"


def prediction_type_is_honoured(backbone: Backbone) -> str:
    """Halfway to noise, the prediction looks like its own prediction type, not the other one."""
    latents = _latents(backbone)
    times = torch.full((2,), _halfway(backbone), device=backbone.device)
    eps = noise(latents.shape, 5).to(latents)
    level = backbone.schedule.at(times)
    noisy = add_noise(latents, eps, level)
    found = backbone.predict(noisy, times, backbone.encode_prompts(["", ""])).detach().flatten()
    kinds: tuple[PredictionType, ...] = get_args(PredictionType)
    targets = {kind: training_target(latents, eps, level, kind).flatten() for kind in kinds}
    alike = {k: float(F.cosine_similarity(found, target, dim=0)) for k, target in targets.items()}
    own = backbone.prediction_type
    other = max((kind for kind in kinds if kind != own), key=alike.__getitem__)
    wrong = alike[other] > 0.6 and alike[other] > alike[own] + 0.1
    figures = f"cosine {alike[own]:.2f} with {own}, {alike[other]:.2f} with {other}"
    require(not wrong, f"it says {own}, but {figures}")
    return figures


def tokens_are_projected(backbone: Backbone) -> str:
    """project_tokens maps [n, token_width] to the joint space, row by row, with a gradient, unless
    there is none."""
    if backbone.joint_space is None:
        return "no joint space: differences are learned by token consistency alone"
    tokens = noise((3, backbone.token_width), 6).to(backbone.device).requires_grad_()
    found = backbone.project_tokens(tokens)
    value = check_tensor(found.detach(), "the result", (3, None))
    require(found.requires_grad, "the result has no gradient for the tokens")
    found.square().sum().backward()
    reached = tokens.grad is not None and bool((tokens.grad != 0).any())
    require(reached, "no gradient reaches the tokens")
    alone = backbone.project_tokens(tokens[:1].detach())
    check_same(value[:1], alone, "a row alone is projected differently", _ROWS)
    return f"{backbone.joint_space}, {value.shape[1]} wide"


CHECKS: list[Check] = [
    attributes_are_there,
    prediction_type_is_known,
    noise_schedule_leads_to_noise,
    draws_are_timesteps,
    timesteps_descend,
    latents_are_latents,
    encoding_repeats,
    encoding_ignores_the_batch,
    decoding_gives_pictures,
    decoding_repeats,
    sizes_are_kept,
    round_trip_is_measured,
    prompts_become_conditioning,
    prompts_matter_and_repeat,
    any_prompt_is_taken,
    tokens_are_counted,
    prediction_has_the_latents_shape,
    prediction_ignores_the_batch,
    prediction_follows_prompt_and_time,
    nothing_is_trained,
    gradient_reaches_the_tokens,
    gradient_reaches_nothing_else,
    zero_tokens_are_accepted,
    strength_zero_is_the_prompt,
    pooled_embedding_can_move,
    prediction_type_is_honoured,
    tokens_are_projected,
]


def _images(backbone: Backbone) -> Tensor:
    return to_tensor(example_images(backbone.resolution)).to(backbone.device)


def _latents(backbone: Backbone) -> Tensor:
    return backbone.encode_images(_images(backbone))


def _round_trip(backbone: Backbone) -> Tensor:
    return backbone.decode(_latents(backbone))


def _noisy(backbone: Backbone) -> tuple[Tensor, Tensor]:
    """Two noisy latents at two timesteps."""
    latents = _latents(backbone)
    shares = (1 / 3, 2 / 3)
    times = torch.tensor([backbone.schedule.timestep(x) for x in shares], device=backbone.device)
    level = backbone.schedule.at(times)
    return add_noise(latents, noise(latents.shape, 1).to(latents), level), times


def _halfway(backbone: Backbone) -> Timestep:
    """The timestep at which there is as much of the latents as of noise."""
    times = [backbone.schedule.timestep(i / 200) for i in range(1, 200)]
    level = backbone.schedule.at(torch.tensor(times, device=backbone.device))
    return times[int((level.a - level.s).abs().argmin())]


def _predict_with(backbone: Backbone, tokens: DiffTokens | None, strength: float) -> Tensor:
    """The prediction for both prompts with the same tokens."""
    noisy, times = _noisy(backbone)
    conditioning = backbone.encode_prompts(list(_PROMPTS))
    if tokens is not None:
        conditioning = conditioning.extend(tokens, strength)
    return backbone.predict(noisy, times, conditioning)


def _spaces(backbone: Backbone) -> list[TokenSpace]:
    """The token spaces offered: input needs a text encoder that can be run again."""
    can_reencode = backbone.encode_prompts([""]).reencode is not None
    return ["additive", "output", "input"] if can_reencode else ["additive", "output"]


def _networks(backbone: Any) -> list[tuple[str, nn.Module]]:
    """The networks a backbone keeps as attributes."""
    found = {name: value for name, value in vars(backbone).items() if isinstance(value, nn.Module)}
    if isinstance(backbone, nn.Module):
        found |= {"the backbone": backbone}
    return list(found.items())
