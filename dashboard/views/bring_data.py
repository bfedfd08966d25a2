"""Bringing data: files, what they were recognised as, what each column means, every problem at once, and the city made of them."""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zoneinfo import available_timezones

import geopandas as gpd
import pandas as pd
import streamlit as st

from dashboard import navigation, panels, session, wording
from dashboard.figures import base_map
from engine import store
from engine.city.city import City
from engine.city.ingest import (
    SKIP,
    FileChoices,
    FileSeen,
    IngestChoices,
    Inspection,
    distinct_names,
    files_in_data_folder,
    ingest,
    inspect,
    keep_upload,
    named_file,
    shown_name,
)
from engine.city.readers import READERS
from engine.city.readers.base import OptionSpec
from engine.city.schema import TABLES
from engine.errors import IngestError, MobiscopeError, Problem
from engine.runs import cost_of_replacing

_UPLOADS, _NAMES, _CHOICES, _COLUMNS, _FOUND = (f"bring.{part}" for part in ("uploads", "names", "choices", "columns", "found"))
_OF_A_FILE = ("bring.reader.", "bring.encoding.", "bring.map.", "bring.option.")
"""Beginnings of the keys of controls that belong to one file."""
_UNUSED = "not used"
MOST_PROBLEMS = 12
_ROWS = {
    "pois": ("point of interest", "points of interest"),
    "outflow": ("curve of departures", "curves of departures"),
    "inflow": ("curve of arrivals", "curves of arrivals"),
    "imagery": ("tile of imagery", "tiles of imagery"),
    "weather": ("day of weather", "days of weather"),
    "boundary": ("outline", "outlines"),
    "truth": ("row of known truth", "rows of known truth"),
}
"""What a row of a table is called, where its name in the plural does not say it."""


@dataclass(frozen=True)
class Found:
    """An inspection and what it was made of.

    Attributes:
        signature: The files and choices it belongs to.
        inspection: None where the files could not be looked at.
        problems: Everything wrong or repaired.
        preview: A city of the preview's points, to draw them on; None where there are none.
    """

    signature: str
    inspection: Inspection | None
    problems: tuple[Problem, ...]
    preview: City | None


def draw(can_return: bool) -> None:
    """The whole wizard on one page: nothing is saved before the last button."""
    with st.container(horizontal=True, vertical_alignment="top", horizontal_alignment="distribute"):
        with st.container(width="stretch", gap="small"):
            panels.head("What did you bring?", _sentence())
        if can_return:
            st.button("Back to the city", key="bring.back", on_click=_leave)
    paths = _files()
    if not paths:
        _what_can_be_read()
        return
    choices = _choices_for(paths)
    found = _look(paths, choices)
    left, right = st.columns([54, 46], gap="medium")
    with left:
        changed = _recognised(found, choices)
    with right:
        _preview(found)
        _problems(found)
        changed = _time_zone(found, changed)
    if changed != choices:
        session.put(_CHOICES, changed)
        st.rerun()
    _make_city(paths, choices, found)


def _rows_of(table: str) -> tuple[str, str]:
    name = table.replace("_", " ")
    return name.removesuffix("s"), name


def _leave() -> None:
    session.put("city.view", "look")


def _sentence() -> str:
    found: Found | None = session.get(_FOUND, None)
    if found is None or found.inspection is None:
        return "Drop files here, or name them from the data folder. They are only read on this machine, in a process that cannot reach the network."
    rows = found.inspection.tables
    tables = ", ".join(wording.counted(rows[table], *_ROWS.get(table, _rows_of(table))) for table in TABLES if table in rows)
    fatal = sum(problem.fatal for problem in found.problems)
    if fatal:
        return f"{wording.counted(fatal, 'problem')} must be mended before a city can be made of this."
    partly = " in the first rows" if any(file.is_partial for file in found.inspection.files) else ""
    return f"This makes a city with {tables}{partly}. Check what each column means, then give it a name."


# ---- files -------------------------------------------------------------------------------------------------------------------


def _files() -> list[Path]:
    left, right = st.columns([62, 38], gap="medium")
    with left:
        dropped = st.file_uploader(
            "Files", accept_multiple_files=True, key="bring.files", help="Up to 200 MB each; bigger ones go into the data folder."
        )
    with right:
        names = files_in_data_folder()
        chosen = st.multiselect(
            "Or from the data folder",
            names,
            key="bring.named",
            disabled=not names,
            placeholder="Choose files" if names else "The data folder is empty",
        )
        st.caption(f"Files of any size in {wording.literal(store.data_folder(), limit=200)}")
    known: dict[str, str] = session.get(_UPLOADS, {})
    kept: dict[str, str] = {}
    for file in dropped or []:
        try:
            path = known.get(file.file_id) or str(keep_upload(file.name, iter(lambda part=file: part.read(1 << 20), b"")))
        except IngestError as error:
            panels.refusal(error)
            continue
        kept[file.file_id] = path
    for gone in set(known.values()) - set(kept.values()):
        _remove(Path(gone))
    session.put(_UPLOADS, kept)
    paths = [Path(path) for path in kept.values() if Path(path).is_file()]
    for name in chosen:
        try:
            paths.append(named_file(name))
        except IngestError as error:
            panels.refusal(error)
    if not paths:
        _forget()
    return paths


def _forget() -> None:
    """Nothing of the files and of what was chosen about them stays in the session."""
    for kept in (_NAMES, _CHOICES, _COLUMNS, _FOUND):
        session.drop(kept)


def _choices_for(paths: Sequence[Path]) -> IngestChoices:
    """The choices so far, without those about files that are gone; a file whose number changed by that keeps its own."""
    choices: IngestChoices = session.get(_CHOICES, IngestChoices())
    before: dict[Path, str] = session.get(_NAMES, {})
    names = dict(zip(paths, distinct_names(paths), strict=True))
    session.put(_NAMES, names)
    if any(names.get(path) != name for path, name in before.items()):
        choices = choices.following({name: names[path] for path, name in before.items() if path in names})
        session.put(_CHOICES, choices)
        # What these hold is keyed by names, which may be another file's now; all of it is drawn anew from the choices.
        session.drop(_COLUMNS)
        for control in _OF_A_FILE:
            session.forget_widgets(control)
    return choices


def _remove(path: Path) -> None:
    """Deletes an upload and the folder it lies alone in; never anything outside the folder of uploads."""
    if path.is_relative_to(store.cache_folder() / "uploads"):
        path.unlink(missing_ok=True)
        if path.parent.is_dir() and not any(path.parent.iterdir()):
            path.parent.rmdir()


def _what_can_be_read() -> None:
    st.subheader("What is recognised, by content and not by the name of the file", anchor=False)
    rows = [
        {"format": reader.title, "becomes": ", ".join(table.replace("_", " ") for table in reader.tables)}
        for reader in READERS.values()
    ]
    st.dataframe(pd.DataFrame(rows), hide_index=True, key="bring.readers")
    st.caption("Several files make one city: check-ins with a table of venues, zones with their flows, buildings, images, weather.")


def _look(paths: Sequence[Path], choices: IngestChoices) -> Found:
    stamps = [(str(path), path.stat().st_mtime_ns, path.stat().st_size) for path in paths]
    signature = f"{stamps}{choices.model_dump_json()}"
    found: Found | None = session.get(_FOUND, None)
    if found is not None and found.signature == signature:
        return found
    with panels.progress("Looking at the files") as report:
        try:
            inspection = inspect(paths, choices, report)
            found = Found(signature, inspection, tuple(inspection.problems), _preview_city(inspection))
        except IngestError as error:
            found = Found(signature, None, tuple(error.problems), None)
    session.put(_FOUND, found)
    st.rerun()


def _preview_city(inspection: Inspection) -> City | None:
    points = inspection.preview
    if points.empty:
        return None
    places = gpd.GeoDataFrame(
        {
            "location_id": [f"p{row}" for row in range(len(points))],
            "category": points["table"].astype(str).to_numpy(),
            "name": points["label"].fillna("").astype(str).to_numpy(),
        },
        geometry=gpd.points_from_xy(points["longitude"], points["latitude"]),
        crs="EPSG:4326",
    )
    return City.build("preview", {"locations": places}, time_zone="UTC")


# ---- what was recognised -----------------------------------------------------------------------------------------------------


def _recognised(found: Found, choices: IngestChoices) -> IngestChoices:
    panels.panel(
        "What was recognised",
        "Drawn: the format each file was taken for, how well its content fits, and what each of its columns means.",
        "Read: correct a column by choosing another meaning; leave it empty to leave the column out. The map and the problems "
        "follow.",
        "A high confidence says that the content has the shape of a format, not that the values are true.",
    )
    if found.inspection is None or not found.inspection.files:
        st.caption("Nothing could be looked at; the problems say why.")
        return choices
    files = {file.file: file for file in found.inspection.files}
    name = next(iter(files))
    if len(files) > 1:
        names = wording.told_apart({file: wording.literal(file, limit=48) for file in files})
        name = st.segmented_control(
            "File",
            list(files),
            default=name,
            required=True,
            wrap=True,
            key=f"bring.file.{len(files)}",
            format_func=names.__getitem__,
        )
    file = files[name] if name in files else next(iter(files.values()))
    own = choices.files.get(file.file, FileChoices())
    refusals = {problem.code for problem in found.problems if problem.fatal and problem.file == file.file}
    reader = _reader(file, own, is_refused=bool(refusals))
    if reader is not None and reader != (own.reader or file.reader or (None if refusals else SKIP)):
        own = FileChoices(reader=reader)
    elif file.reader is None and "ENCODING" in refusals:
        own = _encoding(file, own)
    elif file.reader is not None:
        own = _mapping(file, own)
        own = _options(file, own)
    if own == choices.files.get(file.file, FileChoices()):
        return choices
    return choices.model_copy(update={"files": choices.files | {file.file: own}})


def _reader(file: FileSeen, own: FileChoices, is_refused: bool) -> str | None:
    candidates = list(dict.fromkeys([*(name for name, _ in file.candidates), *filter(None, [own.reader, file.reader]), SKIP]))
    sure = dict(file.candidates)
    current = own.reader or file.reader or (None if is_refused else SKIP)

    def title(name: str) -> str:
        if name == SKIP:
            return "Leave this file out"
        return READERS[name].title + (f" ({sure[name]:.0%} sure)" if name in sure else "")

    chosen = st.selectbox(
        "Read as",
        candidates,
        index=candidates.index(current) if current else None,
        format_func=title,
        key=f"bring.reader.{file.file}.{current}",
        placeholder="It cannot be read; leave it out, or see the problems",
    )
    facts = [wording.megabytes(file.size / 1e6) if file.size >= 1e4 else f"{file.size:,} bytes", file.encoding]
    if file.card:
        facts.append(f"{wording.count(file.card.rows_kept)} of {wording.counted(file.card.rows_in, 'row')} would be kept")
    if file.is_partial:
        facts.append("only the first rows were looked at")
    st.caption(wording.literal(" · ".join(fact for fact in facts if fact), limit=300))
    return chosen


def _encoding(file: FileSeen, own: FileChoices) -> FileChoices:
    given = str(own.options.get("encoding") or "")
    chosen = st.text_input(
        "Encoding",
        value=given,
        key=f"bring.encoding.{file.file}",
        placeholder="latin-1",
        help="Its name, as the program that wrote it says.",
    ).strip()
    return own.model_copy(update={"options": {"encoding": chosen} if chosen else {}})


def _mapping(file: FileSeen, own: FileChoices) -> FileChoices:
    fields = {spec.name: spec for spec in READERS[file.reader or ""].fields} if file.reader in READERS else {}
    if not fields or not file.columns:
        if file.preview:
            st.dataframe(pd.DataFrame(file.preview), hide_index=True, key=f"bring.rows.{file.file}", height=220)
        if not fields:
            st.caption("This format is fixed: its columns need no mapping.")
        return own
    # The editor keeps its edits apart from its data, so the data must stay what it was when the editor first showed it.
    remembered: dict[str, pd.DataFrame] = session.get(_COLUMNS, {})
    shown = f"{file.file}.{file.reader}.{file.size}"
    columns = remembered.get(shown)
    if columns is None or list(columns["column"]) != [column.name for column in file.columns]:
        columns = pd.DataFrame(
            {
                "column": [column.name for column in file.columns],
                "examples": [
                    ", ".join(list(dict.fromkeys(str(sample) for sample in column.samples))[:4])[:160] for column in file.columns
                ],
                "meaning": [column.field or _UNUSED for column in file.columns],
            }
        )
        session.put(_COLUMNS, remembered | {shown: columns})
    edited = st.data_editor(
        columns,
        hide_index=True,
        disabled=("column", "examples"),
        key=f"bring.map.{shown}",
        height="content" if len(columns) <= 10 else 390,
        column_config={
            "column": st.column_config.TextColumn("Column", width=110),
            "examples": st.column_config.TextColumn("Examples", width=150),
            "meaning": st.column_config.SelectboxColumn(
                "Meaning",
                options=[_UNUSED, *fields],
                width=170,
                format_func=lambda name: (
                    name if name == _UNUSED else f"{name.replace('_', ' ')}{' (needed)' if fields[name].required else ''}"
                ),
            ),
        },
    )
    proposed = {column.field: column.name for column in file.columns if column.field}
    wanted: dict[str, str] = {}
    for column, field in zip(edited["column"], edited["meaning"].fillna(_UNUSED), strict=True):
        if field and field != _UNUSED:
            if field in wanted:
                st.warning(
                    f"Two columns mean {field.replace('_', ' ')}: {wording.literal(wanted[field])} and {wording.literal(column)}. "
                    "The last one is taken."
                )
            wanted[field] = column
    if all(proposed.get(field) == wanted.get(field) for field in {*proposed, *wanted}):
        return own
    # An empty column takes a field out that would be proposed otherwise.
    mapping = wanted | {
        field: "" for field in {*proposed, *(name for name, column in own.mapping.items() if not column)} - set(wanted)
    }
    return own.model_copy(update={"mapping": mapping})


def _options(file: FileSeen, own: FileChoices) -> FileChoices:
    specs = READERS[file.reader or ""].options
    if not specs:
        return own
    with st.popover("Reading options", type="tertiary"):
        values: dict[str, Any] = {spec.name: _option(file, own, spec) for spec in specs}
    # An encoding may be given for any file, also where its reader has no such option.
    given = {name: value for name, value in own.options.items() if name not in values}
    given |= {spec.name: values[spec.name] for spec in specs if values[spec.name] != spec.default}
    return own if given == own.options else own.model_copy(update={"options": given})


def _option(file: FileSeen, own: FileChoices, spec: OptionSpec) -> Any:
    key, value = f"bring.option.{file.file}.{spec.name}", own.options.get(spec.name, spec.default)
    title = spec.name.replace("_", " ").capitalize()
    if spec.choices:
        return st.selectbox(
            title,
            list(spec.choices),
            index=list(spec.choices).index(value) if value in spec.choices else 0,
            key=key,
            help=spec.meaning,
            format_func=lambda choice: "find out" if choice is None else {True: "yes", False: "no"}.get(choice, str(choice)),
        )
    if isinstance(spec.default, bool):
        return st.toggle(title, value=bool(value), key=key, help=spec.meaning)
    if isinstance(spec.default, (int, float)):
        return st.number_input(title, value=value, key=key, help=spec.meaning)
    text = st.text_input(title, value="" if value is None else str(value), key=key, help=spec.meaning).strip()
    return text or None if spec.default is None else text or spec.default


# ---- preview, problems, zone -------------------------------------------------------------------------------------------------


def _preview(found: Found) -> None:
    if found.preview is None:
        st.caption("No position could be read yet, so there is no map.")
        return
    theme = session.theme()
    drawn = base_map.base_map(found.preview, theme)
    st.pydeck_chart(
        base_map.deck(drawn.layers, found.preview, theme),
        height=300,
        key="bring.map",
        alt="Preview of the positions that were read",
    )
    tables = found.preview.table("locations")["category"].value_counts()
    said = ", ".join(f"{wording.count(rows)} {table.replace('_', ' ')}" for table, rows in tables.items())
    st.caption(f"A preview of {wording.literal(said)}. Does the city lie where it should?")


def _problems(found: Found) -> None:
    fatal = [problem for problem in found.problems if problem.fatal]
    others = [problem for problem in found.problems if not problem.fatal]
    if fatal:
        st.markdown(f"**{wording.counted(len(fatal), 'problem')} to mend**")
        _list(fatal)
    if others:
        st.markdown(f"**{wording.counted(len(others), 'repair or assumption', 'repairs and assumptions')}**")
        _list(others)
    if not found.problems:
        st.caption("No problem was found.")


def _list(problems: Sequence[Problem]) -> None:
    for problem in problems[:MOST_PROBLEMS]:
        rows = f" ({wording.counted(problem.rows, 'row')})" if problem.rows > 1 else ""
        st.markdown(f"- {wording.sentence(str(problem))}{rows}")
    if len(problems) > MOST_PROBLEMS:
        with st.expander(f"{len(problems) - MOST_PROBLEMS} more"):
            for problem in problems[MOST_PROBLEMS:]:
                st.markdown(f"- {wording.sentence(str(problem))}")


def _time_zone(found: Found, choices: IngestChoices) -> IngestChoices:
    if found.inspection is None:
        return choices
    zones = sorted(
        zone for zone in available_timezones() if "/" in zone and not zone.startswith(("Etc/", "SystemV/", "posix/", "right/"))
    )
    zones = ["UTC", *zones]
    seen = found.inspection
    # An unsure guess is not filled in: choosing what already stands there would be no choice.
    current = choices.time_zone or (seen.time_zone if seen.zone_is_certain else None)
    chosen = st.selectbox(
        "Time zone of the city",
        zones,
        index=zones.index(current) if current in zones else None,
        key=f"bring.zone.{current}",
        placeholder="Choose the city's zone",
        help="Times without an offset are read in it, and the screen shows local times.",
    )
    if choices.time_zone is None and seen.time_zone and not seen.zone_is_certain:
        st.caption(
            f"By its coordinates {wording.literal(seen.time_zone)} is likely, but other clocks are near. Choose the city's zone."
        )
    if chosen is None or chosen == current:
        return choices
    return choices.model_copy(update={"time_zone": chosen})


# ---- the city ----------------------------------------------------------------------------------------------------------------


def _make_city(paths: Sequence[Path], choices: IngestChoices, found: Found) -> None:
    with st.container(horizontal=True, vertical_alignment="bottom"):
        name = st.text_input("Name of the city", key="bring.name", max_chars=120, width=320, placeholder="New York, April 2012")
        ready = found.inspection is not None and found.inspection.is_ready
        pressed = st.button("Make the city", type="primary", key="bring.make", disabled=not ready or not name.strip())
    slug = store.slug(name) if name.strip() else ""
    if slug and (cost := cost_of_replacing(slug)):
        st.warning(wording.sentence(cost))
    if not ready:
        st.caption("The problems above stand in the way.")
    with st.expander("The same from a terminal, and as a recipe"):
        named = name.strip() or "NAME"
        st.code(command(paths, named, choices), language="bash", wrap_lines=True)
        if _flags(paths, choices) is None:
            st.caption("These choices go beyond what flags can say. Download the recipe into the folder where you run the command.")
        st.download_button(
            "Download the recipe",
            data=choices.as_yaml,
            file_name=recipe_name(named),
            mime="application/yaml",
            key="bring.recipe",
            on_click="ignore",
        )
    if not pressed:
        return
    with panels.progress("Reading all rows") as report:
        try:
            city = ingest(paths, name, choices, report)
        except MobiscopeError as error:
            panels.refusal(error)
            return
    for path in paths:
        _remove(path)
    session.drop(_UPLOADS)
    _forget()
    session.forget_widgets("bring.")
    session.put("city.view", "look")
    session.put("city.is_new", True)
    session.set_city(city.folder.name if city.folder else slug)
    st.toast(f"{wording.literal(city.name)} is here.")
    navigation.open_page("city")


def command(paths: Sequence[Path], name: str, choices: IngestChoices) -> str:
    """The command line that brings the same files with the same choices: as flags where these can say them, else by the recipe."""
    in_data_folder = [path.is_relative_to(store.data_folder()) for path in paths]
    # Uploads lie here under a name of ours; the analyst has them where they were.
    files = [str(path.absolute()) if here else path.name for path, here in zip(paths, in_data_folder, strict=True)]
    flags = _flags(paths, choices)
    words = flags if flags is not None else ["--recipe", recipe_name(name)]
    replaces = ["--replace"] if cost_of_replacing(store.slug(name)) else []
    return shlex.join(["mobiscope", "ingest", *files, "--name", name, *words, *replaces])


def _flags(paths: Sequence[Path], choices: IngestChoices) -> list[str] | None:
    return choices.flags([shown_name(path.name) for path in paths])


def recipe_name(name: str) -> str:
    """The file name of the recipe of a city of this name."""
    return f"{store.slug(name)}-recipe.yaml"
