"""Baselines that copy: the mean curve, the cells nearest on the map, the cells most alike in what is known of them."""

from typing import TYPE_CHECKING

import numpy as np
from scipy.spatial.distance import cdist

from engine.city.cell_samples import CellSamples
from engine.models.baselines.curve_base import CurveBaseline, Curves, Fit
from engine.models.baselines.curve_features import FeatureTable

if TYPE_CHECKING:
    from engine.encoders.cell_features import CellInputs

NEIGHBOURS = (1, 2, 3, 5, 8, 12, 20, 40)
POWERS = (1.0, 1.5, 2.0, 3.0, 4.0)
_CHUNK = 2048


def hourly_mean(fit: Fit) -> CurveBaseline:
    """The same curve for every cell: the mean of the training cells' z per hour."""
    mean = fit.z[fit.train].mean(axis=0)

    def curves(inputs: "CellInputs", cells: CellSamples) -> np.ndarray:
        return np.repeat(mean[None], len(cells), axis=0)

    return fit.finished("hourly_mean", "Hourly mean", curves)


def spatial_neighbours(fit: Fit) -> CurveBaseline:
    """The mean z of the k training cells whose centroids are nearest; a training cell does not count among its own neighbours."""
    curves, k = fit.tuned(_upto(fit), min(5, len(fit.train) - 1), lambda k: _nearest(fit, _Positions(), _equal(k)))
    return fit.finished("spatial_neighbours", "Nearest cells on the map", curves, k=k)


def inverse_distance(fit: Fit) -> CurveBaseline:
    """The mean z of all training cells, weighted with a power of the inverse distance (Shepard 1968)."""
    curves, power = fit.tuned(POWERS, 2.0, lambda power: _nearest(fit, _Positions(), _by_distance(power)))
    return fit.finished("inverse_distance", "Inverse distance", curves, power=power)


def alike_neighbours(fit: Fit) -> CurveBaseline:
    """The mean z of the k training cells most alike in the standardised columns."""
    curves, k = fit.tuned(_upto(fit), min(5, len(fit.train) - 1), lambda k: _nearest(fit, _Columns(fit.features), _equal(k)))
    return fit.finished("alike_neighbours", "Cells most alike", curves, k=k)


class _Positions:
    def __call__(self, inputs: "CellInputs", cells: CellSamples) -> np.ndarray:
        return np.stack([cells.x, cells.y], axis=1)


class _Columns:
    def __init__(self, features: FeatureTable) -> None:
        self.features = features

    def __call__(self, inputs: "CellInputs", cells: CellSamples) -> np.ndarray:
        return self.features.table(inputs)


def _nearest(fit: Fit, where: "_Positions | _Columns", weigh: "_equal | _by_distance") -> Curves:
    known, z = where(fit.inputs, fit.cells)[fit.train], fit.z[fit.train]
    ids = fit.cells.cell_ids[fit.train]

    def curves(inputs: "CellInputs", cells: CellSamples) -> np.ndarray:
        points, answer = where(inputs, cells), np.empty((len(cells), 24))
        for begin in range(0, len(cells), _CHUNK):
            rows = slice(begin, begin + _CHUNK)
            # To the millimetre: cells of a grid are equally far apart but for the rounding of a projection.
            distance = np.round(cdist(points[rows], known), 3)
            distance[cells.cell_ids[rows, None] == ids] = np.inf
            answer[rows] = weigh(distance) @ z
        return answer

    return curves


class _equal:
    """Weights of the k nearest; equally near ones in the order of the cells."""

    def __init__(self, k: int) -> None:
        self.k = k

    def __call__(self, distance: np.ndarray) -> np.ndarray:
        nearest = np.argsort(distance, axis=1, kind="stable")[:, : self.k]
        weight = np.zeros(distance.shape)
        np.put_along_axis(weight, nearest, 1 / nearest.shape[1], axis=1)
        return weight


class _by_distance:
    """Weights by a power of the inverse distance, summing to one."""

    def __init__(self, power: float) -> None:
        self.power = power

    def __call__(self, distance: np.ndarray) -> np.ndarray:
        weight = (distance.min(axis=1, keepdims=True).clip(1e-9) / distance.clip(1e-9)) ** self.power
        return np.asarray(weight / weight.sum(axis=1, keepdims=True))


def _upto(fit: Fit) -> tuple[int, ...]:
    return tuple(k for k in NEIGHBOURS if k < len(fit.train))
