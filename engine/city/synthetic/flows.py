"""Trips between cells by hour: what everybody in town does, not only the recorded people.

Every cell sends and draws people according to the floor area and ground of its zone functions, with the daily curve of each
function. A gravity model with elastic demand joins the two: how much leaves a cell depends on what it holds and on what its
neighbours offer at that hour.

With productions P, attractions A and exchange K_ij = exp(-d_ij / reach) between different cells,

    access_i = sum_j K_ij A_j,   out_i = P_i (floor + access_i / mean access) ** elasticity,   T_ij = out_i K_ij A_j / access_i,

so that at every hour the trips that leave are the trips that arrive. Bad weather shortens the reach and empties parks and seafront.
"""

from dataclasses import dataclass

import numpy as np

from engine.city.synthetic.buildings import Buildings
from engine.city.synthetic.cells import Cells
from engine.city.synthetic.layout import FUNCTIONS, Layout
from engine.city.synthetic.plan import CELL_M
from engine.city.synthetic.weather import BAD_WEATHER_REACH
from engine.city.weather import WEEKDAY_IN_BAD_WEATHER

REACH_M = 750.0
ELASTICITY = 1.1
FLOOR = 0.12  # some leave even where nothing is near
DAY_TYPES = ("weekday", "weekend", WEEKDAY_IN_BAD_WEATHER)

Bumps = tuple[tuple[float, float, float], ...]  # (local hour, width in hours, height)


@dataclass(frozen=True)
class Rhythm:
    """When a function sends people away and when it draws them.

    Attributes:
        leaves, comes: Bumps of the weekday curve.
        night: Floor of the curve relative to its highest bump.
        weekend: Weekend trips relative to a weekday's.
        wet: Trips of a weekday in bad weather relative to one in fair: people leave the open air for shops, and some stay in.
        late: Hours by which the weekend runs later.
        per_floor, per_ground: Trips an hour at the peak per 1,000 m2 of floor area and per hectare of ground.
    """

    leaves: Bumps
    comes: Bumps
    night: float
    weekend: float
    wet: float
    late: float
    per_floor: float
    per_ground: float


RHYTHMS: dict[str, Rhythm] = {
    "residential": Rhythm(
        leaves=((7.8, 1.1, 1.0), (12.5, 3.0, 0.3), (18.6, 1.8, 0.3)),
        comes=((17.9, 1.7, 1.0), (13.0, 3.0, 0.3)),
        night=0.03, weekend=0.75, wet=0.9, late=2.2, per_floor=4.0, per_ground=0.6,
    ),
    "business": Rhythm(
        leaves=((12.4, 0.8, 0.3), (17.5, 1.2, 1.0)),
        comes=((8.6, 1.0, 1.0), (13.1, 0.9, 0.25)),
        night=0.012, weekend=0.16, wet=0.97, late=1.5, per_floor=1.5, per_ground=0.6,
    ),
    "shopping": Rhythm(
        leaves=((13.2, 2.2, 0.6), (18.1, 1.8, 1.0)),
        comes=((11.3, 1.8, 0.8), (15.8, 2.2, 1.0)),
        night=0.01, weekend=1.55, wet=1.1, late=0.6, per_floor=2.6, per_ground=0.8,
    ),
    "nightlife": Rhythm(
        leaves=((23.2, 1.6, 1.0), (14.0, 1.6, 0.3), (2.0, 1.4, 0.4)),
        comes=((20.2, 1.6, 1.0), (12.7, 1.2, 0.35)),
        night=0.05, weekend=1.9, wet=0.8, late=1.0, per_floor=1.5, per_ground=0.8,
    ),
    "campus": Rhythm(
        leaves=((12.2, 0.9, 0.45), (16.3, 1.8, 1.0), (20.8, 1.2, 0.2)),
        comes=((9.2, 1.1, 1.0), (13.4, 1.0, 0.4)),
        night=0.012, weekend=0.3, wet=0.95, late=1.5, per_floor=3.6, per_ground=0.8,
    ),
    "industry": Rhythm(
        leaves=((6.3, 0.7, 0.4), (14.3, 0.7, 1.0), (22.3, 0.7, 0.6)),
        comes=((5.8, 0.7, 1.0), (13.7, 0.7, 0.9), (21.6, 0.7, 0.5)),
        night=0.03, weekend=0.45, wet=1.0, late=0.0, per_floor=2.4, per_ground=0.8,
    ),
    "station": Rhythm(
        leaves=((8.2, 1.0, 1.0), (17.8, 1.5, 0.7), (12.5, 4.0, 0.35)),
        comes=((17.4, 1.2, 1.0), (7.8, 1.1, 0.7), (13.0, 4.0, 0.3)),
        night=0.05, weekend=0.7, wet=0.95, late=1.0, per_floor=4.0, per_ground=3.0,
    ),
    "seafront": Rhythm(
        leaves=((17.2, 2.2, 1.0), (21.6, 1.2, 0.4)),
        comes=((11.0, 1.8, 0.8), (14.5, 2.0, 1.0)),
        night=0.02, weekend=1.8, wet=0.4, late=0.5, per_floor=2.4, per_ground=1.2,
    ),
    "park": Rhythm(
        leaves=((11.0, 1.6, 0.4), (16.8, 2.0, 1.0)),
        comes=((9.6, 1.6, 0.4), (14.6, 2.0, 1.0)),
        night=0.008, weekend=1.9, wet=0.3, late=0.6, per_floor=0.0, per_ground=5.0,
    ),
    "countryside": Rhythm(
        leaves=((8.0, 1.5, 0.8), (16.5, 3.0, 0.6)),
        comes=((17.8, 1.8, 1.0), (11.0, 3.0, 0.5)),
        night=0.03, weekend=1.1, wet=0.7, late=1.5, per_floor=3.0, per_ground=0.5,
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Flows:
    """Trips per hour of an average day: (day type, cell, hour), in the order of `DAY_TYPES`."""

    outflow: np.ndarray
    inflow: np.ndarray


def make_flows(layout: Layout, buildings: Buildings, cells: Cells, rng: np.random.Generator) -> Flows:
    """Trips out of and into every cell."""
    size = _sizes(layout, buildings, cells)
    level = np.exp(rng.normal(0, 0.06, (2, len(cells), 1)))
    out, into = [], []
    for day_type in DAY_TYPES:
        kernel = exchange(cells, REACH_M * (BAD_WEATHER_REACH if day_type == WEEKDAY_IN_BAD_WEATHER else 1.0))
        production = _curves(size, day_type, leaving=True) * level[0] * np.exp(rng.normal(0, 0.03, (len(cells), 24)))
        attraction = _curves(size, day_type, leaving=False) * level[1] * np.exp(rng.normal(0, 0.03, (len(cells), 24)))
        access = kernel @ attraction
        mean = np.average(access, weights=production.sum(1) + 1e-9, axis=0)
        leaving = production * (FLOOR + access / mean) ** ELASTICITY
        out.append(leaving)
        into.append(attraction * (kernel.T @ (leaving / np.maximum(access, 1e-12))))
    return Flows(np.stack(out), np.stack(into))


def exchange(cells: Cells, reach_m: float = REACH_M) -> np.ndarray:
    """(cell, cell) how readily people go from one cell to another, zero within a cell."""
    away = np.hypot(cells.west[:, None] - cells.west, cells.south[:, None] - cells.south)
    kernel = np.exp(-away / reach_m)
    np.fill_diagonal(kernel, 0.0)
    return kernel


def _sizes(layout: Layout, buildings: Buildings, cells: Cells) -> np.ndarray:
    """(cell, function) trips at the peak hour."""
    functions = np.array([FUNCTIONS.index(zone.function) for zone in layout.zones])
    floor = np.zeros((len(cells), len(FUNCTIONS)))
    cell = cells.containing(buildings.x, buildings.y)
    inside = cell >= 0
    np.add.at(floor, (cell[inside], functions[buildings.zone[inside]]), buildings.floor_area_m2[inside])
    per_floor = np.array([RHYTHMS[name].per_floor if name in RHYTHMS else 0.0 for name in FUNCTIONS])
    per_ground = np.array([RHYTHMS[name].per_ground if name in RHYTHMS else 0.0 for name in FUNCTIONS])
    ground_share = cells.function_area / CELL_M**2
    return floor / 1_000 * per_floor + ground_share * 25 * per_ground


def _curves(size: np.ndarray, day_type: str, leaving: bool) -> np.ndarray:
    """(cell, hour) trips, the functions' curves weighted by their size."""
    return size @ np.stack([function_curve(name, day_type, leaving) for name in FUNCTIONS])


def function_curve(function: str, day_type: str, leaving: bool) -> np.ndarray:
    """(hour,) departures or arrivals of a function relative to the weekday's highest bump; the axis is the local hour."""
    if function not in RHYTHMS:
        return np.zeros(24)
    rhythm = RHYTHMS[function]
    weekend = day_type == "weekend"
    hour = np.arange(24) + 0.5
    curve = np.full(24, rhythm.night)
    for centre, width, height in rhythm.leaves if leaving else rhythm.comes:
        away = np.abs(hour - centre - (rhythm.late if weekend else 0.0)) % 24
        width = width * (1.35 if weekend else 1.0)
        curve += height * np.exp(-0.5 * (np.minimum(away, 24 - away) / width) ** 2)
    return curve * {"weekend": rhythm.weekend, WEEKDAY_IN_BAD_WEATHER: rhythm.wet}.get(day_type, 1.0)
