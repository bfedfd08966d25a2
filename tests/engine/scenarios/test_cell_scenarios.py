"""Edits of cells: they reach exactly as far as they should, never touch the original, and refuse in sentences."""

import base64
import io
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some
from PIL import Image

from engine.city.cell_samples import build_cell_samples
from engine.city.cell_splits import CellSplit
from engine.city.flow_scale import FlowScale
from engine.city.images import read_heights
from engine.encoders.cell_features import MODALITIES, CellEncoding, encode_cells
from engine.encoders.cell_pictures import cell_pictures, pictures_of_cell
from engine.encoders.cell_pois import count_pois
from engine.errors import ScenarioError
from engine.evaluation.flow_report import evaluate_curves
from engine.models.base import Data
from engine.models.baselines.curves import fit_curve_baselines
from engine.models.lmemr import LMEMR
from engine.models.lmemr_config import LMEMRConfig
from engine.scenarios.apply import check_scenario, mechanism_of
from engine.scenarios.cell_apply import check_cell_scenario, edit_cells, edit_inputs
from engine.scenarios.cell_compare import (
    OUTDATED,
    Grounds,
    compare_curve_metrics,
    compare_curves,
    edited,
    effect_on_curves,
    refit_baseline,
    steps_to,
    thinned_changes,
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
from engine.scenarios.cell_refit import split_without
from engine.scenarios.cell_tables import edit_city
from engine.scenarios.edits import ClosePlace, OverrideProbe, TakeHour
from engine.scenarios.mechanisms import actions_of
from engine.scenarios.scenario import MOST_EDITS, Scenario

SPLIT = CellSplit(block_cells=2)


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return tmp_path_factory.mktemp("cells")


@pytest.fixture(autouse=True)
def one_cache(own_home, home, monkeypatch) -> None:
    """What was encoded for one test need not be encoded for the next."""
    monkeypatch.setenv("MOBISCOPE_HOME", str(home))


@pytest.fixture(scope="module")
def grounds(tiny_city, home) -> Grounds:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MOBISCOPE_HOME", str(home))
        cells = build_cell_samples(tiny_city, SPLIT)
        model = LMEMR.build(LMEMRConfig.preset("tiny", bins=6), Data(tiny_city, SPLIT, cells=cells), seed=0)
        model.eval()
        return Grounds(model, tiny_city, cells, model.encode(tiny_city, cells))


@pytest.fixture(scope="module")
def forest(grounds):
    return fit_curve_baselines(grounds.inputs, grounds.cells, 0, ["ridge"])[0]


def ids(grounds: Grounds) -> tuple[str, str]:
    """A cell of the middle of the city and one of its corners."""
    return "r002c002", "r005c005"


def png(colour: tuple[int, int, int]) -> str:
    buffer = io.BytesIO()
    Image.new("RGB", (16, 16), colour).save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue()).decode()


def every_edit(grounds: Grounds) -> tuple:
    """One edit of every kind that a model can answer at once."""
    here, there = ids(grounds)
    return (
        ChangePois(cell_id=here, counts={"Food": 40}),
        ChangeBuildings(cell_id=here, factor=4),
        ChangeTile(cell_id=here, image=png((20, 160, 30))),
        ChangeDescription(cell_id=here, modality="poi", text="A harbour full of night clubs."),
        BlendCells(cell_id=here, like=there, alpha=0.7),
        DropModality(modality="satellite", cell_id=here),
        CutEdge(cell_id=here, neighbour="r002c003"),
        AddEdge(cell_id=here, neighbour=there),
    )


# ---- what an edit does to the city ----------------------------------------------------------------------------------------------


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


# ---- how far it reaches ---------------------------------------------------------------------------------------------------------


def test_an_edited_cell_changes_its_neighbourhood_and_nothing_else_by_one_bit(grounds):
    """Three graph blocks look three steps far: of the 36 cells exactly those within three steps change."""
    here, _ = ids(grounds)
    found = compare_curves(grounds.encoder, grounds, Scenario(edits=(ChangePois(cell_id=here, counts={"Food": 40}),)))
    np.testing.assert_array_equal(found.changed, steps_to(grounds.cells, {here}) <= 3)
    assert 0 < found.changed.sum() < len(found.cell_ids)
    assert found.cells.set_index("cell_id").loc[here, "steps"] == 0
    np.testing.assert_allclose(found.cells["change"], found.change.sum(axis=1))


def test_a_scenario_compared_with_itself_is_zero_everywhere(grounds, forest):
    scenario = Scenario(edits=every_edit(grounds))
    for predictor in (grounds.encoder, forest):
        assert not compare_curves(predictor, grounds, scenario, against=scenario).change.any()
        assert not compare_curves(predictor, grounds, Scenario()).change.any()


@pytest.mark.parametrize("seen", ["satellite", "height", "poi"])
def test_an_edit_is_said_to_matter_where_it_does(grounds, seen):
    """A run that sees one modality: what is edited of it moves a curve; edits of all else move none, and each is said beforehand."""
    data = Data(grounds.city, SPLIT, cells=grounds.cells, inputs=grounds.inputs)
    model = LMEMR.build(LMEMRConfig.preset("tiny", modalities=(seen,), describer="uploaded"), data, seed=0).eval()
    base = Grounds(model, grounds.city, grounds.cells, model.encode(grounds.city, grounds.cells))
    here, there = ids(grounds)
    edits = (
        ChangePois(cell_id=here, counts={"Food": 40}),
        ChangeBuildings(cell_id=here, factor=4),
        ChangeTile(cell_id=here, modality="satellite", from_cell=there),
        ChangeTile(cell_id=here, modality="height", from_cell=there),
        *(ChangeDescription(cell_id=here, modality=name, text="A harbour.") for name in ("satellite", "height", "poi")),
        *(DropModality(modality=name, cell_id=here) for name in MODALITIES),
    )
    said = [effect_on_curves(edit, model, grounds.city).needs != "nothing" for edit in edits]
    moved = [bool(compare_curves(model, base, Scenario(edits=(edit,))).changed.any()) for edit in edits]
    assert said == moved and sum(said) in (3, 4)
    unseen = effect_on_curves(edits[-1] if seen != MODALITIES[-1] else edits[-2], model, grounds.city)
    assert unseen.sentence.startswith("This run does not see ") and "“Modalities” on the Train page" in unseen.sentence
    assert not any(name in unseen.sentence for name in ("the height", "poi", "street_view", "modality"))


def test_phrases_call_modalities_what_pages_call_them():
    assert DropModality(modality="poi", cell_id="133").describe() == "do not see the places of 133"
    assert DropModality(modality="height").describe() == "do not see the building heights of any cell"
    assert ChangeTile(cell_id="133", modality="height", from_cell="8").describe() == "give 133 the building heights of 8"
    assert ChangeDescription(cell_id="133", modality="poi", text="Bars.").describe() == "describe the places of 133 as “Bars.”"


def test_a_height_tile_matters_where_heights_come_from_footprints(grounds):
    """The tile given to a cell stands before the map rendered of its buildings."""
    here, there = ids(grounds)
    imagery = grounds.city.table("imagery")
    city = grounds.city.replace(imagery=imagery[imagery["modality"] != "height"])
    base = Grounds(grounds.encoder, city, grounds.cells, grounds.encoder.encode(city, grounds.cells))
    edit = ChangeTile(cell_id=here, modality="height", from_cell=there)
    assert compare_curves(grounds.encoder, base, Scenario(edits=(edit,))).changed.any()
    assert effect_on_curves(edit, grounds.encoder, city).needs == "re-encode"


def test_words_that_another_cell_reads_change_that_cell(grounds):
    """Shuffled descriptions: nothing is said to be without effect, since the words of this cell are heard in another."""
    data = Data(grounds.city, SPLIT, cells=grounds.cells, inputs=grounds.inputs)
    model = LMEMR.build(LMEMRConfig.preset("tiny", semantics="shuffled", graph="none"), data, seed=0).eval()
    edit = ChangeDescription(cell_id=ids(grounds)[0], modality="poi", text="A harbour full of night clubs.")
    found = compare_curves(model, Grounds(model, grounds.city, grounds.cells, grounds.inputs), Scenario(edits=(edit,)))
    effect = effect_on_curves(edit, model, grounds.city)
    assert found.changed.sum() == 1 and found.cells["edit"][found.changed].item() == ""
    assert effect.needs == "re-encode" and "another one, drawn by chance" in effect.note


def test_every_edit_alone_changes_some_curve_of_the_model(grounds):
    for edit in every_edit(grounds):
        assert compare_curves(grounds.encoder, grounds, Scenario(edits=(edit,))).changed.any(), edit.kind


def test_applying_edits_leaves_the_original_as_it_was(grounds):
    fingerprint, prints = grounds.city.fingerprint, grounds.inputs.fingerprint
    edges, part, features = (
        grounds.cells.edges.copy(),
        grounds.cells.part.copy(),
        {name: one.features.copy() for name, one in grounds.inputs.modalities.items()},
    )
    compare_curves(grounds.encoder, grounds, Scenario(edits=every_edit(grounds)))
    assert (grounds.city.fingerprint, grounds.inputs.fingerprint) == (fingerprint, prints)
    np.testing.assert_array_equal(grounds.cells.edges, edges)
    np.testing.assert_array_equal(grounds.cells.part, part)
    for name, before in features.items():
        np.testing.assert_array_equal(grounds.inputs.modalities[name].features, before)


def test_baselines_answer_the_same_edits(grounds, forest):
    """The ridge sees features and no neighbours: the edited cell alone changes; edges mean nothing to it, and it says so."""
    here, there = ids(grounds)
    found = compare_curves(forest, grounds, Scenario(edits=(BlendCells(cell_id=here, like=there),)))
    assert list(found.cell_ids[found.changed]) == [here]
    assert effect_on_curves(CutEdge(cell_id=here, neighbour="r002c003"), forest, grounds.city).needs == "nothing"
    assert np.isfinite(found.band).all()


def test_figures_before_the_edits_are_those_of_the_run(grounds, forest):
    """A run measures its model and its baselines in the model's bins; a what-if starts from the same numbers."""
    assert grounds.encoder.scale != FlowScale.fit(grounds.cells.outflow[grounds.cells.mask("train")]), "else nothing is tested"
    predictors = [grounds.encoder, forest]
    scale = grounds.encoder.scale
    of_run = evaluate_curves(predictors, grounds.inputs, grounds.cells, grounds.city, scale=scale, slices=())
    scenario = Scenario(edits=(DropModality(modality="poi"),))
    for predictor in predictors:
        before = compare_curve_metrics(predictor, grounds, scenario).set_index("metric")["before"].to_dict()
        assert before == pytest.approx(of_run.headline(predictor.name), nan_ok=True)


def test_an_edge_matters_to_the_baseline_that_reads_the_graph(grounds):
    """The convolution over neighbours answers a cut edge, and is not said to know no graph."""
    (convolution,) = fit_curve_baselines(grounds.inputs, grounds.cells, 0, ["graph_convolution"])
    here, _ = ids(grounds)
    edit = CutEdge(cell_id=here, neighbour="r002c003")
    assert compare_curves(convolution, grounds, Scenario(edits=(edit,))).changed.sum() > 1
    assert effect_on_curves(edit, convolution, grounds.city).needs == "forward"
    assert effect_on_curves(OverrideProbe(probe="routing", action="silence", index=0), convolution, grounds.city).needs == "nothing"


# ---- the mechanism --------------------------------------------------------------------------------------------------------------


def test_hours_that_change_places_change_places_in_every_curve_and_nothing_else(grounds):
    """Nothing but its vector tells the network which hour it is: 08 h and 18 h are exchanged, up to rounding."""
    found = compare_curves(grounds.encoder, grounds, Scenario(edits=(TakeHour(hour=8, as_hour=18, both_ways=True),)))
    exchanged = found.before.copy()
    exchanged[:, [8, 18]] = found.before[:, [18, 8]]
    np.testing.assert_allclose(found.after, exchanged, rtol=1e-4)
    assert np.abs(found.before[:, 8] / found.before[:, 18] - 1).max() > 1e-3, "else nothing is tested"


def test_an_hour_taken_for_another_is_answered_alike_and_the_others_notice(grounds, forest):
    """08 h gets the trips of 18 h; other hours look at it too, so they move; a baseline has no vector to take."""
    edit = TakeHour(hour=8, as_hour=18)
    found = compare_curves(grounds.encoder, grounds, Scenario(edits=(edit,)))
    np.testing.assert_allclose(found.after[:, 8], found.after[:, 18], rtol=1e-5)
    assert (np.delete(found.change, [8, 18], axis=1) != 0).any()
    assert effect_on_curves(edit, grounds.encoder, grounds.city).needs == "forward"
    assert effect_on_curves(edit, forest, grounds.city).needs == "nothing"


def test_without_vectors_of_hours_every_hour_of_a_cell_is_answered_alike(grounds):
    for action, amount in (("scale", 0.0), ("average", None)):
        edit = OverrideProbe(probe="hourly.hour_vector", action=action, amount=amount)
        found = compare_curves(grounds.encoder, grounds, Scenario(edits=(edit,))).after
        np.testing.assert_allclose(found, np.broadcast_to(found[:, :1], found.shape), rtol=1e-4)


def test_a_bin_that_is_forced_is_answered_everywhere_and_one_silenced_nowhere(grounds):
    """Forced, a bin is certain in every cell and hour, under the name of its trips; silenced, it is ruled out."""
    model, probe = grounds.encoder, "head.probability"
    names = model.entry_names(probe)
    edges = model.head.trips(model.head.edges).numpy()
    assert len(names) == 6 and float(names[2].split()[0]) == pytest.approx(edges[2], rel=5e-3)
    for action, wanted in (("force", 1.0), ("silence", 0.0)):
        edit = OverrideProbe(probe=probe, action=action, index=2, entry=names[2])
        with mechanism_of(Scenario(edits=(edit,)), model):
            answer = model.predict_curves(grounds.inputs, grounds.cells)
        np.testing.assert_allclose(answer.bin_probability[..., 2], wanted, atol=1e-6)
        np.testing.assert_allclose(answer.bin_probability.sum(axis=2), 1, atol=1e-5)
    forced = Scenario(edits=(OverrideProbe(probe=probe, action="force", index=2),))
    flow = compare_curves(model, grounds, forced).after
    assert (flow > edges[1]).all() and (flow < edges[4]).all(), "the bin, moved by its width at most"


def test_every_action_on_every_probe_of_a_grid_run_gives_curves(grounds):
    """Whatever the form offers: curves stay finite within their intervals, and change, but for weights that are alike untrained."""
    plain = compare_curves(grounds.encoder, grounds, Scenario()).before
    idle = set()
    for name, probe in grounds.encoder.probes().items():
        for action in actions_of(probe):
            amount = None if action.amount is None else action.amount[2] / 2
            edit = OverrideProbe(probe=name, action=action.name, index=1 if action.needs_index else None, amount=amount)
            found = compare_curves(grounds.encoder, grounds, Scenario(edits=(edit,)))
            assert np.isfinite(found.band).all() and (found.band[..., 0] >= 0).all(), edit
            assert (found.band[..., 0] <= found.after).all() and (found.after <= found.band[..., 1]).all(), edit
            if np.array_equal(found.after, plain):
                idle.add((name, action.name))
    assert idle == {("fusion.weight", "flatten")}


# ---- districts ------------------------------------------------------------------------------------------------------------------


def test_leaving_a_district_out_changes_the_figures_and_no_curve(grounds, forest):
    district = str(grounds.cells.district[grounds.cells.mask("test")][0])
    scenario = Scenario(edits=(LeaveDistrictOut(district=district),))
    test = grounds.cells.mask("test")
    assert (grounds.cells.district[test] != district).any(), "the fixture's split holds out cells of more than one district"
    assert not compare_curves(forest, grounds, scenario).changed.any()
    table = compare_curve_metrics(forest, grounds, scenario).set_index("metric")
    left = 24 * int((test & (grounds.cells.district != district)).sum())
    assert table.loc["mae", "n_after"] == left < table.loc["mae", "n_before"]
    assert np.isnan(table.loc["mae", "low"])


def test_a_baseline_fitted_without_a_district_never_sees_its_flows(grounds):
    """Flows of the district are made a million times larger: the fit without it must not notice."""
    district = str(grounds.cells.district[0])
    louder = grounds.cells.outflow.copy()
    louder[grounds.cells.district == district] *= 1e6
    loud = Grounds(grounds.encoder, grounds.city, replace(grounds.cells, outflow=louder), grounds.inputs)
    edit = LeaveDistrictOut(district=district)
    np.testing.assert_array_equal(refit_baseline("ridge", grounds, edit).after, refit_baseline("ridge", loud, edit).after)


def test_a_model_is_not_refitted_on_the_spot_but_says_how(grounds):
    edit = LeaveDistrictOut(district=str(grounds.cells.district[0]), refit=True)
    with pytest.raises(ScenarioError, match="training of its own"):
        compare_curves(grounds.encoder, grounds, Scenario(edits=(edit,)))
    assert effect_on_curves(edit, grounds.encoder, grounds.city).needs == "re-fit"


# ---- files and refusals ---------------------------------------------------------------------------------------------------------

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


# ---- split and command line -----------------------------------------------------------------------------------------------------


def test_the_split_without_a_district_judges_that_district_and_nothing_else(grounds):
    for district in sorted(set(grounds.cells.district)):
        split = split_without(grounds.city, SPLIT, grounds.cells, district)
        test = build_cell_samples(grounds.city, split).mask("test")
        assert set(grounds.cells.district[test]) == {district}
        assert test.sum() == (grounds.cells.district == district).sum()
    with pytest.raises(ScenarioError, match="Atlantis"):
        split_without(grounds.city, SPLIT, grounds.cells, "Atlantis")


def test_the_command_line_gives_the_numbers_of_the_comparison(grounds, capsys):
    import json
    from types import SimpleNamespace

    from engine.cli.cells import whatif_cells

    scenario = Scenario(name="Bridge", edits=(AddEdge(cell_id="r000c000", neighbour="r005c005"),))
    data = SimpleNamespace(city=grounds.city, cells=grounds.cells, inputs=grounds.inputs)
    whatif_cells(SimpleNamespace(model=grounds.encoder, data=data), scenario, "a-run", 3, as_json=True)
    told = json.loads(capsys.readouterr().out)
    found = compare_curves(grounds.encoder, grounds, scenario)
    assert told["changed"] == found.changed.sum() and len(told["cells"]) == 3
    most = found.cells.loc[found.cells["change"].abs().idxmax()]
    assert told["cells"][0]["cell_id"] == most["cell_id"]
    assert sum(told["cells"][0]["hours_after"]) == pytest.approx(most["after"])
    whatif_cells(SimpleNamespace(model=grounds.encoder, data=data), scenario, "a-run", 3, as_json=False)
    assert "join r000c000 and r005c005" in capsys.readouterr().out


def test_the_command_line_says_when_a_stored_description_is_left_out(grounds, capsys):
    import json
    from types import SimpleNamespace

    from engine.cli.cells import whatif_cells

    row = {"subject": "cell", "subject_id": "r002c002", "modality": "poi", "text": "Few places.", "source": "seer"}
    captioned = grounds.city.replace(descriptions=pd.DataFrame([row]))
    data = SimpleNamespace(city=captioned, cells=grounds.cells, inputs=grounds.encoder.encode(captioned, grounds.cells))
    loaded = SimpleNamespace(model=grounds.encoder, data=data)
    scenario = Scenario(edits=(ChangePois(cell_id="r002c002", counts={"Food": 40}),))
    whatif_cells(loaded, scenario, "a-run", 3, as_json=True)
    assert json.loads(capsys.readouterr().out)["notes"] == [f"In r002c002 count Food: 40: {OUTDATED}"]
    whatif_cells(loaded, scenario, "a-run", 3, as_json=False)
    assert OUTDATED in capsys.readouterr().out


def test_thinned_networks_disagree_about_a_change_where_there_is_one_and_nowhere_else(grounds, forest):
    """Each draw thins the network alike before and after, so cells out of reach change in no draw by a single bit."""
    scenario = Scenario(edits=(DropModality(modality="poi", cell_id=ids(grounds)[0]),))
    comparison = compare_curves(grounds.encoder, grounds, scenario)
    draws = thinned_changes(grounds.encoder, grounds, scenario, draws=4)
    assert draws.shape == (4, len(grounds.cells), 24)
    assert not draws[:, ~comparison.changed].any()
    assert (draws[:, comparison.changed].std(axis=0) > 0).any(axis=1).all()
    assert np.array_equal(draws, thinned_changes(grounds.encoder, grounds, scenario, draws=4))
    assert np.array_equal(compare_curves(grounds.encoder, grounds, scenario).after, comparison.after), "nothing is left thinned"
    assert thinned_changes(forest, grounds, scenario) is None
