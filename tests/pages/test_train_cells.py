"""Train, for a model of cells: the split is of cells, and a run is started with it."""

import numpy as np
import pandas as pd
import pytest

from engine.city.cell_samples import build_cell_samples
from engine.city.cell_splits import CellSplit
from engine.runs import Run, list_runs
from tests.engine.small_grids import grid_city
from tests.pages.conftest import assert_healthy, button, words
from tests.pages.test_train import stop


def _choose(at, preset: str = "tiny"):
    at.session_state["train.model.0"] = "lmemr"
    at.session_state["train.lmemr.preset"] = preset
    return at.run()


def test_the_split_of_cells_is_told_in_numbers_and_a_run_started_with_it(open_page, own_copy, city_home, tiny_city) -> None:
    own_copy(city_home)
    at = _choose(open_page("train"))
    assert_healthy(at)
    cells = build_cell_samples(tiny_city, CellSplit())
    said = words(at)
    assert f"{cells.mask('train').sum()} for training, {cells.mask('valid').sum()} for validation" in said
    assert "mobiscope train lmemr --city aldhaven --preset tiny" in said
    next(box for box in at.selectbox if box.label == "Split").set_value("random_cells").run()
    assert_healthy(at)
    assert "Cells divided cell by cell" in words(at) and "--split kind=random_cells" in words(at)
    button(at, "Start training").click().run()
    assert_healthy(at)
    (run,) = list_runs()
    try:
        assert Run.open(run.id).request.split == CellSplit(kind="random_cells")
    finally:
        stop(run.id)


@pytest.mark.parametrize(("prompts", "unsaid"), [(None, 2), (["lite", None], 1), (["three_level", "any"], 0)])
def test_descriptions_that_do_not_say_which_prompt_they_answer_are_told(open_page, own_home, tiny_city, prompts, unsaid) -> None:
    said = {
        "subject": "cell", "subject_id": tiny_city.spatial("cells")["cell_id"].iloc[:2], "modality": "poi", "text": "Quiet.", "source": "me"
    }  # fmt: skip
    table = pd.DataFrame(said | ({} if prompts is None else {"prompt": pd.Series(prompts, dtype=object).to_numpy()}))
    tiny_city.replace(name="Described", descriptions=table).save(own_home / "cities" / "described")
    at = _choose(open_page("train"))
    assert_healthy(at)
    told = f"Of {unsaid} stored description" in words(at)
    assert told == bool(unsaid) and ("count as answers to the full one" in words(at)) == told


def test_a_city_without_flows_is_refused_with_what_is_missing(open_page, own_home, tiny_city) -> None:
    tiny_city.replace(name="Still", outflow=None).save(own_home / "cities" / "still")
    at = _choose(open_page("train"))
    assert_healthy(at)
    assert any("Cells with hourly outflow are missing" in warning.value for warning in at.warning)
    assert button(at, "Start training").disabled


def test_the_model_proposed_is_one_that_the_city_has_everything_for(own_home, open_page) -> None:
    city = grid_city(4, 4)
    city.replace(cells=city.spatial("cells").assign(shops=np.arange(16.0))).save()
    at = open_page("train", city="gridford")
    assert_healthy(at)
    assert at.selectbox(key="train.model.1").value == "lmemr"
    assert not button(at, "Start training").disabled
