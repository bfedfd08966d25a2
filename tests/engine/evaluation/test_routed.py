"""Routing collected from a model, what a city knows of its people and places, forced experts, and weights that travel."""

from dataclasses import replace

import numpy as np
import pytest

from engine.city.samples import Samples, VisitLog, build_samples
from engine.city.splits import Split
from engine.errors import ConfigError, RequirementError
from engine.evaluation.ranking import answer
from engine.evaluation.routed import ExpertLabel, check_labels, known_attributes, label_experts, latest_visits, route
from engine.evaluation.routing import Companion
from engine.evaluation.transfer import split_for, zero_shot
from engine.models.base import Data, NextLocationModel
from engine.models.calliper import CaLLiPer
from engine.models.nextlocmoe import NextLocMoE
from engine.scenarios.expert_effects import expert_effects

SPLIT = Split(warm_up_days=1, minimum_history=2)


@pytest.fixture(scope="module")
def samples(tiny_city) -> Samples:
    return build_samples(VisitLog.of(tiny_city, SPLIT))


@pytest.fixture(scope="module")
def model(tiny_city, samples) -> NextLocationModel:
    """Untrained: its routers choose by chance, but they choose."""
    return NextLocMoE.build(NextLocMoE.Config.preset("tiny"), Data(tiny_city, SPLIT, samples), 0).eval()


def test_every_set_is_watched_and_the_latest_visit_stands_last(model, samples) -> None:
    chosen = np.array([0, 40, 7, 90])
    routed = route(model, samples, chosen)
    assert set(routed) == set(model.experts())
    alone = route(model, samples, chosen[1:2])
    for key, found in routed.items():
        assert found.raw.shape == found.used.shape == (4, found.raw.shape[1], len(found.experts.names))
        real = found.raw.sum(-1) > 0
        np.testing.assert_allclose(found.raw.sum(-1)[real], 1, atol=1e-5)
        assert real[:, -1].all(), "every question has a latest visit"
        assert ((found.used > 0).sum(-1)[real] >= 1).all() and (found.used[~real] == 0).all()
        np.testing.assert_allclose(found.latest_raw[1], alone[key].latest_raw[0], atol=1e-5)


def test_chunks_of_different_widths_are_aligned_at_the_latest_visit(model, samples) -> None:
    chosen = np.argsort(samples.lengths, kind="stable")[[0, 1, -2, -1]]
    whole, pieces = route(model, samples, chosen), route(model, samples, chosen, chunk=1)
    for key in whole:
        np.testing.assert_allclose(pieces[key].raw, whole[key].raw, atol=1e-5)
        np.testing.assert_array_equal(route(model, samples, chosen, steps=2)[key].raw, whole[key].raw[:, -2:])


def test_no_question_and_no_expert_give_nothing(model, samples, tiny_city) -> None:
    assert route(model, samples, np.zeros(0, np.int64)) == {}
    plain = NextLocMoE.build(
        NextLocMoE.Config.preset("tiny", role_experts=False, function_experts=False), Data(tiny_city, SPLIT, samples), 0
    )
    assert route(plain, samples, np.array([0])) == {}


def test_the_latest_visit_of_a_question_is_the_one_before_its_target(samples) -> None:
    visits = latest_visits(samples, np.array([3, 11]))
    log, last = samples.log, samples.target[[3, 11]] - 1
    assert visits["location"].tolist() == log.location[last].tolist()
    assert visits["hour"].tolist() == (log.minute[last] // 60).tolist()
    assert visits["user"].tolist() == log.user[samples.target[[3, 11]]].tolist()


def test_a_made_city_knows_roles_and_zones_and_a_real_one_categories_only(tiny_city, samples) -> None:
    titles = [attribute.title for attribute in known_attributes(tiny_city, samples)]
    assert titles[:2] == ["true role", "true function of the zone"] and "category" in titles
    bare = tiny_city.replace(truth=None)
    assert not any(attribute.is_truth for attribute in known_attributes(bare, samples))


def test_experts_that_divide_the_map_are_found_out(tiny_city, samples) -> None:
    """Every place visited in training has its part of town, a third of the visits each way; an expert for the west goes along with one."""
    where = next(a for a in known_attributes(tiny_city, samples) if a.title == "part of town")
    log = samples.log
    assert set(where.label) == set(np.flatnonzero(log.visits_in_training > 0)) and len(set(where.label.values())) == 9
    western = [place for place, part in where.label.items() if "west" in part]
    assert log.visits_in_training[western].sum() / log.visits_in_training.sum() == pytest.approx(1 / 3, abs=0.05)
    visits = latest_visits(samples, np.flatnonzero(samples.part == 2))
    x = log.places.x[visits["location"]]
    west = np.eye(2)[(x > np.median(x)).astype(int)]
    found = {check.attribute.title: check for check in check_labels(tiny_city, samples, visits, west, permutations=50)}
    assert found["part of town"].agreement.is_verified
    assert max(found.values(), key=lambda check: check.agreement.information).attribute.title == "part of town"


def test_labels_are_checked_over_people_and_places_and_an_oracle_is_verified(tiny_city, samples) -> None:
    chosen = np.flatnonzero(samples.part == 2)
    visits = latest_visits(samples, chosen)
    roles = next(a for a in known_attributes(tiny_city, samples) if a.subject == "user")
    names = sorted(set(roles.label.values()))
    oracle = np.eye(len(names))[[names.index(roles.label[user]) for user in visits["user"]]]
    found = {check.attribute.title: check for check in check_labels(tiny_city, samples, visits, oracle, permutations=50)}
    role = found["true role"]
    assert role.agreement.information == pytest.approx(1) and role.agreement.n == visits["user"].nunique()
    np.testing.assert_allclose(role.share.sum(axis=0), 1)
    assert role.size.tolist() == sorted(role.size, reverse=True) and role.size.sum() == role.agreement.n
    everywhere = np.tile(np.eye(3)[0], (len(visits), 1))
    assert all(not check.agreement.is_verified for check in check_labels(tiny_city, samples, visits, everywhere, permutations=20))


def test_a_name_is_verified_by_the_group_of_its_own_name_and_no_other(tiny_city, samples, model) -> None:
    visits = latest_visits(samples, np.flatnonzero(samples.part == 2))
    roles = next(a for a in known_attributes(tiny_city, samples) if a.subject == "user")
    names = sorted(set(roles.label.values()))
    leading = np.array([names.index(roles.label[user]) for user in visits["user"]])
    checks = check_labels(tiny_city, samples, visits, np.eye(len(names) + 1)[leading])
    people = next(experts for experts in model.experts().values() if not experts.places)

    def label(*own: str) -> tuple[ExpertLabel, ...]:
        return label_experts(replace(people, names=(*own, "nobody's")), checks)

    known = [name for name in names if next(c for c in checks if c.attribute.subject == "user").size[names.index(name)] >= 8]
    right, swapped = label(*names), label(*names[::-1])
    for own, other, name in zip(right, swapped, names, strict=False):
        if not own.is_verified:
            continue
        assert (own.group, own.share, own.mark) == (name, 1.0, "✓") and own.attribute == "true role" and own.noun == "people"
        assert other.group == name and other.mark == ("✓" if other.name == name else "≈"), "the group decides, not the set"
    assert known and any(own.is_verified for own in right)
    assert right[-1].mark == "?" and right[-1].group == "", "who leads nobody goes along with no group"
    assert [own.mark for own in label_experts(people, [])] == ["?"] * len(people.names), "nothing known, nothing verified"


def test_a_name_is_shown_with_its_mark_however_short() -> None:
    strong, weak = Companion("shift worker", 0.4, 0.07, 0.02), Companion("shift worker", 0.1, 0.07, 0.02)
    assert ExpertLabel("night-shift worker", "role", strong).shown() == "night-shift worker ✓"
    assert ExpertLabel("public official", "role", strong).shown(in_full=True) == "public official ≈ shift worker"
    assert ExpertLabel("Shift worker", "role", strong).shown(in_full=True) == "Shift worker ✓"
    assert ExpertLabel("public official", "role", weak).shown(in_full=True) == "public official ?"
    assert ExpertLabel("a name of many letters", "role", strong).shown(8, in_full=True) == "a name … ≈ shift w…"
    assert ExpertLabel("", "role", strong).mark == "≈", "no word is in common"


def test_equal_experts_move_nothing_and_unequal_ones_do(tiny_city, samples, model) -> None:
    asked = samples.histories(np.array([5, 30, 60]))
    alike = NextLocMoE.build(NextLocMoE.Config.preset("tiny", expert_spread=0.0), Data(tiny_city, SPLIT, samples), 0).eval()
    key = next(name for name, experts in alike.experts().items() if not experts.places)
    same = expert_effects(alike, alike.experts()[key], asked)
    assert len(same) == len(alike.experts()[key].names) and (same["forced_m"] < 0.5).all() and (same["forced_moved"] < 1e-4).all()
    differ = expert_effects(model, model.experts()[key], asked)
    assert (differ["forced_m"] > 0).all() and np.isfinite(differ["silenced_nats"]).all()


def test_effects_on_a_ranking_by_distance_are_told_from_effects_on_probabilities(tiny_city, samples, model) -> None:
    pointer = NextLocMoE.build(NextLocMoE.Config.preset("tiny", head="pointer"), Data(tiny_city, SPLIT, samples), 0).eval()
    for asked, normalised in ((model, False), (pointer, True)):
        effects = expert_effects(asked, next(iter(asked.experts().values())), samples.histories(np.array([5])))
        assert (effects["normalised"] == normalised).all()


def test_points_come_in_metres_with_weights_that_sum_to_one(tiny_city, samples, model) -> None:
    places = samples.log.places
    plain = model.points(samples.histories(np.array([1, 2])))
    assert plain.component_x.shape == (2, 0) and "distance" in plain.meaning
    mixed = NextLocMoE.build(NextLocMoE.Config.preset("tiny", head="mdn"), Data(tiny_city, SPLIT, samples), 0).eval()
    said = mixed.points(samples.histories(np.array([1, 2])))
    np.testing.assert_allclose(said.component_weight.sum(1), 1, atol=1e-5)
    assert (said.component_spread_m > 0).all()
    heaviest = said.component_weight.argmax(1)
    np.testing.assert_allclose(said.x, said.component_x[[0, 1], heaviest], atol=1)
    assert np.abs(said.x - places.x.mean()).max() < 100_000, "metres in the city's CRS"


@pytest.mark.parametrize("head", ["regression", "mdn", "pointer"])
def test_the_way_of_the_point_through_the_layers_ends_at_the_point(tiny_city, samples, head) -> None:
    model = NextLocMoE.build(NextLocMoE.Config.preset("tiny", head=head), Data(tiny_city, SPLIT, samples), 0).eval()
    asked = samples.histories(np.array([1, 2, 40]))
    said = model.points(asked)
    assert said.layer_x.shape == said.layer_y.shape == (3, model.config.layers)
    np.testing.assert_allclose(said.layer_x[:, -1], said.x, atol=0.5)
    np.testing.assert_allclose(said.layer_y[:, -1], said.y, atol=0.5)
    assert (np.abs(said.layer_x[:, 0] - said.x) > 1).all(), "an earlier layer points elsewhere"
    np.testing.assert_allclose(model.points(samples.histories(np.array([40]))).layer_x[0], said.layer_x[2], atol=0.5)


def test_what_a_router_read_is_collected_where_a_set_declares_it(model, samples) -> None:
    for found in route(model, samples, np.array([0, 40, 7])).values():
        if not found.experts.inputs:
            assert found.inputs is None
            continue
        assert found.inputs.shape == (*found.raw.shape[:2], len(found.experts.parts))
        real = found.raw.sum(-1) > 0
        assert (found.inputs[real][:, [0, 2]] > 0).all(), "the long history of a first visit may be nothing"
        assert (found.inputs[~real] == 0).all()
        assert np.ptp(found.inputs[real][:, 2]) < 1e-5, "the texts are the same for every visit"
        assert found.latest_only().inputs is None and found.latest_only().raw.shape[1] == 1
    assert any(found.inputs is not None for found in route(model, samples, np.array([0])).values())


def test_weights_that_travel_to_their_own_city_answer_as_before(tiny_city, samples, model) -> None:
    found = zero_shot(model, tiny_city, SPLIT, most=30, baselines=("popularity",))
    assert list(found.answers) == [model.name, "popularity"] and len(found.samples) == 30
    own = answer(model, found.samples)
    np.testing.assert_array_equal(found.answers[model.name].rank, own.rank)
    table = found.errors_by_place()
    assert table["n"].sum() == 30 and set(found.to_frame()["metric"]) >= {"acc@10", "distance_mean_m"}


def test_weights_with_people_or_places_in_them_stay_at_home(tiny_city, samples) -> None:
    assert not CaLLiPer.can_transfer.fget(CaLLiPer.__new__(CaLLiPer))  # type: ignore[attr-defined]
    with pytest.raises(ConfigError, match="cannot be used on another"):
        NextLocationModel.transfer(CaLLiPer.__new__(CaLLiPer), Data(tiny_city, SPLIT, samples))


def test_a_city_without_questions_is_refused_in_words(tiny_city, model) -> None:
    with pytest.raises(RequirementError, match="gives no question in its test part"):
        zero_shot(model, tiny_city, Split(warm_up_days=50, minimum_history=50, history_days=1))


def test_the_split_of_a_run_is_kept_where_another_city_allows_it(tiny_city) -> None:
    kept = split_for(tiny_city, Split(kind="published", history_days=3, hidden_share=0.2))
    assert (kept.kind, kept.history_days, kept.hidden_share) == ("chronological", 3, 0)
