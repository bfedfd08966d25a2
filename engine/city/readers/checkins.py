"""Check-ins or stays in any table (CSV, TSV, Parquet) with a mapping of columns, and the venues table they may refer to."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import pyarrow as pa
import pyproj
import shapely

from engine.city import times
from engine.city.checks import Ledger
from engine.city.readers.base import FieldSpec, FileChoices, OptionSpec, ReadContext, Reader, ReadResult, SniffedFile
from engine.city.readers.positions import Positions, Reading
from engine.city.readers.sniff import NUMBER
from engine.city.readers.tables import Table, as_text
from engine.city.readers.visits import (
    SPLIT_NAMES,
    derive_locations,
    fill_locations,
    name_positions,
    read_rows,
    visits_frame,
)
from engine.city.schema import WGS84
from engine.errors import IngestError, Problem

LATITUDE = FieldSpec("latitude", "degrees north, WGS84", "latitude", synonyms=("latitude", "lat", "y", "venuelatitude", "ycoord"))
LONGITUDE = FieldSpec(
    "longitude", "degrees east, WGS84", "longitude", synonyms=("longitude", "lon", "lng", "long", "x", "venuelongitude", "xcoord")
)
_PLACE_TEXT = (
    FieldSpec(
        "category",
        "leaf category",
        synonyms=("categoryname", "category", "venuecategory", "venuecategoryname", "poicategory", "kind", "type"),
    ),
    FieldSpec("parent_category", "root category", synonyms=("parentcategory", "rootcategory", "categoryparent", "maincategory")),
    FieldSpec("name", "name of the place", synonyms=("name", "venuename", "placename", "locationname", "poiname", "title")),
    FieldSpec("address", "address", synonyms=("address", "street", "formattedaddress")),
    FieldSpec("description", "free text about the place", synonyms=("description", "text", "prompt", "summary")),
)
_LOCATION = (
    "locationid", "venueid", "locid", "placeid", "poiid", "spotid", "stationid", "location", "venue", "place", "poi", "loc", "fsqid",
)  # fmt: skip
FIELDS = (
    FieldSpec(
        "user_id", "pseudonym of the person", required=True,
        synonyms=("userid", "uid", "user", "personid", "agentid", "deviceid", "person", "agent", "username", "memberid", "trackid"),
    ),
    FieldSpec(
        "started_at", "arrival or check-in; with offset, or wall-clock time of the city", "time", required=True,
        synonyms=(
            "startedat", "utctime", "utctimestamp", "localtime", "checkintime", "timestamp", "datetime", "time", "arrivaltime", "arrival",
            "starttime", "start", "date", "createdat", "utc", "trackedat", "t",
        ),
    ),
    FieldSpec(
        "time_of_day", "the clock of `started_at`, where that column holds dates only", "clock",
        synonyms=(
            "time", "timeofday", "clock", "clocktime", "localtime", "utctime", "checkintime", "arrivaltime", "starttime", "arrival", "start",
            "t",
        ),
    ),
    FieldSpec("finished_at", "departure", "time", synonyms=("finishedat", "endedat", "departuretime", "departure", "endtime", "leavetime")),
    FieldSpec("location_id", "the place visited", synonyms=_LOCATION),
    LATITUDE,
    LONGITUDE,
    FieldSpec("session_id", "trip or trajectory", synonyms=("sessionid", "trajid", "trajectoryid", "tripid", "session", "tid")),
    FieldSpec("split", "published split: train, valid or test", "split", synonyms=("split", "splittag", "part", "fold", "set", "subset")),
    *_PLACE_TEXT,
)  # fmt: skip
TABLE_OPTIONS = (
    OptionSpec("encoding", "text encoding, where it cannot be told", None),
    OptionSpec("decimal", "decimal mark; empty finds it", None, (None, ".", ",")),
    OptionSpec("crs", "reference system of the coordinates: EPSG:4326 is degrees, E7 is degrees times ten million", WGS84),
    OptionSpec("swap_coordinates", "swap latitude and longitude; false confirms that they are right", None, (None, True, False)),
)
TIME_OPTIONS = (
    OptionSpec("day_first", "dates such as 03/04/2012: true is 3 April, false is 4 March", None, (None, True, False)),
    OptionSpec(
        "naive_times",
        "times without offset: `local` clock, `utc`, or `auto` by the column's name",
        "auto",
        ("auto", "local", "utc"),
    ),
)


def plain_name(column: str) -> str:
    """A column name without case and punctuation: `Venue ID` and `venue_id` are `venueid`."""
    return re.sub(r"[^a-z0-9]", "", column.lower())


def propose_mapping(file: SniffedFile, fields: Sequence[FieldSpec]) -> dict[str, str]:
    """Field to column, from names known for the field and values that fit it; each column is used once."""
    free = {plain_name(column): column for column in reversed(file.columns)}
    mapping: dict[str, str] = {}
    for spec in fields:
        for synonym in spec.synonyms:
            column = free.get(synonym)
            if column is not None and column not in mapping.values() and _fits(spec, file, column, mapping):
                mapping[spec.name] = column
                break
    return mapping


def check_mapping(
    file: SniffedFile, fields: Sequence[FieldSpec], proposed: Mapping[str, str], chosen: Mapping[str, str]
) -> dict[str, str]:
    """The proposed mapping with the analyst's choices on top; an empty column takes a field out.

    Raises:
        IngestError: Naming every unknown field, missing column and missing required field.
    """
    names = [spec.name for spec in fields]
    columns = ", ".join(f"`{column}`" for column in file.columns[:30])
    problems = []
    for name, column in chosen.items():
        if name not in names:
            problems.append(Problem("FIELD", f"There is no field `{name}`.", f"Fields are {', '.join(names)}.", file.name))
        elif column and column not in file.columns:
            problems.append(
                Problem(
                    "COLUMN_MISSING", f"There is no column `{column[:60]}` for `{name}`.", f"The file has {columns}.", file.name
                )
            )
    taken = {column for column in chosen.values() if column}
    mapping = {name: column for name, column in proposed.items() if name not in chosen and column not in taken}
    mapping |= {name: column for name, column in chosen.items() if column}
    if not problems:
        for spec in fields:
            if spec.required and spec.name not in mapping:
                found = f"No column was found for `{spec.name}` ({spec.meaning})."
                problems.append(Problem("FIELD_MISSING", found, f"Map one of {columns}.", file.name))
    if problems:
        raise IngestError(problems)
    return {name: mapping[name] for name in names if name in mapping}


def require_columns(file: SniffedFile, columns: Sequence[str]) -> None:
    """Refuses a file that lacks columns of a fixed format, naming each.

    Raises:
        IngestError: With one problem per missing column.
    """
    there = ", ".join(f"`{column}`" for column in file.columns[:30]) or "none"
    missing = [column for column in columns if column not in file.columns]
    if missing:
        raise IngestError(
            [Problem("COLUMN_MISSING", f"There is no column `{name}`.", f"The file has {there}.", file.name) for name in missing]
        )


def reading_of(reader: Reader, file: SniffedFile, choices: FileChoices) -> Reading:
    """The analyst's options as one `Reading`.

    Raises:
        IngestError: If an option has a value that is not allowed.
    """
    crs = str(reader.option(choices, "crs") or WGS84)
    if crs not in (WGS84, "E7"):
        try:
            pyproj.CRS.from_user_input(crs)
        except pyproj.exceptions.CRSError:
            raise IngestError(
                [Problem("CRS", f"{crs[:60]!r} is no reference system.", "Use a code such as EPSG:3857.", file.name)]
            ) from None
    swap, day_first = reader.option(choices, "swap_coordinates"), None
    if any(spec.name == "day_first" for spec in reader.options):
        day_first = reader.option(choices, "day_first")
    decimal = reader.option(choices, "decimal") or (file.text.decimal if file.text else ".")
    naive = reader.option(choices, "naive_times") if any(spec.name == "naive_times" for spec in reader.options) else "local"
    return Reading(
        str(decimal),
        crs,
        None if swap is None else bool(swap),
        None if day_first is None else bool(day_first),
        naive_is_utc=naive == "utc",
    )


def with_naive_times(reader: Reader, choices: FileChoices, mapping: Mapping[str, str], reading: Reading, ledger: Ledger) -> Reading:
    """The reading with times without an offset in UTC, where that is chosen or the names of their columns say so."""
    columns = [mapping[name] for name in ("started_at", "time_of_day") if name in mapping]
    chosen = reader.option(choices, "naive_times")
    if chosen == "utc" or (chosen == "auto" and any(re.search(r"utc|gmt", column.lower()) for column in columns)):
        ledger.repair(f"Times without an offset in {' and '.join(f'`{column}`' for column in columns)} were read as UTC.")
        return replace(reading, naive_is_utc=True)
    return reading


class Checkins(Reader):
    """Visits from any table whose columns can be mapped."""

    name = "checkins"
    title = "Check-ins or stays (any table)"
    takes_any_table = True
    tables = ("visits", "locations")
    fields = FIELDS
    options = (*TABLE_OPTIONS, *TIME_OPTIONS)

    def recognise(self, file: SniffedFile) -> float:
        """See `Reader.recognise`: sure to the degree that the required fields find a column."""
        if not file.columns:
            return 0.0
        mapping = self.propose(file)
        has_place = "location_id" in mapping or {"latitude", "longitude"} <= set(mapping)
        if {"user_id", "started_at"} <= set(mapping) and has_place:
            return 0.7 if file.text is None or file.text.header else 0.4
        return 0.3 if "started_at" in mapping and (has_place or "user_id" in mapping) else 0.05

    def propose(self, file: SniffedFile) -> dict[str, str]:
        """See `Reader.propose`."""
        if file.text is not None and not file.text.header:
            return _propose_by_content(file)
        return propose_mapping(file, self.fields)

    def read(self, file: SniffedFile, choices: FileChoices, context: ReadContext) -> ReadResult:
        """See `Reader.read`."""
        mapping = check_mapping(file, self.fields, self.propose(file), choices.mapping)
        has_position = {"latitude", "longitude"} <= set(mapping)
        if "location_id" not in mapping and not has_position:
            columns = ", ".join(f"`{column}`" for column in file.columns[:30])
            found = "A visit needs a place: `location_id`, or `latitude` and `longitude`."
            raise IngestError([Problem("FIELD_MISSING", found, f"Map them to one of {columns}.", file.name)])
        ledger = Ledger(file.name, problems=list(file.problems))
        columns_given = None if file.text is None or file.text.header else file.text.columns
        table = Table(file, ledger, columns_given, context.limit_rows)
        reading = with_naive_times(self, choices, mapping, reading_of(self, file, choices), ledger)
        return read_visits(self, file, table, mapping, reading, context)


def read_visits(
    reader: Reader, file: SniffedFile, table: Table, mapping: Mapping[str, str], reading: Reading, context: ReadContext
) -> ReadResult:
    """Visits, the locations they imply and the file card, for any reader whose rows are visits."""
    ledger = table.ledger
    rows = read_rows(table, mapping, reading, context)
    if ledger.is_refused:
        return ReadResult(problems=ledger.problems)
    rows = fill_locations(rows) if "location_id" in rows.text else name_positions(rows, ledger)
    result = ReadResult(tables={"visits": visits_frame(rows)}, problems=ledger.problems)
    locations = derive_locations(rows, ledger)
    if locations is not None:
        result.tables["locations"] = locations
        result.derived.add("locations")
    result.cards.append(reader.card(file, "visits", ledger.rows_in, len(rows), ledger.dropped, ledger.repairs))
    return result


class Venues(Reader):
    """A table of places that visits refer to by id; without visits beside it, points of interest."""

    name = "venues"
    title = "Venues or places (any table)"
    takes_any_table = True
    tables = ("locations", "pois")
    fields = (
        FieldSpec("location_id", "id that visits refer to", required=True, synonyms=(*_LOCATION, "id", "osmid", "geoid")),
        LATITUDE,
        LONGITUDE,
        *_PLACE_TEXT,
    )
    options = (
        *TABLE_OPTIONS,
        OptionSpec(
            "table",
            "places that visits refer to, or points of interest; `auto` looks at the visits",
            "auto",
            ("auto", "locations", "pois"),
        ),
    )

    def recognise(self, file: SniffedFile) -> float:
        """See `Reader.recognise`: an id and a position or a category, and no person and no time."""
        if not file.columns or (file.text is not None and not file.text.header):
            return 0.0
        mapping = self.propose(file)
        if "location_id" not in mapping or {"user_id", "started_at"} <= set(propose_mapping(file, FIELDS)):
            return 0.0
        if {"latitude", "longitude"} <= set(mapping):
            return 0.65 if {"category", "name"} & set(mapping) else 0.45
        return 0.4 if {"category", "name"} & set(mapping) else 0.0

    def propose(self, file: SniffedFile) -> dict[str, str]:
        """See `Reader.propose`."""
        return propose_mapping(file, self.fields)

    def read(self, file: SniffedFile, choices: FileChoices, context: ReadContext) -> ReadResult:
        """See `Reader.read`. Without coordinates the table only adds category and names to locations known from visits."""
        mapping = check_mapping(file, self.fields, self.propose(file), choices.mapping)
        reading = reading_of(self, file, choices)
        ledger = Ledger(file.name, problems=list(file.problems))
        table = Table(file, ledger, limit_rows=context.limit_rows)
        positions = Positions(mapping, reading, ledger) if {"latitude", "longitude"} <= set(mapping) else None
        columns = list(dict.fromkeys(mapping.values()))
        parts = [self._block(first, block, mapping, positions, ledger) for first, block in table.blocks(columns)]
        if not parts:
            raise ledger.nothing_read()
        frame = pd.concat(parts, ignore_index=True)
        keep = np.ones(len(frame), bool)
        number = frame.pop("row").to_numpy()
        ledger.drop("DUPLICATE", keep, frame.duplicated().to_numpy(), rows=number)
        ledger.drop(
            "MERGED", keep, frame["location_id"].duplicated().to_numpy(), rows=number, values=frame["location_id"].to_numpy()
        )
        frame = frame[keep].reset_index(drop=True)
        explained: frozenset[str] = frozenset()
        if positions is not None:
            explained = positions.explain(frame["longitude"].to_numpy(float), frame["latitude"].to_numpy(float))
        ledger.close(explained)
        if ledger.is_refused:
            return ReadResult(problems=ledger.problems)
        if "category" not in frame:
            frame["category"] = ""
        text = [column for column in frame.columns if column not in ("latitude", "longitude")]
        plain = frame[text].astype("str")
        locations: pd.DataFrame = plain
        if "latitude" in frame:
            locations = gpd.GeoDataFrame(plain, geometry=shapely.points(frame["longitude"], frame["latitude"]), crs=WGS84)
        result = ReadResult(tables={"locations": locations}, problems=ledger.problems)
        result.provenance["venues_table"] = self.option(choices, "table")
        result.cards.append(self.card(file, "locations", ledger.rows_in, len(frame), ledger.dropped, ledger.repairs))
        return result

    def _block(
        self, first: int, block: Mapping[str, pa.Array], mapping: Mapping[str, str], positions: Positions | None, ledger: Ledger
    ) -> pd.DataFrame:
        columns: dict[str, Any] = {
            name: as_text(block[column]).to_numpy(zero_copy_only=False).astype(object)
            for name, column in mapping.items()
            if name not in ("latitude", "longitude")
        }
        rows = len(columns["location_id"])
        keep = np.ones(rows, bool)
        ledger.drop("LOCATION_MISSING", keep, columns["location_id"] == "", first, mapping["location_id"])
        if positions is not None:
            longitude, latitude = positions.read(block[mapping["latitude"]], block[mapping["longitude"]], keep, first)
            columns |= {"longitude": longitude, "latitude": latitude}
        columns["row"] = np.arange(first, first + rows)
        return pd.DataFrame(columns)[keep]


def _fits(spec: FieldSpec, file: SniffedFile, column: str, mapping: Mapping[str, str]) -> bool:
    """Whether a column's first values can be what the field needs beside those mapped before; typed files are judged by name alone."""
    if spec.kind == "clock":
        dates = file.samples.get(mapping.get("started_at", ""), ())
        return times.are_clocks(file.samples.get(column, ())) and times.are_dates(dates)
    if file.text is None:
        return True
    values = [value for value in file.samples.get(column, ()) if value]
    if not values:
        return True
    if spec.kind in ("latitude", "longitude") and len(plain_name(column)) < 3:
        # `x` and `y` can be anything; `latitude` is a claim, and what stands under it is judged when it is read.
        return sum(1 for value in values if NUMBER.match(value)) > 0.8 * len(values)
    if spec.kind == "time":
        return bool(times.candidate_formats(values))
    if spec.kind == "split":
        return sum(1 for value in values if value.lower() in SPLIT_NAMES) > 0.9 * len(values)
    return True


def _propose_by_content(file: SniffedFile) -> dict[str, str]:
    """For tables without a header: a time, two neighbouring columns of degrees, a person first and a place last."""
    mapping: dict[str, str] = {}
    degrees: list[str] = []
    clocks: list[str] = []
    for column in file.columns:
        values = [value for value in file.samples[column] if value]
        if not values:
            continue
        if all(re.match(r"^-?\d{1,3}\.\d+$", value) and abs(float(value)) <= 180 for value in values):
            degrees.append(column)
        elif times.are_clocks(values):
            clocks.append(column)
        elif (
            "started_at" not in mapping
            and not all(re.match(r"^\d{1,8}$", value) for value in values)
            and times.candidate_formats(values)
        ):
            mapping["started_at"] = column
    for first, second in pairwise(degrees):
        if file.columns.index(second) == file.columns.index(first) + 1:
            is_latitude = all(abs(float(value)) <= 90 for value in file.samples[first] if value)
            mapping |= {"latitude": first, "longitude": second} if is_latitude else {"longitude": first, "latitude": second}
            break
    if clocks and times.are_dates(file.samples.get(mapping.get("started_at", ""), ())):
        mapping["time_of_day"] = clocks[0]
    rest = [column for column in file.columns if column not in (*mapping.values(), *clocks)]
    if "started_at" in mapping and rest:
        mapping["user_id"] = rest[0]
        if len(rest) > 1:
            mapping["location_id"] = rest[-1]
    return mapping
