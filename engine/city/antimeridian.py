"""Longitudes where 179.9 and -179.9 are neighbours: medians, means and bounds of a city on the antimeridian."""

from typing import Any

import geopandas as gpd
import numpy as np

Bounds = tuple[float, float, float, float]


def beside(longitude: Any, reference: Any) -> Any:
    """The same meridians within 180 degrees of a reference; those that already are stay exactly as they are.

    Args:
        longitude: Degrees.
        reference: Degrees, one or as many. Beside 0 they come back to -180..180.
    """
    return longitude - 360.0 * np.round((longitude - reference) / 360.0)


def unwrap(west: np.ndarray, east: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Western and eastern sides of shapes as one run: across the antimeridian, what lies east of it is beyond 180 degrees.

    Args:
        west: (shape,) degrees, -180..180; of points both sides are the same.
        east: (shape,) degrees, -180..180.

    Returns:
        Both sides, as they are unless that makes the run narrower.
    """
    if len(west) and east.max() - west.min() > 180:
        turn = np.where(east <= 0, 360.0, 0.0)
        if (east + turn).max() - (west + turn).min() < east.max() - west.min():
            return west + turn, east + turn
    return west, east


def unwrap_points(longitude: np.ndarray) -> np.ndarray:
    """(point,) longitudes as one run; see `unwrap`."""
    return unwrap(longitude, longitude)[0]


def bounds_of(shapes: gpd.GeoSeries) -> Bounds:
    """West, south, east, north in degrees; a city on the antimeridian gets an east beyond 180 instead of spanning the whole Earth."""
    west, south, east, north = (float(value) for value in shapes.total_bounds)
    if east - west > 180:
        parts = shapes.explode().bounds
        sides = unwrap(parts["minx"].to_numpy(), parts["maxx"].to_numpy())
        west, east = float(sides[0].min()), float(sides[1].max())
    return (west, south, east, north)
