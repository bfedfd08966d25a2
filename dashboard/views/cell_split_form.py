"""How a grid model divides the cells of a city: the form, the parts on the map, and what the choice means."""

import numpy as np
import pandas as pd
import pydeck as pdk
import streamlit as st
from pydantic import ValidationError

from dashboard import cached, forms, panels, python_lines, session, wording
from dashboard.cached.cell_data import cell_samples
from dashboard.figures import base_map, colours
from dashboard.figures.deck import literal, rings
from dashboard.figures.parts import PART_ROLES, PART_TITLES
from dashboard.views import city_map
from dashboard.views.city_map import Entry
from dashboard.views.export_menu import export_menu
from engine.city.cell_splits import CellSplit
from engine.city.city import City
from engine.city.splits import PARTS
from engine.errors import MobiscopeError

KIND_TITLES = {"random_cells": "cell by cell", "spatial_blocks": "by compact blocks", "districts": "by whole districts"}
MOST_CELLS = 12_000


def draw(slug: str, city: City) -> CellSplit | None:
    """The form for the split, with the cells coloured by part under it; None while a setting does not fit."""
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
        st.subheader("What it learns from", anchor=False)
        panels.reading(
            "Drawn: cells by the part they belong to; cells without a known flow stay empty and are seen as neighbours only.",
            "Read: neighbouring cells resemble each other. Cells drawn one by one can be guessed from the cells around them; blocks "
            "and districts ask for a part of town nobody counted.",
            "Do not choose settings by the test part; it is for the last word.",
        )
        with st.popover("Change the split", type="tertiary"):
            split = forms.draw(CellSplit(), "train.cell_split", visible=5)
    if split is not None:
        _preview(slug, city, split)
    return split


def _preview(slug: str, city: City, split: CellSplit) -> None:
    try:
        cells = cell_samples(slug, split)
    except (MobiscopeError, ValidationError) as error:
        st.error(wording.sentence(str(error)))
        return
    theme = session.theme()
    counts = {part: int(cells.mask(part).sum()) for part in PARTS}
    alone = int((np.bincount(cells.edges[:, 1], minlength=len(cells)) == 0).sum())
    st.markdown(
        f"Cells divided {KIND_TITLES[split.kind]}: {wording.count(counts['train'])} for training, {wording.count(counts['valid'])} for "
        f"validation, {wording.count(counts['test'])} for testing; {wording.counted(int((cells.part < 0).sum()), 'cell')} without a "
        f"known flow. {wording.counted(alone, 'cell')} without a neighbour. Flows of day type {wording.literal(cells.day_type)}."
    )
    base = cached.base(slug, theme, places=False)
    geometries = city.spatial("cells").geometry.to_numpy()
    layers = [*base.layers]
    for part, index in zip(PARTS, range(len(PARTS)), strict=True):
        rows = [
            {"p": ring, "tip": literal(f"{cells.cell_ids[row]}\n{PART_TITLES[part]}")}
            for row in np.flatnonzero(cells.part == index)[:MOST_CELLS]
            for ring in rings([geometries[row]])
        ]
        layers.append(
            pdk.Layer(
                "SolidPolygonLayer",
                rows,
                id=f"part-{part}",
                get_polygon="p",
                get_fill_color=colours.rgba(colours.role(PART_ROLES[part], theme), 120),
                pickable=True,
            )
        )
    legend = [
        Entry("square", f"{PART_TITLES[part]} ({wording.count(counts[part])})", colours.role(PART_ROLES[part], theme))
        for part in PARTS
    ]
    city_map.draw(
        city,
        layers,
        key="train.cells",
        alt="Cells by part of the split",
        legend=legend,
        attribution=base.attribution,
        height=420,
    )
    middle = city.spatial("cells").geometry.representative_point()
    table = pd.DataFrame(
        {
            "cell_id": cells.cell_ids,
            "part": [PARTS[part] if part >= 0 else "input only" for part in cells.part],
            "trips_per_day": cells.outflow.sum(axis=1),
            "longitude": middle.x.to_numpy(),
            "latitude": middle.y.to_numpy(),
        }
    )
    with st.container(horizontal=True, horizontal_alignment="right"):
        export_menu(
            "train.cells.export", "cells-of-the-split", table, base_map.deck(layers, city, theme), python=_python(slug, split)
        )


def _python(slug: str, split: CellSplit) -> str:
    """Lines of Python that divide the cells so."""
    return python_lines.of_city(
        slug,
        f"cells = build_cell_samples(city, {python_lines.made_again(split)})",
        "part = dict(zip(cells.cell_ids, cells.part))  # 0 training, 1 validation, 2 test, -1 input only",
        imports=["from engine.city.cell_samples import build_cell_samples", "from engine.city.cell_splits import CellSplit"],
    )
