"""Experts on the map: places by the expert that dominates there, and one answer's point, guesses and snap to a place."""

import numpy as np
import pandas as pd
import pydeck as pdk

from dashboard import wording
from dashboard.figures import colours
from dashboard.figures.colours import Theme
from dashboard.figures.deck import AUTOMATIC, FONT, METRES, PIXELS, literal, position
from dashboard.figures.routing_bars import Palette

_SMALLEST, _LARGEST = 3.0, 12.0
_LETTERS = 24
_SIGN = (32, 16)
"""Pixels across and up that a sign takes."""
_LONGEST_SIGN = 4


def letters(names: tuple[str, ...]) -> tuple[str, ...]:
    """A short sign for every expert, distinct within the set: `L`, `Co`, `Ci`, ...; its number where names begin too much alike."""
    signs = []
    for number, name in enumerate(names, start=1):
        lengths = range(1, min(len(name), _LONGEST_SIGN) + 1)
        own = (name[:size] for size in lengths if sum(other[:size].lower() == name[:size].lower() for other in names) == 1)
        signs.append(next(own, f"#{number}").capitalize())
    return tuple(signs)


def dominant_by_place(weights: np.ndarray, location: np.ndarray) -> pd.DataFrame:
    """Which expert dominates at every place.

    Args:
        weights: (visit, expert).
        location: (visit,) place of each.

    Returns:
        One row per place: location, n, expert (index), weight (its mean weight there), second (index of the next), second_weight.
    """
    places, row, count = np.unique(location, return_inverse=True, return_counts=True)
    total = np.zeros((len(places), weights.shape[1]))
    np.add.at(total, row, weights)
    mean = total / count[:, None]
    order = np.argsort(-mean, axis=1, kind="stable")
    at = np.arange(len(places))
    second = order[:, min(1, weights.shape[1] - 1)]
    return pd.DataFrame(
        {
            "location": places,
            "n": count,
            "expert": order[:, 0],
            "weight": mean[at, order[:, 0]],
            "second": second,
            "second_weight": mean[at, second],
        }
    )


def dominant_layers(places: pd.DataFrame, palette: Palette, theme: Theme, zoom: float) -> list[pdk.Layer]:
    """Discs coloured by the dominant expert; area by questions, opacity by how clearly it dominates; some carry its sign.

    Args:
        places: As from `dominant_by_place`, with id, name, longitude, latitude.
        palette: The set.
        theme: Light or dark.
        zoom: Of the view in which signs may not overprint each other; the busiest place with room of every expert comes first.
    """
    if places.empty:
        return []
    most = float(places["n"].max())
    signs = letters(tuple(one.name for one in palette.labels))
    names = [one.shown(40, in_full=True) for one in palette.labels]
    ordered = places.sort_values("n", kind="stable")
    even = 1 / max(len(palette), 1)
    dots = [
        {
            "p": position(row.longitude, row.latitude),
            "r": round(_SMALLEST + (_LARGEST - _SMALLEST) * (row.n / most) ** 0.5, 1),
            "c": [
                *colours.rgb(palette.colour[row.expert]),
                int(110 + 145 * min(max((row.weight - even) / (1 - even), 0), 1) ** 0.5),
            ],
            "id": literal(row.id),
            "tip": literal(
                f"{str(row.place)[:80]}\n{names[row.expert]}: {row.weight:.0%}, then "
                f"{names[row.second]}: {row.second_weight:.0%}\n{wording.counted(row.n, 'question')}"
            ),
        }
        for row in ordered.rename(columns={"name": "place"}).itertuples()
    ]
    marks = [
        {"p": position(row.longitude, row.latitude), "t": literal(signs[row.expert])} for row in _signed(ordered, zoom).itertuples()
    ]
    return [
        pdk.Layer(
            "ScatterplotLayer",
            dots,
            id="dominant",
            get_position="p",
            get_radius="r",
            radius_units=PIXELS,
            get_fill_color="c",
            stroked=True,
            get_line_color=[*colours.rgb(colours.ground("halo", theme)), 200],
            get_line_width=0.8,
            line_width_units=PIXELS,
            pickable=True,
        ),
        pdk.Layer(
            "TextLayer",
            marks,
            id="dominant-signs",
            get_position="p",
            get_text="t",
            get_size=10,
            get_color=colours.rgba(colours.ink("text", theme)),
            get_pixel_offset=[0, -14],
            font_family=FONT,
            font_weight=600,
            character_set=AUTOMATIC,
            outline_width=2,
            font_settings={"sdf": True},
            outline_color=colours.rgba(colours.ground("halo", theme)),
        ),
    ]


def _signed(places: pd.DataFrame, zoom: float) -> pd.DataFrame:
    """The places that carry a sign; `places` come by questions, the fewest first."""
    busiest = places.iloc[::-1]
    expert = busiest["expert"].to_numpy()
    # Web-mercator: 512 pixels hold 360 degrees of longitude at zoom 0.
    pixels = 512 * 2**zoom / 360
    across = busiest["longitude"].to_numpy(float) * pixels
    up = busiest["latitude"].to_numpy(float) * pixels / np.cos(np.radians(busiest["latitude"].mean()))
    free = np.ones(len(busiest), bool)
    kept: list[int] = []
    while free.any() and len(kept) < _LETTERS:
        unsigned = free & ~np.isin(expert, expert[kept])
        row = int((unsigned if unsigned.any() else free).argmax())
        kept.append(row)
        free &= (np.abs(across - across[row]) >= _SIGN[0]) | (np.abs(up - up[row]) >= _SIGN[1])
    return busiest.iloc[kept]


def point_layers(
    point: tuple[float, float],
    snapped: tuple[float, float],
    words: str,
    components: pd.DataFrame,
    theme: Theme,
) -> list[pdk.Layer]:
    """The predicted point, the guesses it is made of, and the line to the place it was snapped to.

    Args:
        point: Longitude and latitude of the point.
        snapped: Of the place nearest to it.
        words: What the hovering says of the point.
        components: longitude, latitude, weight, spread_m; empty where the model gives one point only.
        theme: Light or dark.
    """
    blue = colours.rgb(colours.role("prediction", theme))
    layers = []
    if len(components):
        rows = [
            {
                "p": position(row.longitude, row.latitude),
                "r": round(float(row.spread_m), 1),
                "c": [*blue, int(14 + 86 * min(float(row.weight), 1.0) ** 0.5)],
                "l": [*blue, int(60 + 180 * min(float(row.weight), 1.0) ** 0.5)],
                "tip": literal(f"a guess with {row.weight:.1%} of the weight\nspread {wording.metres(row.spread_m)}"),
            }
            for row in components.sort_values("weight").itertuples()
        ]
        layers.append(
            pdk.Layer(
                "ScatterplotLayer",
                rows,
                id="guess-components",
                get_position="p",
                get_radius="r",
                radius_units=METRES,
                radius_min_pixels=3,
                get_fill_color="c",
                stroked=True,
                get_line_color="l",
                get_line_width=1.5,
                line_width_units=PIXELS,
                pickable=True,
            )
        )
    layers += [
        pdk.Layer(
            "PathLayer",
            [{"p": [position(*point), position(*snapped)]}],
            id="snap",
            get_path="p",
            get_color=[*blue, 255],
            get_width=2,
            width_units=PIXELS,
        ),
        pdk.Layer(
            "ScatterplotLayer",
            [{"p": position(*point), "tip": literal(words)}],
            id="predicted-point",
            get_position="p",
            get_radius=7,
            radius_units=PIXELS,
            get_fill_color=[255, 255, 255, 235] if theme == "light" else [16, 20, 28, 235],
            stroked=True,
            get_line_color=[*blue, 255],
            get_line_width=3,
            line_width_units=PIXELS,
            pickable=True,
        ),
    ]
    return layers


def layer_path(path: np.ndarray, theme: Theme) -> list[pdk.Layer]:
    """The way of the predicted point through a model's layers, each stop before the last with the number of its layer.

    Args:
        path: (layer, 2) longitude and latitude after each layer; the last is the point that is answered with.
        theme: Light or dark.
    """
    if len(path) < 2:
        return []
    at = [position(longitude, latitude) for longitude, latitude in path]
    last = len(at)
    blue, halo = colours.rgb(colours.role("prediction", theme)), colours.rgba(colours.ground("halo", theme))
    stops = [
        {"p": where, "t": f"L{layer}", "tip": literal(f"where the point would lie after layer {layer} of {last}")}
        for layer, where in enumerate(at[:-1], start=1)
    ]
    return [
        pdk.Layer(
            "PathLayer",
            [{"p": at}],
            id="layer-path",
            get_path="p",
            get_color=[*blue, 170],
            get_width=1.5,
            width_units=PIXELS,
        ),
        pdk.Layer(
            "ScatterplotLayer",
            stops,
            id="layer-stops",
            get_position="p",
            get_radius=4,
            radius_units=PIXELS,
            get_fill_color=[*blue, 255],
            stroked=True,
            get_line_color=halo,
            get_line_width=1,
            line_width_units=PIXELS,
            pickable=True,
        ),
        pdk.Layer(
            "TextLayer",
            [{"p": stop["p"], "t": stop["t"]} for stop in stops],
            id="layer-signs",
            get_position="p",
            get_text="t",
            get_size=11,
            get_color=colours.rgba(colours.ink("text", theme)),
            get_pixel_offset=[0, 14],
            font_family=FONT,
            font_weight=600,
            character_set=AUTOMATIC,
            outline_width=2,
            font_settings={"sdf": True},
            outline_color=halo,
        ),
    ]


def worst_drawn(places: pd.DataFrame) -> float:
    """Metres from which on `error_layers` draws an error as the largest: 95 % of the places err by less."""
    return float(np.nanquantile(places["distance_m"], 0.95)) or 1.0


def error_layers(places: pd.DataFrame, theme: Theme) -> list[pdk.Layer]:
    """Where answers err in another city: discs by mean distance error, area by questions.

    Args:
        places: n, distance_m, found (share), id, name, longitude, latitude per true place.
        theme: Light or dark.
    """
    if places.empty:
        return []
    most = float(places["n"].max())
    tints = colours.ramp(places["distance_m"].to_numpy(float) / worst_drawn(places), colours.scale("sequential", theme))
    rows = [
        {
            "p": position(row.longitude, row.latitude),
            "r": round(_SMALLEST + (_LARGEST - _SMALLEST) * (row.n / most) ** 0.5, 1),
            "c": [*map(int, tint), 215],
            "id": literal(row.id),
            "tip": literal(
                f"{str(row.place)[:80]}\n{wording.metres(row.distance_m)} off in the mean of {wording.counted(row.n, 'question')}\n"
                f"{row.found:.0%} among the first ten"
            ),
        }
        for row, tint in zip(places.rename(columns={"name": "place"}).itertuples(), tints, strict=True)
    ]
    return [
        pdk.Layer(
            "ScatterplotLayer",
            rows,
            id="errors",
            get_position="p",
            get_radius="r",
            radius_units=PIXELS,
            get_fill_color="c",
            stroked=True,
            get_line_color=[*colours.rgb(colours.ground("halo", theme)), 180],
            get_line_width=0.6,
            line_width_units=PIXELS,
            pickable=True,
        )
    ]
