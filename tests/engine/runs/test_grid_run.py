"""A run of a grid model from the command line to its tables, and what can be asked of it afterwards."""

import json

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest

from engine import cli
from engine.city.cell_samples import build_cell_samples
from engine.city.cell_splits import CellSplit
from engine.city.splits import Split
from engine.errors import ConfigError
from engine.models.baselines.curves import CURVE_BASELINES
from engine.runs import Run, RunRequest, submit
from engine.runs.building import check
from engine.runs.request import plain_split
from engine.scenarios.cell_edits import DropModality
from engine.scenarios.edits import OverrideProbe, TakeHour
from engine.scenarios.scenario import Scenario
from tests.engine.runs.conftest import Workers, bigram_jobs, by_hand
from tests.engine.small_grids import grid_city

__all__ = ["bigram_jobs", "by_hand"]

QUICK = {"epochs": 1, "steps_per_epoch": 2}


def test_a_request_without_a_split_gets_the_one_its_model_needs() -> None:
    assert RunRequest(model="lmemr", city="x").split == CellSplit() == plain_split("lmemr")
    assert RunRequest(model="calliper", city="x").split == Split()
    partly = RunRequest.model_validate({"model": "lmemr", "city": "x", "split": {"seed": 3}})
    assert partly.split == CellSplit(seed=3)
    assert RunRequest.model_validate({"model": "calliper", "city": "x", "split": {"history_days": 3}}).split == Split(
        history_days=3
    )


def test_saved_requests_of_either_kind_are_read_back() -> None:
    for split in (CellSplit(kind="districts", seed=2), Split(kind="session"), Split()):
        request = RunRequest(model="lmemr", city="x", split=split)
        assert RunRequest.model_validate_json(request.model_dump_json()).split == split


def test_a_split_that_does_not_fit_the_model_is_refused_with_the_choices(tiny_city) -> None:
    with pytest.raises(
        ConfigError, match=r"LMEMR learns from cells; a `chronological` split does not divide them. Choose random_cells"
    ):
        check(RunRequest(model="lmemr", city="x", preset="tiny", split=Split()), tiny_city)
    with pytest.raises(ConfigError, match="CaLLiPer learns from visits; a `districts` split"):
        check(RunRequest(model="calliper", city="x", preset="tiny", split=CellSplit(kind="districts")), tiny_city)


def _mobiscope(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as stop:
        cli.main([str(word) for word in words])
    captured = capsys.readouterr()
    return int(stop.value.code or 0), captured.out, captured.err


def test_a_city_whose_cells_are_all_alike_gives_a_run_with_the_baselines_that_need_no_features(by_hand: Workers) -> None:
    """One bar in the middle of every cell: what reads features is left out, which the run keeps as a sentence."""
    city = grid_city(6, 8)
    bars = {"poi_id": [f"bar-{row}" for row in range(48)], "category": ["Bar"] * 48}
    middle = city.spatial("cells").geometry.representative_point()
    pois = gpd.GeoDataFrame(pd.DataFrame(bars, dtype="str"), geometry=list(middle), crs="EPSG:4326")
    saved = city.replace(pois=pois).save()
    run_id = submit(RunRequest(model="lmemr", city=saved.name, preset="tiny", config=QUICK))
    assert by_hand(run_id) == 0, Run.open(run_id).log_tail(30)
    run = Run.open(run_id)
    assert set(run.table("metrics")["predictor"]) == {"lmemr", "hourly_mean", "spatial_neighbours", "inverse_distance"}
    warned = run.table("warnings").set_index("name").loc["baselines left out"]
    assert warned["fired"] and warned["value"] == len(CURVE_BASELINES) - 3 and "Bring imagery" in warned["meaning"]


def test_from_the_request_to_the_curve_of_a_cell(by_hand: Workers, own_home, tiny_city, capsys, monkeypatch) -> None:
    # Fitting all baselines is what their own tests do; the cheap ones show that the run measures them.
    from engine.models.baselines import curves

    cheap = ("hourly_mean", "spatial_neighbours", "ridge")
    few = {name: curves.CURVE_BASELINES[name] for name in (*cheap, "described_trend")}
    monkeypatch.setattr(curves, "CURVE_BASELINES", few)
    city = tiny_city.save()
    run_id = submit(RunRequest(model="lmemr", city=city.name, preset="tiny", config=QUICK, split=CellSplit(seed=1)))
    assert by_hand(run_id) == 0, Run.open(run_id).log_tail(30)
    run = Run.open(run_id)
    assert set(run.tables()) >= {"predictions", "metrics", "warnings", "bins", "reliability", "alignment"}
    metrics = run.table("metrics")
    assert set(metrics["predictor"]) == {"lmemr", *cheap}
    left_out = run.table("warnings").set_index("name").loc["baselines left out"]
    assert not left_out["fired"] and left_out["value"] == 1 and "mobiscope caption --trend" in left_out["meaning"]
    overall = metrics[(metrics["predictor"] == "lmemr") & (metrics["slice"] == "all")].set_index("metric")["value"]
    assert run.summary.headline["r2"] == pytest.approx(overall["r2"]) and "mae" in run.summary.headline

    # The loaded model answers what the table says.
    loaded = run.load()
    cells = build_cell_samples(tiny_city, CellSplit(seed=1))
    np.testing.assert_array_equal(loaded.data.cells.part, cells.part)
    own = run.table("predictions").query("predictor == 'lmemr'")
    flow = loaded.model.predict_curves(loaded.data.inputs, loaded.data.cells).flow
    np.testing.assert_allclose(own["predicted"].to_numpy().reshape(flow.shape), flow, rtol=1e-5)

    # And so does the command line.
    cell = str(cells.cell_ids[3])
    code, out, _ = _mobiscope(capsys, "predict", run_id, "--cell", cell, "--json")
    answer = json.loads(out)
    assert code == 0 and answer["cell"] == cell and len(answer["hours"]) == 24
    assert [hour["predicted"] for hour in answer["hours"]] == pytest.approx(flow[3].tolist(), rel=1e-5)
    code, out, _ = _mobiscope(capsys, "predict", run_id, "--cell", cell)
    assert code == 0 and "80 % interval" in out
    for words, sentence in (([], "Name a cell with --cell"), (["--cell", "nowhere"], "There is no cell 'nowhere'")):
        code, _, err = _mobiscope(capsys, "predict", run_id, *words)
        assert code == 1 and sentence in err.replace("\n", " ")
    code, out, _ = _mobiscope(capsys, "evaluate", run_id, "--slice", "part")
    assert code == 0 and "R² (log scale)" in out and "part: test" in out
    code, out, _ = _mobiscope(capsys, "runs")
    assert code == 0 and "R²" in out
    code, out, _ = _mobiscope(capsys, "runs", "show", run_id)
    assert code == 0 and "--split seed=1" in out and "kind=" not in out

    # A what-if measured on the test cells begins with what the run's own table says of them.
    scenario = own_home / "scenario.json"
    scenario.write_text(Scenario(name="No places", edits=(DropModality(modality="poi", cell_id=cell),)).to_json())
    whatif = ("whatif", scenario, "--run", run_id, "--metrics")
    code, out, _ = _mobiscope(capsys, *whatif, "--json")
    assert code == 0
    before = {row["metric"]: row["before"] for row in json.loads(out)["metrics"]}
    assert before["r2"] == pytest.approx(overall["r2"])
    code, out, _ = _mobiscope(capsys, *whatif)
    assert code == 0 and "R² (log scale)" in out
    probe, entry = "head.probability", loaded.model.entry_names("head.probability")[4]
    edits = (TakeHour(hour=8, as_hour=18), OverrideProbe(probe=probe, action="silence", index=4, entry=entry))
    mechanism = own_home / "mechanism.json"
    mechanism.write_text(Scenario(name="Another evening", edits=edits).to_json())
    code, out, _ = _mobiscope(capsys, "whatif", mechanism, "--run", run_id, "--json")
    answer = json.loads(out)
    assert code == 0 and answer["changed"] == len(cells)
    for told in answer["cells"]:
        assert told["hours_after"][8] == pytest.approx(told["hours_after"][18], rel=1e-5)
    code, out, _ = _mobiscope(capsys, "whatif", mechanism, "--run", run_id)
    assert code == 0 and "read 08 h as if it were 18 h; let “" in " ".join(out.split())
    assert "count for nothing in head.probability" in " ".join(out.split())
    code, _, err = _mobiscope(capsys, *whatif, "--slice", "hour")
    assert code == 1 and "leave --slice" in err
