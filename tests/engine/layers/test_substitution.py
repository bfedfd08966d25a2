"""Where the probability of a closed place goes, worked by hand on four places of a street."""

import numpy as np
import pytest

from engine.layers.substitution import category_likeness, pass_on, stand_in

CAFE, BANK = 0, 1
CATEGORY = np.array([CAFE, CAFE, CAFE, BANK, BANK])
METRES = np.array([[0.0, 0.0], [10.0, 0.0], [9000.0, 0.0], [10.0, 0.0], [9000.0, 0.0]])
UNLIKE = np.eye(2)


def close(probability, closed, kept=0.8):
    flags = np.isin(np.arange(len(CATEGORY)), closed)
    return pass_on(np.array([probability]), flags, CATEGORY, UNLIKE, METRES, 500.0, kept)[0]


def test_likeness_of_kind_and_nearness_decide_who_stands_in():
    """A cafe next door counts fully, a far cafe and a bank next door a tenth, a far bank nothing."""
    found = stand_in(CATEGORY, UNLIKE, METRES, np.array([0]), 500.0)[0]
    assert found[1:] == pytest.approx([1.0, 0.1, 0.1, 0.0], abs=1e-3)


def test_the_red_bus_takes_over_from_the_blue_bus():
    """Four fifths of the closed cafe's 0.5 go to the cafe next door, the bank there and the far cafe as 1 : 0.1 : 0.1 times their own
    probability; the remaining tenth goes to everything open in proportion."""
    after = close([0.5, 0.1, 0.1, 0.1, 0.2], [0])
    weight = np.array([1.0, 0.1, 0.1]) * 0.1
    proportional = 0.1 * np.array([0.1, 0.1, 0.1, 0.2]) / 0.5
    expected = np.array([0.1, 0.1, 0.1, 0.2]) + np.append(0.4 * weight / weight.sum(), 0) + proportional
    assert after == pytest.approx([0.0, *expected], abs=2e-4)


def test_without_a_stand_in_everything_gains_in_proportion():
    after = close([0.6, 0.0, 0.0, 0.0, 0.4], [0])
    assert after == pytest.approx([0, 0, 0, 0, 1])


def test_nothing_kept_is_the_proportional_rule():
    assert close([0.5, 0.1, 0.1, 0.1, 0.2], [0], kept=0.0) == pytest.approx([0, 0.2, 0.2, 0.2, 0.4])


def test_closed_places_do_not_inherit_from_each_other():
    after = close([0.4, 0.2, 0.1, 0.1, 0.2], [0, 1])
    assert after[[0, 1]] == pytest.approx(0) and after.sum() == pytest.approx(1)


def test_when_all_that_is_likely_is_closed_nothing_is_left():
    assert close([1.0, 0.0, 0.0, 0.0, 0.0], [0]) == pytest.approx(0)


def test_only_unusually_like_texts_make_categories_alike():
    generator = np.random.default_rng(0)
    vectors = generator.normal(size=(30, 16))
    vectors[1] = vectors[0] + 0.01 * vectors[2]
    likeness = category_likeness(vectors, 30)
    assert np.allclose(np.diag(likeness), 1) and likeness[0, 1] > 0.9
    assert (likeness[~np.eye(30, dtype=bool)] == 0).mean() > 0.85
    assert np.array_equal(category_likeness(np.zeros((3, 0)), 3), np.eye(3))
