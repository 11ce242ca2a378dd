"""The tables of ``docs/recipe.md``: one change of the recipe per row, on the same analogies.

    python benchmarks/recipe.py [--count 80] [--seed 1] [--case hard] [--group ablations]

Each row is evaluated once and kept in the state folder, so an interrupted run goes on where it
stopped. The tokens are judged alone: prompts keep their words, except in the row that says so.
The last column counts the analogies that the row gets right and the default does not, and vice
versa, with the two-sided sign test's p.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict, replace
from math import comb
from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save_file

from diffinv.contracts import DiffTokens
from diffinv.evaluation.statistics import bootstrap
from diffinv.method.settings import ApplicationSettings, inversion_settings
from diffinv_diorama.cases import CASES, Case, analogies_of
from diffinv_diorama.command import load_parts
from diffinv_diorama.evaluation import Batch, Parts, Row, score

Change = dict[str, Any]

GROUPS: dict[str, dict[str, Change]] = {
    "ablations": {
        "default": {},
        "no token consistency (clip loss alone)": {"lambda_tc": 0.0, "lambda_clip": 1.0},
        "no delta interpolation (image delta alone)": {"alpha": 0.0},
        "no zero start (init 0.1)": {"init_std": 0.1},
        "no zero start (init 1)": {"init_std": 1.0},
        "no clip loss": {"lambda_clip": 0.0},
        "no weighting by change": {"weight_by_change": False},
    },
    "losses": {
        "L_tc squared (mse)": {"tc_norm": "mse"},
        "lambda_clip 0.6": {"lambda_clip": 0.6},
        "lambda_clip 6": {"lambda_clip": 6.0},
        "the paper's lambdas and norm": {
            "tc_norm": "norm",
            "lambda_tc": 0.01,
            "lambda_clip": 6.0,
        },
    },
    "alpha": {f"alpha {x}": {"alpha": x} for x in (0.0, 0.2, 0.4, 0.6, 1.0)},
    "steps": {
        "lr 0.03": {"lr": 0.03},
        "lr 0.3": {"lr": 0.3},
        "20 steps": {"steps": 20},
        "40 steps": {"steps": 40},
    },
    "tokens": {
        **{
            f"{space}, n = {n}": {"token_space": space, "tokens": n}
            for space in ("input", "output")
            for n in ((1, 3, 5, 8) if space == "input" else (5,))
        },
        "additive, n = 2": {"tokens": 2},
        "input, n = 5, lr 0.03": {"token_space": "input", "tokens": 5, "lr": 0.03},
    },
    "prompts": {"PEZ prompts": {"prompter": "pez"}},
    "application": {
        "prompts reworded": {"reword": True},
        "no mask": {"mask": False},
        "mask not grown": {"mask_grow": 0.0},
        "editor ddim": {"editor": "ddim"},
        "editor sdedit": {"editor": "sdedit"},
        "guidance 1": {"guidance_scale": 1.0},
        "guidance 3": {"guidance_scale": 3.0},
        "guidance 5": {"guidance_scale": 5.0},
        "10 sampling steps": {"sampling_steps": 10},
    },
    "paper": {
        "preset paper": {"preset": "paper"},
        "preset paper, captions as prompts": {"preset": "paper", "prompter": "caption"},
    },
}

_PAPER: Change = {"preset": "paper", "prompter": "caption", "steps": 200}
GROUPS["paper form"] = {
    **{f"lr {lr}": {**_PAPER, "lr": lr} for lr in (0.003, 0.01, 0.03, 0.1)},
    "lr 0.03, squared norm": {**_PAPER, "lr": 0.03, "tc_norm": "mse"},
    "lr 0.03, editor ddim": {**_PAPER, "lr": 0.03, "editor": "ddim"},
    "lr 0.03, guidance 5": {**_PAPER, "lr": 0.03, "guidance_scale": 5.0},
    "lr 0.03, input space": {**_PAPER, "lr": 0.03, "token_space": "input"},
    "lr 0.03, weighted": {**_PAPER, "lr": 0.03, "weight_by_change": True},
    "lr 0.03, additive": {**_PAPER, "lr": 0.03, "token_space": "additive", "tokens": 1},
}
"""What the paper leaves open, and each of our additions to it, on captions and 200 steps."""

APPLICATION = {"mask", "mask_grow", "reword", "editor", "guidance_scale", "sampling_steps"}


def evaluate_row(
    change: Change, count: int, seed: int, case: Case, parts: dict[str, Parts], learned: Path
) -> list[Row]:
    """The rows of difference inversion under one change of the default.

    A change that affects only the application reuses the default's tokens, from the file
    ``learned``.
    """
    learning = {k: v for k, v in change.items() if k not in APPLICATION}
    inversion = inversion_settings(learning.pop("preset", "default"), **learning)
    names = {"sampling_steps": "steps"}
    applying = {names.get(k, k): v for k, v in change.items() if k in APPLICATION}
    application = replace(ApplicationSettings(reword=False), **applying)
    if application.editor not in parts:
        parts[application.editor] = load_parts(application.editor)
    chosen = analogies_of(case, count, seed)
    batch = Batch(chosen, parts[application.editor], inversion, application, seed=0)
    as_default = inversion == inversion_settings()
    if as_default and learned.exists():
        known = load_file(learned)["tokens"].to(batch.parts.backbone.device)
        batch.__dict__["tokens"] = DiffTokens(known, inversion.token_space)
    rows = score(batch, "difference-inversion")
    if as_default:
        save_file({"tokens": batch.tokens.values.contiguous()}, learned)
    return rows


def sign_test(wins: int, losses: int) -> float:
    """Two-sided p for a split of fair coins at least this uneven."""
    n, k = wins + losses, min(wins, losses)
    return min(1.0, 2 * sum(comb(n, i) for i in range(k + 1)) / 2**n)


def cell(rows: list[Row], name: str) -> str:
    """A mean with its interval."""
    e = bootstrap([getattr(row, name) for row in rows])
    return f"{e.mean:.2f} [{e.low:.2f}, {e.high:.2f}]"


def line(name: str, rows: list[Row], default: list[Row]) -> str:
    """One row of the table."""
    wins = sum(r.right > d.right for r, d in zip(rows, default, strict=True))
    losses = sum(r.right < d.right for r, d in zip(rows, default, strict=True))
    paired = f"+{wins} −{losses} (p = {sign_test(wins, losses):.2f})" if name != "default" else ""
    cells = [cell(rows, score) for score in ("edit", "kept", "right")]
    psnr = bootstrap([row.psnr_true for row in rows]).mean
    return f"| {name} | {' | '.join(cells)} | {psnr:.1f} | {paired} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=32)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--case", choices=CASES, default="plain")
    parser.add_argument("--group", choices=GROUPS, action="append")
    parser.add_argument("--only", default="", help="only rows whose name contains this text")
    parser.add_argument("--state", type=Path, default=Path(".recipe"))
    args = parser.parse_args()
    args.state.mkdir(exist_ok=True)
    parts: dict[str, Parts] = {}

    def rows_of(change: Change) -> list[Row]:
        key = json.dumps(change, sort_keys=True)
        weights = load(parts).backbone.weights_id
        file = args.state / f"{args.case}-{args.seed}-{args.count}-{weights[:8]}.json"
        known = json.loads(file.read_text()) if file.exists() else {}
        if key not in known:
            learned = file.with_suffix(".safetensors")
            rows = evaluate_row(change, args.count, args.seed, args.case, parts, learned)
            known[key] = [asdict(row) for row in rows]
            file.write_text(json.dumps(known))
        return [Row(**row) for row in known[key]]

    default = rows_of({})
    for group in args.group or GROUPS:
        print(f"\n**{group}**\n\n| change | edit | kept | right | PSNR | against default |")
        print("|---|---|---|---|---|---|", flush=True)
        for name, change in GROUPS[group].items():
            if args.only not in name:
                continue
            print(line(name, rows_of(change), default), flush=True)


def load(parts: dict[str, Parts]) -> Parts:
    """The embedded models, loaded only once."""
    editor = ApplicationSettings().editor
    if editor not in parts:
        parts[editor] = load_parts(editor)
    return parts[editor]


if __name__ == "__main__":
    main()
