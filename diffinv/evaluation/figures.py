"""The paper's figures as columns of one comparison: what is changed, figure by figure.

The first column of each is the method as it is; tables test every other one against it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from .answering import Column

Changes = Mapping[str, Any]


@dataclass(frozen=True)
class Figure:
    """A figure of the paper: its title, and the changed settings behind each column's name."""

    title: str
    columns: Mapping[str, Changes]


FIGURES: Mapping[str, Figure] = {
    "ablation": Figure(
        "The method's parts, each left out (Figure 5)",
        {
            "no-token-consistency": {"lambda_tc": 0.0},
            "no-delta-interpolation": {"alpha": 0.0},
            "no-zero-start": {"init_std": 1.0},
            "no-clip-loss": {"lambda_clip": 0.0},
            "no-weighting": {"weight_by_change": False},
            "no-mask": {"mask": False},
            "no-rewording": {"reword": False},
        },
    ),
    "tokens": Figure(
        "The number of DIFF tokens, and where they join the prompt (Figure 6)",
        {
            f"{space}-{n}": {"token_space": space, "tokens": n}
            for space, counts in (("input", (1, 3, 5, 8)), ("output", (5,)), ("additive", (2,)))
            for n in counts
        },
    ),
    "alpha": Figure(
        "The share of the text delta in D_inter (Figure 7)",
        {f"alpha-{alpha:g}": {"alpha": alpha} for alpha in (0.0, 0.2, 0.4, 0.6, 1.0)},
    ),
}


def figure_columns(figure: Figure, base: Column) -> list[Column]:
    """The base as it is, then one column for every change of the figure."""
    changed = [
        replace(base, name=name, settings=dict(base.settings) | dict(changes))
        for name, changes in figure.columns.items()
    ]
    return [base, *changed]


def transfer_columns(base: Column, backbones: Sequence[str]) -> list[Column]:
    """The same method on other text-to-image models (Figure 8), each under its model's name."""
    others = [replace(base, name=_name(text), backbone=text) for text in backbones]
    return [base, *others]


def _name(backbone: str) -> str:
    """``on-sdxl``, also for ``sdxl=PATH``: a name that folders can have."""
    return f"on-{backbone.partition('=')[0]}"
