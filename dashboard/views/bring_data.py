"""Bring data."""

import streamlit as st


def draw(can_return):
    st.write("soon")
