"""The scenario in hand about a question, and the training again that some of its edits need."""

import streamlit as st

from dashboard import cached, navigation, session, wording
from dashboard.views import model_forms
from dashboard.views.scenario_in_hand import ScenarioInHand, command
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
from engine.scenarios.scenario import Scenario

IN_HAND = ScenarioInHand("what_if")


def scenario(city: City, samples: Samples, index: int) -> Scenario:
    """The scenario in hand, asking the question in view."""
    return IN_HAND.scenario(city, query_of(samples, index))


def draw(current: Scenario, predictor: Predictor, names: dict[str, str]) -> None:
    """The list of edits.

    Args:
        current: The scenario.
        predictor: Who answers.
        names: Location id to name, for reading the edits.
    """

    def words(edit: AnyEdit) -> str:
        location, said = getattr(edit, "location_id", ""), model_forms.edit_words(edit, predictor)
        return said.replace(location, names[location]) if location in names else said

    IN_HAND.draw(current, str(session.run()), words=words, effect=lambda edit: effect_of(edit, predictor), load=_load)


def _load(found: Scenario) -> None:
    check_scenario(found, cached.city(str(session.city())))
    if found.query is not None:
        session.put("what_if.wanted", found.query)


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
        st.code(f"{command(current, run_id)} --refit", language="bash", wrap_lines=True)


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
