"""``diffinv evaluate judge``: which answer a vision-language model prefers (Table 3)."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ..errors import DiffinvError, UsageError
from .options import PATH, device_option, json_option
from .output import complain, print_json, print_table, stdout_for_data
from .progress import ProgressDisplay

if TYPE_CHECKING:
    from ..evaluation.judge import Score


@click.command(short_help="Ask a vision-language model which answer is better (Table 3).")
@click.argument("run", type=PATH)
@click.option(
    "--judge",
    "judge",
    required=True,
    metavar="NAME[=URL|PATH]",
    help="gpt-4o, qwen2-vl-72b=URL, llama-3.2-90b=URL, endpoint=URL#MODEL, vlm=PATH.",
)
@click.option(
    "--method",
    "methods",
    multiple=True,
    metavar="COLUMN",
    help="A rival to compare with; repeatable. Default: all that did not see B′.",
)
@click.option("--yes", is_flag=True, help="Start without asking.")
@device_option
@json_option
def judge(
    run: Path, judge: str, methods: tuple[str, ...], yes: bool, device: str | None, as_json: bool
) -> None:
    """Show a model our answer and a rival's for each triplet of the comparison in the folder RUN,
    in both orders, and count what it prefers.

    What it says is kept there: the same command goes on where it stopped and asks nothing twice. A
    server's key is read from DIFFINV_ENDPOINT_KEY.
    """
    with stdout_for_data():
        from ..evaluation.comparing import contestants, open_run
        from ..evaluation.judge import Jury, cost_of, judge_of
        from ..evaluation.tables import OURS
        from ..running.models import choose_device
        from ..running.progress import Progress
        from .study import chosen

        opened = open_run(run)
        columns = chosen(opened, (OURS, *methods)) if methods else contestants(opened)
        if OURS not in columns:
            raise UsageError(f"The comparison in {str(run)!r} has no column {OURS!r}.")
        asked, name, preset = judge_of(judge, choose_device(device))
        jury = Jury(opened, name, OURS, [column for column in columns if column != OURS])
        faults: list[str] = []
        if left := len(jury.open_questions()):
            _consent(cost_of(left, preset.prices if preset else None), yes)
            with ProgressDisplay() as show:
                faults = jury.ask(asked, lambda done, all: show(Progress("Judging", done, all)))
    scores = jury.scores()
    if not scores and faults:
        raise DiffinvError(faults[-1])
    if as_json:
        print_json(json.loads(json.dumps({rival: asdict(s) for rival, s in scores.items()})))
    else:
        print_table(
            ["OURS AGAINST", "wins", "both orders agree", "ties", "refusals", "asked"],
            [(rival, *_cells(score)) for rival, score in scores.items()],
        )
    if faults:
        left = len(jury.open_questions())
        raise DiffinvError(
            f"{left} questions have no answer, the last because: {faults[-1]} "
            "The same command asks them again."
        )


def _consent(cost: str, yes: bool) -> None:
    """Say what it costs, and go on only if that is wanted."""
    complain(f"{cost}.")
    if yes:
        return
    if not sys.stdin.isatty():
        raise UsageError("Say --yes to start.")
    if not click.confirm("Start?", default=False, err=True):
        raise click.Abort


def _cells(score: Score) -> tuple[str, ...]:
    wins = score.wins
    low, high = 100 * wins.low, 100 * wins.high
    shown = f"{100 * wins.mean:.1f} % [{low:.1f}, {high:.1f}]" if wins.n else "–"
    agrees = "–" if score.agrees != score.agrees else f"{100 * score.agrees:.0f} %"
    return (shown, agrees, str(score.ties), str(score.refusals), str(score.asked))
