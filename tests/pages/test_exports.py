"""Every panel can be taken along: as a table, on the map, and as a command or lines that give the same numbers."""

import html
import json
import subprocess
import sys

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from engine.projection import project_embedding
from engine.runs import Run, list_runs
from tests.pages.conftest import assert_healthy, words

VIEWS = [
    *(("next_location", "next.details", view) for view in
      ("Why not the truth", "Steps of this person", "Probabilities", "The person's day")),
    *(("attention", "attention.below", view) for view in ("Matrix", "Layers and heads", "Visits")),
    *(("embeddings", "embeddings.below", view) for view in ("Neighbours", "Field")),
    *(("what_if", "what_if.below", view) for view in ("Ranking", "Substitutes", "Smallest edits")),
    *(("runs", "runs.view", view) for view in ("baselines", "slices", "warnings", "settings")),
    ("long_tail", "long_tail.slice", "popularity"),
]  # fmt: skip


@pytest.fixture
def page(trained_home, monkeypatch, open_page):
    """Opens a page on the trained run."""
    monkeypatch.setenv("MOBISCOPE_HOME", str(trained_home))
    run_id = next(run.id for run in list_runs() if run.name == "first")
    return lambda name, **query: open_page(name, city="aldhaven", run=run_id, **query)


def popovers(at: AppTest, label: str) -> list:
    return [item for item in at.get("popover") if item.proto.popover.label == label]


def code(at: AppTest, start: str) -> str:
    return next(item.value for item in at.code if item.value.startswith(start))


@pytest.mark.parametrize(("name", "control", "view"), VIEWS)
def test_a_panel_has_its_export_menu(name, control, view, page) -> None:
    """Beside every explanation of a panel stands its way out; only the What-if metrics wait until they are measured."""
    if name == "embeddings":  # laid out before, so that the picture is there and not only its progress
        run = Run.open(next(run.id for run in list_runs() if run.name == "first")).load()
        project_embedding(run.model.embeddings(run.data.samples.log.places)["location"].vectors, "pca")
    at = page(name)
    if name == "embeddings":
        at.session_state["embeddings.method"] = "pca"
    at.session_state[control] = view
    at.run()
    assert_healthy(at)
    explained, exported = len(popovers(at, "How to read this")), len(popovers(at, "Export"))
    assert exported >= max(explained, 1), (explained, exported)


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
