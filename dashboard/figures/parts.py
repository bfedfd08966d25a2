"""Training, validation and test on the map and along time."""

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import pydeck as pdk

from dashboard.figures import colours
from dashboard.figures.colours import Theme
from dashboard.figures.deck import PIXELS, literal, positions
from engine.city.samples import VisitLog

PART_TITLES = {"train": "training", "valid": "validation", "test": "test"}
PART_ROLES = {"train": "prediction", "valid": "baseline", "test": "truth"}
MOST_PLACES = 6_000


def timeline(visits: pd.DataFrame, theme: Theme, height: int = 130) -> go.Figure:
    """Visits per local day, stacked by part.

    Args:
        visits: One row per day (the index), one column of counts per part.
        theme: Light or dark.
        height: Pixels.
    """
    figure = go.Figure(
        [
            go.Bar(
                x=visits.index,
                y=visits[part],
                name=PART_TITLES[part],
                marker={"color": colours.role(PART_ROLES[part], theme), "line": {"width": 0}},
                hovertemplate="%{x|%a %d %b %Y}: %{y:,} visits<extra>" + PART_TITLES[part] + "</extra>",
            )
            for part in PART_TITLES
            if part in visits
        ]
    )
    figure.update_layout(
        barmode="stack",
        bargap=0,
        height=height,
        margin={"l": 8, "r": 8, "t": 4, "b": 4},
        legend={"orientation": "h", "y": 1.25, "x": 0, "font": {"size": 12}, "traceorder": "normal"},
        xaxis={"fixedrange": True, "showgrid": False},
        yaxis={"fixedrange": True, "nticks": 3, "title": {"text": "visits", "font": {"size": 11}}},
    )
    return figure


def unseen_places(log: VisitLog) -> np.ndarray:
    """(location,) whether a place is visited, but never in the part that models learn from."""
    return ~log.seen & (np.bincount(log.location, minlength=len(log.places)) > 0)


def part_layers(log: VisitLog, theme: Theme) -> tuple[list[pdk.Layer], str]:
    """Places that training knows as discs, places it does not know as rings.

    Args:
        log: The visits under their split.
        theme: Light or dark.

    Returns:
        The layers, and a sentence where places are left out for their number, else nothing.
    """
    order = np.argsort(-log.visits_in_training, kind="stable")
    known = order[log.seen[order]][:MOST_PLACES]
    unknown = np.flatnonzero(unseen_places(log))[:MOST_PLACES]
    where = positions(log.places.longitude, log.places.latitude)
    most = max(int(log.visits_in_training.max(initial=0)), 1)
    discs = [
        {
            "p": where[row],
            "r": round(1.2 + 3.8 * float(log.visits_in_training[row] / most) ** 0.5, 1),
            "tip": literal(f"{str(log.places.names[row])[:60]}\n{log.visits_in_training[row]:,} training visits"),
        }
        for row in known
    ]
    rings = [{"p": where[row], "tip": literal(f"{str(log.places.names[row])[:60]}\nnot visited in training")} for row in unknown]
    layers = [
        pdk.Layer(
            "ScatterplotLayer",
            discs,
            id="train-seen",
            get_position="p",
            get_radius="r",
            radius_units=PIXELS,
            get_fill_color=colours.rgba(colours.role("prediction", theme), 150),
            pickable=True,
        ),
        pdk.Layer(
            "ScatterplotLayer",
            rings,
            id="train-unseen",
            get_position="p",
            get_radius=4,
            radius_units=PIXELS,
            filled=False,
            stroked=True,
            get_line_color=colours.rgba(colours.role("truth", theme)),
            line_width_units=PIXELS,
            get_line_width=1.5,
            pickable=True,
        ),
    ]
    left = int(log.seen.sum() + unseen_places(log).sum()) - len(known) - len(unknown)
    return layers, f"The {left:,} least visited places are not drawn." if left else ""
