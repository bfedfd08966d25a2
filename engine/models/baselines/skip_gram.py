"""Skip-gram with negative sampling over the places of a day: the embedding baseline of "Into the Unknown" (specs/calliper.md §11).

Sentences are the training visits of one user on one local day, so that no stretch is counted twice (the published code slides
overlapping windows over the visits and loses the last neighbour of each, §6 #13). Neighbours are one visit apart, in both
directions. Negatives are drawn by visits to the power 3/4 (Mikolov et al. 2013).

As a predictor: the training optimum of a dot product is `log p(neighbour | place) - log q(neighbour) - log(negatives)`, q being the
distribution of negatives (Levy and Goldberg 2014). Adding log q back and normalising gives a distribution of neighbours, asked at
the latest place of the history that was seen in training; without one, popularity answers. Neighbours lie before as well as after
a place, so these are scores rather than probabilities of the next place.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional

from engine.city.samples import Histories, VisitLog
from engine.models.answers import Prediction
from engine.models.base import Report
from engine.models.baselines.rankings import log_share, popularity_share, sample_of_step, with_new_places


@dataclass(frozen=True)
class SkipGramSettings:
    """Settings of `skip_gram_vectors`; values of specs/calliper.md, section 11.

    Attributes:
        dimensions: Length of a vector.
        negatives: Draws per neighbour.
        epochs: Passes over the pairs, at least.
        steps: Steps to take at least, in whole epochs: a small city has too few pairs to leave the initial values in the epochs
            that suffice for a large one.
        learning_rate: Of Adam, on the rows a batch touches.
        batch: Pairs per step.
    """

    dimensions: int = 128
    negatives: int = 5
    epochs: int = 10
    steps: int = 600
    learning_rate: float = 1e-3
    batch: int = 256


@dataclass(frozen=True, eq=False)
class SkipGram:
    """Neighbour scores between fitted vectors.

    Attributes:
        vectors: (location, dimension) float32 of a place as the centre; zero for places without a training visit.
        neighbours: (location, dimension) float32 of a place as the neighbour.
        log_noise: (location,) float32, log q; -inf for places without a training visit.
        otherwise: (location,) float32, log popularity.
    """

    name: str
    title: str
    vectors: np.ndarray
    neighbours: np.ndarray
    log_noise: np.ndarray
    otherwise: np.ndarray

    def predict(self, histories: Histories) -> Prediction:
        """Log of the normalised neighbour scores at the latest place known from training."""
        places = len(histories.places)
        known = with_new_places(np.isfinite(self.log_noise), places, False)[histories.location]
        latest = np.full(len(histories), -1, np.int64)
        np.maximum.at(latest, sample_of_step(histories)[known], np.flatnonzero(known))
        answered = latest >= 0
        # Many samples ask at the same place: score each place once.
        centre, row = np.unique(histories.location[latest[answered]], return_inverse=True)
        scores = self.vectors[centre] @ self.neighbours.T + self.log_noise
        scores -= scores.max(1, keepdims=True, initial=-1e30)
        scores -= np.log(np.exp(scores).sum(1, keepdims=True))
        result = np.repeat(with_new_places(self.otherwise, places, -np.inf)[None], len(histories), axis=0)
        result[answered] = with_new_places(scores, places, -np.inf)[row]
        return Prediction(result, normalised=False).open_only(histories.places)


def skip_gram(log: VisitLog, seed: int = 0) -> SkipGram:
    """`SkipGram` fitted on a log's training part."""
    vectors, neighbours = skip_gram_vectors(log, seed)
    share = popularity_share(log)
    noise = np.where(log.seen, share, 0.0) ** 0.75
    log_noise = log_share(noise / noise.sum() if noise.sum() else noise)
    return SkipGram("skip_gram", "Skip-gram", vectors, neighbours, log_noise, log_share(share))


def skip_gram_vectors(
    log: VisitLog, seed: int = 0, settings: SkipGramSettings | None = None, report: Report | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Fits skip-gram vectors on the training part of a log.

    Args:
        log: The visits.
        seed: Initial values, order of pairs and negatives.
        settings: Defaults of the specification.
        report: Told the share done.

    Returns:
        Centre and neighbour vectors, each (location, dimension) float32; rows of places without a training visit are zero.
    """
    chosen = settings or SkipGramSettings()
    generator = torch.Generator().manual_seed(seed)
    centre, neighbour = neighbour_pairs(log)
    visits = np.bincount(log.location[log.training()], minlength=len(log.places))
    shape = (len(log.places), chosen.dimensions)
    # As in word2vec: centres start small and uniform, neighbours at zero.
    vectors = ((torch.rand(shape, generator=generator) - 0.5) / chosen.dimensions).requires_grad_()
    neighbours = torch.zeros(shape, requires_grad=True)
    # Steps this small cost more to share between threads than to do, and one thread adds up in one order on every machine.
    with one_thread():
        optimiser = torch.optim.SparseAdam([vectors, neighbours], lr=chosen.learning_rate)
        cumulative = torch.from_numpy(np.cumsum(visits**0.75 / max((visits**0.75).sum(), 1.0)))
        steps = math.ceil(len(centre) / chosen.batch)
        epochs = max(chosen.epochs, math.ceil(chosen.steps / steps)) if steps else 0
        for epoch in range(epochs):
            order = torch.randperm(len(centre), generator=generator).numpy()
            for begin in range(0, len(order), chosen.batch):
                if report:
                    report("Fitting skip-gram", (epoch + begin / len(order)) / epochs)
                pairs = order[begin : begin + chosen.batch]
                draws = torch.rand(len(pairs) * chosen.negatives, generator=generator, dtype=torch.float64)
                negative = torch.searchsorted(cumulative, draws).clamp(max=len(visits) - 1).view(len(pairs), -1)
                context = torch.cat([torch.from_numpy(neighbour[pairs])[:, None], negative], dim=1)  # (pair, 1 + negative)
                at_centre = functional.embedding(torch.from_numpy(centre[pairs]), vectors, sparse=True)
                around = functional.embedding(context, neighbours, sparse=True)
                scores = torch.einsum("pd,pnd->pn", at_centre, around)
                loss = -(functional.logsigmoid(scores[:, 0]) + functional.logsigmoid(-scores[:, 1:]).sum(1)).mean()
                optimiser.zero_grad()
                loss.backward()
                optimiser.step()
    seen = torch.from_numpy(visits > 0)[:, None]
    return (vectors.detach() * seen).numpy(), (neighbours.detach() * seen).numpy()


@contextmanager
def one_thread() -> Iterator[None]:
    """Lets torch compute with one thread while the block runs."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def neighbour_pairs(log: VisitLog) -> tuple[np.ndarray, np.ndarray]:
    """(pair,) int64 centres and neighbours: visits next to each other on one local day of one user, in both directions."""
    training = log.training()
    user, day, location = log.user[training], log.day[training], log.location[training].astype(np.int64)
    is_next = (np.diff(training) == 1) & (np.diff(user) == 0) & (np.diff(day) == 0)
    first, second = location[:-1][is_next], location[1:][is_next]
    return np.concatenate([first, second]), np.concatenate([second, first])
