"""Cities of a few visits, written out by hand, for tests that check an answer by counting."""

from collections.abc import Sequence
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd

from engine.city.city import City
from engine.city.samples import Histories, Places, VisitLog, build_samples
from engine.city.splits import Split

Visit = tuple[str, str, str]
"""Who, which place, local time; with a fourth entry the part of a published split."""


def city_of(visits: Sequence[tuple[str, ...]], time_zone: str = "UTC", places: Sequence[str] | None = None, **tables: Any) -> City:
    """A city with these visits. Places lie on a line from west to east, 0.01 degrees apart, in the order of their names."""
    names = sorted({visit[1] for visit in visits} | set(places or ()))
    locations = gpd.GeoDataFrame(
        {"location_id": names, "category": [f"category {name}" for name in names]},
        geometry=gpd.points_from_xy(-74 + 0.01 * np.arange(len(names)), np.full(len(names), 40.7)),
        crs=4326,
    )
    frame = pd.DataFrame(
        {
            "user_id": [visit[0] for visit in visits],
            "location_id": [visit[1] for visit in visits],
            "started_at": pd.to_datetime([visit[2] for visit in visits], utc=True)
            if any("+" in visit[2] or "-0" in visit[2][10:] for visit in visits)
            else pd.DatetimeIndex([visit[2] for visit in visits]).tz_localize(time_zone).tz_convert("UTC"),
        }
    )
    if visits and len(visits[0]) > 3:
        frame["split"] = [visit[3] for visit in visits]
    return City.build("Handmade", {"visits": frame, "locations": locations, **tables}, time_zone=time_zone)


def random_city(seed: int = 0, users: int = 6, places: int = 12, days: int = 60, visits: int = 600) -> City:
    """People who favour a few places each, over some weeks, with a published split by thirds of the time."""
    generator = np.random.default_rng(seed)
    names = [f"p{index:02d}" for index in range(places)]
    favourites = generator.dirichlet(np.full(places, 0.3), users)
    rows = []
    for _ in range(visits):
        user, minute = int(generator.integers(users)), int(generator.integers(days * 1440))
        place = int(generator.choice(places, p=favourites[user]))
        moment = pd.Timestamp("2024-01-01") + pd.Timedelta(minutes=minute)
        part = "train" if minute < days * 720 else "valid" if minute < days * 1000 else "test"
        rows.append((f"u{user}", names[place], str(moment), part))
    return city_of(sorted(rows, key=lambda row: (row[0], row[2])), places=names)


PUBLISHED = Split(kind="published", warm_up_days=0, minimum_history=1)


def log_of(city: City, split: Split = PUBLISHED) -> VisitLog:
    """The visit log under a published split without warm-up."""
    return VisitLog.of(city, split)


def histories_of(windows: Sequence[str], users: Sequence[int] | None = None, places: int = 6, targets: str = "") -> Histories:
    """Histories spelt as words over places a, b, c, ...: `"aab"` is two visits to a, then one to b. User 0 unless told."""
    ids = np.array([chr(97 + index) for index in range(places)], object)
    zeros = np.zeros(places)
    axis = Places(
        ids=ids,
        x=np.arange(places) * 1000.0,
        y=zeros,
        longitude=zeros,
        latitude=zeros,
        category=zeros.astype(np.int32),
        category_names=("",),
        names=ids,
        closed=zeros.astype(bool),
        metric_crs="EPSG:32618",
    )
    location = np.array([ord(letter) - 97 for letter in "".join(windows)], np.int32)
    none = np.zeros(len(location))
    return Histories(
        places=axis,
        users=np.array(["u0", "u1", "u2"], object),
        offsets=np.concatenate([[0], np.cumsum([len(word) for word in windows])]).astype(np.int64),
        location=location,
        minute=none.astype(np.int16),
        weekday=none.astype(np.int8),
        day=none.astype(np.int32),
        duration_minutes=none.astype(np.float32),
        user=np.array(users if users is not None else [0] * len(windows), np.int32),
        target=np.array([ord(letter) - 97 for letter in targets], np.int32) if targets else None,
    )


def training_log(sequences: dict[str, str], places: int = 6) -> VisitLog:
    """A log of training visits only, spelt as words per user, one visit an hour; places a, b, c, ..."""
    rows = [
        (user, letter, str(pd.Timestamp("2024-01-01 08:00") + pd.Timedelta(hours=hour)), "train")
        for user, word in sorted(sequences.items())
        for hour, letter in enumerate(word)
    ]
    return log_of(city_of(rows, places=[chr(97 + index) for index in range(places)]))


def samples_of(city: City, split: Split = PUBLISHED) -> Any:
    """All samples of a city."""
    return build_samples(log_of(city, split))
