"""LibCity atomic files: `.geo` (places or zones), `.usr` (people), `.dyna` and `.grid` (trajectories or states), `.rel` (relations).

Source: J. Wang et al., "LibCity: An open library for traffic prediction", SIGSPATIAL 2021, and LibCity's data format documentation.
Each file is recognised by its header. Trajectories become visits, states named in- and outflow become the flow of an average day.
"""

import json
from typing import ClassVar

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely

from engine import store
from engine.city import times
from engine.city.checks import Ledger
from engine.city.readers.base import FileChoices, ReadContext, Reader, ReadResult, SniffedFile
from engine.city.readers.checkins import FIELDS, Venues, check_mapping, plain_name, propose_mapping, read_visits, require_columns
from engine.city.readers.positions import Reading
from engine.city.readers.tables import Table, as_numbers, as_text
from engine.city.schema import HOURS, WGS84
from engine.city.times import TimeFormat

_FLOWS = {"outflow": ("outflow", "outflows", "pickup", "departure"), "inflow": ("inflow", "inflows", "dropoff", "arrival")}
_SHAPES = ("Point", "Polygon", "MultiPolygon", "LineString")


class _Atomic(Reader):
    """What the atomic readers share: a header that must begin with given columns."""

    needs: ClassVar[tuple[str, ...]]

    def recognise(self, file: SniffedFile) -> float:
        """See `Reader.recognise`."""
        if file.text is None or not file.text.header:
            return 0.0
        return 0.95 if set(self.needs) <= set(file.columns) and file.columns[0] == self.needs[0] else 0.0


class AtomicGeo(_Atomic):
    """`.geo`: points are locations, polygons are cells."""

    name = "atomic_geo"
    title = "LibCity places or zones (.geo)"
    tables = ("locations", "cells")
    needs = ("geo_id", "type", "coordinates")

    def read(self, file: SniffedFile, choices: FileChoices, context: ReadContext) -> ReadResult:
        """See `Reader.read`."""
        require_columns(file, self.needs)
        ledger = Ledger(file.name, problems=list(file.problems))
        table = Table(file, ledger, limit_rows=context.limit_rows)
        parts = []
        for first, block in table.blocks(table.columns):
            part = pd.DataFrame({name: as_text(values).to_pylist() for name, values in block.items()}, dtype=object)
            part["_row"] = np.arange(first, first + len(part))
            parts.append(part)
        if not parts:
            raise ledger.nothing_read()
        frame = pd.concat(parts, ignore_index=True)
        row = frame.pop("_row").to_numpy()
        keep = np.ones(len(frame), bool)
        ledger.drop("LOCATION_MISSING", keep, (frame["geo_id"] == "").to_numpy(), column="geo_id", rows=row)
        ledger.drop(
            "DUPLICATE", keep, frame["geo_id"].duplicated().to_numpy(), column="geo_id", rows=row, values=frame["geo_id"].to_numpy()
        )
        shapes = np.array([_shape(kind, text) for kind, text in zip(frame["type"], frame["coordinates"], strict=True)], object)
        unread = np.array([shape is None for shape in shapes])
        ledger.drop("COORDINATES_UNREADABLE", keep, unread, column="coordinates", rows=row, values=frame["coordinates"].to_numpy())
        bounds = shapely.bounds(np.where(unread, shapely.Point(0, 0), shapes))
        beyond = ~((np.abs(bounds[:, [0, 2]]) <= 180).all(axis=1) & (np.abs(bounds[:, [1, 3]]) <= 90).all(axis=1))
        ledger.drop("COORDINATES_RANGE", keep, beyond, column="coordinates", rows=row, values=frame["coordinates"].to_numpy())
        is_point, is_area = frame["type"] == "Point", frame["type"].isin(["Polygon", "MultiPolygon"])
        ledger.drop("NOT_USED", keep, (~is_point & ~is_area).to_numpy(), column="type", rows=row, values=frame["type"].to_numpy())
        ledger.close()
        if ledger.is_refused:
            return ReadResult(problems=ledger.problems)
        result = ReadResult(problems=ledger.problems)
        points, areas = (is_point & keep).to_numpy(), (is_area & keep).to_numpy()
        kept = {"locations": int(points.sum()), "cells": int(areas.sum())}
        if points.any():
            result.tables["locations"] = _locations(file, frame[points], shapes[points])
        if areas.any():
            result.tables["cells"] = _cells(frame[areas], shapes[areas])
        name = max(kept, key=lambda table: kept[table])
        result.cards.append(self.card(file, name, ledger.rows_in, sum(kept.values()), ledger.dropped, ledger.repairs))
        return result


class AtomicTrajectory(_Atomic):
    """`.dyna` of type trajectory: visits."""

    name = "atomic_trajectory"
    title = "LibCity trajectories (.dyna)"
    tables = ("visits",)
    needs = ("dyna_id", "type", "time", "entity_id", "location")
    fields = FIELDS

    def propose(self, file: SniffedFile) -> dict[str, str]:
        """See `Reader.propose`."""
        proposed = propose_mapping(file, FIELDS)
        fixed = {"user_id": "entity_id", "started_at": "time", "location_id": "location"}
        taken = {*fixed.values(), "dyna_id", "type"}
        return {name: column for name, column in proposed.items() if name not in fixed and column not in taken} | fixed

    def read(self, file: SniffedFile, choices: FileChoices, context: ReadContext) -> ReadResult:
        """See `Reader.read`. Times are UTC, as their `Z` says."""
        require_columns(file, self.needs)
        mapping = check_mapping(file, self.fields, self.propose(file), choices.mapping)
        ledger = Ledger(file.name, problems=list(file.problems))
        reading = Reading(time_format=TimeFormat("iso"))
        return read_visits(self, file, Table(file, ledger, limit_rows=context.limit_rows), mapping, reading, context)


class AtomicState(_Atomic):
    """`.dyna` or `.grid` of type state: flows per hour of an average day; other measures are not used."""

    name = "atomic_state"
    title = "LibCity states (.dyna, .grid)"
    tables = ("outflow", "inflow")
    needs = ("dyna_id", "type", "time")

    def recognise(self, file: SniffedFile) -> float:
        """See `Reader.recognise`."""
        has_place = "entity_id" in file.columns or {"row_id", "column_id"} <= set(file.columns)
        return super().recognise(file) if has_place and "location" not in file.columns else 0.0

    def read(self, file: SniffedFile, choices: FileChoices, context: ReadContext) -> ReadResult:
        """See `Reader.read`. Hours are taken as written, since LibCity writes local time with a `Z`."""
        require_columns(file, self.needs)
        ledger = Ledger(file.name, problems=list(file.problems))
        flows = {table: column for table, names in _FLOWS.items() for column in file.columns if plain_name(column) in names}
        place = ["entity_id"] if "entity_id" in file.columns else ["row_id", "column_id"]
        require_columns(file, place)
        table = Table(file, ledger, limit_rows=context.limit_rows)
        parts, kept = [], 0
        for first, block in table.blocks([*place, "time", *flows.values()]):
            clock = times.read_times(block["time"], TimeFormat("iso"))
            keep = np.ones(len(clock.bad), bool)
            ledger.drop("NOT_USED", keep, np.full(len(keep), not flows), first)
            ledger.drop("TIME_UNREADABLE", keep, clock.bad | clock.missing, first, "time", block["time"])
            columns = {}
            for name, column in flows.items():
                values, missing, bad = as_numbers(block[column])
                ledger.drop("NUMBER_UNREADABLE", keep, missing | bad | (values < 0), first, column, block[column])
                columns[name] = values
            ids = [as_text(block[column]).to_pylist() for column in place]
            cell = ids[0] if len(ids) == 1 else [f"{row}_{column}" for row, column in zip(*ids, strict=True)]
            part = pd.DataFrame({"cell_id": cell, "clock": clock.microseconds, **columns})[keep]
            kept += len(part)
            parts.append(part)
        if not parts:
            raise ledger.nothing_read()
        ledger.close(frozenset(["NOT_USED"]))
        if not flows:
            ledger.problems = [problem for problem in ledger.problems if problem.code not in ("NOTHING_LEFT", "NOT_USED")]
            measures = ", ".join(column for column in file.columns if column not in (*self.needs, *place))
            ledger.warn("NOT_USED", f"Its measures ({measures}) are neither inflow nor outflow.", "A city keeps hourly flows only.")
        result = ReadResult(problems=ledger.problems)
        if ledger.is_refused:
            return result
        rows = pd.concat(parts, ignore_index=True)
        for name in flows:
            result.tables[name] = _average_day(rows, name)
        result.cards.append(self.card(file, next(iter(flows), "outflow"), ledger.rows_in, kept, ledger.dropped, ledger.repairs))
        if flows:
            result.assumptions.append(
                f"`{file.name}`: flows are averaged over its days, by hour as written (LibCity writes local time)."
            )
        return result


class AtomicAside(_Atomic):
    """`.usr` and `.rel`: read and counted, but a city finds its people in the visits and makes its graphs itself."""

    name = "atomic_aside"
    title = "LibCity people or relations (.usr, .rel)"
    tables = ()
    needs = ("usr_id",)

    def recognise(self, file: SniffedFile) -> float:
        """See `Reader.recognise`."""
        is_relation = {"rel_id", "type", "origin_id", "destination_id"} <= set(file.columns) and file.columns[0] == "rel_id"
        is_people = bool(file.columns) and file.columns[0] == "usr_id"
        is_config = file.kind == "text" and file.text is not None and not file.columns and _is_config(file.head_text)
        return 0.95 if is_relation or is_people or is_config else 0.0

    def read(self, file: SniffedFile, choices: FileChoices, context: ReadContext) -> ReadResult:
        """See `Reader.read`."""
        ledger = Ledger(file.name)
        if file.columns:
            for _, block in Table(file, ledger, limit_rows=context.limit_rows).blocks(file.columns[:1]):
                ledger.count("NOT_USED", len(block[file.columns[0]]))
        what = "people" if file.columns and file.columns[0] == "usr_id" else "relations or settings"
        ledger.warn("NOT_USED", f"The file lists {what}; a city does not store them.", "Nothing to do.", rows=ledger.rows_in)
        card = self.card(file, "visits", ledger.rows_in, 0, ledger.dropped, ledger.repairs)
        return ReadResult(cards=[card], problems=ledger.problems)


def _shape(kind: str, text: str) -> shapely.Geometry | None:
    if kind not in _SHAPES:
        return None
    try:
        shape = shapely.from_geojson(json.dumps({"type": kind, "coordinates": store.parse_json(text)}))
    except (ValueError, shapely.GEOSException):
        return None
    whole = shape is not None and not shape.is_empty and bool(np.isfinite(shapely.get_coordinates(shape)).all())
    return shape if whole else None


def _locations(file: SniffedFile, frame: pd.DataFrame, shapes: np.ndarray) -> gpd.GeoDataFrame:
    proposed = propose_mapping(file, Venues.fields)
    texts = {name: column for name, column in proposed.items() if column not in ("geo_id", "type", "coordinates")}
    texts = {name: column for name, column in texts.items() if name not in ("location_id", "latitude", "longitude")}
    plain = pd.DataFrame({"location_id": frame["geo_id"], "category": ""} | {name: frame[column] for name, column in texts.items()})
    return gpd.GeoDataFrame(plain.reset_index(drop=True).astype("str"), geometry=shapes, crs=WGS84)


def _cells(frame: pd.DataFrame, shapes: np.ndarray) -> gpd.GeoDataFrame:
    cells = pd.DataFrame({"cell_id": frame["geo_id"].to_numpy()}).astype("str")
    if {"row_id", "column_id"} <= set(frame.columns):
        row, column = (pd.to_numeric(frame[name], errors="coerce") for name in ("row_id", "column_id"))
        if row.notna().all() and column.notna().all():
            cells["cell_id"] = (row.astype(int).astype(str) + "_" + column.astype(int).astype(str)).astype("str").to_numpy()
            cells["row"], cells["col"] = row.astype(np.int64).to_numpy(), column.astype(np.int64).to_numpy()
    if "name" in frame:
        cells["name"] = frame["name"].astype("str").to_numpy()
    return gpd.GeoDataFrame(cells, geometry=shapes, crs=WGS84)


def _average_day(rows: pd.DataFrame, name: str) -> pd.DataFrame:
    """Mean sum per hour over the days of the file; steps shorter than an hour add up."""
    day, hour = rows["clock"] // 86_400_000_000, rows["clock"] // 3_600_000_000 % 24
    days = max(int(day.nunique()), 1)
    wide = rows.assign(hour=hour).pivot_table(index="cell_id", columns="hour", values=name, aggfunc="sum", fill_value=0.0)
    wide = wide.reindex(columns=range(24), fill_value=0.0) / days
    wide.columns = pd.Index(HOURS)
    table = wide.reset_index().astype({"cell_id": "str"})
    table.insert(1, "day_type", pd.Series("all", index=table.index, dtype="str"))
    return table


def _is_config(text: str) -> bool:
    try:
        settings = store.parse_json(text)
    except ValueError:
        return False
    return isinstance(settings, dict) and bool({"geo", "usr", "dyna", "info"} & set(settings))
