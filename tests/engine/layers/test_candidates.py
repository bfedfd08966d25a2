"""The places that compete in a training step: those drawn stand for those that were not."""

import numpy as np
import pytest
import torch

from engine.layers.candidates import Candidates

CPU = torch.device("cpu")
SEEN = np.arange(40) % 2 == 1
"""Every other of 40 places was visited in training."""


def draw(target, most):
    return Candidates.draw(SEEN, np.asarray(target), most, np.random.default_rng(0), CPU)


def test_drawn_candidates_stand_for_those_that_were_not() -> None:
    """Two targets (one asked for twice), and 10 of the 18 others, each for 1.8 of them."""
    drawn = draw([7, 7, 11], 10)
    assert drawn.place[:2].tolist() == [7, 11] and len(np.unique(drawn.place)) == 12
    assert SEEN[drawn.place].all(), "only places that training visited compete"
    np.testing.assert_allclose(drawn.correction, [0, 0, *[np.log(1.8)] * 10], rtol=1e-6)
    assert drawn.place[drawn.column[[7, 11]]].tolist() == [7, 11] and drawn.column[0] == -1


@pytest.mark.parametrize(("target", "most"), [(np.flatnonzero(SEEN), 10), ([1], 20)])
def test_nothing_is_corrected_where_all_are_there(target, most) -> None:
    """Every place is a target, so that none is left to draw; or there is room for all."""
    whole = draw(target, most)
    assert sorted(whole.place.tolist()) == np.flatnonzero(SEEN).tolist() and not whole.correction.any()
    np.testing.assert_array_equal(whole.place[whole.column[target]], target)


def test_all_of_some_places_stand_for_themselves() -> None:
    every = Candidates.all_of(SEEN, CPU)
    assert every.place.tolist() == np.flatnonzero(SEEN).tolist() and not every.correction.any()
    assert (every.column >= 0).tolist() == SEEN.tolist()
