"""Any order of submitting, starting, dying, stopping, resuming and deleting, by several hands: the registry keeps its promises.

Workers are stood in for by lock holders in this process: what a worker does to the registry and to its lock, without the training.
"""

import os
import tempfile
from pathlib import Path

import pytest
from filelock import FileLock
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, rule

from engine import models
from engine.errors import RunError
from engine.runs import Run, RunRequest, cancel, delete, jobs, list_runs, reap, registry, rename, resume, retry, submit, worker
from engine.runs.folder import RunFolder
from tests.engine.runs import bigram


class Registry(RuleBasedStateMachine):
    runs = Bundle("runs")

    @initialize()
    def empty_home(self) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.patch = pytest.MonkeyPatch()
        self.patch.setenv("MOBISCOPE_HOME", self.folder.name)
        self.patch.setattr(models, "MODELS", models.MODELS)
        self.patch.setattr(jobs, "WORKER", jobs.WORKER)
        bigram.register()
        self.launched: list[str] = []
        self.patch.setattr(jobs, "_launch", self._launch)
        self.patch.setattr(worker, "_offer_to_the_memory_killer", lambda: None)
        bigram.small_city(days=40).save()
        self.expected: dict[str, str] = {}
        self.locks: dict[str, FileLock] = {}
        self.attempts: dict[str, int] = {}

    def _launch(self, run_id: str) -> None:
        self.launched.append(run_id)

    @rule(target=runs)
    def submit(self):
        run_id = submit(RunRequest(model="bigram", city="Small", preset="tiny"))
        self.expected[run_id] = "PENDING"
        self.attempts[run_id] = 0
        return run_id

    @rule(run_id=runs)
    def a_worker_begins(self, run_id: str) -> None:
        """The launched worker (or one started by hand) takes the lock and claims; exactly one can."""
        if run_id not in self.expected:
            return
        lock = FileLock(str(RunFolder(run_id).lock_path), timeout=0, is_singleton=False)
        if run_id in self.locks:
            assert jobs.is_locked(RunFolder(run_id))
            return
        if self.expected[run_id] not in ("PENDING", "RUNNING", "LOST"):
            with pytest.raises(RunError, match="resume or retry it first"):
                lock.acquire()
                try:
                    worker._claim(run_id)
                finally:
                    lock.release()
            return
        lock.acquire()
        attempt = worker._claim(run_id)
        assert attempt == self.attempts[run_id] + 1
        self.attempts[run_id] = attempt
        self.locks[run_id] = lock
        self.expected[run_id] = "RUNNING"

    @rule(run_id=runs, state_of_end=st.sampled_from(["DONE", "FAILED", "CANCELLED"]))
    def a_worker_ends(self, run_id: str, state_of_end: str) -> None:
        if run_id in self.locks:
            with registry.writing() as connection:
                assert registry.change(connection, run_id, owner=self.attempts[run_id], state=state_of_end, ended_at=registry.now())
            jobs.record_outcome(run_id)
            self.locks.pop(run_id).release()
            self.expected[run_id] = state_of_end
            reap()

    @rule(run_id=runs)
    def a_worker_dies(self, run_id: str) -> None:
        if run_id in self.locks:
            self.locks.pop(run_id).release()
            assert run_id in reap()
            self.expected[run_id] = "LOST"

    @rule(run_id=runs)
    def a_stale_worker_writes(self, run_id: str) -> None:
        if self.attempts.get(run_id, 0) > 1:
            with registry.writing() as connection:
                assert not registry.change(connection, run_id, owner=self.attempts[run_id] - 1, step=10**6)

    @rule(run_id=runs)
    def cancel(self, run_id: str) -> None:
        if run_id not in self.expected:
            return
        waits = self.expected[run_id] == "PENDING" and self._row(run_id)["launched_at"] is None
        if self.expected[run_id] in ("PENDING", "RUNNING"):
            cancel(run_id)
            if waits:
                self.expected[run_id] = "CANCELLED"
            else:
                assert self._row(run_id)["cancel"] == 1
        else:
            with pytest.raises(RunError, match="not running"):
                cancel(run_id)

    @rule(run_id=runs, anew=st.booleans())
    def resume(self, run_id: str, anew: bool) -> None:
        if run_id not in self.expected:
            return
        again = retry if anew else resume
        if self.expected[run_id] in ("FAILED", "CANCELLED", "LOST"):
            again(run_id)
            self.expected[run_id] = "PENDING"
            assert self._row(run_id)["cancel"] == 0
        with pytest.raises(RunError):
            again(run_id)

    @rule(run_id=runs)
    def rename(self, run_id: str) -> None:
        if run_id in self.expected:
            rename(run_id, f"renamed {run_id}")
            assert Run.open(run_id).summary.name == f"renamed {run_id}"

    @rule(run_id=runs)
    def delete(self, run_id: str) -> None:
        if run_id not in self.expected:
            return
        if self.expected[run_id] == "RUNNING" or self._row(run_id)["launched_at"] is not None:
            with pytest.raises(RunError, match="is running"):
                delete(run_id)
            return
        delete(run_id)
        del self.expected[run_id]
        assert not RunFolder(run_id).path.exists()

    @rule()
    def the_registry_is_lost(self) -> None:
        """Only what is launched but not begun is forgotten: it waits again."""
        for part in Path(self.folder.name, "runs").glob("runs.db*"):
            part.unlink()
        registry._ready.clear()
        list_runs()

    @invariant()
    def everybody_sees_what_happened(self) -> None:
        if not hasattr(self, "expected"):
            return
        assert {run.id: run.state for run in list_runs()} == self.expected
        for run_id, state in self.expected.items():
            assert jobs.is_locked(RunFolder(run_id)) == (state == "RUNNING")
            assert RunFolder(run_id).record()["outcome"]["state"] == state
        with registry.reading() as connection:
            launched = connection.execute(
                "SELECT count(*) FROM runs WHERE state = 'PENDING' AND launched_at IS NOT NULL"
            ).fetchone()[0]
        assert launched <= jobs.slots()

    def _row(self, run_id: str):
        with registry.reading() as connection:
            return registry.find(connection, run_id)

    def teardown(self) -> None:
        if hasattr(self, "locks"):
            for lock in self.locks.values():
                lock.release()
            self.patch.undo()
            self.folder.cleanup()


Registry.TestCase.settings = settings(
    max_examples=int(os.environ.get("MOBISCOPE_EXAMPLES", "8")),
    stateful_step_count=25,
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)
TestRegistry = Registry.TestCase
