"""Evaluation of curve predictors: every slice adds up, the columns are those of next-location evaluation, faults are worded."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest

from engine.city.cell_samples import build_cell_samples
from engine.city.cell_splits import CellSplit
from engine.city.city import City
from engine.city.schema import HOURS
from engine.errors import MobiscopeError
from engine.evaluation.flow_metrics import FLOW_METRICS
from engine.evaluation.flow_report import FLOW_SLICES, METRIC_COLUMNS, evaluate_curves, flow_deciles
from engine.models.answers import CurvePrediction
from tests.engine.small_grids import grid_city, inputs_of


@dataclass
class Off:
    """Answers the observed curve times a factor; a test's stand-in, so it may look."""

    name: str
    title: str
    factor: float
    curves: np.ndarray

    def predict_curves(self, inputs, cells):
        return CurvePrediction(np.nan_to_num(self.curves * self.factor, nan=1.0))


@pytest.fixture(scope="module")
def city():
    return grid_city(8, 10, districts=5)


@pytest.fixture(scope="module")
def cells(city):
    return build_cell_samples(city, CellSplit(kind="random_cells"))


@pytest.fixture(scope="module")
def inputs(city):
    return inputs_of(city)


@pytest.fixture(scope="module")
def evaluation(city, cells, inputs):
    predictors = [Off("half", "Half", 0.5, cells.outflow), Off("right", "Right", 1.0, cells.outflow)]
    return evaluate_curves(predictors, inputs, cells, city)


def test_a_perfect_predictor_is_perfect_and_half_is_half(evaluation):
    """Right: R² 1, MAE 0, OA 1, shape 1, peak error 0. Half: WAPE exactly 0.5 and still shape 1."""
    right, half = evaluation.headline("right"), evaluation.headline("half")
    assert [right[name] for name in ("r2", "r2_flow", "oa", "oa_near", "macro_f1", "shape")] == pytest.approx([1] * 6)
    assert [right[name] for name in ("mae", "wape", "mape", "log_mape", "peak_hours", "crps")] == pytest.approx([0] * 6, abs=1e-6)
    assert (half["wape"], half["shape"], half["peak_hours"]) == pytest.approx((0.5, 1, 0))
    assert evaluation.best("mae") == "right" and evaluation.best("mae", ["half"]) == "half"
    with pytest.raises(MobiscopeError, match="No predictor was measured"):
        evaluation.best_baseline()


def test_the_table_has_the_columns_pages_read_and_every_slice(evaluation, city, cells):
    """The same columns as next-location evaluation; 24 hours, 5 periods, 10 deciles, a kind of day, 5 districts, 3 parts; each metric in each group."""
    table = evaluation.metrics
    assert list(table.columns) == METRIC_COLUMNS
    groups = table[table["predictor"] == "half"].groupby("slice")["group"].nunique().to_dict()
    assert groups == {"all": 1, "hour": 24, "period": 5, "decile": 10, "day": 1, "district": 5, "part": 3}
    assert set(groups) == {"all", *FLOW_SLICES}
    assert table.groupby(["predictor", "slice", "group"]).size().eq(len(FLOW_METRICS)).all()


def test_the_same_curves_are_judged_by_the_flows_of_every_kind_of_day(city, cells, inputs):
    """A day with half the trips: who is right about all days is wrong by as much as happened then; a day without a trip is none."""
    flows = city.table("outflow")
    half, none = (
        flows.assign(day_type=day, **{hour: factor * flows[hour] for hour in HOURS})
        for day, factor in (("rain", 0.5), ("strike", 0))
    )
    tables = {"cells": city.table("cells"), "outflow": pd.concat([flows, half, none], ignore_index=True)}
    days = City.build("Days", tables, time_zone="UTC")
    found = evaluate_curves([Off("right", "Right", 1.0, cells.outflow)], inputs, cells, days)
    table = found.metrics[found.metrics["slice"] == "day"].set_index(["group", "metric"])["value"]
    assert set(table.index.get_level_values("group")) == {"all", "rain"}
    assert table["all", "wape"] == pytest.approx(0, abs=1e-6) and table["rain", "wape"] == pytest.approx(1)
    assert table["rain", "shape"] == pytest.approx(1)


def test_slices_add_up_to_the_whole(evaluation):
    """Absolute errors summed over hours, periods, deciles or districts are those of all test cells; so are their numbers."""
    table = evaluation.metrics
    mae = table[(table["predictor"] == "half") & (table["metric"] == "mae")]
    whole = mae[mae["slice"] == "all"].iloc[0]
    assert whole["n"] == 16 * 24
    for name in ("hour", "period", "decile", "district"):
        rows = mae[(mae["slice"] == name) & (mae["n"] > 0)]
        assert rows["n"].sum() == whole["n"]
        assert (rows["value"] * rows["n"]).sum() == pytest.approx(whole["value"] * whole["n"])


def test_figures_are_of_test_cells_and_parts_stand_apart(evaluation, cells):
    """Overall is the part `test`; `users` counts cells: 16 there and 48 in training."""
    for metric in ("mae", "r2", "shape"):
        assert evaluation.estimate("half", metric) == evaluation.estimate("half", metric, "part", "test")
    assert evaluation.estimate("half", "mae").users == 16
    assert evaluation.estimate("half", "mae", "part", "train").users == 48


def test_deciles_are_of_training_cells(cells):
    """The quietest training cell is in decile 1, the busiest in decile 10, and about a tenth of the training cells in each."""
    decile = flow_deciles(cells)
    total = cells.outflow.sum(axis=1)
    train = cells.mask("train")
    counts = np.bincount(decile[train], minlength=10)
    assert counts.min() >= 4 and counts.max() <= 6
    assert decile[train][total[train].argmin()] == 0 and decile[train][total[train].argmax()] == 9
    assert (np.diff(decile[np.argsort(total)]) >= 0).all()


def test_predictions_hold_every_cell_and_hour(evaluation, cells):
    """80 cells of 24 hours per predictor, with their part; observed and predicted as they are."""
    rows = evaluation.predictions[evaluation.predictions["predictor"] == "half"]
    assert list(rows.columns) == ["predictor", "cell_id", "hour", "observed", "predicted", "low", "high", "part"]
    assert len(rows) == 80 * 24
    one = rows[(rows["cell_id"] == "r002c003") & (rows["hour"] == 8)].iloc[0]
    assert one["observed"] == pytest.approx(cells.outflow[23, 8]) and one["predicted"] == pytest.approx(cells.outflow[23, 8] / 2)
    assert one["part"] == cells.part[23] and np.isnan(one["low"])


def test_bins_are_counted(evaluation):
    """Every training and test hour is in one of ten bins whose bounds ascend."""
    counts = evaluation.bin_counts
    assert counts["train"].sum() == 48 * 24 and counts["test"].sum() == 16 * 24
    assert len(counts) == 10 and (counts["high"] > counts["low"]).all()


def test_cells_without_flow_are_answered_and_not_measured(city, inputs):
    """Five cells have no flow: they are in the predictions with part -1 and in no figure."""
    known = city.replace(outflow=city.table("outflow").iloc[5:].reset_index(drop=True))
    cells = build_cell_samples(known, CellSplit(kind="random_cells"))
    found = evaluate_curves([Off("half", "Half", 0.5, cells.outflow)], inputs, cells, known)
    rows = found.predictions[found.predictions["part"] == -1]
    assert len(rows) == 5 * 24 and rows["observed"].isna().all() and rows["predicted"].notna().all()
    parts = found.metrics[(found.metrics["slice"] == "part") & (found.metrics["metric"] == "mae")]
    assert parts["n"].sum() == 75 * 24 and found.headline("half")["wape"] == pytest.approx(0.5)


def test_results_are_the_same_from_the_same_seed(city, cells, inputs):
    """Intervals come from the seed alone."""
    noisy = Off("noisy", "Noisy", 1.0, cells.outflow * np.random.default_rng(0).lognormal(0, 0.3, cells.outflow.shape))
    first, again, other = (evaluate_curves([noisy], inputs, cells, city, seed=seed).metrics for seed in (1, 1, 2))
    assert first.equals(again) and not first["low"].equals(other["low"])
    assert np.array_equal(first["value"], other["value"], equal_nan=True)


def test_tables_for_documents_and_json(evaluation):
    """Markdown has a row per predictor with its interval; records hold None for what is not defined."""
    text = evaluation.to_markdown(("mae", "wape"))
    assert text.splitlines()[0] == "| method | MAE | WAPE |" and "| Half | " in text and "50.0 % (50.0 % to 50.0 %)" in text
    assert any(record["value"] is None for record in evaluation.to_records())
    with pytest.raises(MobiscopeError, match="was not measured"):
        evaluation.estimate("half", "mae", "hour", "24")


@pytest.mark.parametrize(
    ("curves", "sentence"),
    [
        (np.full((80, 24), np.nan), r"answered nan trips for cell `r000c000` at 00h \(1,920 such values\)"),
        (np.full((80, 24), -1.0), r"answered -1\.0 trips"),
        (np.ones((80, 12)), r"shape \(80, 12\) for 80 cells"),
    ],
)
def test_what_is_no_curve_is_refused(curves, sentence, city, cells, inputs):
    """NaN, negative trips and another shape are faults of the predictor, not figures."""

    class Broken:
        name, title = "broken", "Broken"

        def predict_curves(self, inputs, cells):
            return CurvePrediction(curves)

    with pytest.raises(MobiscopeError, match=sentence):
        evaluate_curves([Broken()], inputs, cells, city)


def test_two_predictors_of_one_name_and_inputs_of_other_cells_are_refused(city, cells, inputs):
    """Names must be distinct, inputs must be those of the cells."""
    half = Off("half", "Half", 0.5, cells.outflow)
    with pytest.raises(MobiscopeError, match="distinct names"):
        evaluate_curves([half, half], inputs, cells, city)
    with pytest.raises(MobiscopeError, match="not those of the cells"):
        evaluate_curves([half], inputs_of(grid_city(4, 6)), cells, city)
