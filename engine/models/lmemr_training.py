"""How LMEMR is trained: bins, regression and both alignments together (LMEMR eq. 4, 11, 16-19), the whole graph in every step."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from engine.errors import ConfigError
from engine.layers.contrastive import info_nce, multi_positive_info_nce
from engine.models.base import Data
from engine.models.stage import Stage

if TYPE_CHECKING:
    from engine.models.lmemr import LMEMR, Answer


def curve_stage(model: "LMEMR", data: Data) -> Stage:
    """All parameters, all losses."""
    config, cells = model.config, data.cells
    if cells is None:
        raise ConfigError("LMEMR learns from cells; give it a split of cells, not of visits.")
    inputs = model.inputs_of(data)
    flow = torch.from_numpy(cells.outflow)
    training, validation = (torch.from_numpy(np.flatnonzero(cells.mask(part))) for part in ("train", "valid"))

    def batches(epoch: int, generator: np.random.Generator) -> Iterator[Tensor]:
        for _ in range(config.steps_per_epoch):
            yield training

    def loss(batch: Tensor) -> Mapping[str, Tensor]:
        device = model.device
        tensors = model.tensors(inputs, cells)
        answer = model(tensors, batch.to(device))
        target = model.head.standardise(flow[batch].to(device))
        terms = model.head.losses(answer.z, answer.log_probability, target)
        total = _task_loss(model, terms)
        if config.intra_contrast and answer.text is not None:
            intra = [
                _alignment(model, seen, said, answer.described[:, at], tensors.caption[at])
                for at, (seen, said) in enumerate(zip(answer.spatial, answer.text, strict=True))
            ]
            terms["intra"] = torch.stack(intra).mean()
            total = total + config.weight_contrast * terms["intra"]
        if config.inter_contrast and len(model.modalities) > 1:
            terms["inter"] = _inter(model, answer)
            total = total + config.weight_contrast * terms["inter"]
        return {"total": total, **terms}

    @torch.no_grad()
    def validate() -> Mapping[str, float]:
        rows = torch.cat([training, validation]).to(model.device)
        answer = model(model.tensors(inputs, cells), rows)
        own = flow.to(model.device)[rows]
        target, count = model.head.standardise(own), len(training)
        judged = slice(count, None) if len(validation) else slice(None)
        bins = answer.probability
        model.head.calibrate_mean(answer.z[:count], None if bins is None else bins[:count], own[:count])
        log_probability = None if answer.log_probability is None else answer.log_probability[judged]
        if log_probability is not None:
            model.head.calibrate_bins(log_probability, target[judged])
        model.head.calibrate_interval(answer.z[judged], None if bins is None else bins[judged], target[judged])
        terms = model.head.losses(answer.z[judged], log_probability, target[judged])
        z, truth = answer.z[judged], target[judged]
        known = torch.isfinite(truth)
        trips = model.head.flow(z, None if bins is None else bins[judged], config.readout)
        spread = (truth[known] - truth[known].mean()).square().sum().clamp_min(1e-9)
        return {
            "loss": float(_task_loss(model, terms)),
            "r2": float(1 - (z - truth)[known].square().sum() / spread),
            "mae": float((trips - own[judged])[known].abs().mean()),
        } | {name: float(value) for name, value in terms.items()}

    return Stage(
        name="Learn the curves",
        parameters=list(model.parameters()),
        batches=batches,
        batches_per_epoch=config.steps_per_epoch,
        loss=loss,
        validate=validate,
        # Cross-entropy goes on telling bins apart long after curves have stopped getting better.
        monitor="loss" if config.head == "classification" else "regression",
        clip_norm=1.0,
        **config.schedule(),
    )


def _task_loss(model: "LMEMR", terms: Mapping[str, Tensor]) -> Tensor:
    config = model.config
    if config.head == "classification":
        return config.weight_classification * terms["classification"]
    total = config.weight_regression * terms["regression"]
    return total + config.weight_classification * terms["classification"] if config.head == "both" else total


def _alignment(model: "LMEMR", one: Tensor, other: Tensor, both: Tensor, group: Tensor) -> Tensor:
    """InfoNCE between two views of the cells that have both; zero where fewer than two do."""
    rows = _drawn(model, both)
    if len(rows) < 2:
        return one.sum() * 0.0
    similarity = cosine(one[rows].float(), other[rows].float()) / model.config.temperature
    if model.config.contrastive_parity:
        return info_nce(similarity)
    return multi_positive_info_nce(similarity, group[rows])


def _inter(model: "LMEMR", answer: "Answer") -> Tensor:
    """Mean over the pairs of modalities (eq. 11, 18)."""
    count = answer.tokens.shape[1]
    own = torch.arange(len(answer.tokens), device=answer.tokens.device)
    pairs = [
        _alignment(model, answer.tokens[:, one], answer.tokens[:, other], answer.present[:, one] & answer.present[:, other], own)
        for one in range(count)
        for other in range(one + 1, count)
    ]
    return torch.stack(pairs).mean()


def cosine(one: Tensor, other: Tensor) -> Tensor:
    """(row, other row) cosine similarities."""
    return F.normalize(one, dim=1) @ F.normalize(other, dim=1).T


def _drawn(model: "LMEMR", both: Tensor) -> Tensor:
    """Positions that take part: all where there are at most `negatives`, else so many, drawn anew."""
    rows = torch.nonzero(both)[:, 0]
    if len(rows) <= model.config.negatives:
        return rows
    order = torch.randperm(len(rows))[: model.config.negatives]
    return rows[order.to(rows.device).sort().values]
