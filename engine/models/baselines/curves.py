"""Baselines of grid mobility, the floor under LMEMR: each gives every cell its 24-hour curve from the same static inputs.

All are fitted on training cells, tuned on validation cells, and fulfil the `CurvePredictor` protocol. Those that copy from the map
(`spatial_neighbours`, `inverse_distance`) look at nothing but positions: where they are strong, a split leaks through space.
"""

from collections.abc import Callable, Iterable
from importlib import import_module
from typing import TYPE_CHECKING

from engine.city.cell_samples import CellSamples
from engine.errors import ConfigError
from engine.models.base import Report
from engine.models.baselines.curve_base import CurveBaseline, Fit

if TYPE_CHECKING:
    from engine.encoders.cell_features import CellInputs

CurveFactory = Callable[[Fit], CurveBaseline]


def _factory(module: str, maker: str) -> CurveFactory:
    def make(fit: Fit) -> CurveBaseline:
        baseline: CurveBaseline = getattr(import_module(f"engine.models.baselines.{module}"), maker)(fit)
        return baseline

    make.__name__ = maker
    return make


CURVE_BASELINES: dict[str, CurveFactory] = {
    "hourly_mean": _factory("curves_near", "hourly_mean"),
    "spatial_neighbours": _factory("curves_near", "spatial_neighbours"),
    "inverse_distance": _factory("curves_near", "inverse_distance"),
    "alike_neighbours": _factory("curves_near", "alike_neighbours"),
    "ridge": _factory("curves_learnt", "ridge"),
    "ridge_around": _factory("curves_learnt", "ridge_around"),
    "level_and_shape": _factory("curves_learnt", "level_and_shape"),
    "random_forest": _factory("curves_learnt", "random_forest"),
    "extra_trees": _factory("curves_learnt", "extra_trees"),
    "boosting": _factory("curves_learnt", "boosting"),
    "convolution": _factory("curves_networks", "convolution"),
    "lstm": _factory("curves_networks", "lstm"),
    "transformer": _factory("curves_networks", "transformer"),
    "graph_convolution": _factory("curves_networks", "graph_convolution"),
}
FROM_POSITIONS = ("spatial_neighbours", "inverse_distance")
"""Baselines that know where a cell is and nothing else; the others know what is there and not where."""

FROM_NEIGHBOURS = ("ridge_around", "graph_convolution")
"""Baselines that also read what the graph of neighbours puts beside a cell."""


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
        names: Keys of `CURVE_BASELINES`; all by default.
        report: Told which one is being fitted.

    Raises:
        ConfigError: If a name is unknown, inputs and cells differ, or the training cells hold too little to learn from.
    """
    wanted = list(CURVE_BASELINES if names is None else names)
    unknown = [name for name in wanted if name not in CURVE_BASELINES]
    if unknown:
        raise ConfigError(f"There is no baseline {', '.join(map(repr, unknown))}; choose from {', '.join(CURVE_BASELINES)}.")
    fit = Fit.of(inputs, cells, seed)
    baselines = []
    for done, name in enumerate(wanted):
        if report:
            report(f"Fitting baseline {name}", done / max(len(wanted), 1))
        baselines.append(CURVE_BASELINES[name](fit))
    return baselines
