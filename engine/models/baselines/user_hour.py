"""Where a person goes at this hour: the most frequent next place by person and hour, backing off to everybody's.

Everybody's visits order the places; then what followed visits that ended at this hour, then the person's own visits, then what
followed the person's own visits that ended at this hour, each interpolated with the one before as in `markov.py` (Witten-Bell).

The hour of the target is not known to any predictor. The hour here is the local one in which the latest visit of the history ended,
or began where its duration is unknown: the moment at which the question is asked.
"""

from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_matrix

from engine.city.samples import Histories, VisitLog
from engine.models.answers import Prediction
from engine.models.baselines.markov import follows_in_training, interpolate
from engine.models.baselines.rankings import log_share, popularity_share, with_new_places

HOURS = 24


@dataclass(frozen=True, eq=False)
class UserHour:
    """Counts by hour, by person, and by both.

    Attributes:
        name: Key in `BASELINES`.
        title: Name on screen.
        share: (location,) popularity.
        by_hour: (hour, location) how often a place followed a visit that ended in that local hour.
        by_user: (user, location) training visits.
        by_user_and_hour: (user * 24 + hour, location) as `by_hour`, of one person.
        user_row: User id to index at fitting.
    """

    name: str
    title: str
    share: np.ndarray
    by_hour: csr_matrix
    by_user: csr_matrix
    by_user_and_hour: csr_matrix
    user_row: dict[str, int]

    def predict(self, histories: Histories) -> Prediction:
        """Log-probabilities; -inf for places without a training visit. Ties go by location index."""
        known = np.array([self.user_row.get(user, -1) for user in histories.users], np.int64)
        user = np.where(histories.user >= 0, known[histories.user], -1) if len(known) else np.full(len(histories), -1)
        hour = np.full(len(histories), -1, np.int64)
        asked = histories.lengths > 0
        last = histories.last[asked]
        hour[asked] = end_hour(histories.minute[last], histories.duration_minutes[last])
        share = np.repeat(with_new_places(self.share, len(histories.places), 0.0)[None], len(histories), axis=0)
        has_user, has_both = user >= 0, (user >= 0) & asked
        interpolate(share, np.flatnonzero(asked), self.by_hour[hour[asked]])
        interpolate(share, np.flatnonzero(has_user), self.by_user[user[has_user]])
        interpolate(share, np.flatnonzero(has_both), self.by_user_and_hour[user[has_both] * HOURS + hour[has_both]])
        return Prediction(log_share(share)).open_only(histories.places)


def end_hour(minute: np.ndarray, duration_minutes: np.ndarray) -> np.ndarray:
    """(visit,) int64 local hour 0-23 in which visits ended, or began where the duration (minutes) is unknown or absurd."""
    stayed = np.where(np.isfinite(duration_minutes) & (duration_minutes >= 0), duration_minutes, 0.0)
    return ((minute + stayed) // 60 % HOURS).astype(np.int64)


def user_hour(log: VisitLog, seed: int = 0) -> UserHour:
    """`UserHour` fitted on a log's training part."""
    training, places, users = log.training(), len(log.places), len(log.users)
    location, user = log.location[training].astype(np.int64), log.user[training].astype(np.int64)
    later = np.flatnonzero(follows_in_training(log))
    before = training[later - 1]
    hour = end_hour(log.minute[before], log.duration_minutes[before])

    def counts(row: np.ndarray, column: np.ndarray, rows: int) -> csr_matrix:
        matrix = csr_matrix((np.ones(len(row)), (row, column)), shape=(rows, places))
        matrix.sum_duplicates()
        return matrix

    return UserHour(
        name="user_hour",
        title="Person's habit at this hour",
        share=popularity_share(log),
        by_hour=counts(hour, location[later], HOURS),
        by_user=counts(user, location, users),
        by_user_and_hour=counts(user[later] * HOURS + hour, location[later], users * HOURS),
        user_row={user: row for row, user in enumerate(log.users)},
    )
