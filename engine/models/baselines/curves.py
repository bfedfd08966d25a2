"""Baselines of grid mobility, the floor under LMEMR: each gives every cell its 24-hour curve from the same static inputs.

All are fitted on training cells, tuned on validation cells, and fulfil the `CurvePredictor` protocol. Those that copy from the map
(`spatial_neighbours`, `inverse_distance`) look at nothing but positions: where they are strong, a split leaks through space.
`described_trend` looks at nothing but a describer's guess of the curve: where it is strong, the describer knew the answer.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from importlib import import_module
from typing import TYPE_CHECKING

from engine.city.cell_samples import CellSamples
from engine.errors import ConfigError
from engine.models.base import Report
from engine.models.baselines.curve_base import UNTOLD, CurveBaseline, Fit, Reading

if TYPE_CHECKING:
    from engine.encoders.cell_features import CellInputs


@dataclass(frozen=True)
class CurveFactory:
    """How a baseline is made, and what it may read: loaded only when it is fitted.

    Attributes:
        module: Where it stands, under `engine.models.baselines`.
        maker: Its function there, `Fit` to `CurveBaseline`.
        reads: What it reads of the cells it answers.
    """

    module: str
    maker: str
    reads: tuple[Reading, ...] = ("features",)

    def __call__(self, fit: Fit) -> CurveBaseline:
        """The baseline, fitted."""
        fitted: CurveBaseline = getattr(import_module(f"engine.models.baselines.{self.module}"), self.maker)(fit)
        return replace(fitted, reads=self.reads)


CURVE_BASELINES: dict[str, CurveFactory] = {
    "hourly_mean": CurveFactory("curves_near", "hourly_mean", ()),
    "spatial_neighbours": CurveFactory("curves_near", "spatial_neighbours", ("positions",)),
    "inverse_distance": CurveFactory("curves_near", "inverse_distance", ("positions",)),
    "alike_neighbours": CurveFactory("curves_near", "alike_neighbours"),
    "described_trend": CurveFactory("curves_learnt", "described_trend", ("guesses",)),
    "ridge": CurveFactory("curves_learnt", "ridge"),
    "ridge_around": CurveFactory("curves_learnt", "ridge_around", ("features", "edges")),
    "level_and_shape": CurveFactory("curves_learnt", "level_and_shape"),
    "random_forest": CurveFactory("curves_learnt", "random_forest"),
    "extra_trees": CurveFactory("curves_learnt", "extra_trees"),
    "boosting": CurveFactory("curves_learnt", "boosting"),
    "convolution": CurveFactory("curves_networks", "convolution"),
    "lstm": CurveFactory("curves_networks", "lstm"),
    "transformer": CurveFactory("curves_networks", "transformer"),
    "graph_convolution": CurveFactory("curves_networks", "graph_convolution", ("features", "edges")),
}


def fit_curve_baselines(
    inputs: "CellInputs",
    cells: CellSamples,
    seed: int = 0,
    names: Iterable[str] | None = None,
    report: Report | None = None,
) -> list[CurveBaseline]:
    """Fits baselines on the training cells.

    Args:
        inputs: Encoded modalities of all cells.
        cells: The same cells under their split.
        seed: Draws of forests and networks.
        names: Keys of `CURVE_BASELINES`; by default all, less those that read what tells no training cells apart (`UNTOLD`).
        report: Told which one is being fitted.

    Raises:
        ConfigError: If a name is unknown, inputs and cells differ, or the training cells hold too little to learn from.
    """
    wanted = list(CURVE_BASELINES if names is None else names)
    unknown = [name for name in wanted if name not in CURVE_BASELINES]
    if unknown:
        raise ConfigError(f"There is no baseline {', '.join(map(repr, unknown))}; choose from {', '.join(CURVE_BASELINES)}.")
    fit = Fit.of(inputs, cells, seed)
    in_vain = [reading for name in wanted for reading in CURVE_BASELINES[name].reads if reading in fit.untold]
    if names is not None and in_vain:
        raise ConfigError(" ".join(UNTOLD[reading] for reading in dict.fromkeys(in_vain)))
    wanted = [name for name in wanted if fit.untold.isdisjoint(CURVE_BASELINES[name].reads)]
    baselines = []
    for done, name in enumerate(wanted):
        if report:
            report(f"Fitting baseline {name}", done / max(len(wanted), 1))
        baselines.append(CURVE_BASELINES[name](fit))
    return baselines
