"""Baselines of grid mobility: what each answers, worked by hand where it can be, and what none of them may look at."""

from dataclasses import replace

import numpy as np
import pytest

from engine.city.cell_samples import build_cell_samples
from engine.city.cell_splits import CellSplit
from engine.city.flow_scale import FlowScale
from engine.errors import ConfigError
from engine.models.baselines import curves_learnt, curves_networks
from engine.models.baselines.curve_base import Fit
from engine.models.baselines.curve_features import COMPRESSED, FeatureTable
from engine.models.baselines.curves import CURVE_BASELINES, fit_curve_baselines
from engine.models.baselines.curves_near import _by_distance, _equal, _nearest, _Positions
from tests.engine.small_grids import grid_city, inputs_of, modality_of, telling_inputs

RANDOM = CellSplit(kind="random_cells")
WITH_GRAPH = "graph_convolution"
NETWORKS = ("convolution", "lstm", "transformer", WITH_GRAPH)


@pytest.fixture(scope="module", autouse=True)
def small():
    """Few trees and epochs: what is tested here does not need more."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(curves_learnt, "TREES", 12)
        patch.setattr(curves_learnt, "ROUNDS", (20, 40))
        patch.setattr(curves_networks, "EPOCHS", 30)
        patch.setattr(curves_networks, "PATIENCE", 30)
        patch.setattr(curves_networks, "WITHOUT_VALIDATION", 5)
        yield


@pytest.fixture(scope="module")
def city():
    return grid_city(8, 10)


@pytest.fixture(scope="module")
def cells(city):
    return build_cell_samples(city, RANDOM)


@pytest.fixture(scope="module")
def inputs(city):
    return telling_inputs(city)


@pytest.fixture(scope="module")
def fitted(inputs, cells):
    return {baseline.name: baseline for baseline in fit_curve_baselines(inputs, cells, seed=1)}


def z_error(baseline, inputs, cells):
    """Mean squared error in z on the test cells."""
    test, scale = cells.mask("test"), baseline.scale
    flow = baseline.predict_curves(inputs, cells).flow
    return ((scale.to_z(flow[test]) - scale.to_z(cells.outflow[test])) ** 2).mean()


@pytest.mark.parametrize("name", CURVE_BASELINES)
def test_every_baseline_answers_curves_with_an_interval(name, fitted, inputs, cells):
    """(cell, 24) finite trips, none negative, within their own interval."""
    answer = fitted[name].predict_curves(inputs, cells)
    assert fitted[name].name == name and answer.flow.shape == (80, 24)
    assert np.isfinite(answer.flow).all() and (answer.flow >= 0).all()
    assert (answer.low <= answer.flow).all() and (answer.flow <= answer.high).all()


@pytest.mark.parametrize("name", [name for name in CURVE_BASELINES if name != "hourly_mean"])
def test_every_baseline_finds_what_the_features_or_positions_tell(name, fitted, inputs, cells):
    """The level rises to the east and shows in the counts: each is at least twice as good as the mean curve."""
    assert z_error(fitted[name], inputs, cells) < 0.5 * z_error(fitted["hourly_mean"], inputs, cells)


def test_no_baseline_looks_at_what_it_is_judged_on(fitted, inputs, cells):
    """Test flows a thousand times larger change no answer by one bit: neither when fitted nor when asked."""
    flows = cells.outflow.copy()
    flows[cells.mask("test")] *= 1000
    blind = replace(cells, outflow=flows)
    for baseline in fit_curve_baselines(inputs, blind, seed=1):
        assert np.array_equal(
            baseline.predict_curves(inputs, blind).flow, fitted[baseline.name].predict_curves(inputs, cells).flow
        ), baseline.name


def test_answers_do_not_come_from_the_flows_of_the_cells_asked(fitted, inputs, cells):
    """Asked again with every flow unknown, each answers the same."""
    unknown = replace(cells, outflow=np.full_like(cells.outflow, np.nan))
    for name, baseline in fitted.items():
        same = np.array_equal(baseline.predict_curves(inputs, unknown).flow, baseline.predict_curves(inputs, cells).flow)
        assert same, name


def test_the_seed_draws_forests_and_networks(fitted, inputs, cells):
    """Another seed gives another forest and another network, and the same ridge."""
    other = {b.name: b for b in fit_curve_baselines(inputs, cells, seed=2, names=["extra_trees", "graph_convolution", "ridge"])}
    differs = {
        name: not np.array_equal(other[name].predict_curves(inputs, cells).flow, fitted[name].predict_curves(inputs, cells).flow)
        for name in other
    }
    assert differs == {"extra_trees": True, "graph_convolution": True, "ridge": False}


def test_the_hourly_mean_is_the_mean_of_the_training_logs(fitted, inputs, cells):
    """exp of the mean ln(1 + trips) of training cells, minus one; the same for all."""
    flow = fitted["hourly_mean"].predict_curves(inputs, cells).flow
    assert flow == pytest.approx(np.tile(np.expm1(np.log1p(cells.outflow[cells.mask("train")]).mean(axis=0)), (80, 1)), rel=1e-4)


def test_weights_of_neighbours_by_hand():
    """Distances 1, 2 and 4: the two nearest count a half each; by inverse squares the weights are 16, 4 and 1 of 21."""
    distance = np.array([[1.0, 2, 4]])
    assert _equal(2)(distance).tolist() == [[0.5, 0.5, 0]]
    assert _by_distance(2.0)(distance) == pytest.approx(np.array([[16, 4, 1]]) / 21)
    assert _by_distance(2.0)(np.array([[0.0, 5]])) == pytest.approx(np.array([[1.0, 0]]))


def test_one_nearest_cell_is_copied_and_never_itself():
    """In a row of cells with k = 1 a test cell gets the curve of a neighbour, and a training cell not its own."""
    row = grid_city(1, 12)
    cells = build_cell_samples(row, RANDOM)
    fit = Fit.of(telling_inputs(row), cells, 0)
    answer = _nearest(fit, _Positions(), _equal(1))(fit.inputs, cells)
    train = set(np.flatnonzero(cells.mask("train")))
    for cell in range(12):
        nearest = min(train - {cell}, key=lambda other: (round(abs(cells.x[other] - cells.x[cell])), other))
        assert answer[cell] == pytest.approx(fit.z[nearest])


@pytest.mark.parametrize("name", [name for name, one in CURVE_BASELINES.items() if "edges" in one.reads])
def test_neighbours_are_read_as_far_as_promised_and_no_further(name, fitted, inputs, cells):
    """Another picture of one cell changes the curves of cells two rook steps away (or as many as were chosen) and not one bit beyond."""
    reach = fitted[name].chosen.get("steps", 2)
    middle = 4 * 10 + 5
    changed = inputs.modalities["satellite"].features.copy()
    changed[middle] += 2
    edited = replace(
        inputs, modalities={**inputs.modalities, "satellite": replace(inputs.modalities["satellite"], features=changed)}
    )
    moved = (fitted[name].predict_curves(edited, cells).flow != fitted[name].predict_curves(inputs, cells).flow).any(axis=1)
    row, col = np.divmod(np.arange(80), 10)
    steps = np.abs(row - 4) + np.abs(col - 5)
    assert moved[steps <= reach].all() and not moved[steps > reach].any()


def test_surroundings_are_repeated_means_of_the_neighbours():
    """Three cells in a row (0 1 2) and one alone: by hand."""
    edges = np.array([[0, 1], [1, 0], [1, 2], [2, 1]])
    own, one, two = curves_learnt.surroundings(np.array([[1.0], [2.0], [6.0], [9.0]]), edges, 2)
    assert own[:, 0].tolist() == [1, 2, 6, 9]
    assert one[:, 0].tolist() == [2, 3.5, 2, 0]
    assert two[:, 0].tolist() == [3.5, 2, 3.5, 0]


@pytest.mark.parametrize("name", CURVE_BASELINES)
def test_a_baseline_reads_what_it_declares_and_nothing_else(name, fitted, inputs, cells):
    """Other pictures, guesses, positions, no edges: each changes answers where it is declared to be read, and no bit where not."""
    satellite, poi = inputs.modalities["satellite"], inputs.modalities["poi"]
    other = {
        "features": (replace(inputs, modalities=inputs.modalities | {"satellite": replace(satellite, features=satellite.features[::-1])}), cells),
        "guesses": (replace(inputs, modalities=inputs.modalities | {"poi": replace(poi, trend=poi.trend[::-1])}), cells),
        "positions": (inputs, replace(cells, x=cells.x[::-1], y=cells.y[::-1] * 2)),
        "edges": (inputs, replace(cells, edges=cells.edges[:0])),
    }  # fmt: skip
    before = fitted[name].predict_curves(inputs, cells).flow
    moved = {what for what, given in other.items() if not np.array_equal(fitted[name].predict_curves(*given).flow, before)}
    assert moved == set(fitted[name].reads) == set(CURVE_BASELINES[name].reads)


def test_edits_of_what_a_baseline_does_not_read_cannot_matter_to_it(fitted):
    """The effect of an edit follows from what is read: places for the ridge, edges for the graph convolution, neither on the map."""
    needs = {
        name: [fitted[name].effects()[kind].needs for kind in ("change_pois", "cut_edge") if kind in fitted[name].effects()]
        for name in ("ridge", "described_trend", "graph_convolution", "spatial_neighbours", "hourly_mean")
    }
    assert needs == {
        "ridge": ["re-encode", "nothing"],
        "described_trend": ["re-encode", "nothing"],  # a guess goes with the description of what is changed
        "graph_convolution": ["re-encode"],  # cutting an edge needs a forward pass, as everything not named
        "spatial_neighbours": ["nothing", "nothing"],
        "hourly_mean": ["nothing", "nothing"],
    }


@pytest.mark.parametrize("name", [name for name, one in CURVE_BASELINES.items() if one.reads == ("features",)])
def test_others_know_a_cell_by_what_is_in_it(name, fitted, inputs, cells):
    """Another picture of one cell changes no other cell, and moving the cells on the map changes nothing."""
    changed = inputs.modalities["satellite"].features.copy()
    changed[3] += 3
    edited = replace(
        inputs, modalities={**inputs.modalities, "satellite": replace(inputs.modalities["satellite"], features=changed)}
    )
    before = fitted[name].predict_curves(inputs, cells).flow
    moved = fitted[name].predict_curves(edited, replace(cells, x=cells.x[::-1], y=cells.y[::-1])).flow
    assert np.allclose(np.delete(moved, 3, axis=0), np.delete(before, 3, axis=0), rtol=1e-5)
    assert not np.allclose(moved[3], before[3], rtol=1e-5)


def test_no_answer_lies_beyond_what_training_cells_ever_had(fitted, inputs, cells):
    """Features far outside of training (a thousand times the picture) give trips within the range of the training cells."""
    far = replace(inputs.modalities["satellite"], features=inputs.modalities["satellite"].features * 1000)
    observed = cells.outflow[cells.mask("train")]
    for name, baseline in fitted.items():
        flow = baseline.predict_curves(replace(inputs, modalities={**inputs.modalities, "satellite": far}), cells).flow
        assert flow.min() >= observed.min() * (1 - 1e-4) and flow.max() <= observed.max() * (1 + 1e-4), name


def test_without_validation_cells_defaults_are_taken_and_no_interval_is_claimed(city, inputs):
    """Folds without validation: every baseline fits and gives no interval."""
    cells = build_cell_samples(city, CellSplit(kind="random_cells", folds=4, fold=1, valid_share=0))
    for baseline in fit_curve_baselines(inputs, cells):
        answer = baseline.predict_curves(inputs, cells)
        assert answer.low is None and answer.high is None and np.isfinite(answer.flow).all(), baseline.name


def test_cells_with_an_unknown_hour_are_not_learnt_from(inputs, cells):
    """One hour unknown in a training cell: the fit leaves that cell out and still answers it."""
    flows = cells.outflow.copy()
    first = int(np.flatnonzero(cells.mask("train"))[0])
    flows[first, 5] = np.nan
    fit = Fit.of(inputs, replace(cells, outflow=flows), 0)
    assert first not in fit.train and len(fit.train) == cells.mask("train").sum() - 1
    baseline = fit_curve_baselines(inputs, replace(cells, outflow=flows), names=["ridge"])[0]
    assert np.isfinite(baseline.predict_curves(inputs, cells).flow).all()


def test_all_flows_equal_give_that_flow(city):
    """Every cell has 7 trips in every hour: every baseline but the networks answers 7 exactly."""
    level = grid_city(8, 10, outflow=np.full((80, 24), 7.0))
    cells = build_cell_samples(level, RANDOM)
    generator = np.random.default_rng(0)
    rows, guess = generator.normal(size=(80, 3)), generator.random((80, 24))
    inputs = inputs_of(level, satellite=modality_of("satellite", rows, trend=guess))
    exact = [name for name in CURVE_BASELINES if name not in NETWORKS]
    for baseline in fit_curve_baselines(inputs, cells, names=exact):
        assert baseline.predict_curves(inputs, cells).flow == pytest.approx(7, rel=1e-3), baseline.name


# ---- the table of columns -------------------------------------------------------------------------------------------------------


def test_columns_are_standardised_on_training_cells_and_constant_ones_vanish(city, cells):
    """Training rows have mean 0 and spread 1; a column that is the same everywhere is 0; counts are taken as logs."""
    rows = np.column_stack([np.arange(80.0), np.full(80, 0.25), np.random.default_rng(0).poisson(3, 80)])
    table = FeatureTable.fit(inputs := inputs_of(city, poi=modality_of("poi", rows, counts=1)), cells).table(inputs)
    train = table[cells.mask("train")]
    assert train[:, [0, 2]].mean(axis=0) == pytest.approx(0, abs=1e-6) and train[:, [0, 2]].std(axis=0) == pytest.approx(
        1, abs=1e-6
    )
    assert (table[:, 1] == 0).all()
    logs = np.log1p(np.arange(80.0))
    assert np.corrcoef(table[:, 0], logs)[0, 1] == pytest.approx(1)


def test_a_missing_modality_is_told_and_not_taken_for_a_value(city, cells):
    """Cells without pictures have the training mean, 0, and a column that says so; their stored rows do not matter."""
    rows, present = np.random.default_rng(0).normal(5, 1, (80, 2)), np.arange(80) % 4 > 0
    tables = []
    for filler in (0.0, 1e6):
        filled = np.where(present[:, None], rows, filler)
        inputs = inputs_of(city, satellite=modality_of("satellite", filled, present=present))
        tables.append(FeatureTable.fit(inputs, cells).table(inputs))
    assert np.array_equal(*tables)
    assert (tables[0][~present, :2] == 0).all() and np.array_equal(tables[0][:, 2], present)


def test_photographs_count_whatever_their_order(city, cells):
    """A set of photographs per cell becomes mean, spread and number; the order within a cell does not matter."""
    generator = np.random.default_rng(0)
    owner = np.sort(generator.integers(0, 80, 200))
    rows = generator.normal(size=(200, 3))
    order = np.lexsort((generator.random(200), owner))
    given = inputs_of(city, street_view=modality_of("street_view", rows, owner, cells=80))
    mixed = inputs_of(city, street_view=modality_of("street_view", rows[order], owner, cells=80))
    columns = FeatureTable.fit(given, cells)
    assert columns.table(given) == pytest.approx(columns.table(mixed), abs=1e-5)
    assert columns.table(given).shape == (80, 3 + 3 + 1 + (len(set(owner)) < 80))


def test_wide_blocks_are_compressed_and_descriptions_count(city, cells):
    """Text vectors of 300 components become 16 of unit spread; the features beside them stay."""
    generator = np.random.default_rng(0)
    modality = modality_of("poi", generator.poisson(3, (80, 2)), text=generator.normal(size=(80, 300)), counts=2)
    inputs = inputs_of(city, poi=modality)
    table = FeatureTable.fit(inputs, cells).table(inputs)
    assert table.shape == (80, 2 + COMPRESSED)
    assert table[cells.mask("train"), 2:].std(axis=0) == pytest.approx(1, abs=0.05)


def test_baselines_that_read_features_are_left_out_where_none_tells_cells_apart(city, cells):
    """Constant features or none at all: the mean of the hour and those of the map remain; who asks for another hears what to bring."""
    for blank in (inputs_of(city, satellite=np.ones((80, 3))), inputs_of(city)):
        fitted = fit_curve_baselines(blank, cells)
        assert [one.name for one in fitted] == ["hourly_mean", "spatial_neighbours", "inverse_distance"]
        assert all(np.isfinite(one.predict_curves(blank, cells).flow).all() for one in fitted)
        assert fit_curve_baselines(blank, cells, names=["hourly_mean"])[0].name == "hourly_mean"
        with pytest.raises(ConfigError, match="differs between them"):
            fit_curve_baselines(blank, cells, names=["hourly_mean", "ridge"])


def test_the_guessed_trend_alone_is_as_good_as_the_guess(city, cells):
    """A describer that knows every curve is copied out; busy cells are told by the intensity where all trends have one height."""
    share = cells.outflow / cells.outflow.max()
    known = modality_of("poi", np.zeros((80, 1)), trend=share.astype(np.float32))
    shape = share / share.max(axis=1, keepdims=True)
    shaped = replace(known, trend=shape.astype(np.float32))
    told = replace(shaped, intensity=(100 * share.max(axis=1)).astype(np.float32))
    mean, *fitted = (
        fit_curve_baselines(inputs := inputs_of(city, poi=one), cells, names=[name])[0].predict_curves(inputs, cells).flow
        for name, one in (("hourly_mean", known), *(("described_trend", one) for one in (known, told, shaped)))
    )
    test = cells.mask("test")
    errors = [np.abs(flow - cells.outflow)[test].mean() / np.abs(mean - cells.outflow)[test].mean() for flow in fitted]
    assert max(errors[:2]) < 0.1 and errors[2] > 0.5


def test_cells_without_a_guess_are_answered_with_the_mean_of_their_hours(city, cells, inputs):
    """Half of the cells were not guessed: they get one curve, that of a cell of mean guesses which is told it has none."""
    poi = inputs.modalities["poi"]
    trend = poi.trend.copy()
    trend[::2] = np.nan
    some = replace(inputs, modalities=inputs.modalities | {"poi": replace(poi, trend=trend)})
    (baseline,) = fit_curve_baselines(some, cells, names=["described_trend"])
    flow = baseline.predict_curves(some, cells).flow
    assert np.isfinite(flow).all() and (flow[::2] == flow[0]).all() and len(np.unique(flow[1::2, 8])) == 40


def test_the_guess_is_kept_from_all_others_unless_it_is_for_all_to_read(city, cells, inputs):
    """Kept apart, the guess adds no column to the table of the others; where the encoding lets it be read, it adds 24."""
    read = {name: replace(one, trend_is_read=True) for name, one in inputs.modalities.items()}
    apart, joined = (FeatureTable.fit(one, cells).table(one) for one in (inputs, replace(inputs, modalities=read)))
    assert joined.shape[1] == apart.shape[1] + 24


def test_without_a_guess_the_baseline_of_the_guess_is_left_out(city, cells, inputs):
    """No trend, or the same for all: the others are fitted, and who asks for it hears how to get one."""
    poi = inputs.modalities["poi"]
    for trend in (None, np.full((80, 24), 0.5, np.float32)):
        silent = replace(inputs, modalities=inputs.modalities | {"poi": replace(poi, trend=trend, intensity=np.arange(80.0))})
        assert {"described_trend"} == set(CURVE_BASELINES) - {one.name for one in fit_curve_baselines(silent, cells)}
        with pytest.raises(ConfigError, match="mobiscope caption --trend"):
            fit_curve_baselines(silent, cells, names=["ridge", "described_trend"])


def test_other_cells_unknown_names_and_other_encoders_are_refused(city, cells, inputs, fitted):
    """Inputs of another city, a baseline that does not exist, features of another length."""
    with pytest.raises(ConfigError, match="other cells"):
        fit_curve_baselines(telling_inputs(grid_city(4, 6)), cells)
    with pytest.raises(ConfigError, match="no baseline 'crystal_ball'"):
        fit_curve_baselines(inputs, cells, names=["crystal_ball"])
    with pytest.raises(ConfigError, match="has 5 components, in training it had 2"):
        fitted["ridge"].predict_curves(inputs_of(city, satellite=np.ones((80, 5)), poi=inputs.modalities["poi"]), cells)


def test_the_scale_is_that_of_the_training_cells(fitted, cells):
    """Every baseline shares the scale of the evaluation."""
    assert all(baseline.scale == FlowScale.fit(cells.outflow[cells.mask("train")]) for baseline in fitted.values())
