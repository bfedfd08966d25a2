"""Why a file was refused and why a row was left out: the rules every reader of tables goes by, and the ledger that loses no row.

Every outcome is one of: kept, kept after a counted repair, left out for a counted reason, or the whole file refused in sentences.
Rows are numbered from 1 below the header. Thresholds follow reliability.md §5.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import numpy as np

from engine.city.data_card import Dropped, FileCard
from engine.errors import IngestError, Problem

EXAMPLES = 3


@dataclass(frozen=True)
class Rule:
    """Why a row is left out.

    Attributes:
        explanation: The rule as a sentence, for the data card.
        mend: What the analyst can do.
        tolerated: Share of rows that may fall under it before the whole file is refused; None if any share may.
    """

    explanation: str
    mend: str = ""
    tolerated: float | None = None


DROP_RULES: dict[str, Rule] = {
    "RAGGED": Rule(
        "the row has more or fewer fields than the header",
        "Mend these rows, or quote fields that contain the delimiter.",
        0.01,
    ),
    "USER_MISSING": Rule("the row names no person", "Fill the user column or map another one."),
    "LOCATION_MISSING": Rule("the row names no location and has no position", "Fill the location column or map coordinates."),
    "TIME_MISSING": Rule("the row has no time", "Fill the time column or map another one."),
    "TIME_UNREADABLE": Rule(
        "the time cannot be read in the format of the rest of the column",
        "Write all times one way, best as ISO 8601: `2012-04-03T18:00:09Z`.",
        0.05,
    ),
    "TIME_1970": Rule("the time lies before 1971, which is what an empty clock shows", "Check the unit of the time column.", 0.5),
    "TIME_FUTURE": Rule("the time lies in the future", "Check the unit and the order of day and month.", 0.5),
    "COORDINATES_MISSING": Rule("latitude or longitude is empty, NaN or infinite", "Fill them, or bring a venues table."),
    "COORDINATES_UNREADABLE": Rule(
        "latitude or longitude is not a number",
        "Write decimal degrees such as 40.7411 and -73.9897.",
        0.05,
    ),
    "COORDINATES_RANGE": Rule(
        "latitude lies outside -90..90 or longitude outside -180..180",
        "Check whether the two columns are swapped or in another reference system.",
        0.05,
    ),
    "NULL_ISLAND": Rule("latitude and longitude are both 0, which stands for `unknown`", "Nothing to do if they are unknown."),
    "DUPLICATE": Rule("the row repeats an earlier one in every column"),
    "IN_EARLIER_FILE": Rule("an earlier file of the upload brought the same visit"),
    "NO_POSITION": Rule(
        "the visit's location has no position in any file", "Add a venues table with these ids, or coordinates to the visits."
    ),
    "ENDS_BEFORE_START": Rule("the stay ends before it begins", "Check which column is the arrival.", 0.05),
    "SPLIT_UNKNOWN": Rule("the split is neither train, valid nor test", "Use train, valid and test.", 0.05),
    "NUMBER_UNREADABLE": Rule("a number cannot be read", "Write plain numbers such as 12.5.", 0.05),
    "NOT_USED": Rule("the file describes something this city does not use"),
    "NOT_CHOSEN": Rule("left out by choice"),
    "NO_STAY": Rule("the GPS point belongs to no stay (moving, or too short)"),
    "NOISE": Rule("the stay lies near no other, so it belongs to no location"),
    "MERGED": Rule("the row was merged into another one that says more about the same thing"),
    "CELL_MISSING": Rule("the row names no cell or zone", "Fill the id column or map another one."),
    "CELL_UNKNOWN": Rule(
        "the row's cell or zone is not among the zones of this city",
        "Bring the flows of the same zoning, or map the column whose ids the zones have.",
        0.5,
    ),
    "HOUR_RANGE": Rule("the hour is no whole number from 0 to 23", "Write local hours as 0 to 23.", 0.05),
    "VALUE_NEGATIVE": Rule("a number of trips is negative", "Trips are counts; correct or remove these rows.", 0.05),
    "VALUE_MISSING": Rule(
        "a number of trips is empty, NaN or infinite", "Fill it; write 0 where nobody travelled, or set `missing_is_zero`."
    ),
    "DAY_INCOMPLETE": Rule(
        "another number or hour of the same zone and day was left out, so the trips of that day are not known",
        "Mend the row that was left out; its reason is listed beside this one.",
    ),
    "DATE_UNREADABLE": Rule("the date cannot be read", "Write all dates one way, best as 2012-04-03.", 0.05),
    "DATE_REPEATED": Rule("the day stands in the table more than once", "Keep one row per day, or choose one station."),
    "NO_MEASUREMENT": Rule("the day has neither temperature nor precipitation nor a condition"),
    "IMAGE_MISSING": Rule("the archive holds no image of that name", "Check the column that names the images."),
    "IMAGE_DAMAGED": Rule("the image is cut short or damaged", "Bring it again."),
    "IMAGE_REFUSED": Rule("the image is of a kind or size that is not read", "Bring JPEG or PNG of fewer than 89 million pixels."),
    "OUTSIDE_IMAGE": Rule("the cell lies outside the image, or only where it has no data"),
}


@dataclass
class Ledger:
    """Accounts for every row of one file: kept, or dropped for exactly one reason.

    Attributes:
        file: Name of the file as the analyst knows it.
        rows_in: Rows seen so far.
        problems: What was found, fatal or not.
        repairs: What was mended or assumed, as sentences.
        row_in_file: Number of a parsed row among all rows of the file, the ragged ones included.
    """

    file: str
    rows_in: int = 0
    problems: list[Problem] = field(default_factory=list)
    repairs: list[str] = field(default_factory=list)
    row_in_file: Callable[[int], int] = lambda row: row
    _rows: dict[str, int] = field(default_factory=dict)
    _examples: dict[str, list[str]] = field(default_factory=dict)
    _first: dict[str, tuple[int | None, str | None, str]] = field(default_factory=dict)

    def drop(
        self,
        code: str,
        keep: np.ndarray,
        bad: np.ndarray,
        first_row: int = 1,
        column: str | None = None,
        values: Iterable[object] | None = None,
        rows: np.ndarray | None = None,
    ) -> None:
        """Counts rows under a rule and clears them in `keep`, in place; rows already dropped are not counted again.

        Args:
            code: A key of `DROP_RULES`.
            keep: (row,) bool, changed.
            bad: (row,) bool.
            first_row: Number of the block's first row.
            column: Column concerned.
            values: (row,) values to quote as examples.
            rows: (row,) row numbers, where they are not consecutive.
        """
        positions = np.flatnonzero(bad & keep)
        if not len(positions):
            return
        keep[positions] = False
        examples = []
        if len(self._examples.get(code, ())) < EXAMPLES or code not in self._first:
            for position in positions[:EXAMPLES]:
                row = int(rows[position]) if rows is not None else first_row + int(position)
                shown = quoted(values[int(position)]) if values is not None else ""  # type: ignore[index]
                examples.append((self.row_in_file(row), shown))
        self.count(code, len(positions), examples, column)

    def count(self, code: str, rows: int, examples: Iterable[tuple[int, str]] = (), column: str | None = None) -> None:
        """Counts rows under a rule directly."""
        if not rows:
            return
        self._rows[code] = self._rows.get(code, 0) + rows
        told = self._examples.setdefault(code, [])
        for row, shown in examples:
            if code not in self._first:
                self._first[code] = (row, column, shown)
            if len(told) < EXAMPLES:
                told.append(f"row {row}: {shown}" if shown else f"row {row}")
        self._first.setdefault(code, (None, column, ""))

    def repair(self, sentence: str) -> None:
        """Notes something that was mended or assumed."""
        if sentence not in self.repairs:
            self.repairs.append(sentence)

    def refuse(
        self, code: str, found: str, mend: str = "", row: int | None = None, column: str | None = None, rows: int = 0
    ) -> None:
        """Adds a problem the file is refused for."""
        self.problems.append(Problem(code, found, mend, self.file, row, column, rows))

    def warn(self, code: str, found: str, mend: str = "", row: int | None = None, column: str | None = None, rows: int = 0) -> None:
        """Adds a problem that is shown and counted but does not refuse the file."""
        self.problems.append(Problem(code, found, mend, self.file, row, column, rows, fatal=False))

    def rows(self, code: str) -> int:
        """Rows dropped under a rule so far."""
        return self._rows.get(code, 0)

    @property
    def dropped_rows(self) -> int:
        """All rows dropped so far."""
        return sum(self._rows.values())

    @property
    def is_refused(self) -> bool:
        """Whether any problem is fatal."""
        return any(problem.fatal for problem in self.problems)

    def close(self, explained: frozenset[str] = frozenset()) -> None:
        """Turns the counts into problems: fatal above a rule's tolerance or when nothing is left, else a warning.

        Args:
            explained: Codes for which a more precise problem was already added.
        """
        for code, rows in self._rows.items():
            rule = DROP_RULES[code]
            row, column, shown = self._first[code]
            share = rows / max(self.rows_in, 1)
            fatal = rule.tolerated is not None and share > rule.tolerated and code not in explained
            many = f"{rows:,} of {self.rows_in:,} rows are left out ({share:.1%})" if rows > 1 else "this row is left out"
            example = f", for example {shown}" if shown else ""
            listed = ""
            if code == "RAGGED":
                listed = f" The first: {', '.join(self._examples[code])}."
            found = f"{rule.explanation[0].upper()}{rule.explanation[1:]}{example}; {many}.{listed}"
            if fatal:
                found += f" More than {rule.tolerated:.0%} is too many to go on."
            self.problems.append(Problem(code, found, rule.mend, self.file, row, column, rows, fatal))
        if self.rows_in and self.dropped_rows >= self.rows_in and not self.is_refused:
            self.refuse(
                "NOTHING_LEFT",
                f"None of the {self.rows_in:,} rows can be used: {reasons(self.dropped)}.",
                "Mend the most frequent reason first.",
            )

    def nothing_read(self) -> IngestError:
        """The refusal of a table of which not one row reached its reader: it has none, or every line was left out."""
        if self.rows_in:
            self.close()
            return IngestError(self.problems)
        return IngestError([Problem("NO_ROWS", "The file has a header and no rows.", "Choose another one.", self.file)])

    @property
    def dropped(self) -> list[Dropped]:
        """The drops for the file card."""
        return [
            Dropped(reason=code, rows=rows, explanation=DROP_RULES[code].explanation, examples=self._examples.get(code, []))
            for code, rows in self._rows.items()
        ]


def reasons(dropped: Iterable[Dropped]) -> str:
    """Why rows were left out, each reason with its rows, the most frequent first."""
    ordered = sorted(dropped, key=lambda rule: -rule.rows)
    return "; ".join(f"{rule.explanation[0].lower()}{rule.explanation[1:].rstrip('.')} ({rule.rows:,})" for rule in ordered)


def drop_later(card: FileCard, code: str, rows: int, examples: list[str] | None = None) -> FileCard:
    """The card of a file of which further rows were dropped when it was combined with other files."""
    if not rows:
        return card
    rule = Dropped(reason=code, rows=rows, explanation=DROP_RULES[code].explanation, examples=examples or [])
    same = [known for known in card.dropped if known.reason == code]
    if same:
        rule = rule.model_copy(update={"rows": rows + same[0].rows, "examples": (same[0].examples + rule.examples)[:EXAMPLES]})
    others = [known for known in card.dropped if known.reason != code]
    return FileCard.model_validate(card.model_dump() | {"rows_kept": card.rows_kept - rows, "dropped": [*others, rule]})


def quoted(value: object, length: int = 60) -> str:
    """A value for a sentence: in quotes, control characters escaped, cut to `length`."""
    plain = value.as_py() if hasattr(value, "as_py") else value
    shown = repr(str(plain))
    return shown if len(shown) <= length else shown[: length - 2] + "…'"
