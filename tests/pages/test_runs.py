"""Runs: the list, one run against its baselines, two against each other."""

import json

import pytest

from dashboard import cached
from engine.runs import list_runs
from tests.pages.conftest import assert_healthy, button, words


def test_without_a_run_the_way_to_one_is_shown(open_page) -> None:
    at = open_page("runs")
    assert_healthy(at)
    assert "No run yet" in words(at)


@pytest.fixture
def runs_page(open_page, trained_home, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("MOBISCOPE_HOME", str(trained_home))
    return open_page("runs")


def test_the_list_has_every_run_with_its_metric_and_n(runs_page) -> None:
    assert_healthy(runs_page)
    table = runs_page.dataframe[0].value
    assert set(table["run"]) == {"first", "second"}
    assert table["Acc@1"].between(0, 100).all()
    assert (table["n"] > 0).all()


@pytest.mark.parametrize("view", ["baselines", "slices", "warnings", "settings"])
def test_every_view_of_a_run_opens(runs_page, view: str) -> None:
    runs_page.session_state["runs.view"] = view
    runs_page.run()
    assert_healthy(runs_page)


def test_every_method_stands_in_the_table_with_value_and_interval(runs_page) -> None:
    metrics = runs_page.dataframe[1].value
    assert "CaLLiPer" in set(metrics["method"])
    assert len(metrics) > 5, "the model and its baselines"
    assert metrics["Acc@1"].str.contains(" to ").all()


def test_two_picked_runs_are_compared_metric_by_metric(runs_page) -> None:
    """The differences are those of the two values; each has an interval and its n."""
    runs_page.session_state["runs.table"] = {"selection": {"rows": [0, 1], "columns": [], "cells": []}}
    runs_page.run()
    assert_healthy(runs_page)
    assert "minus" in words(runs_page)
    differences = runs_page.dataframe[1].value
    assert {"Acc@1", "MRR"} <= set(differences["metric"])
    assert differences["difference"].str.contains("pp|m|0").all()
    assert (differences["n"] > 0).all()
    settings = runs_page.dataframe[2].value
    assert "run.seed" in set(settings["setting"]), "the seeds differ, and the table says so"


def test_a_case_is_answered_on_two_maps_that_share_a_view(runs_page) -> None:
    """One deck holds the base once and each run's guesses on its own side; names keep from becoming code."""
    runs_page.session_state["runs.table"] = {"selection": {"rows": [0, 1], "columns": [], "cells": []}}
    runs_page.run()
    assert_healthy(runs_page)
    [component] = runs_page.get("component_instance")
    deck = json.loads(json.loads(component.proto.json_args)["json"])
    ids = [layer["id"] for layer in deck["layers"]]
    assert len(ids) == len(set(ids))
    assert {"left:guess-1", "right:guess-1", "left:truth", "right:truth"} <= set(ids)
    assert [name for name in ids if not name.startswith(("left:", "right:"))], "the base is drawn once for both"
    assert len(component.proto.json_args) < 2_000_000


def test_a_run_of_scores_is_told_from_one_of_probabilities_beside_it(runs_page, monkeypatch: pytest.MonkeyPatch) -> None:
    read, second = cached.run_table, next(run.id for run in list_runs() if run.name == "second")

    def with_scores(run_id: str, name: str):
        table = read(run_id, name)
        return table.assign(normalised=False) if (run_id, name) == (second, "predictions") else table

    monkeypatch.setattr(cached, "run_table", with_scores)
    runs_page.session_state["runs.table"] = {"selection": {"rows": [0, 1], "columns": [], "cells": []}}
    runs_page.run()
    assert_healthy(runs_page)
    deck = json.loads(json.loads(runs_page.get("component_instance")[0].proto.json_args)["json"])
    tips = {layer["id"]: layer["data"][0].get("tip", "") for layer in deck["layers"] if layer["id"].endswith(":guess-1")}
    assert sorted(tip.rsplit(" ", 1)[-1] for tip in tips.values()) == ["probability", "score"]
    [legend] = [str(element.proto.body) for element in runs_page.get("html") if "guess; area" in str(element.proto.body)]
    assert "score left, probability right" in legend or "probability left, score right" in legend


def test_renaming_and_deleting_a_run(open_page, own_copy, trained_home) -> None:
    own_copy(trained_home)
    at = open_page("runs")
    run = list_runs()[0]
    at.text_input(key=f"runs.name.{run.id}").set_value("**new** name").run()
    button(at, "Save the name").click().run()
    assert_healthy(at)
    assert list_runs()[0].name == "**new** name"
    assert "**new**" not in words(at), "the name is shown literally"
    button(at, "Delete this run").click().run()
    assert_healthy(at)
    assert [left.id for left in list_runs()] != [run.id]
    assert len(list_runs()) == 1
