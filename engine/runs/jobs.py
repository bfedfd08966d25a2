"""Jobs: one operating-system process per run, started in its own session, known to be alive by a lock that the kernel keeps.

The dashboard and the command line only write rows; a worker holds `lock` in its run's folder for as long as it lives. When it dies,
of whatever cause, the kernel frees the lock, and the next look (`reap`) finds a run that claims to be running while nobody runs it.
"""

import json
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
from filelock import FileLock, Timeout

import engine
from engine import store
from engine.city.city import open_city
from engine.errors import RunError
from engine.runs import registry
from engine.runs.folder import RECORD_VERSION, RunFolder, new_folder
from engine.runs.request import ENDED, RunRequest

SLOTS_VARIABLE = "MOBISCOPE_JOBS"
WORKER = ("-m", "engine", "work")
LAUNCH_SECONDS = 60.0
FORCE_SECONDS = 5.0
KILLED = -9

_children: dict[str, subprocess.Popen[bytes]] = {}
_exit_codes: dict[str, int] = {}
_children_lock = threading.Lock()


def slots() -> int:
    """How many jobs run at the same time: `MOBISCOPE_JOBS`, default one."""
    text = os.environ.get(SLOTS_VARIABLE, "1")
    if not text.isdecimal() or int(text) < 1:
        raise RunError(f"{SLOTS_VARIABLE} must be a whole number from 1; found {text!r}.")
    return int(text)


def submit(request: RunRequest) -> str:
    """Checks a request, writes the run's folder, puts it in the queue, and starts it if a slot is free.

    Returns:
        The run's id, `<date>-<model>-<word>`.

    Raises:
        ConfigError: If the model, the preset or a setting is unknown or out of range.
        CityError: If there is no such city.
        RequirementError: If the city lacks what the model needs.
        RunError: If the run cannot be kept.
    """
    from engine.runs.building import check

    city = open_city(request.city)
    config = check(request, city)
    reap()
    folder = new_folder(request.model)
    try:
        slug = city.folder.name if city.folder else store.slug(city.name)
        record = {
            "schema_version": RECORD_VERSION,
            "id": folder.id,
            "name": request.name or folder.id,
            "created_at": registry.now(),
            "engine": engine.__version__,
            "request": request.model_dump(mode="json"),
            "city": {"slug": slug, "name": city.name, "fingerprint": city.fingerprint},
            "outcome": {"state": "PENDING", "attempt": 0},
        }
        store.write_json(folder.config_path, config)
        store.write_json(folder.data_card_path, city.info.data_card.model_dump(mode="json"))
        store.write_json(folder.record_path, record)
        with registry.writing() as connection:
            registry.insert(connection, registry.row_of_record(record))
    except OSError as error:
        folder.remove()
        raise RunError(f"The run could not be written to `{store.runs_folder()}`: {error.strerror}.") from None
    except BaseException:
        folder.remove()
        raise
    start_waiting()
    return folder.id


def start_waiting() -> list[str]:
    """Starts runs from the queue, oldest first, while slots are free. Safe to call from anywhere, any number at a time."""
    started: list[str] = []
    while True:
        with registry.writing() as connection:
            busy = connection.execute(
                "SELECT count(*) FROM runs WHERE state = 'RUNNING' OR (state = 'PENDING' AND launched_at IS NOT NULL)"
            ).fetchone()[0]
            row = connection.execute(
                "SELECT id FROM runs WHERE state = 'PENDING' AND launched_at IS NULL ORDER BY queued_at, id LIMIT 1"
            ).fetchone()
            if row is None or busy >= slots():
                return started
            registry.change(connection, row["id"], launched_at=time.time(), pid=None, pid_created=None)
        _launch(row["id"])
        started.append(row["id"])


def cancel(run_id: str) -> None:
    """Takes a waiting run out of the queue, or asks a running one to save and stop.

    Raises:
        RunError: If the run has ended already.
    """
    reap()
    with registry.writing() as connection:
        row = registry.find(connection, run_id)
        if row["state"] in ENDED:
            raise RunError(f"Run `{run_id}` is not running: it is {row['state']}.")
        if row["state"] == "PENDING" and row["launched_at"] is None:
            message = "Taken out of the queue before it began."
            registry.change(connection, run_id, state="CANCELLED", ended_at=registry.now(), message=message)
            waiting = True
        else:
            registry.change(connection, run_id, cancel=1)
            waiting = False
    if waiting:
        record_outcome(run_id)


def resume(run_id: str) -> None:
    """Puts a run that ended early back into the queue; it continues from its newest checkpoint.

    Raises:
        RunError: If it is done, waiting or running. Of two that resume the same run, one is told so.
    """
    _requeue(run_id, anew=False)


def retry(run_id: str) -> None:
    """Trains a run that ended early anew, from its first step; its checkpoints and results are forgotten.

    Raises:
        RunError: If it is done, waiting or running.
    """
    _requeue(run_id, anew=True)


def force_stop(run_id: str) -> None:
    """Ends the worker's process and its children, first politely, then by force.

    Raises:
        RunError: If the run is not running.
    """
    with registry.reading() as connection:
        row = registry.find(connection, run_id)
    if row["state"] in ENDED:
        raise RunError(f"Run `{run_id}` is not running: it is {row['state']}.")
    if row["state"] == "PENDING" and row["launched_at"] is None:
        cancel(run_id)
        return
    worker = _process(row["pid"], row["pid_created"])
    if worker is not None:
        family = [worker, *_descendants(worker)]
        for process in family:
            _signal(process, "terminate")
        _, alive = psutil.wait_procs(family, timeout=FORCE_SECONDS)
        for process in alive:
            _signal(process, "kill")
        psutil.wait_procs(alive, timeout=FORCE_SECONDS)
    _collect_exit(run_id)
    with registry.writing() as connection:
        row = registry.find(connection, run_id)
        if row["state"] in ("RUNNING", "PENDING"):
            message = "Stopped by force. Resume continues from its newest checkpoint."
            registry.change(connection, run_id, state="CANCELLED", ended_at=registry.now(), message=message, launched_at=None)
    record_outcome(run_id)
    start_waiting()


def reap() -> list[str]:
    """Finds runs whose worker is gone, says why where it can be known, and starts what waits.

    Returns:
        The ids that were found dead.
    """
    dead = []
    _collect_children()
    with registry.reading() as connection:
        busy = connection.execute("SELECT id FROM runs WHERE state = 'RUNNING' OR launched_at IS NOT NULL LIMIT 1").fetchone()
        waiting = connection.execute("SELECT id FROM runs WHERE state = 'PENDING' LIMIT 1").fetchone()
    if busy is not None:
        with registry.writing() as connection:
            for row in connection.execute("SELECT * FROM runs WHERE state = 'RUNNING' OR launched_at IS NOT NULL").fetchall():
                if _reap_one(connection, row):
                    dead.append(row["id"])
    for run_id in dead:
        record_outcome(run_id)
    if dead or waiting is not None:
        start_waiting()
    return dead


def delete(run_id: str) -> None:
    """Removes a run and all its files.

    Raises:
        RunError: If it is running, or there is no such run.
    """
    folder = RunFolder(run_id)
    reap()
    with registry.writing() as connection:
        row = registry.find(connection, run_id)
        if row["state"] == "RUNNING" or row["launched_at"] is not None or is_locked(folder):
            raise RunError(f"Run `{run_id}` is running; cancel it before deleting it.")
        connection.execute("DELETE FROM runs WHERE id = ?", (run_id,))
    folder.remove()


def rename(run_id: str, name: str) -> None:
    """Gives a run another name on screen; its id stays.

    Raises:
        RunError: If the name is empty or longer than 120 characters, or there is no such run.
    """
    name = " ".join(name.split())
    if not name or len(name) > 120:
        raise RunError("A run's name has 1 to 120 characters.")
    with registry.writing() as connection:
        registry.find(connection, run_id)
        registry.change(connection, run_id, name=name)
        RunFolder(run_id).update_record(name=name)


def is_locked(folder: RunFolder) -> bool:
    """Whether a living process holds the run. The kernel answers, so a lock file left behind or a pid used again does not count."""
    if not folder.path.is_dir():
        return False
    lock = FileLock(str(folder.lock_path), timeout=0)
    try:
        lock.acquire()
    except Timeout:
        return True
    lock.release()
    return False


def record_outcome(run_id: str) -> None:
    """Copies how a run stands from the registry to its `run.json`, from which a registry can be rebuilt."""
    try:
        with registry.writing() as connection:
            row = registry.find(connection, run_id)
            outcome = {key: row[key] for key in ("state", "attempt", "started_at", "ended_at", "message", "device")}
            RunFolder(run_id).update_record(outcome=outcome | {"headline": json.loads(row["headline"])})
    except (RunError, OSError):
        # The registry is what counts; a damaged or unwritable record must not keep the other runs from being listed.
        return


def oom_kills() -> int | None:
    """How many processes the kernel has killed for memory in this control group; None where that cannot be read."""
    for path in ("/sys/fs/cgroup/memory.events", "/sys/fs/cgroup/memory/memory.oom_control"):
        try:
            for line in Path(path).read_text().splitlines():
                if line.startswith("oom_kill "):
                    return int(line.split()[1])
        except (OSError, ValueError):
            continue
    return None


# ---- inside -------------------------------------------------------------------------------------------------------------------


def _requeue(run_id: str, anew: bool) -> None:
    folder = RunFolder(run_id)
    reap()
    with registry.writing() as connection:
        row = registry.find(connection, run_id)
        if row["state"] == "DONE":
            raise RunError(f"Run `{run_id}` is done; start a new one to train again.")
        if row["state"] in ("PENDING", "RUNNING"):
            busy = "is running" if row["state"] == "RUNNING" else "waits to be started"
            raise RunError(f"Run `{run_id}` {busy} already; somebody else was first.")
        folder.record()
        if anew:
            folder.clear_results()
        registry.change(
            connection,
            run_id,
            state="PENDING",
            queued_at=time.time(),
            cancel=0,
            launched_at=None,
            pid=None,
            pid_created=None,
            ended_at=None,
            message="",
            phase="",
            eta_s=None,
            step_s=None,
            **({"step": 0, "epoch": 0, "loss": None} if anew else {}),
        )
    record_outcome(run_id)
    start_waiting()


def _launch(run_id: str) -> None:
    folder = RunFolder(run_id)
    root = str(Path(engine.__file__).resolve().parent.parent)
    path = os.pathsep.join(part for part in (root, os.environ.get("PYTHONPATH", "")) if part)
    try:
        with folder.log_path.open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, *WORKER, run_id],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                env=os.environ | {"PYTHONPATH": path, "PYTHONUNBUFFERED": "1"},
            )
    except OSError as error:
        with registry.writing() as connection:
            message = f"The worker could not be started: {error.strerror}."
            registry.change(connection, run_id, state="FAILED", ended_at=registry.now(), message=message, launched_at=None)
        record_outcome(run_id)
        return
    with _children_lock:
        _children[run_id] = process
        _exit_codes.pop(run_id, None)
    try:
        created = psutil.Process(process.pid).create_time()
    except psutil.Error:
        created = 0.0
    with registry.writing() as connection:
        connection.execute(
            "UPDATE runs SET pid = ?, pid_created = ? WHERE id = ? AND state = 'PENDING' AND launched_at IS NOT NULL",
            (process.pid, created, run_id),
        )


def _reap_one(connection: sqlite3.Connection, row: sqlite3.Row) -> bool:
    """Marks a run whose worker is gone; returns whether it was."""
    folder = RunFolder(row["id"])
    if row["state"] not in ("PENDING", "RUNNING"):
        return registry.change(connection, row["id"], launched_at=None) and False
    if is_locked(folder):
        return False
    if row["state"] == "RUNNING":
        code = _collect_exit(row["id"], patience=0.5)
        message = _why_gone(row, code, folder)
        return registry.change(connection, row["id"], state="LOST", ended_at=registry.now(), message=message, launched_at=None)
    if row["pid"] is None:
        if not 0 <= time.time() - row["launched_at"] <= LAUNCH_SECONDS:
            registry.change(connection, row["id"], launched_at=None)
        return False
    code = _collect_exit(row["id"])
    if _process(row["pid"], row["pid_created"]) is not None:
        return False
    last = next((line for line in reversed(folder.log_tail(20)) if line.strip()), "its log is empty")
    message = f"The worker ended before it could begin{_exit_words(code)}: {last}"
    return registry.change(connection, row["id"], state="FAILED", ended_at=registry.now(), message=message, launched_at=None)


def _why_gone(row: sqlite3.Row, code: int | None, folder: RunFolder) -> str:
    kills, before = oom_kills(), row["oom_kills"]
    killed_for_memory = kills is not None and before is not None and kills > before
    if code == KILLED or killed_for_memory:
        certainty = "because memory ran out" if killed_for_memory else "most likely because memory ran out"
        reason = f"The worker was stopped by the system, {certainty}."
    elif code is not None and code < 0:
        reason = f"The worker was ended by {signal.Signals(-code).name}."
    elif code:
        reason = f"The worker ended with code {code}; its log says why."
    else:
        reason = "The worker is gone without a word: it was killed, or the machine went down."
    saved = any(folder.checkpoints.glob("step-*"))
    return f"{reason} {'Resume continues from its newest checkpoint.' if saved else 'Resume begins it again.'}"


def _exit_words(code: int | None) -> str:
    return f" (code {code})" if code is not None else ""


def _collect_exit(run_id: str, patience: float = 0.0) -> int | None:
    """The exit code of a worker this process started, if it has ended; None where another process started it."""
    _collect_children(run_id, patience)
    return _exit_codes.get(run_id)


def _collect_children(run_id: str | None = None, patience: float = 0.0) -> None:
    """Collects the workers that ended, so that the system can forget them; waits `patience` seconds for one of them."""
    with _children_lock:
        for child_id, child in list(_children.items()):
            try:
                _exit_codes[child_id] = child.wait(timeout=patience if child_id == run_id else 0.0)
            except subprocess.TimeoutExpired:
                continue
            del _children[child_id]


def _process(pid: int | None, created: float | None) -> psutil.Process | None:
    """The worker's process, unless the pid is another program's by now."""
    if pid is None or created is None:
        return None
    try:
        process = psutil.Process(pid)
        if abs(process.create_time() - created) > 1.0 or process.status() == psutil.STATUS_ZOMBIE:
            return None
        return process
    except psutil.Error:
        return None


def _descendants(process: psutil.Process) -> list[psutil.Process]:
    try:
        return process.children(recursive=True)
    except psutil.Error:
        return []


def _signal(process: psutil.Process, action: str) -> None:
    try:
        getattr(process, action)()
    except psutil.Error:
        pass
