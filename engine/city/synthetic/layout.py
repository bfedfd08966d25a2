"""Land and water, zones with functions, districts and streets. Coordinates are metres east and north of the south-west corner."""

from dataclasses import dataclass

import numpy as np
import shapely
from scipy.spatial import cKDTree

from engine.city.synthetic import names
from engine.city.synthetic.plan import CELL_M, Plan

FUNCTIONS = (
    "residential",
    "business",
    "shopping",
    "nightlife",
    "campus",
    "industry",
    "station",
    "seafront",
    "park",
    "countryside",
    "water",
)
BUILT = FUNCTIONS[:8]

# Width and depth of a block in metres, from street to street.
BLOCK_M = {
    "residential": (165.0, 105.0),
    "business": (120.0, 95.0),
    "shopping": (130.0, 100.0),
    "nightlife": (105.0, 80.0),
    "campus": (210.0, 150.0),
    "industry": (240.0, 170.0),
    "station": (150.0, 110.0),
    "seafront": (140.0, 95.0),
}


@dataclass(frozen=True)
class Zone:
    """An area of one function; its streets form a grid turned by `angle`."""

    outline: shapely.Geometry
    function: str
    district: int
    angle: float
    centre: tuple[float, float]


@dataclass(frozen=True)
class Street:
    """A named street; `level` is `arterial` or `local`."""

    line: shapely.Geometry
    name: str
    level: str


@dataclass(frozen=True)
class Blocks:
    """Street blocks as arrays.

    Attributes:
        x, y: (block,) centre.
        width, depth: (block,) metres between the street lines.
        angle: (block,) radians, anticlockwise from east.
        zone: (block,) index of the zone.
        green: (block,) bool, a pocket park instead of buildings.
    """

    x: np.ndarray
    y: np.ndarray
    width: np.ndarray
    depth: np.ndarray
    angle: np.ndarray
    zone: np.ndarray
    green: np.ndarray


@dataclass(frozen=True)
class Layout:
    """The plan of the city on the ground."""

    plan: Plan
    land: shapely.Geometry
    sea: shapely.Geometry
    river: shapely.Geometry
    centre: tuple[float, float]
    zones: list[Zone]
    district_names: list[str]
    streets: list[Street]
    blocks: Blocks

    @property
    def water(self) -> shapely.Geometry:
        """Sea and river."""
        return shapely.union(self.sea, self.river)

    def zone_at(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """(point,) index of the zone under each point, -1 in the water."""
        found = np.full(len(x), -1)
        point, zone = shapely.STRtree([zone.outline for zone in self.zones]).query(shapely.points(x, y), predicate="intersects")
        found[point] = zone
        return found


def lay_out(plan: Plan, rng: np.random.Generator) -> Layout:
    """Draws the city's ground plan."""
    extent = plan.extent
    sea, river = _draw_water(extent, rng)
    land = shapely.difference(shapely.difference(shapely.box(0, 0, extent, extent), sea), river)
    centre = (0.44 * extent, float(_river_y(0.44 * extent, extent)) + 0.05 * extent)
    seeds, cells = _draw_zones(plan, land, centre, rng)
    district_of, district_seeds = _group(seeds, plan.districts, centre, rng)
    functions = _assign_functions(seeds, cells, sea, river, centre, extent)
    angles = _street_angles(district_seeds, centre, extent, rng)
    zones = [
        Zone(outline, function, int(district), float(angles[district]), (float(seed[0]), float(seed[1])))
        for outline, function, district, seed in zip(cells, functions, district_of, seeds, strict=True)
    ]
    labels = _name_districts(zones, plan.districts, rng)
    arterials = _draw_arterials(extent, land, sea, centre, rng)
    local, blocks = _draw_grid(zones, arterials, centre, extent, rng)
    return Layout(plan, land, sea, river, centre, zones, labels, arterials + local, blocks)


def _river_y(x: np.ndarray | float, extent: float) -> np.ndarray | float:
    share = np.asarray(x) / extent
    return extent * (0.40 + 0.13 * share + 0.055 * np.sin(7.5 * share + 0.6) + 0.02 * np.sin(17 * share))


def _draw_water(extent: float, rng: np.random.Generator) -> tuple[shapely.Geometry, shapely.Geometry]:
    phase = rng.uniform(0, 2 * np.pi, 3)
    y = np.linspace(-0.02, 1.02, 105)
    mouth = (_river_y(0.12 * extent, extent) / extent) - y
    coast = (
        0.125
        + 0.035 * np.sin(3.1 * y + phase[0])
        + 0.018 * np.sin(8.3 * y + phase[1])
        + 0.005 * np.sin(23 * y + phase[2])
        + 0.055 * np.exp(-((mouth / 0.07) ** 2))
    )
    sea = shapely.Polygon([(-1.0, y[0] * extent), *zip(coast * extent, y * extent, strict=True), (-1.0, y[-1] * extent)])
    x = np.linspace(0.05, 1.02, 120) * extent
    width = 0.0055 * extent + 22 + 0.016 * extent * np.exp(-x / (0.16 * extent))
    line = np.column_stack([x, _river_y(x, extent)])
    discs = shapely.buffer(shapely.linestrings(np.stack([line[:-1], line[1:]], axis=1)), width[:-1], quad_segs=4)
    box = shapely.box(0, 0, extent, extent)
    sea = shapely.intersection(sea, box)
    river = shapely.difference(shapely.intersection(shapely.union_all(discs), box), sea)
    return sea, shapely.simplify(river, 3.0)


def _draw_zones(
    plan: Plan, land: shapely.Geometry, centre: tuple[float, float], rng: np.random.Generator
) -> tuple[np.ndarray, list[shapely.Geometry]]:
    extent = plan.extent
    drawn = rng.uniform(0, extent, (max(6_000, plan.zones * 60), 2))
    reach = np.hypot(drawn[:, 0] - centre[0], drawn[:, 1] - centre[1]) / extent
    kept = rng.random(len(drawn)) < 0.12 + np.exp(-reach / 0.22)
    points = drawn[kept & shapely.contains_xy(land, drawn[:, 0], drawn[:, 1])]
    seeds = points[rng.choice(len(points), plan.zones, replace=False)]
    for _ in range(6):  # Lloyd: evens the zones out where people are
        nearest = cKDTree(seeds).query(points)[1]
        count = np.bincount(nearest, minlength=len(seeds))
        moved = np.column_stack([np.bincount(nearest, points[:, axis], len(seeds)) for axis in (0, 1)])
        seeds = np.where(count[:, None] > 0, moved / np.maximum(count, 1)[:, None], seeds)
    pieces = shapely.get_parts(shapely.voronoi_polygons(shapely.multipoints(seeds), extend_to=shapely.box(0, 0, extent, extent)))
    seed_index, piece_index = shapely.STRtree(pieces).query(shapely.points(seeds), predicate="intersects")
    piece_of = np.full(len(seeds), -1)
    piece_of[seed_index] = piece_index
    outlines = shapely.intersection(pieces[piece_of], land)
    keep = shapely.area(outlines) > 0.1 * (extent**2 / plan.zones) * 0.2
    return seeds[keep], list(outlines[keep])


def _group(seeds: np.ndarray, count: int, centre: tuple[float, float], rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    heads = seeds[rng.choice(len(seeds), min(count, len(seeds)), replace=False)]
    for _ in range(8):
        nearest = ((seeds[:, None] - heads[None]) ** 2).sum(-1).argmin(1)
        for head in range(len(heads)):
            if (nearest == head).any():
                heads[head] = seeds[nearest == head].mean(0)
    nearest = ((seeds[:, None] - heads[None]) ** 2).sum(-1).argmin(1)
    used, dense = np.unique(nearest, return_inverse=True)
    return dense, heads[used]


def _assign_functions(
    seeds: np.ndarray,
    outlines: list[shapely.Geometry],
    sea: shapely.Geometry,
    river: shapely.Geometry,
    centre: tuple[float, float],
    extent: float,
) -> list[str]:
    """Centre of offices and shops, bars along the river, campus uphill, works near the mouth and the rim, homes between."""
    total = len(seeds)
    reach = np.hypot(seeds[:, 0] - centre[0], seeds[:, 1] - centre[1]) / extent
    to_sea, to_river = shapely.distance(outlines, sea) / extent, shapely.distance(shapely.points(seeds), river) / extent
    functions = np.full(total, "", dtype=object)

    def take(function: str, count: int, cost: np.ndarray) -> None:
        free = np.flatnonzero(functions == "")
        functions[free[np.argsort(cost[free], kind="stable")[:count]]] = function

    def some(share: float) -> int:
        return max(1, round(share * total))

    def towards(x: float, y: float) -> np.ndarray:
        return np.hypot(seeds[:, 0] - centre[0] - x * extent, seeds[:, 1] - centre[1] - y * extent) / extent

    take("business", some(0.06), reach)
    take("station", 1, towards(0.09, 0.03))
    take("shopping", some(0.035), towards(-0.03, 0.07))
    take("nightlife", some(0.03), reach + 2.5 * to_river + 3 * (seeds[:, 1] > centre[1]))
    take("seafront", some(0.045), 3 * to_sea + reach + 0.6 * (seeds[:, 1] < centre[1] - 0.1 * extent))
    take("campus", some(0.03), towards(0.10, 0.22))
    take("industry", some(0.045), towards(-0.16, -0.22))
    if total > 40:
        take("countryside", round(0.15 * total), -reach - 0.1 * (to_sea > 0.05))
        take("industry", round(0.03 * total), towards(0.38, -0.10))
        for x, y in ((0.28, 0.28), (0.22, -0.26)):
            take("shopping", 1, towards(x, y))
        take("business", round(0.012 * total), towards(0.30, 0.05))
    for _ in range(some(0.06)):  # parks keep apart from each other
        parks = functions == "park"
        apart = (
            np.min(np.hypot(*(seeds[:, None] - seeds[None, parks]).transpose(2, 0, 1)), axis=1) if parks.any() else np.zeros(total)
        )
        take("park", 1, 1.2 * reach - np.minimum(apart / extent, 0.22) * 3)
    functions[functions == ""] = "residential"
    return list(functions)


def _street_angles(heads: np.ndarray, centre: tuple[float, float], extent: float, rng: np.random.Generator) -> np.ndarray:
    """Near the centre one grid along the river; further out every district turns its own way."""
    bearing = np.arctan2(heads[:, 1] - centre[1], heads[:, 0] - centre[0])
    reach = np.hypot(heads[:, 0] - centre[0], heads[:, 1] - centre[1]) / extent
    turned = np.mod(bearing, np.pi / 2) + rng.normal(0, 0.12, len(heads))
    return np.where(reach < 0.14, 0.10, np.where(turned > np.pi / 4, turned - np.pi / 2, turned))


def _name_districts(zones: list[Zone], count: int, rng: np.random.Generator) -> list[str]:
    """Invented names; a district where one function is at home is named after it."""
    labels = names.district_names(count, rng)
    functions = list(names.DISTRICT_BY_FUNCTION)
    area = np.zeros((len(functions), count))
    for zone in zones:
        if zone.function in functions:
            area[functions.index(zone.function), zone.district] += zone.outline.area
    leading = area.argmax(0)
    for index, function in enumerate(functions):
        held = np.where(leading == index, area[index], 0.0)
        for label, district in zip(names.DISTRICT_BY_FUNCTION[function], np.argsort(-held, kind="stable"), strict=False):
            if held[district] > 0.15 * area[index].sum():
                labels[district] = label
    return labels


def _draw_arterials(
    extent: float, land: shapely.Geometry, sea: shapely.Geometry, centre: tuple[float, float], rng: np.random.Generator
) -> list[Street]:
    box = shapely.difference(shapely.box(0, 0, extent, extent), shapely.buffer(sea, 30))
    lines = []
    first = rng.uniform(0, 0.6)
    spokes = 7 if extent > 6_000 else 5
    for spoke in range(spokes):
        bearing = first + 2 * np.pi * spoke / spokes + rng.normal(0, 0.08)
        reach = np.linspace(0.02, 1.2, 14) * extent
        bend = bearing + 0.22 * np.sin(reach / extent * 3 + spoke)
        lines.append(shapely.LineString(np.column_stack([centre[0] + reach * np.cos(bend), centre[1] + reach * np.sin(bend)])))
    turn = np.linspace(0, 2 * np.pi, 61)
    for ring in (0.11, 0.27, 0.46) if extent > 6_000 else (0.2,):
        radius = ring * extent * (1 + 0.06 * np.sin(3 * turn + rng.uniform(0, 6)))
        lines.append(shapely.LineString(np.column_stack([centre[0] + radius * np.cos(turn), centre[1] + radius * np.sin(turn)])))
    shore = shapely.buffer(sea, 0.006 * extent + 40).boundary
    lines.append(shapely.intersection(shore, shapely.buffer(shapely.box(0, 0, extent, extent), -2)))
    lines = [_without_stubs(shapely.simplify(shapely.intersection(line, box), 8.0)) for line in lines]
    labels = names.street_names(len(lines), rng, kinds=("Avenue", "Parade", "Highway", "Road"))
    labels[-1] = "Promenade"
    return [Street(line, label, "arterial") for line, label in zip(lines, labels, strict=True) if not line.is_empty]


def _without_stubs(line: shapely.Geometry) -> shapely.Geometry:
    """The line without pieces that are shorter than a house is wide."""
    parts = shapely.get_parts(line)
    long = parts[shapely.length(parts) > 15]
    return long[0] if len(long) == 1 else shapely.multilinestrings(long)


def _draw_grid(
    zones: list[Zone], arterials: list[Street], centre: tuple[float, float], extent: float, rng: np.random.Generator
) -> tuple[list[Street], Blocks]:
    lines: list[shapely.Geometry] = []
    parts: list[np.ndarray] = []
    for index, zone in enumerate(zones):
        if zone.function not in BUILT:
            continue
        width, depth = BLOCK_M[zone.function]
        reach = np.hypot(zone.centre[0] - centre[0], zone.centre[1] - centre[1])
        stretch = 1 + 0.45 * min(reach / (0.5 * CELL_M * 24), 1.0)  # blocks widen outwards
        width, depth = width * stretch, depth * stretch
        cosine, sine = np.cos(zone.angle), np.sin(zone.angle)
        corners = shapely.get_coordinates(zone.outline)
        along, across = corners @ (cosine, sine), corners @ (-sine, cosine)
        columns = np.arange(np.floor(along.min() / width), np.ceil(along.max() / width) + 1) * width
        rows = np.arange(np.floor(across.min() / depth), np.ceil(across.max() / depth) + 1) * depth
        ends = [[(column, rows[0]), (column, rows[-1])] for column in columns] + [
            [(columns[0], row), (columns[-1], row)] for row in rows
        ]
        turned = np.asarray(ends) @ np.array([[cosine, sine], [-sine, cosine]])
        clipped = shapely.intersection(shapely.linestrings(turned), shapely.buffer(zone.outline, -4))
        lines.extend(line for line in clipped[shapely.length(clipped) > 60] if shapely.length(shapely.get_parts(line)).max() > 40)
        grid = np.stack(np.meshgrid(columns[:-1] + width / 2, rows[:-1] + depth / 2, indexing="ij"), -1).reshape(-1, 2)
        place = grid @ np.array([[cosine, sine], [-sine, cosine]])
        inside = place[shapely.contains_xy(shapely.buffer(zone.outline, -0.3 * depth), place[:, 0], place[:, 1])]
        count = len(inside)
        parts.append(
            np.column_stack(
                [inside, np.full(count, width), np.full(count, depth), np.full(count, zone.angle), np.full(count, index)]
            ).reshape(-1, 6)
        )
    table = np.concatenate(parts)
    blocks = Blocks(
        x=table[:, 0],
        y=table[:, 1],
        width=table[:, 2],
        depth=table[:, 3],
        angle=table[:, 4],
        zone=table[:, 5].astype(int),
        green=rng.random(len(table)) < 0.025,
    )
    labels = names.street_names(len(lines), rng)
    return [
        Street(_without_stubs(shapely.simplify(line, 2.0)), label, "local") for line, label in zip(lines, labels, strict=True)
    ], blocks
