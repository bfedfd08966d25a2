"""What the history mixture knows about a sample, counted by hand on a few visits."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from engine.city.samples import build_samples
from engine.layers.visit_memory import KNOWN_FEATURES, Memory, ReturnMixture, recall_places
from tests.engine.small_cities import city_of, log_of

FEATURE = {name: column for column, name in enumerate(KNOWN_FEATURES)}


@pytest.fixture(scope="module")
def histories():
    """One person: home, work, home, cafe on Monday; the next day home and work; asked after home on Wednesday."""
    visits = [
        ("ann", "home", "2024-01-01 08:00", "train"),
        ("ann", "work", "2024-01-01 09:00", "train"),
        ("ann", "home", "2024-01-01 18:00", "train"),
        ("ann", "cafe", "2024-01-01 20:00", "train"),
        ("ann", "home", "2024-01-02 08:10", "train"),
        ("ann", "work", "2024-01-02 09:10", "train"),
        ("ann", "home", "2024-01-03 08:05", "train"),
        ("ann", "park", "2024-01-03 10:00", "train"),
    ]
    samples = build_samples(log_of(city_of(visits, places=["home", "work", "cafe", "park", "zoo"])))
    return samples.histories(np.array([len(samples) - 1]))


@pytest.fixture
def memory(histories):
    """Before the window: three visits to the zoo after home, in December; and one visit of the window's first day."""
    index = histories.places.index
    return Memory(
        start=np.array([0, 7]),
        place=np.array([index["home"], index["zoo"], index["home"], index["zoo"], index["home"], index["zoo"], index["work"]]),
        minute=np.array([480, 540, 480, 540, 1200, 1260, 540], np.int16),
        weekday=np.zeros(7, np.int8),
        day=np.array([-9, -9, -8, -8, -7, -7, 0], np.int32) + int(histories.day[0]),
    )


def recall(histories, memory, **changes):
    count = len(histories.places)
    xy = np.stack([1000.0 * np.arange(count), np.zeros(count)], axis=1)
    options = {"user": np.zeros(1, np.int64), "allowed": np.ones(count, bool), "most": 100} | changes
    return recall_places(histories, options["user"], memory, xy, np.zeros(count), options["allowed"], options["most"])


def described(known, histories, place, feature):
    row = int(known.find(np.array([histories.places.index[place]]), len(histories.places))[0])
    assert row >= 0, f"{place} is not known"
    return float(known.features[row, FEATURE[feature]])


def test_window_counts_and_follow_ups(histories, memory):
    """Window: home 4, work 2, cafe 1. After home the person went to work twice and to the cafe once."""
    known = recall(histories, memory)
    assert described(known, histories, "home", "share of window") == pytest.approx(4 / 7)
    assert described(known, histories, "work", "log visits in window") == pytest.approx(np.log(3))
    assert described(known, histories, "work", "share of follow-ups in window") == pytest.approx(2 / 3)
    assert described(known, histories, "cafe", "share of follow-ups in window") == pytest.approx(1 / 3)
    assert described(known, histories, "home", "is the last place") == 1
    assert described(known, histories, "work", "steps since last visit") == pytest.approx(1 / 2)


def test_at_eight_in_the_morning_work_comes_next_and_the_cafe_does_not(histories, memory):
    """Both visits to work came right after eight; the cafe came after a visit at six in the evening."""
    known = recall(histories, memory)
    work, cafe = (described(known, histories, place, "share of visits after this hour in window") for place in ("work", "cafe"))
    assert work > 0.4 and cafe < 0.01


def test_memory_reaches_back_to_where_the_window_opens_and_no_further(histories, memory):
    """Six visits lie before the window; the seventh is of the window's own first day and must not be seen."""
    known = recall(histories, memory)
    assert described(known, histories, "zoo", "log visits in memory") == pytest.approx(np.log(4))
    assert described(known, histories, "zoo", "share of memory") == pytest.approx(3 / 6)
    assert described(known, histories, "zoo", "share of follow-ups in memory") == pytest.approx(1)
    assert described(known, histories, "work", "is in memory") == 0
    assert described(known, histories, "zoo", "is in window") == 0


def test_the_places_a_sample_knows_are_those_of_window_and_memory(histories, memory):
    known = recall(histories, memory)
    assert {histories.places.ids[place] for place in known.place} == {"home", "work", "cafe", "zoo"}
    assert known.find(np.array([histories.places.index["park"]]), 5)[0] == -1


def test_unknown_users_remember_nothing_and_places_that_are_gone_are_left_out(histories, memory):
    known = recall(histories, memory, user=np.array([-1]))
    assert {histories.places.ids[place] for place in known.place} == {"home", "work", "cafe"}
    gone = replace(memory, place=np.where(memory.place == histories.places.index["zoo"], -1, memory.place))
    assert {histories.places.ids[place] for place in recall(histories, gone).place} == {"home", "work", "cafe"}


def test_a_short_memory_keeps_the_latest_visits(histories, memory):
    known = recall(histories, memory, most=2)
    assert described(known, histories, "zoo", "log visits in memory") == pytest.approx(np.log(2))


def test_places_that_may_not_be_answered_are_left_out(histories, memory):
    allowed = histories.places.ids != "zoo"
    assert "zoo" not in {histories.places.ids[place] for place in recall(histories, memory, allowed=allowed).place}


def test_returns_sum_to_one_and_the_gate_closes_where_nothing_is_known(histories, memory):
    torch.manual_seed(0)
    mixture = ReturnMixture(8, 16, 0.0)
    known = recall(histories, memory)
    log_return, log_gate, log_rest = mixture(torch.randn(1, 8), torch.randn(5, 8), known)
    assert float(log_return.exp().sum()) == pytest.approx(1, abs=1e-5)
    assert float(log_gate.exp() + log_rest.exp()) == pytest.approx(1, abs=1e-5)
    nothing = recall(histories, memory, allowed=np.zeros(5, bool))
    log_return, log_gate, log_rest = mixture(torch.randn(1, 8), torch.randn(5, 8), nothing)
    assert (
        len(log_return) == 0 and float(log_gate.exp()) == pytest.approx(0, abs=1e-12) and float(log_rest.exp()) == pytest.approx(1)
    )
