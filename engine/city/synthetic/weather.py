"""Weather by day: an autumn by the sea, with a bad day in every ten."""

from dataclasses import dataclass

import numpy as np

BAD_WEATHER_REACH = 0.6  # of the distance people go on other days


@dataclass(frozen=True)
class Weather:
    """Days as arrays.

    Attributes:
        bad: (day,) bool, a day of storm or heavy rain that keeps people in.
        temperature_c: (day,) mean of the day.
        precipitation_mm: (day,) of the day.
        condition: (day,) `clear`, `cloudy`, `rain` or `storm`.
    """

    bad: np.ndarray
    temperature_c: np.ndarray
    precipitation_mm: np.ndarray
    condition: list[str]


def make_weather(days: int, rng: np.random.Generator) -> Weather:
    """One bad day in every run of ten, so that every part of the record has some."""
    bad = np.zeros(days, bool)
    for start in range(0, days, 10):
        bad[start + rng.integers(0, min(10, days - start))] = True
    season = 17.0 - 8.0 * np.arange(days) / max(days - 1, 1)
    swing = np.convolve(rng.normal(0, 2.2, days + 4), np.ones(5) / 5, "valid")
    cloudy = rng.random(days) < 0.45
    shower = cloudy & (rng.random(days) < 0.4)
    rain = np.where(bad, rng.uniform(14, 42, days), np.where(shower, rng.uniform(0.2, 4.0, days), 0.0))
    stormy = bad & (rng.random(days) < 0.4)
    condition = np.select([stormy, bad, cloudy], ["storm", "rain", "cloudy"], "clear")
    return Weather(bad, np.round(season + swing - 2.0 * bad, 1), np.round(rain, 1), [str(label) for label in condition])
