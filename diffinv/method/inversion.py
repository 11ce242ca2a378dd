"""Algorithm 1: learn DIFF tokens from pairs (A, A')."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ..contracts import POOLED, Backbone, Conditioning, DeltaEncoder, DiffTokens
from ..contracts.conditioning import concatenate
from ..errors import DiffinvError
from . import answers, word_tokens
from .deltas import Deltas
from .deltas import deltas as deltas_of
from .objective import change_weight, clip_loss, token_consistency, total_loss
from .sampling import add_noise, training_target
from .settings import InversionSettings
from .word_tokens import WordTable, WordTokens

if TYPE_CHECKING:
    from PIL.Image import Image

_SCORE_DRAWS = 4
"""Number of fixed (timestep, noise) draws on which candidate tokens are scored, at most: scoring
shall not take longer than a fifth of learning."""

_SCORED_AT = (0.75, 1.0)
"""Shares of the run after which the tokens are scored. The last ones are best unless the run has
gone astray: of 24 differences of the embedded model, all 24."""

_WORDS_SCORED_AT = tuple(i / 8 for i in range(9))
"""Words do not become better little by little: the first ones may be the best."""

_ADAM = {"units": "adam.", "pooled": "adam_pooled."}
"""What the optimiser's moments of each part are called in a run's state."""

_LONG = 2.0
"""Tokens this much longer than hidden states drown them; .5 to 1.2 is what works."""


@dataclass(frozen=True)
class Pair:
    """One example: pictures (RGB squares of the backbone's resolution), captions, prompts."""

    a: Image
    a_prime: Image
    caption_a: str
    caption_a_prime: str
    prompt_a: str
    prompt_a_prime: str


@dataclass(frozen=True)
class InversionStep:
    """Progress. Losses are means over the differences learned together."""

    step: int
    steps: int
    loss: float
    tc: float
    clip: float


@dataclass(frozen=True)
class InversionResult:
    """Tokens [k, width], D_inter and the pictures' own delta [d], losses [steps, 3] (total, tc,
    clip), all on the CPU; ``token_scale``, the norm of the tokens beside that of the prompt's
    hidden states (for word embeddings, which are no hidden states, 0); the ``words``, if that is
    what was learned: the tokens are then their embeddings, those brought first; and ``pooled``
    [pooled_width], how the pooled text embedding moves, if that was learned."""

    tokens: Tensor
    delta: Tensor
    delta_image: Tensor
    losses: Tensor
    token_scale: float
    warnings: tuple[str, ...]
    best_step: int
    words: WordTokens | None = None
    pooled: Tensor | None = None


@dataclass(frozen=True)
class _Units:
    """What is learned of n differences, in units of what it joins: ``tokens`` [n, k, width] and,
    if the pooled text embedding is to move, ``pooled`` [n, pooled_width]."""

    tokens: Tensor
    pooled: Tensor | None

    @property
    def named(self) -> dict[str, Tensor]:
        """By the names that they have in a run's state."""
        found = {"units": self.tokens}
        return found if self.pooled is None else {**found, "pooled": self.pooled}


@dataclass(frozen=True)
class _Problem:
    """All pairs of all differences, as one batch of p pairs for n differences."""

    z_a: Tensor
    z_a_prime: Tensor
    prompt_a: Conditioning
    prompt_a_prime: Conditioning
    weight: Tensor | float
    d_inter: Tensor
    unit: Tensor
    """The root mean square of the hidden states that each difference's tokens join, [n, 1, 1]: what
    is learned are multiples of it, so that a learning rate means the same to every model. In the
    input space, where tokens are word embeddings, 1."""
    pooled_unit: Tensor | None
    """The same of the pooled text embedding, [n, 1]; None if that is not to move."""
    owners: Sequence[int]
    """The difference that each pair belongs to."""
    owner: Tensor
    """The same on the device, [p]: a step asks the GPU for nothing, and so never waits for it."""
    pairs: Tensor
    """The number of pairs of each difference, [n]."""
    table: WordTable | None
    """The words to choose from, if words are to be learned."""

    def tokens(self, units: _Units) -> Tensor:
        """What is learned, as the tokens [n, k, width] that it stands for."""
        tokens = units.tokens * self.unit
        return tokens if self.table is None else self.table.project(tokens)

    def pooled(self, units: _Units) -> Tensor | None:
        """How the pooled text embedding moves, [n, pooled_width], if it is to."""
        if units.pooled is None or self.pooled_unit is None:
            return None
        return units.pooled * self.pooled_unit

    def per_difference(self, values: Tensor) -> Tensor:
        """The mean of a per-pair value [p] over each difference's pairs, [n]."""
        count = len(self.d_inter)
        total = values.new_zeros(count).index_add(0, self.owner, values)
        return total / self.pairs


@dataclass(frozen=True)
class _Draw:
    """Timesteps [2p] and noises [2p, c, h, w] of one step: before branch, then after branch."""

    timesteps: Tensor
    noise: Tensor


def invert(
    backbone: Backbone,
    delta_encoder: DeltaEncoder,
    differences: Sequence[Sequence[Pair]],
    settings: InversionSettings,
    seeds: Sequence[int] | None = None,
    on_step: Callable[[InversionStep], None] | None = None,
) -> list[InversionResult]:
    """Learn one difference from each sequence of pairs, independently but in one batch.

    ``seeds`` (one per difference, default ``settings.seed`` for all) decide every random number.
    Raises DiffinvError if the tokens stop being finite.
    """
    inversion = Inversion(backbone, delta_encoder, differences, settings, seeds)
    while not inversion.is_done:
        event = inversion.advance()
        if on_step:
            on_step(event)
    return inversion.results()


class Inversion:
    """A run of Algorithm 1, step by step: see :func:`invert`.

    :meth:`state` after any step, passed to :meth:`load_state` of another run with the same
    arguments, makes that run end with the same tokens, bit for bit.
    """

    def __init__(
        self,
        backbone: Backbone,
        delta_encoder: DeltaEncoder,
        differences: Sequence[Sequence[Pair]],
        settings: InversionSettings,
        seeds: Sequence[int] | None = None,
    ) -> None:
        seeds = list(seeds) if seeds is not None else [settings.seed] * len(differences)
        self.settings, self._backbone = settings, backbone
        self.deltas = _deltas(backbone, delta_encoder, differences, settings)
        table = WordTable(backbone, delta_encoder) if settings.token_space == "words" else None
        self._problem = _prepare(backbone, differences, self.deltas, settings, table)
        self._generators = [torch.Generator().manual_seed(seed) for seed in seeds]
        start = _start(backbone, self._problem, self._generators, settings)
        self._units = start
        for value in start.named.values():
            value.requires_grad_()
        self._optimiser = torch.optim.Adam([*start.named.values()], lr=settings.lr)
        self._fixed = _fixed_draws(backbone, self._problem, settings.steps)
        self._best = _Best(self._units)
        self._losses: list[Tensor] = []

    @property
    def tokens(self) -> Tensor:
        """The tokens so far, [n, k, width]."""
        return self._problem.tokens(self._units)

    @property
    def pooled(self) -> Tensor | None:
        """How the pooled text embedding moves so far, [n, pooled_width], if it is to."""
        return self._problem.pooled(self._units)

    def words(self, tokens: Tensor) -> WordTokens | None:
        """The words of one difference's tokens [k, width], if words are what is learned."""
        table = self._problem.table
        return None if table is None else table.words(tokens)

    @property
    def step(self) -> int:
        """How many steps are done."""
        return len(self._losses)

    @property
    def is_done(self) -> bool:
        """Whether all steps are done."""
        return self.step >= self.settings.steps

    @torch.enable_grad()
    def advance(self) -> InversionStep:
        """One update of the tokens, and their score when it is due."""
        settings, backbone = self.settings, self._backbone
        if self.step == 0:
            self._score_if_due()
        for group in self._optimiser.param_groups:
            group["lr"] = settings.lr * learning_rate_factor(self.step / settings.steps)
        draw = _random_draw(backbone, self._problem, self._generators)
        row = _step(backbone, self._problem, self._units, self._optimiser, draw, settings)
        self._losses.append(row)
        self._score_if_due()
        total, tc, clip = row.mean(0).tolist()
        return InversionStep(self.step, settings.steps, total, tc, clip)

    def _score_if_due(self) -> None:
        settings, problem = self.settings, self._problem
        shares = _SCORED_AT if problem.table is None else _WORDS_SCORED_AT
        shares = shares if self._fixed else shares[-1:]
        if self.step in {math.ceil(share * settings.steps) for share in shares}:
            scores = _score(self._backbone, problem, self._units, self._fixed, settings)
            self._best.offer(self._units, scores, self.step)

    def results(self) -> list[InversionResult]:
        """What was learned, once all steps are done."""
        curves = torch.stack(self._losses, dim=1).cpu()
        best, scales = self._best, self._scales()
        tokens, pooled = self._problem.tokens(best.units), self._problem.pooled(best.units)
        return [
            InversionResult(
                tokens=tokens[i].cpu(),
                delta=found.inter.cpu(),
                delta_image=found.image.cpu(),
                losses=curves[i],
                token_scale=scales[i],
                warnings=(*found.warnings, *_too_long(scales[i])),
                best_step=best.steps[i],
                words=self.words(tokens[i]),
                pooled=None if pooled is None else pooled[i].cpu(),
            )
            for i, found in enumerate(self.deltas)
        ]

    def _scales(self) -> list[float]:
        """The norm of the best tokens beside that of the hidden states they join."""
        units, space = self._best.units.tokens, self.settings.token_space
        if space in ("input", "words"):
            return [0.0] * len(units)
        length = math.sqrt(units.shape[-1])  # of a hidden state, in these units
        norms = units.sum(1).norm(dim=-1) if space == "additive" else units.norm(dim=-1).mean(1)
        return [round(float(norm) / length, 3) for norm in norms]

    def mean_losses(self) -> list[float]:
        """The total loss of every step so far."""
        return [float(row[:, 0].mean()) for row in self._losses]

    def state(self) -> dict[str, Tensor]:
        """Everything the steps have changed, as CPU tensors."""
        found = {"best.scores": self._best.scores, "best.steps": torch.tensor(self._best.steps)}
        if self._losses:
            found["losses"] = torch.stack(self._losses)
        for name, value in self._units.named.items():
            found |= {name: value.detach(), f"best.{name}": self._best.units.named[name]}
            moments = self._optimiser.state.get(value, {})
            found |= {f"{_ADAM[name]}{moment}": rows for moment, rows in moments.items()}
        for i, generator in enumerate(self._generators):
            found[f"generator.{i}"] = generator.get_state()
        found |= _global_random_state(self._backbone.device)
        return {name: value.detach().cpu().clone() for name, value in found.items()}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Go on from where :meth:`state` was taken."""
        device, names = self._backbone.device, list(self._units.named)
        with torch.no_grad():
            for name in names:
                self._units.named[name].copy_(state[name])
                self._best.units.named[name].copy_(state[f"best.{name}"])
        self._best.scores = state["best.scores"].to(device)
        self._best.steps = state["best.steps"].tolist()
        self._losses = list(state["losses"].to(device)) if "losses" in state else []
        adam = self._optimiser.state_dict()
        moments = {i: _starting_with(_ADAM[name], state) for i, name in enumerate(names)}
        adam["state"] = {i: rows for i, rows in moments.items() if rows}
        self._optimiser.load_state_dict(adam)
        for i, generator in enumerate(self._generators):
            generator.set_state(state[f"generator.{i}"])
        _restore_global_random_state(state, device)


def _too_long(scale: float) -> list[str]:
    if scale <= _LONG:
        return []
    return [
        f"The tokens have become {scale:.1f} times as long as the prompt's hidden states, which "
        "they may drown; use fewer steps (--steps) or a smaller learning rate (--lr)."
    ]


def _starting_with(prefix: str, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {
        name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)
    }


def _global_random_state(device: torch.device) -> dict[str, Tensor]:
    """The global generators' states, since a backbone may use them."""
    state = {"random.cpu": torch.get_rng_state()}
    if device.type == "cuda":
        state["random.cuda"] = torch.cuda.get_rng_state(device)
    return state


def _restore_global_random_state(state: Mapping[str, Tensor], device: torch.device) -> None:
    torch.set_rng_state(state["random.cpu"])
    if device.type == "cuda" and "random.cuda" in state:
        torch.cuda.set_rng_state(state["random.cuda"], device)


def learning_rate_factor(progress: float) -> float:
    """1 over the first half, then a cosine down to 0."""
    return 0.5 * (1 + math.cos(math.pi * max(0.0, 2 * progress - 1)))


def _deltas(
    backbone: Backbone,
    encoder: DeltaEncoder,
    differences: Sequence[Sequence[Pair]],
    settings: InversionSettings,
) -> list[Deltas]:
    """Eq 2-4 for each difference."""
    found = []
    for group in differences:
        pictures = [p.a for p in group], [p.a_prime for p in group]
        captions = [p.caption_a for p in group], [p.caption_a_prime for p in group]
        found.append(deltas_of(encoder, pictures, captions, settings.alpha))
        answers.check_space(encoder, backbone, found[-1].inter)
    return found


def _prepare(
    backbone: Backbone,
    differences: Sequence[Sequence[Pair]],
    deltas: Sequence[Deltas],
    settings: InversionSettings,
    table: WordTable | None,
) -> _Problem:
    """Encode everything that stays fixed."""
    pairs = [pair for group in differences for pair in group]
    owners = [i for i, group in enumerate(differences) for _ in group]
    owner = torch.tensor(owners)
    z_a = answers.latents(backbone, [p.a for p in pairs])
    z_a_prime = answers.latents(backbone, [p.a_prime for p in pairs])
    prompt_a = answers.conditioning(backbone, [p.prompt_a for p in pairs])
    return _Problem(
        z_a=z_a,
        z_a_prime=z_a_prime,
        prompt_a=prompt_a,
        prompt_a_prime=answers.conditioning(backbone, [p.prompt_a_prime for p in pairs]),
        weight=_weights(z_a, z_a_prime) if settings.weight_by_change else 1.0,
        d_inter=torch.stack([found.inter for found in deltas]).to(backbone.device),
        unit=_unit(prompt_a, owners, settings, table).to(backbone.device),
        pooled_unit=_pooled_unit(prompt_a, owners).to(backbone.device) if settings.pooled else None,
        owners=owners,
        owner=owner.to(backbone.device),
        pairs=torch.bincount(owner).to(backbone.device),
        table=table,
    )


def _unit(
    prompts: Conditioning,
    owner: Sequence[int],
    settings: InversionSettings,
    table: WordTable | None,
) -> Tensor:
    """The root mean square of the hidden states behind the start token, for each difference; or of
    the embeddings of words."""
    if table is not None:
        return torch.full((max(owner) + 1, 1, 1), table.unit)
    if settings.token_space == "input":
        return torch.ones(max(owner) + 1, 1, 1)
    squares = prompts.prompt_embeds[:, 1:].square().mean((1, 2))
    return _root_mean(squares, owner)[:, None, None]


def _pooled_unit(prompts: Conditioning, owner: Sequence[int]) -> Tensor:
    """The root mean square of the pooled text embedding, for each difference [n, 1]."""
    return _root_mean(prompts.extra[POOLED].square().mean(1), owner)[:, None]


def _root_mean(squares: Tensor, owner: Sequence[int]) -> Tensor:
    """The root of the mean over each difference's pairs [p], [n] on the CPU; 1 where it is 0."""
    owners = torch.tensor(owner)
    total = torch.zeros(max(owner) + 1).index_add(0, owners, squares.cpu())
    root = (total / torch.bincount(owners)).sqrt()
    return torch.where(root > 0, root, 1.0)


def _weights(z_a: Tensor, z_a_prime: Tensor) -> Tensor:
    """Each pair's weight for both branches, [2p, 1, h, w]."""
    return change_weight(z_a, z_a_prime).repeat(2, 1, 1, 1)


def _start(
    backbone: Backbone,
    problem: _Problem,
    generators: list[torch.Generator],
    settings: InversionSettings,
) -> _Units:
    """Zero tokens, the paper's start, or small random ones if asked for; or the words that D_inter
    reads like. What moves the pooled embedding always starts at zero."""
    pooled = None
    if problem.pooled_unit is not None:
        width = problem.prompt_a.extra[POOLED].shape[1]
        pooled = torch.zeros(len(problem.d_inter), width, device=backbone.device)
    return _Units(_start_tokens(backbone, problem, generators, settings), pooled)


def _start_tokens(
    backbone: Backbone,
    problem: _Problem,
    generators: list[torch.Generator],
    settings: InversionSettings,
) -> Tensor:
    if problem.table is not None:
        rows = [
            problem.table.start(direction, settings.tokens, generator)
            for direction, generator in zip(problem.d_inter, generators, strict=True)
        ]
        return torch.stack(rows) / problem.unit
    shape = (settings.tokens, backbone.token_width)
    if settings.init_std == 0:
        return torch.zeros(len(problem.d_inter), *shape, device=backbone.device)
    rows = [torch.randn(shape, generator=g) * settings.init_std for g in generators]
    return torch.stack(rows).to(backbone.device)


def _random_draw(backbone: Backbone, problem: _Problem, generators: list[torch.Generator]) -> _Draw:
    """t_before, t_after ~ U(0, T) and eps_before, eps_after ~ N(0, I), each from its generator."""
    shape = problem.z_a.shape[1:]
    times, noises = [], []
    for owner in problem.owners:
        generator = generators[owner]
        times.append(backbone.schedule.draw(2, generator))
        noises.append(torch.randn(2, *shape, generator=generator))
    timesteps = torch.stack(times, dim=1).flatten().to(backbone.device)
    noise = torch.stack(noises, dim=1).flatten(0, 1).to(backbone.device)
    return _Draw(timesteps, noise)


def _fixed_draws(backbone: Backbone, problem: _Problem, steps: int) -> list[_Draw]:
    """The draws on which the candidates of so long a run are scored; none in one of a few steps,
    whose last tokens are taken unseen."""
    count = min(_SCORE_DRAWS, steps // 5)
    return [_fixed_draw(backbone, problem, (i + 0.5) / count, i) for i in range(count)]


def _fixed_draw(backbone: Backbone, problem: _Problem, share: float, index: int) -> _Draw:
    """The index-th draw, at a share of the noise, the same for every pair."""
    rows = 2 * len(problem.z_a)
    t = backbone.schedule.timestep(share)
    generator = torch.Generator().manual_seed(104729 + index)
    noise = torch.randn(1, *problem.z_a.shape[1:], generator=generator).to(backbone.device)
    timesteps = torch.full((rows,), t, device=backbone.device)
    return _Draw(timesteps, noise.expand(rows, -1, -1, -1))


def _losses(
    backbone: Backbone,
    problem: _Problem,
    units: _Units,
    draw: _Draw,
    settings: InversionSettings,
) -> Tensor:
    """Eq 6-10 for every difference: [n, 3] (total, tc, clip).

    Both branches go through the denoiser in one call: {prompt_A', -D} must give back A,
    {prompt_A, D} must give back A'.
    """
    tokens, pooled = problem.tokens(units), problem.pooled(units)
    latents = torch.cat([problem.z_a, problem.z_a_prime])
    level = backbone.schedule.at(draw.timesteps)
    noisy = add_noise(latents, draw.noise, level)
    prediction = _predict(backbone, problem, tokens, pooled, noisy, draw.timesteps, settings)
    target = training_target(latents, draw.noise, level, backbone.prediction_type)
    per_pair = token_consistency(target, prediction, problem.weight, settings.tc_norm)
    tc = problem.per_difference(per_pair)
    clip = _clip(backbone, tokens, problem)
    return torch.stack([total_loss(tc, clip, settings), tc, clip], dim=1)


def _predict(
    backbone: Backbone,
    problem: _Problem,
    tokens: Tensor,
    pooled: Tensor | None,
    noisy: Tensor,
    timesteps: Tensor,
    settings: InversionSettings,
) -> Tensor:
    """{prompt_A', -D} and {prompt_A, D}: predictions [2p, c, h, w] of both branches."""
    each = tokens[problem.owner]
    before, after = problem.prompt_a_prime, problem.prompt_a
    if settings.token_space == "words":
        return word_tokens.predict(backbone, after, before, each, noisy, timesteps)
    moves = None if pooled is None else pooled[problem.owner]
    diff = DiffTokens(each, settings.token_space, moves)
    both = concatenate(before.extend(diff, -1.0), after.extend(diff, 1.0))
    return answers.prediction(backbone, noisy, timesteps, both)


def _clip(backbone: Backbone, tokens: Tensor, problem: _Problem) -> Tensor:
    """L_clip of each difference, [n]; 0 if the backbone shares no space with pictures."""
    if problem.table is not None:
        return problem.table.clip(tokens, problem.d_inter)
    if backbone.joint_space is None:
        return tokens.new_zeros(len(tokens))
    return clip_loss(backbone.project_tokens(tokens.mean(dim=1)), problem.d_inter)


def _step(
    backbone: Backbone,
    problem: _Problem,
    units: _Units,
    optimiser: torch.optim.Optimizer,
    draw: _Draw,
    settings: InversionSettings,
) -> Tensor:
    """Update the tokens once; return the losses before the update, [n, 3]."""
    row = _losses(backbone, problem, units, draw, settings)
    optimiser.zero_grad(set_to_none=True)
    row[:, 0].sum().backward()
    optimiser.step()
    if not all(torch.isfinite(value).all() for value in units.named.values()):
        raise DiffinvError(
            "The DIFF tokens ceased to be finite; try a smaller learning rate (--lr) or float32."
        )
    return row.detach()


@torch.no_grad()
def _score(
    backbone: Backbone,
    problem: _Problem,
    units: _Units,
    fixed: list[_Draw],
    settings: InversionSettings,
) -> Tensor:
    """The mean loss of each difference over the fixed draws, [n]; zeros if there are none."""
    if not fixed:
        return torch.zeros_like(problem.d_inter[:, 0])
    rows = [_losses(backbone, problem, units, draw, settings)[:, 0] for draw in fixed]
    return torch.stack(rows).mean(0)


class _Best:
    """The best candidates so far."""

    def __init__(self, units: _Units) -> None:
        copies = {name: value.detach().clone() for name, value in units.named.items()}
        self.units = _Units(copies["units"], copies.get("pooled"))
        count = len(units.tokens)
        self.scores = torch.full((count,), math.inf, device=units.tokens.device)
        self.steps = [0] * count

    def offer(self, units: _Units, scores: Tensor, step: int) -> None:
        """Keep the tokens of each difference whose score has fallen."""
        for i in torch.nonzero(scores < self.scores).flatten().tolist():
            for name, value in units.named.items():
                self.units.named[name][i] = value.detach()[i]
            self.scores[i] = scores[i]
            self.steps[i] = step
