"""The two FSQ-NYC sets go through the generic reader with a mapping nobody had to correct."""

from pathlib import Path

import pytest

from engine.city.ingest import ingest, inspect
from engine.city.samples import VisitLog, build_samples
from engine.city.splits import PARTS, Split

pytestmark = pytest.mark.real


def test_into_the_unknown_gives_the_published_sample_counts(real_data: Path) -> None:
    """The counts of specs/calliper.md: 48606 training, 11510 validation and 12141 test samples."""
    city = ingest([real_data / "fsq_nyc_intotheunknown" / "checkins.csv.gz"], "into the unknown")
    samples = build_samples(VisitLog.of(city, Split(kind="published")))
    assert [len(samples.of_part(part)) for part in PARTS] == [48606, 11510, 12141]
    assert len(city.table("visits")) == 95372
    assert len(city.table("locations")) == 4019
    assert city.time_zone == "America/New_York"
    assert any("wall-clock times of America/New_York" in sentence for sentence in city.info.data_card.assumptions)


def test_into_the_unknown_maps_the_real_venue_id(real_data: Path) -> None:
    """`location_id` (hexadecimal), not `location_id_num`, where 1 stands for 138 different places."""
    inspection = inspect([real_data / "fsq_nyc_intotheunknown" / "checkins.csv.gz"])
    (file,) = inspection.files
    assert inspection.is_ready
    assert file.reader == "checkins"
    assert file.mapping == {
        "user_id": "user_id",
        "started_at": "local_time",
        "location_id": "location_id",
        "latitude": "latitude",
        "longitude": "longitude",
        "split": "split",
        "category": "category_name",
    }


def test_qt_mob_joins_visits_and_venues(real_data: Path) -> None:
    """66,504 check-ins, 5,765 venues (one never visited), sessions and split as published; user ids stay text."""
    folder = real_data / "fsq_nyc_qtmob"
    city = ingest([folder / "checkins.csv", folder / "venues.csv"], "qt-mob")
    visits, locations = city.table("visits"), city.table("locations")
    assert (len(visits), len(locations)) == (66504, 5765)
    assert visits["split"].value_counts().to_dict() == {"train": 48043, "test": 13208, "valid": 5253}
    assert visits["session_id"].nunique() == 11297
    assert visits["user_id"].nunique() == 1055
    first = locations.set_index("location_id").loc["0"]
    assert (first["name"], first["category"], first["parent_category"]) == ("Hi-Life Bar & Grill", "Bar", "Nightlife Spot")
    assert (first.geometry.y, first.geometry.x) == (40.785677, -73.976498)


def test_qt_mob_without_its_venues_has_no_names_but_still_positions(real_data: Path) -> None:
    city = ingest([real_data / "fsq_nyc_qtmob" / "checkins.csv"], "qt-mob alone")
    assert len(city.table("locations")) == 5764
    assert set(city.table("locations")["category"]) == {""}


def test_geolife_points_become_stays_in_beijing(real_data: Path) -> None:
    """164,531 points of eleven people in Beijing; people stay apart, every point is accounted for, times are UTC."""
    city = ingest([real_data / "geolife" / "trackintel_geolife_long.csv.gz"], "geolife")
    (card,) = city.info.data_card.files
    assert card.recognised_as == "gps"
    assert card.rows_in == 164531
    assert city.time_zone == "Asia/Shanghai"
    visits = city.table("visits")
    assert (visits["finished_at"] - visits["started_at"]).dt.total_seconds().min() >= 30 * 60
    assert set(visits["user_id"]) <= {f"{person:03d}" for person in range(11)}
    assert visits["started_at"].dt.year.isin([2007, 2008]).all()
