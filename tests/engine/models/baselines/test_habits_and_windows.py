"""Hand-worked answers of the habit at an hour and of the nearest windows, and what the learned sequence baselines find."""

from dataclasses import replace

import numpy as np
import pytest

from engine.models.baselines import fit_baselines
from engine.models.baselines.neighbours import VISITS, window_vectors
from engine.models.baselines.sequence import SequenceSettings, fit_sequence, sequence_batch
from engine.models.baselines.user_hour import end_hour
from tests.engine.small_cities import histories_of, training_log


def probabilities(name: str, log, histories) -> np.ndarray:
    return np.exp(fit_baselines(log, names=[name])[0].predict(histories).log_probability.astype(float))


def asked_at(hour: int, windows: list[str], **options):
    histories = histories_of(windows, **options)
    minutes = np.full(len(histories.location), 60 * hour, np.int16)
    return replace(histories, minute=minutes, duration_minutes=np.full(len(minutes), np.nan, np.float32))


def test_the_hour_is_that_of_leaving_where_it_is_known() -> None:
    minute = np.array([450, 450, 1430, 600])
    stayed = np.array([45.0, np.nan, 20.0, -5.0])
    assert end_hour(minute, stayed).tolist() == [8, 7, 0, 10], "07:30 and 45 minutes is 8 h; past midnight begins anew"


def test_user_hour_interpolates_hour_person_and_both() -> None:
    # One visit an hour from 8 h: u0 goes a b a b, so after the visit at 8 h comes b. Popularity is one half each.
    log = training_log({"u0": "abab"})
    found = probabilities("user_hour", log, asked_at(8, ["a", "b"], users=[0, -1]))
    hour = np.array([0 + 0.5, 1 + 0.5, 0, 0, 0, 0]) / 2
    person = (np.array([2, 2, 0, 0, 0, 0]) + 2 * hour) / 6
    both = (np.array([0, 1, 0, 0, 0, 0]) + person) / 2
    np.testing.assert_allclose(found[0], both, rtol=1e-6)
    np.testing.assert_allclose(found[1], hour, rtol=1e-6, err_msg="of a stranger only the hour is known")


def test_user_hour_at_an_hour_never_seen_leaves_the_persons_own_visits() -> None:
    log = training_log({"u0": "aab", "u1": "ac"})
    found = probabilities("user_hour", log, asked_at(3, ["d"], users=[0]))[0]
    np.testing.assert_allclose(found, (np.array([2, 1, 0, 0, 0, 0]) + 2 * np.array([0.6, 0.2, 0.2, 0, 0, 0])) / 5, rtol=1e-6)


def test_a_window_vector_holds_its_latest_visits_and_repeats_the_oldest() -> None:
    vectors = window_vectors(asked_at(6, ["ab", ""]), np.array([0.0, 0.0]), 1000.0)
    across = vectors[0, 0 : 2 * VISITS : 2]
    np.testing.assert_allclose(across[0], 1.0, err_msg="b lies 1 km east; it was visited last")
    np.testing.assert_allclose(across[1:], 0.0, atol=1e-12)
    np.testing.assert_allclose(vectors[0, -3:], [0, 0.3, 0], atol=1e-12)
    np.testing.assert_array_equal(vectors[1], 0)


def test_the_nearest_window_votes_most() -> None:
    # After three a comes b, after three f comes e; asked as a stranger at the hour of those windows.
    log = training_log({"u0": "aaab", "u1": "fffe"})
    asked = replace(asked_at(10, ["aaa", "fff"], users=[-1, -1]), places=log.places)
    found = probabilities("window_neighbours", log, asked)
    assert found[0].argmax() == 1 and found[1].argmax() == 4
    assert found[0, 1] > 0.5 and found[0, 4] < 0.05
    assert found[0, 2] == 0, "nobody went to c"


@pytest.mark.parametrize("encoder", ["gru", "attention"])
def test_a_learned_sequence_finds_what_follows_what(encoder) -> None:
    log = training_log({"u0": "abcabcabcabcabcabcabcabcabcabc", "u1": "bcabcabcabcabcabcabcabcabcabca"})
    settings = SequenceSettings(dimensions=16, least_steps=60, batch=16, learning_rate=0.02)
    fitted = fit_sequence(log, "x", "X", encoder, 0, settings)
    answers = fitted.predict(histories_of(["abca", "cab", "abc"], users=[-1, -1, -1])).log_probability.argmax(1)
    assert answers.tolist() == [1, 2, 0]
    again, other = (fit_sequence(log, "x", "X", encoder, seed, settings) for seed in (0, 1))
    asked = histories_of(["abca"])
    np.testing.assert_array_equal(fitted.predict(asked).log_probability, again.predict(asked).log_probability)
    assert (fitted.predict(asked).log_probability != other.predict(asked).log_probability).any()


def test_a_sequence_reads_the_latest_visits_and_calls_the_rest_unknown() -> None:
    seen = np.array([True, True, True, False, False, False])
    batch = sequence_batch(histories_of(["abcd", "a"], users=[0, -1]), np.arange(2), {"u0": 0}, seen, 3)
    assert batch.place.tolist() == [[2, 3, 0], [1, 0, 0]], "b, c and one that training does not know; then padding"
    assert batch.back.tolist() == [[2, 1, 0], [0, 0, 0]] and batch.length.tolist() == [3, 1]
    assert batch.user.tolist() == [1, 0]
