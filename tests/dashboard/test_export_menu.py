"""What leaves a panel can be read back, and no spreadsheet takes a name for a formula."""

import json
from io import BytesIO

import geopandas as gpd
import pandas as pd
import pytest

from dashboard.exports import csv_bytes
from dashboard.views.export_menu import geojson_bytes, geoparquet_bytes

PLACES = pd.DataFrame(
    {
        "name": ["=1+1", "@SUM(A1)", "Café"],
        "change": [-0.5, 0.25, 0.0],
        "topk": [[1, 2], [3], []],
        "longitude": [10.0, 10.1234567, 10.2],
        "latitude": [50.0, 50.1, 50.2],
    }
)


def test_formulas_are_quoted_and_negative_numbers_are_not() -> None:
    back = pd.read_csv(BytesIO(csv_bytes(PLACES.drop(columns="topk"))))
    assert list(back["name"]) == ["'=1+1", "'@SUM(A1)", "Café"] and list(back["change"]) == [-0.5, 0.25, 0.0]


def test_geojson_has_points_with_six_decimals() -> None:
    content = json.loads(geojson_bytes(PLACES))
    assert content["type"] == "FeatureCollection" and len(content["features"]) == 3
    assert content["features"][1]["geometry"]["coordinates"] == [10.123457, 50.1]
    assert content["features"][0]["properties"]["topk"] == "1 2"


def test_geoparquet_reads_back_with_its_crs() -> None:
    back = gpd.read_parquet(BytesIO(geoparquet_bytes(PLACES)))
    assert (
        back.crs.to_epsg() == 4326 and back.geometry.x.iloc[0] == pytest.approx(10.0) and list(back["name"]) == list(PLACES["name"])
    )
