"""Who a run's model asks: routing of one question and of many, what the labels agree with, what each expert does, another city."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import streamlit as st

from dashboard.cached.city_data import city
from dashboard.cached.question_data import steps_in_slice
from dashboard.cached.run_data import loaded_run, run_curves, weights_stamp
from engine import store

if TYPE_CHECKING:
    from engine.evaluation.routed import ExpertLabel, LabelCheck, Routed
    from engine.evaluation.routing import StepMeans
    from engine.evaluation.transfer import ZeroShot
    from engine.models.answers import PointAnswer
    from engine.models.declarations import ExpertSet

MOST_QUESTIONS = 1_500
"""Questions of a slice whose routing is watched; of a larger one, so many spread evenly."""
EFFECT_QUESTIONS = 60
"""Questions on which experts are forced and silenced."""

Group = tuple[str, str] | None


def expert_sets(run_id: str) -> "dict[str, ExpertSet]":
    """The sets of experts a run's model declares; empty for a model without."""
    model = loaded_run(run_id).model
    return model.experts() if hasattr(model, "experts") else {}


@dataclass(frozen=True, eq=False)
class Asked:
    """Routing over the questions of a slice.

    Attributes:
        run_id: The run.
        group: Name of the slice and of the group, None for all questions.
        visits: The latest visit of each question (`engine.evaluation.routed.latest_visits`) with step (of the person).
        routed: Set to its weights for these visits.
        steps: Set to the mean weights of the visits before them, too, by how far back they are.
        total: Questions of the slice; `visits` may be fewer.
    """

    run_id: str
    group: Group
    visits: pd.DataFrame
    routed: "dict[str, Routed]"
    steps: "dict[str, StepMeans]"
    total: int


@st.cache_resource(max_entries=4, show_spinner="Watching whom the model asks")
def _asked(run_id: str, home: str, stamp: int, group: Group) -> Asked:
    from engine.evaluation.routed import latest_visits, route
    from engine.evaluation.routing import by_step

    loaded = loaded_run(run_id)
    _, steps = steps_in_slice(run_id, group)
    rows = np.unique(np.linspace(0, len(steps) - 1, min(len(steps), MOST_QUESTIONS)).astype(np.int64))
    chosen = steps.iloc[rows]
    index = chosen["index"].to_numpy(np.int64)
    visits = latest_visits(loaded.data.samples, index).assign(step=chosen["step"].to_numpy(), when=chosen["when"].to_numpy())
    routed = route(loaded.model, loaded.data.samples, index)
    means = {key: by_step(found.used, found.raw) for key, found in routed.items()}
    return Asked(run_id, group, visits, {key: found.latest_only() for key, found in routed.items()}, means, len(steps))


def asked(run_id: str, group: Group) -> Asked:
    """Whom the model asks for the latest visits of a slice's questions; read-only. Not for an empty slice."""
    return _asked(run_id, str(store.home()), weights_stamp(run_id), group)


@dataclass(frozen=True, eq=False)
class AskedOnce:
    """Routing of one question.

    Attributes:
        run_id: The run.
        index: Position of the question among all samples.
        used, raw: Set to (step, expert) weights of the visits that were routed, oldest first, the last one the latest.
        inputs: Set to (step, part) of what its router read; without sets that declare none.
        point: Where the model points, None where it scores places without a point.
    """

    run_id: str
    index: int
    used: dict[str, np.ndarray]
    raw: dict[str, np.ndarray]
    inputs: dict[str, np.ndarray]
    point: "PointAnswer | None"


@st.cache_resource(max_entries=64, show_spinner=False)
def _asked_once(run_id: str, home: str, stamp: int, index: int) -> AskedOnce:
    from engine.evaluation.routed import route

    loaded = loaded_run(run_id)
    routed = route(loaded.model, loaded.data.samples, np.array([index]))
    used, raw, inputs = {}, {}, {}
    for key, found in routed.items():
        real = found.raw[0].sum(axis=-1) > 0
        used[key], raw[key] = found.used[0][real], found.raw[0][real]
        if found.inputs is not None:
            inputs[key] = found.inputs[0][real]
    return AskedOnce(run_id, index, used, raw, inputs, loaded.model.points(loaded.data.samples.histories(np.array([index]))))


def asked_once(run_id: str, index: int) -> AskedOnce:
    """Whom the model asks for one question; read-only."""
    return _asked_once(run_id, str(store.home()), weights_stamp(run_id), index)


@st.cache_resource(max_entries=12, show_spinner="Comparing labels with what is known")
def _label_checks(run_id: str, home: str, stamp: int, group: Group, key: str) -> "list[LabelCheck]":
    from engine.evaluation.routed import check_labels

    loaded, over = loaded_run(run_id), asked(run_id, group)
    return check_labels(loaded.data.city, loaded.data.samples, over.visits, over.routed[key].latest_raw)


def label_checks(run_id: str, group: Group, key: str) -> "list[LabelCheck]":
    """What the labels of a set agree with, over the people and places of a slice; read-only."""
    return _label_checks(run_id, str(store.home()), weights_stamp(run_id), group, key)


def expert_labels(run_id: str, group: Group, key: str) -> "tuple[ExpertLabel, ...]":
    """What the experts of a set are called, each with what was measured of its name over a slice."""
    from engine.evaluation.routed import label_experts

    return label_experts(expert_sets(run_id)[key], label_checks(run_id, group, key))


@st.cache_resource(max_entries=8, show_spinner="Forcing and silencing every expert")
def _effects(run_id: str, home: str, stamp: int, key: str) -> pd.DataFrame:
    from engine.scenarios.expert_effects import expert_effects

    loaded = loaded_run(run_id)
    _, steps = steps_in_slice(run_id, None)
    rows = np.unique(np.linspace(0, len(steps) - 1, min(len(steps), EFFECT_QUESTIONS)).astype(np.int64))
    chosen = steps["index"].to_numpy(np.int64)[rows]
    return expert_effects(loaded.model, expert_sets(run_id)[key], loaded.data.samples.histories(chosen))


def effects(run_id: str, key: str) -> pd.DataFrame:
    """What forcing and silencing each expert does to some questions of all cases; see `engine.scenarios.expert_effects`."""
    return _effects(run_id, str(store.home()), weights_stamp(run_id), key)


@st.cache_resource(max_entries=8, show_spinner=False)
def _likeness(run_id: str, home: str, stamp: int, key: str) -> np.ndarray | None:
    from engine.evaluation.routing import cosine_similarity

    loaded, found = loaded_run(run_id), expert_sets(run_id)[key]
    if not found.vectors:
        return None
    return cosine_similarity(loaded.model.embeddings(loaded.data.samples.log.places)[found.vectors].vectors)


def likeness(run_id: str, key: str) -> np.ndarray | None:
    """(expert, expert) cosine between the experts of a set; None where the model gives no vectors of them."""
    return _likeness(run_id, str(store.home()), weights_stamp(run_id), key)


def load_curves(run_id: str, key: str) -> pd.DataFrame:
    """How a set was used while the model learned: epoch, largest (share of the largest load), dead (experts); empty if not recorded."""
    curves = run_curves(run_id)
    names = {f"largest load of {key}": "largest", f"dead among {key}": "dead"}
    rows: dict[str, list[float]] = {}
    for column in dict.fromkeys(curves["key"].astype(str)):
        name = names.get(column.split("/valid_")[-1])
        if name:
            rows[name] = [float(value) for value in curves.loc[curves["key"] == column, "value"]]
    length = min(map(len, rows.values()), default=0)
    return pd.DataFrame({"epoch": np.arange(1, length + 1)} | {name: values[:length] for name, values in rows.items()})


@st.cache_resource(max_entries=3, show_spinner=False)
def _elsewhere(run_id: str, home: str, stamp: int, slug: str, fingerprint: str, _report: Any) -> "ZeroShot":
    from engine.evaluation.transfer import split_for, zero_shot

    loaded, other = loaded_run(run_id), city(slug)
    return zero_shot(loaded.model, other, split_for(other, loaded.data.split), report=_report)


def elsewhere(run_id: str, slug: str, report: Any = None) -> "ZeroShot":
    """The run's weights asked about another city; takes seconds the first time.

    Raises:
        MobiscopeError: If the model cannot travel, or that city gives no questions.
    """
    return _elsewhere(run_id, str(store.home()), weights_stamp(run_id), slug, city(slug).fingerprint, report)
