"""Edits of cells reach exactly as far as they should, and it is said beforehand whether they matter."""

import numpy as np
import pytest

from engine.city.flow_scale import FlowScale
from engine.encoders.cell_features import MODALITIES
from engine.evaluation.flow_report import evaluate_curves
from engine.models.base import Data
from engine.models.baselines.curves import fit_curve_baselines
from engine.models.lmemr import LMEMR
from engine.models.lmemr_config import LMEMRConfig
from engine.scenarios.cell_compare import (
    Grounds,
    compare_curve_metrics,
    compare_curves,
    effect_on_curves,
    steps_to,
)
from engine.scenarios.cell_edits import (
    BlendCells,
    ChangeBuildings,
    ChangeDescription,
    ChangePois,
    ChangeTile,
    CutEdge,
    DropModality,
)
from engine.scenarios.edits import OverrideProbe
from engine.scenarios.scenario import Scenario
from tests.engine.scenarios.cells.conftest import SPLIT, every_edit, ids


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
