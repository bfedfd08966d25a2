"""Which cells are looked at: the selection of all pages, with a cell to begin with where none was chosen."""

import numpy as np
import streamlit as st

from dashboard import session, wording
from dashboard.cached.cell_data import CellOutlines, Curves
from engine.city.splits import PARTS


def chosen(curves: Curves) -> list[str]:
    """Ids of the cells looked at, the one whose details are shown first; never empty while the city has cells."""
    selection, index = session.selection(), curves.index
    if selection.kind == "cell":
        known = [cell for cell in selection.ids if cell in index]
        if known:
            first = selection.primary if selection.primary in known else known[0]
            return [str(first), *(cell for cell in known if cell != first)]
    return [str(curves.cell_ids[_telling(curves)])] if len(curves.cell_ids) else []


def _telling(curves: Curves) -> int:
    """The busiest test cell; without one the busiest of all, without flows the first."""
    total = np.nan_to_num(curves.observed, nan=0.0).sum(axis=1)
    is_test = curves.part == PARTS.index("test")
    return int(np.where(is_test, total + 1, total * 0).argmax() if is_test.any() else total.argmax())


def pick(curves: Curves, outlines: CellOutlines, key: str) -> list[str]:
    """A box to choose a cell by name, in step with the map; returns what `chosen` gives."""
    cells = chosen(curves)
    if not cells:
        return cells
    names = labels(outlines)
    session.set_widget(f"{key}.cell", cells[0])
    st.selectbox(
        "Cell",
        [str(cell) for cell in curves.cell_ids],
        format_func=names.__getitem__,
        key=f"{key}.cell",
        on_change=lambda: session.select([session.widget(f"{key}.cell", cells[0])], "list of cells", kind="cell"),
    )
    return cells


def labels(outlines: CellOutlines) -> dict[str, str]:
    """What lists call each cell, by its id."""
    return wording.told_apart({str(cell): label(outlines, row) for row, cell in enumerate(outlines.ids)})


def label(outlines: CellOutlines, row: int) -> str:
    """A cell as lists and titles show it: its name, and its district under that word, since both may be numbers."""
    name, district = str(outlines.name[row]), str(outlines.district[row])
    return f"{name}, district {district}" if district and district != name else name
