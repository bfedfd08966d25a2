"""The forms that make an edit: of a place, of the moment and the person, of the history, of a mechanism."""

import numpy as np
import streamlit as st

from dashboard import panels, session, wording
from dashboard.questions import WEEKDAYS
from dashboard.views import model_forms, scenario_stack
from engine.city.samples import Places
from engine.errors import MobiscopeError
from engine.models.answers import Predictor
from engine.scenarios.edits import (
    AddPlace,
    AnyEdit,
    ChangeMoment,
    ChangeUser,
    ClosePlace,
    HideVisits,
    KeepLast,
    MovePlace,
    RetagPlace,
    ShuffleVisits,
)

KINDS = ("Place", "Moment", "History", "Mechanism")
_CLICKED, _LONGITUDE, _LATITUDE = "what_if.clicked", "what_if.longitude", "what_if.latitude"


def set_position(longitude: float, latitude: float) -> None:
    """Remembers the position clicked on the map; the form's fields take it over when they are next drawn."""
    session.put(_CLICKED, (longitude, latitude))


def draw(
    kind: str, places: Places, middle: tuple[float, float], users: np.ndarray, history: list[str], predictor: Predictor
) -> None:
    """The form of one kind of edit.

    Args:
        kind: One of `KINDS`.
        places: The places as edited so far.
        middle: Longitude and latitude proposed before the map was clicked.
        users: Ids of the people of the city.
        history: The visits of the question in words, oldest first.
        predictor: Who answers.
    """
    match kind:
        case "Place":
            _place(places, middle)
        case "Moment":
            _moment(users)
        case "History":
            _history(history)
        case _:
            model_forms.draw_mechanism(predictor, _add)


def _add(edit: AnyEdit) -> None:
    try:
        scenario_stack.IN_HAND.push(edit)
    except MobiscopeError as error:
        panels.refusal(error)
        return
    st.rerun()


def _place(places: Places, middle: tuple[float, float]) -> None:
    primary = session.selection().primary if session.selection().kind == "location" else None
    known = primary in places.index
    actions = ["Open a new place", *(["Close", "Move", "Change category"] if known else [])]
    action = st.segmented_control(
        "What happens", actions, default=actions[0], required=True, key=f"what_if.action.{known}", label_visibility="collapsed"
    )
    clicked: tuple[float, float] | None = session.get(_CLICKED, None)
    session.drop(_CLICKED)
    if clicked is not None or session.widget(_LATITUDE, None) is None:
        longitude, latitude = clicked or middle
        session.set_widget(_LONGITUDE, longitude)
        session.set_widget(_LATITUDE, latitude)
    if known and action != actions[0]:
        row = places.index[primary]
        st.markdown(
            f"**{wording.literal(places.names[row])}**, {wording.literal(places.category_names[places.category[row]] or 'no category')}"
        )
    elif not known:
        st.caption("Click a place on the map to close, move or retag it.")
    if action in ("Open a new place", "Move"):
        left, right = st.columns(2)
        latitude = left.number_input("Latitude, °", -90.0, 90.0, format="%.5f", step=0.001, key=_LATITUDE)
        longitude = right.number_input("Longitude, °", -180.0, 180.0, format="%.5f", step=0.001, key=_LONGITUDE)
    categories = [name for name in places.category_names if name]
    if action in ("Open a new place", "Change category"):
        category = st.selectbox("Category", categories or [""], accept_new_options=True, key="what_if.category")
    if action == "Open a new place":
        name = st.text_input("Name", "New place", max_chars=200, key="what_if.place_name")
        if st.button("Open it", key="what_if.add", type="primary"):
            _add(AddPlace(longitude=longitude, latitude=latitude, category=category or "", name=name or "New place"))
    elif action == "Move" and st.button("Move it here", key="what_if.move", type="primary"):
        _add(MovePlace(location_id=str(primary), longitude=longitude, latitude=latitude))
    elif action == "Close" and st.button("Close it", key="what_if.close", type="primary"):
        _add(ClosePlace(location_id=str(primary)))
    elif action == "Change category" and st.button("Change it", key="what_if.retag", type="primary"):
        _add(RetagPlace(location_id=str(primary), category=category or ""))


def _moment(users: np.ndarray) -> None:
    left, right = st.columns(2)
    hour = left.selectbox(
        "Hour", [None, *range(24)], format_func=lambda h: "as it was" if h is None else f"{h:02d} h", key="what_if.hour"
    )
    weekday = right.selectbox(
        "Weekday", [None, *range(7)], format_func=lambda d: "as it was" if d is None else WEEKDAYS[d], key="what_if.weekday"
    )
    if st.button("Ask then", key="what_if.moment", type="primary", disabled=hour is None and weekday is None):
        _add(ChangeMoment(hour=hour, weekday=weekday))
    unknown = "a person nobody knows"
    user = st.selectbox("Person", [unknown, *map(str, users)], key="what_if.user")
    if st.button("Ask as this person", key="what_if.as_user"):
        _add(ChangeUser(user_id=None if user == unknown else user))


def _history(history: list[str]) -> None:
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        hidden = st.multiselect(
            "Hide visits",
            range(len(history)),
            format_func=lambda step: f"{step + 1}. {history[step][:60]}",
            key="what_if.hidden",
        )
        if st.button("Hide them", key="what_if.hide", type="primary", disabled=not hidden):
            _add(HideVisits(steps=tuple(sorted(hidden))))
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        keep = st.number_input("Keep only the last visits", 1, max(len(history), 1), 1, key="what_if.keep")
        if st.button("Keep only these", key="what_if.keep_last"):
            _add(KeepLast(visits=int(keep)))
    if st.button(
        "Shuffle the order", key="what_if.shuffle", help="The places change their order among the times; the last visit stays."
    ):
        _add(ShuffleVisits(seed=0))
    model_forms.draw_last_visit(_add)
