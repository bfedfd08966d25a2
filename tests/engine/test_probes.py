"""Probes: watching changes nothing, overriding changes what it says, and everything is as before when the block ends."""

import numpy as np
import pytest
import torch
from torch import nn

from engine.errors import ProbeError
from engine.probes import Probe, override, probes, watch


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


def test_unknown_names_and_wrong_shapes_are_told() -> None:
    model = Doubler()
    with pytest.raises(ProbeError, match=r"no probe `gat`; it has inner.0, doubled"), watch(model, "gat"):
        pass
    with pytest.raises(ProbeError, match="shape"), override(model, {"doubled": lambda value: value[:1]}):
        model(VALUE)
