"""Baselines that count training visits: of everybody, of the user, and of the user with the window at hand."""

from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_matrix

from engine.city.samples import Histories, VisitLog
from engine.models.answers import Prediction
from engine.models.baselines.rankings import log_share, popularity_share, sample_of_step, with_new_places


@dataclass(frozen=True, eq=False)
class Popularity:
    """The share of all training visits that went to each place; places without a training visit cannot be answered."""

    name: str
    title: str
    share: np.ndarray

    def predict(self, histories: Histories) -> Prediction:
        """The same log-probabilities for every sample; ties go by location index."""
        share = with_new_places(self.share, len(histories.places), 0.0)
        return Prediction(np.repeat(log_share(share)[None], len(histories), axis=0)).open_only(histories.places)


@dataclass(frozen=True, eq=False)
class UserFrequency:
    """The user's own training visits, with the popularity of places as if it were one visit more.

    The prior visit orders places the user never went to, and is all that is known of a user without training visits.

    Attributes:
        visits: (user, location) training visits.
        user_row: User id to row of `visits`.
        share: (location,) popularity.
        with_window: Whether the visits of the window at hand count like training visits.
    """

    name: str
    title: str
    visits: csr_matrix
    user_row: dict[str, int]
    share: np.ndarray
    with_window: bool

    def predict(self, histories: Histories) -> Prediction:
        """Log-probabilities (visits + share) / (all visits + 1)."""
        known = np.array([self.user_row.get(user, -1) for user in histories.users], np.int64)
        row = np.where(histories.user >= 0, known[histories.user], -1) if len(known) else np.full(len(histories), -1)
        weight = np.repeat(with_new_places(self.share, len(histories.places), 0.0)[None], len(histories), axis=0)
        sample = np.flatnonzero(row >= 0)
        own = self.visits[row[sample]].tocoo()
        weight[sample[own.row], own.col] += own.data
        if self.with_window:
            np.add.at(weight, (sample_of_step(histories), histories.location), 1.0)
        return Prediction(log_share(weight / weight.sum(1, keepdims=True))).open_only(histories.places)


def popularity(log: VisitLog, seed: int = 0) -> Popularity:
    """`Popularity` of a log's training part."""
    return Popularity("popularity", "Popularity", popularity_share(log))


def user_frequency(log: VisitLog, seed: int = 0) -> UserFrequency:
    """`UserFrequency` of a log's training part."""
    return _user_frequency(log, "user_frequency", "User's own frequency", with_window=False)


def user_and_window_frequency(log: VisitLog, seed: int = 0) -> UserFrequency:
    """`UserFrequency` of a log's training part, counting the window too."""
    return _user_frequency(log, "user_and_window_frequency", "User's own frequency and window", with_window=True)


def _user_frequency(log: VisitLog, name: str, title: str, with_window: bool) -> UserFrequency:
    training = log.training()
    visits = csr_matrix(
        (np.ones(len(training)), (log.user[training], log.location[training])), shape=(len(log.users), len(log.places))
    )
    visits.sum_duplicates()
    return UserFrequency(name, title, visits, {user: row for row, user in enumerate(log.users)}, popularity_share(log), with_window)
