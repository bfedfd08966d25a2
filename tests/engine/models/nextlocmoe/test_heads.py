"""What the heads of NextLocMoE answer: distances, densities and returns."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.engine.models.nextlocmoe.conftest import assert_probabilities, tiny


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
        {"lambda_balance": 0.0, "lambda_floor": 0.0, "lambda_unit": "metre", "lambda_entropy": 300.0, "dense_targets": False},
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


def test_user_matters_only_where_users_are_remembered(data, histories):
    stranger = replace(histories, user=np.full(len(histories), -1, np.int32))
    without = tiny(data, head="pointer")
    np.testing.assert_array_equal(without.predict(histories).log_probability, without.predict(stranger).log_probability)
    assert without.effects()["change_user"].needs == "nothing"
    remembering = tiny(data, head="pointer", memory_visits=100)
    assert not np.allclose(remembering.predict(histories).log_probability, remembering.predict(stranger).log_probability)
    assert "change_user" not in remembering.effects()
