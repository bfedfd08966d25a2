"""Writing a city's tables as files other programs read: GeoParquet, CSV, GeoJSON, LibCity atomic files. All can be brought back in."""

import csv
import json
import shutil
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely

from engine import store
from engine.city.city import City
from engine.city.schema import TABLES
from engine.errors import CityError, ConfigError

Format = Literal["geoparquet", "csv", "geojson", "libcity"]
FORMATS: tuple[Format, ...] = ("geoparquet", "csv", "geojson", "libcity")
DECIMALS = 6
_DANGEROUS = ("=", "+", "-", "@", "\t", "\r", "\x00")


def export_city(city: City, folder: Path, format: Format) -> list[Path]:
    """Writes all tables of a city into a new or empty folder; it appears whole or not at all.

    Args:
        city: The city.
        folder: Where to write; made if absent.
        format: One of `FORMATS`. GeoParquet 1.1 and CSV hold every table; GeoJSON (RFC 7946) those with positions, visits as points
            of their locations; LibCity its places, people and trajectories.

    Returns:
        The files, sorted.

    Raises:
        ConfigError: If the format is unknown.
        CityError: If the folder is not empty, or the city has nothing the format can hold.
    """
    writers: dict[str, Callable[[City, Path], None]] = {
        "geoparquet": _write_geoparquet,
        "csv": _write_csv,
        "geojson": _write_geojson,
        "libcity": _write_libcity,
    }
    if format not in writers:
        raise ConfigError(f"There is no export format {format!r}; choose one of {', '.join(FORMATS)}.")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise CityError(f"`{folder}` is not an empty folder; choose another one.")
    building = folder.with_name(f".tmp-{uuid.uuid4().hex[:12]}")
    building.mkdir(parents=True)
    try:
        writers[format](city, building)
        if not any(building.iterdir()):
            raise CityError(f"City `{city.name}` has no table that {format} can hold.")
        store.write_text(building / "DATA_CARD.json", city.info.data_card.model_dump_json(indent=1) + "\n")
        if folder.exists():
            folder.rmdir()
        building.replace(folder)
    finally:
        shutil.rmtree(building, ignore_errors=True)
    return sorted(path for path in folder.rglob("*") if path.is_file())


def protect_formula(text: str) -> str:
    """Text a spreadsheet would run as a formula, with an apostrophe before it (CWE-1236); reading removes it again."""
    return f"'{text}" if text.startswith(_DANGEROUS) or (text.startswith("'") and text[1:].startswith(_DANGEROUS)) else text


def _write_geoparquet(city: City, folder: Path) -> None:
    for name in city.tables:
        frame = city.table(name)
        path = folder / f"{name}.parquet"
        if isinstance(frame, gpd.GeoDataFrame):
            frame.to_parquet(
                path, index=False, compression="zstd", schema_version="1.1.0", geometry_encoding="WKB", write_covering_bbox=True
            )
        else:
            frame.to_parquet(path, index=False, compression="zstd")
    _copy_media(city, folder)


def _write_csv(city: City, folder: Path) -> None:
    for name in city.tables:
        plain = _plain(city.table(name))
        for column in plain:
            if TABLES[name].column(str(column)) is None or not pd.api.types.is_numeric_dtype(plain[column]):
                plain[column] = _protected(plain[column])
        plain.to_csv(folder / f"{name}.csv", index=False, lineterminator="\n", quoting=csv.QUOTE_MINIMAL, encoding="utf-8")
    _copy_media(city, folder)


def _write_geojson(city: City, folder: Path) -> None:
    for name in city.tables:
        frame = city.table(name)
        if name == "visits" and city.has("locations"):
            places = city.spatial("locations").set_index("location_id").geometry
            frame = gpd.GeoDataFrame(frame, geometry=places.loc[frame["location_id"]].to_numpy(), crs=places.crs)
        if isinstance(frame, gpd.GeoDataFrame):
            _write_features(frame, folder / f"{name}.geojson")
    _copy_media(city, folder)


def _write_features(frame: gpd.GeoDataFrame, path: Path) -> None:
    shapes = shapely.transform(frame.geometry.to_numpy(), lambda points: np.round(points, DECIMALS))
    # RFC 7946 wants outer rings counterclockwise.
    shapes = shapely.orient_polygons(shapes, exterior_cw=False)
    attributes = pd.DataFrame(frame.drop(columns=frame.geometry.name))
    for column in attributes:
        if isinstance(attributes[column].dtype, pd.DatetimeTZDtype):
            attributes[column] = _iso(attributes[column])
    records = attributes.astype(object).where(attributes.notna(), None).to_dict("records")
    with path.open("w", encoding="utf-8") as file:
        file.write('{"type": "FeatureCollection", "features": [\n')
        for index, (record, shape) in enumerate(zip(records, shapely.to_geojson(shapes), strict=True)):
            properties = json.dumps(record, ensure_ascii=False, allow_nan=False, default=_scalar)
            separator = ",\n" if index else ""
            file.write(f'{separator}{{"type": "Feature", "geometry": {shape}, "properties": {properties}}}')
        file.write("\n]}\n")


def _write_libcity(city: City, folder: Path) -> None:
    name = store.slug(city.name)
    config: dict[str, Any] = {"info": {"source": "Mobiscope", "time_zone": city.time_zone}}
    if city.has("locations"):
        geo = _geo(city.spatial("locations"), "location_id")
        config["geo"] = {"including_types": ["Point"], "Point": {}}
        _save(geo, folder / f"{name}.geo")
    elif city.has("cells"):
        config["geo"] = {"including_types": ["Polygon"], "Polygon": {}}
        _save(_geo(city.spatial("cells"), "cell_id"), folder / f"{name}.geo")
    if city.has("visits"):
        visits = city.table("visits")
        _save(pd.DataFrame({"usr_id": sorted(visits["user_id"].unique())}), folder / f"{name}.usr")
        extra = [column for column in visits.columns if column not in ("user_id", "location_id", "started_at")]
        dyna = pd.DataFrame(
            {
                "dyna_id": np.arange(len(visits)),
                "type": "trajectory",
                "time": _iso(visits["started_at"]),
                "entity_id": visits["user_id"],
                "location": visits["location_id"],
            }
        )
        for column in extra:
            dyna[column] = _iso(visits[column]) if isinstance(visits[column].dtype, pd.DatetimeTZDtype) else visits[column]
        config["usr"], config["dyna"] = (
            {"properties": {}},
            {"including_types": ["trajectory"], "trajectory": {"entity_id": "usr_id", "location": "geo_id"}},
        )
        _save(dyna, folder / f"{name}.dyna")
    if len(config) > 1:
        store.write_json(folder / "config.json", config)


def _geo(frame: gpd.GeoDataFrame, key: str) -> pd.DataFrame:
    shapes = [json.loads(text) for text in shapely.to_geojson(frame.geometry.to_numpy())]
    geo = pd.DataFrame(
        {
            "geo_id": frame[key].to_numpy(),
            "type": [shape["type"] for shape in shapes],
            "coordinates": [json.dumps(shape["coordinates"], separators=(",", ":")) for shape in shapes],
        }
    )
    for column in frame.columns.difference([key, frame.geometry.name], sort=False):
        geo[{"row": "row_id", "col": "column_id"}.get(column, column)] = frame[column].to_numpy()
    return geo


def _save(frame: pd.DataFrame, path: Path) -> None:
    """Machines read these files, so formulas stay as they are; only what reading would take for a protected one is protected."""
    frame = frame.map(lambda value: protect_formula(value) if isinstance(value, str) and value.startswith("'") else value)
    frame.to_csv(path, index=False, lineterminator="\n", encoding="utf-8")


def _plain(frame: pd.DataFrame) -> pd.DataFrame:
    """Points as latitude and longitude, other shapes as WKT, times as ISO 8601 in UTC."""
    plain = pd.DataFrame(frame.drop(columns=frame.geometry.name)) if isinstance(frame, gpd.GeoDataFrame) else frame.copy()
    for column in plain:
        if isinstance(plain[column].dtype, pd.DatetimeTZDtype):
            plain[column] = _iso(plain[column])
        elif pd.api.types.is_datetime64_dtype(plain[column]):
            plain[column] = plain[column].dt.strftime("%Y-%m-%d")
    if isinstance(frame, gpd.GeoDataFrame):
        if (frame.geom_type == "Point").all():
            plain["latitude"], plain["longitude"] = frame.geometry.y, frame.geometry.x
        else:
            plain["wkt"] = frame.geometry.to_wkt(rounding_precision=DECIMALS + 1)
    return plain


def _iso(times: pd.Series) -> pd.Series:
    """ISO 8601 with `Z`; fractions of a second only where any row has them."""
    utc = times.dt.tz_convert("UTC")
    fractions = bool((utc.dt.microsecond.fillna(0) != 0).any())
    text = utc.dt.strftime("%Y-%m-%dT%H:%M:%S.%fZ" if fractions else "%Y-%m-%dT%H:%M:%SZ")
    return text.astype(object).where(times.notna(), "")


def _protected(values: pd.Series) -> pd.Series:
    return values.map(lambda value: protect_formula(value) if isinstance(value, str) else value)


def _copy_media(city: City, folder: Path) -> None:
    for relative in city.media_paths():
        target = folder / relative
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(city.media(relative))


def _scalar(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    return str(value)
