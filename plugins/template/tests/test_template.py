"""The plugin keeps every promise of the interface: copy this test with it."""

import pytest

from diffinv.conformance import check_part
from diffinv_template.model import Model
from diffinv_template.parts import Captioner, Encoder

PARTS = {"backbone": Model, "captioner": Captioner, "delta encoder": Encoder}


@pytest.mark.parametrize("kind", PARTS)
def test_it_conforms(kind):
    results = check_part(kind, PARTS[kind](None, "cpu"))
    assert [f"{r.name}: {r.detail}" for r in results if not r.passed] == []
