"""From a point on the map to places: the nearest ones, ties by popularity (NextLocMoE §8)."""

import numpy as np
from scipy.spatial import cKDTree


class PlaceRetrieval:
    """A KD-tree over the places of a city.

    Args:
        metres: (location, 2) float64.
        popularity: (location,) among places at the very same spot the more popular comes first, then the earlier in the table.
    """

    def __init__(self, metres: np.ndarray, popularity: np.ndarray) -> None:
        self.metres = np.asarray(metres, np.float64)
        spots, self.spot = np.unique(self.metres, axis=0, return_inverse=True)
        order = np.lexsort((np.arange(len(self.metres)), -np.asarray(popularity), self.spot))
        first = np.r_[0, np.cumsum(np.bincount(self.spot, minlength=len(spots)))[:-1]]
        self.turn = np.empty(len(order), np.int64)
        """(location,) 0 for the place named first at its spot, 1 for the next, ..."""
        self.turn[order] = np.arange(len(order)) - first[self.spot[order]]
        self._order, self._first, self._tree = order, first, cKDTree(spots)
        self._count = np.bincount(self.spot, minlength=len(spots))

    def nearest(self, points: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
        """The nearest places of points.

        Args:
            points: (point, 2) metres.
            count: How many; all where the city has fewer.

        Returns:
            (point, count) int64 places, nearest first, and (point, count) float64 metres.
        """
        count = min(count, len(self.metres))
        spots = min(count, len(self._count))  # every spot holds a place, so so many spots suffice
        distance, spot = self._tree.query(np.asarray(points, np.float64), k=spots)
        distance, spot = distance.reshape(len(points), spots), spot.reshape(len(points), spots)
        places, metres = np.empty((len(points), count), np.int64), np.empty((len(points), count))
        for row in range(len(points)):
            held = self._count[spot[row]]
            which = np.repeat(self._first[spot[row]], held) + np.concatenate([np.arange(size) for size in held])
            places[row], metres[row] = self._order[which[:count]], np.repeat(distance[row], held)[:count]
        return places, metres
