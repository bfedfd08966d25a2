"""Square grids over a city, and which cell a point lies in."""

import math

import geopandas as gpd
import numpy as np
import numpy.typing as npt
import pandas as pd
import pyproj
import shapely

from engine.city.city import City
from engine.city.schema import WGS84
from engine.errors import CityError

CELL_BUDGET = 1_000_000

_ROUNDING_DEGREES = 1e-9
"""A tenth of a millimetre: what projecting there and back may move an edge."""

_POSITION_TABLES = ("locations", "pois", "buildings", "boundary", "street_views", "cells")


def square_grid(city: City, size_m: float = 500, budget: int = CELL_BUDGET) -> gpd.GeoDataFrame:
    """Square cells covering everything in the city that has a position.

    Edges lie on multiples of `size_m` in the city's metric CRS, so two cities of the same region and size share their edges.
    A cell that crosses the antimeridian is a MultiPolygon of two halves, as RFC 7946 §3.1.9 wants it.

    Args:
        city: The city; all its tables with positions count, except cells where there are others.
        size_m: Edge of a cell in metres of the metric CRS.
        budget: Most cells to make; checked before anything is allocated.

    Returns:
        Cells in WGS84, ordered by row and column: `cell_id` (`r012c034`), `geometry`, `row` (0 is the northernmost) and `col`
        (0 is the westernmost).

    Raises:
        CityError: If the size is not a positive number, nothing has a position, a position cannot be projected to the metric
            CRS, or there would be more cells than the budget.
    """
    return square_cells(_extent_m(city), city.metric_crs, size_m, budget, f"City `{city.name}`")


def square_cells(
    extent_m: tuple[float, float, float, float], metric_crs: str, size_m: float, budget: int = CELL_BUDGET, what: str = "The area"
) -> gpd.GeoDataFrame:
    """Square cells covering a rectangle; see `square_grid`.

    Args:
        extent_m: West, south, east, north in metres of `metric_crs`.
        metric_crs: Projected CRS.
        size_m: Edge of a cell in metres.
        budget: Most cells to make.
        what: What is covered, for the refusal.

    Raises:
        CityError: If the size is not a positive number or there would be more cells than the budget.
    """
    if not (math.isfinite(size_m) and size_m > 0):
        raise CityError(f"The cell size must be a positive number of metres; found {size_m}.")
    west, south, east, north = extent_m
    first_col, last_col = math.floor(west / size_m), math.floor(east / size_m)
    first_row, last_row = math.floor(south / size_m), math.floor(north / size_m)
    cols, rows = last_col - first_col + 1, last_row - first_row + 1
    if cols * rows > budget:
        raise CityError(
            f"{what} spans {(east - west) / 1000:,.0f} km by {(north - south) / 1000:,.0f} km: cells of {size_m:,.0f} m "
            f"would be {cols * rows:,}, more than {budget:,}. Choose larger cells, or remove places that lie far outside the city."
        )
    row, col = (axis.ravel() for axis in np.mgrid[0:rows, 0:cols])
    x, y = (first_col + col) * size_m, (last_row - row) * size_m
    corners_x = np.stack([x, x + size_m, x + size_m, x, x], axis=1)  # (cell, corner)
    corners_y = np.stack([y, y, y + size_m, y + size_m, y], axis=1)
    back = pyproj.Transformer.from_crs(metric_crs, WGS84, always_xy=True)
    longitude, latitude = back.transform(corners_x, corners_y)
    digits = max(3, len(str(max(rows, cols) - 1)))
    return gpd.GeoDataFrame(
        {
            "cell_id": pd.Series([f"r{r:0{digits}d}c{c:0{digits}d}" for r, c in zip(row, col, strict=True)], dtype="str"),
            "row": row.astype(np.int64),
            "col": col.astype(np.int64),
        },
        geometry=_outlines(longitude, latitude),
        crs=WGS84,
    )[["cell_id", "geometry", "row", "col"]]


def is_square_grid(cells: gpd.GeoDataFrame) -> bool:
    """Whether the cells carry rows and columns that name each of them once."""
    if not {"row", "col"} <= set(cells.columns) or not len(cells):
        return False
    return bool(cells[["row", "col"]].notna().all().all() and not cells.duplicated(["row", "col"]).any())


def cell_of(cells: gpd.GeoDataFrame, points: gpd.GeoSeries | gpd.GeoDataFrame) -> npt.NDArray[np.int64]:
    """Which cell or zone each point lies in.

    A point on a shared edge belongs to the first of the cells in the order of the table.

    Args:
        cells: Cells or zones.
        points: Points in the same CRS; empty and missing ones lie nowhere.

    Returns:
        (point,) positions of rows in `cells`, -1 where the point is outside all of them.

    Raises:
        CityError: If the two are not in the same CRS; nothing is reprojected silently.
    """
    require_same_crs(cells, points, "The cells", "the points")
    tree = shapely.STRtree(np.asarray(cells.geometry))
    shapes = np.asarray(points.geometry)
    found_point, found_cell = tree.query(shapes, predicate="intersects")
    answer = np.full(len(shapes), len(cells), dtype=np.int64)
    np.minimum.at(answer, found_point, found_cell)
    missed = np.flatnonzero(answer == len(cells))
    near_point, near_cell = tree.query(shapes[missed], predicate="dwithin", distance=_ROUNDING_DEGREES)
    np.minimum.at(answer, missed[near_point], near_cell)
    answer[answer == len(cells)] = -1
    return answer


def require_same_crs(
    first: gpd.GeoSeries | gpd.GeoDataFrame, second: gpd.GeoSeries | gpd.GeoDataFrame, first_name: str, second_name: str
) -> None:
    """Refuses to combine two layers whose coordinates do not mean the same; geopandas would only warn and join nothing.

    Raises:
        CityError: If either CRS is missing or they differ.
    """
    if first.crs is None or second.crs is None or first.crs != second.crs:
        names = [layer.crs.to_string() if layer.crs is not None else "no CRS" for layer in (first, second)]
        raise CityError(f"{first_name} ({names[0]}) and {second_name} ({names[1]}) are not in the same CRS. Reproject one of them.")


def _extent_m(city: City) -> tuple[float, float, float, float]:
    tables = [table for table in _POSITION_TABLES[:-1] if city.has(table)] or [table for table in ("cells",) if city.has(table)]
    if not tables:
        raise CityError(f"City `{city.name}` has nothing with a position; a grid needs locations, POIs, buildings or a boundary.")
    # Reprojecting point by point, not the bounding box: UTM knows no antimeridian, so longitudes on both sides of it come close.
    forward = pyproj.Transformer.from_crs(WGS84, city.metric_crs, always_xy=True)
    lows, highs = [], []
    for table in tables:
        coordinates = shapely.get_coordinates(city.spatial(table).geometry)
        projected = np.stack(forward.transform(coordinates[:, 0], coordinates[:, 1]), axis=1)  # (point, xy)
        if not np.isfinite(projected).all():
            wrong = coordinates[~np.isfinite(projected).all(axis=1)][0]
            raise CityError(
                f"City `{city.name}`: a position in {table} at longitude {wrong[0]:.4f}, latitude {wrong[1]:.4f} "
                f"cannot be expressed in {city.metric_crs}. Remove places that lie far outside the city."
            )
        lows.append(projected.min(axis=0))
        highs.append(projected.max(axis=0))
    low, high = np.min(lows, axis=0), np.max(highs, axis=0)
    return float(low[0]), float(low[1]), float(high[0]), float(high[1])


def _outlines(longitude: npt.NDArray[np.float64], latitude: npt.NDArray[np.float64]) -> npt.NDArray[np.object_]:
    """(cell, corner) degrees to polygons, those that cross the antimeridian cut in two."""
    crossing = np.ptp(longitude, axis=1) > 180
    unwrapped = np.where(crossing[:, None] & (longitude < 0), longitude + 360, longitude)
    outlines = shapely.polygons(np.stack([unwrapped, latitude], axis=2))  # (cell, corner, lon/lat)
    for cell in np.flatnonzero(crossing):
        east = shapely.box(-180, -90, 180, 90).intersection(outlines[cell])
        west = shapely.transform(shapely.box(180, -90, 540, 90).intersection(outlines[cell]), lambda xy: xy - [360, 0])
        halves = [half for half in (east, west) if isinstance(half, shapely.Polygon) and not half.is_empty]
        outlines[cell] = shapely.MultiPolygon(halves) if len(halves) > 1 else halves[0]
    return outlines
