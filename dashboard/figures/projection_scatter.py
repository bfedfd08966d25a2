"""An embedding in the plane: one dot per thing, one trace, so that a lasso names what it caught by our own ids."""

import math
from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go

from dashboard.figures import colours
from dashboard.figures.colours import Theme
from dashboard.wording import html_literal, significant


@dataclass(frozen=True)
class Colouring:
    """How dots are coloured.

    Attributes:
        title: What the colour means, with unit.
        values: (point,) numbers, or None for groups; NaN has no value.
        groups: (point,) group names, or None for numbers.
        palette: Group name to hex colour, in the order of the legend.
        is_log: Whether the numbers are log10(1 + n) of what the title names; scales then say n.
    """

    title: str
    values: np.ndarray | None = None
    groups: np.ndarray | None = None
    palette: dict[str, str] | None = None
    is_log: bool = False

    def hexes(self, theme: Theme) -> list[str]:
        """(point,) colours for figures that draw every dot themselves."""
        if self.groups is not None:
            palette = self.palette or {}
            return [palette.get(str(group), colours.other(theme)) for group in self.groups]
        assert self.values is not None
        low, high = self.limits()
        shares = (self.values - low) / max(high - low, 1e-12)
        rgb = colours.ramp(np.nan_to_num(shares), colours.scale("sequential", theme))
        return [
            f"#{r:02X}{g:02X}{b:02X}" if np.isfinite(value) else colours.other(theme)
            for (r, g, b), value in zip(rgb.tolist(), self.values, strict=True)
        ]

    def limits(self) -> tuple[float, float]:
        """Lowest and highest number."""
        assert self.values is not None
        known = self.values[np.isfinite(self.values)]
        return (float(known.min()), float(known.max())) if len(known) else (0.0, 1.0)

    def in_words(self) -> str:
        """What a legend without room for ticks says of the numbers: the title and, on a logarithmic scale, both ends."""
        if not self.is_log:
            return self.title
        least, most = (significant(10**end - 1, 2) for end in self.limits())
        return f"{self.title}: {least} to {most}, logarithmic"


def projection_scatter(
    position: np.ndarray,
    ids: np.ndarray,
    labels: np.ndarray,
    colouring: Colouring,
    selected: set[str],
    theme: Theme,
    height: int = 560,
) -> go.Figure:
    """The picture.

    Args:
        position: (point, 2).
        ids: (point,) what a lasso returns.
        labels: (point,) hover texts.
        colouring: Colours of the dots.
        selected: Ids drawn large with an outline; the others fade.
        theme: Light or dark.
        height: Pixels.
    """
    mask = np.array([str(item) in selected for item in ids])
    size = 5.0 if len(ids) > 3000 else 6.5 if len(ids) > 400 else 9.0
    marker: dict[str, object] = {
        "color": colouring.hexes(theme),
        "size": np.where(mask, size + 4, size),
        "opacity": np.where(mask, 1.0, 0.25) if mask.any() else 0.8,
        "line": {"width": np.where(mask, 1.5, 0), "color": colours.role("edited", theme)},
    }
    traces = [
        go.Scattergl(
            x=position[:, 0],
            y=position[:, 1],
            mode="markers",
            marker=marker,
            customdata=[str(item) for item in ids],
            text=[html_literal(label, 80) for label in labels],
            hovertemplate="%{text}<extra></extra>",
            showlegend=False,
        )
    ]
    if colouring.groups is not None:
        present = {str(group) for group in colouring.groups}
        traces += [
            go.Scattergl(x=[None], y=[None], mode="markers", marker={"size": 9, "color": colour}, name=html_literal(name, 28))
            for name, colour in (colouring.palette or {}).items()
            if name in present
        ]
    else:
        low, high = colouring.limits()
        bar = {
            "title": {"text": html_literal(colouring.title, 40), "side": "right"},
            "thickness": 8,
            "outlinewidth": 0,
            "nticks": 5,
        }
        if colouring.is_log:
            powers = range(math.ceil(low), math.floor(high) + 1)
            bar |= {"tickvals": [math.log10(1 + 10**power) for power in powers], "ticktext": [f"{10**power:,}" for power in powers]}
        scale = colours.plotly_scale("sequential", theme)
        hidden = {
            "color": [low, high],
            "cmin": low,
            "cmax": high,
            "colorscale": scale,
            "showscale": True,
            "colorbar": bar,
            "size": 1e-6,
        }
        traces.append(
            go.Scattergl(x=[None, None], y=[None, None], mode="markers", marker=hidden, showlegend=False, hoverinfo="skip")
        )
    figure = go.Figure(traces)
    axis = {"visible": False, "showgrid": False, "zeroline": False}
    figure.update_layout(
        height=height,
        margin={"l": 0, "r": 0, "t": 0, "b": 0},
        xaxis=axis,
        yaxis=axis | {"scaleanchor": "x"},
        dragmode="lasso",
        hovermode="closest",
        legend={
            "orientation": "h",
            "y": -0.02,
            "yanchor": "top",
            "font": {"size": 11},
            "itemclick": False,
            "itemdoubleclick": False,
        },
        uirevision="keep",
    )
    return figure
