"""Runs, their tables, curves and loaded models, and the models that can be trained."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pandas as pd
import streamlit as st

from dashboard.cached.city_data import city
from engine import store
from engine.city.city import City
from engine.city.data_card import DataCard
from engine.runs import Run, RunSummary, list_runs
from engine.runs.folder import RunFolder

if TYPE_CHECKING:
    from engine.models.base import Task
    from engine.models.declarations import Missing
    from engine.models.settings import ModelConfig


def runs() -> list[RunSummary]:
    """All runs, newest first, as they stand now; dead workers are noticed."""
    return list_runs()


def active_runs() -> list[RunSummary]:
    """Runs that wait or work."""
    return [run for run in runs() if run.state in ("PENDING", "RUNNING")]


def run_label(run: RunSummary) -> str:
    """A run in one line for pickers: name, preset, date."""
    # A name that was not chosen begins with the date, which would push everything else out of the picker.
    name = run.name.split("-", 3)[-1] if run.name == run.id else run.name
    return f"{name} · {run.preset} · {run.created_at:%d %b}"


@st.cache_resource(max_entries=48, show_spinner=False)
def _run_table(run_id: str, name: str, home: str, stamp: int) -> pd.DataFrame:
    return Run.open(run_id).table(name)


def run_table(run_id: str, name: str) -> pd.DataFrame:
    """A table of a run (`predictions`, `metrics`, `warnings`), read again only when its file changed.

    Raises:
        RunError: If the run or the table is not there.
    """
    path = RunFolder(run_id).tables / f"{name}.parquet"
    table = _run_table(run_id, name, str(store.home()), path.stat().st_mtime_ns if path.is_file() else 0)
    # Copy on write: every caller has a table of its own, and nothing is copied until one changes it.
    return table.copy(deep=False)


def run_curves(run_id: str) -> pd.DataFrame:
    """The curves of a run, long: step, t, key, value; read anew when the file has grown."""
    path = RunFolder(run_id).metrics_path
    stamp = path.stat().st_mtime_ns if path.is_file() else 0
    return _run_curves(run_id, str(store.home()), stamp)


@st.cache_data(max_entries=16, show_spinner=False)
def _run_curves(run_id: str, home: str, stamp: int) -> pd.DataFrame:
    return Run.open(run_id).curves()


@st.cache_resource(max_entries=2, show_spinner=False)
def _loaded_run(run_id: str, home: str, stamp: int) -> Any:
    return Run.open(run_id).load()


def loaded_run(run_id: str) -> Any:
    """A run's model with its weights and data (a `LoadedRun`); imports torch on first use. Read-only.

    Raises:
        RunError: If the run has no weights, or its city is gone or another one.
    """
    path = RunFolder(run_id).model / "model.safetensors"
    return _loaded_run(run_id, str(store.home()), path.stat().st_mtime_ns if path.is_file() else 0)


@dataclass(frozen=True)
class ModelEntry:
    """A model as the Train page offers it.

    Attributes:
        name: Key in `MODELS`.
        title, paper: As the model declares them.
        config: Its config class.
        presets: Named configs, the proposed one first.
    """

    name: str
    title: str
    paper: str
    config: "type[ModelConfig]"
    presets: "dict[str, ModelConfig]"


@st.cache_resource(max_entries=1, show_spinner="Loading the models")
def models() -> list[ModelEntry]:
    """Every model with its settings; imports torch on first use."""
    from engine.models import MODELS

    return [ModelEntry(name, cls.title, cls.paper, cls.Config, dict(cls.Config.presets())) for name, cls in MODELS.items()]


@st.cache_data(max_entries=32, show_spinner=False)
def _requirements(fingerprint: str, model: str, _city: City) -> "list[Missing]":
    from engine.models import get_model

    return get_model(model).requirements(_city)


def requirements(slug: str, model: str) -> "list[Missing]":
    """What a city lacks for a model: what, why it is needed, how to mend it."""
    opened = city(slug)
    return _requirements(opened.fingerprint, model, opened)


@st.cache_data(max_entries=4_096, show_spinner=False)
def _validation_curve(run_id: str, home: str, stamp: int) -> list[float]:
    curves = Run.open(run_id).curves()
    keys = [key for key in dict.fromkeys(curves["key"].astype(str)) if "/valid_" in key]
    if not keys:
        return []
    stage = keys[-1].split("/")[0]
    mine = [key for key in keys if key.startswith(f"{stage}/")]
    key = next((key for key in mine if "loss" not in key), mine[0])
    return [float(value) for value in curves.loc[curves["key"] == key, "value"]]


def validation_curve(run_id: str) -> list[float]:
    """What validation measured in the last stage, epoch by epoch; empty while there is none."""
    path = RunFolder(run_id).metrics_path
    return _validation_curve(run_id, str(store.home()), path.stat().st_mtime_ns) if path.is_file() else []


def run_data_card(run_id: str) -> DataCard:
    """The data card that travels with a run's scores.

    Raises:
        MobiscopeError: If it is missing or damaged.
    """
    return DataCard.model_validate(store.read_json(RunFolder(run_id).data_card_path))


def weights_stamp(run_id: str) -> int:
    """When a run's weights were written, as a key for what was computed with them; 0 where there are none."""
    path = RunFolder(run_id).model / "model.safetensors"
    return path.stat().st_mtime_ns if path.is_file() else 0


def has_weights(run_id: str) -> bool:
    """Whether a run has a trained model to look into."""
    return bool(weights_stamp(run_id))


def run_model(run_id: str) -> str:
    """The name of a run's model, as its tables call it."""
    return Run.open(run_id).request.model


@st.cache_resource(max_entries=64, show_spinner=False)
def _model_facts(name: str) -> "tuple[Task, str]":
    from engine.models import get_model

    cls = get_model(name)
    return cls.task, cls.title


def run_task(run_id: str) -> "Task":
    """What a run's model predicts; imports its module on first use.

    Raises:
        MobiscopeError: If the run's record cannot be read, or this version has no such model.
    """
    return _model_facts(run_model(run_id))[0]


def run_title(run_id: str) -> str:
    """The name of a run's model on screen."""
    return _model_facts(run_model(run_id))[1]


@st.cache_resource(max_entries=64, show_spinner=False)
def _declares(name: str, method: str) -> bool:
    from engine.models import get_model
    from engine.models.base import MobilityModel

    return getattr(get_model(name), method) is not getattr(MobilityModel, method)


def run_declares(run_id: str, method: str) -> bool:
    """Whether a run's model declares something of its own, such as `experts`, which it may still leave empty by its settings.

    Raises:
        MobiscopeError: If the run's record cannot be read, or this version has no such model.
    """
    return _declares(run_model(run_id), method)
