"""Several files become one city: what they say together, what is said twice, what does not fit."""

from pathlib import Path

from tests.engine.city.upload_files import (
    GOLDEN,
    bring,
    fatal,
    table,
    with_column,
)


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
