"""Edits of the latest visit of a question: how long it lasted, and where it was."""

from dataclasses import replace

import numpy as np
import pyproj

from engine.city.samples import Histories, Places
from engine.city.schema import WGS84
from engine.errors import ScenarioError


def stay_for(histories: Histories, minutes: float) -> Histories:
    """The same questions with another duration of the latest visit, in minutes.

    Raises:
        ScenarioError: If a history has no visit, or the duration is negative.
    """
    if minutes < 0 or not np.isfinite(minutes):
        raise ScenarioError(f"A visit cannot take {minutes:g} minutes; give none or more.")
    _need_visits(histories)
    stayed = histories.duration_minutes.copy()
    stayed[histories.last] = minutes
    return replace(histories, duration_minutes=stayed)


def shift_last(histories: Histories, east_m: float, north_m: float) -> Histories:
    """The same questions with the latest visit put elsewhere.

    A visit refers to a place, so each question gets one of its own at the new position: appended to the places, closed (nobody can be
    sent there), with the category of the place it stands for. Earlier visits to that place stay where they were.

    Args:
        histories: A packed batch.
        east_m: Metres to the east in the places' metric CRS.
        north_m: Metres to the north.

    Raises:
        ScenarioError: If a history has no visit.
    """
    _need_visits(histories)
    places, at = histories.places, histories.location[histories.last]
    x, y = places.x[at] + east_m, places.y[at] + north_m
    longitude, latitude = pyproj.Transformer.from_crs(places.metric_crs, WGS84, always_xy=True).transform(x, y)
    ids = np.array([f"shifted-{row}-{places.ids[place]}" for row, place in enumerate(at)], object)
    location = histories.location.copy()
    location[histories.last] = len(places) + np.arange(len(at))
    extended = Places(
        ids=np.concatenate([places.ids, ids]),
        x=np.concatenate([places.x, x]),
        y=np.concatenate([places.y, y]),
        longitude=np.concatenate([places.longitude, longitude]),
        latitude=np.concatenate([places.latitude, latitude]),
        category=np.concatenate([places.category, places.category[at]]),
        category_names=places.category_names,
        names=np.concatenate([places.names, np.array([f"moved from {places.names[place]}" for place in at], object)]),
        closed=np.concatenate([places.closed, np.ones(len(at), bool)]),
        metric_crs=places.metric_crs,
    )
    return replace(histories, places=extended, location=location)


def _need_visits(histories: Histories) -> None:
    if (histories.lengths == 0).any():
        raise ScenarioError("A history without visits has no last visit that could be changed.")
