"""Cells through the day in a browser: the clock plays without a word to the server, a click and a lasso choose cells, edits spread."""

import time

import pytest

from tests.browser.conftest import assert_calm, settle


@pytest.fixture(scope="module")
def ready(server, tiny_city) -> str:
    """The query of a finished grid run on the tiny synthetic city."""
    from engine.runs import Run, RunRequest, submit

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MOBISCOPE_HOME", str(server.home))
        patch.setenv("OMP_NUM_THREADS", "1")
        tiny_city.save(server.home / "cities" / "breathing")
        split = {"kind": "spatial_blocks", "block_cells": 2}
        config = {"epochs": 1, "steps_per_epoch": 1}
        run_id = submit(RunRequest(model="lmemr", city="breathing", preset="tiny", config=config, split=split))
        until = time.monotonic() + 300
        while not Run.open(run_id).status().has_ended and time.monotonic() < until:
            time.sleep(0.5)
        assert Run.open(run_id).status().state == "DONE", Run.open(run_id).log_tail(20)
    return f"city=breathing&run={run_id}"


def clock_of(page):
    """The frame of the map with the clock, its deck ready, and the element it stands in."""
    element = page.locator("iframe[title*=cell_clock]")
    element.scroll_into_view_if_needed()
    frame = element.element_handle().content_frame()
    frame.wait_for_function("() => window.cellDeck && cellDeck.isInitialized && cellDeck.getViewports().length === 1")
    page.wait_for_timeout(1_500)
    return frame, element


def hour_of(frame) -> str:
    return frame.locator("#hour").inner_text()


def on_screen(frame, element, cell: str) -> tuple[float, float]:
    """Where the middle of a cell is drawn on the page."""
    x, y = frame.evaluate("(cell) => cellDeck.getViewports()[0].project(window.cellMiddles[cell])", cell)
    box = element.bounding_box()
    return box["x"] + x, box["y"] + y


def test_the_day_plays_without_the_server_and_cells_are_chosen_by_click_and_lasso(page, server, ready) -> None:
    """Playing sends no frame; a click makes its cell the chosen one, a lasso around the whole map takes all 36."""
    sent: list[object] = []
    page.on("websocket", lambda socket: socket.on("framesent", lambda payload: sent.append(payload)))
    page.goto(f"{server.url}/grid_mobility?{ready}")
    settle(page, 120)
    assert_calm(page)
    frame, element = clock_of(page)
    before = hour_of(frame)
    assert sent, "the page talks to the server by a socket"
    frame.locator("#play").click()
    sent.clear()
    frame.wait_for_function("(before) => document.getElementById('hour').textContent !== before", arg=before)
    page.wait_for_timeout(2_000)
    assert not sent
    frame.locator("#play").click()
    settle(page)

    cell = "r000c005"
    for _ in range(8):
        page.mouse.click(*on_screen(frame, element, cell))
        settle(page)
        if page.get_by_text(f"An average weekday in {cell}").count():
            break
    page.get_by_text(f"An average weekday in {cell}").wait_for(timeout=10_000)

    frame.locator("#draw").click()
    box = frame.locator("#lasso").bounding_box()
    left, top, right, bottom = box["x"] + 4, box["y"] + 4, box["x"] + box["width"] - 4, box["y"] + box["height"] - 4
    page.mouse.move(left, top)
    page.mouse.down()
    for x, y in ((right, top), (right, bottom), (left, bottom), (left, top)):
        page.mouse.move(x, y, steps=3)
    page.mouse.up()
    page.get_by_text("The mean of 36 cells on an average weekday").wait_for()
    assert_calm(page)


def test_an_edit_of_a_cell_is_made_and_taken_back(page, server, ready) -> None:
    page.goto(f"{server.url}/what_if?{ready}")
    settle(page, 120)
    clock_of(page)
    page.get_by_role("spinbutton").first.fill("40")
    page.keyboard.press("Tab")
    settle(page)
    page.get_by_role("button", name="Set the count").click()
    settle(page)
    page.get_by_text("cells change").wait_for()
    page.get_by_role("button", name="Undo").click()
    settle(page)
    page.get_by_text("Edit a cell to see what that changes").wait_for()
    assert_calm(page)
