"""Home: three doors, what was looked at last, and what Mobiscope answers."""

from itertools import chain, count

import streamlit as st

from dashboard import cached, navigation, panels, session, wording
from dashboard.figures import base_map
from dashboard.views import job_card
from engine import store

QUESTIONS = (
    (
        "city",
        "What is in this city?",
        "Everything that was read as layers, what was dropped and by which rule, the rhythm of its days.",
    ),
    (
        "train",
        "What can a model learn here?",
        "Published models and their settings, trained in the background with a live loss curve.",
    ),
    ("runs", "Is it better than counting?", "Every metric beside honest baselines, with the number of cases and an interval."),
    ("next_location", "Where next?", "One person, one step: the ranked guesses on the map, the truth, and how far off they are."),
    (
        "grid_mobility",
        "How does this cell breathe?",
        "Trips that leave every cell at every hour, counted and predicted, and what the model saw of the cell.",
    ),
    (
        "experts",
        "Who was asked?",
        "Which experts a model asks about each visit, where and when they lead, and what their names agree with.",
    ),
    ("attention", "What did it look at?", "The visits an answer is made from, beside what leaving each of them out does."),
    (
        "embeddings",
        "What lies near what?",
        "Places, people and hours in the plane and on the map; what any point of the city is like.",
    ),
    ("what_if", "What if?", "A place opens, moves or closes; another hour, another person; a mechanism switched off."),
    ("long_tail", "Who is left behind?", "Every metric by popularity, newness, hour or weather, and the places a model starves."),
)


def main() -> None:
    cities = cached.cities()
    panels.head("Where would you like to look?", _answer(cities))
    _doors(cities)
    st.space("small")
    if cities:
        left, right = st.columns([62, 38], gap="medium")
        with left:
            _last_city()
        with right:
            job_card.recent(limit=5)
    st.subheader("What Mobiscope answers", anchor=False)
    columns = [column for _ in range(0, len(QUESTIONS), 4) for column in st.columns(4, gap="medium")]
    for column, (page, question, sentence) in zip(columns, QUESTIONS, strict=False):
        with column:
            st.page_link(
                str(navigation.path_of(page)),
                label=f"**{question}**",
                icon=":material/arrow_forward:",
                icon_position="right",
                query_params=session.link(),
            )
            st.caption(sentence)


def _answer(cities: list[cached.CityEntry]) -> str:
    runs = cached.runs()
    if not cities:
        return (
            "Mobiscope trains published models of human mobility on a city and lets you look inside them. "
            "Nothing leaves this machine. Begin with a city."
        )
    return (
        f"{wording.counted(len(cities), 'city', 'cities')} and {wording.counted(len(runs), 'run')} are on this machine; nothing "
        "leaves it. "
        f"In view: {wording.literal(cached.city_entry(session.city() or cities[0].slug).name)}."
    )


def _doors(cities: list[cached.CityEntry]) -> None:
    built_in = cached.built_in_city()
    runs = cached.runs()
    first, second, third = st.columns(3, gap="medium")
    with first.container(border=True, height="stretch"):
        st.subheader("Explore the built-in city", anchor=False)
        st.caption(
            "A synthetic city whose truth is known: people with roles and habits, districts with functions, places with names. "
            "Every page has something to show on it."
        )
        if built_in:
            if st.button("Open it", key="home.open_built_in", type="primary"):
                session.set_city(built_in)
                navigation.open_page("city")
        elif st.button("Generate it (5 to 20 s)", key="home.generate", type="primary"):
            _generate()
    with second.container(border=True, height="stretch"):
        st.subheader("Bring your data", anchor=False)
        st.caption(
            "Check-ins, GPS traces, flows, zones, buildings, images. What was recognised, every problem and every dropped row "
            "is shown before anything is kept."
        )
        if st.button("Choose files", key="home.bring"):
            session.put("city.view", "bring")
            navigation.open_page("city")
    with third.container(border=True, height="stretch"):
        st.subheader("Open a run", anchor=False)
        if runs:
            st.caption(
                f"{wording.counted(len(runs), 'trained model')} with metrics, baselines and predictions, ready to be looked into."
            )
            navigation.door("runs", "Choose a run", key="home.runs")
        else:
            st.caption("A run is a model trained on a city, with its settings, curves and predictions. There is none yet.")
            navigation.door("train", "Train the first one", key="home.train", help=None if cities else "Needs a city first.")


def _generate() -> None:
    with panels.progress("Laying out the city") as report:
        from engine.city.synthetic import NAME, synthesise  # heavy, and only needed when a city is made

        # A city of that name that is not the built-in one is somebody's own, and may have runs.
        names = chain([NAME], (f"{NAME} {number}" for number in count(2)))
        free = next(name for name in names if not (store.cities_folder() / store.slug(name)).exists())
        city = synthesise("demo", seed=0, name=free, report=report)
        report("Saving", 0.99)
        saved = city.save()
    session.set_city(saved.folder.name)
    navigation.open_page("city")


def _last_city() -> None:
    slug = session.city()
    if slug is None:
        return
    city, theme = cached.city(slug), session.theme()
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
        st.subheader(wording.literal(city.name), anchor=False)
        navigation.door("city", "Look at this city", key="home.city")
    base = cached.base(slug, theme)
    st.pydeck_chart(base_map.deck(base.layers, city, theme), height=330, key="home.map", alt=f"Map of {city.name}")


main()
