import math

import pytest
import torch
from torch.nn import functional as F

from diffinv.method.objective import (
    change_weight,
    clip_loss,
    residual_size,
    token_consistency,
    total_loss,
)
from diffinv.method.settings import PRESETS


def learn_direction(loss, steps=200):
    """The cosine that Adam reaches from an exact zero start."""
    target = F.normalize(torch.randn(1, 16, generator=torch.Generator().manual_seed(1)), dim=-1)
    vector = torch.zeros(1, 16, requires_grad=True)
    optimiser = torch.optim.Adam([vector], lr=0.01)
    for _ in range(steps):
        optimiser.zero_grad()
        loss(vector, target).sum().backward()
        optimiser.step()
    return float(F.cosine_similarity(vector.detach(), target))


def test_clip_loss_moves_from_an_exact_zero_start():
    assert learn_direction(clip_loss) > 0.999


def test_plain_cosine_would_not_move():
    def plain(vector, target):
        return 1 - F.cosine_similarity(vector, target)

    start = learn_direction(plain, steps=1)
    assert learn_direction(plain) < start + 0.01


def test_clip_loss_values():
    y = torch.eye(4)[:1]
    assert float(clip_loss(torch.zeros(1, 4), y)) == 1
    assert float(clip_loss(100 * y, y)) == pytest.approx(0, abs=1e-5)
    assert float(clip_loss(-100 * y, y)) == pytest.approx(2, abs=1e-5)


def test_residual_sizes_agree_with_their_definitions():
    residual = torch.randn(3, 4, 64, 64)
    norm = residual.flatten(1).norm(dim=1)
    torch.testing.assert_close(residual_size(residual, "norm"), norm)
    torch.testing.assert_close(residual_size(residual, "rms"), norm / 128)
    torch.testing.assert_close(residual_size(residual, "mse"), (norm / 128) ** 2)


@pytest.mark.parametrize("tc_norm", ["norm", "rms", "mse"])
def test_residual_sizes_do_not_depend_on_resolution(tc_norm):
    small, large = torch.full((1, 4, 8, 8), 0.3), torch.full((1, 4, 64, 64), 0.3)
    torch.testing.assert_close(residual_size(small, tc_norm), residual_size(large, tc_norm))


def test_token_consistency_sums_both_branches():
    target, prediction = torch.zeros(4, 1, 2, 2), torch.zeros(4, 1, 2, 2)
    prediction[0], prediction[2], prediction[3] = 3.0, 4.0, 1.0
    torch.testing.assert_close(
        token_consistency(target, prediction, 1.0, "rms"), torch.tensor([7.0, 1.0])
    )


def test_total_loss_is_equation_10():
    tc, clip = torch.tensor([2.0]), torch.tensor([0.5])
    assert float(total_loss(tc, clip, PRESETS["paper"])) == pytest.approx(0.01 * 2 + 6 * 0.5)


def test_change_weight_finds_where_a_pair_differs():
    z_a = torch.randn(1, 4, 12, 12)
    z_a_prime = z_a.clone()
    z_a_prime[:, :, 8:11, 8:11] += 3
    weight = change_weight(z_a, z_a_prime)[0, 0]
    assert float(weight[9, 9]) == pytest.approx(1.1)
    assert float(weight[2, 2]) == pytest.approx(0.1)


def test_change_weight_is_one_where_most_of_the_picture_differs():
    z_a = torch.zeros(1, 4, 12, 12)
    assert change_weight(z_a, z_a + 2).eq(1).all()
    assert math.isfinite(float(change_weight(z_a, z_a).sum()))
