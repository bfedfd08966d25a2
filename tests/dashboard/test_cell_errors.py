"""What the grid page says of the errors of a run."""

import pytest

from dashboard.views.cell_errors import _given_away


@pytest.mark.parametrize(("gap", "said"), [(0.15, "Judge it by the blocks"), (0.04, "gives little away"), (-0.02, "-0.020")])
def test_a_gap_of_more_than_a_tenth_between_the_splits_is_called_what_it_is(gap: float, said: str) -> None:
    assert said in _given_away(gap)
