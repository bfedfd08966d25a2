"""A config class becomes widgets, and the widgets become the same config class: one truth for screen, command line and run folder.

Titles, help, units and ranges come from the fields. What pydantic refuses is said as a sentence beside the form.
"""

import re
import types
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeVar, Union, get_args, get_origin

import annotated_types
import streamlit as st
from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from dashboard import session, wording

M = TypeVar("M", bound=BaseModel)
VISIBLE = 5
"""Controls a form shows at once; the rest wait under "More settings"."""


@dataclass(frozen=True)
class Control:
    """How one field is drawn.

    Attributes:
        name: Field name, also the key on the command line.
        title: Label with unit.
        help: Description, range and the value it starts from.
        kind: Widget family.
        choices: For `choice` and `choices`.
        low, high: Inclusive bounds, None where open.
        whole: Whether only integers make sense.
        optional: Whether the field may be None.
    """

    name: str
    title: str
    help: str
    kind: Literal["number", "switch", "choice", "choices", "text", "list", "nested"]
    choices: tuple[Any, ...] = ()
    low: float | None = None
    high: float | None = None
    whole: bool = False
    optional: bool = False


def control(name: str, field: FieldInfo) -> Control:
    """How a field is drawn, from its annotation and constraints.

    Raises:
        TypeError: If the annotation has no widget; a config of ours must not come to that.
    """
    annotation, optional = _without_none(field.annotation)
    low, high = _bounds(field, whole=annotation is int)
    help = _help(field, low, high)
    title = _title(name, field)
    if annotation is bool:
        return Control(name, title, help, "switch", optional=optional)
    if annotation in (int, float):
        return Control(name, title, help, "number", low=low, high=high, whole=annotation is int, optional=optional)
    if get_origin(annotation) is Literal:
        return Control(name, title, help, "choice", choices=get_args(annotation), optional=optional)
    if annotation is str:
        return Control(name, title, help, "text", optional=optional)
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return Control(name, title, help, "nested", optional=optional)
    if get_origin(annotation) in (tuple, list, set, frozenset):
        inner = [argument for argument in get_args(annotation) if argument is not Ellipsis]
        if inner and get_origin(inner[0]) is Literal:
            return Control(name, title, help, "choices", choices=get_args(inner[0]))
        return Control(name, title, help, "list", whole=bool(inner) and inner[0] is int)
    raise TypeError(f"No widget for field `{name}` of type {annotation}.")


def draw(
    start: M,
    key: str,
    *,
    fields: Iterable[str] | None = None,
    visible: int = VISIBLE,
    options: Mapping[str, list[Any]] | None = None,
) -> M | None:
    """Draws a form that starts from a config and returns the config as edited.

    Args:
        start: What the widgets start from, such as a preset. With another `key` they start afresh.
        key: Prefix of the widgets' keys.
        fields: Which fields to draw, all by default; the others keep the value of `start`.
        visible: How many controls stand open; the rest wait under the titles of their groups.
        options: Narrower choices for a field than its type allows, because the city offers no more.

    Returns:
        The config, or None when the values contradict each other; the reason stands below the form then.
    """
    config = type(start)
    first = getattr(config, "shown_first", ())
    names = list(fields or [*first, *(name for name in config.model_fields if name not in first)])
    controls = [control(name, config.model_fields[name]) for name in names]
    values: dict[str, Any] = {}
    broken = False

    def place(chosen: list[Control]) -> None:
        nonlocal broken
        columns = st.columns(2, gap="medium") if len(chosen) > 1 else [st.container()]
        flat = [item for item in chosen if item.kind != "nested"]
        for index, item in enumerate(flat):
            with columns[index % len(columns)]:
                values[item.name] = _widget(item, getattr(start, item.name), f"{key}.{item.name}", (options or {}).get(item.name))
        for item in chosen:
            if item.kind == "nested":
                st.markdown(f"**{item.title}**", help=item.help)
                edited = draw(getattr(start, item.name), f"{key}.{item.name}", visible=1_000)
                broken |= edited is None
                values[item.name] = edited

    place(controls[:visible])
    for title, kept in grouped(config, controls[visible:]):
        with st.expander(f"{title} ({len(kept)})"):
            place(kept)
    if broken:
        return None
    # A field left as it was keeps its exact value: widgets round what they show.
    try:
        return config.model_validate(dict(start) | values)
    except ValidationError as error:
        for line in sentences(error, config):
            st.error(wording.sentence(line))
        return None


def grouped(config: type[BaseModel], controls: list[Control]) -> list[tuple[str, list[Control]]]:
    """Controls by the groups their config declares (`form_groups`), the rest as "More settings"; empty groups are left out."""
    declared: Mapping[str, tuple[str, ...]] = getattr(config, "form_groups", {})
    left = {item.name: item for item in controls}
    found = [(title, [left.pop(name) for name in names if name in left]) for title, names in declared.items()]
    return [(title, kept) for title, kept in [*found, ("More settings", list(left.values()))] if kept]


def sentences(error: ValidationError, config: type[BaseModel]) -> list[str]:
    """What pydantic refused, one sentence per field: the title, what was given, what is needed."""
    lines = []
    for issue in error.errors():
        place = [str(part) for part in issue["loc"]]
        field = config.model_fields.get(place[0]) if place else None
        title = _title(place[0], field) if field else ", ".join(place)
        need = issue["msg"].removeprefix("Value error, ").removeprefix("Input ")
        given = "" if issue["type"] == "value_error" else f" It is {issue['input']!r}."
        lines.append(f"{title}: {need[:1].lower() + need[1:]}.{given}" if title else f"{need}.")
    return lines


def changed(edited: BaseModel, start: BaseModel) -> dict[str, Any]:
    """The fields in which two configs of one class differ, JSON-ready, as in `edited`."""
    before, after = start.model_dump(mode="json"), edited.model_dump(mode="json")
    return {name: value for name, value in after.items() if value != before[name]}


def preset(config: type[M], key: str, presets: Mapping[str, M]) -> tuple[str, M]:
    """A picker of presets; gives the name and the config the form starts from."""
    names = list(presets)
    chosen = st.segmented_control(
        "Preset",
        names,
        default=names[0],
        required=True,
        key=f"{key}.preset",
        wrap=True,
        help="A named set of settings. Changing it puts every setting below to that preset's value.",
    )
    name = chosen if chosen in presets else names[0]
    return name, presets[name]


# ---- one field -------------------------------------------------------------------------------------------------------------


def _widget(item: Control, value: Any, key: str, options: list[Any] | None) -> Any:
    if options is not None and item.kind == "text":
        return st.selectbox(item.title, options, index=options.index(value) if value in options else 0, key=key, help=item.help)
    if item.kind == "switch":
        return st.toggle(item.title, value=bool(value), key=key, help=item.help)
    if item.kind == "choice":
        choices = [choice for choice in (options or item.choices)]
        if item.optional:
            choices = [None, *choices]
        index = choices.index(value) if value in choices else 0
        return st.selectbox(item.title, choices, index=index, key=key, help=item.help, format_func=_choice)
    if item.kind == "choices":
        chosen = st.multiselect(item.title, list(item.choices), default=list(value), key=key, help=item.help, format_func=_choice)
        return tuple(chosen)
    if item.kind == "number":
        return _number(item, value, key)
    if item.kind == "list":
        text = st.text_input(
            item.title, value=", ".join(str(part) for part in value), key=key, help=f"{item.help} Separate by commas."
        )
        parts = [part.strip() for part in text.split(",") if part.strip()]
        return tuple(int(part) if item.whole and re.fullmatch(r"-?[0-9]{1,18}", part) else part for part in parts)
    text = st.text_input(item.title, value="" if value is None else str(value), key=key, help=item.help)
    return None if item.optional and not text.strip() else text


def _number(item: Control, value: Any, key: str) -> Any:
    if item.whole:
        shown = None if value is None else int(value)
        entered = st.number_input(
            item.title,
            min_value=None if item.low is None else int(item.low),
            max_value=None if item.high is None else int(item.high),
            value=shown,
            step=1,
            key=key,
            help=item.help,
        )
        return entered if entered is not None or item.optional else value
    shown = None if value is None else float(value)
    entered = st.number_input(
        item.title,
        min_value=None if item.low is None else float(item.low),
        max_value=None if item.high is None else float(item.high),
        value=shown,
        step=_step(item, shown),
        format="%.6g",
        key=key,
        help=item.help,
    )
    return entered if entered is not None or item.optional else value


def _step(item: Control, value: float | None) -> float:
    if item.low is not None and item.high is not None and item.high - item.low <= 1:
        return 0.05
    size = abs(value or 1.0)
    return 10.0 ** (len(str(int(size))) - 2) if size >= 1 else float(f"{size / 10:.0e}")


def _choice(value: object) -> str:
    return "none" if value is None else str(value).replace("_", " ")


def _title(name: str, field: FieldInfo) -> str:
    title = field.title or name.replace("_", " ").capitalize()
    unit = field.json_schema_extra.get("unit") if isinstance(field.json_schema_extra, dict) else None
    return f"{title} ({unit})" if unit else title


def _help(field: FieldInfo, low: float | None, high: float | None) -> str:
    parts = [field.description or ""]
    if low is not None and high is not None:
        parts.append(f"From {low:g} to {high:g}.")
    elif low is not None:
        parts.append(f"At least {low:g}.")
    elif high is not None:
        parts.append(f"At most {high:g}.")
    return " ".join(part for part in parts if part)


def _bounds(field: FieldInfo, whole: bool) -> tuple[float | None, float | None]:
    low: float | None = None
    high: float | None = None
    edge = 1.0 if whole else 0.0
    for rule in field.metadata:
        if isinstance(rule, annotated_types.Ge):
            low = float(rule.ge)  # type: ignore[arg-type]
        elif isinstance(rule, annotated_types.Gt):
            low = float(rule.gt) + edge  # type: ignore[arg-type]
        elif isinstance(rule, annotated_types.Le):
            high = float(rule.le)  # type: ignore[arg-type]
        elif isinstance(rule, annotated_types.Lt):
            high = float(rule.lt) - edge  # type: ignore[arg-type]
        elif isinstance(rule, annotated_types.Interval):
            low = float(rule.ge) if rule.ge is not None else float(rule.gt) + edge if rule.gt is not None else low  # type: ignore[arg-type]
            high = float(rule.le) if rule.le is not None else float(rule.lt) - edge if rule.lt is not None else high  # type: ignore[arg-type]
    return low, high


def _without_none(annotation: Any) -> tuple[Any, bool]:
    if get_origin(annotation) in (Union, types.UnionType):
        parts = [part for part in get_args(annotation) if part is not type(None)]
        return parts[0], len(parts) < len(get_args(annotation))
    return annotation, False


def reset(key: str) -> None:
    """Puts a form back to what it starts from."""
    session.forget_widgets(f"{key}.")
