"""Where the probability lies: the answers of a predictor summed over squares of the city."""

import math

import numpy as np
import pandas as pd
import pydeck as pdk

from dashboard import wording
from dashboard.figures import colours
from dashboard.figures.base_map import square_corners, view_extent_m
from dashboard.figures.colours import Theme
from engine.city.city import City
from engine.city.samples import Places
from engine.models.answers import share_name

SHARE_SHOWN = 0.995
"""Squares are drawn, the heaviest first, until they hold this share of the probability."""
MOST_SQUARES = 4_000


def square_size(city: City) -> float:
    """The side of a square in metres, so that some forty lie across the city: 50, 100, 200, 500, 1000 ..."""
    wanted = max(view_extent_m(city)) / 40
    power = 10 ** math.floor(math.log10(wanted))
    return float(max(50.0, min((1 * power, 2 * power, 5 * power, 10 * power), key=lambda size: abs(math.log(size / wanted)))))


def mass_by_square(places: Places, probability: np.ndarray, size_m: float) -> pd.DataFrame:
    """Sums probabilities over squares of the metric grid whose cell (0, 0) starts at the origin of the city's CRS.

    Args:
        places: The axis "location".
        probability: (location,) non-negative.
        size_m: Side of a square, metres.

    Returns:
        One row per square with mass: col, row, mass, places (how many stand in it); heaviest first.
    """
    frame = pd.DataFrame(
        {
            "col": np.floor(places.x / size_m).astype(int),
            "row": np.floor(places.y / size_m).astype(int),
            "mass": np.asarray(probability, float),
        }
    )
    summed = (
        frame.groupby(["col", "row"], as_index=False)["mass"].agg(["sum", "size"]).rename(columns={"sum": "mass", "size": "places"})
    )
    summed = summed[summed["mass"] > 0]
    return summed.sort_values(["mass", "col", "row"], ascending=[False, True, True], ignore_index=True)


def mass_layers(city: City, mass: pd.DataFrame, size_m: float, theme: Theme, normalised: bool = True) -> list[pdk.Layer]:
    """Squares coloured by the share of the probability in them, square root scale.

    Args:
        city: Gives the CRS.
        mass: From `mass_by_square`.
        size_m: The side used there, metres.
        theme: Light or dark.
        normalised: Whether it is probability in earnest; a score otherwise.
    """
    shown = _heaviest(mass)
    if not len(shown):
        return []
    share = shown["mass"].to_numpy() / mass["mass"].sum()
    level = np.sqrt(share / share.max())
    colour = colours.ramp(level, colours.scale("sequential", theme))
    corners = square_corners(city, shown["col"].to_numpy(), shown["row"].to_numpy(), size_m)
    rows = [
        {"p": corner, "c": [*rgb, int(70 + 120 * strength)], "tip": _tip(value, count, size_m, normalised)}
        for corner, rgb, strength, value, count in zip(corners, colour.tolist(), level, share, shown["places"], strict=True)
    ]
    return [pdk.Layer("SolidPolygonLayer", rows, id="probability-mass", get_polygon="p", get_fill_color="c", pickable=True)]


def moved_layers(
    city: City, before: pd.DataFrame, after: pd.DataFrame, size_m: float, theme: Theme, normalised: bool = True
) -> list[pdk.Layer]:
    """Squares coloured by how much probability an edit moved in (above zero) or out, one scale for both directions."""
    both = before.merge(after, on=["col", "row"], how="outer", suffixes=("_before", "_after")).fillna(0)
    both["moved"] = both["mass_after"] - both["mass_before"]
    shown = both[both["moved"].abs() > 1e-4].sort_values("moved", key=np.abs, ascending=False).head(MOST_SQUARES)
    if not len(shown):
        return []
    moved = shown["moved"].to_numpy()
    limit = np.abs(moved).max()
    strength = np.sqrt(np.abs(moved) / limit)
    # Off the middle even where little moved: its colour is the ground's.
    colour = colours.ramp(0.5 + 0.5 * np.sign(moved) * (0.3 + 0.7 * strength), colours.scale("diverging", theme))
    corners = square_corners(city, shown["col"].to_numpy(), shown["row"].to_numpy(), size_m)
    rows = [
        {
            "p": corner,
            "c": [*rgb, int(140 + 90 * level)],
            "tip": f"{'+' if value > 0 else '−'}{wording.percent(abs(value))} of the {share_name(normalised)}\n"
            f"in {size_m:g} m × {size_m:g} m",
        }
        for corner, rgb, level, value in zip(corners, colour.tolist(), strength, moved, strict=True)
    ]
    return [pdk.Layer("SolidPolygonLayer", rows, id="probability-moved", get_polygon="p", get_fill_color="c", pickable=True)]


def concentration(probability: np.ndarray, share: float = 0.5) -> int:
    """How many places it takes to hold a share of the probability."""
    ordered = np.sort(np.asarray(probability, float))[::-1]
    return int(np.searchsorted(np.cumsum(ordered), share * ordered.sum() - 1e-12) + 1)


def _heaviest(mass: pd.DataFrame) -> pd.DataFrame:
    if not len(mass):
        return mass
    cumulated = mass["mass"].cumsum() / mass["mass"].sum()
    return mass.head(min(int(np.searchsorted(cumulated, SHARE_SHOWN)) + 1, MOST_SQUARES))


def _tip(share: float, places: int, size_m: float, normalised: bool) -> str:
    of_all = f"{wording.percent(share)} of the {share_name(normalised)}"
    return f"{of_all}\nin {wording.counted(places, 'place')} on {size_m:g} m × {size_m:g} m"
