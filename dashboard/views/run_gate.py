"""Whether the run in view can be asked what a page asks, and the next step where it cannot."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import streamlit as st

from dashboard import cached, navigation, panels, session, wording
from engine.runs import Run

if TYPE_CHECKING:
    from engine.models.base import Task

PREDICTS: "dict[Task, str]" = {
    "next_location": "where a person goes next",
    "grid_flow": "how many trips leave every cell at every hour",
}


@dataclass(frozen=True)
class Asked:
    """The run a page looks into.

    Attributes:
        city: Slug of its city.
        run: Its id.
    """

    city: str
    run: str


def gate(question: str, key: str, empty: tuple[str, str], tasks: "tuple[Task, ...]", table: str = "") -> Asked | None:
    """The run in view if this page can look into it; otherwise the page says why not and offers the next step.

    Args:
        question: The page's title.
        key: Prefix of the widgets' keys.
        empty: What is missing and why, where there is no run.
        tasks: Tasks the page is made for.
        table: A table of the run the page reads instead of its weights.
    """
    slug, run_id = session.city(), session.run()
    if slug is None:
        panels.head(question)
        panels.nothing("No city yet", "This page looks into a model trained on a city. Start with a city.")
        navigation.door("home", "Choose a city", key=f"{key}.home", primary=True)
        return None
    if run_id is None:
        panels.head(question)
        panels.nothing(*empty)
        navigation.door("train", "Train a model", key=f"{key}.train", primary=True)
        return None
    summary = next((run for run in cached.runs() if run.id == run_id), None)
    if summary is not None and summary.state in ("PENDING", "RUNNING"):
        panels.head(question)
        panels.nothing("The model is still being trained", "It can be looked into when it is done; Train shows how far it is.")
        navigation.door("train", "See the job", key=f"{key}.job", primary=True)
        return None
    if not (table in Run.open(run_id).tables() if table else cached.has_weights(run_id)):
        panels.head(question)
        panels.nothing(*empty)
        navigation.door("train", "Train a model", key=f"{key}.train", primary=True)
        return None
    task = cached.run_task(run_id)
    if task not in tasks:
        panels.head(question)
        _other_task(slug, run_id, task, tasks, key)
        return None
    return Asked(slug, run_id)


def _other_task(slug: str, run_id: str, task: "Task", tasks: "tuple[Task, ...]", key: str) -> None:
    """Says what the run predicts instead, and leads there or to a run this page can ask."""
    title = wording.literal(cached.run_title(run_id))
    panels.nothing(
        f"{title} predicts {PREDICTS[task]}",
        f"This page asks {' or '.join(PREDICTS[wanted] for wanted in tasks)}, which this run cannot answer.",
    )
    fitting = [run for run in cached.runs() if run.city == slug and run.state == "DONE" and cached.run_task(run.id) in tasks]
    if fitting:
        st.button(
            f"Use the run {wording.literal(cached.run_label(fitting[0]))}",
            key=f"{key}.use",
            type="primary",
            on_click=session.set_run,
            args=(fitting[0].id,),
        )
    else:
        navigation.door("train", "Train a model for it", key=f"{key}.train", primary=True)
    if navigation.path_of(navigation.ANSWERS_OF[task]).is_file():
        navigation.door(navigation.ANSWERS_OF[task], "See what this run answers", key=f"{key}.answers")
