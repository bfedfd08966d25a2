import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.city.city import City
from engine.city.grid import cell_of, is_square_grid, require_same_crs, square_grid
from engine.city.schema import WGS84, check_table
from engine.errors import CityError


def city_of(longitude, latitude, name="Test"):
    count = len(longitude)
    locations = gpd.GeoDataFrame(
        {"location_id": [f"p{i}" for i in range(count)], "category": [""] * count},
        geometry=gpd.points_from_xy(longitude, latitude),
        crs=WGS84,
    )
    return City.build(name, {"locations": locations}, time_zone="UTC")


def metres_apart(longitude, latitude, east_m=0.0, north_m=0.0):
    return longitude + east_m / (111_320 * np.cos(np.radians(latitude))), latitude + north_m / 110_570


def test_one_place_makes_one_cell_that_holds_it():
    city = city_of([13.4], [52.5])
    cells = square_grid(city)
    check_table("cells", cells)
    assert cells["cell_id"].tolist() == ["r000c000"]
    assert cell_of(cells, city.spatial("locations")).tolist() == [0]


def test_three_places_in_a_row_make_three_cells_west_to_east():
    # Three points 500 m apart eastwards in UTM, each in the middle of its square.
    city = city_of([13.4], [52.5])
    x, y = gpd.GeoSeries.from_xy([13.4], [52.5], crs=WGS84).to_crs(city.metric_crs).iloc[0].coords[0]
    middle = [(x // 500) * 500 + 250, (y // 500) * 500 + 250]
    points = gpd.GeoSeries.from_xy([middle[0] + 500 * i for i in range(3)], [middle[1]] * 3, crs=city.metric_crs).to_crs(WGS84)
    cells = square_grid(city_of(points.x, points.y))
    assert cells["cell_id"].tolist() == ["r000c000", "r000c001", "r000c002"]
    assert cell_of(cells, points).tolist() == [0, 1, 2]


def test_row_zero_is_the_northernmost_and_column_zero_the_westernmost():
    longitude, latitude = metres_apart(13.4, 52.5, east_m=1200, north_m=1200)
    cells = square_grid(city_of([13.4, longitude], [52.5, latitude]))
    centre = shapely.get_coordinates(shapely.centroid(cells.geometry))
    north, south = cells["row"] == 0, cells["row"] == cells["row"].max()
    assert centre[north, 1].min() > centre[south, 1].max()
    assert centre[cells["col"] == 0, 0].max() < centre[cells["col"] == cells["col"].max(), 0].min()


def test_cells_are_squares_of_the_asked_size_in_metres():
    longitude, latitude = metres_apart(-73.9, 40.7, east_m=2000, north_m=3000)
    city = city_of([-73.9, longitude], [40.7, latitude])
    metric = square_grid(city, size_m=250).to_crs(city.metric_crs)
    assert np.allclose(metric.area, 250**2, rtol=1e-6)
    sides = metric.bounds
    assert np.allclose(sides["maxx"] - sides["minx"], 250, atol=1e-3)
    assert np.allclose(sides["maxy"] - sides["miny"], 250, atol=1e-3)


def test_a_city_on_the_antimeridian_gets_few_cells_on_both_sides():
    # Taveuni, Fiji: 20 km across the 180th meridian. Bounding degrees naively spans 360 degrees.
    city = city_of([179.95, -179.95, 180.0, -180.0], [-16.8, -16.9, -16.85, -16.82])
    west, _, east, _ = city.bounds
    assert (west, east) == pytest.approx((179.95, 180.05))
    cells = square_grid(city)
    check_table("cells", cells)
    # 10.7 km by 11.1 km at 500 m: about 22 by 23 cells.
    assert 22 * 22 <= len(cells) <= 2 * 23 * 24
    assert shapely.area(cells.geometry).max() < 1e-4
    assert (cell_of(cells, city.spatial("locations")) >= 0).all()
    halves = cells[cells.geom_type == "MultiPolygon"]
    assert len(halves) == cells["row"].nunique()


def test_a_place_far_away_is_refused_by_the_budget_before_allocating():
    with pytest.raises(CityError, match="more than 1,000,000"):
        square_grid(city_of([13.4, 13.4], [-70.0, 70.0]), size_m=10)


def test_places_all_over_the_earth_are_refused_with_a_sentence():
    with pytest.raises(CityError, match="far outside the city"):
        square_grid(city_of([0.0, 90.0, 179.0, -90.0], [0.0, 0.0, 0.0, 10.0]), size_m=1)


@pytest.mark.parametrize("size", [0, -5, float("nan"), float("inf")])
def test_a_size_that_is_no_positive_number_is_refused(size):
    with pytest.raises(CityError, match="positive number of metres"):
        square_grid(city_of([13.4], [52.5]), size_m=size)


def test_the_budget_is_a_limit_not_a_target():
    city = city_of([13.4], [52.5])
    assert len(square_grid(city, budget=1)) == 1


def test_points_outside_or_missing_lie_in_no_cell():
    cells = square_grid(city_of([13.4], [52.5]))
    points = gpd.GeoSeries([shapely.Point(14, 52.5), None, shapely.Point()], crs=WGS84)
    assert cell_of(cells, points).tolist() == [-1, -1, -1]


def test_a_point_on_a_shared_edge_belongs_to_the_first_zone():
    zones = gpd.GeoDataFrame(geometry=[shapely.box(0, 0, 1, 1), shapely.box(1, 0, 2, 1)], crs=WGS84)
    assert cell_of(zones, gpd.GeoSeries([shapely.Point(1, 0.5)], crs=WGS84)).tolist() == [0]


def test_layers_in_different_crs_are_an_error_not_an_empty_join():
    zones = gpd.GeoDataFrame(geometry=[shapely.box(0, 0, 1, 1)], crs=WGS84)
    with pytest.raises(CityError, match="not in the same CRS"):
        cell_of(zones, gpd.GeoSeries([shapely.Point(0.5, 0.5)], crs="EPSG:3857"))
    with pytest.raises(CityError, match="no CRS"):
        require_same_crs(zones, gpd.GeoSeries([shapely.Point(0.5, 0.5)]), "A", "B")


def test_uploaded_zones_are_no_square_grid_and_a_made_one_is():
    cells = square_grid(city_of([13.4, 13.42], [52.5, 52.51]))
    assert is_square_grid(cells)
    assert not is_square_grid(cells.drop(columns=["row", "col"]))
    assert not is_square_grid(pd.concat([cells, cells]))


@settings(max_examples=40, deadline=None)
@given(
    st.floats(-179.9, 179.9),
    st.floats(-75, 75),
    st.lists(st.tuples(st.floats(-3000, 3000), st.floats(-3000, 3000)), min_size=1, max_size=20),
    st.sampled_from([200.0, 500.0, 1000.0]),
)
def test_every_place_lies_in_a_cell_wherever_the_city_is(longitude, latitude, offsets, size):
    x, y = (np.array(axis) for axis in zip(*(metres_apart(longitude, latitude, *offset) for offset in offsets), strict=True))
    city = city_of((x + 180) % 360 - 180, y)
    cells = square_grid(city, size_m=size)
    assert (cell_of(cells, city.spatial("locations")) >= 0).all()
    spread = 6000 / size + 3
    assert len(cells) <= spread**2
    assert cells["cell_id"].is_unique
    assert len(cells) == cells["row"].nunique() * cells["col"].nunique()
