"""A district left out: its figures, and the training without it."""

from dataclasses import replace

import numpy as np
import pytest

from engine.city.cell_samples import build_cell_samples
from engine.errors import ScenarioError
from engine.scenarios.cell_compare import (
    Grounds,
    compare_curve_metrics,
    compare_curves,
    effect_on_curves,
    refit_baseline,
)
from engine.scenarios.cell_edits import (
    LeaveDistrictOut,
)
from engine.scenarios.cell_refit import split_without
from engine.scenarios.scenario import Scenario
from tests.engine.scenarios.cells.conftest import SPLIT


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


def test_the_split_without_a_district_judges_that_district_and_nothing_else(grounds):
    for district in sorted(set(grounds.cells.district)):
        split = split_without(grounds.city, SPLIT, grounds.cells, district)
        test = build_cell_samples(grounds.city, split).mask("test")
        assert set(grounds.cells.district[test]) == {district}
        assert test.sum() == (grounds.cells.district == district).sum()
    with pytest.raises(ScenarioError, match="Atlantis"):
        split_without(grounds.city, SPLIT, grounds.cells, "Atlantis")
