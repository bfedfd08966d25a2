"""Rankings keep their order in float32 whatever the scores, and stay probabilities."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.models.baselines.rankings import with_new_places, write_rankings

entries = st.lists(
    st.tuples(st.integers(0, 3), st.integers(0, 9), st.sampled_from([1e-200, 0.1, 1.0, 1.0 + 1e-12, 2.0, 1e9]), st.integers(0, 3)),
    max_size=40,
    unique_by=lambda entry: entry[:2],
)


@settings(max_examples=200, deadline=None)
@given(entries)
def test_every_row_is_in_strict_order_of_score_then_tie_then_location(found: list[tuple[int, int, float, int]]) -> None:
    sample, location, score, tie = (np.array(side) for side in zip(*found, strict=True)) if found else (np.zeros(0, int),) * 4
    otherwise = np.log(np.full(10, 0.1, np.float32))
    result = write_rankings((4, 10), sample, location, score.astype(float), tie, otherwise)
    assert result.dtype == np.float32
    for row in range(4):
        mine = sorted([entry for entry in found if entry[0] == row], key=lambda entry: (-entry[2], -entry[3], entry[1]))
        if not mine:
            np.testing.assert_array_equal(result[row], otherwise)
            continue
        values = result[row, [entry[1] for entry in mine]]
        assert (np.diff(values) < 0).all() and np.isfinite(values).all() and values[0] <= 0
        assert np.isneginf(np.delete(result[row], [entry[1] for entry in mine])).all()
        np.testing.assert_allclose(np.exp(values.astype(float)).sum(), 1, atol=1e-5)


def test_scores_set_in_different_rows_do_not_push_each_other() -> None:
    sample, location, score = np.array([0, 0, 1]), np.array([0, 1, 0]), np.array([1.0, 1.0, 1.0])
    result = write_rankings((2, 2), sample, location, score, np.zeros(3), np.zeros(2, np.float32))
    assert result[1, 0] == 0, "a single answer is certain"
    assert result[0, 0] == np.float32(np.log(0.5)) and result[0, 1] == np.nextafter(result[0, 0], np.float32(-1))


def test_new_places_are_appended() -> None:
    assert with_new_places(np.array([[1.0], [2.0]]), 3, -1).tolist() == [[1, -1, -1], [2, -1, -1]]
