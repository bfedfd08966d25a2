"""What a predictor answered: the rank of the truth and the top of its list. Full score matrices are never kept."""

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import pandas as pd

from engine.city.samples import Places, Samples
from engine.city.splits import PARTS
from engine.errors import MobiscopeError
from engine.models.answers import Predictor
from engine.models.base import Report

Scoring = Literal["strict", "parity", "parity_known"]
"""How places without a training visit are scored.

strict: Every place keeps its id. A target new to the predictor is a miss unless the predictor ranks it.
parity: As the code of "Into the Unknown" does: all places absent from the training part share one id, which is an ordinary class,
    so naming it is a hit whichever of them was meant (specs/calliper.md, section 5).
parity_known: The same shared id in the histories, but it can neither be answered nor hit ("UNK never a hit").
"""


@dataclass(frozen=True, eq=False)
class Answers:
    """The answers of one predictor to a set of samples.

    Attributes:
        predictor, title: Its name and its name on screen.
        places: The axis "location".
        sample: (sample,) int64, row of the target in the visits table: the sample's identity.
        user: (sample,) str.
        started_at: (sample,) datetime64[ns], UTC, of the target.
        step: (sample,) int32, the sample's place in the order of its user's samples, from 0.
        part: (sample,) int8 index into `PARTS`.
        truth: (sample,) int32.
        rank: (sample,) float64 from 1, inf where the predictor cannot answer the truth. Equal scores rank by location index, so
            a rank is the position in the list shown.
        truth_probability: (sample,) float32, 0 where it cannot be answered.
        top: (sample, k) int32, best first; -1 where the predictor answers fewer places.
        top_probability: (sample, k) float32, 0 beside -1.
        distance_m: (sample,) float64 metres from the first answer to the truth in the city's CRS.
        normalised: Whether probabilities are meant in earnest.
    """

    predictor: str
    title: str
    places: Places
    sample: np.ndarray
    user: np.ndarray
    started_at: np.ndarray
    step: np.ndarray
    part: np.ndarray
    truth: np.ndarray
    rank: np.ndarray
    truth_probability: np.ndarray
    top: np.ndarray
    top_probability: np.ndarray
    distance_m: np.ndarray
    normalised: bool = True

    def __len__(self) -> int:
        return len(self.rank)

    def to_frame(self) -> pd.DataFrame:
        """The predictions table: one row per sample, Parquet-ready.

        Columns `true_id` and `topk_ids` are positions in the locations table; `true_rank` is empty where the truth cannot be
        answered; `dist_err_m` is in metres; `started_at` is in UTC.
        """
        kept = (self.top >= 0).sum(1)
        return pd.DataFrame(
            {
                "predictor": self.predictor,
                "title": self.title,
                "sample_id": self.sample,
                "user_id": pd.Series(self.user, dtype="str"),
                "started_at": pd.Series(self.started_at).dt.tz_localize("UTC"),
                "step": self.step,
                "split": pd.Series(np.array(PARTS, object)[self.part], dtype="str"),
                "true_id": self.truth,
                "true_rank": pd.array(np.where(np.isfinite(self.rank), self.rank, np.nan), dtype="Int32"),
                "true_prob": self.truth_probability,
                "topk_ids": [row[:count] for row, count in zip(self.top, kept, strict=True)],
                "topk_probs": [row[:count] for row, count in zip(self.top_probability, kept, strict=True)],
                "dist_err_m": self.distance_m,
                "normalised": self.normalised,
            }
        )

    @classmethod
    def from_frame(cls, frame: pd.DataFrame, places: Places) -> "Answers":
        """The answers of one predictor from its rows of the predictions table.

        Raises:
            MobiscopeError: If the table holds several predictors or none, or refers to places the city does not have.
        """
        names = frame["predictor"].unique()
        if len(names) != 1:
            raise MobiscopeError(f"Choose the rows of one predictor; these hold {len(names)}.")
        truth = frame["true_id"].to_numpy(np.int32)
        width = max((len(row) for row in frame["topk_ids"]), default=0)
        top = np.full((len(frame), width), -1, np.int32)
        probability = np.zeros((len(frame), width), np.float32)
        for row, (ids, values) in enumerate(zip(frame["topk_ids"], frame["topk_probs"], strict=True)):
            top[row, : len(ids)], probability[row, : len(ids)] = ids, values
        if max(truth.max(initial=-1), top.max(initial=-1)) >= len(places):
            raise MobiscopeError("These predictions refer to places the city does not have; they were made for another city.")
        return cls(
            predictor=str(names[0]),
            title=str(frame["title"].iloc[0]),
            places=places,
            sample=frame["sample_id"].to_numpy(np.int64),
            user=frame["user_id"].to_numpy(object),
            started_at=frame["started_at"].dt.tz_localize(None).to_numpy("datetime64[ns]"),
            step=frame["step"].to_numpy(np.int32),
            part=frame["split"].map({part: index for index, part in enumerate(PARTS)}).to_numpy(np.int8),
            truth=truth,
            rank=frame["true_rank"].astype("Float64").to_numpy(np.float64, na_value=np.inf),
            truth_probability=frame["true_prob"].to_numpy(np.float32),
            top=top,
            top_probability=probability,
            distance_m=frame["dist_err_m"].to_numpy(np.float64),
            normalised=bool(frame["normalised"].iloc[0]),
        )


def answer(
    predictor: Predictor,
    samples: Samples,
    top_k: int = 20,
    chunk: int = 256,
    report: Report | None = None,
    scoring: Scoring = "strict",
) -> Answers:
    """Asks a predictor for every sample, a chunk at a time.

    Args:
        predictor: A model or a baseline.
        samples: What to ask; histories are built as they are needed.
        top_k: Length of the lists kept.
        chunk: Samples per call; memory grows with chunk times places.
        report: Told the share done.
        scoring: What becomes of places without a training visit, see `Scoring`.
    """
    places, count = samples.log.places, len(samples)
    asked = samples if scoring == "strict" else merge_new_places(samples)
    forbidden = shared_place(samples) if scoring == "parity_known" else -1
    truth = asked.true_location
    width = min(top_k, len(places))
    rank = np.full(count, np.inf)
    truth_probability = np.zeros(count, np.float32)
    top = np.full((count, width), -1, np.int32)
    top_probability = np.zeros((count, width), np.float32)
    normalised = True
    for begin in range(0, count, chunk):
        if report:
            report(f"Asking {predictor.title}", begin / count)
        part = slice(begin, min(begin + chunk, count))
        prediction = predictor.predict(asked.histories(part)).open_only(places)
        normalised = normalised and prediction.normalised
        scores = prediction.log_probability
        if forbidden >= 0:
            scores = scores.copy()
            scores[:, forbidden] = -np.inf
        rank[part] = rank_of(scores, truth[part])
        truth_probability[part] = np.exp(scores[np.arange(len(scores)), truth[part]])
        top[part], top_probability[part] = top_of(scores, width)
    distance = np.full(count, np.nan)
    if width:
        distance = np.hypot(places.x[top[:, 0]] - places.x[truth], places.y[top[:, 0]] - places.y[truth])
        distance[top[:, 0] < 0] = np.nan
    if scoring != "strict":
        # The shared id stands for many places: it is nowhere.
        distance[(truth == shared_place(samples)) | (top[:, 0] == shared_place(samples))] = np.nan
    log = samples.log
    return Answers(
        predictor=predictor.name,
        title=predictor.title,
        places=places,
        sample=log.row[samples.target],
        user=log.users[log.user[samples.target]].astype(object),
        started_at=log.started_at[samples.target],
        step=_step_of(log.user[samples.target], log.started_at[samples.target], samples.target),
        part=log.part[samples.target],
        truth=truth,
        rank=rank,
        truth_probability=truth_probability,
        top=top,
        top_probability=top_probability,
        distance_m=distance,
        normalised=normalised,
    )


def rank_of(scores: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """The rank of the true place by counting what stands before it; equal scores stand in the order of the location index.

    Args:
        scores: (sample, location), -inf where a place cannot be answered.
        truth: (sample,) index of the true place.

    Returns:
        (sample,) float64 from 1, inf where the true place cannot be answered.
    """
    own = scores[np.arange(len(truth)), truth][:, None]
    before = np.count_nonzero(scores > own, axis=1)
    tied = (scores == own) & (np.arange(scores.shape[1]) < truth[:, None])
    return np.where(np.isneginf(own[:, 0]), np.inf, 1.0 + before + np.count_nonzero(tied, axis=1))


def top_of(scores: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """The best places and their probabilities, in the order `rank_of` counts by.

    Args:
        scores: (sample, location) log-probabilities.
        count: Length of the lists, at most the number of places.

    Returns:
        (sample, count) int32 places, -1 where fewer can be answered, and (sample, count) float32 probabilities.
    """
    top = np.full((len(scores), count), -1, np.int32)
    probability = np.zeros((len(scores), count), np.float32)
    if count and len(scores):
        weakest = np.partition(scores, -count, axis=1)[:, -count, None]
        sample, place = np.nonzero((scores >= weakest) & ~np.isneginf(scores))
        value = scores[sample, place]
        order = np.lexsort((place, -value, sample))
        sample, place, value = sample[order], place[order], value[order]
        first = np.searchsorted(sample, np.arange(len(scores)))
        position = np.arange(len(sample)) - first[sample]
        kept = position < count
        top[sample[kept], position[kept]] = place[kept]
        probability[sample[kept], position[kept]] = np.exp(value[kept])
    return top, probability


def shared_place(samples: Samples) -> int:
    """The place that stands for all places without a training visit in parity scoring: the first of them; -1 if there is none.

    Places hidden by the split keep their id, as in the published code.
    """
    new = np.flatnonzero(~samples.log.seen & ~samples.log.hidden)
    return int(new[0]) if len(new) else -1


def merge_new_places(samples: Samples) -> Samples:
    """The same samples with every place absent from the training part replaced by `shared_place`, in histories and targets."""
    log, shared = samples.log, shared_place(samples)
    if shared < 0:
        return samples
    new = ~log.seen & ~log.hidden
    return replace(samples, log=replace(log, location=np.where(new[log.location], shared, log.location).astype(np.int32)))


def _step_of(user: np.ndarray, started_at: np.ndarray, target: np.ndarray) -> np.ndarray:
    order = np.lexsort((target, started_at, user))
    first = np.flatnonzero(np.r_[True, np.diff(user[order]) != 0]) if len(user) else np.zeros(0, np.int64)
    step = np.arange(len(user)) - np.repeat(first, np.diff(np.r_[first, len(user)]))
    result = np.empty(len(user), np.int32)
    result[order] = step
    return result
