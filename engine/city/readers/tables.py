"""Streaming delimited text and Parquet in blocks of bounded memory, every row accounted for in the ledger."""

import csv
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from engine.city.checks import Ledger, quoted
from engine.city.readers.archives import LIMITS
from engine.city.readers.base import SniffedFile
from engine.errors import IngestError, Problem

BLOCK_BYTES = 16 << 20
BLOCK_ROWS = 200_000


class Table:
    """The rows of a delimited or Parquet file, in blocks.

    Args:
        file: The sniffed file.
        ledger: Counts rows; ragged ones are dropped into it on the first pass.
        columns: Names to use instead of the file's own (formats without a header).
        limit_rows: Stop after that many rows.
        quoting: Whether double quotes enclose fields; None follows the sniffed text.
    """

    def __init__(
        self,
        file: SniffedFile,
        ledger: Ledger,
        columns: Sequence[str] | None = None,
        limit_rows: int | None = None,
        quoting: bool | None = None,
    ) -> None:
        self.file = file
        self.ledger = ledger
        self.columns = tuple(columns or file.columns)
        self.limit_rows = limit_rows
        self.quoting = (file.text.quoted if file.text else False) if quoting is None else quoting
        self.has_header = bool(file.text and file.text.header) and columns is None
        if file.kind == "text" and file.text is not None and not file.text.columns:
            raise IngestError([Problem("FORMAT", "The file is not a table.", "Bring delimited text or Parquet.", file.name)])
        self._ragged: list[int] = []
        ledger.row_in_file = self._row_in_file
        if self.quoting and file.text:
            _check_quotes(file.path, file.text.delimiter, file.name)

    def blocks(self, columns: Sequence[str], counted: bool = True) -> Iterator[tuple[int, dict[str, pa.Array]]]:
        """Number of the first row of each block, and its columns; text for delimited files, typed for Parquet.

        Args:
            columns: The ones needed.
            counted: Whether this pass counts rows in the ledger (the first one does, others look again).

        Raises:
            IngestError: If the file cannot be parsed, or a column is nested.
        """
        source = self._parquet(columns) if self.file.kind == "parquet" else self._text(columns, counted)
        first = 1
        try:
            for block in source:
                rows = len(next(iter(block.values()))) if block else 0
                if self.limit_rows is not None and first + rows - 1 > self.limit_rows:
                    rows = max(self.limit_rows - first + 1, 0)
                    block = {name: values[:rows] for name, values in block.items()}
                if rows:
                    if counted:
                        self.ledger.rows_in += rows
                    yield first, block
                first += rows
                if self.limit_rows is not None and first > self.limit_rows:
                    return
        except pa.ArrowException as error:
            raise IngestError([_worded(error, self.file.name)]) from None

    def _row_in_file(self, row: int) -> int:
        for ragged in self._ragged:
            if ragged > row:
                break
            row += 1
        return row

    def _text(self, columns: Sequence[str], counted: bool) -> Iterator[dict[str, pa.Array]]:
        assert self.file.text is not None  # only delimited text comes here
        inner = [f"c{index}" for index in range(len(self.columns))]
        wanted = [inner[self.columns.index(name)] for name in columns]

        def skip(row: pa_csv.InvalidRow) -> str:
            if counted:
                number = (row.number or 0) - (1 if self.has_header else 0)
                self.ledger.rows_in += 1
                self._ragged.append(number)
                fields = f"{row.actual_columns} fields instead of {row.expected_columns}"
                self.ledger.count("RAGGED", 1, [(number, fields)])
            return "skip"

        reader = pa_csv.open_csv(
            str(self.file.path),
            read_options=pa_csv.ReadOptions(
                use_threads=False, block_size=BLOCK_BYTES, column_names=inner, skip_rows_after_names=1 if self.has_header else 0
            ),
            parse_options=pa_csv.ParseOptions(
                delimiter=self.file.text.delimiter,
                quote_char='"' if self.quoting else False,
                newlines_in_values=self.quoting,
                invalid_row_handler=skip,
            ),
            convert_options=pa_csv.ConvertOptions(
                column_types=dict.fromkeys(inner, pa.string()), strings_can_be_null=False, include_columns=wanted
            ),
        )
        for batch in reader:
            yield {name: batch.column(column) for name, column in zip(columns, wanted, strict=True)}

    def _parquet(self, columns: Sequence[str]) -> Iterator[dict[str, pa.Array]]:
        source = pq.ParquetFile(self.file.path)
        missing = [name for name in columns if name not in source.schema_arrow.names]
        if missing:
            raise IngestError(
                [
                    Problem(
                        "COLUMN_MISSING",
                        f"There is no column `{missing[0]}`.",
                        f"It has {', '.join(source.schema_arrow.names[:20])}.",
                        self.file.name,
                    )
                ]
            )
        problems = []
        for name in columns:
            kind = source.schema_arrow.field(name).type
            if pa.types.is_nested(kind) or pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
                problems.append(
                    Problem(
                        "COLUMN_TYPE", f"The column holds {kind}, not single values.", "Flatten it.", self.file.name, column=name
                    )
                )
        if problems:
            raise IngestError(problems)
        for batch in source.iter_batches(batch_size=BLOCK_ROWS, columns=list(columns)):
            yield {name: _undictionary(batch.column(batch.schema.get_field_index(name))) for name in columns}


def as_text(values: pa.Array) -> pa.Array:
    """Values as trimmed text without null, NaN and infinity; whole floats as integers, so that `7.0` is `7`."""
    if pa.types.is_floating(values.type):
        values = pc.if_else(pc.is_finite(values), values, None)
        numbers = values.drop_null().to_numpy()
        if np.all(numbers == np.floor(numbers)) and np.all(np.abs(numbers) < 2**53):
            values = pc.cast(values, pa.int64())
    if not pa.types.is_string(values.type):
        values = pc.cast(values, pa.string())
    text = pc.utf8_trim_whitespace(pc.fill_null(values, ""))
    if pc.any(pc.starts_with(text, "'")).as_py():
        # Spreadsheets need an apostrophe before text that looks like a formula; it is no part of the text.
        text = pc.replace_substring_regex(text, r"^'('?[=+\-@])", r"\1")
    return text


def as_numbers(values: pa.Array, decimal: str = ".") -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Numbers as (row,) float64, with which rows are missing (empty, NaN, infinite) and which are no numbers."""
    if pa.types.is_integer(values.type) or pa.types.is_floating(values.type) or pa.types.is_decimal(values.type):
        numbers = pc.cast(values, pa.float64()).to_numpy(zero_copy_only=False)
        return numbers, ~np.isfinite(numbers), np.zeros(len(values), bool)
    text = as_text(values)
    if decimal == ",":
        text = pc.replace_substring(text, ",", ".")
    try:
        numbers = pc.cast(text, pa.float64()).to_numpy(zero_copy_only=False)
        return numbers, ~np.isfinite(numbers), np.zeros(len(numbers), bool)
    except pa.ArrowInvalid:
        pass
    plain = pd.Series(text.to_pylist(), dtype=object)
    numbers = pd.to_numeric(plain, errors="coerce").to_numpy(float)
    empty = (
        plain.str.lower()
        .isin(["", "nan", "na", "n/a", "null", "none", "inf", "-inf", "+inf", "infinity", "-infinity"])
        .to_numpy(bool)
    )
    finite = np.isfinite(numbers)
    return np.where(finite, numbers, np.nan), ~finite & empty, ~finite & ~empty


def _undictionary(values: pa.Array) -> pa.Array:
    return values.dictionary_decode() if pa.types.is_dictionary(values.type) else values


def _check_quotes(path: Path, delimiter: str, name: str) -> None:
    """Refuses a file with a quote that never closes; the line is only looked for where the count of quotes is odd."""
    quotes = 0
    with path.open("rb") as file:
        while chunk := file.read(8 << 20):
            quotes += chunk.count(b'"')
    if quotes % 2 == 0:
        return
    mark = "\x00end"
    start, last = 1, ["", 1]

    def lines(file: Iterable[str]) -> Iterator[str]:
        yield from file
        yield f"\n{mark}\n"

    csv.field_size_limit(1 << 30)
    with path.open(encoding="utf-8", errors="replace", newline="") as text:
        reader = csv.reader(lines(text), delimiter=delimiter)
        try:
            for record in reader:
                if record:
                    last = [record[-1], start]
                start = reader.line_num + 1
        except csv.Error:
            last = [mark, start]
    if str(last[0]).strip() != mark and mark in str(last[0]):
        raise IngestError(
            [
                Problem(
                    "UNCLOSED_QUOTE",
                    f"A quote opens on line {last[1]} and never closes.",
                    "Close it, or double quotes inside text.",
                    name,
                )
            ]
        )


def _worded(error: pa.ArrowException, name: str) -> Problem:
    text = str(error)
    if "straddling" in text or "block" in text:
        return Problem(
            "CELL_SIZE", f"A line is longer than {LIMITS.line_bytes >> 20} MB.", "Cut it, or close a quote that stays open.", name
        )
    return Problem(
        "UNREADABLE", f"The file cannot be parsed: {quoted(text, 160)}.", "Open it in an editor and mend the place.", name
    )
