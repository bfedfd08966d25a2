"""Message passing between neighbouring cells: residual blocks of graph attention (GAT), its mean (GCN), or none.

Neighbours stand in a table (cell, slot) instead of a list of edges. A cell's answer is then computed from its own row alone, in a
fixed order: the same bits whatever happens to cells out of reach, on any device, and a pass that can be watched per cell.
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engine.layers.dropout import Dropout
from engine.probes import Probe

GraphKind = Literal["attention", "mean", "self", "none"]


@dataclass(frozen=True, eq=False)
class Neighbours:
    """Who passes messages to whom.

    Attributes:
        index: (cell, slot) int64 sources; slot 0 is the cell itself. Unused slots hold the cell itself too.
        real: (cell, slot) bool, which slots are used.
    """

    index: Tensor
    real: Tensor

    @property
    def count(self) -> Tensor:
        """(cell,) used slots: the degree plus one."""
        return self.real.sum(1)

    def to(self, device: torch.device) -> "Neighbours":
        """The same table on a device."""
        return Neighbours(self.index.to(device), self.real.to(device))


def neighbours_of(edges: np.ndarray, cells: int) -> Neighbours:
    """The table of a graph with self-loops added, so that isolated cells keep themselves.

    Args:
        edges: (edge, 2) source and target, as from `city.graphs.adjacency`; loops and repetitions are ignored.
        cells: How many cells there are.
    """
    edges = np.unique(np.asarray(edges, np.int64).reshape(-1, 2), axis=0)
    edges = edges[edges[:, 0] != edges[:, 1]]
    edges = edges[np.lexsort((edges[:, 0], edges[:, 1]))]
    degree = np.bincount(edges[:, 1], minlength=cells)
    index = np.repeat(np.arange(cells)[:, None], 1 + int(degree.max(initial=0)), axis=1)
    start = np.cumsum(degree) - degree
    slot = np.arange(len(edges)) - start[edges[:, 1]] + 1
    index[edges[:, 1], slot] = edges[:, 0]
    real = np.arange(index.shape[1]) <= degree[:, None]
    return Neighbours(torch.from_numpy(index), torch.from_numpy(real))


class GraphAttention(nn.Module):
    """Graph attention (Velickovic et al. 2018; LMEMR eq. 8, 9): each cell weighs itself and its neighbours.

    Args:
        width_in: Width of a cell's vector.
        width_out: Width per head.
        heads: Attention heads.
        concatenate: Whether heads are joined (else averaged).
        dropout: On attention weights.
        slope: Negative slope of the LeakyReLU.
    """

    def __init__(
        self,
        width_in: int,
        width_out: int,
        heads: int,
        concatenate: bool = True,
        dropout: float = 0.2,
        slope: float = 0.2,
    ) -> None:
        super().__init__()
        self.heads, self.width_out, self.concatenate, self.rate, self.slope = heads, width_out, concatenate, dropout, slope
        self.project = nn.Linear(width_in, heads * width_out, bias=False)
        self.as_source = nn.Parameter(torch.empty(heads, width_out))
        self.as_target = nn.Parameter(torch.empty(heads, width_out))
        self.bias = nn.Parameter(torch.zeros(heads * width_out if concatenate else width_out))
        for weight in (self.project.weight, self.as_source, self.as_target):
            nn.init.xavier_uniform_(weight)
        self.attention = Probe(
            "graph",
            ("cell", "head", "neighbour"),
            "How much of a cell's messages comes from itself (slot 0) and from each neighbour; rows sum to one, unused slots are zero. "
            "What the residual carries past the layer is not in these weights.",
            paper="eq. 9",
        )

    def forward(self, cells: Tensor, neighbours: Neighbours) -> Tensor:
        """(cell, width_in) -> (cell, heads * width_out), or (cell, width_out) for averaged heads."""
        count, slots = neighbours.index.shape
        sent = self.project(cells).view(count, self.heads, self.width_out)
        from_source, from_target = (sent * self.as_source).sum(-1), (sent * self.as_target).sum(-1)  # (cell, head)
        flat = neighbours.index.flatten()
        score = F.leaky_relu(from_source.index_select(0, flat).view(count, slots, self.heads) + from_target[:, None], self.slope)
        score = score.masked_fill(~neighbours.real[:, :, None], -torch.inf)
        weight = self.attention(score.softmax(1).transpose(1, 2))  # (cell, head, slot)
        weight = F.dropout(weight, self.rate, self.training).transpose(1, 2)
        gathered = sent.index_select(0, flat).view(count, slots, self.heads, self.width_out)
        mixed = (gathered * weight[..., None]).sum(1)
        return (mixed.flatten(1) if self.concatenate else mixed.mean(1)) + self.bias


class GraphMean(nn.Module):
    """Graph convolution (Kipf and Welling 2017): neighbours by the symmetrically normalised adjacency with self-loops."""

    def __init__(self, width_in: int, width_out: int) -> None:
        super().__init__()
        self.project = nn.Linear(width_in, width_out)

    def forward(self, cells: Tensor, neighbours: Neighbours) -> Tensor:
        """(cell, width_in) -> (cell, width_out)."""
        count, slots = neighbours.index.shape
        scale = neighbours.count.to(cells.dtype).rsqrt()
        weight = scale[:, None] * scale[neighbours.index] * neighbours.real
        sent = self.project(cells)
        return (sent.index_select(0, neighbours.index.flatten()).view(count, slots, -1) * weight[..., None]).sum(1)


class GraphBlock(nn.Module):
    """Normalise, pass messages, GELU, dropout, add to what was there (LMEMR eq. 8-10).

    The skip is the identity where widths agree and a linear map elsewhere; the released code has no skip where they agree.

    Args:
        width_in, width_out: Widths of a cell's vector before and after.
        heads: Attention heads; joined heads share `width_out`.
        concatenate: Whether heads are joined.
        kind: `attention`; `mean` of the neighbours; `self`: the same layers without any neighbour.
        dropout: After the messages and on attention weights.
        skip: Whether the residual connection is there.
    """

    def __init__(
        self,
        width_in: int,
        width_out: int,
        heads: int,
        concatenate: bool,
        kind: GraphKind,
        dropout: float,
        skip: bool = True,
    ) -> None:
        super().__init__()
        self.kind, self.has_skip = kind, skip
        self.norm = nn.LayerNorm(width_in)
        self.messages: nn.Module
        if kind == "attention":
            self.messages = GraphAttention(width_in, width_out // heads if concatenate else width_out, heads, concatenate, dropout)
        elif kind == "mean":
            self.messages = GraphMean(width_in, width_out)
        else:
            self.messages = nn.Linear(width_in, width_out)
        self.dropout = Dropout(dropout)
        self.skip = nn.Linear(width_in, width_out) if skip and width_in != width_out else nn.Identity()

    def forward(self, cells: Tensor, neighbours: Neighbours) -> Tensor:
        """(cell, width_in) -> (cell, width_out)."""
        normal = self.norm(cells)
        passed = self.messages(normal) if self.kind == "self" else self.messages(normal, neighbours)
        passed = self.dropout(F.gelu(passed))
        return self.skip(cells) + passed if self.has_skip else passed


class GraphContext(nn.Module):
    """Blocks one after another: cells come out knowing what lies within as many steps as there are blocks.

    Args:
        width: Width of a cell's vector before and after.
        hidden: Width between blocks, divided by the heads.
        heads: Attention heads of all blocks but the last, which has one.
        blocks: How many; the last maps back to `width`.
        kind: See `GraphBlock`; `none` passes cells through untouched.
        dropout: See `GraphBlock`.
        skips_everywhere: Off: as released, no skip where widths agree.
    """

    def __init__(
        self,
        width: int,
        hidden: int,
        heads: int,
        blocks: int,
        kind: GraphKind,
        dropout: float,
        skips_everywhere: bool = True,
    ) -> None:
        super().__init__()
        self.blocks = nn.ModuleList()
        if kind == "none":
            return
        widths = [width, *[hidden] * (blocks - 1), width]
        for number, (before, after) in enumerate(pairwise(widths)):
            is_last = number == blocks - 1
            skip = skips_everywhere or before != after
            heads_here = 1 if is_last else heads
            self.blocks.append(GraphBlock(before, after, heads_here, not is_last, kind, dropout, skip))

    def forward(self, cells: Tensor, neighbours: Neighbours) -> Tensor:
        """(cell, width) -> (cell, width)."""
        for block in self.blocks:
            cells = block(cells, neighbours)
        return cells
