import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.city.readers.base import FileChoices, ReadContext
from engine.city.readers.sniff import sniff
from engine.city.readers.weather import WeatherReader
from engine.city.schema import check_table
from engine.errors import IngestError

READER = WeatherReader()
NOAA = '"STATION","NAME","DATE","AWND","PRCP","SNOW","TMAX","TMIN"\n'


@pytest.fixture
def weather(tmp_path):
    """Writes a table and reads it; options and mappings are passed on."""

    def read_weather(text, mapping=None, **options):
        path = tmp_path / "weather.csv"
        path.write_text(text)
        file = sniff(path, "weather.csv", tmp_path)
        assert READER.recognise(file) >= 0.6
        result = READER.read(file, FileChoices(mapping=mapping or {}, options=options), ReadContext(tmp_path))
        check_table("weather", result.tables["weather"])
        return result

    return read_weather


def refusal(weather, text, **options):
    with pytest.raises(IngestError) as refused:
        weather(text, **options)
    return {problem.code: problem for problem in refused.value.problems if problem.fatal}


def dropped(result):
    return {rule.reason: rule.rows for rule in result.cards[0].dropped}


def test_noaa_inches_and_fahrenheit_become_millimetres_and_celsius(weather):
    # 0.50 inch = 12.7 mm; the mean of 86 and 68 °F is 77 °F = 25 °C.
    table = weather(NOAA + '"US1","PARK","2012-07-04","5.1","0.50","0","86","68"\n').tables["weather"]
    assert table["date"].tolist() == [pd.Timestamp("2012-07-04")]
    assert table["precipitation_mm"].tolist() == pytest.approx([12.7])
    assert table["temperature_c"].tolist() == pytest.approx([25.0])


def test_units_stated_in_the_names_are_taken_at_their_word(weather):
    table = weather("date,temp_c,rain (mm)\n2012-04-03,11.5,0.4\n2012-04-04,90,1\n").tables["weather"]
    assert table["temperature_c"].tolist()[0] == 11.5 and pd.isna(table["temperature_c"][1])
    assert table["precipitation_mm"].tolist() == [0.4, 1.0]
    assert weather("date,tempF\n2012-04-03,50\n").tables["weather"]["temperature_c"].tolist() == pytest.approx([10])


def test_a_unit_that_is_neither_stated_nor_proven_is_asked(weather):
    text = "date,temperature,rain\n2012-04-03,11.5,0.4\n"
    assert "temperature_unit" in refusal(weather, "date,temperature\n2012-04-03,11.5\n")["UNIT_MISSING"].mend
    assert "precipitation_unit" in refusal(weather, text, temperature_unit="C")["UNIT_MISSING"].mend
    table = weather(text, temperature_unit="C", precipitation_unit="inch").tables["weather"]
    assert table["precipitation_mm"].tolist() == pytest.approx([10.16])


def test_temperatures_no_place_on_earth_has_in_celsius_prove_fahrenheit(weather):
    result = weather("date,temperature\n2012-07-03,97\n2012-01-03,32\n")
    assert result.tables["weather"]["temperature_c"].tolist() == pytest.approx([0, 36.111], abs=1e-3)
    assert any("can only be Fahrenheit" in sentence for sentence in result.cards[0].repairs)


def test_tenths_of_the_raw_ghcn_files_are_understood_when_chosen(weather):
    table = weather(NOAA + "US1,P,2012-07-04,,127,0,300,200\n", temperature_unit="tenths C").tables["weather"]
    assert table["temperature_c"].tolist() == [25.0] and table["precipitation_mm"].tolist() == pytest.approx([12.7])


def test_traces_gaps_and_agreed_numbers_for_nothing(weather):
    text = "date,temp_c,rain_mm\n2012-04-01,5,T\n2012-04-02,-9999,3\n2012-04-03,,\n2012-04-04,M,2\n2012-04-05,150,-3\n"
    result = weather(text)
    table = result.tables["weather"]
    assert table["precipitation_mm"].tolist() == [0.0, 3.0, 2.0]
    assert dropped(result) == {"NO_MEASUREMENT": 2}
    assert len(table) == 3


def test_rows_are_sorted_and_days_that_repeat_are_counted(weather):
    result = weather("date,temp_c\n2012-04-03,5\n2012-04-01,6\n2012-04-03,7\n2012-04-01,6\n")
    assert result.tables["weather"]["temperature_c"].tolist() == [6, 5]
    assert dropped(result) == {"DUPLICATE": 1, "DATE_REPEATED": 1}


def test_several_stations_are_asked_for_and_one_can_be_chosen(weather):
    text = "station,date,temp_c\nA,2012-04-03,5\nB,2012-04-03,6\n"
    assert "`A`, `B`" in refusal(weather, text)["STATION"].found
    result = weather(text, station="B")
    assert result.tables["weather"]["temperature_c"].tolist() == [6]
    assert dropped(result) == {"NOT_CHOSEN": 1}
    assert refusal(weather, text, station="C")["STATION"]


def test_day_and_month_are_asked_for_when_they_cannot_be_told(weather):
    assert refusal(weather, "date,temp_c\n03/04/2012,5\n04/05/2012,6\n")["DATE_ORDER"]
    table = weather("date,temp_c\n03/04/2012,5\n04/05/2012,6\n", day_first=True).tables["weather"]
    assert table["date"].tolist() == [pd.Timestamp("2012-04-03"), pd.Timestamp("2012-05-04")]
    clear = weather("date,temp_c\n03/04/2012,5\n25/12/2012,6\n").tables["weather"]
    assert clear["date"].tolist() == [pd.Timestamp("2012-04-03"), pd.Timestamp("2012-12-25")]


def test_times_of_day_are_cut_off_a_date(weather):
    table = weather("date,temp_c\n2012-04-03T23:30:00+02:00,5\n2012-04-04 00:30:00,6\n").tables["weather"]
    assert table["date"].tolist() == [pd.Timestamp("2012-04-03"), pd.Timestamp("2012-04-04")]


def test_conditions_are_kept_as_words(weather):
    table = weather("date,temp_c,condition\n2012-04-03,5,rain\n2012-04-04,6,\n").tables["weather"]
    assert table["condition"].tolist()[0] == "rain" and pd.isna(table["condition"][1])


def test_dates_that_do_not_exist_are_counted(weather):
    good = "".join(f"2012-04-{day:02d},5\n" for day in range(1, 31))
    assert dropped(weather(f"date,temp_c\n{good}2012-02-31,5\n")) == {"DATE_UNREADABLE": 1}
    assert refusal(weather, "date,temp_c\nyesterday,5\ntoday,6\n")["DATE_FORMAT"]


@settings(max_examples=80, deadline=None)
@given(
    st.binary(max_size=200)
    | st.lists(st.tuples(st.text("0123456789-/T", max_size=10), st.text("0-.9TM", max_size=5)), max_size=5).map(
        lambda rows: ("date,temp_c\n" + "\n".join(",".join(row) for row in rows)).encode()
    )
)
def test_any_content_gives_a_result_or_a_worded_refusal(tmp_path_factory, content):
    folder = tmp_path_factory.mktemp("any")
    (folder / "f").write_bytes(content)
    try:
        file = sniff(folder / "f", "f", folder)
        assert 0 <= READER.recognise(file) <= 1
        result = READER.read(file, FileChoices(), ReadContext(folder))
        check_table("weather", result.tables["weather"])
    except IngestError as error:
        assert error.problems and all(problem.code and problem.found for problem in error.problems)
