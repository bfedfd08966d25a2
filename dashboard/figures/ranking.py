"""Ranked guesses on the map: blue discs by probability with their rank, the truth as a gold ring, the error as an arc."""

import numpy as np
import pandas as pd
import pydeck as pdk

from dashboard import wording
from dashboard.figures import colours
from dashboard.figures.colours import Theme
from dashboard.figures.deck import AUTOMATIC, DIGITS, FONT, PIXELS, literal, position
from engine.models.answers import share_name

_SMALLEST, _LARGEST = 8.0, 22.0


def guess_radius(probability: np.ndarray) -> np.ndarray:
    """(n,) radius in pixels: the area grows with probability, and a certain guess has the largest disc."""
    return np.round(_SMALLEST + (_LARGEST - _SMALLEST) * np.sqrt(np.clip(np.nan_to_num(probability), 0, 1)), 1)


def guess_layers(guesses: pd.DataFrame, theme: Theme, edited: bool = False, normalised: bool = True) -> list[pdk.Layer]:
    """The guesses of a predictor.

    Args:
        guesses: Best first: rank, longitude, latitude (degrees), name, category, probability, id.
        theme: Light or dark.
        edited: Whether the question was edited; discs then carry the magenta outline of everything edited.
        normalised: Whether the shares are probabilities in earnest; scores otherwise.
    """
    radius = guess_radius(guesses["probability"].to_numpy(float))
    fill = colours.rgb(colours.role("prediction", theme))
    outline = colours.rgba(colours.role("edited", theme)) if edited else [255, 255, 255, 235]
    rows = [
        {
            "p": position(row.longitude, row.latitude),
            "r": float(size),
            "c": [*fill, 255],
            "t": str(row.rank),
            "id": literal(row.id),
            "tip": literal(
                f"{row.rank}. {str(row.name_)[:80]}{_line(row.category)}\n{wording.percent(row.probability)} of the {share_name(normalised)}"
            ),
        }
        for row, size in zip(guesses.rename(columns={"name": "name_"}).itertuples(), radius, strict=True)
    ][::-1]
    ink = [255, 255, 255] if theme == "light" else [10, 18, 30]
    layers = []
    # Each disc with its number, the best pair last: in two layers, the number of a covered disc would stand on the disc above it.
    for row in rows:
        layers.append(
            pdk.Layer(
                "ScatterplotLayer",
                [row],
                id=f"guess-{row['t']}",
                get_position="p",
                get_radius="r",
                radius_units=PIXELS,
                get_fill_color="c",
                stroked=True,
                get_line_color=outline,
                get_line_width=2 if edited else 1.2,
                line_width_units=PIXELS,
                pickable=True,
            )
        )
        layers.append(
            pdk.Layer(
                "TextLayer",
                [{"p": row["p"], "t": row["t"]}],
                id=f"guess-rank-{row['t']}",
                get_position="p",
                get_text="t",
                get_size=12,
                get_color=ink,
                font_family=FONT,
                font_weight=700,
                character_set=DIGITS,
            )
        )
    return layers


def truth_layers(
    longitude: float,
    latitude: float,
    tip: str,
    theme: Theme,
    guess: tuple[float, float] | None = None,
    distance_m: float = 0.0,
    radius: float = 0.0,
) -> list[pdk.Layer]:
    """The place the person went to, and how far the first guess lies from it.

    Args:
        longitude: Of the truth, degrees.
        latitude: Of the truth, degrees.
        tip: Its name and what it is.
        theme: Light or dark.
        guess: Longitude and latitude of the first guess; no arc without one, or where it is the truth.
        distance_m: Length of the error in metres.
        radius: Radius in pixels of the guess that lies under the ring, 0 if none does.
    """
    gold = colours.rgba(colours.role("truth", theme))
    ring = pdk.Layer(
        "ScatterplotLayer",
        [{"p": position(longitude, latitude), "r": max(radius + 3.5, 11.0), "tip": literal(tip)}],
        id="truth",
        get_position="p",
        get_radius="r",
        radius_units=PIXELS,
        filled=True,
        get_fill_color=[*gold[:3], 30],
        stroked=True,
        get_line_color=gold,
        get_line_width=3.5,
        line_width_units=PIXELS,
        pickable=True,
    )
    if guess is None or not np.isfinite(distance_m) or distance_m < 1:
        return [ring]
    course = arc(guess, (longitude, latitude))
    line = pdk.Layer(
        "PathLayer",
        [{"p": course}],
        id="error-arc",
        get_path="p",
        get_color=gold,
        get_width=2,
        width_units=PIXELS,
        cap_rounded=True,
    )
    label = pdk.Layer(
        "TextLayer",
        [{"p": position(longitude, latitude), "t": wording.metres(distance_m)}],
        id="error-length",
        # Below the ring: halfway along a short arc the words would cover the guess.
        get_pixel_offset=[0, max(radius + 3.5, 11.0) + 12],
        get_position="p",
        get_text="t",
        get_size=13,
        get_color=colours.rgba(colours.ink("text", theme)),
        font_family=FONT,
        font_weight=600,
        character_set=AUTOMATIC,
        background=True,
        get_background_color=[*colours.rgb(colours.ground("ground", theme)), 225],
        background_padding=[4, 2, 4, 2],
    )
    return [line, ring, label]


def arc(start: tuple[float, float], end: tuple[float, float], bend: float = 0.16, points: int = 25) -> list[list[float]]:
    """A flat arc between two places as rounded (longitude, latitude) pairs; it bows to the left by `bend` of its length."""
    stretch = np.cos(np.radians((start[1] + end[1]) / 2))
    a, b = np.array([start[0] * stretch, start[1]]), np.array([end[0] * stretch, end[1]])
    middle = (a + b) / 2 + bend * 2 * np.array([-(b - a)[1], (b - a)[0]])
    t = np.linspace(0, 1, points)[:, None]
    course = (1 - t) ** 2 * a + 2 * t * (1 - t) * middle + t**2 * b
    return [position(x / stretch, y) for x, y in course]


def _line(category: object) -> str:
    return f"\n{str(category)[:60]}" if category else ""
