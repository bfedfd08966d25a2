"""GPS points to stays and locations: Geolife's zip of PLT files, a single PLT file, and any table of person, time and position.

Source of the PLT format: Geolife GPS Trajectories 1.3 user guide (Microsoft Research Asia): six header lines; latitude, longitude, 0,
altitude in feet, days since 1899-12-30, date, time; GMT.
"""

import re
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import PurePosixPath

import geopandas as gpd
import numpy as np
import pandas as pd
import pyarrow as pa
import shapely

from engine.city.antimeridian import beside
from engine.city.checks import Ledger
from engine.city.readers.archives import read_members
from engine.city.readers.base import IS_LOCAL_TIME, FileChoices, OptionSpec, ReadContext, Reader, ReadResult, SniffedFile, TextSniff
from engine.city.readers.checkins import (
    FIELDS,
    TABLE_OPTIONS,
    TIME_OPTIONS,
    check_mapping,
    propose_mapping,
    reading_of,
    with_naive_times,
)
from engine.city.readers.positions import Reading
from engine.city.readers.tables import Table
from engine.city.readers.visits import read_rows
from engine.city.schema import WGS84
from engine.city.stays import StayRules, find_locations, find_stays, merge_stays
from engine.city.times import TimeFormat, are_dates, candidate_formats, join_clocks, read_times
from engine.errors import IngestError, Problem

HEADER = "Geolife trajectory"
STAY_OPTIONS = (
    OptionSpec("stay_metres", "points nearer than this belong to one stay, metres", 200.0),
    OptionSpec("stay_minutes", "least duration of a stay, minutes", 30.0),
    OptionSpec("gap_minutes", "a longer silence ends a stay without counting it, minutes", 1440.0),
    OptionSpec("location_metres", "stays nearer than this are one location (DBSCAN eps), metres", 20.0),
    OptionSpec("least_stays", "stays that make a location", 2),
    OptionSpec("merge_minutes", "stays at one location at most that far apart become one, minutes", 1.0),
)
_LINE = re.compile(rb"(?m)^([^,\r\n]*,[^,\r\n]*),[^,\r\n]*,[^,\r\n]*,[^,\r\n]*,([^,\r\n]*),([^,\r\n]*)\r?$")
_COLUMNS = ("user", "latitude", "longitude", "time")
_MAPPING = {"user_id": "user", "latitude": "latitude", "longitude": "longitude", "started_at": "time"}


class Geolife(Reader):
    """Geolife's folder as a zip, or one of its PLT files."""

    name = "geolife"
    title = "Geolife GPS trajectories (PLT)"
    tables = ("visits", "locations")
    options = STAY_OPTIONS

    def recognise(self, file: SniffedFile) -> float:
        """See `Reader.recognise`."""
        if file.kind == "zip":
            tracks = sum(1 for entry in file.entries if entry.lower().endswith(".plt"))
            return 0.97 if tracks and tracks >= 0.5 * len(file.entries) else 0.0
        return 0.97 if file.kind == "text" and file.head_text.startswith(HEADER) else 0.0

    def read(self, file: SniffedFile, choices: FileChoices, context: ReadContext) -> ReadResult:
        """See `Reader.read`."""
        ledger = Ledger(file.name, problems=list(file.problems))
        joined = context.folder / f"{uuid.uuid4().hex}.points"
        sessions = 0
        with joined.open("wb") as sink:
            for user, content in self._tracks(file):
                if not content.startswith(HEADER.encode()):
                    ledger.refuse("FORMAT", f"A track of person {user!r} does not begin with `{HEADER}`.", "Leave that file out.")
                    break
                parts = content.split(b"\n", 6)
                if len(parts) == 7 and parts[6].strip():
                    body = _LINE.sub(rb"\1,\2 \3", parts[6])
                    sink.write(re.sub(rb"(?m)^(?=.)", user.encode() + b",", body).rstrip(b"\n") + b"\n")
                    sessions += 1
        if ledger.is_refused:
            raise IngestError(ledger.problems)
        if not joined.stat().st_size:
            raise IngestError([Problem("NO_ROWS", "The tracks hold no points.", "Choose other files.", file.name)])
        text = TextSniff("utf-8", True, ",", ".", False, False, _COLUMNS, ())
        points = replace(file, path=joined, kind="text", text=text, columns=_COLUMNS)
        reading = Reading(time_format=TimeFormat("iso"), naive_is_utc=True)
        result = read_points(self, points, Table(points, ledger, _COLUMNS, context.limit_rows), _MAPPING, reading, choices, context)
        result.assumptions.append(f"`{file.name}`: {sessions:,} tracks; their times are GMT, as the Geolife guide says.")
        return result

    def _tracks(self, file: SniffedFile) -> Iterator[tuple[str, bytes]]:
        if file.kind != "zip":
            yield PurePosixPath(file.name).stem, file.path.read_bytes()
            return
        for name, content in read_members(file.path, file.name, ".plt"):
            parts = PurePosixPath(name.replace("\\", "/")).parts
            # .../Data/000/Trajectory/20081023025304.plt; without that folder the file's own folder names the person.
            folders = [part for part in parts[:-1] if part.lower() not in ("trajectory", "data")]
            yield re.sub(r"[^\w.-]", "_", folders[-1] if folders else "000"), content


class GpsPoints(Reader):
    """Any table of person, time, latitude and longitude in short steps."""

    name = "gps"
    title = "GPS points (any table), to stays"
    takes_any_table = True
    tables = ("visits", "locations")
    fields = tuple(
        replace(spec, required=spec.name in ("latitude", "longitude", "user_id", "started_at"))
        for spec in FIELDS
        if spec.name in ("user_id", "started_at", "time_of_day", "latitude", "longitude")
    )
    options = (
        *TABLE_OPTIONS,
        *TIME_OPTIONS,
        *STAY_OPTIONS,
    )

    def recognise(self, file: SniffedFile) -> float:
        """See `Reader.recognise`: no location id, and points minutes apart at most."""
        mapping = propose_mapping(file, FIELDS)
        needed = {"user_id", "started_at", "latitude", "longitude"}
        if not needed <= set(mapping) or "location_id" in mapping or file.text is None or not file.text.header:
            return 0.0
        given = pa.array(file.samples[mapping["started_at"]], pa.string())
        if "time_of_day" in mapping:
            given = join_clocks(given, pa.array(file.samples[mapping["time_of_day"]], pa.string()))
        values = [value for value in given.to_pylist() if value]
        formats = candidate_formats(values)
        if not formats or len(values) < 3 or are_dates(values):
            return 0.0
        clock = read_times(pa.array(values, pa.string()), formats[0])
        steps = np.abs(np.diff(clock.microseconds[~clock.bad & ~clock.missing])) / 1e6
        return 0.85 if len(steps) and float(np.median(steps)) <= 180 else 0.3

    def propose(self, file: SniffedFile) -> dict[str, str]:
        """See `Reader.propose`."""
        return propose_mapping(file, self.fields)

    def read(self, file: SniffedFile, choices: FileChoices, context: ReadContext) -> ReadResult:
        """See `Reader.read`."""
        mapping = check_mapping(file, self.fields, self.propose(file), choices.mapping)
        ledger = Ledger(file.name, problems=list(file.problems))
        reading = with_naive_times(self, choices, mapping, reading_of(self, file, choices), ledger)
        return read_points(self, file, Table(file, ledger, None, context.limit_rows), mapping, reading, choices, context)


def read_points(
    reader: Reader,
    file: SniffedFile,
    table: Table,
    mapping: Mapping[str, str],
    reading: Reading,
    choices: FileChoices,
    context: ReadContext,
) -> ReadResult:
    """Stays as visits and their DBSCAN locations, from a table of points; every point is accounted for."""
    ledger = table.ledger
    rules = _rules(reader, choices)
    rows = read_rows(table, mapping, reading, context)
    if ledger.is_refused:
        return ReadResult(problems=ledger.problems)
    assert rows.longitude is not None and rows.latitude is not None  # both are required fields
    names = np.array(rows.text["user_id"].dictionary.to_pylist(), dtype=object)
    codes = rows.text["user_id"].indices.to_numpy(zero_copy_only=False).astype(np.int64)
    order = np.lexsort((rows.started, codes))
    codes, clock = codes[order], rows.started[order]
    stays, belongs = find_stays(codes, clock, rows.longitude[order], rows.latitude[order], rules)
    stays["location"] = find_locations(stays, rules)
    keep = np.ones(len(order), bool)
    row = rows.row[order]
    ledger.drop("NO_STAY", keep, belongs < 0, rows=row)
    lonely = np.append(stays["location"].to_numpy() < 0, False)
    ledger.drop("NOISE", keep, lonely[belongs], rows=row)
    kept = stays[stays["location"] >= 0]
    if kept.empty:
        found = f"Among {ledger.rows_in:,} points there is no stay of {rules.minutes:g} minutes that comes again within {rules.eps_m:g} m."
        ledger.refuse("NO_STAYS", found, "Lower `stay_minutes` or `least_stays`, or raise `stay_metres` and `location_metres`.")
        return ReadResult(problems=ledger.problems)
    local = bool(rows.started_local.any())
    visits = merge_stays(kept[["user", "location", "started", "finished", "points"]].reset_index(drop=True), rules)
    width = len(str(int(kept["location"].max())))
    ids = np.array([f"place {number:0{width}d}" for number in range(int(kept["location"].max()) + 1)], dtype=object)
    frame = pd.DataFrame(
        {
            "user_id": pd.Categorical(names[visits["user"].to_numpy(int)]),
            "location_id": pd.Categorical(ids[visits["location"].to_numpy(int)]),
            "started_at": visits["started"].to_numpy().astype("datetime64[us]"),
            "finished_at": visits["finished"].to_numpy().astype("datetime64[us]"),
            IS_LOCAL_TIME: local,
        }
    )
    east = beside(kept["longitude"], kept.groupby("location")["longitude"].transform("first"))
    middle = kept.assign(longitude=east).groupby("location")[["longitude", "latitude"]].mean()
    middle["longitude"] = beside(middle["longitude"], 0.0)
    plain = pd.DataFrame({"location_id": ids[middle.index.to_numpy(int)], "category": ""}).astype("str")
    locations = gpd.GeoDataFrame(plain, geometry=shapely.points(middle["longitude"], middle["latitude"]), crs=WGS84)
    found = (
        f"{len(rows):,} GPS points became {len(stays):,} stays (within {rules.distance_m:g} m for {rules.minutes:g} minutes), of which "
        f"{len(kept):,} lie at {len(locations):,} locations; {len(kept) - len(visits):,} were merged with the one before."
    )
    ledger.repair(found)
    card = reader.card(
        file,
        "visits",
        ledger.rows_in,
        int(keep.sum()),
        ledger.dropped,
        ledger.repairs,
        confidence=0.97 if reader.name == "geolife" else None,
    )
    return ReadResult({"visits": frame, "locations": locations}, [card], ledger.problems, derived={"locations"})


def _rules(reader: Reader, choices: FileChoices) -> StayRules:
    names = ("stay_metres", "stay_minutes", "gap_minutes", "location_metres", "least_stays", "merge_minutes")
    values = []
    for name in names:
        value = reader.option(choices, name)
        if (
            isinstance(value, bool)
            or not isinstance(value, int | float)
            or not (value > 0 or (name == "merge_minutes" and value == 0))
        ):
            raise IngestError([Problem("OPTION", f"Option `{name}` is {value!r}.", "It must be a number above 0.")])
        values.append(value)
    distance, minutes, gap, eps, least, merge = values
    return StayRules(distance, minutes, gap, eps, int(least), merge)
