"""Training again on an edited city: planned from the first run's own time, queued on a new city, the original untouched."""

import pytest

from engine.city.city import City, list_cities, open_city
from engine.errors import ScenarioError
from engine.models.declarations import Effect
from engine.runs import Run, submit
from engine.runs.refit import plan_refit, refit
from engine.scenarios.edits import AddPlace, ChangeMoment, RetagPlace
from engine.scenarios.scenario import Scenario


@pytest.fixture
def done(by_hand, request_for) -> str:
    """A finished run."""
    run_id = submit(request_for())
    by_hand(run_id)
    assert Run.open(run_id).status().state == "DONE"
    return run_id


@pytest.fixture
def forgetful(done):
    """The run's model, as if it answered to a new category only after training again."""
    model = Run.open(done).load().model
    model.effects = lambda: {"retag_place": Effect("re-fit", "Texts shape the vectors while they are trained.")}
    return model


def retag(city: City) -> Scenario:
    place = str(city.table("locations")["location_id"].iloc[0])
    return Scenario(
        name="A new bakery", city_fingerprint=city.fingerprint, edits=(RetagPlace(location_id=place, category="Bakery"),)
    )


def test_the_plan_takes_its_time_from_the_run_itself(done, forgetful, city) -> None:
    plan = plan_refit(done, retag(city), forgetful)
    summary = Run.open(done).summary
    assert plan is not None and plan.is_cheap
    assert plan.seconds == pytest.approx((summary.ended_at - summary.started_at).total_seconds())
    assert [edit.kind for edit in plan.edits] == ["retag_place"]


def test_nothing_is_planned_where_no_edit_needs_it(done, forgetful) -> None:
    assert plan_refit(done, Scenario(edits=(ChangeMoment(hour=3),)), forgetful) is None
    assert plan_refit(done, Scenario(edits=(AddPlace(longitude=1, latitude=1, category="x"),)), forgetful) is None


def test_training_again_happens_on_a_new_city_with_the_same_settings(done, city) -> None:
    scenario = retag(city)
    new_run = refit(done, scenario)
    old, new = Run.open(done).request, Run.open(new_run).request
    apart = {"city", "name", "config"}
    assert new.model_dump(exclude=apart) == old.model_dump(exclude=apart)
    assert Run.open(new_run).config == Run.open(done).config, "also where the preset has changed since"
    edited = open_city(new.city)
    assert edited.fingerprint != city.fingerprint == open_city(city.name).fingerprint
    assert edited.table("locations")["category"].iloc[0] == "Bakery"
    assert edited.info.provenance["kind"] == "scenario" and edited.info.provenance["base_fingerprint"] == city.fingerprint
    assert "A new bakery" in edited.info.data_card.assumptions[-1]


def test_the_same_edits_make_the_city_once(done, city) -> None:
    refit(done, retag(city))
    refit(done, retag(city))
    assert len(list_cities()) == 2


def test_edits_of_the_question_alone_are_refused(done) -> None:
    with pytest.raises(ScenarioError, match="edits no place"):
        refit(done, Scenario(edits=(ChangeMoment(hour=3),)))
