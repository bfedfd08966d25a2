"""Cities, their tables, base maps and samples, kept in memory by fingerprint."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import streamlit as st

from dashboard.figures import base_map
from dashboard.figures.colours import Theme
from engine import store
from engine.city.city import City, CityInfo
from engine.city.samples import Samples, VisitLog, build_samples
from engine.city.splits import PARTS, Split
from engine.errors import CityError, MobiscopeError
from engine.evaluation import slices


@dataclass(frozen=True)
class CityEntry:
    """A saved city as the pickers need it, without its tables.

    Attributes:
        slug: Folder name.
        info: What `city.json` holds.
        fingerprint: Of the tables.
    """

    slug: str
    info: CityInfo
    fingerprint: str

    @property
    def name(self) -> str:
        """Human name."""
        return self.info.name


@dataclass(frozen=True)
class CityFacts:
    """A city in one line.

    Attributes:
        people, places, visits: How many; people and visits are 0 in a city without visits.
        first, last: Local calendar days of the first and last visit, None without visits.
    """

    people: int
    places: int
    visits: int
    first: pd.Timestamp | None
    last: pd.Timestamp | None


@st.cache_resource(max_entries=64, show_spinner=False)
def _entry(folder: str, stamp: int) -> CityEntry:
    city = City.open(folder)
    return CityEntry(Path(folder).name, city.info, city.fingerprint)


def cities() -> list[CityEntry]:
    """All saved cities, newest first; damaged folders are left out."""
    found = []
    for marker in store.cities_folder().glob("*/city.json"):
        if not marker.parent.name.startswith("."):
            try:
                found.append(_entry(str(marker.parent), marker.stat().st_mtime_ns))
            except (MobiscopeError, OSError):
                continue
    return sorted(found, key=lambda entry: str(entry.info.created_at), reverse=True)


def city_entry(slug: str) -> CityEntry:
    """One saved city without its tables.

    Raises:
        CityError: If there is none, or it is damaged.
    """
    marker = store.child(store.cities_folder(), slug) / "city.json"
    if not marker.is_file():
        raise CityError("This city is not here any more. Choose another one in the sidebar.")
    return _entry(str(marker.parent), marker.stat().st_mtime_ns)


@st.cache_resource(max_entries=4, show_spinner=False)
def _city(folder: str, fingerprint: str, stamp: int) -> City:
    return City.open(folder)


def city(slug: str) -> City:
    """A saved city, its tables kept in memory once read; read-only.

    Raises:
        CityError: If there is none, or it is damaged.
    """
    entry = city_entry(slug)
    folder = store.cities_folder() / slug
    return _city(str(folder), entry.fingerprint, (folder / "city.json").stat().st_mtime_ns)


@st.cache_data(max_entries=64, show_spinner=False)
def _facts(fingerprint: str, _city: City) -> CityFacts:
    places = _city.info.rows.get("locations", 0)
    if not _city.has("visits"):
        return CityFacts(0, places, 0, None, None)
    visits = _city.table("visits")
    local = visits["started_at"].agg(["min", "max"]).dt.tz_convert(_city.time_zone).dt.tz_localize(None).dt.normalize()
    return CityFacts(visits["user_id"].nunique(), places, len(visits), local["min"], local["max"])


def city_facts(slug: str) -> CityFacts:
    """People, places, visits and span of a city."""
    opened = city(slug)
    return _facts(opened.fingerprint, opened)


@st.cache_data(max_entries=64, show_spinner=False)
def _rhythm(fingerprint: str, _city: City) -> np.ndarray:
    local = _city.table("visits")["started_at"].dt.tz_convert(_city.time_zone)
    cell = local.dt.day_of_week.to_numpy() * 24 + local.dt.hour.to_numpy()
    return np.bincount(cell, minlength=168).reshape(7, 24)


def city_rhythm(slug: str) -> np.ndarray:
    """(weekday, hour) visits by local time; Monday is 0.

    Raises:
        CityError: If the city has no visits.
    """
    opened = city(slug)
    return _rhythm(opened.fingerprint, opened)


@st.cache_data(max_entries=16, show_spinner=False)
def _visits_per(fingerprint: str, column: str, _city: City) -> pd.Series:
    return _city.table("visits")[column].value_counts()


def visits_per_person(slug: str) -> pd.Series:
    """Visits by user, most first."""
    opened = city(slug)
    return _visits_per(opened.fingerprint, "user_id", opened)


def visits_per_place(slug: str) -> float:
    """Median visits of a place, counting places nobody visited."""
    opened = city(slug)
    visited = _visits_per(opened.fingerprint, "location_id", opened)
    everywhere = np.zeros(max(opened.info.rows.get("locations", 0), len(visited)))
    everywhere[: len(visited)] = visited.to_numpy()
    return float(np.median(everywhere))


@st.cache_data(max_entries=64, show_spinner=False)
def _table_head(fingerprint: str, table: str, rows: int, _city: City) -> pd.DataFrame:
    frame = pd.DataFrame(_city.table(table).head(rows))
    if "geometry" in frame:
        shapes = _city.spatial(table).geometry.head(rows)
        middle = shapes.representative_point()
        frame = frame.drop(columns="geometry").assign(
            longitude=middle.x.round(6).to_numpy(), latitude=middle.y.round(6).to_numpy(), shape=shapes.geom_type.to_numpy()
        )
    return frame


def table_head(slug: str, table: str, rows: int = 1000) -> pd.DataFrame:
    """The first rows of a table for looking at; geometries as a point inside them and their kind."""
    opened = city(slug)
    return _table_head(opened.fingerprint, table, rows, opened)


@st.cache_resource(max_entries=12, show_spinner=False)
def _base_map(
    fingerprint: str, theme: Theme, places: bool, buildings: base_map.Buildings, cells: bool, names: bool, faint: bool, _city: City
) -> base_map.BaseMap:
    return base_map.base_map(_city, theme, places=places, buildings=buildings, cells=cells, names=names, faint=faint)


def base(
    slug: str,
    theme: Theme,
    *,
    places: bool = True,
    buildings: base_map.Buildings = "flat",
    cells: bool = False,
    names: bool = True,
    faint: bool = False,
) -> base_map.BaseMap:
    """The base map of a city, drawn once; read-only."""
    opened = city(slug)
    return _base_map(opened.fingerprint, theme, places, buildings, cells, names, faint, opened)


def built_in_city() -> str | None:
    """The slug of the generated city of size `demo`, None if it is not here."""
    return next(
        (
            entry.slug
            for entry in cities()
            if entry.info.provenance.get("kind") == "synthetic" and entry.info.provenance.get("size") == "demo"
        ),
        None,
    )


@st.cache_resource(max_entries=4, show_spinner=False)
def _samples(fingerprint: str, split: str, _city: City) -> Samples:
    return build_samples(VisitLog.of(_city, Split.model_validate_json(split)))


def samples(slug: str, split: Split) -> Samples:
    """All samples of a city under a split; read-only. Its visit log is `.log`.

    Raises:
        CityError: If the city has no visits.
        ConfigError: If the split does not fit the city.
    """
    opened = city(slug)
    return _samples(opened.fingerprint, split.model_dump_json(), opened)


def visit_log(slug: str, split: Split) -> VisitLog:
    """The visit log of a city under a split; read-only."""
    return samples(slug, split).log


@st.cache_data(max_entries=8, show_spinner=False)
def _visits_by_day(fingerprint: str, split: str, _log: VisitLog) -> pd.DataFrame:
    start = pd.Timestamp(_log.started_at.min(), tz="UTC").tz_convert(_log.time_zone).tz_localize(None).normalize()
    days = int(_log.day.max()) + 1
    counts = np.bincount(_log.part.astype(np.int64) * days + _log.day, minlength=len(PARTS) * days).reshape(len(PARTS), days)
    return pd.DataFrame(counts.T, columns=list(PARTS), index=pd.date_range(start, periods=days))


def visits_by_day(slug: str, split: Split) -> pd.DataFrame:
    """Visits per local day, one column per part."""
    return _visits_by_day(city(slug).fingerprint, split.model_dump_json(), visit_log(slug, split))


@st.cache_data(max_entries=8, show_spinner=False)
def _slice_labels(fingerprint: str, split: str, part: str, _samples: Samples, _city: City) -> pd.DataFrame:
    return slices.slice_labels(_samples, _city)


def slice_labels(slug: str, split: Split, part: str = "test") -> pd.DataFrame:
    """The group of every sample of a part in every slice; one row per sample, in the order of the predictions tables."""
    opened = city(slug)
    return _slice_labels(opened.fingerprint, split.model_dump_json(), part, samples(slug, split).of_part(part), opened)
