from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from diffinv.contracts import DiffTokens
from diffinv.errors import UsageError
from diffinv.method.application import apply_differences, edit_latents, ramp_mask
from diffinv.method.editors import Ddim, EditFriendly, SDEdit
from diffinv.method.settings import ApplicationSettings

FAST = ApplicationSettings(steps=4)
PROMPTS = ["a red castle", "a mill by the sea"]


@pytest.fixture
def pictures():
    rng = np.random.default_rng(0)
    return [Image.fromarray(rng.integers(0, 255, (16, 16, 3), dtype=np.uint8)) for _ in range(2)]


def strong(space="additive"):
    return DiffTokens(3 * torch.randn(1, 2, 32, generator=torch.Generator().manual_seed(1)), space)


def pixels(images):
    return np.stack([np.asarray(i, dtype=np.int16) for i in images])


@pytest.mark.parametrize("editor", [Ddim(), SDEdit(), EditFriendly()])
@pytest.mark.parametrize("space", ["additive", "input", "output"])
def test_every_editor_takes_every_space(tiny_backbone, pictures, editor, space):
    made = apply_differences(tiny_backbone, pictures, PROMPTS, [(strong(space), 1.0)], editor, FAST)
    assert [image.size for image in made] == [(16, 16)] * 2


def test_strength_zero_equals_no_difference(tiny_backbone, pictures):
    settings = replace(FAST, mask=False)

    def run(differences):
        return pixels(
            apply_differences(
                tiny_backbone, pictures, PROMPTS, differences, EditFriendly(), settings
            )
        )

    assert np.array_equal(run([(strong(), 0.0)]), run([]))
    assert not np.array_equal(run([(strong(), 1.0)]), run([]))


def test_without_a_difference_edit_friendly_gives_b(tiny_backbone):
    latents = torch.randn(2, 4, 8, 8)
    source = tiny_backbone.encode_prompts(PROMPTS)
    settings = replace(FAST, mask=False)
    edited = edit_latents(tiny_backbone, latents, source, source, EditFriendly(), settings)
    torch.testing.assert_close(edited, latents, atol=1e-3, rtol=1e-3)


def test_same_seed_same_pictures(tiny_backbone, pictures):
    def run(seed):
        settings = replace(FAST, seed=seed)
        made = apply_differences(
            tiny_backbone, pictures, PROMPTS, [(strong(), 1.0)], EditFriendly(), settings
        )
        return pixels(made)

    assert np.array_equal(run(1), run(1))


def test_the_token_budget_is_checked(tiny_backbone, pictures):
    many = DiffTokens(torch.randn(1, 36, 32), "input")
    with pytest.raises(UsageError, match="more than the 38"):
        apply_differences(tiny_backbone, pictures, PROMPTS, [(many, 1.0)], Ddim(), FAST)


def test_the_mask_marks_what_changes_and_spares_the_rest():
    change = torch.zeros(1, 1, 12, 12)
    change[..., 2:6, 2:6] = 1
    mask = ramp_mask(change)
    assert mask[..., 2:6, 2:6].eq(1).all()
    assert mask[..., 8:, 8:].eq(0).all()


def test_a_change_of_everything_is_not_masked():
    assert ramp_mask(torch.ones(1, 1, 12, 12)).eq(1).all()
