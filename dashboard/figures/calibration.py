"""How often an answer is right by how probable it was said to be, beside the line on which both are the same."""

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from dashboard.figures import colours
from dashboard.figures.colours import Theme
from dashboard.figures.frame import dress

_LARGEST = 22


def reliability_dots(table: pd.DataFrame, theme: Theme, height: int = 300) -> go.Figure:
    """A reliability diagram.

    Args:
        table: Rows (confidence, share_right, low, high, n), shares 0 to 1; bounds may be NaN.
        theme: Light or dark.
        height: Pixels.
    """
    blue, grey = colours.role("prediction", theme), colours.role("baseline", theme)
    shares = table[["confidence", "share_right", "low", "high"]].to_numpy(float) * 100
    confidence, right, low, high = shares.T
    figure = go.Figure()
    figure.add_scatter(
        x=[0, 100], y=[0, 100], mode="lines", line={"color": grey, "width": 1.4, "dash": "dash"}, name="as said", hoverinfo="skip"
    )
    figure.add_scatter(
        x=confidence,
        y=right,
        mode="markers",
        marker={
            "color": blue,
            "size": np.maximum(_LARGEST * np.sqrt(table["n"] / max(table["n"].max(), 1)), 5),
            "line": {"width": 0},
        },
        error_y={
            "type": "data",
            "symmetric": False,
            "array": np.nan_to_num(high - right),
            "arrayminus": np.nan_to_num(right - low),
            "color": blue,
            "width": 0,
            "thickness": 1.4,
        },
        customdata=table["n"],
        name="model",
        hovertemplate="said %{x:.0f} %, right %{y:.1f} %<br>n = %{customdata:,}<extra></extra>",
    )
    figure.update_xaxes(title_text="probability given to the answered bin, %", range=[0, 102], nticks=6)
    figure.update_yaxes(title_text="hours in which it is right, %", range=[0, 102], nticks=6)
    return dress(figure, theme, height)
