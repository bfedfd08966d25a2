"""Pictures of experts: fixed colours, places by their leading expert, stacked weights, and names that stay text."""

import json
import re

import numpy as np
import pandas as pd
import pytest

from dashboard.figures import colours
from dashboard.figures.deck import size_bytes
from dashboard.figures.expert_effects import effect_bars, likeness_matrix, visit_effects
from dashboard.figures.expert_map import dominant_by_place, dominant_layers, error_layers, layer_path, letters, point_layers
from dashboard.figures.routing_bars import Palette, input_shares, load_bars, load_over_training, step_weights
from dashboard.figures.routing_profiles import hours_of_experts, label_matrix, mean_weights, week_of_expert
from engine.evaluation.routed import ExpertLabel
from engine.evaluation.routing import Companion

NAMES = ("leisure", "commerce", "learning")
ROLES = (
    "student", "teacher", "office commuter", "visitor", "night-shift worker", "remote worker", "service worker", "public official",
    "fitness-minded", "retail clerk", "undefined",
)  # fmt: skip
FUNCTIONS = ("leisure", "commerce", "learning", "civic", "living")
EVIL = "@@<script>alert(1)</script>"


def palette_of(names: tuple[str, ...], theme: str = "light") -> Palette:
    """Experts of whom nothing is known."""
    return Palette.of([ExpertLabel(name) for name in names], theme)


def data(layers: list, name: str) -> list:
    return json.loads(next(layer for layer in layers if layer.id == name).to_json())["data"]


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("names", [ROLES, FUNCTIONS])
def test_every_expert_has_a_look_of_its_own_by_name(names, theme) -> None:
    palette = palette_of(names, theme)
    looks = set(zip(palette.colour, palette.pattern, strict=True))
    assert len(looks) == len(names) and len(set(palette.colour)) == len(names)
    assert palette_of(names[::-1], theme).colour == palette.colour[::-1], "a colour belongs to the name, not to the position"


def test_an_expert_nobody_named_takes_the_colour_of_its_position() -> None:
    assert colours.expert("my own", 3, "light") == colours.categorical(3)
    assert colours.expert_pattern("my own", 1) != colours.expert_pattern("my own", 2)


def test_signs_are_short_and_distinct() -> None:
    assert letters(("leisure", "commerce", "learning", "civic")) == ("Lei", "Co", "Lea", "Ci")
    assert len(set(letters(ROLES))) == len(ROLES)
    assert letters(("people by night", "people by day", "parks")) == ("#1", "#2", "Pa")


def test_a_place_belongs_to_the_expert_with_the_largest_mean_weight() -> None:
    weights = np.array([[0.9, 0.1, 0.0], [0.2, 0.8, 0.0], [0.0, 0.3, 0.7]])
    table = dominant_by_place(weights, np.array([4, 4, 7]))
    assert table["location"].tolist() == [4, 7] and table["n"].tolist() == [2, 1]
    assert table["expert"].tolist() == [0, 2] and table["second"].tolist() == [1, 1]
    np.testing.assert_allclose(table["weight"], [0.55, 0.7])


def test_discs_carry_the_experts_colour_and_text_that_cannot_become_code() -> None:
    table = dominant_by_place(np.eye(3), np.array([0, 1, 2])).assign(
        id=[EVIL, "b", "c"], name=[EVIL, "B", "C"], longitude=[1.0, 2, 3], latitude=[4.0, 5, 6]
    )
    palette = palette_of(NAMES)
    layers = dominant_layers(table, palette, "light", 10)
    discs = data(layers, "dominant")
    assert {tuple(disc["c"][:3]) for disc in discs} == {colours.rgb(colour) for colour in palette.colour}
    assert all(not str(disc["id"]).startswith("@@") and not disc["tip"].startswith("@@") for disc in discs)
    assert dominant_layers(table.iloc[:0], palette, "light", 10) == []


def test_signs_do_not_overprint_and_every_expert_has_one_where_there_is_room() -> None:
    rng, zoom = np.random.default_rng(0), 10.0
    weights = np.eye(3)[[2] * 3 + [0] * 300 + [1] * 300]
    where = rng.normal(scale=0.02, size=(603, 2))
    where[0], where[1:3] = where[3], 0.3  # busy where another is busier, and else far from the centre and rarely asked about
    table = dominant_by_place(weights, np.arange(603)).assign(id="p", name="P", longitude=where[:, 0], latitude=where[:, 1])
    table["n"] = np.r_[[200, 1, 1, 300], rng.integers(2, 90, 599)]
    signs = data(dominant_layers(table, palette_of(NAMES), "light", zoom), "dominant-signs")
    assert {sign["t"] for sign in signs} == {"Lei", "C", "Lea"}
    pixels = np.array([sign["p"] for sign in signs]) * 512 * 2**zoom / 360
    apart = np.abs(pixels[:, None] - pixels[None])[~np.eye(len(signs), dtype=bool)]
    assert ((apart[:, 0] > 30) | (apart[:, 1] > 14)).all()


def test_twenty_thousand_places_stay_within_the_budget() -> None:
    count = 10_000
    table = dominant_by_place(np.tile(np.eye(3), (count // 3 + 1, 1))[:count], np.arange(count))
    table = table.assign(id=[f"p{row}" for row in range(count)], name="A place with a name", longitude=10.12345, latitude=50.54321)
    assert size_bytes(dominant_layers(table, palette_of(NAMES), "light", 10)) < 2_000_000


def test_guesses_are_circles_as_wide_as_their_spread_and_the_snap_leads_to_the_place() -> None:
    components = pd.DataFrame({"longitude": [1.0, 1.1], "latitude": [2.0, 2.1], "weight": [0.9, 0.1], "spread_m": [50.0, 400.0]})
    layers = point_layers((1.0, 2.0), (1.01, 2.01), EVIL, components, "dark")
    assert sorted(row["r"] for row in data(layers, "guess-components")) == [50, 400]
    assert data(layers, "snap")[0]["p"] == [[1.0, 2.0], [1.01, 2.01]]
    assert not data(layers, "predicted-point")[0]["tip"].startswith("@@")
    assert [layer.id for layer in point_layers((1, 2), (1, 2), "x", components.iloc[:0], "dark")] == ["snap", "predicted-point"]


def test_the_points_of_the_layers_are_one_path_that_ends_at_the_point() -> None:
    path, stops, signs = layer_path(np.array([[1.0, 2.0], [1.1, 2.1], [1.2, 2.2]]), "light")
    assert data([path], "layer-path")[0]["p"] == [[1.0, 2.0], [1.1, 2.1], [1.2, 2.2]]
    assert len(data([stops], "layer-stops")) == 2, "the last stop is the predicted point itself"
    assert [sign["t"] for sign in data([signs], "layer-signs")] == ["L1", "L2"]
    assert layer_path(np.zeros((1, 2)), "light") == layer_path(np.zeros((0, 2)), "light") == [], "one layer is no way"


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_what_a_router_read_adds_up_and_takes_no_experts_colour(theme) -> None:
    figure = input_shares(np.array([[1.0, 2.0, 1.0], [3.0, 0.0, 1.0]]), ("a", "b", EVIL), ["Mon, A", "Tue, B"], theme)
    assert [list(bar.y) for bar in figure.data] == [[25, 75], [50, 0], [25, 25]] and list(figure.data[0].x) == [-1, 0]
    tints = {bar.marker.color for bar in figure.data}
    assert len(tints) == 3 and not tints & set(palette_of(ROLES + FUNCTIONS, theme).colour)
    assert len({bar.marker.pattern.shape for bar in figure.data}) == 3 and "<script>" not in figure.to_json()


def test_errors_elsewhere_grow_brighter_with_distance() -> None:
    table = pd.DataFrame(
        {"n": [1, 1], "distance_m": [10.0, 9_000.0], "found": [1.0, 0.0], "id": ["a", "b"], "name": ["A", "B"], "longitude": [1.0, 2], "latitude": [1.0, 2]}
    )  # fmt: skip
    near, far = data(error_layers(table, "light"), "errors")
    assert sum(near["c"][:3]) < sum(far["c"][:3]) and error_layers(table.iloc[:0], "light") == []


def test_stacked_weights_leave_out_who_was_never_asked_and_keep_the_rest() -> None:
    weights = np.array([[0.7, 0.0, 0.2], [0.5, 0.0, 0.5]])
    figure = step_weights(
        weights, np.array([0.3, 0.7]), np.array([2, 1.5]), ["Mon, A", "Tue, <b>B</b>"], palette_of(NAMES), "light"
    )
    bars = [trace for trace in figure.data if trace.type == "bar"]
    assert [bar.name for bar in bars] == ["leisure ?", "learning ?"]
    np.testing.assert_allclose(np.sum([bar.y for bar in bars], axis=0), [90, 100])
    assert list(bars[0].x) == [-1, 0] and "<b>" not in bars[0].customdata[1]
    line = next(trace for trace in figure.data if trace.type == "scatter")
    assert list(line.y) == [0.3, 0.7] and [row[1] for row in line.customdata] == [2, 1.5]


def test_a_single_visit_and_a_single_expert_can_be_drawn() -> None:
    palette = palette_of(("only",), "dark")
    assert step_weights(np.ones((1, 1)), np.zeros(1), np.ones(1), ["x"], palette, "dark").data
    assert load_bars(np.ones(1), np.ones(1), palette, "dark").data
    assert likeness_matrix(np.ones((1, 1)), palette, "dark").data


def test_every_picture_says_beside_the_name_what_was_measured_of_it() -> None:
    found = Companion("office worker", 0.4, 0.1, 0.02)
    palette = Palette.of(
        [ExpertLabel("night shift", "role", found), ExpertLabel("office worker", "role", found), ExpertLabel("other")], "light"
    )
    profile, visits = np.full((7, 24, 3), 1 / 3), np.ones((7, 24), np.int64)
    effects = pd.DataFrame({"forced_m": np.ones(3), "silenced_nats": np.ones(3)}).assign(
        forced_moved=0.1, forced_top=0.2, silenced_m=3.0, silenced_top=0.0, normalised=True
    )
    third, place = np.full(3, 1 / 3), pd.DataFrame({"id": ["a"], "name": ["A"], "longitude": [1.0], "latitude": [2.0]})
    city = dominant_layers(dominant_by_place(third[None], np.zeros(1, int)).assign(**place), palette, "light", 10)
    drawn = {
        "steps": step_weights(third[None], np.zeros(1), np.ones(1), ["x"], palette, "light").to_json(),
        "load": load_bars(third, third, palette, "light").to_json(),
        "hours": hours_of_experts(profile, visits, palette, "light").to_json(),
        "person": mean_weights(third, third, third, palette, "light").to_json(),
        "effects": effect_bars(effects, palette, "light").to_json(),
        "likeness": likeness_matrix(np.eye(3), palette, "light").to_json(),
        "labels": label_matrix(np.eye(3), palette, ("a", "b", "c"), np.ones(3, int), "light").to_json(),
        "city": json.dumps(data(city, "dominant")),
    }
    for title, text in drawn.items():
        said = json.dumps(json.loads(text), ensure_ascii=False).replace("≈ office worker", "≈")
        assert "night shift ≈" in said and (("office worker ✓" in said and "other ?" in said) or title == "city"), title
        assert not re.search(r"(night shift|office worker|other)(?! [✓≈?])", said), title


def test_names_that_begin_alike_stay_apart_and_are_shown_as_text() -> None:
    names = ("people who work at night in hospitals", "people who work at night in factories", EVIL)
    palette, share = palette_of(names), np.array([0.5, 0.3, 0.2])
    effects = pd.DataFrame({"name": names, "forced_m": share, "silenced_nats": share}).assign(
        forced_moved=0.1, forced_top=0.2, silenced_m=3.0, silenced_top=0.0, normalised=True
    )
    pictures = {
        "load": load_bars(share, share, palette, "light"),
        "person": mean_weights(share, share, share, palette, "light"),
        "effects": effect_bars(effects, palette, "light"),
        "likeness": likeness_matrix(np.eye(3), palette, "light"),
        "labels": label_matrix(np.eye(3), palette, names, np.array([3, 2, 1]), "light"),
    }
    for title, figure in pictures.items():
        for trace in figure.data:
            assert list(trace.y) == [0, 1, 2], f"{title}: every expert has a row of its own"
            assert trace.type != "heatmap" or list(trace.x) == [0, 1, 2], f"{title}: and every group a column"
        shown = list(figure.layout.yaxis.ticktext)
        assert shown[0].startswith("people who work") and "<script>" not in figure.to_json(), title


@pytest.mark.parametrize("normalised", [True, False])
def test_effects_are_said_to_be_of_probabilities_only_where_there_are_some(normalised) -> None:
    effects = pd.DataFrame({"forced_m": np.ones(3), "silenced_nats": np.ones(3)}).assign(
        forced_moved=0.1, forced_top=0.2, silenced_m=3.0, silenced_top=0.0, normalised=normalised
    )
    drawn = effect_bars(effects, palette_of(NAMES), "light").to_json()
    assert ("of the probability moved" in drawn and "log-probability" in drawn) == normalised
    assert ("of the score moved" in drawn and "log-score" in drawn) != normalised


def test_the_other_pictures_hold_the_numbers_they_were_given() -> None:
    palette = palette_of(NAMES)
    assert list(load_bars(np.array([0.5, 0.5, 0]), np.full(3, 1 / 3), palette, "light").data[0].x) == [50, 50, 0]
    curves = pd.DataFrame({"epoch": [1, 2], "largest": [0.9, 0.5], "dead": [2.0, 0.0]})
    assert [list(trace.y) for trace in load_over_training(curves, 3, "light").data] == [[90, 50], [2, 0]]
    profile = np.full((7, 24, 3), np.nan)
    visits = np.zeros((7, 24), np.int64)
    profile[0, 8], visits[0, 8] = [0.2, 0.3, 0.5], 4
    weekday = hours_of_experts(profile, visits, palette, "light").data[2]
    assert weekday.y[8] == 50 and np.isnan(weekday.y[9])
    assert week_of_expert(profile[..., 2], visits, "light", 0.5).data[0].z[0][8] == 50
    first = mean_weights(np.array([1.0, 0, 0]), np.array([0, 1.0, 0]), np.full(3, 1 / 3), palette, "light").data[0]
    assert list(first.x) == [100, 0, 0]
    matrix = label_matrix(np.eye(3), palette, ("a", "b", "c"), np.array([3, 2, 1]), "light")
    assert matrix.layout.xaxis.ticktext[1] == "b<br>n = 2" and matrix.data[0].z[1][1] == 100
    effects = pd.DataFrame({"name": NAMES, "forced_m": [10.0, 0, 5], "silenced_nats": [0.1, -0.2, 0.0]}).assign(
        forced_moved=0.1, forced_top=0.2, silenced_m=3.0, silenced_top=0.0, normalised=True
    )
    bars = effect_bars(effects, palette, "light").data
    assert list(bars[0].x) == [10, 0, 5] and list(bars[1].x) == [0.1, -0.2, 0.0]
    assert list(visit_effects(["a", "b"], np.array([1.0, -1]), "light").data[0].x) == [1, -1]
