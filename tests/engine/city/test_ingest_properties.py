"""What holds for every upload: any bytes give an answer, no row is lost, order does not matter, shifts shift."""

import io
import string
import tempfile
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.city.readers import READERS
from engine.city.recipe import IngestChoices
from engine.errors import IngestError
from tests.engine.city.upload_files import HEADER, assert_nothing_lost, bring, choose, city_of, golden_rows, table

QUICK = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
GOLDEN = table(golden_rows())


def answer(content: bytes, choices: IngestChoices | None = None) -> None:
    """Reads any bytes; anything but an upload whose rows are all accounted for fails the test."""
    with tempfile.TemporaryDirectory() as folder:
        upload = bring(Path(folder), {"file": content}, choices)
        assert_nothing_lost(upload)
        if any(problem.fatal for problem in upload.combined.problems):
            assert all(str(problem) for problem in upload.combined.problems)
            return
        try:
            city_of(upload)
        except IngestError as error:
            assert str(error)


@QUICK
@given(st.binary(max_size=3000))
def test_any_bytes_give_an_answer(content: bytes) -> None:
    answer(content)


@QUICK
@given(st.text(alphabet=string.printable + "é東\x00\u202e", max_size=1500))
def test_any_text_gives_an_answer(content: str) -> None:
    answer(content.encode("utf-8", "ignore"))


@QUICK
@given(
    st.lists(
        st.lists(
            st.one_of(st.text(max_size=12), st.integers().map(str), st.floats().map(str), st.datetimes().map(str)), max_size=8
        ),
        max_size=30,
    )
)
def test_any_cells_under_the_right_header_give_an_answer(rows: list[list[str]]) -> None:
    clean = [[value.replace(",", " ").replace("\n", " ") for value in row] for row in rows]
    answer(table(clean), choose(reader="checkins", time_zone="America/New_York"))


@QUICK
@given(st.data())
def test_a_mutated_table_gives_an_answer(data: st.DataObject) -> None:
    """Bits flipped, ends cut off, pieces of other files spliced in."""
    content = bytearray(GOLDEN)
    for _ in range(data.draw(st.integers(0, 6))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, 16)) * len(content) // 16
    splice = data.draw(
        st.sampled_from([b"", b"PAR1", b"PK\x03\x04", b"\x1f\x8b", b'{"type":"FeatureCollection"', b"II*\x00", b'"', b"\x00" * 40])
    )
    answer(bytes(content[:cut]) + splice + bytes(content[cut:]))


HEADERS = {
    "places": ["location_id", "latitude", "longitude", "category"],
    "checkins": HEADER,
    "weather": ["date", "temperature_c", "precipitation_mm"],
    "flows": ["cell_id", "hour", "outflow"],
    "libcity geo": ["geo_id", "type", "coordinates"],
    "libcity flows": ["dyna_id", "type", "time", "entity_id", "outflow"],
    "a city's own table": ["user_id", "location_id", "started_at"],
}


@pytest.mark.parametrize("reader", [None, *sorted(READERS)])
@pytest.mark.parametrize("columns", HEADERS.values(), ids=list(HEADERS))
def test_a_table_of_which_no_line_can_be_read_is_refused_in_words(columns: list[str], reader: str | None) -> None:
    """Every line has more fields than the header: not one row reaches the reader."""
    content = table([["x"] * (len(columns) + 3)] * 4, columns)
    answer(content, choose(reader=reader) if reader else None)


@pytest.mark.parametrize("reader", sorted(READERS))
@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.sampled_from([0, 1, 2, 3]), st.integers(0, 15))
def test_every_reader_answers_for_files_that_are_not_its_own(reader: str, which: int, cut: int) -> None:
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w") as archive:
        archive.writestr("a.csv", GOLDEN)
    parquet = io.BytesIO()
    pd.DataFrame(golden_rows(), columns=HEADER).to_parquet(parquet)
    content = [GOLDEN, sink.getvalue(), parquet.getvalue(), b'[{"a": 1}, {"a": [1, {"b": null}]}]'][which]
    answer(content[: len(content) * (cut + 1) // 16], choose(reader=reader))


cells = st.sampled_from(
    [
        "",
        "NaN",
        "0",
        "40.7",
        "-73.9",
        "91",
        "181",
        "north",
        "2012-04-03T08:00:00Z",
        "1970-01-01T00:00:00Z",
        "2099-01-01T00:00:00Z",
        "x",
    ]
)


@QUICK
@given(
    st.lists(st.tuples(st.integers(1, 60), st.sampled_from(HEADER), cells), max_size=25), st.lists(st.integers(0, 59), max_size=5)
)
def test_every_row_is_kept_or_dropped_for_one_reason(changes: list[tuple[int, str, str]], repeats: list[int]) -> None:
    """The reader's own count of rows against the file's."""
    rows = golden_rows(60)
    for row, column, value in changes:
        rows[row - 1][HEADER.index(column)] = value
    rows += [rows[index] for index in repeats]
    with tempfile.TemporaryDirectory() as folder:
        upload = bring(Path(folder), {"file": table(rows)}, choose(reader="checkins", time_zone="America/New_York"))
        for card in upload.combined.card.files:
            assert card.rows_in == len(rows)
            assert card.rows_kept + sum(rule.rows for rule in card.dropped) == len(rows)
        if "visits" in upload.combined.tables:
            assert len(upload.combined.tables["visits"]) == upload.combined.card.files[0].rows_kept


@QUICK
@given(st.permutations(range(40)))
def test_the_order_of_rows_does_not_matter(order: list[int]) -> None:
    rows = golden_rows()
    with tempfile.TemporaryDirectory() as first, tempfile.TemporaryDirectory() as second:
        sorted_city = city_of(bring(Path(first), {"file": table(rows)}))
        shuffled_city = city_of(bring(Path(second), {"file": table([rows[index] for index in order])}))
    assert sorted_city.fingerprint == shuffled_city.fingerprint


def test_every_row_twice_is_the_same_city(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    once, twice = (city_of(bring(tmp_path / name, {"file": table(golden_rows() * times)})) for name, times in (("a", 1), ("b", 2)))
    assert once.fingerprint == twice.fingerprint


def test_a_week_later_is_the_same_city_a_week_later(tmp_path: Path) -> None:
    rows = golden_rows()
    later = [[*row[:4], (pd.Timestamp(row[4]) + pd.Timedelta(weeks=1)).strftime("%Y-%m-%dT%H:%M:%SZ"), row[5]] for row in rows]
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    first, second = city_of(bring(tmp_path / "a", {"f": table(rows)})), city_of(bring(tmp_path / "b", {"f": table(later)}))
    assert first.info.table_hashes["locations"] == second.info.table_hashes["locations"]
    shift = second.table("visits")["started_at"] - first.table("visits")["started_at"]
    assert np.all(shift == pd.Timedelta(weeks=1))
