"""From one vector per cell to one per cell and hour (LMEMR eq. 13): the hours of a day, and how they look at each other."""

import math
from typing import Literal

import torch
from torch import Tensor, nn

from engine.layers.dropout import Dropout
from engine.layers.self_attention import TokenEncoderLayer
from engine.probes import Probe

HOURS = 24


class HourlyEncoder(nn.Module):
    """Conditions a cell's vector on each hour and lets the hours exchange what they know.

    Args:
        width: Width in and out.
        conditioning: `embedding`: the paper's learned hour vectors. `convolution`: as released, a scale and an offset per hour,
            then a sinusoidal position code.
        hour_width: Length of an hour vector.
        layers, heads, feed_forward: Of the temporal encoder.
        dropout: Throughout.
    """

    def __init__(
        self,
        width: int,
        conditioning: Literal["embedding", "convolution"] = "embedding",
        hour_width: int = 32,
        layers: int = 2,
        heads: int = 4,
        feed_forward: int | None = None,
        dropout: float = 0.2,
    ) -> None:
        super().__init__()
        self.conditioning = conditioning
        if conditioning == "embedding":
            self.hour = nn.Parameter(torch.randn(HOURS, hour_width))
            self.mix = nn.Linear(width + hour_width, width)
        else:
            self.scale, self.offset = nn.Parameter(torch.randn(HOURS)), nn.Parameter(torch.zeros(HOURS))
            self.mix = nn.Linear(width, width)
            self.register_buffer("position", sinusoidal_position(HOURS, width), persistent=False)
            self.dropout = Dropout(dropout / 2)
        self.layers = nn.ModuleList(
            TokenEncoderLayer(
                width,
                heads,
                feed_forward or 4 * width,
                dropout,
                ("cell", "head", "query_hour", "key_hour"),
                "How much each hour of a cell (query) looks at each other hour (key).",
                "§3.5.3 TransformerEncoder",
            )
            for _ in range(layers)
        )
        self.hour_vector = Probe("embedding", ("hour", "feature"), "The trained vector of each hour of the day.", paper="eq. 13")
        self.encoded = Probe("embedding", ("cell", "hour", "feature"), "Each cell at each hour, before the head.", paper="§3.5.3 U")

    def forward(self, cells: Tensor) -> Tensor:
        """(cell, width) -> (cell, hour, width)."""
        if self.conditioning == "embedding":
            hours = self.hour_vector(self.hour)
            width = cells.shape[1]
            # A linear map of [z | e] is a map of z plus a map of e: no need to repeat z for 24 hours.
            from_cell, from_hour = cells @ self.mix.weight[:, :width].T, hours @ self.mix.weight[:, width:].T
            steps = nn.functional.gelu(from_cell[:, None] + from_hour[None] + self.mix.bias)
        else:
            hours = self.hour_vector(torch.stack([self.scale, self.offset], dim=1))
            steps = self.mix(cells[:, None] * hours[None, :, :1] + hours[None, :, 1:])
            steps = self.dropout(steps + self.position)
        for layer in self.layers:
            steps = layer(steps)
        return self.encoded(steps)


def sinusoidal_position(length: int, width: int) -> Tensor:
    """(length, width) sines and cosines of geometrically spaced frequencies (Vaswani et al. 2017)."""
    place = torch.arange(length)[:, None]
    frequency = torch.exp(-math.log(10_000.0) * torch.arange(0, width, 2) / width)
    code = torch.zeros(length, width)
    code[:, 0::2] = torch.sin(place * frequency)
    code[:, 1::2] = torch.cos(place * frequency)[:, : width // 2]
    return code
