"""The harder analogies: what each case changes, and that its answer is still known."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
import pytest

from diffinv_diorama.cases import CASES, HARD_KINDS, analogies_of, mistaken
from diffinv_diorama.evaluation import _verdict
from diffinv_diorama.world import Scene, analogies, is_held_out


def differing(one: Scene, other: Scene) -> list[str]:
    return [f.name for f in fields(Scene) if getattr(one, f.name) != getattr(other, f.name)]


@pytest.mark.parametrize("case", CASES)
def test_every_case_is_an_analogy_of_unseen_scenes(case):
    found = analogies_of(case, 40, 3)
    assert found == analogies_of(case, 40, 3)
    for analogy in found:
        changed = set(analogy.attributes)
        assert set(differing(analogy.a, analogy.a_prime)) == changed
        assert set(differing(analogy.b, analogy.b_prime)) == changed
        for name in changed:
            assert getattr(analogy.a, name) == getattr(analogy.b, name)
            assert getattr(analogy.a_prime, name) == getattr(analogy.b_prime, name)
        others = {f.name for f in fields(Scene)} - changed
        assert set(differing(analogy.a, analogy.b)) == others
        assert is_held_out(analogy.b)
        assert is_held_out(analogy.b_prime)
        assert len(changed) == 1 + (analogy.second is not None)


def test_what_each_case_changes():
    assert analogies_of("plain", 16, 1) == analogies(16, 1)
    assert all(x.seed_a_prime not in (None, x.seed_a) for x in analogies_of("misaligned", 8, 1))
    assert {x.captions for x in analogies_of("silent", 8, 1)} == {"silent"}
    assert {x.captions for x in analogies_of("mistaken", 8, 1)} == {"mistaken"}
    assert all(x.second for x in analogies_of("double", 8, 1))
    hard = analogies_of("hard", 24, 1)
    assert {x.edit.kind for x in hard} == set(HARD_KINDS)
    assert [bool(x.seed_a_prime) for x in hard[:4]] == [True, False, False, False]
    assert [x.captions for x in hard[:4]] == ["own", "silent", "mistaken", "own"]
    assert [bool(x.second) for x in hard[:4]] == [False, False, False, True]


def test_a_mistake_is_never_about_the_change():
    rng = np.random.default_rng(0)
    for analogy in analogies(40, 2):
        wrong = mistaken(analogy.a, analogy.attributes, rng)
        (name,) = differing(wrong, analogy.a)
        assert name not in analogy.attributes


def test_two_changes_are_right_only_together():
    (analogy,) = analogies_of("double", 1, 5)
    first, second = analogy.attributes
    assert _verdict(analogy.b_prime, analogy.b_prime, analogy.attributes) == (True, True)
    half = analogy.b.with_value(first, getattr(analogy.b_prime, first))
    assert _verdict(half, analogy.b_prime, analogy.attributes) == (False, True)
    assert _verdict(analogy.b, analogy.b_prime, (second,)) == (False, False)
