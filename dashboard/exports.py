"""Tables on their way out of the screen: CSV that no spreadsheet takes for formulas."""

import pandas as pd

_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\0")


def csv_bytes(frame: pd.DataFrame) -> bytes:
    """A table as UTF-8 CSV; text cells that a spreadsheet would run as a formula get an apostrophe in front (OWASP, CWE-1236).

    Numbers stay as they are, so negative ones are not touched.
    """
    safe = frame.copy()
    for column in safe.columns:
        if not pd.api.types.is_numeric_dtype(safe[column]) and not pd.api.types.is_datetime64_any_dtype(safe[column]):
            safe[column] = safe[column].map(lambda value: f"'{value}" if str(value).startswith(_FORMULA_STARTS) else value)
    return safe.to_csv(index=False).encode("utf-8")
