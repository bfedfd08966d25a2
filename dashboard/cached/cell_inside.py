"""What a grid run's model did inside when it answered all cells: its graph, its fusion, its hours, its vectors."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import streamlit as st

from dashboard.cached.cell_data import grounds
from dashboard.cached.run_data import weights_stamp
from engine import store


@dataclass(frozen=True, eq=False)
class CellInside:
    """Weights of one pass over all cells, heads averaged; the axis "cell" is that of the cells table.

    Attributes:
        index: (cell, slot) whom each cell listens to; slot 0 is the cell itself.
        graph: Probe to (cell, slot) weights, rows sum to one, unused slots zero; in the order of the model.
        fusion: (cell, modality) weight of each modality, None where the model's fusion has none.
        modalities: Names on the axis "modality".
        pairs: (modality, modality) mean attention of one modality to another, None where there is none.
        hours: Probe to (cell, 24, 24) float16 attention between hours.
        meanings: Probe to one sentence about it.
    """

    index: np.ndarray
    graph: dict[str, np.ndarray] = field(default_factory=dict)
    fusion: np.ndarray | None = None
    modalities: tuple[str, ...] = ()
    pairs: np.ndarray | None = None
    hours: dict[str, np.ndarray] = field(default_factory=dict)
    meanings: dict[str, str] = field(default_factory=dict)

    def openness(self, probe: str) -> np.ndarray:
        """(cell,) share a cell takes from its neighbours: one minus what it takes from itself."""
        return 1.0 - self.graph[probe][:, 0]

    def influence(self, probe: str) -> np.ndarray:
        """(cell,) sum of the weights other cells give to it."""
        weights, total = self.graph[probe], np.zeros(len(self.index))
        np.add.at(total, self.index[:, 1:].ravel(), weights[:, 1:].ravel())
        return total


@st.cache_resource(max_entries=2, show_spinner="Watching the model answer all cells")
def _inside(run_id: str, home: str, stamp: int) -> CellInside:
    from engine.layers.graph import neighbours_of
    from engine.probes import watch

    base = grounds(run_id)
    model: Any = base.encoder
    wanted = {name: probe for name, probe in model.probes().items() if probe.kind in ("graph", "routing", "attention")}
    index = neighbours_of(base.cells.edges, len(base.cells)).index.numpy()
    if not wanted:
        return CellInside(index)
    with watch(model, *wanted) as seen:
        model.predict_curves(base.inputs, base.cells)
    graph, hours, fusion, pairs = {}, {}, None, None
    for name, probe in wanted.items():
        if not seen[name]:
            continue
        value = seen[name][0].to_numpy()
        match probe.axes:
            case ("cell", "head", "neighbour"):
                graph[name] = value.mean(axis=1)
            case ("cell", "modality"):
                fusion = value
            case ("cell", "head", "query_modality", "key_modality"):
                pairs = value.mean(axis=(0, 1))
            case ("cell", "head", "query_hour", "key_hour"):
                hours[name] = value.mean(axis=1).astype(np.float16)
    named = tuple(getattr(model, "modalities", ()))
    width = fusion.shape[1] if fusion is not None else pairs.shape[0] if pairs is not None else 0
    modalities = named if len(named) == width else tuple(f"modality {number + 1}" for number in range(width))
    meanings = {name: probe.meaning for name, probe in wanted.items()}
    return CellInside(index, graph, fusion, modalities, pairs, hours, meanings)


def inside(run_id: str) -> CellInside:
    """What the model did inside when it answered all cells; read-only."""
    return _inside(run_id, str(store.home()), weights_stamp(run_id))


@st.cache_data(max_entries=32, show_spinner="Following the gradient")
def _reach(run_id: str, cell: int, home: str, stamp: int) -> np.ndarray | None:
    base = grounds(run_id)
    measure = getattr(base.encoder, "influence", None)
    return None if measure is None else np.asarray(measure(base.inputs, base.cells, cell))


def reach(run_id: str, cell: int) -> np.ndarray | None:
    """(cell,) how much each cell matters to the curve of one, over all graph layers; None where the model does not tell."""
    return _reach(run_id, cell, str(store.home()), weights_stamp(run_id))


@st.cache_resource(max_entries=2, show_spinner="Reading the vectors of the cells")
def _vectors(run_id: str, home: str, stamp: int) -> dict[str, Any]:
    base = grounds(run_id)
    return dict(base.encoder.embeddings(base.inputs, base.cells))


def vectors(run_id: str) -> dict[str, Any]:
    """The embeddings a grid run's model declares, by name (`engine.models.declarations.Embedding`); read-only."""
    return _vectors(run_id, str(store.home()), weights_stamp(run_id))
