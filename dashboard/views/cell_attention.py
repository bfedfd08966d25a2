"""What a grid model looked at: neighbours on the map, modalities of a cell, hours of a day."""

import numpy as np
import pandas as pd
import pydeck as pdk
import streamlit as st

from dashboard import cached, panels, python_lines, session, wording
from dashboard.cached import cell_data, cell_inside
from dashboard.cached.cell_data import CellOutlines
from dashboard.cached.cell_inside import CellInside
from dashboard.figures import base_map, cell_map, colours
from dashboard.figures.cell_inside import hour_matrix, modality_bars
from dashboard.figures.frame import chart_config
from dashboard.figures.ranking import arc
from dashboard.views import cell_choice, city_map
from dashboard.views.cell_modalities import TITLES
from dashboard.views.export_menu import export_menu

QUESTION = "What did it look at?"
SHOWN = {
    "arcs": "Arcs",
    "openness": "Openness",
    "influence": "Influence",
    "reach": "Reach",
    "fusion": "Modality",
}
WIDEST = 7.0
PAPER = "LMEMR eq. 9 and Fig. 9; specification §7. Attention is not explanation (Jain and Wallace 2019)."


def draw(slug: str, run_id: str) -> None:
    """The page for a grid run."""
    curves, outlines, found = cell_data.curves(run_id), cell_data.outlines(slug), cell_inside.inside(run_id)
    if not found.graph and found.fusion is None and not found.hours:
        panels.head(QUESTION)
        panels.nothing(
            "This model declares nothing it looks at",
            "It has no probe of a graph, of modalities or of hours; there is nothing to draw.",
        )
        return
    head = st.container()
    left, right = st.columns([62, 38], gap="medium")
    with right:
        cells = cell_choice.pick(curves, outlines, "attention")
        row = curves.index[cells[0]]
        _modalities(run_id, found, row)
        _hours(run_id, found, row)
    with left:
        probe = _map(slug, run_id, found, outlines, row)
    with head:
        panels.head(QUESTION, _answer(found, outlines, row, probe))
    if probe:
        _neighbours(run_id, found, outlines, row, probe)


def _answer(found: CellInside, outlines: CellOutlines, row: int, probe: str | None) -> str:
    name = wording.literal(cell_choice.label(outlines, row))
    said = []
    if probe:
        openness = found.openness(probe)
        said.append(
            f"takes {wording.percent(float(openness[row]))} of the messages of this layer from its neighbours "
            f"(mean of all cells {wording.percent(float(openness.mean()))})"
        )
    if found.fusion is not None and len(found.modalities) > 1:
        most = int(found.fusion[row].argmax())
        title = TITLES.get(found.modalities[most], found.modalities[most]).lower()
        said.append(f"counts most on *{wording.literal(title)}* ({wording.percent(float(found.fusion[row, most]))})")
    return f"For **{name}** the model {' and '.join(said)}." if said else f"**{name}** is looked at through its hours alone."


def probe_title(probe: str) -> str:
    """A graph probe in words: its modality, and which layer it is."""
    parts = probe.split(".")
    modality = next((title for name, title in TITLES.items() if name in parts), "")
    number = next((int(part) + 1 for part in probe.split(".") if part.isdigit()), 0)
    return ", ".join(part for part in (modality, f"layer {number}" if number else "") if part) or probe


def _map(slug: str, run_id: str, found: CellInside, outlines: CellOutlines, row: int) -> str | None:
    theme, city = session.theme(), cached.city(slug)
    offered = [
        kind
        for kind in SHOWN
        if (kind in ("arcs", "openness", "influence") and found.graph)
        or (kind == "reach" and found.graph and cell_inside.reach(run_id, row) is not None)
        or (kind == "fusion" and found.fusion is not None and len(found.modalities) > 1)
    ]
    probe: str | None = None
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
        shown = st.segmented_control(
            "Shown",
            offered,
            default=offered[0] if offered else None,
            required=True,
            format_func=SHOWN.get,
            key="attention.cells.shown",
        )
        if found.graph:
            names = list(found.graph)
            probe = st.selectbox("Graph layer", names, format_func=probe_title, key="attention.cells.probe", width=190)
        modality = 0
        if shown == "fusion":
            picked = st.selectbox(
                "Modality",
                found.modalities,
                format_func=lambda name: TITLES.get(name, name),
                key="attention.cells.modality",
                width=200,
            )
            modality = found.modalities.index(picked)
    values, title = _values(run_id, found, row, str(shown), probe, modality)
    base = cached.base(slug, theme, places=False, buildings="none", faint=True)
    layers = [*base.layers]
    known = values[np.isfinite(values)]
    top = float(known.max()) if len(known) and known.max() > 0 else 1.0
    bottom = float(known.min()) if shown in ("openness", "influence", "fusion") and len(known) else 0.0
    rgb = colours.ramp((values - bottom) / max(top - bottom, 1e-9), colours.scale("sequential", theme)).tolist()
    tints = [[*rgb[at], 205] if np.isfinite(value) and value > 0 else [128, 128, 128, 25] for at, value in enumerate(values)]
    tips = [
        f"{cell_choice.label(outlines, at)}\n{title}: {wording.significant(float(value)) if np.isfinite(value) else 'none'}"
        for at, value in enumerate(values)
    ]
    layers.append(cell_map.part_layer(outlines.shapes, tints, tips))
    pink = colours.role("edited", theme)
    layers.append(cell_map.courses_layer("chosen", cell_map.outline_courses(outlines.shapes[[row]]), colours.rgba(pink), 3))
    legend = [
        city_map.Entry("ramp", f"{title}: {wording.significant(bottom, 2)} to {wording.significant(top, 2)}"),
        city_map.Entry("ring", "chosen cell", pink),
    ]
    if shown == "arcs" and probe:
        blue = colours.role("prediction", theme)
        layers.append(cell_map.arc_layer(_arcs(found, outlines, row, probe), colours.rgba(blue, 230)))
        legend.append(city_map.Entry("arc", "taken from a neighbour; width: weight", blue))
    near_key = f"attention.cells.near.{shown}"
    is_near = bool(session.widget(near_key, shown == "arcs"))  # from afar the arcs of one cell are a knot
    state = city_map.draw(
        city,
        layers,
        key=f"attention.cells.map.{shown}.{is_near}",
        alt=f"Map of cells: {title}",
        legend=legend,
        attribution=base.attribution,
        height=520,
        selectable=True,
        view=_near(outlines, row) if is_near else None,
    )
    clicked = [int(thing["i"]) for thing in session.picked(state, "cells") if "i" in thing]
    if clicked and clicked != session.get("attention.cells.clicked", None):
        session.put("attention.cells.clicked", clicked)
        session.select([str(outlines.ids[clicked[0]])], "attention map", kind="cell")
        st.rerun()
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
        st.caption("Click a cell to look at it.")
        st.toggle("Close to the cell", shown == "arcs", key=near_key)
        panels.reading(
            "Drawn: arcs run to the chosen cell from the neighbours it takes from, width by weight. Openness: the share of a cell's "
            "messages that comes from neighbours rather than from itself. Influence: the sum of the weights others give to it. Reach: how "
            "much each cell matters to the chosen cell's curve through all layers, by the gradient. Modality: its weight in the fusion.",
            "Read: the paper's node importance is what is called openness here; it says how much a cell listens, not how much it is heard. "
            f"Look at influence and reach for that. {found.meanings[probe] if probe else ''}",
            "Do not conclude that weight is effect: cut the edge on the What-if page and see what changes.",
            PAPER,
        )
        table = pd.DataFrame(
            {"cell_id": outlines.ids, title: values, "longitude": outlines.longitude, "latitude": outlines.latitude}
        )
        reached = [f"reach = run.model.influence(run.data.inputs, run.data.cells, {row})"] if shown == "reach" else []
        export_menu(
            f"attention.cells.export.{shown}",
            f"attention-{shown}",
            table,
            base_map.deck(layers, city, theme),
            python=_python(run_id, *reached),
        )
    return probe


def _near(outlines: CellOutlines, row: int) -> pdk.ViewState:
    """A view of the cell and what lies within some four cells of it."""
    west, south, east, north = outlines.shapes[row].bounds
    across, down = 4 * (east - west), 4 * (north - south)
    return base_map.fit_view((west - across, south - down, east + across, north + down))


def _values(run_id: str, found: CellInside, row: int, shown: str, probe: str | None, modality: int) -> tuple[np.ndarray, str]:
    """(cell,) what the map is filled by, and what it is called."""
    if shown == "openness" and probe:
        return found.openness(probe), "taken from neighbours, share"
    if shown == "influence" and probe:
        return found.influence(probe), "weight others give to it, sum"
    if shown == "reach":
        reached = cell_inside.reach(run_id, row)
        total = np.asarray(reached, float)
        return total / max(float(total.sum()), 1e-12) * 100, "share of the gradient, %"
    if shown == "fusion" and found.fusion is not None:
        return found.fusion[:, modality].astype(float), "weight in the fusion, share"
    weight = np.full(len(found.index), np.nan)
    if probe:
        for slot, taken in zip(found.index[row], found.graph[probe][row], strict=True):
            if taken > 0:
                weight[slot] = taken if np.isnan(weight[slot]) else weight[slot] + taken
    return weight, "weight for the chosen cell, share"


def _arcs(found: CellInside, outlines: CellOutlines, row: int, probe: str) -> list[dict[str, object]]:
    here = (float(outlines.longitude[row]), float(outlines.latitude[row]))
    weights = found.graph[probe][row][1:]
    widest = max(float(weights.max(initial=0)), 1e-9)
    return [
        {
            "p": arc((float(outlines.longitude[at]), float(outlines.latitude[at])), here, bend=0.25),
            "w": round(1 + (WIDEST - 1) * float(weight) / widest, 2),
            "tip": f"{cell_choice.label(outlines, int(at))}\n{100 * float(weight):.1f} % of this layer",
        }
        for at, weight in zip(found.index[row][1:], weights, strict=True)
        if weight > 0 and at != row
    ]


def _python(run_id: str, *lines: str) -> str:
    """Lines of Python that give the weights of every graph layer, of the modalities and of the hours, and whose slot is whose."""
    return python_lines.of_model(
        run_id,
        "inputs, cells = run.data.inputs, run.data.cells",
        'names = [name for name, probe in run.model.probes().items() if probe.kind in ("graph", "routing", "attention")]',
        "with watch(run.model, *names) as seen:",
        "    run.model.predict_curves(inputs, cells)",
        "weights = {name: seen[name][0] for name in names if seen[name]}",
        "whom = neighbours_of(cells.edges, len(cells)).index  # cell, slot; slot 0 is the cell itself",
        *lines,
        imports=["from engine.layers.graph import neighbours_of", "from engine.probes import watch"],
    )


def _modalities(run_id: str, found: CellInside, row: int) -> None:
    if found.fusion is None:
        return
    if len(found.modalities) == 1:
        name = found.modalities[0]
        st.caption(f"This run sees one modality, {TITLES.get(name, name).lower()}; there is nothing to weigh against it.")
        return
    table = pd.DataFrame({"modality": found.modalities, "here": found.fusion[row], "mean": found.fusion.mean(axis=0)})
    panels.panel(
        "Which modality counts",
        "Drawn: the weight of each modality where the cell's vectors are fused; the line across is the mean of all cells.",
        "Read: weights sum to 100 %; a modality the cell lacks has none.",
        "Do not conclude that a heavy modality could not be missed: drop it on the What-if page. Modalities repeat one another.",
        "LMEMR eq. 12.",
        actions=lambda: export_menu("attention.cells.fusion", "modalities", table, python=_python(run_id), chart=True),
    )
    figure = modality_bars(found.fusion[row], found.fusion.mean(axis=0), found.modalities, TITLES, session.theme())
    st.plotly_chart(figure, key="attention.cells.bars", config=chart_config("modalities"), alt="Weight of each modality")


def _hours(run_id: str, found: CellInside, row: int) -> None:
    if not found.hours:
        return
    names = list(found.hours)
    whose = session.widget("attention.cells.whose", "this cell")
    name = session.widget("attention.cells.layer", names[0])
    name = name if name in names else names[0]
    weights = found.hours[name][row] if whose == "this cell" else found.hours[name].astype(np.float32).mean(axis=0)
    panels.panel(
        "Which hours look at which",
        "Drawn: how much each hour (row) looks at each other hour (column) before the curve is read out, heads averaged.",
        "Read: a bright column is an hour the whole day is built around; a bright diagonal means that hours go by themselves.",
        "Do not conclude that one hour causes the other: no trip is an input here.",
        "LMEMR §3.5.3.",
        actions=lambda: export_menu(
            "attention.cells.hours", "hours", pd.DataFrame(np.asarray(weights, float)), python=_python(run_id), chart=True
        ),
    )
    with st.container(horizontal=True, vertical_alignment="bottom"):
        st.segmented_control("Of", ("this cell", "all cells"), default="this cell", required=True, key="attention.cells.whose")
        if len(names) > 1:
            layers = {one: f"layer {number + 1}" for number, one in enumerate(names)}
            st.segmented_control(
                "Layer", names, default=names[0], required=True, format_func=layers.get, key="attention.cells.layer"
            )
    st.plotly_chart(
        hour_matrix(weights, session.theme(), 300),
        key="attention.cells.matrix",
        config=chart_config("hours"),
        alt="Hours that look at hours",
    )


def _neighbours(run_id: str, found: CellInside, outlines: CellOutlines, row: int, probe: str) -> None:
    family = probe.split(".blocks.")[0]
    names = [name for name in found.graph if name.split(".blocks.")[0] == family]
    slots = [slot for slot, at in enumerate(found.index[row]) if slot == 0 or at != row]
    table = pd.DataFrame(
        {
            "cell": [
                cell_choice.label(outlines, int(found.index[row][slot])) + (" (itself)" if slot == 0 else "") for slot in slots
            ],
            **{probe_title(name): found.graph[name][row][slots] for name in names},
        }
    )
    panels.panel(
        "Whom it takes from",
        "Drawn: the cell itself and its neighbours in the graph, with their weights in every layer of the chosen graph.",
        "Read: each column sums to 100 % of the messages of its layer.",
        "Do not conclude from one layer: what a neighbour passes on already holds what it took from its own neighbours.",
        PAPER,
        actions=lambda: export_menu("attention.cells.neighbours", "neighbours", table, python=_python(run_id)),
    )
    columns = {name: st.column_config.NumberColumn(format="percent") for name in table.columns if name != "cell"}
    st.dataframe(table, hide_index=True, key="attention.cells.table", column_config=columns)
