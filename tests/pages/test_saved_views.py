"""A link to a view brings back selection, what-if and controls; a link to nothing says so; a link can set no more than that."""

import json

import pytest

from engine import store
from engine.scenarios.edits import ClosePlace
from engine.scenarios.scenario import EditStack
from tests.pages.conftest import assert_healthy, button, words


@pytest.fixture
def saved(open_page, city_home, own_copy):
    """A page with a selection, an edit and a chosen control, and the id of its saved view."""
    own_copy(city_home)
    at = open_page("home", city="aldhaven")
    at.session_state["mobiscope.what_if.stack"] = ("aldhaven", EditStack((ClosePlace(location_id="loc-1"),)))
    at.session_state["long_tail.slice"] = "weather"
    from dashboard.session import Selection

    at.session_state["mobiscope.selection"] = Selection(("a", "b"), "b", "a test")
    button(at, "Make the link").click().run()
    assert_healthy(at)
    [path] = (store.home() / "views").glob("*.json")
    return path


def test_a_link_brings_back_selection_and_edits(saved, open_page) -> None:
    at = open_page("home", city="aldhaven", view=saved.stem)
    assert_healthy(at)
    assert at.session_state["mobiscope.selection"].primary == "b"
    assert at.session_state["mobiscope.what_if.stack"][1].done == (ClosePlace(location_id="loc-1"),)
    assert at.session_state["long_tail.slice"] == "weather"
    assert "2 locations selected" in words(at)


@pytest.mark.parametrize("name", ["deadbeef", "../../etc/passwd", "x" * 500, "<script>"])
def test_a_link_to_nothing_says_so(name, city_home, own_copy, open_page) -> None:
    own_copy(city_home)
    at = open_page("home", city="aldhaven", view=name)
    assert_healthy(at)
    assert "which is not here" in words(at)


@pytest.mark.parametrize(
    "change",
    [
        {"version": 99},
        {"what_if": {"city": "aldhaven", "edits": [{"kind": "bomb"}]}},
        {"selection": {"ids": 3}},
        {"widgets": None},
    ],
)
def test_a_damaged_view_is_refused_in_a_sentence(saved, change, open_page) -> None:
    saved.write_text(json.dumps(json.loads(saved.read_text()) | change))
    at = open_page("home", city="aldhaven", view=saved.stem)
    assert_healthy(at)
    assert "which is not here or cannot be read" in words(at)


def test_a_view_sets_nothing_but_controls_of_pages(saved, open_page) -> None:
    content = json.loads(saved.read_text())
    content["widgets"] = {"mobiscope.run": "../../x", "sidebar.city": "nowhere", "next.mass": True}
    saved.write_text(json.dumps(content))
    at = open_page("home", city="aldhaven", view=saved.stem)
    assert_healthy(at)
    assert at.session_state["next.mass"] is True
    assert "mobiscope.run" not in at.session_state or at.session_state["mobiscope.run"] != "../../x"
