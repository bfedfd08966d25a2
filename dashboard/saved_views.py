"""Views that a link restores: what does not fit in a URL (selection, what-if, controls of a page) is a small file named by `?view=`."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from dashboard import session
from engine import store
from engine.errors import MobiscopeError
from engine.scenarios.edits import AnyEdit
from engine.scenarios.scenario import MOST_EDITS, EditStack

LONGEST_BYTES = 2_000_000
MOST_VIEWS = 2_000
PAGE_PREFIXES = ("next", "grid", "experts", "attention", "embeddings", "field", "long_tail", "what_if")
_STACK, _CELL_STACK = "what_if.stack", "what_if.cells.stack"

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
    name: str = Field("", max_length=80)
    page: str = Field("", max_length=40, description="The page it was saved on, as `dashboard.navigation` names it.")
    linked: dict[str, str]
    selection: _Selected | None = None
    what_if: _WhatIf | None = None
    what_if_cells: _WhatIf | None = None
    widgets: dict[str, Plain | list[Plain]] = {}


@dataclass(frozen=True)
class NamedView:
    """A view kept under a name.

    Attributes:
        id: Of its file.
        view: What it holds.
    """

    id: str
    view: SavedView


def save_view(name: str = "") -> str:
    """Writes the view of this session to a file.

    Args:
        name: What to list it under; views without one are only found by their link. A view of that name is replaced.

    Returns:
        The id of the view; the same view has the same id.

    Raises:
        MobiscopeError: If so much is selected that the file would be too large.
    """
    city, stack = session.get(_STACK, (None, EditStack()))
    of, cell_stack = session.get(_CELL_STACK, (None, EditStack()))
    chosen = session.selection()
    view = SavedView(
        name=name.strip(),
        page=session.get("page", ""),
        linked=session.link(),
        selection=_Selected(ids=chosen.ids, primary=chosen.primary, origin=chosen.origin, kind=chosen.kind)
        if len(chosen)
        else None,
        what_if=_WhatIf(city=city, edits=stack.done) if stack.done else None,
        what_if_cells=_WhatIf(city=of, edits=cell_stack.done) if cell_stack.done else None,
        widgets=session.plain_widgets(PAGE_PREFIXES),
    )
    text = view.model_dump_json()
    if len(text.encode()) > LONGEST_BYTES:
        raise MobiscopeError("This view is too large to save; select fewer items first.")
    view_id = hashlib.sha256(text.encode()).hexdigest()[:8]
    if view.name:
        for other in named_views():
            if other.view.name == view.name and other.id != view_id:
                forget_view(other.id)
    store.write_text(_folder() / f"{view_id}.json", text)
    return view_id


def named_views() -> list[NamedView]:
    """The views kept under a name, by name; files that cannot be read are left out."""
    found = []
    for path in sorted(_folder().glob("*.json"))[:MOST_VIEWS]:
        try:
            view = _read(path.stem)
        except (MobiscopeError, ValidationError, OSError):
            continue
        if view.name:
            found.append(NamedView(path.stem, view))
    return sorted(found, key=lambda item: item.view.name.lower())


def forget_view(view_id: str) -> None:
    """Deletes a saved view; its link then leads nowhere.

    Raises:
        MobiscopeError: If the id is none.
    """
    store.child(_folder(), f"{view_id}.json").unlink(missing_ok=True)


def forget_views_of(city: str) -> None:
    """Deletes the views, named or not, that hold something of a city: its people, places, selections or edits.

    Args:
        city: Slug of the city.
    """
    for path in _folder().glob("*.json"):
        try:
            view = _read(path.stem)
        except (MobiscopeError, ValidationError, OSError):
            continue
        edited = {of.city for of in (view.what_if, view.what_if_cells) if of}
        if city in edited | {view.linked.get("city")}:
            path.unlink(missing_ok=True)


def open_view(view_id: str) -> str:
    """Takes over a saved view.

    Returns:
        The page it was saved on, empty where it names none.

    Raises:
        MobiscopeError: If it is not here or cannot be read.
    """
    try:
        view = _read(view_id)
    except (ValidationError, OSError):
        raise MobiscopeError("This view is not here any more, or its file is damaged. Save it again.") from None
    session.put("restored_view", view_id)
    _take_over(view)
    return view.page


def _folder() -> Path:
    return store.home() / "views"


def _read(view_id: str) -> SavedView:
    path = store.child(_folder(), f"{view_id}.json")
    if path.stat().st_size > LONGEST_BYTES:
        raise MobiscopeError("too large")
    return SavedView.model_validate_json(path.read_bytes())


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
        view = _read(wanted)
    except (MobiscopeError, ValidationError, OSError):
        return f"The link names the view {wanted[:40]!r}, which is not here or cannot be read. City and run are opened without it."
    _take_over(view)
    return None


def _take_over(view: SavedView) -> None:
    session.set_linked(view.linked)
    if view.selection:
        chosen = view.selection
        session.set_selection(session.Selection(chosen.ids, chosen.primary, chosen.origin, chosen.kind))
    else:
        session.clear_selection()
    if view.what_if:
        session.put(_STACK, (view.what_if.city, EditStack(view.what_if.edits)))
    if view.what_if_cells:
        session.put(_CELL_STACK, (view.what_if_cells.city, EditStack(view.what_if_cells.edits)))
    for key, value in view.widgets.items():
        if key.split(".")[0] in PAGE_PREFIXES:
            session.set_widget(key, value)
