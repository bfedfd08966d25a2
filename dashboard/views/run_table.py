"""The list of runs, one run against its baselines, and two runs against each other."""

import shlex
from collections.abc import Mapping
from typing import Any

import pandas as pd
import streamlit as st

from dashboard import cached, navigation, panels, python_lines, session, wording
from dashboard.cached.score_data import BINNED, LISTED
from dashboard.figures.bars import metric_bars
from dashboard.figures.frame import chart_config
from dashboard.figures.slice_bars import slice_bars
from dashboard.views import cell_versus
from dashboard.views.export_menu import export_menu
from dashboard.views.job_card import STATES
from dashboard.views.report_button import report_button
from dashboard.views.run_gate import PREDICTS
from dashboard.views.versus import versus
from engine.cli import command_for
from engine.errors import MobiscopeError
from engine.runs import Run, RunSummary, delete, rename

CASES = {
    "next_location": ("test steps", "people with replacement, because the steps of one person"),
    "grid_flow": ("hours of test cells", "cells with replacement, because the hours of one cell"),
}
"""Task to what is counted, and what intervals draw anew because of what."""

DETAILS = {"baselines": "Against baselines", "slices": "By slice", "warnings": "Warnings", "settings": "Settings and data"}
MOST_RUNS = 200
SHOWN = ("acc@1", "acc@5", "acc@10", "mrr", "ndcg@10", "f1", "distance_median_m")


def sentence(runs: list[RunSummary]) -> str:
    """How many runs are ahead of their best baseline, in one sentence."""
    scored = [found for run in runs[:MOST_RUNS] if run.state == "DONE" and (found := cached.scores(run.id)) and found.baseline]
    metrics = sorted({found.metric for found in scored})
    if not scored:
        return "Every run is measured beside baselines that only count visits. There is no finished run to compare yet."
    ahead = sum(found.value > found.baseline_value for found in scored)
    meant = ", the share of steps whose true place comes first" if metrics == ["acc@1"] else ""
    return (
        f"{wording.count(ahead)} of {wording.counted(len(scored), 'finished run')} beat the best baseline in "
        f"{' or '.join(cached.metric_title(metric) for metric in metrics)}{meant}. Pick one run to open it, two to compare them."
    )


def draw(runs: list[RunSummary]) -> None:
    """The table; what is picked in it is shown below."""
    if len(runs) > MOST_RUNS:
        st.caption(
            f"The newest {wording.count(MOST_RUNS)} of {wording.count(len(runs))} runs; the run picker in the sidebar has those of its city."
        )
        runs = runs[:MOST_RUNS]
    table = listing(runs)
    state = st.dataframe(
        table.drop(columns="id"),
        hide_index=True,
        on_select="rerun",
        selection_mode="multi-row",
        key="runs.table",
        height="content" if len(table) <= 7 else 290,
        placeholder="–",
        column_config={
            **_metric_columns(),
            "n": st.column_config.NumberColumn(format="localized", help="Test cases the metrics rest on."),
            "validation": st.column_config.LineChartColumn(help="The watched validation metric by epoch."),
            "made": st.column_config.DatetimeColumn(format="D MMM YYYY, HH:mm"),
        },
    )
    # Below: above, the table's own tool bar would lie over it.
    with st.container(horizontal=True, horizontal_alignment="right"):
        export_menu("runs.export.list", "runs", table, command="mobiscope runs")
    picked = [table["id"].iloc[row] for row in state.selection.rows if row < len(table)]
    known = {run.id: run for run in runs}
    if not picked:
        done = [run.id for run in runs if run.state == "DONE"]
        picked = [run_id for run_id in [session.run(), *done] if run_id in known][:1]
    if len(picked) == 2:
        with panels.guarded("comparing two runs"):
            comparison(known[picked[0]], known[picked[1]])
    elif len(picked) == 1:
        one(known[picked[0]])
    elif picked:
        st.caption(f"{len(picked)} runs are picked. Pick one to open it, or two to compare them.")


def listing(runs: list[RunSummary]) -> pd.DataFrame:
    """One row per run, newest first."""
    rows = []
    for run in runs:
        found = cached.scores(run.id) if run.state == "DONE" else None
        measured = {}
        for metric in LISTED[cached.run_task(run.id)] if found else ():
            score = cached.scores(run.id, metric)
            if score:
                factor = 100 if wording.is_share(metric) else 1
                measured[cached.metric_title(metric)] = factor * score.value
                if metric == found.metric:
                    measured[f"{cached.metric_title(metric)}, best baseline"] = factor * score.baseline_value
        rows.append(
            {
                "id": run.id,
                "run": run.name,
                "city": run.city_name,
                "model": run.model,
                "preset": run.preset,
                "state": STATES[run.state],
                **measured,
                "n": found.n if found else None,
                "validation": cached.validation_curve(run.id),
                "made": run.created_at,
            }
        )
    table = pd.DataFrame(rows)
    end = ["n", "validation", "made"]
    return table[[*(name for name in table if name not in end), *end]]


def _metric_columns() -> dict[str, Any]:
    columns = {}
    for metrics in LISTED.values():
        for metric in metrics:
            title = cached.metric_title(metric)
            shape = "%.1f %%" if wording.is_share(metric) else "%.3g"
            columns[title] = st.column_config.NumberColumn(format=shape, help=cached.metric_meaning(metric))
            columns[f"{title}, best baseline"] = st.column_config.NumberColumn(
                "best baseline", format=shape, help=f"{title} of the best baseline on the same test part."
            )
    return columns


# ---- one run -----------------------------------------------------------------------------------------------------------------


def one(run: RunSummary) -> None:
    """A run's actions and what it measured."""
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.subheader(wording.literal(run.name), anchor=False, width="stretch")
        if st.button("Open", key="runs.open", type="primary", help="Makes it the run of all pages and goes to its predictions."):
            session.set_run(run.id, city=run.city)
            navigation.open_page(navigation.ANSWERS_OF[cached.run_task(run.id)] if run.state == "DONE" else "train")
        if run.state == "DONE":
            report_button(run.id, "runs.report")
        with st.popover("Rename"):
            name = st.text_input("Name", value=run.name, max_chars=120, key=f"runs.name.{run.id}")
            st.button("Save the name", key="runs.rename", on_click=_act, args=(rename, run.id, name), disabled=not name.strip())
        with st.popover("Delete"):
            st.markdown("Removes the model, its predictions, checkpoints and log. This cannot be undone.")
            st.button("Delete this run", key="runs.delete", type="primary", on_click=_delete, args=(run.id,))
    if run.message:
        st.info(wording.sentence(run.message))
    if run.state != "DONE":
        st.caption(f"This run is {STATES[run.state]}; it has no scores. Its job card is on the Train page.")
        return
    view = st.segmented_control(
        "Show",
        list(DETAILS),
        default="baselines",
        required=True,
        format_func=DETAILS.__getitem__,
        key="runs.view",
        label_visibility="collapsed",
    )
    with panels.guarded("showing a run"):
        {"slices": _by_slice, "warnings": _warnings, "settings": _settings}.get(view, _against_baselines)(run)


def _against_baselines(run: RunSummary) -> None:
    table = cached.run_table(run.id, "metrics")
    metrics = _shown(table)
    overall = table[(table["slice"] == "all") & (table["metric"].isin(metrics))]
    cases, drawn = CASES[cached.run_task(run.id)]
    panels.panel(
        "Against baselines",
        f"Drawn: one metric of the model (blue) and of every baseline (grey) over all {cases}, with 95 % intervals.",
        f"Read: intervals come from drawing {drawn} resemble each other.",
        "Do not conclude from two overlapping intervals that there is no difference; compare two runs for a paired interval.",
        "Baselines learn from the same training part.",
        actions=lambda: export_menu(
            "runs.export.baselines", f"{run.id}-metrics", table, command=shlex.join(["mobiscope", "evaluate", run.id]), chart=True
        ),
    )
    left, right = st.columns([40, 60], gap="medium")
    with left:
        metric = st.selectbox("Metric", metrics, format_func=cached.metric_title, key=f"runs.metric.{metrics[0]}")
        st.caption(cached.metric_meaning(metric))
        figure = metric_bars(overall[overall["metric"] == metric], metric, session.theme(), highlight=(run.model,))
        st.plotly_chart(
            figure.update_yaxes(autorange="reversed"),
            key="runs.bars",
            config=chart_config(f"{run.id}-{metric}"),
            alt=f"{cached.metric_title(metric)} of the model and its baselines",
        )
    with right:
        wide = overall.assign(cell=[_cell(row) for row in overall.itertuples()]).pivot_table(
            index=["predictor", "title"], columns="metric", values="cell", aggfunc="first", sort=False
        )
        order = overall[overall["metric"] == metrics[0]].sort_values("value", ascending=False)["predictor"]
        wide = wide.reset_index().set_index("predictor").loc[list(order)].reset_index(drop=True)
        shown = wide[["title", *[name for name in metrics if name in wide]]].rename(columns=cached.metric_title)
        st.dataframe(
            shown.rename(columns={"title": "method"}), hide_index=True, key="runs.metrics", height=38 + 35 * min(len(shown), 14)
        )
        st.caption(f"Value and 95 % interval; shares in per cent; n = {wording.count(overall['n'].max())} {cases}.")


def _shown(table: pd.DataFrame) -> list[str]:
    """The metrics of a run in the order they are shown: the usual ones of next locations, else all it has."""
    known = list(dict.fromkeys(table["metric"].astype(str)))
    return [name for name in SHOWN if name in known] or known


def _cell(row: Any) -> str:
    if pd.isna(row.value):
        return "–"
    value = wording.measured(row.metric, row.value)
    return value if pd.isna(row.low) else f"{value} ({wording.span(row.metric, row.low, row.high)})"


def _by_slice(run: RunSummary) -> None:
    table = cached.run_table(run.id, "metrics")
    titles = cached.slice_titles(cached.run_task(run.id))
    names = [name for name in dict.fromkeys(table["slice"]) if name != "all"]
    with st.container(horizontal=True, vertical_alignment="bottom"):
        linked, _, group = (session.slice_name() or "").partition("=")
        name = st.selectbox(
            "Slice",
            names,
            index=names.index(linked) if linked in names else 0,
            format_func=lambda key: titles.get(key, (key, ""))[0],
            key="runs.slice",
            width=280,
        )
        if not group or name != linked:
            session.set_slice(name)
        metrics = _shown(table)
        metric = st.selectbox("Metric", metrics, format_func=cached.metric_title, key=f"runs.slice_metric.{metrics[0]}", width=220)
        found = cached.scores(run.id, metric)
        everyone = list(dict.fromkeys(table["predictor"]))
        compared = st.selectbox(
            "Compared with",
            [item for item in everyone if item != run.model],
            index=_position([item for item in everyone if item != run.model], found, table),
            format_func=dict(zip(table["predictor"], table["title"], strict=True)).get,
            key="runs.slice_baseline",
            width=260,
        )
    rows = table[(table["slice"] == name) & (table["metric"] == metric) & table["predictor"].isin([run.model, compared])]
    drawn = rows.assign(series=rows["title"])[["series", "group", "value", "low", "high", "n"]]
    command = shlex.join(["mobiscope", "evaluate", run.id, "--slice", name])
    panels.panel(
        f"{cached.metric_title(metric)} by {titles.get(name, (name, ''))[0].lower()}",
        f"Drawn: {cached.metric_meaning(metric)} {titles.get(name, ('', ''))[1]} The line through a dot is its 95 % interval.",
        "Read: compare dots inside one group; the number of test cases stands under each.",
        "Do not conclude that a group is hard because of what names it; groups differ in many ways at once.",
        actions=lambda: export_menu("runs.export.slices", f"{run.id}-{name}-{metric}", rows, command=command, chart=True),
    )
    own = set(rows.loc[rows["predictor"] == run.model, "title"])
    unit = cached.metric_unit(metric)
    st.plotly_chart(
        slice_bars(drawn, unit, session.theme(), models=own, title=cached.metric_title(metric)),
        key="runs.slices",
        config=chart_config(f"{run.id}-{name}-{metric}"),
        alt=f"{cached.metric_title(metric)} by {name}",
    )
    st.caption("Groups without a case (n = 0) have no dot.")


def _position(names: list[str], found: cached.Headline | None, table: pd.DataFrame) -> int:
    titles = dict(zip(table["predictor"], table["title"], strict=True))
    return next((index for index, name in enumerate(names) if found and titles[name] == found.baseline), 0)


def _warnings(run: RunSummary) -> None:
    table = cached.run_table(run.id, "warnings")
    if table.empty:
        st.caption("This model declares no failure detectors.")
        return
    fired = table[table["fired"]]
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
        st.markdown(
            f"{wording.count(len(fired)) if len(fired) else 'None'} of {wording.counted(len(table), 'failure detector')} "
            "fired after training."
        )
        export_menu("runs.export.warnings", f"{run.id}-warnings", table, python=python_lines.of_table(run.id, "warnings"))
    shown = table.sort_values("fired", ascending=False)[["name", "fired", "value", "threshold", "meaning"]]
    st.dataframe(shown, hide_index=True, key="runs.warnings", column_config={"meaning": st.column_config.TextColumn(width="large")})


def _settings(run: RunSummary) -> None:
    opened = Run.open(run.id)
    config, asked = _flat(opened.config), _flat(opened.request.model_dump(mode="json", exclude={"config"}))
    both = pd.concat([config.assign(of="model"), asked.assign(of="request")], ignore_index=True)
    with st.container(horizontal=True, horizontal_alignment="right"):
        export_menu("runs.export.settings", f"{run.id}-settings", both, command=command_for(opened.request))
    left, right = st.columns(2, gap="medium")
    with left:
        st.markdown("**Settings of the model**")
        st.dataframe(config, hide_index=True, key="runs.config", height=380)
    with right:
        st.markdown("**What was asked**")
        st.dataframe(asked, hide_index=True, key="runs.request", height=380)


def _flat(values: Mapping[str, Any], prefix: str = "") -> pd.DataFrame:
    return pd.DataFrame([{"setting": key, "value": value} for key, value in flat(values).items()], columns=["setting", "value"])


def flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Nested settings as dotted names and their values as text."""
    found: dict[str, str] = {}
    for key, value in values.items():
        if isinstance(value, Mapping) and value:
            found |= flat(value, f"{prefix}{key}.")
        else:
            found[f"{prefix}{key}"] = "none" if value is None else str(value)
    return found


def _act(what: Any, *arguments: Any) -> None:
    try:
        what(*arguments)
    except MobiscopeError as error:
        st.toast(wording.sentence(str(error)))


def _delete(run_id: str) -> None:
    _act(delete, run_id)
    if session.run() is None:
        session.set_run(None)
    cached.forget_run(run_id)


# ---- two runs ----------------------------------------------------------------------------------------------------------------


def comparison(first: RunSummary, second: RunSummary) -> None:
    """Metric differences with paired intervals, and in what the two runs differ."""
    tasks = [cached.run_task(run.id) for run in (first, second)]
    alike = tasks[0] == tasks[1]
    is_grid = tasks[0] == "grid_flow"
    difference = cached.run_difference(first.id, second.id) if alike else pd.DataFrame()
    columns = {"a": first.name, "b": f"{second.name} ", "value": "difference"}
    panels.panel(
        f"{wording.literal(first.name)} minus {wording.literal(second.name)}",
        f"Drawn: every metric of both runs on the same {CASES[tasks[0]][0]}, and their difference with the 95 % interval of a paired "
        "bootstrap.",
        f"Read: where the interval leaves out zero, the difference is more than the choice of {'cells' if is_grid else 'people'} explains.",
        "Do not conclude anything about other seeds: one run is one seed.",
        actions=(
            lambda: export_menu(
                "runs.export.difference",
                "difference",
                difference.rename(columns=columns),
                python=_difference_python(first.id, second.id, is_grid),
            )
        )
        if alike
        else None,
    )
    if not alike:
        what = " and ".join(PREDICTS[task] for task in tasks)
        panels.nothing("No metric of both", f"These runs predict {what}. Their settings and data cards are compared below.")
        _setup(first, second)
        return
    told = difference[(difference["low"] > 0) | (difference["high"] < 0)]
    st.markdown(
        f"The two differ clearly in {wording.count(len(told))} of {wording.counted(len(difference), 'metric')} "
        f"(n = {wording.count(difference['n'].max())} test {'hours' if is_grid else 'steps'} of "
        f"{wording.counted(difference['users'].max(), *(('cell',) if is_grid else ('person', 'people')))})."
    )
    shown = pd.DataFrame(
        {
            "metric": [cached.metric_title(name) for name in difference["metric"]],
            first.name: [wording.measured(row.metric, row.a) for row in difference.itertuples()],
            f"{second.name} ": [wording.measured(row.metric, row.b) for row in difference.itertuples()],
            "difference": [wording.difference(row.metric, row.value) for row in difference.itertuples()],
            "95 % interval": [
                "–"
                if pd.isna(row.low)
                else f"{wording.difference(row.metric, row.low)} to {wording.difference(row.metric, row.high)}"
                for row in difference.itertuples()
            ],
            "n": difference["n"],
        }
    )
    counted = {"n": st.column_config.NumberColumn(format="localized")}
    st.dataframe(shown, hide_index=True, key="runs.difference", column_config=counted)
    _setup(first, second)
    (cell_versus.versus if is_grid else versus)(first, second)


def _difference_python(first: str, second: str, is_grid: bool) -> str:
    """Lines of Python that give the differences of all metrics with their paired intervals."""
    own = "[run.table('predictions').query('predictor == @run.request.model') for run in runs]"
    if is_grid:
        return python_lines.of_runs(
            (first, second),
            f"answers = [FlowAnswers.from_frame(table) for table in {own}]",
            "answers = [given[given.part == 2] for given in answers]",
            f"names = [name for name in FLOW_METRICS if name not in {BINNED!r}]",
            "found = {name: flow_difference(*answers, name) for name in names}",
            imports=[
                "from engine.evaluation.flow_answers import FlowAnswers",
                "from engine.evaluation.flow_metrics import FLOW_METRICS, flow_difference",
            ],
        )
    return python_lines.of_runs(
        (first, second),
        f"answers = [Answers.from_frame(table, Places.of(runs[0].city())) for table in {own}]",
        "found = {name: paired_difference(*answers, name) for name in METRICS}",
        imports=[
            "from engine.city.samples import Places",
            "from engine.evaluation.metrics import METRICS, paired_difference",
            "from engine.evaluation.ranking import Answers",
        ],
    )


def _setup(first: RunSummary, second: RunSummary) -> None:
    """The settings and the data cards in which two runs differ."""
    left, right = st.columns(2, gap="medium")
    one, two = Run.open(first.id), Run.open(second.id)
    with left:
        st.markdown("**Settings that differ**")
        _differences(
            flat(one.config) | flat(one.request.model_dump(mode="json", exclude={"config", "name"}), "run."),
            flat(two.config) | flat(two.request.model_dump(mode="json", exclude={"config", "name"}), "run."),
            first.name,
            second.name,
            "config",
            python_lines.of_runs((first.id, second.id), "settings = [(run.config, run.request) for run in runs]"),
        )
    with right:
        st.markdown("**Data cards that differ**")
        python = python_lines.of_runs(
            (first.id, second.id),
            "cards = [store.read_json(run.folder.data_card_path) for run in runs]",
            imports=["from engine import store"],
        )
        _differences(flat(_card(first.id)), flat(_card(second.id)), first.name, second.name, "card", python)


def _card(run_id: str) -> dict[str, Any]:
    card = cached.run_data_card(run_id)
    return {
        file.file: {"kept": file.rows_kept, "dropped": file.rows_in - file.rows_kept, "sha256": file.sha256[:12]}
        for file in card.files
    } | {f"assumption {index}": text for index, text in enumerate(card.assumptions, 1)}


def _differences(first: dict[str, str], second: dict[str, str], one: str, two: str, key: str, python: str) -> None:
    rows = [
        {"setting": name, one: first.get(name, "–"), f"{two} ": second.get(name, "–")}
        for name in dict.fromkeys([*first, *second])
        if first.get(name) != second.get(name)
    ]
    if rows:
        st.dataframe(pd.DataFrame(rows), hide_index=True, key=f"runs.{key}")
        export_menu(f"runs.export.{key}", f"{key}-differences", pd.DataFrame(rows), python=python)
    else:
        st.caption("None: they are the same.")
