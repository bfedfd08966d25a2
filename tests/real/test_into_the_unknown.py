"""FSQ-NYC as "Into the Unknown" uses it: sample counts, inductive composition and the training-free table of specs/calliper.md §2, §5."""

from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest

from engine.city.city import City
from engine.city.samples import VisitLog, build_samples
from engine.city.splits import PARTS, Split
from engine.evaluation.metrics import summarise
from engine.evaluation.ranking import answer
from engine.evaluation.slices import slice_labels
from engine.models.baselines import fit_baselines

pytestmark = pytest.mark.real

TABLE = {
    "last_place": {"acc@1": 12.36, "mrr": 12.36, "ndcg@10": 12.36},
    "window_frequency": {"acc@1": 20.54, "acc@5": 51.96, "acc@10": 61.30, "mrr": 33.81, "ndcg@10": 40.20},
    "recency_weighted": {"acc@1": 19.58, "acc@5": 50.27, "acc@10": 60.38, "mrr": 32.62, "ndcg@10": 39.00},
    "window_markov": {"acc@1": 22.50, "acc@5": 54.20, "acc@10": 62.34, "mrr": 35.90, "ndcg@10": 42.12},
}
NEVER_UNKNOWN = {"acc@1": 20.38, "acc@5": 48.44, "acc@10": 55.42}


@pytest.fixture(scope="module")
def folder(real_data: Path) -> Path:
    path = real_data / "fsq_nyc_intotheunknown"
    if not path.is_dir():
        pytest.skip(f"{path} is absent")
    return path


@pytest.fixture(scope="module")
def city(folder: Path) -> City:
    rows = pd.read_csv(folder / "checkins.csv.gz", dtype=str)
    places = rows.drop_duplicates("location_id")
    points = gpd.points_from_xy(places["longitude"].astype(float), places["latitude"].astype(float))
    locations = gpd.GeoDataFrame(
        {"location_id": places["location_id"].to_numpy(), "category": places["category_name"].fillna("").to_numpy()},
        geometry=points,
        crs=4326,
    )
    local = pd.to_datetime(rows["local_time"]).dt.tz_localize("America/New_York", ambiguous=True, nonexistent="shift_forward")
    visits = rows[["user_id", "location_id", "split"]].assign(started_at=local.dt.tz_convert("UTC"))
    return City.build("FSQ-NYC", {"visits": visits, "locations": locations}, time_zone="America/New_York")


@pytest.fixture(scope="module")
def log(city: City) -> VisitLog:
    return VisitLog.of(city, Split(kind="published"))


def test_sample_counts_are_those_of_the_paper(log: VisitLog) -> None:
    samples = build_samples(log)
    assert [len(samples.of_part(part)) for part in PARTS] == [48606, 11510, 12141]
    assert (len(log.users), len(log.places), int(log.seen.sum())) == (535, 4019, 3816)


def test_new_targets_and_returns_are_as_many_as_measured(log: VisitLog, city: City) -> None:
    test = build_samples(log).of_part("test")
    labels = slice_labels(test, city)
    assert (labels["new_as_target"] == "new target").sum() == 1028
    new = test.true_location[~log.seen[test.true_location]]
    assert len(np.unique(new)) == 138
    merged = answer(fit_baselines(log, names=["window_frequency"])[0], test, scoring="parity")
    assert round(100 * summarise(merged)["ceiling"].value, 1) == 66.2, "the target is in the window's history, new places as one"


@pytest.mark.parametrize("name", list(TABLE))
def test_the_training_free_table_is_reproduced_to_the_printed_digits(name: str, log: VisitLog) -> None:
    test = build_samples(log).of_part("test")
    found = summarise(answer(fit_baselines(log, names=[name])[0], test, scoring="parity"))
    assert {metric: round(100 * found[metric].value, 2) for metric in TABLE[name]} == TABLE[name]


def test_the_row_in_which_unknown_is_never_a_hit_is_reproduced(log: VisitLog) -> None:
    test = build_samples(log).of_part("test")
    found = summarise(answer(fit_baselines(log, names=["window_markov"])[0], test, scoring="parity_known"))
    assert {metric: round(100 * found[metric].value, 2) for metric in NEVER_UNKNOWN} == NEVER_UNKNOWN


@pytest.mark.parametrize(
    ("number", "training", "target", "history", "union"),
    [(0, 19234, 1312, 6081, 6315), (1, None, 1152, 5543, 5779), (2, None, 869, 4602, 4841)],
)
def test_inductive_lists_leave_the_samples_counted(
    folder: Path, city: City, number: int, training: int | None, target: int, history: int, union: int
) -> None:
    masked = set(pd.read_csv(folder / f"locs2remove_10pct_{number}.csv", dtype=str)["location_id_num"])
    rows = pd.read_csv(folder / "checkins.csv.gz", dtype=str, usecols=["location_id", "location_id_num"])
    ids = tuple(sorted(set(rows.loc[rows["location_id_num"].isin(masked), "location_id"])))
    log = VisitLog.of(city, Split(kind="published", hidden_locations=ids))
    samples = build_samples(log)
    test = samples.of_part("test")
    if training is not None:
        assert len(samples.of_part("train")) == training
    hidden = slice_labels(test, city)["hidden"].value_counts()
    assert len(test) == 12141 and hidden["target"] == target
    assert hidden["target"] + hidden["history"] == union and hidden["clean"] == 12141 - union
    in_history = [log.hidden[log.location[start:stop]].any() for start, stop in zip(test.start, test.target, strict=True)]
    assert sum(in_history) == history
