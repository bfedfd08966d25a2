"""Graph layers against the published ones, and what a cell out of reach may change: nothing."""

import numpy as np
import pytest
import torch
from torch_geometric.nn import GATConv, GCNConv

from engine.layers.graph import (
    GraphAttention,
    GraphBlock,
    GraphContext,
    GraphMean,
    neighbours_of,
)
from engine.probes import override, watch

EDGES = np.array([[0, 1], [1, 0], [1, 2], [2, 1], [2, 3], [3, 2], [0, 3], [3, 0]])
"""A ring of four; cell 4 is alone."""


def test_the_table_holds_each_cell_first_then_its_neighbours_and_drops_loops_and_repetitions():
    table = neighbours_of(np.concatenate([EDGES, EDGES[:2], [[2, 2]]]), 5)
    assert table.index[0].tolist() == [0, 1, 3] and table.index[4].tolist() == [4, 4, 4]
    assert table.real[4].tolist() == [True, False, False] and table.count.tolist() == [3, 3, 3, 3, 1]


def test_a_directed_edge_carries_messages_from_source_to_target_only():
    table = neighbours_of(np.array([[0, 1]]), 2)
    assert table.index[1].tolist() == [1, 0] and table.count.tolist() == [1, 2]


def test_no_edges_leave_every_cell_to_itself():
    table = neighbours_of(np.zeros((0, 2), np.int64), 3)
    assert table.index.tolist() == [[0], [1], [2]] and table.real.all()


@pytest.mark.parametrize("concatenate", [True, False])
def test_graph_attention_is_that_of_torch_geometric(concatenate):
    torch.manual_seed(0)
    ours, theirs = GraphAttention(6, 5, 3, concatenate, dropout=0.0), GATConv(6, 5, 3, concatenate)
    with torch.no_grad():
        theirs.lin.weight.copy_(ours.project.weight)
        theirs.att_src.copy_(ours.as_source[None])
        theirs.att_dst.copy_(ours.as_target[None])
        theirs.bias.copy_(ours.bias)
    cells = torch.randn(5, 6)
    with watch(ours) as seen:
        answer = ours(cells, neighbours_of(EDGES, 5))
    torch.testing.assert_close(answer, theirs(cells, torch.from_numpy(EDGES.T)))
    weight = seen["attention"][0]
    assert weight.dims == ("cell", "head", "neighbour")
    np.testing.assert_allclose(weight.sum("neighbour"), 1, rtol=1e-6)
    np.testing.assert_allclose(weight[4, :, 0], 1)  # the lonely cell listens to itself


def test_graph_mean_is_that_of_torch_geometric():
    torch.manual_seed(0)
    ours, theirs = GraphMean(6, 5), GCNConv(6, 5)
    with torch.no_grad():
        theirs.lin.weight.copy_(ours.project.weight)
        ours.project.bias.zero_()
    cells = torch.randn(5, 6)
    torch.testing.assert_close(ours(cells, neighbours_of(EDGES, 5)), theirs(cells, torch.from_numpy(EDGES.T)))


def test_attention_that_is_flattened_gives_the_mean_of_the_neighbours():
    torch.manual_seed(0)
    layer, cells, table = GraphAttention(4, 4, 1, dropout=0.0), torch.randn(5, 4), neighbours_of(EDGES, 5)
    with override(layer, {"attention": lambda weight: (weight > 0) / (weight > 0).sum(-1, keepdim=True)}):
        answer = layer(cells, table)
    torch.testing.assert_close(answer[1], layer.project(cells[[1, 0, 2]]).mean(0) + layer.bias)


@pytest.mark.parametrize("kind", ["attention", "mean"])
def test_a_cell_reaches_as_far_as_there_are_blocks_and_not_one_bit_farther(kind):
    torch.manual_seed(0)
    path = np.array([[at, at + 1] for at in range(8)])
    table = neighbours_of(np.concatenate([path, path[:, ::-1]]), 9)
    model = GraphContext(8, 8, 2, 3, kind, 0.0).eval()
    cells = torch.randn(9, 8)
    before = model(cells, table)
    edited = cells.clone()
    edited[0] = torch.randn(8)
    changed = (model(edited, table) != before).any(1)
    assert changed.tolist() == [True] * 4 + [False] * 5


def test_self_and_none_know_no_neighbours():
    cells = torch.randn(5, 8)
    assert torch.equal(GraphContext(8, 8, 2, 3, "none", 0.0)(cells, neighbours_of(EDGES, 5)), cells)
    model = GraphContext(8, 8, 2, 3, "self", 0.0)
    torch.testing.assert_close(model(cells, neighbours_of(EDGES, 5)), model(cells, neighbours_of(EDGES[:0], 5)))


def test_the_skip_is_the_identity_where_widths_agree_and_can_be_left_out_as_released():
    cells, table = torch.randn(5, 8), neighbours_of(EDGES, 5)
    for block in (GraphBlock(8, 8, 2, True, "attention", 0.0, skip=skip).eval() for skip in (True, False)):
        torch.nn.init.zeros_(block.messages.project.weight)
        torch.testing.assert_close(block(cells, table), cells if block.has_skip else torch.zeros(5, 8))
