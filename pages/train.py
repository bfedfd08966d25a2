"""Train: choose a model and its settings, start it, watch it."""

from dashboard import cached, navigation, panels, session
from dashboard.views import job_card, train_form


def main() -> None:
    slug = session.city()
    if slug is None:
        panels.head("What can a model learn here?")
        panels.nothing(
            "There is no city to learn from",
            "A model is trained on the visits of a city. Open the built-in city or bring your data first.",
        )
        navigation.door("home", "Choose a city", key="train.home", primary=True)
        return
    shown = train_form.shown_run(slug)
    panels.head("What can a model learn here?", train_form.sentence(slug, shown))
    if shown:
        job_card.card(shown)
    for run in cached.active_runs():
        if run.id != shown:
            job_card.card(run.id)
    train_form.draw(slug)


main()
