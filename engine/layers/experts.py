"""Role experts as one shared feed-forward network and low-rank terms, and the mixture that takes a feed-forward's place (§7).

An expert is the gated feed-forward of the backbone plus low-rank updates of its three matrices. The published code copies the whole
network once per expert. With `G = x Wg`, `U = x Wu` and `a_k = act(G + x Ag_k Bg_k) * (U + x Au_k Bu_k)` the same output is

    y = (sum_k g_k a_k) Wd + sum_k g_k a_k Ad_k Bd_k

so that the large matrices are kept and multiplied once, whatever the number of experts.
"""

from contextlib import AbstractContextManager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engine.blocks import held
from engine.layers.routing import Choice, RoleRouter
from engine.probes import Probe


class LowRankExperts(nn.Module):
    """Low-rank terms of all experts around one gated feed-forward that they share.

    Args:
        experts: Number of experts.
        width: Width of a token.
        hidden: Hidden width of the feed-forward.
        rank: Rank of a term.
        alpha: Terms are multiplied by alpha / rank.
        dropout: On what the first factors read.
        spread: Standard deviation of the second factors at the start. Zero (as published) makes all experts the same at first, so
            that nothing tells the router which to ask.
    """

    def __init__(
        self, experts: int, width: int, hidden: int, rank: int, alpha: float, dropout: float = 0.0, spread: float = 0.0
    ) -> None:
        super().__init__()
        self.scale = alpha / rank
        self.gate_in, self.gate_out = _factors(experts, width, rank, hidden, spread)
        self.up_in, self.up_out = _factors(experts, width, rank, hidden, spread)
        self.down_in, self.down_out = _factors(experts, hidden, rank, width, spread)
        self.dropout = nn.Dropout(dropout)

    def forward(self, tokens: Tensor, weights: Tensor, base: nn.Module) -> Tensor:
        """The weighted sum of the experts' answers; an expert works only on the tokens that ask it.

        Args:
            tokens: (token, width).
            weights: (token, expert); zero where an expert is not asked.
            base: The shared feed-forward: `gate_proj`, `up_proj`, `down_proj`, `act_fn`.

        Returns:
            (token, width).
        """
        gate, up = base.gate_proj(tokens), base.up_proj(tokens)  # type: ignore[operator]
        source = self.dropout(tokens)
        mixed, low = torch.zeros_like(gate), torch.zeros_like(tokens)
        for expert in range(weights.shape[1]):
            rows = weights[:, expert].nonzero()[:, 0]
            if not len(rows):
                continue
            asked = source[rows]
            opened = torch.addmm(gate[rows], asked @ self.gate_in[expert], self.gate_out[expert], alpha=self.scale)
            lifted = torch.addmm(up[rows], asked @ self.up_in[expert], self.up_out[expert], alpha=self.scale)
            answer = base.act_fn(opened) * lifted * weights[rows, expert, None]  # type: ignore[operator]
            mixed = mixed.index_add(0, rows, answer.to(mixed.dtype))
            change = self.dropout(answer) @ self.down_in[expert] @ self.down_out[expert]
            low = low.index_add(0, rows, change.to(low.dtype), alpha=self.scale)
        down = base.down_proj
        assert isinstance(down, nn.Linear)
        shared = F.linear(mixed, down.weight)
        if down.bias is not None:  # every expert's copy has the bias, so it counts by the weights
            shared = shared + down.bias * weights.sum(-1, keepdim=True)
        return shared + low

    def likeness(self) -> Tensor:
        """(expert, expert) inner products of the experts' updates of all three matrices, without forming a matrix."""
        total = self.gate_in.new_zeros(len(self.gate_in), len(self.gate_in))
        for first, second in ((self.gate_in, self.gate_out), (self.up_in, self.up_out), (self.down_in, self.down_out)):
            left = torch.einsum("edr,fds->efrs", first, first)
            right = torch.einsum("erm,fsm->efrs", second, second)
            total = total + (left * right).sum((-1, -2))
        return self.scale**2 * total


def _factors(experts: int, inner: int, rank: int, outer: int, spread: float) -> tuple[nn.Parameter, nn.Parameter]:
    first = torch.empty(experts, inner, rank).uniform_(-(inner**-0.5), inner**-0.5)
    second = torch.randn(experts, rank, outer) * spread if spread else torch.zeros(experts, rank, outer)
    return nn.Parameter(first), nn.Parameter(second)


@dataclass
class RoutingContext:
    """What a mixture inside the backbone needs besides its tokens; set before a forward pass, dropped after it.

    Attributes:
        history: (sample, history) summary of the long history.
        real: (sample, token) bool, False where padded.
        prefix: Tokens before the first visit (prompt); they are routed but not shown.
        texts: (expert, text) vectors of the experts' texts.
        choice: How experts are chosen.
        weights: Filled by the mixtures: the router's weights of the real tokens, (token, expert) each, for the loss.
    """

    history: Tensor
    real: Tensor
    prefix: int
    texts: Tensor
    choice: Choice
    weights: list[Tensor] = field(default_factory=list)


class RoleMixture(nn.Module):
    """Router, choice and experts of one layer.

    Args:
        experts: Number of experts.
        width, hidden: Of the backbone's feed-forward.
        history, text: Widths of what the router reads besides the token.
        router_hidden, form: As in `RoleRouter`.
        rank, alpha, dropout, spread: As in `LowRankExperts`.
    """

    def __init__(
        self,
        experts: int,
        width: int,
        hidden: int,
        history: int,
        text: int,
        router_hidden: int,
        form: Literal["published", "simple"],
        rank: int,
        alpha: float,
        dropout: float,
        spread: float,
    ) -> None:
        super().__init__()
        self.router = RoleRouter(width, history, text, router_hidden, form)
        self.experts = LowRankExperts(experts, width, hidden, rank, alpha, dropout, spread)
        axes = ("sample", "step", "expert")
        self.raw = Probe("routing", axes, "Weight the router gives each role expert, before the choice.", paper="§7")
        self.routing = Probe("routing", axes, "Weight of each role expert that is asked; zero for the others.", paper="§7")
        self.inputs = Probe(
            "similarity",
            ("sample", "step", "part"),
            "How much the visit, the long history and the role texts each put into the router: lengths of their parts.",
            paper="§12",
        )
        self.output = Probe("embedding", ("sample", "step", "feature"), "What the asked experts together answer for each visit.")

    def forward(self, tokens: Tensor, base: nn.Module, context: RoutingContext) -> Tensor:
        """(sample, token, width) to the same shape; padded tokens get zeros."""
        shape = tokens.shape
        rows = context.real.flatten().nonzero()[:, 0]
        owner = rows // shape[1]
        packed = tokens.reshape(-1, shape[-1])[rows]
        factors = None
        if self.inputs.is_watched:
            shares = self.router.shares(packed, context.history, owner, context.texts)
            changed = self._through(self.inputs, shares, rows, context)
            if self.inputs.is_overridden:  # a part with another length is that part, scaled
                factors = torch.where(shares > 0, changed / shares.clamp_min(1e-12), torch.ones_like(shares))
        weights = self.router(packed, context.history, owner, context.texts, factors)
        context.weights.append(weights)
        weights = self._through(self.raw, weights, rows, context)
        used = self._through(self.routing, context.choice(weights), rows, context)
        answer = self._through(self.output, self.experts(packed, used.to(packed.dtype), base), rows, context)
        return torch.zeros_like(tokens).reshape(-1, shape[-1]).index_copy(0, rows, answer.to(tokens.dtype)).reshape(shape)

    @staticmethod
    def _through(probe: Probe, value: Tensor, rows: Tensor, context: RoutingContext) -> Tensor:
        """Shows packed values to a probe in their places, and takes back what it made of them."""
        if not probe.is_watched:
            return value
        samples, tokens = context.real.shape
        spread = value.new_zeros(samples * tokens, value.shape[-1]).index_copy(0, rows, value).view(samples, tokens, -1)
        shown = probe(spread[:, context.prefix :])
        if not probe.is_overridden:
            return value
        return torch.cat([spread[:, : context.prefix], shown], dim=1).flatten(0, 1)[rows]


class MixtureInPlace(nn.Module):
    """Stands where a backbone layer has its feed-forward, and asks a mixture around that feed-forward.

    The mixture and its probes belong to the model, not to the backbone, and are therefore not registered here.

    Args:
        base: The feed-forward that was there.
        mixture: The mixture.
    """

    def __init__(self, base: nn.Module, mixture: RoleMixture) -> None:
        super().__init__()
        self.base = base
        self._link: tuple[Any] = (mixture,)

    def forward(self, tokens: Tensor) -> Tensor:
        """(sample, token, width) to the same shape."""
        (mixture,), context = self._link, _RUNNING.get()
        assert context is not None, "the backbone was called outside of `during`"
        return mixture(tokens, self.base, context)


_RUNNING: ContextVar[RoutingContext | None] = ContextVar("routing of the running pass", default=None)


def during(context: RoutingContext) -> AbstractContextManager[RoutingContext | None]:
    """Within the block the mixtures inside a stock backbone, whose layers know nothing of it, see this context."""
    return held(_RUNNING, context)
