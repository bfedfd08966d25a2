"""Reading times: which format a column is in, and the rules where a clock is ambiguous.

Fixed rules: a naive time is wall-clock time of the city's zone; in the hour that happens twice (clocks go back) it is the first
one, daylight time; in the hour that does not exist (clocks go forward) it is moved forward to the first instant that does.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

OFFSET = r"(?:[zZ]| ?[+-][0-9]{2}(?::?[0-9]{2})?)$"
_EPOCH_UNITS = (("s", 1e8, 1e10), ("ms", 1e11, 1e13), ("us", 1e14, 1e16), ("ns", 1e17, 1e19))
_MICROSECONDS = {"s": 1e6, "ms": 1e3, "us": 1.0, "ns": 1e-3}

_CLOCKS = (" %H:%M:%S", " %H:%M", " %I:%M:%S %p", " %I:%M %p", "T%H:%M:%S", "")
_DAY_FIRST = tuple(f"{date}{clock}" for date in ("%d/%m/%Y", "%d.%m.%Y", "%d-%m-%Y", "%d/%m/%y") for clock in _CLOCKS)
_MONTH_FIRST = tuple(f"{date}{clock}" for date in ("%m/%d/%Y", "%m.%d.%Y", "%m-%d-%Y", "%m/%d/%y") for clock in _CLOCKS)
_YEAR_FIRST = tuple(
    f"{date}{clock}" for date in ("%Y/%m/%d", "%Y.%m.%d", "%Y%m%d", "%Y-%m-%d") for clock in (*_CLOCKS, "%H%M%S", "T%H%M%S")
)
_WORDED = ("%d %b %Y %H:%M:%S", "%d %b %Y %H:%M", "%b %d, %Y %H:%M:%S", "%b %d, %Y %I:%M:%S %p", "%d-%b-%Y %H:%M:%S")
_CLOCK = re.compile(r"^\d{1,2}:\d{2}(:\d{2}(\.\d+)?)?( ?[ap]\.?m\.?)?(z| ?[+-]\d{2}:?\d{2})?$", re.IGNORECASE)
DAY = 86_400_000_000
"""Microseconds of a day."""
TWITTER = "%a %b %d %H:%M:%S %z %Y"
"""The format of Foursquare's TSMC2014 and of Twitter: `Tue Apr 03 18:00:09 +0000 2012`."""


@dataclass(frozen=True)
class TimeFormat:
    """How a column writes times: `iso`, `epoch` (with its unit), `typed` (Parquet timestamps) or a strptime pattern."""

    kind: str
    pattern: str = ""

    def __str__(self) -> str:
        return {"iso": "ISO 8601", "epoch": f"epoch {self.pattern}", "typed": "timestamps"}.get(self.kind, f"`{self.pattern}`")


@dataclass(frozen=True)
class Times:
    """A block of times.

    Attributes:
        microseconds: (row,) int64 since 1970; UTC, or wall clock where `local`.
        local: (row,) bool, naive wall-clock time.
        missing: (row,) bool, empty.
        bad: (row,) bool, not readable.
    """

    microseconds: np.ndarray
    local: np.ndarray
    missing: np.ndarray
    bad: np.ndarray


def candidate_formats(sample: Sequence[str]) -> list[TimeFormat]:
    """The formats that read at least 80 % of a sample, the likeliest first; empty where none does.

    Several are left only where day and month cannot be told apart; `settle_format` decides over the whole column.
    """
    values = pa.array([value.strip() for value in sample if value.strip()], pa.string())
    if not len(values):
        return []
    enough = 0.8 * len(values)
    numbers = pd.to_numeric(pd.Series(values.to_pylist()), errors="coerce")
    if numbers.notna().sum() >= enough:
        middle = float(numbers.abs().median())
        for unit, low, high in _EPOCH_UNITS:
            if low <= middle < high:
                return [TimeFormat("epoch", unit)]
    iso = read_times(values, TimeFormat("iso"))
    if (~iso.bad).sum() >= enough:
        return [TimeFormat("iso")]
    found = []
    for pattern in (TWITTER, *_DAY_FIRST, *_MONTH_FIRST, *_YEAR_FIRST, *_WORDED):
        if (~read_times(values, TimeFormat("pattern", pattern)).bad).sum() >= enough:
            found.append(TimeFormat("pattern", pattern))
    # Two-digit years read four-digit ones wrongly and the other way round; the longer pattern knows better.
    full = [known for known in found if "%y" not in known.pattern]
    return full or found


def are_clocks(sample: Sequence[str]) -> bool:
    """Whether at least 80 % of a sample are times of day without a date: `18:00`, `6:00:09 PM`, `18:00:09+09:00`."""
    values = [value.strip() for value in sample if value.strip()]
    return bool(values) and sum(1 for value in values if _CLOCK.match(value)) >= 0.8 * len(values)


def are_dates(sample: Sequence[str]) -> bool:
    """Whether the times of a sample that can be read are all at 00:00, as dates without a time of day are."""
    formats = candidate_formats(sample)
    if not formats:
        return False
    seen = read_times(pa.array(list(sample), pa.string()), formats[0])
    return bool((seen.microseconds[~seen.bad & ~seen.missing] % DAY == 0).all())


def join_clocks(dates: pa.Array, clocks: pa.Array) -> pa.Array:
    """Dates and times of day of two columns as one text; empty where either is. A midnight written behind the dates is left out."""
    day, clock = (pc.utf8_trim_whitespace(pc.fill_null(pc.cast(values, pa.string()), "")) for values in (dates, clocks))
    day = pc.replace_substring_regex(day, r"[ T]0?0:00(:00(\.0+)?)?$", "")
    clock = pc.replace_substring_regex(pc.utf8_upper(clock), r"\s*([AP])\.?M\.?$", r" \1M")
    clock = pc.replace_substring_regex(clock, r"^(\d):", r"0\1:")
    there = pc.and_(pc.not_equal(day, ""), pc.not_equal(clock, ""))
    return pc.if_else(there, pc.binary_join_element_wise(day, clock, " "), "")


def is_day_first(time_format: TimeFormat) -> bool | None:
    """Whether the day stands before the month; None where the format leaves no doubt."""
    if time_format.pattern in _DAY_FIRST:
        return True
    return False if time_format.pattern in _MONTH_FIRST else None


def settle_format(candidates: Sequence[TimeFormat], blocks: Iterable[pa.Array]) -> list[TimeFormat]:
    """The candidates that read every row any of them can read.

    Args:
        candidates: Formats the sample allowed.
        blocks: The whole column as text.

    Returns:
        One format where the column is clear; several where every row fits them all (ask); none where rows contradict each other.
    """
    misses = dict.fromkeys(candidates, 0)
    for block in blocks:
        readable = {known: ~read_times(block, known).bad for known in candidates}
        union = np.logical_or.reduce(list(readable.values()))
        for known in candidates:
            misses[known] += int((union & ~readable[known]).sum())
    return [known for known in candidates if not misses[known]]


def read_times(values: pa.Array, time_format: TimeFormat) -> Times:
    """Reads a block of times; rows that do not fit the format are marked, never guessed."""
    if pa.types.is_timestamp(values.type) or pa.types.is_date(values.type):
        return _typed(values)
    if not pa.types.is_string(values.type):
        values = pc.cast(values, pa.string())
    values = pc.utf8_trim_whitespace(pc.fill_null(values, ""))
    missing = pc.equal(values, "").to_numpy(zero_copy_only=False)
    if time_format.kind == "epoch":
        result, bad = _epoch(values, time_format.pattern)
        local = np.zeros(len(values), bool)
    elif time_format.kind == "iso":
        result, local, bad = _iso(values)
    else:
        result, local, bad = _read_pattern(values, time_format.pattern)
    return Times(result, local & ~bad & ~missing, missing, bad & ~missing)


def localise(wall: pd.Series, time_zone: str) -> tuple[pd.Series, int, int]:
    """Wall-clock times of a zone to UTC by the rules at the top of this file.

    Args:
        wall: Naive datetimes.
        time_zone: IANA name.

    Returns:
        UTC times, how many lay in the hour that happens twice, how many in the hour that does not exist.
    """
    seen = wall.dt.tz_localize(time_zone, ambiguous="NaT", nonexistent="shift_forward")
    twice = int(seen.isna().sum() - wall.isna().sum())
    moved = int(
        wall.dt.tz_localize(time_zone, ambiguous=np.ones(len(wall), bool), nonexistent="NaT").isna().sum() - wall.isna().sum()
    )
    if twice:
        first = np.ones(len(wall), bool)
        seen = wall.dt.tz_localize(time_zone, ambiguous=first, nonexistent="shift_forward")
    return seen.dt.tz_convert("UTC"), twice, moved


def _typed(values: pa.Array) -> Times:
    is_local = not (pa.types.is_timestamp(values.type) and values.type.tz)
    missing = pc.is_null(values).to_numpy(zero_copy_only=False)
    unit = pa.timestamp("us", None if is_local else "UTC")
    stamps = pc.cast(pc.cast(values, unit, safe=False), pa.int64())
    return Times(
        pc.fill_null(stamps, 0).to_numpy(zero_copy_only=False), np.full(len(values), is_local), missing, np.zeros(len(values), bool)
    )


def _epoch(values: pa.Array, unit: str) -> tuple[np.ndarray, np.ndarray]:
    try:
        numbers = pc.cast(values, pa.float64()).to_numpy(zero_copy_only=False)
    except pa.ArrowInvalid:
        numbers = pd.to_numeric(pd.Series(values.to_pylist()), errors="coerce").to_numpy(float)
    bad = ~np.isfinite(numbers) | (np.abs(np.where(np.isfinite(numbers), numbers, 0)) * _MICROSECONDS[unit] > 8e18)
    return np.rint(np.where(bad, 0, numbers) * _MICROSECONDS[unit]).astype(np.int64), bad


def _iso(values: pa.Array) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rows = len(values)
    for zone, local in (("UTC", False), (None, True)):
        try:
            stamps = pc.cast(values, pa.timestamp("us", zone))
            return _integers(stamps), np.full(rows, local), np.zeros(rows, bool)
        except pa.ArrowInvalid:
            continue
    text = pd.Series(values.to_pylist(), dtype=object)
    text = text.str.replace(r"\s*UTC$", "Z", regex=True)
    aware = text.str.contains(r"\d{2}:\d{2}.*" + OFFSET, regex=True).to_numpy(bool)
    dated = text.str.match(r"^\d{4}-\d{2}-\d{2}").to_numpy(bool)
    result, bad = np.zeros(rows, np.int64), np.ones(rows, bool)
    for chosen in (aware & dated, ~aware & dated):
        if chosen.any():
            stamps = pd.to_datetime(text[chosen], format="ISO8601", utc=True, errors="coerce")
            result[chosen] = stamps.dt.tz_localize(None).to_numpy("datetime64[us]").astype(np.int64)
            bad[chosen] = stamps.isna().to_numpy()
    result[bad] = 0
    return result, ~aware, bad


def _read_pattern(values: pa.Array, pattern: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rows, shift = len(values), np.zeros(len(values), np.int64)
    aware = "%z" in pattern
    if aware:
        # strptime reads an offset without applying it, so it is cut out and applied here.
        parts = pc.extract_regex(values, r"^(?P<head>.*) (?P<sign>[+-])(?P<hours>\d{2})(?P<minutes>\d{2})(?P<tail> \d{4})$")
        head, sign, hours, minutes, tail = (pc.fill_null(pc.struct_field(parts, index), "") for index in range(5))
        east = (_whole(hours) * 60 + _whole(minutes)) * 60_000_000
        shift = np.where(pc.equal(sign, "-").to_numpy(zero_copy_only=False), -east, east)
        values = pc.binary_join_element_wise(head, tail, "")
        pattern = pattern.replace(" %z", "")
    stamps = pc.strptime(values, format=pattern, unit="us", error_is_null=True)
    bad = pc.is_null(stamps).to_numpy(zero_copy_only=False)
    digits = pc.fill_null(pc.struct_field(pc.extract_regex(values, _day_group(pattern)), 0), "")
    days = pc.fill_null(pc.day(stamps), 0).to_numpy(zero_copy_only=False)
    # strptime turns 31 February into 2 March; such a day does not exist.
    bad = bad | (days != _whole(digits))
    if "%Y" in pattern:
        years = pc.fill_null(pc.year(stamps), 0).to_numpy(zero_copy_only=False)
        bad |= (years < 1000) | (years > 9999)
    return np.where(bad, 0, _integers(stamps) - shift), np.full(rows, not aware), bad


def _day_group(pattern: str) -> str:
    token = {"%d": r"(?P<day>\d{1,2})", "%Y": r"\d{4}", "%m": r"\d{1,2}", "%y": r"\d{2}", "%b": "[A-Za-z]+", "%a": "[A-Za-z]+"}
    if "%Y%m%d" in pattern:
        token |= {"%m": r"\d{2}", "%d": r"(?P<day>\d{2})"}
    out = "^"
    index = 0
    while index < len(pattern):
        piece = pattern[index : index + 2]
        if piece in token:
            out += token[piece]
            index += 2
            if piece == "%d":
                break
        else:
            out += "\\." if pattern[index] == "." else pattern[index]
            index += 1
    return out


def _whole(digits: Any) -> np.ndarray:
    text = pc.if_else(pc.equal(digits, ""), "-1", digits)
    return pc.cast(text, pa.int64()).to_numpy(zero_copy_only=False)


def _integers(stamps: Any) -> np.ndarray:
    return pc.fill_null(pc.cast(stamps, pa.int64()), 0).to_numpy(zero_copy_only=False)
