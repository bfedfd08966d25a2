"""The study in view as one file to keep or to send."""

import streamlit as st

from dashboard import cached
from dashboard.figures import base_map
from dashboard.figures.slice_bars import slice_bars
from dashboard.figures.still import still_png
from dashboard.report import TOLD, Drawn, Study, render
from dashboard.views import cell_report
from engine import store
from engine.cli import command_for
from engine.models.base import Task
from engine.runs import Run
from engine.scenarios.cell_compare import CurveComparison
from engine.scenarios.compare import Comparison
from engine.scenarios.scenario import Scenario

SLICES: dict[Task, tuple[tuple[str, str], ...]] = {
    "next_location": (("popularity", "acc@10"), ("explore", "acc@1"), ("weather", "acc@1")),
    "grid_flow": (("decile", "wape"), ("district", "wape"), ("hour", "mae")),
}
"""Task to the slices of a report and the metric drawn of each."""


def report_button(
    run_id: str, key: str, scenario: Scenario | None = None, comparison: Comparison | CurveComparison | None = None
) -> None:
    """A button that makes the report when it is pressed.

    Args:
        run_id: The finished run it is about.
        key: The widget's key.
        scenario: The what-if in hand, if any.
        comparison: Its answer.
    """
    slug = Run.open(run_id).summary.city
    name = f"{store.slug(run_id)}-report.html"
    st.download_button(
        "Report as one HTML file",
        lambda: report(run_id, slug, scenario, comparison).encode("utf-8"),
        name,
        "text/html",
        key=key,
        on_click="ignore",
        help="Figures, data card, settings, versions and commands in one file that opens without a network.",
    )


def report(run_id: str, slug: str, scenario: Scenario | None = None, comparison: Comparison | CurveComparison | None = None) -> str:
    """The report of a run on its city."""
    run, city, task = Run.open(run_id), cached.city(slug), cached.run_task(run_id)
    charts = _slices(run_id, task)
    if task == "grid_flow":
        drawn = Drawn((*charts, *cell_report.days(run_id, slug)), *cell_report.maps(run_id, slug))
    else:
        drawn = Drawn(charts, _places(slug))
    model = run.request.model
    return render(
        Study(
            city=city,
            card=city.info.data_card,
            run_name=run.summary.name,
            model_title=cached.run_title(run_id),
            predictor=model,
            task=task,
            settings={"request": run.request.model_dump(mode="json"), "config": run.config},
            metrics=cached.run_table(run_id, "metrics"),
            warnings=cached.run_table(run_id, "warnings"),
            drawn=drawn,
            command=command_for(run.request),
            scenario=scenario,
            comparison=comparison,
        )
    )


def _slices(run_id: str, task: Task) -> tuple[tuple[str, object, str], ...]:
    """The model and its two best baselines by the slices of the task: title, figure and caption of each."""
    metrics, model, told = cached.run_table(run_id, "metrics"), cached.run_model(run_id), TOLD[task]
    titles = dict(zip(metrics["predictor"], metrics["title"], strict=True))
    others = metrics[(metrics["slice"] == "all") & (metrics["metric"] == told.shown[0]) & (metrics["predictor"] != model)]
    compared = [model, *others.nlargest(2, "value")["predictor"]]
    charts = []
    for slice_name, metric in SLICES[task]:
        rows = metrics[(metrics["slice"] == slice_name) & (metrics["metric"] == metric) & metrics["predictor"].isin(compared)]
        rows = rows[rows["group"].isin(rows.loc[rows["n"] > 0, "group"])]
        if rows.empty:
            continue
        measure, (declared, meaning) = cached.metric_title(metric), cached.slice_titles(task)[slice_name]
        figure = slice_bars(
            rows.assign(series=rows["predictor"].map(titles)),
            cached.metric_unit(metric),
            "light",
            models={titles[model]},
            title=measure,
        )
        caption = f"{cached.metric_meaning(metric)} {meaning} Lines are 95 % bootstrap intervals over {told.units}."
        charts.append((f"{measure} by {declared[0].lower()}{declared[1:]}", figure, caption))
    return tuple(charts)


def _places(slug: str) -> tuple[tuple[bytes, str], ...]:
    """The map of the city's places."""
    city, base = cached.city(slug), cached.base(slug, "light")
    caption = f"The places of {city.name}: area by visits, colour by family of category. {base.attribution}"
    return ((still_png(base_map.deck(base.layers, city, "light"), "light", (1100, 900)), caption),)
