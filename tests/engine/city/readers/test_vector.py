import json
import struct

import geopandas as gpd
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.city.readers import layers
from engine.city.readers.base import FileChoices, ReadContext
from engine.city.readers.vector import VectorReader, classify, propose_mapping
from engine.city.schema import WGS84
from engine.errors import IngestError
from tests.engine.city.readers.geo_files import collection, dropped, feature, point, read, sniffed, square, write_json

READER = VectorReader()


@pytest.fixture
def layer(tmp_path):
    """Writes a layer and reads it; options are passed on."""

    def read_layer(content, **options):
        path = tmp_path / "layer.geojson"
        path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
        return read(READER, path, tmp_path / "scratch", **options)

    return read_layer


def refusal(layer, content, **options):
    with pytest.raises(IngestError) as refused:
        layer(content, **options)
    return refused.value.problems


# ---- what a layer is ------------------------------------------------------------------------------------------------------


def test_points_become_points_of_interest_with_their_category_and_name(layer):
    result = layer(
        collection(
            feature(point(13.4, 52.5), id=7, amenity="cafe", name="Zoë"), feature(point(13.5, 52.6), id=8, amenity="bar", name=None)
        )
    )
    pois = result.tables["pois"]
    assert pois["poi_id"].tolist() == ["7", "8"]
    assert pois["category"].tolist() == ["cafe", "bar"]
    assert pois["name"].tolist()[0] == "Zoë" and pd.isna(pois["name"][1])
    assert [(shape.x, shape.y) for shape in pois.geometry] == [(13.4, 52.5), (13.5, 52.6)]


def test_polygons_with_a_height_become_buildings(layer):
    buildings = layer(collection(feature(square(0.1, 0), height=12), feature(square(1, 0), height="8.5 m"))).tables["buildings"]
    assert buildings["height_m"].tolist() == [12.0, 8.5]


def test_several_polygons_become_zones_and_keep_ids_as_text(layer):
    cells = layer(
        collection(feature(square(0.1, 0), zone_id="007", borough="A"), feature(square(1, 0), zone_id="08", borough="B"))
    ).tables["cells"]
    assert cells["cell_id"].tolist() == ["007", "08"]
    assert cells["district"].tolist() == ["A", "B"]


def test_one_polygon_is_the_outline_of_the_city_and_lines_are_roads(layer):
    assert layer(collection(feature(square(1, 0)))).tables["boundary"]["kind"].tolist() == ["city"]
    line = {"type": "LineString", "coordinates": [[0, 1], [1, 1]]}
    assert layer(collection(feature(line, highway="primary"), feature(line))).tables["boundary"]["kind"].tolist() == [
        "road",
        "road",
    ]


def test_outlines_of_water_and_parks_are_told_by_their_words(layer):
    content = collection(
        feature(square(0.1, 0), natural="water"), feature(square(1, 0), natural="wood"), feature(square(2, 0), natural="cliff")
    )
    assert layer(content).tables["boundary"]["kind"].tolist() == ["water", "park", "district"]


def test_the_choice_of_the_analyst_overrides_what_was_recognised(layer):
    content = collection(feature(square(0.1, 0), height=3, id="a"), feature(square(1, 0), height=4, id="b"))
    assert layer(content, table="cells").tables["cells"]["cell_id"].tolist() == ["a", "b"]
    assert layer(content, table="pois").cards[0].repairs[0].startswith("2 lines, areas or groups of points were replaced")


def test_a_mapping_overrides_the_proposal_and_a_wrong_one_lists_what_there_is(layer):
    content = collection(feature(point(1, 1), id="x", code="a1"), feature(point(2, 2), id="y", code="a2"))
    assert layer(content, mapping={"id": "code"}).tables["pois"]["poi_id"].tolist() == ["a1", "a2"]
    assert layer(content, mapping={"id": ""}).tables["pois"]["poi_id"].tolist() == ["poi-1", "poi-2"]
    (problem,) = refusal(layer, content, mapping={"id": "nonsense"})
    assert problem.code == "COLUMN_MISSING" and "`code`" in str(problem)
    assert refusal(layer, content, mapping={"colour": "id"})[0].code == "FIELD"


def test_an_unknown_option_value_is_refused_naming_the_allowed_ones(layer):
    (problem,) = refusal(layer, collection(feature(point(1, 1))), table="roads")
    assert problem.code == "OPTION" and "boundary" in problem.mend


def test_an_id_that_repeats_is_not_preferred_to_one_that_does_not():
    frame = pd.DataFrame({"region": ["A"] * 9 + ["B"], "gid": range(10)})
    assert propose_mapping(frame)["id"] == "gid"


def test_a_layer_is_classified_by_what_most_of_it_is():
    shapes = np.array([shapely.Point(0, 0), shapely.box(0, 0, 1, 1), shapely.box(1, 0, 2, 1), None])
    assert classify(shapes, {}) == "cells"
    assert classify(np.array([None, None]), {}) == "pois"


# ---- JSON lists -----------------------------------------------------------------------------------------------------------


def test_a_json_list_of_footprints_with_heights_is_read_and_open_rings_are_closed(layer):
    ring = [[1, 1], [1.01, 1], [1.01, 1.01], [1, 1.01]]
    result = layer([{"height": 30, "polygon": ring}, {"height": 40, "polygon": [*ring, ring[0]]}])
    assert result.tables["buildings"]["height_m"].tolist() == [30, 40]
    assert result.tables["buildings"].geometry[0].equals(result.tables["buildings"].geometry[1])
    assert "read as longitude, latitude in WGS84" in result.assumptions[0]


def test_json_lists_of_points_are_read_from_a_pair_or_from_two_fields(layer):
    assert layer([{"fclass": "cafe", "coordinates": [13.4, 52.5]}]).tables["pois"]["category"].tolist() == ["cafe"]
    shapes = layer([{"kind": "cafe", "lat": 52.5, "lng": 13.4}]).tables["pois"].geometry
    assert (shapes[0].x, shapes[0].y) == (13.4, 52.5)


def test_a_json_list_in_metres_is_asked_for_its_crs(layer):
    (problem,) = refusal(layer, [{"coordinates": [1_492_237.5, 6_894_699.8]}])
    assert problem.code == "CRS_MISSING"
    shape = layer([{"coordinates": [1_492_237.5, 6_894_699.8]}], crs="EPSG:3857").tables["pois"].geometry[0]
    assert (shape.x, shape.y) == pytest.approx((13.405, 52.52), abs=1e-3)


# ---- item 38, 39: coordinate reference systems ----------------------------------------------------------------------------


def test_a_layer_that_says_its_crs_is_null_is_asked_never_assumed(layer):
    (problem,) = refusal(layer, collection(feature(point(13.4, 52.5)), crs=None))
    assert problem.code == "CRS_MISSING" and "option `crs`" in problem.mend
    assert len(layer(collection(feature(point(13.4, 52.5)), crs=None), crs="EPSG:4326").tables["pois"]) == 1


def test_layers_in_two_crs_meet_after_reading(layer):
    stated = {"type": "name", "properties": {"name": "urn:ogc:def:crs:EPSG::3857"}}
    mercator = layer(collection(feature(point(1_492_237.5, 6_894_699.8)), crs=stated)).tables["pois"]
    degrees = layer(collection(feature(square(13.40, 52.51, 0.02), id=1), feature(square(14, 52.51, 0.02), id=2))).tables["cells"]
    assert len(gpd.sjoin(mercator, degrees)) == 1


def test_an_unknown_crs_is_refused_with_the_name(layer):
    for name in ("EPSG:999999", "local grid", "+proj=nonsense", "http://127.0.0.1:9/crs"):
        (problem,) = refusal(layer, collection(feature(point(1, 1))), crs=name)
        assert problem.code == "CRS_UNKNOWN" and name in problem.found


def test_a_crs_that_names_a_file_is_refused_and_the_file_never_read(layer, tmp_path):
    (tmp_path / "own.txt").write_text("<own> +proj=longlat +title=canary-4711 <>\n")
    path = tmp_path / "own.txt"
    for crs in (
        f"+init={path}:own",
        f"+proj=longlat +nadgrids={path}",
        f"+proj=longlat +geoidgrids={path}",
        f"+proj=pipeline +step +init={path}:own",
    ):
        (problem,) = refusal(layer, collection(feature(point(1, 1))), crs=crs)
        assert problem.code == "CRS_UNKNOWN" and "canary" not in str(problem)
    mercator = "+proj=merc +a=6378137 +b=6378137 +nadgrids=@null +units=m"
    assert len(layer(collection(feature(point(1e6, 6e6))), crs=mercator).tables["pois"]) == 1


def test_swapped_coordinates_are_recognised_when_only_the_swap_fits(layer):
    content = collection(feature(point(52.5, 113.4)), feature(point(52.6, 113.5)))
    assert "SWAPPED_COORDINATES" in {problem.code for problem in refusal(layer, content)}
    shape = layer(content, swap_xy=True).tables["pois"].geometry[0]
    assert (shape.x, shape.y) == (113.4, 52.5)


def test_a_single_position_off_the_earth_is_dropped_and_counted_many_are_refused(layer):
    good = [feature(point(13 + i / 100, 52.5)) for i in range(30)]
    assert dropped(layer(collection(*good, feature(point(13, 152.5))))) == {"OUT_OF_RANGE": 1}
    assert "OUT_OF_RANGE" in {
        problem.code for problem in refusal(layer, collection(*good[:5], feature(point(213, 95)), feature(point(13, 95))))
    }


# ---- item 37, 43: geometries ----------------------------------------------------------------------------------------------


def test_a_bow_tie_is_made_valid_with_a_warning_that_states_the_area(layer):
    bow_tie = {"type": "Polygon", "coordinates": [[[0, 0], [0.01, 0.01], [0.01, 0], [0, 0.01], [0, 0]]]}
    result = layer(collection(feature(bow_tie, id=1), feature(square(1, 0), id=2)))
    assert result.tables["cells"].is_valid.all()
    (warning,) = result.problems
    assert warning.code == "INVALID_GEOMETRY" and not warning.fatal and warning.row == 1
    # Half of a square of 0.01 degrees at the equator: about 1113.2 m x 1105.7 m / 2 = 615,500 m2; the ring's own area cancels to 0.
    assert "from 0 m² to 615," in warning.found
    metric = result.tables["cells"].to_crs("EPSG:6933").area
    assert metric[0] == pytest.approx(615_500, rel=2e-3)


def test_null_empty_nan_and_unreadable_geometries_are_counted_apart(layer):
    content = collection(
        feature(point(13.4, 52.5)),
        feature(None),
        feature({"type": "Point", "coordinates": []}),
        feature({"type": "Point", "coordinates": ["a", "b"]}),
        feature({"type": "Point", "coordinates": [float("nan"), 1]}),
        feature({"type": "Circle", "coordinates": [1, 1]}),
        {"type": "Feature"},
        "not a feature",
        feature(point(0, 0)),
    )
    result = layer(content)
    assert dropped(result) == {"NULL_GEOMETRY": 6, "EMPTY_GEOMETRY": 1, "NULL_ISLAND": 1}
    assert len(result.tables["pois"]) == 1


def test_heights_of_vertices_are_left_out_and_said(layer):
    result = layer(collection(feature(point(13.4, 52.5, 99.0)), feature(point(13.5, 52.5))))
    assert not result.tables["pois"].has_z.any()
    assert "1 geometries had heights (Z), which were left out." in result.cards[0].repairs


def test_geometry_collections_are_reduced_to_the_parts_a_table_takes(layer):
    mixed = {
        "type": "GeometryCollection",
        "geometries": [point(1, 1), square(1, 0), {"type": "GeometryCollection", "geometries": [square(2, 0)]}],
    }
    only_point = {"type": "GeometryCollection", "geometries": [point(1, 1)]}
    content = collection(feature(mixed, id=1), feature(only_point, id=2), feature(square(5, 0), id=3))
    result = layer(content, table="cells")
    assert result.tables["cells"]["cell_id"].tolist() == ["1", "3"]
    assert result.tables["cells"].geom_type.tolist() == ["MultiPolygon", "Polygon"]
    assert dropped(result) == {"WRONG_GEOMETRY": 1}


def test_a_layer_of_which_nothing_can_be_used_is_refused(layer):
    problems = refusal(layer, collection(feature(None), feature(point(0, 0)), feature(point(0, 0))))
    [refused] = [problem for problem in problems if problem.fatal]
    assert refused.code == "NOTHING_KEPT"
    assert (
        "the point lies at exactly (0, 0), where nothing is (2); the feature has no geometry, or one that cannot be read (1)"
        in refused.found
    )


def test_coordinates_written_as_text_are_named_as_the_reason(layer):
    problems = refusal(layer, collection(feature({"type": "Point", "coordinates": ["13.4", "52.5"]}), feature(None)))
    [refused] = [problem for problem in problems if problem.fatal]
    assert refused.found == "None of the 2 features can be used: the feature has no geometry, or one that cannot be read (2)."


# ---- ids and heights ------------------------------------------------------------------------------------------------------


def test_zones_made_of_several_features_are_united_under_their_id(layer):
    result = layer(collection(*(feature(square(i, 0), zone_id=i) for i in range(1, 20)), feature(square(30, 0), zone_id=1)))
    cells = result.tables["cells"].set_index("cell_id")
    assert len(cells) == 19
    assert cells.geometry["1"].area == pytest.approx(2 * 0.01**2)
    assert dropped(result) == {"MERGED": 1}
    assert "DUPLICATE_ID" in {problem.code for problem in result.problems}


def test_repeated_points_are_dropped_and_different_points_of_one_id_told_apart(layer):
    result = layer(
        collection(
            feature(point(1, 1), id="a"), feature(point(1, 1), id="a"), feature(point(2, 2), id="a"), feature(point(3, 3), id="a-2")
        )
    )
    assert result.tables["pois"]["poi_id"].tolist() == ["a", "a-3", "a-2"]
    assert dropped(result) == {"DUPLICATE": 1}


def test_heights_in_feet_impossible_ones_storeys_and_missing_ones(layer):
    assert layer(collection(feature(square(1, 0), heightroof=100), feature(square(2, 0), heightroof=10))).tables["buildings"][
        "height_m"
    ].tolist() == pytest.approx([30.48, 3.048])
    content = collection(
        feature(square(1, 0), height=-5),
        feature(square(2, 0), height=None, **{"building:levels": "4"}),
        feature(square(3, 0), height=9999),
    )
    result = layer(content, missing_height_m=5)
    assert result.tables["buildings"]["height_m"].tolist() == [5, 12.8, 5]
    assert [problem.code for problem in result.problems] == ["NO_HEIGHT"]


# ---- damaged and disguised ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "code"),
    [
        ('{"type": "FeatureCollection", "features": [{"type": "Feature"', "JSON"),
        ('{"type": "FeatureCollection", "features": 7}', "JSON"),
        ('{"type": "FeatureCollection", "features": []}', "NO_ROWS"),
        ('{"type": "FeatureCollection", "features": ' + "[" * 100_000, "JSON"),
        ('[{"coordinates": [1, 1]}, 7]', "JSON"),
        ('{"type": "Topology", "objects": {"a": {"type": "Polygon", "arcs": [[0]]}}, "arcs": []}', "JSON"),
        ("a,b\n1,2\n", "DRIVER"),
        ("", "DRIVER"),
    ],
)
def test_damaged_json_is_refused_with_a_code_and_a_sentence(layer, content, code):
    assert [problem.code for problem in refusal(layer, content)] == [code]


def test_utf16_and_a_byte_order_mark_are_read_latin_1_is_refused(tmp_path):
    text = json.dumps(collection(feature(point(1, 1), name="Café")), ensure_ascii=False)
    for encoding in ("utf-16", "utf-8-sig"):
        path = tmp_path / encoding
        path.write_bytes(text.encode(encoding))
        assert READER.recognise(sniffed(path)) == 0.95
        assert read(READER, path, tmp_path / "scratch").tables["pois"]["name"].tolist() == ["Café"]
    (tmp_path / "latin").write_bytes(text.encode("latin-1"))
    with pytest.raises(IngestError, match="not UTF-8"):
        read(READER, tmp_path / "latin", tmp_path / "scratch")


def test_features_on_lines_of_their_own_are_read(tmp_path):
    path = tmp_path / "features.geojsonl"
    path.write_text("\n".join(json.dumps(feature(point(1, i), id=i)) for i in range(1, 4)))
    assert len(read(READER, path, tmp_path / "scratch").tables["pois"]) == 3


def test_names_meant_to_break_a_page_are_kept_as_text(layer):
    names = ["<script>window.__xss=1</script>", "{name}", "`x`", "**bold** $x$", "=1+1", "\u202egnp.exe", "a\0b", "\ud800"]
    result = layer(collection(*(feature(point(1, i), id=i, name=name) for i, name in enumerate(names, 1))))
    assert result.tables["pois"]["name"].tolist() == [*names[:6], "ab", "?"]


def test_columns_without_end_are_refused(layer):
    assert refusal(layer, collection(feature(point(1, 1), **{f"c{i}": i for i in range(3000)})))[0].code == "LIMIT"


def test_a_limit_reads_only_the_first_rows(tmp_path):
    path = write_json(tmp_path / "layer", collection(*(feature(point(1, i)) for i in range(1, 50))))
    result = READER.read(sniffed(path), FileChoices(), ReadContext(tmp_path, limit_rows=5))
    assert result.cards[0].rows_in == 5


# ---- GeoParquet -----------------------------------------------------------------------------------------------------------


def parquet_layer(tmp_path, crs):
    frame = gpd.GeoDataFrame(
        {"zone_id": ["a", "b"]}, geometry=[shapely.box(13, 52, 13.1, 52.1), shapely.box(13.1, 52, 13.2, 52.1)], crs=WGS84
    )
    path = tmp_path / "layer.parquet"
    (frame.to_crs(crs) if crs else frame.set_crs(None, allow_override=True)).to_parquet(path)
    return path


def test_geoparquet_is_recognised_by_its_metadata_and_reprojected(tmp_path):
    for crs in (WGS84, "EPSG:32633"):
        path = parquet_layer(tmp_path, crs)
        assert READER.recognise(sniffed(path, kind="parquet")) == 0.95
        cells = read(READER, path, tmp_path / "scratch").tables["cells"]
        assert cells["cell_id"].tolist() == ["a", "b"]
        assert cells.total_bounds == pytest.approx([13, 52, 13.2, 52.1], abs=1e-9)


def test_geoparquet_without_a_crs_is_asked(tmp_path):
    with pytest.raises(IngestError) as refused:
        read(READER, parquet_layer(tmp_path, None), tmp_path / "scratch")
    assert [problem.code for problem in refused.value.problems] == ["CRS_MISSING"]


def test_curved_geometries_are_counted_as_unreadable(tmp_path):
    frame = gpd.GeoDataFrame({"id": ["a", "b", "c"]}, geometry=[shapely.Point(1, i) for i in (1, 2, 3)], crs=WGS84)
    frame.to_parquet(tmp_path / "points.parquet")
    table = pq.read_table(tmp_path / "points.parquet")
    arc = struct.pack("<BII6d", 1, 8, 3, 0, 0, 1, 1, 2, 0)
    hidden = struct.pack("<BII", 1, 7, 1) + arc
    place = table.column_names.index("geometry")
    values = pa.array([table.column("geometry")[0].as_py(), arc, hidden], table.schema.field("geometry").type)
    pq.write_table(table.set_column(place, table.schema.field("geometry"), values), tmp_path / "curves.parquet")
    result = read(READER, tmp_path / "curves.parquet", tmp_path / "scratch")
    assert result.tables["pois"]["poi_id"].tolist() == ["a"]
    assert dropped(result) == {"NULL_GEOMETRY": 2}


def test_parquet_without_geometry_is_left_to_other_readers_and_a_cut_one_refused(tmp_path):
    plain = tmp_path / "plain.parquet"
    pd.DataFrame({"a": [1]}).to_parquet(plain)
    assert READER.recognise(sniffed(plain)) == 0
    whole = parquet_layer(tmp_path, WGS84).read_bytes()
    (tmp_path / "cut.parquet").write_bytes(whole[: len(whole) // 2])
    assert READER.recognise(sniffed(tmp_path / "cut.parquet")) == 0


def test_the_proposal_for_a_large_file_looks_only_at_its_beginning(tmp_path, monkeypatch):
    whole = collection(*(feature(point(1, i / 10), amenity="cafe", name=f"n{i}", id=i) for i in range(1, 400)))
    records = [{"fclass": "cafe", "coordinates": [1, i / 10], "height": i} for i in range(1, 400)]
    for content in (whole, records):
        file = sniffed(write_json(tmp_path / "large", content))
        expected = READER.propose(file), {column: values[:5] for column, values in READER.samples(file).items()}
        monkeypatch.setattr(layers, "_SAMPLE_BYTES", 2_000)
        cut = sniffed(write_json(tmp_path / "large", content))
        assert (READER.propose(cut), {column: values[:5] for column, values in READER.samples(cut).items()}) == expected
        assert len(next(iter(READER.samples(cut).values()))) < 60
        monkeypatch.undo()


def test_flipped_bits_in_geoparquet_give_a_result_or_a_worded_refusal(tmp_path):
    whole = parquet_layer(tmp_path, WGS84).read_bytes()
    rng = np.random.default_rng(0)
    for _ in range(60):
        content = bytearray(whole)
        for place in rng.integers(4, len(content), rng.integers(1, 6)):
            content[place] ^= 1 << rng.integers(0, 8)
        (tmp_path / "flipped").write_bytes(content)
        file = sniffed(tmp_path / "flipped", kind="parquet")
        READER.recognise(file), READER.propose(file)
        try:
            READER.read(file, FileChoices(), ReadContext(tmp_path))
        except IngestError as error:
            assert error.problems and all(problem.code and problem.found for problem in error.problems)


# ---- anything ------------------------------------------------------------------------------------------------------------


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)
GEOMETRIES = st.fixed_dictionaries(
    {
        "type": st.sampled_from(["Point", "Polygon", "MultiPolygon", "GeometryCollection", "LineString", "x"]),
        "coordinates": JSON_VALUES,
    }
)
FEATURES = st.lists(
    st.fixed_dictionaries({"type": st.just("Feature"), "geometry": GEOMETRIES | JSON_VALUES, "properties": JSON_VALUES}), max_size=4
)


@settings(max_examples=150, deadline=None)
@given(
    st.one_of(
        st.binary(max_size=200),
        FEATURES.map(lambda found: json.dumps(collection(*found)).encode()),
        JSON_VALUES.map(lambda found: json.dumps([{"geometry": found, "height": found}]).encode()),
    )
)
def test_any_content_gives_a_result_or_a_worded_refusal(tmp_path_factory, content):
    folder = tmp_path_factory.mktemp("any")
    (folder / "file").write_bytes(content)
    try:
        assert 0 <= READER.recognise(sniffed(folder / "file")) <= 1
        READER.propose(sniffed(folder / "file"))
        read(READER, folder / "file", folder / "scratch")
    except IngestError as error:
        assert error.problems and all(problem.code and problem.found for problem in error.problems)
