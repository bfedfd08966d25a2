"""From short ranked lists to score matrices: how a baseline's order, ties included, survives in float32 log-probabilities."""

import numpy as np

from engine.city.samples import Histories, VisitLog


def popularity_share(log: VisitLog) -> np.ndarray:
    """(location,) float64: the share of training visits each place has; uniform where there are no training visits."""
    visits = np.bincount(log.location[log.training()], minlength=len(log.places)).astype(np.float64)
    return visits / visits.sum() if visits.sum() else np.full(len(visits), 1 / max(len(visits), 1))


def log_share(share: np.ndarray) -> np.ndarray:
    """Natural logarithm as float32, -inf where the share is zero."""
    with np.errstate(divide="ignore"):
        return np.log(share).astype(np.float32)


def with_new_places(values: np.ndarray, places: int, fill: float) -> np.ndarray:
    """(..., location) with columns of `fill` appended for places that an edit of the city added after fitting."""
    width = [(0, 0)] * (values.ndim - 1) + [(0, places - values.shape[-1])]
    return np.pad(values, width, constant_values=fill)


def sample_of_step(histories: Histories) -> np.ndarray:
    """(step,) int64: the sample each visit of the packed histories belongs to."""
    return np.repeat(np.arange(len(histories)), histories.lengths)


def sum_by_place(histories: Histories, weight: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Sums a weight per visit over the distinct places of each history.

    Args:
        histories: The batch.
        weight: (step,) float64.

    Returns:
        For every (sample, place) that occurs: sample, place, sum of weights, and the step of its latest visit.
    """
    key = sample_of_step(histories) * len(histories.places) + histories.location
    distinct, inverse = np.unique(key, return_inverse=True)
    latest = np.zeros(len(distinct), np.int64)
    np.maximum.at(latest, inverse, np.arange(len(key)))
    total = np.bincount(inverse, weights=weight, minlength=len(distinct))
    return distinct // len(histories.places), distinct % len(histories.places), total, latest


def write_rankings(
    shape: tuple[int, int],
    sample: np.ndarray,
    location: np.ndarray,
    score: np.ndarray,
    tie: np.ndarray,
    otherwise: np.ndarray,
) -> np.ndarray:
    """Log-probabilities proportional to positive scores, in strict order of (score, tie, location index).

    Equal scores would come out as equal numbers and lose the tie rule; they are set apart by the smallest steps float32 knows,
    so that rows still sum to one within rounding.

    Args:
        shape: (sample, location) of the result.
        sample: (entry,) sample of each place that can be answered.
        location: (entry,) the place.
        score: (entry,) positive.
        tie: (entry,) among equal scores the larger comes first.
        otherwise: (location at fitting,) log-probabilities for samples without any entry.

    Returns:
        (sample, location) float32, -inf where there is no entry.
    """
    result = np.full(shape, -np.inf, np.float32)
    result[np.bincount(sample, minlength=shape[0]) == 0] = with_new_places(otherwise, shape[1], -np.inf)
    order = np.lexsort((location, -tie, -score, sample))
    sample, location, score = sample[order], location[order], score[order]
    share = score / np.bincount(sample, weights=score, minlength=shape[0])[sample]
    # For floats with the sign bit set, the bit patterns grow as the values fall: the next smaller float is pattern + 1.
    pattern = (-np.abs(np.log(share).astype(np.float32))).view(np.uint32).astype(np.int64)
    steps = np.arange(len(pattern)) - sample * 2**33
    pattern = np.maximum.accumulate(pattern - steps) + steps
    result[sample, location] = pattern.astype(np.uint32).view(np.float32)
    return result
