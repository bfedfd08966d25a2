"""Weather by local date, in °C and millimetres whatever the source measured in."""

import re
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt
import pandas as pd

from engine.city.checks import Ledger
from engine.city.readers.base import FieldSpec, FileChoices, OptionSpec, ReadContext, Reader, ReadResult, SniffedFile
from engine.city.readers.frames import dates_of, map_by_name, numbers_of, plain_name, read_text_frame, settle_mapping
from engine.errors import IngestError, Problem

INCH_MM = 25.4
HOTTEST_C, COLDEST_C = 60.0, -95.0
"""Beyond the records of the World Meteorological Organization (56.7 and -89.2 °C)."""
WETTEST_MM = 2_000.0
"""Beyond the record of a day (1,825 mm)."""

_HOTTEST_F = 140.0
_NO_VALUE = (-9999.0, -999.0, 9999.0, 99999.0)
_NOAA_COLUMNS = {"station", "date"}
_TEMPERATURES = ("temperature", "temperature_max", "temperature_min")


@dataclass(frozen=True)
class _Unit:
    """A unit and what turns a number of it into °C or mm."""

    name: str
    scale: float
    zero: float = 0.0

    def convert(self, numbers: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        return (numbers - self.zero) * self.scale


_TEMPERATURE_UNITS = {
    unit.name: unit for unit in (_Unit("C", 1.0), _Unit("F", 5 / 9, 32.0), _Unit("K", 1.0, 273.15), _Unit("tenths C", 0.1))
}
_RAIN_UNITS = {unit.name: unit for unit in (_Unit("mm", 1.0), _Unit("inch", INCH_MM), _Unit("cm", 10.0), _Unit("tenths mm", 0.1))}


class WeatherReader(Reader):
    """Daily weather, in the format of NOAA's Climate Data Online or any table with a date."""

    name: ClassVar[str] = "weather"
    title: ClassVar[str] = "Daily weather"
    tables: ClassVar[tuple[str, ...]] = ("weather",)
    fields: ClassVar[tuple[FieldSpec, ...]] = (
        FieldSpec("date", "local calendar date", "date", True, ("date", "day", "localdate", "datum")),
        FieldSpec(
            "temperature",
            "mean temperature of the day",
            "number",
            synonyms=tuple(
                "temperature tavg temp meantemperature temperaturemean avgtemperature temperaturec tempc temperaturef tempf tavgc tavgf tmean".split()
            ),
        ),
        FieldSpec(
            "temperature_max",
            "highest temperature of the day",
            "number",
            synonyms=("tmax", "maxtemperature", "temperaturemax", "tempmax", "maxtemp", "tmaxc", "tmaxf", "high"),
        ),
        FieldSpec(
            "temperature_min",
            "lowest temperature of the day",
            "number",
            synonyms=("tmin", "mintemperature", "temperaturemin", "tempmin", "mintemp", "tminc", "tminf", "low"),
        ),
        FieldSpec(
            "precipitation",
            "precipitation of the day",
            "number",
            synonyms=tuple(
                "prcp precipitation precipitationmm precipitationin precip precipmm precipin rain rainmm rainfall rainfallmm rr prcpmm prcpin".split()
            ),
        ),
        FieldSpec(
            "condition", "label such as `rain`", synonyms=("condition", "conditions", "weather", "weathermain", "label", "icon")
        ),
        FieldSpec("station", "station, where the table has several", synonyms=("station", "stationid", "stationname")),
    )
    options: ClassVar[tuple[OptionSpec, ...]] = (
        OptionSpec("temperature_unit", "unit of temperatures", "auto", ("auto", *_TEMPERATURE_UNITS)),
        OptionSpec("precipitation_unit", "unit of precipitation", "auto", ("auto", *_RAIN_UNITS)),
        OptionSpec("station", "station to read, where the table has several"),
        OptionSpec("day_first", "the day stands before the month in dates such as 03/04/2012", None, (True, False, None)),
    )

    def recognise(self, file: SniffedFile) -> float:
        """By its columns: a date and a measurement; the codes of NOAA leave no doubt."""
        if not file.columns or (file.text is not None and not file.text.header):
            return 0.0
        names = {plain_name(column) for column in file.columns}
        if names >= _NOAA_COLUMNS and names & {"prcp", "tmax", "tmin", "tavg"}:
            return 0.95
        mapping = self.propose(file)
        measured = {"temperature", "temperature_max", "temperature_min", "precipitation"} & set(mapping)
        if "date" not in mapping or not measured:
            return 0.0
        return 0.8 if len(measured) > 1 else 0.6

    def propose(self, file: SniffedFile) -> dict[str, str]:
        """Columns by their names; units in names, as in `rain (mm)`, do not disturb."""
        return map_by_name(file.columns, self.fields)

    def read(self, file: SniffedFile, choices: FileChoices, context: ReadContext) -> ReadResult:
        """Reads one table of daily weather."""
        mapping = settle_mapping(file, self.fields, choices, self.propose(file), file.columns)
        ledger = Ledger(file.name, problems=list(file.problems))
        frame = read_text_frame(file, ledger, list(dict.fromkeys(mapping.values())), context.limit_rows)
        keep = np.ones(len(frame), dtype=bool)
        self._choose_station(frame, mapping, choices, keep, ledger)
        dates, missing, bad = dates_of(frame[mapping["date"]], self.option(choices, "day_first"), file.name, mapping["date"])
        ledger.drop("DATE_UNREADABLE", keep, missing | bad, column=mapping["date"], values=list(frame[mapping["date"]]))
        ledger.drop("DUPLICATE", keep, frame.duplicated().to_numpy())
        again = np.zeros(len(frame), dtype=bool)
        again[keep] = dates[keep].duplicated()
        ledger.drop("DATE_REPEATED", keep, again, column=mapping["date"], values=list(frame[mapping["date"]]))
        weather = pd.DataFrame({"date": dates.astype("datetime64[us]")})
        self._measure(file, frame, mapping, choices, ledger, weather, keep)
        measured = [column for column in ("temperature_c", "precipitation_mm", "condition") if column in weather]
        if not measured:
            ledger.refuse("FIELD_MISSING", "The table has no temperature, precipitation or condition.", "Map one of them.")
        else:
            ledger.drop("NO_MEASUREMENT", keep, weather[measured].isna().all(axis=1).to_numpy())
        ledger.close()
        if ledger.is_refused:
            raise IngestError(ledger.problems)
        weather = weather[keep].sort_values("date", kind="stable").reset_index(drop=True)
        card = self.card(file, "weather", ledger.rows_in, len(weather), ledger.dropped, ledger.repairs)
        return ReadResult({"weather": weather}, cards=[card], problems=ledger.problems)

    def _choose_station(
        self, frame: pd.DataFrame, mapping: dict[str, str], choices: FileChoices, keep: npt.NDArray[np.bool_], ledger: Ledger
    ) -> None:
        if "station" not in mapping:
            return
        stations = frame[mapping["station"]]
        chosen = self.option(choices, "station")
        listed = ", ".join(f"`{name}`" for name in stations.unique()[:10])
        if chosen is not None:
            if str(chosen) not in set(stations):
                problem = Problem("STATION", f"There is no station {str(chosen)!r}.", f"Choose one of {listed}.", ledger.file)
                raise IngestError([problem])
            ledger.drop("NOT_CHOSEN", keep, (stations != str(chosen)).to_numpy(), column=mapping["station"])
        elif stations.nunique() > 1:
            raise IngestError(
                [
                    Problem(
                        "STATION",
                        f"The table has {stations.nunique():,} stations: {listed}.",
                        "Choose one with option `station`.",
                        ledger.file,
                    )
                ]
            )

    def _measure(
        self,
        file: SniffedFile,
        frame: pd.DataFrame,
        mapping: dict[str, str],
        choices: FileChoices,
        ledger: Ledger,
        weather: pd.DataFrame,
        keep: npt.NDArray[np.bool_],
    ) -> None:
        decimal = file.text.decimal if file.text else "."
        values = {}
        for field in (*_TEMPERATURES, "precipitation"):
            if field in mapping:
                values[field] = _measured(frame[mapping[field]], decimal, keep, mapping[field], field == "precipitation", ledger)
        unit = self._temperature_unit(values, mapping, choices, file, keep, ledger)
        if unit is not None:
            temperature = {field: unit.convert(values[field]) for field in _TEMPERATURES if field in values}
            for field, numbers in temperature.items():
                _clear(
                    numbers, (numbers > HOTTEST_C) | (numbers < COLDEST_C), keep, f"`{mapping[field]}` beyond any record", ledger
                )
            mean = temperature.get("temperature", np.full(len(frame), np.nan))
            if {"temperature_max", "temperature_min"} <= set(temperature):
                halfway = (temperature["temperature_max"] + temperature["temperature_min"]) / 2
                if "temperature" not in temperature or (np.isnan(mean) & ~np.isnan(halfway) & keep).any():
                    ledger.repair("Mean temperatures that were not measured are halfway between the day's highest and lowest.")
                mean = np.where(np.isnan(mean), halfway, mean)
            elif "temperature" not in temperature:
                ledger.warn(
                    "NO_MEAN", "The highest or lowest temperature alone gives no mean.", "Bring both, or a mean temperature."
                )
            if not np.isnan(mean[keep]).all():
                weather["temperature_c"] = mean
        rain_unit = self._rain_unit(values, mapping, choices, file, unit)
        if rain_unit is not None:
            rain = rain_unit.convert(values["precipitation"])
            _clear(
                rain, (rain < 0) | (rain > WETTEST_MM), keep, f"`{mapping['precipitation']}` negative or beyond any record", ledger
            )
            if rain_unit.name != "mm":
                ledger.repair(f"Precipitation was turned from {rain_unit.name} into mm.")
            weather["precipitation_mm"] = rain
        if "condition" in mapping:
            condition = frame[mapping["condition"]]
            weather["condition"] = condition.mask(condition == "").astype("str")

    def _temperature_unit(
        self,
        values: dict[str, npt.NDArray[np.float64]],
        mapping: dict[str, str],
        choices: FileChoices,
        file: SniffedFile,
        keep: npt.NDArray[np.bool_],
        ledger: Ledger,
    ) -> _Unit | None:
        fields = [field for field in _TEMPERATURES if field in values]
        if not fields:
            return None
        chosen = str(self.option(choices, "temperature_unit"))
        if chosen == "auto":
            chosen = next((unit for field in fields if (unit := _unit_in_name(mapping[field], _TEMPERATURE_NAMES))), "")
        numbers = np.concatenate([values[field][keep] for field in fields])
        highest = float(np.nanmax(numbers)) if np.isfinite(numbers).any() else 0.0
        if not chosen:
            if HOTTEST_C < highest <= _HOTTEST_F:
                chosen = "F"
                ledger.repair(f"Temperatures up to {highest:g} can only be Fahrenheit and were turned into °C.")
            else:
                column = mapping[fields[0]]
                ledger.refuse(
                    "UNIT_MISSING",
                    f"The unit of `{column}` is not stated, and values up to {highest:g} do not prove one.",
                    "Set option `temperature_unit` to C, F, K or `tenths C`.",
                    column=column,
                )
                return None
        elif chosen != "C":
            ledger.repair(f"Temperatures were turned from {chosen} into °C.")
        return _TEMPERATURE_UNITS[chosen]

    def _rain_unit(
        self,
        values: dict[str, npt.NDArray[np.float64]],
        mapping: dict[str, str],
        choices: FileChoices,
        file: SniffedFile,
        temperature_unit: _Unit | None,
    ) -> _Unit | None:
        if "precipitation" not in values:
            return None
        column = mapping["precipitation"]
        chosen = str(self.option(choices, "precipitation_unit"))
        if chosen == "auto":
            chosen = _unit_in_name(column, _RAIN_NAMES)
        if not chosen and plain_name(column) == "prcp" and temperature_unit is not None:
            # NOAA gives a file in "standard" or in "metric" units, never mixed.
            chosen = {"F": "inch", "C": "mm", "tenths C": "tenths mm"}.get(temperature_unit.name, "")
        if not chosen:
            raise IngestError(
                [
                    Problem(
                        "UNIT_MISSING",
                        f"The unit of `{column}` is not stated.",
                        "Set option `precipitation_unit` to mm, inch, cm or `tenths mm`.",
                        file.name,
                        column=column,
                    )
                ]
            )
        return _RAIN_UNITS[chosen]


_TEMPERATURE_NAMES = {
    "F": {"f", "degf", "fahrenheit", "tempf", "tmaxf", "tminf", "tavgf"},
    "C": {"c", "degc", "celsius", "centigrade", "tempc", "tmaxc", "tminc", "tavgc"},
    "K": {"k", "kelvin"},
}
_RAIN_NAMES = {
    "mm": {"mm", "millimetres", "millimeters", "rainmm", "rainfallmm", "precipmm", "prcpmm", "precipitationmm"},
    "inch": {"in", "inch", "inches", "precipin", "prcpin", "precipitationin"},
    "cm": {"cm", "centimetres", "centimeters"},
}


def _unit_in_name(column: str, names: dict[str, set[str]]) -> str:
    """The unit a column's name states, as in `rain (mm)`, `tempF` or `temperature_c`; empty if none."""
    words = set(re.split(r"[^a-z]+", re.sub(r"([a-z])([A-Z]+)$", r"\1 \2", column).lower()))
    return next((unit for unit, known in names.items() if words & known), "")


def _measured(
    text: pd.Series, decimal: str, keep: npt.NDArray[np.bool_], column: str, is_rain: bool, ledger: Ledger
) -> npt.NDArray[np.float64]:
    """Numbers of a column; empty, unreadable and agreed "no value" numbers are NaN, a trace of rain is 0."""
    plain = text.str.replace(r"[sS]$", "", regex=True)
    traces = (plain.isin(["T", "t", "trace"])).to_numpy() & is_rain
    if (traces & keep).any():
        plain = plain.mask(traces, "0")
        ledger.repair(f"{int((traces & keep).sum()):,} traces of precipitation (T) were read as 0.")
    numbers, _, bad = numbers_of(plain.mask(plain.isin(["M", "m", "-", "--"]), ""), decimal)
    numbers = numbers.astype(np.float64, copy=True)
    numbers[~np.isfinite(numbers)] = np.nan
    _clear(numbers, bad, keep, f"`{column}` that are no numbers", ledger)
    _clear(numbers, np.isin(numbers, _NO_VALUE), keep, f"`{column}` that stand for no measurement, such as -9999", ledger)
    return numbers


def _clear(
    numbers: npt.NDArray[np.float64], wrong: npt.NDArray[np.bool_], keep: npt.NDArray[np.bool_], what: str, ledger: Ledger
) -> None:
    """Turns values into "not measured", in place, and says how many; the day stays."""
    count = int((wrong & keep).sum())
    if count:
        sentence = f"{count:,} values of {what} were taken as not measured."
        ledger.warn("NOT_MEASURED", sentence, "Correct them if they matter.", rows=count)
        ledger.repair(sentence)
    numbers[wrong] = np.nan
