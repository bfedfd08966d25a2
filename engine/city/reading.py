"""Reading an upload, inside the limited child process: sniff, recognise, read, combine. `engine/city/ingest.py` is the outside."""

import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
from pydantic import BaseModel, ConfigDict, Field

from engine.city.antimeridian import bounds_of
from engine.city.checks import DROP_RULES
from engine.city.city import City
from engine.city.combine import Combined, combine
from engine.city.data_card import DataCard, FileCard
from engine.city.readers import READERS
from engine.city.readers.base import FileChoices, ReadContext, Reader, ReadResult, SniffedFile
from engine.city.readers.sniff import members, sniff, unpack
from engine.city.recipe import ALL_FILES, IngestChoices
from engine.errors import CityError, IngestError, Problem

SKIP = "skip"
"""Chosen as reader, it leaves a file out."""
PREVIEW_POINTS = 2000
INSPECT_ROWS = 500_000
_SURE = 0.2
_NO_DATA = ("EMPTY", "FORMAT")
Report = Callable[[str, float], None]


class ColumnSeen(BaseModel):
    """A column of a file, for the mapping form."""

    name: str
    samples: list[str] = []
    field: str | None = Field(None, description="Field it is mapped to, proposed or chosen.")


class FileSeen(BaseModel):
    """A file of the upload as recognised."""

    file: str
    size: int
    reader: str | None = None
    title: str = ""
    confidence: float = 0.0
    candidates: list[tuple[str, float]] = Field(default=[], description="Readers that could take it, the surest first.")
    columns: list[ColumnSeen] = []
    mapping: dict[str, str] = Field(default={}, description="Field to column.")
    encoding: str = ""
    delimiter: str = ""
    card: FileCard | None = Field(None, description="What would be kept and dropped.")
    preview: list[list[str]] = Field(default=[], description="First rows as text.")
    is_partial: bool = Field(False, description="Whether only its first rows were looked at.")


class Seen(BaseModel):
    """What an inspection found; see `engine.city.ingest.Inspection`."""

    model_config = ConfigDict(arbitrary_types_allowed=True)
    files: list[FileSeen] = []
    problems: list[Problem] = []
    tables: dict[str, int] = Field(default={}, description="Rows per table the city would have.")
    time_zone: str = ""
    zone_is_certain: bool = True
    bounds: tuple[float, float, float, float] | None = None
    data_card: DataCard = DataCard()


@dataclass
class Upload:
    """All files of an upload, read.

    Attributes:
        seen: What was recognised, per file.
        results: What each file gave.
        combined: The city's tables.
        postponed: Files whose reader looks things up in the tables of others, still to be read, and whether they may be skipped.
    """

    seen: list[FileSeen] = field(default_factory=list)
    results: list[ReadResult] = field(default_factory=list)
    combined: Combined = field(default_factory=Combined)
    postponed: list[tuple[SniffedFile, bool]] = field(default_factory=list)
    used: set[str] = field(default_factory=set)


def read_upload(
    files: Sequence[tuple[Path, str]],
    choices: IngestChoices,
    folder: Path,
    limit_rows: int | None = None,
    now: datetime | None = None,
    report: Report = lambda message, share: None,
) -> Upload:
    """Reads files into one city's tables.

    Args:
        files: Path and the analyst's name of each.
        choices: Decisions.
        folder: For temporary files.
        limit_rows: Read only the first rows of each table (inspection).
        now: Times after it are in the future.
        report: Told what is being done.

    Returns:
        The upload; all problems, fatal or not, are in `combined.problems`.
    """
    upload = Upload()
    context = ReadContext(folder, choices.time_zone, limit_rows, now or datetime.now(UTC), report)
    known = {name for _, name in files}
    for name in choices.files:
        if name != ALL_FILES and name not in known and not any(name.startswith(f"{file}/") for file in known):
            found = f"Choices are given for `{name}`, which is not among the files."
            upload.results.append(ReadResult(problems=[Problem("FILE_MISSING", found, "Bring it, or correct the name.")]))
    for index, (path, name) in enumerate(files):
        report(f"Looking at {name}", index / len(files))
        if choices.of(name).reader == SKIP:
            continue
        try:
            sniffed = sniff(path, name, folder, _text_option(choices, name))
            _read_one(sniffed, choices, context, upload, may_skip=False)
        except IngestError as error:
            upload.results.append(ReadResult(problems=[_named(problem, name) for problem in error.problems]))
            if not any(seen.file == name for seen in upload.seen):
                upload.seen.append(FileSeen(file=name, size=path.stat().st_size))
    _read_postponed(choices, context, upload)
    upload.results.append(ReadResult(problems=_unused(choices, upload)))
    report("Putting the tables together", 0.9)
    upload.combined = _combine_guarded(upload.results, choices.time_zone)
    if not upload.combined.tables and not any(problem.fatal for problem in upload.combined.problems):
        upload.combined.problems.append(
            Problem("NOTHING", "The upload holds nothing a city could be made of.", "Bring visits, places or a map.")
        )
    return upload


def inspect_task(job: dict[str, Any], out: Path, report: Report) -> None:
    """Inspects the upload of a job; writes `seen.json` and `preview.parquet`."""
    choices = IngestChoices.model_validate(job["choices"])
    upload = read_upload(_files(job), choices, out.parent, INSPECT_ROWS, report=report)
    seen = seen_of(upload)
    (out / "seen.json").write_text(seen.model_dump_json(), encoding="utf-8")
    preview_of(upload.combined.tables).to_parquet(out / "preview.parquet", index=False)


def ingest_task(job: dict[str, Any], out: Path, report: Report) -> None:
    """Reads the upload of a job and saves the city under `out/city`.

    Raises:
        IngestError: With all problems, if any is fatal.
    """
    choices = IngestChoices.model_validate(job["choices"])
    upload = read_upload(_files(job), choices, out.parent, report=report)
    report("Writing the city", 0.95)
    build_city(upload, job["name"], choices).save(out / "city")


def build_city(upload: Upload, name: str, choices: IngestChoices) -> City:
    """The city in memory.

    Raises:
        IngestError: With all problems, if any is fatal.
    """
    combined = upload.combined
    if any(problem.fatal for problem in combined.problems):
        raise IngestError(combined.problems)
    told = {repair for entry in combined.card.files for repair in entry.repairs}
    # What was dropped stands in the file cards with its counts.
    notes = [str(problem) for problem in combined.problems if problem.code not in DROP_RULES and problem.found not in told]
    card = combined.card.model_copy(update={"assumptions": list(dict.fromkeys([*combined.card.assumptions, *notes]))})
    provenance = combined.provenance | {
        "source": "upload",
        "files": [{"name": entry.file, "sha256": entry.sha256, "reader": entry.recognised_as} for entry in card.files],
        "recipe": choices.model_dump(exclude_defaults=True),
    }
    try:
        return City.build(
            name,
            combined.tables,
            time_zone=combined.time_zone or "Etc/UTC",
            data_card=card,
            provenance=provenance,
            media=combined.media,
            metric_crs=combined.provenance.get("metric_crs"),
        )
    except CityError as error:
        raise IngestError([*combined.problems, Problem("CITY", str(error), "Bring the file that is missing.")]) from None


def seen_of(upload: Upload) -> Seen:
    """The inspection as data."""
    combined = upload.combined
    bounds = None
    for frame in combined.tables.values():
        if isinstance(frame, gpd.GeoDataFrame) and len(frame):
            bounds = bounds_of(frame.geometry)
            break
    return Seen(
        files=upload.seen,
        problems=combined.problems,
        tables={name: len(frame) for name, frame in combined.tables.items()},
        time_zone=combined.time_zone or (combined.zone_guess.name if combined.zone_guess else ""),
        zone_is_certain=bool(combined.time_zone) and (combined.zone_guess is None or combined.zone_guess.certain),
        bounds=bounds,
        data_card=combined.card,
    )


def preview_of(tables: dict[str, pd.DataFrame], points: int = PREVIEW_POINTS) -> pd.DataFrame:
    """At most `points` positions to draw: longitude, latitude (degrees), table, label; evenly spaced rows, not the first ones."""
    spatial = {name: frame for name, frame in tables.items() if isinstance(frame, gpd.GeoDataFrame) and len(frame)}
    parts = []
    for name, frame in spatial.items():
        some = frame.iloc[np.unique(np.linspace(0, len(frame) - 1, max(points // len(spatial), 1)).astype(int))]
        where = some.geometry.representative_point()
        label = next(
            (column for column in ("name", "category", "location_id", "poi_id", "cell_id", "kind") if column in some), None
        )
        text = some[label].fillna("").astype("str") if label else pd.Series("", index=some.index, dtype="str")
        parts.append(pd.DataFrame({"longitude": where.x, "latitude": where.y, "table": name, "label": text}))
    empty = pd.DataFrame({"longitude": [0.0], "latitude": [0.0], "table": [""], "label": [""]})[:0]
    return pd.concat(parts, ignore_index=True).astype({"table": "str", "label": "str"}) if parts else empty


def _read_postponed(choices: IngestChoices, context: ReadContext, upload: Upload) -> None:
    tables: dict[str, pd.DataFrame] = {}
    for name in {name for reader in READERS.values() for name in reader.reads_after}:
        frames = [result.tables[name] for result in upload.results if name in result.tables]
        if frames:
            tables[name] = pd.concat(frames, ignore_index=True)
    for sniffed, may_skip in upload.postponed:
        try:
            _read_one(sniffed, choices, replace(context, tables=tables), upload, may_skip, may_postpone=False)
        except IngestError as error:
            upload.results.append(ReadResult(problems=[_named(problem, sniffed.name) for problem in error.problems]))


def _read_one(
    sniffed: SniffedFile, choices: IngestChoices, context: ReadContext, upload: Upload, may_skip: bool, may_postpone: bool = True
) -> None:
    chosen = choices.of(sniffed.name)
    if chosen.reader == SKIP:
        return
    candidates = sorted(
        ((reader.name, max(_confidence(reader, sniffed), _fit(reader, sniffed, chosen))) for reader in READERS.values()),
        key=lambda pair: -pair[1],
    )
    if chosen.reader is not None and chosen.reader not in READERS:
        found = f"There is no reader `{chosen.reader}`."
        raise IngestError([Problem("READER", found, f"Readers are {', '.join(READERS)}, or `{SKIP}`.", sniffed.name)])
    name, confidence = (chosen.reader, dict(candidates)[chosen.reader]) if chosen.reader else candidates[0]
    if sniffed.kind == "zip" and (confidence < 0.5 if chosen.reader is None else confidence < _SURE):
        _read_members(sniffed, choices, context, upload)
        return
    if may_postpone and READERS[name].reads_after and (chosen.reader or confidence >= _SURE):
        upload.postponed.append((sniffed, may_skip))
        return
    seen = FileSeen(file=sniffed.name, size=sniffed.size, candidates=[pair for pair in candidates if pair[1] > 0])
    upload.seen.append(seen)
    if sniffed.text is not None:
        seen.encoding, seen.delimiter = sniffed.text.encoding, sniffed.text.delimiter
        seen.preview = [list(row) for row in sniffed.text.rows[:20]]
    if confidence < _SURE and chosen.reader is None:
        seen.columns = _columns(sniffed, {})
        problem = Problem(
            "FORMAT",
            "The content fits no format known here."
            + (f" Its columns are {', '.join(sniffed.columns[:12])}." if sniffed.columns else ""),
            "Choose a reader and map its columns, or leave the file out.",
            sniffed.name,
            fatal=not may_skip,
        )
        upload.results.append(ReadResult(problems=[problem]))
        return
    reader = READERS[name]
    seen.reader, seen.title, seen.confidence = name, reader.title, confidence
    own = _choices_for(reader, sniffed, choices, upload.used)
    seen.mapping = {key: column for key, column in (reader.propose(sniffed) | own.mapping).items() if column}
    seen.columns = _columns(sniffed, seen.mapping) or [
        ColumnSeen(name=column, samples=list(values)[:5], field={name: key for key, name in seen.mapping.items()}.get(column))
        for column, values in reader.samples(sniffed).items()
    ]
    context.report(f"Reading {sniffed.name} as {reader.title}", 0.1)
    result = _read_guarded(reader, sniffed, own, context)
    upload.results.append(result)
    seen.card = result.cards[0] if result.cards else None
    seen.is_partial = context.limit_rows is not None and seen.card is not None and seen.card.rows_in >= context.limit_rows


def _read_members(archive: SniffedFile, choices: IngestChoices, context: ReadContext, upload: Upload) -> None:
    """Reads the members of a zip one by one, each with its own choices; what is no data (a licence, an icon) is named and left out."""
    for name, member in members(archive):
        if choices.of(name).reader == SKIP:
            continue
        try:
            file = unpack(archive, member, name, context.folder, _text_option(choices, name))
            _read_one(file, choices, context, upload, may_skip=True)
        except IngestError as error:
            problems = [
                replace(problem, mend="It was left out.", fatal=False)
                if problem.code in _NO_DATA and name not in choices.files
                else problem
                for problem in error.problems
            ]
            upload.results.append(ReadResult(problems=[_named(problem, name) for problem in problems]))
            if not any(seen.file == name for seen in upload.seen):
                upload.seen.append(FileSeen(file=name, size=member.file_size))


def _fit(reader: Reader, sniffed: SniffedFile, chosen: FileChoices) -> float:
    """How well a reader fits once the analyst's mapping stands beside its own proposal; 0 where nothing was mapped for it."""
    columns = set(sniffed.columns)
    mapped = {key: column for key, column in chosen.mapping.items() if column in columns}
    fields = {spec.name for spec in reader.fields}
    if not reader.takes_any_table or not mapped or not mapped.keys() <= fields:
        return 0.0
    there = mapped.keys() | reader.propose(sniffed).keys()
    whole = all(spec.name in there for spec in reader.fields if spec.required)
    # Among readers that all fit, the one that can hold most is the most general.
    return 0.6 + 0.01 * len(mapped) + 0.001 * len(fields) if whole else 0.0


def _choices_for(reader: Reader, sniffed: SniffedFile, choices: IngestChoices, used: set[str]) -> FileChoices:
    """The file's own choices, and those for all files that it can follow; which of the latter these are is noted in `used`."""
    own, common = choices.files.get(sniffed.name, FileChoices()), choices.files.get(ALL_FILES, FileChoices())
    fields, names = {spec.name for spec in reader.fields}, {option.name for option in reader.options} | {"encoding"}
    columns = set(sniffed.columns) or set(reader.samples(sniffed))
    mapping = {key: column for key, column in common.mapping.items() if key in fields and (column in columns or not column)}
    options = {key: value for key, value in common.options.items() if key in names}
    used |= {f"field {key}" for key in mapping} | {f"option {key}" for key in options}
    return FileChoices(reader=own.reader or common.reader, mapping=mapping | own.mapping, options=options | own.options)


def _unused(choices: IngestChoices, upload: Upload) -> list[Problem]:
    """What was chosen for all files and fits none of them: a slip of the pen that must not pass silently."""
    common = choices.files.get(ALL_FILES, FileChoices())
    problems = []
    for key, column in common.mapping.items():
        if f"field {key}" not in upload.used:
            found = f"No file has both a field `{key}` and a column `{column[:60]}`."
            problems.append(
                Problem("FIELD", found, "Check the spelling of both; the fields of each reader are in the file formats page.")
            )
    for key in common.options:
        if f"option {key}" not in upload.used:
            problems.append(Problem("OPTION", f"No file is read with an option `{key}`.", "Check its spelling, or leave it out."))
    return problems


def _read_guarded(reader: Reader, sniffed: SniffedFile, chosen: FileChoices, context: ReadContext) -> ReadResult:
    """What a reader answers, its refusals as problems; whatever else it raises is our mistake and is said as such."""
    names = {option.name for option in reader.options}
    try:
        wrong = [name for name in chosen.options if name not in names | {"encoding"}]
        if wrong:
            listed = ", ".join(sorted(names)) or "none"
            raise IngestError([Problem("OPTION", f"{reader.title} has no option `{wrong[0]}`.", f"It has {listed}.", sniffed.name)])
        return reader.read(sniffed, chosen, context)
    except IngestError as error:
        return ReadResult(problems=[_named(problem, sniffed.name) for problem in error.problems])
    except MemoryError:
        raise
    except Exception as error:
        traceback.print_exc()
        found = f"Reading it as {reader.title} failed in a way that was not foreseen ({type(error).__name__})."
        return ReadResult(
            problems=[
                Problem("INTERNAL", found, "Please report it with the file's first lines; another reader may fit.", sniffed.name)
            ]
        )


def _combine_guarded(results: Sequence[ReadResult], time_zone: str | None) -> Combined:
    """The tables of all files as one city's; what was not foreseen is our mistake and is said as such, beside what the files gave."""
    try:
        return combine(results, time_zone)
    except MemoryError:
        raise
    except Exception as error:
        traceback.print_exc()
        found = f"Putting the tables of the files together failed in a way that was not foreseen ({type(error).__name__})."
        problem = Problem("INTERNAL", found, "Please report it with the first lines of each file; fewer files at once may work.")
        return Combined(
            card=DataCard(files=[card for result in results for card in result.cards]),
            problems=[*(problem for result in results for problem in result.problems), problem],
        )


def _confidence(reader: Reader, sniffed: SniffedFile) -> float:
    try:
        return min(max(reader.recognise(sniffed), 0.0), 1.0)
    except Exception:
        traceback.print_exc()
        return 0.0


def _columns(sniffed: SniffedFile, mapping: dict[str, str]) -> list[ColumnSeen]:
    fields = {column: key for key, column in mapping.items()}
    return [
        ColumnSeen(name=column, samples=list(sniffed.samples.get(column, ()))[:5], field=fields.get(column))
        for column in sniffed.columns
    ]


def _text_option(choices: IngestChoices, name: str) -> str | None:
    encoding = choices.of(name).options.get("encoding")
    return str(encoding) if encoding else None


def _named(problem: Problem, name: str) -> Problem:
    return problem if problem.file else replace(problem, file=name)


def _files(job: dict[str, Any]) -> list[tuple[Path, str]]:
    return [(Path(file["path"]), file["name"]) for file in job["files"]]
