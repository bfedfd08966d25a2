"""What neighbours and descriptions tell of a cell's curve beyond its numbers, whatever the network: linear and tree fits.

    python -m tests.benchmarks.bench_neighbour_information [--seeds 10 11 12] [--city NAME]

Fits on training cells and prints R² (log scale) on validation cells, test cells are not looked at: of the numbers of the cell, of
its descriptions, of both, with the means of both over its neighbours, and with their means over all cells within 1,500 m. Where the
truth is known (the built-in city), the last rows add what its generator made a cell for: what the best describer could say. The penalty
is the best on the same cells for all.
"""

import argparse

import numpy as np
import pandas as pd
from sklearn.ensemble import ExtraTreesRegressor
from sklearn.linear_model import Ridge

from engine.city.cell_samples import build_cell_samples
from engine.city.cell_splits import CellSplit
from engine.city.city import City, open_city
from engine.city.synthetic import synthesise
from engine.encoders.cell_features import CellEncoding, encode_cells
from engine.models.baselines.curve_base import Fit

PENALTIES = 10.0 ** np.arange(0, 4.6, 0.5)
NEAR_M = 1_501.0  # three cells of 500 m, and a metre for the projection


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[10, 11, 12])
    parser.add_argument("--city", default="", help="a saved city; default the built-in one of size demo")
    arguments = parser.parse_args()
    city = open_city(arguments.city) if arguments.city else synthesise("demo", seed=0)
    inputs = encode_cells(city, CellEncoding())
    print("| seed | columns of | ridge | extremely randomised trees |\n|---|---|---:|---:|")
    for seed in arguments.seeds:
        fit = Fit.of(inputs, build_cell_samples(city, CellSplit(kind="spatial_blocks", seed=seed)), seed)
        for name, table in _tables(fit, city).items():
            trees = ExtraTreesRegressor(120, min_samples_leaf=2, max_features=0.33, random_state=seed)
            linear = max(_r2(fit, table, Ridge(alpha=penalty)) for penalty in PENALTIES)
            print(f"| {seed} | {name} | {linear:.3f} | {_r2(fit, table, trees):.3f} |", flush=True)


def _tables(fit: Fit, city: City) -> dict[str, np.ndarray]:
    """(cell, column) of each kind of knowledge."""
    own, cells = fit.table, fit.cells
    joined = np.zeros((len(own), len(own)))
    joined[cells.edges[:, 0], cells.edges[:, 1]] = 1
    away = np.hypot(cells.x[:, None] - cells.x, cells.y[:, None] - cells.y)
    near = ((away > 0) & (away <= NEAR_M)).astype(float)
    beside, around = (weight @ own / np.maximum(weight.sum(1, keepdims=True), 1) for weight in (joined, near))
    said = np.concatenate([np.full(block.table(fit.inputs).shape[1], block.kind == "said") for block in fit.features.blocks])
    tables = {
        "the cell, numbers alone": own[:, ~said],
        "the cell, descriptions alone": own[:, said],
        "the cell": own,
        "and of its neighbours": np.concatenate([own, beside], 1),
        "and within 1,500 m": np.concatenate([own, beside, around], 1),
    }
    if not city.has("truth"):
        return tables
    function = _true_function(city, fit)
    told = {f"{name}; true function": np.concatenate([tables[name], function], 1) for name in tables if "descriptions" not in name}
    return tables | told


def _true_function(city: City, fit: Fit) -> np.ndarray:
    """(cell, function) 3 where the generator made the cell for it, else 0: loud enough to pass a common penalty."""
    truth = city.table("truth")
    functions = truth[truth["subject"] == "cell"].set_index("subject_id")["zone_function"]
    return 3.0 * pd.get_dummies(functions.reindex([str(cell) for cell in fit.inputs.cell_ids])).to_numpy(float)


def _r2(fit: Fit, table: np.ndarray, model: Ridge | ExtraTreesRegressor) -> float:
    """R² on validation cells of a model fitted on training cells."""
    error = model.fit(table[fit.train], fit.z[fit.train]).predict(table[fit.valid]) - fit.z[fit.valid]
    return float(1 - (error**2).mean() / fit.z[fit.valid].var())


if __name__ == "__main__":
    main()
