"""Lists of places in a file: one id per line, a CSV with a `location_id` column, or a JSON list of ids."""

import csv
import io

from engine import store
from engine.errors import ConfigError

MOST_PLACES = 1_000_000


def read_location_list(content: bytes) -> tuple[str, ...]:
    """The ids in a file, in their order, each once.

    Args:
        content: UTF-8 text: one id per line; CSV whose header names `location_id`; or a JSON list of ids.

    Raises:
        ConfigError: If this is no such list, or it is empty.
    """
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ConfigError("This is no list of places: it is not UTF-8 text. Save it as one id per line.") from None
    if "\0" in text:
        raise ConfigError("This is no list of places: it holds zero bytes. Save it as one id per line.")
    ids = _of_json(text) if text.lstrip().startswith("[") else _of_lines(text)
    unique = tuple(dict.fromkeys(item for item in ids if item))
    if not unique:
        raise ConfigError("The list of places is empty. Give one id per line, or a CSV with a `location_id` column.")
    if len(unique) > MOST_PLACES:
        raise ConfigError(f"The list names {len(unique):,} places; at most {MOST_PLACES:,} are read.")
    return unique


def _of_json(text: str) -> list[str]:
    try:
        found = store.parse_json(text)
    except ValueError as error:
        raise ConfigError(f"This looks like a JSON list of places but cannot be read: {error}.") from None
    if not all(isinstance(item, str | int) and not isinstance(item, bool) for item in found):
        raise ConfigError('A JSON list of places holds ids only, such as `["a", "b"]`.')
    return [str(item).strip() for item in found]


def _of_lines(text: str) -> list[str]:
    try:
        rows = [row for row in csv.reader(io.StringIO(text)) if row]
    except csv.Error as error:
        raise ConfigError(f"The list of places cannot be read: {error}. Give one id per line.") from None
    if not rows:
        return []
    header = [cell.strip().lower() for cell in rows[0]]
    if "location_id" in header:
        column = header.index("location_id")
        return [row[column].strip() for row in rows[1:] if len(row) > column]
    if max(len(row) for row in rows) > 1:
        raise ConfigError(f"The table has the columns {', '.join(header)[:200]}; one of them must be `location_id`.")
    return [row[0].strip() for row in rows]
