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
from engine.evaluation.metrics import METRICS
from engine.scenarios.compare import Comparison
from engine.scenarios.scenario import Scenario

_ASSETS = Path(__file__).resolve().parents[1] / "assets"
_SHOWN = ("acc@1", "acc@5", "acc@10", "mrr", "ndcg@10", "distance_median_m")
_LIBRARIES = ("torch", "transformers", "numpy", "pandas", "geopandas", "scikit-learn", "streamlit")


@dataclass(frozen=True)
class Section:
    """One part of a report; texts are escaped by the template, `figure` is HTML made by plotly from escaped labels.

    Attributes:
        picture: PNG bytes as base64.
        numeric: Whether all columns but the first hold numbers.
        marked: First cell of the row that is set off.
    """

    title: str
    text: str = ""
    picture: str = ""
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
        run_name, model_title, predictor: The run.
        settings: The model's settings and the split, JSON-ready.
        metrics: The run's metrics table.
        warnings: The run's failure detectors, None where there are none.
        map_png, map_caption: A still map.
        figures: Title, plotly figure and caption of each chart.
        command: The command that trains the run again.
        scenario, comparison: The what-if in hand.
    """

    city: City
    card: DataCard
    run_name: str
    model_title: str
    predictor: str
    settings: dict[str, Any]
    metrics: pd.DataFrame
    warnings: pd.DataFrame | None = None
    map_png: bytes = b""
    map_caption: str = ""
    figures: tuple[tuple[str, go.Figure, str], ...] = ()
    command: str = ""
    scenario: Scenario | None = None
    comparison: Comparison | None = None
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
    overall = study.metrics[(study.metrics["slice"] == "all") & (study.metrics["metric"] == "acc@1")].set_index("predictor")
    if study.predictor not in overall.index:
        return "The run has no measured answers yet."
    own = overall.loc[study.predictor]
    others = overall.drop(study.predictor)
    said = (
        f"The first guess is right in {wording.percent(float(own['value']))} of {wording.count(own['n'])} test cases "
        f"({wording.percent(float(own['low']))} to {wording.percent(float(own['high']))})"
    )
    if others.empty:
        return f"{said}."
    best = others.loc[others["value"].idxmax()]
    return f"{said}; the best baseline, {best['title']}, is right in {wording.percent(float(best['value']))}."


def _scores(study: Study) -> Section:
    table = study.metrics[study.metrics["slice"] == "all"]
    rows = []
    for title, mine in table.groupby("title", sort=False):
        by_metric = mine.set_index("metric")
        cells = [_cell(metric, by_metric.loc[metric]) for metric in _SHOWN if metric in by_metric.index]
        rows.append((str(title), *cells))
    n = int(table["n"].max()) if len(table) else 0
    own = table.loc[table["predictor"] == study.predictor, "title"]
    return Section(
        "Scores",
        columns=("method", *(METRICS[metric].title for metric in _SHOWN)),
        rows=tuple(rows),
        note=f"Test part, n = {wording.count(n)} cases; 95 % bootstrap intervals over people. "
        "Places nobody visited in training count as misses unless they are ranked.",
        marked=str(own.iloc[0]) if len(own) else "",
    )


def _cell(metric: str, row: pd.Series) -> str:
    low, high = wording.measured(metric, float(row["low"])), wording.measured(metric, float(row["high"]))
    return f"{wording.measured(metric, float(row['value']))} ({low} to {high})"


def _charts(study: Study) -> list[Section]:
    sections = []
    for number, (title, figure, caption) in enumerate(study.figures):
        plain = go.Figure(figure).update_layout(template="plotly_white", font={"family": "Helvetica, Arial, sans-serif"})
        page = plain.to_html(full_html=False, include_plotlyjs=False, config={"displayModeBar": False})
        library = f"<script>{get_plotlyjs()}</script>" if number == 0 else ""
        sections.append(Section(title, figure=library + page, caption=caption))
    return sections


def _map(study: Study) -> list[Section]:
    if not study.map_png:
        return []
    return [Section("On the map", picture=base64.b64encode(study.map_png).decode(), caption=study.map_caption)]


def _what_if(study: Study) -> list[Section]:
    if study.scenario is None or study.comparison is None:
        return []
    table = study.comparison.candidates
    shown = table[(table["rank_after"] <= 10) | (table["rank_before"] <= 10) | (table["edit"] != "")]
    rows = tuple(
        (str(row.label), _rank(row.rank_before), _rank(row.rank_after), wording.percent(row.before), wording.percent(row.after))
        for row in shown.rename(columns={"name": "label"}).itertuples()
    )
    edits = "; ".join(edit.describe() for edit in study.scenario.edits) or "no edits"
    return [
        Section(
            f"What if: {study.scenario.name}",
            text=f"{edits}. {wording.percent(study.comparison.moved)} of the probability moved. {study.scenario.notes}".strip(),
            columns=("place", "rank before", "rank after", "before", "after"),
            rows=rows,
            code=study.scenario.to_json(),
        )
    ]


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
