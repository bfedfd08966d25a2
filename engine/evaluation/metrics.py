"""How good answers are: ranking metrics, F1 and distance, each with its n and an interval that respects who the samples belong to.

Intervals are percentile bootstrap intervals over *users*: people are drawn with replacement and bring all their samples along.
The samples of one person resemble each other, so resampling them one by one would claim more certainty than there is. Draws come
from the seed alone and are the same for every predictor on the same samples, which is what makes differences paired.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_matrix

from engine.errors import MobiscopeError
from engine.evaluation.ranking import Answers

RESAMPLES = 500
CONFIDENCE = 0.95


@dataclass(frozen=True)
class Metric:
    """A measure of answers.

    Attributes:
        name: Key in `METRICS`.
        title: Name on screen.
        unit: `share` (0 to 1, shown in per cent) or `m`.
        higher_is_better: Direction.
        meaning: One sentence with the definition.
    """

    name: str
    title: str
    unit: str
    higher_is_better: bool
    meaning: str

    def show(self, value: float | None) -> str:
        """The value as an analyst reads it: per cent, or metres and kilometres."""
        if value is None or not np.isfinite(value):
            return "–"
        if self.unit == "share":
            return f"{100 * value:.2f} %"
        return f"{value:.0f} m" if value < 1000 else f"{value / 1000:.2f} km"


def _reach(k: int) -> str:
    return "Share of samples whose true place is " + ("the first answer." if k == 1 else f"among the first {k} answers.")


METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        *(Metric(f"acc@{k}", f"Acc@{k}", "share", True, _reach(k)) for k in (1, 5, 10, 20)),
        Metric("mrr", "MRR", "share", True, "Mean of 1/rank over the whole ranking; 0 where the truth cannot be answered."),
        Metric("ndcg@10", "nDCG@10", "share", True, "Mean of 1/log2(rank + 1) for ranks up to 10, else 0."),
        Metric(
            "f1", "Weighted F1", "share", True, "F1 of the first answer per true place, weighted by its samples (scikit-learn)."
        ),
        Metric("distance_median_m", "Median distance error", "m", False, "Median distance from the first answer to the truth."),
        Metric("distance_mean_m", "Mean distance error", "m", False, "Mean distance from the first answer to the truth."),
        Metric("ceiling", "Ceiling", "share", True, "Share of samples whose true place the predictor can answer at all."),
    )
}
AVERAGED = tuple(name for name in METRICS if name not in ("f1", "distance_median_m"))


@dataclass(frozen=True)
class Estimate:
    """A value with its interval.

    Attributes:
        value: The metric on the samples as they are; NaN where there are none.
        low, high: Bounds of the 95 % interval; NaN with fewer than two users, where none can be told.
        n: Samples it rests on.
        users: People they belong to.
    """

    value: float
    low: float
    high: float
    n: int
    users: int = 0


def contributions(answers: Answers) -> np.ndarray:
    """What each sample adds to the averaged metrics: (sample, metric) float64, columns as `AVERAGED`; NaN where it adds nothing."""
    rank = answers.rank
    columns: dict[str, np.ndarray] = {f"acc@{k}": (rank <= k).astype(float) for k in (1, 5, 10, 20)}
    columns["mrr"] = 1 / rank
    columns["ndcg@10"] = np.where(rank <= 10, 1 / np.log2(np.where(rank <= 10, rank, 1) + 1), 0.0)
    columns["distance_mean_m"] = answers.distance_m
    columns["ceiling"] = np.isfinite(rank).astype(float)
    return np.stack([columns[name] for name in AVERAGED], axis=1)


def summarise(answers: Answers, mask: np.ndarray | None = None, seed: int = 0, resamples: int = RESAMPLES) -> dict[str, Estimate]:
    """Every metric of `METRICS` over the samples (or those under the mask)."""
    groups = np.zeros(len(answers), np.int64) if mask is None else np.where(mask, 0, -1)
    return summarise_groups(answers, groups, 1, seed, resamples)[0]


def summarise_groups(
    answers: Answers,
    group: np.ndarray,
    count: int,
    seed: int = 0,
    resamples: int = RESAMPLES,
    drawn: tuple[np.ndarray, np.ndarray] | None = None,
) -> list[dict[str, Estimate]]:
    """Every metric for each of several groups of samples.

    Args:
        answers: The answers.
        group: (sample,) group index, -1 for samples in none.
        count: Number of groups; those without a sample get n = 0 and NaN.
        seed: Draws of the bootstrap.
        resamples: Draws of the bootstrap.
        drawn: As from `draw_users`, where it is at hand.
    """
    user, draws = drawn or draw_users(answers, seed, resamples)
    values = contributions(answers)
    results = []
    for index in range(count):
        chosen = np.flatnonzero(group == index)
        results.append(_summarise(answers, values, chosen, user, draws))
    return results


def paired_difference(
    a: Answers,
    b: Answers,
    metric: str,
    mask: np.ndarray | None = None,
    seed: int = 0,
    resamples: int = RESAMPLES,
    drawn: tuple[np.ndarray, np.ndarray] | None = None,
) -> Estimate:
    """Metric of `a` minus metric of `b` on the same samples, with the interval of the paired bootstrap over users.

    Args:
        a: Answers to the samples.
        b: Answers to the same samples.
        metric: Key of `METRICS`.
        mask: (sample,) bool, the samples it is measured on; default all.
        seed: Draws of the bootstrap.
        resamples: Draws of the bootstrap.
        drawn: As from `draw_users`, where it is at hand.

    Raises:
        MobiscopeError: If the two did not answer the same samples, or the metric is unknown.
    """
    if metric not in METRICS:
        raise MobiscopeError(f"There is no metric `{metric}`; choose one of {', '.join(METRICS)}.")
    if not np.array_equal(a.sample, b.sample):
        raise MobiscopeError(
            f"{a.title} and {b.title} did not answer the same samples in the same order; compare runs of one split."
        )
    chosen = np.flatnonzero(mask) if mask is not None else np.arange(len(a))
    user, draws = drawn or draw_users(a, seed, resamples)
    value, low, high, users = np.nan, np.nan, np.nan, len(np.unique(user[chosen]))
    if len(chosen):
        first, second = (_point_and_replicates(answers, metric, chosen, user, draws) for answers in (a, b))
        value = first[0] - second[0]
        low, high = _interval(first[1] - second[1], users)
    return Estimate(float(value), low, high, len(chosen), users)


def draw_users(answers: Answers, seed: int, resamples: int) -> tuple[np.ndarray, np.ndarray]:
    """The bootstrap's draws.

    Returns:
        (sample,) index of each sample's user among the distinct users, and (resample, user) float64 how often each user is drawn.
    """
    distinct, user = np.unique(answers.user.astype(str), return_inverse=True)
    if not len(distinct):
        return user, np.zeros((resamples, 0))
    draws = np.random.default_rng(seed).multinomial(len(distinct), np.full(len(distinct), 1 / len(distinct)), size=resamples)
    return user, draws.astype(np.float64)


def weighted_f1(truth: np.ndarray, answer: np.ndarray) -> float:
    """F1 per true class, weighted by support, 0 where undefined: scikit-learn's `f1_score(average="weighted", zero_division=0)`."""
    return float(_f1_of_draws(truth, answer, np.zeros(len(truth), np.int64), np.ones((1, 1)))[0])


def _summarise(
    answers: Answers, values: np.ndarray, chosen: np.ndarray, user: np.ndarray, draws: np.ndarray
) -> dict[str, Estimate]:
    if not len(chosen):
        return {name: Estimate(np.nan, np.nan, np.nan, 0) for name in METRICS}
    users = len(np.unique(user[chosen]))
    point, replicates = _means(values[chosen], user[chosen], draws)
    result = {}
    for name in METRICS:
        if name in AVERAGED:
            column = AVERAGED.index(name)
            value, drawn = point[column], replicates[:, column]
        else:
            value, drawn = _SPECIAL[name](answers, chosen, user[chosen], draws)
        n = int(np.isfinite(answers.distance_m[chosen]).sum()) if name.startswith("distance") else len(chosen)
        low, high = _interval(drawn, users)
        result[name] = Estimate(float(value), low, high, n, users)
    return result


def _point_and_replicates(
    answers: Answers, metric: str, chosen: np.ndarray, user: np.ndarray, draws: np.ndarray
) -> tuple[float, np.ndarray]:
    if metric in _SPECIAL:
        return _SPECIAL[metric](answers, chosen, user[chosen], draws)
    column = contributions(answers)[chosen][:, [AVERAGED.index(metric)]]
    point, replicates = _means(column, user[chosen], draws)
    return float(point[0]), replicates[:, 0]


def _means(values: np.ndarray, user: np.ndarray, draws: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    present = np.isfinite(values)
    by_user = csr_matrix((np.ones(len(user)), (user, np.arange(len(user)))), shape=(draws.shape[1], len(user)))
    sums, counts = by_user @ np.where(present, values, 0.0), by_user @ present.astype(float)
    with np.errstate(invalid="ignore", divide="ignore"):
        return sums.sum(0) / counts.sum(0), (draws @ sums) / (draws @ counts)


def _median(answers: Answers, chosen: np.ndarray, user: np.ndarray, draws: np.ndarray) -> tuple[float, np.ndarray]:
    distance = answers.distance_m[chosen]
    known = np.isfinite(distance)
    distance, user = distance[known], user[known]
    if not len(distance):
        return np.nan, np.full(len(draws), np.nan)
    order = np.argsort(distance, kind="stable")
    distance, user = distance[order], user[order]
    replicates = np.empty(len(draws))
    rows = max(1, 2**20 // len(distance))
    for begin in range(0, len(draws), rows):
        reached = np.cumsum(draws[begin : begin + rows].astype(np.int32)[:, user], axis=1)  # (resample, sample)
        total = reached[:, -1:]
        lower = np.count_nonzero(2 * reached < total, axis=1)
        upper = np.count_nonzero(2 * reached <= total, axis=1)
        middle = (distance[lower.clip(max=len(distance) - 1)] + distance[upper.clip(max=len(distance) - 1)]) / 2
        replicates[begin : begin + rows] = np.where(total[:, 0] > 0, middle, np.nan)
    return float(np.median(distance)), replicates


def _weighted_f1(answers: Answers, chosen: np.ndarray, user: np.ndarray, draws: np.ndarray) -> tuple[float, np.ndarray]:
    first = answers.top[chosen, 0] if answers.top.shape[1] else np.full(len(chosen), -1)
    values = _f1_of_draws(answers.truth[chosen], first, user, np.vstack([np.ones(draws.shape[1]), draws]))
    return float(values[0]), values[1:]


def _f1_of_draws(truth: np.ndarray, answer: np.ndarray, user: np.ndarray, draws: np.ndarray) -> np.ndarray:
    """(resample,) weighted F1; NaN where nobody was drawn. Places never hit have an F1 of zero and enter by their weight alone."""
    hit = truth == answer
    classes = np.unique(truth[hit])

    def count(place: np.ndarray) -> np.ndarray:
        if not len(classes):
            return np.zeros((len(draws), 0))
        position = np.searchsorted(classes, place).clip(max=len(classes) - 1)
        inside = classes[position] == place
        by_user = csr_matrix((np.ones(inside.sum()), (user[inside], position[inside])), shape=(draws.shape[1], len(classes)))
        return np.asarray(draws @ by_user)  # (resample, place)

    hits, answered, support = count(np.where(hit, truth, -1)), count(answer), count(truth)
    both, total = answered + support, draws @ np.bincount(user, minlength=draws.shape[1])
    f1 = np.divide(2 * hits * support, both, out=np.zeros(both.shape), where=both > 0).sum(axis=1)
    return np.divide(f1, total, out=np.full(len(total), np.nan), where=total > 0)


def _interval(replicates: np.ndarray, users: int) -> tuple[float, float]:
    replicates = replicates[np.isfinite(replicates)]
    if users < 2 or not len(replicates):
        return np.nan, np.nan
    low, high = np.quantile(replicates, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return float(low), float(high)


_SPECIAL: dict[str, Callable[[Answers, np.ndarray, np.ndarray, np.ndarray], tuple[float, np.ndarray]]] = {
    "f1": _weighted_f1,
    "distance_median_m": _median,
}
