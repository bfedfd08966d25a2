"""The same weights in another city: how well they do there, and a map of where they err."""

from typing import TYPE_CHECKING

import pandas as pd
import streamlit as st

from dashboard import cached, panels, questions, session, wording
from dashboard.figures import base_map
from dashboard.figures.bars import metric_bars
from dashboard.figures.expert_map import error_layers, worst_drawn
from dashboard.figures.frame import chart_config
from dashboard.views import city_map
from dashboard.views.city_map import Entry
from dashboard.views.export_menu import export_menu
from engine.errors import MobiscopeError
from engine.models.baselines import TRAINING_FREE

if TYPE_CHECKING:
    from engine.evaluation.transfer import ZeroShot

METRICS = {"acc@1": "Acc@1", "acc@5": "Acc@5", "acc@10": "Acc@10", "mrr": "MRR", "distance_mean_m": "Mean distance error"}


def draw(slug: str, run_id: str, title: str) -> None:
    """The choice of a city, and what the weights did there."""
    panels.panel(
        "Another city, same weights",
        "Drawn: for every place people went to in the other city's test part, how far off the first guess was in the mean (dark: near, "
        "bright: far), area by questions.",
        "Read: the model takes centre, scale and popularity of places from the other city's training part and knows nobody there; its "
        "weights stay as they are. Baselines beside it are fitted on that city's own training part.",
        "Do not compare with a model trained there as if both knew the same: baselines that count people's visits know these people.",
        "NextLocMoE: zero-shot (abstract; specification §10, §13).",
    )
    loaded = cached.loaded_run(run_id)
    if not getattr(loaded.model, "can_transfer", False):
        panels.nothing(
            f"{wording.literal(title)} stays in its city",
            "Its weights hold vectors of that city's places or people, which another city does not have.",
        )
        return
    others = wording.told_apart(
        {entry.slug: entry.info.name for entry in cached.cities() if entry.slug != slug and entry.info.rows.get("visits", 0)}
    )
    if not others:
        panels.nothing("There is no other city with visits", "Make one or bring one on the Home page, then come back.")
        return
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        chosen = st.selectbox("City", list(others), format_func=lambda item: others[item], key="experts.city", width=280)
        st.button(
            "Ask there", key="experts.ask_there", type="primary", on_click=session.put, args=("experts.elsewhere", (run_id, chosen))
        )
    if session.get("experts.elsewhere", None) != (run_id, chosen):
        st.caption("Up to 2,000 test questions are asked; it takes some seconds.")
        return
    try:
        with panels.progress("Asking there") as report:
            found = cached.elsewhere(run_id, str(chosen), report)
    except MobiscopeError as error:
        panels.refusal(error)
        return
    _result(str(chosen), run_id, found)


def best_words(baselines: pd.DataFrame) -> str:
    """The best of the baselines asked there, all of them where several are, and what each knows of that city; Markdown.

    Args:
        baselines: predictor, title and value of one metric, at least one row.
    """
    best = baselines[baselines["value"] == baselines["value"].max()]
    named = [
        f"{wording.literal(row.title)}, which {'looks at the window alone' if row.predictor in TRAINING_FREE else 'counted there'},"
        for row in best.itertuples()
    ]
    return f"{' and '.join(named)} {'has' if len(best) == 1 else 'have'} {wording.percent(float(best['value'].iloc[0]))}."


def _result(other: str, run_id: str, found: "ZeroShot") -> None:
    model = next(iter(found.metrics))
    frame = found.to_frame()
    own = found.metrics[model]
    st.markdown(
        f"In **{wording.literal(found.city)}** the same weights have {wording.estimate('acc@10', own['acc@10'])} in the first ten and err by "
        f"{wording.metres(own['distance_mean_m'].value)} in the mean; "
        + best_words(frame[(frame["metric"] == "acc@10") & (frame["predictor"] != model)])
    )
    left, right = st.columns([60, 40], gap="medium")
    theme, city, places = session.theme(), cached.city(other), found.samples.log.places
    table = found.errors_by_place()
    table = table.join(questions.describe_places(places, table["location"].to_numpy()))
    with left:
        base = cached.base(other, theme, places=False, buildings="none", faint=True)
        layers = [*base.layers, *error_layers(table, theme)]
        ends = f"{wording.metres(0)} to {wording.metres(worst_drawn(table))} and more"
        legend = [Entry("ramp", f"mean distance error: {ends}"), Entry("dot", "area: questions")]
        city_map.draw(
            city, layers, key="experts.map.elsewhere", alt="Map of errors in another city", legend=legend, attribution=base.attribution, height=420
        )  # fmt: skip
    with right:
        metric = st.selectbox(
            "Metric", list(METRICS), index=2, format_func=lambda name: METRICS[name], key="experts.metric", width=240
        )
        shown = frame[frame["metric"] == metric]
        st.plotly_chart(
            metric_bars(shown, str(metric), theme, highlight=[model]),
            theme=None,
            config=chart_config("experts-zero"),
            key="experts.zero",
            alt="The transferred model beside baselines",
        )
        st.caption("95 % intervals over people.")
        command = f"mobiscope elsewhere {run_id} --city {other}"
        export_menu(
            "experts.elsewhere.export",
            "another-city",
            table.drop(columns=["location"]),
            base_map.deck(layers, city, theme),
            command,
            chart=True,
        )
