"""Bad tables, one test per item of reliability.md §5 (1-34): a worded refusal or a counted repair, nothing lost, no traceback."""

import dataclasses
import gzip
import io
import stat
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from engine.city import times
from engine.city.ingest import ingest
from engine.city.readers.archives import LIMITS
from engine.errors import IngestError
from tests.engine.city.upload_files import (
    HEADER,
    PLACES,
    bring,
    choose,
    city_of,
    fatal,
    golden_rows,
    table,
    warnings,
    with_cell,
    with_column,
)

GOLDEN = golden_rows()


def dropped(upload) -> dict[str, int]:
    return {rule.reason: rule.rows for card in upload.combined.card.files for rule in card.dropped}


def read_golden(tmp_path: Path, rows=None, **kwargs):
    return bring(tmp_path, {"checkins.csv": table(GOLDEN if rows is None else rows)}, **kwargs)


def test_the_golden_table_is_read_whole(tmp_path: Path) -> None:
    """40 visits of 4 people at 4 places, all kept, in New York time; categories from the rows."""
    city = city_of(read_golden(tmp_path))
    visits, locations = city.table("visits"), city.table("locations")
    assert (len(visits), len(locations), city.time_zone) == (40, 4, "America/New_York")
    assert locations.set_index("location_id")["category"].to_dict() == {place: PLACES[place][2] for place in PLACES}
    assert str(visits["started_at"].iloc[0]) == "2012-04-03 08:00:00+00:00"
    assert list(visits["user_id"]) == sorted(visits["user_id"])


# ---- 1-6: the file as bytes ---------------------------------------------------------------------------------------------


def test_1_an_empty_file_is_refused(tmp_path: Path) -> None:
    assert "EMPTY" in fatal(bring(tmp_path, {"nothing.csv": b""}))
    assert "EMPTY" in fatal(bring(tmp_path, {"blank.csv": b" \n \n"}))


def test_2_a_header_without_rows_is_refused(tmp_path: Path) -> None:
    assert "NO_ROWS" in fatal(read_golden(tmp_path, []))


def test_3_a_byte_order_mark_is_no_part_of_the_first_name(tmp_path: Path) -> None:
    upload = bring(tmp_path, {"bom.csv": b"\xef\xbb\xbf" + table(GOLDEN)})
    assert len(city_of(upload).table("visits")) == 40


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_4_utf_16_is_recognised(tmp_path: Path, encoding: str) -> None:
    upload = bring(tmp_path, {"wide.csv": table(GOLDEN, encoding=encoding)})
    assert "Café" in set(city_of(upload).table("locations")["category"])


def test_5_latin_1_is_recognised_and_said(tmp_path: Path) -> None:
    upload = bring(tmp_path, {"old.csv": table(GOLDEN, encoding="latin-1")})
    assert "Café" in set(city_of(upload).table("locations")["category"])
    assert "Café" in warnings(upload)["ENCODING_GUESSED"].found


def test_5_shift_jis_is_recognised(tmp_path: Path) -> None:
    names = ["東京駅の喫茶店", "渋谷の本屋さん", "新宿の映画館です", "上野動物園と公園"]
    rows = with_column(GOLDEN, "category", [names[int(row[1][1])] for row in GOLDEN])
    upload = bring(tmp_path, {"jp.csv": table(rows, encoding="shift_jis")})
    assert set(city_of(upload).table("locations")["category"]) == set(names)


def test_5_an_encoding_that_cannot_be_told_is_asked_for_and_can_be_chosen(tmp_path: Path) -> None:
    rows = with_cell(GOLDEN, 1, "category", "B\x81r")
    content = table(rows, encoding="latin-1")
    asked = bring(tmp_path, {"odd.csv": content})
    assert "option `encoding`" in fatal(asked)["ENCODING"].mend
    chosen = bring(tmp_path, {"odd.csv": content}, choose("odd.csv", encoding="latin-1"))
    assert len(city_of(chosen).table("visits")) == 40


def test_6_semicolons_with_decimal_commas_are_read(tmp_path: Path) -> None:
    rows = [[value.replace(".", ",") if index in (2, 3) else value for index, value in enumerate(row)] for row in GOLDEN]
    upload = bring(tmp_path, {"german.csv": table(rows, delimiter=";")})
    where = city_of(upload).spatial("locations").set_index("location_id").geometry
    assert (where["v0"].y, where["v0"].x) == (40.7411, -73.9897)
    assert upload.seen[0].delimiter == ";"


@pytest.mark.parametrize("delimiter", ["\t", "|", ";"])
def test_6_other_delimiters_are_sniffed(tmp_path: Path, delimiter: str) -> None:
    assert len(city_of(bring(tmp_path, {"x.csv": table(GOLDEN, delimiter=delimiter)})).table("visits")) == 40


# ---- 7-12: coordinates --------------------------------------------------------------------------------------------------


def test_7_swapped_columns_out_of_range_are_refused_and_can_be_swapped(tmp_path: Path) -> None:
    """Tokyo, longitude 139.7 in the latitude column."""
    rows = [[*row[:2], "139.7", "35.68", *row[4:]] for row in GOLDEN]
    content = {"tokyo.csv": table(rows)}
    assert "swapped" in fatal(bring(tmp_path, content))["COORDINATES_SWAPPED"].found
    city = city_of(bring(tmp_path, content, choose(swap_coordinates=True)))
    assert city.spatial("locations").geometry.iloc[0].y == 35.68


def test_7_a_plausible_swap_is_asked_about_and_can_be_confirmed(tmp_path: Path) -> None:
    """New York the other way round lies in Antarctica: both values are in range, so only the place gives it away."""
    rows = [[*row[:2], row[3], row[2], *row[4:]] for row in GOLDEN]
    content = {"ny.csv": table(rows)}
    assert "COORDINATES_SWAPPED" in fatal(bring(tmp_path, content))
    assert not fatal(bring(tmp_path, content, choose(swap_coordinates=False)))
    mapped = choose()
    mapped.files["*"].mapping.update(latitude="longitude", longitude="latitude")
    assert city_of(bring(tmp_path, content, mapped)).time_zone == "America/New_York"


def test_7_places_that_fit_their_zones_only_when_swapped_are_warned_about(tmp_path: Path) -> None:
    """The venues lie at (13, 52) as written, the zones in Berlin at (52, 13)."""
    venues = [[place, f"13.4{index}", f"52.5{index}", "Bar"] for index, place in enumerate(PLACES)]
    zone = "[[[13.2,52.4],[13.6,52.4],[13.6,52.6],[13.2,52.6],[13.2,52.4]]]"
    files = {
        "venues.csv": table(venues, ["location_id", "latitude", "longitude", "category"]),
        "visits.csv": table([[row[0], row[1], row[4]] for row in GOLDEN], ["user_id", "location_id", "time"]),
        "zones.geo": table([["0", "Polygon", f'"{zone}"']], ["geo_id", "type", "coordinates"]),
    }
    confirmed = choose("venues.csv", swap_coordinates=False)
    assert "`swap_coordinates`" in warnings(bring(tmp_path, files, confirmed))["SWAP_SUSPECTED"].mend
    swapped = choose("venues.csv", swap_coordinates=True)
    assert not {"SWAP_SUSPECTED", "FAR_APART"} & set(warnings(bring(tmp_path, files, swapped)))


def test_7_places_far_from_their_zones_are_warned_about(tmp_path: Path) -> None:
    zone = "[[[13.2,52.4],[13.6,52.4],[13.6,52.6],[13.2,52.6],[13.2,52.4]]]"
    files = {"x.csv": table(GOLDEN), "zones.geo": table([["0", "Polygon", f'"{zone}"']], ["geo_id", "type", "coordinates"])}
    assert "FAR_APART" in warnings(bring(tmp_path, files))


def test_8_one_row_out_of_range_is_dropped_and_counted(tmp_path: Path) -> None:
    upload = read_golden(tmp_path, with_cell(GOLDEN, 7, "latitude", "95.5"))
    assert dropped(upload) == {"COORDINATES_RANGE": 1}
    assert warnings(upload)["COORDINATES_RANGE"].row == 7


def test_8_more_than_a_twentieth_out_of_range_is_refused(tmp_path: Path) -> None:
    rows = GOLDEN
    for row in (3, 9, 12):
        rows = with_cell(rows, row, "latitude", "-95.5")
        rows = with_cell(rows, row, "longitude", "-171.0")
    assert fatal(read_golden(tmp_path, rows))["COORDINATES_RANGE"].rows == 3


def test_9_null_island_is_dropped_and_counted(tmp_path: Path) -> None:
    rows = with_cell(with_cell(GOLDEN, 5, "latitude", "0.0"), 5, "longitude", "0")
    assert dropped(read_golden(tmp_path, rows)) == {"NULL_ISLAND": 1}


@pytest.mark.parametrize("value", ["", "NaN", "inf", "-Infinity", "null"])
def test_10_unknown_coordinates_do_not_become_points(tmp_path: Path, value: str) -> None:
    """With a location id the visit stays (other visits know the place); without one it is dropped and counted."""
    rows = with_cell(GOLDEN, 2, "longitude", value)
    kept = city_of(read_golden(tmp_path, rows))
    assert len(kept.table("visits")) == 40
    assert np.isfinite(kept.spatial("locations").geometry.x).all()
    nameless = [[row[0], *row[2:]] for row in rows]
    upload = bring(tmp_path, {"x.csv": table(nameless, ["user_id", *HEADER[2:]])}, choose(reader="checkins"))
    assert dropped(upload) == {"COORDINATES_MISSING": 1}


@pytest.mark.parametrize("crs", ["EPSG:3857", "EPSG:32618", "E7"])
def test_11_metres_and_e7_are_asked_for_by_magnitude_and_then_converted(tmp_path: Path, crs: str) -> None:
    from pyproj import Transformer

    def projected(row: list[str]) -> list[str]:
        latitude, longitude = float(row[2]), float(row[3])
        if crs == "E7":
            return [*row[:2], str(round(latitude * 1e7)), str(round(longitude * 1e7)), *row[4:]]
        x, y = Transformer.from_crs("EPSG:4326", crs, always_xy=True).transform(longitude, latitude)
        return [*row[:2], f"{y:.3f}", f"{x:.3f}", *row[4:]]

    content = {"m.csv": table([projected(row) for row in GOLDEN])}
    refused = fatal(bring(tmp_path, content))
    assert set(refused) == {"COORDINATES_E7" if crs == "E7" else "COORDINATES_METRIC"}
    assert "option `crs`" in next(iter(refused.values())).mend
    where = city_of(bring(tmp_path, content, choose(crs=crs))).spatial("locations").set_index("location_id").geometry
    assert where["v0"].y == pytest.approx(40.7411, abs=1e-6)
    assert where["v0"].x == pytest.approx(-73.9897, abs=1e-6)


def test_11_an_unknown_reference_system_is_refused(tmp_path: Path) -> None:
    assert "CRS" in fatal(read_golden(tmp_path, choices=choose(crs="EPSG:999999")))


def test_12_degrees_and_minutes_are_refused_with_an_example(tmp_path: Path) -> None:
    rows = [[*row[:2], "40°44'28\"N", "73°59'23\"W", *row[4:]] for row in GOLDEN]
    quoted = [[f'"{value.replace(chr(34), chr(34) * 2)}"' for value in row] for row in rows]
    problem = fatal(bring(tmp_path, {"dms.csv": table(quoted)}))["COORDINATES_DMS"]
    assert "40.7411" in problem.mend
    assert problem.column == "latitude"


# ---- 13-20: times -------------------------------------------------------------------------------------------------------


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


def test_19_leap_day_midnight_and_week_53_have_an_hour_of_the_week() -> None:
    local = pd.Series(pd.to_datetime(["2012-02-29 00:00", "2010-01-03 23:59", "2021-01-03 23:00", "2012-12-31 00:00"]))
    assert list(times.hour_of_week(local)) == [48, 167, 167, 0]


def test_20_unsorted_rows_give_the_same_city(tmp_path: Path) -> None:
    shuffled = [GOLDEN[index] for index in np.random.default_rng(3).permutation(len(GOLDEN))]
    first, second = city_of(read_golden(tmp_path)), city_of(read_golden(tmp_path, shuffled))
    assert first.fingerprint == second.fingerprint


# ---- 21-26: people and columns ------------------------------------------------------------------------------------------


def test_21_exact_duplicates_are_dropped_and_counted(tmp_path: Path) -> None:
    upload = read_golden(tmp_path, [*GOLDEN, GOLDEN[3], GOLDEN[3], GOLDEN[8]])
    assert dropped(upload) == {"DUPLICATE": 3}
    assert len(city_of(upload).table("visits")) == 40


def test_21_rows_that_differ_in_a_column_nobody_mapped_are_no_duplicates(tmp_path: Path) -> None:
    rows = [[*row, str(index)] for index, row in enumerate([*GOLDEN, GOLDEN[3]])]
    upload = bring(tmp_path, {"x.csv": table(rows, [*HEADER, "serial"])})
    assert len(city_of(upload).table("visits")) == 41


def test_21_two_places_at_once_are_kept_in_file_order_with_a_warning(tmp_path: Path) -> None:
    rows = [["u0", "v3", *PLACES["v3"][:2], GOLDEN[0][4], "Park"], *GOLDEN]
    upload = read_golden(tmp_path, rows)
    assert list(city_of(upload).table("visits")["location_id"].head(2)) == ["v3", "v0"]
    assert warnings(upload)["SAME_TIME"].rows == 1


def test_22_people_with_one_visit_are_kept_and_counted(tmp_path: Path) -> None:
    city = city_of(read_golden(tmp_path, [*GOLDEN, ["loner", *GOLDEN[5][1:]]]))
    assert "loner" in set(city.table("visits")["user_id"])
    assert any("1 of 5 people have a single visit" in sentence for sentence in city.info.data_card.assumptions)


def test_23_one_person_and_one_place_make_a_city(tmp_path: Path) -> None:
    rows = [["u0", "v0", *PLACES["v0"][:2], row[4], "Café"] for row in GOLDEN]
    city = city_of(read_golden(tmp_path, rows))
    assert (len(city.table("locations")), city.table("visits")["user_id"].nunique()) == (1, 1)


def test_24_one_person_with_very_many_visits_is_read_in_time(tmp_path: Path) -> None:
    """A hundred thousand visits of one person, in any order, within a few seconds."""
    import time

    clock = pd.Timestamp("2012-04-03") + pd.to_timedelta(np.random.default_rng(0).permutation(100_000) * 60, unit="s")
    stamps = clock.strftime("%Y-%m-%dT%H:%M:%SZ")
    rows = [["u0", f"v{index % 4}", *PLACES[f"v{index % 4}"][:2], stamp, "Bar"] for index, stamp in enumerate(stamps)]
    began = time.process_time()
    upload = read_golden(tmp_path, rows)
    assert time.process_time() - began < 20
    assert upload.combined.tables["visits"]["started_at"].is_monotonic_increasing


@pytest.mark.parametrize("user", ["007", "1e20", "NA", "null", "None", "nan", "-1"])
def test_25_ids_stay_the_text_they_are(tmp_path: Path, user: str) -> None:
    rows = [[user, *row[1:]] if row[0] == "u0" else row for row in GOLDEN]
    assert user in set(city_of(read_golden(tmp_path, rows)).table("visits")["user_id"])


def test_26_duplicate_column_names_are_refused(tmp_path: Path) -> None:
    header = ["user_id", "location_id", "latitude", "latitude", "time", "category"]
    problem = fatal(bring(tmp_path, {"x.csv": table(GOLDEN, header)}))["DUPLICATE_COLUMN"]
    assert problem.column == "latitude"


# ---- 27-34: structure and size ------------------------------------------------------------------------------------------


def test_27_a_few_ragged_rows_are_dropped_with_their_numbers(tmp_path: Path) -> None:
    rows = golden_rows(300)
    rows[9] = rows[9][:4]
    rows[19] = [*rows[19], "extra"]
    upload = read_golden(tmp_path, rows)
    assert dropped(upload) == {"RAGGED": 2}
    assert "row 10" in warnings(upload)["RAGGED"].found and "row 20" in warnings(upload)["RAGGED"].found


def test_27_more_than_a_hundredth_ragged_is_refused(tmp_path: Path) -> None:
    rows = [row[:4] if index == 11 else row for index, row in enumerate(GOLDEN)]
    problem = fatal(read_golden(tmp_path, rows))["RAGGED"]
    assert (problem.row, problem.rows) == (12, 1)


def test_27_rows_after_a_ragged_one_keep_their_number(tmp_path: Path) -> None:
    """Row 10 is ragged; the wrong latitude in row 30 is still said to be in row 30."""
    rows = with_cell(golden_rows(300), 30, "latitude", "95.0")
    rows[9] = rows[9][:4]
    assert warnings(read_golden(tmp_path, rows))["COORDINATES_RANGE"].row == 30


def test_28_a_quote_that_never_closes_is_refused_with_its_line(tmp_path: Path) -> None:
    problem = fatal(read_golden(tmp_path, with_cell(GOLDEN, 20, "category", '"Bar')))["UNCLOSED_QUOTE"]
    assert "line 21" in problem.found


def test_28_quoted_fields_may_hold_delimiters_quotes_and_line_ends(tmp_path: Path) -> None:
    rows = [[*row[:5], f'"{row[5]}, ""the\nbest"""'] for row in GOLDEN]
    assert 'Bar, "the\nbest"' in set(city_of(read_golden(tmp_path, rows)).table("locations")["category"])


def test_29_nul_bytes_are_removed_and_counted(tmp_path: Path) -> None:
    rows = with_cell(GOLDEN, 2, "category", "Train\x00 Station\x00")
    upload = read_golden(tmp_path, rows)
    assert warnings(upload)["NUL"].rows == 2
    assert "Train Station" in set(city_of(upload).table("locations")["category"])


def test_30_a_file_beyond_the_limit_is_refused_before_it_is_read(tmp_path: Path) -> None:
    """Thirty gigabytes, none of them on disk."""
    path = tmp_path / "huge.csv"
    with path.open("wb") as file:
        file.truncate(30 << 30)
    with pytest.raises(IngestError, match="MB are allowed"):
        ingest([path], "huge")


def test_30_more_rows_than_memory_can_hold_are_refused_while_reading(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file streams block by block; it stops at the limit of usable rows instead of running out of memory."""
    from engine.city.readers import visits

    monkeypatch.setattr(visits, "LIMITS", dataclasses.replace(LIMITS, rows=30))
    assert "30 rows" in fatal(read_golden(tmp_path))["ROWS"].found


def test_31_too_many_columns_are_refused(tmp_path: Path) -> None:
    header = [*HEADER, *(f"more{index}" for index in range(LIMITS.columns))]
    assert "COLUMNS" in fatal(bring(tmp_path, {"wide.csv": table([[*row, *[""] * LIMITS.columns] for row in GOLDEN[:3]], header)}))


def test_31_an_enormous_cell_is_refused(tmp_path: Path) -> None:
    rows = with_cell(GOLDEN, 30, "category", "x" * (40 << 20))
    assert "CELL_SIZE" in fatal(read_golden(tmp_path, rows))


def parquet(frame: pd.DataFrame | pa.Table) -> bytes:
    sink = io.BytesIO()
    pq.write_table(pa.Table.from_pandas(frame) if isinstance(frame, pd.DataFrame) else frame, sink)
    return sink.getvalue()


def typed_golden() -> pd.DataFrame:
    frame = pd.DataFrame(GOLDEN, columns=HEADER)
    return frame.astype({"latitude": float, "longitude": float}).assign(time=pd.to_datetime(frame["time"]))


def test_32_a_parquet_file_is_read_like_its_csv(tmp_path: Path) -> None:
    first = city_of(bring(tmp_path, {"x.csv": table(GOLDEN)}))
    assert city_of(bring(tmp_path, {"x.parquet": parquet(typed_golden())})).fingerprint == first.fingerprint


def test_32_a_missing_column_is_named(tmp_path: Path) -> None:
    upload = bring(tmp_path, {"x.parquet": parquet(typed_golden().rename(columns={"user_id": "wer"}))}, choose(reader="checkins"))
    assert "`user_id`" in fatal(upload)["FIELD_MISSING"].found


@pytest.mark.parametrize("column", ["location_id", "latitude", "time"])
def test_32_a_nested_column_is_named(tmp_path: Path, column: str) -> None:
    frame = typed_golden()
    frame[column] = [[str(value)] for value in frame[column]]
    assert fatal(bring(tmp_path, {"x.parquet": parquet(frame)}, choose(reader="checkins")))["COLUMN_TYPE"].column == column


def test_32_a_column_of_the_wrong_type_is_named(tmp_path: Path) -> None:
    frame = typed_golden().assign(time=True)
    assert fatal(bring(tmp_path, {"x.parquet": parquet(frame)}, choose(reader="checkins")))["COLUMN_TYPE"].column == "time"


def test_32_a_parquet_file_cut_short_is_refused(tmp_path: Path) -> None:
    assert "DAMAGED_PARQUET" in fatal(bring(tmp_path, {"x.parquet": parquet(typed_golden())[:-20]}))


def test_33_a_gzip_bomb_is_refused_before_it_is_inflated(tmp_path: Path) -> None:
    bomb = gzip.compress(b"0" * (64 << 20))
    assert len(bomb) < 100_000
    assert "RATIO" in fatal(bring(tmp_path, {"bomb.csv.gz": bomb}))
    assert sum(path.stat().st_size for path in (tmp_path / "scratch").rglob("*")) < 16 << 20


def test_33_a_damaged_gzip_is_refused(tmp_path: Path) -> None:
    assert "DAMAGED_ARCHIVE" in fatal(bring(tmp_path, {"x.csv.gz": gzip.compress(table(GOLDEN))[:-30]}))


def test_33_a_gzip_of_a_table_is_read(tmp_path: Path) -> None:
    assert len(city_of(bring(tmp_path, {"x": gzip.compress(table(GOLDEN))})).table("visits")) == 40


def zipped(members: dict[str | zipfile.ZipInfo, bytes]) -> bytes:
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return sink.getvalue()


def test_33_a_zip_bomb_is_refused(tmp_path: Path) -> None:
    assert "RATIO" in fatal(bring(tmp_path, {"bomb.zip": zipped({"zeros.csv": bytes(64 << 20)})}))


def test_33_a_zip_that_lies_about_its_size_is_refused(tmp_path: Path) -> None:
    """The directory says 100 bytes; 64 MB come out."""
    bomb = bytearray(zipped({"zeros.csv": b"0" * (64 << 20)}))
    size = (64 << 20).to_bytes(4, "little")
    while (at := bomb.find(size)) >= 0:
        bomb[at : at + 4] = (100).to_bytes(4, "little")
    assert {"RATIO", "DAMAGED_ARCHIVE", "FORMAT"} & set(fatal(bring(tmp_path, {"bomb.zip": bytes(bomb)})))
    assert sum(path.stat().st_size for path in (tmp_path / "scratch").rglob("*")) < 16 << 20


@pytest.mark.parametrize("name", ["../../evil.csv", "/etc/evil.csv", "C:\\evil.csv", "..\\evil.csv"])
def test_34_a_member_that_points_outside_is_refused(tmp_path: Path, name: str) -> None:
    assert "ZIP_SLIP" in fatal(bring(tmp_path, {"x.zip": zipped({name: table(GOLDEN)})}))
    assert not list(tmp_path.rglob("evil.csv"))


def test_34_a_link_in_a_zip_is_refused(tmp_path: Path) -> None:
    link = zipfile.ZipInfo("link.csv")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    assert "ZIP_LINK" in fatal(bring(tmp_path, {"x.zip": zipped({link: b"/etc/passwd"})}))


def test_34_an_archive_in_an_archive_is_refused(tmp_path: Path) -> None:
    assert "NESTED_ARCHIVE" in fatal(bring(tmp_path, {"x.zip": zipped({"inner.zip": zipped({"a.csv": table(GOLDEN)})})}))
    assert "NESTED_ARCHIVE" in fatal(bring(tmp_path, {"x.gz": gzip.compress(gzip.compress(table(GOLDEN)))}))


def test_34_too_many_members_are_refused(tmp_path: Path) -> None:
    assert "ZIP_ENTRIES" in fatal(bring(tmp_path, {"x.zip": zipped({f"{index}": b"" for index in range(LIMITS.entries + 1)})}))


def test_34_an_encrypted_member_is_refused(tmp_path: Path) -> None:
    content = bytearray(zipped({"a.csv": table(GOLDEN)}))
    local, central = content.find(b"PK\x03\x04"), content.find(b"PK\x01\x02")
    content[local + 6] |= 1
    content[central + 8] |= 1
    assert "ZIP_ENCRYPTED" in fatal(bring(tmp_path, {"x.zip": bytes(content)}))


def test_34_a_zip_of_tables_is_read_as_if_they_came_one_by_one(tmp_path: Path) -> None:
    venues = [[place, *values] for place, values in PLACES.items()]
    members = {
        "set/visits.csv": table([[row[0], row[1], row[4]] for row in GOLDEN], ["user_id", "location_id", "time"]),
        "set/venues.csv": table(venues, ["venue_id", "lat", "lon", "category"]),
        "set/README.txt": b"Some words about the data.\n",
    }
    upload = bring(tmp_path, {"set.zip": zipped(members)})
    city = city_of(upload)
    assert (len(city.table("visits")), len(city.table("locations"))) == (40, 4)
    assert [seen.file for seen in upload.seen][:2] == ["set.zip/set/visits.csv", "set.zip/set/venues.csv"]


def test_all_problems_of_an_upload_are_told_at_once(tmp_path: Path) -> None:
    """Two broken files and one with two different faults: four problems, not the first one."""
    rows = [row[:4] if index == 11 else row for index, row in enumerate(with_column(GOLDEN, "latitude", ["north"] * 40))]
    upload = bring(tmp_path, {"a.csv": b"", "b.csv": table([]), "c.csv": table(rows)})
    assert {(problem.file, problem.code) for problem in fatal(upload).values()} >= {
        ("a.csv", "EMPTY"),
        ("b.csv", "NO_ROWS"),
        ("c.csv", "RAGGED"),
        ("c.csv", "COORDINATES_UNREADABLE"),
    }
