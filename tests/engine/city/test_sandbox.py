"""The child that reads uploads: limited, without network, and whatever ends it becomes a sentence."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest

from engine import store
from engine.city.ingest import files_in_data_folder, ingest, inspect, keep_upload, named_file, shown_name
from engine.city.sandbox import Caps, run_limited
from engine.errors import IngestError
from tests.engine.city.upload_files import golden_rows, table

ROOT = Path(__file__).parents[3]


@pytest.fixture
def golden(tmp_path: Path) -> Path:
    path = tmp_path / "checkins.csv"
    path.write_bytes(table(golden_rows()))
    return path


def job(path: Path) -> dict[str, object]:
    return {"files": [{"path": str(path), "name": path.name}], "choices": {}, "name": "x"}


def confined(code: str) -> subprocess.CompletedProcess[str]:
    """Runs code in a process confined like the child."""
    program = f"from engine.city.sandbox import Caps, confine\nimport ctypes\nconfine(Caps(memory_bytes=2 << 30))\n{code}"
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT, timeout=60)


def test_a_city_comes_out_of_the_child_with_its_data_card(golden: Path) -> None:
    told: list[str] = []
    city = ingest([golden], "New Town", report=lambda message, share: told.append(message))
    assert city.folder == store.cities_folder() / "new-town"
    assert city.name == "New Town"
    (card,) = city.info.data_card.files
    assert (card.file, card.recognised_as, card.rows_in, card.rows_kept) == ("checkins.csv", "checkins", 40, 40)
    assert any("checkins.csv" in message for message in told)
    assert not list(store.cache_folder().glob(".upload-*"))


def test_an_inspection_saves_nothing_and_shows_what_would_be_kept(golden: Path) -> None:
    inspection = inspect([golden])
    assert inspection.is_ready
    assert inspection.tables == {"visits": 40, "locations": 4}
    assert inspection.time_zone == "America/New_York"
    (file,) = inspection.files
    assert file.mapping["started_at"] == "time"
    assert {column.name: column.field for column in file.columns}["time"] == "started_at"
    assert list(inspection.preview.columns) == ["longitude", "latitude", "table", "label"]
    assert len(inspection.preview) == 4
    assert not store.cities_folder().exists()


def test_problems_of_the_child_arrive_with_row_and_column(tmp_path: Path) -> None:
    path = tmp_path / "bad.csv"
    path.write_bytes(table([[*row[:2], "91", "181", *row[4:]] for row in golden_rows()]))
    with pytest.raises(IngestError) as refused:
        ingest([path], "bad")
    (problem,) = [problem for problem in refused.value.problems if problem.fatal]
    assert (problem.code, problem.file, problem.row, problem.column, problem.rows) == (
        "COORDINATES_RANGE",
        "bad.csv",
        1,
        "latitude",
        40,
    )
    assert not (store.cities_folder() / "bad").exists()


@pytest.mark.parametrize(
    "code",
    [
        "import socket; socket.socket()",
        "import socket; socket.create_connection(('127.0.0.1', 9))",
        "import os; os.system('true')",
        "import subprocess; subprocess.run(['true'])",
        "import os; os.execv('/bin/true', ['true'])",
    ],
)
def test_the_child_opens_no_socket_and_starts_no_program(code: str) -> None:
    ended = confined(f"{code}\nprint('it worked')")
    assert "it worked" not in ended.stdout
    assert "PermissionError" in ended.stderr


@pytest.mark.skipif(sys.platform != "linux" or os.uname().machine not in ("x86_64", "aarch64"), reason="seccomp filter of Linux")
def test_the_kernel_refuses_sockets_of_c_libraries_too() -> None:
    """Past Python, straight to libc: socket() answers -1."""
    ended = confined("print('answer', ctypes.CDLL(None).socket(2, 1, 0), ctypes.CDLL(None).execv(b'/bin/true', None))")
    assert ended.stdout.strip() == "answer -1 -1"


def test_too_much_memory_is_a_sentence(golden: Path) -> None:
    with (
        pytest.raises(IngestError, match="memory") as refused,
        run_limited("ingest", job(golden), caps=Caps(memory_bytes=150 << 20)),
    ):
        pass
    assert refused.value.problems[0].code == "OUT_OF_MEMORY"


def test_memory_is_limited_in_the_child() -> None:
    assert "MemoryError" in confined("bytearray(3 << 30)").stderr


def test_too_much_time_is_a_sentence(golden: Path) -> None:
    with pytest.raises(IngestError) as refused, run_limited("ingest", job(golden), caps=Caps(wall_seconds=0.05)):
        pass
    assert refused.value.problems[0].code == "TOO_SLOW"


def test_a_killed_child_is_a_sentence(golden: Path) -> None:
    """Killed from outside as by the kernel when memory runs out."""

    def kill() -> None:
        for _ in range(200):
            for child in psutil.Process().children():
                with contextlib.suppress(psutil.Error):  # other children of this worker may have ended by now
                    if "engine.city.sandbox" in " ".join(child.cmdline()):
                        child.send_signal(signal.SIGKILL)
                        return
            time.sleep(0.02)

    killer = threading.Thread(target=kill)
    killer.start()
    with pytest.raises(IngestError, match="memory ran out") as refused:
        ingest([golden], "killed")
    killer.join()
    assert refused.value.problems[0].code == "KILLED"
    assert not list(store.cache_folder().glob(".upload-*"))


def test_the_child_inherits_no_secrets(golden: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from engine.city import sandbox

    seen: dict[str, str] = {}
    popen = subprocess.Popen

    def spy(*args: object, **kwargs: object) -> object:
        seen.update(kwargs["env"])
        return popen(*args, **kwargs)

    monkeypatch.setenv("SECRET_TOKEN", "hush")
    monkeypatch.setattr(sandbox.subprocess, "Popen", spy)
    ingest([golden], "quiet")
    assert "SECRET_TOKEN" not in seen
    assert "VRT" in seen["GDAL_SKIP"]


# ---- 53-54: names --------------------------------------------------------------------------------------------------------

NAMES = [
    "../../x.csv",
    "/etc/passwd",
    "x" * 300 + ".csv",
    "CON",
    "nul.csv",
    "invoice\u202egpj.csv",
    "🗺️.csv",
    "bad\udcff\udcfename.csv",
    "",
    "..",
    "a\x00b.csv",
    "<script>alert(1)</script>.csv",
    "C:\\Users\\x.csv",
]


@pytest.mark.parametrize("name", NAMES)
def test_53_any_file_name_is_kept_under_a_name_of_ours(name: str) -> None:
    path = keep_upload(name, [table(golden_rows())])
    assert path.is_relative_to(store.cache_folder() / "uploads")
    assert path.parent.parent == store.cache_folder() / "uploads"
    assert 0 < len(path.name.encode()) <= 101
    assert not set(path.name) & set('/\\<>:"|?*\x00\u202e')
    assert path.name.split(".")[0].lower() not in ("con", "nul")
    assert path.read_bytes().startswith(b"user_id")


def test_53_an_upload_beyond_the_limit_leaves_nothing_behind() -> None:
    with pytest.raises(IngestError, match="allowed"):
        keep_upload("big.csv", [b"x" * 600, b"x" * 600], limit=1000)
    assert not list((store.cache_folder() / "uploads").rglob("*"))


def test_53_the_same_name_twice_stays_apart(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    first, second = tmp_path / "x.csv", tmp_path / "a" / "x.csv"
    first.write_bytes(table(golden_rows()))
    second.write_bytes(table(golden_rows(8)))
    assert [file.file for file in inspect([first, second]).files] == ["x.csv", "x.csv (2)"]


def test_54_files_are_named_from_the_data_folder_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "data"
    (folder / "sub").mkdir(parents=True)
    (folder / "sub" / "good.csv").write_bytes(table(golden_rows()))
    outside = tmp_path / "secret.csv"
    outside.write_text("hush")
    (folder / "link.csv").symlink_to(outside)
    (folder / "linked").symlink_to(tmp_path)
    monkeypatch.setenv("MOBISCOPE_DATA", str(folder))
    assert files_in_data_folder() == ["sub/good.csv"]
    assert named_file("sub/good.csv").read_bytes().startswith(b"user_id")
    for name in ("../secret.csv", str(outside), "link.csv", "linked/secret.csv", "sub/../../secret.csv", "", "none.csv", "a\x00b"):
        with pytest.raises(IngestError):
            named_file(name)


def test_50_markup_in_names_stays_text(tmp_path: Path) -> None:
    """Names that a page could mistake for markup come through letter by letter; escaping is the screen's business."""
    from tests.engine.city.upload_files import bring, city_of, with_column

    evil = ["<script>window.__xss=1</script>", "<img src=x onerror=alert(1)>", "`{name}` **b** $x$", "[x](javascript:alert(1))"]
    rows = golden_rows()
    rows = with_column(rows, "category", [evil[int(row[1][1])] for row in rows])
    assert set(city_of(bring(tmp_path, {"x.csv": table(rows)})).table("locations")["category"]) == set(evil)


def test_harmless_names_stay_as_they_are() -> None:
    assert shown_name("dataset_TSMC2014_NYC (1).txt") == "dataset_TSMC2014_NYC (1).txt"
