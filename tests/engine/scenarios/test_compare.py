"""What changes and what does not, on a predictor that can be worked by hand."""

from dataclasses import replace

import numpy as np
import pytest

from engine.errors import ScenarioError
from engine.evaluation.slices import slice_labels
from engine.models.answers import Prediction
from engine.scenarios.attribution import agreement, leave_one_out, rollout
from engine.scenarios.compare import compare, compare_metrics
from engine.scenarios.counterfactual import join_histories, smallest_flips
from engine.scenarios.edits import AddPlace, ClosePlace, HideVisits, KeepLast, OverrideProbe, ShiftLast
from engine.scenarios.scenario import Scenario


def test_a_scenario_without_edits_changes_nothing(counts, samples) -> None:
    comparison = compare(counts, samples.histories(slice(0, 1)), Scenario())
    assert comparison.moved == 0 and (comparison.candidates["change"] == 0).all()
    metrics = compare_metrics(counts, samples, Scenario())
    assert (metrics.table[["difference", "low", "high"]].abs() < 1e-12).all(axis=None)
    assert metrics.changed is None


def test_scores_stay_scores_before_and_after(counts, samples) -> None:
    class Scores(type(counts)):
        def predict(self, histories):
            return replace(super().predict(histories), normalised=False)

    question, scenario = samples.histories(slice(0, 1)), Scenario(edits=(ClosePlace(location_id="b"),))
    given, said = compare(Scores(), question, scenario), compare(counts, question, scenario)
    assert not given.normalised and said.normalised and given.moved == said.moved > 0
    assert not leave_one_out(Scores(), question).normalised and leave_one_out(counts, question).normalised


def test_metrics_skip_the_samples_that_lack_the_visit_to_hide(counts, samples) -> None:
    """Histories here have 14 visits or more, some more than 15: `hide visit 16` is put to those and leaves the others alone."""
    lengths = samples.histories().lengths
    step = int(np.median(lengths))
    found = compare_metrics(counts, samples, Scenario(edits=(HideVisits(steps=(step,)),)))
    assert 0 < (lengths > step).sum() < len(samples), "some have it and some do not"
    assert (found.samples, found.changed) == (len(samples), (lengths > step).sum())
    everything = compare_metrics(counts, samples, Scenario(edits=(HideVisits(steps=tuple(range(500))),)))
    assert everything.changed == 0


def test_metrics_by_slice_hold_every_sample_once_and_agree_with_those_of_the_group_alone(counts, samples, town) -> None:
    scenario = Scenario(edits=(KeepLast(visits=1),))
    labels = slice_labels(samples, town, ["weekday"])
    table = compare_metrics(counts, samples, scenario, labels).table
    acc = table[table["metric"] == "acc@1"].set_index("group")
    assert acc.loc["all", "n"] == len(samples) == acc.drop("all")["n"].sum()
    sunday = samples[(labels["weekday"] == "Sunday").to_numpy()]
    alone = compare_metrics(counts, sunday, scenario).table.set_index("metric")
    assert (
        acc.loc["Sunday", ["before", "after", "difference"]].tolist()
        == alone.loc["acc@1", ["before", "after", "difference"]].tolist()
    )
    assert (table["difference"] == table["after"] - table["before"]).all()


def test_metrics_count_an_answer_that_is_a_new_place_and_a_visit_that_was_moved(samples) -> None:
    """A predictor that names the last place: the new one after the edits, half a degree off, so every sample is missed by that."""

    class NamesTheLast:
        name, title = "last", "The last place of the list"

        def predict(self, histories):
            scores = np.full((len(histories), len(histories.places)), -np.inf, np.float32)
            scores[:, np.flatnonzero(~histories.places.closed)[-1]] = 0.0
            return Prediction(scores)

    bakery = AddPlace(longitude=10.5, latitude=50.0, category="Bakery")
    edits = (bakery, ShiftLast(east_m=100.0), ClosePlace(location_id="a"))
    found = compare_metrics(NamesTheLast(), samples, Scenario(edits=edits))
    row = found.table.set_index("metric").loc["distance_median_m"]
    assert row["before"] < 4_000 < 30_000 < row["after"] < 40_000
    assert found.changed == len(samples)


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
