"""Who was asked? The experts of a model: for one question, for a whole slice, on the map, over the day, and in another city."""

from typing import TYPE_CHECKING

import pandas as pd
import streamlit as st

from dashboard import cached, navigation, panels, questions, session, wording
from dashboard.figures.routing_bars import Palette
from dashboard.views import expert_cards, expert_elsewhere, expert_map, expert_panels
from dashboard.views.question_picker import pick_question
from dashboard.views.run_gate import gate
from engine.evaluation import routing
from engine.models.declarations import ExpertSet

if TYPE_CHECKING:
    from engine.evaluation.routed import Routed

QUESTION = "Who was asked?"
BELOW = ("Cards", "Load", "Rhythm", "This person", "Differences", "Labels", "Visits", "Another city")


def main() -> None:
    empty = ("There is no trained model to look into", "Experts are chosen by a trained router; train a model that has some.")
    asked = gate(QUESTION, "experts", empty, ("next_location",))
    if asked is None:
        return
    slug, run_id = asked.city, asked.run
    loaded, sets = cached.loaded_run(run_id), cached.expert_sets(run_id)
    title = str(loaded.model.title)
    if not sets:
        _without_experts(slug, run_id, title)
        return
    group = session.slice_group()
    _, steps = cached.steps_in_slice(run_id, group)
    if steps.empty:
        panels.head(QUESTION)
        panels.nothing(*panels.no_step(group is not None))
        return
    head = st.container()
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
        index = pick_question(steps, "experts")
        keys = list(sets)
        key = st.segmented_control(
            "Experts",
            keys,
            default=keys[0],
            required=True,
            format_func=lambda name: sets[name].title,
            key=f"experts.set.{len(keys)}",
        )
    key = key if key in sets else keys[0]
    experts, samples = sets[key], loaded.data.samples
    palettes = {name: Palette.of(cached.expert_labels(run_id, group, name), session.theme()) for name in sets}
    palette = palettes[key]
    over, once = cached.asked(run_id, group), cached.asked_once(run_id, index)
    history = questions.history_of(samples, index, questions.QueryEdit())
    with head:
        panels.head(QUESTION, _answer(once, sets, palettes, history, over))
    left, right = st.columns([58, 42], gap="medium")
    with left:
        shown = st.segmented_control(
            "Map", expert_map.SHOWN, default=expert_map.SHOWN[0], required=True, key="experts.shown", label_visibility="collapsed"
        )
        if shown == expert_map.SHOWN[0]:
            expert_map.draw_city(slug, over, key, palette, samples.log.places, expert_map.hour_in_view())
            expert_map.hour_slider()
        else:
            snap = expert_map.snap_of(slug, samples, index, once)
            expert_map.draw_question(run_id, slug, samples, index, snap, history)
            expert_panels.draw_inputs(once, key, experts, history)
    with right:
        expert_panels.draw_steps(once, over, key, experts, palette, history)
    below = st.segmented_control("Below", BELOW, default=BELOW[0], required=True, key="experts.below", label_visibility="collapsed")
    user = int(samples.log.user[samples.target[index]])
    match below:
        case "Cards":
            expert_cards.draw_cards(over, key, experts, palette, samples)
        case "Load":
            expert_panels.draw_load(run_id, over, key, experts, palette)
        case "Rhythm":
            expert_panels.draw_rhythm(over, key, experts, palette)
        case "This person":
            expert_panels.draw_person(over, key, experts, palette, user, samples.log.users)
        case "Differences":
            expert_panels.draw_differences(run_id, key, experts, palette)
        case "Labels":
            expert_panels.draw_labels(over, key, cached.label_checks(run_id, group, key), experts, palette)
        case "Visits":
            expert_panels.draw_visits(run_id, index, history, samples)
        case _:
            expert_elsewhere.draw(slug, run_id, title)
    st.caption(f"{wording.literal(title)}: {wording.literal(loaded.model.paper, 300)}. {wording.literal(experts.meaning, 300)}")


def _without_experts(slug: str, run_id: str, title: str) -> None:
    """Says why the page is empty, and leads to a run that has experts, or to training one."""
    panels.head(QUESTION)
    panels.nothing(
        f"{wording.literal(title)} has no experts",
        "It answers every question with the same network; there is nobody to ask, so nothing to draw here.",
    )
    fitting = [
        run
        for run in cached.runs()
        if run.city == slug and run.state == "DONE" and run.id != run_id and cached.run_declares(run.id, "experts")
    ]
    if fitting:
        st.button(
            f"Use the run {wording.literal(cached.run_label(fitting[0]))}",
            key="experts.use",
            type="primary",
            on_click=session.set_run,
            args=(fitting[0].id,),
        )
    else:
        navigation.door("train", "Train a model with experts", key="experts.train", primary=True)


def _answer(
    once: "cached.AskedOnce",
    sets: dict[str, ExpertSet],
    palettes: dict[str, Palette],
    history: pd.DataFrame,
    over: "cached.Asked",
) -> str:
    """Whom the model asked for the latest visit, and what is said of every set over the slice."""
    said = []
    for key, experts in sets.items():
        weights, used = once.raw[key], once.used[key]
        if not len(weights):
            continue
        top = int(used[-1].argmax())
        others = int(routing.active(used[-1])) - 1
        beside = f" and {wording.counted(others, 'other')}" if others > 0 else " alone"
        said.append(
            f"**{wording.literal(palettes[key].labels[top].shown(40, in_full=True))}** ({wording.percent(float(used[-1][top]), 2)}){beside} of "
            f"{len(experts.names)} {wording.literal(experts.title.split(',')[0].lower())}"
        )
    if not said:
        return "No visit of this question was routed."
    place, when = wording.literal(history["name"].iloc[-1], 60), wording.literal(history["when"].iloc[-1])
    judged = [_judged(experts, over.routed[key]) for key, experts in sets.items()]
    return (
        f"For the visit to {place} ({when}) the model asked {', and '.join(said)}. "
        f"Over {wording.counted(len(over.visits), 'question')} it chooses {', and '.join(judged)}."
    )


def _judged(experts: ExpertSet, routed: "Routed") -> str:
    """How decided the choice among one set is over the slice, and how many of the set are dead."""
    found, dead = routing.specialisation(routed.latest_raw), routing.dead(routing.load(routed.latest))
    return (
        f"{wording.literal(experts.title.split(',')[0].lower())} with {found.per_row:.2f} of {found.even:.2f} nats of doubt "
        f"({int(dead.sum()) or 'none'} of {len(dead)} dead)"
    )


main()
