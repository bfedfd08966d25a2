"""Times as they stand in files: which format, which instant, and what is not a time."""

import pandas as pd
import pyarrow as pa
import pytest

from engine.city.times import TWITTER, TimeFormat, candidate_formats, read_times

MOMENT = pd.Timestamp("2012-04-03 18:00:09", tz="UTC")


def instant(text: str) -> tuple[pd.Timestamp, bool]:
    """The text read in the format found for it, and whether it is wall-clock time."""
    (known, *_) = candidate_formats([text])
    seen = read_times(pa.array([text]), known)
    assert not seen.bad[0]
    return pd.Timestamp(seen.microseconds[0], unit="us", tz="UTC"), bool(seen.local[0])


@pytest.mark.parametrize(
    "text",
    [
        "2012-04-03T18:00:09Z",
        "2012-04-03 18:00:09+00:00",
        "2012-04-03T20:00:09+02:00",
        "2012-04-03 13:00:09-0500",
        "2012-04-03 18:00:09.000Z",
        "2012-04-03 18:00:09 UTC",
        "Tue Apr 03 18:00:09 +0000 2012",
        "Tue Apr 03 14:00:09 -0400 2012",
        "1333476009",
        "1333476009000",
        "1333476009.0",
        " 2012-04-03T18:00:09Z ",
    ],
)
def test_times_with_a_zone_are_instants(text: str) -> None:
    assert instant(text) == (MOMENT, False)


@pytest.mark.parametrize(
    "text",
    [
        "2012-04-03 18:00:09",
        "2012-04-03T18:00:09",
        "2012/04/03 18:00:09",
        "20120403 18:00:09",
        "20120403180009",
        "13/04/2012 18:00:09",
        "04/13/2012 06:00:09 PM",
        "13.04.2012 18:00:09",
        "3 Apr 2012 18:00:09",
        "13/04/12 18:00:09",
    ],
)
def test_times_without_a_zone_are_wall_clock_times(text: str) -> None:
    seen, local = instant(text)
    assert local
    assert (seen.year, seen.month, seen.day, seen.hour, seen.minute, seen.second) == (
        2012,
        4,
        13 if "13" in text[:5] else 3,
        18,
        0,
        9,
    )


@pytest.mark.parametrize("text", ["", "yesterday", "18:00", "2012", "12", "-5", "31/31/2012 10:00", "2012-13-45"])
def test_what_is_no_time_has_no_format(text: str) -> None:
    assert candidate_formats([text]) == []


@pytest.mark.parametrize("text", ["2012-02-30 10:00:00", "2012-04-03T25:00:00Z", "nonsense", "2012-04-03T18:00:09Zx"])
def test_iso_rows_that_do_not_exist_are_bad_not_moved(text: str) -> None:
    seen = read_times(pa.array(["2012-04-03T18:00:09Z", text, ""]), TimeFormat("iso"))
    assert list(seen.bad) == [False, True, False]
    assert list(seen.missing) == [False, False, True]


def test_offsets_of_the_twitter_format_are_applied() -> None:
    """strptime alone reads `+0900` and forgets it."""
    seen = read_times(pa.array(["Wed Apr 04 03:00:09 +0900 2012"]), TimeFormat("pattern", TWITTER))
    assert pd.Timestamp(seen.microseconds[0], unit="us", tz="UTC") == MOMENT
