"""The ground every map stands on, drawn from the city's own layers: land, water, parks, roads, buildings, districts, places.

Cities without outlines (a table of check-ins and nothing else) are drawn by how densely their places stand. No tile is fetched.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import geopandas as gpd
import numpy as np
import pandas as pd
import pydeck as pdk
import shapely
from shapely.geometry.base import BaseGeometry

from dashboard.figures import colours
from dashboard.figures.colours import Theme
from dashboard.figures.deck import (
    AUTOMATIC,
    BUDGET_BYTES,
    FONT,
    METRES,
    PIXELS,
    Frozen,
    MapDeck,
    freeze,
    lines,
    literal,
    position,
    positions,
    rings,
    size_bytes,
)
from dashboard.figures.deck import deck as make_deck
from engine.city.city import City, project, unproject
from engine.city.schema import WGS84

MOST_MARKS = 20_000
"""More places, cells or buildings than this are aggregated or left out until asked for, and the map says so."""
REFERENCE_SIZE = (385, 430)
"""Pixels of the map for which the view fits the city: half a page in a window 1,100 wide, the narrowest that shows it whole."""
_HOVERED = 5_000
_BASE_BUDGET = 1_200_000

Buildings = Literal["none", "flat", "extruded"]


@dataclass(frozen=True)
class BaseMap:
    """The base of a city's maps.

    Attributes:
        layers: Bottom to top, ready for a deck.
        notes: What the map does not show or shows aggregated, as sentences.
        legend: Family of categories to its colour, for the families that occur, most places first.
        attribution: Whose data is drawn.
    """

    layers: list[Frozen]
    notes: tuple[str, ...]
    legend: dict[str, str]
    attribution: str


def view_state(city: City, pitch: float = 0) -> pdk.ViewState:
    """The view of a city: the same for the same city, whatever is drawn on it.

    Args:
        city: The city.
        pitch: Tilt in degrees, for extruded buildings.
    """
    return fit_view(_extent(city), pitch)


def fit_view(extent: tuple[float, float, float, float], pitch: float = 0) -> pdk.ViewState:
    """The view that shows an area: west, south, east, north in degrees."""
    west, south, east, north = extent
    latitude = (south + north) / 2
    width, height = REFERENCE_SIZE
    # Web-mercator: 512 pixels hold 360 degrees of longitude at zoom 0.
    across = math.log2(width * 360 / (512 * max(east - west, 1e-4)))
    down = math.log2(height * 360 * math.cos(math.radians(latitude)) / (512 * max(north - south, 1e-4)))
    zoom = math.floor(100 * min(across, down, 17.0)) / 100  # rounded up it would cut the edge
    return pdk.ViewState(longitude=round((west + east) / 2, 5), latitude=round(latitude, 5), zoom=zoom, pitch=pitch, bearing=0)


def deck(
    layers: Sequence[pdk.Layer | Frozen],
    city: City,
    theme: Theme,
    tooltip: bool = True,
    pitch: float = 0,
    view: pdk.ViewState | None = None,
) -> MapDeck:
    """A map of a city from layers, the first at the bottom.

    Args:
        layers: Base layers and what stands on them.
        city: Gives the view.
        theme: Kept for figures that take their colours later.
        tooltip: Whether hovering shows the `tip` of what lies under the pointer.
        pitch: Tilt in degrees.
        view: Another view than the city's, where the analyst asked to go somewhere.
    """
    return make_deck(layers, view or view_state(city, pitch), tooltip)


def base_map(
    city: City,
    theme: Theme,
    *,
    places: bool = True,
    buildings: Buildings = "flat",
    cells: bool = False,
    names: bool = True,
    faint: bool = False,
) -> BaseMap:
    """The base of a city.

    Args:
        city: Any city; what it lacks is left out.
        theme: Light or dark.
        places: Draw locations as dots, radius by the square root of their visits, colour by family of category.
        buildings: How to draw buildings.
        cells: Draw cell outlines.
        names: Write the names of districts.
        faint: Draw places small and pale, as the ground for something else.
    """
    boundary = city.spatial("boundary") if city.has("boundary") else None
    notes: list[str] = []
    layers: list[pdk.Layer] = [_frame(city, "beyond", theme)]
    layers += _land(city, boundary, theme, notes)
    for kind in ("park", "water"):
        layers += _areas(boundary, kind, theme)
    layers += _roads(boundary, theme)
    if buildings != "none" and city.has("buildings"):
        layers += _buildings(city, theme, buildings, notes)
    if cells and city.has("cells"):
        layers += _cells(city, theme, notes)
    legend: dict[str, str] = {}
    if places and city.has("locations"):
        layers += _places(city, theme, notes, legend, faint)
    layers += _districts(city, boundary, theme, names)
    layers += _scale(city, theme)
    return BaseMap(freeze(layers), tuple(notes), legend, _attribution(city))


# ---- land and water --------------------------------------------------------------------------------------------------------


def _frame(city: City, colour: str, theme: Theme) -> pdk.Layer:
    west, south, east, north = city.bounds
    across, down = max(east - west, 0.05) * 8, max(north - south, 0.05) * 8
    frame = shapely.box(west - across, max(south - down, -85), east + across, min(north + down, 85))
    return _polygons(colour, rings([frame]), colours.rgba(colours.ground(colour, theme)))


def _land(city: City, boundary: gpd.GeoDataFrame | None, theme: Theme, notes: list[str]) -> list[pdk.Layer]:
    kinds = set() if boundary is None else set(boundary["kind"])
    for kind in ("city", "district"):
        if boundary is not None and kind in kinds:
            outline = boundary.loc[boundary["kind"] == kind].geometry
            return [_polygons("ground", rings(_simple(city, outline)), colours.rgba(colours.ground("ground", theme)))]
    if not city.has("locations") and city.has("cells"):
        outline = _simple(city, gpd.GeoSeries([shapely.union_all(city.spatial("cells").geometry.to_numpy())], crs=WGS84))
        return [_polygons("ground", rings(outline), colours.rgba(colours.ground("ground", theme)))]
    notes.append("The city has no outline: nothing is known of its coast and streets. Shades show how densely its places stand.")
    frame = _frame(city, "ground", theme)
    shade = colours.rgba(colours.ground("built", theme), 150)
    bands = [
        _polygons(f"built-{level}", rings([band]), shade) for level, band in enumerate(_density_bands(city)) if not band.is_empty
    ]
    return [frame, *_graticule(city, theme), *bands]


def _density_bands(city: City) -> list[BaseGeometry]:
    """Three nested areas, in degrees, where the places of a city stand ever closer together."""
    table = next(name for name in ("locations", "pois", "buildings", "street_views", "cells") if city.has(name))
    points = city.metric(table).geometry.centroid
    x, y = points.x.to_numpy(), points.y.to_numpy()
    west, south, east, north = _extent(city)
    (left, right), (low, high) = project(city, np.array([west, east]), np.array([south, north]))
    step = max(right - left, high - low, 200.0) / 90
    # The frame reaches beyond the view, so that panning a little still finds shades.
    cols, rows = (math.ceil((end - start) / step) + 90 for start, end in ((left, right), (low, high)))
    col = np.floor((x - left) / step).astype(int) + 45
    row = np.floor((y - low) / step).astype(int) + 45
    inside = (col >= 0) & (col < cols) & (row >= 0) & (row < rows)
    counted = np.zeros((rows, cols))
    np.add.at(counted, (row[inside], col[inside]), 1.0)
    from scipy.ndimage import gaussian_filter  # half a second of importing that Home does not need

    # Few places need a wider brush, or each would stand in a ring of its own.
    density = gaussian_filter(counted, max(1.6, 31 / math.sqrt(max(int(inside.sum()), 1))))
    if not density.any():
        return []
    bands = []
    for share in (0.97, 0.80, 0.50):
        ordered = np.sort(density.ravel())[::-1]
        level = ordered[min(int(np.searchsorted(np.cumsum(ordered), share * ordered.sum())), len(ordered) - 1)]
        at_row, at_col = np.nonzero(density >= max(level, 1e-9))
        corner_x, corner_y = left + (at_col - 45) * step, low + (at_row - 45) * step
        squares = shapely.box(corner_x, corner_y, corner_x + step, corner_y + step)
        area = (
            shapely.union_all(squares)
            .buffer(step * 0.9, quad_segs=4)
            .buffer(-step * 1.5, quad_segs=4)
            .buffer(step * 0.7, quad_segs=4)
        )
        bands.append(area.simplify(step / 12))
    return list(gpd.GeoSeries(bands, crs=city.metric_crs).to_crs(WGS84))


def _graticule(city: City, theme: Theme) -> list[pdk.Layer]:
    """Lines every round number of kilometres, for cities with nothing else to hold on to."""
    west, south, east, north = _extent(city)
    (left, right), (low, high) = project(city, np.array([west, east]), np.array([south, north]))
    step = _round_length(max(right - left, high - low) / 5)
    courses = []
    for start, end, fixed in ((left, right, (low, high)), (low, high, (left, right))):
        for value in np.arange(math.floor(start / step) - 6, math.ceil(end / step) + 7) * step:
            ends = np.array([fixed[0] - 6 * step, fixed[1] + 6 * step])
            pair = (np.full(2, value), ends) if fixed == (low, high) else (ends, np.full(2, value))
            courses.append(positions(*unproject(city, *pair)))
    return [_paths("graticule", courses, colours.rgba(colours.ground("cell", theme), 90), 1, PIXELS)]


def _round_length(metres: float) -> float:
    """The largest of 1, 2 or 5 times a power of ten that is not above `metres`."""
    power = 10 ** math.floor(math.log10(max(metres, 1e-3)))
    return float(max(step * power for step in (1, 2, 5) if step * power <= metres * 1.0001))


def _areas(boundary: gpd.GeoDataFrame | None, kind: str, theme: Theme) -> list[pdk.Layer]:
    if boundary is None or not (boundary["kind"] == kind).any():
        return []
    chosen = boundary.loc[boundary["kind"] == kind].geometry
    shapes = rings(chosen.simplify(1e-5))
    courses = lines(chosen[chosen.geom_type.isin(["LineString", "MultiLineString"])].simplify(1e-5))
    colour = colours.rgba(colours.ground(kind, theme))
    found = [_polygons(kind, shapes, colour)] if shapes else []
    return found + ([_paths(f"{kind}-lines", courses, colour, 14, METRES, least=1)] if courses else [])


def _roads(boundary: gpd.GeoDataFrame | None, theme: Theme) -> list[pdk.Layer]:
    if boundary is None or not (boundary["kind"] == "road").any():
        return []
    courses = lines(boundary.loc[boundary["kind"] == "road"].geometry.simplify(2e-5))
    casing = _paths("road-casing", courses, colours.rgba(colours.ground("road_casing", theme)), 16, METRES, least=1.2)
    return [casing, _paths("roads", courses, colours.rgba(colours.ground("road", theme)), 10, METRES, least=0.6)]


# ---- buildings, cells, districts -------------------------------------------------------------------------------------------


def _buildings(city: City, theme: Theme, how: Buildings, notes: list[str]) -> list[pdk.Layer]:
    table = city.spatial("buildings")
    height = table["height_m"].to_numpy(float)
    footprint = shapely.area(table.geometry.to_numpy())
    order = np.argsort(-footprint * np.maximum(height, 3.0), kind="stable")
    base = colours.rgba(colours.ground("building", theme), 255 if how == "flat" else 235)
    geometries = table.geometry.to_numpy()
    limit = len(order)
    while True:
        rows = [
            {"p": ring, "h": round(float(height[index]), 1)} if how == "extruded" else ring
            for index in order[: min(limit, MOST_MARKS)]
            for ring in rings([geometries[index]])
        ]
        extra = {"extruded": True, "get_elevation": "h", "get_polygon": "p"} if how == "extruded" else {"get_polygon": "-"}
        layer = pdk.Layer("SolidPolygonLayer", rows, id="buildings", get_fill_color=base, **extra)
        if size_bytes([layer]) <= _BASE_BUDGET * 0.6:
            break
        limit = int(min(limit, MOST_MARKS) * 0.55 * _BASE_BUDGET / size_bytes([layer]))
    if limit < len(order) or len(order) > MOST_MARKS:
        notes.append(f"The largest {min(limit, MOST_MARKS):,} of {len(order):,} buildings are drawn.")
    return [layer]


def _cells(city: City, theme: Theme, notes: list[str]) -> list[pdk.Layer]:
    cells = city.spatial("cells")
    if len(cells) > MOST_MARKS:
        notes.append(f"The outlines of {len(cells):,} cells are not drawn.")
        return []
    return [_paths("cells", lines(cells.geometry), colours.rgba(colours.ground("cell", theme), 150), 1, PIXELS)]


def _districts(city: City, boundary: gpd.GeoDataFrame | None, theme: Theme, names: bool) -> list[pdk.Layer]:
    if boundary is None or not (boundary["kind"] == "district").any():
        return []
    districts = boundary.loc[boundary["kind"] == "district"]
    outlines = lines(_simple(city, districts.geometry))
    layers = [_paths("districts", outlines, colours.rgba(colours.ground("district", theme), 170), 1, PIXELS)]
    if names and "name" in districts and districts["name"].notna().any():
        named = districts.loc[districts["name"].fillna("").astype(str) != ""]
        inside = named.geometry.representative_point()
        largest = shapely.area(named.geometry.to_numpy()).argsort()[::-1][:40]
        rows = [
            {"p": position(inside.iloc[row].x, inside.iloc[row].y), "t": literal(str(named["name"].iloc[row])[:40])}
            for row in largest
        ]
        layers.append(
            pdk.Layer(
                "TextLayer",
                rows,
                id="district-names",
                get_position="p",
                get_text="t",
                get_size=12,
                get_color=colours.rgba(colours.ground("label", theme), 230),
                font_family=FONT,
                font_weight=600,
                character_set=AUTOMATIC,
            )
        )
    return layers


def _apart(x: np.ndarray, y: np.ndarray, words: list[str], order: np.ndarray, view: pdk.ViewState) -> list[int]:
    """Labels that do not touch at the city's own zoom, the first in `order` preferred."""
    scale = 512 * 2**view.zoom / 360
    left, low = x * scale, y * scale / math.cos(math.radians(view.latitude))
    kept: list[int] = []
    for row in order:
        half = 3.4 * len(words[row]) + 4
        if all(abs(left[row] - left[other]) > half + 3.4 * len(words[other]) or abs(low[row] - low[other]) > 15 for other in kept):
            kept.append(int(row))
    return kept


# ---- places ----------------------------------------------------------------------------------------------------------------


def place_families(locations: pd.DataFrame) -> np.ndarray:
    """(location,) the family of each place, by its root category where the table has one."""
    roots = (
        locations["parent_category"].fillna("").astype(str)
        if "parent_category" in locations
        else pd.Series("", index=locations.index)
    )
    leaves = locations["category"].fillna("").astype(str)
    return np.array([colours.family_of(leaf, root) for leaf, root in zip(leaves, roots, strict=True)], dtype=object)


def _places(city: City, theme: Theme, notes: list[str], legend: dict[str, str], faint: bool) -> list[pdk.Layer]:
    locations = city.spatial("locations")
    visits = np.zeros(len(locations), int)
    if city.has("visits"):
        visits = city.table("visits")["location_id"].value_counts().reindex(locations["location_id"]).fillna(0).to_numpy(int)
    if len(locations) > MOST_MARKS:
        return _aggregated(city, locations, visits, theme, notes)
    family = place_families(locations)
    counted = pd.Series(family).value_counts()
    legend.update({name: colours.family_colour(name, theme) for name in counted.index if name != colours.OTHER})
    if colours.OTHER in counted.index:
        legend[colours.OTHER] = colours.other(theme)
    order = np.argsort(-visits, kind="stable")
    where = positions(locations.geometry.x.to_numpy(), locations.geometry.y.to_numpy())
    radius = np.round((1.1, 1.6)[not faint] + (1.6, 3.6)[not faint] * np.sqrt(visits / max(visits.max(), 1)), 1)
    ids, names = locations["location_id"].to_numpy(object), _place_names(locations)
    category = locations["category"].fillna("").astype(str).to_numpy(object)
    layers = []
    for name in [*legend]:
        mine = order[family[order] == name]
        rows = [
            {"p": where[row], "r": radius[row]}
            | ({"id": literal(ids[row]), "tip": _place_tip(names[row], category[row], visits[row])})
            for row in mine[:_HOVERED]
        ]
        rows += [{"p": where[row], "r": radius[row]} for row in mine[_HOVERED:]]
        layers.append(
            pdk.Layer(
                "ScatterplotLayer",
                rows,
                id=f"places-{name}",
                get_position="p",
                get_radius="r",
                radius_units=PIXELS,
                get_fill_color=colours.rgba(legend[name], 95 if faint else 165),
                pickable=len(mine) <= _HOVERED,
            )
        )
    if size_bytes(layers) > _BASE_BUDGET:
        return _aggregated(city, locations, visits, theme, notes)
    return layers


def _place_names(locations: pd.DataFrame) -> np.ndarray:
    ids = locations["location_id"].astype(str)
    if "name" not in locations:
        return ids.to_numpy(object)
    named = locations["name"].fillna("").astype(str)
    return named.where(named != "", ids).to_numpy(object)


def _place_tip(name: str, category: str, visits: int) -> str:
    return literal(f"{name[:80]}\n{category[:60] + ', ' if category else ''}{visits:,} visit{'' if visits == 1 else 's'}")


def _aggregated(city: City, locations: gpd.GeoDataFrame, visits: np.ndarray, theme: Theme, notes: list[str]) -> list[pdk.Layer]:
    """Places as squares coloured by how many stand in them; the size is chosen so that a few thousand squares remain."""
    x, y = project(city, locations.geometry.x.to_numpy(), locations.geometry.y.to_numpy())
    size = 100.0
    while True:
        grid = pd.DataFrame({"col": np.floor(x / size).astype(int), "row": np.floor(y / size).astype(int), "visits": visits})
        cells = grid.groupby(["col", "row"])["visits"].agg(["size", "sum"]).reset_index()
        if len(cells) <= 4_000:
            break
        size *= 2
    level = np.log1p(cells["size"].to_numpy()) / np.log1p(cells["size"].max())
    colour = colours.ramp(level, colours.scale("sequential", theme))
    corners = square_corners(city, cells["col"].to_numpy(), cells["row"].to_numpy(), size)
    rows = [
        {"p": corner, "c": [*rgb, 150], "tip": f"{places:,} places, {visited:,} visits"}
        for corner, rgb, places, visited in zip(
            corners, colour.tolist(), cells["size"].tolist(), cells["sum"].tolist(), strict=True
        )
    ]
    notes.append(
        f"{len(locations):,} places are drawn as {len(cells):,} squares of {size:,.0f} m, brighter where more places stand."
    )
    return [pdk.Layer("SolidPolygonLayer", rows, id="places-squares", get_polygon="p", get_fill_color="c", pickable=True)]


def square_corners(city: City, col: np.ndarray, row: np.ndarray, size_m: float) -> list[list[list[float]]]:
    """Corners in degrees of squares of the metric grid whose cell (0, 0) starts at the origin of the city's CRS.

    Returns:
        Per square four rounded (longitude, latitude) pairs.
    """
    x = (np.asarray(col)[:, None] + np.array([0, 1, 1, 0])) * size_m
    y = (np.asarray(row)[:, None] + np.array([0, 0, 1, 1])) * size_m
    longitude, latitude = unproject(city, x, y)
    return np.round(np.stack([longitude, latitude], axis=2), 5).tolist()


# ---- frame -----------------------------------------------------------------------------------------------------------------


def _scale(city: City, theme: Theme) -> list[pdk.Layer]:
    """A bar of a round length on the ground at the lower left of the view; it stays true at every zoom."""
    view = view_state(city)
    metres_per_pixel = 40_075_017 * math.cos(math.radians(view.latitude)) / (512 * 2**view.zoom)
    target = 110 * metres_per_pixel
    length = _round_length(target)
    per_degree = 111_320 * math.cos(math.radians(view.latitude))
    left = view.longitude - REFERENCE_SIZE[0] / 2 * metres_per_pixel / per_degree * 0.98
    bottom = view.latitude - REFERENCE_SIZE[1] / 2 * metres_per_pixel / 110_574 * 0.96
    right = left + length / per_degree
    colour = colours.rgba(colours.ground("scale", theme))
    label = f"{length / 1000:g} km" if length >= 1000 else f"{length:g} m"
    tick = 4 * metres_per_pixel / 110_574
    course = [position(left, bottom + tick), position(left, bottom), position(right, bottom), position(right, bottom + tick)]
    text = pdk.Layer(
        "TextLayer",
        [{"p": position((left + right) / 2, bottom), "t": label}],
        id="scale-label",
        get_position="p",
        get_text="t",
        get_size=12,
        get_pixel_offset=[0, -9],
        get_color=colour,
        font_family=FONT,
        character_set=AUTOMATIC,
    )
    return [_paths("scale", [course], colour, 1.5, PIXELS), text]


def _extent(city: City) -> tuple[float, float, float, float]:
    """West, south, east, north of where the city is: its outline, else where nine of ten visits go, else its bounds."""
    if city.has("boundary"):
        boundary = city.spatial("boundary")
        for kind in ("city", "district"):
            chosen = boundary.loc[boundary["kind"] == kind]
            if len(chosen):
                return tuple(float(value) for value in chosen.total_bounds)  # type: ignore[return-value]
    if city.has("locations"):
        points = city.spatial("locations")
        x, y = points.geometry.x.to_numpy(), points.geometry.y.to_numpy()
        if city.has("visits"):
            row = (
                points.reset_index(drop=True)
                .reset_index()
                .set_index("location_id")["index"]
                .reindex(city.table("visits")["location_id"])
            )
            x, y = x[row.dropna().to_numpy(int)], y[row.dropna().to_numpy(int)]
        (west, east), (south, north) = _middle(x), _middle(y)
        margin = max(east - west, north - south, 0.004) * 0.05
        return west - margin, south - margin, east + margin, north + margin
    return city.bounds


def _middle(values: np.ndarray) -> tuple[float, float]:
    """Where nine of ten values lie and a little more on both sides, but never beyond the values."""
    low, high = np.percentile(values, [5, 95])
    more = 0.15 * (high - low)
    return float(max(low - more, values.min())), float(min(high + more, values.max()))


def view_extent_m(city: City) -> tuple[float, float]:
    """Width and height in metres of what a city's view shows."""
    west, south, east, north = _extent(city)
    x, y = project(city, np.array([west, east]), np.array([south, north]))
    return max(float(x[1] - x[0]), 1.0), max(float(y[1] - y[0]), 1.0)


def _attribution(city: City) -> str:
    files = [card.file for card in city.info.data_card.files]
    if files:
        return f"Map drawn from {', '.join(files[:3])}{' …' if len(files) > 3 else ''}"
    return f"Map drawn from the tables of {city.name}"


def _simple(city: City, shapes: gpd.GeoSeries) -> gpd.GeoSeries:
    return shapes.to_crs(city.metric_crs).simplify(12).to_crs(WGS84)


def _polygons(name: str, shapes: list[list[list[list[float]]]], colour: list[int]) -> pdk.Layer:
    return pdk.Layer("SolidPolygonLayer", shapes, id=name, get_polygon="-", get_fill_color=colour)


def _paths(
    name: str, courses: list[list[list[float]]], colour: list[int], width: float, units: pdk.types.String, least: float = 0
) -> pdk.Layer:
    return pdk.Layer(
        "PathLayer",
        courses,
        id=name,
        get_path="-",
        get_color=colour,
        get_width=width,
        width_units=units,
        width_min_pixels=least or None,
        joint_rounded=True,
        cap_rounded=True,
    )


assert _BASE_BUDGET < BUDGET_BYTES
