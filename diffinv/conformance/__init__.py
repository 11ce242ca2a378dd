"""The conformance kit: checks that a plugin's part keeps the promises of :mod:`diffinv.contracts`.

``diffinv plugins check ID`` runs it; a plugin's own tests can call :func:`check_part`, and
:func:`check_spec` for what is asked before a part is loaded. Each check is a function whose
docstring says what has to hold.
"""

from __future__ import annotations

from .kit import CheckResult, check_part
from .spec import check_spec

__all__ = ["CheckResult", "check_part", "check_spec"]
