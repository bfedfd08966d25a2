"""A question and its answers as tables and sentences, on a week of two people that can be followed by eye."""

import dataclasses

import numpy as np
import pandas as pd
import pytest

from dashboard import questions
from dashboard.questions import UNKNOWN_PERSON, QueryEdit
from engine.city.samples import Samples, build_samples
from engine.errors import ScenarioError
from engine.models.answers import Prediction
from tests.engine.small_cities import city_of, log_of

VISITS = [
    ("anna", "home", "2024-01-01 08:00", "train"),
    ("anna", "work", "2024-01-01 09:00", "train"),
    ("anna", "home", "2024-01-01 18:00", "train"),
    ("ben", "gym", "2024-01-01 19:00", "train"),
    ("anna", "home", "2024-01-08 08:00", "test"),
    ("anna", "work", "2024-01-08 09:10", "test"),
    ("anna", "home", "2024-01-08 18:00", "test"),
    ("anna", "cafe", "2024-01-08 20:00", "test"),
]


class Counter:
    """Ranks places by how often they stand in the history, in half shares; knows nothing of the cafe."""

    name, title = "counter", "Counter"

    def predict(self, histories) -> Prediction:
        scores = np.zeros((len(histories), len(histories.places)))
        for row, (begin, end) in enumerate(zip(histories.offsets[:-1], histories.offsets[1:], strict=True)):
            np.add.at(scores[row], histories.location[begin:end], 1)
        with np.errstate(divide="ignore"):
            return Prediction(np.log(scores / scores.sum(1, keepdims=True)).astype(np.float32), normalised=False)


class Uniform:
    name, title = "uniform", "Uniform"

    def predict(self, histories) -> Prediction:
        return Prediction(np.full((len(histories), len(histories.places)), -np.log(len(histories.places)), np.float32))


@pytest.fixture
def samples() -> Samples:
    """Places in the order cafe, gym, home, work; Anna's steps in the test part are work, home, cafe."""
    return build_samples(log_of(city_of(VISITS, "America/New_York")))


@pytest.fixture
def last(samples) -> int:
    """Anna's step to the cafe, after home, work, home."""
    return int(questions.steps_of(samples)[1]["index"].iloc[-1])


def test_steps_are_those_of_the_test_part_in_order_and_local_time(samples) -> None:
    part, steps = questions.steps_of(samples)
    assert part == "test"
    assert steps["user"].tolist() == ["anna"] * 3 and steps["step"].tolist() == [0, 1, 2]
    assert samples.log.places.ids[steps["truth"]].tolist() == ["work", "home", "cafe"]
    assert steps["when"].iloc[-1] == pd.Timestamp("2024-01-08 20:00"), "as the clock in New York showed"


def test_without_a_test_part_the_latest_part_is_looked_at(samples) -> None:
    part, steps = questions.steps_of(samples.of_part("train"))
    assert part == "train" and len(steps) > 0


def test_nothing_to_look_at_is_an_empty_table(samples) -> None:
    _, steps = questions.steps_of(samples[np.zeros(0, np.int64)])
    assert len(steps) == 0


def test_the_history_is_what_the_predictor_sees(samples, last) -> None:
    history = questions.history_of(samples, last, QueryEdit())
    assert history["id"].tolist() == ["home", "work", "home"]
    assert history["when"].tolist() == ["Mon 8 Jan 08:00", "Mon 8 Jan 09:10", "Mon 8 Jan 18:00"]


@pytest.mark.parametrize(
    "edit", [QueryEdit(hide=(1,)), QueryEdit(keep_last=2), QueryEdit(hide=(0,), keep_last=1), QueryEdit(hide=(2,), hour=3)]
)
def test_the_history_on_screen_is_the_history_that_was_asked(samples, last, edit) -> None:
    shown = questions.history_of(samples, last, edit)["location"].tolist()
    assert shown == edit.apply(samples.histories(np.array([last]))).location.tolist()


def test_an_edited_moment_is_said(samples, last) -> None:
    assert questions.history_of(samples, last, QueryEdit(hour=7, weekday=5))["when"].iloc[-1] == "Sat 07:00 (edited)"


def test_an_edit_is_empty_only_when_nothing_is_changed() -> None:
    assert not QueryEdit()
    assert (
        QueryEdit(hour=0)
        and QueryEdit(weekday=0)
        and QueryEdit(user=UNKNOWN_PERSON)
        and QueryEdit(hide=(0,))
        and QueryEdit(keep_last=1)
    )


def test_an_edit_survives_as_text() -> None:
    edit = QueryEdit(hour=3, weekday=0, user="anna", hide=(1, 2), keep_last=4)
    assert QueryEdit.from_key(edit.key()) == edit
    assert QueryEdit.from_key(QueryEdit().key()) == QueryEdit()


def test_an_edit_in_words_shows_names_literally() -> None:
    assert QueryEdit(hour=8, weekday=0, hide=(1,)).describe() == "at 8 h, on a Monday, without 1 visit"
    assert "**" not in QueryEdit(user="**a**").describe().replace("\\*\\*", "")


def test_answers_are_ranked_and_the_unanswerable_has_no_rank(samples, last) -> None:
    reply, uniform = questions.ask([Counter(), Uniform()], samples, last, QueryEdit())
    assert samples.log.places.ids[reply.top].tolist() == ["home", "work"]
    assert reply.rank == np.inf and not reply.normalised, "the cafe is not in the history"
    assert reply.probability[reply.top].tolist() == pytest.approx([2 / 3, 1 / 3])
    assert uniform.rank == 1 and uniform.entropy_bits == pytest.approx(2) and uniform.effective_places == pytest.approx(4)


def test_the_table_gives_distances_from_the_last_visit_and_the_truth(samples, last) -> None:
    places, truth = samples.log.places, int(samples.true_location[last])
    reply = questions.ask([Uniform()], samples, last, QueryEdit())[0]
    table = questions.ranking_table(reply, places, places.index["home"], truth, 3)
    assert table["rank"].tolist() == [1, 2, 3] and table["id"].tolist() == ["cafe", "gym", "home"]
    assert table["from_here_m"].iloc[2] == 0 and table["from_truth_m"].iloc[0] == 0
    assert table["from_here_m"].iloc[1] == pytest.approx(843, abs=5), "a hundredth of a degree of longitude at 40.7 north"
    assert table["is_truth"].tolist() == [True, False, False]


def test_the_sentence_tells_guess_truth_and_baseline(samples, last) -> None:
    places, truth = samples.log.places, int(samples.true_location[last])
    replies = questions.ask([Uniform(), Counter()], samples, last, QueryEdit())
    assert questions.answer_sentence(replies, places, truth, QueryEdit(), "counter") == (
        "Top guess **cafe**, 25.0\u202f%; that is where the person went; the baseline Counter could not rank it."
    )
    swapped = questions.answer_sentence(replies[::-1], places, truth, QueryEdit(hour=9), "uniform")
    assert swapped.startswith(
        "Asked at 9 h: top guess **home**, 66.7\u202f%; the person went to a place it cannot rank, 1.69\u202fkm away"
    )
    assert swapped.endswith("the baseline Uniform had it at rank 1.")


def test_a_predictor_that_can_name_no_place_says_so(samples, last) -> None:
    reply = questions.ask([Uniform()], samples, last, QueryEdit())[0]
    silent = dataclasses.replace(reply, top=np.zeros(0, int), rank=np.inf)
    assert "cannot answer" in questions.answer_sentence([silent], samples.log.places, 0, QueryEdit())


def test_the_baseline_is_chosen_over_all_steps_not_for_its_luck_on_one() -> None:
    steps = pd.DataFrame({"rank.m": [1.0, 1.0], "rank.lucky": [1.0, np.inf], "rank.steady": [2.0, 1.0]})
    assert questions.best_baseline(steps, "m", ["m", "lucky", "steady", "absent"]) == "steady"
    assert questions.best_baseline(pd.DataFrame(), "m", ["m", "other"]) == "other"
    assert questions.best_baseline(pd.DataFrame(), "m", ["m"]) is None


def test_why_not_counts_what_training_knew(samples, last) -> None:
    truth = int(samples.true_location[last])
    facts = " ".join(questions.why_not(questions.ask([Uniform()], samples, last, QueryEdit())[0], samples, last, truth))
    assert "Nobody visited it in the training part" in facts and "an exploration" in facts
    home = int(questions.steps_of(samples)[1]["index"].iloc[1])
    facts = " ".join(
        questions.why_not(
            questions.ask([Counter()], samples, home, QueryEdit())[0], samples, home, int(samples.true_location[home])
        )
    )
    assert "2 visits by 1 person" in facts and "a return" in facts


def test_what_stands_above_the_truth_and_is_alike_is_named() -> None:
    city = city_of(VISITS, "America/New_York")
    locations = city.spatial("locations").copy()
    locations["category"] = ["Bar", "Bar", "Home", "Work"]
    samples = build_samples(log_of(city.replace(locations=locations)))
    index = int(questions.steps_of(samples)[1]["index"].iloc[-1])
    reply = questions.ask([Uniform()], samples, index, QueryEdit())[0]
    above = dataclasses.replace(reply, top=np.array([1, 0]), rank=2.0)
    assert any(
        "The same kind of place stands above it: **gym** at rank 1" in fact for fact in questions.why_not(above, samples, index, 0)
    )


def test_an_edit_that_changes_nothing_moves_nothing(samples, last) -> None:
    before = questions.ask([Counter()], samples, last, QueryEdit())[0]
    assert questions.moved_share(before, before) == 0
    after = questions.ask([Counter()], samples, last, QueryEdit(keep_last=1))[0]
    assert questions.moved_share(before, after) == pytest.approx(1 / 3), "work's third goes home"
    table = questions.shift_table(before, after, samples.log.places, 0, 5)
    assert table["change"].sum() == pytest.approx(0, abs=1e-6)
    assert table.set_index("id").loc["work", "rank_before"] == 2 and np.isnan(table.set_index("id").loc["work", "rank_after"])


def test_an_impossible_edit_is_refused(samples, last) -> None:
    with pytest.raises(ScenarioError, match="no person 'nobody'"):
        questions.ask([Counter()], samples, last, QueryEdit(user="nobody"))


def test_asking_never_changes_the_samples(samples, last) -> None:
    before = samples.log.minute.copy()
    questions.ask([Counter()], samples, last, QueryEdit(hour=1, weekday=1, user=UNKNOWN_PERSON, hide=(0,), keep_last=1))
    assert (samples.log.minute == before).all()
