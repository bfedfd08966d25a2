"""Exploration near what a person knows: how a place nobody visited yet is judged by where, and to what kinds, the person goes.

People explore around their anchors (Pappalardo et al. 2015, "Returners and explorers dichotomy in human mobility") and keep to kinds
of places they like. Of every known place a small scorer says how much it counts at the moment, once as an anchor in space, once as an
example of a kind. A candidate then gains by the logarithm of

    space:  sum over anchors a, the candidate left out, of weight(a) * exp(-distance(a, candidate) / reach), for two reaches
    kind:   share of the candidate's category among the known places, exact and blurred over categories of like text

each with a strength read from the history. All of it needs a position and a category and nothing else, so that any new place takes
part; nothing is fitted per place.
"""

import numpy as np
import torch
from torch import Tensor, nn

from engine.layers.visit_memory import KNOWN_FEATURES, KnownPlaces
from engine.probes import Probe

REACHES_M = (300.0, 1200.0)
ANCHORS = 6
_FLOOR = 1e-3
_SMOOTHING_M = 50.0


class PersonalAffinity(nn.Module):
    """What the head gains for candidates that suit the person.

    Args:
        width: Width of the summary of a history.
        hidden: Hidden width of the scorer.
        dropout: In the scorer.
    """

    def __init__(self, width: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.context = nn.Linear(width, hidden)
        self.describe = nn.Linear(len(KNOWN_FEATURES), hidden)
        self.score = nn.Linear(hidden, 2)
        self.dropout = nn.Dropout(dropout)
        self.sharpness = nn.Parameter(torch.tensor(2.0))  # logarithm; of the blur over categories
        self.strength = nn.Linear(width, len(REACHES_M) + 2)
        self.near = Probe("curve", ("sample", "location"), "What each place gains by lying near the places the person knows.")
        self.kind = Probe("curve", ("sample", "location"), "What each place gains by the kinds of places the person goes to.")

    def initialise(self) -> None:
        """Strengths that do not depend on the history yet."""
        nn.init.zeros_(self.strength.weight)
        nn.init.constant_(self.strength.bias, 0.3)

    def forward(
        self, summary: Tensor, known: KnownPlaces, metres: Tensor, category: Tensor, category_vectors: Tensor, chosen: Tensor
    ) -> Tensor:
        """What the chosen places gain.

        Args:
            summary: (sample, width).
            known: The known places of the samples.
            metres: (location, 2).
            category: (location,) int64.
            category_vectors: (category, dimension) text vectors; (category, 0) where the model reads no text.
            chosen: (candidate,) int64 places.

        Returns:
            (sample, candidate) to be added to the head's logits; zero for samples that know no place.
        """
        device = summary.device
        logits = torch.zeros(len(summary), len(chosen), device=device)
        if not len(known.place):
            return self.near(logits) + self.kind(logits)
        sample, place = torch.from_numpy(known.sample).to(device), torch.from_numpy(known.place).to(device)
        hidden = torch.relu(self.describe(torch.from_numpy(known.features).to(device)) + self.context(summary)[sample])
        weight = packed_softmax(self.score(self.dropout(hidden)), sample, len(summary))  # (known, 2)
        knows = torch.from_numpy(known.count > 0).to(summary)[:, None]
        strength = self.strength(summary) * knows
        near = logits
        anchor, share = strongest(weight[:, 0], known, ANCHORS)
        for number, density in enumerate(_densities(metres, place[anchor], share, chosen)):
            near = near + strength[:, number, None] * density
        shares = torch.zeros(len(summary), len(category_vectors), device=device)
        shares = shares.index_put((sample, category[place]), weight[:, 1], accumulate=True)
        blurred = shares @ category_likeness(category_vectors, self.sharpness.exp())
        of_kind = sum(
            strength[:, number + len(REACHES_M), None] * (table + _FLOOR * 10).log()
            for number, table in enumerate((shares, blurred))
        )
        kind = of_kind[:, category[chosen]]
        return self.near(near) + self.kind(kind)


def packed_softmax(score: Tensor, sample: Tensor, samples: int) -> Tensor:
    """(row, channel) scores to weights that sum to one over the rows of each sample."""
    index = sample[:, None].expand_as(score)
    peak = score.new_full((samples, score.shape[1]), -torch.inf).scatter_reduce(0, index, score.detach(), "amax")
    weight = (score - peak[sample]).exp()
    total = weight.new_zeros(samples, score.shape[1]).index_add(0, sample, weight)
    return weight / total[sample]


def strongest(weight: Tensor, known: KnownPlaces, most: int) -> tuple[Tensor, Tensor]:
    """The strongest known places of every sample.

    Returns:
        (sample, rank) int64 positions in the known places, and (sample, rank) their shares, summing to one; zero beyond the last.
    """
    first = np.cumsum(known.count) - known.count
    order = np.lexsort((-weight.detach().cpu().numpy(), known.sample))
    rank = np.arange(most)
    there = rank < known.count[:, None]
    at = torch.from_numpy(order[np.where(there, first[:, None] + rank, 0)]).to(weight.device)
    share = weight[at] * torch.from_numpy(there).to(weight)
    return at, share / share.sum(1, keepdim=True).clamp_min(1e-12)


def category_likeness(vectors: Tensor, sharpness: Tensor) -> Tensor:
    """(category, category) rows that sum to one: a softmax over the cosines of the categories' texts."""
    if not vectors.shape[1]:
        return torch.eye(len(vectors), device=vectors.device)
    unit = nn.functional.normalize(vectors, dim=1)
    return (sharpness * (unit @ unit.T)).softmax(1)


def _densities(metres: Tensor, anchor: Tensor, share: Tensor, chosen: Tensor) -> list[Tensor]:
    """(sample, candidate) logarithm of the kernel density of the anchors at the candidates, per reach."""
    places, row = torch.unique(anchor, return_inverse=True)
    apart = torch.cdist(metres[places], metres[chosen], compute_mode="donot_use_mm_for_euclid_dist")
    # Nobody tells places apart that are nearer than their positions are exact.
    apart = (apart.square() + _SMOOTHING_M**2).sqrt() - _SMOOTHING_M
    itself = places[:, None] == chosen  # a place is not explored because it is known
    found = []
    for reach in REACHES_M:
        kernel = (
            torch.exp(-apart / reach).masked_fill(itself, 0.0)[row.reshape(-1)].reshape(*row.shape, -1)
        )  # (sample, anchor, candidate)
        found.append((torch.bmm(share[:, None, :], kernel)[:, 0] + _FLOOR).log())
    return found
