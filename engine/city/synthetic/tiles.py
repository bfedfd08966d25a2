"""Remote-sensing and height tiles, painted from the same geometry as the tables."""

import io

import numpy as np
import shapely
from PIL import Image, ImageDraw, ImageFilter

from engine.city.synthetic.buildings import Buildings
from engine.city.synthetic.cells import Cells
from engine.city.synthetic.layout import Layout
from engine.city.synthetic.plan import CELL_M

TILE_PX = 64
_OVERSAMPLING = 2
INSET_PX = 0.28
_SUN = (0.55, -0.45)  # metres of shadow per metre of height, east and north

_GROUND = {
    "residential": (142, 146, 120),
    "business": (152, 150, 146),
    "shopping": (158, 152, 144),
    "nightlife": (150, 142, 134),
    "campus": (126, 146, 104),
    "industry": (150, 143, 130),
    "station": (140, 136, 132),
    "seafront": (168, 160, 138),
    "park": (92, 128, 70),
    "countryside": (124, 142, 84),
}
_ROOF = {
    "residential": ((160, 96, 78), (150, 116, 98), (128, 110, 104)),
    "business": ((186, 190, 196), (150, 158, 170), (206, 206, 204)),
    "shopping": ((214, 208, 200), (190, 184, 178)),
    "nightlife": ((132, 98, 92), (168, 140, 120)),
    "campus": ((178, 150, 120), (196, 186, 168)),
    "industry": ((176, 186, 194), (202, 204, 200), (148, 136, 126)),
    "station": ((112, 116, 122), (168, 172, 176)),
    "seafront": ((226, 222, 214), (206, 184, 160)),
}
_FIELDS = ((136, 150, 82), (168, 160, 100), (112, 138, 76), (150, 132, 92), (98, 126, 70))


class _Canvas:
    """An image of the whole city, from metres to pixels."""

    def __init__(self, extent: float, mode: str, colour: tuple[int, ...] | int) -> None:
        self.scale = TILE_PX * _OVERSAMPLING / CELL_M
        self.extent = extent
        side = round(extent * self.scale)
        self.image = Image.new(mode, (side, side), colour)
        self.draw = ImageDraw.Draw(self.image)

    def pixels(self, coordinates: np.ndarray) -> list[tuple[float, float]]:
        return [(x * self.scale, (self.extent - y) * self.scale) for x, y in coordinates]

    def fill(self, geometry: shapely.Geometry, colour: tuple[int, ...] | int) -> None:
        for part in shapely.get_parts(geometry):
            if part.geom_type == "Polygon" and not part.is_empty:
                self.draw.polygon(self.pixels(shapely.get_coordinates(part.exterior)), fill=colour)

    def stroke(self, geometry: shapely.Geometry, colour: tuple[int, ...], width_m: float) -> None:
        width = max(1, round(width_m * self.scale))
        for part in shapely.get_parts(geometry):
            if part.geom_type == "LineString":
                self.draw.line(self.pixels(shapely.get_coordinates(part)), fill=colour, width=width, joint="curve")


def paint_satellite(layout: Layout, buildings: Buildings, parks: np.ndarray, rng: np.random.Generator) -> Image.Image:
    """The whole city from above, `TILE_PX` pixels a cell, north up."""
    canvas = _Canvas(layout.plan.extent, "RGB", (70, 108, 138))
    canvas.fill(shapely.buffer(layout.sea, 0), (58, 98, 132))
    for zone in layout.zones:
        canvas.fill(zone.outline, _vary(_GROUND[zone.function], rng, 5))
        if zone.function == "countryside":
            _paint_fields(canvas, zone.outline, rng)
    canvas.fill(shapely.intersection(shapely.buffer(layout.sea, 34), layout.land), (214, 200, 162))
    canvas.fill(shapely.union_all(parks), (96, 134, 74))
    for function, spacing in (
        ("park", 420),
        ("campus", 1_500),
        ("residential", 1_700),
        ("countryside", 9_000),
        ("seafront", 5_000),
    ):
        outlines = [zone.outline for zone in layout.zones if zone.function == function]
        _plant_trees(canvas, outlines, spacing, rng)
    _plant_trees(canvas, list(parks), 300, rng)
    canvas.fill(layout.river, (66, 104, 124))
    for street in layout.streets:
        if street.level == "local":
            canvas.stroke(street.line, (164, 162, 158), 8)
    for street in layout.streets:
        if street.level == "arterial":
            canvas.stroke(street.line, (188, 184, 174), 19)
    _paint_roofs(canvas, layout, buildings, rng)
    side = TILE_PX * layout.plan.cells
    image = canvas.image.resize((side, side), Image.Resampling.BOX)
    coarse = Image.fromarray(rng.integers(96, 160, (side // 16, side // 16), dtype=np.uint8)).resize(
        (side, side), Image.Resampling.BICUBIC
    )
    relief = (np.asarray(coarse, np.int16) - 128)[..., None] // 6
    grain = rng.integers(-5, 6, (side, side, 1), dtype=np.int16)
    return Image.fromarray(np.clip(np.asarray(image, np.int16) + relief + grain, 0, 255).astype(np.uint8))


def paint_heights(layout: Layout, buildings: Buildings) -> Image.Image:
    """Building heights of the whole city: one grey level per metre, 0 where nothing stands."""
    canvas = _Canvas(layout.plan.extent, "L", 0)
    # The pen also fills pixels that a building only touches; drawing it a little smaller keeps the built volume.
    footprints = shapely.buffer(buildings.footprint, -INSET_PX / canvas.scale, join_style="mitre")
    for footprint, height in zip(footprints, buildings.height_m, strict=True):
        canvas.fill(footprint, min(255, round(float(height))))
    side = TILE_PX * layout.plan.cells
    return canvas.image.resize((side, side), Image.Resampling.BOX)


def cut_tiles(image: Image.Image, cells: Cells) -> list[bytes]:
    """One encoded tile per cell: JPEG for colour, PNG for grey values that are measurements."""
    tiles = []
    for row, col in zip(cells.row, cells.col, strict=True):
        box = (col * TILE_PX, row * TILE_PX, (col + 1) * TILE_PX, (row + 1) * TILE_PX)
        buffer = io.BytesIO()
        if image.mode == "RGB":
            image.crop(box).save(buffer, "JPEG", quality=88)
        else:
            image.crop(box).save(buffer, "PNG")
        tiles.append(buffer.getvalue())
    return tiles


def _vary(colour: tuple[int, int, int], rng: np.random.Generator, spread: int) -> tuple[int, ...]:
    return tuple(
        int(np.clip(part + shift, 0, 255)) for part, shift in zip(colour, rng.integers(-spread, spread + 1, 3), strict=True)
    )


def _paint_fields(canvas: _Canvas, outline: shapely.Geometry, rng: np.random.Generator) -> None:
    west, south, east, north = outline.bounds
    turn = rng.uniform(0, np.pi)
    pieces = []
    for x in np.arange(west, east, 260.0):
        for y in np.arange(south, north, 180.0):
            pieces.append(shapely.box(x, y, x + 250, y + 172))
    centre = shapely.Point((west + east) / 2, (south + north) / 2)
    turned = [_rotate(piece, turn, centre) for piece in pieces]
    for field in shapely.intersection(turned, shapely.buffer(outline, -12)):
        canvas.fill(field, _vary(_FIELDS[rng.integers(len(_FIELDS))], rng, 6))


def _rotate(geometry: shapely.Geometry, angle: float, centre: shapely.Point) -> shapely.Geometry:
    matrix = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    middle = np.array([centre.x, centre.y])
    return shapely.transform(geometry, lambda points: (points - middle) @ matrix + middle)


def _plant_trees(canvas: _Canvas, outlines: list[shapely.Geometry], spacing_m2: float, rng: np.random.Generator) -> None:
    for outline in outlines:
        if outline.is_empty:
            continue
        west, south, east, north = outline.bounds
        count = rng.poisson((east - west) * (north - south) / spacing_m2)
        x, y = rng.uniform(west, east, count), rng.uniform(south, north, count)
        inside = shapely.contains_xy(outline, x, y)
        radius, shade = rng.uniform(3.5, 8.5, count), rng.integers(0, 26, count)
        for tree in np.flatnonzero(inside):
            (left, top), (right, bottom) = canvas.pixels(
                np.array([(x[tree] - radius[tree], y[tree] + radius[tree]), (x[tree] + radius[tree], y[tree] - radius[tree])])
            )
            canvas.draw.ellipse((left, top, right, bottom), fill=(52 + int(shade[tree]), 88 + int(shade[tree]), 46))


def _paint_roofs(canvas: _Canvas, layout: Layout, buildings: Buildings, rng: np.random.Generator) -> None:
    functions = [layout.zones[zone].function for zone in buildings.zone]
    shade = Image.new("L", canvas.image.size, 0)
    pen = ImageDraw.Draw(shade)
    coordinates = [shapely.get_coordinates(footprint) for footprint in buildings.footprint]
    for corners, height in zip(coordinates, buildings.height_m, strict=True):
        moved = corners + np.array(_SUN) * min(float(height), 90.0)
        hull = shapely.convex_hull(shapely.multipoints(np.concatenate([corners, moved])))
        pen.polygon(canvas.pixels(shapely.get_coordinates(hull)), fill=105)
    shade = shade.filter(ImageFilter.BoxBlur(0.6))
    canvas.image.paste(Image.new("RGB", canvas.image.size, (34, 38, 46)), (0, 0), shade)
    tone = rng.integers(0, 6, len(coordinates))
    for index, corners in enumerate(coordinates):
        palette = _ROOF[functions[index]]
        canvas.draw.polygon(canvas.pixels(corners), fill=_vary(palette[tone[index] % len(palette)], rng, 9))
