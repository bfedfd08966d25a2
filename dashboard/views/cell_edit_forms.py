"""The forms that make an edit of a cell: its places, buildings, pictures, words, likeness, modalities, neighbours and district.

Two more edit the model that answers: its hours and its mechanism.
"""

import base64
from collections.abc import Callable, Sequence

import numpy as np
import streamlit as st

from dashboard import panels, wording
from dashboard.cached.cell_data import CellOutlines
from dashboard.views import cell_choice, cell_stack, model_forms
from engine.city.images import encode_heights, encode_png, read_heights, read_image
from engine.encoders.describe_rules import kind_in_words
from engine.errors import MobiscopeError
from engine.models.answers import CurvePredictor
from engine.scenarios.cell_compare import Grounds, effect_on_curves
from engine.scenarios.cell_edits import (
    LARGEST,
    MODALITY_TITLES,
    MOST_PLACES,
    AddEdge,
    BlendCells,
    ChangeBuildings,
    ChangeDescription,
    ChangePois,
    ChangeTile,
    CutEdge,
    DropModality,
    LeaveDistrictOut,
)
from engine.scenarios.edits import AnyEdit, TakeHour

KINDS = ("Places", "Buildings", "Picture", "Words", "Likeness", "Modality", "Neighbours", "District", "Hours", "Mechanism")
MODALITIES_OF = {
    "Places": ("poi",),
    "Buildings": ("height",),
    "Picture": ("satellite", "height"),
    "Words": tuple(MODALITY_TITLES),
    "Modality": tuple(MODALITY_TITLES),
}
"""Kind of edit to the modalities it can touch; of a kind that is not here it can be any."""
TILE_PIXELS = 192


Add = Callable[[AnyEdit], None]


def draw(kind: str, base: Grounds, outlines: CellOutlines, cell: str, predictor: CurvePredictor, run_id: str) -> None:
    """The form of one kind of edit for the chosen cell, or for the model that answers."""

    def add(edit: AnyEdit) -> None:
        try:
            cell_stack.push(edit, predictor, run_id)
        except MobiscopeError as error:
            panels.refusal(error)
            return
        st.rerun()

    if kind == "Mechanism":
        model_forms.draw_mechanism(predictor, add)
        return
    touched = MODALITIES_OF.get(kind, ())
    offered = _offered(touched, base, predictor)
    if touched and not offered:
        return
    if kind in ("Picture", "Words", "Modality"):
        {"Picture": _picture, "Words": _words, "Modality": _modality}[kind](base, outlines, cell, offered, add)
        return
    {
        "Places": _places,
        "Buildings": _buildings,
        "Likeness": _likeness,
        "Neighbours": _neighbours,
        "District": _district,
        "Hours": _hours,
    }[kind](base, outlines, cell, add)


def _offered(modalities: Sequence[str], base: Grounds, predictor: CurvePredictor) -> list[str]:
    """Those of some modalities whose edits can matter to who answers; of the others it is said why not."""
    reasons = {name: _why_not(name, base, predictor) for name in modalities}
    offered = [name for name, reason in reasons.items() if not reason]
    why = " ".join(filter(None, reasons.values()))
    if offered and why:
        missing = ", ".join(MODALITY_TITLES[name] for name in modalities if name not in offered)
        st.caption(
            f"Not offered, since {wording.literal(predictor.title)} does not see it: {missing}.", help=wording.literal(why, 1000)
        )
    elif why:
        panels.nothing(f"{wording.literal(predictor.title)} does not see this", wording.literal(why, 1000))
    return offered


def _why_not(modality: str, base: Grounds, predictor: CurvePredictor) -> str:
    """Why no edit of a modality can matter to who answers, as a sentence; empty where one can."""
    effect = effect_on_curves(DropModality(modality=modality), predictor, base.city)  # type: ignore[arg-type]
    if effect.needs == "nothing":
        return effect.sentence
    known = base.inputs.modalities.get(modality)
    if known is None or not (known.present | known.text_present).any():
        return f"Nothing is known of the {MODALITY_TITLES[modality]} of any cell of {base.city.name}."
    return ""


def _other(outlines: CellOutlines, cell: str, words: str, key: str, among: np.ndarray | None = None) -> str | None:
    """Another cell, chosen by name."""
    names = cell_choice.labels(outlines)
    offered = [str(one) for one in (outlines.ids if among is None else outlines.ids[among]) if str(one) != cell]
    return st.selectbox(words, offered, format_func=names.__getitem__, key=key)


def _places(base: Grounds, outlines: CellOutlines, cell: str, add: Add) -> None:
    modality = base.inputs.modalities["poi"]
    row = list(base.inputs.cell_ids.astype(str)).index(cell)
    names = list(modality.components)
    names = [name for name in names if name not in ("area_km2", "other categories", "places are unknown")]
    if not names:
        panels.nothing("Nothing is counted in these cells", "The city brings neither places nor numbers with its zones.")
        return
    name = st.selectbox("Counted", names, format_func=kind_in_words, key="what_if.cells.category")
    at = modality.components.index(name)
    now = float(modality.features[row, at]) if modality.present[row] else 0.0
    is_count = at < modality.counts
    typical = float(modality.features[modality.present, at].mean()) if modality.present.any() else 0.0
    value = st.number_input(
        "How many" if is_count else "Its value",
        0.0 if is_count else -LARGEST,
        float(MOST_PLACES) if is_count else LARGEST,
        now,
        step=1.0 if is_count else None,
        format="%.0f" if is_count else "%.4g",
        key=f"what_if.cells.count.{cell}.{name}",
        help=f"Now {now:g}; the mean of all cells is {typical:.3g}.",
    )
    words = "Set the count" if is_count else "Set the value"
    if st.button(words, key="what_if.cells.set_count", type="primary", disabled=value == now):
        add(ChangePois(cell_id=cell, counts={name: round(value) if is_count else value}))


def _buildings(base: Grounds, outlines: CellOutlines, cell: str, add: Add) -> None:
    way = st.segmented_control("Heights", ("times", "metres"), default="times", required=True, key="what_if.cells.way")
    if way == "times":
        factor = st.slider("Times as high", 0.0, 10.0, 2.0, 0.25, key="what_if.cells.factor")
        edit = ChangeBuildings(cell_id=cell, factor=factor)
    else:
        metres = st.slider("All buildings so high, metres", 0, 255, 30, key="what_if.cells.metres")
        edit = ChangeBuildings(cell_id=cell, metres=metres)
    if st.button("Change the buildings", key="what_if.cells.build", type="primary"):
        add(edit)


def _picture(base: Grounds, outlines: CellOutlines, cell: str, offered: list[str], add: Add) -> None:
    modality = st.segmented_control(
        "Picture", offered, default=offered[0], required=True, format_func=MODALITY_TITLES.get, key="what_if.cells.tile"
    )
    other = _other(outlines, cell, "Take the tile of", "what_if.cells.tile_of")
    if other and st.button("Give it that tile", key="what_if.cells.take_tile", type="primary"):
        add(ChangeTile(cell_id=cell, modality=modality, from_cell=other))
    loaded = st.file_uploader(
        "Or a picture of yours", type=["png", "jpg", "jpeg", "webp", "tif", "tiff"], key="what_if.cells.upload"
    )
    if loaded is not None and st.button("Give it this picture", key="what_if.cells.own_tile"):
        try:
            picture = _tile(loaded.getvalue(), loaded.name, modality)
        except MobiscopeError as error:
            panels.refusal(error)
            return
        add(ChangeTile(cell_id=cell, modality=modality, image=base64.b64encode(picture).decode("ascii")))


def _tile(content: bytes, name: str, modality: str) -> bytes:
    """An uploaded picture at the size of a tile; of heights the metres and what lies outside of the cell are kept."""
    if modality == "height":
        return encode_heights(*read_heights(content, name), TILE_PIXELS)
    return encode_png(read_image(content, name, TILE_PIXELS))


def _words(base: Grounds, outlines: CellOutlines, cell: str, offered: list[str], add: Add) -> None:
    modality = st.segmented_control(
        "Description of",
        offered,
        default="poi" if "poi" in offered else offered[0],
        required=True,
        format_func=MODALITY_TITLES.get,
        key="what_if.cells.described",
    )
    row = list(base.inputs.cell_ids.astype(str)).index(cell)
    now = base.inputs.modalities[modality].captions[row]
    text = st.text_area("Words", now, max_chars=4000, height=120, key=f"what_if.cells.words.{modality}.{cell}")
    if st.button("Say this instead", key="what_if.cells.say", type="primary", disabled=not text.strip() or text == now):
        add(ChangeDescription(cell_id=cell, modality=modality, text=text.strip()))


def _likeness(base: Grounds, outlines: CellOutlines, cell: str, add: Add) -> None:
    other = _other(outlines, cell, "Make it like", "what_if.cells.like")
    alpha = st.slider("By", 0, 100, 100, 5, format="%d %%", key="what_if.cells.alpha")
    st.caption("0 % leaves the cell as it is; at 100 % it has every modality and description of the other one.")
    if other and st.button("Make it so", key="what_if.cells.blend", type="primary"):
        add(BlendCells(cell_id=cell, like=other, alpha=alpha / 100))


def _modality(base: Grounds, outlines: CellOutlines, cell: str, offered: list[str], add: Add) -> None:
    modality = st.segmented_control(
        "Modality", offered, default=offered[0], required=True, format_func=MODALITY_TITLES.get, key="what_if.cells.dropped"
    )
    where = st.segmented_control(
        "Where", ("this cell", "everywhere"), default="this cell", required=True, key="what_if.cells.dropped_where"
    )
    if st.button("Do not see it", key="what_if.cells.drop", type="primary"):
        add(DropModality(modality=modality, cell_id=cell if where == "this cell" else None))


def _neighbours(base: Grounds, outlines: CellOutlines, cell: str, add: Add) -> None:
    row = list(base.cells.cell_ids.astype(str)).index(cell)
    near = np.unique(base.cells.edges[base.cells.edges[:, 0] == row, 1])
    if len(near):
        gone = _other(outlines, cell, "Neighbour", "what_if.cells.cut", near)
        if gone and st.button("Part them", key="what_if.cells.part", type="primary", help="A river, a wall."):
            add(CutEdge(cell_id=cell, neighbour=gone))
    else:
        st.caption("This cell has no neighbour in the graph.")
    far = np.setdiff1d(np.arange(len(outlines.ids)), [*near, row])
    new = _other(outlines, cell, "Another cell", "what_if.cells.bridge", far) if len(far) else None
    if new and st.button("Join them", key="what_if.cells.join", help="A bridge, a line."):
        add(AddEdge(cell_id=cell, neighbour=new))


def _district(base: Grounds, outlines: CellOutlines, cell: str, add: Add) -> None:
    names = sorted(set(base.cells.district) - {""})
    if not names:
        panels.nothing("There are no districts", "The cells of this city name no larger area they belong to.")
        return
    row = list(base.cells.cell_ids.astype(str)).index(cell)
    own = str(base.cells.district[row])
    district = st.selectbox("District", names, index=names.index(own) if own in names else 0, key="what_if.cells.district")
    mine = base.cells.district == district
    st.caption(
        f"{wording.counted(int(mine.sum()), 'cell')}, {wording.count(int((mine & base.cells.mask('test')).sum()))} of them test cells. "
        "Left out, its cells are not judged; the curves stay. The edit then offers a training without it."
    )
    if st.button("Leave it out", key="what_if.cells.leave", type="primary"):
        add(LeaveDistrictOut(district=district))


def _hours(base: Grounds, outlines: CellOutlines, cell: str, add: Add) -> None:
    left, right = st.columns(2)
    hour = left.selectbox("Take", range(24), 8, format_func="{:02d} h".format, key="what_if.cells.hour")
    others = [other for other in range(24) if other != hour]
    as_hour = right.selectbox(
        "For", others, others.index(18) if hour != 18 else 0, format_func="{:02d} h".format, key="what_if.cells.as_hour"
    )
    both_ways = st.checkbox("And the other way round", key="what_if.cells.both_ways")
    st.caption("In all cells. What the model learnt of the one hour, as a vector, gives way to that of the other.")
    if st.button("Take it so", key="what_if.cells.take_hour", type="primary"):
        add(TakeHour(hour=hour, as_hour=as_hour, both_ways=both_ways))
