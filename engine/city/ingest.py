"""Bringing files in: look at them (`inspect`), then make a city of them (`ingest`). Both read in the limited child process."""

import re
import unicodedata
import uuid
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import pandas as pd
from pydantic import PrivateAttr

from engine import store
from engine.city.city import City
from engine.city.readers.base import FileChoices
from engine.city.reading import SKIP, ColumnSeen, FileSeen, Seen
from engine.city.recipe import ALL_FILES, IngestChoices
from engine.city.sandbox import Caps, run_limited
from engine.errors import IngestError, Problem

__all__ = [
    "ALL_FILES", "SKIP", "ColumnSeen", "FileChoices", "FileSeen", "IngestChoices", "Inspection", "distinct_names",
    "files_in_data_folder", "ingest", "inspect", "keep_upload", "named_file", "shown_name",
]  # fmt: skip
Report = Callable[[str, float], None]
UPLOAD_BYTES = 200 << 20
"""Files from a browser may be that big; bigger ones are named from the data folder."""
DATA_FILE_BYTES = 20 << 30
_RESERVED = {"con", "prn", "aux", "nul", *(f"{port}{index}" for port in ("com", "lpt") for index in range(1, 10))}


class Inspection(Seen):
    """What was recognised, before anything is saved.

    Attributes:
        files: Per file the reader, its confidence, the others possible, columns with samples, the mapping, and what would be dropped.
        problems: Everything found; fatal ones must be mended or decided first.
        tables: Rows per table the city would have (of the first rows, where `is_partial` says so).
        time_zone: Guessed or chosen.
        preview: Up to 2,000 positions: longitude, latitude, table, label.
    """

    _preview: pd.DataFrame = PrivateAttr(default_factory=pd.DataFrame)

    @property
    def preview(self) -> pd.DataFrame:
        """Positions to draw: longitude, latitude (degrees WGS84), table, label."""
        return self._preview

    @property
    def is_ready(self) -> bool:
        """Whether the files can be ingested as they are."""
        return not any(problem.fatal for problem in self.problems)

    @property
    def fatal(self) -> list[Problem]:
        """What must be mended or decided first."""
        return [problem for problem in self.problems if problem.fatal]


def inspect(paths: Sequence[Path], choices: IngestChoices | None = None, report: Report | None = None) -> Inspection:
    """Looks at files: which reader, which columns, what is wrong, what a city of them would hold. Nothing is saved.

    Args:
        paths: Files; their names are shown to the analyst.
        choices: Decisions so far.
        report: Told the progress.

    Returns:
        The inspection; problems of the files are in it.

    Raises:
        IngestError: Only where the files cannot be looked at at all (missing, too large, the reading process was stopped).
    """
    files, size = _named_files(paths)
    job = {"files": files, "choices": (choices or IngestChoices()).model_dump(mode="json")}
    with run_limited("inspect", job, report, Caps.for_size(size)) as out:
        inspection = Inspection.model_validate_json((out / "seen.json").read_text(encoding="utf-8"))
        inspection._preview = pd.read_parquet(out / "preview.parquet")
    return inspection


def ingest(paths: Sequence[Path], name: str, choices: IngestChoices | None = None, report: Report | None = None) -> City:
    """Makes a city of files and saves it under its name, with its data card.

    Args:
        paths: Files.
        name: Human name of the city.
        choices: Decisions; what is left out is proposed from the content.
        report: Told the progress.

    Raises:
        IngestError: With every problem of every file.
    """
    if not name.strip():
        raise IngestError([Problem("NAME", "The city has no name.", "Give it one.")])
    files, size = _named_files(paths)
    job = {"files": files, "choices": (choices or IngestChoices()).model_dump(mode="json"), "name": name.strip()[:120]}
    with run_limited("ingest", job, report, Caps.for_size(size)) as out:
        return City.open(out / "city").save(store.cities_folder() / store.slug(name))


def keep_upload(name: str, chunks: Iterable[bytes], limit: int = UPLOAD_BYTES) -> Path:
    """Writes an uploaded file under a name of ours and returns its path; `path.name` is the analyst's name made harmless.

    Args:
        name: As the browser sent it; may be anything.
        chunks: The content.
        limit: Bytes allowed.

    Raises:
        IngestError: If it is larger.
    """
    folder = store.cache_folder() / "uploads" / uuid.uuid4().hex
    folder.mkdir(parents=True)
    path, total = folder / shown_name(name), 0
    with path.open("xb") as file:
        for chunk in chunks:
            total += len(chunk)
            if total > limit:
                file.close()
                path.unlink()
                folder.rmdir()
                raise IngestError([_too_large(path.name, total, limit)])
            file.write(chunk)
    return path


def shown_name(name: str) -> str:
    """A file name from outside, made harmless: the last part only, no control or direction marks, no reserved word, at most 100 letters."""
    last = re.split(r"[/\\]", name)[-1]
    plain = "".join(
        letter for letter in unicodedata.normalize("NFC", last) if unicodedata.category(letter)[0] not in "CZ" or letter == " "
    )
    plain = re.sub(r'[<>:"|?*`]', "_", plain).strip(" .")
    plain = plain.encode("utf-8", "ignore")[:100].decode("utf-8", "ignore").strip(" .") or "file"
    return f"_{plain}" if plain.split(".")[0].lower() in _RESERVED else plain


def distinct_names(paths: Iterable[Path]) -> list[str]:
    """The names that choices and problems use for files brought together: harmless, and numbered where several have the same."""
    names: dict[str, None] = {}
    for path in paths:
        name = stem = shown_name(path.name)
        count = 1
        while name in names:
            count += 1
            name = f"{stem} ({count})"
        names[name] = None
    return list(names)


def files_in_data_folder() -> list[str]:
    """Names of the files that can be ingested by name, relative to the data folder, sorted."""
    root = store.data_folder()
    if not root.is_dir():
        return []
    found = (path for path in root.rglob("*") if path.is_file() and not path.is_symlink() and not path.name.startswith("."))
    return sorted(str(path.relative_to(root)) for path in found if _is_inside(path, root))


def named_file(name: str) -> Path:
    """A file of the data folder by its relative name.

    Raises:
        IngestError: If the name leaves the folder, follows a link, or is no file.
    """
    root = store.data_folder()
    plain = Path(name)
    path = root / plain
    if "\x00" in name or plain.is_absolute() or ".." in plain.parts or not name or not _is_inside(path, root):
        raise IngestError([Problem("FILE_NAME", f"{name[:80]!r} is no file of the data folder.", "Choose one from the list.")])
    if not path.is_file():
        known = ", ".join(files_in_data_folder()[:10]) or "nothing"
        raise IngestError(
            [Problem("FILE_MISSING", f"The data folder has no {name[:80]!r}; it has {known}.", f"Put it into {root}.")]
        )
    return path


def _is_inside(path: Path, root: Path) -> bool:
    try:
        resolved = path.resolve(strict=False)
    except (OSError, ValueError, RuntimeError):
        return False
    is_link = any(part.is_symlink() for part in (path, *path.parents) if part != root and root in part.parents)
    return resolved.is_relative_to(root.resolve()) and not is_link


def _named_files(paths: Sequence[Path]) -> tuple[list[dict[str, str]], int]:
    """Paths with distinct harmless names, and their size; refuses what is missing or too large before it is opened."""
    files: list[dict[str, str]] = []
    problems, total = [], 0
    if not paths:
        raise IngestError([Problem("NO_FILES", "There is no file.", "Choose at least one.")])
    brought = [Path(path) for path in paths]
    for path, name in zip(brought, distinct_names(brought), strict=True):
        try:
            size = path.stat().st_size
        except (OSError, ValueError):
            problems.append(Problem("FILE_MISSING", "There is no such file.", "Check the path.", name))
            continue
        if not path.is_file():
            problems.append(Problem("FILE_MISSING", "This is a folder, not a file.", "Name the files in it, or zip it.", name))
            continue
        if size > DATA_FILE_BYTES:
            problems.append(_too_large(name, size, DATA_FILE_BYTES))
        total += size
        files.append({"path": str(path.absolute()), "name": name})
    if problems:
        raise IngestError(problems)
    return files, total


def _too_large(name: str, size: int, limit: int) -> Problem:
    found = f"The file has more than {min(size, limit) / 1e6:,.0f} MB; {limit / 1e6:,.0f} MB are allowed."
    return Problem("TOO_LARGE", found, "Put big files into the data folder and name them from there, or cut them.", name)
