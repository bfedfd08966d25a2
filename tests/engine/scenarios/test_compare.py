"""What changes and what does not, on a predictor that can be worked by hand."""

import numpy as np
import pytest

from engine.errors import ScenarioError
from engine.scenarios.attribution import agreement, leave_one_out, rollout
from engine.scenarios.compare import compare, compare_metrics
from engine.scenarios.counterfactual import join_histories, smallest_flips
from engine.scenarios.edits import AddPlace, ClosePlace, OverrideProbe
from engine.scenarios.scenario import Scenario


def test_a_scenario_without_edits_changes_nothing(counts, samples) -> None:
    comparison = compare(counts, samples.histories(slice(0, 1)), Scenario())
    assert comparison.moved == 0 and (comparison.candidates["change"] == 0).all()
    metrics = compare_metrics(counts, samples, Scenario())
    assert (metrics[["difference", "low", "high"]].abs() < 1e-12).all(axis=None)


def test_closing_the_top_place_hands_its_probability_to_the_others_in_proportion(counts, samples) -> None:
    question = samples.histories(slice(0, 1))
    top = compare(counts, question, Scenario()).top_before
    closed = compare(counts, question, Scenario(edits=(ClosePlace(location_id=top["location_id"]),)))
    rows = closed.candidates.set_index("location_id")
    assert rows.loc[top["location_id"], "after"] == 0 and np.isnan(rows.loc[top["location_id"], "rank_after"])
    assert rows["after"].sum() == pytest.approx(1, abs=1e-5)
    assert closed.moved == pytest.approx(top["before"], abs=1e-5)
    others = rows.drop(top["location_id"])
    assert np.allclose(others["after"] / others["before"], 1 / (1 - top["before"]), rtol=1e-4)


def test_substitutes_name_their_distance_to_the_place_that_closed(counts, samples) -> None:
    question = samples.histories(slice(0, 1))
    closed = compare(counts, question, Scenario(edits=(ClosePlace(location_id="b"),)))
    substitute = closed.substitutes.set_index("location_id")
    assert substitute.loc["d", "same_category"] and not substitute.loc["a", "same_category"]
    assert 1400 < substitute.loc["d", "distance_m"] < 1460  # 0.02 degrees of longitude at 50 degrees north


def test_a_new_place_appears_among_the_candidates(counts, samples) -> None:
    bakery = AddPlace(longitude=10.0, latitude=50.0, category="Bakery", name="=1+1 <script>")
    rows = compare(counts, samples.histories(slice(0, 1)), Scenario(edits=(bakery,))).candidates.set_index("location_id")
    assert rows.loc[bakery.location_id, "edit"] == "opened" and rows.loc[bakery.location_id, "before"] == 0
    assert np.isnan(rows.loc[bakery.location_id, "rank_before"])


def test_a_mechanism_cannot_be_overridden_where_there_is_none(counts, samples) -> None:
    scenario = Scenario(edits=(OverrideProbe(probe="attention", action="flatten"),))
    with pytest.raises(ScenarioError, match="no mechanism"):
        compare(counts, samples.histories(slice(0, 1)), scenario)


def test_a_comparison_asks_one_question(counts, samples) -> None:
    with pytest.raises(ScenarioError, match="2 were given"):
        compare(counts, samples.histories(slice(0, 2)), Scenario())


def test_visits_to_a_place_speak_for_it(counts, samples) -> None:
    question = samples.histories(slice(0, 1))
    found = leave_one_out(counts, question)
    speaks = question.location == found.place
    assert (found.effect[speaks] > 0).all() and (found.effect[~speaks] < 0).all()


def test_agreement_is_a_rank_correlation_with_the_size_of_the_effect() -> None:
    assert agreement(np.array([0.1, 0.2, 0.7]), np.array([0.0, -1.0, 2.0])) == pytest.approx(1.0)
    assert np.isnan(agreement(np.array([0.5, 0.5]), np.array([1.0, 2.0])))


def test_rollout_rows_sum_to_one_and_identity_attention_stays_put() -> None:
    still = np.tile(np.eye(3), (2, 4, 1, 1))
    assert np.allclose(rollout(still), np.eye(3))
    uniform = np.full((2, 4, 3, 3), 1 / 3)
    assert np.allclose(rollout(uniform).sum(axis=1), 1)


def test_hiding_visits_can_flip_a_narrow_answer_and_hours_cannot_for_a_counter(counts, samples) -> None:
    flips = {flip.kind for flip in smallest_flips(counts, samples.histories(slice(0, 1)))}
    assert "hour" not in flips and "weekday" not in flips
    assert "hide a visit" in flips or "last visit" in flips


def test_joined_batches_are_asked_like_single_ones(counts, samples) -> None:
    single = [samples.histories(slice(i, i + 1)) for i in range(3)]
    together = counts.predict(join_histories(single)).log_probability
    assert np.array_equal(together, np.concatenate([counts.predict(one).log_probability for one in single]))


def test_a_town_without_an_open_place_has_no_top_guess(samples, counts) -> None:
    closed = Scenario(edits=tuple(ClosePlace(location_id=name) for name in "abcde"))
    comparison = compare(counts, samples.histories(slice(0, 1)), closed)
    assert comparison.top_before is not None and comparison.top_after is None
    assert comparison.candidates["after"].sum() == 0
