"""CaLLiPer: inductive spatial-semantic location embeddings for predicting where people go next.

What the paper claims ("Into the Unknown", arXiv 2506.14070; CaLLiPer, Wang et al. 2024): a location encoder, pre-trained by
aligning coordinates with the texts of points of interest, gives every point of a city a vector. A sequence model on top of these
frozen vectors predicts the next location, and keeps working when histories hold places nobody visited in training.

What is built: the location encoder (grid code and residual network), its contrastive pre-training, the MHSA predictor, both as
two stages of one training; a closed head as published; preset `paper` follows the released code.

Where we differ, and why:
- Coordinates are metres around the training centre, not degrees: with the published scales in degrees, places 100 m apart are
  almost the same input. Places of one text are right answers to each other (multi-positive loss); both sides are normalised; the
  scale is bounded.
- The published head is a closed list, so an unseen place can never be answered. The inductive head scores any place from its
  coordinates (and text), so a new one takes part at once. UNK is no class.
- Preset `recommended` adds, each behind its own switch: a trained residual per known place, the place's text as an input, gaps in
  time, distance, popularity and affinity terms in the head (`layers/affinity.py`), and a mixture with the places the person knows
  (`layers/visit_memory.py`).
- A closed place's probability goes mostly to places that can stand in for it (`layers/substitution.py`), an assumption one can switch
  off; the paper closes nothing.
- The frozen encoder stays in evaluation mode downstream; the released code leaves its dropout on.
"""

from collections.abc import Mapping
from typing import Any, ClassVar, Literal, Self

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engine.city.city import City
from engine.city.samples import Histories, Places
from engine.errors import ConfigError, RequirementError
from engine.layers.affinity import PersonalAffinity
from engine.layers.candidates import Candidates
from engine.layers.history_encoder import HistoryEncoder, keep_latest
from engine.layers.location_encoder import LocationEncoder, TextAlignment
from engine.layers.position import GridPositions
from engine.layers.substitution import category_likeness, pass_on
from engine.layers.visit_memory import KnownPlaces, Memory, ReturnMixture, made_one, recall_places, shown_in_logs
from engine.models.answers import Prediction
from engine.models.base import Data, NextLocationModel, Report
from engine.models.calliper_config import CaLLiPerConfig
from engine.models.calliper_places import PlaceIndex, PlaceView, samples_of
from engine.models.declarations import Effect, Embedding, Missing, Warned
from engine.models.place_views import PlaceViews
from engine.models.settings import ModelConfig
from engine.models.stage import Stage
from engine.probes import Probe


class CaLLiPer(NextLocationModel):
    """Ranks the next location from where and what the visited places are; any place can be a candidate, also a new one."""

    name: ClassVar[str] = "calliper"
    title: ClassVar[str] = "CaLLiPer"
    paper: ClassVar[str] = "Wang et al. (2025), Into the Unknown, arXiv:2506.14070"
    task: ClassVar[Literal["next_location", "grid_flow"]] = "next_location"
    Config: ClassVar[type[ModelConfig]] = CaLLiPerConfig
    config: CaLLiPerConfig

    popularity: Tensor
    text_vectors: Tensor
    matrix: Tensor
    memory_start: Tensor
    memory_place: Tensor
    memory_minute: Tensor
    memory_weekday: Tensor
    memory_day: Tensor

    def __init__(self, config: CaLLiPerConfig, index: PlaceIndex, users: list[str], statistics: Mapping[str, Tensor]) -> None:
        super().__init__()
        self.config, self.index, self.users = config, index, users
        for key, value in statistics.items():
            self.register_buffer(key, value)
        c, width, known = config, config.width, len(index.ids)
        if c.location_source == "calliper":
            positions = GridPositions(c.scales, c.smallest_radius, c.largest_radius, c.coordinate_unit)
            self.location_encoder = LocationEncoder(
                positions, c.encoder_width, c.encoder_blocks, c.embedding_width, c.encoder_dropout
            )
            self.alignment = TextAlignment(self.text_vectors.shape[1], c.embedding_width, c.contrastive_parity)
        elif c.location_source == "table":
            self.table = nn.Embedding(known + 1, width)  # row 0: a place nobody saw in training
        vector = self.matrix.shape[1] if c.location_source == "precomputed" else c.embedding_width
        self.has_adapter = c.adapter and c.location_source != "table"
        if self.has_adapter:
            self.adapt_norm = nn.LayerNorm(vector)
            self.adapt = nn.Linear(vector, width)
        if c.place_residual and c.location_source != "table":
            self.residual = nn.Embedding(known + 1, width, padding_idx=0)
        if c.place_text:
            self.read_text = nn.Linear(self.text_vectors.shape[1], width, bias=False)
        self.history = HistoryEncoder(
            width, c.heads, c.feed_forward, c.layers, c.dropout, c.attention_dropout, c.norm_first, c.time_parity, c.time_gaps,
            c.longest_history,
        )  # fmt: skip
        if c.user_vector:
            self.user = nn.Embedding(len(users) + 1, width)  # row 0: a user nobody knows
        self.widen, self.narrow = nn.Linear(width, 2 * width), nn.Linear(2 * width, width)
        self.head_norm = nn.BatchNorm1d(width) if c.head_norm == "batch" else nn.LayerNorm(width)
        self.dropout = nn.Dropout(c.dropout)
        if c.head == "closed":
            self.classify = nn.Linear(width, known)
        if c.head == "inductive" or c.history_mixture:
            self.key = nn.Linear(width, width)
            self.key_norm = nn.LayerNorm(width)
        if c.head == "inductive":
            self.ask = nn.Linear(width, width)
            self.popularity_weight = nn.Parameter(torch.tensor(1.0)) if c.popularity_term else None
            self.nearness = nn.Linear(width, 3) if c.distance_term else None
            self.affinity = PersonalAffinity(width, 32, c.dropout) if c.affinity_term else None
        if c.history_mixture:
            self.mixture = ReturnMixture(width, 64, c.dropout)
        self.place_emb = Probe("embedding", ("location", "feature"), "The vector of each place as the sequence model reads it.")
        self.summary = Probe("embedding", ("sample", "feature"), "What the model made of each history and its user.", paper="§2.2")
        self.user_emb = Probe("embedding", ("sample", "feature"), "The vector of each sample's user.", paper="§2.2 user embedding")
        self.head_probability = Probe("curve", ("sample", "location"), "Probability of each place by the head alone.", paper="§2.2")
        self.return_probability = Probe("curve", ("sample", "location"), "Probability of each known place, given a return.")
        self._views: PlaceViews[PlaceView] = PlaceViews()
        self._vectors: tuple[Places, Any, Tensor] | None = None

    # ---- building -------------------------------------------------------------------------------------------------------

    @classmethod
    def requirements(cls, city: City) -> list[Missing]:
        """Visits and locations. Without categories the texts say nothing, which a failure detector reports."""
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
        """An untrained model; vocabulary, popularity, memory and texts come from the training part only.

        Raises:
            RequirementError: If the training part holds nothing to learn from.
            EncoderError: If the text encoder cannot run.
            ConfigError: If a matrix of location vectors does not fit.
        """
        if not isinstance(config, CaLLiPerConfig):
            raise ConfigError(f"CaLLiPer needs its own settings, not {type(config).__name__}.")
        samples = samples_of(data)
        log = samples.log
        training = log.training()
        if len(samples.of_part("train")) < 2:
            raise RequirementError(
                f"The training part holds {len(training):,} visits but no two that can be predicted from a history. Ask for fewer "
                "visits in the history or a shorter warm-up, hide fewer places, or bring more data."
            )
        if report:
            report("reading texts of places", 0.1)
        index = PlaceIndex.fit(log.places, log.seen, config, report)
        users = [str(log.users[user]) for user in np.unique(log.user[training])]
        row_of_user = {user: row for row, user in enumerate(users)}
        owner = np.array([row_of_user.get(str(user), -1) for user in log.users])[log.user[training]]
        code_of_place = index.codes(log.places)
        order = np.lexsort((training, owner))
        remembered = training[order]
        statistics = {
            "popularity": torch.from_numpy(np.log1p(log.visits_in_training[log.seen]).astype(np.float32)),
            "text_vectors": torch.from_numpy(index.text_vectors),
            "matrix": torch.from_numpy(index.matrix),
            "memory_start": torch.from_numpy(
                np.concatenate([[0], np.cumsum(np.bincount(owner, minlength=len(users)))]).astype(np.int64)
            ),
            "memory_place": torch.from_numpy((code_of_place[log.location[remembered]] - 1).astype(np.int32)),
            "memory_minute": torch.from_numpy(log.minute[remembered].astype(np.int16)),
            "memory_weekday": torch.from_numpy(log.weekday[remembered].astype(np.int8)),
            "memory_day": torch.from_numpy(log.day[remembered].astype(np.int32)),
        }
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            model = cls(config, index, users, statistics)
            model._initialise()
        if report:
            report("model built", 1.0)
        return model

    def _initialise(self) -> None:
        published = not self.config.adapter
        for name, parameter in self.named_parameters():
            if name.startswith(("location_encoder", "alignment", "mixture", "affinity")) or parameter.dim() < 2:
                continue
            nn.init.xavier_uniform_(parameter)
            if not published and ("time." in name or name.startswith(("user.", "table."))):
                nn.init.normal_(parameter, std=self.config.width**-0.5)
            if not published and name.startswith(("adapt.", "read_text.")):
                # Inputs are multiplied by sqrt(width) before the sequence model; this keeps all of them at unit scale.
                with torch.no_grad():
                    parameter.mul_(self.config.width**-0.5 * (4.0 if name.startswith("read_text") else 1.0))
        if hasattr(self, "residual"):
            nn.init.normal_(self.residual.weight, std=0.1 * self.config.width**-0.5)
            with torch.no_grad():
                self.residual.weight[0].zero_()
        if self.config.head == "inductive" and self.nearness is not None:
            nn.init.zeros_(self.nearness.weight)
        if self.config.head == "inductive" and self.affinity is not None:
            self.affinity.initialise()

    def artefacts(self) -> dict[str, Any]:
        """Vocabularies, CRS and origin, text encoder and its fingerprint."""
        return self.index.artefacts() | {"users": self.users}

    # ---- places ---------------------------------------------------------------------------------------------------------

    @property
    def longest_history(self) -> int:
        """As the settings say."""
        return self.config.longest_history

    def view(self, places: Places) -> PlaceView:
        """How the model sees these places: codes, coordinates, texts. Kept for the last few `Places` objects."""
        return self._views.of(places, self.device, lambda: self.index.view(places, self.popularity.cpu().numpy(), self.device))

    def location_vectors(self, view: PlaceView) -> Tensor:
        """(location, feature) frozen vectors, computed once per weight version and `Places`."""
        if self.config.location_source == "precomputed":
            return self.matrix[view.matrix_row]
        weights = tuple((parameter.data_ptr(), parameter._version) for parameter in self.location_encoder.parameters())
        if self._vectors is not None and not self.location_encoder.is_probed:
            kept_places, kept_weights, vectors = self._vectors
            if kept_places is view.places and kept_weights == weights:
                return vectors
        was_training = self.location_encoder.training
        self.location_encoder.eval()
        with torch.no_grad():
            vectors = torch.cat([self.location_encoder(part) for part in view.xy.split(65_536)])
        self.location_encoder.train(was_training)
        if not self.location_encoder.is_probed:
            self._vectors = (view.places, weights, vectors)
        return vectors

    def _place_vectors(self, view: PlaceView) -> Tensor:
        """(location, width) what the sequence model reads."""
        c = self.config
        if c.location_source == "table":
            vectors = self.table(view.code)
        else:
            vectors = self.location_vectors(view)
            if self.has_adapter:
                vectors = self.adapt(self.adapt_norm(vectors))
        if c.place_text:
            vectors = vectors + self.read_text(self._texts(view))[view.text]
        if hasattr(self, "residual"):
            residual = self.residual(view.code)
            if self.training and c.residual_dropout:
                residual = residual * (torch.rand(len(residual), 1, device=residual.device) >= c.residual_dropout)
            vectors = vectors + residual
        return self.place_emb(vectors)

    def _texts(self, view: PlaceView) -> Tensor:
        return self.text_vectors if view.new_texts is None else torch.cat([self.text_vectors, view.new_texts])

    # ---- the sequence model ---------------------------------------------------------------------------------------------

    def _summarise(self, histories: Histories, vectors: Tensor) -> Tensor:
        """(sample, width): history, user, and the head's residual block."""
        steps = vectors[torch.from_numpy(histories.location.astype(np.int64)).to(vectors.device)]
        summary = self.history(steps, histories)
        if self.config.user_vector:
            user = torch.from_numpy(self.index.user_rows(histories, self.users) + 1).to(summary.device)
            if self.training and self.config.user_dropout:
                user = user * (torch.rand(len(user), device=user.device) >= self.config.user_dropout)
            summary = summary + self.user_emb(self.user(user))
        summary = self.dropout(summary)
        hidden = self.narrow(self.dropout(F.relu(self.widen(summary))))
        return self.summary(self.head_norm(summary + self.dropout(hidden)))

    def _head_logits(
        self,
        summary: Tensor,
        keys: Tensor | None,
        view: PlaceView,
        histories: Histories,
        known: KnownPlaces | None,
        chosen: Tensor,
    ) -> Tensor:
        """(sample, candidate) scores of the chosen places by the head."""
        if self.config.head == "closed":
            logits = self.classify(summary)  # (sample, known place)
            code = self.view(view.places).code[chosen]
            return logits[:, (code - 1).clamp_min(0)].masked_fill(code == 0, -torch.inf)
        assert keys is not None
        logits = self.ask(summary) @ keys[chosen].T / keys.shape[1] ** 0.5
        if self.popularity_weight is not None:
            logits = logits + self.popularity_weight * view.log_popularity[chosen]
        if self.nearness is not None:
            logits = logits + self._nearness_logits(summary, view, histories, chosen)
        if self.affinity is not None:
            assert known is not None
            vectors = view.category_vectors(self.text_vectors)
            logits = logits + self.affinity(summary, known, view.metres, view.category, vectors, chosen)
        return logits

    @property
    def _has_affinity(self) -> bool:
        return self.config.head == "inductive" and self.config.affinity_term

    def _nearness_logits(self, summary: Tensor, view: PlaceView, histories: Histories, chosen: Tensor) -> Tensor:
        """(sample, candidate): how much nearer places gain, at three scales weighed by the history."""
        assert self.nearness is not None
        has_visits = histories.lengths > 0
        last = np.zeros(len(histories), np.int64)
        last[has_visits] = histories.location[histories.last[has_visits]]
        here, where = np.unique(last, return_inverse=True)
        # By matrix products, distances of a few metres would drown in the rounding of squared coordinates.
        near = view.metres[torch.from_numpy(here).to(summary.device)]
        apart = torch.cdist(near, view.metres[chosen], compute_mode="donot_use_mm_for_euclid_dist")
        basis = torch.stack(
            [torch.log1p(apart / 100), torch.log1p(apart / 2000), torch.exp(-apart / 300)]
        )  # (scale, place, candidate)
        weight = self.nearness(summary) * torch.from_numpy(has_visits).to(summary)[:, None]
        rows = torch.from_numpy(where).to(summary.device)
        logits = torch.zeros(len(summary), len(chosen), device=summary.device)
        for scale, sign in enumerate((-1.0, -1.0, 1.0)):
            logits = logits + sign * weight[:, scale, None] * basis[scale][rows]
        return logits

    def _known_places(self, histories: Histories, view: PlaceView) -> KnownPlaces | None:
        if not (self.config.history_mixture or self._has_affinity):
            return None
        place = view.row_of_code(self.memory_place.cpu().numpy())
        memory = Memory(
            self.memory_start.cpu().numpy(), place, self.memory_minute.cpu().numpy(), self.memory_weekday.cpu().numpy(),
            self.memory_day.cpu().numpy(),
        )  # fmt: skip
        allowed = view.is_seen if self.config.head == "closed" else np.ones(len(view.places), bool)
        return recall_places(
            histories,
            self.index.user_rows(histories, self.users),
            memory,
            view.metres_array,
            view.log_popularity_array,
            allowed,
            self.config.memory_visits,
        )

    def sequence_loss(self, histories: Histories, generator: np.random.Generator | None = None) -> Tensor:
        """Mean negative log probability of the targets, in nats, over those the model can answer.

        Args:
            histories: Samples with targets.
            generator: Draws candidates where the city has more places than are scored per step.
        """
        assert histories.target is not None
        loss, answered = self._target_losses(histories, generator)
        return loss[answered].mean()

    def _target_losses(self, histories: Histories, generator: np.random.Generator | None) -> tuple[Tensor, Tensor]:
        histories = keep_latest(histories, self.config.longest_history)
        known_view = self.view(histories.places)
        view = self._pretend_new(known_view)
        vectors = self._place_vectors(view)
        keys = self.key_norm(self.key(vectors)) if hasattr(self, "key") else None
        summary = self._summarise(histories, vectors)
        assert histories.target is not None
        target = histories.target.astype(np.int64)
        candidates = self._candidates(known_view, target, generator)
        known = self._known_places(histories, view)
        logits = self._head_logits(summary, keys, view, histories, known, candidates.place) + candidates.correction
        at = torch.from_numpy(candidates.column[target]).to(summary.device)
        answered = at >= 0
        log_head = logits.log_softmax(1).gather(1, at.clamp_min(0)[:, None])[:, 0]
        log_head = torch.where(answered, log_head, -torch.inf)
        if not self.config.history_mixture:
            return -log_head, answered
        assert keys is not None and known is not None
        log_return, log_gate, log_rest = self.mixture(summary, keys, known)
        found = torch.from_numpy(known.find(target, len(view.places))).to(summary.device)
        log_known = torch.where(found >= 0, log_return[found.clamp_min(0)] if len(log_return) else log_gate, torch.tensor(-1e4))
        log_probability = torch.logaddexp(log_gate + log_known, log_rest + log_head.clamp_min(-1e4))
        return -log_probability, answered | (found >= 0)

    def _pretend_new(self, view: PlaceView) -> PlaceView:
        """Shows some places as if nobody had visited them, while training.

        Otherwise no training sample holds a place without a past, and the model takes a lack of past for a lack of interest.
        """
        if not self.training or not self.config.new_place_share:
            return view
        return view.pretend_new((torch.rand(len(view.places)) < self.config.new_place_share).numpy())

    def _candidates(self, view: PlaceView, target: np.ndarray, generator: np.random.Generator | None) -> Candidates:
        """Candidates of a step.

        In training only places seen there compete, so that the model does not learn that unseen places are never visited.
        """
        if self.training and view.is_seen.sum() > self.config.candidates:
            if generator is None:
                raise ConfigError("Sampled candidates need a generator.")
            return Candidates.draw(view.is_seen, target, self.config.candidates, generator, self.device)
        only_seen = self.training or self.config.head == "closed"
        return Candidates.all_of(view.is_seen if only_seen else np.ones(len(view.places), bool), self.device)

    @torch.no_grad()
    def predict(self, histories: Histories) -> Prediction:
        """Log probability of every place; -inf where the model cannot answer one, or where a place is closed."""
        was_training = self.training
        self.eval()
        try:
            scores = self._log_probability(histories).to("cpu", torch.float32).numpy()
        finally:
            self.train(was_training)
        if self.config.substitution == "similar" and histories.places.closed.any():
            scores = self._pass_on_closed(scores, histories.places)
        return Prediction(scores).open_only(histories.places)

    def _pass_on_closed(self, scores: np.ndarray, places: Places) -> np.ndarray:
        view = self.view(places)
        vectors = view.category_vectors(self.text_vectors).cpu().numpy()
        passed = pass_on(
            np.exp(scores.astype(np.float64)),
            places.closed,
            places.category,
            category_likeness(vectors, len(places.category_names)),
            view.metres_array,
            self.config.substitution_reach,
            self.config.substitution_share,
        )
        with np.errstate(divide="ignore"):
            passed = np.log(passed).astype(np.float32)
        # What is passed on only adds, so that a probability below the least number stays as it was.
        return np.maximum(passed, np.where(places.closed, -np.inf, scores))

    def _log_probability(self, histories: Histories) -> Tensor:
        histories = keep_latest(histories, self.config.longest_history)
        view = self.view(histories.places)
        vectors = self._place_vectors(view)
        keys = self.key_norm(self.key(vectors)) if hasattr(self, "key") else None
        summary = self._summarise(histories, vectors)
        every = torch.arange(len(view.places), device=summary.device)
        known = self._known_places(histories, view)
        logits = self._head_logits(summary, keys, view, histories, known, every)
        if self.config.location_source != "calliper":
            logits = logits.masked_fill(~view.is_rankable(self.config.location_source), -torch.inf)
        # Where no place at all can be ranked, as by a closed list in another city, the softmax would be no number.
        log_head = logits.log_softmax(1).masked_fill(logits.isneginf(), -torch.inf)
        if self.config.history_mixture:
            assert keys is not None and known is not None
            return self.mixture.mix(summary, keys, known, log_head, self.head_probability, self.return_probability)
        log_head = shown_in_logs(self.head_probability, log_head)
        return made_one(log_head) if self.head_probability.is_overridden else log_head

    def effects(self) -> dict[str, Effect]:
        """What edits of places need under these settings; edits of the query need a forward pass."""
        c = self.config
        found = {
            "add_place": Effect("forward", "The new place is encoded from its coordinates and ranked with the others."),
            "move_place": Effect("forward", "The place is encoded again at its new position."),
            "retag_place": Effect("forward", "The place's new text is an input of the sequence model."),
            "close_place": Effect(
                "forward",
                f"{c.substitution_share:.0%} of its probability stays with places of its kind or near it ({c.substitution_reach:.0f} m), "
                "by their own probability; the rest goes to all. Records show no closings: this is assumed, not learned."
                if c.substitution == "similar"
                else "Its probability passes to all other places in proportion to their own, alike or not: an assumption, not learned.",
            ),
        }
        if c.head == "closed":
            found["add_place"] = Effect(
                "nothing", "The closed head is a fixed list of places; train with the inductive head to rank new ones."
            )
        elif c.location_source != "calliper":
            found["add_place"] = Effect(
                "nothing", "Places have vectors from a table here; train with location vectors from coordinates."
            )
        if c.location_source != "calliper":
            measured = c.distance_term or c.history_mixture or self._has_affinity
            found["move_place"] = (
                Effect("forward", "Only distances change; the vector of a place does not depend on where it lies.")
                if measured
                else Effect("nothing", "Places have vectors from a table here, wherever they lie.")
            )
        if self._has_affinity and not c.place_text:
            found["retag_place"] = Effect("forward", "The kinds of places a person goes to are counted by category.")
        elif not c.place_text:
            found["retag_place"] = (
                Effect("re-fit", "Texts shape the location encoder while it is pre-trained; train again to see the new one.")
                if c.location_source == "calliper"
                else Effect("nothing", "This model reads no texts.")
            )
        if not c.user_vector and not ((c.history_mixture or self._has_affinity) and c.memory_visits):
            found["change_user"] = Effect("nothing", "This model does not know who asks.")
        return found

    # ---- what pages ask for ---------------------------------------------------------------------------------------------

    @torch.no_grad()
    def embeddings(self, places: Places) -> dict[str, Embedding]:
        """Location vectors, the vectors the sequence model reads, users, hours and weekdays."""
        was_training = self.training
        self.eval()
        view, found = self.view(places), {}
        if self.config.location_source != "table":
            vectors = self.location_vectors(view).cpu().numpy()
            trained = "Made from coordinates alone by the pre-trained location encoder."
            meaning = trained if self.config.location_source == "calliper" else "Read from a matrix file."
            found["location"] = Embedding("Location vectors", "location", places.ids, vectors, meaning)
        found["place"] = Embedding(
            "Places as the sequence model reads them", "location", places.ids, self._place_vectors(view).cpu().numpy(),
            "The location vector after the adapter, with text and residual where they are switched on.",
        )  # fmt: skip
        if self.config.user_vector:
            users = np.array(["unknown user", *self.users], object)
            found["user"] = Embedding("Users", "user", users, self.user.weight.cpu().numpy(), "One trained vector per user.")
        hours, weekdays = self.history.time.hour.weight, self.history.time.weekday.weight
        found["hour"] = Embedding(
            "Hours", "hour", np.arange(len(hours)), hours.cpu().numpy(), "One trained vector per hour of the day."
        )
        found["weekday"] = Embedding(
            "Weekdays", "weekday", np.arange(7), weekdays.cpu().numpy(), "One trained vector per weekday, from Monday."
        )
        self.train(was_training)
        return found

    @torch.no_grad()
    def encode_points(self, x: np.ndarray, y: np.ndarray) -> np.ndarray | None:
        """(point, feature) unit vectors of any positions in metres of the training city's CRS."""
        if self.config.location_source != "calliper":
            return None
        was_training = self.training
        self.eval()
        xy = torch.from_numpy(self.index.encoder_input(np.asarray(x, float), np.asarray(y, float)))
        vectors = torch.cat([F.normalize(self.location_encoder(part), dim=1) for part in xy.split(65_536)])
        self.train(was_training)
        return vectors.cpu().numpy()

    @torch.no_grad()
    def encode_texts(self, texts: list[str]) -> np.ndarray | None:
        """(text, feature) unit vectors in the space of `encode_points`."""
        if self.config.location_source != "calliper":
            return None
        vectors = torch.from_numpy(self.index.encode(texts)).to(self.device)
        return F.normalize(self.alignment.txt_proj(self.alignment.project(vectors)), dim=1).cpu().numpy()

    # ---- training -------------------------------------------------------------------------------------------------------

    def stages(self, data: Data) -> list[Stage]:
        """Pre-training of the location encoder (where there is one), then the sequence model on its frozen vectors."""
        from engine.models.calliper_training import pretraining_stage, sequence_stage

        stages = [pretraining_stage(self, data)] if self.config.location_source == "calliper" else []
        return [*stages, sequence_stage(self, samples_of(data))]

    def diagnose(self, data: Data) -> list[Warned]:
        """Failure detectors of the location encoder and of the predictor."""
        from engine.models.calliper_checks import check_location_encoder, check_predictor

        checks = check_location_encoder(self, data) if self.config.location_source == "calliper" else []
        return checks + check_predictor(self, samples_of(data))
