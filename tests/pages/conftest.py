"""The dashboard as a browser would see it, without a browser: AppTest over the real entry file, on homes made once."""

from collections.abc import Callable
from pathlib import Path

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def empty_caches() -> None:
    """Nothing cached by one test is seen by the next."""
    st.cache_data.clear()
    st.cache_resource.clear()


@pytest.fixture(scope="session")
def city_home(tmp_path_factory: pytest.TempPathFactory, tiny_city) -> Path:
    """A home with the tiny synthetic city and no run."""
    home = tmp_path_factory.mktemp("city-home")
    tiny_city.save(home / "cities" / "aldhaven")
    return home


Opener = Callable[..., AppTest]


@pytest.fixture
def open_page() -> Opener:
    """Opens a page of the dashboard and runs it; further arguments are query parameters."""

    def open_it(page: str, **query: str) -> AppTest:
        at = AppTest.from_file(str(ROOT / "dashboard" / "app.py"), default_timeout=60)
        for name, value in query.items():
            at.query_params[name] = value
        at.run()
        if page != "home":
            at.switch_page(str(ROOT / "pages" / f"{page}.py"))
            at.run()
        return at

    return open_it


def words(at: AppTest) -> str:
    """All the words on the page and in the sidebar, one element per line."""
    kinds = ("title", "subheader", "markdown", "caption", "text", "error", "warning", "info", "metric", "button")
    found = []
    for kind in kinds:
        for element in at.get(kind):
            found += [str(getattr(element, name)) for name in ("value", "label", "body") if getattr(element, name, None)]
    return "\n".join(found)


def assert_healthy(at: AppTest) -> None:
    """No trace, and no accident that the page caught and turned into a sentence with a log reference."""
    assert not at.exception, [item.value for item in at.exception]
    assert not [item.value for item in at.error if "reference" in item.value], [item.value for item in at.error]
