"""Self-attention over a few tokens per sample, with weights that can be watched and replaced."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engine.layers.dropout import Dropout
from engine.probes import Probe


class TokenEncoderLayer(nn.Module):
    """A pre-norm transformer encoder layer over short token sequences of equal length.

    Args:
        width: Width of a token.
        heads: Attention heads; they divide the width.
        feed_forward: Hidden width of the position-wise network.
        dropout: After attention and after the network.
        axes: Axes of the attention probe: sample, head, query, key.
        meaning: What the attention weights say.
        paper: Where the paper speaks of them.
    """

    def __init__(
        self, width: int, heads: int, feed_forward: int, dropout: float, axes: Sequence[str], meaning: str, paper: str = ""
    ) -> None:
        super().__init__()
        self.heads = heads
        self.norm_attention, self.norm_feed_forward = nn.LayerNorm(width), nn.LayerNorm(width)
        self.project_in, self.project_out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.widen, self.narrow = nn.Linear(width, feed_forward), nn.Linear(feed_forward, width)
        self.dropout = Dropout(dropout)
        self.attention = Probe("attention", axes, meaning, paper=paper)

    def forward(self, tokens: Tensor, allowed: Tensor | None = None) -> Tensor:
        """Mixes the tokens of each sample.

        Args:
            tokens: (sample, token, width).
            allowed: (sample, token) bool, which tokens may be looked at (at least one per sample); None for all.

        Returns:
            (sample, token, width).
        """
        samples, length, width = tokens.shape
        projected = self.project_in(self.norm_attention(tokens)).view(samples, length, 3, self.heads, width // self.heads)
        query, key, value = projected.permute(2, 0, 3, 1, 4)  # each (sample, head, token, part)
        mask = None if allowed is None else allowed[:, None, None, :]
        if self.attention.is_watched:
            weights = self.attention(attention_weights(query, key, mask))
        if self.attention.is_overridden:
            mixed = weights @ value
        else:
            mixed = F.scaled_dot_product_attention(query, key, value, mask)
        tokens = tokens + self.dropout(self.project_out(mixed.transpose(1, 2).reshape(samples, length, width)))
        return tokens + self.dropout(self.narrow(F.gelu(self.widen(self.norm_feed_forward(tokens)))))


def attention_weights(query: Tensor, key: Tensor, mask: Tensor | None) -> Tensor:
    """(sample, head, query, key) scaled dot-product weights; rows sum to one, zero where the mask is False."""
    scores = query @ key.transpose(-1, -2) / query.shape[-1] ** 0.5
    if mask is not None:
        scores = scores.masked_fill(~mask, -torch.inf)
    return scores.softmax(-1)
