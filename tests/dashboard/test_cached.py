"""The caches answer for the city that is asked about, not for one that looks like it."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import streamlit as st

from dashboard import cached
from engine.city.city import City
from engine.errors import CityError


@pytest.fixture(autouse=True)
def empty_caches() -> None:
    st.cache_data.clear()
    st.cache_resource.clear()


def big_city(tiny_city: City, hour_of_row_40000: int) -> City:
    """A city of 60,000 visits, all at 3 o'clock local time but one."""
    locations = tiny_city.spatial("locations")
    rows = 60_000
    times = pd.Series(pd.Timestamp("2025-09-01 03:00", tz=tiny_city.time_zone)).repeat(rows).reset_index(drop=True)
    times = times + pd.to_timedelta(np.arange(rows) % 50, unit="D")
    times[40_000] = times[40_000].replace(hour=hour_of_row_40000)
    visits = pd.DataFrame(
        {
            "user_id": pd.Series(np.arange(rows) // 50, dtype=str),
            "location_id": pd.Series(locations["location_id"].to_numpy()[np.arange(rows) % len(locations)], dtype="str"),
            "started_at": times.dt.tz_convert("UTC"),
        }
    )
    return City.build("big", {"locations": locations, "visits": visits}, time_zone=tiny_city.time_zone)


def test_one_changed_cell_of_sixty_thousand_rows_changes_what_is_shown(own_home: Path, tiny_city: City) -> None:
    """Streamlit hashes only a sample of a big frame; a cache keyed by the frame would show the old picture."""
    big_city(tiny_city, hour_of_row_40000=3).save(own_home / "cities" / "big")
    assert cached.city_rhythm("big")[:, 3].sum() == 60_000
    before = cached.city("big").fingerprint
    big_city(tiny_city, hour_of_row_40000=17).save(own_home / "cities" / "big")
    assert cached.city("big").fingerprint != before
    assert cached.city_rhythm("big")[:, 3].sum() == 59_999
    assert cached.city_rhythm("big")[:, 17].sum() == 1


def test_facts_are_counted_in_local_time(own_home: Path, tiny_city: City) -> None:
    tiny_city.save(own_home / "cities" / "aldhaven")
    facts, visits = cached.city_facts("aldhaven"), tiny_city.table("visits")
    local = visits["started_at"].dt.tz_convert(tiny_city.time_zone)
    assert (facts.visits, facts.people) == (len(visits), visits["user_id"].nunique())
    assert facts.first == local.min().tz_localize(None).normalize()
    assert cached.city_rhythm("aldhaven").sum() == len(visits)


def test_two_homes_with_a_city_of_the_same_name_are_two_cities(
    tmp_path: Path, tiny_city: City, monkeypatch: pytest.MonkeyPatch
) -> None:
    tiny_city.save(tmp_path / "one" / "cities" / "same")
    tiny_city.replace(visits=None).save(tmp_path / "two" / "cities" / "same")
    monkeypatch.setenv("MOBISCOPE_HOME", str(tmp_path / "one"))
    assert cached.city_facts("same").visits > 0
    monkeypatch.setenv("MOBISCOPE_HOME", str(tmp_path / "two"))
    assert cached.city_facts("same").visits == 0


def test_damaged_cities_are_left_out_of_the_list_and_refused_when_asked_for(own_home: Path, tiny_city: City) -> None:
    tiny_city.save(own_home / "cities" / "good")
    (own_home / "cities" / "bad").mkdir()
    (own_home / "cities" / "bad" / "city.json").write_text("{")
    assert [entry.slug for entry in cached.cities()] == ["good"]
    with pytest.raises(CityError, match="not here any more"):
        cached.city("gone")


def test_a_deleted_city_leaves_nothing_in_memory(own_home: Path, tiny_city: City) -> None:
    from engine.city.city import delete_city

    tiny_city.save(own_home / "cities" / "aldhaven")
    cached.city_facts("aldhaven")
    delete_city("aldhaven")
    cached.forget_city("aldhaven")
    assert cached.cities() == []
    with pytest.raises(CityError):
        cached.city_facts("aldhaven")


def test_geometries_are_shown_as_points_inside_them(own_home: Path, tiny_city: City) -> None:
    tiny_city.save(own_home / "cities" / "aldhaven")
    head = cached.table_head("aldhaven", "cells", rows=5)
    assert "geometry" not in head
    west, south, east, north = tiny_city.spatial("cells").total_bounds
    assert head["longitude"].between(west, east).all() and head["latitude"].between(south, north).all()


def test_the_built_in_city_is_known_by_what_made_it_not_by_its_name(own_home: Path, tiny_city: City) -> None:
    tiny_city.save(own_home / "cities" / "tiny")
    assert cached.built_in_city() is None
    demo = City.build(
        "renamed",
        {"locations": tiny_city.spatial("locations")},
        time_zone="UTC",
        provenance={"kind": "synthetic", "size": "demo", "seed": 0},
    )
    demo.save(own_home / "cities" / "renamed")
    assert cached.built_in_city() == "renamed"
