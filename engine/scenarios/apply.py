"""Applying a scenario. The original never changes: every function gives a new city, a new log or a new batch."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace

import geopandas as gpd
import numpy as np
import pandas as pd
import pyproj
import shapely

from engine.city.city import City
from engine.city.samples import Histories, Places, Samples
from engine.city.schema import WGS84
from engine.errors import ScenarioError
from engine.models.answers import CurvePredictor, Predictor
from engine.models.base import MobilityModel
from engine.probes import override
from engine.scenarios.edits import (
    CITY_EDITS,
    AddPlace,
    ChangeMoment,
    ChangeStay,
    ChangeUser,
    ClosePlace,
    Edit,
    HideVisits,
    KeepLast,
    MovePlace,
    OverrideProbe,
    RetagPlace,
    ShiftLast,
    ShuffleVisits,
    TakeHour,
    TurnKnob,
)
from engine.scenarios.last_visit import shift_last, stay_for
from engine.scenarios.mechanisms import build_overrides, check_entry
from engine.scenarios.query import edit_histories
from engine.scenarios.scenario import Scenario


def check_scenario(scenario: Scenario, city: City) -> None:
    """Refuses a scenario that cannot be applied to a city, with all reasons at once.

    Raises:
        ScenarioError: Another city's fingerprint, places that are gone, ids that are taken.
    """
    problems = []
    if scenario.city_fingerprint and scenario.city_fingerprint != city.fingerprint:
        problems.append(
            f"The scenario was made for another city or another state of it ({scenario.city or 'unnamed'}, "
            f"{scenario.city_fingerprint[:8]}…); this is {city.name}, {city.fingerprint[:8]}…."
        )
    known = set(city.table("locations")["location_id"])
    for number, edit in enumerate(scenario.edits, start=1):
        if edit.subject == "cells":
            problems.append(f"Edit {number} ({edit.describe()}) is of cells; only a model of cells can answer it.")
        if isinstance(edit, AddPlace):
            if edit.location_id in known:
                problems.append(f"Edit {number} opens `{edit.location_id}`, but a place of that id is there already.")
            known.add(edit.location_id)
        elif isinstance(edit, MovePlace | ClosePlace | RetagPlace) and edit.location_id not in known:
            problems.append(f"Edit {number} would {edit.describe()}, but {city.name} has no such place.")
    if problems:
        raise ScenarioError(" ".join(problems))


def apply_to_city(scenario: Scenario, city: City) -> City:
    """The edited city, in memory, with its own fingerprint; only city edits count.

    Raises:
        ScenarioError: If the scenario does not fit the city.
    """
    check_scenario(scenario, city)
    locations = city.spatial("locations").copy()
    locations["closed"] = locations["closed"].astype(bool) if "closed" in locations else False
    position = {location: row for row, location in enumerate(locations["location_id"])}
    for edit in scenario.edits:
        match edit:
            case AddPlace():
                position[edit.location_id] = len(locations)
                added = gpd.GeoDataFrame(
                    {
                        "location_id": [edit.location_id],
                        "category": [edit.category],
                        "closed": [False],
                        **({"name": [edit.name]} if "name" in locations else {}),
                        "geometry": [shapely.Point(edit.longitude, edit.latitude)],
                    },
                    crs=WGS84,
                )
                locations = gpd.GeoDataFrame(pd.concat([locations, added], ignore_index=True), crs=WGS84)
            case MovePlace():
                points = locations.geometry.to_numpy().copy()
                points[position[edit.location_id]] = shapely.Point(edit.longitude, edit.latitude)
                locations = locations.set_geometry(gpd.GeoSeries(points, crs=WGS84, index=locations.index))
            case ClosePlace():
                locations.loc[locations.index[position[edit.location_id]], "closed"] = True
            case RetagPlace():
                locations.loc[locations.index[position[edit.location_id]], "category"] = edit.category
    edited = city.replace(name=f"{city.name} ({scenario.name})", locations=locations)
    words = "; ".join(edit.describe() for edit in scenario.edits if isinstance(edit, CITY_EDITS))
    card = city.info.data_card
    assumption = (
        f"Edited by the scenario “{scenario.name}” from {city.name} ({city.fingerprint[:8]}…): {words[:2000] or 'no edit'}."
    )
    provenance = {
        "kind": "scenario",
        "base": city.name,
        "base_fingerprint": city.fingerprint,
        "scenario": scenario.model_dump(mode="json"),
    }
    edited.info = edited.info.model_copy(
        update={
            "provenance": provenance,
            "data_card": card.model_copy(update={"assumptions": [*card.assumptions, assumption]}),
        }
    )
    return edited


def apply_to_places(edits: Iterable[Edit], places: Places) -> Places:
    """The edited places. Old places keep their index; new ones are appended.

    Raises:
        ScenarioError: If an edit names a place that is not there.
    """
    ids, names, closed = list(places.ids), list(places.names), places.closed.copy()
    x, y, longitude, latitude = places.x.copy(), places.y.copy(), places.longitude.copy(), places.latitude.copy()
    category, category_names = places.category.copy(), list(places.category_names)
    index = dict(places.index)
    to_metres = pyproj.Transformer.from_crs(WGS84, places.metric_crs, always_xy=True)

    def find(location: str) -> int:
        if location not in index:
            raise ScenarioError(f"There is no place `{location}` in this city; it may be gone or belong to another one.")
        return index[location]

    def code(name: str) -> int:
        if name not in category_names:
            category_names.append(name)
        return category_names.index(name)

    for edit in edits:
        match edit:
            case AddPlace():
                if edit.location_id in index:
                    raise ScenarioError(f"A place `{edit.location_id}` is there already; give the new one another id.")
                index[edit.location_id] = len(ids)
                ids.append(edit.location_id)
                names.append(edit.name or edit.location_id)
                metres = to_metres.transform(edit.longitude, edit.latitude)
                x, y = np.append(x, metres[0]), np.append(y, metres[1])
                longitude, latitude = np.append(longitude, edit.longitude), np.append(latitude, edit.latitude)
                category = np.append(category, np.int32(code(edit.category)))
                closed = np.append(closed, False)
            case MovePlace():
                at = find(edit.location_id)
                x[at], y[at] = to_metres.transform(edit.longitude, edit.latitude)
                longitude[at], latitude[at] = edit.longitude, edit.latitude
            case ClosePlace():
                closed[find(edit.location_id)] = True
            case RetagPlace():
                category[find(edit.location_id)] = code(edit.category)
    return Places(
        ids=np.array(ids, object),
        x=x,
        y=y,
        longitude=longitude,
        latitude=latitude,
        category=category,
        category_names=tuple(category_names),
        names=np.array(names, object),
        closed=closed,
        metric_crs=places.metric_crs,
    )


def apply_to_samples(scenario: Scenario, samples: Samples) -> Samples:
    """The same samples over the edited places (city edits only); nothing is fitted anew."""
    log = samples.log
    places = apply_to_places(scenario.edits, log.places)
    added = len(places) - len(log.places)
    edited = replace(
        log,
        places=places,
        seen=np.pad(log.seen, (0, added)),
        hidden=np.pad(log.hidden, (0, added)),
        visits_in_training=np.pad(log.visits_in_training, (0, added)),
    )
    return replace(samples, log=edited)


def apply_to_histories(scenario: Scenario, histories: Histories, skip_missing: bool = False) -> Histories:
    """The same questions over the edited places and under the query edits, in the order of the edits.

    Args:
        scenario: The edits.
        histories: A packed batch of the unedited city.
        skip_missing: See `edit_histories`: whether an edit of a visit leaves histories as they are that do not have it.

    Raises:
        ScenarioError: If an edit does not fit the city or the histories.
    """
    edited = replace(histories, places=apply_to_places(scenario.edits, histories.places))
    for edit in scenario.edits:
        match edit:
            case ChangeMoment():
                edited = edit_histories(edited, hour=edit.hour, weekday=edit.weekday)
            case ChangeUser():
                edited = edit_histories(edited, user=edit.user_id if edit.user_id is not None else -1)
            case HideVisits():
                edited = edit_histories(edited, hide=edit.steps, skip_missing=skip_missing)
            case KeepLast():
                edited = edit_histories(edited, keep_last=edit.visits)
            case ShuffleVisits():
                edited = _shuffled(edited, edit.seed)
            case ChangeStay():
                edited = stay_for(edited, edit.minutes)
            case ShiftLast():
                edited = shift_last(edited, edit.east_m, edit.north_m)
    return edited


@contextmanager
def mechanism_of(scenario: Scenario, predictor: Predictor | CurvePredictor) -> Iterator[None]:
    """Puts the scenario's overrides into the model, in their order, and turns its knobs while the block runs.

    Raises:
        ScenarioError: If the predictor has no such probe or no vectors of hours, the action does not fit, or its entries are called
            otherwise.
        ConfigError: If it has no such knob, or the value is out of range.
    """
    edits = [edit for edit in scenario.edits if isinstance(edit, OverrideProbe | TakeHour)]
    overrides = [edit for edit in edits if isinstance(edit, OverrideProbe)]
    turns = {edit.knob: edit.value for edit in scenario.edits if isinstance(edit, TurnKnob)}
    if not edits and not turns:
        yield
        return
    if not isinstance(predictor, MobilityModel):
        raise ScenarioError(f"{predictor.title} has no mechanism to override; only models with probes do.")
    known = predictor.probes()
    unknown = [edit.probe for edit in overrides if edit.probe not in known]
    if unknown:
        raise ScenarioError(f"{predictor.title} has no probe {', '.join(unknown)}; it has {', '.join(known)}.")
    for edit in overrides:
        check_entry(edit, predictor.entry_names(edit.probe), predictor.title)
    with predictor.turned(**turns), override(predictor, build_overrides(edits, known)):
        yield


def _shuffled(histories: Histories, seed: int) -> Histories:
    """Places (with their durations) permuted among the earlier visits of each history."""
    order = np.arange(len(histories.location))
    generator = np.random.default_rng(seed)
    for start, last in zip(histories.offsets[:-1], histories.last, strict=True):
        order[start:last] = generator.permutation(order[start:last])
    return replace(histories, location=histories.location[order], duration_minutes=histories.duration_minutes[order])
