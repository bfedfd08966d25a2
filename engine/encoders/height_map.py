"""Building-height maps rendered from footprints: one grey level per metre, at a fixed number of metres per pixel."""

import io

import geopandas as gpd
import numpy as np
import numpy.typing as npt
import shapely
from PIL import Image, ImageDraw

from engine.city.images import HIGHEST_M

METRES_PER_PIXEL = 8.0
MOST_PIXELS = 512
"""Longest side of a map; larger zones get coarser pixels."""

_OVERSAMPLING = 2
_FILLED = 0.999


def render_height_maps(
    cells: gpd.GeoDataFrame,
    buildings: gpd.GeoDataFrame,
    metres_per_pixel: float = METRES_PER_PIXEL,
    rows: npt.NDArray[np.int64] | None = None,
) -> list[bytes]:
    """A map per cell: the square around its middle, north up.

    A building that reaches over a border shows in each of the cells, where it stands. What of the square lies outside of the cell
    (zones that are no squares) is transparent. Each map depends on nothing but its cell and the buildings that touch it.

    Args:
        cells: Cells or zones in a projected CRS in metres.
        buildings: Footprints with `height_m` in the same CRS.
        metres_per_pixel: Side of a pixel in metres; zones longer than `MOST_PIXELS` pixels get coarser ones.
        rows: Positions of the cells to render; default all.

    Returns:
        PNG bytes per cell: grey value = metres above ground (at most 255, averaged over the pixel), with an alpha channel only
        where the cell does not fill its square.
    """
    outlines = np.asarray(cells.geometry)
    wanted = np.arange(len(cells)) if rows is None else rows
    shapes, heights = np.asarray(buildings.geometry), buildings["height_m"].to_numpy(np.float64)
    tree = shapely.STRtree(shapes)
    squares = _squares(outlines)
    maps = []
    for cell in wanted:
        west, south, side = squares[cell]
        near = np.sort(tree.query(shapely.box(west, south, west + side, south + side), predicate="intersects"))
        maps.append(_render(outlines[cell], west, south, side, shapes[near], heights[near], metres_per_pixel))
    return maps


def _squares(outlines: npt.NDArray[np.object_]) -> npt.NDArray[np.float64]:
    """(cell, 3) west, south and side of the square around the middle of each cell's bounds, metres."""
    bounds = shapely.bounds(outlines)
    side = np.maximum(bounds[:, 2] - bounds[:, 0], bounds[:, 3] - bounds[:, 1])
    x, y = (bounds[:, 0] + bounds[:, 2]) / 2, (bounds[:, 1] + bounds[:, 3]) / 2
    return np.stack([x - side / 2, y - side / 2, side], axis=1)


def _render(
    outline: shapely.Geometry,
    west: float,
    south: float,
    side: float,
    shapes: npt.NDArray[np.object_],
    heights: npt.NDArray[np.float64],
    metres_per_pixel: float,
) -> bytes:
    pixels = int(np.clip(round(side / metres_per_pixel), 1, MOST_PIXELS))
    canvas = pixels * _OVERSAMPLING
    scale = canvas / side

    def polygons(geometry: shapely.Geometry) -> list[tuple[list[tuple[float, float]], list[list[tuple[float, float]]]]]:
        def ring(line: shapely.Geometry) -> list[tuple[float, float]]:
            xy = shapely.get_coordinates(line)
            across, down = (xy[:, 0] - west) * scale - 0.5, (side - xy[:, 1] + south) * scale - 0.5
            # Pillow fills up to and including the last pixel; half a pixel less keeps the area.
            return [(float(x), float(y)) for x, y in zip(across, down, strict=True)]

        return [
            (ring(part.exterior), [ring(hole) for hole in part.interiors])
            for part in shapely.get_parts(geometry)
            if part.geom_type == "Polygon" and not part.is_empty
        ]

    ground = Image.new("L", (canvas, canvas), 0)
    # The highest last, so that where footprints overlap the higher one is seen.
    for position in np.argsort(heights, kind="stable"):
        for exterior, holes in polygons(shapes[position]):
            _fill(ground, exterior, holes, int(np.clip(round(heights[position]), 0, HIGHEST_M)))
    grey = ground.resize((pixels, pixels), Image.Resampling.BOX)
    buffer = io.BytesIO()
    if outline.area < _FILLED * side * side:
        mask = Image.new("L", (canvas, canvas), 0)
        for exterior, holes in polygons(outline):
            _fill(mask, exterior, holes, 255)
        alpha = mask.resize((pixels, pixels), Image.Resampling.BOX).point(lambda value: 255 * (value > 127))
        grey = Image.merge("LA", (grey, alpha))
    grey.save(buffer, "PNG")
    return buffer.getvalue()


def _fill(picture: Image.Image, exterior: list[tuple[float, float]], holes: list[list[tuple[float, float]]], level: int) -> None:
    if not holes:
        ImageDraw.Draw(picture).polygon(exterior, fill=level)
        return
    stencil = Image.new("L", picture.size, 0)
    pen = ImageDraw.Draw(stencil)
    pen.polygon(exterior, fill=255)
    for hole in holes:
        pen.polygon(hole, fill=0)
    picture.paste(level, (0, 0), stencil)
