"""The dashboard as a browser would see it, without a browser: AppTest over the real entry file, on homes made once."""

import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from engine.city.city import City

ROOT = Path(__file__).parents[2]
Opener = Callable[..., AppTest]
QUICK = {"pretrain_epochs": 1, "epochs": 1}


@pytest.fixture(autouse=True)
def empty_caches() -> None:
    """Nothing cached by one test is seen by the next."""
    st.cache_data.clear()
    st.cache_resource.clear()


@pytest.fixture(scope="session")
def city_home(tmp_path_factory: pytest.TempPathFactory, tiny_city: City) -> Path:
    """A home with the tiny synthetic city and no run; read-only."""
    home = tmp_path_factory.mktemp("city-home")
    tiny_city.save(home / "cities" / "aldhaven")
    return home


@pytest.fixture(scope="session")
def trained_home(tmp_path_factory: pytest.TempPathFactory, city_home: Path) -> Iterator[Path]:
    """A home with the tiny city and two finished runs of the tiny preset, `first` (seed 0) and `second` (seed 1); read-only."""
    from engine.runs import Run, RunRequest, submit

    home = tmp_path_factory.mktemp("trained-home")
    shutil.copytree(city_home, home, dirs_exist_ok=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MOBISCOPE_HOME", str(home))
        patch.setenv("MOBISCOPE_JOBS", "2")
        patch.setenv("OMP_NUM_THREADS", "1")
        runs = [
            submit(RunRequest(model="calliper", city="aldhaven", preset="tiny", config=QUICK, seed=seed, name=name))
            for seed, name in enumerate(("first", "second"))
        ]
        until = time.monotonic() + 240
        while any(not Run.open(run).status().has_ended for run in runs) and time.monotonic() < until:
            time.sleep(0.5)
        states = {run: Run.open(run).status() for run in runs}
        assert all(status.state == "DONE" for status in states.values()), states
    yield home


@pytest.fixture
def own_copy(own_home: Path) -> Callable[[Path], Path]:
    """Copies a prepared home into this test's own one, for tests that change it."""
    return lambda home: Path(shutil.copytree(home, own_home, dirs_exist_ok=True))


@pytest.fixture
def open_page() -> Opener:
    """Opens a page of the dashboard and runs it; further arguments are query parameters."""

    def open_it(page: str, **query: str) -> AppTest:
        at = AppTest.from_file(str(ROOT / "dashboard" / "app.py"), default_timeout=90)
        for name, value in query.items():
            at.query_params[name] = value
        at.run()
        return at if page == "home" else go(at, page)

    return open_it


def go(at: AppTest, page: str) -> AppTest:
    """Goes to a page as a click in the sidebar would."""
    return at.switch_page(str(ROOT / "pages" / f"{page}.py")).run()


def words(at: AppTest) -> str:
    """All the words on the page and in the sidebar, one element per line."""
    found = []
    for kind in ("title", "subheader", "markdown", "caption", "text", "error", "warning", "info", "metric", "button", "code"):
        for element in at.get(kind):
            found += [str(getattr(element, name)) for name in ("value", "label", "body") if getattr(element, name, None)]
    return "\n".join(found)


def button(at: AppTest, label: str):
    """The button with this label, wherever it stands."""
    found = [item for item in at.button if item.label == label]
    assert found, f"no button {label!r}; there are {[item.label for item in at.button]}"
    return found[0]


def assert_healthy(at: AppTest) -> None:
    """No trace, and no accident that the page caught and turned into a sentence with a log reference."""
    assert not at.exception, [item.value for item in at.exception]
    assert not [item.value for item in at.error if "reference" in item.value], [item.value for item in at.error]
