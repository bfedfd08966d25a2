"""Tables about zones: columns join the zones that came with them, and what does not belong is counted or refused."""

import pytest

from engine.city.ingest import IngestChoices, ingest, inspect
from engine.city.readers.base import FileChoices
from engine.errors import IngestError
from tests.engine.city.readers.geo_files import collection, feature, square, write_json

TABLE = "region,poi_food,zoning,puma,remark\n0,3,R,7,{long}\n1,,C,8,\n1,5,C,8,\n9,5,C,8,\n,1,C,8,\n"


@pytest.fixture
def zones(tmp_path):
    rows = [feature(square(13.4 + 0.01 * number, 52.5), region=number, nta=f"N{number}", area=2.5) for number in range(3)]
    path = tmp_path / "zones.geojson"
    write_json(path, collection(*rows))
    return path


def table(tmp_path, text: str = TABLE, name: str = "land.csv"):
    path = tmp_path / name
    path.write_text(text.format(long="x" * 200))
    return path


def test_columns_of_a_map_layer_and_of_a_table_meet_in_the_zones(zones, tmp_path):
    """Zone 2 is in no row of the table and stays; the repeated, the unknown and the nameless row are counted."""
    choices = IngestChoices(files={"land.csv": FileChoices(reader="zone_attributes", mapping={"district": "puma"})})
    city = ingest([table(tmp_path), zones], "Zones", choices)
    cells = city.table("cells").set_index("cell_id")
    assert list(cells.index) == ["0", "1", "2"]
    assert cells["area"].tolist() == [2.5] * 3 and cells["poi_food"].isna().tolist() == [False, True, True]
    assert cells.loc["0", "poi_food"] == 3 and cells["zoning"].tolist()[:2] == ["R", "C"]
    assert cells["district"].tolist()[:2] == ["7", "8"] and "remark" not in cells
    card = next(file for file in city.info.data_card.files if file.recognised_as == "zone_attributes")
    assert (card.rows_in, card.rows_kept) == (5, 2)
    assert {rule.reason: rule.rows for rule in card.dropped} == {"CELL_MISSING": 1, "CELL_UNKNOWN": 1, "DUPLICATE": 1}


def test_a_table_with_one_row_per_zone_is_recognised(zones, tmp_path):
    found = inspect([zones, table(tmp_path, "region,jobs\n0,12\n1,7\n2,9\n")])
    assert next(file for file in found.files if file.file == "land.csv").reader == "zone_attributes" and found.is_ready


def test_tables_of_other_things_are_not_taken_for_it(zones, tmp_path):
    for text in (
        "user_id,zone,time\na,1,2012-04-03\n",
        "zone,hour,value\n1,0,3\n",
        "zone,name\n1,one\n",
        "zone,area\n1,2\n1,3\n",
    ):
        found = inspect([zones, table(tmp_path, text, "other.csv")])
        assert next(file for file in found.files if file.file == "other.csv").reader != "zone_attributes", text


def test_a_table_of_another_zoning_or_without_zones_is_refused(zones, tmp_path):
    with pytest.raises(IngestError) as refused:
        ingest([zones, table(tmp_path, "region,area\nx,1\ny,2\n")], "Other")
    assert [problem.code for problem in refused.value.problems if problem.fatal] == ["OTHER_ZONING"]
    with pytest.raises(IngestError) as alone:
        ingest([table(tmp_path, "region,area\nx,1\ny,2\n")], "Alone")
    assert "NO_CELLS" in [problem.code for problem in alone.value.problems if problem.fatal]
