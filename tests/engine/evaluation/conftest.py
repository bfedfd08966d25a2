"""Answers written by hand, and a predictor that says what it is told."""

from dataclasses import dataclass

import numpy as np
import pytest

from engine.city.samples import Histories, VisitLog, build_samples
from engine.evaluation.ranking import Answers
from engine.models.answers import Prediction
from tests.engine.small_cities import histories_of, log_of, random_city


@dataclass
class Told:
    """Answers the same scores to every sample, or one row per sample in the order asked."""

    scores: np.ndarray
    name: str = "told"
    title: str = "Told what to say"
    asked: int = 0

    def predict(self, histories: Histories) -> Prediction:
        rows = self.scores if self.scores.ndim == 2 else np.repeat(self.scores[None], len(histories), axis=0)
        given = rows[self.asked : self.asked + len(histories)] if self.scores.ndim == 2 else rows
        self.asked += len(histories)
        return Prediction(given.astype(np.float32))


def handmade(
    rank: list[float], truth: str, first: str, users: list[str] | None = None, distance: list[float] | None = None
) -> Answers:
    """Answers with these ranks; `truth` and `first` spell places a to f, one letter per sample."""
    count = len(rank)
    top = np.array([[ord(letter) - 97] for letter in first], np.int32).reshape(count, 1)
    return Answers(
        predictor="handmade",
        title="Handmade",
        places=histories_of([""]).places,
        sample=np.arange(count),
        user=np.array(users or [f"u{index}" for index in range(count)], object),
        started_at=np.full(count, np.datetime64("2024-01-01", "ns")),
        step=np.arange(count, dtype=np.int32),
        part=np.full(count, 2, np.int8),
        truth=np.array([ord(letter) - 97 for letter in truth], np.int32),
        rank=np.array(rank, float),
        truth_probability=np.zeros(count, np.float32),
        top=top,
        top_probability=np.ones((count, 1), np.float32),
        distance_m=np.array(distance if distance is not None else [0.0] * count, float),
    )


@pytest.fixture(scope="package")
def log() -> VisitLog:
    return log_of(random_city())


@pytest.fixture(scope="package")
def samples(log: VisitLog):
    return build_samples(log).of_part("test")
