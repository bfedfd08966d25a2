"""Which cells a grid model leaves behind: quiet ones, single hours, districts; every group with its n and interval."""

import shlex
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
import streamlit as st

from dashboard import cached, navigation, panels, python_lines, session, wording
from dashboard.cached import cell_data
from dashboard.cached.cell_data import CellOutlines, Curves
from dashboard.figures import base_map, cell_map, colours
from dashboard.figures.frame import chart_config
from dashboard.figures.slice_bars import slice_bars
from dashboard.views import cell_choice, cell_day, cell_errors, cell_tables, city_map, slices
from dashboard.views.export_menu import export_menu
from engine.city.cell_flows import hourly_outflow
from engine.city.splits import PARTS
from engine.evaluation.flow_metrics import CURVE_METRICS, FLOW_METRICS
from engine.evaluation.flow_report import FLOW_SLICES, flow_deciles

QUESTION = "Who is left behind?"
MOST_CASES = 300


def draw(slug: str, run_id: str) -> None:
    """The page for a grid run."""
    series = slices.series_of(run_id)
    outlines = cell_data.outlines(slug)
    own_day = cell_data.run_cells(run_id).day_type
    head = st.container()
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
        name = st.selectbox(
            "Slice", list(FLOW_SLICES), index=list(FLOW_SLICES).index("decile"), format_func=lambda one: FLOW_SLICES[one].title,
            key="long_tail.cells.slice", width=230,
        )  # fmt: skip
        offered = [metric for metric in FLOW_METRICS if not (name in ("hour", "period") and metric in CURVE_METRICS)]
        metric = st.selectbox(
            "Figure", offered, index=offered.index("wape"), format_func=lambda one: FLOW_METRICS[one].title,
            key="long_tail.cells.metric", width=240,
        )  # fmt: skip
        labels = {item.label: item for item in series}
        best = cell_errors.best_baseline(cached.run_table(run_id, "metrics"), cached.run_model(run_id), metric)
        proposed = [item.label for item in series if item is series[0] or (item.run_id == run_id and item.predictor == best)]
        wanted = st.multiselect("Compared", list(labels), default=proposed, key="long_tail.cells.series")
    with head:
        panels.head(QUESTION, _answer_by_day(series[0], own_day) if name == "day" else _answer(series[0], own_day))
    chosen = [labels[label] for label in wanted]
    if not chosen:
        panels.nothing("Nothing is compared", "Choose a run or a baseline above.")
        return
    table = slices.measured(chosen, name, metric)
    if table.empty:
        panels.nothing("These runs kept no figures of this slice", "They were judged before it existed; train again to see it.")
        return
    left, right = st.columns([50, 50], gap="medium")
    with right:
        group = _bars(table, chosen, name, metric)
    # The flows it was judged on are its own: runs of one table of cells may be of different kinds of day.
    curves = cell_data.curves(chosen[0].run_id)
    rows = _cells_of(chosen[0].run_id, curves, outlines, name, group)
    judged = _Judged.of(slug, chosen[0], curves, group if name == "day" else None)
    whose = f" of {wording.literal(group)}" if group and name != "day" else ""
    with left:
        _map(slug, outlines, rows, judged, whose)
    if name == "day":
        _days(slug, table)
    _cases(outlines, rows, judged, whose)


def _answer_by_day(model: slices.Series, own_day: str) -> str:
    """How wrong the curves are for the kind of day they are of, and for the one that they fit least."""
    table = slices.measured([model], "day", "wape")
    table = table[(table["n"] > 0) & table["value"].notna()].set_index("group")
    if own_day not in table.index:
        return "This run kept no figures by kind of day; train it again to see them."
    show, own = FLOW_METRICS["wape"].show, table.loc[own_day]
    said = (
        f"The curves are of {cell_day.average_day(own_day)}, the kind of day they were learnt from; there the error is {show(own['value'])} "
        f"of all trips (n = {wording.count(own['n'])} cell hours)."
    )
    others = table.drop(index=own_day)
    if others.empty:
        return f"{said} The city has flows of no other kind of day."
    worst = others.loc[others["value"].idxmax()]
    return f"{said} Held against {cell_day.average_day(str(worst.name))} it is {show(worst['value'])} (n = {wording.count(worst['n'])})."


def _answer(model: slices.Series, own_day: str) -> str:
    table = slices.measured([model], "decile", "wape")
    table = table[table["n"] > 0]
    if len(table) < 2:
        return "This run's test part has too few cells to tell quiet ones from busy ones."
    quiet, busy = table.iloc[0], table.iloc[-1]
    said = (
        f"In the quietest test cells ({wording.literal(quiet['group'])} by trips on {cell_day.average_day(own_day)}, "
        f"n = {wording.count(quiet['n'])} cell hours) the "
        f"error is {FLOW_METRICS['wape'].show(quiet['value'])} of all trips, in the busiest ({wording.literal(busy['group'])}, "
        f"n = {wording.count(busy['n'])}) {FLOW_METRICS['wape'].show(busy['value'])}."
    )
    hours = slices.measured([model], "hour", "wape")
    hours = hours[(hours["n"] > 0) & hours["value"].notna()]
    if len(hours):
        worst = hours.loc[hours["value"].idxmax()]
        said += f" The hardest hour is {wording.literal(worst['group'])} h ({FLOW_METRICS['wape'].show(worst['value'])})."
    return said


def _bars(table: pd.DataFrame, chosen: list[slices.Series], name: str, metric: str) -> str | None:
    declared, measure = FLOW_SLICES[name], FLOW_METRICS[metric]
    runs = dict.fromkeys(series.run_id for series in chosen)
    command = "\n".join(shlex.join(["mobiscope", "evaluate", run, "--slice", name]) for run in runs)
    panels.panel(
        f"{measure.title} by {declared.title[0].lower()}{declared.title[1:]}",
        f"Drawn: {measure.meaning} {declared.meaning} The line through a dot is the 95 % interval from drawing cells anew.",
        "Read: compare dots inside one group; n counts cell hours, and a cell's 24 hours belong together. Percentages of few trips are "
        "large by nature: look at MAE beside WAPE.",
        "Do not conclude that quiet cells are neglected because their R² is low: where all flows are small there is little variance to explain.",
        cell_errors.MEASURES,
        actions=lambda: export_menu("long_tail.cells.export", f"{metric}-by-{name}", table, command=command, chart=True),
    )
    unit = {"share": "share", "metres": "m"}.get(measure.unit, measure.unit)
    models = {item.label for item in chosen if item.is_model}
    remembered = session.get("long_tail.cells.group", None)
    groups = [str(group) for group in table.loc[table["n"] > 0, "group"].unique()]
    selected = remembered if remembered in groups else None
    figure = slice_bars(table, unit, session.theme(), models=models, title=measure.title, height=380, selected=selected)
    state = st.plotly_chart(
        figure,
        key=f"long_tail.cells.bars.{name}.{metric}",
        on_select="rerun",
        selection_mode="points",
        config=chart_config("slices"),
        alt=f"{measure.title} by {declared.title}",
    )
    points = state["selection"]["points"] if state else []
    if points:
        clicked = str(points[0]["customdata"][0])
        if clicked != selected and clicked in groups:
            session.put("long_tail.cells.group", clicked)
            st.rerun()
    group = st.pills(
        "Cells of", groups, default=selected, format_func=wording.literal, key=f"long_tail.cells.group.{name}.{selected}"
    )
    if group != selected:
        session.put("long_tail.cells.group", group)
        st.rerun()
    return group


def _cells_of(run_id: str, curves: Curves, outlines: CellOutlines, name: str, group: str | None) -> np.ndarray:
    """(cell,) bool: the test cells of a group; all test cells where the groups are hours."""
    test = curves.part == PARTS.index("test")
    if group is None or name in ("hour", "period", "day"):
        return np.asarray(test)
    if name == "district":
        return np.asarray(test & (outlines.district == group))
    if name == "part":
        return np.asarray(curves.part == PARTS.index(group)) if group in PARTS else test
    tenth = flow_deciles(cell_data.run_cells(run_id)) + 1
    return np.asarray(test & (np.array([f"decile {one}" for one in tenth]) == group))


@dataclass(frozen=True)
class _Judged:
    """The curves of one predictor beside the flows they are judged by.

    Attributes:
        series: The predictor.
        day: Whose flows `observed` are, as a phrase.
        predicted, observed: (cell, hour) trips; observed is NaN where unknown.
        python: Lines of Python that give the error of every cell, in trips a day and as a share of its own.
    """

    series: slices.Series
    day: str
    predicted: np.ndarray
    observed: np.ndarray
    python: str

    @classmethod
    def of(cls, slug: str, series: slices.Series, curves: Curves, day: str | None) -> "_Judged":
        """By the flows of the run's own kind of day, or of `day`."""
        observed, of_day, imports = curves.observed, "table.observed", []
        if day is not None:
            observed = hourly_outflow(cached.city(slug), day)
            of_day = f"hourly_outflow(open_city({slug!r}), {day!r}).ravel()  # cell by cell, as the table"
            imports = ["from engine.city.cell_flows import hourly_outflow", "from engine.city.city import open_city"]
        python = python_lines.of_run(
            series.run_id,
            f"table = run.table('predictions').query({f'predictor == {series.predictor!r}'!r})",
            f"observed = {of_day}",
            "table = table.assign(observed=observed, wrong=(table.predicted - observed).abs())",
            "cells = table.groupby('cell_id', sort=False)",
            "wrong = cells['wrong'].sum(min_count=1)",
            "share = wrong / cells['observed'].sum()",
            imports=imports,
        )
        phrase = cell_day.average_day(day or cell_data.run_cells(series.run_id).day_type)
        return cls(series, phrase, curves.flow[series.predictor], observed, python)

    @cached_property
    def error(self) -> np.ndarray:
        """(cell,) trips a day the prediction is wrong by; NaN where no hour is known."""
        wrong = np.abs(self.predicted - self.observed)
        known = np.isfinite(wrong)
        return np.where(known.any(axis=1), np.where(known, wrong, 0).sum(axis=1), np.nan)

    @cached_property
    def share(self) -> np.ndarray:
        """(cell,) the same as a share of the observed trips; NaN without any."""
        total = np.nansum(self.observed, axis=1)
        return np.divide(self.error, total, out=np.full(len(total), np.nan), where=total > 0)


def _map(slug: str, outlines: CellOutlines, rows: np.ndarray, judged: _Judged, whose: str) -> None:
    theme, city = session.theme(), cached.city(slug)
    error, share = judged.error, judged.share
    panels.panel(
        f"How wrong, cell by cell{whose}, on {judged.day}",
        f"Drawn: the error of {wording.literal(judged.series.label)} against the flows of {judged.day}, as a share of the cell's own trips; "
        "only the cells of the chosen group.",
        "Read: yellow cells are predicted worst for their size. At 100 % the error is as large as the flow.",
        "Do not conclude from a single quiet cell: one trip more is a large share of few.",
        "WAPE of one cell; specification §4.",
    )
    tints = []
    for row in range(len(rows)):
        if rows[row] and np.isfinite(share[row]):
            rgb = colours.ramp(np.array([share[row]]), colours.scale("sequential", theme))[0].tolist()
            tints.append([*rgb, 215])
        else:
            tints.append([128, 128, 128, 25])
    tips = [
        f"{cell_choice.label(outlines, row)}\nwrong by {wording.significant(float(error[row]))} trips a day"
        if np.isfinite(error[row])
        else f"{cell_choice.label(outlines, row)}\nno flow known"
        for row in range(len(rows))
    ]
    base = cached.base(slug, theme, places=False, buildings="none", faint=True)
    layers = [*base.layers, cell_map.part_layer(outlines.shapes, tints, tips)]
    legend = [city_map.Entry("ramp", "error, share of the cell's trips: 0 to 100 % and more")]
    city_map.draw(
        city,
        layers,
        key="long_tail.cells.map",
        alt="Map of errors per cell",
        legend=legend,
        attribution=base.attribution,
        height=430,
    )
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
        st.caption(f"{wording.counted(int(rows.sum()), 'cell')}; grey ones are not of this group.")
        table = pd.DataFrame(
            {
                "cell_id": outlines.ids,
                "in_group": rows,
                "error_trips_a_day": error,
                "error_share": share,
                "longitude": outlines.longitude,
                "latitude": outlines.latitude,
            }
        )
        deck = base_map.deck(layers, city, theme)
        export_menu("long_tail.cells.map.export", "errors-by-cell", table, deck, python=judged.python)


def _days(slug: str, table: pd.DataFrame) -> None:
    """What the kinds of day are good for, and how to get one of bad weather."""
    compared = "A run that learned from one of these kinds of day (under Split on Train) can be chosen under Compared."
    if table["group"].astype(str).str.contains("weather").any():
        st.caption(
            "The model knows nothing of weather: what it loses on weekdays in bad weather is what an average weekday cannot tell. "
            + compared
        )
        return
    known = "The city has daily weather, but its flows" if cached.city(slug).has("weather") else "The flows"
    st.caption(
        f"{known} were brought without dates, so no hour can be told to have been wet. Bring flows with a date per row together with daily "
        f"weather, and weekdays in bad and in fair weather stand here too; or flows of a day type of your own, such as `rain`. {compared}"
    )


def _cases(outlines: CellOutlines, rows: np.ndarray, judged: _Judged, whose: str) -> None:
    error, share = judged.error, judged.share
    at = np.flatnonzero(rows & np.isfinite(error))
    exported = pd.DataFrame(
        {"cell_id": outlines.ids[at], "error_trips_a_day": error[at], "error_share": share[at], "longitude": outlines.longitude[at],
         "latitude": outlines.latitude[at]}
    )  # fmt: skip
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
        st.subheader(f"Cells{whose}, worst first, on {judged.day}", anchor=False)
        export_menu("long_tail.cells.cases.export", "cells", exported, python=judged.python)
    if not len(at):
        panels.nothing("No cell here (n = 0)", "Choose another group.")
        return
    order = at[np.argsort(-np.nan_to_num(share[at], nan=-1), kind="stable")][:MOST_CASES]
    table = pd.DataFrame(
        {
            "cell": [cell_choice.label(outlines, int(row)) for row in order],
            "observed": judged.observed[order].sum(axis=1),
            "predicted": judged.predicted[order].sum(axis=1),
            "error": error[order],
            "share": share[order],
            "day": [[float(value) for value in judged.observed[row]] for row in order],
        }
    )
    state = st.dataframe(
        cell_tables.rounded(table, "observed", "predicted", "error", "share"),
        hide_index=True,
        on_select="rerun",
        selection_mode="single-row",
        key="long_tail.cells.cases",
        height=320,
        column_config={
            "observed": st.column_config.NumberColumn("trips a day", format=cell_tables.NUMBER),
            "predicted": st.column_config.NumberColumn("predicted", format=cell_tables.NUMBER),
            "error": st.column_config.NumberColumn("wrong by", format=cell_tables.NUMBER),
            "share": st.column_config.NumberColumn("share", format="percent"),
            "day": st.column_config.LineChartColumn("observed day"),
        },
    )
    picked = [int(row) for row in state.selection.rows if row < len(order)]
    if picked:
        name = cell_choice.label(outlines, int(order[picked[0]]))
        if st.button(f"Look inside {wording.literal(name)}", key="long_tail.cells.open", type="primary"):
            session.select([str(outlines.ids[order[picked[0]]])], "long tail", kind="cell")
            navigation.open_page("grid_mobility")
    else:
        st.caption("Choose a row to look inside the cell.")
