"""Where next? One step of a person: the guesses, the truth, the baselines, and what changes when the question does."""

import shlex

import numpy as np
import pandas as pd
import streamlit as st

from dashboard import cached, navigation, panels, questions, session, wording
from dashboard.views import next_step
from dashboard.views.run_gate import gate
from engine.city.samples import Places
from engine.models.answers import share_name

QUESTION = "Where next?"
FILTERS = {"All steps": (0, np.inf), "First guess right": (0, 1), "Right in the top 10": (0, 10), "Missed": (10.5, np.inf)}


def main() -> None:
    empty = ("No trained model on this city", "Train one first; the smallest settings take about a minute on two cores.")
    asked = gate(QUESTION, "next", empty, ("next_location",))
    if asked is not None:
        explore(asked.city, asked.run)


def explore(slug: str, run_id: str) -> None:
    head = st.empty()
    if session.get("next.opened", None) != run_id:
        # Only the first time: later the last answer stays until the next one is there.
        with head.container():
            panels.head(QUESTION, "The run is being opened.")
    with st.spinner("Opening the run", show_time=True):
        samples = cached.loaded_run(run_id).data.samples
        predictors = cached.predictors(run_id)
    session.put("next.opened", run_id)
    if samples is None or not len(samples):
        with head.container():
            panels.head(QUESTION)
        panels.nothing(
            "This run has no step to ask about",
            "Nobody in the city has enough visits inside the history window. Bring more visits, or train with a shorter history.",
        )
        navigation.door("city", "See the city", key="next.city", primary=True)
        return
    part, everything = cached.question_steps(run_id)
    group = session.slice_group()
    _, steps = cached.steps_in_slice(run_id, group)
    if steps.empty:
        with head.container():
            panels.head(QUESTION)
        panels.nothing(*panels.no_step(group is not None))
        st.button("Look at all cases", key="next.all_cases", on_click=session.set_slice, args=(None,), type="primary")
        return
    row = choose(run_id, steps, everything, predictors[0].name, samples.log.places)
    if row is None:
        with head.container():
            panels.head(QUESTION, "No step fits this filter.")
        return
    index, key = int(row["index"]), f"next.edit.{run_id}.{row['index']}"
    left, right = st.columns([62, 38], gap="medium")
    with left:
        frame = st.container()
        edit = next_step.edit_controls(samples, index, key)
    shown, mass = session.widget("next.shown", next_step.SHOWN), session.widget("next.mass", False)
    step = next_step.build(run_id, samples, index, edit, shown)
    command = command_of(run_id, part, row, edit, shown)
    with frame:
        buildings = "flat" if session.widget("next.buildings", True) else "none"
        base = cached.base(slug, session.theme(), faint=True, buildings=buildings)
        moved, zoomed = session.widget("next.moved", False), session.widget("next.zoom", False)
        next_step.draw_map(cached.city(slug), base, step, command, mass=mass, moved=moved, zoomed=zoomed, key="next.map")
    with right:
        next_step.draw_ranking(step, command)
        next_step.draw_predictors(step)
    with head.container():
        reference = questions.best_baseline(steps, predictors[0].name, [predictor.name for predictor in predictors])
        panels.head(QUESTION, questions.answer_sentence(step.after, step.places, step.truth, edit, reference))
    details(step, everything[everything["user"] == row["user"]], int(row["step"]), predictors[0].name)
    notes = cached.base(slug, session.theme(), faint=True).notes
    paper = next_step.source_of(predictors[0])
    st.caption(
        f"{wording.literal(predictors[0].title)}: {wording.literal(paper, 300)}. Steps of the {part} part of the split. "
        + " ".join(notes)
    )


def command_of(run_id: str, part: str, row: pd.Series, edit: questions.QueryEdit, shown: int) -> str:
    """The command that gives the same ranking; empty for an edited question, and for parts the command does not ask."""
    if edit or part != "test":
        return ""
    words = ["mobiscope", "predict", run_id, "--user", str(row["user"]), "--step", str(row["step"] + 1), "--top", str(shown)]
    return shlex.join(words)


def choose(run_id: str, steps: pd.DataFrame, everything: pd.DataFrame, predictor: str, places: Places) -> pd.Series | None:
    """The controls that choose a step; None if no step fits the filter.

    Args:
        run_id: The run that is asked.
        steps: The steps of the slice in view.
        everything: All steps, which the count of a person's steps rests on.
        predictor: Whose ranks the filter asks.
        places: The places of the city.
    """
    rank = steps.get(f"rank.{predictor}")
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        person = st.container(width=250)
        with st.popover("Filter", icon=":material/filter_list:"):
            name = st.selectbox("Show", list(FILTERS), key="next.filter", disabled=rank is None)
            wanted = st.text_input("Went to", key="next.went", placeholder="place or category", help="Steps to places named so.")
        fitting = steps
        if rank is not None and name != "All steps":
            low, high = FILTERS[name]
            fitting = steps[(rank >= low) & (rank <= high)]
        if wanted.strip():
            fitting = fitting[_named(places, wanted)[fitting["truth"].to_numpy()]]
        if fitting.empty:
            return None
        row = _current(fitting)
        asked = session.sample()
        with person:
            _person(fitting, steps, rank, str(row["user"]))
        position = int(np.flatnonzero(fitting.index == row.name)[0])
        st.button(
            "Previous", key="next.previous", shortcut="Left", disabled=position == 0,
            on_click=_go, args=(fitting, position - 1),
        )  # fmt: skip
        st.button(
            "Next", key="next.next", shortcut="Right", disabled=position == len(fitting) - 1,
            on_click=_go, args=(fitting, position + 1),
        )  # fmt: skip
        reply = cached.replies(run_id, int(row["index"]), questions.QueryEdit())[0]
        next_step.map_controls(share_name(reply.normalised))
        total = int((everything["user"] == row["user"]).sum())
        when = row["when"]
        fits = (
            f" · {wording.count(position + 1)} of {wording.count(len(fitting))} that fit" if len(fitting) < len(everything) else ""
        )
        st.caption(f"Step {int(row['step']) + 1} of {total}, {when:%a} {when.day} {when:%b %Y %H:%M}{fits}")
    if asked is not None and asked.user not in set(steps["user"]):
        st.caption(f"{wording.literal(asked.user, 40)} has no step here, so another person is shown.")
    return row


def _current(fitting: pd.DataFrame) -> pd.Series:
    sample = session.sample()
    if sample is not None:
        mine = fitting[fitting["user"] == sample.user]
        if len(mine):
            return mine.iloc[int((mine["step"] - sample.step).abs().to_numpy().argmin())]
    return fitting.iloc[0]


def _go(fitting: pd.DataFrame, position: int) -> None:
    row = fitting.iloc[position]
    session.set_sample(str(row["user"]), int(row["step"]))


def _person(fitting: pd.DataFrame, steps: pd.DataFrame, rank: pd.Series | None, current: str) -> None:
    counted = fitting["user"].value_counts()
    users = [str(user) for user in counted.head(next_step.MOST_PEOPLE).index]
    users = users if current in users else [current, *users]
    hits = (rank == 1).groupby(steps["user"]).mean() if rank is not None else None

    def label(user: str) -> str:
        right = f", {wording.percent(float(hits[user]), 2)} right" if hits is not None else ""
        return f"{user[:40]} · {wording.counted(int(counted.get(user, 0)), 'step')}{right}"

    def changed() -> None:
        session.set_sample(str(session.widget("next.person", current)), 0)

    session.set_widget("next.person", current)
    st.selectbox("Person", sorted(users), format_func=label, key="next.person", on_change=changed)


def _named(places: Places, wanted: str) -> np.ndarray:
    text = wanted.strip().lower()
    categories = np.array([text in category.lower() for category in (*places.category_names, "")])
    return np.array([text in str(name).lower() for name in places.names]) | categories[places.category]


def details(step: next_step.Step, mine: pd.DataFrame, current: int, predictor: str) -> None:
    chosen = st.segmented_control(
        "Details",
        next_step.DETAILS,
        default=next_step.DETAILS[0],
        format_func=lambda detail: next_step.detail_title(detail, step.model.normalised),
        key="next.details",
        required=True,
        label_visibility="collapsed",
    )
    match chosen:
        case "Steps of this person":
            clicked = next_step.draw_steps(mine, step, current, predictor, f"next.{current}")
            if clicked is not None and clicked != current:
                session.set_sample(str(mine["user"].iloc[0]), clicked)
                st.rerun()
        case "Before and after":
            next_step.draw_shift(step)
        case "Probabilities":
            next_step.draw_probabilities(step)
        case "The person's day":
            next_step.draw_day(step)
        case _:
            next_step.draw_why_not(step)


main()
