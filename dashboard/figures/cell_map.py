"""Cells on the map: values of 24 hours in one message, colour limits shared by hours, hatching for what is not known."""

import base64
import json
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pydeck as pdk
import shapely

from dashboard.figures import colours
from dashboard.figures.colours import Theme
from dashboard.figures.deck import PIXELS, literal, rings
from dashboard.wording import significant

MOST_OUTLINES = 12_000
"""More cells than this are drawn as dots."""
OPACITY = 205
NO_VALUE = 65_535
"""Code of a value that is not known; the others run from 0 to the one before."""


@dataclass(frozen=True, eq=False)
class HourlyFill:
    """Values of all cells over the day and how they are coloured; limits are the same for all hours.

    Attributes:
        values: (cell, 24) in trips, NaN where there is none.
        is_log: Whether colour follows ln(1 + trips).
        low, high: Limits of the colour, after the logarithm.
        scale: Name of the colour scale.
        is_cut: Whether values lie beyond the limits; they are drawn as the limits are.
    """

    values: np.ndarray
    is_log: bool
    low: float
    high: float
    scale: str
    is_cut: bool = False

    @property
    def shown(self) -> np.ndarray:
        """(cell, 24) what colour follows."""
        return np.log1p(np.maximum(self.values, 0)) if self.is_log else self.values

    def stops(self, theme: Theme) -> list[str]:
        """Colours from low to high."""
        return colours.scale(self.scale, theme)  # type: ignore[arg-type]

    def ticks(self) -> list[str]:
        """Trips at the lower end, the middle and the upper end of the scale; the ends say what lies beyond them."""
        ends = np.array([self.low, (self.low + self.high) / 2, self.high])
        trips = np.expm1(ends) if self.is_log else ends
        sign = (lambda value: "+" if value > 0 else "−" if value < 0 else "") if not self.is_log else lambda value: ""
        low, middle, high = (f"{sign(value)}{significant(abs(float(value)), 2)}" for value in trips)
        if not self.is_cut:
            return [low, middle, high]
        # Of flows the least is in sight and only the most is cut.
        return [low if self.is_log else f"{low} and less", middle, f"{high} and more"]

    def rgb(self, hour: int, theme: Theme) -> np.ndarray:
        """(cell, 3) colours at an hour; those of unknown values mean nothing."""
        share = (self.shown[:, hour] - self.low) / max(self.high - self.low, 1e-12)
        return colours.ramp(share, self.stops(theme))


def flow_fill(values: np.ndarray, *others: np.ndarray) -> HourlyFill:
    """Trips on a logarithmic scale whose limits hold for these and for the other values, so that maps can be compared."""
    logs = np.log1p(np.maximum(np.concatenate([one[np.isfinite(one)] for one in (values, *others)]), 0))
    low, high = (float(logs.min()), float(np.quantile(logs, 0.999))) if len(logs) else (0.0, 1.0)
    is_cut = bool(len(logs)) and float(logs.max()) > high
    return HourlyFill(values, True, low, high if high > low else low + 1, "sequential", is_cut)


def difference_fill(values: np.ndarray) -> HourlyFill:
    """Differences in trips, the same limit on both sides for all hours; of those that are any, the largest one in fifty is cut."""
    sizes = np.abs(values[np.isfinite(values) & (values != 0)])
    limit = float(np.quantile(sizes, 0.98)) if len(sizes) else 1.0
    is_cut = bool(len(sizes)) and float(sizes.max()) > limit
    return HourlyFill(values, False, -limit, limit, "diverging", is_cut)


def encoded(fill: HourlyFill) -> tuple[str, float, float]:
    """The values as base64 of little-endian 16-bit codes, cell by cell, with the least and the most they stand for."""
    shown = fill.shown
    known = np.isfinite(shown)
    least, most = (float(shown[known].min()), float(shown[known].max())) if known.any() else (0.0, 1.0)
    share = (np.where(known, shown, least) - least) / max(most - least, 1e-12)
    codes = np.where(known, np.round(share * (NO_VALUE - 1)), NO_VALUE).astype("<u2")
    return base64.b64encode(codes.tobytes()).decode("ascii"), least, most


def outlines_json(shapes: np.ndarray, longitude: np.ndarray, latitude: np.ndarray) -> str:
    """The cells as JSON for the map: position and outline, or a point each where there are too many."""
    rows: list[dict[str, object]]
    if len(shapes) > MOST_OUTLINES:
        rows = [
            {"i": row, "p": [round(float(x), 5), round(float(y), 5)]}
            for row, (x, y) in enumerate(zip(longitude, latitude, strict=True))
        ]
    else:
        plain = shapely.simplify(shapes, 2e-5)
        rows = [{"i": row, "p": ring} for row, shape in enumerate(plain) for ring in rings([shape])]
    return json.dumps(rows, separators=(",", ":"))


def still_cells(shapes: np.ndarray, fill: HourlyFill, hour: int, theme: Theme) -> pdk.Layer:
    """One hour as a layer of its own, for pictures that do not move."""
    colour, known = fill.rgb(hour, theme).tolist(), np.isfinite(fill.values[:, hour])
    rows = [{"p": ring, "c": [*colour[row], OPACITY]} for row in np.flatnonzero(known) for ring in rings([shapes[row]])]
    return pdk.Layer("SolidPolygonLayer", rows, id="cells", get_polygon="p", get_fill_color="c")


def part_layer(shapes: np.ndarray, colour_of: Sequence[list[int]], tips: Sequence[str], name: str = "cells") -> pdk.Layer:
    """Cells in given colours, one (red, green, blue, alpha) each, with a tip."""
    rows = [
        {"p": ring, "c": colour_of[row], "tip": literal(tips[row]), "i": row}
        for row in range(len(shapes))
        for ring in rings([shapes[row]])
    ]
    return pdk.Layer("SolidPolygonLayer", rows, id=name, get_polygon="p", get_fill_color="c", pickable=True)


def hatching(shapes: np.ndarray, rising: bool = True, lines: int = 5) -> list[list[list[float]]]:
    """Slanted lines inside polygons (degrees), about `lines` of them in each, as courses for a path layer."""
    courses: list[list[list[float]]] = []
    for shape in shapes:
        west, south, east, north = shape.bounds
        width, height = east - west, north - south
        if width <= 0 or height <= 0:
            continue
        starts = np.linspace(-1, 1, 2 * lines + 1)[1:-1]
        ends = [((west + s * width, south), (west + (s + 1) * width, north)) for s in starts]
        if not rising:
            ends = [((x0, north), (x1, south)) for (x0, _), (x1, _) in ends]
        cut = shapely.intersection(shape, shapely.multilinestrings([shapely.linestrings(pair) for pair in ends]))
        courses += [
            [[round(x, 5), round(y, 5)] for x, y in shapely.get_coordinates(part)]
            for part in shapely.get_parts(cut)
            if part.geom_type == "LineString" and part.length > 0
        ]
    return courses


def outline_courses(shapes: np.ndarray) -> list[list[list[float]]]:
    """The outer rings of polygons as courses for a path layer."""
    return [polygon[0] for polygon in rings(shapes)]


def courses_layer(name: str, courses: list[list[list[float]]], colour: list[int], width: float) -> pdk.Layer:
    """Lines of one colour, width in pixels."""
    return pdk.Layer(
        "PathLayer",
        courses,
        id=name,
        get_path="-",
        get_color=colour,
        get_width=width,
        width_units=PIXELS,
        joint_rounded=True,
        cap_rounded=False,
    )


def arc_layer(rows: list[dict[str, object]], colour: list[int]) -> pdk.Layer:
    """Arcs between cells with a width each: rows {"p": course, "w": pixels, "tip"}."""
    return pdk.Layer(
        "PathLayer",
        rows,
        id="cell-arcs",
        get_path="p",
        get_color=colour,
        get_width="w",
        width_units=PIXELS,
        cap_rounded=True,
        pickable=True,
    )
