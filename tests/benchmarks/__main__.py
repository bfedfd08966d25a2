"""Runs the benchmarks of this folder, one process each, the quick ones first: `python -m tests.benchmarks [--quick] [NAME...]`.

`--quick` leaves out those that train models for quality, which take hours on two cores. NAMEs are parts of script names.
"""

import argparse
import subprocess
import sys
import time
from pathlib import Path

LONG = ("bench_calliper_quality", "bench_lmemr_cost", "bench_lmemr_quality", "bench_manhattan", "bench_nextlocmoe")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--quick", action="store_true")
    asked = parser.parse_args()
    scripts = sorted((script.stem for script in Path(__file__).parent.glob("bench_*.py")), key=lambda name: (name in LONG, name))
    if asked.quick:
        scripts = [script for script in scripts if script not in LONG]
    if asked.names:
        scripts = [script for script in scripts if any(word in script for word in asked.names)]
    failed = []
    for script in scripts:
        print(f"\n== {script}", flush=True)
        begin = time.perf_counter()
        if subprocess.run([sys.executable, "-m", f"tests.benchmarks.{script}"], cwd=Path(__file__).parents[2]).returncode:
            failed.append(script)
        print(f"({script} took {time.perf_counter() - begin:,.0f} s)", flush=True)
    if failed:
        print(f"\nFailed: {', '.join(failed)}")
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main())
