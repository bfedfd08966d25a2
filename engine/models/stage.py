"""One phase of training, as a model declares it and the trainer runs it."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from torch import Tensor, nn


@dataclass(frozen=True)
class Stage:
    """One phase of training with its own data, parameters and schedule.

    Attributes:
        name: What the phase does, for the job card.
        parameters: What is trained; everything else stays frozen.
        batches: (epoch, generator) -> training batches; order and draws come from the generator alone.
        batches_per_epoch: Number of optimiser steps in an epoch.
        loss: batch -> named terms; `total` is minimised. Called with the model in training mode.
        validate: () -> named metrics, model in evaluation mode; `monitor` names the one to watch.
        monitor: Key of `validate` for early stopping and the best checkpoint.
        mode: Whether the monitored value should fall or rise.
        learning_rate, weight_decay, betas, clip_norm: Optimiser (AdamW, decay on matrices only) settings.
        epochs: Most epochs.
        warm_up_epochs: Linear warm-up, per step.
        decay: What the rate does after warm-up.
        decay_epochs: Epoch at which the decay has reached zero; None means `epochs`.
        patience: So many epochs in a row without improvement end the stage (or trigger a restart).
        minimum_improvement: What counts as improvement.
        restarts: How often to go back to the best weights at a tenth of the rate before stopping; the rate stays put from then on.
        split: (batch, parts) -> micro-batches, each with its share of the batch's loss (shares sum to one), so that a batch that
            does not fit into memory can be accumulated. None where a batch cannot be split without changing the loss.
    """

    name: str
    parameters: list[nn.Parameter]
    batches: Callable[[int, np.random.Generator], Iterable[Any]]
    batches_per_epoch: int
    loss: Callable[[Any], Mapping[str, Tensor]]
    validate: Callable[[], Mapping[str, float]]
    monitor: str
    mode: Literal["min", "max"] = "min"
    learning_rate: float = 1e-3
    weight_decay: float = 0.01
    betas: tuple[float, float] = (0.9, 0.999)
    clip_norm: float | None = 1.0
    epochs: int = 50
    warm_up_epochs: float = 0.0
    decay: Literal["constant", "linear", "cosine"] = "constant"
    decay_epochs: float | None = None
    patience: int = 3
    minimum_improvement: float = 0.0
    restarts: int = 0
    split: Callable[[Any, int], Sequence[tuple[float, Any]]] | None = None
