"""Where an average hides something: every slice is declared here once and used by evaluation, pages and command line.

A slice sorts samples into groups; a sample the slice does not apply to (no weather known) is in none. Whatever a slice counts
(popularity, how well a user is known, which places are new) it counts on the training part.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from engine.city.city import City
from engine.city.samples import Samples, VisitLog
from engine.city.weather import BAD_WEATHER_MM, bad_days
from engine.errors import MobiscopeError

Codes = tuple[np.ndarray, Sequence[str]]
"""(sample,) group index, -1 for none; and the names of the groups in order."""

NEW = "not in training"
DECILES = (NEW, *(f"decile {decile}" for decile in range(1, 11)))
TRAINING_VISITS = ("0", "1–5", "6–20", "21–50", "over 50")
WARMTH = ("not in training", "least known quarter", "second quarter", "third quarter", "best known quarter")
WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
DISTANCES_M = (500, 1000, 2000, 5000, 10000)
DISTANCES = ("same place", "up to 500 m", "0.5–1 km", "1–2 km", "2–5 km", "5–10 km", "over 10 km")
CATEGORIES = 20


@dataclass(frozen=True)
class Slice:
    """One way to divide samples.

    Attributes:
        name: Key in `SLICES`, and on the command line.
        title: Name on screen.
        meaning: What the groups are, in one sentence.
        sort: Puts samples into groups.
    """

    name: str
    title: str
    meaning: str
    sort: Callable[[Samples, City], Codes]


def slice_labels(samples: Samples, city: City, slices: Iterable[str] | None = None) -> pd.DataFrame:
    """The group of every sample in every slice.

    Args:
        samples: The samples.
        city: The city they come from, for weather and categories.
        slices: Keys of `SLICES`; all by default.

    Returns:
        One row per sample, one ordered categorical column per slice; all groups are among the categories, also those without a
        sample; missing where the slice does not apply.

    Raises:
        MobiscopeError: If there is no such slice.
    """
    columns = {}
    for name in SLICES if slices is None else slices:
        if name not in SLICES:
            raise MobiscopeError(f"There is no slice `{name}`; choose one of {', '.join(SLICES)}.")
        codes, groups = SLICES[name].sort(samples, city)
        columns[name] = pd.Categorical.from_codes(np.asarray(codes), categories=pd.Index(list(groups)), ordered=True)
    return pd.DataFrame(columns)


def popularity_deciles(log: VisitLog) -> np.ndarray:
    """(location,) int64: tenth of the places by their visits in training, 10 the most visited; 0 for places without one.

    Places with equally many visits share the mean of their ranks, so that no decile cuts through them.
    """
    decile = np.zeros(len(log.places), np.int64)
    decile[log.seen] = np.ceil(10 * _mean_ranks(log.visits_in_training[log.seen]) / max(log.seen.sum(), 1)).astype(np.int64)
    return decile


def _popularity(samples: Samples, city: City) -> Codes:
    return popularity_deciles(samples.log)[samples.true_location], DECILES


def _mean_ranks(values: np.ndarray) -> np.ndarray:
    return pd.Series(values).rank(method="average").to_numpy()


def _training_visits(samples: Samples, city: City) -> Codes:
    return np.searchsorted([0, 5, 20, 50], samples.log.visits_in_training[samples.true_location]), TRAINING_VISITS


def _new_in_history(samples: Samples, city: City) -> Codes:
    return _in_history(samples, ~samples.log.seen).astype(np.int64), ("known places only", "new place in history")


def _new_as_target(samples: Samples, city: City) -> Codes:
    return (~samples.log.seen[samples.true_location]).astype(np.int64), ("known target", "new target")


def _hidden(samples: Samples, city: City) -> Codes:
    groups = ("clean", "history", "target")
    is_target = samples.log.hidden[samples.true_location]
    return np.where(is_target, 2, _in_history(samples, samples.log.hidden)), groups


def _cold_user(samples: Samples, city: City) -> Codes:
    log = samples.log
    visits = np.bincount(log.user[log.training()], minlength=len(log.users))
    known = visits > 0
    quarter = np.zeros(len(visits), np.int64)
    quarter[known] = np.ceil(4 * _mean_ranks(visits[known]) / max(known.sum(), 1)).astype(np.int64)
    return quarter[log.user[samples.target]], WARMTH


def _hour(samples: Samples, city: City) -> Codes:
    return samples.log.minute[samples.target] // 60, [f"{hour:02d}" for hour in range(24)]


def _weekday(samples: Samples, city: City) -> Codes:
    return samples.log.weekday[samples.target], WEEKDAYS


def _weather(samples: Samples, city: City) -> Codes:
    groups = ("normal", "bad")
    if not city.has("weather"):
        return np.full(len(samples), -1), groups
    bad = bad_days(city.table("weather"))
    started = pd.DatetimeIndex(samples.log.started_at[samples.target]).tz_localize("UTC").tz_convert(samples.log.time_zone)
    of_sample = bad.reindex(started.tz_localize(None).normalize())
    return of_sample.fillna(-1).to_numpy(np.int64), groups


def _category(samples: Samples, city: City) -> Codes:
    locations = city.table("locations")
    column = "parent_category" if "parent_category" in locations and locations["parent_category"].notna().any() else "category"
    names = locations[column].fillna("").replace("", "unknown").to_numpy(object)
    visits = pd.Series(samples.log.visits_in_training).groupby(names).sum()
    order = sorted(visits.index, key=lambda name: (-visits[name], name))
    groups = [*order[:CATEGORIES], "other"]
    position = {name: min(index, CATEGORIES) for index, name in enumerate(order)}
    codes = np.array([position[name] for name in names], np.int64)
    return (np.minimum(codes, len(groups) - 1))[samples.true_location], groups


def _distance(samples: Samples, city: City) -> Codes:
    places, last = samples.log.places, samples.log.location[samples.target - 1]
    truth = samples.true_location
    metres = np.hypot(places.x[truth] - places.x[last], places.y[truth] - places.y[last])
    return np.where(truth == last, 0, 1 + np.searchsorted(DISTANCES_M, metres)), DISTANCES


def _explore(samples: Samples, city: City) -> Codes:
    log, groups = samples.log, ("return", "explore")
    # A return is a target whose previous visit by the same user, in the same part, lies inside the window.
    key = (log.part.astype(np.int64) * len(log.users) + log.user) * len(log.places) + log.location
    order = np.argsort(key, kind="stable")
    previous = np.full(len(log), -1)
    same = np.flatnonzero(np.diff(key[order]) == 0)
    previous[order[same + 1]] = order[same]
    return (previous[samples.target] < samples.start).astype(np.int64), groups


def _in_history(samples: Samples, marked: np.ndarray) -> np.ndarray:
    before = np.concatenate([[0], np.cumsum(marked[samples.log.location])])
    return before[samples.target] > before[samples.start]


SLICES: dict[str, Slice] = {
    declared.name: declared
    for declared in (
        Slice(
            "popularity",
            "Popularity of the target",
            "Deciles of places by training visits, 1 the least visited; places with equally many visits share a decile.",
            _popularity,
        ),
        Slice("training_visits", "Training visits of the target", "Visits to the target in the training part.", _training_visits),
        Slice(
            "new_in_history",
            "New places in the history",
            "Whether the history holds a place without a training visit (hidden ones included).",
            _new_in_history,
        ),
        Slice(
            "new_as_target",
            "New place as target",
            "Whether the target has no training visit (hidden ones included).",
            _new_as_target,
        ),
        Slice(
            "hidden",
            "Places hidden by the split",
            "target: the target is hidden. history: only places before it are. clean: neither.",
            _hidden,
        ),
        Slice("cold_user", "How well the user is known", "Quarters of users by their training visits.", _cold_user),
        Slice("hour", "Hour", "Local hour of the target.", _hour),
        Slice("weekday", "Weekday", "Local weekday of the target.", _weekday),
        Slice(
            "weather",
            "Weather",
            "bad: the target's local day has a condition such as rain, snow or storm (not “no rain”) or, where no condition is known, at "
            f"least {BAD_WEATHER_MM:g} mm of precipitation.",
            _weather,
        ),
        Slice(
            "category",
            "Category of the target",
            f"The {CATEGORIES} categories with most training visits (root categories where the city has them), then the rest.",
            _category,
        ),
        Slice("distance", "Distance from the last visit", "Metres from the last visited place to the target.", _distance),
        Slice("explore", "Explore or return", "return: the target was visited inside the history window.", _explore),
    )
}
