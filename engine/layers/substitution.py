"""Where the probability of a closed place goes.

Taking a place out and renormalising hands its probability to all others in proportion, whatever they are: the independence of
irrelevant alternatives, and its red bus and blue bus (McFadden 1974; Train, "Discrete choice methods with simulation", ch. 3-4).
Nested and cross-nested logit let alternatives that share something unobserved substitute each other more: whoever wanted a coffee
still wants one. No record of visits shows a closing, so the nests cannot be learned from it and are assumed: a place stands in for
another as far as both are of one kind or near each other; a given share of the closed place's probability stays with its stand-ins,
in proportion to their own probability and to how well they stand in, and the rest goes to everything open in proportion.
"""

import numpy as np

_ELSEWHERE = 0.1
_CHUNK = 256


def stand_in(category: np.ndarray, likeness: np.ndarray, metres: np.ndarray, closed: np.ndarray, reach: float) -> np.ndarray:
    """How well every place stands in for each closed one, between 0 and 1.

    A place of the same category next door counts 1, one of that category far away 0.1, another kind next door 0.1, another kind far
    away nothing; kinds whose texts are alike lie in between.

    Args:
        category: (location,) index.
        likeness: (category, category) between 0 and 1; 1 on the diagonal.
        metres: (location, 2).
        closed: (closed,) indices of the closed places.
        reach: Metres within which a place is near: twice the standard deviation of a Gaussian of the distance.

    Returns:
        (closed, location)
    """
    apart = np.hypot(*(metres[closed][:, None] - metres[None]).transpose(2, 0, 1))
    near = np.exp(-2 * (apart / reach) ** 2)
    alike = likeness[category[closed]][:, category]
    same = category[closed][:, None] == category
    return np.maximum(np.maximum(alike, _ELSEWHERE) * near, _ELSEWHERE * same)


def pass_on(
    probability: np.ndarray,
    closed: np.ndarray,
    category: np.ndarray,
    likeness: np.ndarray,
    metres: np.ndarray,
    reach: float,
    kept: float,
) -> np.ndarray:
    """Every closed place's probability, passed to the open ones.

    Args:
        probability: (sample, location), rows sum to one.
        closed: (location,) bool.
        category: (location,) index.
        likeness: (category, category) as in `stand_in`.
        metres: (location, 2).
        reach: As in `stand_in`.
        kept: Share of a closed place's probability that stays with its stand-ins; all goes to everything where there is none.

    Returns:
        (sample, location) with zeros at the closed places; rows sum to one unless nothing open has any probability.
    """
    left = np.where(closed, 0.0, probability)
    total = left.sum(axis=1)
    gain = np.zeros_like(left)  # (sample, location) as a multiple of a place's own probability
    shut = np.flatnonzero(closed & (probability > 0).any(axis=0))
    for begin in range(0, len(shut), _CHUNK):
        part = shut[begin : begin + _CHUNK]
        stands_in = stand_in(category, likeness, metres, part, reach)
        reachable = left @ stands_in.T  # (sample, closed)
        stays = np.where(reachable > 0, kept, 0.0) * probability[:, part]
        gain += np.divide(stays, reachable, out=np.zeros_like(reachable), where=reachable > 0) @ stands_in
        leaves = (probability[:, part] - stays).sum(axis=1)
        gain += np.divide(leaves, total, out=np.zeros_like(total), where=total > 0)[:, None]
    return left * (1 + gain)


def category_likeness(vectors: np.ndarray, names: int) -> np.ndarray:
    """(category, category) in 0..1 from the categories' text vectors: how far their cosine exceeds that of nine pairs in ten.

    Args:
        vectors: (category, dimension); (category, 0) where there are no texts: then only equal categories are alike.
        names: Categories.
    """
    if names < 2 or not vectors.shape[1]:
        return np.eye(names)
    unit = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    cosine = unit @ unit.T
    usual = np.quantile(cosine[~np.eye(names, dtype=bool)], 0.9)
    alike = np.clip((cosine - usual) / max(1 - usual, 1e-6), 0, 1) ** 2
    np.fill_diagonal(alike, 1.0)
    return alike
