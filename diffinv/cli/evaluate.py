"""``diffinv evaluate``: scores for pictures, and what plugins add."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..errors import UsageError
from .comparing import ablation, alpha, methods_command, report, table1, tokens, transfer
from .judging import judge
from .options import PATH, device_option, json_option
from .output import complain, print_json, print_table, stdout_for_data
from .plugin_commands import ExtensibleGroup
from .study import read as read_study
from .study import study

if TYPE_CHECKING:
    from PIL.Image import Image

    from ..evaluation.scores import AnalogyScores

_SCORES = ("directional", "like_b", "like_a_prime")


@click.group(cls=ExtensibleGroup)
def evaluate() -> None:
    """The paper's tables and analogies with known truth."""


for command in (table1, ablation, tokens, alpha, transfer, report, methods_command, study, judge):
    evaluate.add_command(command)
evaluate.add_command(read_study, "table2")
evaluate.add_command(judge, "table3")


@evaluate.command(short_help="Score results by image encoders.")
@click.argument("a", type=PATH)
@click.argument("a_prime", type=PATH)
@click.argument("answers", type=PATH, nargs=-1, required=True, metavar="B B_PRIME...")
@click.option(
    "--delta-encoder",
    "encoders",
    metavar="ID[=PATH]",
    multiple=True,
    required=True,
    help="What looks at the pictures; may be given again.",
)
@device_option
@json_option
def pictures(
    a: Path,
    a_prime: Path,
    answers: tuple[Path, ...],
    encoders: tuple[str, ...],
    device: str | None,
    as_json: bool,
) -> None:
    """Score how well A : A_PRIME :: B : B_PRIME holds, for any number of B and B_PRIME.

    Two folders stand for B's pictures and what 'diffinv apply' made of them. All scores are cosines
    of an encoder's vectors: 'directional' of A to A′ with B to B′, 'like_b' of B′ with B,
    'like_a_prime' of B′ with A′.
    """
    pairs = list(_pairs(answers))
    with stdout_for_data():
        found = {id: _scores(id, device, (a, a_prime), pairs) for id in encoders}
    if as_json:
        print_json({id: _summary(pairs, rows) for id, rows in found.items()})
    else:
        print_table(
            ["encoder", "B′", *_SCORES], [r for i in found for r in _lines(i, pairs, found)]
        )


def _pairs(paths: Sequence[Path]) -> Iterator[tuple[Path, Path]]:
    """(B, B′) from two files, or from two folders."""
    if len(paths) % 2:
        raise UsageError("Name a B_PRIME after every B: pictures, or folders of them.")
    for b, b_prime in zip(paths[::2], paths[1::2], strict=True):
        if b.is_dir() != b_prime.is_dir():
            raise UsageError(f"{str(b)!r} and {str(b_prime)!r}: name two pictures or two folders.")
        yield from _in_folders(b, b_prime) if b.is_dir() else [(b, b_prime)]


def _in_folders(before: Path, after: Path) -> Iterator[tuple[Path, Path]]:
    """Pictures and the results with their names, as 'diffinv apply' writes them."""
    from ..pictures.reading import list_images

    wanted = list_images(before)
    results = [(b, _result_of(after / b.relative_to(before))) for b in wanted]
    found = [(b, result) for b, result in results if result]
    if not found:
        raise UsageError(f"No picture in {str(before)!r} has its result in {str(after)!r}.")
    if len(found) < len(wanted):
        complain(f"{len(wanted) - len(found)} of {len(wanted)} pictures have no result yet.")
    yield from found


def _result_of(like: Path) -> Path | None:
    """The result with a picture's name: in its own format, or else in another."""
    from ..pictures.reading import SUFFIXES

    places = (like.with_suffix(suffix) for suffix in (like.suffix, *SUFFIXES))
    return next((place for place in places if place.is_file()), None)


def _scores(
    text: str, device: str | None, example: tuple[Path, Path], pairs: Sequence[tuple[Path, Path]]
) -> list[AnalogyScores]:
    from ..evaluation.scores import score_analogies
    from ..plugins.loading import registry
    from ..running.models import choose_device
    from ..running.parts import parse_part

    id, weights = parse_part(text)
    spec = registry().get("delta encoder", id)
    a, a_prime = map(_square, example)
    encoder = registry().create(spec, weights, choose_device(device))
    answers = ((_square(b), _square(b_prime)) for b, b_prime in pairs)
    return list(score_analogies(encoder, a, a_prime, answers))


def _square(path: Path) -> Image:
    """The centred square of a picture, which is what every model here sees."""
    from PIL import Image, ImageOps

    from ..pictures.reading import open_image

    image = open_image(path)
    side = min(image.size)
    return ImageOps.fit(image, (side, side), Image.Resampling.LANCZOS)


def _summary(pairs: Sequence[tuple[Path, Path]], rows: Sequence[AnalogyScores]) -> dict[str, Any]:
    from ..evaluation.statistics import bootstrap

    return {
        "mean": {s: asdict(bootstrap([getattr(row, s) for row in rows])) for s in _SCORES},
        "pictures": [
            {"b": str(b), "b_prime": str(b_prime), **asdict(row)}
            for (b, b_prime), row in zip(pairs, rows, strict=True)
        ],
    }


def _lines(
    id: str, pairs: Sequence[tuple[Path, Path]], found: dict[str, list[AnalogyScores]]
) -> Iterator[list[str]]:
    summary = _summary(pairs, found[id])
    for row in summary["pictures"]:
        yield [id, row["b_prime"], *(f"{row[score]:.3f}" for score in _SCORES)]
    if len(pairs) > 1:
        means = (summary["mean"][score] for score in _SCORES)
        yield [id, "mean", *(f"{m['mean']:.3f} [{m['low']:.3f}, {m['high']:.3f}]" for m in means)]
