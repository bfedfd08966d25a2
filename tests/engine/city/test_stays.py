"""Stays and locations by trackintel's definitions, on traces small enough to follow by hand."""

import numpy as np
import pandas as pd

from engine.city.stays import EARTH_RADIUS_M, StayRules, find_locations, find_stays, merge_stays

RULES = StayRules(distance_m=200, minutes=30, gap_minutes=1440, eps_m=20, least_stays=1)
METRE = np.degrees(1 / EARTH_RADIUS_M)


def trace(minutes: list[float], metres_north: list[float], user: int = 0):
    """Points of one person, so many minutes after the start and metres north of the equator."""
    clock = (np.array(minutes) * 60e6).astype(np.int64)
    return np.full(len(minutes), user), clock, np.zeros(len(minutes)), np.array(metres_north) * METRE


def stays_of(minutes: list[float], metres_north: list[float], rules: StayRules = RULES):
    return find_stays(*trace(minutes, metres_north), rules)


def test_a_stay_lasts_from_its_first_point_to_the_first_point_outside() -> None:
    """Within 200 m from minute 0 to 40, gone at minute 50: the stay ends when the person is seen elsewhere."""
    stays, belongs = stays_of([0, 20, 40, 50, 60], [0, 150, 199, 500, 1000])
    assert len(stays) == 1
    assert (stays["started"][0], stays["finished"][0]) == (0, 50 * 60e6)
    assert list(belongs) == [0, 0, 0, -1, -1]
    assert stays["latitude"][0] / METRE == np.mean([0, 150, 199]).round(6) or abs(stays["latitude"][0] / METRE - 116.333) < 0.01


def test_a_pause_shorter_than_half_an_hour_is_no_stay() -> None:
    assert stays_of([0, 10, 29, 40], [0, 0, 300, 600])[0].empty


def test_exactly_half_an_hour_is_a_stay() -> None:
    assert len(stays_of([0, 10, 30, 40], [0, 0, 300, 600])[0]) == 1


def test_the_distance_counts_from_the_first_point_not_from_the_last() -> None:
    """Creeping 90 m every 10 minutes leaves the 200 m after the third step."""
    stays, belongs = stays_of([0, 10, 20, 30, 40, 50], [0, 90, 180, 270, 360, 450])
    assert list(belongs) == [0, 0, 0, -1, -1, -1]
    assert stays["finished"][0] == 30 * 60e6


def test_a_long_silence_ends_what_came_before_without_a_stay() -> None:
    """Silent for two days at the same place: nobody knows where the phone was."""
    stays, _ = stays_of([0, 20, 2 * 1440, 2 * 1440 + 40, 2 * 1440 + 50], [0, 0, 0, 0, 900])
    assert list(stays["started"]) == [2 * 1440 * 60e6]


def test_the_last_place_has_no_end_and_is_no_stay() -> None:
    assert stays_of([0, 60, 120], [0, 0, 0])[0].empty


def test_people_do_not_share_stays() -> None:
    first, second = trace([0, 20, 40], [0, 0, 0], user=0), trace([50, 60, 95], [0, 0, 900], user=1)
    joined = [np.concatenate(parts) for parts in zip(first, second, strict=True)]
    stays, _ = find_stays(*joined, RULES)
    assert list(stays["user"]) == [1]


def test_a_long_stay_of_many_points_is_found_whole() -> None:
    """5,000 points in one place, longer than any search window."""
    stays, belongs = stays_of([*np.arange(5000) / 10, 501], [0] * 5000 + [1000])
    assert len(stays) == 1
    assert stays["points"][0] == 5000
    assert (belongs[:5000] == 0).all()


def test_locations_are_clusters_of_stays_within_twenty_metres() -> None:
    stays = pd.DataFrame({"longitude": [0.0] * 4, "latitude": np.array([0, 15, 1000, 30]) * METRE})
    assert list(find_locations(stays, RULES)) == [0, 0, 1, 0]


def test_a_stay_with_too_few_neighbours_has_no_location() -> None:
    stays = pd.DataFrame({"longitude": [0.0] * 3, "latitude": np.array([0, 15, 1000]) * METRE})
    assert list(find_locations(stays, StayRules(least_stays=2))) == [0, 0, -1]


def test_stays_a_minute_apart_at_one_location_become_one() -> None:
    minute = 60_000_000
    stays = pd.DataFrame(
        {
            "user": [0, 0, 0, 0, 1],
            "location": [7, 7, 7, 8, 8],
            "started": [0, 11 * minute, 40 * minute, 60 * minute, 60 * minute],
            "finished": [10 * minute, 20 * minute, 50 * minute, 90 * minute, 90 * minute],
            "points": [1, 2, 3, 4, 5],
        }
    )
    merged = merge_stays(stays, StayRules(merge_minutes=1))
    assert list(merged["finished"] // minute) == [20, 50, 90, 90]
    assert list(merged["points"]) == [3, 3, 4, 5]
    assert len(stays) == 5
