"""Opening a finished run: what it was made with must be what is here, or a sentence says what is not."""

import json
import os
import pickle
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

import engine
from engine.errors import MobiscopeError, RunError
from engine.runs import Run, submit
from engine.runs.folder import RunFolder
from tests.engine.runs import bigram
from tests.engine.runs.conftest import Workers


@pytest.fixture
def done(by_hand: Workers, request_for) -> Run:
    run_id = submit(request_for(epochs=1))
    assert by_hand(run_id) == 0
    return Run.open(run_id)


def change_json(path: Path, **values) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def test_a_city_that_changed_is_refused(done: Run) -> None:
    bigram.small_city(seed=1).save()
    with pytest.raises(RunError, match="City `Small` has changed since this run was made"):
        done.load()


def test_a_city_that_is_gone_is_refused(done: Run, city) -> None:
    city.folder.rename(city.folder.with_name("elsewhere"))
    with pytest.raises(RunError, match="The city of this run is not there"):
        done.load()


def test_a_newer_record_or_model_is_refused_naming_both_versions(done: Run) -> None:
    change_json(done.folder.model / "config.json", format_version=9, mobiscope_version="4.2.0")
    with pytest.raises(RunError, match=rf"newer Mobiscope \(4\.2\.0, format 9; this is {engine.__version__}, format 1\)"):
        done.load()
    change_json(done.folder.record_path, schema_version=9, engine="4.2.0")
    with pytest.raises(RunError, match=r"newer Mobiscope \(4\.2\.0, record version 9; this one reads 1\)"):
        done.load()


def test_other_vocabularies_are_refused(done: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bigram.Bigram, "artefacts", lambda self: {"places": 13})
    with pytest.raises(RunError, match="vocabularies or encoders of this model are not those it was trained with"):
        done.load()


def test_settings_this_version_does_not_know_are_refused(done: Run) -> None:
    change_json(done.folder.config_path, antennas=3)
    with pytest.raises(
        RunError, match=r"cannot be rebuilt here: These settings do not fit\. `antennas`: extra inputs are not permitted"
    ):
        done.load()


@pytest.mark.parametrize("kind", ["pickle", "nan", "exchanged", "gone", "config"])
def test_weights_that_are_not_those_saved_are_refused(done: Run, tmp_path: Path, kind: str) -> None:
    path, marker = done.folder.model / "model.safetensors", tmp_path / "ran"
    state = load_file(path)

    class Payload:
        def __reduce__(self):
            return os.system, (f"touch {marker}",)

    if kind == "pickle":
        path.write_bytes(pickle.dumps(Payload()))
    elif kind == "nan":
        save_file({name: value * torch.nan for name, value in state.items()}, path)
    elif kind == "exchanged":
        save_file({name: value + 1 for name, value in state.items()}, path)
    elif kind == "gone":
        path.unlink()
    else:
        (done.folder.model / "config.json").write_text("[]")
    with pytest.raises(RunError):
        done.load()
    assert not marker.exists()


def test_tables_that_are_not_there_or_damaged_are_sentences(done: Run) -> None:
    with pytest.raises(RunError, match="no table `moons`; it has ceilings, metrics, predictions, warnings"):
        done.table("moons")
    for name in ("../../x", "metrics/../metrics", ""):
        with pytest.raises(RunError, match="no table"):
            done.table(name)
    path = done.folder.tables / "metrics.parquet"
    path.write_bytes(path.read_bytes()[:-50])
    with pytest.raises(RunError, match=r"`metrics` of run .* is damaged"):
        done.table("metrics")


def test_a_run_without_a_model_says_how_it_stands(by_hand: Workers, request_for) -> None:
    run = Run.open(submit(request_for()))
    with pytest.raises(RunError, match="has no trained model: it is PENDING"):
        run.load()
    with pytest.raises(RunError, match="it has none yet"):
        run.table("metrics")
    assert run.curves().empty
    assert run.log_tail() == []


def test_a_metrics_line_cut_short_by_a_crash_is_left_out(done: Run) -> None:
    rows = len(done.curves())
    with done.folder.metrics_path.open("a") as file:
        file.write('{"step": 99, "t": 1, "key": "x", "val')
    assert len(done.curves()) == rows


def test_loading_is_exact_and_leaves_evaluation_mode(done: Run) -> None:
    first, second = done.load(), done.load()
    assert not first.model.training
    samples = first.data.samples.of_part("valid").histories()
    assert (first.model.predict(samples).log_probability == second.model.predict(samples).log_probability).all()


def test_the_model_folder_is_in_hugging_face_layout(done: Run) -> None:
    folder = done.folder.model
    assert sorted(path.name for path in folder.iterdir()) == ["README.md", "artefacts.json", "config.json", "model.safetensors"]
    config = json.loads((folder / "config.json").read_text())
    assert config["model_type"] == "mobiscope-bigram"
    assert config["settings"]["epochs"] == 1
    card = (folder / "README.md").read_text()
    assert card.startswith("---\nlibrary_name: mobiscope")
    assert f"| acc@1 | {done.summary.headline['acc@1']:.4f} |" in card


@pytest.mark.parametrize("name", ["../x", "..", "a/b", ".hidden", "x" * 200, "nul\0l", "naïve", ""])
def test_run_folders_never_leave_the_runs_folder(name: str) -> None:
    with pytest.raises(MobiscopeError, match="There is no run"):
        RunFolder(name)


def test_a_link_is_not_a_run(own_home, tmp_path: Path) -> None:
    (own_home / "runs").mkdir()
    (own_home / "runs" / "2026-01-01-bigram-link").symlink_to(tmp_path)
    with pytest.raises(RunError, match="There is no run"):
        RunFolder("2026-01-01-bigram-link")
