"""Checkpoint folders that a crash, a kill or a full disk leaves either whole or absent.

A checkpoint is `step-<step>/` with the weights (safetensors), the trainer's state (`training.pt`) and `manifest.json`, which names
the sha256 of each file; `training.pt` is read (weights only) if and only if its hash is the manifest's. It is written under a
temporary name, synced, renamed, and then `LATEST` points to it. The best weights so far lie in `best-<step>/` in the same form.
"""

import errno
import io
import os
import re
import shutil
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from torch import Tensor

from engine import faults, store
from engine.errors import MobiscopeError, RunError, TrainingStopped
from engine.training.weights import read_weights, sha256, write_weights

SCHEMA_VERSION = 1
RESERVE_VARIABLE = "MOBISCOPE_DISK_RESERVE_MB"
KEPT = 2


@dataclass(frozen=True)
class Checkpoint:
    """A whole checkpoint on disk.

    Attributes:
        folder: Where it lies.
        step: Optimiser steps done.
        facts: What it was made with: versions, hashes of configuration, city and vocabularies.
        best: Name of the folder of the best weights so far, if any.
    """

    folder: Path
    step: int
    facts: dict[str, str]
    best: str | None

    def weights(self, expected: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The model's weights; see `read_weights` for what is refused."""
        return read_weights(self.folder / "model.safetensors", expected)

    def best_weights(self, expected: Mapping[str, Tensor]) -> dict[str, Tensor] | None:
        """The best weights of the stage so far, None before the first validation."""
        return read_weights(self.folder.parent / self.best / "model.safetensors", expected) if self.best else None

    def training(self) -> dict[str, Any]:
        """The trainer's state: optimiser, random generators, position.

        Raises:
            RunError: If the file is not the one the manifest names.
        """
        path = self.folder / "training.pt"
        manifest = store.read_json(self.folder / "manifest.json")
        if sha256(path) != manifest["files"].get("training.pt"):
            raise RunError(f"`training.pt` in `{self.folder.name}` is not the file that was written; it is not opened.")
        return torch.load(path, map_location="cpu", weights_only=True)


class Checkpoints:
    """The checkpoints of one run: the last two and the best are kept.

    Args:
        folder: The run's `checkpoints/`.
        facts: What every checkpoint is made with; `resumable` compares them.
    """

    def __init__(self, folder: Path, facts: Mapping[str, str] | None = None) -> None:
        self.folder = folder
        self.facts = dict(facts or {})
        folder.mkdir(parents=True, exist_ok=True)
        self.sweep()

    def sweep(self) -> None:
        """Removes what an interrupted write left behind."""
        for left in self.folder.glob(".tmp-*"):
            if left.is_dir():
                shutil.rmtree(left, ignore_errors=True)
            else:
                left.unlink(missing_ok=True)

    def save(
        self, step: int, weights: Mapping[str, Tensor], training: Mapping[str, Any], best: tuple[int, Mapping[str, Tensor]] | None
    ) -> Path:
        """Writes a checkpoint and forgets the ones that are no longer needed.

        Args:
            step: Optimiser steps done.
            weights: State dict of the model.
            training: State of the trainer: tensors, numbers, strings, lists and dicts of them.
            best: Step and weights of the best validation so far.

        Raises:
            TrainingStopped: If the disk is full; the earlier checkpoints stay as they are.
        """
        try:
            faults.point("checkpoint.begin")
            self._check_space(weights)
            best_name = None
            if best is not None:
                best_name = f"best-{best[0]:08d}"
                if not _is_whole(self.folder / best_name):
                    self._write(best_name, best[1], None, {"step": best[0]})
            path = self._write(f"step-{step:08d}", weights, training, {"step": step, "best": best_name})
            faults.point("checkpoint.latest")
            store.write_text(self.folder / "LATEST", path.name + "\n")
            _sync_folder(self.folder)
        except (OSError, RuntimeError, SafetensorError) as error:
            self.sweep()
            if not is_disk_full(error):
                raise
            raise TrainingStopped(
                "disk_full",
                f"The disk is full: the checkpoint of step {step:,} could not be written. The one before it is intact. "
                "Free some space and resume the run.",
            ) from None
        faults.point("checkpoint.tidy")
        self._tidy()
        return path

    def latest(self) -> Checkpoint | None:
        """The newest whole checkpoint; a damaged one is passed over for the one before it."""
        names = sorted((path.name for path in self.folder.glob("step-*") if re.fullmatch(r"step-\d{8,}", path.name)), reverse=True)
        try:
            pointed = (self.folder / "LATEST").read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError):
            pointed = ""
        pointed = pointed if re.fullmatch(r"step-\d{8,}", pointed) else ""
        # LATEST is the last write of a save: a newer folder without it is whole too, but was never announced.
        order = (
            [name for name in names if name <= pointed] + [name for name in reversed(names) if name > pointed] if pointed else names
        )
        for name in order:
            if _is_whole(self.folder / name):
                manifest = store.read_json(self.folder / name / "manifest.json")
                best = manifest.get("best")
                if best is None or _is_whole(self.folder / best):
                    return Checkpoint(self.folder / name, manifest["step"], manifest["facts"], best)
        return None

    def resumable(self) -> Checkpoint | None:
        """The newest whole checkpoint, if it was made with what this process has.

        Raises:
            RunError: Naming both sides, if it was made with another version, configuration, city or vocabulary.
        """
        found = self.latest()
        if found is not None:
            for fact, value in self.facts.items():
                if found.facts.get(fact) != value:
                    raise RunError(
                        f"The checkpoint at step {found.step:,} was made with {fact} {_short(found.facts.get(fact, 'unknown'))}, "
                        f"this process has {_short(value)}. It cannot be continued bit by bit; retry the run to train it anew."
                    )
        return found

    def _write(
        self, name: str, weights: Mapping[str, Tensor], training: Mapping[str, Any] | None, manifest: dict[str, Any]
    ) -> Path:
        building = self.folder / f".tmp-{uuid.uuid4().hex[:12]}"
        building.mkdir()
        write_weights(building / "model.safetensors", weights)
        if training is not None:
            faults.point("checkpoint.weights")
            # Through memory: on a full disk torch.save raises a RuntimeError and leaves an empty file, a plain write an OSError.
            buffer = io.BytesIO()
            torch.save(dict(training), buffer)
            (building / "training.pt").write_bytes(buffer.getbuffer())
        hashes = {}
        for file in sorted(building.iterdir()):
            faults.point("checkpoint.fsync")
            _sync(file)
            hashes[file.name] = sha256(file)
        store.write_json(
            building / "manifest.json", {"schema_version": SCHEMA_VERSION, **manifest, "facts": self.facts, "files": hashes}
        )
        _sync_folder(building)
        faults.point("checkpoint.rename")
        target = self.folder / name
        if target.exists():
            os.replace(target, self.folder / f".tmp-{uuid.uuid4().hex[:12]}")
        os.replace(building, target)
        _sync_folder(self.folder)
        return target

    def _check_space(self, weights: Mapping[str, Tensor]) -> None:
        size = sum(value.numel() * value.element_size() for value in weights.values())
        reserve = int(os.environ.get(RESERVE_VARIABLE, "1024")) * 2**20
        free = shutil.disk_usage(self.folder).free
        if free < 3 * size + reserve:
            raise OSError(errno.ENOSPC, f"{free / 2**20:,.0f} MB free, {(3 * size + reserve) / 2**20:,.0f} MB needed")

    def _tidy(self) -> None:
        self.sweep()
        steps = sorted(path for path in self.folder.glob("step-*") if path.is_dir())
        kept = steps[-KEPT:]
        needed = {store.read_json(path / "manifest.json").get("best") for path in kept if (path / "manifest.json").is_file()}
        for path in [*steps[:-KEPT], *(path for path in self.folder.glob("best-*") if path.name not in needed)]:
            shutil.rmtree(path, ignore_errors=True)


def _is_whole(folder: Path) -> bool:
    try:
        manifest = store.read_json(folder / "manifest.json")
        return manifest["schema_version"] == SCHEMA_VERSION and all(
            sha256(store.child(folder, name)) == expected for name, expected in manifest["files"].items()
        )
    except (MobiscopeError, OSError, KeyError, TypeError, AttributeError):
        return False


def is_disk_full(error: BaseException) -> bool:
    """Whether an error says that no more can be written, whichever library raised it."""
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return True
    return any(words in str(error) for words in ("No space left", "os error 28", "Disk quota exceeded", "os error 122"))


def _short(value: str) -> str:
    return value[:12] + "…" if re.fullmatch(r"[0-9a-f]{64}", value) else value


def _sync(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())


def _sync_folder(path: Path) -> None:
    if os.name == "posix":
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
