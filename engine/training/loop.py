"""One training loop for every model: it follows the stages a model declares and never a model's name.

What it promises: the same seed gives the same weights; training N steps, dying and resuming gives the bits of an uninterrupted run
(on the CPU); a loss that is not finite stops at once with finite weights; a stage ends with the weights of its best validation.
"""

import itertools
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor, nn

from engine import faults
from engine.device import Device, choose_device
from engine.errors import RunError, TrainingStopped
from engine.models.stage import Stage
from engine.training.checkpoints import Checkpoint, Checkpoints

MOST_PARTS = 64
RESTART_FACTOR = 0.1


@dataclass(frozen=True)
class StepDone:
    """One optimiser step that was taken.

    Attributes:
        stage: Name of the stage; `stage_number` counts from zero.
        epoch: Counts from zero within the stage; `epochs` is the most it can reach.
        step: Steps done over all stages; `steps` is the most there can be.
        losses: Detached loss terms.
        rate: Learning rate of the step.
        seconds: How long the step took, with its batch.
    """

    stage: str
    stage_number: int
    epoch: int
    epochs: int
    step: int
    steps: int
    losses: Mapping[str, Tensor]
    rate: float
    seconds: float


@dataclass(frozen=True)
class EpochDone:
    """One epoch with its validation; `improved` says whether its weights are the best so far."""

    stage: str
    stage_number: int
    epoch: int
    step: int
    loss: float
    metrics: dict[str, float]
    improved: bool
    rate: float


@dataclass(frozen=True)
class Trained:
    """What training came to: every epoch, in order, and the number of optimiser steps."""

    epochs: list[EpochDone]
    steps: int


@dataclass
class _Position:
    """Where training stands; what a checkpoint holds besides tensors. Step `batch` of `epoch` of `stage` comes next."""

    stage: int = 0
    epoch: int = 0
    batch: int = 0
    step: int = 0
    best_value: float | None = None
    best_step: int = 0
    epochs_without_improvement: int = 0
    restarts: int = 0
    frozen_factor: float | None = None
    parts: int = 1
    loss_sum: float = 0.0
    history: list[dict[str, Any]] = field(default_factory=list)

    def next_stage(self) -> None:
        self.__init__(stage=self.stage + 1, step=self.step, history=self.history)  # type: ignore[misc]


class Trainer:
    """Trains a model through its stages.

    Args:
        model: Any module; it is moved to the device.
        stages: Its phases, in order.
        seed: Draws batches, dropout and whatever else is random.
        device: Where to compute; default the best there is.
        checkpoints: Where to save; None keeps everything in memory.
        checkpoint_seconds: At most so much work is lost by a kill (plus one epoch's validation).
        on_step, on_epoch: Told what was done.
        on_event: Told what is worth a line in the log: (name, sentence).
        should_stop: Asked before every step; a reason ends training after a checkpoint.
    """

    def __init__(
        self,
        model: nn.Module,
        stages: Sequence[Stage],
        *,
        seed: int,
        device: Device | None = None,
        checkpoints: Checkpoints | None = None,
        checkpoint_seconds: float = 30.0,
        on_step: Callable[[StepDone], None] = lambda done: None,
        on_epoch: Callable[[EpochDone], None] = lambda done: None,
        on_event: Callable[[str, str], None] = lambda name, sentence: None,
        should_stop: Callable[[], str | None] = lambda: None,
    ) -> None:
        self.device = device or choose_device()
        self.accelerator = Accelerator(
            cpu=not self.device.is_gpu, mixed_precision="bf16" if self.device.autocast_dtype is torch.bfloat16 else "no"
        )
        self.model = model.to(self.device.torch)
        self.stages = list(stages)
        self.seed = seed
        self.checkpoints = checkpoints
        self.checkpoint_seconds = checkpoint_seconds
        self.on_step, self.on_epoch, self.on_event, self.should_stop = on_step, on_epoch, on_event, should_stop
        self.steps_in_all = sum(stage.epochs * stage.batches_per_epoch for stage in self.stages)
        self._position = _Position()
        self._best: dict[str, Tensor] | None = None
        self._saved_at = time.monotonic()

    def train(self) -> Trained:
        """Trains from the newest checkpoint, or from the start, to the end; the model holds the best weights after it.

        Raises:
            TrainingStopped: If it was asked to stop, a loss was not finite, or memory or disk did not suffice.
            RunError: If the checkpoint was made with something else.
        """
        resumed = self.checkpoints.resumable() if self.checkpoints else None
        devices = [self.device.torch] if self.device.torch.type == "cuda" else []
        with torch.random.fork_rng(devices):
            state = self._restore(resumed) if resumed else None
            while self._position.stage < len(self.stages):
                self._train_stage(self.stages[self._position.stage], state)
                state = None
        self.model.eval()
        return Trained([EpochDone(**epoch) for epoch in self._position.history], self._position.step)

    # ---- one stage --------------------------------------------------------------------------------------------------------

    def _train_stage(self, stage: Stage, state: Mapping[str, Any] | None) -> None:
        position = self._position
        with _only_trains(self.model, stage.parameters):
            optimiser = make_optimiser(stage)
            if state is None:
                torch.manual_seed(int(np.random.SeedSequence([self.seed, position.stage]).generate_state(1, np.uint64)[0] >> 1))
            else:
                optimiser.load_state_dict(state["optimiser"])
                self._restore_generators(state)
            going_on = position.epoch < stage.epochs
            while going_on:
                self._train_epoch(stage, optimiser)
                going_on = self._end_epoch(stage, optimiser) and position.epoch < stage.epochs
                if going_on:
                    self._save(optimiser)
        if self._best is not None:
            self.model.load_state_dict(self._best)
        self._best = None
        position.next_stage()
        self._save(None, now=True)

    def _train_epoch(self, stage: Stage, optimiser: torch.optim.Optimizer) -> None:
        position = self._position
        self.model.train()
        # The generator is a function of (seed, stage, epoch), so a resumed epoch draws the same batches and skips what it has seen.
        generator = np.random.default_rng([self.seed, position.stage, position.epoch])
        batches = itertools.islice(stage.batches(position.epoch, generator), position.batch, None)
        while True:
            began = time.perf_counter()
            batch = next(batches, None)
            if batch is None:
                break
            self._stop_if_asked(optimiser)
            faults.point("train.step")
            rate = stage.learning_rate * self._rate_factor(stage)
            for group in optimiser.param_groups:
                group["lr"] = rate
            losses = self._step(stage, optimiser, batch)
            position.batch += 1
            position.step += 1
            position.loss_sum += float(losses["total"])
            self.on_step(
                StepDone(
                    stage=stage.name,
                    stage_number=position.stage,
                    epoch=position.epoch,
                    epochs=stage.epochs,
                    step=position.step,
                    steps=self.steps_in_all,
                    losses=losses,
                    rate=rate,
                    seconds=time.perf_counter() - began,
                )
            )
            self._save(optimiser)
        if position.batch == 0:
            raise TrainingStopped(
                "no_batches", f"Stage `{stage.name}` has nothing to learn from: no batch came. Choose another split."
            )

    def _end_epoch(self, stage: Stage, optimiser: torch.optim.Optimizer) -> bool:
        """Validates; returns whether the stage goes on."""
        position = self._position
        self.model.eval()
        with torch.no_grad(), self.accelerator.autocast():
            metrics = {name: float(value) for name, value in stage.validate().items()}
        value = metrics[stage.monitor]
        if not math.isfinite(value):
            raise TrainingStopped(
                "not_finite",
                f"The validation of `{stage.name}` gave {value} for {stage.monitor} after epoch {position.epoch + 1} (step "
                f"{position.step:,}). Lower the learning rate and retry.",
            )
        sign = 1 if stage.mode == "min" else -1
        improved = position.best_value is None or sign * (position.best_value - value) > stage.minimum_improvement
        if improved:
            position.best_value, position.best_step, position.epochs_without_improvement = value, position.step, 0
            self._best = _copy(self.model)
        else:
            position.epochs_without_improvement += 1
        done = EpochDone(
            stage=stage.name,
            stage_number=position.stage,
            epoch=position.epoch,
            step=position.step,
            loss=position.loss_sum / position.batch,
            metrics=metrics,
            improved=improved,
            rate=float(optimiser.param_groups[0]["lr"]),
        )
        position.history.append(asdict(done))
        factor = self._rate_factor(stage)
        position.epoch, position.batch, position.loss_sum = position.epoch + 1, 0, 0.0
        faults.point("train.epoch")
        self.on_epoch(done)
        if improved or position.epochs_without_improvement < stage.patience:
            return True
        if position.restarts == stage.restarts:
            self.on_event(
                "early_stop", f"`{stage.name}`: {stage.patience} epochs without improvement; stopped at its best weights."
            )
            return False
        assert self._best is not None
        position.restarts += 1
        position.epochs_without_improvement = 0
        position.frozen_factor = factor * RESTART_FACTOR
        self.model.load_state_dict(self._best)
        self.on_event("restart", f"`{stage.name}`: back to the best weights (step {position.best_step:,}) at a tenth of the rate.")
        return True

    # ---- one step ---------------------------------------------------------------------------------------------------------

    def _step(self, stage: Stage, optimiser: torch.optim.Optimizer, batch: Any) -> dict[str, Tensor]:
        position = self._position
        while True:
            generators = self._generators() if stage.split else None
            try:
                optimiser.zero_grad(set_to_none=True)
                losses = self._accumulate(stage, batch, position.parts)
                break
            except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
                if not is_out_of_memory(error):
                    raise
                message = str(error).splitlines()[0] if str(error) else type(error).__name__
            # Outside the handler: the traceback would keep the tensors of the failed step alive.
            optimiser.zero_grad(set_to_none=True)
            if self.device.torch.type == "cuda":
                torch.cuda.empty_cache()
            if stage.split is None or position.parts >= MOST_PARTS:
                tried = f" even in {position.parts} parts" if position.parts > 1 else " and this stage's batches cannot be split"
                raise TrainingStopped(
                    "out_of_memory",
                    f"Memory on {self.device.label} did not suffice for a batch of `{stage.name}` at step {position.step + 1:,}"
                    f"{tried} ({message}). Choose a smaller batch or model and retry.",
                )
            position.parts *= 2
            self._restore_generators(generators or {})
            self.on_event("micro_batch", f"Memory did not suffice ({message}); each batch now goes in {position.parts} parts.")
        total = losses["total"]
        norm = nn.utils.clip_grad_norm_(stage.parameters, stage.clip_norm if stage.clip_norm is not None else math.inf)
        if not (torch.isfinite(total) and torch.isfinite(norm)):
            what = f"The loss became {float(total)}" if not torch.isfinite(total) else "The gradient is not finite"
            raise TrainingStopped(
                "not_finite",
                f"{what} in `{stage.name}` at step {position.step + 1:,} (epoch {position.epoch + 1}). "
                "The last good checkpoint is kept. Lower the learning rate and retry.",
            )
        optimiser.step()
        return losses

    def _accumulate(self, stage: Stage, batch: Any, parts: int) -> dict[str, Tensor]:
        pieces = [(1.0, batch)] if parts == 1 or stage.split is None else stage.split(batch, parts)
        losses: dict[str, Tensor] = {}
        for share, piece in pieces:
            with self.accelerator.autocast():
                terms = stage.loss(piece)
            self.accelerator.backward(terms["total"] * share if share != 1.0 else terms["total"])
            for name, value in terms.items():
                losses[name] = losses.get(name, 0) + value.detach().float() * share
        return losses

    def _rate_factor(self, stage: Stage) -> float:
        position = self._position
        if position.frozen_factor is not None:
            return position.frozen_factor
        return rate_factor(stage, position.epoch * stage.batches_per_epoch + position.batch)

    # ---- stopping, saving, resuming ---------------------------------------------------------------------------------------

    def _stop_if_asked(self, optimiser: torch.optim.Optimizer) -> None:
        reason = self.should_stop()
        if reason:
            self._save(optimiser, now=True)
            kept = "resume continues from there" if self.checkpoints else "nothing was saved"
            raise TrainingStopped(reason, f"Stopped at step {self._position.step:,}; {kept}.")

    def _save(self, optimiser: torch.optim.Optimizer | None, now: bool = False) -> None:
        if self.checkpoints is None or not (now or time.monotonic() - self._saved_at >= self.checkpoint_seconds):
            return
        position = self._position
        training = {
            "position": asdict(position),
            "optimiser": optimiser.state_dict() if optimiser else None,
            **self._generators(),
        }
        best = (position.best_step, self._best) if self._best is not None else None
        self.checkpoints.save(position.step, self.model.state_dict(), training, best)
        self._saved_at = time.monotonic()

    def _restore(self, checkpoint: Checkpoint) -> Mapping[str, Any] | None:
        state = checkpoint.training()
        expected = self.model.state_dict()
        try:
            self._position = _Position(**state["position"])
        except TypeError as error:
            raise RunError(f"The checkpoint at step {checkpoint.step:,} has another form: {error}. Retry the run.") from None
        self.model.load_state_dict(checkpoint.weights(expected))
        self._best = checkpoint.best_weights(expected)
        self.on_event("resumed", f"Resumed at step {self._position.step:,}.")
        # Between two stages there is no optimiser: the next stage begins afresh.
        return state if state["optimiser"] is not None else None

    def _generators(self) -> dict[str, Any]:
        state: dict[str, Any] = {"torch_rng": torch.get_rng_state()}
        if self.device.torch.type == "cuda":
            state["cuda_rng"] = torch.cuda.get_rng_state(self.device.torch)
        return state

    def _restore_generators(self, state: Mapping[str, Any]) -> None:
        torch.set_rng_state(state["torch_rng"])
        if "cuda_rng" in state and self.device.torch.type == "cuda":
            torch.cuda.set_rng_state(state["cuda_rng"], self.device.torch)


def train(model: nn.Module, stages: Sequence[Stage], *, seed: int, **settings: Any) -> Trained:
    """Trains a model through its stages; see `Trainer` for the settings and what is raised."""
    return Trainer(model, stages, seed=seed, **settings).train()


def make_optimiser(stage: Stage) -> torch.optim.AdamW:
    """AdamW over the stage's parameters, with weight decay on matrices only (not on biases, gains and scalars)."""
    matrices = [parameter for parameter in stage.parameters if parameter.ndim >= 2]
    rest = [parameter for parameter in stage.parameters if parameter.ndim < 2]
    groups = [{"params": matrices, "weight_decay": stage.weight_decay}, {"params": rest, "weight_decay": 0.0}]
    return torch.optim.AdamW([group for group in groups if group["params"]], lr=stage.learning_rate, betas=stage.betas)


def rate_factor(stage: Stage, step: int) -> float:
    """What the learning rate is multiplied by at a step of the stage (counted from zero): linear warm-up, then the decay."""
    warm_up = stage.warm_up_epochs * stage.batches_per_epoch
    if step < warm_up:
        return (step + 1) / warm_up if warm_up >= 1 else 1.0
    if stage.decay == "constant":
        return 1.0
    end = (stage.decay_epochs if stage.decay_epochs is not None else stage.epochs) * stage.batches_per_epoch
    done = min(1.0, (step - warm_up) / max(1.0, end - warm_up))
    return 1.0 - done if stage.decay == "linear" else (1.0 + math.cos(math.pi * done)) / 2


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory ran out, on the accelerator or in the machine."""
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    return isinstance(error, RuntimeError) and any(
        words in str(error) for words in ("out of memory", "not enough memory", "can't allocate memory")
    )


def _copy(model: nn.Module) -> dict[str, Tensor]:
    return {name: value.detach().to("cpu", copy=True) for name, value in model.state_dict().items()}


@contextmanager
def _only_trains(model: nn.Module, parameters: Sequence[nn.Parameter]) -> Iterator[None]:
    """Within the block gradients go to these parameters only."""
    before = [(parameter, parameter.requires_grad) for parameter in model.parameters()]
    chosen = {id(parameter) for parameter in parameters}
    assert chosen <= {id(parameter) for parameter, _ in before}, "a stage trains parameters the model does not have"
    try:
        for parameter, _ in before:
            parameter.requires_grad_(id(parameter) in chosen)
        yield
    finally:
        for parameter, required in before:
            parameter.requires_grad_(required)
            parameter.grad = None
