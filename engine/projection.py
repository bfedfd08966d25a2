"""Embeddings in the plane: UMAP, t-SNE and PCA, with scores that say how far a picture can be trusted."""

import hashlib
import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from filelock import FileLock, Timeout
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
    _check(embedding)
    chosen = _sample(len(embedding), strata, seed)
    values = np.ascontiguousarray(embedding[chosen], dtype=np.float32)
    neighbours = min(neighbours, (len(values) - 1) // 2)
    path = _cache_path(values, method, seed, neighbours)
    if not path.is_file():
        _compute(path, values, method, seed, neighbours, report or (lambda what, share: None))
    saved = np.load(path, allow_pickle=False)
    position, scores = saved["position"], saved["scores"]
    return Projection(position, chosen, len(embedding), method, float(scores[0]), float(scores[1]), neighbours)


@dataclass(frozen=True)
class Ticket:
    """A layout being computed by a process of its own; it goes on when the page is left."""

    path: Path

    def progress(self) -> tuple[str, float]:
        """What the process is doing and the share done.

        Raises:
            MobiscopeError: If it failed; the message says why.
        """
        if self.path.is_file():
            return "done", 1.0
        notes = self.path.with_suffix(".json")
        noted = store.read_json(notes) if notes.is_file() else {"doing": "starting", "share": 0.0, "failed": ""}
        if noted["failed"]:
            raise MobiscopeError(f"The picture could not be computed: {noted['failed']}")
        return str(noted["doing"]), float(str(noted["share"]))

    @property
    def is_ready(self) -> bool:
        """Whether `project_embedding` would now answer from the cache."""
        return self.path.is_file()


def start_projection(
    embedding: np.ndarray,
    method: Method = "umap",
    *,
    strata: np.ndarray | None = None,
    seed: int = 0,
    neighbours: int = NEIGHBOURS,
) -> Ticket:
    """Begins the same layout as `project_embedding` in the background, unless it is cached or being computed already.

    Raises:
        MobiscopeError: With fewer than five points, or values that are not finite.
    """
    _check(embedding)
    values = np.ascontiguousarray(embedding[_sample(len(embedding), strata, seed)], dtype=np.float32)
    neighbours = min(neighbours, (len(values) - 1) // 2)
    path = _cache_path(values, method, seed, neighbours)
    lock = FileLock(path.with_suffix(".lock"), timeout=0)
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.is_file() and not _is_held(lock):
        task = path.with_suffix(".task.npz")
        with store.replacing(task) as temporary, temporary.open("wb") as file:
            np.savez(file, values=values, settings=json.dumps({"method": method, "seed": seed, "neighbours": neighbours}))
        path.with_suffix(".json").unlink(missing_ok=True)
        subprocess.Popen(
            [sys.executable, "-m", "engine.projection", str(path)],
            cwd=Path(__file__).parents[1],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
    return Ticket(path)


def _work(path: Path) -> int:
    """The background process: computes the task beside `path` and leaves the result there."""
    task, notes = path.with_suffix(".task.npz"), path.with_suffix(".json")

    def tell(doing: str, share: float, failed: str = "") -> None:
        store.write_json(notes, {"doing": doing, "share": share, "failed": failed})

    try:
        with FileLock(path.with_suffix(".lock"), timeout=0):
            if path.is_file():
                return 0
            tell("loading the libraries", 0.02)
            with np.load(task, allow_pickle=False) as saved:
                values, settings = saved["values"], json.loads(str(saved["settings"]))
            _compute(path, values, settings["method"], settings["seed"], settings["neighbours"], tell)
            task.unlink(missing_ok=True)
            notes.unlink(missing_ok=True)
    except Timeout:
        return 0
    except Exception as error:
        tell("failed", 1.0, f"{type(error).__name__}: {error}")
        return 1
    return 0


def _is_held(lock: FileLock) -> bool:
    try:
        with lock:
            return False
    except Timeout:
        return True


def _compute(path: Path, values: np.ndarray, method: Method, seed: int, neighbours: int, report: Report) -> None:
    report(f"laying out {len(values):,} points", 0.1)
    position = _lay_out(values, method, seed, neighbours)
    report("scoring the picture", 0.9)
    scores = np.array(_scores(values, position, neighbours, seed))
    with store.replacing(path) as temporary, temporary.open("wb") as file:
        np.savez(file, position=position, scores=scores)
    report("done", 1.0)


def _check(embedding: np.ndarray) -> None:
    if embedding.ndim != 2 or len(embedding) < FEWEST_POINTS:
        raise MobiscopeError(f"A picture of an embedding needs at least {FEWEST_POINTS} points; there are {len(embedding)}.")
    if not np.isfinite(embedding).all():
        raise MobiscopeError("The embedding holds values that are not finite; the run is damaged or diverged.")


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


if __name__ == "__main__":
    sys.exit(_work(Path(sys.argv[1])))
