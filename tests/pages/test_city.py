"""City: what is in it, how it is brought in, and that it can be got rid of."""

import io
import shlex
import zipfile
from pathlib import Path

import pandas as pd
import pytest
from streamlit.testing.v1 import AppTest

from engine import store
from engine.city.city import City, list_cities
from engine.scenarios.edits import ClosePlace
from tests.pages.conftest import assert_healthy, button, go, words

CHECKINS = "visits of $x$ **bold**.csv"


@pytest.fixture
def checkins(own_home: Path) -> Path:
    """A table in the data folder: 4 people, 3 places in Berlin, 40 visits, a column nobody knows, one visit on Null Island."""
    folder = own_home / "data"
    folder.mkdir(parents=True)
    times = pd.date_range("2024-03-01 08:00", periods=40, freq="7h")
    table = pd.DataFrame(
        {
            "person": [f"p{row % 4}" for row in range(40)],
            "when": times.strftime("%Y-%m-%d %H:%M:%S"),
            "place": [f"spot{row % 3}" for row in range(40)],
            "lat": [52.50 + 0.01 * (row % 3) for row in range(40)],
            "lon": [13.40 + 0.01 * (row % 3) for row in range(40)],
            "mood": ["fine"] * 40,
        }
    )
    table.loc[7, ["lat", "lon"]] = 0.0
    table.to_csv(folder / CHECKINS, index=False)
    return folder


def set_meaning(at: AppTest, column: str, meaning: str) -> None:
    """Chooses what a column means, as an edit in the table of columns."""
    editor = at.data_editor[0]
    row = list(editor.value["column"]).index(column)
    at.session_state[editor.key] = {"edited_rows": {row: {"meaning": meaning}}, "added_rows": [], "deleted_rows": []}
    at.run()


def flags_of(at: AppTest) -> list[str]:
    """The flags that say what was chosen for the one file."""
    [own] = at.session_state["mobiscope.bring.choices"].files.values()
    pairs = [f"{column}={field}" for field, column in own.mapping.items()]
    return [*(["--reader", own.reader] if own.reader else []), *(word for pair in pairs for word in ("--map", pair))]


def meanings(state) -> dict[str, str]:
    """What the column `when` of each file was chosen to mean."""
    files = state["mobiscope.bring.choices"].files
    return {name: field for name, own in files.items() for field, column in own.mapping.items() if column == "when"}


def open_with(open_page, home: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("MOBISCOPE_HOME", str(home))
    return open_page("city")


class TestLooking:
    def test_a_city_says_how_many_people_visits_and_places_it_holds(self, open_page, city_home, monkeypatch, tiny_city) -> None:
        at = open_with(open_page, city_home, monkeypatch)
        assert_healthy(at)
        said = words(at)
        assert f"{tiny_city.table('visits')['user_id'].nunique()} people" in said
        assert f"{len(tiny_city.table('visits')):,} visits" in said
        assert f"{len(tiny_city.table('locations'))} places" in said

    @pytest.mark.parametrize("detail", ["tables", "export", "delete", "card"])
    def test_every_detail_below_the_map_opens(self, open_page, city_home, monkeypatch, detail: str) -> None:
        at = open_with(open_page, city_home, monkeypatch)
        at.session_state["city.below"] = detail
        at.run()
        assert_healthy(at)

    def test_the_tables_are_shown_with_their_number_of_rows(self, open_page, city_home, monkeypatch, tiny_city) -> None:
        at = open_with(open_page, city_home, monkeypatch)
        at.session_state["city.below"] = "tables"
        at.run()
        chosen = next(box for box in at.selectbox if box.label == "Table")
        assert f"visits ({len(tiny_city.table('visits')):,} rows)" in chosen.options

    def test_a_name_with_markup_is_shown_as_it_is(self, open_page, own_home, tiny_city: City) -> None:
        tiny_city.replace(name="**Bold** $x^2$ :material/home: <b>").save(own_home / "cities" / "strange")
        at = open_page("city")
        assert_healthy(at)
        said = words(at)
        assert "**Bold**" not in said and "<b>" not in said and ":material/home:" not in said
        assert "\\*\\*Bold\\*\\* \\$x\\^2\\$" in said

    def test_a_city_is_deleted_only_after_a_second_thought(self, open_page, own_copy, city_home) -> None:
        home = own_copy(city_home)
        at = open_page("city")
        at.session_state["city.below"] = "delete"
        at.run()
        assert button(at, "Delete this city").disabled
        next(box for box in at.checkbox if box.label == "I have what I need of it").check().run()
        button(at, "Delete this city").click().run()
        assert_healthy(at)
        assert not list((home / "cities").iterdir())
        assert at.title[0].value == "Where would you like to look?"

    def test_nothing_of_a_deleted_city_is_left(self, open_page, own_copy, trained_home, tiny_city: City) -> None:
        """Tables, runs with predictions and checkpoints, cached vectors, logs, saved views with what was selected and edited: gone;
        the canary is in no file that stays. A view of another city stays."""
        home = own_copy(trained_home)
        canary = str(tiny_city.table("locations")["name"].iloc[0])
        assert list((home / "runs").rglob("*.parquet"))
        edits = {"city": "aldhaven", "edits": [ClosePlace(location_id="p1", note=canary).model_dump(mode="json")]}
        views = {
            "0000000a": {"linked": {"city": "aldhaven", "user": canary, "step": "3"}},
            "0000000b": {"linked": {"city": "elsewhere"}, "what_if": edits, "name": "night"},
            "0000000c": {"linked": {"city": "elsewhere"}},
        }
        for name, view in views.items():
            store.write_json(home / "views" / f"{name}.json", view)
        at = open_page("city")
        at.session_state["city.below"] = "delete"
        at.run()
        next(box for box in at.checkbox if box.label == "I have what I need of it").check().run()
        button(at, "Delete this city").click().run()
        assert_healthy(at)
        left = [path for path in home.rglob("*") if path.is_file()]
        assert not [path for path in left if path.suffix in (".parquet", ".npy", ".npz", ".safetensors", ".pt")]
        assert not [path for path in left if canary.encode() in path.read_bytes()]
        assert [path.stem for path in (home / "views").glob("*.json")] == ["0000000c"]


class TestBringing:
    def test_without_files_it_says_what_can_be_read(self, open_page) -> None:
        at = open_page("city")
        assert_healthy(at)
        assert "What is recognised" in words(at)

    def test_a_table_is_read_as_chosen_its_columns_mapped_and_made_a_city(self, open_page, checkins: Path) -> None:
        """Nobody knows that `when` is a time: reading is refused in a sentence until its meaning is chosen. Then the unknown column
        is left out, Null Island is counted as dropped, and the zone follows from the coordinates."""
        at = open_page("city")
        at.multiselect(key="bring.named").select(CHECKINS).run()
        assert_healthy(at)
        read_as = next(box for box in at.selectbox if box.label == "Read as")
        read_as.select(next(option for option in read_as.options if option.startswith("Check-ins"))).run()
        assert_healthy(at)
        assert "No column was found for `started_at`" in words(at)
        assert button(at, "Make the city").disabled
        set_meaning(at, column="when", meaning="started_at")
        assert_healthy(at)
        assert "to mend" not in words(at)
        zone = next(box for box in at.selectbox if box.label == "Time zone of the city")
        assert zone.value == "Europe/Berlin"
        at.text_input(key="bring.name").set_value("Berlin, small").run()
        button(at, "Make the city").click().run()
        assert_healthy(at)
        made = list_cities()
        assert [info.name for info in made] == ["Berlin, small"]
        card = made[0].data_card.files[0]
        assert (card.rows_in, card.rows_kept) == (40, 39)
        assert at.title[0].value == "What is in this city?"
        assert "1 of 40 rows read were dropped" in words(at)

    def test_the_command_shown_makes_the_same_city(self, open_page, checkins: Path) -> None:
        """One file in a folder of its own, one column taken out: its path and a recipe, which the engine reads back."""
        (checkins / "sub").mkdir()
        (checkins / CHECKINS).rename(checkins / "sub" / "extra.csv")
        at = open_page("city")
        at.multiselect(key="bring.named").select("sub/extra.csv").run()
        set_meaning(at, column="when", meaning="started_at")
        [shown] = [item.value for item in at.code if item.value.startswith("mobiscope ingest")]
        assert shlex.split(shown)[2:] == [str(checkins / "sub" / "extra.csv"), "--name", "NAME", *flags_of(at)]
        set_meaning(at, column="place", meaning="not used")
        [shown] = [item.value for item in at.code if item.value.startswith("mobiscope ingest")]
        assert shlex.split(shown)[-2:] == ["--recipe", "name-recipe.yaml"]
        assert "Download the recipe into the folder" in words(at)

    def test_a_name_that_is_taken_says_which_runs_would_be_lost(self, open_page, own_copy, trained_home, checkins: Path) -> None:
        own_copy(trained_home)
        at = open_page("city")
        button(at, "Bring your data").click().run()
        at.multiselect(key="bring.named").select(CHECKINS).run()
        at.text_input(key="bring.name").set_value("ALDHAVEN").run()
        assert_healthy(at)
        warned = " ".join(item.value for item in at.warning)
        assert "can no longer be opened" in warned and "first" in warned and "second" in warned

    def test_the_likely_zone_can_be_chosen_where_other_clocks_are_near(self, open_page, checkins: Path) -> None:
        """Tui in Spain: Portugal begins across the river. The guess is said, not filled in, so that it can be confirmed."""
        brought = pd.read_csv(checkins / CHECKINS).rename(columns={"when": "time"})
        brought.loc[brought["lat"] > 0, ["lat", "lon"]] = [42.05, -8.64]
        brought.to_csv(checkins / CHECKINS, index=False)
        at = open_page("city")
        at.multiselect(key="bring.named").select(CHECKINS).run()
        zone = next(box for box in at.selectbox if box.label == "Time zone of the city")
        assert zone.value is None
        assert "likely, but other clocks are near" in words(at)
        assert "the place leaves it open" in words(at)
        zone.select("Europe/Madrid").run()
        assert_healthy(at)
        assert "to mend" not in words(at)
        assert next(box for box in at.selectbox if box.label == "Time zone of the city").value == "Europe/Madrid"

    def test_a_column_can_be_taken_out_again(self, open_page, checkins: Path) -> None:
        at = open_page("city")
        at.multiselect(key="bring.named").select(CHECKINS).run()
        set_meaning(at, column="place", meaning="not used")
        assert_healthy(at)
        assert "to mend" in words(at), "a table of places needs to say which place a row is about"

    def test_a_file_that_is_taken_away_takes_its_choices_with_it(self, open_page, checkins: Path) -> None:
        """Of three files with choices one of two namesakes goes: the other keeps its own under the name that is now free."""
        (checkins / "sub").mkdir()
        content = (checkins / CHECKINS).read_text()
        for name in ("one.csv", "sub/one.csv", "two.csv"):
            (checkins / name).write_text(content.replace("mood", "second") if name == "sub/one.csv" else content)
        (checkins / CHECKINS).unlink()
        at = open_page("city")
        at.multiselect(key="bring.named").set_value(["one.csv", "sub/one.csv", "two.csv"]).run()
        for file, meaning in (("one.csv", "finished_at"), ("one.csv (2)", "started_at"), ("two.csv", "started_at")):
            at.segmented_control(key="bring.file.3").set_value(file).run()
            set_meaning(at, column="when", meaning=meaning)
        assert meanings(at.session_state) == {"one.csv": "finished_at", "one.csv (2)": "started_at", "two.csv": "started_at"}
        at.multiselect(key="bring.named").set_value(["sub/one.csv", "two.csv"]).run()
        assert_healthy(at)
        assert meanings(at.session_state) == {"one.csv": "started_at", "two.csv": "started_at"}
        editor = at.data_editor[0].value.set_index("column")["meaning"]
        assert editor["when"] == "started_at" and "second" in editor.index
        assert "to mend" not in words(at)
        at.multiselect(key="bring.named").set_value(["two.csv"]).run()
        assert_healthy(at)
        assert meanings(at.session_state) == {"two.csv": "started_at"}
        assert "to mend" not in words(at)
        at.multiselect(key="bring.named").set_value([]).run()
        assert not [kept for kept in ("names", "choices", "columns", "found") if f"mobiscope.bring.{kept}" in at.session_state]

    def test_a_file_that_is_no_table_is_refused_without_a_trace(self, open_page, own_home) -> None:
        (own_home / "data").mkdir()
        (own_home / "data" / "noise.csv").write_bytes(bytes(range(256)) * 40)
        at = open_page("city")
        at.multiselect(key="bring.named").select("noise.csv").run()
        assert_healthy(at)
        assert button(at, "Make the city").disabled

    def test_a_file_whose_encoding_cannot_be_told_is_given_one_or_left_out(self, open_page, checkins: Path) -> None:
        content = (checkins / CHECKINS).read_bytes().replace(b"when", b"time").replace(b"fine", b"Caf\xe9")
        with zipfile.ZipFile(checkins / "both.zip", "w") as archive:
            archive.writestr("plain.csv", content)
            archive.writestr("odd.csv", content.replace(b"Caf\xe9", b"B\x81r", 1))
        at = open_page("city")
        at.multiselect(key="bring.named").select("both.zip").run()
        at.segmented_control(key="bring.file.2").set_value("both.zip/odd.csv").run()
        assert "Choose another encoding" in words(at)
        at.text_input(key="bring.encoding.both.zip/odd.csv").set_value("latin-1").run()
        assert_healthy(at)
        assert "to mend" not in words(at)
        at = open_page("city")
        at.multiselect(key="bring.named").select("both.zip").run()
        at.segmented_control(key="bring.file.2").set_value("both.zip/odd.csv").run()
        read_as = next(box for box in at.selectbox if box.label == "Read as")
        assert read_as.value is None
        read_as.select("Leave this file out").run()
        assert_healthy(at)
        assert "to mend" not in words(at)

    def test_the_choices_are_left_when_one_goes_back(self, open_page, own_copy, city_home) -> None:
        own_copy(city_home)
        at = open_page("city")
        button(at, "Bring your data").click().run()
        assert at.title[0].value == "What did you bring?"
        button(at, "Back to the city").click().run()
        assert at.title[0].value == "What is in this city?"
        assert_healthy(go(at, "home"))


@pytest.mark.parametrize("format", ["geoparquet", "csv", "geojson", "libcity"])
def test_a_city_leaves_in_every_format_as_one_archive(tiny_city: City, format: str) -> None:
    from dashboard.views.city_card import FORMATS, exported

    assert format in FORMATS
    with zipfile.ZipFile(io.BytesIO(exported(tiny_city, format))) as archive:
        assert archive.testzip() is None
        assert len(archive.namelist()) > 1
        assert all(not name.startswith(("/", "..")) for name in archive.namelist())
