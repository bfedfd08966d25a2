"""Several files become one city: what they say together, what is said twice, what does not fit."""

from pathlib import Path

import pandas as pd
import pytest

from engine.city import reading
from engine.city.recipe import IngestChoices
from tests.engine.city.upload_files import GOLDEN, HEADER, bring, city_of, dropped, fatal, table, warnings, with_column


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


def stays(first: int, last: int, more: str, value) -> bytes:
    """Rows of the golden table with one column more, whose values follow from the row's time."""
    rows = [[*row, value(row[4])] for row in GOLDEN[first:last]]
    return table(rows, [*HEADER, more])


@pytest.mark.parametrize("column", ["split", "session_id"])
def test_a_text_that_only_one_file_brings_is_empty_for_the_other_ones_visits(tmp_path: Path, column: str) -> None:
    files = {"with.csv": stays(0, 20, column, lambda moment: "test"), "without.csv": table(GOLDEN[20:])}
    visits = city_of(bring(tmp_path, files)).table("visits")
    assert (len(visits), int(visits[column].notna().sum())) == (40, 20)
    assert set(visits[column].dropna()) == {"test"}


@pytest.mark.parametrize("order", [("with.csv", "without.csv"), ("without.csv", "with.csv")])
def test_departures_that_only_one_file_brings_are_unknown_for_the_other_ones_visits(tmp_path: Path, order: tuple[str, str]) -> None:
    """Every stay of the one file lasts an hour."""
    files = {"with.csv": stays(0, 20, "finished_at", lambda moment: moment[:14] + "59:59Z"), "without.csv": table(GOLDEN[20:])}
    visits = city_of(bring(tmp_path, {name: files[name] for name in order})).table("visits")
    known = visits["finished_at"].notna()
    assert (len(visits), int(known.sum())) == (40, 20)
    assert set((visits["finished_at"] - visits["started_at"])[known]) == {pd.Timedelta("59min 59s")}


def test_a_mistake_of_ours_while_joining_files_is_said_as_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The reading child would die otherwise, and blame a damaged file."""

    def fail(*_: object) -> None:
        raise KeyError("unforeseen")

    monkeypatch.setattr(reading, "combine", fail)
    path = tmp_path / "a.csv"
    path.write_bytes(table(GOLDEN))
    upload = reading.read_upload([(path, "a.csv")], IngestChoices(), tmp_path)
    assert "KeyError" in fatal(upload)["INTERNAL"].found
    assert [card.rows_kept for card in upload.combined.card.files] == [40]


def test_visits_that_an_earlier_file_brought_are_left_out_and_counted(tmp_path: Path) -> None:
    """Two exports overlap by ten rows, which stand in the second one's card."""
    upload = bring(tmp_path, {"march.csv": table(GOLDEN[:25]), "april.csv": table(GOLDEN[15:])})
    march, april = upload.combined.card.files
    assert (march.rows_kept, april.rows_kept) == (25, 15)
    assert dropped(upload) == {"IN_EARLIER_FILE": 10}
    assert (warnings(upload)["IN_EARLIER_FILE"].file, warnings(upload)["IN_EARLIER_FILE"].rows) == ("april.csv", 10)
    assert city_of(upload).fingerprint == city_of(bring(tmp_path, {"all.csv": table(GOLDEN)})).fingerprint


def test_visits_of_two_files_that_differ_in_anything_are_kept(tmp_path: Path) -> None:
    """The same rows, but one person, one place or one second off."""
    first, second, third = GOLDEN[0], GOLDEN[1], GOLDEN[2]
    other = [["u9", *first[1:]], [second[0], "v9", *second[2:]], [*third[:4], third[4].replace("00Z", "01Z"), third[5]]]
    upload = bring(tmp_path, {"a.csv": table(GOLDEN[:3]), "b.csv": table(other)})
    assert dropped(upload) == {}
    assert len(city_of(upload).table("visits")) == 6


def test_rows_a_file_repeats_for_reasons_of_its_own_are_not_blamed_on_another(tmp_path: Path) -> None:
    """A serial number tells two rows apart; the other file has other visits."""
    rows = [[*row, str(index)] for index, row in enumerate([*GOLDEN[:20], GOLDEN[3]])]
    upload = bring(tmp_path, {"a.csv": table(GOLDEN[20:]), "b.csv": table(rows, [*HEADER, "serial"])})
    assert len(city_of(upload).table("visits")) == 41


def test_visits_of_an_earlier_file_that_say_something_else_are_told(tmp_path: Path) -> None:
    """Five rows overlap; only one of the files knows sessions, so it cannot be told whether they are the same."""
    upload = bring(tmp_path, {"a.csv": stays(0, 25, "session_id", lambda moment: "s"), "b.csv": table(GOLDEN[20:])})
    told = warnings(upload)["SAME_VISIT"]
    assert (told.file, told.rows) == ("b.csv", 5)
    assert "`session_id`" in told.found
    assert len(city_of(upload).table("visits")) == 45
