"""The contract every model fulfils. Pages, command line, training and evaluation follow it and never a model's name."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol, Self

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, ValidationError
from torch import Tensor, nn

from engine.city.city import City
from engine.city.samples import Histories, Places, Samples
from engine.city.splits import Split
from engine.errors import ConfigError, settings_sentence
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


class ModelConfig(BaseModel):
    """Settings of a model: frozen, unknown fields refused; form, command line and JSON are made from it.

    Every field carries a title, description with unit, and range. `presets` gives at least `tiny`, `demo` and `paper`.

    Class attributes:
        shown_first: Fields that forms show before all others, because an analyst most often changes them.
        form_groups: Title to the fields that forms show together under it, in order; what is in no group follows under "More settings".
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    shown_first: ClassVar[tuple[str, ...]] = ()
    form_groups: ClassVar[dict[str, tuple[str, ...]]] = {}

    @classmethod
    def presets(cls) -> dict[str, Self]:
        """Named settings; the first is what the Train page proposes."""
        raise NotImplementedError(f"{cls.__name__} declares no presets")

    @classmethod
    def preset(cls, name: str, **changes: Any) -> Self:
        """A preset with some fields changed.

        Raises:
            ConfigError: If the preset or a field is unknown, or a value is out of range.
        """
        known = cls.presets()
        if name not in known:
            raise ConfigError(f"There is no preset `{name}`; choose one of {', '.join(known)}.")
        try:
            return cls.model_validate(known[name].model_dump() | changes)
        except ValidationError as error:
            raise ConfigError(settings_sentence(error)) from None


@dataclass(frozen=True)
class Missing:
    """Something a model needs that a city lacks."""

    what: str
    why: str
    mend: str

    def __str__(self) -> str:
        return f"{self.what} {self.why} {self.mend}"


@dataclass(frozen=True)
class Stage:
    """One phase of training with its own data, parameters and schedule.

    Attributes:
        name: What the phase does, for the job card.
        parameters: What is trained; everything else stays frozen.
        batches: (epoch, generator) -> training batches; order and draws come from the generator alone.
        batches_per_epoch: Number of optimiser steps in an epoch.
        loss: batch -> named terms; `total` is minimised. Called with the model in training mode.
        validate: () -> named metrics, model in evaluation mode; `monitor` names the one to watch.
        monitor: Key of `validate` for early stopping and the best checkpoint.
        mode: Whether the monitored value should fall or rise.
        learning_rate, weight_decay, betas, clip_norm: Optimiser (AdamW, decay on matrices only) settings.
        epochs: Most epochs.
        warm_up_epochs: Linear warm-up, per step.
        decay: What the rate does after warm-up.
        decay_epochs: Epoch at which the decay has reached zero; None means `epochs`.
        patience: So many epochs in a row without improvement end the stage (or trigger a restart).
        minimum_improvement: What counts as improvement.
        restarts: How often to go back to the best weights at a tenth of the rate before stopping; the rate stays put from then on.
        split: (batch, parts) -> micro-batches, each with its share of the batch's loss (shares sum to one), so that a batch that
            does not fit into memory can be accumulated. None where a batch cannot be split without changing the loss.
    """

    name: str
    parameters: list[nn.Parameter]
    batches: Callable[[int, np.random.Generator], Iterable[Any]]
    batches_per_epoch: int
    loss: Callable[[Any], Mapping[str, Tensor]]
    validate: Callable[[], Mapping[str, float]]
    monitor: str
    mode: Literal["min", "max"] = "min"
    learning_rate: float = 1e-3
    weight_decay: float = 0.01
    betas: tuple[float, float] = (0.9, 0.999)
    clip_norm: float | None = 1.0
    epochs: int = 50
    warm_up_epochs: float = 0.0
    decay: Literal["constant", "linear", "cosine"] = "constant"
    decay_epochs: float | None = None
    patience: int = 3
    minimum_improvement: float = 0.0
    restarts: int = 0
    split: Callable[[Any, int], Sequence[tuple[float, Any]]] | None = None


@dataclass(frozen=True, eq=False)
class Prediction:
    """What a predictor answers for a batch of histories.

    Attributes:
        log_probability: (sample, location) float32 over all places of the city; -inf where a place cannot be answered.
            Rows sum to one after exp. Baselines without probabilities give normalised scores in the order of their ranking.
        normalised: Whether the values are probabilities in earnest; screens say so when they are not.
    """

    log_probability: np.ndarray
    normalised: bool = True

    def open_only(self, places: Places) -> "Prediction":
        """The same answer with closed places taken out and their probability shared out in proportion.

        A sample all of whose answerable places are closed keeps -inf everywhere.
        """
        if not places.closed.any():
            return self
        left = np.where(places.closed, -np.inf, self.log_probability)
        peak = left.max(axis=1, keepdims=True)
        peak[np.isneginf(peak)] = 0.0
        with np.errstate(divide="ignore", invalid="ignore"):
            total = np.log(np.exp(left - peak).sum(axis=1, keepdims=True)) + peak
            shared = np.where(np.isneginf(total), -np.inf, left - total)
        return Prediction(shared.astype(np.float32), self.normalised)


class Predictor(Protocol):
    """Anything that ranks places for histories: models and baselines alike."""

    name: str
    title: str

    def predict(self, histories: Histories) -> Prediction:
        """Scores for every place of the city, per sample. Deterministic."""
        ...


@dataclass(frozen=True, eq=False)
class CurvePrediction:
    """What a predictor answers for cells: the trips that leave each of them, per hour of the day.

    Attributes:
        flow: (cell, 24) float32 trips in local hours, not negative, in the order of the cells that were asked for.
        low, high: (cell, 24) bounds of the 80 % interval in trips; None if the predictor gives none.
        bin_probability: (cell, 24, bin) probability of each magnitude bin, or None.
        bin_edges: (bin + 1,) edges in z units (standardised log of 1 + trips), or None.
    """

    flow: np.ndarray
    low: np.ndarray | None = None
    high: np.ndarray | None = None
    bin_probability: np.ndarray | None = None
    bin_edges: np.ndarray | None = None


class CurvePredictor(Protocol):
    """Anything that gives every cell its 24-hour curve: models and baselines alike."""

    name: str
    title: str

    def predict_curves(self, inputs: "CellInputs", cells: "CellSamples") -> CurvePrediction:
        """The curves of all cells, from static inputs alone. Deterministic; never reads `cells.outflow` of the cells it answers."""
        ...


@dataclass(frozen=True)
class Warned:
    """A failure detector that fired (or passed): what was measured against which threshold, and what it means."""

    name: str
    fired: bool
    value: float
    threshold: float
    meaning: str


@dataclass(frozen=True, eq=False)
class Embedding:
    """Vectors a model learned for things an analyst knows.

    Attributes:
        title: Name on screen.
        subject: What a row is: `location`, `user`, `cell`, `hour`, ...
        ids: (row,) ids of that subject, in the order of `vectors`.
        vectors: (row, component) float32.
        meaning: One sentence: what the vectors are made of.
    """

    title: str
    subject: str
    ids: np.ndarray
    vectors: np.ndarray
    meaning: str


@dataclass(frozen=True)
class Effect:
    """What an edit needs before this model can answer to it."""

    needs: Literal["forward", "re-encode", "re-fit", "nothing"]
    sentence: str


@dataclass(frozen=True)
class ExpertSet:
    """Experts a model asks for every visit, and the probes through which its choice is watched and changed.

    The last axis of both probes is "expert", in the order of `names`. The axis "step" is right-aligned: its last entry is the latest
    visit of the history a sample was asked with, the one before it the visit before, and so on; steps before the history begins
    hold zeros. Watch with `engine.probes.watch(model, set.routing, coordinates={"expert": set.names})` around `predict`.

    Attributes:
        title: Name on screen.
        routing: Probe of the weights as they are used, axes (sample, step, expert); zero for experts that were not asked.
        raw: Probe of the router's weights before the choice, same axes; they sum to one.
        names: What the experts are called. Names are hypotheses of whoever wrote the texts: nothing in training ties them to truth.
        texts: The description of each expert, as the router reads it.
        steps: Which visits are routed: the whole window the model reads, or its latest visits only.
        places: Whether the experts answer for what a place is (else: for who the person is).
        selection: One sentence: how many experts are asked, and how they are chosen.
        vectors: Key in `embeddings` of one vector per expert, for how different experts are; empty where there is none.
        output: Probe of what the experts together contribute, axes (sample, step, feature); empty where there is none.
        meaning: One sentence for the screen.
    """

    title: str
    routing: str
    raw: str
    names: tuple[str, ...]
    texts: tuple[str, ...]
    steps: Literal["window", "latest"]
    places: bool
    selection: str
    vectors: str = ""
    output: str = ""
    meaning: str = ""


@dataclass(frozen=True)
class Knob:
    """A setting of a trained model that may be turned for a what-if, without training.

    Attributes:
        title, meaning: For the form.
        default: The value the model was trained with; its type says what kind of control fits (bool, int, float, str).
        choices: Allowed values of a str; a str without choices is free text.
        lowest, highest: Range of a number.
    """

    title: str
    meaning: str
    default: bool | int | float | str
    choices: tuple[str, ...] = ()
    lowest: float | None = None
    highest: float | None = None


@dataclass(frozen=True, eq=False)
class PointAnswer:
    """Where a model that answers with a point on the map says the next visit will be, before it is snapped to a place.

    Attributes:
        x, y: (sample,) float64 metres in the city's CRS: the predicted point; of a mixture the centre of its heaviest guess.
        component_x, component_y: (sample, component) centres of the guesses it consists of; (sample, 0) where there is one point only.
        component_weight: (sample, component), rows sum to one.
        component_spread_m: (sample, component) standard deviation of each guess, metres.
        meaning: One sentence: how places are ranked from it.
    """

    x: np.ndarray
    y: np.ndarray
    component_x: np.ndarray
    component_y: np.ndarray
    component_weight: np.ndarray
    component_spread_m: np.ndarray
    meaning: str


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

    def knobs(self) -> dict[str, Knob]:
        """What may be turned without training, by key."""
        return {}

    @contextmanager
    def turned(self, **values: bool | int | float | str) -> Iterator[None]:
        """Within the block the model answers with these knobs turned; one model must not be turned from two threads at once.

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

    def embeddings(self, places: Places) -> dict[str, Embedding]:
        """The embeddings the model declares, by name; those of locations are in the order of `places`."""
        return {}

    def transfer(self, data: Data) -> Self:
        """The same weights on another city, with the statistics of that city's training part; nothing is trained there.

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
    """

    task: ClassVar[Task] = "grid_flow"

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
