"""Hours, bins and other mechanisms of a grid model overridden, and how sure its network is of a change."""

import numpy as np
import pytest

from engine.scenarios.apply import mechanism_of
from engine.scenarios.cell_compare import (
    compare_curves,
    effect_on_curves,
    thinned_changes,
)
from engine.scenarios.cell_edits import (
    DropModality,
)
from engine.scenarios.edits import OverrideProbe, TakeHour
from engine.scenarios.mechanisms import actions_of
from engine.scenarios.scenario import Scenario
from tests.engine.scenarios.cells.conftest import ids


def test_hours_that_change_places_change_places_in_every_curve_and_nothing_else(grounds):
    """Nothing but its vector tells the network which hour it is: 08 h and 18 h are exchanged, up to rounding."""
    found = compare_curves(grounds.encoder, grounds, Scenario(edits=(TakeHour(hour=8, as_hour=18, both_ways=True),)))
    exchanged = found.before.copy()
    exchanged[:, [8, 18]] = found.before[:, [18, 8]]
    np.testing.assert_allclose(found.after, exchanged, rtol=1e-4)
    assert np.abs(found.before[:, 8] / found.before[:, 18] - 1).max() > 1e-3, "else nothing is tested"


def test_an_hour_taken_for_another_is_answered_alike_and_the_others_notice(grounds, forest):
    """08 h gets the trips of 18 h; other hours look at it too, so they move; a baseline has no vector to take."""
    edit = TakeHour(hour=8, as_hour=18)
    found = compare_curves(grounds.encoder, grounds, Scenario(edits=(edit,)))
    np.testing.assert_allclose(found.after[:, 8], found.after[:, 18], rtol=1e-5)
    assert (np.delete(found.change, [8, 18], axis=1) != 0).any()
    assert effect_on_curves(edit, grounds.encoder, grounds.city).needs == "forward"
    assert effect_on_curves(edit, forest, grounds.city).needs == "nothing"


def test_without_vectors_of_hours_every_hour_of_a_cell_is_answered_alike(grounds):
    for action, amount in (("scale", 0.0), ("average", None)):
        edit = OverrideProbe(probe="hourly.hour_vector", action=action, amount=amount)
        found = compare_curves(grounds.encoder, grounds, Scenario(edits=(edit,))).after
        np.testing.assert_allclose(found, np.broadcast_to(found[:, :1], found.shape), rtol=1e-4)


def test_a_bin_that_is_forced_is_answered_everywhere_and_one_silenced_nowhere(grounds):
    """Forced, a bin is certain in every cell and hour, under the name of its trips; silenced, it is ruled out."""
    model, probe = grounds.encoder, "head.probability"
    names = model.entry_names(probe)
    edges = model.head.trips(model.head.edges).numpy()
    assert len(names) == 6 and float(names[2].split()[0]) == pytest.approx(edges[2], rel=5e-3)
    for action, wanted in (("force", 1.0), ("silence", 0.0)):
        edit = OverrideProbe(probe=probe, action=action, index=2, entry=names[2])
        with mechanism_of(Scenario(edits=(edit,)), model):
            answer = model.predict_curves(grounds.inputs, grounds.cells)
        np.testing.assert_allclose(answer.bin_probability[..., 2], wanted, atol=1e-6)
        np.testing.assert_allclose(answer.bin_probability.sum(axis=2), 1, atol=1e-5)
    forced = Scenario(edits=(OverrideProbe(probe=probe, action="force", index=2),))
    flow = compare_curves(model, grounds, forced).after
    assert (flow > edges[1]).all() and (flow < edges[4]).all(), "the bin, moved by its width at most"


def test_every_action_on_every_probe_of_a_grid_run_gives_curves(grounds):
    """Whatever the form offers: curves stay finite within their intervals, and change, but for weights that are alike untrained."""
    plain = compare_curves(grounds.encoder, grounds, Scenario()).before
    idle = set()
    for name, probe in grounds.encoder.probes().items():
        for action in actions_of(probe):
            amount = None if action.amount is None else action.amount[2] / 2
            edit = OverrideProbe(probe=name, action=action.name, index=1 if action.needs_index else None, amount=amount)
            found = compare_curves(grounds.encoder, grounds, Scenario(edits=(edit,)))
            assert np.isfinite(found.band).all() and (found.band[..., 0] >= 0).all(), edit
            assert (found.band[..., 0] <= found.after).all() and (found.after <= found.band[..., 1]).all(), edit
            if np.array_equal(found.after, plain):
                idle.add((name, action.name))
    assert idle == {("fusion.weight", "flatten")}


def test_thinned_networks_disagree_about_a_change_where_there_is_one_and_nowhere_else(grounds, forest):
    """Each draw thins the network alike before and after, so cells out of reach change in no draw by a single bit."""
    scenario = Scenario(edits=(DropModality(modality="poi", cell_id=ids(grounds)[0]),))
    comparison = compare_curves(grounds.encoder, grounds, scenario)
    draws = thinned_changes(grounds.encoder, grounds, scenario, draws=4)
    assert draws.shape == (4, len(grounds.cells), 24)
    assert not draws[:, ~comparison.changed].any()
    assert (draws[:, comparison.changed].std(axis=0) > 0).any(axis=1).all()
    assert np.array_equal(draws, thinned_changes(grounds.encoder, grounds, scenario, draws=4))
    assert np.array_equal(compare_curves(grounds.encoder, grounds, scenario).after, comparison.after), "nothing is left thinned"
    assert thinned_changes(forest, grounds, scenario) is None
