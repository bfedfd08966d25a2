"""From blocks of text to visits and the locations they imply: shared by every reader of check-ins and GPS points."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import geopandas as gpd
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import shapely

from engine.city import times
from engine.city.antimeridian import beside
from engine.city.checks import Ledger
from engine.city.readers.archives import LIMITS
from engine.city.readers.base import IS_LOCAL_TIME, ReadContext
from engine.city.readers.positions import Positions, Reading
from engine.city.readers.tables import BLOCK_BYTES, Table, as_text
from engine.city.schema import WGS84
from engine.city.times import TimeFormat
from engine.errors import IngestError, Problem

TEXT_FIELDS = ("user_id", "location_id", "session_id", "category", "parent_category", "name", "address", "description")
LOCATION_TEXT = ("category", "name", "parent_category", "address", "description")
SPLIT_NAMES = {
    "train": "train", "training": "train", "valid": "valid", "val": "valid", "validation": "valid", "dev": "valid",
    "test": "test", "testing": "test",
}  # fmt: skip
_NAT = np.datetime64("NaT").astype(np.int64)
_DAY_1971 = 365 * 86_400_000_000


@dataclass
class Rows:
    """The kept rows of a table of visits or GPS points, in file order.

    Attributes:
        row: (row,) int64, number in the file, from 1.
        text: Field to dictionary-encoded values.
        started: (row,) int64 microseconds since 1970, UTC or wall clock.
        started_local: (row,) bool, wall clock.
        finished, finished_local: The same for departures, or None.
        longitude, latitude: (row,) float64 degrees WGS84 (NaN where unknown), or None where the file has none.
    """

    row: np.ndarray
    text: dict[str, pa.DictionaryArray]
    started: np.ndarray
    started_local: np.ndarray
    finished: np.ndarray | None = None
    finished_local: np.ndarray | None = None
    longitude: np.ndarray | None = None
    latitude: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.row)

    def take(self, keep: np.ndarray) -> "Rows":
        """The rows under a mask or at positions."""

        def cut(values: np.ndarray | None) -> np.ndarray | None:
            return None if values is None else values[keep]

        chosen = pa.array(keep)
        pick = {name: values.filter(chosen) if keep.dtype == bool else values.take(chosen) for name, values in self.text.items()}
        return Rows(
            self.row[keep], pick, self.started[keep], self.started_local[keep], cut(self.finished), cut(self.finished_local),
            cut(self.longitude), cut(self.latitude),
        )  # fmt: skip


def read_rows(table: Table, mapping: Mapping[str, str], reading: Reading, context: ReadContext) -> Rows:
    """Reads, checks and keeps the rows of a table; everything left out is counted in `table.ledger`.

    Args:
        table: The table.
        mapping: Field to column; needs `user_id` and `started_at`, and `location_id` or both coordinates.
        reading: How columns are to be understood.
        context: Row limit, clock and folder.

    Raises:
        IngestError: If the table cannot be parsed or a format must be asked for.
    """
    ledger = table.ledger
    formats = {name: _time_format(table, mapping, name, reading) for name in ("started_at", "finished_at") if name in mapping}
    if ledger.is_refused:
        raise IngestError(ledger.problems)
    has_position = {"latitude", "longitude"} <= set(mapping)
    parts: list[_Part] = []
    positions = Positions(mapping, reading, ledger) if has_position else None
    future = int(context.now.timestamp() * 1e6) + 86_400_000_000
    columns = list(dict.fromkeys(mapping.values()))
    kept = 0
    for first, block in table.blocks(columns):
        given = {name: _given(block, mapping, name) for name in mapping}
        rows = len(next(iter(given.values())))
        keep = np.ones(rows, bool)
        part = _Part(first)
        text = {name: as_text(given[name]) for name in (*TEXT_FIELDS, "split") if name in given}
        ledger.drop("USER_MISSING", keep, _is(text["user_id"], ""), first, mapping["user_id"])
        placed = np.zeros(rows, bool)
        if positions is not None:
            needed = "location_id" not in given
            part.longitude, part.latitude = positions.read(given["latitude"], given["longitude"], keep, first, needed)
            placed = ~np.isnan(part.longitude)
        if "location_id" in text:
            ledger.drop("LOCATION_MISSING", keep, _is(text["location_id"], "") & ~placed, first, mapping["location_id"])
        _clock(given, mapping, formats, keep, first, ledger, part, future)
        if reading.naive_is_utc:
            for seen in (part.started, part.finished):
                if seen is not None:
                    seen.local[:] = False
        if "split" in text:
            _split(text, mapping["split"], keep, first, ledger)
        part.keep, part.text = keep, text
        part.squeeze()
        parts.append(part)
        kept += int(keep.sum())
        share = min(len(parts) * BLOCK_BYTES / max(table.file.size, 1), 1.0)
        context.report(f"{ledger.file}: {ledger.rows_in:,} rows read", 0.1 + 0.7 * share)
        if kept > LIMITS.rows:
            raise IngestError(
                [Problem("ROWS", f"More than {LIMITS.rows:,} rows can be used.", "Cut the file by time or by person.", ledger.file)]
            )
    if not parts:
        raise ledger.nothing_read()
    result = _join(parts, [name for name in (*TEXT_FIELDS, "split") if name in mapping], "finished_at" in mapping, has_position)
    explained: frozenset[str] = frozenset()
    if positions is not None and result.longitude is not None and result.latitude is not None:
        explained = positions.explain(result.longitude, result.latitude)
    if result.finished is not None and result.finished_local is not None:
        known = result.finished != _NAT
        if bool((result.finished_local[known] != result.started_local[known]).any()):
            found = "Arrivals and departures are not both with, or both without, an offset from UTC."
            ledger.refuse("TIME_FORMAT", found, "Write both columns one way.", column=mapping["finished_at"])
    if len(result) and bool((result.started % times.DAY == 0).all()):
        found = "Every time is 00:00, as in a column of dates: what depends on the hour means nothing for these visits."
        mend = "Map the column with the time of day as `time_of_day`, or one with date and time as `started_at`."
        ledger.warn("NO_TIME_OF_DAY", found, mend, column=mapping["started_at"], rows=len(result))
    result = _without_repeats(result, table)
    ledger.close(explained)
    return result


def visits_frame(rows: Rows) -> pd.DataFrame:
    """Visits in file order: ids as categories, times naive with `is_local_time` beside them (ingest makes them UTC)."""
    frame = pd.DataFrame(
        {
            "user_id": _categories(rows.text["user_id"]),
            "location_id": _categories(rows.text["location_id"]),
            "started_at": rows.started.astype("datetime64[us]"),
        }
    )
    if rows.finished is not None:
        frame["finished_at"] = rows.finished.astype("datetime64[us]")
    for name in ("session_id", "split"):
        if name in rows.text:
            frame[name] = _categories(rows.text[name])
    frame[IS_LOCAL_TIME] = rows.started_local
    return frame


def derive_locations(rows: Rows, ledger: Ledger) -> gpd.GeoDataFrame | None:
    """The locations that visits with coordinates imply, sorted by id; None where the file has no coordinates.

    A location lies where its visits say; where they differ, at the median. Its category (and other texts) is the most frequent
    one that is not empty, the first in the alphabet among equals.
    """
    if rows.longitude is None or rows.latitude is None:
        return None
    encoded = rows.text["location_id"]
    codes = encoded.indices.to_numpy(zero_copy_only=False).astype(np.int64)
    names = encoded.dictionary.to_numpy(zero_copy_only=False).astype(object)
    placed = np.flatnonzero(~np.isnan(rows.longitude))
    if not len(placed):
        return None
    at = codes[placed]
    first = np.full(len(names), -1, np.int64)
    first[at[::-1]] = placed[::-1]
    longitude, latitude = rows.longitude[first].copy(), rows.latitude[first].copy()
    moving = (rows.longitude[placed] != longitude[at]) | (rows.latitude[placed] != latitude[at])
    if moving.any():
        wanders = np.zeros(len(names), bool)
        wanders[at[moving]] = True
        inside = wanders[at]
        east = beside(rows.longitude[placed][inside], longitude[at[inside]])
        middle = pd.DataFrame({"x": east, "y": rows.latitude[placed][inside]}).groupby(at[inside])
        centre, spread = middle.median(), middle.max() - middle.min()
        longitude[centre.index], latitude[centre.index] = beside(centre["x"], 0.0), centre["y"]
        far = int(((spread["x"] * np.cos(np.radians(centre["y"]))) ** 2 + spread["y"] ** 2 > (1000 / 111_320) ** 2).sum())
        ledger.repair(f"{int(wanders.sum()):,} locations have visits at differing coordinates; each was put at their median.")
        if far:
            found = f"{far:,} locations have visits more than 1 km apart; each was put at their median."
            ledger.warn("LOCATION_MOVES", found, "Check that the location column is an id of a place.", rows=far)
    known = np.flatnonzero(first >= 0)
    order = known[np.argsort(names[known].astype(str), kind="stable")]
    columns: dict[str, object] = {"location_id": names[order]}
    for name in LOCATION_TEXT:
        if name in rows.text:
            columns[name] = _usual(codes, len(names), rows.text[name])[order]
    columns.setdefault("category", np.full(len(order), "", object))
    frame = pd.DataFrame(columns).astype("str")
    return gpd.GeoDataFrame(frame, geometry=shapely.points(longitude[order], latitude[order]), crs=WGS84)


def name_positions(rows: Rows, ledger: Ledger) -> Rows:
    """Rows without location ids get one per distinct position, about a metre wide (five decimals)."""
    assert rows.longitude is not None and rows.latitude is not None  # the caller checked that coordinates are mapped
    spot = np.char.add(np.char.mod("%.5f_", rows.latitude), np.char.mod("%.5f", rows.longitude))
    rows.text["location_id"] = pa.array(spot.tolist(), pa.string()).dictionary_encode()
    ledger.repair("The file names no locations; visits within the same metre (five decimals) were taken as one location.")
    return rows


def fill_locations(rows: Rows) -> Rows:
    """Rows whose location id is empty but whose position is known get the position as id."""
    encoded = rows.text["location_id"]
    empty = _is(encoded.dictionary_decode(), "")
    if empty.any() and rows.longitude is not None and rows.latitude is not None:
        names = encoded.dictionary_decode().to_numpy(zero_copy_only=False).astype(object)
        names[empty] = [f"{y:.5f}_{x:.5f}" for x, y in zip(rows.longitude[empty], rows.latitude[empty], strict=True)]
        rows.text["location_id"] = pa.array(names, pa.string()).dictionary_encode()
    return rows


@dataclass
class _Part:
    first: int
    keep: np.ndarray = field(default_factory=lambda: np.zeros(0, bool))
    text: dict[str, pa.Array] = field(default_factory=dict)
    started: times.Times | None = None
    finished: times.Times | None = None
    longitude: np.ndarray | None = None
    latitude: np.ndarray | None = None
    row: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))

    def squeeze(self) -> None:
        """Keeps only the kept rows, compactly."""
        mask = pa.array(self.keep)
        self.row = np.flatnonzero(self.keep) + self.first
        self.text = {name: values.filter(mask).dictionary_encode() for name, values in self.text.items()}
        for name in ("started", "finished"):
            seen = getattr(self, name)
            if seen is not None:
                setattr(
                    self, name, times.Times(*(part[self.keep] for part in (seen.microseconds, seen.local, seen.missing, seen.bad)))
                )
        if self.longitude is not None and self.latitude is not None:
            self.longitude, self.latitude = self.longitude[self.keep], self.latitude[self.keep]


def _given(block: Mapping[str, pa.Array], mapping: Mapping[str, str], name: str) -> pa.Array:
    """A field's values as they stand; an arrival whose time of day stands in a column of its own is put together with it."""
    if name == "started_at" and "time_of_day" in mapping:
        return times.join_clocks(block[mapping[name]], block[mapping["time_of_day"]])
    return block[mapping[name]]


def _time_format(table: Table, mapping: Mapping[str, str], name: str, reading: Reading) -> TimeFormat:
    if reading.time_format is not None:
        return reading.time_format
    column = mapping[name]
    columns = [column, mapping["time_of_day"]] if name == "started_at" and "time_of_day" in mapping else [column]
    if table.file.kind == "parquet":
        empty = {known: pa.array([], pa.string()) for known in columns}
        values = _given(next(iter(table.blocks(columns, counted=False)), (0, empty))[1], mapping, name)
        kind = values.type
        if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
            return TimeFormat("typed")
        if pa.types.is_time(kind):
            mend = "Map the column of dates as `started_at` and this one as `time_of_day`."
            table.ledger.refuse("COLUMN_TYPE", "The column holds times of day without a date.", mend, column=column)
            return TimeFormat("typed")
        if pa.types.is_boolean(kind) or pa.types.is_duration(kind):
            table.ledger.refuse(
                "COLUMN_TYPE", f"The column holds {kind}, not times.", "Write timestamps, text or epoch seconds.", column=column
            )
            return TimeFormat("typed")
        sample = [str(value) for value in values[:200].to_pylist() if value is not None]
    else:
        assert table.file.text is not None  # delimited text
        places = {known: table.columns.index(known) for known in columns}
        rows = [row for row in table.file.text.rows if len(row) > max(places.values())]
        seen = {known: pa.array([row[place] for row in rows], pa.string()) for known, place in places.items()}
        sample = _given(seen, mapping, name).to_pylist()
    candidates = times.candidate_formats(sample)
    if reading.day_first is not None:
        candidates = [known for known in candidates if times.is_day_first(known) in (None, reading.day_first)]
    if not candidates:
        shown = next((value for value in sample if value.strip()), "")
        if not shown:
            if not table.ledger.is_refused and any(True for _ in table.blocks(columns, counted=False)):
                table.ledger.refuse("TIME_FORMAT", "The first 200 times are empty.", "Map another column.", column=column)
            return TimeFormat("iso")
        table.ledger.refuse(
            "TIME_FORMAT",
            f"Times such as {shown[:40]!r} are in no format known here.",
            "Write ISO 8601 (`2012-04-03T18:00:09Z`), epoch seconds, or 03/04/2012 18:00 with option `day_first`.",
            column=column,
        )
        return TimeFormat("iso")
    if len({times.is_day_first(known) for known in candidates}) == 1:
        return candidates[0]
    settled = times.settle_format(candidates, (_given(block, mapping, name) for _, block in table.blocks(columns, counted=False)))
    orders = {times.is_day_first(known) for known in settled}
    if len(orders) == 1:
        return settled[0]
    shown = next(value for value in sample if value.strip())
    if settled:
        found = f"In dates such as {shown!r} it cannot be told whether the day or the month comes first: every row fits both."
    else:
        found = f"Some dates, such as {shown!r}, only make sense with the day first and others only with the month first."
    table.ledger.refuse("DATE_ORDER", found, "Set option `day_first` to true or false.", column=column)
    return candidates[0]


def _clock(
    given: Mapping[str, pa.Array],
    mapping: Mapping[str, str],
    formats: Mapping[str, TimeFormat],
    keep: np.ndarray,
    first: int,
    ledger: Ledger,
    part: _Part,
    future: int,
) -> None:
    for name in formats:
        column = mapping[name]
        seen = times.read_times(given[name], formats[name])
        if name == "started_at":
            part.started = seen
            ledger.drop("TIME_MISSING", keep, seen.missing, first, column)
        ledger.drop("TIME_UNREADABLE", keep, seen.bad, first, column, given[name])
        valid = ~seen.missing & ~seen.bad
        ledger.drop("TIME_1970", keep, valid & (seen.microseconds < _DAY_1971), first, column, given[name])
        ledger.drop("TIME_FUTURE", keep, valid & (seen.microseconds > future), first, column, given[name])
        if name == "finished_at":
            part.finished = seen
            assert part.started is not None  # arrivals are read first
            ledger.drop(
                "ENDS_BEFORE_START",
                keep,
                valid & (seen.microseconds < part.started.microseconds) & (seen.local == part.started.local),
                first,
                column,
            )


def _split(text: dict[str, pa.Array], column: str, keep: np.ndarray, first: int, ledger: Ledger) -> None:
    names = pd.Series(text["split"].to_pylist(), dtype=object).str.lower().map(SPLIT_NAMES)
    ledger.drop("SPLIT_UNKNOWN", keep, names.isna().to_numpy(), first, column, text["split"])
    text["split"] = pa.array(names.fillna("").tolist(), pa.string())


def _join(parts: list[_Part], text: list[str], has_end: bool, has_position: bool) -> Rows:
    def stack(pieces: list[np.ndarray]) -> np.ndarray:
        return np.concatenate(pieces) if pieces else np.zeros(0)

    def encoded(name: str) -> pa.DictionaryArray:
        chunks = pa.chunked_array([part.text[name] for part in parts], pa.dictionary(pa.int32(), pa.string())).unify_dictionaries()
        joined = chunks.combine_chunks()
        return joined.chunk(0) if isinstance(joined, pa.ChunkedArray) else joined

    rows = Rows(
        row=stack([part.row for part in parts]),
        text={name: encoded(name) for name in text},
        started=stack([part.started.microseconds for part in parts if part.started]),
        started_local=stack([part.started.local for part in parts if part.started]),
    )
    if has_end:
        ended = [part.finished for part in parts if part.finished]
        rows.finished = stack([np.where(end.missing, _NAT, end.microseconds) for end in ended])
        rows.finished_local = stack([end.local for end in ended])
    if has_position:
        rows.longitude = stack([part.longitude for part in parts if part.longitude is not None])
        rows.latitude = stack([part.latitude for part in parts if part.latitude is not None])
    return rows


def _without_repeats(rows: Rows, table: Table) -> Rows:
    """Leaves out rows that repeat an earlier one in every column of the file; counts people who are at two places at once."""
    if len(rows) < 2:
        return rows
    users = rows.text["user_id"].indices.to_numpy(zero_copy_only=False)
    order = np.lexsort((rows.started, users))
    same = (np.diff(users[order]) == 0) & (np.diff(rows.started[order]) == 0)
    if not same.any():
        return rows
    twins = np.zeros(len(rows), bool)
    twins[order[1:][same]] = True
    twins[order[:-1][same]] = True
    wanted = rows.row[twins]
    pieces = []
    for first, block in table.blocks(table.columns, counted=False):
        length = len(next(iter(block.values())))
        low, high = np.searchsorted(wanted, [first, first + length])
        if high > low:
            at = pa.array(wanted[low:high] - first)
            pieces.append(pd.DataFrame({name: values.take(at).to_pylist() for name, values in block.items()}, dtype=object))
    raw = pd.concat(pieces, ignore_index=True).astype(str)
    repeated = raw.duplicated(keep="first").to_numpy()
    keep = np.ones(len(rows), bool)
    bad = np.zeros(len(rows), bool)
    bad[np.flatnonzero(twins)] = repeated
    table.ledger.drop("DUPLICATE", keep, bad, rows=rows.row)
    rows = rows.take(keep) if repeated.any() else rows
    if "location_id" in rows.text:
        _count_two_places(rows, table.ledger)
    return rows


def _count_two_places(rows: Rows, ledger: Ledger) -> None:
    users = rows.text["user_id"].indices.to_numpy(zero_copy_only=False)
    places = rows.text["location_id"].indices.to_numpy(zero_copy_only=False)
    order = np.lexsort((rows.started, users))
    users, clock, places = users[order], rows.started[order], places[order]
    both = int(((np.diff(users) == 0) & (np.diff(clock) == 0) & (np.diff(places) != 0)).sum())
    if both:
        found = f"{both:,} visits happen at the same time as another one of the same person elsewhere; all are kept in file order."
        ledger.warn("SAME_TIME", found, "Finer times would put them in order.", rows=both)
        ledger.repair(found)


def _usual(codes: np.ndarray, size: int, encoded: pa.DictionaryArray) -> np.ndarray:
    """(location,) the most frequent value that is not empty; the first in the alphabet among equals."""
    names = encoded.dictionary.to_numpy(zero_copy_only=False).astype(object)
    alphabet = np.argsort(names.astype(str), kind="stable")
    rank = np.empty(len(names), np.int64)
    rank[alphabet] = np.arange(len(names))
    value = rank[encoded.indices.to_numpy(zero_copy_only=False)]
    said = names[alphabet] != ""
    chosen = said[value]
    pairs, counts = np.unique(codes[chosen] * len(names) + value[chosen], return_counts=True)
    place, word = pairs // max(len(names), 1), pairs % max(len(names), 1)
    best = np.lexsort((word, -counts, place))
    first = np.r_[True, np.diff(place[best]) != 0] if len(best) else np.zeros(0, bool)
    result = np.full(size, "", object)
    result[place[best][first]] = names[alphabet][word[best][first]]
    return result


def _categories(encoded: pa.DictionaryArray) -> pd.Categorical:
    return pd.Categorical.from_codes(
        encoded.indices.to_numpy(zero_copy_only=False), pd.Index(encoded.dictionary.to_pylist(), dtype="str")
    )


def _is(values: pa.Array, text: str) -> np.ndarray:
    return pc.equal(values, text).to_numpy(zero_copy_only=False)
