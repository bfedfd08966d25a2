"""A scenario survives its file, refuses in sentences, and its stack undoes what it did."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as some

from engine.errors import ScenarioError
from engine.scenarios.edits import (
    AddPlace,
    ChangeMoment,
    ChangeUser,
    ClosePlace,
    HideVisits,
    KeepLast,
    MovePlace,
    OverrideProbe,
    RetagPlace,
)
from engine.scenarios.scenario import EditStack, Scenario

ids = some.text(min_size=1, max_size=20)
edits = some.one_of(
    some.builds(AddPlace, longitude=some.floats(-180, 180), latitude=some.floats(-90, 90), category=ids, name=ids),
    some.builds(MovePlace, location_id=ids, longitude=some.floats(-180, 180), latitude=some.floats(-90, 90)),
    some.builds(ClosePlace, location_id=ids),
    some.builds(RetagPlace, location_id=ids, category=ids),
    some.builds(ChangeMoment, hour=some.none() | some.integers(0, 23), weekday=some.none() | some.integers(0, 6)),
    some.builds(ChangeUser, user_id=some.none() | ids),
    some.builds(HideVisits, steps=some.lists(some.integers(0, 99), min_size=1, max_size=5).map(tuple)),
    some.builds(KeepLast, visits=some.integers(1, 99)),
    some.builds(OverrideProbe, probe=ids, action=some.just("flatten"), amount=some.none() | some.floats(0, 1)),
    some.builds(OverrideProbe, probe=ids, action=some.just("force"), index=some.integers(0, 9), entry=some.just("") | ids),
)


@given(some.lists(edits, max_size=6), some.text(min_size=1, max_size=50), some.text(max_size=50))
def test_a_scenario_read_back_from_its_file_is_the_same(edits, name, notes) -> None:
    scenario = Scenario(name=name, notes=notes, edits=tuple(edits))
    assert Scenario.from_json(scenario.to_json()) == scenario
    assert Scenario.from_json(scenario.to_json()).digest == scenario.digest


@given(some.lists(edits, min_size=1, max_size=6))
def test_undo_then_redo_changes_nothing(edits) -> None:
    stack = EditStack()
    for edit in edits:
        stack = stack.push(edit)
    assert stack.undo().redo() == stack
    assert stack.undo().done == stack.done[:-1]


@given(edits, some.lists(some.sampled_from(["push", "remove", "start over", "load"]), min_size=1, max_size=12))
def test_undo_takes_back_exactly_the_last_action_whatever_it_was(edit, actions) -> None:
    """Also a removal and a start over: step by step back to the empty stack, and forward again to the end."""
    act = {
        "push": lambda stack: stack.push(edit),
        "remove": lambda stack: stack.without(0),
        "start over": lambda stack: stack.replaced(()),
        "load": lambda stack: stack.replaced((edit, edit)),
    }
    stacks = [EditStack()]
    for action in actions:
        stacks.append(act[action](stacks[-1]))
    stack = stacks[-1]
    for before in reversed(stacks[:-1]):
        stack = stack.undo()
        assert stack.done == before.done
    for after in stacks[1:]:
        stack = stack.redo()
        assert stack.done == after.done


@given(some.binary(max_size=300))
def test_any_bytes_are_a_scenario_or_a_sentence(data: bytes) -> None:
    try:
        Scenario.from_json(data)
    except ScenarioError as error:
        assert str(error)


def test_names_and_notes_do_not_change_what_a_scenario_does() -> None:
    edit = ClosePlace(location_id="a")
    noted = edit.model_copy(update={"note": "because"})
    assert Scenario(name="one", edits=(edit,)).digest == Scenario(name="two", notes="x", edits=(noted,)).digest


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("{", "no scenario file"),
        ("[]", "holds no object"),
        ("[" * 100_000, "no scenario file: it is nested too deeply"),
        (json.dumps({"schema_version": 99}), "schema version 99"),
        (json.dumps({"edits": [{"kind": "close_place", "location_id": "a"}] * 10_000}), "10,000 edits"),
        (json.dumps({"edits": [{"kind": "bomb_place"}]}), "cannot be read"),
        (json.dumps({"edits": [{"kind": "close_place", "location_id": "a", "surprise": 1}]}), "surprise"),
    ],
)
def test_a_scenario_that_cannot_be_read_says_why(content: str, words: str) -> None:
    with pytest.raises(ScenarioError, match=words):
        Scenario.from_json(content)


def test_the_stack_stops_at_its_limit() -> None:
    stack = EditStack(tuple(ClosePlace(location_id=str(number)) for number in range(1_000)))
    with pytest.raises(ScenarioError, match="1,000"):
        stack.push(ClosePlace(location_id="x"))


def test_undo_of_nothing_is_nothing() -> None:
    assert EditStack().undo() == EditStack() == EditStack().redo()
