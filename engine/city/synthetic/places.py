"""Points of interest, and the places people visit: some of the points of interest, and the houses people live in."""

from dataclasses import dataclass

import numpy as np
import shapely

from engine.city.synthetic import names
from engine.city.synthetic.buildings import Buildings
from engine.city.synthetic.categories import BY_NAME, CATEGORIES, HOME_CATEGORIES, Category
from engine.city.synthetic.layout import BUILT, FUNCTIONS, Layout

HOME_SHARE = 0.2  # of the visitable places
NEW_SHARE = 0.05  # of them open while the city is being recorded

# How many points of interest a zone function draws per built area.
_INTENSITY = {
    "residential": 0.55,
    "business": 2.6,
    "shopping": 4.0,
    "nightlife": 4.0,
    "campus": 1.3,
    "industry": 0.45,
    "station": 2.6,
    "seafront": 1.7,
    "park": 1.0,
    "countryside": 0.06,
}
_PHRASE = {
    "residential": "in a residential street of",
    "business": "among the offices of",
    "shopping": "in the shopping streets of",
    "nightlife": "among the bars of",
    "campus": "on the campus in",
    "industry": "in the industrial estate of",
    "station": "near the station in",
    "seafront": "close to the shore in",
    "park": "in the park of",
    "countryside": "in the open country of",
}


@dataclass(frozen=True)
class Places:
    """Points of interest and homes as arrays, all of length "place".

    Attributes:
        x, y: Metres from the south-west corner.
        category: Index into `categories.CATEGORIES`.
        zone: Index of the zone.
        name, street: Words.
        number: House number.
        visitable: Whether it is a row of `locations`.
        is_poi: Whether it is a row of `pois`; homes are not.
        pull: Attraction, before distance and hour.
        opens_day: First day it can be visited; 0 for nearly all.
    """

    x: np.ndarray
    y: np.ndarray
    category: np.ndarray
    zone: np.ndarray
    name: list[str]
    street: list[str]
    number: np.ndarray
    visitable: np.ndarray
    is_poi: np.ndarray
    pull: np.ndarray
    opens_day: np.ndarray


def found_places(layout: Layout, buildings: Buildings, rng: np.random.Generator) -> Places:
    """Draws categories where their zones want them, and puts each place at a street front."""
    plan = layout.plan
    homes = round(HOME_SHARE * plan.places)
    poi_category, poi_zone = _draw_pois(layout, plan.pois, rng)
    home_category, home_zone = _draw_homes(layout, buildings, homes, rng)
    category, zone = np.r_[poi_category, home_category], np.r_[poi_zone, home_zone]
    x, y = _settle(layout, zone, rng)
    street = _nearest_street(layout, x, y)
    is_poi = np.arange(len(category)) < len(poi_category)
    visitable = _choose_visitable(category, is_poi, plan.places - homes, rng)
    wished = rng.pareto(1.25, len(category)) + 0.25  # a few famous places, a long tail of the rest
    pull = np.array([item.pull for item in CATEGORIES])[category] * np.minimum(wished, 40)
    opens = np.zeros(len(category), int)
    can_open = np.flatnonzero(visitable & is_poi & ~np.isin(category, _fixed_categories()))
    new = rng.choice(can_open, max(2, round(NEW_SHARE * plan.places)), replace=False)
    opens[new] = rng.integers(int(0.5 * plan.days), int(0.85 * plan.days), len(new))
    pull[new] = np.maximum(pull[new], np.median(pull)) * 6  # people are curious
    labels = [layout.streets[index].name for index in street]
    number = rng.integers(1, 180, len(category))
    return Places(
        x=x,
        y=y,
        category=category,
        zone=zone,
        name=_unique_names(layout, category, zone, labels, number, rng),
        street=labels,
        number=number,
        visitable=visitable,
        is_poi=is_poi,
        pull=pull,
        opens_day=opens,
    )


def describe(layout: Layout, places: Places, index: int) -> str:
    """A short neutral sentence about a place."""
    category, zone = CATEGORIES[places.category[index]], layout.zones[places.zone[index]]
    article = "An" if category.name[0] in "AEIO" else "A"  # University and its like begin with a consonant sound
    where = f"{_PHRASE[zone.function]} {layout.district_names[zone.district]}"
    begin, end = category.hours
    hours = "open all day" if end - begin >= 24 else f"open from {begin:g}:00 to {end % 24:g}:00"
    tail = "" if category.name in HOME_CATEGORIES else f", {hours}"
    return f"{article} {category.name.lower()} {where}, on {places.street[index]}{tail}."


def _fixed_categories() -> list[int]:
    settled = ("work", "shift", "study", "cowork", "home", "hotel", "travel", "health")
    return [index for index, category in enumerate(CATEGORIES) if category.activity in settled]


def _wish(category: Category, function: str) -> float:
    return category.zones.get(function, category.elsewhere if function in BUILT else 0.0)


def _draw_pois(layout: Layout, count: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    functions = [zone.function for zone in layout.zones]
    area = np.array([zone.outline.area for zone in layout.zones])
    reach = np.array([np.hypot(z.centre[0] - layout.centre[0], z.centre[1] - layout.centre[1]) for z in layout.zones])
    weight = area * [_INTENSITY[function] for function in functions] * (0.35 + np.exp(-reach / (0.22 * layout.plan.extent)))
    wish = np.array([[_wish(category, function) for category in CATEGORIES] for function in FUNCTIONS])
    zone_function = np.array([FUNCTIONS.index(function) for function in functions])
    # The joint weight of (zone, category); categories keep their overall share, zones their mix.
    joint = weight[:, None] * wish[zone_function]
    totals = joint.sum(0)
    share = np.array([category.share for category in CATEGORIES])
    wanted = np.where(totals > 0, share, 0.0)
    joint = joint / np.where(totals > 0, totals, 1.0) * wanted
    # Nobody's errand is impossible: every category exists in a large city, every activity has a place in a small one.
    floor = np.where((share > 0) & (totals > 0), 2 if count > 400 else _commonest_of_activity(share), 0)
    counts = floor + rng.multinomial(max(count - floor.sum(), 0), wanted / wanted.sum())
    categories = np.repeat(np.arange(len(CATEGORIES)), counts)
    zones = np.concatenate(
        [rng.choice(len(functions), counts[c], p=joint[:, c] / joint[:, c].sum()) for c in np.flatnonzero(counts)]
    )
    shuffled = rng.permutation(len(categories))
    return categories[shuffled], zones[shuffled]


def _commonest_of_activity(share: np.ndarray) -> np.ndarray:
    """(category,) 1 for the commonest category of every activity, 0 for the others."""
    best: dict[str, int] = {}
    for index, category in enumerate(CATEGORIES):
        if category.activity and share[index] > share[best.get(category.activity, index)] - 1e-9:
            best[category.activity] = index
    return np.isin(np.arange(len(CATEGORIES)), list(best.values())).astype(int)


def _draw_homes(layout: Layout, buildings: Buildings, count: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    functions = np.array([zone.function for zone in layout.zones])
    floor_area = np.bincount(buildings.zone, buildings.floor_area_m2, len(functions))
    categories, zones = [], []
    for name, number in zip(HOME_CATEGORIES, (count - count // 8, count // 8), strict=True):
        weight = floor_area * [_wish(BY_NAME[name], function) for function in functions]
        categories.append(np.full(number, CATEGORIES.index(BY_NAME[name])))
        zones.append(rng.choice(len(functions), number, p=weight / weight.sum()))
    return np.concatenate(categories), np.concatenate(zones)


def _settle(layout: Layout, zone: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Puts places on the rim of a block of their zone; in parks and open land anywhere."""
    blocks = layout.blocks
    by_zone = {index: np.flatnonzero((blocks.zone == index) & ~blocks.green) for index in range(len(layout.zones))}
    x, y = np.empty(len(zone)), np.empty(len(zone))
    side, along, deep = rng.integers(0, 4, len(zone)), rng.uniform(-0.42, 0.42, len(zone)), rng.uniform(4, 9, len(zone))
    pick = rng.random(len(zone))
    for index in np.unique(zone):
        members, homes = np.flatnonzero(zone == index), by_zone[int(index)]
        outline = layout.zones[index].outline
        if not len(homes):
            x[members], y[members] = _scatter(shapely.buffer(outline, -25), len(members), rng)
            continue
        # A high street: blocks near the zone's middle hold more.
        middle = layout.zones[index].centre
        near = np.hypot(blocks.x[homes] - middle[0], blocks.y[homes] - middle[1])
        share = np.cumsum(np.exp(-near / 350.0) + 0.05)
        block = homes[np.searchsorted(share / share[-1], pick[members], side="right").clip(max=len(homes) - 1)]
        half_width, half_depth = blocks.width[block] / 2, blocks.depth[block] / 2
        on_long = side[members] < 2
        sign = np.where(side[members] % 2, 1.0, -1.0)
        local_x = np.where(on_long, along[members] * 2 * half_width, sign * (half_width - deep[members]))
        local_y = np.where(on_long, sign * (half_depth - deep[members]), along[members] * 2 * half_depth)
        cosine, sine = np.cos(blocks.angle[block]), np.sin(blocks.angle[block])
        x[members] = blocks.x[block] + local_x * cosine - local_y * sine
        y[members] = blocks.y[block] + local_x * sine + local_y * cosine
    dry = shapely.contains_xy(layout.land, x, y)
    for place in np.flatnonzero(~dry):
        point = layout.zones[zone[place]].outline.representative_point()
        x[place], y[place] = point.x + rng.normal(0, 5), point.y + rng.normal(0, 5)
    return x, y


def _scatter(outline: shapely.Geometry, count: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    if outline.is_empty:
        raise ValueError("a zone is too small to hold a place")
    west, south, east, north = outline.bounds
    found = np.empty((0, 2))
    while len(found) < count:
        drawn = np.column_stack([rng.uniform(west, east, 4 * count + 8), rng.uniform(south, north, 4 * count + 8)])
        found = np.concatenate([found, drawn[shapely.contains_xy(outline, drawn[:, 0], drawn[:, 1])]])
    return found[:count, 0], found[:count, 1]


def _nearest_street(layout: Layout, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    tree = shapely.STRtree([street.line for street in layout.streets])
    return tree.nearest(shapely.points(x, y))


def _choose_visitable(category: np.ndarray, is_poi: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """Homes, and as many points of interest as asked for, every activity among them."""
    goes = np.array([bool(item.activity) for item in CATEGORIES])[category] & is_poi
    order = rng.permutation(np.flatnonzero(goes))
    activity = np.array([item.activity for item in CATEGORIES])[category]
    first = order[np.unique(activity[order], return_index=True)[1]]
    rest = order[~np.isin(order, first)]
    visitable = ~is_poi
    visitable[np.r_[first, rest][:count]] = True
    return visitable


def _unique_names(
    layout: Layout, category: np.ndarray, zone: np.ndarray, streets: list[str], number: np.ndarray, rng: np.random.Generator
) -> list[str]:
    taken: set[str] = set()
    labels = []
    for place, index in enumerate(category):
        patterns = names.PATTERNS[CATEGORIES[index].name]
        district = layout.district_names[layout.zones[zone[place]].district]
        for _ in range(6):
            label = names.place_name(patterns[rng.integers(len(patterns))], streets[place], district, rng)
            if label not in taken:
                break
        else:
            branch = next(
                text
                for text in (streets[place], f"{number[place]} {streets[place]}", f"no. {place}")
                if f"{label} ({text})" not in taken
            )
            label = f"{label} ({branch})"
        taken.add(label)
        labels.append(label)
    return labels
