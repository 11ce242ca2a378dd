from dataclasses import fields

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from diffinv_diorama.captions import caption
from diffinv_diorama.render import SIZE, Layout, render
from diffinv_diorama.world import (
    ATTRIBUTES,
    EDIT_TYPES,
    Scene,
    all_scenes,
    analogies,
    edits_of,
    held_out_scenes,
    is_held_out,
    random_scene,
    training_scenes,
)


def test_there_are_thousands_of_combinations_and_one_in_twenty_is_held_out():
    everything = set(all_scenes())
    assert len(everything) == 6480
    assert 0.04 < len(held_out_scenes()) / len(everything) < 0.06
    assert set(training_scenes()) | set(held_out_scenes()) == everything
    assert not any(is_held_out(scene) for scene in training_scenes())


def test_labels_name_a_scene():
    for scene in list(all_scenes())[::97]:
        assert Scene.from_labels(scene.labels()) == scene


def test_a_value_that_does_not_exist_is_refused():
    scene = next(all_scenes())
    with pytest.raises(ValueError, match="building must be one of"):
        scene.with_value("building", "skyscraper")


@given(st.integers(0, 10**6))
def test_analogies_are_what_they_say(seed):
    for x in analogies(8, seed):
        attribute = x.edit.attribute
        assert is_held_out(x.b)
        assert is_held_out(x.b_prime)
        assert x.a_prime == x.a.with_value(attribute, x.edit.after)
        assert x.b_prime == x.b.with_value(attribute, x.edit.after)
        for name in ATTRIBUTES:
            same = getattr(x.a, name) == getattr(x.b, name)
            assert same == (name == attribute)


def test_edit_types_take_turns():
    assert [x.edit.kind for x in analogies(16, 0)] == [*EDIT_TYPES, *EDIT_TYPES]


def test_an_unknown_edit_type_is_refused():
    with pytest.raises(ValueError, match="choose from"):
        edits_of("teleport")


def test_a_picture_is_made_by_its_scene_and_seed_alone():
    scene = random_scene(np.random.default_rng(0))
    first, second = np.asarray(render(scene, 5)), np.asarray(render(scene, 5))
    assert first.shape == (SIZE, SIZE, 3)
    assert np.array_equal(first, second)
    assert not np.array_equal(first, np.asarray(render(scene, 6)))


def test_every_value_shows():
    """Changing any attribute to any value changes at least twenty pixels clearly."""
    rng = np.random.default_rng(1)
    for seed, (name, values) in enumerate(list(ATTRIBUTES.items()) * 3):
        scene = random_scene(rng)
        before = np.asarray(render(scene, seed), dtype=int)
        for value in set(values) - {getattr(scene, name)}:
            after = np.asarray(render(scene.with_value(name, value), seed), dtype=int)
            assert (np.abs(after - before).max(-1) > 20).sum() > 20, (scene, name, value)


def test_layouts_vary_in_everything():
    layouts = [Layout.from_seed(seed) for seed in range(20)]
    for field in fields(Layout):
        assert len({getattr(layout, field.name) for layout in layouts}) == 20


def test_captions_vary_and_say_what_is_there():
    rng = np.random.default_rng(2)
    scene = Scene("castle", "red", "night", "snow", "sea", "balloon", "flag")
    texts = {caption(scene, rng) for _ in range(50)}
    assert len(texts) > 45
    assert all("red" in t and "castle" in t and "balloon" in t and "flag" in t for t in texts)
    positions = {t.split().index("castle") for t in texts}
    assert len(positions) >= 4


def test_captions_say_nothing_of_what_is_not_there():
    rng = np.random.default_rng(3)
    scene = Scene("cabin", "blue", "day", "grass", "forest", "none", "none")
    for _ in range(50):
        words = set(caption(scene, rng).split())
        assert not words & {"rainbow", "balloon", "moon", "flag", "windows", "lights"}
