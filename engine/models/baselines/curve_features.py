"""The encoded modalities of cells as one table of columns, for predictors that are no graph or attention networks.

Everything is fitted on training cells: what fills a missing value, standardisation, and the compression of wide blocks.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import numpy as np

from engine.city.cell_samples import CellSamples
from engine.errors import ConfigError

if TYPE_CHECKING:
    from engine.encoders.cell_features import CellInputs, Modality

WIDEST = 256
"""Blocks of more columns (vectors of text and image encoders) are compressed to `COMPRESSED` principal components."""

COMPRESSED = 16
Kind = Literal["seen", "said", "trend", "intensity"]
"""Features, the text of the description, and what a describer guessed in numbers: the curve, and how busy the cell is."""

NOTHING_TO_TELL = (
    "Nothing that is known of the training cells differs between them, so nothing can be told from it. Bring imagery, buildings, street "
    "views or POIs with the cells."
)
NO_GUESS = (
    "No description of the training cells guesses their 24-hour trend, or all guess the same, so no curve can be answered from such a "
    "guess alone. `mobiscope caption --trend` asks a describer for one and keeps it; with the setting `with_trend` the rules make one."
)

MOST_STANDARD = 8.0
"""Standardised columns are cut here: a value never met in training must not dominate a distance or a linear sum."""


@dataclass(frozen=True, eq=False)
class Block:
    """One group of columns of the table.

    Attributes:
        modality: Whose.
        kind: What of it.
        width: Columns that come in.
        is_log: (column,) bool: taken as log(1 + x), because it is a count or as skewed as one.
        mean, spread: (column,) of the training cells that have it.
        projection: (column, component), None where the block is narrow enough.
        component_spread: (component,) standard deviation of the projected training rows.
        has_gaps: Whether some training cell lacks it; then a column says which cells have it.
    """

    modality: str
    kind: Kind
    width: int
    is_log: np.ndarray
    mean: np.ndarray
    spread: np.ndarray
    projection: np.ndarray | None
    component_spread: np.ndarray
    has_gaps: bool

    def table(self, inputs: "CellInputs") -> np.ndarray:
        """(cell, column) float64, standardised; a cell that lacks the block has the mean of the training cells, 0."""
        rows, present = _rows(inputs.modalities.get(self.modality), self.kind, len(inputs.cell_ids))
        if rows.shape[1] not in (self.width, 0):
            raise ConfigError(
                f"The {self.modality} of these cells has {rows.shape[1]} components, in training it had {self.width}. Encode them alike."
            )
        rows = rows if rows.shape[1] else np.zeros((len(present), self.width))
        rows = np.where(self.is_log, np.log1p(np.maximum(rows, 0)), rows)
        standard = np.clip((rows - self.mean) / self.spread, -MOST_STANDARD, MOST_STANDARD)
        if self.projection is not None:
            standard = standard @ self.projection / self.component_spread
        standard = np.where(present[:, None], standard, 0.0)
        return np.column_stack([standard, present.astype(np.float64)]) if self.has_gaps else standard


@dataclass(frozen=True, eq=False)
class FeatureTable:
    """How inputs become columns.

    Attributes:
        blocks: In the order of the columns; empty where nothing that is known of the training cells differs between them.
    """

    blocks: tuple[Block, ...]
    _kept: list[tuple["CellInputs", np.ndarray]] = field(default_factory=list, repr=False)

    @classmethod
    def fit(cls, inputs: "CellInputs", cells: CellSamples, kinds: Sequence[Kind] | None = None) -> "FeatureTable":
        """Fits on the training cells.

        Args:
            inputs: Encoded modalities.
            cells: The same cells under their split.
            kinds: What of each modality; by default what is seen and said, and the guessed trend where all may read it.
        """
        training = cells.mask("train")
        blocks = []
        for modality in inputs.modalities.values():
            for kind in kinds or (("seen", "said", "trend") if modality.trend_is_read else ("seen", "said")):
                block = _fitted(modality, kind, training)
                blocks += [block] if block else []
        return cls(tuple(blocks))

    def table(self, inputs: "CellInputs") -> np.ndarray:
        """(cell, column) float64; kept for the inputs asked last."""
        for known, table in self._kept:
            if known is inputs:
                return table
        table = np.column_stack([block.table(inputs) for block in self.blocks])
        self._kept[:] = [(inputs, table)]
        return table


def _fitted(modality: "Modality", kind: Kind, training: np.ndarray) -> Block | None:
    rows, present = _rows(modality, kind, len(training))
    known = rows[training & present]
    if len(known) < 2 or not known.shape[1]:
        return None
    is_log = _counts(known, modality, kind)
    known = np.where(is_log, np.log1p(np.maximum(known, 0)), known)
    mean, spread = known.mean(axis=0), known.std(axis=0)
    varies = spread > 1e-3 * np.abs(mean) + 1e-9
    if not varies.any():
        return None
    # A column that is the same everywhere (the area of a square grid) would blow up its rounding: it is divided away.
    spread = np.where(varies, spread, np.inf)
    projection, component_spread = None, np.ones(1)
    if known.shape[1] > WIDEST:
        standard = np.clip((known - mean) / spread, -MOST_STANDARD, MOST_STANDARD)
        projection = _principal(standard, min(COMPRESSED, len(known) - 1))
        component_spread = np.maximum((standard @ projection).std(axis=0), 1e-9)
    has_gaps = bool((~present[training]).any())
    return Block(modality.name, kind, rows.shape[1], is_log, mean, spread, projection, component_spread, has_gaps)


def _rows(modality: "Modality | None", kind: Kind, count: int) -> tuple[np.ndarray, np.ndarray]:
    """(cell, column) and (cell,) whether the cell has them; photographs of a cell become their mean, spread and number.

    Guesses are in percent, the trend too.
    """
    if modality is None:
        return np.zeros((count, 0)), np.zeros(count, bool)
    if kind == "said":
        return np.asarray(modality.text, np.float64), np.asarray(modality.text_present, bool)
    if kind != "seen":
        guess = modality.intensity if kind == "intensity" else modality.trend
        if guess is None:
            return np.zeros((count, 0)), np.zeros(count, bool)
        percent = np.asarray(guess, np.float64).reshape(count, -1) * (100 if kind == "trend" else 1)
        told = np.asarray(np.isfinite(percent).all(axis=1))
        return np.where(told[:, None], percent, 0.0), told
    features = np.asarray(modality.features, np.float64)
    number = np.bincount(modality.owner, minlength=count)[:, None]
    mean, square = np.zeros((count, features.shape[1])), np.zeros((count, features.shape[1]))
    np.add.at(mean, modality.owner, features)
    mean /= np.maximum(number, 1)
    if number.max(initial=0) <= 1:
        return mean, np.asarray(modality.present, bool)
    np.add.at(square, modality.owner, (features - mean[modality.owner]) ** 2)
    spread = np.sqrt(square / np.maximum(number, 1))
    return np.column_stack([mean, spread, np.log1p(number)]), np.asarray(modality.present, bool)


def _counts(known: np.ndarray, modality: "Modality", kind: Kind) -> np.ndarray:
    """(column,) bool: counts of categories, amounts as skewed as counts (check-ins, areas), and guesses of trips."""
    if kind != "seen":
        return np.full(known.shape[1], kind != "said")
    centred = known - known.mean(axis=0)
    spread = np.maximum(known.std(axis=0), 1e-12)
    skewed = (known.min(axis=0) >= 0) & ((centred**3).mean(axis=0) / spread**3 > 2) & (known.max(axis=0) > 5)
    skewed[: modality.counts] = True
    return skewed


def _principal(standard: np.ndarray, components: int) -> np.ndarray:
    """(column, component) principal directions, each with its largest entry positive, so that equal data give equal directions."""
    vectors = np.linalg.eigh(standard.T @ standard)[1][:, ::-1][:, :components]
    return vectors * np.where(vectors[np.abs(vectors).argmax(axis=0), np.arange(components)] < 0, -1.0, 1.0)
