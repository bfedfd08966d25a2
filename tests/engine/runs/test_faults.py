"""Every registered fault point, hit at its first, second, fourth ... pass: what is on disk stays whole, and resuming gives the clean result."""

import contextlib
import itertools
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pytest

from engine import faults
from engine.runs import Run, RunRequest, resume, submit
from engine.runs.folder import RunFolder
from engine.training.checkpoints import Checkpoints
from engine.training.weights import sha256
from tests.engine.runs import bigram

# Small enough that a run takes a fraction of a second: 3 steps in each of the two stages.
CONFIG = {"epochs": 1, "batch_size": 120}
DYING = [(name, "kill") for name in faults.POINTS]
DISK = [
    (name, action)
    for name in faults.POINTS
    if name.startswith(("checkpoint", "run.t", "run.m", "registry"))
    for action in ("enospc", "eio")
]
QUICK = ("checkpoint.fsync", "checkpoint.latest", "run.table", "registry.write")
MEMORY = [("train.step", "oom"), ("run.built", "oom")]


@dataclass
class Outcome:
    """What a run came to."""

    weights: str
    tables: dict[str, pd.DataFrame]
    epochs: pd.DataFrame

    @classmethod
    def of(cls, run: Run) -> "Outcome":
        curves = run.curves()
        rows = curves[curves["key"].str.contains("epoch_loss|valid_")][["step", "key", "value"]].reset_index(drop=True)
        tables = {name: run.table(name) for name in ("metrics", "predictions", "warnings", "ceilings")}
        return cls(sha256(run.folder.model / "model.safetensors"), tables, rows)


@pytest.fixture
def clean(by_hand, request_for, clean_outcomes: list[Outcome]) -> Outcome:
    """What a run comes to that nobody interfered with."""
    if not clean_outcomes:
        clean_outcomes.append(Outcome.of(ended(by_hand, submit(request_for(**CONFIG)), "")))
    return clean_outcomes[0]


@pytest.fixture(scope="module")
def clean_outcomes() -> list[Outcome]:
    return []


def ended(by_hand, run_id: str, fault: str) -> Run:
    by_hand(run_id, fault, MOBISCOPE_CHECKPOINT_SECONDS="0")
    return Run.open(run_id)


def assert_whole(run: Run) -> None:
    """Nothing is half: a checkpoint that counts can be read, and the record too."""
    latest = Checkpoints(run.folder.checkpoints).latest()
    if latest is not None:
        latest.training()
    assert run.request.model == "bigram"
    for name in run.tables():
        run.table(name)


def assert_same_result(run: Run, clean: Outcome) -> None:
    found = Outcome.of(run)
    assert found.weights == clean.weights
    for name, table in clean.tables.items():
        pd.testing.assert_frame_equal(found.tables[name], table)
    pd.testing.assert_frame_equal(found.epochs, clean.epochs)
    assert list(run.folder.path.rglob(".tmp-*")) == [], "an interrupted write is swept away by the next attempt"


def check(point: str, action: str, turn: int, by_hand, request_for, clean: Outcome) -> bool:
    """One run with one fault; returns whether the fault came."""
    run_id = submit(request_for(**CONFIG))
    run = ended(by_hand, run_id, f"{point}:{turn}:{action}")
    status = run.status()
    assert_whole(run)
    if status.state == "DONE":
        # The fault never came, or it struck where it does no harm (progress that could not be written).
        assert_same_result(run, clean)
        run.delete()
        return action != "kill" and any("fault at" in line or "could not" in line for line in run.folder.log_tail())
    if action == "kill":
        assert status.state in ("LOST", "PENDING"), status
    elif status.state != "PENDING":
        assert status.state in ("FAILED", "LOST"), status
        words = {"enospc": "disk is full", "oom": "emory", "eio": "Input/output error"}[action]
        assert words in status.message or status.state == "LOST", status
    if status.state != "PENDING":
        resume(run_id)
    run = ended(by_hand, run_id, "")
    assert run.status().state == "DONE", run.log_tail()
    assert_same_result(run, clean)
    run.delete()
    return True


@pytest.mark.parametrize(
    ("point", "action"),
    [*DYING, *(pytest.param(*one, marks=[] if one[0] in QUICK else pytest.mark.slow) for one in DISK), *MEMORY],
)
def test_the_first_pass_through_every_point(point: str, action: str, by_hand, request_for, clean: Outcome) -> None:
    check(point, action, 1, by_hand, request_for, clean)


@pytest.mark.slow
@pytest.mark.parametrize(("point", "action"), DYING + DISK + MEMORY)
def test_every_further_pass(point: str, action: str, by_hand, request_for, clean: Outcome) -> None:
    for turn in itertools.count(2):
        if not check(point, action, turn, by_hand, request_for, clean):
            return


@pytest.mark.parametrize("spare", [0, 20_000, 60_000, 100_000])
def test_a_disk_that_is_full_to_the_brim(
    spare: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, by_hand, clean: Outcome
) -> None:
    """Everything, registry and log included, lies on a real file system of 12 MB with so many bytes free; then space is freed."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=12m", "tmpfs", str(disk)], capture_output=True, check=False)
    if mount.returncode:
        pytest.skip(f"a small file system cannot be mounted here: {mount.stderr.decode().strip()}")
    try:
        monkeypatch.setenv("MOBISCOPE_HOME", str(disk))
        monkeypatch.setenv("MOBISCOPE_DISK_RESERVE_MB", "0")
        bigram.small_city().save()
        run_id = submit(RunRequest(model="bigram", city="Small", preset="tiny", config=CONFIG))
        filler = disk / "filler"
        with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
            while True:
                file.write(bytes(1 << 12))
        os.truncate(filler, filler.stat().st_size - spare)
        code = by_hand(run_id, MOBISCOPE_CHECKPOINT_SECONDS="0")
        assert code in (1, 75), RunFolder(run_id).log_tail()
        filler.unlink()
        run = Run.open(run_id)
        status = run.status()
        assert status.state in ("FAILED", "LOST", "PENDING")
        assert status.state != "FAILED" or "disk is full" in status.message
        if status.state != "PENDING":
            resume(run_id)
        ended(by_hand, run_id, "")
        assert run.status().state == "DONE", run.log_tail()
        assert_same_result(run, clean)
    finally:
        subprocess.run(["umount", str(disk)], check=True)
