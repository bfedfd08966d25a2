"""The smallest edit that changes the answer: another hour or weekday, another last visit, one visit less."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from engine.city.samples import Histories
from engine.models.answers import Predictor
from engine.scenarios.edits import ChangeMoment, HideVisits
from engine.scenarios.query import edit_histories

HOURS, WEEKDAYS = 24, 7


@dataclass(frozen=True)
class Flip:
    """An edit of the question that changes the top guess.

    Attributes:
        kind: `hour`, `weekday`, `hide a visit` or `last visit`.
        description: The edit as a phrase.
        size: How far it goes: hours (around the clock), days (around the week), steps back, or metres moved.
        unit: Unit of `size`.
        new_top: Index of the new top guess on the axis "location".
        probability: Its probability, or its score where the predictor gives no probabilities in earnest.
        edit: The edit to push on a scenario, where it is one.
    """

    kind: str
    description: str
    size: float
    unit: str
    new_top: int
    probability: float
    edit: ChangeMoment | HideVisits | None


def smallest_flips(predictor: Predictor, histories: Histories) -> list[Flip]:
    """For each kind of edit, the smallest one that changes the top guess; kinds that cannot change it are left out.

    Args:
        predictor: Model or baseline.
        histories: Exactly one sample.
    """
    last = int(histories.last[0])
    now_hour, now_day = int(histories.minute[last]) // 60, int(histories.weekday[last])
    length = int(histories.lengths[0])
    asked: list[tuple[Flip, Histories]] = []
    for hour in range(HOURS):
        if hour != now_hour:
            away = min(abs(hour - now_hour), HOURS - abs(hour - now_hour))
            edit = ChangeMoment(hour=hour)
            asked.append((Flip("hour", edit.describe(), away, "h", -1, 0.0, edit), edit_histories(histories, hour=hour)))
    for weekday in range(WEEKDAYS):
        if weekday != now_day:
            away = min(abs(weekday - now_day), WEEKDAYS - abs(weekday - now_day))
            edit = ChangeMoment(weekday=weekday)
            asked.append(
                (Flip("weekday", edit.describe(), away, "days", -1, 0.0, edit), edit_histories(histories, weekday=weekday))
            )
    for step in range(length if length > 1 else 0):
        hide = HideVisits(steps=(step,))
        flip = Flip("hide a visit", hide.describe(), length - step, "steps back", -1, 0.0, hide)
        asked.append((flip, edit_histories(histories, hide=(step,))))
    for place, distance in _nearest_of_each_category(histories):
        words = f"had the last visit been to {histories.places.names[place]}"
        asked.append((Flip("last visit", words, distance, "m", -1, 0.0, None), _with_last(histories, place)))
    if not asked:
        return []
    tops, probabilities = _top(predictor, [histories, *(question for _, question in asked)])
    flips: dict[str, Flip] = {}
    for (flip, _), top, probability in zip(asked, tops[1:], probabilities[1:], strict=True):
        if top != tops[0] and (flip.kind not in flips or flip.size < flips[flip.kind].size):
            flips[flip.kind] = Flip(flip.kind, flip.description, flip.size, flip.unit, int(top), float(probability), flip.edit)
    return list(flips.values())


def join_histories(batches: Sequence[Histories]) -> Histories:
    """Batches over the same places, one after another."""
    first = batches[0]
    counts = np.concatenate([batch.lengths for batch in batches])

    def joined(name: str) -> np.ndarray:
        return np.concatenate([getattr(batch, name) for batch in batches])

    return Histories(
        places=first.places,
        users=first.users,
        offsets=np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        location=joined("location"),
        minute=joined("minute"),
        weekday=joined("weekday"),
        day=joined("day"),
        duration_minutes=joined("duration_minutes"),
        user=joined("user"),
        target=joined("target") if all(batch.target is not None for batch in batches) else None,
    )


def _top(predictor: Predictor, questions: Sequence[Histories]) -> tuple[np.ndarray, np.ndarray]:
    joined = join_histories(questions)
    scores = predictor.predict(joined).open_only(joined.places).log_probability
    tops = scores.argmax(axis=1)
    return tops, np.exp(scores[np.arange(len(tops)), tops])


def _with_last(histories: Histories, place: int) -> Histories:
    location = histories.location.copy()
    location[histories.last[0]] = place
    return replace(histories, location=location)


def _nearest_of_each_category(histories: Histories) -> list[tuple[int, float]]:
    """For every other category, its place nearest to the last visit, with the distance in metres."""
    places, last = histories.places, int(histories.location[histories.last[0]])
    distance = np.hypot(places.x - places.x[last], places.y - places.y[last])
    distance[places.closed] = np.inf
    nearest = []
    for category in np.unique(places.category):
        if category != places.category[last]:
            members = np.flatnonzero(places.category == category)
            best = int(members[distance[members].argmin()])
            if np.isfinite(distance[best]):
                nearest.append((best, float(distance[best])))
    return nearest
