"""The tables of a city: columns, types and what they mean. Names follow trackintel where it has them.

Vector tables are in WGS84 (EPSG:4326), times in UTC; the screen shows the city's local time.
"""

from dataclasses import dataclass
from typing import Literal

import geopandas as gpd
import pandas as pd

from engine.errors import CityError

SCHEMA_VERSION = 1
WGS84 = "EPSG:4326"
HOURS = tuple(f"h{hour:02d}" for hour in range(24))

Kind = Literal["text", "time", "date", "number", "integer", "flag", "geometry"]


@dataclass(frozen=True)
class Column:
    """One column: its kind, whether it must be there, and its meaning with unit."""

    name: str
    kind: Kind
    meaning: str
    required: bool = True


@dataclass(frozen=True)
class TableSchema:
    """One table of a city; `key` names the column whose values are unique."""

    name: str
    meaning: str
    columns: tuple[Column, ...]
    key: str | None = None
    geometry_types: tuple[str, ...] = ()

    @property
    def is_spatial(self) -> bool:
        """Whether the table has a geometry column."""
        return bool(self.geometry_types)

    @property
    def required(self) -> tuple[str, ...]:
        """Names of the columns that must be there."""
        return tuple(column.name for column in self.columns if column.required)

    def column(self, name: str) -> Column | None:
        """The declared column of that name; tables may carry further columns."""
        return next((column for column in self.columns if column.name == name), None)


def _flow(name: str, meaning: str) -> TableSchema:
    return TableSchema(
        name,
        meaning,
        (
            Column("cell_id", "text", "the cell or zone"),
            Column("day_type", "text", "`all`, `weekday`, `weekend` or a label of the source"),
            *(Column(hour, "number", f"trips in local hour {hour[1:]} of an average day") for hour in HOURS),
        ),
    )


_POINT, _AREA = ("Point",), ("Polygon", "MultiPolygon")

TABLES: dict[str, TableSchema] = {
    table.name: table
    for table in (
        TableSchema(
            "visits",
            "who was where, when: check-ins or stays, sorted by user and time",
            (
                Column("user_id", "text", "pseudonym of the person"),
                Column("location_id", "text", "the location visited"),
                Column("started_at", "time", "arrival or check-in, UTC"),
                Column("finished_at", "time", "departure, UTC", required=False),
                Column("session_id", "text", "trip or trajectory the visit belongs to", required=False),
                Column("split", "text", "published split: train, valid or test", required=False),
            ),
        ),
        TableSchema(
            "locations",
            "what a visit refers to",
            (
                Column("location_id", "text", "stable id"),
                Column("geometry", "geometry", "position"),
                Column("category", "text", "leaf category; empty if unknown"),
                Column("name", "text", "name", required=False),
                Column("parent_category", "text", "root category", required=False),
                Column("address", "text", "address", required=False),
                Column("description", "text", "free text", required=False),
                Column("closed", "flag", "closed in a scenario: no one can go there any more", required=False),
            ),
            key="location_id",
            geometry_types=_POINT,
        ),
        TableSchema(
            "pois",
            "points of interest as context; need not be visited",
            (
                Column("poi_id", "text", "stable id"),
                Column("geometry", "geometry", "position"),
                Column("category", "text", "category"),
                Column("name", "text", "name", required=False),
            ),
            key="poi_id",
            geometry_types=_POINT,
        ),
        TableSchema(
            "buildings",
            "building footprints with heights",
            (Column("geometry", "geometry", "footprint"), Column("height_m", "number", "height above ground, metres")),
            geometry_types=_AREA,
        ),
        TableSchema(
            "cells",
            "square grid cells made by us, or uploaded zones",
            (
                Column("cell_id", "text", "stable id"),
                Column("geometry", "geometry", "outline"),
                Column("row", "integer", "row of a square grid, north up", required=False),
                Column("col", "integer", "column of a square grid", required=False),
                Column("district", "text", "larger area the cell belongs to", required=False),
                Column("name", "text", "name of a zone", required=False),
            ),
            key="cell_id",
            geometry_types=_AREA,
        ),
        TableSchema(
            "boundary",
            "outlines drawn under the map: city limits, districts, water, parks, roads",
            (
                Column("geometry", "geometry", "outline or line"),
                Column("kind", "text", "`city`, `district`, `water`, `park` or `road`"),
                Column("name", "text", "name", required=False),
            ),
            geometry_types=("Polygon", "MultiPolygon", "LineString", "MultiLineString"),
        ),
        _flow("outflow", "trips that leave a cell, per hour"),
        _flow("inflow", "trips that enter a cell, per hour"),
        TableSchema(
            "imagery",
            "remote-sensing and building-height tiles, one row per tile; files live in the city's media folder",
            (
                Column("subject", "text", "`cell` or `location`"),
                Column("subject_id", "text", "its id"),
                Column("modality", "text", "`satellite` or `height`"),
                Column("path", "text", "file, relative to the city folder"),
            ),
        ),
        TableSchema(
            "street_views",
            "street-level photographs",
            (
                Column("geometry", "geometry", "camera position"),
                Column("path", "text", "file, relative to the city folder"),
                Column("heading", "number", "degrees clockwise from north", required=False),
            ),
            geometry_types=_POINT,
        ),
        TableSchema(
            "descriptions",
            "texts about cells and locations",
            (
                Column("subject", "text", "`cell` or `location`"),
                Column("subject_id", "text", "its id"),
                Column("modality", "text", "which modality the text describes"),
                Column("text", "text", "the text"),
                Column("source", "text", "who wrote it: rules, a model, uploaded"),
                Column(
                    "prompt",
                    "text",
                    "the prompt it answers: three_level, lite, or any of them; three_level where it does not say",
                    required=False,
                ),
                Column("intensity", "number", "activity it expects, 0 to 100", required=False),
                *(
                    Column(f"trend_{hour}", "number", f"its guess of departures in local hour {hour[1:]}, 0 to 1", required=False)
                    for hour in HOURS
                ),
            ),
        ),
        TableSchema(
            "weather",
            "weather by local date; defines slices, is no model input",
            (
                Column("date", "date", "local calendar date"),
                Column("temperature_c", "number", "mean temperature, °C", required=False),
                Column("precipitation_mm", "number", "precipitation of the day, mm", required=False),
                Column("condition", "text", "label such as `rain`", required=False),
            ),
            key="date",
        ),
        TableSchema(
            "truth",
            "synthetic city only: what the mechanisms should discover",
            (
                Column("subject", "text", "`user`, `cell`, `location` or `visit`"),
                Column("subject_id", "text", "its id; for visits the row number"),
                Column("role", "text", "role of a person", required=False),
                Column("zone_function", "text", "function of a cell or location's zone", required=False),
                Column("activity", "text", "why the visit happened", required=False),
            ),
        ),
    )
}


def check_table(name: str, frame: pd.DataFrame) -> None:
    """Checks columns, types, keys and geometry of one canonical table.

    Args:
        name: A key of `TABLES`.
        frame: The table; spatial ones are GeoDataFrames in WGS84.

    Raises:
        CityError: Naming what is needed and what was found.
    """
    if name not in TABLES:
        raise CityError(f"A city has no table `{name}`; it knows {', '.join(TABLES)}.")
    schema = TABLES[name]
    missing = [column for column in schema.required if column not in frame.columns]
    if missing:
        raise CityError(f"Table `{name}` lacks {', '.join(missing)}; it has {', '.join(map(str, frame.columns))}.")
    for column in schema.columns:
        if column.name in frame.columns:
            _check_kind(name, column, frame[column.name])
    if schema.key and not frame[schema.key].is_unique:
        twice = frame.loc[frame[schema.key].duplicated(), schema.key].iloc[0]
        raise CityError(f"Table `{name}`: `{schema.key}` must be unique, but {twice!r} stands in it more than once.")
    if schema.is_spatial:
        if not isinstance(frame, gpd.GeoDataFrame) or frame.crs is None or frame.crs.to_epsg() != 4326:
            raise CityError(f"Table `{name}` must be a GeoDataFrame in WGS84 (EPSG:4326).")
        strange = set(frame.geom_type.dropna()) - set(schema.geometry_types)
        if strange or frame.geometry.isna().any() or frame.geometry.is_empty.any():
            found = ", ".join(sorted(strange)) or "empty geometry"
            raise CityError(f"Table `{name}` needs {' or '.join(schema.geometry_types)}; found {found}.")


def _check_kind(table: str, column: Column, values: pd.Series) -> None:
    fits = {
        "text": lambda: pd.api.types.is_string_dtype(values) or values.isna().all(),
        "time": lambda: isinstance(values.dtype, pd.DatetimeTZDtype) and str(values.dt.tz) == "UTC",
        "date": lambda: pd.api.types.is_datetime64_dtype(values) and bool((values == values.dt.normalize()).all()),
        "number": lambda: pd.api.types.is_numeric_dtype(values),
        "integer": lambda: pd.api.types.is_integer_dtype(values),
        "flag": lambda: pd.api.types.is_bool_dtype(values),
        "geometry": lambda: True,
    }[column.kind]
    if not fits():
        raise CityError(f"Table `{table}`: `{column.name}` must be {column.kind} ({column.meaning}); found dtype {values.dtype}.")
    if column.required and column.kind != "geometry" and values.isna().any():
        raise CityError(f"Table `{table}`: `{column.name}` must not be empty, but {int(values.isna().sum())} rows are.")
