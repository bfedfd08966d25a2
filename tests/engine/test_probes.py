"""Probes: watching changes nothing, overriding changes what it says, and everything is as before when the block ends."""

import copy
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from torch import nn

from engine.errors import ProbeError
from engine.probes import Probe, override, probes, watch
from tests.engine.threads import in_another_thread


class Doubler(nn.Module):
    """Doubles its input; what passes between is declared."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Sequential(Probe("gate", ("sample", "expert"), "the input as it comes"))
        self.doubled = Probe("embedding", ("sample", "expert"), "twice the input")

    def forward(self, value: torch.Tensor) -> torch.Tensor:
        return self.doubled(2 * self.inner(value))


VALUE = torch.tensor([[1.0, 2.0], [3.0, 4.0]])


def test_probes_are_the_models_own_module_tree() -> None:
    assert list(probes(Doubler())) == ["inner.0", "doubled"]


def test_watching_changes_nothing_and_gives_named_axes_with_labels() -> None:
    model = Doubler()
    with watch(model, coordinates={"expert": ["work", "home"], "sample": ["too", "many", "labels"]}) as seen:
        assert torch.equal(model(VALUE), 2 * VALUE)
    array = seen["doubled"][0]
    assert array.dims == ("sample", "expert") and list(array.coords["expert"].values) == ["work", "home"]
    assert "sample" not in array.coords and np.array_equal(array.values, 2 * VALUE.numpy())
    assert array.attrs["kind"] == "embedding"


def test_only_what_is_asked_for_is_collected() -> None:
    model = Doubler()
    with watch(model, "doubled") as seen:
        model(VALUE), model(VALUE)
    assert list(seen) == ["doubled"] and len(seen["doubled"]) == 2


def test_what_was_seen_is_a_copy() -> None:
    model, value = Doubler(), VALUE.clone()
    with watch(model, "inner.0") as seen:
        model(value)
    value.zero_()
    assert seen["inner.0"][0].values.sum() == 10


def test_an_override_replaces_and_a_watcher_sees_the_replacement() -> None:
    model = Doubler()
    with override(model, {"inner.0": torch.zeros_like}), watch(model, "inner.0") as seen:
        assert model(VALUE).abs().sum() == 0
    assert seen["inner.0"][0].values.sum() == 0
    assert torch.equal(model(VALUE), 2 * VALUE)


def test_the_identity_override_changes_nothing() -> None:
    model = Doubler()
    with override(model, {name: lambda value: value for name in probes(model)}):
        assert torch.equal(model(VALUE), 2 * VALUE)


def test_nothing_stays_behind_when_the_block_fails() -> None:
    model = Doubler()
    with pytest.raises(ZeroDivisionError), override(model, {"doubled": lambda value: value * 0}), watch(model):
        raise ZeroDivisionError
    assert torch.equal(model(VALUE), 2 * VALUE) and not any(probe.is_watched for probe in probes(model).values())


def test_a_block_acts_on_its_own_thread_alone() -> None:
    model = Doubler()
    with override(model, {"doubled": torch.zeros_like}), watch(model) as seen:
        assert torch.equal(in_another_thread(lambda: model(VALUE)), 2 * VALUE)
        assert not any(seen.values()) and not in_another_thread(lambda: model.doubled.is_watched)
        assert model(VALUE).abs().sum() == 0 and len(seen["doubled"]) == 1


def test_blocks_inside_one_another_add_up_and_end_one_by_one() -> None:
    model = Doubler()
    with override(model, {"inner.0": lambda value: value + 1}):
        with override(model, {"doubled": torch.negative}):
            assert torch.equal(model(VALUE), -2 * (VALUE + 1))
        assert torch.equal(model(VALUE), 2 * (VALUE + 1))


def test_a_block_that_is_never_closed_stays_with_its_thread() -> None:
    model = Doubler()

    def abandoned() -> Iterator[torch.Tensor]:
        with override(model, {"doubled": torch.zeros_like}):
            yield model(VALUE)

    asked = abandoned()
    assert in_another_thread(lambda: next(asked)).abs().sum() == 0
    assert torch.equal(model(VALUE), 2 * VALUE)
    with override(model, {"doubled": torch.negative}):
        with pytest.raises(ValueError, match="different Context"):
            asked.close()
        assert torch.equal(model(VALUE), -2 * VALUE), "closing it here takes nothing away from this thread"


def test_a_copy_of_a_model_is_not_watched_with_it() -> None:
    model = Doubler()
    with override(model, {"doubled": torch.zeros_like}):
        assert torch.equal(copy.deepcopy(model)(VALUE), 2 * VALUE)


def test_unknown_names_and_wrong_shapes_are_told() -> None:
    model = Doubler()
    with pytest.raises(ProbeError, match=r"no probe `gat`; it has inner.0, doubled"), watch(model, "gat"):
        pass
    with pytest.raises(ProbeError, match="shape"), override(model, {"doubled": lambda value: value[:1]}):
        model(VALUE)
