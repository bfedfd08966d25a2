"""Bad times (reliability.md §5: 13-20): offsets, zones, clock changes, order of day and month, epochs, order of rows."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from engine.city import times
from engine.city.samples import VisitLog
from engine.city.splits import Split
from tests.engine.city.upload_files import (
    GOLDEN,
    HEADER,
    bring,
    choose,
    city_of,
    dropped,
    fatal,
    read_golden,
    table,
    with_cell,
    with_column,
)


def test_13_mixed_offsets_become_utc(tmp_path: Path) -> None:
    rows = with_cell(with_cell(GOLDEN, 1, "time", "2012-04-03T10:00:00+02:00"), 5, "time", "2012-04-04 06:00:00-0600")
    visits = city_of(read_golden(tmp_path, rows)).table("visits")
    assert [str(value) for value in visits["started_at"].head(2)] == ["2012-04-03 08:00:00+00:00", "2012-04-04 12:00:00+00:00"]


def test_13_naive_times_between_times_with_offset_are_wall_clock_times_of_the_city(tmp_path: Path) -> None:
    """2012-04-03 04:00 in New York is 08:00 UTC; reading it as UTC would be wrong by four hours."""
    upload = read_golden(tmp_path, with_cell(GOLDEN, 1, "time", "2012-04-03 04:00:00"))
    city = city_of(upload)
    assert str(city.table("visits")["started_at"].iloc[0]) == "2012-04-03 08:00:00+00:00"
    assert any("1 of 40 times had no zone" in sentence for sentence in city.info.data_card.assumptions)


def naive(rows) -> list[list[str]]:
    return with_column(rows, "time", [row[4].rstrip("Z").replace("T", " ") for row in rows])


def test_14_naive_times_take_the_zone_of_the_place_and_say_so(tmp_path: Path) -> None:
    city = city_of(read_golden(tmp_path, naive(GOLDEN)))
    assert str(city.table("visits")["started_at"].iloc[0]) == "2012-04-03 12:00:00+00:00"
    assert any("wall-clock times of America/New_York, guessed" in sentence for sentence in city.info.data_card.assumptions)


def test_14_naive_times_where_the_place_leaves_the_zone_open_are_asked_about(tmp_path: Path) -> None:
    """In the middle of the Atlantic no clock is likelier than another."""
    rows = [[*row[:2], "31.5", f"-4{index % 2}.5", *row[4:]] for index, row in enumerate(naive(GOLDEN))]
    assert "TIME_ZONE" in fatal(read_golden(tmp_path, rows))
    chosen = read_golden(tmp_path, rows, choices=choose(time_zone="Atlantic/Azores"))
    assert city_of(chosen).time_zone == "Atlantic/Azores"


def test_14_naive_times_in_bali_are_not_read_as_those_of_jakarta(tmp_path: Path) -> None:
    """Noon on the wall is 04:00 UTC, not 05:00."""
    rows = [[*row[:2], "-8.65", "115.21", "2012-04-03 12:00:00", row[5]] for row in GOLDEN[:1]]
    city = city_of(read_golden(tmp_path, rows))
    assert (city.time_zone, str(city.table("visits")["started_at"].iloc[0])) == ("Asia/Makassar", "2012-04-03 04:00:00+00:00")


def test_14_a_zone_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    assert "TIME_ZONE" in fatal(read_golden(tmp_path, choices=choose(time_zone="Mars/Olympus")))


@pytest.mark.parametrize(
    ("zone", "twice", "first", "skipped", "after"),
    [
        ("Europe/Berlin", "2012-10-28 02:30", "2012-10-28 00:30", "2012-03-25 02:30", "2012-03-25 01:00"),
        ("America/New_York", "2012-11-04 01:30", "2012-11-04 05:30", "2012-03-11 02:30", "2012-03-11 07:00"),
    ],
)
def test_15_clock_changes_follow_a_fixed_rule(zone: str, twice: str, first: str, skipped: str, after: str) -> None:
    """The hour that happens twice is its first (daylight) one; the hour that does not exist is moved to the change."""
    utc, fold, gap = times.localise(pd.Series(pd.to_datetime([twice, skipped, "2012-06-01 12:00"])), zone)
    assert [str(value)[:16] for value in utc[:2]] == [first, after]
    assert (fold, gap) == (1, 1)


def test_15_clock_changes_are_counted_in_the_data_card(tmp_path: Path) -> None:
    rows = with_cell(with_cell(naive(GOLDEN), 1, "time", "2012-11-04 01:30:00"), 2, "time", "2012-03-11 02:30:00")
    told = " ".join(city_of(read_golden(tmp_path, rows)).info.data_card.assumptions)
    assert "1 times of `started_at` lie in the hour that happens twice" in told
    assert "1 times of `started_at` lie in the hour that clocks skip" in told


def test_14_an_arrival_with_zone_and_a_departure_without_are_refused(tmp_path: Path) -> None:
    rows = [[*row, row[4].rstrip("Z")] for row in GOLDEN]
    upload = bring(tmp_path, {"x.csv": table(rows, [*HEADER, "finished_at"])})
    assert fatal(upload)["TIME_FORMAT"].column == "finished_at"


def dated(pattern: str, day_of) -> list[list[str]]:
    return with_column(GOLDEN, "time", [pd.Timestamp(2012, *day_of(index), 8, 30).strftime(pattern) for index in range(40)])


def test_16_a_day_above_12_anywhere_settles_the_order_of_the_whole_column(tmp_path: Path) -> None:
    rows = dated("%d/%m/%Y %H:%M", lambda index: (4, index % 27 + 1))
    started = city_of(read_golden(tmp_path, rows)).table("visits")["started_at"].dt.tz_convert("America/New_York")
    assert set(started.dt.month) == {4}


def test_16_the_day_that_settles_it_may_come_late_in_the_file(tmp_path: Path) -> None:
    rows = [row for _ in range(10) for row in dated("%m/%d/%Y %H:%M", lambda index: (index % 12 + 1, index % 9 + 1))]
    rows = with_cell(rows, 399, "time", "05/31/2012 08:30")
    rows = [[f"{row[0]}-{index}", *row[1:]] for index, row in enumerate(rows)]
    started = city_of(read_golden(tmp_path, rows)).table("visits")["started_at"]
    assert pd.Timestamp("2012-05-31 12:30", tz="UTC") in set(started)


def test_16_dates_that_fit_both_orders_are_asked_about(tmp_path: Path) -> None:
    content = dated("%d/%m/%Y %H:%M", lambda index: (4, index % 12 + 1))
    assert "`day_first`" in fatal(read_golden(tmp_path, content))["DATE_ORDER"].mend
    day_first = city_of(read_golden(tmp_path, content, choices=choose(day_first=True))).table("visits")["started_at"]
    month_first = city_of(read_golden(tmp_path, content, choices=choose(day_first=False))).table("visits")["started_at"]
    assert set(day_first.dt.month) == {4}
    assert set(month_first.dt.month) == set(range(1, 13))


def test_16_dates_in_both_orders_are_refused(tmp_path: Path) -> None:
    rows = dated("%d/%m/%Y %H:%M", lambda index: (4, index % 12 + 1))
    rows = with_cell(with_cell(rows, 3, "time", "25/04/2012 08:00"), 4, "time", "04/25/2012 08:00")
    assert "DATE_ORDER" in fatal(read_golden(tmp_path, rows))


def test_16_a_day_that_does_not_exist_is_dropped_not_moved(tmp_path: Path) -> None:
    """31 February must not become 2 March."""
    rows = with_cell(dated("%d/%m/%Y %H:%M", lambda index: (4, index % 27 + 1)), 6, "time", "31/02/2012 08:00")
    assert dropped(read_golden(tmp_path, rows)) == {"TIME_UNREADABLE": 1}


@pytest.mark.parametrize(("unit", "factor"), [("s", 1), ("ms", 10**3), ("us", 10**6), ("ns", 10**9)])
def test_17_epochs_are_told_apart_by_magnitude(tmp_path: Path, unit: str, factor: int) -> None:
    seconds = [int(pd.Timestamp(row[4]).timestamp()) for row in GOLDEN]
    rows = with_column(GOLDEN, "time", [str(value * factor) for value in seconds])
    assert str(city_of(read_golden(tmp_path, rows)).table("visits")["started_at"].iloc[0]) == "2012-04-03 08:00:00+00:00"


def test_18_1970_and_the_future_are_dropped_and_counted(tmp_path: Path) -> None:
    rows = with_cell(with_cell(GOLDEN, 3, "time", "1970-01-01T00:00:00Z"), 9, "time", "2087-01-01T00:00:00Z")
    assert dropped(read_golden(tmp_path, rows)) == {"TIME_1970": 1, "TIME_FUTURE": 1}


def test_19_leap_day_midnight_and_week_53_keep_their_weekday_and_minute(tmp_path: Path) -> None:
    moments = ["2010-01-03T23:59:00Z", "2012-02-29T00:00:00Z", "2012-12-31T00:00:00Z", "2021-01-03T23:00:00Z"]
    rows = [[*row[:4], moment, *row[5:]] for row, moment in zip(GOLDEN, moments, strict=False)]
    log = VisitLog.of(city_of(read_golden(tmp_path, rows, choose(time_zone="UTC"))), Split())
    order = np.argsort(log.started_at)
    assert log.weekday[order].tolist() == [6, 2, 0, 6]
    assert log.minute[order].tolist() == [23 * 60 + 59, 0, 0, 23 * 60]


def test_20_unsorted_rows_give_the_same_city(tmp_path: Path) -> None:
    shuffled = [GOLDEN[index] for index in np.random.default_rng(3).permutation(len(GOLDEN))]
    first, second = city_of(read_golden(tmp_path)), city_of(read_golden(tmp_path, shuffled))
    assert first.fingerprint == second.fingerprint
