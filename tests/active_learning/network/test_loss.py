"""What training makes small: right answers cost nothing, unknown ones count for nothing."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from active_learning.network.loss import PatchTruth, depth_loss, network_loss, scale_loss
from active_learning.network.patches import UNKNOWN


def test_the_depth_costs_what_it_is_off():
    depth = torch.tensor([[[0, 254, UNKNOWN]]])
    logits = torch.tensor([[[-20.0, 0.0, 20.0]]])
    assert float(depth_loss(logits, depth)) == pytest.approx(0.25, abs=1e-6)


def test_a_right_scale_costs_least_where_the_network_is_sure_of_it():
    def cost(said: float, width: float) -> float:
        planes = torch.tensor([said, width]).reshape(1, 2, 1, 1)
        return float(scale_loss(planes, torch.tensor([2.0])))

    assert cost(1.0, -2.0) < cost(1.0, 0.0) < cost(0.0, 0.0)
    # Who is far off pays less for having said so.
    assert cost(-2.0, 1.5) < cost(-2.0, -2.0)


def test_an_unknown_scale_costs_nothing_and_teaches_nothing():
    planes = torch.randn(2, 2, 3, 3, requires_grad=True)
    loss = scale_loss(planes, torch.tensor([np.nan, np.nan]))
    loss.backward()
    assert float(loss.detach()) == 0
    assert planes.grad is not None and not planes.grad.any()


def test_what_is_unknown_everywhere_leaves_the_loss_finite():
    unknown = torch.full((1, 4, 4), UNKNOWN)
    truth = PatchTruth(unknown, unknown, unknown, torch.tensor([np.nan]))
    assert np.isfinite(float(network_loss(torch.randn(1, 8, 4, 4), truth)))
