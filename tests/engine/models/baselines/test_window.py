"""Hand-worked answers of the baselines that look at the window only, tie rules included."""

import numpy as np
import pytest

from engine.city.samples import Histories
from engine.models.answers import Predictor
from engine.models.baselines import TRAINING_FREE, fit_baselines
from tests.engine.small_cities import histories_of, training_log

LOG = training_log({"u0": "fffe"})


def predictor(name: str) -> Predictor:
    return fit_baselines(LOG, names=[name])[0]


def ranking(name: str, history: str | Histories) -> str:
    """The answers as a word, best first."""
    batch = histories_of([history]) if isinstance(history, str) else history
    scores = predictor(name).predict(batch).log_probability[0]
    order = np.lexsort((np.arange(len(scores)), -scores))
    return "".join(str(batch.places.ids[place]) for place in order if np.isfinite(scores[place]))


def test_last_place_answers_one_place() -> None:
    assert ranking("last_place", "abcb") == "b"


@pytest.mark.parametrize(
    ("history", "expected", "why"),
    [
        ("aab", "ab", "two visits beat one"),
        ("ab", "ba", "one visit each: the latest first"),
        ("abca", "acb", "a twice; c later than b"),
        ("ccabba", "abc", "two visits each, in the order of their latest"),
    ],
)
def test_window_frequency(history: str, expected: str, why: str) -> None:
    assert ranking("window_frequency", history) == expected, why


def test_window_frequency_gives_the_share_of_visits() -> None:
    scores = predictor("window_frequency").predict(histories_of(["aaab"])).log_probability[0]
    np.testing.assert_allclose(np.exp(scores), [0.75, 0.25, 0, 0, 0, 0], rtol=1e-6)


def test_recency_weighs_each_visit_nine_tenths_of_the_next() -> None:
    scores = predictor("recency_weighted").predict(histories_of(["aab"])).log_probability[0]
    weights = np.array([0.81 + 0.9, 1.0])
    np.testing.assert_allclose(np.exp(scores[:2]), weights / weights.sum(), rtol=1e-6)
    assert ranking("recency_weighted", "ab") == "ba" and ranking("recency_weighted", "aab") == "ab"


@pytest.mark.parametrize(
    ("history", "expected", "why"),
    [
        ("abaca", "bca", "b and c each followed a once: the one that followed first; then a"),
        ("abacaca", "cba", "c followed a twice, b once"),
        ("bbbbac", "bca", "nothing followed c: frequency, then the latest"),
        ("aab", "ab", "nothing followed b"),
        ("bbaa", "ab", "a followed a once; b never did"),
        ("bbbaca", "cba", "one transition beats three visits, which beat two"),
    ],
)
def test_window_markov(history: str, expected: str, why: str) -> None:
    assert ranking("window_markov", history) == expected, why


@pytest.mark.parametrize(
    ("history", "expected", "why"),
    [
        ("abcacda", "cba", "c followed a as often as b but was visited twice; d never followed"),
        ("abaca", "bca", "b and c followed a once each and were visited once each: b longer ago"),
        ("cab", "cab", "nothing followed b: one visit each, the longest unvisited first"),
        ("ccbba", "cba", "two visits each beat one; c longer ago than b"),
    ],
)
def test_window_markov_oldest(history: str, expected: str, why: str) -> None:
    assert ranking("window_markov_oldest", history)[:3] == expected, why


def test_histories_do_not_run_into_each_other() -> None:
    batch = histories_of(["ab", "bc", "cab"])
    together = predictor("window_markov").predict(batch).log_probability
    for row, word in enumerate(["ab", "bc", "cab"]):
        np.testing.assert_array_equal(together[row], predictor("window_markov").predict(histories_of([word])).log_probability[0])


def test_an_empty_window_is_answered_with_popularity() -> None:
    assert ranking("window_frequency", "") == "fe", "three training visits to f, one to e"


def test_ties_survive_in_a_window_of_thousands_of_visits() -> None:
    word = "abcdef" * 1500
    assert ranking("window_frequency", word) == "fedcba", "1,500 visits each: ordered by the latest only"
    assert ranking("window_markov", "f" + "abcdef" * 1500) == "afedcb"


def test_only_frequencies_claim_to_be_probabilities() -> None:
    batch = histories_of(["aab"])
    claims = {name: predictor(name).predict(batch).normalised for name in TRAINING_FREE}
    assert [name for name, claim in claims.items() if claim] == ["window_frequency", "recency_weighted"]
