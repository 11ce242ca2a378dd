"""Whatever a plugin registers: its specs are used as they should be, or a row has the reason."""

from __future__ import annotations

import contextlib
import json
import sys
from importlib.metadata import EntryPoint
from types import ModuleType

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from diffinv.contracts import (
    BackboneSpec,
    CaptionerSpec,
    DeltaEncoderSpec,
    EditorSpec,
    MethodSpec,
    WorldSpec,
)
from diffinv.hookspecs import GROUP, hookimpl
from diffinv.plugins.checking import BrokenPluginError
from diffinv.plugins.loading import load_here
from diffinv.plugins.probe import _fields
from diffinv.plugins.registry import Registry
from diffinv.plugins.rows import row_of


class Odd(str):
    """A text of a plugin's own."""

    armed = False

    def __repr__(self) -> str:
        if self.armed:
            raise ValueError("not for you")
        return super().__repr__()


ODD = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=20),
    st.text(max_size=9).map(Odd),
    st.binary(max_size=9),
    st.lists(st.integers(), max_size=3),
    st.dictionaries(st.text(max_size=5), st.integers(), max_size=3),
    st.builds(object),
    st.just("x" * 10_000),
    st.just(10**5000),
)
GOOD = {
    "id": st.sampled_from(["a", "b-1", "c.d"]),
    "title": st.text(max_size=20),
    "factory": st.just("m:f"),
}
KINDS = {
    "register_backbones": BackboneSpec,
    "register_captioners": CaptionerSpec,
    "register_delta_encoders": DeltaEncoderSpec,
    "register_editors": EditorSpec,
    "register_methods": MethodSpec,
    "register_worlds": WorldSpec,
}


@st.composite
def specs(draw: st.DrawFn) -> tuple[str, object]:
    hook = draw(st.sampled_from(sorted(KINDS)))
    kind = KINDS[draw(st.sampled_from([hook, hook, hook, *sorted(KINDS)]))]
    names = [name for name in kind.__dataclass_fields__ if name not in GOOD]
    fields = {name: draw(values | ODD) for name, values in GOOD.items()}
    fields |= {name: draw(ODD) for name in draw(st.sets(st.sampled_from(names), max_size=2))}
    return hook, draw(st.sampled_from([[kind(**fields)], kind(**fields), iter([kind(**fields)])]))


@given(specs() | st.tuples(st.sampled_from(sorted(KINDS)), ODD))
@example(("register_editors", [EditorSpec(Odd("x"), Odd("y"), "m:f")]))
@example(("register_editors", [EditorSpec("x", "y", "m:f", size_mb=10**5000)]))
@example(("register_editors", [EditorSpec("x", "y", "m:f", size_mb=float("nan"))]))
@example(("register_editors", [EditorSpec("x", "y" * 10**6, "m:f")]))
def test_any_answer_is_taken_or_refused(answer):
    hook, value = answer
    module = ModuleType("fuzzed_plugin")
    setattr(module, hook, hookimpl(lambda: value))
    sys.modules["fuzzed_plugin"] = module
    found, entry = Registry(), EntryPoint("fuzzed", "fuzzed_plugin", GROUP)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Odd, "armed", True)
        load_here(found, entry, row_of(entry))
    (row,) = found.rows
    assert row.status in ("ok", "broken")
    assert len(row.error or "") < 1000
    if row.status == "broken":
        assert row.error
        assert row.specs == ()
    for spec in row.specs:
        with contextlib.suppress(BrokenPluginError):
            assert len(json.dumps(_fields(spec))) < 20_000
