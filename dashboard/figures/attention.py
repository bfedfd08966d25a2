"""What was looked at: arcs on the map, the matrix of weights, and each visit's weight beside its measured effect."""

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import pydeck as pdk
from plotly.subplots import make_subplots

from dashboard.figures import colours
from dashboard.figures.colours import Theme
from dashboard.figures.deck import PIXELS, literal
from dashboard.figures.ranking import arc
from dashboard.wording import html_literal

_WIDEST = 12.0


def attention_arcs(visits: pd.DataFrame, here: tuple[float, float], theme: Theme) -> list[pdk.Layer]:
    """Arcs from where the person is to the visits looked at, width by weight; visits to one place are summed.

    Args:
        visits: Rows (name, longitude, latitude, weight), the ones to be shown.
        here: Longitude and latitude of the last visit.
        theme: Light or dark.
    """
    summed = visits.groupby(["name", "longitude", "latitude"], as_index=False, sort=False)["weight"].agg(["sum", "count"])
    if summed.empty:
        return []
    widest = max(float(summed["sum"].max()), 1e-9)
    blue = colours.rgb(colours.role("prediction", theme))
    away = summed[(summed["longitude"] != here[0]) | (summed["latitude"] != here[1])]
    paths = [
        {
            "p": arc(here, (row.longitude, row.latitude), bend=0.2),
            "w": round(1 + (_WIDEST - 1) * row.sum_ / widest, 2),
            "c": [*blue, int(90 + 150 * row.sum_ / widest)],
            "tip": literal(
                f"{str(row.place)[:80]}\n{row.sum_:.1%} of the attention, {row.count_} visit{'s' if row.count_ > 1 else ''}"
            ),
        }
        for row in away.rename(columns={"sum": "sum_", "count": "count_", "name": "place"}).itertuples()
    ]
    dots = [
        {
            "p": [round(row.longitude, 5), round(row.latitude, 5)],
            "r": round(4 + 9 * (row.sum_ / widest) ** 0.5, 1),
            "tip": literal(
                f"{str(row.place)[:80]}\n{row.sum_:.1%} of the attention, {row.count_} visit{'s' if row.count_ > 1 else ''}"
            ),
        }
        for row in summed.rename(columns={"sum": "sum_", "count": "count_", "name": "place"}).itertuples()
    ]
    return [
        pdk.Layer(
            "PathLayer",
            paths,
            id="attention-arcs",
            get_path="p",
            get_width="w",
            width_units=PIXELS,
            get_color="c",
            cap_rounded=True,
            pickable=True,
        ),
        pdk.Layer(
            "ScatterplotLayer",
            dots,
            id="attention-visits",
            get_position="p",
            get_radius="r",
            radius_units=PIXELS,
            get_fill_color=[*blue, 220],
            stroked=True,
            get_line_color=[255, 255, 255, 220],
            get_line_width=1.2,
            line_width_units=PIXELS,
            pickable=True,
        ),
    ]


def attention_matrix(weights: np.ndarray, labels: list[str], theme: Theme, height: int = 380) -> go.Figure:
    """Who looks at whom: rows look, columns are looked at.

    Args:
        weights: (query, key), rows summing to one.
        labels: One per visit, oldest first.
        theme: Light or dark.
        height: Pixels.
    """
    shown = np.where(np.tril(np.ones_like(weights, bool)), weights, np.nan)
    words = [html_literal(label, 40) for label in labels]
    hover = [
        [f"{words[query]}<br>looks at {words[key]}<br>{weights[query, key]:.1%}" for key in range(len(words))]
        for query in range(len(words))
    ]
    numbers = list(range(1, len(words) + 1))
    figure = go.Figure(
        go.Heatmap(
            z=shown,
            x=numbers,
            y=numbers,
            text=hover,
            hovertemplate="%{text}<extra></extra>",
            colorscale=colours.plotly_scale("sequential", theme),
            zmin=0,
            colorbar={"title": {"text": "weight", "side": "right"}, "thickness": 8, "outlinewidth": 0, "nticks": 4},
        )
    )
    figure.update_layout(
        height=height,
        margin={"l": 8, "r": 8, "t": 8, "b": 8},
        xaxis={"title": {"text": "visit looked at"}, "showgrid": False, "fixedrange": True},
        yaxis={"title": {"text": "visit that looks"}, "autorange": "reversed", "showgrid": False, "fixedrange": True},
    )
    return figure


def weight_and_effect(labels: list[str], weight: np.ndarray, effect: np.ndarray, theme: Theme) -> go.Figure:
    """Per visit, newest on top: the attention it gets, and what leaving it out does to the answer.

    Args:
        labels: One per visit, oldest first.
        weight: (visit,) attention of the last position.
        effect: (visit,) change of log-probability of the answer when the visit is there.
        theme: Light or dark.
    """
    figure = make_subplots(rows=1, cols=2, shared_yaxes=True, horizontal_spacing=0.04)
    names = [f"{position + 1}. {html_literal(label, 28)}" for position, label in enumerate(labels)]
    figure.add_trace(
        go.Bar(
            x=weight * 100,
            y=names,
            orientation="h",
            marker={"color": colours.role("prediction", theme)},
            hovertemplate="%{y}<br>%{x:.1f} % of the attention<extra></extra>",
        ),
        1,
        1,
    )
    hit, miss = colours.role("hit", theme), colours.role("miss", theme)
    figure.add_trace(
        go.Bar(
            x=effect,
            y=names,
            orientation="h",
            marker={"color": [hit if value >= 0 else miss for value in effect]},
            hovertemplate="%{y}<br>%{x:+.2f} nats for the answer<extra></extra>",
        ),
        1,
        2,
    )
    figure.update_layout(
        height=max(200, 76 + 19 * len(labels)),
        margin={"l": 8, "r": 8, "t": 8, "b": 8},
        showlegend=False,
        bargap=0.25,
    )
    grid = colours.ink("grid", theme)
    # Two lines, so that the titles stand apart where the panel is narrow.
    figure.update_xaxes(title={"text": "attention,<br>%", "font": {"size": 12}}, row=1, col=1, fixedrange=True, gridcolor=grid)
    figure.update_xaxes(title={"text": "effect,<br>nats", "font": {"size": 12}}, row=1, col=2, fixedrange=True, gridcolor=grid)
    figure.update_xaxes(nticks=4)
    figure.update_yaxes(fixedrange=True, automargin=True)
    return figure


def head_multiples(weights: np.ndarray, theme: Theme, height_per_layer: int = 120) -> go.Figure:
    """Small multiples: the last position's weights by layer (down) and head (across).

    Args:
        weights: (layer, head, key) of the last position.
        theme: Light or dark.
        height_per_layer: Pixels.
    """
    layers, heads, _ = weights.shape
    figure = make_subplots(
        rows=layers,
        cols=heads,
        shared_yaxes="all",
        shared_xaxes="all",
        horizontal_spacing=0.012,
        vertical_spacing=0.06 / max(layers - 1, 1),
        column_titles=[f"head {head + 1}" for head in range(heads)],
        row_titles=[f"layer {layer + 1}" for layer in range(layers)],
    )
    for layer in range(layers):
        for head in range(heads):
            figure.add_trace(
                go.Bar(
                    y=weights[layer, head] * 100,
                    x=list(range(1, weights.shape[2] + 1)),
                    marker={"color": colours.role("prediction", theme), "line": {"width": 0}},
                    hovertemplate="visit %{x}: %{y:.1f} %<extra></extra>",
                ),
                layer + 1,
                head + 1,
            )
    figure.update_layout(
        height=60 + height_per_layer * layers, margin={"l": 8, "r": 8, "t": 24, "b": 8}, showlegend=False, bargap=0
    )
    figure.update_annotations(font_size=11)
    figure.update_xaxes(fixedrange=True, showgrid=False)
    figure.update_yaxes(fixedrange=True, gridcolor=colours.ink("grid", theme), nticks=3)
    return figure
