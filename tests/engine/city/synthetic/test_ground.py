"""The map: land, zones, streets, buildings, cells and places fit together."""

import numpy as np
import pytest
import shapely

from engine.city.city import City
from engine.city.grid import is_square_grid, square_grid
from engine.city.synthetic.categories import CATEGORIES
from engine.city.synthetic.layout import Layout, lay_out
from engine.city.synthetic.plan import TINY


@pytest.fixture(scope="module")
def layout() -> Layout:
    return lay_out(TINY, np.random.default_rng(5))


def test_zones_cover_the_land_without_overlap(layout: Layout):
    outlines = [zone.outline for zone in layout.zones]
    assert sum(outline.area for outline in outlines) == pytest.approx(layout.land.area, rel=0.01)
    assert shapely.union_all(outlines).area == pytest.approx(sum(outline.area for outline in outlines), rel=1e-6)


def test_a_city_has_homes_and_work_and_play(layout: Layout):
    found = {zone.function for zone in layout.zones}
    assert {"residential", "business", "shopping", "nightlife", "campus", "industry", "station", "seafront", "park"} <= found


def test_district_names_are_different(demo_city: City):
    boundary = demo_city.table("boundary")
    districts = boundary.loc[boundary["kind"] == "district", "name"]
    assert districts.is_unique and (districts != "").all() and len(districts) >= 15
    assert set(demo_city.table("cells")["district"]) <= set(districts)


def test_no_building_stands_in_water_or_on_an_arterial(demo_city: City):
    boundary, buildings = demo_city.metric("boundary"), demo_city.metric("buildings").geometry.to_numpy()
    water = shapely.union_all(boundary.geometry[boundary["kind"] == "water"])
    arterials = shapely.union_all(boundary.geometry[boundary["level"] == "arterial"])
    shapely.prepare(water)
    shapely.prepare(arterials)
    assert not shapely.intersects(water, buildings).any()
    assert not shapely.intersects(arterials, buildings).any()


def test_buildings_do_not_overlap(demo_city: City):
    footprints = demo_city.metric("buildings").geometry.to_numpy()
    first, second = shapely.STRtree(footprints).query(footprints, predicate="intersects")
    pairs = first < second
    shared = shapely.area(shapely.intersection(footprints[first[pairs]], footprints[second[pairs]]))
    assert shared.sum() < 0.001 * shapely.area(footprints).sum()


def test_the_skyline_rises_where_the_offices_are(demo_city: City):
    buildings, truth = demo_city.metric("buildings"), demo_city.table("truth")
    cells = demo_city.metric("cells").merge(truth[truth["subject"] == "cell"], left_on="cell_id", right_on="subject_id")
    centres = buildings.set_geometry(buildings.geometry.centroid)
    height = centres.sjoin(cells, predicate="within").groupby("zone_function")["height_m"].median()
    assert height["business"] > 2.5 * height["residential"]
    assert height["business"] > height["shopping"] > height["residential"]
    assert 80 < buildings["height_m"].max() < 200


def test_cells_are_those_the_grid_maker_would_cut(demo_city: City):
    """Same size, same edges, same counting from the north-west; only open sea is left out."""
    cells = demo_city.metric("cells")
    assert is_square_grid(demo_city.spatial("cells"))
    assert np.allclose(cells.area, 500.0**2, rtol=1e-3)
    made = square_grid(demo_city, 500.0).to_crs(demo_city.metric_crs)
    keys = {tuple(np.round(bounds, -1).astype(int)) for bounds in made.bounds.to_numpy()}
    assert {tuple(np.round(bounds, -1).astype(int)) for bounds in cells.bounds.to_numpy()} <= keys
    top = cells.loc[cells["row"] == 0].geometry.centroid.y.min()
    assert top > cells.loc[cells["row"] == 23].geometry.centroid.y.max()
    assert cells["cell_id"].str.fullmatch(r"r\d{3}c\d{3}").all()


def test_the_outlines_are_light_enough_for_a_map(demo_city: City):
    boundary = demo_city.spatial("boundary")
    assert set(boundary["kind"]) == {"city", "district", "water", "park", "road"}
    assert boundary.geometry.is_valid.all()
    assert len(boundary.to_json()) < 1_500_000


def test_every_place_is_on_land_and_inside_a_cell(demo_city: City):
    boundary, cells = demo_city.metric("boundary"), shapely.union_all(demo_city.metric("cells").geometry)
    water = shapely.union_all(boundary.geometry[boundary["kind"] == "water"])
    for table in ("locations", "pois"):
        places = demo_city.metric(table).geometry.to_numpy()
        assert not shapely.contains_properly(shapely.buffer(water, -2), places).any()
        assert shapely.intersects(shapely.buffer(cells, 1), places).all()


def test_categories_have_two_levels_and_everyday_names(demo_city: City):
    locations = demo_city.table("locations")
    assert (locations.groupby("category")["parent_category"].nunique() == 1).all()
    assert locations["parent_category"].nunique() == 10
    assert 55 <= locations["category"].nunique() <= 75
    assert "Coffee Shop" in set(locations["category"])
    assert len({category.name for category in CATEGORIES}) == len(CATEGORIES)


def test_places_have_names_addresses_and_descriptions_of_their_own(demo_city: City):
    locations = demo_city.table("locations")
    assert locations["name"].is_unique
    assert (locations["name"].str.len() > 3).all() and (locations["address"].str.len() > 8).all()
    assert all(category.lower() in text for category, text in zip(locations["category"], locations["description"], strict=True))


def test_categories_live_where_their_function_is(demo_city: City):
    truth = demo_city.table("truth")
    zone = truth[truth["subject"] == "location"].set_index("subject_id")["zone_function"]
    locations = demo_city.table("locations")
    of = zone.reindex(locations["location_id"]).to_numpy()
    share = lambda category, function: np.mean(of[locations["category"] == category] == function)  # noqa: E731
    assert share("University Building", "campus") == 1.0
    assert share("Factory", "industry") == 1.0
    assert share("Nightclub", "nightlife") > 0.5
    assert share("Office", "business") > 0.6
    assert share("Residential Building", "residential") > 0.6
