"""An edit that only training can answer is offered a training, with what the first one took."""

from engine.city.city import list_cities
from engine.models.calliper import CaLLiPer
from engine.models.declarations import Effect
from engine.runs import Run, list_runs
from engine.scenarios.edits import RetagPlace
from engine.scenarios.scenario import EditStack
from tests.pages.conftest import assert_healthy, button, words


def test_training_again_is_offered_with_its_time_and_queued_by_a_click(own_copy, trained_home, monkeypatch, open_page) -> None:
    own_copy(trained_home)
    monkeypatch.setattr("engine.runs.jobs.start_waiting", lambda: [])
    needs = {"retag_place": Effect("re-fit", "Texts shape the location encoder while it is pre-trained.")}
    monkeypatch.setattr(CaLLiPer, "effects", lambda self: needs)
    run_id = next(run.id for run in list_runs() if run.name == "first")
    at = open_page("what_if", city="aldhaven", run=run_id)
    assert "after training again" not in words(at)
    location = str(Run.open(run_id).city().table("locations")["location_id"].iloc[0])
    at.session_state["mobiscope.what_if.stack"] = ("aldhaven", EditStack((RetagPlace(location_id=location, category="Spa"),)))
    at.run()
    assert_healthy(at)
    said = words(at)
    assert "1 edit can only matter after training again" in said and "the first time" in said and "--refit" in said
    button(at, "Train again on the edited city").click().run()
    assert_healthy(at)
    assert "is in the queue" in words(at)
    new = next(run for run in list_runs() if run.state == "PENDING")
    assert len(list_cities()) == 2 and new.city != "aldhaven"
    assert Run.open(new.id).config == Run.open(run_id).config
