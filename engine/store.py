"""Where things live on disk, and how they are written so that a crash leaves the old state or the new one, never half."""

import json
import os
import re
import unicodedata
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import platformdirs

from engine.errors import MobiscopeError

HOME_VARIABLE = "MOBISCOPE_HOME"


def home() -> Path:
    """The folder everything lives under: `MOBISCOPE_HOME`, else the platform's data folder."""
    chosen = os.environ.get(HOME_VARIABLE)
    return Path(chosen).expanduser() if chosen else Path(platformdirs.user_data_dir("mobiscope", appauthor=False))


def cities_folder() -> Path:
    """The folder of saved cities, one subfolder each."""
    return home() / "cities"


def runs_folder() -> Path:
    """The folder of runs, one subfolder each, with the registry beside them."""
    return home() / "runs"


def cache_folder() -> Path:
    """The folder of results that can be computed again."""
    return home() / "cache"


def data_folder() -> Path:
    """The folder from which big files are ingested by name: `MOBISCOPE_DATA`, else `data` under home."""
    chosen = os.environ.get("MOBISCOPE_DATA")
    return Path(chosen).expanduser() if chosen else home() / "data"


def slug(name: str) -> str:
    """A folder name for a human name: ASCII letters, digits and dashes, at most 60 characters, never empty."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    return (
        re.sub(r"[^a-z0-9]+", "-", plain.lower()).strip("-")[:60].strip("-")
        or f"city-{uuid.uuid5(uuid.NAMESPACE_OID, name).hex[:8]}"
    )


def child(parent: Path, name: str) -> Path:
    """`parent / name` for a name that came from outside; refuses anything that would leave `parent` or follow a link.

    Raises:
        MobiscopeError: If the name is not one plain folder entry.
    """
    path = parent / name
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,120}", name) or path.is_symlink():
        raise MobiscopeError(f"{name[:80]!r} is not a name here. Choose one from the list.")
    return path


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yields a temporary sibling of `path` that replaces it when the block ends well and vanishes when it does not.

    File contents are synced before the rename, so a crash leaves either the old file or the new one.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".tmp-{uuid.uuid4().hex[:12]}-{path.name}")
    try:
        yield temporary
        with temporary.open("rb") as written:
            os.fsync(written.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Writes a text file atomically, UTF-8."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, value: Any) -> None:
    """Writes JSON atomically, indented, keys in the order given; NaN is an error."""
    write_text(path, json.dumps(value, ensure_ascii=False, indent=1, allow_nan=False, default=str) + "\n")


def parse_json(text: str | bytes) -> Any:
    """The value of a JSON text that came from outside.

    Raises:
        ValueError: If it is not JSON, or nested more deeply than can be read.
    """
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def read_json(path: Path) -> Any:
    """Reads a JSON file.

    Raises:
        MobiscopeError: If it is absent or not JSON.
    """
    try:
        return parse_json(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise MobiscopeError(f"`{path.name}` is missing from `{path.parent.name}`.") from None
    except ValueError as error:
        raise MobiscopeError(f"`{path.name}` in `{path.parent.name}` is damaged: {error}.") from None
