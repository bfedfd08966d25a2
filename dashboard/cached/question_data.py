"""Steps of people and the answers of a run's model and baselines to them."""

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import streamlit as st

from dashboard.cached.city_data import slice_labels
from dashboard.cached.run_data import loaded_run, run_table, weights_stamp
from engine import store
from engine.city.splits import PARTS
from engine.runs import Run
from engine.runs.folder import RunFolder

if TYPE_CHECKING:
    from dashboard.questions import QueryEdit, Reply
    from engine.models.answers import Predictor


@st.cache_resource(max_entries=2, show_spinner="Fitting the baselines")
def _predictors(run_id: str, home: str, stamp: int, _loaded: Any) -> "list[Predictor]":
    from engine.models.baselines import BASELINES, TRAINED, fit_baselines

    samples = _loaded.data.samples
    # Those that take seconds to fit are left out; their answers stand in the predictions table of the run.
    quick = [name for name in BASELINES if name not in TRAINED]
    return [_loaded.model, *(fit_baselines(samples.log, names=quick) if samples is not None else [])]


def predictors(run_id: str) -> "list[Predictor]":
    """The run's model, then the baselines that are quick to fit, all ready to be asked.

    Raises:
        RunError: If the run cannot be loaded.
    """
    return _predictors(run_id, str(store.home()), weights_stamp(run_id), loaded_run(run_id))


@st.cache_resource(max_entries=4, show_spinner=False)
def _question_steps(run_id: str, home: str, stamp: int, predictions_stamp: int) -> "tuple[str, pd.DataFrame]":
    from dashboard import questions

    part, steps = questions.steps_of(loaded_run(run_id).data.samples)
    if predictions_stamp:
        rows = run_table(run_id, "predictions")
        ranks = rows.pivot_table(index="sample_id", columns="predictor", values="true_rank", aggfunc="first", dropna=False)
        steps = steps.join(ranks.astype("Float64").astype(float).fillna(np.inf).add_prefix("rank."), on="row")
    return part, steps


def question_steps(run_id: str) -> "tuple[str, pd.DataFrame]":
    """The steps of a run that can be looked at, and the part they are of; see `dashboard.questions.steps_of`.

    Further columns `rank.<predictor>` give the rank of the truth where the run has predictions (inf: not answered).
    """
    path = RunFolder(run_id).tables / "predictions.parquet"
    return _question_steps(run_id, str(store.home()), weights_stamp(run_id), path.stat().st_mtime_ns if path.is_file() else 0)


def steps_in_slice(run_id: str, group: tuple[str, str] | None) -> "tuple[str, pd.DataFrame]":
    """`question_steps` limited to one group of a slice; all of them where the group is None or the slice is unknown.

    Args:
        run_id: The run.
        group: Name of the slice and of the group, as `session.slice_group` gives them.
    """
    part, steps = question_steps(run_id)
    if group is None or steps.empty:
        return part, steps
    run = Run.open(run_id)
    labels = slice_labels(run.summary.city, run.request.split, part)
    if group[0] not in labels:
        return part, steps
    samples = loaded_run(run_id).data.samples
    inside = np.zeros(len(samples), bool)
    inside[samples.part == PARTS.index(part)] = (labels[group[0]].astype(object) == group[1]).to_numpy()
    return part, steps[inside[steps["index"].to_numpy()]].reset_index(drop=True)


@st.cache_resource(max_entries=48, show_spinner=False)
def _replies(run_id: str, home: str, stamp: int, index: int, edit: str) -> "list[Reply]":
    from dashboard import questions

    return questions.ask(predictors(run_id), loaded_run(run_id).data.samples, index, questions.QueryEdit.from_key(edit))


def replies(run_id: str, index: int, edit: "QueryEdit") -> "list[Reply]":
    """The answers of `predictors` to one step under an edit; read-only.

    Raises:
        ScenarioError: If the edit does not fit the step.
    """
    return _replies(run_id, str(store.home()), weights_stamp(run_id), index, edit.key())
