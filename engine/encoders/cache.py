"""A content-addressed cache of encoder outputs: the same content under the same encoder is computed once per machine.

`cached_array` keeps the answer for a whole list in one file; `cached_rows` keeps each row by itself, for lists of which little
changes from one question to the next (a city with one edited cell).
"""

import contextlib
import hashlib
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

from engine import store

_AT_ONCE = 500
_PATIENCE_S = 30.0
_DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def content_key(encoder: str, contents: Iterable[str | bytes]) -> str:
    """The address of an encoder's answer for these contents, in this order.

    Args:
        encoder: Fingerprint of the encoder: its name, weights and settings.
        contents: What is encoded.
    """
    digest = hashlib.sha256(encoder.encode())
    for content in contents:
        data = content.encode() if isinstance(content, str) else content
        digest.update(len(data).to_bytes(8, "big"))
        digest.update(data)
    return digest.hexdigest()


def cached_array(encoder: str, contents: list[str], compute: Callable[[], np.ndarray]) -> np.ndarray:
    """The encoder's answer from disk, or computed and written there.

    A damaged entry is computed again; a folder that cannot be written to only costs the cache.

    Args:
        encoder: Fingerprint of the encoder.
        contents: What is encoded, one row of the answer each.
        compute: Gives the answer, (content, dimension) float32.
    """
    path = store.cache_folder() / "encoders" / f"{content_key(encoder, contents)}.npy"
    try:
        found = np.load(path, allow_pickle=False)
        if len(found) == len(contents):
            return found
    except (OSError, ValueError, EOFError):
        pass
    answer = compute()
    try:
        with store.replacing(path) as temporary, temporary.open("wb") as file:
            np.save(file, answer, allow_pickle=False)
    except OSError:
        # A full or read-only disk must not stop an analysis that only wanted to be faster next time.
        pass
    return answer


def cached_rows(
    encoder: str, contents: Sequence[str | bytes], width: int, compute: Callable[[list[int]], np.ndarray]
) -> np.ndarray:
    """One row per content, from disk where this encoder met the content before.

    Equal contents are computed once. Rows come back bit for bit as they were first computed, so that what did not change between
    two versions of a city has exactly the same vectors in both. Rows of another width (a damaged file) are computed again; a
    folder that cannot be written to only costs the cache.

    Args:
        encoder: Fingerprint of the encoder.
        contents: What is encoded.
        width: Length of a row.
        compute: Gives the rows of some contents by their positions in `contents`: (position, width) float32. Rows that are not
            finite throughout (content that could not be read) are handed on and not kept.

    Returns:
        (content, width) float32.
    """
    answer = np.full((len(contents), width), np.nan, np.float32)
    keys = [bytes.fromhex(content_key(encoder, [content])) for content in contents]
    positions: dict[bytes, list[int]] = {}
    for position, key in enumerate(keys):
        positions.setdefault(key, []).append(position)
    found = _read_rows(list(positions), width)
    missing = [where[0] for key, where in positions.items() if key not in found]
    if missing:
        rows = np.ascontiguousarray(compute(missing), dtype=np.float32)
        fresh = {keys[position]: row for position, row in zip(missing, rows, strict=True)}
        _write_rows({key: row for key, row in fresh.items() if np.isfinite(row).all()})
        found |= fresh
    for key, where in positions.items():
        answer[where] = found[key]
    return answer


@contextlib.contextmanager
def _rows_file() -> Iterator[sqlite3.Connection]:
    path: Path = store.cache_folder() / "encoders" / "rows.sqlite"
    path.parent.mkdir(parents=True, exist_ok=True)
    connection = sqlite3.connect(path, timeout=_PATIENCE_S)
    try:
        connection.execute("CREATE TABLE IF NOT EXISTS rows (key BLOB PRIMARY KEY, vector BLOB NOT NULL) WITHOUT ROWID")
        yield connection
    finally:
        connection.close()


def _read_rows(keys: list[bytes], width: int) -> dict[bytes, np.ndarray]:
    found: dict[bytes, np.ndarray] = {}
    try:
        with _rows_file() as rows:
            for begin in range(0, len(keys), _AT_ONCE):
                some = keys[begin : begin + _AT_ONCE]
                marks = ",".join("?" * len(some))
                for key, vector in rows.execute(f"SELECT key, vector FROM rows WHERE key IN ({marks})", some):
                    if len(vector) == 4 * width:
                        found[key] = np.frombuffer(vector, dtype="<f4")
    except sqlite3.DatabaseError as error:
        # A lock, a full disk: another process may be writing, so the file stays. What is damaged can be computed again.
        if getattr(error, "sqlite_errorcode", 0) & 0xFF in _DAMAGED:
            with contextlib.suppress(OSError):
                (store.cache_folder() / "encoders" / "rows.sqlite").unlink(missing_ok=True)
        return {}
    except OSError:
        return {}
    return found


def _write_rows(fresh: dict[bytes, np.ndarray]) -> None:
    try:
        with _rows_file() as rows, rows:
            rows.executemany(
                "INSERT OR REPLACE INTO rows VALUES (?, ?)", [(key, row.astype("<f4").tobytes()) for key, row in fresh.items()]
            )
    except (OSError, sqlite3.Error):
        pass
