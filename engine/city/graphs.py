"""Which cells are neighbours: rook, queen and k-nearest graphs over square grids and arbitrary zones."""

from typing import Literal

import geopandas as gpd
import numpy as np
import numpy.typing as npt
import pyproj
import shapely

from engine.city.grid import is_square_grid
from engine.errors import CityError, ConfigError

AdjacencyKind = Literal["rook", "queen", "nearest"]
Edges = npt.NDArray[np.int64]

TOUCH_TOLERANCE_M = 1.0
"""Zones digitised apart leave slivers; gaps up to this are taken for touching."""

SHARED_BORDER_M = 10.0
"""Zones whose common border is shorter than this meet in a corner."""

_ROOK_STEPS = ((0, 1), (1, 0))
_QUEEN_STEPS = (*_ROOK_STEPS, (1, 1), (1, -1))


def adjacency(cells: gpd.GeoDataFrame, kind: AdjacencyKind = "queen", k: int = 6, symmetric: bool = True) -> Edges:
    """The edges of a graph over cells.

    `rook` joins cells that share a border, `queen` those that share at least a corner: both are always symmetric. On a square
    grid (see `grid.is_square_grid`) rows and columns decide, so holes in the grid stay holes; other zones are joined by their
    outlines, with `TOUCH_TOLERANCE_M` and `SHARED_BORDER_M`. `nearest` joins each cell to the `k` cells whose centroids are
    nearest; equally near ones are taken in the order of the table.

    Args:
        cells: Cells or zones in WGS84, in the order whose positions the edges name.
        kind: Which graph.
        k: How many neighbours per cell, for `nearest`; clipped to the number of other cells.
        symmetric: For `nearest` only: also add the reverse of each edge, so that a cell can have more than `k` neighbours.
            When False every cell has exactly `k` outgoing edges and the graph is directed.

    Returns:
        (edge, 2) positions in `cells`: source, target; sorted, without repetitions or loops. An undirected edge stands twice.

    Raises:
        ConfigError: If the kind is unknown or `k` is not positive.
        CityError: If the cells are not in WGS84 or a geometry is missing or empty.
    """
    _check_cells(cells)
    if kind == "nearest":
        if k < 1:
            raise ConfigError(f"A nearest-neighbour graph needs k of at least 1; found {k}.")
        return _nearest(cells, k, symmetric)
    if kind not in ("rook", "queen"):
        raise ConfigError(f"{kind!r} is no kind of graph. Choose rook, queen or nearest.")
    if is_square_grid(cells):
        return _grid_neighbours(cells, _ROOK_STEPS if kind == "rook" else _QUEEN_STEPS)
    return _zone_neighbours(cells, kind)


def _check_cells(cells: gpd.GeoDataFrame) -> None:
    if cells.crs is None or cells.crs.to_epsg() != 4326:
        raise CityError("Neighbours are found among cells in WGS84 (EPSG:4326). Reproject the cells first.")
    if cells.geometry.isna().any() or cells.geometry.is_empty.any():
        raise CityError("A cell has no outline, so its neighbours are unknown. Remove it or give it one.")


def _local_crs(cells: gpd.GeoDataFrame) -> pyproj.CRS:
    """An azimuthal equidistant CRS about the middle of the cells; unlike UTM it has no zone edge and no antimeridian."""
    coordinates = np.radians(shapely.get_coordinates(cells.geometry))
    cosine = np.cos(coordinates[:, 1])
    middle = np.array(
        [
            np.mean(cosine * np.cos(coordinates[:, 0])),
            np.mean(cosine * np.sin(coordinates[:, 0])),
            np.mean(np.sin(coordinates[:, 1])),
        ]
    )
    longitude = float(np.degrees(np.arctan2(middle[1], middle[0])))
    latitude = float(np.degrees(np.arctan2(middle[2], np.hypot(middle[0], middle[1]))))
    return pyproj.CRS.from_proj4(f"+proj=aeqd +lat_0={latitude:.6f} +lon_0={longitude:.6f} +datum=WGS84 +units=m +no_defs")


def _grid_neighbours(cells: gpd.GeoDataFrame, steps: tuple[tuple[int, int], ...]) -> Edges:
    place = {(int(row), int(col)): position for position, (row, col) in enumerate(zip(cells["row"], cells["col"], strict=True))}
    pairs = [
        (position, place[row + down, col + right])
        for (row, col), position in place.items()
        for down, right in steps
        if (row + down, col + right) in place
    ]
    return _sorted_edges(np.array(pairs, dtype=np.int64).reshape(-1, 2), symmetric=True)


def _zone_neighbours(cells: gpd.GeoDataFrame, kind: AdjacencyKind) -> Edges:
    outlines = np.asarray(cells.to_crs(_local_crs(cells)).geometry)
    tree = shapely.STRtree(outlines)
    pairs = tree.query(outlines, predicate="dwithin", distance=TOUCH_TOLERANCE_M).T
    pairs = pairs[pairs[:, 0] < pairs[:, 1]]
    if kind == "rook" and len(pairs):
        pairs = pairs[_share_a_border(outlines, pairs)]
    return _sorted_edges(pairs.astype(np.int64), symmetric=True)


def _share_a_border(outlines: npt.NDArray[np.object_], pairs: Edges) -> npt.NDArray[np.bool_]:
    borders = shapely.boundary(outlines)
    first, second = borders[pairs[:, 0]], borders[pairs[:, 1]]
    shared = shapely.length(shapely.intersection(first, second)) > SHARED_BORDER_M
    unsure = np.flatnonzero(~shared)
    # Borders that do not coincide vertex by vertex: measure how much of one runs within the tolerance of the other.
    near = shapely.buffer(second[unsure], TOUCH_TOLERANCE_M)
    shared[unsure] = shapely.length(shapely.intersection(first[unsure], near)) > SHARED_BORDER_M
    return np.asarray(shared, dtype=bool)


def _nearest(cells: gpd.GeoDataFrame, k: int, symmetric: bool) -> Edges:
    from scipy.spatial import cKDTree  # half a second of importing that reading a request does not need

    if is_square_grid(cells):
        centres = cells[["col", "row"]].to_numpy(dtype=np.float64)
    else:
        centres = shapely.get_coordinates(shapely.centroid(np.asarray(cells.to_crs(_local_crs(cells)).geometry)))
    k = min(k, len(centres) - 1)
    if k < 1:
        return np.empty((0, 2), dtype=np.int64)
    tree = cKDTree(centres)
    reach = tree.query(centres, k=k + 1)[0][:, -1]
    pairs = []
    for position, candidates in enumerate(tree.query_ball_point(centres, reach * (1 + 1e-9) + 1e-6)):
        others = np.array([other for other in candidates if other != position])
        distance = np.round(np.hypot(*(centres[others] - centres[position]).T), 6)
        pairs += [(position, int(other)) for other in others[np.lexsort((others, distance))][:k]]
    return _sorted_edges(np.array(pairs, dtype=np.int64), symmetric)


def _sorted_edges(pairs: Edges, symmetric: bool) -> Edges:
    if symmetric:
        pairs = np.concatenate([pairs, pairs[:, ::-1]])
    return np.unique(pairs, axis=0)
