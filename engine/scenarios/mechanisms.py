"""Overrides of a mechanism: what may be done to a probe of each kind."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from engine.errors import ScenarioError
from engine.models.declarations import Knob
from engine.probes import Kind, Probe
from engine.scenarios.edit_base import Edit
from engine.scenarios.edits import OverrideProbe, TakeHour, TurnKnob


@dataclass(frozen=True)
class Action:
    """Something that can be done to what passes through a probe."""

    name: str
    meaning: str
    needs_index: bool = False
    amount: tuple[float, float, float] | None = None  # lowest, default, highest


_ZERO = Action("silence all", "replaced by zeros: the mechanism says nothing")
_SCALE = Action("scale", "multiplied by the amount", amount=(0.0, 1.0, 3.0))

ACTIONS: dict[Kind, tuple[Action, ...]] = {
    "attention": (
        Action("flatten", "everything that could be looked at gets the same weight"),
        Action("sharpen", "only what is looked at most counts"),
    ),
    "gate": (Action("force", "set to the amount for everyone", amount=(0.0, 0.5, 1.0)),),
    "embedding": (_ZERO, _SCALE, Action("average", "everyone gets the mean of the batch: differences are gone")),
    "routing": (
        Action("silence", "this one counts for nothing; the others share its weight", needs_index=True),
        Action("force", "only this one counts", needs_index=True),
        Action("dose", "this one gets the amount, the others share the rest", needs_index=True, amount=(0.0, 0.5, 1.0)),
        Action("flatten", "all count alike"),
    ),
    "similarity": (_ZERO, _SCALE),
    "curve": (_SCALE,),
    "graph": (Action("flatten", "every neighbour gets the same weight"), _ZERO),
    "token path": (),
}


def actions_of(probe: Probe) -> tuple[Action, ...]:
    """What may be done to a probe: what fits its kind; probabilities of bins are shared out like weights of experts."""
    return ACTIONS["routing" if probe.axes[-1] == "bin" else probe.kind]


def probe_title(name: str, probe: Probe) -> str:
    """What passes through a probe, in words, and behind it the name that scripts need."""
    return f"{probe.meaning.split(';')[0].rstrip('.')} ({name})"


def in_words(edit: Edit, probes: Mapping[str, Probe], knobs: Mapping[str, Knob]) -> str:
    """An edit as a phrase that calls settings and probes what the model calls them, where it has them.

    Args:
        edit: Any edit.
        probes: Of the model that answers.
        knobs: Likewise.
    """
    if isinstance(edit, TurnKnob) and edit.knob in knobs:
        return edit.describe(knobs[edit.knob].title)
    if isinstance(edit, OverrideProbe) and edit.probe in probes:
        return edit.describe(f"“{probe_title(edit.probe, probes[edit.probe])}”")
    return edit.describe()


def build_override(edit: OverrideProbe, probe: Probe) -> Callable[[Tensor], Tensor]:
    """The function that an override edit puts into a probe.

    Raises:
        ScenarioError: If the action does not fit the probe, or lacks its index or amount.
    """
    offered = {action.name: action for action in actions_of(probe)}
    if edit.action not in offered:
        raise ScenarioError(
            f"`{edit.action}` cannot be done to `{edit.probe}`, which is {probe.kind}; choose {', '.join(offered) or 'nothing'}."
        )
    action = offered[edit.action]
    if action.needs_index and edit.index is None:
        raise ScenarioError(f"`{edit.action}` on `{edit.probe}` needs an index on the axis `{probe.axes[-1]}`.")
    lowest, default, highest = action.amount or (0.0, 0.0, 0.0)
    amount = default if edit.amount is None else edit.amount
    if action.amount and not lowest <= amount <= highest:
        raise ScenarioError(f"`{edit.action}` on `{edit.probe}` takes an amount from {lowest:g} to {highest:g}, not {amount:g}.")
    return lambda value: _change(value, edit.action, edit.index, amount, edit.probe)


def check_entry(edit: OverrideProbe, names: Sequence[str], title: str) -> None:
    """Refuses to override what is called otherwise here than where the edit was made: it would be another expert.

    Args:
        edit: The edit; one without a name for its entry fits everywhere.
        names: What the entries of the probe's last axis are called, in their order; empty where they have no names.
        title: Of the model.

    Raises:
        ScenarioError: If another entry stands at the position, or none of that name.
    """
    if not edit.entry or (edit.index is not None and edit.index < len(names) and names[edit.index] == edit.entry):
        return
    if edit.entry in names:
        found = f"in this run that is {names.index(edit.entry)}"
    else:
        found = f"this run has {', '.join(names)} there" if names else f"what this run of {title} has there bears no names"
    raise ScenarioError(
        f"`{edit.action}` on `{edit.probe}` was made for “{edit.entry}” at position {edit.index}; {found}. "
        "Take the edit out and make it again for this run."
    )


def build_overrides(
    edits: Iterable[OverrideProbe | TakeHour], probes: Mapping[str, Probe]
) -> dict[str, Callable[[Tensor], Tensor]]:
    """Probe name to what the edits put there; of several edits of one probe each acts on what the one before it left.

    Raises:
        ScenarioError: As `build_override`; if an hour is edited where no probe has a vector for each.
    """
    steps: dict[str, list[Callable[[Tensor], Tensor]]] = {}
    for edit in edits:
        if isinstance(edit, TakeHour):
            hourly = [name for name, probe in probes.items() if probe.axes == ("hour", "feature")]
            if not hourly:
                raise ScenarioError(f"To {edit.describe()} a model needs a vector for each hour of the day; this one has none.")
            for name in hourly:
                steps.setdefault(name, []).append(partial(_taken, edit))
        else:
            steps.setdefault(edit.probe, []).append(build_override(edit, probes[edit.probe]))
    return {name: partial(_in_turn, tuple(changes)) for name, changes in steps.items()}


def _taken(edit: TakeHour, vectors: Tensor) -> Tensor:
    """(hour, feature) with one hour's vector in the place of another's."""
    changed = vectors.clone()
    changed[edit.hour] = vectors[edit.as_hour]
    if edit.both_ways:
        changed[edit.as_hour] = vectors[edit.hour]
    return changed


def _in_turn(changes: tuple[Callable[[Tensor], Tensor], ...], value: Tensor) -> Tensor:
    for change in changes:
        value = change(value)
    return value


def _change(value: Tensor, action: str, index: int | None, amount: float, probe: str) -> Tensor:
    if index is not None and index >= value.shape[-1]:
        raise ScenarioError(f"`{probe}` has {value.shape[-1]} entries on its last axis; there is none with index {index}.")
    chosen = torch.zeros_like(value)
    if index is not None:
        chosen[..., index] = 1.0
    match action:
        case "silence all":
            return torch.zeros_like(value)
        case "scale":
            return value * amount
        case "average":
            return value.mean(dim=0, keepdim=True).expand_as(value).clone()
        case "flatten":
            allowed = (value > 0).to(value.dtype)
            return allowed / allowed.sum(dim=-1, keepdim=True).clamp_min(1.0)
        case "sharpen":
            return torch.zeros_like(value).scatter(-1, value.argmax(dim=-1, keepdim=True), 1.0) * (value.sum(-1, keepdim=True) > 0)
        # Rows keep their sum: weights that were never made to sum to one would otherwise grow, and padded rows would begin to speak.
        case "silence":
            return _renormalised(value * (1 - chosen)) * value.sum(dim=-1, keepdim=True)
        case "dose":
            others = _renormalised(value * (1 - chosen))
            return (chosen * amount + others * (1 - amount)) * value.sum(dim=-1, keepdim=True)
        case "force" if index is None:
            return torch.full_like(value, amount)
        case "force":
            return chosen * value.sum(dim=-1, keepdim=True)
    raise ScenarioError(f"`{action}` on `{probe}` is declared but not built.")


def _renormalised(weights: Tensor) -> Tensor:
    total = weights.sum(dim=-1, keepdim=True)
    return torch.where(total > 0, weights / total.clamp_min(1e-12), weights)
