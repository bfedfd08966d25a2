"""Small networks as baselines: convolution, LSTM and Transformer over the hours, and a graph convolution over the cells.

The networks of the paper's Table 2 (CNN, LSTM, Transformer) without its text alignment and graph attention, and the GCN of Table 5.
Each sees the same columns as the other baselines, the hour as a learnt vector, and stops where the validation error is lowest.
"""

import copy
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from engine.city.cell_samples import CellSamples
from engine.models.baselines.curve_base import CurveBaseline, Fit
from engine.models.baselines.skip_gram import one_thread

if TYPE_CHECKING:
    from engine.encoders.cell_features import CellInputs

HOURS = 24
WIDTH = 48
HOUR_WIDTH = 16
DROPOUT = 0.2
EPOCHS = 160
WITHOUT_VALIDATION = 80
"""Epochs where no validation cell says when to stop."""

PATIENCE = 30
LEARNING_RATE = 4e-3
WEIGHT_DECAY = 1e-2
BATCH = 1024


class Hourly(nn.Module):
    """The columns of a cell, repeated for 24 hours with a learnt vector per hour, through `over` the hours, to one number each."""

    def __init__(self, columns: int, over: nn.Module) -> None:
        super().__init__()
        self.cell = nn.Sequential(nn.Linear(columns, WIDTH), nn.GELU(), nn.Dropout(DROPOUT), nn.Linear(WIDTH, WIDTH - HOUR_WIDTH))
        self.hour = nn.Parameter(torch.randn(HOURS, HOUR_WIDTH) * 0.3)
        self.over = over
        self.out = nn.Linear(WIDTH, 1)

    def forward(self, table: Tensor, neighbours: Tensor | None) -> Tensor:
        """(cell, column) -> (cell, 24) z."""
        cell = self.cell(table)[:, None].expand(-1, HOURS, -1)
        hour = self.hour.expand(len(table), -1, -1)
        return self.out(self.over(torch.cat([cell, hour], dim=2)))[..., 0]


class Convolution(nn.Module):
    """Two convolutions of five hours, the day closed to a circle."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList([nn.Conv1d(WIDTH, WIDTH, 5, padding=2, padding_mode="circular") for _ in range(2)])
        self.dropout = nn.Dropout(DROPOUT)

    def forward(self, steps: Tensor) -> Tensor:
        """(cell, hour, width) -> the same."""
        for layer in self.layers:
            steps = steps + self.dropout(torch.nn.functional.gelu(layer(steps.transpose(1, 2)).transpose(1, 2)))
        return steps


class Recurrence(nn.Module):
    """An LSTM over the hours."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(WIDTH, WIDTH, batch_first=True)
        self.dropout = nn.Dropout(DROPOUT)

    def forward(self, steps: Tensor) -> Tensor:
        """(cell, hour, width) -> the same."""
        return steps + self.dropout(self.lstm(steps)[0])


class GraphConvolution(nn.Module):
    """Two graph convolutions with skip connections (Kipf & Welling 2017), then 24 outputs."""

    def __init__(self, columns: int) -> None:
        super().__init__()
        self.own = nn.Sequential(nn.Linear(columns, WIDTH), nn.GELU(), nn.Dropout(DROPOUT))
        self.layers = nn.ModuleList([nn.Linear(WIDTH, WIDTH) for _ in range(2)])
        self.dropout = nn.Dropout(DROPOUT)
        self.out = nn.Linear(WIDTH, HOURS)

    def forward(self, table: Tensor, neighbours: Tensor | None) -> Tensor:
        """(cell, column) and the normalised sparse (cell, cell) -> (cell, 24) z."""
        if neighbours is None:
            raise ValueError("a graph convolution needs the graph of all cells")
        cell = self.own(table)
        for layer in self.layers:
            cell = cell + self.dropout(torch.nn.functional.gelu(layer(torch.sparse.mm(neighbours, cell))))
        return self.out(cell)


def convolution(fit: Fit) -> CurveBaseline:
    """Convolution over the hours."""
    return _network(fit, "convolution", "CNN over hours", lambda columns: Hourly(columns, Convolution()))


def lstm(fit: Fit) -> CurveBaseline:
    """LSTM over the hours."""
    return _network(fit, "lstm", "LSTM over hours", lambda columns: Hourly(columns, Recurrence()))


def transformer(fit: Fit) -> CurveBaseline:
    """One Transformer encoder layer over the hours."""

    def make(columns: int) -> nn.Module:
        layer = nn.TransformerEncoderLayer(WIDTH, 4, 2 * WIDTH, DROPOUT, "gelu", batch_first=True, norm_first=True)
        return Hourly(columns, layer)

    return _network(fit, "transformer", "Transformer over hours", make)


def graph_convolution(fit: Fit) -> CurveBaseline:
    """Graph convolution over the cells."""
    return _network(fit, "graph_convolution", "GCN", GraphConvolution, is_graph=True)


def normalised_graph(edges: np.ndarray, count: int) -> Tensor:
    """Sparse (cell, cell) D^-1/2 (A + I) D^-1/2; a cell without neighbours keeps itself."""
    loops = np.repeat(np.arange(count)[:, None], 2, axis=1)
    pairs = np.unique(np.concatenate([edges, edges[:, ::-1], loops]), axis=0)
    degree = np.bincount(pairs[:, 0], minlength=count)
    weight = 1 / np.sqrt(degree[pairs[:, 0]] * degree[pairs[:, 1]])
    where, value = torch.from_numpy(pairs.T.copy()), torch.from_numpy(weight.astype(np.float32))
    made = torch.sparse_coo_tensor(where, value, (count, count), check_invariants=True)
    return made.coalesce()


def _network(fit: Fit, name: str, title: str, make: Callable[[int], nn.Module], is_graph: bool = False) -> CurveBaseline:
    table = torch.from_numpy(fit.table.astype(np.float32))
    with torch.random.fork_rng(devices=[]), one_thread():
        torch.manual_seed(fit.seed)  # inside the fork: nothing outside is seeded
        network = make(table.shape[1])
        epoch = _train(network, table, fit, normalised_graph(fit.cells.edges, len(fit.cells)) if is_graph else None)

    @torch.no_grad()
    def curves(inputs: "CellInputs", cells: CellSamples) -> np.ndarray:
        own = torch.from_numpy(fit.features.table(inputs).astype(np.float32))
        graph = normalised_graph(cells.edges, len(cells)) if is_graph else None
        with one_thread():
            return _answer(network, own, graph).numpy().astype(np.float64)

    return fit.finished(name, title, curves, epochs=epoch)


def _answer(network: nn.Module, table: Tensor, graph: Tensor | None) -> Tensor:
    network.eval()
    if graph is not None:
        return network(table, graph)
    return torch.cat([network(rows, None) for rows in table.split(BATCH)])


def _train(network: nn.Module, table: Tensor, fit: Fit, graph: Tensor | None) -> int:
    """Trains in place and leaves the weights of the best epoch; returns that epoch."""
    target = torch.from_numpy(fit.z.astype(np.float32))
    train, valid = torch.from_numpy(fit.train), torch.from_numpy(fit.valid)
    optimiser = torch.optim.AdamW(network.parameters(), lr=LEARNING_RATE, weight_decay=WEIGHT_DECAY)
    best, kept, best_epoch = np.inf, copy.deepcopy(network.state_dict()), 0
    epochs = EPOCHS if len(valid) else WITHOUT_VALIDATION
    for epoch in range(1, epochs + 1):
        network.train()
        batches = [train] if graph is not None else list(train[torch.randperm(len(train))].split(BATCH))
        for rows in batches:
            answer = network(table, graph)[rows] if graph is not None else network(table[rows], None)
            loss = torch.nn.functional.mse_loss(answer, target[rows])
            optimiser.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimiser.step()
        if not len(valid):
            best_epoch = epoch
            continue
        with torch.no_grad():
            network.eval()
            answer = network(table, graph)[valid] if graph is not None else network(table[valid], None)
            error = float(torch.nn.functional.mse_loss(answer, target[valid]))
        if error < best:
            best, kept, best_epoch = error, copy.deepcopy(network.state_dict()), epoch
        elif epoch - best_epoch >= PATIENCE:
            break
    if len(valid):
        network.load_state_dict(kept)
    network.eval()
    return best_epoch
