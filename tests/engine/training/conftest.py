import pytest
import torch

from engine.city.samples import VisitLog, build_samples
from engine.city.splits import Split
from engine.models.base import Data
from tests.engine.runs import bigram


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def walk() -> Data:
    """4 people who walk round 12 places for 60 days."""
    city, split = bigram.small_city(), Split()
    return Data(city, split, build_samples(VisitLog.of(city, split)))
