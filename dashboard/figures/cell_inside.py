"""What a grid model looked at: weights of modalities, hours looking at hours, vectors before and after fusion."""

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
    panes: Mapping[str, Mapping[str, np.ndarray]], tints: Mapping[str, str], theme: Theme, height: int = 330
) -> go.Figure:
    """Kinds of vectors of the same cells, pane by pane in one plane, so that a gap between kinds and what closes it are seen.

    Args:
        panes: Title of a pane to the kinds in it and their positions (cell, 2).
        tints: Kind to its hex colour, the same in every pane, as is its shape.
        theme: Light or dark.
        height: Pixels.
    """
    from plotly.subplots import make_subplots

    figure = make_subplots(rows=1, cols=len(panes), subplot_titles=[label(title, 44) for title in panes], horizontal_spacing=0.03)
    shapes = dict(zip(tints, ("circle", "diamond", "square", "cross"), strict=False))
    named: set[str] = set()
    for column, kinds in enumerate(panes.values(), start=1):
        for kind, position in kinds.items():
            figure.add_trace(
                go.Scattergl(
                    x=position[:, 0],
                    y=position[:, 1],
                    mode="markers",
                    marker={"size": 5, "opacity": 0.65, "symbol": shapes[kind], "color": tints[kind]},
                    name=label(kind),
                    showlegend=kind not in named,
                    hoverinfo="skip",
                ),
                1,
                column,
            )
            named.add(kind)
    dress(figure, theme, height)
    figure.update_xaxes(visible=False, matches="x")
    figure.update_yaxes(visible=False, matches="y")
    return figure.update_layout(margin={"l": 4, "r": 4, "t": 44, "b": 4}, legend={"y": -0.02, "yanchor": "top"})
