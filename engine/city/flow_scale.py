"""The scale of hourly flows: standardised logarithm, and bins of magnitude, both fitted on training cells only.

Flows of a city span orders of magnitude, so a grid model works on z = (ln(1 + trips) - mean) / spread, and its classification
head on bins of z (specification of LMEMR, section 2). Models, baselines and evaluation share one `FlowScale`, so that a bin means
the same everywhere.
"""

from dataclasses import dataclass
from typing import Any, Literal, Self

import numpy as np

from engine.errors import CityError, ConfigError

BinKind = Literal["equal", "quantile"]

TAIL = 0.001
"""Share of the training flows left to the open part of the first and of the last bin."""

_SMALLEST_SPREAD = 1e-6
_LARGEST_LOG = 25.0
"""exp of it is 7e10 trips an hour; a prediction beyond is a fault and must not become infinite."""


@dataclass(frozen=True)
class FlowScale:
    """How trips become z and bins, and back.

    Attributes:
        mean, spread: Mean and standard deviation of ln(1 + trips) over training cells and hours; the spread is 1 where all are equal.
        edges: (bin + 1,) ascending edges of the bins in z. The first bin is open below and the last above; their outer edges are
            the 0.1th and 99.9th percentile of the training flows and only say where the bins are centred.
    """

    mean: float
    spread: float
    edges: tuple[float, ...]

    @classmethod
    def fit(cls, outflow: np.ndarray, bins: int = 10, kind: BinKind = "equal") -> Self:
        """The scale of these flows.

        Args:
            outflow: (cell, 24) trips of the *training* cells; NaN is left out.
            bins: How many bins.
            kind: `equal` widths in z (the paper) or `quantile`, equally full. Flows that repeat can make quantiles coincide; those
                bins are merged, so there may be fewer.

        Raises:
            CityError: If no flow is known or one is negative.
            ConfigError: If there are fewer than two bins.
        """
        if bins < 2:
            raise ConfigError(f"Flows need at least two bins; found {bins}.")
        known = np.asarray(outflow, np.float64)[np.isfinite(outflow)]
        if not len(known):
            raise CityError("No training cell has a known flow, so flows cannot be put on a scale. Choose another split.")
        if known.min() < 0:
            raise CityError(f"A flow is {known.min():g}; trips are counted from 0 upwards.")
        logs = np.log1p(known)
        mean, spread = float(logs.mean()), float(logs.std())
        spread = spread if spread > _SMALLEST_SPREAD else 1.0
        z = (logs - mean) / spread
        if kind == "quantile":
            edges = np.unique(np.quantile(z, np.linspace(TAIL, 1 - TAIL, bins + 1)))
        else:
            low, high = np.quantile(z, [TAIL, 1 - TAIL])
            edges = np.linspace(float(low), float(high), bins + 1)
        if len(edges) < 3 or edges[-1] - edges[0] < _SMALLEST_SPREAD:
            edges = np.linspace(z.mean() - 0.5, z.mean() + 0.5, bins + 1)
        return cls(mean, spread, tuple(float(edge) for edge in edges))

    @property
    def bins(self) -> int:
        """Number of bins."""
        return len(self.edges) - 1

    @property
    def centres(self) -> np.ndarray:
        """(bin,) middle of each bin in z."""
        edges = np.asarray(self.edges)
        return (edges[1:] + edges[:-1]) / 2

    def to_z(self, flow: np.ndarray) -> np.ndarray:
        """From trips to z, float64 of the same shape; NaN stays NaN, negative trips count as none."""
        return (np.log1p(np.maximum(np.asarray(flow, np.float64), 0)) - self.mean) / self.spread

    def from_z(self, z: np.ndarray) -> np.ndarray:
        """From z to trips, float64 of the same shape, never negative or infinite."""
        return np.maximum(np.expm1(np.minimum(np.asarray(z, np.float64) * self.spread + self.mean, _LARGEST_LOG)), 0)

    def bins_of_z(self, z: np.ndarray) -> np.ndarray:
        """The bin of each z, int64 of the same shape; a value on an edge belongs to the bin above; -1 for NaN."""
        z = np.asarray(z, np.float64)
        return np.where(np.isnan(z), -1, np.searchsorted(np.asarray(self.edges[1:-1]), z, side="right"))

    def to_bins(self, flow: np.ndarray) -> np.ndarray:
        """The bin of each number of trips; see `bins_of_z`."""
        return self.bins_of_z(self.to_z(flow))

    def edge_flows(self) -> np.ndarray:
        """(bin + 1,) edges in trips."""
        return self.from_z(np.asarray(self.edges))

    def to_json(self) -> dict[str, Any]:
        """For the artefacts of a model."""
        return {"mean": self.mean, "spread": self.spread, "edges": list(self.edges)}

    @classmethod
    def from_json(cls, saved: dict[str, Any]) -> Self:
        """The scale that `to_json` wrote."""
        return cls(float(saved["mean"]), float(saved["spread"]), tuple(float(edge) for edge in saved["edges"]))
