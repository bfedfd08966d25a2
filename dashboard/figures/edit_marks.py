"""Marks of a scenario on the map: what was opened, moved, closed or retagged, and a grid to click a position on."""

import math

import numpy as np
import pandas as pd
import pydeck as pdk

from dashboard.figures import colours
from dashboard.figures.base_map import square_corners, view_extent_m
from dashboard.figures.colours import Theme
from dashboard.figures.deck import AUTOMATIC, FONT, PIXELS, literal, position
from engine.city.city import City, project, unproject

MOST_SQUARES = 10_000
SIGNS = {"opened": "+", "moved": "→", "closed": "×", "retagged": "~"}


def edit_layers(edited: pd.DataFrame, theme: Theme) -> list[pdk.Layer]:
    """Edited places: a magenta ring with a sign for what happened (+ opened, → moved, × closed, ~ retagged).

    Args:
        edited: Rows (location_id, name, category, longitude, latitude, edit).
        theme: Light or dark.
    """
    if edited.empty:
        return []
    magenta = colours.rgba(colours.role("edited", theme))
    rows = [
        {
            "p": position(row.longitude, row.latitude),
            "t": "".join(SIGNS[word] for word in str(row.edit).split(", ")),
            "id": literal(row.location_id),
            "tip": literal(f"{str(row.label)[:80]}\n{str(row.category)[:60]}\n{row.edit}"),
        }
        for row in edited.rename(columns={"name": "label"}).itertuples()
    ]
    signs = pdk.Layer(
        "TextLayer",
        rows,
        id="edited-signs",
        get_position="p",
        get_text="t",
        get_size=15,
        get_color=magenta,
        font_family=FONT,
        font_weight=700,
        character_set=AUTOMATIC,
    )
    return [_ring("edited", rows, 11, magenta), signs]


def _ring(name: str, rows: list[dict], radius: float, colour: list[int]) -> pdk.Layer:
    """Rings around what was edited; a row has its position `p` and its `tip`."""
    return pdk.Layer(
        "ScatterplotLayer",
        rows,
        id=name,
        get_position="p",
        get_radius=radius,
        radius_units=PIXELS,
        get_fill_color=[*colour[:3], 40],
        stroked=True,
        get_line_color=colour,
        get_line_width=2.5,
        line_width_units=PIXELS,
        pickable=True,
    )


def moved_visit_layers(was: tuple[float, float], now: tuple[float, float], theme: Theme) -> list[pdk.Layer]:
    """The last visit: a disc where it was, a line, and the ring of a moved thing where it is taken to be.

    Args:
        was: Longitude and latitude, degrees.
        now: The same after the edits.
        theme: Light or dark.
    """
    observed, magenta = (colours.rgba(colours.role(role, theme)) for role in ("observed", "edited"))
    line = pdk.Layer(
        "LineLayer",
        [{"s": position(*was), "t": position(*now)}],
        id="moved-visit-line",
        get_source_position="s",
        get_target_position="t",
        get_color=magenta,
        get_width=2,
        width_units=PIXELS,
    )
    disc = pdk.Layer(
        "ScatterplotLayer",
        [{"p": position(*was), "tip": "The last visit was here"}],
        id="moved-visit-was",
        get_position="p",
        get_radius=6,
        radius_units=PIXELS,
        get_fill_color=observed,
        pickable=True,
    )
    ring = _ring("moved-visit-now", [{"p": position(*now), "tip": "The last visit is taken to be here"}], 9, magenta)
    return [line, disc, ring]


def pick_layer(city: City, theme: Theme) -> tuple[pdk.Layer, float]:
    """Nearly invisible squares over the city, each of which can be clicked to name its middle; and their side in metres."""
    width, height = view_extent_m(city)
    wanted = math.sqrt(width * height / MOST_SQUARES)
    size = float(next((step for step in (10, 20, 25, 50, 100, 200, 250, 500, 1000, 2000, 5000) if step >= wanted), 10_000))
    west, south, east, north = city.bounds
    x, y = project(city, np.array([west, east, west, east]), np.array([south, south, north, north]))
    columns = np.arange(math.floor(x.min() / size), math.floor(x.max() / size) + 1)
    rows = np.arange(math.floor(y.min() / size), math.floor(y.max() / size) + 1)
    col, row = (axis.ravel() for axis in np.meshgrid(columns, rows))
    longitude, latitude = unproject(city, (col + 0.5) * size, (row + 0.5) * size)
    corners = square_corners(city, col, row, size)
    data = [
        {"p": corner, "at": position(lon, lat)}
        for corner, lon, lat in zip(corners, longitude.tolist(), latitude.tolist(), strict=True)
    ]
    layer = pdk.Layer(
        "SolidPolygonLayer",
        data,
        id="pick",
        get_polygon="p",
        get_fill_color=[*colours.rgb(colours.role("edited", theme)), 4],
        pickable=True,
        auto_highlight=True,
        highlight_color=[*colours.rgb(colours.role("edited", theme)), 130],
    )
    return layer, size
