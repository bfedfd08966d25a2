"""The day of a cell, or the mean day of several: observed, predicted, and how far apart they are."""

import numpy as np
import pandas as pd
import streamlit as st

from dashboard import cached, panels, session, wording
from dashboard.cached import cell_data
from dashboard.cached.cell_data import CellOutlines, Curves
from dashboard.figures.curve_day import day_curves
from dashboard.figures.frame import chart_config
from dashboard.views import cell_choice, cell_errors
from dashboard.views.export_menu import export_menu
from engine.city.weather import WEEKDAY_IN_BAD_WEATHER, WEEKDAY_IN_FAIR_WEATHER

MOST_SINGLES = 60
DAYS = {"all": "day", "weekend": "weekend day"} | {
    name: name for name in ("weekday", WEEKDAY_IN_BAD_WEATHER, WEEKDAY_IN_FAIR_WEATHER)
}
"""Kinds of day as the phrase says them after "an average"; a city may bring others."""


def average_day(day_type: str) -> str:
    """Which day flows are of, as a phrase: `an average weekday in bad weather`."""
    return f"an average {DAYS[day_type]}" if day_type in DAYS else f"an average day of the kind “{wording.literal(day_type)}”"


def draw(
    curves: Curves,
    outlines: CellOutlines,
    cells: list[str],
    predictor: str,
    hour: int,
    clusters: np.ndarray | None,
    run_id: str,
    greys: dict[str, np.ndarray] | None = None,
) -> None:
    """The panel.

    Args:
        curves: Of the run.
        outlines: Of its cells.
        cells: Ids; the first one's details are shown.
        predictor: Whose prediction is blue.
        hour: Where the map's clock stands.
        clusters: (cell,) cluster of each cell's curve, for the grey line; None where there are none.
        run_id: For the command.
        greys: Further grey lines, for the first cell.
    """
    rows = np.array([curves.index[cell] for cell in cells])
    several = len(rows) > 1
    observed, predicted = _mean(curves.observed[rows]), _mean(curves.flow[predictor][rows])
    low = high = None
    lines: dict[str, np.ndarray] = dict(greys or {})
    if not several:
        low, high = curves.low[predictor][rows[0]], curves.high[predictor][rows[0]]
        if clusters is not None and clusters[rows[0]] >= 0:
            mine = clusters == clusters[rows[0]]
            lines[f"cluster {clusters[rows[0]] + 1}, mean"] = _mean(curves.observed[mine])
    day = average_day(cell_data.run_cells(run_id).day_type)
    title = (
        f"The mean of {wording.counted(len(rows), 'cell')} on {day}"
        if several
        else f"{day[0].upper()}{day[1:]} in {wording.literal(cell_choice.label(outlines, int(rows[0])))}"
    )
    panels.panel(
        title,
        f"Drawn: trips that leave the cell in each local hour of {day}: observed in the foreground colour, predicted blue; the "
        "band holds 80 % by the model's own account. Grey: the best baseline, and the mean day of the cells alike in "
        "level and shape."
        if not several
        else "Drawn: the mean of the chosen cells, observed and predicted, and each observed curve thin behind it. No band: intervals of "
        "single cells do not add up to one of their mean.",
        "Read: level and shape are two skills. A blue curve of the right shape at the wrong height has seen what the place is for, not "
        "how large it is.",
        "Do not conclude from a training cell: its curve was learnt. The line above the chart says which part the cell belongs to.",
        "LMEMR §3.6; the interval spans the bins that hold 80 % of the probability.",
        actions=lambda: export_menu(
            "grid.day.export", "day", _table(curves, outlines, rows, predictor), command=_command(run_id, cells[0]), chart=True
        ),
    )
    st.caption(_facts(curves, rows, predictor, outlines))
    figure = day_curves(
        observed,
        predicted,
        session.theme(),
        low=low,
        high=high,
        greys=lines,
        singles=list(curves.observed[rows[:MOST_SINGLES]]) if several else (),
        hour=hour,
        height=370,
    )
    st.plotly_chart(figure, key="grid.day", config=chart_config("day"), alt=f"Observed and predicted trips per hour, {title}")
    if low is not None and np.isfinite(low).any():
        st.caption(cell_errors.interval_held(cached.run_table(run_id, "metrics"), predictor))
    if not np.isfinite(observed).any():
        st.caption("No flow is known here, so there is nothing to hold the prediction against.")


def _mean(curves: np.ndarray) -> np.ndarray:
    known = np.isfinite(curves)
    count = known.sum(axis=0)
    return np.where(count > 0, np.where(known, curves, 0.0).sum(axis=0) / np.maximum(count, 1), np.nan)


def _facts(curves: Curves, rows: np.ndarray, predictor: str, outlines: CellOutlines) -> str:
    parts = pd.Series(curves.parts()).iloc[rows].value_counts()
    who = (
        ", ".join(f"{wording.counted(count, f'{cell_data.PART_WORDS[part]} cell')}" for part, count in parts.items())
        if len(rows) > 1
        else f"{cell_data.PART_WORDS[parts.index[0]]} cell"
    )
    observed, flow = curves.observed[rows], curves.flow[predictor][rows]
    known = np.isfinite(observed)
    if not known.any():
        return who
    error = float(np.abs(flow - observed)[known].mean())
    words = [who, f"MAE {wording.significant(error)} trips an hour"]
    total = float(observed[known].sum())
    if total > 0:
        words.append(f"error {wording.percent(float(np.abs(flow - observed)[known].sum()) / total)} of all trips (WAPE)")
    if len(rows) == 1 and known.all() and np.ptp(observed) > 0 and np.ptp(flow) > 0:
        words.append(f"shape correlation {float(np.corrcoef(observed[0], flow[0])[0, 1]):.2f}")
    return wording.literal(" · ".join(words), limit=300)


def _table(curves: Curves, outlines: CellOutlines, rows: np.ndarray, predictor: str) -> pd.DataFrame:
    count = len(rows)
    return pd.DataFrame(
        {
            "cell_id": np.repeat(curves.cell_ids[rows], 24),
            "hour": np.tile(np.arange(24), count),
            "part": np.repeat(np.array(curves.parts(), object)[rows], 24),
            "observed": curves.observed[rows].ravel(),
            "predicted": curves.flow[predictor][rows].ravel(),
            "low": curves.low[predictor][rows].ravel(),
            "high": curves.high[predictor][rows].ravel(),
            "longitude": np.repeat(outlines.longitude[rows], 24),
            "latitude": np.repeat(outlines.latitude[rows], 24),
        }
    )


def _command(run_id: str, cell: str) -> str:
    return f"mobiscope predict {run_id} --cell {cell}"
