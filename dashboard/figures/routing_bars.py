"""Who was asked: stacked weights per visit with their entropy, the load of every expert, and how both went during training."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from dashboard.figures import colours
from dashboard.figures.colours import Theme
from dashboard.figures.frame import dress, label, named_axis

if TYPE_CHECKING:
    from engine.evaluation.routed import ExpertLabel

MARKS = (
    "Behind each name stands what was measured of it: ✓ the expert goes along with the known group of that name, ≈ with a known group "
    "of another name (shown by hovering and under Cards), ? with none clearly beyond chance."
)
"""How to read the marks of `ExpertLabel.shown`, for the screen."""
_SHORT, _LONG = 26, 90


@dataclass(frozen=True)
class Palette:
    """The name, the colour and the hatching of every expert of a set, the same in every picture.

    Attributes:
        labels: What each expert is called and what was measured of the name, in the experts' order.
        colour, pattern: One each.
    """

    labels: "tuple[ExpertLabel, ...]"
    colour: tuple[str, ...]
    pattern: tuple[str, ...]

    @classmethod
    def of(cls, labels: "Sequence[ExpertLabel]", theme: Theme) -> "Palette":
        """The fixed colours of these experts."""
        return cls(
            tuple(labels),
            tuple(colours.expert(one.name, index, theme) for index, one in enumerate(labels)),
            tuple(colours.expert_pattern(one.name, index) for index, one in enumerate(labels)),
        )

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def ticks(self) -> list[str]:
        """Every expert's name with its mark, short enough for an axis or a legend."""
        return [label(one.shown(20), _SHORT) for one in self.labels]

    @property
    def hover(self) -> list[str]:
        """Every expert's name with its mark and the group it goes along with."""
        return [label(one.shown(40, in_full=True), _LONG) for one in self.labels]

    def marker(self, index: int) -> dict[str, Any]:
        """How plotly fills the bars of an expert."""
        return {
            "color": self.colour[index],
            "line": {"width": 0},
            "pattern": {"shape": self.pattern[index], "fillmode": "overlay", "fgopacity": 0.45, "size": 5, "solidity": 0.25},
        }


def small_titles(figure: go.Figure) -> go.Figure:
    """Titles of axes no larger than their numbers; returns the figure."""
    figure.for_each_xaxis(lambda axis: axis.update(title_font_size=12))
    figure.for_each_yaxis(lambda axis: axis.update(title_font_size=12))
    return figure


def step_weights(
    weights: np.ndarray,
    entropy: np.ndarray,
    asked: np.ndarray,
    words: Sequence[str],
    palette: Palette,
    theme: Theme,
    height: int = 290,
) -> go.Figure:
    """Stacked weights of the experts per visit, oldest left, and below them the entropy of the router.

    Args:
        weights: (visit, expert), of one question or means of many; rows of weights that were not renormalised stay below one.
        entropy: (visit,) nats, of the weights before the choice.
        asked: (visit,) experts asked.
        words: One per visit: when and where, or of how many questions.
        palette: The set.
        theme: Light or dark.
        height: Pixels without the legend.
    """
    visits = list(range(-len(weights) + 1, 1))
    figure = make_subplots(rows=2, cols=1, shared_xaxes=True, row_heights=[0.78, 0.22], vertical_spacing=0.05)
    for index, (name, full) in enumerate(zip(palette.ticks, palette.hover, strict=True)):
        if not (weights[:, index] > 0).any():
            continue
        figure.add_bar(
            x=visits,
            y=weights[:, index] * 100,
            name=name,
            marker=palette.marker(index),
            customdata=[label(word, 60) for word in words],
            hovertemplate="%{customdata}<br>" + full + ": %{y:.1f} %<extra></extra>",
            row=1,
            col=1,
        )
    figure.add_scatter(
        x=visits,
        y=entropy,
        mode="lines+markers",
        marker={"size": 5, "color": colours.role("observed", theme)},
        line={"width": 1.5, "color": colours.role("observed", theme)},
        customdata=np.stack([np.array([label(word, 60) for word in words], object), asked.astype(object)], axis=1),
        hovertemplate="%{customdata[0]}<br>%{y:.2f} nats, %{customdata[1]:.3~g} asked<extra></extra>",
        showlegend=False,
        row=2,
        col=1,
    )
    figure.update_layout(barmode="stack", bargap=0.08)
    rows = -(-sum(trace.showlegend is not False for trace in figure.data) // 2)
    dress(figure, theme, height + 17 * rows)  # in a narrow column a legend as wide as its names would leave no room for the bars
    figure.update_layout(
        legend={"font": {"size": 11}, "traceorder": "normal", "entrywidthmode": "fraction", "entrywidth": 0.48},
    )
    figure.update_yaxes(title_text="weight, %", rangemode="tozero", nticks=5, row=1, col=1)
    small_titles(figure)
    top = float(np.log(max(len(palette), 2)))
    figure.update_yaxes(title_text="entropy", range=[0, top * 1.05], nticks=3, row=2, col=1)
    figure.update_xaxes(
        title_text="visits before the question; 0 is the latest", showgrid=False, dtick=1 if len(weights) <= 12 else 5, row=2, col=1
    )
    return figure


_PART_PATTERNS = ("", "/", ".", "x", "-")


def input_shares(inputs: np.ndarray, parts: Sequence[str], words: Sequence[str], theme: Theme) -> go.Figure:
    """What a router read per visit, as shares, oldest left. In greys: colours belong to experts.

    Args:
        inputs: (visit, part) lengths, not negative.
        parts: What the router reads.
        words: One per visit: when and where.
        theme: Light or dark.
    """
    visits, total = list(range(-len(inputs) + 1, 1)), np.maximum(inputs.sum(axis=1), 1e-12)
    greys = colours.ramp(np.linspace(0.9, 0.1, max(len(parts), 2)), colours.scale("history", theme))
    figure = go.Figure()
    for index, part in enumerate(parts):
        figure.add_bar(
            x=visits,
            y=inputs[:, index] / total * 100,
            name=label(part, 30),
            marker={
                "color": "#{:02X}{:02X}{:02X}".format(*greys[index]),
                "line": {"width": 0},
                "pattern": {
                    "shape": _PART_PATTERNS[index % len(_PART_PATTERNS)],
                    "fillmode": "overlay",
                    "fgopacity": 0.45,
                    "size": 5,
                },
            },
            customdata=[[label(word, 60), length] for word, length in zip(words, inputs[:, index].tolist(), strict=True)],
            hovertemplate="%{customdata[0]}<br>" + label(part, 30) + ": %{y:.0f} % (length %{customdata[1]:.2f})<extra></extra>",
        )
    figure.update_layout(barmode="stack", bargap=0.08)
    dress(figure, theme, 190)
    figure.update_layout(legend={"font": {"size": 11}, "traceorder": "normal", "entrywidth": 0})
    figure.update_yaxes(title_text="share, %", range=[0, 100.5], nticks=4)
    figure.update_xaxes(
        title_text="visits before the question; 0 is the latest", showgrid=False, dtick=1 if len(inputs) <= 12 else 5
    )
    return small_titles(figure)


def load_bars(used: np.ndarray, raw: np.ndarray, palette: Palette, theme: Theme) -> go.Figure:
    """Share of all weight per expert, as used and before the choice, with the even share as a line.

    Args:
        used: (expert,) shares of the weights that were used.
        raw: (expert,) shares before the choice.
        palette: The set.
        theme: Light or dark.
    """
    at, names = list(range(len(palette))), palette.hover
    figure = go.Figure()
    figure.add_bar(
        x=used * 100,
        y=at,
        hovertext=names,
        orientation="h",
        marker={
            "color": list(palette.colour),
            "pattern": {"shape": list(palette.pattern), "fillmode": "overlay", "fgopacity": 0.45, "size": 5, "solidity": 0.25},
        },
        name="as used",
        hovertemplate="%{hovertext}<br>%{x:.1f} % of the weight as used<extra></extra>",
        showlegend=False,
    )
    figure.add_scatter(
        x=raw * 100,
        y=at,
        hovertext=names,
        mode="markers",
        marker={"symbol": "line-ns-open", "size": 11, "color": colours.role("observed", theme), "line": {"width": 2}},
        name="before the choice",
        hovertemplate="%{hovertext}<br>%{x:.1f} % before the choice<extra></extra>",
        showlegend=False,
    )
    figure.add_vline(x=100 / max(len(names), 1), line={"color": colours.ink("muted", theme), "width": 1, "dash": "dot"})
    figure.update_layout(bargap=0.25)
    figure.update_xaxes(rangemode="tozero", ticksuffix=" %", nticks=6)
    figure.update_yaxes(**named_axis(palette.ticks, downwards=True))
    return dress(figure, theme, 46 + 21 * max(len(names), 1))


def load_over_training(curves: pd.DataFrame, experts: int, theme: Theme) -> go.Figure:
    """The largest load and the dead experts, epoch by epoch.

    Args:
        curves: epoch, largest (share), dead (experts).
        experts: Experts in the set.
        theme: Light or dark.
    """
    figure = make_subplots(rows=1, cols=2, horizontal_spacing=0.12)
    for column, (name, scale, unit) in enumerate((("largest", 100, " %"), ("dead", 1, " experts")), start=1):
        if name not in curves:
            continue
        figure.add_scatter(
            x=curves["epoch"],
            y=curves[name] * scale,
            mode="lines+markers",
            line={"color": colours.role("prediction", theme), "width": 2},
            hovertemplate=f"epoch %{{x}}<br>%{{y:.3~g}}{unit}<extra></extra>",
            row=1,
            col=column,
        )
    dress(figure, theme, 230)
    figure.update_layout(showlegend=False)
    figure.add_hline(y=100 / max(experts, 1), line={"color": colours.ink("muted", theme), "width": 1, "dash": "dot"}, row=1, col=1)  # type: ignore[arg-type]
    figure.update_yaxes(title_text="largest load, %", range=[0, 102], row=1, col=1)
    figure.update_yaxes(title_text="dead experts", range=[0, experts], row=1, col=2)
    figure.update_xaxes(title_text="epoch", showgrid=False, dtick=max(1, len(curves) // 8))
    return small_titles(figure)
