"""A link to a view brings back selection, what-if and controls; a link to nothing says so; a link can set no more than that."""

import json

import pytest

from engine import store
from engine.scenarios.cell_edits import DropModality
from engine.scenarios.edits import ClosePlace
from engine.scenarios.scenario import EditStack
from tests.pages.conftest import assert_healthy, button, words


@pytest.fixture
def saved(open_page, city_home, own_copy):
    """A page with a selection, an edit and a chosen control, and the id of its saved view."""
    own_copy(city_home)
    at = open_page("home", city="aldhaven")
    at.session_state["mobiscope.what_if.stack"] = ("aldhaven", EditStack((ClosePlace(location_id="loc-1"),)))
    at.session_state["mobiscope.what_if.cells.stack"] = ("aldhaven", EditStack((DropModality(modality="poi"),)))
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
    assert at.session_state["mobiscope.what_if.cells.stack"][1].done == (DropModality(modality="poi"),)
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


def test_several_views_are_kept_under_names_and_opened_again(open_page, city_home, own_copy) -> None:
    """Two slices under two names; opening one brings its slice back and the page it was saved on."""
    own_copy(city_home)
    for slice_name, name in (("hour=night (22-6 h)", "night **tail**"), ("explore=explore", "new to them")):
        at = open_page("city", city="aldhaven", slice=slice_name)
        at.text_input(key="sidebar.view_name").set_value(name).run()
        button(at, "Save this view").click().run()
        assert_healthy(at)
    at = open_page("home", city="aldhaven")
    assert "night **tail**" not in words(at), "the name is shown literally"
    opener = next(item for item in at.button if item.label.startswith("night"))
    opener.click().run()
    assert_healthy(at)
    assert at.session_state["mobiscope.slice"] == "hour=night (22-6 h)"
    assert at.title[0].value == "What is in this city?"
    assert len([item for item in at.button if item.label == "Delete" and "drop_view" in item.key]) == 2


def test_a_name_used_again_replaces_its_view_and_a_deleted_one_is_gone(open_page, city_home, own_copy) -> None:
    own_copy(city_home)
    for slice_name in ("explore=explore", "explore=return"):
        at = open_page("home", city="aldhaven", slice=slice_name)
        at.text_input(key="sidebar.view_name").set_value("mine").run()
        button(at, "Save this view").click().run()
    at = open_page("home", city="aldhaven")
    [drop] = [item for item in at.button if "drop_view" in item.key]
    [view] = [json.loads(path.read_text()) for path in (store.home() / "views").glob("*.json")]
    assert view["linked"]["slice"] == "explore=return" and view["page"] == "home"
    drop.click().run()
    assert_healthy(at)
    assert not list((store.home() / "views").glob("*.json"))


def test_a_view_leads_to_no_page_that_is_none(saved, open_page) -> None:
    saved.write_text(json.dumps(json.loads(saved.read_text()) | {"name": "away", "page": "../../etc/passwd"}))
    at = open_page("home", city="aldhaven")
    next(item for item in at.button if item.label == "away").click().run()
    assert_healthy(at)
    assert at.session_state["mobiscope.selection"].primary == "b"
