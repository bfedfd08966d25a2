"""Fusion of modalities: missing ones do not count, whatever stands in their place."""

import pytest
import torch

from engine.layers.fusion import ModalityFusion
from engine.layers.hourly import HourlyEncoder
from engine.layers.self_attention import TokenEncoderLayer
from engine.probes import override, watch

NAMES = ("satellite", "height", "poi")


@pytest.mark.parametrize("kind", ["attention", "flatten", "gated", "concatenate", "max"])
def test_what_stands_in_place_of_a_missing_modality_does_not_matter(kind):
    torch.manual_seed(0)
    fusion = ModalityFusion(8, NAMES, kind).eval()
    tokens, present = torch.randn(6, 3, 8), torch.ones(6, 3, dtype=torch.bool)
    present[2, 1] = False
    other = tokens.clone()
    other[2, 1] = 1e3
    torch.testing.assert_close(fusion(tokens, present)[2], fusion(other, present)[2])
    assert not torch.allclose(fusion(tokens, torch.ones_like(present))[2], fusion(tokens, present)[2])


@pytest.mark.parametrize("kind", ["attention", "gated"])
def test_weights_of_a_cell_sum_to_one_over_the_modalities_it_has(kind):
    torch.manual_seed(0)
    fusion, present = ModalityFusion(8, NAMES, kind).eval(), torch.tensor([[True, True, True], [True, False, True]])
    with watch(fusion, "weight") as seen:
        fusion(torch.randn(2, 3, 8), present)
    weight = seen["weight"][0]
    torch.testing.assert_close(torch.from_numpy(weight.values.sum(1)), torch.ones(2))
    assert weight.values[1, 1] == 0


def test_forcing_one_modality_answers_from_it_alone():
    torch.manual_seed(0)
    fusion, tokens, present = ModalityFusion(8, NAMES, "gated").eval(), torch.randn(4, 3, 8), torch.ones(4, 3, dtype=torch.bool)
    with override(fusion, {"weight": lambda weight: torch.tensor([0.0, 0.0, 1.0]).expand_as(weight)}):
        answer = fusion(tokens, present)
    torch.testing.assert_close(answer, fusion.project[2](tokens[:, 2]) + fusion.kind_vector[2])


def test_watching_token_attention_changes_nothing_and_replacing_it_with_itself_neither():
    torch.manual_seed(0)
    layer = TokenEncoderLayer(8, 2, 16, 0.0, ("a", "b", "c", "d"), "test").eval()
    tokens, allowed = torch.randn(5, 4, 8), torch.rand(5, 4) > 0.4
    allowed[:, 0] = True
    plain = layer(tokens, allowed)
    with watch(layer) as seen:
        assert torch.equal(layer(tokens, allowed), plain)
    assert (seen["attention"][0].values.transpose(0, 3, 1, 2)[~allowed.numpy()] == 0).all()
    with override(layer, {"attention": torch.clone}):
        torch.testing.assert_close(layer(tokens, allowed), plain)


@pytest.mark.parametrize("conditioning", ["embedding", "convolution"])
def test_hours_of_a_cell_differ_and_cells_do_not_mix(conditioning):
    torch.manual_seed(0)
    encoder = HourlyEncoder(8, conditioning, 4, layers=1, heads=2, feed_forward=16).eval()
    cells = torch.randn(3, 8)
    answer = encoder(cells)
    assert answer.shape == (3, 24, 8) and not torch.allclose(answer[:, 0], answer[:, 12])
    torch.testing.assert_close(encoder(cells[1:2]), answer[1:2])


def test_hour_embedding_is_the_linear_map_of_the_joined_vectors():
    """Equation 13 says phi([z | e_t]); the layer computes it without repeating z for each hour."""
    torch.manual_seed(0)
    encoder = HourlyEncoder(8, "embedding", 4, layers=0).eval()
    cells = torch.randn(3, 8)
    joined = torch.cat([cells[:, None].expand(3, 24, 8), encoder.hour[None].expand(3, 24, 4)], dim=2)
    torch.testing.assert_close(encoder(cells), torch.nn.functional.gelu(encoder.mix(joined)))
