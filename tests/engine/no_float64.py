"""A device without float64 (such as Apple's), as far as a CPU can play one: nothing in float64 may be sent to any device."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode


class NoFloat64(TorchFunctionMode):
    """Refuses what sends or makes float64 on a named device while the block runs; what names no device stays where it is."""

    def __torch_function__(self, func: Callable, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        kwargs = kwargs or {}
        found = func(*args, **kwargs)
        named = kwargs.get("device") is not None or (func is Tensor.to and any(isinstance(one, torch.device | str) for one in args))
        if named and isinstance(found, Tensor) and found.dtype == torch.float64:
            raise TypeError(f"{getattr(func, '__name__', func)} puts float64 on a device, which may not have it.")
        return found
