"""Asks predictors for the curves of all cells and measures them over the test part and its slices, as tables that runs keep."""

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from engine.city.cell_flows import days_with_trips, hourly_outflow
from engine.city.cell_samples import CellSamples
from engine.city.city import City
from engine.city.flow_scale import FlowScale
from engine.city.splits import PARTS
from engine.errors import MobiscopeError
from engine.evaluation.flow_answers import FlowAnswers
from engine.evaluation.flow_metrics import FLOW_METRICS, RELIABILITY_COLUMNS, Measured, reliability
from engine.evaluation.metrics import Estimate
from engine.models.answers import CurvePredictor
from engine.models.base import Report
from engine.models.baselines.curves import CURVE_BASELINES

if TYPE_CHECKING:
    from engine.encoders.cell_features import CellInputs

ALL = "all"
METRIC_COLUMNS = ["predictor", "title", "slice", "group", "metric", "value", "low", "high", "n", "users"]
"""As of `evaluation.report`, so that the same pages read both; `users` counts the cells (or units) the bootstrap draws."""

PERIODS = {
    "night": tuple(range(0, 6)),
    "morning peak": tuple(range(6, 10)),
    "midday": tuple(range(10, 16)),
    "evening peak": tuple(range(16, 20)),
    "evening": tuple(range(20, 24)),
}


@dataclass(frozen=True)
class FlowSlice:
    """One way to divide cells and hours.

    Attributes:
        name: Key in `FLOW_SLICES`.
        title: Name on screen.
        meaning: What the groups are, in one sentence.
    """

    name: str
    title: str
    meaning: str


FLOW_SLICES: dict[str, FlowSlice] = {
    declared.name: declared
    for declared in (
        FlowSlice("hour", "Hour", "Local hour of the day."),
        FlowSlice("period", "Part of the day", "Night 0–6, morning peak 6–10, midday 10–16, evening peak 16–20, evening 20–24."),
        FlowSlice("decile", "Flow of the cell", "Tenths of the training cells by their trips per day, 1 the quietest."),
        FlowSlice(
            "day",
            "Kind of day",
            "The same curves against the flows of every kind of day the city has; the model answers for the one it learned from.",
        ),
        FlowSlice("district", "District", "The larger area the cell belongs to."),
        FlowSlice(
            "part", "Part of the split", "Training, validation and test cells; the gap between them shows what was memorised."
        ),
    )
}


@dataclass(frozen=True, eq=False)
class FlowEvaluation:
    """The curves several predictors gave to the same cells, measured.

    Attributes:
        predictions: Long table (predictor, cell_id, hour, observed, predicted, low, high, part) over all cells, input-only ones too.
        metrics: Long table with `METRIC_COLUMNS`. Everything but slice `part` is over test cells. Groups without a known flow have
            n = 0 (n counts cell hours) and empty values; shares are 0 to 1.
        scale: The shared standardisation and bins, fitted on training cells.
        answers: Predictor name to its answers for all cells, in the order asked; empty when opened from tables.
        bin_counts: (bin, low, high, train, test): how many cell hours each bin holds, bounds in trips.
        reliability: (predictor, step, confidence, share_right, low, high, n) over test cells, of predictors with bin probabilities.
    """

    predictions: pd.DataFrame
    metrics: pd.DataFrame
    scale: FlowScale
    answers: dict[str, FlowAnswers] = field(default_factory=dict)
    bin_counts: pd.DataFrame = field(default_factory=pd.DataFrame)
    reliability: pd.DataFrame = field(default_factory=pd.DataFrame)

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

    def headline(self, predictor: str) -> dict[str, float]:
        """Every metric of a predictor over the test cells."""
        table = self.metrics
        rows = table[(table["predictor"] == predictor) & (table["slice"] == ALL)]
        return {str(metric): float(value) for metric, value in zip(rows["metric"], rows["value"], strict=True)}

    def best(self, metric: str, predictors: Iterable[str] | None = None) -> str:
        """Name of the predictor (of these) that is best in a metric over the test cells; the one asked first among equals.

        Raises:
            MobiscopeError: If none of them was measured in it.
        """
        wanted = None if predictors is None else set(predictors)
        table = self.metrics
        rows = table[(table["slice"] == ALL) & (table["metric"] == metric) & table["value"].notna()]
        rows = rows if wanted is None else rows[rows["predictor"].isin(wanted)]
        if rows.empty:
            raise MobiscopeError(f"No predictor was measured in `{metric}`.")
        values = rows["value"].to_numpy(float)
        return str(rows["predictor"].iloc[int(values.argmax() if FLOW_METRICS[metric].higher_is_better else values.argmin())])

    def best_baseline(self, metric: str = "mae") -> str:
        """Name of the baseline that is best in a metric over the test cells.

        Raises:
            MobiscopeError: If no baseline was measured in it.
        """
        return self.best(metric, CURVE_BASELINES)

    def titles(self) -> dict[str, str]:
        """Predictor name to its name on screen, in the order asked."""
        return dict(zip(self.metrics["predictor"], self.metrics["title"], strict=True))

    def to_records(self) -> list[dict[str, Any]]:
        """The metrics table as plain JSON values; NaN becomes None."""
        records: list[dict[str, Any]] = json.loads(self.metrics.to_json(orient="records"))
        return records

    def to_markdown(
        self,
        metrics: Sequence[str] = ("r2", "r2_flow", "mae", "wape", "oa", "oa_near", "shape", "peak_hours"),
        predictors: Sequence[str] | None = None,
        intervals: bool = True,
        slice: str = ALL,
        group: str = ALL,
    ) -> str:
        """A table for the documentation: one row per predictor, the 95 % interval in brackets."""
        titles = self.titles()
        lines = [
            "| method | " + " | ".join(FLOW_METRICS[name].title for name in metrics) + " |",
            "|---" + "|---:" * len(metrics) + "|",
        ]
        for name in titles if predictors is None else predictors:
            cells = []
            for metric in metrics:
                found = self.estimate(name, metric, slice, group)
                show = FLOW_METRICS[metric].show
                bounds = f" ({show(found.low)} to {show(found.high)})" if intervals and np.isfinite(found.low) else ""
                cells.append(show(found.value) + bounds)
            lines.append(f"| {titles[name]} | " + " | ".join(cells) + " |")
        return "\n".join(lines) + "\n"


def evaluate_curves(
    predictors: Sequence[CurvePredictor],
    inputs: "CellInputs",
    cells: CellSamples,
    city: City,
    report: Report | None = None,
    seed: int = 0,
    *,
    scale: FlowScale | None = None,
    units: np.ndarray | None = None,
    slices: Iterable[str] | None = None,
) -> FlowEvaluation:
    """Asks every predictor for all cells and measures the test cells, over all and per slice.

    Args:
        predictors: Models and baselines with distinct names.
        inputs: What they may look at, one row per cell of `cells`.
        cells: The cells under their split.
        city: The city they come from.
        report: Told what is being done and the share done.
        seed: Draws of the bootstrap.
        scale: Standardisation and bins; default ten equal ones of the training cells.
        units: (cell,) what the bootstrap draws together (district, block); default every cell by itself.
        slices: Keys of `FLOW_SLICES`; all by default.

    Raises:
        MobiscopeError: If two predictors share a name, inputs and cells do not match, or a predictor answers what is no curve.
    """
    names = [predictor.name for predictor in predictors]
    if len(set(names)) < len(names):
        raise MobiscopeError(f"Predictors need distinct names; got {', '.join(names)}.")
    if not np.array_equal(inputs.cell_ids, cells.cell_ids):
        raise MobiscopeError(f"The inputs are not those of the cells of `{city.name}`. Encode the cells of this city again.")
    scale = scale or FlowScale.fit(cells.outflow[cells.mask("train")])
    chosen = [name for name in FLOW_SLICES if slices is None or name in set(slices)]
    groups = _cell_groups(cells)
    days = {day: hourly_outflow(city, day) for day in days_with_trips(city)} if "day" in chosen else {}
    answers: dict[str, FlowAnswers] = {}
    rows: list[dict[str, Any]] = []
    for index, predictor in enumerate(predictors):
        if report:
            report(f"Measuring {predictor.title}", index / len(predictors))
        given = FlowAnswers.of(predictor.name, predictor.title, predictor.predict_curves(inputs, cells), cells, scale)
        answers[predictor.name] = given
        rows += _measure(given, cells, groups, days, chosen, seed, units)
    observed = scale.to_bins(cells.outflow)
    return FlowEvaluation(
        predictions=pd.concat([given.to_frame() for given in answers.values()], ignore_index=True) if answers else pd.DataFrame(),
        metrics=pd.DataFrame(rows, columns=METRIC_COLUMNS),
        scale=scale,
        answers=answers,
        bin_counts=_bin_counts(observed, cells, scale),
        reliability=_reliability(answers, cells, seed),
    )


def flow_deciles(cells: CellSamples) -> np.ndarray:
    """(cell,) 0 to 9: the tenth of the training cells a cell's trips per day fall into; -1 where an hour is unknown."""
    total = cells.outflow.astype(np.float64).sum(axis=1)
    training = total[cells.mask("train") & np.isfinite(total)]
    if not len(training):
        return np.full(len(cells), -1)
    edges = np.quantile(training, np.linspace(0, 1, 11)[1:-1])
    return np.where(np.isfinite(total), np.searchsorted(edges, total, side="right"), -1)


def _cell_groups(cells: CellSamples) -> dict[str, tuple[list[str], list[np.ndarray]]]:
    decile, districts = flow_deciles(cells), sorted(set(cells.district) - {""})
    return {
        "decile": ([f"decile {tenth + 1}" for tenth in range(10)], [decile == tenth for tenth in range(10)]),
        "district": (districts, [cells.district == name for name in districts]),
    }


def _measure(
    given: FlowAnswers,
    cells: CellSamples,
    groups: dict[str, tuple[list[str], list[np.ndarray]]],
    days: dict[str, np.ndarray],
    slices: Sequence[str],
    seed: int,
    units: np.ndarray | None,
) -> list[dict[str, Any]]:
    test = cells.mask("test")
    measured = Measured.of(given[test], seed, units=None if units is None else units[test])
    everything = np.ones(int(test.sum()), bool)
    rows = _rows(given, ALL, ALL, measured.over_cells(everything))
    hours: dict[str, Callable[[], Iterable[tuple[str, np.ndarray]]]] = {
        "hour": lambda: [(f"{hour:02d}", np.array([hour])) for hour in range(24)],
        "period": lambda: [(name, np.array(chosen)) for name, chosen in PERIODS.items()],
    }
    for name in slices:
        if name in hours:
            for group, chosen in hours[name]():
                rows += _rows(given, name, group, measured.over_hours(everything, chosen))
        elif name == "day":
            for day, observed in days.items():
                own = Measured.of(replace(given, observed=observed)[test], seed, units=None if units is None else units[test])
                rows += _rows(given, name, day, own.over_cells(everything))
        elif name == "part":
            for part in PARTS:
                mask = cells.mask(part)
                own = Measured.of(given[mask], seed, units=None if units is None else units[mask])
                rows += _rows(given, name, part, own.over_cells(np.ones(int(mask.sum()), bool)))
        else:
            for group, mask in zip(*groups[name], strict=True):
                rows += _rows(given, name, group, measured.over_cells(mask[test]))
    return rows


def _reliability(answers: dict[str, FlowAnswers], cells: CellSamples, seed: int) -> pd.DataFrame:
    test = cells.mask("test")
    told = [reliability(given[test], seed).assign(predictor=name) for name, given in answers.items()]
    stated = [table for table in told if len(table)]
    columns = ["predictor", *RELIABILITY_COLUMNS]
    return pd.concat(stated, ignore_index=True)[columns] if stated else pd.DataFrame(columns=columns)


def _bin_counts(observed: np.ndarray, cells: CellSamples, scale: FlowScale) -> pd.DataFrame:
    edges, counts = scale.edge_flows(), {}
    for part in ("train", "test"):
        inside = observed[cells.mask(part)]
        counts[part] = np.bincount(inside[inside >= 0].ravel(), minlength=scale.bins)
    return pd.DataFrame({"bin": np.arange(scale.bins), "low": edges[:-1], "high": edges[1:], **counts})


def _rows(given: FlowAnswers, slice: str, group: str, estimates: dict[str, Estimate]) -> list[dict[str, Any]]:
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
