"""SNAP check-ins (`loc-gowalla_totalCheckins.txt`, `loc-brightkite_totalCheckins.txt`): user, UTC time, latitude, longitude, location.

Tab-separated, no header, newest first per user. Source: E. Cho, S. A. Myers, J. Leskovec, "Friendship and mobility: user movement in
location-based social networks", KDD 2011. Rows without a position stand at (0, 0) and are counted out.
"""

import re
from dataclasses import replace

from engine.city.checks import Ledger
from engine.city.readers.base import FileChoices, ReadContext, Reader, ReadResult, SniffedFile
from engine.city.readers.checkins import TABLE_OPTIONS, read_visits, reading_of
from engine.city.readers.tables import Table
from engine.city.times import TimeFormat

COLUMNS = ("user_id", "time", "latitude", "longitude", "location_id")
_MAPPING = {
    "user_id": "user_id",
    "started_at": "time",
    "location_id": "location_id",
    "latitude": "latitude",
    "longitude": "longitude",
}
_TIME = re.compile(r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}Z$")


class Snap(Reader):
    """Check-ins without categories, times in UTC."""

    name = "snap"
    title = "SNAP Gowalla or Brightkite"
    tables = ("visits", "locations")
    options = TABLE_OPTIONS

    def recognise(self, file: SniffedFile) -> float:
        """See `Reader.recognise`."""
        if file.text is None or file.text.header or len(file.columns) != len(COLUMNS) or file.text.delimiter != "\t":
            return 0.0
        columns = list(file.samples.values())
        timed = sum(1 for value in columns[1] if _TIME.match(value))
        placed = sum(1 for value in (*columns[2], *columns[3]) if re.match(r"^-?\d+(\.\d+)?$", value))
        return 0.97 if timed > 0.8 * len(columns[1]) and placed > 0.8 * 2 * len(columns[2]) else 0.0

    def read(self, file: SniffedFile, choices: FileChoices, context: ReadContext) -> ReadResult:
        """See `Reader.read`."""
        ledger = Ledger(file.name, problems=list(file.problems))
        table = Table(file, ledger, COLUMNS, context.limit_rows, quoting=False)
        reading = replace(reading_of(self, file, choices), time_format=TimeFormat("iso"))
        return read_visits(self, file, table, _MAPPING, reading, context)
