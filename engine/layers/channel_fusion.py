"""Channel-wise fusion of what a cell looks like with what is said about it (LMEMR eq. 5, 6).

The paper's similarity of channels is a sum over all cells of the batch: it grows with their number until each channel listens to a
single one, and editing one cell changes every other. Here it is divided by the square root of the number of cells, and a running
mean of it, kept with the weights, is used whenever the model is not training (as batch normalisation does).
"""

from typing import Literal

import torch
from torch import Tensor, nn

from engine.layers.dropout import Dropout
from engine.probes import Probe

MOMENTUM = 0.1


class ChannelFusion(nn.Module):
    """Adds to each spatial channel a mixture of text channels.

    Args:
        width: Channels.
        similarity: `stored`: the running mean outside training. `batch`: always of the cells at hand, unscaled, as published.
        dropout: After the learned transformation of the mixture.
    """

    stored: Tensor
    is_stored: Tensor

    def __init__(self, width: int, similarity: Literal["stored", "batch"] = "stored", dropout: float = 0.0) -> None:
        super().__init__()
        self.mode = similarity
        self.query, self.key, self.value = nn.Linear(width, width), nn.Linear(width, width), nn.Linear(width, width)
        self.transform = nn.Sequential(nn.Linear(width, width), Dropout(dropout))
        self.register_buffer("stored", torch.full((width, width), 1 / width))
        self.register_buffer("is_stored", torch.zeros((), dtype=torch.bool))
        self.similarity = Probe(
            "similarity",
            ("channel", "text_channel"),
            "How much each spatial channel takes from each text channel; rows sum to one.",
            paper="eq. 5",
        )

    def forward(self, spatial: Tensor, text: Tensor, both: Tensor) -> Tensor:
        """Fuses the branches of one modality.

        Args:
            spatial: (cell, channel).
            text: (cell, channel).
            both: (cell,) bool, where the cell has both; elsewhere `spatial` passes unchanged.

        Returns:
            (cell, channel).
        """
        similarity = self.similarity(self._similarity(spatial, text, both))
        mixed = self.transform(self.value(text) @ similarity.T.to(text.dtype))
        return spatial + mixed * both[:, None]

    def _similarity(self, spatial: Tensor, text: Tensor, both: Tensor) -> Tensor:
        if self.mode == "stored" and not self.training:
            return self.stored
        # The products of thousands of cells do not fit half precision.
        with torch.autocast(spatial.device.type, enabled=False):
            query, key = self.query(spatial.float()) * both[:, None], self.key(text.float())
            logits = query.T @ key
            if self.mode == "stored":
                logits = logits / both.sum().clamp_min(1).sqrt()
            similarity = logits.softmax(1)
        if self.mode == "stored":
            with torch.no_grad():
                self.stored.copy_(torch.where(self.is_stored, self.stored.lerp(similarity, MOMENTUM), similarity))
                self.is_stored.fill_(True)
        return similarity


def row_entropy(similarity: Tensor) -> Tensor:
    """(channel,) entropy of each row as a share of the highest there can be: 1 is uniform, 0 listens to one channel."""
    safe = similarity.clamp_min(1e-12)
    highest = torch.log(torch.tensor(float(similarity.shape[1])))
    return -(safe * safe.log()).sum(1) / highest.clamp_min(1e-12)
