"""Markov chains of several orders over the training sequences, each order backing off to the one below.

Witten-Bell interpolation (Witten and Bell 1991, "The zero-frequency problem", method C): after a context seen n times with t
distinct successors, `p(place) = (count + t * p_below(place)) / (n + t)`. A context never seen leaves the order below as it is.
Rows are probabilities in earnest.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_matrix

from engine.city.samples import Histories, VisitLog
from engine.models.answers import Prediction
from engine.models.baselines.rankings import log_share, popularity_share, with_new_places


@dataclass(frozen=True, eq=False)
class Context:
    """One order of the chain.

    Attributes:
        key: (user, last place, place before it), each (sample,) and -1 where unknown -> (sample,) int64 context, -1 for none.
        contexts: (context,) int64 keys seen in training, sorted.
        follows: (context, location) how often a place followed.
    """

    key: Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]
    contexts: np.ndarray
    follows: csr_matrix


@dataclass(frozen=True, eq=False)
class BackOffMarkov:
    """Contexts from the coarsest to the finest, over the popularity of places.

    Attributes:
        name: Key in `BASELINES`.
        title: Name on screen.
        share: (location,) popularity, the order below all others.
        orders: Coarsest first.
        user_row: User id to index at fitting.
    """

    name: str
    title: str
    share: np.ndarray
    orders: tuple[Context, ...]
    user_row: dict[str, int]

    def predict(self, histories: Histories) -> Prediction:
        """Log-probabilities; -inf for places without a training visit. Ties go by location index."""
        known = np.array([self.user_row.get(user, -1) for user in histories.users], np.int64)
        user = np.where(histories.user >= 0, known[histories.user], -1) if len(known) else np.full(len(histories), -1)
        last, before = (_latest(histories, back, len(self.share)) for back in (1, 2))
        share = np.repeat(
            with_new_places(self.share, len(histories.places), 0.0)[None], len(histories), axis=0
        )  # (sample, location)
        for order in self.orders:
            key = order.key(user, last, before)
            row = np.minimum(np.searchsorted(order.contexts, key), max(len(order.contexts) - 1, 0))
            sample = np.flatnonzero((key >= 0) & (order.contexts[row] == key)) if len(order.contexts) else np.zeros(0, np.int64)
            interpolate(share, sample, order.follows[row[sample]])
        return Prediction(log_share(share)).open_only(histories.places)


def interpolate(share: np.ndarray, sample: np.ndarray, follows: csr_matrix) -> None:
    """Puts one more order over the shares of some samples, in place (Witten-Bell); a context never seen changes nothing.

    Args:
        share: (sample, location) of the orders below.
        sample: (context,) distinct samples that have a context.
        follows: (context, location) how often each place followed it.
    """
    times, distinct = np.asarray(follows.sum(1)).ravel(), np.diff(follows.indptr)
    seen = np.maximum(times + distinct, 1)
    share[sample] *= np.where(distinct > 0, distinct / seen, 1.0)[:, None]
    entries = follows.tocoo()
    share[sample[entries.row], entries.col] += entries.data / seen[entries.row]


def follows_in_training(log: VisitLog) -> np.ndarray:
    """(training visit,) bool: whether the one before it in `log.training()` is its person's previous visit.

    A visit follows another only if nothing stands between them in the log: a hidden visit breaks the sequence.
    """
    training = log.training()
    user = log.user[training]
    is_next = np.zeros(len(training), bool)
    is_next[1:] = (np.diff(training) == 1) & (user[1:] == user[:-1])
    return is_next


def ngram_markov(log: VisitLog, seed: int = 0) -> BackOffMarkov:
    """Everybody's transitions: popularity, then the last place, then the last two."""
    return _fit(log, "ngram_markov", "n-gram Markov", ("last", "last two"))


def user_markov(log: VisitLog, seed: int = 0) -> BackOffMarkov:
    """Personal transitions: popularity, everybody's from the last place, the user's visits, the user's from the last place."""
    return _fit(log, "user_markov", "Personal n-gram Markov", ("last", "user", "user and last"))


def _fit(log: VisitLog, name: str, title: str, orders: tuple[str, ...]) -> BackOffMarkov:
    training, places = log.training(), len(log.places)
    location, user = log.location[training].astype(np.int64), log.user[training].astype(np.int64)
    is_next = follows_in_training(log)
    is_third = is_next.copy()
    is_third[1:] &= is_next[:-1]
    last, before = np.full(len(training), -1), np.full(len(training), -1)
    last[is_next] = location[np.flatnonzero(is_next) - 1]
    before[is_third] = location[np.flatnonzero(is_third) - 2]
    keys = _keys(places)
    fitted = []
    for order in orders:
        key = keys[order](user, last, before)
        seen = key >= 0
        contexts, row = np.unique(key[seen], return_inverse=True)
        follows = csr_matrix((np.ones(len(row)), (row, location[seen])), shape=(len(contexts), places))
        follows.sum_duplicates()
        fitted.append(Context(keys[order], contexts, follows))
    return BackOffMarkov(name, title, popularity_share(log), tuple(fitted), {user: row for row, user in enumerate(log.users)})


def _keys(places: int) -> dict[str, Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]]:
    def joined(coarse: np.ndarray, fine: np.ndarray) -> np.ndarray:
        return np.where((coarse >= 0) & (fine >= 0), coarse * places + fine, -1)

    return {
        "user": lambda user, last, before: user,
        "last": lambda user, last, before: last,
        "last two": lambda user, last, before: joined(before, last),
        "user and last": lambda user, last, before: joined(user, last),
    }


def _latest(histories: Histories, back: int, places: int) -> np.ndarray:
    """(sample,) int64: the place visited `back` visits before the target, -1 where there is none or it was added after fitting."""
    place = np.full(len(histories), -1, np.int64)
    enough = histories.lengths >= back
    place[enough] = histories.location[histories.offsets[1:][enough] - back]
    return np.where(place < places, place, -1)
