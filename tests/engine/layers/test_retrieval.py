"""From a point to places: the nearest first, ties by popularity."""

import numpy as np

from engine.layers.retrieval import PlaceRetrieval

SPOTS = np.array([[0.0, 0.0], [10.0, 0.0], [10.0, 0.0], [30.0, 0.0], [10.0, 0.0]])


def test_nearest_places_come_in_order_of_distance_and_then_popularity():
    """Places 1, 2 and 4 share a spot; 4 is visited most, then 1 and 2 alike, in the order of the table."""
    tree = PlaceRetrieval(SPOTS, np.array([1, 5, 5, 1, 9]))
    places, metres = tree.nearest(np.array([[11.0, 0.0], [-1.0, 0.0]]), 4)
    assert places.tolist() == [[4, 1, 2, 0], [0, 4, 1, 2]]
    assert metres.tolist() == [[1, 1, 1, 11], [1, 11, 11, 11]]
    assert tree.turn.tolist() == [0, 1, 2, 0, 0]


def test_more_neighbours_than_places_gives_all_of_them():
    places, metres = PlaceRetrieval(SPOTS, np.zeros(5)).nearest(np.zeros((1, 2)), 50)
    assert sorted(places[0]) == [0, 1, 2, 3, 4] and metres.shape == (1, 5)


def test_a_city_of_one_place():
    places, metres = PlaceRetrieval(np.array([[5.0, 5.0]]), np.array([1.0])).nearest(np.array([[5.0, 8.0]]), 3)
    assert places.tolist() == [[0]] and metres.tolist() == [[3.0]]


def test_it_agrees_with_sorting_all_distances():
    generator = np.random.default_rng(0)
    metres, popularity = generator.integers(0, 12, (200, 2)).astype(float), generator.integers(0, 3, 200)
    tree, points = PlaceRetrieval(metres, popularity), generator.random((20, 2)) * 12
    places, _ = tree.nearest(points, 30)
    for point, found in zip(points, places, strict=True):
        apart = np.hypot(*(metres - point).T)
        wanted = np.lexsort((np.arange(200), -popularity, apart.round(9)))[:30]
        assert found.tolist() == wanted.tolist()
