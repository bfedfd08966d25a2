"""Named places inside a model that can be watched and overridden.

A `Probe` is an identity module: `weights = self.role_routing(weights)`. `watch` collects what passes through as xarray with named axes;
`override` replaces it. Pictures and mechanism what-ifs are therefore one primitive, and idle probes cost two look-ups in empty tables.

Who listens is no property of the model: a block acts on what its own thread asks, so that several threads may ask one model at once.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from types import MappingProxyType
from typing import Any, Literal

import numpy as np
import torch
import xarray as xr
from torch import Tensor, nn

from engine.blocks import held
from engine.errors import ProbeError

Kind = Literal["routing", "attention", "embedding", "gate", "curve", "token path", "similarity", "graph"]


class Probe(nn.Module):
    """A named place that values pass through unchanged.

    Args:
        kind: What the values are; views are chosen by it.
        axes: Names of the axes, e.g. `("sample", "step", "expert")`.
        meaning: One sentence for the screen.
        unit: Unit of the values, empty if none.
        paper: Where the paper speaks of it.
    """

    def __init__(self, kind: Kind, axes: Sequence[str], meaning: str, unit: str = "", paper: str = "") -> None:
        super().__init__()
        self.kind, self.axes, self.meaning, self.unit, self.paper = kind, tuple(axes), meaning, unit, paper

    @property
    def is_watched(self) -> bool:
        """Whether someone listens; a model may compute what it would otherwise skip (attention weights)."""
        return self in _WATCHERS.get() or self in _OVERRIDES.get()

    @property
    def is_overridden(self) -> bool:
        """Whether something will be put in the value's place; a model must then compute with what comes out of the probe."""
        return self in _OVERRIDES.get()

    def forward(self, value: Tensor) -> Tensor:
        """The value itself, or what an override makes of it."""
        change, watcher = _OVERRIDES.get().get(self), _WATCHERS.get().get(self)
        if change is not None:
            replaced = change(value)
            if replaced.shape != value.shape:
                raise ProbeError(f"An override gave shape {tuple(replaced.shape)} where {self.axes} has {tuple(value.shape)}.")
            value = replaced
        if watcher is not None:
            watcher(value)
        return value


_NOBODY: Mapping[Any, Any] = MappingProxyType({})
_WATCHERS: ContextVar[Mapping[Probe, Callable[[Tensor], None]]] = ContextVar("watchers", default=_NOBODY)
_OVERRIDES: ContextVar[Mapping[Probe, Callable[[Tensor], Tensor]]] = ContextVar("overrides", default=_NOBODY)


def probes(model: nn.Module) -> dict[str, Probe]:
    """The probes of a model by dotted name, in the order of its module tree."""
    return {name: module for name, module in model.named_modules() if isinstance(module, Probe)}


@contextmanager
def watch(
    model: nn.Module, *names: str, coordinates: Mapping[str, Sequence[Any] | np.ndarray] | None = None
) -> Iterator[dict[str, list[xr.DataArray]]]:
    """Collects what this thread sends through the named probes (all, if none is named) while the block runs.

    Args:
        model: Any module holding probes.
        names: Probe names as in `probes(model)`.
        coordinates: Axis name to labels (expert names, visit times, location ids); used where the length fits.

    Yields:
        Probe name to one DataArray per pass, detached and on the CPU.

    Raises:
        ProbeError: If a name is unknown.
    """
    known = probes(model)
    seen: dict[str, list[xr.DataArray]] = {}
    watchers = dict(_WATCHERS.get())
    for name in names or tuple(known):
        probe = _find(known, name)
        collected = seen.setdefault(name, [])

        def collect(value: Tensor, probe: Probe = probe, collected: list[xr.DataArray] = collected) -> None:
            collected.append(_labelled(probe, value, coordinates or {}))

        watchers[probe] = collect
    with held(_WATCHERS, watchers):
        yield seen


@contextmanager
def override(model: nn.Module, changes: Mapping[str, Callable[[Tensor], Tensor]]) -> Iterator[None]:
    """Replaces what this thread sends through probes while the block runs.

    Args:
        model: Any module holding probes.
        changes: Probe name to a function from the value to its replacement of the same shape.

    Raises:
        ProbeError: If a name is unknown or a replacement has another shape.
    """
    known = probes(model)
    mine = {_find(known, name): change for name, change in changes.items()}
    with held(_OVERRIDES, {**_OVERRIDES.get(), **mine}):
        yield


def _find(known: Mapping[str, Probe], name: str) -> Probe:
    if name not in known:
        raise ProbeError(f"The model has no probe `{name}`; it has {', '.join(known) or 'none'}.")
    return known[name]


def _labelled(probe: Probe, value: Tensor, coordinates: Mapping[str, Sequence[Any] | np.ndarray]) -> xr.DataArray:
    array = value.detach().to("cpu", torch.float32 if value.is_floating_point() else value.dtype).numpy().copy()
    if array.ndim != len(probe.axes):
        raise ProbeError(f"A probe declares axes {probe.axes} but a value of shape {array.shape} passed through.")
    labels = {
        axis: np.asarray(coordinates[axis])
        for axis, length in zip(probe.axes, array.shape, strict=True)
        if axis in coordinates and len(coordinates[axis]) == length
    }
    return xr.DataArray(
        array, dims=probe.axes, coords=labels, attrs={"kind": probe.kind, "unit": probe.unit, "meaning": probe.meaning}
    )
