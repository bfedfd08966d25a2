"""The three heads of NextLocMoE: one point (as published), a mixture of Gaussians, and a return to a known place or else Gaussians.

Each gives a probability to every place. Heads know places by their coordinates (and training visits) alone, so places of another
city are ranked as well.
"""

from abc import abstractmethod
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from engine.city.samples import Histories
from engine.layers.candidates import Candidates
from engine.layers.mixture_density import MixtureDensity
from engine.layers.visit_memory import KnownPlaces, Memory, ReturnMixture, recall_places
from engine.models.nextlocmoe_config import NextLocMoEConfig
from engine.models.nextlocmoe_windows import PlaceView
from engine.probes import Probe

_TIE = 1e-5
"""What a place loses in log probability for each more popular place at the very same spot."""


@dataclass(frozen=True, eq=False)
class Question:
    """What a head is asked.

    Attributes:
        states: (sample, width) what the backbone made of each window.
        view: The places.
        histories: The visits of each sample's window.
        user: (sample,) row of the memory, -1 for users nobody knows.
        codes: (location, feature) location vectors of the places.
        memory: Training visits by user; empty where the model remembers none.
    """

    states: Tensor
    view: PlaceView
    histories: Histories
    user: np.ndarray
    codes: Tensor
    memory: Memory


class Head(nn.Module):
    """From states to places."""

    @abstractmethod
    def losses(self, question: Question, target: np.ndarray, generator: np.random.Generator) -> Tensor:
        """(sample,) losses: city scales for a point, nats otherwise; `generator` draws candidates where the head needs some."""

    @abstractmethod
    def log_probability(self, question: Question) -> Tensor:
        """(sample, location), rows sum to one after exp."""

    @abstractmethod
    def points(self, states: Tensor, shown: bool = False) -> Tensor:
        """(state, 2) where the next visit is expected, in normalised coordinates; `shown` to the head's probes or not."""


class PointHead(Head):
    """One point, by a linear map (§8); places are ranked by their distance from it.

    The loss is the mean distance, so the point is a geometric median: between two likely places it lies at neither. As a ranking
    becomes probabilities, those fall off exponentially with distance; the mean error in training sets how fast, and the order never
    depends on it. Screens are told that these are no probabilities in earnest.
    """

    reach: Tensor

    def __init__(self, width: int, scale: tuple[float, float]) -> None:
        super().__init__()
        self.locate = nn.Linear(width, 2, bias=False)
        self.register_buffer("reach", torch.tensor(1.0))
        unit = (scale[0] + scale[1]) / 2
        self.stretch = (scale[0] / unit, scale[1] / unit)
        self.point = Probe(
            "embedding", ("sample", "coordinate"), "The predicted point, in city scales from the city's centre (x, y).", paper="§8"
        )

    def points(self, states: Tensor, shown: bool = False) -> Tensor:  # noqa: D102
        return self.point(self.locate(states)) if shown else self.locate(states)

    def losses(self, question: Question, target: np.ndarray, generator: np.random.Generator) -> Tensor:  # noqa: D102
        truth = question.view.xy[torch.from_numpy(target).to(question.states.device)]
        apart = self.points(question.states) - truth
        distance = (apart * apart.new_tensor(self.stretch)).square().sum(-1).clamp_min(1e-12).sqrt()
        if self.training:
            with torch.no_grad():
                self.reach.lerp_(distance.mean().to(self.reach.dtype), 0.02)
        return distance

    def log_probability(self, question: Question) -> Tensor:  # noqa: D102
        points = self.points(question.states, shown=True)
        apart = (points[:, None] - question.view.xy) * points.new_tensor(self.stretch)  # (sample, location, 2)
        # In the plane, distances with density exp(-d / b) have mean 2 b.
        logits = -apart.norm(dim=-1) / (self.reach / 2).clamp_min(1e-3) - _TIE * question.view.turn
        return logits.log_softmax(1)


class DensityHead(Head):
    """Several Gaussians; a place is as probable as their density where it lies, times a power of its training visits."""

    def __init__(self, width: int, config: NextLocMoEConfig, unit: float) -> None:
        super().__init__()
        self.mixture = MixtureDensity(width, config.components, config.least_spread / unit)
        self.popularity_weight = nn.Parameter(torch.tensor(0.5)) if config.popularity_term else None
        self.over, self.candidates = config.density_over, config.candidates

    def points(self, states: Tensor, shown: bool = False) -> Tensor:
        """The centre of the heaviest Gaussian."""
        log_weights, centres, _ = self.mixture(states, shown)
        return centres[torch.arange(len(centres), device=centres.device), log_weights.argmax(1)]

    def place_logits(self, question: Question, place: Tensor | None = None) -> Tensor:
        """(sample, candidate) log density, with popularity, of all places or of the named ones."""
        view = question.view
        xy = view.xy if place is None else view.xy[place]
        logits = self.mixture.log_density(self.mixture(question.states), xy)
        if self.popularity_weight is not None:
            logits = logits + self.popularity_weight * (view.log_popularity if place is None else view.log_popularity[place])
        return logits - _TIE * (view.turn if place is None else view.turn[place])

    def losses(self, question: Question, target: np.ndarray, generator: np.random.Generator) -> Tensor:  # noqa: D102
        if self.over == "plane":
            return -self.mixture.log_density_at(
                self.mixture(question.states), question.view.xy[torch.from_numpy(target).to(question.states.device)]
            )
        return -self.target_log_probability(question, target, generator)

    def target_log_probability(self, question: Question, target: np.ndarray, generator: np.random.Generator) -> Tensor:
        """(sample,) log probability of the targets among the candidates of a training step."""
        view = question.view
        candidates = Candidates.draw(view.is_seen, target, self.candidates, generator, view.xy.device)
        logits = self.place_logits(question, candidates.place) + candidates.correction
        column = torch.from_numpy(candidates.column[target]).to(logits.device)
        return logits.log_softmax(1).gather(1, column[:, None])[:, 0]

    def log_probability(self, question: Question) -> Tensor:  # noqa: D102
        return self.place_logits(question).log_softmax(1)


class PointerHead(DensityHead):
    """A mixture: return to a place of the window (and of the memory, if there is one), or go where the Gaussians say."""

    def __init__(self, width: int, code_width: int, config: NextLocMoEConfig, unit: float) -> None:
        super().__init__(width, config, unit)
        self.key = nn.Linear(code_width, width)
        self.key_norm = nn.LayerNorm(width)
        self.returns = ReturnMixture(width, 64, config.dropout)
        self.most = config.memory_visits
        self.explore = Probe("curve", ("sample", "location"), "Probability of each place if the next visit is no return.")
        self.pointer = Probe("curve", ("sample", "location"), "Probability of each known place if the next visit is a return.")

    def _known(self, question: Question) -> KnownPlaces:
        view = question.view
        return recall_places(
            question.histories,
            question.user,
            question.memory,
            view.metres,
            view.log_popularity.cpu().numpy(),
            np.ones(len(view.places), bool),
            self.most,
        )

    def _keys(self, question: Question) -> Tensor:
        return self.key_norm(self.key(question.codes))

    def losses(self, question: Question, target: np.ndarray, generator: np.random.Generator) -> Tensor:  # noqa: D102
        known = self._known(question)
        log_return, log_gate, log_rest = self.returns(question.states, self._keys(question), known)
        found = torch.from_numpy(known.find(target, len(question.view.places))).to(log_gate.device)
        log_known = log_return[found.clamp_min(0)] if len(log_return) else torch.zeros_like(log_gate)
        log_known = torch.where(found >= 0, log_known, torch.full_like(log_gate, -1e4))
        log_explore = self.target_log_probability(question, target, generator)
        return -torch.logaddexp(log_gate + log_known, log_rest + log_explore)

    def log_probability(self, question: Question) -> Tensor:  # noqa: D102
        return self.returns.mix(
            question.states,
            self._keys(question),
            self._known(question),
            self.place_logits(question).log_softmax(1),
            self.explore,
            self.pointer,
        )
