"""Baselines that regress 24 hours on what is known of a cell: ridge, level and shape, forests, boosting on components of curves.

The paper's linear regression and random forest get the same features repeated 24 times without the hour, so they answer one number
for the whole day. Here each has 24 targets (or components of the curve), which is the hour stated outright.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.sparse import csr_array
from sklearn.ensemble import ExtraTreesRegressor, HistGradientBoostingRegressor, RandomForestRegressor

from engine.city.cell_samples import CellSamples
from engine.models.baselines.curve_base import CurveBaseline, Curves, Fit
from engine.models.baselines.curve_features import FeatureTable

if TYPE_CHECKING:
    from engine.encoders.cell_features import CellInputs

STRENGTHS = tuple(10.0**power for power in np.arange(-1, 5, 0.5))
STEPS_AROUND = (1, 2, 3)
MOST_STEPS = STEPS_AROUND[-1]
TREES = 120
LEAVES: tuple[tuple[int, float], ...] = ((1, 0.33), (3, 0.33), (3, 1.0))
"""Fewest training cells in a leaf, share of columns tried at a split."""

COMPONENTS = 4
ROUNDS = (25, 50, 100, 200, 300)


def ridge(fit: Fit) -> CurveBaseline:
    """Linear in the columns, 24 targets, squared coefficients penalised."""
    return _ridge_on(fit, fit.features, "ridge", "Ridge regression")


def described_trend(fit: Fit) -> CurveBaseline:
    """Ridge on the logs of what describers guessed of the cell: its 24-hour trend and how busy it is (LMEMR specification §3.1, §11).

    It reads neither pictures nor places nor words: where it is as good as a model that is told the guess, the describer knew the answer.
    """
    return _ridge_on(fit, fit.guesses, "described_trend", "Described trend only")


def _ridge_on(fit: Fit, features: FeatureTable, name: str, title: str) -> CurveBaseline:
    solve = _ridge(features.table(fit.inputs)[fit.train], fit.z[fit.train])
    curves, strength = fit.tuned(STRENGTHS, 100.0, lambda strength: _linear(features, *solve(strength)))
    return fit.finished(name, title, curves, strength=float(strength))


def ridge_around(fit: Fit) -> CurveBaseline:
    """Linear in the columns of a cell and in their means one, two and three steps around it: what a graph network must beat.

    The means are repeated means over the neighbours on `cells.edges`, so that a linear fit sees as far as three blocks of LMEMR.
    """
    tables = surroundings(fit.table, fit.cells.edges, MOST_STEPS)
    solve = {steps: _ridge(np.concatenate(tables[: steps + 1], axis=1)[fit.train], fit.z[fit.train]) for steps in STEPS_AROUND}

    def with_setting(setting: tuple[int, float]) -> Curves:
        steps, strength = setting
        weight, offset = solve[steps](strength)

        def curves(inputs: "CellInputs", cells: CellSamples) -> np.ndarray:
            around = surroundings(fit.features.table(inputs), cells.edges, steps)
            return np.asarray(np.concatenate(around, axis=1) @ weight + offset)

        return curves

    settings = [(steps, strength) for steps in STEPS_AROUND for strength in STRENGTHS]
    curves, chosen = fit.tuned(settings, (MOST_STEPS, 100.0), with_setting)
    return fit.finished("ridge_around", "Ridge with surroundings", curves, steps=chosen[0], strength=float(chosen[1]))


def surroundings(table: np.ndarray, edges: np.ndarray, steps: int) -> list[np.ndarray]:
    """The (cell, column) table and its repeated means over neighbours, one per step; 0 where a cell has no neighbour.

    Args:
        table: (cell, column).
        edges: (edge, 2) positions: the second is a neighbour of the first.
        steps: How often the mean is taken.
    """
    count = len(table)
    joined = csr_array((np.ones(len(edges)), (edges[:, 0], edges[:, 1])), shape=(count, count))
    degree = np.maximum(joined.sum(axis=1), 1)[:, None]
    around = [table]
    for _ in range(steps):
        around.append(joined @ around[-1] / degree)
    return around


def level_and_shape(fit: Fit) -> CurveBaseline:
    """Linear in the columns as ridge, but only on the first few components of the curves: level, then shapes."""
    mean, directions = _components(fit, 3)
    scores = (fit.z[fit.train] - mean) @ directions.T
    solve = _ridge(fit.table[fit.train], scores)

    def with_setting(setting: tuple[int, float]) -> Curves:
        rank, strength = setting
        weight, offset = solve(strength)
        return _linear(fit.features, weight[:, :rank] @ directions[:rank], mean + offset[:rank] @ directions[:rank])

    settings = [(rank, strength) for rank in range(1, len(directions) + 1) for strength in STRENGTHS]
    curves, chosen = fit.tuned(settings, (len(directions), 100.0), with_setting)
    return fit.finished("level_and_shape", "Level and shape", curves, components=chosen[0], strength=float(chosen[1]))


def random_forest(fit: Fit) -> CurveBaseline:
    """Random forest with 24 targets."""
    return _forest(fit, RandomForestRegressor, "random_forest", "Random forest")


def extra_trees(fit: Fit) -> CurveBaseline:
    """Extremely randomised trees with 24 targets."""
    return _forest(fit, ExtraTreesRegressor, "extra_trees", "Extremely randomised trees")


def boosting(fit: Fit) -> CurveBaseline:
    """Gradient-boosted trees, one model per component of the curves."""
    mean, directions = _components(fit, COMPONENTS)
    scores = (fit.z[fit.train] - mean) @ directions.T
    table = fit.table
    models = [
        HistGradientBoostingRegressor(
            learning_rate=0.05,
            max_iter=ROUNDS[-1],
            max_leaf_nodes=12,
            min_samples_leaf=8,
            l2_regularization=1.0,
            early_stopping=False,
            random_state=fit.seed,
        ).fit(table[fit.train], scores[:, component])
        for component in range(len(directions))
    ]
    rounds = ROUNDS[len(ROUNDS) // 2]
    if len(fit.valid):
        staged = np.stack([list(model.staged_predict(table[fit.valid])) for model in models], axis=2)  # (round, cell, component)
        errors = [((mean + staged[count - 1] @ directions - fit.z[fit.valid]) ** 2).mean() for count in ROUNDS]
        rounds = ROUNDS[int(np.argmin(errors))]
    kept = [_cut(model, rounds) for model in models]

    def curves(inputs: "CellInputs", cells: CellSamples) -> np.ndarray:
        own = fit.features.table(inputs)
        return np.asarray(mean + np.stack([model(own) for model in kept], axis=1) @ directions)

    return fit.finished("boosting", "Gradient boosting", curves, rounds=rounds, components=len(directions))


def _forest(fit: Fit, kind: Callable[..., Any], name: str, title: str) -> CurveBaseline:
    table = fit.table

    def with_setting(setting: tuple[int, float]) -> Curves:
        leaf, share = setting
        forest = kind(TREES, min_samples_leaf=leaf, max_features=share, random_state=fit.seed)
        forest.fit(table[fit.train], fit.z[fit.train])

        def curves(inputs: "CellInputs", cells: CellSamples) -> np.ndarray:
            return np.asarray(forest.predict(fit.features.table(inputs)))

        return curves

    curves, chosen = fit.tuned(LEAVES, (1, 0.33), with_setting)
    return fit.finished(name, title, curves, leaf=chosen[0], columns=chosen[1])


def _cut(model: HistGradientBoostingRegressor, rounds: int) -> Callable[[np.ndarray], np.ndarray]:
    def predict(table: np.ndarray) -> np.ndarray:
        for count, answer in enumerate(model.staged_predict(table), start=1):
            if count == rounds:
                return np.asarray(answer)
        raise AssertionError(f"the model has fewer than {rounds} rounds")

    return predict


def _components(fit: Fit, count: int) -> tuple[np.ndarray, np.ndarray]:
    """(24,) mean curve and (component, 24) orthonormal directions of the training curves in z."""
    mean = fit.z[fit.train].mean(axis=0)
    directions = np.linalg.svd(fit.z[fit.train] - mean, full_matrices=False)[2][:count]
    sign = np.sign(directions.sum(axis=1, keepdims=True))
    return mean, directions * np.where(sign == 0, 1, sign)


def _ridge(table: np.ndarray, target: np.ndarray) -> Callable[[float], tuple[np.ndarray, np.ndarray]]:
    """From a strength to (column, target) weights and (target,) offset; one decomposition serves every strength."""
    centre, offset = table.mean(axis=0), target.mean(axis=0)
    left, values, right = np.linalg.svd(table - centre, full_matrices=False)
    projected = left.T @ (target - offset)

    def solve(strength: float) -> tuple[np.ndarray, np.ndarray]:
        weight = right.T @ ((values / (values**2 + strength))[:, None] * projected)
        return weight, offset - centre @ weight

    return solve


def _linear(features: FeatureTable, weight: np.ndarray, offset: np.ndarray) -> Curves:
    def curves(inputs: "CellInputs", cells: CellSamples) -> np.ndarray:
        return np.asarray(features.table(inputs) @ weight + offset)

    return curves
