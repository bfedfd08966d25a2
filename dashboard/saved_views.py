"""Views that a link restores: what does not fit in a URL (selection, what-if, controls of a page) is a small file named by `?view=`."""

import hashlib
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from dashboard import session
from engine import store
from engine.errors import MobiscopeError
from engine.scenarios.edits import AnyEdit
from engine.scenarios.scenario import MOST_EDITS, EditStack

LONGEST_BYTES = 2_000_000
PAGE_PREFIXES = ("next", "attention", "embeddings", "field", "long_tail", "what_if")
_STACK = "what_if.stack"

Plain = bool | int | float | str | None


class _Selected(BaseModel):
    model_config = ConfigDict(extra="forbid")
    ids: tuple[str, ...]
    primary: str | None
    origin: str
    kind: Literal["location", "cell", "user"]


class _WhatIf(BaseModel):
    model_config = ConfigDict(extra="forbid")
    city: str | None
    edits: tuple[AnyEdit, ...] = Field(max_length=MOST_EDITS)


class SavedView(BaseModel):
    """What a view file holds."""

    model_config = ConfigDict(extra="forbid")
    version: Literal[1] = 1
    linked: dict[str, str]
    selection: _Selected | None = None
    what_if: _WhatIf | None = None
    widgets: dict[str, Plain | list[Plain]] = {}


def save_view() -> str:
    """Writes the view of this session to a file.

    Returns:
        The id of the view; the same view has the same id.

    Raises:
        MobiscopeError: If so much is selected that the file would be too large.
    """
    city, stack = session.get(_STACK, (None, EditStack()))
    chosen = session.selection()
    view = SavedView(
        linked=session.link(),
        selection=_Selected(ids=chosen.ids, primary=chosen.primary, origin=chosen.origin, kind=chosen.kind)
        if len(chosen)
        else None,
        what_if=_WhatIf(city=city, edits=stack.done) if stack.done else None,
        widgets=session.plain_widgets(PAGE_PREFIXES),
    )
    text = view.model_dump_json()
    if len(text.encode()) > LONGEST_BYTES:
        raise MobiscopeError("This view is too large to save; select fewer items first.")
    name = hashlib.sha256(text.encode()).hexdigest()[:8]
    store.write_text(store.home() / "views" / f"{name}.json", text)
    return name


def restore_view() -> str | None:
    """Takes over the view that the URL names, once per session and view.

    Returns:
        A sentence where the link names a view that is not here; None otherwise.
    """
    wanted = session.wanted_view()
    if not wanted or wanted == session.get("restored_view", None):
        return None
    session.put("restored_view", wanted)
    try:
        path = store.child(store.home() / "views", f"{wanted}.json")
        if path.stat().st_size > LONGEST_BYTES:
            raise MobiscopeError("too large")
        view = SavedView.model_validate_json(path.read_bytes())
    except (MobiscopeError, ValidationError, OSError):
        return f"The link names the view {wanted[:40]!r}, which is not here or cannot be read. City and run are opened without it."
    session.set_linked(view.linked)
    if view.selection:
        chosen = view.selection
        session.set_selection(session.Selection(chosen.ids, chosen.primary, chosen.origin, chosen.kind))
    if view.what_if:
        session.put(_STACK, (view.what_if.city, EditStack(view.what_if.edits)))
    for key, value in view.widgets.items():
        if key.split(".")[0] in PAGE_PREFIXES:
            session.set_widget(key, value)
    return None
