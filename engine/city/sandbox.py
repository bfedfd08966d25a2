"""A short-lived child process that reads uploads: little memory, little time, no network, no other programs.

The parent writes `job.json` into a private folder, the child leaves its results beside it (JSON and Parquet, never pickle). Whatever
happens to the child, killed, out of memory, crashed in a library, becomes a sentence.
"""

import contextlib
import ctypes
import json
import os
import platform
import resource
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import engine
from engine import store
from engine.city.gdal_guard import ENVIRONMENT as GDAL_ENVIRONMENT
from engine.errors import IngestError, Problem

Report = Callable[[str, float], None]
_PASSED_ON = ("PATH", "LANG", "TZ", "TZDIR", "SYSTEMROOT", "LD_LIBRARY_PATH", "VIRTUAL_ENV", "PYTHONTZPATH")
_OUT_OF_MEMORY, _REFUSED = 77, 78


@dataclass(frozen=True)
class Caps:
    """What the child may use.

    Attributes:
        memory_bytes: Address space.
        cpu_seconds: Processor time.
        wall_seconds: Time by the clock.
        file_bytes: Size of any file it writes.
    """

    memory_bytes: int = 4 << 30
    cpu_seconds: int = 120
    wall_seconds: int = 300
    file_bytes: int = 8 << 30

    @classmethod
    def for_size(cls, size: int) -> "Caps":
        """More time for bigger files: a second of processor time per two megabytes on top."""
        extra = size // (2 << 20)
        return cls(cpu_seconds=120 + extra, wall_seconds=300 + 2 * extra)


@contextmanager
def run_limited(task: str, job: dict[str, Any], report: Report | None = None, caps: Caps | None = None) -> Iterator[Path]:
    """Runs `inspect` or `ingest` in the child and yields the folder with what it wrote; the folder vanishes afterwards.

    Args:
        task: `inspect` or `ingest`.
        job: JSON-able description; see `engine.city.reading`.
        report: Told the child's progress.
        caps: Limits.

    Raises:
        IngestError: With the child's problems, or one that says how it ended.
    """
    caps = caps or Caps()
    store.cache_folder().mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=".upload-", dir=store.cache_folder()))
    try:
        out = folder / "out"
        out.mkdir()
        store.write_json(folder / "job.json", job | {"task": task, "caps": asdict(caps)})
        code, ended = _run_child(folder, report, caps)
        problems = folder / "problems.json"
        if problems.is_file():
            raise IngestError([Problem(**entry) for entry in json.loads(problems.read_text(encoding="utf-8"))])
        if code != 0:
            raise IngestError([_worded(code, ended, caps)])
        yield out
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _run_child(folder: Path, report: Report | None, caps: Caps) -> tuple[int, str]:
    root = str(Path(engine.__file__).parent.parent)
    environment = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    environment |= GDAL_ENVIRONMENT | {
        "PYTHONPATH": root,
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONUTF8": "1",
        "LC_ALL": "C.UTF-8",
        "TMPDIR": str(folder),
        "HOME": str(folder),
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
        # Arenas and pools reserve far more address space than they use, which the limit counts.
        "MALLOC_ARENA_MAX": "2",
        "ARROW_DEFAULT_MEMORY_POOL": "system",
    }
    log = (folder / "log.txt").open("wb")
    child = subprocess.Popen(
        [sys.executable, "-P", "-m", "engine.city.sandbox", str(folder)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=log,
        env=environment,
        cwd=folder,
        start_new_session=True,
        text=True,
        errors="replace",
    )
    timed_out = threading.Event()

    def stop() -> None:
        timed_out.set()
        _kill(child)

    timer = threading.Timer(caps.wall_seconds, stop)
    timer.start()
    try:
        assert child.stdout is not None  # asked for as a pipe
        for line in child.stdout:
            if report is not None and line.startswith("{"):
                with contextlib.suppress(ValueError, KeyError, TypeError):
                    told = json.loads(line)
                    report(str(told["message"])[:200], float(told["share"]))
        code = child.wait()
    finally:
        timer.cancel()
        _kill(child)
        child.wait()
        log.close()
    return code, "timeout" if timed_out.is_set() else ""


def _kill(child: "subprocess.Popen[str]") -> None:
    if child.poll() is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)


def _worded(code: int, ended: str, caps: Caps) -> Problem:
    gigabytes = caps.memory_bytes / (1 << 30)
    if ended == "timeout" or code == -signal.SIGXCPU:
        return Problem("TOO_SLOW", f"Reading took longer than {caps.cpu_seconds} s of work.", "Cut the file into smaller ones.")
    if code == _OUT_OF_MEMORY:
        return Problem(
            "OUT_OF_MEMORY", f"Reading needs more than {gigabytes:.0f} GB of memory.", "Cut the file by time or by person."
        )
    if code == -signal.SIGXFSZ:
        return Problem("TOO_LARGE", f"A result grew beyond {caps.file_bytes / 1e9:.0f} GB.", "Cut the file by time or by person.")
    if code == -signal.SIGKILL:
        found = "Reading was stopped by the system, most likely because memory ran out."
        return Problem("KILLED", found, "Close other programs, or cut the file by time or by person.")
    how = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
    found = f"The program that reads files ended unexpectedly ({how}), which a damaged file can cause."
    return Problem("CRASHED", found, "Check the file with the program that wrote it, and bring it again.")


# ---- inside the child ---------------------------------------------------------------------------------------------------


def confine(caps: Caps) -> None:
    """Limits this process for good: memory, time, file size, no sockets, no other programs."""
    for name, value in (
        ("RLIMIT_AS", caps.memory_bytes),
        ("RLIMIT_CPU", caps.cpu_seconds),
        ("RLIMIT_FSIZE", caps.file_bytes),
        ("RLIMIT_CORE", 0),
    ):
        with contextlib.suppress(ValueError, OSError):
            kind = getattr(resource, name)
            hard = resource.getrlimit(kind)[1]
            resource.setrlimit(kind, (value if hard == resource.RLIM_INFINITY else min(value, hard), hard))
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("500", encoding="ascii")
    sys.addaudithook(_refuse_event)
    _refuse_system_calls()


def _refuse_event(event: str, arguments: Sequence[object]) -> None:
    if event.startswith(
        ("socket.connect", "socket.bind", "socket.__new__", "subprocess.", "os.system", "os.exec", "os.posix_spawn", "os.fork")
    ):
        raise PermissionError(f"reading files may not use {event}")


def _refuse_system_calls() -> bool:
    """Makes the kernel refuse sockets and new programs (seccomp), also to C libraries; answers whether it does."""
    calls = {"x86_64": (0xC000003E, (41, 53, 59, 322)), "aarch64": (0xC00000B7, (198, 199, 221, 281))}.get(platform.machine())
    if sys.platform != "linux" or calls is None:
        return False
    machine, forbidden = calls
    load, jump_if, answer = 0x20, 0x15, 0x06
    allow, refuse = 0x7FFF0000, 0x00050000 | 13  # SECCOMP_RET_ALLOW; SECCOMP_RET_ERRNO with EACCES
    program = [(load, 0, 0, 4), (jump_if, 1, 0, machine), (answer, 0, 0, allow), (load, 0, 0, 0)]
    for index, number in enumerate(forbidden):
        program.append((jump_if, len(forbidden) - index, 0, number))
    program += [(answer, 0, 0, allow), (answer, 0, 0, refuse)]
    packed = b"".join(struct.pack("HBBI", *step) for step in program)
    buffer = ctypes.create_string_buffer(packed, len(packed))

    class Program(ctypes.Structure):
        _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_void_p))

    libc = ctypes.CDLL(None, use_errno=True)
    no_new_privileges, set_seccomp, filter_mode = 38, 22, 2
    description = Program(len(program), ctypes.cast(buffer, ctypes.c_void_p))
    if libc.prctl(no_new_privileges, 1, 0, 0, 0) != 0:
        return False
    return bool(libc.prctl(set_seccomp, filter_mode, ctypes.byref(description), 0, 0) == 0)


def main(folder: Path) -> int:
    """The child: reads `job.json`, confines itself, does the task, leaves results or problems."""
    job = json.loads((folder / "job.json").read_text(encoding="utf-8"))
    confine(Caps(**job["caps"]))
    told = [0.0]

    def report(message: str, share: float) -> None:
        if time.monotonic() - told[0] > 0.1:
            told[0] = time.monotonic()
            print(json.dumps({"message": message, "share": share}), flush=True)

    try:
        from engine.city import reading

        {"inspect": reading.inspect_task, "ingest": reading.ingest_task}[job["task"]](job, folder / "out", report)
    except IngestError as error:
        (folder / "problems.json").write_text(json.dumps([asdict(problem) for problem in error.problems]), encoding="utf-8")
        return _REFUSED
    except MemoryError:
        return _OUT_OF_MEMORY
    except ImportError as error:
        if "cannot allocate" in str(error).lower() or "failed to map" in str(error).lower():
            return _OUT_OF_MEMORY
        raise
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
