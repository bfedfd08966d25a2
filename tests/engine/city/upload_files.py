"""Small uploads made in code: a golden table of check-ins in New York, and the helpers that read it without a child process."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

from engine.city.readers.base import FileChoices
from engine.city.reading import Upload, build_city, read_upload
from engine.city.recipe import IngestChoices
from engine.errors import Problem

NOW = datetime(2026, 1, 1, tzinfo=UTC)
HEADER = ["user_id", "location_id", "latitude", "longitude", "time", "category"]
PLACES = {
    "v0": ("40.7411", "-73.9897", "Café"),
    "v1": ("40.7527", "-73.9772", "Train Station"),
    "v2": ("40.7306", "-73.9866", "Bar"),
    "v3": ("40.7829", "-73.9654", "Park"),
}


def golden_rows(count: int = 40) -> list[list[str]]:
    """`count` check-ins of four people at four places in Manhattan, seven hours apart, from 3 April 2012 08:00 UTC."""
    rows = []
    for index in range(count):
        place = f"v{(index * 3 + index // 4) % 4}"
        latitude, longitude, category = PLACES[place]
        moment = datetime(2012, 4, 3, 8, tzinfo=UTC) + timedelta(hours=7 * index)
        rows.append([f"u{index % 4}", place, latitude, longitude, moment.strftime("%Y-%m-%dT%H:%M:%SZ"), category])
    return rows


GOLDEN = golden_rows()


def table(rows: list[list[str]], header: list[str] | None = None, delimiter: str = ",", encoding: str = "utf-8") -> bytes:
    """Rows as delimited text."""
    lines = [delimiter.join(row) for row in ([header or HEADER, *rows] if header != [] else rows)]
    return ("\n".join(lines) + "\n").encode(encoding)


def with_cell(rows: list[list[str]], row: int, column: str, value: str) -> list[list[str]]:
    """A copy with one cell changed; rows count from 1."""
    changed = [list(values) for values in rows]
    changed[row - 1][HEADER.index(column)] = value
    return changed


def with_column(rows: list[list[str]], column: str, values: list[str]) -> list[list[str]]:
    """A copy with one column replaced."""
    position = HEADER.index(column)
    return [[*row[:position], value, *row[position + 1 :]] for row, value in zip(rows, values, strict=True)]


def bring(folder: Path, files: Mapping[str, bytes], choices: IngestChoices | None = None) -> Upload:
    """Reads files in this process, as the child would."""
    place, scratch = folder / "brought", folder / "scratch"
    place.mkdir(exist_ok=True)
    scratch.mkdir(exist_ok=True)
    paths = []
    for index, (name, content) in enumerate(files.items()):
        path = place / str(index)
        path.write_bytes(content)
        paths.append((path, name))
    upload = read_upload(paths, choices or IngestChoices(), scratch, now=NOW)
    assert_nothing_lost(upload)
    return upload


def read_golden(folder: Path, rows: list[list[str]] | None = None, choices: IngestChoices | None = None) -> Upload:
    """The golden table, or other rows under its header, as one file."""
    return bring(folder, {"checkins.csv": table(GOLDEN if rows is None else rows)}, choices)


def choose(file: str = "*", time_zone: str | None = None, reader: str | None = None, **options: object) -> IngestChoices:
    """Choices with options for one file."""
    return IngestChoices(time_zone=time_zone, files={file: FileChoices(reader=reader, options=options)})


def fatal(upload: Upload) -> dict[str, Problem]:
    """The problems the upload is refused for, by code."""
    return {problem.code: problem for problem in upload.combined.problems if problem.fatal}


def warnings(upload: Upload) -> dict[str, Problem]:
    """The problems that were repaired or only shown, by code."""
    return {problem.code: problem for problem in upload.combined.problems if not problem.fatal}


def dropped(upload: Upload) -> dict[str, int]:
    """Rows left out, by reason; of several files that know a reason, the last one's."""
    return {rule.reason: rule.rows for card in upload.combined.card.files for rule in card.dropped}


def city_of(upload: Upload, name: str = "test"):
    """The city in memory."""
    return build_city(upload, name, IngestChoices())


def assert_nothing_lost(upload: Upload) -> None:
    """rows_in == rows_kept + dropped on every card, and nobody met an error that was not foreseen."""
    assert "INTERNAL" not in {problem.code for problem in upload.combined.problems}, upload.combined.problems
    for card in upload.combined.card.files:
        assert card.rows_in == card.rows_kept + sum(rule.rows for rule in card.dropped)
