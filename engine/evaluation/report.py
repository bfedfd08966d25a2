"""Asks predictors, measures their answers on all samples and on every slice, and gives the tables that runs keep."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from engine.city.city import City
from engine.city.samples import Samples
from engine.errors import MobiscopeError
from engine.evaluation.metrics import METRICS, RESAMPLES, Estimate, draw_users, summarise_groups
from engine.evaluation.ranking import Answers, Scoring, answer
from engine.evaluation.slices import SLICES, slice_labels
from engine.models.answers import Predictor
from engine.models.base import Report
from engine.models.baselines import BASELINES

ALL = "all"
CLOSED_CEILING = "closed_ceiling"
"""Slice rows of this pseudo-metric belong to no predictor: the share of targets with a training visit, which bounds every Acc@k of
a model whose output layer knows training places only."""


@dataclass(frozen=True, eq=False)
class Evaluation:
    """The answers of several predictors to the same samples, measured.

    Attributes:
        predictions: One row per predictor and sample, as in `Answers.to_frame`; top-k only.
        metrics: Long table (predictor, slice, group, metric, value, low, high, n, users). Slice and group are `all` for the
            overall figures; groups without a sample have n = 0 and empty values. Shares are 0 to 1, distances metres.
        ceilings: (slice, group, value, n): what a closed output layer can reach at best in any Acc@k.
        scoring: How places without a training visit were scored.
        answers: Predictor name to its answers, in the order asked; empty when opened from tables.
    """

    predictions: pd.DataFrame
    metrics: pd.DataFrame
    ceilings: pd.DataFrame
    scoring: Scoring = "strict"
    answers: dict[str, Answers] = field(default_factory=dict)

    def estimate(self, predictor: str, metric: str, slice: str = ALL, group: str = ALL) -> Estimate:
        """One figure.

        Raises:
            MobiscopeError: If it was not measured.
        """
        table = self.metrics
        row = table[
            (table["predictor"] == predictor) & (table["metric"] == metric) & (table["slice"] == slice) & (table["group"] == group)
        ]
        if len(row) != 1:
            raise MobiscopeError(f"`{metric}` of `{predictor}` was not measured on {slice} / {group}.")
        found = row.iloc[0]
        return Estimate(float(found["value"]), float(found["low"]), float(found["high"]), int(found["n"]), int(found["users"]))

    def best_baseline(self, metric: str = "acc@1", slice: str = ALL, group: str = ALL) -> str:
        """Name of the baseline that is best in a metric; the one asked first among equals.

        Raises:
            MobiscopeError: If no baseline was measured there.
        """
        table = self.metrics
        rows = table[
            table["predictor"].isin(list(BASELINES))
            & (table["metric"] == metric)
            & (table["slice"] == slice)
            & (table["group"] == group)
            & table["value"].notna()
        ]
        if rows.empty:
            raise MobiscopeError(f"No baseline was measured in `{metric}` on {slice} / {group}.")
        values = rows["value"].to_numpy(float)
        return str(rows["predictor"].iloc[int(values.argmax() if METRICS[metric].higher_is_better else values.argmin())])

    def titles(self) -> dict[str, str]:
        """Predictor name to its name on screen, in the order asked."""
        return dict(zip(self.metrics["predictor"], self.metrics["title"], strict=True))

    def to_records(self) -> list[dict[str, Any]]:
        """The metrics table as plain JSON values; NaN becomes None."""
        records: list[dict[str, Any]] = json.loads(self.metrics.to_json(orient="records"))
        return records

    def to_markdown(
        self,
        metrics: Sequence[str] = ("acc@1", "acc@5", "acc@10", "mrr", "ndcg@10"),
        slices: Iterable[str] = (),
        predictors: Sequence[str] | None = None,
        intervals: bool = True,
    ) -> str:
        """Tables for the documentation: one over all samples, then one per slice with a row per predictor and group.

        Args:
            metrics: Keys of `METRICS`.
            slices: Keys of `SLICES` to add; groups without a sample are left out.
            predictors: Names, default all in the order asked.
            intervals: Whether to print 95 % intervals.
        """
        names = list(self.titles()) if predictors is None else list(predictors)
        titles = self.titles()
        lines = [_markdown_row(["method", *(METRICS[name].title for name in metrics)]), _markdown_rule(1, len(metrics))]
        for name in names:
            lines.append(_markdown_row([titles[name], *(self._cell(name, metric, ALL, ALL, intervals) for metric in metrics)]))
        for declared in slices:
            lines += ["", f"**{SLICES[declared].title}.** {SLICES[declared].meaning}", ""]
            lines.append(_markdown_row(["group", "n", "closed ceiling", "method", *(METRICS[name].title for name in metrics)]))
            lines.append(_markdown_rule(1, 2, 1, len(metrics)))
            groups = self.ceilings[(self.ceilings["slice"] == declared) & (self.ceilings["n"] > 0)]
            for group, ceiling, n in zip(groups["group"], groups["value"], groups["n"], strict=True):
                for name in names:
                    cells = [self._cell(name, metric, declared, group, intervals) for metric in metrics]
                    lines.append(_markdown_row([group, f"{n:,}", f"{100 * ceiling:.1f} %", titles[name], *cells]))
        return "\n".join(lines) + "\n"

    def _cell(self, predictor: str, metric: str, slice: str, group: str, intervals: bool) -> str:
        estimate, unit = self.estimate(predictor, metric, slice, group), METRICS[metric].unit
        factor, digits = (100, 2) if unit == "share" else (1, 0)
        if not np.isfinite(estimate.value):
            return "–"
        text = f"{factor * estimate.value:.{digits}f}" + ("" if unit == "share" else " m")
        if intervals and np.isfinite(estimate.low):
            text += f" ({factor * estimate.low:.{digits}f}–{factor * estimate.high:.{digits}f})"
        return text


def evaluate(
    predictors: Sequence[Predictor],
    samples: Samples,
    city: City,
    report: Report | None = None,
    *,
    top_k: int = 20,
    chunk: int = 256,
    scoring: Scoring = "strict",
    seed: int = 0,
    slices: Iterable[str] | None = None,
) -> Evaluation:
    """Asks every predictor for every sample and measures the answers, over all and per slice.

    Args:
        predictors: Models and baselines with distinct names.
        samples: Usually `build_samples(log).of_part("test")`.
        city: The city the samples come from, for weather and categories.
        report: Told what is being done and the share done.
        top_k: Places kept per sample.
        chunk: Samples asked at a time.
        scoring: See `engine.evaluation.ranking.Scoring`.
        seed: Draws of the bootstrap.
        slices: Keys of `SLICES`; all by default.

    Raises:
        MobiscopeError: If two predictors share a name.
    """
    names = [predictor.name for predictor in predictors]
    if len(set(names)) < len(names):
        raise MobiscopeError(f"Predictors need distinct names; got {', '.join(names)}.")
    labels = slice_labels(samples, city)
    chosen = [name for name in SLICES if slices is None or name in set(slices)]
    answers: dict[str, Answers] = {}
    drawn: tuple[np.ndarray, np.ndarray] | None = None
    rows: list[dict[str, Any]] = []
    for index, predictor in enumerate(predictors):

        def tell(text: str, share: float, index: int = index) -> None:
            if report:
                report(text, (index + 0.7 * share) / len(predictors))

        given = answer(predictor, samples, top_k, chunk, tell, scoring)
        if report:
            report(f"Measuring {predictor.title}", (index + 0.7) / len(predictors))
        answers[predictor.name] = given
        drawn = drawn or draw_users(given, seed, RESAMPLES)
        everything = np.zeros(len(given), np.int64)
        rows += _rows(given, ALL, ALL, summarise_groups(given, everything, 1, drawn=drawn)[0])
        for name in chosen:
            column = labels[name].array
            measured = summarise_groups(given, np.asarray(column.codes), len(column.categories), drawn=drawn)
            for group, estimates in zip(column.categories, measured, strict=True):
                rows += _rows(given, name, group, estimates)
    return Evaluation(
        predictions=pd.concat([given.to_frame() for given in answers.values()], ignore_index=True) if answers else pd.DataFrame(),
        metrics=pd.DataFrame(
            rows, columns=["predictor", "title", "slice", "group", "metric", "value", "low", "high", "n", "users"]
        ),
        ceilings=closed_ceilings(samples, labels[chosen]),
        scoring=scoring,
        answers=answers,
    )


def closed_ceilings(samples: Samples, labels: pd.DataFrame) -> pd.DataFrame:
    """What a closed output layer can reach at best: the share of targets with a training visit, per slice and group.

    Args:
        samples: The samples.
        labels: As from `slice_labels`.

    Returns:
        (slice, group, value, n); value is NaN where n is 0.
    """
    known = samples.log.seen[samples.true_location]
    rows = [(ALL, ALL, float(known.mean()) if len(known) else np.nan, len(known))]
    for name in labels:
        column = labels[name].array
        for index, group in enumerate(column.categories):
            inside = known[np.asarray(column.codes) == index]
            rows.append((str(name), group, float(inside.mean()) if len(inside) else np.nan, len(inside)))
    return pd.DataFrame(rows, columns=["slice", "group", "value", "n"])


def _rows(given: Answers, slice: str, group: str, estimates: dict[str, Estimate]) -> list[dict[str, Any]]:
    return [
        {
            "predictor": given.predictor,
            "title": given.title,
            "slice": slice,
            "group": group,
            "metric": metric,
            "value": estimate.value,
            "low": estimate.low,
            "high": estimate.high,
            "n": estimate.n,
            "users": estimate.users,
        }
        for metric, estimate in estimates.items()
    ]


def _markdown_row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _markdown_rule(*counts: int) -> str:
    """Alternating runs of left-aligned and right-aligned columns."""
    return "|" + "|".join("---" if run % 2 == 0 else "---:" for run, count in enumerate(counts) for _ in range(count)) + "|"
