"""The scenario of cells in hand: its stack of edits with undo and redo, its name and notes, its file and its command."""

import shlex

import streamlit as st

from dashboard import cached, navigation, panels, session, wording
from dashboard.cached import cell_data
from engine import store
from engine.cli import command_for
from engine.errors import MobiscopeError
from engine.models.answers import CurvePredictor
from engine.runs import Run, submit
from engine.scenarios.cell_apply import check_cell_scenario
from engine.scenarios.cell_compare import effect_on_curves
from engine.scenarios.cell_edits import LeaveDistrictOut
from engine.scenarios.cell_refit import split_without
from engine.scenarios.edits import AnyEdit
from engine.scenarios.scenario import EditStack, Scenario

_STACK, _NAME, _NOTES = "what_if.cells.stack", "what_if.cells.name", "what_if.cells.notes"


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


def scenario(run_id: str) -> Scenario:
    """The scenario in hand."""
    city = cell_data.grounds(run_id).city
    return Scenario(
        name=session.get(_NAME, "") or "Untitled scenario",
        notes=session.get(_NOTES, ""),
        city=city.name,
        city_fingerprint=city.fingerprint,
        edits=stack().done,
    )


def draw(current: Scenario, predictor: CurvePredictor, run_id: str) -> None:
    """The list of edits, each with what it needs to matter, undo and redo, and the file."""
    edits = stack()
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.button("Undo", key="what_if.undo", shortcut="u", disabled=not edits.done, on_click=lambda: set_stack(stack().undo()))
        st.button("Redo", key="what_if.redo", shortcut="y", disabled=not edits.undone, on_click=lambda: set_stack(stack().redo()))
        st.button(
            "Start over", key="what_if.clear", disabled=not edits.done, on_click=lambda: set_stack(EditStack()), type="tertiary"
        )
        with st.popover("Save, load, replay", type="tertiary"):
            _files(current, run_id)
    if not edits.done:
        st.caption("No edit yet. Before and after are the same; add an edit above.")
    for position, edit in enumerate(edits.done):
        with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute", gap="small"):
            st.markdown(f"{position + 1}. {wording.literal(edit.describe(), limit=160)}")
            st.button(
                "Remove",
                key=f"what_if.remove.{position}",
                type="tertiary",
                on_click=lambda at=position: set_stack(stack().without(at)),
            )
        effect = effect_on_curves(edit, predictor)
        if effect.needs not in ("forward", "re-encode"):
            st.caption(f"Needs: {wording.literal(effect.needs)}. {wording.literal(effect.sentence, limit=400)}")
        if isinstance(edit, LeaveDistrictOut):
            _offer_refit(edit, run_id, position)


def _offer_refit(edit: LeaveDistrictOut, run_id: str, position: int) -> None:
    """A training without the district, by click or from a terminal."""
    run = Run.open(run_id)
    base = cell_data.grounds(run_id)
    try:
        split = split_without(base.city, run.request.split, base.cells, edit.district)  # type: ignore[arg-type]
    except MobiscopeError as error:
        panels.refusal(error)
        return
    name = f"{run.summary.name}, without {edit.district}"[:120]
    request = run.again(split=split, name=name)
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        if st.button("Train without it", key=f"what_if.refit.{position}", type="primary"):
            try:
                session.follow_run(submit(request))
            except MobiscopeError as error:
                panels.refusal(error)
                return
            navigation.open_page("train")
        with st.popover("The same from a terminal", type="tertiary"):
            st.code(command_for(request), language="bash", wrap_lines=True)


def _files(current: Scenario, run_id: str) -> None:
    name = st.text_input("Name", session.get(_NAME, ""), placeholder="Untitled scenario", max_chars=120, key="what_if.name_field")
    notes = st.text_area("Notes", session.get(_NOTES, ""), max_chars=5000, key="what_if.notes_field", height=90)
    if (name, notes) != (session.get(_NAME, ""), session.get(_NOTES, "")):
        session.put(_NAME, name)
        session.put(_NOTES, notes)
        st.rerun()
    file_name = f"{store.slug(current.name)}.json"
    st.download_button("Save as JSON", current.to_json(), file_name, "application/json", key="what_if.save", on_click="ignore")
    st.caption("Replay it from the command line, with the same numbers:")
    st.code(command(current, run_id), language="bash", wrap_lines=True)
    loaded = st.file_uploader("Load a scenario", type=["json"], key="what_if.load", max_upload_size=5)
    if loaded is not None and loaded.file_id != session.get("what_if.cells.loaded", None):
        session.put("what_if.cells.loaded", loaded.file_id)
        _load(loaded.getvalue(), run_id)


def command(current: Scenario, run_id: str) -> str:
    """The command line that gives the numbers of the page."""
    return f"mobiscope whatif {shlex.quote(store.slug(current.name))}.json --run {shlex.quote(run_id)}"


def _load(content: bytes, run_id: str) -> None:
    try:
        found = Scenario.from_json(content)
        base = cell_data.grounds(run_id)
        check_cell_scenario(found, cached.city(str(session.city())), base.cells)
    except MobiscopeError as error:
        panels.refusal(error)
        return
    set_stack(EditStack(found.edits))
    session.put(_NAME, found.name)
    session.put(_NOTES, found.notes)
    st.rerun()
