"""From GPS points to stays and from stays to locations, by trackintel's definitions.

A stay begins at a point and lasts while the following points lie within `distance_m` of it and no gap is longer than `gap`; it ends
at the first point outside and counts if it lasted `duration` (Li et al. 2008; trackintel `generate_staypoints`, method "sliding").
Locations are DBSCAN clusters of the stays of all people (trackintel `generate_locations`). The defaults are those of the Geolife
set-up in "Into the Unknown" (specification §2: 200 m, 30 minutes, 24 hours, DBSCAN eps 20 m with two stays, gaps of a minute merged).
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from engine.city.antimeridian import beside

EARTH_RADIUS_M = 6_371_000.0
_SCALAR_STEPS = 6
_FIRST_WINDOW = 64


@dataclass(frozen=True)
class StayRules:
    """When points are a stay, and stays a location.

    Attributes:
        distance_m: Points nearer than this to the first one belong to the stay.
        minutes: Least duration.
        gap_minutes: A longer silence between two points ends everything.
        eps_m: DBSCAN radius.
        least_stays: Stays within `eps_m` that make a location.
        merge_minutes: Stays of one person at one location that are at most that far apart become one.
    """

    distance_m: float = 200.0
    minutes: float = 30.0
    gap_minutes: float = 24 * 60.0
    eps_m: float = 20.0
    least_stays: int = 2
    merge_minutes: float = 1.0


def find_stays(
    user: np.ndarray, microseconds: np.ndarray, longitude: np.ndarray, latitude: np.ndarray, rules: StayRules
) -> tuple[pd.DataFrame, np.ndarray]:
    """The stays among GPS points.

    Args:
        user: (point,) codes, sorted; points of a user stand together, by time.
        microseconds: (point,) time.
        longitude: (point,) degrees.
        latitude: (point,) degrees.
        rules: Distances in metres, durations in minutes.

    Returns:
        One row per stay, by user and time: user, started, finished (microseconds), longitude, latitude (mean of its points,
        degrees), points; and (point,) the stay of each point, -1 where it belongs to none.
    """
    position = _on_sphere(longitude, latitude)
    square = rules.distance_m**2
    shortest, gap = int(rules.minutes * 60e6), int(rules.gap_minutes * 60e6)
    # A change of user and a long gap both end what came before.
    breaks = np.flatnonzero((np.diff(user) != 0) | (np.diff(microseconds) > gap)) + 1
    edges = np.concatenate([[0], breaks, [len(user)]])
    belongs = np.full(len(user), -1, np.int64)
    spans: list[tuple[int, int]] = []
    for low, high in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True):
        _find_in(position[low:high], microseconds[low:high], low, square, shortest, spans)
    starts = np.array([start for start, _ in spans], np.int64)
    ends = np.array([end for _, end in spans], np.int64)
    lengths = ends - starts
    for stay, (start, end) in enumerate(spans):
        belongs[start:end] = stay
    inside = belongs >= 0
    frame = pd.DataFrame({"user": user[starts], "started": microseconds[starts], "finished": microseconds[ends]})
    east = beside(longitude[inside], longitude[starts][belongs[inside]])
    for name, values in (("longitude", east), ("latitude", latitude[inside])):
        frame[name] = np.bincount(belongs[inside], values, minlength=len(spans)) / np.maximum(lengths, 1)
    frame["points"] = lengths
    return frame, belongs


def find_locations(stays: pd.DataFrame, rules: StayRules) -> np.ndarray:
    """(stay,) the location of each stay, numbered by first appearance; -1 where too few stays are near."""
    from sklearn.cluster import DBSCAN

    if stays.empty:
        return np.zeros(0, np.int64)
    position = _on_sphere(stays["longitude"].to_numpy(float), stays["latitude"].to_numpy(float))
    labels = DBSCAN(eps=rules.eps_m, min_samples=rules.least_stays, algorithm="kd_tree").fit(position).labels_
    found = np.full(len(labels), -1, np.int64)
    clustered = labels >= 0
    found[clustered] = pd.factorize(labels[clustered])[0]
    return found


def merge_stays(stays: pd.DataFrame, rules: StayRules) -> pd.DataFrame:
    """Stays of one person that follow each other at one location within `merge_minutes` become one.

    Args:
        stays: With columns user, location, started, finished (microseconds), points; by user and time.
        rules: `merge_minutes`.

    Returns:
        A new frame of the same columns.
    """
    if stays.empty:
        return stays
    previous = stays.shift(1)
    gap = stays["started"] - previous["finished"]
    joins = (stays["user"] == previous["user"]) & (stays["location"] == previous["location"]) & (gap <= rules.merge_minutes * 60e6)
    group = (~joins).cumsum()
    return (
        stays.groupby(group, sort=False)
        .agg({"user": "first", "location": "first", "started": "first", "finished": "max", "points": "sum"})
        .reset_index(drop=True)
    )


def _find_in(
    position: np.ndarray, microseconds: np.ndarray, offset: int, square: float, shortest: int, spans: list[tuple[int, int]]
) -> None:
    points = position.tolist()
    clock = microseconds.tolist()
    count, start = len(points), 0
    while start < count - 1:
        end = _first_outside(position, points, start, count, square)
        if end == count:
            return  # whoever is still there when the data ends has not ended a stay
        if clock[end] - clock[start] >= shortest:
            spans.append((start + offset, end + offset))
        start = end


def _first_outside(position: np.ndarray, points: list[list[float]], start: int, count: int, square: float) -> int:
    """Index of the first point at `square` or more (squared metres) from `start`; `count` if there is none."""
    x, y, z = points[start]
    near = min(start + 1 + _SCALAR_STEPS, count)
    for index in range(start + 1, near):
        other = points[index]
        if (other[0] - x) ** 2 + (other[1] - y) ** 2 + (other[2] - z) ** 2 >= square:
            return index
    window = _FIRST_WINDOW
    while near < count:
        block = position[near : near + window] - position[start]
        outside = np.flatnonzero((block * block).sum(axis=1) >= square)
        if len(outside):
            return near + int(outside[0])
        near += window
        window *= 2
    return count


def _on_sphere(longitude: np.ndarray, latitude: np.ndarray) -> np.ndarray:
    """(point, 3) metres; straight-line distances equal distances on the ground to a millimetre at the lengths compared here."""
    along, up = np.radians(longitude), np.radians(latitude)
    return EARTH_RADIUS_M * np.column_stack([np.cos(up) * np.cos(along), np.cos(up) * np.sin(along), np.sin(up)])
