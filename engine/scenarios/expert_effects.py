"""What each expert does to the answers: force it everywhere, or take it away, and measure how far the answers move."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from engine.city.samples import Histories
from engine.models.base import NextLocationModel, Report
from engine.models.declarations import ExpertSet
from engine.probes import override
from engine.scenarios.edits import OverrideProbe
from engine.scenarios.mechanisms import build_override

_FLOOR = 1e-12


@dataclass(frozen=True, eq=False)
class _Answers:
    probability: np.ndarray  # (sample, location)
    x: np.ndarray  # (sample,) metres
    y: np.ndarray
    normalised: bool


def expert_effects(
    model: NextLocationModel, experts: ExpertSet, histories: Histories, report: Report | None = None
) -> pd.DataFrame:
    """Forces and silences every expert of a set in turn.

    Forcing replaces the weights as used, so only that expert speaks; silencing takes it out before the choice, so that the others
    may be chosen in its place. Other sets stay as they are.

    Args:
        model: The model.
        experts: One of its sets.
        histories: The questions.
        report: Told the share done.

    Returns:
        One row per expert: expert (index), name; forced_m and silenced_m: mean metres between the answer's point before and after
        (`NextLocationModel.points`, else the first guess); forced_moved and silenced_moved: mean share of probability that went
        elsewhere; forced_top and silenced_top: share of questions whose first guess changed; silenced_nats: mean loss of
        log-probability of the truth (positive: the expert helps; NaN where there is no truth); normalised: whether these are
        probabilities in earnest; n.
    """
    before, known = _ask(model, histories), model.probes()
    rows = []
    for expert, name in enumerate(experts.names):
        if report:
            report(f"Forcing and silencing {name}", expert / len(experts.names))
        row: dict[str, object] = {"expert": expert, "name": name}
        for word, action, probe in (("forced", "force", experts.routing), ("silenced", "silence", experts.raw)):
            change = build_override(OverrideProbe(probe=probe, action=action, index=expert), known[probe])
            with override(model, {probe: change}):
                after = _ask(model, histories)
            moved = np.abs(after.probability - before.probability).sum(axis=1) / 2
            row[f"{word}_m"] = float(np.hypot(after.x - before.x, after.y - before.y).mean()) if len(histories) else np.nan
            row[f"{word}_moved"] = float(moved.mean()) if len(histories) else np.nan
            row[f"{word}_top"] = float((after.probability.argmax(1) != before.probability.argmax(1)).mean())
            if word == "silenced":
                row["silenced_nats"] = _lost(before, after, histories.target)
        rows.append(row | {"normalised": before.normalised, "n": len(histories)})
    return pd.DataFrame(rows)


def _ask(model: NextLocationModel, histories: Histories) -> _Answers:
    prediction = model.predict(histories)
    probability = np.exp(prediction.log_probability.astype(np.float64))
    answer = model.points(histories)
    if answer is not None:
        return _Answers(probability, answer.x, answer.y, prediction.normalised)
    first = probability.argmax(axis=1)
    return _Answers(probability, histories.places.x[first], histories.places.y[first], prediction.normalised)


def _lost(before: _Answers, after: _Answers, target: np.ndarray | None) -> float:
    if target is None or not len(target):
        return float("nan")
    rows = np.arange(len(target))
    was, now = (np.log(np.maximum(answers.probability[rows, target], _FLOOR)) for answers in (before, after))
    return float((was - now).mean())
