"""The multi-positive loss reaches its floor exactly when the texts are known, and equals the published one without duplicates."""

import math

import pytest
import torch

from engine.layers.contrastive import contrastive_floor, info_nce, multi_positive_info_nce, normalised_score


def perfect(group: torch.Tensor) -> torch.Tensor:
    """Similarities of a model that knows every item's group and nothing else."""
    return torch.where(group[:, None] == group[None, :], 100.0, -100.0)


def test_perfect_knowledge_reaches_the_floor():
    """Groups of 1, 2 and 3 items: floor (0·1 + ln2·2 + ln3·3)/6 nats."""
    group = torch.tensor([0, 1, 1, 2, 2, 2])
    floor = (2 * math.log(2) + 3 * math.log(3)) / 6
    assert contrastive_floor(group) == pytest.approx(floor)
    assert float(multi_positive_info_nce(perfect(group), group)) == pytest.approx(floor, abs=1e-5)
    assert normalised_score(floor, group) == pytest.approx(1)
    assert normalised_score(math.log(6), group) == pytest.approx(0)


def test_nothing_beats_the_floor():
    generator = torch.Generator().manual_seed(0)
    group = torch.randint(0, 5, (40,), generator=generator)
    for scale in (0.1, 1.0, 10.0):
        similarity = scale * torch.randn(40, 40, generator=generator)
        assert float(multi_positive_info_nce(similarity, group)) >= contrastive_floor(group)


def test_knowing_nothing_costs_the_logarithm_of_the_batch():
    group = torch.tensor([0, 0, 1, 1])
    assert float(multi_positive_info_nce(torch.zeros(4, 4), group)) == pytest.approx(math.log(4))


def test_without_duplicates_it_is_the_published_loss():
    similarity = torch.randn(8, 8, generator=torch.Generator().manual_seed(1))
    label = torch.arange(8)
    published = (torch.nn.functional.cross_entropy(similarity, label) + torch.nn.functional.cross_entropy(similarity.T, label)) / 2
    torch.testing.assert_close(info_nce(similarity), published)
    torch.testing.assert_close(multi_positive_info_nce(similarity, label), published)


def test_published_loss_punishes_what_the_multi_positive_loss_rewards():
    """Two places of one text: a model that finds both equally likely is right, yet the published loss still pulls them apart."""
    group = torch.tensor([0, 0])
    sharp = torch.tensor([[5.0, -5.0], [-5.0, 5.0]])
    assert info_nce(sharp) < info_nce(torch.zeros(2, 2))
    assert multi_positive_info_nce(sharp, group) > multi_positive_info_nce(torch.zeros(2, 2), group)


def test_one_text_for_all_scores_nothing():
    assert normalised_score(1.0, torch.zeros(5)) == 0.0
