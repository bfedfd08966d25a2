"""Home: three doors on an empty machine, the last city and the recent runs later."""

import pytest

from engine.city.city import City, list_cities
from tests.pages.conftest import assert_healthy, button, words


def test_an_empty_machine_is_offered_three_doors(open_page) -> None:
    at = open_page("home")
    assert_healthy(at)
    said = words(at)
    for door in ("Explore the built-in city", "Bring your data", "Open a run"):
        assert door in said
    assert "Nothing leaves this machine" in said


def test_the_built_in_city_is_generated_saved_and_opened(open_page, monkeypatch: pytest.MonkeyPatch, tiny_city: City) -> None:
    asked = []

    def small(size, seed=0, name=None, report=None):
        asked.append((size, seed))
        report("Laying out", 0.5)
        return tiny_city.replace(name=name)

    monkeypatch.setattr("engine.city.synthetic.synthesise", small)
    at = open_page("home")
    button(at, "Generate it (5 to 20 s)").click().run()
    assert_healthy(at)
    assert asked == [("demo", 0)]
    assert [info.name for info in list_cities()] == [tiny_city.name]
    assert at.title[0].value == "What is in this city?"


def test_a_city_of_ones_own_that_bears_its_name_stays_as_it_is(
    open_page, own_copy, city_home, monkeypatch: pytest.MonkeyPatch, tiny_city: City
) -> None:
    home = own_copy(city_home)
    before = City.open(home / "cities" / "aldhaven").fingerprint
    changed = tiny_city.replace(weather=None)
    monkeypatch.setattr("engine.city.synthetic.synthesise", lambda size, seed, name, report: changed.replace(name=name))
    at = open_page("home")
    button(at, "Generate it (5 to 20 s)").click().run()
    assert_healthy(at)
    assert City.open(home / "cities" / "aldhaven").fingerprint == before
    assert City.open(home / "cities" / "aldhaven-2").fingerprint == changed.fingerprint


def test_with_a_city_home_shows_it_and_invites_to_train(open_page, city_home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOBISCOPE_HOME", str(city_home))
    at = open_page("home")
    assert_healthy(at)
    assert "1 city and 0 runs are on this machine" in words(at)
    assert "No run yet" in words(at)
    assert "Look at this city" in [item.label for item in at.button]


def test_recent_runs_come_with_their_metric_beside_the_best_baseline(
    open_page, trained_home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MOBISCOPE_HOME", str(trained_home))
    at = open_page("home")
    assert_healthy(at)
    said = words(at)
    assert "**first** on Aldhaven" in said
    assert "best baseline" in said


def test_a_door_leads_to_the_page_that_takes_files(open_page) -> None:
    at = open_page("home")
    button(at, "Choose files").click().run()
    assert_healthy(at)
    assert at.title[0].value == "What did you bring?"


def test_a_key_opens_its_page_and_keeps_the_city(open_page, city_home, monkeypatch) -> None:
    """Keys press buttons that nobody sees; with no city they work too."""
    monkeypatch.setenv("MOBISCOPE_HOME", str(city_home))
    at = open_page("home", city="aldhaven")
    pressed = at.button(key="page_keys.city")
    assert pressed.proto.shortcut == "1"
    pressed.click().run()
    assert_healthy(at)
    assert at.title[0].value == "What is in this city?"
    assert "`0` Long tail" in words(at), "the list of keys in the sidebar"
    at.button(key="page_keys.home").click().run()
    assert_healthy(at)
    assert at.title[0].value == "Where would you like to look?"


def test_keys_open_pages_before_there_is_a_city(open_page) -> None:
    at = open_page("home")
    at.button(key="page_keys.runs").click().run()
    assert_healthy(at)
    assert at.title[0].value == "Is it better than counting?"
