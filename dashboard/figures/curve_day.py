"""Curves over the 24 hours of a day: observed in the foreground colour, predicted blue with its band, others grey."""

from collections.abc import Mapping, Sequence

import numpy as np
import plotly.graph_objects as go

from dashboard.figures import colours
from dashboard.figures.colours import Theme
from dashboard.figures.frame import dress, label

HOURS = np.arange(24)
_DASHES = ("dot", "dash", "dashdot", "longdash")


def day_curves(
    observed: np.ndarray,
    predicted: np.ndarray,
    theme: Theme,
    *,
    low: np.ndarray | None = None,
    high: np.ndarray | None = None,
    greys: Mapping[str, np.ndarray] | None = None,
    singles: Sequence[np.ndarray] = (),
    edited: np.ndarray | None = None,
    hour: int | None = None,
    height: int = 300,
) -> go.Figure:
    """One cell's day, or the mean day of several.

    Args:
        observed: (24,) trips, NaN where unknown.
        predicted: (24,) trips.
        theme: Light or dark.
        low: (24,) lower bound of the band around the prediction.
        high: (24,) upper bound.
        greys: Name to (24,), drawn grey: baselines, the mean of the cluster.
        singles: Observed curves of single cells, drawn thin behind a mean.
        edited: (24,) the prediction after edits.
        hour: Where the map's clock stands; a thin line.
        height: Pixels.
    """
    figure = go.Figure()
    ink, blue, grey = (
        colours.role("observed", theme),
        colours.role("prediction", theme),
        colours.role("baseline", theme),
    )
    if low is not None and high is not None and np.isfinite(low).any():
        figure.add_scatter(x=HOURS, y=high, mode="lines", line={"width": 0}, showlegend=False, hoverinfo="skip")
        figure.add_scatter(
            x=HOURS,
            y=low,
            mode="lines",
            line={"width": 0},
            fill="tonexty",
            fillcolor=colours.css(blue, 0.18),
            name="80 % interval",
            hoverinfo="skip",
        )
    for single in singles:
        figure.add_scatter(
            x=HOURS, y=single, mode="lines", line={"width": 1, "color": colours.css(ink, 0.25)}, showlegend=False, hoverinfo="skip"
        )
    for number, (name, curve) in enumerate((greys or {}).items()):
        line = {"color": grey, "width": 1.6, "dash": _DASHES[number % len(_DASHES)]}
        figure.add_scatter(x=HOURS, y=curve, mode="lines", line=line, name=label(name, 30), hovertemplate=_hover(name))
    if np.isfinite(observed).any():
        figure.add_scatter(
            x=HOURS,
            y=observed,
            mode="lines+markers",
            line={"color": ink, "width": 2.2},
            marker={"size": 4},
            name="observed",
            hovertemplate=_hover("observed"),
        )
    figure.add_scatter(
        x=HOURS, y=predicted, mode="lines", line={"color": blue, "width": 2.4}, name="predicted", hovertemplate=_hover("predicted")
    )
    if edited is not None:
        figure.add_scatter(
            x=HOURS,
            y=edited,
            mode="lines",
            line={"color": colours.role("edited", theme), "width": 2.4, "dash": "dash"},
            name="after the edits",
            hovertemplate=_hover("after the edits"),
        )
    if hour is not None:
        figure.add_vline(x=hour, line={"color": colours.ink("muted", theme), "width": 1, "dash": "dot"})
    figure.update_xaxes(title_text="local hour", tickvals=list(range(0, 24, 3)), range=[-0.4, 23.4], showgrid=False)
    figure.update_yaxes(title_text="trips per hour", rangemode="tozero", nticks=5)
    return dress(figure, theme, height).update_layout(hovermode="x unified", legend_traceorder="reversed")


def _hover(name: str) -> str:
    return f"{label(name, 30)}: %{{y:,.3~g}}<extra></extra>"


def cluster_curves(curves: np.ndarray, clusters: np.ndarray, theme: Theme, height: int = 260) -> go.Figure:
    """The mean day of each cluster, its colour and dash as on the map.

    Args:
        curves: (cell, 24) trips.
        clusters: (cell,) from 0, -1 for none.
        theme: Light or dark.
        height: Pixels.
    """
    figure = go.Figure()
    for cluster in sorted(set(clusters[clusters >= 0].tolist())):
        mine = clusters == cluster
        mean = np.expm1(np.log1p(np.maximum(curves[mine], 0)).mean(axis=0))
        name = f"{cluster + 1} (n = {int(mine.sum()):,})"
        figure.add_scatter(
            x=HOURS,
            y=mean,
            mode="lines",
            name=name,
            line={"color": colours.categorical(cluster), "width": 2.2, "dash": ("solid", *_DASHES)[cluster % 5]},
            hovertemplate=f"cluster {name}: %{{y:,.3~g}}<extra></extra>",
        )
    figure.update_xaxes(title_text="local hour", tickvals=list(range(0, 24, 3)), showgrid=False)
    figure.update_yaxes(title_text="trips per hour, geometric mean", type="log", nticks=5)
    return dress(figure, theme, height).update_layout(hovermode="x unified")


def hour_errors(
    table: Mapping[str, tuple[np.ndarray, np.ndarray, np.ndarray]], title: str, theme: Theme, height: int = 280
) -> go.Figure:
    """A metric by hour of the day with 95 % intervals; the first is the model's.

    Args:
        table: Name to (24,) value, low, high.
        title: Of the upward axis, with its unit.
        theme: Light or dark.
        height: Pixels.
    """
    figure = go.Figure()
    for number, (name, (value, low, high)) in enumerate(table.items()):
        colour = colours.role("prediction" if number == 0 else "baseline", theme)
        figure.add_scatter(x=HOURS, y=high, mode="lines", line={"width": 0}, showlegend=False, hoverinfo="skip")
        figure.add_scatter(
            x=HOURS,
            y=low,
            mode="lines",
            line={"width": 0},
            fill="tonexty",
            fillcolor=colours.css(colour, 0.16),
            showlegend=False,
            hoverinfo="skip",
        )
        figure.add_scatter(
            x=HOURS,
            y=value,
            mode="lines+markers",
            marker={"size": 5, "symbol": ("circle", "square", "diamond", "x")[number % 4]},
            line={"color": colour, "width": 2, "dash": "solid" if number == 0 else _DASHES[(number - 1) % 4]},
            name=label(name, 34),
            hovertemplate=_hover(name),
        )
    figure.update_xaxes(title_text="local hour", tickvals=list(range(0, 24, 3)), showgrid=False)
    figure.update_yaxes(title_text=title, rangemode="tozero", nticks=5)
    return dress(figure, theme, height).update_layout(hovermode="x unified")
