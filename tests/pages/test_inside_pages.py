"""Attention, embeddings, long tail and what-if, over the tiny synthetic city and models trained on it by the smallest settings."""

import base64
import json

import numpy as np
import pytest

from dashboard.session import Selection
from engine.evaluation.slices import popularity_deciles
from engine.projection import project_embedding
from engine.runs import Run, list_runs
from engine.scenarios import scenario
from engine.scenarios.edits import ClosePlace, HideVisits
from engine.scenarios.scenario import EditStack
from tests.pages.conftest import assert_healthy, button, words

PAGES = ("attention", "embeddings", "long_tail", "what_if")


@pytest.fixture
def page(trained_home, monkeypatch, open_page):
    """Opens a page on the trained run."""
    monkeypatch.setenv("MOBISCOPE_HOME", str(trained_home))
    run_id = next(run.id for run in list_runs() if run.name == "first")
    return lambda name, **query: open_page(name, city="aldhaven", run=run_id, **query)


def by_label(elements, label: str):
    return next(element for element in elements if element.label == label)


def decks(at) -> list[dict]:
    return [json.loads(element.proto.json) for element in at.get("deck_gl_json_chart")]


@pytest.mark.parametrize("name", PAGES)
def test_without_a_city_or_a_run_the_next_step_is_offered(name, city_home, monkeypatch, open_page) -> None:
    monkeypatch.setenv("MOBISCOPE_HOME", str(city_home))
    at = open_page(name, city="aldhaven")
    assert_healthy(at)
    assert button(at, "Train a model")


@pytest.mark.parametrize("name", PAGES)
def test_the_page_is_drawn_with_an_answer_and_maps_within_the_budget(name, page) -> None:
    at = page(name)
    assert_healthy(at)
    assert at.title[0].value.endswith("?") and len(at.markdown[0].value) > 40
    assert decks(at)
    for element in at.get("deck_gl_json_chart"):
        assert len(element.proto.json) < 2_000_000


def test_attention_speaks_of_agreement_and_follows_layer_and_head(page) -> None:
    at = page("attention")
    assert "rank correlation" in at.markdown[0].value
    by_label(at.selectbox, "Layer").set_value("rollout through all layers").run()
    assert_healthy(at)
    by_label(at.selectbox, "Layer").set_value(0).run()
    by_label(at.selectbox, "Head").set_value(1).run()
    assert_healthy(at)


def test_attention_shows_every_view_below(page) -> None:
    for view in ("Matrix", "Layers and heads", "Visits"):
        at = page("attention")
        at.session_state["attention.below"] = view
        at.run()
        assert_healthy(at)


@pytest.mark.parametrize("view", ["Matrix", "Visits"])
def test_attention_of_a_model_of_scores_is_measured_on_its_scores(page, only_scores, view) -> None:
    at = page("attention")
    at.session_state["attention.below"] = view
    at.run()
    assert_healthy(at)
    assert "log-score" in words(at) and "probability" not in words(at)


def test_embeddings_link_picture_and_map(page, trained_home, monkeypatch) -> None:
    at = page("embeddings")
    run = Run.open(next(run.id for run in list_runs() if run.name == "first")).load()
    places = run.data.samples.log.places
    project_embedding(run.model.embeddings(places)["location"].vectors, "pca")
    at.session_state["embeddings.method"] = "pca"
    at.run()
    assert_healthy(at)
    assert "Trustworthiness" in words(at)
    chosen = str(places.ids[3])
    at.session_state["embeddings.map"] = {"selection": {"indices": {"linked": [0]}, "objects": {"linked": [{"id": chosen}]}}}
    at.run()
    assert_healthy(at)
    assert at.session_state["mobiscope.selection"].primary == chosen
    assert "Nearest to" in words(at) and "1 location selected" in words(at)


def figures(at) -> list[dict]:
    return [json.loads(element.proto.spec) for element in at.get("plotly_chart")]


def test_a_selection_on_the_map_lights_the_picture(page, trained_home) -> None:
    """The chosen place is drawn larger than all others in the picture, and nothing is lit before."""
    run = Run.open(next(run.id for run in list_runs() if run.name == "first")).load()
    places = run.data.samples.log.places
    project_embedding(run.model.embeddings(places)["location"].vectors, "pca")
    at = page("embeddings")
    at.session_state["embeddings.method"] = "pca"
    at.run()
    chosen = str(places.ids[3])
    at.session_state["embeddings.map"] = {"selection": {"indices": {"linked": [0]}, "objects": {"linked": [{"id": chosen}]}}}
    at.run()
    assert_healthy(at)
    dots = figures(at)[0]["data"][0]
    at.session_state["mobiscope.selection"] = Selection()
    at.run()
    plain = figures(at)[0]["data"][0]
    lit = [item for item, before, after in zip(dots["customdata"], _sizes(plain), _sizes(dots), strict=True) if after > before]
    assert lit == [chosen]


def _sizes(trace: dict) -> list[float]:
    """Sizes of dots, which plotly may write as base64."""
    size = trace["marker"]["size"]
    if isinstance(size, dict):
        return np.frombuffer(base64.b64decode(size["bdata"]), size["dtype"]).tolist()
    return list(size)


def test_too_many_points_are_sampled_by_stratum_and_the_page_says_so(page, monkeypatch) -> None:
    monkeypatch.setattr("engine.projection.MOST_POINTS", 60)
    run = Run.open(next(run.id for run in list_runs() if run.name == "first")).load()
    log = run.data.samples.log
    project_embedding(run.model.embeddings(log.places)["location"].vectors, "pca", strata=popularity_deciles(log))
    at = page("embeddings")
    at.session_state["embeddings.method"] = "pca"
    at.run()
    assert_healthy(at)
    assert "points are drawn, every popularity decile in its share" in words(at)
    assert len(figures(at)[0]["data"][0]["customdata"]) < len(log.places)


@pytest.mark.parametrize(("name", "kind"), [("hour", None), ("weekday", None), ("user", "user"), ("place", "location")])
def test_a_lasso_selects_what_can_be_selected_and_no_hours(page, name, kind) -> None:
    run = Run.open(next(run.id for run in list_runs() if run.name == "first")).load()
    log = run.data.samples.log
    embedding = run.model.embeddings(log.places)[name]
    strata = popularity_deciles(log) if embedding.subject == "location" else None
    project_embedding(embedding.vectors, "pca", strata=strata)
    at = page("embeddings")
    at.session_state["embeddings.method"] = "pca"
    at.session_state["embeddings.name"] = name
    at.run()
    caught = [{"customdata": str(embedding.ids[1])}]
    key = f"embeddings.picture.{at.session_state['mobiscope.run']}.{name}.pca"
    at.session_state[key] = {"selection": {"points": caught, "point_indices": [1], "box": [], "lasso": []}}
    at.run()
    assert_healthy(at)
    assert ("Draw a lasso" in words(at)) is (kind is not None)
    if kind is None:
        assert "mobiscope.selection" not in at.session_state
    else:
        chosen = at.session_state["mobiscope.selection"]
        assert (chosen.kind, chosen.ids) == (kind, (str(embedding.ids[1]),))


@pytest.mark.parametrize("shown", ["text", "place", "colour", "change"])
def test_the_field_of_a_model_is_drawn(page, shown) -> None:
    at = page("embeddings")
    at.session_state["embeddings.below"] = "Field"
    at.session_state["field.shown"] = shown
    at.run()
    assert_healthy(at)
    assert "Learned range" in words(at)
    drawn = [layer["id"] for deck in decks(at) for layer in deck["layers"]]
    assert ("field" in drawn) is (shown != "place")  # no place is chosen yet


@pytest.mark.parametrize("colour", ["visits", "decile", "seen", "error", "cluster"])
def test_every_colouring_is_drawn(page, colour) -> None:
    at = page("embeddings")
    by_label(at.selectbox, "Colour").set_value(colour).run()
    assert_healthy(at)


def test_every_slice_is_drawn_and_an_empty_one_says_n_is_zero(page) -> None:
    at = page("long_tail")
    for name in ("hidden", "weather", "hour", "explore", "category", "cold_user"):
        by_label(at.selectbox, "Slice").set_value(name).run()
        assert_healthy(at)


def test_a_group_shows_its_cases_and_only_those(page) -> None:
    at = page("long_tail")
    by_label(at.selectbox, "Slice").set_value("explore").run()
    everything = len(at.dataframe[0].value)
    at.session_state["mobiscope.slice"] = "explore=explore"
    at.run()
    assert_healthy(at)
    shown = len(at.dataframe[0].value)
    assert 0 < shown < everything
    assert "Cases of explore" in words(at) and "Explore or return" in words(at)
    button(at, "All cases").click().run()
    assert len(at.dataframe[0].value) == everything


def test_the_cases_of_a_predictor_of_scores_are_sorted_by_score(page) -> None:
    at = page("long_tail")
    for label, share in ((at.multiselect(key="long_tail.series").value[0], "probability"), ("Last place", "score")):
        at.multiselect(key="long_tail.series").set_value([label]).run()
        assert_healthy(at)
        columns = json.loads(at.dataframe[0].proto.columns)
        assert columns["probability"]["label"] == f"{share} of the truth"


@pytest.mark.parametrize("name", ["attention", "what_if"])
def test_a_slice_limits_the_steps_of_every_page(name, page) -> None:
    everything = len(by_label(page(name).selectbox, "Person").options)
    at = page(name, slice="explore=explore")
    assert_healthy(at)
    people = by_label(at.selectbox, "Person").options
    assert 0 < len(people) <= everything
    empty = page(name, slice="hidden=target")
    assert_healthy(empty)
    assert "No case in this slice (n = 0)" in words(empty)


def test_closing_a_place_moves_probability_and_undo_brings_it_back(page) -> None:
    at = page("what_if")
    before = at.dataframe[0].value
    top = before.iloc[0]
    run = Run.open(next(run.id for run in list_runs() if run.name == "first")).load()
    places = run.data.samples.log.places
    location = next(str(place) for place, name in zip(places.ids, places.names, strict=True) if name == top["name"])
    at.session_state["mobiscope.what_if.stack"] = ("aldhaven", EditStack().push(ClosePlace(location_id=location)))
    at.run()
    assert_healthy(at)
    assert "With 1 edit" in at.markdown[0].value
    after = at.dataframe[0].value.set_index("name")
    assert after.loc[top["name"], "after"] == 0 and after.loc[top["name"], "edit"] == "closed"
    button(at, "Undo").click().run()
    assert_healthy(at)
    assert at.dataframe[0].value.equals(before)
    button(at, "Redo").click().run()
    assert "With 1 edit" in at.markdown[0].value
    for taken_out in ("Remove", "Start over"):
        button(at, taken_out).click().run()
        assert at.dataframe[0].value.equals(before)
        button(at, "Undo").click().run()
        assert "With 1 edit" in at.markdown[0].value


def test_a_place_is_opened_from_the_form(page) -> None:
    at = page("what_if")
    labels = [item.label for item in at.button]
    assert labels.index("Undo") < labels.index("Open it"), "the list of edits stands above the form, where it stays in view"
    at.text_input(key="what_if.place_name").set_value("**Bold** <script>")
    button(at, "Open it").click().run()
    assert_healthy(at)
    assert "With 1 edit" in at.markdown[0].value
    assert "edited" in [layer["id"] for layer in decks(at)[0]["layers"]]
    assert any("edited place" in str(element.proto.body) for element in at.get("html"))
    assert "**Bold** <script>" not in words(at)


@pytest.mark.parametrize("view", ["Ranking", "Substitutes", "Smallest edits", "Metrics"])
def test_every_view_of_a_what_if_is_drawn(page, view) -> None:
    at = page("what_if")
    at.session_state["what_if.below"] = view
    at.run()
    assert_healthy(at)


def test_a_full_stack_says_so_and_stays_as_it_is(page, monkeypatch) -> None:
    """From the list of smallest edits and from a form; with room for two edits here, for 1,000 otherwise."""
    monkeypatch.setattr(scenario, "MOST_EDITS", 2)
    full = EditStack().push(HideVisits(steps=(0,))).push(HideVisits(steps=(1,)))
    at = page("what_if")
    at.session_state["mobiscope.what_if.stack"] = ("aldhaven", full)
    at.session_state["what_if.below"] = "Smallest edits"
    at.run()
    for label in ("Add to the scenario", "Open it"):
        button(at, label).click().run()
        assert_healthy(at)
        assert "A scenario holds at most 2 edits" in words(at)
        assert at.session_state["mobiscope.what_if.stack"] == ("aldhaven", full)
    at.run()
    assert "at most" not in words(at), "said once"


def test_a_predictor_of_scores_is_nowhere_said_to_give_probabilities(page) -> None:
    at = page("what_if")
    by_label(at.selectbox, "Answered by").set_value("last_place").run()
    places = Run.open(next(run.id for run in list_runs() if run.name == "first")).load().data.samples.log.places
    first = at.dataframe[0].value.iloc[0]["name"]
    closed = next(str(place) for place, name in zip(places.ids, places.names, strict=True) if name == first)
    for edits in ((), (ClosePlace(location_id=closed),)):
        at.session_state["mobiscope.what_if.stack"] = ("aldhaven", EditStack(edits))
        for view in ("Ranking", "Substitutes", "Smallest edits"):
            at.session_state["what_if.below"] = view
            at.run()
            assert_healthy(at)
            said = words(at) + json.dumps(decks(at))
            assert "of the score" in said and "probability" not in said.replace("probability-moved", ""), view


def test_metrics_of_a_scenario_without_edits_do_not_change(page) -> None:
    at = page("what_if")
    at.session_state["what_if.below"] = "Metrics"
    at.run()
    button(at, "Measure").click().run()
    assert_healthy(at)
    assert (at.dataframe[0].value["difference"].abs() < 1e-9).all()


def test_metrics_of_a_hidden_visit_say_how_many_samples_have_it_and_come_by_slice(page) -> None:
    at = page("what_if")
    at.session_state["mobiscope.what_if.stack"] = ("aldhaven", EditStack((HideVisits(steps=(0,)),)))
    at.session_state["what_if.below"] = "Metrics"
    at.run()
    by_label(at.selectbox, "By slice").set_value("weekday").run()
    button(at, "Measure").click().run()
    assert_healthy(at)
    assert "The edits of the question change" in words(at)
    assert {"all", "Monday"} <= set(at.dataframe[0].value["group"])


@pytest.mark.parametrize("kind", ["Place", "Moment", "History", "Mechanism"])
def test_every_form_is_drawn_for_model_and_baseline(page, kind) -> None:
    at = page("what_if")
    at.session_state["what_if.kind"] = kind
    at.run()
    assert_healthy(at)
    by_label(at.selectbox, "Answered by").set_value("popularity").run()
    assert_healthy(at)
    if kind == "Mechanism":
        assert "No mechanism to override" in words(at)


def test_a_click_on_the_map_fills_the_position_of_the_form(page) -> None:
    at = page("what_if")
    at.session_state["what_if.click"] = "sets a position"
    at.run()
    assert_healthy(at)
    layer = next(layer for layer in decks(at)[0]["layers"] if layer["id"] == "pick")
    clicked = layer["data"][5]
    at.session_state["what_if.map.True"] = {"selection": {"indices": {"pick": [5]}, "objects": {"pick": [clicked]}}}
    at.run()
    assert_healthy(at)
    assert by_label(at.number_input, "Latitude, °").value == clicked["at"][1]
    assert by_label(at.number_input, "Longitude, °").value == clicked["at"][0]


def test_the_study_can_be_taken_along_with_its_what_if(page) -> None:
    at = page("what_if")
    assert [item.label for item in at.get("download_button") if item.label == "Report as one HTML file"]
