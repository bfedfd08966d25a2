"""Guessing a city's time zone from where it lies, without a map of zones: by the nearest well-known city.

A guess is only a guess; it is written into the data card, and where neighbours with other clocks are about as near, it says it is
unsure and the analyst is asked.
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from importlib import resources
from pathlib import Path
from zoneinfo import TZPATH, ZoneInfo

import numpy as np

_CERTAIN_KM = 60.0
_KNOWN_KM = 400.0

# Large cities that lie far from the city their zone is named after: longitude, latitude.
_CITIES: dict[str, tuple[tuple[float, float], ...]] = {
    "Asia/Shanghai": (
        (116.4, 39.9), (113.3, 23.1), (114.1, 22.6), (104.1, 30.7), (106.6, 29.6), (114.3, 30.6), (108.9, 34.3), (120.2, 30.3),
        (118.8, 32.1), (117.2, 39.1), (123.4, 41.8), (126.6, 45.8), (113.7, 34.8), (112.9, 28.2), (102.7, 25.0), (120.4, 36.1),
        (117.0, 36.7), (121.6, 38.9), (118.1, 24.5), (119.3, 26.1), (108.4, 22.8), (103.8, 36.1), (87.6, 43.8), (125.3, 43.9),
    ),
    "America/New_York": (
        (-71.1, 42.4), (-75.2, 40.0), (-77.0, 38.9), (-80.2, 25.8), (-84.4, 33.7), (-81.7, 41.5), (-80.0, 40.4), (-80.8, 35.2),
        (-82.5, 28.0), (-81.4, 28.5), (-78.9, 42.9), (-83.0, 40.0), (-84.5, 39.1), (-76.6, 39.3), (-73.8, 42.7), (-78.6, 35.8),
    ),
    "America/Chicago": (
        (-95.4, 29.8), (-96.8, 32.8), (-98.5, 29.4), (-97.7, 30.3), (-93.3, 45.0), (-90.2, 38.6), (-90.1, 30.0), (-94.6, 39.1),
        (-86.8, 36.2), (-90.0, 35.1), (-87.9, 43.0), (-97.5, 35.5), (-86.8, 33.5),
    ),
    "America/Denver": ((-111.9, 40.8), (-106.7, 35.1), (-106.5, 31.8)),
    "America/Los_Angeles": ((-122.4, 37.8), (-117.2, 32.7), (-122.3, 47.6), (-122.7, 45.5), (-115.1, 36.2), (-121.5, 38.6)),
    "America/Toronto": ((-73.6, 45.5), (-75.7, 45.4)),
    "America/Sao_Paulo": ((-43.2, -22.9), (-47.9, -15.8), (-43.9, -19.9), (-51.2, -30.0), (-49.3, -25.4)),
    "Asia/Kolkata": ((77.2, 28.6), (72.9, 19.1), (77.6, 13.0), (80.3, 13.1), (78.5, 17.4), (73.9, 18.5), (72.6, 23.0)),
    "Asia/Tokyo": ((135.5, 34.7), (136.9, 35.2), (130.4, 33.6), (141.4, 43.1), (140.9, 38.3), (132.5, 34.4)),
    "Asia/Seoul": ((129.1, 35.2), (128.6, 35.9), (126.9, 35.2)),
    "Asia/Jakarta": ((112.7, -7.3), (107.6, -6.9), (98.7, 3.6)),
    "Asia/Ho_Chi_Minh": ((105.8, 21.0), (108.2, 16.1)),
    "Asia/Karachi": ((74.3, 31.5), (73.0, 33.7)),
    "Asia/Riyadh": ((39.2, 21.5), (50.1, 26.4)),
    "Europe/Berlin": ((11.6, 48.1), (10.0, 53.6), (7.0, 50.9), (8.7, 50.1), (9.2, 48.8), (12.4, 51.3), (13.7, 51.1), (11.1, 49.5)),
    "Europe/Paris": ((4.8, 45.8), (5.4, 43.3), (1.4, 43.6), (-0.6, 44.8), (3.1, 50.6), (-1.6, 47.2), (7.8, 48.6), (7.3, 43.7)),
    "Europe/London": ((-2.2, 53.5), (-1.9, 52.5), (-3.2, 56.0), (-4.3, 55.9), (-1.5, 53.8), (-2.6, 51.5), (-3.2, 51.5)),
    "Europe/Madrid": ((2.2, 41.4), (-0.4, 39.5), (-6.0, 37.4), (-2.9, 43.3), (-4.4, 36.7)),
    "Europe/Rome": ((9.2, 45.5), (14.3, 40.9), (7.7, 45.1), (11.3, 43.8), (13.4, 38.1)),
    "Europe/Istanbul": ((32.9, 39.9), (27.1, 38.4)),
    "Europe/Moscow": ((30.3, 59.9), (44.0, 56.3), (39.7, 47.2), (49.1, 55.8)),
    "Europe/Warsaw": ((19.9, 50.1), (17.0, 51.1), (18.6, 54.4)),
    "Europe/Lisbon": ((-8.6, 41.2),),
    "Africa/Lagos": ((7.5, 9.1), (3.9, 7.4), (8.5, 12.0)),
    "Africa/Johannesburg": ((18.4, -33.9), (31.0, -29.9)),
    "Australia/Sydney": ((149.1, -35.3), (151.8, -32.9)),
    "America/Mexico_City": ((-103.3, 20.7), (-100.3, 25.7)),
    "America/Bogota": ((-75.6, 6.2), (-76.5, 3.4)),
    "America/Argentina/Buenos_Aires": ((-57.9, -34.9), (-60.6, -32.9)),
}  # fmt: skip


@dataclass(frozen=True)
class ZoneGuess:
    """A guessed zone: its name, the distance to the city it was guessed from, and whether no other clock is about as near."""

    name: str
    distance_km: float
    certain: bool


def guess_zone(longitude: np.ndarray, latitude: np.ndarray) -> ZoneGuess:
    """The time zone of points, degrees WGS84, by the well-known city nearest to their median.

    The guess is certain where all well-known cities about as near keep the same clock and the points lie within one region.
    """
    names, anchors = _anchors()
    spread = np.percentile(longitude, 95) - np.percentile(longitude, 5)
    distance = _kilometres(float(np.median(longitude)), float(np.median(latitude)), anchors)
    nearest = int(distance.argmin())
    near = float(distance[nearest])
    reach = near if near < _CERTAIN_KM else 1.6 * near + 50
    rivals = {_clock(names[index]) for index in np.flatnonzero(distance <= reach)}
    return ZoneGuess(names[nearest], near, bool(len(rivals) == 1 and near < _KNOWN_KM and spread < 5))


@cache
def _anchors() -> tuple[tuple[str, ...], np.ndarray]:
    names, points = [], []
    for zone, longitude, latitude in _zone_table():
        names.append(zone)
        points.append((longitude, latitude))
    for zone, cities in _CITIES.items():
        names.extend([zone] * len(cities))
        points.extend(cities)
    return tuple(names), np.array(points)


def _zone_table() -> list[tuple[str, float, float]]:
    """Zone and principal city from the `zone1970.tab` that comes with the time zone database."""
    places = [Path(folder) / "zone1970.tab" for folder in TZPATH]
    text = next((place.read_text(encoding="utf-8") for place in places if place.is_file()), None)
    if text is None:
        text = (resources.files("tzdata") / "zoneinfo" / "zone1970.tab").read_text(encoding="utf-8")
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
def _clock(zone: str) -> tuple[float, float]:
    """Offsets from UTC in January and July, in hours: zones with equal ones show the same time."""
    winter, summer = (datetime(2024, month, 15, 12, tzinfo=UTC).astimezone(ZoneInfo(zone)).utcoffset() for month in (1, 7))
    assert winter is not None and summer is not None  # zones from the database always have an offset
    return winter.total_seconds() / 3600, summer.total_seconds() / 3600
