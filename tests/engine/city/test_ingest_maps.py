"""Every map format of one small city through the whole ingestion, limited child process included."""

import io
import zipfile

import numpy as np
import pytest
import shapely
from PIL import Image

from engine.city.ingest import IngestChoices, ingest, inspect
from engine.city.readers.base import FileChoices
from engine.city.schema import HOURS
from engine.errors import IngestError
from tests.engine.city.readers.geo_files import collection, feature, point, run_guarded, square, write_json

WRITE_WITH_GDAL = """
    import sys, zipfile
    from pathlib import Path
    import geopandas as gpd, numpy as np, rasterio, shapely
    from rasterio.transform import from_bounds
    folder = Path(sys.argv[1])
    districts = gpd.GeoDataFrame(
        {"natural": ["water"], "name": ["Lake"]}, geometry=[shapely.box(13.41, 52.5, 13.415, 52.505)], crs="EPSG:4326"
    )
    districts.to_crs("EPSG:32633").to_file(folder / "water.gpkg", driver="GPKG")
    roads = gpd.GeoDataFrame({"highway": ["primary"]}, geometry=[shapely.LineString([(13.4, 52.5), (13.42, 52.51)])], crs="EPSG:4326")
    roads.to_crs("EPSG:3857").to_file(folder / "roads.shp")
    with zipfile.ZipFile(folder / "roads.zip", "w") as archive:
        for path in folder.glob("roads.*"):
            if path.suffix != ".zip":
                archive.write(path, path.name)
    picture = np.full((3, 100, 200), 120, np.uint8)
    with rasterio.open(
        folder / "photo.tif", "w", driver="GTiff", count=3, height=100, width=200, dtype="uint8", crs="EPSG:4326",
        transform=from_bounds(13.4, 52.5, 13.42, 52.51, 200, 100),
    ) as raster:
        raster.write(picture)
"""


@pytest.fixture(scope="module")
def upload(tmp_path_factory):
    folder = tmp_path_factory.mktemp("upload")
    run_guarded(WRITE_WITH_GDAL, folder)
    write_json(
        folder / "zones.geojson", collection(feature(square(13.4, 52.5), zone="west"), feature(square(13.41, 52.5), zone="east"))
    )
    write_json(folder / "pois.json", [{"fclass": "cafe", "name": "Zoë", "coordinates": [13.405, 52.505]}])
    write_json(folder / "houses.json", [{"height": 20, "polygon": square(13.402, 52.502, 0.001)["coordinates"][0]}])
    hours = ",".join(HOURS)
    flows = "\n".join(f"{zone},{','.join(['31'] * 24)}" for zone in ("west", "east", "elsewhere"))
    (folder / "outflow.csv").write_text(f"zone,{hours}\n{flows}\n")
    (folder / "weather.csv").write_text("date,temp_c,rain_mm\n2012-04-03,10,0\n2012-04-04,11,3.5\n")
    buffer = io.BytesIO()
    Image.new("RGB", (40, 30), (9, 99, 199)).save(buffer, "JPEG")
    with zipfile.ZipFile(folder / "views.zip", "w") as archive:
        archive.writestr("views.csv", "file,lat,lon,heading\na.jpg,52.505,13.405,90\n")
        archive.writestr("a.jpg", buffer.getvalue())
    return folder


def names(*files):
    return [
        *files,
        "outflow.csv",
        "photo.tif",
        "zones.geojson",
        "pois.json",
        "houses.json",
        "water.gpkg",
        "roads.zip",
        "views.zip",
        "weather.csv",
    ]


def test_all_formats_of_a_city_meet_in_one_upload(upload):
    month = IngestChoices(files={"outflow.csv": FileChoices(options={"days": 31})})
    city = ingest([upload / name for name in names()], "Small", month)
    assert city.tables == ["pois", "buildings", "cells", "boundary", "outflow", "imagery", "street_views", "weather"]
    assert city.time_zone == "Europe/Berlin"
    # Flows and imagery are read after the zones although they stand before them in the upload.
    assert city.table("outflow")["cell_id"].tolist() == ["east", "west"]
    assert city.table("outflow")["h12"].tolist() == [1.0, 1.0]
    assert sorted(city.table("imagery")["subject_id"]) == ["east", "west"]
    assert sorted(city.spatial("boundary")["kind"]) == ["road", "water"]
    lake = city.spatial("boundary").set_index("kind").geometry["water"]
    assert (
        lake.equals_exact(shapely.box(13.41, 52.5, 13.415, 52.505).normalize(), 1e-6)
        or lake.hausdorff_distance(shapely.box(13.41, 52.5, 13.415, 52.505)) < 1e-6
    )
    for path in [*city.table("imagery")["path"], *city.table("street_views")["path"]]:
        assert np.asarray(Image.open(io.BytesIO(city.media(path)))).shape[2] == 3
    cards = {card.file: card for card in city.info.data_card.files}
    assert {rule.reason: rule.rows for rule in cards["outflow.csv"].dropped} == {"CELL_UNKNOWN": 1}
    assert city.fingerprint == ingest([upload / name for name in names()], "Again", month).fingerprint


def test_an_inspection_proposes_mappings_and_shows_every_problem_at_once(upload, tmp_path):
    write_json(tmp_path / "lost.geojson", collection(feature(point(1, 1)), crs=None))
    (tmp_path / "rain.csv").write_text("date,rain\n2012-04-03,1\n")
    seen = inspect([*(upload / name for name in names()), tmp_path / "lost.geojson", tmp_path / "rain.csv"])
    readers = {file.file: file.reader for file in seen.files}
    assert readers == {
        "outflow.csv": "flows",
        "photo.tif": "geotiff",
        "views.zip": "street_views",
        "weather.csv": "weather",
        "rain.csv": "weather",
        **dict.fromkeys(("zones.geojson", "pois.json", "houses.json", "water.gpkg", "roads.zip", "lost.geojson"), "vector"),
    }
    mapped = {file.file: file.mapping for file in seen.files}
    assert mapped["zones.geojson"]["name"] == "zone" and mapped["houses.json"] == {"height": "height"}
    assert {column.name for file in seen.files if file.file == "pois.json" for column in file.columns} == {"fclass", "name"}
    assert {(problem.file, problem.code) for problem in seen.problems if problem.fatal} == {
        ("lost.geojson", "CRS_MISSING"),
        ("rain.csv", "UNIT_MISSING"),
    }


def test_a_city_on_the_antimeridian_keeps_narrow_bounds(tmp_path):
    write_json(tmp_path / "taveuni.geojson", collection(feature(point(179.95, -16.8), id=1), feature(point(-179.95, -16.9), id=2)))
    city = ingest([tmp_path / "taveuni.geojson"], "Taveuni", IngestChoices(time_zone="Pacific/Fiji"))
    west, _, east, _ = city.bounds
    assert east - west == pytest.approx(0.1)
    assert city.metric_crs in ("EPSG:32760", "EPSG:32701")


def test_flows_whose_zones_fail_to_be_read_are_not_blamed_for_it(tmp_path, upload):
    write_json(
        tmp_path / "zones.geojson", collection(feature(square(1, 1), zone="west"), feature(square(2, 1), zone="east"), crs=None)
    )
    with pytest.raises(IngestError) as refused:
        ingest([upload / "outflow.csv", tmp_path / "zones.geojson"], "Broken")
    assert [problem.code for problem in refused.value.problems if problem.fatal] == ["CRS_MISSING"]
