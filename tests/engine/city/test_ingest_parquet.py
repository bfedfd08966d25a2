"""Bad Parquet files (reliability.md §5: 32): missing, nested and wrongly typed columns are named."""

import io
from pathlib import Path

import numpy as np
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
    dropped,
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


def test_32_ids_written_as_numbers_are_whole_and_infinity_is_no_id(tmp_path: Path) -> None:
    frame = typed_golden()
    frame["user_id"] = [float(row % 4) for row in range(40)]
    frame.loc[[3, 4], "user_id"] = [np.inf, np.nan]
    upload = bring(tmp_path, {"x.parquet": parquet(frame)})
    assert dropped(upload) == {"USER_MISSING": 2}
    assert set(city_of(upload).table("visits")["user_id"]) == {"0", "1", "2", "3"}
