"""Run by test_behind_gdal.py in a process where the GDAL guard is in force from the start."""

import sqlite3
import zipfile

import geopandas as gpd
import numpy as np
import pytest
import shapely

from engine.city import gdal_guard
from engine.city.readers.vector import VectorReader
from engine.city.schema import WGS84
from engine.errors import IngestError
from tests.engine.city.readers.geo_files import dropped, read, sniffed

READER = VectorReader()
FRAME = gpd.GeoDataFrame(
    {"zone_id": ["007", "8"], "borough": ["Mitte", "Köpenick"], "height": [None, 4.5]},
    geometry=[shapely.box(13, 52, 13.1, 52.1), shapely.box(13.1, 52, 13.2, 52.1)],
    crs=WGS84,
)


def geopackage(path, frame=FRAME, crs=WGS84, layer="zones", **options):
    (frame.to_crs(crs) if crs else frame.set_crs(None, allow_override=True)).to_file(path, driver="GPKG", layer=layer, **options)
    return path


def shapefile(folder, name="zones", frame=FRAME, crs=WGS84, without=(), inside=""):
    folder.mkdir(exist_ok=True)
    (frame.to_crs(crs) if crs else frame.set_crs(None, allow_override=True)).to_file(folder / f"{name}.shp", encoding="utf-8")
    with zipfile.ZipFile(folder.with_suffix(".zip"), "w") as archive:
        for path in sorted(folder.iterdir()):
            if path.suffix not in without:
                archive.write(path, f"{inside}{path.name}")
    return folder.with_suffix(".zip")


def refusal(path, folder, **options):
    with pytest.raises(IngestError) as refused:
        read(READER, path, folder, **options)
    return [problem.code for problem in refused.value.problems if problem.fatal]


@pytest.mark.parametrize("crs", [WGS84, "EPSG:32633", "EPSG:3857"])
@pytest.mark.parametrize("kind", ["geopackage", "shapefile"])
def test_zones_come_out_in_degrees_whatever_they_were_stored_in(tmp_path, crs, kind):
    path = (
        geopackage(tmp_path / "z.gpkg", crs=crs) if kind == "geopackage" else shapefile(tmp_path / "z", crs=crs, inside="folder/")
    )
    assert READER.recognise(sniffed(path)) == 0.95
    cells = read(READER, path, tmp_path / "scratch", table="cells").tables["cells"]
    assert cells["cell_id"].tolist() == ["007", "8"] and cells["district"].tolist() == ["Mitte", "Köpenick"]
    assert cells.total_bounds == pytest.approx([13, 52, 13.2, 52.1], abs=1e-6)
    assert READER.propose(sniffed(path))["id"] == "zone_id"
    assert READER.samples(sniffed(path))["zone_id"] == ("007", "8")


@pytest.mark.parametrize("kind", ["geopackage", "shapefile"])
def test_a_layer_without_a_crs_is_asked(tmp_path, kind):
    path = geopackage(tmp_path / "z.gpkg", crs=None) if kind == "geopackage" else shapefile(tmp_path / "z", crs=None)
    assert refusal(path, tmp_path / "scratch") == ["CRS_MISSING"]
    assert len(read(READER, path, tmp_path / "scratch", crs="EPSG:4326", table="cells").tables["cells"]) == 2


def test_null_empty_and_3d_shapes_of_a_geopackage_are_counted(tmp_path):
    shapes = [shapely.Point(1, 1, 5), None, shapely.Point(2, 2, 7), shapely.Point()]
    frame = gpd.GeoDataFrame({"name": list("abcd")}, geometry=shapes, crs=WGS84)
    result = read(READER, geopackage(tmp_path / "p.gpkg", frame), tmp_path / "scratch")
    assert result.tables["pois"]["name"].tolist() == ["a", "c"]
    assert sum(dropped(result).values()) == 2
    assert any("had heights (Z)" in sentence for sentence in result.cards[0].repairs)


def test_of_several_layers_the_first_is_read_and_the_others_named(tmp_path):
    path = geopackage(tmp_path / "z.gpkg", layer="old")
    geopackage(path, FRAME.iloc[:1], layer="new", mode="a")
    result = read(READER, path, tmp_path / "scratch", table="cells")
    assert len(result.tables["cells"]) == 2
    assert [problem.code for problem in result.problems] == ["LAYERS"] and "`new`" in result.problems[0].found
    assert len(read(READER, path, tmp_path / "scratch", layer="new", table="cells").tables["cells"]) == 1
    assert refusal(path, tmp_path / "scratch", layer="neither") == ["LAYER"]


def test_a_shapefile_that_lacks_a_part_is_refused_naming_it(tmp_path):
    path = shapefile(tmp_path / "z", without=(".dbf",))
    with pytest.raises(IngestError, match=r"lacks \.dbf"):
        read(READER, path, tmp_path / "scratch")


def test_damaged_containers_are_refused_with_a_sentence(tmp_path):
    whole = geopackage(tmp_path / "z.gpkg").read_bytes()
    rng = np.random.default_rng(0)
    for share in (0.01, 0.1, 0.5, 0.9):
        (tmp_path / "cut.gpkg").write_bytes(whole[: int(len(whole) * share)])
        with pytest.raises(IngestError):
            read(READER, tmp_path / "cut.gpkg", tmp_path / "scratch")
    parts = {path.suffix: path.read_bytes() for path in (shapefile(tmp_path / "s"), *(tmp_path / "s").iterdir())}
    for attempt in range(30):
        with zipfile.ZipFile(tmp_path / "bad.zip", "w") as archive:
            for suffix in (".shp", ".shx", ".dbf", ".prj"):
                content = bytearray(parts[suffix])
                for place in rng.integers(4, len(content), 5 * (attempt % 3)):
                    content[place] = rng.integers(0, 256)
                archive.writestr(f"z{suffix}", bytes(content))
        try:
            read(READER, tmp_path / "bad.zip", tmp_path / "scratch")
        except IngestError as error:
            assert error.problems and all(problem.code and problem.found for problem in error.problems)


def test_a_database_that_is_no_geopackage_is_not_read(tmp_path):
    with sqlite3.connect(tmp_path / "x.gpkg") as connection:
        connection.execute("CREATE TABLE secrets (a TEXT)")
    assert READER.recognise(sniffed(tmp_path / "x.gpkg")) == 0
    assert refusal(tmp_path / "x.gpkg", tmp_path / "scratch") == ["DRIVER"]


def test_names_that_are_addresses_never_reach_gdal(tmp_path):
    for name in (
        "/vsicurl/http://127.0.0.1:1/x",
        "http://127.0.0.1:1/x",
        "MEM:::DATAPOINTER=1",
        "/vsizip/a.zip/x",
        "/no/such/file",
    ):
        with pytest.raises(IngestError) as refused:
            gdal_guard.plain_file(type(tmp_path)(name))
        assert [problem.code for problem in refused.value.problems] == ["DRIVER"]
    (tmp_path / "link").symlink_to("/etc/hostname")
    with pytest.raises(IngestError):
        gdal_guard.plain_file(tmp_path / "link")


def test_only_the_drivers_of_the_formats_read_here_are_left():
    assert set(gdal_guard.import_pyogrio().list_drivers()) == {"ESRI Shapefile", "GPKG", "MEM"}
    left = set(gdal_guard.import_rasterio().Env().__enter__().drivers())
    assert "GTiff" in left and not left & {"VRT", "WMS", "WCS", "HTTP", "GTI", "STACTA", "DERIVED", "GDALG", "GeoJSON", "SQLite"}
