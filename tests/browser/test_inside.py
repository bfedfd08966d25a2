"""Looking inside in a browser: a lasso lights up the map, a place is opened and ranked, a key takes it back, the report opens offline."""

import contextlib
import json
import re
import time
from pathlib import Path

import pytest

from tests.browser.conftest import assert_calm, drawn_colours, settle

EVIL = "<img src=x onerror=window.__xss=1></script><script>window.__xss=1</script>"


@pytest.fixture(scope="module")
def ready(server, tiny_city) -> str:
    """The query of a finished run on the tiny synthetic city, trained by the job the screen would start."""
    from engine.projection import project_embedding
    from engine.runs import Run, RunRequest, submit

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MOBISCOPE_HOME", str(server.home))
        patch.setenv("OMP_NUM_THREADS", "1")
        tiny_city.save(server.home / "cities" / "inside")
        run_id = submit(RunRequest(model="calliper", city="inside", preset="tiny", config={"pretrain_epochs": 1, "epochs": 1}))
        until = time.monotonic() + 300
        while not Run.open(run_id).status().has_ended and time.monotonic() < until:
            time.sleep(0.5)
        assert Run.open(run_id).status().state == "DONE", Run.open(run_id).log_tail(20)
        loaded = Run.open(run_id).load()
        vectors = loaded.model.embeddings(loaded.data.samples.log.places)["location"].vectors
        project_embedding(vectors, "pca")
    return f"city=inside&run={run_id}"


@pytest.fixture(scope="module")
def second(server, ready) -> str:
    """Another run on the same city and split, to compare with."""
    from engine.runs import Run, RunRequest, submit

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MOBISCOPE_HOME", str(server.home))
        patch.setenv("OMP_NUM_THREADS", "1")
        config = {"pretrain_epochs": 1, "epochs": 1}
        run_id = submit(RunRequest(model="calliper", city="inside", preset="tiny", config=config, seed=1))
        until = time.monotonic() + 300
        while not Run.open(run_id).status().has_ended and time.monotonic() < until:
            time.sleep(0.5)
        assert Run.open(run_id).status().state == "DONE", Run.open(run_id).log_tail(20)
    return run_id


def open_page(page, server, ready: str, name: str) -> None:
    page.goto(f"{server.url}/{name}?{ready}")
    settle(page, 120)
    assert_calm(page)


def playwright_timeout() -> type[Exception]:
    """What a locator raises when it has waited long enough; Playwright is only imported where a browser is."""
    from playwright.sync_api import TimeoutError

    return TimeoutError


def draw_around(page, box: dict[str, float]) -> None:
    """A lasso along the edges of a box, by hand."""
    corners = [(0.02, 0.02), (0.98, 0.02), (0.98, 0.98), (0.02, 0.98), (0.02, 0.02)]
    page.mouse.move(box["x"] + box["width"] * corners[0][0], box["y"] + box["height"] * corners[0][1])
    page.mouse.down()
    for across, down in corners[1:]:
        page.mouse.move(box["x"] + box["width"] * across, box["y"] + box["height"] * down, steps=12)
    page.mouse.up()


def test_a_lasso_in_the_picture_lights_up_the_map(page, server, ready) -> None:
    open_page(page, server, ready, "embeddings")
    page.get_by_role("radio", name="PCA").click()
    page.get_by_text("Trustworthiness").wait_for()
    settle(page)
    selected = page.get_by_text(re.compile(r"\d+ locations selected")).first
    for _ in range(5):  # the picture may still be redrawn under the hand while its quality is counted
        draw_around(page, page.locator("[data-testid=stPlotlyChart]").first.bounding_box())
        with contextlib.suppress(playwright_timeout()):
            selected.wait_for(timeout=20_000)
            break
    selected.wait_for()
    settle(page)
    assert page.get_by_text("picture of an embedding").first.is_visible()
    page.get_by_text("Nearest to").first.wait_for()
    assert drawn_colours(page) > 200
    page.get_by_role("button", name="Clear").first.click()
    page.get_by_text("No place is chosen").wait_for()
    assert_calm(page)


def test_a_place_is_opened_ranked_and_taken_back_by_a_key(page, server, ready) -> None:
    open_page(page, server, ready, "what_if")
    assert page.get_by_text(re.compile("now says")).is_visible()
    page.get_by_label("Name", exact=True).fill(EVIL)
    page.get_by_label("Name", exact=True).press("Enter")
    settle(page)
    page.get_by_role("button", name="Open it").click()
    page.get_by_text(re.compile("With 1 edit")).wait_for()
    settle(page)
    assert drawn_colours(page) > 200
    assert_calm(page)
    page.locator("h1").click()
    page.keyboard.press("u")
    page.get_by_text(re.compile("now says")).wait_for()
    page.keyboard.press("y")
    page.get_by_text(re.compile("With 1 edit")).wait_for()
    assert_calm(page)


def test_a_click_on_the_map_sets_the_position_of_a_new_place(page, server, ready) -> None:
    open_page(page, server, ready, "what_if")
    before = page.get_by_label("Latitude, °").input_value()
    page.get_by_role("radio", name="sets a position").click()
    page.get_by_text("A click sets the middle").wait_for()
    settle(page)
    assert drawn_colours(page) > 100
    latitude = page.get_by_label("Latitude, °")
    box = page.locator("[data-testid=stDeckGlJsonChart] canvas").first.bounding_box()
    for attempt in range(12):  # a map drawn by software takes a while until it can be picked from
        page.mouse.click(box["x"] + box["width"] * (0.5 + 0.01 * attempt), box["y"] + box["height"] * 0.35)
        page.wait_for_timeout(2_500)
        if latitude.input_value() != before:
            break
    settle(page)
    assert latitude.input_value() != before
    assert_calm(page)


def test_a_scenario_is_saved_as_it_is_on_screen(page, server, ready, tmp_path: Path) -> None:
    open_page(page, server, ready, "what_if")
    page.get_by_role("button", name="Open it").click()
    page.get_by_text(re.compile("With 1 edit")).wait_for()
    settle(page)
    page.get_by_role("button", name="Save, load, replay").click()
    with page.expect_download() as caught:
        page.get_by_role("button", name="Save as JSON").click()
    caught.value.save_as(tmp_path / "scenario.json")
    content = json.loads((tmp_path / "scenario.json").read_text())
    assert [edit["kind"] for edit in content["edits"]] == ["add_place"] and content["query"]["user_id"]


def test_the_report_opens_offline_and_runs_nothing_out_of_a_name(page, server, ready, tmp_path: Path) -> None:
    open_page(page, server, ready, "what_if")
    page.get_by_label("Name", exact=True).fill(EVIL)
    page.get_by_label("Name", exact=True).press("Enter")
    settle(page)
    page.get_by_role("button", name="Open it").click()
    page.get_by_text(re.compile("With 1 edit")).wait_for()
    settle(page)
    with page.expect_download(timeout=120_000) as caught:
        page.get_by_role("button", name="Report as one HTML file").click()
    caught.value.save_as(tmp_path / "report.html")
    page.context.set_offline(True)
    page.goto((tmp_path / "report.html").as_uri())
    page.get_by_role("heading", name="Scores").wait_for()
    page.locator(".js-plotly-plot .main-svg").first.wait_for()
    assert page.locator("img").first.evaluate("image => image.naturalWidth") > 500
    assert page.evaluate("window.__xss") is None
    page.context.set_offline(False)


@pytest.mark.parametrize("page", ["dark"], indirect=True)
@pytest.mark.parametrize("name", ["attention", "long_tail", "embeddings", "what_if"])
def test_every_inside_page_is_drawn_in_the_dark_too(page, server, ready, name) -> None:
    open_page(page, server, ready, name)
    assert drawn_colours(page) > 100


def views_of(frame) -> list[list[float]]:
    """Longitude, latitude and zoom of both maps."""
    return frame.evaluate("() => twinDeck.getViewports().map((view) => [view.longitude, view.latitude, view.zoom])")


def test_the_maps_of_two_runs_follow_one_another(page, server, ready, second) -> None:
    """Dragging the left map and scrolling over the right one moves both alike, and says nothing to the server."""
    sent: list[object] = []
    page.on("websocket", lambda socket: socket.on("framesent", lambda payload: sent.append(payload)))
    open_page(page, server, ready, "runs")
    rows = page.locator("[data-testid=stDataFrame] canvas").first.bounding_box()
    for row in (0, 1):
        page.mouse.click(rows["x"] + 15, rows["y"] + 35 * (row + 1) + 17)
        settle(page)
    page.get_by_text("Cases each wins").wait_for()
    element = page.locator("iframe[title*=twin_maps]")
    element.scroll_into_view_if_needed()
    frame = element.element_handle().content_frame()
    frame.wait_for_function("() => window.twinDeck && twinDeck.isInitialized && twinDeck.getViewports().length === 2")
    page.wait_for_timeout(2_000)
    before = views_of(frame)
    assert before[0] == before[1]
    box = element.bounding_box()
    left, right = box["x"] + box["width"] * 0.25, box["x"] + box["width"] * 0.75
    middle = box["y"] + box["height"] * 0.4
    assert sent, "the page talks to the server by a socket"
    sent.clear()
    page.mouse.move(left, middle)
    page.mouse.down()
    page.mouse.move(left + 60, middle + 40, steps=6)
    page.mouse.up()
    page.wait_for_timeout(1_500)
    dragged = views_of(frame)
    assert dragged[0] == dragged[1] and dragged[0][:2] != before[0][:2]
    page.mouse.move(right, middle)
    page.mouse.wheel(0, -300)
    page.wait_for_timeout(1_500)
    zoomed = views_of(frame)
    assert zoomed[0] == zoomed[1] and zoomed[0][2] > dragged[0][2]
    assert not sent
    assert_calm(page)
