"""The map of cells with its own clock: all 24 hours are sent once, and playing them asks the server nothing."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pydeck as pdk

from dashboard import session
from dashboard.cached.cell_data import CellOutlines
from dashboard.figures import base_map, cell_map, colours
from dashboard.figures.cell_map import HourlyFill
from dashboard.figures.deck import Frozen, literal
from dashboard.views import cell_choice
from dashboard.views.deck_component import component
from engine.city.city import City


@dataclass(frozen=True)
class Mark:
    """A line of the legend below the colours: `hatch` and `counter` (falling lines) are patterns, `ring` an outline."""

    kind: str
    words: str
    colour: str


@dataclass(frozen=True)
class Said:
    """What the map told: the hour at rest, and newly picked cells (empty if nothing was picked since)."""

    hour: int
    picked: tuple[str, ...] = ()
    how: str = ""


def draw(
    city: City,
    cells: CellOutlines,
    fill: HourlyFill,
    base: Sequence[Frozen],
    above: Sequence[pdk.Layer],
    *,
    key: str,
    title: str,
    what: str,
    alt: str,
    nothing: str = "no flow known",
    marks: Sequence[Mark] = (),
    attribution: str = "",
    height: int = 560,
    start: int = 8,
) -> Said:
    """Draws the map with slider, play and lasso.

    Args:
        city: Gives the view.
        cells: Outlines and ids.
        fill: Values and their colours.
        base: Layers below the cells.
        above: Layers over them, such as outlines and hatching.
        key: Of the component.
        title: Of the legend, with the unit.
        what: Follows "12 trips" in tips: `observed`, `predicted`, ...
        alt: What the map shows, in words.
        nothing: The tip of cells without a value.
        marks: Lines of the legend below the colours.
        attribution: Whose data is drawn.
        height: Pixels, the controls included.
        start: Hour shown first.
    """
    theme = session.theme()
    deck = base_map.deck([*base, *_above(above)], city, theme)
    codes, least, most = cell_map.encoded(fill)
    many = len(cells.ids) > cell_map.MOST_OUTLINES
    hour = int(session.get(f"{key}.hour", start))
    told = component("cell_clock")(
        json=deck.to_json(),
        tooltip=deck._tooltip,
        cells=cells.json,
        ids=[str(cell) for cell in cells.ids],
        names=[literal(cell_choice.label(cells, row)) for row in range(len(cells.ids))],
        middles=np.round(np.stack([cells.longitude, cells.latitude], axis=1), 5).tolist(),
        codes=codes,
        least=least,
        most=most,
        low=fill.low,
        high=fill.high,
        log=fill.is_log,
        signed=not fill.is_log,
        stops=[list(colours.rgb(stop)) for stop in fill.stops(theme)],
        ticks=fill.ticks(),
        opacity=cell_map.OPACITY,
        dots=_dot_size(city, len(cells.ids)) if many else 0,
        title=title,
        what=what,
        nothing=nothing,
        marks=[{"kind": mark.kind, "words": mark.words, "colour": mark.colour} for mark in marks],
        hatch=bool(marks),
        attribution=attribution[:120],
        alt=alt,
        hour=hour,
        height=height,
        madeFor=base_map.REFERENCE_SIZE,
        page=colours.ink("panel", theme),
        ground=colours.ground("beyond", theme),
        chip=colours.css(colours.ground("ground", theme), 0.9),
        ink=colours.ink("text", theme),
        accent=colours.role("prediction", theme),
        key=key,
        default=None,
    )
    return _heard(told, key, hour)


def _heard(told: Any, key: str, hour: int) -> Said:
    if not isinstance(told, dict):
        return Said(hour)
    hour = int(np.clip(int(told.get("hour", hour)), 0, 23))
    session.put(f"{key}.hour", hour)
    if told.get("at") == session.get(f"{key}.heard", None):
        return Said(hour)
    session.put(f"{key}.heard", told.get("at"))
    return Said(hour, tuple(map(str, told.get("picked") or ())), str(told.get("how", "")))


def _above(layers: Sequence[pdk.Layer]) -> list[pdk.Layer]:
    """The page tells by the start of a layer's id that it lies over the cells."""
    named = []
    for layer in layers:
        twin = pdk.Layer.__new__(type(layer))
        twin.__dict__.update(layer.__dict__ | {"id": f"above:{layer.id}"})
        named.append(twin)
    return named


def _dot_size(city: City, count: int) -> float:
    across, down = base_map.view_extent_m(city)
    return 0.45 * float(np.sqrt(across * down / max(count, 1)))
