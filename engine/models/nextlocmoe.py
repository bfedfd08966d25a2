"""NextLocMoE: who a person is and what places are for, each as a mixture of experts, for predicting where people go next.

What the paper claims (Liu et al. 2025, arXiv 2505.24597; section numbers below are those of our specification): a visit means more
when experts for functions of places (leisure, commerce, ...) and for roles of people (student, commuter, ...) are asked about it,
and a router that also sees the long history asks the right ones, also in a city the model was never trained on.

What is built: location, weekday, hour and duration embeddings; a temporal convolution over the long history; function experts at
the embedding of the current visits, top-k; role experts in the place of feed-forward layers of a stock transformer, chosen by top-p;
one shared feed-forward with low-rank terms instead of copies; regression with retrieval of the nearest places. Presets `paper` and
`released` follow the text and the code.

Where we differ, and why (docs/nextlocmoe.md has the measurements):
- Top-p does what the paper says; the released code keeps all experts but one. `routing="released"` does that too.
- Entropy alone makes one expert take everything. Its counterpart, even use over all visits, is added; weight zero is the paper.
- A point between two likely places lies at neither. Heads `mdn` and `pointer` give every place a real probability.
- Short histories are padded and masked; the paper drops people with fewer than 47 visits.
- The time of the next visit stays unknown: as published, the duration of the latest visit would give it away.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar, Self

import numpy as np
import torch
from torch import Tensor, nn

from engine.blocks import held
from engine.city.city import City
from engine.city.samples import Histories, Places, VisitLog
from engine.encoders.backbone import Backbone, BackboneFolder, random_backbone
from engine.encoders.expert_texts import ExpertTexts, changed_experts, read_experts
from engine.encoders.text import text_encoder
from engine.errors import ConfigError, RequirementError
from engine.layers.experts import MixtureInPlace, RoleMixture, RoutingContext, during
from engine.layers.function_experts import FunctionMixture
from engine.layers.history_encoder import keep_latest
from engine.layers.position import GridPositions
from engine.layers.routing import Choice
from engine.layers.temporal_convolution import HistoryConvolution
from engine.layers.visit_memory import Memory
from engine.models.answers import PointAnswer, Prediction
from engine.models.base import Data, NextLocationModel, Report
from engine.models.declarations import Effect, Embedding, ExpertSet, Knob, Missing, Warned
from engine.models.nextlocmoe_config import NextLocMoEConfig
from engine.models.nextlocmoe_heads import DensityHead, Head, PointerHead, PointHead, Question
from engine.models.nextlocmoe_inside import checked_turns, declared_embeddings, declared_experts, declared_knobs, declared_points
from engine.models.nextlocmoe_windows import PlaceFrame, PlaceView, Window, samples_of
from engine.models.place_views import PlaceViews
from engine.models.settings import ModelConfig
from engine.models.stage import Stage
from engine.probes import Probe


@dataclass(frozen=True, eq=False)
class Texts:
    """What is read before any visit: the experts, their vectors, and the prompt's.

    Attributes:
        roles, functions: Names and texts; None where that mixture is off.
        fingerprint: What the vectors depend on.
    """

    roles: ExpertTexts | None
    functions: ExpertTexts | None
    fingerprint: str


@dataclass(frozen=True, eq=False)
class Reading:
    """What the model made of windows.

    Attributes:
        states: (sample, current, width).
        window: The windows.
        real: (sample, token) bool; tokens are the prompt's and the visits', False where padded.
        role_weights: (real token, expert) router weights of each layer, sample by sample.
        function_weights: (visit, function) router weights of real visits, or None.
    """

    states: Tensor
    window: Window
    real: Tensor
    role_weights: list[Tensor]
    function_weights: Tensor | None


class NextLocMoE(NextLocationModel):
    """Ranks the next location from where, when and how long a person was, with experts for functions of places and roles of people."""

    name: ClassVar[str] = "nextlocmoe"
    title: ClassVar[str] = "NextLocMoE"
    paper: ClassVar[str] = "Liu et al. (2025), NextLocMoE, arXiv:2505.24597"
    Config: ClassVar[type[ModelConfig]] = NextLocMoEConfig
    config: NextLocMoEConfig

    popularity: Tensor
    role_vectors: Tensor
    prompt_vectors: Tensor
    memory_start: Tensor
    memory_place: Tensor
    memory_minute: Tensor
    memory_weekday: Tensor
    memory_day: Tensor

    def __init__(
        self,
        config: NextLocMoEConfig,
        frame: PlaceFrame,
        users: list[str],
        texts: Texts,
        backbone: Backbone,
        statistics: Mapping[str, Tensor],
        function_vectors: Tensor,
    ) -> None:
        super().__init__()
        self.config, self.frame, self.users, self.texts = config, frame, users, texts
        for key, value in statistics.items():
            self.register_buffer(key, value)
        c, visit = config, config.visit_width
        if c.location_code == "fourier":
            self.positions = GridPositions(c.scales, c.smallest_radius, c.largest_radius)
        self.locate = nn.Linear(2 + (self.positions.width if c.location_code == "fourier" else 0), c.location_width, bias=False)
        self.weekday, self.hour = nn.Embedding(7, c.day_width), nn.Embedding(24, c.hour_width)
        self.duration = nn.Linear(1, c.duration_width, bias=False)
        self.unknown_duration = nn.Parameter(torch.zeros(c.duration_width))
        self.nothing_yet = nn.Parameter(torch.zeros(visit))
        self.history = HistoryConvolution(visit, c.history_blocks, c.history_kernel, c.history_convolutions, c.dropout)
        self.history_summary = Probe(
            "embedding", ("sample", "feature"), "What the convolution made of the long history.", paper="§4"
        )
        if c.function_experts:
            self.functions = FunctionMixture(
                function_vectors, c.location_width, visit, c.router_hidden, c.function_choice, c.published_function_start
            )
        self.backbone = backbone
        self.read_history, self.read_current = (nn.Linear(visit, backbone.width, bias=False) for _ in range(2))
        self.prefix = nn.Parameter(torch.randn(c.prefix_tokens, backbone.width) * backbone.width**-0.5)
        self.roles = nn.ModuleDict()
        for layer in c.expert_layers:
            mixture = RoleMixture(
                len(self.role_vectors), backbone.width, backbone.hidden, visit, self.role_vectors.shape[1], c.router_hidden,
                c.router_form, c.rank, c.alpha, c.expert_dropout, c.expert_spread,
            )  # fmt: skip
            self.roles[f"layer_{layer + 1}"] = mixture
            backbone.replace_feed_forward(layer, lambda base, mixture=mixture: MixtureInPlace(base, mixture))  # type: ignore[misc]
        if c.head == "regression":
            self.head: Head = PointHead(backbone.width, frame.scale)
        elif c.head == "mdn":
            self.head = DensityHead(backbone.width, c, frame.unit)
        else:
            self.head = PointerHead(backbone.width, c.location_width, c, frame.unit)
        self.summary = Probe("embedding", ("sample", "feature"), "What the transformer made of each window.", paper="§6")
        self.layer_points = Probe(
            "token path", ("layer", "sample", "coordinate"),
            "Where the head would point after each layer, in city scales from the city's centre (x, y).", paper="§12",
        )  # fmt: skip
        self._views: PlaceViews[PlaceView] = PlaceViews()

    # ---- building -------------------------------------------------------------------------------------------------------

    @classmethod
    def requirements(cls, city: City) -> list[Missing]:
        """Visits and locations; neither categories nor users' attributes are read."""
        if city.has("visits", "locations"):
            return []
        return [
            Missing(
                "Visits and their locations are missing:",
                "the model learns from where people went.",
                "Ingest a table of check-ins or stays on the City page.",
            )
        ]

    @classmethod
    def build(cls, config: ModelConfig, data: Data, seed: int, report: Report | None = None) -> Self:
        """An untrained model; vocabulary, scale, popularity and memory come from the training part only.

        Raises:
            RequirementError: If the training part holds nothing to learn from.
            EncoderError: If a text encoder or the backbone's folder cannot be read.
            ConfigError: If the experts' files are not lists of experts.
        """
        if not isinstance(config, NextLocMoEConfig):
            raise ConfigError(f"NextLocMoE needs its own settings, not {type(config).__name__}.")
        roles = read_experts(config.role_texts, "roles") if config.role_experts else None
        functions = read_experts(config.function_texts, "functions") if config.function_experts else None
        if report:
            report("reading the experts' texts", 0.1)
        return cls._of_texts(config, data, seed, roles, functions, config.reads_user, report)

    @classmethod
    def _of_texts(
        cls,
        config: NextLocMoEConfig,
        data: Data,
        seed: int,
        roles: ExpertTexts | None,
        functions: ExpertTexts | None,
        remembers: bool,
        report: Report | None = None,
    ) -> Self:
        """As `build`, with experts at hand; `remembers` says whether the users' training visits are kept."""
        samples = samples_of(data)
        log = samples.log
        training = log.training()
        if len(samples.of_part("train")) < 2:
            raise RequirementError(
                f"The training part holds {len(training):,} visits but no two that can be predicted from a history. Ask for fewer "
                "visits in the history or a shorter warm-up, hide fewer places, or bring more data."
            )
        frame = PlaceFrame.fit(log, config.isotropic)
        users = [str(log.users[user]) for user in np.unique(log.user[training])] if remembers else []
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            backbone, vectors, prompt, fingerprint = _backbone_and_vectors(config, roles, functions)
            if report:
                report("backbone ready", 0.8)
            row_of_place = np.full(len(log.places), -1, np.int64)
            row_of_place[log.seen] = np.arange(int(log.seen.sum()))
            statistics = {
                "popularity": torch.from_numpy(np.log1p(log.visits_in_training[log.seen]).astype(np.float32)),
                "role_vectors": vectors[0],
                "prompt_vectors": prompt,
                **_remember(log, users, row_of_place),
            }
            model = cls(config, frame, users, Texts(roles, functions, fingerprint), backbone, statistics, vectors[1])
        if report:
            report("model built", 1.0)
        return model

    def artefacts(self) -> dict[str, Any]:
        """Places, frame, users where they are remembered, experts with their texts, and what their vectors depend on."""
        roles, functions = self.texts.roles, self.texts.functions
        return self.frame.artefacts() | {
            "users": self.users,
            "roles": roles.as_lists() if roles else [],
            "functions": functions.as_lists() if functions else [],
            "texts_fingerprint": self.texts.fingerprint,
        }

    def changes_since(self, saved: Mapping[str, Any]) -> str:
        """Experts that were renamed, removed, added or reworded in their files."""
        for key, experts in (("roles", self.texts.roles), ("functions", self.texts.functions)):
            if experts is not None and isinstance(saved.get(key), list) and (changed := changed_experts(saved[key], experts)):
                return f"The {key} of this run (`{experts.source}`) are not those it was trained with: {changed}."
        return ""

    # ---- reading --------------------------------------------------------------------------------------------------------

    @property
    def longest_history(self) -> int:
        """The visits of a window."""
        return self.config.longest_history

    def view(self, places: Places) -> PlaceView:
        """How the model sees these places. Kept for the last few `Places` objects."""
        return self._views.of(places, self.device, lambda: self.frame.view(places, self.popularity.cpu().numpy(), self.device))

    def location_codes(self, xy: Tensor) -> Tensor:
        """(..., 2) normalised coordinates to (..., feature) location vectors."""
        inputs = xy
        if self.config.location_code == "fourier":
            metres = xy.flatten(0, -2) * xy.new_tensor(self.frame.scale)
            inputs = torch.cat([xy, self.positions(metres).unflatten(0, xy.shape[:-1]).to(xy.dtype)], dim=-1)
        return self.locate(inputs)

    def _embed(self, window: Window, xy: Tensor) -> Tensor:
        """(sample, step, visit): location, weekday, hour and duration of every visit, zero where padded."""
        known = window.duration_known[..., None]
        duration = torch.where(known, self.duration(window.duration[..., None]), self.unknown_duration)
        visits = torch.cat([self.location_codes(xy), self.weekday(window.weekday), self.hour(window.hour), duration], dim=-1)
        return visits * window.real[..., None]

    def read(self, histories: Histories, each_layer: bool = False) -> Reading:
        """Reads windows of histories.

        Args:
            histories: The visits.
            each_layer: Whether `layer_points` is to be shown.
        """
        c, window = self.config, Window.of(histories, self.config, self.device)
        view, border = self.view(histories.places), window.real.shape[1] - self.config.current_visits
        xy = view.xy[window.location] * window.real[..., None]
        visits, real = self._embed(window, xy), window.real
        empty = ~real.any(1)
        if empty.any():  # a window without visits is one learned token
            visits = torch.cat([visits[:, :-1], torch.where(empty[:, None], self.nothing_yet, visits[:, -1])[:, None]], dim=1)
            real = torch.cat([real[:, :-1], (real[:, -1] | empty)[:, None]], dim=1)
        summary = self.history_summary(self.history(visits[:, :border], real[:, :border]))
        if not self._turned.get("routers_read_history", c.router_reads_history):
            summary = self.history.nothing.expand(len(summary), -1)
        function_weights = None
        if c.function_experts:
            start = 0 if c.functions_in_history else border
            said, function_weights = self.functions(xy[:, start:], visits[:, start:], summary, real[:, start:])
            enriched = torch.cat([visits[:, start:, : c.location_width] + said, visits[:, start:, c.location_width :]], dim=-1)
            visits = torch.cat([visits[:, :start], enriched], dim=1)
        before = torch.cat([self.prompt_vectors.to(visits.dtype), self.prefix]).expand(len(visits), -1, -1)
        tokens = torch.cat([before, self.read_history(visits[:, :border]), self.read_current(visits[:, border:])], dim=1)
        if not self._turned.get("transformer_reads_history", True):
            real = torch.cat([torch.zeros_like(real[:, :border]), real[:, border:]], dim=1)
        prefix = before.shape[1]
        real = torch.cat([real.new_ones(len(real), prefix), real], dim=1)
        longest = self.longest_history
        positions = torch.cat([torch.arange(prefix), prefix + longest - window.real.shape[1] + torch.arange(window.real.shape[1])])
        context = RoutingContext(summary, real, prefix, self._role_vectors(), self._choice())
        with during(context):
            states = self.backbone(tokens.to(self._dtype()), real, positions.to(tokens.device), each_layer, c.final_norm)
        if each_layer:
            self.layer_points(torch.stack([self.head.points(state[:, -1].float()) for state in states]))
            states = states[-1]
        return Reading(states[:, -c.current_visits :].float(), window, real, context.weights, function_weights)

    def _dtype(self) -> torch.dtype:
        return next(self.backbone.model.parameters()).dtype

    def _choice(self) -> Choice:
        turned = {key: self._turned[key] for key in ("mode", "threshold", "cap", "count") if key in self._turned}
        return replace(self.config.role_choice, **turned)

    def _role_vectors(self) -> Tensor:
        return self._turned.get("role_vectors", self.role_vectors)

    def _memory(self, view: PlaceView) -> Memory:
        rows, vocabulary = view.row_of_code, self.memory_place.cpu().numpy().astype(np.int64) + 1
        place = np.where(vocabulary < len(rows), rows[np.minimum(vocabulary, len(rows) - 1)], -1)
        return Memory(
            self.memory_start.cpu().numpy(), place, self.memory_minute.cpu().numpy(), self.memory_weekday.cpu().numpy(),
            self.memory_day.cpu().numpy(),
        )  # fmt: skip

    def question(self, states: Tensor, histories: Histories) -> Question:
        """What the head is asked about states (sample, width) of these histories."""
        view = self.view(histories.places)
        return Question(
            states=states,
            view=view,
            histories=keep_latest(histories, self.longest_history),
            user=self.frame.user_rows(histories, self.users),
            codes=self.location_codes(view.xy) if self.config.head == "pointer" else view.xy,
            memory=self._memory(view),
        )

    def full_precision(self) -> torch.autocast:
        """For heads: with half-precision coordinates, places a street apart would be one."""
        return torch.autocast(self.device.type, enabled=False)

    @torch.no_grad()
    def predict(self, histories: Histories) -> Prediction:
        """Log probability of every place; with the regression head those of a ranking by distance from the predicted point."""
        was_training = self.training
        self.eval()
        try:
            reading = self.read(histories, each_layer=self.layer_points.is_watched)
            states = self.summary(reading.states[:, -1])
            with self.full_precision():
                scores = self.head.log_probability(self.question(states, histories)).to("cpu", torch.float32).numpy()
        finally:
            self.train(was_training)
        return Prediction(scores, normalised=self.config.head != "regression").open_only(histories.places)

    @torch.no_grad()
    def predict_points(self, histories: Histories) -> np.ndarray:
        """(sample, 2) float64 metres in the CRS of the training city: the predicted point, or the centre of the heaviest Gaussian."""
        was_training = self.training
        self.eval()
        try:
            states = self.read(histories, each_layer=self.layer_points.is_watched).states[:, -1]
            with self.full_precision():
                points = self.head.points(states, shown=True).cpu().numpy().astype(np.float64)
        finally:
            self.train(was_training)
        return points * np.asarray(self.frame.scale) + np.asarray(self.frame.centre)

    def points(self, histories: Histories) -> PointAnswer:
        """The predicted points with the Gaussians behind them, in metres."""
        return declared_points(self, histories)

    # ---- training -------------------------------------------------------------------------------------------------------

    def stages(self, data: Data) -> list[Stage]:
        """One stage: the next location and the routers together."""
        from engine.models.nextlocmoe_training import training_stage

        return [training_stage(self, samples_of(data))]

    def diagnose(self, data: Data) -> list[Warned]:
        """Failure detectors of the routers, the experts and the predicted points."""
        from engine.models.nextlocmoe_checks import check_routing_and_points

        return check_routing_and_points(self, samples_of(data))

    def transfer(self, data: Data) -> Self:
        """The same weights on another city: its own centre, scale, places and popularity, nothing trained there, nobody known.

        Args:
            data: The other city; only these statistics of its training part are taken. Its people's visits are not remembered,
                whatever the settings say: who had been seen there would be no stranger.
        """
        other = self._of_texts(self.config, data, 0, self.texts.roles, self.texts.functions, remembers=False)
        taken = {key: value for key, value in self.state_dict().items() if key != "popularity" and not key.startswith("memory_")}
        other.load_state_dict(taken, strict=False)
        return other.eval()

    # ---- what pages ask for ---------------------------------------------------------------------------------------------

    def experts(self) -> dict[str, ExpertSet]:
        """Function experts at the embedding, and role experts of each mixture layer."""
        return declared_experts(self)

    def knobs(self) -> dict[str, Knob]:
        """Choice of roles, what the routers and the transformer read of the history, and the roles' texts."""
        return declared_knobs(self)

    @contextmanager
    def turned(self, **values: bool | int | float | str) -> Iterator[None]:
        """Within the block the model answers this thread with these knobs turned.

        Raises:
            ConfigError: If there is no such knob, or a value is out of range.
        """
        turned = {**self._turned, **checked_turns(self, values)}
        with held(_TURNED, {**_TURNED.get(), self: turned}):
            yield

    @property
    def _turned(self) -> Mapping[str, Any]:
        return _TURNED.get().get(self, {})

    def encode_roles(self, texts: list[str]) -> Tensor:
        """(text, feature) vectors of texts as the routers read them.

        Raises:
            EncoderError: If the encoder or the backbone's folder is not there any more.
        """
        if self.config.backbone == "random":
            return torch.from_numpy(text_encoder(self.config.text_encoder).encode(texts)).to(self.device)
        folder = _folder_of(self.config)
        return folder.text_vectors(folder.load(), texts).to(self.device)

    def effects(self) -> dict[str, Effect]:
        """What edits of places and of the question need; this model reads coordinates and times only."""
        counts = self.config.head != "regression" and self.config.popularity_term
        found = {
            "add_place": Effect(
                "forward",
                "The new place is ranked by its coordinates, and counts as popular as the median place: an assumption, nobody has visited it."
                if counts
                else "The new place is ranked by its coordinates alone.",
            ),
            "move_place": Effect("forward", "The place is read and ranked at its new position, in past visits too."),
            "retag_place": Effect(
                "nothing", "This model reads no categories: what a place is for, it infers from when it is visited."
            ),
            "close_place": Effect(
                "forward", "Its probability passes to all other places in proportion to their own: an assumption, not learned."
            ),
        }
        if self.config.mask_last_duration:
            setting = type(self.config).model_fields["mask_last_duration"].title
            found["change_stay"] = Effect(
                "nothing",
                "This run does not read how long the latest visit lasts, which would tell when the next one comes: it was trained with "
                f"“{setting}” on. Switch that off on the Train page for a run that does.",
            )
        if not self.config.reads_user:
            found["change_user"] = Effect("nothing", "This model does not know who asks; it tells people apart by their visits.")
        return found

    @torch.no_grad()
    def embeddings(self, places: Places) -> dict[str, Embedding]:
        """Location vectors, hours, weekdays, function experts at each place, and the role experts' changes."""
        return declared_embeddings(self, places)


_TURNED: ContextVar[Mapping[NextLocMoE, Mapping[str, Any]]] = ContextVar("turned knobs", default=MappingProxyType({}))


def _backbone_and_vectors(
    config: NextLocMoEConfig, roles: ExpertTexts | None, functions: ExpertTexts | None
) -> tuple[Backbone, tuple[Tensor, Tensor], Tensor, str]:
    """Backbone, vectors of role and function texts, vectors of the prompt, and what the vectors depend on."""
    texts = [list(experts.texts) if experts else [] for experts in (roles, functions)]
    if config.backbone == "random":
        longest = config.longest_history + config.prefix_tokens
        backbone = random_backbone(
            config.width,
            config.feed_forward,
            config.layers,
            config.heads,
            config.key_value_heads,
            longest,
            config.attention_dropout,
        )
        fingerprint, vectors = "", [torch.zeros(0, 1), torch.zeros(0, 1)]
        if texts[0] or texts[1]:
            encoder = text_encoder(config.text_encoder)
            fingerprint = encoder.fingerprint
            vectors = [torch.from_numpy(encoder.encode(one)) for one in texts]
        return backbone, (vectors[0], vectors[1]), torch.zeros(0, config.width), fingerprint
    folder = _folder_of(config)
    model = folder.load()
    vectors = [folder.text_vectors(model, one) if one else torch.zeros(0, 1) for one in texts]
    prompt = folder.token_vectors(model, config.prompt) if config.prompt else torch.zeros(0, model.config.hidden_size)
    return Backbone(model, is_pretrained=True), (vectors[0], vectors[1]), prompt, f"{folder.folder.name}/{config.layers}"


def _folder_of(config: NextLocMoEConfig) -> BackboneFolder:
    return BackboneFolder(Path(config.backbone.removeprefix("folder:")).expanduser(), config.layers)


def _remember(log: VisitLog, users: list[str], row_of_place: np.ndarray) -> dict[str, Tensor]:
    """Training visits of the users, sorted by (user, time); nothing where no user is remembered."""
    training = log.training() if users else np.zeros(0, np.int64)
    row_of_user = {user: row for row, user in enumerate(users)}
    owner = np.array([row_of_user.get(str(user), -1) for user in log.users], np.int64)[log.user[training]]
    order = np.lexsort((training, owner))
    visits = training[order]
    return {
        "memory_start": torch.from_numpy(
            np.concatenate([[0], np.cumsum(np.bincount(owner, minlength=len(users)))]).astype(np.int64)
        ),
        "memory_place": torch.from_numpy(row_of_place[log.location[visits]].astype(np.int32)),
        "memory_minute": torch.from_numpy(log.minute[visits].astype(np.int16)),
        "memory_weekday": torch.from_numpy(log.weekday[visits].astype(np.int8)),
        "memory_day": torch.from_numpy(log.day[visits].astype(np.int32)),
    }
