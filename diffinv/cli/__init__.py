"""The command line. Importing this imports nothing; :func:`main` does."""

from __future__ import annotations

import sys


def main() -> None:
    """The ``diffinv`` command."""
    try:
        from .app import run

        sys.exit(run())
    except KeyboardInterrupt:
        sys.exit(130)
