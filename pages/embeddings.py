"""Embeddings: what lies near what, in the picture and on the map."""

import streamlit as st

from dashboard import cached, panels, session, wording
from dashboard.views import embedding, field
from dashboard.views.run_gate import gate
from engine.city.samples import VisitLog


def main() -> None:
    empty = ("There is no trained model to look into", "Embeddings are learned; train a model or open a finished run.")
    asked = gate("What lies near what?", "embeddings", empty, ("next_location", "grid_flow"))
    if asked is None:
        return
    if cached.run_task(asked.run) == "grid_flow":
        from dashboard.views import cell_embedding

        cell_embedding.draw(asked.city, asked.run)
        return
    run_id = asked.run
    loaded = cached.loaded_run(run_id)
    declared = cached.embeddings(run_id)
    if not declared:
        panels.head("What lies near what?")
        panels.nothing(
            f"{wording.literal(loaded.model.title)} declares no embedding", "It keeps no vectors for places, people or hours."
        )
        return
    log = loaded.data.samples.log
    names = list(declared)
    name = session.widget("embeddings.name", names[0])
    name = name if name in declared else names[0]
    panels.head("What lies near what?", _answer(run_id, name, log))
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
        name = st.selectbox("Embedding", names, format_func=lambda key: declared[key].title, key="embeddings.name", width=320)
        method = st.segmented_control(
            "Layout",
            list(embedding.METHODS),
            default="umap",
            required=True,
            format_func=embedding.METHODS.get,
            key="embeddings.method",
        )
        is_location = declared[name].subject == "location"
        kinds = [kind for kind in embedding.COLOURINGS if is_location or kind not in embedding.LOCATION_ONLY]
        colour = st.selectbox(
            "Colour", kinds, format_func=embedding.COLOURINGS.get, key=f"embeddings.colour.{is_location}", width=240
        )
    if is_location:
        left, right = st.columns([55, 45], gap="medium")
        with left:
            embedding.linked_map(run_id, name, colour, log)
        with right:
            embedding.picture(run_id, name, str(method), colour, log)
    else:
        embedding.picture(run_id, name, str(method), colour, log)
    below = st.segmented_control(
        "Below", ["Neighbours", "Field"], default="Neighbours", required=True, key="embeddings.below", label_visibility="collapsed"
    )
    if below == "Neighbours" and is_location:
        embedding.neighbours(run_id, name, log)
    elif below == "Field":
        if loaded.model.encode_points(log.places.x[:1], log.places.y[:1]) is None:
            panels.nothing(
                "This model has no field", "It knows places by their id, not by their position; nothing lies between them."
            )
        else:
            field.draw(run_id, log)


def _answer(run_id: str, name: str, log: VisitLog) -> str:
    """How often neighbours share a category, beside chance."""
    declared = cached.embeddings(run_id)[name]
    if declared.subject != "location" or len(log.places.category_names) < 2 or len(log.places) < 3:
        return wording.literal(declared.meaning, limit=300)
    own, chance = cached.category_purity(run_id, name)
    return (
        f"Of a place's ten nearest neighbours in this space, {wording.percent(own)} share its category; by chance it would be "
        f"{wording.percent(chance)} (n = {wording.counted(len(log.places), 'place')}, {len(log.places.category_names)} categories)."
    )


main()
