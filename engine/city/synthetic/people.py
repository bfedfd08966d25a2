"""Roles, what a day of each role looks like, and the people with their homes, work and habits."""

from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from engine.city.synthetic.categories import BY_NAME, CATEGORIES
from engine.city.synthetic.layout import Layout
from engine.city.synthetic.places import Places

COMMUTE_M = 4_000.0
HABIT = 0.7  # the smaller, the more people differ within a role

Near = Literal["home", "base", "here", "centre"]


@dataclass(frozen=True)
class Slot:
    """Something a role may do on a day.

    Attributes:
        activity: Decides which categories come into question.
        hour: Usual local hour; beyond 24 is after midnight.
        spread: Standard deviation of the hour.
        minutes: Usual stay.
        chance: Probability of doing it.
        near: Where it is done: around home, around the base (work, school, hotel), around the last stop, or in the centre.
        after: Only when the day already holds this activity; otherwise with a fifth of the chance.
    """

    activity: str
    hour: float
    spread: float
    minutes: float
    chance: float
    near: Near = "here"
    after: str = ""


@dataclass(frozen=True)
class Role:
    """A kind of person.

    Attributes:
        name: As written to the truth.
        share: Of all people.
        base: Categories of the place they go to regularly; empty for none.
        weekday, weekend: Slots in order of the day.
        explores: Chance that a free choice is a new one.
        tastes: Extra weight of zone functions in free choices.
        home: Categories they live in.
        home_zones: Extra weight of zone functions for the home.
    """

    name: str
    share: float
    base: tuple[str, ...]
    weekday: tuple[Slot, ...]
    weekend: tuple[Slot, ...]
    explores: float
    tastes: dict[str, float] = field(default_factory=dict)
    home: tuple[str, ...] = ("Residential Building",)
    home_zones: dict[str, float] = field(default_factory=dict)


_SATURDAY = (
    Slot("coffee", 10.2, 0.8, 40, 0.35, "home"),
    Slot("groceries", 11.2, 1.2, 40, 0.5, "home"),
    Slot("shopping", 13.4, 1.3, 80, 0.45, "centre"),
    Slot("treat", 15.2, 0.8, 25, 0.25, "here", "shopping"),
    Slot("park", 15.0, 1.5, 80, 0.32, "home"),
    Slot("film", 18.8, 0.8, 130, 0.18, "centre"),
    Slot("dinner", 19.8, 0.7, 90, 0.35, "here"),
    Slot("drinks", 21.6, 0.7, 100, 0.35, "here", "dinner"),
    Slot("home", 23.4, 0.8, 480, 0.5),
)

ROLES: tuple[Role, ...] = (
    Role(
        "office worker",
        0.32,
        ("Office",),
        (
            Slot("coffee", 8.2, 0.3, 15, 0.50, "base"),
            Slot("work", 8.8, 0.4, 215, 0.94, "base"),
            Slot("lunch", 12.5, 0.4, 40, 0.55, "base", "work"),
            Slot("work", 13.5, 0.4, 235, 0.40, "base", "work"),
            Slot("gym", 17.9, 0.4, 70, 0.34, "base", "work"),
            Slot("groceries", 18.5, 0.6, 25, 0.32, "home"),
            Slot("drinks", 18.6, 0.6, 90, 0.14, "base", "work"),
            Slot("dinner", 19.6, 0.6, 75, 0.16, "here", "drinks"),
            Slot("home", 20.2, 0.9, 600, 0.60),
        ),
        _SATURDAY,
        0.22,
        {"business": 1.6, "shopping": 1.2},
    ),
    Role(
        "student",
        0.18,
        ("University Building",),
        (
            Slot("study", 9.6, 0.7, 140, 0.86, "base"),
            Slot("lunch", 12.4, 0.5, 40, 0.55, "base", "study"),
            Slot("library", 13.8, 0.8, 130, 0.42, "base", "study"),
            Slot("coffee", 16.0, 0.8, 40, 0.38, "here", "library"),
            Slot("sports", 17.4, 0.6, 80, 0.18, "base"),
            Slot("gym", 17.8, 0.6, 70, 0.16, "base"),
            Slot("groceries", 18.6, 0.9, 20, 0.24, "home"),
            Slot("drinks", 20.6, 0.8, 110, 0.24, "here"),
            Slot("home", 22.2, 1.2, 560, 0.55),
        ),
        (
            Slot("coffee", 11.4, 0.8, 45, 0.38, "home"),
            Slot("library", 13.5, 1.0, 150, 0.25, "base"),
            Slot("sports", 14.5, 1.0, 100, 0.22, "base"),
            Slot("park", 15.4, 1.0, 80, 0.24, "home"),
            Slot("beach", 15.0, 1.0, 150, 0.18, "centre"),
            Slot("dinner", 19.4, 0.7, 60, 0.36, "here"),
            Slot("drinks", 21.4, 0.6, 100, 0.52, "here", "dinner"),
            Slot("club", 23.6, 0.5, 150, 0.50, "here", "drinks"),
            Slot("home", 26.2, 0.8, 480, 0.45),
        ),
        0.26,
        {"campus": 2.2, "nightlife": 1.5},
        ("Student Housing", "Residential Building"),
        {"campus": 6.0},
    ),
    Role(
        "shift worker",
        0.14,
        ("Factory", "Warehouse", "Hospital"),
        (
            Slot("coffee", 5.7, 0.3, 12, 0.30, "home"),
            Slot("shift", 6.3, 0.3, 230, 0.90, "base"),
            Slot("lunch", 10.6, 0.3, 30, 0.35, "base", "shift"),
            Slot("groceries", 14.9, 0.5, 30, 0.38, "home"),
            Slot("errand", 15.6, 0.7, 20, 0.20, "home"),
            Slot("drinks", 17.0, 0.8, 90, 0.22, "home", "shift"),
            Slot("home", 18.0, 1.0, 600, 0.62),
        ),
        (
            Slot("shift", 6.3, 0.3, 460, 0.38, "base"),
            Slot("groceries", 10.4, 1.0, 40, 0.42, "home"),
            Slot("sports", 11.2, 0.8, 110, 0.22, "home"),
            Slot("dinner", 18.6, 0.7, 70, 0.28, "home"),
            Slot("drinks", 20.4, 0.8, 110, 0.34, "home", "dinner"),
            Slot("home", 22.0, 0.8, 520, 0.55),
        ),
        0.18,
        {"industry": 1.8},
        home_zones={"residential": 1.5},
    ),
    Role(
        "retiree",
        0.13,
        (),
        (
            Slot("coffee", 9.6, 0.6, 45, 0.42, "home"),
            Slot("groceries", 10.6, 0.7, 35, 0.50, "home"),
            Slot("errand", 11.2, 0.6, 25, 0.38, "here", "groceries"),
            Slot("health", 11.4, 0.9, 50, 0.12, "home"),
            Slot("park", 14.4, 1.0, 75, 0.46, "home"),
            Slot("library", 14.6, 0.8, 80, 0.14, "home"),
            Slot("coffee", 15.8, 0.6, 40, 0.26, "here", "park"),
            Slot("home", 17.2, 0.8, 700, 0.60),
        ),
        (
            Slot("worship", 9.8, 0.4, 70, 0.38, "home"),
            Slot("coffee", 11.0, 0.5, 45, 0.44, "here", "worship"),
            Slot("park", 14.2, 0.9, 80, 0.46, "home"),
            Slot("culture", 14.6, 0.8, 110, 0.22, "centre"),
            Slot("dinner", 17.8, 0.5, 80, 0.24, "home"),
            Slot("home", 18.6, 0.8, 700, 0.55),
        ),
        0.16,
        {"residential": 1.5, "park": 1.6},
    ),
    Role(
        "night owl",
        0.11,
        ("Coworking Space",),
        (
            Slot("coffee", 11.6, 0.7, 30, 0.50, "home"),
            Slot("cowork", 12.6, 0.8, 260, 0.52, "base", "coffee"),
            Slot("groceries", 17.6, 0.9, 20, 0.22, "home"),
            Slot("dinner", 19.8, 0.6, 75, 0.46, "centre"),
            Slot("film", 20.2, 0.6, 120, 0.14, "centre"),
            Slot("drinks", 21.8, 0.7, 100, 0.56, "here", "dinner"),
            Slot("club", 24.0, 0.6, 120, 0.20, "here", "drinks"),
            Slot("home", 25.4, 0.9, 520, 0.45),
        ),
        (
            Slot("coffee", 12.6, 0.8, 50, 0.46, "home"),
            Slot("shopping", 15.0, 1.0, 70, 0.30, "centre"),
            Slot("dinner", 20.0, 0.6, 90, 0.55, "centre"),
            Slot("drinks", 22.0, 0.6, 110, 0.70, "here", "dinner"),
            Slot("club", 24.2, 0.6, 180, 0.62, "here", "drinks"),
            Slot("home", 27.4, 0.7, 520, 0.45),
        ),
        0.27,
        {"nightlife": 3.0},
        home_zones={"nightlife": 3.0, "business": 1.5},
    ),
    Role(
        "shopper",
        0.07,
        (),
        (
            Slot("gym", 9.2, 0.5, 60, 0.26, "home"),
            Slot("coffee", 10.2, 0.6, 35, 0.48, "here", "gym"),
            Slot("shopping", 11.4, 0.9, 70, 0.52, "centre"),
            Slot("lunch", 12.8, 0.4, 50, 0.42, "here", "shopping"),
            Slot("shopping", 14.2, 0.8, 60, 0.34, "here", "lunch"),
            Slot("errand", 15.4, 0.7, 25, 0.30, "here"),
            Slot("groceries", 16.6, 0.7, 35, 0.42, "home"),
            Slot("home", 17.8, 0.8, 700, 0.58),
        ),
        _SATURDAY,
        0.24,
        {"shopping": 2.6},
    ),
    Role(
        "tourist",
        0.05,
        ("Hotel",),
        (
            Slot("coffee", 9.2, 0.6, 35, 0.50, "base"),
            Slot("sights", 10.6, 0.7, 80, 0.85, "centre"),
            Slot("culture", 12.0, 0.8, 90, 0.42, "here", "sights"),
            Slot("lunch", 13.2, 0.5, 50, 0.50, "here"),
            Slot("beach", 14.6, 0.8, 130, 0.42, "base"),
            Slot("treat", 16.2, 0.6, 20, 0.44, "here", "beach"),
            Slot("shopping", 16.8, 0.7, 60, 0.30, "centre"),
            Slot("dinner", 19.4, 0.6, 90, 0.70, "base"),
            Slot("drinks", 21.4, 0.6, 80, 0.34, "here", "dinner"),
            Slot("hotel", 22.6, 0.7, 560, 0.70),
        ),
        (),
        0.55,
        {"seafront": 2.6, "park": 1.3},
        ("Hotel",),
    ),
)

# Where bad weather sends people who wanted to be outside; the rest stay in.
INDOORS = {"park": "shopping", "beach": "culture", "sports": "gym", "treat": "coffee", "sights": "culture"}


@dataclass(frozen=True)
class Person:
    """One recorded person.

    Attributes:
        role: Index into `ROLES`.
        home, base: Place indices; base is -1 for none. A tourist lives at the base.
        first_day, last_day: Days of the record the person is in town, inclusive.
        diligence: Chance that a visit of a usual kind is recorded.
        shift_hours: Hours added to the whole day, for people on late shifts.
        days_off: Two weekdays free (0 is Monday); 5 and 6 for most.
        gym_days: Weekdays with sport.
        later: Hours by which the person's day runs later than the role's.
        weekday_chances, weekend_chances: The person's own chance of every slot of the role; some always have a coffee, some never.
    """

    role: int
    home: int
    base: int
    first_day: int
    last_day: int
    diligence: float
    shift_hours: float
    days_off: tuple[int, int]
    gym_days: tuple[int, ...]
    later: float
    weekday_chances: tuple[float, ...]
    weekend_chances: tuple[float, ...]


def settle_people(layout: Layout, places: Places, rng: np.random.Generator) -> list[Person]:
    """Draws people: homes where people live, and a base not too far from home."""
    plan = layout.plan
    functions = np.array([zone.function for zone in layout.zones])[places.zone]
    names = np.array([category.name for category in CATEGORIES])[places.category]
    old = places.visitable & (places.opens_day == 0)
    # Per role: where it lives, how gladly, and where it has its base.
    living = [np.flatnonzero(np.isin(names, role.home) & old) for role in ROLES]
    gladly = [_home_wish(role, names[homes], functions[homes]) for role, homes in zip(ROLES, living, strict=True)]
    working = [np.flatnonzero(np.isin(names, role.base) & old) for role in ROLES]
    people = []
    for role in _draw_roles(plan.people, rng):
        kind, bases = ROLES[role], working[role]
        home = int(_draw(living[role], gladly[role], rng))
        base = -1
        if kind.name == "tourist":
            base = home
        elif kind.base:
            far = np.hypot(places.x[bases] - places.x[home], places.y[bases] - places.y[home])
            base = int(_draw(bases, np.minimum(places.pull[bases], 12.0) * np.exp(-far / COMMUTE_M), rng))
        first, last = 0, plan.days - 1
        if kind.name == "tourist":
            stay = int(rng.integers(5, 15))
            first = int(rng.integers(0, plan.days - stay))
            last = first + stay - 1
        shift, days_off = 0.0, (5, 6)
        if kind.name == "shift worker":
            shift = float(rng.choice([0.0, 8.0, 15.5], p=[0.5, 0.3, 0.2]))
            start = int(rng.integers(0, 7))
            days_off = (start, (start + 1) % 7)
        people.append(
            Person(
                role=role,
                home=home,
                base=base,
                first_day=first,
                last_day=last,
                diligence=float(np.clip(rng.beta(12, 2), 0.3, 1.0)),
                shift_hours=shift,
                days_off=days_off,
                gym_days=tuple(int(day) for day in np.sort(rng.choice(7, 3, replace=False))),
                later=float(rng.normal(0, 0.35)),
                weekday_chances=_own_chances(kind.weekday, rng),
                weekend_chances=_own_chances(kind.weekend, rng),
            )
        )
    return people


def _home_wish(role: Role, names: np.ndarray, functions: np.ndarray) -> np.ndarray:
    """(home,) weight of each home; of two kinds of home the first is preferred."""
    preferred = 3.0 if len(role.home) > 1 else 1.0
    zone = np.array([role.home_zones.get(function, 1.0) for function in functions])
    return zone * np.where(names == role.home[0], preferred, 1.0)


def _own_chances(slots: tuple[Slot, ...], rng: np.random.Generator) -> tuple[float, ...]:
    """Personal chances whose mean over people is the role's."""
    return tuple(float(rng.beta(HABIT * slot.chance, HABIT * (1 - slot.chance))) for slot in slots)


def _draw_roles(count: int, rng: np.random.Generator) -> np.ndarray:
    """Shares as exact as whole people allow, in a drawn order."""
    share = np.array([role.share for role in ROLES])
    exact = share / share.sum() * count
    number = np.floor(exact).astype(int)
    number[np.argsort(number - exact, kind="stable")[: count - number.sum()]] += 1
    return rng.permutation(np.repeat(np.arange(len(ROLES)), number))


def _draw(options: np.ndarray, weight: np.ndarray, rng: np.random.Generator) -> np.integer:
    total = np.cumsum(weight)
    return options[min(np.searchsorted(total, rng.random() * total[-1], side="right"), len(options) - 1)]


def categories_of(activity: str) -> list[str]:
    """Names of the leaf categories in which an activity takes place."""
    return [name for name, category in BY_NAME.items() if category.activity == activity]
