"""A run of another task breaks no page: each says what the run predicts, and leads on."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from dashboard.cached import score_data
from engine.models.calliper import CaLLiPer
from engine.runs import Run, list_runs
from tests.pages.conftest import assert_healthy, button, words

INSIDE = ("next_location",)
"""Pages that only a model of visits can answer; the others look into models of cells, too."""


@pytest.fixture
def grid_run(trained_home, monkeypatch) -> str:
    """A finished run that says of itself that it predicts flows of cells."""
    monkeypatch.setenv("MOBISCOPE_HOME", str(trained_home))
    monkeypatch.setattr(CaLLiPer, "task", "grid_flow")
    return next(run.id for run in list_runs() if run.name == "first")


@pytest.mark.parametrize("name", INSIDE)
def test_a_page_says_what_a_run_of_another_task_predicts(name, grid_run, open_page) -> None:
    at = open_page(name, city="aldhaven", run=grid_run)
    assert_healthy(at)
    said = words(at)
    assert "predicts how many trips leave every cell at every hour" in said
    assert "which this run cannot answer" in said
    assert [item for item in at.button if item.label in ("Train a model for it", "See what this run answers")]


def test_the_list_of_runs_holds_runs_of_every_task(grid_run, open_page) -> None:
    at = open_page("runs", city="aldhaven", run=grid_run)
    assert_healthy(at)
    assert len(at.dataframe[0].value) == 2


def test_two_runs_of_different_tasks_are_compared_by_their_settings(trained_home, monkeypatch, open_page) -> None:
    monkeypatch.setenv("MOBISCOPE_HOME", str(trained_home))
    first, second = (run.id for run in list_runs())
    monkeypatch.setattr("dashboard.cached.run_task", lambda run_id: "grid_flow" if run_id == first else "next_location")
    at = open_page("runs", city="aldhaven", run=second)
    at.session_state["runs.table"] = {"selection": {"rows": [0, 1], "columns": [], "cells": []}}
    at.run()
    assert_healthy(at)
    assert "No metric of both" in words(at) and "Settings that differ" in words(at)


def test_grid_runs_differ_by_what_their_curves_differ(monkeypatch) -> None:
    """Of two runs on the same test cells, one off by one trip everywhere and one by three: the MAE differs by exactly two."""
    observed = np.random.default_rng(0).uniform(5, 50, (12, 24))
    part = np.repeat([0, 2], 6).astype(np.int8)

    def table(off: float) -> pd.DataFrame:
        return pd.DataFrame(
            {
                "predictor": "grid",
                "cell_id": np.repeat([f"c{cell:02d}" for cell in range(12)], 24),
                "hour": np.tile(np.arange(24), 12),
                "observed": observed.ravel(),
                "predicted": observed.ravel() + off,
                "low": observed.ravel() - 1,
                "high": observed.ravel() + 1,
                "part": np.repeat(part, 24),
            }
        ).sample(frac=1, random_state=0)

    tables = {"one": table(1.0), "three": table(3.0)}
    monkeypatch.setattr(score_data, "run_table", lambda run_id, name: tables[run_id])
    opened = SimpleNamespace(request=SimpleNamespace(model="grid"), summary=SimpleNamespace(name="a run"))
    monkeypatch.setattr(score_data, "Run", SimpleNamespace(open=lambda run_id: opened))
    found = score_data._flow_difference("one", "three").set_index("metric")
    assert found.loc["mae", ["a", "b", "value", "low", "high"]].tolist() == pytest.approx([1, 3, -2, -2, -2])
    assert found.loc["mae", "users"] == 6 and found.loc["mae", "n"] == 144
    assert found.loc["coverage", "value"] == 0


@pytest.mark.parametrize("name", ["attention", "what_if", "embeddings"])
def test_weights_that_do_not_open_are_refused_under_a_heading_with_a_way_out(name, trained_home, own_copy, open_page) -> None:
    own_copy(trained_home)
    run = next(run.id for run in list_runs() if run.name == "first")
    (weights,) = Run.open(run).folder.path.glob("model/model.safetensors")
    weights.write_bytes(weights.read_bytes()[:-1])
    at = open_page(name, city="aldhaven", run=run)
    assert not at.exception
    assert at.title, "the page has a heading"
    assert "is not the file that was saved" in words(at) and button(at, "Choose another run")
