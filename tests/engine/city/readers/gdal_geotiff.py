"""Run by test_behind_gdal.py in a process where the GDAL guard is in force from the start."""

import io
import sys

import numpy as np
import pandas as pd
import pytest
import rasterio
import shapely
from PIL import Image
from rasterio.transform import Affine, from_bounds

from engine.city.readers.base import FileChoices, ReadContext
from engine.city.readers.geotiff import GeoTiffReader
from engine.city.schema import WGS84, check_table
from engine.errors import IngestError
from tests.engine.city.readers.geo_files import dropped, read, sniffed

READER = GeoTiffReader()
UTM = "EPSG:32633"
WEST, NORTH = 390_000.0, 5_820_000.0  # Berlin; multiples of 500 m


def write(path, bands, *, crs=UTM, transform=None, metres=10.0, nodata=None, colours=None, palette=None):
    """bands: (band, row, column)."""
    bands = np.asarray(bands)
    transform = transform if transform is not None else Affine(metres, 0, WEST, 0, -metres, NORTH)
    profile = {"driver": "GTiff", "count": len(bands), "height": bands.shape[1], "width": bands.shape[2], "dtype": bands.dtype}
    with rasterio.open(path, "w", **profile, crs=crs, transform=transform, nodata=nodata) as raster:
        raster.write(bands)
        if colours:
            raster.colorinterp = [rasterio.enums.ColorInterp[name] for name in colours]
        if palette:
            raster.write_colormap(1, palette)
    return path


def quarters(dtype=np.uint8, scale=1):
    """1 km x 1 km at 10 m: north-west red, north-east green, south-west blue, south-east white."""
    picture = np.zeros((3, 100, 100), dtype=dtype)
    picture[0, :50, :50] = picture[1, :50, 50:] = picture[2, 50:, :50] = 250 * scale
    picture[:, 50:, 50:] = 250 * scale
    return picture


COLOURS = {"r000c000": (250, 0, 0), "r000c001": (0, 250, 0), "r001c000": (0, 0, 250), "r001c001": (250, 250, 250)}


def tiles(result):
    pictures = {}
    for row in result.tables["imagery"].itertuples():
        assert row.path in result.media and row.path.startswith("media/")
        pictures[row.subject_id] = np.asarray(Image.open(io.BytesIO(result.media[row.path])))
    return pictures


def middles(result):
    return {name: picture[picture.shape[0] // 2, picture.shape[1] // 2].astype(int) for name, picture in tiles(result).items()}


def four(result, within=8):
    found = {name: colour for name, colour in middles(result).items() if name in COLOURS}
    assert found.keys() == COLOURS.keys()
    for name, colour in COLOURS.items():
        assert np.abs(found[name] - colour).max() <= within, name


def refusal(path, folder, **options):
    with pytest.raises(IngestError) as refused:
        read(READER, path, folder, **options)
    return [problem.code for problem in refused.value.problems if problem.fatal]


def test_each_cell_gets_its_own_part_of_the_image(tmp_path):
    path = write(tmp_path / "a.tif", quarters())
    assert READER.recognise(sniffed(path)) == 0.9
    result = read(READER, path, tmp_path / "scratch", tile_px=32)
    four(result)
    assert {picture.shape for picture in tiles(result).values()} == {(32, 32, 3)}
    assert result.tables["imagery"]["modality"].unique().tolist() == ["satellite"]
    assert "square cells were laid over it" in result.assumptions[0]


def test_cells_that_came_with_the_upload_are_used_and_those_outside_are_counted(tmp_path):
    whole = read(READER, write(tmp_path / "a.tif", quarters()), tmp_path / "scratch")
    cells = whole.tables["cells"]
    far = cells.copy()
    far["cell_id"] = "far-" + far["cell_id"]
    far["geometry"] = [shapely.transform(shape, lambda xy: xy + 1) for shape in far.geometry]
    both = pd.concat([cells, far], ignore_index=True)
    context = ReadContext(tmp_path / "scratch", tables={"cells": both})
    result = READER.read(sniffed(tmp_path / "a.tif"), FileChoices(), context)
    four(result)
    assert "cells" not in result.tables
    assert dropped(result) == {"OUTSIDE_IMAGE": len(cells)}


def test_sixteen_bits_are_scaled_by_percentiles_and_it_is_said(tmp_path):
    result = read(READER, write(tmp_path / "a.tif", quarters(np.uint16, 40)), tmp_path / "scratch")
    # 10,000 becomes white: 255 instead of 250.
    four(result, within=12)
    assert any("0 is black and 10000 is white" in sentence for sentence in result.cards[0].repairs)


def test_south_up_and_rotated_rasters_come_out_north_up(tmp_path):
    upside_down = write(tmp_path / "s.tif", quarters()[:, ::-1], transform=Affine(10, 0, WEST, 0, 10, NORTH - 1000))
    four(read(READER, upside_down, tmp_path / "scratch"))
    turned = Affine(0, 10, WEST, 10, 0, NORTH - 1000)  # columns run north, rows run east
    rotated = write(tmp_path / "r.tif", quarters()[:, ::-1].transpose(0, 2, 1), transform=turned)
    four(read(READER, rotated, tmp_path / "scratch"))


def test_degrees_are_reprojected(tmp_path):
    path = write(tmp_path / "d.tif", quarters(), crs=WGS84, transform=from_bounds(13.0, 52.0, 13.02, 52.02, 100, 100))
    result = read(READER, path, tmp_path / "scratch")
    check_table("cells", result.tables["cells"])
    assert result.tables["cells"].total_bounds == pytest.approx([13, 52, 13.02, 52.02], abs=0.01)


def test_one_band_is_grey_thirteen_are_sentinel_and_bands_can_be_chosen(tmp_path):
    grey = np.full((1, 50, 50), 90, np.uint8)
    assert middles(read(READER, write(tmp_path / "g.tif", grey), tmp_path / "scratch"))["r000c000"] == pytest.approx(
        [90] * 3, abs=2
    )
    many = np.stack([np.full((50, 50), band * 10, np.uint8) for band in range(1, 14)])
    path = write(tmp_path / "m.tif", many)
    assert middles(read(READER, path, tmp_path / "scratch"))["r000c000"] == pytest.approx([40, 30, 20], abs=6)
    assert middles(read(READER, path, tmp_path / "scratch", bands="9,1,5"))["r000c000"] == pytest.approx([90, 10, 50], abs=6)
    assert refusal(path, tmp_path / "scratch", bands="1,2,99") == ["OPTION"]
    assert refusal(path, tmp_path / "scratch", bands="red") == ["OPTION"]


def test_floating_point_heights_are_one_grey_level_per_metre_and_nan_is_no_data(tmp_path):
    heights = np.full((1, 100, 100), 30.0, np.float32)
    heights[:, :50, :50] = np.nan
    heights[:, 50:, 50:] = 120.0
    result = read(READER, write(tmp_path / "h.tif", heights), tmp_path / "scratch")
    assert result.tables["imagery"]["modality"].unique().tolist() == ["height"]
    found = middles(result)
    assert found["r000c001"].tolist() == [30, 30, 30] and found["r001c001"].tolist() == [120, 120, 120]
    assert "r000c000" not in found and dropped(result)["OUTSIDE_IMAGE"] >= 1


def test_nodata_palettes_and_alpha(tmp_path):
    nodata = quarters()
    nodata[:, :50, :50] = 7
    assert "r000c000" not in middles(read(READER, write(tmp_path / "n.tif", nodata, nodata=7), tmp_path / "scratch"))
    indexed = np.zeros((1, 50, 50), np.uint8)
    path = write(tmp_path / "p.tif", indexed, palette={0: (10, 200, 30, 255)})
    assert middles(read(READER, path, tmp_path / "scratch"))["r000c000"] == pytest.approx([10, 200, 30], abs=8)
    clear = np.concatenate([quarters(), np.full((1, 100, 100), 255, np.uint8)])
    clear[3, 50:] = 0
    result = read(READER, write(tmp_path / "a.tif", clear, colours=["red", "green", "blue", "alpha"]), tmp_path / "scratch")
    assert {name for name in middles(result) if name in COLOURS} == {"r000c000", "r000c001"}


def test_a_tiff_without_crs_or_place_is_refused(tmp_path):
    assert refusal(write(tmp_path / "c.tif", quarters(), crs=None), tmp_path / "scratch") == ["CRS_MISSING"]
    four(read(READER, tmp_path / "c.tif", tmp_path / "scratch", crs=UTM))
    with pytest.warns(rasterio.errors.NotGeoreferencedWarning):
        write(tmp_path / "t.tif", quarters(), transform=Affine.identity())
    assert refusal(tmp_path / "t.tif", tmp_path / "scratch") == ["NO_GEOTRANSFORM"]


def test_complex_bands_odd_options_and_far_too_many_cells_are_refused(tmp_path):
    assert refusal(write(tmp_path / "z.tif", quarters().astype(np.complex64)), tmp_path / "scratch") == ["BAND_TYPE"]
    path = write(tmp_path / "a.tif", quarters())
    assert refusal(path, tmp_path / "scratch", tile_px=0) == ["OPTION"]
    assert refusal(path, tmp_path / "scratch", cell_m=1) == ["LIMIT"]


@pytest.mark.parametrize("cut", [0.02, 0.3, 0.7])
def test_a_truncated_tiff_is_refused_with_a_sentence(tmp_path, cut):
    content = write(tmp_path / "a.tif", np.random.default_rng(0).integers(0, 255, (3, 100, 100), dtype=np.uint8)).read_bytes()
    (tmp_path / "cut.tif").write_bytes(content[: int(len(content) * cut)])
    assert refusal(tmp_path / "cut.tif", tmp_path / "scratch") == ["DAMAGED"]


def test_random_bytes_behind_the_magic_are_refused_with_a_sentence(tmp_path):
    rng = np.random.default_rng(0)
    whole = write(tmp_path / "a.tif", quarters()[:, :20, :20]).read_bytes()
    for attempt in range(40):
        content = bytearray(whole if attempt % 2 else b"II*\x00" + rng.bytes(200))
        for place in rng.integers(4, len(content), 8):
            content[place] = rng.integers(0, 256)
        (tmp_path / "x.tif").write_bytes(content)
        try:
            read(READER, tmp_path / "x.tif", tmp_path / "scratch", cell_m=2000)
        except IngestError as error:
            assert error.problems and all(problem.code and problem.found for problem in error.problems)


def test_without_rasterio_the_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "rasterio", None)
    with pytest.raises(IngestError, match=r"pip install mobiscope\[raster\]"):
        read(READER, _plain_tiff(tmp_path), tmp_path / "scratch")


def _plain_tiff(folder):
    buffer = io.BytesIO()
    Image.new("RGB", (4, 4)).save(buffer, "TIFF")
    (folder / "plain.tif").write_bytes(buffer.getvalue())
    return folder / "plain.tif"
