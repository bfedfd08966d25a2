"""Places chosen by hand are kept from the next training: drawn around, taken from the starved ones, or brought in a list."""

import pytest

from engine.runs import list_runs
from tests.pages.conftest import assert_healthy, button, words


@pytest.fixture
def tail(trained_home, monkeypatch, open_page):
    """The long tail page with the places to hide, on the trained run."""
    monkeypatch.setenv("MOBISCOPE_HOME", str(trained_home))
    run_id = next(run.id for run in list_runs() if run.name == "first")
    at = open_page("long_tail", city="aldhaven", run=run_id)
    at.session_state["long_tail.below"] = "Hide places from training"
    return at.run()


@pytest.fixture
def ids(tiny_city) -> list[str]:
    return [str(item) for item in tiny_city.table("locations")["location_id"]]


def test_what_a_lasso_catches_is_hidden_from_the_next_training(tail, ids) -> None:
    assert_healthy(tail)
    assert "No place is chosen" in words(tail) and button(tail, "Train without them").disabled
    points = [{"customdata": item} for item in ids[:4]]
    tail.session_state["long_tail.lasso"] = {"selection": {"points": points, "point_indices": [], "box": [], "lasso": []}}
    tail.run()
    assert_healthy(tail)
    assert "**4 places** of" in words(tail)
    button(tail, "Train without them").click().run()
    assert_healthy(tail)
    assert tail.title[0].value == "What can a model learn here?"
    assert "4 places hidden from training" in words(tail)
    command = next(item.value for item in tail.code if item.value.startswith("mobiscope train"))
    assert all(item in command for item in ids[:4]) and "hidden_locations" in command
    button(tail, "Show them all again").click().run()
    assert_healthy(tail)
    assert "hidden from training" not in words(tail)


def test_the_starved_places_are_taken_by_a_click(tail) -> None:
    starved = next(item for item in tail.button if item.label.startswith("Take the"))
    number = int(starved.label.split()[2].replace(",", ""))
    assert number > 0
    starved.click().run()
    assert_healthy(tail)
    assert len(tail.session_state["mobiscope.selection"]) == number


def test_a_list_tells_which_of_its_ids_are_not_here(tail, ids) -> None:
    uploader = next(item for item in tail.get("file_uploader") if item.proto.label == "A list of places")
    uploader.upload("list.csv", f"location_id\n{ids[0]}\nnowhere <b>\n{ids[1]}\n".encode(), "text/csv").run()
    assert_healthy(tail)
    assert tail.session_state["mobiscope.selection"].ids == (ids[0], ids[1])
    assert any("1 id of 3" in item.value for item in tail.warning)
