"""Before and after: what a scenario changes in a prediction, and in the metrics."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from engine.city.samples import Histories, Samples
from engine.errors import ScenarioError
from engine.evaluation.metrics import Estimate, paired_difference, summarise
from engine.evaluation.ranking import answer
from engine.models.answers import Prediction, Predictor
from engine.models.base import MobilityModel
from engine.models.declarations import Effect
from engine.scenarios.apply import apply_to_histories, apply_to_places, mechanism_of
from engine.scenarios.edits import AddPlace, ClosePlace, Edit, MovePlace, RetagPlace
from engine.scenarios.scenario import Scenario

SUBSTITUTES = 10


@dataclass(frozen=True)
class Comparison:
    """One question answered before and after.

    Attributes:
        candidates: One row per place of the edited city: location_id, name, category, longitude, latitude, edit (what
            happened to it), before, after, change (probabilities), rank_before, rank_after (1 is the top; NA where a place
            cannot be answered). Ordered by rank_after.
        moved: Total variation distance between the two answers: the share of probability that went elsewhere, 0 to 1.
        substitutes: The places that gained most, with their distance (metres) to the nearest edited place that lost
            probability and whether they share its category.
    """

    candidates: pd.DataFrame
    moved: float
    substitutes: pd.DataFrame

    @property
    def top_before(self) -> pd.Series | None:
        """The top guess before; None where no place can be answered."""
        return _top(self.candidates, "rank_before")

    @property
    def top_after(self) -> pd.Series | None:
        """The top guess after; None where no place can be answered, as when all are closed."""
        return _top(self.candidates, "rank_after")


def compare(predictor: Predictor, histories: Histories, scenario: Scenario) -> Comparison:
    """Answers one question before and after a scenario.

    Args:
        predictor: Model or baseline.
        histories: Exactly one sample of the unedited city.
        scenario: City, query and mechanism edits; applied in that sense, in their order.

    Raises:
        ScenarioError: If there is not exactly one sample, or the scenario does not fit.
    """
    if len(histories) != 1:
        raise ScenarioError(f"A comparison asks one question; {len(histories)} were given.")
    edited = apply_to_histories(scenario, histories)
    before = np.exp(predictor.predict(histories).open_only(histories.places).log_probability[0].astype(np.float64))
    with mechanism_of(scenario, predictor):
        after = np.exp(predictor.predict(edited).open_only(edited.places).log_probability[0].astype(np.float64))
    # What the edits put at the end of the places for the question alone (a moved last visit) is no place of the city.
    places = apply_to_places(scenario.edits, histories.places)
    after = after[: len(places)]
    before = np.pad(before, (0, len(places) - len(before)))
    candidates = pd.DataFrame(
        {
            "location_id": places.ids,
            "name": places.names,
            "category": np.array(places.category_names, object)[places.category],
            "longitude": places.longitude,
            "latitude": places.latitude,
            "edit": _edit_labels(scenario, places.ids),
            "before": before,
            "after": after,
            "change": after - before,
            "rank_before": _ranks(before),
            "rank_after": _ranks(after),
        }
    )
    moved = float(np.abs(after - before).sum() / 2)
    return Comparison(candidates.sort_values("rank_after", kind="stable"), moved, _substitutes(candidates, places.x, places.y))


def compare_metrics(predictor: Predictor, samples: Samples, scenario: Scenario, seed: int = 0) -> pd.DataFrame:
    """The metrics before and after a scenario over many samples, with paired differences.

    Returns:
        One row per metric: metric, before, after, difference, low, high, n.
    """
    before = answer(predictor, samples)
    with mechanism_of(scenario, predictor):
        after = answer(_Asked(predictor, scenario), samples)
    base, changed = summarise(before, seed=seed), summarise(after, seed=seed)
    rows = []
    for metric in base:
        difference: Estimate = paired_difference(after, before, metric, seed=seed)
        rows.append(
            {
                "metric": metric,
                "before": base[metric].value,
                "after": changed[metric].value,
                "difference": difference.value,
                "low": difference.low,
                "high": difference.high,
                "n": difference.n,
            }
        )
    return pd.DataFrame(rows)


def effect_of(edit: Edit, predictor: Predictor) -> Effect:
    """What an edit needs before this predictor can answer to it."""
    kind = str(getattr(edit, "kind", ""))
    if isinstance(predictor, MobilityModel):
        return predictor.effects().get(kind, Effect("forward", "Answered by a forward pass."))
    if edit.subject == "mechanism":
        return Effect("nothing", f"{predictor.title} has no mechanism to override.")
    if isinstance(edit, AddPlace):
        return Effect("nothing", f"{predictor.title} counts past visits; a place nobody visited yet cannot be ranked.")
    if isinstance(edit, MovePlace | RetagPlace):
        return Effect("nothing", f"{predictor.title} counts visits and sees neither position nor category.")
    return Effect("forward", "Answered by a forward pass.")


class _Asked:
    """A predictor to whom every question is put under a scenario; places stay aligned with the unedited ones."""

    def __init__(self, predictor: Predictor, scenario: Scenario) -> None:
        self.name, self.title = predictor.name, predictor.title
        self._predictor, self._scenario = predictor, scenario

    def predict(self, histories: Histories) -> Prediction:
        edited = apply_to_histories(self._scenario, histories)
        return self._predictor.predict(edited).open_only(edited.places)


def _top(candidates: pd.DataFrame, column: str) -> pd.Series | None:
    ranks = candidates[column].to_numpy(float)
    return None if np.isnan(ranks).all() else candidates.iloc[int(np.nanargmin(ranks))]


def _ranks(probability: np.ndarray) -> np.ndarray:
    """1 for the most probable; ties by position; NA where the probability is zero."""
    order = np.argsort(-probability, kind="stable")
    ranks = np.empty(len(order))
    ranks[order] = np.arange(1, len(order) + 1)
    return np.where(probability > 0, ranks, np.nan)


def _edit_labels(scenario: Scenario, ids: np.ndarray) -> list[str]:
    words = {AddPlace: "opened", MovePlace: "moved", ClosePlace: "closed", RetagPlace: "retagged"}
    labels: dict[str, list[str]] = {}
    for edit in scenario.edits:
        if isinstance(edit, AddPlace | MovePlace | ClosePlace | RetagPlace):
            labels.setdefault(edit.location_id, []).append(words[type(edit)])
    return [", ".join(dict.fromkeys(labels.get(location, []))) for location in ids]


def _substitutes(candidates: pd.DataFrame, x: np.ndarray, y: np.ndarray) -> pd.DataFrame:
    """Who gained, beside the nearest edited place that lost."""
    gained = candidates[(candidates["change"] > 0) & (candidates["edit"] == "")].nlargest(SUBSTITUTES, "change")
    lost = candidates[(candidates["change"] < 0) & (candidates["edit"] != "")]
    table = gained[["location_id", "name", "category", "longitude", "latitude", "before", "after", "change"]].copy()
    if lost.empty or table.empty:
        table["distance_m"], table["same_category"] = np.nan, False
        return table
    rows, losers = table.index.to_numpy(), lost.index.to_numpy()
    distance = np.hypot(x[rows, None] - x[losers], y[rows, None] - y[losers])
    nearest = distance.argmin(axis=1)
    table["distance_m"] = distance[np.arange(len(rows)), nearest]
    table["same_category"] = table["category"].to_numpy() == lost["category"].to_numpy()[nearest]
    return table
