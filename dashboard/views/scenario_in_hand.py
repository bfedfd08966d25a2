"""A scenario in hand: its stack of edits with undo and redo, its name and notes, its file and its command."""

import shlex
from collections.abc import Callable

import streamlit as st

from dashboard import panels, session, wording
from engine import store
from engine.city.city import City
from engine.errors import MobiscopeError
from engine.models.declarations import Effect
from engine.scenarios.edits import AnyEdit
from engine.scenarios.scenario import EditStack, Query, Scenario

MOST_UNSCROLLED = 3
STACK_HEIGHT = 210
"""Pixels that a longer list of edits scrolls in, so that the form beside it stays in view."""


class ScenarioInHand:
    """What a what-if page keeps between clicks, and the panel that shows it.

    Args:
        key: Prefix in the session; scenarios of visits and of cells are kept apart.
        silent: Needs of an edit that nobody has to be told, since the page meets them at once.
    """

    def __init__(self, key: str, silent: tuple[str, ...] = ("forward",)) -> None:
        kept = ("stack", "refused", "name", "notes", "loaded")
        self._stack, self._refused, self._name, self._notes, self._loaded = (f"{key}.{what}" for what in kept)
        self._silent = silent

    def stack(self) -> EditStack:
        """The edits of this session and what can be undone, for the city in view."""
        kept: tuple[str | None, EditStack] = session.get(self._stack, (None, EditStack()))
        return kept[1] if kept[0] == session.city() else EditStack()

    def set_stack(self, changed: EditStack) -> None:
        """Takes over a changed stack."""
        session.put(self._stack, (session.city(), changed))

    def push(self, edit: AnyEdit) -> None:
        """Does one more edit.

        Raises:
            ScenarioError: If the stack is full; it stays as it is.
        """
        self.set_stack(self.stack().push(edit))

    def push_by_callback(self, edit: AnyEdit) -> None:
        """`push` for the callback of a button, which runs before anything is drawn: a refusal is said where the edits are listed."""
        try:
            self.push(edit)
        except MobiscopeError as error:
            session.put(self._refused, error)

    def start_over(self) -> None:
        """Takes all edits out, as one action."""
        self.set_stack(self.stack().replaced(()))

    def scenario(self, city: City, query: Query | None = None) -> Scenario:
        """The edits done, under their name."""
        return Scenario(
            name=session.get(self._name, "") or "Untitled scenario",
            notes=session.get(self._notes, ""),
            city=city.name,
            city_fingerprint=city.fingerprint,
            query=query,
            edits=self.stack().done,
        )

    def draw(
        self,
        current: Scenario,
        run_id: str,
        *,
        words: Callable[[AnyEdit], str],
        effect: Callable[[AnyEdit], Effect],
        load: Callable[[Scenario], None],
        below: Callable[[AnyEdit, int], None] = lambda edit, position: None,
    ) -> None:
        """The list of edits, each with what it needs to matter; undo, redo, and the file.

        Args:
            current: What `scenario` gave.
            run_id: The run that answers, for the command.
            words: An edit in words.
            effect: What an edit needs to matter.
            load: Looks whether a loaded scenario fits, and takes over what is not the stack, name and notes.
            below: Draws what belongs under an edit at its position.

        A scenario that `load` refuses with a `MobiscopeError` changes nothing.
        """
        edits = self.stack()
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            st.button("Undo", key="what_if.undo", shortcut="u", disabled=not edits.past, on_click=self._undo)
            st.button("Redo", key="what_if.redo", shortcut="y", disabled=not edits.future, on_click=self._redo)
            st.button("Start over", key="what_if.clear", disabled=not edits.done, on_click=self.start_over, type="tertiary")
            with st.popover("Save, load, replay", type="tertiary"):
                self._files(current, run_id, load)
        if (refused := session.get(self._refused, None)) is not None:
            panels.refusal(refused)
            session.drop(self._refused)
        if not edits.done:
            st.caption("No edit yet. Before and after are the same; add an edit.")
        with st.container(height=STACK_HEIGHT if len(edits.done) > MOST_UNSCROLLED else "content", border=False, gap="small"):
            for position, edit in enumerate(edits.done):
                self._line(position, words(edit), effect(edit))
                below(edit, position)

    def _line(self, position: int, words: str, needed: Effect) -> None:
        told, taken_out = st.columns([5, 1], gap="small", vertical_alignment="center")
        told.markdown(f"{position + 1}. {wording.literal(words, limit=160)}")
        taken_out.button("Remove", key=f"what_if.remove.{position}", type="tertiary", on_click=self._remove, args=(position,))
        if needed.needs not in self._silent:
            head = "No effect here" if needed.needs == "nothing" else f"Needs: {wording.literal(needed.needs)}"
            st.caption(f"{head}. {wording.literal(needed.sentence, limit=400)}")
        if needed.note:
            st.caption(wording.literal(needed.note, limit=400))

    def _undo(self) -> None:
        self.set_stack(self.stack().undo())

    def _redo(self) -> None:
        self.set_stack(self.stack().redo())

    def _remove(self, position: int) -> None:
        self.set_stack(self.stack().without(position))

    def _files(self, current: Scenario, run_id: str, load: Callable[[Scenario], None]) -> None:
        known = session.get(self._name, ""), session.get(self._notes, "")
        name = st.text_input("Name", known[0], placeholder="Untitled scenario", max_chars=120, key="what_if.name_field")
        notes = st.text_area("Notes", known[1], max_chars=5000, key="what_if.notes_field", height=90)
        if (name, notes) != known:
            session.put(self._name, name)
            session.put(self._notes, notes)
            st.rerun()
        file_name = f"{store.slug(current.name)}.json"
        st.download_button("Save as JSON", current.to_json(), file_name, "application/json", key="what_if.save", on_click="ignore")
        st.caption("Replay it from the command line, with the same numbers:")
        st.code(command(current, run_id), language="bash", wrap_lines=True)
        loaded = st.file_uploader("Load a scenario", type=["json"], key="what_if.load", max_upload_size=5)
        if loaded is not None and loaded.file_id != session.get(self._loaded, None):
            session.put(self._loaded, loaded.file_id)
            self._take_over(loaded.getvalue(), load)

    def _take_over(self, content: bytes, load: Callable[[Scenario], None]) -> None:
        try:
            found = Scenario.from_json(content)
            load(found)
        except MobiscopeError as error:
            panels.refusal(error)
            return
        self.set_stack(self.stack().replaced(found.edits))
        session.put(self._name, found.name)
        session.put(self._notes, found.notes)
        st.rerun()


def command(current: Scenario, run_id: str) -> str:
    """The command line that gives the numbers of the page."""
    return f"mobiscope whatif {shlex.quote(store.slug(current.name))}.json --run {shlex.quote(run_id)}"
