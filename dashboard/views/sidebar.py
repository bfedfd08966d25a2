"""The sidebar: city, run, slice and selection, chosen once for all pages, and the jobs in progress."""

from urllib.parse import urlencode

import pandas as pd
import streamlit as st

from dashboard import cached, exports, navigation, panels, saved_views, session, wording
from dashboard.views import job_card
from engine.city.city import CityInfo
from engine.errors import MobiscopeError

_CITY, _RUN, _SLICE = "sidebar.city", "sidebar.run", "sidebar.slice"


def draw() -> None:
    """Draws the sidebar's body, below the navigation."""
    cities = cached.cities()
    _settle(cities)
    if not cities:
        st.caption("No city yet. Home offers a built-in one and a way to bring yours.")
        return
    _city(cities)
    _run()
    _slice()
    _selection()
    job_card.in_sidebar()
    _link()
    _keys()


def facts_line(facts: cached.CityFacts, info: CityInfo) -> str:
    """A city in one line: people, places, visits, span."""
    parts = []
    if facts.visits:
        parts += [wording.counted(facts.people, "person", "people"), wording.counted(facts.visits, "visit")]
    if facts.places:
        parts.append(wording.counted(facts.places, "place"))
    if cells := info.rows.get("cells", 0):
        parts.append(wording.counted(cells, "cell"))
    if facts.first is not None and facts.last is not None:
        parts.append(f"{wording.day(facts.first)} to {wording.day(facts.last)}")
    return " · ".join(parts)


def _settle(cities: list[cached.CityEntry]) -> None:
    """Makes the choice complete: a run brings its city, and without a choice the newest city is looked at."""
    known = {entry.slug for entry in cities}
    chosen = session.run()
    if chosen:
        summary = next((run for run in cached.runs() if run.id == chosen), None)
        if summary is None:
            session.set_run(None)
        elif summary.city in known and summary.city != session.city():
            session.set_run(chosen, city=summary.city)
    if session.city() not in known and cities:
        session.set_city(cities[0].slug)


def _city(cities: list[cached.CityEntry]) -> None:
    slugs = [entry.slug for entry in cities]
    names = wording.told_apart({entry.slug: entry.name for entry in cities})
    session.set_widget(_CITY, session.city())
    st.selectbox(
        "City",
        slugs,
        format_func=lambda slug: names.get(slug, slug),
        key=_CITY,
        on_change=lambda: session.set_city(session.widget(_CITY, None)),
    )
    slug = session.city()
    if slug:
        st.caption(wording.literal(facts_line(cached.city_facts(slug), cached.city_entry(slug).info), limit=200))


def _run() -> None:
    runs = [run for run in cached.runs() if run.city == session.city()]
    if not runs:
        st.caption("No run on this city yet. Train makes one.")
        return
    names = wording.told_apart({run.id: cached.run_label(run) for run in runs})
    chosen = session.run()
    if chosen not in names:
        finished = [run.id for run in runs if run.state == "DONE"]
        chosen = finished[0] if finished else None
        session.set_run(chosen)
    session.set_widget(_RUN, chosen)
    st.selectbox(
        "Run",
        list(names),
        format_func=lambda run: names.get(run, run),
        key=_RUN,
        placeholder="No finished run",
        on_change=lambda: session.set_run(session.widget(_RUN, None)),
    )
    if chosen and (line := cached.headline(chosen)):
        st.caption(line)


def _slice() -> None:
    """The group of cases all pages are limited to, as chosen on the Long tail page."""
    chosen = session.slice_group()
    if chosen is None:
        return
    titles = cached.slice_titles("next_location")
    with st.container(border=True, gap="xsmall"):
        st.markdown(f"**Slice** {wording.literal(titles.get(chosen[0], (chosen[0], ''))[0])}: {wording.literal(chosen[1])}")
        st.button("All cases", key="sidebar.all_cases", on_click=session.set_slice, args=(None,), type="tertiary")


def _selection() -> None:
    selection = session.selection()
    if not len(selection):
        return
    with st.container(border=True, gap="xsmall"):
        where = f" · {wording.literal(selection.origin)}" if selection.origin else ""
        st.markdown(f"**{wording.counted(len(selection), selection.kind)} selected**{where}")
        with st.container(horizontal=True, gap="xsmall"):
            st.button("Clear", key="selection.clear", on_click=session.clear_selection, type="tertiary")
            st.button("Invert", key="selection.invert", on_click=_invert, type="tertiary")
            listed = pd.DataFrame({f"{selection.kind}_id": list(selection.ids)})
            st.download_button(
                "Export",
                exports.csv_bytes(listed),
                file_name="selection.csv",
                mime="text/csv",
                key="selection.export",
                type="tertiary",
                on_click="ignore",
            )


def _keys() -> None:
    """What can be done without the mouse."""
    with st.popover("Keys", type="tertiary"):
        lines = [f"- `{key.upper()}` {navigation.TITLES[page]}" for key, page in navigation.keys().items()]
        lines.append(
            "- `←` `→` `Esc` on *Next location*: step through a person's visits; take back what was changed about a question"
        )
        lines.append("- `U` `Y` on *What if*: undo, redo")
        st.markdown("\n".join(lines))
        st.caption("A box with a list is searched by typing into it.")


def _link() -> None:
    """A link that brings this view back: city, run, sample, selection, what-if and the controls of the pages."""
    _saved()
    with st.popover("Link to this view", type="tertiary"):
        if st.button("Make the link", key="sidebar.link", help="What you see, as a link for this machine's dashboard."):
            session.put("sidebar.view", saved_views.save_view())
        if view := session.get("sidebar.view", None):
            parameters = urlencode(session.link() | {"view": view})
            st.code(f"{session.url().split('?')[0]}?{parameters}", language=None, wrap_lines=True)


def _saved() -> None:
    """Views kept under names: each brings back city, run, slice, step, selection, what-if and controls."""
    views = saved_views.named_views()
    with st.popover(f"Saved views ({len(views)})" if views else "Saved views", type="tertiary"):
        name = st.text_input(
            "Name of the view", key="sidebar.view_name", max_chars=80, placeholder="night, least visited tenth",
            help="City, run, slice, step, selection, what-if and the controls of the pages are kept under this name.",
        )  # fmt: skip
        st.button("Save this view", key="sidebar.save_view", disabled=not name.strip(), on_click=_save, args=(name,))
        for item in views:
            with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute", gap="xsmall"):
                if st.button(wording.literal(item.view.name, 60), key=f"sidebar.open_view.{item.id}", type="tertiary"):
                    _open(item.id)
                st.button(
                    "Delete", key=f"sidebar.drop_view.{item.id}", type="tertiary",
                    on_click=saved_views.forget_view, args=(item.id,),
                )  # fmt: skip


def _save(name: str) -> None:
    try:
        saved_views.save_view(name)
    except MobiscopeError as error:
        st.toast(wording.sentence(str(error)))


def _open(view_id: str) -> None:
    try:
        page = saved_views.open_view(view_id)
    except MobiscopeError as error:
        panels.refusal(error)
        return
    if any(page in entries for entries in navigation.GROUPS.values()):
        navigation.open_page(page)
    st.rerun()


def _invert() -> None:
    slug, selection = session.city(), session.selection()
    table, column = {"location": ("locations", "location_id"), "cell": ("cells", "cell_id"), "user": ("visits", "user_id")}[
        selection.kind
    ]
    if slug and cached.city(slug).has(table):
        session.set_selection(selection.inverted(cached.city(slug).table(table)[column].drop_duplicates()))
