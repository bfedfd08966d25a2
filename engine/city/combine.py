"""Files of several tables become one city: visits find their locations, wall clocks their zone, and nothing is lost on the way."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from zoneinfo import ZoneInfo

import geopandas as gpd
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from engine.city.antimeridian import beside, bounds_of, unwrap_points
from engine.city.checks import drop_later
from engine.city.data_card import DataCard, FileCard
from engine.city.readers.base import IS_LOCAL_TIME, ReadResult
from engine.city.schema import TABLES, WGS84
from engine.city.times import localise
from engine.city.zones import ZoneGuess, guess_zone
from engine.errors import Problem

_WHO_WHERE_WHEN = ("user_id", "location_id", "started_at", IS_LOCAL_TIME)
_GUESS_FROM = ("locations", "cells", "pois", "boundary", "buildings", "street_views")


@dataclass
class Combined:
    """An upload as one city's tables.

    Attributes:
        tables: Canonical tables.
        card: The data card.
        time_zone: IANA name; empty where it must be asked for.
        zone_guess: How it was guessed; None if chosen.
        media: Image bytes by path.
        provenance: Facts for `city.json`.
        problems: Everything found, over all files.
    """

    tables: dict[str, pd.DataFrame] = field(default_factory=dict)
    card: DataCard = field(default_factory=DataCard)
    time_zone: str = ""
    zone_guess: ZoneGuess | None = None
    media: dict[str, bytes] = field(default_factory=dict)
    provenance: dict[str, Any] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)


def combine(results: Sequence[ReadResult], time_zone: str | None = None) -> Combined:
    """One city's tables from the results of several files.

    Args:
        results: What each file gave.
        time_zone: IANA zone the analyst chose; None guesses it.

    Returns:
        The combined upload; its problems may be fatal, then the tables are not complete.
    """
    upload = Combined(problems=[problem for result in results for problem in result.problems])
    cards = [list(result.cards) for result in results]
    assumptions = [sentence for result in results for sentence in result.assumptions]
    for result in results:
        upload.media |= result.media
        upload.provenance |= {name: value for name, value in result.provenance.items() if name not in ("venues_table", "time_zone")}
    for name in TABLES:
        if name not in ("visits", "locations"):
            frame = _stack(name, results, cards, upload.problems)
            if frame is not None:
                upload.tables[name] = _with_attributes(name, frame, results)
    visits, source = _all_visits(results)
    if visits is not None:
        visits, source = _drop_brought_before(visits, source, cards, upload.problems)
    locations = _all_locations(results, visits, upload, cards, assumptions)
    if locations is not None:
        upload.tables["locations"] = locations
    if visits is not None and not any(problem.fatal for problem in upload.problems):
        visits, source = _drop_unplaced(visits, source, locations, cards, upload.problems)
    upload.problems.extend(_compare_places(upload.tables))
    _settle_zone(upload, results, time_zone, assumptions, visits)
    if visits is not None and upload.time_zone and not any(problem.fatal for problem in upload.problems):
        upload.tables["visits"] = _finish_visits(visits, upload.time_zone, assumptions)
    upload.card = DataCard(files=[card for group in cards for card in group], assumptions=list(dict.fromkeys(assumptions)))
    return upload


def _stack(name: str, results: Sequence[ReadResult], cards: list[list[FileCard]], problems: list[Problem]) -> pd.DataFrame | None:
    frames = [(index, result.tables[name]) for index, result in enumerate(results) if name in result.tables]
    if not frames:
        return None
    if len(frames) == 1:
        return frames[0][1]
    joined = pd.concat([frame for _, frame in frames], ignore_index=True)
    source = np.repeat([index for index, _ in frames], [len(frame) for _, frame in frames])
    key = TABLES[name].key
    if key:
        twice = joined[key].duplicated().to_numpy()
        for index in np.unique(source[twice]):
            rows = int((source[twice] == index).sum())
            cards[index] = [drop_later(card, "MERGED", rows) if card.table == name else card for card in cards[index]]
            found = f"{rows:,} rows have a `{key}` that an earlier file of the upload already brought; the earlier ones are kept."
            problems.append(Problem("MERGED", found, "", cards[index][0].file if cards[index] else "", rows=rows, fatal=False))
        joined = joined[~twice].reset_index(drop=True)
    if isinstance(frames[0][1], gpd.GeoDataFrame):
        joined = gpd.GeoDataFrame(joined, geometry="geometry", crs=WGS84)
    return joined


def _with_attributes(name: str, frame: pd.DataFrame, results: Sequence[ReadResult]) -> pd.DataFrame:
    """Columns that other files bring for the rows of this table; a later file wins, rows it does not name stay as they are."""
    key = TABLES[name].key
    for result in results:
        further = result.attributes.get(name)
        if key is None or further is None:
            continue
        matched = further.set_index(key).reindex(frame[key])
        added = {}
        for column in matched.columns:
            values = matched[column].reset_index(drop=True)
            before = frame[column].reset_index(drop=True) if column in frame else None
            added[column] = values if before is None else values.where(values.notna(), before)
        frame = frame.reset_index(drop=True).assign(**added)
    return frame


def _all_visits(results: Sequence[ReadResult]) -> tuple[pd.DataFrame | None, np.ndarray]:
    frames = [(index, result.tables["visits"]) for index, result in enumerate(results) if "visits" in result.tables]
    if not frames:
        return None, np.zeros(0, np.int64)
    source = np.repeat([index for index, _ in frames], [len(frame) for _, frame in frames])
    for index, _ in frames:
        # From here on this is the only reference, so that millions of rows are not held twice.
        results[index].tables.pop("visits")
    if len(frames) == 1:
        return frames[0][1], source
    joined = {}
    for column in dict.fromkeys(column for _, frame in frames for column in frame.columns):
        empty = next(frame[column] for _, frame in frames if column in frame).iloc[:0]
        pieces = [frame[column] if column in frame else empty.reindex(frame.index) for _, frame in frames]
        if isinstance(empty.dtype, pd.CategoricalDtype):
            joined[column] = pd.Series(pd.api.types.union_categoricals(pieces))
        else:
            joined[column] = pd.concat(pieces, ignore_index=True)
    return pd.DataFrame(joined), source


def _drop_brought_before(
    visits: pd.DataFrame, source: np.ndarray, cards: list[list[FileCard]], problems: list[Problem]
) -> tuple[pd.DataFrame, np.ndarray]:
    """Leaves out visits that equal one of an earlier file in every column, and tells of those that equal it but for what is beside."""
    again = _in_earlier_file(visits, source)
    for index in np.unique(source[again]):
        rows = int((again & (source == index)).sum())
        cards[index] = [drop_later(card, "IN_EARLIER_FILE", rows) if card.table == "visits" else card for card in cards[index]]
        found = f"{rows:,} visits equal those of an earlier file of the upload in every column; the earlier ones are kept."
        problems.append(Problem("IN_EARLIER_FILE", found, "", _file(cards[index]), rows=rows, fatal=False))
    if again.any():
        visits, source = visits[~again].reset_index(drop=True), source[~again]
    others = [column for column in visits.columns if column not in _WHO_WHERE_WHEN]
    alike = _in_earlier_file(visits[list(_WHO_WHERE_WHEN)], source) if others else np.zeros(len(visits), bool)
    for index in np.unique(source[alike]):
        rows = int((alike & (source == index)).sum())
        found = (
            f"{rows:,} visits have person, place and moment of one in an earlier file, but not the same "
            f"{' and '.join(f'`{column}`' for column in others)}; both are kept."
        )
        mend = "Leave one of the files out, or these columns, if they hold the same visits."
        problems.append(Problem("SAME_VISIT", found, mend, _file(cards[index]), rows=rows, fatal=False))
    return visits, source


def _in_earlier_file(visits: pd.DataFrame, source: np.ndarray) -> np.ndarray:
    """(visit,) which equal a visit of an earlier file in every column; those that equal one of their own file do not count."""
    again = np.zeros(len(visits), bool)
    if len(np.unique(source)) < 2:
        return again
    keys = [
        (values.cat.codes if isinstance(values.dtype, pd.CategoricalDtype) else values).to_numpy().astype(np.int64)
        for _, values in visits.items()
    ]
    # The sort is stable and files come one after the other, so equal visits stand together, the earliest file's first.
    order = np.lexsort(keys)
    starts = np.ones(len(visits), bool)
    starts[1:] = np.logical_or.reduce([np.diff(key[order]) != 0 for key in keys])
    first = np.flatnonzero(starts)[np.cumsum(starts) - 1]
    again[order] = source[order] > source[order[first]]
    return again


def _all_locations(
    results: Sequence[ReadResult],
    visits: pd.DataFrame | None,
    upload: Combined,
    cards: list[list[FileCard]],
    assumptions: list[str],
) -> gpd.GeoDataFrame | None:
    """Locations brought by files come first; what visits say fills their gaps and adds the ones they lack."""
    brought, derived = [], []
    visited = set(visits["location_id"].cat.categories.to_numpy(object)) if visits is not None else set()
    for index, result in enumerate(results):
        if "locations" not in result.tables:
            continue
        frame = result.tables["locations"]
        role = result.provenance.get("venues_table", "locations")
        if role == "auto":
            overlap = not visited.isdisjoint(frame["location_id"].to_numpy(object))
            role = "locations" if overlap or (visits is not None and not isinstance(frame, gpd.GeoDataFrame)) else "pois"
            if role == "pois" and visits is not None:
                found = "No visit refers to the ids of this file; its places were taken as points of interest."
                upload.problems.append(
                    Problem("NO_OVERLAP", found, "Map another id column if they should match.", _file(cards[index]), fatal=False)
                )
        if role == "pois":
            _add_pois(frame, index, upload, cards)
        elif "locations" in result.derived:
            derived.append(frame)
        else:
            brought.append((index, frame))
    if not brought and not derived:
        brought = _locations_among_pois(visited, upload, cards, results, assumptions)
    if not brought and not derived:
        return None
    frames = []
    for index, frame in brought:
        frames.append(frame)
        unvisited = len(set(frame["location_id"].to_numpy(object)) - visited) if visited else 0
        if unvisited:
            assumptions.append(
                f"Locations of `{_file(cards[index])}` that are in no visit, kept as places one could go: {unvisited:,}."
            )
    frames += derived
    if len(frames) == 1 and isinstance(frames[0], gpd.GeoDataFrame):
        return frames[0]
    plain = pd.concat(
        [
            pd.DataFrame(frame.drop(columns="geometry")).assign(longitude=frame.geometry.x, latitude=frame.geometry.y)
            if isinstance(frame, gpd.GeoDataFrame)
            else frame
            for frame in frames
        ],
        ignore_index=True,
    )
    for column in plain.columns.difference(["location_id", "longitude", "latitude"]):
        plain[column] = plain[column].replace("", None)
    if "longitude" not in plain:
        plain["longitude"] = plain["latitude"] = np.nan
    merged = plain.groupby("location_id", sort=True).first().reset_index()
    lost = merged["longitude"].isna()
    if lost.any():
        assumptions.append(f"{int(lost.sum()):,} locations have no position in any file and are left out.")
        for index, frame in brought:
            rows = int(frame["location_id"].isin(merged.loc[lost, "location_id"]).sum())
            cards[index] = [drop_later(card, "NO_POSITION", rows) if card.table == "locations" else card for card in cards[index]]
        merged = merged[~lost].reset_index(drop=True)
    if merged.empty:
        return None
    text = merged.drop(columns=["longitude", "latitude"]).fillna("").astype("str")
    points = gpd.points_from_xy(merged["longitude"], merged["latitude"])
    return gpd.GeoDataFrame(text, geometry=points, crs=WGS84)


def _locations_among_pois(
    visited: set[str], upload: Combined, cards: list[list[FileCard]], results: Sequence[ReadResult], assumptions: list[str]
) -> list[tuple[int, pd.DataFrame]]:
    """Points of interest whose ids are those of the visits are the locations visited (a GeoJSON of venues, say)."""
    if not visited:
        return []
    found = []
    for index, result in enumerate(results):
        pois = result.tables.get("pois")
        if pois is None or len(visited & set(pois["poi_id"])) < 0.5 * len(visited):
            continue
        found.append((index, pois.rename(columns={"poi_id": "location_id"})))
        kept = upload.tables.pop("pois")
        rest = kept[~kept["poi_id"].isin(pois["poi_id"])].reset_index(drop=True)
        if len(rest):
            upload.tables["pois"] = rest
        cards[index] = [card.model_copy(update={"table": "locations"}) if card.table == "pois" else card for card in cards[index]]
        assumptions.append(f"The visits refer to the ids of `{_file(cards[index])}`, so its points are their locations.")
    return found


def _add_pois(frame: pd.DataFrame, index: int, upload: Combined, cards: list[list[FileCard]]) -> None:
    if not isinstance(frame, gpd.GeoDataFrame):
        found = "The places have no coordinates, and no visits refer to them."
        upload.problems.append(
            Problem("NO_POSITION", found, "Map latitude and longitude, or bring the visits too.", _file(cards[index]))
        )
        return
    pois = frame.rename(columns={"location_id": "poi_id"})
    known = upload.tables.get("pois")
    if known is not None:
        fresh = ~pois["poi_id"].isin(known["poi_id"])
        rows = int((~fresh).sum())
        cards[index] = [drop_later(card, "MERGED", rows) for card in cards[index]]
        pois = gpd.GeoDataFrame(pd.concat([known, pois[fresh]], ignore_index=True), geometry="geometry", crs=WGS84)
    upload.tables["pois"] = pois
    cards[index] = [card.model_copy(update={"table": "pois"}) if card.table == "locations" else card for card in cards[index]]


def _drop_unplaced(
    visits: pd.DataFrame,
    source: np.ndarray,
    locations: gpd.GeoDataFrame | None,
    cards: list[list[FileCard]],
    problems: list[Problem],
) -> tuple[pd.DataFrame, np.ndarray]:
    ids = visits["location_id"].cat
    known = np.zeros(len(ids.categories), bool)
    if locations is not None:
        # pandas would go through lists of Python text here.
        known = pc.is_in(pa.array(ids.categories), value_set=pa.array(locations["location_id"])).to_numpy(zero_copy_only=False)
    placed = known[ids.codes.to_numpy()]
    if placed.all():
        return visits, source
    for index in np.unique(source[~placed]):
        lost = np.flatnonzero((source == index) & ~placed)
        examples = [f"location {visits['location_id'].iloc[row]!r}" for row in lost[:3]]
        share = len(lost) / int((source == index).sum())
        found = (
            f"{len(lost):,} visits ({share:.1%}) refer to locations that have no position in any file, for example {examples[0]}."
        )
        mend = "Bring the venues table with these ids and coordinates, or map latitude and longitude of the visits."
        problems.append(Problem("NO_POSITION", found, mend, _file(cards[index]), None, "location_id", len(lost), fatal=share > 0.5))
        cards[index] = [
            drop_later(card, "NO_POSITION", len(lost), examples) if card.table == "visits" else card for card in cards[index]
        ]
    return visits[placed].reset_index(drop=True), source[placed]


def _compare_places(tables: dict[str, pd.DataFrame]) -> list[Problem]:
    """Says where the locations lie far from the other tables of the city, or among them only the other way round."""
    locations = tables.get("locations")
    if locations is None or locations.empty:
        return []
    longitude = beside(float(np.median(unwrap_points(locations.geometry.x.to_numpy()))), 0.0)
    latitude = float(locations.geometry.y.median())
    problems = []
    for name in ("cells", "boundary", "buildings", "pois"):
        frame = tables.get(name)
        if not isinstance(frame, gpd.GeoDataFrame) or frame.empty:
            continue
        west, south, east, north = bounds_of(frame.geometry)
        margin = max(east - west, north - south, 0.2)

        def is_near(x: float, y: float, box: tuple[float, ...] = (west, south, east, north), wide: float = margin) -> bool:
            x = beside(x, (box[0] + box[2]) / 2)
            return bool(box[0] - wide <= x <= box[2] + wide and box[1] - wide <= y <= box[3] + wide)

        if is_near(longitude, latitude):
            continue
        if is_near(latitude, longitude):
            found = f"The locations lie among the {name} only with latitude and longitude swapped."
            problems.append(
                Problem("SWAP_SUSPECTED", found, "Set option `swap_coordinates` to true.", column="latitude", fatal=False)
            )
        else:
            found = f"The locations lie around {latitude:.3f}, {longitude:.3f}, outside the {name}."
            problems.append(Problem("FAR_APART", found, "Check that the files are of one city.", fatal=False))
    return problems


def _settle_zone(
    upload: Combined, results: Sequence[ReadResult], chosen: str | None, assumptions: list[str], visits: pd.DataFrame | None
) -> None:
    is_naive = visits is not None and IS_LOCAL_TIME in visits and bool(visits[IS_LOCAL_TIME].any())
    given = next((result.provenance["time_zone"] for result in results if "time_zone" in result.provenance), None)
    if chosen:
        try:
            ZoneInfo(chosen)
        except (KeyError, ValueError, OSError):
            found = f"{chosen[:60]!r} is not an IANA time zone."
            upload.problems.append(Problem("TIME_ZONE", found, "Give one such as America/New_York."))
            return
        upload.time_zone = chosen
        if is_naive:
            assumptions.append(f"Times without a zone are wall-clock times of {chosen}, as chosen.")
        return
    if given:
        upload.time_zone = given
        return
    frame = next((upload.tables[name] for name in _GUESS_FROM if name in upload.tables and len(upload.tables[name])), None)
    if frame is None:
        return
    centre = frame.geometry.representative_point() if not (frame.geom_type == "Point").all() else frame.geometry
    years = () if visits is None else visits["started_at"].dt.year.unique().tolist()
    guess = guess_zone(centre.x.to_numpy(), centre.y.to_numpy(), years)
    upload.zone_guess = guess
    near = f"the nearest well-known city of that zone is {guess.distance_km:,.0f} km from the middle of the data"
    if is_naive and not guess.certain:
        found = f"The times have no zone, and the place leaves it open: {guess.name} is likely ({near}), but other clocks are near."
        upload.problems.append(Problem("TIME_ZONE", found, "Choose the city's time zone.", column="started_at"))
        return
    upload.time_zone = guess.name
    if is_naive:
        assumptions.append(
            f"Times without a zone were taken as wall-clock times of {guess.name}, guessed from the coordinates ({near})."
        )
    else:
        unsure = "" if guess.certain else "; this is unsure, choose another one if it is wrong"
        assumptions.append(f"Local times are shown in {guess.name}, guessed from the coordinates ({near}){unsure}.")


def _finish_visits(visits: pd.DataFrame, time_zone: str, assumptions: list[str]) -> pd.DataFrame:
    """UTC times, rows by user and time (ties in file order), ids as text."""
    columns: dict[str, Any] = {}
    local = visits[IS_LOCAL_TIME].to_numpy(bool) if IS_LOCAL_TIME in visits else np.zeros(len(visits), bool)
    for name in ("started_at", "finished_at"):
        if name in visits:
            columns[name] = _to_utc(visits[name], local, time_zone, name, assumptions)
    users = visits["user_id"].cat.remove_unused_categories()
    users = users.cat.reorder_categories(sorted(users.cat.categories))
    clock = columns["started_at"].dt.tz_localize(None).to_numpy("datetime64[us]").astype(np.int64)
    order = np.lexsort((clock, users.cat.codes.to_numpy()))
    single = int((users.value_counts(sort=False) == 1).sum())
    if single:
        assumptions.append(
            f"{single:,} of {len(users.cat.categories):,} people have a single visit: counted, but they form no sequence."
        )
    frame = {}
    for column in (declared.name for declared in TABLES["visits"].columns):
        if column in columns:
            frame[column] = columns[column].iloc[order].reset_index(drop=True)
        elif column in visits:
            frame[column] = _plain_text(visits[column], order)
    return pd.DataFrame(frame)


def _plain_text(values: pd.Series, order: np.ndarray) -> pd.Series:
    """Categories as text in the given order, without a detour over Python objects."""
    if not isinstance(values.dtype, pd.CategoricalDtype):
        return values.iloc[order].astype("str").reset_index(drop=True)
    codes = values.cat.codes.to_numpy()[order]
    names = pa.array(values.cat.categories).cast(pa.large_string())
    text = names.take(pa.array(codes, mask=codes < 0))
    return pa.table({"text": text}).to_pandas()["text"]


def _to_utc(values: pd.Series, local: np.ndarray, time_zone: str, name: str, assumptions: list[str]) -> pd.Series:
    if isinstance(values.dtype, pd.DatetimeTZDtype):
        return values.dt.tz_convert("UTC")
    if not local.any():
        return values.dt.tz_localize("UTC")
    if local.all():
        utc, twice, moved = localise(values, time_zone)
    else:
        utc = values.dt.tz_localize("UTC")
        walls, twice, moved = localise(values[local], time_zone)
        utc[local] = walls
        assumptions.append(f"{int(local.sum()):,} of {len(values):,} times had no zone and {int((~local).sum()):,} had an offset.")
    if twice:
        assumptions.append(
            f"{twice:,} times of `{name}` lie in the hour that happens twice when clocks go back; the first one was taken."
        )
    if moved:
        assumptions.append(
            f"{moved:,} times of `{name}` lie in the hour that clocks skip; they were moved to the first moment after it."
        )
    return utc


def _file(cards: list[FileCard]) -> str:
    return cards[0].file if cards else ""
