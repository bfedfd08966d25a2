"""Who was asked, in a browser: the map by expert, the weights of a question, labels beside what was measured, the point and its snap."""

import re
import time

import pytest

from tests.browser.conftest import assert_calm, drawn_colours, settle


@pytest.fixture(scope="module")
def ready(server, tiny_city) -> str:
    """The query of a finished run with experts on the tiny synthetic city."""
    from engine.runs import Run, RunRequest, submit

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MOBISCOPE_HOME", str(server.home))
        patch.setenv("OMP_NUM_THREADS", "1")
        tiny_city.save(server.home / "cities" / "asked")
        settings = {"epochs": 1, "stride": 20, "head": "mdn"}
        run_id = submit(RunRequest(model="nextlocmoe", city="asked", preset="tiny", config=settings))
        until = time.monotonic() + 300
        while not Run.open(run_id).status().has_ended and time.monotonic() < until:
            time.sleep(0.5)
        assert Run.open(run_id).status().state == "DONE", Run.open(run_id).log_tail(20)
    return f"city=asked&run={run_id}"


def choose(page, name: str) -> None:
    page.get_by_role("radio", name=name, exact=True).click()
    settle(page)
    assert_calm(page)


def test_a_question_is_followed_from_the_map_to_the_labels_and_back(page, server, ready) -> None:
    page.goto(f"{server.url}/experts?{ready}")
    settle(page, 120)
    assert_calm(page)
    page.get_by_text(re.compile("the model asked")).first.wait_for()
    assert drawn_colours(page) > 200
    choose(page, "Roles of people")
    page.get_by_text(re.compile(r"of 11 asked")).first.wait_for()
    choose(page, "Labels")
    page.get_by_text(re.compile(r"Agreement with the true role")).first.wait_for()
    choose(page, "Load")
    page.get_by_text("Specialisation").first.wait_for()
    choose(page, "This question")
    page.get_by_text(re.compile("from the point to the nearest place")).first.wait_for()
    assert drawn_colours(page) > 200
    assert page.locator("[data-testid=stPlotlyChart] .main-svg").count() > 1


@pytest.mark.parametrize("page", ["dark"], indirect=True)
def test_the_page_is_drawn_in_the_dark_too(page, server, ready) -> None:
    page.goto(f"{server.url}/experts?{ready}")
    settle(page, 120)
    assert_calm(page)
    assert drawn_colours(page) > 100
