"""How a model sees the places it was asked about lately, so that a view is not made anew for every question."""

from collections.abc import Callable
from typing import Generic, TypeVar

import torch

from engine.city.samples import Places

View = TypeVar("View")
_MOST = 4


class PlaceViews(Generic[View]):
    """The views of the last few `Places` objects, which never change, each on the device it was made for."""

    def __init__(self) -> None:
        self._kept: tuple[tuple[Places, torch.device, View], ...] = ()

    def of(self, places: Places, device: torch.device, make: Callable[[], View]) -> View:
        """The view of these places, made if it is not kept.

        Args:
            places: Compared as an object.
            device: Where the model computes.
            make: Makes the view.
        """
        for known, where, view in self._kept:
            if known is places and where == device:
                return view
        view = make()
        # A new tuple: other threads may be reading the old one.
        self._kept = (*self._kept[1 - _MOST :], (places, device, view))
        return view
