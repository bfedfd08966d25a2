"""Cells as a grid model sees them: where they are, which are neighbours, what was observed, and which part they belong to."""

from dataclasses import dataclass

import numpy as np
import shapely

from engine.city.cell_flows import chosen_day_type, hourly_outflow
from engine.city.cell_splits import CellSplit, assign_cell_parts, districts_of
from engine.city.city import City
from engine.city.graphs import adjacency
from engine.city.splits import PARTS
from engine.errors import CityError


@dataclass(frozen=True, eq=False)
class CellSamples:
    """All cells of a city under a split; the axis "cell" is the order of the cells table.

    Attributes:
        cell_ids: (cell,) str.
        x, y: (cell,) float64 centroids, metres in the city's metric CRS.
        area_km2: (cell,) float64.
        district: (cell,) str, "" where unknown.
        outflow: (cell, 24) float32 trips per local hour of an average day; NaN where unknown.
        part: (cell,) int8 index into `PARTS`, -1 for cells that are input only.
        edges: (edge, 2) int64 source and target, as from `graphs.adjacency`: no loops, undirected edges stand twice.
        day_type: Which kind of day `outflow` is of.
    """

    cell_ids: np.ndarray
    x: np.ndarray
    y: np.ndarray
    area_km2: np.ndarray
    district: np.ndarray
    outflow: np.ndarray
    part: np.ndarray
    edges: np.ndarray
    day_type: str

    def __len__(self) -> int:
        return len(self.cell_ids)

    def mask(self, part: str) -> np.ndarray:
        """(cell,) bool: the cells of `train`, `valid` or `test`."""
        return np.asarray(self.part == PARTS.index(part))

    @property
    def observed(self) -> np.ndarray:
        """(cell, 24) bool: where a flow is known."""
        return np.isfinite(self.outflow)


def build_cell_samples(city: City, split: CellSplit) -> CellSamples:
    """The cells of a city under a split.

    Raises:
        CityError: If the city has no cells or no usable flows (see `cell_flows.hourly_outflow`).
        ConfigError: If the split does not fit the city.
    """
    if not city.has("cells"):
        raise CityError(f"City `{city.name}` has no cells; grid models need cells or zones with hourly outflow.")
    outflow = hourly_outflow(city, split.day_type)
    cells = city.spatial("cells")
    edges = adjacency(cells, split.adjacency, split.neighbours)
    outlines = np.asarray(city.metric("cells").geometry)
    centre = shapely.get_coordinates(shapely.centroid(outlines))
    return CellSamples(
        cell_ids=cells["cell_id"].to_numpy(object).astype(str),
        x=centre[:, 0],
        y=centre[:, 1],
        area_km2=shapely.area(outlines) / 1e6,
        district=districts_of(cells),
        outflow=outflow.astype(np.float32),
        part=assign_cell_parts(city, split, edges, outflow),
        edges=edges,
        day_type=chosen_day_type(city, split.day_type),
    )
