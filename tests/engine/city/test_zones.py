"""The clock of a city from where it lies: right for large cities, unsure where it must be."""

from zoneinfo import ZoneInfo, available_timezones

import numpy as np
import pytest

from engine.city.zones import _CITIES, guess_zone


@pytest.mark.parametrize(
    ("longitude", "latitude", "zone"),
    [
        (-73.99, 40.74, "America/New_York"),
        (116.35, 39.98, "Asia/Shanghai"),
        (139.70, 35.68, "Asia/Tokyo"),
        (13.40, 52.52, "Europe/Berlin"),
        (-0.12, 51.50, "Europe/London"),
        (-87.63, 41.88, "America/Chicago"),
        (-46.63, -23.55, "America/Sao_Paulo"),
        (77.21, 28.61, "Asia/Kolkata"),
        (151.21, -33.87, "Australia/Sydney"),
        (28.98, 41.01, "Europe/Istanbul"),
        (31.24, 30.04, "Africa/Cairo"),
        (-112.07, 33.45, "America/Phoenix"),
    ],
)
def test_large_cities_keep_their_own_clock(longitude: float, latitude: float, zone: str) -> None:
    guess = guess_zone(np.array([longitude]), np.array([latitude]))
    assert (guess.name, guess.certain) == (zone, True)


def test_the_middle_of_an_ocean_is_unsure() -> None:
    assert not guess_zone(np.array([-40.0]), np.array([31.0])).certain


def test_data_from_all_over_the_world_is_unsure() -> None:
    assert not guess_zone(np.array([-120.0, -74.0, 2.0, 139.0]), np.array([37.0, 40.7, 48.9, 35.7])).certain


def test_every_city_of_the_table_lies_in_a_zone_that_exists() -> None:
    for zone, cities in _CITIES.items():
        assert zone in available_timezones()
        assert ZoneInfo(zone)
        for longitude, latitude in cities:
            assert guess_zone(np.array([longitude]), np.array([latitude])).name == zone
