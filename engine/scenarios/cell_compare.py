"""Before and after: what edits of cells change in the curves of all cells, and in the figures over the test cells."""

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from engine.city.cell_samples import CellSamples
from engine.city.city import City
from engine.city.flow_scale import FlowScale
from engine.city.schema import HOURS
from engine.encoders.cell_features import CellInputs
from engine.errors import ScenarioError
from engine.evaluation.flow_answers import FlowAnswers
from engine.evaluation.flow_metrics import FLOW_METRICS, flow_difference, summarise_flow
from engine.layers.dropout import Dropout, dropping
from engine.models.answers import CurvePrediction, CurvePredictor
from engine.models.base import GridModel
from engine.models.declarations import Effect
from engine.scenarios.apply import mechanism_of
from engine.scenarios.cell_apply import check_cell_scenario, edit_cells, edit_inputs, edited_cells
from engine.scenarios.cell_edits import MODALITY_TITLES, CellEdit, LeaveDistrictOut
from engine.scenarios.cell_tables import edit_city, outdated_descriptions
from engine.scenarios.edits import AnyEdit
from engine.scenarios.scenario import Scenario

OUTDATED = (
    "The stored description of what is changed speaks of what was there before, so it is left out; the run's describer, if it has one, "
    "says what is there now."
)


@dataclass(frozen=True, eq=False)
class Grounds:
    """What every comparison of a run starts from.

    Attributes:
        encoder: The run's model; encodes edited cells as it was trained, for baselines too.
        city: The unedited city.
        cells: Its cells under the run's split.
        inputs: What was encoded of them.
    """

    encoder: GridModel
    city: City
    cells: CellSamples
    inputs: CellInputs


@dataclass(frozen=True, eq=False)
class CurveComparison:
    """The curves of all cells before and after; the axis "cell" is that of the cells table.

    Attributes:
        cell_ids: (cell,) str.
        before, after: (cell, 24) trips per local hour.
        band: (cell, 24, 2) bounds of the 80 % interval after the edits, NaN where the predictor gives none.
        cells: One row per cell: cell_id, district, edit (what was done to it), steps (edges to the nearest edited cell, NaN where
            none leads there), before, after, change (trips per day), largest_change (trips in the hour it changed most), at_hour.
    """

    cell_ids: np.ndarray
    before: np.ndarray
    after: np.ndarray
    band: np.ndarray
    cells: pd.DataFrame

    @property
    def change(self) -> np.ndarray:
        """(cell, 24) trips after minus before."""
        return self.after - self.before

    @property
    def changed(self) -> np.ndarray:
        """(cell,) bool: cells whose curve is not the same to the last bit."""
        return np.asarray((self.after != self.before).any(axis=1))

    def to_frame(self) -> pd.DataFrame:
        """Long table (cell_id, hour, before, after, change), cell by cell."""
        return pd.DataFrame(
            {
                "cell_id": np.repeat(self.cell_ids, len(HOURS)),
                "hour": np.tile(np.arange(len(HOURS)), len(self.cell_ids)),
                "before": self.before.ravel(),
                "after": self.after.ravel(),
                "change": self.change.ravel(),
            }
        )


@dataclass(frozen=True, eq=False)
class Edited:
    """Cells under a scenario, ready to be asked."""

    cells: CellSamples
    inputs: CellInputs


def edited(grounds: Grounds, scenario: Scenario) -> Edited:
    """The cells under a scenario; encoded again only where the city's tables change.

    Raises:
        ScenarioError: If the scenario does not fit the city and its cells.
    """
    check_cell_scenario(scenario, grounds.city, grounds.cells)
    city = edit_city(scenario.edits, grounds.city)
    cells = edit_cells(scenario.edits, grounds.cells)
    inputs = grounds.inputs if city is grounds.city else grounds.encoder.encode(city, grounds.cells)
    return Edited(cells, edit_inputs(scenario.edits, inputs))


def compare_curves(
    predictor: CurvePredictor, grounds: Grounds, scenario: Scenario, against: Scenario | None = None
) -> CurveComparison:
    """Asks for all curves before and after a scenario.

    Args:
        predictor: Model or baseline.
        grounds: The run's city, cells and inputs.
        scenario: Edits of cells and of the mechanism, applied in the order of `cell_apply`.
        against: What stands for "before"; default the unedited city.

    Raises:
        ScenarioError: If a scenario does not fit, or asks for a fit of its own (see `refit_without`).
    """
    first = against or Scenario()
    before, _ = _ask(predictor, grounds, first)
    after, under = _ask(predictor, grounds, scenario)
    return _compared(before, after, scenario, under.cells)


def thinned_changes(
    predictor: CurvePredictor, grounds: Grounds, scenario: Scenario, draws: int = 20, seed: int = 0
) -> np.ndarray | None:
    """How far the change of a scenario moves when units of the trained network are dropped at random: Monte Carlo dropout.

    Each draw drops the same units before and after, so that what is left is how differently thinned networks answer to the edit. It
    speaks of what the network learnt from few cells, not of cells that differ for reasons nobody measured.

    Args:
        predictor: Model or baseline.
        grounds: The run's city, cells and inputs.
        scenario: Edits of cells and of the mechanism.
        draws: How many thinned networks.
        seed: Of the first draw.

    Returns:
        (draw, cell, 24) trips after minus before; None where the predictor has no units to drop.

    Raises:
        ScenarioError: As `compare_curves`.
    """
    if not isinstance(predictor, GridModel) or not any(isinstance(part, Dropout) and part.p for part in predictor.modules()):
        return None
    changes = []
    for draw in range(seed, seed + draws):
        with dropping(draw, predictor.device):
            before, _ = _ask(predictor, grounds, Scenario())
        with dropping(draw, predictor.device):
            after, _ = _ask(predictor, grounds, scenario)
        changes.append(np.asarray(after.flow, np.float64) - np.asarray(before.flow, np.float64))
    return np.stack(changes)


def _ask(predictor: CurvePredictor, grounds: Grounds, scenario: Scenario) -> tuple[CurvePrediction, Edited]:
    fitted_anew = [edit for edit in scenario.edits if isinstance(edit, LeaveDistrictOut) and edit.refit]
    if fitted_anew:
        raise ScenarioError(
            f"To {fitted_anew[0].describe()} needs a training of its own. Start it with the button beside the edit, or from a "
            "terminal with a split of kind districts, and compare the two runs."
        )
    under = edited(grounds, scenario)
    with mechanism_of(scenario, predictor):
        return predictor.predict_curves(under.inputs, under.cells), under


def _compared(before: CurvePrediction, after: CurvePrediction, scenario: Scenario, cells: CellSamples) -> CurveComparison:
    first, second = np.asarray(before.flow, np.float64), np.asarray(after.flow, np.float64)
    change = second - first
    at_hour = np.abs(change).argmax(axis=1)
    done = edited_cells(scenario)
    table = pd.DataFrame(
        {
            "cell_id": cells.cell_ids,
            "district": cells.district,
            "edit": ["; ".join(done.get(str(cell), [])) for cell in cells.cell_ids],
            "steps": steps_to(cells, set(done)),
            "before": first.sum(axis=1),
            "after": second.sum(axis=1),
            "change": change.sum(axis=1),
            "largest_change": change[np.arange(len(change)), at_hour],
            "at_hour": at_hour,
        }
    )
    band = np.full((*first.shape, 2), np.nan)
    if after.low is not None and after.high is not None:
        band = np.stack([after.low, after.high], axis=2).astype(np.float64)
    return CurveComparison(cells.cell_ids, first, second, band, table)


def steps_to(cells: CellSamples, chosen: set[str]) -> np.ndarray:
    """(cell,) edges from the nearest chosen cell along the graph; 0 for the chosen ones, NaN where no way leads."""
    steps = np.full(len(cells), np.nan)
    edge = np.isin(cells.cell_ids.astype(str), list(chosen))
    count = 0
    while edge.any():
        steps[edge] = count
        reached = np.zeros(len(cells), bool)
        reached[cells.edges[edge[cells.edges[:, 0]], 1]] = True
        edge, count = reached & np.isnan(steps), count + 1
    return steps


def compare_curve_metrics(predictor: CurvePredictor, grounds: Grounds, scenario: Scenario, seed: int = 0) -> pd.DataFrame:
    """Every figure over the test cells before and after, on the same cells where the test part stays, in the bins of the run.

    Returns:
        One row per metric: metric, before, after, difference, low, high (of the difference, NaN where the test part changed,
        because the two are then not paired), n_before, n_after (cell hours).

    Raises:
        ScenarioError: As `compare_curves`.
    """
    # The scale that the run was measured on, so that "before" is what its own tables say.
    scale = grounds.encoder.scale or FlowScale.fit(grounds.cells.outflow[grounds.cells.mask("train")])
    given = []
    for one in (Scenario(), scenario):
        prediction, under = _ask(predictor, grounds, one)
        answers = FlowAnswers.of(predictor.name, predictor.title, prediction, under.cells, scale)
        given.append(answers[under.cells.mask("test")])
    return _figures(given[0], given[1], seed)


def _figures(first: FlowAnswers, second: FlowAnswers, seed: int) -> pd.DataFrame:
    before, after = summarise_flow(first, seed=seed), summarise_flow(second, seed=seed)
    is_paired = np.array_equal(first.cell_ids, second.cell_ids)
    rows = []
    for metric in FLOW_METRICS:
        paired = flow_difference(second, first, metric, seed=seed) if is_paired else None
        rows.append(
            {
                "metric": metric,
                "before": before[metric].value,
                "after": after[metric].value,
                "difference": after[metric].value - before[metric].value,
                "low": paired.low if paired else np.nan,
                "high": paired.high if paired else np.nan,
                "n_before": before[metric].n,
                "n_after": after[metric].n,
            }
        )
    return pd.DataFrame(rows)


def refit_baseline(name: str, grounds: Grounds, edit: LeaveDistrictOut, seed: int = 0) -> CurveComparison:
    """A baseline fitted without a district, beside the one fitted under the run's own split.

    Raises:
        ScenarioError: If the district is not there or nothing in it can be judged.
        ConfigError: If there is no such baseline.
    """
    from engine.models.baselines.curves import fit_curve_baselines

    scenario = Scenario(edits=(edit.model_copy(update={"refit": True}),))
    held_out = edit_cells(scenario.edits, grounds.cells)
    before, after = (
        fit_curve_baselines(grounds.inputs, cells, seed, [name])[0].predict_curves(grounds.inputs, cells)
        for cells in (grounds.cells, held_out)
    )
    return _compared(before, after, scenario, held_out)


def effect_on_curves(edit: AnyEdit, predictor: CurvePredictor, city: City) -> Effect:
    """What an edit of a city's cells needs before this predictor of curves can answer to it, and what it does beside."""
    if isinstance(edit, LeaveDistrictOut):
        if edit.refit:
            return Effect("re-fit", "Needs a training of its own, without the flows of that district.")
        return Effect("forward", "Changes which cells are judged; the curves stay.")
    if edit.subject == "mechanism" and not isinstance(predictor, GridModel):
        return Effect("nothing", f"{predictor.title} has no mechanism to override.")
    changed = getattr(edit, "modality", None) or (edit.outdates if isinstance(edit, CellEdit) else None)
    if changed is not None and isinstance(predictor, GridModel) and changed not in predictor.modalities:
        return Effect(
            "nothing",
            f"This run does not see {MODALITY_TITLES[changed]}: “Modalities” on the Train page says what a run sees, and what the city lacks is "
            "left out.",
        )
    effects = predictor.effects()
    effect = effects.get(edit.kind, Effect("forward", "Answered by a forward pass."))
    words = effects.get("change_description", effect)
    if "nothing" not in (effect.needs, words.needs) and outdated_descriptions(edit, city).any():
        return replace(effect, note=f"{OUTDATED} {effect.note}".rstrip())
    return effect
