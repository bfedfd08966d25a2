"""Every table format by a small file of its shape, recognised by content and read into what its documentation says."""

import gzip
import io
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from engine.city.readers.base import FileChoices
from engine.city.recipe import IngestChoices
from engine.errors import ConfigError
from tests.engine.city.upload_files import PLACES, bring, choose, city_of, fatal, golden_rows, table, warnings

GOLDEN = golden_rows()


def tsmc(rows=GOLDEN) -> bytes:
    """The golden table in the shape of TSMC2014: eight columns, latin-1, offset in minutes, Twitter's time."""
    lines = []
    for user, place, latitude, longitude, moment, category in rows:
        stamp = pd.Timestamp(moment).strftime("%a %b %d %H:%M:%S +0000 %Y")
        lines.append("\t".join([user, place, f"cat{place}", category, latitude, longitude, "-240", stamp]))
    return ("\n".join(lines) + "\n").encode("latin-1")


def snap(rows=GOLDEN) -> bytes:
    """The golden table in the shape of SNAP: newest first."""
    return "".join(f"{row[0]}\t{row[4]}\t{row[2]}\t{row[3]}\t{row[1]}\n" for row in reversed(rows)).encode()


def recognised(upload) -> str | None:
    return upload.seen[0].reader


def test_tsmc2014_is_recognised_and_read(tmp_path: Path) -> None:
    """Times are UTC already; the offset is not added; `Café` survives latin-1."""
    upload = bring(tmp_path, {"anything.dat": tsmc()})
    city = city_of(upload)
    assert recognised(upload) == "foursquare"
    assert str(city.table("visits")["started_at"].iloc[0]) == "2012-04-03 08:00:00+00:00"
    assert "Café" in set(city.table("locations")["category"])
    assert "40 offsets agree with America/New_York" in " ".join(city.info.data_card.assumptions)


def test_tsmc2014_tells_when_its_offsets_are_not_those_of_the_place(tmp_path: Path) -> None:
    city = city_of(bring(tmp_path, {"x": tsmc().replace(b"\t-240\t", b"\t540\t")}))
    assert "0 offsets agree with America/New_York" in " ".join(city.info.data_card.assumptions)


def test_tsmc2014_keeps_quotes_in_names(tmp_path: Path) -> None:
    """The format quotes nothing: a lone quote is part of the name."""
    rows = [[*row[:5], 'Joe"s Bar'] for row in GOLDEN]
    assert set(city_of(bring(tmp_path, {"x": tsmc(rows)})).table("locations")["category"]) == {'Joe"s Bar'}


def test_snap_is_recognised_and_sorted(tmp_path: Path) -> None:
    upload = bring(tmp_path, {"loc.txt.gz": gzip.compress(snap())})
    visits = city_of(upload).table("visits")
    assert recognised(upload) == "snap"
    assert visits.groupby("user_id")["started_at"].is_monotonic_increasing.all()
    assert len(visits) == 40


def test_snap_rows_without_a_position_are_counted_out(tmp_path: Path) -> None:
    """Brightkite writes 0.0 and a location of zeros where a phone sent nothing."""
    upload = bring(tmp_path, {"x": snap() + b"u9\t2010-10-17T01:48:53Z\t0.0\t0.0\t00000000000000000000000000000000\n"})
    (card,) = upload.combined.card.files
    assert {rule.reason: rule.rows for rule in card.dropped} == {"NULL_ISLAND": 1}


# ---- visits and venues in two files --------------------------------------------------------------------------------------

VENUES = [[place, *values] for place, values in PLACES.items()]


def test_visits_without_coordinates_find_them_in_the_venues(tmp_path: Path) -> None:
    files = {
        "visits.csv": table([[row[0], row[1], row[4]] for row in GOLDEN], ["user", "venue_id", "checkin_time"]),
        "venues.csv": table(VENUES, ["venueId", "Lat", "Lng", "Venue Category"]),
    }
    city = city_of(bring(tmp_path, files))
    assert (len(city.table("visits")), len(city.table("locations"))) == (40, 4)
    assert set(city.table("locations")["category"]) == {values[2] for values in PLACES.values()}


def test_visits_to_unknown_venues_are_counted_out(tmp_path: Path) -> None:
    """v3 is missing from the venues: its ten visits have no position."""
    files = {
        "visits.csv": table([[row[0], row[1], row[4]] for row in GOLDEN], ["user", "venue_id", "checkin_time"]),
        "venues.csv": table(VENUES[:3], ["venue_id", "lat", "lon", "category"]),
    }
    upload = bring(tmp_path, files)
    lost = sum(row[1] == "v3" for row in GOLDEN)
    assert {rule.reason: rule.rows for rule in upload.combined.card.files[0].dropped} == {"NO_POSITION": lost}
    assert len(city_of(upload).table("visits")) == 40 - lost


def test_visits_without_any_positions_are_refused(tmp_path: Path) -> None:
    upload = bring(tmp_path, {"v.csv": table([[row[0], row[1], row[4]] for row in GOLDEN], ["user", "venue_id", "checkin_time"])})
    assert "Bring the venues table" in fatal(upload)["NO_POSITION"].mend


def test_venues_without_coordinates_add_names_to_positions_from_visits(tmp_path: Path) -> None:
    files = {
        "visits.csv": table(GOLDEN),
        "names.csv": table([[place, f"The {place}"] for place in PLACES], ["location_id", "name"]),
    }
    locations = city_of(bring(tmp_path, files)).table("locations").set_index("location_id")
    assert locations.loc["v0", "name"] == "The v0"
    assert locations.loc["v0", "category"] == "Café"


def test_places_no_visit_refers_to_are_points_of_interest(tmp_path: Path) -> None:
    files = {"visits.csv": table(GOLDEN), "pois.csv": table([["p1", "40.75", "-73.98", "Shop"]], ["id", "lat", "lon", "category"])}
    upload = bring(tmp_path, files)
    assert list(city_of(upload).table("pois")["poi_id"]) == ["p1"]
    assert "NO_OVERLAP" in warnings(upload)


def test_a_venues_table_alone_is_a_city_of_points_of_interest(tmp_path: Path) -> None:
    city = city_of(bring(tmp_path, {"places.csv": table(VENUES, ["venue_id", "lat", "lon", "category"])}))
    assert city.tables == ["pois"]


def test_two_files_of_visits_become_one_table(tmp_path: Path) -> None:
    city = city_of(bring(tmp_path, {"a.csv": table(GOLDEN[:25]), "b.csv": table(GOLDEN[25:])}))
    whole = city_of(bring(tmp_path, {"all.csv": table(GOLDEN)}))
    assert city.fingerprint == whole.fingerprint


def test_ties_keep_the_order_of_the_file(tmp_path: Path) -> None:
    """Three places in the same minute: the file's order is the only one there is."""
    rows = [["u0", place, *PLACES[place][:2], "2012-04-03T08:00:00Z", "x"] for place in ("v2", "v0", "v3")]
    visits = city_of(bring(tmp_path, {"x.csv": table(rows)})).table("visits")
    assert list(visits["location_id"]) == ["v2", "v0", "v3"]


def test_session_split_and_departure_are_read(tmp_path: Path) -> None:
    names = {"train": "training", "valid": "val", "test": "TEST"}
    rows = [
        [*row, f"s{index // 10}", list(names.values())[index % 3], row[4].replace("T", "T")] for index, row in enumerate(GOLDEN)
    ]
    header = ["user_id", "location_id", "lat", "lon", "started_at", "category", "traj_id", "split", "finished_at"]
    visits = city_of(bring(tmp_path, {"x.csv": table(rows, header)})).table("visits")
    assert set(visits["split"]) == {"train", "valid", "test"}
    assert set(visits["session_id"]) == {"s0", "s1", "s2", "s3"}
    assert (visits["finished_at"] == visits["started_at"]).all()


def test_a_table_without_header_is_mapped_by_its_content(tmp_path: Path) -> None:
    upload = bring(tmp_path, {"x.csv": table([[row[0], row[4], row[2], row[3], row[1]] for row in GOLDEN], [])})
    assert upload.seen[0].mapping == {
        "user_id": "column 1",
        "started_at": "column 2",
        "latitude": "column 3",
        "longitude": "column 4",
        "location_id": "column 5",
    }
    assert len(city_of(upload).table("visits")) == 40


def test_names_in_another_language_can_be_mapped_by_hand(tmp_path: Path) -> None:
    """The form, the recipe and `--map` are the same object."""
    content = {"besuche.csv": table(GOLDEN, ["wer", "wo", "breite", "laenge", "wann", "was"])}
    assert "FORMAT" in fatal(bring(tmp_path, content))
    pairs = ["wer=user_id", "wo=location_id", "breite=latitude", "laenge=longitude", "wann=started_at", "was=category"]
    choices = IngestChoices().with_pairs(pairs)
    city = city_of(bring(tmp_path, content, choices))
    assert len(city.table("visits")) == 40
    choices.save(tmp_path / "recipe.yaml")
    assert IngestChoices.load(tmp_path / "recipe.yaml") == choices


@pytest.mark.parametrize(
    "text", ["files: [", "time_zon: x", "files: {a.csv: {maping: {}}}", "time_zone: 2001-13-45", "[" * 100_000]
)
def test_a_broken_recipe_is_refused_in_a_sentence(tmp_path: Path, text: str) -> None:
    (tmp_path / "r.yaml").write_text(text)
    with pytest.raises(ConfigError, match=r"r\.yaml"):
        IngestChoices.load(tmp_path / "r.yaml")


def test_wrong_choices_are_named(tmp_path: Path) -> None:
    unknown_field = IngestChoices(files={"x.csv": FileChoices(mapping={"latitud": "lat"})})
    assert "FIELD" in fatal(bring(tmp_path, {"x.csv": table(GOLDEN)}, unknown_field))
    unknown_column = IngestChoices(files={"x.csv": FileChoices(mapping={"latitude": "lat"})})
    assert "COLUMN_MISSING" in fatal(bring(tmp_path, {"x.csv": table(GOLDEN)}, unknown_column))
    assert "OPTION" in fatal(bring(tmp_path, {"x.csv": table(GOLDEN)}, choose("x.csv", colour="red")))
    assert "READER" in fatal(bring(tmp_path, {"x.csv": table(GOLDEN)}, choose("x.csv", reader="crystal ball")))
    assert "FILE_MISSING" in fatal(bring(tmp_path, {"x.csv": table(GOLDEN)}, choose("y.csv", reader="checkins")))


def test_choices_for_all_files_that_fit_none_are_refused(tmp_path: Path) -> None:
    """A slip on the command line must not pass silently."""
    for slip in (IngestChoices().with_pairs(["time=startedat"]), IngestChoices().with_pairs(["tiem=started_at"])):
        assert "FIELD" in fatal(bring(tmp_path, {"x.csv": table(GOLDEN)}, slip))
    assert "OPTION" in fatal(bring(tmp_path, {"x.csv": table(GOLDEN)}, choose(dayfirst=True)))


def test_choices_for_all_files_reach_those_they_fit(tmp_path: Path) -> None:
    """`when` is a column of the visits only; the venues are not troubled by it."""
    files = {
        "visits.csv": table([[row[0], row[1], row[4]] for row in GOLDEN], ["user", "venue_id", "when"]),
        "venues.csv": table(VENUES, ["venue_id", "lat", "lon", "category"]),
    }
    city = city_of(bring(tmp_path, files, IngestChoices().with_pairs(["when=started_at"], ["day_first=true"])))
    assert (len(city.table("visits")), len(city.table("locations"))) == (40, 4)


@pytest.mark.parametrize("pair", ["no sign", "=field", "column="])
def test_a_pair_that_maps_nothing_is_refused(pair: str) -> None:
    with pytest.raises(ConfigError, match="column=field"):
        IngestChoices().with_pairs([pair])


def as_typed(flags: list[str]) -> IngestChoices:
    """What the command line makes of flags."""
    given = {"--map": [], "--option": [], "--reader": [None], "--time-zone": [None]}
    for flag, word in zip(flags[::2], flags[1::2], strict=True):
        given[flag].append(word)
    typed = IngestChoices().with_pairs(given["--map"], given["--option"], given["--reader"][-1])
    return typed.model_copy(update={"time_zone": given["--time-zone"][-1]})


@pytest.mark.parametrize(
    "own",
    [
        FileChoices(),
        FileChoices(reader="checkins", mapping={"user_id": "a=b", "started_at": "when it was"}),
        FileChoices(
            options={"day_first": True, "days": 31, "unit": "inch", "zone": "yes", "code": "007", "note": ": [", "crs": None}
        ),
    ],
)
def test_flags_say_what_was_chosen_for_the_one_file(own: FileChoices) -> None:
    chosen = IngestChoices(time_zone="Asia/Tokyo", files={"x.csv": own})
    flags = chosen.flags(["x.csv"])
    assert flags is not None
    assert as_typed(flags).of("x.csv") == own
    assert as_typed(flags).time_zone == "Asia/Tokyo"


@pytest.mark.parametrize(
    "files",
    [
        {"x.csv": FileChoices(reader="checkins"), "y.csv": FileChoices(reader="skip")},
        {"x.csv": FileChoices(mapping={"user_id": "uid"})},
    ],
    ids=["each its own", "only one of two"],
)
def test_choices_that_differ_from_file_to_file_need_a_recipe(files: dict[str, FileChoices]) -> None:
    assert IngestChoices(files=files).flags(["x.csv", "y.csv"]) is None


@pytest.mark.parametrize("files", [{"x.zip/a.csv": FileChoices(reader="skip")}, {"x.zip": FileChoices(mapping={"user_id": ""})}])
def test_what_flags_cannot_say_of_one_file_needs_a_recipe(files: dict[str, FileChoices]) -> None:
    """A file inside an archive, and a column that is taken out."""
    assert IngestChoices(files=files).flags(["x.zip"]) is None


def test_choices_follow_the_files_that_stay() -> None:
    """One of two namesakes is gone: the other has its number no more; members of an archive go with it, and `*` stays."""
    first, second, member, everything = (FileChoices(mapping={"user_id": name}) for name in ("a", "b", "c", "d"))
    choices = IngestChoices(
        time_zone="UTC",
        files={"x.zip": first, "x.zip (2)": second, "x.zip (2)/in.csv": member, "x.zip/in.csv": first, "*": everything},
    )
    left = choices.following({"x.zip (2)": "x.zip"})
    assert left == IngestChoices(time_zone="UTC", files={"x.zip": second, "x.zip/in.csv": member, "*": everything})


def test_a_file_can_be_left_out(tmp_path: Path) -> None:
    upload = bring(tmp_path, {"x.csv": table(GOLDEN), "junk": b"\x01\x02\x03" * 50}, choose("junk", reader="skip"))
    assert len(city_of(upload).table("visits")) == 40


# ---- GPS ------------------------------------------------------------------------------------------------------------------


def walk() -> pd.DataFrame:
    """One person in Beijing, a point a minute: an hour at A, half an hour's walk of 3 km, an hour at B, back, an hour at A, away."""
    home, office = (39.98, 116.32), (39.98, 116.355)
    legs = [
        (home, home, 60),
        (home, office, 30),
        (office, office, 60),
        (office, home, 30),
        (home, home, 60),
        (home, (39.9, 116.32), 10),
    ]
    points = [np.linspace(start, end, minutes, endpoint=False) for start, end, minutes in legs]
    clock = pd.date_range("2009-01-05 08:00", periods=sum(leg[2] for leg in legs), freq="min")
    frame = pd.DataFrame(np.concatenate(points), columns=["lat", "lon"])
    return frame.assign(user="001", time=clock)


def plt(frame: pd.DataFrame) -> bytes:
    lines = ["Geolife trajectory", "WGS 84", "Altitude is in Feet", "Reserved 3", "0,2,255,My Track,0,0,2,8421376", "0"]
    lines += [f"{row.lat:.6f},{row.lon:.6f},0,492,39818.3,{row.time:%Y-%m-%d},{row.time:%H:%M:%S}" for row in frame.itertuples()]
    return "\r\n".join(lines).encode()


def test_geolife_zip_becomes_stays_and_locations(tmp_path: Path) -> None:
    """Three stays (home, office, home); home comes twice, so with two stays per location the office is noise."""
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w") as archive:
        archive.writestr("Geolife Trajectories 1.3/Data/007/Trajectory/20090105080000.plt", plt(walk()))
    upload = bring(tmp_path, {"geolife.zip": sink.getvalue()})
    city = city_of(upload)
    visits = city.table("visits")
    assert recognised(upload) == "geolife"
    assert list(visits["user_id"]) == ["007", "007"]
    assert visits["location_id"].nunique() == 1
    assert str(visits["started_at"].iloc[0]) == "2009-01-05 08:00:00+00:00"
    minutes = (visits["finished_at"] - visits["started_at"]).dt.total_seconds() / 60
    assert ((minutes >= 60) & (minutes <= 75)).all()
    (card,) = upload.combined.card.files
    assert card.rows_in == 250
    assert {rule.reason for rule in card.dropped} == {"NO_STAY", "NOISE"}
    assert city.time_zone == "Asia/Shanghai"


def test_plain_gps_points_become_stays_with_chosen_rules(tmp_path: Path) -> None:
    """With one stay per location the office is a location too."""
    frame = walk()
    rows = [[row.user, f"{row.lat:.6f}", f"{row.lon:.6f}", f"{row.time}"] for row in frame.itertuples()]
    content = {"points.csv": table(rows, ["user", "lat", "lon", "utc"])}
    upload = bring(tmp_path, content, choose(least_stays=1))
    visits = city_of(upload).table("visits")
    assert recognised(upload) == "gps"
    assert list(visits["location_id"]) == ["place 0", "place 1", "place 0"]
    assert str(visits["started_at"].iloc[0]) == "2009-01-05 08:00:00+00:00"


def test_points_without_stays_are_refused_with_the_rules_to_change(tmp_path: Path) -> None:
    rows = [["u", f"{39.9 + index / 500:.4f}", "116.3", f"2009-01-05 08:{index:02d}:00"] for index in range(60)]
    problem = fatal(bring(tmp_path, {"p.csv": table(rows, ["user", "lat", "lon", "time"])}))["NO_STAYS"]
    assert "stay_minutes" in problem.mend


# ---- YJMob100K ------------------------------------------------------------------------------------------------------------


def test_yjmob_is_a_virtual_city_of_500_m_cells(tmp_path: Path) -> None:
    """Cells keep their distances in metres; y grows southward, so y=1 is the northernmost row; masked cells are counted out."""
    rows = [
        ["0", "0", "16", "80", "120"],
        ["0", "0", "17", "81", "120"],
        ["0", "1", "16", "80", "121"],
        ["1", "2", "0", "-999", "-999"],
    ]
    upload = bring(tmp_path, {"y.csv": table(rows, ["uid", "d", "t", "x", "y"])})
    city = city_of(upload)
    assert recognised(upload) == "yjmob"
    assert city.info.provenance["virtual"] is True
    assert {rule.reason: rule.rows for rule in upload.combined.card.files[0].dropped} == {"COORDINATES_MISSING": 1}
    places = city.metric("locations").set_index("location_id").geometry
    assert places["x080 y120"].distance(places["x081 y120"]) == pytest.approx(500, abs=0.01)
    assert places["x080 y120"].y - places["x080 y121"].y == pytest.approx(500, abs=0.01)
    assert city.metric("cells").area.iloc[0] == pytest.approx(250_000, rel=1e-5)
    local = city.table("visits")["started_at"].dt.tz_convert(city.time_zone)
    assert [(moment.day_of_week, moment.hour, moment.minute) for moment in local] == [(0, 8, 0), (0, 8, 30), (1, 8, 0)]


def test_yjmob_can_be_cut_to_the_first_people(tmp_path: Path) -> None:
    rows = [[str(person), "0", str(slot), "5", "5"] for person in range(5) for slot in range(4)]
    upload = bring(tmp_path, {"y.csv": table(rows, ["uid", "d", "t", "x", "y"])}, choose(people=2))
    assert city_of(upload).table("visits")["user_id"].nunique() == 2
    assert {rule.reason: rule.rows for rule in upload.combined.card.files[0].dropped} == {"NOT_CHOSEN": 12}


# ---- LibCity --------------------------------------------------------------------------------------------------------------


def test_libcity_trajectories_come_together_from_their_files(tmp_path: Path) -> None:
    geo = [[f"g{index}", "Point", f'"[{values[1]},{values[0]}]"', values[2]] for index, values in enumerate(PLACES.values())]
    dyna = [[str(index), "trajectory", row[4], row[0], row[1].replace("v", "g")] for index, row in enumerate(GOLDEN)]
    files = {
        "x.geo": table(geo, ["geo_id", "type", "coordinates", "venue_category_name"]),
        "x.usr": table([[f"u{index}"] for index in range(4)], ["usr_id"]),
        "x.dyna": table(dyna, ["dyna_id", "type", "time", "entity_id", "location"]),
        "x.rel": table([["0", "geo", "g0", "g1"]], ["rel_id", "type", "origin_id", "destination_id"]),
        "config.json": b'{"geo": {"including_types": ["Point"]}, "usr": {"properties": {}}}',
    }
    upload = bring(tmp_path, files)
    city = city_of(upload)
    assert [seen.reader for seen in upload.seen] == [
        "atomic_geo",
        "atomic_aside",
        "atomic_trajectory",
        "atomic_aside",
        "atomic_aside",
    ]
    assert (len(city.table("visits")), len(city.table("locations"))) == (40, 4)
    assert "Café" in set(city.table("locations")["category"])


def test_libcity_grid_flows_become_an_average_day(tmp_path: Path) -> None:
    """Two days of half-hour steps with 3 and 5 departures: 8 per hour of the average day."""
    square = "[[[0,0],[0.01,0],[0.01,0.01],[0,0.01],[0,0]]]"
    geo = [["0", "Polygon", f'"{square}"', "0", "0"]]
    clock = pd.date_range("2014-01-01", periods=96, freq="30min").strftime("%Y-%m-%dT%H:%M:%SZ")
    grid = [[str(index), "state", moment, "0", "0", str(3 + 2 * (index % 2)), "1"] for index, moment in enumerate(clock)]
    files = {
        "x.geo": table(geo, ["geo_id", "type", "coordinates", "row_id", "column_id"]),
        "x.grid": table(grid, ["dyna_id", "type", "time", "row_id", "column_id", "outflow", "inflow"]),
    }
    city = city_of(bring(tmp_path, files))
    assert list(city.table("cells")["cell_id"]) == list(city.table("outflow")["cell_id"]) == ["0_0"]
    assert set(city.table("outflow").iloc[0, 2:]) == {8.0}
    assert set(city.table("inflow").iloc[0, 2:]) == {2.0}


# ---- how programs write the same table -------------------------------------------------------------------------------------


@pytest.mark.parametrize("end", ["\r\n", "\r", "\n\n", "\n"])
def test_line_ends_and_blank_lines_do_not_matter(tmp_path: Path, end: str) -> None:
    content = table(GOLDEN).replace(b"\n", end.encode()) + b"\n\n"
    assert (
        city_of(bring(tmp_path, {"x.csv": content})).fingerprint == city_of(bring(tmp_path, {"y.csv": table(GOLDEN)})).fingerprint
    )


def test_quoted_headers_and_an_index_column_do_not_matter(tmp_path: Path) -> None:
    """As R and pandas write it: everything quoted, row names under an empty heading."""
    rows = [[f'"{index}"', *(f'"{value}"' for value in row)] for index, row in enumerate(GOLDEN)]
    header = ['""', *(f'"{name}"' for name in ["user_id", "location_id", "latitude", "longitude", "time", "category"])]
    city = city_of(bring(tmp_path, {"x.csv": table(rows, header)}))
    assert city.fingerprint == city_of(bring(tmp_path, {"y.csv": table(GOLDEN)})).fingerprint


def test_blanks_around_values_do_not_make_other_people(tmp_path: Path) -> None:
    rows = [[f" {value} " for value in row] for row in GOLDEN]
    assert set(city_of(bring(tmp_path, {"x.csv": table(rows)})).table("visits")["user_id"]) == {"u0", "u1", "u2", "u3"}
