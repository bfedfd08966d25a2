"""Vectors of cells as a picture linked to the map, and modalities before and after they were aligned."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from dashboard import cached, panels, python_lines, session, wording
from dashboard.cached import cell_data, cell_inside
from dashboard.cached.cell_data import CellOutlines, Curves
from dashboard.figures import base_map, cell_map, colours
from dashboard.figures.cell_inside import before_and_after
from dashboard.figures.frame import chart_config
from dashboard.figures.projection_scatter import Colouring, projection_scatter
from dashboard.views import cell_choice, cell_clusters, cell_tables, city_map
from dashboard.views.cell_modalities import TITLES
from dashboard.views.export_menu import export_menu
from engine.errors import MobiscopeError
from engine.runs import Run

QUESTION = "What lies near what?"
METHODS = {"pca": "PCA", "umap": "UMAP", "tsne": "t-SNE"}
COLOURINGS = {
    "level": "Trips a day",
    "peak": "Busiest hour",
    "cluster": "Cluster of curves",
    "district": "District",
    "part": "Part of the split",
}
KINDS = {"spatial": "as seen", "text": "as described", "fused": "fused", "context": "with neighbours"}
"""Vectors a model may declare of a modality, `<modality>.<kind>`, in the order in which they are made."""
PAIR_COLUMNS = ["pair", "cosine", "by_chance", "recall_10", "recall_1", "gap", "n"]
PARTS = {"train": "prediction", "valid": "baseline", "test": "truth", "input only": "miss"}


def draw(slug: str, run_id: str) -> None:
    """The page for a grid run."""
    declared = cell_inside.vectors(run_id)
    curves, outlines = cell_data.curves(run_id), cell_data.outlines(slug)
    if not declared:
        panels.head(QUESTION)
        panels.nothing("This model declares no embedding", "It keeps no vectors of cells, hours or modalities.")
        return
    names = list(declared)
    name = session.widget("embeddings.cells.name", names[0])
    name = name if name in declared else names[0]
    panels.head(QUESTION, _answer(run_id, declared[name], curves))
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
        name = st.selectbox("Embedding", names, format_func=lambda key: declared[key].title, key="embeddings.cells.name", width=300)
        method = st.segmented_control(
            "Layout", list(METHODS), default="pca", required=True, format_func=METHODS.get, key="embeddings.cells.method"
        )
        colour = st.selectbox("Colour", list(COLOURINGS), format_func=COLOURINGS.get, key="embeddings.cells.colour", width=210)
    embedding = declared[name]
    is_cell = embedding.subject == "cell"
    colouring = _colouring(str(colour), run_id, curves, outlines) if is_cell else _hours(embedding)
    if is_cell:
        left, right = st.columns([55, 45], gap="medium")
        with left:
            _map(run_id, slug, outlines, colouring, curves)
        with right:
            _picture(run_id, embedding, str(method), colouring, outlines, name)
    else:
        _picture(run_id, embedding, str(method), colouring, outlines, name)
    _alignment(run_id, declared)


def _answer(run_id: str, embedding: Any, curves: Curves) -> str:
    """How much nearer in flow the neighbours in this space are than chance."""
    if embedding.subject != "cell" or len(embedding.ids) < 12:
        return wording.literal(embedding.meaning, limit=300)
    level = np.log1p(curves.observed.sum(axis=1))
    known = np.isfinite(level)
    if known.sum() < 12:
        return wording.literal(embedding.meaning, limit=300)
    unit = embedding.vectors[known] / np.maximum(np.linalg.norm(embedding.vectors[known], axis=1, keepdims=True), 1e-12)
    generator = np.random.default_rng(0)
    asked = generator.permutation(len(unit))[:600]
    alike = unit[asked] @ unit.T
    alike[np.arange(len(asked)), asked] = -np.inf
    near = np.argpartition(-alike, 10, axis=1)[:, :10]
    gap = np.abs(level[known][near] - level[known][asked][:, None]).mean()
    chance = np.abs(level[known][:, None] - level[known][asked][None]).mean()
    return (
        f"A cell and its ten nearest in this space differ by a factor of {wording.significant(float(np.exp(gap)))} in trips a day; two "
        f"cells drawn by chance by {wording.significant(float(np.exp(chance)))} (n = {wording.counted(len(asked), 'cell')})."
    )


def _hours(embedding: Any) -> Colouring:
    return Colouring(embedding.subject, values=np.arange(len(embedding.ids), dtype=float))


def _colouring(kind: str, run_id: str, curves: Curves, outlines: CellOutlines) -> Colouring:
    theme = session.theme()
    match kind:
        case "peak":
            known = np.isfinite(curves.observed).all(axis=1)
            return Colouring("busiest hour", values=np.where(known, np.nan_to_num(curves.observed).argmax(axis=1), np.nan))
        case "cluster":
            found = cell_clusters.of_run(run_id)
            if found is not None:
                groups = np.array([f"cluster {one + 1}" if one >= 0 else "no curve" for one in found])
                palette = {f"cluster {one + 1}": colours.categorical(one) for one in range(int(found.max()) + 1)}
                return Colouring("cluster of curves", groups=groups, palette=palette)
        case "district":
            names = pd.Series(outlines.district).replace("", "no district")
            order = list(names.value_counts().index)
            kept = {str(one): colours.categorical(number) for number, one in enumerate(order[:14])}
            groups = np.array([one if one in kept else "others" for one in names])
            return Colouring("district", groups=groups, palette=kept | {"others": colours.other(theme)})
        case "part":
            palette = {part: colours.role(role, theme) for part, role in PARTS.items()}
            return Colouring("part", groups=np.array(curves.parts()), palette=palette)
    return Colouring("trips a day", values=np.log10(1 + curves.observed.sum(axis=1)), is_log=True)


def _picture(run_id: str, embedding: Any, method: str, colouring: Colouring, outlines: CellOutlines, name: str) -> None:
    from engine.projection import project_embedding

    panels.panel(
        f"{METHODS[method]} of {embedding.title[0].lower()}{embedding.title[1:]}",
        f"Drawn: {wording.count(len(embedding.ids))} vectors of {embedding.vectors.shape[1]} numbers, laid out so that like ones lie near. "
        f"{embedding.meaning}",
        "Read: near dots are alike if the trust printed below is high. Draw a lasso: what it catches lights up on the map.",
        "Do not conclude from distances between clusters or from the axes; they mean nothing in UMAP and t-SNE.",
        "Trustworthiness: Venna and Kaski (2006).",
    )
    try:
        with st.spinner("Laying out the picture"):
            shown = project_embedding(embedding.vectors, method)  # type: ignore[arg-type]
    except MobiscopeError as error:
        panels.refusal(error)
        return
    ids = np.asarray([str(item) for item in embedding.ids], object)[shown.chosen]
    is_cell = embedding.subject == "cell"
    labels = np.array(
        [cell_choice.label(outlines, int(at)) if is_cell else f"{item} h" for at, item in zip(shown.chosen, ids, strict=True)]
    )
    kept = Colouring(
        colouring.title,
        None if colouring.values is None else colouring.values[shown.chosen],
        None if colouring.groups is None else colouring.groups[shown.chosen],
        colouring.palette,
        colouring.is_log,
    )
    selection = session.selection()
    selected = set(selection.ids) if is_cell and selection.kind == "cell" else set()
    state = st.plotly_chart(
        projection_scatter(shown.position, ids, labels, kept, selected, session.theme(), 500),
        key=f"embeddings.cells.picture.{name}.{method}",
        on_select="rerun",
        selection_mode=("lasso", "box", "points"),
        config={"displaylogo": False, "modeBarButtonsToRemove": ["autoScale2d"], "scrollZoom": True},
    )
    points = state["selection"]["points"] if state else []
    caught = tuple(str(point["customdata"]) for point in points if point.get("customdata") is not None)
    if is_cell and caught and caught != session.get("embeddings.cells.caught", ()):
        session.put("embeddings.cells.caught", caught)
        session.select(caught, "picture of cells", kind="cell")
        st.rerun()
    table = pd.DataFrame(
        {"id": ids, "x": shown.position[:, 0], "y": shown.position[:, 1], "vector": list(embedding.vectors[shown.chosen])}
    )
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
        st.caption(
            f"Trustworthiness {shown.trustworthiness:.2f}, neighbour overlap {wording.percent(shown.neighbour_overlap)} at "
            f"{shown.neighbours} neighbours."
        )
        picture = f"picture = project_embedding(vectors[{name!r}].vectors, {method!r})"
        python = _python(run_id, picture, imports=["from engine.projection import project_embedding"])
        export_menu("embeddings.cells.export", f"{name}-{method}", table, python=python, chart=True)


def _python(run_id: str, *lines: str, imports: Sequence[str] = ()) -> str:
    """Lines of Python that give the vectors and the observed curves, and what is done with them."""
    return python_lines.of_model(
        run_id,
        "vectors = run.model.embeddings(run.data.inputs, run.data.cells)",
        "observed = run.data.cells.outflow",
        *lines,
        imports=imports,
    )


def _map(run_id: str, slug: str, outlines: CellOutlines, colouring: Colouring, curves: Curves) -> None:
    theme, city = session.theme(), cached.city(slug)
    hexes = colouring.hexes(theme)
    selection = session.selection()
    selected = {cell for cell in selection.ids if cell in curves.index} if selection.kind == "cell" else set()
    tints = [
        colours.rgba(hexes[row], 225 if not selected or str(cell) in selected else 60) for row, cell in enumerate(outlines.ids)
    ]
    tips = [cell_choice.label(outlines, row) for row in range(len(outlines.ids))]
    base = cached.base(slug, theme, places=False, buildings="none", faint=True)
    layers = [*base.layers, cell_map.part_layer(outlines.shapes, tints, tips)]
    if selected:
        rows = np.array([curves.index[cell] for cell in selected])
        pink = colours.rgba(colours.role("edited", theme))
        layers.append(cell_map.courses_layer("chosen", cell_map.outline_courses(outlines.shapes[rows]), pink, 2))
    legend = (
        city_map.families_legend({name: tint for name, tint in (colouring.palette or {}).items() if name in set(colouring.groups)})
        if colouring.groups is not None
        else [city_map.Entry("ramp", colouring.in_words())]
    )
    state = city_map.draw(
        city,
        layers,
        key="embeddings.cells.map",
        alt="Map of cells in the colours of the picture",
        legend=legend,
        attribution=base.attribution,
        height=520,
        selectable=True,
    )
    clicked = [int(thing["i"]) for thing in session.picked(state, "cells") if "i" in thing]
    if clicked and clicked != session.get("embeddings.cells.clicked", None):
        session.put("embeddings.cells.clicked", clicked)
        session.select([str(outlines.ids[clicked[0]])], "map of cells", kind="cell")
        st.rerun()
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
        st.caption("A lasso in the picture lights up its cells here.")
        shown = colouring.groups if colouring.groups is not None else colouring.values
        table = pd.DataFrame(
            {"cell_id": outlines.ids, colouring.title: shown, "longitude": outlines.longitude, "latitude": outlines.latitude}
        )
        export_menu("embeddings.cells.export.map", "cells", table, base_map.deck(layers, city, theme), python=_python(run_id))


# ---- alignment -----------------------------------------------------------------------------------------------------------------


def _alignment(run_id: str, declared: dict[str, Any]) -> None:
    """Modalities beside their descriptions, before and after fusion and graph, with the figures of their alignment."""
    kinds = {name.rpartition(".")[0] for name in declared if name.endswith(".spatial")}
    described = [name for name in TITLES if name in kinds and f"{name}.text" in declared]
    if not described:
        return
    modality = str(session.widget("embeddings.cells.modality", described[0]))
    panes = _panes({kind: declared[f"{modality}.{kind}"].vectors for kind in KINDS if f"{modality}.{kind}" in declared})
    panels.panel(
        "Seen and said" if len(panes) == 1 else "Seen and said, before and after fusion",
        "Drawn: vectors of all cells for one modality, as seen and as described, as they come to their fusion; beside it, where the model "
        "declares them, as seen and as fused with the description, and as fused and then knowing the neighbours. All in one plane, that of the two "
        "largest principal components.",
        "Read: training pulls what is seen of a cell towards its description, and fusion mixes the two. Recall counts how often the "
        "right description is the nearest, or among the nearest ten; the gap is the distance between the centres of both clouds.",
        "Do not conclude from two clouds apart that nothing was aligned: a constant offset costs the cosine, not the ranking.",
        "LMEMR §3.3.2 and §3.4; modality gap: Liang et al. (2022).",
        actions=lambda: export_menu(
            "embeddings.cells.alignment", "alignment", _table(run_id), python=python_lines.of_table(run_id, "alignment"), chart=True
        ),
    )
    st.segmented_control(
        "Modality", described, default=described[0], required=True, format_func=TITLES.get, key="embeddings.cells.modality"
    )
    theme = session.theme()
    ink, quiet = colours.role("observed", theme), colours.ink("muted", theme)
    tints = (colours.modality(modality), ink, quiet, ink)  # the last never stands beside the second
    st.plotly_chart(
        before_and_after(panes, dict(zip(KINDS.values(), tints, strict=True)), theme),
        key="embeddings.cells.pairs",
        config=chart_config("alignment"),
        alt=f"Vectors of a modality: {'; '.join(panes)}",
    )
    table = _table(run_id)
    if table is None:
        panels.nothing("No figures of the alignment", "This run kept no table of it; train it again.")
        return
    names = TITLES | {"description": "description"}
    shown = table.assign(
        pair=[f"{names.get(a, a)} – {names.get(b, b)}" for a, b in zip(table["one"], table["other"], strict=True)],
        # To two digits before the column is formatted: what is left of a small negative number is no −0.00.
        **(table[["cosine", "by_chance", "gap"]].round(2) + 0.0),
    )
    st.dataframe(
        cell_tables.rounded(shown, "recall_10", "recall_1")[PAIR_COLUMNS],
        hide_index=True,
        key="embeddings.cells.figures",
        height="content",
        column_config={
            "cosine": st.column_config.NumberColumn(format="%.2f", help="Mean cosine of the two vectors of one cell."),
            "by_chance": st.column_config.NumberColumn("by chance", format="%.2f", help="The same between two cells."),
            "gap": st.column_config.NumberColumn(format="%.2f", help="Distance between the centres of both clouds."),
            "recall_1": st.column_config.NumberColumn("first", format="percent", help="The right one is the nearest."),
            "recall_10": st.column_config.NumberColumn("in ten", format="percent", help="The right one is among the nearest ten."),
            "n": st.column_config.NumberColumn(format=cell_tables.NUMBER, help="Cells that have both."),
        },
    )


def _table(run_id: str) -> pd.DataFrame | None:
    return cached.run_table(run_id, "alignment") if "alignment" in Run.open(run_id).tables() else None


def _panes(vectors: dict[str, np.ndarray]) -> dict[str, dict[str, np.ndarray]]:
    """Title of a pane to the kinds of vectors in it and their positions (cell, 2), as far as the model declares them.

    Args:
        vectors: Key of `KINDS` to (cell, component); `spatial` and `text` are there.
    """
    position = dict(zip(vectors, _plane(*vectors.values()), strict=True))
    return {
        title: {KINDS[kind]: position[kind] for kind in both}
        for title, both in (
            ("before fusion", ("spatial", "text")),
            ("after fusion", ("spatial", "fused")),
            ("with neighbours", ("fused", "context")),
        )
        if position.keys() >= set(both)
    }


def _plane(*kinds: np.ndarray) -> list[np.ndarray]:
    """Vectors of the same cells in the plane of their two largest common components; each in its own where widths differ."""
    if len({vectors.shape[1] for vectors in kinds}) > 1:
        return [_own(vectors) for vectors in kinds]
    together = np.concatenate(kinds).astype(np.float64)
    unit = together / np.maximum(np.linalg.norm(together, axis=1, keepdims=True), 1e-12)
    unit -= unit.mean(axis=0)
    _, _, axes = np.linalg.svd(unit, full_matrices=False)
    return np.split(unit @ axes[:2].T, len(kinds))


def _own(vectors: np.ndarray) -> np.ndarray:
    centred = vectors - vectors.mean(axis=0)
    return np.asarray(centred @ np.linalg.svd(centred, full_matrices=False)[2][:2].T)
