"""What one predictor answered for cells whose flow is known, and how good its stated uncertainty is."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import pandas as pd

from engine.city.cell_samples import CellSamples
from engine.city.flow_scale import FlowScale
from engine.city.splits import PARTS
from engine.errors import MobiscopeError
from engine.models.answers import CurvePrediction

CONFIDENCE_STEPS = 10
"""Equal steps of the stated probability in which it is compared with how often the answer was right."""


@dataclass(frozen=True, eq=False)
class FlowAnswers:
    """The curves one predictor gave to cells, with what was observed.

    Attributes:
        predictor, title: Name and name on screen.
        cell_ids: (cell,) str.
        part: (cell,) int8 index into `PARTS`.
        observed: (cell, 24) float64 trips; NaN where unknown, and left out of every figure.
        flow: (cell, 24) float64 predicted trips.
        low, high: (cell, 24) float64 bounds of the 80 % interval; NaN where the predictor gives none.
        bin_probability: (cell, 24, bin) over the bins of `scale`; None where the predictor gives none over these bins.
        scale: Standardisation and bins, fitted on training cells.
    """

    predictor: str
    title: str
    cell_ids: np.ndarray
    part: np.ndarray
    observed: np.ndarray
    flow: np.ndarray
    low: np.ndarray
    high: np.ndarray
    bin_probability: np.ndarray | None
    scale: FlowScale

    def __len__(self) -> int:
        return len(self.cell_ids)

    def __getitem__(self, chosen: np.ndarray) -> "FlowAnswers":
        """The answers for these cells (positions or mask)."""
        columns = ("cell_ids", "part", "observed", "flow", "low", "high", "bin_probability")
        return replace(self, **{name: getattr(self, name)[chosen] for name in columns if getattr(self, name) is not None})

    @property
    def observed_bin(self) -> np.ndarray:
        """(cell, 24) int64; -1 where unknown."""
        return self.scale.to_bins(self.observed)

    @property
    def answered_bin(self) -> np.ndarray:
        """(cell, 24) int64: the most probable bin, or the bin of the predicted trips where there are no probabilities."""
        if self.bin_probability is None:
            return self.scale.to_bins(self.flow)
        return np.asarray(self.bin_probability.argmax(axis=2))

    @classmethod
    def of(cls, predictor: str, title: str, given: CurvePrediction, cells: CellSamples, scale: FlowScale) -> Self:
        """Checks a prediction for all cells and puts it beside what was observed.

        Raises:
            MobiscopeError: If the prediction has another shape, is not finite or is negative.
        """
        shape = cells.outflow.shape
        flow = np.asarray(given.flow, np.float64)
        if flow.shape != shape:
            raise MobiscopeError(f"{title} answered curves of shape {flow.shape} for {shape[0]} cells of 24 hours.")
        wrong = ~np.isfinite(flow) | (flow < 0)
        if wrong.any():
            cell, hour = np.argwhere(wrong)[0]
            raise MobiscopeError(
                f"{title} answered {flow[cell, hour]} trips for cell `{cells.cell_ids[cell]}` at {hour:02d}h "
                f"({int(wrong.sum()):,} such values); flows are finite and not negative. Train it again with a lower learning rate."
            )
        unknown = np.full(shape, np.nan)
        probability, edges = given.bin_probability, given.bin_edges
        if probability is not None:
            shared = edges is not None and len(edges) == scale.bins + 1 and np.allclose(edges, scale.edges, atol=1e-4)
            probability = np.asarray(probability, np.float64) if shared else None
        return cls(
            predictor,
            title,
            cells.cell_ids,
            cells.part,
            cells.outflow.astype(np.float64),
            flow,
            unknown if given.low is None else np.asarray(given.low, np.float64),
            unknown if given.high is None else np.asarray(given.high, np.float64),
            probability,
            scale,
        )

    @classmethod
    def from_frame(cls, frame: pd.DataFrame, title: str = "") -> Self:
        """The answers of one predictor for all cells from its rows of the predictions table, in the order of their ids.

        That table holds no probabilities of bins; the scale has ten equal bins of the training cells.

        Args:
            frame: Rows of one predictor, 24 hours of every cell.
            title: Name on screen.

        Raises:
            MobiscopeError: If the table holds several predictors or none.
        """
        names = frame["predictor"].astype(str).unique()
        if len(names) != 1:
            raise MobiscopeError(f"Choose the rows of one predictor; these hold {len(names)}.")
        rows = frame.sort_values(["cell_id", "hour"], kind="stable")
        observed, flow, low, high = (
            rows[name].to_numpy(np.float64).reshape(-1, 24) for name in ("observed", "predicted", "low", "high")
        )
        part = rows["part"].to_numpy(np.int8)[::24]
        scale = FlowScale.fit(observed[part == PARTS.index("train")])
        cells = rows["cell_id"].to_numpy(str)[::24]
        return cls(str(names[0]), title or str(names[0]), cells, part, observed, flow, low, high, None, scale)

    def to_frame(self) -> pd.DataFrame:
        """Long table (predictor, cell_id, hour, observed, predicted, low, high, part), cell by cell; part -1 is input only."""
        count = self.observed.size
        return pd.DataFrame(
            {
                "predictor": pd.Series([self.predictor] * count, dtype="category"),
                "cell_id": np.repeat(self.cell_ids, 24),
                "hour": np.tile(np.arange(24, dtype=np.int8), len(self)),
                "observed": self.observed.ravel().astype(np.float32),
                "predicted": self.flow.ravel().astype(np.float32),
                "low": self.low.ravel().astype(np.float32),
                "high": self.high.ravel().astype(np.float32),
                "part": np.repeat(self.part, 24),
            }
        )


def pooled_folds(folds: Sequence[FlowAnswers], scale: FlowScale) -> FlowAnswers:
    """The answers of one predictor to the test cells of every fold, as one: each cell answered by the fit that never saw it.

    Args:
        folds: One per fold, over the cells of one city.
        scale: For bins and z. Folds have training cells and so bins of their own; probabilities over those are left out.

    Returns:
        Answers of part test, in the order of the cells.

    Raises:
        MobiscopeError: If a cell is tested in more than one fold or the folds are of several predictors.
    """
    held = [fold[fold.part == PARTS.index("test")] for fold in folds]
    ids = np.concatenate([fold.cell_ids for fold in held])
    if len(set(ids)) < len(ids) or len({fold.predictor for fold in folds}) > 1:
        raise MobiscopeError("Only folds of one predictor, in which every cell is tested once, can be put together.")
    place = {cell: position for position, cell in enumerate(folds[0].cell_ids)}
    order = np.argsort([place[cell] for cell in ids], kind="stable")

    def joined(name: str) -> np.ndarray:
        return np.asarray(np.concatenate([getattr(fold, name) for fold in held])[order])

    return replace(
        held[0],
        cell_ids=ids[order],
        part=joined("part"),
        observed=joined("observed"),
        flow=joined("flow"),
        low=joined("low"),
        high=joined("high"),
        bin_probability=None,
        scale=scale,
    )


def bin_crps(probability: np.ndarray, edges: np.ndarray, value: np.ndarray) -> np.ndarray:
    """Continuous ranked probability score of a histogram: the integral of (F(x) - [x >= value])², F linear inside each bin.

    For a forecast without spread it is the absolute error, so point forecasts compare with it. Gneiting & Raftery 2007, eq. 20.

    Args:
        probability: (..., bin) that sum to one.
        edges: (bin + 1,) finite edges.
        value: (...) what came true; may lie outside the edges.

    Returns:
        (...) in the unit of the edges, lower is better.
    """
    width = np.diff(edges)
    above = np.cumsum(probability, axis=-1)
    below = above - probability
    share = np.clip((value[..., None] - edges[:-1]) / width, 0, 1)
    at_value = below + share * probability
    left = share * (below**2 + below * at_value + at_value**2)
    right = (1 - share) * ((1 - at_value) ** 2 + (1 - at_value) * (1 - above) + (1 - above) ** 2)
    outside = np.maximum(edges[0] - value, 0) + np.maximum(value - edges[-1], 0)
    return np.asarray(((left + right) * width).sum(axis=-1) / 3 + outside)


def confidence_sums(probability: np.ndarray, truth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Stated probability of the most probable bin minus whether it was right, sorted into `CONFIDENCE_STEPS`.

    Args:
        probability: (..., bin).
        truth: (...) true bin.

    Returns:
        (..., step) the excess of confidence in its step and zero elsewhere; (..., step) one in its step.
    """
    stated = probability.max(axis=-1)
    step = np.minimum((stated * CONFIDENCE_STEPS).astype(np.int64), CONFIDENCE_STEPS - 1)
    inside = np.eye(CONFIDENCE_STEPS)[step]
    return inside * (stated - (probability.argmax(axis=-1) == truth))[..., None], inside
