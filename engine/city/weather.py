"""Which days had bad weather: one rule for slices of visits and for flows by kind of day."""

import numpy as np
import pandas as pd

BAD_WEATHER_MM = 5.0
WEEKDAY_IN_BAD_WEATHER, WEEKDAY_IN_FAIR_WEATHER = "weekday in bad weather", "weekday in fair weather"
"""Kinds of day of hourly flows, beside `weekday`."""

_BAD = r"\b(?:(?:rain|drizzl|shower|snow|sleet|hail|thunder|blizzard)\w*|\w*storm\w*|bad)\b"
_DENIED = rf"\b(?:no|not|without|zero)\s+(?:\w+\s+)?{_BAD}(?:\s*(?:or|nor|/)\s*(?:\w+\s+)?{_BAD})*|{_BAD}[\s-]*free\b"


def bad_days(weather: pd.DataFrame) -> pd.Series:
    """Whether each local date had bad weather: by its condition where one is named, else from `BAD_WEATHER_MM` of precipitation on.

    Args:
        weather: The city's table `weather`.

    Returns:
        Indexed by date: 1.0, 0.0, or NaN where neither is known.
    """
    weather = weather.set_index("date")
    bad = pd.Series(np.nan, index=weather.index)
    if "precipitation_mm" in weather:
        known = weather["precipitation_mm"].notna()
        bad[known] = (weather.loc[known, "precipitation_mm"] >= BAD_WEATHER_MM).astype(float)
    if "condition" in weather:
        known = weather["condition"].notna()
        said = weather.loc[known, "condition"].str.lower().str.replace(_DENIED, "", regex=True)
        bad[known] = said.str.contains(_BAD, regex=True).astype(float)
    return bad
