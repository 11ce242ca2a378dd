"""Needs a module that is not installed."""

import a_module_that_does_not_exist  # noqa: F401
