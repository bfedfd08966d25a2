"""Runs: every trained model beside honest baselines, and two of them beside each other."""

from dashboard import cached, navigation, panels
from dashboard.views import run_table


def main() -> None:
    runs = cached.runs()
    panels.head("Is it better than counting?", run_table.sentence(runs))
    if not runs:
        panels.nothing("No run yet", "A run is a model trained on a city. The smallest settings take about a minute on two cores.")
        navigation.door("train", "Train a model", key="runs.train", primary=True)
        return
    run_table.draw(runs)


main()
