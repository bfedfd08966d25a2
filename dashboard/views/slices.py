"""Metrics by slice for runs and baselines at once, the places a model starves, and the cases behind a group."""

import shlex
from dataclasses import dataclass

import numpy as np
import pandas as pd
import streamlit as st

from dashboard import cached, panels, python_lines, session, wording
from dashboard.cached import cell_data
from dashboard.figures import base_map, colours
from dashboard.figures.found_places import found_by_place, found_layers
from dashboard.figures.frame import chart_config
from dashboard.figures.slice_bars import slice_bars
from dashboard.views import city_map
from dashboard.views.export_menu import export_menu
from engine.city.cell_flows import chosen_day_type
from engine.city.cell_splits import CellSplit
from engine.city.samples import Places
from engine.city.splits import Split
from engine.evaluation.metrics import METRICS
from engine.evaluation.slices import SLICES
from engine.models.answers import share_name
from engine.runs import Run

MOST_CASES = 500


@dataclass(frozen=True)
class Series:
    """One predictor of one run.

    Attributes:
        label: Name on screen, unique on this page.
        run_id: The run whose tables hold it.
        predictor: Its name in those tables.
        is_model: Whether it is the run's model rather than a baseline.
    """

    label: str
    run_id: str
    predictor: str
    is_model: bool


def series_of(run_id: str) -> list[Series]:
    """The model of a run, the models of other finished runs that answered the same samples, and the run's baselines.

    Runs of cells that learnt from another kind of day are offered too where their test cells are the same; labels then name the day.
    """
    request = Run.open(run_id).request
    own = cached.run_table(run_id, "metrics")
    models, splits = {run_id: request.model}, {run_id: request.split}
    for other in cached.runs():
        if other.id != run_id and other.state == "DONE" and other.city == session.city():
            asked = Run.open(other.id).request
            if asked.split == request.split or _differ_in_days(run_id, request.split, other.id, asked.split):
                models[other.id], splits[other.id] = asked.model, asked.split
    summaries = {run.id: run for run in cached.runs()}
    labels = {run: cached.run_label(summaries[run]) for run in models}
    days = {
        run: chosen_day_type(cached.city(str(session.city())), split.day_type)
        for run, split in splits.items()
        if isinstance(split, CellSplit)
    }
    if len(set(days.values())) > 1:
        labels = {run: f"{label} · day type {days[run]}" for run, label in labels.items()}
    names = wording.told_apart(labels)
    found = [Series(names[run], run, model, True) for run, model in models.items()]
    titles = dict(zip(own["predictor"], own["title"], strict=True))
    found += [Series(title, run_id, name, False) for name, title in titles.items() if name != request.model]
    return found


def _differ_in_days(run_id: str, split: Split | CellSplit, other_id: str, other: Split | CellSplit) -> bool:
    """Whether two runs of cells were judged on the same cells, by flows of another kind of day."""
    if not (isinstance(split, CellSplit) and isinstance(other, CellSplit)):
        return False
    alike = split.model_copy(update={"day_type": other.day_type}) == other
    return alike and np.array_equal(cell_data.test_cells(run_id), cell_data.test_cells(other_id))


def measured(chosen: list[Series], slice_name: str, metric: str) -> pd.DataFrame:
    """One metric by the groups of a slice: series, group, value, low, high, n; groups in their declared order."""
    frames = []
    for series in chosen:
        table = cached.run_table(series.run_id, "metrics")
        rows = table[(table["predictor"] == series.predictor) & (table["slice"] == slice_name) & (table["metric"] == metric)]
        frames.append(rows.assign(series=series.label)[["series", "group", "value", "low", "high", "n"]])
    return (
        pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=["series", "group", "value", "low", "high", "n"])
    )


def bars(table: pd.DataFrame, chosen: list[Series], slice_name: str, metric: str, selected: str | None) -> str | None:
    """The chart; returns the group that was clicked in this run, None if none was."""
    declared, measure = SLICES[slice_name], METRICS[metric]
    ids = list(dict.fromkeys(series.run_id for series in chosen))
    command = "\n".join(shlex.join(["mobiscope", "evaluate", run_id, "--slice", slice_name]) for run_id in ids)
    panels.panel(
        f"{measure.title} by {declared.title[0].lower()}{declared.title[1:]}",
        f"Drawn: {measure.meaning} {declared.meaning} The line through a dot is the 95 % bootstrap interval over people.",
        "Read: compare dots inside one group. Overlapping lines mean that the difference may be chance. n is the number of cases.",
        "Do not conclude that a group is hard because of what names it; groups differ in many ways at once, and small groups swing.",
        "Architecture of the evaluation: docs/evaluation.md.",
        actions=lambda: export_menu(
            "slices.export", f"{slice_name}-{metric}", table.assign(slice=slice_name, metric=metric), command=command, chart=True
        ),
    )
    shown = table[table["group"].isin(table.loc[table["n"] > 0, "group"])]
    if shown.empty:
        panels.nothing("No case in this slice (n = 0)", f"{declared.meaning} This city's test part has nothing it applies to.")
        return None
    figure = slice_bars(
        shown, measure.unit, session.theme(), models={s.label for s in chosen if s.is_model}, title=measure.title, selected=selected
    )
    state = st.plotly_chart(
        figure,
        key=f"slices.bars.{slice_name}.{metric}",
        on_select="rerun",
        selection_mode="points",
        config=chart_config(f"{slice_name}-{metric}"),
    )
    points = state["selection"]["points"] if state else []
    return str(points[0]["customdata"][0]) if points else None


def starved_map(slug: str, predictions: pd.DataFrame, places: Places, k: int, python: str) -> int:
    """The map of found and starved places; returns how many places were never found.

    Args:
        slug: The city.
        predictions: The cases in view.
        places: The places they are about.
        k: How many first answers count.
        python: Lines of Python that give these cases.
    """
    rank = predictions["true_rank"].astype("Float64").to_numpy(np.float64, na_value=np.inf)
    table = found_by_place(rank, predictions["true_id"].to_numpy(), k)
    rows = table["location"].to_numpy()
    table = table.assign(
        longitude=places.longitude[rows], latitude=places.latitude[rows], name=places.names[rows], id=places.ids[rows]
    )
    theme = session.theme()
    base = cached.base(slug, theme, places=False, faint=True)
    layers = [*base.layers, *found_layers(table, theme, k)]
    legend = [
        city_map.Entry("ramp", f"never to always among the first {k}"),
        city_map.Entry("ring", "never found", colours.role("miss", theme)),
        city_map.Entry("disc", "area: number of cases", colours.ink("muted", theme)),
    ]
    alt = "Map of places by the share of their cases in which they were found"
    city_map.draw(cached.city(slug), layers, key="slices.map", alt=alt, legend=legend, attribution=base.attribution)
    starved = int((table["found"] == 0).sum())
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
        st.caption(
            f"Never found: {wording.count(starved)} of {wording.counted(len(table), 'place')} that somebody went to in these cases."
        )
        deck = base_map.deck(layers, cached.city(slug), theme)
        found = f"found = (cases.true_rank <= {k}).groupby(cases.true_id).agg(['sum', 'size'])"
        export_menu("slices.places", "found-places", table.drop(columns="location"), deck, python=f"{python}\n{found}")
    return starved


def never_found(predictions: pd.DataFrame, places: Places, k: int) -> tuple[str, ...]:
    """Ids of the places people went to in these cases that were never among the first `k` answers."""
    if predictions.empty:
        return ()
    rank = predictions["true_rank"].astype("Float64").to_numpy(np.float64, na_value=np.inf)
    table = found_by_place(rank, predictions["true_id"].to_numpy(), k)
    return tuple(str(item) for item in places.ids[table.loc[table["found"] == 0, "location"].to_numpy()])


def cases_python(series: Series, group: tuple[str, str] | None) -> str:
    """Lines of Python that give the cases of a predictor, or those of a group (slice and name), as `cases`."""
    lines = [f"cases = run.table('predictions').query({f'predictor == {series.predictor!r}'!r}).reset_index(drop=True)"]
    imports = []
    if group:
        imports = ["from engine.city.samples import VisitLog, build_samples", "from engine.evaluation.slices import slice_labels"]
        lines += [
            "asked = build_samples(VisitLog.of(run.city(), run.request.split)).of_part('test')",
            f"cases = cases[(slice_labels(asked, run.city())[{group[0]!r}] == {group[1]!r}).to_numpy()]",
        ]
    return python_lines.of_run(series.run_id, *lines, imports=imports)


def cases(slug: str, predictions: pd.DataFrame, places: Places, title: str, python: str) -> tuple[str, int] | None:
    """The cases as a table; returns the person and step that was picked, None if none was.

    Args:
        slug: The city.
        predictions: The cases, at least one.
        places: The places they are about.
        title: Of the panel.
        python: Lines of Python that give these cases.
    """
    truth, share = predictions["true_id"].to_numpy(), share_name(bool(predictions["normalised"].all()))
    table = predictions.drop(columns=["true_id", "topk_ids", "topk_probs"], errors="ignore").assign(
        location_id=places.ids[truth],
        name=places.names[truth],
        longitude=places.longitude[truth],
        latitude=places.latitude[truth],
    )
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
        st.subheader(title, anchor=False)
        export_menu("slices.export.cases", "cases", table, python=python)
    worst = predictions.sort_values("true_prob", kind="stable").head(MOST_CASES)
    local = worst["started_at"].dt.tz_convert(cached.city(slug).time_zone)
    first = worst["topk_ids"].map(lambda ids: int(ids[0]) if len(ids) else -1).to_numpy()
    shown = pd.DataFrame(
        {
            "person": worst["user_id"].to_numpy(),
            "local time": local.dt.strftime("%Y-%m-%d %H:%M").to_numpy(),
            "went to": places.names[worst["true_id"].to_numpy()],
            "rank": worst["true_rank"].to_numpy(),
            "probability": worst["true_prob"].to_numpy(),
            "first guess": np.where(first >= 0, places.names[first], ""),
            "error": worst["dist_err_m"].to_numpy(),
        }
    )
    state = st.dataframe(
        shown,
        key="slices.cases",
        hide_index=True,
        height=320,
        on_select="rerun",
        selection_mode="single-row",
        column_config={
            "probability": st.column_config.NumberColumn(f"{share} of the truth", format="percent"),
            "error": st.column_config.NumberColumn("distance error, m", format="%.0f"),
        },
    )
    if len(predictions) > MOST_CASES:
        st.caption(f"The {MOST_CASES:,} cases with the least {share} of {len(predictions):,}.")
    rows = state["selection"]["rows"] if state else []
    return (str(worst["user_id"].iloc[rows[0]]), int(worst["step"].iloc[rows[0]])) if rows else None
