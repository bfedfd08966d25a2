"""What stands in each cell, as counts: points of interest per category, and the numbers that came with uploaded zones."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import geopandas as gpd
import numpy as np
import numpy.typing as npt
import pandas as pd
import shapely

from engine.city.city import City
from engine.city.grid import cell_of
from engine.city.schema import TABLES

OTHER = "other categories"
AREA = "area_km2"
UNCOVERED = "places are unknown"
MOST_CATEGORIES = 40
"""Categories counted one by one where there are no root categories; the rarer ones share one count."""

_MOST_LABELS = 40
_PLACES = re.compile(r"^(lat|lon|lng|long|latitude|longitude|x|y|easting|northing|centroid_?[xy]|geometry|row|col)$", re.IGNORECASE)
_IDS = re.compile(r"(^|_)(id|gid|fid|uid|uuid|geoid|code|index|region|zone|tract|boro_ct2010|objectid)(_?\d+)?$", re.IGNORECASE)
_LABELS = re.compile(r"(label|class|type|kind|land_?use|zoning)$", re.IGNORECASE)
_OUTCOMES = re.compile(
    r"^(?:h\d\d$|predict|target)"
    r"|(?<![a-z])(?:(?:out|in).?flow|trips|visits|check.?ins|pick.?ups|drop.?offs|departures|arrivals|riders|passengers"
    r"|boardings|alightings|footfall)"
    r"|(?<![a-z])(?:flows?|trip|visit|check.?in|pick.?up|drop.?off|departure|arrival)(?![a-z])"
)
"""Names of what a model is to predict, in lower case: a stem that begins a word, and ends it where other words begin so too."""
_HUMP = re.compile(r"(?<=[a-z])(?=[A-Z])")
_NAMED = 5


@dataclass(frozen=True)
class CellCounts:
    """What stands in each cell.

    Attributes:
        counts: (cell, component) float32, raw counts and attributes.
        components: Names: categories, then `area_km2`, then columns of the zones (`<column>` or `<column>: <label>`).
        categories: How many of the components are counts of categories.
        present: (cell,) bool, whether anything is known of the cell.
        source: `pois`, `locations`, attributes of the zones.
        notes: What an analyst should know: what was counted out, what is constant.
    """

    counts: npt.NDArray[np.float32]
    components: tuple[str, ...]
    categories: int
    present: npt.NDArray[np.bool_]
    source: str
    notes: tuple[str, ...]


def count_pois(
    city: City,
    cells: gpd.GeoDataFrame,
    radius_m: float = 0.0,
    cover_m: float = 1_000.0,
    level: str = "root",
    components: Sequence[str] | None = None,
    every_category: bool = False,
    attributes: Sequence[str] | None = None,
) -> CellCounts:
    """Counts points of interest per category and cell, and adds the attributes of the cells.

    Args:
        city: The city; its `pois` are counted, or its `locations` where it has none.
        cells: The cells in WGS84.
        radius_m: 0 counts what lies in a cell; otherwise what lies within this many metres of its middle.
        cover_m: A cell farther than this from every point of interest lies outside of what the layer covers: unknown, not empty.
        level: `root` counts root categories (the categories themselves where there are none), `leaf` the categories.
        components: Names a trained model expects, in its order; other categories add to `other categories` if it is among them.
        every_category: Count each category by itself, however rare.
        attributes: Further columns of the cells to take; None takes those of `is_attribute`.

    Returns:
        The counts.
    """
    table = next((name for name in ("pois", "locations") if city.has(name)), None)
    notes: list[str] = []
    area = np.asarray(cells.to_crs(city.metric_crs).area, np.float64) / 1e6
    columns: dict[str, npt.NDArray[np.float64]] = {}
    further = _attributes(cells, attributes, notes, components or ())
    known = np.zeros(len(cells), bool)
    if table is not None:
        points = city.spatial(table)
        if "closed" in points.columns:
            shut = points["closed"].fillna(False).to_numpy(bool)
            if shut.any():
                notes.append(f"{int(shut.sum()):,} {table} are closed and were not counted.")
                points = points[~shut]
        names = _categories(points, level, notes)
        pairs_cell, pairs_point, outside = _pairs(city, cells, points, radius_m)
        if outside:
            notes.append(f"{outside:,} of {len(points):,} {table} lie in no cell and were not counted.")
        wanted = _vocabulary(names, notes, len(names) if every_category else MOST_CATEGORIES)
        if components is not None:
            wanted = tuple(name for name in components if name not in further and name not in (AREA, UNCOVERED))
            new = sorted(set(map(str, names)) - set(wanted))
            if new:
                fate = f"counted together as `{OTHER}`" if OTHER in wanted else "left out"
                notes.append(f"{len(new):,} categories of this city, such as `{new[0]}`, are new to the model and are {fate}.")
        columns = _tally(names, pairs_cell, pairs_point, len(cells), wanted)
        known = _covered(city, cells, points, cover_m)
        if not known.all():
            notes.append(f"{int((~known).sum()):,} cells are more than {cover_m:,.0f} m from every one of the {table}: not known.")
    categories = len(columns)
    columns[AREA] = area
    columns |= further
    if further:
        if table is not None and not known.all():
            columns[UNCOVERED] = (~known).astype(np.float64)
        known = np.ones(len(cells), bool)
    if components is not None:
        here = set(map(str, names)) if table is not None else set()
        lacking = [name for name in components if name not in here | set(further) | {AREA, OTHER, UNCOVERED}]
        if lacking:
            notes.append(f"{len(lacking):,} components the model knows are not in this city, such as `{lacking[0]}`; they count 0.")
        columns = {name: columns.get(name, np.zeros(len(cells))) for name in components}
    values = np.stack(list(columns.values()), axis=1).astype(np.float32) if columns else np.zeros((len(cells), 0), np.float32)
    said = [f"counts of {table}"] if table else []
    if further:
        said.append("attributes of the zones")
    return CellCounts(values, tuple(columns), categories, known, " and ".join(said) or "nothing", tuple(notes))


def is_attribute(name: str) -> bool:
    """Whether a further column of the cells table is a feature by default: no id, no place, nothing counted of mobility itself."""
    declared = {column.name for column in TABLES["cells"].columns}
    return name not in declared and not any(rule.search(name) for rule in (_PLACES, _IDS)) and not _counts_mobility(name)


def _counts_mobility(name: str) -> bool:
    return _OUTCOMES.search(_HUMP.sub("_", name).lower()) is not None


def attribute_names(cells: gpd.GeoDataFrame) -> list[str]:
    """Names of the features that the zones themselves bring: numbers per column, and `<column>: <label>` for kinds of use."""
    return list(_attributes(cells, None, []))


def _attributes(
    cells: gpd.GeoDataFrame, chosen: Sequence[str] | None, notes: list[str], known: Sequence[str] = ()
) -> dict[str, npt.NDArray[np.float64]]:
    """Numeric columns as they are, labels as one column each; what is unknown is 0 with a column that says so.

    Columns of text count where their name says that they are a kind of use (`landuse`, `zoning`, `type`, `class`, `label`) or where
    they were chosen: names of quarters would tell a model where a cell is, not what it is. What a trained model already knows is
    taken whatever its name.
    """
    found: dict[str, npt.NDArray[np.float64]] = {}
    absent = [name for name in chosen or () if name not in cells.columns]
    if absent:
        notes.append(f"The zones have no column `{absent[0]}`; it was asked for as an attribute.")
    mobility = [name for name in map(str, cells.columns) if chosen is None and name not in known and _counts_mobility(name)]
    if mobility:
        listed = ", ".join(f"`{name}`" for name in mobility[:_NAMED]) + (", ..." if len(mobility) > _NAMED else "")
        notes.append(
            f"{len(mobility):,} columns of the zones seem to count mobility itself and are left out: {listed}. "
            "To use a column all the same, name it in `attributes`."
        )
    for name in map(str, cells.columns):
        is_wanted = is_attribute(name) or name in known if chosen is None else name in chosen
        if name in (AREA, "geometry", "cell_id") or not is_wanted:
            continue
        column = cells[name]
        numeric = pd.api.types.is_numeric_dtype(column)
        labels = column.dropna().astype(str)
        if _LABELS.search(name) or not numeric:
            if numeric:
                labels = column.dropna().map(lambda value: f"{value:g}")
            distinct = sorted(set(labels))
            few = 2 <= len(distinct) <= _MOST_LABELS and len(distinct) <= 0.5 * len(cells)
            if not few or (chosen is None and not _LABELS.search(name)):
                continue
            text = labels.reindex(column.index).fillna("")
            for label in distinct:
                found[f"{name}: {label}"] = (text == label).to_numpy(np.float64)
            continue
        values = column.to_numpy(np.float64, na_value=np.nan)
        unknown = ~np.isfinite(values)
        if unknown.all():
            continue
        found[name] = np.where(unknown, 0.0, values)
        if unknown.any():
            found[f"{name} is unknown"] = unknown.astype(np.float64)
    return found


def _categories(points: gpd.GeoDataFrame, level: str, notes: list[str]) -> npt.NDArray[np.object_]:
    leaf = points["category"].fillna("").astype(str).to_numpy(object)
    if level == "root" and "parent_category" in points.columns:
        root = points["parent_category"].fillna("").astype(str).to_numpy(object)
        leaf = np.where(root == "", leaf, root)
    elif level == "root":
        notes.append("There are no root categories; the categories themselves were counted.")
    return np.where(leaf == "", "no category", leaf).astype(object)


def _vocabulary(names: npt.NDArray[np.object_], notes: list[str], most: int) -> tuple[str, ...]:
    distinct, counts = np.unique(names.astype(str), return_counts=True)
    order = np.lexsort((distinct, -counts))
    kept = tuple(map(str, distinct[order][:most]))
    if len(distinct) > most:
        rest = int(counts[order][most:].sum())
        notes.append(f"{len(distinct) - most:,} rarer categories with {rest:,} places are counted together as `{OTHER}`.")
        kept += (OTHER,)
    return kept


def _pairs(
    city: City, cells: gpd.GeoDataFrame, points: gpd.GeoDataFrame, radius_m: float
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], int]:
    """Which cell counts which point, and how many points no cell counts."""
    if radius_m <= 0:
        cell = cell_of(cells, points)
        counted = np.flatnonzero(cell >= 0)
        return cell[counted], counted, int((cell < 0).sum())
    middles = shapely.centroid(np.asarray(cells.to_crs(city.metric_crs).geometry))
    metric = np.asarray(points.to_crs(city.metric_crs).geometry)
    cell, point = shapely.STRtree(metric).query(middles, predicate="dwithin", distance=radius_m)
    return cell, point, len(points) - len(np.unique(point))


def _tally(
    names: npt.NDArray[np.object_],
    cell: npt.NDArray[np.int64],
    point: npt.NDArray[np.int64],
    cells: int,
    wanted: Sequence[str],
) -> dict[str, npt.NDArray[np.float64]]:
    columns = {name: np.zeros(cells) for name in wanted}
    for name in np.unique(names.astype(str)):
        into = columns.get(str(name), columns.get(OTHER))
        if into is not None:
            np.add.at(into, cell[names[point] == name], 1.0)
    return columns


def _covered(city: City, cells: gpd.GeoDataFrame, points: gpd.GeoDataFrame, cover_m: float) -> npt.NDArray[np.bool_]:
    outlines = np.asarray(cells.to_crs(city.metric_crs).geometry)
    near = np.zeros(len(cells), bool)
    found, _ = shapely.STRtree(np.asarray(points.to_crs(city.metric_crs).geometry)).query_nearest(
        outlines, max_distance=cover_m, all_matches=False
    )
    near[found] = True
    return near
