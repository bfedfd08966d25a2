"""How NextLocMoE learns: losses, windows of an epoch, and what a short training reaches."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from engine.layers.routing import token_entropy, window_entropy
from engine.models.baselines import fit_baselines
from engine.models.nextlocmoe_training import validation_metrics
from tests.engine.models.nextlocmoe.conftest import assert_probabilities, tiny
from tests.engine.models.plain_training import train


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
    pointer = validation_metrics(train(tiny(data, head="pointer"), data, epochs=3), test)
    point = validation_metrics(train(tiny(data), data, epochs=3), test)
    assert pointer["acc@1"] > 2 * floor
    assert pointer["acc@1"] > point["acc@1"] and pointer["acc@10"] > 0.6


def test_entropy_per_window_sees_whether_all_visits_ask_the_same():
    """Two windows of two visits: the first asks one expert twice, the second two experts; each visit is decided."""
    weights = torch.tensor([[1.0, 0.0], [1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    owner = torch.tensor([0, 0, 1, 1])
    assert float(token_entropy(weights)) == pytest.approx(0, abs=1e-6)
    assert float(window_entropy(weights, owner)) == pytest.approx(np.log(2) / 2, abs=1e-5)


def test_balance_keeps_experts_alive_where_entropy_alone_collapses(data):
    """Specification §8: with the published sign and nothing else, one expert takes all; with its counterpart most stay alive, and
    with the floor they share the load more evenly."""
    shares = {}
    for balance, floor in ((0.0, 0.0), (0.5, 0.0), (0.5, 0.125)):
        model = tiny(data, lambda_entropy=0.5, lambda_balance=balance, lambda_floor=floor, function_experts=False)
        metrics = validation_metrics(train(model, data, epochs=4), data.samples.of_part("valid"))
        shares[balance, floor] = metrics["largest load of roles_2"], metrics["dead among roles_2"]
    assert shares[0.0, 0.0][0] > 0.95 and shares[0.0, 0.0][1] == 10, shares
    assert shares[0.5, 0.0][0] < 0.8 and shares[0.5, 0.0][1] <= 5, shares
    assert shares[0.5, 0.125][0] < min(0.4, shares[0.5, 0.0][0]) and shares[0.5, 0.125][1] <= 3, shares
