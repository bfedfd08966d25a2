"""A view is made once for the same places on the same device, and the oldest of many is forgotten."""

from dataclasses import replace

import pytest
import torch

from engine.city.samples import Places
from engine.models.place_views import PlaceViews

CPU = torch.device("cpu")


@pytest.fixture
def places(tiny_city) -> Places:
    return Places.of(tiny_city)


def test_a_view_is_made_once_for_an_object_and_a_device(places) -> None:
    views: PlaceViews[object] = PlaceViews()
    first = views.of(places, CPU, object)
    assert views.of(places, CPU, object) is first
    assert views.of(places, torch.device("meta"), object) is not first, "its tensors lie elsewhere"
    assert views.of(replace(places), CPU, object) is not first, "equal places are not compared, which would take long"


def test_the_last_four_are_kept(places) -> None:
    views: PlaceViews[object] = PlaceViews()
    others = [replace(places) for _ in range(4)]
    first, *_, last = [views.of(one, CPU, object) for one in (places, *others)]
    assert views.of(others[-1], CPU, object) is last
    assert views.of(places, CPU, object) is not first
