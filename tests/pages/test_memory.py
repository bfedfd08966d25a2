"""Looking around costs no memory that stays: fifty visits of all pages leave the process as large as ten did."""

import gc
import os

import psutil
import pytest

from dashboard import navigation
from engine.runs import list_runs
from tests.pages.conftest import assert_healthy, go

GROWTH_MB = 60.0


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_memory_is_flat_over_fifty_visits_of_all_pages(trained_home, monkeypatch, open_page) -> None:
    monkeypatch.setenv("MOBISCOPE_HOME", str(trained_home))
    run_id = next(run.id for run in list_runs() if run.name == "first")
    pages = [page for entries in navigation.GROUPS.values() for page in entries if page != "home"]
    process = psutil.Process(os.getpid())
    sizes = []
    for visit in range(50):
        at = open_page("home", city="aldhaven", run=run_id)
        assert_healthy(go(at, pages[visit % len(pages)]))
        del at
        gc.collect()
        sizes.append(process.memory_info().rss / 2**20)
    assert sizes[-1] - sizes[2 * len(pages)] < GROWTH_MB, [round(size) for size in sizes]
