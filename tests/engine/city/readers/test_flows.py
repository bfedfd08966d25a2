import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.city.readers.base import FileChoices, ReadContext
from engine.city.readers.flows import FlowReader, hour_columns
from engine.city.readers.sniff import sniff
from engine.city.schema import HOURS, WGS84, check_table
from engine.errors import IngestError

READER = FlowReader()
HEADER = "region," + ",".join(HOURS)


def zones(*ids):
    return gpd.GeoDataFrame({"cell_id": list(ids)}, geometry=[shapely.box(i, 0, i + 1, 1) for i in range(len(ids))], crs=WGS84)


@pytest.fixture
def flows(tmp_path):
    """Writes a table and reads it with the zones a, b and c known; options and mappings are passed on."""

    def read_flows(text, name="outflow.csv", cells=("a", "b", "c"), mapping=None, limit=None, weather=None, **options):
        path = tmp_path / "flows.csv"
        path.write_text(text)
        file = sniff(path, name, tmp_path)
        assert READER.recognise(file) > 0.8
        tables = {"cells": zones(*cells)} if cells else {}
        if weather is not None:
            tables["weather"] = weather
        context = ReadContext(tmp_path, tables=tables, limit_rows=limit)
        result = READER.read(file, FileChoices(mapping=mapping or {}, options=options), context)
        for table, frame in result.tables.items():
            check_table(table, frame)
        return result

    return read_flows


def refusal(flows, text, **options):
    with pytest.raises(IngestError) as refused:
        flows(text, **options)
    return {problem.code: problem for problem in refused.value.problems if problem.fatal}


def row(name, values=None, **changed):
    numbers = {hour: i for i, hour in enumerate(HOURS)} if values is None else dict.fromkeys(HOURS, values)
    return ",".join([name, *map(str, (numbers | changed).values())])


def dropped(result):
    return {rule.reason: rule.rows for rule in result.cards[0].dropped}


def test_a_wide_table_keeps_each_number_in_its_hour(flows):
    table = flows("\n".join([HEADER, row("b"), row("a", 7)])).tables["outflow"]
    assert table["cell_id"].tolist() == ["a", "b"]
    assert table["day_type"].tolist() == ["all", "all"]
    assert table.loc[1, list(HOURS)].tolist() == list(range(24))
    assert table.loc[0, list(HOURS)].tolist() == [7.0] * 24


def test_hours_are_known_under_several_names_and_in_any_order():
    assert hour_columns(tuple(f"{hour:02d}:00" for hour in range(24)))[3] == "03:00"
    assert hour_columns(tuple(f"hour_{hour}" for hour in reversed(range(24))))[0] == "hour_0"
    assert hour_columns(tuple(str(hour) for hour in range(24)))[23] == "23"
    assert hour_columns(HOURS[:-1]) == []


def test_tables_of_arrivals_are_told_by_their_name_or_by_choice(flows):
    text = "\n".join([HEADER, row("a")])
    assert set(flows(text, name="inflow_24h.csv").tables) == {"inflow"}
    assert set(flows(text, name="trips.csv").tables) == {"outflow"}
    assert set(flows(text, name="trips.csv", direction="inflow").tables) == {"inflow"}


def test_totals_of_a_month_are_divided_by_its_days(flows):
    result = flows("\n".join([HEADER, row("a", 310)]), days=31)
    assert result.tables["outflow"].loc[0, "h05"] == 10
    assert "add up 31 days" in " ".join(result.cards[0].repairs)
    assert refusal(flows, "\n".join([HEADER, row("a", 310)]), days=0)["OPTION"]


def test_a_long_table_fills_hours_without_a_row_with_zero_and_says_so(flows):
    result = flows("cell,hour,trips\na,0,5\na,23,7\nb,12,1\n")
    table = result.tables["outflow"].set_index("cell_id")
    assert (table.loc["a", "h00"], table.loc["a", "h23"], table.loc["a", "h12"], table.loc["b", "h12"]) == (5, 7, 0, 1)
    assert any("45 hours of zones had no row" in sentence for sentence in result.cards[0].repairs)


def test_a_long_table_with_both_directions_gives_two_tables(flows):
    result = flows("cell,hour,outflow,inflow\na,0,5,6\na,1,7,8\n")
    assert result.tables["outflow"].loc[0, ["h00", "h01"]].tolist() == [5, 7]
    assert result.tables["inflow"].loc[0, ["h00", "h01"]].tolist() == [6, 8]


def test_dates_become_averages_of_all_days_weekdays_and_weekends(flows):
    # Friday 6 and Saturday 7 April 2012, and Monday 9: zone a has 10, 40 and 20 trips at eight; zone b nothing on Saturday.
    text = "cell,date,hour,trips\na,2012-04-06,8,10\na,2012-04-07,8,40\na,2012-04-09,8,20\nb,2012-04-06,8,6\nb,2012-04-09,8,4\n"
    table = flows(text).tables["outflow"].set_index(["cell_id", "day_type"])["h08"]
    assert table["a", "weekday"] == 15 and table["a", "weekend"] == 40 and table["a", "all"] == pytest.approx(70 / 3)
    assert table["b", "weekday"] == 5 and table["b", "all"] == pytest.approx(10 / 3)


def test_weekdays_are_averaged_by_weather_too_where_it_is_known(flows):
    """Wednesday 4 April was wet, Thursday and Friday fair, Monday 9 unknown; Saturday's storm is no weekday."""
    days = pd.to_datetime(["2012-04-04", "2012-04-05", "2012-04-06", "2012-04-07"])
    weather = pd.DataFrame({"date": days, "precipitation_mm": [12.0, 0.0, 1.0, 40.0]})
    trips = {"2012-04-04": 6, "2012-04-05": 10, "2012-04-06": 20, "2012-04-07": 2, "2012-04-09": 40}
    text = "\n".join(["cell,date,hour,trips", *(f"a,{date},8,{number}" for date, number in trips.items()), "b,2012-04-05,8,4"])
    result = flows(text, weather=weather)
    table = result.tables["outflow"].set_index(["cell_id", "day_type"])["h08"]
    assert table["a", "weekday in bad weather"] == 6 and table["a", "weekday in fair weather"] == 15
    assert table["a", "weekday"] == 19 and table["a", "weekend"] == 2
    assert table["b", "weekday in fair weather"] == 2, "two fair weekdays, nobody on one of them"
    assert any("1 in bad and 2 in fair weather" in sentence for sentence in result.cards[0].repairs)
    always_fair = weather.assign(precipitation_mm=0.0)
    assert set(flows(text, weather=always_fair).tables["outflow"]["day_type"]) == {"all", "weekday", "weekend"}


def test_types_of_day_are_understood_and_other_labels_kept(flows):
    text = f"{HEADER},day_type\n" + "\n".join(
        f"{row('a', number)},{kind}" for number, kind in enumerate(("WD", "weekends", "holiday"))
    )
    assert flows(text).tables["outflow"]["day_type"].tolist() == ["holiday", "weekday", "weekend"]


def test_negative_missing_and_unreadable_numbers_are_counted_apart(flows):
    lines = [row(f"z{i}") for i in range(60)]
    lines += [row("neg", h03=-1), row("nan", h04="NaN"), row("void", h04=""), row("word", h05="many")]
    ids = [f"z{i}" for i in range(60)] + ["neg", "nan", "void", "word"]
    result = flows("\n".join([HEADER, *lines]), cells=ids)
    assert dropped(result) == {"VALUE_NEGATIVE": 1, "VALUE_MISSING": 2, "NUMBER_UNREADABLE": 1}
    assert len(result.tables["outflow"]) == 60
    kept = flows("\n".join([HEADER, *lines]), cells=ids, missing_is_zero=True)
    assert dropped(kept) == {"VALUE_NEGATIVE": 1, "NUMBER_UNREADABLE": 1}
    assert refusal(flows, "\n".join([HEADER, row("a", -1), row("b", 1)]))["VALUE_NEGATIVE"]


@pytest.mark.parametrize("bad", ["a,3,n/a", "a,3,", "a,3,-4", "a,x3,5"])
def test_a_zone_with_a_bad_hour_in_a_long_table_is_unknown_and_not_silent_in_that_hour(flows, bad):
    """Zone b has all its hours, zone c two of them; of zone a one row cannot be used, so its other 23 are left out with it."""
    lines = [f"{cell},{hour},{hour + 1}" for cell in "ab" for hour in range(24)]
    result = flows("\n".join(["cell,hour,trips", bad, *(line for line in lines if not line.startswith("a,3,")), "c,7,1", "c,8,1"]))
    assert result.tables["outflow"]["cell_id"].tolist() == ["b", "c"]
    assert dropped(result)["DAY_INCOMPLETE"] == 23 and sum(dropped(result).values()) == 24
    assert result.cards[0].rows_in == result.cards[0].rows_kept + 24
    assert any("22 hours of zones had no row" in sentence for sentence in result.cards[0].repairs), "those of zone c"
    silent = {problem.code: problem for problem in result.problems}["CELLS_WITHOUT_FLOW"]
    assert silent.rows == 1


def test_a_bad_hour_leaves_a_zone_out_of_its_own_type_of_day_only(flows):
    days = [f"a,{hour},{hour},{kind}" for kind in ("weekday", "weekend") for hour in range(24)]
    table = flows("\n".join(["cell,hour,trips,day_type", *days]).replace("a,9,9,weekend", "a,9,many,weekend")).tables["outflow"]
    assert table["day_type"].tolist() == ["weekday"] and table.loc[0, list(HOURS)].tolist() == list(range(24))


def test_a_whole_day_stays_where_one_of_its_hours_stands_again_without_a_number(flows):
    day = [f"a,{hour},1" for hour in range(24)]
    result = flows("\n".join(["cell,hour,trips", *day, "a,3,n/a"]))
    assert dropped(result) == {"VALUE_MISSING": 1} and result.tables["outflow"].loc[0, "h03"] == 1


def test_a_bad_number_takes_its_date_out_of_the_average_of_its_zone(flows):
    """Three weekdays of 10, 20 and an unknown number of trips average 15, not 10; zone b was silent on the third of them."""
    days = ("2012-04-09", "2012-04-10", "2012-04-11")
    numbers = {"a": ("10", "20", "-1"), "b": ("10", "20", None), "c": ("6", "6", "6")}
    rows = [(cell, date, number) for cell, found in numbers.items() for date, number in zip(days, found, strict=True) if number]
    padding = [f"c,{date},{hour},6" for date in days for hour in range(9, 17)]
    long = flows("\n".join(["cell,date,hour,trips", *(f"{cell},{date},8,{number}" for cell, date, number in rows), *padding]))
    wide = flows(
        "\n".join(
            [f"{HEADER},date", *(f"{row(cell, number)},{date}" for cell, date, number in rows)]
            + [f"{row('c', 6)},2012-04-{day}" for day in (*range(12, 14), *range(16, 21), *range(23, 28), 30)]
        )
    )
    for result, all_days in ((long, 3), (wide, 16)):
        table = result.tables["outflow"].set_index(["cell_id", "day_type"])["h08"]
        assert table["a", "weekday"] == table["a", "all"] == pytest.approx(30 / (all_days - 1))
        assert table["b", "weekday"] == pytest.approx(30 / all_days) and table["c", "weekday"] == 6
        assert any("1 dates of zones lack a number" in sentence for sentence in result.cards[0].repairs)


def test_a_zone_none_of_whose_dates_is_known_has_no_flows_of_that_type_of_day(flows):
    """Zone a's only weekend day has a bad hour: it is known on weekdays alone."""
    friday, saturday = ([f"{cell},2012-04-0{day},{hour},2" for cell in "ab" for hour in range(24)] for day in (6, 7))
    text = "\n".join(["cell,date,hour,trips", *friday, *saturday]).replace("a,2012-04-07,5,2", "a,2012-04-07,5,")
    table = flows(text).tables["outflow"].set_index(["cell_id", "day_type"])["h05"]
    assert set(table.index) == {("a", "all"), ("a", "weekday"), ("b", "all"), ("b", "weekday"), ("b", "weekend")}
    assert table["a", "all"] == 2


def test_ids_of_another_zoning_are_counted_and_refused_when_most_are(flows):
    some = flows("\n".join([HEADER, row("a"), row("b"), row("elsewhere")]))
    assert dropped(some) == {"CELL_UNKNOWN": 1}
    assert {problem.code for problem in some.problems} == {"CELL_UNKNOWN", "CELLS_WITHOUT_FLOW"}
    none = refusal(flows, "\n".join([HEADER, row("1"), row("2")]))["OTHER_ZONING"]
    assert "`1`" in none.found and "`a`" in none.found
    assert refusal(flows, "\n".join([HEADER, row("a"), row("2"), row("3"), row("4")]))["CELL_UNKNOWN"]


def test_without_zones_the_flows_are_read_with_a_warning(flows):
    assert [problem.code for problem in flows("\n".join([HEADER, row("a")]), cells=()).problems] == ["NO_CELLS"]


def test_hours_out_of_range_are_counted(flows):
    text = "cell,hour,trips\n" + "".join(f"a,{hour},1\n" for hour in range(24)) + "a,24,1\n"
    assert dropped(flows(text)) == {"HOUR_RANGE": 1}
    assert refusal(flows, "cell,hour,trips\na,24,1\na,7.5,1\n")["HOUR_RANGE"]


def test_a_zone_with_two_different_rows_is_asked_about_equal_rows_are_dropped(flows):
    assert dropped(flows("\n".join([HEADER, row("a"), row("a")]))) == {"DUPLICATE": 1}
    assert "`a`" in refusal(flows, "\n".join([HEADER, row("a", 1), row("a", 2)]))["FLOW_REPEATED"].found


def test_ids_stay_text_with_their_zeros(flows):
    assert flows("\n".join([HEADER, row("007")]), cells=("007",)).tables["outflow"]["cell_id"].tolist() == ["007"]


def test_semicolons_with_decimal_commas_are_read(flows):
    text = "cell;hour;trips\na;0;1,5\na;1;2,5\n"
    assert flows(text).tables["outflow"].loc[0, ["h00", "h01"]].tolist() == [1.5, 2.5]


def test_header_only_is_refused(flows):
    assert refusal(flows, HEADER + "\n").keys() == {"NO_ROWS"}


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 23), st.floats(0, 1e6)), min_size=1, unique_by=lambda entry: entry[:2])
)
def test_no_trip_is_lost_or_invented(tmp_path_factory, entries):
    folder = tmp_path_factory.mktemp("flows")
    text = "cell,hour,trips\n" + "".join(f"{cell},{hour},{value!r}\n" for cell, hour, value in entries)
    (folder / "f.csv").write_text(text)
    table = READER.read(sniff(folder / "f.csv", "f.csv", folder), FileChoices(), ReadContext(folder)).tables["outflow"]
    assert table[list(HOURS)].to_numpy().sum() == pytest.approx(sum(value for *_, value in entries))
    assert len(table) == len({cell for cell, *_ in entries})


@settings(max_examples=80, deadline=None)
@given(
    st.binary(max_size=300)
    | st.lists(st.lists(st.text('ab0,;-."\n', max_size=4), max_size=3), max_size=5).map(
        lambda rows: ("cell,hour,trips\n" + "\n".join(",".join(r) for r in rows)).encode()
    )
)
def test_any_content_gives_a_result_or_a_worded_refusal(tmp_path_factory, content):
    folder = tmp_path_factory.mktemp("any")
    (folder / "f").write_bytes(content)
    try:
        file = sniff(folder / "f", "f", folder)
        assert 0 <= READER.recognise(file) <= 1
        result = READER.read(file, FileChoices(), ReadContext(folder))
        assert all(np.isfinite(table[list(HOURS)].to_numpy()).all() for table in result.tables.values())
        assert isinstance(result.tables, dict) and all(isinstance(table, pd.DataFrame) for table in result.tables.values())
    except IngestError as error:
        assert error.problems and all(problem.code and problem.found for problem in error.problems)
