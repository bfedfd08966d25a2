"""Classification, then regression: magnitude bins of the log flow, and what is read out of their probabilities (LMEMR eq. 14-17)."""

from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from scipy.optimize import minimize_scalar
from torch import Tensor, nn

from engine.city.flow_scale import FlowScale
from engine.layers.dropout import Dropout
from engine.probes import Probe

HeadKind = Literal["both", "regression", "classification"]
Readout = Literal["median", "mean"]


LARGEST_LOG = 25.0
"""exp of it is 7e10 trips an hour; a prediction beyond is a fault and must not become infinite."""

TEMPERATURES = (0.25, 8.0)
"""Lowest and highest: a handful of validation cells that are all right or all wrong would ask for zero or for infinity."""


class CurveHead(nn.Module):
    """Logits of magnitude bins, or z itself, per cell and hour.

    Args:
        width: Width of an hour's vector.
        scale: Standardisation and bins, fitted on training cells.
        training: Trips of the training cells, any shape; their extremes bound the open outer bins and what a regression answers.
        kind: `both` or `classification`: bins; `regression`: one number.
        offsets: Whether each bin's value may move by up to its width, cell by cell and hour by hour. Off, as published: every bin
            stands for its midpoint, so that nothing beyond the middles of the outer bins can be answered.
        dropout: Before the last layer.
    """

    moments: Tensor
    edges: Tensor
    bounds: Tensor
    smear: Tensor
    margin: Tensor
    temperature: Tensor

    def __init__(
        self,
        width: int,
        scale: FlowScale,
        training: np.ndarray,
        kind: HeadKind = "both",
        offsets: bool = False,
        dropout: float = 0.2,
    ) -> None:
        super().__init__()
        self.kind = kind
        z = scale.to_z(training[np.isfinite(training)])
        self.register_buffer("moments", torch.tensor([scale.mean, scale.spread], dtype=torch.float32))
        self.register_buffer("edges", torch.tensor(scale.edges, dtype=torch.float32))
        self.register_buffer("bounds", torch.tensor([min(z.min(), scale.edges[0]), max(z.max(), scale.edges[-1])]).float())
        # Set from training and validation cells while training goes on; they travel with the weights.
        self.register_buffer("smear", torch.ones(()))
        self.register_buffer("margin", torch.zeros(()))
        self.register_buffer("temperature", torch.ones(()))
        self.norm, self.dropout = nn.LayerNorm(width), Dropout(dropout)
        self.out = nn.Linear(width, 1 if kind == "regression" else scale.bins)
        self.offset = None
        if offsets and kind == "both":
            self.offset = nn.Linear(width, scale.bins)
            nn.init.zeros_(self.offset.weight)
            nn.init.zeros_(self.offset.bias)
        if kind != "regression":
            self.probability = Probe(
                "curve", ("cell", "hour", "bin"), "Probability of each magnitude bin, before the temperature.", paper="eq. 14"
            )
        self.level = Probe(
            "curve", ("cell", "hour"), "Predicted log flow in standard deviations from the training mean (z).", "z", "eq. 15"
        )

    @property
    def bins(self) -> int:
        """How many bins."""
        return len(self.edges) - 1

    @property
    def centres(self) -> Tensor:
        """(bin,) midpoints, in z units."""
        return (self.edges[1:] + self.edges[:-1]) / 2

    def forward(self, steps: Tensor) -> tuple[Tensor, Tensor | None, Tensor | None]:
        """Answers each cell and hour.

        Args:
            steps: (cell, hour, width).

        Returns:
            z (cell, hour); bin probabilities and their logs (cell, hour, bin), both None for `regression`. Outside training a
            regression answers within what training cells ever had, as the baselines do: a line raised to trips knows no end.
        """
        steps = self.dropout(self.norm(steps))
        answer = self.out(steps).float()
        if self.kind == "regression":
            z = answer[..., 0]
            return self.level(z if self.training else z.clamp(self.bounds[0], self.bounds[1])), None, None
        log_probability = answer.log_softmax(-1)
        probability = self.probability(log_probability.exp())
        z = probability @ self.centres
        if self.offset is not None:
            moved = torch.tanh(self.offset(steps).float()) * (self.edges[1:] - self.edges[:-1])
            z = z + (probability * moved).sum(-1)
        return self.level(z), probability, log_probability

    def standardise(self, flow: Tensor) -> Tensor:
        """The z of trips; NaN stays."""
        return (torch.log1p(flow) - self.moments[0]) / self.moments[1]

    def trips(self, z: Tensor) -> Tensor:
        """Trips of z, never negative."""
        return torch.expm1((z * self.moments[1] + self.moments[0]).clamp_max(LARGEST_LOG)).clamp_min(0)

    def bin_of(self, z: Tensor) -> Tensor:
        """Bin index of z; the outer bins are open."""
        return torch.bucketize(z, self.edges[1:-1].contiguous(), right=True)

    def losses(self, z: Tensor, log_probability: Tensor | None, target: Tensor) -> dict[str, Tensor]:
        """Cross-entropy over bins and squared error of z, means over the known hours.

        Args:
            z: (cell, hour) predicted.
            log_probability: (cell, hour, bin), or None.
            target: (cell, hour) true z, NaN where unknown.
        """
        known = torch.isfinite(target)
        found = {"regression": F.mse_loss(z[known], target[known])}
        if log_probability is not None:
            found["classification"] = F.nll_loss(log_probability[known], self.bin_of(target[known]))
        return found

    def flow(self, z: Tensor, probability: Tensor | None, readout: Readout) -> Tensor:
        """Trips: exp of the mean log (median-like, as published), or the mean over bins times the smear factor."""
        return self.trips(z) if readout == "median" else self.smear * self.unsmeared_mean(z, probability)

    def unsmeared_mean(self, z: Tensor, probability: Tensor | None) -> Tensor:
        """(cell, hour) trips expected over the bins, all moved by what offsets moved their mean; without bins the back-transformed z."""
        if probability is None:
            return self.trips(z)
        moved = z - probability @ self.centres
        return (probability * self.trips(self.centres + moved[..., None])).sum(-1)

    def stated(self, probability: Tensor) -> Tensor:
        """(cell, hour, bin) probabilities as they are told: flattened or sharpened by the temperature that fits validation cells.

        Networks are surer of themselves than they are right. One number, fitted on cells that taught nothing, mends most of that
        and moves neither the most probable bin nor z (Guo et al. 2017, "On calibration of modern neural networks").
        """
        return (probability.clamp_min(torch.finfo(probability.dtype).tiny).log() / self.temperature).softmax(-1)

    def interval(self, z: Tensor, probability: Tensor | None, coverage: float = 0.8) -> tuple[Tensor, Tensor]:
        """Bounds in trips between which the flow lies with that probability.

        Quantiles of the stated bin distribution (even within a bin, the outer ones reaching to the extremes of training), widened or
        narrowed by the margin that made validation cells fall inside at the asked rate (split-conformal).
        """
        low, high = self.z_interval(z, probability, coverage)
        low, high = low - self.margin, high + self.margin
        middle = (low + high) / 2  # a negative margin must not turn the bounds around
        return self.trips(torch.minimum(low, middle)), self.trips(torch.maximum(high, middle))

    def z_interval(self, z: Tensor, probability: Tensor | None, coverage: float = 0.8) -> tuple[Tensor, Tensor]:
        """The interval in z before the margin; a point without bins."""
        if probability is None:
            return z, z
        stated = self.stated(probability)
        return self._quantile(stated, (1 - coverage) / 2), self._quantile(stated, (1 + coverage) / 2)

    def _quantile(self, probability: Tensor, share: float) -> Tensor:
        edges = torch.cat([self.bounds[:1], self.edges[1:-1], self.bounds[1:]])
        reached = probability.cumsum(-1)
        at = (reached < share).sum(-1, keepdim=True).clamp_max(self.bins - 1)
        own = probability.gather(-1, at)
        before = reached.gather(-1, at) - own
        inside = ((share - before) / own.clamp_min(1e-9)).clamp(0, 1)
        return (edges[at] + inside * (edges[at + 1] - edges[at]))[..., 0]

    @torch.no_grad()
    def calibrate_mean(self, z: Tensor, probability: Tensor | None, flow: Tensor) -> None:
        """Sets the smear factor from training cells: observed over expected trips. Flow is (cell, hour), NaN where unknown."""
        known = torch.isfinite(flow)
        expected = self.unsmeared_mean(z, probability)[known].sum()
        if expected > 0:
            self.smear.copy_(flow[known].sum() / expected)

    @torch.no_grad()
    def calibrate_bins(self, log_probability: Tensor, target: Tensor) -> None:
        """Sets the temperature under which the true bins of validation cells are likeliest.

        Args:
            log_probability: (cell, hour, bin) of validation cells.
            target: (cell, hour) true z, NaN where unknown.
        """
        known = torch.isfinite(target)
        if not known.any():
            return
        given, true = log_probability[known].cpu().double(), self.bin_of(target[known]).cpu()

        def cost(log_temperature: float) -> float:
            return float(F.nll_loss((given / np.exp(log_temperature)).log_softmax(-1), true))

        found = minimize_scalar(cost, bounds=np.log(TEMPERATURES), method="bounded")
        self.temperature.fill_(float(np.exp(found.x)))

    @torch.no_grad()
    def calibrate_interval(self, z: Tensor, probability: Tensor | None, target: Tensor, coverage: float = 0.8) -> None:
        """Sets the margin from validation cells so that the interval covers them at the asked rate."""
        low, high = self.z_interval(z, probability, coverage)
        known = torch.isfinite(target)
        if known.any():
            outside = torch.maximum(low - target, target - high)[known]
            rank = min(1.0, coverage * (1 + 1 / int(known.sum())))
            self.margin.copy_(torch.quantile(outside.float().cpu(), rank))
