"""Jobs: one line in the sidebar, a full card on the Train page; both look again by themselves only while something runs."""

from collections.abc import Callable

import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from dashboard import cached, navigation, panels, python_lines, session, wording
from dashboard.figures import colours
from dashboard.figures.curves import loss_curves
from dashboard.figures.frame import chart_config
from dashboard.views.export_menu import export_menu
from engine.errors import MobiscopeError
from engine.runs import Run, RunStatus, RunSummary, cancel, force_stop, resume

EVERY = "2s"
STATES = {
    "PENDING": "waiting",
    "RUNNING": "running",
    "DONE": "done",
    "FAILED": "failed",
    "CANCELLED": "cancelled",
    "LOST": "interrupted",
}


# ---- sidebar and home --------------------------------------------------------------------------------------------------------


def in_sidebar() -> None:
    """The jobs in progress as one line each."""
    running = cached.active_runs()
    if running or session.get("jobs.watched", ()):
        st.fragment(_sidebar_jobs, run_every=EVERY)()


def _sidebar_jobs() -> None:
    running = cached.active_runs()
    names = {run.id: run.name for run in running}
    watched: tuple[str, ...] = session.get("jobs.watched", ())
    session.put("jobs.watched", tuple(names))
    ended = [run for run in cached.runs() if run.id in watched and run.id not in names]
    for run in ended:
        st.toast(f"{wording.literal(run.name)}: {STATES[run.state]}.")
    if ended:
        # A whole rerun brings the new metrics to the page and stops this fragment's clock.
        st.rerun(scope="app")
    if running:
        st.caption("**Jobs**")
    for run in running:
        status = Run.open(run.id).status()
        left = f" · at most {wording.duration(status.eta_s)} left" if status.eta_s is not None else f" · {STATES[status.state]}"
        st.progress(status.share, text=f"{wording.literal(run.name, limit=40)}{left}")


def one_line(status: RunStatus) -> str:
    """State, phase and time left in a few words."""
    if status.state == "PENDING":
        return f"waiting, place {status.position} in the queue" if status.position else "waiting"
    if status.state != "RUNNING":
        return STATES[status.state]
    if status.stopping:
        return "stopping after this step"
    if status.stalled:
        return "stalled: no step for a long time"
    parts = [wording.literal(status.phase or "starting")]
    if status.steps:
        parts.append(f"step {wording.count(status.step)} of at most {wording.count(status.steps)}")
    if status.eta_s is not None:
        parts.append(f"at most {wording.duration(status.eta_s)} left")
    return ", ".join(parts)


def recent(limit: int) -> None:
    """The latest runs, one row each, with a way in."""
    runs = cached.runs()
    st.subheader("Recent runs and jobs", anchor=False)
    if not runs:
        panels.nothing("No run yet", "A run is a model trained on a city. The smallest settings take about a minute on two cores.")
        navigation.door("train", "Train a model", key="recent.train")
        return
    for run in runs[:limit]:
        with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute", gap="small"):
            with st.container(gap=None):
                st.markdown(f"**{wording.literal(run.name)}** on {wording.literal(run.city_name)}")
                st.caption(_recent_line(run))
            if st.button("Open", key=f"recent.{run.id}", type="tertiary"):
                session.set_run(run.id, city=run.city)
                navigation.open_page(navigation.ANSWERS_OF[cached.run_task(run.id)] if run.state == "DONE" else "train")


def _recent_line(run: RunSummary) -> str:
    line = cached.headline(run.id) if run.state == "DONE" else ""
    return line or f"{STATES[run.state]}, {wording.ago(run.created_at)}"


# ---- the card ----------------------------------------------------------------------------------------------------------------


def card(run_id: str) -> None:
    """A run's job: phase, step, time left, memory, device, curves, and what can be done about it."""
    run = next((run for run in cached.runs() if run.id == run_id), None)
    if run is None:
        panels.nothing("This run is gone", "It was deleted, or the link is from another machine.")
        return
    active = run.state in ("PENDING", "RUNNING")
    st.fragment(_card, run_every=EVERY if active else None)(run_id, active)


def _card(run_id: str, was_active: bool) -> None:
    try:
        run = Run.open(run_id)
        status, summary = run.status(), run.summary
    except MobiscopeError as error:
        panels.refusal(error)
        return
    if was_active and status.has_ended:
        st.rerun(scope="app")
    with st.container(border=True):
        with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
            st.markdown(f"**{wording.literal(summary.name)}** on {wording.literal(summary.city_name)} · {STATES[status.state]}")
            _actions(run_id, status)
        if status.state in ("RUNNING", "PENDING"):
            said = f"{one_line(status)}: {wording.literal(status.message)}" if status.message else one_line(status)
            st.progress(status.share, text=said)
        elif status.message:
            (st.error if status.state in ("FAILED", "LOST") else st.info)(wording.sentence(status.message))
        _numbers(status, summary)
        _curves(run_id)
        if status.state in ("FAILED", "LOST", "CANCELLED"):
            with st.expander("The last lines of the log"):
                st.code("\n".join(run.log_tail(40)) or "The log is empty.", language=None)


def _numbers(status: RunStatus, summary: RunSummary) -> None:
    took = (summary.ended_at - summary.started_at).total_seconds() if summary.ended_at and summary.started_at else float("nan")
    facts = [
        ("Took", wording.duration(took), "The last attempt.") if status.has_ended else ("Phase", status.phase or "–", None),
        (
            "Epoch",
            f"{status.epoch} of at most {status.epochs}" if status.epochs else "–",
            "Training stops earlier when validation no longer improves.",
        ),
        ("Loss", "–" if status.loss is None else wording.significant(status.loss), "Mean of the last second's steps."),
        ("Memory", "–" if status.memory_mb is None else wording.megabytes(status.memory_mb), "Of the training process."),
        ("Device", status.device or "–", None),
        ("Attempt", str(status.attempt or 1), "Counts how often the job was taken up, after a crash or a resume."),
    ]
    for column, (label, value, help) in zip(st.columns(len(facts)), facts, strict=True):
        with column.container(gap=None):
            st.caption(label, help=help)
            st.text(value)


def _actions(run_id: str, status: RunStatus) -> None:
    with st.container(horizontal=True, width="content", gap="xsmall"):
        if status.state in ("PENDING", "RUNNING"):
            st.button(
                "Cancel",
                key=f"cancel.{run_id}",
                on_click=_act,
                args=(cancel, run_id),
                disabled=status.stopping,
                help="Stops after the current step and keeps a checkpoint to resume from.",
            )
            if status.stopping or status.stalled:
                st.button(
                    "Force stop",
                    key=f"force.{run_id}",
                    on_click=_act,
                    args=(force_stop, run_id),
                    help="Ends the process at once. Resuming goes back to the last checkpoint.",
                )
        if status.state in ("FAILED", "CANCELLED", "LOST"):
            st.button(
                "Resume",
                key=f"resume.{run_id}",
                type="primary",
                on_click=_act,
                args=(resume, run_id),
                help="Continues from the last checkpoint; begins anew where there is none.",
            )
        if status.state == "DONE":
            if st.button("Look at its predictions", key=f"look.{run_id}", type="primary"):
                session.set_run(run_id)
                navigation.open_page(navigation.ANSWERS_OF[cached.run_task(run_id)])


def _act(what: Callable[[str], object], run_id: str) -> None:
    try:
        what(run_id)
    except MobiscopeError as error:
        st.toast(wording.sentence(str(error)))


def _curves(run_id: str) -> None:
    curves = cached.run_curves(run_id)
    figures = curve_figures(curves, session.theme())
    if not figures:
        st.caption("The curves appear with the first epoch.")
        return
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        panels.reading(
            "Drawn: per stage of training, the loss on training and validation data and what validation measures, by optimiser step.",
            "Read: training should fall; where validation rises again, the model learns by heart, and the best weights so far are "
            "kept.",
            "Do not compare losses of different settings; compare their metrics on the Runs page.",
        )
        python = python_lines.of_run(run_id, "curves = run.curves()")
        export_menu(f"curves.export.{run_id}", f"{run_id}-curves", curves, python=python, chart=True)
    for column, (title, figure) in zip(st.columns(max(len(figures), 3), gap="medium"), figures.items(), strict=False):
        with column:
            st.caption(wording.literal(title))
            st.plotly_chart(
                figure, key=f"curve.{run_id}.{title}", config=chart_config(f"{run_id}-curve"), alt=f"Curve of {title} by step"
            )


def curve_figures(curves: pd.DataFrame, theme: colours.Theme) -> dict[str, go.Figure]:
    """Small multiples by stage of training: the loss on training and validation data, and what validation measures besides.

    Args:
        curves: Long table with step, key (`<stage>/<what>`) and value.
        theme: Light or dark.

    Returns:
        Title to figure, the last two stages, in order.
    """
    keys = list(dict.fromkeys(curves["key"].astype(str)))
    stages = list(dict.fromkeys(key.split("/")[0] for key in keys if "/" in key))
    figures: dict[str, go.Figure] = {}
    for stage in stages[-2:]:
        losses = [key for key in (f"{stage}/epoch_loss", f"{stage}/valid_loss") if key in keys]
        measures = [key for key in keys if key.startswith(f"{stage}/valid_") and "loss" not in key][:1]
        for title, chosen in ((f"{stage}: loss", losses), (f"{stage}: {_measure(measures)}", measures)):
            if chosen:
                drawn = curves[curves["key"].isin(chosen)]
                drawn = drawn.assign(key=["training" if key.endswith("epoch_loss") else "validation" for key in drawn["key"]])
                figure = loss_curves(drawn, theme, height=170)
                figure.update_layout(showlegend=len(chosen) > 1, legend={"y": 1.02, "font": {"size": 11}})
                figure.update_xaxes(title_text="step", nticks=4)
                figure.update_yaxes(nticks=4)
                figures[title] = figure
    return figures


def _measure(keys: list[str]) -> str:
    return cached.metric_title(keys[0].split("/valid_")[1]).replace("_", " ") if keys else ""
