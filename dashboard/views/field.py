"""What a model thinks of every point of a city: similarity to a text or a place, false colour, change, and the kernel curve."""

import numpy as np
import pandas as pd
import streamlit as st

from dashboard import cached, panels, python_lines, session, wording
from dashboard.figures import base_map
from dashboard.figures.field_map import kernel_figure, raster_layer, value_image
from dashboard.figures.frame import chart_config
from dashboard.views import city_map
from dashboard.views.export_menu import export_menu
from engine.city.samples import VisitLog
from engine.field import Kernel, change_per_metre, false_colour, similarity_to

SHOWN = {"text": "Like a text", "place": "Like the chosen place", "colour": "False colour", "change": "Where meaning changes"}


def draw(run_id: str, log: VisitLog) -> None:
    """Map left, its control and the kernel curve right."""
    left, right = st.columns([62, 38], gap="medium")
    kernel = cached.kernel(run_id)
    with right:
        shown = st.segmented_control("Shown", list(SHOWN), default="text", required=True, format_func=SHOWN.get, key="field.shown")
        text = st.text_input("Text", "coffee", max_chars=200, key="field.text") if shown == "text" else ""
        panels.panel(
            "Alike by distance",
            "Drawn: the mean cosine of two points by the distance between them, around a sample of the city's places.",
            "Read: the dashed line is the learned range, where likeness has fallen to 1/e of its excess; the dotted one is any two places.",
            "Do not conclude that two places further apart than the range differ; they are as alike as any two.",
            "CaLLiPer §3 (grid position code), specification §7.",
            actions=lambda: export_menu(
                "field.export.kernel",
                "alike-by-distance",
                _kernel_table(kernel),
                python=python_lines.of_model(
                    run_id,
                    "places = run.data.samples.log.places",
                    "kernel = kernel_curve(run.model.encode_points, places.x, places.y)",
                    imports=["from engine.field import kernel_curve"],
                ),
                chart=True,
            ),
        )
        st.plotly_chart(kernel_figure(kernel, session.theme()), key="field.kernel", config=chart_config("alike-by-distance"))
        reach = wording.metres(kernel.learned_range_m) if np.isfinite(kernel.learned_range_m) else "never"
        st.caption(f"Learned range: {wording.literal(reach)}. Any two places: cosine {kernel.baseline:.2f}.")
    with left:
        _map(run_id, log, str(shown), text)


def _map(run_id: str, log: VisitLog, shown: str, text: str) -> None:
    theme, slug = session.theme(), str(session.city())
    raster = cached.field(run_id)
    if shown == "colour":
        image, said = (
            (false_colour(raster) * 255).round(),
            "Points of like colour have like vectors; the colours have no name of their own.",
        )
    elif shown == "change":
        values = change_per_metre(raster) * 1000
        high = float(np.percentile(values, 98))
        image = value_image(values, theme, 0.0, high)
        said = f"Dark: the vector hardly turns. Bright: it turns by {high:.2g} (length of the change of the unit vector) per kilometre or more."
    else:
        vector, about = _query(run_id, log, shown, text)
        if vector is None:
            panels.nothing("No place is chosen", "Choose one on the map of the picture above; this map then shows what is like it.")
            return
        values = similarity_to(raster, vector)
        low, high = (float(value) for value in np.percentile(values, [2, 98]))
        image = value_image(values, theme, low, high)
        said = f"Cosine of every point with {about}: dark {low:.2f} or less, bright {high:.2f} or more."
    longitude, latitude = (grid.ravel() for grid in raster.centres())
    measured = values if shown != "colour" else image / 255
    columns = measured.reshape(len(longitude), -1)
    names = ["value"] if columns.shape[1] == 1 else ["red", "green", "blue"]
    table = pd.DataFrame(columns, columns=names).assign(longitude=longitude, latitude=latitude)
    base = cached.base(slug, theme, places=False, buildings="none")
    layers = [*base.layers, raster_layer(image, raster.bounds)]
    legend = [] if shown == "colour" else [city_map.Entry("ramp", "low to high")]
    city_map.draw(cached.city(slug), layers, key="field.map", alt=f"Map of the model's field: {SHOWN[shown]}", legend=legend)
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
        st.caption(wording.literal(said, limit=300))
        deck = base_map.deck(layers, cached.city(slug), theme)
        export_menu("field.export", f"field-{shown}", table, deck, python=_python(run_id, log, shown, text))


def _python(run_id: str, log: VisitLog, shown: str, text: str) -> str:
    """Lines of Python that give the values of the map."""
    needed = {"colour": "false_colour", "change": "change_per_metre"}.get(shown, "similarity_to")
    lines = ["raster = sample_field(run.model.encode_points, run.data.city)"]
    match shown:
        case "colour":
            lines.append("values = false_colour(raster)")
        case "change":
            lines.append("values = change_per_metre(raster) * 1000  # per kilometre")
        case "text":
            lines.append(f"values = similarity_to(raster, run.model.encode_texts([{text.strip() or 'place'!r}])[0])")
        case _:
            row = log.places.index[session.selection().primary]
            lines += [
                "places = run.data.samples.log.places",
                f"values = similarity_to(raster, run.model.encode_points(places.x[[{row}]], places.y[[{row}]])[0])",
            ]
    return python_lines.of_model(run_id, *lines, imports=[f"from engine.field import {needed}, sample_field"])


def _kernel_table(kernel: Kernel) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "distance_m": kernel.distance_m,
            "cosine": kernel.similarity,
            "low_10_percent": kernel.low,
            "high_90_percent": kernel.high,
        }
    )


def _query(run_id: str, log: VisitLog, shown: str, text: str) -> tuple[np.ndarray | None, str]:
    model = cached.loaded_run(run_id).model
    if shown == "text":
        vectors = model.encode_texts([text.strip() or "place"])
        return (None, "") if vectors is None else (vectors[0], f"the text “{text.strip()}”")
    primary = session.selection().primary
    if primary not in log.places.index:
        return None, ""
    row = log.places.index[primary]
    return model.encode_points(log.places.x[[row]], log.places.y[[row]])[0], str(log.places.names[row])
