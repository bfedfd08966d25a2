"""Numbers in tables of cells: as precise as in sentences, and still numbers, so that a click on a column's head sorts them."""

import numpy as np
import pandas as pd

from dashboard import wording

NUMBER = "localized"
"""Format of the columns that `rounded` made: thousands separated, no digit added."""
SMALLEST = 1e-4
"""What is smaller would be shown as a zero with a sign."""


def rounded(table: pd.DataFrame, *columns: str) -> pd.DataFrame:
    """The table with some columns cut to what `wording.significant` says of their numbers."""
    return table.assign(**{column: [_cut(value) for value in table[column]] for column in columns})


def _cut(value: float) -> float:
    if not np.isfinite(value):
        return float("nan")
    return float(wording.significant(value).replace(",", "")) if abs(value) >= SMALLEST else 0.0
