"""Square cells over the land, and what lies in each."""

from dataclasses import dataclass

import numpy as np
import shapely

from engine.city.synthetic.layout import FUNCTIONS, Layout
from engine.city.synthetic.plan import CELL_M

LAND_SHARE = 0.03  # cells with less land are open sea and left out


@dataclass(frozen=True)
class Cells:
    """Cells as arrays of length "cell", from the north-west, row by row.

    Attributes:
        row, col: Row from the north, column from the west.
        west, south: Metres of the south-west corner.
        function_area: (cell, function) square metres of every zone function, in the order of `FUNCTIONS`.
        function: Index of the function with most ground; water where water has more than half.
        district: Index of the district with most ground.
    """

    row: np.ndarray
    col: np.ndarray
    west: np.ndarray
    south: np.ndarray
    function_area: np.ndarray
    function: np.ndarray
    district: np.ndarray

    def __len__(self) -> int:
        return len(self.row)

    @property
    def ids(self) -> list[str]:
        """Ids such as `r012c034`."""
        return [f"r{row:03d}c{col:03d}" for row, col in zip(self.row, self.col, strict=True)]

    def containing(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """(point,) index of the cell around each point, -1 where there is none."""
        size = int(max(self.row.max(), self.col.max())) + 1
        lookup = np.full((size, size), -1)
        lookup[self.row, self.col] = np.arange(len(self))
        top = float((self.south + (self.row + 1) * CELL_M)[0])
        row, col = np.floor((top - y) / CELL_M).astype(int), np.floor(x / CELL_M).astype(int)
        inside = (row >= 0) & (row < size) & (col >= 0) & (col < size)
        return np.where(inside, lookup[row.clip(0, size - 1), col.clip(0, size - 1)], -1)


def cut_cells(layout: Layout, x: np.ndarray, y: np.ndarray) -> Cells:
    """Cuts the land into cells; whatever stands at x, y is inside one."""
    count = layout.plan.cells
    row, col = (axis.ravel() for axis in np.mgrid[0:count, 0:count])
    west, south = col * CELL_M, (count - 1 - row) * CELL_M
    boxes = shapely.box(west, south, west + CELL_M, south + CELL_M)
    outlines = np.array([zone.outline for zone in layout.zones])
    cell, zone = shapely.STRtree(outlines).query(boxes, predicate="intersects")
    area = shapely.area(shapely.intersection(boxes[cell], outlines[zone]))
    functions = np.array([FUNCTIONS.index(zone.function) for zone in layout.zones])
    function_area = np.zeros((len(boxes), len(FUNCTIONS)))
    np.add.at(function_area, (cell, functions[zone]), area)
    district_area = np.zeros((len(boxes), len(layout.district_names)))
    np.add.at(district_area, (cell, np.array([zone.district for zone in layout.zones])[zone]), area)
    function_area[:, FUNCTIONS.index("water")] = np.maximum(CELL_M**2 - function_area.sum(1), 0)
    land = function_area[:, :-1]
    function = np.where(land.sum(1) < 0.5 * CELL_M**2, FUNCTIONS.index("water"), land.argmax(1))
    kept = land.sum(1) >= LAND_SHARE * CELL_M**2
    kept[(count - 1 - np.floor(y / CELL_M).astype(int)) * count + np.floor(x / CELL_M).astype(int)] = True
    return Cells(
        row=row[kept],
        col=col[kept],
        west=west[kept],
        south=south[kept],
        function_area=function_area[kept],
        function=function[kept],
        district=district_area.argmax(1)[kept],
    )
