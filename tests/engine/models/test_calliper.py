"""What CaLLiPer claims: an unseen place gets a score, UNK is no candidate, and a small training beats popularity."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from pydantic import ValidationError
from scipy.spatial import cKDTree
from shapely import Point

from engine.city.samples import VisitLog, build_samples
from engine.city.splits import Split
from engine.errors import ConfigError, RequirementError
from engine.layers.visit_memory import KNOWN_FEATURES
from engine.models.base import Data
from engine.models.baselines import fit_baselines
from engine.models.calliper import CaLLiPer
from engine.models.calliper_config import CaLLiPerConfig
from engine.models.calliper_places import place_texts
from engine.models.calliper_training import SequenceBatch, labelled_points, validation_metrics
from engine.probes import override, watch
from tests.engine.models.plain_training import train
from tests.engine.no_float64 import NoFloat64


@pytest.fixture(scope="module")
def data(tiny_city):
    split = Split(hidden_share=0.15)
    return Data(tiny_city, split, build_samples(VisitLog.of(tiny_city, split)))


def tiny(data, seed=0, **changes):
    return CaLLiPer.build(CaLLiPerConfig.preset("tiny", **changes), data, seed)


@pytest.fixture(scope="module")
def model(data):
    return tiny(data)


@pytest.fixture(scope="module")
def trained(data):
    return train(tiny(data), data)


# ---- heads and candidates -----------------------------------------------------------------------------------------------


def test_the_inductive_head_scores_places_hidden_from_training(model, data):
    log = data.samples.log
    assert (~log.seen).any()
    scores = model.predict(data.samples.of_part("test").histories(slice(0, 10))).log_probability
    assert np.isfinite(scores[:, ~log.seen]).all()


def test_the_closed_head_never_answers_a_place_without_training_visits(data):
    closed = tiny(data, head="closed")
    scores = closed.predict(data.samples.of_part("test").histories(slice(0, 200))).log_probability
    seen = data.samples.log.seen
    assert np.isneginf(scores[:, ~seen]).all() and np.isfinite(scores[:, seen]).all()


@pytest.mark.parametrize("mixture", [True, False])
def test_the_closed_head_answers_nothing_where_it_knows_no_place(data, mixture):
    histories = data.samples.of_part("test").histories(slice(0, 6))
    elsewhere = replace(histories.places, ids=np.array([f"other {place}" for place in histories.places.ids], object))
    closed = tiny(data, head="closed", history_mixture=mixture)
    assert np.isneginf(closed.predict(replace(histories, places=elsewhere)).log_probability).all()


def test_a_batch_whose_targets_are_all_places_of_training_is_learnt_from(data):
    """More places than candidates, and none that is not a target: nothing is left to draw."""
    log, training = data.samples.log, data.samples.of_part("train")
    model = tiny(data).train()
    model.config = model.config.model_copy(update={"candidates": 20})  # fewer than settings allow: the city is small
    (stage,) = model.stages(data)[1:]
    view = model.view(log.places)
    view.code = view.code.masked_fill(torch.from_numpy(~np.isin(np.arange(len(log.places)), training.true_location)), 0)
    assert view.is_seen.sum() > 20
    assert torch.isfinite(stage.loss(SequenceBatch(training, np.random.default_rng(0)))["total"])


@pytest.mark.parametrize("mixture", [True, False])
def test_a_place_far_beyond_all_others_is_improbable_but_answered(data, mixture):
    """A probability below the least number is no reason to have no rank: only places that are closed have none."""
    model = tiny(data, history_mixture=mixture).eval()
    with torch.no_grad():
        model.nearness.bias.fill_(30.0)
    histories = data.samples.of_part("test").histories(slice(0, 6))
    places = histories.places
    x = places.x.copy()
    x[:3] += 1e6 * np.arange(1, 4)
    scores = model.predict(replace(histories, places=replace(places, x=x))).log_probability
    assert np.isfinite(scores).all() and scores.min() < -110
    np.testing.assert_allclose(np.exp(scores.astype(float)).sum(1), 1, atol=1e-4)


def test_a_place_far_beyond_all_others_is_answered_too_where_one_is_closed(data):
    model = tiny(data).eval()
    with torch.no_grad():
        model.nearness.bias.fill_(200.0)
    histories = data.samples.of_part("test").histories(slice(0, 6))
    x = histories.places.x.copy()
    x[:3] += 1e6
    far = replace(histories, places=replace(histories.places, x=x))
    before, after = model.predict(far).log_probability, model.predict(closing(far, 7)).log_probability
    assert before.min() < -800
    open_ = np.arange(len(x)) != 7
    assert np.isneginf(after[:, 7]).all() and (after[:, open_] >= before[:, open_] - 1e-4).all()


def test_the_vocabulary_holds_training_places_only_and_no_stand_in_for_the_rest(model, data):
    log = data.samples.log
    assert model.artefacts()["locations"] == list(log.places.ids[log.seen])
    assert model.predict(data.samples.histories(slice(0, 2))).log_probability.shape[1] == len(log.places)


@pytest.mark.parametrize(
    "changes",
    [
        {"history_mixture": False},
        {"location_source": "table"},
        {"head": "closed", "head_norm": "batch", "norm_first": False, "time_parity": True},
        {"place_text": False, "place_residual": False, "popularity_term": False, "distance_term": False, "time_gaps": False},
        {"user_vector": False, "memory_visits": 0},
        {"coordinate_unit": "degree", "smallest_radius": 0.01, "largest_radius": 10.0, "contrastive_parity": True},
        {"adapter": False, "place_text": False},
        {"candidates": 64},
        {"affinity_term": False, "popularity_by_category": False},
        {"history_mixture": False, "place_text": False},
        {"use_names": True, "pretrain_on": "locations and pois"},
    ],
)
def test_every_switch_gives_a_model_that_learns_and_answers(data, changes):
    model = tiny(data, **changes)
    for stage in model.stages(data):
        loss = stage.loss(next(iter(stage.batches(0, np.random.default_rng(0)))))["total"]
        loss.backward()
        assert torch.isfinite(loss)
    scores = model.eval().predict(data.samples.of_part("test").histories(slice(0, 30))).log_probability
    np.testing.assert_allclose(np.exp(scores.astype(float)).sum(1), 1, atol=1e-4)


def test_the_paper_preset_runs_at_a_small_size(data):
    small = {"width": 16, "embedding_width": 16, "layers": 2, "heads": 2, "text_encoder": "hash-svd", "encoder_width": 32}
    model = CaLLiPer.build(CaLLiPerConfig.preset("paper", **small), data, 0)
    for stage in model.stages(data):
        assert torch.isfinite(stage.loss(next(iter(stage.batches(0, np.random.default_rng(0)))))["total"])
    histories = data.samples.of_part("test").histories(slice(0, 5))
    assert np.isneginf(model.eval().predict(histories).log_probability[:, ~data.samples.log.seen]).all()


def test_a_matrix_of_location_vectors_takes_the_encoders_place(data, tmp_path):
    """Ids the matrix does not hold cannot be ranked, and the adapter reads its width."""
    places = data.samples.log.places
    np.save(tmp_path / "skipgram.npy", np.random.default_rng(0).normal(size=(len(places) - 1, 7)))
    (tmp_path / "skipgram.txt").write_text("\n".join(places.ids[1:]))
    changes = {"location_source": "precomputed", "location_matrix": str(tmp_path / "skipgram.npy"), "history_mixture": False}
    model = tiny(data, **changes)
    assert len(model.stages(data)) == 1, "nothing is pre-trained"
    scores = model.predict(data.samples.of_part("test").histories(slice(0, 5))).log_probability
    assert np.isneginf(scores[:, 0]).all() and np.isfinite(scores[:, 1:]).all()
    (tmp_path / "skipgram.txt").write_text("only one")
    with pytest.raises(ConfigError, match="one row per location id"):
        tiny(data, **changes)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"smallest_radius": 0.01, "largest_radius": 10.0}, "look like degrees"),
        ({"coordinate_unit": "degree"}, "look like metres"),
        ({"width": 10, "heads": 4}, "multiple of heads"),
        ({"adapter": False, "width": 64}, "as long as the width"),
        ({"location_source": "precomputed"}, "need a matrix file"),
        ({"dropout": 1.5}, "less than 1"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(changes, sentence):
    with pytest.raises((ConfigError, ValidationError), match=sentence):
        CaLLiPerConfig.preset("recommended", **changes)


# ---- another city, another order ----------------------------------------------------------------------------------------


def test_the_order_of_the_places_does_not_matter(trained, data):
    """The same city with its location table upside down: every place keeps its probability."""
    city = data.city
    turned = city.replace(locations=city.spatial("locations").iloc[::-1].reset_index(drop=True))
    samples = build_samples(
        VisitLog.of(turned, Split(hidden_locations=tuple(data.samples.log.places.ids[data.samples.log.hidden])))
    )
    before = trained.predict(data.samples.of_part("test").histories(slice(0, 30))).log_probability
    after = trained.predict(samples.of_part("test").histories(slice(0, 30))).log_probability
    np.testing.assert_allclose(np.exp(after[:, ::-1]), np.exp(before), atol=1e-5)


def test_a_new_place_is_ranked_at_once_and_a_vanished_one_is_forgotten(trained, data):
    """A place is added beside a favourite and one that nobody's history holds is taken away; the model is not trained again."""
    histories = data.samples.of_part("test").histories(slice(0, 20))
    places, favourite = histories.places, int(np.bincount(histories.location).argmax())
    gone = int(np.flatnonzero(~np.isin(np.arange(len(places)), histories.location))[0])
    keep = np.r_[np.delete(np.arange(len(places)), gone), favourite]
    fields = {name: getattr(places, name)[keep] for name in ("x", "y", "longitude", "latitude", "category", "names", "closed")}
    edited = replace(places, ids=np.r_[places.ids[keep[:-1]], ["brand new"]].astype(object), **fields)
    moved = np.empty(len(places), np.int32)
    moved[keep[:-1]] = np.arange(len(places) - 1)
    scores = trained.predict(replace(histories, places=edited, location=moved[histories.location], target=None)).log_probability
    assert scores.shape == (20, len(places)) and np.isfinite(scores[:, -1]).all()
    np.testing.assert_allclose(np.exp(scores.astype(float)).sum(1), 1, atol=1e-4)


def test_a_category_the_training_never_saw_is_read_by_the_encoder(trained, data):
    histories = data.samples.of_part("test").histories(slice(0, 5))
    names = (*histories.places.category_names[:-1], "Planetarium of the future")
    scores = trained.predict(replace(histories, places=replace(histories.places, category_names=names))).log_probability
    np.testing.assert_allclose(np.exp(scores.astype(float)).sum(1), 1, atol=1e-4)


def test_coordinates_in_another_projection_are_brought_home(trained, data):
    """The neighbouring UTM zone describes the same points; the answers hardly move."""
    import pyproj

    histories = data.samples.of_part("test").histories(slice(0, 20))
    places = histories.places
    zone = int(places.metric_crs.split(":")[1]) + 1
    x, y = pyproj.Transformer.from_crs(4326, zone, always_xy=True).transform(places.longitude, places.latitude)
    scores = trained.predict(replace(histories, places=replace(places, x=x, y=y, metric_crs=f"EPSG:{zone}"))).log_probability
    np.testing.assert_allclose(np.exp(scores), np.exp(trained.predict(histories).log_probability), atol=1e-4)


def test_degrees_do_not_travel_to_the_device_which_may_have_no_float64(data):
    """They stay behind in float64, which they need; what travels is their position code."""
    radii = {"coordinate_unit": "degree", "smallest_radius": 0.01, "largest_radius": 10.0}
    model, places = tiny(data, **radii), data.samples.log.places
    with NoFloat64():
        for stage in model.stages(data):
            stage.loss(next(iter(stage.batches(0, np.random.default_rng(0)))))
        model.diagnose(data)
        own = model.embeddings(places)["location"].vectors
        points = model.encode_points(places.x, places.y)
    np.testing.assert_allclose(points, own / np.linalg.norm(own, axis=1, keepdims=True), atol=1e-5)


def test_location_vectors_are_computed_once_per_weights_and_places(data):
    model = tiny(data).eval()
    view = model.view(data.samples.log.places)
    assert model.location_vectors(view) is model.location_vectors(view)
    before = model.location_vectors(view)
    with torch.no_grad():
        model.location_encoder.leave.weight.mul_(2)
    torch.testing.assert_close(model.location_vectors(view), 2 * before)
    with watch(model, "location_encoder.loc_emb") as seen:
        model.location_vectors(view)
    assert len(seen["location_encoder.loc_emb"]) == 1, "a watched encoder runs again instead of answering from memory"


# ---- training -----------------------------------------------------------------------------------------------------------


def test_a_few_epochs_beat_popularity_and_are_repeatable(trained, data):
    test = data.samples.of_part("test")
    (popularity,) = fit_baselines(data.samples.log, names=["popularity"])
    popular = (popularity.predict(test.histories()).log_probability.argmax(1) == test.true_location).mean()
    metrics = validation_metrics(trained, test)
    assert metrics["acc@1"] > popular + 0.05
    again = train(tiny(data), data)
    assert validation_metrics(again, test) == metrics


def test_pre_training_aligns_places_with_texts(data):
    """The specification's sanity check: on training places the loss falls well below chance."""
    model = tiny(data, pretrain_epochs=60, encoder_dropout=0.0, encoder_width=64)
    stage = model.stages(data)[0]
    batch = torch.from_numpy(np.flatnonzero(labelled_points(model, data).part == 0))
    before = float(stage.loss(batch)["total"].detach())
    optimiser = torch.optim.AdamW(stage.parameters, lr=3e-3)
    for _ in range(200):
        optimiser.zero_grad()
        loss = stage.loss(batch)["total"]
        loss.backward()
        optimiser.step()
    assert float(loss.detach()) < 0.6 * before and float(loss.detach()) < 0.6 * np.log(len(batch))


def test_hidden_places_take_no_part_in_the_pre_training(model, data):
    log = data.samples.log
    assert len(labelled_points(model, data).metres) == int((~log.hidden).sum())


def test_hidden_places_do_not_come_back_as_points_of_interest(data):
    """A hidden place is known by its id or by its category at its point; what else stands there may be learnt from."""
    city, log = data.city, data.samples.log
    places, hidden = log.places, np.flatnonzero(log.hidden)
    pois = city.spatial("pois")
    moved, other = pois.iloc[[0]].copy(), pois.iloc[[0]].copy()
    moved["poi_id"] = str(places.ids[hidden[0]])
    other["poi_id"], other["category"] = "another kind", "a kind of its own"
    other.geometry = [Point(places.longitude[hidden[0]], places.latitude[hidden[0]])]
    near = pois.iloc[[0] * len(hidden)].copy()
    near["poi_id"] = [f"copy {row}" for row in hidden]
    near["category"] = [f" {places.category_names[code].upper()} " for code in places.category[hidden]]
    near.geometry = [Point(places.longitude[row] + 5e-5, places.latitude[row]) for row in hidden]  # some four metres off
    everything = pd.concat([pois, moved, other, near], ignore_index=True)
    with_pois = replace(data, city=city.replace(pois=everything))
    model = tiny(with_pois, pretrain_on="locations and pois")
    points = labelled_points(model, with_pois)
    at_hidden = cKDTree(points.metres).query_ball_point(model.index.coordinates(places)[hidden], 10.0)
    named = [
        [points.names[points.text[row]] for row in rows if points.names[points.text[row]] == place_texts(places, False)[place]]
        for place, rows in zip(hidden, at_hidden, strict=True)
    ]
    assert not any(named), "a hidden place is there with its category"
    assert "A place of a kind of its own" in points.names
    assert points.withheld >= len(hidden) + 1
    assert len(points.metres) == int((~log.hidden).sum()) + len(everything) - points.withheld
    noted = [warned for warned in model.diagnose(with_pois) if "points of interest" in warned.name]
    assert [(warned.fired, warned.value) for warned in noted] == [(False, points.withheld)]


def test_the_location_encoder_is_frozen_and_without_dropout_downstream(data):
    model = tiny(data)
    sequence = model.stages(data)[1]
    own = {id(parameter) for parameter in model.location_encoder.parameters()}
    assert not own & {id(parameter) for parameter in sequence.parameters}
    model.train()
    sequence.loss(next(iter(sequence.batches(0, np.random.default_rng(0)))))
    assert not model.location_encoder.training


def test_training_samples_do_not_find_their_answer_in_the_memory(model, data):
    """A training sample's memory ends where its window opens: what it knows is what was known then."""
    samples = data.samples.of_part("train")
    histories = samples.histories(np.arange(50))
    known = model._known_places(histories, model.view(histories.places))
    log = data.samples.log
    for row in range(50):
        first_day = histories.day[histories.offsets[row]]
        earlier = (log.user == histories.user[row]) & (log.part == 0) & (log.day < first_day) & ~log.hidden[log.location]
        window = histories.location[histories.offsets[row] : histories.offsets[row + 1]]
        assert set(known.place[known.sample == row]) == set(log.location[earlier]) | set(window)


# ---- what pages read ----------------------------------------------------------------------------------------------------


def test_a_point_is_encoded_like_the_place_that_lies_there(trained, data):
    places = data.samples.log.places
    vectors = trained.encode_points(places.x, places.y)
    own = trained.embeddings(places)["location"].vectors
    np.testing.assert_allclose(vectors, own / np.linalg.norm(own, axis=1, keepdims=True), atol=1e-5)
    texts = trained.encode_texts(["A place of coffee", "A place of park"])
    assert texts.shape == (2, vectors.shape[1])
    np.testing.assert_allclose(np.linalg.norm(texts, axis=1), 1, atol=1e-5)


def test_probes_show_gate_attention_and_embeddings(trained, data):
    histories = data.samples.of_part("test").histories(slice(0, 4))
    with watch(trained) as seen:
        trained.predict(histories)
    shown = {name: arrays[0] for name, arrays in seen.items() if arrays}
    gate = shown["mixture.gate"]
    assert gate.dims == ("sample",) and ((gate >= 0) & (gate <= 1)).all()
    longest = int(histories.lengths.max())
    assert shown["history.encoder.layers.0.attention"].shape == (4, 2, longest, longest)
    np.testing.assert_allclose(shown["head_probability"].sum("location"), 1, atol=1e-5)
    np.testing.assert_allclose(shown["return_probability"].sum("location"), 1, atol=1e-5)
    for name in ("location_encoder.pe", "location_encoder.loc_emb", "place_emb"):
        assert shown[name].shape[0] == len(histories.places)


def test_detectors_name_a_collapsed_encoder(data):
    model = tiny(data).eval()
    with torch.no_grad():
        model.location_encoder.leave.weight.zero_()
        model.location_encoder.leave.weight[0].fill_(1.0)
    fired = {warned.name for warned in model.diagnose(data) if warned.fired}
    assert {"collapse", "few dimensions in use"} <= fired


def test_edits_that_cannot_matter_say_so(data):
    closed = tiny(data, head="closed", place_text=False).effects()
    assert closed["add_place"].needs == "nothing" and "inductive head" in closed["add_place"].sentence
    assert closed["retag_place"].needs == "re-fit"
    table = tiny(
        data, location_source="table", place_text=False, distance_term=False, history_mixture=False, user_vector=False,
        affinity_term=False,
    ).effects()  # fmt: skip
    assert {kind for kind, effect in table.items() if effect.needs == "nothing"} == {
        "add_place",
        "move_place",
        "retag_place",
        "change_user",
    }
    assert {effect.needs for effect in tiny(data).effects().values()} == {"forward"}


def test_an_overridden_mechanism_still_gives_probabilities(trained, data):
    histories = data.samples.of_part("test").histories(slice(0, 8))
    changes = {
        "mixture.gate": lambda gate: torch.ones_like(gate),
        "head_probability": lambda probability: 3 * probability,
        "history.encoder.layers.0.attention": lambda weights: (weights > 0) / (weights > 0).sum(-1, keepdim=True).clamp_min(1),
    }
    before = trained.predict(histories).log_probability
    for probe, change in changes.items():
        with override(trained, {probe: change}):
            after = trained.predict(histories).log_probability
        np.testing.assert_allclose(np.exp(after.astype(float)).sum(1), 1, atol=1e-4, err_msg=probe)
        assert not np.allclose(after, before), probe
    with override(trained, {"mixture.gate": lambda gate: torch.ones_like(gate)}):
        only_returns = np.exp(trained.predict(histories).log_probability)
    known = trained._known_places(histories, trained.view(histories.places))
    stranger = np.ones(only_returns.shape, bool)
    stranger[known.sample, known.place] = False
    assert only_returns[stranger].max() < 1e-5, "with the gate open, only places the person knows are answered"


# ---- closing places -----------------------------------------------------------------------------------------------------


def closing(histories, *places):
    closed = histories.places.closed.copy()
    closed[list(places)] = True
    return replace(histories, places=replace(histories.places, closed=closed))


def test_a_closed_place_hands_most_of_its_probability_to_places_of_its_kind_or_near_it(trained, data):
    """Four fifths stay with stand-ins, so what the others gain is at most the rest in proportion; nothing open loses."""
    histories = data.samples.of_part("test").histories(slice(0, 1))
    places = histories.places
    before = np.exp(trained.predict(histories).log_probability[0].astype(float))
    top = int(before.argmax())
    after = np.exp(trained.predict(closing(histories, top)).log_probability[0].astype(float))
    assert after[top] == 0 and after.sum() == pytest.approx(1, abs=1e-5)
    gain = np.delete(after - before, top)
    assert (gain > -1e-6).all()
    apart = np.hypot(places.x - places.x[top], places.y - places.y[top])
    stands_in = np.delete((places.category == places.category[top]) | (apart < 1000), top)
    assert gain[stands_in].sum() > 0.79 * before[top]
    strangers = np.delete(before, top)[~stands_in]
    assert np.allclose(gain[~stands_in] / strangers, gain[~stands_in].sum() / strangers.sum(), rtol=0.05)


def test_taking_closed_places_out_again_changes_nothing(trained, data):
    histories = closing(data.samples.of_part("test").histories(slice(0, 20)), 0, 5, 17)
    answer = trained.predict(histories)
    np.testing.assert_allclose(answer.open_only(histories.places).log_probability, answer.log_probability, atol=1e-5)


def test_the_proportional_rule_can_be_chosen_and_is_named_as_an_assumption(trained, data):
    plain = tiny(data, substitution="proportional")
    plain.load_state_dict(trained.state_dict())
    histories = data.samples.of_part("test").histories(slice(0, 5))
    open_, closed = (np.exp(plain.predict(asked).log_probability.astype(float)) for asked in (histories, closing(histories, 3)))
    ratio = np.delete(closed / open_, 3, axis=1)
    np.testing.assert_allclose(ratio, np.broadcast_to(1 / (1 - open_[:, 3:4]), ratio.shape), rtol=1e-4)
    for model in (plain, trained):
        assert "assum" in model.effects()["close_place"].sentence


def test_a_new_place_counts_as_popular_as_its_kind(trained, data):
    """The popularity of a place nobody visited is the median of its category in training, not of the city."""
    log = data.samples.log
    view = trained.view(log.places)
    hidden = np.flatnonzero(log.hidden)
    for place in hidden[:10]:
        alike = log.seen & (log.places.category == log.places.category[place])
        expected = np.log1p(log.visits_in_training[alike if alike.sum() >= 3 else log.seen])
        assert view.log_popularity[place] == pytest.approx(np.median(expected), abs=1e-5)


def test_a_city_of_three_places_and_one_person_still_trains():
    """Too few places to validate the alignment on; nothing is divided by nothing."""
    from tests.engine.small_cities import random_city

    city = random_city(users=1, places=3, visits=120)
    split = Split(kind="published", warm_up_days=0, minimum_history=1)
    data = Data(city, split, build_samples(VisitLog.of(city, split)))
    model = train(tiny(data, epochs=1), data)
    scores = model.predict(data.samples.of_part("test").histories()).log_probability
    np.testing.assert_allclose(np.exp(scores.astype(float)).sum(1), 1, atol=1e-4)
    assert all(np.isfinite(warned.value) for warned in model.diagnose(data))


def test_a_split_without_samples_is_refused_with_a_way_out(tiny_city):
    split = Split(minimum_history=50, warm_up_days=60)
    with pytest.raises(RequirementError, match="fewer visits in the history"):
        tiny(Data(tiny_city, split, build_samples(VisitLog.of(tiny_city, split))))


def test_places_taken_as_new_look_like_places_nobody_visited(trained, data):
    """No residual, no memory, the popularity of a newcomer; the rest stays as it is, and prediction pretends nothing."""
    histories = data.samples.of_part("train").histories(slice(0, 50))
    view = trained.view(histories.places)
    new = np.zeros(len(view.places), bool)
    new[np.bincount(histories.location).argmax()] = True
    shown = view.pretend_new(new)
    assert (shown.code.numpy()[new] == 0).all() and (shown.code == view.code).numpy()[~new].all()
    assert shown.log_popularity.numpy()[new] == pytest.approx(view.log_popularity_of_new.numpy()[new])
    known = trained._known_places(histories, shown)
    remembered = known.features[:, KNOWN_FEATURES.index("is in memory")] > 0
    assert not remembered[new[known.place]].any() and remembered[~new[known.place]].any()
    assert trained._pretend_new(view) is view
