"""City: the tiny synthetic city says what it holds."""

from tests.pages.conftest import assert_healthy, words


def test_a_city_says_how_many_people_visits_and_places_it_holds(city_home, monkeypatch, open_page, tiny_city) -> None:
    monkeypatch.setenv("MOBISCOPE_HOME", str(city_home))
    at = open_page("city")
    assert_healthy(at)
    said = words(at)
    assert f"{tiny_city.table('visits')['user_id'].nunique()} people" in said
    assert f"{len(tiny_city.table('visits')):,} visits" in said
    assert f"{len(tiny_city.table('locations'))} places" in said
