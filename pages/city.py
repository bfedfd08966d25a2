"""City: what is in it, and how another one is brought in."""

import streamlit as st

from dashboard import cached, panels, session
from dashboard.views import bring_data, city_card

BELOW = {"card": "Data card", "tables": "Tables", "export": "Export", "delete": "Delete"}


def main() -> None:
    slug = session.city()
    view = session.get("city.view", "look") if slug else "bring"
    if view == "bring" or slug is None:
        bring_data.draw(can_return=slug is not None)
        return
    city = cached.city(slug)
    with st.container(horizontal=True, vertical_alignment="top", horizontal_alignment="distribute"):
        with st.container(width="stretch", gap="small"):
            panels.head("What is in this city?", city_card.sentence(city, cached.city_facts(slug)))
        st.button("Bring your data", key="city.bring", on_click=session.put, args=("city.view", "bring"))
    left, right = st.columns([62, 38], gap="medium")
    with left:
        city_card.layers_map(slug)
    with right:
        city_card.size_and_rhythm(slug)
        city_card.kept(city.info.data_card)
    below = st.segmented_control(
        "Details",
        list(BELOW),
        default="card",
        required=True,
        format_func=BELOW.__getitem__,
        key="city.below",
        label_visibility="collapsed",
    )
    if below == "tables":
        city_card.tables(slug)
    elif below == "export":
        city_card.export(slug)
    elif below == "delete":
        city_card.removal(slug)
    else:
        city_card.data_card(slug)
    if session.get("city.is_new", False):
        session.drop("city.is_new")
        panels.from_the_top()


main()
