"""The contract every model fulfils. Pages, command line, training and evaluation follow it and never a model's name."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

import numpy as np
import torch
from torch import nn

from engine.city.city import City
from engine.city.samples import Histories, Places, Samples
from engine.city.splits import Split
from engine.errors import ConfigError
from engine.models.answers import CurvePrediction, PointAnswer, Prediction
from engine.models.declarations import Effect, Embedding, ExpertSet, Knob, Missing, Warned
from engine.models.settings import ModelConfig
from engine.models.stage import Stage
from engine.probes import Probe, probes

if TYPE_CHECKING:
    import pandas as pd

    from engine.city.cell_samples import CellSamples
    from engine.city.cell_splits import CellSplit
    from engine.city.flow_scale import FlowScale
    from engine.encoders.cell_features import CellInputs

Task = Literal["next_location", "grid_flow"]
Report = Callable[[str, float], None]
"""Progress of a preparation: what is being done, and the share done (0 to 1)."""


@dataclass(frozen=True)
class Data:
    """What a model learns from: the city under its split.

    Attributes:
        split: A `Split` of visits for the next location, a `CellSplit` for cells.
        samples: Next location only.
        cells: Cells with their curves and parts, for grid models only.
        inputs: The encoded modalities of these cells, where they have been made already.
    """

    city: City
    split: "Split | CellSplit"
    samples: Samples | None = None
    cells: "CellSamples | None" = None
    inputs: "CellInputs | None" = None
    extras: dict[str, Any] = field(default_factory=dict)


class MobilityModel(nn.Module, ABC):
    """A published model: one file, read top to bottom.

    Class attributes:
        name: Key in `MODELS` and on the command line.
        title: Name on screen.
        paper: Citation.
        task: What it predicts.
        Config: Its settings.

    A model is rebuilt from (config, city, split, seed) by `build`, then given weights by `load_state_dict`; whatever a forward
    pass needs is a parameter or a buffer, and what is not a tensor (vocabularies) is in `artefacts`.

    In evaluation mode, as `Run.load` gives it, a model may be asked by several threads at once, and each of them may watch, override
    or turn it without the others noticing. So nothing that belongs to one question may stand on the model or its modules: it is
    passed along, or held by `engine.blocks.held` where code between does not pass it. What is kept from one question to the next
    (views of places) is replaced whole, never changed in place. Training changes weights and mode, and is for one thread alone.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    paper: ClassVar[str]
    task: ClassVar[Task]
    Config: ClassVar[type[ModelConfig]]

    config: ModelConfig

    @classmethod
    @abstractmethod
    def requirements(cls, city: City) -> list[Missing]:
        """What the city lacks for this model; empty if it can run."""

    @classmethod
    @abstractmethod
    def build(cls, config: ModelConfig, data: Data, seed: int, report: Report | None = None) -> Self:
        """An untrained model with statistics and vocabularies fitted on the training part of `data` only."""

    @abstractmethod
    def stages(self, data: Data) -> list[Stage]:
        """The phases of training, in order."""

    def artefacts(self) -> dict[str, Any]:
        """JSON-ready state that is not a tensor: vocabularies with their ids, encoder names and hashes."""
        return {}

    def changes_since(self, saved: Mapping[str, Any]) -> str:
        """What an analyst changed since these artefacts were saved, as a sentence; empty where the model cannot tell."""
        return ""

    def effects(self) -> dict[str, Effect]:
        """What each kind of edit (`engine.scenarios.edits`, by its `kind`) needs to matter here.

        Kinds left out need a forward pass. "nothing" says that the edit cannot matter to this model, and why.
        """
        return {}

    def diagnose(self, data: Data) -> list[Warned]:
        """Failure detectors, run once after training and saved with the run."""
        return []

    def experts(self) -> dict[str, ExpertSet]:
        """The sets of experts the model asks, by a short key, in the order they act; empty for models without experts."""
        return {}

    def entry_names(self, probe: str) -> tuple[str, ...]:
        """What the entries of a probe's last axis are called, in their order; empty where they have no names of their own."""
        return next((experts.names for experts in self.experts().values() if probe in (experts.routing, experts.raw)), ())

    def knobs(self) -> dict[str, Knob]:
        """What may be turned without training, by key."""
        return {}

    @contextmanager
    def turned(self, **values: bool | int | float | str) -> Iterator[None]:
        """Within the block the model answers this thread with these knobs turned.

        Raises:
            ConfigError: If there is no such knob, or a value is out of range.
        """
        if values:
            raise ConfigError(f"{self.title} has no `{next(iter(values))}` to turn.")
        yield

    def probes(self) -> dict[str, Probe]:
        """The model's own probes, from its module tree."""
        return probes(self)

    @property
    def device(self) -> torch.device:
        """Where the parameters live."""
        return next(self.parameters()).device


class NextLocationModel(MobilityModel):
    """A model of where people go next."""

    task: ClassVar[Task] = "next_location"

    @abstractmethod
    def predict(self, histories: Histories) -> Prediction:
        """Scores for every place, deterministic, in evaluation mode, without gradients."""

    @property
    def longest_history(self) -> int | None:
        """How many visits of a history are read, the latest ones, at most; None where all are."""
        return None

    def embeddings(self, places: Places) -> dict[str, Embedding]:
        """The embeddings the model declares, by name; those of locations are in the order of `places`."""
        return {}

    def transfer(self, data: Data) -> Self:
        """The same weights on another city, with the statistics of its places in training; nobody is known, nothing is trained there.

        Raises:
            ConfigError: If the weights hold something of the city they were trained on, such as a vector per place or person.
        """
        raise ConfigError(
            f"{self.title} has learned its own city's places or people; its weights cannot be used on another one. Train it there."
        )

    @property
    def can_transfer(self) -> bool:
        """Whether `transfer` may be asked."""
        return type(self).transfer is not NextLocationModel.transfer

    def points(self, histories: Histories) -> PointAnswer | None:
        """The points behind `predict`, for the map; None if the model scores places without one."""
        return None

    def encode_points(self, x: np.ndarray, y: np.ndarray) -> np.ndarray | None:
        """(point, component) unit vectors of any positions (metres in the city's CRS); None if the model has no such field."""
        return None

    def encode_texts(self, texts: list[str]) -> np.ndarray | None:
        """(text, component) unit vectors in the space of `encode_points`; None if the model reads no text."""
        return None


class GridModel(MobilityModel):
    """A model of how many trips leave each cell at each hour, from what can be seen of the cells.

    All cells are one graph and are answered together, whatever their part; `cells.outflow` is read by training and evaluation only.

    Attributes:
        modalities: What the trained model sees of a cell; edits of anything else cannot matter to it.
    """

    task: ClassVar[Task] = "grid_flow"
    modalities: tuple[str, ...]

    @abstractmethod
    def encode(self, city: City, cells: "CellSamples", report: Report | None = None) -> "CellInputs":
        """The inputs of these cells, in their order, by the encoders the model was built with; an edited city gives edited inputs."""

    @abstractmethod
    def predict_curves(self, inputs: "CellInputs", cells: "CellSamples") -> CurvePrediction:
        """The curves of all cells, deterministic, in evaluation mode, without gradients; edges are those of `cells.edges`."""

    def embeddings(self, inputs: "CellInputs", cells: "CellSamples") -> dict[str, Embedding]:
        """The embeddings the model declares, by name; those of cells are in the order of `cells`."""
        return {}

    @property
    def scale(self) -> "FlowScale | None":
        """The standardisation and bins of the model, so that it is judged in its own bins; None takes ten equal ones."""
        return None

    def summaries(self, data: Data) -> "dict[str, pd.DataFrame]":
        """Small tables about the trained model that are kept with its run, by table name."""
        return {}
