import geopandas as gpd
import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.city.graphs import adjacency
from engine.city.schema import WGS84
from engine.errors import CityError, ConfigError

DEGREE = 0.0045  # about 500 m north


def grid(rows, cols, keep=None, west=13.0, south=0.0, with_places=True):
    """Near the equator, where degree squares are nearly metric squares."""
    places = [(r, c) for r in range(rows) for c in range(cols) if keep is None or (r, c) in keep]
    boxes = [
        shapely.box(west + c * DEGREE, south + (rows - 1 - r) * DEGREE, west + (c + 1) * DEGREE, south + (rows - r) * DEGREE)
        for r, c in places
    ]
    columns = {"cell_id": [f"r{r:03d}c{c:03d}" for r, c in places]}
    if with_places:
        columns |= {"row": [r for r, _ in places], "col": [c for _, c in places]}
    return gpd.GeoDataFrame(columns, geometry=boxes, crs=WGS84)


def as_set(edges):
    return {tuple(edge) for edge in edges.tolist()}


@pytest.mark.parametrize("with_places", [True, False], ids=["by rows and columns", "by outlines"])
def test_a_three_by_three_grid_has_twelve_shared_borders_and_eight_corners(with_places):
    cells = grid(3, 3, with_places=with_places)
    rook, queen = adjacency(cells, "rook"), adjacency(cells, "queen")
    assert rook.dtype == np.int64
    assert len(rook) == 2 * 12
    assert len(queen) == 2 * (12 + 8)
    assert as_set(rook) >= {(4, 1), (4, 3), (4, 5), (4, 7)}
    assert sorted(target for source, target in as_set(queen) if source == 4) == [0, 1, 2, 3, 5, 6, 7, 8]


def test_outlines_and_rows_agree_on_a_grid_with_holes():
    keep = {(0, 0), (0, 1), (1, 1), (2, 3), (3, 2), (3, 3)}
    for kind in ("rook", "queen"):
        expected = as_set(adjacency(grid(4, 4, keep), kind))
        assert as_set(adjacency(grid(4, 4, keep, with_places=False), kind)) == expected
    assert as_set(adjacency(grid(4, 4, keep), "rook")) == {(0, 1), (1, 0), (1, 2), (2, 1), (3, 5), (5, 3), (4, 5), (5, 4)}


def test_zones_with_a_sliver_of_half_a_metre_between_them_are_neighbours():
    gap = 0.5 / 111_000
    zones = gpd.GeoDataFrame(geometry=[shapely.box(0, 0, 0.01, 0.01), shapely.box(0.01 + gap, 0.002, 0.02, 0.008)], crs=WGS84)
    assert as_set(adjacency(zones, "rook")) == {(0, 1), (1, 0)}


def test_zones_ten_metres_apart_are_no_neighbours():
    gap = 10 / 111_000
    zones = gpd.GeoDataFrame(geometry=[shapely.box(0, 0, 0.01, 0.01), shapely.box(0.01 + gap, 0, 0.02, 0.01)], crs=WGS84)
    assert len(adjacency(zones, "queen")) == 0


def test_a_cell_cut_by_the_antimeridian_keeps_its_neighbours():
    half_west, half_east = shapely.box(179.998, 0, 180, DEGREE), shapely.box(-180, 0, -179.9975, DEGREE)
    zones = gpd.GeoDataFrame(
        geometry=[
            shapely.box(179.9935, 0, 179.998, DEGREE),
            shapely.MultiPolygon([half_west, half_east]),
            shapely.box(-179.9975, 0, -179.993, DEGREE),
        ],
        crs=WGS84,
    )
    edges = adjacency(zones, "rook")
    assert as_set(edges) == {(0, 1), (1, 0), (1, 2), (2, 1)}


def test_the_four_nearest_of_the_middle_cell_share_its_borders():
    cells = grid(3, 3)
    edges = adjacency(cells, "nearest", k=4, symmetric=False)
    assert sorted(target for source, target in as_set(edges) if source == 4) == [1, 3, 5, 7]


def test_equally_near_cells_are_taken_in_table_order():
    # Of the middle cell's four equally far corners, k = 6 leaves room for two: the first two of the table.
    edges = adjacency(grid(3, 3), "nearest", k=6, symmetric=False)
    assert sorted(target for source, target in as_set(edges) if source == 4) == [0, 1, 2, 3, 5, 7]


def test_more_neighbours_asked_for_than_cells_gives_all_others():
    assert len(adjacency(grid(1, 3), "nearest", k=10, symmetric=False)) == 6


def test_one_cell_has_no_edges_in_any_graph():
    for kind in ("rook", "queen", "nearest"):
        edges = adjacency(grid(1, 1), kind)
        assert edges.shape == (0, 2)
        assert edges.dtype == np.int64


def test_unknown_kinds_zero_k_and_foreign_crs_are_refused():
    with pytest.raises(ConfigError, match="rook, queen or nearest"):
        adjacency(grid(1, 2), "bishop")
    with pytest.raises(ConfigError, match="at least 1"):
        adjacency(grid(1, 2), "nearest", k=0)
    with pytest.raises(CityError, match="WGS84"):
        adjacency(grid(1, 2).to_crs(3857))
    with pytest.raises(CityError, match="no outline"):
        adjacency(gpd.GeoDataFrame(geometry=[None, shapely.box(0, 0, 1, 1)], crs=WGS84))


@st.composite
def scattered_cells(draw):
    rows, cols = draw(st.integers(1, 5)), draw(st.integers(1, 5))
    places = [(r, c) for r in range(rows) for c in range(cols)]
    keep = set(draw(st.lists(st.sampled_from(places), min_size=1, unique=True)))
    return grid(rows, cols, keep, west=draw(st.floats(-170, 170)), with_places=draw(st.booleans()))


@settings(max_examples=60, deadline=None)
@given(scattered_cells(), st.integers(1, 8))
def test_graphs_keep_their_promises(cells, k):
    rook, queen = as_set(adjacency(cells, "rook")), as_set(adjacency(cells, "queen"))
    nearest, directed = (as_set(adjacency(cells, "nearest", k=k, symmetric=symmetric)) for symmetric in (True, False))
    assert rook <= queen
    for edges in (rook, queen, nearest):
        assert edges == {(target, source) for source, target in edges}
    for edges in (rook, queen, nearest, directed):
        assert all(source != target and 0 <= min(source, target) and max(source, target) < len(cells) for source, target in edges)
    assert directed <= nearest
    assert len(directed) == len(cells) * min(k, len(cells) - 1)


@settings(max_examples=30, deadline=None)
@given(scattered_cells(), st.randoms(use_true_random=False))
def test_the_order_of_the_table_does_not_change_who_touches_whom(cells, random):
    order = list(range(len(cells)))
    random.shuffle(order)
    shuffled = cells.iloc[order].reset_index(drop=True)
    named = {(cells["cell_id"][a], cells["cell_id"][b]) for a, b in as_set(adjacency(cells, "queen"))}
    assert {(shuffled["cell_id"][a], shuffled["cell_id"][b]) for a, b in as_set(adjacency(shuffled, "queen"))} == named
