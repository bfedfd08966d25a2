"""What every entry of MODELS promises, whoever wrote it."""

import copy
import threading
from dataclasses import replace

import numpy as np
import pytest
import torch

from engine.city.cell_samples import build_cell_samples
from engine.city.cell_splits import CellSplit
from engine.city.samples import VisitLog, build_samples
from engine.city.splits import Split
from engine.errors import ConfigError
from engine.models import MODELS, get_model, task_of
from engine.models.base import Data, GridModel, MobilityModel
from engine.models.declarations import Missing, Warned
from engine.models.stage import Stage
from engine.probes import override, watch
from tests.engine.no_float64 import NoFloat64
from tests.engine.threads import in_another_thread

NEXT_LOCATION = [name for name in MODELS if task_of(name) == "next_location"]
GRID = [name for name in MODELS if task_of(name) == "grid_flow"]


@pytest.fixture(scope="module")
def data(tiny_city):
    split = Split(hidden_share=0.1)
    return Data(tiny_city, split, build_samples(VisitLog.of(tiny_city, split)))


@pytest.fixture(scope="module")
def grid(tiny_city):
    """Cells under a split, with the inputs of the first grid model's smallest preset."""
    split = CellSplit(kind="random_cells", block_cells=2)
    bare = Data(tiny_city, split, cells=build_cell_samples(tiny_city, split))
    model = get_model(GRID[0])
    return replace(bare, inputs=model.build(model.Config.preset("tiny"), bare, 0).encode(tiny_city, bare.cells))


@pytest.fixture(scope="module")
def data_of(data, grid):
    return lambda name: grid if task_of(name) == "grid_flow" else data


@pytest.fixture(scope="module")
def build(data_of):
    made: dict[tuple[str, int], MobilityModel] = {}

    def make(name: str, seed: int = 0) -> MobilityModel:
        if (name, seed) not in made:
            model = get_model(name)
            made[name, seed] = model.build(model.Config.preset("tiny"), data_of(name), seed)
        return made[name, seed]

    return make


def test_listing_the_models_imports_none_of_them():
    assert len(MODELS) == len(list(MODELS)) and "calliper" in MODELS


def test_an_unknown_model_is_refused_with_the_names_there_are():
    with pytest.raises(ConfigError, match=r"There is no model `nothing`; choose one of .*calliper"):
        get_model("nothing")


@pytest.mark.parametrize("name", MODELS)
def test_a_model_says_what_it_is_and_its_settings_are_described(name):
    model = MODELS[name]
    assert model.name == name and model.title and model.paper and model.__doc__
    assert model.task == task_of(name), "the task must be known without importing the model"
    presets = model.Config.presets()
    assert {"tiny", "demo", "paper"} <= presets.keys()
    for field, info in model.Config.model_fields.items():
        assert info.title and info.description, f"setting `{field}` has no title or description"
    for preset in presets.values():
        assert model.Config.model_validate_json(preset.model_dump_json()) == preset
    with pytest.raises(ConfigError, match="do not fit"):
        model.Config.preset("tiny", no_such_setting=1)
    with pytest.raises(ConfigError, match="There is no preset"):
        model.Config.preset("no such preset")


@pytest.mark.parametrize("name", NEXT_LOCATION)
def test_where_people_are_split_those_of_the_test_part_are_answered_as_strangers(name, tiny_city):
    split = Split(kind="user")
    log = VisitLog.of(tiny_city, split)
    data = Data(tiny_city, split, build_samples(log))
    model = get_model(name).build(get_model(name).Config.preset("tiny"), data, 0)
    batch = data.samples.of_part("test").histories(slice(0, 20))
    assert not np.isin(batch.user, log.user[log.training()]).any()
    answered = model.predict(batch).log_probability
    np.testing.assert_allclose(np.exp(answered.astype(float)).sum(1), 1, atol=1e-4)
    strangers = model.predict(replace(batch, user=np.full_like(batch.user, -1))).log_probability
    np.testing.assert_array_equal(answered, strangers)


@pytest.mark.parametrize("name", MODELS)
def test_a_model_can_be_moved_to_a_device_without_float64(name, build):
    model = build(name)
    tensors = {**dict(model.named_parameters()), **dict(model.named_buffers())}
    assert not [key for key, value in tensors.items() if value.dtype == torch.float64]


@pytest.mark.parametrize("name", MODELS)
def test_nothing_a_model_computes_with_is_float64_on_its_device(name, data_of, build):
    model, data = build(name), data_of(name)
    model = model.build(model.config, data, 0)  # one that has kept nothing yet
    with NoFloat64():
        for stage in model.stages(data):
            stage.loss(next(iter(stage.batches(0, np.random.default_rng(0)))))
            stage.validate()
        model.diagnose(data)
        if task_of(name) == "grid_flow":
            model.predict_curves(data.inputs, data.cells)
        else:
            model.predict(data.samples.of_part("test").histories(slice(0, 4)))
            model.embeddings(data.samples.log.places)


@pytest.mark.parametrize("name", MODELS)
def test_requirements_name_what_is_missing(name, tiny_city):
    assert MODELS[name].requirements(tiny_city) == []
    bare = type(tiny_city).build("bare", {"pois": tiny_city.table("pois")}, time_zone=tiny_city.time_zone)
    missing = MODELS[name].requirements(bare)
    assert missing and all(isinstance(entry, Missing) and str(entry) for entry in missing)


@pytest.mark.parametrize("name", MODELS)
def test_stages_train_their_own_parameters_and_name_their_monitor(name, data_of, build):
    model = build(name)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    own = {id(parameter) for parameter in model.parameters()}
    for stage in model.stages(data_of(name)):
        assert isinstance(stage, Stage) and stage.name and stage.batches_per_epoch > 0
        assert stage.parameters and {id(parameter) for parameter in stage.parameters} <= own
        assert stage.monitor in stage.validate()
        batches = list(stage.batches(0, np.random.default_rng(0)))
        assert len(batches) == stage.batches_per_epoch
        model.train()
        terms = stage.loss(batches[0])
        assert terms["total"].shape == () and torch.isfinite(terms["total"])
        gradients = torch.autograd.grad(terms["total"], [p for p in stage.parameters if p.requires_grad], allow_unused=True)
        assert all(torch.isfinite(gradient).all() for gradient in gradients if gradient is not None)
        assert any(gradient is not None for gradient in gradients)
        model.eval()
    model.load_state_dict(before)  # running means may have moved


@pytest.mark.parametrize("name", MODELS)
def test_batches_depend_on_the_generator_alone(name, data_of, build):
    for stage in build(name).stages(data_of(name)):
        losses = []
        for _ in range(2):
            build(name).eval()
            batch = next(iter(stage.batches(0, np.random.default_rng(5))))
            torch.manual_seed(0)
            losses.append(float(stage.loss(batch)["total"].detach()))
        assert losses[0] == losses[1]


@pytest.mark.parametrize("name", MODELS)
def test_a_batch_in_parts_has_the_loss_of_the_whole(name, data_of, build):
    for stage in build(name).stages(data_of(name)):
        if stage.split is None:
            continue
        batch = next(iter(stage.batches(0, np.random.default_rng(5))))
        build(name).eval()
        whole = float(stage.loss(batch)["total"].detach())
        parts = stage.split(batch, 3)
        assert sum(share for share, _ in parts) == pytest.approx(1)
        assert sum(share * float(stage.loss(part)["total"].detach()) for share, part in parts) == pytest.approx(whole, abs=1e-4)


@pytest.mark.parametrize("name", NEXT_LOCATION)
def test_predictions_are_probabilities_over_every_place_and_never_change(name, data, build):
    model, histories = build(name), data.samples.of_part("test").histories(slice(0, 40))
    first = model.predict(histories)
    assert first.log_probability.shape == (40, len(histories.places)) and first.log_probability.dtype == np.float32
    assert not np.isnan(first.log_probability).any()
    np.testing.assert_allclose(np.exp(first.log_probability.astype(float)).sum(1), 1, atol=1e-4)
    model.train()
    np.testing.assert_array_equal(model.predict(histories).log_probability, first.log_probability)
    assert model.training, "predict must leave the model in the mode it found it in"
    model.eval()


@pytest.mark.parametrize("name", NEXT_LOCATION)
def test_a_sample_is_answered_the_same_alone_and_in_company(name, data, build):
    model, samples = build(name), data.samples.of_part("test")
    together = model.predict(samples.histories(slice(0, 20))).log_probability
    alone = np.concatenate([model.predict(samples.histories(slice(row, row + 1))).log_probability for row in range(20)])
    np.testing.assert_allclose(np.exp(together), np.exp(alone), atol=1e-5)


@pytest.mark.parametrize("name", NEXT_LOCATION)
def test_closed_places_are_not_answered(name, data, build):
    histories = data.samples.of_part("test").histories(slice(0, 10))
    model = build(name)
    favourite = model.predict(histories).log_probability.argmax(1)
    closed = np.isin(np.arange(len(histories.places)), favourite)
    scores = model.predict(replace(histories, places=replace(histories.places, closed=closed))).log_probability
    assert np.isneginf(scores[:, closed]).all()
    np.testing.assert_allclose(np.exp(scores.astype(float)).sum(1), 1, atol=1e-4)


@pytest.mark.parametrize("name", NEXT_LOCATION)
def test_unknown_users_and_empty_histories_get_an_answer(name, data, build):
    histories = data.samples.of_part("test").histories(slice(0, 3))
    nothing = np.zeros(0, histories.location.dtype)
    empty = replace(
        histories,
        offsets=np.zeros(4, np.int64),
        location=nothing,
        minute=histories.minute[:0],
        weekday=histories.weekday[:0],
        day=histories.day[:0],
        duration_minutes=histories.duration_minutes[:0],
        user=np.array([-1, 0, -1], np.int32),
    )
    for given in (empty, replace(histories, user=np.full(3, -1, np.int32))):
        scores = build(name).predict(given).log_probability
        assert not np.isnan(scores).any()
        np.testing.assert_allclose(np.exp(scores.astype(float)).sum(1), 1, atol=1e-4)


@pytest.mark.parametrize("name", NEXT_LOCATION)
def test_watching_changes_nothing_and_every_probe_shows_its_axes(name, data, build):
    model, histories = build(name), data.samples.of_part("test").histories(slice(0, 12))
    before = model.predict(histories).log_probability
    with watch(model) as seen:
        watched = model.predict(histories).log_probability
    np.testing.assert_array_equal(watched, before)
    shown = [array for arrays in seen.values() for array in arrays]
    assert shown and all(np.isfinite(array).all() for array in shown)
    assert all(probe.meaning for probe in model.probes().values())


@pytest.mark.parametrize("name", NEXT_LOCATION)
def test_an_identity_override_changes_nothing(name, data, build):
    model, histories = build(name), data.samples.of_part("test").histories(slice(0, 12))
    before = model.predict(histories).log_probability
    for probe in model.probes():
        with override(model, {probe: lambda value: value.clone()}):
            after = model.predict(histories).log_probability
        np.testing.assert_allclose(np.exp(after), np.exp(before), atol=1e-6, err_msg=probe)


@pytest.mark.parametrize("name", NEXT_LOCATION)
def test_a_rebuilt_model_with_the_saved_weights_predicts_the_same(name, data, build):
    model, histories = build(name), data.samples.of_part("test").histories(slice(0, 20))
    other = build(name, 1)
    assert not np.array_equal(other.predict(histories).log_probability, model.predict(histories).log_probability)
    other.load_state_dict(model.state_dict())
    np.testing.assert_array_equal(other.predict(histories).log_probability, model.predict(histories).log_probability)


@pytest.mark.parametrize("name", NEXT_LOCATION)
def test_statistics_come_from_the_training_part_only(name, tiny_city, data, build):
    """Visits of validation and test are moved to other places; nothing the model is built from may change."""
    log = VisitLog.of(tiny_city, data.split)
    visits = tiny_city.table("visits").copy()
    later = log.row[log.part > 0]
    visits.loc[later, "location_id"] = np.roll(visits["location_id"].to_numpy(object)[later], 7)
    changed = tiny_city.replace(visits=visits)
    hidden = tuple(log.places.ids[log.hidden])
    fixed = Split(hidden_locations=hidden)
    model = get_model(name)
    pair = [model.build(model.Config.preset("tiny"), Data(city, fixed), 0) for city in (tiny_city, changed)]
    first, second = (made.state_dict() for made in pair)
    assert first.keys() == second.keys()
    for key in first:
        torch.testing.assert_close(first[key], second[key], rtol=0, atol=0, msg=key)
    assert pair[0].artefacts() == pair[1].artefacts()


@pytest.mark.parametrize("name", MODELS)
def test_diagnoses_are_sentences_with_finite_numbers(name, data_of, build):
    for warned in build(name).diagnose(data_of(name)):
        assert isinstance(warned, Warned) and isinstance(warned.fired, bool), warned
        assert np.isfinite(warned.value) and np.isfinite(warned.threshold) and warned.meaning.endswith(".")


@pytest.mark.parametrize("name", NEXT_LOCATION)
def test_declared_embeddings_have_a_row_per_id(name, data, build):
    places = data.samples.log.places
    for embedding in build(name).embeddings(places).values():
        assert len(embedding.ids) == len(embedding.vectors) and np.isfinite(embedding.vectors).all() and embedding.meaning
        if embedding.subject == "location":
            np.testing.assert_array_equal(embedding.ids, places.ids)


@pytest.mark.parametrize("name", MODELS)
def test_entries_of_a_probe_have_a_name_each_or_none(name, data_of, build):
    """Where experts, modalities or bins are told apart by position, what stands there can be named."""
    model, data = build(name).eval(), data_of(name)
    with watch(model) as seen:
        answered(model, data, MINE)
    for probe, array in ((probe, arrays[0]) for probe, arrays in seen.items() if arrays):
        axis = array.dims[-1]
        assert len(model.entry_names(probe)) == (array.sizes[axis] if axis in ("expert", "modality", "bin") else 0), probe


# ---- several threads ----------------------------------------------------------------------------------------------------------


def answered(model: MobilityModel, data: Data, rows: slice) -> np.ndarray:
    """What the model answers to some questions; a model of cells answers all of them at once."""
    if isinstance(model, GridModel):
        return model.predict_curves(data.inputs, data.cells).flow
    return model.predict(data.samples.of_part("test").histories(rows)).log_probability


MINE, THEIRS = slice(0, 8), slice(8, 20)


@pytest.mark.parametrize("name", MODELS)
def test_another_thread_may_ask_in_the_midst_of_a_pass(name, data_of, build):
    """At every probe the pass stops until another thread has been answered a question of its own."""
    model, data = build(name).eval(), data_of(name)
    theirs, met, own = answered(model, data, THEIRS), [], threading.current_thread()

    def meanwhile(value):
        assert threading.current_thread() is own, "an override of one thread must not act in another"
        met.append(np.array_equal(in_another_thread(lambda: answered(model, data, THEIRS)), theirs))
        return value

    with override(model, dict.fromkeys(model.probes(), lambda value: value)):
        mine = answered(model, data, MINE)
    with override(model, dict.fromkeys(model.probes(), meanwhile)):
        np.testing.assert_array_equal(answered(model, data, MINE), mine)
    assert met and all(met)


@pytest.mark.parametrize("name", MODELS)
def test_watching_overriding_and_turning_are_for_the_own_thread(name, data_of, build):
    model, data = build(name).eval(), data_of(name)
    before = answered(model, data, MINE)
    knobs = {"transformer_reads_history": False} if "transformer_reads_history" in model.knobs() else {}
    silenced = {probe: torch.zeros_like for probe, found in model.probes().items() if found.kind == "embedding"}
    with model.turned(**knobs), watch(model) as seen:
        turned = answered(model, data, MINE)
        assert any(seen.values()) and (not knobs or not np.array_equal(turned, before))
        for arrays in seen.values():
            arrays.clear()
        with override(model, silenced):
            np.testing.assert_array_equal(in_another_thread(lambda: answered(model, data, MINE)), before)
            assert not any(seen.values())
            assert not np.array_equal(answered(model, data, MINE), turned)
    np.testing.assert_array_equal(answered(model, data, MINE), before)


@pytest.mark.parametrize("name", MODELS)
def test_a_copy_answers_the_same_and_is_not_touched_by_blocks_around_the_original(name, data_of, build):
    model, data = build(name).eval(), data_of(name)
    before = answered(model, data, MINE)
    with override(model, {probe: torch.zeros_like for probe, found in model.probes().items() if found.kind == "embedding"}):
        np.testing.assert_array_equal(answered(copy.deepcopy(model), data, MINE), before)


# ---- models of cells ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", GRID)
def test_curves_are_trips_within_their_interval_and_never_change(name, grid, build):
    model, shape = build(name), grid.cells.outflow.shape
    first = model.predict_curves(grid.inputs, grid.cells)
    assert first.flow.shape == shape and first.flow.dtype == np.float32
    assert (first.flow >= 0).all() and np.isfinite(first.flow).all()
    assert (first.low >= 0).all() and (first.low <= first.flow).all() and (first.flow <= first.high).all()
    np.testing.assert_allclose(first.bin_probability.sum(-1), 1, atol=1e-5)
    assert first.bin_probability.shape == (*shape, len(first.bin_edges) - 1)
    model.train()
    np.testing.assert_array_equal(model.predict_curves(grid.inputs, grid.cells).flow, first.flow)
    assert model.training, "predict_curves must leave the model in the mode it found it in"
    model.eval()


@pytest.mark.parametrize("name", GRID)
def test_curves_do_not_read_the_observed_flow(name, grid, build):
    before = build(name).predict_curves(grid.inputs, grid.cells).flow
    blind = replace(grid.cells, outflow=np.full_like(grid.cells.outflow, np.nan))
    np.testing.assert_array_equal(build(name).predict_curves(grid.inputs, blind).flow, before)


@pytest.mark.parametrize("name", GRID)
def test_watching_cells_changes_nothing_and_every_probe_shows_its_axes(name, grid, build):
    model = build(name)
    before = model.predict_curves(grid.inputs, grid.cells).flow
    with watch(model) as seen:
        np.testing.assert_array_equal(model.predict_curves(grid.inputs, grid.cells).flow, before)
    for probe, arrays in seen.items():
        assert len(arrays) == 1 and np.isfinite(arrays[0]).all(), probe
    assert all(probe.meaning for probe in model.probes().values())


@pytest.mark.parametrize("name", GRID)
def test_an_identity_override_changes_no_curve(name, grid, build):
    model = build(name)
    before = model.predict_curves(grid.inputs, grid.cells).flow
    kinds = {probe.kind for probe in model.probes().values()}
    for kind in kinds:
        chosen = {name: torch.clone for name, probe in model.probes().items() if probe.kind == kind}
        with override(model, chosen):
            np.testing.assert_allclose(model.predict_curves(grid.inputs, grid.cells).flow, before, rtol=1e-4, err_msg=kind)


@pytest.mark.parametrize("name", GRID)
def test_a_rebuilt_grid_model_with_the_saved_weights_answers_the_same(name, grid, build):
    model, other = build(name), build(name, 1)
    assert not np.array_equal(
        other.predict_curves(grid.inputs, grid.cells).flow, model.predict_curves(grid.inputs, grid.cells).flow
    )
    other.load_state_dict(model.state_dict())
    np.testing.assert_array_equal(
        other.predict_curves(grid.inputs, grid.cells).flow, model.predict_curves(grid.inputs, grid.cells).flow
    )


@pytest.mark.parametrize("name", GRID)
def test_scales_and_bins_of_a_grid_model_come_from_training_cells_only(name, grid):
    """Flows of validation and test cells become a hundred times larger; nothing the model is built from may change."""
    outflow = grid.cells.outflow.copy()
    outflow[~grid.cells.mask("train")] *= 100
    changed = replace(grid, cells=replace(grid.cells, outflow=outflow))
    model = get_model(name)
    first, second = (model.build(model.Config.preset("tiny"), one, 0).state_dict() for one in (grid, changed))
    assert first.keys() == second.keys()
    for key in first:
        torch.testing.assert_close(first[key], second[key], rtol=0, atol=0, msg=key)


@pytest.mark.parametrize("name", GRID)
def test_declared_embeddings_of_cells_have_a_row_per_id(name, grid, build):
    found = build(name).embeddings(grid.inputs, grid.cells)
    assert found
    for embedding in found.values():
        assert len(embedding.ids) == len(embedding.vectors) and np.isfinite(embedding.vectors).all() and embedding.meaning
        if embedding.subject == "cell":
            np.testing.assert_array_equal(embedding.ids, grid.cells.cell_ids)
