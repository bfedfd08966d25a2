"""Forms of what-ifs that a model declares: probes to override, knobs to turn, experts by name, and edits of the latest visit."""

from collections.abc import Callable

import streamlit as st

from dashboard import panels, wording
from engine.models.answers import CurvePredictor, Predictor
from engine.models.base import MobilityModel
from engine.models.declarations import Knob
from engine.probes import Probe
from engine.scenarios.edits import AnyEdit, ChangeStay, OverrideProbe, ShiftLast, TurnKnob
from engine.scenarios.mechanisms import actions_of, in_words, probe_title

LONGEST_TEXT = 2_000
NAMES_HELP = (
    "Names are hypotheses of whoever wrote the experts' texts; nothing in training ties them to what they say. The Experts page measures "
    "how far each goes along with what is known of people and places (Cards, Labels), and marks it."
)
"""Said where experts are chosen by bare names, since measuring those would take the time of that page."""
MECHANISMS = ("Override a probe", "Turn a setting")


def wants_override() -> bool:
    """The choice between overriding a probe and turning a setting."""
    chosen = st.segmented_control(
        "What changes", MECHANISMS, default=MECHANISMS[0], required=True, key="what_if.mechanism", label_visibility="collapsed"
    )
    return chosen != MECHANISMS[1]


def edit_words(edit: AnyEdit, predictor: Predictor | CurvePredictor) -> str:
    """An edit in words, its settings and probes called what the model that answers calls them."""
    return in_words(edit, predictor.probes(), predictor.knobs()) if isinstance(predictor, MobilityModel) else edit.describe()


def experts_first(model: MobilityModel) -> dict[str, Probe]:
    """The probes of a model, those of its experts before the others."""
    probes = model.probes()
    declared = [name for experts in model.experts().values() for name in (experts.routing, experts.raw)]
    return {name: probes[name] for name in dict.fromkeys([*declared, *probes])}


def draw_mechanism(predictor: Predictor | CurvePredictor, add: Callable[[AnyEdit], None]) -> None:
    """An override of what passes through a probe, or a setting turned.

    Args:
        predictor: Who answers; a baseline has no mechanism, which is said.
        add: Takes the edit.
    """
    if not isinstance(predictor, MobilityModel):
        panels.nothing("No mechanism to override", "Only models declare probes; a baseline has none.")
        return
    if predictor.knobs() and not wants_override():
        draw_knobs(predictor, add)
        return
    probes = {name: probe for name, probe in experts_first(predictor).items() if actions_of(probe)}
    if not probes:
        panels.nothing("No mechanism to override", f"{wording.literal(predictor.title)} declares no probe with an action.")
        return
    name = st.selectbox("Probe", list(probes), format_func=lambda name: probe_title(name, probes[name]), key="what_if.probe")
    probe = probes[name]
    st.caption(f"`{name}`, {wording.literal(f'{probe.kind}: {probe.meaning}', limit=300)}")
    actions = {action.name: action for action in actions_of(probe)}
    chosen = actions[st.selectbox("Action", list(actions), key=f"what_if.probe_action.{probe.kind}.{probe.axes[-1]}")]
    st.caption(wording.literal(chosen.meaning, limit=200))
    index, entry, amount = None, "", None
    if chosen.needs_index:
        index, entry = pick_entry(predictor, name, probe)
    if chosen.amount:
        low, default, high = chosen.amount
        amount = st.slider("Amount", low, high, default, key=f"what_if.amount.{chosen.name}")
    if st.button("Override", key="what_if.override", type="primary"):
        add(OverrideProbe(probe=name, action=chosen.name, index=index, entry=entry, amount=amount))


def draw_knobs(model: MobilityModel, add: Callable[[AnyEdit], None]) -> None:
    """One knob of the model and its new value.

    Args:
        model: Who answers; one that declares some.
        add: Takes the edit.
    """
    knobs = model.knobs()
    key = st.selectbox("Setting", list(knobs), format_func=lambda name: knobs[name].title, key="what_if.knob")
    knob = knobs[key]
    st.caption(wording.literal(knob.meaning, 300))
    value = _value(knob, f"what_if.knob.{key}")
    if st.button("Turn it", key="what_if.turn", type="primary", disabled=value == knob.default or value == ""):
        add(TurnKnob(knob=key, value=value))


def _value(knob: Knob, key: str) -> bool | int | float | str:
    """The control that fits the type of a knob; starts from its trained value."""
    default = knob.default
    if isinstance(default, bool):
        return bool(st.toggle("On", default, key=key))
    if isinstance(default, str):
        if knob.choices:
            return str(st.selectbox("Value", knob.choices, knob.choices.index(default), key=key))
        return str(st.text_area("Text", default, max_chars=LONGEST_TEXT, height=110, key=key)).strip()
    low, high = knob.lowest, knob.highest
    if isinstance(default, int):
        return int(
            st.number_input(
                "Value", int(low) if low is not None else None, int(high) if high is not None else None, default, key=key
            )
        )
    if low is not None and high is not None:
        return float(st.slider("Value", float(low), float(high), float(default), key=key))
    return float(st.number_input("Value", low, high, float(default), key=key))


def pick_entry(model: MobilityModel, name: str, probe: Probe) -> tuple[int, str]:
    """Which entry of a probe's last axis an action is done to: its position, and its name where it has one.

    Args:
        model: Who answers.
        name: Name of the probe.
        probe: The probe.
    """
    names, title = model.entry_names(name), f"Which {probe.axes[-1]}"
    if names:
        are_experts = any(name in (experts.routing, experts.raw) for experts in model.experts().values())
        index = st.selectbox(
            title,
            range(len(names)),
            format_func=lambda index: names[index],
            key=f"what_if.entry.{name}",
            help=NAMES_HELP if are_experts else None,
        )
        return int(index), names[index]
    return int(st.number_input(title, 0, 10_000, 0, key="what_if.probe_index")), ""


def draw_last_visit(add: Callable[[AnyEdit], None]) -> None:
    """How long the latest visit lasted, and where it was.

    Args:
        add: Takes an edit.
    """
    st.markdown("**The latest visit**")
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        minutes = st.number_input("Stay, minutes", 0, 10_080, 60, step=15, key="what_if.stay")
        if st.button("Let it take so long", key="what_if.change_stay"):
            add(ChangeStay(minutes=float(minutes)))
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        east = st.number_input("East, m", -100_000, 100_000, 0, step=100, key="what_if.east")
        north = st.number_input("North, m", -100_000, 100_000, 0, step=100, key="what_if.north")
        if st.button("Move it there", key="what_if.shift_last", disabled=not east and not north):
            add(ShiftLast(east_m=float(east), north_m=float(north)))
