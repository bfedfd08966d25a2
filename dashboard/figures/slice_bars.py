"""A metric by the groups of a slice: a dot with its interval per predictor and group, the number of cases under each group."""

import pandas as pd
import plotly.graph_objects as go

from dashboard.figures import colours
from dashboard.figures.colours import Theme
from dashboard.wording import html_literal

SYMBOLS = ("circle", "square", "diamond", "triangle-up", "cross", "star", "triangle-down", "hexagon")


def slice_bars(
    table: pd.DataFrame,
    unit: str,
    theme: Theme,
    *,
    models: set[str],
    title: str = "",
    height: int = 360,
    selected: str | None = None,
) -> go.Figure:
    """Groups across, the metric upwards.

    Args:
        table: Rows (series, group, value, low, high, n), groups in the order they are to stand; shares are 0 to 1. Groups with
            n = 0 keep their place and get no dot.
        unit: `share` or `m`.
        theme: Light or dark.
        models: Series that are models; they are blue or take a colour of their own, the others are greys.
        title: Of the upward axis.
        height: Pixels.
        selected: Group whose cases are shown; marked by a band.
    """
    groups = list(dict.fromkeys(table["group"].astype(str)))
    counts = table.groupby(table["group"].astype(str), sort=False)["n"].max()
    factor = 100 if unit == "share" else 1
    figure = go.Figure()
    series = list(dict.fromkeys(table["series"]))
    greys = [colours.role("baseline", theme), colours.ink("muted", theme)]
    model_count = grey_count = 0
    for position, name in enumerate(series):
        rows = table[(table["series"] == name) & (table["n"] > 0)]
        if name in models:
            colour = colours.role("prediction", theme) if model_count == 0 else colours.categorical(model_count)
            model_count += 1
        else:
            colour = greys[grey_count % len(greys)]
            grey_count += 1
        shift = (position - (len(series) - 1) / 2) * min(0.7 / max(len(series), 1), 0.18)
        figure.add_trace(
            go.Scatter(
                x=[groups.index(str(group)) + shift for group in rows["group"]],
                y=rows["value"] * factor,
                error_y={
                    "type": "data",
                    "symmetric": False,
                    "array": ((rows["high"] - rows["value"]) * factor).fillna(0),
                    "arrayminus": ((rows["value"] - rows["low"]) * factor).fillna(0),
                    "width": 0,
                    "thickness": 1.4,
                },
                mode="markers",
                name=html_literal(name, 34),
                marker={"color": colour, "size": 9, "symbol": SYMBOLS[position % len(SYMBOLS)]},
                customdata=[[str(group), int(n)] for group, n in zip(rows["group"], rows["n"], strict=True)],
                hovertemplate="%{customdata[0]}: %{y:.3~g}"
                + (" %" if unit == "share" else f" {unit}" if unit else "")
                + "<br>n = %{customdata[1]:,}<extra>%{fullData.name}</extra>",
            )
        )
    if selected in groups:
        at = groups.index(selected)
        figure.add_vrect(x0=at - 0.5, x1=at + 0.5, fillcolor=colours.role("edited", theme), opacity=0.10, line_width=0)
    many = len(groups) > 6
    # Slanted labels of two lines would lie over each other.
    end = " <span style='font-size:10px'>n = {}</span>" if many else "<br><span style='font-size:10px'>n = {}</span>"
    labels = [html_literal(group, 22) + end.format(f"{int(counts[group]):,}") for group in groups]
    figure.update_layout(
        height=height,
        margin={"l": 8, "r": 8, "t": 8, "b": 8},
        legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0},
        xaxis={
            "tickvals": list(range(len(groups))),
            "ticktext": labels,
            "range": [-0.6, len(groups) - 0.4],
            "showgrid": False,
            "fixedrange": True,
            "tickangle": -50 if many else 0,
        },
        yaxis={
            "title": {"text": f"{title}, {'%' if unit == 'share' else unit}" if title and unit else title},
            "rangemode": "tozero",
            "gridcolor": colours.ink("grid", theme),
            "fixedrange": True,
        },
        clickmode="event+select",
        dragmode=False,
        hovermode="closest",
    )
    return figure
