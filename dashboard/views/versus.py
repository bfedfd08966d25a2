"""Two runs on the same cases: which each wins, and one case answered by both side by side."""

import numpy as np
import pandas as pd
import pydeck as pdk
import streamlit as st

from dashboard import cached, navigation, panels, python_lines, session, wording
from dashboard.figures import base_map, colours
from dashboard.figures.ranking import guess_layers, truth_layers
from dashboard.views import city_map, twin_maps
from dashboard.views.export_menu import export_menu
from engine.city.samples import Places
from engine.errors import MobiscopeError
from engine.models.answers import share_name
from engine.runs import Run, RunSummary

MOST_CASES = 200
SIDES = ("first", "second")
OWN = ("topk_ids", "topk_probs", "rank", "normalised")
"""What each of two runs answered in a case."""


def versus(first: RunSummary, second: RunSummary) -> None:
    """Lists of the cases each run wins, and the picked one on two maps with the same view.

    Args:
        first: A finished run.
        second: Another finished run on the same city and split.
    """
    panels.panel(
        "Cases each wins",
        "Drawn: test cases by how much higher one run ranks the place the person went to; rank 1 is the first guess.",
        "Read: choose a row; both runs' ten first guesses appear on two maps that follow one another.",
        "Do not conclude from single cases; the differences above say what holds over all of them.",
    )
    try:
        cases = shared_cases(first.id, second.id)
    except MobiscopeError as error:
        panels.refusal(error)
        return
    places = Places.of(cached.city(first.city))
    wins = [int((cases["rank_first"] < cases["rank_second"]).sum()), int((cases["rank_second"] < cases["rank_first"]).sum())]
    st.markdown(
        f"**{wording.literal(first.name)}** ranks the truth higher in {wording.count(wins[0])} of {wording.count(len(cases))} cases, "
        f"**{wording.literal(second.name)}** in {wording.count(wins[1])}; in {wording.count(len(cases) - sum(wins))} they agree."
    )
    names = wording.told_apart(dict(zip(SIDES, (wording.literal(first.name), wording.literal(second.name)), strict=True)))
    winner = st.segmented_control(
        "Won by", SIDES, default="first", required=True, format_func=names.__getitem__, key="versus.winner"
    )
    gain = np.log(cases["rank_second"].clip(upper=1e6)) - np.log(cases["rank_first"].clip(upper=1e6))
    order = (gain if winner == "first" else -gain).sort_values(ascending=False, kind="stable")
    shown = cases.loc[order[order > 0].index[:MOST_CASES]].reset_index(drop=True)
    if shown.empty:
        panels.nothing("No such case (n = 0)", "The two rank the truth alike everywhere.")
        return
    table = pd.DataFrame(
        {
            "person": shown["user_id"],
            "local time": shown["started_at"].dt.tz_convert(cached.city(first.city).time_zone).dt.strftime("%Y-%m-%d %H:%M"),
            "went to": places.names[shown["true_id"].to_numpy()],
            f"rank, {first.name}": shown["rank_first"].replace(np.inf, np.nan),
            f"rank, {second.name} ": shown["rank_second"].replace(np.inf, np.nan),
        }
    )
    state = st.dataframe(
        table, key=f"versus.cases.{winner}", hide_index=True, height=260, on_select="rerun", selection_mode="single-row"
    )
    own = "run.table('predictions').query('predictor == @run.request.model').true_rank.reset_index(drop=True)"
    lines = f"first, second = ({own} for run in runs)", "wins = (first < second).sum(), (second < first).sum()"
    export_menu("versus.export", "cases", table, python=python_lines.of_runs((first.id, second.id), *lines))
    rows = state["selection"]["rows"] if state else []
    case = shown.iloc[rows[0] if rows else 0]
    _answers(first, second, case, places)
    if st.button("Look inside this case", key="versus.open"):
        session.set_sample(str(case["user_id"]), int(case["step"]))
        navigation.open_page("next_location")


def shared_cases(first: str, second: str) -> pd.DataFrame:
    """The cases both runs answered: the first's columns, and `OWN` of both, with the side at the end of their names.

    Raises:
        MobiscopeError: If the two did not answer the same cases.
    """
    tables = []
    for run_id in (first, second):
        rows = cached.run_table(run_id, "predictions")
        rows = rows[rows["predictor"] == Run.open(run_id).request.model]
        tables.append(rows.assign(rank=rows["true_rank"].astype("Float64").fillna(np.inf).astype(float)).reset_index(drop=True))
    one, two = tables
    if not one["sample_id"].equals(two["sample_id"]):
        raise MobiscopeError("The two runs did not answer the same cases; compare runs of one split.")
    kept = one[["user_id", "started_at", "step", "true_id", *OWN]].add_suffix("_first")
    kept = kept.rename(columns={f"{name}_first": name for name in ("user_id", "started_at", "step", "true_id")})
    return kept.join(two[list(OWN)].add_suffix("_second"))


def _answers(first: RunSummary, second: RunSummary, case: pd.Series, places: Places) -> None:
    """Both runs' ten first guesses and the truth, on two maps that move together."""
    theme, city = session.theme(), cached.city(first.city)
    base = cached.base(first.city, theme, places=False, buildings="none", faint=True)
    marks = []
    for column, side, run in zip(st.columns(2, gap="small"), SIDES, (first, second), strict=True):
        rank = case[f"rank_{side}"]
        words = f"rank {rank:,.0f}" if np.isfinite(rank) else "cannot be ranked"
        truth = wording.literal(places.names[int(case["true_id"])])
        column.markdown(f"**{wording.literal(run.name)}**: the truth, {truth}, {'has ' if np.isfinite(rank) else ''}{words}.")
        marks.append(_marks(side, case, places))
    shares = [share_name(bool(case[f"normalised_{side}"])) for side in SIDES]
    area = shares[0] if shares[0] == shares[1] else f"{shares[0]} left, {shares[1]} right"
    legend = [
        city_map.Entry("disc", f"guess; area: {area}", colours.role("prediction", theme)),
        city_map.Entry("ring", "truth", colours.role("truth", theme)),
        city_map.Entry("arc", "error of the first guess", colours.role("truth", theme)),
    ]
    alt = f"Guesses of {first.name}, left, and of {second.name}, right, and the truth"
    twin_maps.draw(city, base.layers, *marks, key="versus.maps", alt=alt, legend=legend, attribution=base.attribution, height=430)
    table = pd.concat(
        [guesses_of(side, case, places).assign(run=run.name) for side, run in zip(SIDES, (first, second), strict=True)]
    )
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
        st.caption("The two maps move together: drag or scroll in either.")
        with st.container(horizontal=True, gap="small", width="content"):
            for side, run, own in zip(SIDES, (first, second), marks, strict=True):
                deck = base_map.deck([*base.layers, *own], city, theme)
                asked = f"user_id == {case['user_id']!r} and step == {case['step']} and predictor == @run.request.model"
                export_menu(
                    f"versus.export.{side}",
                    f"case-{run.id}",
                    table[table["run"] == run.name],
                    deck,
                    python=python_lines.of_run(run.id, f"case = run.table('predictions').query({asked!r}).iloc[0]"),
                    label=f"Export {side}",
                )


def guesses_of(side: str, case: pd.Series, places: Places) -> pd.DataFrame:
    """One run's ten first guesses in a case: rank, longitude, latitude, name, category, probability, id."""
    top = np.asarray(case[f"topk_ids_{side}"], int)[:10]
    return pd.DataFrame(
        {
            "rank": np.arange(1, len(top) + 1),
            "longitude": places.longitude[top],
            "latitude": places.latitude[top],
            "name": places.names[top],
            "category": np.array(places.category_names, object)[places.category[top]],
            "probability": np.asarray(case[f"topk_probs_{side}"], float)[:10],
            "id": places.ids[top],
        }
    )


def _marks(side: str, case: pd.Series, places: Places) -> list[pdk.Layer]:
    truth, theme = int(case["true_id"]), session.theme()
    guesses = guesses_of(side, case, places)
    top = np.asarray(case[f"topk_ids_{side}"], int)[:1]
    first, distance = None, 0.0
    if len(top):
        first = (float(places.longitude[top[0]]), float(places.latitude[top[0]]))
        distance = float(np.hypot(places.x[top[0]] - places.x[truth], places.y[top[0]] - places.y[truth]))
    at = (float(places.longitude[truth]), float(places.latitude[truth]))
    return [
        *guess_layers(guesses, theme, normalised=bool(case[f"normalised_{side}"])),
        *truth_layers(*at, str(places.names[truth]), theme, first, distance),
    ]
