"""The scenario in hand: its stack of edits with undo and redo, its name and notes, its file and its command."""

import shlex

import streamlit as st

from dashboard import cached, navigation, panels, session, wording
from engine import store
from engine.city.city import City
from engine.city.samples import Samples
from engine.errors import MobiscopeError
from engine.models.answers import Predictor
from engine.models.base import NextLocationModel
from engine.runs.refit import plan_refit, refit
from engine.scenarios.apply import check_scenario
from engine.scenarios.compare import effect_of
from engine.scenarios.edits import AnyEdit
from engine.scenarios.replay import query_of
from engine.scenarios.scenario import EditStack, Scenario

_STACK, _NAME, _NOTES = "what_if.stack", "what_if.name", "what_if.notes"


def stack() -> EditStack:
    """The edits done and undone in this session, for the city in view."""
    kept: tuple[str | None, EditStack] = session.get(_STACK, (None, EditStack()))
    return kept[1] if kept[0] == session.city() else EditStack()


def set_stack(changed: EditStack) -> None:
    """Takes over a changed stack."""
    session.put(_STACK, (session.city(), changed))


def push(edit: AnyEdit) -> None:
    """Does one more edit."""
    set_stack(stack().push(edit))


def scenario(city: City, samples: Samples, index: int) -> Scenario:
    """The scenario in hand, asking the question in view."""
    return Scenario(
        name=session.get(_NAME, "") or "Untitled scenario",
        notes=session.get(_NOTES, ""),
        city=city.name,
        city_fingerprint=city.fingerprint,
        query=query_of(samples, index),
        edits=stack().done,
    )


def draw(current: Scenario, predictor: Predictor, names: dict[str, str]) -> None:
    """The list of edits, each with what it needs to matter, and undo and redo.

    Args:
        current: The scenario.
        predictor: Who answers.
        names: Location id to name, for reading the edits.
    """
    edits = stack()
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.button("Undo", key="what_if.undo", shortcut="u", disabled=not edits.done, on_click=lambda: set_stack(stack().undo()))
        st.button("Redo", key="what_if.redo", shortcut="y", disabled=not edits.undone, on_click=lambda: set_stack(stack().redo()))
        st.button(
            "Start over", key="what_if.clear", disabled=not edits.done, on_click=lambda: set_stack(EditStack()), type="tertiary"
        )
        with st.popover("Save, load, replay", type="tertiary"):
            _files(current)
    if not edits.done:
        st.caption("No edit yet. Before and after are the same; add an edit above.")
    for position, edit in enumerate(edits.done):
        words = edit.describe()
        location = getattr(edit, "location_id", "")
        if location in names:
            words = words.replace(location, names[location])
        with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute", gap="small"):
            st.markdown(f"{position + 1}. {wording.literal(words)}")
            st.button(
                "Remove",
                key=f"what_if.remove.{position}",
                type="tertiary",
                on_click=lambda at=position: set_stack(stack().without(at)),
            )
        effect = effect_of(edit, predictor)
        if effect.needs != "forward":
            st.caption(f"Needs: {wording.literal(effect.needs)}. {wording.literal(effect.sentence, limit=400)}")


def offer_refit(current: Scenario, run_id: str, predictor: Predictor) -> None:
    """Says which edits only training again can answer, what that takes, and does it on a click where it is cheap."""
    if not isinstance(predictor, NextLocationModel):
        return
    plan = plan_refit(run_id, current, predictor)
    if plan is None:
        return
    with st.container(border=True, gap="small"):
        took = (
            f"took {wording.duration(plan.seconds)} the first time" if plan.seconds is not None else "took a time that is not known"
        )
        st.markdown(
            f"**{wording.counted(len(plan.edits), 'edit')} can only matter after training again.** "
            f"The same training {took}; the edited city is saved beside the original."
        )
        if plan.is_cheap:
            st.button(
                "Train again on the edited city", key="what_if.refit", type="primary", on_click=_refit, args=(current, run_id)
            )
        else:
            st.caption("That is long; start it from the command line when it suits you:")
        st.code(
            shlex.join(["mobiscope", "whatif", f"{store.slug(current.name)}.json", "--run", run_id, "--refit"]),
            language="bash",
            wrap_lines=True,
        )


def _refit(current: Scenario, run_id: str) -> None:
    try:
        new_run = refit(run_id, current)
    except MobiscopeError as error:
        st.toast(wording.sentence(str(error)))
        return
    session.put("what_if.refitted", new_run)


def refitted() -> None:
    """Says that a training was queued, and leads to it."""
    new_run = session.get("what_if.refitted", None)
    summary = next((run for run in cached.runs() if run.id == new_run), None)
    if summary is None:
        return
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.markdown(f"**{wording.literal(summary.name)}** is in the queue on {wording.literal(summary.city_name)}.")
        if st.button("See the job", key="what_if.see_job", type="tertiary"):
            session.drop("what_if.refitted")
            session.set_run(summary.id, city=summary.city)
            session.follow_run(summary.id)
            navigation.open_page("train")


def _files(current: Scenario) -> None:
    name = st.text_input("Name", session.get(_NAME, ""), placeholder="Untitled scenario", max_chars=120, key="what_if.name_field")
    notes = st.text_area("Notes", session.get(_NOTES, ""), max_chars=5000, key="what_if.notes_field", height=90)
    if (name, notes) != (session.get(_NAME, ""), session.get(_NOTES, "")):
        session.put(_NAME, name)
        session.put(_NOTES, notes)
        st.rerun()
    file_name = f"{store.slug(current.name)}.json"
    st.download_button("Save as JSON", current.to_json(), file_name, "application/json", key="what_if.save", on_click="ignore")
    st.caption("Replay it from the command line, with the same numbers:")
    st.code(f"mobiscope whatif {shlex.quote(file_name)} --run {shlex.quote(str(session.run()))}", language="bash", wrap_lines=True)
    loaded = st.file_uploader("Load a scenario", type=["json"], key="what_if.load", max_upload_size=2)
    if loaded is not None and loaded.file_id != session.get("what_if.loaded", None):
        session.put("what_if.loaded", loaded.file_id)
        _load(loaded.getvalue())


def _load(content: bytes) -> None:
    try:
        found = Scenario.from_json(content)
        check_scenario(found, cached.city(str(session.city())))
    except MobiscopeError as error:
        panels.refusal(error)
        return
    set_stack(EditStack(found.edits))
    session.put(_NAME, found.name)
    session.put(_NOTES, found.notes)
    if found.query is not None:
        session.put("what_if.wanted", found.query)
    st.rerun()
