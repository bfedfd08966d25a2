"""Function experts: which are asked, and what they can say at first."""

import torch

from engine.layers.function_experts import FunctionMixture
from engine.layers.routing import Choice
from engine.probes import override, watch


def make(published_start=False, count=2, seed=0):
    torch.manual_seed(seed)
    return FunctionMixture(torch.randn(5, 20), 12, 9, 16, Choice("topk", count=count, renormalise=False), published_start)


def ask(mixture, xy=None):
    torch.manual_seed(1)
    xy = torch.randn(3, 4, 2) if xy is None else xy
    real = torch.ones(3, 4, dtype=torch.bool)
    real[0, :2] = False
    with watch(mixture) as seen:
        said, weights = mixture(xy, torch.randn(3, 4, 9), torch.randn(3, 9), real)
    return said, weights, {name: arrays[0].to_numpy() for name, arrays in seen.items()}


def test_two_of_five_are_asked_with_the_weights_the_router_gave_them():
    said, weights, seen = ask(make())
    assert weights.shape == (10, 5) and torch.allclose(weights.sum(-1), torch.ones(10))
    assert ((seen["routing"] > 0).sum(-1)[1:] == 2).all()
    assert ((seen["routing"] == 0) | (seen["routing"] == seen["raw"])).all(), "not renormalised"
    assert (said[0, :2] == 0).all() and (seen["raw"][0, :2] == 0).all(), "nothing is said about padding"


def test_as_published_experts_see_only_the_diagonal_and_nothing_at_the_centre():
    """Specification §5: v(x) = (x + y) g at first, which vanishes in the middle; ours speaks there and tells x from y."""
    swap = torch.tensor([[0.3, -0.8], [-0.8, 0.3]])
    for published, same in ((True, True), (False, False)):
        mixture = make(published)
        here, mirrored = mixture.answers_at(swap)
        assert torch.allclose(here, mirrored, atol=1e-5) == same
        assert bool((mixture.answers_at(torch.zeros(1, 2)).abs() < 1e-9).all()) == same


def test_forcing_a_function_is_that_expert_alone():
    mixture = make()
    xy, one = torch.randn(3, 4, 2), torch.tensor([0.0, 0, 0, 1, 0])
    with override(mixture, {"routing": lambda value: one.expand_as(value).clone()}):
        said, _, _ = ask(mixture, xy)
    torch.testing.assert_close(said[1:], mixture.answers_at(xy[1:].reshape(-1, 2))[:, 3].view(2, 4, 12))
