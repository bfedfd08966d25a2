"""What to train: the split on the map, the model, its settings, the command that does the same, and the start."""

import numpy as np
import pandas as pd
import streamlit as st
from pydantic import ValidationError

from dashboard import cached, forms, panels, python_lines, session, wording
from dashboard.figures import base_map, colours
from dashboard.figures.frame import chart_config
from dashboard.figures.parts import PART_TITLES, part_layers, timeline, unseen_places
from dashboard.views import cell_split_form, city_map, hidden_places
from dashboard.views.city_map import Entry
from dashboard.views.export_menu import export_menu
from engine.city.cell_splits import CellSplit
from engine.city.city import City
from engine.city.splits import PARTS, Split, split_kinds
from engine.cli import command_for
from engine.errors import MobiscopeError
from engine.models import task_of
from engine.runs import RunRequest, submit

BROKEN_OFF = {"FAILED": "failed", "LOST": "was interrupted", "CANCELLED": "was cancelled"}
"""States a run ends in without a result, in words."""

KIND_TITLES = {
    "published": "as published",
    "chronological": "by time, per person",
    "session": "by session, per person",
    "user": "by person, each in one part",
}


def shown_run(slug: str) -> str | None:
    """The run whose card stands on top: the chosen one unless it is long done, else the city's latest if it broke off by itself."""
    here = [run for run in cached.runs() if run.city == slug]
    for run in here:
        if run.id == session.run() and (run.state != "DONE" or run.id == session.followed_run()):
            return run.id
    return here[0].id if here and here[0].state in ("FAILED", "LOST") else None


def sentence(slug: str, run_id: str | None) -> str:
    """Where training stands, in one sentence."""
    runs = [run for run in cached.runs() if run.city == slug]
    name = wording.literal(cached.city_entry(slug).name)
    running = [run for run in runs if run.state in ("RUNNING", "PENDING")]
    if running:
        return (
            f"{wording.counted(len(running), 'job')} on {name} in progress. "
            "Close the tab if you like: the work goes on, and this link finds it again."
        )
    if run_id is not None and (ended := next((run for run in runs if run.id == run_id and run.state in BROKEN_OFF), None)):
        return f"The latest run on {name} {BROKEN_OFF[ended.state]}. Resume it, or start another one."
    done = [run for run in runs if run.state == "DONE"]
    if done and (line := cached.headline(done[0].id)):
        return f"{wording.counted(len(done), 'finished run')} on {name}; the latest: {line}"
    return f"Nothing has been trained on {name} yet. The proposed settings are a good start."


def draw(slug: str) -> None:
    """The form with the split beside it."""
    city = cached.city(slug)
    left, right = st.columns([56, 44], gap="medium")
    with right:
        model = _model(slug)
        missing = cached.requirements(slug, model.name)
        for lack in missing:
            st.warning(wording.sentence(str(lack)))
        preset, start = forms.preset(model.config, f"train.{model.name}", model.presets)
        config = forms.draw(start, f"train.{model.name}.{preset}", visible=3)
        if task_of(model.name) == "grid_flow":
            _stored_words(city)
        run = _run_settings(preset)
    with left:
        split = _chosen_split(slug, city, model.name, bool(missing))
    if config is None or split is None or run is None:
        return
    request = run.model_copy(
        update={"model": model.name, "city": slug, "preset": preset, "config": forms.changed(config, start), "split": split}
    )
    with right:
        if st.button("Start training", type="primary", key="train.start", disabled=bool(missing)):
            _start(request)
        with st.expander("The same from a terminal"):
            st.code(command_for(request), language="bash", wrap_lines=True)


def _start(request: RunRequest) -> None:
    try:
        run_id = submit(request)
    except MobiscopeError as error:
        panels.refusal(error)
        return
    session.set_run(run_id)
    session.follow_run(run_id)
    st.rerun()


def _model(slug: str) -> cached.ModelEntry:
    """The chosen model; proposed is the first that this city has everything for."""
    models = {entry.name: entry for entry in cached.models()}
    names = list(models)
    fitting = next((at for at, name in enumerate(names) if not cached.requirements(slug, name)), 0)
    chosen = st.selectbox("Model", names, fitting, format_func=lambda name: models[name].title, key=f"train.model.{fitting}")
    st.caption(wording.literal(models[chosen].paper, limit=300))
    return models[chosen]


def _stored_words(city: City) -> None:
    """Says what stored descriptions count as that do not tell which prompt they answer; nothing else about them tells it either."""
    if not city.has("descriptions"):
        return
    table = city.table("descriptions")
    prompt = table["prompt"] if "prompt" in table else pd.Series(None, index=table.index, dtype=object)
    unsaid = int((prompt.isna() & (table["subject"] == "cell")).sum())
    if unsaid:
        st.caption(
            f"Of {wording.counted(unsaid, 'stored description')} of cells it is not said which prompt was answered; they count as answers "
            "to the full one. If they were written for the lite prompt, have them written anew: `mobiscope caption --again`."
        )


def _run_settings(preset: str) -> RunRequest | None:
    start = RunRequest(model="-", city="-", preset=preset)
    with st.popover("Name, seed, device", type="tertiary"):
        return forms.draw(start, "train.request", fields=("name", "seed", "device"))


# ---- split -------------------------------------------------------------------------------------------------------------------


def _chosen_split(slug: str, city: City, model: str, lacks: bool) -> Split | CellSplit | None:
    """The split a model needs, with its preview: of cells for grid models, of visits for all others."""
    if task_of(model) == "grid_flow":
        return CellSplit() if lacks else cell_split_form.draw(slug, city)
    split = _split(slug, city)
    if split is not None and not lacks:
        _preview(slug, city, split)
    return split


def _split(slug: str, city: City) -> Split | None:
    kinds = split_kinds(city)
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
        st.subheader("What it learns from", anchor=False)
        panels.reading(
            "Drawn: places as discs by their training visits, ringed where training never sees a visit; below, visits per day "
            "and part.",
            "Read: training comes before validation, validation before test, for every person by their own days; split by person, "
            "nobody in one part is seen in another. A target is a visit with enough history in its own part.",
            "Do not choose settings by the test part; it is for the last word.",
        )
        hidden = hidden_places.prepared(slug)
        with st.popover("Change the split", type="tertiary"):
            chosen = forms.draw(
                Split(kind=kinds[0], hidden_locations=hidden),
                "train.split.hidden" if hidden else "train.split",
                fields=[name for name in Split.model_fields if name != "hidden_locations"] if hidden else None,
                options={"kind": kinds},
                visible=5,
            )
    hidden_places.note(slug)
    return chosen


def _preview(slug: str, city: City, split: Split) -> None:
    try:
        samples = cached.samples(slug, split)
    except (MobiscopeError, ValidationError) as error:
        st.error(wording.sentence(str(error)))
        return
    theme, log = session.theme(), samples.log
    counts = np.bincount(samples.part, minlength=len(PARTS))
    unseen = unseen_places(log)
    st.markdown(
        f"Split {KIND_TITLES[split.kind]}: {wording.count(counts[0])} training, {wording.count(counts[1])} validation and "
        f"{wording.count(counts[2])} test targets, each with the visits of up to {split.history_days} days before it. "
        f"{wording.counted(int(unseen.sum()), 'visited place')} of {wording.count(len(log.places))} "
        f"{'is' if unseen.sum() == 1 else 'are'} unknown to training."
    )
    if not counts.all():
        st.warning("One part has no target. Shorten the warm-up or the history a target needs, or change the shares.")
    base = cached.base(slug, theme, places=False)
    marks, note = part_layers(log, theme)
    layers = [*base.layers, *marks]
    city_map.draw(
        city,
        layers,
        key="train.map",
        alt="Places seen in training and places that are not",
        legend=[
            Entry("disc", "place, larger with more training visits", colours.role("prediction", theme)),
            Entry("ring", "place never visited in training", colours.role("truth", theme)),
        ],
        attribution=base.attribution,
        height=340,
    )
    python = _python(slug, split)
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
        st.caption(f"A model must name ringed places without having seen anyone there. {note}")
        places = pd.DataFrame(
            {
                "location_id": log.places.ids,
                "name": log.places.names,
                "visits_in_training": log.visits_in_training,
                "unknown_to_training": unseen,
                "longitude": log.places.longitude,
                "latitude": log.places.latitude,
            }
        )
        export_menu("train.map.export", "places-of-the-split", places, base_map.deck(layers, city, theme), python=python)
    days = cached.visits_by_day(slug, split)
    st.plotly_chart(timeline(days, theme), key="train.timeline", config=chart_config("visits-by-day"), alt="Visits per day by part")
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
        st.caption(f"Visits per local day, by part: {', '.join(PART_TITLES.values())}.")
        export_menu("train.timeline.export", "visits-by-day", days.rename_axis("day").reset_index(), python=python, chart=True)


def _python(slug: str, split: Split) -> str:
    """Lines of Python that divide the visits so."""
    return python_lines.of_city(
        slug,
        f"log = VisitLog.of(city, {python_lines.made_again(split)})",
        "visits = log.visits_in_training  # of every place, as in log.places",
        "parts = pd.crosstab(log.day, log.part)  # local days from the first, by training, validation, test",
        imports=[
            "import pandas as pd",
            "from engine.city.samples import VisitLog",
            "from engine.city.splits import Split",
        ],
    )
