import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from engine import faults
from engine.errors import TrainingStopped
from engine.models.base import Data
from engine.models.stage import Stage
from engine.training.checkpoints import Checkpoints
from engine.training.loop import Trainer, make_optimiser, rate_factor, train
from tests.engine.runs.bigram import Bigram, BigramConfig

CONFIG = BigramConfig(epochs=4)


def built(data: Data, config: BigramConfig = CONFIG) -> tuple[Bigram, list[Stage]]:
    model = Bigram.build(config, data, seed=3)
    return model, model.stages(data)


def weights(model: nn.Module) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in model.state_dict().items()}


def assert_same_bits(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> None:
    for name in first:
        assert torch.equal(first[name], second[name]), f"{name} differs by {(first[name] - second[name]).abs().max()}"


class TestDeterminism:
    def test_same_seed_same_bits_and_other_seed_other_weights(self, walk: Data) -> None:
        results = []
        for seed in (0, 0, 1):
            model, stages = built(walk)
            train(model, stages, seed=seed)
            results.append(weights(model))
        assert_same_bits(results[0], results[1])
        assert not torch.equal(results[0]["table"], results[2]["table"])

    def test_the_random_state_of_the_caller_is_left_alone(self, walk: Data) -> None:
        torch.manual_seed(5)
        expected = torch.rand(3)
        torch.manual_seed(5)
        model, stages = built(walk)
        train(model, stages, seed=0)
        assert torch.equal(torch.rand(3), expected)


class TestResume:
    # The stages take 22 and 4 x 22 steps: within the first, at its end, within an epoch, at an epoch's end, in the last one.
    @pytest.mark.parametrize("stop_at", [1, 22, 23, 35, 44, 100, 109])
    def test_stopping_and_resuming_gives_the_bits_of_an_uninterrupted_run(self, walk: Data, tmp_path: Path, stop_at: int) -> None:
        whole, stages = built(walk)
        trained = train(whole, stages, seed=7)

        model, stages = built(walk)
        taken = []
        with pytest.raises(TrainingStopped, match=f"Stopped at step {stop_at}; resume continues"):
            train(
                model,
                stages,
                seed=7,
                checkpoints=Checkpoints(tmp_path),
                on_step=taken.append,
                should_stop=lambda: "cancelled" if len(taken) >= stop_at else None,
            )
        model, stages = built(walk)
        resumed = train(model, stages, seed=7, checkpoints=Checkpoints(tmp_path))
        assert_same_bits(weights(whole), weights(model))
        assert resumed == trained

    @pytest.mark.parametrize("seconds", [0.0, 3600.0], ids=["saved at every step", "saved at the ends of stages"])
    @pytest.mark.parametrize("turn", [2, 30, 60])
    def test_dying_anywhere_and_resuming_gives_the_same_bits(
        self, walk: Data, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seconds: float, turn: int
    ) -> None:
        whole, stages = built(walk)
        train(whole, stages, seed=7)
        model, stages = built(walk)
        faults.rearm()
        monkeypatch.setenv(faults.VARIABLE, f"train.step:{turn}:eio")
        with pytest.raises(OSError, match=r"fault at train\.step"):
            train(model, stages, seed=7, checkpoints=Checkpoints(tmp_path), checkpoint_seconds=seconds)
        model, stages = built(walk)
        events = []
        train(
            model,
            stages,
            seed=7,
            checkpoints=Checkpoints(tmp_path),
            checkpoint_seconds=seconds,
            on_event=lambda *event: events.append(event),
        )
        assert_same_bits(weights(whole), weights(model))
        assert bool(events) == (seconds == 0.0 or turn > 22), "with a checkpoint there is something to resume from"

    def test_a_finished_training_is_not_repeated(self, walk: Data, tmp_path: Path) -> None:
        model, stages = built(walk)
        train(model, stages, seed=7, checkpoints=Checkpoints(tmp_path))
        again, stages = built(walk)
        taken = []
        train(again, stages, seed=7, checkpoints=Checkpoints(tmp_path), on_step=taken.append)
        assert taken == []
        assert_same_bits(weights(model), weights(again))


class TestNotFinite:
    def test_a_loss_that_becomes_nan_stops_with_its_step_and_leaves_finite_weights(self, walk: Data, tmp_path: Path) -> None:
        model, stages = built(walk, BigramConfig(epochs=4, diverge_at=30))
        # 22 steps of the first stage and 30 of the second are good, so the 53rd is the one.
        with pytest.raises(
            TrainingStopped, match=r"loss became nan in `bigram` at step 53 \(epoch 2\).*Lower the learning rate"
        ) as stop:
            train(model, stages, seed=0, checkpoints=Checkpoints(tmp_path), checkpoint_seconds=0)
        assert stop.value.reason == "not_finite"
        assert all(torch.isfinite(value).all() for value in weights(model).values())
        latest = Checkpoints(tmp_path).latest()
        assert latest is not None
        assert latest.step == 52
        assert all(torch.isfinite(value).all() for value in latest.weights(model.state_dict()).values())

    def test_a_validation_that_is_not_finite_stops_too(self, walk: Data) -> None:
        model, stages = built(walk)
        broken = replace(stages[0], validate=lambda: {"cross_entropy": math.inf})
        with pytest.raises(TrainingStopped, match="validation of `popularity` gave inf"):
            train(model, [broken], seed=0)


class TestMemory:
    def test_a_batch_that_does_not_fit_is_accumulated_to_the_same_weights(self, walk: Data) -> None:
        results, events = [], []
        for fits in (None, 4):
            model, stages = built(walk, BigramConfig(epochs=2, dropout=0.0, fits=fits))
            train(model, stages, seed=0, on_event=lambda name, sentence: events.append((name, sentence)))
            results.append(weights(model))
        assert [name for name, _ in events if name == "micro_batch"] == ["micro_batch"] * 4, "16 -> 8 -> 4, in each of two stages"
        assert "each batch now goes in 4 parts" in [sentence for name, sentence in events if name == "micro_batch"][-1][-60:]
        for name in results[0]:
            torch.testing.assert_close(results[0][name], results[1][name], rtol=1e-4, atol=1e-5)

    def test_a_batch_that_cannot_be_split_ends_in_a_sentence(self, walk: Data) -> None:
        model, stages = built(walk, BigramConfig(fits=4, splits=False))
        with pytest.raises(TrainingStopped, match=r"Memory on CPU.*step 1 and this stage's batches cannot be split") as stop:
            train(model, stages, seed=0)
        assert stop.value.reason == "out_of_memory"

    def test_other_errors_are_not_taken_for_memory(self, walk: Data) -> None:
        def fail(batch):
            raise RuntimeError("shapes do not match")

        model, stages = built(walk)
        with pytest.raises(RuntimeError, match="shapes do not match"):
            train(model, [replace(stages[0], loss=fail)], seed=0)


class _Scripted:
    """A model of one weight whose validation follows a script: what early stopping sees is known in advance."""

    def __init__(self, script: list[float], **settings) -> None:
        self.model = nn.Linear(1, 1)
        self.rates: list[float] = []
        self.epochs_begun: list[float] = []
        values = iter(script)

        def batches(epoch, generator):
            self.epochs_begun.append(float(self.model.weight.detach()))
            yield torch.ones(1, 1)

        self.stage = Stage(
            "scripted",
            list(self.model.parameters()),
            batches=batches,
            batches_per_epoch=1,
            loss=lambda batch: {"total": self.model(batch).square().mean()},
            validate=lambda: {"value": next(values)},
            monitor="value",
            **{"learning_rate": 0.1, "patience": 2, **settings},
        )

    def train(self) -> list:
        return train(self.model, [self.stage], seed=0, on_step=lambda done: self.rates.append(done.rate)).epochs


class TestEarlyStopping:
    def test_it_stops_after_so_many_epochs_without_improvement_with_the_best_weights(self) -> None:
        scripted = _Scripted([3.0, 2.0, 2.5, 2.4, 0.1])
        epochs = scripted.train()
        assert [epoch.improved for epoch in epochs] == [True, True, False, False], "the fifth epoch never comes"
        # The weights at the beginning of the third epoch are those of the second's end, the best.
        assert float(scripted.model.weight.detach()) == scripted.epochs_begun[2]

    def test_restarts_go_back_to_the_best_weights_at_a_tenth_of_the_rate(self) -> None:
        scripted = _Scripted([1.0, 2.0, 2.0, 0.5, 2.0, 2.0, 2.0, 2.0], restarts=2, decay="constant")
        epochs = scripted.train()
        assert scripted.rates == pytest.approx([0.1, 0.1, 0.1, 0.01, 0.01, 0.01, 0.001, 0.001])
        assert len(epochs) == 8, "after the second restart two more epochs without improvement end it"
        assert scripted.epochs_begun[3] == scripted.epochs_begun[1], "back to the end of the first epoch"
        assert scripted.epochs_begun[6] == scripted.epochs_begun[4], "back to the end of the fourth epoch"

    def test_an_improvement_must_exceed_the_minimum(self) -> None:
        epochs = _Scripted([1.0, 0.95, 0.85, 0.8], minimum_improvement=0.1, epochs=4).train()
        assert [epoch.improved for epoch in epochs] == [True, False, True, False]

    def test_a_metric_that_should_rise(self) -> None:
        epochs = _Scripted([0.1, 0.3, 0.2, 0.25], mode="max", epochs=9).train()
        assert [epoch.improved for epoch in epochs] == [True, True, False, False]

    def test_nothing_to_learn_from_is_a_sentence(self) -> None:
        scripted = _Scripted([1.0])
        with pytest.raises(TrainingStopped, match="no batch came"):
            train(scripted.model, [replace(scripted.stage, batches=lambda epoch, generator: [])], seed=0)


class TestOptimiser:
    def test_weight_decay_is_for_matrices_only(self, walk: Data) -> None:
        _, stages = built(walk)
        groups = make_optimiser(replace(stages[1], weight_decay=0.3)).param_groups
        assert [(group["weight_decay"], [tuple(p.shape) for p in group["params"]]) for group in groups] == [
            (0.3, [(12, 12)]),
            (0.0, [(12,)]),
        ]

    def test_what_a_stage_does_not_train_stays_as_it_is(self, walk: Data) -> None:
        model, stages = built(walk)
        before = weights(model)
        train(model, stages[:1], seed=0)
        assert torch.equal(model.table, before["table"])
        assert not torch.equal(model.bias, before["bias"])
        assert all(parameter.requires_grad and parameter.grad is None for parameter in model.parameters())

    @pytest.mark.parametrize(
        ("settings", "expected"),
        [
            # 10 epochs of 4 steps each.
            ({}, {0: 1.0, 39: 1.0}),
            ({"warm_up_epochs": 2}, {0: 1 / 8, 3: 0.5, 7: 1.0, 8: 1.0, 39: 1.0}),
            ({"decay": "linear"}, {0: 1.0, 10: 0.75, 20: 0.5, 40: 0.0}),
            ({"warm_up_epochs": 2, "decay": "linear"}, {7: 1.0, 8: 1.0, 24: 0.5, 40: 0.0}),
            ({"decay": "cosine"}, {0: 1.0, 20: 0.5, 40: 0.0}),
            ({"decay": "linear", "decay_epochs": 5.0}, {0: 1.0, 10: 0.5, 20: 0.0, 39: 0.0}),
        ],
    )
    def test_the_rate_follows_the_schedule_step_by_step(self, walk: Data, settings: dict, expected: dict[int, float]) -> None:
        stage = replace(
            built(walk)[1][0], **{"epochs": 10, "batches_per_epoch": 4, "warm_up_epochs": 0, "decay": "constant", **settings}
        )
        assert {step: rate_factor(stage, step) for step in expected} == pytest.approx(expected, abs=1e-12)

    def test_gradients_are_clipped(self) -> None:
        model = nn.Linear(1, 1, bias=False)
        nn.init.ones_(model.weight)
        norms = []
        model.weight.register_post_accumulate_grad_hook(lambda weight: norms.append(float(weight.grad)))
        stage = replace(
            _Scripted([1.0]).stage,
            parameters=list(model.parameters()),
            batches=lambda epoch, generator: [torch.ones(1, 1)],
            loss=lambda batch: {"total": 1000 * model(batch).sum()},
            validate=lambda: {"value": float(model.weight.grad.norm())},
            epochs=1,
            clip_norm=0.5,
        )
        trained = train(model, [stage], seed=0)
        assert norms == [1000.0]
        assert trained.epochs[0].metrics["value"] == pytest.approx(0.5, rel=1e-4)


def test_probes_and_training_mode(walk: Data) -> None:
    """Losses are taken in training mode, validation in evaluation mode, and the trained model is left in the latter."""
    model, stages = built(walk)
    modes: list[tuple[str, bool]] = []

    def loss(batch):
        modes.append(("loss", model.training))
        return stages[0].loss(batch)

    def validate():
        modes.append(("validate", model.training))
        assert not torch.is_grad_enabled()
        return stages[0].validate()

    train(model, [replace(stages[0], loss=loss, validate=validate)], seed=0)
    assert set(modes) == {("loss", True), ("validate", False)}
    assert not model.training


def test_the_generator_alone_draws_the_batches(walk: Data) -> None:
    """Epoch by epoch the draws differ, and they depend on nothing but seed, stage and epoch."""
    model, stages = built(walk)
    draws: list[list[int]] = []

    def batches(epoch, generator: np.random.Generator):
        draws.append(list(generator.integers(0, 10**9, 3)))
        return stages[1].batches(epoch, generator)

    for _ in range(2):
        Trainer(model, [replace(stages[1], batches=batches, epochs=2)], seed=11).train()
    assert draws[0] != draws[1]
    assert draws[:2] == draws[2:]


@pytest.mark.gpu
def test_a_gpu_trains_in_bfloat16_to_a_similar_loss(walk: Data) -> None:
    from engine.device import choose_device

    losses = {}
    for wish in ("cpu", "cuda"):
        model, stages = built(walk, BigramConfig(epochs=8, dropout=0.0))
        losses[wish] = train(model, stages, seed=0, device=choose_device(wish)).epochs[-1].metrics["cross_entropy"]
    assert losses["cuda"] == pytest.approx(losses["cpu"], rel=0.05)
