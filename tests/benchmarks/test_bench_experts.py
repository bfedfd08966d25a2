"""The benchmark of experts measures what it says: the same answer from a shared base and from copies, and the copies' memory."""

import pytest

from engine.device import choose_device
from tests.benchmarks.bench_experts import EXPERTS, QUICK, compare_feed_forwards, compare_stacks, time_stacks

DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)]


@pytest.mark.parametrize("name", DEVICES)
def test_both_ways_of_having_experts_answer_alike_and_only_copies_take_memory(name) -> None:
    device = choose_device(name)
    dense, shared, copies = time_stacks(QUICK, 1, device)
    assert [one.way for one in (dense, shared, copies)] == ["no experts", "shared base", "11 copies"]
    apart = float((shared.states - copies.states).norm() / copies.states.norm())
    assert apart < (0.03 if device.is_gpu else 1e-5), "half precision on a GPU"
    assert not dense.states.isclose(shared.states, atol=1e-2).all(), "experts that change nothing would test nothing"
    one_copy = 3 * QUICK.width * QUICK.hidden * (2 if device.is_gpu else 4) / 2**30
    assert copies.weights_gb - shared.weights_gb == pytest.approx(len(QUICK.expert_layers) * (EXPERTS - 1) * one_copy)
    assert all(one.tokens_per_second > 0 and one.peak_gb >= one.weights_gb for one in (dense, shared, copies))


@pytest.mark.parametrize("name", DEVICES)
def test_the_tables_name_the_device_s_clock_and_memory(name, capsys) -> None:
    device = choose_device(name)
    compare_feed_forwards(QUICK, 1, device)
    compare_stacks(QUICK, 1, device)
    said = capsys.readouterr().out
    assert ("CPU ms" in said) != device.is_gpu and ("tokens per CPU second" in said) != device.is_gpu and "11 copies" in said
