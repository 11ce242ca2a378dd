"""Settings that nothing can be done with are refused before anything is loaded."""

from __future__ import annotations

from dataclasses import replace

import pytest

from diffinv.errors import UsageError
from diffinv.jobs.planning import check_application_settings, check_settings
from diffinv.method.settings import PRESETS, ApplicationSettings, InversionSettings


def option(name: str) -> str:
    return rf"\(--{name.replace('_', '-')}\) is .*, not [^.]*(\.\d+)?\.$"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("seed", 10**30),
        ("seed", -1),
        ("tokens", 10**6),
        ("tokens", 0),
        ("steps", 10**12),
        ("steps", 0),
        ("alpha", 1.5),
        ("lr", float("inf")),
    ],
)
def test_settings_of_learning(name, value):
    with pytest.raises(UsageError, match=option(name)):
        check_settings(replace(InversionSettings(), **{name: value}))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("seed", 10**30),
        ("seed", -1),
        ("steps", 10**6),
        ("steps", 0),
        ("guidance_scale", float("nan")),
        ("guidance_scale", -1.0),
    ],
)
def test_settings_of_applying(name, value):
    with pytest.raises(UsageError, match=option(name)):
        check_application_settings(replace(ApplicationSettings(), **{name: value}))


def test_what_is_usual_is_fine():
    for settings in PRESETS.values():
        check_settings(replace(settings, seed=2**32 - 1))
    check_application_settings(ApplicationSettings(seed=2**32 - 1, steps=1000))
