import time

import pytest

from engine import models
from engine.runs import Run, RunRequest, RunStatus, jobs
from tests.engine.runs import bigram


@pytest.fixture(autouse=True)
def bigram_jobs(own_home, monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs train the small bigram model; their workers know it too."""
    monkeypatch.setattr(models, "MODELS", models.MODELS)
    monkeypatch.setattr(jobs, "WORKER", jobs.WORKER)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    bigram.register()


@pytest.fixture
def city(own_home):
    """A saved city of 4 people who walk round 12 places for 60 days."""
    return bigram.small_city().save()


@pytest.fixture
def request_for(city):
    """A request for a tiny run on that city, with changes."""

    def make(seed: int = 0, **config) -> RunRequest:
        return RunRequest(model="bigram", city=city.name, preset="tiny", config=config, seed=seed)

    return make


def wait_until(run_id: str, condition, seconds: float = 60.0) -> RunStatus:
    """The first status that fulfils the condition."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        status = Run.open(run_id).status()
        if condition(status):
            return status
        time.sleep(0.05)
    raise AssertionError(f"{run_id} did not get there in {seconds} s: {status}; log: {Run.open(run_id).log_tail(20)}")
