"""Colours: every role, family and modality has one, light and dark, and they can be told apart."""

import itertools
import re

import numpy as np
import pytest

from dashboard.figures import colours

ROLES = ("truth", "prediction", "baseline", "edited", "observed", "hit", "miss")
GROUND = ("beyond", "ground", "built", "water", "park", "road", "building", "cell", "district", "label", "scale")


def luminance(colour: str) -> float:
    channels = [value / 255 for value in colours.rgb(colour)]
    linear = [value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_every_role_and_map_colour_is_a_hex_colour(theme) -> None:
    found = [colours.role(name, theme) for name in ROLES] + [colours.ground(name, theme) for name in GROUND]
    assert all(re.fullmatch(r"#[0-9A-F]{6}", colour) for colour in found)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_roles_stand_out_from_the_ground(theme) -> None:
    ground = colours.ground("ground", theme)
    for name in ("truth", "prediction", "edited", "observed"):
        assert contrast(colours.role(name, theme), ground) > 2, f"{name} is hard to see on the {theme} map"


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_text_is_readable_by_the_usual_measure(theme) -> None:
    assert contrast(colours.ink("text", theme), colours.ink("panel", theme)) > 7
    assert contrast(colours.ink("muted", theme), colours.ink("panel", theme)) > 4.5


def test_families_have_colours_of_their_own() -> None:
    found = [family.colour for family in colours.families()]
    assert len(set(found)) == len(found)


def test_categorical_colours_are_distinct_and_start_again_after_sixteen() -> None:
    first = [colours.categorical(index) for index in range(16)]
    assert len(set(first)) == 16
    assert colours.categorical(16) == first[0]
    assert all(
        np.abs(np.subtract(colours.rgb(one), colours.rgb(other))).sum() > 40 for one, other in itertools.combinations(first, 2)
    )


@pytest.mark.parametrize(
    ("category", "root", "family"),
    [
        ("Coffee Shop", "", "Food"),
        ("Bar", "", "Nightlife"),
        ("Barber", "", colours.OTHER),
        ("Bus Station", "", "Travel"),
        ("Beer Garden", "", "Nightlife"),
        ("Home (private)", "", "Home"),
        ("Residential Building (Apartment / Condo)", "", "Home"),
        ("Something", "Shop & Service", "Shopping"),
        ("Coffee Shop", "Professional & Other Places", "Work"),
        ("", "", colours.OTHER),
        ("Zzyzx", "", colours.OTHER),
    ],
)
def test_a_place_belongs_to_the_family_of_its_root_else_of_its_words(category, root, family) -> None:
    assert colours.family_of(category, root) == family


def test_a_ramp_starts_and_ends_at_its_stops_and_survives_nan() -> None:
    stops = ["#000000", "#808080", "#FFFFFF"]
    found = colours.ramp(np.array([0, 0.25, 1, 7, -3, np.nan]), stops)
    assert found.tolist() == [[0, 0, 0], [64, 64, 64], [255] * 3, [255] * 3, [0, 0, 0], [0, 0, 0]]


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_diverging_scale_is_odd_so_that_zero_has_its_own_colour(theme) -> None:
    assert len(colours.scale("diverging", theme)) % 2 == 1


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_history_goes_from_faint_to_strong_against_the_ground(theme) -> None:
    ground = colours.ground("ground", theme)
    found = [contrast(stop, ground) for stop in colours.scale("history", theme)]
    assert found == sorted(found)
