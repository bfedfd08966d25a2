"""A city is immutable and lazy, comes back from disk as it was, and is known by what it holds rather than by its name."""

import json
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
from shapely.geometry import LineString, box

from engine import store
from engine.city.city import City, list_cities, open_city, project, unproject, utm_crs
from engine.city.schema import TABLES
from engine.errors import CityError
from tests.engine.small_cities import city_of


@pytest.fixture
def city() -> City:
    visits = [("ann", "a", "2024-01-01 08:00"), ("ann", "b", "2024-01-01 09:00"), ("bob", "b", "2024-01-02 09:00")]
    weather = pd.DataFrame({"date": pd.to_datetime(["2024-01-01"]), "precipitation_mm": [3.5]})
    cells = gpd.GeoDataFrame({"cell_id": ["c0"], "row": [0], "col": [0]}, geometry=[box(-74.1, 40.6, -73.9, 40.8)], crs=4326)
    imagery = pd.DataFrame({"subject": ["cell"], "subject_id": ["c0"], "modality": ["satellite"], "path": ["media/c0.png"]})
    base = city_of(visits, time_zone="America/New_York")
    frames = {table: base.table(table) for table in base.tables}
    return City.build(
        "Handmade",
        frames | {"weather": weather, "cells": cells, "imagery": imagery},
        time_zone="America/New_York",
        media={"media/c0.png": b"an image"},
    )


def same(left: pd.DataFrame, right: pd.DataFrame) -> None:
    pd.testing.assert_frame_equal(pd.DataFrame(left), pd.DataFrame(right), check_like=False)


def test_a_saved_city_comes_back_as_it_was(city: City, tmp_path: Path) -> None:
    opened = city.save(tmp_path / "handmade")
    assert opened.fingerprint == city.fingerprint == City.open(tmp_path / "handmade").fingerprint
    assert opened.tables == ["visits", "locations", "cells", "imagery", "weather"]
    for table in city.tables:
        same(opened.table(table), city.table(table))
    assert opened.spatial("locations").crs == city.spatial("locations").crs
    assert str(opened.table("visits")["started_at"].dtype.tz) == "UTC"
    assert opened.time_zone == "America/New_York" and opened.bounds == city.bounds
    assert opened.media("media/c0.png") == b"an image"
    assert opened.media_paths() == ["media/c0.png"]


def test_saving_twice_replaces_the_city_and_leaves_nothing_else_behind(city: City, tmp_path: Path) -> None:
    city.save(tmp_path / "handmade")
    city.replace(weather=None).save(tmp_path / "handmade")
    assert City.open(tmp_path / "handmade").tables == ["visits", "locations", "cells", "imagery"]
    assert [path.name for path in tmp_path.iterdir()] == ["handmade"]


def test_a_save_that_fails_leaves_the_old_city(city: City, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    city.save(tmp_path / "handmade")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(store, "write_json", full)
    with pytest.raises(OSError, match="No space left"):
        city.replace(weather=None).save(tmp_path / "handmade")
    assert City.open(tmp_path / "handmade").has("weather")
    assert [path.name for path in tmp_path.iterdir()] == ["handmade"]


def test_tables_are_read_when_first_asked_for(city: City, tmp_path: Path) -> None:
    folder = tmp_path / "handmade"
    city.save(folder)
    (folder / "weather.parquet").write_bytes(b"not a table")
    opened = City.open(folder)
    assert len(opened.table("visits")) == 3, "a damaged table hurts only those who ask for it"
    with pytest.raises(CityError, match="Table `weather` of city `handmade` is damaged"):
        opened.table("weather")


def test_the_fingerprint_is_of_the_content_and_not_of_the_name(city: City) -> None:
    assert city.replace(name="Another name").fingerprint == city.fingerprint
    warmer = city.table("weather").assign(precipitation_mm=4.5)
    assert city.replace(weather=warmer).fingerprint != city.fingerprint
    frames = {table: city.table(table) for table in city.tables}
    elsewhere = City.build("Handmade", frames, time_zone="America/Chicago")
    assert elsewhere.fingerprint != city.fingerprint, "another time zone makes other local hours of the same visits"


def test_replacing_makes_a_new_city_and_leaves_the_old_one(city: City) -> None:
    before, frame = city.fingerprint, city.table("visits").copy()
    fewer = city.replace(visits=city.table("visits").iloc[:1], weather=None)
    assert len(fewer.table("visits")) == 1 and not fewer.has("weather")
    assert city.fingerprint == before and city.has("weather")
    same(city.table("visits"), frame)
    assert fewer.metric_crs == city.metric_crs, "edits must not move the metres"


def test_replacing_a_table_with_itself_keeps_the_fingerprint(city: City) -> None:
    assert city.replace(visits=city.table("visits")).fingerprint == city.fingerprint


def test_images_of_an_edited_city_are_read_from_the_original_when_asked_for(city: City, tmp_path: Path) -> None:
    opened = city.save(tmp_path / "handmade")
    edited = opened.replace(weather=None)
    (tmp_path / "handmade" / "media" / "c0.png").write_bytes(b"changed later")
    assert edited.media("media/c0.png") == b"changed later", "nothing was copied into memory"
    saved = edited.save(tmp_path / "edited")
    assert (tmp_path / "edited" / "media" / "c0.png").read_bytes() == b"changed later"
    assert saved.media_paths() == ["media/c0.png"]


@pytest.mark.parametrize("path", ["../secret", "media/../../secret", "/etc/hostname", "city.json", "media/none.png"])
def test_media_never_reads_outside_its_folder(city: City, tmp_path: Path, path: str) -> None:
    (tmp_path / "secret").write_text("secret")
    with pytest.raises(CityError, match="has no image"):
        city.save(tmp_path / "handmade").media(path)


def test_a_table_the_city_lacks_is_named_with_those_it_has(city: City) -> None:
    with pytest.raises(CityError, match="has no buildings; it has visits, locations"):
        city.table("buildings")


def test_an_empty_table_is_not_had(city: City) -> None:
    empty = city.replace(weather=city.table("weather").iloc[:0])
    assert "weather" in empty.tables and not empty.has("weather")


def test_a_folder_that_is_no_city_is_refused(tmp_path: Path, city: City) -> None:
    with pytest.raises(CityError, match="no city in `nowhere`"):
        City.open(tmp_path / "nowhere")
    (tmp_path / "papers").mkdir()
    with pytest.raises(CityError, match="exists and is no city"):
        city.save(tmp_path / "papers")


def test_a_city_of_a_newer_version_is_refused_with_advice(city: City, tmp_path: Path) -> None:
    city.save(tmp_path / "handmade")
    path = tmp_path / "handmade" / "city.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"schema_version": 99}))
    with pytest.raises(CityError, match="newer Mobiscope"):
        City.open(tmp_path / "handmade")


def test_a_damaged_city_json_is_refused_and_left_out_of_the_list(city: City) -> None:
    city.save()
    assert [info.name for info in list_cities()] == ["Handmade"]
    assert open_city("Handmade").fingerprint == city.fingerprint
    (store.cities_folder() / "handmade" / "city.json").write_text('{"name": "Handmade"}')
    assert list_cities() == []
    with pytest.raises(CityError, match="damaged"):
        open_city("Handmade")


def test_an_unknown_city_is_answered_with_the_known_ones(city: City) -> None:
    city.save()
    with pytest.raises(CityError, match=r"no city `Atlantis`\. Known: Handmade"):
        open_city("Atlantis")


def test_every_spatial_table_comes_back_from_disk(city: City, tmp_path: Path) -> None:
    shape = {"Point": city.spatial("locations").geometry.iloc[0], "Polygon": box(-74, 40.6, -73.9, 40.7)}
    for name, schema in TABLES.items():
        if schema.is_spatial and name not in city.tables:
            values = {column.name: [1.0 if column.kind == "number" else "x"] for column in schema.columns if column.required}
            values.pop("geometry")
            frame = gpd.GeoDataFrame(values, geometry=[shape[schema.geometry_types[0]]], crs=4326)
            opened = city.replace(**{name: frame}).save(tmp_path / name.replace("_", "-"))
            same(opened.table(name), frame)


def test_metres_and_degrees_are_inverse(city: City) -> None:
    longitude, latitude = np.array([-74.0, -73.9]), np.array([40.7, 40.8])
    back = unproject(city, *project(city, longitude, latitude))
    np.testing.assert_allclose(back, (longitude, latitude), atol=1e-9)
    assert city.metric_crs == "EPSG:32618"
    assert utm_crs(151.2, -33.9) == "EPSG:32756" and utm_crs(180.0, 10.0) == "EPSG:32601"


@pytest.mark.parametrize(
    ("table", "change", "words"),
    [
        ("visits", lambda frame: frame.drop(columns="user_id"), "lacks user_id"),
        ("visits", lambda frame: frame.assign(started_at=frame["started_at"].dt.tz_localize(None)), "`started_at` must be time"),
        ("visits", lambda frame: frame.assign(user_id=None), "must not be empty"),
        ("locations", lambda frame: pd.concat([frame, frame]), "must be unique"),
        ("locations", lambda frame: frame.to_crs(3857), "must be a GeoDataFrame in WGS84"),
        (
            "locations",
            lambda frame: frame.set_geometry([LineString([(0, 0), (1, 1)])] * len(frame)),
            "needs Point; found LineString",
        ),
        ("weather", lambda frame: frame.assign(date=frame["date"] + pd.Timedelta(hours=3)), "`date` must be date"),
    ],
)
def test_a_table_that_breaks_its_schema_is_refused_with_what_was_found(city: City, table: str, change, words: str) -> None:
    with pytest.raises(CityError, match=words):
        city.replace(**{table: change(city.table(table))})


def test_an_unknown_table_and_an_unknown_time_zone_are_refused(city: City) -> None:
    with pytest.raises(CityError, match="no table `trams`"):
        city.replace(trams=city.table("visits"))
    frames = {table: city.table(table) for table in city.tables}
    with pytest.raises(CityError, match="not an IANA time zone"):
        City.build("x", frames, time_zone="Gotham")
    with pytest.raises(CityError, match="at least one table with positions"):
        City.build("x", {"visits": city.table("visits")}, time_zone="UTC")
