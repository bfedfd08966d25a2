"""Cells, the curves a run gave them, their clusters, and what the model saw of each, kept in memory by run and city."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import shapely
import streamlit as st

from dashboard.cached.city_data import city
from dashboard.cached.run_data import loaded_run, run_model, run_table, run_task, runs, weights_stamp
from dashboard.figures.cell_map import outlines_json
from engine import store
from engine.city.city import City
from engine.city.splits import PARTS
from engine.errors import MobiscopeError
from engine.runs import Run, RunSummary
from engine.runs.folder import RunFolder

if TYPE_CHECKING:
    from engine.city.cell_samples import CellSamples
    from engine.city.cell_splits import CellSplit
    from engine.encoders.cell_features import CellInputs
    from engine.models.answers import CurvePredictor
    from engine.scenarios.cell_compare import CurveComparison, Grounds
    from engine.scenarios.scenario import Scenario

PART_WORDS = {"train": "training", "valid": "validation", "test": "test", "input only": "input only"}
"""Parts of the split as the screen says them before "cell"."""


@dataclass(frozen=True, eq=False)
class Curves:
    """What a run and its baselines answered for every cell, in the order of the cells table.

    Attributes:
        cell_ids: (cell,) str.
        part: (cell,) int8 index into `PARTS`, -1 for cells that are input only.
        observed: (cell, 24) trips; NaN where unknown.
        flow, low, high: Predictor to (cell, 24); bounds are NaN where a predictor gives none.
        titles: Predictor to its name on screen, the model first.
    """

    cell_ids: np.ndarray
    part: np.ndarray
    observed: np.ndarray
    flow: dict[str, np.ndarray]
    low: dict[str, np.ndarray]
    high: dict[str, np.ndarray]
    titles: dict[str, str]

    @property
    def index(self) -> dict[str, int]:
        """Cell id to its position."""
        return {str(cell): row for row, cell in enumerate(self.cell_ids)}

    def parts(self) -> list[str]:
        """The part of every cell in words."""
        return [PARTS[part] if part >= 0 else "input only" for part in self.part]


@st.cache_resource(max_entries=4, show_spinner="Reading the curves")
def _curves(run_id: str, home: str, stamp: int) -> Curves:
    table, metrics = run_table(run_id, "predictions"), run_table(run_id, "metrics")
    titles = dict(zip(metrics["predictor"].astype(str), metrics["title"].astype(str), strict=True))
    model = run_model(run_id)
    names = sorted(dict.fromkeys(table["predictor"].astype(str)), key=lambda name: name != model)
    found: dict[str, dict[str, np.ndarray]] = {"predicted": {}, "low": {}, "high": {}}
    ids, part, observed = np.zeros(0, object), np.zeros(0, np.int8), np.zeros((0, 24))
    for name in names:
        mine = table[table["predictor"] == name]
        for column, kept in found.items():
            kept[name] = mine[column].to_numpy(float).reshape(-1, 24)
        ids, part = mine["cell_id"].to_numpy(object)[::24].astype(str), mine["part"].to_numpy(np.int8)[::24]
        observed = mine["observed"].to_numpy(float).reshape(-1, 24)
    return Curves(
        ids, part, observed, found["predicted"], found["low"], found["high"], {name: titles.get(name, name) for name in names}
    )


def curves(run_id: str) -> Curves:
    """The curves of a run; read-only.

    Raises:
        RunError: If the run has no predictions.
    """
    path = RunFolder(run_id).tables / "predictions.parquet"
    return _curves(run_id, str(store.home()), path.stat().st_mtime_ns if path.is_file() else 0)


@st.cache_data(max_entries=48, show_spinner=False)
def _test_cells(run_id: str, home: str, stamp: int) -> np.ndarray:
    found = _curves(run_id, home, stamp)
    return np.asarray(found.cell_ids[found.part == PARTS.index("test")])


def test_cells(run_id: str) -> np.ndarray:
    """(cell,) ids of the cells a run was judged on.

    Raises:
        RunError: If the run has no predictions.
    """
    path = RunFolder(run_id).tables / "predictions.parquet"
    return _test_cells(run_id, str(store.home()), path.stat().st_mtime_ns if path.is_file() else 0)


@dataclass(frozen=True, eq=False)
class CellOutlines:
    """Cells as maps and lists need them, in the order of the cells table.

    Attributes:
        ids: (cell,) str.
        shapes: (cell,) polygons in degrees.
        longitude, latitude: (cell,) a point inside each.
        district: (cell,) str, "" where unknown.
        name: (cell,) the zone's name, or its id.
        json: Positions and outlines as the map with the clock reads them.
    """

    ids: np.ndarray
    shapes: np.ndarray
    longitude: np.ndarray
    latitude: np.ndarray
    district: np.ndarray
    name: np.ndarray
    json: str


@st.cache_resource(max_entries=6, show_spinner=False)
def _outlines(fingerprint: str, _city: City) -> CellOutlines:
    cells = _city.spatial("cells")
    shapes = np.asarray(cells.geometry)
    middle = shapely.get_coordinates(shapely.point_on_surface(shapes))
    district = cells["district"].fillna("").astype(str) if "district" in cells else pd.Series("", index=cells.index)
    ids = cells["cell_id"].astype(str)
    named = cells["name"].fillna("").astype(str) if "name" in cells else pd.Series("", index=cells.index)
    return CellOutlines(
        ids.to_numpy(object),
        shapes,
        middle[:, 0],
        middle[:, 1],
        district.to_numpy(object),
        named.where(named != "", ids).to_numpy(object),
        outlines_json(shapes, middle[:, 0], middle[:, 1]),
    )


def outlines(slug: str) -> CellOutlines:
    """The cells of a city; read-only."""
    opened = city(slug)
    return _outlines(opened.fingerprint, opened)


@st.cache_resource(max_entries=6, show_spinner=False)
def _cell_samples(fingerprint: str, split: str, _city: City) -> "CellSamples":
    from engine.city.cell_samples import build_cell_samples
    from engine.city.cell_splits import CellSplit

    return build_cell_samples(_city, CellSplit.model_validate_json(split))


def cell_samples(slug: str, split: "CellSplit") -> "CellSamples":
    """The cells of a city under a split; read-only.

    Raises:
        CityError, ConfigError: If there are no usable flows, or the split does not fit the city.
    """
    opened = city(slug)
    return _cell_samples(opened.fingerprint, split.model_dump_json(), opened)


def run_cells(run_id: str) -> "CellSamples":
    """The cells of a run's city under the run's split."""
    run = Run.open(run_id)
    return cell_samples(run.summary.city, run.request.split)  # type: ignore[arg-type]


@st.cache_resource(max_entries=2, show_spinner="Encoding the cells")
def _grounds(run_id: str, home: str, stamp: int) -> "Grounds":
    from engine.scenarios.cell_compare import Grounds

    loaded = loaded_run(run_id)
    return Grounds(loaded.model, loaded.data.city, loaded.data.cells, loaded.data.inputs)


def grounds(run_id: str) -> "Grounds":
    """A grid run's model, city, cells and encoded inputs, from where what-ifs start; loads the model."""
    return _grounds(run_id, str(store.home()), weights_stamp(run_id))


def cell_inputs(run_id: str) -> "CellInputs":
    """What the run's model reads of every cell."""
    return grounds(run_id).inputs


@st.cache_resource(max_entries=2, show_spinner="Fitting the baselines")
def _baselines(run_id: str, home: str, stamp: int, names: tuple[str, ...]) -> "list[CurvePredictor]":
    from engine.models.baselines.curves import fit_curve_baselines

    base = grounds(run_id)
    return list(fit_curve_baselines(base.inputs, base.cells, Run.open(run_id).request.seed, names))


def curve_predictors(run_id: str, baselines: tuple[str, ...] = ()) -> "dict[str, CurvePredictor]":
    """The run's model, and those of its baselines that are asked for, fitted again as in the run."""
    base = grounds(run_id)
    found: dict[str, Any] = {base.encoder.name: base.encoder}
    if baselines:
        found |= {one.name: one for one in _baselines(run_id, str(store.home()), weights_stamp(run_id), baselines)}
    return found


@st.cache_resource(max_entries=24, show_spinner="Asking for all cells before and after")
def _compared(run_id: str, predictor: str, digest: str, home: str, stamp: int, _scenario: "Scenario") -> "CurveComparison":
    from engine.scenarios.cell_compare import compare_curves

    base = grounds(run_id)
    others = () if predictor == base.encoder.name else (predictor,)
    return compare_curves(curve_predictors(run_id, others)[predictor], base, _scenario)


def compared(run_id: str, predictor: str, scenario: "Scenario") -> "CurveComparison":
    """The curves of all cells before and after a scenario; read-only.

    Raises:
        ScenarioError: If the scenario does not fit.
    """
    return _compared(run_id, predictor, scenario.digest, str(store.home()), weights_stamp(run_id), scenario)


@st.cache_data(max_entries=8, show_spinner="Asking networks with units dropped at random")
def _thinned(
    run_id: str, predictor: str, digest: str, draws: int, home: str, stamp: int, _scenario: "Scenario"
) -> np.ndarray | None:
    from engine.scenarios.cell_compare import thinned_changes

    base = grounds(run_id)
    others = () if predictor == base.encoder.name else (predictor,)
    changes = thinned_changes(curve_predictors(run_id, others)[predictor], base, _scenario, draws)
    return None if changes is None else changes.astype(np.float32)


def thinned(run_id: str, predictor: str, scenario: "Scenario", draws: int) -> np.ndarray | None:
    """(draw, cell, 24) changes of trips by networks with units dropped at random; None where there are none to drop."""
    return _thinned(run_id, predictor, scenario.digest, draws, str(store.home()), weights_stamp(run_id), scenario)


@st.cache_data(max_entries=32, show_spinner="Clustering the curves")
def _curve_clusters(run_id: str, count: int, home: str, stamp: int) -> np.ndarray:
    from engine.evaluation.curve_clusters import curve_clusters

    return curve_clusters(_curves(run_id, home, stamp).observed, count)


def clusters_of_curves(run_id: str, count: int) -> np.ndarray:
    """(cell,) cluster of each observed curve, -1 where it is not wholly known.

    Raises:
        MobiscopeError: If there are fewer curves than clusters.
    """
    path = RunFolder(run_id).tables / "predictions.parquet"
    return _curve_clusters(run_id, count, str(store.home()), path.stat().st_mtime_ns if path.is_file() else 0)


@st.cache_data(max_entries=16, show_spinner="Reading the descriptions")
def _cluster_words(run_id: str, count: int, home: str, stamp: int) -> pd.DataFrame:
    from engine.evaluation.curve_clusters import typical_words

    captions = {name: one.captions for name, one in cell_inputs(run_id).modalities.items()}
    return typical_words(captions, clusters_of_curves(run_id, count))


def cluster_words(run_id: str, count: int) -> pd.DataFrame:
    """Words typical of each cluster of curves: cluster, word, z, share, share_elsewhere."""
    return _cluster_words(run_id, count, str(store.home()), weights_stamp(run_id))


def twin_runs(run_id: str) -> dict[str, RunSummary]:
    """Finished runs that differ from this one in the kind of split alone: kind to the newest of them, this run's own kind first."""
    own = Run.open(run_id)
    key = _but_for_kind(own)
    found: dict[str, RunSummary] = {own.request.split.kind: own.summary}
    for summary in runs():
        if summary.state == "DONE" and summary.city == own.summary.city and summary.model == own.request.model:
            try:
                other = Run.open(summary.id)
                if run_task(summary.id) == "grid_flow" and _but_for_kind(other) == key:
                    found.setdefault(other.request.split.kind, summary)
            except MobiscopeError:
                continue
    return found


def _but_for_kind(run: Run) -> tuple[Any, ...]:
    request = run.request
    split = request.split.model_dump(exclude={"kind", "block_cells", "buffer_steps"})
    return request.preset, repr(sorted(request.config.items())), request.seed, repr(sorted(split.items()))


@st.cache_data(max_entries=96, show_spinner=False)
def _cell_pictures_of(fingerprint: str, cell: str, modality: str, _city: City) -> list[bytes]:
    from engine.encoders.cell_pictures import pictures_of_cell

    return list(pictures_of_cell(_city, cell, modality).images)


def cell_pictures_of(slug: str, cell: str, modality: str) -> list[bytes]:
    """The pictures of one modality of a cell as its encoders are given them: uploaded, or rendered from footprints."""
    opened = city(slug)
    return _cell_pictures_of(opened.fingerprint, cell, modality, opened)


@st.cache_data(max_entries=96, show_spinner=False)
def stretched(picture: bytes) -> bytes:
    """A height map for the eye: grey levels stretched to the full range, what lies outside of the cell left out."""
    import io

    from PIL import Image

    from engine.city.images import read_heights

    metres, inside = read_heights(picture)
    top = max(float(metres.max()), 1.0)
    shown = np.stack([metres * 255 / top, inside * 255], axis=2).astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(shown).resize((340, 340), Image.Resampling.NEAREST).save(buffer, "PNG")
    return buffer.getvalue()
