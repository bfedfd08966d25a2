"""The only caches around the engine: bounded, keyed by fingerprints and run ids, never by big tables.

Streamlit hashes only a sample of a big frame, so a frame passed as a key would make two different tables look the same. Frames and
objects go in with a leading underscore, which leaves them out of the key. What is cached with `cache_resource` is shared by all
sessions and must never be changed. Pages use `from dashboard import cached` and find everything here.
"""

import streamlit as st

from dashboard.cached.attention_data import attention, left_out
from dashboard.cached.city_data import (
    CityEntry,
    CityFacts,
    base,
    built_in_city,
    cities,
    city,
    city_entry,
    city_facts,
    city_rhythm,
    samples,
    slice_labels,
    table_head,
    visit_log,
    visits_by_day,
    visits_per_person,
    visits_per_place,
)
from dashboard.cached.embedding_data import category_purity, clusters, embeddings, field, kernel
from dashboard.cached.expert_data import (
    Asked,
    AskedOnce,
    asked,
    asked_once,
    effects,
    elsewhere,
    expert_labels,
    expert_sets,
    label_checks,
    likeness,
    load_curves,
)
from dashboard.cached.question_data import predictors, question_steps, replies, steps_in_slice
from dashboard.cached.run_data import (
    ModelEntry,
    active_runs,
    has_weights,
    loaded_run,
    models,
    requirements,
    run_curves,
    run_data_card,
    run_declares,
    run_label,
    run_model,
    run_table,
    run_task,
    run_title,
    runs,
    validation_curve,
    weights_stamp,
)
from dashboard.cached.score_data import (
    Headline,
    headline,
    metric_meaning,
    metric_title,
    metric_unit,
    run_difference,
    scores,
    slice_titles,
)

__all__ = [
    "Asked",
    "AskedOnce",
    "CityEntry",
    "CityFacts",
    "Headline",
    "ModelEntry",
    "active_runs",
    "asked",
    "asked_once",
    "attention",
    "base",
    "built_in_city",
    "category_purity",
    "cities",
    "city",
    "city_entry",
    "city_facts",
    "city_rhythm",
    "clusters",
    "effects",
    "elsewhere",
    "embeddings",
    "expert_labels",
    "expert_sets",
    "field",
    "forget_city",
    "forget_run",
    "has_weights",
    "headline",
    "kernel",
    "label_checks",
    "left_out",
    "likeness",
    "load_curves",
    "loaded_run",
    "metric_meaning",
    "metric_title",
    "metric_unit",
    "models",
    "predictors",
    "question_steps",
    "replies",
    "requirements",
    "run_curves",
    "run_data_card",
    "run_declares",
    "run_difference",
    "run_label",
    "run_model",
    "run_table",
    "run_task",
    "run_title",
    "runs",
    "samples",
    "scores",
    "slice_labels",
    "slice_titles",
    "steps_in_slice",
    "table_head",
    "validation_curve",
    "visit_log",
    "visits_by_day",
    "visits_per_person",
    "visits_per_place",
    "weights_stamp",
]


def forget_city(slug: str) -> None:
    """Empties the caches after a city was deleted: nothing of it may stay in memory."""
    st.cache_data.clear()
    st.cache_resource.clear()


def forget_run(run_id: str) -> None:
    """Empties the caches after a run was deleted."""
    forget_city(run_id)
