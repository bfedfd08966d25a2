"""The clock of a city from where it lies: right for large cities, unsure where it must be."""

from zoneinfo import available_timezones

import numpy as np
import pytest

from engine.city.zone_cities import CITIES
from engine.city.zones import guess_zone


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


@pytest.mark.parametrize(
    ("longitude", "latitude", "zone"),
    [
        (115.20, -8.65, "Asia/Makassar"),
        (100.33, 5.41, "Asia/Kuala_Lumpur"),
        (104.03, 1.13, "Asia/Jakarta"),
        (103.82, 1.35, "Asia/Singapore"),
        (85.14, 25.60, "Asia/Kolkata"),
        (88.43, 26.72, "Asia/Kolkata"),
        (91.75, 26.15, "Asia/Kolkata"),
        (74.87, 31.63, "Asia/Kolkata"),
        (74.34, 31.55, "Asia/Karachi"),
        (91.12, 29.65, "Asia/Shanghai"),
        (59.60, 36.30, "Asia/Tehran"),
        (46.30, 38.08, "Asia/Tehran"),
        (-8.72, 42.23, "Europe/Madrid"),
        (-8.41, 43.36, "Europe/Madrid"),
        (21.23, 45.75, "Europe/Bucharest"),
        (21.93, 47.05, "Europe/Bucharest"),
        (18.07, 59.33, "Europe/Stockholm"),
        (153.61, -28.64, "Australia/Sydney"),
        (142.15, -34.19, "Australia/Melbourne"),
        (-86.25, 41.68, "America/Indiana/Indianapolis"),
        (-89.25, 48.38, "America/Toronto"),
    ],
    ids=[
        "Bali", "Penang", "Batam", "Singapore", "Patna", "Siliguri", "Guwahati", "Amritsar", "Lahore", "Lhasa", "Mashhad", "Tabriz",
        "Vigo", "A Coruña", "Timișoara", "Oradea", "Stockholm", "Byron Bay", "Mildura", "South Bend", "Thunder Bay",
    ],
)  # fmt: skip
def test_cities_near_another_clock_keep_their_own(longitude: float, latitude: float, zone: str) -> None:
    guess = guess_zone(np.array([longitude]), np.array([latitude]))
    assert (guess.name, guess.certain) == (zone, True)


@pytest.mark.parametrize(
    ("longitude", "latitude"),
    [(-8.64, 42.05), (74.60, 31.60), (87.60, 43.80), (-55.90, -27.37)],
    ids=["Tui, across the river from Portugal", "Attari, at Pakistan's gate", "Ürümqi, of two clocks", "Posadas, beside Paraguay"],
)
def test_places_on_the_border_of_two_clocks_are_unsure(longitude: float, latitude: float) -> None:
    assert not guess_zone(np.array([longitude]), np.array([latitude])).certain


def test_clocks_are_compared_over_the_years_of_the_data() -> None:
    """Between Louisville and Marengo, Indiana: Indiana kept winter time all year until 2006, and Kentucky's clock since."""
    place = np.array([-85.95]), np.array([38.25])
    assert not guess_zone(*place, years=[2004]).certain
    assert guess_zone(*place, years=[2012]).certain
    assert not guess_zone(*place, years=[2004, 2012]).certain


def test_the_middle_of_an_ocean_is_unsure() -> None:
    assert not guess_zone(np.array([-40.0]), np.array([31.0])).certain


def test_data_from_all_over_the_world_is_unsure() -> None:
    assert not guess_zone(np.array([-120.0, -74.0, 2.0, 139.0]), np.array([37.0, 40.7, 48.9, 35.7])).certain


def test_every_well_known_city_lies_in_a_zone_that_exists_and_is_guessed_to_be_there() -> None:
    for zone, cities in CITIES.items():
        assert zone in available_timezones()
        for city in cities.split(", "):
            _, longitude, latitude = city.rsplit(" ", 2)
            guess = guess_zone(np.array([float(longitude)]), np.array([float(latitude)]))
            assert guess.name == zone, city
            assert guess.distance_km < 1, city
