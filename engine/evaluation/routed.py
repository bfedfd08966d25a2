"""Collects who a model asked: the routing weights of its experts for many questions, and what is known of what they were asked about."""

import re
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from engine.city.city import City
from engine.city.samples import Samples, VisitLog
from engine.evaluation import routing
from engine.evaluation.routing import Agreement, Companion
from engine.models.base import NextLocationModel, Report
from engine.models.declarations import ExpertSet
from engine.probes import watch


@dataclass(frozen=True, eq=False)
class Routed:
    """The weights of one set of experts over some questions.

    Attributes:
        experts: The set.
        used: (question, step, expert) float32 weights as used; zero for experts that were not asked.
        raw: The same before the choice; rows sum to one, rows of padding to zero. Step -1 is the latest visit.
        inputs: (question, step, part) how much each part the router reads put into it; None where the set declares none.
    """

    experts: ExpertSet
    used: np.ndarray
    raw: np.ndarray
    inputs: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.raw)

    @property
    def latest(self) -> np.ndarray:
        """(question, expert) weights as used for the latest visit."""
        return self.used[:, -1]

    @property
    def latest_raw(self) -> np.ndarray:
        """(question, expert) weights before the choice for the latest visit."""
        return self.raw[:, -1]

    def latest_only(self) -> "Routed":
        """The latest visits' weights alone, the others' memory given back."""
        return Routed(self.experts, self.used[:, -1:].copy(), self.raw[:, -1:].copy())

    @property
    def dominant(self) -> np.ndarray:
        """(question,) expert with the largest weight before the choice, for the latest visit."""
        return self.latest_raw.argmax(axis=1)


def route(
    model: NextLocationModel,
    samples: Samples,
    chosen: np.ndarray,
    *,
    steps: int | None = None,
    chunk: int = 256,
    report: Report | None = None,
) -> dict[str, Routed]:
    """Asks a model and watches its routers.

    Args:
        model: Any model; one without experts gives an empty result and is not asked.
        samples: All samples.
        chosen: (question,) positions among them.
        steps: Most visits kept per question, from the latest back; default all that are routed.
        chunk: Questions at a time.
        report: Told the share done.

    Returns:
        By the keys of `model.experts()`.
    """
    sets = model.experts()
    if not sets or not len(chosen):
        return {}
    declared = (name for found in sets.values() for name in (found.routing, found.raw, found.inputs) if name)
    probes = list(dict.fromkeys(declared))
    parts: dict[str, list[np.ndarray]] = {name: [] for name in probes}
    with watch(model, *probes) as seen:
        for begin in range(0, len(chosen), chunk):
            if report:
                report("Watching the routers", begin / len(chosen))
            model.predict(samples.histories(chosen[begin : begin + chunk]))
            for name in probes:
                array = seen[name].pop().to_numpy()
                seen[name].clear()
                parts[name].append(array if steps is None else array[:, -steps:])
    joined = {name: _right_aligned(arrays) for name, arrays in parts.items()}
    return {key: Routed(found, joined[found.routing], joined[found.raw], joined.get(found.inputs)) for key, found in sets.items()}


def latest_visits(samples: Samples, chosen: np.ndarray) -> pd.DataFrame:
    """What the latest visit of each question was: index, user, location, hour, weekday (local), in the order of `chosen`.

    Args:
        samples: All samples.
        chosen: Positions among them.
    """
    log = samples.log
    last = samples.target[chosen] - 1
    return pd.DataFrame(
        {
            "index": chosen,
            "user": log.user[samples.target[chosen]],
            "location": log.location[last],
            "hour": log.minute[last] // 60,
            "weekday": log.weekday[last].astype(np.int64),
            "started_at": log.started_at[last],
        }
    )


_PARTS_OF_TOWN = (("south-west", "south", "south-east"), ("west", "middle", "east"), ("north-west", "north", "north-east"))


@dataclass(frozen=True, eq=False)
class Attribute:
    """Something known of people or places that an expert's name may or may not stand for.

    Attributes:
        title: Name on screen.
        subject: `user` or `location`: what it belongs to.
        label: Index on the axis `subject` -> its label; missing where unknown.
        is_truth: Whether it is the built-in city's own truth rather than a property of the data.
        meaning: One sentence.
    """

    title: str
    subject: str
    label: dict[int, str]
    is_truth: bool
    meaning: str

    @property
    def noun(self) -> str:
        """What it belongs to, in words, several of them."""
        return "people" if self.subject == "user" else "places"


def known_attributes(city: City, samples: Samples) -> list[Attribute]:
    """What a city knows of its people and places; a truth comes first where the city has one.

    Categories with a single place are left out: they agree with anything.
    """
    log, found = samples.log, []
    users = {str(user): row for row, user in enumerate(log.users)}
    places = log.places
    if city.has("truth"):
        truth = city.table("truth")
        for subject, column, title, index in (
            ("user", "role", "true role", users),
            ("location", "zone_function", "true function of the zone", {str(key): row for key, row in places.index.items()}),
        ):
            if column in truth:
                rows = truth[(truth["subject"] == subject) & truth[column].notna()]
                label = _labels(rows["subject_id"], rows[column], index.get)
                if len(set(label.values())) > 1:
                    found.append(Attribute(title, subject, label, True, f"Known because the city was made by a model: {title}."))
    locations = city.table("locations")
    position = places.index.get
    for column, title in (("parent_category", "kind of place"), ("category", "category")):
        if column in locations:
            labelled = locations[locations[column].fillna("") != ""]
            counts = labelled[column].value_counts()
            labelled = labelled[labelled[column].map(counts) > 1]
            label = _labels(labelled["location_id"], labelled[column], position)
            if len(set(label.values())) > 1:
                found.append(Attribute(title, "location", label, False, f"The {title} of each place, as the data have it."))
    where = _parts_of_town(log)
    if len(set(where.values())) > 1:
        meaning = "Where each place lies: thirds of the training visits from west to east and from south to north."
        found.append(Attribute("part of town", "location", where, False, meaning))
    return found


def _parts_of_town(log: VisitLog) -> dict[int, str]:
    """Experts of what places are for may divide the map instead: the part of the city of every place visited in training."""
    places, visited = log.places, np.flatnonzero(log.visits_in_training > 0)
    if not len(visited):
        return {}
    third = [
        np.searchsorted(np.quantile(np.repeat(axis[visited], log.visits_in_training[visited]), [1 / 3, 2 / 3]), axis[visited])
        for axis in (places.y, places.x)
    ]
    return {int(place): _PARTS_OF_TOWN[row][column] for place, row, column in zip(visited, *third, strict=True)}


@dataclass(frozen=True, eq=False)
class LabelCheck:
    """How one set of experts goes along with something known.

    Attributes:
        attribute: What is known.
        agreement: The figures of the whole set, over people or places.
        companions: Of each expert against the rest: the group it goes along with most.
        groups: Labels of the attribute, the most frequent first.
        share: (expert, group) share of the group's people or places whose dominant expert is this one.
        size: (group,) people or places.
    """

    attribute: Attribute
    agreement: Agreement
    companions: tuple[Companion, ...]
    groups: tuple[str, ...]
    share: np.ndarray
    size: np.ndarray


def check_labels(
    city: City, samples: Samples, visits: pd.DataFrame, weights: np.ndarray, permutations: int = 200
) -> list[LabelCheck]:
    """Compares the expert that dominates for each person or place with everything known of them.

    Args:
        city: Gives what is known.
        samples: All samples.
        visits: As from `latest_visits`.
        weights: (visit, expert) before the choice.
        permutations: Deals for the chance level, drawn by a fixed seed.

    Returns:
        One per attribute of `known_attributes` that at least two people or places with different labels have.
    """
    checks = []
    for attribute in known_attributes(city, samples):
        unit = visits[attribute.subject].to_numpy(np.int64)
        means, count = routing.mean_by(weights, unit, int(unit.max(initial=-1)) + 1)
        units = np.array([row for row in np.flatnonzero(count) if row in attribute.label], np.int64)
        labels = np.array([attribute.label[int(row)] for row in units], str)
        names, code, size = np.unique(labels, return_inverse=True, return_counts=True)
        if len(names) < 2:
            continue
        dominant = means[units].argmax(axis=1)
        table = np.zeros((weights.shape[1], len(names)))
        np.add.at(table, (dominant, code), 1)
        order = np.argsort(-size, kind="stable")
        found = routing.agreement(dominant, labels, permutations=permutations)
        companions = routing.agreement_by_expert(dominant, labels, weights.shape[1], permutations=permutations)
        groups = tuple(map(str, names[order]))
        checks.append(LabelCheck(attribute, found, tuple(companions), groups, (table / size)[:, order], size[order]))
    return checks


@dataclass(frozen=True)
class ExpertLabel:
    """What an expert is called, and what was measured of those it leads: a name is a hypothesis of whoever wrote it.

    Attributes:
        name: As its author wrote it.
        attribute: Title of what the expert was compared with; empty where nothing is known.
        companion: The group it goes along with most; None where nothing is known.
        share: Share of that group's people or places which the expert leads; NaN where there is no group.
        usual: Share of all people or places which it leads.
        size: People or places of the group.
        noun: Which of the two; empty where there is no group.
    """

    name: str
    attribute: str = ""
    companion: Companion | None = None
    share: float = float("nan")
    usual: float = float("nan")
    size: int = 0
    noun: str = ""

    @property
    def is_verified(self) -> bool:
        """Whether those it leads have something known in common, whatever its name says."""
        return self.companion is not None and self.companion.is_verified

    @property
    def bears_the_groups_name(self) -> bool:
        """Whether its name and the group's say the same: all words of the one are among those of the other."""
        own, known = (set(re.findall(r"\w+", text.casefold())) for text in (self.name, self.group))
        return bool(own and known and (own <= known or known <= own))

    @property
    def group(self) -> str:
        """The known group it goes along with most; empty where there is none."""
        return self.companion.group if self.companion else ""

    @property
    def mark(self) -> str:
        """✓ verified by a group of its own name, ≈ goes along with a group of another name, ? with none beyond chance."""
        return "?" if not self.is_verified else "✓" if self.bears_the_groups_name else "≈"

    def shown(self, limit: int = 24, in_full: bool = False) -> str:
        """The name as it is printed wherever people read it: never without its mark.

        Args:
            limit: Longest name, and longest group, shown.
            in_full: Whether the group follows the mark, where it is verified and called otherwise.
        """
        name, group = (text if len(text) <= limit else text[: limit - 1] + "…" for text in (self.name, self.group))
        follows = in_full and self.is_verified and self.group.casefold() != self.name.casefold()
        return f"{name} {self.mark}" + (f" {group}" if follows else "")


def label_experts(experts: ExpertSet, checks: list[LabelCheck]) -> tuple[ExpertLabel, ...]:
    """Every expert's name with the known group it goes along with most.

    Experts for people are compared with what is known of people, experts for places with what is known of places, where there is
    such a thing; of several attributes the one counts in which the expert stands furthest above chance, one that is clear before others.

    Args:
        experts: The set.
        checks: As from `check_labels` of its weights.
    """
    subject = "location" if experts.places else "user"
    fitting = [check for check in checks if check.attribute.subject == subject] or checks
    labels = []
    for expert, name in enumerate(experts.names):
        led = [(check.companions[expert], check) for check in fitting if check.companions[expert].group]
        if not led:
            labels.append(ExpertLabel(name, fitting[0].attribute.title if fitting else ""))
            continue
        # Beyond chance: many small groups agree a lot by chance alone.
        found, check = max(led, key=lambda pair: (pair[0].is_verified, pair[0].phi - pair[0].chance))
        column = check.groups.index(found.group)
        usual = float((check.share[expert] * check.size).sum() / check.size.sum())
        share, size = float(check.share[expert, column]), int(check.size[column])
        labels.append(ExpertLabel(name, check.attribute.title, found, share, usual, size, check.attribute.noun))
    return tuple(labels)


def _labels(ids: pd.Series, labels: pd.Series, index: Callable[[str], int | None]) -> dict[int, str]:
    pairs = ((index(str(key)), str(label)) for key, label in zip(ids, labels, strict=True))
    return {row: label for row, label in pairs if row is not None}


def _right_aligned(arrays: list[np.ndarray]) -> np.ndarray:
    """Arrays (question, step, ...) of several widths as one, padded with zeros on the left."""
    width = max(array.shape[1] for array in arrays)
    return np.concatenate([np.pad(array, ((0, 0), (width - array.shape[1], 0), (0, 0))) for array in arrays])
