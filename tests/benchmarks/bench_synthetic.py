"""How long the synthetic city takes: `tiny` (target 2 s), `demo` with all its pictures (target 20 s on two cores), and visits per second.

`python -m tests.benchmarks.bench_synthetic 1000000` adds a city of that many visits.
"""

import os
import platform
import resource
import sys
import time
from importlib.metadata import version
from itertools import pairwise

from engine.city.city import City
from engine.city.synthetic import synthesise

TARGETS_S = {"tiny": 2.0, "demo": 20.0}


def measure(size: str | int) -> tuple[City, float, float, list[tuple[str, float]]]:
    """The city, the seconds and the processor seconds it took, and the seconds of every stage in the words of its progress."""
    told: list[tuple[str, float]] = []
    begin, worked = time.perf_counter(), time.process_time()
    city = synthesise(size, report=lambda what, share: told.append((what, time.perf_counter())))  # type: ignore[arg-type]
    seconds, processor = time.perf_counter() - begin, time.process_time() - worked
    stages = [(what, after - at) for (what, at), (_, after) in pairwise(told)]
    return city, seconds, processor, stages


def main() -> int:
    packages = ", ".join(f"{name} {version(name)}" for name in ("numpy", "pandas", "shapely", "geopandas", "pillow"))
    print(f"{platform.platform()}, {os.cpu_count()} cores, Python {platform.python_version()}; {packages}")
    missed = []
    for size in ["tiny", "demo", 200_000, *map(int, sys.argv[1:])]:
        city, seconds, processor, stages = measure(size)
        visits, pictures = city.info.rows["visits"], city.media_paths()
        megabytes = sum(len(city.media(path)) for path in pictures) / 1e6
        target = TARGETS_S.get(str(size))
        print(
            f"{size!s:>8}: {seconds:6.2f} s{f' (target {target:g} s)' if target else ''}, {processor:.2f} s of processor, {visits:,} visits, "
            f"{visits / seconds:,.0f} visits/s, {len(pictures):,} pictures of {megabytes:.1f} MB, "
            f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6:.2f} GB"
        )
        if size == "demo":
            print("".join(f"          {spent:6.2f} s  {what}\n" for what, spent in stages), end="")
        if target and seconds > target:
            missed.append(size)
    if missed:
        print(f"Over the target: {', '.join(map(str, missed))}")
    return int(bool(missed))


if __name__ == "__main__":
    sys.exit(main())
