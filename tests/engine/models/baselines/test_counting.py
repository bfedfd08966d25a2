"""Hand-worked answers of the baselines that count training visits and transitions, and what skip-gram finds."""

from dataclasses import replace

import numpy as np
import pytest

from engine.models.baselines import fit_baselines
from engine.models.baselines.skip_gram import SkipGramSettings, neighbour_pairs, skip_gram_vectors
from tests.engine.small_cities import city_of, histories_of, log_of, training_log


def probabilities(name: str, log, histories) -> np.ndarray:
    return np.exp(fit_baselines(log, names=[name])[0].predict(histories).log_probability.astype(float))


def test_popularity_is_the_share_of_training_visits() -> None:
    log = training_log({"u0": "aab", "u1": "ac"})
    np.testing.assert_allclose(probabilities("popularity", log, histories_of(["d"]))[0], [0.6, 0.2, 0.2, 0, 0, 0], rtol=1e-6)


def test_user_frequency_counts_the_user_and_one_visit_of_everybody() -> None:
    log = training_log({"u0": "aab", "u1": "ac"})
    found = probabilities("user_frequency", log, histories_of(["", "", ""], users=[0, 1, -1]))
    share = np.array([0.6, 0.2, 0.2, 0, 0, 0])
    np.testing.assert_allclose(found[0], (np.array([2, 1, 0, 0, 0, 0]) + share) / 4, rtol=1e-6)
    np.testing.assert_allclose(found[1], (np.array([1, 0, 1, 0, 0, 0]) + share) / 3, rtol=1e-6)
    np.testing.assert_allclose(found[2], share, rtol=1e-6)


def test_users_are_found_by_their_id_and_not_by_their_number() -> None:
    log = training_log({"u0": "aab", "u1": "ac"})
    renumbered = replace(histories_of([""], users=[0]), users=np.array(["u1", "u0"], object))
    np.testing.assert_array_equal(
        probabilities("user_frequency", log, renumbered), probabilities("user_frequency", log, histories_of([""], users=[1]))
    )


def test_the_window_counts_like_training_visits_and_reaches_new_places() -> None:
    log = training_log({"u0": "aab", "u1": "ac"})
    found = probabilities("user_and_window_frequency", log, histories_of(["ddb"]))[0]
    np.testing.assert_allclose(found, np.array([2.6, 2.2, 0.2, 2, 0, 0]) / 7, rtol=1e-6)


def test_ngram_markov_backs_off_by_witten_and_bell() -> None:
    # After a always b (twice); after b once a, once c. Visits: a 2, b 2, c 1.
    log = training_log({"u0": "ababc"})
    share = np.array([0.4, 0.4, 0.2, 0, 0, 0])
    after_b = (np.array([1, 0, 1, 0, 0, 0]) + 2 * share) / 4
    found = probabilities("ngram_markov", log, histories_of(["b", "ab", "f", ""]))
    np.testing.assert_allclose(found[0], after_b, rtol=1e-6)
    np.testing.assert_allclose(found[1], (np.array([1, 0, 1, 0, 0, 0]) + 2 * after_b) / 4, rtol=1e-6)
    np.testing.assert_allclose(found[2], share, rtol=1e-6, err_msg="a context never seen leaves popularity")
    np.testing.assert_allclose(found[3], share, rtol=1e-6)


def test_transitions_never_join_two_users() -> None:
    log = training_log({"u0": "ab", "u1": "cd"})
    found = probabilities("ngram_markov", log, histories_of(["b"]))[0]
    np.testing.assert_allclose(found, [0.25, 0.25, 0.25, 0.25, 0, 0], rtol=1e-6)


def test_personal_markov_prefers_what_this_user_did_next() -> None:
    log = training_log({"u0": "abab", "u1": "acac"})
    found = probabilities("user_markov", log, histories_of(["a", "a", "a"], users=[0, 1, -1]))
    assert found[0].argmax() == 1 and found[1].argmax() == 2
    assert found[2, 1] == pytest.approx(found[2, 2]), "for a stranger both followed equally often"


def test_skip_gram_neighbours_are_next_to_each_other_on_one_day_of_one_user() -> None:
    rows = [
        ("u0", "a", "2024-01-01 08:00", "train"),
        ("u0", "b", "2024-01-01 09:00", "train"),
        ("u0", "c", "2024-01-01 10:00", "train"),
        ("u0", "d", "2024-01-02 08:00", "train"),
        ("u1", "e", "2024-01-02 09:00", "train"),
        ("u1", "a", "2024-01-02 10:00", "valid"),
    ]
    log = log_of(city_of(rows))
    centre, neighbour = neighbour_pairs(log)
    pairs = sorted((str(log.places.ids[c]), str(log.places.ids[n])) for c, n in zip(centre, neighbour, strict=True))
    assert pairs == [("a", "b"), ("b", "a"), ("b", "c"), ("c", "b")]


def test_skip_gram_puts_companions_first() -> None:
    generator = np.random.default_rng(0)
    days = [("ab" if generator.random() < 0.5 else "cd") for _ in range(400)]
    rows = [
        ("u0", letter, f"{np.datetime64('2023-01-01') + day} {8 + hour:02d}:00", "train")
        for day, word in enumerate(days)
        for hour, letter in enumerate(word)
    ]
    log = log_of(city_of(rows, places=list("abcdef")))
    settings = SkipGramSettings(dimensions=8, epochs=30, learning_rate=0.05, batch=64)
    vectors, neighbours = skip_gram_vectors(log, seed=0, settings=settings)
    scores = vectors[:4] @ neighbours[:4].T
    assert [int(row.argmax()) for row in scores] == [1, 0, 3, 2], "a goes with b, c with d"
    assert not vectors[4:].any() and not neighbours[4:].any(), "places without a training visit have no vector"


def test_skip_gram_depends_on_the_seed_and_on_nothing_else() -> None:
    log = training_log({"u0": "abcabdabc" * 3})
    first, again, other = (skip_gram_vectors(log, seed=seed)[0] for seed in (3, 3, 4))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_skip_gram_asks_at_the_latest_place_known_from_training() -> None:
    log = training_log({"u0": "abcabdabc" * 3})
    found = probabilities("skip_gram", log, histories_of(["ab", "abfe", "fe"]))
    np.testing.assert_array_equal(found[0], found[1])
    np.testing.assert_allclose(found[2], probabilities("popularity", log, histories_of(["a"]))[0], rtol=1e-6)
