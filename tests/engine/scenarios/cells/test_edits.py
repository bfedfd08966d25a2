"""What an edit of a cell does to the city and to what a model sees; the original is never touched."""

import base64
import io
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from engine.city.images import read_heights
from engine.encoders.cell_features import MODALITIES, CellEncoding, encode_cells
from engine.encoders.cell_pictures import cell_pictures, pictures_of_cell
from engine.encoders.cell_pois import count_pois
from engine.errors import ScenarioError
from engine.scenarios.cell_apply import edit_cells, edit_inputs
from engine.scenarios.cell_compare import (
    OUTDATED,
    Grounds,
    edited,
    effect_on_curves,
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
)
from engine.scenarios.cell_tables import edit_city
from engine.scenarios.scenario import Scenario
from tests.engine.scenarios.cells.conftest import ids


def test_counts_of_a_root_category_are_what_was_asked_for_and_nothing_else_moves(grounds):
    """40 places of food in the cell are counted as 40; all other counts of all cells stay."""
    here, _ = ids(grounds)
    under = edited(grounds, Scenario(edits=(ChangePois(cell_id=here, counts={"Food": 40, "Shop & Service": 0}),)))
    before, after = grounds.inputs.modalities["poi"], under.inputs.modalities["poi"]
    row, food, shops = list(grounds.cells.cell_ids).index(here), *map(before.components.index, ("Food", "Shop & Service"))
    assert (after.features[row, food], after.features[row, shops]) == (40, 0)
    expected = before.features.copy()
    expected[row, food], expected[row, shops] = 40, 0
    np.testing.assert_array_equal(after.features, expected)


@pytest.mark.parametrize("amount", [-3.5, 0, 12, 4.2e6, -2e18, 1e30])
def test_an_attribute_of_the_zones_takes_any_number(grounds, amount):
    """Metres above the sea may be negative and incomes are in the millions, also where the column holds small whole numbers."""
    cells = grounds.city.spatial("cells")
    city = grounds.city.replace(cells=cells.assign(elevation=np.arange(len(cells), dtype=np.int16) - 5))
    under = edit_city([ChangePois(cell_id="r002c002", counts={"elevation": amount})], city)
    before, after = (count_pois(one, one.spatial("cells")) for one in (city, under))
    expected = before.counts.copy()
    row = list(cells["cell_id"]).index("r002c002")
    expected[row, before.components.index("elevation")] = amount
    np.testing.assert_array_equal(after.counts, expected)


def test_buildings_grow_in_the_footprints_and_on_the_height_tile(grounds):
    """Twice the height doubles every footprint of the cell and the tile's grey levels (up to 255), elsewhere nothing."""
    here, _ = ids(grounds)
    city = edit_city([ChangeBuildings(cell_id=here, factor=2)], grounds.city)
    ratio = city.table("buildings")["height_m"].to_numpy() / grounds.city.table("buildings")["height_m"].to_numpy()
    assert set(np.round(ratio, 6)) == {1.0, 2.0}

    def tile(of, cell):
        table = of.table("imagery")
        path = table.loc[(table["subject_id"] == cell) & (table["modality"] == "height"), "path"].iloc[0]
        return np.asarray(Image.open(io.BytesIO(of.media(path))).convert("L"), float)

    np.testing.assert_array_equal(tile(city, here), np.minimum(2 * tile(grounds.city, here), 255))
    np.testing.assert_array_equal(tile(city, "r000c000"), tile(grounds.city, "r000c000"))


def test_heights_of_an_uploaded_tile_in_metres_of_any_width_are_changed_in_metres(grounds):
    """A 16-bit tile of 20 m, doubled, has 40 m; what it marks as outside of the cell stays outside."""
    here, _ = ids(grounds)
    buffer = io.BytesIO()
    Image.fromarray(np.array([[20, 0, 9999]], np.uint16)).save(buffer, "PNG", transparency=9999)
    tile = ChangeTile(cell_id=here, modality="height", image=base64.b64encode(buffer.getvalue()).decode())
    city = edit_city([tile, ChangeBuildings(cell_id=here, factor=2)], grounds.city)
    metres, inside = read_heights(pictures_of_cell(city, here, "height").images[0])
    assert metres.tolist() == [[40, 0, 0]] and inside.tolist() == [[True, True, False]]


def test_a_tile_from_another_cell_makes_the_features_of_that_cell(grounds):
    here, there = ids(grounds)
    under = edited(grounds, Scenario(edits=(ChangeTile(cell_id=here, from_cell=there),)))
    seen, rows = under.inputs.modalities["satellite"].features, list(grounds.cells.cell_ids)
    np.testing.assert_array_equal(seen[rows.index(here)], grounds.inputs.modalities["satellite"].features[rows.index(there)])


def test_the_heights_of_a_cell_without_a_tile_can_be_given_to_another(grounds):
    """In a city without height tiles the map rendered from footprints is taken; the heights of all other cells stay."""
    here, there = ids(grounds)
    imagery = grounds.city.table("imagery")
    city = grounds.city.replace(imagery=imagery[imagery["modality"] != "height"])
    after = edit_city([ChangeTile(cell_id=here, modality="height", from_cell=there)], city)
    before, seen = (cell_pictures(one, "height") for one in (city, after))
    rows = list(grounds.cells.cell_ids)
    expected = list(before.images)
    expected[rows.index(here)] = before.images[rows.index(there)]
    assert len(before.images) == len(rows) and seen.images == expected
    with pytest.raises(ScenarioError, match=f"Cell `{there}` of .* has no height tile to take"):
        edit_city([ChangeTile(cell_id=here, modality="height", from_cell=there)], city.replace(buildings=None))


def test_a_description_replaces_the_one_of_the_rules(grounds):
    here, _ = ids(grounds)
    under = edited(grounds, Scenario(edits=(ChangeDescription(cell_id=here, modality="height", text="Towers."),)))
    before, after = (inputs.modalities["height"].captions for inputs in (grounds.inputs, under.inputs))
    changed = [cell for cell, one, other in zip(grounds.cells.cell_ids, before, after, strict=True) if one != other]
    assert changed == [here] and after[list(grounds.cells.cell_ids).index(here)] == "Towers."


def test_a_description_of_a_scenario_is_read_whichever_prompt_the_run_asks(grounds):
    edit = ChangeDescription(cell_id="r002c002", modality="height", text="Towers.")
    lite = CellEncoding(text="hash-svd", prompt="lite")
    words = encode_cells(edit_city([edit], grounds.city), lite).modalities["height"].captions
    assert words[list(grounds.cells.cell_ids).index("r002c002")] == "Towers."


@pytest.mark.parametrize(
    ("edit", "modality"),
    [
        (ChangePois(cell_id="r002c002", counts={"Food": 40}), "poi"),
        (ChangeBuildings(cell_id="r002c002", factor=4), "height"),
        (ChangeTile(cell_id="r002c002", modality="satellite", from_cell="r005c005"), "satellite"),
        (ChangeTile(cell_id="r002c002", modality="height", from_cell="r005c005"), "height"),
    ],
)
def test_what_is_changed_is_not_described_as_it_was(grounds, edit, modality):
    """A captioned city: the one stored text about what is edited goes, rules speak of what is there now, and the effect says so."""
    told = {"subject": "cell", "subject_id": grounds.cells.cell_ids, "source": "seer"}
    tables = [pd.DataFrame(told | {"modality": name, "text": f"The {name} as it was."}) for name in MODALITIES]
    captioned = grounds.city.replace(descriptions=pd.concat(tables, ignore_index=True))
    inputs = grounds.encoder.encode(captioned, grounds.cells)
    under = edited(Grounds(grounds.encoder, captioned, grounds.cells, inputs), Scenario(edits=(edit,)))
    ruled = edited(grounds, Scenario(edits=(edit,)))
    row = list(grounds.cells.cell_ids).index("r002c002")
    for name in MODALITIES:
        expected = [f"The {name} as it was."] * len(grounds.cells)
        if name == modality:
            expected[row] = ruled.inputs.modalities[name].captions[row]
        assert list(under.inputs.modalities[name].captions) == expected
    assert effect_on_curves(edit, grounds.encoder, captioned).note == OUTDATED
    assert not effect_on_curves(edit, grounds.encoder, grounds.city).note
    assert not effect_on_curves(DropModality(modality=modality), grounds.encoder, captioned).note


def test_words_of_a_scenario_stay_whatever_else_it_changes(grounds):
    here, _ = ids(grounds)
    edits = (ChangeDescription(cell_id=here, modality="poi", text="A harbour."), ChangePois(cell_id=here, counts={"Food": 40}))
    for order in (edits, edits[::-1]):
        words = edited(grounds, Scenario(edits=order)).inputs.modalities["poi"].captions
        assert words[list(grounds.cells.cell_ids).index(here)] == "A harbour."


def test_a_blend_ends_where_the_other_cell_is_and_begins_where_this_one_is(grounds):
    """Alpha 1 gives every modality of the other cell, alpha 0 changes nothing, one half lies in the middle."""
    here, there = (list(grounds.cells.cell_ids).index(cell) for cell in ids(grounds))
    inputs, (cell, other) = grounds.inputs, ids(grounds)
    assert edit_inputs([BlendCells(cell_id=cell, like=other, alpha=0)], inputs).modalities == inputs.modalities
    half, whole = (edit_inputs([BlendCells(cell_id=cell, like=other, alpha=alpha)], inputs) for alpha in (0.5, 1.0))
    for name in MODALITIES:
        plain, mixed, full = (one.modalities[name] for one in (inputs, half, whole))
        np.testing.assert_array_equal(full.features[full.owner == here], plain.features[plain.owner == there])
        assert full.captions[here] == plain.captions[there]
        np.testing.assert_array_equal(full.text[here], plain.text[there])
        if name != "street_view":
            np.testing.assert_allclose(mixed.features[here], (plain.features[here] + plain.features[there]) / 2, rtol=1e-5)
        assert (np.diff(mixed.owner) >= 0).all() and len(mixed.owner) == len(mixed.features)


def test_a_dropped_modality_is_absent_and_not_zero(grounds):
    everywhere = edit_inputs([DropModality(modality="street_view")], grounds.inputs).modalities["street_view"]
    assert not everywhere.present.any() and not everywhere.text_present.any() and len(everywhere.features) == 0
    here, _ = ids(grounds)
    one = edit_inputs([DropModality(modality="poi", cell_id=here)], grounds.inputs).modalities["poi"]
    assert list(grounds.cells.cell_ids[~one.present]) == [here]


def test_guesses_go_with_the_modality_they_are_about(grounds):
    """Half way between guesses of 0.2 and 0.4 lies 0.3; where only the other cell was guessed, the nearer one decides."""
    here, there = ids(grounds)
    row, other = (list(grounds.cells.cell_ids).index(cell) for cell in (here, there))
    trend, intensity = np.full((36, 24), 0.2, np.float32), np.full(36, np.nan, np.float32)
    trend[other], intensity[other] = 0.4, 80
    poi = replace(grounds.inputs.modalities["poi"], trend=trend, intensity=intensity)
    guessed = replace(grounds.inputs, modalities=grounds.inputs.modalities | {"poi": poi})
    for alpha, expected, busy in ((0.5, 0.3, 80), (0.25, 0.25, np.nan), (1, 0.4, 80)):
        blended = edit_inputs([BlendCells(cell_id=here, like=there, alpha=alpha)], guessed).modalities["poi"]
        np.testing.assert_allclose(blended.trend[row], expected, atol=1e-6)
        np.testing.assert_equal(blended.intensity[row], np.float32(busy))
        np.testing.assert_array_equal(np.delete(blended.trend, row, axis=0), np.delete(trend, row, axis=0))
    dropped = edit_inputs([DropModality(modality="poi", cell_id=there)], guessed).modalities["poi"]
    assert np.isnan(dropped.trend[other]).all() and np.isnan(dropped.intensity).all() and (dropped.trend[row] == trend[row]).all()
    assert (guessed.modalities["poi"].trend == trend).all(), "the original never changes"


def test_edges_are_cut_and_added_in_both_directions(grounds):
    here, there = ids(grounds)
    rows = {cell: row for row, cell in enumerate(grounds.cells.cell_ids)}
    cut = edit_cells([CutEdge(cell_id=here, neighbour="r002c003"), AddEdge(cell_id=here, neighbour=there)], grounds.cells)
    before, after = ({tuple(edge) for edge in one.edges.tolist()} for one in (grounds.cells, cut))
    pair, bridge = (rows[here], rows["r002c003"]), (rows[here], rows[there])
    assert before - after == {pair, pair[::-1]} and after - before == {bridge, bridge[::-1]}
