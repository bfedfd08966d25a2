"""The pages, in the order and groups of the sidebar, and the way from one to another."""

from pathlib import Path
from typing import NoReturn

import streamlit as st

from dashboard import session

_FOLDER = Path(__file__).resolve().parents[1] / "pages"

GROUPS: dict[str, dict[str, str]] = {
    "City": {"home": "Home", "city": "City"},
    "Models": {"train": "Train", "runs": "Runs"},
    "Inside": {
        "next_location": "Next location",
        "grid_mobility": "Grid mobility",
        "experts": "Experts",
        "attention": "Attention",
        "embeddings": "Embeddings",
    },
    "Ask": {"what_if": "What if", "long_tail": "Long tail"},
}
"""Group to page file to title; a new page is one line here."""
TITLES = {page: title for entries in GROUPS.values() for page, title in entries.items()}

ANSWERS_OF = {"next_location": "next_location", "grid_flow": "grid_mobility"}
"""Task to the page that first shows what a model of it answers."""

_DIGITS = "1234567890"


def keys() -> dict[str, str]:
    """Key to the page it opens: the digits in the order of the sidebar, of which Home is left out."""
    return dict(zip(_DIGITS, (page for page in TITLES if page != "home"), strict=False)) | {"h": "home"}


def listen() -> None:
    """Lets keys open pages, through buttons that the style sheet hides; while somebody types, keys are text."""
    with st.container(key="page_keys"):
        for key, page in keys().items():
            if st.button(f"Go to {TITLES[page]}", key=f"page_keys.{page}", shortcut=key):
                open_page(page)


def path_of(page: str) -> Path:
    """The script of a page."""
    return _FOLDER / f"{page}.py"


def pages() -> dict[str, list[st.Page]]:
    """What `st.navigation` takes."""
    return {
        group: [
            st.Page(path_of(page), title=title, url_path=page, default=page == "home")
            for page, title in entries.items()
            if path_of(page).is_file()
        ]
        for group, entries in GROUPS.items()
    }


def open_page(page: str, **query: str) -> NoReturn:
    """Goes to a page, keeping city, run, slice and sample in the URL."""
    st.switch_page(str(path_of(page)), query_params=session.link() | query)


def door(page: str, label: str, *, key: str, primary: bool = False, help: str | None = None) -> None:
    """A button that goes to a page."""
    if st.button(label, key=key, type="primary" if primary else "secondary", help=help):
        open_page(page)
