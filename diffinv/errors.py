"""Errors written for people: one sentence that says what to do next."""

from __future__ import annotations


class DiffinvError(Exception):
    """Something went wrong; the message says it all. Exit code 1.

    A message may name a command or an option of the command line; ``neutral`` is then the same for
    a front end that has others.
    """

    exit_code = 1

    def __init__(self, message: str = "", neutral: str = "") -> None:
        super().__init__(message)
        self.neutral = neutral or message


class UsageError(DiffinvError):
    """The request cannot be carried out as given. Exit code 2."""

    exit_code = 2
