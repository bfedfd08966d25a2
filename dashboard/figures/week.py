"""The rhythm of a week: visits by local hour and weekday as one picture."""

import numpy as np
import plotly.graph_objects as go

from dashboard.figures import colours
from dashboard.figures.colours import Theme

DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


def week(visits: np.ndarray, theme: Theme, height: int = 230) -> go.Figure:
    """Hours across, weekdays down, brighter where more visits began.

    Args:
        visits: (weekday, hour) counts, Monday first, local time.
        theme: Light or dark.
        height: Pixels.
    """
    total = max(int(visits.sum()), 1)
    hover = np.array(
        [
            [
                f"{DAYS[row]}, {hour}:00 to {hour + 1}:00<br>{int(visits[row, hour]):,} visits, "
                f"{100 * visits[row, hour] / total:.2f} % of all"
                for hour in range(24)
            ]
            for row in range(7)
        ]
    )
    figure = go.Figure(
        go.Heatmap(
            z=visits,
            x=list(range(24)),
            y=list(DAYS),
            text=hover,
            hovertemplate="%{text}<extra></extra>",
            colorscale=colours.plotly_scale("sequential", theme),
            xgap=1,
            ygap=1,
            colorbar={"title": {"text": "visits", "side": "right"}, "thickness": 8, "outlinewidth": 0, "nticks": 4},
        )
    )
    figure.update_layout(
        height=height,
        margin={"l": 8, "r": 8, "t": 4, "b": 8},
        xaxis={
            "tickvals": [0, 6, 12, 18, 23],
            "ticktext": ["0 h", "6 h", "12 h", "18 h", "23 h"],
            "showgrid": False,
            "fixedrange": True,
        },
        yaxis={"autorange": "reversed", "showgrid": False, "fixedrange": True},
    )
    return figure
