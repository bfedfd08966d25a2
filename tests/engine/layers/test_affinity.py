"""What the head gains for places that suit the person: near what is known, of kinds that are visited; for any place, also a new one."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from engine.layers.affinity import ANCHORS, PersonalAffinity, category_likeness, packed_softmax, strongest
from engine.layers.visit_memory import KNOWN_FEATURES, SAMPLE_FEATURES, KnownPlaces

METRES = torch.tensor([[0.0, 0.0], [100.0, 0.0], [8000.0, 0.0], [8000.0, 100.0]])
CATEGORY = torch.tensor([0, 1, 0, 2])


def known_places(*places):
    """Samples that know these places, all described alike."""
    count = np.array([len(each) for each in places])
    return KnownPlaces(
        sample=np.repeat(np.arange(len(places)), count),
        place=np.array([place for each in places for place in each], np.int64),
        features=np.zeros((count.sum(), len(KNOWN_FEATURES)), np.float32),
        of_sample=np.zeros((len(places), len(SAMPLE_FEATURES)), np.float32),
        count=count,
    )


@pytest.fixture
def affinity():
    torch.manual_seed(0)
    term = PersonalAffinity(8, 16, 0.0)
    term.initialise()
    return term.eval()


def gains(affinity, known, chosen=(0, 1, 2, 3)):
    with torch.no_grad():
        summary = torch.zeros(len(known.count), 8)
        return affinity(summary, known, METRES, CATEGORY, torch.eye(3), torch.tensor(chosen)).numpy()


def test_places_near_a_known_one_gain_over_far_ones_of_the_same_kind(affinity):
    """Place 1 lies 100 m from the known place 0; place 3 is as unlike it and lies 8 km away."""
    gained = gains(affinity, known_places([0]))[0]
    assert gained[1] > gained[3] + 0.5


def test_places_of_a_known_kind_gain_over_others_as_far_away(affinity):
    """Places 2 and 3 lie side by side, far away; only place 2 is of the kind of the known place 0."""
    gained = gains(affinity, known_places([0]))[0]
    assert gained[2] > gained[3] + 0.5


def test_a_person_without_known_places_gets_nothing_and_disturbs_nobody(affinity):
    together = gains(affinity, known_places([0, 1], [], [3]))
    assert (together[1] == 0).all()
    np.testing.assert_allclose(together[[0, 2]], gains(affinity, known_places([0, 1], [3])), atol=1e-6)
    assert (gains(affinity, known_places([], [])) == 0).all()


def test_candidates_do_not_depend_on_each_other(affinity):
    known = known_places([0, 2], [1])
    np.testing.assert_allclose(gains(affinity, known, (3, 1)), gains(affinity, known)[:, [3, 1]], atol=1e-6)


def test_ten_metres_are_next_to_nothing(affinity):
    """Nearer than positions are exact, the gain is flat: at 10 m from the anchor a place gains the same as beside it, to a hundredth."""
    metres = torch.cat([METRES, torch.tensor([[0.0, 0.0], [0.0, 10.0]])])
    with torch.no_grad():
        gained = affinity(
            torch.zeros(1, 8), known_places([0]), metres, torch.tensor([0, 1, 0, 2, 0, 0]), torch.eye(3), torch.tensor([4, 5])
        )
    assert 0 < abs(float(gained[0, 1] - gained[0, 0])) < 0.01


def test_a_place_gains_nothing_from_its_own_visits_in_space(affinity):
    """Going back is not exploring: a new place at the very spot of the anchor gains more than the anchor itself."""
    metres = torch.cat([METRES, METRES[:1]])
    with torch.no_grad():
        gained = affinity(
            torch.zeros(1, 8), known_places([0]), metres, torch.tensor([0, 1, 0, 2, 0]), torch.eye(3), torch.tensor([0, 4])
        )
    assert gained[0, 1] > gained[0, 0] + 0.5


def test_gradients_reach_scorer_and_strengths(affinity):
    summary = torch.randn(2, 8, requires_grad=True)
    features = np.random.default_rng(0).normal(size=(4, len(KNOWN_FEATURES))).astype(np.float32)
    known = replace(known_places([0, 1], [2, 3]), features=features)
    gained = affinity(summary, known, METRES, CATEGORY, torch.eye(3), torch.arange(4))
    gained.square().sum().backward()
    for name, parameter in affinity.named_parameters():
        assert parameter.grad is not None and torch.isfinite(parameter.grad).all(), name
        assert parameter.grad.abs().sum() > 0, name


def test_weights_sum_to_one_within_every_sample():
    weight = packed_softmax(torch.tensor([[1000.0], [1001.0], [-5.0]]), torch.tensor([0, 0, 2]), 3)
    assert weight[:, 0].tolist() == pytest.approx([0.2689, 0.7311, 1.0], abs=1e-4)


def test_only_the_strongest_places_are_anchors():
    known = known_places(list(range(ANCHORS + 2)), [3])
    weight = torch.cat([torch.arange(1.0, ANCHORS + 3), torch.tensor([0.5])])
    at, share = strongest(weight, known, ANCHORS)
    assert set(at[0].tolist()) == set(range(2, ANCHORS + 2))
    assert share.sum(1).tolist() == pytest.approx([1, 1]) and share[1, 1:].abs().sum() == 0 and known.place[at[1, 0]] == 3


def test_without_texts_only_equal_categories_are_alike():
    assert torch.equal(category_likeness(torch.zeros(3, 0), torch.tensor(5.0)), torch.eye(3))
