"""Every panel can be taken along: as a table, on the map, and as a command or lines that give the same numbers."""

import functools
import html
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest
from streamlit.testing.v1.element_tree import Block

from dashboard.session import Selection
from engine.projection import project_embedding
from engine.runs import Run, list_runs
from engine.scenarios.cell_edits import ChangePois
from engine.scenarios.scenario import EditStack
from tests.pages.conftest import assert_healthy, words

VIEWS = [
    *(("next_location", "next.details", view) for view in
      ("Why not the truth", "Steps of this person", "Probabilities", "The person's day")),
    *(("attention", "attention.below", view) for view in ("Matrix", "Layers and heads", "Visits")),
    *(("embeddings", "embeddings.below", view) for view in ("Neighbours", "Field")),
    *(("what_if", "what_if.below", view) for view in ("Ranking", "Substitutes", "Smallest edits")),
    *(("runs", "runs.view", view) for view in ("baselines", "slices", "warnings", "settings")),
    ("runs", "runs.table", {"selection": {"rows": [0, 1], "columns": [], "cells": []}}),
    ("long_tail", "long_tail.slice", "popularity"),
    ("long_tail", "long_tail.below", "Hide places from training"),
    *(("city", "city.below", view) for view in ("card", "tables")),
    ("train", "train.model.0", "calliper"),
]  # fmt: skip
CELL_VIEWS = [
    *(("grid_mobility", "grid.below", view) for view in ("What it saw", "Clusters", "Errors", "Splits")),
    *(("attention", "attention.cells.shown", view) for view in ("arcs", "reach", "fusion")),
    *(("embeddings", "embeddings.cells.name", name) for name in ("cell", "hour")),
    *(("what_if", "what_if.cells.below", view) for view in ("Curve", "How sure", "Changed cells", "Figures")),
    *(("runs", "runs.view", view) for view in ("baselines", "warnings")),
    ("runs", "runs.table", {"selection": {"rows": [0, 1], "columns": [], "cells": []}}),
    ("long_tail", "long_tail.cells.slice", "decile"),
    ("train", "train.model.0", "lmemr"),
]
DRAWN = {"plotly_chart", "deck_gl_json_chart", "component_instance", "dataframe", "table"}
"""Types of elements that show numbers: charts, maps, tables."""


@pytest.fixture
def page(trained_home, monkeypatch, open_page):
    """Opens a page on the trained run."""
    monkeypatch.setenv("MOBISCOPE_HOME", str(trained_home))
    run_id = next(run.id for run in list_runs() if run.name == "first")
    return lambda name, **query: open_page(name, city="aldhaven", run=run_id, **query)


class Panel:
    """A piece of a page, from one heading to the next.

    Attributes:
        title: Its heading; "" for what stands above the first one.
        drawn: Types of the charts, maps and tables in it.
        commands: For each of its export menus, the code it offers.
    """

    def __init__(self, title: str) -> None:
        self.title = title
        self.drawn: list[str] = []
        self.commands: list[str] = []


def panels_of(at: AppTest) -> list[Panel]:
    """The page cut at its headings, in the order in which things are drawn."""
    found = [Panel("")]

    def walk(block: Block) -> None:
        for child in block.children.values():
            if child.type == "subheader":
                found.append(Panel(child.value))
            elif child.type in DRAWN:
                found[-1].drawn.append(child.type)
            elif child.type == "popover" and child.proto.popover.label.startswith("Export"):
                found[-1].commands.append("\n".join(item.value for item in child.get("code")))
            elif isinstance(child, Block):
                walk(child)

    walk(at.main)
    return found


@functools.cache
def assert_runs(home: str, lines: str) -> None:
    """Lines of Python that a menu offers do not break; the home is that of the environment."""
    exec(compile(lines, "<export menu>", "exec"), {})  # noqa: S102


def assert_all_leave(at: AppTest, home: Path) -> None:
    """What is drawn can be taken along, and every menu says how to get the same numbers without the screen."""
    assert_healthy(at)
    panels = panels_of(at)
    assert any(panel.drawn for panel in panels)
    for panel in panels:
        assert panel.commands or not panel.drawn, f"{panel.title!r} draws {panel.drawn} and has no export menu"
        for offered in panel.commands:
            assert offered, f"an export menu of {panel.title!r} offers neither a command nor lines of Python"
            if not offered.startswith("mobiscope") and "read_bytes" not in offered:  # a file that is saved first
                assert_runs(str(home), offered)


def code(at: AppTest, start: str) -> str:
    return next(item.value for item in at.code if item.value.startswith(start))


@pytest.mark.parametrize(("name", "control", "view"), VIEWS)
def test_a_panel_has_its_export_menu(name, control, view, page, trained_home) -> None:
    if name == "embeddings":  # laid out before, so that the picture is there and not only its progress
        run = Run.open(next(run.id for run in list_runs() if run.name == "first")).load()
        project_embedding(run.model.embeddings(run.data.samples.log.places)["location"].vectors, "pca")
    at = page(name)
    if name == "embeddings":
        at.session_state["embeddings.method"] = "pca"
        at.session_state["mobiscope.selection"] = Selection((str(run.data.samples.log.places.ids[0]),), None, "a test", "location")
    at.session_state[control] = view
    at.run()
    assert_all_leave(at, trained_home)


@pytest.mark.parametrize(("name", "control", "view"), CELL_VIEWS)
def test_a_panel_of_cells_has_its_export_menu(name, control, view, grid_home, monkeypatch, open_page) -> None:
    monkeypatch.setenv("MOBISCOPE_HOME", str(grid_home))
    at = open_page(name, city="aldhaven", run=next(run.id for run in list_runs() if run.name == "aldhaven"))
    if name == "what_if":
        edits = EditStack().push(ChangePois(cell_id="r000c000", counts={"Food": 30}))
        at.session_state["mobiscope.what_if.cells.stack"] = ("aldhaven", edits)
    if control == "runs.table":
        names = list(at.dataframe[0].value["run"])
        view = {"selection": {"rows": [names.index("aldhaven"), names.index("second")], "columns": [], "cells": []}}
    at.session_state[control] = view
    at.run()
    assert_all_leave(at, grid_home)


def test_the_command_of_a_step_gives_the_ranking_on_screen(page, trained_home) -> None:
    at = page("next_location")
    assert_healthy(at)
    command = code(at, "mobiscope predict").split()[1:]
    done = subprocess.run(
        [sys.executable, "-m", "engine", *command, "--json"], capture_output=True, text=True, timeout=120, check=True
    )
    places = json.loads(done.stdout)["places"]
    shown = "\n".join(str(item.proto.body) for item in at.get("html"))
    assert len(places) == 5
    position = [shown.find(html.escape(place["name"])) for place in places]
    assert position == sorted(position) and min(position) >= 0


def run_lines(lines: str, printed: str) -> object:
    """What lines of Python of a panel compute, as JSON."""
    done = subprocess.run(
        [sys.executable, "-c", f"{lines}\nimport json\nprint(json.dumps({printed}))"],
        capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    return json.loads(done.stdout.splitlines()[-1])


def test_the_lines_of_the_attention_page_give_its_weights(page) -> None:
    at = page("attention")
    at.session_state["attention.below"] = "Visits"
    at.run()
    assert_healthy(at)
    weights = np.array(run_lines(code(at, "import numpy"), "[value.to_numpy().tolist() for value in weights.values()]"))
    shown = at.dataframe[0].value["attention"].to_numpy()[::-1]
    assert weights[-1][0].mean(axis=0)[-1][-len(shown) :] == pytest.approx(shown, abs=1e-5)


def test_the_lines_of_the_embeddings_page_give_its_picture(page) -> None:
    run = Run.open(next(run.id for run in list_runs() if run.name == "first")).load()
    picture = project_embedding(run.model.embeddings(run.data.samples.log.places)["location"].vectors, "pca")
    at = page("embeddings")
    at.session_state["embeddings.method"] = "pca"
    at.run()
    assert_healthy(at)
    lines = code(at, "from engine.projection import project_embedding")
    assert np.array(run_lines(lines, "picture.position.tolist()")) == pytest.approx(picture.position, abs=1e-5)


def test_the_next_location_page_keeps_to_the_slice(page) -> None:
    """A slice leaves fewer steps to choose from; one that holds none says n = 0 and offers the way back."""
    everything = page("next_location")
    at = page("next_location", slice="explore=explore")
    assert_healthy(at)
    people = [next(item for item in opened.selectbox if item.label == "Person") for opened in (everything, at)]

    def steps(options: list[str]) -> int:
        return sum(int(option.split(" · ")[1].split()[0].replace(",", "")) for option in options)

    assert 0 < steps(people[1].options) < steps(people[0].options)
    assert "that fit" in words(at)
    empty = page("next_location", slice="hidden=target")
    assert_healthy(empty)
    assert "No case in this slice (n = 0)" in words(empty)
    next(item for item in empty.button if item.label == "Look at all cases").click().run()
    assert_healthy(empty)
    assert "Top guess" in words(empty)
