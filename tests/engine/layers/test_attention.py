"""Packed attention gives what a padded transformer gives, and spends nothing on padding."""

import numpy as np
import pytest
import torch
from torch import nn

from engine.layers.attention import PackedEncoder, Packing, _similar
from engine.probes import override, watch

LENGTHS = np.array([3, 1, 17, 4, 4, 60, 2, 9, 33, 3])


def padded_twin(packed: PackedEncoder, norm_first: bool) -> nn.TransformerEncoder:
    """`torch.nn.TransformerEncoder` with the same weights."""
    layer = nn.TransformerEncoderLayer(16, 4, 32, dropout=0.0, activation="gelu", batch_first=True, norm_first=norm_first)
    twin = nn.TransformerEncoder(layer, len(packed.layers), norm=nn.LayerNorm(16), enable_nested_tensor=False)
    for ours, theirs in zip(packed.layers, twin.layers, strict=True):
        theirs.self_attn.in_proj_weight.data.copy_(ours.project_in.weight)
        theirs.self_attn.in_proj_bias.data.copy_(ours.project_in.bias)
        for name, other in (
            ("project_out", theirs.self_attn.out_proj),
            ("widen", theirs.linear1),
            ("narrow", theirs.linear2),
            ("norm_attention", theirs.norm1),
            ("norm_feed_forward", theirs.norm2),
        ):
            other.load_state_dict(getattr(ours, name).state_dict())
    return twin


def run_padded(twin: nn.TransformerEncoder, steps: torch.Tensor) -> torch.Tensor:
    chunk = Packing.of(LENGTHS).padded()
    causal = torch.ones(60, 60, dtype=torch.bool).triu(1)
    out = twin(steps[chunk.step], mask=causal, src_key_padding_mask=~chunk.real)
    return out[torch.arange(len(LENGTHS)), torch.from_numpy(LENGTHS) - 1]


@pytest.mark.parametrize("norm_first", [False, True])
def test_outputs_and_gradients_equal_those_of_the_padded_encoder(norm_first):
    torch.manual_seed(0)
    packed = PackedEncoder(16, 4, 32, 3, norm_first=norm_first)
    twin = padded_twin(packed, norm_first)
    steps = torch.randn(LENGTHS.sum(), 16)
    ours_in, theirs_in = steps.clone().requires_grad_(), steps.clone().requires_grad_()
    ours, theirs = packed(ours_in, Packing.of(LENGTHS)), run_padded(twin, theirs_in)
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5)
    weight = torch.randn_like(ours)
    (ours * weight).sum().backward()
    (theirs * weight).sum().backward()
    torch.testing.assert_close(ours_in.grad, theirs_in.grad, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(
        packed.layers[0].project_in.weight.grad, twin.layers[0].self_attn.in_proj_weight.grad, atol=1e-4, rtol=1e-4
    )


def test_later_visits_do_not_reach_back():
    """The first visit of a history is read the same whatever follows: layer 0 at step 0 ignores steps 1 and 2."""
    torch.manual_seed(0)
    layer = PackedEncoder(16, 4, 32, 1).layers[0]
    steps = torch.randn(3, 16)
    changed = torch.cat([steps[:1], torch.randn(2, 16)])
    packing = Packing.of(np.array([3]))
    torch.testing.assert_close(layer(steps, packing)[0], layer(changed, packing)[0])


def test_watched_weights_are_causal_sum_to_one_and_change_nothing():
    torch.manual_seed(0)
    packed = PackedEncoder(16, 4, 32, 2)
    steps, packing = torch.randn(LENGTHS.sum(), 16), Packing.of(LENGTHS)
    before = packed(steps, packing)
    with watch(packed) as seen:
        watched = packed(steps, packing)
    assert torch.equal(before, watched)
    for arrays in seen.values():
        (weights,) = arrays
        assert weights.dims == ("sample", "head", "query", "key") and weights.shape == (10, 4, 60, 60)
        for row, length in enumerate(LENGTHS):
            own = weights.values[row]
            np.testing.assert_allclose(own[:, :length].sum(-1), 1, atol=1e-5)
            assert not own[:, length:].any() and not np.triu(own, 1).any()


def test_overridden_weights_are_used():
    """With all attention on the visit itself, a single layer sees nothing of the other visits."""
    torch.manual_seed(0)
    packed = PackedEncoder(16, 4, 32, 1)
    lengths = np.array([5, 2])
    packing, steps = Packing.of(lengths), torch.randn(7, 16)
    itself = {"layers.0.attention": lambda weights: torch.eye(weights.shape[-1]).expand_as(weights)}
    with override(packed, itself):
        answer = packed(steps, packing)
        alone = packed(steps[packing.last], Packing.of(np.array([1, 1])))
    torch.testing.assert_close(answer, alone)
    with override(packed, {"layers.0.attention": lambda weights: weights.clone()}):
        torch.testing.assert_close(packed(steps, packing), packed(steps, packing))


def test_chunks_hold_every_step_once_and_waste_little():
    lengths = np.random.default_rng(0).integers(1, 120, 256)
    packing = Packing.of(lengths)
    real = torch.cat([chunk.step[chunk.real] for chunk in packing.chunks])
    assert sorted(real.tolist()) == list(range(lengths.sum()))
    computed = sum(chunk.step.numel() for chunk in packing.chunks)
    assert computed < 1.3 * lengths.sum(), "chunks of similar length waste at most about a fifth"
    assert len(packing.chunks) < 20
    assert sorted(np.concatenate(_similar(lengths)).tolist()) == list(range(256))
