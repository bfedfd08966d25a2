"""Next-location samples: a window of visits and the visit that followed.

Everything is columnar and ragged: a sample is a pair of positions (start, target) in one visit log, its history the visits
`start <= i < target`. Nothing is padded; models receive `Histories`, where the visits of all samples lie one after another.
"""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import pandas as pd

from engine.city.city import City, project
from engine.city.splits import PARTS, Split, assign_parts
from engine.errors import CityError

LONGEST_READABLE_ID = 12


@dataclass(frozen=True, eq=False)
class Places:
    """The locations of a city as arrays; the axis "location" of every score matrix is this order (the table's).

    Attributes:
        ids: (location,) str.
        x, y: (location,) float64, metres in the city's CRS.
        longitude, latitude: (location,) float64, degrees.
        category: (location,) int32, index into `category_names`.
        category_names: Distinct categories.
        names: (location,) str; the id where there is no name, or the category with its end where it is long.
        closed: (location,) bool, closed in a scenario; predictors may not answer these.
        metric_crs: EPSG code of x and y.
    """

    ids: np.ndarray
    x: np.ndarray
    y: np.ndarray
    longitude: np.ndarray
    latitude: np.ndarray
    category: np.ndarray
    category_names: tuple[str, ...]
    names: np.ndarray
    closed: np.ndarray
    metric_crs: str

    def __len__(self) -> int:
        return len(self.ids)

    @cached_property
    def index(self) -> dict[str, int]:
        """Position of every location id."""
        return {location: position for position, location in enumerate(self.ids)}

    @classmethod
    def of(cls, city: City) -> "Places":
        """The places of a city."""
        locations = city.spatial("locations")
        longitude, latitude = locations.geometry.x.to_numpy(), locations.geometry.y.to_numpy()
        x, y = project(city, longitude, latitude)
        codes, names = pd.factorize(locations["category"].fillna("").astype(str), sort=True)
        ids = locations["location_id"].to_numpy(object)
        named = locations["name"].fillna("").astype(str) if "name" in locations else pd.Series("", index=locations.index)
        return cls(
            ids=ids,
            x=np.asarray(x),
            y=np.asarray(y),
            longitude=longitude,
            latitude=latitude,
            category=codes.astype(np.int32),
            category_names=tuple(names),
            names=np.where(named == "", _stand_ins(ids, np.asarray(names, object)[codes]), named).astype(object),
            closed=locations["closed"].to_numpy(bool) if "closed" in locations else np.zeros(len(ids), bool),
            metric_crs=city.metric_crs,
        )


@dataclass(frozen=True, eq=False)
class VisitLog:
    """All visits, sorted by (part, user, time); ties keep the order of the table.

    Attributes:
        places: The axis "location".
        users: (user,) str, every user of the city, sorted.
        location, user: (visit,) int32 indices.
        part: (visit,) int8 index into `PARTS`.
        started_at: (visit,) datetime64[ns], UTC.
        minute: (visit,) int16, local minute of the day, 0-1439.
        weekday: (visit,) int8, local, 0 is Monday.
        day: (visit,) int32, local days since the log's first local day.
        duration_minutes: (visit,) float32, NaN where unknown.
        row: (visit,) int64, row in the visits table.
        seen: (location,) bool, whether the training part holds a visit to the place (hidden ones are False).
        hidden: (location,) bool, hidden from training by the split.
        visits_in_training: (location,) int64.
    """

    places: Places
    users: np.ndarray
    location: np.ndarray
    user: np.ndarray
    part: np.ndarray
    started_at: np.ndarray
    minute: np.ndarray
    weekday: np.ndarray
    day: np.ndarray
    duration_minutes: np.ndarray
    row: np.ndarray
    seen: np.ndarray
    hidden: np.ndarray
    visits_in_training: np.ndarray
    time_zone: str
    city_fingerprint: str
    split: Split

    def __len__(self) -> int:
        return len(self.location)

    def training(self) -> np.ndarray:
        """Positions of the visits models may learn from: the training part without visits to hidden places."""
        return np.flatnonzero((self.part == 0) & ~self.hidden[self.location])

    @classmethod
    def of(cls, city: City, split: Split) -> "VisitLog":
        """The visit log of a city under a split.

        Raises:
            CityError: If the city has no visits or locations.
            ConfigError: If the split does not fit the city.
        """
        if not city.has("visits", "locations"):
            raise CityError(f"City `{city.name}` has no visits; next-location models need visits and locations.")
        visits, places = city.table("visits"), Places.of(city)
        part = assign_parts(city, split)
        users, user = np.unique(visits["user_id"].to_numpy(object).astype(str), return_inverse=True)
        location = visits["location_id"].map(places.index)
        if location.isna().any():
            raise CityError(f"Visit {int(location.isna().argmax())} of `{city.name}` refers to a location the city does not have.")
        started = visits["started_at"]
        instants = started.dt.tz_localize(None).to_numpy("datetime64[ns]")
        order = np.lexsort((instants, user, part))
        local = started.dt.tz_convert(city.time_zone).dt.tz_localize(None)
        days = (local.dt.normalize() - local.min().normalize()).dt.days
        if "finished_at" in visits:
            duration = (visits["finished_at"] - started).dt.total_seconds().to_numpy() / 60
        else:
            duration = np.full(len(visits), np.nan)
        location_codes = location.to_numpy(np.int32)
        in_training = np.bincount(location_codes[part == 0], minlength=len(places))
        hidden = _hidden(places, in_training > 0, split)
        return cls(
            places=places,
            users=users,
            location=location_codes[order],
            user=user.astype(np.int32)[order],
            part=part[order],
            started_at=instants[order],
            minute=(local.dt.hour * 60 + local.dt.minute).to_numpy(np.int16)[order],
            weekday=local.dt.day_of_week.to_numpy(np.int8)[order],
            day=days.to_numpy(np.int32)[order],
            duration_minutes=duration.astype(np.float32)[order],
            row=order.astype(np.int64),
            seen=(in_training > 0) & ~hidden,
            hidden=hidden,
            visits_in_training=np.where(hidden, 0, in_training),
            time_zone=city.time_zone,
            city_fingerprint=city.fingerprint,
            split=split,
        )


@dataclass(frozen=True, eq=False)
class Histories:
    """A batch of samples, packed: what a model may look at, and the answer apart from it.

    Attributes:
        places: The axis "location".
        users: (user,) str, the axis of `user`.
        offsets: (sample + 1,) int64; the history of sample i is `offsets[i] : offsets[i + 1]`, oldest first.
        location: (step,) int32.
        minute, weekday, day: (step,) local time as in `VisitLog`.
        duration_minutes: (step,) float32, NaN where unknown.
        user: (sample,) int32, -1 for a user nobody knows.
        target: (sample,) int32, or None where there is no answer.
    """

    places: Places
    users: np.ndarray
    offsets: np.ndarray
    location: np.ndarray
    minute: np.ndarray
    weekday: np.ndarray
    day: np.ndarray
    duration_minutes: np.ndarray
    user: np.ndarray
    target: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.user)

    @property
    def lengths(self) -> np.ndarray:
        """(sample,) visits in each history."""
        return np.diff(self.offsets)

    @property
    def last(self) -> np.ndarray:
        """(sample,) position of the latest visit of each history."""
        return self.offsets[1:] - 1


@dataclass(frozen=True, eq=False)
class Samples:
    """Samples of one or more parts: positions in a visit log."""

    log: VisitLog
    start: np.ndarray
    target: np.ndarray

    def __len__(self) -> int:
        return len(self.target)

    def __getitem__(self, chosen: np.ndarray | slice) -> "Samples":
        """The samples at these positions (or under this mask)."""
        return replace(self, start=self.start[chosen], target=self.target[chosen])

    @property
    def part(self) -> np.ndarray:
        """(sample,) int8 index into `PARTS`."""
        return self.log.part[self.target]

    @property
    def true_location(self) -> np.ndarray:
        """(sample,) int32, the place that was visited next."""
        return self.log.location[self.target]

    @property
    def lengths(self) -> np.ndarray:
        """(sample,) visits in each history."""
        return self.target - self.start

    def of_part(self, part: str) -> "Samples":
        """The samples whose target lies in `part` ("train", "valid" or "test")."""
        return self[self.part == PARTS.index(part)]

    @cached_property
    def touches_hidden(self) -> np.ndarray:
        """(sample,) bool, whether history or target holds a hidden place."""
        hidden = np.concatenate([[0], np.cumsum(self.log.hidden[self.log.location])])
        return hidden[self.target + 1] > hidden[self.start]

    def histories(self, chosen: np.ndarray | slice | None = None) -> Histories:
        """The packed batch of these samples (or of the chosen ones), in order."""
        samples = self if chosen is None else self[chosen]
        lengths = samples.lengths
        offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        steps = np.arange(offsets[-1]) - np.repeat(offsets[:-1] - samples.start, lengths)
        log = self.log
        return Histories(
            places=log.places,
            users=log.users,
            offsets=offsets,
            location=log.location[steps],
            minute=log.minute[steps],
            weekday=log.weekday[steps],
            day=log.day[steps],
            duration_minutes=log.duration_minutes[steps],
            user=log.user[samples.target],
            target=log.location[samples.target],
        )


def _stand_ins(ids: np.ndarray, categories: np.ndarray) -> np.ndarray:
    """What to call places without a name: the id, or `Coffee Shop (…a27a92)` where the id is too long to be read."""
    return np.array(
        [
            f"{category} (…{str(location)[-6:]})" if category and len(str(location)) > LONGEST_READABLE_ID else location
            for category, location in zip(categories, ids, strict=True)
        ],
        object,
    )


def build_samples(log: VisitLog) -> Samples:
    """All samples of a log, by the rule of the CaLLiPer paper (specification §2, rules 4-5).

    A visit is a target if it lies at least `warm_up_days` after its user's first visit in the same part and at least
    `minimum_history` visits of that user in that part lie in the `history_days` before it (by local day). Training and
    validation leave out every sample that touches a hidden place; the test part keeps them (the slices tell them apart).
    """
    split = log.split
    if not len(log):
        return Samples(log, np.zeros(0, np.int64), np.zeros(0, np.int64))
    group = log.part.astype(np.int64) * len(log.users) + log.user
    first = np.flatnonzero(np.r_[True, np.diff(group) != 0])
    group_start = np.repeat(first, np.diff(np.r_[first, len(log)]))
    # Days never decrease inside a group, so (group, day) is sorted and a window's start is one binary search.
    span = int(log.day.max()) + split.history_days + 2
    key = group * span + log.day
    start = np.maximum(np.searchsorted(key, key - split.history_days, side="left"), group_start)
    position = np.arange(len(log))
    warm = log.day - log.day[group_start] >= split.warm_up_days
    chosen = np.flatnonzero(warm & (position - start >= split.minimum_history))
    samples = Samples(log, start[chosen].astype(np.int64), chosen.astype(np.int64))
    return samples[~(samples.touches_hidden & (samples.part != PARTS.index("test")))]


def _hidden(places: Places, in_training: np.ndarray, split: Split) -> np.ndarray:
    hidden = np.zeros(len(places), bool)
    if split.hidden_locations:
        hidden[[places.index[location] for location in split.hidden_locations if location in places.index]] = True
    elif split.hidden_share:
        pool = np.flatnonzero(in_training)
        count = int(split.hidden_share * len(pool))
        hidden[np.random.default_rng(split.seed).choice(pool, count, replace=False)] = True
    return hidden
