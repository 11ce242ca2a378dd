"""``diffinv-tui``. Nothing heavy is imported before the options are understood."""

from __future__ import annotations

import argparse
import gc
import os
import sys
from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the app, or serve it."""
    options = _parser().parse_args(arguments)
    from diffinv.errors import DiffinvError

    try:
        return _serve(options) if options.serve else _run(options)
    except DiffinvError as error:
        print(error, file=sys.stderr)
        return error.exit_code


def _serve(options: argparse.Namespace) -> int:
    from .serve import serve

    return serve(options.host, options.port)


def _run(options: argparse.Namespace) -> int:
    gc.disable()  # while the app is imported, which leaves no garbage; it goes on in memory.py
    from diffinv.errors import UsageError
    from diffinv.system.streams import kept_for_python

    from .config import load_preferences, preferences_file
    from .pictures import blocks_of, probe

    if not _has_terminal():
        raise UsageError("diffinv-tui needs a terminal; without one, use diffinv.")

    preferences, _ = load_preferences(preferences_file())
    mode = options.pictures or preferences.pictures
    picture_widget, blocks = probe(mode), blocks_of(mode)
    with kept_for_python():
        from .app import DiffinvApp

        app = DiffinvApp(picture_widget=picture_widget, blocks=blocks)
        app.run()
    return app.return_code or 0


def _has_terminal() -> bool:
    """Whether there is a terminal to draw on, or a browser in place of it."""
    streams = (sys.__stdin__, sys.__stderr__)
    return bool(os.environ.get("TEXTUAL_DRIVER")) or all(s and s.isatty() for s in streams)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="diffinv-tui",
        description="Browse differences, learn new ones, watch jobs and apply them to pictures.",
    )
    parser.add_argument(
        "--pictures",
        choices=["auto", "terminal", "blocks", "half", "quadrants", "sextants"],
        help="how pictures are drawn: as finely as the terminal can (auto), by its own protocol "
        "inside tmux too (terminal), out of the finest blocks it has (blocks), or of two, four or "
        "six parts a cell (half, quadrants, sextants); default: as in the settings",
    )
    parser.add_argument("--serve", action="store_true", help="open the app to web browsers")
    parser.add_argument(
        "--host",
        default="localhost",
        help="with --serve: where to listen; default: localhost, for this machine only",
    )
    parser.add_argument("--port", type=int, default=8000, help="with --serve; default: 8000")
    return parser


if __name__ == "__main__":
    sys.exit(main())
