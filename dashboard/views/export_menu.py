"""The same way out for every panel: CSV, GeoJSON and GeoParquet where there are positions, PNG of the map, and the command."""

from io import BytesIO

import geopandas as gpd
import pandas as pd
import pydeck as pdk
import streamlit as st

from dashboard import session
from dashboard.exports import csv_bytes
from dashboard.figures.still import still_png
from engine.city.schema import WGS84


def export_menu(
    key: str,
    name: str,
    table: pd.DataFrame | None = None,
    deck: pdk.Deck | None = None,
    command: str = "",
    python: str = "",
    chart: bool = False,
    label: str = "Export",
) -> None:
    """A quiet menu; files are made when they are asked for.

    Args:
        key: Prefix of the widgets' keys.
        name: File name without its ending.
        table: What the panel shows; with `longitude` and `latitude` (degrees) it can leave as points.
        deck: The panel's map.
        command: The command line that gives the same numbers.
        python: Lines of Python that give the same numbers, where no command does.
        chart: Whether the panel is a chart whose own button saves it as a picture.
        label: Of the menu.
    """
    with st.popover(label, type="tertiary"):
        if table is not None:
            _button("CSV", lambda: csv_bytes(_flat(table)), f"{name}.csv", "text/csv", f"{key}.csv")
            if {"longitude", "latitude"} <= set(table.columns):
                _button("GeoJSON", lambda: geojson_bytes(table), f"{name}.geojson", "application/geo+json", f"{key}.geojson")
                _button(
                    "GeoParquet", lambda: geoparquet_bytes(table), f"{name}.parquet", "application/octet-stream", f"{key}.parquet"
                )
        if deck is not None:
            theme = session.theme()
            _button("PNG of the map", lambda: still_png(deck, theme, (1200, 960)), f"{name}.png", "image/png", f"{key}.png")
        if chart:
            st.caption("PNG: the camera that appears over the chart.")
        if command:
            st.caption("The same numbers from the command line:")
            st.code(command, language="bash", wrap_lines=True)
        if python:
            st.caption("The same numbers in Python:")
            st.code(python, language="python", wrap_lines=True)


def geojson_bytes(table: pd.DataFrame) -> bytes:
    """Rows with `longitude` and `latitude` as a GeoJSON FeatureCollection (RFC 7946, six decimals)."""
    return str(_points(table).to_json(drop_id=True, to_wgs84=True)).encode("utf-8")


def geoparquet_bytes(table: pd.DataFrame) -> bytes:
    """Rows with `longitude` and `latitude` as GeoParquet 1.1 points in WGS84."""
    buffer = BytesIO()
    _points(table).to_parquet(buffer, index=False, schema_version="1.1.0", compression="zstd")
    return buffer.getvalue()


def _points(table: pd.DataFrame) -> gpd.GeoDataFrame:
    flat = _flat(table)
    points = gpd.points_from_xy(flat["longitude"].round(6), flat["latitude"].round(6))
    return gpd.GeoDataFrame(flat.drop(columns=["longitude", "latitude"]), geometry=points, crs=WGS84)


def _flat(table: pd.DataFrame) -> pd.DataFrame:
    """Lists (ids of a ranking, probabilities) as text, so that every format can hold them."""
    flat = table.reset_index(drop=True).copy()
    for column in flat.columns:
        if flat[column].map(lambda value: hasattr(value, "__len__") and not isinstance(value, str)).any():
            flat[column] = flat[column].map(lambda value: " ".join(map(str, value)))
    return flat


def _button(label: str, make: object, file_name: str, mime: str, key: str) -> None:
    st.download_button(label, make, file_name, mime, key=key, on_click="ignore", type="tertiary")  # type: ignore[arg-type]
