"""The map of the experts page: the city by dominant expert and hour, or one question with its point, guesses and snap."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pydeck as pdk
import streamlit as st

from dashboard import cached, panels, python_lines, questions, session, wording
from dashboard.figures import base_map, colours
from dashboard.figures.expert_map import dominant_by_place, dominant_layers, layer_path, letters, point_layers
from dashboard.figures.ranking import truth_layers
from dashboard.figures.routing_bars import MARKS, Palette
from dashboard.figures.trajectory import history_layers
from dashboard.views import city_map, expert_lines
from dashboard.views.city_map import Entry
from dashboard.views.export_menu import export_menu
from engine.city.city import unproject
from engine.city.samples import Places, Samples

SHOWN = ("The city", "This question")
ALL_DAY = "all day"
MOST_LEGEND = 6
"""Experts the legend names, so that it leaves the map in sight; up to so many have room for the groups they go along with."""


@dataclass(frozen=True, eq=False)
class Snap:
    """Where a model pointed in one question, and the places around it.

    Attributes:
        point: Longitude and latitude.
        nearest: The open place nearest to the point.
        snap_m: Metres from the point to the nearest place.
        error_m: Metres from the point to where the person went.
        components: longitude, latitude, weight, spread_m of the guesses the answer is made of.
        path: (layer, 2) longitude and latitude of the point after each layer, the last the point itself; empty where nobody knows.
        path_m: (layer,) metres from there to the point.
        meaning: How places are ranked from it.
    """

    point: tuple[float, float]
    nearest: int
    snap_m: float
    error_m: float
    components: pd.DataFrame
    path: np.ndarray
    path_m: np.ndarray
    meaning: str


def snap_of(slug: str, samples: Samples, index: int, once: "cached.AskedOnce") -> Snap | None:
    """The point of a question, None where the model scores places without one.

    Args:
        slug: The city.
        samples: All samples of the run.
        index: The question.
        once: Its routing and point.
    """
    answer = once.point
    if answer is None:
        return None
    places, city, truth = samples.log.places, cached.city(slug), int(samples.true_location[index])
    x, y = float(answer.x[0]), float(answer.y[0])
    away = np.hypot(places.x - x, places.y - y)
    away[places.closed] = np.inf
    nearest = int(away.argmin())
    longitude, latitude = unproject(city, x, y)
    across, up = unproject(city, answer.component_x[0], answer.component_y[0])
    components = pd.DataFrame(
        {
            "longitude": across,
            "latitude": up,
            "weight": answer.component_weight[0],
            "spread_m": answer.component_spread_m[0],
        }
    )
    return Snap(
        (float(longitude), float(latitude)),
        nearest,
        float(away[nearest]),
        float(np.hypot(places.x[truth] - x, places.y[truth] - y)),
        components,
        np.stack(unproject(city, answer.layer_x[0], answer.layer_y[0]), axis=1),
        np.hypot(answer.layer_x[0] - x, answer.layer_y[0] - y),
        answer.meaning,
    )


def draw_city(slug: str, asked: "cached.Asked", key: str, palette: Palette, places: Places, hour: int | None) -> None:
    """Places by dominant expert, all day or around an hour, with the slider under the map."""
    routed, visits = asked.routed[key], asked.visits
    panels.panel(
        "Who answers where",
        "Drawn: the places of the latest visits of this slice's questions, coloured by the expert with the largest mean weight before "
        "the choice. Area: questions. Pale: it hardly leads.",
        "Read: neighbourhoods of one colour mean that the expert follows the ground; a colour that changes with the hour means that it follows time.",
        f"Do not conclude from the name of a colour; names are hypotheses. {MARKS}",
        "NextLocMoE specification §12 (function map).",
    )
    hours: Sequence[int] = range(24) if hour is None else [(hour - 1) % 24, hour, (hour + 1) % 24]
    near = visits["hour"].isin(hours).to_numpy()
    table = dominant_by_place(routed.latest_raw[near], visits["location"].to_numpy()[near])
    table = table.join(questions.describe_places(places, table["location"].to_numpy(np.int64)).drop(columns=["category"]))
    theme, city = session.theme(), cached.city(slug)
    base = cached.base(slug, theme, places=False, buildings="none", faint=True)
    layers = [*base.layers, *dominant_layers(table, palette, theme, base_map.view_state(city).zoom)]
    names = [one.name for one in palette.labels]
    signs = letters(tuple(names))
    shown = np.bincount(table["expert"], weights=table["n"], minlength=len(palette))
    order = [index for index in np.argsort(-shown, kind="stable") if shown[index]]
    legend = [
        Entry(
            "disc",
            f"{signs[index]}  {palette.labels[index].shown(22, in_full=len(palette) <= MOST_LEGEND)}",
            palette.colour[index],
        )
        for index in order[:MOST_LEGEND]
    ]
    if len(order) > MOST_LEGEND:
        legend.append(Entry("disc", f"{len(order) - MOST_LEGEND} more, named under the pointer", colours.ink("muted", theme)))
    city_map.draw(
        city,
        layers,
        key="experts.map",
        alt="Map of the expert that dominates at each place",
        legend=legend,
        attribution=base.attribution,
        height=390,
    )
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
        when = "all day" if hour is None else f"from {hours[0]}:00 to {hours[-1]}:59"
        st.caption(f"{wording.counted(len(table), 'place')}, {wording.counted(int(near.sum()), 'question')}, {when}, local time.")
        named = table.assign(expert=[names[index] for index in table["expert"]], second=[names[index] for index in table["second"]])
        python = expert_lines.of_slice(
            asked,
            key,
            f"near = visits['hour'].isin({hours}).to_numpy()",
            "led = dominant_by_place(routed.latest_raw[near], visits['location'].to_numpy()[near])",
            f"names = np.array(run.model.experts()[{key!r}].names)",
            "led = led.assign(expert=names[led['expert']], second=names[led['second']])",
            "led = led.join(describe_places(run.data.samples.log.places, led['location'].to_numpy()))",
            imports=[
                "from dashboard.figures.expert_map import dominant_by_place",
                "from dashboard.questions import describe_places",
            ],
        )
        export_menu("experts.map.export", "dominant-experts", named, base_map.deck(layers, city, theme), python=python)


def hour_slider() -> None:
    """The control of the hour; the page reads it by `hour_in_view`."""
    st.select_slider(
        "Hour of the visit, local (an hour on either side is drawn too)",
        [ALL_DAY, *range(24)],
        ALL_DAY,
        format_func=lambda item: item if item == ALL_DAY else f"{item} h",
        key="experts.hour",
    )


def hour_in_view() -> int | None:
    """The hour on the slider, None for all day."""
    chosen = session.widget("experts.hour", ALL_DAY)
    return None if chosen == ALL_DAY else int(chosen)


def draw_question(run_id: str, slug: str, samples: Samples, index: int, snap: Snap | None, history: pd.DataFrame) -> None:
    """One question: the visits, the point with its guesses, the place it snaps to, and the truth."""
    panels.panel(
        "Where it points",
        "Drawn: the visits of the history, the point the model gives (white disc), the guesses it is made of (circles as wide as one "
        "standard deviation), the line to the nearest place, and where the point would lie after each earlier layer of the model (L1, L2, ...).",
        "Read: a long line means that the point lies where there is no place; several strong circles mean that the model sees several ways "
        "on; a long step between two layers means that the later one changed the answer.",
        "Do not take the point for a place: a single point between two likely places lies at neither. Nor an early layer's point for an "
        "opinion: only the last layer was trained to point anywhere.",
        "NextLocMoE specification §8 (retrieval), §12 (point after each layer), §14 (snap distance).",
    )
    theme, city, places = session.theme(), cached.city(slug), samples.log.places
    truth = int(samples.true_location[index])
    base = cached.base(slug, theme, faint=True, buildings="none")
    layers: list = [*base.layers, *history_layers(history, theme)]
    legend = [Entry("fade", "visits, old to recent"), Entry("ring", "where the person went", colours.role("truth", theme))]
    tip = f"{str(places.names[truth])[:80]}\nwhere the person went"
    at = (float(places.longitude[truth]), float(places.latitude[truth]))
    if snap is None:
        layers += truth_layers(*at, tip, theme)
    else:
        nearest = (float(places.longitude[snap.nearest]), float(places.latitude[snap.nearest]))
        said = f"predicted point\nnearest place: {str(places.names[snap.nearest])[:60]}, {wording.metres(snap.snap_m)} away"
        layers += [*point_layers(snap.point, nearest, said, snap.components, theme), *layer_path(snap.path, theme)]
        layers += truth_layers(*at, tip, theme, snap.point, snap.error_m)
        blue = colours.role("prediction", theme)
        legend += [Entry("disc", "predicted point, line to the nearest place", blue)]
        if len(snap.components):
            legend.append(Entry("ring", f"{len(snap.components)} guesses; radius: spread, strength: weight", blue))
        if len(snap.path) > 1:
            signs = "L1" if len(snap.path) == 2 else f"L1 to L{len(snap.path) - 1}"
            legend.append(Entry("dot", f"{signs}: the point after earlier layers", blue))
    view = _view(history, at, snap, places) if session.widget("experts.zoom", False) else None
    city_map.draw(
        city,
        layers,
        key="experts.map.question",
        alt="Map of the predicted point of one question",
        legend=legend,
        attribution=base.attribution,
        height=390,
        view=view,
    )
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
        st.toggle("Zoom in", key="experts.zoom", help="Off shows the whole city.")
        python = python_lines.of_model(
            run_id,
            f"question = run.data.samples.histories(np.array([{index}]))",
            "point, probability = run.model.points(question), np.exp(run.model.predict(question).log_probability[0])",
            imports=["import numpy as np"],
        )
        if snap is None:
            st.caption("This model scores every place without pointing anywhere first.")
            export_menu("experts.point.export", "history", history, base_map.deck(layers, city, theme), python=python)
        else:
            st.caption(
                f"{wording.metres(snap.snap_m)} from the point to the nearest place, {wording.metres(snap.error_m)} to the truth. "
                + _way(snap.path_m)
                + wording.literal(snap.meaning, 300)
            )
            row = {"longitude": snap.point[0], "latitude": snap.point[1], "weight": np.nan, "spread_m": np.nan}
            path = pd.DataFrame(snap.path, columns=["longitude", "latitude"])
            table = pd.concat([pd.DataFrame([row]), snap.components, path], ignore_index=True)
            after = [f"after layer {layer}" for layer in range(1, len(path) + 1)]
            table.insert(0, "what", ["predicted point", *["guess"] * len(snap.components), *after])
            export_menu("experts.point.export", "predicted-point", table, base_map.deck(layers, city, theme), python=python)


def _way(path_m: np.ndarray) -> str:
    """How far the point came through the layers, in words."""
    if len(path_m) < 2:
        return ""
    last = f", after the last but one {wording.metres(path_m[-2])}" if len(path_m) > 2 else ""
    return f"After the first of {len(path_m)} layers it lay {wording.metres(path_m[0])} from there{last}. "


def _view(history: pd.DataFrame, truth: tuple[float, float], snap: Snap | None, places: Places) -> pdk.ViewState:
    recent = history.tail(12)
    across, up = [*recent["longitude"], truth[0]], [*recent["latitude"], truth[1]]
    if snap is not None:
        across, up = [*across, snap.point[0]], [*up, snap.point[1]]
    margin = max(float(np.ptp(across)), float(np.ptp(up)), 0.006) * 0.15
    return base_map.fit_view((min(across) - margin, min(up) - margin, max(across) + margin, max(up) + margin))
