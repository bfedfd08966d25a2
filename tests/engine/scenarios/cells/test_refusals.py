"""Files of edits of cells, and what is refused in sentences."""

import base64

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from engine.encoders.cell_features import MODALITIES
from engine.errors import ScenarioError
from engine.scenarios.apply import check_scenario
from engine.scenarios.cell_apply import check_cell_scenario
from engine.scenarios.cell_compare import (
    compare_curves,
)
from engine.scenarios.cell_edits import (
    AddEdge,
    BlendCells,
    ChangeBuildings,
    ChangeDescription,
    ChangePois,
    ChangeTile,
    CutEdge,
    DropModality,
    LeaveDistrictOut,
)
from engine.scenarios.edits import ClosePlace, TakeHour
from engine.scenarios.scenario import MOST_EDITS, Scenario

names = some.text(min_size=1, max_size=12)


cell_edits = some.one_of(
    some.builds(ChangePois, cell_id=names, counts=some.dictionaries(names, some.integers(0, 99), min_size=1, max_size=3)),
    some.builds(ChangeBuildings, cell_id=names, factor=some.floats(0, 20), metres=some.none()),
    some.builds(ChangeTile, cell_id=names, from_cell=names, image=some.none()),
    some.builds(ChangeDescription, cell_id=names, modality=some.sampled_from(MODALITIES), text=names),
    some.builds(BlendCells, cell_id=some.just("a"), like=some.just("b"), alpha=some.floats(0, 1)),
    some.builds(DropModality, modality=some.sampled_from(MODALITIES), cell_id=some.none() | names),
    some.builds(CutEdge, cell_id=some.just("a"), neighbour=some.just("b")),
    some.builds(AddEdge, cell_id=some.just("a"), neighbour=some.just("b")),
    some.builds(LeaveDistrictOut, district=names, refit=some.booleans()),
    some.builds(TakeHour, hour=some.integers(0, 11), as_hour=some.integers(12, 23), both_ways=some.booleans()),
)


@settings(max_examples=40)
@given(some.lists(cell_edits, max_size=5))
def test_edits_of_cells_survive_their_file(edits) -> None:
    scenario = Scenario(edits=tuple(edits))
    assert Scenario.from_json(scenario.to_json()) == scenario
    assert all(edit.describe() for edit in edits)


def test_what_does_not_fit_is_refused_with_every_reason(grounds):
    scenario = Scenario(
        city="Elsewhere",
        city_fingerprint="f" * 64,
        edits=(
            ChangePois(cell_id="gone", counts={"Food": 1}),
            BlendCells(cell_id="r000c000", like="lost"),
            LeaveDistrictOut(district="Atlantis"),
            ClosePlace(location_id="loc-01"),
        ),
    )
    with pytest.raises(ScenarioError) as refused:
        check_cell_scenario(scenario, grounds.city, grounds.cells)
    for words in ("Elsewhere", "no cell gone", "no cell lost", "no such district", "of places or of a question"):
        assert words in str(refused.value)


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (ChangePois(cell_id="r000c000", counts={"Volcano": 3}), "counts no `Volcano`"),
        (ChangePois(cell_id="r000c000", counts={"Food": 1.5}), "whole number"),
        (ChangePois(cell_id="r000c000", counts={"Food": -1}), "-1 places of `Food` cannot stand in a cell"),
        (ChangePois(cell_id="r000c000", counts={"Food": 2e6}), "from 0 to 1,000,000"),
        (ChangeTile(cell_id="r000c000", image=base64.b64encode(b"not a picture").decode()), "cannot be read"),
        (CutEdge(cell_id="r000c000", neighbour="r005c005"), "no neighbours"),
        (AddEdge(cell_id="r000c000", neighbour="r000c001"), "neighbours already"),
    ],
    ids=lambda value: getattr(value, "kind", None),
)
def test_an_edit_that_cannot_be_done_says_why(grounds, edit, words):
    with pytest.raises(ScenarioError, match=words):
        compare_curves(grounds.encoder, grounds, Scenario(edits=(edit,)))


@pytest.mark.parametrize(
    "fields",
    [
        {"kind": "change_buildings", "cell_id": "a"},
        {"kind": "change_buildings", "cell_id": "a", "factor": 2, "metres": 3},
        {"kind": "change_tile", "cell_id": "a"},
        {"kind": "change_tile", "cell_id": "a", "image": "§"},
        {"kind": "change_tile", "cell_id": "a", "image": base64.b64encode(bytes(300_000)).decode()},
        {"kind": "blend_cells", "cell_id": "a", "like": "a"},
        {"kind": "blend_cells", "cell_id": "a", "like": "b", "alpha": 2},
        {"kind": "cut_edge", "cell_id": "a", "neighbour": "a"},
        {"kind": "drop_modality", "modality": "smell"},
        {"kind": "take_hour", "hour": 8, "as_hour": 24},
        {"kind": "take_hour", "hour": 8, "as_hour": 8},
        {"kind": "change_pois", "cell_id": "a", "counts": {"Income": float("nan")}},
        {"kind": "change_pois", "cell_id": "a", "counts": {"Income": -1e39}},
        {"kind": "change_pois", "cell_id": "a", "counts": {}},
    ],
)
def test_a_file_with_an_impossible_edit_is_refused_in_a_sentence(fields):
    import json

    with pytest.raises(ScenarioError, match="cannot be read"):
        Scenario.from_json(json.dumps({"edits": [fields]}))


def test_too_many_edits_are_refused(grounds):
    import json

    many = [{"kind": "drop_modality", "modality": "poi"}] * (MOST_EDITS + 1)
    with pytest.raises(ScenarioError, match="at most"):
        Scenario.from_json(json.dumps({"edits": many}))


def test_a_model_of_visits_refuses_edits_of_cells(tiny_city):
    with pytest.raises(ScenarioError, match="only a model of cells"):
        check_scenario(Scenario(edits=(DropModality(modality="poi"),)), tiny_city)
