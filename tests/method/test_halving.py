"""Batches in two halves: the same numbers, less of them at once."""

from __future__ import annotations

import pytest
import torch
from installing import MODULES

from diffinv.contracts import DiffTokens
from diffinv.method.halving import halved


@pytest.fixture
def toy(monkeypatch):
    """A backbone class that knows the most rows it has been given at once."""
    monkeypatch.syspath_prepend(str(MODULES))
    from toy_model import Toy

    class Counting(Toy):
        most = 0

        def predict(self, noisy, timesteps, conditioning):
            self.most = max(self.most, len(noisy))
            assert len(timesteps) == len(conditioning) == len(noisy)
            return super().predict(noisy, timesteps, conditioning).tanh()

    return Counting


@pytest.mark.parametrize("rows", [1, 2, 5])
def test_predictions_and_gradients_are_those_of_the_whole_batch(toy, rows):
    noisy, timesteps = torch.randn(rows, 3, 4, 4), torch.arange(rows)
    found = []
    for backbone in (toy(None, "cpu"), halved(small := toy(None, "cpu"))):
        values = torch.full((1, 1, 8), 0.3, requires_grad=True)
        prompts = backbone.encode_prompts([f"word {i}" for i in range(rows)])
        prediction = backbone.predict(
            noisy, timesteps, prompts.extend(DiffTokens(values, "additive"))
        )
        prediction.square().sum().backward()
        found.append((prediction.detach(), values.grad))
    assert small.most == (rows + 1) // 2
    for whole, parts in zip(*found, strict=True):
        torch.testing.assert_close(parts, whole)
        assert whole.abs().sum() > 0


def test_everything_else_is_the_backbone_s_own(toy):
    backbone = toy(None, "cpu")
    assert halved(backbone).weights_id == backbone.weights_id
    pictures = torch.rand(3, 3, 16, 16)
    assert torch.equal(halved(backbone).encode_images(pictures), pictures)
