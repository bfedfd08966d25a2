"""What predictors answer: places with probabilities, points on the map, curves of cells."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from engine.city.samples import Histories, Places
from engine.models.declarations import Effect

if TYPE_CHECKING:
    from engine.city.cell_samples import CellSamples
    from engine.encoders.cell_features import CellInputs


@dataclass(frozen=True, eq=False)
class Prediction:
    """What a predictor answers for a batch of histories.

    Attributes:
        log_probability: (sample, location) float32 over all places of the city; -inf where a place cannot be answered.
            Rows sum to one after exp. Baselines without probabilities give normalised scores in the order of their ranking.
        normalised: Whether the values are probabilities in earnest; screens say so when they are not.
    """

    log_probability: np.ndarray
    normalised: bool = True

    def open_only(self, places: Places) -> "Prediction":
        """The same answer with closed places taken out and their probability shared out in proportion.

        A sample all of whose answerable places are closed keeps -inf everywhere.
        """
        if not places.closed.any():
            return self
        left = np.where(places.closed, -np.inf, self.log_probability)
        peak = left.max(axis=1, keepdims=True)
        peak[np.isneginf(peak)] = 0.0
        with np.errstate(divide="ignore", invalid="ignore"):
            total = np.log(np.exp(left - peak).sum(axis=1, keepdims=True)) + peak
            shared = np.where(np.isneginf(total), -np.inf, left - total)
        return Prediction(shared.astype(np.float32), self.normalised)


def share_name(normalised: bool) -> str:
    """What people are told the values of a prediction are: `probability`, or `score` where they only add up to one."""
    return "probability" if normalised else "score"


class Predictor(Protocol):
    """Anything that ranks places for histories: models and baselines alike."""

    name: str
    title: str

    def predict(self, histories: Histories) -> Prediction:
        """Scores for every place of the city, per sample. Deterministic."""
        ...


@dataclass(frozen=True, eq=False)
class CurvePrediction:
    """What a predictor answers for cells: the trips that leave each of them, per hour of the day.

    Attributes:
        flow: (cell, 24) float32 trips in local hours, not negative, in the order of the cells that were asked for.
        low, high: (cell, 24) bounds of the 80 % interval in trips; None if the predictor gives none.
        bin_probability: (cell, 24, bin) probability of each magnitude bin, or None.
        bin_edges: (bin + 1,) edges in z units (standardised log of 1 + trips), or None.
    """

    flow: np.ndarray
    low: np.ndarray | None = None
    high: np.ndarray | None = None
    bin_probability: np.ndarray | None = None
    bin_edges: np.ndarray | None = None


class CurvePredictor(Protocol):
    """Anything that gives every cell its 24-hour curve: models and baselines alike."""

    name: str
    title: str

    def predict_curves(self, inputs: "CellInputs", cells: "CellSamples") -> CurvePrediction:
        """The curves of all cells, from static inputs alone. Deterministic; never reads `cells.outflow` of the cells it answers."""
        ...

    def effects(self) -> dict[str, Effect]:
        """What each kind of edit of cells needs to matter here; see `MobilityModel.effects`."""
        ...


@dataclass(frozen=True, eq=False)
class PointAnswer:
    """Where a model that answers with a point on the map says the next visit will be, before it is snapped to a place.

    Attributes:
        x, y: (sample,) float64 metres in the city's CRS: the predicted point; of a mixture the centre of its heaviest guess.
        component_x, component_y: (sample, component) centres of the guesses it consists of; (sample, 0) where there is one point only.
        component_weight: (sample, component), rows sum to one.
        component_spread_m: (sample, component) standard deviation of each guess, metres.
        layer_x, layer_y: (sample, layer) where the point would lie after each layer of the model, the last being the point itself;
            (sample, 0) where a model cannot tell.
        meaning: One sentence: how places are ranked from it.
    """

    x: np.ndarray
    y: np.ndarray
    component_x: np.ndarray
    component_y: np.ndarray
    component_weight: np.ndarray
    component_spread_m: np.ndarray
    layer_x: np.ndarray
    layer_y: np.ndarray
    meaning: str
