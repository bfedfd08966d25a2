"""What docs/file-formats-geo.md says is what the readers do: every field, option and code is on it."""

import re

import pytest

from engine.city.readers import READERS
from tests.engine.city.readers.geo_files import ROOT

PAGE = (ROOT / "docs" / "file-formats-geo.md").read_text(encoding="utf-8")
SOURCES = [
    *(
        f"engine/city/readers/{name}.py"
        for name in ("vector", "layers", "geometry", "flows", "weather", "street_views", "geotiff", "frames", "zone_attributes")
    ),
    "engine/city/images.py",
    "engine/city/gdal_guard.py",
]


@pytest.mark.parametrize("name", ["vector", "flows", "geotiff", "street_views", "weather", "zone_attributes"])
def test_fields_and_options_are_on_the_page(name):
    reader = READERS[name]
    assert f"`{name}`" in PAGE
    missing = [spec.name for spec in (*reader.fields, *reader.options) if f"`{spec.name}`" not in PAGE]
    assert missing == []


def test_every_code_a_map_reader_can_answer_is_on_the_page():
    codes = set()
    for source in SOURCES:
        text = (ROOT / source).read_text(encoding="utf-8")
        codes |= set(
            re.findall(
                r'(?:Problem|refuse|_refuse|warn|drop|_drop_rows)\([^"()]*(?:\([^()]*\)[^"()]*)?"([A-Z][A-Z_0-9]{2,})"', text
            )
        )
        codes |= set(re.findall(r'"([A-Z][A-Z_0-9]{3,})" if ', text)) | set(re.findall(r'reason="([A-Z_]+)"', text))
    assert {"CRS_MISSING", "NULL_GEOMETRY", "OUT_OF_RANGE", "CELL_UNKNOWN", "UNIT_MISSING", "DRIVER", "IMAGE_SVG"} <= codes
    assert sorted(code for code in codes if f"`{code}`" not in PAGE) == []
