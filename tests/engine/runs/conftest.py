import importlib
import os
import signal
import sys
import time
from collections.abc import Iterator

import pytest
import torch

from engine import faults, models
from engine.evaluation import report
from engine.models import baselines
from engine.runs import Run, RunRequest, RunStatus, jobs, worker
from engine.runs.folder import RunFolder
from engine.training import loop  # noqa: F401 (loaded before forking)
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


@pytest.fixture
def by_hand(monkeypatch: pytest.MonkeyPatch) -> Iterator["Workers"]:
    """Nothing is started by itself; `work(run_id, fault)` runs a worker in a forked process and returns how it ended.

    A fork has torch loaded already, so that hundreds of deaths can be tried in the time of a few starts. The code is negative where a
    signal ended it.
    """
    monkeypatch.setattr(jobs, "start_waiting", lambda: [])
    monkeypatch.setattr(worker, "LAST_WORD_PAUSES", (0.01,))
    monkeypatch.setattr(baselines, "BASELINES", baselines.BASELINES)
    monkeypatch.setattr(report, "SLICES", report.SLICES)
    bigram.shorten_evaluation()
    torch.set_num_threads(1)
    importlib.import_module("torch._dynamo")  # what the first optimiser loads, seconds of it: here once instead of in every fork

    workers = Workers()
    yield workers
    workers.end()


class Workers:
    """Forked workers: `start` one and go on, or call for its end."""

    def __init__(self) -> None:
        self._alive: list[int] = []

    def __call__(self, run_id: str, fault: str = "", **environment: str) -> int:
        return self.wait(self.start(run_id, fault, **environment))

    def start(self, run_id: str, fault: str = "", **environment: str) -> int:
        child = os.fork()
        if child == 0:
            code = 70
            try:
                os.setsid()
                os.environ.update(environment | ({faults.VARIABLE: fault} if fault else {}))
                faults.rearm()
                with RunFolder(run_id).log_path.open("ab") as log:
                    os.dup2(log.fileno(), 1)
                    os.dup2(log.fileno(), 2)
                    sys.stdout = sys.stderr = open(1, "w", closefd=False)
                    code = worker.work(run_id)
                    sys.stdout.flush()
            finally:
                os._exit(code)
        self._alive.append(child)
        return child

    def wait(self, child: int) -> int:
        self._alive.remove(child)
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

    def end(self) -> None:
        for child in self._alive:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
