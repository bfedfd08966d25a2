"""Trips between cells: nothing is lost, functions keep their hours, and neighbours matter."""

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import RidgeCV
from sklearn.model_selection import KFold, cross_val_predict

from engine.city.city import City
from engine.city.schema import HOURS
from engine.city.synthetic.buildings import FLOOR_M, raise_buildings
from engine.city.synthetic.cells import cut_cells
from engine.city.synthetic.flows import exchange, make_flows
from engine.city.synthetic.layout import lay_out
from engine.city.synthetic.plan import TINY

HOUR_COLUMNS = list(HOURS)


WET = "weekday in bad weather"


def by_function(city: City, day_type: str) -> pd.DataFrame:
    """(function, hour) mean outflow."""
    truth, flows = city.table("truth"), city.table("outflow")
    function = truth[truth["subject"] == "cell"].set_index("subject_id")["zone_function"]
    flows = flows[flows["day_type"] == day_type].set_index("cell_id")[HOUR_COLUMNS]
    curves = flows.groupby(function.reindex(flows.index).to_numpy()).mean()
    curves.columns = range(24)
    return curves


def test_what_leaves_arrives_at_every_hour(demo_city: City):
    totals = [demo_city.table(table).groupby("day_type")[HOUR_COLUMNS].sum() for table in ("outflow", "inflow")]
    np.testing.assert_allclose(totals[0], totals[1], rtol=1e-4)


def test_every_cell_has_every_day_type_and_no_negative_trip(demo_city: City):
    cells = demo_city.table("cells")["cell_id"]
    for table in ("outflow", "inflow"):
        flows = demo_city.table(table)
        assert flows["day_type"].value_counts().to_dict() == dict.fromkeys(("all", "weekday", "weekend", WET), len(cells))
        assert set(flows["cell_id"]) == set(cells)
        assert np.isfinite(flows[HOUR_COLUMNS]).all(axis=None) and (flows[HOUR_COLUMNS] >= 0).all(axis=None)


def test_an_average_day_is_five_weekdays_and_two_weekend_days(demo_city: City):
    flows = demo_city.table("outflow").set_index(["day_type", "cell_id"])[HOUR_COLUMNS]
    expected = (5 * flows.loc["weekday"] + 2 * flows.loc["weekend"]) / 7
    np.testing.assert_allclose(flows.loc["all"], expected.loc[flows.loc["all"].index], atol=0.002)


def test_bad_weather_empties_the_open_air_and_keeps_people_near(demo_city: City):
    fair, wet = (by_function(demo_city, day).sum(axis=1) for day in ("weekday", WET))
    assert wet["park"] < 0.5 * fair["park"] and wet["seafront"] < 0.6 * fair["seafront"]
    assert wet["business"] > 0.85 * fair["business"]
    assert wet.sum() < fair.sum()


def test_functions_leave_at_their_hours(demo_city: City):
    weekday, weekend = by_function(demo_city, "weekday"), by_function(demo_city, "weekend")
    assert weekday.loc["residential"].idxmax() in (6, 7, 8)
    assert weekend.loc["residential"].idxmax() >= 9
    assert weekday.loc["business"].idxmax() in (16, 17, 18)
    assert weekday.loc["nightlife"].idxmax() in (21, 22, 23)
    assert weekday.loc["industry"].idxmax() in (14, 21, 22)
    assert weekend.loc["business"].sum() < 0.4 * weekday.loc["business"].sum()
    assert weekend.loc["shopping"].sum() > weekday.loc["shopping"].sum()


def test_flows_spread_over_orders_of_magnitude(demo_city: City):
    """Like real cities: a quiet rim, a busy middle."""
    daily = demo_city.table("outflow").query("day_type == 'all'")[HOUR_COLUMNS].mean(axis=1)
    assert 15 < daily.median() < 200
    assert daily.quantile(0.95) > 20 * daily.quantile(0.1)


def test_neighbours_explain_what_the_own_cell_cannot(demo_city: City):
    """Floor area and ground by function of the cell alone against the same with the mean of its surroundings, cross-validated."""
    cells, truth = demo_city.metric("cells"), demo_city.table("truth")
    function = truth[truth["subject"] == "cell"].set_index("subject_id")["zone_function"]
    buildings = demo_city.metric("buildings")
    buildings = buildings.assign(floor=buildings.area * np.maximum(1, np.round(buildings["height_m"] / FLOOR_M)))
    inside = buildings.set_geometry(buildings.geometry.centroid).sjoin(cells[["cell_id", "geometry"]], predicate="within")
    floor = inside.groupby("cell_id")["floor"].sum().reindex(cells["cell_id"], fill_value=0)
    dummies = pd.get_dummies(function.reindex(cells["cell_id"])).to_numpy(float)
    own = np.hstack([dummies, dummies * np.log1p(floor.to_numpy())[:, None]])
    middle = cells.geometry.centroid.get_coordinates().to_numpy()
    away = np.hypot(*(middle[:, None] - middle[None]).T)
    near = (away > 0) & (away < 1_100)
    around = near @ own / near.sum(1, keepdims=True)
    flows = demo_city.table("outflow").query("day_type == 'weekday'").set_index("cell_id").reindex(cells["cell_id"])
    target = np.log1p(flows[HOUR_COLUMNS].to_numpy())

    folds = KFold(5, shuffle=True, random_state=0)

    def unexplained(features: np.ndarray) -> float:
        predicted = cross_val_predict(RidgeCV(np.logspace(-3, 3, 13)), features, target, cv=folds)
        return float(((target - predicted) ** 2).sum() / ((target - target.mean(0)) ** 2).sum())

    assert unexplained(np.hstack([own, around])) < 0.8 * unexplained(own)


def test_a_new_attraction_is_felt_nearby_more_than_far_away():
    """Ten times the floor area in one cell changes the outflow of its neighbours more than that of distant cells."""
    layout = lay_out(TINY, np.random.default_rng(3))
    buildings, cells = raise_buildings(layout, np.random.default_rng(4)), cut_cells(layout, np.empty(0), np.empty(0))
    here = cells.containing(buildings.x, buildings.y)
    chosen = np.bincount(here[here >= 0]).argmax()
    grown = np.where(here == chosen, 10, 1) * buildings.floor_area_m2
    before = make_flows(layout, buildings, cells, np.random.default_rng(0)).outflow.sum((0, 2))
    changed = type(buildings)(**{**buildings.__dict__, "floor_area_m2": grown})
    after = make_flows(layout, changed, cells, np.random.default_rng(0)).outflow.sum((0, 2))
    away = np.hypot(cells.west - cells.west[chosen], cells.south - cells.south[chosen])
    change = after / before
    assert change[(away > 0) & (away < 800)].mean() > 1.1 * change[away > 1_400].mean()
    assert change[chosen] == change.max()


def test_exchange_is_for_others_and_fades_with_distance():
    cells = cut_cells(lay_out(TINY, np.random.default_rng(3)), np.empty(0), np.empty(0))
    kernel = exchange(cells)
    away = np.hypot(cells.west[:, None] - cells.west, cells.south[:, None] - cells.south)
    assert (np.diag(kernel) == 0).all() and (kernel == kernel.T).all()
    assert kernel[away == 500].min() > kernel[away == 1_000].max() > 0
    assert kernel[away == 500][0] == pytest.approx(np.exp(-500 / 750))
