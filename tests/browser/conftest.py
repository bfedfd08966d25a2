"""A server of our own, and a Chromium that can reach nothing but it."""

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).parents[2]
REQUIRED = os.environ.get("MOBISCOPE_REQUIRE_BROWSER") == "1"
# Software WebGL, so that maps are drawn without a GPU; names resolve to nothing, so that nothing can leave.
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--use-gl=angle",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
    "--ignore-gpu-blocklist",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost",
]
# Opened by a deep link, Streamlit's own front end tries the page's address as its base first.
HARMLESS = ("/_stcore/health", "/_stcore/host-config")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything in this folder drives a browser; a page may have to wait for a training."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.browser)
            item.add_marker(pytest.mark.timeout(900))


def chromium() -> str:
    """The path of Chromium; without one the tests are skipped, or fail where the environment requires them."""
    candidates = [os.environ.get("MOBISCOPE_CHROMIUM"), *map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))]
    found = next((path for path in candidates if path and Path(path).exists()), None)
    if found is None:
        words = "There is no Chromium here; install it (apt-get install chromium) or name it in MOBISCOPE_CHROMIUM."
        pytest.fail(words) if REQUIRED else pytest.skip(words)
    return str(found)


@dataclass
class Server:
    """A dashboard of our own.

    Attributes:
        url: Where it answers.
        home: Its `MOBISCOPE_HOME`.
    """

    url: str
    home: Path


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The dashboard, started as the README says, on a free port and with an empty home."""
    chromium()
    home = tmp_path_factory.mktemp("browser-home")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    log = (home / "server.log").open("wb")
    process = subprocess.Popen(
        [sys.executable, "-m", "streamlit", "run", "dashboard/app.py", "--server.port", str(port), "--server.headless", "true"],
        cwd=ROOT,
        env=os.environ | {"MOBISCOPE_HOME": str(home), "OMP_NUM_THREADS": "1"},
        stdout=log,
        stderr=subprocess.STDOUT,
    )
    url = f"http://127.0.0.1:{port}"
    try:
        for _ in range(240):
            try:
                urllib.request.urlopen(f"{url}/_stcore/health", timeout=2).read()
                break
            except OSError:
                assert process.poll() is None, (home / "server.log").read_text()[-2000:]
                time.sleep(0.25)
        else:
            pytest.fail("The server did not answer within a minute: " + (home / "server.log").read_text()[-2000:])
        yield Server(url, home)
    finally:
        process.terminate()
        process.wait(20)
        log.close()


@dataclass
class Watched:
    """What a browser page did besides being looked at.

    Attributes:
        errors: Console errors and exceptions.
        left: Requests that tried to leave the machine.
    """

    errors: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)


@pytest.fixture(scope="session")
def browser() -> Iterator:
    """Chromium with software WebGL."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=chromium(), args=FLAGS)
        yield opened
        opened.close()


@pytest.fixture
def page(browser, request: pytest.FixtureRequest) -> Iterator:
    """A page of 1440 x 900 that is watched: at the end nothing may have been complained of, and nothing may have left."""
    context = browser.new_context(
        viewport={"width": 1440, "height": 900}, color_scheme=getattr(request, "param", "light"), accept_downloads=True
    )
    opened = context.new_page()
    opened.set_default_timeout(120_000)
    watched = Watched()
    opened.on("pageerror", lambda error: watched.errors.append(f"exception: {error}"))
    opened.on(
        "console",
        lambda message: (
            watched.errors.append(f"{message.text} ({message.location.get('url', '')})")
            if message.type == "error" and not message.location.get("url", "").endswith(HARMLESS)
            else None
        ),
    )
    opened.on("request", lambda sent: None if is_local(sent.url) else watched.left.append(sent.url))
    opened.watched = watched
    yield opened
    context.close()
    assert not watched.left, f"requests left the machine: {watched.left[:5]}"
    assert not watched.errors, f"the browser complained: {watched.errors[:5]}"


def is_local(url: str) -> bool:
    """Whether a request stays on this machine."""
    return url.startswith(("http://127.0.0.1:", "ws://127.0.0.1:", "data:", "blob:", "file:", "about:"))


def settle(page, seconds: float = 240) -> None:
    """Waits until the script has run; generous, because maps are drawn without a GPU."""
    page.wait_for_selector(
        "[data-testid=stMainBlockContainer] h1, [data-testid=stMainBlockContainer] [data-testid=stHeading]", timeout=120_000
    )
    quiet, end = 0, time.monotonic() + seconds
    while time.monotonic() < end:
        busy = page.locator("[data-test-script-state=running], [data-testid=stSpinner]").count()
        quiet = 0 if busy else quiet + 1
        if quiet >= 3:
            return
        page.wait_for_timeout(250)
    raise AssertionError(
        f"The page still works after {seconds:g} s: {page.locator('[data-testid=stMainBlockContainer]').inner_text()[:400]}"
    )


def drawn_colours(page, chart: int = 0) -> int:
    """How many distinct colours the map shows: a canvas that stays empty has one or two."""
    canvas = page.locator("[data-testid=stDeckGlJsonChart] canvas").nth(chart)
    canvas.wait_for()
    best, end = 0, time.monotonic() + 30
    while time.monotonic() < end:
        pixels = np.asarray(Image.open(BytesIO(canvas.screenshot())).convert("RGB")).reshape(-1, 3)
        best = len(np.unique(pixels, axis=0))
        if best > 200:
            return best
        page.wait_for_timeout(500)
    return best


def assert_calm(page) -> None:
    """No trace, no accident caught by the page, and no script out of a name."""
    assert page.locator("[data-testid=stException]").count() == 0
    assert page.evaluate("window.__xss") is None, "a name was run as a script"
    said = page.locator("[data-testid=stMainBlockContainer]").inner_text()
    assert "Something broke" not in said, said[:600]
