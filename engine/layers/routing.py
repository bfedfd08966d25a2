"""Which experts are asked: the choices of NextLocMoE, the router of its role experts, and what keeps a router from collapsing."""

import math
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

RoutingMode = Literal["top_p", "topk", "dense", "released"]


@dataclass(frozen=True)
class Choice:
    """How experts are chosen from a router's weights.

    Attributes:
        mode: top_p: the fewest experts that together hold the threshold. topk: always the same number. dense: all. released: what
            the published code does instead of top_p (`keep_released`).
        threshold: Weight that the chosen experts must reach together (top_p, released).
        cap: Most experts that are asked (top_p).
        count: Experts that are asked (topk).
        renormalise: Whether the weights of the chosen are made to sum to one.
    """

    mode: RoutingMode = "top_p"
    threshold: float = 0.8
    cap: int = 5
    count: int = 2
    renormalise: bool = True

    def __call__(self, weights: Tensor) -> Tensor:
        """(..., expert) router weights to the weights that are used: zero for experts that are not asked."""
        if self.mode == "top_p":
            keep = keep_top_p(weights, self.threshold, self.cap)
        elif self.mode == "topk":
            keep = keep_topk(weights, self.count)
        elif self.mode == "released":
            keep = keep_released(weights, self.threshold)
        else:
            keep = torch.ones_like(weights, dtype=torch.bool)
        used = weights * keep
        if self.renormalise:
            total = used.sum(-1, keepdim=True)
            used = torch.where(total > 0, used / total.clamp_min(1e-12), used)
        return used

    def sentence(self) -> str:
        """The choice in words."""
        how = {
            "top_p": f"the fewest experts that together hold {self.threshold:.0%} of the weight, at most {self.cap}",
            "topk": f"the {self.count} experts with the largest weights",
            "dense": "all experts",
            "released": "all experts but one, as the published code does",
        }[self.mode]
        return f"Asked are {how}; their weights are {'made to sum to one' if self.renormalise else 'used as they are'}."


def keep_top_p(weights: Tensor, threshold: float, cap: int) -> Tensor:
    """(..., expert) bool: the smallest set of experts, heaviest first, whose weights reach the threshold; at most `cap`.

    Among equal weights the expert that comes first is taken first. The heaviest is always kept.
    """
    ordered, order = weights.sort(dim=-1, descending=True, stable=True)
    before = ordered.cumsum(-1) - ordered
    keep = before < threshold
    keep[..., cap:] = False
    keep[..., 0] = True
    return torch.zeros_like(keep).scatter(-1, order, keep)


def keep_topk(weights: Tensor, count: int) -> Tensor:
    """(..., expert) bool: the `count` heaviest experts; among equal weights those that come first."""
    order = weights.argsort(dim=-1, descending=True, stable=True)[..., :count]
    return torch.zeros_like(weights, dtype=torch.bool).scatter(-1, order, True)


def keep_released(weights: Tensor, threshold: float) -> Tensor:
    """(..., expert) bool: what the published code keeps (specification §7).

    It finds the expert at which the sorted weights cross the threshold, and then drops the expert whose *rank* equals that
    expert's *index*: exactly one is dropped, which may be the heaviest.
    """
    ordered, order = weights.sort(dim=-1, descending=True, stable=True)
    crosses = (ordered.cumsum(-1) >= threshold).to(torch.int8).argmax(-1, keepdim=True)  # 0 where rounding never lets it cross
    dropped = order.gather(-1, order.gather(-1, crosses))
    return torch.ones_like(weights, dtype=torch.bool).scatter(-1, dropped, False)


def token_entropy(weights: Tensor) -> Tensor:
    """Mean entropy of the rows of (token, expert) weights, in nats: how undecided the router is about a visit."""
    return -(weights * weights.clamp_min(1e-12).log()).sum(-1).mean()


def window_entropy(weights: Tensor, owner: Tensor) -> Tensor:
    """Mean entropy of the mean weights of each window, in nats: how many experts one person's visits are spread over.

    Args:
        weights: (token, expert).
        owner: (token,) the window of each token.
    """
    windows = int(owner.max()) + 1 if len(owner) else 0
    count = torch.bincount(owner, minlength=windows).to(weights.dtype)
    total = weights.new_zeros(windows, weights.shape[1]).index_add(0, owner, weights)
    return token_entropy(total[count > 0] / count[count > 0, None])


def load_entropy(weights: Tensor) -> Tensor:
    """Entropy of the mean of (token, expert) weights, in nats: how evenly the experts are used over all visits."""
    mean = weights.mean(0)
    return -(mean * mean.clamp_min(1e-12).log()).sum()


def load_floor(weights: Tensor) -> Tensor:
    """Mean log of the mean of (token, expert) weights, over that of even ones: 0 where all are used alike, far below where one is not.

    An expert that is hardly asked hardly moves the entropy of the load, so nothing brings it back; its log it moves as much as ever.
    """
    return weights.mean(0).clamp_min(1e-9).log().mean() + math.log(weights.shape[1])


class RoleRouter(nn.Module):
    """Scores every expert for every token from the token, the long history and the expert's text (NextLocMoE §7).

    Published is one matrix over `[token; history; text]` for each pair of token and expert. The matrix falls into three blocks,
    so each part is multiplied once and the results are added: the same numbers (tested) with a fraction of the work.

    Args:
        width: Width of a token.
        history: Width of the summary of the history.
        text: Width of an expert's text vector.
        hidden: Hidden width.
        form: published: a second matrix and a layer normalisation before the score. simple: the score directly from the hidden layer.
    """

    def __init__(self, width: int, history: int, text: int, hidden: int, form: Literal["published", "simple"]) -> None:
        super().__init__()
        self.of_token = nn.Linear(width, hidden)
        self.of_history = nn.Linear(history, hidden, bias=False)
        self.of_text = nn.Linear(text, hidden, bias=False)
        self.form = form
        if form == "published":
            self.widen = nn.Linear(hidden, width)
            self.norm = nn.LayerNorm(width)
        self.score = nn.Linear(width if form == "published" else hidden, 1)

    def forward(self, tokens: Tensor, history: Tensor, owner: Tensor, texts: Tensor, factors: Tensor | None = None) -> Tensor:
        """Weights of the experts.

        Args:
            tokens: (token, width).
            history: (sample, history).
            owner: (token,) the sample of each token.
            texts: (expert, text).
            factors: (token, 3) what the parts of token, history and texts are multiplied by; None for one.

        Returns:
            (token, expert), rows sum to one.
        """
        of_history, of_text = self.of_history(history)[owner], self.of_text(texts)
        if factors is None:
            hidden = F.relu((self.of_token(tokens) + of_history)[:, None] + of_text)  # (token, expert, hidden)
        else:
            own = F.linear(tokens, self.of_token.weight) * factors[:, :1] + of_history * factors[:, 1:2] + self.of_token.bias
            hidden = F.relu(own[:, None] + of_text * factors[:, 2, None, None])
        if self.form == "published":
            hidden = self.norm(F.relu(self.widen(hidden)))
        return self.score(hidden)[..., 0].softmax(-1)

    def shares(self, tokens: Tensor, history: Tensor, owner: Tensor, texts: Tensor) -> Tensor:
        """(token, 3) lengths of what the token, the history and (on average) the texts contribute to the hidden layer."""
        of_text = self.of_text(texts).norm(dim=-1).mean().expand(len(tokens))
        of_token = F.linear(tokens, self.of_token.weight).norm(dim=-1)
        return torch.stack([of_token, self.of_history(history).norm(dim=-1)[owner], of_text], dim=-1)
