"""How different experts are: what forcing and silencing each does, how alike they are, and what each visit did for an answer."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from dashboard.figures import colours
from dashboard.figures.colours import Theme
from dashboard.figures.frame import dress, label, named_axis
from dashboard.figures.routing_bars import Palette, small_titles
from engine.models.answers import share_name


def effect_bars(effects: pd.DataFrame, palette: Palette, theme: Theme) -> go.Figure:
    """Metres the answer's point moves when an expert is forced, and what silencing it costs the truth.

    Args:
        effects: As from `engine.scenarios.expert_effects.expert_effects`, one row per expert in their order.
        palette: The set.
        theme: Light or dark.
    """
    at, names = list(range(len(palette))), palette.hover
    share = share_name(bool(effects["normalised"].all()))
    figure = make_subplots(
        rows=1,
        cols=2,
        shared_yaxes=True,
        horizontal_spacing=0.04,
        column_titles=["forced: the answer moves by", "silenced: the truth loses"],
    )
    figure.add_bar(
        x=effects["forced_m"],
        y=at,
        hovertext=names,
        orientation="h",
        marker={"color": list(palette.colour)},
        customdata=effects[["forced_moved", "forced_top"]],
        hovertemplate=f"%{{hovertext}}<br>%{{x:,.0f}} m; %{{customdata[0]:.1%}} of the {share} moved, "
        "%{customdata[1]:.0%} of first guesses changed<extra></extra>",
        row=1,
        col=1,
    )
    hit, miss = colours.role("hit", theme), colours.role("miss", theme)
    lost = effects["silenced_nats"].to_numpy(float)
    figure.add_bar(
        x=lost,
        y=at,
        hovertext=names,
        orientation="h",
        marker={"color": [hit if value >= 0 else miss for value in lost]},
        customdata=effects[["silenced_m", "silenced_top"]],
        hovertemplate="%{hovertext}<br>%{x:+.3f} nats; the answer moves %{customdata[0]:,.0f} m, "
        "%{customdata[1]:.0%} of first guesses changed<extra></extra>",
        row=1,
        col=2,
    )
    dress(figure, theme, 84 + 22 * max(len(names), 1))
    figure.update_layout(showlegend=False, bargap=0.25, margin={"t": 28})
    figure.update_annotations(font_size=12)
    figure.update_yaxes(**named_axis(palette.ticks, downwards=True))
    figure.update_xaxes(title_text="metres", rangemode="tozero", nticks=5, row=1, col=1)
    figure.update_xaxes(title_text=f"nats of log-{share}", nticks=5, row=1, col=2)
    return small_titles(figure)


def likeness_matrix(cosine: np.ndarray, palette: Palette, theme: Theme) -> go.Figure:
    """How alike experts are, pair by pair.

    Args:
        cosine: (expert, expert), -1 to 1.
        palette: The set.
        theme: Light or dark.
    """
    words, at = palette.hover, list(range(len(palette)))
    hover = [
        [f"{words[row]} and {words[column]}<br>cosine {cosine[row, column]:+.2f}" for column in range(len(words))]
        for row in range(len(words))
    ]
    figure = go.Figure(
        go.Heatmap(
            z=np.where(np.eye(len(words), dtype=bool), np.nan, cosine),
            x=at,
            y=at,
            text=hover,
            hovertemplate="%{text}<extra></extra>",
            colorscale=colours.plotly_scale("diverging", theme),
            zmin=-1,
            zmax=1,
            xgap=1,
            ygap=1,
            colorbar={
                "title": {"text": "cosine", "side": "right", "font": {"size": 12}},
                "thickness": 8,
                "outlinewidth": 0,
                "nticks": 5,
            },
        )
    )
    dress(figure, theme, 120 + 22 * len(words))
    figure.update_xaxes(**named_axis(palette.ticks), tickangle=-40, tickfont={"size": 10})
    figure.update_yaxes(**named_axis(palette.ticks, downwards=True))
    return small_titles(figure)


def visit_effects(labels: Sequence[str], effect: np.ndarray, theme: Theme) -> go.Figure:
    """What each visit did for the answer, newest on top.

    Args:
        labels: One per visit, oldest first.
        effect: (visit,) change of the answer's log-probability when the visit is there, nats.
        theme: Light or dark.
    """
    hit, miss = colours.role("hit", theme), colours.role("miss", theme)
    names = [f"{position + 1}. {label(text, 40)}" for position, text in enumerate(labels)]
    figure = go.Figure(
        go.Bar(
            x=effect,
            y=names,
            orientation="h",
            marker={
                "color": [hit if value >= 0 else miss for value in effect],
                "pattern": {"shape": ["" if value >= 0 else "/" for value in effect], "fillmode": "overlay", "fgopacity": 0.4},
            },
            hovertemplate="%{y}<br>%{x:+.3f} nats for the answer<extra></extra>",
        )
    )
    dress(figure, theme, 60 + 20 * max(len(names), 1))
    figure.update_layout(showlegend=False, bargap=0.25)
    figure.update_xaxes(title_text="nats of log-probability for the answer", zeroline=True, nticks=6)
    figure.update_yaxes(showgrid=False)
    return small_titles(figure)
