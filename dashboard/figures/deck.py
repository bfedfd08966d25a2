"""Decks for the browser: compact JSON, coordinates rounded, layers with stable ids, texts that cannot become code.

The base is drawn without a tile provider, so nothing leaves the machine; a city has one view state whatever is drawn on it.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pydeck as pdk
from pydeck.bindings.json_tools import default_serialize
from shapely.geometry.base import BaseGeometry

BUDGET_BYTES = 2_000_000
"""The largest deck sent to a browser; more marks than fit are aggregated."""
DECIMALS = 5
"""Decimals of a degree in a deck: about one metre."""
FONT = pdk.types.String("Source Sans, Helvetica, Arial, sans-serif")
AUTOMATIC = pdk.types.String("auto")
DIGITS = pdk.types.String("0123456789")
PIXELS = pdk.types.String("pixels")
METRES = pdk.types.String("meters")


def literal(text: object) -> str:
    """A text from data as deck.gl must show it.

    Anything in a deck that starts with `@@` is read as an expression or a class name by deck.gl's JSON reader; a zero-width
    space in front keeps it text. Tooltips are set as plain text, so markup in names is shown, never read.
    """
    plain = str(text).encode("utf-8", "replace").decode()
    return f"\u200b{plain}" if plain.startswith("@@") else plain


def position(longitude: float, latitude: float) -> list[float]:
    """A rounded (longitude, latitude) pair."""
    return [round(float(longitude), DECIMALS), round(float(latitude), DECIMALS)]


def positions(longitude: np.ndarray, latitude: np.ndarray) -> list[list[float]]:
    """(n,) longitudes and latitudes as n rounded pairs."""
    return np.stack([np.round(longitude, DECIMALS), np.round(latitude, DECIMALS)], axis=1).tolist()


def rings(geometries: Iterable[BaseGeometry], minimum_area: float = 0.0) -> list[list[list[list[float]]]]:
    """Polygons as deck.gl takes them: per polygon the outer ring and its holes, rounded; multi-polygons become several.

    Args:
        geometries: Polygons in degrees; other types are passed over.
        minimum_area: Polygons smaller than this, in square degrees, are left out.
    """
    found = []
    for geometry in geometries:
        for part in getattr(geometry, "geoms", [geometry]):
            if part.geom_type == "Polygon" and not part.is_empty and part.area >= minimum_area:
                found.append(
                    [np.round(np.asarray(ring.coords)[:, :2], DECIMALS).tolist() for ring in (part.exterior, *part.interiors)]
                )
    return found


def lines(geometries: Iterable[BaseGeometry]) -> list[list[list[float]]]:
    """Lines (or the outlines of polygons) as lists of rounded pairs."""
    found = []
    for geometry in geometries:
        for part in getattr(geometry, "geoms", [geometry]):
            curve = part.exterior if part.geom_type == "Polygon" else part
            if not curve.is_empty:
                found.append(np.round(np.asarray(curve.coords)[:, :2], DECIMALS).tolist())
    return found


@dataclass(frozen=True)
class Frozen:
    """A layer already turned to JSON, so that a base drawn once is not serialised again on every rerun."""

    id: str
    type: str
    json: str
    data: None = None


def freeze(layers: Iterable[pdk.Layer]) -> list[Frozen]:
    """Layers as JSON text; do this once for what does not change."""
    return [Frozen(layer.id, layer.type, _to_json(layer)) for layer in layers]


class MapDeck(pdk.Deck):
    """A deck without a tile provider whose JSON is compact (pydeck indents every number)."""

    def to_json(self) -> str:
        """The deck as JSON without white space."""
        rest = {key: value for key, value in vars(self).items() if key != "layers"}
        shell = pdk.Deck.__new__(pdk.Deck)
        shell.__dict__.update(rest)
        body = _to_json(shell)
        layers = ",".join(layer.json if isinstance(layer, Frozen) else _to_json(layer) for layer in self.layers)
        return f'{body[:-1]},"layers":[{layers}]}}'


def deck(layers: Sequence[pdk.Layer | Frozen], view: pdk.ViewState, tooltip: bool = True) -> MapDeck:
    """A map from layers; later ones lie on top.

    Args:
        layers: Layers with stable ids; what can be hovered carries its text in `tip`.
        view: The city's view state, always the same one for a city.
        tooltip: Whether hovering shows `tip`.
    """
    style = {"fontSize": "13px", "padding": "6px 9px", "borderRadius": "4px", "maxWidth": "280px", "whiteSpace": "pre-line"}
    return MapDeck(
        layers=list(layers),
        initial_view_state=view,
        # Without a provider and with pydeck's default style Streamlit draws no tiles; a style of None would make it fetch some.
        map_provider=None,
        tooltip={"text": "{tip}", "style": style} if tooltip else False,
    )


def size_bytes(layers: Sequence[pdk.Layer | Frozen]) -> int:
    """Bytes these layers take in a deck."""
    return sum(len(layer.json if isinstance(layer, Frozen) else _to_json(layer)) for layer in layers)


def _to_json(value: object) -> str:
    # A deck may be written into a page: "</script>" in a name must not end the script it stands in.
    return json.dumps(value, default=_plain, separators=(",", ":"), ensure_ascii=False).replace("</", "<\\/")


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return value.tolist()
    return default_serialize(value)
