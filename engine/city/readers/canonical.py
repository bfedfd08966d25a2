"""Tables as Mobiscope itself writes them: GeoParquet, or CSV with latitude and longitude or WKT, under the names of the schema."""

import geopandas as gpd
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import shapely

from engine.city.checks import Ledger
from engine.city.readers.base import FileChoices, ReadContext, Reader, ReadResult, SniffedFile
from engine.city.readers.tables import Table, as_numbers, as_text
from engine.city.schema import TABLES, WGS84, TableSchema, check_table
from engine.errors import CityError, IngestError, Problem

# The columns that give each table away; visits, flows and weather have readers of their own that check more.
_MARKS = {
    "locations": {"location_id", "category"},
    "pois": {"poi_id", "category"},
    "cells": {"cell_id"},
    "buildings": {"height_m"},
    "boundary": {"kind"},
    "descriptions": {"subject", "subject_id", "modality", "text", "source"},
    "truth": {"subject", "subject_id", "zone_function"},
}


class Canonical(Reader):
    """A table of a city, as exported."""

    name = "canonical"
    title = "Table written by Mobiscope"
    tables = tuple(_MARKS)

    def recognise(self, file: SniffedFile) -> float:
        """See `Reader.recognise`."""
        return 0.96 if _table_of(file) else 0.0

    def read(self, file: SniffedFile, choices: FileChoices, context: ReadContext) -> ReadResult:
        """See `Reader.read`."""
        name = _table_of(file)
        if name is None:
            raise IngestError(
                [Problem("FORMAT", "The columns are those of no table of a city.", "Choose another reader.", file.name)]
            )
        schema, ledger = TABLES[name], Ledger(file.name, problems=list(file.problems))
        frame = self._parquet(file, schema) if file.kind == "parquet" else self._text(file, schema, ledger, context)
        if file.kind == "parquet":
            frame = frame[: context.limit_rows]
            ledger.rows_in = len(frame)
        if not ledger.rows_in:
            raise IngestError([Problem("NO_ROWS", "The file holds no rows.", "Choose another one.", file.name)])
        keep = np.ones(len(frame), bool)
        number = frame.pop("_row").to_numpy() if "_row" in frame else np.arange(1, len(frame) + 1)
        if isinstance(frame, gpd.GeoDataFrame):
            shapes = frame.geometry.to_numpy()
            unknown = shapely.is_missing(shapes) | shapely.is_empty(shapes)
            whole = np.array(
                [
                    not gone and bool(np.isfinite(shapely.get_coordinates(shape)).all())
                    for shape, gone in zip(shapes, unknown, strict=True)
                ]
            )
            ledger.drop("COORDINATES_MISSING", keep, ~whole, column="geometry", rows=number)
            bounds = shapely.bounds(shapes)
            with np.errstate(invalid="ignore"):
                beyond = ~((np.abs(bounds[:, [0, 2]]) <= 180).all(axis=1) & (np.abs(bounds[:, [1, 3]]) <= 90).all(axis=1))
            ledger.drop("COORDINATES_RANGE", keep, beyond, column="geometry", rows=number)
        if schema.key:
            key = frame[schema.key].fillna("").astype("str")
            ledger.drop("LOCATION_MISSING", keep, (key == "").to_numpy(), column=schema.key, rows=number)
            ledger.drop("MERGED", keep, key.duplicated().to_numpy(), column=schema.key, rows=number, values=key.to_numpy())
        ledger.close()
        if ledger.is_refused:
            return ReadResult(problems=ledger.problems)
        kept = frame[keep].reset_index(drop=True)
        try:
            check_table(name, kept)
        except CityError as error:
            raise IngestError([*ledger.problems, Problem("TABLE", str(error), "Export the table again.", file.name)]) from None
        card = self.card(file, name, ledger.rows_in, len(kept), ledger.dropped, ledger.repairs)
        return ReadResult({name: kept}, [card], ledger.problems)

    def _parquet(self, file: SniffedFile, schema: TableSchema) -> pd.DataFrame:
        try:
            if schema.is_spatial:
                frame = gpd.read_parquet(file.path).drop(columns="bbox", errors="ignore")
                if frame.crs is None:
                    raise IngestError([Problem("CRS", "The geometry has no reference system.", "Export it in WGS84.", file.name)])
                frame = frame.rename_geometry("geometry") if frame.geometry.name != "geometry" else frame
                return _texts(frame.to_crs(WGS84), schema)
            return _texts(pd.read_parquet(file.path), schema)
        except (pa.ArrowException, ValueError, TypeError, KeyError, OSError, shapely.GEOSException) as error:
            raise IngestError(
                [Problem("DAMAGED_PARQUET", f"The table cannot be read ({error}).", "Write it again.", file.name)]
            ) from None

    def _text(self, file: SniffedFile, schema: TableSchema, ledger: Ledger, context: ReadContext) -> pd.DataFrame:
        table, parts = Table(file, ledger, limit_rows=context.limit_rows), []
        for first, block in table.blocks(table.columns):
            rows = len(next(iter(block.values())))
            keep = np.ones(rows, bool)
            columns: dict[str, object] = {"_row": np.arange(first, first + rows)}
            for column, values in block.items():
                declared = schema.column(column)
                if declared is not None and declared.kind in ("number", "integer"):
                    numbers, missing, bad = as_numbers(values)
                    ledger.drop("NUMBER_UNREADABLE", keep, bad | (missing & declared.required), first, column, values)
                    columns[column] = numbers
                elif column in ("latitude", "longitude"):
                    numbers, missing, bad = as_numbers(values)
                    ledger.drop("COORDINATES_UNREADABLE", keep, bad, first, column, values)
                    ledger.drop("COORDINATES_MISSING", keep, missing, first, column)
                    columns[column] = numbers
                elif column == "wkt":
                    shapes = shapely.from_wkt(as_text(values).to_numpy(zero_copy_only=False), on_invalid="ignore")
                    ledger.drop("COORDINATES_UNREADABLE", keep, shapely.is_missing(shapes), first, column, values)
                    columns["geometry"] = shapes
                else:
                    columns[column] = as_text(values).to_pylist()
            parts.append(pd.DataFrame(columns)[keep])
        if not parts:
            raise ledger.nothing_read()
        frame = pd.concat(parts, ignore_index=True)
        for declared in schema.columns:
            if declared.kind == "integer" and declared.name in frame:
                frame[declared.name] = frame[declared.name].astype("Int64")
        if not schema.is_spatial:
            return _texts(frame, schema)
        if "geometry" not in frame:
            frame["geometry"] = shapely.points(frame.pop("longitude"), frame.pop("latitude"))
        return _texts(gpd.GeoDataFrame(frame, geometry="geometry", crs=WGS84), schema)


def _table_of(file: SniffedFile) -> str | None:
    columns = set(file.columns)
    if file.kind == "parquet":
        shaped = _is_geoparquet(file)
    elif file.text is not None and file.text.header:
        shaped = "wkt" in columns or {"latitude", "longitude"} <= columns
    else:
        return None
    # `visits` with coordinates have a person and a time; nothing here does.
    if columns & {"user_id", "started_at"}:
        return None
    plain = columns - {"geometry", "bbox", "wkt", "latitude", "longitude"}
    found = [
        name
        for name, marks in _MARKS.items()
        if marks <= columns and TABLES[name].is_spatial == shaped and all(TABLES[name].column(column) for column in plain)
    ]
    if file.kind == "text":
        # Points as latitude and longitude under other names are the business of the venues reader.
        needed = {"locations": "location_id", "pois": "poi_id"}
        found = [name for name in found if "wkt" in columns or name in needed]
        found = [name for name in found if name != "locations"] if "wkt" not in columns else found
    return found[0] if found else None


def _is_geoparquet(file: SniffedFile) -> bool:
    try:
        return b"geo" in (pq.ParquetFile(file.path).schema_arrow.metadata or {})
    except (pa.ArrowException, OSError, ValueError):
        return False


def _texts(frame: pd.DataFrame, schema: TableSchema) -> pd.DataFrame:
    for column in schema.columns:
        if column.kind == "text" and column.name in frame:
            values = frame[column.name]
            frame[column.name] = (values.fillna("") if column.required else values).astype("str")
    return frame
