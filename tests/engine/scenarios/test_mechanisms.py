"""What an override makes of the weights that pass through a probe."""

import pytest
import torch

from engine.errors import ScenarioError
from engine.models.declarations import ExpertSet, Knob
from engine.probes import Probe
from engine.scenarios.apply import mechanism_of
from engine.scenarios.edits import OverrideProbe, TakeHour, TurnKnob
from engine.scenarios.mechanisms import ACTIONS, build_override, in_words
from engine.scenarios.scenario import Scenario
from tests.engine.scenarios.test_last_visit import Dial

ROUTING = Probe("routing", ("sample", "expert"), "who is asked")
WEIGHTS = torch.tensor([[0.5, 0.3, 0.2], [0.0, 1.0, 0.0]])


def change(action: str, probe: Probe = ROUTING, **settings) -> torch.Tensor:
    return build_override(OverrideProbe(probe="routing", action=action, **settings), probe)(WEIGHTS)


def test_a_silenced_expert_leaves_its_weight_to_the_others() -> None:
    assert torch.allclose(change("silence", index=0), torch.tensor([[0.0, 0.6, 0.4], [0.0, 1.0, 0.0]]))


def test_a_forced_expert_is_the_only_one() -> None:
    assert torch.equal(change("force", index=2), torch.tensor([[0.0, 0.0, 1.0], [0.0, 0.0, 1.0]]))


def test_a_dose_keeps_rows_at_one() -> None:
    dosed = change("dose", index=2, amount=0.6)
    assert torch.allclose(dosed[:, 2], torch.tensor([0.6, 0.6])) and torch.allclose(dosed.sum(-1), torch.ones(2))


def test_rows_keep_their_sum_and_padded_rows_stay_silent() -> None:
    weights = torch.tensor([[0.4, 0.2, 0.0], [0.0, 0.0, 0.0]])
    for action, amount in (("force", None), ("dose", 0.5), ("silence", None)):
        changed = build_override(OverrideProbe(probe="routing", action=action, index=1, amount=amount), ROUTING)(weights)
        assert torch.allclose(changed.sum(-1), torch.tensor([0.6, 0.0])), action


def test_flat_attention_keeps_to_what_could_be_looked_at() -> None:
    probe = Probe("attention", ("sample", "step"), "looked at")
    assert torch.allclose(change("flatten", probe), torch.tensor([[1 / 3, 1 / 3, 1 / 3], [0.0, 1.0, 0.0]]))


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        ({"action": "explode"}, "cannot be done"),
        ({"action": "silence"}, "needs an index"),
        ({"action": "dose", "index": 0, "amount": 3.0}, "amount from 0 to 1"),
    ],
)
def test_an_override_that_does_not_fit_says_why(edit: dict, words: str) -> None:
    with pytest.raises(ScenarioError, match=words):
        build_override(OverrideProbe(probe="routing", **edit), ROUTING)


def test_probabilities_of_bins_are_shared_out_like_weights_of_experts() -> None:
    bins = Probe("curve", ("cell", "bin"), "how probable each bin is")
    assert torch.equal(change("force", bins, index=1), torch.tensor([[0.0, 1.0, 0.0], [0.0, 1.0, 0.0]]))
    assert torch.allclose(change("dose", bins, index=0, amount=0.8), torch.tensor([[0.8, 0.12, 0.08], [0.8, 0.2, 0.0]]))
    with pytest.raises(ScenarioError, match="choose silence, force, dose, flatten"):
        change("scale", bins)
    assert torch.equal(change("scale", Probe("curve", ("cell", "hour"), "z"), amount=2.0), 2 * WEIGHTS)


def test_an_hour_taken_for_another_has_its_vector_and_two_may_change_places() -> None:
    """Of 24 rows the eighth becomes the eighteenth, and the other way round where that is asked; a model without hours says so."""
    model, rows = Dial(), torch.arange(24.0)[:, None]
    edit = TakeHour(hour=8, as_hour=18)
    with (
        pytest.raises(ScenarioError, match="To read 08 h as if it were 18 h a model needs a vector for each hour"),
        mechanism_of(Scenario(edits=(edit,)), model),
    ):
        pass
    model.hours = Probe("embedding", ("hour", "feature"), "the hours")
    for both_ways, expected in ((False, 18.0), (True, 8.0)):
        asked = Scenario(edits=(edit.model_copy(update={"both_ways": both_ways}),))
        with mechanism_of(Scenario.from_json(asked.to_json()), model):
            taken = model.hours(rows)[:, 0]
        assert taken[[8, 18]].tolist() == [18.0, expected] and (taken != rows[:, 0]).sum() == 1 + both_ways
    assert edit.model_copy(update={"both_ways": True}).describe() == "let 08 h and 18 h change places"


def test_an_expert_that_is_not_there_is_named() -> None:
    with pytest.raises(ScenarioError, match="none with index 7"):
        change("silence", index=7)


def test_edits_of_one_probe_act_one_after_another() -> None:
    """Two experts silenced leave all to the third; a dose after a silence shares out what the silence left."""
    model = Dial()
    model.routing, model.other = (Probe("routing", ("sample", "expert"), "who is asked") for _ in range(2))

    def answer(*edits: OverrideProbe) -> tuple[torch.Tensor, torch.Tensor]:
        with mechanism_of(Scenario(edits=edits), model):
            return model.routing(WEIGHTS[:1]), model.other(WEIGHTS[:1])

    silenced = [OverrideProbe(probe="routing", action="silence", index=index) for index in (0, 1)]
    other = OverrideProbe(probe="other", action="force", index=1)
    first, second = answer(silenced[0], other, silenced[1])
    assert torch.allclose(first, torch.tensor([[0.0, 0.0, 1.0]])) and torch.equal(second, torch.tensor([[0.0, 1.0, 0.0]]))
    dose = OverrideProbe(probe="routing", action="dose", index=1, amount=0.5)
    assert torch.allclose(answer(silenced[0], dose)[0], torch.tensor([[0.0, 0.5, 0.5]]))
    assert torch.allclose(answer(dose, silenced[0])[0], torch.tensor([[0.0, 7 / 9, 2 / 9]])), "the order is that of the edits"


class Trio(Dial):
    """A model with three experts, in the order of a file."""

    def __init__(self, *names: str) -> None:
        super().__init__()
        self.routing, self.names = Probe("routing", ("sample", "expert"), "who is asked"), names

    def experts(self) -> dict[str, ExpertSet]:
        return {"roles": ExpertSet("Roles", "routing", "routing", self.names, self.names, "latest", False, "One of three.")}


def test_phrases_call_settings_and_probes_what_the_model_calls_them() -> None:
    knobs = {"mode": Knob("Choice of roles", "How they are chosen.", "topk", ("topk", "dense"))}
    probes = {"roles.routing": Probe("routing", ("sample", "expert"), "Weight of each role; zero for others.")}
    silent = OverrideProbe(probe="roles.routing", action="silence", index=1, entry="nurse")
    assert in_words(TurnKnob(knob="mode", value="dense"), probes, knobs) == "turn “Choice of roles” to dense"
    assert in_words(silent, probes, knobs) == "let “nurse” count for nothing in “Weight of each role (roles.routing)”"
    assert in_words(silent, {}, {}) == "let “nurse” count for nothing in roles.routing"
    gate = OverrideProbe(probe="gate", action="force", amount=0.25)
    assert gate.describe() == "set gate to 0.25"
    for action in {action.name for actions in ACTIONS.values() for action in actions}:
        assert not OverrideProbe(probe="gate", action=action, index=0).describe().startswith(f"{action} gate"), "told in words"


FORCED = OverrideProbe(probe="routing", action="force", index=1, entry="student")


def asked(model: Dial, edit: OverrideProbe = FORCED) -> torch.Tensor:
    with mechanism_of(Scenario.from_json(Scenario(edits=(edit,)).to_json()), model):
        return model.routing(WEIGHTS[:1])


def test_an_expert_is_overridden_under_its_name_only() -> None:
    alone = torch.tensor([[0.0, 1.0, 0.0]])
    assert torch.equal(asked(Trio("teacher", "student", "clerk")), alone)
    nameless = FORCED.model_copy(update={"entry": ""})
    assert torch.equal(asked(Trio("clerk", "teacher", "student"), nameless), alone), "as files did before they held names"
    assert FORCED.describe() == "let only “student” count in routing"
    assert nameless.describe() == "let only number 1 count in routing"
    assert Scenario(edits=(FORCED,)).digest == Scenario(edits=(nameless,)).digest


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (("student", "teacher", "clerk"), "made for “student” at position 1; in this run that is 0"),
        (("teacher", "nurse"), "this run has teacher, nurse there"),
        (("teacher",), "this run has teacher there"),
        ((), "what this run of Dial has there bears no names"),
    ],
)
def test_an_expert_of_another_name_is_not_overridden_in_its_place(names, words) -> None:
    with pytest.raises(ScenarioError, match=words):
        asked(Trio(*names))
    assert not Trio(*names).routing.is_watched
