"""How big a synthetic city is."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from engine.errors import ConfigError

CELL_M = 500.0
DAYS = 60
VISITS_PER_PERSON = 150  # over the whole period, about two and a half a day


@dataclass(frozen=True)
class Plan:
    """The counts a city is made from.

    Attributes:
        cells: Cells along one side of the square city; a cell is `CELL_M` wide.
        zones: Areas of one function.
        districts: Named groups of zones.
        places: Visitable places, the rows of `locations`.
        pois: Points of interest; the visitable ones are among them.
        people: Persons whose visits are recorded.
        days: Local days of record, starting on a Monday.
        visits: How many visits the recording aims at.
    """

    cells: int
    zones: int
    districts: int
    places: int
    pois: int
    people: int
    days: int
    visits: int

    @property
    def extent(self) -> float:
        """Length of a side in metres."""
        return self.cells * CELL_M


TINY = Plan(cells=6, zones=16, districts=5, places=90, pois=150, people=30, days=DAYS, visits=3_600)
DEMO = Plan(cells=24, zones=120, districts=24, places=1_500, pois=2_600, people=400, days=DAYS, visits=60_000)


def make_plan(size: Literal["tiny", "demo"] | int) -> Plan:
    """The plan of a size by name, or of about that many visits.

    Raises:
        ConfigError: If the size is neither a known name nor a number of visits that makes a city.
    """
    if size == "tiny":
        return TINY
    if size == "demo":
        return DEMO
    if isinstance(size, bool) or not isinstance(size, int) or not 600 <= size <= 20_000_000:
        raise ConfigError(
            f"Size {size!r} is no size of a synthetic city. Give `tiny`, `demo` or a number of visits from 600 to 20000000."
        )
    growth = size / DEMO.visits
    cells = int(np.clip(round(DEMO.cells * growth**0.25), 6, 64))
    area = (cells / DEMO.cells) ** 2
    places = int(np.clip(DEMO.places * growth**0.6, 80, 60_000))
    return Plan(
        cells=cells,
        zones=max(16, round(DEMO.zones * area)),
        districts=max(5, round(DEMO.districts * area)),
        places=places,
        pois=round(places * 1.75),
        people=max(4, round(size / VISITS_PER_PERSON)),
        days=DAYS,
        visits=size,
    )
