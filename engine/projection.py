"""Embeddings in the plane: UMAP, t-SNE and PCA, with scores that say how far a picture can be trusted."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from sklearn.manifold import trustworthiness
from sklearn.neighbors import NearestNeighbors

from engine import store
from engine.errors import MobiscopeError

Method = Literal["umap", "tsne", "pca"]
Report = Callable[[str, float], None]
MOST_POINTS = 20_000
SCORED_POINTS = 2_000
NEIGHBOURS = 15
FEWEST_POINTS = 5


@dataclass(frozen=True)
class Projection:
    """Points in the plane.

    Attributes:
        position: (point, 2) float32.
        chosen: (point,) rows of the embedding that are shown; all of them unless there were too many.
        total: How many there were.
        trustworthiness: Share of neighbours in the picture that are neighbours in earnest (Venna and Kaski 2006), 0 to 1.
        neighbour_overlap: Mean share of the `neighbours` nearest points that picture and embedding have in common.
        neighbours: The k of both scores.
    """

    position: np.ndarray
    chosen: np.ndarray
    total: int
    method: Method
    trustworthiness: float
    neighbour_overlap: float
    neighbours: int

    @property
    def is_sampled(self) -> bool:
        """Whether points were left out."""
        return len(self.chosen) < self.total


def project_embedding(
    embedding: np.ndarray,
    method: Method = "umap",
    *,
    strata: np.ndarray | None = None,
    seed: int = 0,
    neighbours: int = NEIGHBOURS,
    report: Report | None = None,
) -> Projection:
    """Lays an embedding out in the plane, or reads the same layout from the cache.

    Args:
        embedding: (point, component) float array.
        method: `umap`, `tsne` or `pca`.
        strata: (point,) labels (popularity deciles); above `MOST_POINTS` points every stratum keeps its share.
        seed: Seeds the layout and the sample.
        neighbours: Neighbourhood size of UMAP and of both scores.
        report: Progress.

    Raises:
        MobiscopeError: With fewer than five points, or values that are not finite.
    """
    if embedding.ndim != 2 or len(embedding) < FEWEST_POINTS:
        raise MobiscopeError(f"A picture of an embedding needs at least {FEWEST_POINTS} points; there are {len(embedding)}.")
    if not np.isfinite(embedding).all():
        raise MobiscopeError("The embedding holds values that are not finite; the run is damaged or diverged.")
    chosen = _sample(len(embedding), strata, seed)
    values = np.ascontiguousarray(embedding[chosen], dtype=np.float32)
    neighbours = min(neighbours, (len(values) - 1) // 2)
    path = _cache_path(values, method, seed, neighbours)
    if path.is_file():
        saved = np.load(path, allow_pickle=False)
        position, scores = saved["position"], saved["scores"]
    else:
        tell = report or (lambda what, share: None)
        tell(f"laying out {len(values):,} points", 0.1)
        position = _lay_out(values, method, seed, neighbours)
        tell("scoring the picture", 0.9)
        scores = np.array(_scores(values, position, neighbours, seed))
        with store.replacing(path) as temporary, temporary.open("wb") as file:
            np.savez(file, position=position, scores=scores)
        tell("done", 1.0)
    return Projection(position, chosen, len(embedding), method, float(scores[0]), float(scores[1]), neighbours)


def nearest(embedding: np.ndarray, point: int, count: int = 10) -> tuple[np.ndarray, np.ndarray]:
    """The nearest points by cosine: (count,) rows and (count,) similarities, the point itself left out."""
    unit = embedding / np.maximum(np.linalg.norm(embedding, axis=1, keepdims=True), 1e-12)
    similarity = unit @ unit[point]
    similarity[point] = -np.inf
    order = np.argsort(-similarity, kind="stable")[: min(count, len(embedding) - 1)]
    return order, similarity[order]


def purity(embedding: np.ndarray, labels: np.ndarray, neighbours: int = 10, seed: int = 0) -> tuple[float, float]:
    """Share of nearest neighbours with the same label, and the same after the labels are permuted (chance)."""
    neighbours = min(neighbours, len(embedding) - 1)
    found = _neighbours(embedding, neighbours)
    shuffled = np.random.default_rng(seed).permutation(labels)
    return float((labels[found] == labels[:, None]).mean()), float((shuffled[found] == shuffled[:, None]).mean())


def _lay_out(values: np.ndarray, method: Method, seed: int, neighbours: int) -> np.ndarray:
    if method == "pca":
        from sklearn.decomposition import PCA

        return PCA(2, random_state=seed, svd_solver="full").fit_transform(values).astype(np.float32)
    if method == "tsne":
        from sklearn.manifold import TSNE

        perplexity = min(30.0, (len(values) - 1) / 3)
        initial = "pca" if values.shape[1] >= 2 else "random"
        return TSNE(2, perplexity=perplexity, init=initial, random_state=seed).fit_transform(values).astype(np.float32)
    import umap

    start = "spectral" if len(values) > 4 * neighbours else "random"
    layout = umap.UMAP(n_neighbors=max(neighbours, 2), min_dist=0.1, metric="cosine", random_state=seed, init=start, n_jobs=1)
    return layout.fit_transform(values).astype(np.float32)


def _scores(values: np.ndarray, position: np.ndarray, neighbours: int, seed: int) -> tuple[float, float]:
    if len(values) > SCORED_POINTS:
        rows = np.random.default_rng(seed).choice(len(values), SCORED_POINTS, replace=False)
        values, position = values[rows], position[rows]
    unit = values / np.maximum(np.linalg.norm(values, axis=1, keepdims=True), 1e-12)
    before, after = _neighbours(unit, neighbours), _neighbours(position, neighbours)
    overlap = np.mean([len(np.intersect1d(a, b)) / neighbours for a, b in zip(before, after, strict=True)])
    return float(trustworthiness(unit, position, n_neighbors=neighbours)), float(overlap)


def _neighbours(values: np.ndarray, count: int) -> np.ndarray:
    """(point, count) rows of the nearest other points."""
    found = NearestNeighbors(n_neighbors=count + 1).fit(values).kneighbors(values, return_distance=False)
    own = found == np.arange(len(values))[:, None]
    own[~own.any(axis=1), -1] = True  # duplicates can push a point out of its own list
    return found[~own].reshape(len(values), count)


def _sample(total: int, strata: np.ndarray | None, seed: int) -> np.ndarray:
    if total <= MOST_POINTS:
        return np.arange(total)
    generator = np.random.default_rng(seed)
    labels = np.zeros(total, np.int64) if strata is None else np.unique(strata, return_inverse=True)[1]
    kept = [
        generator.choice(members, max(1, int(MOST_POINTS * len(members) / total)), replace=False)
        for members in (np.flatnonzero(labels == label) for label in range(labels.max() + 1))
    ]
    return np.sort(np.concatenate(kept))


def _cache_path(values: np.ndarray, method: str, seed: int, neighbours: int) -> Path:
    key = hashlib.sha256(values.tobytes())
    key.update(f"{values.shape}|{method}|{seed}|{neighbours}|1".encode())
    return store.cache_folder() / "projections" / f"{key.hexdigest()}.npz"
