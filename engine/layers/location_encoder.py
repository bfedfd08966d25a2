"""From coordinates to a vector: a grid position code and a residual network, aligned with texts by contrastive learning."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engine.layers.contrastive import info_nce, multi_positive_info_nce
from engine.layers.position import GridPositions
from engine.probes import Probe

_LARGEST_SCALE = math.log(100.0)


class LocationEncoder(nn.Module):
    """CaLLiPer's location encoder: a continuous map of the city, so that any point has a vector, visited or not.

    Args:
        positions: The position code of the input.
        hidden: Width of the residual network.
        blocks: Residual blocks.
        width: Length of a location's vector.
        dropout: Inside the blocks, during pre-training only.
    """

    def __init__(self, positions: GridPositions, hidden: int, blocks: int, width: int, dropout: float) -> None:
        super().__init__()
        self.positions = positions
        self.enter = nn.Linear(positions.width, hidden)
        self.blocks = nn.ModuleList(_Block(hidden, dropout) for _ in range(blocks))
        self.leave = nn.Linear(hidden, width, bias=False)
        self.pe = Probe(
            "embedding", ("location", "feature"), "The grid position code of each location.", paper="§2.1 grid encoding"
        )
        self.loc_emb = Probe(
            "embedding", ("location", "feature"), "The location encoder's vector of each location.", paper="§2.1 location encoder"
        )

    def forward(self, xy: Tensor) -> Tensor:
        """(location, 2) coordinates on the CPU, in the unit of the position code -> (location, feature)."""
        # Coded where they are, since degrees need float64, which not every device has.
        code = self.positions(xy).to(self.enter.weight.device)
        hidden = F.relu(self.enter(self.pe(code)))
        for block in self.blocks:
            hidden = block(hidden)
        return self.loc_emb(self.leave(hidden))

    @property
    def is_probed(self) -> bool:
        """Whether someone listens, so that cached vectors will not do."""
        return self.pe.is_watched or self.loc_emb.is_watched


class _Block(nn.Module):
    def __init__(self, width: int, dropout: float) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(width, width), nn.Linear(width, width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, hidden: Tensor) -> Tensor:
        return hidden + F.relu(self.second(self.dropout(F.relu(self.first(hidden)))))


class TextAlignment(nn.Module):
    """The text side of the contrastive pre-training: a trained projection of frozen text vectors, and the temperature.

    Args:
        text_width: Length of the frozen text vectors.
        width: Length of a location's vector.
        parity: As released: texts keep their length, one right answer per place, the scale is not bounded.
    """

    def __init__(self, text_width: int, width: int, parity: bool = False) -> None:
        super().__init__()
        self.parity = parity
        self.project = nn.Linear(text_width, width)
        self.log_scale = nn.Parameter(torch.tensor(math.log(1 / 0.07)))
        self.txt_proj = Probe(
            "embedding", ("text", "feature"), "Each text's vector after the trained projection.", paper="§2.1 POI descriptions"
        )
        self.sim = Probe(
            "similarity", ("location", "text"), "Cosine similarity of each location with each text.", paper="§2.1 contrastive loss"
        )

    def similarity(self, locations: Tensor, texts: Tensor) -> Tensor:
        """(location, feature) vectors and (text, dimension) frozen text vectors -> (location, text) cosine.

        With parity the text side keeps its length, as released.
        """
        projected = self.txt_proj(self.project(texts))
        if not self.parity:
            projected = F.normalize(projected, dim=-1)
        return self.sim(F.normalize(locations, dim=-1) @ projected.T)

    @property
    def scale(self) -> Tensor:
        """The factor on similarities (an inverse temperature), at most 100 unless parity is asked for."""
        return (self.log_scale if self.parity else self.log_scale.clamp(max=_LARGEST_SCALE)).exp()

    def loss(self, locations: Tensor, texts: Tensor, group: Tensor) -> Tensor:
        """The contrastive loss of a batch in nats.

        Args:
            locations: (item, feature) location vectors.
            texts: (item, dimension) frozen text vectors.
            group: (item,) equal where texts are equal.
        """
        scaled = self.scale * self.similarity(locations, texts)
        return info_nce(scaled) if self.parity else multi_positive_info_nce(scaled, group)
