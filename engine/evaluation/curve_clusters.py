"""Cells whose days are alike in level and shape: agglomerative clusters of log curves, and the words that are typical of each."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from engine.errors import MobiscopeError

FEWEST, MOST = 2, 9
"""Numbers of clusters offered (LMEMR §5.6 shows seven)."""

_WORD = re.compile(r"[a-zà-ÿ][a-zà-ÿ'-]{2,}", re.IGNORECASE)
_EMPTY = frozenset(
    "and are but for has have its not per than that the there this with within most more some about few each other others area cell "
    "from into over under very also was were one two three here many much around between such which while".split()
)


def curve_clusters(curves: np.ndarray, count: int) -> np.ndarray:
    """Clusters of log1p curves by agglomeration with Ward's criterion; level and shape both count (LMEMR §5.6).

    Args:
        curves: (cell, 24) trips; cells with an unknown hour belong to no cluster.
        count: How many clusters, 2 to 9; fewer come back where there are fewer distinct curves.

    Returns:
        (cell,) int64 from 0, numbered from the busiest cluster to the quietest; -1 where a cell belongs to none.

    Raises:
        MobiscopeError: If fewer cells than clusters have a whole curve, or the number is not offered.
    """
    from scipy.cluster.hierarchy import fcluster, linkage

    if not FEWEST <= count <= MOST:
        raise MobiscopeError(f"Curves are divided into {FEWEST} to {MOST} clusters, not {count}.")
    known = np.isfinite(curves).all(axis=1)
    if known.sum() < count:
        raise MobiscopeError(f"Only {int(known.sum())} cells have a whole curve; they cannot be divided into {count} clusters.")
    logs = np.log1p(np.maximum(np.asarray(curves[known], np.float64), 0))
    found = fcluster(linkage(logs, "ward"), count, "maxclust")
    level = {label: -logs[found == label].mean() for label in np.unique(found)}
    order = {label: rank for rank, label in enumerate(sorted(level, key=lambda label: (level[label], label)))}
    answer = np.full(len(curves), -1, np.int64)
    answer[known] = [order[label] for label in found]
    return answer


def words_of(captions: Sequence[str]) -> Counter[str]:
    """How many of these texts hold each word, lower case, without numbers and words that say nothing."""
    counted: Counter[str] = Counter()
    for text in captions:
        counted.update({word.lower() for word in _WORD.findall(text)} - _EMPTY)
    return counted


def typical_words(captions: Mapping[str, Sequence[str]], clusters: np.ndarray, most: int = 6) -> pd.DataFrame:
    """Words that stand in a cluster's descriptions more often than in those of the rest.

    The log-odds ratio with an informative Dirichlet prior (Monroe, Colaresi and Quinn 2008, eq. 16 to 22), over cells that hold a
    word; z above 1.96 is more than chance gives but one word in forty.

    Args:
        captions: Modality to one text per cell, empty where there is none.
        clusters: (cell,) as from `curve_clusters`.
        most: Most words per cluster.

    Returns:
        (cluster, word, z, share, share_elsewhere): most typical first; shares of the cells whose descriptions hold the word. Empty
        where nothing is described.
    """
    joined = [" ".join(texts) for texts in zip(*captions.values(), strict=True)] if captions else [""] * len(clusters)
    inside = np.asarray(clusters) >= 0
    everything = words_of([text for text, flag in zip(joined, inside, strict=True) if flag]) if joined else Counter()
    rows: list[tuple[int, str, float, float, float]] = []
    prior_total = sum(everything.values())
    for cluster in np.unique(np.asarray(clusters)[inside]):
        mine = np.asarray(clusters) == cluster
        own = words_of([text for text, flag in zip(joined, mine, strict=True) if flag])
        own_total, count, others = sum(own.values()), int(mine.sum()), int((inside & ~mine).sum())
        scored = []
        for word, total in everything.items():
            if not own[word] or total < 2:
                continue
            rest = total - own[word]
            first = (own[word] + total) / max(own_total + prior_total - own[word] - total, 1e-9)
            second = (rest + total) / max(2 * prior_total - own_total - rest - total, 1e-9)
            z = np.log(first / second) / np.sqrt(1 / (own[word] + total) + 1 / (rest + total))
            if z > 0:
                scored.append((int(cluster), word, float(z), own[word] / count, rest / others if others else float("nan")))
        rows += sorted(scored, key=lambda row: (-row[2], row[1]))[:most]
    return pd.DataFrame(rows, columns=["cluster", "word", "z", "share", "share_elsewhere"])
