"""What the analyst has chosen: city, run, slice, selection, sample. The only file that touches Streamlit's session state and URL.

A link restores a view (`?city=…&run=…`): on every script run the URL wins where it names something, and what is chosen is written
back to it. Nothing here is shared between sessions.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeVar, get_args

import streamlit as st

from engine import store
from engine.errors import MobiscopeError

T = TypeVar("T")
Kind = Literal["location", "cell", "user"]
KINDS: tuple[Kind, ...] = get_args(Kind)
"""What can be selected."""
Theme = Literal["light", "dark"]

_PREFIX = "mobiscope."
_LINKED = ("city", "run", "slice", "user", "step")


@dataclass(frozen=True)
class Selection:
    """One selection for all pages: a set, the item looked at, and where it was made.

    Attributes:
        ids: Ids of the selected items, in the order they were picked.
        primary: The one that details are shown of; always among `ids`, None when nothing is selected.
        origin: Page or panel that made it, as words.
        kind: What the ids name.
    """

    ids: tuple[str, ...] = ()
    primary: str | None = None
    origin: str = ""
    kind: Kind = "location"

    def __post_init__(self) -> None:
        unique = tuple(dict.fromkeys(self.ids))
        object.__setattr__(self, "ids", unique)
        if self.primary not in unique:
            object.__setattr__(self, "primary", unique[0] if unique else None)

    def __len__(self) -> int:
        return len(self.ids)

    def toggled(self, item: str, origin: str = "") -> "Selection":
        """With `item` added and looked at, or taken out if it was in."""
        kept = tuple(other for other in self.ids if other != item)
        ids = kept if item in self.ids else (*kept, item)
        return replace(self, ids=ids, primary=item if item in ids else None, origin=origin or self.origin)

    def inverted(self, everything: Iterable[str]) -> "Selection":
        """Everything that was not selected."""
        chosen = set(self.ids)
        return replace(self, ids=tuple(item for item in everything if item not in chosen), primary=None)


@dataclass(frozen=True)
class SamplePosition:
    """A person and the step of theirs that is looked at; `step` counts that person's samples from 0."""

    user: str
    step: int = 0


# ---- state -----------------------------------------------------------------------------------------------------------------


def get(name: str, default: T) -> T:
    """A value of this session by name; pages use it for their own small choices."""
    value: T = st.session_state.get(_PREFIX + name, default)
    return value


def put(name: str, value: object) -> None:
    """Keeps a value for this session."""
    st.session_state[_PREFIX + name] = value


def drop(name: str) -> None:
    """Forgets a value of this session."""
    st.session_state.pop(_PREFIX + name, None)


def widget(key: str, default: T) -> T:
    """The value a widget with this key holds (before it is drawn in this run), else `default`."""
    value: T = st.session_state.get(key, default)
    return value


def set_widget(key: str, value: object) -> None:
    """Sets a widget's value; call it from a callback or before the widget is drawn."""
    st.session_state[key] = value


def forget_widgets(prefix: str) -> None:
    """Forgets all widgets whose key starts with `prefix`, so that they start from their defaults."""
    for key in [key for key in st.session_state if str(key).startswith(prefix)]:
        del st.session_state[key]


# ---- the URL ---------------------------------------------------------------------------------------------------------------


def restore() -> list[str]:
    """Takes over what the URL names and writes the rest of the view back to it; called once per script run, first thing.

    Returns:
        A sentence for everything the link names that is not here.
    """
    complaints = []
    for name in _LINKED:
        linked = st.query_params.get(name)
        if linked is None or linked == get(name, None):
            continue
        if name == "city" and not _exists(store.cities_folder(), linked, "city.json"):
            complaints.append(f"The link names the city {linked[:80]!r}, which is not here. Choose another one.")
        elif name == "run" and not _exists(store.runs_folder(), linked, "run.json"):
            complaints.append(f"The link names the run {linked[:80]!r}, which is not here. Choose another one.")
        elif name == "step" and not _is_step(linked):
            complaints.append(f"The link names step {linked[:80]!r}; a step is a number.")
        else:
            put(name, linked)
            if name == "run":
                follow_run(linked)
    _publish()
    return complaints


def link() -> dict[str, str]:
    """The query parameters that restore this view; pass them to `st.switch_page` and page links."""
    return {name: str(value) for name in _LINKED if (value := get(name, None)) not in (None, "")}


def url() -> str:
    """The link to this view, for copying."""
    return str(st.context.url or "")


def wanted_view() -> str | None:
    """The id of the saved view that the URL names (see `dashboard.saved_views`)."""
    return st.query_params.get("view")


def set_linked(values: Mapping[str, str]) -> None:
    """Takes over what a saved view links to; what it leaves out is forgotten."""
    for name in _LINKED:
        if name in values and (name != "step" or _is_step(values[name])):
            put(name, values[name])
        else:
            drop(name)
    _publish()


def plain_widgets(prefixes: tuple[str, ...]) -> dict[str, Any]:
    """The values of the pages' own controls that can be written as JSON."""
    kept = {}
    for key, value in st.session_state.items():
        # A button at rest is False and may not be set again, so False is left to the control's own start.
        items = value if isinstance(value, list) else [value]
        is_plain = value is not False and all(item is None or isinstance(item, bool | int | float | str) for item in items)
        if str(key).split(".")[0] in prefixes and is_plain:
            kept[str(key)] = value
    return kept


def _publish() -> None:
    wanted = link()
    for name in _LINKED:
        if name in wanted:
            if st.query_params.get(name) != wanted[name]:
                st.query_params[name] = wanted[name]
        elif name in st.query_params:
            del st.query_params[name]


def _is_step(text: str) -> bool:
    """Whether a link's step is a count: digits only (`isdigit` takes ² for one), and few enough to index samples."""
    return text.isdecimal() and len(text) <= 9


def _exists(parent: Any, name: str, marker: str) -> bool:
    try:
        return (store.child(parent, name) / marker).is_file()
    except MobiscopeError:
        return False


def _set(**values: str | None) -> None:
    for name, value in values.items():
        if value in (None, ""):
            drop(name)
        else:
            put(name, value)
    _publish()


# ---- city, run, slice ------------------------------------------------------------------------------------------------------


def city() -> str | None:
    """The slug of the chosen city; None if none is chosen or it is gone."""
    chosen: str | None = get("city", None)
    return chosen if chosen and _exists(store.cities_folder(), chosen, "city.json") else None


def set_city(slug: str | None) -> None:
    """Chooses a city. Another city than before clears run, selection and sample, which belong to the old one."""
    if slug != get("city", None):
        clear_selection()
        _set(city=slug, run=None, user=None, step=None)
    else:
        _set(city=slug)


def run() -> str | None:
    """The id of the chosen run; None if none is chosen or it is gone."""
    chosen: str | None = get("run", None)
    return chosen if chosen and _exists(store.runs_folder(), chosen, "run.json") else None


def set_run(run_id: str | None, city: str | None = None) -> None:
    """Chooses a run, and with it the city it was trained on where that is given."""
    if city:
        set_city(city)
    _set(run=run_id)


def follow_run(run_id: str) -> None:
    """Remembers the run this session started or came to by link; its job card stays in sight when it is done."""
    put("followed_run", run_id)


def followed_run() -> str | None:
    """The run this session started or came to by link."""
    followed: str | None = get("followed_run", None)
    return followed


def slice_name() -> str | None:
    """The slice looked at, a key of `engine.evaluation.slices.SLICES`; None where none was chosen."""
    chosen: str | None = get("slice", None)
    return chosen


def slice_group() -> tuple[str, str] | None:
    """The slice and the group of it that all pages are limited to; None for all cases."""
    name, _, group = (slice_name() or "").partition("=")
    return (name, group) if group else None


def set_slice(name: str | None) -> None:
    """Chooses a slice."""
    _set(slice=name)


# ---- selection and sample --------------------------------------------------------------------------------------------------


def selection() -> Selection:
    """The selection, the same on every page."""
    return get("selection", Selection())


def select(ids: Iterable[str], origin: str, primary: str | None = None, kind: Kind = "location") -> None:
    """Makes a selection; `origin` says in words where."""
    put("selection", Selection(tuple(ids), primary, origin, kind))


def set_selection(chosen: Selection) -> None:
    """Takes over a selection as it is."""
    put("selection", chosen)


def clear_selection() -> None:
    """Selects nothing."""
    drop("selection")


def sample() -> SamplePosition | None:
    """The person and step looked at."""
    user: str | None = get("user", None)
    return SamplePosition(user, int(get("step", "0"))) if user else None


def set_sample(user: str, step: int = 0) -> None:
    """Looks at a person's step."""
    _set(user=user, step=str(step))


# ---- surroundings ----------------------------------------------------------------------------------------------------------


def theme() -> Theme:
    """The active theme; figures take their colours from it."""
    return "dark" if st.context.theme.type == "dark" else "light"


def picked(state: object, layer: str | None = None) -> list[Mapping[str, Any]]:
    """The objects picked in a pydeck chart's returned state, of one layer or of all."""
    found = getattr(state, "selection", None) or (state.get("selection", {}) if isinstance(state, Mapping) else {})
    objects = found.get("objects", {}) if hasattr(found, "get") else {}
    layers = [layer] if layer else list(objects)
    return [thing for name in layers for thing in objects.get(name, [])]
