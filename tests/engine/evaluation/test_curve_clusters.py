"""Clusters of curves found by hand, and words that stand where they were put."""

import numpy as np
import pytest

from engine.errors import MobiscopeError
from engine.evaluation.curve_clusters import FEWEST, MOST, curve_clusters, typical_words, words_of


def three_kinds() -> np.ndarray:
    """Four busy morning cells, three quiet evening cells, two that never sleep, and one with an unknown hour."""
    hour = np.arange(24)
    morning, evening = (100 * np.exp(-(((hour - peak) / 2) ** 2)) for peak in (8, 20))
    curves = np.vstack(
        [np.tile(10 * morning, (4, 1)), np.tile(0.2 * evening, (3, 1)), np.full((2, 24), 60.0), np.full((1, 24), 5.0)]
    )
    curves[9, 3] = np.nan
    return curves * np.linspace(1, 1.05, 10)[:, None]


def test_cells_of_one_kind_fall_together_and_are_numbered_from_the_busiest():
    """The mean log flow is highest for the sleepless (4.1), then the mornings, then the evenings; the unknown belongs nowhere."""
    found = curve_clusters(three_kinds(), 3)
    assert [len(set(found[kind].tolist())) for kind in (slice(0, 4), slice(4, 7), slice(7, 9))] == [1, 1, 1]
    assert (found[7], found[0], found[4], found[9]) == (0, 1, 2, -1)


@pytest.mark.parametrize("count", range(FEWEST, MOST + 1))
def test_every_number_of_clusters_is_given_where_there_are_that_many_curves(count):
    curves = np.random.default_rng(0).lognormal(3, 1, (40, 24))
    found = curve_clusters(curves, count)
    assert set(found) == set(range(count))
    np.testing.assert_array_equal(found, curve_clusters(curves, count))


def test_flat_flows_are_one_cluster_and_no_accident():
    """All zero: nothing tells cells apart, so one cluster comes back however many were asked for."""
    assert set(curve_clusters(np.zeros((6, 24)), 4)) == {0}


@pytest.mark.parametrize(("curves", "count"), [(np.ones((3, 24)), 4), (np.ones((9, 24)), 1), (np.ones((20, 24)), 10)])
def test_too_few_curves_or_a_number_not_offered_is_refused(curves, count):
    with pytest.raises(MobiscopeError):
        curve_clusters(curves, count)


def test_a_word_of_one_cluster_is_typical_of_it_and_one_of_all_is_not():
    captions = {
        "poi": ["many bars", "some bars", "bars, cafés", "offices", "offices, banks", "few offices"],
        "height": ["low houses"] * 6,
    }
    table = typical_words(captions, np.array([0, 0, 0, 1, 1, 1]))
    best = table.groupby("cluster").first()
    assert best["word"].tolist() == ["bars", "offices"]
    assert best["share"].tolist() == [1.0, 1.0] and best["share_elsewhere"].tolist() == [0.0, 0.0]
    houses = table[table["word"] == "houses"]
    assert houses.empty or (houses["z"] < best["z"].min()).all()


def test_nothing_described_gives_no_words():
    assert typical_words({}, np.array([0, 1])).empty
    assert typical_words({"poi": ["", ""]}, np.array([0, 1])).empty


def test_words_are_counted_once_per_text_without_numbers_and_fillers():
    assert words_of(["The 12 cafés and cafés", "Bars"]) == {"cafés": 1, "bars": 1}
