"""Hand-worked routing: loads, entropies, agreement with known groups and its chance level, stability of people."""

import numpy as np
import pytest

from engine.evaluation import routing

LN2 = np.log(2)


def test_load_is_the_share_of_all_weight_and_dead_is_less_than_one_percent() -> None:
    weights = np.array([[1.0, 0, 0, 0], [0.5, 0.48, 0.02, 0], [1.0, 0, 0, 0]])
    share = routing.load(weights)
    np.testing.assert_allclose(share, np.array([2.5, 0.48, 0.02, 0]) / 3)
    assert routing.dead(share).tolist() == [False, False, True, True]
    assert routing.asked(weights).tolist() == pytest.approx([1, 1 / 3, 1 / 3, 0])
    assert routing.active(weights).tolist() == [1, 3, 1]


def test_entropy_of_one_two_and_no_expert() -> None:
    np.testing.assert_allclose(routing.entropy(np.array([[1, 0], [0.5, 0.5], [0.2, 0.2], [0, 0]])), [0, LN2, LN2, 0], atol=1e-12)


def test_a_router_that_alternates_surely_is_fully_specialised_and_a_constant_one_not_at_all() -> None:
    sure = routing.specialisation(np.array([[1.0, 0], [0, 1.0]]))
    assert (sure.per_row, sure.overall, sure.even) == pytest.approx((0, LN2, LN2)) and sure.specialisation == pytest.approx(LN2)
    flat = routing.specialisation(np.full((5, 2), 0.5))
    assert flat.per_row == pytest.approx(LN2) and flat.specialisation == pytest.approx(0)
    collapsed = routing.specialisation(np.tile([1.0, 0], (5, 1)))
    assert collapsed.overall == pytest.approx(0) and collapsed.specialisation == pytest.approx(0)


def test_mutual_information_of_the_same_and_of_independent_groups() -> None:
    assert routing.normalised_mutual_information(np.diag([3.0, 5, 2])) == pytest.approx(1)
    assert routing.normalised_mutual_information(np.outer([1.0, 2], [3, 4])) == pytest.approx(0, abs=1e-12)
    assert routing.normalised_mutual_information(np.array([[4.0, 6]])) == 0, "one group tells nothing"


def test_mutual_information_by_hand() -> None:
    # Two of four rows agree perfectly; the rest is split evenly: H = ln 2 each, joint (1/2, 1/4, 1/4).
    table = np.array([[2.0, 0], [1, 1]])
    first, second = LN2, -(0.75 * np.log(0.75) + 0.25 * np.log(0.25))
    joint = 0.5 * LN2 + 2 * 0.25 * np.log(4)
    assert routing.normalised_mutual_information(table) == pytest.approx((first + second - joint) / ((first + second) / 2))


def test_cramers_v_of_a_table_worked_by_hand() -> None:
    # Expected are 7.5 and 2.5 in both rows: chi-square 2 * 6.25 / 7.5 + 2 * 6.25 / 2.5 = 20 / 3 over 20 rows.
    assert routing.cramers_v(np.array([[10, 0], [5, 5]])) == pytest.approx(np.sqrt(20 / 3 / 20))
    assert routing.cramers_v(np.diag([4, 4, 4])) == pytest.approx(1)
    assert routing.cramers_v(np.array([[4, 4]])) == 0


def test_groups_are_counted_in_sorted_order() -> None:
    assert routing.contingency(np.array(["b", "a", "b"]), np.array([7, 7, 3])).tolist() == [[0, 1], [1, 1]]


def test_agreement_with_the_truth_stands_far_above_chance_and_nonsense_does_not() -> None:
    generator = np.random.default_rng(0)
    roles = generator.integers(0, 4, 120)
    found = routing.agreement(roles, roles, permutations=100)
    assert found.information == pytest.approx(1) and found.z > 10 and found.is_verified
    nonsense = routing.agreement(generator.integers(0, 4, 120), roles, permutations=100)
    assert abs(nonsense.z) < 3 and not nonsense.is_verified
    assert found.chance == pytest.approx(nonsense.chance, abs=0.02) and found.chance > 0, "few rows agree a little by chance"


def test_rows_of_one_person_do_not_count_as_independent() -> None:
    # Ten people with 50 rows each, every person with an expert of their own and a role drawn by a coin: rows say
    # "significant", people do not.
    generator = np.random.default_rng(3)
    person = np.repeat(np.arange(10), 50)
    expert, role = person, generator.integers(0, 2, 10)[person]
    by_rows = routing.agreement(expert, role, permutations=100)
    by_people = routing.agreement(expert, role, unit=person, permutations=100)
    assert by_rows.z > 10 and by_people.units == 10
    assert not by_people.z > 3


def test_one_expert_against_the_rest_is_the_correlation_with_its_best_group() -> None:
    # Expert 1 leads 3 of 4 bakers and 1 of 6 others: (10 * 3 - 4 * 4) / sqrt(4 * 6 * 4 * 6) = 14 / 24.
    dominant = np.array([1, 1, 1, 0, 0, 0, 0, 0, 0, 1])
    trade = np.array(["baker"] * 4 + ["other"] * 6)
    companions = routing.agreement_by_expert(dominant, trade, 3, permutations=50, least=1)
    assert [found.group for found in companions] == ["other", "baker", ""], "the third leads nobody"
    assert companions[1].phi == pytest.approx(14 / 24) and 0 < companions[1].chance < 14 / 24
    assert np.isnan(companions[2].phi) and not companions[2].is_verified
    everybody = routing.agreement_by_expert(np.zeros(10, np.int64), trade, 2, permutations=50, least=1)
    assert [found.group for found in everybody] == ["", ""], "who leads everybody prefers nobody"


def test_a_set_may_agree_while_one_of_its_experts_does_not() -> None:
    # Two experts share bakers and drivers without a mistake; the third takes a tenth of each at random.
    generator = np.random.default_rng(5)
    trade = np.repeat(["baker", "driver"], 100)
    dominant = np.where(generator.random(200) < 0.1, 2, np.repeat([0, 1], 100))
    assert routing.agreement(dominant, trade, permutations=100).is_verified
    baker, driver, neither = routing.agreement_by_expert(dominant, trade, 3, permutations=100)
    assert (baker.group, driver.group) == ("baker", "driver") and baker.is_verified and driver.is_verified
    assert not neither.is_verified and neither.z < 3


def test_a_group_of_few_is_no_companion() -> None:
    trade = np.array(["baker"] * 3 + ["driver"] * 20 + ["other"] * 20)
    dominant = np.array([0] * 3 + [1] * 40)
    assert routing.agreement_by_expert(dominant, trade, 2, permutations=20)[0].group != "baker"
    assert routing.agreement_by_expert(dominant, trade, 2, permutations=20, least=3)[0].group == "baker"
    assert routing.agreement_by_expert(dominant[:3], trade[:3], 2, permutations=20)[0].group == ""


def test_the_best_of_many_groups_by_accident_is_seldom_taken_for_a_finding() -> None:
    generator = np.random.default_rng(7)
    trade = np.arange(320) % 16
    verified = [
        found.is_verified
        for draw in range(40)
        for found in routing.agreement_by_expert(generator.integers(0, 8, 320), trade, 8, permutations=100, seed=draw)
    ]
    assert np.mean(verified) < 0.03


def test_one_expert_against_the_rest_deals_among_people_too() -> None:
    # Every person has one expert and ten rows: over rows a coin's role agrees, over people it does not.
    generator = np.random.default_rng(3)
    person = np.repeat(np.arange(30), 10)
    expert, role = person % 3, generator.integers(0, 2, 30)[person]
    over_rows = routing.agreement_by_expert(expert, role, 3, permutations=100)
    over_people = routing.agreement_by_expert(expert, role, 3, unit=person, permutations=100)
    assert over_rows[0].phi == over_people[0].phi and over_people[0].chance > 2 * over_rows[0].chance
    assert not any(found.is_verified for found in over_people)


def test_the_chance_level_depends_on_the_seed_and_on_nothing_else() -> None:
    labels = np.arange(30) % 3
    one, again, other = (routing.agreement(labels[::-1], labels, seed=seed, permutations=20) for seed in (0, 0, 1))
    assert one == again and one.chance != other.chance


def test_weights_are_averaged_by_how_far_back_a_visit_is_where_there_is_one() -> None:
    raw = np.array([[[0, 0], [1.0, 0]], [[0.5, 0.5], [0, 1.0]], [[1.0, 0], [0, 1.0]]])  # the first question has one visit only
    used = np.where(raw == 0.5, 0.25, raw)
    means = routing.by_step(used, raw, least=2)
    assert means.n.tolist() == [2, 3]
    np.testing.assert_allclose(means.raw, [[0.75, 0.25], [1 / 3, 2 / 3]])
    np.testing.assert_allclose(means.used, [[0.625, 0.125], [1 / 3, 2 / 3]])
    np.testing.assert_allclose(means.entropy, [LN2 / 2, 0], atol=1e-12)
    np.testing.assert_allclose(means.asked, [1.5, 1])
    assert routing.by_step(used, raw, least=3).n.tolist() == [3], "two questions are too few"
    assert routing.by_step(used[:1], raw[:1]).n.tolist() == [1], "of one question its own visits are shown"


def test_the_profile_is_by_local_weekday_and_hour() -> None:
    weights = np.array([[1.0, 0], [0, 1.0], [0.5, 0.5]])
    means, count = routing.profile(weights, np.array([8, 8, 20]), np.array([0, 0, 6]))
    np.testing.assert_allclose(means[0, 8], [0.5, 0.5])
    np.testing.assert_allclose(means[6, 20], [0.5, 0.5])
    assert count[0, 8] == 2 and count.sum() == 3 and np.isnan(means[1, 1]).all()


def test_people_who_keep_their_roles_are_recognised() -> None:
    own = np.eye(3)
    user = np.repeat(np.arange(3), 8)
    steady = routing.stability(own[user], user, 4, least=6)
    np.testing.assert_allclose(steady.cosine[:3], 1)
    assert np.isnan(steady.cosine[3]), "the fourth person has no row"
    assert steady.others == pytest.approx(0) and steady.recognised == 1 and steady.people == 3
    halves = np.tile([0, 0, 0, 0, 1, 1, 1, 1], 3)
    fickle = routing.stability(own[halves], user, 3)
    np.testing.assert_allclose(fickle.cosine, 0, atol=1e-12)
    assert routing.stability(own[user], user, 3, least=9).people == 0


def test_experts_are_compared_by_the_angle_of_their_vectors() -> None:
    found = routing.cosine_similarity(np.array([[1.0, 0], [2, 0], [0, 3], [0, 0]]))
    np.testing.assert_allclose(found[:3, :3], [[1, 1, 0], [1, 1, 0], [0, 0, 1]], atol=1e-12)
    np.testing.assert_allclose(found[3], 0)


def test_an_expert_answers_for_what_it_is_asked_more_than_elsewhere() -> None:
    weights = np.array([[0.8, 0.2], [0.6, 0.4], [0.1, 0.9], [0.1, 0.9], [1.0, 0.0]])
    table = routing.answers_for(weights, 0, np.array(["park", "park", "office", "office", "zoo"]), least=2)
    assert table["label"].tolist() == ["park", "office"], "the zoo was visited once"
    np.testing.assert_allclose(table["weight"], [0.7, 0.1])
    np.testing.assert_allclose(table["lift"], [0.7 / 0.52, 0.1 / 0.52])
    np.testing.assert_allclose(table["share"], [1.4 / 2.6, 0.2 / 2.6])


def test_no_rows_are_no_accident() -> None:
    none = np.zeros((0, 3))
    assert routing.load(none).tolist() == [0, 0, 0] and routing.asked(none).tolist() == [0, 0, 0]
    assert np.isnan(routing.specialisation(none).per_row)
    assert routing.answers_for(none, 0, np.zeros(0)).empty
