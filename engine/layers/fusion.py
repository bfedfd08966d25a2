"""From one vector per modality to one vector per cell (LMEMR eq. 12), with missing modalities left out and not zeroed."""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from engine.layers.dropout import Dropout
from engine.layers.self_attention import TokenEncoderLayer
from engine.probes import Probe

FusionKind = Literal["attention", "flatten", "gated", "concatenate", "max"]


class ModalityFusion(nn.Module):
    """Fuses modality tokens.

    Args:
        width: Width of a token and of the answer.
        modalities: Their names, in the order of the tokens.
        kind: `attention`: tokens talk to each other, then a learned query weighs them (the paper's AttnPool). `flatten`: as
            released, tokens joined and projected. `gated`: a softmax gate. `concatenate`: joined without talking. `max`.
        heads, layers, feed_forward: Of the token transformer (`attention` and `flatten`).
        dropout: Throughout.
    """

    def __init__(
        self,
        width: int,
        modalities: Sequence[str],
        kind: FusionKind = "attention",
        heads: int = 2,
        layers: int = 1,
        feed_forward: int | None = None,
        dropout: float = 0.2,
    ) -> None:
        super().__init__()
        self.kind, self.modalities = kind, tuple(modalities)
        self.project = nn.ModuleList(
            nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, width)) for _ in self.modalities
        )
        self.kind_vector = nn.Parameter(torch.randn(len(self.modalities), width) * 0.02)
        talks = kind in ("attention", "flatten")
        self.layers = nn.ModuleList(
            TokenEncoderLayer(
                width,
                heads,
                feed_forward or 4 * width,
                dropout,
                ("cell", "head", "query_modality", "key_modality"),
                "How much each modality of a cell (query) looks at each other one (key).",
                "eq. 12",
            )
            for _ in range(layers if talks else 0)
        )
        if kind == "attention":
            self.norm, self.key, self.ask = nn.LayerNorm(width), nn.Linear(width, width), nn.Parameter(torch.zeros(width))
        elif kind == "gated":
            self.gate = nn.Linear(width, 1)
        elif kind in ("flatten", "concatenate"):
            self.join = nn.Sequential(
                nn.Linear(width * len(self.modalities), width), nn.GELU(), Dropout(dropout), nn.Linear(width, width)
            )
        if kind in ("attention", "gated"):
            self.weight = Probe(
                "routing",
                ("cell", "modality"),
                "How much each modality counts in a cell; rows sum to one, missing modalities are zero.",
                paper="eq. 12 AttnPool" if kind == "attention" else "Table 6",
            )

    def forward(self, tokens: Tensor, present: Tensor) -> Tensor:
        """Fuses.

        Args:
            tokens: (cell, modality, width).
            present: (cell, modality) bool, at least one per cell.

        Returns:
            (cell, width).
        """
        tokens = torch.stack([project(tokens[:, at]) for at, project in enumerate(self.project)], dim=1) + self.kind_vector
        for layer in self.layers:
            tokens = layer(tokens, present)
        if self.kind == "max":
            return tokens.masked_fill(~present[:, :, None], -torch.inf).amax(1)
        if self.kind in ("flatten", "concatenate"):
            return self.join((tokens * present[:, :, None]).flatten(1))
        if self.kind == "attention":
            tokens = self.norm(tokens)
            score = self.key(tokens) @ self.ask / tokens.shape[-1] ** 0.5
        else:
            score = self.gate(tokens)[:, :, 0]
        weight = self.weight(score.masked_fill(~present, -torch.inf).softmax(1))
        return (tokens * weight[:, :, None]).sum(1)
