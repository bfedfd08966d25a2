"""Where everybody goes: days made of slots, and choices between habit and novelty.

A free choice is either a return to a favourite (Zipf over the person's own ranking) or an exploration (gravity over all places
where the activity is possible). Both weigh distance from where the person is or is bound, opening hours, and the tastes of the
role; bad weather shortens the reach and moves outdoor plans inside.
"""

from dataclasses import dataclass

import numpy as np

from engine.city.synthetic.categories import CATEGORIES
from engine.city.synthetic.layout import Layout
from engine.city.synthetic.people import INDOORS, ROLES, Near, Person, Slot, categories_of
from engine.city.synthetic.places import Places
from engine.city.synthetic.weather import BAD_WEATHER_REACH, Weather

REACH_M = {"home": 900.0, "base": 700.0, "here": 800.0, "centre": 1_800.0}
METRES_PER_MINUTE = 220.0  # walking, cycling and riding mixed
ON_THE_WAY_M = 1_000.0
ZIPF = 1.8  # exponent of the ranking of a person's favourites
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
        function = np.array([zone.function for zone in layout.zones])[places.zone[self.place]]
        self.taste = np.array([[role.tastes.get(name, 1.0) for name in function] for role in ROLES])


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
    """One person's days: a plan for each, then one place after another."""

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
        self.favourites: dict[tuple[str, str], list[int]] = {}  # by activity and surroundings, best first, positions in the options
        self.free_at = 0  # minutes since the first midnight

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
        rng, here, bad = self.rng, self.person.home, bool(self.weather.bad[day])
        for slot, hour in self._plan(weekday, slots, chances, bad):
            stay, recorded = slot.minutes * np.exp(rng.normal(0, 0.25)), rng.random() < self.person.diligence
            activity = self._under_weather(slot.activity, bad)
            place = self._choose(activity, slot.near, here, day, hour, bad) if activity else -1
            if place < 0 or (place == here and activity not in FIXED):
                continue
            away = np.hypot(self.places.x[place] - self.places.x[here], self.places.y[place] - self.places.y[here])
            start = max(round(day * 1440 + hour * 60), self.free_at + 4 + round(away / METRES_PER_MINUTE))
            end = start + max(6, round(stay))
            # Whoever is at home may leave again at any time.
            self.free_at, here = start + 5 if activity in ("home", "hotel") else end, place
            if recorded and start < self.layout.plan.days * 1440:
                rows.append((self.index, place, start, end, day, activity))

    def _plan(self, weekday: int, slots: tuple[Slot, ...], chances: tuple[float, ...], bad: bool) -> list[tuple[Slot, float]]:
        """The slots of the day that happen, with their hours."""
        person, done = self.person, set[str]()
        draws, jitter = self.rng.random(len(slots)), self.rng.normal(0, 0.7, len(slots))
        planned = []
        for slot, chance, draw, shift in zip(slots, chances, draws, jitter, strict=True):
            if slot.after and slot.after not in done:
                chance *= 0.2
            if slot.activity in FRIDAY_NIGHT and weekday in (4, 5):
                chance *= FRIDAY_NIGHT[slot.activity]
            if slot.activity == "gym":
                chance *= 2.2 if weekday in person.gym_days else 0.1
            if bad and slot.activity not in FIXED:
                chance *= 0.8
            if draw < chance:
                planned.append((slot, slot.hour + person.shift_hours + person.later + shift * slot.spread))
                done.add(slot.activity)
        return planned

    def _under_weather(self, activity: str, bad: bool) -> str:
        """What becomes of a plan: on bad days most outdoor ones move inside, some are dropped, a few go ahead."""
        if not bad or activity not in INDOORS:
            return activity
        whim = self.rng.random()
        return INDOORS[activity] if whim < 0.55 else "" if whim < 0.85 else activity

    def _choose(self, activity: str, near: Near, here: int, day: int, hour: float, bad: bool) -> int:
        """The place for an activity, -1 where there is none."""
        person, options = self.person, self.options[activity]
        fixed = {"home": person.home, "base": person.base}.get(FIXED.get(activity, ""), -1)
        if fixed >= 0:
            return fixed
        exists = options.opens_day <= day
        allowed = options.open[:, int(hour) % 24] & exists
        if not allowed.any():
            return -1
        base = person.base if person.base >= 0 else person.home
        around = {"home": person.home, "base": base, "here": here, "centre": -1}[near]
        reach = REACH_M[near] * (BAD_WEATHER_REACH if bad else 1.0)
        surroundings = near if near != "here" else "base" if here == person.base else "home"
        key = (activity, surroundings)
        if key not in self.favourites:
            self.favourites[key] = self._draw_favourites(self._gravity(options, around, REACH_M[near], exists))
        known = self.favourites[key]
        if self.rng.random() < self.role.explores:
            pick = self._pick(self._gravity(options, around, reach, allowed))
            if pick not in known and self.rng.random() < 0.3:
                known.append(pick)
            return int(options.place[pick])
        # Among favourites the one on the way wins: the last stop shapes the next.
        away = np.hypot(options.x[known] - self.places.x[here], options.y[known] - self.places.y[here])
        rank = np.arange(1, len(known) + 1)
        weight = rank**-ZIPF * allowed[known] * np.exp(-away / (ON_THE_WAY_M * (BAD_WEATHER_REACH if bad else 1.0)))
        if weight.sum() <= 0:
            return int(options.place[self._pick(self._gravity(options, around, reach, allowed))])
        return int(options.place[known[self._pick(weight)]])

    def _draw_favourites(self, weight: np.ndarray) -> list[int]:
        picks = [self._pick(weight) for _ in range(int(self.rng.integers(2, 6)))]
        return list(dict.fromkeys(picks))

    def _gravity(self, options: _Options, near: int, reach: float, allowed: np.ndarray) -> np.ndarray:
        x, y = self.layout.centre if near < 0 else (self.places.x[near], self.places.y[near])
        away = np.hypot(options.x - x, options.y - y)
        return options.pull * options.taste[self.person.role] * allowed * (np.exp(-away / reach) + 1e-4)

    def _pick(self, weight: np.ndarray) -> int:
        total = np.cumsum(weight)
        return min(int(np.searchsorted(total, self.rng.random() * total[-1], side="right")), len(weight) - 1)
