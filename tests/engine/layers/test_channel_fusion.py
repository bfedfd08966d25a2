"""Channel fusion: the stored similarity, its scale, and cells that lack one side."""

import math

import pytest
import torch

from engine.layers.channel_fusion import MOMENTUM, ChannelFusion, row_entropy
from engine.probes import override


def _views(cells: int, width: int = 16) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    torch.manual_seed(1)
    return torch.randn(cells, width), torch.randn(cells, width), torch.ones(cells, dtype=torch.bool)


def test_editing_one_cell_changes_that_cell_alone_where_the_similarity_is_stored_and_all_where_it_is_of_the_batch():
    spatial, text, both = _views(40)
    edited = spatial.clone()
    edited[3] += 1
    changed = {}
    for mode in ("stored", "batch"):
        torch.manual_seed(0)
        layer = ChannelFusion(16, mode)
        layer.train()
        layer(spatial, text, both)
        layer.eval()
        changed[mode] = (layer(edited, text, both) != layer(spatial, text, both)).any(1).nonzero()[:, 0].tolist()
    assert changed["stored"] == [3]
    assert len(changed["batch"]) > 30


def test_the_stored_similarity_is_the_running_mean_of_what_training_saw():
    spatial, text, both = _views(40)
    layer = ChannelFusion(16).train()
    first = layer._similarity(spatial, text, both)
    torch.testing.assert_close(layer.stored, first.detach())
    second = layer._similarity(text, spatial, both)
    torch.testing.assert_close(layer.stored, ((1 - MOMENTUM) * first + MOMENTUM * second).detach())
    torch.testing.assert_close(layer.stored.sum(1), torch.ones(16))


@pytest.mark.parametrize(("mode", "keeps_listening"), [("stored", True), ("batch", False)])
def test_with_many_cells_the_published_similarity_listens_to_one_channel_and_the_scaled_one_does_not(mode, keeps_listening):
    spatial, text, both = _views(6000, 64)
    torch.manual_seed(0)
    layer = ChannelFusion(64, mode).train()
    with torch.no_grad():
        entropy = float(row_entropy(layer._similarity(spatial, text, both)).mean())
    assert entropy > 0.9 if keeps_listening else entropy < 0.3, entropy


def test_cells_without_text_pass_unchanged_and_do_not_shape_the_similarity():
    spatial, text, both = _views(10)
    both[:4] = False
    torch.manual_seed(0)
    layer = ChannelFusion(16).train()
    answer = layer(spatial, text, both)
    assert torch.equal(answer[:4], spatial[:4]) and not torch.equal(answer[4:], spatial[4:])
    stored = layer.stored.clone()
    layer.is_stored.fill_(False)
    layer(torch.cat([100 * spatial[:4], spatial[4:]]), torch.cat([-7 * text[:4], text[4:]]), both)
    torch.testing.assert_close(layer.stored, stored)


def test_each_spatial_channel_gathers_text_channels_by_its_own_row():
    """With a hand-made similarity that sends spatial channel 0 to text channel 2, the mixture's channel 0 is text channel 2."""
    spatial, text, both = _views(5, 3)
    layer = ChannelFusion(3).eval()
    with torch.no_grad():
        for linear in (layer.value, layer.transform[0]):
            linear.weight.copy_(torch.eye(3))
            linear.bias.zero_()
    rows = torch.tensor([[0.0, 0.0, 1.0], [0.0, 1.0, 0.0], [0.5, 0.5, 0.0]])
    with override(layer, {"similarity": lambda _: rows}):
        answer = layer(spatial, text, both)
    torch.testing.assert_close(answer[:, 0], spatial[:, 0] + text[:, 2])
    torch.testing.assert_close(answer[:, 2], spatial[:, 2] + (text[:, 0] + text[:, 1]) / 2)


def test_entropy_is_one_for_a_uniform_row_and_zero_for_a_single_channel():
    assert row_entropy(torch.full((1, 8), 1 / 8)).item() == pytest.approx(1)
    assert row_entropy(torch.eye(8)[:1]).item() == pytest.approx(0, abs=1e-6)
    assert row_entropy(torch.tensor([[0.5, 0.5, 0.0, 0.0]])).item() == pytest.approx(math.log(2) / math.log(4))
