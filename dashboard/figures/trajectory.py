"""A person's visits on the map: a path that fades into the past, with numbered stops."""

import numpy as np
import pandas as pd
import pydeck as pdk

from dashboard.figures import colours
from dashboard.figures.colours import Theme
from dashboard.figures.deck import AUTOMATIC, FONT, PIXELS, literal, position

NUMBERED = 9
"""Places that carry a number: the most recent ones. The others are dots, their numbers shown when hovered."""


def history_layers(stops: pd.DataFrame, theme: Theme) -> list[pdk.Layer]:
    """Path, stops and numbers of a history.

    Args:
        stops: One row per visit, oldest first: longitude, latitude (degrees), name, category, when (local, as words).
        theme: Light or dark.
    """
    if not len(stops):
        return []
    recency = np.linspace(0, 1, len(stops)) if len(stops) > 1 else np.ones(1)
    colour = colours.ramp(recency, colours.scale("history", theme))
    at = [position(longitude, latitude) for longitude, latitude in zip(stops["longitude"], stops["latitude"], strict=True)]
    segments = [
        {
            "p": [at[row], at[row + 1]],
            "c": [*colour[row + 1].tolist(), int(70 + 150 * recency[row + 1])],
            "w": round(1.2 + 1.8 * recency[row + 1], 1),
        }
        for row in range(len(at) - 1)
        if at[row] != at[row + 1]
    ]
    path = pdk.Layer(
        "PathLayer", segments, id="history-path", get_path="p", get_color="c", get_width="w", width_units=PIXELS, cap_rounded=True
    )
    return [path, *_stops(stops, at, colour, theme)]


def _stops(stops: pd.DataFrame, at: list[list[float]], colour: np.ndarray, theme: Theme) -> list[pdk.Layer]:
    numbers: dict[tuple[float, ...], list[int]] = {}
    for row, where in enumerate(at):
        numbers.setdefault(tuple(where), []).append(row)
    by_recency = sorted(numbers.items(), key=lambda item: item[1][-1])
    numbered = {where for where, _ in by_recency[-NUMBERED:]}
    discs, texts = [], []
    for where, rows in by_recency:
        last, shown = rows[-1], where in numbered
        discs.append(
            {
                "p": list(where),
                "c": [*colour[last].tolist(), 255 if shown else 200],
                "r": 10 if last == len(at) - 1 else 8 if shown else 4,
                "tip": _tip(stops, rows),
            }
        )
        if shown:
            red, green, blue = colour[last]
            dark = 0.3 * red + 0.59 * green + 0.11 * blue < 140
            texts.append({"p": list(where), "t": str(last + 1), "c": [255, 255, 255] if dark else [20, 24, 32]})
    outline = colours.rgba(colours.ground("ground", theme))
    return [
        pdk.Layer(
            "ScatterplotLayer",
            discs,
            id="history-stops",
            get_position="p",
            get_radius="r",
            radius_units=PIXELS,
            get_fill_color="c",
            stroked=True,
            get_line_color=outline,
            get_line_width=1.5,
            line_width_units=PIXELS,
            pickable=True,
        ),
        pdk.Layer(
            "TextLayer",
            texts,
            id="history-numbers",
            get_position="p",
            get_text="t",
            get_size=11,
            get_color="c",
            font_family=FONT,
            font_weight=600,
            character_set=AUTOMATIC,
        ),
    ]


def _tip(stops: pd.DataFrame, rows: list[int]) -> str:
    last = stops.iloc[rows[-1]]
    shown = [str(row + 1) for row in rows[-6:]]
    which = ("… " if len(rows) > 6 else "") + ", ".join(shown)
    category = f"\n{str(last['category'])[:60]}" if last["category"] else ""
    return literal(f"{str(last['name'])[:80]}{category}\nstop {which} of {len(stops)}, last {last['when']}")
