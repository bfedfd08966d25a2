"""Making the files the tests of the map readers bring, and reading them the way the sandbox does."""

import hashlib
import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path

from engine.city import gdal_guard
from engine.city.readers.archives import safe_members
from engine.city.readers.base import FileChoices, ReadContext, Reader, ReadResult, SniffedFile
from engine.city.schema import check_table

ROOT = Path(__file__).parents[4]


def sniffed(path: Path, **given) -> SniffedFile:
    content = path.read_bytes()
    entries, kind = (), "unknown"
    if content.startswith(b"PK\x03\x04"):
        entries, kind = tuple(member.filename for member in safe_members(path, path.name)), "zip"
    return SniffedFile(
        path=path,
        name=given.pop("name", path.name),
        kind=given.pop("kind", kind),
        size=len(content),
        sha256=hashlib.sha256(content).hexdigest(),
        head=content[:65536],
        entries=entries,
        **given,
    )


def read(reader: Reader, path: Path, folder: Path, *, tables=None, mapping=None, **options) -> ReadResult:
    """Reads a file and checks what every reader promises: canonical tables, every row accounted for."""
    folder.mkdir(exist_ok=True)
    context = ReadContext(folder, tables=tables or {})
    result = reader.read(sniffed(path), FileChoices(mapping=mapping or {}, options=options), context)
    for name, frame in result.tables.items():
        check_table(name, frame)
    for card in result.cards:
        assert card.rows_in == card.rows_kept + sum(rule.rows for rule in card.dropped)
    return result


def collection(*features, **members) -> dict:
    return {"type": "FeatureCollection", "features": list(features), **members}


def feature(geometry, **properties) -> dict:
    return {"type": "Feature", "properties": properties, "geometry": geometry}


def point(longitude, latitude, *z) -> dict:
    return {"type": "Point", "coordinates": [longitude, latitude, *z]}


def square(west, south, size=0.01) -> dict:
    east, north = west + size, south + size
    return {"type": "Polygon", "coordinates": [[[west, south], [east, south], [east, north], [west, north], [west, south]]]}


def write_json(path: Path, content) -> Path:
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def dropped(result: ReadResult) -> dict[str, int]:
    return {rule.reason: rule.rows for card in result.cards for rule in card.dropped}


def run_guarded(code: str, *arguments: object, unguarded: bool = False) -> str:
    """Runs code in a child process with the GDAL guard in force, as uploads are parsed; returns what it printed."""
    environment = {key: value for key, value in os.environ.items() if key not in gdal_guard.ENVIRONMENT}
    if not unguarded:
        environment |= gdal_guard.ENVIRONMENT
    environment["PYTHONPATH"] = str(ROOT)
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), *map(str, arguments)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        cwd=ROOT,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
