"""Street views: a pinhole camera on a street, looking along it at the buildings that stand there."""

import io
from dataclasses import dataclass

import numpy as np
import shapely
from PIL import Image, ImageDraw

from engine.city.synthetic.buildings import FLOOR_M, Buildings
from engine.city.synthetic.cells import Cells
from engine.city.synthetic.layout import Layout
from engine.city.synthetic.plan import CELL_M

WIDTH, HEIGHT = 96, 64
PER_CELL = 3
CAMERA_M = 2.2
_FOCAL = WIDTH / 2 / np.tan(np.radians(38))
_HORIZON = 0.60 * HEIGHT
_SIGHT_M = 240.0
_NEAR_M = 1.5

_WALL = {
    "residential": ((176, 112, 88), (206, 186, 158), (150, 96, 80)),
    "business": ((138, 158, 178), (172, 182, 190), (112, 132, 152)),
    "shopping": ((208, 176, 140), (196, 196, 190), (220, 150, 110)),
    "nightlife": ((120, 70, 84), (150, 106, 74), (84, 82, 110)),
    "campus": ((186, 132, 92), (204, 186, 150)),
    "industry": ((150, 150, 146), (132, 142, 150), (164, 146, 122)),
    "station": ((168, 156, 140), (120, 124, 130)),
    "seafront": ((236, 228, 210), (226, 200, 170), (190, 210, 216)),
}
_VERGE = {
    "park": (108, 136, 82),
    "countryside": (128, 146, 84),
    "residential": (126, 144, 98),
    "campus": (112, 142, 84),
    "seafront": (206, 196, 164),
    "industry": (150, 140, 122),
}
_TREES_PER_100_M = {"residential": 5.0, "campus": 7.0, "seafront": 3.0, "business": 1.5, "shopping": 1.5, "station": 0.8}


@dataclass(frozen=True)
class Viewpoints:
    """Camera positions as arrays.

    Attributes:
        x, y: (view,) metres.
        heading: (view,) degrees clockwise from north.
        zone: (view,) index of the zone.
        wide: (view,) bool, on an arterial.
        cell: (view,) index of the cell.
    """

    x: np.ndarray
    y: np.ndarray
    heading: np.ndarray
    zone: np.ndarray
    wide: np.ndarray
    cell: np.ndarray


def choose_viewpoints(layout: Layout, cells: Cells, rng: np.random.Generator) -> Viewpoints:
    """Up to `PER_CELL` points on the streets of every cell that has any."""
    points: list[np.ndarray] = []
    for street in layout.streets:
        for part in shapely.get_parts(street.line):
            length = float(part.length)
            if length < 80:
                continue
            at = np.arange(40.0, length - 30.0, 90.0)
            here = shapely.get_coordinates(shapely.line_interpolate_point(part, at))
            there = shapely.get_coordinates(shapely.line_interpolate_point(part, at + 5.0))
            heading = np.degrees(np.arctan2(there[:, 0] - here[:, 0], there[:, 1] - here[:, 1])) % 360
            points.append(np.column_stack([here, heading, np.full(len(at), street.level == "arterial")]))
    table = np.concatenate(points)
    table = table[rng.permutation(len(table))]
    cell, zone = cells.containing(table[:, 0], table[:, 1]), layout.zone_at(table[:, 0], table[:, 1])
    # Not on the border of two cells, where rounding would decide.
    clear = ((table[:, :2] % CELL_M > 1) & (table[:, :2] % CELL_M < CELL_M - 1)).all(1)
    fits = np.flatnonzero((cell >= 0) & (zone >= 0) & clear)
    fits = fits[np.argsort(cell[fits], kind="stable")]
    first = np.searchsorted(cell[fits], cell[fits])
    kept = fits[np.arange(len(fits)) - first < PER_CELL]
    back = rng.random(len(kept)) < 0.5
    return Viewpoints(
        x=table[kept, 0],
        y=table[kept, 1],
        heading=np.round((table[kept, 2] + 180.0 * back) % 360, 1),
        zone=zone[kept],
        wide=table[kept, 3] > 0,
        cell=cell[kept],
    )


def shoot(layout: Layout, buildings: Buildings, views: Viewpoints, rng: np.random.Generator) -> list[bytes]:
    """One JPEG per viewpoint."""
    tree = shapely.STRtree(buildings.footprint)
    corners = shapely.get_coordinates(buildings.footprint).reshape(len(buildings.footprint), -1, 2)[:, :4]
    functions = [zone.function for zone in layout.zones]
    tone = rng.integers(0, 6, len(corners))
    seen_view, seen_building = tree.query(shapely.points(views.x, views.y), predicate="dwithin", distance=_SIGHT_M)
    order = np.lexsort((seen_building, seen_view))
    seen_view, seen_building = seen_view[order], seen_building[order]
    starts = np.searchsorted(seen_view, np.arange(len(views.x) + 1))
    pictures = []
    for view in range(len(views.x)):
        near = seen_building[starts[view] : starts[view + 1]]
        angle = np.radians(views.heading[view])
        offset = corners[near] - (views.x[view], views.y[view])  # (building, corner, xy)
        right = offset @ (np.cos(angle), -np.sin(angle))
        ahead = offset @ (np.sin(angle), np.cos(angle))
        walls = [_WALL[functions[zone]] for zone in buildings.zone[near]]
        colours = [palette[tone[building] % len(palette)] for palette, building in zip(walls, near, strict=True)]
        function = functions[views.zone[view]]
        image = _draw(right, ahead, buildings.height_m[near], colours, function, bool(views.wide[view]), rng)
        buffer = io.BytesIO()
        image.save(buffer, "JPEG", quality=85)
        pictures.append(buffer.getvalue())
    return pictures


def _project(right: float, up: float, ahead: float) -> tuple[float, float]:
    return WIDTH / 2 + _FOCAL * right / ahead, _HORIZON - _FOCAL * (up - CAMERA_M) / ahead


def _draw(
    right: np.ndarray,
    ahead: np.ndarray,
    height: np.ndarray,
    colours: list[tuple[int, int, int]],
    function: str,
    wide: bool,
    rng: np.random.Generator,
) -> Image.Image:
    image = _sky(rng)
    pen = ImageDraw.Draw(image)
    grassy = function in ("park", "countryside")
    pen.rectangle((0, _HORIZON, WIDTH, HEIGHT), fill=_VERGE.get(function, (168, 164, 156)))
    half = 8.0 if wide else 4.0
    if not grassy:
        walk = half + 3.0
        pen.polygon(
            [_project(-walk, 0, 400), _project(walk, 0, 400), _project(walk, 0, _NEAR_M), _project(-walk, 0, _NEAR_M)],
            fill=(188, 184, 176),
        )
    road = [_project(-half, 0, 400), _project(half, 0, 400), _project(half, 0, _NEAR_M), _project(-half, 0, _NEAR_M)]
    pen.polygon(road, fill=(92, 92, 96))
    for dash in range(3, 90, 9):
        pen.polygon(
            [_project(-0.15, 0, dash), _project(0.15, 0, dash), _project(0.15, 0, dash + 4), _project(-0.15, 0, dash + 4)],
            fill=(214, 210, 196),
        )
    things: list[tuple[float, str, tuple]] = []
    for building in range(len(height)):
        for corner in range(4):
            other = (corner + 1) % 4
            face = _clip(right[building, corner], ahead[building, corner], right[building, other], ahead[building, other])
            if face:
                depth = float(np.hypot((face[0] + face[2]) / 2, (face[1] + face[3]) / 2))
                things.append((depth, "wall", (*face, float(height[building]), colours[building], corner)))
    per_100_m = 9.0 if grassy else _TREES_PER_100_M.get(function, 0.3)
    for _ in range(rng.poisson(2 * per_100_m)):
        side, far, tall = rng.choice([-1.0, 1.0]), rng.uniform(9, 110), rng.uniform(4, 9)
        across = side * (half + (rng.uniform(1.5, 30) if grassy else rng.uniform(1.0, 2.2)))
        things.append((float(np.hypot(across, far)), "tree", (across, far, tall)))
    for _, kind, what in sorted(things, key=lambda thing: -thing[0]):
        if kind == "wall":
            _draw_wall(pen, *what)
        else:
            _draw_tree(pen, *what)
    grain = rng.integers(-5, 6, (HEIGHT, WIDTH, 1), dtype=np.int16)
    return Image.fromarray(np.clip(np.asarray(image, np.int16) + grain, 0, 255).astype(np.uint8))


def _sky(rng: np.random.Generator) -> Image.Image:
    grey = float(rng.uniform(0, 0.7))
    top = np.array([108, 158, 214]) * (1 - grey) + np.array([176, 184, 192]) * grey
    low = np.array([214, 228, 238]) * (1 - 0.5 * grey) + np.array([206, 208, 210]) * 0.5 * grey
    share = np.linspace(0, 1, HEIGHT)[:, None, None]
    rows = top * (1 - share) + low * share  # (row, 1, colour)
    return Image.fromarray(np.broadcast_to(rows, (HEIGHT, WIDTH, 3)).astype(np.uint8).copy())


def _clip(x0: float, z0: float, x1: float, z1: float) -> tuple[float, float, float, float] | None:
    """The part of a wall in front of the camera; None where nothing is, or where its back is turned."""
    if x0 * z1 - x1 * z0 >= 0:  # anticlockwise footprints: a face we see runs from right to left
        return None
    if max(z0, z1) <= _NEAR_M:
        return None
    if z0 < _NEAR_M:
        x0, z0 = x0 + (x1 - x0) * (_NEAR_M - z0) / (z1 - z0), _NEAR_M
    if z1 < _NEAR_M:
        x1, z1 = x1 + (x0 - x1) * (_NEAR_M - z1) / (z0 - z1), _NEAR_M
    if (abs(x0) > 1.2 * z0 and abs(x1) > 1.2 * z1 and x0 * x1 > 0) or min(z0, z1) > _SIGHT_M:
        return None
    return float(x0), float(z0), float(x1), float(z1)


def _draw_wall(
    pen: ImageDraw.ImageDraw, x0: float, z0: float, x1: float, z1: float, height: float, colour: tuple[int, int, int], side: int
) -> None:
    light = (1.0, 0.8, 0.68, 0.9)[side]
    haze = min(0.5, (z0 + z1) / 2 / 420)
    shaded = tuple(int(part * light * (1 - haze) + 205 * haze) for part in colour)
    pen.polygon([_project(x0, 0, z0), _project(x1, 0, z1), _project(x1, height, z1), _project(x0, height, z0)], fill=shaded)
    glass = tuple(int(part * 0.62) for part in shaded)
    for storey in range(1, int(height / FLOOR_M)):
        low, high = storey * FLOOR_M - 1.6, storey * FLOOR_M - 0.2
        if _FOCAL * (high - low) / min(z0, z1) < 0.8:
            continue
        pen.polygon([_project(x0, low, z0), _project(x1, low, z1), _project(x1, high, z1), _project(x0, high, z0)], fill=glass)
        bays = min(14, int(np.hypot(x1 - x0, z1 - z0) / 4))
        for bay in range(1, bays):
            share = bay / bays
            x, z = x0 + (x1 - x0) * share, z0 + (z1 - z0) * share
            pen.line([_project(x, low, z), _project(x, high, z)], fill=shaded)


def _draw_tree(pen: ImageDraw.ImageDraw, across: float, far: float, tall: float) -> None:
    x, ground = _project(across, 0, far)
    _, crown = _project(across, tall, far)
    width = _FOCAL * tall * 0.3 / far
    pen.line([(x, ground), (x, crown)], fill=(84, 66, 50), width=max(1, round(width / 6)))
    middle = crown + (ground - crown) * 0.6
    green = int(70 + 40 * min(1.0, far / 110))
    pen.ellipse((x - width, crown, x + width, middle), fill=(green - 12, green + 26, green - 16))
