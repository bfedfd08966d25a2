"""The experts of NextLocMoE: watched, forced, and turned by knobs."""

import numpy as np
import pytest
import torch

from engine.errors import ConfigError
from engine.probes import override, watch
from tests.engine.models.nextlocmoe.conftest import assert_probabilities, tiny
from tests.engine.models.plain_training import train


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

    model, few = train(tiny(data, head=head), data, epochs=1), data.samples.of_part("test").histories(slice(0, 6))
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
    model = train(tiny(data), data, epochs=1)
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
