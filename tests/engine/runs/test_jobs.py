import json
import os
import re
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import psutil
import pytest

from engine.errors import ConfigError, RequirementError, RunError
from engine.runs import (
    Run,
    RunRequest,
    cancel,
    delete,
    force_stop,
    jobs,
    list_runs,
    reap,
    registry,
    rename,
    resume,
    retry,
    start_waiting,
    submit,
)
from engine.runs.folder import RunFolder
from engine.training.weights import sha256
from tests.engine.runs.conftest import Workers, wait_until

ROOT = Path(__file__).parent.parent.parent.parent
SLOW_STEPS = {"seconds_per_step": 0.05, "epochs": 40}


def is_training(status) -> bool:
    return status.state == "RUNNING" and status.step > 0


class TestSubmit:
    def test_a_request_that_cannot_work_leaves_nothing_behind(self, by_hand: Workers, city) -> None:
        from engine.city.city import City

        City.build("Empty", {"locations": city.table("locations")}, time_zone="UTC").save()
        for request, error, words in (
            (RunRequest(model="nobody", city="Small"), ConfigError, "no model `nobody`"),
            (RunRequest(model="bigram", city="Small", preset="huge"), ConfigError, "no preset `huge`"),
            (RunRequest(model="bigram", city="Small", config={"epochs": 0}), ConfigError, "epochs"),
            (RunRequest(model="bigram", city="Small", config={"colour": 1}), ConfigError, "colour"),
            (RunRequest(model="bigram", city="Empty"), RequirementError, "Visits are missing"),
        ):
            with pytest.raises(error, match=words):
                submit(request)
        assert list_runs() == []
        assert not [path for path in RunFolder("x").path.parent.glob("*") if path.is_dir()]

    def test_a_city_without_enough_days_fails_with_what_is_needed(self, by_hand: Workers, city) -> None:
        run_id = submit(RunRequest(model="bigram", city="Small", preset="tiny", split={"warm_up_days": 30}))
        assert by_hand(run_id) == 1
        status = Run.open(run_id).status()
        assert status.state == "FAILED"
        assert "no sample in the valid part" in status.message

    def test_ids_and_folders(self, by_hand: Workers, request_for) -> None:
        run_id = submit(request_for())
        assert run_id.count("-") >= 4
        assert run_id.split("-")[3] == "bigram"
        record = json.loads(RunFolder(run_id).record_path.read_text())
        assert record["request"]["model"] == "bigram"
        assert json.loads(RunFolder(run_id).config_path.read_text())["epochs"] == 3
        assert "assumptions" in json.loads(RunFolder(run_id).data_card_path.read_text())


class TestDeath:
    def test_a_killed_worker_is_found_lost_with_the_likely_reason_and_resumes_to_the_same_weights(self, request_for) -> None:
        """With real processes: SIGKILL while it trains; nobody but the kernel's lock tells."""
        undisturbed = submit(request_for(epochs=4))
        wait_until(undisturbed, lambda status: status.state == "DONE")

        run_id = submit(request_for(epochs=4, seconds_per_step=0.05))
        wait_until(run_id, is_training)
        with registry.reading() as connection:
            pid = registry.find(connection, run_id)["pid"]
        os.kill(pid, signal.SIGKILL)
        status = wait_until(run_id, lambda status: status.state != "RUNNING")
        assert status.state == "LOST"
        assert "stopped by the system, most likely because memory ran out" in status.message
        resume(run_id)
        assert wait_until(run_id, lambda status: status.has_ended).state == "DONE"
        assert Run.open(run_id).status().attempt == 2
        first, second = (sha256(RunFolder(one).model / "model.safetensors") for one in (undisturbed, run_id))
        assert first == second

    def test_a_job_outlives_the_process_that_started_it(self, city, tmp_path: Path) -> None:
        """The server and its whole process group are killed; the job goes on to its end."""
        script = textwrap.dedent("""
            import time
            from tests.engine.runs import bigram
            bigram.register()
            from engine.runs import RunRequest, submit
            print(submit(RunRequest(model="bigram", city="Small", preset="tiny", config={"seconds_per_step": 0.02})), flush=True)
            time.sleep(600)
        """)
        server = subprocess.Popen(
            [sys.executable, "-c", script], cwd=ROOT, stdout=subprocess.PIPE, text=True, start_new_session=True
        )
        assert server.stdout is not None
        run_id = server.stdout.readline().strip()
        wait_until(run_id, lambda status: status.state == "RUNNING")
        os.killpg(server.pid, signal.SIGKILL)
        server.wait()
        assert wait_until(run_id, lambda status: status.has_ended).state == "DONE"

    def test_a_lock_file_left_behind_and_a_pid_used_again_are_not_life(self, by_hand: Workers, request_for) -> None:
        run_id = submit(request_for())
        RunFolder(run_id).lock_path.touch()
        with registry.writing() as connection:
            # This very process has that pid, but was not created then; and it does not hold the lock.
            registry.change(connection, run_id, state="RUNNING", attempt=1, pid=os.getpid(), pid_created=1.0)
        assert reap() == [run_id]
        assert Run.open(run_id).status().state == "LOST"
        with pytest.raises(RunError, match="not running"):
            force_stop(run_id)

    def test_force_never_ends_a_stranger_with_the_same_pid(self, by_hand: Workers, request_for) -> None:
        stranger = subprocess.Popen(["sleep", "60"])
        try:
            run_id = submit(request_for())
            with registry.writing() as connection:
                registry.change(connection, run_id, state="RUNNING", attempt=1, pid=stranger.pid, pid_created=1.0)
            force_stop(run_id)
            assert stranger.poll() is None
            assert Run.open(run_id).status().state == "CANCELLED"
        finally:
            stranger.kill()
            stranger.wait()

    def test_a_worker_that_cannot_begin_fails_with_its_last_line(self, request_for, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(jobs, "WORKER", ("-c", "raise SystemExit('no such module here')"))
        run_id = submit(request_for())
        status = wait_until(run_id, lambda status: status.has_ended)
        assert status.state == "FAILED"
        # Whoever collects the process first learns its exit code; the reason is there either way.
        assert re.fullmatch(r"The worker ended before it could begin( \(code 1\))?: no such module here", status.message)

    def test_a_launch_that_was_cut_short_is_launched_again(
        self, by_hand: Workers, request_for, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        run_id = submit(request_for())
        with registry.writing() as connection:
            registry.change(connection, run_id, launched_at=time.time())
        assert Run.open(run_id).status().position is None, "it may still be starting"
        with registry.writing() as connection:
            registry.change(connection, run_id, launched_at=time.time() - 2 * jobs.LAUNCH_SECONDS)
        assert Run.open(run_id).status().position == 1, "back in the queue"

    def test_the_clock_going_back_an_hour_loses_nobody(
        self, by_hand: Workers, request_for, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        run_id = submit(request_for(**SLOW_STEPS))
        child = by_hand.start(run_id)
        wait_until(run_id, is_training)
        real = time.time
        with monkeypatch.context() as clock:
            clock.setattr(time, "time", lambda: real() - 3600)
            assert reap() == []
            assert Run.open(run_id).status().state == "RUNNING"
        cancel(run_id)
        assert by_hand.wait(child) == 0


class TestStopping:
    def test_cancel_stops_it_soon_and_resume_continues_where_it_stopped(self, by_hand: Workers, request_for) -> None:
        run_id = submit(request_for(seconds_per_step=0.02, epochs=6))
        child = by_hand.start(run_id)
        wait_until(run_id, is_training)
        began = time.monotonic()
        cancel(run_id)
        assert Run.open(run_id).status().stopping or Run.open(run_id).status().state == "CANCELLED"
        assert by_hand.wait(child) == 0
        assert time.monotonic() - began < 5
        run = Run.open(run_id)
        status = run.status()
        assert status.state == "CANCELLED"
        stopped_at = int(status.message.split("step ")[1].split(";")[0])
        assert stopped_at < 22 * 7
        resume(run_id)
        assert by_hand(run_id) == 0
        assert run.status().state == "DONE"
        assert [event["message"] for event in run.events()] == [f"Resumed at step {stopped_at:,}."]
        curve = run.curves().query("key == 'bigram/epoch_loss'")
        assert curve["step"].is_unique

    def test_retry_begins_anew(self, by_hand: Workers, request_for) -> None:
        run_id = submit(request_for(diverge_at=5))
        assert by_hand(run_id) == 1
        status = Run.open(run_id).status()
        assert status.state == "FAILED"
        assert "loss became nan in `bigram` at step 28" in status.message
        retry(run_id)
        assert not RunFolder(run_id).checkpoints.exists()
        assert Run.open(run_id).status().step == 0

    def test_sigterm_saves_and_stops(self, by_hand: Workers, request_for) -> None:
        run_id = submit(request_for(**SLOW_STEPS))
        child = by_hand.start(run_id)
        wait_until(run_id, is_training)
        os.kill(child, signal.SIGTERM)
        assert by_hand.wait(child) == 0
        assert Run.open(run_id).status().state == "CANCELLED"
        assert list(RunFolder(run_id).checkpoints.glob("step-*"))

    def test_a_hung_worker_shows_as_stalled_and_can_be_forced(
        self, by_hand: Workers, request_for, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(jobs, "FORCE_SECONDS", 0.3)
        run_id = submit(request_for(**SLOW_STEPS))
        child = by_hand.start(run_id)
        wait_until(run_id, is_training)
        os.kill(child, signal.SIGSTOP)  # it neither steps nor hears SIGTERM
        with registry.writing() as connection:
            registry.change(connection, run_id, stepped_at=time.time() - 120)
        assert Run.open(run_id).status().stalled
        threading.Thread(target=by_hand.wait, args=(child,), daemon=True).start()
        force_stop(run_id)
        status = Run.open(run_id).status()
        assert status.state == "CANCELLED"
        assert "by force" in status.message
        assert not psutil.pid_exists(child)

    def test_a_waiting_run_leaves_the_queue_at_once(self, by_hand: Workers, request_for) -> None:
        run_id = submit(request_for())
        cancel(run_id)
        assert Run.open(run_id).status().state == "CANCELLED"
        with pytest.raises(RunError, match="is not running: it is CANCELLED"):
            cancel(run_id)


class TestOneWinner:
    def test_of_many_workers_of_one_run_exactly_one_trains_and_the_others_are_told(self, by_hand: Workers, request_for) -> None:
        run_id = submit(request_for(epochs=2, seconds_per_step=0.2))
        codes = [by_hand.wait(child) for child in [by_hand.start(run_id) for _ in range(5)]]
        assert sorted(codes) == [0, 75, 75, 75, 75]
        run = Run.open(run_id)
        assert (run.status().state, run.status().attempt) == ("DONE", 1)
        assert sum("already being worked on" in line for line in run.log_tail()) == 4

    def test_of_two_tabs_that_resume_one_run_one_is_told(self, by_hand: Workers, request_for) -> None:
        run_id = submit(request_for())
        cancel(run_id)
        outcomes: list[str] = []

        def press() -> None:
            try:
                resume(run_id)
                outcomes.append("won")
            except RunError as error:
                outcomes.append(str(error))

        tabs = [threading.Thread(target=press) for _ in range(6)]
        for tab in tabs:
            tab.start()
        for tab in tabs:
            tab.join()
        assert outcomes.count("won") == 1
        assert all("somebody else was first" in outcome for outcome in outcomes if outcome != "won")

    def test_a_worker_whose_run_was_taken_over_writes_no_more(self, by_hand: Workers, request_for) -> None:
        run_id = submit(request_for(**SLOW_STEPS))
        child = by_hand.start(run_id)
        wait_until(run_id, is_training)
        with registry.writing() as connection:
            registry.change(connection, run_id, attempt=2, step=1)
        assert by_hand.wait(child) == 75
        with registry.reading() as connection:
            row = registry.find(connection, run_id)
        # Nobody holds the lock of the second attempt, so it is found lost; the first has written neither progress nor outcome.
        assert (row["state"], row["attempt"], row["step"]) == ("LOST", 2, 1)
        assert not RunFolder(run_id).model.exists()

    def test_a_running_run_cannot_be_deleted(self, by_hand: Workers, request_for) -> None:
        run_id = submit(request_for(**SLOW_STEPS))
        child = by_hand.start(run_id)
        wait_until(run_id, is_training)
        with pytest.raises(RunError, match="is running; cancel it before"):
            delete(run_id)
        cancel(run_id)
        by_hand.wait(child)
        folder = RunFolder(run_id).path
        delete(run_id)
        assert not folder.exists()
        with pytest.raises(RunError, match="There is no run"):
            delete(run_id)


class TestQueue:
    def test_the_second_run_waits_for_the_first_and_starts_by_itself(self, request_for) -> None:
        """With real processes and one slot; nobody looks after it but the first worker."""
        first = submit(request_for(seconds_per_step=0.05))
        second, third = submit(request_for()), submit(request_for())
        assert Run.open(second).status().position == 1
        assert Run.open(third).status().position == 2
        cancel(third)
        end = time.monotonic() + 60
        while time.monotonic() < end:  # without `status()`, which would reap and start what waits
            with registry.reading() as connection:
                if registry.find(connection, second)["state"] == "DONE":
                    break
            time.sleep(0.1)
        states = {summary.id: summary.state for summary in list_runs()}
        assert states == {first: "DONE", second: "DONE", third: "CANCELLED"}
        started = {summary.id: summary for summary in list_runs()}
        assert started[second].started_at > started[first].ended_at

    def test_slots(self, request_for, monkeypatch: pytest.MonkeyPatch) -> None:
        launched: list[str] = []
        monkeypatch.setattr(jobs, "_launch", launched.append)
        monkeypatch.setenv("MOBISCOPE_JOBS", "2")
        ids = [submit(request_for()) for _ in range(4)]
        assert launched == ids[:2]
        assert [Run.open(one).status().position for one in ids] == [None, None, 1, 2]
        start_waiting()
        assert launched == ids[:2], "slots are full"
        for typed in ("none", "²", "0"):
            monkeypatch.setenv("MOBISCOPE_JOBS", typed)
            with pytest.raises(RunError, match=f"whole number from 1; found '{typed}'"):
                start_waiting()


def test_rename(by_hand: Workers, request_for) -> None:
    run_id = submit(request_for())
    rename(run_id, "  Monday's   best <b> ")
    assert Run.open(run_id).summary.name == "Monday's best <b>"
    assert json.loads(RunFolder(run_id).record_path.read_text())["name"] == "Monday's best <b>"
    for name in ("", "   ", "x" * 121):
        with pytest.raises(RunError, match="1 to 120"):
            rename(run_id, name)
