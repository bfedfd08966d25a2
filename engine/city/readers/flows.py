"""Hourly flows per cell or zone: one column per hour (wide) or one row per hour (long), as trips of an average day."""

import re
from typing import ClassVar, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from engine.city.checks import Ledger
from engine.city.readers.base import FieldSpec, FileChoices, OptionSpec, ReadContext, Reader, ReadResult, SniffedFile
from engine.city.readers.frames import dates_of, map_by_name, numbers_of, plain_name, read_text_frame, settle_mapping
from engine.city.schema import HOURS
from engine.city.weather import WEEKDAY_IN_BAD_WEATHER, WEEKDAY_IN_FAIR_WEATHER, bad_days
from engine.errors import IngestError, Problem

Direction = Literal["outflow", "inflow"]
DIRECTIONS: tuple[Direction, ...] = ("outflow", "inflow")

DAY_TYPES = {
    **dict.fromkeys(("weekday", "weekdays", "workday", "workingday", "wd", "business"), "weekday"),
    **dict.fromkeys(("weekend", "weekends", "we"), "weekend"),
    **dict.fromkeys(("all", "total", "average", ""), "all"),
}

_HOUR_COLUMN = re.compile(r"^(?:h|hr|hour|t)?[_ ]?(\d{1,2})(?:h|:00|_00)?$", re.IGNORECASE)
_MOST_DAYS = 36_600


class FlowReader(Reader):
    """Trips that leave or enter each cell, per local hour."""

    name: ClassVar[str] = "flows"
    title: ClassVar[str] = "Hourly flows per cell or zone"
    tables: ClassVar[tuple[str, ...]] = DIRECTIONS
    fields: ClassVar[tuple[FieldSpec, ...]] = (
        FieldSpec(
            "cell_id",
            "the cell or zone, as the zones name it",
            required=True,
            synonyms=tuple(
                "cellid cell zoneid zone regionid region gridid grid locationid pulocationid tractid tract "
                "geoid boroct2010 stationid station areaid area id".split()
            ),
        ),
        FieldSpec("hour", "local hour 0 to 23, in a long table", "integer", synonyms=("hour", "hr", "h", "hourofday", "timeslot")),
        FieldSpec(
            "outflow",
            "trips that leave the cell in that hour, in a long table",
            "number",
            synonyms=("outflow", "departures", "pickups", "outgoing", "value", "trips", "flow", "count", "volume", "n"),
        ),
        FieldSpec(
            "inflow",
            "trips that enter the cell in that hour, in a long table",
            "number",
            synonyms=("inflow", "arrivals", "dropoffs", "incoming"),
        ),
        FieldSpec("date", "local date the row counts", "date", synonyms=("date", "day", "localdate")),
        FieldSpec("day_type", "weekday, weekend, all or a label", synonyms=("daytype", "typeofday", "dow", "daykind")),
    )
    options: ClassVar[tuple[OptionSpec, ...]] = (
        OptionSpec("direction", "which flow a table with one number per hour holds", "auto", ("auto", *DIRECTIONS)),
        OptionSpec("days", "number of days the numbers add up; they are divided by it", 1),
        OptionSpec("missing_is_zero", "empty numbers mean that nobody travelled", False, (True, False)),
        OptionSpec("day_first", "the day stands before the month in dates such as 03/04/2012", None, (True, False, None)),
    )
    reads_after: ClassVar[tuple[str, ...]] = ("cells", "weather")

    def recognise(self, file: SniffedFile) -> float:
        """By its columns: an id and 24 hours, or an id, an hour and a number."""
        if not file.columns or (file.text is not None and not file.text.header):
            return 0.0
        mapping = self.propose(file)
        if "cell_id" not in mapping:
            return 0.0
        if hour_columns(file.columns):
            return 0.95
        return 0.85 if "hour" in mapping and {"outflow", "inflow"} & set(mapping) else 0.0

    def propose(self, file: SniffedFile) -> dict[str, str]:
        """Columns by their names; the hours of a wide table map themselves."""
        hours = set(hour_columns(file.columns))
        rest = tuple(column for column in file.columns if column not in hours)
        mapping = map_by_name(rest, self.fields)
        if hours:
            mapping = {field: column for field, column in mapping.items() if field in ("cell_id", "date", "day_type")}
        return mapping

    def read(self, file: SniffedFile, choices: FileChoices, context: ReadContext) -> ReadResult:
        """Reads one table of flows; ids are compared with the cells read before, if there are any."""
        mapping = settle_mapping(file, self.fields, choices, self.propose(file), file.columns)
        hours = hour_columns(tuple(column for column in file.columns if column not in mapping.values()))
        ledger = Ledger(file.name, problems=list(file.problems))
        decimal = file.text.decimal if file.text else "."
        days = self._days(choices, file)
        values = self._value_columns(file, choices, mapping, hours)
        frame = read_text_frame(file, ledger, list(dict.fromkeys([*mapping.values(), *hours])), context.limit_rows)
        keep = np.ones(len(frame), dtype=bool)
        frame_ids = frame[mapping["cell_id"]]
        ledger.drop("CELL_MISSING", keep, (frame_ids == "").to_numpy(), column=mapping["cell_id"])
        self._match_cells(frame_ids, keep, mapping["cell_id"], ledger, context)
        labels, dates = self._day_labels(frame, mapping, choices, keep, ledger)
        placed = keep.copy()
        numbers = {
            direction: self._numbers(frame, columns, keep, decimal, choices, ledger) for direction, columns in values.items()
        }
        hour = np.zeros(len(frame), dtype=np.int64) if hours else self._hours(frame[mapping["hour"]], keep, mapping["hour"], ledger)
        lost = placed & ~keep
        self._drop_repeated(frame, frame_ids, labels, dates, hour, keep, ledger)
        days_of_zones = pd.DataFrame(
            {
                "cell_id": frame_ids,
                "label": labels,
                "date": pd.NaT if dates is None else dates,
                "weather": _weather_of(dates, context.tables.get("weather")),
            }
        )
        unknown = self._drop_incomplete(days_of_zones, lost, 24 if hours else 1, keep, ledger)
        ledger.close()
        if ledger.is_refused:
            raise IngestError(ledger.problems)
        tables: dict[str, pd.DataFrame] = {}
        for direction, block in numbers.items():
            average = _average_day(_as_long(days_of_zones, hour, block, keep), unknown, ledger)
            tables[direction] = average if days == 1 else _divide(average, days)
        if days != 1:
            ledger.repair(f"The numbers add up {days:g} days and were divided by it.")
        self._report_silent_cells(tables, ledger, context)
        kept = int(keep.sum())
        card = self.card(file, next(iter(tables)), ledger.rows_in, kept, ledger.dropped, ledger.repairs)
        context.report(f"{file.name}: {kept:,} rows of flows", 1.0)
        stated = [] if "date" in mapping or days != 1 else [f"{file.name}: the numbers were taken as trips of one average day."]
        return ReadResult(tables, cards=[card], problems=ledger.problems, assumptions=stated)

    # ---- what the columns are ---------------------------------------------------------------------------------------------

    def _value_columns(
        self, file: SniffedFile, choices: FileChoices, mapping: dict[str, str], hours: list[str]
    ) -> dict[Direction, list[str]]:
        chosen = self.option(choices, "direction")
        if hours:
            return {self._direction(file, chosen, ""): hours}
        if "hour" not in mapping or not {"outflow", "inflow"} & set(mapping):
            raise IngestError(
                [
                    Problem(
                        "FIELD_MISSING",
                        "The table has neither 24 hour columns (h00 to h23) nor an hour and a number of trips per row.",
                        "Map `hour` and `outflow` or `inflow`, or bring one column per hour.",
                        file.name,
                    )
                ]
            )
        if {"outflow", "inflow"} <= set(mapping):
            return {direction: [mapping[direction]] for direction in DIRECTIONS}
        field = "outflow" if "outflow" in mapping else "inflow"
        is_named = "inflow" if field == "inflow" else self._direction(file, chosen, mapping[field])
        return {is_named if chosen == "auto" else chosen: [mapping[field]]}

    def _direction(self, file: SniffedFile, chosen: str, column: str) -> Direction:
        if chosen != "auto":
            return "inflow" if chosen == "inflow" else "outflow"
        # Tables of departures and of arrivals look alike; only their names tell them apart.
        words = f"{plain_name(column)} {plain_name(file.name)}"
        return "inflow" if re.search(r"inflow|arrival|dropoff|incoming", words) else "outflow"

    def _days(self, choices: FileChoices, file: SniffedFile) -> float:
        value = self.option(choices, "days")
        try:
            days = float(str(value))
        except ValueError:
            days = float("nan")
        if not 0 < days <= _MOST_DAYS:
            raise IngestError(
                [Problem("OPTION", f"Option `days` is {value!r}.", "Give the number of days, such as 31.", file.name)]
            )
        return days

    # ---- rows ---------------------------------------------------------------------------------------------------------------

    def _match_cells(self, ids: pd.Series, keep: npt.NDArray[np.bool_], column: str, ledger: Ledger, context: ReadContext) -> None:
        cells = context.tables.get("cells")
        if cells is None:
            ledger.warn(
                "NO_CELLS",
                "No zones came with these flows, so their ids could not be checked.",
                "Bring the zones (GeoJSON, GeoPackage, Shapefile) in the same upload; without them flows cannot be drawn.",
            )
            return
        known = set(cells["cell_id"])
        unknown = (~ids.isin(known) & (ids != "")).to_numpy()
        if unknown[keep].any() and not (~unknown[keep]).any():
            ledger.refuse(
                "OTHER_ZONING",
                f"None of the ids, such as `{ids[keep].iloc[0]}`, is among the {len(known):,} zones, "
                f"such as `{cells['cell_id'].iloc[0]}`.",
                "Map the id column that both files share (for the zones, field `id`).",
                column=column,
                rows=int(unknown.sum()),
            )
            raise IngestError(ledger.problems)
        ledger.drop("CELL_UNKNOWN", keep, unknown, column=column, values=list(ids))

    def _day_labels(
        self, frame: pd.DataFrame, mapping: dict[str, str], choices: FileChoices, keep: npt.NDArray[np.bool_], ledger: Ledger
    ) -> tuple[pd.Series, pd.Series | None]:
        if "day_type" in mapping:
            given = frame[mapping["day_type"]]
            labels = given.map(lambda text: DAY_TYPES.get(plain_name(text), text))
        else:
            labels = pd.Series(["all"] * len(frame), dtype=object)
        if "date" not in mapping:
            return labels, None
        dates, missing, bad = dates_of(frame[mapping["date"]], self.option(choices, "day_first"), ledger.file, mapping["date"])
        ledger.drop("DATE_UNREADABLE", keep, missing | bad, column=mapping["date"], values=list(frame[mapping["date"]]))
        if (labels[keep] == "all").all():
            labels = pd.Series(np.where(dates.dt.day_of_week >= 5, "weekend", "weekday"), dtype=object)
        return labels, dates

    def _numbers(
        self,
        frame: pd.DataFrame,
        columns: list[str],
        keep: npt.NDArray[np.bool_],
        decimal: str,
        choices: FileChoices,
        ledger: Ledger,
    ) -> npt.NDArray[np.float64]:
        """(row, hour) for wide tables, (row, 1) for long ones."""
        blocks = []
        for column in columns:
            numbers, missing, bad = numbers_of(frame[column], decimal)
            if self.option(choices, "missing_is_zero") and (missing & keep).any():
                numbers = np.where(missing, 0.0, numbers)
                ledger.repair("Empty numbers of trips were read as 0, as chosen.")
                missing = np.zeros(len(frame), dtype=bool)
            texts = list(frame[column])
            ledger.drop("NUMBER_UNREADABLE", keep, bad, column=column, values=texts)
            ledger.drop("VALUE_MISSING", keep, missing, column=column, values=texts)
            ledger.drop("VALUE_NEGATIVE", keep, numbers < 0, column=column, values=texts)
            blocks.append(numbers)
        return np.stack(blocks, axis=1)

    def _hours(self, text: pd.Series, keep: npt.NDArray[np.bool_], column: str, ledger: Ledger) -> npt.NDArray[np.int64]:
        plain = text.str.replace(r"^[hH]", "", regex=True).str.replace(r":00(:00)?$", "", regex=True)
        hour, missing, bad = numbers_of(plain)
        wrong = missing | bad | ~((hour >= 0) & (hour <= 23) & (hour == np.floor(hour)))
        ledger.drop("HOUR_RANGE", keep, wrong, column=column, values=list(text))
        return np.where(wrong, 0, hour).astype(np.int64)

    def _drop_repeated(
        self,
        frame: pd.DataFrame,
        ids: pd.Series,
        labels: pd.Series,
        dates: pd.Series | None,
        hour: npt.NDArray[np.int64],
        keep: npt.NDArray[np.bool_],
        ledger: Ledger,
    ) -> None:
        ledger.drop("DUPLICATE", keep, frame.duplicated().to_numpy())
        key = pd.DataFrame({"cell": ids, "label": labels, "hour": hour, "date": 0 if dates is None else dates})[keep]
        again = key.duplicated()
        if again.any():
            row = int(again.index[again][0])
            ledger.refuse(
                "FLOW_REPEATED",
                f"Zone `{ids[row]}` stands more than once for the same hours with different numbers.",
                "Map the date or the type of day that tells the rows apart.",
                row=row + 1,
                rows=int(again.sum()),
            )

    def _drop_incomplete(
        self,
        days_of_zones: pd.DataFrame,
        lost: npt.NDArray[np.bool_],
        hours_a_row: int,
        keep: npt.NDArray[np.bool_],
        ledger: Ledger,
    ) -> pd.DataFrame:
        """Drops what is left of days of zones of which a number was left out: unknown trips are not no trips.

        Args:
            days_of_zones: (row,) cell, label and date of each row.
            lost: (row,) rows left out for their number or their hour.
            hours_a_row: 24 in a wide table, 1 in a long one.
            keep: (row,) bool, changed.
            ledger: Counts the rows.

        Returns:
            The cell, label and date of every such day.
        """
        day = days_of_zones.groupby(list(days_of_zones), dropna=False).ngroup().to_numpy()
        is_hit = np.bincount(day, weights=lost) > 0
        is_whole = np.bincount(day, weights=keep) * hours_a_row >= len(HOURS)
        incomplete = (is_hit & ~is_whole)[day]
        ledger.drop("DAY_INCOMPLETE", keep, incomplete)
        return days_of_zones[incomplete].drop_duplicates()

    def _report_silent_cells(self, tables: dict[str, pd.DataFrame], ledger: Ledger, context: ReadContext) -> None:
        cells = context.tables.get("cells")
        if cells is None or context.limit_rows is not None:
            return
        for direction, table in tables.items():
            silent = len(set(cells["cell_id"]) - set(table["cell_id"]))
            if silent:
                ledger.warn(
                    "CELLS_WITHOUT_FLOW",
                    f"{silent:,} of {len(cells):,} zones have no {direction} in this table.",
                    "They are drawn without flow and left out of training.",
                    rows=silent,
                )


def hour_columns(columns: tuple[str, ...]) -> list[str]:
    """The columns of hours 0 to 23 in that order; empty unless all 24 are there."""
    found: dict[int, str] = {}
    for column in columns:
        matched = _HOUR_COLUMN.match(column.strip())
        if matched and int(matched[1]) < 24:
            found.setdefault(int(matched[1]), column)
    return [found[hour] for hour in range(24)] if len(found) == 24 else []


def _weather_of(dates: pd.Series | None, weather: pd.DataFrame | None) -> pd.Series | str:
    """(row,) `bad`, `fair`, or "" where it is unknown."""
    if dates is None or weather is None:
        return ""
    return dates.map(bad_days(weather)).map({1.0: "bad", 0.0: "fair"}).fillna("")


def _as_long(
    days_of_zones: pd.DataFrame, hour: npt.NDArray[np.int64], block: npt.NDArray[np.float64], keep: npt.NDArray[np.bool_]
) -> pd.DataFrame:
    count = block.shape[1]
    rows = np.repeat(np.flatnonzero(keep), count)
    return days_of_zones.iloc[rows].assign(
        hour=np.tile(np.arange(24), int(keep.sum())) if count == 24 else hour[rows], value=block[keep].ravel()
    )


def _average_day(long: pd.DataFrame, unknown: pd.DataFrame, ledger: Ledger) -> pd.DataFrame:
    """(cell and type of day, hour): with dates, trips divided by the number of dates of that type that are known of the cell.

    Known are all dates of the table but the cell's own in `unknown`.
    """
    if long["date"].notna().all() and len(long):
        parts, days = [], {}
        for kind, wanted in _kinds_of_day(long).items():
            chosen, gaps = (table[(table[list(wanted)] == pd.Series(wanted)).all(axis=1)] for table in (long, unknown))
            days[kind] = pd.concat([chosen["date"], gaps["date"]]).nunique()
            part = chosen.groupby(["cell_id", "hour"], as_index=False)["value"].sum()
            known = days[kind] - part["cell_id"].map(gaps.groupby("cell_id")["date"].nunique()).fillna(0)
            parts.append(part.assign(label=kind, value=part["value"] / known))
        if WEEKDAY_IN_BAD_WEATHER in days:
            bad, fair = days[WEEKDAY_IN_BAD_WEATHER], days[WEEKDAY_IN_FAIR_WEATHER]
            ledger.repair(f"Weekdays were averaged by the daily weather too: {bad:,} in bad and {fair:,} in fair weather.")
        long = pd.concat(parts, ignore_index=True)
        ledger.repair("Trips were averaged over the dates of the table; an hour of a zone without a row counts as no trips.")
        if len(unknown):
            ledger.repair(f"{len(unknown):,} dates of zones lack a number; these zones were averaged over their other dates.")
    wide = long.pivot_table(index=["cell_id", "label"], columns="hour", values="value", aggfunc="sum", sort=True)
    wide = wide.reindex(columns=range(24))
    absent = int(wide.isna().sum().sum())
    if absent:
        ledger.repair(f"{absent:,} hours of zones had no row and count as no trips.")
    wide = wide.fillna(0.0).set_axis(list(HOURS), axis=1).reset_index().rename(columns={"label": "day_type"})
    wide.columns.name = None
    return wide.astype({"cell_id": "str", "day_type": "str"} | dict.fromkeys(HOURS, "float64"))


def _kinds_of_day(long: pd.DataFrame) -> dict[str, dict[str, str]]:
    """Kind of day to what its rows have; weekdays by weather where there are some of either."""
    kinds: dict[str, dict[str, str]] = {label: {"label": label} for label in sorted(set(long["label"]) - {"all"})}
    kinds["all"] = {"label": "all"} if "all" in set(long["label"]) else {}
    weekdays = long.loc[long["label"] == "weekday", "weather"]
    if {"bad", "fair"} <= set(weekdays):
        kinds[WEEKDAY_IN_BAD_WEATHER] = {"label": "weekday", "weather": "bad"}
        kinds[WEEKDAY_IN_FAIR_WEATHER] = {"label": "weekday", "weather": "fair"}
    return kinds


def _divide(table: pd.DataFrame, days: float) -> pd.DataFrame:
    return table.assign(**{hour: table[hour] / days for hour in HOURS})
