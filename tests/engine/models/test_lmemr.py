"""LMEMR: what an edit may change, what each switch switches off, and inputs nobody wishes for."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from engine.city.cell_samples import CellSamples
from engine.device import choose_device
from engine.encoders.cell_features import CellEncoding, CellInputs, Modality, encode_cells
from engine.errors import ConfigError
from engine.layers.graph import neighbours_of
from engine.models.base import Data
from engine.models.declarations import Warned
from engine.models.lmemr import LMEMR
from engine.models.lmemr_checks import alignment, graph_cost
from engine.models.lmemr_config import MODALITIES, LMEMRConfig
from engine.models.lmemr_inputs import Standardise, cell_rows
from engine.probes import override, watch
from engine.training.loop import Trainer
from tests.engine.small_grids import grid_city

SIDE = 9


def grid_edges(rows: int, columns: int) -> np.ndarray:
    """Rook neighbours of a full grid, each pair in both directions."""
    at = np.arange(rows * columns).reshape(rows, columns)
    one = np.concatenate([np.stack([at[:, :-1].ravel(), at[:, 1:].ravel()], 1), np.stack([at[:-1].ravel(), at[1:].ravel()], 1)])
    return np.unique(np.concatenate([one, one[:, ::-1]]), axis=0)


def make_cells(rows: int = SIDE, columns: int = SIDE, seed: int = 0, edges: np.ndarray | None = None) -> CellSamples:
    """A grid of 500 m cells whose flow depends on `level`, drawn per cell; three fifths of them train."""
    count = rows * columns
    rng = np.random.default_rng(seed)
    level = rng.normal(3, 1, count)
    curve = np.sin(np.arange(24) / 24 * 2 * np.pi)
    row, column = np.divmod(np.arange(count), columns)
    return CellSamples(
        cell_ids=np.array([f"c{at}" for at in range(count)]),
        x=500.0 * column,
        y=500.0 * row,
        area_km2=np.full(count, 0.25),
        district=np.full(count, "only"),
        outflow=np.expm1(np.maximum(level[:, None] + curve, 0)).astype(np.float32),
        part=rng.permutation(np.arange(count) % 5).clip(0, 4).astype(np.int8) // 3 + (np.arange(count) % 5 == 4),
        edges=grid_edges(rows, columns) if edges is None else edges,
        day_type="weekday",
    )


def make_modality(name: str, cells: CellSamples, seed: int, present: np.ndarray | None = None) -> Modality:
    """A modality that shows the level of each cell's flow with noise; street views one to three per cell."""
    rng = np.random.default_rng([seed, MODALITIES.index(name)])
    count = len(cells)
    present = np.ones(count, bool) if present is None else present
    owner = np.repeat(np.arange(count), rng.integers(1, 4, count)) if name == "street_view" else np.arange(count)
    level = np.log1p(cells.outflow).mean(1)
    features = level[owner, None] * np.ones(5) + rng.normal(0, 0.3, (len(owner), 5))
    if name == "poi":
        features = np.round(np.exp(features / 2))
    captions = tuple(f"{name} of level {value:.0f}" for value in level)
    codes = np.unique(captions, return_inverse=True)[1]
    text = rng.normal(size=(codes.max() + 1, 12))[codes]
    kept = present[owner] if name == "street_view" else np.ones(len(owner), bool)
    return Modality(
        name=name,
        features=features[kept].astype(np.float32),
        owner=owner[kept],
        present=present,
        components=tuple("abcde"),
        captions=tuple(caption if has else "" for caption, has in zip(captions, present, strict=True)),
        text=(text * present[:, None]).astype(np.float32),
        text_present=present.copy(),
        trend=None,
        source="made for a test",
        counts=5 if name == "poi" else 0,
    )


def make_inputs(cells: CellSamples, seed: int = 0, **present: np.ndarray) -> CellInputs:
    modalities = {name: make_modality(name, cells, seed, present.get(name)) for name in MODALITIES}
    return CellInputs(cells.cell_ids, modalities, f"test-{seed}")


def edited(inputs: CellInputs, name: str, cell: int) -> CellInputs:
    """The same inputs with one modality of one cell, and its description, become another's."""
    modality = inputs.modalities[name]
    features, text = modality.features.copy(), modality.text.copy()
    features[modality.owner == cell] += 1.5
    text[cell] = -text[cell]
    return replace(inputs, modalities=inputs.modalities | {name: replace(modality, features=features, text=text)})


def build(cells: CellSamples, inputs: CellInputs, seed: int = 0, **settings) -> tuple[LMEMR, Data]:
    # The city is only asked to encode, and these inputs are encoded already.
    data = Data(None, None, cells=cells, inputs=inputs)  # type: ignore[arg-type]
    return LMEMR.build(LMEMRConfig.preset("tiny", **settings), data, seed), data


def trained(cells: CellSamples, inputs: CellInputs, **settings) -> tuple[LMEMR, Data]:
    model, data = build(cells, inputs, **settings)
    Trainer(model, model.stages(data), seed=0, device=choose_device("cpu")).train()
    return model, data


@pytest.fixture(scope="module")
def cells():
    return make_cells()


@pytest.fixture(scope="module")
def inputs(cells):
    return make_inputs(cells)


@pytest.fixture(scope="module")
def model(cells, inputs):
    return trained(cells, inputs, epochs=1)[0]


# ---- what an edit may change -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", MODALITIES)
def test_editing_one_cell_changes_exactly_the_25_cells_within_three_steps_and_not_one_bit_elsewhere(name, cells, inputs, model):
    middle = SIDE * (SIDE // 2) + SIDE // 2
    before = model.predict_curves(inputs, cells)
    after = model.predict_curves(edited(inputs, name, middle), cells)
    row, column = np.divmod(np.arange(len(cells)), SIDE)
    near = abs(row - SIDE // 2) + abs(column - SIDE // 2) <= 3
    assert near.sum() == 25
    for one, other in ((before.flow, after.flow), (before.low, after.low), (before.bin_probability, after.bin_probability)):
        changed = (one != other).reshape(len(cells), -1).any(1)
        assert not changed[~near].any(), "a cell out of reach changed"
        assert changed[near].all() or one is before.low, "a cell within reach did not change"


def test_with_the_published_similarity_of_the_batch_editing_one_cell_changes_all(cells, inputs):
    model, _ = build(cells, inputs, channel_similarity="batch")
    before, after = model.predict_curves(inputs, cells), model.predict_curves(edited(inputs, "poi", 40), cells)
    assert (before.flow != after.flow).any(1).sum() > 70


def test_cutting_an_edge_changes_only_cells_within_reach_of_its_ends(cells, inputs, model):
    first, second = 0, 1
    keep = ~np.isin(cells.edges[:, 0] * 1000 + cells.edges[:, 1], [first * 1000 + second, second * 1000 + first])
    cut = replace(cells, edges=cells.edges[keep])
    changed = (model.predict_curves(inputs, cells).flow != model.predict_curves(inputs, cut).flow).any(1)
    row, column = np.divmod(np.arange(len(cells)), SIDE)
    reach = np.minimum(row + column, row + abs(column - 1)) <= 2  # an end changes in the first block, two steps remain
    assert changed.any() and not changed[~reach].any()


def test_influence_is_zero_beyond_three_steps_and_largest_on_the_cell_itself(cells, inputs, model):
    found = model.influence(inputs, cells, 40)
    row, column = np.divmod(np.arange(len(cells)), SIDE)
    near = abs(row - 4) + abs(column - 4) <= 3
    assert (found[~near] == 0).all() and (found[near] > 0).all() and found.argmax() == 40


def test_the_order_of_photographs_does_not_matter(cells, inputs, model):
    views = inputs.modalities["street_view"]
    order = np.lexsort((np.random.default_rng(0).permutation(len(views.owner)), views.owner))
    shuffled = replace(views, features=views.features[order], owner=views.owner[order])
    other = replace(inputs, modalities=inputs.modalities | {"street_view": shuffled})
    np.testing.assert_allclose(
        model.predict_curves(other, cells).flow, model.predict_curves(inputs, cells).flow, rtol=1e-4, atol=1e-4
    )


def test_photographs_become_mean_spread_and_the_log_of_their_number(cells, inputs):
    views = inputs.modalities["street_view"]
    rows, own = cell_rows(views), views.features[views.owner == 7]
    np.testing.assert_allclose(rows[7], np.concatenate([own.mean(0), own.std(0), [np.log1p(len(own))]]), rtol=1e-5, atol=1e-6)


def test_moving_what_the_model_made_of_a_cell_to_that_of_another_makes_their_curves_one_where_there_is_no_graph(cells, inputs):
    model, _ = build(cells, inputs, graph="none")

    def become(value):
        moved = value.clone()
        moved[5] = value[9]
        return moved

    with override(model, {f"branches.{name}.fused_vector": become for name in model.modalities}):
        flow = model.predict_curves(inputs, cells).flow
    np.testing.assert_array_equal(flow[5], flow[9])


# ---- learning and its switches -----------------------------------------------------------------------------------------------


def test_it_learns_the_level_that_its_inputs_show(cells, inputs):
    """The hourly mean explains the curve's shape only (a third of the variance); the level is in the inputs, up to noise."""
    model, data = trained(cells, inputs, epochs=16, patience=16, learning_rate=1e-2, dropout=0.0)
    test = cells.mask("test")
    truth = np.log1p(cells.outflow[test])
    answer = np.log1p(model.predict_curves(inputs, cells).flow[test])
    assert 1 - ((truth - answer) ** 2).sum() / ((truth - truth.mean()) ** 2).sum() > 0.75
    table = alignment(model, data)
    assert len(table) == 4 + 6 and (table["cosine"] > table["by_chance"]).all()
    model.eval()
    with torch.no_grad():
        raw = model(model.tensors(inputs, cells)).probability
    stated = model.predict_curves(inputs, cells).bin_probability
    temperature = model.state_dict()["head.temperature"].item()
    assert abs(temperature - 1) > 0.05, "validation cells never bear out exactly what the network claims"
    np.testing.assert_allclose(stated, (raw.log() / temperature).softmax(-1), atol=1e-5)


def test_text_is_too_strong_where_its_guess_of_the_curve_alone_does_as_well_as_the_model(cells, inputs):
    """A describer that knew every curve fires the detector, one that drew by chance does not; who is told no guess is not judged."""

    def told(trend: np.ndarray | None) -> CellInputs:
        poi = replace(inputs.modalities["poi"], trend=trend, trend_is_read=True)
        return replace(inputs, modalities=inputs.modalities | {"poi": poi})

    def found(model: LMEMR, trend: np.ndarray | None) -> dict[str, Warned]:
        data = Data(None, None, cells=cells, inputs=told(trend))  # type: ignore[arg-type]
        return {warned.name: warned for warned in model.diagnose(data)}

    knew, drew = cells.outflow / cells.outflow.max(), np.random.default_rng(0).random((len(cells), 24))
    model, _ = trained(cells, told(knew), with_trend=True, epochs=16, patience=16, learning_rate=1e-2, dropout=0.0)
    strong, weak = (found(model, trend)["text too strong"] for trend in (knew, drew))
    assert strong.fired and strong.value > 0.98 and not weak.fired and weak.value < 0.5
    assert strong.threshold == weak.threshold and 0.6 < strong.threshold < 0.9
    assert "text too strong" not in found(model, None)
    for settings in ({}, {"with_trend": True, "semantics": "shuffled"}):
        assert "text too strong" not in found(build(cells, told(knew), **settings)[0], knew)


@pytest.mark.parametrize(
    "settings",
    [
        {"semantics": "off"},
        {"semantics": "shuffled"},
        {"intra_contrast": False},
        {"inter_contrast": False},
        {"contrastive_parity": True},
        {"channel_similarity": "batch"},
        {"graph": "none"},
        {"graph": "mean", "graph_skips": False},
        {"graph": "self"},
        {"fusion": "flatten"},
        {"fusion": "gated"},
        {"fusion": "concatenate"},
        {"fusion": "max", "readout": "mean"},
        {"modalities": ("poi",)},
        {"head": "regression"},
        {"head": "classification", "bin_kind": "quantile"},
        {"hour_conditioning": "convolution", "components": 3},
        {"negatives": 10},
    ],
    ids=str,
)
def test_every_switch_gives_a_model_that_trains_answers_and_diagnoses(settings, cells, inputs):
    model, data = trained(cells, inputs, epochs=1, steps_per_epoch=1, **settings)
    found = model.predict_curves(inputs, cells)
    assert np.isfinite(found.flow).all() and (found.low <= found.high).all()
    assert all(np.isfinite(warned.value) for warned in model.diagnose(data))
    assert set(model.embeddings(inputs, cells)) >= {"cell", "hour"}


def test_switches_off_take_their_terms_out_of_the_loss(cells, inputs):
    def terms(**settings):
        model, data = build(cells, inputs, **settings)
        stage = model.stages(data)[0]
        return set(stage.loss(next(iter(stage.batches(0, np.random.default_rng(0))))))

    assert terms() == {"total", "regression", "classification", "intra", "inter"}
    assert terms(intra_contrast=False, inter_contrast=False) == {"total", "regression", "classification"}
    assert terms(semantics="off") == {"total", "regression", "classification", "inter"}
    assert terms(modalities=("poi",)) == {"total", "regression", "classification", "intra"}
    assert terms(head="regression") == {"total", "regression", "intra", "inter"}


def test_shuffled_captions_are_those_of_other_cells_and_the_same_every_time(cells, inputs):
    model, _ = build(cells, inputs, semantics="shuffled")
    plain, _ = build(cells, inputs)
    once, own = model.tensors(inputs, cells), plain.tensors(inputs, cells)
    again = build(cells, inputs, semantics="shuffled")[0].tensors(inputs, cells)
    assert torch.equal(once.text[0], again.text[0]) and torch.equal(once.spatial[0], own.spatial[0])
    assert (once.text[0] != own.text[0]).any(1).float().mean() > 0.5
    torch.testing.assert_close(once.text[0].sort(0).values, own.text[0].sort(0).values)


def test_probes_of_the_specification_have_their_names_and_shapes(cells, inputs, model):
    with watch(model) as seen:
        model.predict_curves(inputs, cells)
    c, count = model.config, len(cells)
    shapes = {
        "context.satellite.blocks.0.messages.attention": (count, c.graph_heads, 5),
        "context.satellite.blocks.2.messages.attention": (count, 1, 5),
        "context_vector.street_view": (count, c.width),
        "branches.poi.channels.similarity": (c.width, c.width),
        "branches.height.spatial_vector": (count, c.width),
        "branches.height.text_vector": (count, c.width),
        "fusion.layers.0.attention": (count, c.fusion_heads, 4, 4),
        "fusion.weight": (count, 4),
        "cell_vector": (count, c.width),
        "hourly.hour_vector": (24, c.hour_width),
        "hourly.layers.0.attention": (count, c.temporal_heads, 24, 24),
        "head.probability": (count, 24, c.bins),
        "head.level": (count, 24),
    }
    for name, shape in shapes.items():
        assert seen[name][0].shape == shape, name
    assert len({tuple(probe.axes) for name, probe in model.probes().items() if name.endswith("messages.attention")}) == 1


def test_effects_say_what_an_edit_needs_and_what_cannot_matter(cells, inputs):
    full = build(cells, inputs)[0].effects()
    assert full["change_pois"].needs == "re-encode" and full["cut_edge"].needs == "forward"
    bare = build(cells, inputs, semantics="off", graph="none")[0].effects()
    assert {kind for kind, effect in bare.items() if effect.needs == "nothing"} == {"change_description", "cut_edge", "add_edge"}


def test_pictures_whose_vectors_were_made_beforehand_are_not_looked_at_and_that_is_said(cells, inputs):
    """Another tile can then matter by what is said of it, or, where no words are read, not at all."""
    for settings, expected in (({}, "re-encode"), ({"semantics": "off"}, "nothing"), ({"describer": "none"}, "nothing")):
        found = build(cells, inputs, image_encoder="precomputed:/vectors", **settings)[0].effects()
        for kind in ("change_tile", "change_buildings"):
            assert found[kind].needs == expected and "made beforehand" in found[kind].sentence + found[kind].note
        assert found["change_pois"].needs == "re-encode" and not found["change_pois"].note


# ---- bad inputs --------------------------------------------------------------------------------------------------------------


def _is_fine(model: LMEMR, data: Data) -> None:
    found = model.predict_curves(data.inputs, data.cells)
    assert np.isfinite(found.flow).all() and (found.flow >= 0).all()
    assert all(np.isfinite(warned.value) for warned in model.diagnose(data))


def test_cells_that_lack_modalities_are_answered_by_the_others_and_those_without_any_by_their_neighbours(cells):
    some = np.arange(len(cells)) % 3 > 0
    some[40] = False
    inputs = make_inputs(cells, **dict.fromkeys(MODALITIES, some))
    model, data = trained(cells, inputs, epochs=2)
    _is_fine(model, data)
    nobody_home = next(warned for warned in model.diagnose(data) if warned.name == "cells without anything")
    assert nobody_home.fired and nobody_home.value == pytest.approx((~some).mean())
    # Numbers in rows of cells without the modality mean nothing and must not be read.
    modality = inputs.modalities["satellite"]
    noisy = modality.features.copy()
    noisy[~some] = 1e6
    other = replace(inputs, modalities=inputs.modalities | {"satellite": replace(modality, features=noisy)})
    np.testing.assert_array_equal(model.predict_curves(other, cells).flow, model.predict_curves(inputs, cells).flow)
    neighbour = edited(inputs, "height", 41)
    assert (model.predict_curves(neighbour, cells).flow[40] != model.predict_curves(inputs, cells).flow[40]).any()


def test_a_modality_that_no_cell_has_is_left_out_and_no_modality_at_all_is_refused(cells):
    nobody = np.zeros(len(cells), bool)
    model, data = build(cells, make_inputs(cells, street_view=nobody))
    assert model.modalities == ("satellite", "height", "poi")
    _is_fine(model, data)
    with pytest.raises(ConfigError, match="No training cell has any of satellite"):
        build(cells, make_inputs(cells, **dict.fromkeys(MODALITIES, nobody)))


def test_hiding_a_modality_from_all_cells_of_a_trained_model_is_answered_by_the_rest(cells, inputs, model):
    hidden = replace(inputs.modalities["poi"], present=np.zeros(len(cells), bool))
    without = model.predict_curves(replace(inputs, modalities=inputs.modalities | {"poi": hidden}), cells).flow
    gone = {name: modality for name, modality in inputs.modalities.items() if name != "poi"}
    np.testing.assert_array_equal(without, model.predict_curves(replace(inputs, modalities=gone), cells).flow)
    assert not np.array_equal(without, model.predict_curves(inputs, cells).flow)


def test_isolated_cells_three_cells_and_constant_features_do_not_break_it():
    cells = make_cells(edges=np.zeros((0, 2), np.int64))
    _is_fine(*trained(cells, make_inputs(cells), epochs=1))
    three = replace(make_cells(1, 5), part=np.array([0, 0, 0, 1, 2], np.int8))
    _is_fine(*trained(three, make_inputs(three), epochs=1))
    cells = make_cells()
    inputs = make_inputs(cells)
    constant = {
        name: replace(modality, features=np.ones_like(modality.features), text=np.ones_like(modality.text))
        for name, modality in inputs.modalities.items()
    }
    _is_fine(*trained(cells, replace(inputs, modalities=constant), epochs=1))


def test_flows_that_are_equal_or_partly_unknown_do_not_break_it(cells, inputs):
    equal = replace(cells, outflow=np.full_like(cells.outflow, 3))
    model, data = trained(equal, inputs, epochs=1)
    _is_fine(model, data)
    holes = cells.outflow.copy()
    holes[::2, ::3] = np.nan
    _is_fine(*trained(replace(cells, outflow=holes), inputs, epochs=1))


def test_zones_with_measured_attributes_need_no_other_layer():
    bare = grid_city(4, 4)
    assert any("known by" in str(missing) for missing in LMEMR.requirements(bare))
    shops = bare.spatial("cells").assign(shops=np.arange(16.0))
    city = bare.replace(cells=shops)
    assert LMEMR.requirements(city) == []
    assert encode_cells(city, CellEncoding(text="hash-svd")).modalities["poi"].present.all()


def test_inputs_of_other_cells_or_other_encoders_are_refused(cells, inputs, model):
    other = replace(inputs, cell_ids=inputs.cell_ids[::-1])
    with pytest.raises(ConfigError, match="in another order"):
        model.predict_curves(other, cells)
    modality = inputs.modalities["height"]
    wide = replace(modality, features=np.concatenate([modality.features] * 2, axis=1))
    with pytest.raises(ConfigError, match="height of these cells has 10 components, in training it had 5"):
        model.predict_curves(replace(inputs, modalities=inputs.modalities | {"height": wide}), cells)


def test_settings_that_contradict_each_other_are_refused():
    with pytest.raises(ConfigError, match=r"fusion_heads \(3\) must divide"):
        LMEMRConfig.preset("tiny", fusion_heads=3)
    with pytest.raises(ConfigError, match="name at least one modality"):
        LMEMRConfig.preset("tiny", modalities=())
    with pytest.raises(ConfigError, match="needs a weight of classification"):
        LMEMRConfig.preset("tiny", head="classification", weight_classification=0)


def test_area_is_told_where_zones_differ_and_says_nothing_on_equal_cells(cells, inputs):
    model, _ = build(cells, inputs)
    assert (model.tensors(inputs, cells).log_area == 0).all()
    zones = replace(cells, area_km2=np.geomspace(0.1, 3, len(cells)))
    model, _ = build(zones, inputs)
    assert model.tensors(inputs, zones).log_area.std() > 0.5


def test_measurements_are_read_as_they_are_and_as_logs_fitted_on_the_rows_given():
    rows = np.random.default_rng(0).lognormal(2, 1, (50, 2)) * [1, -1]
    scale = Standardise(rows, measured=True)
    answer = scale(torch.from_numpy(rows.astype(np.float32))).numpy()
    assert answer.shape == (50, 3) and scale.width == 3  # the second component is negative and has no log
    np.testing.assert_allclose(answer.mean(0), 0, atol=1e-5)
    unit = 0.1 * np.median(rows[:, 0])
    assert np.corrcoef(answer[:, 2], np.log1p(rows[:, 0] / unit))[0, 1] > 0.9999


def test_the_table_of_neighbours_of_an_edited_graph_is_read_anew(cells, inputs, model):
    lonely = replace(cells, edges=np.zeros((0, 2), np.int64))
    assert model.tensors(inputs, lonely).neighbours.index.shape == (len(cells), 1)
    assert neighbours_of(cells.edges, len(cells)).index.shape == (len(cells), 5)


def test_the_cost_of_cutting_all_edges_is_zero_without_a_graph(cells, inputs):
    model, data = build(cells, inputs, graph="self")
    assert graph_cost(model, data) == 0.0
