"""What a worker writes down while it works: curves, events, and the registry row that pages watch. At most once a second."""

import contextlib
import json
import os
import statistics
import time
from collections import deque
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import psutil

from engine import store
from engine.errors import RunError, TrainingStopped
from engine.runs import registry
from engine.runs.folder import RunFolder, read_lines

SECONDS_BETWEEN_ROWS = 1.0
SECONDS_BETWEEN_QUESTIONS = 0.25
STEPS_FOR_PACE = 50


class Superseded(Exception):
    """Another worker owns the run now; this one must not write any more."""


class Progress:
    """Reports one attempt at a run.

    Args:
        folder: The run's folder.
        attempt: The attempt this worker claimed; every write to the registry is void once another has begun.
        device: Label of the device, for the job card.
    """

    def __init__(self, folder: RunFolder, attempt: int, device: str = "") -> None:
        self.folder, self.attempt, self.device = folder, attempt, device
        self.phase_name = ""
        self._pace: deque[float] = deque(maxlen=STEPS_FOR_PACE)
        self._row_due = 0.0
        self._question_due = 0.0
        self._stop_reason: str | None = None
        self._process = psutil.Process()
        self._latest: dict[str, int] = {}
        self._trouble = ""

    def phase(self, name: str) -> None:
        """Begins a phase: `opening the city`, `building the model`, the name of a stage, `evaluating`."""
        if name != self.phase_name:
            self.phase_name = name
            self._pace.clear()
            self.say(name)
            self._write(phase=name, message="", eta_s=None, step_s=None)

    def note(self, doing: str, share: float) -> None:
        """A preparation's progress (`Report`): what is being done and the share done. Stops the work if it was cancelled."""
        self.raise_if_stopped()
        if time.monotonic() >= self._row_due:
            self._row_due = time.monotonic() + SECONDS_BETWEEN_ROWS
            self._write(message=f"{doing} ({share:.0%})", memory_mb=self.memory_mb())

    def step(
        self, *, stage: str, epoch: int, epochs: int, step: int, steps: int, losses: Mapping[str, Any], rate: float, seconds: float
    ) -> None:
        """One optimiser step; see `StepDone` for what the numbers mean."""
        self._pace.append(seconds)
        self._latest = dict(step=step, steps=steps, epoch=epoch + 1, epochs=epochs)
        moment = time.monotonic()
        if moment < self._row_due:
            return
        self._row_due = moment + SECONDS_BETWEEN_ROWS
        pace = statistics.median(self._pace)
        values = {f"{stage}/{name}": float(value) for name, value in losses.items()}
        self.metrics(step, values | {f"{stage}/learning_rate": rate})
        self._write(
            **self._latest,
            loss=float(losses["total"]),
            eta_s=pace * max(0, steps - step),
            step_s=pace,
            stepped_at=time.time(),
            memory_mb=self.memory_mb(),
        )

    def epoch(self, step: int, values: Mapping[str, float], loss: float) -> None:
        """One epoch with its validation: always written, so that short trainings have curves too."""
        self.metrics(step, values)
        self._write(**self._latest, loss=loss, memory_mb=self.memory_mb())

    def metrics(self, step: int, values: Mapping[str, float]) -> None:
        """Appends one row per key to `metrics.jsonl`."""
        moment = round(time.time(), 3)
        self._append("metrics", [{"step": step, "t": moment, "key": key, "value": value} for key, value in values.items()])

    def event(self, name: str, sentence: str) -> None:
        """Something worth a line in the run's history: early stop, restart, resume, micro-batches."""
        self.say(sentence)
        self._append("events", [{"t": round(time.time(), 3), "attempt": self.attempt, "event": name, "message": sentence}])

    def say(self, sentence: str) -> None:
        """A line in `log.txt` (the worker's standard output), if the disk takes it."""
        with contextlib.suppress(OSError):
            print(f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} {sentence}", flush=True)

    def forget_after(self, step: int) -> None:
        """Drops the metrics of steps that a resumed run takes again, so that curves show each step once."""
        path = self.folder.metrics_path
        if path.is_file():
            kept = [row for row in read_lines(path) if row.get("step", 0) <= step]
            store.write_text(path, "".join(json.dumps(row) + "\n" for row in kept))

    def stop_reason(self) -> str | None:
        """Why to stop, if somebody asked for it; looked up a few times a second."""
        moment = time.monotonic()
        if self._stop_reason is None and moment >= self._question_due:
            self._question_due = moment + SECONDS_BETWEEN_QUESTIONS
            try:
                with registry.reading() as connection:
                    row = registry.find(connection, self.folder.id)
            except RunError as error:
                self._complain(str(error))
                return None
            if row["attempt"] != self.attempt:
                raise Superseded
            if row["cancel"]:
                self._stop_reason = "cancelled"
        return self._stop_reason

    def ask_to_stop(self, reason: str) -> None:
        """Makes the work stop at the next opportunity (a signal arrived)."""
        self._stop_reason = self._stop_reason or reason

    def raise_if_stopped(self) -> None:
        """Stops a phase without checkpoints of its own.

        Raises:
            TrainingStopped: If somebody asked for it.
        """
        reason = self.stop_reason()
        if reason:
            raise TrainingStopped(reason, f"Stopped while {self.phase_name}; resume continues.")

    def memory_mb(self) -> float:
        """Resident memory of this process, MB."""
        return self._process.memory_info().rss / 2**20

    def _write(self, **values: Any) -> None:
        try:
            with registry.writing() as connection:
                owned = registry.change(connection, self.folder.id, owner=self.attempt, device=self.device, **values)
        except (RunError, OSError) as error:
            # Progress is not worth a training: a full disk must show at the checkpoint, not here.
            self._complain(str(error))
            return
        if not owned:
            raise Superseded

    def _append(self, kind: str, rows: list[dict[str, Any]]) -> None:
        path = self.folder.metrics_path if kind == "metrics" else self.folder.events_path
        try:
            with path.open("a", encoding="utf-8") as file:
                file.write("".join(json.dumps(row) + os.linesep for row in rows))
        except OSError as error:
            self._complain(f"`{path.name}` could not be written: {error.strerror}.")

    def _complain(self, sentence: str) -> None:
        if sentence != self._trouble:
            self._trouble = sentence
            self.say(sentence)
