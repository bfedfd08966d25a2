"""From a request to a model on its city: the checks before a run, and the same construction for training and for looking inside."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from pydantic import ValidationError

from engine import models
from engine.city.cell_samples import build_cell_samples
from engine.city.cell_splits import CellSplit
from engine.city.city import City, open_city
from engine.city.samples import VisitLog, build_samples
from engine.city.splits import PARTS, Split
from engine.errors import CityError, ConfigError, RequirementError, RunError, settings_sentence
from engine.models.base import Data, GridModel, MobilityModel, Report
from engine.models.settings import ModelConfig
from engine.runs.request import RunRequest


def model_class(name: str) -> type[MobilityModel]:
    """The model of that name.

    Raises:
        ConfigError: If there is none.
    """
    return models.get_model(name)


def resolve_config(request: RunRequest) -> ModelConfig:
    """The model's settings: the preset with what the request changes.

    Raises:
        ConfigError: If the model, the preset or a setting is unknown or out of range.
    """
    return model_class(request.model).Config.preset(request.preset, **request.config)


def saved_config(model: str, saved: Mapping[str, Any]) -> ModelConfig:
    """The settings a run was made with, in full, whatever has become of its preset since.

    Raises:
        ConfigError: If the model is unknown, or a setting is unknown or out of range now.
    """
    try:
        return model_class(model).Config.model_validate(saved)
    except ValidationError as error:
        raise ConfigError(settings_sentence(error)) from None


def check(request: RunRequest, city: City) -> dict[str, Any]:
    """Refuses what cannot work, before anything is written; returns the settings in full.

    Raises:
        ConfigError: As in `resolve_config`, or if the split does not fit the city.
        RequirementError: If the city lacks what the model needs.
    """
    config = resolve_config(request)
    missing = model_class(request.model).requirements(city)
    if missing:
        raise RequirementError("\n".join(str(one) for one in missing))
    _require_split(request.split, model_class(request.model))
    if isinstance(request.split, CellSplit):
        build_cell_samples(city, request.split)  # refuses flows and splits that cannot work while somebody still looks
    elif request.split.train_share + request.split.valid_share >= 1 and request.split.kind != "published":
        raise ConfigError("Training and validation share must leave something for the test part.")
    return config.model_dump(mode="json")


def open_same_city(slug: str, fingerprint: str) -> City:
    """The city a run was made for.

    Raises:
        RunError: If it is gone or holds other data now.
    """
    try:
        city = open_city(slug)
    except CityError as error:
        raise RunError(f"The city of this run is not there: {error}") from None
    if city.fingerprint != fingerprint:
        raise RunError(
            f"City `{city.name}` has changed since this run was made: its data are {city.fingerprint[:12]}…, the run was made on "
            f"{fingerprint[:12]}…. Bring the earlier data back, or start a new run."
        )
    return city


def _require_split(split: Split | CellSplit, model: type[MobilityModel]) -> None:
    if (model.task == "grid_flow") != isinstance(split, CellSplit):
        needed = "random_cells, spatial_blocks or districts" if model.task == "grid_flow" else "published, chronological or session"
        learns = "cells" if model.task == "grid_flow" else "visits"
        raise ConfigError(f"{model.title} learns from {learns}; a `{split.kind}` split does not divide them. Choose {needed}.")


def prepare_data(city: City, split: Split | CellSplit, model: type[MobilityModel]) -> Data:
    """What the model learns from; a grid model's inputs are still to come (`with_inputs`).

    Raises:
        RequirementError: If a part of the split holds no sample.
        ConfigError: If the split is of another kind than the model's task.
    """
    _require_split(split, model)
    if isinstance(split, CellSplit):
        return Data(city, split, cells=build_cell_samples(city, split))
    samples = build_samples(VisitLog.of(city, split))
    for part in PARTS:
        if not len(samples.of_part(part)):
            raise RequirementError(
                f"City `{city.name}` gives no sample in the {part} part: a target needs {split.minimum_history} earlier visits "
                f"within {split.history_days} days and {split.warm_up_days} days of tracking. "
                "Lower these on the Train page, or bring more data."
            )
    return Data(city, split, samples)


def with_inputs(data: Data, model: MobilityModel, report: Report | None = None) -> Data:
    """The same data with the encoded cells a grid model reads; unchanged for other models."""
    if not isinstance(model, GridModel) or data.inputs is not None:
        return data
    assert data.cells is not None
    return replace(data, inputs=model.encode(data.city, data.cells, report))


def fingerprint(value: Any) -> str:
    """sha256 of a JSON-ready value, independent of the order of keys."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()
