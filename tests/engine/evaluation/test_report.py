"""The report measures every predictor on every group, loses no sample on the way, and its tables can be kept."""

import json

import numpy as np
import pandas as pd
import pytest

from engine.city.samples import VisitLog, build_samples
from engine.city.splits import Split
from engine.errors import MobiscopeError
from engine.evaluation.metrics import METRICS, summarise
from engine.evaluation.ranking import Answers
from engine.evaluation.report import Evaluation, evaluate
from engine.evaluation.slices import SLICES
from engine.models.baselines import fit_baselines
from tests.engine.evaluation.conftest import Told
from tests.engine.small_cities import PUBLISHED, random_city

NAMES = ["last_place", "window_frequency", "popularity"]
CITY = random_city()


@pytest.fixture(scope="module")
def evaluation() -> Evaluation:
    log = VisitLog.of(CITY, PUBLISHED.model_copy(update={"hidden_share": 0.2}))
    return evaluate(fit_baselines(log, names=NAMES), build_samples(log).of_part("test"), CITY)


def test_the_groups_of_every_slice_add_up_to_all_samples(evaluation: Evaluation) -> None:
    table = evaluation.metrics
    rows = table[(table["predictor"] == "popularity") & (table["metric"] == "acc@1")]
    everything = int(rows.loc[rows["slice"] == "all", "n"].iloc[0])
    assert everything == len(evaluation.answers["popularity"]) > 0
    for name in SLICES:
        total = rows.loc[rows["slice"] == name, "n"].sum()
        assert total == (0 if name == "weather" else everything), f"{name}: {total} of {everything}"


def test_group_means_weighted_by_n_are_the_overall_mean(evaluation: Evaluation) -> None:
    table = evaluation.metrics
    for metric in ("acc@5", "mrr"):
        rows = table[(table["predictor"] == "window_frequency") & (table["metric"] == metric)]
        overall = rows.loc[rows["slice"] == "all", "value"].iloc[0]
        for name in ("popularity", "hour", "category", "hidden", "explore"):
            inside = rows[(rows["slice"] == name) & (rows["n"] > 0)]
            assert (inside["value"] * inside["n"]).sum() / inside["n"].sum() == pytest.approx(overall)


def test_groups_without_a_sample_have_n_zero_and_no_value(evaluation: Evaluation) -> None:
    empty = evaluation.metrics[evaluation.metrics["n"] == 0]
    assert {"weather"} <= set(empty["slice"]) and empty["value"].isna().all()
    with_samples = evaluation.metrics[evaluation.metrics["n"] > 0]
    assert with_samples["value"].notna().all()
    known = with_samples.dropna(subset="low")
    assert len(known) and (known["low"] <= known["high"]).all()


def test_every_predictor_is_measured_in_every_metric_on_every_group(evaluation: Evaluation) -> None:
    table = evaluation.metrics
    assert not table.duplicated(["predictor", "slice", "group", "metric"]).any()
    groups = table[["slice", "group"]].drop_duplicates()
    assert len(table) == len(NAMES) * len(groups) * len(METRICS)


def test_the_predictions_table_gives_back_the_answers_of_each_predictor(evaluation: Evaluation) -> None:
    frame = evaluation.predictions
    assert list(frame["predictor"].unique()) == NAMES and frame["topk_ids"].map(len).max() <= 20
    places = evaluation.answers["popularity"].places
    back = Answers.from_frame(frame[frame["predictor"] == "popularity"], places)
    for name, estimate in summarise(evaluation.answers["popularity"]).items():
        assert summarise(back)[name] == estimate, name


def test_the_best_baseline_is_the_best_in_that_metric(evaluation: Evaluation) -> None:
    values = {name: evaluation.estimate(name, "acc@5").value for name in NAMES}
    assert evaluation.best_baseline("acc@5") == max(values, key=values.__getitem__)
    distances = {name: evaluation.estimate(name, "distance_mean_m").value for name in NAMES}
    assert evaluation.best_baseline("distance_mean_m") == min(distances, key=distances.__getitem__), "less is better"


def test_a_model_is_never_the_best_baseline() -> None:
    log = VisitLog.of(CITY, PUBLISHED)
    samples = build_samples(log).of_part("test")
    oracle = np.full((len(samples), len(log.places)), -np.inf)
    oracle[np.arange(len(samples)), samples.true_location] = 0
    found = evaluate([Told(oracle, "oracle"), *fit_baselines(log, names=NAMES)], samples, CITY, slices=["hour"])
    assert found.estimate("oracle", "acc@1").value == 1 and found.best_baseline("acc@1") in NAMES
    assert set(found.metrics["slice"]) == {"all", "hour"}
    with pytest.raises(MobiscopeError, match="No baseline was measured"):
        evaluate([Told(oracle, "oracle")], samples, CITY, slices=[]).best_baseline()


def test_the_ceiling_of_a_closed_head_is_the_share_of_targets_it_knows(evaluation: Evaluation) -> None:
    ceilings = evaluation.ceilings.set_index(["slice", "group"])["value"]
    assert ceilings["new_as_target", "new target"] == 0 and ceilings["new_as_target", "known target"] == 1
    assert ceilings["hidden", "target"] == 0 and 0 < ceilings["all", "all"] < 1
    # Popularity answers exactly the training places: its own ceiling is that of a closed head, and bounds its accuracy.
    assert evaluation.estimate("popularity", "ceiling").value == pytest.approx(ceilings["all", "all"])
    table = evaluation.metrics[evaluation.metrics["predictor"] == "popularity"].pivot_table(
        index=["slice", "group"], columns="metric", values="value"
    )
    assert (table["acc@20"] <= table["ceiling"] + 1e-12).all()


def test_records_are_plain_json(evaluation: Evaluation) -> None:
    text = json.dumps(evaluation.to_records(), allow_nan=False)
    assert {record["value"] for record in json.loads(text) if record["n"] == 0} == {None}


def test_tables_survive_parquet(evaluation: Evaluation, tmp_path) -> None:
    evaluation.metrics.to_parquet(tmp_path / "metrics.parquet")
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "metrics.parquet"), evaluation.metrics)
    evaluation.predictions.to_parquet(tmp_path / "predictions.parquet")
    assert len(pd.read_parquet(tmp_path / "predictions.parquet")) == len(evaluation.predictions)


def test_markdown_has_a_row_per_method_and_per_group_with_samples(evaluation: Evaluation) -> None:
    lines = evaluation.to_markdown(("acc@1", "distance_median_m"), ["hidden"], intervals=False).splitlines()
    assert lines[0] == "| method | Acc@1 | Median distance error |" and lines[1] == "|---|---:|---:|"
    value = evaluation.estimate("last_place", "acc@1").value
    assert lines[2].startswith(f"| Last place | {100 * value:.2f} |")
    groups = [line for line in lines if line.startswith(("| clean", "| history", "| target"))]
    assert len(groups) == 3 * len(NAMES)
    assert all(len(line.split("|")) == len(lines[0].split("|")) for line in lines[2:5])


def test_progress_rises_to_the_end() -> None:
    log = VisitLog.of(CITY, PUBLISHED)
    told: list[float] = []
    evaluate(
        fit_baselines(log, names=NAMES),
        build_samples(log).of_part("test"),
        CITY,
        lambda text, share: told.append(share),
        slices=["hour"],
    )
    assert told == sorted(told) and 0 <= told[0] and told[-1] < 1


def test_two_predictors_of_one_name_are_refused() -> None:
    log = VisitLog.of(CITY, PUBLISHED)
    with pytest.raises(MobiscopeError, match="distinct names"):
        evaluate(fit_baselines(log, names=["popularity", "popularity"]), build_samples(log), CITY)


def test_evaluating_no_sample_gives_empty_figures() -> None:
    log = VisitLog.of(CITY, PUBLISHED)
    found = evaluate(fit_baselines(log, names=NAMES), build_samples(log)[np.zeros(0, int)], CITY)
    assert (found.metrics["n"] == 0).all() and found.to_markdown().count("–") == len(NAMES) * 5


def test_the_built_in_city_is_measured_on_every_slice(tiny_city) -> None:
    log = VisitLog.of(tiny_city, Split(hidden_share=0.1))
    found = evaluate(fit_baselines(log), build_samples(log).of_part("test"), tiny_city)
    rows = found.metrics[(found.metrics["predictor"] == "user_markov") & (found.metrics["metric"] == "mrr")]
    occupied = rows[rows["n"] > 0].groupby("slice").size()
    assert set(occupied.index) == {"all", *SLICES}
    assert occupied["explore"] == 2 and occupied["popularity"] >= 3 and occupied["hidden"] >= 2
    # People keep habits, so knowing the person must beat knowing only what is popular; chance would be one in all places.
    assert found.estimate("user_frequency", "acc@5").value > found.estimate("popularity", "acc@5").value > 0
    assert found.estimate("skip_gram", "mrr").value > found.estimate("popularity", "mrr").value, "it must have left its start"
