import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from engine.errors import TrainingStopped
from engine.runs import Run, cancel, progress, registry, submit
from engine.runs.folder import RunFolder, tail
from engine.runs.progress import Progress, Superseded
from tests.engine.runs.conftest import Workers

ROOT = Path(__file__).parent.parent.parent.parent


@pytest.fixture
def running(by_hand: Workers, request_for) -> Progress:
    """The first attempt at a run that says it is running (its lock is held, as a worker's would be)."""
    from filelock import FileLock

    run_id = submit(request_for())
    lock = FileLock(str(RunFolder(run_id).lock_path), is_singleton=False)
    lock.acquire()
    with registry.writing() as connection:
        registry.change(connection, run_id, state="RUNNING", attempt=1)
    yield Progress(RunFolder(run_id), 1, "CPU")
    lock.release()


def take_steps(
    running: Progress, seconds: list[float], monkeypatch: pytest.MonkeyPatch, between: float, begin: float = 10.0**6
) -> None:
    clock = [begin]
    monkeypatch.setattr(progress.time, "monotonic", lambda: clock[0])
    for step, length in enumerate(seconds, 1):
        clock[0] += between
        losses = {"total": 1 / step}
        running.step(stage="learn", epoch=0, epochs=5, step=step, steps=1000, losses=losses, rate=0.1, seconds=length)


def test_rows_come_once_a_second_and_the_time_left_from_the_median_step(running: Progress, monkeypatch: pytest.MonkeyPatch) -> None:
    # 100 steps 0.3 s apart. One in ten takes 5 s, the others 0.3 s: the median of any 50 is 0.3 s.
    take_steps(running, [5.0 if step % 10 == 0 else 0.3 for step in range(100)], monkeypatch, between=0.3)
    run = Run.open(running.folder.id)
    curve = run.curves().query("key == 'learn/total'")
    assert len(curve) == 25, "30 s of work in rows of at least 1 s: every fourth step"
    status = run.status()
    assert status.step == 97
    assert status.eta_s == pytest.approx(0.3 * (1000 - 97))
    assert (status.epoch, status.epochs, status.device) == (1, 5, "CPU")
    assert status.memory_mb > 50


def test_a_new_phase_forgets_the_pace_of_the_old_one(running: Progress, monkeypatch: pytest.MonkeyPatch) -> None:
    running.phase("learn")
    take_steps(running, [9.0] * 20, monkeypatch, between=2)
    running.phase("refine")
    assert Run.open(running.folder.id).status().eta_s is None
    take_steps(running, [0.5] * 3, monkeypatch, between=2, begin=2.0 * 10**6)
    assert Run.open(running.folder.id).status().eta_s == pytest.approx(0.5 * (1000 - 3))


def test_steps_taken_again_are_shown_once(running: Progress) -> None:
    for step in (10, 20, 30):
        running.metrics(step, {"learn/total": float(step)})
    running.forget_after(20)
    running.metrics(30, {"learn/total": 33.0})
    assert Run.open(running.folder.id).curves()[["step", "value"]].to_numpy().tolist() == [[10, 10], [20, 20], [30, 33]]


def test_stopping_and_being_superseded(running: Progress) -> None:
    running.phase("building the model")
    running.note("Counting", 0.5)
    cancel(running.folder.id)
    running._question_due = 0
    with pytest.raises(TrainingStopped, match="Stopped while building the model; resume continues") as stop:
        running.note("Counting", 0.6)
    assert stop.value.reason == "cancelled"
    with registry.writing() as connection:
        registry.change(connection, running.folder.id, attempt=2)
    with pytest.raises(Superseded):
        running.phase("evaluating")


def test_a_cancel_before_the_worker_begins_is_honoured(by_hand: Workers, request_for) -> None:
    run_id = submit(request_for())
    with registry.writing() as connection:
        registry.change(connection, run_id, launched_at=time.time())
    cancel(run_id)
    assert by_hand(run_id) == 0
    status = Run.open(run_id).status()
    assert (status.state, status.message) == ("CANCELLED", "Stopped while building the model; resume continues.")


def test_a_device_that_is_not_there_is_refused_not_replaced(by_hand: Workers, request_for) -> None:
    import torch

    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    run_id = submit(request_for().model_copy(update={"device": "cuda"}))
    assert by_hand(run_id) == 1
    assert "asks for cuda, which is not here" in Run.open(run_id).status().message


def test_the_tail_of_a_log_in_any_bytes(tmp_path: Path) -> None:
    path = tmp_path / "log.txt"
    assert tail(path, 5) == []
    path.write_bytes(b"\xff\xfe one\ntwo\n" + "drei ü\n".encode())
    assert tail(path, 2) == ["two", "drei ü"]
    path.write_text("x" * 10**6 + "\nlast")
    assert tail(path, 5) == ["last"]


@pytest.mark.parametrize("module", ["engine.runs", "engine.cli"])
def test_light_imports(module: str) -> None:
    code = (
        f"import sys, {module}; print([name for name in ('torch', 'transformers', 'sklearn', 'streamlit') if name in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_metrics_lines_are_what_mlflow_and_trackio_read(running: Progress) -> None:
    running.metrics(7, {"learn/total": 0.5})
    (line,) = running.folder.metrics_path.read_text().splitlines()
    row = json.loads(line)
    assert (row["step"], row["key"], row["value"]) == (7, "learn/total", 0.5)
    assert row["t"] == pytest.approx(time.time(), abs=60)
