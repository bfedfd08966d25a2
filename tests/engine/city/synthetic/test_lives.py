"""What people do: the regularities that models are to discover must be there, and are measured against chance."""

import numpy as np
import pandas as pd

from engine.city.city import City
from engine.city.samples import VisitLog, build_samples
from engine.city.splits import Split
from engine.city.synthetic.people import ROLES

OUTDOOR = ("park", "beach", "sports", "sights", "treat")


def test_nobody_is_in_two_places_at_once(demo_city: City):
    visits = demo_city.table("visits")
    following = visits.groupby("user_id")["started_at"].shift(-1)
    assert (visits["finished_at"] > visits["started_at"]).all()
    assert (visits["finished_at"] <= following)[following.notna()].all()


def test_visits_are_sorted_by_person_and_time_and_lie_in_the_record(demo_city: City):
    visits = demo_city.table("visits")
    assert visits.sort_values(["user_id", "started_at"], kind="stable").index.equals(visits.index)
    weather = demo_city.table("weather")["date"]
    local = visits["started_at"].dt.tz_convert(demo_city.time_zone).dt.tz_localize(None)
    assert local.min() >= weather.min()
    assert local.max() < weather.max() + pd.Timedelta(days=1)


def test_the_record_holds_the_night_the_clocks_go_back(demo_city: City):
    local = demo_city.table("visits")["started_at"].dt.tz_convert(demo_city.time_zone)
    assert local.map(lambda time: time.utcoffset()).nunique() == 2


def test_a_session_is_one_day_of_one_person(demo_city: City):
    visits = demo_city.table("visits")
    assert (visits.groupby("session_id")["user_id"].nunique() == 1).all()
    times = visits.groupby("session_id")["started_at"]
    length = times.max() - times.min()
    assert (length < pd.Timedelta(hours=36)).all()


def test_weekdays_have_a_morning_peak_that_weekends_lack(lives: pd.DataFrame):
    share = lives.groupby("is_weekend")["hour"].value_counts(normalize=True)
    assert share[False].loc[[8, 9]].sum() > 3 * share[True].loc[[8, 9]].sum()
    assert share[False].idxmax() in (8, 9)


def test_weekends_start_and_end_later(lives: pd.DataFrame):
    first = lives[lives["hour"] >= 5].groupby(["user_id", "day", "is_weekend"])["hour"].min().groupby("is_weekend").median()
    assert first[True] >= first[False] + 1
    night = lives["hour"].isin([22, 23, 0, 1, 2]).groupby(lives["is_weekend"]).mean()
    assert night[True] > 1.5 * night[False]


def test_all_roles_are_there_in_their_shares(demo_city: City):
    truth = demo_city.table("truth")
    found = truth.loc[truth["subject"] == "user", "role"].value_counts(normalize=True)
    assert all(abs(found[role.name] - role.share) < 0.01 for role in ROLES)


def test_roles_go_to_zones_of_their_own(lives: pd.DataFrame):
    """The role experts can only find what separates: office workers work among offices, students study on the campus."""
    midday = lives[~lives["is_weekend"] & lives["hour"].between(8, 16)]
    share = pd.crosstab(midday["role"], midday["zone"], normalize="index")
    assert share.loc["office worker", "business"] > 0.5
    assert share.loc["office worker", "business"] > 3 * share.loc["retiree", "business"]
    assert share.loc["student", "campus"] > 0.6
    assert share.loc["shift worker", "industry"] > 5 * share.drop("shift worker")["industry"].max()
    night = lives[lives["hour"].isin([21, 22, 23, 0, 1])]
    after_dark = pd.crosstab(night["role"], night["zone"], normalize="index")
    assert after_dark["nightlife"].drop("tourist").idxmax() == "night owl"


def test_tourists_stay_two_weeks_at_most(lives: pd.DataFrame):
    stay = lives[lives["role"] == "tourist"].groupby("user_id")["day"].agg(lambda days: (days.max() - days.min()).days)
    assert 2 <= stay.min() and stay.max() <= 15


def test_places_have_a_long_tail(demo_city: City):
    locations = demo_city.table("locations")["location_id"]
    count = demo_city.table("visits")["location_id"].value_counts().reindex(locations, fill_value=0).sort_values().to_numpy()
    share = np.cumsum(count) / count.sum()
    gini = 1 + 1 / len(count) - 2 * share.sum() / len(count)
    assert 0.6 < gini < 0.85
    assert 0.3 < np.mean(count < 10) < 0.6
    assert 1 - share[int(0.9 * len(share))] > 0.35


def test_about_a_quarter_of_the_visits_explore(lives: pd.DataFrame):
    new = lives.groupby(["user_id", "location_id"]).cumcount() == 0
    assert 0.18 < new.mean() < 0.32
    assert new.groupby(lives["role"]).mean().idxmax() == "tourist"


def test_one_day_in_ten_is_bad_and_sends_people_inside(demo_city: City, lives: pd.DataFrame):
    weather = demo_city.table("weather").set_index("date")
    bad = weather["precipitation_mm"] > 10
    assert bad.mean() == 0.1
    assert (weather["condition"].isin(["rain", "storm"]) == bad).all()
    outside, on_bad = lives["activity"].isin(OUTDOOR), lives["day"].map(bad)
    assert outside[on_bad].mean() < 0.4 * outside[~on_bad].mean()
    indoors = lives["activity"].isin(["culture", "shopping", "gym"])
    assert indoors[on_bad].mean() > indoors[~on_bad].mean()
    per_day = on_bad.sum() / bad.sum(), (~on_bad).sum() / (~bad).sum()
    assert per_day[0] < per_day[1]


def test_what_comes_next_depends_on_what_came_before(lives: pd.DataFrame):
    """Within one role and hour, the next activity tells more about the last one than under any of twenty shufflings."""
    pairs = lives[["session_id", "role", "activity", "hour"]].copy()
    pairs["next"] = pairs.groupby("session_id")["activity"].shift(-1)
    pairs = pairs[pairs["next"].notna()]
    stratum = pairs.groupby(["role", "hour"]).ngroup().to_numpy()
    last, following = (pd.factorize(pairs[column])[0] for column in ("activity", "next"))

    def information(target: np.ndarray) -> float:
        joint = pd.Series(1, index=pd.MultiIndex.from_arrays([stratum, last, target])).groupby(level=[0, 1, 2]).sum()
        total = joint.groupby(level=0).transform("sum")
        left, right = joint.groupby(level=[0, 1]).transform("sum"), joint.groupby(level=[0, 2]).transform("sum")
        return float((joint / len(target) * np.log(joint * total / (left * right))).sum())

    rng, order = np.random.default_rng(0), np.argsort(stratum, kind="stable")
    chance = []
    for _ in range(20):
        shuffled = following.copy()
        shuffled[order] = following[np.lexsort((rng.random(len(stratum)), stratum))]
        chance.append(information(shuffled))
    assert information(following) > max(chance) + 0.1


def test_the_last_place_tells_more_than_a_persons_favourites(demo_city: City):
    """A person's transitions, learned on the training part, name the next place more often than the person's most visited place."""
    log = VisitLog.of(demo_city, Split())
    samples = build_samples(log).of_part("test")
    train = pd.DataFrame({"user": log.user, "to": log.location, "part": log.part, "last": np.r_[-1, log.location[:-1]]})
    same = np.r_[False, (log.user[1:] == log.user[:-1]) & (log.part[1:] == log.part[:-1])]
    train = train[(train["part"] == 0) & same]
    favourite = train.groupby("user")["to"].agg(lambda places: places.mode().iloc[0])
    transition = train.groupby(["user", "last"])["to"].agg(lambda places: places.mode().iloc[0])
    user, last = log.user[samples.target], log.location[samples.target - 1]
    by_favourite = favourite.reindex(user).to_numpy()
    by_transition = transition.reindex(pd.MultiIndex.from_arrays([user, last])).fillna(pd.Series(by_favourite).median()).to_numpy()
    known = pd.MultiIndex.from_arrays([user, last]).isin(transition.index)
    by_transition = np.where(known, by_transition, by_favourite)
    hits = (by_favourite == samples.true_location).mean(), (by_transition == samples.true_location).mean()
    assert hits[1] > hits[0] + 0.05


def test_some_places_open_on_the_way_and_nobody_was_there_before(demo_city: City, lives: pd.DataFrame):
    truth = demo_city.table("truth")
    opened = truth[truth["opened_on"].notna()].set_index("subject_id")["opened_on"]
    assert 0.03 < len(opened) / demo_city.info.rows["locations"] < 0.07
    visited = lives[lives["location_id"].isin(opened.index)]
    assert (visited["day"] >= visited["location_id"].map(opened)).all()
    assert visited["location_id"].nunique() > 0.8 * len(opened)


def test_the_test_part_holds_places_nobody_trained_on(demo_city: City):
    log = VisitLog.of(demo_city, Split())
    unseen = ~log.seen[build_samples(log).of_part("test").true_location]
    assert 0.01 < unseen.mean() < 0.10
