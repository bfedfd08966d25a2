"""What an analyst should never do, done: each page answers with a sentence, and no number that is none."""

import time
from pathlib import Path

import geopandas as gpd
import pandas as pd
import pytest
from shapely import Point, box

from dashboard import navigation
from engine.city.city import City
from engine.runs import Run, RunRequest, list_runs, submit
from engine.scenarios.edits import ClosePlace
from engine.scenarios.scenario import EditStack
from tests.pages.conftest import assert_healthy, button, words

PAGES = [page for entries in navigation.GROUPS.values() for page in entries if page not in ("home", "grid_mobility", "experts")]
DETAILS = [
    *(("next_location", "next.details", view)
      for view in ("Steps of this person", "Before and after", "Probabilities", "The person's day")),
    *(("attention", "attention.below", view) for view in ("Layers and heads", "Visits")),
    ("embeddings", "embeddings.below", "Field"),
    *(("what_if", "what_if.below", view) for view in ("Substitutes", "Smallest edits", "Metrics")),
    ("long_tail", "long_tail.below", "Hide places from training"),
    *(("runs", "runs.view", view) for view in ("slices", "warnings", "settings")),
]  # fmt: skip


def lonely_city() -> City:
    """One person at one place, whose name looks like a formula, for two months; three cells."""
    locations = gpd.GeoDataFrame(
        {"location_id": ["only"], "category": ["Home"], "name": ["=HOME()"]}, geometry=[Point(10, 50)], crs="EPSG:4326"
    )
    cells = gpd.GeoDataFrame(
        {"cell_id": ["a", "b", "c"]},
        geometry=[box(9.99 + 0.01 * step, 49.99, 10 + 0.01 * step, 50.01) for step in range(3)],
        crs="EPSG:4326",
    )
    times = pd.date_range("2024-01-01 08:00", periods=120, freq="12h", tz="UTC")
    visits = pd.DataFrame({"user_id": "u", "location_id": "only", "started_at": times})
    return City.build("Lonely", {"visits": visits, "locations": locations, "cells": cells}, time_zone="Europe/Berlin")


@pytest.fixture(scope="module")
def lonely_home(tmp_path_factory) -> Path:
    """A home with that city and a finished run on it; read-only."""
    home = tmp_path_factory.mktemp("lonely-home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MOBISCOPE_HOME", str(home))
        patch.setenv("OMP_NUM_THREADS", "1")
        lonely_city().save()
        config = {"pretrain_epochs": 1, "epochs": 1}
        run_id = submit(RunRequest(model="calliper", city="lonely", preset="tiny", config=config))
        until = time.monotonic() + 240
        while not Run.open(run_id).status().has_ended and time.monotonic() < until:
            time.sleep(0.3)
        assert Run.open(run_id).status().state == "DONE", Run.open(run_id).log_tail(20)
    return home


@pytest.fixture
def lonely(lonely_home, monkeypatch, open_page):
    """Opens a page on that run."""
    monkeypatch.setenv("MOBISCOPE_HOME", str(lonely_home))
    return lambda name: open_page(name, city="lonely", run=list_runs()[0].id)


@pytest.fixture
def page(trained_home, monkeypatch, open_page):
    """Opens a page on the trained run of the tiny city."""
    monkeypatch.setenv("MOBISCOPE_HOME", str(trained_home))
    run_id = next(run.id for run in list_runs() if run.name == "first")
    return lambda name, **query: open_page(name, city="aldhaven", run=run_id, **query)


def assert_no_number_that_is_none(at) -> None:
    said = words(at).lower()
    assert " nan" not in said and "inf " not in said, [line for line in said.splitlines() if " nan" in line or "inf " in line]


@pytest.mark.parametrize("name", PAGES)
def test_a_city_of_one_place_one_person_and_three_cells_has_every_page(name, lonely) -> None:
    at = lonely(name)
    assert_healthy(at)
    assert_no_number_that_is_none(at)


def test_every_detail_of_that_city_is_drawn(lonely) -> None:
    for name, control, view in DETAILS:
        at = lonely(name)
        at.session_state[control] = view
        at.run()
        assert_healthy(at)
        assert_no_number_that_is_none(at)


def test_closing_the_only_place_is_answered_without_a_trace(lonely) -> None:
    at = lonely("what_if")
    at.session_state["mobiscope.what_if.stack"] = ("lonely", EditStack((ClosePlace(location_id="only"),)))
    at.run()
    assert_healthy(at)


def test_an_edit_of_a_place_that_is_gone_says_so_and_can_be_begun_again(page) -> None:
    at = page("what_if")
    at.session_state["mobiscope.what_if.stack"] = ("aldhaven", EditStack((ClosePlace(location_id="<script>gone"),)))
    at.run()
    assert_healthy(at)
    assert "There is no place" in words(at) and "it may be gone" in words(at)
    button(at, "Start over").click().run()
    assert_healthy(at)
    assert "now says" in words(at)


def test_a_lasso_over_nothing_changes_nothing(page) -> None:
    """Neither the picture of an embedding nor the map of places takes an empty catch for a selection."""
    from dashboard.session import Selection

    for name, control, view, chart in (
        ("embeddings", "embeddings.method", "pca", None),
        ("long_tail", "long_tail.below", "Hide places from training", "long_tail.lasso"),
    ):
        at = page(name)
        at.session_state[control] = view
        at.session_state["mobiscope.selection"] = Selection(("kept",), "kept", "before")
        at.run()
        key = chart or f"embeddings.picture.{at.session_state['mobiscope.run']}.location.pca"
        at.session_state[key] = {"selection": {"points": [], "point_indices": [], "box": [], "lasso": [{"x": [0], "y": [0]}]}}
        at.run()
        assert_healthy(at)
        assert at.session_state["mobiscope.selection"].ids == ("kept",)


@pytest.mark.parametrize("name", ["next_location", "attention", "what_if", "long_tail", "runs"])
def test_a_slice_without_a_case_says_n_is_zero(name, page) -> None:
    at = page(name, slice="hidden=target")
    if name == "long_tail":
        at.session_state["long_tail.slice"] = "hidden"
        at.run()
    if name == "runs":
        at.session_state["runs.view"] = "slices"
        at.run()
    assert_healthy(at)
    assert "n = 0" in words(at)
    assert_no_number_that_is_none(at)


@pytest.mark.parametrize("content", [b"{", b"[]", b'{"schema_version": 99}', b"\xff\xfe\x00"])
def test_a_file_that_is_no_scenario_is_refused_in_a_sentence(content, page) -> None:
    at = page("what_if")
    uploader = next(item for item in at.get("file_uploader") if item.proto.label == "Load a scenario")
    uploader.upload("scenario.json", content, "application/json").run()
    assert_healthy(at)
    said = " ".join(item.value for item in at.error)
    assert "scenario" in said
