"""Where a run of curves errs: by hour and by district, beside its baselines; and the same run under the other kind of split."""

import numpy as np
import pandas as pd
import streamlit as st

from dashboard import cached, navigation, panels, python_lines, session, wording
from dashboard.cached import cell_data
from dashboard.figures.calibration import reliability_dots
from dashboard.figures.curve_day import hour_errors
from dashboard.figures.frame import chart_config
from dashboard.figures.slice_bars import slice_bars
from dashboard.views.export_menu import export_menu
from engine.city.cell_splits import CellSplit
from engine.cli import command_for
from engine.errors import MobiscopeError
from engine.evaluation.flow_metrics import FLOW_METRICS
from engine.runs import Run, submit

SHOWN = ("r2", "mae", "wape", "oa", "oa_near", "r2_flow", "log_mape", "mape", "coverage", "crps", "calibration")
LEAKAGE = 0.1
ALIKE = 0.02
"""Stated and true share closer than this are told as alike."""
SIDE_BY_SIDE = ("r2", "r2_flow", "mae", "wape", "mape", "log_mape", "oa", "oa_near", "shape", "peak_hours", "coverage")
KINDS = {"random_cells": "random cells", "spatial_blocks": "spatial blocks", "districts": "whole districts"}
MEASURES = (
    "R² is on the scale of ln(1 + trips), as in the paper: it rewards the right order of magnitude everywhere, and a cell of ten trips "
    "counts as much as one of ten thousand; R² of trips is beside it. MAPE of the log flow is what the paper calls MAPE: 0.19 there "
    "is an error of 19 % of the logarithm, not of the trips."
)


def draw(run_id: str) -> None:
    """Errors by hour and by district."""
    table, model = cached.run_table(run_id, "metrics"), cached.run_model(run_id)
    offered = [name for name in SHOWN if name in set(table["metric"])]
    panels.panel(
        "Where it errs",
        "Drawn: one figure over the test cells, by hour of the day and by district, for the model (blue) and the best baseline (grey), "
        "with 95 % intervals from drawing cells anew.",
        "Read: n counts cell hours. Wide intervals mean few cells; an hour where both are bad is a hard hour, not a bad model.",
        MEASURES,
        "Specification §4; docs/evaluation.md.",
        actions=lambda: export_menu(
            "grid.errors.export", "errors", table, command=f"mobiscope evaluate {run_id} --slice hour", chart=True
        ),
    )
    metric = st.selectbox("Figure", offered, format_func=lambda name: FLOW_METRICS[name].title, key="grid.metric", width=280)
    st.caption(FLOW_METRICS[metric].meaning)
    best = best_baseline(table, model, metric)
    left, right = st.columns([50, 50], gap="medium")
    with left:
        hours = _by_hour(table, [model, *([best] if best else [])], metric)
        figure = hour_errors(hours, axis(metric), session.theme())
        st.plotly_chart(
            figure, key="grid.errors.hour", config=chart_config("errors-by-hour"), alt=f"{FLOW_METRICS[metric].title} by hour"
        )
    with right:
        rows = table[(table["slice"] == "district") & (table["metric"] == metric) & table["predictor"].isin([model, best])]
        rows = rows[rows["n"] > 0]
        if rows.empty:
            panels.nothing("No districts to tell apart", "The cells name no district, or no test cell lies in one.")
        else:
            titles = dict(zip(table["predictor"], table["title"], strict=True))
            shown = rows.assign(series=rows["predictor"].map(titles)).sort_values(
                ["group", "predictor"], key=lambda of: of if of.name == "group" else of.ne(model)
            )
            unit = "share" if FLOW_METRICS[metric].unit == "share" else FLOW_METRICS[metric].unit
            figure = slice_bars(shown, unit, session.theme(), models={titles[model]}, title=FLOW_METRICS[metric].title, height=280)
            st.plotly_chart(
                figure,
                key="grid.errors.district",
                config=chart_config("errors-by-district"),
                alt=f"{FLOW_METRICS[metric].title} by district",
            )
    _all_baselines(table, model)
    _calibration(run_id, model)


def _calibration(run_id: str, model: str) -> None:
    """How often the answered bin is right, by how probable the model said it is."""
    has = "reliability" in Run.open(run_id).tables()
    table = cached.run_table(run_id, "reliability") if has else pd.DataFrame(columns=["predictor"])
    table = table[table["predictor"] == model].drop(columns="predictor")
    panels.panel(
        "Calibration of the bins",
        "Drawn: hours of test cells by the probability the model gave the bin it answered, and the share of them in which that bin was "
        "the true one, with 95 % intervals from drawing cells anew; area by the number of hours.",
        "Read: on the line the model is as sure as it may be. Below it, it is right less often than it says; above it, more often. The mean "
        "distance from the line, weighted by hours, is the calibration error among the figures above.",
        "Do not conclude from calibrated bins that they are narrow or right: a model that always states how often each bin occurs is on the "
        "line too. OA and CRPS tell the rest.",
        "LMEMR §3.6; reliability diagrams: DeGroot and Fienberg (1983).",
        actions=(
            lambda: export_menu(
                "grid.calibration.export", "calibration", table, python=python_lines.of_table(run_id, "reliability"), chart=True
            )
        )
        if len(table)
        else None,
    )
    if table.empty:
        panels.nothing(
            "No probabilities of bins",
            "This model answers with curves alone."
            if has
            else "This run kept no table of them; train it again to see how sure it is.",
        )
        return
    left, right = st.columns([50, 50], gap="medium")
    with left:
        st.plotly_chart(
            reliability_dots(table, session.theme()),
            key="grid.calibration",
            config=chart_config("calibration"),
            alt="Share of hours whose answered bin is right by the stated probability",
        )
    with right:
        st.markdown(_calibration_said(table))
        st.caption(f"n = {wording.counted(table['n'].sum(), 'cell hour')}.")


def _calibration_said(table: pd.DataFrame) -> str:
    """In words, whether the model is as sure as it may be."""
    stated, right = (float(np.average(table[name], weights=table["n"])) for name in ("confidence", "share_right"))
    sure = (
        "as sure as it may be"
        if abs(stated - right) < ALIKE
        else "surer than it may be"
        if stated > right
        else "less sure than it may be"
    )
    return (
        f"On average the model gives the bin it answers {wording.percent(stated)} and is right in {wording.percent(right)} of the hours: it is "
        f"{sure}."
    )


def best_baseline(table: pd.DataFrame, model: str, metric: str = "r2") -> str | None:
    """The baseline that is best over the test cells; None where there is none."""
    rows = table[(table["slice"] == "all") & (table["metric"] == metric) & (table["predictor"] != model) & table["value"].notna()]
    if rows.empty:
        return None
    at = rows["value"].idxmax() if FLOW_METRICS[metric].higher_is_better else rows["value"].idxmin()
    return str(rows.loc[at, "predictor"])


def interval_held(table: pd.DataFrame, predictor: str) -> str:
    """How often the stated 80 % interval held over the test cells, as a sentence; empty for a predictor without one."""
    rows = table[
        (table["slice"] == "all") & (table["metric"] == "coverage") & (table["predictor"] == predictor) & table["value"].notna()
    ]
    if rows.empty:
        return ""
    row = rows.iloc[0]
    return (
        f"Its 80 % interval held {wording.percent(row['value'])} ({wording.percent(row['low'])} to {wording.percent(row['high'])}) of the "
        f"hours of test cells, n = {wording.count(row['n'])}."
    )


def _by_hour(table: pd.DataFrame, predictors: list[str], metric: str) -> dict[str, tuple[np.ndarray, np.ndarray, np.ndarray]]:
    found = {}
    factor = 100 if FLOW_METRICS[metric].unit == "share" else 1
    for name in predictors:
        rows = table[(table["slice"] == "hour") & (table["metric"] == metric) & (table["predictor"] == name)].sort_values("group")
        if len(rows) == 24:
            value, low, high = (factor * rows[column].to_numpy(float) for column in ("value", "low", "high"))
            found[str(rows["title"].iloc[0])] = (value, low, high)
    return found


def axis(metric: str) -> str:
    """A figure with its unit, for the axis of a chart."""
    unit = {"share": "%", "": ""}.get(FLOW_METRICS[metric].unit, FLOW_METRICS[metric].unit)
    return f"{FLOW_METRICS[metric].title}{', ' + unit if unit else ''}"


def _all_baselines(table: pd.DataFrame, model: str) -> None:
    overall = table[table["slice"] == "all"]
    names = [name for name in ("r2", "r2_flow", "mae", "wape", "oa", "shape", "peak_hours") if name in set(overall["metric"])]
    order = overall[overall["metric"] == "r2"].sort_values("value", ascending=False, na_position="last")["predictor"]
    rows = []
    for predictor in order:
        mine = overall[overall["predictor"] == predictor].set_index("metric")
        rows.append({"method": str(mine["title"].iloc[0])} | {FLOW_METRICS[name].title: _shown(mine, name) for name in names})
    # A table that breaks its lines: each figure brings its interval along, and eight of them have no room in one line.
    st.table(pd.DataFrame(rows).set_index("method"), border="horizontal")
    n = overall.loc[(overall["predictor"] == model) & (overall["metric"] == "mae"), ["n", "users"]]
    if len(n):
        st.caption(
            f"All test cells: n = {wording.counted(n['n'].iloc[0], 'cell hour')} of {wording.counted(n['users'].iloc[0], 'cell')}; "
            "95 % intervals in brackets. " + MEASURES
        )


def _shown(rows: pd.DataFrame, metric: str) -> str:
    if metric not in rows.index:
        return "–"
    row, show = rows.loc[metric], FLOW_METRICS[metric].show
    return show(row["value"]) + (f" ({show(row['low'])} to {show(row['high'])})" if pd.notna(row["low"]) else "")


def twins(run_id: str) -> None:
    """The same run under both kinds of split, and a button for the one that is missing."""
    found = cell_data.twin_runs(run_id)
    of_model, of_best = {}, {}
    r2_by_kind = {}
    for kind, summary in found.items():
        table = cached.run_table(summary.id, "metrics")
        model = cached.run_model(summary.id)
        for name, columns in ((model, of_model), (best_baseline(table, model), of_best)):
            mine = table[(table["slice"] == "all") & (table["predictor"] == name)].set_index("metric")
            if len(mine):
                columns[f"{mine['title'].iloc[0]}, {KINDS.get(kind, kind)}"] = [_shown(mine, metric) for metric in SIDE_BY_SIDE]
                if name == model:
                    r2_by_kind[kind] = float(mine.loc["r2", "value"])
    shown = pd.DataFrame({"figure": [FLOW_METRICS[metric].title for metric in SIDE_BY_SIDE], **of_model, **of_best})
    panels.panel(
        "Random cells and spatial blocks",
        "Drawn: the same model with the same settings and seed, judged once on cells drawn one by one and once on whole blocks or "
        "districts that training never saw.",
        "Read: a random test cell lies among training cells that resemble it. The block split asks about a part of town nobody counted; "
        "the gap between the two is what nearness gave away.",
        "Do not compare a figure of random cells with one of blocks elsewhere: they answer different questions.",
        "Specification §2.",
        actions=lambda: export_menu(
            "grid.twins.export",
            "splits",
            shown,
            command="\n".join(f"mobiscope evaluate {summary.id}" for summary in found.values()),
        ),
    )
    st.dataframe(shown, hide_index=True, key="grid.twins", height="content")
    if {"random_cells", "spatial_blocks"} <= set(r2_by_kind):
        st.caption(_given_away(r2_by_kind["random_cells"] - r2_by_kind["spatial_blocks"]))
    for kind in ("random_cells", "spatial_blocks"):
        if kind not in found:
            _train(run_id, kind)


def _given_away(gap: float) -> str:
    """What the difference in R² of both splits means; the threshold is that of the specification, section 9."""
    if gap > LEAKAGE:
        return (
            f"On random cells the model's R² is {gap:.3f} higher than on blocks, more than {LEAKAGE:g}: much of what it answers there, "
            "its training neighbours told it. Judge it by the blocks."
        )
    return (
        f"On random cells the model's R² is {gap:+.3f} beside that on blocks: within {LEAKAGE:g}, nearness gives little away here."
    )


def _train(run_id: str, kind: str) -> None:
    run = Run.open(run_id)
    split = run.request.split
    assert isinstance(split, CellSplit)
    request = run.again(split=split.model_copy(update={"kind": kind}), name=f"{run.summary.name}, {KINDS[kind]}"[:120])
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.markdown(f"There is no finished run of the same settings on {KINDS[kind]}.")
        if st.button(f"Train it on {KINDS[kind]}", key=f"grid.twin.{kind}", type="primary"):
            try:
                session.follow_run(submit(request))
            except MobiscopeError as error:
                panels.refusal(error)
                return
            navigation.open_page("train")
    with st.expander("The same from a terminal"):
        st.code(command_for(request), language="bash", wrap_lines=True)
