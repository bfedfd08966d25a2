"""Exploration and preferential return: a distribution over the places a person already knows.

People mostly return (Song et al. 2010, "Modelling the scaling properties of human mobility"). A history mixture answers with
`gate * return + (1 - gate) * head`: `return` is a softmax over the places of the history window and of the person's own training
visits, scored from how often, how recently, after which place and at which hour they were visited; `head` ranks every place.
Both parts and the gate are exact probabilities, so the mixture sums to one.
"""

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from engine.city.samples import Histories
from engine.probes import Probe

_LEAST = math.log(1e-30)
"""Log of the least sum that is still made one: where an override leaves nothing, nothing stays."""
_CLOCK_MINUTES = 90.0
_MEMORY_DAYS = 30.0
KNOWN_FEATURES = (
    "log visits in window",
    "share of window",
    "recency in window",
    "is the last place",
    "steps since last visit",
    "log follow-ups in window",
    "share of follow-ups in window",
    "share of visits after this hour in window",
    "log visits in memory",
    "share of memory",
    "recency in memory",
    "log follow-ups in memory",
    "share of follow-ups in memory",
    "share of visits after this hour in memory",
    "share of visits after this hour on such days in memory",
    "log distance from last place",
    "log popularity",
    "is in window",
    "is in memory",
    "log length of window",
    "log size of memory",
)
SAMPLE_FEATURES = (
    "log length of window",
    "distinct share of window",
    "log size of memory",
    "share of window known before",
    "repeats",
)


@dataclass(frozen=True)
class Memory:
    """Training visits of known users, sorted by (user, time); what `Histories` do not reach back to.

    Attributes:
        start: (user + 1,) int64, where each user's visits begin.
        place: (visit,) int64 place index in the axis of the histories, -1 for places that are not there any more.
        minute, weekday, day: (visit,) as in `VisitLog`.
    """

    start: np.ndarray
    place: np.ndarray
    minute: np.ndarray
    weekday: np.ndarray
    day: np.ndarray


@dataclass(frozen=True)
class KnownPlaces:
    """The known places of every sample, packed.

    Attributes:
        sample, place: (candidate,) int64, sorted by both.
        features: (candidate, feature) float32 in the order of `KNOWN_FEATURES`.
        of_sample: (sample, feature) float32 in the order of `SAMPLE_FEATURES`.
        count: (sample,) int64 candidates of each.
    """

    sample: np.ndarray
    place: np.ndarray
    features: np.ndarray
    of_sample: np.ndarray
    count: np.ndarray

    def find(self, place: np.ndarray, places: int) -> np.ndarray:
        """(sample,) index of the candidate that is this place, -1 where the sample does not know it."""
        key = self.sample * places + self.place
        wanted = np.arange(len(place)) * places + place
        if not len(key):
            return np.full(len(place), -1)
        at = np.minimum(np.searchsorted(key, wanted), len(key) - 1)
        return np.where(key[at] == wanted, at, -1)


def recall_places(
    histories: Histories,
    user: np.ndarray,
    memory: Memory,
    xy: np.ndarray,
    log_popularity: np.ndarray,
    allowed: np.ndarray,
    most: int,
) -> KnownPlaces:
    """The places each sample knows, described.

    Of the memory a sample sees only the visits before its window opens, in training and afterwards alike: otherwise training
    samples would find their own answers there.

    Args:
        histories: The samples.
        user: (sample,) row of the memory, -1 for unknown users.
        memory: Training visits.
        xy: (location, 2) metres.
        log_popularity: (location,) log(1 + training visits).
        allowed: (location,) bool, places that may be answered.
        most: Latest visits of the memory that are used per sample.
    """
    samples, places = len(histories), len(histories.places)
    lengths, offsets = histories.lengths, histories.offsets
    # (row,) one row per visit in the windows, then one per remembered visit
    window = _window_rows(histories)
    last_place = np.full(samples, -1, np.int64)
    has_visits = lengths > 0
    last_place[has_visits] = histories.location[histories.last[has_visits]]
    last_minute, last_is_weekend = np.zeros(samples), np.zeros(samples, bool)
    last_minute[has_visits] = histories.minute[histories.last[has_visits]]
    last_is_weekend[has_visits] = histories.weekday[histories.last[has_visits]] >= 5
    opens = np.full(samples, np.iinfo(np.int32).max, np.int64)
    opens[has_visits] = histories.day[offsets[:-1][has_visits]]
    m_sample, m_row = _memory_rows(memory, user, opens, most)
    m_place = memory.place[m_row]
    kept = m_place >= 0
    m_sample, m_row, m_place = m_sample[kept], m_row[kept], m_place[kept]
    m_size = np.bincount(m_sample, minlength=samples)

    key = np.concatenate([window.sample * places + histories.location, m_sample * places + m_place])
    keep = np.concatenate([allowed[histories.location], allowed[m_place]])
    known, inverse = np.unique(key[keep], return_inverse=True)
    sample, place = known // places, known % places
    w = np.full(len(window.sample), -1, np.int64)
    m = np.full(len(m_sample), -1, np.int64)
    at = np.flatnonzero(keep)
    in_window = at < len(w)
    w[at[in_window]] = inverse[in_window]
    m[at[~in_window] - len(w)] = inverse[~in_window]

    def add(rows: np.ndarray, weight: np.ndarray | None = None) -> np.ndarray:
        chosen = rows >= 0
        return np.bincount(rows[chosen], None if weight is None else weight[chosen], len(known)).astype(np.float64)

    # Follow-ups are visits right after a visit to the place where the person is now; visits after this hour come right after a visit
    # at the time of day of the latest one. When the next visit will be, nobody knows.
    w_follows = window.follows & (window.previous_place == last_place[window.sample])
    w_clock = window.follows * _clock(window.previous_minute - last_minute[window.sample])
    m_previous = np.maximum(m_row - 1, 0)
    m_has_previous = m_row > memory.start[np.maximum(user[m_sample], 0)]
    m_follows = m_has_previous & (memory.place[m_previous] == last_place[m_sample])
    m_clock = m_has_previous * _clock(memory.minute[m_previous] - last_minute[m_sample])
    m_kind = (memory.weekday[m_previous] >= 5) == last_is_weekend[m_sample]
    m_age = np.minimum(opens[m_sample] - memory.day[m_row], 10_000)
    m_age = np.where(has_visits[m_sample], m_age, 0)

    w_count, m_count = add(w), add(m)
    w_after, m_after = add(w, w_follows), add(m, m_follows)
    total_after_w = np.bincount(window.sample, w_follows, samples)
    total_after_m = np.bincount(m_sample, m_follows, samples)
    total_clock_w = np.bincount(window.sample, w_clock, samples)
    total_clock_m = np.bincount(m_sample, m_clock, samples)
    total_kind_m = np.bincount(m_sample, m_clock * m_kind, samples)
    nearest_age = np.full(len(known), 1e9)
    np.minimum.at(nearest_age, w[w >= 0], window.age[w >= 0])
    here = last_place[sample]
    distance = np.where(here >= 0, np.hypot(*(xy[place] - xy[np.maximum(here, 0)]).T), 0.0)
    features = np.stack(
        [
            np.log1p(w_count),
            w_count / np.maximum(lengths[sample], 1),
            add(w, 0.9**window.age),
            place == here,
            1 / (1 + nearest_age),
            np.log1p(w_after),
            w_after / np.maximum(total_after_w[sample], 1),
            add(w, w_clock) / (total_clock_w[sample] + 0.5),
            np.log1p(m_count),
            m_count / np.maximum(m_size[sample], 1),
            np.log1p(add(m, np.exp(-m_age / _MEMORY_DAYS))),
            np.log1p(m_after),
            m_after / np.maximum(total_after_m[sample], 1),
            add(m, m_clock) / (total_clock_m[sample] + 0.5),
            add(m, m_clock * m_kind) / (total_kind_m[sample] + 0.5),
            np.log1p(distance / 200),
            log_popularity[place] / 3,
            w_count > 0,
            m_count > 0,
            np.log1p(lengths[sample]) / 2,
            np.log1p(m_size[sample]) / 3,
        ],
        axis=1,
    ).astype(np.float32)

    distinct = np.bincount(sample, w_count > 0, samples)
    known_before = np.bincount(sample, w_count * (m_count > 0), samples)
    of_sample = np.stack(
        [
            np.log1p(lengths) / 2,
            distinct / np.maximum(lengths, 1),
            np.log1p(m_size) / 3,
            known_before / np.maximum(lengths, 1),
            1 - np.bincount(sample, m_count > 0, samples) / np.maximum(m_size, 1),
        ],
        axis=1,
    ).astype(np.float32)
    return KnownPlaces(sample, place, features, of_sample, np.bincount(sample, minlength=samples))


@dataclass(frozen=True)
class _WindowRows:
    sample: np.ndarray
    age: np.ndarray
    follows: np.ndarray
    previous_place: np.ndarray
    previous_minute: np.ndarray


def _window_rows(histories: Histories) -> _WindowRows:
    lengths = histories.lengths
    sample = np.repeat(np.arange(len(lengths)), lengths)
    position = np.arange(len(sample))
    previous = np.maximum(position - 1, 0)
    return _WindowRows(
        sample=sample,
        age=histories.offsets[1:][sample] - 1 - position,
        follows=position > histories.offsets[:-1][sample],
        previous_place=histories.location[previous],
        previous_minute=histories.minute[previous],
    )


def _memory_rows(memory: Memory, user: np.ndarray, opens: np.ndarray, most: int) -> tuple[np.ndarray, np.ndarray]:
    """(row,) sample and memory index of every remembered visit before each window opens."""
    if not len(memory.day):
        nothing = np.zeros(0, np.int64)
        return nothing, nothing
    span = int(memory.day.max()) + 2
    owner = np.repeat(np.arange(len(memory.start) - 1), np.diff(memory.start))
    key = owner * span + memory.day
    row = np.maximum(user, 0)
    end = np.searchsorted(key, row * span + np.minimum(np.maximum(opens, 0), span - 1), side="left")
    begin = np.maximum(memory.start[row], end - most)
    size = np.where(user >= 0, np.maximum(end - begin, 0), 0)
    sample = np.repeat(np.arange(len(user)), size)
    first = np.cumsum(size) - size
    return sample, begin[sample] + np.arange(len(sample)) - first[sample]


def _clock(minutes: np.ndarray) -> np.ndarray:
    apart = np.abs(minutes) % 1440
    apart = np.minimum(apart, 1440 - apart)
    return np.exp(-0.5 * (apart / _CLOCK_MINUTES) ** 2)


class ReturnMixture(nn.Module):
    """Scores known places and decides between return and head.

    Args:
        width: Width of the summary of a history and of a place's key.
        hidden: Hidden width of the scorer.
        dropout: In the scorer.
    """

    def __init__(self, width: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.context = nn.Linear(width, hidden)
        self.describe = nn.Linear(len(KNOWN_FEATURES), hidden)
        self.deepen = nn.Linear(hidden, hidden)
        self.score = nn.Linear(hidden, 1)
        self.ask = nn.Linear(width, width)
        self.decide = nn.Sequential(nn.Linear(width + len(SAMPLE_FEATURES), hidden), nn.ReLU(), nn.Linear(hidden, 1))
        self.dropout = nn.Dropout(dropout)
        self.gate = Probe("gate", ("sample",), "Probability that the next visit is a return to a place the person knows.")

    def forward(self, summary: Tensor, keys: Tensor, known: KnownPlaces) -> tuple[Tensor, Tensor, Tensor]:
        """Return probabilities and the gate, as logs.

        Args:
            summary: (sample, width).
            keys: (location, width).
            known: The known places of the samples.

        Returns:
            (candidate,) log probability of each known place given a return, (sample,) log gate, (sample,) log(1 - gate).
            The gate is zero where nothing is known.
        """
        device = summary.device
        sample, place = torch.from_numpy(known.sample).to(device), torch.from_numpy(known.place).to(device)
        features = torch.from_numpy(known.features).to(device)
        hidden = torch.relu(self.describe(features) + self.context(summary)[sample])
        hidden = self.dropout(torch.relu(self.deepen(hidden)))
        match = (self.ask(summary)[sample] * keys[place]).sum(-1) / keys.shape[-1] ** 0.5
        score = self.score(hidden)[:, 0] + match
        peak = score.new_full((len(summary),), -torch.inf).scatter_reduce(0, sample, score.detach(), "amax")
        total = torch.zeros_like(peak).index_add(0, sample, (score - peak[sample]).exp())
        log_return = score - peak[sample] - total.clamp_min(1e-30).log()[sample]

        context = torch.cat([summary, torch.from_numpy(known.of_sample).to(device)], dim=1)
        returns = torch.sigmoid(self.decide(context)[:, 0]).clamp(1e-6, 1 - 1e-6)
        nothing = torch.from_numpy(known.count == 0).to(device)
        gate = self.gate(returns.masked_fill(nothing, 0.0)).clamp(0.0, 1.0)
        return log_return, gate.clamp_min(1e-30).log(), (1 - gate).clamp_min(1e-30).log()

    def mix(self, summary: Tensor, keys: Tensor, known: KnownPlaces, log_head: Tensor, head: Probe, returns: Probe) -> Tensor:
        """Log probability of every place: a return to one the person knows, or else what the head says.

        In logs to the end: far from all that a model expects, a probability is below the least number, and such a place would
        count as one that cannot be answered.

        Args:
            summary: (sample, width).
            keys: (location, width).
            known: The known places of the samples.
            log_head: (sample, location), -inf where the head cannot answer.
            head: Shown the probabilities of the head.
            returns: Shown the probabilities given a return.

        Returns:
            (sample, location), rows sum to one after exp, also where a probe is overridden.
        """
        log_return, log_gate, log_rest = self(summary, keys, known)
        log_head = shown_in_logs(head, log_head)
        log_known = torch.full_like(log_head, -torch.inf)
        device = log_head.device
        log_known[torch.from_numpy(known.sample).to(device), torch.from_numpy(known.place).to(device)] = log_return
        log_known = shown_in_logs(returns, log_known)
        mixed = torch.logaddexp(log_gate[:, None] + log_known, log_rest[:, None] + log_head)
        return made_one(mixed) if head.is_overridden or returns.is_overridden else mixed


def shown_in_logs(probe: Probe, log_probability: Tensor) -> Tensor:
    """Log probabilities, shown to the probe as probabilities; what an override makes of those comes back, else what came."""
    if not probe.is_watched:
        return log_probability
    probability = probe(log_probability.exp())
    return probability.clamp_min(0).log() if probe.is_overridden else log_probability


def made_one(log_probability: Tensor) -> Tensor:
    """(sample, location) whose rows an override may have changed, so that they sum to one after exp again."""
    return log_probability - log_probability.logsumexp(1, keepdim=True).clamp_min(_LEAST)
