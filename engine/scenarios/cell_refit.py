"""The split that fits a grid model anew without one district, and judges it there."""

from engine.city.cell_samples import CellSamples
from engine.city.cell_splits import CellSplit, assign_cell_parts
from engine.city.city import City
from engine.city.splits import PARTS
from engine.errors import ScenarioError

MOST_DISTRICTS = 50


def split_without(city: City, split: CellSplit, cells: CellSamples, district: str) -> CellSplit:
    """A split of districts whose test part is this district and nothing else.

    Args:
        city: The city of the run.
        split: The run's split; day type, graph and seed are kept.
        cells: The run's cells.
        district: Its name.

    Raises:
        ScenarioError: If there is no such district with flows, or there are fewer than two or more than 50.
    """
    observed = cells.part >= 0
    names = sorted(set(cells.district[observed]) - {""})
    if district not in names:
        raise ScenarioError(f"No cell of `{district}` has an observed flow; choose one of {', '.join(names[:12]) or 'none'}.")
    if not 2 <= len(names) <= MOST_DISTRICTS:
        raise ScenarioError(
            f"Leaving one district out needs 2 to {MOST_DISTRICTS} districts with flows; {city.name} has {len(names)}."
        )
    test = PARTS.index("test")
    kept = split.model_dump() | {"kind": "districts", "folds": len(names), "buffer_steps": 0}
    for fold in range(len(names)):
        wanted = CellSplit.model_validate(kept | {"fold": fold})
        part = assign_cell_parts(city, wanted, cells.edges, cells.outflow)
        if set(cells.district[part == test]) == {district}:
            return wanted
    raise ScenarioError(f"No fold of the districts of {city.name} holds `{district}` alone.")
