"""Parts of cells: whole blocks and districts, folds that cover every cell once, and worded refusals of cities too small."""

import numpy as np
import pytest
from pydantic import ValidationError
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import connected_components

from engine.city.cell_samples import build_cell_samples
from engine.city.cell_splits import CellSplit, assign_cell_parts, cell_groups, compact_clusters
from engine.city.graphs import adjacency
from engine.errors import CityError, ConfigError
from tests.engine.small_grids import UTM, flows_of, grid_cells, grid_city, islands, smooth_outflow, zone_city


@pytest.fixture(scope="module")
def city():
    """120 cells in six districts."""
    return grid_city(10, 12, districts=6)


@pytest.mark.parametrize("kind", ["random_cells", "spatial_blocks", "districts"])
def test_shares_come_out_about_right_and_from_the_seed(city, kind):
    """60, 20 and 20 % of 120 cells within a block of 25 or a district of 20; the same seed gives the same parts, another others."""
    split = CellSplit(kind=kind, block_cells=3)
    part = assign_cell_parts(city, split)
    counts = np.bincount(part, minlength=3)
    assert counts.sum() == 120 and np.abs(counts - [72, 24, 24]).max() <= (0 if kind == "random_cells" else 12)
    assert np.array_equal(part, assign_cell_parts(city, split))
    assert any(not np.array_equal(part, assign_cell_parts(city, split.model_copy(update={"seed": seed}))) for seed in (1, 2, 3))


def test_blocks_of_a_grid_are_squares_that_are_never_cut(city):
    """Every 3 x 3 square of rows and columns lies in one part, and there are three parts."""
    part = assign_cell_parts(city, CellSplit(kind="spatial_blocks", block_cells=3))
    cells = city.table("cells")
    whole = cells.assign(part=part, down=cells["row"] // 3, right=cells["col"] // 3).groupby(["down", "right"])["part"].nunique()
    assert (whole == 1).all() and set(part) == {0, 1, 2}


def test_districts_are_never_cut(city):
    """All cells of a district lie in one part."""
    part = assign_cell_parts(city, CellSplit(kind="districts"))
    assert (city.table("cells").assign(part=part).groupby("district")["part"].nunique() == 1).all()


@pytest.mark.parametrize("kind", ["random_cells", "spatial_blocks", "districts"])
def test_every_cell_is_tested_in_exactly_one_fold(city, kind):
    """Four folds: each cell is in the test part once; no fold is empty; validation never overlaps."""
    parts = [assign_cell_parts(city, CellSplit(kind=kind, block_cells=3, folds=4, fold=fold)) for fold in range(4)]
    assert (np.sum([part == 2 for part in parts], axis=0) == 1).all()
    for part in parts:
        assert 15 <= (part == 2).sum() <= 40 and (part == 1).sum() > 0 and (part == 0).sum() > 40


def test_clusters_of_zones_are_connected_and_of_the_wanted_size():
    """120 zones in clusters of 9: 13 clusters of 7 to 12 zones, each in one piece."""
    zones = zone_city().spatial("cells")
    edges = adjacency(zones, "rook")
    cluster = compact_clusters(zones, UTM, 9, edges)
    sizes = np.bincount(cluster)
    assert len(sizes) == 13 and sizes.min() >= 7 and sizes.max() <= 12
    assert all(pieces_of(cluster == index, edges) == 1 for index in range(len(sizes)))


def test_a_torn_off_zone_joins_the_cluster_it_touches():
    """A ring of zones cut through the middle leaves no cluster in two pieces."""
    cells = grid_cells(9, 9).drop(columns=["row", "col"])
    ring = cells[[not (2 <= index // 9 <= 6 and 2 <= index % 9 <= 6) for index in range(81)]].reset_index(drop=True)
    edges = adjacency(ring, "rook")
    cluster = compact_clusters(ring, UTM, 14, edges)
    assert cluster.max() >= 2
    assert all(pieces_of(cluster == index, edges) == 1 for index in range(cluster.max() + 1))


def test_islands_are_clustered_by_where_they_lie():
    """Four zones without any neighbour, two per cluster: west and east."""
    cluster = compact_clusters(islands(4), UTM, 2, np.empty((0, 2), np.int64))
    assert cluster[0] == cluster[1] != cluster[2] == cluster[3]


def test_the_buffer_takes_training_cells_next_to_held_out_ones(city):
    """With a buffer of one step no training cell touches a validation or test cell, and no held-out cell is lost."""
    plain = build_cell_samples(city, CellSplit(block_cells=4))
    apart = build_cell_samples(city, CellSplit(block_cells=4, buffer_steps=1))
    source, target = apart.edges.T
    assert not ((apart.part[source] == 0) & (apart.part[target] > 0)).any()
    assert np.array_equal(plain.part > 0, apart.part > 0) and (apart.part == -1).sum() > 10


def test_cells_of_no_district_stay_in_training():
    """Cells whose district is unknown are never held out."""
    city = grid_city(10, 12, districts=6)
    cells = city.spatial("cells").copy()
    cells.loc[cells["row"] < 2, "district"] = None
    lost = (cells["row"] < 2).to_numpy()
    for seed in range(4):
        assert (assign_cell_parts(city.replace(cells=cells), CellSplit(kind="districts", seed=seed))[lost] == 0).all()


def test_one_district_only_is_refused_with_the_way_out(city):
    """One district or none cannot be held out."""
    cells = city.spatial("cells")
    with pytest.raises(ConfigError, match=r"only one, `Centre`.*spatial blocks"):
        cell_groups(city.replace(cells=cells.assign(district="Centre")), CellSplit(kind="districts"))
    with pytest.raises(ConfigError, match="name none"):
        cell_groups(city.replace(cells=cells.drop(columns="district")), CellSplit(kind="districts"))


@pytest.mark.parametrize("kind", ["random_cells", "spatial_blocks"])
def test_three_cells_are_too_few_and_five_are_enough_for_random_cells(kind):
    """Three cells cannot be divided 60/20/20 with three to learn from: refused with the counts."""
    with pytest.raises(ConfigError, match="`Gridford` has 3 cells with flow"):
        assign_cell_parts(grid_city(1, 3), CellSplit(kind=kind))
    assert np.bincount(assign_cell_parts(grid_city(1, 5), CellSplit(kind="random_cells"))).tolist() == [3, 1, 1]


def test_more_folds_than_districts_is_refused(city):
    """Six districts cannot make seven folds."""
    with pytest.raises(ConfigError, match=r"7 folds need at least as many districts.*has 6"):
        assign_cell_parts(city, CellSplit(kind="districts", folds=7))


@pytest.mark.parametrize(
    "wrong",
    [{"train_share": 0.9, "valid_share": 0.2}, {"folds": 3, "fold": 3}, {"folds": 1}, {"kind": "chronological"}, {"blocks": 3}],
)
def test_settings_that_contradict_are_refused(wrong):
    """Shares over one, folds that do not exist, another task's split, unknown settings."""
    with pytest.raises(ValidationError):
        CellSplit(**wrong)


def test_cells_without_flow_are_input_only():
    """Ten cells without a row of flow have part -1 and NaN curves; the others are divided as if those were not there."""
    city = grid_city(10, 12)
    flows = city.table("outflow").iloc[10:].reset_index(drop=True)
    samples = build_cell_samples(city.replace(outflow=flows), CellSplit(kind="random_cells"))
    assert (samples.part[:10] == -1).all() and np.isnan(samples.outflow[:10]).all()
    assert (samples.part[10:] >= 0).all() and np.bincount(samples.part[10:]).tolist() == [66, 22, 22]
    assert not samples.observed[:10].any() and samples.observed[10:].all()


def test_samples_carry_geometry_in_metres_and_the_graph():
    """500 m cells are 0.25 km² half a kilometre apart; a corner cell has two rook and three queen neighbours."""
    samples = build_cell_samples(grid_city(4, 6, districts=2), CellSplit(kind="random_cells"))
    assert len(samples) == 24 and samples.area_km2 == pytest.approx(np.full(24, 0.25), rel=1e-3)
    assert (samples.x[1] - samples.x[0], samples.y[0] - samples.y[6]) == pytest.approx((500, 500), abs=0.5)
    assert (samples.edges[:, 0] == 0).sum() == 2 and samples.district[0] == "A"
    queen = build_cell_samples(grid_city(4, 6), CellSplit(kind="random_cells", adjacency="queen"))
    assert (queen.edges[:, 0] == 0).sum() == 3 and queen.district[0] == ""
    assert samples.outflow.dtype == np.float32 and samples.mask("train").sum() == (samples.part == 0).sum()


def test_the_kind_of_day_is_weekday_unless_told_otherwise():
    """Weekday before all; a named one is taken; an unknown one is refused naming those there are."""
    city = grid_city(4, 6)
    ids, weekday = city.table("cells")["cell_id"], smooth_outflow(4, 6, seed=5)
    both = city.replace(outflow=_stacked(city.table("outflow"), flows_of(ids, weekday, "weekday")))
    random = CellSplit(kind="random_cells")
    assert build_cell_samples(city, random).day_type == "all"
    chosen = build_cell_samples(both, random)
    assert chosen.day_type == "weekday" and chosen.outflow == pytest.approx(weekday, rel=1e-6)
    assert build_cell_samples(both, CellSplit(kind="random_cells", day_type="all")).day_type == "all"
    with pytest.raises(ConfigError, match="no flows of day type `sunday`; it has all, weekday"):
        build_cell_samples(both, CellSplit(day_type="sunday"))
    odd = city.replace(outflow=_stacked(flows_of(ids, weekday, "market day"), flows_of(ids, weekday, "holiday")))
    with pytest.raises(ConfigError, match=r"holiday, market day\. Name the day type"):
        build_cell_samples(odd, random)


def test_flows_that_cannot_be_are_refused():
    """Negative and infinite flows name cell and hour; all-zero flows, another zoning, doubled cells and absent tables are worded."""
    random, good = CellSplit(kind="random_cells"), smooth_outflow(4, 6)
    for value, shown in ((-2.0, "-2"), (np.inf, "inf")):
        bad = good.copy()
        bad[3, 8] = value
        with pytest.raises(CityError, match=f"`r000c003` of `Gridford` at 08h is {shown}"):
            build_cell_samples(grid_city(4, 6, outflow=bad), random)
    with pytest.raises(CityError, match="single trip"):
        build_cell_samples(grid_city(4, 6, outflow=np.zeros((24, 24))), random)
    city = grid_city(4, 6)
    foreign = city.table("outflow").assign(cell_id=[f"zone-{index}" for index in range(24)])
    with pytest.raises(CityError, match="24 of 24 outflow rows of `Gridford` are of another zoning: cell `zone-0`"):
        build_cell_samples(city.replace(outflow=foreign), random)
    with pytest.raises(CityError, match="stands more than once"):
        build_cell_samples(city.replace(outflow=_stacked(city.table("outflow"), city.table("outflow"))), random)
    with pytest.raises(CityError, match="no hourly outflow"):
        build_cell_samples(city.replace(outflow=None), random)
    with pytest.raises(CityError, match="has no cells"):
        build_cell_samples(city.replace(cells=None, pois=_one_poi()), random)


def test_a_cell_where_nobody_travels_is_a_cell_like_any_other():
    """A curve of zeros is a known curve: it is divided and kept as zeros, not as unknown."""
    flows = smooth_outflow(4, 6)
    flows[5] = 0
    samples = build_cell_samples(grid_city(4, 6, outflow=flows), CellSplit(kind="random_cells"))
    assert samples.part[5] >= 0 and (samples.outflow[5] == 0).all()


def pieces_of(members, edges):
    """Connected pieces of the graph on these zones."""
    inside = edges[members[edges].all(axis=1)]
    graph = csr_matrix((np.ones(len(inside)), (inside[:, 0], inside[:, 1])), shape=(len(members), len(members)))
    return len(np.unique(connected_components(graph, directed=False)[1][members]))


def _stacked(*frames):
    import pandas as pd

    return pd.concat(frames, ignore_index=True)


def _one_poi():
    import geopandas as gpd

    return gpd.GeoDataFrame({"poi_id": ["p"], "category": ["shop"]}, geometry=gpd.points_from_xy([-74.0], [40.7]), crs=4326)
