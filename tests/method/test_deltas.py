import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional as F

from diffinv.method.deltas import FAINT_DELTA, faint_warning, interpolated_delta, slerp


def vectors(seed, n=2, d=16):
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed))


@given(st.integers(0, 10**6), st.floats(0, 1))
def test_slerp_equals_the_closed_form(seed, alpha):
    p, q = F.normalize(vectors(seed).double(), dim=-1)
    theta = math.acos(float(p @ q))
    expected = (math.sin((1 - alpha) * theta) * p + math.sin(alpha * theta) * q) / math.sin(theta)
    torch.testing.assert_close(slerp(p, q, alpha), expected, atol=1e-9, rtol=0)


@given(st.integers(0, 10**6), st.floats(0, 1))
def test_slerp_stays_on_the_sphere_and_moves_at_constant_speed(seed, alpha):
    p, q = vectors(seed).double()
    between = slerp(p, q, alpha)
    unit = F.normalize(p, dim=-1)
    angle = math.acos(float((unit @ F.normalize(q, dim=-1)).clamp(-1, 1)))
    assert float(between.norm()) == pytest.approx(1, abs=1e-9)
    assert math.acos(float((unit @ between).clamp(-1, 1))) == pytest.approx(alpha * angle, abs=1e-6)


def test_slerp_quarter_turn():
    x, y = torch.eye(2)
    torch.testing.assert_close(slerp(x, y, 0.5), torch.tensor([math.sqrt(0.5)] * 2))


def test_slerp_ignores_the_lengths_of_its_ends():
    p, q = vectors(3)
    torch.testing.assert_close(slerp(10 * p, 0.1 * q, 0.3), slerp(p, q, 0.3))


def test_slerp_of_parallel_ends_is_that_direction():
    p = vectors(1)[0]
    for nearly in (p, p + 1e-7 * vectors(2)[0]):
        torch.testing.assert_close(slerp(p, nearly, 0.4), F.normalize(p, dim=-1), atol=1e-5, rtol=0)


def test_slerp_of_antipodal_ends_runs_over_the_sphere():
    p = F.normalize(vectors(1)[0], dim=-1)
    torch.testing.assert_close(slerp(p, -p, 0.0), p, atol=1e-6, rtol=0)
    torch.testing.assert_close(slerp(p, -p, 1.0), -p, atol=1e-6, rtol=0)
    middle = slerp(p, -p, 0.5)
    assert float(middle.norm()) == pytest.approx(1, abs=1e-6)
    assert float(middle @ p) == pytest.approx(0, abs=1e-6)


def test_slerp_is_batched():
    p, q = vectors(5, 6).chunk(2)
    together = slerp(p, q, 0.8)
    for i in range(3):
        torch.testing.assert_close(together[i], slerp(p[i], q[i], 0.8))


def test_alpha_weights_the_text_delta():
    d_img, d_txt = vectors(7)
    at_text, warning = interpolated_delta(d_img, d_txt, 1.0)
    torch.testing.assert_close(at_text, F.normalize(d_txt, dim=-1), atol=1e-6, rtol=0)
    assert warning is None


@pytest.mark.parametrize("missing", ["text", "image"])
def test_a_missing_delta_leaves_the_other_and_warns(missing):
    there, zero = vectors(7)[0], torch.zeros(16)
    pair = (there, zero) if missing == "text" else (zero, there)
    d_inter, warning = interpolated_delta(*pair, 0.8)
    torch.testing.assert_close(d_inter, F.normalize(there, dim=-1))
    assert "caption" in warning


def test_identical_captions_give_exactly_zero(fixed_encoder):
    from diffinv.method.deltas import text_delta

    assert text_delta(fixed_encoder, ["a red barn"], ["a red barn"]).count_nonzero() == 0


def test_a_faint_delta_is_named_with_its_length():
    clear, faint, none = torch.tensor([0.3, 0.4]), torch.tensor([0.03, 0.0]), torch.zeros(2)
    assert faint_warning(clear, clear) is None
    assert faint_warning(clear, none) is None
    warning = faint_warning(faint, clear)
    assert warning is not None
    assert "the pictures (0.030)" in warning
    assert "captions (" not in warning
    both = faint_warning(faint, faint)
    assert both is not None
    assert "the pictures (0.030) and between the captions (0.030)" in both
    assert faint_warning(torch.tensor([FAINT_DELTA]), clear) is None
