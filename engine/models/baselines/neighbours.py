"""Nearest windows: the training windows most like this one, and where they went next (specs/nextlocmoe.md §10, "kNN over windows").

A window is a vector: the positions of its latest visits, older ones counting less, with the local hour and the weekend of the
latest. Nobody's name is in it, so a window may borrow from another person who lives and works nearby.
"""

from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_matrix
from scipy.spatial import cKDTree

from engine.city.samples import Histories, VisitLog, build_samples
from engine.models.answers import Prediction
from engine.models.baselines.rankings import log_share, popularity_share, with_new_places

VISITS = 6
DECAY = 0.6
HOUR_WEIGHT = 0.3
WEEKEND_WEIGHT = 0.1
NEIGHBOURS = 64
POPULARITY_WEIGHT = 0.05


@dataclass(frozen=True, eq=False)
class WindowNeighbours:
    """Training windows and their targets.

    Attributes:
        name: Key in `BASELINES`.
        title: Name on screen.
        windows: Tree over the training windows (`window_vectors`), None where there is none.
        targets: (window,) where each went next.
        middle: (2,) metres, mean position of training visits.
        scale: Metres, their standard deviation.
        share: (location,) popularity; orders the places that no neighbour went to.
    """

    name: str
    title: str
    windows: cKDTree | None
    targets: np.ndarray
    middle: np.ndarray
    scale: float
    share: np.ndarray

    def predict(self, histories: Histories) -> Prediction:
        """Logarithm of the neighbours' votes: one twice as far as the nearest eighth of them hardly counts."""
        share = np.repeat(with_new_places(self.share, len(histories.places), 0.0)[None], len(histories), axis=0)
        asked = np.flatnonzero(histories.lengths)
        if self.windows is not None and len(asked):
            vectors = window_vectors(histories, self.middle, self.scale)[asked]
            count = min(NEIGHBOURS, len(self.targets))
            distance, found = self.windows.query(vectors, k=np.arange(1, count + 1))
            near = distance[:, [count // 8]] + 1e-6
            vote = np.exp(-2 * (distance / near) ** 2)
            vote /= vote.sum(1, keepdims=True)  # never zero: an eighth of the neighbours lie within `near`
            rows = np.repeat(np.arange(len(asked)), count)
            votes = csr_matrix((vote.ravel(), (rows, self.targets[found].ravel())), shape=(len(asked), len(self.share)))
            share[asked] *= POPULARITY_WEIGHT
            share[asked, : len(self.share)] += (1 - POPULARITY_WEIGHT) * votes.toarray()
        return Prediction(log_share(share)).open_only(histories.places)


def window_vectors(histories: Histories, middle: np.ndarray, scale: float) -> np.ndarray:
    """(sample, 2 * visits + 3) float64; histories shorter than that repeat their oldest visit, empty ones are zero.

    Args:
        histories: The batch.
        middle: (2,) metres.
        scale: Metres per unit.
    """
    places = histories.places
    position = (np.stack([places.x, places.y], axis=1) - middle) / scale
    vectors = np.zeros((len(histories), 2 * VISITS + 3))
    some = np.flatnonzero(histories.lengths)
    last = histories.last[some]
    for back in range(VISITS):
        visit = np.maximum(last - back, histories.offsets[:-1][some])
        vectors[some, 2 * back : 2 * back + 2] = position[histories.location[visit]] * DECAY**back
    angle = 2 * np.pi * histories.minute[last] / 1440
    vectors[some, -3] = HOUR_WEIGHT * np.cos(angle)
    vectors[some, -2] = HOUR_WEIGHT * np.sin(angle)
    vectors[some, -1] = WEEKEND_WEIGHT * (histories.weekday[last] >= 5)
    return vectors


def window_neighbours(log: VisitLog, seed: int = 0) -> WindowNeighbours:
    """`WindowNeighbours` over the samples of a log's training part."""
    samples = build_samples(log).of_part("train")
    visited = log.location[log.training()]
    at = np.stack([log.places.x[visited], log.places.y[visited]], axis=1)
    middle = at.mean(axis=0) if len(at) else np.zeros(2)
    scale = float(at.std(axis=0).mean()) if len(at) else 0.0
    scale = scale if scale > 0 else 1.0
    histories = samples.histories()
    tree = cKDTree(window_vectors(histories, middle, scale)) if len(samples) else None
    return WindowNeighbours(
        name="window_neighbours",
        title="Nearest windows",
        windows=tree,
        targets=samples.true_location.astype(np.int64),
        middle=middle,
        scale=scale,
        share=popularity_share(log),
    )
