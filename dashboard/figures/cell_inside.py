"""What a grid model looked at: weights of modalities, hours looking at hours, vectors before and after alignment."""

from collections.abc import Mapping, Sequence

import numpy as np
import plotly.graph_objects as go

from dashboard.figures import colours
from dashboard.figures.colours import Theme
from dashboard.figures.frame import dress, label


def modality_bars(here: np.ndarray, mean: np.ndarray, names: Sequence[str], titles: Mapping[str, str], theme: Theme) -> go.Figure:
    """The weight of each modality in a cell, in its fixed colour, with the mean of all cells as a line across.

    Args:
        here: (modality,) weights of the cell.
        mean: (modality,) of all cells.
        names: Keys of the modalities, which give the colours.
        titles: Key to words.
        theme: Light or dark.
    """
    words = [label(titles.get(name, name)) for name in names]
    figure = go.Figure(
        go.Bar(
            x=here * 100,
            y=words,
            orientation="h",
            marker={"color": [colours.modality(name) for name in names]},
            name="here",
            hovertemplate="%{y}: %{x:.1f} %<extra>this cell</extra>",
        )
    )
    figure.add_scatter(
        x=mean * 100,
        y=words,
        mode="markers",
        marker={"symbol": "line-ns-open", "size": 18, "color": colours.role("observed", theme), "line": {"width": 2}},
        name="mean of all cells",
        hovertemplate="%{y}: %{x:.1f} %<extra>mean of all cells</extra>",
    )
    figure.update_xaxes(title_text="weight, %", rangemode="tozero")
    figure.update_yaxes(autorange="reversed")
    return dress(figure, theme, 210).update_layout(showlegend=False, bargap=0.35)


def hour_matrix(weights: np.ndarray, theme: Theme, height: int = 340) -> go.Figure:
    """Which hours look at which: (24, 24) rows look, columns are looked at."""
    figure = go.Figure(
        go.Heatmap(
            z=np.asarray(weights, float) * 100,
            x=list(range(24)),
            y=list(range(24)),
            colorscale=colours.plotly_scale("sequential", theme),
            zmin=0,
            colorbar={"title": {"text": "weight, %", "side": "right"}, "thickness": 8, "outlinewidth": 0, "nticks": 4},
            hovertemplate="%{y} h looks at %{x} h: %{z:.1f} %<extra></extra>",
        )
    )
    figure.update_xaxes(title_text="hour looked at", tickvals=list(range(0, 24, 3)), showgrid=False)
    figure.update_yaxes(title_text="hour that looks", tickvals=list(range(0, 24, 3)), autorange="reversed", showgrid=False)
    return dress(figure, theme, height)


def before_and_after(
    pairs: Mapping[str, tuple[np.ndarray, np.ndarray]],
    names: tuple[str, str],
    marks: tuple[str, str],
    theme: Theme,
    height: int = 330,
) -> go.Figure:
    """Two kinds of vectors of the same cells in a plane of their own per panel, so that a gap between the kinds is seen.

    Args:
        pairs: Panel title to the positions (cell, 2) of both kinds.
        names: What the kinds are called.
        marks: Hex colours of the kinds.
        theme: Light or dark.
        height: Pixels.
    """
    from plotly.subplots import make_subplots

    figure = make_subplots(rows=1, cols=len(pairs), subplot_titles=[label(title, 44) for title in pairs], horizontal_spacing=0.03)
    for column, both in enumerate(pairs.values(), start=1):
        for kind, (position, symbol) in enumerate(zip(both, ("circle", "diamond"), strict=True)):
            figure.add_trace(
                go.Scattergl(
                    x=position[:, 0],
                    y=position[:, 1],
                    mode="markers",
                    marker={"size": 5, "opacity": 0.65, "symbol": symbol, "color": marks[kind]},
                    name=label(names[kind]),
                    showlegend=column == 1,
                    hoverinfo="skip",
                ),
                1,
                column,
            )
    dress(figure, theme, height)
    figure.update_xaxes(visible=False)
    figure.update_yaxes(visible=False)
    return figure.update_layout(margin={"l": 4, "r": 4, "t": 44, "b": 4}, legend={"y": -0.02, "yanchor": "top"})
