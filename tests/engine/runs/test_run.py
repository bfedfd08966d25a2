import pytest

from engine.errors import RunError
from engine.runs import Run, list_runs, submit
from tests.engine.runs.bigram import BigramConfig
from tests.engine.runs.conftest import wait_until


def test_a_submitted_run_trains_in_its_own_process_and_can_be_opened(request_for, monkeypatch) -> None:
    run_id = submit(request_for(epochs=6))
    status = wait_until(run_id, lambda status: status.has_ended)
    run = Run.open(run_id)
    assert status.state == "DONE", run.log_tail()
    assert status.attempt == 1
    assert status.step > 0
    # People step from place i to i + 1 in 85 % of their moves: the model must find that, and the popularity baseline cannot.
    metrics = run.table("metrics").query("slice == 'all' and group == 'all' and metric == 'acc@1'").set_index("predictor")["value"]
    assert metrics["bigram"] > 0.7 > metrics["popularity"]
    assert run.summary.headline["acc@1"] == pytest.approx(metrics["bigram"])
    assert {"bigram/epoch_loss", "bigram/valid_cross_entropy"} <= set(run.curves()["key"])
    assert [summary.id for summary in list_runs()] == [run_id]
    loaded = run.load()
    samples = loaded.data.samples.of_part("test")
    assert (loaded.model.predict(samples.histories()).log_probability.argmax(1) == samples.true_location).mean() == pytest.approx(
        metrics["bigram"]
    )
    later = {"tiny": BigramConfig(batch_size=99), "demo": BigramConfig(batch_size=99), "paper": BigramConfig(batch_size=99)}
    monkeypatch.setattr(BigramConfig, "presets", classmethod(lambda cls: later))
    assert run.load().model.config == loaded.model.config, "a preset changed by a later version leaves earlier runs as they were"


@pytest.mark.parametrize("name", ["../x", "/etc/passwd", "nobody", "", "a/b", "."])
def test_a_run_that_is_not_there_is_refused_in_a_sentence(name: str) -> None:
    with pytest.raises(RunError, match="There is no run"):
        Run.open(name)
