"""A raster over the map: similarity to a text or a place, false colour of the field, how fast meaning changes."""

import base64
from io import BytesIO

import numpy as np
import plotly.graph_objects as go
import pydeck as pdk
from PIL import Image

from dashboard.figures import colours
from dashboard.figures.colours import Theme
from engine.field import Kernel


def value_image(values: np.ndarray, theme: Theme, low: float, high: float) -> np.ndarray:
    """(row, column) values between `low` and `high` as (row, column, 3) integers on the sequential scale."""
    shares = (values - low) / max(high - low, 1e-12)
    return colours.ramp(shares.ravel(), colours.scale("sequential", theme)).reshape(*values.shape, 3)


def raster_layer(image: np.ndarray, bounds: tuple[float, float, float, float], opacity: float = 0.75) -> pdk.Layer:
    """An image over the map.

    Args:
        image: (row, column, 3) integers 0-255, north on top.
        bounds: West, south, east, north in degrees.
        opacity: 0 to 1.
    """
    buffer = BytesIO()
    Image.fromarray(image.astype(np.uint8)).save(buffer, format="PNG", optimize=True)
    address = f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"
    return pdk.Layer(
        "BitmapLayer", id="field", image=pdk.types.String(address), bounds=[round(edge, 6) for edge in bounds], opacity=opacity
    )


def kernel_figure(kernel: Kernel, theme: Theme, height: int = 280) -> go.Figure:
    """Cosine by distance with the band between the tenth and the ninetieth percentile, and the learned range."""
    blue = colours.role("prediction", theme)
    distance = np.maximum(kernel.distance_m, 1.0)
    figure = go.Figure(
        [
            go.Scatter(x=distance, y=kernel.high, mode="lines", line={"width": 0}, showlegend=False, hoverinfo="skip"),
            go.Scatter(
                x=distance,
                y=kernel.low,
                mode="lines",
                line={"width": 0},
                fill="tonexty",
                fillcolor=colours.css(blue, 0.18),
                name="10th to 90th percentile",
                hoverinfo="skip",
            ),
            go.Scatter(
                x=distance,
                y=kernel.similarity,
                mode="lines",
                line={"color": blue, "width": 2},
                name="mean",
                hovertemplate="%{x:,.0f} m: %{y:.2f}<extra></extra>",
            ),
        ]
    )
    figure.add_hline(y=kernel.baseline, line={"color": colours.role("baseline", theme), "dash": "dot", "width": 1})
    if np.isfinite(kernel.learned_range_m):
        figure.add_vline(x=kernel.learned_range_m, line={"color": colours.role("edited", theme), "dash": "dash", "width": 1})
    figure.update_layout(
        height=height,
        margin={"l": 8, "r": 8, "t": 8, "b": 8},
        xaxis={"type": "log", "title": {"text": "distance, m"}, "fixedrange": True, "showgrid": False},
        yaxis={"title": {"text": "cosine"}, "fixedrange": True, "gridcolor": colours.ink("grid", theme)},
        legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0},
    )
    return figure
