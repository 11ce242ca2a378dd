"""The loss curve: the means that it shows, and the dots that it draws."""

from __future__ import annotations

import math

import pytest

from diffinv_tui.widgets.curve import Curve, braille, running_mean


def test_few_values_are_shown_as_they_are() -> None:
    assert running_mean([]) == []
    assert running_mean([3.0]) == [3.0]
    values = [float(number % 7) for number in range(39)]
    assert running_mean(values) == values


@pytest.mark.parametrize(("count", "reach"), [(40, 1), (79, 1), (80, 2), (400, 10)])
def test_every_point_is_the_mean_of_a_twentieth_around_it(count: int, reach: int) -> None:
    values = [math.sin(number) + number / 50 for number in range(count)]
    means = running_mean(values)
    assert len(means) == count
    for place in range(count):
        around = values[max(0, place - reach) : place + reach + 1]
        assert means[place] == pytest.approx(sum(around) / len(around))


def test_the_ends_are_means_of_what_there_is_of_their_neighbours() -> None:
    means = running_mean([9.0, 0.0, *([3.0] * 36), 0.0, 6.0])
    assert means[:4] == pytest.approx([4.5, 4.0, 2.0, 3.0])
    assert means[-3:] == pytest.approx([2.0, 3.0, 3.0])


def test_noise_is_smoothed_and_a_straight_line_is_kept() -> None:
    zigzag = running_mean([1.0, 3.0] * 200)
    assert max(zigzag) - min(zigzag) < 0.2
    line = [float(number) for number in range(100)]
    assert running_mean(line)[2:-2] == pytest.approx(line[2:-2])


def test_values_that_are_not_finite_are_left_out() -> None:
    curve = Curve()
    curve.show([1.0, math.nan, 2.0, math.inf, 3.0])
    assert curve._values == [1.0, 2.0, 3.0]


def test_a_fall_is_drawn_from_the_top_left_to_the_bottom_right() -> None:
    assert braille([1.0, 0.0], 2, 1) == ["⠙⢦"]
    assert braille([5.0, 5.0], 2, 2) == ["⠉⠉", "⠀⠀"]
