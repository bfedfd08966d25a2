"""Bad rows and columns (reliability.md §5: 21-28, 31): repeats, strange ids, ragged rows, open quotes, enormous cells."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from engine.city.readers.archives import LIMITS
from engine.city.readers.sniff import SAMPLE_BYTES
from tests.engine.city.upload_files import (
    GOLDEN,
    HEADER,
    PLACES,
    bring,
    city_of,
    dropped,
    fatal,
    golden_rows,
    read_golden,
    table,
    warnings,
    with_cell,
)


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


def test_a_table_of_which_no_row_is_left_says_why(tmp_path: Path) -> None:
    rows = [["", *row[1:]] if index < 30 else [*row[:4], "", row[5]] for index, row in enumerate(GOLDEN)]
    problem = fatal(read_golden(tmp_path, rows))["NOTHING_LEFT"]
    assert problem.found == "None of the 40 rows can be used: the row names no person (30); the row has no time (10)."


def test_26_duplicate_column_names_are_refused(tmp_path: Path) -> None:
    header = ["user_id", "location_id", "latitude", "latitude", "time", "category"]
    problem = fatal(bring(tmp_path, {"x.csv": table(GOLDEN, header)}))["DUPLICATE_COLUMN"]
    assert problem.column == "latitude"


def test_26_columns_without_a_name_are_no_duplicates(tmp_path: Path) -> None:
    """Two empty columns at the end, as spreadsheets write them, and a repeated row, for which all columns are compared."""
    rows = [[*row, "", ""] for row in [*GOLDEN, GOLDEN[3]]]
    rows[3][6] = rows[-1][6] = "a note"
    upload = bring(tmp_path, {"x.csv": table(rows, [*HEADER, "", ""])})
    assert [column.name for column in upload.seen[0].columns][-2:] == ["column 7", "column 8"]
    assert dropped(upload) == {"DUPLICATE": 1}


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


def test_28_quotes_that_first_come_late_in_a_large_file_are_quotes(tmp_path: Path) -> None:
    """Thousands of plain names, then one with a comma in it."""
    rows = [[f"u{index}", *GOLDEN[index % 40][1:]] for index in range(6000)]
    rows[5990] = ["u5990", "v9", "40.75", "-73.98", "2012-04-09T08:00:00Z", '"Bar, Grill"']
    content = table(rows)
    assert content.index(b'"') > SAMPLE_BYTES
    upload = bring(tmp_path, {"x.csv": content})
    assert dropped(upload) == {}
    assert "Bar, Grill" in set(city_of(upload).table("locations")["category"])


def test_31_too_many_columns_are_refused(tmp_path: Path) -> None:
    header = [*HEADER, *(f"more{index}" for index in range(LIMITS.columns))]
    assert "COLUMNS" in fatal(bring(tmp_path, {"wide.csv": table([[*row, *[""] * LIMITS.columns] for row in GOLDEN[:3]], header)}))


def test_31_an_enormous_cell_is_refused(tmp_path: Path) -> None:
    rows = with_cell(GOLDEN, 30, "category", "x" * (40 << 20))
    assert "CELL_SIZE" in fatal(read_golden(tmp_path, rows))
