"""Function experts at the embedding: what a place is for, in the context of a visit (NextLocMoE §5, "location semantics")."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engine.layers.routing import Choice
from engine.probes import Probe


class FunctionMixture(nn.Module):
    """Adds to a visit's location vector what the chosen function experts say about its coordinates.

    Expert f says `v_f(x) = U_f' x + b_f`, starting from the vector of its description. As published there is no b_f and both rows of
    U_f start as that vector, so that at first an expert sees only x + y and says nothing in the middle of the city.

    Args:
        descriptions: (function, text) vectors of the experts' texts.
        width: Length of a location vector.
        visit: Length of a visit's whole embedding, and of the history summary.
        hidden: Hidden width of the router.
        choice: How experts are chosen.
        published_start: Start as published.
    """

    def __init__(self, descriptions: Tensor, width: int, visit: int, hidden: int, choice: Choice, published_start: bool) -> None:
        super().__init__()
        functions = len(descriptions)
        self.choice = choice
        with torch.no_grad():
            start = F.layer_norm(nn.Linear(descriptions.shape[1], width)(descriptions), (width,))  # (function, width)
            unit = F.normalize(torch.randn(functions, 2), dim=1)
            project = torch.randn(functions, 2, width) * width**-0.5 + unit[:, :, None] * start[:, None]
        self.project = nn.Parameter(start[:, None].repeat(1, 2, 1) if published_start else project)
        self.offset = None if published_start else nn.Parameter(start.clone())
        self.router = nn.Sequential(nn.Linear(2 * visit, hidden), nn.ReLU(), nn.Linear(hidden, functions))
        axes = ("sample", "step", "expert")
        self.raw = Probe("routing", axes, "Weight the router gives each function expert, before the choice.", paper="§5")
        self.routing = Probe("routing", axes, "Weight of each function expert that is asked; zero for the others.", paper="§5")
        self.output = Probe(
            "embedding",
            ("sample", "step", "feature"),
            "What the function experts add to the location vector of each visit.",
            paper="§5",
        )

    def forward(self, xy: Tensor, visits: Tensor, history: Tensor, real: Tensor) -> tuple[Tensor, Tensor]:
        """What is added to location vectors, and the router's weights of the real visits for the loss.

        Args:
            xy: (sample, step, 2) normalised coordinates.
            visits: (sample, step, visit) embeddings.
            history: (sample, visit) summary of the long history.
            real: (sample, step) bool.

        Returns:
            (sample, step, width) and (visit, function).
        """
        context = torch.cat([history[:, None].expand(-1, visits.shape[1], -1), visits], dim=-1)
        weights = self.router(context).softmax(-1) * real[..., None]
        shown = self.raw(weights)
        used = self.routing(self.choice(shown)) * real[..., None]
        said = torch.einsum("bsi,fiw->bsfw", xy, self.project)
        if self.offset is not None:
            said = said + self.offset
        return self.output((used[..., None] * said).sum(2)), weights[real]

    def answers_at(self, xy: Tensor) -> Tensor:
        """(point, function, width) what each expert says about points in normalised coordinates."""
        said = torch.einsum("pi,fiw->pfw", xy, self.project)
        return said if self.offset is None else said + self.offset
