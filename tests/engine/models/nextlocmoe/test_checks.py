"""The failure detectors of NextLocMoE."""

import numpy as np
import pytest
import torch

from tests.engine.models.nextlocmoe.conftest import tiny


def detected(model, data):
    return {warned.name: warned for warned in model.diagnose(data)}


def test_functions_that_see_one_diagonal_are_found(data):
    """As published they start as functions of x + y; with directions of their own they do not."""
    name = "functions see one diagonal"
    published = detected(tiny(data, published_function_start=True), data)[name]
    assert published.fired and published.value == pytest.approx(1, abs=1e-3)
    assert not detected(tiny(data), data)[name].fired
    assert name not in detected(tiny(data, function_experts=False), data)


def test_points_more_than_three_cells_from_any_place_are_found(data):
    name, model = "points far from any place", tiny(data)
    assert not detected(model, data)[name].fired
    with torch.no_grad():
        model.head.locate.weight.mul_(1_000 / model.frame.unit)
        near = detected(model, data)[name]
        model.head.locate.weight.mul_(100)
        far = detected(model, data)[name]
    assert near.threshold == far.threshold == 1_500 and near.value < 1_500 < far.value and far.fired and not near.fired


def test_a_stay_that_gives_the_answer_away_is_found_where_stays_are_read(data):
    """The latest visit's stay, and nothing else, says which place is next: all is lost when it is hidden."""
    name = "the last duration gives the answer away"
    assert name not in detected(tiny(data), data)
    told = tiny(data, mask_last_duration=False)
    assert not detected(told, data)[name].fired
    predict = told.predict

    def gifted(histories):
        answer = predict(histories)
        known = np.isfinite(histories.duration_minutes[histories.last])
        answer.log_probability[known, histories.target[known]] = 0.0
        return answer

    told.predict = gifted
    assert detected(told, data)[name].fired
