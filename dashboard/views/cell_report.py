"""What the report of a run of cells shows besides its scores: one hour on the map, and the days of a few test cells."""

from dataclasses import replace

import numpy as np
import plotly.graph_objects as go

from dashboard import cached, wording
from dashboard.cached import cell_data
from dashboard.cached.cell_data import Curves
from dashboard.figures import base_map, cell_map, colours
from dashboard.figures.curve_day import day_curves
from dashboard.figures.still import still_png
from dashboard.report import Ramp
from dashboard.views import cell_choice, cell_errors
from engine.city.splits import PARTS

_SIZE = (720, 690)


def maps(run_id: str, slug: str) -> tuple[tuple[tuple[bytes, str], ...], Ramp]:
    """Observed and predicted trips of the city's busiest hour as still maps with one scale: PNG and caption of each, the scale."""
    curves, outlines, city = cell_data.curves(run_id), cell_data.outlines(slug), cached.city(slug)
    model = cached.run_model(run_id)
    hour = int(np.nansum(curves.observed, axis=0).argmax())
    base = cached.base(slug, "light", places=False, buildings="none", faint=True)
    test = outlines.shapes[curves.part == PARTS.index("test")]
    ring = cell_map.courses_layer("test", cell_map.outline_courses(test), colours.rgba(colours.role("edited", "light"), 190), 1.2)
    fill = cell_map.flow_fill(curves.observed, curves.flow[model])
    drawn = []
    for values, words in (
        (curves.observed, "Observed; cells that nobody counted are left blank."),
        (curves.flow[model], f"Predicted by {curves.titles[model]}; what it says of a cell it learnt from is no test."),
    ):
        shown = replace(fill, values=values)
        cells = cell_map.still_cells(outlines.shapes, shown, hour, "light")
        png = still_png(base_map.deck([*base.layers, cells, ring], city, "light"), "light", _SIZE)
        drawn.append((png, f"{words} {base.attribution}".strip()))
    title = f"trips in the hour from {hour:02d}:00, the busiest; test cells are outlined"
    return tuple(drawn), Ramp(tuple(fill.stops("light")), tuple(fill.ticks()), title)


def days(run_id: str, slug: str) -> tuple[tuple[str, go.Figure, str], ...]:
    """The days of three test cells, the best and the worst predicted and one in the middle: title, figure and caption of each."""
    curves, outlines = cell_data.curves(run_id), cell_data.outlines(slug)
    model, metrics = cached.run_model(run_id), cached.run_table(run_id, "metrics")
    best = cell_errors.best_baseline(metrics, model)
    found = []
    for words, (row, error) in _examples(curves, model).items():
        greys = {curves.titles[best]: curves.flow[best][row]} if best in curves.flow else {}
        figure = day_curves(
            curves.observed[row],
            curves.flow[model][row],
            "light",
            low=curves.low[model][row],
            high=curves.high[model][row],
            greys=greys,
        )
        caption = (
            f"Trips that leave the cell in each local hour: observed dark, predicted blue with its 80 % interval, the best baseline grey. "
            f"The error is {wording.percent(error)} of the cell's trips. {cell_errors.interval_held(metrics, model)}"
        )
        found.append((f"{words}: {cell_choice.label(outlines, row)}", figure, caption.strip()))
    return tuple(found)


def _examples(curves: Curves, model: str) -> dict[str, tuple[int, float]]:
    """How a test cell is predicted, in words, to its row and its error as a share of its trips.

    Only cells of which every hour is known and some trip was counted; fewer than three such cells give the first example alone.
    """
    total = curves.observed.sum(axis=1)
    rows = np.flatnonzero((curves.part == PARTS.index("test")) & (total > 0))
    share = np.abs(curves.flow[model][rows] - curves.observed[rows]).sum(axis=1) / total[rows]
    order = np.argsort(share, kind="stable")
    places = {
        "The test cell predicted best": 0,
        "A test cell predicted as well as most": len(order) // 2,
        "The test cell predicted worst": len(order) - 1,
    }
    shown = dict(list(places.items())[: 3 if len(order) > 2 else min(len(order), 1)])
    return {words: (int(rows[order[place]]), float(share[order[place]])) for words, place in shown.items()}
