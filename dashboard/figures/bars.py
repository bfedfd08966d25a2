"""Predictors side by side: metrics with their intervals, and probabilities of places."""

from collections.abc import Collection, Sequence

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from dashboard import wording
from dashboard.figures import colours
from dashboard.figures.colours import Theme
from dashboard.figures.frame import dress, label


def metric_bars(metrics: pd.DataFrame, metric: str, theme: Theme, highlight: Collection[str] = ()) -> go.Figure:
    """One metric of several predictors with 95 % intervals; n stands with each.

    Args:
        metrics: One row per predictor: title, value, low, high, n; `predictor` marks the highlighted ones.
        metric: Name of the metric; gives the unit.
        theme: Light or dark.
        highlight: Predictors drawn in the prediction's blue; the others are baselines, grey and hatched.
    """
    ordered = metrics.sort_values("value", ascending="distance" in metric, kind="stable", na_position="first")
    ours = ordered["predictor"].isin(list(highlight)).to_numpy() if "predictor" in ordered else np.zeros(len(ordered), bool)
    scale = 100.0 if wording.is_share(metric) else 1.0
    figure = go.Figure(
        go.Bar(
            x=ordered["value"] * scale,
            y=[label(title, 28) for title in ordered["title"]],
            orientation="h",
            marker={
                "color": [colours.role("prediction" if mine else "baseline", theme) for mine in ours],
                "pattern": {"shape": ["" if mine else "/" for mine in ours], "fillmode": "overlay", "fgopacity": 0.35, "size": 6},
            },
            error_x={
                "type": "data",
                "symmetric": False,
                "array": (ordered["high"] - ordered["value"]).clip(lower=0) * scale,
                "arrayminus": (ordered["value"] - ordered["low"]).clip(lower=0) * scale,
                "color": colours.ink("text", theme),
                "thickness": 1.5,
                "width": 4,
            },
            customdata=[
                wording.estimate(metric, wording_row)
                for wording_row in ordered[["value", "low", "high", "n"]].itertuples(index=False)
            ],
            hovertemplate="%{y}<br>%{customdata}<extra></extra>",
        )
    )
    figure.update_xaxes(rangemode="tozero", ticksuffix=" %" if scale == 100 else "")
    figure.update_yaxes(showgrid=False)
    return dress(figure, theme, 60 + 26 * max(len(ordered), 1))


def probability_bars(
    names: Sequence[str],
    series: Sequence[tuple[str, str, np.ndarray]],
    theme: Theme,
    truth: int | None = None,
) -> go.Figure:
    """Probabilities of the same places under several answers.

    Args:
        names: Places, best first.
        series: (title, role, (place,) probabilities); roles as in the colour file (prediction, edited, baseline).
        theme: Light or dark.
        truth: Position of the place the person went to; its name carries a mark and the truth's gold.
    """
    labels = [f"{position + 1}. {label(name, 26)}{' ◆' if position == truth else ''}" for position, name in enumerate(names)]
    shapes = {"baseline": "/", "edited": "."}
    figure = go.Figure()
    for title, role, values in series:
        figure.add_bar(
            x=np.asarray(values, float) * 100,
            y=labels,
            orientation="h",
            name=label(title),
            marker={
                "color": colours.role(role, theme),
                "pattern": {"shape": shapes.get(role, ""), "fillmode": "overlay", "fgopacity": 0.4, "size": 6},
                "line": {
                    "color": [
                        colours.role("truth", theme) if position == truth else "rgba(0,0,0,0)" for position in range(len(names))
                    ],
                    "width": 2,
                },
            },
            hovertemplate="%{y}<br>%{x:.3~g} %<extra>" + label(title) + "</extra>",
        )
    figure.update_layout(barmode="group", bargap=0.28, showlegend=len(series) > 1)
    figure.update_xaxes(rangemode="tozero", ticksuffix=" %", nticks=5)
    figure.update_yaxes(autorange="reversed", showgrid=False)
    return dress(figure, theme, 50 + (15 + 13 * len(series)) * max(len(names), 1))


def step_strip(steps: pd.DataFrame, theme: Theme, current: int | None = None) -> go.Figure:
    """A person's steps in time: bars up to the rank of the truth, hits and misses by colour and mark.

    Args:
        steps: In order: step (0-based), when (words), rank (float, inf where the place could not be answered), name.
        theme: Light or dark.
        current: The step looked at.
    """
    rank = steps["rank"].to_numpy(float)
    classes = {
        "hit: first guess": (rank == 1, "hit", "circle"),
        "in the top 10": ((rank > 1) & (rank <= 10), "prediction", "diamond"),
        "missed": (rank > 10, "miss", "x"),
    }
    figure = go.Figure()
    for title, (mask, role, symbol) in classes.items():
        mine = steps[mask]
        figure.add_scatter(
            x=mine["step"] + 1,
            y=np.where(np.isfinite(rank[mask]), np.clip(rank[mask], 1, 1000), 1000),
            mode="markers",
            name=title,
            marker={"color": colours.role(role, theme), "symbol": symbol, "size": 8},
            customdata=np.stack(
                [
                    mine["step"].to_numpy(object),
                    [label(name, 60) for name in mine["name"]],
                    mine["when"].to_numpy(object),
                    [f"{value:,.0f}" if np.isfinite(value) else "not answered" for value in rank[mask]],
                ],
                axis=1,
            )
            if len(mine)
            else None,
            hovertemplate="step %{x}: %{customdata[1]}<br>%{customdata[2]}<br>rank of the truth: %{customdata[3]}<extra></extra>",
        )
    if current is not None:
        figure.add_vline(x=current + 1, line={"color": colours.role("truth", theme), "width": 2})
    figure.update_yaxes(
        type="log", range=[3.1, -0.15], tickvals=[1, 10, 100, 1000], ticktext=["1", "10", "100", "≥ 1000"], title_text="rank"
    )
    figure.update_xaxes(title_text="step", showgrid=False)
    figure.update_layout(clickmode="event+select", dragmode=False)
    return dress(figure, theme, 190)
