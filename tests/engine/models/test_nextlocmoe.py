"""What NextLocMoE claims, and what it makes of windows, places and settings at the edge."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from engine.city.samples import Histories, VisitLog, build_samples
from engine.city.splits import Split
from engine.errors import ConfigError, EncoderError
from engine.layers.routing import token_entropy, window_entropy
from engine.models.base import Data
from engine.models.baselines import fit_baselines
from engine.models.nextlocmoe import NextLocMoE
from engine.models.nextlocmoe_config import NextLocMoEConfig
from engine.models.nextlocmoe_training import current_targets, trained_parameters, validation_metrics
from engine.models.nextlocmoe_windows import Window, normalised_hours, visit_hours
from engine.probes import override, watch
from tests.engine.encoders.test_backbone import save


@pytest.fixture(scope="module")
def data(tiny_city):
    return Data(tiny_city, Split(), build_samples(VisitLog.of(tiny_city, Split())))


def tiny(data, seed=0, **changes):
    return NextLocMoE.build(NextLocMoEConfig.preset("tiny", **changes), data, seed).eval()


@pytest.fixture(scope="module")
def model(data):
    return tiny(data)


@pytest.fixture(scope="module")
def histories(data):
    return data.samples.of_part("test").histories(slice(0, 20))


def train(model, data, epochs=1):
    """The stage, plainly; the real loop has its own tests."""
    (stage,) = model.stages(data)
    optimiser = torch.optim.AdamW(stage.parameters, lr=stage.learning_rate)
    generator = np.random.default_rng(0)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        for epoch in range(epochs):
            model.train()
            for batch in stage.batches(epoch, generator):
                optimiser.zero_grad()
                stage.loss(batch)["total"].backward()
                torch.nn.utils.clip_grad_norm_(stage.parameters, 1.0)
                optimiser.step()
    return model.eval()


def packed(places, visits, minutes_apart=60, stay=np.nan, users=("a",)):
    """One history that visits these places in turn."""
    minutes = 8 * 60 + minutes_apart * np.arange(len(visits))
    return Histories(
        places=places,
        users=np.array(users, object),
        offsets=np.array([0, len(visits)], np.int64),
        location=np.array(visits, np.int32),
        minute=(minutes % 1440).astype(np.int16),
        weekday=(minutes // 1440 % 7).astype(np.int8),
        day=(minutes // 1440).astype(np.int32),
        duration_minutes=np.full(len(visits), stay, np.float32),
        user=np.zeros(1, np.int32),
    )


def assert_probabilities(scores):
    assert not np.isnan(scores).any()
    np.testing.assert_allclose(np.exp(scores.astype(float)).sum(1), 1, atol=1e-4)


# ---- heads ----------------------------------------------------------------------------------------------------------------


def test_regression_ranks_places_as_the_tree_finds_them_around_the_point(model, data, histories):
    prediction = model.predict(histories)
    assert not prediction.normalised, "a ranking by distance is no probability in earnest"
    centred = model.predict_points(histories) - np.asarray(model.frame.centre)
    nearest, _ = model.view(histories.places).retrieval.nearest(centred, 10)
    np.testing.assert_array_equal(np.argsort(-prediction.log_probability, 1, kind="stable")[:, :10], nearest)


def test_places_at_the_same_spot_are_ranked_by_popularity(data, histories):
    """Every place but the last is moved onto one spot: the most visited of them comes first, for every head."""
    places = histories.places
    spot = np.arange(len(places)) < len(places) - 1
    moved = replace(
        places,
        **{name: np.where(spot, getattr(places, name)[0], getattr(places, name)) for name in ("x", "y", "longitude", "latitude")},
    )
    visits = data.samples.log.visits_in_training
    for head in ("regression", "mdn"):
        scores = tiny(data, head=head).predict(replace(histories, places=moved)).log_probability[:, spot]
        assert (scores.argmax(1) == visits[spot].argmax()).all()
        assert (np.diff(np.sort(scores, 1)) > 0).mean() > 0.9, "equal spots do not get equal numbers"


@pytest.mark.parametrize(
    "changes",
    [
        {"head": "mdn"},
        {"head": "mdn", "density_over": "plane", "popularity_term": False},
        {"head": "pointer"},
        {"head": "pointer", "memory_visits": 50},
        {"function_experts": False},
        {"role_experts": False},
        {"function_experts": False, "role_experts": False},
        {"location_code": "linear", "isotropic": False, "duration": "stay", "mask_last_duration": False},
        {"routing": "dense", "first_expert_layer": 0},
        {"routing": "topk", "router_form": "published"},
        {"routing": "released", "role_renormalise": False, "final_norm": False, "published_function_start": True},
        {"lambda_balance": 0.0, "lambda_unit": "metre", "lambda_entropy": 300.0, "dense_targets": False},
        {"roles_decided_per": "window", "functions_in_history": True, "prefix_tokens": 2},
        {"history_visits": 0},
        {"router_reads_history": False, "history_convolutions": 2, "expert_spread": 0.0},
    ],
    ids=str,
)
def test_every_switch_gives_a_model_that_learns_and_answers(data, histories, changes):
    model = tiny(data, **changes)
    (stage,) = model.stages(data)
    batch = next(iter(stage.batches(0, np.random.default_rng(0))))
    model.train()
    terms = stage.loss(batch)
    terms["total"].backward()
    assert all(torch.isfinite(value) for value in terms.values())
    assert_probabilities(model.eval().predict(histories).log_probability)


@pytest.mark.parametrize("head", ["regression", "pointer"])
def test_half_precision_gives_nearly_the_same_loss(data, head):
    """As on a GPU, where training runs under autocast; with narrow Gaussians, which half-precision coordinates would miss."""
    model = tiny(data, head=head)
    if head == "pointer":
        with torch.no_grad():
            model.head.mixture.spread.bias.fill_(-6.0)
    (stage,) = model.stages(data)

    def loss():
        return stage.loss(next(iter(stage.batches(0, np.random.default_rng(0)))))["total"]

    whole = loss()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        half = loss()
    half.backward()
    assert float(half.detach()) == pytest.approx(float(whole.detach()), rel=0.02)
    assert all(torch.isfinite(value.grad).all() for value in model.parameters() if value.grad is not None)


@pytest.mark.parametrize("head", ["regression", "mdn", "pointer"])
def test_one_visit_far_from_the_city_does_not_decide_the_training(data, head):
    """A validation target three degrees away, whose probability is below the least number, with Gaussians as narrow as they may be."""
    log, valid = data.samples.log, data.samples.of_part("valid")
    far = int(valid.true_location[np.argmin(log.visits_in_training[valid.true_location])])
    away = np.arange(len(log.places)) == far
    moved = replace(log, places=replace(log.places, x=log.places.x + 333_000.0 * away))
    model = tiny(data, head=head)
    if head != "regression":
        with torch.no_grad():
            model.head.mixture.spread.bias.fill_(-6.0)
    (stage,) = model.stages(data)
    near, shaken = validation_metrics(model, valid), validation_metrics(model, replace(valid, log=moved))
    assert all(np.isfinite(value) for value in shaken.values())
    asked = (valid.true_location == far).mean()
    assert abs(near[stage.monitor] - shaken[stage.monitor]) <= asked + 0.01, "others move up where the far place left the list"
    scores = model.predict(replace(valid, log=moved).histories()).log_probability
    assert np.isfinite(scores).all()
    assert_probabilities(scores)


@pytest.mark.parametrize("head", ["regression", "mdn", "pointer"])
def test_a_batch_whose_targets_are_all_places_of_training_is_learnt_from(data, head):
    """More places than candidates, and none that is not a target: nothing is left to draw."""
    log, asked = data.samples.log, data.samples.of_part("train").true_location
    seen = np.isin(np.arange(len(log.places)), asked)
    assert seen.sum() > 64
    whole = replace(data, samples=replace(data.samples, log=replace(log, seen=seen)))
    (stage,) = tiny(whole, head=head, batch=8192, stride=1, candidates=64).stages(whole)
    (batch,) = stage.batches(0, np.random.default_rng(0))
    assert torch.isfinite(stage.loss(batch)["total"])


@pytest.mark.parametrize("dense", [True, False])
def test_another_part_of_the_windows_is_read_each_epoch_until_all_were(data, dense):
    training = data.samples.of_part("train").target
    (stage,) = tiny(data, stride=5, batch=4, dense_targets=dense).stages(data)

    def read(epoch):
        batches = stage.batches(epoch, np.random.default_rng([0, epoch]))
        return np.concatenate([batch.samples.target for batch in batches])

    epochs = [read(epoch) for epoch in range(5)]
    assert all(len(windows) // 4 == stage.batches_per_epoch for windows in epochs)
    together = np.concatenate(epochs)
    assert len(np.unique(together)) == len(together), "no window twice before all were read"
    assert len(training) - len(together) < 5 * 4 + 5, "but for what fills no batch"
    assert np.isin(read(5), training[::5]).all() and not np.array_equal(read(5), epochs[0]), "then again, in another order"


def test_a_stride_longer_than_the_training_part_still_leaves_a_batch(data):
    few = replace(data, samples=data.samples[np.r_[:3, -40:0]])
    (stage,) = tiny(few, stride=1000).stages(few)
    assert all(len(list(stage.batches(epoch, np.random.default_rng(0)))) == 1 for epoch in range(4))


def test_a_short_training_beats_popularity_and_the_pointer_the_point(data):
    """One popularity for all, against windows: what a model of windows must at least learn."""
    test = data.samples.of_part("test")
    (popularity,) = fit_baselines(data.samples.log, names=["popularity"])
    floor = (popularity.predict(test.histories()).log_probability.argmax(1) == test.true_location).mean()
    pointer = validation_metrics(train(tiny(data, head="pointer"), data, 3), test)
    point = validation_metrics(train(tiny(data), data, 3), test)
    assert pointer["acc@1"] > 2 * floor
    assert pointer["acc@1"] > point["acc@1"] and pointer["acc@10"] > 0.6


# ---- windows --------------------------------------------------------------------------------------------------------------


def test_a_window_is_padded_on_the_left_and_ends_with_the_latest_visit(data):
    places = data.samples.log.places
    config = NextLocMoEConfig.preset("tiny")
    window = Window.of(packed(places, [3, 1, 2]), config)
    assert window.location.tolist() == [[0, 0, 3, 1, 2]] and window.real.tolist() == [[False, False, True, True, True]]
    assert window.hour.tolist() == [[0, 0, 8, 9, 10]]


def test_visits_before_the_window_do_not_matter(model, data):
    """45 visits are read; the 46th from the end is not, the 45th is."""
    places = data.samples.log.places
    visits = list(np.arange(60) % 7)
    whole = model.predict(packed(places, visits)).log_probability
    older, oldest_read = visits.copy(), visits.copy()
    older[14] = 80
    oldest_read[15] = 80
    np.testing.assert_allclose(model.predict(packed(places, older)).log_probability, whole, atol=1e-6)
    assert not np.allclose(model.predict(packed(places, oldest_read)).log_probability, whole, atol=1e-6)


def test_leaving_a_visit_out_pulls_no_older_one_in(data):
    """Three visits are read: they alone have effects, whatever was visited before them."""
    from engine.scenarios.attribution import leave_one_out

    model, places = tiny(data, history_visits=2, current_visits=1, head="pointer"), data.samples.log.places
    assert model.longest_history == 3
    found = leave_one_out(model, packed(places, [9, 8, 7, 3, 4, 5]))
    other = leave_one_out(model, packed(places, [1, 2, 6, 3, 4, 5]))
    assert len(found.effect) == 3 and found.place == other.place
    np.testing.assert_array_equal(found.effect, other.effect)


def test_hours_until_the_next_visit_and_of_the_visit_before(data):
    """Visits at 8, 9 and 10 h that lasted 30 minutes each; nobody knows when the one after the last comes."""
    given = packed(data.samples.log.places, [0, 1, 2], stay=30.0)
    own, before = visit_hours(given, "gap")
    assert own.tolist() == [1.0, 1.0, 0.5]
    np.testing.assert_array_equal(before, [np.nan, 1.0, 1.0])
    assert visit_hours(given, "stay")[0].tolist() == [0.5, 0.5, 0.5]
    unknown = visit_hours(packed(data.samples.log.places, [0, 1, 2]), "stay")[0]
    np.testing.assert_array_equal(unknown, [1.0, 1.0, np.nan])


def test_zero_and_endless_durations_stay_in_range():
    assert normalised_hours(np.array([0.0, 0.1, 24.0, 1e6])).tolist() == [0.0, 0.0, 1.0, 1.0]


def test_no_current_visit_tells_when_the_next_one_comes(data):
    """With running durations hidden, the stay at the latest place cannot matter; shown, it does."""
    places = data.samples.log.places
    for hidden in (True, False):
        model = tiny(data, mask_last_duration=hidden)
        short, long = (model.predict(packed(places, [0, 1, 2], stay=minutes)).log_probability for minutes in (10.0, 600.0))
        assert np.allclose(short, long, atol=1e-7) == hidden


def test_visits_in_the_same_minute_and_a_history_of_one_visit(model, data):
    places = data.samples.log.places
    assert_probabilities(model.predict(packed(places, [4, 4, 4], minutes_apart=0)).log_probability)
    assert_probabilities(model.predict(packed(places, [4])).log_probability)


def test_a_current_visit_does_not_see_what_comes_after_it(model, data):
    """States of the first current visits stay when the latest visit changes; else training would read its answers."""
    places = data.samples.log.places
    first, second = (model.read(packed(places, [*range(20), last])).states.detach() for last in (30, 60))
    torch.testing.assert_close(first[:, :-1], second[:, :-1], atol=1e-6, rtol=0)
    assert not torch.allclose(first[:, -1], second[:, -1], atol=1e-4)


def test_current_visits_are_asked_for_the_visit_right_after_them(data):
    """Windows whose targets are visits 50 and 90 of the log; the second has two current visits only."""
    samples = replace(data.samples, start=np.array([40, 88]), target=np.array([50, 90]))
    real = np.array([[True, True, True], [False, True, True]])
    (sample, column), visit = current_targets(real, samples, dense=True)
    assert list(zip(sample, column, visit, strict=True)) == [(0, 0, 48), (0, 1, 49), (0, 2, 50), (1, 1, 89), (1, 2, 90)]
    (sample, column), visit = current_targets(real, samples, dense=False)
    assert list(zip(sample, column, visit, strict=True)) == [(0, 2, 50), (1, 2, 90)]


# ---- places ---------------------------------------------------------------------------------------------------------------


def with_visits(city, **columns):
    return city.replace(visits=city.table("visits").assign(**columns))


def test_a_city_of_one_place(tiny_city):
    """All is at one spot: the scale is not zero, and the one place has all the probability."""
    only = tiny_city.spatial("locations").iloc[:1].reset_index(drop=True)
    city = with_visits(tiny_city, location_id=only["location_id"].iloc[0]).replace(locations=only)
    data = Data(city, Split(), build_samples(VisitLog.of(city, Split())))
    for head in ("regression", "mdn", "pointer"):
        model = train(tiny(data, head=head, stride=20), data)
        scores = model.predict(data.samples.of_part("test").histories(slice(0, 3))).log_probability
        np.testing.assert_allclose(scores, 0, atol=1e-5)


def test_a_place_far_outside_is_ranked_last_and_a_new_one_is_ranked_at_once(data, histories):
    places = histories.places
    for head in ("regression", "mdn", "pointer"):
        model = tiny(data, head=head)
        fields = ("x", "y", "longitude", "latitude", "category", "names", "closed")
        more = {name: np.r_[getattr(places, name), getattr(places, name)[:1]] for name in fields}
        far = places.x.copy()
        more["x"] = np.r_[far, far.mean() + 5e5]
        edited = replace(places, ids=np.r_[places.ids, ["far away"]].astype(object), **more)
        scores = model.predict(replace(histories, places=edited)).log_probability
        assert_probabilities(scores)
        assert (scores[:, -1] <= scores.min(1) + 1e-6).all()


@pytest.mark.parametrize(
    ("changes", "counts"),
    [({"head": "mdn"}, True), ({"head": "pointer"}, True), ({"head": "mdn", "popularity_term": False}, False), ({}, False)],
    ids=str,
)
def test_a_new_place_counts_as_the_model_says(data, histories, changes, counts):
    """Beside a known place at the very same spot the new one has the popularity of the median place, or none is asked for."""
    from engine.scenarios.apply import apply_to_places
    from engine.scenarios.edits import AddPlace

    model, places = tiny(data, **changes), histories.places
    few = data.samples.of_part("test").histories(slice(0, 1))
    visits = np.where(np.isin(np.arange(len(places)), few.location), 0, data.samples.log.visits_in_training)
    known = int(visits.argmax())
    added = AddPlace(longitude=places.longitude[known], latitude=places.latitude[known], category="Bar", name="New")
    scores = model.predict(replace(few, places=apply_to_places((added,), places))).log_probability[0]
    apart = np.log1p(visits[known]) - np.median(model.popularity.numpy())
    assert scores[known] - scores[-1] == pytest.approx(0.5 * apart if counts else 0.0, abs=2e-3) and apart > 0.1
    assert counts == ("as popular as the median place" in model.effects()["add_place"].sentence)


def test_coordinates_in_another_projection_are_brought_home(model, histories):
    import pyproj

    places = histories.places
    zone = int(places.metric_crs.split(":")[1]) + 1
    x, y = pyproj.Transformer.from_crs(4326, zone, always_xy=True).transform(places.longitude, places.latitude)
    scores = model.predict(replace(histories, places=replace(places, x=x, y=y, metric_crs=f"EPSG:{zone}"))).log_probability
    np.testing.assert_allclose(np.exp(scores), np.exp(model.predict(histories).log_probability), atol=1e-4)


def test_the_same_weights_answer_in_another_city(model, data, tiny_city):
    """A city elsewhere, twice as large, with other ids: in its own frame it is the same city, so the same answers come."""
    locations = tiny_city.spatial("locations").copy()
    renamed = {old: f"there-{old}" for old in locations["location_id"]}
    locations["location_id"] = locations["location_id"].map(renamed)
    locations["geometry"] = locations.geometry.translate(0.5, 0.0)
    visits = tiny_city.table("visits")
    city = tiny_city.replace(locations=locations, visits=visits.assign(location_id=visits["location_id"].map(renamed)))
    other = Data(city, Split(), build_samples(VisitLog.of(city, Split())))
    moved = model.transfer(other)
    assert moved.frame.centre != model.frame.centre and moved.artefacts()["locations"][0].startswith("there-")
    here = model.predict(data.samples.of_part("test").histories(slice(0, 20))).log_probability
    there = moved.predict(other.samples.of_part("test").histories(slice(0, 20))).log_probability
    assert (here.argmax(1) == there.argmax(1)).mean() > 0.8


def test_experts_removed_or_renamed_in_yaml_since_do_not_matter_in_another_city(data, histories, tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("experts:\n" + "".join(f"  - {{name: r{number}, text: Person number {number}.}}\n" for number in range(3)))
    model = tiny(data, role_texts=str(path))
    path.write_text("experts:\n" + "".join(f"  - {{name: other{number}, text: Somebody.}}\n" for number in range(2)))
    moved = model.transfer(data)
    assert moved.texts.roles == model.texts.roles
    np.testing.assert_array_equal(moved.predict(histories).log_probability, model.predict(histories).log_probability)


def test_a_memory_of_people_helps_nobody_whom_training_never_saw(tiny_city):
    split = Split(kind="user")
    data = Data(tiny_city, split, build_samples(VisitLog.of(tiny_city, split)))
    model = train(tiny(data, head="pointer", memory_visits=50), data)
    asked = data.samples.of_part("test").histories(slice(0, 20))
    assert len(model.memory_day) and not set(asked.users[asked.user]) & set(model.users)
    strangers = replace(asked, user=np.full_like(asked.user, -1))
    np.testing.assert_array_equal(model.predict(asked).log_probability, model.predict(strangers).log_probability)


def test_nobody_is_known_in_another_city(data, histories):
    """Not even where the same people live there: who asks makes no difference to the answer."""
    model = tiny(data, head="pointer", memory_visits=50)
    moved = model.transfer(data)
    assert moved.users == [] and not len(moved.memory_day)
    strangers = replace(histories, user=np.full(len(histories), -1, np.int32))
    answer = moved.predict(histories).log_probability
    np.testing.assert_array_equal(answer, moved.predict(strangers).log_probability)
    assert np.abs(np.exp(answer) - np.exp(model.predict(histories).log_probability)).max() > 1e-4


# ---- experts --------------------------------------------------------------------------------------------------------------


def test_declared_experts_can_be_watched_and_their_weights_sum_to_one(model, histories):
    sets = model.experts()
    assert list(sets) == ["functions", "roles_2"] and len(sets["roles_2"].names) == 11
    embeddings = model.embeddings(histories.places)
    with watch(model) as seen:
        model.predict(histories)
    for found in sets.values():
        raw, used = (seen[probe][0].to_numpy() for probe in (found.raw, found.routing))
        assert raw.shape == used.shape and raw.shape[-1] == len(found.names) == len(found.texts)
        np.testing.assert_allclose(raw[:, -1].sum(-1), 1, atol=1e-5)
        assert ((used > 0).sum(-1) <= (2 if found.places else 5)).all()
        assert len(embeddings[found.vectors].vectors) == len(found.names) and found.selection.startswith("Asked are")
        assert seen[found.output][0].shape[:2] == raw.shape[:2]


def test_vectors_of_role_experts_have_the_angles_of_their_changes(model, histories):
    vectors = model.embeddings(histories.places)["role_experts_2"].vectors
    products = model.roles["layer_2"].experts.likeness().detach().numpy()
    np.testing.assert_allclose(vectors @ vectors.T, products, atol=1e-3 * np.abs(products).max())


def test_forcing_a_role_moves_the_point_and_forcing_what_is_asked_anyway_does_not(model, histories):
    before = model.predict_points(histories)

    def force(expert):
        return lambda value: torch.zeros_like(value).index_fill(-1, torch.tensor([expert]), 1.0)

    points = []
    for expert in (0, 5):
        with override(model, {"roles.layer_2.routing": force(expert)}):
            points.append(model.predict_points(histories))
    assert np.abs(points[0] - before).max() > 0.01 and np.abs(points[0] - points[1]).max() > 0.01
    with override(model, {"roles.layer_2.routing": lambda value: value.clone()}):
        np.testing.assert_allclose(model.predict_points(histories), before, atol=0.01)


@pytest.mark.parametrize("head", ["regression", "pointer"])
def test_whatever_is_done_to_a_probe_the_answer_stays_a_distribution_and_changes(data, histories, head):
    """Every action that screens offer, on every probe: silence, force, dose, flatten, scale, average, sharpen."""
    from engine.scenarios.edits import OverrideProbe
    from engine.scenarios.mechanisms import ACTIONS, build_override

    model, few = train(tiny(data, head=head), data), data.samples.of_part("test").histories(slice(0, 6))
    before = model.predict(few).log_probability
    without_effect = []
    for name, probe in model.probes().items():
        for action in ACTIONS[probe.kind]:
            amount = None if action.amount is None else action.amount[2] / 2
            edit = OverrideProbe(probe=name, action=action.name, index=1 if action.needs_index else None, amount=amount)
            with override(model, {name: build_override(edit, probe)}):
                after = model.predict(few).log_probability
            assert_probabilities(after)
            if np.allclose(np.exp(after), np.exp(before), atol=1e-9):
                without_effect.append((name, action.name))
    assert not without_effect


def test_entropy_per_window_sees_whether_all_visits_ask_the_same():
    """Two windows of two visits: the first asks one expert twice, the second two experts; each visit is decided."""
    weights = torch.tensor([[1.0, 0.0], [1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    owner = torch.tensor([0, 0, 1, 1])
    assert float(token_entropy(weights)) == pytest.approx(0, abs=1e-6)
    assert float(window_entropy(weights, owner)) == pytest.approx(np.log(2) / 2, abs=1e-5)


def test_balance_keeps_experts_alive_where_entropy_alone_collapses(data):
    """Specification §8: with the published sign and nothing else, one expert takes all; with its counterpart most stay alive."""
    shares = {}
    for balance in (0.0, 0.5):
        model = tiny(data, lambda_entropy=0.5, lambda_balance=balance, function_experts=False)
        metrics = validation_metrics(train(model, data, 4), data.samples.of_part("valid"))
        shares[balance] = metrics["largest load of roles_2"], metrics["dead among roles_2"]
    assert shares[0.0][0] > 0.95 and shares[0.0][1] == 10, shares
    assert shares[0.5][0] < 0.8 and shares[0.5][1] <= 5, shares


# ---- failure detectors ----------------------------------------------------------------------------------------------------


def detected(model, data):
    return {warned.name: warned for warned in model.diagnose(data)}


def test_functions_that_see_one_diagonal_are_found(data):
    """As published they start as functions of x + y; with directions of their own they do not."""
    name = "functions see one diagonal"
    published = detected(tiny(data, published_function_start=True), data)[name]
    assert published.fired and published.value == pytest.approx(1, abs=1e-3)
    assert not detected(tiny(data), data)[name].fired
    assert name not in detected(tiny(data, function_experts=False), data)


def test_points_more_than_three_cells_from_any_place_are_found(data):
    name, model = "points far from any place", tiny(data)
    assert not detected(model, data)[name].fired
    with torch.no_grad():
        model.head.locate.weight.mul_(1_000 / model.frame.unit)
        near = detected(model, data)[name]
        model.head.locate.weight.mul_(100)
        far = detected(model, data)[name]
    assert near.threshold == far.threshold == 1_500 and near.value < 1_500 < far.value and far.fired and not near.fired


def test_a_stay_that_gives_the_answer_away_is_found_where_stays_are_read(data):
    """The latest visit's stay, and nothing else, says which place is next: all is lost when it is hidden."""
    name = "the last duration gives the answer away"
    assert name not in detected(tiny(data), data)
    told = tiny(data, mask_last_duration=False)
    assert not detected(told, data)[name].fired
    predict = told.predict

    def gifted(histories):
        answer = predict(histories)
        known = np.isfinite(histories.duration_minutes[histories.last])
        answer.log_probability[known, histories.target[known]] = 0.0
        return answer

    told.predict = gifted
    assert detected(told, data)[name].fired


# ---- knobs ----------------------------------------------------------------------------------------------------------------


def test_turning_the_choice_of_roles_changes_how_many_are_asked_and_nothing_stays_turned(model, histories):
    def asked(**turns):
        with model.turned(**turns), watch(model, "roles.layer_2.routing") as seen:
            model.predict(histories)
        return (seen["roles.layer_2.routing"][0].to_numpy()[:, -1] > 0).sum(-1)

    usual = asked()
    assert (asked(mode="dense") == 11).all() and (asked(mode="topk", count=3) == 3).all() and (asked(mode="released") == 10).all()
    assert (asked(threshold=0.05) == 1).all() and (asked(threshold=1.0, cap=4) == 4).all()
    np.testing.assert_array_equal(asked(), usual)


def test_the_two_paths_of_the_history_can_be_cut_apart(data, histories):
    model = train(tiny(data), data)
    whole = model.predict(histories).log_probability
    with model.turned(routers_read_history=False):
        no_router = model.predict(histories).log_probability
    with model.turned(transformer_reads_history=False):
        no_context = model.predict(histories).log_probability
    assert not np.allclose(whole, no_router) and not np.allclose(whole, no_context) and not np.allclose(no_router, no_context)
    np.testing.assert_array_equal(model.predict(histories).log_probability, whole)


def test_another_text_of_a_role_changes_the_routing_alone(model, histories):
    knob = "text of student"
    assert model.knobs()[knob].default == model.texts.roles.texts[0]

    def routing(**turns):
        with model.turned(**turns), watch(model, "roles.layer_2.raw", "functions.raw") as seen:
            model.predict(histories)
        return [seen[name][0].to_numpy() for name in ("roles.layer_2.raw", "functions.raw")]

    usual, turned = routing(), routing(**{knob: "Works at night and sleeps by day."})
    assert not np.allclose(usual[0], turned[0], atol=1e-7)
    np.testing.assert_array_equal(usual[1], turned[1])
    np.testing.assert_allclose(routing(**{knob: model.texts.roles.texts[0]})[0], usual[0], atol=1e-7)


@pytest.mark.parametrize(
    ("turns", "sentence"),
    [
        ({"temperature": 1.0}, "has no `temperature` to turn; choose `mode`, `threshold`"),
        ({"mode": "best"}, "`mode` is one of top_p, topk, dense, released"),
        ({"threshold": 1.5}, "lies between 0.05 and 1, not at 1.5"),
        ({"cap": 12}, "lies between 1 and 11"),
        ({"cap": 2.5}, "takes int values"),
        ({"count": True}, "takes int values"),
        ({"text of student": "  "}, "must not be empty"),
        ({"text of nobody": "x"}, "has no `text of nobody`"),
    ],
)
def test_knobs_out_of_range_are_refused(model, turns, sentence):
    with pytest.raises(ConfigError) as refused, model.turned(**turns):
        pass
    assert sentence in str(refused.value)


# ---- settings, texts and folders ------------------------------------------------------------------------------------------


def test_experts_renamed_or_removed_in_yaml_make_another_model(data, tmp_path):
    """Three roles of one's own: three weights, and the run knows the names it was trained with."""
    path = tmp_path / "mine.yaml"
    path.write_text("experts:\n" + "".join(f"  - {{name: r{number}, text: Person number {number}.}}\n" for number in range(3)))
    model = tiny(data, role_texts=str(path))
    assert model.experts()["roles_2"].names == ("r0", "r1", "r2")
    content = path.read_text()
    path.write_text(content.replace("r1,", "other,"))
    renamed = tiny(data, role_texts=str(path))
    assert renamed.artefacts()["roles"] != model.artefacts()["roles"]
    said = renamed.changes_since(model.artefacts())
    assert said == "The roles of this run (`mine.yaml`) are not those it was trained with: r1 is gone and other is new."
    path.write_text(content.replace("number 1", "who sleeps by day"))
    assert "the text of r1 changed" in tiny(data, role_texts=str(path)).changes_since(model.artefacts())
    assert model.changes_since(model.artefacts()) == ""
    path.write_text("experts: []")
    with pytest.raises(ConfigError, match="lists 0 experts"):
        tiny(data, role_texts=str(path))


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"width": 18, "heads": 4}, "even multiple of heads"),
        ({"heads": 2, "key_value_heads": 3, "width": 16}, "multiple of key-value heads"),
        ({"first_expert_layer": 2}, "must be below the layers"),
        ({"prompt": "Where next?"}, "random backbone cannot read"),
        ({"backbone": "llama"}, "random or folder"),
        ({"freeze": "always"}, "nothing that could learn"),
        ({"smallest_radius": 900.0, "largest_radius": 800.0}, "smallest radius"),
        ({"threshold": 0.0}, "greater than 0"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(changes, sentence):
    with pytest.raises((ConfigError, ValidationError), match=sentence):
        NextLocMoEConfig.preset("tiny", **changes)


@pytest.mark.parametrize("preset", ["paper", "released"])
def test_published_presets_run_on_a_folder_with_the_backbone_frozen(data, histories, tmp_path, preset):
    """On a tiny Qwen: only gains of the backbone learn, and its frozen weights stay what they were in the folder."""
    folder = save(tmp_path, "qwen2")
    small = {"backbone": f"folder:{folder}", "layers": 2, "first_expert_layer": 1, "location_width": 8, "rank": 2, "stride": 50}
    model = NextLocMoE.build(NextLocMoEConfig.preset(preset, **small), data, 0)
    assert model.prompt_vectors.shape[0] > 5 and model.role_vectors.shape == (11, 16)
    learnt = {id(parameter) for parameter in trained_parameters(model)}
    for name, parameter in model.backbone.model.named_parameters():
        assert (id(parameter) in learnt) == (name.endswith("norm.weight") and parameter.ndim == 1), name
    (stage,) = model.stages(data)
    terms = stage.loss(next(iter(stage.batches(0, np.random.default_rng(0)))))
    terms["total"].backward()
    assert torch.isfinite(terms["total"])
    assert_probabilities(model.eval().predict(histories).log_probability)
    with model.turned(**{"text of student": "a student goes to school"}):
        assert_probabilities(model.predict(histories).log_probability)


def test_published_presets_say_which_folder_is_missing(data):
    with pytest.raises(EncoderError, match="there is no folder"):
        NextLocMoE.build(NextLocMoEConfig.preset("paper"), data, 0)


def test_user_matters_only_where_users_are_remembered(data, histories):
    stranger = replace(histories, user=np.full(len(histories), -1, np.int32))
    without = tiny(data, head="pointer")
    np.testing.assert_array_equal(without.predict(histories).log_probability, without.predict(stranger).log_probability)
    assert without.effects()["change_user"].needs == "nothing"
    remembering = tiny(data, head="pointer", memory_visits=100)
    assert not np.allclose(remembering.predict(histories).log_probability, remembering.predict(stranger).log_probability)
    assert "change_user" not in remembering.effects()
