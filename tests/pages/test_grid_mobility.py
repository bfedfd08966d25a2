"""Grid runs on every page: the clock, the day of a cell, what the model saw, clusters, errors, what-ifs, and input that is bad."""

import json

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import streamlit as st
import torch

from dashboard import wording
from dashboard.cached import cell_data
from dashboard.session import Selection
from dashboard.views import cell_clusters, cell_day, cell_embedding
from dashboard.views.cell_edit_forms import KINDS
from engine.city.city import open_city
from engine.city.images import encode_heights
from engine.encoders.image_descriptors import HEIGHT, measure_height
from engine.runs import Run, list_runs
from engine.scenarios.cell_edits import ChangePois, CutEdge, DropModality, LeaveDistrictOut
from engine.scenarios.edits import OverrideProbe, TakeHour
from engine.scenarios.scenario import EditStack
from engine.training import weights
from tests.engine.small_grids import grid_city
from tests.pages.conftest import assert_healthy, bare_city, button, words

MOST_BYTES = 2_000_000


@pytest.fixture
def page(grid_home, monkeypatch, open_page):
    """Opens a page on the grid run of the synthetic city, or of another one."""
    monkeypatch.setenv("MOBISCOPE_HOME", str(grid_home))

    def opened(name: str, city: str = "aldhaven", **query: str):
        run_id = next(run.id for run in list_runs() if run.name == city)
        return open_page(name, city=city, run=run_id, **query)

    return opened


def clocks(at) -> list[dict]:
    """What the maps with a clock were sent."""
    return [json.loads(element.proto.json_args) for element in at.get("component_instance") if "codes" in element.proto.json_args]


def decks(at) -> list:
    return [element.proto.json for element in at.get("deck_gl_json_chart")]


def by_key(at, key: str):
    """The control with this key, whatever its kind."""
    found = [
        item
        for kind in (at.button_group, at.selectbox, at.slider, at.number_input, at.multiselect, at.toggle)
        for item in kind
        if item.key == key
    ]
    assert found, f"no control {key!r}"
    return found[0]


def choose(at, key: str, value):
    by_key(at, key).set_value(value).run()
    assert_healthy(at)
    return at


# ---- grid mobility ---------------------------------------------------------------------------------------------------------------


def test_the_page_answers_and_sends_all_hours_at_once_within_the_budget(page) -> None:
    """One message holds the 24 hours of all 36 cells, so that playing needs no second one."""
    import base64

    at = page("grid_mobility")
    assert_healthy(at)
    assert "trips leave on an average weekday, most" in at.markdown[0].value and "R²" in at.markdown[0].value
    (clock,) = clocks(at)
    assert len(base64.b64decode(clock["codes"])) == 36 * 24 * 2
    assert len(json.dumps(clock)) < MOST_BYTES
    assert [mark["words"] for mark in clock["marks"]][-1] == "chosen"
    for at_panel in ("What the model saw of it", "An average weekday in", "test cell"):
        assert at_panel in words(at)


@pytest.mark.parametrize(
    ("day_type", "said"),
    [
        ("all", "an average day"),
        ("weekday", "an average weekday"),
        ("weekend", "an average weekend day"),
        ("weekday in bad weather", "an average weekday in bad weather"),
        ("rain_1", "an average day of the kind “rain\\_1”"),
    ],
)
def test_the_kind_of_day_is_said_as_a_phrase(day_type, said) -> None:
    assert cell_day.average_day(day_type) == said


def test_every_answer_about_trips_a_day_says_of_which_day(grid_home, monkeypatch, open_page) -> None:
    """The run of weekends speaks of weekends where it answers and above its curves."""
    monkeypatch.setenv("MOBISCOPE_HOME", str(grid_home))
    run_id = next(run.id for run in list_runs() if run.name == "weekends")
    for name in ("grid_mobility", "what_if"):
        at = open_page(name, city="aldhaven", run=run_id)
        assert_healthy(at)
        assert "on an average weekend day" in at.markdown[0].value
        assert "an average weekend day" in words(at).replace(at.markdown[0].value, "")


def test_a_cell_is_called_by_its_name_and_under_that_word_its_district(page) -> None:
    at = page("grid_mobility")
    first = open_city("aldhaven").table("cells").iloc[0]
    assert by_key(at, "grid.cell").options[0] == f"{first['cell_id']}, district {first['district']}"


def test_what_is_unusual_about_inputs_stands_behind_their_source(page) -> None:
    """Zones of one size: the area tells nothing, and the panel says so where it names the source of the counts."""
    at = page("grid_mobility", "gridford")
    helps = [item.proto.help for item in at.caption if "counts of pois" in item.value]
    assert any("components are the same everywhere, such as `area" in said.replace("\\", "") for said in helps), helps


def test_a_warm_page_reads_no_table_and_asks_no_model(page, monkeypatch) -> None:
    """What a rerun costs in time is measured by `tests.benchmarks.bench_pages`; here, that it does none of the long work again."""
    at = page("grid_mobility")
    at.run()
    begun: list[str] = []
    for place, name in ((pd, "read_parquet"), (gpd, "read_parquet"), (weights, "load_file"), (torch.nn.Module, "__call__")):
        long_work = getattr(place, name)

        def counted(*args, _work=long_work, _name=f"{place.__name__}.{name}", **named):
            begun.append(_name)
            return _work(*args, **named)

        monkeypatch.setattr(place, name, counted)
    assert_healthy(at.run())
    assert begun == []
    st.cache_data.clear()
    st.cache_resource.clear()
    assert_healthy(at.run())
    assert {"pandas.read_parquet", "geopandas.read_parquet", "engine.training.weights.load_file"} <= set(begun), "the count counts"


def test_observed_and_predicted_share_one_scale_and_the_difference_is_even(page) -> None:
    at = page("grid_mobility")
    observed = clocks(at)[0]
    predicted = clocks(choose(at, "grid.shown", "Predicted"))[0]
    assert (observed["low"], observed["high"]) == (predicted["low"], predicted["high"])
    difference = clocks(choose(at, "grid.shown", "Difference"))[0]
    assert difference["low"] == -difference["high"] and difference["signed"]


def test_every_panel_below_is_drawn(page) -> None:
    at = page("grid_mobility")
    assert "Days alike in level and shape" in words(choose(at, "grid.below", "Clusters"))
    said = words(choose(at, "grid.below", "Errors"))
    assert "Where it errs" in said and "what the paper calls MAPE" in said
    assert "Calibration of the bins" in said and "On average the model gives the bin it answers" in said
    choose(at, "grid.metric", "calibration")
    choose(at, "grid.below", "Splits")
    assert "Random cells and spatial blocks" in words(at)
    assert button(at, "Train it on random cells")


def test_a_word_is_told_with_its_z_where_that_is_more_than_chance_gives() -> None:
    table = pd.DataFrame([("office", 3.24, 0.5, 0.1), ("park", 1.9, 0.4, 0.2)], columns=["word", "z", "share", "share_elsewhere"])
    said = cell_clusters.told(table)
    assert "office" in said and "z 3.2;" in said and "park" not in said
    assert cell_clusters.told(table.iloc[1:]) == "no word stands out"


def test_modalities_that_are_not_fused_have_one_pane() -> None:
    vectors = {"spatial": np.eye(6)[:, :4], "text": np.eye(6)[:, 2:]}
    assert list(cell_embedding._panes(vectors)) == ["before fusion"]
    assert list(cell_embedding._panes(vectors | {"fused": np.eye(6)[:, :4]})) == ["before fusion", "after fusion"]


def test_a_run_without_the_table_of_its_bins_says_so(grid_home, own_copy, open_page) -> None:
    own_copy(grid_home)
    run = Run.open(next(run.id for run in list_runs() if run.name == "aldhaven"))
    (run.folder.tables / "reliability.parquet").unlink()
    at = choose(open_page("grid_mobility", city="aldhaven", run=run.id), "grid.below", "Errors")
    assert "train it again to see how sure it is" in words(at)


def test_the_job_card_leads_to_the_page_that_shows_what_the_run_answers(page) -> None:
    at = page("train")
    button(at, "Look at its predictions").click().run()
    assert_healthy(at)
    assert at.title[0].value == "How does this cell breathe through the day?"


def test_the_interval_says_how_often_it_held(page) -> None:
    table = next(Run.open(run.id) for run in list_runs() if run.name == "aldhaven").table("metrics")
    row = table.query("slice == 'all' and metric == 'coverage' and predictor == 'lmemr'").iloc[0]
    said = f"Its 80 % interval held {wording.percent(row['value'])} "
    assert said in words(page("grid_mobility")) and said in words(page("what_if"))


def test_a_lasso_shows_the_mean_day_without_a_band(page) -> None:
    at = page("grid_mobility")
    at.session_state["mobiscope.selection"] = Selection(("r001c001", "r002c002", "r003c003"), None, "lasso", "cell")
    at.run()
    assert_healthy(at)
    assert "3 cells" in at.markdown[0].value
    assert "The mean of 3 cells on an average weekday" in words(at)


def test_a_cell_chosen_elsewhere_is_the_one_looked_at(page) -> None:
    at = page("grid_mobility")
    choose(at, "grid.cell", "r004c002")
    assert "r004c002" in at.markdown[0].value
    assert at.session_state["mobiscope.selection"].kind == "cell"


def test_a_baseline_can_take_the_place_of_the_model(page) -> None:
    at = choose(page("grid_mobility"), "grid.predictor", "hourly_mean")
    assert "Hourly mean" in at.markdown[0].value


# ---- inside and ask --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["attention", "embeddings", "long_tail", "what_if"])
def test_a_grid_run_is_looked_into_on_every_page(name, page) -> None:
    at = page(name)
    assert_healthy(at)
    assert at.title[0].value.endswith("?") and len(at.markdown[0].value) > 40
    assert decks(at) or clocks(at)
    assert all(len(deck) < MOST_BYTES for deck in decks(at))


def test_what_the_model_looked_at_is_shown_in_every_way(page) -> None:
    at = page("attention")
    assert by_key(at, "attention.cells.near.arcs").value, "the arcs of one cell are seen from close by"
    for shown in ("openness", "influence", "reach", "fusion"):
        assert decks(choose(at, "attention.cells.shown", shown))
    taken = next(frame.value for frame in at.dataframe if "cell" in frame.value.columns)
    assert list(taken.columns) == ["cell", *(f"Seen from above, layer {number}" for number in (1, 2, 3))]
    assert np.allclose(taken.drop(columns="cell").sum(), 1, atol=1e-5)


def test_a_single_modality_is_not_weighed(page) -> None:
    """The bare city brings places alone: their weight is 100 % everywhere, which says nothing."""
    at = page("attention", "gridford")
    assert_healthy(at)
    assert "counts most on" not in at.markdown[0].value and "This run sees one modality, places" in words(at)
    assert "Which modality counts" not in words(at) and "Modality" not in by_key(at, "attention.cells.shown").options


def test_modalities_stand_beside_their_descriptions(page) -> None:
    at = page("embeddings")
    assert "Seen and said, before and after fusion" in words(at)
    [drawn] = [json.loads(item.proto.spec) for item in at.get("plotly_chart") if item.proto.id.endswith("embeddings.cells.pairs")]
    titles = [item["text"] for item in drawn["layout"]["annotations"]]
    assert titles == ["before fusion", "after fusion", "with neighbours"]
    assert "ten nearest in this space" in at.markdown[0].value
    choose(at, "embeddings.cells.name", "hour")


def test_low_flow_cells_have_their_tenths_and_bad_weather_its_days(page) -> None:
    """By kind of day the map and the table of cells follow the flows of the day that is chosen."""
    at = page("long_tail")
    assert "quietest test cells" in at.markdown[0].value
    choose(at, "long_tail.cells.slice", "hour")
    choose(at, "long_tail.cells.slice", "day")
    assert "knows nothing of weather" in words(at)
    assert "of an average weekday, the kind of day they were learnt from" in at.markdown[0].value
    assert "Held against an average week" in at.markdown[0].value
    assert "worst first, on an average weekday" in words(at)
    assert by_key(at, "long_tail.cells.group.day.None").options == ["all", "weekday", "weekday in bad weather", "weekend"]
    choose(at, "long_tail.cells.group.day.None", "weekday in bad weather")
    assert "worst first, on an average weekday in bad weather" in words(at)
    flows = open_city("aldhaven").table("outflow")
    wet = flows[flows["day_type"] == "weekday in bad weather"].set_index("cell_id").filter(regex=r"h\d\d").sum(axis=1)
    run = next(r.id for r in list_runs() if r.name == "aldhaven")
    shown = next(frame.value["observed"].sum() for frame in at.dataframe if "observed" in frame.value.columns)
    assert shown == pytest.approx(wet[list(cell_data.test_cells(run))].sum(), rel=1e-4)


def test_runs_of_two_kinds_of_day_are_compared_as_the_page_advises(page) -> None:
    """The run of weekends is judged on the same cells: it is offered under its day type, and shown beside its own flows."""
    at = page("long_tail")
    choose(at, "long_tail.cells.slice", "day")
    assert "can be chosen under Compared" in words(at)
    offered = {label.split(" · ")[0]: label for label in by_key(at, "long_tail.cells.series").options if "day type" in label}
    days = {name: label.split(" · ")[-1] for name, label in offered.items()}
    assert days == {"aldhaven": "day type weekday", "second": "day type weekday", "weekends": "day type weekend"}
    weekday, weekend = offered["aldhaven"], offered["weekends"]

    def observed() -> float:
        return next(frame.value["observed"].sum() for frame in at.dataframe if "observed" in frame.value.columns)

    choose(at, "long_tail.cells.series", [weekday, weekend])
    on_weekdays = observed()
    choose(at, "long_tail.cells.series", [weekend])
    flows, test = (
        open_city("aldhaven").table("outflow"),
        set(cell_data.test_cells(next(r.id for r in list_runs() if r.name == "weekends"))),
    )
    total = {
        day: rows[rows["cell_id"].isin(test)].filter(regex=r"h\d\d").to_numpy().sum() for day, rows in flows.groupby("day_type")
    }
    assert observed() == pytest.approx(total["weekend"], rel=1e-4) and on_weekdays == pytest.approx(total["weekday"], rel=1e-4)


def test_an_edit_changes_its_neighbourhood_on_the_map_and_can_be_undone(page) -> None:
    """Three graph layers: of 36 cells those within three steps change; without the edit none does."""
    at = page("what_if")
    assert "Edit a cell" in at.markdown[0].value
    assert len(set(clocks(at)[0]["codes"])) < 10
    at.session_state["mobiscope.what_if.cells.stack"] = (
        "aldhaven",
        EditStack().push(ChangePois(cell_id="r000c000", counts={"Food": 30})),
    )
    at.run()
    assert_healthy(at)
    assert "10 of 36 cells change" in at.markdown[0].value
    choose(at, "what_if.cells.below", "Changed cells")
    choose(at, "what_if.cells.below", "Figures")
    button(at, "Undo").click().run()
    assert "Edit a cell" in at.markdown[0].value


def test_the_form_makes_the_edit(page) -> None:
    at = page("what_if")
    by_key(at, "what_if.cells.kind").set_value("Modality").run()
    button(at, "Do not see it").click().run()
    assert_healthy(at)
    (edit,) = at.session_state["mobiscope.what_if.cells.stack"][1].done
    assert isinstance(edit, DropModality) and edit.modality == "satellite"


def test_an_hour_is_taken_for_another_and_a_bin_forced_by_the_name_of_its_trips(page) -> None:
    """Edits of the model reach all cells; both stand in the list in words, and a baseline says that it has no mechanism."""
    at = page("what_if")
    by_key(at, "what_if.cells.kind").set_value("Hours").run()
    choose(at, "what_if.cells.hour", 7)
    button(at, "Take it so").click().run()
    assert_healthy(at)
    assert "With 1 edit, 36 of 36 cells change" in at.markdown[0].value and "read 07 h as if it were 18 h" in words(at)
    by_key(at, "what_if.cells.kind").set_value("Mechanism").run()
    labelled = {item.label: item for item in at.selectbox}
    labelled["Probe"].set_value("head.probability").run()
    next(item for item in at.selectbox if item.label == "Action").set_value("force").run()
    bins = next(item for item in at.selectbox if item.label == "Which bin")
    assert bins.options[0].startswith("below ") and bins.options[-1].startswith("from ")
    bins.set_value(3).run()
    button(at, "Override").click().run()
    assert_healthy(at)
    first, second = at.session_state["mobiscope.what_if.cells.stack"][1].done
    assert first == TakeHour(hour=7, as_hour=18)
    assert second == OverrideProbe(probe="head.probability", action="force", index=3, entry=bins.options[3])
    assert f"let only “{bins.options[3]}” count in " in words(at).replace("\\", "")
    button(at, "Start over").click().run()
    choose(at, "what_if.cells.predictor", by_key(at, "what_if.cells.predictor").options[1])
    assert "No mechanism to override" in words(at)


def test_an_uploaded_height_tile_keeps_its_metres_and_what_lies_outside(page) -> None:
    """Half of the tile is clear; of the rest half has 20 m."""
    metres, inside = np.zeros((8, 8)), np.ones((8, 8), bool)
    metres[:, :2], inside[:, 4:] = 20, False
    at = page("what_if")
    by_key(at, "what_if.cells.kind").set_value("Picture").run()
    choose(at, "what_if.cells.tile", "height")
    (uploader,) = (item for item in at.get("file_uploader") if item.proto.label == "Or a picture of yours")
    uploader.upload("tile.png", encode_heights(metres, inside), "image/png").run()
    button(at, "Give it this picture").click().run()
    assert_healthy(at)
    (edit,) = at.session_state["mobiscope.what_if.cells.stack"][1].done
    found = dict(zip(HEIGHT, measure_height(edit.picture), strict=True))
    assert (found["built share"], found["highest, m"]) == (0.5, 20)


@pytest.mark.parametrize(("attribute", "row", "value"), [("elevation", 0, -12.5), ("income", 47, 5e6)])
def test_attributes_below_zero_and_in_the_millions_are_set_as_they_are(attribute, row, value, page) -> None:
    """Limits of 0 to 1,000,000 are those of places; the first cell lies 6 m below the sea, the last one earns 3.2 million."""
    cells = open_city("gridford").table("cells")
    cell, now = str(cells["cell_id"].iloc[row]), cells[attribute].iloc[row]
    at = page("what_if", "gridford")
    choose(at, "what_if.cells.category", attribute)
    choose(at, "what_if.cell", cell)
    field = by_key(at, f"what_if.cells.count.{cell}.{attribute}")
    assert field.value == pytest.approx(now)
    field.set_value(value).run()
    button(at, "Set the value").click().run()
    assert_healthy(at)
    (edit,) = at.session_state["mobiscope.what_if.cells.stack"][1].done
    assert edit == ChangePois(cell_id=cell, counts={attribute: value})


def test_an_edit_says_that_the_stored_words_about_it_are_left_out(page) -> None:
    """Only the first cell of the bare city has a stored description."""
    at = page("what_if", "gridford")
    first, second = open_city("gridford").table("cells")["cell_id"].iloc[:2]
    for cell, is_said in ((first, True), (second, False)):
        edits = (ChangePois(cell_id=str(cell), counts={"Bar": 30}),)
        at.session_state["mobiscope.what_if.cells.stack"] = ("gridford", EditStack(edits))
        assert_healthy(at.run())
        assert ("speaks of what was there before" in words(at)) == is_said


def test_every_form_is_drawn(page) -> None:
    at = page("what_if")
    for kind in KINDS:
        choose(at, "what_if.cells.kind", kind)


def test_what_the_run_does_not_see_is_not_offered_and_the_page_says_why(page) -> None:
    """The bare city brings places alone: neither heights nor tiles can be edited, and of descriptions those of places."""
    at = page("what_if", "gridford")
    for kind, shut in (("Buildings", "Change the buildings"), ("Picture", "Give it that tile")):
        choose(at, "what_if.cells.kind", kind)
        assert "does not see this" in words(at) and not any(one.label == shut for one in at.button)
    for kind, key in (("Words", "what_if.cells.described"), ("Modality", "what_if.cells.dropped")):
        choose(at, "what_if.cells.kind", kind)
        assert by_key(at, key).options == ["places"]
        assert "does not see it: satellite tile, building heights, street views" in words(at)


def test_an_edit_that_the_engine_refuses_is_not_done_and_the_map_stays(page) -> None:
    """The edge that the form proposes is cut already."""
    at = page("what_if")
    cell, near = by_key(at, "what_if.cell").value, by_key(choose(at, "what_if.cells.kind", "Neighbours"), "what_if.cells.cut").value
    for _ in range(2):
        button(at, "Part them").click().run()
    assert not at.exception
    assert "no neighbours" in at.error[0].value
    assert at.session_state["mobiscope.what_if.cells.stack"][1].done == (CutEdge(cell_id=cell, neighbour=near),)
    assert clocks(at) and not any(one.label == "Start over" and one.key == "what_if.misfit" for one in at.button)


def test_an_edit_that_does_not_fit_is_refused_with_a_way_out(page) -> None:
    at = page("what_if")
    edits = (CutEdge(cell_id="r000c000", neighbour="r005c005"),)
    at.session_state["mobiscope.what_if.cells.stack"] = ("aldhaven", EditStack(edits))
    at.run()
    assert not at.exception
    assert "no neighbours" in at.error[0].value
    button(at, "Start over").click().run()
    assert "Edit a cell" in at.markdown[0].value


def test_leaving_a_district_out_offers_a_training(page) -> None:
    at = page("what_if")
    district = str(open_city("aldhaven").table("cells")["district"].iloc[0])
    at.session_state["mobiscope.what_if.cells.stack"] = ("aldhaven", EditStack((LeaveDistrictOut(district=district),)))
    at.run()
    assert button(at, "Train without it")
    assert "no curve changes" in at.markdown[0].value


def test_runs_judged_by_other_flows_win_no_cell_of_each_other(page) -> None:
    at = page("runs")
    names = list(at.dataframe[0].value["run"])
    picked = [names.index("aldhaven"), names.index("weekends")]
    at.session_state["runs.table"] = {"selection": {"rows": picked, "columns": [], "cells": []}}
    at.run()
    assert_healthy(at)
    assert "different kinds of day" in words(at) and not any("gain" in frame.value for frame in at.dataframe)


# ---- runs ------------------------------------------------------------------------------------------------------------------------


@pytest.fixture
def compared(page):
    """The Runs page with both runs of the synthetic city picked."""
    at = page("runs")
    names = list(at.dataframe[0].value["run"])
    at.session_state["runs.table"] = {
        "selection": {"rows": [names.index("aldhaven"), names.index("second")], "columns": [], "cells": []}
    }
    at.run()
    assert_healthy(at)
    return at


def test_two_runs_of_cells_are_compared_figure_by_figure_and_cell_by_cell(compared) -> None:
    """The cells each wins are its own test cells, nearer by what the two errors differ, most first."""
    said = words(compared)
    assert "aldhaven minus second" in said and "Cells each wins" in said and "A day in" in said
    won = next(frame.value for frame in compared.dataframe if "gain" in frame.value)
    assert (won["gain"] > 0).all() and won["gain"].is_monotonic_decreasing
    assert np.allclose(won["gain"], won["error_second"] - won["error_first"], atol=1), "shown to the trip"
    runs = {run.name: Run.open(run.id) for run in list_runs()}
    wrong = []
    for name in ("aldhaven", "second"):
        table = runs[name].table("predictions").query("predictor == 'lmemr' and part == 2")
        wrong.append((table["predicted"] - table["observed"]).abs().groupby(table["cell_id"]).sum())
    gain = wrong[1] - wrong[0]
    assert won["gain"].to_numpy() == pytest.approx(np.sort(gain[gain > 0])[::-1], rel=5e-3)
    assert f"is nearer in {(gain > 0).sum()} of {len(gain)} test cells" in said


def test_both_answers_stand_on_two_maps_of_one_scale_and_one_hour(compared) -> None:
    def maps() -> tuple[dict, dict, list[str]]:
        [component] = [item for item in compared.get("component_instance") if "left:" in item.proto.json_args]
        assert len(component.proto.json_args) < MOST_BYTES
        layers = {layer["id"]: layer for layer in json.loads(json.loads(component.proto.json_args)["json"])["layers"]}
        legend = "\n".join(str(item.proto.body) for item in compared.get("html"))
        return layers["left:cells"], layers["right:cells"], legend

    first, second, legend = maps()
    assert len(first["data"]) == len(second["data"]) == 36
    trips = np.array([float(row["tip"].split("\n")[1].split()[0].replace(",", "")) for row in first["data"] + second["data"]])
    red = np.array([row["c"][0] for row in first["data"] + second["data"]])
    assert (np.diff(red[np.lexsort((red, trips))]) >= 0).all(), "more trips are never less yellow, on whichever map"
    choose(compared, "versus.cells.hour", 17)
    assert maps()[2] == legend, "one scale for all hours"
    assert maps()[0]["data"] != first["data"] and maps()[1]["data"] != second["data"], "one clock turns both"
    choose(compared, "versus.cells.shown", "difference")
    assert "+" in maps()[2]


def test_a_cell_that_was_won_is_opened_with_the_run_that_won_it(compared) -> None:
    choose(compared, "versus.winner", "second")
    name = next(frame.value for frame in compared.dataframe if "gain" in frame.value)["cell"].iloc[0]
    button(compared, "Look inside this cell").click().run()
    assert_healthy(compared)
    assert compared.title[0].value == "How does this cell breathe through the day?"
    assert name.split(" · ")[0] in compared.markdown[0].value
    assert compared.session_state["mobiscope.run"] == next(run.id for run in list_runs() if run.name == "second")


def test_the_report_of_a_run_of_cells_holds_its_maps_and_days(grid_home, monkeypatch) -> None:
    """Only what belongs to cells: no place, no first guess; what is asked for is drawn and nothing is loaded."""
    from dashboard.views.report_button import report

    monkeypatch.setenv("MOBISCOPE_HOME", str(grid_home))
    for city in ("aldhaven", "gridford"):
        page = report(next(run.id for run in list_runs() if run.name == city), city)
        assert page.count("<img alt=") == 2 and "the busiest; test cells are outlined" in page
        for words_of_it in (
            "R² (log scale)",
            "WAPE by flow of the cell",
            "MAE by hour",
            "The test cell predicted worst",
            "Data card",
        ):
            assert words_of_it in page
        assert "mobiscope train lmemr" in page and "Acc@1" not in page


# ---- bad input -------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["grid_mobility", "attention", "embeddings", "long_tail", "what_if"])
def test_a_city_without_imagery_districts_and_some_flows_is_shown_as_such(name, page) -> None:
    """Three cells were never counted: they are hatched, never zero; nothing breaks for want of pictures or districts."""
    at = page(name, "gridford")
    assert_healthy(at)
    if name == "grid_mobility":
        (clock,) = clocks(at)
        assert {"kind": "hatch", "words": "no flow known (3)"}.items() <= clock["marks"][0].items()
        assert "nothing of these for any cell: seen from above, building heights, street views" in words(at)
        choose(at, "grid.cell", str(bare_city().table("cells")["cell_id"].iloc[5]))
        assert "not fully known" in at.markdown[0].value
        choose(at, "grid.below", "Errors")
        assert "No districts to tell apart" in words(at)


def test_a_run_of_visits_is_told_apart(trained_home, monkeypatch, open_page) -> None:
    monkeypatch.setenv("MOBISCOPE_HOME", str(trained_home))
    run_id = next(run.id for run in list_runs() if run.name == "first")
    at = open_page("grid_mobility", city="aldhaven", run=run_id)
    assert_healthy(at)
    assert "predicts where a person goes next" in words(at)


def test_without_a_run_the_next_step_is_offered(city_home, monkeypatch, open_page) -> None:
    monkeypatch.setenv("MOBISCOPE_HOME", str(city_home))
    at = open_page("grid_mobility", city="aldhaven")
    assert_healthy(at)
    assert button(at, "Train a model")


@pytest.mark.parametrize(
    ("outflow", "words_of_it"),
    [(np.zeros((3, 24)), "nothing to learn from"), (np.full((3, 24), 5.0), "needs at least 3")],
    ids=["all-zero flows", "three cells"],
)
def test_a_city_no_grid_model_can_learn_from_says_why_on_train(outflow, words_of_it, own_home, open_page) -> None:
    grid_city(1, 3, outflow=outflow).save()
    at = open_page("train", city="gridford")
    at.selectbox(key="train.model.0").set_value("lmemr").run()
    assert not at.exception
    assert words_of_it in words(at) or "Everything a cell could be known by is missing" in words(at)
