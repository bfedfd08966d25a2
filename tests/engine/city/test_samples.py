"""Samples follow rules 4 and 5 of specs/calliper.md §2; hidden places stay out of training; local time is local."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.city.city import City
from engine.city.samples import Places, VisitLog, _stand_ins, build_samples
from engine.city.splits import PARTS, Split
from engine.errors import CityError
from tests.engine.small_cities import city_of, log_of, random_city

RULES = Split(kind="published")
LOOSE = Split(kind="published", warm_up_days=0, minimum_history=1)


def days(user: str, *visits: tuple[int, str], part: str = "train") -> list[tuple[str, str, str, str]]:
    """Visits of one user at noon of the numbered days, from 1 January 2024; several on a day are an hour apart."""
    rows = []
    for index, (day, place) in enumerate(visits):
        moment = pd.Timestamp("2024-01-01 12:00") + pd.Timedelta(days=day, minutes=index)
        rows.append((user, place, str(moment), part))
    return rows


def targets(city: City, split: Split = RULES) -> list[tuple[str, int]]:
    """Who and on which day (0 = the first) each sample is about."""
    samples = build_samples(log_of(city, split))
    return [(str(samples.log.users[samples.log.user[t]]), int(samples.log.day[t])) for t in samples.target]


def test_a_target_on_day_seven_with_three_visits_before_is_the_first_sample() -> None:
    city = city_of(days("ann", (0, "a"), (1, "b"), (2, "a"), (6, "a"), (7, "c")))
    assert targets(city) == [("ann", 7)]


def test_day_six_is_still_warm_up_although_its_history_is_long_enough() -> None:
    city = city_of(days("ann", (0, "a"), (1, "b"), (2, "a"), (3, "c"), (6, "b")))
    assert targets(city) == []


def test_two_visits_in_the_window_are_too_few() -> None:
    city = city_of(days("ann", (0, "a"), (5, "b"), (6, "a"), (8, "c")))
    assert targets(city) == []


def test_the_day_seven_days_before_the_target_is_inside_the_window_and_the_day_before_it_is_not() -> None:
    inside = city_of(days("ann", (0, "x"), (3, "a"), (5, "b"), (9, "c"), (10, "d")))
    assert targets(inside) == [("ann", 10)]
    outside = city_of(days("ann", (0, "x"), (2, "a"), (5, "b"), (9, "c"), (10, "d")))
    assert targets(outside) == []


def test_the_history_is_exactly_the_window_oldest_first() -> None:
    city = city_of(days("ann", (0, "x"), (1, "y"), (3, "a"), (5, "b"), (9, "c"), (10, "d")))
    samples = build_samples(log_of(city, RULES))
    batch = samples.histories()
    assert [samples.log.places.ids[place] for place in batch.location] == ["a", "b", "c"]
    assert samples.log.places.ids[batch.target[0]] == "d"
    assert batch.lengths.tolist() == [3] and batch.last.tolist() == [2]


def test_histories_have_no_longest_length() -> None:
    city = city_of(days("ann", (0, "a"), *[(7, "b")] * 300, (8, "c")))
    samples = build_samples(log_of(city, RULES))
    assert samples.lengths.max() == 300, "the last visit sees all 300 before it; day 0 is out of its window"


def test_history_never_crosses_from_one_part_into_another() -> None:
    train = days("ann", *[(day, "a") for day in range(20)])
    test = days("ann", *[(day, "b") for day in range(20, 30)], part="test")
    samples = build_samples(log_of(city_of(train + test), RULES))
    tested = samples.of_part("test")
    assert tested.log.day[tested.target].tolist() == [27, 28, 29], "the first week of the part is only history"
    assert set(tested.histories().location) == {samples.log.places.index["b"]}


def test_history_never_crosses_from_one_user_to_another() -> None:
    city = city_of(days("ann", (0, "a"), (8, "a")) + days("bob", (0, "b"), (7, "b"), (8, "b")))
    assert targets(city) == []


def test_visits_in_the_same_minute_keep_the_order_of_the_table() -> None:
    moment = "2024-01-01 12:00"
    log = log_of(city_of([("ann", place, moment, "train") for place in "cab"]))
    assert [log.places.ids[place] for place in log.location] == ["c", "a", "b"]
    assert log.row.tolist() == [0, 1, 2]


def test_local_days_and_minutes_follow_the_clock_across_the_spring_change() -> None:
    # New York put the clock from 02:00 EST to 03:00 EDT on 11 March 2012: 06:30 and 07:30 UTC are 01:30 and 03:30.
    rows = [("ann", "a", f"2012-03-11 {time}+00:00", "train") for time in ("04:30", "06:30", "07:30")]
    log = log_of(city_of(rows, time_zone="America/New_York"))
    assert log.minute.tolist() == [23 * 60 + 30, 90, 210]
    assert log.day.tolist() == [0, 1, 1]
    assert log.weekday.tolist() == [5, 6, 6], "Saturday, then twice Sunday"


def test_the_hour_that_comes_twice_in_autumn_stays_in_the_order_it_happened() -> None:
    # 4 November 2012: 05:30 UTC is 01:30 EDT and 06:30 UTC is 01:30 EST.
    rows = [("ann", "b", "2012-11-04 06:30+00:00", "train"), ("ann", "a", "2012-11-04 05:30+00:00", "train")]
    log = log_of(city_of(rows, time_zone="America/New_York"))
    assert log.minute.tolist() == [90, 90]
    assert [log.places.ids[place] for place in log.location] == ["a", "b"]


def test_a_week_with_a_clock_change_still_counts_seven_calendar_days() -> None:
    # In UTC the visit of 4 March lies 6 days and 23 hours before the target; by the calendar it is day 7 before.
    local = ["2012-03-04 12:00", "2012-03-08 12:00", "2012-03-10 12:00", "2012-03-11 12:00"]
    city = city_of([("ann", "a", time, "train") for time in local], time_zone="America/New_York")
    assert len(build_samples(log_of(city, RULES))) == 1


def test_hidden_places_leave_training_and_validation_but_stay_in_the_test_part() -> None:
    rows = [
        row
        for part, first in (("train", 0), ("valid", 40), ("test", 80))
        for row in days("ann", *[(first + day, "h" if day == 8 else "a") for day in range(20)], part=part)
    ]
    split = Split(kind="published", hidden_locations=("h",))
    log = log_of(city_of(rows), split)
    samples = build_samples(log)
    first_day = {"train": 0, "valid": 40, "test": 80}
    found = {part: (log.day[samples.of_part(part).target] - first).tolist() for part, first in first_day.items()}
    assert found["train"] == found["valid"] == [7, 16, 17, 18, 19], "day 8 is the hidden target; days 9 to 15 still see it"
    assert found["test"] == list(range(7, 20))
    assert log.hidden.sum() == 1 and not log.seen[log.places.index["h"]]
    assert log.visits_in_training[log.places.index["h"]] == 0
    assert log.places.index["h"] not in log.location[log.training()]
    assert len(log.training()) == 19


def test_a_share_of_hidden_places_is_drawn_from_training_places_by_the_seed_alone() -> None:
    city = random_city(places=40)
    first = VisitLog.of(city, Split(kind="published", hidden_share=0.25, seed=1))
    again = VisitLog.of(city, Split(kind="published", hidden_share=0.25, seed=1))
    other = VisitLog.of(city, Split(kind="published", hidden_share=0.25, seed=2))
    plain = VisitLog.of(city, Split(kind="published"))
    assert first.hidden.sum() == int(0.25 * plain.seen.sum())
    assert plain.seen[first.hidden].all(), "only places of the training part can be hidden from it"
    assert (first.hidden == again.hidden).all() and (first.hidden != other.hidden).any()


def test_places_are_projected_to_metres() -> None:
    places = Places.of(city_of([("ann", "a", "2024-01-01"), ("ann", "b", "2024-01-01")]))
    assert np.hypot(*np.diff([places.x, places.y])[:, 0]) == pytest.approx(844, abs=3), "0.01 degrees of longitude at 40.7 north"


def test_a_visit_to_a_place_the_city_does_not_have_is_refused_with_a_sentence() -> None:
    city = city_of([("ann", "a", "2024-01-01"), ("ann", "b", "2024-01-02")])
    broken = city.replace(locations=city.table("locations").iloc[:1])
    with pytest.raises(CityError, match="refers to a location the city does not have"):
        VisitLog.of(broken, Split())


def test_a_city_without_visits_is_refused_with_a_sentence() -> None:
    city = city_of([("ann", "a", "2024-01-01")])
    with pytest.raises(CityError, match="has no visits"):
        VisitLog.of(city.replace(visits=None), Split())


def test_choosing_samples_and_packing_them_agree() -> None:
    samples = build_samples(log_of(random_city(), LOOSE))
    chosen = np.array([5, 3, 11])
    batch = samples.histories(chosen)
    for position, index in enumerate(chosen):
        window = slice(samples.start[index], samples.target[index])
        packed = slice(batch.offsets[position], batch.offsets[position + 1])
        assert (batch.location[packed] == samples.log.location[window]).all()
        assert (batch.minute[packed] == samples.log.minute[window]).all()
    assert (batch.target == samples.true_location[chosen]).all()


moments = st.tuples(st.integers(0, 2), st.integers(0, 3), st.integers(0, 40 * 24), st.integers(0, 2))


@settings(max_examples=60, deadline=None)
@given(
    st.lists(moments, min_size=1, max_size=60),
    st.integers(1, 9),
    st.integers(1, 4),
    st.integers(0, 9),
    st.sampled_from([(), ("p0",), ("p1", "p3")]),
)
def test_samples_are_what_the_rule_says_for_any_visits(
    visits: list[tuple[int, int, int, int]], history_days: int, minimum: int, warm_up: int, hidden: tuple[str, ...]
) -> None:
    rows = [
        (f"u{user}", f"p{place}", str(pd.Timestamp("2024-01-01") + pd.Timedelta(hours=hour)), PARTS[part])
        for user, place, hour, part in visits
    ]
    split = Split(
        kind="published", history_days=history_days, minimum_history=minimum, warm_up_days=warm_up, hidden_locations=hidden
    )
    samples = build_samples(VisitLog.of(city_of(rows), split))
    log = samples.log
    expected = []
    for target in range(len(log)):
        earlier = [index for index in range(target) if log.part[index] == log.part[target] and log.user[index] == log.user[target]]
        window = [index for index in earlier if log.day[index] >= log.day[target] - history_days]
        first_day = log.day[earlier[0]] if earlier else log.day[target]
        touches = any(log.places.ids[log.location[index]] in hidden for index in [*window, target])
        if log.day[target] - first_day >= warm_up and len(window) >= minimum and (PARTS[log.part[target]] == "test" or not touches):
            expected.append((window[0], target, touches))
    assert list(zip(samples.start, samples.target, samples.touches_hidden, strict=True)) == expected


def test_a_place_without_a_name_is_called_by_its_category_where_its_id_cannot_be_read() -> None:
    names = _stand_ins(np.array(["cafe", "4e4b34e3814d52398af27a92", "4e4b34e3814d52398af27a93"]), np.array(["Bar", "Gym", ""]))
    assert names.tolist() == ["cafe", "Gym (…f27a92)", "4e4b34e3814d52398af27a93"]
