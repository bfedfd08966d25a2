"""Which device computes, chosen in one place."""

from dataclasses import dataclass
from functools import cache

import torch
from torch import dtype


@dataclass(frozen=True)
class Device:
    """A compute device and what to call it on screen."""

    torch: torch.device
    label: str

    @property
    def is_gpu(self) -> bool:
        """Whether the device is an accelerator (CUDA or MPS)."""
        return self.torch.type != "cpu"

    @property
    def autocast_dtype(self) -> dtype | None:
        """The dtype for mixed precision: bfloat16 on CUDA, None elsewhere."""
        return torch.bfloat16 if self.torch.type == "cuda" else None


@cache
def choose_device(wish: str = "auto") -> Device:
    """The device for `wish` ("auto", "cpu", "cuda", "mps"); "auto" takes CUDA, then MPS, then CPU."""
    if wish in ("auto", "cuda") and torch.cuda.is_available():
        return Device(torch.device("cuda"), torch.cuda.get_device_name(0))
    if wish in ("auto", "mps") and torch.backends.mps.is_available():
        return Device(torch.device("mps"), "Apple GPU")
    threads = torch.get_num_threads()
    return Device(torch.device("cpu"), f"CPU, {threads} thread{'s' if threads > 1 else ''}")
