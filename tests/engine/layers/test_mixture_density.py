"""A mixture over the plane is a density, and its two ways of computing agree."""

import math

import pytest
import torch

from engine.layers.mixture_density import MixtureDensity
from engine.probes import override, watch


def one_gaussian(x, y, spread):
    return torch.zeros(1, 1), torch.tensor([[[x, y]]]), torch.tensor([[spread]])


def test_the_density_of_one_gaussian_by_hand():
    """At the centre 1 / (2 pi s^2); one standard deviation away exp(-1/2) of it."""
    points = torch.tensor([[1.0, 2.0], [1.5, 2.0]])
    with torch.no_grad():
        log = MixtureDensity.log_density(one_gaussian(1.0, 2.0, 0.5), points)
    assert log[0, 0].exp() == pytest.approx(1 / (2 * math.pi * 0.25))
    assert (log[0, 1] - log[0, 0]).exp() == pytest.approx(math.exp(-0.5), rel=1e-5)


def test_it_sums_to_one_over_the_plane():
    torch.manual_seed(0)
    network = MixtureDensity(8, 4, least_spread=0.05)
    axis = torch.linspace(-8, 8, 321)
    grid = torch.cartesian_prod(axis, axis)
    with torch.no_grad():
        total = network.log_density(network(torch.randn(3, 8)), grid).exp().sum(1) * (axis[1] - axis[0]) ** 2
    torch.testing.assert_close(total, torch.ones(3), atol=1e-3, rtol=0)


def test_both_ways_and_the_single_point_agree():
    torch.manual_seed(0)
    network = MixtureDensity(8, 4, least_spread=0.01)
    states, points = torch.randn(5, 8), torch.randn(30, 2)
    with_gradients = network.log_density(network(states), points)
    with torch.no_grad():
        exact = network.log_density(network(states), points)
        single = network.log_density_at(network(states), points[:5])
    torch.testing.assert_close(with_gradients, exact, atol=2e-2, rtol=0)
    torch.testing.assert_close(single, exact[torch.arange(5), torch.arange(5)])


def test_no_component_collapses_on_a_point():
    network = MixtureDensity(8, 3, least_spread=0.2)
    with torch.no_grad():
        network.spread.bias.fill_(-1e9)
        log_weights, _, spreads = network(torch.randn(4, 8))
    assert (spreads >= 0.2).all() and torch.isfinite(log_weights).all()


def test_forcing_a_component_leaves_the_others_without_weight():
    torch.manual_seed(0)
    network = MixtureDensity(8, 3, least_spread=0.2)
    states, one = torch.randn(2, 8), torch.tensor([0.0, 1.0, 0.0])
    with torch.no_grad(), override(network, {"weights": lambda value: one.expand_as(value)}):
        log_weights, centres, _ = network(states)
    torch.testing.assert_close(log_weights.exp(), one.expand(2, 3), atol=1e-6, rtol=0)
    with watch(network) as seen:
        network(states, shown=False)
    assert not any(seen.values()), "the training and the layer paths pass no probe"
    assert centres.shape == (2, 3, 2)
