import io
import zipfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from engine.city.readers.base import FileChoices, ReadContext
from engine.city.readers.sniff import sniff
from engine.city.readers.street_views import StreetViewReader
from engine.city.schema import check_table
from engine.errors import IngestError

READER = StreetViewReader()


def photo(colour=(200, 30, 30), size=(32, 24), kind="JPEG", **options):
    buffer = io.BytesIO()
    Image.new("RGB", size, colour).save(buffer, kind, **options)
    return buffer.getvalue()


@pytest.fixture
def views(tmp_path):
    """Zips members and reads the archive; options and mappings are passed on."""

    def read_views(members, mapping=None, limit=None, **options):
        path = tmp_path / "views.zip"
        with zipfile.ZipFile(path, "w") as archive:
            for name, content in members.items():
                archive.writestr(name, content)
        file = sniff(path, "views.zip", tmp_path)
        assert READER.recognise(file) >= 0.5
        context = ReadContext(tmp_path, limit_rows=limit)
        result = READER.read(file, FileChoices(mapping=mapping or {}, options=options), context)
        check_table("street_views", result.tables["street_views"])
        assert set(result.tables["street_views"]["path"]) == set(result.media)
        return result

    return read_views


def refusal(views, members, **options):
    with pytest.raises(IngestError) as refused:
        views(members, **options)
    return {problem.code: problem for problem in refused.value.problems if problem.fatal}


def dropped(result):
    return {rule.reason: rule.rows for rule in result.cards[0].dropped}


def table(*rows, header="uuid,lat,lon,heading"):
    return "\n".join([header, *rows]) + "\n"


def test_images_are_matched_by_the_name_without_folder_and_ending(views):
    result = views(
        {
            "images.csv": table("a,52.5,13.4,370", "b,52.6,13.5,"),
            "images/a.jpg": photo(),
            "images/B.PNG": photo((0, 0, 250), kind="PNG"),
        }
    )
    frame = result.tables["street_views"]
    assert [(shape.x, shape.y) for shape in frame.geometry] == [(13.4, 52.5), (13.5, 52.6)]
    assert frame["heading"].tolist()[0] == 10 and np.isnan(frame["heading"][1])
    blue = np.asarray(Image.open(io.BytesIO(result.media[frame["path"][1]])))[5, 5]
    assert blue[2] > 200 > 60 > blue[0]
    assert all(path.startswith("media/street_views/") and path.endswith(".jpg") for path in result.media)


def test_rows_without_image_and_images_without_row_are_counted_both_ways(views):
    result = views(
        {"t.csv": table("a,1,2,", "gone,1,2,", "lost,1,2,"), "a.jpg": photo(), "extra.jpg": photo(), "more.png": photo()}
    )
    assert dropped(result) == {"IMAGE_MISSING": 2}
    warning = next(problem for problem in result.problems if problem.code == "IMAGE_WITHOUT_ROW")
    assert warning.rows == 2 and "extra.jpg" in warning.found and not warning.fatal


def test_damaged_and_refused_images_are_counted_and_the_rest_is_kept(views):
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 255, (60, 60, 3), dtype=np.uint8))
    buffer = io.BytesIO()
    noise.save(buffer, "JPEG")
    whole = buffer.getvalue()
    result = views(
        {
            "t.csv": table("good,1,2,", "cut,1,2,", "drawing,1,2,", "fake,1,2,"),
            "good.jpg": whole,
            "cut.jpg": whole[: len(whole) // 2],
            "drawing.svg": '<svg xmlns="http://www.w3.org/2000/svg"/>',
            "fake.jpg": "<OGRVRTDataSource/>",
        }
    )
    assert dropped(result) == {"IMAGE_DAMAGED": 1, "IMAGE_REFUSED": 2}
    assert len(result.tables["street_views"]) == 1
    assert "drawing.svg: It is an SVG" in str(result.cards[0].dropped)


def test_large_photos_are_shrunk_and_forget_their_metadata(views):
    exif = Image.Exif()
    exif[0x0110] = "Camera-4711"
    result = views({"t.csv": table("a,1,2,"), "a.jpg": photo(size=(2000, 1000), exif=exif)})
    (data,) = result.media.values()
    assert Image.open(io.BytesIO(data)).size == (640, 320)
    assert b"Camera-4711" not in data


def test_positions_that_are_missing_impossible_or_at_null_island_are_counted(views):
    rows = [f"a{i},52.5,13.4," for i in range(40)] + ["n,,13.4,", "z,0,0,", "far,95,13.4,"]
    result = views({"t.csv": table(*rows), **{f"{row.split(',')[0]}.jpg": photo((i, i, i)) for i, row in enumerate(rows)}})
    assert dropped(result) == {"COORDINATES_MISSING": 1, "NULL_ISLAND": 1, "COORDINATES_RANGE": 1}
    assert len(result.tables["street_views"]) == 40


def test_the_table_whose_rows_name_the_images_is_found_among_several(views):
    members = {
        "a_pixels.csv": "uuid,Sky,Road\na,1,2\nb,3,4\n",
        "b_other.csv": "id,lat,lon\nx,1,1\ny,2,2\n",
        "c_views.csv": "source,orig,lat,lon\nM,a,52.5,13.4\nM,b,52.6,13.5\n",
        "README": "two photographs",
        "a.jpg": photo(),
        "b.jpg": photo((1, 2, 3)),
    }
    result = views(members)
    assert len(result.tables["street_views"]) == 2
    assert refusal(views, members, table="b_other.csv")["NOTHING_LEFT"]


def test_two_images_of_one_name_need_their_folder(views):
    result = views({"t.csv": "file,lat,lon\nx/a.jpg,1,2\na,1,2\n", "x/a.jpg": photo(), "y/a.jpg": photo((9, 9, 9))})
    assert dropped(result) == {"IMAGE_MISSING": 1}


def test_an_archive_of_images_without_a_table_says_what_to_add(views):
    assert "filename, lat, lon" in refusal(views, {"a.jpg": photo()})["NO_TABLE"].mend
    assert refusal(views, {"t.csv": "uuid,Sky\na,1\n", "a.jpg": photo()})["NO_TABLE"]


def test_a_mapping_chooses_other_columns(views):
    members = {"t.csv": "uuid,lat,lon,other\nx,1,2,a\n", "a.jpg": photo()}
    assert len(views(members).tables["street_views"]) == 1
    assert refusal(views, members, mapping={"image": "uuid"})["NOTHING_LEFT"]
    assert refusal(views, members, mapping={"image": "nonsense"})["COLUMN_MISSING"]


def test_equal_images_are_stored_once_and_names_from_outside_become_no_paths(views):
    members = {"t.csv": 'file,lat,lon\n"<b>.jpg",1,2\n"$(x).jpg",1,3\n', "<b>.jpg": photo(), "$(x).jpg": photo()}
    result = views(members)
    assert len(result.tables["street_views"]) == 2 and len(result.media) == 1


def test_other_zips_are_left_to_other_readers(tmp_path):
    for members in ({"a.csv": "x"}, {"a.shp": "x", "a.dbf": "x", "a.jpg": "x"}):
        with zipfile.ZipFile(tmp_path / "z.zip", "w") as archive:
            for name, content in members.items():
                archive.writestr(name, content)
        assert READER.recognise(sniff(tmp_path / "z.zip", "z.zip", tmp_path)) == 0


@settings(max_examples=50, deadline=None)
@given(st.binary(max_size=120), st.binary(max_size=120))
def test_any_members_give_a_result_or_a_worded_refusal(tmp_path_factory, rows, image):
    folder = tmp_path_factory.mktemp("any")
    with zipfile.ZipFile(folder / "v.zip", "w") as archive:
        archive.writestr("t.csv", b"file,lat,lon\na,1,2\n" + rows)
        archive.writestr("a.jpg", image)
    try:
        READER.read(sniff(folder / "v.zip", "v.zip", folder), FileChoices(), ReadContext(folder))
    except IngestError as error:
        assert error.problems and all(problem.code and problem.found for problem in error.problems)
