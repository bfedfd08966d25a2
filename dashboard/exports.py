"""Tables on their way out of the screen: CSV that no spreadsheet takes for formulas."""

from typing import Any

import pandas as pd

from engine.city.writers import protect_formula


def csv_bytes(frame: pd.DataFrame) -> bytes:
    """A table as UTF-8 CSV; text that a spreadsheet would run as a formula gets an apostrophe in front (OWASP, CWE-1236).

    The names of columns are such text, too: they may come from an upload. Numbers stay as they are, so negative ones are not touched.
    """
    safe = frame.copy()
    for column in safe.columns:
        if not pd.api.types.is_numeric_dtype(safe[column]) and not pd.api.types.is_datetime64_any_dtype(safe[column]):
            safe[column] = safe[column].map(_protected)
    return safe.rename(columns=_protected).to_csv(index=False).encode("utf-8")


def _protected(value: Any) -> Any:
    return protect_formula(value) if isinstance(value, str) else value
