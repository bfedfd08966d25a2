"""An embedding as a picture linked to the map: colours, lasso, neighbours, and how far the picture can be trusted."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import pydeck as pdk
import streamlit as st

from dashboard import cached, panels, python_lines, session, wording
from dashboard.figures import base_map, colours
from dashboard.figures.deck import PIXELS, literal, positions
from dashboard.figures.projection_scatter import Colouring, projection_scatter
from dashboard.views import city_map
from dashboard.views.export_menu import export_menu
from engine.city.samples import VisitLog
from engine.errors import MobiscopeError
from engine.evaluation.slices import popularity_deciles

METHODS = {"umap": "UMAP", "tsne": "t-SNE", "pca": "PCA"}
COLOURINGS = {
    "category": "Category",
    "visits": "Visits",
    "decile": "Popularity decile",
    "seen": "Seen or hidden in training",
    "error": "Found in the test part",
    "cluster": "Cluster",
}
LOCATION_ONLY = ("category", "visits", "decile", "seen", "error")
ORIGIN = "picture of an embedding"


def colouring(kind: str, run_id: str, name: str, log: VisitLog) -> Colouring:
    """The colours of the rows of an embedding.

    Args:
        kind: A key of `COLOURINGS`.
        run_id: The run.
        name: The embedding.
        log: Its visit log; the rows of a location embedding are in the order of its places.
    """
    theme, places = session.theme(), log.places
    match kind:
        case "category":
            entry = cached.city(str(session.city()))
            families = base_map.place_families(entry.spatial("locations"))
            counted = pd.Series(families).value_counts().index
            palette = {
                str(f): colours.family_colour(str(f), theme) if f != colours.OTHER else colours.other(theme) for f in counted
            }
            return Colouring("family of categories", groups=families, palette=palette)
        case "visits":
            return Colouring("visits in training, log10(1 + n)", values=np.log10(1.0 + log.visits_in_training))
        case "decile":
            return Colouring("popularity decile, 10 most visited", values=popularity_deciles(log).astype(float))
        case "seen":
            groups = np.where(log.hidden, "hidden from training", np.where(log.seen, "seen in training", "no visit in training"))
            palette = {
                "seen in training": colours.role("prediction", theme),
                "hidden from training": colours.role("edited", theme),
                "no visit in training": colours.role("miss", theme),
            }
            return Colouring("training", groups=groups, palette=palette)
        case "error":
            rows = cached.run_table(run_id, "predictions")
            rows = rows[rows["predictor"] == cached.run_model(run_id)]
            found = (rows["true_rank"].astype("Float64").fillna(np.inf) <= 10).groupby(rows["true_id"]).mean()
            return Colouring("share found among the first 10", values=found.reindex(range(len(places))).to_numpy(float))
        case _:
            cluster = cached.clusters(run_id, name)
            groups = np.array([f"cluster {index + 1}" for index in cluster])
            return Colouring(
                "k-means", groups=groups, palette={f"cluster {i + 1}": colours.categorical(i) for i in range(cluster.max() + 1)}
            )


def picture(run_id: str, name: str, method: str, colour: str, log: VisitLog) -> None:
    """The picture with its quality; computed in the background when it is not cached."""
    from engine.projection import project_embedding, start_projection

    embedding = cached.embeddings(run_id)[name]
    strata = popularity_deciles(log) if embedding.subject == "location" else None
    can_select = embedding.subject in session.KINDS
    panels.panel(
        f"{METHODS[method]} of {embedding.title[0].lower()}{embedding.title[1:]}",
        f"Drawn: {wording.count(len(embedding.ids))} vectors of {embedding.vectors.shape[1]} numbers, laid out so that like ones lie near. {embedding.meaning}",
        "Read: near dots are alike if the trust printed below is high."
        + (" Draw a lasso: what it catches is selected on every page." if can_select else ""),
        "Do not conclude from distances between clusters, from their size or from the axes; they mean nothing in UMAP and t-SNE.",
        "Trustworthiness: Venna and Kaski (2006).",
    )
    try:
        ticket = start_projection(embedding.vectors, method, strata=strata)
        if not ticket.is_ready:
            _waiting(ticket)
            return
    except MobiscopeError as error:
        panels.refusal(error)
        return
    shown = project_embedding(embedding.vectors, method, strata=strata)
    ids = np.asarray([str(item) for item in embedding.ids], object)
    chosen = session.selection()
    selected = set(chosen.ids) if chosen.kind == embedding.subject else set()
    colours_of = colouring(colour, run_id, name, log)
    kept = Colouring(
        colours_of.title,
        None if colours_of.values is None else colours_of.values[shown.chosen],
        None if colours_of.groups is None else colours_of.groups[shown.chosen],
        colours_of.palette,
    )
    figure = projection_scatter(
        shown.position, ids[shown.chosen], _labels(embedding, log)[shown.chosen], kept, selected, session.theme()
    )
    state = st.plotly_chart(
        figure,
        key=f"embeddings.picture.{run_id}.{name}.{method}",
        on_select="rerun" if can_select else "ignore",
        selection_mode=("lasso", "box", "points"),
        config={"displaylogo": False, "modeBarButtonsToRemove": ["autoScale2d"], "scrollZoom": True},
    )
    points = state["selection"]["points"] if can_select else []
    caught = tuple(str(point["customdata"]) for point in points if point.get("customdata") is not None)
    if caught and caught != session.get("embeddings.caught", ()):
        session.put("embeddings.caught", caught)
        session.select(caught, ORIGIN, kind=embedding.subject)
        st.rerun()
    said = (
        f"Trustworthiness {shown.trustworthiness:.2f} and neighbour overlap {wording.percent(shown.neighbour_overlap)} at "
        f"{shown.neighbours} neighbours (1 and 100 % would be a perfect picture)."
    )
    if shown.is_sampled:
        said += f" {wording.count(len(shown.chosen))} of {wording.count(shown.total)} points are drawn, every popularity decile in its share."
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
        st.caption(wording.literal(said, limit=400))
        picture = f"picture = project_embedding(vectors, {method!r})"
        python = _python(run_id, name, picture, imports=["from engine.projection import project_embedding"])
        export_menu(f"embeddings.export.{name}", f"{name}-{method}", _exported(embedding, shown, log), python=python, chart=True)


def _python(run_id: str, name: str, *lines: str, imports: Sequence[str] = ()) -> str:
    """The lines that give an embedding's vectors, and what is done with them."""
    vectors = f"vectors = run.model.embeddings(run.data.samples.log.places)[{name!r}].vectors"
    return python_lines.of_model(run_id, vectors, *lines, imports=imports)


def _exported(embedding: Any, shown: Any, log: VisitLog) -> pd.DataFrame:
    """The picture in the columns of embedding-atlas: id, vector, projection_x, projection_y; places with their position."""
    table = pd.DataFrame(
        {
            "id": [str(item) for item in np.asarray(embedding.ids, object)[shown.chosen]],
            "kind": embedding.subject,
            "projection_x": shown.position[:, 0],
            "projection_y": shown.position[:, 1],
            "vector": list(embedding.vectors[shown.chosen]),
        }
    )
    if embedding.subject == "location":
        table["longitude"], table["latitude"] = log.places.longitude[shown.chosen], log.places.latitude[shown.chosen]
    return table


@st.fragment(run_every="1s")
def _waiting(ticket: Any) -> None:
    try:
        doing, share = ticket.progress()
    except MobiscopeError as error:
        panels.refusal(error)
        return
    if ticket.is_ready:
        st.rerun()
    st.progress(min(share, 1.0), text=f"{doing} (the first picture takes longest; it goes on when you leave this page)")


def linked_map(run_id: str, name: str, colour: str, log: VisitLog) -> None:
    """The places in the same colours; what is selected stands out, and a click on a place selects it."""
    slug, theme = str(session.city()), session.theme()
    city, places = cached.city(slug), log.places
    hexes = colouring(colour, run_id, name, log).hexes(theme)
    chosen = session.selection()
    selected = set(chosen.ids) if chosen.kind == "location" else set()
    visits = log.visits_in_training
    order = np.argsort(-visits, kind="stable")[: base_map.MOST_MARKS]
    where = positions(places.longitude, places.latitude)
    radius = np.round(2.2 + 4.5 * np.sqrt(visits / max(visits.max(), 1)), 1)
    rows = [
        {
            "p": where[row],
            "r": float(radius[row] + (2.5 if str(places.ids[row]) in selected else 0)),
            "c": colours.rgba(hexes[row], 255 if str(places.ids[row]) in selected else 60 if selected else 190),
            "w": 1.6 if str(places.ids[row]) in selected else 0,
            "id": literal(places.ids[row]),
            "tip": literal(
                f"{str(places.names[row])[:80]}\n{places.category_names[places.category[row]][:60]}, {int(visits[row]):,} visits in training"
            ),
        }
        for row in order
    ]
    rows.sort(key=lambda row: row["w"])
    layer = pdk.Layer(
        "ScatterplotLayer",
        rows,
        id="linked",
        get_position="p",
        get_radius="r",
        radius_units=PIXELS,
        get_fill_color="c",
        stroked=True,
        get_line_color=colours.rgba(colours.role("edited", theme)),
        get_line_width="w",
        line_width_units=PIXELS,
        pickable=True,
    )
    base = cached.base(slug, theme, places=False, buildings="none", faint=True)
    layers, meaning = [*base.layers, layer], colouring(colour, run_id, name, log)
    table = pd.DataFrame(
        {
            "location_id": places.ids,
            "name": places.names,
            "category": np.array(places.category_names, object)[places.category],
            "visits_in_training": visits,
            "colour_of": meaning.title,
            "shown": meaning.groups if meaning.groups is not None else meaning.values,
            "selected": np.isin(places.ids.astype(str), list(selected)),
            "longitude": places.longitude,
            "latitude": places.latitude,
        }
    )
    panels.panel(
        "On the map",
        "Drawn: the places where they stand, in the colours of the picture; area by visits in training.",
        "Read: what a lasso in the picture catches stands out here. Click a place to light it in the picture and see its neighbours.",
        "Do not conclude from colours that lie together on the ground alone; compare with the picture.",
        actions=lambda: export_menu(
            "embeddings.export.map",
            f"{name}-places",
            table,
            base_map.deck(layers, city, theme),
            python=_python(run_id, name, "visits = run.data.samples.log.visits_in_training"),
        ),
    )
    if meaning.groups is not None:
        present = {str(group) for group in meaning.groups}
        legend = city_map.families_legend({group: hex_ for group, hex_ in (meaning.palette or {}).items() if group in present})
    else:
        legend = [city_map.Entry("ramp", meaning.title)]
    alt = "Map of the places in the colours of the picture"
    state = city_map.draw(
        city, layers, key="embeddings.map", alt=alt, legend=legend, attribution=base.attribution, height=560, selectable=True
    )
    clicked = tuple(str(item["id"]).lstrip("\u200b") for item in session.picked(state, "linked"))
    if clicked and clicked != session.get("embeddings.clicked", ()):
        session.put("embeddings.clicked", clicked)
        session.select(clicked, "map of an embedding", primary=clicked[-1])
        st.rerun()
    if len(order) < len(places):
        st.caption(f"The {wording.count(len(order))} most visited of {wording.count(len(places))} places are drawn.")


def neighbours(run_id: str, name: str, log: VisitLog) -> None:
    """The nearest neighbours of the place that is looked at, and how pure neighbourhoods are."""
    from engine.projection import nearest

    places, chosen = log.places, session.selection()
    if chosen.kind != "location" or chosen.primary not in places.index:
        panels.nothing("No place is chosen", "Click a place on the map, or draw a lasso in the picture.")
        return
    row = places.index[chosen.primary]
    found, similarity = nearest(cached.embeddings(run_id)[name].vectors, row, 10)
    distance = np.hypot(places.x[found] - places.x[row], places.y[found] - places.y[row])
    table = pd.DataFrame(
        {
            "place": places.names[found],
            "category": np.array(places.category_names, object)[places.category[found]],
            "cosine": similarity.round(3),
            "distance, m": distance.round(),
            "visits in training": log.visits_in_training[found],
        }
    )
    where = {"longitude": places.longitude[found], "latitude": places.latitude[found]}
    python = _python(
        run_id, name, f"found, cosine = nearest(vectors, {row}, 10)", imports=["from engine.projection import nearest"]
    )
    panels.panel(
        f"Nearest to {wording.literal(places.names[row])}",
        "Drawn: the ten places whose vectors point most nearly the same way, with how far they lie on the ground.",
        "Read: cosine 1 is the same direction. Far places of a like kind are what meaning adds to position.",
        "Do not conclude that the model takes them for one another; the picture is of vectors, not of answers.",
        "CaLLiPer §3 (place embeddings).",
        actions=lambda: export_menu(
            "embeddings.export.neighbours",
            "neighbours",
            table.assign(location_id=places.ids[found], **where),
            python=python,
        ),
    )
    st.dataframe(table, hide_index=True, key="embeddings.neighbours")


def _labels(embedding: Any, log: VisitLog) -> np.ndarray:
    if embedding.subject == "location":
        places = log.places
        return np.array(
            [f"{name}, {places.category_names[code]}" for name, code in zip(places.names, places.category, strict=True)], object
        )
    return np.array([f"{embedding.subject} {item}" for item in embedding.ids], object)
