"""Grid mobility: the day of every cell, observed and predicted, on a map with a clock."""

import numpy as np
import pandas as pd
import streamlit as st

from dashboard import cached, panels, session, wording
from dashboard.cached import cell_data
from dashboard.cached.cell_data import CellOutlines, Curves
from dashboard.figures import base_map, cell_map, colours
from dashboard.figures.cell_map import HourlyFill
from dashboard.views import cell_choice, cell_clock, cell_clusters, cell_day, cell_errors, cell_modalities
from dashboard.views.export_menu import export_menu
from dashboard.views.run_gate import gate
from engine.evaluation.flow_metrics import FLOW_METRICS

QUESTION = "How does this cell breathe through the day?"
SHOWN = ("Observed", "Predicted", "Difference")
BELOW = ("What it saw", "Clusters", "Errors", "Splits")
CLOCK = "grid.clock"


def main() -> None:
    empty = (
        "There is no model of cells to look into",
        "This page shows the curve a grid model gives every cell, beside what was counted.",
    )
    asked = gate(QUESTION, "grid", empty, ("grid_flow",), table="predictions")
    if asked is None:
        return
    slug, run_id = asked.city, asked.run
    curves, outlines = cell_data.curves(run_id), cell_data.outlines(slug)
    if not np.array_equal(curves.cell_ids.astype(str), outlines.ids.astype(str)):
        panels.head(QUESTION)
        panels.nothing(
            "The city has other cells than this run",
            "Its zones or grid were changed after training. Train again, or choose another run.",
        )
        return
    head = st.container()
    left, right = st.columns([62, 38], gap="medium")
    with left:
        with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
            shown = st.segmented_control("Shown", SHOWN, default=SHOWN[0], required=True, key="grid.shown")
            predictor = st.selectbox(
                "Predicted by", list(curves.titles), format_func=curves.titles.__getitem__, key="grid.predictor", width=190
            )
            panels.reading(
                "Drawn: trips that leave each cell in the hour of the clock; yellow is more. Observed and predicted share one scale, the same "
                "at every hour; the difference is predicted minus observed, orange where the model says too much.",
                "Read: play, or move the slider. Click a cell for its day; draw around several with the lasso for their mean. Falling lines: the "
                "graph neighbours the model takes the chosen cell's surroundings from.",
                "Do not conclude from hatched cells: nobody counted there, which is not the same as no trips.",
                "LMEMR §5.4, Fig. 7.",
            )
        hour = _map(slug, run_id, curves, outlines, str(shown), predictor)
    with right:
        cells = cell_choice.pick(curves, outlines, "grid")
        cell_day.draw(
            curves,
            outlines,
            cells,
            predictor,
            hour,
            cell_clusters.of_run(run_id),
            run_id,
            _beside(run_id, curves, cells, predictor),
        )
    with head:
        panels.head(QUESTION, _answer(run_id, curves, outlines, cells, predictor))
    below = st.segmented_control("Below", BELOW, default=BELOW[0], required=True, key="grid.below", label_visibility="collapsed")
    with panels.guarded(f"showing {below}"):
        match below:
            case "Clusters":
                cell_clusters.draw(run_id, slug, curves, outlines)
            case "Errors":
                cell_errors.draw(run_id)
            case "Splits":
                cell_errors.twins(run_id)
            case _:
                cell_modalities.draw(run_id, slug, cells[0])


def _beside(run_id: str, curves: Curves, cells: list[str], predictor: str) -> dict[str, np.ndarray]:
    """The best baseline's curve of a single cell, drawn grey beside the model's."""
    best = cell_errors.best_baseline(cached.run_table(run_id, "metrics"), cached.run_model(run_id))
    if len(cells) != 1 or best is None or best == predictor or best not in curves.flow:
        return {}
    return {curves.titles[best]: curves.flow[best][curves.index[cells[0]]]}


# ---- map ---------------------------------------------------------------------------------------------------------------------


def _fill(curves: Curves, shown: str, predictor: str) -> HourlyFill:
    predicted = curves.flow[predictor]
    if shown == "Difference":
        return cell_map.difference_fill(predicted - curves.observed)
    both = (curves.observed, predicted)
    return cell_map.flow_fill(*(both if shown == "Observed" else both[::-1]))


def _map(slug: str, run_id: str, curves: Curves, outlines: CellOutlines, shown: str, predictor: str) -> int:
    """Draws the map, takes over what was picked on it, and returns the hour of its clock."""
    theme, city = session.theme(), cached.city(slug)
    fill = _fill(curves, shown, predictor)
    cells = cell_choice.chosen(curves)
    index = curves.index
    rows = np.array([index[cell] for cell in cells], int)
    ring, quiet = colours.role("edited", theme), colours.ink("muted", theme)
    above, marks = [], []
    unknown = ~np.isfinite(fill.values).any(axis=1)
    if unknown.any():
        above.append(cell_map.courses_layer("unknown", cell_map.hatching(outlines.shapes[unknown]), colours.rgba(quiet, 150), 1))
        marks.append(cell_clock.Mark("hatch", f"no flow known ({int(unknown.sum())})", quiet))
    edges = cell_data.run_cells(run_id).edges
    near = np.unique(edges[edges[:, 0] == rows[0], 1]) if len(rows) else np.zeros(0, int)
    if len(near):
        above.append(
            cell_map.courses_layer(
                "near", cell_map.hatching(outlines.shapes[near], rising=False, lines=4), colours.rgba(ring, 170), 1.2
            )
        )
        marks.append(cell_clock.Mark("counter", f"neighbours in the graph ({len(near)})", ring))
    if len(rows):
        above.append(cell_map.courses_layer("chosen", cell_map.outline_courses(outlines.shapes[rows]), colours.rgba(ring), 3))
        marks.append(cell_clock.Mark("ring", "chosen" if len(rows) == 1 else f"chosen ({len(rows)})", ring))
    base = cached.base(slug, theme, places=False, buildings="none", faint=True)
    signed = shown == "Difference"
    said = cell_clock.draw(
        city,
        outlines,
        fill,
        base.layers,
        above,
        key=CLOCK,
        title="predicted − observed, trips per hour" if signed else f"{shown.lower()} trips per hour",
        what="predicted beyond observed" if signed else shown.lower(),
        alt=f"Map of cells: {shown.lower()} trips per hour, with a clock",
        marks=marks,
        attribution=base.attribution,
        height=540,
    )
    if said.picked:
        session.select(said.picked, "grid mobility map", kind="cell")
        st.rerun()
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
        st.caption(f"{wording.counted(len(curves.cell_ids), 'cell')}; {_parts(curves)}.")
        still = [*base.layers, cell_map.still_cells(outlines.shapes, fill, said.hour, theme), *above]
        export_menu(
            "grid.map.export",
            f"cells-{shown.lower()}-{said.hour:02d}h",
            _table(curves, outlines, predictor, said.hour),
            base_map.deck(still, city, theme),
            python=f'from engine.runs import Run\nRun.open("{run_id}").table("predictions")',
        )
    return said.hour


def _parts(curves: Curves) -> str:
    counts = {words: sum(part == key for part in curves.parts()) for key, words in cell_data.PART_WORDS.items()}
    return ", ".join(f"{wording.count(count)} {words}" for words, count in counts.items() if count)


def _table(curves: Curves, outlines: CellOutlines, predictor: str, hour: int) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "cell_id": curves.cell_ids,
            "district": outlines.district,
            "part": curves.parts(),
            "hour": hour,
            "observed": curves.observed[:, hour],
            "predicted": curves.flow[predictor][:, hour],
            "difference": curves.flow[predictor][:, hour] - curves.observed[:, hour],
            "longitude": outlines.longitude,
            "latitude": outlines.latitude,
        }
    )


# ---- answer ------------------------------------------------------------------------------------------------------------------


def _answer(run_id: str, curves: Curves, outlines: CellOutlines, cells: list[str], predictor: str) -> str:
    rows = np.array([curves.index[cell] for cell in cells])
    observed, flow = curves.observed[rows], curves.flow[predictor][rows]
    name = wording.literal(cell_choice.label(outlines, int(rows[0])))
    who = f"**{name}**" if len(rows) == 1 else f"**{wording.counted(len(rows), 'cell')}** around {name}"
    title = wording.literal(curves.titles[predictor])
    day = cell_day.average_day(cell_data.run_cells(run_id).day_type)
    total, peak = float(flow.sum()), int(flow.sum(axis=0).argmax())
    if not np.isfinite(observed).all():
        said = f"{who}: {title} expects {wording.count(total)} trips on {day}, most at {peak:02d} h; what truly leaves is not fully known."
    else:
        counted, when = float(observed.sum()), int(observed.sum(axis=0).argmax())
        gap = f" ({wording.signed(100 * (total - counted) / counted, 2)}{wording.NARROW_SPACE}%)" if counted > 0 else ""
        said = (
            f"{who}: {wording.count(counted)} trips leave on {day}, most at {when:02d} h; {title} says "
            f"{wording.count(total)}{gap}, most at {peak:02d} h."
        )
    table = cached.run_table(run_id, "metrics")
    rows_r2 = table[(table["slice"] == "all") & (table["metric"] == "r2")].set_index("predictor")["value"]
    best = cell_errors.best_baseline(table, cached.run_model(run_id))
    if predictor in rows_r2 and np.isfinite(rows_r2[predictor]):
        show = FLOW_METRICS["r2"].show
        said += f" Over all test cells it explains {show(rows_r2[predictor])} of the variance of log flows (R²)"
        said += (
            f"; the best baseline, {wording.literal(curves.titles.get(best, best))}, {show(rows_r2[best])}."
            if best and best != predictor
            else "."
        )
    return said


main()
