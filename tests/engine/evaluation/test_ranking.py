"""Ranks are positions in the list shown, ties included; nothing depends on the chunk; the tables give back what went in."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from engine.city.samples import VisitLog, build_samples
from engine.errors import MobiscopeError
from engine.evaluation.ranking import Answers, answer, merge_new_places, rank_of, shared_place, top_of
from engine.models.baselines import fit_baselines
from tests.engine.evaluation.conftest import Told
from tests.engine.small_cities import PUBLISHED, city_of, log_of

NEVER = -np.inf


def test_rank_counts_what_stands_before_the_truth() -> None:
    scores = np.array([[0.1, 0.5, 0.3, 0.1]] * 4)
    assert rank_of(scores, np.array([0, 1, 2, 3])).tolist() == [3, 1, 2, 4], "0 and 3 tie; the smaller index stands first"


def test_a_truth_that_cannot_be_answered_has_no_rank() -> None:
    scores = np.array([[0.0, NEVER, NEVER]])
    assert rank_of(scores, np.array([2])).tolist() == [np.inf]


def test_the_list_stops_where_the_predictor_stops() -> None:
    top, probability = top_of(np.array([[np.log(0.25), NEVER, np.log(0.75)], [0, NEVER, NEVER]], np.float32), 3)
    assert top.tolist() == [[2, 0, -1], [0, -1, -1]]
    np.testing.assert_allclose(probability, [[0.75, 0.25, 0], [1, 0, 0]])


@settings(max_examples=200, deadline=None)
@given(
    arrays(np.float32, st.tuples(st.integers(1, 5), st.integers(1, 12)), elements=st.sampled_from([NEVER, -3.0, -2.0, -1.0, -0.5])),
    st.integers(1, 12),
)
def test_rank_is_the_position_in_the_list_for_any_scores(scores: np.ndarray, wanted: int) -> None:
    count = min(wanted, scores.shape[1])
    top, probability = top_of(scores, count)
    for sample, row in enumerate(scores):
        expected = [place for place in sorted(range(len(row)), key=lambda place: (-row[place], place)) if row[place] > NEVER]
        assert [place for place in top[sample] if place >= 0] == expected[:count]
        for place in range(len(row)):
            rank = rank_of(row[None], np.array([place]))[0]
            assert rank == (expected.index(place) + 1 if place in expected else np.inf)
        assert (probability[sample] > 0).sum() == min(count, len(expected))


def test_the_chunk_does_not_matter(log: VisitLog, samples) -> None:
    predictor = fit_baselines(log, names=["user_and_window_frequency"])[0]
    whole, pieces = answer(predictor, samples, chunk=10_000), answer(predictor, samples, chunk=7)
    for field in ("rank", "top", "top_probability", "distance_m", "truth_probability"):
        np.testing.assert_array_equal(getattr(whole, field), getattr(pieces, field))


def test_answers_carry_what_identifies_a_sample(log: VisitLog, samples) -> None:
    given_answers = answer(fit_baselines(log, names=["popularity"])[0], samples, top_k=5)
    assert given_answers.top.shape == (len(samples), 5)
    assert (given_answers.sample == log.row[samples.target]).all()
    assert set(given_answers.user) <= set(log.users) and (given_answers.part == 2).all()
    for user in set(given_answers.user):
        own = given_answers.user == user
        assert given_answers.step[own].tolist() == list(range(own.sum())), "steps count a user's samples in time"
        assert (np.diff(given_answers.started_at[own]) >= np.timedelta64(0)).all()


def test_the_distance_error_is_in_metres_between_the_first_answer_and_the_truth() -> None:
    rows = [("u0", "a", "2024-01-01", "test"), ("u0", "c", "2024-01-02", "test")]
    samples = build_samples(log_of(city_of(rows, places="abc")))
    given_answers = answer(Told(np.log(np.array([0.7, 0.2, 0.1]))), samples)
    assert given_answers.distance_m[0] == pytest.approx(2 * 844.3, abs=5), "a to c: twice 0.01 degrees at 40.7 north"
    assert given_answers.rank.tolist() == [3] and given_answers.truth_probability[0] == pytest.approx(0.1)


def test_predictions_survive_parquet(tmp_path: Path, log: VisitLog, samples) -> None:
    given_answers = answer(fit_baselines(log, names=["last_place"])[0], samples)
    assert np.isinf(given_answers.rank).any(), "the last place often misses; the table must keep that"
    frame = given_answers.to_frame()
    frame.to_parquet(tmp_path / "predictions.parquet")
    read = pd.read_parquet(tmp_path / "predictions.parquet")
    back = Answers.from_frame(read, log.places)
    for field in ("sample", "user", "started_at", "step", "part", "truth", "rank", "truth_probability", "distance_m"):
        np.testing.assert_array_equal(getattr(back, field), getattr(given_answers, field), err_msg=field)
    width = back.top.shape[1]
    np.testing.assert_array_equal(back.top, given_answers.top[:, :width])
    assert (given_answers.top[:, width:] == -1).all() and not back.normalised
    assert str(read["started_at"].dtype) == "datetime64[ns, UTC]"


def test_a_table_of_two_predictors_or_of_another_city_is_refused(log: VisitLog, samples) -> None:
    one, two = (answer(predictor, samples).to_frame() for predictor in fit_baselines(log, names=["last_place", "popularity"]))
    with pytest.raises(MobiscopeError, match="rows of one predictor"):
        Answers.from_frame(pd.concat([one, two]), log.places)
    small = log_of(city_of([("u0", "a", "2024-01-01", "train")])).places
    with pytest.raises(MobiscopeError, match="another city"):
        Answers.from_frame(one, small)


def test_no_samples_give_no_answers(log: VisitLog, samples) -> None:
    nothing = answer(fit_baselines(log, names=["popularity"])[0], samples[np.zeros(0, int)])
    assert len(nothing) == 0 and len(nothing.to_frame()) == 0


# Places m and n are new: the training part never saw them. h is hidden by the split.
ROWS = [
    *[("u0", place, f"2024-01-{day:02d}", "train") for day, place in enumerate("aabh", start=1)],
    *[("u0", place, f"2024-03-{day:02d}", "test") for day, place in enumerate("amnh", start=1)],
]


def new_places(scoring: str) -> list[float]:
    log = log_of(city_of(ROWS), PUBLISHED.model_copy(update={"hidden_locations": ("h",)}))
    predictor = fit_baselines(log, names=["last_place"])[0]
    return answer(predictor, build_samples(log).of_part("test"), scoring=scoring).rank.tolist()  # type: ignore[arg-type]


def test_strict_scoring_keeps_every_place_apart() -> None:
    assert new_places("strict") == [np.inf, np.inf, np.inf], "after a came m, after m came n, after n came h"


def test_parity_scoring_takes_all_new_places_for_one() -> None:
    assert new_places("parity") == [np.inf, 1, np.inf], "m, then n: both are the shared place, so the last place is right"


def test_parity_known_scoring_never_hits_the_shared_place() -> None:
    assert new_places("parity_known") == [np.inf] * 3


def test_hidden_places_keep_their_id_in_parity_scoring() -> None:
    log = log_of(city_of(ROWS), PUBLISHED.model_copy(update={"hidden_locations": ("h",)}))
    samples = build_samples(log).of_part("test")
    merged = merge_new_places(samples)
    assert [log.places.ids[place] for place in merged.true_location] == ["m", "m", "h"]
    assert log.places.ids[shared_place(samples)] == "m"
    assert [log.places.ids[place] for place in samples.true_location] == ["m", "n", "h"], "the samples given stay as they are"


def test_the_shared_place_lies_nowhere() -> None:
    log = log_of(city_of(ROWS))
    predictor = fit_baselines(log, names=["popularity"])[0]
    samples = build_samples(log).of_part("test")
    assert np.isfinite(answer(predictor, samples).distance_m).all()
    assert np.isnan(answer(predictor, samples, scoring="parity").distance_m).tolist() == [True, True, False]


def test_a_closed_place_is_not_answered_even_by_a_predictor_that_forgot() -> None:
    base = city_of([("u0", "a", "2024-01-01", "test"), ("u0", "b", "2024-01-02", "test")], places="abc")
    closing = base.replace(locations=base.table("locations").assign(closed=[True, False, False]))
    given_answers = answer(Told(np.log(np.array([0.5, 0.25, 0.25]))), build_samples(log_of(closing)))
    assert given_answers.top[0].tolist() == [1, 2, -1]
    np.testing.assert_allclose(given_answers.top_probability[0], [0.5, 0.5, 0], rtol=1e-6)
