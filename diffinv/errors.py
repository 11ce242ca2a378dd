"""The errors that a person is meant to read: one sentence that says what to do next."""

from __future__ import annotations


class DiffinvError(Exception):
    """Something went wrong; the message is complete in itself. Exit code 1."""

    exit_code = 1


class UsageError(DiffinvError):
    """The request itself cannot be carried out as it was put. Exit code 2."""

    exit_code = 2
