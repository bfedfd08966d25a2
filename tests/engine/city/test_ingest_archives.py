"""Bad archives (reliability.md §5: 33, 34): bombs, slips, links, nesting; and zips that are read as their files."""

import gzip
import io
import stat
import zipfile
from pathlib import Path

import pytest

from engine.city.readers.archives import LIMITS
from tests.engine.city.upload_files import (
    GOLDEN,
    PLACES,
    bring,
    choose,
    city_of,
    fatal,
    table,
    with_cell,
)


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


STRAYS = {
    "set/licence.pdf": b"%PDF-1.7\n1 0 obj\n",
    "set/Thumbs.db": b"\xd0\xcf\x11\xe0" + bytes(100),
    "set/empty.csv": b"",
    "set/noise.bin": bytes(range(256)) * 40,
}


def test_members_that_are_no_data_are_named_and_left_out(tmp_path: Path) -> None:
    upload = bring(tmp_path, {"set.zip": zipped({**STRAYS, "set/visits.csv": table(GOLDEN)})})
    assert len(city_of(upload).table("visits")) == 40
    told = [problem for problem in upload.combined.problems if problem.mend == "It was left out."]
    assert {problem.file for problem in told} == {f"set.zip/{name}" for name in STRAYS}
    assert not any(problem.fatal for problem in told)


def test_a_zip_of_nothing_but_strays_is_refused(tmp_path: Path) -> None:
    assert "NOTHING" in fatal(bring(tmp_path, {"set.zip": zipped(STRAYS)}))


def test_a_member_that_was_chosen_and_cannot_be_read_is_refused(tmp_path: Path) -> None:
    content = {"set.zip": zipped({"visits.csv": table(GOLDEN), "more.csv": b""})}
    assert fatal(bring(tmp_path, content, choose("set.zip/more.csv", reader="checkins")))["EMPTY"].file == "set.zip/more.csv"


def test_a_member_can_be_left_out_whatever_it_holds(tmp_path: Path) -> None:
    broken = table([*GOLDEN, *[["too", "few"]] * 40])
    content = {"set.zip": zipped({"visits.csv": table(GOLDEN), "broken.csv": broken})}
    assert "RAGGED" in fatal(bring(tmp_path, content))
    upload = bring(tmp_path, content, choose("set.zip/broken.csv", reader="skip"))
    assert len(city_of(upload).table("visits")) == 40
    assert not any(card.file == "set.zip/broken.csv" for card in upload.combined.card.files)


def test_a_member_of_unknown_encoding_is_asked_about_and_can_be_answered(tmp_path: Path) -> None:
    odd = table(with_cell(GOLDEN, 1, "category", "B\x81r"), encoding="latin-1")
    content = {"set.zip": zipped({"visits.csv": odd})}
    assert fatal(bring(tmp_path, content))["ENCODING"].file == "set.zip/visits.csv"
    chosen = bring(tmp_path, content, choose("set.zip/visits.csv", encoding="latin-1"))
    assert len(city_of(chosen).table("visits")) == 40


def test_a_bomb_beside_data_is_still_refused(tmp_path: Path) -> None:
    """Its directory lies about its size, so that only unpacking shows it."""
    bomb = bytearray(zipped({"visits.csv": table(GOLDEN), "zeros.csv": b"0" * (64 << 20)}))
    size = (64 << 20).to_bytes(4, "little")
    while (at := bomb.find(size)) >= 0:
        bomb[at : at + 4] = (100).to_bytes(4, "little")
    assert {"RATIO", "DAMAGED_ARCHIVE"} & set(fatal(bring(tmp_path, {"x.zip": bytes(bomb)})))
