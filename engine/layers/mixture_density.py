"""A mixture of Gaussians over the plane: where the next visit will be, with more than one guess (Bishop 1994)."""

import math

import torch
from torch import Tensor, nn

from engine.probes import Probe


class MixtureDensity(nn.Module):
    """From a state to the weights, centres and spreads of round Gaussians.

    Args:
        width: Length of a state.
        components: Number of Gaussians.
        least_spread: Standard deviations stay above this, in units of the coordinates, so that no component collapses on a point.
        start_spread: Standard deviation at the start.
    """

    def __init__(self, width: int, components: int, least_spread: float, start_spread: float = 0.5) -> None:
        super().__init__()
        self.least_spread = least_spread
        self.weight, self.centre = nn.Linear(width, components), nn.Linear(width, 2 * components)
        self.spread = nn.Linear(width, components)
        with torch.no_grad():
            self.spread.weight.mul_(0.1)
            self.spread.bias.fill_(math.log(start_spread))
            self.centre.bias.copy_(torch.randn(2 * components))
        self.weights = Probe("routing", ("sample", "component"), "Weight of each guess at where the next visit will be.")
        self.centres = Probe(
            "embedding",
            ("sample", "component", "coordinate"),
            "Where each guess lies, in city scales from the city's centre (x, y).",
        )
        self.spreads = Probe("embedding", ("sample", "component"), "How wide each guess is: standard deviation in city scales.")

    def forward(self, states: Tensor, shown: bool = True) -> tuple[Tensor, Tensor, Tensor]:
        """The mixture of each state.

        Args:
            states: (state, width).
            shown: Whether the probes see (and may change) it.

        Returns:
            Log weights (state, component), centres (state, component, 2) and standard deviations (state, component).
        """
        weights = self.weight(states).softmax(-1)
        centres = self.centre(states).unflatten(-1, (-1, 2))
        spreads = self.spread(states).clamp(-12, 6).exp() + self.least_spread
        if shown:
            weights, centres, spreads = self.weights(weights).clamp_min(0), self.centres(centres), self.spreads(spreads)
        log_weights = (weights / weights.sum(-1, keepdim=True).clamp_min(1e-12)).clamp_min(1e-12).log()
        return log_weights, centres, spreads.clamp_min(self.least_spread)

    @staticmethod
    def log_density(mixture: tuple[Tensor, Tensor, Tensor], xy: Tensor) -> Tensor:
        """(state, point) log density of points (point, 2), per unit area of the coordinates.

        With gradients the exponents come from one matrix product, several times faster and right to about 0.01; without them from
        differences, where neighbours a few metres apart do not drown in rounding.
        """
        log_weights, centres, spreads = mixture
        log = log_weights - 2 * spreads.log() - math.log(2 * math.pi)  # (state, component)
        if torch.is_grad_enabled():
            precision = spreads**-2
            of_state = torch.cat(
                [
                    -precision[..., None] / 2,
                    centres * precision[..., None],
                    (log - precision * centres.square().sum(-1) / 2)[..., None],
                ],
                dim=-1,
            )
            of_point = torch.cat([xy.square().sum(1, keepdim=True), xy, torch.ones_like(xy[:, :1])], dim=1)
            return torch.logsumexp(of_state @ of_point.T, dim=1)
        apart = _square_distance(centres.flatten(0, 1), xy).unflatten(0, spreads.shape)  # (state, component, point)
        return torch.logsumexp(log[..., None] - apart / (2 * spreads[..., None] ** 2), dim=1)

    @staticmethod
    def log_density_at(mixture: tuple[Tensor, Tensor, Tensor], xy: Tensor) -> Tensor:
        """(state,) log density of one point (state, 2) for each state."""
        log_weights, centres, spreads = mixture
        apart = (centres - xy[:, None]).square().sum(-1)
        return torch.logsumexp(log_weights - 2 * spreads.log() - math.log(2 * math.pi) - apart / (2 * spreads**2), dim=1)


def _square_distance(first: Tensor, second: Tensor) -> Tensor:
    return (first[:, None, 0] - second[:, 0]).square() + (first[:, None, 1] - second[:, 1]).square()
