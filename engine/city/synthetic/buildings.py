"""Footprints and heights: rectangles along the streets of each block."""

from dataclasses import dataclass

import numpy as np
import shapely

from engine.city.synthetic.layout import Layout

# Rectangles of a block as shares of its usable width and depth: centre x, centre y, width, depth.
_PATTERNS: dict[str, tuple[tuple[float, float, float, float], ...]] = {
    "residential": ((-0.26, 0.36, 0.42, 0.20), (0.26, 0.36, 0.42, 0.20), (0.0, -0.36, 0.92, 0.20)),
    "business": ((-0.27, 0.22, 0.38, 0.42), (0.26, 0.26, 0.36, 0.36), (0.0, -0.30, 0.86, 0.28)),
    "shopping": ((0.0, 0.16, 0.92, 0.56), (-0.24, -0.34, 0.40, 0.22), (0.27, -0.34, 0.36, 0.22)),
    "nightlife": ((-0.28, 0.30, 0.36, 0.34), (0.20, 0.30, 0.50, 0.34), (0.0, -0.30, 0.90, 0.30)),
    "campus": ((-0.22, 0.26, 0.44, 0.22), (0.30, -0.10, 0.16, 0.62), (-0.20, -0.30, 0.40, 0.16)),
    "industry": ((-0.10, 0.14, 0.70, 0.56), (0.26, -0.34, 0.34, 0.20)),
    "station": ((0.0, 0.10, 0.94, 0.50), (0.0, -0.36, 0.60, 0.16)),
    "seafront": ((-0.25, 0.30, 0.40, 0.24), (0.25, 0.30, 0.40, 0.24), (0.0, -0.32, 0.70, 0.26)),
}
_DETACHED = tuple((x, y, 0.19, 0.17) for y in (0.36, -0.36) for x in (-0.38, -0.13, 0.13, 0.38))
# Median height in metres, spread of its logarithm, and how fast it falls towards the rim.
_HEIGHT = {
    "residential": (10.0, 0.30, 0.6),
    "business": (42.0, 0.55, 1.6),
    "shopping": (16.0, 0.30, 0.6),
    "nightlife": (14.0, 0.25, 0.4),
    "campus": (17.0, 0.30, 0.2),
    "industry": (10.0, 0.25, 0.0),
    "station": (20.0, 0.30, 0.2),
    "seafront": (22.0, 0.45, 0.8),
}
FLOOR_M = 3.2
SIDEWALK_M = 9.0


@dataclass(frozen=True)
class Buildings:
    """Buildings as arrays.

    Attributes:
        footprint: (building,) polygons in metres.
        height_m: (building,).
        zone: (building,) index of the zone.
        floor_area_m2: (building,) footprint times storeys.
        x, y: (building,) centre.
    """

    footprint: np.ndarray
    height_m: np.ndarray
    zone: np.ndarray
    floor_area_m2: np.ndarray
    x: np.ndarray
    y: np.ndarray


def raise_buildings(layout: Layout, rng: np.random.Generator) -> Buildings:
    """Fills the blocks; nothing stands on water, on a street, or across the border of its zone."""
    blocks, functions = layout.blocks, np.array([zone.function for zone in layout.zones])
    reach = np.hypot(blocks.x - layout.centre[0], blocks.y - layout.centre[1]) / layout.plan.extent
    used = ~blocks.green & (rng.random(len(blocks.x)) < 1.02 - 0.55 * np.clip(reach - 0.25, 0, 1))
    boxes, owner = [], []
    detached = rng.random(len(blocks.x)) < 1.6 * (reach - 0.22)  # houses with gardens further out
    for function, pattern in [*_PATTERNS.items(), ("suburb", _DETACHED)]:
        built_as = "residential" if function == "suburb" else function
        suits = detached if function == "suburb" else ~detached if function == "residential" else True
        chosen = np.flatnonzero(used & suits & (functions[blocks.zone] == built_as))
        for centre_x, centre_y, width, depth in pattern:
            kept = chosen[rng.random(len(chosen)) < 0.93]
            wobble = rng.uniform(0.82, 1.06, (len(kept), 2))
            usable_width, usable_depth = blocks.width[kept] - 2 * SIDEWALK_M, blocks.depth[kept] - 2 * SIDEWALK_M
            half = np.column_stack([usable_width * width, usable_depth * depth]) * wobble / 2
            middle = np.column_stack([usable_width * centre_x, usable_depth * centre_y])
            corners = middle[:, None] + half[:, None] * np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)])[None]
            cosine, sine = np.cos(blocks.angle[kept])[:, None], np.sin(blocks.angle[kept])[:, None]
            x = blocks.x[kept, None] + corners[..., 0] * cosine - corners[..., 1] * sine
            y = blocks.y[kept, None] + corners[..., 0] * sine + corners[..., 1] * cosine
            boxes.append(np.stack([x, y], -1))
            owner.append(kept)
    rings, block = np.concatenate(boxes), np.concatenate(owner)
    order = np.lexsort((np.arange(len(block)), block))
    footprint, zone = shapely.polygons(rings[order]), blocks.zone[block[order]]
    outlines = np.array([shapely.buffer(zone.outline, -6) for zone in layout.zones])
    arterial = shapely.union_all([street.line for street in layout.streets if street.level == "arterial"])
    near = shapely.STRtree(footprint).query(
        shapely.get_parts(shapely.segmentize(arterial, 400)), predicate="dwithin", distance=14.0
    )[1]
    stands = shapely.contains(outlines[zone], footprint)
    stands[near] = False
    footprint, zone = footprint[stands], zone[stands]
    centre = shapely.centroid(footprint)
    x, y = shapely.get_x(centre), shapely.get_y(centre)
    height = _heights(layout, functions[zone], x, y, rng)
    storeys = np.maximum(1, np.round(height / FLOOR_M))
    return Buildings(footprint, height, zone, shapely.area(footprint) * storeys, x, y)


def _heights(layout: Layout, function: np.ndarray, x: np.ndarray, y: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A skyline: tall in the middle of the business zones, low at the rim, neighbours alike."""
    reach = np.hypot(x - layout.centre[0], y - layout.centre[1]) / layout.plan.extent
    table = np.array([_HEIGHT[name] for name in function])
    wave = 0.2 * np.sin(x / 310 + 1.3) * np.cos(y / 270)
    height = table[:, 0] * np.exp(
        table[:, 1] * rng.normal(0, 1, len(x)) + wave + table[:, 2] * (0.5 * np.exp(-reach / 0.10) - reach)
    )
    return np.round(np.clip(height, 3.5, 185.0), 1)
