"""Two maps side by side that follow one another's pan and zoom: one deck with two views.

Streamlit's own map draws one view only, so this is a component of ours.
"""

from collections.abc import Sequence

import pydeck as pdk
import streamlit as st

from dashboard import session
from dashboard.figures import base_map, colours
from dashboard.figures.deck import Frozen
from dashboard.views import city_map
from dashboard.views.deck_component import component
from engine.city.city import City


def draw(
    city: City,
    base: Sequence[pdk.Layer | Frozen],
    left: Sequence[pdk.Layer],
    right: Sequence[pdk.Layer],
    *,
    key: str,
    alt: str,
    legend: Sequence[city_map.Entry] = (),
    attribution: str = "",
    height: int = 420,
) -> None:
    """Draws both maps over the same base; nothing is sent to the server when they move.

    Args:
        city: Gives the view both start from.
        base: Layers of both.
        left: Layers of the left map only.
        right: Layers of the right map only.
        key: Of the component.
        alt: What the maps show, in words.
        legend: Lines of the legend, which holds for both.
        attribution: Whose data is drawn.
        height: Pixels.
    """
    theme = session.theme()
    layers = [*base, *_named("left", left), *_named("right", right)]
    deck = base_map.deck(layers, city, theme)
    with st.container(key=f"{key}_map_frame"):
        component("twin_maps")(
            json=deck.to_json(),
            tooltip=deck._tooltip,
            height=height,
            alt=alt,
            ground=colours.ground("beyond", theme),
            line=colours.ink("grid", theme),
            madeFor=base_map.REFERENCE_SIZE,
            key=key,
            default=None,
        )
        city_map.corner(key, legend, attribution)


def _named(side: str, layers: Sequence[pdk.Layer]) -> list[pdk.Layer]:
    """The page tells by the start of a layer's id on which map it belongs."""
    named = []
    for layer in layers:
        twin = pdk.Layer.__new__(type(layer))
        twin.__dict__.update(layer.__dict__ | {"id": f"{side}:{layer.id}"})
        named.append(twin)
    return named
