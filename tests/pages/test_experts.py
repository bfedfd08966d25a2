"""The experts page over the tiny synthetic city and a model trained on it by the smallest settings."""

import base64
import json
import re
import shutil
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from dashboard import cached, questions, wording
from dashboard.views import expert_map
from dashboard.views.expert_cards import SHOWN
from engine.evaluation import routing
from engine.evaluation.routed import ExpertLabel
from engine.evaluation.routing import Companion
from engine.runs import Run, list_runs
from engine.scenarios.edits import OverrideProbe, ShiftLast, TurnKnob
from engine.scenarios.scenario import EditStack
from tests.pages.conftest import assert_healthy, button, words
from tests.pages.test_exports import assert_all_leave

VIEWS = ("Cards", "Load", "Rhythm", "This person", "Differences", "Labels", "Visits", "Another city")
SETS = "experts.set.2"


@pytest.fixture(scope="module")
def expert_home(trained_home, tiny_city, tmp_path_factory) -> Iterator[Path]:
    """The trained home with a second city and one more run, of a model with experts; read-only."""
    from engine.runs import RunRequest, submit

    home = tmp_path_factory.mktemp("expert-home")
    shutil.copytree(trained_home, home, dirs_exist_ok=True)
    tiny_city.replace(name="Elsewhere").save(home / "cities" / "elsewhere")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MOBISCOPE_HOME", str(home))
        patch.setenv("OMP_NUM_THREADS", "1")
        request = RunRequest(
            model="nextlocmoe",
            city="aldhaven",
            preset="tiny",
            config={"epochs": 1, "stride": 20, "head": "mdn", "history_visits": 10},
            name="with experts",
        )
        run = submit(request)
        until = time.monotonic() + 240
        while not Run.open(run).status().has_ended and time.monotonic() < until:
            time.sleep(0.3)
        assert Run.open(run).status().state == "DONE", Run.open(run).log_tail(20)
    yield home


@pytest.fixture
def page(expert_home, monkeypatch, open_page):
    """Opens a page on the run with experts."""
    monkeypatch.setenv("MOBISCOPE_HOME", str(expert_home))
    run_id = next(run.id for run in list_runs() if run.name == "with experts")
    return lambda name="experts", **query: open_page(name, **({"city": "aldhaven", "run": run_id} | query))


@pytest.mark.parametrize("view", VIEWS[:-1])
def test_every_panel_can_be_taken_along(view, page, expert_home) -> None:
    at = page()
    at.session_state["experts.below"] = view
    at.run()
    assert_all_leave(at, expert_home)


def test_what_is_asked_of_a_slice_or_of_one_question_can_be_taken_along(page, expert_home) -> None:
    at = page(slice="explore=explore")
    at.session_state["experts.steps.of"] = "the slice"
    at.session_state["experts.shown"] = expert_map.SHOWN[1]
    at.run()
    assert_all_leave(at, expert_home)


def decks(at) -> list[dict]:
    return [json.loads(element.proto.json) for element in at.get("deck_gl_json_chart")]


def layer(at, name: str) -> dict | None:
    return next((layer for deck in decks(at) for layer in deck["layers"] if layer["id"] == name), None)


def test_without_a_run_the_next_step_is_offered(city_home, monkeypatch, open_page) -> None:
    monkeypatch.setenv("MOBISCOPE_HOME", str(city_home))
    at = open_page("experts", city="aldhaven")
    assert_healthy(at)
    assert button(at, "Train a model")


def test_a_model_without_experts_says_so_and_leads_to_one_that_has_some(page) -> None:
    other = next(run.id for run in list_runs() if run.name == "first")
    at = page(run=other)
    assert_healthy(at)
    assert "has no experts" in words(at)
    use = next(item for item in at.button if item.label.startswith("Use the run with experts"))
    use.click().run()
    assert_healthy(at)
    assert "the model asked" in at.markdown[0].value


def test_the_answer_names_experts_doubt_and_the_dead_and_the_map_is_within_its_budget(page) -> None:
    at = page()
    assert_healthy(at)
    said = at.markdown[0].value
    assert at.title[0].value == "Who was asked?"
    assert "of 5 functions of places" in said and "of 11 roles of people" in said and "nats of doubt" in said
    assert all(len(element.proto.json) < 2_000_000 for element in at.get("deck_gl_json_chart"))
    everything = len(layer(at, "dominant")["data"])
    at.session_state["experts.hour"] = 4
    at.run()
    assert_healthy(at)
    night = layer(at, "dominant")
    assert night is None or len(night["data"]) < everything, "the slider chooses the hours"


def test_the_lines_of_the_map_give_the_table_that_is_mapped(page) -> None:
    at = page()
    at.session_state[SETS] = "roles_2"
    at.session_state["experts.hour"] = 0
    at.run()
    assert_healthy(at)
    given: dict = {}
    exec(next(item.value for item in at.code if "dominant_by_place" in item.value), given)  # noqa: S102 - our own lines
    mapped = {row["id"]: row["tip"] for row in layer(at, "dominant")["data"]}
    assert set(given["led"]["id"].astype(str)) == set(mapped)
    for row in given["led"].itertuples():
        assert f"\n{row.expert} " in mapped[str(row.id)] and f"{row.n} question" in mapped[str(row.id)]
    legend = next(element.proto.body for element in at.get("html") if "map-legend" in element.proto.body)
    shown = given["led"]["expert"].nunique()
    assert legend.count("<div>") == min(shown, 6) + (shown > 6), "eleven lines would cover the map"


@pytest.mark.parametrize("size", [5, 11], ids=["functions", "roles"])
def test_the_headline_judges_every_set_by_itself(page, monkeypatch, size) -> None:
    monkeypatch.setattr(routing, "dead", lambda share: np.arange(len(share)) == (0 if len(share) == size else -1))
    at = page()
    assert_healthy(at)
    judged = at.markdown[0].value.split(" it chooses ")[1].split(", and ")
    said = {5: "functions of places with", 11: "roles of people with"}
    for sentence, (experts, begins) in zip(judged, said.items(), strict=True):
        assert sentence.startswith(begins) and f"({'1' if experts == size else 'none'} of {experts} dead)" in sentence


def test_a_dead_expert_is_said_to_be_asked_as_often_as_it_is(page, monkeypatch) -> None:
    monkeypatch.setattr(routing, "dead", lambda share: np.arange(len(share)) == 2)
    at = page()
    at.session_state["experts.below"] = "Load"
    at.run()
    assert_healthy(at)
    said = words(at)
    assert re.search(r"dead: learning [✓≈?]+ \(asked in [\d.]+\s%\s?of questions\)", said.replace("\\", "")), said
    assert f"less than {wording.percent(0.01, 1)} of the weight as used is called dead" in said
    assert "nothing would change" not in said and "measured under Differences" in said
    assert [metric.label for metric in at.metric][:3] == ["Doubt per visit", "Spread over all visits", "Specialisation"]


def test_the_group_an_expert_goes_along_with_stands_in_its_list_wherever_it_ranks(page, monkeypatch) -> None:
    at = page()
    listed = next(element.value for element in at.dataframe if "label" in element.value)
    assert len(listed) == SHOWN
    run_id = next(run.id for run in list_runs() if run.name == "with experts")
    over, places = cached.asked(run_id, None), cached.loaded_run(run_id).data.samples.log.places
    asked = np.array(places.category_names)[places.category[over.visits["location"]]]
    group = next(name for name in np.unique(asked) if (asked == name).sum() >= 5 and name not in set(listed["label"]))
    found = ExpertLabel("own", "category", Companion(group, 0.14, 0.07, 0.02), 0.82, 0.34, 17, "places")
    monkeypatch.setattr(cached, "expert_labels", lambda run, slice_, key: (found,) * len(cached.expert_sets(run)[key].names))
    at.run()
    assert_healthy(at)
    listed = next(element.value for element in at.dataframe if "label" in element.value)
    assert len(listed) == SHOWN + 1 and listed["label"].iloc[-1] == group and listed["lift"].is_monotonic_decreasing
    said = words(at).replace("\\", "")
    assert f"category {group} (leads for 82% of n = 17 places), 2.4 times its share of all places" in said
    assert re.search(
        rf"{re.escape(group)}, which it goes along with by places led, is number \d+ of \d+ by lift over questions", said
    )
    overview = at.dataframe[0].value
    assert "lift" not in overview and "about" not in overview, "one name for one measure, and no text cut short"


def test_a_person_with_too_few_questions_leads_to_the_one_with_the_most(page) -> None:
    run_id = next(run.id for run in list_runs() if run.name == "with experts")
    samples, visits = cached.loaded_run(run_id).data.samples, cached.asked(run_id, ("explore", "explore")).visits
    count = np.bincount(visits["user"], minlength=len(samples.log.users))
    few, most = (samples.log.users[pick] for pick in (np.flatnonzero(count == 1)[0], count.argmax()))
    at = page(user=str(few), slice="explore=explore")
    at.session_state["experts.below"] = "This person"
    at.run()
    assert_healthy(at)
    assert "Too few questions" in words(at)
    button(at, f"Look at {wording.literal(most)}, who has the most ({count.max()} questions)").click().run()
    assert_healthy(at)
    assert at.session_state["experts.person"] == str(most) and f"Whom the model sees in {wording.literal(most)}" in words(at)
    assert chart(at, "experts.person.chart") and not [item for item in at.button if item.label.startswith("Look at")]


def test_every_view_below_is_drawn_for_both_sets(page) -> None:
    at = page()
    for view in VIEWS:
        for chosen in ("functions", "roles_2"):
            at.session_state[SETS] = chosen
            at.session_state["experts.below"] = view
            at.run()
            assert_healthy(at)
        if view == "Labels":
            assert "Agreement with the **true role**: normalised mutual information" in words(at)
            each = at.dataframe[0].value
            assert len(each) == (5 if chosen == "functions" else 11) and set(each["clear"]) <= {True, False}
        if view == "Cards":
            frame = at.dataframe[0].value
            assert len(frame) == 11 and frame["load"].sum() == pytest.approx(1, abs=1e-5)
        if view == "Another city":
            button(at, "Ask there").click().run()
            assert_healthy(at)
            assert "In **Elsewhere** the same weights have" in words(at) and layer(at, "errors")["data"]
            legend = " ".join(element.proto.body for element in at.get("html"))
            assert re.search(r"mean distance error: 0\sm to [\d.,]+\s(m|km) and more", legend)


@pytest.fixture
def rename(monkeypatch):
    """Makes the run's experts bear other names, each from the old one's position."""
    declared = cached.expert_sets

    def rename(called) -> None:
        def renamed(run_id: str) -> dict:
            return {
                key: replace(one, names=tuple(called(number) for number in range(len(one.names))))
                for key, one in declared(run_id).items()
            }

        for module in (cached, cached.expert_data):
            monkeypatch.setattr(module, "expert_sets", renamed)

    return rename


def everything_said(at) -> Iterator[str]:
    """All that an analyst can read or hover over."""
    yield from (element.value for element in (*at.title, *at.subheader, *at.markdown, *at.caption))
    yield from (option for element in at.selectbox for option in element.options)
    yield from (json.dumps(json.loads(element.proto.spec), ensure_ascii=False) for element in at.get("plotly_chart"))
    yield from (json.dumps(json.loads(element.proto.json), ensure_ascii=False) for element in at.get("deck_gl_json_chart"))
    yield from (element.proto.body for element in at.get("html"))
    yield from (element.value.to_csv() for element in at.dataframe)


def test_no_name_is_printed_without_what_was_measured_of_it(page, rename) -> None:
    rename(lambda number: f"hypothesis{number}x")
    at = page()
    for view in VIEWS[:-1]:
        at.session_state["experts.below"] = view
        at.run()
        assert_healthy(at)
        said = [text for text in everything_said(at) if "hypothesis" in text]
        assert len(said) >= 4, "the answer, the legend, the map, the weights"
        for text in said:
            bare = re.search(r".{0,30}hypothesis\d+x(?! [✓≈?]).{0,30}", text)
            assert not bare, f"{view}: {bare.group()}"


def test_names_from_a_file_render_as_their_letters(page, rename) -> None:
    evil = "![x](http://e.x/i.png) $a^2$ :red[**loud**]"
    rename(lambda number: f"{number}{evil}")
    at = page()
    for view in VIEWS[:6]:
        at.session_state["experts.below"] = view
        at.run()
        assert_healthy(at)
        shown = [element.value for element in (*at.markdown, *at.caption, *at.subheader, *at.title)]
        assert any(wording.literal(evil)[:12] in text for text in shown)
        for text in shown:
            assert "![" not in text and "$a^2$" not in text and ":red[" not in text and "**loud" not in text, view


def chart(at, name: str) -> dict:
    return next(json.loads(element.proto.spec) for element in at.get("plotly_chart") if name in element.proto.id)


def test_weights_per_visit_are_shown_for_the_question_and_for_the_whole_slice(page) -> None:
    at = page()
    at.session_state[SETS] = "roles_2"
    at.run()
    own = chart(at, "experts.steps")
    at.session_state["experts.steps.of"] = "the slice"
    at.run()
    assert_healthy(at)
    everybody = chart(at, "experts.steps")
    bars = [trace for trace in everybody["data"] if trace["type"] == "bar"]
    assert len(bars) == 11 and bars[0]["x"][-1] == 0 and bars[0]["x"] != own["data"][0]["x"]
    assert re.search(r"\d+ visits before it, n = [\d,]+ questions", json.dumps(everybody)), "every step says of how many questions"
    assert re.search(r"Means over [\d,]+ questions", words(at))
    at.session_state["experts.weights"] = "before the choice"
    at.run()
    raw = [trace for trace in chart(at, "experts.steps")["data"] if trace["type"] == "bar"]
    heights = [np.frombuffer(base64.b64decode(bar["y"]["bdata"]), bar["y"]["dtype"]) for bar in raw]
    np.testing.assert_allclose(np.sum(heights, axis=0), 100, atol=0.1)


def test_one_question_shows_its_point_its_guesses_and_the_snap(page) -> None:
    at = page()
    at.session_state["experts.shown"] = "This question"
    at.run()
    assert_healthy(at)
    assert len(layer(at, "guess-components")["data"]) == 8 and layer(at, "snap") and layer(at, "predicted-point")
    assert "from the point to the nearest place" in words(at)
    signs = [sign["t"] for sign in layer(at, "layer-signs")["data"]]
    assert signs == ["L1"] and re.search("After the first of 2 layers it lay .* from there", words(at))
    assert "What the router went by" not in words(at), "the function router does not tell its inputs apart"
    at.session_state[SETS] = "roles_2"
    at.run()
    assert_healthy(at)
    parts = [bar["name"] for bar in chart(at, "experts.inputs")["data"]]
    assert parts == ["the visit", "the long history", "the texts of the experts"]
    assert "What the router went by" in words(at)


def test_a_slice_without_a_case_says_so(page) -> None:
    at = page(slice="hour=no such hour")
    assert_healthy(at)
    assert "No case in this slice" in words(at)


def test_an_expert_is_forced_by_name_and_a_knob_turned_on_the_what_if_page(page) -> None:
    at = page("what_if")
    at.session_state["what_if.kind"] = "Mechanism"
    at.run()
    assert_healthy(at)
    by = {item.label: item for item in at.selectbox}
    by["Probe"].set_value("functions.routing").run()
    next(item for item in at.selectbox if item.label == "Action").set_value("force").run()
    expert = next(item for item in at.selectbox if item.label == "Which expert")
    assert expert.options == ["leisure", "commerce", "learning", "civic", "living"]
    expert.set_value(3).run()
    button(at, "Override").click().run()
    assert_healthy(at)
    at.session_state["what_if.mechanism"] = "Turn a setting"
    at.run()
    next(item for item in at.selectbox if item.label == "Value").set_value("dense").run()
    button(at, "Turn it").click().run()
    assert_healthy(at)
    edits = at.session_state["mobiscope.what_if.stack"][1].done
    forced = OverrideProbe(probe="functions.routing", action="force", index=3, entry="civic")
    assert edits == (forced, TurnKnob(knob="mode", value="dense"))
    assert "With 2 edits" in at.markdown[0].value
    said = words(at).replace("\\", "")
    assert "let only “civic” count in “Weight of each function expert that is asked (functions.routing)”" in said
    assert "turn “Choice of roles” to dense" in said


def test_an_edit_made_for_another_expert_is_refused_in_a_sentence(page) -> None:
    at = page("what_if")
    other = OverrideProbe(probe="functions.routing", action="force", index=3, entry="living")
    at.session_state["mobiscope.what_if.stack"] = ("aldhaven", EditStack().push(other))
    at.run()
    assert_healthy(at)
    assert "was made for “living” at position 3" in words(at).replace("\\", "")


def test_the_last_visit_is_moved_on_the_what_if_page(page) -> None:
    at = page("what_if")
    at.session_state["what_if.kind"] = "History"
    at.session_state["what_if.east"] = 500
    at.run()
    button(at, "Move it there").click().run()
    assert_healthy(at)
    assert at.session_state["mobiscope.what_if.stack"][1].done == (ShiftLast(east_m=500.0),)
    assert "With 1 edit" in at.markdown[0].value
    legend = " ".join(str(element.proto.body) for element in at.get("html"))
    assert "last visit, where it was" in legend and "where it is taken to be" in legend and "edited place" not in legend
    (was,), (now,) = (layer(at, name)["data"] for name in ("moved-visit-was", "moved-visit-now"))
    metres_east = (now["p"][0] - was["p"][0]) * 111_320 * np.cos(np.radians(was["p"][1]))
    assert metres_east == pytest.approx(500, rel=0.02)


def test_an_edit_that_cannot_matter_says_so_and_which_setting_decides_it(page) -> None:
    at = page("what_if")
    at.session_state["what_if.kind"] = "History"
    at.run()
    button(at, "Let it take so long").click().run()
    assert_healthy(at)
    said = words(at).replace("\\", "")
    assert "No effect here. This run does not read how long" in said and "“Hide running durations” on" in said
    assert "Needs: nothing" not in said


def test_the_same_numbers_come_from_the_command_line(expert_home, monkeypatch, capsys) -> None:
    from engine.cli import main

    monkeypatch.setenv("MOBISCOPE_HOME", str(expert_home))
    run_id = next(run.id for run in list_runs() if run.name == "with experts")
    with pytest.raises(SystemExit) as ended:
        main(["experts", run_id, "--json"])
    found = json.loads(capsys.readouterr().out)
    assert ended.value.code == 0 and [one["set"] for one in found["sets"]] == ["functions", "roles_2"]
    assert sum(row["load"] for row in found["sets"][1]["experts"]) == pytest.approx(1, abs=1e-5)
    assert {check["attribute"] for check in found["sets"][0]["agreement"]} >= {"true role", "category"}
    with pytest.raises(SystemExit) as ended:
        main(["elsewhere", run_id, "--city", "aldhaven", "--questions", "20", "--json"])
    there = json.loads(capsys.readouterr().out)
    assert ended.value.code == 0 and there["n"] == 20
    assert {row["predictor"] for row in there["metrics"]} >= {"nextlocmoe", "user_markov"}
    other = next(run.id for run in list_runs() if run.name == "first")
    with pytest.raises(SystemExit) as ended:
        main(["elsewhere", other, "--city", "aldhaven"])
    assert ended.value.code == 1 and "cannot be used on another one" in capsys.readouterr().err


def question_of_length(fits) -> tuple[str, str, int]:
    """User, step and length of the first question whose history has a length that fits."""
    samples = cached.loaded_run(next(run.id for run in list_runs() if run.name == "with experts")).data.samples
    _, steps = questions.steps_of(samples)
    steps["visits"] = samples.lengths[steps["index"]]
    first = steps[fits(steps["visits"])].iloc[0]
    return first["user"], str(first["step"]), int(first["visits"])


@pytest.mark.parametrize("fits", [lambda visits: visits < 5, lambda visits: visits > 15], ids=["short", "long"])
def test_visits_that_the_model_does_not_read_have_neither_attention_nor_effect(page, fits) -> None:
    """Windows are 10 + 5 visits: a shorter history is padded, of a longer one the latest are read."""
    user, step, visits = question_of_length(fits)
    read, said = min(visits, 15), f"The model reads the latest 15 of {visits} visits."
    at = page("attention", user=user, step=step)
    at.session_state["attention.below"] = "Visits"
    at.run()
    assert_healthy(at)
    table = at.dataframe[0].value
    assert len(table) == read and table["effect, nats"].notna().all() and table["attention"].between(0, 1).all()
    assert (said in words(at)) == (visits > 15)
    at = page(user=user, step=step)
    at.session_state["experts.below"] = "Visits"
    at.run()
    assert_healthy(at)
    assert (said in words(at)) == (visits > 15)
