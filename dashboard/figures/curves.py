"""Training seen from outside: losses and the watched metric over the steps."""

from collections.abc import Mapping

import pandas as pd
import plotly.graph_objects as go

from dashboard.figures import colours
from dashboard.figures.colours import Theme
from dashboard.figures.frame import dress, label

_DASHES = ("solid", "dash", "dot", "dashdot")


def loss_curves(
    curves: pd.DataFrame,
    theme: Theme,
    keys: list[str] | None = None,
    references: Mapping[str, float] | None = None,
    height: int = 240,
) -> go.Figure:
    """Values over optimiser steps; each key has its own dash, so that colour is never alone.

    Args:
        curves: Long: step, key, value (further columns are ignored).
        theme: Light or dark.
        keys: Which to draw, in order; all by default.
        references: Name to a level drawn as a grey line, such as the best baseline's metric.
        height: Pixels.
    """
    shown = keys if keys is not None else list(dict.fromkeys(curves["key"]))
    figure = go.Figure()
    for position, key in enumerate(shown):
        mine = curves[curves["key"] == key].sort_values("step", kind="stable")
        many = len(mine) > 40
        validation = "valid" in key
        figure.add_scatter(
            x=mine["step"],
            y=mine["value"],
            mode="lines" if many else "lines+markers",
            name=label(key),
            line={
                "color": colours.role("prediction" if validation else "observed", theme)
                if len(shown) <= 2
                else colours.categorical(position),
                "width": 2,
                "dash": _DASHES[position % len(_DASHES)],
            },
            marker={"size": 5},
            hovertemplate=f"{label(key)}: %{{y:.4~g}}<br>step %{{x:,}}<extra></extra>",
        )
    for name, level in (references or {}).items():
        figure.add_hline(
            y=level,
            line={"color": colours.role("baseline", theme), "width": 1.5, "dash": "dash"},
            annotation={"text": label(name), "font": {"color": colours.ink("muted", theme)}},
            annotation_position="bottom right",
        )
    figure.update_xaxes(title_text="optimiser step", showgrid=False)
    return dress(figure, theme, height)
