"""Splits: by each user's own days or sessions, or as published; what does not fit is refused with a sentence."""

import pandas as pd
import pytest
from pydantic import ValidationError

from engine.city.splits import PARTS, Split, assign_parts, split_kinds
from engine.errors import ConfigError
from tests.engine.small_cities import city_of


def parts(city: object, split: Split) -> list[str]:
    return [PARTS[code] for code in assign_parts(city, split)]  # type: ignore[arg-type]


def daily(user: str, first: str, count: int) -> list[tuple[str, str, str]]:
    return [(user, "a", str(pd.Timestamp(first) + pd.Timedelta(days=day))) for day in range(count)]


def test_chronological_split_cuts_each_users_tracked_days_at_60_and_80_per_cent() -> None:
    # Days 0 to 10, so D = 10: day < 6 trains, 6 <= day < 8 validates, day >= 8 tests.
    found = parts(city_of(daily("ann", "2024-03-01 12:00", 11)), Split())
    assert found == ["train"] * 6 + ["valid"] * 2 + ["test"] * 3


def test_every_user_is_cut_by_their_own_days() -> None:
    city = city_of(daily("ann", "2024-01-01 12:00", 11) + daily("bob", "2024-06-01 12:00", 6))
    assert parts(city, Split())[11:] == ["train"] * 3 + ["valid"] + ["test"] * 2


def test_days_are_local_days() -> None:
    # 23:30 in New York is the next day in UTC; by local days the user has days 0, 0, 1, and D = 1.
    local = ["2024-01-01 09:00", "2024-01-01 23:30", "2024-01-02 09:00"]
    city = city_of([("ann", "a", time) for time in local], time_zone="America/New_York")
    assert parts(city, Split()) == ["train", "train", "test"]


def test_a_user_of_a_single_day_only_tests() -> None:
    assert parts(city_of(daily("ann", "2024-01-01", 1)), Split()) == ["test"], "0.6 of zero days is none"


def test_session_split_cuts_sessions_in_their_order() -> None:
    city = city_of([("ann", "a", f"2024-01-01 {hour:02d}:00") for hour in range(11)])
    visits = city.table("visits").assign(session_id=[f"s{hour}" for hour in range(11)])
    found = parts(city.replace(visits=visits), Split(kind="session"))
    assert found == ["train"] * 6 + ["valid"] * 2 + ["test"] * 3


def test_published_split_is_taken_as_it_is() -> None:
    city = city_of([("ann", "a", "2024-01-01", "test"), ("ann", "a", "2024-01-02", "train"), ("ann", "a", "2024-01-03", "valid")])
    assert parts(city, Split(kind="published")) == ["test", "train", "valid"]


def test_published_split_is_refused_where_there_is_none() -> None:
    with pytest.raises(ConfigError, match="no published split"):
        assign_parts(city_of(daily("ann", "2024-01-01", 3)), Split(kind="published"))


def test_published_split_with_an_unknown_word_names_it() -> None:
    with pytest.raises(ConfigError, match="found 'dev'"):
        assign_parts(city_of([("ann", "a", "2024-01-01", "dev")]), Split(kind="published"))


def test_session_split_is_refused_without_sessions() -> None:
    with pytest.raises(ConfigError, match="session_id"):
        assign_parts(city_of(daily("ann", "2024-01-01", 3)), Split(kind="session"))


@pytest.mark.parametrize(("kind", "column"), [("session", "session_id"), ("published", "split")])
def test_a_split_that_some_visits_lack_is_neither_proposed_nor_made(kind: str, column: str) -> None:
    """Files joined to one city need not bring the same columns; a visit of no session would train whenever it happened."""
    city = city_of(daily("ann", "2024-01-01", 3))
    city = city.replace(visits=city.table("visits").assign(**{column: pd.Series(["train", None, "test"], dtype="str")}))
    assert split_kinds(city) == ["chronological", "user"]
    with pytest.raises(ConfigError, match="on all its visits"):
        assign_parts(city, Split(kind=kind))  # type: ignore[arg-type]


def test_shares_that_leave_nothing_for_the_test_part_are_refused() -> None:
    with pytest.raises(ConfigError, match="leave something for the test part"):
        assign_parts(city_of(daily("ann", "2024-01-01", 3)), Split(train_share=0.7, valid_share=0.3))


def test_unknown_settings_are_refused() -> None:
    with pytest.raises(ValidationError):
        Split(train=0.6)  # type: ignore[call-arg]


def test_user_split_puts_each_person_into_one_part_drawn_by_the_seed() -> None:
    people = [f"person {number}" for number in range(10)]
    city = city_of([row for user in people for row in daily(user, "2024-03-01 12:00", 4)])
    users = city.table("visits")["user_id"].to_numpy()
    found = pd.Series(parts(city, Split(kind="user"))).groupby(users).agg(set)
    assert all(len(one) == 1 for one in found)
    assert pd.Series([next(iter(one)) for one in found]).value_counts().to_dict() == {"train": 6, "valid": 2, "test": 2}
    assert parts(city, Split(kind="user")) == parts(city, Split(kind="user"))
    assert parts(city, Split(kind="user", seed=1)) != parts(city, Split(kind="user"))


def test_who_is_in_which_part_does_not_depend_on_the_order_of_the_visits() -> None:
    rows = [row for user in "abcdefgh" for row in daily(user, "2024-03-01 12:00", 2)]
    found = []
    for order in (rows, rows[::-1]):
        city = city_of(order)
        found.append(dict(zip(city.table("visits")["user_id"], parts(city, Split(kind="user")), strict=True)))
    assert found[0] == found[1]


def test_two_people_are_learned_from_and_tested_and_one_is_refused() -> None:
    two = city_of(daily("ann", "2024-01-01", 3) + daily("bob", "2024-01-01", 3))
    assert set(parts(two, Split(kind="user"))) == {"train", "test"}
    with pytest.raises(ConfigError, match="fewer than two people"):
        assign_parts(city_of(daily("ann", "2024-01-01", 3)), Split(kind="user"))
