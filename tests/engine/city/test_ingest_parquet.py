"""Bad Parquet files (reliability.md §5: 32): missing, nested and wrongly typed columns are named."""

import io
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.engine.city.upload_files import (
    GOLDEN,
    HEADER,
    bring,
    choose,
    city_of,
    fatal,
    table,
)


def parquet(frame: pd.DataFrame | pa.Table) -> bytes:
    sink = io.BytesIO()
    pq.write_table(pa.Table.from_pandas(frame) if isinstance(frame, pd.DataFrame) else frame, sink)
    return sink.getvalue()


def typed_golden() -> pd.DataFrame:
    frame = pd.DataFrame(GOLDEN, columns=HEADER)
    return frame.astype({"latitude": float, "longitude": float}).assign(time=pd.to_datetime(frame["time"]))


def test_32_a_parquet_file_is_read_like_its_csv(tmp_path: Path) -> None:
    first = city_of(bring(tmp_path, {"x.csv": table(GOLDEN)}))
    assert city_of(bring(tmp_path, {"x.parquet": parquet(typed_golden())})).fingerprint == first.fingerprint


def test_32_a_missing_column_is_named(tmp_path: Path) -> None:
    upload = bring(tmp_path, {"x.parquet": parquet(typed_golden().rename(columns={"user_id": "wer"}))}, choose(reader="checkins"))
    assert "`user_id`" in fatal(upload)["FIELD_MISSING"].found


@pytest.mark.parametrize("column", ["location_id", "latitude", "time"])
def test_32_a_nested_column_is_named(tmp_path: Path, column: str) -> None:
    frame = typed_golden()
    frame[column] = [[str(value)] for value in frame[column]]
    assert fatal(bring(tmp_path, {"x.parquet": parquet(frame)}, choose(reader="checkins")))["COLUMN_TYPE"].column == column


def test_32_a_column_of_the_wrong_type_is_named(tmp_path: Path) -> None:
    frame = typed_golden().assign(time=True)
    assert fatal(bring(tmp_path, {"x.parquet": parquet(frame)}, choose(reader="checkins")))["COLUMN_TYPE"].column == "time"


def test_32_a_parquet_file_cut_short_is_refused(tmp_path: Path) -> None:
    assert "DAMAGED_PARQUET" in fatal(bring(tmp_path, {"x.parquet": parquet(typed_golden())[:-20]}))
