"""What NextLocMoE reads of a history: padding, durations, and that nothing later is seen."""

from dataclasses import replace

import numpy as np
import torch

from engine.models.nextlocmoe_config import NextLocMoEConfig
from engine.models.nextlocmoe_training import current_targets
from engine.models.nextlocmoe_windows import Window, normalised_hours, visit_hours
from tests.engine.models.nextlocmoe.conftest import assert_probabilities, packed, tiny


def test_a_window_is_padded_on_the_left_and_ends_with_the_latest_visit(data):
    places = data.samples.log.places
    config = NextLocMoEConfig.preset("tiny")
    window = Window.of(packed(places, [3, 1, 2]), config)
    assert window.location.tolist() == [[0, 0, 3, 1, 2]] and window.real.tolist() == [[False, False, True, True, True]]
    assert window.hour.tolist() == [[0, 0, 8, 9, 10]]


def test_visits_before_the_window_do_not_matter(model, data):
    """45 visits are read; the 46th from the end is not, the 45th is."""
    places = data.samples.log.places
    visits = list(np.arange(60) % 7)
    whole = model.predict(packed(places, visits)).log_probability
    older, oldest_read = visits.copy(), visits.copy()
    older[14] = 80
    oldest_read[15] = 80
    np.testing.assert_allclose(model.predict(packed(places, older)).log_probability, whole, atol=1e-6)
    assert not np.allclose(model.predict(packed(places, oldest_read)).log_probability, whole, atol=1e-6)


def test_leaving_a_visit_out_pulls_no_older_one_in(data):
    """Three visits are read: they alone have effects, whatever was visited before them."""
    from engine.scenarios.attribution import leave_one_out

    model, places = tiny(data, history_visits=2, current_visits=1, head="pointer"), data.samples.log.places
    assert model.longest_history == 3
    found = leave_one_out(model, packed(places, [9, 8, 7, 3, 4, 5]))
    other = leave_one_out(model, packed(places, [1, 2, 6, 3, 4, 5]))
    assert len(found.effect) == 3 and found.place == other.place
    np.testing.assert_array_equal(found.effect, other.effect)


def test_hours_until_the_next_visit_and_of_the_visit_before(data):
    """Visits at 8, 9 and 10 h that lasted 30 minutes each; nobody knows when the one after the last comes."""
    given = packed(data.samples.log.places, [0, 1, 2], stay=30.0)
    own, before = visit_hours(given, "gap")
    assert own.tolist() == [1.0, 1.0, 0.5]
    np.testing.assert_array_equal(before, [np.nan, 1.0, 1.0])
    assert visit_hours(given, "stay")[0].tolist() == [0.5, 0.5, 0.5]
    unknown = visit_hours(packed(data.samples.log.places, [0, 1, 2]), "stay")[0]
    np.testing.assert_array_equal(unknown, [1.0, 1.0, np.nan])


def test_zero_and_endless_durations_stay_in_range():
    assert normalised_hours(np.array([0.0, 0.1, 24.0, 1e6])).tolist() == [0.0, 0.0, 1.0, 1.0]


def test_no_current_visit_tells_when_the_next_one_comes(data):
    """With running durations hidden, the stay at the latest place cannot matter; shown, it does."""
    places = data.samples.log.places
    for hidden in (True, False):
        model = tiny(data, mask_last_duration=hidden)
        short, long = (model.predict(packed(places, [0, 1, 2], stay=minutes)).log_probability for minutes in (10.0, 600.0))
        assert np.allclose(short, long, atol=1e-7) == hidden


def test_visits_in_the_same_minute_and_a_history_of_one_visit(model, data):
    places = data.samples.log.places
    assert_probabilities(model.predict(packed(places, [4, 4, 4], minutes_apart=0)).log_probability)
    assert_probabilities(model.predict(packed(places, [4])).log_probability)


def test_a_current_visit_does_not_see_what_comes_after_it(model, data):
    """States of the first current visits stay when the latest visit changes; else training would read its answers."""
    places = data.samples.log.places
    first, second = (model.read(packed(places, [*range(20), last])).states.detach() for last in (30, 60))
    torch.testing.assert_close(first[:, :-1], second[:, :-1], atol=1e-6, rtol=0)
    assert not torch.allclose(first[:, -1], second[:, -1], atol=1e-4)


def test_current_visits_are_asked_for_the_visit_right_after_them(data):
    """Windows whose targets are visits 50 and 90 of the log; the second has two current visits only."""
    samples = replace(data.samples, start=np.array([40, 88]), target=np.array([50, 90]))
    real = np.array([[True, True, True], [False, True, True]])
    (sample, column), visit = current_targets(real, samples, dense=True)
    assert list(zip(sample, column, visit, strict=True)) == [(0, 0, 48), (0, 1, 49), (0, 2, 50), (1, 1, 89), (1, 2, 90)]
    (sample, column), visit = current_targets(real, samples, dense=False)
    assert list(zip(sample, column, visit, strict=True)) == [(0, 2, 50), (1, 2, 90)]
