"""Fails with an exception that cannot even be put in words."""

import builtins
import os


class UnspeakableError(Exception):
    def __str__(self) -> str:
        raise getattr(builtins, os.environ.get("TEST_FAULT", "RuntimeError"))


raise UnspeakableError
