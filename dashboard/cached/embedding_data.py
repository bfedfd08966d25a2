"""What a run's model holds of places: its vectors, its field over the city, their clusters."""

from typing import Any

import numpy as np
import streamlit as st

from dashboard.cached.run_data import loaded_run, weights_stamp
from engine import store


@st.cache_resource(max_entries=4, show_spinner=False)
def _embeddings(run_id: str, home: str, stamp: int) -> dict[str, Any]:
    loaded = loaded_run(run_id)
    return loaded.model.embeddings(loaded.data.samples.log.places)


def embeddings(run_id: str) -> dict[str, Any]:
    """The embeddings a run's model declares, by name (`engine.models.declarations.Embedding`); read-only."""
    return _embeddings(run_id, str(store.home()), weights_stamp(run_id))


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
    return _field(run_id, str(store.home()), weights_stamp(run_id), width)


@st.cache_resource(max_entries=4, show_spinner=False)
def _kernel(run_id: str, home: str, stamp: int) -> Any:
    from engine.field import kernel_curve

    loaded = loaded_run(run_id)
    places = loaded.data.samples.log.places
    return kernel_curve(loaded.model.encode_points, places.x, places.y)


def kernel(run_id: str) -> Any:
    """How alike two points are by distance (`engine.field.Kernel`); read-only."""
    return _kernel(run_id, str(store.home()), weights_stamp(run_id))


@st.cache_data(max_entries=8, show_spinner=False)
def _clusters(run_id: str, home: str, stamp: int, name: str, count: int) -> np.ndarray:
    from sklearn.cluster import KMeans

    vectors = embeddings(run_id)[name].vectors
    unit = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    return KMeans(min(count, len(unit)), random_state=0, n_init=4).fit_predict(unit)


def clusters(run_id: str, name: str, count: int = 8) -> np.ndarray:
    """(row,) k-means cluster of each vector of an embedding, by direction; seeded."""
    return _clusters(run_id, str(store.home()), weights_stamp(run_id), name, count)


@st.cache_data(max_entries=8, show_spinner=False)
def _category_purity(run_id: str, home: str, stamp: int, name: str) -> tuple[float, float]:
    from engine.projection import purity

    vectors = embeddings(run_id)[name].vectors
    unit = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    return purity(unit, loaded_run(run_id).data.samples.log.places.category)


def category_purity(run_id: str, name: str) -> tuple[float, float]:
    """Share of the ten nearest neighbours with the same category in a location embedding, and by chance."""
    return _category_purity(run_id, str(store.home()), weights_stamp(run_id), name)
