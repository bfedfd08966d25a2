"""Next location, over the tiny synthetic city and a model trained on it by the smallest settings."""

import json
import re

import pytest

from engine.runs import list_runs
from tests.pages.conftest import assert_healthy, words


@pytest.fixture
def page(trained_home, monkeypatch, open_page):
    """The page on the trained run."""
    monkeypatch.setenv("MOBISCOPE_HOME", str(trained_home))
    run_id = next(run.id for run in list_runs() if run.name == "first")
    return lambda **query: open_page("next_location", city="aldhaven", run=run_id, **query)


def html(at) -> str:
    return "\n".join(str(element.value if hasattr(element, "value") else element.proto.body) for element in at.get("html"))


def deck_of(at) -> dict:
    return json.loads(at.get("deck_gl_json_chart")[0].proto.json)


def answer(at) -> str:
    return at.markdown[0].value


def by_label(elements, label: str):
    return next(element for element in elements if element.label == label)


def test_a_home_without_a_city_offers_one(monkeypatch, tmp_path, open_page) -> None:
    monkeypatch.setenv("MOBISCOPE_HOME", str(tmp_path))
    at = open_page("next_location")
    assert_healthy(at)
    assert "No city yet" in words(at) and "Choose a city" in words(at)


def test_a_city_without_a_run_offers_training(city_home, monkeypatch, open_page) -> None:
    monkeypatch.setenv("MOBISCOPE_HOME", str(city_home))
    at = open_page("next_location", city="aldhaven")
    assert_healthy(at)
    assert "No trained model on this city" in words(at) and "Train a model" in words(at)


def test_one_sentence_answers_the_question(page) -> None:
    at = page()
    assert_healthy(at)
    assert at.title[0].value == "Where next?"
    assert re.match(
        r"Top guess \*\*.+\*\*, [\d.]+\u202f%; .*the baseline .+ (had it at rank [\d,]+|could not rank it)\.", answer(at)
    )


def test_the_map_shows_path_guesses_and_truth_within_the_budget(page) -> None:
    at = page()
    spec = deck_of(at)
    found = [layer["id"] for layer in spec["layers"]]
    for layer in ("ground", "history-path", "history-stops", "guess-1", "guess-rank-5", "truth"):
        assert layer in found
    assert len(at.get("deck_gl_json_chart")[0].proto.json) < 2_000_000
    assert spec["mapStyle"] == "__MAP_STYLE__" and "mapProvider" not in spec


def test_the_table_lists_the_guesses_and_the_baselines(page) -> None:
    shown = html(page())
    assert "CaLLiPer" in shown and "Popularity" in shown
    assert shown.count('class="rank"') == 5


def test_next_and_previous_walk_through_the_steps(page) -> None:
    at = page()
    first = answer(at), at.query_params.get("step")
    at.button(key="next.next").click().run()
    assert_healthy(at)
    assert at.query_params["step"] == "1"
    assert "Step 2 of" in words(at)
    at.button(key="next.previous").click().run()
    assert answer(at) == first[0]


def test_a_link_opens_its_person_and_step(page) -> None:
    start = page()
    options = start.selectbox(key="next.person").options
    user = options[-1].split(" · ")[0]
    at = page(user=user, step="1")
    assert at.selectbox(key="next.person").value == user
    assert "Step 2 of" in words(at)


def test_a_link_to_a_person_who_is_not_here_opens_the_first_one(page) -> None:
    at = page(user="<script>", step="99999999999")
    assert_healthy(at)
    assert answer(at).startswith("Top guess")
    assert "has no step here" in words(at)


def test_choosing_a_person_starts_at_their_first_step(page) -> None:
    at = page()
    person = at.selectbox(key="next.person")
    other = person.options[3].split(" · ")[0]
    person.set_value(other).run()
    assert_healthy(at)
    assert at.query_params["user"] == other and at.query_params["step"] == "0"


def test_changing_the_hour_asks_another_question_and_reset_undoes_it(page) -> None:
    at = page()
    before = answer(at)
    hour = by_label(at.slider, "Hour of the question")
    hour.set_value((hour.value + 12) % 24).run()
    assert_healthy(at)
    assert answer(at).startswith("Asked at ")
    assert "The edit moved" in words(at)
    by_label(at.button, "Reset").click().run()
    assert answer(at) == before


def test_the_view_stays_while_the_hour_moves_through_the_day(page) -> None:
    at = page()
    views = {json.dumps(deck_of(at)["initialViewState"], sort_keys=True)}
    ids = {tuple(layer["id"] for layer in deck_of(at)["layers"] if not layer["id"].startswith("error"))}
    for hour in range(20):
        by_label(at.slider, "Hour of the question").set_value(hour).run()
        views.add(json.dumps(deck_of(at)["initialViewState"], sort_keys=True))
        ids.add(tuple(layer["id"] for layer in deck_of(at)["layers"] if not layer["id"].startswith("error")))
    assert len(views) == 1 and len(ids) == 1


def test_another_person_a_stranger_and_another_weekday_can_ask(page) -> None:
    at = page()
    asked_as = by_label(at.selectbox, "Asked as")
    asked_as.set_value(asked_as.options[1]).run()
    assert_healthy(at)
    assert answer(at).startswith("Asked as a person nobody knows")
    weekday = by_label(at.selectbox, "Weekday")
    weekday.set_value((weekday.value + 1) % 7).run()
    assert re.match(r"Asked on a \w+day, as a person nobody knows: top guess", answer(at))


def test_an_edit_does_not_slip_to_the_next_step(page) -> None:
    at = page()
    hour = by_label(at.slider, "Hour of the question")
    hour.set_value((hour.value + 5) % 24).run()
    at.button(key="next.next").click().run()
    assert answer(at).startswith("Top guess")


def test_hiding_visits_shortens_the_path(page) -> None:
    at = page()

    def stops() -> int:
        return len(next(layer for layer in deck_of(at)["layers"] if layer["id"] == "history-stops")["data"])

    while stops() == 1:
        at.button(key="next.next").click().run()
    by_label(at.slider, "Keep the last visits").set_value(1).run()
    assert_healthy(at)
    assert stops() == 1


def test_the_filter_shows_only_hits_or_only_misses(page) -> None:
    at = page()
    at.selectbox(key="next.filter").set_value("First guess right").run()
    assert_healthy(at)
    assert "that is where the person went" in answer(at)
    at.selectbox(key="next.filter").set_value("Missed").run()
    assert "that is where the person went" not in answer(at)


def test_a_filter_that_fits_nothing_says_so(page) -> None:
    at = page()
    at.text_input(key="next.went").set_value("no place is called so").run()
    assert_healthy(at)
    assert "No step fits this filter" in words(at)


def test_where_the_probability_lies_is_a_layer(page) -> None:
    at = page()
    at.toggle(key="next.mass").set_value(True).run()
    assert "probability-mass" in [layer["id"] for layer in deck_of(at)["layers"]]


@pytest.mark.parametrize(
    "detail", ["Why not the truth", "Steps of this person", "Before and after", "Probabilities", "The person's day"]
)
def test_every_detail_can_be_opened(page, detail) -> None:
    at = page()
    at.segmented_control(key="next.details").set_value(detail).run()
    assert_healthy(at)
    assert detail in words(at)


def test_a_model_of_scores_is_nowhere_said_to_give_probabilities(page, only_scores) -> None:
    at = page()
    at.toggle(key="next.mass").set_value(True).run()
    at.segmented_control(key="next.details").set_value("Probabilities").run()
    assert_healthy(at)
    said = words(at) + html(at) + "".join(f"{toggle.label} {toggle.help}" for toggle in at.toggle)
    assert "Where the score lies" in said and "equally scored" in said and "equally likely" not in said
    assert "Scores" in at.segmented_control(key="next.details").options
    # One sentence tells what a score is not, and lines of Python use the engine's name.
    assert "probabilit" not in said.replace("not a probability", "").replace("log_probability", "").lower()
