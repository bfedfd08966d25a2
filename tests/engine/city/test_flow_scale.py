"""The scale of flows: logarithm and bins from training cells, worked by hand."""

import numpy as np
import pytest

from engine.city.flow_scale import FlowScale
from engine.errors import CityError, ConfigError


def test_z_is_the_standardised_log_of_one_plus_trips():
    """Trips e^1-1 and e^3-1 have logs 1 and 3: mean 2, spread 1, so z is -1 and 1."""
    flows = np.expm1(np.array([[1.0, 3.0]]))
    scale = FlowScale.fit(flows, bins=4)
    assert (scale.mean, scale.spread) == pytest.approx((2, 1))
    assert scale.to_z(flows) == pytest.approx(np.array([[-1, 1]]))
    assert scale.from_z(np.array([-1.0, 0, 1])) == pytest.approx(np.expm1([1, 2, 3]))


def test_equal_bins_span_the_training_percentiles_and_are_open_outside():
    """Logs 0 to 1 evenly: edges run from the 0.1th to the 99.9th percentile in equal steps; far values fall into the outer bins."""
    flows = np.expm1(np.linspace(0, 1, 10_001))[None]
    scale = FlowScale.fit(flows, bins=10)
    edges = np.asarray(scale.edges) * scale.spread + scale.mean
    assert edges == pytest.approx(np.linspace(0.001, 0.999, 11))
    assert scale.to_bins(np.array([0.0, np.expm1(0.5), 1e9, np.nan])).tolist() == [0, 5, 9, -1]
    assert scale.bins_of_z(np.asarray(scale.edges)).tolist() == [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9]


def test_quantile_bins_hold_equal_shares():
    """A skewed sample in four quantile bins: a quarter in each."""
    flows = np.random.default_rng(0).lognormal(3, 1, (100, 24))
    counts = np.bincount(FlowScale.fit(flows, 4, "quantile").to_bins(flows).ravel())
    assert counts == pytest.approx(np.full(4, 600), abs=2)


def test_nothing_but_the_given_cells_matters():
    """NaN rows (other parts) change neither statistics nor edges."""
    flows = np.random.default_rng(1).lognormal(3, 1, (50, 24))
    assert FlowScale.fit(flows) == FlowScale.fit(np.vstack([flows, np.full((5, 24), np.nan)]))


@pytest.mark.parametrize("value", [0.0, 7.0])
def test_constant_flows_have_a_scale_without_division_by_zero(value):
    """All flows equal: spread 1, every z 0, ten proper bins and the way back is exact."""
    flows = np.full((5, 24), value)
    for kind in ("equal", "quantile"):
        scale = FlowScale.fit(flows, 10, kind)
        assert scale.spread == 1 and scale.bins == 10 and np.all(np.diff(scale.edges) > 0)
        assert scale.to_z(flows) == pytest.approx(0, abs=1e-12) and scale.from_z(scale.to_z(flows)) == pytest.approx(flows)


def test_absurd_predictions_stay_finite_and_never_negative():
    """z of plus or minus a million is a finite number of trips, at least 0."""
    scale = FlowScale.fit(np.array([[1.0, 10, 100]]))
    trips = scale.from_z(np.array([-1e6, 1e6]))
    assert np.isfinite(trips).all() and trips[0] == 0


def test_json_round_trip():
    """What is saved comes back equal."""
    scale = FlowScale.fit(np.array([[1.0, 10, 100]]))
    assert FlowScale.from_json(scale.to_json()) == scale


def test_refusals_are_worded():
    """Negative flows, no known flow and one bin are refused with the reason."""
    with pytest.raises(CityError, match="counted from 0"):
        FlowScale.fit(np.array([[-1.0, 2]]))
    with pytest.raises(CityError, match="known flow"):
        FlowScale.fit(np.array([[np.nan]]))
    with pytest.raises(ConfigError, match="two bins"):
        FlowScale.fit(np.ones((2, 2)), bins=1)
