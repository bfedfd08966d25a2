"""The observed outflow of every cell on one kind of day, as an array in the order of the cells."""

import numpy as np

from engine.city.city import City
from engine.city.schema import HOURS
from engine.errors import CityError, ConfigError

PREFERRED_DAYS = ("weekday", "all")
"""Kinds of day taken, in this order, where none is named."""


def chosen_day_type(city: City, day_type: str = "") -> str:
    """The kind of day whose flows are used: the one named or, for "", `weekday` where the city has it, else `all`, else its only one.

    Raises:
        CityError: If the city has no outflow.
        ConfigError: If the city has no flows of that kind of day, or several and none is named.
    """
    if not city.has("outflow"):
        raise CityError(
            f"City `{city.name}` has no hourly outflow per cell. Bring a table of flows (one column per hour) with its cells or zones."
        )
    known = sorted(city.table("outflow")["day_type"].unique())
    if day_type in known:
        return day_type
    if day_type:
        raise ConfigError(f"City `{city.name}` has no flows of day type `{day_type}`; it has {', '.join(known)}.")
    found = [day for day in PREFERRED_DAYS if day in known] or known
    if len(found) > 1 and found[0] not in PREFERRED_DAYS:
        raise ConfigError(f"City `{city.name}` has flows of {', '.join(known)}. Name the day type to learn from.")
    return str(found[0])


def days_with_trips(city: City) -> list[str]:
    """The kinds of day on which any trip leaves a cell, in alphabetical order."""
    flows = city.table("outflow")
    total = flows[list(HOURS)].sum(axis=1).groupby(flows["day_type"]).sum()
    return sorted(str(day) for day in total.index[total > 0])


def hourly_outflow(city: City, day_type: str = "") -> np.ndarray:
    """Trips that leave each cell in each local hour of an average day.

    Returns:
        (cell, 24) float64 in the order of the cells table; a row of NaN where a cell has no flow of this kind of day.

    Raises:
        CityError: If there are no cells or no outflow, the flows are of another zoning, stand twice for a cell, are negative or
            infinite, or all of them are zero.
        ConfigError: If the city has no flows of that kind of day.
    """
    day_type = chosen_day_type(city, day_type)
    if not city.has("cells"):
        raise CityError(f"City `{city.name}` has flows but no cells or zones to put them on. Bring the outlines they refer to.")
    cells, flows = city.table("cells"), city.table("outflow")
    flows = flows[flows["day_type"] == day_type]
    twice = flows["cell_id"].duplicated()
    if twice.any():
        raise CityError(
            f"Cell `{flows['cell_id'][twice].iloc[0]}` of `{city.name}` stands more than once in the outflow of day type "
            f"`{day_type}`. Keep one row per cell and day type."
        )
    unknown = ~flows["cell_id"].isin(set(cells["cell_id"]))
    if unknown.any():
        raise CityError(
            f"{int(unknown.sum()):,} of {len(flows):,} outflow rows of `{city.name}` are of another zoning: cell "
            f"`{flows['cell_id'][unknown].iloc[0]}` is not among its {len(cells):,} cells, such as `{cells['cell_id'].iloc[0]}`. "
            "Bring flows and outlines that share their ids."
        )
    table = flows.set_index("cell_id")[list(HOURS)].reindex(cells["cell_id"]).to_numpy(np.float64)
    wrong = (table < 0) | np.isinf(table)
    if wrong.any():
        cell, hour = np.argwhere(wrong)[0]
        raise CityError(
            f"Outflow of cell `{cells['cell_id'].iloc[cell]}` of `{city.name}` at {hour:02d}h is {table[cell, hour]:g}; "
            "trips are counted from 0 upwards. Correct the table and bring it again."
        )
    if not np.nansum(table) > 0:
        raise CityError(
            f"No cell of `{city.name}` has a single trip on day type `{day_type}`: there is nothing to learn from. "
            "Check which column was read as flow."
        )
    return table
