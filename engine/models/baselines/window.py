"""Baselines that look at nothing but the sample's own history window; nothing is learnt.

Their tie rules are part of their definition (specs/calliper.md §5; the rules were found by reproducing its table): places with the
same score are ordered by their latest visit, newest first. The opposite rule is stronger, because people seldom go straight back to
where they have just been; `WindowMarkovOldest` is the table's Markov chain with that rule, so that the floor is as high as it can
honestly be. A place outside the window cannot be answered. An empty window, which only an edited query has, is answered with the
popularity of places in training.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np

from engine.city.samples import Histories, VisitLog
from engine.models.answers import Prediction
from engine.models.baselines.rankings import log_share, popularity_share, sample_of_step, sum_by_place, write_rankings

RECENCY_DECAY = 0.9


@dataclass(frozen=True, eq=False)
class WindowBaseline(ABC):
    """A ranking of the places in the window.

    Attributes:
        name: Key in `BASELINES`.
        title: Name on screen.
        otherwise: (location,) float32 log-probabilities for an empty window.
    """

    name: str
    title: str
    otherwise: np.ndarray

    @abstractmethod
    def predict(self, histories: Histories) -> Prediction:
        """Scores for every place, (sample, location)."""

    def _shape(self, histories: Histories) -> tuple[int, int]:
        return len(histories), len(histories.places)


class LastPlace(WindowBaseline):
    """The place of the latest visit, and no other."""

    def predict(self, histories: Histories) -> Prediction:
        """Log-probability 0 for the last place, -inf elsewhere."""
        sample = np.flatnonzero(histories.lengths)
        one = np.ones(len(sample))
        location = histories.location[histories.last[sample]]
        return Prediction(
            write_rankings(self._shape(histories), sample, location, one, one, self.otherwise), normalised=False
        ).open_only(histories.places)


class WindowFrequency(WindowBaseline):
    """Visits to each place of the window; ties go to the place visited latest."""

    def predict(self, histories: Histories) -> Prediction:
        """Logarithm of the share of the window's visits."""
        sample, location, count, latest = sum_by_place(histories, np.ones(len(histories.location)))
        return Prediction(write_rankings(self._shape(histories), sample, location, count, latest, self.otherwise)).open_only(
            histories.places
        )


class RecencyWeighted(WindowBaseline):
    """Visits to each place of the window, each weighing a constant factor less than the one after it."""

    def predict(self, histories: Histories) -> Prediction:
        """Logarithm of the share of the window's decayed visits."""
        age = histories.last[sample_of_step(histories)] - np.arange(len(histories.location))
        sample, location, weight, latest = sum_by_place(histories, RECENCY_DECAY ** np.minimum(age, 5000))
        return Prediction(write_rankings(self._shape(histories), sample, location, weight, latest, self.otherwise)).open_only(
            histories.places
        )


class WindowMarkov(WindowBaseline):
    """What followed earlier visits to the last place in this window, then the other places by window frequency.

    Successors are ordered by how often they followed, ties by which of them followed first; the rest as `WindowFrequency`.
    Scores are no probabilities: one transition weighs more than any number of visits.
    """

    def predict(self, histories: Histories) -> Prediction:
        """Logarithm of scores in the order of the ranking."""
        sample, location, count, latest = sum_by_place(histories, np.ones(len(histories.location)))
        entry, times, first = _successors(histories, sample, location)
        score = count / (histories.lengths[sample] + 1.0)
        score[entry] = times
        tie = latest.copy()
        tie[entry] = -first
        return Prediction(
            write_rankings(self._shape(histories), sample, location, score, tie, self.otherwise), normalised=False
        ).open_only(histories.places)


class WindowMarkovOldest(WindowBaseline):
    """As `WindowMarkov`, with ties among successors by window frequency and all further ties by who was visited longest ago."""

    def predict(self, histories: Histories) -> Prediction:
        """Logarithm of scores in the order of the ranking."""
        sample, location, count, latest = sum_by_place(histories, np.ones(len(histories.location)))
        entry, times, _ = _successors(histories, sample, location)
        score = count / (histories.lengths[sample] + 1.0)
        score[entry] += times
        ranking = write_rankings(self._shape(histories), sample, location, score, -latest, self.otherwise)
        return Prediction(ranking, normalised=False).open_only(histories.places)


def _successors(histories: Histories, sample: np.ndarray, location: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What followed the last place inside each window.

    Args:
        histories: The batch.
        sample: (entry,) as from `sum_by_place`.
        location: (entry,) as from `sum_by_place`.

    Returns:
        Which entries followed, how often, and the step at which each first did.
    """
    places, of_step = len(histories.places), sample_of_step(histories)
    follows = np.zeros(len(of_step), bool)
    follows[1:] = (of_step[1:] == of_step[:-1]) & (histories.location[:-1] == histories.location[histories.last[of_step[1:]]])
    step = np.flatnonzero(follows)
    key = of_step[step] * places + histories.location[step]
    successor, first, times = np.unique(key, return_index=True, return_counts=True)
    return np.searchsorted(sample * places + location, successor), times, step[first]


def last_place(log: VisitLog, seed: int = 0) -> LastPlace:
    """`LastPlace` for a log."""
    return LastPlace("last_place", "Last place", log_share(popularity_share(log)))


def window_frequency(log: VisitLog, seed: int = 0) -> WindowFrequency:
    """`WindowFrequency` for a log."""
    return WindowFrequency("window_frequency", "Most frequent in the window", log_share(popularity_share(log)))


def recency_weighted(log: VisitLog, seed: int = 0) -> RecencyWeighted:
    """`RecencyWeighted` for a log."""
    return RecencyWeighted("recency_weighted", "Recency-weighted window", log_share(popularity_share(log)))


def window_markov(log: VisitLog, seed: int = 0) -> WindowMarkov:
    """`WindowMarkov` for a log."""
    return WindowMarkov("window_markov", "Markov in the window", log_share(popularity_share(log)))


def window_markov_oldest(log: VisitLog, seed: int = 0) -> WindowMarkovOldest:
    """`WindowMarkovOldest` for a log."""
    return WindowMarkovOldest(
        "window_markov_oldest", "Markov in the window, longest unvisited first", log_share(popularity_share(log))
    )
