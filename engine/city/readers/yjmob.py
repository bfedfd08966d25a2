"""YJMob100K (`yjmob100k-dataset1.csv.gz`, HuMob challenge): person, day, half hour and 500 m cell of a city that is kept secret.

Source: T. Yabe et al., "YJMob100K: City-scale and longitudinal dataset of anonymized human mobility trajectories", Scientific Data 11,
2024. Columns `uid,d,t,x,y`: d counts days from 0, t half hours 0-47 of local time, x and y cells from 1 to 200; y grows southward.
The city has no geography, so it is laid out at the equator, where UTM metres are true to scale, and no base map is drawn under it.
"""

from datetime import date

import geopandas as gpd
import numpy as np
import pandas as pd
import pyarrow as pa
import pyproj
import shapely

from engine.city.checks import Ledger
from engine.city.readers.archives import LIMITS
from engine.city.readers.base import IS_LOCAL_TIME, FileChoices, OptionSpec, ReadContext, Reader, ReadResult, SniffedFile
from engine.city.readers.checkins import require_columns
from engine.city.readers.tables import Table, as_numbers, as_text
from engine.city.schema import WGS84
from engine.errors import IngestError, Problem

COLUMNS = ("uid", "d", "t", "x", "y")
CELL_M = 500.0
CELLS = 200
METRIC_CRS = "EPSG:32631"
_CENTRE_EASTING = 500_000.0
_MASKED = -999


class Yjmob(Reader):
    """Cells visited every half hour, in a virtual city."""

    name = "yjmob"
    title = "YJMob100K (virtual city of 500 m cells)"
    tables = ("visits", "locations", "cells")
    options = (
        OptionSpec("first_day", "date that day 0 stands for; only weekdays follow from it", "2001-01-01"),
        OptionSpec("y_direction", "whether y grows to the south (`down`) or to the north (`up`)", "down", ("down", "up")),
        OptionSpec("people", "read only the first so many people, in the order of the file; empty reads all", None),
    )

    def recognise(self, file: SniffedFile) -> float:
        """See `Reader.recognise`."""
        if file.text is None or file.columns != COLUMNS:
            return 0.0
        try:
            rows = [tuple(int(float(value)) for value in row) for row in file.text.rows if len(row) == 5]
        except ValueError:
            return 0.2
        fits = sum(1 for _, day, slot, x, y in rows if day >= 0 and 0 <= slot < 48 and _is_cell(x) and _is_cell(y))
        return 0.97 if rows and fits > 0.9 * len(rows) else 0.2

    def read(self, file: SniffedFile, choices: FileChoices, context: ReadContext) -> ReadResult:
        """See `Reader.read`."""
        require_columns(file, COLUMNS)
        ledger = Ledger(file.name, problems=list(file.problems))
        try:
            first_day = date.fromisoformat(str(self.option(choices, "first_day")))
        except ValueError:
            raise IngestError([Problem("OPTION", "Option `first_day` is no date.", "Write it as 2001-01-01.", file.name)]) from None
        people = self.option(choices, "people")
        if people is not None and (not isinstance(people, int) or people < 1):
            raise IngestError([Problem("OPTION", f"Option `people` is {people!r}.", "Give a whole number above 0.", file.name)])
        users, clock, cells = self._rows(Table(file, ledger, None, context.limit_rows), people, ledger)
        ledger.close()
        if ledger.is_refused:
            return ReadResult(problems=ledger.problems)
        start = np.datetime64(first_day.isoformat(), "us").astype(np.int64)
        used, code = np.unique(cells, return_inverse=True)
        x, y = used // 1000, used % 1000
        width = len(str(CELLS))
        ids = np.array(
            [f"x{column:0{width}d} y{row:0{width}d}" for column, row in zip(x.tolist(), y.tolist(), strict=True)], object
        )
        visits = pd.DataFrame(
            {
                "user_id": pd.Categorical.from_codes(users.indices.to_numpy(), pd.Index(users.dictionary.to_pylist(), dtype="str")),
                "location_id": pd.Categorical.from_codes(code, pd.Index(ids, dtype="str")),
                "started_at": (start + clock).astype("datetime64[us]"),
                IS_LOCAL_TIME: True,
            }
        )
        row = y if self.option(choices, "y_direction") == "up" else CELLS + 1 - y
        locations, outlines = _layout(ids, x, row)
        result = ReadResult({"visits": visits, "locations": locations, "cells": outlines}, problems=ledger.problems)
        result.cards.append(self.card(file, "visits", ledger.rows_in, len(visits), ledger.dropped, ledger.repairs))
        result.assumptions.append(
            f"`{file.name}`: the city is virtual. Day 0 is taken as {first_day:%A %Y-%m-%d}, y grows "
            f"{'northward' if self.option(choices, 'y_direction') == 'up' else 'southward'}, and cells of 500 m are laid out at the equator."
        )
        result.provenance |= {"virtual": True, "metric_crs": METRIC_CRS, "time_zone": "Etc/UTC"}
        return result

    def _rows(self, table: Table, people: int | None, ledger: Ledger) -> tuple[pa.DictionaryArray, np.ndarray, np.ndarray]:
        names, clocks, cells, kept = [], [], [], 0
        known: set[str] = set()
        columns = list(COLUMNS)
        for first, block in table.blocks(columns):
            user = as_text(block[columns[0]])
            numbers, unread = [], np.zeros(len(user), bool)
            for column in columns[1:]:
                values, missing, bad = as_numbers(block[column])
                unread |= missing | bad | ~(np.abs(np.where(np.isfinite(values), values, 0)) < 1e6)
                numbers.append(np.where(np.isfinite(values), values, 0).clip(-1e6, 1e6).astype(np.int64))
            day, slot, x, y = numbers
            keep = np.ones(len(user), bool)
            ledger.drop("USER_MISSING", keep, np.array(user.to_numpy(zero_copy_only=False) == "", bool), first, columns[0])
            ledger.drop("NUMBER_UNREADABLE", keep, unread, first)
            ledger.drop("COORDINATES_MISSING", keep, (x == _MASKED) | (y == _MASKED), first, columns[3], block[columns[3]])
            ledger.drop(
                "TIME_UNREADABLE", keep, (day < 0) | (day > 36_500) | (slot < 0) | (slot > 47), first, columns[2], block[columns[2]]
            )
            ledger.drop(
                "COORDINATES_RANGE", keep, (x < 1) | (x > CELLS) | (y < 1) | (y > CELLS), first, columns[3], block[columns[3]]
            )
            if people is not None:
                for name in user.unique().to_pylist():
                    if len(known) < people:
                        known.add(name)
                ledger.drop("NOT_CHOSEN", keep, ~pd.Series(user.to_pylist()).isin(known).to_numpy(), first, columns[0])
            mask = pa.array(keep)
            names.append(user.filter(mask).dictionary_encode())
            clocks.append((day * 86_400 + slot * 1800)[keep] * 1_000_000)
            cells.append((x * 1000 + y)[keep])
            kept += int(keep.sum())
            if kept > LIMITS.rows:
                mend = "Set option `people` to read only the first so many people."
                raise IngestError([Problem("ROWS", f"More than {LIMITS.rows:,} rows can be used.", mend, ledger.file)])
        if not names:
            raise ledger.nothing_read()
        joined = pa.chunked_array(names, pa.dictionary(pa.int32(), pa.string())).unify_dictionaries().combine_chunks()
        if isinstance(joined, pa.ChunkedArray):
            joined = joined.chunk(0)
        return joined, np.concatenate(clocks), np.concatenate(cells)


def _layout(ids: np.ndarray, column: np.ndarray, row: np.ndarray) -> tuple[gpd.GeoDataFrame, gpd.GeoDataFrame]:
    """Centres and outlines of the visited cells, columns eastward and rows northward from 1."""
    west = _CENTRE_EASTING + (column - 1 - CELLS / 2) * CELL_M
    south = (row - 1) * CELL_M
    degrees = pyproj.Transformer.from_crs(METRIC_CRS, WGS84, always_xy=True)
    corners = []
    for right, up in ((0, 0), (1, 0), (1, 1), (0, 1)):
        corners.append(np.column_stack(degrees.transform(west + right * CELL_M, south + up * CELL_M)))
    outlines = shapely.polygons(np.stack([*corners, corners[0]], axis=1))
    centres = shapely.points(np.column_stack(degrees.transform(west + CELL_M / 2, south + CELL_M / 2)))
    locations = pd.DataFrame({"location_id": ids, "category": ""}).astype("str")
    cells = pd.DataFrame({"cell_id": ids}).astype("str").assign(row=row.astype(np.int64) - 1, col=column.astype(np.int64) - 1)
    return gpd.GeoDataFrame(locations, geometry=centres, crs=WGS84), gpd.GeoDataFrame(cells, geometry=outlines, crs=WGS84)


def _is_cell(value: int) -> bool:
    return 1 <= value <= CELLS or value == _MASKED
