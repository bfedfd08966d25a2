"""The ground of every map: it fits its budget, keeps its ids and its view, and fetches nothing."""

import json

import numpy as np
import pytest

from dashboard.figures import base_map
from dashboard.figures.deck import BUDGET_BYTES, deck, literal
from engine.city.city import City
from tests.dashboard.figures.cities import HOSTILE, places_only, zones_only


def spec_of(city: City, theme: str = "light", **options: object) -> dict:
    return json.loads(base_map.deck(base_map.base_map(city, theme, **options).layers, city, theme).to_json())


def ids(spec: dict) -> list[str]:
    return [layer["id"] for layer in spec["layers"]]


def strings(value: object) -> list[str]:
    if isinstance(value, dict):
        return [text for item in value.values() for text in strings(item)]
    if isinstance(value, list):
        return [text for item in value for text in strings(item)]
    return [value] if isinstance(value, str) else []


def test_no_tile_provider_is_asked() -> None:
    spec = spec_of(places_only())
    assert "mapProvider" not in spec
    assert spec["mapStyle"] == "__MAP_STYLE__", "Streamlit fetches tiles for any other style, and for none"
    assert not [text for text in strings(spec) if "http" in text]


def test_a_synthetic_city_shows_everything_it_has(tiny_city) -> None:
    found = ids(spec_of(tiny_city, cells=True))
    for layer in ("ground", "water", "park", "roads", "buildings", "districts", "district-names", "cells", "scale", "scale-label"):
        assert layer in found
    assert found.index("ground") < found.index("buildings") < found.index("districts")


def test_a_city_of_places_alone_still_looks_like_a_map() -> None:
    made = base_map.base_map(places_only(), "light")
    found = [layer.id for layer in made.layers]
    assert "built-0" in found and "graticule" in found, "density and a grid of round distances stand in for streets"
    assert any("no outline" in note for note in made.notes), "the map says what it does not know"


def test_a_city_of_zones_alone_can_be_drawn() -> None:
    assert {"ground", "cells"} <= set(ids(spec_of(zones_only(), cells=True)))


@pytest.mark.parametrize("count", [1, 2, 3])
def test_a_city_of_one_two_or_three_places_can_be_drawn(count) -> None:
    assert ids(spec_of(places_only(count)))


def test_places_at_the_same_spot_can_be_drawn() -> None:
    city = places_only(5)
    locations = city.spatial("locations").copy()
    locations["geometry"] = [locations.geometry.iloc[0]] * 5
    assert ids(spec_of(city.replace(locations=locations)))


def test_layer_ids_are_the_same_every_time_and_in_both_themes(tiny_city) -> None:
    light, again, dark = (ids(spec_of(tiny_city, theme)) for theme in ("light", "light", "dark"))
    assert light == again == dark
    assert len(set(light)) == len(light)


def test_light_and_dark_differ_in_colours_only(tiny_city) -> None:
    light, dark = spec_of(tiny_city, "light"), spec_of(tiny_city, "dark")
    for one, other in zip(light["layers"], dark["layers"], strict=True):
        assert one.get("getPolygon") == other.get("getPolygon")
        if one["id"] == "ground":
            assert one["getFillColor"] != other["getFillColor"] and one["data"] == other["data"]


def test_the_view_is_the_same_whatever_is_drawn(tiny_city) -> None:
    views = {
        json.dumps(spec_of(tiny_city, places=places, cells=cells)["initialViewState"])
        for places in (True, False)
        for cells in (True, False)
    }
    assert len(views) == 1


def test_the_view_shows_the_city(tiny_city) -> None:
    view, (west, south, east, north) = base_map.view_state(tiny_city), tiny_city.bounds
    assert west < view.longitude < east and south < view.latitude < north
    visible = 360 * base_map.REFERENCE_SIZE[0] / (512 * 2**view.zoom)
    outline = tiny_city.spatial("boundary").query("kind == 'city'").total_bounds
    assert visible >= outline[2] - outline[0], "the whole outline fits the map's width"


def test_far_outliers_do_not_zoom_the_city_away() -> None:
    city = places_only(200)
    locations = city.spatial("locations").copy()
    shifted = locations.geometry.copy()
    shifted.iloc[0] = shifted.iloc[0].__class__(-60.0, 10.0)
    locations["geometry"] = shifted
    assert abs(base_map.view_state(city.replace(locations=locations)).zoom - base_map.view_state(city).zoom) < 0.5


@pytest.mark.parametrize("buildings", ["flat", "extruded"])
def test_the_deck_of_a_tiny_city_is_far_below_the_budget(tiny_city, buildings) -> None:
    made = base_map.base_map(tiny_city, "dark", buildings=buildings, cells=True)
    assert len(base_map.deck(made.layers, tiny_city, "dark").to_json().encode()) < BUDGET_BYTES / 4


def test_the_json_has_no_white_space_and_short_coordinates() -> None:
    text = base_map.deck(base_map.base_map(places_only(), "light").layers, places_only(), "light").to_json()
    assert "\n" not in text and '": ' not in text
    for layer in json.loads(text)["layers"]:
        if layer["id"].startswith("places-"):
            assert all(len(str(value).split(".")[-1]) <= 5 for row in layer["data"] for value in row["p"])


def test_more_marks_than_a_map_can_hold_are_aggregated_and_it_says_so() -> None:
    city = places_only(base_map.MOST_MARKS + 1)
    made = base_map.base_map(city, "light")
    assert "places-squares" in [layer.id for layer in made.layers]
    assert any(f"{base_map.MOST_MARKS + 1:,} places are drawn as" in note for note in made.notes)
    squares = next(json.loads(layer.json) for layer in made.layers if layer.id == "places-squares")
    counted = sum(int(row["tip"].split(" places")[0].replace(",", "")) for row in squares["data"])
    assert counted == base_map.MOST_MARKS + 1, "no place is lost in the squares"
    assert len(base_map.deck(made.layers, city, "light").to_json().encode()) < BUDGET_BYTES


def test_the_most_places_that_are_drawn_one_by_one_fit_the_budget() -> None:
    city = places_only(base_map.MOST_MARKS)
    made = base_map.base_map(city, "light")
    assert len(base_map.deck(made.layers, city, "light").to_json().encode()) < BUDGET_BYTES


def test_names_from_data_are_text_and_nothing_else() -> None:
    spec = spec_of(places_only(12, names=HOSTILE))
    shown = [row["tip"] for layer in spec["layers"] if layer["id"].startswith("places-") for row in layer["data"]]
    assert any("<img src=x" in tip for tip in shown), "markup is shown as it is; the tooltip is plain text"
    assert not [tip for tip in shown if tip.startswith("@@")], "deck.gl would read it as an expression"


def test_the_tooltip_is_plain_text_not_html() -> None:
    made = base_map.deck(base_map.base_map(places_only(), "light").layers, places_only(), "light")
    assert set(made._tooltip) == {"text", "style"}


def test_expressions_and_broken_characters_in_names_become_literal() -> None:
    assert literal("@@=1+1") == "\u200b@@=1+1"
    assert literal("Caf\ud800e").encode() == b"Caf?e"
    assert literal("plain") == "plain"


def test_legend_counts_families_most_places_first(tiny_city) -> None:
    legend = base_map.base_map(tiny_city, "light").legend
    families = base_map.place_families(tiny_city.spatial("locations"))
    counts = [int((families == name).sum()) for name in legend if name != "Other"]
    assert counts == sorted(counts, reverse=True)
    assert sum(int((families == name).sum()) for name in legend) == len(families)


def test_a_round_length_is_one_two_or_five_times_a_power_of_ten() -> None:
    assert [base_map._round_length(value) for value in (1, 1.9, 2, 4.99, 5, 999, 1000)] == [1, 1, 2, 2, 5, 500, 1000]


def test_squares_have_the_size_they_say(tiny_city) -> None:
    corners = np.array(base_map.square_corners(tiny_city, np.array([10]), np.array([20]), 250.0)[0])
    from engine.city.city import project

    x, y = project(tiny_city, corners[:, 0], corners[:, 1])
    assert np.allclose([np.ptp(x), np.ptp(y)], 250, atol=2), "to the metre that five decimals keep"


def test_a_frozen_layer_says_the_same_as_the_layer(tiny_city) -> None:
    made = base_map.base_map(tiny_city, "light")
    spec = json.loads(deck(made.layers, base_map.view_state(tiny_city)).to_json())
    assert [json.loads(layer.json) for layer in made.layers] == spec["layers"]


@pytest.mark.slow
def test_the_demo_city_fits_the_budget() -> None:
    from engine.city.synthetic import synthesise

    city = synthesise("demo")
    for buildings in ("flat", "extruded"):
        made = base_map.base_map(city, "light", buildings=buildings, cells=True)
        assert len(base_map.deck(made.layers, city, "light").to_json().encode()) < BUDGET_BYTES


@pytest.mark.real
def test_new_york_fits_the_budget(real_data) -> None:
    import geopandas as gpd
    import pandas as pd

    rows = pd.read_csv(real_data / "fsq_nyc_intotheunknown" / "checkins.csv.gz", dtype=str)
    places = rows.drop_duplicates("location_id")
    where = gpd.points_from_xy(places["longitude"].astype(float), places["latitude"].astype(float))
    locations = gpd.GeoDataFrame(
        {"location_id": places["location_id"].to_numpy(), "category": places["category_name"].fillna("").to_numpy()},
        geometry=where,
        crs=4326,
    )
    when = pd.to_datetime(rows["local_time"]).dt.tz_localize("America/New_York", ambiguous=True, nonexistent="shift_forward")
    visits = pd.DataFrame({"user_id": rows["user_id"], "location_id": rows["location_id"], "started_at": when.dt.tz_convert("UTC")})
    city = City.build("New York", {"visits": visits, "locations": locations}, time_zone="America/New_York")
    made = base_map.base_map(city, "light")
    text = base_map.deck(made.layers, city, "light").to_json()
    assert len(text.encode()) < BUDGET_BYTES
    drawn = sum(len(layer["data"]) for layer in json.loads(text)["layers"] if layer["id"].startswith("places-"))
    assert drawn == len(places) == 4019


def test_a_name_cannot_end_the_script_a_deck_is_written_into() -> None:
    city = places_only(12, names=HOSTILE)
    text = base_map.deck(base_map.base_map(city, "light").layers, city, "light").to_json()
    assert "</" not in text
    tips = [row["tip"] for layer in json.loads(text)["layers"] if layer["id"].startswith("places-") for row in layer["data"]]
    assert any("</script>" in tip for tip in tips), "and is still shown as it is"
