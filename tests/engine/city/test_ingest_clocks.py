"""Dates and times of day in two columns are put together; dates alone have no time of day, and that is said."""

import datetime as dt
import io
from pathlib import Path

import pandas as pd
import pytest

from engine.city.readers.base import FileChoices
from engine.city.recipe import IngestChoices
from tests.engine.city.upload_files import GOLDEN, HEADER, bring, choose, city_of, fatal, table, warnings

SPLIT_HEADER = [*HEADER[:4], "date", "time", "category"]


def apart(day: str, clock: str) -> list[list[str]]:
    """The golden rows in New York's wall-clock time, date and time of day in two columns of the given formats."""
    local = [pd.Timestamp(row[4]).tz_convert("America/New_York") for row in GOLDEN]
    return [[*row[:4], moment.strftime(day), moment.strftime(clock), row[5]] for row, moment in zip(GOLDEN, local, strict=True)]


@pytest.fixture
def as_golden(tmp_path: Path):
    """Whether a city has the golden table's instants."""
    (tmp_path / "golden").mkdir()
    expected = city_of(bring(tmp_path / "golden", {"x.csv": table(GOLDEN)})).fingerprint

    def compare(upload) -> bool:
        return city_of(upload).fingerprint == expected

    return compare


@pytest.mark.parametrize("clock", ["%H:%M:%S", "%H:%M", "%-H:%M", "%I:%M %p", "%I:%M:%S%p"])
@pytest.mark.parametrize("day", ["%Y-%m-%d", "%d.%m.%Y", "%m/%d/%Y", "%Y%m%d", "%Y-%m-%d 00:00:00", "%d/%m/%Y 0:00"])
def test_a_date_and_a_time_of_day_are_one_moment(tmp_path: Path, as_golden, day: str, clock: str) -> None:
    upload = bring(tmp_path, {"x.csv": table(apart(day, clock), SPLIT_HEADER)})
    assert (upload.seen[0].mapping["started_at"], upload.seen[0].mapping["time_of_day"]) == ("date", "time")
    assert as_golden(upload)
    assert "NO_TIME_OF_DAY" not in warnings(upload)


def test_the_pair_can_be_taken_apart_and_chosen(tmp_path: Path, as_golden) -> None:
    header = [*HEADER[:4], "day seen", "at", "category"]
    content = {"x.csv": table(apart("%Y-%m-%d", "%H:%M:%S"), header)}
    chosen = {"started_at": "day seen", "time_of_day": "at"}
    assert as_golden(bring(tmp_path, content, IngestChoices(files={"x.csv": FileChoices(reader="checkins", mapping=chosen)})))
    apart_again = IngestChoices(files={"x.csv": FileChoices(reader="checkins", mapping=chosen | {"time_of_day": ""})})
    assert "NO_TIME_OF_DAY" in warnings(bring(tmp_path, content, apart_again))


def test_the_name_of_the_clock_may_say_that_it_is_utc(tmp_path: Path, as_golden) -> None:
    rows = [[*row[:4], *row[4].rstrip("Z").split("T"), row[5]] for row in GOLDEN]
    upload = bring(tmp_path, {"x.csv": table(rows, [*HEADER[:4], "date", "utc_time", "category"])})
    assert as_golden(upload)
    assert any("`date` and `utc_time` were read as UTC" in repair for repair in upload.combined.card.files[0].repairs)


def test_a_clock_beside_whole_moments_is_left_alone(tmp_path: Path, as_golden) -> None:
    rows = [[*row[:5], "12:30", row[5]] for row in GOLDEN]
    upload = bring(tmp_path, {"x.csv": table(rows, [*HEADER[:4], "timestamp", "time", "category"])})
    assert "time_of_day" not in upload.seen[0].mapping
    assert as_golden(upload)


def test_a_row_without_a_time_of_day_is_counted_out(tmp_path: Path) -> None:
    rows = apart("%Y-%m-%d", "%H:%M")
    rows[3][5] = ""
    upload = bring(tmp_path, {"x.csv": table(rows, SPLIT_HEADER)})
    assert warnings(upload)["TIME_MISSING"].rows == 1


def test_a_column_of_dates_alone_is_warned_about(tmp_path: Path) -> None:
    """All visits at midnight: that is no time anybody was seen."""
    rows = [[*row[:4], row[4][:10], row[5]] for row in GOLDEN]
    upload = bring(tmp_path, {"x.csv": table(rows)})
    problem = warnings(upload)["NO_TIME_OF_DAY"]
    assert (problem.column, problem.rows) == ("time", 40)
    assert any("Every time is 00:00" in sentence for sentence in city_of(upload).info.data_card.assumptions)
    one_later = [*rows[:-1], [*rows[-1][:4], "2012-04-15 08:00", rows[-1][5]]]
    assert "NO_TIME_OF_DAY" not in warnings(bring(tmp_path, {"x.csv": table(one_later)}))


def test_dates_and_clocks_of_parquet_are_put_together_as_chosen(tmp_path: Path, as_golden) -> None:
    rows = apart("%Y-%m-%d", "%H:%M:%S")
    frame = pd.DataFrame(rows, columns=SPLIT_HEADER).astype({"latitude": float, "longitude": float})
    frame["date"] = [dt.date.fromisoformat(value) for value in frame["date"]]
    frame["time"] = [dt.time.fromisoformat(value) for value in frame["time"]]
    sink = io.BytesIO()
    frame.to_parquet(sink)
    refused = fatal(bring(tmp_path, {"x.parquet": sink.getvalue()}, choose(reader="checkins")))
    assert "`time_of_day`" in refused["COLUMN_TYPE"].mend
    mapping = {"started_at": "date", "time_of_day": "time"}
    assert as_golden(
        bring(tmp_path, {"x.parquet": sink.getvalue()}, IngestChoices(files={"*": FileChoices(reader="checkins", mapping=mapping)}))
    )


def test_a_table_without_header_finds_its_clock(tmp_path: Path, as_golden) -> None:
    rows = [[row[0], row[4], row[5], row[2], row[3], row[1]] for row in apart("%Y-%m-%d", "%H:%M:%S")]
    upload = bring(tmp_path, {"x.csv": table(rows, [])}, choose(reader="checkins"))
    assert upload.seen[0].mapping["time_of_day"] == "column 3"
    assert set(city_of(upload).table("visits")["location_id"]) == {"v0", "v1", "v2", "v3"}


def test_gps_points_with_date_and_time_apart_become_stays(tmp_path: Path) -> None:
    """Two hours at each of two places, a point every minute, twice over; a table of dates alone is no track of points."""
    rows = []
    for minute in range(480):
        moment = pd.Timestamp("2012-04-03 08:00") + pd.Timedelta(minutes=minute)
        latitude = "40.7411" if minute // 120 % 2 else "40.7829"
        rows.append(["u0", moment.strftime("%Y-%m-%d"), moment.strftime("%H:%M:%S"), latitude, "-73.98"])
    upload = bring(tmp_path, {"x.csv": table(rows, ["user", "date", "time", "lat", "lon"])}, choose(least_stays=1))
    assert upload.seen[0].reader == "gps"
    assert upload.seen[0].mapping["time_of_day"] == "time"
    assert len(city_of(upload).table("visits")) >= 3
    dated = [[row[0], row[1], *row[3:]] for row in rows]
    assert bring(tmp_path, {"x.csv": table(dated, ["user", "date", "lat", "lon"])}).seen[0].reader == "checkins"
