import json
import multiprocessing
import os
import sqlite3
import stat
import time
from contextlib import closing
from types import SimpleNamespace

import psutil
import pytest

from engine.errors import RunError
from engine.runs import Run, list_runs, reap, registry, submit
from engine.runs.folder import RunFolder
from tests.engine.runs.conftest import Workers


@pytest.fixture
def done(by_hand: Workers, request_for) -> str:
    """The id of a finished run, its name changed."""
    from engine.runs import rename

    run_id = submit(request_for(epochs=1))
    assert by_hand(run_id) == 0
    rename(run_id, "Keep me")
    return run_id


class TestDamage:
    @pytest.mark.parametrize("damage", ["garbage", "truncated", "page", "empty"])
    def test_a_damaged_registry_is_put_aside_and_rebuilt_from_the_folders(self, done: str, damage: str) -> None:
        before = list_runs()
        path = registry.registry_path()
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        content = path.read_bytes()
        page = content[:4096] + bytes(4096) + content[8192:]
        path.write_bytes(
            {"garbage": os.urandom(9000), "truncated": content[: len(content) // 2], "page": page, "empty": b""}[damage]
        )
        registry._ready.clear()
        after = list_runs()
        assert after == before
        assert after[0].name == "Keep me"
        assert Run.open(done).load().model.name == "bigram"
        kept = [one for one in path.parent.iterdir() if ".damaged-" in one.name]
        assert bool(kept) == (damage != "empty"), "an empty file holds nothing worth keeping"

    def test_damage_while_the_program_runs_is_mended_at_the_next_look(self, done: str) -> None:
        path = registry.registry_path()
        for part in (path, path.with_name("runs.db-wal"), path.with_name("runs.db-shm")):
            if part.exists():
                part.write_bytes(b"x" * 8192)
        with pytest.raises(RunError, match="registry of runs"), registry.reading() as connection:
            registry.find(connection, done)
        assert [run.id for run in list_runs()] == [done]

    def test_a_folder_without_a_readable_record_does_not_hide_the_others(self, done: str, by_hand: Workers, request_for) -> None:
        broken = submit(request_for())
        RunFolder(broken).record_path.write_text("{")
        registry.registry_path().unlink()
        registry._ready.clear()
        assert [run.id for run in list_runs()] == [done]

    def test_a_worker_that_lives_through_a_rebuild_keeps_its_run(self, by_hand: Workers, request_for) -> None:
        from engine.runs import cancel

        from .conftest import wait_until

        run_id = submit(request_for(seconds_per_step=0.05, epochs=40))
        child = by_hand.start(run_id)
        wait_until(run_id, lambda status: status.step > 0)
        registry.registry_path().write_bytes(os.urandom(5000))
        registry._ready.clear()
        assert wait_until(run_id, lambda status: status.step > 0).state == "RUNNING"
        cancel(run_id)
        assert by_hand.wait(child) == 0
        assert Run.open(run_id).status().state == "CANCELLED"


class TestSchema:
    def test_an_older_registry_is_migrated_with_a_backup(self, done: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(
            registry, "MIGRATIONS", (*registry.MIGRATIONS, "ALTER TABLE runs ADD COLUMN colour TEXT NOT NULL DEFAULT 'blue';")
        )
        registry._ready.clear()
        assert [run.id for run in list_runs()] == [done]
        with registry.reading() as connection:
            assert registry.find(connection, done)["colour"] == "blue"
            assert connection.execute("PRAGMA user_version").fetchone()[0] == len(registry.MIGRATIONS)
        (backup,) = registry.registry_path().parent.glob("runs.v1.backup-*.db")
        with closing(sqlite3.connect(backup)) as connection:
            assert connection.execute("SELECT name FROM runs").fetchall() == [("Keep me",)]
            assert connection.execute("PRAGMA user_version").fetchone()[0] == 1

    def test_a_migration_that_fails_changes_nothing(self, done: str, monkeypatch: pytest.MonkeyPatch) -> None:
        good = registry.MIGRATIONS
        monkeypatch.setattr(
            registry, "MIGRATIONS", (*good, "ALTER TABLE runs ADD COLUMN colour TEXT; ALTER TABLE nowhere ADD COLUMN x;")
        )
        registry._ready.clear()
        with pytest.raises(RunError, match="registry of runs cannot be used"):
            list_runs()
        monkeypatch.setattr(registry, "MIGRATIONS", good)
        registry._ready.clear()
        assert [run.id for run in list_runs()] == [done]

    def test_a_newer_registry_is_refused_and_left_as_it_is(self, done: str) -> None:
        path = registry.registry_path()
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("PRAGMA user_version = 99")
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        before = path.read_bytes()
        registry._ready.clear()
        with pytest.raises(RunError, match=r"written by a newer Mobiscope \(schema 99, this one knows 1\)"):
            list_runs()
        assert path.read_bytes() == before
        assert not list(path.parent.glob("*damaged*"))


class TestPlace:
    def test_a_network_file_system_is_refused(self, own_home, monkeypatch: pytest.MonkeyPatch) -> None:
        mounts = [SimpleNamespace(mountpoint="/", fstype="ext4"), SimpleNamespace(mountpoint=str(own_home), fstype="nfs4")]
        monkeypatch.setattr(psutil, "disk_partitions", lambda all: mounts)
        with pytest.raises(RunError, match=r"network file system \(nfs4\).*MOBISCOPE_HOME to a local disk"):
            list_runs()

    @pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may write everywhere")
    def test_a_folder_that_cannot_be_written_is_a_sentence(self, own_home) -> None:
        own_home.chmod(stat.S_IRUSR | stat.S_IXUSR)
        try:
            with pytest.raises(RunError, match="cannot be kept"):
                list_runs()
        finally:
            own_home.chmod(stat.S_IRWXU)

    def test_a_home_that_is_a_file_is_a_sentence(self, tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
        (tmp_path / "home").write_text("")
        monkeypatch.setenv("MOBISCOPE_HOME", str(tmp_path / "home"))
        with pytest.raises(RunError, match="cannot be kept"):
            list_runs()

    @pytest.mark.parametrize("text", ["database or disk is full", "disk I/O error"])
    def test_a_full_disk_is_called_that(self, text: str) -> None:
        with pytest.raises(RunError, match="full or failing"), registry.reading():
            raise sqlite3.OperationalError(text)


def test_what_is_known_can_be_read_while_nothing_can_be_written(
    by_hand: Workers, request_for, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = submit(request_for())
    with registry.writing() as connection:
        registry.change(connection, run_id, state="RUNNING", attempt=1, step=7)
    full = registry.sqlite3.OperationalError("database or disk is full")

    def fail(name: str) -> None:
        raise full

    monkeypatch.setattr(registry.faults, "point", fail)
    with pytest.raises(RunError, match="full or failing"):
        reap()
    assert Run.open(run_id).status().step == 7
    assert [run.state for run in list_runs()] == ["RUNNING"]


def _count_up(home: str, run_id: str, times: int) -> None:
    os.environ["MOBISCOPE_HOME"] = home
    for _ in range(times):
        with registry.writing() as connection:
            registry.change(connection, run_id, step=registry.find(connection, run_id)["step"] + 1)


def test_no_update_is_lost_among_many_writers(by_hand: Workers, request_for, own_home) -> None:
    """8 processes add one 50 times each: 400 in the end."""
    run_id = submit(request_for())
    context = multiprocessing.get_context("fork")
    writers = [context.Process(target=_count_up, args=(str(own_home), run_id, 50)) for _ in range(8)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert [writer.exitcode for writer in writers] == [0] * 8
    assert Run.open(run_id).status().step == 400


def test_a_thousand_runs_and_a_gigabyte_of_log_are_listed_in_two_seconds(done: str) -> None:
    record = RunFolder(done).record()
    with registry.writing() as connection:
        for index in range(1000):
            values = registry.row_of_record(record | {"id": f"2026-01-01-bigram-{index}", "name": f"Run {index}"})
            registry.insert(connection, values | {"headline": json.dumps({"acc@1": 0.2, "mrr": 0.3})})
    with RunFolder(done).log_path.open("r+b") as log:
        log.truncate(1 << 30)
        log.seek(0, 2)
        log.write(b"\nthe last line\n")
    began = time.monotonic()
    assert len(list_runs()) == 1001
    run = Run.open(done)
    assert run.status().state == "DONE"
    assert run.log_tail(1) == ["the last line"]
    assert time.monotonic() - began < 2
