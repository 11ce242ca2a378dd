"""Errors written for people: one sentence that says what to do next."""

from __future__ import annotations


class DiffinvError(Exception):
    """Something went wrong; the message says it all. Exit code 1."""

    exit_code = 1


class UsageError(DiffinvError):
    """The request cannot be carried out as given. Exit code 2."""

    exit_code = 2
