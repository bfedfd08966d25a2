"""The same weights in another city: how well a model does where it was never trained, and where it errs there."""

from dataclasses import dataclass
from typing import cast

import numpy as np
import pandas as pd

from engine.city.city import City
from engine.city.samples import Samples, VisitLog, build_samples
from engine.city.splits import Split
from engine.errors import RequirementError
from engine.evaluation.metrics import Estimate, summarise
from engine.evaluation.ranking import Answers, answer
from engine.models.answers import Predictor
from engine.models.base import Data, NextLocationModel, Report
from engine.models.baselines import fit_baselines

BESIDE = ("last_place", "window_frequency", "popularity", "user_markov")
"""Baselines asked beside a transferred model; those that count training visits of the other city know more than it does."""


@dataclass(frozen=True, eq=False)
class ZeroShot:
    """A model's answers in a city it was not trained on.

    Attributes:
        city: Name of that city.
        part: Part of the split that was asked.
        samples: The questions.
        answers: Predictor name to its answers, the transferred model first.
        metrics: Predictor name to metric to estimate.
        model: The transferred model.
    """

    city: str
    part: str
    samples: Samples
    answers: dict[str, Answers]
    metrics: dict[str, dict[str, Estimate]]
    model: NextLocationModel

    def to_frame(self) -> pd.DataFrame:
        """One row per predictor and metric: predictor, title, metric, value, low, high, n, users."""
        return pd.DataFrame(
            [
                {"predictor": name, "title": self.answers[name].title, "metric": metric, **vars(estimate)}
                for name, found in self.metrics.items()
                for metric, estimate in found.items()
            ]
        )

    def errors_by_place(self) -> pd.DataFrame:
        """How the transferred model did by true place; places without a question are left out.

        Returns:
            location, n, distance_m (mean metres from the first guess to the truth), found (share of truths in the first ten).
        """
        own = next(iter(self.answers.values()))
        frame = pd.DataFrame({"location": own.truth, "distance_m": own.distance_m, "found": own.rank <= 10})
        return frame.groupby("location", as_index=False).agg(
            n=("found", "size"), distance_m=("distance_m", "mean"), found=("found", "mean")
        )


def zero_shot(
    model: NextLocationModel,
    city: City,
    split: Split,
    *,
    most: int = 2_000,
    baselines: tuple[str, ...] = BESIDE,
    seed: int = 0,
    report: Report | None = None,
) -> ZeroShot:
    """Asks a trained model about another city.

    Centre, scale and popularity of places come from the training part of the other city, whose people are strangers; weights stay
    as they are.

    Args:
        model: The trained model.
        city: The other city.
        split: How its visits are divided; a published split where the city has one and the split asks for it.
        most: Test questions asked, spread evenly over the test part.
        baselines: Asked beside it; fitted on the other city's training part.
        seed: Draws of the bootstrap.
        report: Told what is being done.

    Raises:
        ConfigError: If the model cannot be used on another city.
        CityError: If that city has no visits.
        RequirementError: If its training or test part holds no sample.
    """
    samples = build_samples(VisitLog.of(city, split))
    test = samples.of_part("test")
    if not len(test) or not len(samples.of_part("train")):
        raise RequirementError(
            f"City `{city.name}` gives no question in its {'test' if not len(test) else 'training'} part under this run's split: a "
            f"target needs {split.minimum_history} earlier visits within {split.history_days} days."
        )
    transferred = model.transfer(Data(city, split, samples))
    chosen = test[np.unique(np.linspace(0, len(test) - 1, min(most, len(test))).astype(np.int64))]
    predictors: list[Predictor] = [cast(Predictor, transferred), *fit_baselines(samples.log, seed=seed, names=baselines)]
    answers, metrics = {}, {}
    for done, predictor in enumerate(predictors):
        if report:
            report(f"Asking {predictor.title} about {city.name}", done / len(predictors))
        answers[predictor.name] = answer(predictor, chosen)
        metrics[predictor.name] = summarise(answers[predictor.name], seed=seed)
    return ZeroShot(city.name, "test", chosen, answers, metrics, transferred)


def split_for(city: City, wanted: Split) -> Split:
    """The split a run used, as far as another city allows: `published` only where its visits carry one, no hidden places."""
    has_published = city.has("visits") and "split" in city.table("visits")
    kind = wanted.kind if wanted.kind != "published" or has_published else "chronological"
    return wanted.model_copy(update={"kind": kind, "hidden_share": 0.0, "hidden_locations": ()})
