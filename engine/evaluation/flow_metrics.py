"""How good predicted 24-hour curves are, each figure with an interval that respects that the hours of a cell belong together.

Intervals are percentile bootstrap intervals over *cells*: cells are drawn with replacement and bring all their hours along. Cells
of one neighbourhood resemble each other too; `units` draws whole districts or blocks instead, which claims less certainty. Draws
come from the seed alone and are the same for every predictor on the same cells, which makes differences paired.

Definitions follow the specification of LMEMR, section 4. Figures "on the log scale" use z, the standardised ln(1 + trips).
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from engine.errors import MobiscopeError
from engine.evaluation.flow_answers import CONFIDENCE_STEPS, FlowAnswers, bin_crps, confidence_sums
from engine.evaluation.metrics import CONFIDENCE, RESAMPLES, Estimate, Metric

SMALLEST_FOR_MAPE = 10.0
"""Percentage errors of fewer trips an hour say more about the hour than about the predictor."""

SMALLEST_LOG = 0.1
"""The paper's code leaves out hours whose ln(1 + trips) is below."""

_NAMES = (
    *("n", "error", "square", "flow", "flow_square", "z_square_error", "z", "z_square"),
    *("percent_n", "percent", "log_n", "log_percent", "hit", "near", "interval_n", "covered", "crps", "stated_n"),
)
_COLUMN = {name: index for index, name in enumerate(_NAMES)}


@dataclass(frozen=True)
class FlowMetric(Metric):
    """A measure of predicted curves; units are `share`, `trips`, `hours`, `z` or `` (a pure number)."""

    def show(self, value: float | None) -> str:
        """The value as an analyst reads it, with its unit."""
        if value is None or not np.isfinite(value):
            return "–"
        if self.unit == "share":
            return f"{100 * value:.1f} %"
        if self.unit == "trips":
            return f"{value:,.1f}" if abs(value) < 100 else f"{value:,.0f}"
        return f"{value:.2f} h" if self.unit == "hours" else f"{value:.3f}"


FLOW_METRICS: dict[str, FlowMetric] = {
    metric.name: metric
    for metric in (
        FlowMetric(
            "r2", "R² (log scale)", "", True, "Share of the variance of the standardised log flow explained, all hours pooled."
        ),
        FlowMetric("r2_flow", "R² (trips)", "", True, "Share of the variance of trips explained; large cells decide it."),
        FlowMetric("mae", "MAE", "trips", False, "Mean absolute error of the trips of one cell in one hour."),
        FlowMetric("wape", "WAPE", "share", False, "Sum of absolute errors over sum of observed trips."),
        FlowMetric(
            "mape", "MAPE (≥ 10 trips)", "share", False, "Mean of |error| / observed over hours with at least 10 observed trips."
        ),
        FlowMetric(
            "log_mape",
            "MAPE of the log flow",
            "share",
            False,
            "Mean of |error| / observed of ln(1 + trips): what the paper calls MAPE. It is no percentage error of trips.",
        ),
        FlowMetric("oa", "OA", "share", True, "Share of hours whose answered bin of magnitude is the true one."),
        FlowMetric(
            "oa_near", "OA within one bin", "share", True, "Share of hours whose answered bin is the true one or next to it."
        ),
        FlowMetric("macro_f1", "Macro-F1 of bins", "share", True, "Mean over the bins that occur of their F1 (scikit-learn)."),
        FlowMetric(
            "shape",
            "Shape correlation",
            "",
            True,
            "Mean over cells of the Pearson correlation of predicted and observed curve; 0 for a flat prediction.",
        ),
        FlowMetric(
            "peak_hours",
            "Peak-hour error",
            "hours",
            False,
            "Mean over cells of the hours between predicted and observed peak, round the clock.",
        ),
        FlowMetric(
            "crps",
            "CRPS (log scale)",
            "z",
            False,
            "Continuous ranked probability score of the bins in z; |error| for a single curve.",
        ),
        FlowMetric(
            "calibration",
            "Calibration error of bins",
            "share",
            False,
            "Mean gap between the stated probability of the answered bin and how often it is right.",
        ),
        FlowMetric(
            "coverage", "80 % interval holds", "share", True, "Share of hours inside the stated 80 % interval; 80 % is right."
        ),
    )
}
CURVE_METRICS = ("shape", "peak_hours")
"""Measured per cell over whole days, so not defined for single hours."""


def flow_sums(answers: FlowAnswers) -> np.ndarray:
    """What each hour of each cell adds to the figures: (cell, 24, sum) float64, zero where the flow is unknown."""
    known = np.isfinite(answers.observed)
    observed = np.where(known, answers.observed, 0.0)
    error = np.abs(answers.flow - observed)
    z, answered_z = answers.scale.to_z(observed), answers.scale.to_z(answers.flow)
    log, log_error = np.log1p(observed), np.abs(answers.scale.spread * (answered_z - z))
    truth, answer = answers.scale.to_bins(observed), answers.answered_bin
    in_percent, in_log = observed >= SMALLEST_FOR_MAPE, log > SMALLEST_LOG
    has_interval = np.isfinite(answers.low) & np.isfinite(answers.high)
    inside = has_interval & (observed >= answers.low) & (observed <= answers.high)
    bins = np.arange(answers.scale.bins)
    true_bin, answered_bin = truth[..., None] == bins, answer[..., None] == bins
    steps = np.zeros((*known.shape, 2 * CONFIDENCE_STEPS))
    crps, stated = np.abs(answered_z - z), np.zeros(known.shape)
    if answers.bin_probability is not None:
        crps, stated = bin_crps(answers.bin_probability, np.asarray(answers.scale.edges), z), np.ones(known.shape)
        steps = np.concatenate(confidence_sums(answers.bin_probability, truth), axis=-1)
    columns = {
        "n": np.ones(known.shape),
        "error": error,
        "square": error**2,
        "flow": observed,
        "flow_square": observed**2,
        "z_square_error": (answered_z - z) ** 2,
        "z": z,
        "z_square": z**2,
        "percent_n": in_percent,
        "percent": np.divide(error, observed, out=np.zeros(known.shape), where=in_percent),
        "log_n": in_log,
        "log_percent": np.divide(log_error, log, out=np.zeros(known.shape), where=in_log),
        "hit": truth == answer,
        "near": np.abs(truth - answer) <= 1,
        "interval_n": has_interval,
        "covered": inside,
        "crps": crps,
        "stated_n": stated,
    }
    plain = np.stack([np.asarray(columns[name], np.float64) for name in _NAMES], axis=-1)
    return np.concatenate([plain, true_bin & answered_bin, answered_bin, true_bin, steps], axis=-1) * known[..., None]


def curve_scores(answers: FlowAnswers) -> np.ndarray:
    """(cell, 2) Pearson correlation of the curves and circular distance of the peaks in hours.

    NaN for cells with an unknown hour or a flat observed curve, whose shape and peak nobody can tell. A flat prediction
    correlates 0; where several hours share the peak the nearest pair counts.
    """
    observed, flow = answers.observed, answers.flow
    with np.errstate(invalid="ignore"):
        usable = np.isfinite(observed).all(axis=1) & (
            np.nanmax(observed, axis=1, initial=-1) > np.nanmin(observed, axis=1, initial=np.inf)
        )
    scores = np.full((len(answers), 2), np.nan)
    truth, answer = observed[usable], flow[usable]
    truth_part, answer_part = (curve - curve.mean(axis=1, keepdims=True) for curve in (truth, answer))
    norm = np.linalg.norm(truth_part, axis=1) * np.linalg.norm(answer_part, axis=1)
    flat = np.ptp(answer, axis=1) == 0
    scores[usable, 0] = np.divide((truth_part * answer_part).sum(axis=1), norm, out=np.zeros(len(norm)), where=~flat & (norm > 0))
    hours = np.arange(24)
    apart = np.abs(hours[:, None] - hours)
    apart = np.minimum(apart, 24 - apart)
    peaks = (truth == truth.max(axis=1, keepdims=True))[:, :, None] & (answer == answer.max(axis=1, keepdims=True))[:, None, :]
    scores[usable, 1] = np.where(peaks, apart, 24).min(axis=(1, 2)) if usable.any() else 0
    return scores


def draw_cells(count: int, seed: int = 0, resamples: int = RESAMPLES, units: np.ndarray | None = None) -> np.ndarray:
    """The bootstrap's draws: (resample, cell) float64, how often each cell is drawn.

    Args:
        count: Number of cells.
        seed: Draws from it alone.
        resamples: Number of draws.
        units: (cell,) what is drawn together (district, block); default every cell by itself.
    """
    if not count:
        return np.zeros((resamples, 0))
    unit = np.arange(count) if units is None else np.unique(units, return_inverse=True)[1].ravel()
    distinct = int(unit.max()) + 1
    drawn = np.random.default_rng(seed).multinomial(distinct, np.full(distinct, 1 / distinct), size=resamples)
    return drawn[:, unit].astype(np.float64)


def summarise_flow(
    answers: FlowAnswers, mask: np.ndarray | None = None, seed: int = 0, resamples: int = RESAMPLES, units: np.ndarray | None = None
) -> dict[str, Estimate]:
    """Every metric of `FLOW_METRICS` over the cells (or those under the (cell,) mask); see `draw_cells` for the rest."""
    measured = Measured.of(answers, seed, resamples, units)
    return measured.over_cells(np.ones(len(answers), bool) if mask is None else mask)


def flow_difference(
    a: FlowAnswers,
    b: FlowAnswers,
    metric: str,
    mask: np.ndarray | None = None,
    seed: int = 0,
    resamples: int = RESAMPLES,
    units: np.ndarray | None = None,
) -> Estimate:
    """Metric of `a` minus metric of `b` on the same cells, with the interval of the paired bootstrap.

    Raises:
        MobiscopeError: If the two did not answer the same cells, or the metric is unknown.
    """
    if metric not in FLOW_METRICS:
        raise MobiscopeError(f"There is no metric `{metric}`; choose one of {', '.join(FLOW_METRICS)}.")
    if not np.array_equal(a.cell_ids, b.cell_ids):
        raise MobiscopeError(f"{a.title} and {b.title} did not answer the same cells; compare runs of one split.")
    chosen = np.ones(len(a), bool) if mask is None else mask
    first, second = (Measured.of(answers, seed, resamples, units).replicates(chosen)[metric] for answers in (a, b))
    known = int((np.isfinite(a.observed) & chosen[:, None]).sum())
    count = _distinct(chosen, units)
    low, high = _interval(first[1:] - second[1:], count)
    return Estimate(float(first[0] - second[0]), low, high, known, count)


RELIABILITY_COLUMNS = ["step", "confidence", "share_right", "low", "high", "n"]


def reliability(answers: FlowAnswers, seed: int = 0, resamples: int = RESAMPLES) -> pd.DataFrame:
    """How often the most probable bin is right, by how probable it was said to be.

    Args:
        answers: Answers with bin probabilities.
        seed: Draws of the bootstrap.
        resamples: Number of draws.

    Returns:
        `RELIABILITY_COLUMNS`, one row per step of the stated probability (of `CONFIDENCE_STEPS`) that occurs: the mean stated
        probability, the share of its hours whose answered bin is the true one with the interval from drawing cells anew, and
        the number of hours. Empty without probabilities.
    """
    if answers.bin_probability is None:
        return pd.DataFrame(columns=RELIABILITY_COLUMNS)
    known = np.isfinite(answers.observed)[..., None]
    excess, inside = (sums * known for sums in confidence_sums(answers.bin_probability, answers.observed_bin))
    right = (answers.bin_probability.argmax(axis=2) == answers.observed_bin)[..., None] * inside
    count, right, excess = inside.sum(axis=1), right.sum(axis=1), excess.sum(axis=1)  # (cell, step)
    draws = draw_cells(len(answers), seed, resamples)
    replicates = _ratio(draws @ right, draws @ count)
    rows = []
    for step in np.flatnonzero(count.sum(axis=0)):
        n = count[:, step].sum()
        share = right[:, step].sum() / n
        low, high = _interval(replicates[:, step], int((count[:, step] > 0).sum()))
        rows.append((int(step), float(share + excess[:, step].sum() / n), float(share), low, high, int(n)))
    return pd.DataFrame(rows, columns=RELIABILITY_COLUMNS)


@dataclass(frozen=True, eq=False)
class Measured:
    """The sums of one predictor and the draws of the bootstrap, ready to be read over any cells or hour.

    Attributes:
        sums: (cell, 24, sum) as from `flow_sums`.
        curves: (cell, 2) as from `curve_scores`.
        draws: (1 + resample, cell); the first row is every cell once.
        bins: Number of bins.
        units: (cell,) what the bootstrap draws together, or None.
    """

    sums: np.ndarray
    curves: np.ndarray
    draws: np.ndarray
    bins: int
    units: np.ndarray | None

    @classmethod
    def of(cls, answers: FlowAnswers, seed: int = 0, resamples: int = RESAMPLES, units: np.ndarray | None = None) -> "Measured":
        """Measures answers once."""
        draws = np.vstack([np.ones((1, len(answers))), draw_cells(len(answers), seed, resamples, units)])
        return cls(flow_sums(answers), curve_scores(answers), draws, answers.scale.bins, units)

    def over_cells(self, mask: np.ndarray) -> dict[str, Estimate]:
        """Every metric over all hours of the cells under the mask."""
        return self._estimates(self.replicates(mask), self.sums[mask].sum(axis=1), mask)

    def over_hours(self, mask: np.ndarray, hours: np.ndarray) -> dict[str, Estimate]:
        """Every metric over some hours (positions 0 to 23) of the cells under the mask; those of whole curves are not defined."""
        sums = self.sums[np.ix_(mask, hours)].sum(axis=1)
        return self._estimates(_figures(self.draws[:, mask] @ sums, self.bins), sums, mask)

    def replicates(self, mask: np.ndarray) -> dict[str, np.ndarray]:
        """(1 + resample,) values of every metric over all hours of the cells under the mask; the first is the metric itself."""
        draws = self.draws[:, mask]
        values = _figures(draws @ self.sums[mask].sum(axis=1), self.bins)
        for column, name in enumerate(CURVE_METRICS):
            score = self.curves[mask, column]
            told = np.isfinite(score)
            values[name] = _ratio(draws @ np.where(told, score, 0), draws @ told)
        return values

    def _estimates(self, values: dict[str, np.ndarray], sums: np.ndarray, mask: np.ndarray) -> dict[str, Estimate]:
        present = np.zeros(len(mask), bool)
        present[np.flatnonzero(mask)] = sums[:, _COLUMN["n"]] > 0
        count = _distinct(present, self.units)
        n = int(sums[:, _COLUMN["n"]].sum())
        result = {}
        for name in FLOW_METRICS:
            if name not in values or not n:
                result[name] = Estimate(np.nan, np.nan, np.nan, 0, 0)
                continue
            low, high = _interval(values[name][1:], count)
            result[name] = Estimate(float(values[name][0]), low, high, n, count)
        return result


def _figures(sums: np.ndarray, bins: int) -> dict[str, np.ndarray]:
    """(resample, sum) to metric name to (resample,); NaN where undefined."""
    column = {name: sums[:, index] for name, index in _COLUMN.items()}
    n = column["n"]
    begin = len(_NAMES)
    hits, answered, true = (sums[:, begin + k * bins : begin + (k + 1) * bins] for k in range(3))
    excess = sums[:, begin + 3 * bins : begin + 3 * bins + CONFIDENCE_STEPS]
    f1 = np.divide(2 * hits, answered + true, out=np.zeros(hits.shape), where=answered + true > 0)
    return {
        "r2": _explained(column["z_square_error"], column["z"], column["z_square"], n),
        "r2_flow": _explained(column["square"], column["flow"], column["flow_square"], n),
        "mae": _ratio(column["error"], n),
        "wape": _ratio(column["error"], column["flow"]),
        "mape": _ratio(column["percent"], column["percent_n"]),
        "log_mape": _ratio(column["log_percent"], column["log_n"]),
        "oa": _ratio(column["hit"], n),
        "oa_near": _ratio(column["near"], n),
        "macro_f1": _ratio(f1.sum(axis=1), ((answered + true) > 0).sum(axis=1)),
        "crps": _ratio(column["crps"], n),
        "calibration": _ratio(np.abs(excess).sum(axis=1), column["stated_n"]),
        "coverage": _ratio(column["covered"], column["interval_n"]),
    }


def _ratio(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    below = np.asarray(below, np.float64)
    return np.divide(above, below, out=np.full(below.shape, np.nan), where=below > 0)


def _explained(square_error: np.ndarray, total: np.ndarray, square: np.ndarray, n: np.ndarray) -> np.ndarray:
    variation = square - _ratio(total**2, n)
    # Differences of large sums leave rounding where all observed values are equal: there is no variance to explain then.
    return _ratio(variation - square_error, np.where(variation > 1e-9 * np.maximum(square, 1e-300), variation, 0))


def _distinct(mask: np.ndarray, units: np.ndarray | None) -> int:
    return int(mask.sum()) if units is None else len(np.unique(units[mask]))


def _interval(replicates: np.ndarray, count: int) -> tuple[float, float]:
    replicates = replicates[np.isfinite(replicates)]
    if count < 2 or not len(replicates):
        return np.nan, np.nan
    low, high = np.quantile(replicates, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return float(low), float(high)
