"""Cities and runs that are called the same: a browser answers with labels alone, and must still mean the right one."""

import shutil

from engine.runs import Run, list_runs
from tests.pages.conftest import assert_healthy


def linked(at, name: str) -> str:
    value = at.query_params[name]
    return value if isinstance(value, str) else value[0]


def test_the_city_of_a_link_stays_chosen_beside_a_newer_one_of_the_same_name(own_copy, city_home, open_page) -> None:
    home = own_copy(city_home)
    shutil.copytree(home / "cities" / "aldhaven", home / "cities" / "twin")
    for slug in ("aldhaven", "twin"):
        at = open_page("city", city=slug)
        for _ in range(2):
            at.run()
            assert_healthy(at)
            assert linked(at, "city") == slug


def test_the_run_of_a_link_stays_chosen_beside_another_of_the_same_name(own_copy, trained_home, open_page) -> None:
    own_copy(trained_home)
    ids = [run.id for run in list_runs()]
    for run in ids:
        Run.open(run).rename("the same")
    for run in ids:
        at = open_page("long_tail", city="aldhaven", run=run)
        for _ in range(2):
            at.run()
            assert_healthy(at)
            assert linked(at, "run") == run
