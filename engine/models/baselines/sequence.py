"""Two small learned sequence models over place ids: a gated recurrent unit, and multi-head self-attention.

The two networks that the next-location literature compares with most often (GRU: Cho et al. 2014; self-attention over visits in the
manner of Hong et al. 2023, "Context-aware multi-head self-attentional neural network model for next location prediction"). A visit
is its place, local hour and weekday; the person is added at the end. Every place has one vector, used as input and as output.

Their training is short and of fixed length, so that they stand beside every run at a bounded cost: they are a floor, not the best
that such networks can do. The training part is all they see; there is no early stopping.
"""

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from engine.city.samples import Histories, Samples, VisitLog, build_samples
from engine.models.answers import Prediction
from engine.models.baselines.rankings import log_share, popularity_share, with_new_places
from engine.models.baselines.skip_gram import one_thread

Encoder = Literal["gru", "attention"]


@dataclass(frozen=True)
class SequenceSettings:
    """Settings of the learned sequence baselines; chosen on the validation parts of the built-in city and of New York.

    Attributes:
        visits: Latest visits that are read.
        dimensions: Length of every vector.
        heads, layers: Of the self-attention.
        dropout: On inputs and on the result.
        batch: Samples per step.
        epochs: Passes over the training samples.
        least_steps, most_steps: Bounds of the number of steps, whatever the size of the city.
        learning_rate: Peak of a one-cycle schedule (AdamW).
        weight_decay: Of AdamW.
    """

    visits: int = 16
    dimensions: int = 64
    heads: int = 4
    layers: int = 1
    dropout: float = 0.2
    batch: int = 128
    epochs: int = 6
    least_steps: int = 40
    most_steps: int = 1_000
    learning_rate: float = 5e-3
    weight_decay: float = 0.01


@dataclass(frozen=True, eq=False)
class SequenceBatch:
    """Histories as the networks read them: the latest visits, right-padded.

    Attributes:
        place: (sample, visit) index of the place plus one; 0 where nothing or nothing known is.
        hour, weekday: (sample, visit) local.
        back: (sample, visit) steps before the question, 0 is the latest visit.
        length: (sample,) visits, at least one.
        user: (sample,) index plus one, 0 is a person nobody knows.
    """

    place: Tensor
    hour: Tensor
    weekday: Tensor
    back: Tensor
    length: Tensor
    user: Tensor


class SequenceNetwork(nn.Module):
    """Visits to one vector, scored against every place.

    Args:
        places: Places at fitting.
        users: People it is trained on.
        encoder: `gru` or `attention`.
        settings: Sizes.
    """

    def __init__(self, places: int, users: int, encoder: Encoder, settings: SequenceSettings) -> None:
        super().__init__()
        size = settings.dimensions
        self.place = nn.Embedding(places + 1, size, padding_idx=0)
        self.hour = nn.Embedding(24, size)
        self.weekday = nn.Embedding(7, size)
        self.back = nn.Embedding(settings.visits, size)
        self.user = nn.Embedding(users + 1, size, padding_idx=0)
        for table in (self.place, self.hour, self.weekday, self.back, self.user):
            nn.init.normal_(table.weight, std=0.1)
        self.dropout = nn.Dropout(settings.dropout)
        self.recurrent = nn.GRU(size, size, batch_first=True) if encoder == "gru" else None
        layer = nn.TransformerEncoderLayer(size, settings.heads, 2 * size, settings.dropout, batch_first=True, norm_first=True)
        self.attention = nn.TransformerEncoder(layer, settings.layers, enable_nested_tensor=False) if encoder != "gru" else None
        self.result = nn.Linear(size, size)
        self.bias = nn.Parameter(torch.zeros(places))

    def forward(self, batch: SequenceBatch) -> Tensor:
        """(sample, place) scores before normalising."""
        visits = self.place(batch.place) + self.hour(batch.hour) + self.weekday(batch.weekday)
        last = (batch.length - 1)[:, None, None].expand(-1, 1, visits.shape[-1])
        if self.recurrent is not None:
            encoded, _ = self.recurrent(self.dropout(visits))  # right-padded: what comes after a visit cannot change it
        else:
            assert self.attention is not None
            beyond = torch.arange(visits.shape[1]) >= batch.length[:, None]
            encoded = self.attention(self.dropout(visits + self.back(batch.back)), src_key_padding_mask=beyond)
        summary = encoded.gather(1, last)[:, 0] + self.user(batch.user)
        return self.result(self.dropout(summary)) @ self.place.weight[1:].T + self.bias


@dataclass(frozen=True, eq=False)
class SequenceBaseline:
    """A fitted network as a predictor.

    Attributes:
        name: Key in `BASELINES`.
        title: Name on screen.
        network: Fitted, in evaluation mode; None where training holds no sample.
        settings: Its sizes.
        seen: (location,) whether a place has a training visit; only these are answered.
        otherwise: (location,) float32 log popularity, for empty histories.
        user_row: Id of each person it was trained on to their index.
    """

    name: str
    title: str
    network: SequenceNetwork | None
    settings: SequenceSettings
    seen: np.ndarray
    otherwise: np.ndarray
    user_row: dict[str, int]

    def predict(self, histories: Histories) -> Prediction:
        """Log-probabilities of the places with a training visit."""
        places = len(histories.places)
        result = np.repeat(with_new_places(self.otherwise, places, -np.inf)[None], len(histories), axis=0)
        asked = np.flatnonzero(histories.lengths)
        if self.network is not None and len(asked):
            with torch.no_grad(), one_thread():
                scores = self.network(sequence_batch(histories, asked, self.user_row, self.seen, self.settings.visits))
                scores[:, torch.from_numpy(~self.seen)] = -torch.inf
                result[asked, : len(self.seen)] = torch.log_softmax(scores, dim=1).numpy()
        return Prediction(result).open_only(histories.places)


def sequence_batch(
    histories: Histories, chosen: np.ndarray, user_row: dict[str, int], seen: np.ndarray, visits: int
) -> SequenceBatch:
    """The latest visits of some histories as padded tensors.

    Args:
        histories: The batch.
        chosen: Samples with at least one visit.
        user_row: Id of each person it was trained on to their index.
        seen: (location at fitting,) bool; other places are read as unknown.
        visits: Most visits read.
    """
    length = np.minimum(histories.lengths[chosen], visits)
    across = np.arange(visits)[None]
    there = across < length[:, None]
    step = np.where(there, histories.offsets[1:][chosen][:, None] - length[:, None] + across, 0)
    known = with_new_places(seen, len(histories.places), False)
    location = histories.location[step].astype(np.int64)
    rows = np.array([user_row.get(user, -1) for user in histories.users] or [-1], np.int64)
    user = np.where(histories.user[chosen] >= 0, rows[histories.user[chosen]], -1)
    return SequenceBatch(
        place=torch.from_numpy(np.where(there & known[location], location + 1, 0)),
        hour=torch.from_numpy(np.where(there, histories.minute[step] // 60, 0).astype(np.int64)),
        weekday=torch.from_numpy(np.where(there, histories.weekday[step], 0).astype(np.int64)),
        back=torch.from_numpy(np.where(there, length[:, None] - 1 - across, 0).astype(np.int64)),
        length=torch.from_numpy(length.astype(np.int64)),
        user=torch.from_numpy(user + 1),
    )


def fit_sequence(
    log: VisitLog, name: str, title: str, encoder: Encoder, seed: int = 0, settings: SequenceSettings | None = None
) -> SequenceBaseline:
    """Fits a network on the training samples of a log; the same seed gives the same network.

    Args:
        log: The visits.
        name: Key in `BASELINES`.
        title: Name on screen.
        encoder: `gru` or `attention`.
        seed: Initial weights, order of samples, dropout.
        settings: Sizes and length of the training.
    """
    chosen = settings or SequenceSettings()
    samples = build_samples(log).of_part("train")
    # Whoever asks without having been trained on is nobody: the vector of their own would be as it was drawn.
    people = log.users[np.unique(log.user[samples.target])]
    fitted = SequenceBaseline(
        name, title, None, chosen, log.seen, log_share(popularity_share(log)), {user: row for row, user in enumerate(people)}
    )
    if not len(samples):
        return fitted
    with torch.random.fork_rng(devices=[]), one_thread():
        torch.manual_seed(seed)  # inside the fork: nothing outside is seeded
        network = SequenceNetwork(len(log.places), len(people), encoder, chosen)
        _train(network, samples, fitted)
    return replace(fitted, network=network.eval())


def _train(network: SequenceNetwork, samples: Samples, fitted: SequenceBaseline) -> None:
    settings = fitted.settings
    histories = samples.histories()
    everything = sequence_batch(histories, np.arange(len(samples)), fitted.user_row, fitted.seen, settings.visits)
    target = torch.from_numpy(samples.true_location.astype(np.int64))
    # A person is unknown one time in ten, so that the network can also be asked for somebody it never met.
    unknown_share = 0.1
    per_epoch = -(-len(samples) // settings.batch)
    steps = min(max(per_epoch * settings.epochs, settings.least_steps), settings.most_steps)
    optimiser = torch.optim.AdamW(network.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, settings.learning_rate, total_steps=steps, pct_start=0.2)
    network.train()
    order = torch.zeros(0, dtype=torch.int64)
    for _ in range(steps):
        if not len(order):
            order = torch.randperm(len(samples))
        rows, order = order[: settings.batch], order[settings.batch :]
        user = everything.user[rows] * (torch.rand(len(rows)) >= unknown_share)
        batch = SequenceBatch(
            everything.place[rows], everything.hour[rows], everything.weekday[rows], everything.back[rows],
            everything.length[rows], user,
        )  # fmt: skip
        loss = functional.cross_entropy(network(batch), target[rows])
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()
        schedule.step()


def gru(log: VisitLog, seed: int = 0) -> SequenceBaseline:
    """A gated recurrent unit fitted on a log's training samples."""
    return fit_sequence(log, "gru", "GRU over places", "gru", seed)


def self_attention(log: VisitLog, seed: int = 0) -> SequenceBaseline:
    """Multi-head self-attention fitted on a log's training samples."""
    return fit_sequence(log, "self_attention", "Self-attention over places", "attention", seed)
