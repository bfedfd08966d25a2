"""Figures of predicted curves against answers worked by hand and against scikit-learn."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from sklearn import metrics as sk

from engine.city.flow_scale import FlowScale
from engine.errors import MobiscopeError
from engine.evaluation.flow_answers import FlowAnswers, bin_crps, pooled_folds
from engine.evaluation.flow_metrics import (
    FLOW_METRICS,
    Measured,
    curve_scores,
    draw_cells,
    flow_difference,
    reliability,
    summarise_flow,
)

HOURS = np.arange(24)


def answers_of(observed, flow, scale=None, **columns):
    """Answers for cells a, b, ... of the test part."""
    observed, flow = np.asarray(observed, float), np.asarray(flow, float)
    unknown = np.full(observed.shape, np.nan)
    return FlowAnswers(
        **{
            "predictor": "p",
            "title": "P",
            "cell_ids": np.array([f"c{index:03d}" for index in range(len(observed))]),
            "part": np.full(len(observed), 2, np.int8),
            "observed": observed,
            "flow": flow,
            "low": unknown,
            "high": unknown,
            "bin_probability": None,
            "scale": scale or FlowScale.fit(observed),
        }
        | columns
    )


@pytest.fixture(scope="module")
def noisy():
    """Forty cells, lognormal flows, predictions off by a lognormal factor, with random bin probabilities and some unknown hours."""
    generator = np.random.default_rng(3)
    observed = generator.lognormal(3, 1.2, (40, 24))
    observed[4, 7], observed[9] = np.nan, np.nan
    flow = np.nan_to_num(observed, nan=20) * generator.lognormal(0, 0.4, observed.shape)
    probability = generator.dirichlet(np.full(10, 0.4), observed.shape)
    scale = FlowScale.fit(observed)
    return answers_of(observed, flow, scale, bin_probability=probability, low=flow * 0.6, high=flow * 1.6)


def test_two_cells_by_hand():
    """Observed 10 and 40 every hour, predicted 12 and 30: errors 2 and 10.

    MAE 6; WAPE 12/50; MAPE (0.2 + 0.25) / 2; squares 4 and 100 against a variance of 225, so R² of trips is 1 - 52/225.
    """
    observed = np.repeat([[10.0], [40.0]], 24, axis=1)
    flow = np.repeat([[12.0], [30.0]], 24, axis=1)
    found = {name: estimate.value for name, estimate in summarise_flow(answers_of(observed, flow)).items()}
    assert found["mae"] == pytest.approx(6)
    assert found["wape"] == pytest.approx(12 / 50)
    assert found["mape"] == pytest.approx(0.225)
    assert found["r2_flow"] == pytest.approx(1 - 52 / 225)
    logs, guess = np.log1p([10, 40]), np.log1p([12, 30])
    assert found["log_mape"] == pytest.approx(np.mean(np.abs(guess - logs) / logs))
    assert found["r2"] == pytest.approx(1 - np.sum((guess - logs) ** 2) / np.sum((logs - logs.mean()) ** 2))
    assert np.isnan([found["shape"], found["peak_hours"], found["coverage"], found["calibration"]]).all()


def test_mape_leaves_out_hours_under_ten_trips():
    """Hours of 9 trips missed by 100 % do not count; the one hour of 20 trips, missed by 50 %, does."""
    observed = np.full((2, 24), 9.0)
    observed[0, 0] = 20
    flow = np.full((2, 24), 18.0)
    flow[0, 0] = 10
    assert summarise_flow(answers_of(observed, flow))["mape"].value == pytest.approx(0.5)


def test_as_scikit_learn_says(noisy):
    """R² in both scales, MAE, OA and macro-F1 equal scikit-learn on the known hours; n counts those hours."""
    known = np.isfinite(noisy.observed)
    truth, flow = noisy.observed[known], noisy.flow[known]
    bins, answered = noisy.scale.to_bins(truth), noisy.bin_probability.argmax(axis=2)[known]
    found = summarise_flow(noisy)
    expected = {
        "r2": sk.r2_score(noisy.scale.to_z(truth), noisy.scale.to_z(flow)),
        "r2_flow": sk.r2_score(truth, flow),
        "mae": sk.mean_absolute_error(truth, flow),
        "oa": sk.accuracy_score(bins, answered),
        "oa_near": np.mean(np.abs(bins - answered) <= 1),
        "macro_f1": sk.f1_score(bins, answered, average="macro", zero_division=0),
        "coverage": np.mean((truth >= 0.6 * flow) & (truth <= 1.6 * flow)),
        "mape": sk.mean_absolute_percentage_error(truth[truth >= 10], flow[truth >= 10]),
    }
    assert {name: found[name].value for name in expected} == pytest.approx(expected)
    assert found["mae"].n == known.sum() and found["mae"].users == 39


def test_shape_ignores_level_and_peak_goes_round_the_clock():
    """A doubled curve correlates 1 with its own; a peak at 23h answered at 1h is two hours off; a flat answer has shape 0."""
    curve = np.exp(-(((HOURS - 8) / 3.0) ** 2)) + 0.1
    late, early = np.full(24, 1.0), np.full(24, 1.0)
    late[23], early[1] = 5, 5
    scores = curve_scores(answers_of([curve, late, curve, np.full(24, 3.0)], [2 * curve, early, np.full(24, 1.0), curve]))
    assert scores[0] == pytest.approx([1, 0])
    assert scores[1] == pytest.approx([np.corrcoef(late, early)[0, 1], 2])
    assert scores[2, 0] == 0
    assert np.isnan(scores[3]).all()


def test_crps_of_a_sure_forecast_is_its_distance_and_agrees_with_sampling():
    """All mass in [0, 1] and the truth at 0.5 gives 1/12; truth at 3 gives distance 2 plus 1/3; sampling agrees for any histogram."""
    edges = np.array([-1.0, 0, 1, 2])
    sure = np.array([0.0, 1, 0])
    assert bin_crps(sure, edges, np.array(0.5)) == pytest.approx(1 / 12)
    assert bin_crps(sure, edges, np.array(3.0)) == pytest.approx(2 + 1 / 3)
    generator = np.random.default_rng(0)
    some = np.array([0.2, 0.5, 0.3])
    draws, again = (edges[generator.choice(3, 400_000, p=some)] + generator.random(400_000) for _ in range(2))
    for value in (-2.0, 0.3, 1.0, 2.5):
        sampled = np.abs(draws - value).mean() - np.abs(draws - again).mean() / 2
        assert bin_crps(some, edges, np.array(value)) == pytest.approx(sampled, abs=5e-3)


def test_calibration_is_the_mean_gap_between_stated_and_true(noisy):
    """A predictor that says 0.95 and is right in half of the hours is 0.45 off; one that says 0.5 there is not off at all."""
    observed = np.repeat([[5.0], [500.0]], 24, axis=1)
    scale = FlowScale.fit(observed, bins=2)
    for stated, gap in ((0.95, 0.45), (0.5000001, 0.0)):
        always_low = np.broadcast_to([stated, 1 - stated], (2, 24, 2)).copy()
        answers = answers_of(observed, observed, scale, bin_probability=always_low)
        assert summarise_flow(answers)["calibration"].value == pytest.approx(gap, abs=1e-6)
        assert reliability(answers)["share_right"].tolist() == [0.5]
    table = reliability(noisy)
    gaps = np.abs(table["confidence"] - table["share_right"]) * table["n"]
    assert summarise_flow(noisy)["calibration"].value == pytest.approx(gaps.sum() / table["n"].sum())
    assert table["n"].sum() == np.isfinite(noisy.observed).sum()
    drawn = table[table["n"] > 30]
    assert ((drawn["low"] <= drawn["share_right"]) & (drawn["share_right"] <= drawn["high"])).all() and (
        drawn["low"] < drawn["high"]
    ).any()
    assert reliability(replace(noisy, bin_probability=None)).empty


def test_confidence_of_one_cell_has_no_interval(noisy):
    assert reliability(noisy[np.arange(40) == 0])[["low", "high"]].isna().all(axis=None)


def test_answers_read_back_from_their_table_give_the_same_figures(noisy):
    """All figures that need no probabilities of bins; rows in any order; two predictors at once are refused."""
    half = replace(noisy, part=np.where(np.arange(40) < 20, 0, 2).astype(np.int8), bin_probability=None)
    half = replace(half, scale=FlowScale.fit(half.observed[half.part == 0]))
    frame = half.to_frame()
    again = FlowAnswers.from_frame(frame.sample(frac=1, random_state=0), "P")
    first, second = summarise_flow(half[half.part == 2]), summarise_flow(again[again.part == 2])
    for name in ("r2", "mae", "wape", "oa", "shape", "coverage"):
        assert second[name].value == pytest.approx(first[name].value, rel=1e-4)
    with pytest.raises(MobiscopeError, match="Choose the rows of one predictor"):
        FlowAnswers.from_frame(pd.concat([frame, frame.assign(predictor="q")]))


def test_intervals_hold_the_figure_and_narrow_with_cells(noisy):
    """The bootstrap interval holds the estimate; ten cells give a wider one than all; one cell gives none."""
    everything = summarise_flow(noisy)
    few = summarise_flow(noisy, np.arange(40) < 9)
    for name in ("mae", "r2", "oa", "shape", "crps"):
        assert everything[name].low < everything[name].value < everything[name].high
    assert few["oa"].high - few["oa"].low > everything["oa"].high - everything["oa"].low
    alone = summarise_flow(noisy, np.arange(40) == 0)["mae"]
    assert np.isfinite(alone.value) and np.isnan([alone.low, alone.high]).all()


def test_hours_of_a_cell_are_drawn_together():
    """Cells that are all wrong or all right: the interval is that of 20 cells, not of 480 hours."""
    observed = np.full((20, 24), 10.0)
    observed[0, 0] = 11
    flow = np.repeat(np.where(np.arange(20) % 2, 10.0, 20.0)[:, None], 24, axis=1)
    found = summarise_flow(answers_of(observed, flow))["mae"]
    assert found.value == pytest.approx(5, abs=0.01)
    assert found.high - found.low > 3  # 2 * 1.96 * 5 / sqrt(20) is 4.4; for 480 independent hours it would be 0.9


def test_blocks_can_be_drawn_instead_of_cells():
    """Cells of a unit are drawn equally often, and an error shared by a whole unit widens the interval."""
    units = np.repeat(np.arange(5), 8)
    draws = draw_cells(40, seed=1, resamples=50, units=units)
    assert (draws.reshape(50, 5, 8) == draws[:, ::8][..., None]).all() and (draws[:, ::8].sum(axis=1) == 5).all()
    observed = np.random.default_rng(0).lognormal(3, 1, (40, 24))
    answers = answers_of(observed, observed + 4.0 * units[:, None])
    by_cell, by_unit = (summarise_flow(answers, units=chosen)["mae"] for chosen in (None, units))
    assert by_cell.value == by_unit.value and by_unit.users == 5
    assert by_unit.high - by_unit.low > 1.5 * (by_cell.high - by_cell.low)


def test_differences_are_paired(noisy):
    """A predictor against itself differs by exactly zero; a shifted copy is worse by exactly the shift, without any spread."""
    itself = flow_difference(noisy, noisy, "mae")
    assert (itself.value, itself.low, itself.high) == (0, 0, 0)
    high = answers_of(noisy.observed, np.nan_to_num(noisy.observed) + 9, noisy.scale)
    low = answers_of(noisy.observed, np.nan_to_num(noisy.observed) + 4, noisy.scale)
    shift = flow_difference(high, low, "mae")
    assert (shift.value, shift.low, shift.high) == pytest.approx((5, 5, 5))
    with pytest.raises(MobiscopeError, match="did not answer the same cells"):
        flow_difference(noisy, noisy[np.arange(5)], "mae")
    with pytest.raises(MobiscopeError, match="There is no metric"):
        flow_difference(noisy, noisy, "accuracy")


def test_one_hour_is_the_figure_of_that_hour_and_has_no_shape(noisy):
    """MAE over hour 3 equals scikit-learn's on that column; shape and peak stay undefined with n = 0."""
    found = Measured.of(noisy).over_hours(np.ones(40, bool), np.array([3]))
    known = np.isfinite(noisy.observed[:, 3])
    assert found["mae"].value == pytest.approx(sk.mean_absolute_error(noisy.observed[known, 3], noisy.flow[known, 3]))
    assert found["mae"].n == known.sum()
    assert found["shape"].n == 0 and np.isnan(found["shape"].value)


def test_all_zero_flows_leave_ratios_undefined_and_nothing_infinite():
    """Nobody travels: MAE 0 and OA 1 are defined, WAPE, MAPE, log MAPE, R² and shape are undefined, nothing is infinite."""
    found = summarise_flow(answers_of(np.zeros((5, 24)), np.zeros((5, 24))))
    values = {name: estimate.value for name, estimate in found.items()}
    assert values["mae"] == 0 and values["oa"] == 1
    assert all(np.isnan(values[name]) for name in ("wape", "mape", "log_mape", "r2", "r2_flow", "shape", "peak_hours"))
    assert not np.isinf(list(values.values())).any()


def test_no_cell_at_all_gives_n_of_zero(noisy):
    """An empty group has n = 0 and no value."""
    found = summarise_flow(noisy, np.zeros(40, bool))
    assert set(found) == set(FLOW_METRICS) and all(estimate.n == 0 and np.isnan(estimate.value) for estimate in found.values())


def test_bins_of_another_scale_are_not_compared():
    """A better answer has lower MAE but OA follows the bins: moving a flow over a bin edge flips the hit."""
    observed = np.random.default_rng(0).lognormal(3, 1, (10, 24))
    answers = answers_of(observed, observed)
    edge = answers.scale.edge_flows()[5]
    moved = observed.copy()
    moved[0, 0] = edge * 1.001
    near = replace(answers, observed=moved, flow=np.where(moved == moved[0, 0], edge * 0.999, moved))
    assert summarise_flow(near)["oa"].value == pytest.approx(1 - 1 / 240)
    assert summarise_flow(near)["oa_near"].value == 1


def test_folds_are_put_together_from_what_each_held_out(noisy):
    """Two folds of the same cells: every cell comes from the fold in which it was a test cell, in the order of the cells."""
    half = np.where(np.arange(40) % 2, 2, 0).astype(np.int8)
    first, second = replace(noisy, part=half), replace(noisy, part=2 - half, flow=noisy.flow * 3)
    whole = pooled_folds([first, second], noisy.scale)
    assert np.array_equal(whole.cell_ids, noisy.cell_ids) and (whole.part == 2).all()
    assert whole.flow == pytest.approx(noisy.flow * np.where(np.arange(40) % 2, 1, 3)[:, None])
    with pytest.raises(MobiscopeError, match="tested once"):
        pooled_folds([first, first], noisy.scale)


def test_values_are_shown_with_their_unit():
    """Shares in per cent, trips with thousands, hours with h, undefined as a dash."""
    assert FLOW_METRICS["wape"].show(0.234) == "23.4 %"
    assert FLOW_METRICS["mae"].show(1234.1) == "1,234" and FLOW_METRICS["mae"].show(3.14159) == "3.1"
    assert FLOW_METRICS["peak_hours"].show(1.5) == "1.50 h"
    assert FLOW_METRICS["r2"].show(float("nan")) == "–"
