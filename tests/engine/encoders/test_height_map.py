"""Height maps: metres as grey levels at a known scale, the same whatever the neighbours are."""

import geopandas as gpd
import numpy as np
import shapely

from engine.city.images import read_heights
from engine.encoders.height_map import render_height_maps
from engine.encoders.image_descriptors import HEIGHT, measure_height

CRS = "EPSG:32630"
CELLS = gpd.GeoDataFrame(geometry=[shapely.box(x, 0, x + 400, 400) for x in (0, 400)], crs=CRS)


def buildings(*shapes: tuple[shapely.Geometry, float]) -> gpd.GeoDataFrame:
    return gpd.GeoDataFrame({"height_m": [height for _, height in shapes]}, geometry=[shape for shape, _ in shapes], crs=CRS)


def named(data: bytes) -> dict[str, float]:
    return dict(zip(HEIGHT, map(float, measure_height(data)), strict=True))


def test_a_block_has_its_height_its_area_and_its_place():
    """100 m x 200 m of 400 m x 400 m is an eighth of the ground; north is up."""
    west, east = render_height_maps(CELLS, buildings((shapely.box(0, 200, 100, 400), 30.0)))
    metres, inside = read_heights(west)
    assert metres.shape == (50, 50) and inside.all(), "8 m a pixel"
    assert metres[:24, :12].min() == 30 and metres[26:].max() == 0 and metres[:, 14:].max() == 0
    found = named(west)
    assert abs(found["built share"] - 1 / 8) < 0.01 and found["highest, m"] == 30
    assert abs(found["mean height over ground, m"] - 30 / 8) < 0.3
    assert named(east)["built share"] == 0


def test_a_building_on_the_border_shows_on_both_sides_and_the_higher_one_on_top():
    maps = render_height_maps(
        CELLS, buildings((shapely.box(360, 100, 440, 300), 50.0), (shapely.box(380, 150, 420, 250), 20.0), (shapely.box(0, 0, 40, 40), 300.0))
    )  # fmt: skip
    west, east = (read_heights(data)[0] for data in maps)
    assert west[25, 49] == 50 == east[25, 0], "20 m stand inside 50 m"
    assert west.max() == 255, "a grey level ends at 255 m"
    assert west[25, 40] == 0 == east[25, 9]


def test_courtyards_stay_open():
    ring = shapely.difference(shapely.box(0, 0, 400, 400), shapely.box(100, 100, 300, 300))
    (data, _) = render_height_maps(CELLS, buildings((ring, 12.0), (shapely.box(180, 180, 220, 220), 6.0)))
    metres, _ = read_heights(data)
    assert metres[15, 15] == 0 and metres[25, 25] == 6 and metres[5, 5] == 12


def test_what_lies_outside_of_a_zone_counts_nowhere():
    """A triangle is half of its square; built over completely it is built over to 100 %."""
    zone = gpd.GeoDataFrame(geometry=[shapely.Polygon([(0, 0), (400, 0), (0, 400)])], crs=CRS)
    (data,) = render_height_maps(zone, buildings((shapely.box(0, 0, 400, 400), 10.0)))
    _, inside = read_heights(data)
    assert abs(inside.mean() - 0.5) < 0.02
    assert named(data)["built share"] == 1.0 and named(data)["mean height over ground, m"] == 10.0


def test_a_map_depends_on_its_own_cell_only():
    before = render_height_maps(CELLS, buildings((shapely.box(0, 0, 50, 50), 9.0), (shapely.box(600, 0, 650, 50), 9.0)))
    after = render_height_maps(CELLS, buildings((shapely.box(0, 0, 50, 50), 9.0), (shapely.box(600, 0, 650, 50), 99.0)))
    assert before[0] == after[0] and before[1] != after[1]
    assert render_height_maps(CELLS, buildings((shapely.box(600, 0, 650, 50), 99.0)), rows=np.array([1])) == after[1:]


def test_a_huge_zone_gets_coarser_pixels_not_a_huge_picture():
    zone = gpd.GeoDataFrame(geometry=[shapely.box(0, 0, 50_000, 50_000)], crs=CRS)
    (data,) = render_height_maps(zone, buildings((shapely.box(0, 0, 25_000, 50_000), 10.0)))
    assert read_heights(data)[0].shape == (512, 512) and abs(named(data)["built share"] - 0.5) < 0.01
