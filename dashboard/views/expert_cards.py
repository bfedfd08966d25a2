"""Expert cards: what each expert answers for, how its name is borne out, and questions to look into."""

import numpy as np
import pandas as pd
import streamlit as st

from dashboard import cached, navigation, panels, session, wording
from dashboard.figures.routing_bars import MARKS, Palette
from dashboard.views import expert_lines
from dashboard.views.export_menu import export_menu
from engine.city.samples import Samples
from engine.evaluation import routing
from engine.evaluation.routed import ExpertLabel
from engine.models.declarations import ExpertSet

SHOWN = 5
EXAMPLES = 6


def draw_cards(asked: "cached.Asked", key: str, experts: ExpertSet, palette: Palette, samples: Samples) -> None:
    """All experts as a table, and the one chosen in detail."""
    panels.panel(
        "What each expert answers for",
        "Drawn: load, how often it leads, the known group of people or places it goes along with most, and below for one expert the hours, "
        "categories, people and places for which its weight before the choice is largest against its own mean (lift).",
        "Read: a lift of 3 means three times its usual weight. Groups with fewer than five questions are left out. What an expert goes "
        "along with counts people or places, each once, however often it is asked about; lift averages over questions, so that a few busy "
        "places can carry a category. A group may stand high in the one and low in the other.",
        f"Do not conclude that the name is right because the list looks right. {MARKS}",
        "NextLocMoE specification §12.",
    )
    routed, visits, places = asked.routed[key], asked.visits, samples.log.places
    weights = routed.latest_raw
    load, leads = routing.load(routed.latest), np.bincount(routed.dominant, minlength=len(experts.names)) / max(len(routed), 1)
    known = [goes_along_words(one) for one in palette.labels]
    overview = pd.DataFrame(
        {
            "expert": list(experts.names),
            "load": load,
            "leads": leads,
            "goes along with": known,
            "times its share": [one.share / one.usual for one in palette.labels],
            "verified": [one.is_verified for one in palette.labels],
            "about": list(experts.texts),
        }
    )
    with st.container(horizontal=True, horizontal_alignment="right"):
        export_menu("experts.cards.export", "expert-cards", overview, command=f"mobiscope experts {asked.run_id}")
    state = st.dataframe(
        overview.assign(expert=[one.shown(40) for one in palette.labels]).drop(columns=["verified", "about"]),
        key=f"experts.cards.{key}",
        hide_index=True,
        on_select="rerun",
        selection_mode="single-row",
        column_config={
            "load": st.column_config.ProgressColumn("load", format="percent", min_value=0, max_value=max(float(load.max()), 0.01)),
            "leads": st.column_config.NumberColumn("leads in", format="percent"),
            "times its share": st.column_config.NumberColumn(
                format="%.1f", help="Share of the group's people or places which it leads, over its share of all of them."
            ),
        },
        height="content",
    )
    rows = state["selection"]["rows"] if state else []
    expert = int(rows[0]) if rows else int(load.argmax())
    own = palette.labels[expert]
    name = wording.literal(own.shown(60))
    heading = st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute")
    heading.subheader(name, anchor=False)
    st.caption(f"Its text, a hypothesis: {wording.literal(experts.texts[expert], 400)}")
    st.markdown(f"Measured: {wording.literal(known[expert])}{_beside_chance(own)}.")
    categories = np.array([*places.category_names, ""], object)[places.category[visits["location"].to_numpy(np.int64)]]
    columns = [*st.columns(2, gap="medium"), *st.columns(2, gap="medium")]
    tables = {
        "Categories": ("category", categories),
        "Hours": ("hour", np.array([f"{hour:02d} h" for hour in visits["hour"]], object)),
        "People": ("person", samples.log.users[visits["user"].to_numpy(np.int64)]),
        "Places": ("place", places.ids[visits["location"].to_numpy(np.int64)]),
    }
    found = {title: routing.answers_for(weights, expert, labels.astype(str)) for title, (_, labels) in tables.items()}
    with heading:
        python = expert_lines.of_slice(
            asked,
            key,
            "labels = run.data.samples.log.places.ids[visits['location'].to_numpy()].astype(str)  # or people, hours, categories",
            f"lifts = answers_for(routed.latest_raw, {expert}, labels)",
            imports=["from engine.evaluation.routing import answers_for"],
        )
        lifts = pd.concat([table.assign(of=tables[title][0]) for title, table in found.items()], ignore_index=True)
        export_menu("experts.card.export", "expert-card", lifts, python=python)
    for column, (title, (one, _)) in zip(columns, tables.items(), strict=True):
        companion = np.flatnonzero(found[title]["label"] == own.group) if own.attribute == one else np.zeros(0, np.int64)
        table = found[title].iloc[[*range(min(SHOWN, len(found[title]))), *companion[companion >= SHOWN]]]
        if title == "Places" and len(table):
            table = table.assign(label=[str(places.names[places.index[label]]) for label in table["label"]])
        with column:
            st.markdown(f"**{title}**")
            if table.empty:
                st.caption("None has five questions (n < 5).")
            else:
                st.dataframe(
                    table[["label", "weight", "lift", "n"]],
                    hide_index=True,
                    key=f"experts.card.{title}",
                    column_config={
                        "label": st.column_config.TextColumn(one, width="medium"),
                        "weight": st.column_config.NumberColumn("weight", format="percent"),
                        "lift": st.column_config.NumberColumn(
                            "lift", format="%.1f", help="Mean weight here over its mean everywhere."
                        ),
                        "n": st.column_config.NumberColumn("questions"),
                    },
                )
                for rank in companion + 1:
                    st.caption(
                        f"{wording.literal(own.group)}, which it goes along with by {own.noun} led, is number {rank} of "
                        f"{len(found[title])} by lift over questions."
                    )
    _examples(visits, weights[:, expert], categories, samples, name)


def goes_along_words(own: ExpertLabel) -> str:
    """The known group an expert goes along with most, in words; names in it are as the data have them."""
    if not own.attribute:
        return "nothing known to compare with"
    if not own.group:
        return f"{own.attribute}: goes along with no group"
    verdict = "" if own.is_verified else ", not clearly beyond chance"
    return f"{own.attribute} {own.group} (leads for {own.share:.0%} of n = {own.size} {own.noun}{verdict})"


def _beside_chance(own: ExpertLabel) -> str:
    if own.companion is None:
        return ""
    found = own.companion
    return (
        f", {own.share / own.usual:.1f} times its share of all {own.noun}; correlation {found.phi:.2f}, by chance {found.chance:.2f} ± "
        f"{found.chance_sd:.2f} for the best of all groups"
    )


def _examples(visits: pd.DataFrame, weight: np.ndarray, categories: np.ndarray, samples: Samples, name: str) -> None:
    # One question per person, so that one loyal customer does not fill the list.
    order = np.argsort(-weight, kind="stable")
    first = order[np.sort(np.unique(visits["user"].to_numpy()[order], return_index=True)[1])][:EXAMPLES]
    rows, log = visits.iloc[first], samples.log
    shown = pd.DataFrame(
        {
            "person": log.users[rows["user"].to_numpy(np.int64)],
            "step": rows["step"].to_numpy() + 1,
            "was at": log.places.names[rows["location"].to_numpy(np.int64)],
            "category": categories[first],
            "asked at": [f"{when:%a} {when.day} {when:%b %H:%M}" for when in rows["when"]],
            "weight": weight[first],
        }
    )
    st.markdown(f"**Questions with the most weight on {name}**, one per person")
    state = st.dataframe(
        shown,
        key="experts.examples",
        hide_index=True,
        on_select="rerun",
        selection_mode="single-row",
        column_config={"weight": st.column_config.NumberColumn("weight", format="percent")},
    )
    picked = state["selection"]["rows"] if state else []
    if picked:
        row = shown.iloc[picked[0]]
        session_step = int(row["step"]) - 1
        if st.button(f"Look inside {wording.literal(row['person'], 40)}, step {row['step']}", key="experts.open", type="primary"):
            session.set_sample(str(row["person"]), session_step)
            navigation.open_page("next_location")
    else:
        st.caption("Choose a row to look inside it.")
