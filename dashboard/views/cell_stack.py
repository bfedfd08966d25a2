"""The scenario of cells in hand, and the training that leaves a district out."""

import streamlit as st

from dashboard import navigation, panels, session
from dashboard.cached import cell_data
from dashboard.views import model_forms
from dashboard.views.scenario_in_hand import ScenarioInHand
from engine.cli import command_for
from engine.errors import MobiscopeError
from engine.models.answers import CurvePredictor
from engine.runs import Run, submit
from engine.scenarios.cell_compare import effect_on_curves
from engine.scenarios.cell_edits import LeaveDistrictOut
from engine.scenarios.cell_refit import split_without
from engine.scenarios.edits import AnyEdit
from engine.scenarios.scenario import Scenario

IN_HAND = ScenarioInHand("what_if.cells", silent=("forward", "re-encode"))


def scenario(run_id: str) -> Scenario:
    """The scenario in hand."""
    return IN_HAND.scenario(cell_data.grounds(run_id).city)


def push(edit: AnyEdit, predictor: CurvePredictor, run_id: str) -> None:
    """Does one more edit, and takes it back where the model cannot answer to it after those before.

    It is done first: a click elsewhere ends this run of the page while the model is asked, and must not lose the edit.

    Raises:
        MobiscopeError: If the stack is full or the edit does not fit; the stack stays as it is.
    """
    before = IN_HAND.stack()
    IN_HAND.push(edit)
    try:
        cell_data.compared(run_id, predictor.name, scenario(run_id))
    except MobiscopeError:
        IN_HAND.set_stack(before)
        raise


def draw(current: Scenario, predictor: CurvePredictor, run_id: str) -> None:
    """The list of edits, and under a district left out its training."""

    def load(found: Scenario) -> None:
        cell_data.compared(run_id, predictor.name, found)

    def below(edit: AnyEdit, position: int) -> None:
        if isinstance(edit, LeaveDistrictOut):
            _offer_refit(edit, run_id, position)

    IN_HAND.draw(
        current,
        run_id,
        words=lambda edit: model_forms.edit_words(edit, predictor),
        effect=lambda edit: effect_on_curves(edit, predictor, cell_data.grounds(run_id).city),
        load=load,
        below=below,
    )


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
