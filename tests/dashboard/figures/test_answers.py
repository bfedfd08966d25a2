"""Paths, guesses, truth and probability mass on the map; bars, curves and tables beside it."""

import json

import numpy as np
import pandas as pd
import pytest

from dashboard.figures import answer_table, bars, curves, rhythm
from dashboard.figures.base_map import view_state
from dashboard.figures.deck import deck
from dashboard.figures.mass import concentration, mass_by_square, mass_layers, moved_layers, square_size
from dashboard.figures.ranking import arc, guess_layers, guess_radius, truth_layers
from dashboard.figures.trajectory import NUMBERED, history_layers
from engine.city.samples import Places
from tests.dashboard.figures.cities import HOSTILE, places_only

THEMES = pytest.mark.parametrize("theme", ["light", "dark"])


def stops(count: int) -> pd.DataFrame:
    step = np.arange(count)
    return pd.DataFrame(
        {
            "longitude": -74 + 0.001 * (step % 14),
            "latitude": 40.7 + 0.001 * (step % 14),
            "name": [f"stop {n}" for n in step],
            "category": "",
            "when": "Mon 9:00",
        }
    )


def guesses(names: tuple[str, ...] = ("a", "b", "c")) -> pd.DataFrame:
    count = len(names)
    return pd.DataFrame(
        {
            "rank": np.arange(1, count + 1),
            "location": np.arange(count),
            "id": [f"id{n}" for n in range(count)],
            "name": names,
            "category": ["Bar"] * count,
            "longitude": -74 + 0.001 * np.arange(count),
            "latitude": 40.7,
            "probability": 0.5 ** np.arange(1, count + 1),
            "from_here_m": 100.0,
            "from_truth_m": 200.0,
            "is_truth": [position == 1 for position in range(count)],
        }
    )


def by_id(layers: list) -> dict[str, dict]:
    spec = json.loads(deck(layers, view_state(places_only())).to_json())
    return {layer["id"]: layer for layer in spec["layers"]}


# ---- trajectory


@THEMES
def test_a_path_gets_stronger_towards_the_present(theme) -> None:
    path = by_id(history_layers(stops(6), theme))["history-path"]["data"]
    assert [row["c"][3] for row in path] == sorted(row["c"][3] for row in path)
    assert [row["w"] for row in path] == sorted(row["w"] for row in path)


def test_stops_are_numbered_in_the_order_of_the_visits() -> None:
    assert [row["t"] for row in by_id(history_layers(stops(4), "light"))["history-numbers"]["data"]] == ["1", "2", "3", "4"]


def test_a_place_visited_again_has_one_disc_with_its_latest_number() -> None:
    again = stops(3)
    again.loc[2, ["longitude", "latitude"]] = again.loc[0, ["longitude", "latitude"]]
    layers = by_id(history_layers(again, "light"))
    assert sorted(row["t"] for row in layers["history-numbers"]["data"]) == ["2", "3"]
    assert any("stop 1, 3 of 3" in row["tip"] for row in layers["history-stops"]["data"])


def test_only_the_latest_places_are_numbered() -> None:
    layers = by_id(history_layers(stops(14), "light"))
    assert len(layers["history-stops"]["data"]) == 14
    assert [int(row["t"]) for row in layers["history-numbers"]["data"]] == list(range(14 - NUMBERED + 1, 15))


def test_staying_draws_no_line_and_nothing_draws_nothing() -> None:
    same = stops(3)
    same[["longitude", "latitude"]] = [-74.0, 40.7]
    assert by_id(history_layers(same, "light"))["history-path"]["data"] == []
    assert history_layers(stops(0), "light") == []
    assert len(by_id(history_layers(stops(1), "light"))["history-stops"]["data"]) == 1


# ---- guesses and truth


def test_discs_grow_with_probability_in_area() -> None:
    radius = guess_radius(np.array([0.0, 0.25, 1.0, np.nan]))
    assert radius[0] == radius[3] < radius[1] < radius[2]
    assert radius[1] - radius[0] == pytest.approx((radius[2] - radius[0]) / 2, abs=0.1), (
        "a quarter of the probability is half the growth"
    )


def test_the_first_guess_lies_on_top_and_carries_its_rank() -> None:
    layers = by_id(guess_layers(guesses(), "light"))
    assert list(layers) == ["guess-3", "guess-rank-3", "guess-2", "guess-rank-2", "guess-1", "guess-rank-1"], (
        "drawn last is drawn on top"
    )
    for rank in "123":
        assert layers[f"guess-rank-{rank}"]["data"] == [{"p": layers[f"guess-{rank}"]["data"][0]["p"], "t": rank}]


@THEMES
def test_an_edited_question_has_the_outline_of_everything_edited(theme) -> None:
    plain, edited = (by_id(guess_layers(guesses(), theme, edited=edited))["guess-1"]["getLineColor"] for edited in (False, True))
    assert plain != edited


def test_the_error_is_drawn_with_its_length_and_not_where_there_is_none() -> None:
    layers = by_id(truth_layers(-74.0, 40.71, "truth", "light", (-74.0, 40.7), 1112.0))
    assert layers["error-length"]["data"][0]["t"] == "1.11\u202fkm"
    right = by_id(truth_layers(-74.0, 40.7, "truth", "light", (-74.0, 40.7), 0.0))
    assert set(right) == {"truth"}
    assert set(by_id(truth_layers(-74.0, 40.7, "truth", "light"))) == {"truth"}


def test_an_arc_runs_from_guess_to_truth_and_bows() -> None:
    course = np.array(arc((-74.0, 40.7), (-73.9, 40.7)))
    assert course[0].tolist() == [-74.0, 40.7] and course[-1].tolist() == [-73.9, 40.7]
    assert course[12, 1] == pytest.approx(40.7 + 0.16 * 0.1 * np.cos(np.radians(40.7)), abs=1e-4)


def test_no_guess_draws_no_disc() -> None:
    assert guess_layers(guesses(()), "light") == []


@pytest.mark.parametrize("name", HOSTILE)
def test_names_in_tips_are_text(name) -> None:
    layers = by_id(guess_layers(guesses((name, "b")), "light"))
    assert not [row for row in layers["guess-1"]["data"] if str(row["tip"]).startswith("@@")]


# ---- mass


@pytest.fixture
def city_and_places() -> tuple:
    city = places_only(80)
    return city, Places.of(city)


def test_no_probability_is_lost_in_the_squares(city_and_places) -> None:
    city, places = city_and_places
    probability = np.random.default_rng(1).dirichlet(np.ones(80))
    mass = mass_by_square(places, probability, 200.0)
    assert mass["mass"].sum() == pytest.approx(1)
    assert mass["places"].sum() == 80
    assert mass["mass"].is_monotonic_decreasing
    assert by_id(mass_layers(city, mass, 200.0, "light"))["probability-mass"]["data"][0]["tip"].endswith("200 m × 200 m")


def test_places_in_one_square_add_up() -> None:
    zero = np.zeros(3)
    ids = np.array(list("abc"), object)
    places = Places(
        ids=ids, x=np.array([10.0, 90.0, 110.0]), y=zero, longitude=zero, latitude=zero, category=zero.astype(np.int32), category_names=("",),
        names=ids, closed=zero.astype(bool), metric_crs="EPSG:32618",
    )  # fmt: skip
    mass = mass_by_square(places, np.array([0.2, 0.3, 0.5]), 100.0)
    assert dict(zip(mass["col"], mass["mass"], strict=True)) == {0: pytest.approx(0.5), 1: pytest.approx(0.5)}


def test_certainty_is_one_square_and_nothing_is_none(city_and_places) -> None:
    city, places = city_and_places
    certain = np.zeros(80)
    certain[7] = 1
    assert len(by_id(mass_layers(city, mass_by_square(places, certain, 100.0), 100.0, "dark"))["probability-mass"]["data"]) == 1
    assert mass_layers(city, mass_by_square(places, np.zeros(80), 100.0), 100.0, "dark") == []


def test_moving_nothing_draws_nothing_and_both_directions_share_a_scale(city_and_places) -> None:
    city, places = city_and_places
    one, other = np.zeros(80), np.zeros(80)
    one[0], other[1] = 1, 1
    before, after = (mass_by_square(places, values, 50.0) for values in (one, other))
    assert moved_layers(city, before, before, 50.0, "light") == []
    rows = by_id(moved_layers(city, before, after, 50.0, "light"))["probability-moved"]["data"]
    assert sorted(row["tip"].split("\n")[0] for row in rows) == ["+100\u202f% of the probability", "−100\u202f% of the probability"]
    assert rows[0]["c"][3] == rows[1]["c"][3]


def test_scores_are_not_called_probabilities(city_and_places) -> None:
    city, places = city_and_places
    before, after = (mass_by_square(places, values, 50.0) for values in (np.eye(80)[0], np.eye(80)[1]))
    layers = [
        *guess_layers(guesses(), "light", normalised=False),
        *mass_layers(city, before, 50.0, "light", normalised=False),
        *moved_layers(city, before, after, 50.0, "light", normalised=False),
    ]
    tips = [row["tip"] for layer in by_id(layers).values() for row in layer["data"] if "tip" in row]
    assert len(tips) == 6 and all("of the score" in tip for tip in tips)


def test_the_size_of_squares_follows_the_city(city_and_places, tiny_city) -> None:
    assert square_size(city_and_places[0]) in (50, 100, 200, 500, 1000)
    assert square_size(tiny_city) >= 50


def test_concentration_counts_places_that_hold_half() -> None:
    assert concentration(np.array([0.1, 0.6, 0.3])) == 1
    assert concentration(np.full(10, 0.1)) == 5


# ---- plotly


def metrics() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "predictor": ["m", "b"],
            "title": ["Model", HOSTILE[1]],
            "value": [0.25, 0.2],
            "low": [0.24, 0.19],
            "high": [0.26, 0.21],
            "n": [100, 100],
        }
    )


@THEMES
def test_the_model_is_blue_and_plain_a_baseline_grey_and_hatched(theme) -> None:
    from dashboard.figures import colours

    figure = bars.metric_bars(metrics(), "acc@1", theme, {"m"})
    mark = figure.data[0].marker
    assert list(mark.color) == [colours.role("prediction", theme), colours.role("baseline", theme)]
    assert list(mark.pattern.shape) == ["", "/"], "not by colour alone"
    assert figure.layout.font.color == colours.ink("text", theme)
    assert list(figure.data[0].x) == pytest.approx([25, 20])
    assert "n = 100" in figure.data[0].customdata[0]


def test_names_in_plotly_figures_are_text() -> None:
    figures = [
        bars.metric_bars(metrics(), "acc@1", "light"),
        bars.probability_bars(list(HOSTILE), [(HOSTILE[0], "prediction", np.full(len(HOSTILE), 0.1))], "light"),
        bars.step_strip(pd.DataFrame({"step": [0], "rank": [3.0], "name": [HOSTILE[1]], "when": ["Mon"]}), "light", 0),
        curves.loss_curves(pd.DataFrame({"step": [1, 2], "key": [HOSTILE[0]] * 2, "value": [1.0, 2.0]}), "light"),
    ]
    for figure in figures:
        text = figure.to_json()
        assert "<script" not in text and "<img" not in text


def test_an_interval_is_drawn_from_low_to_high() -> None:
    error = bars.metric_bars(metrics().iloc[:1], "acc@1", "light").data[0].error_x
    assert error.array[0] == pytest.approx(1) and error.arrayminus[0] == pytest.approx(1)


def test_a_metric_without_any_case_is_drawn_without_a_bar() -> None:
    table = metrics().assign(value=np.nan, low=np.nan, high=np.nan, n=0)
    assert len(bars.metric_bars(table, "acc@1", "light").data[0].y) == 2


def test_the_strip_tells_hits_from_misses() -> None:
    steps = pd.DataFrame({"step": range(4), "rank": [1.0, 5.0, 11.0, np.inf], "name": list("abcd"), "when": ["Mon"] * 4})
    found = {trace.name: list(trace.x) for trace in bars.step_strip(steps, "light", 2).data}
    assert found == {"hit: first guess": [1], "in the top 10": [2], "missed": [3, 4]}


def test_curves_keep_the_order_of_the_steps_and_show_references() -> None:
    frame = pd.DataFrame({"step": [3, 1, 2], "key": "loss", "value": [1.0, 3.0, 2.0]})
    figure = curves.loss_curves(frame, "dark", references={"best baseline": 0.4})
    assert list(figure.data[0].x) == [1, 2, 3] and list(figure.data[0].y) == [3, 2, 1]
    assert figure.layout.shapes[0].y0 == 0.4


def test_the_day_has_24_hours() -> None:
    figure = rhythm.hour_curve(np.arange(24), "light", hour=5, compared={"predicted": np.ones(24)})
    assert [len(trace.x) for trace in figure.data] == [24, 24]


# ---- tables


def test_the_truth_is_marked_in_the_table() -> None:
    html = answer_table.ranking_html(guesses(), "light")
    assert html.count(answer_table.TRUTH_MARK) == 1 and html.count('<tr class="truth">') == 1


def test_names_in_tables_are_escaped() -> None:
    table = guesses(HOSTILE)
    table["category"] = HOSTILE[1]
    shift = table.assign(before=0.1, after=0.2, change=0.1, rank_before=1.0, rank_after=np.nan)
    rows = [
        {
            "title": HOSTILE[0],
            "rank": 1.0,
            "truth_probability": 0.5,
            "first": HOSTILE[1],
            "distance_m": 3.0,
            "is_model": True,
            "normalised": False,
        }
    ]
    for html in (
        answer_table.ranking_html(table, "light"),
        answer_table.shift_html(shift, "light"),
        answer_table.predictors_html(rows, "light"),
    ):
        assert "<script" not in html and "<img" not in html and "&lt;img" in html


def test_an_edit_shows_the_rank_a_place_had_before() -> None:
    before = pd.DataFrame({"rank_before": [3, 1]}, index=[0, 1])
    html = answer_table.ranking_html(guesses(), "light", before=before)
    assert "▲ 3" in html and "▼ 1" in html and "▲ new" in html


def test_an_empty_answer_is_an_empty_table() -> None:
    assert "<table" in answer_table.ranking_html(guesses(()), "light")
