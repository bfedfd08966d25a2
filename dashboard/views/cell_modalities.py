"""What the model saw of a cell: its tile, height map, street views, places and descriptions, with their sources."""

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import streamlit as st

from dashboard import panels, python_lines, wording
from dashboard.cached import cell_data
from dashboard.figures import colours
from dashboard.views import cell_tables
from dashboard.views.export_menu import export_menu
from engine.encoders.describe_rules import kind_in_words

if TYPE_CHECKING:
    from engine.encoders.cell_features import Modality

TITLES = {"satellite": "Seen from above", "height": "Building heights", "street_view": "Street views", "poi": "Places"}
MOST_VIEWS = 3
MOST_COUNTS = 9
MOST_WORDS = 420
"""Characters of a description shown at once."""


def draw(run_id: str, slug: str, cell: str) -> None:
    """The panel, one column per modality."""
    inputs = cell_data.cell_inputs(run_id)
    found = np.flatnonzero(inputs.cell_ids.astype(str) == cell)
    if not len(found):
        panels.nothing("This cell is not among those the model knows", "Choose another cell on the map.")
        return
    row = int(found[0])
    panels.panel(
        "What the model saw of it",
        "Drawn: the four kinds of input of the chosen cell as they enter the encoders: tile, height map (one grey level per metre, "
        "stretched here), street views, counts of places; below each its description and who wrote it.",
        "Read: the model sees nothing else of the cell, and of its neighbours the same. What is missing is marked as missing to the "
        "model too; it is never a zero.",
        "Do not conclude that the model understood a picture as you do: it sees some dozens of measurements, or a frozen encoder's vector.",
        "LMEMR §3.2 and §3.3.",
        actions=lambda: export_menu(
            "grid.seen.export", f"seen-{cell}", _measurements(inputs.modalities, row), python=_python(run_id, row)
        ),
    )
    known = {name: modality for name, modality in inputs.modalities.items() if modality.present.any()}
    columns = st.columns(max(len(known), 2), gap="small")
    for column, (name, modality) in zip(columns, known.items(), strict=False):
        with column:
            _one(slug, cell, row, name, modality)
    absent = [TITLES.get(name, name).lower() for name in inputs.modalities if name not in known]
    if absent:
        st.caption(f"The city brings nothing of these for any cell: {', '.join(absent)}.")


def _one(slug: str, cell: str, row: int, name: str, modality: "Modality") -> None:
    st.html(
        f'<div style="border-top:3px solid {colours.modality(name)};padding-top:3px;font-weight:600">{TITLES.get(name, name)}</div>'
    )
    if not modality.present[row]:
        have = int(modality.present.sum())
        panels.nothing("Not known here", f"{wording.count(have)} of {wording.counted(len(modality.present), 'cell')} have it.")
        return
    if name == "poi":
        _places(modality, row)
    else:
        pictures = cell_data.cell_pictures_of(slug, cell, name)
        if name == "street_view":
            st.image(pictures[:MOST_VIEWS], width=104)
            if len(pictures) > MOST_VIEWS:
                st.caption(f"{MOST_VIEWS} of {len(pictures)} photographs.")
        elif pictures:
            st.image(cell_data.stretched(pictures[0]) if name == "height" else pictures[0], width=170)
        else:
            st.caption("Vectors came without the picture.")
    caption = modality.captions[row]
    if caption:
        st.markdown(f"“{wording.literal(caption, limit=MOST_WORDS)}”")
        if len(caption) > MOST_WORDS:
            with st.expander("The whole description"):
                st.markdown(wording.literal(caption, limit=len(caption)))
    else:
        st.caption("Not described.")
    notes = "\n\n".join(wording.literal(note, limit=400) for note in modality.notes) or None
    st.caption(wording.literal(modality.source, limit=160), help=notes)


def _places(modality: "Modality", row: int) -> None:
    values, mean = modality.features[row], modality.features[modality.present].mean(axis=0)
    shown = np.argsort(-values[: modality.counts or len(values)], kind="stable")[:MOST_COUNTS]
    table = pd.DataFrame(
        {"kind": [kind_in_words(modality.components[at]) for at in shown], "here": values[shown], "mean": mean[shown]}
    )
    st.dataframe(
        cell_tables.rounded(table[table["here"] > 0] if (table["here"] > 0).any() else table.head(1), "here", "mean"),
        hide_index=True,
        height="content",
        key="grid.places",
        column_config={
            "kind": st.column_config.TextColumn(width=130),
            "here": st.column_config.NumberColumn(format=cell_tables.NUMBER, width=52),
            "mean": st.column_config.NumberColumn("mean", format=cell_tables.NUMBER, width=52, help="Of all cells of the city."),
        },
    )


def _python(run_id: str, row: int) -> str:
    """Lines of Python that give what was measured of the cell."""
    return python_lines.of_model(
        run_id,
        "modalities = run.data.inputs.modalities",
        f"measured = {{name: dict(zip(one.components, one.features[one.owner == {row}].T)) for name, one in modalities.items()}}",
        f"said = {{name: one.captions[{row}] for name, one in modalities.items()}}",
    )


def _measurements(modalities: "dict[str, Modality]", row: int) -> pd.DataFrame:
    rows = []
    for name, modality in modalities.items():
        for number, features in enumerate(modality.features[modality.owner == row]):
            if modality.present[row]:
                rows += [
                    {"modality": name, "picture": number + 1, "component": component, "value": float(value)}
                    for component, value in zip(modality.components, features, strict=True)
                ]
    return pd.DataFrame(rows, columns=["modality", "picture", "component", "value"])
