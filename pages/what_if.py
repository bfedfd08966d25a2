"""What if: edits of the city, the question or the mechanism, and what they change in an answer."""

import shlex

import numpy as np
import pandas as pd
import streamlit as st

from dashboard import cached, panels, python_lines, questions, session, wording
from dashboard.figures import base_map, colours
from dashboard.figures.edit_marks import edit_layers, moved_visit_layers, pick_layer
from dashboard.figures.mass import mass_by_square, moved_layers, square_size
from dashboard.figures.ranking import guess_layers
from dashboard.views import city_map, scenario_forms, scenario_stack
from dashboard.views.export_menu import export_menu
from dashboard.views.question_picker import pick_question
from dashboard.views.report_button import report_button
from dashboard.views.run_gate import gate
from engine import store
from engine.city.city import City
from engine.city.samples import Histories, Places, Samples
from engine.errors import MobiscopeError
from engine.evaluation.metrics import METRICS
from engine.evaluation.report import ALL
from engine.evaluation.slices import slice_labels
from engine.models.answers import Predictor, share_name
from engine.scenarios.apply import apply_to_histories, apply_to_places
from engine.scenarios.compare import METRIC_SAMPLES, Comparison, compare, compare_metrics, evenly
from engine.scenarios.counterfactual import smallest_flips
from engine.scenarios.edits import ShiftLast
from engine.scenarios.replay import find_question
from engine.scenarios.scenario import Scenario

BELOW = ("Ranking", "Substitutes", "Smallest edits", "Metrics")
TOP_K = 10


def main() -> None:
    empty = ("There is no trained model to ask", "A what-if compares a model's answer before and after an edit.")
    asked = gate("What if?", "what_if", empty, ("next_location", "grid_flow"))
    if asked is None:
        return
    slug, run_id = asked.city, asked.run
    if cached.run_task(run_id) == "grid_flow":
        from dashboard.views import cell_whatif

        cell_whatif.draw(slug, run_id)
        return
    loaded, city = cached.loaded_run(run_id), cached.city(slug)
    samples: Samples = loaded.data.samples
    _, steps = cached.steps_in_slice(run_id, session.slice_group())
    if steps.empty:
        panels.head("What if?")
        panels.nothing(*panels.no_step(session.slice_group() is not None))
        return
    predictors = {predictor.name: predictor for predictor in cached.predictors(run_id)}
    head = st.container()
    left, right = st.columns([62, 38], gap="medium")
    with right:
        index, predictor = _question(samples, steps, predictors)
        scenario = scenario_stack.scenario(city, samples, index)
        places = _places(scenario, samples)
        scenario_stack.draw(scenario, predictor, dict(zip(map(str, places.ids), map(str, places.names), strict=True)))
        kind = st.segmented_control("Edit", scenario_forms.KINDS, default="Place", required=True, key="what_if.kind", wrap=True)
        with st.container(border=True):
            history = questions.history_of(samples, index, questions.QueryEdit())
            words = [f"{row.when}: {row.place}" for row in history.rename(columns={"name": "place"}).itertuples()]
            middle = (float(np.median(places.longitude)), float(np.median(places.latitude)))
            scenario_forms.draw(str(kind), places, middle, samples.log.users, words, predictor)
        scenario_stack.offer_refit(scenario, run_id, predictor)
        scenario_stack.refitted()
    try:
        asked_as = samples.histories(np.array([index]))
        comparison = compare(predictor, asked_as, scenario)
    except MobiscopeError as error:
        with head:
            panels.head("What if?")
        panels.refusal(error)
        return
    with head:
        panels.head("What if?", _answer(comparison, scenario, predictor))
    with left:
        _map(slug, city, places, comparison, scenario, _moved_visit(asked_as, scenario), choosing=kind == "Place")
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
        below = st.segmented_control(
            "Below", BELOW, default="Ranking", required=True, key="what_if.below", label_visibility="collapsed"
        )
        report_button(run_id, "what_if.report", scenario, comparison)
    with panels.guarded(f"showing {below}"):
        match below:
            case "Ranking":
                _ranking(comparison, _command(scenario))
            case "Substitutes":
                _substitutes(comparison, _substitutes_python(run_id, scenario))
            case "Smallest edits":
                _flips(run_id, predictor, samples, index, share_name(comparison.normalised))
            case _:
                _metrics(predictor, samples, city, scenario)


def _places(scenario: Scenario, samples: Samples) -> Places:
    """The places as edited; a stack that does not fit them, such as one of a city made anew, can only be begun again."""
    try:
        return apply_to_places(scenario.edits, samples.log.places)
    except MobiscopeError as error:
        panels.refusal(error)
        st.button("Start over", key="what_if.misfit", on_click=scenario_stack.IN_HAND.start_over, type="primary")
        st.stop()


def _question(samples: Samples, steps: pd.DataFrame, predictors: dict[str, Predictor]) -> tuple[int, Predictor]:
    """The person, the step and who answers."""
    wanted = session.get("what_if.wanted", None)
    if wanted is not None:
        session.drop("what_if.wanted")
        try:
            found = steps.loc[steps["index"] == find_question(wanted, samples)]
            if len(found):
                session.set_sample(str(found["user"].iloc[0]), int(found["step"].iloc[0]))
        except MobiscopeError as error:
            panels.refusal(error)
    index = pick_question(steps, "what_if")
    chosen = st.selectbox("Answered by", list(predictors), format_func=lambda name: predictors[name].title, key="what_if.predictor")
    return index, predictors[chosen]


def _answer(comparison: Comparison, scenario: Scenario, predictor: Predictor) -> str:
    before, after, share = comparison.top_before, comparison.top_after, share_name(comparison.normalised)
    if before is None or after is None:
        return f"{wording.literal(predictor.title)} can answer no place {'now' if before is None else 'after these edits'}: none is open."
    if not scenario.edits:
        return (
            f"{wording.literal(predictor.title)} now says **{wording.literal(before['name'])}** ({_of_all(before['before'], share)}). "
            "Edit the city, the question or the mechanism to see what that changes."
        )
    change = (
        f"the top guess stays **{wording.literal(before['name'])}** ({_of_all(before['before'], share)} before, "
        f"{wording.percent(float(before['after']))} after)"
        if before["location_id"] == after["location_id"]
        else f"the top guess goes from **{wording.literal(before['name'])}** ({_of_all(before['before'], share)}) to "
        f"**{wording.literal(after['name'])}** ({wording.percent(float(after['after']))})"
    )
    return (
        f"With {wording.counted(len(scenario.edits), 'edit')}, {change}; {wording.percent(comparison.moved)} of the {share} moved."
    )


def _of_all(value: float, share: str) -> str:
    """A share with what it is a share of, where that is not the probability one expects."""
    return wording.percent(float(value)) + (f" of the {share}" if share == "score" else "")


def _moved_visit(histories: Histories, scenario: Scenario) -> tuple[tuple[float, float], tuple[float, float]] | None:
    """Longitude and latitude of the last visit before and after it is moved; None where no edit moves it."""
    others = tuple(edit for edit in scenario.edits if not isinstance(edit, ShiftLast))
    if len(others) == len(scenario.edits):
        return None
    unmoved = scenario.model_copy(update={"edits": others})
    was, now = (
        (float(asked.places.longitude[place]), float(asked.places.latitude[place]))
        for asked in (apply_to_histories(one, histories) for one in (unmoved, scenario))
        for place in asked.location[asked.last]
    )
    return was, now


def _map(
    slug: str,
    city: City,
    places: Places,
    comparison: Comparison,
    scenario: Scenario,
    moved_visit: tuple[tuple[float, float], tuple[float, float]] | None,
    choosing: bool,
) -> None:
    theme, share = session.theme(), share_name(comparison.normalised)
    ordered = comparison.candidates.sort_index()
    size = square_size(city)
    before = mass_by_square(places, ordered["before"].to_numpy(), size)
    after = mass_by_square(places, ordered["after"].to_numpy(), size)
    guesses = comparison.candidates.head(TOP_K).assign(rank=range(1, TOP_K + 1)[: len(comparison.candidates)])
    guesses = guesses[guesses["after"] > 0].rename(
        columns={"location_id": "id", "after": "probability", "before": "probability_before"}
    )
    edited = ordered[ordered["edit"] != ""]
    click = st.segmented_control(
        "A click on the map", ["chooses a place", "sets a position"], default="chooses a place", required=True, key="what_if.click"
    )
    setting = choosing and click == "sets a position"
    base = cached.base(slug, theme, places=not setting, buildings="none", faint=True)
    layers = [
        *base.layers,
        *moved_layers(city, before, after, size, theme, comparison.normalised),
        *guess_layers(guesses, theme, normalised=comparison.normalised),
    ]
    layers += edit_layers(edited, theme)
    if moved_visit is not None:
        layers += moved_visit_layers(*moved_visit, theme)
    legend = [city_map.Entry("disc", f"guess after the edits; area: {share}", colours.role("prediction", theme))]
    if comparison.moved > 0:
        legend.append(city_map.Entry("diverging", f"{share} moved out, in"))
    if len(edited):
        legend.append(city_map.Entry("ring", "edited place", colours.role("edited", theme)))
    if moved_visit is not None:
        legend += [
            city_map.Entry("dot", "last visit, where it was", colours.role("observed", theme)),
            city_map.Entry("ring", "last visit, where it is taken to be", colours.role("edited", theme)),
        ]
    note = ""
    if setting:
        layer, side = pick_layer(city, theme)
        layers.append(layer)
        note = f"A click sets the middle of a square of {wording.metres(side)}; correct it in the fields."
    state = city_map.draw(
        city,
        layers,
        key=f"what_if.map.{setting}",
        alt=f"Map of the {share} an edit moved",
        legend=legend,
        attribution=base.attribution,
        height=540,
        selectable=True,
    )
    picked = session.picked(state)
    if picked and picked != session.get("what_if.picked", None):
        session.put("what_if.picked", picked)
        if setting and "at" in picked[0]:
            scenario_forms.set_position(*picked[0]["at"])
            st.rerun()
        elif "id" in picked[0]:
            session.select([str(picked[0]["id"]).lstrip("\u200b")], "what-if map")
            st.rerun()
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
        st.caption(note)
        export_menu("what_if.export", "what-if", ordered, base_map.deck(layers, city, theme), _command(scenario))


def _command(scenario: Scenario, *more: str) -> str:
    """The command that gives the same numbers from the saved scenario."""
    return shlex.join(["mobiscope", "whatif", f"{store.slug(scenario.name)}.json", "--run", str(session.run()), *more])


def _ranking(comparison: Comparison, command: str) -> None:
    table, share = comparison.candidates, share_name(comparison.normalised)
    panels.panel(
        "Before and after",
        f"Drawn: the places among the first ten before or after, with {share} and rank.",
        f"Read: change is in percentage points of {share}; a dash is a place that cannot be answered.",
        "Do not conclude that people would act so; this is what the model says, from what it saw.",
        "Comparison: engine/scenarios/compare.py.",
        actions=lambda: export_menu("what_if.export.ranking", "before-and-after", table, command=command),
    )
    shown = table[(table["rank_after"] <= TOP_K) | (table["rank_before"] <= TOP_K) | (table["edit"] != "")]
    st.dataframe(
        shown[["rank_before", "rank_after", "name", "category", "edit", "before", "after", "change"]],
        hide_index=True,
        key="what_if.ranking",
        column_config={
            "rank_before": "rank before",
            "rank_after": "rank after",
            "before": st.column_config.NumberColumn(format="percent"),
            "after": st.column_config.NumberColumn(format="percent"),
            "change": st.column_config.NumberColumn("change", format="percent"),
        },
    )


def _substitutes(comparison: Comparison, python: str) -> None:
    share = share_name(comparison.normalised)
    panels.panel(
        "Who gained",
        f"Drawn: the ten places that gained most {share}, and how far they lie from the nearest edited place that lost some.",
        "Read: near places of the same category are substitutes; far ones of another are not.",
        f"Do not conclude anything where no edited place lost {share}; distances are then empty.",
        actions=lambda: export_menu("what_if.export.substitutes", "substitutes", comparison.substitutes, python=python),
    )
    if comparison.substitutes.empty:
        panels.nothing("Nothing gained", f"No place that was not edited gained {share}.")
        return
    st.dataframe(
        comparison.substitutes[["name", "category", "before", "after", "change", "distance_m", "same_category"]],
        hide_index=True,
        key="what_if.substitutes",
        column_config={
            **{name: st.column_config.NumberColumn(format="percent") for name in ("before", "after", "change")},
            "distance_m": st.column_config.NumberColumn("distance, m", format="%.0f"),
            "same_category": "same category",
        },
    )


def _flips(run_id: str, predictor: Predictor, samples: Samples, index: int, share: str) -> None:
    flips = smallest_flips(predictor, samples.histories(np.array([index])))
    names = samples.log.places.names
    table = pd.DataFrame(
        [(flip.kind, flip.description, flip.size, flip.unit, names[flip.new_top], flip.probability) for flip in flips],
        columns=["kind", "edit", "size", "unit", "new_first_guess", share],
    )
    panels.panel(
        "The smallest edit that changes the answer",
        "Drawn: for each kind of edit of the question, the smallest one after which another place comes first.",
        "Read: a small edit means an answer on the edge; a missing kind means that no such edit changes it.",
        "Do not conclude that the person would go elsewhere; only the model's answer is probed.",
        actions=lambda: export_menu(
            "what_if.export.flips", "smallest-edits", table, python=_flips_python(run_id, predictor, index)
        ),
    )
    if not flips:
        panels.nothing("No such edit changes the first guess", "Neither hour, weekday, one visit less nor another last visit does.")
    for flip in flips:
        with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
            away = wording.metres(flip.size) if flip.unit == "m" else f"{flip.size:g} {flip.unit}"
            name = wording.literal(samples.log.places.names[flip.new_top])
            st.markdown(f"{wording.literal(flip.description)} ({away}): **{name}**, {_of_all(flip.probability, share)}")
            if flip.edit is not None:
                st.button(
                    "Add to the scenario",
                    key=f"what_if.flip.{flip.kind}",
                    type="tertiary",
                    on_click=scenario_stack.IN_HAND.push_by_callback,
                    args=(flip.edit,),
                )


def _substitutes_python(run_id: str, scenario: Scenario) -> str:
    """Lines of Python that give the substitutes from the saved scenario."""
    return python_lines.of_model(
        run_id,
        f"scenario = Scenario.from_json(Path({f'{store.slug(scenario.name)}.json'!r}).read_bytes())",
        "substitutes = replay(run.model, run.data.samples, run.data.city, scenario).substitutes",
        imports=[
            "from pathlib import Path",
            "from engine.scenarios.replay import replay",
            "from engine.scenarios.scenario import Scenario",
        ],
    )


def _flips_python(run_id: str, predictor: Predictor, index: int) -> str:
    """Lines of Python that give the smallest edits of the question."""
    is_model = predictor.name == cached.run_model(run_id)
    asked = (
        "predictor = run.model" if is_model else f"[predictor] = fit_baselines(run.data.samples.log, names=[{predictor.name!r}])"
    )
    return python_lines.of_model(
        run_id,
        asked,
        f"flips = smallest_flips(predictor, run.data.samples.histories(np.array([{index}])))",
        imports=[
            "import numpy as np",
            *([] if is_model else ["from engine.models.baselines import fit_baselines"]),
            "from engine.scenarios.counterfactual import smallest_flips",
        ],
    )


def _metrics(predictor: Predictor, samples: Samples, city: City, scenario: Scenario) -> None:
    panels.panel(
        "Metrics before and after",
        f"Drawn: the test part (at most {METRIC_SAMPLES:,} samples at equal steps) asked before and after all edits.",
        "Read: an interval that does not hold zero is a difference that people drawn anew would also show, 19 times in 20.",
        "Do not conclude from edits of a single history, such as hiding its third visit; they are put to every sample here, and leave "
        "those as they are that have no such visit.",
    )
    titles = {name: title for name, (title, _) in cached.slice_titles("next_location").items()}
    with st.container(horizontal=True, vertical_alignment="bottom"):
        chosen = st.selectbox(
            "By slice",
            [ALL, *titles],
            format_func=lambda name: titles.get(name, "All samples only"),
            key="what_if.slice",
            width=260,
        )
        pressed = st.button("Measure", key="what_if.measure")
    if not pressed:
        return
    asked = evenly(samples)
    if not len(asked):
        panels.nothing("No test sample (n = 0)", "The split leaves nothing to measure on.")
        return
    labels = None if chosen == ALL else slice_labels(asked, city, [chosen])
    with st.spinner(f"Asking {wording.counted(len(asked), 'question')} twice"):
        found = compare_metrics(predictor, asked, scenario, labels)
    if found.changed is not None:
        st.caption(
            f"The edits of the question change {wording.count(found.changed)} of {wording.counted(found.samples, 'sample')}; "
            "the others are asked as they were."
        )
    shown = found.table.assign(metric=[METRICS[name].title for name in found.table["metric"]])
    st.dataframe(shown.drop(columns=["slice", "group"] if labels is None else "slice"), hide_index=True, key="what_if.metrics")
    more = ["--metrics", *([] if labels is None else ["--slice", chosen])]
    export_menu("what_if.export.metrics", "what-if-metrics", found.table, command=_command(scenario, *more))


main()
