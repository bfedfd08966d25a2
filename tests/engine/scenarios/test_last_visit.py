"""The latest visit lasts longer or lies elsewhere; knobs of a model are turned for one answer."""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest
from torch import nn

from engine.errors import ConfigError, ScenarioError
from engine.models.base import MobilityModel
from engine.scenarios.apply import apply_to_histories, mechanism_of
from engine.scenarios.compare import compare
from engine.scenarios.edits import AddPlace, ChangeStay, ShiftLast, TurnKnob
from engine.scenarios.last_visit import shift_last, stay_for
from engine.scenarios.scenario import Scenario
from tests.engine.small_cities import histories_of


def test_only_the_latest_visit_lasts_longer() -> None:
    asked = histories_of(["ab", "c"])
    assert stay_for(asked, 90).duration_minutes.tolist() == [0, 90, 90] and asked.duration_minutes.tolist() == [0, 0, 0]
    with pytest.raises(ScenarioError, match="cannot take -1 minutes"):
        stay_for(asked, -1)
    with pytest.raises(ScenarioError, match="no last visit"):
        stay_for(histories_of(["ab", ""]), 5)


def test_a_moved_last_visit_gets_a_closed_place_of_its_own() -> None:
    asked = histories_of(["abb", "b"])
    moved = shift_last(asked, 300.0, -40.0)
    assert moved.location.tolist() == [0, 1, 6, 7], "the earlier visit to b stays at b"
    assert moved.places.x[6:].tolist() == [1300, 1300] and moved.places.y[6:].tolist() == [-40, -40]
    assert moved.places.closed[6:].all() and not moved.places.closed[:6].any() and len(asked.places) == 6


def test_a_comparison_leaves_the_moved_visit_out_of_the_places(counts, samples) -> None:
    question = samples.histories(slice(0, 1))
    scenario = Scenario(
        edits=(AddPlace(longitude=10.0, latitude=50.0, category="Bar", name="New"), ShiftLast(east_m=100), ChangeStay(minutes=30))
    )
    edited = apply_to_histories(scenario, question)
    assert len(edited.places) == 7 and edited.duration_minutes[-1] == 30
    found = compare(counts, question, scenario).candidates
    assert len(found) == 6 and found["after"].sum() == pytest.approx(1, abs=1e-5)
    last = question.places.ids[question.location[-1]]
    row = found.set_index("location_id").loc[last]
    assert row["after"] < row["before"], "one visit less was to the place itself"


class Dial(MobilityModel):
    """A model with one knob and nothing else."""

    name, title, paper, task = "dial", "Dial", "", "next_location"

    def __init__(self) -> None:
        nn.Module.__init__(self)
        self.level = 0.8

    requirements = build = stages = predict = None  # type: ignore[assignment]

    @contextmanager
    def turned(self, **values: bool | int | float | str) -> Iterator[None]:
        before, self.level = self.level, float(values.get("level", self.level))
        yield
        self.level = before


Dial.__abstractmethods__ = frozenset()


def test_a_knob_is_turned_for_the_answer_and_back_again() -> None:
    model = Dial()
    with mechanism_of(Scenario(edits=(TurnKnob(knob="level", value=0.5), TurnKnob(knob="level", value=0.3))), model):
        assert model.level == 0.3, "the later edit holds"
    assert model.level == 0.8


def test_who_has_no_knob_says_so(counts) -> None:
    with (
        pytest.raises(ScenarioError, match="no mechanism"),
        mechanism_of(Scenario(edits=(TurnKnob(knob="x", value=True),)), counts),
    ):
        pass
    plain = type("Plain", (Dial,), {"turned": MobilityModel.turned})
    plain.__abstractmethods__ = frozenset()
    with pytest.raises(ConfigError, match="no `x` to turn"), mechanism_of(Scenario(edits=(TurnKnob(knob="x", value=1),)), plain()):
        pass


def test_edits_survive_their_file() -> None:
    edits = (
        ChangeStay(minutes=15),
        ShiftLast(east_m=-20),
        TurnKnob(knob="mode", value="dense"),
        TurnKnob(knob="reads", value=False),
    )
    again = Scenario.from_json(Scenario(edits=edits).to_json()).edits
    assert again == edits and again[3].value is False
    assert [edit.describe() for edit in again][2:] == ["turn mode to dense", "turn reads to off"]
    np.testing.assert_equal(again[0].minutes, 15)


def test_where_the_last_visit_is_put_is_told_by_points_of_the_compass() -> None:
    told = [ShiftLast(east_m=east, north_m=north).describe() for east, north in ((0, -1500), (-20, 300), (0.2, 0))]
    assert told == [
        "put the last visit 1,500 m south of where it was",
        "put the last visit 300 m north and 20 m west of where it was",
        "leave the last visit where it was",
    ]
