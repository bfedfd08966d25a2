"""What-ifs of cells on the command line."""

import json
from typing import Any

from rich.markup import escape
from rich.table import Table

from engine.cli.asking import print_differences
from engine.cli.terminal import out, print_json


def whatif_cells(loaded: Any, scenario: Any, run: str, top: int, as_json: bool) -> None:
    """Answers a scenario of cells with a grid run and prints the cells that changed most.

    Args:
        loaded: The `LoadedRun` of a grid model.
        scenario: A `Scenario` of cell edits.
        run: The run's id.
        top: How many cells to list.
        as_json: Print one JSON object, with the 24 hours of every listed cell.
    """
    from engine.scenarios.cell_compare import Grounds, compare_curves, effect_on_curves

    grounds = Grounds(loaded.model, loaded.data.city, loaded.data.cells, loaded.data.inputs)
    comparison = compare_curves(loaded.model, grounds, scenario)
    noted = [(edit.describe(), effect_on_curves(edit, loaded.model, grounds.city).note) for edit in scenario.edits]
    notes = [f"{done[0].upper()}{done[1:]}: {note}" for done, note in noted if note]
    changed = int(comparison.changed.sum())
    table = comparison.cells[comparison.changed]
    table = table.iloc[(-table["change"].abs()).argsort(kind="stable")].head(top)
    if as_json:
        cells = json.loads(table.to_json(orient="records"))
        for told, row in zip(cells, table.index, strict=True):
            told["hours_before"], told["hours_after"] = comparison.before[row].tolist(), comparison.after[row].tolist()
        summary = {"scenario": scenario.name, "digest": scenario.digest, "run": run, "changed": changed}
        print_json(summary | {"trips_a_day": float(comparison.change.sum()), "notes": notes, "cells": cells})
        return
    edits = "; ".join(edit.describe() for edit in scenario.edits) or "no edits"
    total = float(comparison.change.sum())
    out.print(
        escape(f"{scenario.name}: {edits}. {changed:,} of {len(comparison.cell_ids):,} cells change, {total:+,.1f} trips a day.")
    )
    for note in notes:
        out.print(escape(note), soft_wrap=True)
    shown = Table("cell", "district", "edit", "steps", "trips a day before", "after", "change", "largest in an hour")
    cell: Any
    for cell in table.itertuples():
        steps = "–" if cell.steps != cell.steps else f"{cell.steps:.0f}"
        hour = f"{cell.largest_change:+,.1f} at {cell.at_hour:02d} h"
        amounts = (f"{cell.before:,.1f}", f"{cell.after:,.1f}", f"{cell.change:+,.1f}", hour)
        shown.add_row(*map(escape, (str(cell.cell_id), str(cell.district), str(cell.edit), steps, *amounts)))
    if changed:
        out.print(shown)


def metrics_of_cells(loaded: Any, scenario: Any, told: dict[str, str], as_json: bool) -> None:
    """Prints every figure over the test cells before and after a scenario of cells.

    Args:
        loaded: The `LoadedRun` of a grid model.
        scenario: A `Scenario` of cell edits.
        told: What the JSON object begins with.
        as_json: Print one JSON object.
    """
    from engine.evaluation.flow_metrics import FLOW_METRICS
    from engine.scenarios.cell_compare import Grounds, compare_curve_metrics

    grounds = Grounds(loaded.model, loaded.data.city, loaded.data.cells, loaded.data.inputs)
    table = compare_curve_metrics(loaded.model, grounds, scenario)
    if as_json:
        print_json(told | {"metrics": json.loads(table.to_json(orient="records"))})
        return
    counts = f"{int(table['n_before'].max()):,} cell hours before, {int(table['n_after'].max()):,} after"
    print_differences(table, FLOW_METRICS, f"{scenario.name}: test cells, {counts}")
