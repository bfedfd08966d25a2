"""A temporal convolutional network that reads a long history into one vector (NextLocMoE §4; Bai et al. 2018)."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm


class CausalBlock(nn.Module):
    """Dilated causal convolutions with weight normalisation, and a residual connection around them.

    Args:
        channels: Input and output channels.
        kernel: Steps a convolution sees.
        dilation: Distance between these steps.
        convolutions: Convolutions in the block; two as published.
        dropout: After each convolution.
    """

    def __init__(self, channels: int, kernel: int, dilation: int, convolutions: int, dropout: float) -> None:
        super().__init__()
        self.reach = (kernel - 1) * dilation
        self.convolutions = nn.ModuleList(
            weight_norm(nn.Conv1d(channels, channels, kernel, dilation=dilation)) for _ in range(convolutions)
        )
        self.dropout = nn.Dropout(dropout)

    def forward(self, steps: Tensor, real: Tensor) -> Tensor:
        """(sample, channel, step) to the same shape; `real` is (sample, 1, step), 0 where padded.

        Padded steps are set back to zero after every convolution, so that they are to a short history what the zeros before the
        first step are to a long one: an answer does not depend on how far a batch is padded.
        """
        value = steps
        for convolution in self.convolutions:
            value = self.dropout(F.relu(convolution(F.pad(value, (self.reach, 0))))) * real
        return F.relu(steps + value)


class HistoryConvolution(nn.Module):
    """From the visits of a history, oldest first and padded on the left, to one vector.

    Args:
        channels: Width of a visit and of the answer.
        blocks: Blocks; dilations are powers of two from 1.
        kernel: Steps a convolution sees.
        convolutions: Convolutions per block.
        dropout: After each convolution.
    """

    def __init__(self, channels: int, blocks: int = 5, kernel: int = 4, convolutions: int = 2, dropout: float = 0.1) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(CausalBlock(channels, kernel, 2**block, convolutions, dropout) for block in range(blocks))
        self.norm = nn.LayerNorm(channels)
        self.nothing = nn.Parameter(torch.zeros(channels))
        self.receptive_field = 1 + convolutions * (kernel - 1) * (2**blocks - 1)

    def forward(self, steps: Tensor, real: Tensor) -> Tensor:
        """Reads histories.

        Args:
            steps: (sample, step, channel).
            real: (sample, step) bool, False where padded.

        Returns:
            (sample, channel): the last step after the blocks; a learned vector where a history is empty.
        """
        if not steps.shape[1]:
            return self.nothing.expand(len(steps), -1)
        mask = real[:, None].to(steps.dtype)
        value = steps.transpose(1, 2) * mask
        for block in self.blocks:
            value = block(value, mask)
        return torch.where(real[:, -1:], self.norm(value[:, :, -1]), self.nothing)
