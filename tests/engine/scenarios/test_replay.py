"""A saved scenario finds its question again and gives the numbers it gave."""

import numpy as np
import pytest

from engine.errors import ScenarioError
from engine.scenarios.compare import compare
from engine.scenarios.edits import ClosePlace
from engine.scenarios.replay import find_question, query_of, replay
from engine.scenarios.scenario import Query, Scenario


def test_a_question_is_found_again_by_person_and_moment(samples) -> None:
    for index in (0, 5, len(samples) - 1):
        assert find_question(query_of(samples, index), samples) == index


def test_a_scenario_from_its_file_gives_the_same_numbers(town, samples, counts) -> None:
    scenario = Scenario(city_fingerprint=town.fingerprint, query=query_of(samples, 3), edits=(ClosePlace(location_id="a"),))
    now = compare(counts, samples.histories(np.array([3])), scenario)
    again = replay(counts, samples, town, Scenario.from_json(scenario.to_json()))
    assert now.candidates.equals(again.candidates) and now.moved == again.moved


def test_a_question_that_is_not_there_says_so(town, samples, counts) -> None:
    stranger = Query(user_id="nobody", started_at="2024-01-01T00:00:00+00:00")
    with pytest.raises(ScenarioError, match="no question"):
        replay(counts, samples, town, Scenario(query=stranger))
    with pytest.raises(ScenarioError, match="asks no question"):
        replay(counts, samples, town, Scenario())
