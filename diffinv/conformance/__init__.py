"""The conformance kit: checks that a plugin's part keeps the promises of :mod:`diffinv.contracts`.

``diffinv plugins check ID`` runs it; a plugin's own tests can call :func:`check_part`. Each check
is a function whose docstring says what has to hold.
"""

from __future__ import annotations

from .kit import CheckResult, check_part

__all__ = ["CheckResult", "check_part"]
