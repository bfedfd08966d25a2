"""Faulty flow tables through ingestion to samples: what cannot be a flow is counted and left out, never guessed; see reliability §5."""

import numpy as np
import pytest

from engine.city.cell_samples import build_cell_samples
from engine.city.cell_splits import CellSplit
from engine.city.flow_scale import FlowScale
from engine.city.schema import HOURS
from engine.errors import CityError, ConfigError
from engine.models.baselines.curves import fit_curve_baselines
from tests.engine.city.upload_files import bring, city_of, fatal, warnings
from tests.engine.small_grids import flows_of, grid_cells, grid_city, inputs_of, islands, smooth_outflow, telling_inputs

RANDOM = CellSplit(kind="random_cells")


def outlines() -> bytes:
    """24 zones as GeoJSON, without rows and columns."""
    return grid_cells(4, 6)[["cell_id", "geometry"]].to_json().encode()


def flows(rows: dict[int, str] | None = None, ids=None) -> bytes:
    """A wide table of 24 zones; some rows are replaced by the text given (24 values)."""
    ids = grid_cells(4, 6)["cell_id"] if ids is None else ids
    curves = smooth_outflow(4, 6).round(1)
    lines = [
        f"{cell}," + ((rows or {}).get(index) or ",".join(map(str, curve)))
        for index, (cell, curve) in enumerate(zip(ids, curves, strict=True))
    ]
    return "\n".join(["cell_id," + ",".join(HOURS), *lines, ""]).encode()


def test_negative_and_missing_hours_make_a_cell_input_only(tmp_path):
    """One zone with a negative hour, one with an empty one: both rows are counted out, both zones stay in the graph unlearnt."""
    curve = ["5.0"] * 24
    bad = {2: ",".join(["-5.0", *curve[1:]]), 7: ",".join(["", *curve[1:]])}
    upload = bring(tmp_path, {"zones.geojson": outlines(), "outflow.csv": flows(bad)})
    assert {"VALUE_NEGATIVE", "VALUE_MISSING", "CELLS_WITHOUT_FLOW"} <= set(warnings(upload))
    samples = build_cell_samples(city_of(upload), RANDOM)
    unknown = np.flatnonzero(samples.part == -1)
    assert set(samples.cell_ids[unknown]) == {"r000c002", "r001c001"}
    assert np.isnan(samples.outflow[unknown]).all() and np.isfinite(samples.outflow[samples.part >= 0]).all()


def test_flows_of_another_zoning_are_refused_before_any_city_is_made(tmp_path):
    """No id in common: refused, naming one of each."""
    upload = bring(tmp_path, {"zones.geojson": outlines(), "outflow.csv": flows(ids=[f"zone-{n}" for n in range(24)])})
    assert "zone-0" in fatal(upload)["OTHER_ZONING"].found


def test_all_zero_flows_become_a_city_and_no_training(tmp_path):
    """A table of zeros is a table; a split of it is refused because there is nothing to learn."""
    zeros = {index: ",".join(["0"] * 24) for index in range(24)}
    city = city_of(bring(tmp_path, {"zones.geojson": outlines(), "outflow.csv": flows(zeros)}))
    with pytest.raises(CityError, match="nothing to learn from"):
        build_cell_samples(city, RANDOM)


def test_no_zone_has_a_neighbour():
    """Islands: no edges, every cell is still divided, learnt from and answered."""
    zones, generator = islands(12), np.random.default_rng(0)
    city = grid_city(1, 12).replace(cells=zones, outflow=None)
    city = city.replace(outflow=flows_of(zones["cell_id"], generator.lognormal(3, 1, (12, 24))))
    samples = build_cell_samples(city, RANDOM)
    assert samples.edges.shape == (0, 2)
    inputs = inputs_of(city, satellite=generator.normal(size=(12, 2)))
    for baseline in fit_curve_baselines(inputs, samples, names=["inverse_distance", "graph_convolution", "extra_trees"]):
        assert np.isfinite(baseline.predict_curves(inputs, samples).flow).all()


def test_too_few_whole_curves_are_refused_with_their_number():
    """All but two training cells have an unknown hour: baselines say how many are left."""
    city = grid_city(4, 6)
    samples = build_cell_samples(city, RANDOM)
    train = np.flatnonzero(samples.mask("train"))
    samples.outflow[train[2:], 3] = np.nan
    with pytest.raises(ConfigError, match="Only 2 training cells have a whole curve"):
        fit_curve_baselines(telling_inputs(city), samples)


def test_one_training_outlier_does_not_break_the_scale():
    """A flow of ten million among tens: bins stay within the 99.9th percentile, everything is finite and invertible."""
    curves = smooth_outflow(10, 12)
    curves[0, 0] = 1e7
    scale = FlowScale.fit(curves)
    assert scale.edge_flows()[-1] < 1e6 and scale.to_bins(np.array([1e7])) == 9
    assert scale.from_z(scale.to_z(curves)) == pytest.approx(curves, rel=1e-9)
