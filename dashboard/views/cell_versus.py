"""Two runs of cells on the same test cells: which cells each wins, both answers on two maps of one hour, and a cell's day by both."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pydeck as pdk
import streamlit as st

from dashboard import cached, navigation, panels, python_lines, session, wording
from dashboard.cached import cell_data
from dashboard.cached.cell_data import CellOutlines, Curves
from dashboard.figures import base_map, cell_map, colours
from dashboard.figures.cell_map import HourlyFill
from dashboard.figures.curve_day import day_curves
from dashboard.figures.frame import chart_config
from dashboard.views import cell_choice, cell_tables, city_map, twin_maps
from dashboard.views.export_menu import export_menu
from engine.city.splits import PARTS
from engine.errors import MobiscopeError
from engine.runs import RunSummary

SIDES = ("first", "second")
SHOWN = {"predicted": "Predicted", "difference": "Predicted − observed"}
MOST_CELLS = cell_map.MOST_OUTLINES // 2
"""More cells than this are too much for two maps; the test cells are drawn alone."""


def versus(first: RunSummary, second: RunSummary) -> None:
    """Lists of the test cells each run wins, and both runs' answers on two maps with the same view.

    Args:
        first: A finished grid run.
        second: Another one on the same city, with the same test cells.

    Raises:
        MobiscopeError: If the city has other cells than the runs.
    """
    runs = (first, second)
    given = [cell_data.curves(run.id) for run in runs]
    answers = [curves.flow[cached.run_model(run.id)] for curves, run in zip(given, runs, strict=True)]
    curves, outlines = given[0], cell_data.outlines(first.city)
    if any(not np.array_equal(one.cell_ids.astype(str), outlines.ids.astype(str)) for one in given):
        raise MobiscopeError(
            "The two runs did not answer the cells the city has now, so their answers cannot be laid on one map. Train both again."
        )
    if not np.array_equal(curves.observed, given[1].observed, equal_nan=True):
        panels.nothing(
            "No cell is won or lost",
            "The two runs were judged by flows of different kinds of day, so neither can be nearer to what was counted.",
        )
        return
    cases = _cases(curves, answers, outlines)
    panels.panel(
        "Cells each wins",
        "Drawn: test cells by how many trips a day one run is nearer to what was counted; the errors of the 24 hours are added up.",
        "Read: choose a row; both runs' answers appear on two maps that follow one another, and its day below.",
        "Do not conclude from single cells; the differences above say what holds over all of them. Large cells are won by many trips.",
        actions=lambda: export_menu("versus.cells.export", "cells", cases, python=_lines(runs)),
    )
    if cases.empty:
        panels.nothing("No test cell to compare (n = 0)", "No hour of the test cells was counted.")
        return
    wins = [int((cases["gain"] > 0).sum()), int((cases["gain"] < 0).sum())]
    st.markdown(
        f"**{wording.literal(first.name)}** is nearer in {wording.count(wins[0])} of {wording.counted(len(cases), 'test cell')}, "
        f"**{wording.literal(second.name)}** in {wording.count(wins[1])}; in {wording.count(len(cases) - sum(wins))} they are equally near."
    )
    names = wording.told_apart(dict(zip(SIDES, (wording.literal(run.name) for run in runs), strict=True)))
    winner = st.segmented_control(
        "Won by", SIDES, default="first", required=True, format_func=names.__getitem__, key="versus.winner"
    )
    sign = 1 if winner == "first" else -1
    won = cases[sign * cases["gain"] > 0]
    won = won.loc[(-sign * won["gain"]).sort_values(kind="stable").index].reset_index(drop=True)
    if won.empty:
        panels.nothing("No such cell (n = 0)", "The other run is at least as near everywhere.")
        return
    row = _list(won, runs, str(winner))
    if st.button("Look inside this cell", key="versus.open", help="Opens the cell with the run that won it."):
        winning = runs[SIDES.index(str(winner))]
        session.set_run(winning.id, city=winning.city)
        session.select([str(outlines.ids[row])], "comparison of runs", kind="cell")
        navigation.open_page("grid_mobility")
    hour = _maps(runs, curves, answers, outlines, row)
    _days(runs, given, outlines, row, hour)


def _cases(curves: Curves, answers: list[np.ndarray], outlines: CellOutlines) -> pd.DataFrame:
    """One row per test cell with a known hour: its place, the trips counted a day, both errors, and by how much the first is nearer."""
    known = np.isfinite(curves.observed)
    rows = np.flatnonzero((curves.part == PARTS.index("test")) & known.any(axis=1))
    wrong = [np.where(known, np.abs(flow - curves.observed), 0.0).sum(axis=1)[rows] for flow in answers]
    return pd.DataFrame(
        {
            "row": rows,
            "cell_id": curves.cell_ids[rows],
            "cell": [cell_choice.label(outlines, int(row)) for row in rows],
            "observed": np.where(known, curves.observed, 0.0).sum(axis=1)[rows],
            "error_first": wrong[0],
            "error_second": wrong[1],
            "gain": wrong[1] - wrong[0],
            "longitude": outlines.longitude[rows],
            "latitude": outlines.latitude[rows],
        }
    )


def _lines(runs: tuple[RunSummary, RunSummary]) -> str:
    """Lines of Python that give the gain of every test cell."""
    return python_lines.of_runs(
        [run.id for run in runs],
        "tables = [run.table('predictions').query('predictor == @run.request.model and part == 2') for run in runs]",
        "wrong = [(table.predicted - table.observed).abs().groupby(table.cell_id).sum() for table in tables]",
        "gain = (wrong[1] - wrong[0]).sort_values(ascending=False)",
    )


def _list(won: pd.DataFrame, runs: tuple[RunSummary, RunSummary], winner: str) -> int:
    """The cells won; the row of the picked one, the first where none is picked."""
    names = wording.told_apart(dict(zip(SIDES, (run.name for run in runs), strict=True)))
    shown = won[["cell", "observed", "error_first", "error_second", "gain"]].assign(gain=won["gain"].abs())
    number = {"format": cell_tables.NUMBER}
    state = st.dataframe(
        cell_tables.rounded(shown, "observed", "error_first", "error_second", "gain"),
        key=f"versus.cells.{winner}",
        hide_index=True,
        height=260,
        on_select="rerun",
        selection_mode="single-row",
        column_config={
            "observed": st.column_config.NumberColumn("trips a day", **number),
            **{
                f"error_{side}": st.column_config.NumberColumn(f"wrong by, {names[side]}", help="Trips a day.", **number)
                for side in SIDES
            },
            "gain": st.column_config.NumberColumn("nearer by", help="Trips a day.", **number),
        },
    )
    picked = [row for row in state.selection.rows if row < len(won)]
    return int(won["row"].iloc[picked[0] if picked else 0])


def _fills(curves: Curves, answers: list[np.ndarray], shown: str) -> list[HourlyFill]:
    """The colours of both maps, with one scale."""
    if shown == "difference":
        apart = [flow - curves.observed for flow in answers]
        scale = cell_map.difference_fill(np.concatenate(apart))
        values = apart
    else:
        scale, values = cell_map.flow_fill(curves.observed, *answers), answers
    return [replace(scale, values=one) for one in values]


def _maps(runs: tuple[RunSummary, RunSummary], curves: Curves, answers: list[np.ndarray], outlines: CellOutlines, row: int) -> int:
    """Both answers on two maps that move together; returns the hour they show."""
    slug, theme = runs[0].city, session.theme()
    city, base = cached.city(slug), cached.base(slug, theme, places=False, buildings="none", faint=True)
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
        shown = str(
            st.segmented_control(
                "Shown", list(SHOWN), default="predicted", required=True, format_func=SHOWN.get, key="versus.cells.shown"
            )
        )
        hour = st.slider("Local hour", 0, 23, 8, key="versus.cells.hour", format="%02d:00", width=320)
    fills = _fills(curves, answers, shown)
    rows = np.arange(len(outlines.ids))
    is_few = len(rows) <= MOST_CELLS
    rows = rows if is_few else np.flatnonzero(curves.part == PARTS.index("test"))
    marks = [_marks(outlines, fill, hour, rows, row) for fill in fills]
    for column, run in zip(st.columns(2, gap="small"), runs, strict=True):
        column.markdown(f"**{wording.literal(run.name)}**, {SHOWN[shown].lower()} trips per hour")
    low, middle, high = fills[0].ticks()
    legend = [
        city_map.Entry("diverging" if shown == "difference" else "ramp", f"{low} · {middle} · {high} trips per hour"),
        city_map.Entry("ring", "chosen cell", colours.role("edited", theme)),
    ]
    alt = f"{SHOWN[shown]} trips per hour of {runs[0].name}, left, and of {runs[1].name}, right, at {hour:02d} h"
    twin_maps.draw(
        city, base.layers, *marks, key="versus.cells.maps", alt=alt, legend=legend, attribution=base.attribution, height=430
    )
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
        cells = "" if is_few else f" Of {wording.counted(len(outlines.ids), 'cell')} the test cells are drawn."
        st.caption(f"The two maps move together and share one scale and one hour.{cells}")
        with st.container(horizontal=True, gap="small", width="content"):
            for side, run, flow, own in zip(SIDES, runs, answers, marks, strict=True):
                table = pd.DataFrame(
                    {
                        "cell_id": outlines.ids,
                        "part": curves.parts(),
                        "hour": hour,
                        "observed": curves.observed[:, hour],
                        "predicted": flow[:, hour],
                        "longitude": outlines.longitude,
                        "latitude": outlines.latitude,
                    }
                )
                deck = base_map.deck([*base.layers, *own], city, theme)
                lines = python_lines.of_table(run.id, "predictions", f".query('hour == {hour}')")
                export_menu(
                    f"versus.cells.export.{side}", f"cells-{run.id}-{hour:02d}h", table, deck, python=lines, label=f"Export {side}"
                )
    return int(hour)


def _marks(outlines: CellOutlines, fill: HourlyFill, hour: int, rows: np.ndarray, chosen: int) -> list[pdk.Layer]:
    theme = session.theme()
    known = np.isfinite(fill.values[:, hour])
    rgb = fill.rgb(hour, theme).tolist()
    tints = [[*rgb[row], cell_map.OPACITY] if known[row] else [128, 128, 128, 25] for row in rows]
    tips = [
        f"{cell_choice.label(outlines, int(row))}\n"
        + (f"{wording.significant(float(fill.values[row, hour]))} trips per hour" if known[row] else "no flow known")
        for row in rows
    ]
    cells = cell_map.part_layer(outlines.shapes[rows], tints, tips)
    ring = colours.rgba(colours.role("edited", theme))
    return [cells, cell_map.courses_layer("chosen", cell_map.outline_courses(outlines.shapes[[chosen]]), ring, 3)]


def _days(runs: tuple[RunSummary, RunSummary], given: list[Curves], outlines: CellOutlines, row: int, hour: int) -> None:
    """The chosen cell's day by both runs, side by side with one upward axis."""
    name = wording.literal(cell_choice.label(outlines, row))
    models = [cached.run_model(run.id) for run in runs]
    table = pd.DataFrame(
        {
            "cell_id": outlines.ids[row],
            "hour": np.arange(24),
            "observed": given[0].observed[row],
            **{
                f"{value}_{side}": getattr(curves, field)[model][row]
                for side, curves, model in zip(SIDES, given, models, strict=True)
                for value, field in (("predicted", "flow"), ("low", "low"), ("high", "high"))
            },
        }
    )
    panels.panel(
        f"A day in {name}, by both",
        "Drawn: trips that leave the cell in each local hour: observed in the foreground colour, predicted blue with the run's own 80 % "
        "interval; one upward axis for both.",
        "Read: the run whose blue line lies nearer to the observed one wins the cell.",
        "Do not conclude from a narrow band that a run is right: how often bands hold stands among the figures of each run.",
        actions=lambda: export_menu(
            "versus.cells.day.export",
            "day-by-both",
            table,
            command="\n".join(f"mobiscope predict {run.id} --cell {outlines.ids[row]}" for run in runs),
            chart=True,
        ),
    )
    top = float(np.nanmax(table.drop(columns=["cell_id", "hour"]).to_numpy(float)))
    for column, side, run, curves, model in zip(st.columns(2, gap="small"), SIDES, runs, given, models, strict=True):
        figure = day_curves(
            curves.observed[row],
            curves.flow[model][row],
            session.theme(),
            low=curves.low[model][row],
            high=curves.high[model][row],
            hour=hour,
            height=250,
        ).update_yaxes(range=[0, 1.05 * max(top, 1e-9)])
        column.plotly_chart(figure, key=f"versus.cells.day.{side}", config=chart_config(f"day-{run.id}"), alt=f"Day by {run.name}")
