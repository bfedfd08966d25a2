"""What is known of a city: the map of its layers, its size and rhythm, its data card, its tables, and the ways out."""

import html
import tempfile
import zipfile
from io import BytesIO
from pathlib import Path

import numpy as np
import pandas as pd
import streamlit as st

from dashboard import cached, navigation, panels, python_lines, session, wording
from dashboard.figures import base_map
from dashboard.figures.frame import chart_config
from dashboard.figures.week import week
from dashboard.questions import WEEKDAYS
from dashboard.saved_views import forget_views_of
from dashboard.views.export_menu import export_menu
from engine.city.city import City, delete_city
from engine.city.data_card import DataCard
from engine.city.schema import TABLES
from engine.city.writers import export_city
from engine.errors import MobiscopeError
from engine.runs import delete, runs_on

MOST_LINES = 4
FORMATS = {
    "geoparquet": "GeoParquet: all tables, exact, for Python, QGIS and DuckDB",
    "csv": "CSV: all tables as text, coordinates as columns",
    "geojson": "GeoJSON: the tables with positions, for web maps",
    "libcity": "LibCity atomic files: visits and places for the LibCity library",
}


def sentence(city: City, facts: cached.CityFacts) -> str:
    """What the city holds, in one sentence of Markdown."""
    name = f"**{wording.literal(city.name)}**"
    if facts.visits and facts.first is not None and facts.last is not None:
        days = (facts.last - facts.first).days + 1
        said = (
            f"{name}: {wording.counted(facts.people, 'person', 'people')} made {wording.counted(facts.visits, 'visit')} to "
            f"{wording.counted(facts.places, 'place')} in {wording.counted(days, 'day')}, "
            f"{wording.day(facts.first)} to {wording.day(facts.last)}."
        )
    else:
        held = ", ".join(f"{wording.count(rows)} {table.replace('_', ' ')}" for table, rows in city.info.rows.items() if rows)
        said = f"{name} holds {held}; no visits."
    card = city.info.data_card
    read, dropped = sum(file.rows_in for file in card.files), sum(file.rows_in - file.rows_kept for file in card.files)
    if read and dropped:
        said += (
            f" {wording.count(dropped)} of {wording.counted(read, 'row')} read were dropped ({wording.percent(dropped / read)})."
        )
    elif read:
        said += f" All {wording.counted(read, 'row')} read were kept."
    return said


def layers_map(slug: str, height: int = 560) -> None:
    """The map of all layers, its controls under it, its legend and what it does not show."""
    city, theme = cached.city(slug), session.theme()
    has_buildings = city.has("buildings")
    buildings = session.widget("city.buildings", "flat") if has_buildings else "none"
    cells = bool(session.widget("city.cells", False))
    places = bool(session.widget("city.places", True))
    drawn = cached.base(slug, theme, places=places, buildings=buildings, cells=cells)
    pitch = 50.0 if buildings == "extruded" else 0.0
    st.pydeck_chart(
        base_map.deck(drawn.layers, city, theme, pitch=pitch),
        height=height,
        key="city.map",
        alt=f"Map of {city.name} with everything that was read",
    )
    with st.container(horizontal=True, vertical_alignment="center", gap="medium"):
        panels.reading(
            "Drawn: every layer the city has: land, water, parks, roads, buildings, districts, cells and places.",
            "Read: a dot is a place, its area grows with its visits, its colour is the family of its category; hover for its name.",
            "Do not take an empty part of the map for an empty part of the city: only what was brought is drawn.",
        )
        if city.has("locations"):
            st.toggle("Places", value=True, key="city.places")
        if city.has("cells"):
            st.toggle("Cells", value=False, key="city.cells")
        if has_buildings:
            st.segmented_control(
                "Buildings",
                ["none", "flat", "extruded"],
                default="flat",
                required=True,
                key="city.buildings",
                label_visibility="collapsed",
                format_func=lambda how: {"none": "No buildings", "flat": "Footprints", "extruded": "Heights"}[how],
            )
        table = next((_positions(city, name) for name in ("locations", "cells") if city.has(name)), None)
        command = f"mobiscope export {slug} --to geojson"
        export_menu("city.map.export", "map-of-the-city", table, base_map.deck(drawn.layers, city, theme), command)
    legend(drawn)


def _positions(city: City, table: str) -> pd.DataFrame:
    """The rows of a spatial table with a point inside each instead of its shape."""
    rows = city.spatial(table)
    middle = rows.geometry.representative_point()
    return pd.DataFrame(rows.drop(columns="geometry")).assign(longitude=middle.x, latitude=middle.y)


def legend(drawn: base_map.BaseMap) -> None:
    """What size and colour mean on a base map, and what it leaves out."""
    if drawn.legend:
        marks = " ".join(
            '<span style="white-space:nowrap;margin-right:0.9em">'
            '<span style="display:inline-block;width:0.65em;height:0.65em;border-radius:50%;'
            f'background:{html.escape(colour)};margin-right:0.35em"></span>{html.escape(name)}</span>'
            for name, colour in drawn.legend.items()
        )
        st.html(f'<div style="font-size:0.82rem;line-height:1.7;opacity:0.9">{marks}</div>')
    notes = ["A dot is a place; its area grows with its visits, its colour is the family of its category."] if drawn.legend else []
    st.caption(wording.literal(" ".join([*notes, *drawn.notes, drawn.attribution]), limit=600))


def size_and_rhythm(slug: str) -> None:
    """How many people, places and visits, and when they happen."""
    city, facts = cached.city(slug), cached.city_facts(slug)
    if not facts.visits:
        panels.nothing(
            "No visits in this city", "Zones, flows or places alone draw maps; next-location models need who was where, when."
        )
        if st.button("Add a table of visits", key="city.add_visits"):
            session.put("city.view", "bring")
            st.rerun()
        return
    users = cached.visits_per_person(slug)
    numbers = [
        ("People", wording.count(facts.people), f"median {wording.significant(float(users.median()))} visits each"),
        ("Places", wording.count(facts.places), f"median {wording.significant(cached.visits_per_place(slug))} visits each"),
        (
            "Visits",
            wording.count(facts.visits),
            f"{wording.significant(facts.visits / max((facts.last - facts.first).days + 1, 1))} a day",
        ),
    ]
    for column, (label, value, detail) in zip(st.columns(3), numbers, strict=True):
        with column.container(gap=None):
            st.metric(label, value)
            st.caption(detail)
    rhythm = cached.city_rhythm(slug)
    panels.panel(
        "The rhythm of a week",
        f"Drawn: all {wording.count(facts.visits)} visits by weekday and hour of their start, local time ({city.time_zone}).",
        "Read: bright fields are busy hours. Compare a row with the row above to see how a day differs from the one before.",
        "Do not conclude: check-ins say when people chose to record, not when they were out.",
        "Hours are half-open: 8 h is 8:00 to 9:00.",
        actions=lambda: export_menu(
            "city.rhythm.export", "rhythm-of-a-week", _by_hour(rhythm), python=_rhythm_python(slug), chart=True
        ),
    )
    st.plotly_chart(
        week(rhythm, session.theme()),
        key="city.rhythm",
        config=chart_config("rhythm-of-a-week"),
        alt="Visits by weekday and hour",
    )


def _by_hour(rhythm: np.ndarray) -> pd.DataFrame:
    """(weekday, hour) counts, one row each."""
    weekday, hour = (axis.ravel() for axis in np.indices(rhythm.shape))
    return pd.DataFrame({"weekday": np.array(WEEKDAYS)[weekday], "hour": hour, "visits": rhythm.ravel()})


def _rhythm_python(slug: str) -> str:
    return python_lines.of_city(
        slug,
        "local = city.table('visits')['started_at'].dt.tz_convert(city.time_zone)",
        "visits = local.groupby([local.dt.day_of_week.rename('weekday'), local.dt.hour.rename('hour')]).size().unstack(fill_value=0)",
    )


def kept(card: DataCard) -> None:
    """What was kept and dropped, in a few lines; the data card below has it in full."""
    st.subheader("What was kept" if card.files else "Where it comes from", anchor=False)
    for file in card.files[:MOST_LINES]:
        st.caption(
            f"{wording.literal(file.file, limit=40)}: {wording.count(file.rows_kept)} of {wording.counted(file.rows_in, 'row')}, "
            f"into {file.table.replace('_', ' ')}"
        )
    rules = sorted((rule for file in card.files for rule in file.dropped), key=lambda rule: -rule.rows)
    for rule in rules[:MOST_LINES]:
        st.caption(f"Dropped {wording.counted(rule.rows, 'row')}: {wording.sentence(rule.explanation)}")
    if not card.files:
        for assumption in card.assumptions[:MOST_LINES]:
            st.caption(wording.sentence(assumption))


def data_card(slug: str) -> None:
    """What was kept and dropped, by rule, with examples."""
    card = cached.city(slug).info.data_card
    files = pd.DataFrame(
        [
            {
                "file": file.file,
                "recognised as": file.recognised_as,
                "confidence": file.confidence,
                "table": file.table,
                "rows read": file.rows_in,
                "kept": file.rows_kept,
                "dropped": file.rows_in - file.rows_kept,
            }
            for file in card.files
        ]
    )
    rules = pd.DataFrame(
        [
            {
                "file": file.file,
                "rule": rule.reason,
                "rows": rule.rows,
                "share of the file": rule.rows / max(file.rows_in, 1),
                "why": rule.explanation,
                "examples": "; ".join(rule.examples),
            }
            for file in card.files
            for rule in file.dropped
        ]
    )
    exported = pd.concat([files.assign(rule="kept and dropped in all"), rules], ignore_index=True) if len(rules) else files
    panels.panel(
        "Data card",
        "Drawn: every file that was read, the rows kept, and the rows dropped with the rule that dropped them.",
        "Read: rows read are always rows kept plus rows dropped; nothing disappears in between. Repairs are changes to rows "
        "that were kept.",
        "Do not conclude that a kept row is right; the rules find what cannot be, not what is not so.",
        actions=lambda: export_menu(
            "city.card.export", "data-card", exported, python=python_lines.of_city(slug, "card = city.info.data_card")
        ),
    )
    for assumption in card.assumptions:
        st.markdown(f"- {wording.sentence(assumption)}")
    if not card.files:
        if not card.assumptions:
            st.caption("This city was not read from files.")
        return
    st.dataframe(
        files, hide_index=True, column_config={"confidence": st.column_config.NumberColumn(format="percent")}, key="city.card.files"
    )
    if len(rules):
        st.markdown("**Dropped, by rule**")
        st.dataframe(
            rules.sort_values("rows", ascending=False),
            hide_index=True,
            key="city.card.rules",
            column_config={
                "share of the file": st.column_config.NumberColumn(format="percent"),
                "why": st.column_config.TextColumn(width="large"),
            },
        )
    else:
        st.caption("No row was dropped.")
    repairs = [(file.file, repair) for file in card.files for repair in file.repairs]
    if repairs:
        st.markdown("**Mended or assumed**")
        for file, repair in repairs:
            st.markdown(f"- `{file.replace('`', ' ')}`: {wording.sentence(repair)}")


def tables(slug: str) -> None:
    """The tables themselves, the first thousand rows of one."""
    city = cached.city(slug)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        chosen = st.selectbox(
            "Table",
            city.tables,
            key="city.table",
            width=320,
            format_func=lambda name: f"{name.replace('_', ' ')} ({wording.count(city.info.rows[name])} rows)",
        )
        st.caption(TABLES[chosen].meaning + ".")
    shown = cached.table_head(slug, chosen)
    st.dataframe(
        shown,
        hide_index=True,
        key=f"city.table.{chosen}",
        height=380,
        column_config={
            column.name: st.column_config.Column(help=column.meaning) for column in TABLES[chosen].columns if column.name in shown
        },
    )
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
        first = f"The first {wording.count(len(shown))} of " if len(shown) < city.info.rows[chosen] else ""
        more = " The command gives all of them." if first else ""
        st.caption(f"{first}{wording.counted(city.info.rows[chosen], 'row')}; times are UTC.{more}")
        export_menu("city.table.export", chosen, shown, command=f"mobiscope export {slug} --to csv")


def export(slug: str) -> None:
    """The city in a format other tools read, with the command that does the same."""
    city = cached.city(slug)
    chosen = st.radio("Format", list(FORMATS), format_func=FORMATS.__getitem__, key="city.format")
    st.download_button(
        "Download",
        data=lambda: exported(city, chosen),
        file_name=f"{slug}-{chosen}.zip",
        mime="application/zip",
        key="city.export",
        type="primary",
        on_click="ignore",
    )
    st.caption("The same from a terminal:")
    st.code(f"mobiscope export {slug} --to {chosen}", language="bash")


def exported(city: City, format: str) -> bytes:
    """A city's files in one zip archive."""
    buffer = BytesIO()
    with tempfile.TemporaryDirectory() as folder:
        paths = export_city(city, Path(folder), format)  # type: ignore[arg-type]
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
            for path in paths:
                archive.write(path, path.relative_to(folder))
    return buffer.getvalue()


def removal(slug: str) -> None:
    """Deletes the city with everything computed from it, after a second click."""
    city = cached.city(slug)
    runs = runs_on(slug)
    st.markdown(
        f"Deleting **{wording.literal(city.name)}** removes its tables, images and {wording.counted(len(runs), 'run')} trained "
        "on it, with their checkpoints, predictions and logs, and the saved views of it. This cannot be undone. The files you brought stay where you have them."
    )
    sure = st.checkbox("I have what I need of it", key=f"city.sure.{slug}")
    if st.button("Delete this city", key="city.delete", disabled=not sure, type="primary"):
        try:
            for run in runs:
                delete(run.id)
            delete_city(slug)
            forget_views_of(slug)
        except MobiscopeError as error:
            panels.refusal(error)
            return
        session.set_city(None)
        cached.forget_city(slug)
        navigation.open_page("home")
