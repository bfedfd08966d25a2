"""A study in one HTML file that opens without a network: figures, data card, settings, versions, and the commands to repeat it."""

import base64
import json
import platform
from dataclasses import dataclass, field
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd
import plotly.graph_objects as go
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from plotly.offline import get_plotlyjs

import engine
from dashboard import wording
from engine.city.city import City
from engine.city.data_card import DataCard
from engine.evaluation.flow_metrics import FLOW_METRICS
from engine.evaluation.metrics import METRICS, Metric
from engine.models.answers import share_name
from engine.models.base import Task
from engine.scenarios.cell_compare import CurveComparison
from engine.scenarios.compare import Comparison
from engine.scenarios.scenario import Scenario

_ASSETS = Path(__file__).resolve().parents[1] / "assets"
_LIBRARIES = ("torch", "transformers", "numpy", "pandas", "geopandas", "scikit-learn", "streamlit")
_METRICS: dict[str, Metric] = {**METRICS, **FLOW_METRICS}
_MOST_CELLS = 12


@dataclass(frozen=True)
class Told:
    """How a report words the scores of a task.

    Attributes:
        shown: Metrics of its table, the headline first; more is better in the headline.
        own: What the headline says of the run, with places for `value`, `low`, `high` and `n`.
        best: What it says of the best baseline, with places for `title` and `value`.
        cases, units: What n counts, and what the bootstrap draws.
        note: What else to know of the table.
    """

    shown: tuple[str, ...]
    own: str
    best: str
    cases: str
    units: str
    note: str


TOLD: dict[Task, Told] = {
    "next_location": Told(
        ("acc@1", "acc@5", "acc@10", "mrr", "ndcg@10", "distance_median_m"),
        "The first guess is right in {value} of {n} test cases ({low} to {high})",
        "the best baseline, {title}, is right in {value}",
        "cases",
        "people",
        "Places nobody visited in training count as misses unless they are ranked.",
    ),
    "grid_flow": Told(
        ("r2", "r2_flow", "mae", "wape", "oa", "shape", "peak_hours"),
        "Over {n} hours of test cells it explains a share of {value} ({low} to {high}) of the variance of log flows (R²)",
        "the best baseline, {title}, explains {value}",
        "hours of cells",
        "cells",
        "OA is the share of hours whose answered bin of magnitude is the true one.",
    ),
}


@dataclass(frozen=True)
class Ramp:
    """A colour scale: its colours from low to high, what stands at its lower end, middle and upper end, and what it shows."""

    stops: tuple[str, ...]
    ticks: tuple[str, ...]
    title: str


@dataclass(frozen=True)
class Drawn:
    """The figures of a study.

    Attributes:
        charts: Title, plotly figure and caption of each chart.
        maps: PNG bytes and caption of still maps that stand beside one another.
        ramp: The colour scale of all maps, None where their captions say enough.
    """

    charts: tuple[tuple[str, go.Figure, str], ...] = ()
    maps: tuple[tuple[bytes, str], ...] = ()
    ramp: Ramp | None = None


@dataclass(frozen=True)
class Section:
    """One part of a report; texts are escaped by the template, `figure` is HTML made by plotly from escaped labels.

    Attributes:
        pictures: PNG bytes as base64 and their captions.
        numeric: Whether all columns but the first hold numbers.
        marked: First cell of the row that is set off.
    """

    title: str
    text: str = ""
    pictures: tuple[tuple[str, str], ...] = ()
    ramp: Ramp | None = None
    figure: str = ""
    caption: str = ""
    columns: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()
    note: str = ""
    code: str = ""
    numeric: bool = True
    marked: str = ""


@dataclass(frozen=True)
class Study:
    """What a report is about.

    Attributes:
        city, card: The city and its data card.
        run_name, model_title, predictor, task: The run, and what its model answers.
        settings: The model's settings and the split, JSON-ready.
        metrics: The run's metrics table.
        warnings: The run's failure detectors, None where there are none.
        drawn: Its figures.
        command: The command that trains the run again.
        scenario, comparison: The what-if in hand.
    """

    city: City
    card: DataCard
    run_name: str
    model_title: str
    predictor: str
    task: Task
    settings: dict[str, Any]
    metrics: pd.DataFrame
    warnings: pd.DataFrame | None = None
    drawn: Drawn = field(default_factory=Drawn)
    command: str = ""
    scenario: Scenario | None = None
    comparison: Comparison | CurveComparison | None = None
    made_at: datetime = field(default_factory=lambda: datetime.now().astimezone())


def render(study: Study) -> str:
    """The report as one HTML document without any outside reference."""
    environment = Environment(loader=FileSystemLoader(_ASSETS), autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    sections = [_scores(study), *_charts(study), *_map(study), *_what_if(study), *_detectors(study), *_card(study), *_repeat(study)]
    return environment.get_template("report.html.j2").render(
        title=f"{study.run_name} on {study.city.name}",
        subtitle=f"{study.model_title}. Made {study.made_at:%Y-%m-%d %H:%M %Z} with Mobiscope {engine.__version__}.",
        answer=_answer(study),
        sections=sections,
        footer="This file holds everything it shows and loads nothing from anywhere.",
    )


def _answer(study: Study) -> str:
    told = TOLD[study.task]
    metric = told.shown[0]
    overall = study.metrics[(study.metrics["slice"] == "all") & (study.metrics["metric"] == metric)].set_index("predictor")
    if study.predictor not in overall.index:
        return "The run has no measured answers yet."
    own = overall.loc[study.predictor]
    others = overall.drop(study.predictor).dropna(subset="value")
    value, low, high = (wording.measured(metric, float(own[name])) for name in ("value", "low", "high"))
    said = told.own.format(value=value, low=low, high=high, n=wording.count(own["n"]))
    if others.empty:
        return f"{said}."
    best = others.loc[others["value"].idxmax()]
    return f"{said}; {told.best.format(title=best['title'], value=wording.measured(metric, float(best['value'])))}."


def _scores(study: Study) -> Section:
    told = TOLD[study.task]
    table = study.metrics[study.metrics["slice"] == "all"]
    rows = []
    for title, mine in table.groupby("title", sort=False):
        by_metric = mine.set_index("metric")
        cells = [_cell(metric, by_metric.loc[metric]) for metric in told.shown if metric in by_metric.index]
        rows.append((str(title), *cells))
    n = int(table["n"].max()) if len(table) else 0
    own = table.loc[table["predictor"] == study.predictor, "title"]
    return Section(
        "Scores",
        columns=("method", *(_head(_METRICS[metric]) for metric in told.shown)),
        rows=tuple(rows),
        note=f"Test part, n = {wording.count(n)} {told.cases}; 95 % bootstrap intervals over {told.units}. {told.note}",
        marked=str(own.iloc[0]) if len(own) else "",
    )


def _head(metric: Metric) -> str:
    """A metric's name, with the unit that its values do not show."""
    return f"{metric.title}, {metric.unit}" if metric.unit in ("trips", "hours") else metric.title


def _cell(metric: str, row: pd.Series) -> str:
    value, low, high = (wording.measured(metric, float(row[name])) for name in ("value", "low", "high"))
    return f"{value} ({low} to {high})" if pd.notna(row["low"]) else value


def _charts(study: Study) -> list[Section]:
    sections = []
    for number, (title, figure, caption) in enumerate(study.drawn.charts):
        plain = go.Figure(figure).update_layout(template="plotly_white", font={"family": "Helvetica, Arial, sans-serif"})
        page = plain.to_html(full_html=False, include_plotlyjs=False, config={"displayModeBar": False})
        library = f"<script>{get_plotlyjs()}</script>" if number == 0 else ""
        sections.append(Section(title, figure=library + page, caption=caption))
    return sections


def _map(study: Study) -> list[Section]:
    pictures = tuple((base64.b64encode(png).decode(), caption) for png, caption in study.drawn.maps)
    return [Section("On the map", pictures=pictures, ramp=study.drawn.ramp)] if pictures else []


def _what_if(study: Study) -> list[Section]:
    if study.scenario is None or study.comparison is None:
        return []
    answer = _changed_cells if isinstance(study.comparison, CurveComparison) else _moved_places
    said, columns, rows = answer(study.comparison)
    edits = "; ".join(edit.describe() for edit in study.scenario.edits) or "no edits"
    text = f"{edits}. {said} {study.scenario.notes}".strip()
    return [Section(f"What if: {study.scenario.name}", text=text, columns=columns, rows=rows, code=study.scenario.to_json())]


def _moved_places(comparison: Comparison) -> tuple[str, tuple[str, ...], tuple[tuple[str, ...], ...]]:
    """How much moved, and the table of the places it moved between."""
    table = comparison.candidates
    shown = table[(table["rank_after"] <= 10) | (table["rank_before"] <= 10) | (table["edit"] != "")]
    rows = tuple(
        (str(row.label), _rank(row.rank_before), _rank(row.rank_after), wording.percent(row.before), wording.percent(row.after))
        for row in shown.rename(columns={"name": "label"}).itertuples()
    )
    said = f"{wording.percent(comparison.moved)} of the {share_name(comparison.normalised)} moved."
    return said, ("place", "rank before", "rank after", "before", "after"), rows


def _changed_cells(comparison: CurveComparison) -> tuple[str, tuple[str, ...], tuple[tuple[str, ...], ...]]:
    """How many cells changed, and the table of those that changed most."""
    table = comparison.cells[comparison.changed]
    most = table.loc[table["change"].abs().sort_values(ascending=False, kind="stable").index[:_MOST_CELLS]]
    rows = tuple(
        (
            str(row.cell_id),
            wording.significant(row.before),
            wording.significant(row.after),
            wording.difference("trips", float(row.change)),
            f"{wording.difference('trips', float(row.largest_change))} at {row.at_hour:02d} h",
        )
        for row in most.itertuples()
    )
    said = (
        f"{wording.count(len(table))} of {wording.counted(len(comparison.cells), 'cell')} change, by "
        f"{wording.difference('trips', float(comparison.change.sum()))} trips a day in all."
    )
    return said, ("cell, those that change most first", "trips a day before", "after", "change", "largest in an hour"), rows


def _rank(rank: float) -> str:
    return "–" if pd.isna(rank) else f"{rank:,.0f}"


def _detectors(study: Study) -> list[Section]:
    if study.warnings is None or study.warnings.empty:
        return []
    rows = tuple(
        (
            str(row.label),
            "fired" if row.fired else "passed",
            wording.significant(row.value),
            wording.significant(row.threshold),
            str(row.meaning),
        )
        for row in study.warnings.rename(columns={"name": "label"}).itertuples()
    )
    return [
        Section("Failure detectors", columns=("detector", "result", "measured", "threshold", "meaning"), rows=rows, numeric=False)
    ]


def _card(study: Study) -> list[Section]:
    rows = []
    for file in study.card.files:
        rows.append((file.file, wording.count(file.rows_in), wording.count(file.rows_kept), f"recognised as {file.recognised_as}"))
        rows += [("", "", f"−{wording.count(rule.rows)}", f"{rule.reason}: {rule.explanation}") for rule in file.dropped]
    held = ", ".join(f"{wording.count(count)} {table.replace('_', ' ')}" for table, count in study.city.info.rows.items())
    assumed = " ".join(study.card.assumptions)
    return [
        Section(
            "Data card",
            text=f"{study.city.name} holds {held}. Fingerprint {study.city.fingerprint}. {assumed}".strip(),
            columns=("file", "rows read", "rows kept", "rule"),
            rows=tuple(rows),
            numeric=False,
        )
    ]


def _repeat(study: Study) -> list[Section]:
    versions = "\n".join(f"{name} {version(name)}" for name in _LIBRARIES)
    return [
        Section("Settings", code=json.dumps(study.settings, indent=1, ensure_ascii=False, default=str)),
        Section(
            "To repeat this",
            text=f"Python {platform.python_version()} on {platform.system()} {platform.machine()}, with:",
            code=f"{versions}\n\n{study.command}",
        ),
    ]
