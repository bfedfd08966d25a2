"""Foursquare TSMC2014 (`dataset_TSMC2014_NYC.txt`, `dataset_TSMC2014_TKY.txt`): eight tab-separated columns without a header.

Source: D. Yang, D. Zhang, V. W. Zheng, Z. Yu, "Modeling user activity preference by leveraging user spatial temporal characteristics
in LBSNs", IEEE Trans. SMC: Systems 45(1), 2015. Times are UTC; the seventh column is the offset of local time in minutes.
"""

from dataclasses import replace
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import numpy as np

from engine.city.checks import Ledger
from engine.city.readers.base import FileChoices, ReadContext, Reader, ReadResult, SniffedFile
from engine.city.readers.checkins import TABLE_OPTIONS, read_visits, reading_of
from engine.city.readers.tables import Table
from engine.city.times import TWITTER, TimeFormat, candidate_formats
from engine.city.zones import guess_zone

COLUMNS = ("user_id", "venue_id", "category_id", "category", "latitude", "longitude", "offset_minutes", "utc_time")
_MAPPING = {
    "user_id": "user_id",
    "started_at": "utc_time",
    "location_id": "venue_id",
    "latitude": "latitude",
    "longitude": "longitude",
    "category": "category",
}


class Foursquare(Reader):
    """Check-ins with category and UTC time."""

    name = "foursquare"
    title = "Foursquare TSMC2014"
    tables = ("visits", "locations")
    options = TABLE_OPTIONS

    def recognise(self, file: SniffedFile) -> float:
        """See `Reader.recognise`."""
        if file.text is None or file.text.header or len(file.columns) != len(COLUMNS) or file.text.delimiter != "\t":
            return 0.0
        columns = list(file.samples.values())
        fits = [_numbers(columns[4], 90), _numbers(columns[5], 180), _numbers(columns[6], 900), _is_twitter(columns[7])]
        return 0.98 if all(fits) else 0.0

    def read(self, file: SniffedFile, choices: FileChoices, context: ReadContext) -> ReadResult:
        """See `Reader.read`."""
        ledger = Ledger(file.name, problems=list(file.problems))
        table = Table(file, ledger, COLUMNS, context.limit_rows, quoting=False)
        reading = replace(reading_of(self, file, choices), time_format=TimeFormat("pattern", TWITTER))
        result = read_visits(self, file, table, _MAPPING, reading, context)
        result.assumptions.extend(_compare_offsets(file))
        return result


def _compare_offsets(file: SniffedFile) -> list[str]:
    """Says how far the offsets written in the file agree with the clock of the place."""
    assert file.text is not None  # recognised as text
    rows = [row for row in file.text.rows if len(row) == len(COLUMNS)]
    try:
        longitude, latitude = np.array([float(row[5]) for row in rows]), np.array([float(row[4]) for row in rows])
        offsets = [int(float(row[6])) for row in rows]
        moments = [datetime.strptime(row[7], TWITTER).astimezone(UTC) for row in rows]
    except ValueError:
        return []
    if not rows:
        return []
    zone = ZoneInfo(guess_zone(longitude, latitude).name)
    agree = 0
    for moment, offset in zip(moments, offsets, strict=True):
        shift = moment.astimezone(zone).utcoffset()
        agree += int(shift is not None and shift.total_seconds() / 60 == offset)
    return [
        f"`{file.name}` writes the offset of local time beside each check-in; local times on screen follow the city's time zone instead. "
        f"In the first {len(rows)} rows, {agree} offsets agree with {zone.key}."
    ]


def _numbers(values: tuple[str, ...], limit: float) -> bool:
    good = 0
    for value in values:
        try:
            good += abs(float(value)) <= limit
        except ValueError:
            continue
    return bool(values) and good > 0.8 * len(values)


def _is_twitter(values: tuple[str, ...]) -> bool:
    return any(known.pattern == TWITTER for known in candidate_formats(values))
