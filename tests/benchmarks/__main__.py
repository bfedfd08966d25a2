"""Runs every benchmark of this folder, one process each: `python -m tests.benchmarks [NAME...]`."""

import subprocess
import sys
from pathlib import Path


def main() -> int:
    wanted = sys.argv[1:]
    scripts = sorted(Path(__file__).parent.glob("bench_*.py"))
    if wanted:
        scripts = [script for script in scripts if any(word in script.stem for word in wanted)]
    failed = []
    for script in scripts:
        print(f"\n== {script.stem}", flush=True)
        if subprocess.run([sys.executable, "-m", f"tests.benchmarks.{script.stem}"], cwd=Path(__file__).parents[2]).returncode:
            failed.append(script.stem)
    if failed:
        print(f"\nFailed: {', '.join(failed)}")
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main())
