"""Slices put each sample where its definition says, count on the training part only, and never lose a sample."""

import numpy as np
import pandas as pd
import pytest

from engine.city.samples import VisitLog, build_samples
from engine.evaluation.slices import CATEGORIES, DECILES, SLICES, slice_labels
from tests.engine.small_cities import PUBLISHED, city_of, log_of, random_city


def labels(city, name: str, split=PUBLISHED) -> list:
    samples = build_samples(log_of(city, split)).of_part("test")
    return list(slice_labels(samples, city)[name].astype(object))


def test_every_slice_has_a_column_with_one_group_per_sample() -> None:
    city = random_city()
    samples = build_samples(log_of(city)).of_part("test")
    found = slice_labels(samples, city)
    assert list(found) == list(SLICES) and len(found) == len(samples)
    for name in found:
        assert SLICES[name].title and SLICES[name].meaning
        if name != "weather":
            assert found[name].notna().all(), f"{name} loses samples"
    assert found["weather"].isna().all(), "the city has no weather: no sample is in a group"


def test_popularity_deciles_follow_training_visits_and_keep_equals_together() -> None:
    # Ten places with 1 to 10 training visits are one decile each; n was never visited in training.
    letters = "abcdefghij"
    rows = [
        ("u0", letter, str(pd.Timestamp("2024-01-01") + pd.Timedelta(hours=100 * index + visit)), "train")
        for index, letter in enumerate(letters)
        for visit in range(index + 1)
    ]
    tested = [("u0", letter, f"2024-06-{day:02d}", "test") for day, letter in enumerate("a" + letters + "n", start=1)]
    found = labels(city_of(rows + tested), "popularity")
    assert found == [f"decile {index}" for index in range(1, 11)] + ["not in training"]
    equal = [("u0", letter, f"2024-01-{day:02d}", "train") for day, letter in enumerate(letters, start=1)]
    assert set(labels(city_of(equal + tested), "popularity")) == {"decile 6", "not in training"}, "all ten share the middle rank"


def test_training_visits_are_binned_as_written() -> None:
    counts = {"a": 1, "b": 5, "c": 6, "d": 20, "e": 21, "f": 50, "g": 51}
    moments = iter(pd.date_range("2023-01-01", periods=sum(counts.values()), freq="h"))
    rows = [("u0", letter, str(next(moments)), "train") for letter, count in counts.items() for _ in range(count)]
    tested = [("u0", letter, f"2024-06-{day:02d}", "test") for day, letter in enumerate("aabcdefgn", start=1)]
    assert labels(city_of(rows + tested), "training_visits") == ["1–5", "1–5", "6–20", "6–20", "21–50", "21–50", "over 50", "0"]


ROWS = [
    *[("u0", letter, f"2024-01-{day:02d}", "train") for day, letter in enumerate("aabbh", start=1)],
    *[("u0", letter, f"2024-03-{day:02d}", "test") for day, letter in enumerate("abnahb", start=1)],
]
HIDING = PUBLISHED.model_copy(update={"hidden_locations": ("h",), "history_days": 2})
"""Targets of the test part are b n a h b, each with at most the two visits before it as history."""


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("new_as_target", ["known target", "new target", "known target", "new target", "known target"]),
        (
            "new_in_history",
            ["known places only", "known places only", "new place in history", "new place in history", "new place in history"],
        ),
        ("hidden", ["clean", "clean", "clean", "target", "history"]),
        ("explore", ["explore", "explore", "explore", "explore", "explore"]),
    ],
)
def test_new_and_hidden_places(name: str, expected: list[str]) -> None:
    assert labels(city_of(ROWS), name, HIDING) == expected


def test_a_return_is_a_target_inside_its_own_window() -> None:
    rows = [("u0", letter, f"2024-03-{day:02d}", "test") for day, letter in enumerate("abaacb", start=1)]
    # Windows of two days: b after a; a after ab; a after ba; c after aa; b after ac.
    assert labels(city_of(rows), "explore", PUBLISHED.model_copy(update={"history_days": 2})) == [
        "explore",
        "return",
        "return",
        "explore",
        "explore",
    ]


def test_users_are_divided_by_their_training_visits() -> None:
    rows = [(f"u{user}", "a", f"2024-01-{day:02d}", "train") for user in range(1, 5) for day in range(1, 1 + 3 * user)]
    rows += [(f"u{user}", "a", f"2024-03-{day:02d}", "test") for user in range(5) for day in (1, 2)]
    assert labels(city_of(rows), "cold_user") == [
        "not in training",
        "least known quarter",
        "second quarter",
        "third quarter",
        "best known quarter",
    ]


def test_hour_and_weekday_are_local() -> None:
    # 03:30 UTC on Monday 4 March 2024 is 22:30 on Sunday in New York.
    rows = [("u0", "a", "2024-03-03 20:00+00:00", "test"), ("u0", "a", "2024-03-04 03:30+00:00", "test")]
    city = city_of(rows, time_zone="America/New_York")
    assert labels(city, "hour") == ["22"] and labels(city, "weekday") == ["Sunday"]


def weather_city(weather: pd.DataFrame):
    rows = [("u0", "a", f"2024-03-{day:02d} 20:00", "test") for day in range(1, 6)]
    return city_of(rows, time_zone="America/New_York", weather=weather)


def test_weather_is_that_of_the_local_day() -> None:
    # 20:00 in New York is the next day in UTC: the rain of the 3rd belongs to the visit of the 3rd.
    weather = pd.DataFrame({"date": pd.date_range("2024-03-01", periods=4), "precipitation_mm": [0.0, 4.9, 5.0, np.nan]})
    assert labels(weather_city(weather), "weather") == ["normal", "bad", np.nan, np.nan], (
        "the 4th is unknown, the 5th not in the table"
    )


def test_a_condition_counts_before_precipitation() -> None:
    weather = pd.DataFrame(
        {
            "date": pd.date_range("2024-03-01", periods=5),
            "precipitation_mm": [0, np.nan, 12.0, 0.2, 12.0],
            "condition": ["clear", "Heavy snow", "clear", "light rain", None],
        }
    )
    assert labels(weather_city(weather), "weather") == ["bad", "normal", "bad", "bad"]


@pytest.mark.parametrize(
    ("condition", "group"),
    [
        ("Clear, no rain", "normal"),
        ("Dry, without rain or heavy snow", "normal"),
        ("no rain/snow", "normal"),
        ("Rain-free", "normal"),
        ("not bad", "normal"),
        ("Trains delayed, terrain wet", "normal"),
        ("No wind, rain", "bad"),
        ("no snow but heavy rain", "bad"),
        ("RAINY", "bad"),
        ("Thunderstorms", "bad"),
        ("light drizzle", "bad"),
        ("sandstorm", "bad"),
        ("bad", "bad"),
    ],
)
def test_a_condition_is_bad_by_whole_words_that_are_not_denied(condition: str, group: str) -> None:
    weather = pd.DataFrame({"date": pd.date_range("2024-03-02", periods=1), "condition": [condition]})
    assert labels(weather_city(weather), "weather")[0] == group


def test_distances_from_the_last_visit() -> None:
    # Places a b c ... lie 844 m apart.
    rows = [("u0", letter, f"2024-03-{day:02d}", "test") for day, letter in enumerate("aabdap", start=1)]
    assert labels(city_of(rows, places="abcdefghijklmnop"), "distance") == [
        "same place",
        "0.5–1 km",
        "1–2 km",
        "2–5 km",
        "over 10 km",
    ]


def test_categories_are_roots_where_there_are_roots_and_the_rest_is_other() -> None:
    letters = [chr(97 + index) for index in range(CATEGORIES + 2)]
    moments = iter(pd.date_range("2023-01-01", periods=1000, freq="h"))
    rows = [("u0", letter, str(next(moments)), "train") for index, letter in enumerate(letters) for _ in range(40 - index)]
    tested = [("u0", letter, f"2024-06-{day:02d}", "test") for day, letter in enumerate(["a", "a", *letters[-3:]], start=1)]
    city = city_of(rows + tested)
    assert labels(city, "category") == ["category a", "category t", "other", "other"]
    roots = city.table("locations").assign(parent_category=["Food" if index % 2 else "" for index in range(len(letters))])
    assert set(labels(city.replace(locations=roots), "category")) == {"Food", "unknown"}


def test_groups_without_a_sample_are_still_declared() -> None:
    city = city_of(ROWS)
    samples = build_samples(log_of(city)).of_part("test")
    found = slice_labels(samples, city)
    assert list(found["popularity"].cat.categories) == list(DECILES)
    assert len(found["hour"].cat.categories) == 24


def test_what_slices_count_comes_from_the_training_part_alone() -> None:
    city = random_city()
    log = log_of(city)
    samples = build_samples(log).of_part("test")
    before = slice_labels(samples, city)
    generator = np.random.default_rng(0)
    visits = city.table("visits")
    outside = (visits["split"] == "valid").to_numpy()
    places = visits["location_id"].to_numpy(object).copy()
    places[outside] = generator.choice(places, outside.sum())
    changed = city.replace(visits=visits.assign(location_id=places))
    again = VisitLog.of(changed, PUBLISHED)
    pd.testing.assert_frame_equal(slice_labels(build_samples(again).of_part("test"), changed), before)


def test_no_samples_give_no_rows() -> None:
    city = random_city()
    nothing = build_samples(log_of(city))[np.zeros(0, int)]
    assert slice_labels(nothing, city).shape == (0, len(SLICES))
