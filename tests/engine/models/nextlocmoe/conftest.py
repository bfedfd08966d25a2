"""NextLocMoE by its smallest settings on the tiny synthetic city, and histories to ask it."""

import numpy as np
import pytest

from engine.city.samples import Histories, VisitLog, build_samples
from engine.city.splits import Split
from engine.models.base import Data
from engine.models.nextlocmoe import NextLocMoE
from engine.models.nextlocmoe_config import NextLocMoEConfig


@pytest.fixture(scope="module")
def data(tiny_city):
    return Data(tiny_city, Split(), build_samples(VisitLog.of(tiny_city, Split())))


def tiny(data, seed=0, **changes):
    return NextLocMoE.build(NextLocMoEConfig.preset("tiny", **changes), data, seed).eval()


@pytest.fixture(scope="module")
def model(data):
    return tiny(data)


@pytest.fixture(scope="module")
def histories(data):
    return data.samples.of_part("test").histories(slice(0, 20))


def packed(places, visits, minutes_apart=60, stay=np.nan, users=("a",)):
    """One history that visits these places in turn."""
    minutes = 8 * 60 + minutes_apart * np.arange(len(visits))
    return Histories(
        places=places,
        users=np.array(users, object),
        offsets=np.array([0, len(visits)], np.int64),
        location=np.array(visits, np.int32),
        minute=(minutes % 1440).astype(np.int16),
        weekday=(minutes // 1440 % 7).astype(np.int8),
        day=(minutes // 1440).astype(np.int32),
        duration_minutes=np.full(len(visits), stay, np.float32),
        user=np.zeros(1, np.int32),
    )


def assert_probabilities(scores):
    assert not np.isnan(scores).any()
    np.testing.assert_allclose(np.exp(scores.astype(float)).sum(1), 1, atol=1e-4)
