"""Edits give new cities, logs and batches; originals stay as they were."""

import numpy as np
import pytest

from engine.city.samples import Places, VisitLog
from engine.city.splits import Split
from engine.errors import ScenarioError
from engine.scenarios.apply import apply_to_city, apply_to_histories, apply_to_places, apply_to_samples, check_scenario
from engine.scenarios.edits import AddPlace, ClosePlace, KeepLast, MovePlace, RetagPlace, ShuffleVisits
from engine.scenarios.scenario import Scenario

BAKERY = AddPlace(longitude=10.005, latitude=50.0, category="Bakery", name="Crumbs")
EDITS = (
    BAKERY,
    MovePlace(location_id="c", longitude=10.03, latitude=50.01),
    ClosePlace(location_id="b"),
    RetagPlace(location_id="e", category="Office"),
)


def test_an_edited_city_is_another_city_and_the_original_stays(town) -> None:
    before, fingerprint = town.spatial("locations").copy(), town.fingerprint
    edited = apply_to_city(Scenario(edits=EDITS), town)
    assert edited.fingerprint != fingerprint == town.fingerprint
    assert before.equals(town.spatial("locations"))
    locations = edited.spatial("locations").set_index("location_id")
    assert list(locations.index) == ["a", "b", "c", "d", "e", BAKERY.location_id]
    assert locations.loc["b", "closed"] and not locations.loc["a", "closed"]
    assert locations.loc["e", "category"] == "Office"


def test_editing_places_equals_reading_the_places_of_the_edited_city(town) -> None:
    """The quick way (arrays) and the long way (a new City) agree in every column."""
    quick = apply_to_places(EDITS, Places.of(town))
    long = Places.of(apply_to_city(Scenario(edits=EDITS), town))
    assert list(quick.ids) == list(long.ids) and list(quick.names) == list(long.names)
    assert np.allclose(quick.x, long.x) and np.allclose(quick.y, long.y)
    assert list(quick.closed) == list(long.closed)
    named = [[places.category_names[code] for code in places.category] for places in (quick, long)]
    assert named[0] == named[1]


def test_the_log_of_an_edited_city_keeps_its_visits_and_knows_the_new_place(town, samples) -> None:
    edited = apply_to_samples(Scenario(edits=EDITS), samples)
    assert np.array_equal(edited.log.location, samples.log.location)
    assert len(edited.log.places) == 6 and len(samples.log.places) == 5
    assert not edited.log.seen[5] and edited.log.visits_in_training[5] == 0
    assert len(VisitLog.of(apply_to_city(Scenario(edits=EDITS), town), Split())) == len(samples.log)


def test_shuffling_keeps_the_last_visit_and_every_place(samples) -> None:
    histories = samples.histories(slice(0, 3))
    shuffled = apply_to_histories(Scenario(edits=(ShuffleVisits(seed=1),)), histories)
    assert np.array_equal(shuffled.location[shuffled.last], histories.location[histories.last])
    for start, stop in zip(histories.offsets[:-1], histories.offsets[1:], strict=True):
        assert sorted(shuffled.location[start:stop]) == sorted(histories.location[start:stop])
    assert np.array_equal(shuffled.minute, histories.minute)


def test_a_cold_start_keeps_one_visit(samples) -> None:
    cold = apply_to_histories(Scenario(edits=(KeepLast(visits=1),)), samples.histories(slice(0, 4)))
    assert list(cold.lengths) == [1, 1, 1, 1]


def test_all_reasons_are_given_at_once(town) -> None:
    scenario = Scenario(
        city_fingerprint="0" * 64, edits=(ClosePlace(location_id="gone"), AddPlace(**BAKERY.model_dump() | {"location_id": "a"}))
    )
    with pytest.raises(ScenarioError) as refused:
        check_scenario(scenario, town)
    assert "another city" in str(refused.value) and "no such place" in str(refused.value) and "there already" in str(refused.value)


def test_a_place_added_by_one_edit_can_be_closed_by_the_next(town) -> None:
    check_scenario(Scenario(edits=(BAKERY, ClosePlace(location_id=BAKERY.location_id))), town)
