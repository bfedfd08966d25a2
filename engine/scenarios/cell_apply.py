"""Applying edits of cells. The original never changes: every function gives a new city, new inputs or new samples.

Edits are applied in three layers, each in the order of the scenario: first the city's tables (places, buildings, tiles, descriptions;
the cells are then encoded again: `cell_tables`), then what was encoded (blends, dropped modalities), then the graph and the parts.
"""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from engine.city.cell_samples import CellSamples
from engine.city.city import City
from engine.city.splits import PARTS
from engine.encoders.cell_features import CellInputs, Modality
from engine.errors import ScenarioError
from engine.scenarios.cell_edits import (
    AddEdge,
    BlendCells,
    CellEdit,
    CutEdge,
    DropModality,
    LeaveDistrictOut,
)
from engine.scenarios.edits import AnyEdit
from engine.scenarios.scenario import Scenario


def check_cell_scenario(scenario: Scenario, city: City, cells: CellSamples) -> None:
    """Refuses a scenario that cannot be applied to the cells of a city, with all reasons at once.

    Raises:
        ScenarioError: Another city's fingerprint, cells or districts that are gone, edits of places or questions.
    """
    problems = []
    if scenario.city_fingerprint and scenario.city_fingerprint != city.fingerprint:
        problems.append(
            f"The scenario was made for another city or another state of it ({scenario.city or 'unnamed'}, "
            f"{scenario.city_fingerprint[:8]}…); this is {city.name}, {city.fingerprint[:8]}…."
        )
    known, districts = set(cells.cell_ids), set(cells.district) - {""}
    for number, edit in enumerate(scenario.edits, start=1):
        if edit.subject not in ("cells", "mechanism"):
            problems.append(f"Edit {number} ({edit.describe()}) is of places or of a question; a model of cells cannot answer it.")
        named = [getattr(edit, field, None) for field in ("cell_id", "from_cell", "like", "neighbour")]
        gone = [cell for cell in named if cell is not None and cell not in known]
        if gone:
            problems.append(f"Edit {number} would {edit.describe()}, but {city.name} has no cell {', '.join(gone)}.")
        if isinstance(edit, LeaveDistrictOut) and edit.district not in districts:
            there = ", ".join(sorted(districts)[:8]) or "no districts"
            problems.append(f"Edit {number} would {edit.describe()}, but {city.name} has no such district; it has {there}.")
    if problems:
        raise ScenarioError(" ".join(problems))


# ---- what was encoded ----------------------------------------------------------------------------------------------------------


def edit_inputs(edits: Iterable[AnyEdit], inputs: CellInputs) -> CellInputs:
    """What was encoded under blends and dropped modalities; the same object where there are none.

    Raises:
        ScenarioError: If an edit names a cell that is not there.
    """
    position = {str(cell): row for row, cell in enumerate(inputs.cell_ids)}
    modalities, told = dict(inputs.modalities), []
    for edit in edits:
        match edit:
            case DropModality():
                cells = np.arange(len(inputs)) if edit.cell_id is None else _found([edit.cell_id], position)
                if edit.modality in modalities:
                    modalities[edit.modality] = _without(modalities[edit.modality], cells)
            case BlendCells():
                here, there = _found([edit.cell_id, edit.like], position)
                if edit.alpha > 0:
                    modalities = {name: _blended(one, here, there, edit.alpha) for name, one in modalities.items()}
            case _:
                continue
        told.append(edit.model_dump_json())
    if not told:
        return inputs
    digest = hashlib.sha256("\n".join([inputs.fingerprint, *told]).encode()).hexdigest()
    return CellInputs(inputs.cell_ids, modalities, digest)


def _found(cells: Sequence[str], position: dict[str, int]) -> np.ndarray:
    lost = [cell for cell in cells if cell not in position]
    if lost:
        raise ScenarioError(f"There is no cell `{lost[0]}` in this city; it may be gone or belong to another one.")
    return np.array([position[cell] for cell in cells])


def _without(modality: Modality, cells: np.ndarray) -> Modality:
    present, text_present = modality.present.copy(), modality.text_present.copy()
    present[cells], text_present[cells] = False, False
    captions, text = list(modality.captions), modality.text.copy()
    for cell in cells:
        captions[cell] = ""
    text[cells] = 0
    guesses = _guesses(modality)
    for guess in guesses.values():
        guess[cells] = np.nan
    features, owner = modality.features, modality.owner
    gone = np.isin(owner, cells)
    if modality.name == "street_view":
        features, owner = features[~gone], owner[~gone]
    else:
        features = np.where(gone[:, None], np.float32(0), features)
    return replace(
        modality,
        features=features,
        owner=owner,
        present=present,
        captions=tuple(captions),
        text=text,
        text_present=text_present,
        **guesses,
    )


def _guesses(modality: Modality) -> dict[str, Any]:
    """Copies of what a describer guessed of each cell in numbers, by field; what nobody guessed is not in it."""
    found = {"trend": modality.trend, "intensity": modality.intensity}
    return {name: guess.copy() for name, guess in found.items() if guess is not None}


def _blended(modality: Modality, here: int, there: int, alpha: float) -> Modality:
    """The modality with cell `here` moved towards cell `there`.

    Features and text vectors move in a straight line; where only one of the two cells has the modality (or the caption), the nearer
    one decides. Photographs are mixed in pairs, the shorter set going round. At 1 the cell has the other one's modality exactly.
    """
    nearer = there if alpha >= 0.5 else here
    mine, theirs = modality.features[modality.owner == here], modality.features[modality.owner == there]
    if alpha == 1 or not modality.present[here] or not modality.present[there] or not len(mine) or not len(theirs):
        rows = modality.features[modality.owner == nearer]
    else:
        count = max(round((1 - alpha) * len(mine) + alpha * len(theirs)), 1)
        steps = np.arange(count)
        rows = (1 - alpha) * mine[steps % len(mine)] + alpha * theirs[steps % len(theirs)]
    before, after = modality.owner < here, modality.owner > here
    present, text_present = modality.present.copy(), modality.text_present.copy()
    present[here], text_present[here] = modality.present[nearer], modality.text_present[nearer]
    text = modality.text.copy()
    if alpha < 1 and modality.text_present[here] and modality.text_present[there]:
        mixed = (1 - alpha) * modality.text[here] + alpha * modality.text[there]
        text[here] = mixed / max(float(np.linalg.norm(mixed)), 1e-6)
    else:
        text[here] = modality.text[nearer]
    captions, guesses = list(modality.captions), _guesses(modality)
    captions[here] = modality.captions[nearer]
    for guess in guesses.values():
        both = (1 - alpha) * guess[here] + alpha * guess[there]
        guess[here] = np.where(np.isfinite(both), both, guess[nearer])
    return replace(
        modality,
        features=np.concatenate([modality.features[before], rows.astype(np.float32), modality.features[after]]),
        owner=np.concatenate([modality.owner[before], np.full(len(rows), here), modality.owner[after]]).astype(np.int64),
        present=present,
        captions=tuple(captions),
        text=text,
        text_present=text_present,
        **guesses,
    )


# ---- graph and parts -----------------------------------------------------------------------------------------------------------


def edit_cells(edits: Iterable[AnyEdit], cells: CellSamples) -> CellSamples:
    """The samples with edges cut and added and districts left out; the same object where there are no such edits.

    A district left out is input only: in the graph, but neither learnt from nor judged. To be fitted anew without it, its cells
    are the test part and all others train and validate as before, the former test cells training too.

    Raises:
        ScenarioError: If an edge to be cut is not there, one to be added is, or too little is left to judge.
    """
    position = {str(cell): row for row, cell in enumerate(cells.cell_ids)}
    edges = {(int(source), int(target)) for source, target in cells.edges}
    part, changed = cells.part.copy(), False
    for edit in edits:
        match edit:
            case CutEdge():
                pair = tuple(_found([edit.cell_id, edit.neighbour], position).tolist())
                if pair not in edges and pair[::-1] not in edges:
                    raise ScenarioError(f"`{edit.cell_id}` and `{edit.neighbour}` are no neighbours, so there is no edge to cut.")
                edges -= {pair, pair[::-1]}
            case AddEdge():
                pair = tuple(_found([edit.cell_id, edit.neighbour], position).tolist())
                if pair in edges and pair[::-1] in edges:
                    raise ScenarioError(f"`{edit.cell_id}` and `{edit.neighbour}` are neighbours already.")
                edges |= {pair, pair[::-1]}
            case LeaveDistrictOut():
                part = _left_out(cells, part, edit)
            case _:
                continue
        changed = True
    if not changed:
        return cells
    ordered = np.array(sorted(edges), np.int64).reshape(-1, 2)
    return replace(cells, edges=ordered, part=part)


def _left_out(cells: CellSamples, part: np.ndarray, edit: LeaveDistrictOut) -> np.ndarray:
    mine = cells.district == edit.district
    if not mine.any():
        raise ScenarioError(f"There is no district `{edit.district}` among these cells.")
    test = PARTS.index("test")
    if edit.refit:
        judged = mine & np.isfinite(cells.outflow).any(axis=1)
        if not judged.any():
            raise ScenarioError(f"No cell of `{edit.district}` has an observed flow, so there is nothing to judge a new fit on.")
        part = np.where(part == test, PARTS.index("train"), part).astype(np.int8)
        part[mine] = -1
        part[judged] = test
    else:
        part = np.where(mine, -1, part).astype(np.int8)
    if not (part == test).any():
        raise ScenarioError(f"Without `{edit.district}` no test cell is left to judge. Choose another district.")
    return part


def edited_cells(scenario: Scenario) -> dict[str, list[str]]:
    """Cell id to what was done to it, as phrases, in the order of the edits; edits of the whole city are not in it."""
    found: dict[str, list[str]] = {}
    for edit in scenario.edits:
        if isinstance(edit, CellEdit) or (isinstance(edit, DropModality) and edit.cell_id is not None):
            found.setdefault(str(edit.cell_id), []).append(edit.describe())
            if isinstance(edit, CutEdge | AddEdge):
                found.setdefault(edit.neighbour, []).append(edit.describe())
    return found
