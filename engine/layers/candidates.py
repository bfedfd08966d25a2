"""The places that compete in a training step: all of them, or a draw where a city has too many to score."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Candidates:
    """The places of a training step.

    Attributes:
        place: (candidate,) int64.
        correction: (candidate,) what is added to scores: a drawn place stands for several that were not.
        column: (location,) int64 candidate of each place, -1 for none.
    """

    place: Tensor
    correction: Tensor
    column: np.ndarray

    @classmethod
    def draw(
        cls, seen: np.ndarray, target: np.ndarray, most: int, generator: np.random.Generator, device: torch.device
    ) -> "Candidates":
        """The targets and the other places visited in training; of more than `most` others, so many at random.

        Args:
            seen: (location,) bool, whether training visited the place.
            target: (sample,) places that must compete.
            most: How many others are scored at most.
            generator: Draws them.
            device: Where the model computes.
        """
        sure = np.unique(target)
        rest = np.setdiff1d(np.flatnonzero(seen), sure)
        stands_for = max(len(rest) / most, 1.0)
        if stands_for > 1:
            rest = np.sort(generator.choice(rest, most, replace=False))
        # So the normaliser keeps its expectation.
        correction = np.repeat([0.0, np.log(stands_for)], [len(sure), len(rest)]).astype(np.float32)
        return cls._of(np.concatenate([sure, rest]), correction, len(seen), device)

    @classmethod
    def all_of(cls, competes: np.ndarray, device: torch.device) -> "Candidates":
        """Every place that competes, (location,) bool, for itself alone."""
        place = np.flatnonzero(competes)
        return cls._of(place, np.zeros(len(place), np.float32), len(competes), device)

    @classmethod
    def _of(cls, place: np.ndarray, correction: np.ndarray, places: int, device: torch.device) -> "Candidates":
        column = np.full(places, -1, np.int64)
        column[place] = np.arange(len(place))
        return cls(torch.from_numpy(place).to(device), torch.from_numpy(correction).to(device), column)
