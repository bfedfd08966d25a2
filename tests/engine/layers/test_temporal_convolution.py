"""The history convolution is causal, sees as far as it says, and does not notice padding."""

import pytest
import torch

from engine.layers.temporal_convolution import HistoryConvolution


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return HistoryConvolution(6, blocks=3, kernel=3, convolutions=2, dropout=0.2).eval()


def test_the_receptive_field_is_what_it_says(network):
    """Three blocks with dilations 1, 2, 4 and two convolutions of three steps: 1 + 2 * 2 * 7 = 29 steps; the 30th from the end is unseen."""
    assert network.receptive_field == 29
    steps, real = torch.randn(1, 40, 6), torch.ones(1, 40, dtype=torch.bool)
    before = network(steps, real)
    for age, matters in ((28, True), (29, False)):
        changed = steps.clone()
        changed[0, 39 - age] += 3.0
        assert torch.equal(network(changed, real), before) != matters


def test_the_published_shape_sees_all_forty_visits():
    """Specification §4: 1 + 2 * 3 * 31 = 187."""
    assert HistoryConvolution(4).receptive_field == 187


def test_padding_on_the_left_changes_nothing(network):
    steps = torch.randn(1, 5, 6)
    alone = network(steps, torch.ones(1, 5, dtype=torch.bool))
    padded = torch.cat([torch.full((1, 9, 6), 7.0), steps], dim=1)
    real = torch.arange(14)[None] >= 9
    torch.testing.assert_close(network(padded, real), alone)


def test_an_empty_history_is_a_learned_vector_and_gives_it_gradients(network):
    with torch.no_grad():
        network.nothing.fill_(0.5)
    nothing = network(torch.zeros(2, 0, 6), torch.zeros(2, 0, dtype=torch.bool))
    assert (nothing == 0.5).all()
    mixed = network(torch.randn(2, 4, 6), torch.tensor([[False] * 4, [True] * 4]))
    assert (mixed[0] == 0.5).all() and not (mixed[1] == 0.5).any()
    mixed.sum().backward()
    assert network.nothing.grad is not None and (network.nothing.grad == 1).all()
