"""The marks of results, as the app has them in mind and as they are kept beside the results."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path

from diffinv.jobs.marks import Mark, Marks, mark_name, read_marks, set_mark

SIGNS: dict[Mark, str] = {"starred": "★", "kept": "✓", "rejected": "✗"}

FILTERS = ("starred", "kept", "unmarked", "rejected")
"""What may be seen alone."""


class MarkBook:
    """Marks of the folders that were read. Only :meth:`read` and :meth:`keep`, which are for
    threads, touch files."""

    def __init__(self) -> None:
        self._marks: dict[Path, Marks] = {}
        self._writing = threading.Lock()

    def of(self, folder: Path | None, result: Path | None) -> Mark | None:
        """A result's mark."""
        if folder is None or result is None:
            return None
        return self._marks.get(folder, {}).get(mark_name(folder, result))

    def toggle(self, folder: Path, result: Path, mark: Mark) -> None:
        """Mark a result, or take this mark away."""
        marks = self._marks.setdefault(folder, {})
        name = mark_name(folder, result)
        if marks.pop(name, None) != mark:
            marks[name] = mark

    def read(self, folders: Sequence[Path]) -> None:
        """Learn the marks of folders. Raises DiffinvError for one that cannot be read."""
        for folder in folders:
            with self._writing:
                self._marks[folder] = read_marks(folder)

    def keep(self, folder: Path, result: Path) -> None:
        """Write a result's mark as it is by now. Raises DiffinvError if that cannot be done."""
        with self._writing:  # whoever comes last writes what was pressed last
            set_mark(folder, result, self.of(folder, result))
