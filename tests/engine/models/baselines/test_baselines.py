"""Every baseline keeps the contract of a predictor and learns from the training part alone."""

from dataclasses import replace

import numpy as np
import pytest

from engine.city.samples import VisitLog, build_samples
from engine.city.splits import Split
from engine.errors import ConfigError
from engine.models.answers import Predictor
from engine.models.baselines import BASELINES, TRAINING_FREE, fit_baselines
from tests.engine.small_cities import PUBLISHED, city_of, histories_of, log_of, random_city, training_log

PARTED = ("ngram_markov", "user_markov", "user_hour", "window_neighbours", "skip_gram", "gru", "self_attention")
"""Baselines that learn from what follows what."""
EVERY = pytest.mark.parametrize("name", list(BASELINES))


@pytest.fixture(scope="module")
def log() -> VisitLog:
    return log_of(random_city())


@pytest.fixture(scope="module")
def fitted(log: VisitLog) -> dict[str, Predictor]:
    return {predictor.name: predictor for predictor in fit_baselines(log)}


@EVERY
def test_answers_are_log_probabilities_over_all_places(name: str, log: VisitLog, fitted: dict[str, Predictor]) -> None:
    predictor = fitted[name]
    batch = build_samples(log).of_part("test").histories()
    answered = predictor.predict(batch).log_probability
    assert predictor.name == name and predictor.title
    assert answered.shape == (len(batch), len(log.places)) and answered.dtype == np.float32
    assert not np.isnan(answered).any() and (answered <= 0).all()
    np.testing.assert_allclose(np.exp(answered.astype(float)).sum(1), 1, atol=1e-5)


@EVERY
def test_people_whom_training_never_saw_are_answered_as_strangers(name: str) -> None:
    """Split by person, everybody in the test part is one."""
    log = log_of(random_city(), Split(kind="user"))
    (predictor,) = fit_baselines(log, names=[name])
    batch = build_samples(log).of_part("test").histories()
    answered = predictor.predict(batch).log_probability
    np.testing.assert_allclose(np.exp(answered.astype(float)).sum(1), 1, atol=1e-5)
    strangers = predictor.predict(replace(batch, user=np.full_like(batch.user, -1))).log_probability
    np.testing.assert_array_equal(answered, strangers)


@EVERY
def test_fitting_and_asking_again_gives_the_same_bits_also_one_sample_at_a_time(
    name: str, log: VisitLog, fitted: dict[str, Predictor]
) -> None:
    samples = build_samples(log).of_part("test")[np.arange(12)]
    first, second = fitted[name], fit_baselines(log, names=[name])[0]
    together = first.predict(samples.histories()).log_probability
    np.testing.assert_array_equal(together, second.predict(samples.histories()).log_probability)
    alone = np.concatenate([first.predict(samples.histories(slice(i, i + 1))).log_probability for i in range(12)])
    np.testing.assert_allclose(alone, together, atol=2e-6)


@EVERY
def test_nothing_outside_the_training_part_changes_what_was_learnt(name: str, log: VisitLog, fitted: dict[str, Predictor]) -> None:
    batch = build_samples(log).of_part("test").histories()
    learnt = fitted[name].predict(batch).log_probability
    generator = np.random.default_rng(1)
    outside = log.part > 0
    location = np.where(outside, generator.permutation(log.location), log.location)
    shuffled = replace(log, location=location, minute=np.where(outside, 0, log.minute), day=np.where(outside, 0, log.day))
    assert (location != log.location).any()
    again = fit_baselines(shuffled, names=[name])[0].predict(batch).log_probability
    np.testing.assert_array_equal(again, learnt)


@pytest.mark.parametrize("name", [name for name in BASELINES if name not in TRAINING_FREE])
def test_the_training_part_does_change_what_is_learnt(name: str, log: VisitLog, fitted: dict[str, Predictor]) -> None:
    batch = build_samples(log).of_part("test").histories()
    rolled = replace(log, location=np.where(log.part == 0, (log.location + 1) % len(log.places), log.location).astype(np.int32))
    other = fit_baselines(rolled, names=[name])[0]
    assert (fitted[name].predict(batch).log_probability != other.predict(batch).log_probability).any()


@pytest.mark.parametrize("name", TRAINING_FREE)
def test_training_free_baselines_do_not_look_at_the_training_part(name: str, log: VisitLog) -> None:
    batch = build_samples(log).of_part("test").histories()
    rolled = replace(log, location=np.where(log.part == 0, 0, log.location).astype(np.int32))
    one, other = (fit_baselines(each, names=[name])[0].predict(batch).log_probability for each in (log, rolled))
    np.testing.assert_array_equal(one, other)


@EVERY
def test_hidden_places_are_not_learnt(name: str) -> None:
    city = random_city()
    hidden = ("p03", "p05")
    log = VisitLog.of(city, PUBLISHED.model_copy(update={"hidden_locations": hidden}))
    visits = city.table("visits")
    without = visits[~(visits["location_id"].isin(hidden) & (visits["split"] == "train"))]
    bare = VisitLog.of(city.replace(visits=without), PUBLISHED)
    batch = build_samples(log).of_part("test").histories()
    if name in PARTED:
        # A hidden visit still parts its neighbours: they did not follow each other.
        places = [log.places.index[place] for place in hidden]
        learnt = fit_baselines(log, names=[name])[0].predict(batch).log_probability
        assert np.isneginf(learnt[:, places]).all()
    else:
        learnt, expected = (fit_baselines(one, names=[name])[0].predict(batch).log_probability for one in (log, bare))
        np.testing.assert_array_equal(learnt, expected)


@EVERY
def test_an_empty_history_and_an_unknown_user_are_answered(name: str) -> None:
    log = training_log({"u0": "aabbbc", "u1": "cd"})
    answered = fit_baselines(log, names=[name])[0].predict(histories_of(["", "ab", ""], users=[-1, -1, 2])).log_probability
    np.testing.assert_allclose(np.exp(answered.astype(float)).sum(1), 1, atol=1e-5)


@EVERY
def test_a_city_without_training_visits_is_answered(name: str) -> None:
    log = log_of(city_of([("u0", "a", "2024-01-01", "test"), ("u0", "b", "2024-01-02", "test")]))
    answered = fit_baselines(log, names=[name])[0].predict(build_samples(log).histories()).log_probability
    np.testing.assert_allclose(np.exp(answered.astype(float)).sum(1), 1, atol=1e-5)


@EVERY
def test_no_samples_give_no_rows(name: str, log: VisitLog, fitted: dict[str, Predictor]) -> None:
    empty = build_samples(log)[np.zeros(0, int)].histories()
    assert fitted[name].predict(empty).log_probability.shape == (0, len(log.places))


@EVERY
def test_a_closed_place_is_never_answered_and_the_rest_keeps_its_order(
    name: str, log: VisitLog, fitted: dict[str, Predictor]
) -> None:
    batch = build_samples(log).of_part("test").histories()
    predictor = fitted[name]
    before = predictor.predict(batch).log_probability
    closed = np.arange(len(log.places)) == np.bincount(batch.location).argmax()
    after = predictor.predict(replace(batch, places=replace(log.places, closed=closed))).log_probability
    assert np.isneginf(after[:, closed]).all()
    answerable = np.isfinite(before[:, ~closed]).any(axis=1)
    np.testing.assert_allclose(np.exp(after[answerable].astype(float)).sum(1), 1, atol=1e-5)
    np.testing.assert_array_equal(np.isfinite(after[:, ~closed]), np.isfinite(before[:, ~closed]))
    for row in np.flatnonzero(answerable):
        left = np.isfinite(before[row]) & ~closed
        gained = after[row][left] - before[row][left]
        np.testing.assert_allclose(gained, gained[0], atol=1e-4, err_msg="what was lost is shared out in proportion")


@EVERY
def test_a_place_added_after_fitting_is_answered_only_from_the_window(name: str) -> None:
    log = training_log({"u0": "abcabc", "u1": "cd"})
    predictor = fit_baselines(log, names=[name])[0]
    words = ["ab", "abc", ""]
    before = predictor.predict(histories_of(words)).log_probability
    after = predictor.predict(histories_of(words, places=8)).log_probability
    np.testing.assert_array_equal(after[:, :6], before)
    assert np.isneginf(after[:, 6:]).all()
    visited = predictor.predict(histories_of(["abh", "hab"], places=8)).log_probability
    np.testing.assert_allclose(np.exp(visited.astype(float)).sum(1), 1, atol=1e-5)
    assert np.isfinite(visited[0, 7]) == (name in TRAINING_FREE or name == "user_and_window_frequency")


def test_baselines_come_in_the_order_asked_and_report_their_fitting(log: VisitLog) -> None:
    told: list[str] = []
    fitted = fit_baselines(log, names=["popularity", "last_place"], report=lambda text, share: told.append(text))
    assert [predictor.name for predictor in fitted] == ["popularity", "last_place"] and len(told) == 2


def test_an_unknown_baseline_is_refused_with_the_known_ones(log: VisitLog) -> None:
    with pytest.raises(ConfigError, match=r"no baseline 'oracle'; choose from last_place"):
        fit_baselines(log, names=["oracle"])


def test_the_split_of_the_log_is_respected_by_default() -> None:
    city = random_city()
    early, late = (VisitLog.of(city, Split(train_share=share)) for share in (0.3, 0.7))
    assert len(early.training()) < len(late.training())
