"""A map in its frame: the deck, and in its corner the legend and whose data it is drawn from."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Any, Literal

import pydeck as pdk
import streamlit as st

from dashboard import session
from dashboard.figures import base_map, colours
from dashboard.figures.colours import Theme
from dashboard.figures.deck import Frozen
from engine.city.city import City

Symbol = Literal["disc", "ring", "dot", "square", "fade", "arc", "ramp", "diverging"]


@dataclass(frozen=True)
class Entry:
    """One line of a legend.

    Attributes:
        symbol: How it is drawn.
        words: What it means; with what size means where size means something.
        colour: Hex; unused for scales.
    """

    symbol: Symbol
    words: str
    colour: str = ""


def draw(
    city: City,
    layers: Sequence[pdk.Layer | Frozen],
    *,
    key: str,
    alt: str,
    legend: Sequence[Entry] = (),
    attribution: str = "",
    height: int = 520,
    pitch: float = 0,
    selectable: bool = False,
    view: pdk.ViewState | None = None,
) -> Any:
    """Draws a map and returns its selection state (None unless it is selectable).

    Args:
        city: Gives the view, always the same for a city.
        layers: Base and what stands on it, bottom to top.
        key: Of the chart; pages with several maps use several.
        alt: What the map shows, in words.
        legend: Lines of the corner's legend.
        attribution: Whose data is drawn.
        height: Pixels.
        pitch: Tilt in degrees.
        selectable: Whether marks can be picked.
        view: Another view than the city's, where the analyst asked to go somewhere.
    """
    theme = session.theme()
    state = None
    with st.container(key=f"{key}_map_frame"):
        deck = base_map.deck(layers, city, theme, pitch=pitch, view=view)
        if selectable:
            state = st.pydeck_chart(deck, height=height, key=key, alt=alt, on_select="rerun", selection_mode="single-object")
        else:
            st.pydeck_chart(deck, height=height, key=key, alt=alt)
        corner(key, legend, attribution)
    return state


def corner(key: str, legend: Sequence[Entry], attribution: str) -> None:
    """The legend in the corner of the map whose frame it is drawn in."""
    theme = session.theme()
    if legend or attribution:
        with st.container(key=f"{key}_map_legend"):
            st.html(_style(theme) + _legend(legend, attribution, theme))


def families_legend(legend: dict[str, str], most: int = 8) -> list[Entry]:
    """Legend lines for the categories of the base map."""
    shown = list(legend.items())[:most]
    lines = [Entry("dot", name, colour) for name, colour in shown]
    return lines + ([Entry("dot", f"{len(legend) - most} more kinds", "#9A958B")] if len(legend) > most else [])


def _style(theme: Theme) -> str:
    ground, text, muted = colours.ground("ground", theme), colours.ink("text", theme), colours.ink("muted", theme)
    return f"""<style>
div[class*="_map_frame"] {{position: relative; gap: 0;}}
div[class*="_map_legend"] {{position: absolute; right: 8px; bottom: 8px; width: auto !important; z-index: 2; pointer-events: none;}}
div[class*="_map_legend"] div {{width: auto !important;}}
.map-legend {{background: {colours.css(ground, 0.88)}; color: {text}; border-radius: 4px; padding: 5px 9px; font-size: 0.76rem; line-height: 1.5;
  max-width: 240px;}}
.map-legend .symbol {{display: inline-block; vertical-align: middle; margin: 0 7px 1px 0;}}
.map-legend .whose {{color: {muted}; font-size: 0.68rem; line-height: 1.25; margin-top: 2px; max-width: 180px;}}
</style>"""


def _legend(entries: Sequence[Entry], attribution: str, theme: Theme) -> str:
    lines = [f"<div>{_symbol(entry, theme)}{escape(entry.words)}</div>" for entry in entries]
    whose = f'<div class="whose">{escape(attribution[:120])}</div>' if attribution else ""
    return f'<div class="map-legend">{"".join(lines)}{whose}</div>'


def _symbol(entry: Entry, theme: Theme) -> str:
    # Spans rather than SVG: Streamlit's sanitiser takes SVG out.
    colour = escape(entry.colour or colours.ink("text", theme))
    if entry.symbol in ("ramp", "diverging", "fade"):
        scale = {"ramp": "sequential", "diverging": "diverging", "fade": "history"}[entry.symbol]
        stops = ", ".join(colours.scale(scale, theme))  # type: ignore[arg-type]
        height = 3 if entry.symbol == "fade" else 8
        return f'<span class="symbol" style="width:26px;height:{height}px;background:linear-gradient(to right, {stops})"></span>'
    shapes = {
        "disc": f"width:12px;height:12px;border-radius:50%;background:{colour}",
        "dot": f"width:7px;height:7px;border-radius:50%;background:{colour}",
        "square": f"width:11px;height:11px;background:{colour}",
        "ring": f"width:11px;height:11px;border-radius:50%;box-sizing:border-box;border:2.5px solid {colour}",
        "arc": f"width:13px;height:7px;border-radius:13px 13px 0 0;box-sizing:border-box;border:2px solid {colour};border-bottom:0",
    }
    return f'<span class="symbol" style="{shapes[entry.symbol]}"></span>'
