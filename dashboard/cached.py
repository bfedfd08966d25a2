"""The only caches around the engine: bounded, keyed by fingerprints and run ids, never by big tables.

Streamlit hashes only a sample of a big frame, so a frame passed as a key would make two different tables look the same. Frames and
objects go in with a leading underscore, which leaves them out of the key. What is cached with `cache_resource` is shared by all
sessions and must never be changed.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import streamlit as st

from dashboard import wording
from dashboard.figures import base_map
from dashboard.figures.colours import Theme
from engine import store
from engine.city.city import City, CityInfo
from engine.city.data_card import DataCard
from engine.city.samples import Places, Samples, VisitLog, build_samples
from engine.city.splits import PARTS, Split
from engine.errors import CityError, MobiscopeError
from engine.evaluation import slices
from engine.runs import Run, RunSummary, list_runs
from engine.runs.folder import RunFolder

if TYPE_CHECKING:
    from dashboard.questions import QueryEdit, Reply
    from engine.evaluation.metrics import Metric
    from engine.models.base import Missing, ModelConfig, Predictor


@dataclass(frozen=True)
class CityEntry:
    """A saved city as the pickers need it, without its tables.

    Attributes:
        slug: Folder name.
        info: What `city.json` holds.
        fingerprint: Of the tables.
    """

    slug: str
    info: CityInfo
    fingerprint: str

    @property
    def name(self) -> str:
        """Human name."""
        return self.info.name


@dataclass(frozen=True)
class CityFacts:
    """A city in one line.

    Attributes:
        people, places, visits: How many; people and visits are 0 in a city without visits.
        first, last: Local calendar days of the first and last visit, None without visits.
    """

    people: int
    places: int
    visits: int
    first: pd.Timestamp | None
    last: pd.Timestamp | None


# ---- cities ----------------------------------------------------------------------------------------------------------------


@st.cache_resource(max_entries=64, show_spinner=False)
def _entry(folder: str, stamp: int) -> CityEntry:
    city = City.open(folder)
    return CityEntry(Path(folder).name, city.info, city.fingerprint)


def cities() -> list[CityEntry]:
    """All saved cities, newest first; damaged folders are left out."""
    found = []
    for marker in store.cities_folder().glob("*/city.json"):
        if not marker.parent.name.startswith("."):
            try:
                found.append(_entry(str(marker.parent), marker.stat().st_mtime_ns))
            except (MobiscopeError, OSError):
                continue
    return sorted(found, key=lambda entry: str(entry.info.created_at), reverse=True)


def city_entry(slug: str) -> CityEntry:
    """One saved city without its tables.

    Raises:
        CityError: If there is none, or it is damaged.
    """
    marker = store.child(store.cities_folder(), slug) / "city.json"
    if not marker.is_file():
        raise CityError("This city is not here any more. Choose another one in the sidebar.")
    return _entry(str(marker.parent), marker.stat().st_mtime_ns)


@st.cache_resource(max_entries=4, show_spinner=False)
def _city(folder: str, fingerprint: str, stamp: int) -> City:
    return City.open(folder)


def city(slug: str) -> City:
    """A saved city, its tables kept in memory once read; read-only.

    Raises:
        CityError: If there is none, or it is damaged.
    """
    entry = city_entry(slug)
    folder = store.cities_folder() / slug
    return _city(str(folder), entry.fingerprint, (folder / "city.json").stat().st_mtime_ns)


@st.cache_data(max_entries=64, show_spinner=False)
def _facts(fingerprint: str, _city: City) -> CityFacts:
    places = _city.info.rows.get("locations", 0)
    if not _city.has("visits"):
        return CityFacts(0, places, 0, None, None)
    visits = _city.table("visits")
    local = visits["started_at"].agg(["min", "max"]).dt.tz_convert(_city.time_zone).dt.tz_localize(None).dt.normalize()
    return CityFacts(visits["user_id"].nunique(), places, len(visits), local["min"], local["max"])


def city_facts(slug: str) -> CityFacts:
    """People, places, visits and span of a city."""
    opened = city(slug)
    return _facts(opened.fingerprint, opened)


@st.cache_data(max_entries=64, show_spinner=False)
def _rhythm(fingerprint: str, _city: City) -> np.ndarray:
    local = _city.table("visits")["started_at"].dt.tz_convert(_city.time_zone)
    cell = local.dt.day_of_week.to_numpy() * 24 + local.dt.hour.to_numpy()
    return np.bincount(cell, minlength=168).reshape(7, 24)


def city_rhythm(slug: str) -> np.ndarray:
    """(weekday, hour) visits by local time; Monday is 0.

    Raises:
        CityError: If the city has no visits.
    """
    opened = city(slug)
    return _rhythm(opened.fingerprint, opened)


@st.cache_data(max_entries=16, show_spinner=False)
def _visits_per(fingerprint: str, column: str, _city: City) -> pd.Series:
    return _city.table("visits")[column].value_counts()


def visits_per_person(slug: str) -> pd.Series:
    """Visits by user, most first."""
    opened = city(slug)
    return _visits_per(opened.fingerprint, "user_id", opened)


def visits_per_place(slug: str) -> float:
    """Median visits of a place, counting places nobody visited."""
    opened = city(slug)
    visited = _visits_per(opened.fingerprint, "location_id", opened)
    everywhere = np.zeros(max(opened.info.rows.get("locations", 0), len(visited)))
    everywhere[: len(visited)] = visited.to_numpy()
    return float(np.median(everywhere))


def forget_city(slug: str) -> None:
    """Drops what is cached of cities, after one was deleted: nothing of it may stay in memory."""
    for cache in (_entry, _city, _facts, _rhythm, _visits_per, _table_head, _base_map, _samples):
        cache.clear()


@st.cache_data(max_entries=64, show_spinner=False)
def _table_head(fingerprint: str, table: str, rows: int, _city: City) -> pd.DataFrame:
    frame = pd.DataFrame(_city.table(table).head(rows))
    if "geometry" in frame:
        shapes = _city.spatial(table).geometry.head(rows)
        middle = shapes.representative_point()
        frame = frame.drop(columns="geometry").assign(
            longitude=middle.x.round(6).to_numpy(), latitude=middle.y.round(6).to_numpy(), shape=shapes.geom_type.to_numpy()
        )
    return frame


def table_head(slug: str, table: str, rows: int = 1000) -> pd.DataFrame:
    """The first rows of a table for looking at; geometries as a point inside them and their kind."""
    opened = city(slug)
    return _table_head(opened.fingerprint, table, rows, opened)


@st.cache_resource(max_entries=12, show_spinner=False)
def _base_map(
    fingerprint: str, theme: Theme, places: bool, buildings: base_map.Buildings, cells: bool, names: bool, faint: bool, _city: City
) -> base_map.BaseMap:
    return base_map.base_map(_city, theme, places=places, buildings=buildings, cells=cells, names=names, faint=faint)


def base(
    slug: str,
    theme: Theme,
    *,
    places: bool = True,
    buildings: base_map.Buildings = "flat",
    cells: bool = False,
    names: bool = True,
    faint: bool = False,
) -> base_map.BaseMap:
    """The base map of a city, drawn once; read-only."""
    opened = city(slug)
    return _base_map(opened.fingerprint, theme, places, buildings, cells, names, faint, opened)


def built_in_city() -> str | None:
    """The slug of the generated city of size `demo`, None if it is not here."""
    return next(
        (
            entry.slug
            for entry in cities()
            if entry.info.provenance.get("kind") == "synthetic" and entry.info.provenance.get("size") == "demo"
        ),
        None,
    )


# ---- runs ------------------------------------------------------------------------------------------------------------------


def runs() -> list[RunSummary]:
    """All runs, newest first, as they stand now; dead workers are noticed."""
    return list_runs()


def active_runs() -> list[RunSummary]:
    """Runs that wait or work."""
    return [run for run in runs() if run.state in ("PENDING", "RUNNING")]


def run_label(run: RunSummary) -> str:
    """A run in one line for pickers: name, preset, date."""
    return f"{run.name} · {run.preset} · {run.created_at:%d %b %H:%M}"


@st.cache_data(max_entries=48, show_spinner=False)
def _run_table(run_id: str, name: str, home: str, stamp: int) -> pd.DataFrame:
    return Run.open(run_id).table(name)


def run_table(run_id: str, name: str) -> pd.DataFrame:
    """A table of a run (`predictions`, `metrics`, `warnings`), read again only when its file changed.

    Raises:
        RunError: If the run or the table is not there.
    """
    path = RunFolder(run_id).tables / f"{name}.parquet"
    return _run_table(run_id, name, str(store.home()), path.stat().st_mtime_ns if path.is_file() else 0)


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


@st.cache_resource(max_entries=4, show_spinner=False)
def _samples(fingerprint: str, split: str, _city: City) -> Samples:
    return build_samples(VisitLog.of(_city, Split.model_validate_json(split)))


def samples(slug: str, split: Split) -> Samples:
    """All samples of a city under a split; read-only. Its visit log is `.log`.

    Raises:
        CityError: If the city has no visits.
        ConfigError: If the split does not fit the city.
    """
    opened = city(slug)
    return _samples(opened.fingerprint, split.model_dump_json(), opened)


def visit_log(slug: str, split: Split) -> VisitLog:
    """The visit log of a city under a split; read-only."""
    return samples(slug, split).log


@st.cache_data(max_entries=8, show_spinner=False)
def _visits_by_day(fingerprint: str, split: str, _log: VisitLog) -> pd.DataFrame:
    start = pd.Timestamp(_log.started_at.min(), tz="UTC").tz_convert(_log.time_zone).tz_localize(None).normalize()
    days = int(_log.day.max()) + 1
    counts = np.bincount(_log.part.astype(np.int64) * days + _log.day, minlength=len(PARTS) * days).reshape(len(PARTS), days)
    return pd.DataFrame(counts.T, columns=list(PARTS), index=pd.date_range(start, periods=days))


def visits_by_day(slug: str, split: Split) -> pd.DataFrame:
    """Visits per local day, one column per part."""
    return _visits_by_day(city(slug).fingerprint, split.model_dump_json(), visit_log(slug, split))


# ---- models ----------------------------------------------------------------------------------------------------------------


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


# ---- scores ----------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Headline:
    """A run's headline metric beside the best baseline's, over all test samples.

    Attributes:
        metric: Its key.
        value: Of the model.
        baseline: Title of the best baseline; empty if none was measured.
        baseline_value: Its value.
        n: Test samples.
    """

    metric: str
    value: float
    baseline: str
    baseline_value: float
    n: int


def scores(run_id: str, metric: str = "acc@1") -> Headline | None:
    """The headline of a run; None while it has no metrics."""
    try:
        table = run_table(run_id, "metrics")
    except MobiscopeError:
        return None
    model = next((run.model for run in runs() if run.id == run_id), "")
    overall = table[(table["slice"] == "all") & (table["metric"] == metric)]
    own, others = overall[overall["predictor"] == model], overall[overall["predictor"] != model]
    if own.empty:
        return None
    best = others.loc[others["value"].idxmax()] if others["value"].notna().any() else None
    return Headline(
        metric,
        float(own["value"].iloc[0]),
        "" if best is None else str(best["title"]),
        float("nan") if best is None else float(best["value"]),
        int(own["n"].iloc[0]),
    )


def headline(run_id: str) -> str:
    """A run's headline as Markdown: the metric, the best baseline's, and n; empty while it has none."""
    found = scores(run_id)
    if found is None:
        return ""
    said = f"Acc@1 {wording.percent(found.value)}"
    if found.baseline:
        said += f" · best baseline {wording.percent(found.baseline_value)} ({wording.literal(found.baseline)})"
    return f"{said} · n = {wording.count(found.n)}"


@st.cache_data(max_entries=8, show_spinner=False)
def _slice_labels(fingerprint: str, split: str, part: str, _samples: Samples, _city: City) -> pd.DataFrame:
    return slices.slice_labels(_samples, _city)


def slice_labels(slug: str, split: Split, part: str = "test") -> pd.DataFrame:
    """The group of every sample of a part in every slice; one row per sample, in the order of the predictions tables."""
    opened = city(slug)
    return _slice_labels(opened.fingerprint, split.model_dump_json(), part, samples(slug, split).of_part(part), opened)


@st.cache_resource(max_entries=1, show_spinner=False)
def _metrics() -> "dict[str, Metric]":
    from engine.evaluation.metrics import METRICS

    return METRICS


def metric_title(metric: str) -> str:
    """A metric's name on screen; other words stay as they are."""
    return _metrics()[metric].title if metric in _metrics() else metric


def metric_meaning(metric: str) -> str:
    """What a metric measures, in one sentence."""
    return _metrics()[metric].meaning if metric in _metrics() else ""


def slice_titles() -> dict[str, tuple[str, str]]:
    """Slice to its title and meaning."""
    from engine.evaluation.slices import SLICES

    return {name: (declared.title, declared.meaning) for name, declared in SLICES.items()}


def validation_curve(run_id: str) -> list[float]:
    """The watched validation metric of the last stage, epoch by epoch; empty while there is none."""
    curves = run_curves(run_id)
    keys = [key for key in dict.fromkeys(curves["key"].astype(str)) if "/valid_" in key]
    if not keys:
        return []
    stage = keys[-1].split("/")[0]
    key = next(key for key in keys if key.startswith(f"{stage}/"))
    return [float(value) for value in curves.loc[curves["key"] == key, "value"]]


def run_data_card(run_id: str) -> DataCard:
    """The data card that travels with a run's scores.

    Raises:
        MobiscopeError: If it is missing or damaged.
    """
    return DataCard.model_validate(store.read_json(RunFolder(run_id).data_card_path))


def run_difference(first: str, second: str) -> pd.DataFrame:
    """Every metric of two runs and their paired difference: metric, a, b, value, low, high, n, users.

    Raises:
        MobiscopeError: If the runs did not answer the same test steps.
    """
    paths = [RunFolder(run).tables / "predictions.parquet" for run in (first, second)]
    stamps = tuple(path.stat().st_mtime_ns if path.is_file() else 0 for path in paths)
    return _run_difference(first, second, str(store.home()), stamps)


@st.cache_data(max_entries=16, show_spinner="Comparing the two on the same steps")
def _run_difference(first: str, second: str, home: str, stamps: tuple[int, ...]) -> pd.DataFrame:
    from engine.evaluation.metrics import METRICS, paired_difference, summarise
    from engine.evaluation.ranking import Answers

    given = []
    for run_id in (first, second):
        run = Run.open(run_id)
        places = Places.of(run.city())
        predictions = run_table(run_id, "predictions")
        given.append(Answers.from_frame(predictions[predictions["predictor"] == run.request.model], places))
    values = [summarise(answers) for answers in given]
    rows = []
    for metric in METRICS:
        found = paired_difference(given[0], given[1], metric)
        rows.append(
            {
                "metric": metric,
                "a": values[0][metric].value,
                "b": values[1][metric].value,
                "value": found.value,
                "low": found.low,
                "high": found.high,
                "n": found.n,
                "users": found.users,
            }
        )
    return pd.DataFrame(rows)


def forget_run(run_id: str) -> None:
    """Drops what is cached of runs, after one was deleted."""
    for cache in (_run_table, _run_curves, _loaded_run, _run_difference, _predictors, _question_steps, _replies):
        cache.clear()


# ---- questions -------------------------------------------------------------------------------------------------------------

_SLOW_TO_FIT = ("skip_gram",)
"""Baselines that take seconds to fit; their answers stand in the predictions table of the run."""


@st.cache_resource(max_entries=2, show_spinner="Fitting the baselines")
def _predictors(run_id: str, home: str, stamp: int, _loaded: Any) -> "list[Predictor]":
    from engine.models.baselines import BASELINES, fit_baselines

    samples = _loaded.data.samples
    quick = [name for name in BASELINES if name not in _SLOW_TO_FIT]
    return [_loaded.model, *(fit_baselines(samples.log, names=quick) if samples is not None else [])]


def predictors(run_id: str) -> "list[Predictor]":
    """The run's model, then the baselines that are quick to fit, all ready to be asked.

    Raises:
        RunError: If the run cannot be loaded.
    """
    return _predictors(run_id, str(store.home()), _weights_stamp(run_id), loaded_run(run_id))


@st.cache_resource(max_entries=4, show_spinner=False)
def _question_steps(
    run_id: str, home: str, stamp: int, _samples: Samples, _predictions: pd.DataFrame | None
) -> "tuple[str, pd.DataFrame]":
    from dashboard import questions

    part, steps = questions.steps_of(_samples)
    if _predictions is not None:
        ranks = _predictions.pivot_table(index="sample_id", columns="predictor", values="true_rank", aggfunc="first", dropna=False)
        steps = steps.join(ranks.astype("Float64").astype(float).fillna(np.inf).add_prefix("rank."), on="row")
    return part, steps


def question_steps(run_id: str) -> "tuple[str, pd.DataFrame]":
    """The steps of a run that can be looked at, and the part they are of; see `dashboard.questions.steps_of`.

    Further columns `rank.<predictor>` give the rank of the truth where the run has predictions (inf: not answered).
    """
    try:
        predictions = run_table(run_id, "predictions")
    except MobiscopeError:
        predictions = None
    return _question_steps(run_id, str(store.home()), _weights_stamp(run_id), loaded_run(run_id).data.samples, predictions)


@st.cache_resource(max_entries=48, show_spinner=False)
def _replies(run_id: str, home: str, stamp: int, index: int, edit: str) -> "list[Reply]":
    from dashboard import questions

    return questions.ask(predictors(run_id), loaded_run(run_id).data.samples, index, questions.QueryEdit.from_key(edit))


def replies(run_id: str, index: int, edit: "QueryEdit") -> "list[Reply]":
    """The answers of `predictors` to one step under an edit; read-only.

    Raises:
        ScenarioError: If the edit does not fit the step.
    """
    return _replies(run_id, str(store.home()), _weights_stamp(run_id), index, edit.key())


def _weights_stamp(run_id: str) -> int:
    path = RunFolder(run_id).model / "model.safetensors"
    return path.stat().st_mtime_ns if path.is_file() else 0


@st.cache_resource(max_entries=4, show_spinner=False)
def _embeddings(run_id: str, home: str, stamp: int) -> dict[str, Any]:
    loaded = loaded_run(run_id)
    return loaded.model.embeddings(loaded.data.samples.log.places)


def embeddings(run_id: str) -> dict[str, Any]:
    """The embeddings a run's model declares, by name (`engine.models.base.Embedding`); read-only."""
    return _embeddings(run_id, str(store.home()), _weights_stamp(run_id))


@st.cache_resource(max_entries=4, show_spinner=False)
def _field(run_id: str, home: str, stamp: int, width: int) -> Any:
    from engine.field import sample_field

    loaded = loaded_run(run_id)
    return sample_field(loaded.model.encode_points, loaded.data.city, width)


def field(run_id: str, width: int = 120) -> Any:
    """The field of a run's model over its city (`engine.field.Raster`); read-only.

    Raises:
        MobiscopeError: If the model has no field.
    """
    return _field(run_id, str(store.home()), _weights_stamp(run_id), width)


@st.cache_resource(max_entries=4, show_spinner=False)
def _kernel(run_id: str, home: str, stamp: int) -> Any:
    from engine.field import kernel_curve

    loaded = loaded_run(run_id)
    places = loaded.data.samples.log.places
    return kernel_curve(loaded.model.encode_points, places.x, places.y)


def kernel(run_id: str) -> Any:
    """How alike two points are by distance (`engine.field.Kernel`); read-only."""
    return _kernel(run_id, str(store.home()), _weights_stamp(run_id))


@st.cache_data(max_entries=8, show_spinner=False)
def _clusters(run_id: str, home: str, stamp: int, name: str, count: int) -> np.ndarray:
    from sklearn.cluster import KMeans

    vectors = embeddings(run_id)[name].vectors
    unit = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    return KMeans(min(count, len(unit)), random_state=0, n_init=4).fit_predict(unit)


def clusters(run_id: str, name: str, count: int = 8) -> np.ndarray:
    """(row,) k-means cluster of each vector of an embedding, by direction; seeded."""
    return _clusters(run_id, str(store.home()), _weights_stamp(run_id), name, count)


@st.cache_data(max_entries=8, show_spinner=False)
def _category_purity(run_id: str, home: str, stamp: int, name: str) -> tuple[float, float]:
    from engine.projection import purity

    vectors = embeddings(run_id)[name].vectors
    unit = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    return purity(unit, loaded_run(run_id).data.samples.log.places.category)


def category_purity(run_id: str, name: str) -> tuple[float, float]:
    """Share of the ten nearest neighbours with the same category in a location embedding, and by chance."""
    return _category_purity(run_id, str(store.home()), _weights_stamp(run_id), name)


def has_weights(run_id: str) -> bool:
    """Whether a run has a trained model to look into."""
    return bool(_weights_stamp(run_id))


def run_model(run_id: str) -> str:
    """The name of a run's model, as its tables call it."""
    return Run.open(run_id).request.model
