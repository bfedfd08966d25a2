"""Dropout that can be asked for: the same units for the same seed, none outside of it, and nothing another thread would notice."""

import threading

import torch

from engine.layers.dropout import Dropout, dropping


def test_in_training_and_in_evaluation_it_is_the_stock_layer():
    own, stock, value = Dropout(0.4), torch.nn.Dropout(0.4), torch.randn(50, 8)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        first = own(value)
        torch.manual_seed(0)
        assert torch.equal(first, stock(value))
    assert torch.equal(own.eval()(value), value)


def test_within_dropping_the_same_seed_drops_the_same_units_and_keeps_the_mean():
    layer, value = Dropout(0.25).eval(), torch.ones(200, 100)
    answers = []
    for seed in (1, 1, 2):
        with dropping(seed):
            answers.append(layer(value))
    assert torch.equal(answers[0], answers[1]) and not torch.equal(answers[0], answers[2])
    assert set(answers[0].unique().tolist()) == {0.0, torch.tensor(1 / 0.75).item()}
    assert abs(float(answers[0].mean()) - 1) < 0.02
    assert torch.equal(layer(value), value), "over with the block"


def test_nobody_else_is_made_to_drop_and_the_common_draws_are_left_alone():
    layer, value, seen = Dropout(0.5).eval(), torch.ones(1000), []
    state = torch.random.get_rng_state()
    with dropping(0):
        other = threading.Thread(target=lambda: seen.append(layer(value)))
        other.start()
        other.join()
        assert not torch.equal(layer(value), value)
    assert torch.equal(seen[0], value)
    assert torch.equal(torch.random.get_rng_state(), state)
