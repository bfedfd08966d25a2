"""From a history of visits to one vector: place, time of day, day of week and gaps, read by a causal transformer."""

import math

import numpy as np
import torch
from torch import Tensor, nn

from engine.city.samples import Histories
from engine.layers.attention import PackedEncoder, Packing
from engine.layers.position import sinusoidal_positions
from engine.probes import Probe

GAP_BINS = 16


class TimeCode(nn.Module):
    """Learned vectors for the time of a visit.

    Args:
        width: Model width.
        parity: As released: half-hour slots are read as if they were quarter hours, so that "hour" is a two-hour bin.
        gaps: Also the time since the visit before and until the latest visit, in logarithmic bins.
    """

    def __init__(self, width: int, parity: bool, gaps: bool) -> None:
        super().__init__()
        self.parity = parity
        self.hour = nn.Embedding(24, width)
        self.part = nn.Embedding(4, width)
        self.weekday = nn.Embedding(7, width)
        self.gap_before = nn.Embedding(GAP_BINS, width) if gaps else None
        self.gap_after = nn.Embedding(GAP_BINS, width) if gaps else None
        self.time_emb = Probe("embedding", ("step", "feature"), "The vector of each visit's time.", paper="§2.2 temporal context")

    def forward(self, histories: Histories, device: torch.device) -> Tensor:
        """(step, width) for all visits."""

        def index(array: np.ndarray) -> Tensor:
            return torch.from_numpy(array.astype(np.int64)).to(device)

        slot = histories.minute // 30
        hour, part = (slot // 4, slot % 4) if self.parity else (slot // 2, slot % 2)
        code = self.hour(index(hour)) + self.part(index(part)) + self.weekday(index(histories.weekday))
        if self.gap_before is not None and self.gap_after is not None:
            before, after = gaps(histories)
            code = code + self.gap_before(index(before)) + self.gap_after(index(after))
        return self.time_emb(code)


def gaps(histories: Histories) -> tuple[np.ndarray, np.ndarray]:
    """(step,) logarithmic bins of the hours since the visit before (0 for the oldest) and until the latest visit."""
    minutes = histories.day.astype(np.int64) * 1440 + histories.minute
    sample = np.repeat(np.arange(len(histories)), histories.lengths)
    position = np.arange(len(sample))
    oldest = position == histories.offsets[:-1][sample]
    before = np.where(oldest, -1, minutes - minutes[np.maximum(position - 1, 0)])
    after = minutes[histories.last[sample]] - minutes

    def bins(value: np.ndarray) -> np.ndarray:
        # bins are a factor of two wide, from a quarter of an hour up to more than a week
        return np.clip(np.floor(np.log2(np.maximum(value, 0) / 15 + 1)), 0, GAP_BINS - 2).astype(np.int64) + 1

    return np.where(before < 0, 0, bins(before)), bins(after)


class HistoryEncoder(nn.Module):
    """The sequence model: visits in, one vector per history out (before the user is added).

    Args:
        width, heads, feed_forward, layers, dropout, attention_dropout, norm_first: As in `PackedEncoder`.
        parity_time, gaps: As in `TimeCode`.
        longest: Longest history; older visits are left out by the caller.
    """

    position_code: Tensor

    def __init__(
        self,
        width: int,
        heads: int,
        feed_forward: int,
        layers: int,
        dropout: float,
        attention_dropout: float,
        norm_first: bool,
        parity_time: bool,
        gaps: bool,
        longest: int,
    ) -> None:
        super().__init__()
        self.width = width
        self.time = TimeCode(width, parity_time, gaps)
        self.encoder = PackedEncoder(width, heads, feed_forward, layers, dropout, attention_dropout, norm_first)
        self.dropout = nn.Dropout(dropout)
        self.nothing_yet = nn.Parameter(torch.zeros(width))
        self.register_buffer("position_code", sinusoidal_positions(longest, width), persistent=False)

    def forward(self, places: Tensor, histories: Histories) -> Tensor:
        """Reads histories.

        Args:
            places: (step, width) the vector of each visited place.
            histories: The visits.

        Returns:
            (sample, width); a learned vector where a history is empty.
        """
        lengths = histories.lengths
        filled = np.flatnonzero(lengths > 0)
        answer = self.nothing_yet.expand(len(lengths), -1)
        if not len(filled):
            return answer
        packing = Packing.of(lengths[filled], places.device)
        steps = math.sqrt(self.width) * (places + self.time(histories, places.device))
        steps = self.dropout(steps + self.position_code[packing.position])
        encoded = self.encoder(steps, packing)
        if len(filled) == len(lengths):
            return encoded
        return answer.index_copy(0, torch.from_numpy(filled).to(places.device), encoded)


def keep_latest(histories: Histories, most: int) -> Histories:
    """The same histories without visits older than the latest `most`; the input where none is longer."""
    lengths = histories.lengths
    if not len(lengths) or lengths.max() <= most:
        return histories
    sample = np.repeat(np.arange(len(lengths)), lengths)
    age = histories.offsets[1:][sample] - 1 - np.arange(len(sample))
    keep = age < most
    return Histories(
        places=histories.places,
        users=histories.users,
        offsets=np.concatenate([[0], np.cumsum(np.minimum(lengths, most))]).astype(np.int64),
        location=histories.location[keep],
        minute=histories.minute[keep],
        weekday=histories.weekday[keep],
        day=histories.day[keep],
        duration_minutes=histories.duration_minutes[keep],
        user=histories.user,
        target=histories.target,
    )
