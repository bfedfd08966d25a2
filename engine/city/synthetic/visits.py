"""Where everybody goes: days made of slots, and choices between habit and novelty.

A free choice is either a return to a favourite (Zipf over the person's own ranking) or an exploration (gravity over all places
where the activity is possible). Both weigh distance from where the person is or is bound, opening hours, and the tastes of the
role; bad weather shortens the reach and moves outdoor plans inside.
"""

from dataclasses import dataclass

import numpy as np

from engine.city.synthetic.categories import CATEGORIES
from engine.city.synthetic.layout import Layout
from engine.city.synthetic.people import INDOORS, ROLES, Person, Slot, categories_of
from engine.city.synthetic.places import Places
from engine.city.synthetic.weather import Weather

REACH_M = {"home": 900.0, "base": 700.0, "here": 800.0, "centre": 1_800.0}
WALK_M_PER_MINUTE = 220.0  # mixed means of travel
FIXED = {"home": "home", "hotel": "home", "work": "base", "study": "base", "shift": "base", "cowork": "base"}
FRIDAY_NIGHT = {"drinks": 1.6, "club": 2.2, "dinner": 1.3, "film": 1.3}


@dataclass(frozen=True)
class Visits:
    """Visits as arrays, sorted by person and time.

    Attributes:
        person: (visit,) index.
        place: (visit,) index into `Places`.
        start, end: (visit,) local minutes since the first midnight of the record.
        day: (visit,) day of the record the plan belongs to; nights out belong to the evening before.
        activity: (visit,) why.
    """

    person: np.ndarray
    place: np.ndarray
    start: np.ndarray
    end: np.ndarray
    day: np.ndarray
    activity: list[str]


class _Options:
    """The places where an activity is possible, as arrays."""

    def __init__(self, activity: str, layout: Layout, places: Places) -> None:
        indices = [index for index, category in enumerate(CATEGORIES) if category.name in set(categories_of(activity))]
        self.place = np.flatnonzero(places.visitable & np.isin(places.category, indices))
        self.x, self.y, self.pull = places.x[self.place], places.y[self.place], places.pull[self.place]
        hours = np.array([category.hours for category in CATEGORIES])[places.category[self.place]]
        hour = np.arange(24)
        self.open = ((hours[:, :1] <= hour) & (hour < hours[:, 1:])) | ((hours[:, :1] <= hour + 24) & (hour + 24 < hours[:, 1:]))
        self.opens_day = places.opens_day[self.place]
        self.position = {int(place): position for position, place in enumerate(self.place)}
        function = np.array([zone.function for zone in layout.zones])[places.zone[self.place]]
        self.taste = np.array([[role.tastes.get(name, 1.0) for name in function] for role in ROLES])


class _Habits:
    """A person's favourites for one activity, best first, as positions in the options."""

    def __init__(self, positions: list[int]) -> None:
        self.ranked = positions

    def weights(self) -> np.ndarray:
        return 1.0 / np.arange(1, len(self.ranked) + 1) ** 1.8


def make_visits(layout: Layout, places: Places, people: list[Person], weather: Weather, rng: np.random.Generator) -> Visits:
    """Simulates everybody, day by day."""
    activities = sorted({slot.activity for role in ROLES for slot in (*role.weekday, *role.weekend)} | set(INDOORS.values()))
    options = {activity: _Options(activity, layout, places) for activity in activities}
    rows: list[tuple[int, int, int, int, int, str]] = []
    for index, resident in enumerate(people):
        _Life(index, resident, layout, places, options, weather, rng).record(rows)
    rows.sort(key=lambda row: (row[0], row[2]))
    person_, place, start_, end_, day, activity = zip(*rows, strict=True)
    person, start, end = np.array(person_), np.array(start_), np.array(end_)
    # A stay ends when the next begins: people leave home earlier than they thought.
    followed = person[1:] == person[:-1]
    end[:-1] = np.where(followed, np.minimum(end[:-1], start[1:] - 1), end[:-1])
    return Visits(person, np.array(place), start, end, np.array(day), list(activity))


class _Life:
    """One person's record."""

    def __init__(
        self,
        index: int,
        person: Person,
        layout: Layout,
        places: Places,
        options: dict[str, _Options],
        weather: Weather,
        rng: np.random.Generator,
    ) -> None:
        self.index, self.person, self.role = index, person, ROLES[person.role]
        self.layout, self.places, self.options, self.weather, self.rng = layout, places, options, weather, rng
        self.habits: dict[tuple[str, str], _Habits] = {}
        self.free_at = 0

    def record(self, rows: list[tuple[int, int, int, int, int, str]]) -> None:
        person = self.person
        for day in range(person.first_day, person.last_day + 1):
            weekday = day % 7
            free = weekday in person.days_off and bool(self.role.weekend)
            slots, chances = (self.role.weekend, person.weekend_chances) if free else (self.role.weekday, person.weekday_chances)
            self._live(day, weekday, slots, chances, rows)

    def _live(
        self,
        day: int,
        weekday: int,
        slots: tuple[Slot, ...],
        chances: tuple[float, ...],
        rows: list[tuple[int, int, int, int, int, str]],
    ) -> None:
        rng, person, bad = self.rng, self.person, bool(self.weather.bad[day])
        here = person.home
        done: set[str] = set()
        draws, jitter, stay, recorded = (
            rng.random(len(slots)),
            rng.normal(0, 1, len(slots)),
            rng.normal(0, 0.25, len(slots)),
            rng.random(len(slots)),
        )
        planned: list[tuple[int, float]] = []
        for position, slot in enumerate(slots):
            chance = chances[position] * (0.2 if slot.after and slot.after not in done else 1.0)
            if slot.activity in FRIDAY_NIGHT and weekday in (4, 5):
                chance *= FRIDAY_NIGHT[slot.activity]
            if slot.activity == "gym":
                chance *= 2.2 if weekday in person.gym_days else 0.1
            if bad and slot.activity not in FIXED:
                chance *= 0.8
            if draws[position] < chance:
                planned.append((position, slot.hour + person.shift_hours + person.later + 0.7 * jitter[position] * slot.spread))
                done.add(slot.activity)
        for position, hour in planned:
            slot = slots[position]
            activity = slot.activity
            if bad and activity in INDOORS:
                # Most change their plan, some stay at home, a few go all the same.
                whim = rng.random()
                if whim < 0.55:
                    activity = INDOORS[activity]
                elif whim < 0.85:
                    continue
            place = self._choose(activity, slot, here, day, hour, bad)
            if place < 0 or (place == here and activity not in FIXED):
                continue
            away = np.hypot(self.places.x[place] - self.places.x[here], self.places.y[place] - self.places.y[here])
            start = max(round(day * 1440 + hour * 60), self.free_at + 4 + round(away / WALK_M_PER_MINUTE))
            end = start + max(6, round(slot.minutes * np.exp(stay[position])))
            self.free_at, here = start + 5 if activity in ("home", "hotel") else end, place
            if recorded[position] < person.diligence:
                rows.append((self.index, place, start, end, day, activity))

    def _choose(self, activity: str, slot: Slot, here: int, day: int, hour: float, bad: bool) -> int:
        anchor = FIXED.get(activity)
        if anchor == "home":
            return self.person.home
        if anchor == "base" and self.person.base >= 0:
            return self.person.base
        options = self.options[activity]
        allowed = options.open[:, int(hour) % 24] & (options.opens_day <= day)
        if not allowed.any():
            return -1
        near = {
            "home": self.person.home,
            "base": self.person.base if self.person.base >= 0 else self.person.home,
            "here": here,
        }.get(slot.near, -1)
        reach = REACH_M[slot.near] * (0.6 if bad else 1.0)
        key = (
            activity,
            "centre" if near < 0 else slot.near if slot.near != "here" else "base" if here == self.person.base else "home",
        )
        if key not in self.habits:
            size = int(self.rng.integers(2, 6))
            ranked: list[int] = []
            weight = self._gravity(options, near, REACH_M[slot.near], options.opens_day <= day)
            for _ in range(size):
                pick = self._pick(weight)
                if pick not in ranked:
                    ranked.append(pick)
            self.habits[key] = _Habits(ranked)
        habits = self.habits[key]
        if self.rng.random() < self.role.explores:
            pick = self._pick(self._gravity(options, near, reach, allowed))
            if pick not in habits.ranked and self.rng.random() < 0.3:
                habits.ranked.append(pick)
            return int(options.place[pick])
        known = np.array(habits.ranked)
        weight = habits.weights() * allowed[known]
        # Among favourites the one on the way wins: the last stop shapes the next.
        away = np.hypot(options.x[known] - self.places.x[here], options.y[known] - self.places.y[here])
        weight = weight * np.exp(-away / (1_000.0 * (0.6 if bad else 1.0)))
        if weight.sum() <= 0:
            return int(options.place[self._pick(self._gravity(options, near, reach, allowed))])
        return int(options.place[known[self._pick(weight)]])

    def _gravity(self, options: _Options, near: int, reach: float, allowed: np.ndarray) -> np.ndarray:
        x, y = self.layout.centre if near < 0 else (self.places.x[near], self.places.y[near])
        away = np.hypot(options.x - x, options.y - y)
        return options.pull * options.taste[self.person.role] * allowed * (np.exp(-away / reach) + 1e-4)

    def _pick(self, weight: np.ndarray) -> int:
        total = np.cumsum(weight)
        return min(int(np.searchsorted(total, self.rng.random() * total[-1], side="right")), len(weight) - 1)
