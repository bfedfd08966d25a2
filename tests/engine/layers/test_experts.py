"""One shared feed-forward and low-rank terms are the eleven copies they stand for."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from engine.layers.experts import LowRankExperts, MixtureInPlace, RoleMixture, RoutingContext, during
from engine.layers.routing import Choice
from engine.probes import override, watch
from tests.engine.threads import in_another_thread

WIDTH, HIDDEN, EXPERTS = 24, 40, 11


class FeedForward(nn.Module):
    def __init__(self, bias=False):
        super().__init__()
        self.gate_proj, self.up_proj = nn.Linear(WIDTH, HIDDEN, bias=bias), nn.Linear(WIDTH, HIDDEN, bias=bias)
        self.down_proj, self.act_fn = nn.Linear(HIDDEN, WIDTH, bias=bias), nn.SiLU()

    def forward(self, x):
        return self.down_proj(self.act_fn(self.gate_proj(x)) * self.up_proj(x))


def copies(experts, base):
    """A whole feed-forward per expert, its three matrices updated."""
    made = []
    for expert in range(EXPERTS):
        copy = FeedForward(bias=base.down_proj.bias is not None)
        copy.load_state_dict(base.state_dict())
        with torch.no_grad():
            for name in ("gate", "up", "down"):
                update = getattr(experts, f"{name}_in")[expert] @ getattr(experts, f"{name}_out")[expert] * experts.scale
                getattr(copy, f"{name}_proj").weight += update.T
        made.append(copy)
    return made


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("mode", ["dense", "top_p", "topk"])
def test_shared_base_equals_eleven_deep_copies(mode, bias):
    """To 1e-5 relative in float32, whatever the choice, with weights that do not sum to one as well."""
    torch.manual_seed(0)
    base, experts = FeedForward(bias), LowRankExperts(EXPERTS, WIDTH, HIDDEN, 4, 8.0, spread=0.5)
    tokens = torch.randn(60, WIDTH)
    for renormalise in (True, False):
        weights = Choice(mode, renormalise=renormalise)(torch.randn(60, EXPERTS).mul(1.5).softmax(-1))
        wanted = sum(weights[:, k, None] * copy(tokens) for k, copy in enumerate(copies(experts, base)))
        found = experts(tokens, weights, base)
        assert float(((found - wanted).norm() / wanted.norm()).detach()) < 1e-5
        assert not torch.allclose(found, base(tokens), atol=1e-2), "experts that change nothing would test nothing"


def test_gradients_are_those_of_the_copies():
    torch.manual_seed(0)
    base, experts = FeedForward(), LowRankExperts(EXPERTS, WIDTH, HIDDEN, 4, 8.0, spread=0.5)
    tokens, weights = torch.randn(20, WIDTH), torch.randn(20, EXPERTS).softmax(-1)
    shared = torch.autograd.grad(
        experts(tokens, weights, base).square().sum(), [experts.gate_in, experts.down_out, base.down_proj.weight]
    )
    updates = []
    for k in range(EXPERTS):
        gate, up, down = (
            getattr(base, f"{name}_proj").weight.T
            + getattr(experts, f"{name}_in")[k] @ getattr(experts, f"{name}_out")[k] * experts.scale
            for name in ("gate", "up", "down")
        )
        updates.append(weights[:, k, None] * ((F.silu(tokens @ gate) * (tokens @ up)) @ down))
    wanted = torch.autograd.grad(sum(updates).square().sum(), [experts.gate_in, experts.down_out, base.down_proj.weight])
    for one, other in zip(shared, wanted, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)


def test_experts_start_alike_as_published_unless_told_to_differ():
    base, tokens = FeedForward(), torch.randn(5, WIDTH)
    alike = LowRankExperts(EXPERTS, WIDTH, HIDDEN, 4, 4.0)
    one_hot = torch.eye(EXPERTS)
    answers = [alike(tokens, row.expand(5, -1), base) for row in one_hot]
    assert all(torch.allclose(answer, base(tokens), atol=1e-6) for answer in answers)
    differing = LowRankExperts(EXPERTS, WIDTH, HIDDEN, 4, 4.0, spread=0.1)
    assert not torch.allclose(differing(tokens, one_hot[0].expand(5, -1), base), differing(tokens, one_hot[1].expand(5, -1), base))


def test_likeness_is_the_inner_product_of_the_full_updates():
    torch.manual_seed(0)
    experts = LowRankExperts(3, WIDTH, HIDDEN, 2, 4.0, spread=0.5)
    full = []
    for k in range(3):
        parts = [getattr(experts, f"{n}_in")[k] @ getattr(experts, f"{n}_out")[k] * experts.scale for n in ("gate", "up", "down")]
        full.append(torch.cat([part.flatten() for part in parts]))
    torch.testing.assert_close(experts.likeness(), torch.stack(full) @ torch.stack(full).T, rtol=1e-4, atol=1e-4)


def test_the_low_rank_terms_are_small_beside_the_copies():
    """At the shape of Llama-3.2-3B, rank 16: under 5 % of what ten more copies would take."""
    copies_cost = 10 * 3 * 3072 * 8192
    terms = 11 * 16 * 3 * (3072 + 8192)
    with torch.device("meta"):
        experts = LowRankExperts(11, 3072, 8192, 16, 16.0)
    assert sum(value.numel() for value in experts.parameters()) == terms
    assert terms < 0.05 * copies_cost


@pytest.fixture
def mixture():
    torch.manual_seed(0)
    return RoleMixture(EXPERTS, WIDTH, HIDDEN, 7, 9, 16, "simple", 4, 4.0, 0.0, 0.3), FeedForward()


def context(samples=3, tokens=6, choice=None, padded=2):
    real = torch.ones(samples, tokens, dtype=torch.bool)
    real[0, :padded] = False
    return RoutingContext(torch.randn(samples, 7), real, 1, torch.randn(EXPERTS, 9), choice or Choice())


def test_padded_tokens_are_asked_nothing_and_shown_as_zeros(mixture):
    roles, base = mixture
    given = context()
    tokens = torch.randn(3, 6, WIDTH)
    with watch(roles) as seen:
        answer = roles(tokens, base, given)
    assert (answer[0, :2] == 0).all() and (answer[0, 2:] != 0).any()
    raw, used = seen["raw"][0].to_numpy(), seen["routing"][0].to_numpy()
    assert raw.shape == (3, 5, EXPERTS), "the prefix token is not shown"
    assert (raw[0, :1] == 0).all() and raw[1:].sum(-1) == pytest.approx(1, abs=1e-5)
    assert ((used > 0) <= (raw > 0)).all() and ((used > 0).sum(-1) <= 5).all()
    assert given.weights[0].shape == (16, EXPERTS), "18 tokens, two of them padded"


def test_forcing_an_expert_is_that_expert_alone_and_silencing_it_shares_its_weight(mixture):
    roles, base = mixture
    tokens, given = torch.randn(3, 6, WIDTH), context()
    one = torch.zeros(EXPERTS)
    one[4] = 1.0
    with override(roles, {"routing": lambda value: one.expand_as(value).clone()}):
        forced = roles(tokens, base, given)
    alone = copies(roles.experts, base)[4](tokens)
    torch.testing.assert_close(forced[1:, 1:], alone[1:, 1:], rtol=1e-4, atol=1e-5)
    with watch(roles, "routing") as seen, override(roles, {"raw": lambda value: value * (1 - one)}):
        roles(tokens, base, given)
    silenced = seen["routing"][0].to_numpy()
    assert (silenced[..., 4] == 0).all() and silenced[1:].sum(-1) == pytest.approx(1, abs=1e-5)


def test_a_mixture_in_place_registers_only_the_feed_forward(mixture):
    roles, base = mixture
    stand_in = MixtureInPlace(base, roles)
    assert all(name.startswith("base.") for name, _ in stand_in.named_parameters())
    given, tokens = context(), torch.randn(3, 6, WIDTH)
    with during(given):
        torch.testing.assert_close(stand_in(tokens), roles(tokens, base, given))
        with pytest.raises(AssertionError, match="outside"):
            in_another_thread(lambda: stand_in(tokens))
    with pytest.raises(AssertionError, match="outside"):
        stand_in(tokens)
