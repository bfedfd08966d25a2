"""Long tail: every metric by every slice, for runs and baselines at once, and the cases behind a group."""

import pandas as pd
import streamlit as st

from dashboard import cached, navigation, panels, session, wording
from dashboard.views import hidden_places, slices
from dashboard.views.run_gate import gate
from engine.city.samples import Places
from engine.evaluation.metrics import METRICS
from engine.evaluation.slices import SLICES
from engine.runs import Run

FOUND_K = 10
BELOW = ("Cases", "Hide places from training")


def main() -> None:
    empty = ("There is no finished run to judge", "This page reads what a run answered on its test part, beside its baselines.")
    asked = gate("Who is left behind?", "long_tail", empty, ("next_location", "grid_flow"), table="metrics")
    if asked is None:
        return
    if cached.run_task(asked.run) == "grid_flow":
        from dashboard.views import cell_long_tail

        cell_long_tail.draw(asked.city, asked.run)
        return
    slug, run_id = asked.city, asked.run
    series = slices.series_of(run_id)
    metric, slice_name = session.widget("long_tail.metric", "acc@10"), session.widget("long_tail.slice", "popularity")
    panels.head("Who is left behind?", _answer(series[0], series[1:]))
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
        slice_name = st.selectbox(
            "Slice", list(SLICES), format_func=lambda name: SLICES[name].title, key="long_tail.slice", width=230
        )
        metric = st.selectbox(
            "Metric",
            [name for name in METRICS if name != "ceiling"],
            index=2,
            format_func=lambda name: METRICS[name].title,
            key="long_tail.metric",
            width=150,
        )
        labels = {item.label: item for item in series}
        shorter = wording.told_apart({label: _short(label) for label in labels})
        wanted = st.multiselect(
            "Compared", list(labels), default=_proposed(series, metric), key="long_tail.series", format_func=shorter.__getitem__
        )
    chosen = [labels[label] for label in wanted]
    if not chosen:
        panels.nothing("Nothing is compared", "Choose a run or a baseline above.")
        return
    table = slices.measured(chosen, slice_name, metric)
    left, right = st.columns([55, 45], gap="medium")
    with right:
        remembered = session.slice_group()
        selected = remembered[1] if remembered and remembered[0] == slice_name else None
        clicked = slices.bars(table, chosen, slice_name, metric, selected)
        if clicked and clicked != selected:
            session.set_slice(f"{slice_name}={clicked}")
            st.rerun()
        groups = [str(group) for group in table.loc[table["n"] > 0, "group"].unique()]
        offered = selected if selected in groups else None
        group = st.pills(
            "Cases of",
            groups,
            format_func=wording.literal,
            default=offered,
            wrap=True,
            key=f"long_tail.group.{slice_name}.{selected}",
        )
        if group != offered:
            session.set_slice(f"{slice_name}={group}" if group else None)
            st.rerun()
    group = selected  # also a group without a case, which is not offered but may be linked to
    predictions, places = _predictions(slug, run_id, chosen[0], slice_name, group)
    python = slices.cases_python(chosen[0], (slice_name, group) if group else None)
    with left:
        panels.panel(
            f"Found and starved places{f': {wording.literal(group)}' if group else ''}",
            f"Drawn: the places people went to in these {wording.count(len(predictions))} cases, by how often "
            f"{wording.literal(chosen[0].label)} had them among its first {FOUND_K}.",
            "Read: dark, outlined discs are starved: people went there and the model never said so.",
            "Do not conclude from a small disc; it stands for one or two cases.",
            "Long-tail evaluation; slices are declared once in engine/evaluation/slices.py.",
        )
        if len(predictions):
            slices.starved_map(slug, predictions, places, FOUND_K, python)
        else:
            panels.nothing("No case here (n = 0)", "Choose another group.")
    below = st.segmented_control(
        "Below", BELOW, default=BELOW[0], required=True, key="long_tail.below", label_visibility="collapsed"
    )
    if below == BELOW[1]:
        log = cached.samples(slug, Run.open(run_id).request.split).log
        hidden_places.draw(slug, log, slices.never_found(predictions, places, FOUND_K))
        return
    title = f"Cases{f' of {wording.literal(group)}' if group else ''}, hardest first"
    picked = slices.cases(slug, predictions, places, title, python) if len(predictions) else None
    if picked:
        if st.button(f"Look inside {wording.literal(picked[0])}, step {picked[1] + 1}", key="long_tail.open", type="primary"):
            session.set_sample(*picked)
            navigation.open_page("next_location")
    elif len(predictions):
        st.caption("Choose a row to look inside it.")


def _predictions(slug: str, run_id: str, series: slices.Series, slice_name: str, group: str | None) -> tuple[pd.DataFrame, Places]:
    split = Run.open(run_id).request.split
    rows = cached.run_table(series.run_id, "predictions")
    rows = rows[rows["predictor"] == series.predictor].reset_index(drop=True)
    if group:
        rows = rows[(cached.slice_labels(slug, split)[slice_name].astype(object) == group).to_numpy()]
    return rows, cached.samples(slug, split).log.places


def _proposed(series: list[slices.Series], metric: str) -> list[str]:
    """The run's model and its two best baselines."""
    baselines = [item for item in series if not item.is_model]
    table = slices.measured(baselines, "all", metric)
    best = table.sort_values("value", ascending=not METRICS[metric].higher_is_better)["series"].tolist()
    return [series[0].label, *best[:2]]


def _short(label: str) -> str:
    """Shown as plain text by the widget, so nothing is escaped."""
    return label if len(label) <= 40 else f"{label[:39]}…"


def _answer(model: slices.Series, others: list[slices.Series]) -> str:
    """The current answer in one sentence: head against tail, beside the best baseline of the tail."""
    table = slices.measured([model], "popularity", "acc@10")
    table = table[(table["n"] > 0) & table["group"].astype(str).str.startswith("decile")]
    if len(table) < 2:
        return "This run's test part has too few cases to tell head from tail."
    tail, head = table.iloc[0], table.iloc[-1]
    answer = (
        f"Of visits to the least visited places ({wording.literal(tail['group'])}, n = {wording.count(tail['n'])}) the model has "
        f"{wording.percent(tail['value'])} among its first ten; of visits to the most visited ({wording.literal(head['group'])}, "
        f"n = {wording.count(head['n'])}) {wording.percent(head['value'])}."
    )
    baselines = slices.measured([item for item in others if not item.is_model], "popularity", "acc@10")
    baselines = baselines[baselines["group"] == tail["group"]]
    if len(baselines):
        best = baselines.loc[baselines["value"].idxmax()]
        answer += (
            f" The best baseline on the tail, {wording.literal(best['series'])}, has {wording.percent(best['value'])}."
            if best["value"] > 0
            else " No baseline has any of the tail among its first ten."
        )
    return answer


main()
