"""What a reader of uploaded files is: recognises a format by content, says which fields it wants, reads into city tables.

A reader lives in one file of this folder and is entered in `READERS` (see `engine/city/readers/__init__.py`). Readers run in the
limited child process of `engine/city/sandbox.py`; they open no sockets, never trust a file's extension, and collect all problems
of a file instead of stopping at the first.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Literal

import pandas as pd
from pydantic import BaseModel, ConfigDict, Field

from engine.city.data_card import Dropped, FileCard
from engine.errors import IngestError, Problem

FileKind = Literal["text", "parquet", "zip", "sqlite", "tiff", "image", "unknown"]
FieldKind = Literal["text", "time", "clock", "latitude", "longitude", "number", "integer", "date", "split", "offset", "geometry"]
OptionValue = str | float | int | bool | None

IS_LOCAL_TIME = "is_local_time"
"""Boolean helper column beside `started_at`: True where the value is naive wall-clock time, still without a zone. `ingest` turns
those rows into UTC once the city's zone is known (it may only follow from another file's coordinates), and removes the column."""


@dataclass(frozen=True)
class FieldSpec:
    """A field of the canonical table that a column of the file can be mapped to.

    Attributes:
        name: Name used in mappings: `latitude`, `started_at`, ...
        meaning: One line for the form, with unit.
        kind: What its values must look like; used to propose a mapping and to word problems.
        required: Whether reading is refused without it.
        synonyms: Column names it is known by, lower case without punctuation; the best first.
    """

    name: str
    meaning: str
    kind: FieldKind = "text"
    required: bool = False
    synonyms: tuple[str, ...] = ()


@dataclass(frozen=True)
class OptionSpec:
    """A reading option an analyst can set: CRS, day before month, origin date ...

    Attributes:
        name: Key in `FileChoices.options`.
        meaning: One line for the form.
        default: Value where nothing is chosen.
        choices: Allowed values; empty if free.
    """

    name: str
    meaning: str
    default: OptionValue = None
    choices: tuple[OptionValue, ...] = ()


class FileChoices(BaseModel):
    """What an analyst decided about one file. The form, the recipe YAML and the command line all fill this."""

    model_config = ConfigDict(extra="forbid")
    reader: str | None = Field(None, description="Name of a reader; None lets the content decide.")
    mapping: dict[str, str] = Field({}, description="Field to column name; fields left out are proposed from the content.")
    options: dict[str, OptionValue] = Field({}, description="Reader options by name, e.g. `crs`, `day_first`, `decimal`.")


@dataclass(frozen=True)
class TextSniff:
    """What a delimited text file looks like.

    Attributes:
        encoding: Python codec name.
        certain: Whether the encoding is proven (UTF-8 decodes, BOM) rather than guessed.
        delimiter: One character.
        decimal: `.` or `,`.
        quoted: Whether fields are enclosed in double quotes.
        header: Whether the first row names the columns.
        columns: Names from the header; `column 1`, `column 2`, ... where it has none.
        rows: Up to 200 first rows below the header, as text.
    """

    encoding: str
    certain: bool
    delimiter: str
    decimal: str
    quoted: bool
    header: bool
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class SniffedFile:
    """A file as seen before it is read: everything `Reader.recognise` may look at.

    Attributes:
        path: Where it lies; gzip is already inflated (bounded), so this is the content itself.
        name: What the analyst calls it; members of an archive are `archive.zip/member.csv`. Never used as a path.
        kind: By magic bytes and content, never by extension.
        size: Bytes.
        sha256: Of the file as uploaded, hex.
        head: First 64 KiB.
        text: Set for delimited text.
        columns: Column names of delimited text or Parquet; empty otherwise.
        entries: Names of a zip's members; already guarded against bombs, slips, links, encryption and nesting.
        problems: What sniffing found; not all are fatal.
    """

    path: Path
    name: str
    kind: FileKind
    size: int
    sha256: str
    head: bytes
    text: TextSniff | None = None
    columns: tuple[str, ...] = ()
    entries: tuple[str, ...] = ()
    problems: tuple[Problem, ...] = ()

    @cached_property
    def head_text(self) -> str:
        """The head decoded, undecodable bytes replaced."""
        return self.head.decode(self.text.encoding if self.text else "utf-8", errors="replace")

    @cached_property
    def samples(self) -> Mapping[str, tuple[str, ...]]:
        """Up to 200 values of each column as text (delimited text only)."""
        if self.text is None:
            return {}
        return {
            column: tuple(row[index] for row in self.text.rows if index < len(row))
            for index, column in enumerate(self.text.columns)
        }


@dataclass(frozen=True)
class ReadContext:
    """What a reader may need besides the file.

    Attributes:
        folder: A private folder for temporary files, removed afterwards.
        time_zone: IANA zone the analyst chose for the city; None while unknown.
        limit_rows: Read only that many rows (inspection of big files); None reads all.
        now: Times after it are in the future; a parameter so that a reading can be repeated.
        report: Told what is being done and the share done, 0 to 1.
        tables: What the files read before this one gave, by table; see `Reader.reads_after`.
    """

    folder: Path
    time_zone: str | None = None
    limit_rows: int | None = None
    now: datetime = field(default_factory=lambda: datetime.now(UTC))
    report: Callable[[str, float], None] = lambda message, share: None
    tables: Mapping[str, pd.DataFrame] = field(default_factory=dict)


@dataclass
class ReadResult:
    """What became of one file.

    Attributes:
        tables: Canonical tables by name (`schema.TABLES`); spatial ones are GeoDataFrames in EPSG:4326. Visits may be in any
            order, their times naive with the helper column `is_local_time`; locations may lack geometry where another file has it.
        cards: One per file read: rows in, kept, dropped by reason.
        problems: Everything found; any fatal one refuses the upload.
        media: Image bytes by path relative to the city folder (`media/...`).
        assumptions: Sentences for the data card.
        provenance: Facts for `city.json`, e.g. `{"virtual": True}` for a city without geography.
        derived: Names of tables that only follow from others (locations from visits); a file that brings them itself wins.
        attributes: By table, further columns for rows that another file brings; the first column is the table's key.
    """

    tables: dict[str, pd.DataFrame] = field(default_factory=dict)
    cards: list[FileCard] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    media: dict[str, bytes] = field(default_factory=dict)
    assumptions: list[str] = field(default_factory=list)
    provenance: dict[str, Any] = field(default_factory=dict)
    derived: set[str] = field(default_factory=set)
    attributes: dict[str, pd.DataFrame] = field(default_factory=dict)


class Reader(ABC):
    """One file format.

    Class attributes: `name` (key in `READERS`), `title` (for the screen), `tables` it can fill, `fields` that columns can be mapped
    to (empty where the format is fixed), `options`, and `takes_any_table` if a mapping of its required fields is all it needs.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    tables: ClassVar[tuple[str, ...]]
    fields: ClassVar[tuple[FieldSpec, ...]] = ()
    options: ClassVar[tuple[OptionSpec, ...]] = ()
    takes_any_table: ClassVar[bool] = False
    reads_after: ClassVar[tuple[str, ...]] = ()
    """Tables of other files this reader wants to see in `ReadContext.tables`: flows and imagery look up their cells. Files of such
    readers are read last."""

    @abstractmethod
    def recognise(self, file: SniffedFile) -> float:
        """How sure this is the reader's format, 0 to 1, judged by content.

        A fixed format that fits perfectly answers 0.9 or more; a generic reader whose required fields can all be mapped about 0.6;
        0 means it cannot read the file. Must not raise and must not read beyond the file's first megabyte.
        """

    @abstractmethod
    def read(self, file: SniffedFile, choices: FileChoices, context: ReadContext) -> ReadResult:
        """Reads the whole file into canonical tables.

        Raises:
            IngestError: With all problems, where nothing useful can be returned.
        """

    def propose(self, file: SniffedFile) -> dict[str, str]:
        """Field to column: a mapping proposed from names and content. Readers of fixed formats return nothing."""
        return {}

    def samples(self, file: SniffedFile) -> Mapping[str, tuple[str, ...]]:
        """Column to some of its values as text, for the mapping form; readers of other than tables look inside."""
        return file.samples

    def option(self, choices: FileChoices, name: str) -> Any:
        """The chosen value of an option, else its default.

        Raises:
            IngestError: If the value is not one of the allowed ones.
        """
        spec = next(option for option in self.options if option.name == name)
        value = choices.options.get(name, spec.default)
        if spec.choices and value not in spec.choices:
            allowed = ", ".join(str(choice) for choice in spec.choices)
            raise IngestError([Problem("OPTION", f"Option `{name}` is {value!r}.", f"Choose one of {allowed}.")])
        return value

    def card(
        self,
        file: SniffedFile,
        table: str,
        rows_in: int,
        rows_kept: int,
        dropped: list[Dropped] | None = None,
        repairs: list[str] | None = None,
        confidence: float | None = None,
    ) -> FileCard:
        """The file card of this reader for one file; refuses (ValueError) if rows are unaccounted for."""
        return FileCard(
            file=file.name,
            recognised_as=self.name,
            confidence=self.recognise(file) if confidence is None else confidence,
            table=table,
            sha256=file.sha256,
            rows_in=rows_in,
            rows_kept=rows_kept,
            dropped=[rule for rule in dropped or [] if rule.rows],
            repairs=repairs or [],
        )
