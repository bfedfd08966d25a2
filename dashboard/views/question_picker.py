"""The person and the step in view, for every page that asks one question."""

import numpy as np
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
    numbers = mine["step"].to_numpy(int)
    wanted = np.flatnonzero(numbers == sample.step) if sample and sample.user == user else np.zeros(0, int)
    position = int(wanted[0]) if len(wanted) else 0
    person_key, step_key = f"{page}.person", f"{page}.step"
    session.set_widget(person_key, user)
    session.set_widget(step_key, position + 1)
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small", width="content"):
        st.selectbox(
            "Person",
            people,
            key=person_key,
            width=200,
            on_change=lambda: _first_step(steps, str(session.widget(person_key, user))),
        )
        st.number_input(
            f"Step of {len(mine)}",
            1,
            len(mine),
            key=step_key,
            width=150,
            on_change=lambda: session.set_sample(user, int(numbers[int(session.widget(step_key, 1)) - 1])),
        )
    return int(mine["index"].iloc[position])


def _first_step(steps: pd.DataFrame, user: str) -> None:
    session.set_sample(user, int(steps.loc[steps["user"].astype(str) == user, "step"].iloc[0]))
