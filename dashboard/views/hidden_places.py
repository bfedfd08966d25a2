"""The inductive setting by hand: places drawn on the map, or listed in a file, that a new training never gets to see."""

import numpy as np
import pandas as pd
import streamlit as st

from dashboard import cached, navigation, panels, python_lines, session, wording
from dashboard.figures.projection_scatter import Colouring, projection_scatter
from dashboard.views.export_menu import export_menu
from engine.city.location_list import read_location_list
from engine.city.samples import VisitLog
from engine.errors import MobiscopeError
from engine.evaluation.slices import popularity_deciles

ORIGIN = "places to hide from training"
_HIDDEN = "train.hidden"


def prepared(slug: str) -> tuple[str, ...]:
    """The places that the next training on a city is to be kept from; empty where none were chosen."""
    kept: tuple[str, tuple[str, ...]] = session.get(_HIDDEN, ("", ()))
    return kept[1] if kept[0] == slug else ()


def forget() -> None:
    """Lets the next training see all places again."""
    session.drop(_HIDDEN)


def draw(slug: str, log: VisitLog, starved: tuple[str, ...]) -> None:
    """The places to draw around, what is chosen, and the way to a training without it.

    Args:
        slug: The city.
        log: Its visit log under the split of the run in view.
        starved: Ids of the places never found in the cases in view.
    """
    places = log.places
    ids = places.ids.astype(str)
    selection = session.selection()
    chosen = [item for item in selection.ids if item in places.index] if selection.kind == "location" else []
    panels.panel(
        "Hide places from training",
        "Drawn: every place of the city, north up, by its popularity decile; magenta rings are chosen.",
        "Read: draw around places. A model trained without them shows, on their visits, what it makes of places that are new to it.",
        "Do not hide most of the city: what is left must still tell how people move.",
        "The inductive setting: docs/evaluation.md.",
        actions=lambda: export_menu(
            "long_tail.export.hidden", "hidden-places", _table(log, chosen), python=_python(slug, chosen), chart=True
        ),
    )
    left, right = st.columns([62, 38], gap="medium")
    with left:
        _picture(log, ids, set(chosen))
    with right:
        visits = int(log.visits_in_training[[places.index[item] for item in chosen]].sum()) if chosen else 0
        share = visits / max(int(log.visits_in_training.sum()), 1)
        if chosen:
            st.markdown(
                f"**{wording.counted(len(chosen), 'place')}** of {wording.count(len(places))} are chosen; they hold "
                f"{wording.percent(share)} of the training visits."
            )
        else:
            panels.nothing("No place is chosen", "Draw around places, take those the model starves, or bring a list.")
        if st.button("Train without them", key="long_tail.hide", type="primary", disabled=not chosen):
            session.put(_HIDDEN, (slug, tuple(chosen)))
            navigation.open_page("train")
        st.button(
            f"Take the {wording.counted(len(starved), 'place')} never found",
            key="long_tail.starved",
            disabled=not starved,
            on_click=session.select,
            args=(starved, ORIGIN),
            help="Places that people went to in the cases in view, and that were never among the first answers.",
        )
        _upload(places.index)


def _picture(log: VisitLog, ids: np.ndarray, chosen: set[str]) -> None:
    places = log.places
    position = np.stack([places.x - places.x.mean(), places.y - places.y.mean()], axis=1)
    labels = np.array(
        [f"{name}, {int(visits):,} visits in training" for name, visits in zip(places.names, log.visits_in_training, strict=True)],
        object,
    )
    colouring = Colouring("popularity decile, 10 most visited", values=popularity_deciles(log).astype(float))
    figure = projection_scatter(position, ids, labels, colouring, chosen, session.theme(), height=440)
    state = st.plotly_chart(
        figure,
        key="long_tail.lasso",
        on_select="rerun",
        selection_mode=("lasso", "box", "points"),
        config={"displaylogo": False, "modeBarButtonsToRemove": ["autoScale2d"], "scrollZoom": True},
        alt="Places of the city, to draw around",
    )
    points = state["selection"]["points"] if state else []
    caught = tuple(str(point["customdata"]) for point in points if point.get("customdata") is not None)
    if caught and caught != session.get("long_tail.caught", ()):
        session.put("long_tail.caught", caught)
        session.select(caught, ORIGIN)
        st.rerun()


def _upload(known: dict[str, int]) -> None:
    given = st.file_uploader(
        "A list of places", type=["txt", "csv", "json"], key="long_tail.list", max_upload_size=20,
        help="One id per line, a CSV with a location_id column, or a JSON list.",
    )  # fmt: skip
    if given is None or given.file_id == session.get("long_tail.listed", None):
        return
    session.put("long_tail.listed", given.file_id)
    try:
        listed = read_location_list(given.getvalue())
    except MobiscopeError as error:
        panels.refusal(error)
        return
    found = [item for item in listed if item in known]
    unknown = [item for item in listed if item not in known]
    if unknown:
        some = ", ".join(wording.literal(item, 40) for item in unknown[:5])
        st.warning(f"{wording.counted(len(unknown), 'id')} of {wording.count(len(listed))} are not in this city, such as {some}.")
    if found:
        session.select(found, "a list of places")
        if not unknown:
            st.rerun()


def _python(slug: str, chosen: list[str]) -> str:
    """Lines of Python that divide the visits with these places kept from training."""
    return python_lines.of_city(
        slug,
        f"split = Split(kind=split_kinds(city)[0], hidden_locations={tuple(chosen)!r})",
        "samples = build_samples(VisitLog.of(city, split))",
        imports=["from engine.city.samples import VisitLog, build_samples", "from engine.city.splits import Split, split_kinds"],
    )


def _table(log: VisitLog, chosen: list[str]) -> pd.DataFrame:
    places = log.places
    rows = np.array([places.index[item] for item in chosen], int)
    return pd.DataFrame(
        {
            "location_id": places.ids[rows],
            "name": places.names[rows],
            "visits_in_training": log.visits_in_training[rows],
            "longitude": places.longitude[rows],
            "latitude": places.latitude[rows],
        }
    )


def note(slug: str) -> None:
    """On the Train page: what is to be hidden, and the way back."""
    ids = prepared(slug)
    if not ids:
        return
    names = dict(zip(*_names(slug), strict=True))
    some = ", ".join(wording.literal(names.get(item, item), 40) for item in ids[:3])
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
        more = f" and {wording.count(len(ids) - 3)} more" if len(ids) > 3 else ""
        st.markdown(f"**{wording.counted(len(ids), 'place')} hidden from training**: {some}{more}.")
        st.button("Show them all again", key="train.unhide", type="tertiary", on_click=forget)


def _names(slug: str) -> tuple[list[str], list[str]]:
    table = cached.city(slug).table("locations")
    titles = table["name"] if "name" in table else table["location_id"]
    return list(table["location_id"].astype(str)), list(titles.astype(str))
