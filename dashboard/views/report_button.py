"""The study in view as one file to keep or to send."""

import streamlit as st

from dashboard import cached
from dashboard.figures import base_map
from dashboard.figures.slice_bars import slice_bars
from dashboard.figures.still import still_png
from dashboard.report import Study, render
from engine import store
from engine.cli import command_for
from engine.runs import Run
from engine.scenarios.compare import Comparison
from engine.scenarios.scenario import Scenario

CHARTS = (("popularity", "acc@10"), ("explore", "acc@1"), ("weather", "acc@1"))


def report_button(run_id: str, key: str, scenario: Scenario | None = None, comparison: Comparison | None = None) -> None:
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


def report(run_id: str, slug: str, scenario: Scenario | None = None, comparison: Comparison | None = None) -> str:
    """The report of a run on its city."""
    from engine.evaluation.metrics import METRICS
    from engine.evaluation.slices import SLICES

    run, city = Run.open(run_id), cached.city(slug)
    metrics = cached.run_table(run_id, "metrics")
    model = run.request.model
    titles = dict(zip(metrics["predictor"], metrics["title"], strict=True))
    baselines = metrics[(metrics["slice"] == "all") & (metrics["metric"] == "acc@1") & (metrics["predictor"] != model)]
    compared = [model, *baselines.nlargest(2, "value")["predictor"]]
    figures = []
    for slice_name, metric in CHARTS:
        rows = metrics[(metrics["slice"] == slice_name) & (metrics["metric"] == metric) & metrics["predictor"].isin(compared)]
        rows = rows[rows["group"].isin(rows.loc[rows["n"] > 0, "group"])].assign(
            series=lambda table: table["predictor"].map(titles)
        )
        if len(rows):
            declared, measure = SLICES[slice_name], METRICS[metric]
            figure = slice_bars(rows, measure.unit, "light", models={titles[model]}, title=measure.title)
            caption = f"{measure.meaning} {declared.meaning} Lines are 95 % bootstrap intervals over people."
            figures.append((f"{measure.title} by {declared.title.lower()}", figure, caption))
    base = cached.base(slug, "light")
    return render(
        Study(
            city=city,
            card=city.info.data_card,
            run_name=run.summary.name,
            model_title=titles.get(model, model),
            predictor=model,
            settings={"request": run.request.model_dump(mode="json"), "config": run.config},
            metrics=metrics,
            warnings=cached.run_table(run_id, "warnings"),
            map_png=still_png(base_map.deck(base.layers, city, "light"), "light", (1100, 900)),
            map_caption=f"The places of {city.name}: area by visits, colour by family of category. {base.attribution}",
            figures=tuple(figures),
            command=command_for(run.request),
            scenario=scenario,
            comparison=comparison,
        )
    )
