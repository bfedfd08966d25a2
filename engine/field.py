"""A model's spatial field: what it thinks of every point of a city, not only of its places."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from engine.city.city import City, project
from engine.errors import MobiscopeError

Encode = Callable[[np.ndarray, np.ndarray], np.ndarray | None]
"""(point,) x and y in metres of the city's CRS -> (point, component) unit vectors."""


@dataclass(frozen=True)
class Raster:
    """The field on a regular raster.

    Attributes:
        vectors: (row, column, component) unit vectors; row 0 is the north.
        bounds: West, south, east, north in degrees.
        metres_per_cell: East-west and north-south size of a raster cell.
    """

    vectors: np.ndarray
    bounds: tuple[float, float, float, float]
    metres_per_cell: tuple[float, float]

    def centres(self) -> tuple[np.ndarray, np.ndarray]:
        """(row, column) longitude and latitude of the middles of the raster's cells, degrees."""
        west, south, east, north = self.bounds
        height, width = self.vectors.shape[:2]
        longitude = west + (np.arange(width) + 0.5) / width * (east - west)
        latitude = north - (np.arange(height) + 0.5) / height * (north - south)
        across, down = np.meshgrid(longitude, latitude)
        return across, down


def sample_field(encode: Encode, city: City, width: int = 120, margin: float = 0.02) -> Raster:
    """The field over the city's extent.

    Args:
        encode: The model's `encode_points`.
        city: Gives extent and CRS.
        width: Columns; rows follow from the extent.
        margin: Share of the extent added on each side.

    Raises:
        MobiscopeError: If the model has no field.
    """
    west, south, east, north = city.bounds
    across, down = max(east - west, 1e-3), max(north - south, 1e-3)
    west, east, south, north = west - margin * across, east + margin * across, south - margin * down, north + margin * down
    stretch = np.cos(np.radians((south + north) / 2))
    height = int(np.clip(round(width * (north - south) / ((east - west) * stretch)), 10, 4 * width))
    longitude = west + (np.arange(width) + 0.5) / width * (east - west)
    latitude = north - (np.arange(height) + 0.5) / height * (north - south)
    grid_longitude, grid_latitude = np.meshgrid(longitude, latitude)
    x, y = project(city, grid_longitude.ravel(), grid_latitude.ravel())
    vectors = encode(np.asarray(x), np.asarray(y))
    if vectors is None:
        raise MobiscopeError("This model has no field: it only knows places, not the points between them.")
    grid = vectors.reshape(height, width, -1)
    metres = ((east - west) / width * 111_320 * stretch, (north - south) / height * 110_574)
    return Raster(grid, (west, south, east, north), (float(metres[0]), float(metres[1])))


def similarity_to(raster: Raster, vector: np.ndarray) -> np.ndarray:
    """(row, column) cosine of every raster cell with a vector (of a text or of a point)."""
    return raster.vectors @ (vector / max(float(np.linalg.norm(vector)), 1e-12))


def false_colour(raster: Raster) -> np.ndarray:
    """(row, column, 3) the three main components as red, green and blue between 0 and 1; like colours mean like vectors."""
    flat = raster.vectors.reshape(-1, raster.vectors.shape[-1]).astype(np.float64)
    centred = flat - flat.mean(axis=0)
    components = np.linalg.svd(centred.T @ centred)[0][:, :3]
    scores = centred @ components
    low, high = np.percentile(scores, [2, 98], axis=0)
    coloured = np.clip((scores - low) / np.maximum(high - low, 1e-12), 0, 1)
    padded = np.pad(coloured, ((0, 0), (0, 3 - coloured.shape[1])), constant_values=0.5)
    return padded.reshape(*raster.vectors.shape[:2], 3)


def change_per_metre(raster: Raster) -> np.ndarray:
    """(row, column) how fast the vector turns: norm of the finite-difference Jacobian, per metre."""
    east, north = raster.metres_per_cell
    down, across = np.gradient(raster.vectors, north, east, axis=(0, 1))
    return np.sqrt((across**2).sum(axis=-1) + (down**2).sum(axis=-1))


@dataclass(frozen=True)
class Kernel:
    """How alike two points are by their distance.

    Attributes:
        distance_m: (step,) metres.
        similarity: (step,) mean cosine of pairs that far apart.
        low, high: (step,) tenth and ninetieth percentile.
        baseline: Mean cosine over all pairs of two different places of the sample.
        learned_range_m: Distance at which the excess over the baseline falls to 1/e of its value at zero; NaN if it never does.
    """

    distance_m: np.ndarray
    similarity: np.ndarray
    low: np.ndarray
    high: np.ndarray
    baseline: float
    learned_range_m: float


def kernel_curve(encode: Encode, x: np.ndarray, y: np.ndarray, seed: int = 0, points: int = 400, steps: int = 30) -> Kernel:
    """Cosine by distance, around a sample of places and in random directions.

    Args:
        encode: The model's `encode_points`.
        x: (place,) metres east.
        y: (place,) metres north.
        seed: Draws places and directions.
        points: Most places sampled.
        steps: Distances measured, on a logarithmic scale.

    Raises:
        MobiscopeError: If the model has no field or there are fewer than two places.
    """
    if len(x) < 2:
        raise MobiscopeError("A kernel curve needs at least two places.")
    generator = np.random.default_rng(seed)
    chosen = generator.choice(len(x), min(points, len(x)), replace=False)
    extent = float(np.hypot(np.ptp(x), np.ptp(y)))
    distance = np.concatenate([[0.0], np.geomspace(10, max(extent / 2, 100), steps)])
    angle = generator.uniform(0, 2 * np.pi, len(chosen))
    origin = encode(x[chosen], y[chosen])
    if origin is None:
        raise MobiscopeError("This model has no field: it only knows places, not the points between them.")
    cosines = []
    for step in distance:
        moved = encode(x[chosen] + step * np.cos(angle), y[chosen] + step * np.sin(angle))
        cosines.append((origin * moved).sum(axis=1))
    cosine = np.stack(cosines)
    baseline = float((origin @ origin.T)[~np.eye(len(origin), dtype=bool)].mean())
    mean = cosine.mean(axis=1)
    below = np.flatnonzero((mean - baseline) <= (1 - baseline) / np.e)
    reach = float(distance[below[0]]) if len(below) else float("nan")
    low, high = np.percentile(cosine, [10, 90], axis=1)
    return Kernel(distance, mean, low, high, baseline, reach)
