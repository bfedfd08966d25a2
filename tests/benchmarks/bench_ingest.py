"""How long files take to become a saved city, and how much memory: `python -m tests.benchmarks.bench_ingest [--small | --big]`.

The files are generated: one of the shape of TSMC2014 (230,000 rows, latin-1) and one of the shape of SNAP Gowalla (6.4 million rows).
Times are by the clock from the call of `ingest` to the opened city, the child process and its start included.
"""

import argparse
import os
import platform
import resource
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv

from engine.city.ingest import ingest

PLAIN = pa_csv.WriteOptions(include_header=False, delimiter="\t", quoting_style="none")


def write_tsmc(path: Path, rows: int = 230_000, seed: int = 0) -> None:
    """Check-ins of the shape of `dataset_TSMC2014_NYC.txt`: 1,083 people, 38,333 venues, ten months, latin-1."""
    rng = np.random.default_rng(seed)
    venue = np.minimum(rng.zipf(1.3, rows), 38_333) - 1
    venue = np.where(rng.random(rows) < 0.5, rng.integers(0, 38_333, rows), venue)
    latitude, longitude = 40.55 + rng.random(38_333) * 0.44, -74.27 + rng.random(38_333) * 0.59
    clock = pa.array(rng.integers(1_333_400_000, 1_361_000_000, rows), pa.timestamp("s"))
    names = np.array(["Café", "Bar", "Home (private)", "Office", "Subway", "Park", "Deli / Bodega"])
    columns = {
        "user": pa.array(rng.integers(1, 1084, rows)).cast(pa.string()),
        "venue": pa.array([f"4b{number:022x}" for number in venue]),
        "category_id": pa.array([f"4bf58dd8d48988d1{number % 250:08x}" for number in venue]),
        "category": pa.array(names[venue % len(names)]),
        "latitude": _decimals(latitude[venue], 8),
        "longitude": _decimals(longitude[venue], 8),
        "offset": pa.array(np.full(rows, "-240")),
        "time": pc.strftime(clock, format="%a %b %d %H:%M:%S +0000 %Y"),
    }
    pa_csv.write_csv(pa.table(columns), path, PLAIN)
    path.write_bytes(path.read_text(encoding="utf-8").encode("latin-1"))


def write_gowalla(path: Path, rows: int = 6_400_000, seed: int = 0) -> None:
    """Check-ins of the shape of `loc-gowalla_totalCheckins.txt`: 107,092 people, 1,280,969 locations, newest first per person."""
    rng = np.random.default_rng(seed)
    places = 1_280_969
    user = np.sort(np.minimum((rng.pareto(1.2, rows) * 3000).astype(np.int64), 107_091))
    clock = rng.integers(1_233_700_000, 1_287_900_000, rows)
    order = np.lexsort((-clock, user))
    place = np.where(rng.random(rows) < 0.8, rng.integers(0, places, rows), rng.integers(0, 5000, rows))
    latitude, longitude = 30 + rng.random(places) * 25, -120 + rng.random(places) * 50
    columns = {
        "user": pa.array(user).cast(pa.string()),
        "time": pc.strftime(pa.array(clock[order], pa.timestamp("s")), format="%Y-%m-%dT%H:%M:%SZ"),
        "latitude": _decimals(latitude[place], 10),
        "longitude": _decimals(longitude[place], 10),
        "location": pa.array(place).cast(pa.string()),
    }
    pa_csv.write_csv(pa.table(columns), path, PLAIN)


def measure(name: str, path: Path, rows: int, seconds: float, gigabytes: float) -> bool:
    """Ingests one file, prints what it took against its target, and answers whether it was met."""
    before = _processor_seconds()
    began = time.perf_counter()
    city = ingest([path], f"bench {name}")
    took = time.perf_counter() - began
    work = _processor_seconds() - before
    (card,) = city.info.data_card.files
    assert card.rows_in == rows, f"{card.rows_in:,} rows were read of {rows:,}"
    child, parent = (resource.getrusage(who).ru_maxrss / (1 << 20) for who in (resource.RUSAGE_CHILDREN, resource.RUSAGE_SELF))
    met = took < seconds and child < gigabytes
    print(
        f"{name:8} {path.stat().st_size / 1e6:7,.0f} MB {rows:>9,} rows -> {len(city.table('visits')):>9,} visits, "
        f"{len(city.table('locations')):>9,} locations in {took:6.2f} s (target {seconds:g} s; processor time {work:.2f} s), "
        f"peak {child:.2f} GiB in the child (target {gigabytes:g} GiB), {parent:.2f} GiB here: {'met' if met else 'NOT met'}"
    )
    return met


def main() -> int:
    """Generates, measures, prints; exit code 1 if a target was missed."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--small", action="store_true", help="only the small file")
    parser.add_argument("--big", action="store_true", help="only the big file")
    chosen = parser.parse_args()
    libraries = ", ".join(f"{name} {version(name)}" for name in ("pyarrow", "pandas", "geopandas", "shapely", "numpy"))
    print(
        f"{platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, Python {platform.python_version()}, {libraries}"
    )
    met = []
    with tempfile.TemporaryDirectory() as folder:
        os.environ["MOBISCOPE_HOME"] = str(Path(folder) / "home")
        if not chosen.big:
            write_tsmc(Path(folder) / "tsmc.txt")
            met.append(measure("TSMC2014", Path(folder) / "tsmc.txt", 230_000, 4, 2.5))
        if not chosen.small:
            write_gowalla(Path(folder) / "gowalla.txt")
            met.append(measure("Gowalla", Path(folder) / "gowalla.txt", 6_400_000, 90, 2.5))
    return 0 if all(met) else 1


def _decimals(values: np.ndarray, digits: int) -> pa.Array:
    return pc.cast(pa.array(np.round(values, digits)), pa.string())


def _processor_seconds() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_CHILDREN, resource.RUSAGE_SELF)]
    return sum(usage.ru_utime + usage.ru_stime for usage in used)


if __name__ == "__main__":
    raise SystemExit(main())
