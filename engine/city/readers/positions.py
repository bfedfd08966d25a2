"""Reading coordinates: range, null island, swapped columns, metres instead of degrees, degrees and minutes; each with its sentence."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyproj

from engine.city.checks import Ledger
from engine.city.readers.tables import as_numbers
from engine.city.schema import WGS84
from engine.city.times import TimeFormat
from engine.city.zones import guess_zone

TOLERATED = 0.05
_NOWHERE_KM = 75
_CITY_KM = 25
_DMS = re.compile(r"""^\s*[NSEW]?\s*\d{1,3}\s*[°ºd:]\s*\d{1,2}\s*['’′m:]?\s*[\d.]*\s*["”″s]?\s*[NSEW]?\s*$""", re.IGNORECASE)


@dataclass(frozen=True)
class Reading:
    """How columns are to be understood.

    Attributes:
        decimal: Decimal mark of numbers.
        crs: `EPSG:4326` (degrees), `E7` (degrees times ten million) or any other EPSG code.
        swap: Swap the coordinate columns; False confirms they are right; None lets suspicion ask.
        day_first: For dates such as 03/04/2012; None refuses where it cannot be told.
        time_format: Known format; None finds it.
        naive_is_utc: Whether times without an offset are UTC rather than wall-clock time.
    """

    decimal: str = "."
    crs: str = WGS84
    swap: bool | None = None
    day_first: bool | None = None
    time_format: TimeFormat | None = None
    naive_is_utc: bool = False


class Positions:
    """Reads the coordinates of a table block by block and remembers what they look like as a whole.

    Args:
        mapping: Field to column; has `latitude` and `longitude`.
        reading: How columns are to be understood.
        ledger: Counts what is left out.
    """

    def __init__(self, mapping: Mapping[str, str], reading: Reading, ledger: Ledger) -> None:
        self.columns = (mapping["latitude"], mapping["longitude"])
        self.reading = reading
        self.ledger = ledger
        self._dms = self._e7 = self._metric = self._swapped = 0
        self._example = ""
        self._project = None
        if reading.crs not in (WGS84, "E7"):
            self._project = pyproj.Transformer.from_crs(reading.crs, WGS84, always_xy=True)

    def read(
        self, latitude_given: pa.Array, longitude_given: pa.Array, keep: np.ndarray, first: int, needed: bool = True
    ) -> tuple[np.ndarray, np.ndarray]:
        """Longitude and latitude of a block in degrees WGS84, NaN where unknown; clears rows in `keep`.

        Args:
            latitude_given: Values as they stand in the file.
            longitude_given: The same.
            keep: (row,) bool, changed in place.
            first: Number of the block's first row.
            needed: Whether rows without coordinates are left out; else they stay with NaN.
        """
        latitude, empty_y, bad_y = as_numbers(latitude_given, self.reading.decimal)
        longitude, empty_x, bad_x = as_numbers(longitude_given, self.reading.decimal)
        ledger, column = self.ledger, self.columns[0]
        for values, bad, name in ((latitude_given, bad_y, column), (longitude_given, bad_x, self.columns[1])):
            self._look_at_text(values, bad)
            ledger.drop("COORDINATES_UNREADABLE", keep, bad, first, name, values)
        known = ~(bad_x | bad_y | empty_x | empty_y)
        if needed:
            ledger.drop("COORDINATES_MISSING", keep, ~known, first, column)
        if self.reading.swap:
            longitude, latitude = latitude, longitude
        if self.reading.crs == "E7":
            longitude, latitude = longitude / 1e7, latitude / 1e7
        elif self._project is not None:
            longitude, latitude = self._project.transform(longitude, latitude)
        with np.errstate(invalid="ignore"):
            y, x = np.abs(latitude), np.abs(longitude)
            beyond = known & ~((y <= 90) & (x <= 180))
            large = beyond & (np.maximum(x, y) > 400)
            whole = large & (latitude == np.floor(latitude)) & (longitude == np.floor(longitude))
            self._swapped += int((beyond & (y <= 180) & (x <= 90)).sum())
            self._metric += int(large.sum())
            # Web-map metres end at 20,037,508; degrees times ten million rarely stay below that in both columns.
            self._e7 += int((whole & (np.maximum(x, y) > 2.1e7) & (y <= 9e8) & (x <= 1.8e9)).sum())
            ledger.drop("NULL_ISLAND", keep, known & (y < 1e-6) & (x < 1e-6), first, column)
        ledger.drop("COORDINATES_RANGE", keep, beyond, first, column, _Pairs(latitude_given, longitude_given))
        return np.where(known, longitude, np.nan), np.where(known, latitude, np.nan)

    def explain(self, longitude: np.ndarray, latitude: np.ndarray) -> frozenset[str]:
        """Adds precise problems for coordinates that are wrong as a whole, and answers the codes these replace.

        Args:
            longitude: (row,) of all kept rows, degrees.
            latitude: (row,).
        """
        ledger, explained = self.ledger, set()
        beyond = ledger.rows("COORDINATES_RANGE")
        if ledger.rows("COORDINATES_UNREADABLE") > TOLERATED * ledger.rows_in and self._dms:
            ledger.refuse(
                "COORDINATES_DMS",
                f"Coordinates are written in degrees and minutes, for example {self._example!r}.",
                "Write decimal degrees: 40°44′28″N is 40.7411, 73°59′23″W is -73.9897.",
                column=self.columns[0],
                rows=self._dms,
            )
            explained.add("COORDINATES_UNREADABLE")
        if beyond > TOLERATED * ledger.rows_in:
            problem = self._what_is_beyond(beyond)
            if problem:
                ledger.refuse(*problem, column=self.columns[0], rows=beyond)
                explained.add("COORDINATES_RANGE")
        if not explained:
            self._suspect_swap(longitude, latitude)
        return frozenset(explained)

    def _what_is_beyond(self, beyond: int) -> tuple[str, str, str] | None:
        if self._e7 > 0.5 * beyond:
            return (
                "COORDINATES_E7",
                "Coordinates look like degrees times ten million.",
                "Set the reference system (option `crs`) to `E7`.",
            )
        if self._metric > 0.5 * beyond:
            return (
                "COORDINATES_METRIC",
                "Coordinates are far beyond degrees; they look like metres or feet of a projected reference system.",
                "Set it (option `crs`), for example `EPSG:3857` for web maps or `EPSG:32618` for UTM zone 18 north.",
            )
        if self._swapped > 0.5 * beyond:
            return (
                "COORDINATES_SWAPPED",
                f"Latitude and longitude look swapped: {beyond:,} rows only make sense the other way round.",
                "Map the columns the other way round, or set option `swap_coordinates` to true.",
            )
        return None

    def _suspect_swap(self, longitude: np.ndarray, latitude: np.ndarray) -> None:
        """Asks where points lie in the middle of nowhere, but in a well-known city the other way round."""
        known = ~np.isnan(longitude)
        if self.reading.swap is not None or not known.any() or np.any(np.abs(longitude[known]) > 90):
            return
        here, there = guess_zone(longitude[known], latitude[known]), guess_zone(latitude[known], longitude[known])
        if here.distance_km > _NOWHERE_KM and there.distance_km < _CITY_KM:
            self.ledger.refuse(
                "COORDINATES_SWAPPED",
                f"Latitude and longitude look swapped: as they are, the points lie {here.distance_km:,.0f} km from any well-known town; "
                f"the other way round they lie in a city of {there.name}.",
                "Map the columns the other way round, or set option `swap_coordinates`: true swaps them, false confirms them.",
                column=self.columns[0],
                rows=int(known.sum()),
            )

    def _look_at_text(self, values: pa.Array, bad: np.ndarray) -> None:
        wrong = np.flatnonzero(bad)
        if len(wrong):
            texts = [str(text) for text in values.take(pa.array(wrong)).to_pylist()]
            self._dms += sum(1 for text in texts if _DMS.match(text))
            self._example = self._example or texts[0]


class _Pairs(Sequence[str]):
    """Latitude and longitude as they stand, quoted together where an example is needed."""

    def __init__(self, latitude: pa.Array, longitude: pa.Array) -> None:
        self._latitude, self._longitude = latitude, longitude

    def __getitem__(self, position):  # type: ignore[no-untyped-def]
        return f"{self._latitude[position]}, {self._longitude[position]}"

    def __len__(self) -> int:
        return len(self._latitude)
