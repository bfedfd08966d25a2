"""Looking at text: delimiter, decimal mark, header, quotes; and saying what a file is that cannot be read."""

import gzip
from pathlib import Path

import pytest

from engine.city.readers.sniff import sniff, sniff_table
from engine.errors import IngestError


def test_the_header_is_told_by_what_stands_below_it() -> None:
    assert sniff_table("user,lat\nu1,40.7\nu2,40.8\n").header
    assert not sniff_table("u1,40.7\nu2,40.8\n").header
    assert sniff_table("name,colour\nAnna,red\nBert,blue\n").header
    assert sniff_table("zone,0,1,2,3\nA,5,6,7,8\nB,1,2,3,4\n").header
    assert not sniff_table("0,0,16,80,120\n0,0,17,81,120\n").header


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_delimiters_are_told_by_steady_counts(delimiter: str) -> None:
    text = "\n".join(delimiter.join(row) for row in (["id", "note", "x"], ["1", "a b", "2.5"], ["2", "c", "3.5"]))
    assert sniff_table(text).delimiter == delimiter


def test_delimiters_inside_quotes_do_not_count() -> None:
    seen = sniff_table('id,note\n1,"a;b;c"\n2,"d;e;f"\n')
    assert (seen.delimiter, seen.quoted, seen.columns) == (",", True, ("id", "note"))


def test_decimal_commas_are_told_from_thousands() -> None:
    assert sniff_table("a;b\n52,51;13,4\n52,52;13,5\n").decimal == ","
    assert sniff_table("a;b\n52.51;13.4\n").decimal == "."


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"%PDF-1.7 ...", "PDF"),
        (b"\x80\x04\x95\x00\x00", "pickle"),
        (b"7z\xbc\xaf\x27\x1c\x00", "7z"),
        (b"\x00\x00\x27\x0a" + bytes(100), "Shapefile"),
        (b"\x7fELF\x02\x01", "program"),
        (bytes(range(1, 9)) * 200, "neither text"),
    ],
)
def test_foreign_files_are_named(tmp_path: Path, content: bytes, words: str) -> None:
    (tmp_path / "x").write_bytes(content)
    with pytest.raises(IngestError, match=words):
        sniff(tmp_path / "x", "x.csv", tmp_path)


def test_the_hash_is_of_the_file_as_uploaded(tmp_path: Path) -> None:
    import hashlib

    packed = gzip.compress(b"a,b\n1,2\n")
    (tmp_path / "x").write_bytes(packed)
    assert sniff(tmp_path / "x", "x", tmp_path).sha256 == hashlib.sha256(packed).hexdigest()


def test_the_ending_of_a_name_means_nothing(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"user,lat\nu1,40.7\n")
    assert sniff(tmp_path / "x", "photo.jpg", tmp_path).columns == ("user", "lat")
