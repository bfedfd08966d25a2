"""What all plotly figures share: the theme's colours, quiet axes, names shown literally."""

from collections.abc import Sequence
from typing import Any

import plotly.graph_objects as go

from dashboard.figures import colours
from dashboard.figures.colours import Theme
from dashboard.wording import html_literal

CONFIG: dict[str, Any] = {"displayModeBar": False, "scrollZoom": False}
"""For `st.plotly_chart(config=)`: no tool bar over small figures."""


def chart_config(name: str, **more: Any) -> dict[str, Any]:
    """For `st.plotly_chart(config=)`: one button that saves the chart as it is seen, as a PNG of that name, made by the browser."""
    shape = {"format": "png", "filename": name, "scale": 2}
    return {"displaylogo": False, "scrollZoom": False, "modeBarButtons": [["toImage"]], "toImageButtonOptions": shape} | more


def dress(figure: go.Figure, theme: Theme, height: int) -> go.Figure:
    """Gives a figure the theme's ink and thin frame, and returns it.

    Args:
        figure: Changed in place.
        theme: Light or dark.
        height: Pixels.
    """
    text, muted, grid = (colours.ink(name, theme) for name in ("text", "muted", "grid"))
    figure.update_layout(
        height=height,
        margin={"l": 8, "r": 8, "t": 8, "b": 8},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        font={"color": text, "size": 13, "family": "Source Sans, sans-serif"},
        hoverlabel={"bgcolor": colours.ink("panel", theme), "font": {"color": text}, "bordercolor": grid},
        legend={"orientation": "h", "yanchor": "bottom", "y": 1.0, "x": 0, "font": {"color": text}, "title": None},
        separators=".,",
    )
    axis = {
        "gridcolor": grid,
        "linecolor": grid,
        "zerolinecolor": grid,
        "tickfont": {"color": muted},
        "title": {"font": {"color": muted}},
        "automargin": True,
        "fixedrange": True,
    }
    figure.update_xaxes(**axis)
    figure.update_yaxes(**axis)
    return figure


def named_axis(names: Sequence[str], *, downwards: bool = False) -> dict[str, Any]:
    """For `update_xaxes` or `update_yaxes`: positions 0, 1, ... called by their names.

    Where a shortened name itself is the position, two names that begin alike share one and are drawn on top of each other.

    Args:
        names: One per position, as `label` made them.
        downwards: Whether the first stands on top.
    """
    ends = [-0.5, len(names) - 0.5]
    return {
        "tickmode": "array",
        "tickvals": list(range(len(names))),
        "ticktext": list(names),
        "range": ends[::-1] if downwards else ends,
        "showgrid": False,
        "zeroline": False,
    }


def label(text: object, limit: int = 34) -> str:
    """A name from data as plotly shows it literally: no markup, no template, shortened in the middle of nothing."""
    return html_literal(text, limit).replace("%{", "%\u200b{")
