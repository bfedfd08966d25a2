"""Uploads as bytes (reliability.md §5: 1-6, 29, 30): emptiness, encodings, delimiters, size; told or refused in words."""

import dataclasses
from pathlib import Path

import pytest

from engine.city.ingest import ingest
from engine.city.readers.archives import LIMITS
from engine.errors import IngestError
from tests.engine.city.upload_files import (
    GOLDEN,
    PLACES,
    bring,
    choose,
    city_of,
    fatal,
    read_golden,
    table,
    warnings,
    with_cell,
    with_column,
)


def test_the_golden_table_is_read_whole(tmp_path: Path) -> None:
    """40 visits of 4 people at 4 places, all kept, in New York time; categories from the rows."""
    city = city_of(read_golden(tmp_path))
    visits, locations = city.table("visits"), city.table("locations")
    assert (len(visits), len(locations), city.time_zone) == (40, 4, "America/New_York")
    assert locations.set_index("location_id")["category"].to_dict() == {place: PLACES[place][2] for place in PLACES}
    assert str(visits["started_at"].iloc[0]) == "2012-04-03 08:00:00+00:00"
    assert list(visits["user_id"]) == sorted(visits["user_id"])


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
