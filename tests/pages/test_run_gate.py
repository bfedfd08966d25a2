"""A run of another task breaks no page: each says what the run predicts, and leads on."""

import pytest

from engine.models.calliper import CaLLiPer
from engine.runs import list_runs
from tests.pages.conftest import assert_healthy, words

INSIDE = ("next_location", "attention", "embeddings", "what_if", "long_tail")


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


def test_two_runs_of_another_task_are_compared_by_their_settings(grid_run, open_page) -> None:
    at = open_page("runs", city="aldhaven", run=grid_run)
    at.session_state["runs.table"] = {"selection": {"rows": [0, 1], "columns": [], "cells": []}}
    at.run()
    assert_healthy(at)
    assert "Settings that differ" in words(at)
