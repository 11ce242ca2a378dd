"""Starts workers: detached, so that they outlive the front end."""

from __future__ import annotations

from .store import JobStore


def ensure_worker(store: JobStore) -> None:
    """Start a worker for every device that jobs wait for and that has none alive. Cheap where
    nothing is to be done."""
    raise NotImplementedError
