"""Weights on disk: safetensors only, checked against what is expected before any of it is used."""

import hashlib
import json
import struct
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from engine.errors import RunError

MOST_HEADER_BYTES = 16 * 2**20


def sha256(path: Path) -> str:
    """The sha256 of a file, read in pieces."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_weights(path: Path, state: Mapping[str, Tensor]) -> None:
    """Writes a state dict as safetensors; tensors that share memory are written each for itself."""
    save_file({name: value.detach().to("cpu", copy=True).contiguous() for name, value in state.items()}, str(path))


def read_weights(path: Path, expected: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Reads a safetensors file whose names, shapes and types are those of `expected`.

    The header is judged before a tensor is touched, so a file that lies about itself costs no memory.

    Args:
        path: The file.
        expected: The state dict of the model the weights are for.

    Raises:
        RunError: If the file is absent, no safetensors, truncated, made for another model, or holds values that are not finite.
    """
    header = _header(path)
    found = {name: (tuple(entry["shape"]), entry["dtype"]) for name, entry in header.items()}
    wanted = {name: (tuple(value.shape), _dtype_name(value.dtype)) for name, value in expected.items()}
    if found != wanted:
        raise RunError(
            f"`{path.name}` was not written for this model: {_difference(found, wanted)}. Another version of Mobiscope or other "
            "settings made it; train the model again, or open the run with the version that trained it."
        )
    try:
        state = load_file(str(path))
    except (SafetensorError, OSError, ValueError) as error:
        raise RunError(f"`{path.name}` is damaged: {error}.") from None
    for name, value in state.items():
        if value.is_floating_point() and not torch.isfinite(value).all():
            raise RunError(f"`{path.name}` is damaged: `{name}` holds values that are not finite.")
    return state


def _header(path: Path) -> dict[str, dict]:
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            length = struct.unpack("<Q", file.read(8))[0]
            if length > min(MOST_HEADER_BYTES, size - 8):
                raise ValueError(f"its header claims {length:,} bytes of a file of {size:,}")
            header = json.loads(file.read(length))
        header.pop("__metadata__", None)
        for entry in header.values():
            first, last = entry["data_offsets"]
            if not (0 <= first <= last <= size - 8 - length) or not isinstance(entry["dtype"], str):
                raise ValueError("a tensor lies outside the file")
            entry["shape"] = [int(side) for side in entry["shape"]]
    except FileNotFoundError:
        raise RunError(f"`{path.name}` is missing from `{path.parent.name}`.") from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError, struct.error) as error:
        raise RunError(
            f"`{path.name}` is no safetensors file or is damaged ({error}). Only safetensors weights are read."
        ) from None
    return header


def _dtype_name(dtype: torch.dtype) -> str:
    return {
        torch.float64: "F64",
        torch.float32: "F32",
        torch.float16: "F16",
        torch.bfloat16: "BF16",
        torch.int64: "I64",
        torch.int32: "I32",
        torch.int16: "I16",
        torch.int8: "I8",
        torch.uint8: "U8",
        torch.bool: "BOOL",
    }[dtype]


def _difference(found: Mapping[str, object], wanted: Mapping[str, object]) -> str:
    lacking = [name for name in wanted if name not in found]
    foreign = [name for name in found if name not in wanted]
    if lacking:
        return f"it lacks `{lacking[0]}`" + (f" and {len(lacking) - 1} more" if len(lacking) > 1 else "")
    if foreign:
        return f"it holds `{foreign[0][:80]}`, which the model does not have"
    name = next(name for name in wanted if found[name] != wanted[name])
    return f"`{name}` is {found[name]} where the model has {wanted[name]}"
