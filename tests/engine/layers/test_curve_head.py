"""The curve head: bins, read-outs and intervals against numbers made by hand."""

import numpy as np
import pytest
import torch

from engine.city.flow_scale import FlowScale
from engine.layers.curve_head import CurveHead
from engine.probes import Probe

FLOW = np.random.default_rng(0).lognormal(3, 1, (60, 24)).astype(np.float32)


@pytest.fixture
def head():
    return CurveHead(8, FlowScale.fit(FLOW), FLOW).eval()


def test_z_bins_and_trips_are_those_of_the_shared_scale(head):
    scale = FlowScale.fit(FLOW)
    flow = torch.from_numpy(FLOW)
    z = head.standardise(flow)
    np.testing.assert_allclose(z, scale.to_z(FLOW), atol=1e-5)
    np.testing.assert_allclose(head.trips(z), FLOW, rtol=1e-3)
    assert (head.bin_of(z).numpy() == scale.to_bins(FLOW)).mean() > 0.999  # float32 against float64 on an edge
    assert head.bin_of(torch.tensor([-99.0, 99.0])).tolist() == [0, 9]


def test_a_certain_bin_is_read_as_its_middle(head):
    probability = torch.zeros(1, 24, 10)
    probability[..., 6] = 1
    z = probability @ head.centres
    torch.testing.assert_close(z, head.centres[6].expand(1, 24))
    low, high = head.interval(z, probability)
    torch.testing.assert_close(
        low, head.trips(head.edges[6] + 0.1 * (head.edges[7] - head.edges[6])).expand(1, 24), rtol=1e-4, atol=1e-3
    )
    torch.testing.assert_close(
        high, head.trips(head.edges[6] + 0.9 * (head.edges[7] - head.edges[6])).expand(1, 24), rtol=1e-4, atol=1e-3
    )


def test_the_published_read_out_understates_the_mean_and_the_expected_flow_does_not(head):
    """Half the mass in a low bin, half in a high one: exp of the mean log lies far below the mean of the flows."""
    probability = torch.zeros(1, 24, 10)
    probability[..., 2] = probability[..., 8] = 0.5
    z = probability @ head.centres
    expected = (head.trips(head.centres[2]) + head.trips(head.centres[8])) / 2
    torch.testing.assert_close(head.flow(z, probability, "mean"), expected.expand(1, 24))
    assert (head.flow(z, probability, "median") < 0.7 * expected).all()


def test_the_expected_flow_follows_the_offsets_of_bins():
    """Without them nothing above the middle of the highest bin could ever be answered."""
    torch.manual_seed(0)
    head, steps = CurveHead(8, FlowScale.fit(FLOW), FLOW, offsets=True).eval(), torch.randn(2, 24, 8)
    head.out.bias.data[-1] = 30.0  # the highest bin, surely
    z, probability, _ = head(steps)
    ceiling = float(head.trips(head.centres[-1]))
    assert head.flow(z, probability, "mean").max().item() == pytest.approx(ceiling, rel=1e-4)
    head.offset.bias.data += 0.5
    z, probability, _ = head(steps)
    assert head.flow(z, probability, "mean").min() > 1.05 * ceiling
    torch.testing.assert_close(head.flow(z, probability, "mean"), head.flow(z, probability, "median"), rtol=1e-3, atol=1e-3)


def test_the_smear_factor_makes_the_totals_of_training_cells_right(head):
    probability = torch.softmax(torch.randn(60, 24, 10), -1)
    flow = torch.from_numpy(FLOW).clone()
    flow[0, 0] = torch.nan
    z = probability @ head.centres
    head.calibrate_mean(z, probability, flow)
    known = torch.isfinite(flow)
    torch.testing.assert_close(head.flow(z, probability, "mean")[known].sum(), flow[known].sum(), rtol=1e-4, atol=1.0)


def test_the_interval_covers_validation_cells_at_the_asked_rate_however_wrong_the_bins_are(head):
    probability = torch.softmax(5 * torch.randn(60, 24, 10, generator=torch.Generator().manual_seed(0)), -1)
    z, target = probability @ head.centres, head.standardise(torch.from_numpy(FLOW))
    head.calibrate_interval(z, probability, target)
    low, high = head.interval(z, probability)
    inside = (torch.from_numpy(FLOW) >= low) & (torch.from_numpy(FLOW) <= high)
    assert inside.float().mean().item() == pytest.approx(0.8, abs=0.01)
    assert (low <= high).all() and (low >= 0).all()


def test_bins_state_what_validation_cells_bear_out_and_the_curve_stays(head):
    """Logits three times too large: truth was drawn from the probabilities, the head claims sharper ones."""
    generator = torch.Generator().manual_seed(0)
    honest = torch.randn(400, 24, 10, generator=generator)
    true = torch.multinomial(honest.softmax(-1).flatten(0, 1), 1, generator=generator).reshape(400, 24)
    target = head.centres[true]
    target[0, 0] = torch.nan
    claimed = (3 * honest).log_softmax(-1)
    z = claimed.exp() @ head.centres
    head.calibrate_bins(claimed, target)
    assert head.temperature.item() == pytest.approx(3, rel=0.05)
    torch.testing.assert_close(head.stated(claimed.exp()), honest.softmax(-1), atol=0.02, rtol=0)
    torch.testing.assert_close(head.flow(z, claimed.exp(), "median"), head.trips(z))


def test_a_temperature_stays_within_reason_and_needs_a_known_hour(head):
    certain = torch.full((1, 24, 10), -50.0)
    certain[..., 3] = 0.0
    head.calibrate_bins(certain, torch.full((1, 24), torch.nan))
    assert head.temperature.item() == 1
    head.calibrate_bins(certain, head.centres[7].expand(1, 24))
    assert head.temperature.item() == pytest.approx(8, rel=0.01)
    stated = head.stated(certain.exp())
    assert torch.isfinite(stated).all() and stated.argmax(-1).eq(3).all()


def test_hours_without_a_known_flow_do_not_count(head):
    z = torch.zeros(2, 24)
    log_probability = torch.full((2, 24, 10), 0.1).log()
    target = torch.full((2, 24), torch.nan)
    target[0, 5] = 2.0
    terms = head.losses(z, log_probability, target)
    assert terms["regression"].item() == pytest.approx(4.0)
    assert terms["classification"].item() == pytest.approx(np.log(10), rel=1e-5)


def test_a_regression_head_has_no_bins_and_its_interval_comes_from_validation_errors():
    head = CurveHead(8, FlowScale.fit(FLOW), FLOW, "regression").eval()
    z, probability, log_probability = head(torch.randn(3, 24, 8))
    assert z.shape == (3, 24) and probability is None and log_probability is None
    assert [name for name, module in head.named_children() if isinstance(module, Probe)] == ["level"]
    head.calibrate_interval(z, None, z + 0.5)
    low, high = head.interval(z, None)
    torch.testing.assert_close(head.standardise(high) - z, torch.full((3, 24), 0.5), atol=1e-3, rtol=0)
    assert (low < high).all()


def test_equal_flows_everywhere_still_give_a_head_that_answers_them():
    flow = np.full((5, 24), 7.0, np.float32)
    head = CurveHead(8, FlowScale.fit(flow), flow).eval()
    z, probability, _ = head(torch.randn(2, 24, 8))
    assert torch.isfinite(head.flow(z, probability, "median")).all()


def test_a_regression_head_answers_within_what_training_ever_had():
    head = CurveHead(8, FlowScale.fit(FLOW), FLOW, kind="regression")
    head.out.bias.data.fill_(1e3)
    assert head(torch.zeros(2, 24, 8))[0].min() > 900, "free while training"
    head.eval()
    highest = head.flow(head(torch.zeros(2, 24, 8))[0], None, "median").detach()
    head.out.bias.data.fill_(-1e3)
    lowest = head.flow(head(torch.zeros(2, 24, 8))[0], None, "median").detach()
    assert (float(highest.max()), float(lowest.min())) == pytest.approx((FLOW.max(), FLOW.min()), rel=1e-3)
