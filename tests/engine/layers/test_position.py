"""The grid code resolves what its radii say, and refuses radii of the wrong unit."""

import numpy as np
import pytest
import torch

from engine.errors import ConfigError
from engine.layers.position import GridPositions, sinusoidal_positions


def test_code_is_sine_and_cosine_of_every_scale_per_axis():
    """Radii 1 and 100; the point (1, 0) gives sin(1), cos(1), sin(.01), cos(.01) and 0, 1, 0, 1 for the axis that is zero."""
    code = GridPositions(2, 1.0, 100.0)(torch.tensor([[1.0, 0.0]]))
    np.testing.assert_allclose(code[0], [np.sin(1), np.cos(1), np.sin(0.01), np.cos(0.01), 0, 1, 0, 1], atol=1e-6)


def test_default_radii_tell_neighbours_apart_and_published_ones_do_not():
    """100 m apart: cosine 0.92 with radii from 50 m to 20 km, 0.9997 with 0.01 to 10 degrees; 500 m: 0.993 (New York)."""
    metres = GridPositions(32, 50.0, 20_000.0)
    degrees = GridPositions(32, 0.01, 10.0, "degree")
    assert float(metres.kernel(torch.tensor([100.0]))[0]) == pytest.approx(0.92, abs=0.01)
    published = degrees.kernel(torch.tensor([100.0, 500.0]), latitude=40.7)
    assert float(published[0]) == pytest.approx(0.9997, abs=2e-4)
    assert float(published[1]) == pytest.approx(0.993, abs=1.5e-3)


def test_kernel_is_the_cosine_of_codes():
    positions = GridPositions(16, 30.0, 5_000.0)
    here, there = positions(torch.tensor([[120.0, -40.0], [420.0, -40.0]]))
    cosine = float(torch.nn.functional.cosine_similarity(here, there, dim=0))
    assert float(positions.kernel(torch.tensor([300.0]))[0]) == pytest.approx(cosine, abs=1e-5)


def test_radii_keep_their_precision_wherever_the_module_is():
    """Degrees that are not centred go through thousands of radians; a device may know no float64."""
    positions = GridPositions(4, 0.01, 10.0, "degree")
    assert not list(positions.buffers()) and not positions.state_dict()
    xy, radii = np.array([[116.4, 39.9]]), np.geomspace(0.01, 10.0, 4)
    phase = xy[0][:, None] / radii
    expected = np.stack([np.sin(phase), np.cos(phase)], axis=-1).ravel()
    np.testing.assert_allclose(positions.to(torch.float32)(torch.from_numpy(xy))[0], expected, atol=1e-7)


def test_code_has_a_gradient_by_position():
    xy = torch.zeros(1, 2, requires_grad=True)
    GridPositions(4, 50.0, 1_000.0)(xy).sum().backward()
    assert xy.grad is not None and (xy.grad != 0).all()


@pytest.mark.parametrize(
    ("smallest", "largest", "unit", "sentence"),
    [
        (100.0, 50.0, "metre", "below the largest"),
        (50.0, 20_000.0, "degree", "around the globe"),
        (0.01, 10.0, "metre", "are these degrees"),
    ],
)
def test_radii_of_the_wrong_unit_are_refused(smallest, largest, unit, sentence):
    with pytest.raises(ConfigError, match=sentence):
        GridPositions(4, smallest, largest, unit)


def test_sequence_code_starts_with_sine_zero_and_cosine_one():
    code = sinusoidal_positions(5, 6)
    assert code.shape == (5, 6)
    np.testing.assert_allclose(code[0], [0, 1, 0, 1, 0, 1])
    np.testing.assert_allclose(code[1, :2], [np.sin(1), np.cos(1)], atol=1e-6)
