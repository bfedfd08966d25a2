"""From a file of check-ins to a prediction on the map, in a browser, with nothing but this machine."""

import csv
import random
import re
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from tests.browser.conftest import assert_calm, drawn_colours, settle

HOSTILE = (
    "</script><script>window.__xss=1</script>",
    "<img src=x onerror=window.__xss=1>",
    "@@=window.__xss=1",
    "[link](javascript:window.__xss=1)",
    "**bold** $x^2$ :material/home: {tip}",
)
CITY = "Script <script>window.__xss=1</script> City"


def write_check_ins(path: Path) -> None:
    """Twelve people, twenty-four places, eight weeks: home, work, and somewhere in the evening. Some names would like to be code."""
    draw = random.Random(0)
    people = [f"person {number}" for number in range(10)] + [HOSTILE[0], HOSTILE[1]]
    places = [
        (f"place {number}", HOSTILE[number] if number < len(HOSTILE) else f"Place {number}", ("Home", "Office", "Bar", HOSTILE[1])[number % 4],
         40.70 + 0.01 * (number % 6), -74.00 + 0.012 * (number // 6))
        for number in range(24)
    ]  # fmt: skip
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["wer", "venue_id", "venue_name", "category", "latitude", "longitude", "timestamp"])
        for index, person in enumerate(people):
            for day in range(56):
                evening = places[draw.randrange(24)]
                for hour, place in ((8, places[index]), (10, places[12 + index % 6]), (18, places[index]), (20, evening)):
                    when = datetime(2024, 1, 1, hour, draw.randrange(60)) + timedelta(days=day)
                    writer.writerow(
                        [person, place[0], place[1], place[2], place[3], place[4], when.strftime("%Y-%m-%dT%H:%M:%S-05:00")]
                    )


def choose_meaning(page, row: int, meaning: str) -> None:
    """Chooses what a column means in the grid of columns, as an analyst does: double click, type, Enter."""
    grid = page.locator("[data-testid=stDataFrame] canvas").first
    grid.scroll_into_view_if_needed()
    box = grid.bounding_box()
    page.mouse.dblclick(box["x"] + box["width"] * 0.85, box["y"] + 35 * (row + 1) + 17)
    page.wait_for_timeout(400)
    page.keyboard.type(meaning, delay=30)
    page.wait_for_timeout(300)
    page.keyboard.press("Enter")


@pytest.fixture(scope="module")
def check_ins(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file whose first column does not say what it is."""
    path = tmp_path_factory.mktemp("upload") / "check_ins.csv"
    write_check_ins(path)
    return path


@pytest.fixture(scope="module")
def trained(server, browser, check_ins) -> str:
    """The run's link, after the whole way through the screen: upload, map a column, make the city, train."""
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    page = context.new_page()
    page.set_default_timeout(120_000)
    page.goto(f"{server.url}/city")
    settle(page)
    if not page.locator("input[type=file]").count():  # another test has brought a city already
        page.get_by_role("button", name="Bring your data").click()
        settle(page)
    page.locator("[data-testid=stFileUploaderDropzoneInput], input[type=file]").first.set_input_files(str(check_ins))
    page.get_by_text("Read as").wait_for()
    settle(page)
    choose_option(page, "Read as", "Check-ins")
    page.get_by_text("to mend").first.wait_for()
    said = page.locator("[data-testid=stMainBlockContainer]").inner_text()
    assert "No column was found for user_id" in said, "what is missing is named before anything is saved"
    assert page.get_by_role("button", name="Make the city").is_disabled()
    settle(page)
    choose_meaning(page, 0, "user")
    page.get_by_text("This makes a city with").wait_for()
    settle(page)
    assert drawn_colours(page) > 20, "the preview shows where the positions lie"
    page.get_by_label("Name of the city").fill(CITY)
    page.get_by_label("Name of the city").press("Enter")
    settle(page)
    page.get_by_role("button", name="Make the city").click()
    page.get_by_text("What is in this city?").wait_for()
    settle(page)
    assert page.evaluate("() => document.querySelector('[data-testid=stMain]').scrollTop") == 0, (
        "the new city is shown from its top"
    )
    assert_calm(page)
    page.get_by_role("link", name="Train", exact=True).click()
    page.get_by_text("What can a model learn here?").wait_for()
    settle(page)
    page.get_by_role("radio", name="tiny", exact=True).click()
    settle(page)
    page.get_by_role("button", name="Start training").click()
    page.get_by_role("button", name="Look at its predictions").click(timeout=300_000)
    page.get_by_role("heading", name="Where next?").wait_for()
    settle(page)
    assert_calm(page)
    link = page.url
    context.close()
    return link


def choose_option(page, label: str, option: str) -> None:
    """Chooses the option of a select box that starts with these words."""
    page.get_by_label(label, exact=True).first.click()
    page.get_by_role("option", name=re.compile(f"^{re.escape(option)}", re.IGNORECASE)).first.click()


def test_the_link_opens_the_run_and_the_map_is_really_drawn(page, trained) -> None:
    page.goto(trained)
    page.get_by_role("heading", name="Where next?").wait_for()
    settle(page)
    assert_calm(page)
    assert drawn_colours(page) > 200
    assert page.get_by_text(re.compile("Top guess")).first.is_visible()


def test_stepping_through_a_person_by_button_and_by_key(page, trained) -> None:
    page.goto(trained)
    settle(page)
    page.get_by_text(re.compile(r"Step 1 of \d+")).wait_for()
    page.get_by_role("button", name="Next", exact=False).last.click()
    page.get_by_text(re.compile(r"Step 2 of \d+")).wait_for()
    settle(page)
    assert "step=1" in page.url
    page.keyboard.press("ArrowRight")
    page.get_by_text(re.compile(r"Step 3 of \d+")).wait_for()
    settle(page)
    page.keyboard.press("ArrowLeft")
    page.get_by_text(re.compile(r"Step 2 of \d+")).wait_for()
    assert_calm(page)


def test_moving_the_hour_changes_the_answer_but_not_the_view(page, trained) -> None:
    page.goto(trained)
    settle(page)
    page.get_by_text("Top guess").first.wait_for()
    slider = page.get_by_role("slider", name="Hour of the question").first
    slider.focus()
    page.keyboard.press("ArrowLeft")
    page.get_by_text(re.compile(r"Asked at \d+ h")).wait_for()
    settle(page)
    assert "Step 1 of" in page.locator("[data-testid=stMainBlockContainer]").inner_text(), (
        "the arrow moved the slider and not the step"
    )
    assert_calm(page)
    page.get_by_role("button", name="Reset").click()
    page.get_by_text(re.compile("^Top guess")).wait_for()


@pytest.mark.parametrize("page", ["dark"], indirect=True)
def test_no_name_becomes_a_script_on_any_page(page, trained, server) -> None:
    from dashboard.navigation import GROUPS

    query = trained.split("?", 1)[1]
    for name in [name for entries in GROUPS.values() for name in entries]:
        page.goto(f"{server.url}/{'' if name == 'home' else name}?{query}")
        settle(page)
        assert_calm(page)


def test_hovering_and_panning_run_nothing_again(page, trained) -> None:
    sent: list[object] = []
    page.on("websocket", lambda socket: socket.on("framesent", lambda frame: sent.append(frame)))
    page.goto(trained)
    settle(page)
    assert drawn_colours(page) > 200
    assert sent, "the page talks to the server by a socket"
    before = page.locator("[data-testid=stDeckGlJsonChart]").first.bounding_box()
    sent.clear()
    page.mouse.move(before["x"] + 200, before["y"] + 200)
    page.mouse.down()
    page.mouse.move(before["x"] + 260, before["y"] + 240, steps=8)
    page.mouse.up()
    page.mouse.wheel(0, -240)
    page.wait_for_timeout(800)
    assert sent == [], "panning must not send anything to the server"
    for step in range(12):
        page.mouse.move(before["x"] + 40 * step, before["y"] + 30 * step)
        page.wait_for_timeout(60)
    assert_calm(page)
