"""What is chosen: restored from a link, kept apart between sessions, refused when it is not here."""

from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from dashboard.session import Selection

ROOT = Path(__file__).parents[2]


class TestSelection:
    def test_the_primary_item_is_always_one_of_the_set(self) -> None:
        assert Selection(("a", "b"), "b").primary == "b"
        assert Selection(("a", "b"), "z").primary == "a"
        assert Selection((), "z").primary is None

    def test_items_are_counted_once(self) -> None:
        assert Selection(("a", "a", "b")).ids == ("a", "b")

    def test_toggling_adds_and_takes_out(self) -> None:
        chosen = Selection(("a",), origin="map").toggled("b")
        assert (chosen.ids, chosen.primary, chosen.origin) == (("a", "b"), "b", "map")
        assert chosen.toggled("b").ids == ("a",)

    def test_inverting_leaves_what_was_not_chosen(self) -> None:
        assert Selection(("a",)).inverted(["a", "b", "c"]).ids == ("b", "c")


def open_app(**query: str) -> AppTest:
    at = AppTest.from_file(str(ROOT / "dashboard" / "app.py"), default_timeout=60)
    for name, value in query.items():
        at.query_params[name] = value
    return at.run()


@pytest.fixture
def two_cities(own_home: Path, tiny_city) -> Path:
    for name in ("First", "Second"):
        tiny_city.replace(name=name).save(own_home / "cities" / name.lower())
    return own_home


def city_of(at: AppTest) -> str:
    return at.selectbox(key="sidebar.city").value


def test_a_link_restores_the_city_and_the_url_keeps_it(two_cities) -> None:
    for slug in ("first", "second"):
        at = open_app(city=slug)
        assert not at.exception
        assert city_of(at) == slug
        assert slug in at.query_params["city"]


def test_choosing_another_city_changes_the_url_and_clears_the_selection(two_cities) -> None:
    at = open_app(city="first")
    at.session_state["mobiscope.selection"] = Selection(("loc-1",), origin="map")
    at.run()
    assert any("1 location selected" in item.value for item in at.markdown)
    at.selectbox(key="sidebar.city").select("second").run()
    assert city_of(at) == "second"
    assert "second" in at.query_params["city"]
    assert not any("selected" in item.value for item in at.markdown)


@pytest.mark.parametrize("name", ["../first", "/etc/passwd", "nowhere", "", "x" * 5000, "first\u0000"])
def test_a_link_to_what_is_not_here_is_said_and_something_else_is_shown(two_cities, name: str) -> None:
    at = open_app(city=name)
    assert not at.exception
    assert city_of(at) in ("first", "second")
    assert "passwd" not in at.query_params["city"]
    if name:
        assert any("is not here" in item.value for item in at.warning)


def test_a_link_to_a_run_that_is_not_here_is_said(two_cities) -> None:
    at = open_app(run="../../secret")
    assert not at.exception
    assert any("is not here" in item.value for item in at.warning)


@pytest.mark.parametrize("step", ["²", "9" * 30, "-1", "1.5", "two", "9" * 5_000])
def test_a_step_that_is_no_count_is_said_and_the_pages_ask_another(two_cities, step: str) -> None:
    at = open_app(city="first", user="anna", step=step)
    assert not at.exception
    assert any("a step is a number" in item.value for item in at.warning)
    assert "mobiscope.step" not in at.session_state


def test_a_saved_view_brings_no_step_that_is_no_count(two_cities) -> None:
    at = open_app(city="first")
    (two_cities / "views").mkdir()
    (two_cities / "views" / "0123abcd.json").write_text('{"linked": {"city": "second", "user": "anna", "step": "²"}}')
    at.query_params["view"] = "0123abcd"
    at.run()
    assert not at.exception
    assert city_of(at) == "second"
    assert "mobiscope.step" not in at.session_state


def test_two_sessions_share_nothing_that_was_chosen(two_cities) -> None:
    alice, bob = open_app(city="first"), open_app(city="second")
    alice.session_state["mobiscope.selection"] = Selection(("loc-alice",), origin="map")
    alice.run()
    bob.run()
    assert (city_of(alice), city_of(bob)) == ("first", "second")
    assert any("selected" in item.value for item in alice.markdown)
    assert not any("selected" in item.value for item in bob.markdown)
    assert "mobiscope.selection" not in bob.session_state


def test_the_selection_can_be_inverted_and_cleared(two_cities, tiny_city) -> None:
    at = open_app(city="first")
    ids = list(tiny_city.table("locations")["location_id"])
    at.session_state["mobiscope.selection"] = Selection((ids[0],), origin="map")
    at.run()
    at.button(key="selection.invert").click().run()
    assert any(f"{len(ids) - 1} locations selected" in item.value for item in at.markdown)
    at.button(key="selection.clear").click().run()
    assert not any("selected" in item.value for item in at.markdown)
