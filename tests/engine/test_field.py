"""The field of a hand-made encoder: similarity falls with distance, colours repeat where vectors do."""

import numpy as np
import pytest

from engine.city.city import project
from engine.errors import MobiscopeError
from engine.field import change_per_metre, false_colour, kernel_curve, sample_field, similarity_to


def waves(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Unit vectors that turn once per 2π kilometres eastwards and northwards; cosine is (cos dx + cos dy) / 2."""
    return np.stack([np.cos(x / 1000), np.sin(x / 1000), np.cos(y / 1000), np.sin(y / 1000)], axis=1) / np.sqrt(2)


def test_the_raster_covers_the_city_with_north_on_top(tiny_city) -> None:
    raster = sample_field(lambda x, y: np.stack([x, y], axis=1), tiny_city, width=20)
    assert raster.vectors[0, 0, 1] > raster.vectors[-1, 0, 1] and raster.vectors[0, 0, 0] < raster.vectors[0, -1, 0]
    west, south, east, north = tiny_city.bounds
    assert raster.bounds[0] < west < east < raster.bounds[2] and raster.bounds[1] < south < north < raster.bounds[3]
    step = raster.vectors[0, 1, 0] - raster.vectors[0, 0, 0]
    assert step == pytest.approx(raster.metres_per_cell[0], rel=0.02)


def test_the_point_asked_for_is_the_most_similar(tiny_city) -> None:
    raster = sample_field(waves, tiny_city, width=40)
    middle = project(tiny_city, *np.mean(np.reshape(tiny_city.bounds, (2, 2)), axis=0))
    similar = similarity_to(raster, waves(np.array([middle[0]]), np.array([middle[1]]))[0])
    row, column = np.unravel_index(similar.argmax(), similar.shape)
    assert abs(row - similar.shape[0] / 2) < 2 and abs(column - 20) < 2


def test_a_field_that_turns_evenly_changes_evenly(tiny_city) -> None:
    change = change_per_metre(sample_field(waves, tiny_city, width=60))[2:-2, 2:-2]
    assert np.allclose(change, 1 / 1000, rtol=0.05)


def test_false_colours_lie_between_zero_and_one(tiny_city) -> None:
    colour = false_colour(sample_field(waves, tiny_city, width=20))
    assert colour.shape[-1] == 3 and colour.min() >= 0 and colour.max() <= 1


def test_the_kernel_curve_follows_the_encoder() -> None:
    random = np.random.default_rng(1)
    kernel = kernel_curve(waves, random.uniform(0, 20_000, 300), random.uniform(0, 20_000, 300))
    near = kernel.distance_m < 300
    assert kernel.similarity[0] == pytest.approx(1) and (kernel.similarity[near] > 0.95).all()
    assert abs(kernel.baseline) < 0.1 and 800 < kernel.learned_range_m < 2500


@pytest.mark.parametrize("seed", range(5))
def test_the_baseline_counts_no_place_with_itself(seed: int) -> None:
    """Five places whose vectors are at right angles: any two are as unlike as can be, whatever the seed."""
    x = np.arange(5) * 1000.0
    kernel = kernel_curve(lambda east, north: np.eye(5)[np.rint(east / 1000).astype(int) % 5], x, np.zeros(5), seed=seed)
    assert kernel.baseline == 0


def test_a_model_without_a_field_says_so(tiny_city) -> None:
    with pytest.raises(MobiscopeError, match="no field"):
        sample_field(lambda x, y: None, tiny_city)
