"""Small delimited or Parquet tables read whole, as text: flows, weather, coordinates of street views."""

import re

import numpy as np
import pandas as pd
import pyarrow as pa

from engine.city import times
from engine.city.checks import Ledger, quoted
from engine.city.readers.base import FieldSpec, FileChoices, SniffedFile
from engine.city.readers.tables import Table, as_numbers, as_text
from engine.errors import IngestError, Problem


def read_text_frame(file: SniffedFile, ledger: Ledger, columns: list[str], limit_rows: int | None = None) -> pd.DataFrame:
    """The chosen columns of a table as trimmed text, one row per row kept; ragged rows are counted in the ledger.

    Raises:
        IngestError: If the file cannot be parsed.
    """
    table = Table(file, ledger, limit_rows=limit_rows)
    blocks = [
        pd.DataFrame({name: as_text(values).to_pandas().to_numpy(dtype=object) for name, values in block.items()})
        for _, block in table.blocks(columns)
    ]
    if not blocks:
        raise ledger.nothing_read()
    return pd.concat(blocks, ignore_index=True)


def numbers_of(text: pd.Series, decimal: str = ".") -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Numbers of a column of text: (row,) float64, which are missing (empty, NaN, infinite), which are no numbers."""
    return as_numbers(pa.array(text.to_numpy(dtype=object), type=pa.string(), from_pandas=True), decimal)


def plain_name(column: str) -> str:
    """A column name as synonyms are written: lower case, letters and digits only."""
    return re.sub(r"[^a-z0-9]", "", column.lower())


def map_by_name(columns: tuple[str, ...], fields: tuple[FieldSpec, ...]) -> dict[str, str]:
    """Field to column, by the synonyms of the fields; a column is used once."""
    by_name: dict[str, str] = {}
    for column in columns:
        by_name.setdefault(plain_name(column), column)
    mapping: dict[str, str] = {}
    for spec in fields:
        for synonym in spec.synonyms:
            if synonym in by_name and by_name[synonym] not in mapping.values():
                mapping[spec.name] = by_name[synonym]
                break
    return mapping


def settle_mapping(
    file: SniffedFile, fields: tuple[FieldSpec, ...], choices: FileChoices, proposed: dict[str, str], columns: tuple[str, ...]
) -> dict[str, str]:
    """The proposed mapping with the analyst's choices over it; an empty column name leaves a field out.

    Raises:
        IngestError: With every unknown field, unknown column and required field without a column.
    """
    known = {spec.name: spec for spec in fields}
    listed = ", ".join(f"`{column[:40]}`" for column in columns[:20]) or "none"
    problems = []
    for field, column in choices.mapping.items():
        if field not in known:
            problems.append(Problem("FIELD", f"There is no field `{field}` here.", f"Known: {', '.join(known)}.", file.name))
        elif column and column not in columns:
            problems.append(
                Problem("COLUMN_MISSING", f"There is no column `{column}`.", f"Found: {listed}.", file.name, column=column)
            )
    mapping = {field: column for field, column in (proposed | choices.mapping).items() if column}
    for spec in fields:
        if spec.required and spec.name not in mapping:
            problems.append(
                Problem("FIELD_MISSING", f"No column gives `{spec.name}`: {spec.meaning}.", f"Map one of {listed}.", file.name)
            )
    if problems:
        raise IngestError(problems)
    return mapping


def dates_of(text: pd.Series, day_first: bool | None, file: str, column: str) -> tuple[pd.Series, np.ndarray, np.ndarray]:
    """Calendar dates of a column of text, as written; times of day and offsets are cut off.

    Args:
        text: (row,) text.
        day_first: For dates such as 03/04/2012; None asks where the column does not tell.
        file: Name of the file, for the refusal.
        column: Name of the column.

    Returns:
        (row,) naive dates at midnight, which are missing, which cannot be read.

    Raises:
        IngestError: `DATE_ORDER` if day and month cannot be told apart, `DATE_FORMAT` if no format fits.
    """
    plain = text.str.replace(r"^(\d{4}-\d{2}-\d{2})([ T].*)$", r"\1", regex=True)
    values = pa.array(plain.to_numpy(dtype=object), type=pa.string())
    sample = plain[plain != ""].unique()[:1000].tolist()
    formats = times.candidate_formats(sample)
    if day_first is not None:
        formats = [known for known in formats if times.is_day_first(known) in (None, day_first)]
    formats = times.settle_format(formats, [values]) if len(formats) > 1 else formats
    if len({times.is_day_first(known) for known in formats}) > 1:
        raise IngestError(
            [
                Problem(
                    "DATE_ORDER",
                    f"Day and month cannot be told apart in dates such as {sample[0]!r}.",
                    "Set option `day_first` to true or false.",
                    file,
                    column=column,
                )
            ]
        )
    if not formats:
        shown = quoted(sample[0]) if sample else "nothing"
        raise IngestError(
            [
                Problem(
                    "DATE_FORMAT",
                    f"The column holds no dates known here; the first is {shown}.",
                    "Write 2012-04-03.",
                    file,
                    column=column,
                )
            ]
        )
    read = times.read_times(values, formats[0])
    dates = pd.Series(read.microseconds.astype("datetime64[us]")).dt.normalize()
    return dates, read.missing, read.bad
