"""Asking a scenario's question again: from the page, the command line and tests, with the same numbers."""

import numpy as np
import pandas as pd

from engine.city.city import City
from engine.city.samples import Samples
from engine.errors import ScenarioError
from engine.models.answers import Predictor
from engine.scenarios.apply import check_scenario
from engine.scenarios.compare import Comparison, compare
from engine.scenarios.scenario import Query, Scenario


def query_of(samples: Samples, index: int) -> Query:
    """The question of a sample, by who and when, so that it can be found again in another run of the same city."""
    log, target = samples.log, samples.target[index]
    started = pd.Timestamp(log.started_at[target]).tz_localize("UTC").to_pydatetime()
    return Query(user_id=str(log.users[log.user[target]]), started_at=started)


def find_question(query: Query, samples: Samples) -> int:
    """The position of a question among samples; the first, where a person has several visits at one moment.

    Raises:
        ScenarioError: If these samples do not hold it.
    """
    log = samples.log
    user = np.flatnonzero(log.users.astype(str) == query.user_id)
    moment = pd.Timestamp(query.started_at).tz_convert("UTC").tz_localize(None).to_datetime64()
    hits = np.flatnonzero((log.user[samples.target] == (user[0] if len(user) else -1)) & (log.started_at[samples.target] == moment))
    if not len(hits):
        raise ScenarioError(
            f"Person `{query.user_id}` has no question at {query.started_at:%Y-%m-%d %H:%M %Z} in this run. "
            "Its split may differ; choose a person and a step, and save the scenario again."
        )
    return int(hits[0])


def replay(predictor: Predictor, samples: Samples, city: City, scenario: Scenario) -> Comparison:
    """Answers a scenario's own question before and after its edits.

    Raises:
        ScenarioError: If the scenario asks no question, or does not fit the city, the samples or the predictor.
    """
    if scenario.query is None:
        raise ScenarioError("The scenario asks no question. Choose a person and a step on the What-if page and save it again.")
    check_scenario(scenario, city)
    index = find_question(scenario.query, samples)
    return compare(predictor, samples.histories(np.array([index])), scenario)
