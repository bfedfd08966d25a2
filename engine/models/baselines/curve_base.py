"""What baselines of grid mobility share: fitting on training cells in z, tuning on validation cells, and an interval from them.

A baseline is a function from (inputs, cells) to z, the standardised log flow. Each chooses its few settings by the squared error in
z on the validation cells, and never looks at test cells. The 80 % interval spans the middle of the validation errors (split-conformal).
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import numpy as np

from engine.city.cell_samples import CellSamples
from engine.city.flow_scale import FlowScale
from engine.errors import ConfigError
from engine.models.answers import CurvePrediction
from engine.models.baselines.curve_features import NO_GUESS, NOTHING_TO_TELL, FeatureTable
from engine.models.declarations import Effect

if TYPE_CHECKING:
    from engine.encoders.cell_features import CellInputs

COVERAGE = 0.8
Curves = Callable[["CellInputs", CellSamples], np.ndarray]
"""(inputs, cells) to z, (cell, 24)."""

Reading = Literal["features", "guesses", "positions", "edges"]
"""What a baseline may read of cells: what is known of them, what a describer guessed of their curves, where they are, who is whose neighbour."""

UNTOLD: dict[Reading, str] = {"features": NOTHING_TO_TELL, "guesses": NO_GUESS}
"""What a baseline may read to no avail, and why it is left out then."""

Setting = TypeVar("Setting")


@dataclass(frozen=True, eq=False)
class CurveBaseline:
    """A fitted baseline.

    Attributes:
        name: Key in `CURVE_BASELINES`.
        title: Name on screen.
        scale: Fitted on training cells.
        curves: Gives z.
        bounds: Smallest and largest z of the training cells; answers are kept within, because a linear or a network answer beyond what
            anybody observed becomes absurd once it is raised to trips.
        margin: What is added to z for the lower and the upper bound of the 80 % interval; None without validation cells.
        chosen: Settings found on the validation cells, for the screen.
        reads: What it reads of the cells it answers; what it does not read cannot matter to it.
    """

    name: str
    title: str
    scale: FlowScale
    curves: Curves
    bounds: tuple[float, float]
    margin: tuple[float, float] | None = None
    chosen: dict[str, Any] = field(default_factory=dict)
    reads: tuple[Reading, ...] = ("features",)

    def predict_curves(self, inputs: "CellInputs", cells: CellSamples) -> CurvePrediction:
        """Curves of all cells; `cells.outflow` is not looked at."""
        z = np.clip(self.curves(inputs, cells), *self.bounds)
        low, high = (
            (None, None) if self.margin is None else (self.scale.from_z(z + side).astype(np.float32) for side in self.margin)
        )
        return CurvePrediction(self.scale.from_z(z).astype(np.float32), low, high)

    def effects(self) -> dict[str, Effect]:
        """What edits of cells need here, by their `kind`; those left out need a forward pass."""
        again = Effect("re-encode", "The edited cell is encoded again and all cells are answered.")
        found = dict.fromkeys(("change_pois", "change_buildings", "change_tile", "change_description"), again)
        if not {"features", "guesses"} & set(self.reads):
            blind = Effect("nothing", "This baseline does not look at what is known of a cell.")
            found = dict.fromkeys((*found, "blend_cells", "drop_modality"), blind)
        if "edges" not in self.reads:
            alone = Effect("nothing", "This baseline does not look at the graph of neighbouring cells.")
            found |= dict.fromkeys(("cut_edge", "add_edge"), alone)
        return found


@dataclass(frozen=True, eq=False)
class Fit:
    """What a baseline is fitted on.

    Attributes:
        inputs, cells: All cells; only the training rows of `z` may be learnt from.
        features: Columns of the inputs.
        guesses: Columns of what describers guessed, none where no training cells differ in the guessed trend.
        scale: Of the training flows.
        z: (cell, 24) observed; NaN where unknown.
        train, valid: Positions of cells whose 24 hours are all known.
        seed: Draws of the baselines that draw.
    """

    inputs: "CellInputs"
    cells: CellSamples
    features: FeatureTable
    guesses: FeatureTable
    scale: FlowScale
    z: np.ndarray
    train: np.ndarray
    valid: np.ndarray
    seed: int

    @classmethod
    def of(cls, inputs: "CellInputs", cells: CellSamples, seed: int) -> "Fit":
        """Fits the scale and the columns.

        Raises:
            ConfigError: If inputs and cells differ or too few training cells have a whole curve.
        """
        if not np.array_equal(inputs.cell_ids, cells.cell_ids):
            raise ConfigError("The encoded inputs are of other cells than the samples. Encode the cells of this city again.")
        whole = np.isfinite(cells.outflow).all(axis=1)
        train, valid = (np.flatnonzero(cells.mask(part) & whole) for part in ("train", "valid"))
        if len(train) < 3:
            raise ConfigError(
                f"Only {len(train)} training cells have a whole curve; baselines need at least 3. Choose another split."
            )
        scale = FlowScale.fit(cells.outflow[cells.mask("train")])
        features, guesses = FeatureTable.fit(inputs, cells), FeatureTable.fit(inputs, cells, ("trend", "intensity"))
        if not any(block.kind == "trend" for block in guesses.blocks):
            guesses = FeatureTable(())
        return cls(inputs, cells, features, guesses, scale, scale.to_z(cells.outflow), train, valid, seed)

    @property
    def untold(self) -> set[Reading]:
        """What tells no training cells apart, so that a baseline that reads it has nothing to learn."""
        tables: dict[Reading, FeatureTable] = {"features": self.features, "guesses": self.guesses}
        return {reading for reading, table in tables.items() if not table.blocks}

    @property
    def table(self) -> np.ndarray:
        """(cell, column) all cells."""
        return self.features.table(self.inputs)

    def error(self, z: np.ndarray) -> float:
        """Mean squared error in z of all cells' answers on the validation cells."""
        return float(((z[self.valid] - self.z[self.valid]) ** 2).mean())

    def tuned(self, settings: Iterable[Setting], default: Setting, fit: Callable[[Setting], Curves]) -> tuple[Curves, Setting]:
        """The curves fitted with the setting that is best on the validation cells; the first among equals."""
        if not len(self.valid):
            return fit(default), default
        best: tuple[float, Curves, Setting] | None = None
        for setting in settings:
            curves = fit(setting)
            error = self.error(curves(self.inputs, self.cells))
            if best is None or error < best[0] - 1e-12:
                best = (error, curves, setting)
        if best is None:
            raise ConfigError("A baseline has no settings to choose from.")
        return best[1], best[2]

    def finished(self, name: str, title: str, curves: Curves, **chosen: Any) -> CurveBaseline:
        """The baseline with its interval."""
        margin, known = None, self.z[self.train]
        bounds = (float(known.min()), float(known.max()))
        if len(self.valid):
            residual = (self.z - np.clip(curves(self.inputs, self.cells), *bounds))[self.valid]
            low, high = np.quantile(residual, [(1 - COVERAGE) / 2, (1 + COVERAGE) / 2])
            margin = (min(float(low), 0.0), max(float(high), 0.0))
        return CurveBaseline(name, title, self.scale, curves, bounds, margin, chosen)
