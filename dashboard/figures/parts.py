"""Training, validation and test along time."""

import pandas as pd
import plotly.graph_objects as go

from dashboard.figures import colours
from dashboard.figures.colours import Theme

PART_TITLES = {"train": "training", "valid": "validation", "test": "test"}
PART_ROLES = {"train": "prediction", "valid": "baseline", "test": "truth"}


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
        legend={"orientation": "h", "y": 1.25, "x": 0, "font": {"size": 12}},
        xaxis={"fixedrange": True, "showgrid": False},
        yaxis={"fixedrange": True, "nticks": 3, "title": {"text": "visits", "font": {"size": 11}}},
    )
    return figure
