"""The person and the step in view, for every page that asks one question."""

import pandas as pd
import streamlit as st

from dashboard import session


def pick_question(steps: pd.DataFrame, page: str) -> int:
    """Draws the choice of a person and a step, shared by all pages through the session.

    Args:
        steps: As from `dashboard.questions.steps_of`; not empty.
        page: Prefix of the widgets' keys.

    Returns:
        Position of the sample.
    """
    people = list(dict.fromkeys(steps["user"].astype(str)))
    sample = session.sample()
    user = sample.user if sample and sample.user in people else people[0]
    mine = steps[steps["user"].astype(str) == user].reset_index(drop=True)
    step = min(sample.step if sample and sample.user == user else 0, len(mine) - 1)
    person_key, step_key = f"{page}.person", f"{page}.step"
    session.set_widget(person_key, user)
    session.set_widget(step_key, step + 1)
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        st.selectbox(
            "Person",
            people,
            key=person_key,
            width=200,
            on_change=lambda: session.set_sample(str(session.widget(person_key, user)), 0),
        )
        st.number_input(
            f"Step of {len(mine)}",
            1,
            len(mine),
            key=step_key,
            width=150,
            on_change=lambda: session.set_sample(user, int(session.widget(step_key, 1)) - 1),
        )
    return int(mine["index"].iloc[step])
