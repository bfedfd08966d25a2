"""What LMEMR makes of the encoded modalities before its first layer: statistics from training cells, and tensors of all cells."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from engine.errors import ConfigError
from engine.layers.graph import Neighbours, neighbours_of

if TYPE_CHECKING:
    from engine.city.cell_samples import CellSamples
    from engine.encoders.cell_features import CellInputs, Modality

MOST_MEASURED = 256
"""Up to so many components are taken for measurements, which are read as they are and as logs; more are an encoder's vector."""

SMALL = 0.1
"""Share of a measurement's median below which its log flattens out."""

LARGEST = 8.0
"""Standardised values are cut here: a component that hardly varied in training must not explode on another cell."""


@dataclass(frozen=True, eq=False)
class CellTensors:
    """All cells as tensors, standardised; the axis "modality" is that of the model.

    Attributes:
        spatial: Per modality (cell, component).
        text: Per modality (cell, component); zero where there is none.
        present: (cell, modality) bool: the cell has that modality.
        described: (cell, modality) bool: and a description of it.
        caption: Per modality (cell,) int64, equal for equal descriptions.
        neighbours: Who is joined to whom.
        log_area: (cell, 1) standardised log of the area.
    """

    spatial: tuple[Tensor, ...]
    text: tuple[Tensor, ...]
    present: Tensor
    described: Tensor
    caption: tuple[Tensor, ...]
    neighbours: Neighbours
    log_area: Tensor

    def __len__(self) -> int:
        return len(self.present)


class Standardise(nn.Module):
    """Centres, scales, cuts, and optionally projects on principal components; fitted on training rows only.

    Trips grow with what a cell holds, so a network that answers in logs should be told logs: measurements that are never negative
    in training are read twice, as they are and as logs.
    """

    mean: Tensor
    scale: Tensor
    unit: Tensor
    projection: Tensor

    def __init__(self, rows: np.ndarray, components: int = 0, measured: bool = False) -> None:
        super().__init__()
        rows = np.asarray(rows, np.float64)
        if not len(rows):
            rows = np.zeros((1, rows.shape[1]))
        unit = _units(rows) if measured and rows.shape[1] <= MOST_MEASURED else np.zeros(rows.shape[1])
        self.components = rows.shape[1]
        rows = _with_logs(rows, unit, np)
        mean, scale = rows.mean(0), rows.std(0)
        scale[scale < 1e-6 * (1 + np.abs(mean))] = 1.0
        standard = ((rows - mean) / scale).clip(-LARGEST, LARGEST)
        projection = _principal(standard, components) if 0 < components < rows.shape[1] else np.zeros((0, 0))
        for name, value in (("unit", unit), ("mean", mean), ("scale", scale), ("projection", projection)):
            self.register_buffer(name, torch.from_numpy(value.astype(np.float32)))

    @property
    def width(self) -> int:
        """Components that come out."""
        return self.projection.shape[1] or len(self.mean)

    @torch.no_grad()
    def forward(self, rows: Tensor) -> Tensor:
        """(row, component) -> (row, width)."""
        standard = ((_with_logs(rows, self.unit, torch) - self.mean) / self.scale).clamp(-LARGEST, LARGEST)
        return standard @ self.projection if self.projection.shape[1] else standard


def _units(rows: np.ndarray) -> np.ndarray:
    """(component,) what counts as small of each component that is never negative; 0 for all others."""
    positive = np.where(rows > 0, rows, np.nan)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a component that is never above zero
        typical = np.nan_to_num(np.nanmedian(positive, axis=0))
    return np.where(rows.min(0) >= 0, SMALL * typical, 0.0)


def _with_logs(rows: Any, unit: Any, of: Any) -> Any:
    """The rows, followed by log(1 + value / unit) of the components that have a unit; `of` is numpy or torch."""
    has = unit > 0
    if not bool(has.any()):
        return rows
    return of.concatenate([rows, of.log1p(of.clip(rows[:, has], 0, None) / unit[has])], 1)


def _principal(standard: np.ndarray, components: int) -> np.ndarray:
    """(component, kept) principal directions, scaled alike so that what comes out has unit variance on average."""
    values, vectors = np.linalg.eigh(standard.T @ standard / len(standard))
    kept = vectors[:, ::-1][:, :components]
    # A direction may come out with either sign; fix it, so that the same data give the same projection.
    kept = kept * np.where(kept[np.abs(kept).argmax(0), np.arange(components)] < 0, -1.0, 1.0)
    return kept / max(np.sqrt(values[::-1][:components].mean()), 1e-6)


def usable_modalities(inputs: "CellInputs", wanted: Sequence[str], training: np.ndarray) -> list[str]:
    """Those of the wanted modalities that at least one training cell has.

    Raises:
        ConfigError: If there is none.
    """
    found = [name for name in wanted if name in inputs.modalities and (inputs.modalities[name].present & training).any()]
    if not found:
        raise ConfigError(
            f"No training cell has any of {', '.join(wanted)}. Bring imagery, buildings, street views or POIs with the cells, "
            "or choose other modalities."
        )
    return found


def cell_rows(modality: "Modality") -> np.ndarray:
    """(cell, component) float32: one row per cell, zeros where the cell lacks the modality.

    Counts are taken as log(1 + count). Photographs of a cell become their mean, their standard deviation and the log of their
    number, whatever their order.
    """
    count = len(modality.present)
    features = np.asarray(modality.features, np.float32)
    if modality.counts:
        counts = np.log1p(np.maximum(features[:, : modality.counts], 0))
        features = np.concatenate([counts, features[:, modality.counts :]], axis=1)
    if modality.name != "street_view":
        rows = np.zeros((count, features.shape[1]), np.float32)
        rows[modality.owner] = features
        return rows
    number = np.bincount(modality.owner, minlength=count)[:, None]
    mean, square = (np.zeros((count, features.shape[1])) for _ in range(2))
    np.add.at(mean, modality.owner, features)
    mean /= np.maximum(number, 1)
    np.add.at(square, modality.owner, (features - mean[modality.owner]) ** 2)
    spread = np.sqrt(square / np.maximum(number, 1))
    return np.concatenate([mean, spread, np.log1p(number)], axis=1).astype(np.float32)


def check_alike(inputs: "CellInputs", cells: "CellSamples") -> None:
    """Refuses inputs of other cells.

    Raises:
        ConfigError: If ids or their order differ.
    """
    if len(inputs.cell_ids) != len(cells) or not np.array_equal(inputs.cell_ids, cells.cell_ids):
        raise ConfigError(
            f"The encoded inputs are of {len(inputs.cell_ids):,} cells and the samples of {len(cells):,}, or in another order. "
            "Encode the cells of this city again."
        )


class InputScales(nn.Module):
    """The fitted statistics of all modalities, and how inputs become tensors with them."""

    area: Tensor

    def __init__(
        self, inputs: "CellInputs", cells: "CellSamples", modalities: Sequence[str], components: int, text_components: int
    ) -> None:
        super().__init__()
        self.modalities = tuple(modalities)
        training = cells.mask("train")
        self.spatial, self.text = nn.ModuleList(), nn.ModuleList()
        for name in self.modalities:
            modality = inputs.modalities[name]
            self.spatial.append(Standardise(cell_rows(modality)[modality.present & training], components, measured=True))
            self.text.append(Standardise(modality.text[modality.text_present & training], text_components))
        log_area = np.log(np.maximum(cells.area_km2[training], 1e-6))
        spread = float(log_area.std())
        # Squares of a grid differ in the last digits of a projection; that is no difference in size.
        self.register_buffer("area", torch.tensor([float(log_area.mean()), 1 / spread if spread > 0.02 else 0.0]))

    @property
    def widths(self) -> list[tuple[int, int]]:
        """Per modality: components of the spatial rows and of the text."""
        return [(spatial.width, text.width) for spatial, text in zip(self.spatial, self.text, strict=True)]  # type: ignore[misc]

    def tensors(self, inputs: "CellInputs", cells: "CellSamples", shuffle_seed: int | None, device: torch.device) -> CellTensors:
        """The cells as tensors on a device.

        Args:
            inputs: Encoded modalities.
            cells: The same cells.
            shuffle_seed: Gives every cell the description of another one (the Prompt-Shuffle ablation); None leaves them.
            device: Where to.

        Raises:
            ConfigError: If inputs and cells differ, or a feature is of another length than in training.
        """
        check_alike(inputs, cells)
        count = len(cells)
        order = np.arange(count) if shuffle_seed is None else np.random.default_rng([shuffle_seed, count]).permutation(count)
        spatial, text, present, described, captions = [], [], [], [], []
        for at, name in enumerate(self.modalities):
            modality = inputs.modalities.get(name)
            if modality is None:
                spatial.append(torch.zeros(count, self.widths[at][0], device=device))
                text.append(torch.zeros(count, self.widths[at][1], device=device))
                present.append(np.zeros(count, bool))
                described.append(np.zeros(count, bool))
                captions.append(torch.zeros(count, dtype=torch.int64, device=device))
                continue
            spatial.append(self._scaled(self.spatial[at], cell_rows(modality), modality.present, name, device))
            has_text = modality.text_present[order]
            text.append(self._scaled(self.text[at], modality.text[order], has_text, f"{name} description", device))
            present.append(modality.present)
            described.append(modality.present & has_text)
            codes = np.unique(np.asarray(modality.captions, object)[order].astype(str), return_inverse=True)[1]
            captions.append(torch.from_numpy(codes.astype(np.int64)).to(device))
        log_area = (np.log(np.maximum(cells.area_km2, 1e-6)) - float(self.area[0])) * float(self.area[1])
        return CellTensors(
            spatial=tuple(spatial),
            text=tuple(text),
            present=torch.from_numpy(np.stack(present, axis=1)).to(device),
            described=torch.from_numpy(np.stack(described, axis=1)).to(device),
            caption=tuple(captions),
            neighbours=neighbours_of(cells.edges, count).to(device),
            log_area=torch.from_numpy(log_area.astype(np.float32)[:, None]).to(device),
        )

    def _scaled(self, scale: nn.Module, rows: np.ndarray, has: np.ndarray, what: str, device: torch.device) -> Tensor:
        assert isinstance(scale, Standardise)
        if rows.shape[1] != scale.components:
            raise ConfigError(
                f"The {what} of these cells has {rows.shape[1]} components, in training it had {scale.components}. "
                "Encode them with the encoders of the run."
            )
        given = torch.from_numpy(np.ascontiguousarray(rows, np.float32)).to(device)
        return scale(given) * torch.from_numpy(np.asarray(has, bool)).to(device)[:, None]
