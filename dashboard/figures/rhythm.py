"""The day as a curve: what happens in each local hour, with the hour looked at."""

from collections.abc import Mapping

import numpy as np
import plotly.graph_objects as go

from dashboard.figures import colours
from dashboard.figures.colours import Theme
from dashboard.figures.frame import dress


def hour_curve(
    values: np.ndarray,
    theme: Theme,
    unit: str = "visits",
    hour: int | None = None,
    compared: Mapping[str, np.ndarray] | None = None,
) -> go.Figure:
    """A value per local hour.

    Args:
        values: (24,) observed.
        theme: Light or dark.
        unit: What is counted.
        hour: The hour looked at, marked by a line.
        compared: Name to (24,) values drawn beside it in blue.
    """
    hours = list(range(24))
    figure = go.Figure(
        go.Scatter(
            x=hours,
            y=values,
            mode="lines",
            name="observed",
            line={"color": colours.role("observed", theme), "width": 2, "shape": "spline"},
            fill="tozeroy",
            fillcolor=colours.css(colours.role("observed", theme), 0.08),
            hovertemplate=f"%{{x}}:00 to %{{x}}:59<br>%{{y:,.3~g}} {unit}<extra></extra>",
        )
    )
    for name, curve in (compared or {}).items():
        figure.add_scatter(
            x=hours,
            y=curve,
            mode="lines",
            name=name,
            line={"color": colours.role("prediction", theme), "width": 2, "dash": "dash"},
            hovertemplate=f"%{{x}}:00 to %{{x}}:59<br>%{{y:,.3~g}} {unit}<extra>{name}</extra>",
        )
    if hour is not None:
        figure.add_vline(x=hour, line={"color": colours.role("edited", theme), "width": 2})
    figure.update_layout(showlegend=bool(compared))
    figure.update_xaxes(tickvals=[0, 6, 12, 18, 23], ticktext=["0 h", "6 h", "12 h", "18 h", "23 h"], showgrid=False, range=[0, 23])
    figure.update_yaxes(rangemode="tozero", nticks=4)
    return dress(figure, theme, 190)
