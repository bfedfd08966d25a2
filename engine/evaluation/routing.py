"""What a router did: who is asked how much, how sure it is, what its choices go along with, and how steady they are.

Pure functions on arrays; `engine.evaluation.routed` collects the arrays from a model. Weights are those of one set of experts, last
axis "expert"; a row is a visit that was routed. Entropies are in nats.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from engine.models.declarations import DEAD_SHARE

PERMUTATIONS = 500
CLEAR_Z, CLEAR_V = 3.0, 0.1
"""From how many standard deviations above chance, and from which Cramer's V on, an agreement counts (specs/nextlocmoe.md §14)."""
LEAST_GROUP = 8
"""People or places a known group needs before an expert is said to go along with it."""


def load(weights: np.ndarray) -> np.ndarray:
    """(expert,) share of all weight that each expert got; zeros where there is no row.

    Args:
        weights: (row, expert), as used or raw.
    """
    total = np.asarray(weights, np.float64).sum(axis=0)
    return total / total.sum() if total.sum() > 0 else total


def asked(weights: np.ndarray) -> np.ndarray:
    """(expert,) share of rows in which each expert was asked at all."""
    return (np.asarray(weights) > 0).mean(axis=0) if len(weights) else np.zeros(np.shape(weights)[-1])


def active(weights: np.ndarray) -> np.ndarray:
    """(...,) how many experts were asked."""
    return np.count_nonzero(np.asarray(weights) > 0, axis=-1)


def dead(share: np.ndarray) -> np.ndarray:
    """(expert,) bool: whose load is below `DEAD_SHARE`.

    Args:
        share: (expert,) as from `load`.
    """
    return np.asarray(share) < DEAD_SHARE


def entropy(weights: np.ndarray) -> np.ndarray:
    """(...,) entropy of each row, in nats; weights are made to sum to one first, a row of zeros has 0."""
    values = np.asarray(weights, np.float64)
    total = values.sum(axis=-1, keepdims=True)
    share = np.divide(values, total, out=np.zeros_like(values), where=total > 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        return -np.where(share > 0, share * np.log(share), 0.0).sum(axis=-1)


@dataclass(frozen=True)
class Specialisation:
    """How decided a router is row by row, and how evenly it uses its experts over all rows (specs/nextlocmoe.md §12).

    Attributes:
        per_row: Mean entropy of a row, H(g|x): 0 is one expert, `even` is all alike.
        overall: Entropy of the mean weights, H(mean g).
        even: ln of the number of experts, the most there can be.
    """

    per_row: float
    overall: float
    even: float

    @property
    def specialisation(self) -> float:
        """H(mean g) - H(g|x), nats: what knowing the row tells about the expert (their mutual information); 0 is nothing."""
        return self.overall - self.per_row


def specialisation(raw: np.ndarray) -> Specialisation:
    """The entropies of a router.

    Args:
        raw: (row, expert) weights before the choice, rows sum to one.
    """
    per_row = float(entropy(raw).mean()) if len(raw) else float("nan")
    return Specialisation(per_row, float(entropy(load(raw))), float(np.log(max(raw.shape[-1], 1))))


def contingency(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """(group of first, group of second) counts; labels are any values, groups in sorted order."""
    _, a = np.unique(np.asarray(first), return_inverse=True)
    _, b = np.unique(np.asarray(second), return_inverse=True)
    return _counts(a, b, int(a.max(initial=-1)) + 1, int(b.max(initial=-1)) + 1)


def normalised_mutual_information(table: np.ndarray) -> float:
    """Mutual information over the mean of both entropies: 0 is independence, 1 the same groups; 0 where a side has one group.

    Args:
        table: (first, second) counts.
    """
    joint = np.asarray(table, np.float64)
    total = joint.sum()
    if total <= 0:
        return 0.0
    first, second = entropy(joint.sum(axis=1)), entropy(joint.sum(axis=0))
    mutual = float(first + second - entropy(joint.ravel()))
    mean = float(first + second) / 2
    return max(mutual, 0.0) / mean if mean > 1e-12 else 0.0


def cramers_v(table: np.ndarray) -> float:
    """Cramer's V of a table of counts: 0 is independence, 1 is that one side follows from the other; 0 where a side has one group."""
    counts = np.asarray(table, np.float64)
    counts = counts[counts.sum(axis=1) > 0][:, counts.sum(axis=0) > 0]
    if min(counts.shape, default=0) < 2:
        return 0.0
    total = counts.sum()
    expected = counts.sum(axis=1, keepdims=True) * counts.sum(axis=0) / total
    chi_square = float(((counts - expected) ** 2 / expected).sum())
    return float(np.sqrt(chi_square / (total * (min(counts.shape) - 1))))


@dataclass(frozen=True)
class Agreement:
    """How far two groupings go together, beside what chance alone gives.

    Attributes:
        information: Normalised mutual information, 0 to 1.
        cramers_v: Cramer's V, 0 to 1.
        chance: Mean normalised mutual information when the attribute is dealt out anew.
        chance_sd: Its standard deviation.
        n: Rows.
        units: What the attribute was dealt out among.
    """

    information: float
    cramers_v: float
    chance: float
    chance_sd: float
    n: int
    units: int

    @property
    def z(self) -> float:
        """Standard deviations above chance; NaN where chance does not vary."""
        return _above(self.information, self.chance, self.chance_sd)

    @property
    def is_verified(self) -> bool:
        """Whether the agreement is clearly above chance and not negligible."""
        return bool(self.z > CLEAR_Z and self.cramers_v >= CLEAR_V)


def agreement(
    dominant: np.ndarray, attribute: np.ndarray, unit: np.ndarray | None = None, permutations: int = PERMUTATIONS, seed: int = 0
) -> Agreement:
    """Agreement of the dominant expert with a known attribute.

    Rows of one person (or place) share the person's attribute and resemble each other in their routing, so dealing the attribute out
    among rows would make any agreement look significant. It is therefore dealt out among units, each keeping all its rows.

    Args:
        dominant: (row,) expert with the largest weight.
        attribute: (row,) label; the same for all rows of a unit.
        unit: (row,) what the attribute belongs to; None where it belongs to the row itself.
        permutations: Deals.
        seed: Draws them.
    """
    _, experts = np.unique(np.asarray(dominant), return_inverse=True)
    deals = _Deals.of(experts, attribute, unit)
    dealt = np.array([normalised_mutual_information(table) for table in deals.draw(permutations, seed)])
    return Agreement(
        information=normalised_mutual_information(deals.table),
        cramers_v=cramers_v(deals.table),
        chance=float(dealt.mean()) if permutations else float("nan"),
        chance_sd=float(dealt.std(ddof=1)) if permutations > 1 else float("nan"),
        n=len(experts),
        units=len(deals.group_of_unit),
    )


@dataclass(frozen=True)
class Companion:
    """The known group that one expert leads most beyond its share of all others, beside what chance alone gives.

    Attributes:
        group: The group's label; empty where the expert leads nobody or everybody, or no group is large enough.
        phi: Correlation of "this expert leads" with "belongs to this group", -1 to 1: Cramer's V of the two by two table, with its sign.
        chance: Mean of the largest such correlation with any group when the attribute is dealt out anew: to look for the best of
            many groups finds one by chance, too.
        chance_sd: Its standard deviation.
    """

    group: str
    phi: float
    chance: float
    chance_sd: float

    @property
    def z(self) -> float:
        """Standard deviations above chance; NaN where chance does not vary."""
        return _above(self.phi, self.chance, self.chance_sd)

    @property
    def is_verified(self) -> bool:
        """Whether the expert goes along with the group clearly above chance and not negligibly."""
        return bool(self.z > CLEAR_Z and self.phi >= CLEAR_V)


def agreement_by_expert(
    dominant: np.ndarray,
    attribute: np.ndarray,
    experts: int,
    unit: np.ndarray | None = None,
    permutations: int = PERMUTATIONS,
    seed: int = 0,
    least: int = LEAST_GROUP,
) -> list[Companion]:
    """Each expert against the rest: the group of a known attribute that it goes along with most, and its chance level.

    A set may agree with an attribute while one of its experts, or the name of each of them, does not.

    Args:
        dominant: (row,) expert with the largest weight, from 0.
        attribute: (row,) label; the same for all rows of a unit.
        experts: Number of experts.
        unit: (row,) what the attribute belongs to; None where it belongs to the row itself.
        permutations: Deals, as in `agreement`; two at least.
        seed: Draws them.
        least: Units a group needs to be considered.

    Returns:
        One per expert.
    """
    deals = _Deals.of(np.asarray(dominant, np.int64), attribute, unit, experts)
    considered = np.bincount(deals.group_of_unit, minlength=len(deals.groups)) >= least
    nobody = Companion("", float("nan"), float("nan"), float("nan"))
    if not considered.any():
        return [nobody] * experts
    found = _correlation(deals.table[considered], deals.table)
    dealt = np.stack([_correlation(table[considered], table).max(axis=0) for table in deals.draw(permutations, seed)])
    best, chance, spread = found.argmax(axis=0), dealt.mean(axis=0), dealt.std(axis=0, ddof=1)
    names, led = deals.groups[considered], deals.table.sum(axis=0)
    return [
        Companion(str(names[best[expert]]), float(found[best[expert], expert]), float(chance[expert]), float(spread[expert]))
        if 0 < led[expert] < led.sum()
        else nobody
        for expert in range(experts)
    ]


@dataclass(frozen=True, eq=False)
class _Deals:
    """Counts of experts by known group, as they are and with the groups dealt out anew among what they belong to."""

    groups: np.ndarray  # (group,) labels, sorted
    table: np.ndarray  # (group, expert) rows
    group_of_unit: np.ndarray  # (unit,)
    unit: np.ndarray  # (pair,) with the next two: the pairs of unit and expert that occur
    expert: np.ndarray  # (pair,)
    count: np.ndarray  # (pair,) rows

    @classmethod
    def of(cls, expert: np.ndarray, attribute: np.ndarray, unit: np.ndarray | None, experts: int | None = None) -> "_Deals":
        groups, code = np.unique(np.asarray(attribute), return_inverse=True)
        rows = np.arange(len(expert)) if unit is None else np.unique(np.asarray(unit), return_inverse=True)[1]
        group_of_unit = np.zeros(int(rows.max(initial=-1)) + 1, np.int64)
        group_of_unit[rows] = code
        width = int(expert.max(initial=-1)) + 1 if experts is None else experts
        pairs, count = np.unique(rows * max(width, 1) + expert, return_counts=True)
        return cls(groups, _counts(code, expert, len(groups), width), group_of_unit, *np.divmod(pairs, max(width, 1)), count)

    def draw(self, permutations: int, seed: int) -> Iterator[np.ndarray]:
        """(group, expert) counts of every deal."""
        generator, (groups, experts) = np.random.default_rng(seed), self.table.shape
        for _ in range(permutations):
            dealt = generator.permutation(self.group_of_unit)
            yield np.bincount(dealt[self.unit] * experts + self.expert, self.count, groups * experts).reshape(groups, experts)


def mean_by(weights: np.ndarray, group: np.ndarray, groups: int) -> tuple[np.ndarray, np.ndarray]:
    """Mean weights per group.

    Args:
        weights: (row, expert).
        group: (row,) int from 0.
        groups: Number of groups.

    Returns:
        (group, expert) means, NaN for a group without rows, and (group,) rows.
    """
    count = np.bincount(group, minlength=groups)
    total = np.stack([np.bincount(group, weights=column, minlength=groups) for column in np.asarray(weights, np.float64).T], axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        return total / count[:, None], count


@dataclass(frozen=True, eq=False)
class StepMeans:
    """Mean routing by how far back a visit is, over many questions; the last step is the latest visit.

    Attributes:
        used, raw: (step, expert) mean weights as used and before the choice, over the questions that have a visit there.
        entropy: (step,) mean entropy of the weights before the choice, nats.
        asked: (step,) mean number of experts asked.
        n: (step,) questions with a visit there.
    """

    used: np.ndarray
    raw: np.ndarray
    entropy: np.ndarray
    asked: np.ndarray
    n: np.ndarray


def by_step(used: np.ndarray, raw: np.ndarray, least: int = 5) -> StepMeans:
    """Means per step.

    Args:
        used: (question, step, expert) weights as used, right-aligned at the latest visit.
        raw: The same before the choice; zeros where a question has no visit so far back.
        least: Questions a step needs; of fewer questions altogether, that many.
    """
    real = raw.sum(axis=-1) > 0
    n = real.sum(axis=0)
    kept = n >= min(least, max(len(raw), 1))
    count = n[kept]

    def mean(values: np.ndarray) -> np.ndarray:
        total = np.where(real.reshape(real.shape + (1,) * (values.ndim - 2)), values, 0).sum(axis=0, dtype=np.float64)[kept]
        return total / count.reshape((-1,) + (1,) * (total.ndim - 1))

    return StepMeans(mean(used), mean(raw), mean(entropy(raw)), mean(active(used)), count)


def profile(weights: np.ndarray, hour: np.ndarray, weekday: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(weekday, hour, expert) mean weights, NaN where no visit began, and (weekday, hour) visits; local time, 0 is Monday."""
    means, count = mean_by(weights, np.asarray(weekday, np.int64) * 24 + np.asarray(hour, np.int64), 7 * 24)
    return means.reshape(7, 24, -1), count.reshape(7, 24)


@dataclass(frozen=True, eq=False)
class Stability:
    """Whether a person is routed the same way again.

    Attributes:
        cosine: (person,) cosine of a person's mean weights in the first and the second half of their rows; NaN with too few rows.
        others: Mean cosine of one person's first half with other people's second halves: what anybody shares with anybody.
        recognised: Share of people whose own second half is the most similar of all; one over the number of people by chance.
        people: People with enough rows.
    """

    cosine: np.ndarray
    others: float
    recognised: float
    people: int


def stability(weights: np.ndarray, user: np.ndarray, users: int, least: int = 6) -> Stability:
    """Compares both halves of every person's rows.

    Args:
        weights: (row, expert), rows of a person in time order.
        user: (row,) int from 0.
        users: Number of people.
        least: Rows a person needs.
    """
    order = np.argsort(user, kind="stable")
    count = np.bincount(user, minlength=users)
    position = np.empty(len(user), np.int64)
    position[order] = np.arange(len(user)) - np.repeat(np.cumsum(count) - count, count)
    late = position >= count[user] // 2
    first, _ = mean_by(weights[~late], user[~late], users)
    second, _ = mean_by(weights[late], user[late], users)
    enough = np.flatnonzero(count >= least)
    cosine = np.full(users, np.nan)
    if not len(enough):
        return Stability(cosine, float("nan"), float("nan"), 0)
    between = _unit(first[enough]) @ _unit(second[enough]).T
    cosine[enough] = np.diag(between)
    apart = between[~np.eye(len(enough), dtype=bool)]
    return Stability(
        cosine=cosine,
        others=float(apart.mean()) if len(apart) else float("nan"),
        recognised=float((between.argmax(axis=1) == np.arange(len(enough))).mean()),
        people=len(enough),
    )


def cosine_similarity(vectors: np.ndarray) -> np.ndarray:
    """(expert, expert) cosine between experts' vectors (for low-rank experts: of their changes to the shared layer)."""
    unit = _unit(np.asarray(vectors, np.float64).reshape(len(vectors), -1))
    return unit @ unit.T


def answers_for(weights: np.ndarray, expert: int, label: np.ndarray, least: int = 5) -> pd.DataFrame:
    """What an expert answers for more than for other things.

    Args:
        weights: (row, expert).
        expert: Its index.
        label: (row,) what the row is about: a category, an hour, a person, a place.
        least: Rows a label needs.

    Returns:
        By lift, largest first: label, weight (mean weight of the expert on these rows), lift (over its mean on all rows), share (of
        all the weight the expert got), n.
    """
    names, group = np.unique(np.asarray(label), return_inverse=True)
    own = np.asarray(weights, np.float64)[:, expert]
    count = np.bincount(group, minlength=len(names))
    total = np.bincount(group, weights=own, minlength=len(names))
    mean, everywhere = total / np.maximum(count, 1), own.mean() if len(own) else 0.0
    table = pd.DataFrame(
        {
            "label": names,
            "weight": mean,
            "lift": mean / everywhere if everywhere > 0 else np.zeros(len(names)),
            "share": total / own.sum() if own.sum() > 0 else np.zeros(len(names)),
            "n": count,
        }
    )
    return table[table["n"] >= least].sort_values(["lift", "n"], ascending=False, kind="stable", ignore_index=True)


def _correlation(counts: np.ndarray, table: np.ndarray) -> np.ndarray:
    """(group, expert) correlation of "this expert leads" with "belongs to this group"; -1 where one of the two never varies.

    Args:
        counts: (group, expert) rows of the groups that are asked for.
        table: (group, expert) rows of all groups.
    """
    total, expert, group = table.sum(), table.sum(axis=0), counts.sum(axis=1, keepdims=True)
    spread = np.sqrt(group * (total - group) * expert * (total - expert))
    return np.divide(total * counts - group * expert, spread, out=np.full(counts.shape, -1.0), where=spread > 0)


def _above(value: float, chance: float, spread: float) -> float:
    return (value - chance) / spread if spread > 1e-12 else float("nan")


def _counts(first: np.ndarray, second: np.ndarray, rows: int, columns: int) -> np.ndarray:
    return np.bincount(first * columns + second, minlength=rows * columns).reshape(rows, columns).astype(np.float64)


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-12)
