"""Encoding cells: right shapes, honest masks, counted losses, and an edit that stays where it was made."""

import io

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import shapely
from PIL import Image

from engine.city.city import City
from engine.encoders.cell_evidence import gather_evidence
from engine.encoders.cell_features import MODALITIES, CellEncoding, encode_cells
from engine.encoders.cell_pois import count_pois, is_attribute
from engine.errors import CityError, ConfigError, EncoderError

FAST = CellEncoding(text="hash-svd")
SIDE = 0.01
"""Degrees."""


@pytest.fixture(scope="module")
def shared_home(tmp_path_factory):
    """One cache for this file: its tests encode the same city again and again."""
    return str(tmp_path_factory.mktemp("encoded"))


@pytest.fixture(autouse=True)
def home(own_home, shared_home, monkeypatch):
    monkeypatch.setenv("MOBISCOPE_HOME", shared_home)


@pytest.fixture(scope="module")
def inputs(tiny_city, shared_home):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MOBISCOPE_HOME", shared_home)
        return encode_cells(tiny_city, FAST)


def png(*colour: int) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (16, 16), colour).save(buffer, "PNG")
    return buffer.getvalue()


def zones(count: int = 3, **columns) -> gpd.GeoDataFrame:
    """A row of zones `a`, `b`, `c`, ... from west to east."""
    shapes = [shapely.box(2.30 + SIDE * n, 48.85, 2.30 + SIDE * (n + 1), 48.86) for n in range(count)]
    return gpd.GeoDataFrame({"cell_id": list("abcdefghij"[:count])} | columns, geometry=shapes, crs="EPSG:4326")


def at(cell: float) -> shapely.Point:
    """The middle of the n-th zone."""
    return shapely.Point(2.30 + SIDE * (cell + 0.5), 48.855)


def places(*rows: tuple[float, str], name: str = "poi_id", **columns) -> gpd.GeoDataFrame:
    table = {name: [f"p{number}" for number in range(len(rows))], "category": [category for _, category in rows]}
    return gpd.GeoDataFrame(table | columns, geometry=[at(cell) for cell, _ in rows], crs="EPSG:4326")


def tiles(*rows: tuple[str, str, str]) -> pd.DataFrame:
    return pd.DataFrame([("cell", *row) for row in rows], columns=["subject", "subject_id", "modality", "path"])


def build(media: dict[str, bytes] | None = None, **tables) -> City:
    return City.build("Small", {"cells": zones()} | tables, time_zone="Europe/Paris", media=media)


def said(inputs, name: str) -> str:
    return " ".join(inputs.modalities[name].notes)


# ---- the built-in city ----------------------------------------------------------------------------------------------------------


def test_every_modality_of_the_built_in_city_is_there(inputs, tiny_city):
    """36 cells with a tile and a height map each, three street views each, and nine root categories plus the area."""
    cells = tiny_city.info.rows["cells"]
    assert tuple(inputs.modalities) == MODALITIES and len(inputs) == cells
    assert list(inputs.cell_ids) == list(tiny_city.table("cells")["cell_id"])
    for name, modality in inputs.modalities.items():
        assert modality.present.all() and modality.text_present.all(), name
        assert modality.features.shape == (len(modality.owner), len(modality.components))
        assert np.isfinite(modality.features).all() and modality.features.dtype == np.float32
        assert modality.text.shape == (cells, 256) and modality.trend is None and np.isfinite(modality.intensity).all()
        np.testing.assert_allclose(np.linalg.norm(modality.text, axis=1), 1.0, atol=1e-5)
    assert len(inputs.modalities["street_view"].features) == tiny_city.info.rows["street_views"]
    found = inputs.modalities["poi"]
    assert found.counts == 9 and found.components[9] == "area_km2"
    assert found.features[:, :9].sum() == tiny_city.info.rows["pois"]
    np.testing.assert_allclose(found.features[:, 9], 0.25, rtol=2e-3)


def test_measurements_agree_with_the_truth_of_the_built_in_city(inputs, tiny_city):
    """Parks are greener than shopping streets, and height maps measure the footprints they were painted from."""
    truth = tiny_city.table("truth")
    function = truth[truth["subject"] == "cell"].set_index("subject_id")["zone_function"].reindex(inputs.cell_ids)
    tile = inputs.modalities["satellite"]
    green = tile.features[:, tile.components.index("vegetation share")]
    assert green[function == "park"].mean() > green[function == "shopping"].mean() + 0.2
    built, cells = tiny_city.metric("buildings"), tiny_city.metric("cells")
    share = [shapely.area(shapely.intersection(built.geometry, cell)).sum() / cell.area for cell in cells.geometry]
    height = inputs.modalities["height"]
    assert np.corrcoef(share, height.features[:, height.components.index("built share")])[0, 1] > 0.97


def test_height_maps_rendered_from_footprints_agree_with_the_painted_tiles(inputs, tiny_city):
    rendered = encode_cells(tiny_city, FAST.model_copy(update={"height": "footprints"})).modalities["height"]
    painted = inputs.modalities["height"]
    assert "rendered from footprints" in rendered.source and "uploaded height tiles" in painted.source
    for name in ("built share", "mean height over ground, m"):
        column = painted.components.index(name)
        assert np.corrcoef(painted.features[:, column], rendered.features[:, column])[0, 1] > 0.99, name


def test_encoding_again_is_the_same_bit_for_bit_even_without_the_cache(inputs, tiny_city, tmp_path, monkeypatch):
    assert encode_cells(tiny_city, FAST).fingerprint == inputs.fingerprint
    monkeypatch.setenv("MOBISCOPE_HOME", str(tmp_path))
    assert encode_cells(tiny_city, FAST).fingerprint == inputs.fingerprint


def test_an_edit_changes_its_own_cell_and_not_one_bit_elsewhere(tiny_city):
    """Thirty bars in one cell: its counts, its words and their vector change; the other 35 cells and modalities do not."""
    before = encode_cells(tiny_city, FAST)
    pois, cells = tiny_city.spatial("pois"), tiny_city.spatial("cells")
    bars = pd.concat([pois.iloc[:1]] * 30, ignore_index=True).assign(
        poi_id=[f"new-{n}" for n in range(30)], category="Cocktail Bar", parent_category="Nightlife Spot"
    )
    bars = bars.set_geometry([cells.geometry.iloc[7].centroid] * 30, crs=pois.crs)
    edited = tiny_city.replace(pois=gpd.GeoDataFrame(pd.concat([pois, bars], ignore_index=True), crs=pois.crs))
    after = encode_cells(edited, FAST, components={"poi": before.modalities["poi"].components})
    for name in MODALITIES:
        old, new = before.modalities[name], after.modalities[name]
        changed = (old.text != new.text).any(axis=1)
        if name != "street_view":
            changed |= (old.features != new.features).any(axis=1)
        else:
            np.testing.assert_array_equal(old.features, new.features)
        assert list(np.flatnonzero(changed)) == ([7] if name == "poi" else []), name
    bar = after.modalities["poi"].components.index("Nightlife Spot")
    assert after.modalities["poi"].features[7, bar] - before.modalities["poi"].features[7, bar] == 30
    assert "30 Cocktail Bar" in after.modalities["poi"].captions[7]
    assert after.fingerprint != before.fingerprint


# ---- what is missing, and what does not belong ----------------------------------------------------------------------------------


def test_what_is_missing_is_masked_and_what_has_no_cell_is_counted():
    """Tile for `a`, a broken one for `b`, one for a cell that is not there, one whose file is lost; two photographs, one outside."""
    media = {"media/a.png": png(90, 130, 70), "media/b.png": png(1, 2, 3)[:40], "media/s.png": png(9, 9, 9)}
    views = gpd.GeoDataFrame({"path": ["media/s.png", "media/s.png"]}, geometry=[at(1), at(40)], crs="EPSG:4326")
    imagery = tiles(
        ("a", "satellite", "media/a.png"),
        ("b", "satellite", "media/b.png"),
        ("c", "satellite", "media/lost.png"),
        ("zz", "satellite", "media/a.png"),
    )
    inputs = encode_cells(build(media, imagery=imagery, street_views=views), FAST)
    satellite, street, height = (inputs.modalities[name] for name in ("satellite", "street_view", "height"))
    assert list(satellite.present) == [True, False, False] and list(satellite.text_present) == [True, False, False]
    assert satellite.captions[1] == "" and not satellite.text[1].any()
    notes = said(inputs, "satellite")
    for sentence in (
        "1 satellite tiles name a cell that is not in the city, such as 'zz'",
        "1 files are not in the city's folder, such as `media/lost.png`",
        "1 pictures cannot be read, such as `media/b.png`",
        "2 of 3 cells have no satellite",
    ):
        assert sentence in notes
    assert list(street.present) == [False, True, False] and list(street.owner) == [1]
    assert "1 of 2 street views lie in no cell" in said(inputs, "street_view")
    assert not height.present.any() and height.source.startswith("no pictures") and not height.text_present.any()
    places = inputs.modalities["poi"]
    assert not places.present.any() and places.source.startswith("nothing"), "an area alone is no knowledge of places"


def test_a_city_of_cells_alone_is_encoded_with_nothing_present():
    inputs = encode_cells(build(), FAST)
    assert not any(modality.present.any() or modality.text_present.any() for modality in inputs.modalities.values())
    with pytest.raises(CityError, match="has no cells"):
        encode_cells(City.build("Bare", {"pois": places((0, "Bar"))}, time_zone="Europe/Paris"), FAST)


def test_several_street_views_are_a_set_in_the_order_of_cells_and_bounded():
    views = gpd.GeoDataFrame(
        {"path": [f"media/{n}.png" for n in range(5)]}, geometry=[at(2), at(0), at(2), at(0), at(0)], crs="EPSG:4326"
    )
    media = {f"media/{n}.png": png(40 * n, 80, 90) for n in range(5)}
    street = encode_cells(build(media, street_views=views), FAST).modalities["street_view"]
    assert list(street.owner) == [0, 0, 0, 2, 2] and len(street.features) == 5
    few = encode_cells(build(media, street_views=views), FAST.model_copy(update={"street_views_per_cell": 2}))
    assert list(few.modalities["street_view"].owner) == [0, 0, 2, 2]
    assert "1 street views are beyond the first 2 of their cell" in said(few, "street_view")


def test_constant_components_are_named():
    media = {"media/a.png": png(90, 130, 70)}
    imagery = tiles(*((cell, "satellite", "media/a.png") for cell in "abc"))
    inputs = encode_cells(build(media, imagery=imagery), FAST)
    width = len(inputs.modalities["satellite"].components)
    assert f"{width} of {width} components are the same everywhere" in said(inputs, "satellite")


def test_footprints_far_away_are_unknown_ground_not_empty_ground():
    """Zones are 730 m wide: with buildings in `a` only, `b` touches what they cover, `c` and `d` do not."""
    building = gpd.GeoDataFrame({"height_m": [20.0]}, geometry=[shapely.box(2.3001, 48.851, 2.302, 48.853)], crs="EPSG:4326")
    inputs = encode_cells(build(cells=zones(4), buildings=building), FAST)
    height = inputs.modalities["height"]
    assert list(height.present) == [True, True, False, False] and "rendered from footprints" in height.source
    assert height.features[1, height.components.index("built share")] == 0, "covered and empty"
    assert "2 cells are more than 1,000 m from every building" in said(inputs, "height")
    assert height.captions[1].startswith("No buildings") and height.captions[2] == ""


def test_a_height_tile_of_one_cell_takes_no_heights_from_the_others():
    """`a` to `c` are built over, `b` has a tile of 77 m: the others keep the maps rendered from their footprints."""
    shapes = [shapely.box(2.301 + SIDE * n, 48.851, 2.304 + SIDE * n, 48.854) for n in range(3)]
    buildings = gpd.GeoDataFrame({"height_m": [20.0, 30.0, 40.0]}, geometry=shapes, crs="EPSG:4326")
    media = {"media/b.png": png(77, 77, 77)}
    city = build(media, buildings=buildings, imagery=tiles(("b", "height", "media/b.png")))
    both, bare = (encode_cells(one, FAST).modalities["height"] for one in (city, city.replace(imagery=None)))
    highest = both.components.index("highest, m")
    assert both.features[:, highest].tolist() == [20, 77, 40] and bare.features[:, highest].tolist() == [20, 30, 40]
    np.testing.assert_array_equal(both.features[[0, 2]], bare.features[[0, 2]])
    assert "uploaded height tiles, elsewhere rendered from footprints" in both.source
    only = encode_cells(city, FAST.model_copy(update={"height": "tiles"})).modalities["height"]
    assert list(only.present) == [False, True, False]


def test_footprints_are_not_asked_about_cells_that_have_tiles():
    """The only building stands in `a`, far from `c` and `d`; with a tile each they are as known as `a` and `b`."""
    building = gpd.GeoDataFrame({"height_m": [20.0]}, geometry=[shapely.box(2.3001, 48.851, 2.302, 48.853)], crs="EPSG:4326")
    imagery = tiles(("c", "height", "media/t.png"), ("d", "height", "media/t.png"))
    city = build({"media/t.png": png(9, 9, 9)}, cells=zones(4), buildings=building, imagery=imagery)
    inputs = encode_cells(city, FAST)
    assert inputs.modalities["height"].present.all() and "from every building" not in said(inputs, "height")


# ---- places ---------------------------------------------------------------------------------------------------------------------


def test_locations_stand_in_for_points_of_interest_and_are_named_as_such():
    inputs = encode_cells(build(locations=places((0, "Bar"), (1, "Bar"), (1, "Office"), name="location_id")), FAST)
    found = inputs.modalities["poi"]
    assert found.components[:2] == ("Bar", "Office") and found.features[:, :2].tolist() == [[1, 0], [1, 1], [0, 0]]
    assert found.source.startswith("counts of locations") and "no root categories" in said(inputs, "poi")
    both = build(locations=places((0, "Bar"), name="location_id"), pois=places((1, "Office")))
    assert encode_cells(both, FAST).modalities["poi"].components[0] == "Office", "points of interest win"


def test_categories_are_counted_by_root_or_leaf_and_closed_places_not_at_all():
    table = places((0, "Bar"), (0, "Pub"), (0, "Office"), name="location_id", parent_category=["Night", "Night", ""])
    roots = count_pois(build(locations=table), zones())
    assert roots.components[:2] == ("Night", "Office") and roots.counts[0, :2].tolist() == [2, 1]
    leaves = count_pois(build(locations=table), zones(), level="leaf")
    assert set(leaves.components[:3]) == {"Bar", "Office", "Pub"} and leaves.categories == 3
    shut = count_pois(build(locations=table.assign(closed=[True, False, False])), zones())
    assert shut.counts[0, :2].tolist() == [1, 1] and "1 locations are closed" in " ".join(shut.notes)


def test_a_radius_counts_beyond_the_border():
    city = build(pois=places((0, "Bar"), (1, "Bar"), (2, "Bar")))
    assert count_pois(city, zones()).counts[:, 0].tolist() == [1, 1, 1]
    assert count_pois(city, zones(), radius_m=800).counts[:, 0].tolist() == [2, 3, 2], "neighbouring middles are 733 m apart"


def test_places_in_a_circle_stand_on_the_ground_of_the_circle():
    """Three bars within 800 m are three on 2.01 km², whatever the cell's area; counts that came with zones are of the zone."""
    city = build(pois=places((0, "Bar"), (1, "Bar"), (2, "Bar")))
    inside, around = (gather_evidence(city, zones(), "poi", [1], None, radius)[0] for radius in (0.0, 800.0))
    assert inside.area_km2 == pytest.approx(0.815, rel=0.01) and inside.measures == {"Bar": 1}
    assert around.area_km2 == pytest.approx(np.pi * 0.64) and around.measures == {"Bar": 3}
    (zone,) = gather_evidence(build(), zones(poi_food=[3, 1, 2]), "poi", [1], None, 800.0)
    assert zone.area_km2 == inside.area_km2


def test_numbers_that_came_with_zones_are_features_and_their_gaps_are_marked():
    """Counts stay numbers, labels become one column each; ids, places and flows are no features."""
    table = zones(
        4,
        poi_food=[3.0, 0.0, np.nan, 9.0],
        landuse_label=[5.0, 5.0, 7.0, 7.0],
        zoning=["R", "C", "R", "C"],
        region=[1.0, 2.0, 3.0, 4.0],
        lat=[48.0, 48.1, 48.2, 48.3],
        outflow_total=[9.0, 8.0, 7.0, 6.0],
        quarter=["north", "north", "south", "south"],
        checkins=[9.0, 8.0, 7.0, 6.0],
    )
    found = encode_cells(build(cells=table), FAST).modalities["poi"]
    expected = {
        "poi_food": [3, 0, 0, 9],
        "poi_food is unknown": [0, 0, 1, 0],
        "landuse_label: 5": [1, 1, 0, 0],
        "landuse_label: 7": [0, 0, 1, 1],
        "zoning: C": [0, 1, 0, 1],
        "zoning: R": [1, 0, 1, 0],
    }
    assert found.components == ("area_km2", *expected) and found.present.all() and found.counts == 0
    for name, column in expected.items():
        assert found.features[:, found.components.index(name)].tolist() == column, name
    assert found.source.startswith("attributes of the zones") and ", 9 food, " in found.captions[3]
    assert "zoning: C" in found.captions[3], "labels are words"
    chosen = FAST.model_copy(update={"attributes": ("quarter", "checkins", "smell")})
    other = encode_cells(build(cells=table), chosen)
    assert other.modalities["poi"].components == ("area_km2", "quarter: north", "quarter: south", "checkins")
    assert "The zones have no column `smell`" in said(other, "poi")


MOBILITY = (
    *("pickups", "taxi_pickups", "departures", "dropoffs", "taxi_trips", "daily_trips", "n_checkins", "checkin_count", "ridership"),
    *("total_outflow", "OutFlow2019", "dailyTrips", "Drop-Offs", "mean arrivals", "trip_count", "visits_per_day", "TripsPerDay"),
    *("subway_riders", "traffic_flow", "check_ins", "h07", "predict_label", "target", "inflow24h", "tripsperday", "pick up"),
)
OTHERWISE = (
    "tripadvisor_rating",
    "Flower Shop",
    "Moving Target",
    "strip_malls",
    "visitor_center",
    "checking_accounts",
    "population",
)


def test_columns_that_count_mobility_are_no_features_wherever_in_the_name_it_says_so():
    assert [name for name in MOBILITY if is_attribute(name)] == [] and all(map(is_attribute, OTHERWISE))
    numbers = [3.0, 1.0, 2.0]
    city = build(cells=zones(**dict.fromkeys((*MOBILITY, *OTHERWISE), numbers)))
    found = encode_cells(city, FAST)
    assert set(found.modalities["poi"].components) == {"area_km2", *OTHERWISE}
    assert f"{len(MOBILITY)} columns of the zones seem to count mobility itself and are left out: `pickups`, `tax" in said(
        found, "poi"
    )
    asked = encode_cells(city, FAST.model_copy(update={"attributes": ("pickups",)}))
    assert asked.modalities["poi"].components == ("area_km2", "pickups") and "mobility" not in said(asked, "poi")


def test_a_model_that_was_trained_on_a_column_keeps_it():
    """Otherwise an old run would be asked with zeros where it had learnt numbers."""
    found = count_pois(build(), zones(taxi_pickups=[3.0, 1.0, 2.0]), components=("area_km2", "taxi_pickups"))
    assert found.counts[:, 1].tolist() == [3, 1, 2] and not found.notes


def test_a_trained_model_gets_the_components_it_knows():
    """Another city lacks `Zoo` and has `Casino`: the one counts 0, the other goes to the rest, both are said."""
    city = build(pois=places((0, "Bar"), (1, "Casino")))
    wanted = ("Zoo", "Bar", "other categories", "area_km2")
    inputs = encode_cells(city, FAST, components={"poi": wanted})
    found = inputs.modalities["poi"]
    assert found.components == wanted and found.features[:, :3].tolist() == [[0, 1, 0], [0, 0, 1], [0, 0, 0]]
    assert "1 components the model knows are not in this city, such as `Zoo`" in said(inputs, "poi")
    assert "1 categories of this city, such as `Casino`, are new to the model and are counted together" in said(inputs, "poi")
    narrow = encode_cells(city, FAST, components={"poi": ("Bar", "area_km2")})
    assert "are new to the model and are left out" in said(narrow, "poi")
    media = {"media/a.png": png(90, 130, 70)}
    pictured = build(media, imagery=tiles(("a", "satellite", "media/a.png")))
    with pytest.raises(EncoderError, match="trained with 2 components of another encoder"):
        encode_cells(pictured, FAST, components={"satellite": ("one", "two")})


# ---- words ----------------------------------------------------------------------------------------------------------------------


def described(**more) -> City:
    rows = pd.DataFrame(
        {
            "subject": ["cell", "cell", "cell", "location"],
            "subject_id": ["a", "a", "zz", "a"],
            "modality": ["poi", "poi", "poi", "poi"],
            "text": ["An old text.", "A lively square.", "Nowhere.", "A shop."],
            "source": ["uploaded"] * 4,
        }
        | more
    )
    return build(pois=places((0, "Bar"), (1, "Bar")), descriptions=rows)


def test_uploaded_descriptions_win_and_the_rest_is_described_by_rule():
    inputs = encode_cells(described(), FAST)
    words = inputs.modalities["poi"]
    assert words.captions[0] == "A lively square." and words.captions[1].startswith("Few points of interest (1), 1 Bar")
    assert "described by uploaded, rules through hash-svd" in words.source
    assert "1 poi descriptions name a cell that is not in the city" in said(inputs, "poi")
    only = encode_cells(described(), FAST.model_copy(update={"describer": "uploaded"})).modalities["poi"]
    assert list(only.text_present) == [True, False, False] and only.captions[1] == ""
    none = encode_cells(described(), FAST.model_copy(update={"describer": "none"})).modalities["poi"]
    assert not none.text_present.any() and "no descriptions" in none.source


def test_stored_descriptions_speak_for_the_prompt_they_answer_and_the_rules_for_others():
    """A table without prompts is of the full one: `lite` is not told it, hears the rules instead, and the notes say so."""
    lite = FAST.model_copy(update={"prompt": "lite"})
    words = encode_cells(described(), lite).modalities["poi"]
    assert words.captions[0] == "Few points of interest (1), 1 Bar." and "described by rules through" in words.source
    assert "1 cells have poi descriptions that do not answer the prompt `lite`" in said(encode_cells(described(), lite), "poi")
    assert "do not answer" not in said(encode_cells(described(), FAST), "poi")
    both = described(prompt=["lite", "three_level", "any", ""], subject_id=["a", "a", "b", "gone"], modality=["poi"] * 4)
    texts = both.table("descriptions")["text"]
    for encoding, expected in ((lite, 0), (FAST, 1)):
        found = encode_cells(both, encoding).modalities["poi"]
        assert found.captions[:2] == (texts[expected], texts[2]) and "do not answer" not in " ".join(found.notes)


def test_the_guess_of_the_curve_is_kept_apart_unless_asked_for():
    """Stored by hour beside the text, as the intensity; asked for, it is in the words and for all to read; cells without one are NaN."""
    guess = {f"trend_h{hour:02d}": [0.0, hour / 23, 0.0, 0.0] for hour in range(24)} | {"intensity": [5.0, 40.0, np.nan, 0.0]}
    without = encode_cells(described(**guess), FAST.model_copy(update={"describer": "uploaded"})).modalities["poi"]
    assert without.captions[0] == "A lively square." and not without.trend_is_read
    np.testing.assert_allclose(without.trend[0], np.arange(24) / 23, atol=1e-6)
    assert without.intensity[0] == 40 and np.isnan(without.intensity[1:]).all()
    asked = FAST.model_copy(update={"describer": "uploaded", "with_trend": True})
    words = encode_cells(described(**guess), asked).modalities["poi"]
    np.testing.assert_array_equal(words.trend, without.trend)
    assert words.trend_is_read and np.isnan(words.trend[1:]).all() and "highest at night (around 23:00)" in words.captions[0]
    ruled = encode_cells(described(), FAST.model_copy(update={"with_trend": True})).modalities["poi"]
    assert np.isnan(ruled.trend[0]).all() and np.isfinite(ruled.trend[1]).all(), "the uploaded text has no guess"


def test_no_server_is_asked_while_cells_are_encoded():
    with pytest.raises(ConfigError, match="mobiscope caption"):
        encode_cells(described(), FAST.model_copy(update={"describer": "endpoint:http://127.0.0.1:9/v1:m"}))
    with pytest.raises(EncoderError, match="no describer `nobody`"):
        encode_cells(described(), FAST.model_copy(update={"describer": "nobody"}))


# ---- vectors made elsewhere -----------------------------------------------------------------------------------------------------


def test_vectors_made_elsewhere_are_matched_by_cell(tmp_path):
    np.save(tmp_path / "satellite.npy", np.arange(6.0).reshape(3, 2))
    (tmp_path / "satellite.txt").write_text("c\nzz\na\n")
    np.save(tmp_path / "street_view.npy", np.arange(8.0).reshape(4, 2))
    (tmp_path / "street_view.txt").write_text("c\na\nc\na\n")
    encoding = FAST.model_copy(update={"image": f"precomputed:{tmp_path}"})
    inputs = encode_cells(build(), encoding)
    satellite, street = inputs.modalities["satellite"], inputs.modalities["street_view"]
    assert satellite.features.tolist() == [[4, 5], [0, 0], [0, 1]] and list(satellite.present) == [True, False, True]
    assert list(street.owner) == [0, 0, 2, 2] and street.features[:, 0].tolist() == [2, 6, 0, 4]
    assert "1 vectors name a cell that is not in the city, such as 'zz'" in said(inputs, "satellite")
    assert not inputs.modalities["height"].present.any() and not satellite.text_present.any()
    (tmp_path / "satellite.txt").write_text("x\ny\nz\n")
    with pytest.raises(EncoderError, match="another zoning"):
        encode_cells(build(), encoding)
