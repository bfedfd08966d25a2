"""Dropout that can also be asked for outside of training, to see how sure a trained network is of an answer (Gal and Ghahramani 2016)."""

from contextlib import AbstractContextManager
from contextvars import ContextVar

import torch
from torch import Tensor, nn

from engine.blocks import held

_source: ContextVar[torch.Generator | None] = ContextVar("dropout_source", default=None)


class Dropout(nn.Dropout):
    """`nn.Dropout` that also drops within `dropping`: there by draws of its own, which no other thread and no other model shares."""

    def forward(self, value: Tensor) -> Tensor:
        """Values of any shape, some of them zero and the others larger, so that sums stay what they were on average."""
        source = _source.get()
        if source is None or not self.p:
            return super().forward(value)
        kept = torch.rand(value.shape, generator=source, device=value.device) >= self.p
        return value * kept / (1 - self.p)


def dropping(seed: int, device: torch.device | str = "cpu") -> AbstractContextManager[torch.Generator | None]:
    """Within it every `Dropout` asked by this thread drops units, the same ones for the same seed and shapes.

    So a model asked before and after an edit under one seed is the same thinned network twice, and the difference is the edit's.

    Args:
        seed: Of the draws.
        device: Where the model computes.
    """
    return held(_source, torch.Generator(device).manual_seed(seed))
