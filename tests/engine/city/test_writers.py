"""What is written can be read: GeoParquet and CSV give the same city back, GeoJSON and LibCity the tables they can hold."""

import csv
import json
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import shapely

from engine.city.city import City
from engine.city.writers import FORMATS, export_city, protect_formula
from engine.errors import CityError, ConfigError
from tests.engine.city.upload_files import bring, city_of

EVIL = ["=1+1", "+cmd|' /C calc'!A0", "@SUM(A1)", "-2+3", "'=quoted", "plain, with comma", 'say "hi"', "line\nbreak"]


@pytest.fixture(scope="module")
def city() -> City:
    """Eight places in Berlin with names a spreadsheet would run, visits with session, split and departure, two cells."""
    places = [f"p{index}" for index in range(8)]
    rng = np.random.default_rng(0)
    points = shapely.points(13.4 + rng.random(8) / 50, 52.5 + rng.random(8) / 50)
    locations = gpd.GeoDataFrame(
        pd.DataFrame({"location_id": places, "category": EVIL, "name": EVIL[::-1]}).astype("str"), geometry=points, crs=4326
    )
    count = 60
    started = pd.Series(pd.date_range("2024-03-30 20:00", periods=count, freq="97min", tz="UTC").as_unit("us"))
    visits = pd.DataFrame(
        {
            "user_id": [f"00{index // 20}" for index in range(count)],
            "location_id": [places[(index * 5) % 8] for index in range(count)],
            "session_id": [f"s{index // 5}" for index in range(count)],
            "split": [("train", "valid", "test")[index % 3] for index in range(count)],
        }
    ).astype("str")
    visits.insert(2, "started_at", started)
    visits.insert(3, "finished_at", started + pd.Timedelta(minutes=30))
    cells = gpd.GeoDataFrame(
        pd.DataFrame({"cell_id": ["c0", "c1"]}).astype("str").assign(row=[0, 0], col=[0, 1]),
        geometry=[shapely.box(13.4, 52.5, 13.41, 52.51), shapely.box(13.41, 52.5, 13.42, 52.51)],
        crs=4326,
    )
    return City.build("Test/Stadt", {"visits": visits, "locations": locations, "cells": cells}, time_zone="Europe/Berlin")


def brought_back(folder: Path, tmp_path: Path, names: list[str] | None = None) -> City:
    files = {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if path.name != "DATA_CARD.json"}
    return city_of(bring(tmp_path, {name: content for name, content in files.items() if names is None or name in names}))


def same_table(first: City, second: City, name: str) -> None:
    key = {"visits": ["user_id", "started_at"], "locations": ["location_id"], "cells": ["cell_id"]}[name]
    left, right = (one.table(name).sort_values(key).reset_index(drop=True) for one in (first, second))
    for column in left.columns:
        if column == "geometry":
            assert shapely.equals_exact(left.geometry, right.geometry, tolerance=1e-6).all()
        else:
            assert list(left[column]) == list(right[column]), column


@pytest.mark.parametrize("format", ["geoparquet", "csv"])
def test_every_table_comes_back(city: City, tmp_path: Path, format: str) -> None:
    export_city(city, tmp_path / "out", format)
    again = brought_back(tmp_path / "out", tmp_path)
    assert again.tables == city.tables
    for name in city.tables:
        same_table(city, again, name)
    assert again.time_zone == "Europe/Berlin"


def test_libcity_comes_back_with_its_extra_columns(city: City, tmp_path: Path) -> None:
    files = export_city(city, tmp_path / "out", "libcity")
    assert [path.name for path in files] == ["DATA_CARD.json", "config.json", "test-stadt.dyna", "test-stadt.geo", "test-stadt.usr"]
    again = brought_back(tmp_path / "out", tmp_path)
    same_table(city, again, "visits")
    same_table(city, again, "locations")


def test_libcity_files_have_the_headers_of_its_documentation(city: City, tmp_path: Path) -> None:
    export_city(city, tmp_path / "out", "libcity")
    heads = {path.suffix: path.read_text(encoding="utf-8").split("\n")[0] for path in (tmp_path / "out").iterdir()}
    assert heads[".geo"].startswith("geo_id,type,coordinates")
    assert heads[".dyna"].startswith("dyna_id,type,time,entity_id,location")
    assert heads[".usr"] == "usr_id"


def test_geojson_is_rfc_7946_and_comes_back(city: City, tmp_path: Path) -> None:
    """Longitude first, six decimals, counterclockwise rings, no `crs` member."""
    export_city(city, tmp_path / "out", "geojson")
    cells = json.loads((tmp_path / "out" / "cells.geojson").read_text(encoding="utf-8"))
    assert set(cells) == {"type", "features"}
    ring = shapely.LinearRing(cells["features"][0]["geometry"]["coordinates"][0])
    assert ring.is_ccw
    locations = json.loads((tmp_path / "out" / "locations.geojson").read_text(encoding="utf-8"))
    longitude, latitude = locations["features"][0]["geometry"]["coordinates"]
    assert 13 < longitude < 14 and 52 < latitude < 53
    assert round(longitude, 6) == longitude
    visits = json.loads((tmp_path / "out" / "visits.geojson").read_text(encoding="utf-8"))
    assert len(visits["features"]) == 60
    assert visits["features"][0]["properties"]["started_at"].endswith("Z")
    layer = gpd.read_file(tmp_path / "out" / "locations.geojson")
    assert sorted(layer["category"]) == sorted(EVIL)


def test_52_no_cell_of_a_csv_is_a_formula(city: City, tmp_path: Path) -> None:
    export_city(city, tmp_path / "out", "csv")
    with (tmp_path / "out" / "locations.csv").open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            for column, value in row.items():
                if column not in ("latitude", "longitude"):
                    assert not value.startswith(("=", "+", "-", "@", "\t", "\r", "\x00"))


def test_52_numbers_below_zero_are_not_quoted(tmp_path: Path) -> None:
    """New York's longitudes are negative and must stay numbers."""
    place = gpd.GeoDataFrame(
        pd.DataFrame({"poi_id": ["-1"], "category": ["Bar"]}).astype("str"), geometry=[shapely.Point(-73.9, 40.7)], crs=4326
    )
    export_city(City.build("x", {"pois": place}, time_zone="America/New_York"), tmp_path / "out", "csv")
    (row,) = csv.DictReader((tmp_path / "out" / "pois.csv").open(newline="", encoding="utf-8"))
    assert row["longitude"] == "-73.9"
    assert row["poi_id"] == "'-1"


@pytest.mark.parametrize("text", ["=1", "+1", "-1", "@x", "\tx", "\rx", "\x00x", "'=1"])
def test_52_dangerous_beginnings_are_protected(text: str) -> None:
    assert protect_formula(text) == f"'{text}"


@pytest.mark.parametrize("text", ["1=1", "a-b", "", "'quoted'", "Café"])
def test_52_harmless_text_stays(text: str) -> None:
    assert protect_formula(text) == text


def test_an_export_never_overwrites(city: City, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("keep")
    with pytest.raises(CityError, match="not an empty folder"):
        export_city(city, tmp_path / "out", "csv")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["mine.txt"]


def test_an_unknown_format_is_refused_with_the_known_ones(city: City, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=", ".join(FORMATS)):
        export_city(city, tmp_path / "out", "xlsx")
    assert not list(tmp_path.iterdir())
