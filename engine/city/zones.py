"""Guessing a city's time zone from where it lies, without a map of zones: by the nearest well-known city.

A guess is only a guess: it is written into the data card, and where another clock is near enough to be the right one, it says it is
unsure and the analyst is asked. An hour lost without a word is worse than a question.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from importlib import resources
from pathlib import Path
from zoneinfo import TZPATH, ZoneInfo

import numpy as np

from engine.city.antimeridian import unwrap_points
from engine.city.zone_cities import CITIES

_NEAR_KM = 150.0
_CITY_KM = 30.0
_RIVAL_KM = 600.0
_TIMES_AS_FAR = 4.0
_SAME_PLACE_KM = 5.0
_USUAL_YEARS = (2024,)


@dataclass(frozen=True)
class ZoneGuess:
    """A guessed zone: its name, the distance to the city it was guessed from, and whether no other clock is near."""

    name: str
    distance_km: float
    certain: bool


def guess_zone(longitude: np.ndarray, latitude: np.ndarray, years: Sequence[int] = ()) -> ZoneGuess:
    """The time zone of points by the well-known city nearest to their median.

    The guess is certain where that city is near and all cities for hundreds of kilometres keep its clock, or where the points lie
    in the city and the next other clock is several times as far away; and where the points lie within one region.

    Args:
        longitude: (point,) degrees WGS84.
        latitude: (point,) degrees WGS84.
        years: Calendar years of the data, over which clocks are compared; empty takes a recent one.
    """
    names, cities = _well_known()
    longitude = unwrap_points(longitude)
    spread = np.percentile(longitude, 95) - np.percentile(longitude, 5)
    distance = _kilometres(float(np.median(longitude)), float(np.median(latitude)), cities)
    order = np.argsort(distance, kind="stable")
    name, near = names[order[0]], float(distance[order[0]])
    reach = _TIMES_AS_FAR * max(near, _SAME_PLACE_KM) if near < _CITY_KM else _RIVAL_KM
    rivals = {names[index] for index in order[: np.searchsorted(distance[order], reach)]} - {name}
    compared = years or _USUAL_YEARS
    is_alone = near < _NEAR_KM and all(_clock(name, year) == _clock(rival, year) for rival in rivals for year in compared)
    return ZoneGuess(name, near, bool(is_alone and spread < 5))


@cache
def _well_known() -> tuple[tuple[str, ...], np.ndarray]:
    """Zones and (city, longitude and latitude) degrees of the cities guessed from."""
    names, points = [], []
    for zone, longitude, latitude in _zone_table():
        # Nobody's mobility is studied at polar stations, but cities with latitude and longitude swapped lie beside them.
        if not zone.startswith(("Antarctica/", "Arctic/")):
            names.append(zone)
            points.append((longitude, latitude))
    for zone, cities in CITIES.items():
        for city in cities.split(", "):
            _, longitude_text, latitude_text = city.rsplit(" ", 2)
            names.append(zone)
            points.append((float(longitude_text), float(latitude_text)))
    return tuple(names), np.array(points)


def _zone_table() -> list[tuple[str, float, float]]:
    """Zone and principal city, one per country at least, from the `zone.tab` that comes with the time zone database."""
    places = [Path(folder) / "zone.tab" for folder in TZPATH]
    text = next((place.read_text(encoding="utf-8") for place in places if place.is_file()), None)
    if text is None:
        text = (resources.files("tzdata") / "zoneinfo" / "zone.tab").read_text(encoding="utf-8")
    rows = []
    for line in text.splitlines():
        if line and not line.startswith("#"):
            position, zone = line.split("\t")[1:3]
            latitude, longitude = re.findall(r"[+-]\d+", position)
            rows.append((zone, _degrees(longitude, 3), _degrees(latitude, 2)))
    return rows


def _degrees(iso6709: str, whole: int) -> float:
    sign, digits = iso6709[0], iso6709[1:]
    degrees = int(digits[:whole]) + int(digits[whole : whole + 2]) / 60 + int(digits[whole + 2 :] or 0) / 3600
    return -degrees if sign == "-" else degrees


def _kilometres(longitude: float, latitude: float, points: np.ndarray) -> np.ndarray:
    here, there = np.radians([longitude, latitude]), np.radians(points)
    half = np.sin((there[:, 1] - here[1]) / 2) ** 2
    half += np.cos(here[1]) * np.cos(there[:, 1]) * np.sin((there[:, 0] - here[0]) / 2) ** 2
    return 12742 * np.arcsin(np.sqrt(half))


@cache
def _clock(zone: str, year: int) -> tuple[timedelta | None, ...]:
    """(day,) offset from UTC at noon of every day of a year: zones with equal ones show the same time."""
    noon, clock = datetime(year, 1, 1, 12, tzinfo=UTC), ZoneInfo(zone)
    return tuple((noon + timedelta(days=day)).astimezone(clock).utcoffset() for day in range(365))
