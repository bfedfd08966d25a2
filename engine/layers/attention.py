"""Causal self-attention over histories of unequal length, without padding.

Check-in histories are short with a long tail: padding a batch to its longest history makes several tokens of each real one. Here
all linear layers run over the real tokens of the batch at once; only the attention itself works on small chunks of histories of
similar length, and the last layer computes the last position alone, which is all a next-location model reads.
"""

from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engine.probes import Probe

_MOST_WASTE = 1.2
_SMALL_CHUNK_TOKENS = 256


@dataclass(frozen=True)
class Chunk:
    """Histories of similar length, padded at their end.

    Attributes:
        sample: (row,) sample indices.
        step: (row, length) step indices; the last real step where padded.
        real: (row, length) bool.
        is_full: Whether nothing is padded.
    """

    sample: Tensor
    step: Tensor
    real: Tensor
    is_full: bool


@dataclass(frozen=True)
class Packing:
    """How the steps of a batch belong together.

    Attributes:
        lengths: (sample,) int64, all above zero.
        position: (step,) int64, 0 for the oldest visit of each history.
        sample: (step,) int64.
        last: (sample,) int64, step index of the latest visit.
        chunks: The same steps, grouped by similar length.
    """

    lengths: Tensor
    position: Tensor
    sample: Tensor
    last: Tensor
    chunks: tuple[Chunk, ...]

    @classmethod
    def of(cls, lengths: np.ndarray, device: torch.device | str = "cpu") -> "Packing":
        """The packing of histories with these lengths, stored one after another, oldest visit first."""
        lengths = np.asarray(lengths, np.int64)
        start = np.concatenate([[0], np.cumsum(lengths)])[:-1]
        sample = np.repeat(np.arange(len(lengths)), lengths)

        def tensor(array: np.ndarray) -> Tensor:
            return torch.from_numpy(array).to(device)

        chunks = []
        for rows in _similar(lengths):
            step, real = _pad(start[rows], lengths[rows])
            chunks.append(Chunk(tensor(rows), tensor(step), tensor(real), bool(real.all())))
        return cls(
            lengths=tensor(lengths),
            position=tensor(np.arange(len(sample)) - start[sample]),
            sample=tensor(sample),
            last=tensor(start + lengths - 1),
            chunks=tuple(chunks),
        )

    def padded(self) -> Chunk:
        """All histories as one chunk, in the order of the batch: for looking, not for training."""
        lengths = self.lengths.cpu().numpy()
        start = np.concatenate([[0], np.cumsum(lengths)])[:-1]
        step, real = _pad(start, lengths)
        device = self.lengths.device
        return Chunk(
            torch.arange(len(lengths), device=device),
            torch.from_numpy(step).to(device),
            torch.from_numpy(real).to(device),
            bool(real.all()),
        )


class PackedEncoder(nn.Module):
    """A causal transformer encoder over packed histories that returns the last position.

    Equal to `torch.nn.TransformerEncoder` with a causal and a padding mask (tested to 1e-5, gradients too).

    Args:
        width: Model width.
        heads: Attention heads.
        feed_forward: Hidden width of the position-wise layers.
        layers: Number of layers.
        dropout: After attention, inside and after the position-wise layers.
        attention_dropout: On attention weights.
        norm_first: Normalise before (steadier) instead of after each sublayer (as published).
    """

    def __init__(
        self,
        width: int,
        heads: int,
        feed_forward: int,
        layers: int,
        dropout: float = 0.0,
        attention_dropout: float = 0.0,
        norm_first: bool = False,
    ) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            PackedEncoderLayer(width, heads, feed_forward, dropout, attention_dropout, norm_first) for _ in range(layers)
        )
        self.norm = nn.LayerNorm(width)

    def forward(self, steps: Tensor, packing: Packing) -> Tensor:
        """Encodes histories.

        Args:
            steps: (step, width) the visits of all histories, one after another.
            packing: Which steps belong together.

        Returns:
            (sample, width), each history at its latest visit.
        """
        *earlier, latest = (cast(PackedEncoderLayer, layer) for layer in self.layers)
        for layer in earlier:
            steps = layer(steps, packing)
        return self.norm(latest.last(steps, packing))


class PackedEncoderLayer(nn.Module):
    """One layer of `PackedEncoder`: attention over earlier visits, then a position-wise network."""

    def __init__(
        self, width: int, heads: int, feed_forward: int, dropout: float, attention_dropout: float, norm_first: bool
    ) -> None:
        super().__init__()
        self.heads, self.norm_first, self.attention_dropout = heads, norm_first, attention_dropout
        self.project_in = nn.Linear(width, 3 * width)
        self.project_out = nn.Linear(width, width)
        self.widen = nn.Linear(width, feed_forward)
        self.narrow = nn.Linear(feed_forward, width)
        self.norm_attention = nn.LayerNorm(width)
        self.norm_feed_forward = nn.LayerNorm(width)
        self.dropout = nn.Dropout(dropout)
        self.attention = Probe(
            "attention",
            ("sample", "head", "query", "key"),
            "How much each visit (query) looks at each earlier visit (key); rows of real visits sum to one, padding is zero.",
            paper="§2.2 MHSA",
        )

    def forward(self, steps: Tensor, packing: Packing) -> Tensor:
        """(step, width) -> (step, width)."""
        query, key, value = self._project(self.norm_attention(steps) if self.norm_first else steps)
        return self._finish(steps, self._attend(query, key, value, packing))

    def last(self, steps: Tensor, packing: Packing) -> Tensor:
        """(step, width) -> (sample, width): the layer's output at each history's latest visit only."""
        query, key, value = self._project(self.norm_attention(steps) if self.norm_first else steps)
        if self.attention.is_overridden:
            attended = self._attend(query, key, value, packing)[packing.last]
        else:
            if self.attention.is_watched:
                self._weights(query, key, packing.padded())
            attended = self._attend_last(query[packing.last], key, value, packing)
        return self._finish(steps[packing.last], attended)

    def _project(self, steps: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        query, key, value = self.project_in(steps).view(len(steps), 3, self.heads, -1).unbind(1)  # (step, head, part)
        return query, key, value

    def _finish(self, steps: Tensor, attended: Tensor) -> Tensor:
        attended = self.dropout(self.project_out(attended))
        if self.norm_first:
            steps = steps + attended
            return steps + self.dropout(self.narrow(self.dropout(F.gelu(self.widen(self.norm_feed_forward(steps))))))
        steps = self.norm_attention(steps + attended)
        return self.norm_feed_forward(steps + self.dropout(self.narrow(self.dropout(F.gelu(self.widen(steps))))))

    def _attend(self, query: Tensor, key: Tensor, value: Tensor, packing: Packing) -> Tensor:
        """(step, head, part) thrice -> (step, width)."""
        if self.attention.is_overridden:
            chunk = packing.padded()
            weights = self._weights(query, key, chunk)
            mixed = torch.einsum("bhqk,bkhd->bqhd", weights, value[chunk.step])
            return mixed[chunk.real].flatten(1)
        if self.attention.is_watched:
            self._weights(query, key, packing.padded())
        rate = self.attention_dropout if self.training else 0.0
        pieces, places = [], []
        for chunk in packing.chunks:
            # Padding stands after every real query, so the causal mask alone keeps it out of sight.
            q, k, v = (part[chunk.step].transpose(1, 2) for part in (query, key, value))  # (row, head, length, part)
            mixed = F.scaled_dot_product_attention(q, k, v, is_causal=True, dropout_p=rate).transpose(1, 2).flatten(2)
            pieces.append(mixed.flatten(0, 1) if chunk.is_full else mixed[chunk.real])
            places.append(chunk.step.flatten() if chunk.is_full else chunk.step[chunk.real])
        return torch.cat(pieces)[_inverse(torch.cat(places))]

    def _attend_last(self, query: Tensor, key: Tensor, value: Tensor, packing: Packing) -> Tensor:
        """Query (sample, head, part), key and value (step, head, part) -> (sample, width)."""
        # One score per (step, head) and a softmax within each history: nothing is padded at all.
        score = (query[packing.sample] * key).sum(-1) / query.shape[-1] ** 0.5
        index = packing.sample[:, None].expand_as(score)
        peak = score.new_full((len(query), self.heads), -torch.inf).scatter_reduce(0, index, score.detach(), "amax")
        weight = (score - peak[packing.sample]).exp()
        weight = weight / torch.zeros_like(peak).index_add(0, packing.sample, weight)[packing.sample]
        weight = F.dropout(weight, self.attention_dropout, self.training)
        mixed = torch.zeros_like(query).index_add(0, packing.sample, weight[..., None] * value)
        return mixed.flatten(1)

    def _weights(self, query: Tensor, key: Tensor, chunk: Chunk) -> Tensor:
        """(row, head, query, key) attention as the probe sees (and may replace) it."""
        score = torch.einsum("bqhd,bkhd->bhqk", query[chunk.step], key[chunk.step]) / query.shape[-1] ** 0.5
        length = chunk.step.shape[1]
        ahead = torch.ones(length, length, dtype=torch.bool, device=score.device).triu(1)
        weights = score.masked_fill(ahead, -torch.inf).softmax(-1) * chunk.real[:, None, :, None]
        return self.attention(weights)


def _similar(lengths: np.ndarray) -> list[np.ndarray]:
    """Sample indices in groups of similar length, longest first."""
    order = np.argsort(-lengths, kind="stable")
    groups, begin = [], 0
    while begin < len(order):
        longest = int(lengths[order[begin]])
        tokens = np.cumsum(lengths[order[begin:]])
        rows = np.arange(1, len(tokens) + 1)
        fits = (rows * longest <= _MOST_WASTE * tokens) | (rows * longest <= _SMALL_CHUNK_TOKENS)
        count = int(np.argmin(fits)) if not fits.all() else len(fits)
        groups.append(order[begin : begin + max(count, 1)])
        begin += max(count, 1)
    return groups


def _pad(start: np.ndarray, lengths: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    position = np.arange(int(lengths.max()))
    real = position[None] < lengths[:, None]
    return start[:, None] + np.minimum(position[None], lengths[:, None] - 1), real


def _inverse(order: Tensor) -> Tensor:
    inverse = torch.empty_like(order)
    inverse[order] = torch.arange(len(order), device=order.device)
    return inverse
