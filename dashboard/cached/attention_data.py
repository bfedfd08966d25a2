"""What a run's model looked at in one step, and what leaving each visit out would change."""

from typing import TYPE_CHECKING

import numpy as np
import streamlit as st

from dashboard.cached.run_data import loaded_run, weights_stamp
from engine import store

if TYPE_CHECKING:
    from engine.scenarios.attribution import LeaveOneOut


@st.cache_resource(max_entries=32, show_spinner=False)
def _attention(run_id: str, home: str, stamp: int, index: int) -> np.ndarray:
    from engine.probes import watch
    from engine.scenarios.attribution import read_by

    loaded = loaded_run(run_id)
    names = [name for name, probe in loaded.model.probes().items() if probe.kind == "attention" and probe.axes[-1] == "key"]
    question = loaded.data.samples.histories(np.array([index]))
    with watch(loaded.model, *names) as seen:
        loaded.model.predict(question)
    # Before the visits there may be padding and tokens that are no visits.
    visits = slice(-int(read_by(loaded.model, question).lengths[0]), None)
    return np.stack([seen[name][0].to_numpy()[0][:, visits, visits] for name in names])


def attention(run_id: str, index: int) -> np.ndarray:
    """(layer, head, query, key) attention between the visits that are read, oldest first, in the order of the model's probes.

    Read-only. Rows sum to less than one where a model also reads tokens that are no visits.
    """
    return _attention(run_id, str(store.home()), weights_stamp(run_id), index)


@st.cache_resource(max_entries=32, show_spinner=False)
def _left_out(run_id: str, home: str, stamp: int, index: int) -> "LeaveOneOut | None":
    from engine.scenarios.attribution import leave_one_out, read_by

    loaded = loaded_run(run_id)
    question = read_by(loaded.model, loaded.data.samples.histories(np.array([index])))
    return leave_one_out(loaded.model, question) if int(question.lengths[0]) > 1 else None


def left_out(run_id: str, index: int) -> "LeaveOneOut | None":
    """What leaving out each visit that is read does to the model's answer; None where it reads one visit."""
    return _left_out(run_id, str(store.home()), weights_stamp(run_id), index)
