"""Fails with an exception that cannot even be put in words."""


class UnspeakableError(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no words")


raise UnspeakableError
