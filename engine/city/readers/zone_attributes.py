"""A table with one row per zone: land use, counts, population and whatever else is known of the zones of the same upload."""

from typing import ClassVar

import numpy as np
import numpy.typing as npt
import pandas as pd

from engine.city.checks import Ledger
from engine.city.readers.base import FieldSpec, FileChoices, ReadContext, Reader, ReadResult, SniffedFile
from engine.city.readers.flows import hour_columns
from engine.city.readers.frames import map_by_name, numbers_of, plain_name, read_text_frame, settle_mapping
from engine.city.schema import TABLES
from engine.errors import IngestError

MOST_COLUMNS = 400
LONGEST_LABEL = 120

_ZONES = tuple("cellid zoneid regionid region tractid tract geoid boroct2010 gridid cell zone".split())
_ABOUT_PEOPLE_OR_TIME = {
    *(
        "userid",
        "user",
        "time",
        "timestamp",
        "datetime",
        "date",
        "day",
        "hour",
        "startedat",
        "finishedat",
        "uid",
        "venueid",
        "poiid",
    ),
    *("origin", "destination", "o", "d", "category", "filename", "image", "heading"),
}


class ZoneAttributes(Reader):
    """Further columns for the zones that came with it; models that look at cells read them."""

    name: ClassVar[str] = "zone_attributes"
    title: ClassVar[str] = "Attributes of zones: land use, counts, population"
    tables: ClassVar[tuple[str, ...]] = ("cells",)
    fields: ClassVar[tuple[FieldSpec, ...]] = (
        FieldSpec("cell_id", "the zone, as the zones of the same upload name it", required=True, synonyms=_ZONES),
        FieldSpec("district", "larger area the zone belongs to; replaces that of the map layer"),
    )
    reads_after: ClassVar[tuple[str, ...]] = ("cells",)

    def recognise(self, file: SniffedFile) -> float:
        """By a column that names zones, once each, and at least one column of numbers; nothing of people, times or flows."""
        if not file.columns or (file.text is not None and not file.text.header):
            return 0.0
        names = {plain_name(column) for column in file.columns}
        column = map_by_name(file.columns, self.fields).get("cell_id")
        if column is None or names & _ABOUT_PEOPLE_OR_TIME or hour_columns(file.columns):
            return 0.0
        ids = file.samples.get(column, ())
        if len(set(ids)) < len(ids) or not any(_is_number(values) for name, values in file.samples.items() if name != column):
            return 0.0
        return 0.55

    def propose(self, file: SniffedFile) -> dict[str, str]:
        """The zone by its name; the district only if it is chosen."""
        return map_by_name(file.columns, self.fields)

    def read(self, file: SniffedFile, choices: FileChoices, context: ReadContext) -> ReadResult:
        """Reads the table whole; its rows are matched with the zones read before."""
        mapping = settle_mapping(file, self.fields, choices, self.propose(file), file.columns)
        ledger = Ledger(file.name, problems=list(file.problems))
        taken = {column.name for column in TABLES["cells"].columns} | set(mapping.values())
        columns = [column for column in file.columns if column not in taken]
        if len(columns) > MOST_COLUMNS:
            ledger.repair(f"{len(columns) - MOST_COLUMNS:,} columns beyond the first {MOST_COLUMNS} were left out.")
            columns = columns[:MOST_COLUMNS]
        frame = read_text_frame(file, ledger, list(dict.fromkeys([*mapping.values(), *columns])), context.limit_rows)
        ids, column = frame[mapping["cell_id"]], mapping["cell_id"]
        keep = np.ones(len(frame), dtype=bool)
        ledger.drop("CELL_MISSING", keep, (ids == "").to_numpy(), column=column)
        self._match(ids, keep, column, ledger, context)
        ledger.drop("DUPLICATE", keep, ids.duplicated().to_numpy(), column=column, values=list(ids))
        ledger.close()
        if ledger.is_refused:
            raise IngestError(ledger.problems)
        decimal = file.text.decimal if file.text else "."
        read = {"cell_id": ids[keep].astype("str").reset_index(drop=True)}
        if "district" in mapping:
            read["district"] = frame.loc[keep, mapping["district"]].astype("str").reset_index(drop=True)
        for name in columns:
            values = _values(frame.loc[keep, name].reset_index(drop=True), decimal)
            if values is None:
                ledger.repair(f"Column `{name[:60]}` is empty or holds long texts and was left out.")
            else:
                read[name] = values
        card = self.card(file, "cells", ledger.rows_in, int(keep.sum()), ledger.dropped, ledger.repairs)
        context.report(f"{file.name}: {len(read) - 1} columns of {int(keep.sum()):,} zones", 1.0)
        result = ReadResult(cards=[card], problems=ledger.problems)
        result.attributes["cells"] = pd.DataFrame(read)
        return result

    def _match(self, ids: pd.Series, keep: npt.NDArray[np.bool_], column: str, ledger: Ledger, context: ReadContext) -> None:
        cells = context.tables.get("cells")
        if cells is None or not len(cells):
            ledger.refuse(
                "NO_CELLS",
                "The table describes zones, but no zones came with it.",
                "Bring the zones (GeoJSON, GeoPackage, Shapefile) in the same upload.",
            )
            raise IngestError(ledger.problems)
        unknown = (~ids.isin(set(cells["cell_id"])) & (ids != "")).to_numpy()
        if unknown[keep].any() and not (~unknown[keep]).any():
            ledger.refuse(
                "OTHER_ZONING",
                f"None of the ids, such as `{ids[keep].iloc[0]}`, is among the {len(cells):,} zones, "
                f"such as `{cells['cell_id'].iloc[0]}`.",
                "Map the id column that both files share (for the zones, field `id`).",
                column=column,
                rows=int(unknown.sum()),
            )
            raise IngestError(ledger.problems)
        ledger.drop("CELL_UNKNOWN", keep, unknown, column=column, values=list(ids))


def _values(text: pd.Series, decimal: str) -> pd.Series | None:
    """Numbers where every value is one, else short labels; None for empty columns and long texts."""
    numbers, missing, bad = numbers_of(text, decimal)
    if missing.all():
        return None
    if not bad.any():
        return pd.Series(numbers, dtype="float64")
    return text.astype("str") if int(text.str.len().max()) <= LONGEST_LABEL else None


def _is_number(values: tuple[str, ...]) -> bool:
    known = [value for value in values if value.strip()]
    try:
        return bool(known) and all(np.isfinite(float(value.replace(",", "."))) for value in known)
    except ValueError:
        return False
