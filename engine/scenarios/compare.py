"""Before and after: what a scenario changes in a prediction, and in the metrics."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from engine.city.samples import Histories, Samples
from engine.errors import ScenarioError
from engine.evaluation.metrics import RESAMPLES, draw_users, paired_difference, summarise_groups
from engine.evaluation.ranking import answer
from engine.evaluation.report import ALL
from engine.models.answers import Prediction, Predictor
from engine.models.base import MobilityModel
from engine.models.declarations import Effect
from engine.scenarios.apply import apply_to_histories, apply_to_places, apply_to_samples, mechanism_of
from engine.scenarios.edits import QUERY_EDITS, AddPlace, ClosePlace, Edit, MovePlace, RetagPlace
from engine.scenarios.query import changed_questions
from engine.scenarios.scenario import Scenario

SUBSTITUTES = 10
METRIC_SAMPLES = 1_000
"""Test samples that metrics of a what-if are measured on, unless more are asked for."""


@dataclass(frozen=True)
class Comparison:
    """One question answered before and after.

    Attributes:
        candidates: One row per place of the edited city: location_id, name, category, longitude, latitude, edit (what
            happened to it), before, after, change (probabilities), rank_before, rank_after (1 is the top; NA where a place
            cannot be answered). Ordered by rank_after.
        moved: Total variation distance between the two answers: the share of probability that went elsewhere, 0 to 1.
        normalised: Whether these are probabilities in earnest, before and after; scores that add up to one otherwise.
        substitutes: The places that gained most, with their distance (metres) to the nearest edited place that lost
            probability and whether they share its category.
    """

    candidates: pd.DataFrame
    moved: float
    normalised: bool
    substitutes: pd.DataFrame

    @property
    def top_before(self) -> pd.Series | None:
        """The top guess before; None where no place can be answered."""
        return _top(self.candidates, "rank_before")

    @property
    def top_after(self) -> pd.Series | None:
        """The top guess after; None where no place can be answered, as when all are closed."""
        return _top(self.candidates, "rank_after")


@dataclass(frozen=True)
class MetricsComparison:
    """Metrics over many samples before and after.

    Attributes:
        table: One row per group and metric: slice, group (both `all` for all samples), metric, before, after, difference, low, high
            (of the 95 % interval of the difference, paired by person), n.
        samples: How many were asked.
        changed: In how many of them the edits of the question change anything; None where there is no such edit.
    """

    table: pd.DataFrame
    samples: int
    changed: int | None


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
    first = predictor.predict(histories).open_only(histories.places)
    with mechanism_of(scenario, predictor):
        second = predictor.predict(edited).open_only(edited.places)
    before, after = (np.exp(answered.log_probability[0].astype(np.float64)) for answered in (first, second))
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
    return Comparison(
        candidates=candidates.sort_values("rank_after", kind="stable"),
        moved=moved,
        normalised=first.normalised and second.normalised,
        substitutes=_substitutes(candidates, places.x, places.y),
    )


def evenly(samples: Samples, most: int = METRIC_SAMPLES) -> Samples:
    """The samples of the test part, or so many of them at equal steps: what metrics of a what-if are measured on."""
    test = samples.of_part("test")
    return test[np.unique(np.linspace(0, len(test) - 1, min(most, len(test))).astype(int))] if len(test) else test


def compare_metrics(
    predictor: Predictor, samples: Samples, scenario: Scenario, labels: pd.DataFrame | None = None, seed: int = 0
) -> MetricsComparison:
    """The metrics before and after a scenario over many samples, with paired differences.

    An edit of the question is put to every sample. A sample whose history has no visit that is to be hidden is asked as it is.

    Args:
        predictor: Model or baseline.
        samples: Samples of the unedited city.
        scenario: City, query and mechanism edits.
        labels: Groups of the samples to measure besides all of them, as from `slices.slice_labels`.
        seed: Draws of the bootstrap.

    Raises:
        ScenarioError: If the scenario does not fit.
    """
    asked = _Asked(predictor, [edit for edit in scenario.edits if isinstance(edit, QUERY_EDITS)])
    before = answer(predictor, samples)
    with mechanism_of(scenario, predictor):
        after = answer(asked, apply_to_samples(scenario, samples))
    drawn = draw_users(before, seed, RESAMPLES)
    rows = []
    for name, group, mask in _groups(len(samples), labels):
        base, edited = (summarise_groups(one, np.where(mask, 0, -1), 1, drawn=drawn)[0] for one in (before, after))
        for metric in base:
            difference = paired_difference(after, before, metric, mask, drawn=drawn)
            rows.append(
                {
                    "slice": name,
                    "group": group,
                    "metric": metric,
                    "before": base[metric].value,
                    "after": edited[metric].value,
                    "difference": difference.value,
                    "low": difference.low,
                    "high": difference.high,
                    "n": difference.n,
                }
            )
    return MetricsComparison(pd.DataFrame(rows), len(samples), asked.changed if asked.edits else None)


def _groups(count: int, labels: pd.DataFrame | None) -> Iterator[tuple[str, str, np.ndarray]]:
    """Slice, group and (sample,) mask: all samples first, then the groups that hold one."""
    yield ALL, ALL, np.ones(count, bool)
    for name, column in () if labels is None else ((name, labels[name].array) for name in labels):
        for index, group in enumerate(column.categories):
            mask = np.asarray(column.codes) == index
            if mask.any():
                yield str(name), str(group), mask


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
    """A predictor to whom every question is put under edits of the question; counts how many of them that changes."""

    def __init__(self, predictor: Predictor, edits: Sequence[Edit]) -> None:
        self.name, self.title = predictor.name, predictor.title
        self.edits, self.changed = edits, 0
        self._predictor, self._scenario = predictor, Scenario(edits=tuple(edits))

    def predict(self, histories: Histories) -> Prediction:
        edited = apply_to_histories(self._scenario, histories, skip_missing=True)
        self.changed += int(changed_questions(histories, edited).sum())
        prediction = self._predictor.predict(edited).open_only(edited.places)
        # What the edits put at the end of the places for the question alone (a moved last visit) is no place of the city.
        return Prediction(prediction.log_probability[:, : len(histories.places)], prediction.normalised)


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
