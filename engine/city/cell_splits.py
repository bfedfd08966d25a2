"""Which cells a grid model may learn from, which it is tuned on, and which it is judged on.

Neighbouring cells resemble each other, and a graph passes on their features: randomly drawn test cells lie among training cells
and are easier than a part of town nobody counted. Splits by blocks or districts hold out whole areas; both are reported.
"""

from typing import Literal

import geopandas as gpd
import numpy as np
import shapely
from pydantic import BaseModel, ConfigDict, Field, model_validator

from engine.city.cell_flows import hourly_outflow
from engine.city.city import City
from engine.city.graphs import AdjacencyKind, Edges, adjacency
from engine.city.grid import is_square_grid
from engine.city.splits import PARTS
from engine.errors import ConfigError

INPUT_ONLY = -1
"""Part of cells that are in the graph but neither learnt from nor judged."""

FEWEST_TRAINING_CELLS = 3


class CellSplit(BaseModel):
    """How a city's cells are divided, and which cells count as neighbours."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["random_cells", "spatial_blocks", "districts"] = Field(
        "spatial_blocks",
        title="Split",
        description="random_cells: single cells. spatial_blocks: compact blocks of cells. districts: whole districts.",
    )
    train_share: float = Field(0.6, gt=0, lt=1, description="Share of the cells for training; not used with folds.")
    valid_share: float = Field(
        0.2, ge=0, lt=1, description="Share of the cells for validation (with folds: of those not in the fold)."
    )
    block_cells: int = Field(5, ge=1, le=100, title="Block side", description="Cells along a block; zones: clusters of its square.")
    buffer_steps: int = Field(
        0,
        ge=0,
        le=20,
        description="Training cells within so many steps of a held-out cell are input only: neither learnt nor judged.",
    )
    folds: int = Field(0, ge=0, le=50, description="For cross-validation: number of folds; 0 divides by shares.")
    fold: int = Field(0, ge=0, le=49, description="For cross-validation: which fold is the test part, from 0.")
    day_type: str = Field("", description="Which kind of day's flows; empty: weekday where the city has it, else all.")
    adjacency: AdjacencyKind = Field(
        "rook", title="Neighbours", description="Which cells are joined: shared border, corner, or nearest."
    )
    neighbours: int = Field(6, ge=1, le=50, description="How many, for `nearest`.")
    seed: int = Field(0, ge=0, description="Draws the parts.")

    @model_validator(mode="after")
    def _shares_and_folds(self) -> "CellSplit":
        if not self.folds and self.train_share + self.valid_share >= 1:
            raise ValueError(
                f"training and validation share add up to {self.train_share + self.valid_share:.2f}; leave something for the test part"
            )
        if self.folds == 1 or (self.folds and self.fold >= self.folds):
            raise ValueError(f"fold {self.fold} of {self.folds} does not exist; folds count from 0, and there are at least 2")
        return self


def assign_cell_parts(city: City, split: CellSplit, edges: Edges | None = None, outflow: np.ndarray | None = None) -> np.ndarray:
    """The part of every cell.

    Blocks and districts are never cut: all cells of one lie in one part. With folds, groups are dealt so that folds are about
    equally large, fold `split.fold` is the test part, and the validation part is drawn from the rest.

    Args:
        city: A city with cells and outflow.
        split: How to divide.
        edges: As from `graphs.adjacency`, where it is at hand.
        outflow: As from `cell_flows.hourly_outflow`, where it is at hand.

    Returns:
        (cell,) int8 index into `PARTS` in the order of the cells; -1 for cells without observed flow or in the buffer, which are
        input only.

    Raises:
        CityError: If the city has no usable flows (see `hourly_outflow`).
        ConfigError: If the city is too small for the split or has no districts.
    """
    outflow = hourly_outflow(city, split.day_type) if outflow is None else outflow
    observed = np.isfinite(outflow).any(axis=1)
    cells = city.spatial("cells")
    if edges is None and (split.buffer_steps or split.kind == "spatial_blocks"):
        edges = adjacency(cells, split.adjacency, split.neighbours)
    group = cell_groups(city, split, edges)
    part = np.full(len(cells), INPUT_ONLY, np.int8)
    part[observed] = _deal(group[observed], split, np.random.default_rng([split.seed, 4242]), city.name)
    if split.buffer_steps and edges is not None:
        part[_within(part > 0, edges, split.buffer_steps) & (part == 0)] = INPUT_ONLY
    _require_parts(part, split, city.name)
    return part


def cell_groups(city: City, split: CellSplit, edges: Edges | None = None) -> np.ndarray:
    """Which cells are held out together: (cell,) int64 group index, -1 for cells of no district (they are never held out).

    Raises:
        ConfigError: If whole districts are asked for and the city names fewer than two.
    """
    cells = city.spatial("cells")
    if split.kind == "random_cells":
        return np.arange(len(cells))
    if split.kind == "spatial_blocks":
        if is_square_grid(cells):
            row, col = (cells[axis].to_numpy(np.int64) // split.block_cells for axis in ("row", "col"))
            return np.unique(np.stack([row, col], axis=1), axis=0, return_inverse=True)[1].ravel().astype(np.int64)
        return compact_clusters(
            cells, city.metric_crs, split.block_cells**2, edges if edges is not None else adjacency(cells, "queen")
        )
    district = districts_of(cells)
    names = sorted(set(district) - {""})
    if len(names) < 2:
        found = f"only one, `{names[0]}`" if names else "none"
        raise ConfigError(
            f"Holding out whole districts needs at least two; the cells of `{city.name}` name {found}. Choose spatial blocks, or map "
            "the column that names the larger area of each zone."
        )
    position = {name: index for index, name in enumerate(names)}
    return np.array([position.get(name, -1) for name in district], np.int64)


def districts_of(cells: gpd.GeoDataFrame) -> np.ndarray:
    """(cell,) str: the larger area each cell belongs to, "" where unknown."""
    if "district" not in cells:
        return np.full(len(cells), "", object)
    return cells["district"].fillna("").astype(str).to_numpy(object)


def compact_clusters(cells: gpd.GeoDataFrame, metric_crs: str, size: int, edges: Edges) -> np.ndarray:
    """Zones in connected clusters of about `size`: halved across their longer extent, then torn-off pieces given to a neighbour.

    Args:
        cells: Zones in WGS84.
        metric_crs: Projected CRS in metres.
        size: Zones per cluster.
        edges: (edge, 2) neighbours, each pair in both directions.

    Returns:
        (zone,) int64 cluster. A cluster is connected unless a zone of it has no neighbour in any other cluster.
    """
    centre = shapely.get_coordinates(shapely.centroid(np.asarray(cells.to_crs(metric_crs).geometry)))
    cluster = np.zeros(len(cells), np.int64)
    waiting, done = [np.arange(len(cells))], 0
    while waiting:
        members = waiting.pop()
        pieces = round(len(members) / size)
        if pieces <= 1:
            cluster[members] = done
            done += 1
            continue
        axis = int(np.ptp(centre[members, 1]) > np.ptp(centre[members, 0]))
        ordered = members[np.lexsort((members, centre[members, 1 - axis], centre[members, axis]))]
        cut = round(len(members) * (pieces // 2) / pieces)
        waiting += [ordered[cut:], ordered[:cut]]
    return _rejoined(cluster, edges)


def _rejoined(cluster: np.ndarray, edges: Edges) -> np.ndarray:
    """Gives pieces apart from the largest of their cluster to the neighbouring cluster they touch most, until none can move."""
    from scipy.sparse import csr_matrix  # half a second of importing that reading a request does not need
    from scipy.sparse.csgraph import connected_components

    cluster = cluster.copy()
    for _ in range(len(cluster)):
        inside = edges[cluster[edges[:, 0]] == cluster[edges[:, 1]]]
        graph = csr_matrix((np.ones(len(inside)), (inside[:, 0], inside[:, 1])), shape=(len(cluster), len(cluster)))
        piece = connected_components(graph, directed=False)[1]
        first = np.unique(piece, return_index=True)[1]
        size = np.bincount(piece)
        by_size = np.argsort(-size, kind="stable")
        main = set(by_size[np.unique(cluster[first[by_size]], return_index=True)[1]])
        for torn in (candidate for candidate in by_size[::-1] if candidate not in main):
            outward = edges[(piece[edges[:, 0]] == torn) & (cluster[edges[:, 1]] != cluster[first[torn]])]
            if len(outward):
                cluster[piece == torn] = np.bincount(cluster[outward[:, 1]]).argmax()
                break
        else:
            break
    return np.unique(cluster, return_inverse=True)[1].ravel().astype(np.int64)


def _deal(group: np.ndarray, split: CellSplit, generator: np.random.Generator, city: str) -> np.ndarray:
    """(observed cell,) part; groups stay whole, those of index -1 train."""
    names, code, size = np.unique(group, return_inverse=True, return_counts=True)
    held = np.flatnonzero(names >= 0)
    part_of = np.zeros(len(names), np.int8)
    if split.folds:
        if len(held) < split.folds:
            raise ConfigError(
                f"{split.folds} folds need at least as many {_GROUPS[split.kind]}; `{city}` has {len(held)} with flow. Choose fewer folds."
            )
        fold = _folds(size[held], split.folds, generator)
        part_of[held[fold == split.fold]] = PARTS.index("test")
        rest = held[fold != split.fold]
        _take(part_of, generator.permutation(rest), size, split.valid_share * size[part_of == 0].sum(), PARTS.index("valid"))
    else:
        total, order = size.sum(), generator.permutation(held)
        test_share = 1 - split.train_share - split.valid_share
        order = _take(part_of, order, size, test_share * total, PARTS.index("test"))
        _take(part_of, order, size, split.valid_share * total, PARTS.index("valid"))
    return part_of[code.ravel()]


def _folds(size: np.ndarray, folds: int, generator: np.random.Generator) -> np.ndarray:
    """(group,) fold: the largest group goes to the emptiest fold, and so on; equal ones in drawn order."""
    order = generator.permutation(len(size))
    order = order[np.argsort(-size[order], kind="stable")]
    fold, filled = np.empty(len(size), np.int64), np.zeros(folds)
    for group in order:
        fold[group] = filled.argmin()
        filled[fold[group]] += size[group]
    return fold


def _take(part_of: np.ndarray, order: np.ndarray, size: np.ndarray, wanted: float, part: int) -> np.ndarray:
    """Gives groups to a part until it is as near to the wanted number of cells as whole groups allow; returns those left."""
    if wanted <= 0:
        return order
    reached, taken = 0, 0
    for group in order:
        if taken and abs(reached + size[group] - wanted) > abs(reached - wanted):
            break
        reached, taken = reached + int(size[group]), taken + 1
    part_of[order[:taken]] = part
    return order[taken:]


def _within(chosen: np.ndarray, edges: Edges, steps: int) -> np.ndarray:
    near = chosen.copy()
    for _ in range(steps):
        reached = edges[near[edges[:, 0]], 1]
        near[reached] = True
    return near


def _require_parts(part: np.ndarray, split: CellSplit, city: str) -> None:
    counts = {name: int((part == index).sum()) for index, name in enumerate(PARTS)}
    short = counts["train"] < FEWEST_TRAINING_CELLS or not counts["test"] or (split.valid_share > 0 and not counts["valid"])
    if short:
        raise ConfigError(
            f"`{city}` has {sum(counts.values())} cells with flow, which this split divides into {counts['train']} for training, "
            f"{counts['valid']} for validation and {counts['test']} for testing. It needs at least {FEWEST_TRAINING_CELLS}, 1 and 1: "
            "bring more cells, or choose random cells, smaller blocks or no buffer."
        )


_GROUPS = {"random_cells": "cells", "spatial_blocks": "blocks", "districts": "districts"}
