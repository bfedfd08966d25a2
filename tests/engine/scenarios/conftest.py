"""A town of five places, two people who alternate between two of them, and a predictor that can be worked by hand."""

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
from shapely import Point

from engine.city.city import City
from engine.city.samples import Histories, Samples, VisitLog, build_samples
from engine.city.splits import Split
from engine.models.answers import Prediction


class CountsInWindow:
    """Probability of a place is its share of the history plus a pinch for every place; sees nothing else."""

    name, title = "counts", "Counts in the window"

    def predict(self, histories: Histories) -> Prediction:
        scores = np.full((len(histories), len(histories.places)), 0.01)
        owner = np.repeat(np.arange(len(histories)), histories.lengths)
        np.add.at(scores, (owner, histories.location), 1.0)
        return Prediction(np.log(scores / scores.sum(axis=1, keepdims=True)).astype(np.float32))


@pytest.fixture
def town() -> City:
    """Places a..e stand 0.01° apart. For 60 days `p` is at a, then b (and c on Sundays); `q` at a, then d."""
    ids = list("abcde")
    locations = gpd.GeoDataFrame(
        {"location_id": ids, "category": ["Home", "Office", "Park", "Office", "Bar"], "name": [name.upper() for name in ids]},
        geometry=[Point(10 + 0.01 * step, 50) for step in range(5)],
        crs="EPSG:4326",
    )
    start = pd.Timestamp("2024-01-01", tz="Europe/Berlin")
    rows = []
    for day in range(60):
        morning = start + pd.Timedelta(days=day)
        rows.append(("p", "a", morning + pd.Timedelta(hours=8)))
        rows.append(("p", "b", morning + pd.Timedelta(hours=18)))
        if morning.weekday() == 6:
            rows.append(("p", "c", morning + pd.Timedelta(hours=21)))
        rows.append(("q", "a", morning + pd.Timedelta(hours=9)))
        rows.append(("q", "d", morning + pd.Timedelta(hours=19)))
    visits = pd.DataFrame(rows, columns=["user_id", "location_id", "started_at"])
    visits["started_at"] = visits["started_at"].dt.tz_convert("UTC")
    return City.build("Town", {"visits": visits, "locations": locations}, time_zone="Europe/Berlin")


@pytest.fixture
def samples(town: City) -> Samples:
    return build_samples(VisitLog.of(town, Split()))


@pytest.fixture
def counts() -> CountsInWindow:
    return CountsInWindow()
