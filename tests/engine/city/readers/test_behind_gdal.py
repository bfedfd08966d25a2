"""What goes through GDAL, tested in a process where the guard is in force from the start, as uploads are parsed."""

import json
import os
import re
import subprocess
import sys
import threading
import zipfile
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from engine.city import gdal_guard
from engine.city.ingest import IngestChoices, ingest, inspect
from engine.city.readers.base import FileChoices
from engine.errors import IngestError
from tests.engine.city.readers.geo_files import ROOT, collection, feature, point, run_guarded, write_json

CANARY = "canary-4711"


def test_formats_that_need_gdal():
    environment = os.environ | gdal_guard.ENVIRONMENT
    paths = [f"tests/engine/city/readers/{name}.py" for name in ("gdal_vector", "gdal_geotiff")]
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *paths]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    passed = re.search(r"(\d+) passed", done.stdout)
    assert passed is not None and int(passed[1]) >= 25 and "skipped" not in done.stdout, done.stdout[-2000:]


def test_gdal_is_not_used_where_the_guard_is_not_in_force():
    code = """
        from engine.city import gdal_guard
        from engine.errors import IngestError
        for use in (gdal_guard.import_pyogrio, gdal_guard.import_rasterio):
            try:
                use()
            except IngestError as error:
                print(error.problems[0].code)
        import pyogrio
        try:
            gdal_guard.put_in_force()
        except IngestError as error:
            print(error.problems[0].code)
    """
    assert run_guarded(code, unguarded=True).split() == ["GDAL_UNGUARDED"] * 3


def test_the_guard_put_in_force_first_is_accepted_and_drivers_that_slipped_through_are_not():
    code = """
        import os
        from engine.city import gdal_guard
        gdal_guard.put_in_force()
        print(sorted(gdal_guard.import_pyogrio().list_drivers()))
        gdal_guard._FORBIDDEN_DRIVERS += ("GPKG",)
        try:
            gdal_guard.import_pyogrio()
        except gdal_guard.IngestError as error:
            print(error)
    """
    shown = run_guarded(code, unguarded=True)
    assert "['ESRI Shapefile', 'GPKG', 'MEM']" in shown and "GPKG can still be opened" in shown


def test_the_guard_stops_what_gdal_alone_would_follow(tmp_path, server):
    """The attack is real where the guard is absent, and fails where it is present; our own checks before GDAL play no part here."""
    address, calls = server
    secret = tmp_path / "private.csv"
    secret.write_text(f"name,x,y\n{CANARY},1,1\n")
    for name, source in (("local", secret), ("remote", f"/vsicurl/{address}/private.csv")):
        (tmp_path / f"{name}.geojson").write_text(
            f'<OGRVRTDataSource><OGRVRTLayer name="private"><SrcDataSource>{source}</SrcDataSource></OGRVRTLayer></OGRVRTDataSource>'
        )
    code = """
        import sys, pyogrio
        for path in sys.argv[1:]:
            try:
                print(pyogrio.raw.read(path))
            except Exception as error:
                print("refused")
    """
    paths = [tmp_path / "local.geojson", tmp_path / "remote.geojson"]
    assert CANARY in run_guarded(code, *paths, unguarded=True)
    assert calls, "without the guard GDAL calls the address"
    calls.clear()
    assert run_guarded(code, *paths).split() == ["refused", "refused"]
    assert calls == []


# ---- item 35 and 36: files that name other files or addresses -------------------------------------------------------------


@pytest.fixture
def server():
    """An address on this machine that counts who calls."""
    calls = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            calls.append(self.path)
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"name,x,y\ncanary-4711,1,1\n")

        do_HEAD = do_GET

        def log_message(self, *args):
            pass

    listening = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=listening.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{listening.server_port}/latest/meta-data", calls
    listening.shutdown()
    listening.server_close()


def attacks(secret, address):
    def vrt(source):
        return (
            f'<OGRVRTDataSource><OGRVRTLayer name="a"><SrcDataSource>{source}</SrcDataSource><SrcLayer>private</SrcLayer>'
            '<GeometryType>wkbPoint</GeometryType><GeometryField encoding="PointFromColumns" x="x" y="y"/></OGRVRTLayer></OGRVRTDataSource>'
        ).encode()

    raster = (
        '<VRTDataset rasterXSize="2" rasterYSize="2"><SRS>EPSG:4326</SRS><GeoTransform>0,1,0,2,0,-1</GeoTransform>'
        f'<VRTRasterBand dataType="Byte" band="1"><SimpleSource><SourceFilename>{secret}</SourceFilename><SourceBand>1</SourceBand>'
        "</SimpleSource></VRTRasterBand></VRTDataset>"
    ).encode()
    gdalg = json.dumps(
        {"type": "gdal_streamed_alg", "command_line": f"gdal vector pipeline ! read {secret} ! write", "relative_paths": False}
    )
    service = f"<OGRWFSDataSource><URL>{address}</URL></OGRWFSDataSource>".encode()
    contents = {
        "vrt of a file": vrt(secret),
        "vrt of an address": vrt(f"/vsicurl/{address}"),
        "vrt of a server": vrt(address),
        "raster vrt": raster,
        "gdalg": gdalg.encode(),
        "wfs": service,
        "pointer": b"MEM:::DATAPOINTER=1,PIXELS=2,LINES=2",
        "address": f"/vsicurl/{address}".encode(),
    }
    for what, content in contents.items():
        for ending in ("geojson", "gpkg", "csv", "tif", "zip"):
            yield what, f"layer.{ending}", content


def test_files_that_point_elsewhere_are_refused_in_every_disguise(tmp_path, server):
    address, calls = server
    secret = tmp_path / "secret" / "private.csv"
    secret.parent.mkdir()
    secret.write_text(f"name,x,y\n{CANARY},1,1\n")
    paths, forced = [], {}
    for number, (_, name, content) in enumerate(attacks(secret, address)):
        folder = tmp_path / str(number)
        folder.mkdir()
        (folder / f"{number}-{name}").write_bytes(content)
        paths.append(folder / f"{number}-{name}")
        zipped = folder / f"{number}-{name}.zip"
        with zipfile.ZipFile(zipped, "w") as archive:
            for part in ("shp", "shx", "dbf", "prj"):
                archive.writestr(f"layer.{part}", content)
        paths.append(zipped)
    seen = inspect(paths)
    assert CANARY not in seen.model_dump_json() + seen.preview.to_csv()
    for reader in ("vector", "geotiff"):
        forced = {path.name: FileChoices(reader=reader) for path in paths}
        with pytest.raises(IngestError) as refused:
            ingest(paths, "Attack", IngestChoices(files=forced))
        assert CANARY not in str(refused.value)
        codes = {problem.code for problem in refused.value.problems if problem.fatal}
        assert codes <= {"DRIVER", "FORMAT", "DAMAGED_PARQUET", "DAMAGED_ARCHIVE", "EMPTY"} and "DRIVER" in codes
    assert calls == []


def test_addresses_inside_good_files_are_never_followed(tmp_path, server):
    address, calls = server
    link = {"type": "link", "properties": {"href": address, "type": "proj4"}}
    write_json(tmp_path / "a.geojson", collection(feature(point(13.4, 52.5)), crs=link))
    with pytest.raises(IngestError, match="coordinate reference system"):
        ingest([tmp_path / "a.geojson"], "A", IngestChoices(time_zone="UTC"))
    assert calls == []


@pytest.mark.parametrize("name", ["/vsicurl/http://127.0.0.1:1/x.geojson", "http://127.0.0.1:1/x.tif", "MEM:::DATAPOINTER=1"])
def test_names_that_are_addresses_are_only_files_that_do_not_exist(name):
    with pytest.raises(IngestError) as refused:
        ingest([name], "Address")
    assert all(problem.fatal for problem in refused.value.problems)


def test_names_of_files_stay_names(tmp_path):
    """Item 53: whatever a file is called, it is shown as text and nothing is written under that name."""
    names = [
        "CON.geojson",
        "\u202enosjoeg.geojson",
        "🗺.geojson",
        "<script>.geojson",
        "a" * 200 + ".geojson",
        "$(id)",
        "{0}.geojson",
    ]
    for number, name in enumerate(names):
        write_json(
            tmp_path / name, collection(feature(point(13.4, 52.5), id=f"a{number}"), feature(point(13.41, 52.5), id=f"b{number}"))
        )
    city = ingest([tmp_path / name for name in names], "Named", IngestChoices(time_zone="UTC"))
    shown = [card.file for card in city.info.data_card.files]
    assert len(set(shown)) == len(names) and "🗺.geojson" in shown
    assert not any(mark in name for name in shown for mark in "\u202e/\\<>")
    assert {written.name for written in city.folder.rglob("*") if written.is_file()} == {"city.json", "pois.parquet"}
