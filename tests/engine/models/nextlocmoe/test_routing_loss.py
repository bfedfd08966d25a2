"""Which visits the routers of roles are to be decided and even on: those that answer, or the whole window as published."""

import numpy as np
import pytest
import torch

from engine.models.nextlocmoe_training import WindowBatch, validation_metrics, window_loss
from engine.probes import override, watch
from tests.engine.models.nextlocmoe.conftest import tiny


def routing_terms(model, data):
    """Entropy and balance of twenty windows, and the router's weights behind them as one (visit, role) array per window."""
    samples = data.samples.of_part("train")[np.arange(100, 120)]
    with torch.no_grad(), watch(model, model.experts()["roles_2"].raw) as seen:
        terms = window_loss(model, WindowBatch(samples, 1.0, np.random.default_rng(0)))
    (raw,) = next(iter(seen.values()))
    windows = [steps[steps.sum(-1) > 0] for steps in raw.to_numpy().astype(np.float64)]
    return float(terms["entropy"]), float(terms["balance"]), windows


def entropy(weights):
    return -(weights * np.log(np.maximum(weights, 1e-12))).sum(-1)


@pytest.mark.parametrize(("changes", "last"), [({}, 5), ({"dense_targets": False}, 1), ({"routing_judged_on": "all"}, 1_000)])
def test_routers_are_judged_on_the_visits_that_are_asked_or_on_all(data, changes, last):
    doubt, balance, windows = routing_terms(tiny(data, function_experts=False, **changes), data)
    assert max(map(len, windows)) > 5, "there is history that could be judged"
    judged = np.concatenate([steps[-last:] for steps in windows])
    assert doubt == pytest.approx(entropy(judged).mean(), abs=1e-4)
    assert balance == pytest.approx(entropy(judged.mean(0)), abs=1e-4)


def test_one_choice_per_window_is_judged_on_the_same_visits(data):
    doubt, _, windows = routing_terms(tiny(data, function_experts=False, roles_decided_per="window"), data)
    assert doubt == pytest.approx(np.mean([entropy(steps[-5:].mean(0)) for steps in windows]), abs=1e-4)


def test_experts_that_only_earlier_visits_ask_are_dead(data):
    """Position by position another expert: over the window all are used evenly, but every answer comes from one."""
    model, part = tiny(data, function_experts=False), data.samples.of_part("valid")

    def by_position(weights):
        chosen = torch.arange(weights.shape[1] - 1, -1, -1, device=weights.device) % weights.shape[2]
        each = torch.eye(weights.shape[2], device=weights.device)[chosen]
        return each * (weights.sum(-1, keepdim=True) > 0)

    with override(model, {model.experts()["roles_2"].routing: by_position}):
        measured = validation_metrics(model, part)
        found = {warned.name: warned for warned in model.diagnose(data)}
    assert measured["largest load of roles_2"] == 1 and measured["dead among roles_2"] == 10
    assert found["dead experts: roles of people"].fired and found["one expert takes all: roles of people"].fired
