"""Contrastive alignment of two views of the same things, with several right answers per thing.

Places of one category share one text. Treating the other places of the category as wrong answers (InfoNCE as published) asks the
impossible; here the target mass is spread over all items of the batch that carry the same text.
"""

import math

import torch
from torch import Tensor


def multi_positive_info_nce(similarity: Tensor, group: Tensor) -> Tensor:
    """Symmetric InfoNCE whose targets are uniform over the items of the same group.

    Args:
        similarity: (item, item) scaled similarity of view A (rows) and view B (columns).
        group: (item,) equal for items that are right answers to each other.

    Returns:
        The mean of both directions' cross-entropies, in nats. With one item per group this is the published loss.
    """
    same = (group[:, None] == group[None, :]).to(similarity.dtype)
    target = same / same.sum(1, keepdim=True)  # symmetric: a group's rows and columns have equal sums
    by_row = -(target * similarity.log_softmax(1)).sum(1).mean()
    by_column = -(target * similarity.log_softmax(0)).sum(0).mean()
    return (by_row + by_column) / 2


def info_nce(similarity: Tensor) -> Tensor:
    """Symmetric InfoNCE as published: the only right answer of an item is itself."""
    return multi_positive_info_nce(similarity, torch.arange(len(similarity), device=similarity.device))


def contrastive_floor(group: Tensor) -> float:
    """The loss of a model that knows every item's group and nothing else, in nats: the mean log of the group sizes."""
    _, inverse, counts = torch.unique(group, return_inverse=True, return_counts=True)
    return float(counts[inverse].double().log().mean())


def normalised_score(loss: float, group: Tensor) -> float:
    """Where a loss lies between chance (0) and perfect knowledge of the groups (1); comparable across batch sizes."""
    chance, floor = math.log(len(group)), contrastive_floor(group)
    return (chance - loss) / (chance - floor) if chance > floor else 0.0
