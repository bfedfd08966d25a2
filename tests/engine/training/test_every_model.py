"""Every entry of `MODELS`: its tiny preset can be interrupted anywhere and ends with the bits of an uninterrupted training."""

from pathlib import Path

import pytest
import torch

from engine.city.cell_samples import build_cell_samples
from engine.city.cell_splits import CellSplit
from engine.city.samples import VisitLog, build_samples
from engine.city.splits import Split
from engine.errors import TrainingStopped
from engine.models import MODELS, get_model, task_of
from engine.models.base import Data
from engine.training.checkpoints import Checkpoints
from engine.training.loop import train


@pytest.fixture(scope="module")
def tiny_of(tiny_city):
    """The tiny city under the split a model needs."""
    visits, blocks = Split(), CellSplit()
    samples = build_samples(VisitLog.of(tiny_city, visits))
    cells = build_cell_samples(tiny_city, blocks)

    def tiny(name: str) -> Data:
        if task_of(name) == "grid_flow":
            return Data(tiny_city, blocks, cells=cells)
        return Data(tiny_city, visits, samples)

    return tiny


@pytest.mark.parametrize("name", list(MODELS))
def test_interrupted_and_resumed_it_ends_with_the_same_bits(name: str, tiny_of, tmp_path: Path) -> None:
    tiny = tiny_of(name)

    def build():
        model = get_model(name).build(get_model(name).Config.preset("tiny"), tiny, seed=1)
        return model, model.stages(tiny)

    whole, stages = build()
    steps = train(whole, stages, seed=2).steps
    # Early in the first stage, in the middle, and shortly before the end: each time in a new process's place.
    for index, stop_at in enumerate((2, steps // 2, steps - 1)):
        model, stages = build()
        done = [0]

        def count(step, done=done) -> None:
            done[0] = step.step

        with pytest.raises(TrainingStopped, match="resume continues"):
            train(
                model,
                stages,
                seed=2,
                checkpoints=Checkpoints(tmp_path),
                on_step=count,
                should_stop=lambda done=done, stop_at=stop_at: "cancelled" if done[0] >= stop_at else None,
            )
        assert Checkpoints(tmp_path).latest().step == stop_at, f"stop {index}"
    model, stages = build()
    train(model, stages, seed=2, checkpoints=Checkpoints(tmp_path))
    for key, value in whole.state_dict().items():
        assert torch.equal(value, model.state_dict()[key]), f"{key} differs"
