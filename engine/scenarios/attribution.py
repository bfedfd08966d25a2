"""What each visit of a history did for the answer, measured by leaving it out, beside what attention looked at."""

from dataclasses import dataclass

import numpy as np
from scipy import stats

from engine.city.samples import Histories
from engine.errors import ScenarioError
from engine.layers.history_encoder import keep_latest
from engine.models.answers import Predictor
from engine.models.base import NextLocationModel
from engine.scenarios.counterfactual import join_histories
from engine.scenarios.query import edit_histories


@dataclass(frozen=True)
class LeaveOneOut:
    """The effect of every visit on one answer.

    Attributes:
        effect: (step,) change of log-probability of `place` when the visit is there rather than hidden, for every visit that
            is read, oldest first; positive visits speak for the place.
        place: Index of the place the effect is measured on.
        normalised: Whether these are probabilities in earnest; scores otherwise.
    """

    effect: np.ndarray
    place: int
    normalised: bool


def read_by(predictor: Predictor, histories: Histories) -> Histories:
    """The same questions without visits older than those the predictor reads."""
    most = predictor.longest_history if isinstance(predictor, NextLocationModel) else None
    return histories if most is None else keep_latest(histories, most)


def leave_one_out(predictor: Predictor, histories: Histories, place: int | None = None) -> LeaveOneOut:
    """Hides every visit of one history that the predictor reads, in turn.

    Older ones are left out from the start: otherwise one of them would move in for each that is hidden, and be measured with it.

    Args:
        predictor: Model or baseline.
        histories: Exactly one sample.
        place: The place whose log-probability is watched; default the top guess.

    Raises:
        ScenarioError: If there is not exactly one sample, or fewer than two visits are read of its history.
    """
    if len(histories) != 1:
        raise ScenarioError(f"Leave-one-out asks one question; {len(histories)} were given.")
    histories = read_by(predictor, histories)
    length = int(histories.lengths[0])
    if length < 2:
        raise ScenarioError("One visit of this history is read; there is nothing to leave out.")
    questions = join_histories([histories, *(edit_histories(histories, hide=(step,)) for step in range(length))])
    prediction = predictor.predict(questions).open_only(questions.places)
    scores = prediction.log_probability.astype(np.float64)
    watched = int(scores[0].argmax()) if place is None else place
    floor = -30.0  # a place that cannot be answered without the visit: finite, so that pictures can be drawn
    values = np.maximum(scores[:, watched], floor)
    return LeaveOneOut(values[0] - values[1:], watched, prediction.normalised)


def agreement(attention: np.ndarray, effect: np.ndarray) -> float:
    """Spearman correlation of attention weights with the size of the leave-one-out effects; NaN below three visits or on a tie."""
    if len(attention) != len(effect):
        raise ScenarioError(f"{len(attention)} attention weights cannot be compared with {len(effect)} effects.")
    if len(effect) < 3 or np.ptp(attention) == 0 or np.ptp(np.abs(effect)) == 0:
        return float("nan")
    return float(stats.spearmanr(attention, np.abs(effect)).statistic)


def rollout(attention: np.ndarray) -> np.ndarray:
    """Attention rollout (Abnar and Zuidema 2020): how much of every position reaches every other through all layers.

    Args:
        attention: (layer, head, query, key), rows summing to one.

    Returns:
        (query, key), rows summing to one.
    """
    mean = attention.mean(axis=1)
    flow = np.eye(mean.shape[-1])
    for layer in mean:
        mixed = 0.5 * layer + 0.5 * np.eye(layer.shape[-1])
        flow = (mixed / mixed.sum(axis=-1, keepdims=True)) @ flow
    return flow
