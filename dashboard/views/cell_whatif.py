"""What if a cell were another: edits of cells, and what they change in the curves of all cells."""

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import shapely
import streamlit as st

from dashboard import cached, panels, session, wording
from dashboard.cached import cell_data
from dashboard.cached.cell_data import CellOutlines, Curves
from dashboard.figures import base_map, cell_map, colours
from dashboard.figures.curve_day import day_curves
from dashboard.figures.frame import chart_config
from dashboard.views import (
    cell_choice,
    cell_clock,
    cell_day,
    cell_doubt,
    cell_edit_forms,
    cell_errors,
    cell_stack,
    cell_tables,
    scenario_in_hand,
)
from dashboard.views.export_menu import export_menu
from dashboard.views.report_button import report_button
from engine.errors import MobiscopeError
from engine.evaluation.flow_metrics import FLOW_METRICS
from engine.scenarios.cell_compare import CurveComparison, compare_curve_metrics
from engine.scenarios.scenario import Scenario

if TYPE_CHECKING:
    from engine.models.answers import CurvePredictor

QUESTION = "What if?"
BELOW = ("Curve", "How sure", "Changed cells", "Figures")
CLOCK = "what_if.clock"


def draw(slug: str, run_id: str) -> None:
    """The page for a grid run."""
    curves, outlines = cell_data.curves(run_id), cell_data.outlines(slug)
    base = cell_data.grounds(run_id)
    day = cell_day.average_day(base.cells.day_type)
    head = st.container()
    left, right = st.columns([62, 38], gap="medium")
    with right:
        predictor = _predictor(run_id)
        cells = cell_choice.pick(curves, outlines, "what_if")
        scenario = cell_stack.scenario(run_id)
        kind = st.selectbox("Edit its", cell_edit_forms.KINDS, key="what_if.cells.kind")
        with st.container(border=True):
            cell_edit_forms.draw(str(kind), base, outlines, cells[0], predictor, run_id)
        cell_stack.draw(scenario, predictor, run_id)
    try:
        comparison = cell_data.compared(run_id, predictor.name, scenario)
    except MobiscopeError as error:
        with head:
            panels.head(QUESTION)
        panels.refusal(error)
        st.button("Start over", key="what_if.misfit", on_click=cell_stack.IN_HAND.start_over, type="primary")
        return
    with head:
        panels.head(QUESTION, _answer(comparison, scenario, predictor, outlines, day))
    with left:
        _map(slug, run_id, comparison, outlines, cells, scenario)
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
        below = st.segmented_control(
            "Below", BELOW, default=BELOW[0], required=True, key="what_if.cells.below", label_visibility="collapsed"
        )
        report_button(run_id, "what_if.report", scenario, comparison)
    with panels.guarded(f"showing {below}"):
        match below:
            case "How sure":
                cell_doubt.draw(run_id, predictor.name, scenario, comparison, outlines, curves.index[cells[0]])
            case "Changed cells":
                _table(comparison, outlines, scenario_in_hand.command(scenario, run_id))
            case "Figures":
                _figures(run_id, predictor, scenario)
            case _:
                _curve(curves, outlines, comparison, cells[0], day, scenario_in_hand.command(scenario, run_id))
                if said := cell_errors.interval_held(cached.run_table(run_id, "metrics"), predictor.name):
                    st.caption(said)


def _predictor(run_id: str) -> "CurvePredictor":
    """The model, or the best baseline fitted again."""
    table, model = cached.run_table(run_id, "metrics"), cached.run_model(run_id)
    best = cell_errors.best_baseline(table, model)
    titles = dict(zip(table["predictor"], table["title"], strict=True))
    offered = [model, *([best] if best else [])]
    name = st.selectbox("Answered by", offered, format_func=lambda one: titles.get(one, one), key="what_if.cells.predictor")
    return cell_data.curve_predictors(run_id, () if name == model else (name,))[name]


def _answer(comparison: CurveComparison, scenario: Scenario, predictor: "CurvePredictor", outlines: CellOutlines, day: str) -> str:
    if not scenario.edits:
        return (
            f"{wording.literal(predictor.title)} gives all {wording.counted(len(comparison.cell_ids), 'cell')} "
            f"{wording.count(comparison.before.sum())} trips on {day}. Edit a cell to see what that changes, there and around it."
        )
    changed, total = int(comparison.changed.sum()), float(comparison.change.sum())
    if not changed:
        return f"With {wording.counted(len(scenario.edits), 'edit')}, no curve changes by a single bit."
    table = comparison.cells.assign(size=comparison.cells["change"].abs())
    row = int(table["size"].idxmax())
    most, sign = table.loc[row], "+" if table.loc[row, "change"] > 0 else "−"
    return (
        f"With {wording.counted(len(scenario.edits), 'edit')}, {wording.count(changed)} of "
        f"{wording.counted(len(comparison.cell_ids), 'cell')} change, by {'+' if total > 0 else '−'}{wording.significant(abs(total))} "
        f"trips on {day} in all; most **{wording.literal(cell_choice.label(outlines, row))}**, {sign}"
        f"{wording.significant(abs(float(most['change'])))} trips ({wording.significant(float(most['before']))} before)."
    )


def _map(slug: str, run_id: str, comparison: CurveComparison, outlines: CellOutlines, cells: list[str], scenario: Scenario) -> None:
    theme, city = session.theme(), cached.city(slug)
    panels.reading(
        "Drawn: trips after the edits minus trips before, in the hour of the clock; one limit on both sides for all hours. Cells that do "
        "not change by a single bit are left blank, outside of the grey outline. Edited cells are outlined in pink, the chosen one in black or "
        "white.",
        "Read: the change reaches as many steps along the graph as the model has graph layers, and no farther; an edit of the model, its "
        "hours or its mechanism, reaches all cells.",
        "Do not conclude that people would move so: the model learnt what goes with what, not what brings about what.",
        "LMEMR specification §8.",
    )
    values = np.where(comparison.changed[:, None], comparison.change, np.nan)
    fill = cell_map.difference_fill(values)
    index = {str(cell): row for row, cell in enumerate(comparison.cell_ids)}
    edited = np.flatnonzero((comparison.cells["edit"] != "").to_numpy())
    pink, ink = colours.role("edited", theme), colours.role("observed", theme)
    above, marks = [], []
    if len(edited):
        above.append(cell_map.courses_layer("edited", cell_map.outline_courses(outlines.shapes[edited]), colours.rgba(pink), 3))
        marks.append(cell_clock.Mark("ring", f"edited ({len(edited)})", pink))
    if comparison.changed.any():
        reach = shapely.union_all(shapely.set_precision(outlines.shapes[comparison.changed], 1e-6))
        grey = colours.ink("muted", theme)
        above.insert(
            0, cell_map.courses_layer("reach", cell_map.outline_courses(np.array([reach], object)), colours.rgba(grey), 1.5)
        )
        marks.append(cell_clock.Mark("ring", f"reached by the edits ({int(comparison.changed.sum())})", grey))
    chosen = np.array([index[cell] for cell in cells])
    above.append(cell_map.courses_layer("chosen", cell_map.outline_courses(outlines.shapes[chosen]), colours.rgba(ink), 1.6))
    marks.append(cell_clock.Mark("ring", "chosen", ink))
    base = cached.base(slug, theme, places=False, buildings="none", faint=True)
    said = cell_clock.draw(
        city,
        outlines,
        fill,
        base.layers,
        above,
        key=CLOCK,
        title="after − before, trips per hour",
        what="more after the edits",
        nothing="no change",
        alt="Map of the change of trips per hour",
        marks=marks,
        attribution=base.attribution,
        height=540,
    )
    if said.picked:
        session.select(said.picked, "what-if map", kind="cell")
        st.rerun()
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
        st.caption("A click chooses the cell that is edited next.")
        still = [*base.layers, cell_map.still_cells(outlines.shapes, fill, said.hour, theme), *above]
        export_menu(
            "what_if.cells.export",
            "what-if",
            comparison.cells.assign(longitude=outlines.longitude, latitude=outlines.latitude),
            base_map.deck(still, city, theme),
            scenario_in_hand.command(scenario, run_id),
        )


def _curve(curves: Curves, outlines: CellOutlines, comparison: CurveComparison, cell: str, day: str, command: str) -> None:
    row = curves.index[cell]
    table = pd.DataFrame(
        {
            "cell_id": cell,
            "hour": np.arange(24),
            "observed": curves.observed[row],
            "before": comparison.before[row],
            "after": comparison.after[row],
            "low": comparison.band[row, :, 0],
            "high": comparison.band[row, :, 1],
        }
    )
    panels.panel(
        f"The day of {wording.literal(cell_choice.label(outlines, row))}, before and after",
        f"Drawn: trips that leave the cell in each local hour of {day}: what was observed, what the model said before the edits "
        "(blue) and says after them (pink, dashed), with its 80 % interval after them.",
        "Read: choose another cell on the map to see how far the change reaches; where the pink line lies on the blue one, nothing came.",
        "Do not conclude from a change much smaller than the interval: the model itself is not that sure.",
        "LMEMR specification §8.",
        actions=lambda: export_menu("what_if.cells.export.curve", "what-if-day", table, command=f"{command} --json", chart=True),
    )
    figure = day_curves(
        curves.observed[row],
        comparison.before[row],
        session.theme(),
        low=comparison.band[row, :, 0],
        high=comparison.band[row, :, 1],
        edited=comparison.after[row],
        hour=int(session.get(f"{CLOCK}.hour", 8)),
        height=300,
    )
    st.plotly_chart(figure, key="what_if.cells.curve", config=chart_config("what-if-day"), alt="Curve before and after the edits")


def _table(comparison: CurveComparison, outlines: CellOutlines, command: str) -> None:
    table = comparison.cells.assign(
        cell=[cell_choice.label(outlines, row) for row in range(len(comparison.cells))],
        longitude=outlines.longitude,
        latitude=outlines.latitude,
    )
    table = table[comparison.changed]
    panels.panel(
        "Cells that changed",
        "Drawn: every cell whose curve is not the same to the last bit, the largest change first.",
        "Read: steps count edges of the graph from the nearest edited cell; the hour is the one that changed most.",
        "Do not conclude from a change of a fraction of a trip.",
        actions=lambda: export_menu("what_if.cells.export.table", "changed-cells", table, command=command),
    )
    if table.empty:
        panels.nothing("Nothing changed", "Add an edit above, or choose one that this model reads.")
        return
    table = table.iloc[np.argsort(-table["change"].abs().to_numpy(), kind="stable")]
    shown = table[["cell", "edit", "steps", "before", "after", "change", "largest_change", "at_hour"]]
    st.dataframe(
        cell_tables.rounded(shown, "before", "after", "change", "largest_change"),
        hide_index=True,
        key="what_if.cells.table",
        column_config={
            "before": st.column_config.NumberColumn("trips a day before", format=cell_tables.NUMBER),
            "after": st.column_config.NumberColumn("after", format=cell_tables.NUMBER),
            "change": st.column_config.NumberColumn(format=cell_tables.NUMBER),
            "largest_change": st.column_config.NumberColumn("most in an hour", format=cell_tables.NUMBER),
            "at_hour": st.column_config.NumberColumn("at hour", format="%02d h"),
        },
    )


def difference(metric: str, value: float) -> str:
    """A difference of a figure as tables show it, without digits that only say how numbers are stored."""
    return wording.difference(metric, round(value, 5))


def _figures(run_id: str, predictor: "CurvePredictor", scenario: Scenario) -> None:
    panels.panel(
        "Figures before and after",
        "Drawn: every figure over the test cells, asked before and after all edits.",
        "Read: an interval of the difference that does not hold zero would also show with cells drawn anew, 19 times in 20.",
        "Do not conclude from edits of one cell; they can hardly move figures over all. A district left out changes which cells count, "
        "so no interval is given.",
        cell_errors.MEASURES,
    )
    if not scenario.edits:
        panels.nothing("Nothing to compare", "Add an edit above.")
        return
    with st.spinner("Asking for all test cells twice"):
        table = compare_curve_metrics(predictor, cell_data.grounds(run_id), scenario)
    show = {name: metric.show for name, metric in FLOW_METRICS.items()}
    rows = [
        {
            "figure": FLOW_METRICS[row.metric].title,
            "before": show[row.metric](row.before),
            "after": show[row.metric](row.after),
            "difference": difference(row.metric, row.difference),
            "95 % interval": f"{difference(row.metric, row.low)} to {difference(row.metric, row.high)}"
            if np.isfinite(row.low)
            else "–",
            "n before": row.n_before,
            "n after": row.n_after,
        }
        for row in table.itertuples()
    ]
    n = st.column_config.NumberColumn(format=cell_tables.NUMBER)
    st.dataframe(
        pd.DataFrame(rows),
        hide_index=True,
        key="what_if.cells.figures",
        height="content",
        column_config={"n before": n, "n after": n},
    )
    command = f"{scenario_in_hand.command(scenario, run_id)} --metrics"
    with st.container(horizontal=True, horizontal_alignment="right"):
        export_menu("what_if.cells.export.figures", "figures-before-and-after", table, command=command)
