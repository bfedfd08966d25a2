"""Several files become one city: what they say together, what is said twice, what does not fit."""

from pathlib import Path

import pandas as pd
import pytest

from engine.city import reading
from engine.city.recipe import IngestChoices
from tests.engine.city.upload_files import GOLDEN, HEADER, bring, city_of, fatal, table, with_column


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
