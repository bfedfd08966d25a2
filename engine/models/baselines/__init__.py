"""Simple predictors, the floor under every leaderboard: a model that does not beat them has learnt nothing.

Each is fitted on the training part of a visit log alone and fulfils the `Predictor` protocol. `BASELINES` lists them by name.
"""

from collections.abc import Callable, Iterable
from importlib import import_module

from engine.city.samples import VisitLog
from engine.errors import ConfigError
from engine.models.answers import Predictor
from engine.models.base import Report

Factory = Callable[[VisitLog, int], Predictor]


def _factory(module: str, maker: str) -> Factory:
    def make(log: VisitLog, seed: int = 0) -> Predictor:
        predictor: Predictor = getattr(import_module(f"engine.models.baselines.{module}"), maker)(log, seed)
        return predictor

    make.__name__ = maker
    return make


BASELINES: dict[str, Factory] = {
    "last_place": _factory("window", "last_place"),
    "window_frequency": _factory("window", "window_frequency"),
    "recency_weighted": _factory("window", "recency_weighted"),
    "window_markov": _factory("window", "window_markov"),
    "window_markov_oldest": _factory("window", "window_markov_oldest"),
    "user_frequency": _factory("frequency", "user_frequency"),
    "user_and_window_frequency": _factory("frequency", "user_and_window_frequency"),
    "popularity": _factory("frequency", "popularity"),
    "ngram_markov": _factory("markov", "ngram_markov"),
    "user_markov": _factory("markov", "user_markov"),
    "user_hour": _factory("user_hour", "user_hour"),
    "window_neighbours": _factory("neighbours", "window_neighbours"),
    "skip_gram": _factory("skip_gram", "skip_gram"),
    "gru": _factory("sequence", "gru"),
    "self_attention": _factory("sequence", "self_attention"),
}
TRAINING_FREE = ("last_place", "window_frequency", "recency_weighted", "window_markov", "window_markov_oldest")
"""Baselines that learn nothing; they look at the sample's own window only."""
TRAINED = ("skip_gram", "gru", "self_attention")
"""Baselines that take seconds to fit, by gradient steps; the others count."""


def fit_baselines(
    log: VisitLog, seed: int = 0, names: Iterable[str] | None = None, report: Report | None = None
) -> list[Predictor]:
    """Fits baselines on the training part of a log.

    Args:
        log: The visits; only `log.training()` is looked at.
        seed: Draws of the baselines that draw (`TRAINED`).
        names: Keys of `BASELINES`; all by default.
        report: Told which one is being fitted.

    Raises:
        ConfigError: If a name is unknown.
    """
    wanted = list(BASELINES if names is None else names)
    unknown = [name for name in wanted if name not in BASELINES]
    if unknown:
        raise ConfigError(f"There is no baseline {', '.join(map(repr, unknown))}; choose from {', '.join(BASELINES)}.")
    predictors = []
    for done, name in enumerate(wanted):
        if report:
            report(f"Fitting baseline {name}", done / len(wanted))
        predictors.append(BASELINES[name](log, seed))
    return predictors
