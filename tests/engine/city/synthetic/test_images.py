"""Pictures show what the tables say."""

import io

import numpy as np
import pytest
import shapely
from PIL import Image

from engine.city.city import City
from engine.city.synthetic.street_views import PER_CELL


@pytest.fixture(scope="module")
def functions(demo_city: City) -> dict[str, str]:
    truth = demo_city.table("truth")
    return dict(truth.loc[truth["subject"] == "cell", ["subject_id", "zone_function"]].itertuples(index=False))


def tiles(city: City, modality: str) -> dict[str, np.ndarray]:
    rows = city.table("imagery").query("modality == @modality")
    return {row.subject_id: np.asarray(Image.open(io.BytesIO(city.media(row.path))), float) for row in rows.itertuples(index=False)}


def test_every_cell_has_both_tiles_and_every_path_a_picture(demo_city: City):
    imagery, cells = demo_city.table("imagery"), set(demo_city.table("cells")["cell_id"])
    assert set(imagery["subject"]) == {"cell"}
    for modality in ("satellite", "height"):
        assert set(imagery.loc[imagery["modality"] == modality, "subject_id"]) == cells
    assert sorted([*imagery["path"], *demo_city.table("street_views")["path"]]) == demo_city.media_paths()


def test_all_pictures_together_are_small(demo_city: City):
    assert sum(len(demo_city.media(path)) for path in demo_city.media_paths()) < 15_000_000


def test_colours_follow_functions(demo_city: City, functions: dict[str, str]):
    """Parks are green, the sea is blue, offices are grey."""
    seen = tiles(demo_city, "satellite")
    assert all(tile.shape == (64, 64, 3) for tile in seen.values())
    mean = {
        function: np.mean([tile.mean((0, 1)) for cell, tile in seen.items() if functions[cell] == function], axis=0)
        for function in ("park", "water", "business", "residential", "countryside")
    }
    greenness = {function: colour[1] - (colour[0] + colour[2]) / 2 for function, colour in mean.items()}
    assert greenness["park"] > greenness["residential"] > greenness["business"]
    assert greenness["countryside"] > greenness["business"]
    assert mean["water"][2] > mean["water"][0] + 20
    assert np.ptp(mean["business"]) < 15


def test_a_height_tile_is_metres_of_the_buildings_in_the_cell(demo_city: City):
    """The mean grey level is the built volume per square metre."""
    cells, buildings = demo_city.metric("cells"), demo_city.metric("buildings")
    cell, building = shapely.STRtree(buildings.geometry.to_numpy()).query(cells.geometry.to_numpy(), predicate="intersects")
    shared = shapely.area(shapely.intersection(cells.geometry.to_numpy()[cell], buildings.geometry.to_numpy()[building]))
    volume = np.bincount(cell, shared * buildings["height_m"].to_numpy()[building], len(cells)) / 500.0**2
    grey = np.array([tile.mean() for tile in map(tiles(demo_city, "height").get, cells["cell_id"])])
    assert np.corrcoef(volume, grey)[0, 1] > 0.99
    assert grey.sum() == pytest.approx(volume.sum(), rel=0.05)


def test_street_views_stand_on_streets_and_look_somewhere(demo_city: City):
    views, boundary = demo_city.metric("street_views"), demo_city.metric("boundary")
    roads = shapely.union_all(boundary.geometry[boundary["kind"] == "road"])
    assert (shapely.distance(views.geometry.to_numpy(), roads) < 12).all()
    assert views["heading"].between(0, 360, inclusive="left").all()
    per_cell = views.sjoin(demo_city.metric("cells")[["cell_id", "geometry"]], predicate="within")["cell_id"].value_counts()
    assert per_cell.max() == PER_CELL


def test_offices_hide_more_sky_than_fields(demo_city: City, functions: dict[str, str]):
    views = demo_city.metric("street_views").sjoin(demo_city.metric("cells")[["cell_id", "geometry"]], predicate="within")

    def busy(function: str) -> float:
        paths = views.loc[views["cell_id"].map(functions) == function, "path"]
        pictures = [np.asarray(Image.open(io.BytesIO(demo_city.media(path))), float) for path in paths]
        assert all(picture.shape == (64, 96, 3) for picture in pictures)
        return float(np.mean([picture[:30].std(axis=1).mean() for picture in pictures]))

    assert busy("business") > 2 * busy("countryside")
