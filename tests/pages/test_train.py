"""Train: the form is the model's config, the command does the same, the job card tells the story."""

import time
from pathlib import Path

import pytest

from engine.runs import Run, RunRequest, cancel, list_runs, submit
from tests.pages.conftest import QUICK, assert_healthy, button, words


def test_without_a_city_the_way_to_one_is_shown(open_page) -> None:
    at = open_page("train")
    assert_healthy(at)
    assert "There is no city to learn from" in words(at)
    assert button(at, "Choose a city")


@pytest.mark.parametrize(
    ("kind", "said"), [("chronological", "Split by time, per person:"), ("user", "Split by person, each in one part:")]
)
def test_the_split_is_told_in_numbers(kind, said, open_page, city_home, monkeypatch, tiny_city) -> None:
    from engine.city.samples import VisitLog, build_samples
    from engine.city.splits import Split

    samples = build_samples(VisitLog.of(tiny_city, Split(kind=kind)))
    monkeypatch.setenv("MOBISCOPE_HOME", str(city_home))
    at = open_page("train")
    next(box for box in at.selectbox if box.label == "Split").set_value(kind).run()
    assert_healthy(at)
    assert said in words(at) and f"--split kind={kind}" in words(at)
    assert f"{len(samples.of_part('train')):,} training" in words(at)
    assert f"{len(samples.of_part('test')):,} test targets" in words(at)


def test_the_command_follows_what_the_form_says(open_page, city_home, monkeypatch) -> None:
    """A preset names itself; a setting that differs from it is spelt out."""
    monkeypatch.setenv("MOBISCOPE_HOME", str(city_home))
    at = open_page("train")
    assert "mobiscope train calliper --city aldhaven --preset recommended" in words(at)
    next(box for box in at.number_input if box.label == "Epochs").set_value(3).run()
    assert_healthy(at)
    assert "--set epochs=3" in words(at)


def test_a_city_without_visits_is_refused_with_reason_and_mend(open_page, own_home, tiny_city) -> None:
    tiny_city.replace(name="Empty", visits=None).save(own_home / "cities" / "empty")
    at = open_page("train")
    at.selectbox(key="train.model.1").set_value("calliper").run()
    assert_healthy(at)
    assert at.warning, "the requirement that is missing is said"
    assert button(at, "Start training").disabled


def test_start_submits_what_the_form_says_and_the_link_finds_it_again(open_page, own_copy, city_home) -> None:
    own_copy(city_home)
    at = open_page("train")
    at.session_state["train.calliper.preset"] = "tiny"
    at.run()
    next(box for box in at.number_input if box.label == "Epochs").set_value(QUICK["epochs"]).run()
    button(at, "Start training").click().run()
    assert_healthy(at)
    (run,) = list_runs()
    try:
        assert (run.model, run.city, run.preset) == ("calliper", "aldhaven", "tiny")
        assert Run.open(run.id).request.config == {"epochs": QUICK["epochs"]}
        assert run.id in at.query_params["run"]
        again = open_page("train", run=run.id)
        assert_healthy(again)
        assert run.name in words(again).replace("\\", "")
    finally:
        stop(run.id)


def test_cancel_really_stops_and_resume_takes_it_up_again(open_page, own_copy, city_home) -> None:
    own_copy(city_home)
    run_id = submit(RunRequest(model="calliper", city="aldhaven", preset="tiny", config={"epochs": 500, "patience": 100}))
    try:
        at = open_page("train", run=run_id)
        button(at, "Cancel").click().run()
        assert_healthy(at)
        wait(run_id)
        assert Run.open(run_id).status().state == "CANCELLED"
        at = open_page("train", run=run_id)
        button(at, "Resume").click().run()
        assert_healthy(at)
        assert Run.open(run_id).status().state in ("PENDING", "RUNNING")
    finally:
        stop(run_id)


def stop(run_id: str) -> None:
    """Ends a job, so that no worker outlives its home."""
    if not Run.open(run_id).status().has_ended:
        cancel(run_id)
        wait(run_id)


def wait(run_id: str) -> None:
    until = time.monotonic() + 90
    while not Run.open(run_id).status().has_ended and time.monotonic() < until:
        time.sleep(0.2)


def test_a_crash_says_why_and_offers_to_resume(open_page, own_copy, trained_home) -> None:
    own_copy(trained_home)
    run = list_runs()[0]
    fail(run.id, "The loss became NaN at step 12; the last good checkpoint is step 10.")
    at = open_page("train", run=run.id)
    assert_healthy(at)
    assert any("became NaN at step 12" in item.value for item in at.error)
    assert button(at, "Resume")
    without_link = open_page("train")
    assert any("became NaN at step 12" in item.value for item in without_link.error), "nobody need remember the link to learn of it"
    assert "The latest run on Aldhaven failed." in words(without_link)


def fail(run_id: str, message: str) -> None:
    from engine.runs import registry

    with registry.writing() as connection:
        registry.change(connection, run_id, state="FAILED", message=message)


def test_a_finished_run_in_the_link_offers_its_predictions(open_page, trained_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOBISCOPE_HOME", str(trained_home))
    run = list_runs()[0]
    at = open_page("train", run=run.id)
    assert_healthy(at)
    assert button(at, "Look at its predictions")
    assert "of at most" in words(at)
