"""Metrics on hand-worked ranks and against scikit-learn; intervals come from users and say so when there are too few."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import f1_score, ndcg_score, top_k_accuracy_score

from engine.city.samples import build_samples
from engine.errors import MobiscopeError
from engine.evaluation.metrics import (
    METRICS,
    _median,
    _weighted_f1,
    draw_users,
    paired_difference,
    summarise,
    summarise_groups,
    weighted_f1,
)
from engine.evaluation.ranking import answer
from tests.engine.evaluation.conftest import Told, handmade
from tests.engine.small_cities import city_of, log_of

INF = np.inf


def values(answers, mask=None) -> dict[str, float]:
    return {name: estimate.value for name, estimate in summarise(answers, mask, resamples=20).items()}


def test_ranking_metrics_of_five_ranks_worked_by_hand() -> None:
    found = values(handmade([1, 2, 6, 11, INF], "abcde", "aaaaa"))
    assert found["acc@1"] == pytest.approx(1 / 5)
    assert found["acc@5"] == pytest.approx(2 / 5)
    assert found["acc@10"] == pytest.approx(3 / 5)
    assert found["acc@20"] == pytest.approx(4 / 5)
    assert found["mrr"] == pytest.approx((1 + 1 / 2 + 1 / 6 + 1 / 11 + 0) / 5)
    assert found["ndcg@10"] == pytest.approx((1 + 1 / np.log2(3) + 1 / np.log2(7)) / 5)
    assert found["ceiling"] == pytest.approx(4 / 5)


def test_weighted_f1_worked_by_hand() -> None:
    # Truth a a a b, answers a a b b: F1 of a is 2*2/(3+2) = 0.8, of b 2*1/(1+2) = 2/3; weights 3 and 1.
    assert values(handmade([1, 1, 2, 1], "aaab", "aabb"))["f1"] == pytest.approx((3 * 0.8 + 2 / 3) / 4)


def test_distances_worked_by_hand() -> None:
    found = values(handmade([1, 2, 2, 2], "abbb", "aaaa", distance=[0, 100, 500, 3000]))
    assert found["distance_median_m"] == 300 and found["distance_mean_m"] == 900


def test_a_missing_distance_is_left_out_and_counted_out() -> None:
    estimates = summarise(handmade([1, 2, 2], "abb", "aaa", distance=[0, 100, np.nan]))
    assert estimates["distance_mean_m"].value == 50 and estimates["distance_mean_m"].n == 2
    assert estimates["acc@1"].n == 3


def test_a_mask_chooses_samples() -> None:
    found = values(handmade([1, 2, 2, 1], "abba", "aaaa"), np.array([True, False, False, True]))
    assert found["acc@1"] == 1


def test_no_samples_give_no_value_and_no_crash() -> None:
    for estimate in summarise(handmade([1], "a", "a"), np.array([False])).values():
        assert estimate.n == 0 and np.isnan([estimate.value, estimate.low, estimate.high]).all()
    assert all(estimate.n == 0 for estimate in summarise(handmade([], "", "")).values())


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 5), st.integers(-1, 5)), min_size=1, max_size=30))
def test_weighted_f1_is_that_of_scikit_learn(pairs: list[tuple[int, int]]) -> None:
    truth, first = (np.array(side) for side in zip(*pairs, strict=True))
    expected = f1_score(truth, first, labels=np.unique(truth), average="weighted", zero_division=0)
    assert weighted_f1(truth, first) == pytest.approx(expected)
    assert weighted_f1(truth, first) == pytest.approx(f1_score(truth, first, average="weighted", zero_division=0))


@pytest.mark.parametrize("seed", range(5))
def test_accuracy_and_ndcg_are_those_of_scikit_learn(seed: int) -> None:
    generator = np.random.default_rng(seed)
    letters = "abcdefghijklmnopqrstuvwxyz"
    rows = [("u0", str(letter), f"2024-01-01 {index // 60:02d}:{index % 60:02d}", "test")
            for index, letter in enumerate(generator.choice(list(letters), 120))]  # fmt: skip
    samples = build_samples(log_of(city_of(rows, places=letters)))
    share = generator.dirichlet(np.ones(26), len(samples)).astype(np.float32)
    found = values(answer(Told(np.log(share)), samples, chunk=50))
    truth = samples.true_location
    for k in (1, 5, 10, 20):
        assert found[f"acc@{k}"] == pytest.approx(top_k_accuracy_score(truth, share, k=k, labels=np.arange(26)))
    relevance = np.eye(26)[truth]
    assert found["ndcg@10"] == pytest.approx(ndcg_score(relevance, share, k=10))
    assert found["f1"] == pytest.approx(f1_score(truth, share.argmax(1), average="weighted", zero_division=0))


def test_intervals_come_from_drawing_users_with_all_their_samples() -> None:
    # Ten people who are always right or always wrong: 1,000 samples drawn one by one look far more certain than 10 people are.
    users = [f"u{index // 100}" for index in range(1000)]
    rank = [1.0 if index // 100 < 5 else INF for index in range(1000)]
    by_user = summarise(handmade(rank, "a" * 1000, "a" * 1000, users=users))["acc@1"]
    alone = summarise(handmade(rank, "a" * 1000, "a" * 1000))["acc@1"]
    assert by_user.value == alone.value == 0.5 and by_user.users == 10
    assert by_user.low == pytest.approx(0.2, abs=0.1) and by_user.high == pytest.approx(0.8, abs=0.1)
    assert alone.high - alone.low < 0.08


def test_intervals_cover_the_value_they_estimate_about_as_often_as_they_say() -> None:
    generator = np.random.default_rng(0)
    users = [f"u{index // 5}" for index in range(300)]
    covered = 0
    for trial in range(60):
        skill = np.repeat(generator.uniform(0.2, 0.6, 60), 5)
        rank = np.where(generator.random(300) < skill, 1.0, INF)
        estimate = summarise(handmade(rank.tolist(), "a" * 300, "a" * 300, users=users), seed=trial, resamples=200)["acc@1"]
        covered += estimate.low <= 0.4 <= estimate.high
    assert covered >= 50, "95 % intervals should hold the truth in nearly all of 60 worlds"


def test_one_user_gives_a_value_without_an_interval() -> None:
    estimate = summarise(handmade([1, 2, INF], "abc", "aaa", users=["u0"] * 3))["acc@1"]
    assert estimate.value == pytest.approx(1 / 3) and np.isnan(estimate.low) and np.isnan(estimate.high)


def test_the_median_under_the_bootstrap_is_the_median_of_the_drawn_samples() -> None:
    answers = handmade([1] * 6, "aaaaaa", "aaaaaa", users=["x", "x", "y", "y", "z", "z"], distance=[1, 2, 30, 40, 500, 600])
    user, draws = draw_users(answers, seed=0, resamples=50)
    _, replicates = _median(answers, np.arange(6), user, draws)
    for draw, replicate in zip(draws, replicates, strict=True):
        assert replicate == np.median(np.repeat(answers.distance_m, draw[user].astype(int)))


def test_the_f1_under_the_bootstrap_is_the_f1_of_the_drawn_samples() -> None:
    generator = np.random.default_rng(3)
    truth, first = ("".join(generator.choice(list("abcd"), 40)) for _ in range(2))
    answers = handmade([1] * 40, truth, first, users=[f"u{index % 7}" for index in range(40)])
    user, draws = draw_users(answers, seed=0, resamples=20)
    _, replicates = _weighted_f1(answers, np.arange(40), user, draws)
    for draw, replicate in zip(draws, replicates, strict=True):
        drawn = np.repeat(np.arange(40), draw[user].astype(int))
        expected = f1_score(answers.truth[drawn], answers.top[drawn, 0], average="weighted", zero_division=0)
        assert replicate == pytest.approx(expected)


def test_seeds_decide_the_interval_and_nothing_else() -> None:
    answers = handmade([1, 2, 3, INF] * 10, "abcd" * 10, "aaaa" * 10)
    first, again, other = (summarise(answers, seed=seed)["mrr"] for seed in (0, 0, 1))
    assert first == again and first.value == other.value and first.low != other.low


def test_groups_are_the_same_as_masks() -> None:
    answers = handmade([1, 2, 3, INF, 1, 1], "abcdab", "aaaaab")
    group = np.array([0, 1, 0, -1, 1, 0])
    grouped = summarise_groups(answers, group, 3)
    for index in range(3):
        masked = summarise(answers, group == index)
        for name in METRICS:
            np.testing.assert_equal(grouped[index][name], masked[name])


def test_a_paired_difference_is_surer_than_its_two_parts() -> None:
    generator = np.random.default_rng(0)
    rank = generator.integers(1, 12, 400).astype(float)
    better = np.where(generator.random(400) < 0.3, np.maximum(rank - 1, 1), rank)
    a, b = (handmade(ranks.tolist(), "a" * 400, "a" * 400) for ranks in (better, rank))
    difference = paired_difference(a, b, "mrr")
    assert difference.value == pytest.approx(summarise(a)["mrr"].value - summarise(b)["mrr"].value)
    assert 0 < difference.low < difference.value < difference.high
    single = summarise(a)["mrr"]
    assert difference.high - difference.low < 0.5 * (single.high - single.low)


@pytest.mark.parametrize("metric", list(METRICS))
def test_a_predictor_does_not_differ_from_itself(metric: str) -> None:
    a = handmade([1, 2, 3, INF], "abcd", "aaaa", distance=[0, 5, 6, 7])
    difference = paired_difference(a, a, metric)
    assert (difference.value, difference.low, difference.high) == (0, 0, 0)
    nothing = paired_difference(a, a, metric, mask=np.zeros(4, bool))
    assert nothing.n == 0 and np.isnan(nothing.value)


def test_differences_need_the_same_samples_and_a_known_metric() -> None:
    a, b = handmade([1, 2], "ab", "aa"), handmade([1], "a", "a")
    with pytest.raises(MobiscopeError, match="same samples"):
        paired_difference(a, b, "mrr")
    with pytest.raises(MobiscopeError, match="no metric `accuracy`"):
        paired_difference(a, a, "accuracy")


def test_values_are_shown_with_their_unit() -> None:
    assert METRICS["acc@1"].show(0.2054) == "20.54 %"
    assert METRICS["distance_mean_m"].show(287.4) == "287 m" and METRICS["distance_mean_m"].show(1287.4) == "1.29 km"
    assert METRICS["mrr"].show(np.nan) == METRICS["mrr"].show(None) == "–"
