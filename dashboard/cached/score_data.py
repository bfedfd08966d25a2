"""What runs scored: headlines beside baselines, titles of metrics and slices, paired differences."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pandas as pd
import streamlit as st

from dashboard import wording
from dashboard.cached.run_data import run_table, run_task
from engine import store
from engine.city.samples import Places
from engine.errors import MobiscopeError
from engine.runs import Run
from engine.runs.folder import RunFolder

if TYPE_CHECKING:
    from engine.evaluation.flow_answers import FlowAnswers
    from engine.evaluation.metrics import Metric
    from engine.models.base import Task

LISTED: "dict[Task, tuple[str, ...]]" = {"next_location": ("acc@1", "mrr"), "grid_flow": ("r2", "mae")}
"""What lists of runs show of each task; the first is the headline."""


@dataclass(frozen=True)
class Headline:
    """A run's headline metric beside the best baseline's, over all test samples.

    Attributes:
        metric: Its key.
        value: Of the model.
        baseline: Title of the best baseline; empty if none was measured.
        baseline_value: Its value.
        n: Test samples.
    """

    metric: str
    value: float
    baseline: str
    baseline_value: float
    n: int


@st.cache_data(max_entries=8_192, show_spinner=False)
def _scores(run_id: str, metric: str, home: str, stamp: int) -> Headline | None:
    table = run_table(run_id, "metrics")
    model = Run.open(run_id).request.model
    overall = table[(table["slice"] == "all") & (table["metric"] == metric)]
    own, others = overall[overall["predictor"] == model], overall[overall["predictor"] != model]
    if own.empty:
        return None
    known = others[others["value"].notna()]
    upwards = metric not in _metrics() or _metrics()[metric].higher_is_better
    best = None if known.empty else known.loc[known["value"].idxmax() if upwards else known["value"].idxmin()]
    return Headline(
        metric,
        float(own["value"].iloc[0]),
        "" if best is None else str(best["title"]),
        float("nan") if best is None else float(best["value"]),
        int(own["n"].iloc[0]),
    )


def scores(run_id: str, metric: str = "") -> Headline | None:
    """A run beside its best baseline in a metric, default the headline of its task; None while it has none."""
    path = RunFolder(run_id).tables / "metrics.parquet"
    try:
        if not path.is_file():
            return None
        return _scores(run_id, metric or LISTED[run_task(run_id)][0], str(store.home()), path.stat().st_mtime_ns)
    except MobiscopeError:
        return None


def headline(run_id: str) -> str:
    """A run's headline as Markdown: the metric, the best baseline's, and n; empty while it has none."""
    found = scores(run_id)
    if found is None:
        return ""
    said = f"{metric_title(found.metric)} {wording.measured(found.metric, found.value)}"
    if found.baseline:
        said += f" · best baseline {wording.measured(found.metric, found.baseline_value)} ({wording.literal(found.baseline)})"
    return f"{said} · n = {wording.count(found.n)}"


@st.cache_resource(max_entries=1, show_spinner=False)
def _metrics() -> "dict[str, Metric]":
    from engine.evaluation.flow_metrics import FLOW_METRICS
    from engine.evaluation.metrics import METRICS

    return METRICS | FLOW_METRICS


def metric_title(metric: str) -> str:
    """A metric's name on screen; other words stay as they are."""
    return _metrics()[metric].title if metric in _metrics() else metric


def metric_meaning(metric: str) -> str:
    """What a metric measures, in one sentence."""
    return _metrics()[metric].meaning if metric in _metrics() else ""


def metric_unit(metric: str) -> str:
    """The unit of a metric, as `engine.evaluation.metrics.Metric.unit` names it; empty where it is not known."""
    return _metrics()[metric].unit if metric in _metrics() else ""


def slice_titles(task: "Task") -> dict[str, tuple[str, str]]:
    """Slice of a task to its title and meaning."""
    if task == "grid_flow":
        from engine.evaluation.flow_report import FLOW_SLICES

        return {name: (declared.title, declared.meaning) for name, declared in FLOW_SLICES.items()}
    from engine.evaluation.slices import SLICES

    return {name: (declared.title, declared.meaning) for name, declared in SLICES.items()}


def run_difference(first: str, second: str) -> pd.DataFrame:
    """Every metric of two runs of one task and their paired difference: metric, a, b, value, low, high, n, users.

    Of grid runs the metrics that rest on trips alone, and `users` counts cells, which their bootstrap draws.

    Raises:
        MobiscopeError: If the runs did not answer the same test steps, or the same cells.
    """
    paths = [RunFolder(run).tables / "predictions.parquet" for run in (first, second)]
    stamps = tuple(path.stat().st_mtime_ns if path.is_file() else 0 for path in paths)
    return _run_difference(first, second, str(store.home()), stamps)


@st.cache_data(max_entries=16, show_spinner="Comparing the two on the same steps")
def _run_difference(first: str, second: str, home: str, stamps: tuple[int, ...]) -> pd.DataFrame:
    if run_task(first) == "grid_flow":
        return _flow_difference(first, second)
    from engine.evaluation.metrics import METRICS, paired_difference, summarise
    from engine.evaluation.ranking import Answers

    given = []
    for run_id in (first, second):
        run = Run.open(run_id)
        places = Places.of(run.city())
        predictions = run_table(run_id, "predictions")
        given.append(Answers.from_frame(predictions[predictions["predictor"] == run.request.model], places))
    values = [summarise(answers) for answers in given]
    rows = []
    for metric in METRICS:
        found = paired_difference(given[0], given[1], metric)
        rows.append(
            {
                "metric": metric,
                "a": values[0][metric].value,
                "b": values[1][metric].value,
                "value": found.value,
                "low": found.low,
                "high": found.high,
                "n": found.n,
                "users": found.users,
            }
        )
    return pd.DataFrame(rows)


BINNED = ("oa", "oa_near", "macro_f1", "crps", "calibration")
"""Metrics of flows that need the probabilities of bins, which the table of predictions does not hold."""


def _flow_difference(first: str, second: str) -> pd.DataFrame:
    from engine.evaluation.flow_metrics import FLOW_METRICS, flow_difference, summarise_flow

    given = [_flow_answers(run_id) for run_id in (first, second)]
    values = [summarise_flow(answers) for answers in given]
    rows = []
    for metric in FLOW_METRICS:
        if metric in BINNED:
            continue
        found = flow_difference(given[0], given[1], metric)
        known = {"a": values[0][metric].value, "b": values[1][metric].value}
        rows.append(
            {
                "metric": metric,
                **known,
                "value": found.value,
                "low": found.low,
                "high": found.high,
                "n": found.n,
                "users": found.users,
            }
        )
    return pd.DataFrame(rows)


def _flow_answers(run_id: str) -> "FlowAnswers":
    """What a grid run's model answered for its test cells, on the scale of its training cells."""
    from engine.city.splits import PARTS
    from engine.evaluation.flow_answers import FlowAnswers

    run, table = Run.open(run_id), run_table(run_id, "predictions")
    answers = FlowAnswers.from_frame(table[table["predictor"].astype(str) == run.request.model], run.summary.name)
    return answers[answers.part == PARTS.index("test")]
