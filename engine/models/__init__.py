"""One file per published model. `MODELS` lists them; a model's module is imported when it is first used."""

import importlib
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from engine.errors import ConfigError

if TYPE_CHECKING:
    from engine.models.base import MobilityModel, Task


class _Models(Mapping[str, "type[MobilityModel]"]):
    """Names to classes; listing the names imports nothing heavy."""

    def __init__(self, places: Mapping[str, str]) -> None:
        self._places = dict(places)

    def __getitem__(self, name: str) -> "type[MobilityModel]":
        module, _, cls = self._places[name].partition(":")
        return getattr(importlib.import_module(module), cls)

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)


MODELS: Mapping[str, "type[MobilityModel]"] = _Models(
    {
        "calliper": "engine.models.calliper:CaLLiPer",
        "lmemr": "engine.models.lmemr:LMEMR",
        "nextlocmoe": "engine.models.nextlocmoe:NextLocMoE",
    }
)
"""Every model by its name on the command line."""

_GRID = frozenset({"lmemr"})


def task_of(name: str) -> "Task":
    """What a model predicts, known without importing it; an unknown name counts as a next-location model."""
    return "grid_flow" if name in _GRID else "next_location"


def get_model(name: str) -> "type[MobilityModel]":
    """The class of a model.

    Raises:
        ConfigError: If there is no such model.
    """
    if name not in MODELS:
        raise ConfigError(f"There is no model `{name}`; choose one of {', '.join(MODELS)}.")
    return MODELS[name]
