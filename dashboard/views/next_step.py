"""One step of a person, looked at from all sides: the map of guesses, the ranking beside its baselines, and what an edit changes.

Follows the `Predictor` protocol only; nothing here knows which model answers.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pydeck as pdk
import streamlit as st

from dashboard import cached, panels, python_lines, questions, session, wording
from dashboard.figures import answer_table, base_map, colours
from dashboard.figures.bars import probability_bars, step_strip
from dashboard.figures.frame import chart_config
from dashboard.figures.mass import concentration, mass_by_square, mass_layers, moved_layers, square_size
from dashboard.figures.ranking import guess_layers, guess_radius, truth_layers
from dashboard.figures.rhythm import hour_curve
from dashboard.figures.trajectory import NUMBERED, history_layers
from dashboard.questions import WEEKDAYS, QueryEdit, Reply
from dashboard.views import city_map
from dashboard.views.city_map import Entry
from dashboard.views.export_menu import export_menu
from engine.city.city import City
from engine.city.samples import Places, Samples
from engine.models.answers import Predictor, share_name

DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
MOST_PEOPLE = 2_000
SHOWN = 5
"""Guesses shown at first."""
DETAILS = ("Why not the truth", "Steps of this person", "Before and after", "Probabilities", "The person's day")


def detail_title(detail: str, normalised: bool) -> str:
    """How one of `DETAILS` is called over an answer that is probabilities in earnest, or scores."""
    return "Scores" if detail == "Probabilities" and not normalised else detail


@dataclass(frozen=True, eq=False)
class Step:
    """One step under an edit, with the answers to it.

    Attributes:
        run_id: The run that is asked.
        samples: All samples of the run.
        index: Position of the step among them.
        truth, here: Places gone to, and visited last as the predictors see it.
        edit: What was changed about the question.
        before, after: Answers to the question as it was and as edited, the model's first.
        shown: Guesses shown.
    """

    run_id: str
    samples: Samples
    index: int
    truth: int
    here: int
    edit: QueryEdit
    before: list[Reply]
    after: list[Reply]
    shown: int

    @property
    def places(self) -> Places:
        """The axis "location"."""
        return self.samples.log.places

    @property
    def model(self) -> Reply:
        """The model's answer to the question as edited."""
        return self.after[0]


# ---- controls --------------------------------------------------------------------------------------------------------------


def edit_controls(samples: Samples, index: int, key: str) -> QueryEdit:
    """Hour, weekday, person and visits of the question; starts from what they were, and says what is edited.

    Args:
        samples: All samples of the run.
        index: The step.
        key: Prefix of the widgets' keys; another step has other widgets, so an edit never slips to the next step.
    """
    log = samples.log
    last = samples.target[index] - 1
    was_hour, was_day = int(log.minute[last]) // 60, int(log.weekday[last])
    was_user = str(log.users[log.user[samples.target[index]]])
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        hour = st.slider("Hour of the question", 0, 23, was_hour, key=f"{key}.hour", format="%d h", width=150, help=_HOUR_HELP)
        day = st.selectbox("Weekday", range(7), was_day, format_func=lambda day: DAYS[day], key=f"{key}.weekday", width=90)
        user = st.selectbox("Asked as", _people(samples, was_user), key=f"{key}.user", width=125)
        with st.popover("Visits", help="Hide visits of the history from every predictor."):
            hide, keep = _visit_controls(samples, index, key)
        st.button(
            "Reset",
            key=f"{key}.reset",
            on_click=session.forget_widgets,
            args=(f"{key}.",),
            shortcut="Escape",
            help="Undo all edits",
        )
    return QueryEdit(
        hour=None if hour == was_hour else hour,
        weekday=None if day == was_day else int(day),
        user=None if user == was_user else user,
        hide=hide,
        keep_last=keep,
    )


_HOUR_HELP = "Local hour of the last visit, which is the moment of the question. Earlier visits keep their times."


def _people(samples: Samples, first: str) -> list[str]:
    users = [str(user) for user in samples.log.users[:MOST_PEOPLE] if user != first]
    return [first, questions.UNKNOWN_PERSON, *users]


def _visit_controls(samples: Samples, index: int, key: str) -> tuple[tuple[int, ...], int | None]:
    history = questions.history_of(samples, index, QueryEdit())
    count = len(history)
    if count < 2:
        st.caption("The history has one visit; a question needs it.")
        return (), None
    keep = st.slider("Keep the last visits", 1, count, count, key=f"{key}.keep", help="All others are forgotten.")
    shown = history.iloc[-40:]
    names = {
        int(row.position): f"{row.position + 1}. {row.name_} ({row.when})"
        for row in shown.rename(columns={"name": "name_"}).itertuples()
    }
    hidden = st.multiselect("Hide", list(names), format_func=lambda position: names.get(position, "?"), key=f"{key}.hide")
    if len(hidden) >= count:
        st.caption("All visits are hidden; the last one stays, because a question needs one.")
        hidden = hidden[:-1]
    left = count - len(hidden)
    return tuple(sorted(hidden)), keep if keep < min(count, left) else None


def map_controls(share: str) -> None:
    """What else the map shows; the page reads the widgets by key, because the map stands above them.

    Args:
        share: What the model's values are called, see `share_name`.
    """
    with st.popover("Map", icon=":material/layers:"):
        st.select_slider("Guesses shown", [3, 5, 10, 20], SHOWN, key="next.shown")
        st.toggle(f"Where the {share} lies", key="next.mass", help=f"{share.capitalize()} summed over squares of the city.")
        st.toggle("What the edit moved", key="next.moved", help=f"After an edit: more or less {share} per square.")
        st.toggle("Buildings", value=True, key="next.buildings")
    st.toggle(
        "Zoom in",
        key="next.zoom",
        help="Shows visits, guesses and truth of each step from near; off shows the whole city.",
    )


# ---- map -------------------------------------------------------------------------------------------------------------------


def draw_map(
    city: City,
    base: base_map.BaseMap,
    step: Step,
    command: str,
    *,
    mass: bool,
    moved: bool,
    zoomed: bool,
    key: str,
    height: int = 480,
) -> None:
    """Path, guesses and truth on the city, over where the probability lies if that is asked for.

    Args:
        city: The city.
        base: Its base map.
        step: The step.
        command: The command that answers the same question; empty where none does.
        mass: Whether squares show where the probability lies.
        moved: Whether they show what an edit moved.
        zoomed: Whether the view is that of the step.
        key: Of the map.
        height: Pixels.
    """
    theme, places, share = session.theme(), step.places, share_name(step.model.normalised)
    history = questions.history_of(step.samples, step.index, step.edit)
    table = questions.ranking_table(step.model, places, step.here, step.truth, step.shown)
    legend = [
        Entry("fade", "visits, old to recent"),
        Entry("disc", f"guesses 1 to {len(table)}, area by {share}", colours.role("prediction", theme)),
        Entry("ring", "where the person went", colours.role("truth", theme)),
    ]
    layers = list(base.layers)
    size = square_size(city)
    if moved and step.edit:
        before, after = (mass_by_square(places, reply.probability, size) for reply in (step.before[0], step.model))
        layers += moved_layers(city, before, after, size, theme, step.model.normalised)
        legend.append(Entry("diverging", f"{share} lost or gained, {size:g} m"))
    elif mass:
        layers += mass_layers(city, mass_by_square(places, step.model.probability, size), size, theme, step.model.normalised)
        legend.append(Entry("ramp", f"{share} in {size:g} m squares"))
    layers += history_layers(history, theme)
    truth = _truth(step, table)
    layers += [layer for layer in truth if layer.id == "error-arc"]
    layers += guess_layers(table, theme, bool(step.edit), step.model.normalised)
    layers += [layer for layer in truth if layer.id != "error-arc"]
    if len(table) and not table["is_truth"].iloc[0]:
        legend.append(Entry("arc", "error of the first guess", colours.role("truth", theme)))
    if step.edit:
        legend.append(Entry("ring", "edited question", colours.role("edited", theme)))
    sentence = f"Map: {len(history)} visits, {len(table)} guesses and the place the person went to."
    view = step_view(step) if zoomed else None
    city_map.draw(city, layers, key=key, alt=sentence, legend=legend, attribution=base.attribution, height=height, view=view)
    with st.container(horizontal=True, horizontal_alignment="right"):
        _export("next.export.map", table, step, command, base_map.deck(layers, city, theme, view=view))


def _export(key: str, table: pd.DataFrame, step: Step, command: str, deck: pdk.Deck | None = None) -> None:
    """The menu of a ranking: by the command, or by lines of Python where no command asks this."""
    python = "" if command else _python(step)
    export_menu(key, "next-location", table.drop(columns="location"), deck, command, python)


def step_view(step: Step) -> pdk.ViewState:
    """The view that shows a step: its whole history, the first guesses before any edit, and the truth; edits do not move it."""
    places, log = step.places, step.samples.log
    history = log.location[step.samples.start[step.index] : step.samples.target[step.index]]
    shown = np.concatenate([history[-NUMBERED:], step.before[0].top[:SHOWN], [step.truth]])
    longitude, latitude = places.longitude[shown], places.latitude[shown]
    margin = max(np.ptp(longitude), np.ptp(latitude), 0.006) * 0.15
    return base_map.fit_view(
        (
            float(longitude.min() - margin),
            float(latitude.min() - margin),
            float(longitude.max() + margin),
            float(latitude.max() + margin),
        )
    )


def _truth(step: Step, table: pd.DataFrame) -> list:
    places, truth = step.places, step.truth
    radius = 0.0
    mine = np.flatnonzero(table["is_truth"].to_numpy())
    if len(mine):
        radius = float(guess_radius(table["probability"].to_numpy()[mine])[0])
    rank = f"rank {step.model.rank:,.0f}" if np.isfinite(step.model.rank) else "not ranked"
    category = places.category_names[places.category[truth]]
    tip = f"{str(places.names[truth])[:80]}{f' ({category[:60]})' if category else ''}\nwhere the person went: {rank}"
    guess, distance = None, 0.0
    if len(table):
        guess = (float(table["longitude"].iloc[0]), float(table["latitude"].iloc[0]))
        distance = float(table["from_truth_m"].iloc[0])
    return truth_layers(
        float(places.longitude[truth]), float(places.latitude[truth]), tip, session.theme(), guess, distance, radius
    )


# ---- evidence --------------------------------------------------------------------------------------------------------------


def draw_ranking(step: Step, command: str) -> None:
    """The model's list beside what it was before an edit.

    Args:
        step: The step.
        command: The command that answers the same question; empty where none does.
    """
    theme = session.theme()
    table = questions.ranking_table(step.model, step.places, step.here, step.truth, step.shown)
    panels.panel(
        "What comes next",
        f"The places the model ranks first, best first, with their share of the {share_name(step.model.normalised)} and their distance "
        "from the last visit.",
        f"The gold row with {answer_table.TRUTH_MARK} is where the person went. After an edit, arrows tell the rank a place had before.",
        "A share is the model's belief about this one step, not how often it is right; Runs tells that.",
        actions=lambda: _export("next.export.ranking", table, step, command),
    )
    before = None
    if step.edit:
        before = pd.DataFrame(
            {"rank_before": np.arange(1, len(step.before[0].top) + 1)}, index=pd.Index(step.before[0].top, name="location")
        )
    st.html(answer_table.style(theme) + answer_table.ranking_html(table, theme, step.model.normalised, before))
    st.caption(_certainty(step))


def _certainty(step: Step) -> str:
    model = step.model
    unsure, alike = ("unsure as among", "equally likely") if model.normalised else ("spread as over", "equally scored")
    words = (
        f"Entropy {wording.significant(model.entropy_bits)} bits: as {unsure} "
        f"{wording.counted(max(model.effective_places, 1), f'{alike} place')}. "
        f"Half of the {share_name(model.normalised)} lies in {wording.counted(concentration(model.probability), 'place')} of {wording.count(len(step.places))}."
    )
    if step.edit:
        words += f" The edit moved {wording.percent(questions.moved_share(step.before[0], model))} of it."
    return words


def draw_predictors(step: Step) -> None:
    """The same question answered by the model and the baselines."""
    places, truth = step.places, step.truth
    rows = [
        {
            "title": reply.title,
            "rank": reply.rank,
            "truth_probability": float(reply.probability[truth]),
            "first": str(places.names[reply.top[0]]) if len(reply.top) else "–",
            "distance_m": float(questions.distance_m(places, reply.top[:1], truth)[0]) if len(reply.top) else np.nan,
            "is_model": position == 0,
            "normalised": reply.normalised,
        }
        for position, reply in enumerate(step.after)
    ]
    ordered = rows[:1] + sorted(rows[1:], key=lambda row: row["rank"])
    panels.panel(
        "The same step, asked others",
        "The rank each predictor gave to where the person went, the share it gave it, and how far its first guess lies from it.",
        "Read down the rank: a baseline above the model had this step better. All see the same history and the same edit.",
        "One step proves nothing. A share with * is a score made to add up to one, not a probability.",
        actions=lambda: export_menu(
            "next.export.predictors", "next-location-predictors", pd.DataFrame(ordered), python=_others_python(step)
        ),
    )
    st.html(answer_table.style(session.theme()) + answer_table.predictors_html(ordered, session.theme()))


# ---- details ---------------------------------------------------------------------------------------------------------------


def draw_why_not(step: Step) -> None:
    """Why the truth was not the first guess, as facts."""
    facts = questions.why_not(step.model, step.samples, step.index, step.truth)
    panels.panel(
        "Why not the truth",
        "What can be counted about the place the person went to: its rank, whether training knew it, whether the person did.",
        "A place new to training or to the person is hard for every predictor; a known one that ranks low is the model's own miss.",
        "These are facts about the data and the list. They do not say which of them caused the rank.",
        actions=lambda: export_menu(
            "next.export.why",
            "next-location-why-not",
            pd.DataFrame({"fact": [wording.plain(fact) for fact in facts]}),
            python=_python(step),
        ),
    )
    for fact in facts:
        st.markdown(f"- {fact}")


def draw_steps(steps: pd.DataFrame, step: Step, current: int, predictor: str, key: str) -> int | None:
    """The person's steps, hit or miss; returns the step that was clicked, None if none was."""
    column, asked = f"rank.{predictor}", f"user_id == {str(steps['user'].iloc[0])!r}"
    panels.panel(
        "Steps of this person",
        "Every step of the person in this part of the data: the higher the mark, the better the truth was ranked.",
        "Circles are first guesses that were right, diamonds lie in the top 10, crosses below. Click a mark to look at its step.",
        "The vertical axis is logarithmic; ranks beyond 1,000 and places that cannot be ranked lie on its floor.",
        actions=lambda: export_menu(
            "next.export.steps",
            "steps-of-a-person",
            _steps_table(steps, step),
            python=python_lines.of_table(step.run_id, "predictions", f".query({asked!r})"),
            chart=column in steps,
        ),
    )
    if column not in steps:
        st.caption("The run has no table of predictions; its steps cannot be told apart here.")
        return None
    table = pd.DataFrame(
        {
            "step": steps["step"],
            "rank": steps[column],
            "name": step.places.names[steps["truth"]],
            "when": [f"{when:%a} {when.day} {when:%b %H:%M}" for when in steps["when"]],
        }
    )
    figure = step_strip(table, session.theme(), current)
    hits, top = int((table["rank"] == 1).sum()), int((table["rank"] <= 10).sum())
    n = len(table)
    st.caption(
        f"First guess right in {hits} of {n} ({wording.percent(hits / n)}), among the first ten in {top} ({wording.percent(top / n)})."
    )
    state = st.plotly_chart(
        figure,
        theme=None,
        config=chart_config("steps-of-a-person"),
        key=f"{key}.strip",
        on_select="rerun",
        selection_mode="points",
        alt="Rank of the truth by step",
    )
    points = (state or {}).get("selection", {}).get("points", [])
    return int(points[0]["customdata"][0]) if points and points[0].get("customdata") else None


def _steps_table(steps: pd.DataFrame, step: Step) -> pd.DataFrame:
    """The steps with names instead of positions."""
    places, ranks = step.places, [name for name in steps if str(name).startswith("rank.")]
    truth = steps["truth"].to_numpy()
    return steps[["user", "step", "when", *ranks]].assign(
        location_id=places.ids[truth],
        name=places.names[truth],
        longitude=places.longitude[truth],
        latitude=places.latitude[truth],
    )


def draw_shift(step: Step) -> None:
    """Before and after an edit."""
    table = questions.shift_table(step.before[0], step.model, step.places, step.truth, step.shown) if step.edit else pd.DataFrame()
    panels.panel(
        "Before and after",
        "The places of both lists: their rank and share before the edit and after it.",
        "Shares change in percentage points (pp). What one place gains, others lose.",
        "An edit asks the trained model another question. It does not say what the person would have done.",
        actions=(lambda: export_menu("next.export.shift", "before-and-after", table, python=_python(step), chart=True))
        if step.edit
        else None,
    )
    if not step.edit:
        st.caption("Nothing is edited. Change the hour, the weekday, the person or the visits above the map.")
        return
    st.markdown(f"Asked {step.edit.describe()}.")
    left, right = st.columns([55, 45], gap="medium")
    with left:
        st.html(answer_table.style(session.theme()) + answer_table.shift_html(table, session.theme()))
    with right:
        head = table.head(10)
        truth = np.flatnonzero(head["is_truth"].to_numpy())
        series = [("before", "prediction", head["before"].to_numpy()), ("after the edit", "edited", head["after"].to_numpy())]
        figure = probability_bars(head["name"].tolist(), series, session.theme(), int(truth[0]) if len(truth) else None)
        st.plotly_chart(
            figure, theme=None, config=chart_config("before-and-after"), key="next.shift", alt="Shares before and after the edit"
        )


def draw_probabilities(step: Step) -> None:
    """The model's first places beside what the best-placed baseline gives them."""
    top = step.model.top[: min(step.shown, 10)]
    series = [(step.model.title, "prediction", step.model.probability[top])]
    others = [reply for reply in step.after[1:] if len(reply.top)]
    if others:
        best = min(others, key=lambda reply: reply.rank)
        series.append((best.title, "baseline", best.probability[top]))
    table = questions.describe_places(step.places, top).assign(**{title: shares for title, _, shares in series})
    panels.panel(
        detail_title("Probabilities", step.model.normalised),
        "The model's first places, and the share that the baseline which did best on this step gives to the same places.",
        "Long blue beside short grey: the model believes in a place the baseline would not name.",
        "A predictor that ranks by counts or distances gives scores made to add up to one; compare their order, not their size.",
        actions=lambda: export_menu("next.export.probabilities", "probabilities", table, python=_others_python(step), chart=True),
    )
    truth = np.flatnonzero(top == step.truth)
    figure = probability_bars(step.places.names[top].tolist(), series, session.theme(), int(truth[0]) if len(truth) else None)
    st.plotly_chart(
        figure, theme=None, config=chart_config("probabilities"), key="next.probabilities", alt="Shares of the first places"
    )


def draw_day(step: Step) -> None:
    """When the person goes out, from training, with the hour of the question."""
    log = step.samples.log
    user = log.user[step.samples.target[step.index]]
    mine = log.training()
    mine = mine[log.user[mine] == user]
    hours = np.bincount(log.minute[mine] // 60, minlength=24)
    table = pd.DataFrame({"hour": np.arange(24), "visits_in_training": hours})
    panels.panel(
        "The person's day",
        "Visits of this person per local hour in the training part.",
        "The line marks the hour of the question as it is asked now.",
        "Check-ins are not presence: an hour without visits may only be an hour without check-ins.",
        actions=lambda: export_menu("next.export.day", "day-of-a-person", table, python=_day_lines(step), chart=True),
    )
    last = step.samples.target[step.index] - 1
    hour = int(log.minute[last]) // 60 if step.edit.hour is None else step.edit.hour
    st.caption(f"{wording.counted(len(mine), 'visit')} in training; busiest on {_busiest(log.weekday[mine])}.")
    st.plotly_chart(
        hour_curve(hours, session.theme(), hour=hour),
        theme=None,
        config=chart_config("day-of-a-person"),
        key="next.day",
        alt="Visits per hour of this person",
    )


def _python(step: Step, *lines: str, imports: Sequence[str] = ()) -> str:
    """Lines of Python that put the same question to the model, as it was and as edited."""
    question = f"question = run.data.samples.histories(np.array([{step.index}]))"
    edited = f"question = {step.edit!r}.apply(question)"
    return python_lines.of_model(
        step.run_id,
        question,
        "before = np.exp(run.model.predict(question).log_probability[0])  # in the order of run.data.samples.log.places",
        *([edited, "after = np.exp(run.model.predict(question).log_probability[0])"] if step.edit else []),
        *lines,
        imports=["import numpy as np", *(["from dashboard.questions import QueryEdit"] if step.edit else []), *imports],
    )


def _others_python(step: Step) -> str:
    """Lines of Python that put the same question to the model and to the baselines that are quick to fit."""
    return _python(
        step,
        "quick = [name for name in BASELINES if name not in TRAINED]",
        "others = {other.title: np.exp(other.predict(question).log_probability[0]) for other in "
        "fit_baselines(run.data.samples.log, names=quick)}",
        imports=["from engine.models.baselines import BASELINES, TRAINED, fit_baselines"],
    )


def _day_lines(step: Step) -> str:
    user = str(step.samples.log.users[step.samples.log.user[step.samples.target[step.index]]])
    return python_lines.of_model(
        step.run_id,
        "log = run.data.samples.log",
        f"mine = [visit for visit in log.training() if log.users[log.user[visit]] == {user!r}]",
        "visits = np.bincount(log.minute[mine] // 60, minlength=24)",
        imports=["import numpy as np"],
    )


def _busiest(weekdays: np.ndarray) -> str:
    return f"{WEEKDAYS[int(np.bincount(weekdays, minlength=7).argmax())]}s" if len(weekdays) else "no day"


def build(run_id: str, samples: Samples, index: int, edit: QueryEdit, shown: int) -> Step:
    """Asks the run's predictors, before and after the edit.

    Raises:
        MobiscopeError: If the run cannot be loaded or the edit does not fit.
    """
    before = cached.replies(run_id, index, QueryEdit())
    after = cached.replies(run_id, index, edit) if edit else before
    here = int(edit.apply(samples.histories(np.array([index]))).location[-1])
    return Step(run_id, samples, index, int(samples.true_location[index]), here, edit, before, after, shown)


def source_of(predictor: Predictor) -> str:
    """The paper a predictor declares, empty if it declares none."""
    return str(getattr(predictor, "paper", ""))
