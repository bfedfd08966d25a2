"""Failure detectors of LMEMR: measured after training on the validation cells, saved with the run, shown beside its pictures."""

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from torch import Tensor

from engine.errors import ConfigError
from engine.layers.channel_fusion import row_entropy
from engine.layers.contrastive import contrastive_floor
from engine.layers.graph import Neighbours
from engine.models.base import Data
from engine.models.declarations import Warned
from engine.probes import watch

if TYPE_CHECKING:
    from engine.models.lmemr import LMEMR
    from engine.models.lmemr_inputs import CellTensors

_MOST_FOR_RETRIEVAL = 2_000


def check_curves(model: "LMEMR", data: Data) -> list[Warned]:
    """Flat curves, one curve for all cells, regression to the mean, and bins that are never answered."""
    rows, truth = _judged(model, data)
    z, bins = _answers(model, _tensors(model, data), rows)
    complete = torch.isfinite(truth).all(1)
    if int(complete.sum()) < 3:
        return []
    z, truth = z[complete], truth[complete]
    shape, true_shape = z - z.mean(1, keepdim=True), truth - truth.mean(1, keepdim=True)
    found = [
        _below(
            "flat curves",
            _ratio(shape.var(1).mean(), true_shape.var(1).mean()),
            0.5,
            "Variance over the hours of predicted curves as a share of the observed one; a low share means flat curves.",
        ),
        _below(
            "one curve for all",
            _ratio(shape.var(0).mean(), true_shape.var(0).mean()),
            0.2,
            "How much the shapes of predicted curves differ between cells as a share of how much observed ones do.",
        ),
    ]
    centred = z - z.mean()
    slope = float((centred * (truth - truth.mean())).sum() / centred.square().sum().clamp_min(1e-9))
    found.append(
        _above(
            "regression to the mean",
            slope,
            1.2,
            "Slope of observed on predicted log flow; above one, busy cells are understated and quiet ones overstated.",
        )
    )
    if bins is not None:
        answered = int(torch.unique(bins[complete].argmax(-1)).numel())
        observed = int(torch.unique(model.head.bin_of(truth)).numel())
        found.append(
            Warned(
                "bin collapse",
                answered < min(5, observed),
                float(answered),
                float(min(5, observed)),
                f"Bins that are ever the most probable one; observed flows fall into {observed} of {model.head.bins}.",
            )
        )
    return found


def check_mechanisms(model: "LMEMR", data: Data) -> list[Warned]:
    """Whether similarity, graph, fusion and text do what they are there for, and whether the inputs let them."""
    tensors, (rows, truth) = _tensors(model, data), _judged(model, data)
    found = _check_inputs(model, tensors)
    first = torch.zeros(1, dtype=torch.int64, device=model.device)
    with torch.no_grad(), watch(model) as seen:
        model(tensors, first)
    alive = {name: torch.from_numpy(np.asarray(arrays[0].values)) for name, arrays in seen.items() if arrays}
    if model.config.semantics != "off":
        entropy = min(float(row_entropy(alive[f"branches.{name}.channels.similarity"]).mean()) for name in model.modalities)
        found.append(
            _below(
                "channel similarity degenerate",
                entropy,
                0.1,
                "Entropy of the channel similarity as a share of the highest; near zero each channel listens to a single one.",
            )
        )
    found += _check_graph(model, tensors, alive)
    reference = _r2(model, tensors, rows, truth)
    if "fusion.weight" in alive and len(model.modalities) > 1:
        mean = alive["fusion.weight"].mean(0)
        name = model.modalities[int(mean.argmax())].replace("_", " ")
        found.append(_above("modality collapse", float(mean.max()), 0.9, f"Mean fusion weight of the strongest modality ({name})."))
    if len(model.modalities) > 1:
        for at, name in enumerate(model.modalities):
            present = tensors.present.clone()
            present[:, at] = False
            cost = reference - _r2(model, replace(tensors, present=present), rows, truth)
            what = name.replace("_", " ")
            found.append(
                _below(f"{what} unused", cost, 0.002, f"R² (log scale) lost when the modality {what} is hidden from all cells.")
            )
    if model.config.semantics != "off" and len(rows) > 1:
        order = torch.from_numpy(np.random.default_rng(0).permutation(len(tensors))).to(model.device)
        shuffled = replace(
            tensors, text=tuple(text[order] for text in tensors.text), described=tensors.described[order] & tensors.present
        )
        found.append(
            _below(
                "text ignored",
                reference - _r2(model, shuffled, rows, truth),
                0.005,
                "R² (log scale) lost when every cell is given the description of another one, without training anew.",
            )
        )
    return found + _check_trend(model, data, reference, rows, truth)


def _check_trend(model: "LMEMR", data: Data, reference: float, rows: Tensor, truth: Tensor) -> list[Warned]:
    """Whether a describer's guess of the curve explains by itself what the model, which is told it, explains."""
    from engine.models.baselines.curves import fit_curve_baselines

    # Shuffled descriptions tell a cell the guess about another one.
    if not model.config.with_trend or model.config.semantics in ("off", "shuffled"):
        return []
    assert data.cells is not None
    inputs = model.inputs_of(data)
    try:
        (alone,) = fit_curve_baselines(inputs, data.cells, names=["described_trend"])
    except ConfigError:  # nobody guessed, or hardly a training cell has a whole curve: there is nothing to compare with
        return []
    flow = torch.from_numpy(alone.predict_curves(inputs, data.cells).flow).to(model.device)
    return [
        _above(
            "text too strong",
            _explained(model.head.standardise(flow)[rows].cpu(), truth),
            0.9 * max(reference, 0.0),
            "R² (log scale) of curves fitted on the described trend alone, against 0.9 of the model's own R²: above it, the guess in "
            "the text is most of the answer.",
        )
    ]


def alignment(model: "LMEMR", data: Data) -> pd.DataFrame:
    """How well views of the same cell find each other.

    Returns:
        (one, other, stage, cosine, by_chance, gap, recall_1, recall_5, recall_10, n): mean cosine of a cell's two views and of views
        of different cells; distance of the two clouds' centres over their mean norm; share of cells whose other view is among
        the nearest 1, 5, 10 of at most 2,000 cells. Stage `text` is before fusion, `modalities` after the graph where each has one.
    """
    tensors = _tensors(model, data)
    with torch.no_grad():
        answer = model(tensors, torch.zeros(1, dtype=torch.int64, device=model.device))
    pairs = []
    for at, name in enumerate(model.modalities):
        if answer.text is not None:
            pairs.append((name, "description", "text", answer.spatial[at], answer.text[at], answer.described[:, at]))
        for other in range(at + 1, len(model.modalities)):
            both = answer.present[:, at] & answer.present[:, other]
            pairs.append((name, model.modalities[other], "modalities", answer.tokens[:, at], answer.tokens[:, other], both))
    return pd.DataFrame([_retrieval(*pair) for pair in pairs])


def _retrieval(one: str, other: str, stage: str, first: Tensor, second: Tensor, both: Tensor) -> dict[str, object]:
    rows = torch.nonzero(both)[:, 0]
    rows = rows[:: max(1, -(-len(rows) // _MOST_FOR_RETRIEVAL))]
    row: dict[str, object] = {"one": one, "other": other, "stage": stage, "n": len(rows)}
    if len(rows) < 2:
        return row | dict.fromkeys(("cosine", "by_chance", "gap", "recall_1", "recall_5", "recall_10"), np.nan)
    first, second = first[rows], second[rows]
    similarity = F.normalize(first, dim=1) @ F.normalize(second, dim=1).T
    own = similarity.diagonal()
    rank = (similarity > own[:, None]).sum(1)
    centre = (first.mean(0) - second.mean(0)).norm() / ((first.norm(dim=1).mean() + second.norm(dim=1).mean()) / 2).clamp_min(1e-9)
    count = len(rows)
    return row | {
        "cosine": float(own.mean()),
        "by_chance": float((similarity.sum() - own.sum()) / (count * (count - 1))),
        "gap": float(centre),
        **{f"recall_{top}": float((rank < top).float().mean()) for top in (1, 5, 10)},
    }


def _check_inputs(model: "LMEMR", tensors: "CellTensors") -> list[Warned]:
    found = [
        _above(
            "cells without anything",
            float((~tensors.present.any(1)).float().mean()),
            0.1,
            "Share of cells that have no modality at all and are answered from their neighbours.",
        )
    ]
    if model.config.semantics == "off":
        return found
    floors = []
    for at in range(len(model.modalities)):
        own = tensors.described[:, at]
        if int(own.sum()) > 1:
            floors.append(contrastive_floor(tensors.caption[at][own]) / np.log(int(own.sum())))
    if floors:
        found.append(
            _above(
                "descriptions alike",
                float(max(floors)),
                0.5,
                "Of what there is to learn in aligning cells with descriptions, the share that equal descriptions make unlearnable.",
            )
        )
    return found


def _check_graph(model: "LMEMR", tensors: "CellTensors", alive: Mapping[str, Tensor]) -> list[Warned]:
    neighbours, found = tensors.neighbours, []
    if model.config.graph in ("self", "none") or neighbours.index.shape[1] < 2:
        return []
    cells, slots = torch.nonzero(neighbours.real[:, 1:].cpu(), as_tuple=True)
    if not len(cells):
        return []
    others = neighbours.index.cpu()[cells, slots + 1]
    names = [f"context_vector.{name}" for name in model.modalities]
    likeness = max(float(F.cosine_similarity(alive[name][cells], alive[name][others]).mean()) for name in names)
    found.append(
        _above(
            "over-smoothing",
            likeness,
            0.98,
            "Mean cosine of neighbouring cells after the graph, of the modality where it is highest.",
        )
    )
    if model.config.graph == "attention":
        degree = neighbours.count.cpu().float()
        several = degree > 1
        shares = []
        for name, weight in alive.items():
            if name.endswith("messages.attention"):
                entropy = -(weight * weight.clamp_min(1e-12).log()).sum(-1).mean(1)
                shares.append(float((entropy[several] / degree[several].log()).mean()))
        found.append(
            _above(
                "attention uniform",
                min(shares),
                0.98,
                "Entropy of graph attention as a share of the highest, in the block where it is lowest; near one a plain mean would do.",
            )
        )
    return found


def graph_cost(model: "LMEMR", data: Data) -> float:
    """R² (log scale) lost on the judged cells when all edges are cut, without training anew."""
    tensors, (rows, truth) = _tensors(model, data), _judged(model, data)
    own = tensors.neighbours.index[:, :1]
    alone = replace(tensors, neighbours=Neighbours(own, torch.ones_like(own, dtype=torch.bool)))
    return _r2(model, tensors, rows, truth) - _r2(model, alone, rows, truth)


def _tensors(model: "LMEMR", data: Data) -> "CellTensors":
    assert data.cells is not None
    model.eval()
    return model.tensors(model.inputs_of(data), data.cells)


def _judged(model: "LMEMR", data: Data) -> tuple[Tensor, Tensor]:
    """(row,) validation cells, or training cells where there are none, and their (row, hour) true z."""
    assert data.cells is not None
    mask = data.cells.mask("valid")
    rows = np.flatnonzero(mask if mask.any() else data.cells.mask("train"))
    flow = torch.from_numpy(data.cells.outflow[rows]).to(model.device)
    return torch.from_numpy(rows).to(model.device), model.head.standardise(flow).cpu()


@torch.no_grad()
def _answers(model: "LMEMR", tensors: "CellTensors", rows: Tensor) -> tuple[Tensor, Tensor | None]:
    answer = model(tensors, rows)
    return answer.z.cpu(), None if answer.probability is None else answer.probability.cpu()


def _r2(model: "LMEMR", tensors: "CellTensors", rows: Tensor, truth: Tensor) -> float:
    return _explained(_answers(model, tensors, rows)[0], truth)


def _explained(z: Tensor, truth: Tensor) -> float:
    """R² of answers, (row, hour) both; hours whose truth is NaN do not count."""
    known = torch.isfinite(truth)
    error, own = (z - truth)[known].square().sum(), truth[known]
    return float(1 - error / (own - own.mean()).square().sum().clamp_min(1e-9))


def _ratio(value: Tensor, reference: Tensor) -> float:
    """A share of the observed variance; one where nothing varied."""
    return float(value / reference) if float(reference) > 1e-9 else 1.0


def _below(name: str, value: float, threshold: float, meaning: str) -> Warned:
    return Warned(name, bool(value < threshold), float(value), threshold, meaning)


def _above(name: str, value: float, threshold: float, meaning: str) -> Warned:
    return Warned(name, bool(value > threshold), float(value), threshold, meaning)
