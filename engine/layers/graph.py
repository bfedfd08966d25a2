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

from engine.probes import Probe

GraphKind = Literal["attention", "mean", "self", "none"]

EVEN_START = 0.1
"""Scale of a fresh attention's preferences beside an own path: it begins near the mean and learns whom to prefer."""


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
        beside_own_path: Whether what is read here is added to a layer that a cell has to itself. Then every one counts nearly alike at
            the start (`EVEN_START`), and the weights divide the messages alone.
    """

    def __init__(
        self,
        width_in: int,
        width_out: int,
        heads: int,
        concatenate: bool = True,
        dropout: float = 0.2,
        slope: float = 0.2,
        beside_own_path: bool = False,
    ) -> None:
        super().__init__()
        self.heads, self.width_out, self.concatenate, self.rate, self.slope = heads, width_out, concatenate, dropout, slope
        self.project = nn.Linear(width_in, heads * width_out, bias=False)
        self.as_source = nn.Parameter(torch.empty(heads, width_out))
        self.as_target = nn.Parameter(torch.empty(heads, width_out))
        self.bias = nn.Parameter(torch.zeros(heads * width_out if concatenate else width_out))
        for weight in (self.project.weight, self.as_source, self.as_target):
            nn.init.xavier_uniform_(weight)
        if beside_own_path:
            with torch.no_grad():
                self.as_source.mul_(EVEN_START)
                self.as_target.mul_(EVEN_START)
        self.attention = Probe(
            "graph",
            ("cell", "head", "neighbour"),
            "How much of a cell's messages comes from itself (slot 0) and from each neighbour; rows sum to one, unused slots are zero."
            + (" What the cell keeps by a layer of its own is not in these weights." if beside_own_path else ""),
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

    In the published block a cell's own vector reaches the layer only as one part of a mixture with its neighbours. With an own path
    the cell has a layer to itself, as under `self`, and the messages are added with a learnt gain per channel that starts small.

    Args:
        width_in, width_out: Widths of a cell's vector before and after.
        heads: Attention heads; joined heads share `width_out`.
        concatenate: Whether heads are joined.
        kind: `attention`; `mean` of the neighbours; `self`: the same layers without any neighbour.
        dropout: After the messages and on attention weights.
        skip: Whether the residual connection is there.
        own_path: Whether a cell has a layer to itself beside the messages.
        gain: Of the messages at the start, where there is an own path.
    """

    gain: Tensor | None

    def __init__(
        self,
        width_in: int,
        width_out: int,
        heads: int,
        concatenate: bool,
        kind: GraphKind,
        dropout: float,
        skip: bool = True,
        own_path: bool = False,
        gain: float = 0.1,
    ) -> None:
        super().__init__()
        self.kind, self.has_skip = kind, skip
        self.norm = nn.LayerNorm(width_in)
        self.messages: nn.Module
        if kind == "attention":
            self.messages = GraphAttention(
                width_in,
                width_out // heads if concatenate else width_out,
                heads,
                concatenate,
                dropout,
                beside_own_path=own_path,
            )
        elif kind == "mean":
            self.messages = GraphMean(width_in, width_out)
        else:
            self.messages = nn.Linear(width_in, width_out)
        has_own_path = own_path and kind != "self"
        self.own = nn.Linear(width_in, width_out) if has_own_path else None
        self.gain = nn.Parameter(torch.full((width_out,), gain)) if has_own_path else None
        self.dropout = nn.Dropout(dropout)
        self.skip = nn.Linear(width_in, width_out) if skip and width_in != width_out else nn.Identity()

    def forward(self, cells: Tensor, neighbours: Neighbours) -> Tensor:
        """(cell, width_in) -> (cell, width_out)."""
        normal = self.norm(cells)
        passed = self.messages(normal) if self.kind == "self" else self.messages(normal, neighbours)
        if self.own is None or self.gain is None:
            passed = F.gelu(passed)
        else:
            passed = F.gelu(self.own(normal)) + self.gain * passed
        passed = self.dropout(passed)
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
        own_path, gain: See `GraphBlock`.
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
        own_path: bool = False,
        gain: float = 0.1,
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
            self.blocks.append(GraphBlock(before, after, heads_here, not is_last, kind, dropout, skip, own_path, gain))

    def forward(self, cells: Tensor, neighbours: Neighbours) -> Tensor:
        """(cell, width) -> (cell, width)."""
        for block in self.blocks:
            cells = block(cells, neighbours)
        return cells


class SurroundingsReadout(nn.Module):
    """A linear reading of what a cell holds and of what lies around it, one number per cell and answer.

    Beside the graph, whose layers must first learn to average: the means of the neighbours, of their neighbours and so on are given,
    and only their weights are learnt. A smooth field around a cell (how much can be reached from it) is such a sum.

    Args:
        width: Width of a cell's vector.
        answers: How many numbers are read (hours).
        steps: How far around; 0 reads the cell alone.
        answer_axis: Name of that axis, for the probe.
    """

    def __init__(self, width: int, answers: int, steps: int, answer_axis: str = "hour") -> None:
        super().__init__()
        self.steps = steps
        # Starts at nothing, so that training begins with the network beside it.
        self.weight = nn.Parameter(torch.zeros(1 + steps, width, answers))
        self.unit = (width * (1 + steps)) ** -0.5
        self.part = Probe(
            "curve",
            ("cell", "step", answer_axis),
            "What the cell itself (step 0) and the means of the cells around it (1 is its neighbours) add to the answer, linearly.",
        )

    def forward(self, cells: Tensor, neighbours: Neighbours) -> Tensor:
        """(cell, width) -> (cell, answer)."""
        around = torch.stack(means_around(cells, neighbours, self.steps), dim=1)
        return self.part(torch.einsum("nsw,swa->nsa", around, self.weight) * self.unit).sum(1)


def means_around(cells: Tensor, neighbours: Neighbours, steps: int) -> list[Tensor]:
    """The vectors themselves, the means of their neighbours, the means of those means, and so on; zeros where a cell is alone.

    Args:
        cells: (cell, width).
        neighbours: Who is joined to whom; a cell does not count as its own neighbour here.
        steps: How many means; the last knows cells within as many steps.

    Returns:
        `1 + steps` tensors (cell, width).
    """
    index, real = neighbours.index[:, 1:], neighbours.real[:, 1:]
    share = (real / real.sum(1, keepdim=True).clamp_min(1)).to(cells.dtype)
    count, slots = index.shape
    found = [cells]
    for _ in range(steps):
        found.append((found[-1].index_select(0, index.flatten()).view(count, slots, cells.shape[1]) * share[..., None]).sum(1))
    return found
