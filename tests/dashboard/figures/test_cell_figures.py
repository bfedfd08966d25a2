"""Cells on the map and their days as curves: unknown stays unknown, scales are shared, hatching stays inside."""

import base64
import json
import re
from pathlib import Path

import numpy as np
import pytest
import shapely

from dashboard.figures import cell_map
from dashboard.figures.cell_inside import before_and_after, hour_matrix, modality_bars
from dashboard.figures.curve_day import cluster_curves, day_curves, hour_errors
from dashboard.figures.deck import BUDGET_BYTES
from dashboard.figures.projection_scatter import Colouring, projection_scatter

SQUARES = np.array([shapely.box(x / 100, 0, (x + 1) / 100, 0.01) for x in range(3)], object)


def decoded(fill: cell_map.HourlyFill) -> np.ndarray:
    """What the map in the browser makes of the codes: (cell, 24) trips, NaN where nothing is known."""
    codes, least, most = cell_map.encoded(fill)
    numbers = np.frombuffer(base64.b64decode(codes), "<u2").reshape(-1, 24).astype(float)
    shown = least + (most - least) * numbers / (cell_map.NO_VALUE - 1)
    return np.where(numbers == cell_map.NO_VALUE, np.nan, np.expm1(shown) if fill.is_log else shown)


def test_values_survive_the_way_to_the_browser_and_the_unknown_stays_unknown():
    """16-bit codes keep trips to a thousandth; an unknown hour is no zero."""
    values = np.random.default_rng(0).lognormal(3, 2, (5, 24))
    values[1, 4], values[2] = np.nan, np.nan
    back = decoded(cell_map.flow_fill(values))
    np.testing.assert_array_equal(np.isnan(back), np.isnan(values))
    np.testing.assert_allclose(back[np.isfinite(back)], values[np.isfinite(values)], rtol=1e-3)


def test_observed_and_predicted_share_their_limits_and_differences_are_even_on_both_sides():
    low, high = np.full((2, 24), 1.0), np.full((2, 24), 900.0)
    first, second = cell_map.flow_fill(low, high), cell_map.flow_fill(high, low)
    assert (first.low, first.high) == (second.low, second.high) == (np.log1p(1.0), np.log1p(900.0))
    difference = cell_map.difference_fill(np.array([[-30.0] * 24, [10.0] * 24]))
    assert difference.low == -difference.high == -30.0
    assert difference.ticks() == ["−30", "0", "+30"]


def test_ends_of_a_legend_say_what_lies_beyond_them():
    """One cell hour in a thousand of a flow, one changed cell hour in fifty of a difference."""
    flows = np.full((100, 24), 40.0)
    flows[0, 8] = 9000.0
    assert cell_map.flow_fill(flows).ticks()[0] == "40" and cell_map.flow_fill(flows).ticks()[-1].endswith(" and more")
    changes = np.linspace(-50, 50, 2400).reshape(100, 24)
    assert cell_map.difference_fill(changes).ticks() == ["−49 and less", "0", "+49 and more"]


def test_a_difference_of_a_single_hour_has_a_limit_of_its_size():
    """An hour taken for another changes one hour in 24: fewer than the one in fifty cells and hours that are cut."""
    changes = np.zeros((100, 24))
    changes[:40, 8] = 30.0
    assert cell_map.difference_fill(changes).ticks() == ["−30", "0", "+30"]


def test_the_legend_slants_as_the_map_does():
    """Stripes of a CSS gradient stand across its direction, which is clockwise from north."""
    page = (Path(cell_map.__file__).parents[2] / "assets" / "cell_clock.html").read_text(encoding="utf-8")
    angles = dict(re.findall(r"(hatch|counter): (\d+)", page))
    for kind, rising in (("hatch", True), ("counter", False)):
        stripe = np.radians(90 - (int(angles[kind]) - 90))
        ((west, south), (east, north)) = cell_map.hatching(SQUARES[:1], rising)[0][:2]
        assert np.sign(np.cos(stripe) * np.sin(stripe)) == np.sign((east - west) * (north - south))


@pytest.mark.parametrize("values", [np.zeros((3, 24)), np.full((3, 24), np.nan)], ids=["all zero", "all unknown"])
def test_a_city_without_flows_is_drawn_without_an_accident(values):
    for fill in (cell_map.flow_fill(values), cell_map.difference_fill(values)):
        np.testing.assert_array_equal(decoded(fill), values)
        assert fill.high > fill.low and len(fill.ticks()) == 3
        still = cell_map.still_cells(SQUARES, fill, 8, "light")
        assert len(still.data) == np.isfinite(values[:, 8]).sum()


def test_hatching_lies_inside_the_cell_and_slants_both_ways():
    square = shapely.box(0, 0, 1, 1)
    for rising in (True, False):
        lines = [shapely.LineString(course) for course in cell_map.hatching(np.array([square], object), rising)]
        assert len(lines) >= 5
        assert all(square.buffer(1e-4).covers(line) for line in lines)
        slopes = {np.sign((line.coords[-1][1] - line.coords[0][1]) * (line.coords[-1][0] - line.coords[0][0])) for line in lines}
        assert slopes == {1.0 if rising else -1.0}


def test_more_cells_than_can_be_outlined_become_dots():
    many = np.repeat(SQUARES[:1], cell_map.MOST_OUTLINES + 1)
    rows = json.loads(cell_map.outlines_json(many, np.zeros(len(many)), np.zeros(len(many))))
    assert len(rows) == len(many) and rows[0]["p"] == [0.0, 0.0]
    outlined = json.loads(cell_map.outlines_json(SQUARES, np.zeros(3), np.zeros(3)))
    assert [row["i"] for row in outlined] == [0, 1, 2] and len(outlined[0]["p"][0]) == 5


def test_the_largest_outlined_city_fits_into_a_deck():
    """12,000 squares with 24 hours each stay under two megabytes together."""
    side = int(np.sqrt(cell_map.MOST_OUTLINES))
    x, y = np.meshgrid(np.arange(side) / 200 - 74.5, np.arange(side) / 200 + 40.1)
    squares = shapely.box(x.ravel(), y.ravel(), x.ravel() + 0.005, y.ravel() + 0.005)
    outlines = cell_map.outlines_json(squares, x.ravel(), y.ravel())
    codes, _, _ = cell_map.encoded(cell_map.flow_fill(np.ones((len(squares), 24))))
    assert len(outlines) + len(codes) < BUDGET_BYTES


def test_a_day_has_the_observed_the_predicted_and_its_band():
    """The band is drawn only where bounds are known; what is not observed is not drawn at all."""
    day, unknown = np.arange(24.0), np.full(24, np.nan)
    names = [trace.name for trace in day_curves(day, day, "light", low=day - 1, high=day + 1, greys={"Hourly mean": day}).data]
    assert {"observed", "predicted", "80 % interval", "Hourly mean"} <= set(names)
    names = [trace.name for trace in day_curves(unknown, day, "dark", low=unknown, high=unknown, edited=day).data]
    assert "observed" not in names and "80 % interval" not in names and "after the edits" in names


def test_names_from_data_are_shown_literally():
    figure = day_curves(np.ones(24), np.ones(24), "light", greys={"<b>bold</b>": np.ones(24)})
    assert "<b>" not in figure.to_json()


def test_figures_of_the_inside_take_any_number_of_modalities_and_clusters():
    assert len(modality_bars(np.array([0.3, 0.7]), np.array([0.5, 0.5]), ("poi", "smell"), {}, "light").data) == 2
    assert hour_matrix(np.eye(24), "dark").data[0].z.shape == (24, 24)
    panes = {
        "before": {"seen": np.zeros((4, 2)), "said": np.ones((4, 2))},
        "after": {"seen": np.zeros((4, 2)), "fused": np.ones((4, 2))},
    }
    drawn = before_and_after(panes, {"seen": "#009E73", "said": "#000000", "fused": "#CC79A7"}, "light").data
    assert [(trace.name, trace.showlegend) for trace in drawn] == [("seen", True), ("said", True), ("seen", False), ("fused", True)]
    assert drawn[0].marker.symbol == drawn[2].marker.symbol != drawn[3].marker.symbol
    assert len(cluster_curves(np.ones((6, 24)), np.array([0, 0, 1, 1, 2, -1]), "light").data) == 3
    value = np.linspace(0, 1, 24)
    assert len(hour_errors({"LMEMR": (value, value - 0.1, value + 0.1)}, "MAE", "dark").data) == 3


def test_a_scale_of_logarithms_says_amounts():
    """1 to 10,000 trips: a tick at each power of ten, and both ends in the legend of the map."""
    trips = np.array([0.0, 9, 99, 20_000])
    colouring = Colouring("trips a day", values=np.log10(1 + trips), is_log=True)
    assert colouring.in_words() == "trips a day: 0 to 20,000, logarithmic"
    ids = np.arange(4).astype(str)
    (scale,) = (
        trace.marker.colorbar
        for trace in projection_scatter(np.zeros((4, 2)), ids, ids, colouring, set(), "light").data
        if trace.marker.showscale
    )
    assert scale.ticktext == ("1", "10", "100", "1,000", "10,000")
    np.testing.assert_allclose(scale.tickvals, np.log10(1 + np.array([1, 10, 100, 1000, 10_000])))
