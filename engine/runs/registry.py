"""The registry of runs: one SQLite file (WAL) that pages and workers read and write at the same time.

It is an index: every run also carries its record in its folder, from which a damaged registry is rebuilt. Every transaction opens
its own connection, so threads of the dashboard and several processes need no further care.
"""

import json
import os
import sqlite3
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil
from filelock import FileLock

from engine import faults, store
from engine.errors import RunError
from engine.runs.folder import all_folders

MIGRATIONS: tuple[str, ...] = (
    """
    CREATE TABLE runs (
        id TEXT PRIMARY KEY,
        name TEXT NOT NULL,
        model TEXT NOT NULL,
        city TEXT NOT NULL,
        city_name TEXT NOT NULL,
        preset TEXT NOT NULL,
        seed INTEGER NOT NULL,
        created_at TEXT NOT NULL,
        queued_at REAL NOT NULL,
        state TEXT NOT NULL CHECK (state IN ('PENDING', 'RUNNING', 'DONE', 'FAILED', 'CANCELLED', 'LOST')),
        attempt INTEGER NOT NULL DEFAULT 0,
        cancel INTEGER NOT NULL DEFAULT 0,
        launched_at REAL,
        pid INTEGER,
        pid_created REAL,
        oom_kills INTEGER,
        started_at TEXT,
        ended_at TEXT,
        phase TEXT NOT NULL DEFAULT '',
        step INTEGER NOT NULL DEFAULT 0,
        steps INTEGER NOT NULL DEFAULT 0,
        epoch INTEGER NOT NULL DEFAULT 0,
        epochs INTEGER NOT NULL DEFAULT 0,
        loss REAL,
        eta_s REAL,
        step_s REAL,
        stepped_at REAL,
        memory_mb REAL,
        device TEXT NOT NULL DEFAULT '',
        message TEXT NOT NULL DEFAULT '',
        headline TEXT NOT NULL DEFAULT '{}'
    );
    CREATE INDEX runs_by_state ON runs (state, queued_at);
    """,
)
"""Script i lifts the schema from version i to i + 1; a registry of version 0 is empty."""

NETWORK_FILE_SYSTEMS = {
    "nfs",
    "nfs4",
    "cifs",
    "smbfs",
    "smb2",
    "smb3",
    "afs",
    "fuse.sshfs",
    "ceph",
    "glusterfs",
    "lustre",
    "beegfs",
    "9p",
}
BUSY_SECONDS = 30.0

_ready: set[tuple[str, int]] = set()


def registry_path() -> Path:
    """The registry file, beside the run folders."""
    return store.runs_folder() / "runs.db"


@contextmanager
def reading() -> Iterator[sqlite3.Connection]:
    """A connection to read from; what it sees in one statement is consistent.

    Raises:
        RunError: If the registry cannot be read, in a sentence.
    """
    with _connection() as connection:
        yield connection


@contextmanager
def writing() -> Iterator[sqlite3.Connection]:
    """A write transaction: begun immediately, committed when the block ends well, undone when it does not.

    Raises:
        RunError: If the registry cannot be written, in a sentence.
    """
    with _connection() as connection:
        connection.execute("BEGIN IMMEDIATE")
        try:
            yield connection
            faults.point("registry.write")
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise


def find(connection: sqlite3.Connection, run_id: str) -> sqlite3.Row:
    """The row of a run.

    Raises:
        RunError: If there is none.
    """
    row = connection.execute("SELECT * FROM runs WHERE id = ?", (run_id,)).fetchone()
    if row is None:
        raise RunError(f"There is no run `{run_id[:80]}`. Choose one from the list of runs.")
    return row


def insert(connection: sqlite3.Connection, values: Mapping[str, Any]) -> None:
    """Adds a run; unknown columns are an error of ours."""
    columns = ", ".join(values)
    connection.execute(f"INSERT INTO runs ({columns}) VALUES ({', '.join('?' * len(values))})", tuple(values.values()))


def change(connection: sqlite3.Connection, run_id: str, *, owner: int | None = None, **values: Any) -> bool:
    """Changes columns of a run; with `owner` only if that attempt still owns it.

    Returns:
        Whether a row was changed. False with `owner` means that another worker has taken over.
    """
    assignments = ", ".join(f"{column} = ?" for column in values)
    condition, arguments = "id = ?", [*values.values(), run_id]
    if owner is not None:
        condition += " AND attempt = ? AND state = 'RUNNING'"
        arguments.append(owner)
    return connection.execute(f"UPDATE runs SET {assignments} WHERE {condition}", arguments).rowcount > 0


def now() -> str:
    """The present in UTC, ISO 8601."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


# ---- opening, migrating, mending ----------------------------------------------------------------------------------------------


@contextmanager
def _connection() -> Iterator[sqlite3.Connection]:
    path = registry_path()
    try:
        _make_ready(path)
        with closing(_connect(path)) as connection:
            yield connection
    except sqlite3.DatabaseError as error:
        _ready.clear()
        raise RunError(_sentence(error)) from error


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None)
    connection.row_factory = sqlite3.Row
    connection.execute(f"PRAGMA busy_timeout = {int(BUSY_SECONDS * 1000)}")
    connection.execute("PRAGMA synchronous = NORMAL")
    return connection


def _make_ready(path: Path) -> None:
    """Creates, migrates or mends the registry, once per process and file."""
    try:
        if (str(path), path.stat().st_ino) in _ready:
            return
    except OSError:
        pass
    _refuse_network(path.parent)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(str(path.with_suffix(".lock")), timeout=BUSY_SECONDS):
            if path.exists() and _is_damaged(path):
                _quarantine(path)
            with closing(_connect(path)) as connection:
                _migrate(connection, path)
    except OSError as error:
        raise RunError(
            f"The runs cannot be kept in `{path.parent}`: {error.strerror or error}. "
            f"Free some space, or point {store.HOME_VARIABLE} to a folder that can be written."
        ) from None
    _ready.add((str(path), path.stat().st_ino))


def _migrate(connection: sqlite3.Connection, path: Path) -> None:
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if version > len(MIGRATIONS):
        raise RunError(
            f"The registry of runs was written by a newer Mobiscope (schema {version}, this one knows {len(MIGRATIONS)}). It was "
            f"left as it is. Update Mobiscope, or point {store.HOME_VARIABLE} to another folder."
        )
    if version == len(MIGRATIONS):
        return
    connection.execute("PRAGMA journal_mode = WAL")
    if version > 0:
        backup = path.with_name(f"runs.v{version}.backup-{int(time.time())}.db")
        with closing(sqlite3.connect(backup)) as copy:
            connection.backup(copy)
    for target, script in enumerate(MIGRATIONS[version:], version + 1):
        connection.executescript(f"BEGIN IMMEDIATE; {script} PRAGMA user_version = {target}; COMMIT;")
    if version == 0:
        _rebuild(connection)


def _rebuild(connection: sqlite3.Connection) -> None:
    """Fills an empty registry from the run folders; what was under way is lost until its lock says otherwise."""
    connection.execute("BEGIN IMMEDIATE")
    for folder in all_folders():
        try:
            insert(connection, row_of_record(folder.record()))
        except (RunError, KeyError, TypeError, sqlite3.IntegrityError):
            continue
    connection.execute("COMMIT")


def row_of_record(record: Mapping[str, Any]) -> dict[str, Any]:
    """The registry's row for what `run.json` holds."""
    request, outcome = record["request"], record.get("outcome", {})
    state = outcome.get("state", "PENDING")
    return {
        "id": record["id"],
        "name": record["name"],
        "model": request["model"],
        "city": record["city"]["slug"],
        "city_name": record["city"]["name"],
        "preset": request["preset"],
        "seed": request["seed"],
        "created_at": record["created_at"],
        "queued_at": datetime.fromisoformat(record["created_at"]).timestamp(),
        "state": state,
        "attempt": outcome.get("attempt", 0),
        "started_at": outcome.get("started_at"),
        "ended_at": outcome.get("ended_at"),
        "message": outcome.get("message", ""),
        "device": outcome.get("device", ""),
        "headline": json.dumps(outcome.get("headline", {})),
    }


def _is_damaged(path: Path) -> bool:
    try:
        with closing(_connect(path)) as connection:
            return connection.execute("PRAGMA quick_check(1)").fetchone()[0] != "ok"
    except sqlite3.OperationalError:
        return False  # locked or out of space: not the file's fault
    except sqlite3.DatabaseError:
        return True


def _quarantine(path: Path) -> None:
    stamp = f"{int(time.time() * 1000)}"
    for suffix in ("", "-wal", "-shm"):
        part = path.with_name(path.name + suffix)
        if part.exists():
            os.replace(part, path.with_name(f"{path.name}.damaged-{stamp}{suffix}"))


def _refuse_network(folder: Path) -> None:
    existing = next(path for path in [folder, *folder.parents] if path.exists()).resolve()
    mounts = [mount for mount in psutil.disk_partitions(all=True) if existing.is_relative_to(mount.mountpoint)]
    nearest = max(mounts, key=lambda mount: len(mount.mountpoint), default=None)
    if nearest is not None and nearest.fstype.lower() in NETWORK_FILE_SYSTEMS:
        raise RunError(
            f"`{folder}` lies on a network file system ({nearest.fstype}), where the registry's locks are not reliable. "
            f"Point {store.HOME_VARIABLE} to a local disk."
        )


def _sentence(error: sqlite3.DatabaseError) -> str:
    text = str(error)
    if "full" in text or "disk I/O" in text:
        return f"The disk that holds the runs is full or failing ({text}). Free some space and try again."
    if "locked" in text or "busy" in text:
        return "The registry of runs is busy; try again in a moment."
    if "readonly" in text or "unable to open" in text:
        return f"The registry of runs cannot be written ({text}). Check the folder {store.HOME_VARIABLE} points to."
    return f"The registry of runs cannot be used ({text}). Start again: a damaged registry is rebuilt from the run folders."
