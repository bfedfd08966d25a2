"""The dashboard as a browser would see it, without a browser: AppTest over the real entry file, on homes made once."""

import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import streamlit as st
from shapely import Point
from streamlit.testing.v1 import AppTest

from engine.city.city import City
from engine.runs import Run, RunRequest, submit
from tests.engine.small_grids import grid_city

ROOT = Path(__file__).parents[2]
Opener = Callable[..., AppTest]
QUICK = {"pretrain_epochs": 1, "epochs": 1}
QUICK_CELLS = {"epochs": 1, "steps_per_epoch": 1}


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


def bare_city() -> City:
    """A grid of 48 cells with places, elevation, income and flows, but no imagery, buildings or districts; three were never counted."""
    city = grid_city(6, 8)
    middle = city.spatial("cells").geometry.representative_point()
    kinds = ["Bar", "Office", "School"]
    pois = gpd.GeoDataFrame(
        {
            "poi_id": pd.Series([f"poi-{row}" for row in range(96)], dtype="str"),
            "category": pd.Series([kinds[row % 3] for row in range(96)], dtype="str"),
        },
        geometry=[Point(middle.iloc[row % 48].x, middle.iloc[row % 48].y) for row in range(96)],
        crs="EPSG:4326",
    )
    measured = {"elevation": np.linspace(-6, 40, 48), "income": np.linspace(8e5, 3.2e6, 48)}
    cells = city.spatial("cells").assign(**measured)
    told = {"subject": "cell", "subject_id": cells["cell_id"].iloc[:1], "modality": "poi", "text": "A quiet bar.", "source": "seer"}
    flows = city.table("outflow").drop(index=[5, 20, 33])
    return city.replace(cells=cells, pois=pois, descriptions=pd.DataFrame(told), outflow=flows)


@pytest.fixture(scope="session")
def grid_home(tmp_path_factory, city_home) -> Path:
    """A home with two cities and a finished grid run on each; on one of them also of a `second` seed and of `weekends`; read-only."""
    home = tmp_path_factory.mktemp("grid-home")
    shutil.copytree(city_home, home, dirs_exist_ok=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MOBISCOPE_HOME", str(home))
        patch.setenv("MOBISCOPE_JOBS", "2")
        patch.setenv("OMP_NUM_THREADS", "1")
        bare_city().save()
        runs = [
            submit(
                RunRequest(
                    model="lmemr",
                    city=city,
                    preset="tiny",
                    config=QUICK_CELLS,
                    name=name,
                    seed=seed,
                    split={"kind": "spatial_blocks", "block_cells": 2, "day_type": day_type},
                )
            )
            for name, city, seed, day_type in (
                ("aldhaven", "aldhaven", 0, ""),
                ("gridford", "gridford", 0, ""),
                ("second", "aldhaven", 1, ""),
                ("weekends", "aldhaven", 0, "weekend"),
            )
        ]
        until = time.monotonic() + 400
        while any(not Run.open(run).status().has_ended for run in runs) and time.monotonic() < until:
            time.sleep(0.5)
        for run in runs:
            assert Run.open(run).status().state == "DONE", Run.open(run).log_tail(20)
    return home


@pytest.fixture
def only_scores(monkeypatch: pytest.MonkeyPatch) -> None:
    """CaLLiPer's numbers add up to one and are no probabilities, as those of a head that ranks by distance."""
    from engine.models.calliper import CaLLiPer

    predict = CaLLiPer.predict
    monkeypatch.setattr(CaLLiPer, "predict", lambda *asked: replace(predict(*asked), normalised=False))


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
