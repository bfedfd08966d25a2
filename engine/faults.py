"""Named points where a test can make a process die, run out of disk or out of memory; no cost and no effect otherwise.

`MOBISCOPE_FAULT="checkpoint.fsync:2:kill"` makes the second pass through that point in a process kill it. This is the n-th fault
method of SQLite: a test raises n until a run passes without the fault, and checks what is left on disk after each.
"""

import errno
import os
import signal
from collections import Counter

VARIABLE = "MOBISCOPE_FAULT"

POINTS: dict[str, str] = {
    "checkpoint.begin": "before anything of a checkpoint is written",
    "checkpoint.weights": "after the weights, before the optimiser",
    "checkpoint.fsync": "before a file of a checkpoint is synced",
    "checkpoint.rename": "before the finished folder gets its name",
    "checkpoint.latest": "before `LATEST` points to it",
    "checkpoint.tidy": "before old checkpoints are removed",
    "train.step": "before an optimiser step",
    "train.epoch": "after the validation of an epoch",
    "run.claimed": "after the worker claimed the run",
    "run.built": "after the model was built",
    "run.trained": "after the last stage of training",
    "run.table": "before a result table is written",
    "run.model": "before the model folder gets its name",
    "run.done": "before the run is marked as done",
    "registry.write": "inside a write transaction of the registry, before it is committed",
}

_passed: Counter[str] = Counter()


def point(name: str) -> None:
    """Does nothing, unless `MOBISCOPE_FAULT` names this point and its turn has come.

    Args:
        name: A key of `POINTS`.

    Raises:
        OSError: With ENOSPC or EIO, as the fault says.
        MemoryError: For `oom` (torch's own error where torch is loaded).
    """
    fault = os.environ.get(VARIABLE)
    if not fault:
        return
    assert name in POINTS, f"unknown fault point {name}"
    wanted, turn, action = fault.split(":")
    if wanted != name:
        return
    _passed[name] += 1
    if _passed[name] == int(turn):
        _strike(name, action)


def rearm() -> None:
    """Counts from zero again, for tests that use several faults in one process."""
    _passed.clear()


def _strike(name: str, action: str) -> None:
    if action == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if action in ("enospc", "eio"):
        code = errno.ENOSPC if action == "enospc" else errno.EIO
        raise OSError(code, os.strerror(code), f"fault at {name}")
    if action == "oom":
        import sys

        torch = sys.modules.get("torch")
        raise (torch.OutOfMemoryError if torch else MemoryError)(f"fault at {name}")
    raise ValueError(f"{VARIABLE} knows kill, enospc, eio and oom, not {action!r}.")
